/* drive.c - work for a store that is being recorded: threads that deliver, append, flag, move,
 * expunge, queue and send on, and say in the recording what was promised and when.
 *
 *	drive DIR RECORDING RUN SEED JOBS [KILL]
 *
 * Every message has its own id and one thread that ever touches it. Before each change a mark says
 * which state the message will have, and after it that the store has answered; so at any moment a
 * message is in its last answered state or in the one that was asked for. A state is a list of
 * places: LOGIN/MAILBOX:FLAGS and queue:ADDRESS. With KILL the program kills itself after that many
 * answers, and another one can go on with the same directory.
 */
#include "crash.h"
#include "db/sqlite.h"
#include "record.h"
#include "store/blob.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/queue.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum { THREADS = 6, STATE = 400, LARGEST = 600 << 10, FLAGS = STORE_SEEN | STORE_FLAGGED };

static const char *const people[] = { "ann@ledger.test", "bob@ledger.test" };
static const char elsewhere[] = "guest@far.test";
static const char archive[] = "Archive";

static struct {
	int dir, marks;
	struct db *index; /* thread 0's, for checkpoints */
	struct store *store;
	const char *run;
	unsigned jobs;
	uint64_t accounts[2];
	uint64_t archives[2], inboxes[2];
	uint64_t kill_after;
	_Atomic uint64_t answers;
} self;

struct worker {
	pthread_t thread;
	unsigned number, message;
	uint64_t random;
	struct buf body;
	/* the message that this thread works on */
	char id[CRASH_ID], digest[CRASH_HEX];
	uint64_t queue_id;
	unsigned owner;
	uint32_t uid;
};

static uint64_t draw(struct worker *w, uint64_t below)
{
	/* xorshift64*: reproducible, which is all that is wanted */
	w->random ^= w->random >> 12;
	w->random ^= w->random << 25;
	w->random ^= w->random >> 27;
	return (w->random * UINT64_C(2685821657736338717) >> 20) % below;
}

/* ---- marks ---- */

static void put_mark(const char *line)
{
	struct record_head h = { RECORD_MAGIC, RECORD_MARK, 0, 0, 0, strlen(line) };
	struct iovec v[2] = { { &h, sizeof h }, { (void *)(uintptr_t)line, h.length } };

	if (self.marks >= 0 && writev(self.marks, v, 2) != (ssize_t)(sizeof h + h.length))
		abort();
}

static void ask(const struct worker *w, const char *state)
{
	char line[STATE + 300];

	snprintf(line, sizeof line, "{\"id\":\"%s\",\"digest\":\"%s\",\"ask\":\"%s\"}", w->id,
		w->digest, state);
	put_mark(line);
}

static void answered(const struct worker *w)
{
	char line[CRASH_ID + 40];

	snprintf(line, sizeof line, "{\"id\":\"%s\",\"answered\":1}", w->id);
	put_mark(line);
	if (atomic_fetch_add(&self.answers, 1) + 1 == self.kill_after)
		raise(SIGKILL);
}

/* ---- jobs ---- */

struct work {
	struct store_job job; /* first */
	struct worker *w;
	struct delivery_body body;
	struct delivery_rcpt rcpts[3];
	size_t rcpt_count;
	uint32_t flags;
	bool move;
	const char *login;
};

static void run(struct work *k, const char *what)
{
	struct err err = ERR_INIT;

	if (store_run(self.store, &k->job, &err) < 0)
		crash_die(what, &err);
	store_job_free(&k->job);
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
		self.accounts[i] = login.account;
		if (mailbox_find(v, login.account, STR("INBOX"), &m, err) < 0)
			return -1;
		self.inboxes[i] = m.id;
		if (mailbox_find(v, login.account, str_c(archive), &m, err) < 0)
			return -1;
		self.archives[i] = m.id;
	}
	return 0;
}

static int do_deliver(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	const struct delivery d = { .id = k->w->queue_id,
		.account = self.accounts[0],
		.anywhere = true,
		.sender = str_c(people[0]),
		.prefix = STR("Received: from a ledger\r\n"),
		.how = STR("drive"),
		.body = k->body,
		.rcpts = k->rcpts,
		.rcpt_count = k->rcpt_count };
	uint32_t local, queued;

	return delivery_accept(t, &d, &local, &queued, err);
}

static int do_append(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	const struct delivery_append a = {
		.account = self.accounts[k->w->owner], .mailbox = STR("INBOX"), .body = k->body
	};
	uint32_t uidvalidity;

	return delivery_append(t, &a, &uidvalidity, &k->w->uid, err);
}

/* The one uid that this worker cares about. */
static struct str only(const struct worker *w, struct range_list *l)
{
	*l = RANGE_LIST;
	range_list_add(l, w->uid);
	return range_list_end(l);
}

static bool ignore_flags(void *arg, uint32_t uid, uint32_t flags, struct str words, uint64_t modseq)
{
	return true;
}

static int do_flag(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct range_list one, failed = RANGE_LIST;
	const struct entry_flags q = { .account = self.accounts[k->w->owner],
		.mailbox = self.inboxes[k->w->owner],
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
	int r = entry_expunge(t, self.accounts[k->w->owner], self.inboxes[k->w->owner],
		only(k->w, &one), true, &out, &modseq, err);

	range_list_free(&one);
	range_list_free(&out);
	return r;
}

static int do_copy(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *k = (struct work *)job;
	struct range_list one, from = RANGE_LIST, to = RANGE_LIST;
	const struct entry_copy q = { .account = self.accounts[k->w->owner],
		.mailbox = self.inboxes[k->w->owner],
		.ranges = only(k->w, &one),
		.target = self.archives[k->w->owner],
		.move = k->move };
	uint64_t modseq;
	int r = entry_copy(t, &q, &from, &to, &modseq, err);

	range_list_free(&one);
	range_list_free(&from);
	range_list_free(&to);
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

	for (struct queue_lease *l = leases; r == 0 && l; l = l->next) {
		const struct queue_result result = { .rcpt = l->rcpts[0].id,
			.state = STORE_DELIVERED,
			.code = 250,
			.status = STR("2.0.0"),
			.text = STR("taken"),
			.remote = STR("far.test") };

		if (l->message == k->w->queue_id)
			r = queue_results(t, q.holder, l->id, &result, 1, &none, err);
	}
	queue_holder_gone(t, q.holder);
	arena_free(&arena);
	return r;
}

/* ---- messages ---- */

static size_t draw_size(struct worker *w)
{
	uint64_t at = draw(w, 100);

	if (at < 70)
		return 200 + draw(w, 6000);
	if (at < 90)
		return 6000 + draw(w, 60000);
	if (at < 96)
		return 60000 + draw(w, 150000);
	return (256 << 10) + 1 + draw(w, LARGEST - (256 << 10));
}

static void compose(struct worker *w)
{
	size_t size = draw_size(w);

	snprintf(w->id, sizeof w->id, "%s-%u-%u", self.run, w->number, ++w->message);
	buf_clear(&w->body);
	buf_addf(&w->body, CRASH_MARK "%s\r\nSubject: %s\r\n\r\n", w->id, w->id);
	while (w->body.n < size)
		buf_addf(&w->body, "%016" PRIx64 "%016" PRIx64 "\r\n", draw(w, UINT64_MAX),
			draw(w, UINT64_MAX));
	if (!buf_ok(&w->body))
		abort();
	crash_digest(buf_str(&w->body), w->digest);
	w->queue_id = (draw(w, UINT64_MAX) >> 2) + 1;
}

/* As the store role does it: a large body is a blob that is safe before the request begins. */
static void put_blob(struct worker *w, struct blob_writer *b, struct delivery_body *out)
{
	struct err err = ERR_INIT;

	if (blob_begin(self.dir, b, &err) < 0)
		crash_die("blob", &err);
	for (struct str rest = buf_str(&w->body); rest.n; rest = str_from(rest, 60000))
		if (blob_add(b, str_head(rest, 60000), &err) < 0)
			crash_die("blob", &err);
	if (blob_commit(b, &err) < 0)
		crash_die("blob", &err);
	out->blob = str_c(b->name);
	out->checksum = b->checksum;
}

static void run_with_body(struct work *k, const char *what)
{
	struct blob_writer b = { .fd = -1 };

	k->body.size = k->w->body.n;
	if (k->w->body.n > DELIVERY_INLINE)
		put_blob(k->w, &b, &k->body);
	else
		k->job.body = buf_str(&k->w->body);
	run(k, what);
	blob_end(&b);
	answered(k->w);
}

static void deliver(struct worker *w)
{
	struct work k = { .job = { .write = do_deliver, .intake = true, .lazy = true }, .w = w };
	uint64_t who = draw(w, 7) + 1; /* ann, bob, elsewhere: any but nobody */
	bool far = who & 4;
	char state[STATE] = "";

	compose(w);
	k.job.call = w->queue_id;
	for (unsigned i = 0; i < 2; i++) {
		if (!(who & (1u << i)))
			continue;
		k.rcpts[k.rcpt_count++] = (struct delivery_rcpt){ .address = str_c(people[i]) };
		snprintf(state + strlen(state), sizeof state - strlen(state), "%s/INBOX:0 ",
			people[i]);
	}
	if (far) {
		k.rcpts[k.rcpt_count++] = (struct delivery_rcpt){ .address = str_c(elsewhere) };
		snprintf(
			state + strlen(state), sizeof state - strlen(state), "queue:%s", elsewhere);
	}
	ask(w, state);
	run_with_body(&k, "deliver");
	if (!far || draw(w, 2))
		return;
	state[strlen(state) - strlen("queue:") - strlen(elsewhere)] = '\0';
	k = (struct work){ .job = { .write = do_send_on }, .w = w };
	ask(w, state);
	run(&k, "send on");
	answered(w);
}

/* One step in the life of an appended message; afterwards it has these flags in its places. */
static void step(struct worker *w, struct work k, const char *what, bool inbox, bool copied)
{
	const char *who = people[w->owner];
	char state[STATE] = "";

	if (inbox)
		snprintf(state, sizeof state, "%s/INBOX:%d ", who, FLAGS);
	if (copied)
		snprintf(state + strlen(state), sizeof state - strlen(state), "%s/%s:%d", who,
			archive, FLAGS);
	k.w = w;
	ask(w, state);
	run(&k, what);
	answered(w);
}

static void append(struct worker *w)
{
	struct work k = { .job = { .write = do_append, .intake = true }, .w = w };
	static const struct work flag = { .job = { .write = do_flag }, .flags = FLAGS };
	static const struct work expunge = { .job = { .write = do_expunge } };
	static const struct work copy = { .job = { .write = do_copy } };
	static const struct work move = { .job = { .write = do_copy }, .move = true };
	char state[STATE];

	compose(w);
	w->owner = (unsigned)draw(w, 2);
	snprintf(state, sizeof state, "%s/INBOX:0", people[w->owner]);
	ask(w, state);
	run_with_body(&k, "append");
	if (draw(w, 3) == 0)
		return;
	step(w, flag, "flag", true, false);
	switch (draw(w, 4)) {
	case 0:
		step(w, expunge, "expunge", false, false);
		break;
	case 1:
		step(w, move, "move", false, true);
		break;
	case 2:
		step(w, copy, "copy", true, true);
		break;
	default:
		break;
	}
}

/* The store's own checkpoints are too far apart for a short recording. */
static void checkpoint(void)
{
	struct err err = ERR_INIT;
	uint32_t left;

	if (db_sqlite_checkpoint(self.index, DB_PASSIVE, &left, &err) < 0 && err.kind != ERR_TEMP)
		crash_die("checkpoint", &err);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (unsigned i = 0; i < self.jobs; i++) {
		if (w->number == 0 && draw(w, 10) == 0)
			checkpoint();
		if (draw(w, 4))
			deliver(w);
		else
			append(w);
	}
	buf_free(&w->body);
	return NULL;
}

static void open_all(const char *dir, const char *recording)
{
	struct work k = { .job = { .write = do_account } };
	struct store_job look = { .read = do_look };
	const struct store_options o = { .segment_bytes = CRASH_SEGMENT };
	struct err err = ERR_INIT;
	char url[80];

	self.dir = crash_directory(dir);
	self.marks = open(recording, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (self.marks < 0)
		perror(recording);
	if (store_open(self.dir, &o, &self.store, &err) < 0)
		crash_die("open", &err);
	for (unsigned i = 0; i < 2; i++) {
		k = (struct work){ .job = { .write = do_account }, .login = people[i] };
		run(&k, "account");
	}
	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", self.dir);
	if (store_run(self.store, &look, &err) < 0 || db_open(&self.index, url, DB_WRITE, &err) < 0)
		crash_die("look", &err);
	store_job_free(&look);
	put_mark("{\"ready\":1}");
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS];
	uint64_t seed;

	if (argc < 6 || argc > 7) {
		fprintf(stderr, "usage: drive DIR RECORDING RUN SEED JOBS [KILL]\n");
		return 64;
	}
	self.run = argv[3];
	seed = strtoull(argv[4], NULL, 10);
	self.jobs = (unsigned)strtoul(argv[5], NULL, 10);
	self.kill_after = argc > 6 ? strtoull(argv[6], NULL, 10) : 0;
	open_all(argv[1], argv[2]);
	for (unsigned i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		*w = (struct worker){ .number = i, .body = BUF(LARGEST + 4096) };
		w->random = (seed * THREADS + i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		if (pthread_create(&w->thread, NULL, work, w) != 0)
			abort();
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(workers[i].thread, NULL);
	db_close(&self.index);
	store_close(&self.store);
	return 0;
}
