#include "cli/feed.h"

#include "base/clock.h"
#include "base/crc32c.h"
#include "conf/conf.h"
#include "mail/facts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SMALL = 256 << 10,
	IN_FLIGHT = 256,  /* messages on their way, and their bytes: */
	FLYING = 4 << 20, /* the store's room for bodies is for everybody */
	ROOM = 2 * SMALL,
	PREDECESSOR = 10 /* seconds */
};

_Static_assert((int)MARK_SEEN == (int)FLAG_SEEN && (int)MARK_ANSWERED == (int)FLAG_ANSWERED &&
		(int)MARK_FLAGGED == (int)FLAG_FLAGGED && (int)MARK_DELETED == (int)FLAG_DELETED &&
		(int)MARK_DRAFT == (int)FLAG_DRAFT,
	"flags are passed through");

/* One that waits for its answer. */
struct flight {
	struct feed *f;
	uint32_t txn;
	uint64_t size, call;
	int64_t received;
	uint32_t flags;
	struct buf keywords, facts, refs;
	char label[FEED_LABEL];
};

/* ---- the account and its folders ---- */

static int ask_for_account(struct feed *f, struct str login, struct err *err)
{
	struct store_account_open_req q = { .login = login, .alone = 1 };
	struct store_account_open_rep a;
	struct reply hold = { 0 };
	int r = store_account_open(f->c->store, &q, cli_deadline(), &a, &hold, err);

	f->handle = a.handle;
	reply_free(&hold);
	return r;
}

/* What an import that was killed had on its way may still be going in. */
static int open_account(struct feed *f, struct str login, struct err *err)
{
	const int64_t until = clock_after(PREDECESSOR * CLOCK_SEC);
	struct err why = ERR_INIT;
	int r;

	while ((r = ask_for_account(f, login, &why)) < 0 && why.kind == ERR_EXISTS &&
		clock_mono() < until) {
		if (task_sleep(clock_after(CLOCK_SEC / 20), err) < 0)
			return -1;
		why = (struct err)ERR_INIT;
	}
	if (r < 0)
		*err = why;
	return r;
}

int feed_open(struct feed *f, struct cli *c, struct str login, struct err *err)
{
	*f = (struct feed){ .c = c, .text = BUF(SMALL + 2 * MBOX_WINDOW) };
	if (!cli_store(c, err))
		return -1;
	f->size_max = conf_u64(c->conf, CONF_MESSAGE_MAX_SIZE);
	return open_account(f, login, err);
}

void feed_name_refused(struct feed *f, struct str label, const char *why)
{
	f->refused++;
	progress_say(&f->progress, STR_F ": %s; left out", STR_A(str_head(label, FEED_LABEL)), why);
}

static int find_folder(struct feed *f, struct str name, uint32_t *exists, struct err *err)
{
	struct store_mailbox_status_req q = { .handle = f->handle, .name = name };
	struct store_mailbox_status_rep a;
	struct reply hold = { 0 };
	int r = store_mailbox_status(f->c->store, &q, cli_deadline(), &a, &hold, err);

	reply_free(&hold);
	f->mailbox = a.mailbox;
	*exists = a.exists;
	return r;
}

static int make_folder(struct feed *f, struct str name, bool subscribe, struct err *err)
{
	struct store_mailbox_create_req q = {
		.call = cli_call_id(), .handle = f->handle, .name = name
	};
	struct store_mailbox_subscribe_req s = {
		.call = cli_call_id(), .handle = f->handle, .name = name, .on = 1
	};
	struct store_mailbox_create_rep a;
	struct store_mailbox_subscribe_rep sa;
	struct reply hold = { 0 };
	int r = store_mailbox_create(f->c->store, &q, cli_deadline(), &a, &hold, err);

	reply_free(&hold);
	f->mailbox = a.mailbox;
	if (r == 0 && subscribe)
		r = store_mailbox_subscribe(f->c->store, &s, cli_deadline(), &sa, &hold, err);
	reply_free(&hold);
	return r;
}

/* What is there already. */
static int learn(struct feed *f, struct err *err)
{
	struct store_digests_req q = { .handle = f->handle, .mailbox = f->mailbox };
	struct store_digests_rep a;
	struct store_digest_item item;
	int r = 0;

	do {
		struct reply hold = { 0 };

		r = store_digests(f->c->store, &q, cli_deadline(), &a, &hold, err);
		while (r == 0 && store_digest_item_next(&a.items, &item))
			if (!seen_add(&f->seen, seen_key(item.size, item.received, item.checksum)))
				r = err_set(err, ERR_TEMP, "out of memory");
		q.from = a.next;
		reply_free(&hold);
	} while (r == 0 && q.from);
	return r;
}

int feed_folder(struct feed *f, struct str name, bool subscribe, struct err *err)
{
	struct err why = ERR_INIT;
	uint32_t exists = 0;
	int r;

	seen_clear(&f->seen);
	f->imported = f->present = f->refused = f->bytes = 0;
	if (!str_z(name, f->folder, sizeof f->folder)) {
		feed_name_refused(f, name, "the folder's name is too long");
		return 0;
	}
	r = find_folder(f, name, &exists, &why);
	if (r < 0 && why.kind == ERR_NOTFOUND) {
		why = (struct err)ERR_INIT;
		r = make_folder(f, name, subscribe, &why);
	}
	if (r < 0 && (why.kind == ERR_PERM || why.kind == ERR_LIMIT)) {
		feed_name_refused(f, name, why.msg);
		return 0;
	}
	if (r < 0) {
		*err = why;
		return -1;
	}
	return exists && learn(f, err) < 0 ? -1 : 1;
}

/* ---- on the way ---- */

static void flight_free(struct flight *l)
{
	buf_free(&l->keywords);
	buf_free(&l->facts);
	buf_free(&l->refs);
	free(l);
}

static void land(struct feed *f, const struct flight *l, int r, const struct err *why)
{
	if (r == 0) {
		f->imported++;
		f->bytes += l->size;
	} else if (why->kind == ERR_PERM || why->kind == ERR_LIMIT) {
		feed_name_refused(f, str_c(l->label), why->msg);
	} else if (f->failed.kind == ERR_NONE) {
		f->failed = *why;
	}
	f->in_flight--;
	f->flying -= l->size;
	signal_raise(&f->landed);
}

static void fly(void *arg)
{
	struct flight *l = arg;
	struct feed *f = l->f;
	const struct store_append_req q = { .call = l->call,
		.handle = f->handle,
		.txn = l->txn,
		.size = l->size,
		.name = str_c(f->folder),
		.flags = l->flags,
		.keywords = buf_str(&l->keywords),
		.received = l->received,
		.facts = buf_str(&l->facts),
		.refs = buf_str(&l->refs) };
	struct store_append_rep a;
	struct reply hold = { 0 };
	struct err err = ERR_INIT;
	int r = store_append(f->c->store, &q, cli_deadline(), &a, &hold, &err);

	reply_free(&hold);
	land(f, l, r, &err);
	flight_free(l);
}

/* Until no more than `n` are on their way, and `bytes` bytes. */
static int wait_for(struct feed *f, unsigned n, uint64_t bytes, struct err *err)
{
	while ((f->in_flight > n || f->flying > bytes) && f->failed.kind == ERR_NONE)
		if (task_wait(-1, 0, &f->landed, NEVER, err) < 0)
			return -1;
	if (f->failed.kind == ERR_NONE)
		return 0;
	*err = f->failed;
	return -1;
}

static struct flight *flight_new(struct feed *f, const struct feed_item *item)
{
	struct flight *l = calloc(1, sizeof *l);

	if (!l)
		return NULL;
	*l = (struct flight){ .f = f,
		.txn = ++f->last_txn,
		.size = f->size,
		.call = cli_call_id(),
		.received = item->received,
		.flags = item->flags,
		.keywords = BUF(MARKS_KEYWORDS),
		.facts = BUF(FACTS_MAX),
		.refs = BUF(FACTS_REFS_BYTES) };
	buf_add(&l->keywords, item->keywords);
	snprintf(l->label, sizeof l->label, STR_F, STR_A(str_head(item->label, FEED_LABEL - 1)));
	return l;
}

static int take_off(struct feed *f, struct flight *l, struct err *err)
{
	if (task_spawn(f->c->group, "append", fly, l, err) < 0)
		return -1;
	f->in_flight++;
	f->flying += l->size;
	return 0;
}

/* ---- reading ---- */

static void reset(struct feed *f)
{
	buf_clear(&f->text);
	f->newline = (struct newline){ 0 };
	f->big = false;
	f->size = 0;
	f->checksum = 0;
}

/* The next bytes as they will be in the store; those of a large message stand at the end of `text`.
 */
static struct str convert(struct feed *f, struct str piece)
{
	size_t before;

	if (f->big)
		buf_clear(&f->text);
	before = f->text.n;
	newline_to_crlf(&f->newline, piece, &f->text);
	f->size += f->text.n - before;
	f->checksum = crc32c(f->checksum, f->text.p + before, f->text.n - before);
	return str_from(buf_str(&f->text), before);
}

static int measure(void *arg, struct str piece, struct err *err)
{
	struct feed *f = arg;

	while (piece.n) { /* a piece may become twice as long */
		convert(f, str_head(piece, MBOX_WINDOW));
		piece = str_from(piece, MBOX_WINDOW);
		if (!buf_ok(&f->text))
			return err_set(err, ERR_TEMP, "out of memory");
		f->big = f->big || f->text.n > SMALL;
		if (f->size > f->size_max)
			return err_set(err, ERR_LIMIT,
				"it is larger than message.max-size (%" PRIu64 " bytes)",
				f->size_max);
	}
	return 0;
}

/* ---- sending ---- */

static int send_small(struct feed *f, struct flight *l, struct err *err)
{
	if (facts_of(buf_str(&f->text), &l->facts, &l->refs, err) < 0)
		return -1;
	cli_body_begin(f->c, l->txn);
	return cli_body_send(f->c, buf_str(&f->text), err);
}

struct streaming {
	struct feed *f;
	struct facts_builder *facts;
	bool broken; /* it is the server's fault, not the file's */
};

static int stream(void *arg, struct str piece, struct err *err)
{
	struct streaming *s = arg;

	while (piece.n) {
		struct str out = convert(s->f, str_head(piece, MBOX_WINDOW));

		piece = str_from(piece, MBOX_WINDOW);
		facts_feed(s->facts, out);
		if (cli_body_send(s->f->c, out, err) < 0) {
			s->broken = true;
			return -1;
		}
	}
	return 0;
}

/* 1: sent; 0: the file cannot be read, or is another by now, which has been said. */
static int send_big(struct feed *f, const struct feed_item *item, struct flight *l, struct err *err)
{
	struct streaming s = { .f = f, .facts = facts_builder_new() };
	const uint32_t checksum = f->checksum;
	struct err why = ERR_INIT, ignored = ERR_INIT;
	int r = -1;

	if (!s.facts)
		return err_set(err, ERR_TEMP, "out of memory");
	reset(f);
	f->big = true;
	cli_body_begin(f->c, l->txn);
	if (item->read(item->arg, stream, &s, &why) < 0) {
		*err = why;
	} else if (f->size != l->size || f->checksum != checksum) {
		err_set(&why, ERR_TEMP, "it has changed while it was read");
	} else {
		r = facts_finish(s.facts, &l->facts, &l->refs, err) < 0 ? -1 : 1;
		s.broken = r < 0;
	}
	if (r < 0)
		(void)cli_body_abort(f->c, &ignored);
	if (r < 0 && !s.broken) {
		feed_name_refused(f, item->label, why.msg);
		r = 0;
	}
	facts_builder_free(&s.facts);
	return r;
}

static int send(struct feed *f, const struct feed_item *item, struct err *err)
{
	struct flight *l;
	int r;

	/* A large one is written by a task of its own in the store, and would come after those that
	 * follow it. */
	if (wait_for(f, f->big ? 0 : IN_FLIGHT - 1, f->big ? 0 : FLYING, err) < 0 ||
		(channel_pending(f->c->store) > ROOM / 2 &&
			channel_room(f->c->store, cli_deadline(), err) < 0))
		return -1;
	l = flight_new(f, item);
	if (!l)
		return err_set(err, ERR_TEMP, "out of memory");
	if (f->big) {
		r = send_big(f, item, l, err);
	} else {
		r = send_small(f, l, err) < 0 ? -1 : 1;
	}
	if (r == 1 && take_off(f, l, err) == 0)
		return f->big ? wait_for(f, 0, 0, err) : 0;
	flight_free(l);
	return r == 0 ? 0 : -1;
}

int feed_put(struct feed *f, const struct feed_item *item, struct err *err)
{
	struct err why = ERR_INIT;

	reset(f);
	if (item->read(item->arg, measure, f, &why) < 0) {
		feed_name_refused(f, item->label, why.msg);
		return 0;
	}
	if (f->size == 0) {
		feed_name_refused(f, item->label, "it is empty");
		return 0;
	}
	if (seen_take(&f->seen, seen_key(f->size, item->received, f->checksum))) {
		f->present++;
		return task_breathe(NEVER, err);
	}
	return send(f, item, err);
}

int feed_flush(struct feed *f, struct err *err)
{
	return wait_for(f, 0, 0, err);
}

void feed_close(struct feed *f)
{
	struct err ignored = ERR_INIT;

	while (f->in_flight && task_wait(-1, 0, &f->landed, NEVER, &ignored) >= 0)
		;
	seen_clear(&f->seen);
	buf_free(&f->text);
}
