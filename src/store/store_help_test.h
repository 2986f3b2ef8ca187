/* store_help_test.h - a store in a test's own directory, and its requests in one line each. */
#ifndef STORE_STORE_HELP_TEST_H
#define STORE_STORE_HELP_TEST_H

#include "store/body.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/names.h"
#include "store/queue.h"
#include "store/store_private.h"
#include "store/store_test.h"

#include <string.h>

struct request_test {
	struct store_job job; /* first */
	int (*run)(struct txn *t, void *arg, struct err *err);
	int (*look)(struct view *v, void *arg, struct err *err);
	void *arg;
};

static inline int run_request(struct txn *t, struct store_job *job, struct err *err)
{
	struct request_test *r = (struct request_test *)job;

	return r->run(t, r->arg, err);
}

static inline int look_request(struct view *v, struct store_job *job, struct err *err)
{
	struct request_test *r = (struct request_test *)job;

	return r->look(v, r->arg, err);
}

static inline int change_with_body(struct store *s, int (*run)(struct txn *, void *, struct err *),
	void *arg, struct str body, struct err *err)
{
	struct request_test r = {
		.job = { .write = run_request, .body = body }, .run = run, .arg = arg
	};
	int result;

	*err = ERR_INIT;
	result = store_run(s, &r.job, err);
	store_job_free(&r.job);
	return result;
}

static inline int change(
	struct store *s, int (*run)(struct txn *, void *, struct err *), void *arg, struct err *err)
{
	return change_with_body(s, run, arg, STR(""), err);
}

static inline int look(
	struct store *s, int (*fn)(struct view *, void *, struct err *), void *arg, struct err *err)
{
	struct request_test r = { .job = { .read = look_request }, .look = fn, .arg = arg };
	int result;

	*err = ERR_INIT;
	result = store_run(s, &r.job, err);
	store_job_free(&r.job);
	return result;
}

static inline struct store *open_store_with(int dir, const struct store_options *o)
{
	struct store_options all = *o;
	struct err err = ERR_INIT;
	struct store *s = NULL;

	all.url = test_url;
	if (store_open(dir, &all, &s, &err) < 0)
		fail_msg("open: %s", err.msg);
	return s;
}

static inline struct store *open_store(void **state)
{
	const struct store_options o = { .segment_bytes = 1 << 20 };

	return open_store_with(test_dir(state), &o);
}

/* --- requests --- */

static inline int run_account(struct txn *t, void *login, struct err *err)
{
	uint64_t id;

	return directory_account_add(t, str_c(login), STR("Somebody"), &id, err);
}

static inline void add_account(struct store *s, const char *login)
{
	struct err err;

	if (change(s, run_account, (void *)(uintptr_t)login, &err) < 0)
		fail_msg("%s: %s", login, err.msg);
}

struct alias_test {
	const char *address, *owner; /* NULL: none */
	struct str targets[8];
	size_t n;
};

static inline int run_alias(struct txn *t, void *arg, struct err *err)
{
	struct alias_test *a = arg;

	return directory_alias_put(t, str_c(a->address), str_c(a->owner), a->targets, a->n, err);
}

static inline void add_alias(struct store *s, const char *address, const char *target)
{
	struct alias_test a = { .address = address };
	struct str rest = str_c(target);
	struct err err;

	while (rest.n)
		a.targets[a.n++] = str_word(&rest, ' ');
	if (change(s, run_alias, &a, &err) < 0)
		fail_msg("%s: %s", address, err.msg);
}

struct mail_test {
	uint64_t id;
	const char *sender, *to, *body, *facts;
	uint32_t local, queued;
	bool anywhere;
	struct delivery_options options;
	int64_t rrvs;
	uint8_t notify;
	const struct delivery_note *note; /* somebody named in vain */
};

/* Recipients are looked up first, as a front does. */
static inline int run_mail(struct txn *t, void *arg, struct err *err)
{
	struct mail_test *m = arg;
	struct delivery_rcpt rcpts[16] = { 0 };
	struct delivery d = { .id = m->id,
		.sender = str_c(m->sender),
		.any_sender = true,
		.anywhere = m->anywhere,
		.options = m->options,
		.rcpts = rcpts,
		.notes = m->note,
		.note_count = m->note != NULL,
		.prefix = STR("Received: by us\r\n"),
		.body = {
			.size = strlen(m->body), .facts = str_c(m->facts ? m->facts : "facts") } };
	struct str rest = str_c(m->to);

	while (rest.n) {
		struct directory_rcpt found;
		struct str address = str_word(&rest, ' ');

		if (directory_rcpt(&t->view, address, m->anywhere, 0, &found, err) < 0)
			return -1;
		rcpts[d.rcpt_count++] = (struct delivery_rcpt){ .target = found.target,
			.address = address,
			.notify = m->notify,
			.rrvs = m->rrvs,
			.rrvs_mode = m->rrvs & 1 };
	}
	return delivery_accept(t, &d, &m->local, &m->queued, err);
}

static inline int mail(struct store *s, struct mail_test *m, struct err *err)
{
	return change_with_body(s, run_mail, m, str_c(m->body), err);
}

static inline void must_mail(struct store *s, uint64_t id, const char *to, const char *body)
{
	struct mail_test m = {
		.id = id, .sender = "them@example.net", .to = to, .body = body, .anywhere = true
	};
	struct err err;

	if (mail(s, &m, &err) < 0)
		fail_msg("mail to %s: %s", to, err.msg);
}

/* What a mailbox holds, as text: "uid:flags:keywords:body " for every entry, in order. */
struct box_test {
	const char *login, *mailbox;
	struct mailbox m;
	uint64_t account;
	char text[512];
	struct view *v;
	bool ghosts;
};

static inline bool show_entry(void *arg, const struct entry *e)
{
	struct box_test *b = arg;
	struct buf body = BUF(200);
	struct err err = ERR_INIT;
	uint64_t size;
	size_t n = strlen(b->text);

	if (entry_read(b->v, b->account, b->m.id, e->uid, e->prefix_size, 100, &body, &size, &err) <
		0)
		fail_msg("%s", err.msg);
	assert_int_equal(size, e->size);
	snprintf(b->text + n, sizeof b->text - n, "%u:%u:%.*s:%.*s ", e->uid, e->flags,
		(int)e->keywords.n, e->keywords.p, (int)body.n, body.p);
	buf_free(&body);
	return true;
}

static inline int look_box(struct view *v, void *arg, struct err *err)
{
	struct box_test *b = arg;
	struct directory_login who;
	struct entry_query q;

	b->v = v;
	b->text[0] = '\0';
	if (directory_login(v, str_c(b->login), &who, err) < 0 ||
		mailbox_find(v, who.account, str_c(b->mailbox), &b->m, err) < 0)
		return -1;
	b->account = who.account;
	q = (struct entry_query){ .account = who.account, .mailbox = b->m.id, .ghosts = b->ghosts };
	return entry_list(v, &q, show_entry, b, err);
}

static inline void box(struct store *s, const char *login, const char *mailbox, struct box_test *b)
{
	struct err err;

	*b = (struct box_test){ .login = login, .mailbox = mailbox };
	if (look(s, look_box, b, &err) < 0)
		fail_msg("%s %s: %s", login, mailbox, err.msg);
}

/* The books of the log are what can be counted. */
static inline int look_space(struct view *v, void *arg, struct err *err)
{
	static const char sql[] =
		"WITH counted AS (SELECT segment, sum(CASE WHEN blob IS NOT NULL THEN 0"
		" WHEN stored <> 0 THEN stored ELSE size END + carried),"
		" count(*) FROM body WHERE segment <> 0 GROUP BY segment),"
		" booked AS (SELECT number, bytes, bodies FROM segment)"
		" SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM booked) "
		"x)"
		" + (SELECT count(*) FROM (SELECT * FROM booked EXCEPT SELECT * FROM counted) x)";

	return db_int(v->db, arg, sql, DB_NOARGS, err) == 1 ? 0 : -1;
}

static inline void assert_space(struct store *s)
{
	int64_t wrong = -1;
	struct err err;

	if (look(s, look_space, &wrong, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(wrong, 0);
}

struct count_test {
	const char *sql;
	int64_t n;
};

static inline int look_count(struct view *v, void *arg, struct err *err)
{
	struct count_test *c = arg;

	return db_int(v->db, &c->n, c->sql, DB_NOARGS, err) == 1 ? 0 : -1;
}

/* What a statement counts in the index. */
static inline int64_t count_sql(struct store *s, const char *sql)
{
	struct count_test c = { .sql = sql };
	struct err err;

	if (look(s, look_count, &c, &err) < 0)
		fail_msg("%s", err.msg);
	return c.n;
}

/* The table of domains says when the first recipient of each is due, and has no others. */
static inline int look_schedule(struct view *v, void *arg, struct err *err)
{
	static const char sql[] =
		"WITH counted AS (SELECT domain, min(next) FROM queue_rcpt GROUP BY domain),"
		" booked AS (SELECT domain, next FROM queue_domain)"
		" SELECT (SELECT count(*) FROM (SELECT * FROM counted EXCEPT SELECT * FROM booked) "
		"x)"
		" + (SELECT count(*) FROM (SELECT * FROM booked EXCEPT SELECT * FROM counted) x)";

	return db_int(v->db, arg, sql, DB_NOARGS, err) == 1 ? 0 : -1;
}

static inline void assert_schedule(struct store *s)
{
	int64_t wrong = -1;
	struct err err;

	if (look(s, look_schedule, &wrong, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(wrong, 0);
}

#define ALL_KEYS                                                                                   \
	"(SELECT account, key, thread FROM thread_key UNION SELECT account, key, thread"           \
	" FROM thread_new) k"

/* Everything in the index, as text: two stores that show the same are the same. */
static inline void dump_index(int dir, const char *file, struct buf *out)
{
	static const char *const tables[] = { "log_position", "domain", "account", "address",
		"alias_target", "identity", "secret", "mailbox", "subscription", "body", "email",
		"entry", "ghost", ALL_KEYS, "queue_message", "queue_rcpt", "call_even", "call_odd",
		"sending", "correspondent", "segment", "queue_domain" };
	struct err err = ERR_INIT;
	struct db *db = NULL;
	char url[100], sql[200];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/%s", dir, file);
	if (db_open(&db, test_url ? test_url : url, DB_READ, &err) < 0)
		fail_msg("%s", err.msg);
	for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
		struct rows *r;

		snprintf(sql, sizeof sql, "SELECT * FROM %s ORDER BY 1, 2", tables[i]);
		if (db_query(db, &r, sql, DB_NOARGS, &err) < 0)
			fail_msg("%s", err.msg);
		buf_addf(out, "%s\n", tables[i]);
		while (rows_next(r, &err) == 1) {
			for (int c = 0; c < 20; c++) {
				struct db_val v = rows_get(r, c);

				if (v.type == DB_INT)
					buf_addf(out, " %lld", (long long)v.i);
				else
					buf_addf(out, " '%.*s'", (int)v.s.n, v.s.p);
			}
			buf_addc(out, '\n');
		}
		rows_free(&r);
	}
	db_close(&db);
}

static inline void show_index(int dir, const char *file, struct buf *out)
{
	*out = BUF(1 << 24);
	dump_index(dir, file, out);
	buf_addc(out, 0);
	assert_true(buf_ok(out));
}

static inline void must_show(int dir, const struct buf *before)
{
	struct buf now;

	show_index(dir, "index.db", &now);
	assert_string_equal(now.p, before->p);
	buf_free(&now);
}

static inline void drop_index(int dir)
{
	unlinkat(dir, "index.db", 0);
	unlinkat(dir, "index.db-wal", 0);
	unlinkat(dir, "index.db-shm", 0);
}

/* What the store does for itself once a second. */
static inline void tidy_store(struct store *s)
{
	struct store_job job = { .write = housekeeping_run };
	struct err err = ERR_INIT;

	if (store_run(s, &job, &err) < 0)
		fail_msg("%s", err.msg);
	store_job_free(&job);
}

static inline int look_for_damage(struct view *v, void *arg, struct err *err)
{
	return body_count_damaged(v, arg, err);
}

static inline int change_nothing(struct txn *t, void *arg, struct err *err)
{
	(void)t, (void)arg, (void)err;
	return 0;
}

/* How many bodies are damaged, after what readers have found has been written down. */
static inline uint64_t damaged_bodies(struct store *s)
{
	uint64_t n = 0;
	struct err err;

	assert_int_equal(change(s, change_nothing, NULL, &err), 0);
	assert_int_equal(look(s, look_for_damage, &n, &err), 0);
	return n;
}

#endif
