#include "work.h"

#include "base/crc32c.h"
#include "store/blob.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/squeeze.h"
#include "store/undelete.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FLAGS = STORE_SEEN | STORE_FLAGGED };

static const char *const people[] = { "ann@ledger.test", "bob@ledger.test" };
static const char elsewhere[] = "guest@far.test";
static const char inbox[] = "INBOX", archive[] = "Archive";

struct work_site work_site;

uint64_t work_draw(struct worker *w, uint64_t below)
{
	/* xorshift64*: reproducible, which is all that is wanted */
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (w->random * UINT64_C(2685821657736338717) >> 20) % below;
}

/* ---- jobs ---- */

struct work {
	struct store_job job; /* first */
	struct worker *w;
	struct delivery_body body;
	struct delivery_rcpt rcpts[3];
	size_t rcpt_count;
	uint32_t flags;
	bool move, change_mind;
	uint64_t mailbox, target; /* 0: INBOX, Archive */
	const char *login;
	uint32_t uid;     /* that it has after a move */
	const char *name; /* of a mailbox that comes and goes */
};

static int run(struct work *k, const char *what)
{
	struct err err = ERR_INIT;
	int r = store_run(work_site.store, &k->job, &err);

	store_job_free(&k->job);
	work_site.outcome(k->w, r, what, &err);
	return r;
}

static int do_account(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct directory_login login;
	uint64_t account;

	if (directory_login(&t->view, str_c(k->login), &login, err) == 0)
		return 0;
	if (err->kind != ERR_NOTFOUND)
		return -1;
	return directory_account_add(t, str_c(k->login), STR("Somebody"), &account, err);
}

static int do_look(struct view *v, struct store_job *job, struct err *err)
{
	struct directory_login login;
	struct mailbox m;

	(void)job;
	for (unsigned i = 0; i < 2; i++) {
		if (directory_login(v, str_c(people[i]), &login, err) < 0)
			return -1;
		work_site.accounts[i] = login.account;
		if (mailbox_find(v, login.account, STR("INBOX"), &m, err) < 0)
			return -1;
		work_site.inboxes[i] = m.id;
		if (mailbox_find(v, login.account, str_c(archive), &m, err) < 0)
			return -1;
		work_site.archives[i] = m.id;
	}
	return 0;
}

static int do_deliver(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	const struct delivery d = { .id = k->w->queue_id,
		.account = work_site.accounts[0],
		.anywhere = true,
		.sender = str_c(people[0]),
		.prefix = STR("Received: from a ledger\r\n"),
		.how = STR("drive"),
		.body = k->body,
		.rcpts = k->rcpts,
		.rcpt_count = k->rcpt_count };
	uint32_t local, queued;

	if (delivery_accept(t, &d, &local, &queued, err) < 0)
		return -1;
	return k->change_mind ? err_set(err, ERR_PERM, "changed its mind") : 0;
}

static int do_append(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	const struct delivery_append a = {
		.account = work_site.accounts[k->w->owner], .mailbox = STR("INBOX"), .body = k->body
	};
	uint32_t uidvalidity;

	return delivery_append(t, &a, &uidvalidity, &k->w->uid, err);
}

static uint64_t mailbox_of(const struct work *k)
{
	return k->mailbox ? k->mailbox : work_site.inboxes[k->w->owner];
}

static void pause_faults(bool on)
{
	if (work_site.pause)
		work_site.pause(on);
}

/* The one uid that this worker cares about. */
static struct str only(const struct worker *w, struct range_list *l)
{
	struct str one;

	*l = RANGE_LIST;
	pause_faults(true); /* no range at all would be every message */
	range_list_add(l, w->uid);
	one = range_list_end(l);
	pause_faults(false);
	return one;
}

static bool ignore_flags(void *arg, uint32_t uid, uint32_t flags, struct str words, uint64_t modseq)
{
	return true;
}

static int do_flag(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct range_list one, failed = RANGE_LIST;
	const struct entry_flags q = { .account = work_site.accounts[k->w->owner],
		.mailbox = work_site.inboxes[k->w->owner],
		.ranges = only(k->w, &one),
		.op = ENTRY_SET,
		.flags = k->flags };
	uint64_t modseq;
	uint32_t next;
	int r = entry_set_flags(t, &q, ignore_flags, NULL, &failed, &next, &modseq, err);

	range_list_free(&one);
	range_list_free(&failed);
	return r;
}

static int do_expunge(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct range_list one, out = RANGE_LIST;
	uint64_t modseq;
	int r = entry_expunge(t, work_site.accounts[k->w->owner], mailbox_of(k), only(k->w, &one),
		true, &out, &modseq, err);

	range_list_free(&one);
	range_list_free(&out);
	return r;
}

static int do_copy(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct range_list one, from = RANGE_LIST, to = RANGE_LIST;
	const struct entry_copy q = { .account = work_site.accounts[k->w->owner],
		.mailbox = mailbox_of(k),
		.ranges = only(k->w, &one),
		.target = k->target ? k->target : work_site.archives[k->w->owner],
		.move = k->move };
	struct effect_uid_range made;
	struct str uids;
	uint64_t modseq;
	int r = entry_copy(t, &q, &from, &to, &modseq, err);

	uids = range_list_end(&to);
	if (r == 0 && k->move && effect_uid_range_next(&uids, &made))
		k->uid = made.first;

	range_list_free(&one);
	range_list_free(&from);
	range_list_free(&to);
	return r;
}

static int do_make(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;

	return mailbox_create(
		t, work_site.accounts[k->w->owner], str_c(k->name), 0, &k->target, err);
}

static int do_remove(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;

	return mailbox_delete(t, work_site.accounts[k->w->owner], str_c(k->name), err);
}

/* ERR_NOTFOUND: it has been purged. */
static int do_undelete(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct undeleted out;
	struct range_list one;
	int r = undelete(
		t, work_site.accounts[k->w->owner], mailbox_of(k), only(k->w, &one), &out, err);

	range_list_free(&one);
	if (r == 0 && out.messages == 0)
		return err_set(err, ERR_NOTFOUND, "nothing to bring back");
	return r;
}

/* Take our own message from the queue and say that it was delivered. */
static int do_send_on(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	const struct queue_lease_query q = {
		.holder = k->w->number + 1, .max = 1000, .room = 1 << 20
	};
	const struct queue_report none = { 0 };
	struct arena arena = ARENA(8 << 20);
	struct queue_lease *leases;
	int64_t next;
	int r = queue_lease(t, &q, &arena, &leases, &next, err);
	bool done = false;

	for (struct queue_lease *l = r == 0 ? leases : NULL; r == 0 && l; l = l->next) {
		const struct queue_result result = { .rcpt = l->rcpts[0].id,
			.state = STORE_DELIVERED,
			.code = 250,
			.status = STR("2.0.0"),
			.text = STR("taken"),
			.remote = STR("far.test") };

		if (l->message != k->w->queue_id)
			continue;
		r = queue_results(t, q.holder, l->id, &result, 1, &none, err);
		done = true;
	}
	if (r == 0 && !done)
		r = err_set(err, ERR_TEMP, "the message is not to be had");
	if (queue_holder_gone(t, q.holder, err) < 0)
		r = -1;
	arena_free(&arena);
	return r;
}

/* ---- messages ---- */

/* kind: 'd' a delivery, 'a' an APPEND. Everything that is drawn for the message comes after this.
 */
static void compose(struct worker *w, char kind)
{
	size_t size;

	pause_faults(true);
	snprintf(w->id, sizeof w->id, "%s-%u-%u%c", work_site.run, w->number, ++w->message, kind);
	w->random = work_site.seed;
	for (const char *p = w->id; *p; p++)
		w->random = (w->random ^ (unsigned char)*p) * UINT64_C(0x100000001b3);
	w->random |= 1;
	for (int i = 0; i < 8; i++)
		work_draw(w, 2);
	size = work_site.size(w);
	buf_clear(&w->body);
	buf_addf(&w->body, CRASH_MARK "%s\r\nSubject: %s\r\n\r\n", w->id, w->id);
	while (w->body.n < size)
		buf_addf(&w->body, "%016" PRIx64 "%016" PRIx64 "\r\n", work_draw(w, UINT64_MAX),
			work_draw(w, UINT64_MAX));
	if (!buf_ok(&w->body))
		abort();
	crash_digest(buf_str(&w->body), w->digest);
	w->queue_id = (work_draw(w, UINT64_MAX) >> 2) + 1;
	pause_faults(false);
}

/* Every other message, as with store.compress. */
static bool squeezes(const struct worker *w)
{
	return w->message % 2;
}

/* As the store role does it: a large body is a blob that is safe before the request begins. */
static int put_blob(
	struct worker *w, struct blob_writer *b, struct delivery_body *out, struct err *err)
{
	if (blob_begin(work_site.store, b, err) < 0)
		return -1;
	for (struct str rest = buf_str(&w->body); rest.n; rest = str_from(rest, 60000))
		if (blob_add(b, str_head(rest, 60000), err) < 0)
			return -1;
	if (squeezes(w))
		blob_squeeze(b);
	if (blob_commit(b, err) < 0)
		return -1;
	out->blob = str_c(b->name);
	out->stored = b->stored;
	out->checksum = b->checksum;
	return 0;
}

static int run_with_body(struct work *k, const char *what)
{
	const struct str bytes = buf_str(&k->w->body);
	struct blob_writer b = { .fd = -1 };
	struct buf squeezed = BUF(WORK_LARGEST);
	struct err err = ERR_INIT;
	int r = 0;

	k->body.size = bytes.n;
	k->body.refs = str_make(k->w->digest, 8);
	k->job.body = STR("");
	if (bytes.n > work_site.inline_max) {
		r = put_blob(k->w, &b, &k->body, &err);
	} else if (squeezes(k->w) && squeeze(bytes, &squeezed)) {
		k->body.checksum = crc32c(0, bytes.p, bytes.n);
		k->body.stored = squeezed.n;
		k->job.body = buf_str(&squeezed);
	} else {
		k->job.body = bytes;
	}
	if (r < 0)
		work_site.outcome(k->w, r, "blob", &err);
	else
		r = run(k, what);
	blob_end(&b);
	buf_free(&squeezed);
	return r;
}

/* A delivery of the message that was composed, and the state it leads to. Is it for elsewhere? */
static bool address(struct worker *w, struct work *k, char state[WORK_STATE])
{
	uint64_t who = work_draw(w, 7) + 1; /* ann, bob, elsewhere: any but nobody */

	*k = (struct work){
		.job = { .write = do_deliver, .intake = true, .lazy = true, .call = w->queue_id },
		.w = w
	};
	state[0] = '\0';
	for (unsigned i = 0; i < 2; i++) {
		if (!(who & (1u << i)))
			continue;
		k->rcpts[k->rcpt_count++] = (struct delivery_rcpt){ .address = str_c(people[i]) };
		snprintf(state + strlen(state), WORK_STATE - strlen(state), "%s/INBOX:0 ",
			people[i]);
	}
	if (!(who & 4))
		return false;
	k->rcpts[k->rcpt_count++] = (struct delivery_rcpt){ .address = str_c(elsewhere) };
	snprintf(state + strlen(state), WORK_STATE - strlen(state), "queue:%s", elsewhere);
	return true;
}

/* What is refused is handed over once more with the same call. */
static int deliver(struct worker *w, struct work *k, const char *state)
{
	const struct work once_more = *k;

	work_site.ask(w, state);
	if (run_with_body(k, "deliver") == 0)
		return 0;
	*k = once_more;
	work_site.ask(w, state);
	return run_with_body(k, "deliver");
}

void work_deliver(struct worker *w)
{
	char state[WORK_STATE];
	struct work k;
	bool far;

	compose(w, 'd');
	far = address(w, &k, state);
	if (deliver(w, &k, state) < 0 || !far || work_draw(w, 2))
		return;
	state[strlen(state) - strlen("queue:") - strlen(elsewhere)] = '\0';
	k = (struct work){ .job = { .write = do_send_on }, .w = w };
	work_site.ask(w, state);
	run(&k, "send on");
}

void work_deliver_again(struct worker *w, unsigned message)
{
	char state[WORK_STATE];
	struct work k;

	w->message = message - 1;
	compose(w, 'd');
	address(w, &k, state);
	deliver(w, &k, state);
}

void work_burst(struct worker *w)
{
	static const unsigned count = 3;
	struct worker each[3];
	char state[WORK_STATE];
	struct work k[3];
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < count; i++) {
		each[i] = *w;
		each[i].body = BUF(WORK_LARGEST + 4096);
		compose(&each[i], 'd');
		w->message = each[i].message;
		address(&each[i], &k[i], state);
		k[i].job.body = buf_str(&each[i].body);
		k[i].body.size = each[i].body.n;
		k[i].body.refs = str_make(each[i].digest, 8);
		k[i].change_mind = i == 1;
		work_site.ask(&each[i], i == 1 ? "" : state);
	}
	store_submit(work_site.store, &k[0].job);
	store_submit(work_site.store, &k[1].job);
	if (store_run(work_site.store, &k[2].job, &err) < 0)
		k[2].job.err = err;
	store_finished(work_site.store); /* the two before it */
	for (unsigned i = 0; i < count; i++) {
		work_site.outcome(&each[i], i == 1 ? 0 : k[i].job.result, "burst", &k[i].job.err);
		store_job_free(&k[i].job);
		buf_free(&each[i].body);
	}
}

/* The places in the owner's account: up to two mailboxes. */
static void say_state(
	const struct worker *w, char state[WORK_STATE], const char *one, const char *other)
{
	const char *who = people[w->owner];

	state[0] = '\0';
	if (one)
		snprintf(state, WORK_STATE, "%s/%s:%d ", who, one, FLAGS);
	if (other)
		snprintf(state + strlen(state), WORK_STATE - strlen(state), "%s/%s:%d", who, other,
			FLAGS);
}

/* One step in the life of an appended message; afterwards it has these flags in its places. */
static int step(
	struct worker *w, struct work *k, const char *what, const char *one, const char *other)
{
	char state[WORK_STATE];

	k->w = w;
	say_state(w, state, one, other);
	work_site.ask(w, state);
	return run(k, what);
}

static int do_read(struct view *v, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct worker *w = k->w;
	struct buf bytes = BUF(WORK_LARGEST + 4096);
	uint64_t size;
	int r = entry_read(v, work_site.accounts[w->owner], work_site.inboxes[w->owner], w->uid, 0,
		WORK_LARGEST + 4096, &bytes, &size, err);

	if (r == 0 && !str_eq(buf_str(&bytes), buf_str(&w->body))) {
		fprintf(stderr, "%s: other bytes were read than were written\n", w->id);
		abort();
	}
	buf_free(&bytes);
	return r;
}

/* Reading may fail, but it gives the right bytes or none. */
static void read_back(struct worker *w)
{
	struct work k = { .job = { .read = do_read }, .w = w };
	struct err err = ERR_INIT;

	store_run(work_site.store, &k.job, &err);
	store_job_free(&k.job);
}

/* Back into the mailbox of that name, once. 0; -1 refused; 1 there is nothing to bring back. */
static int undelete_once(struct worker *w, uint64_t mailbox, const char *state)
{
	struct work k = { .job = { .write = do_undelete }, .w = w, .mailbox = mailbox };
	struct err err = ERR_INIT;
	int r;

	work_site.ask(w, state);
	r = store_run(work_site.store, &k.job, &err);
	store_job_free(&k.job);
	if (r < 0 && err.kind == ERR_NOTFOUND)
		return 1;
	work_site.outcome(w, r, "undelete", &err);
	return r;
}

/* What was refused is asked for once more, and what has come back comes only once. What has been
 * purged meanwhile, as may be at any moment, stays away. */
static void bring_back(struct worker *w, uint64_t mailbox, const char *name)
{
	const struct err none = ERR_INIT;
	char state[WORK_STATE];
	int r;

	say_state(w, state, name, NULL);
	r = undelete_once(w, mailbox, state);
	if (r < 0)
		r = undelete_once(w, mailbox, state);
	if (r < 0)
		return;
	if (r == 0)
		r = undelete_once(w, mailbox, state);
	else
		work_site.ask(w, "");
	if (r == 1)
		work_site.outcome(w, 0, "undelete", &none);
}

/* Ann wants hers back. */
static void expunge(struct worker *w)
{
	struct work k = { .job = { .write = do_expunge } };

	if (step(w, &k, "expunge", NULL, NULL) == 0 && !w->passing && w->owner == 0)
		bring_back(w, 0, inbox);
}

static void copy(struct worker *w)
{
	struct work k = { .job = { .write = do_copy } };

	step(w, &k, "copy", inbox, archive);
}

static void move(struct worker *w)
{
	struct work k = { .job = { .write = do_copy }, .move = true };

	step(w, &k, "move", archive, NULL);
}

/* Into a mailbox of its own, which is deleted and comes back. */
static void move_and_delete(struct worker *w)
{
	struct work make = { .job = { .write = do_make }, .name = w->id };
	struct work move = { .job = { .write = do_copy }, .move = true };
	struct work delete = { .job = { .write = do_remove }, .name = w->id };

	if (step(w, &make, "make a mailbox", inbox, NULL) < 0)
		return;
	move.target = make.target;
	if (step(w, &move, "move", w->id, NULL) < 0)
		return;
	w->uid = move.uid;
	if (step(w, &delete, "delete a mailbox", NULL, NULL) == 0)
		bring_back(w, make.target, w->id);
}

void work_append(struct worker *w)
{
	typedef void way(struct worker * w);
	static way *const ways[] = { expunge, move_and_delete, copy, move };
	struct work k = { .job = { .write = do_append, .intake = true }, .w = w };
	struct work flag = { .job = { .write = do_flag }, .flags = FLAGS };
	char state[WORK_STATE];

	compose(w, 'a');
	w->owner = (unsigned)work_draw(w, 2);
	snprintf(state, sizeof state, "%s/INBOX:0", people[w->owner]);
	work_site.ask(w, state);
	if (run_with_body(&k, "append") < 0)
		return;
	read_back(w);
	if (w->passing) {
		expunge(w);
		return;
	}
	if (work_draw(w, 3) == 0 || step(w, &flag, "flag", inbox, NULL) < 0)
		return;
	ways[w->message / 2 % 4](w); /* a short run has most of them */
}

/* ---- the place ---- */

int work_begin(struct err *err)
{
	struct store_job look = { .read = do_look };
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 2; i++) {
		struct work k = { .job = { .write = do_account }, .login = people[i] };

		r = store_run(work_site.store, &k.job, err);
		store_job_free(&k.job);
	}
	if (r == 0)
		r = store_run(work_site.store, &look, err);
	store_job_free(&look);
	return r;
}

void work_end(struct worker *w)
{
	buf_free(&w->body);
}
