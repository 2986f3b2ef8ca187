#include "base/crc32c.h"
#include "store/blob.h"
#include "store/delivery.h"
#include "store/log.h"
#include "store/store_help_test.h"
#include "store/thread_key.h"
#include "store/trace.h"

#include <endian.h>
#include <sys/resource.h>
#include <sys/stat.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

static int accounts_1000(struct txn *t, void *arg, struct err *err)
{
	char login[40];
	uint64_t id;

	(void)arg;
	for (int i = 0; i < 1000; i++) {
		snprintf(login, sizeof login, "u%d@example.org", i);
		if (directory_account_add(t, str_c(login), STR(""), &id, err) < 0)
			return -1;
	}
	return 0;
}

static int mail_1000(struct txn *t, void *arg, struct err *err)
{
	static struct delivery_rcpt rcpts[1000];
	static char names[1000][40];
	struct delivery d = { .id = 5,
		.any_sender = true,
		.rcpts = rcpts,
		.rcpt_count = 1000,
		.body = { .size = t->body.n } };
	uint32_t *counts = arg;

	for (int i = 0; i < 1000; i++) {
		struct directory_rcpt found;

		snprintf(names[i], sizeof names[i], "u%d@example.org", i);
		rcpts[i].address = str_c(names[i]);
		if (directory_rcpt(&t->view, rcpts[i].address, false, 0, &found, err) < 0)
			return -1;
		rcpts[i].target = found.target;
	}
	return delivery_accept(t, &d, &counts[0], &counts[1], err);
}

static int count_links(struct view *v, void *arg, struct err *err)
{
	return db_int(v->db, arg, "SELECT links FROM body", DB_NOARGS, err) < 0 ? -1 : 0;
}

static void a_thousand_recipients_share_one_body(void **state)
{
	struct store *s = open_store(state);
	uint32_t counts[2] = { 0 };
	int64_t links = 0;
	struct box_test b;
	struct err err;

	assert_int_equal(change(s, accounts_1000, NULL, &err), 0);
	assert_int_equal(change_with_body(s, mail_1000, counts, STR("to all"), &err), 0);
	assert_int_equal(counts[0], 1000);
	assert_int_equal(counts[1], 0);
	assert_int_equal(look(s, count_links, &links, &err), 0);
	assert_int_equal(links, 1000);
	box(s, "u999@example.org", "INBOX", &b);
	assert_string_equal(b.text, "1:0::to all ");
	store_close(&s);
}

static void local_and_foreign_recipients_are_taken_in_one_commit(void **state)
{
	struct store *s = open_store(state);
	struct mail_test m = { .id = 1,
		.sender = "",
		.to = "ann@example.org x@elsewhere.example X@elsewhere.example x@elsewhere.example",
		.body = "hi",
		.anywhere = true };
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(m.local, 1);
	assert_int_equal(m.queued, 2); /* the case of a foreign local part may matter */
	m.to = "x@elsewhere.example";
	m.anywhere = false;
	m.id = 2;
	assert_int_equal(mail(s, &m, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	store_close(&s);
}

static int deny_relay(struct txn *t, void *arg, struct err *err)
{
	const struct delivery_rcpt rcpt = { .address = STR("x@elsewhere.example") };
	const struct delivery d = { .id = 9, .any_sender = true, .rcpts = &rcpt, .rcpt_count = 1 };
	uint32_t a, b;

	(void)arg;
	return delivery_accept(t, &d, &a, &b, err);
}

static void a_front_that_never_asked_cannot_relay(void **state)
{
	struct store *s = open_store(state);
	struct err err;

	assert_int_equal(change(s, deny_relay, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_DENIED);
	store_close(&s);
}

static int odd_senders(struct txn *t, void *arg, struct err *err)
{
	const struct delivery_rcpt rcpt = { .address = STR("ann@example.org") };
	const struct delivery d = {
		.id = 9, .any_sender = true, .sender = str_c(arg), .rcpts = &rcpt, .rcpt_count = 1
	};
	uint32_t a, b;

	return delivery_accept(t, &d, &a, &b, err);
}

static void a_sender_cannot_smuggle_a_header(void **state)
{
	struct store *s = open_store(state);
	char bad[] = "x@y.example>\r\nX-Evil: 1", worse[] = "x\n@y.example";
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(change(s, odd_senders, bad, &err), -1);
	assert_int_equal(change(s, odd_senders, worse, &err), -1);
	store_close(&s);
}

/* --- who vanished between RCPT and the commit --- */

struct vanished {
	uint64_t target;
	uint32_t local, queued;
	bool at_once; /* whoever hands it in wants to hear it */
	size_t told, who;
};

static void tell_gone(void *arg, size_t rcpt, const struct err *why)
{
	struct vanished *x = arg;

	x->told++;
	x->who = rcpt;
	assert_int_equal(why->kind, ERR_NOTFOUND);
}

static int find_target(struct view *v, void *arg, struct err *err)
{
	struct vanished *x = arg;
	struct directory_rcpt found;
	int r = directory_rcpt(v, STR("bob@example.org"), false, 0, &found, err);

	x->target = found.target;
	return r;
}

static int remove_bob(struct txn *t, void *arg, struct err *err)
{
	uint64_t id;

	(void)arg;
	return directory_account_remove(t, STR("bob@example.org"), &id, err);
}

static int mail_vanished(struct txn *t, void *arg, struct err *err)
{
	struct vanished *x = arg;
	const struct delivery_rcpt rcpts[2] = { { .address = STR("both@example.org") },
		{ .target = x->target, .address = STR("bob@example.org") } };
	const struct delivery d = { .id = 9,
		.any_sender = true,
		.sender = STR("them@example.net"),
		.rcpts = rcpts,
		.rcpt_count = 2,
		.refuse = x->at_once ? tell_gone : NULL,
		.refuse_arg = x };

	return delivery_accept(t, &d, &x->local, &x->queued, err);
}

/* The alias before leads to several: what holds for one recipient does not for the next. */
static struct store *with_bob_gone(void **state, struct vanished *x)
{
	struct store *s = open_store(state);
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "cid@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "both@example.org", "ann@example.org cid@example.org");
	assert_int_equal(look(s, find_target, x, &err), 0);
	assert_int_equal(change(s, remove_bob, NULL, &err), 0);
	return s;
}

static void who_vanished_before_the_commit_gets_a_report(void **state)
{
	struct vanished x = { 0 };
	struct store *s = with_bob_gone(state, &x);
	struct err err;

	assert_int_equal(change(s, mail_vanished, &x, &err), 0);
	assert_int_equal(x.local, 2);
	assert_int_equal(x.queued, 1); /* for the courier to report */
	store_close(&s);
}

static void who_vanished_is_told_at_once_to_whom_it_can_be(void **state)
{
	struct vanished x = { .at_once = true };
	struct store *s = with_bob_gone(state, &x);
	struct err err;

	assert_int_equal(change(s, mail_vanished, &x, &err), 0);
	assert_int_equal(x.local, 2);
	assert_int_equal(x.queued, 0); /* nobody is owed a report */
	assert_int_equal(x.told, 1);
	assert_int_equal(x.who, 1);
	store_close(&s);
}

/* --- large bodies --- */

enum { BIG = 50 << 20, STEP = 1 << 20 };

struct big {
	struct blob_writer w;
	uint64_t got;
	uint32_t sum;
};

static int mail_big(struct txn *t, void *arg, struct err *err)
{
	struct big *b = arg;
	const struct delivery_rcpt rcpt = { .address = STR("ann@example.org") };
	const struct delivery d = { .id = 9,
		.any_sender = true,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.body = {
			.blob = str_c(b->w.name), .size = b->w.size, .checksum = b->w.checksum } };
	uint32_t x, y;

	return delivery_accept(t, &d, &x, &y, err);
}

static int read_big(struct view *v, void *arg, struct err *err)
{
	struct buf piece = BUF(61440);
	struct big *b = arg;
	uint64_t size = 1;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < size; at += piece.n) {
		buf_clear(&piece);
		r = entry_read(v, 1, 1, 1, at, 61440, &piece, &size, err);
		if (r == 0) {
			b->got += piece.n;
			b->sum = crc32c(b->sum, piece.p, piece.n);
		}
	}
	buf_free(&piece);
	return r;
}

static long peak_kilobytes(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return u.ru_maxrss;
}

static void fifty_megabytes_go_in_and_out_with_little_memory(void **state)
{
	static const char head[] = "Return-Path: <>\r\nDelivered-To: ann@example.org\r\n";
	struct store *s = open_store(state);
	struct big b = { .got = 0 };
	char *piece = malloc(STEP);
	uint32_t sum;
	struct err err;
	long before;

	assert_non_null(piece);
	memset(piece, 'b', STEP);
	add_account(s, "ann@example.org");
	before = peak_kilobytes();
	assert_int_equal(blob_begin(s, &b.w, &err), 0);
	for (int i = 0; i < BIG / STEP; i++)
		assert_int_equal(blob_add(&b.w, str_make(piece, STEP), &err), 0);
	assert_int_equal(blob_commit(&b.w, &err), 0);
	assert_int_equal(change(s, mail_big, &b, &err), 0);
	blob_end(&b.w);
	if (look(s, read_big, &b, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(b.got, sizeof head - 1 + BIG);
	sum = crc32c(0, head, sizeof head - 1);
	for (int i = 0; i < BIG / STEP; i++)
		sum = crc32c(sum, piece, STEP);
	assert_int_equal(b.sum, sum);
#ifdef __SANITIZE_ADDRESS__ /* which keeps what was freed */
	(void)before;
#else
	assert_true(peak_kilobytes() - before < 16 << 10);
#endif
	free(piece);
	store_close(&s);
}

static int sweep(struct view *v, void *arg, struct err *err)
{
	*(int *)arg = blob_sweep(v, err);
	return 0;
}

static void age(int dir, const char *name)
{
	const struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	char path[80];

	snprintf(path, sizeof path, "blob/%.2s/%s", name, name + 2);
	assert_int_equal(utimensat(dir, path, old, 0), 0);
}

static bool blob_is_there(int dir, const char *name)
{
	char path[160];

	snprintf(path, sizeof path, "blob/%.2s/%s", name, name + 2);
	return faccessat(dir, path, F_OK, 0) == 0;
}

/* The store sweeps by itself when it has been opened: who comes first is left open. */
static void a_blob_that_nobody_names_is_swept_away(void **state)
{
	struct store *s = open_store(state);
	struct big used = { .got = 0 }, lost = { .got = 0 };
	const int dir = test_dir(state);
	struct err err;
	int removed = 0;

	add_account(s, "ann@example.org");
	assert_int_equal(blob_begin(s, &used.w, &err), 0);
	assert_int_equal(blob_begin(s, &lost.w, &err), 0);
	assert_int_equal(blob_add(&used.w, STR("used"), &err), 0);
	assert_int_equal(blob_commit(&used.w, &err), 0);
	assert_int_equal(blob_commit(&lost.w, &err), 0);
	assert_int_equal(change(s, mail_big, &used, &err), 0);
	blob_end(&used.w);
	blob_end(&lost.w);
	assert_int_equal(look(s, sweep, &removed, &err), 0);
	assert_int_equal(removed, 0); /* too young: its record may still come */
	age(dir, used.w.name);
	age(dir, lost.w.name);
	assert_int_equal(look(s, sweep, &removed, &err), 0);
	assert_false(blob_is_there(dir, lost.w.name));
	assert_true(blob_is_there(dir, used.w.name));
	assert_int_equal(look(s, read_big, &used, &err), 0);
	store_close(&s);
}

/* Its record lies behind the damage: fsck brings it back. */
static void no_blob_is_swept_away_while_the_log_is_damaged(void **state)
{
	struct store *s = open_store(state);
	struct big kept = { .got = 0 };
	const int dir = test_dir(state);
	int fd, removed = 0;
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(blob_begin(s, &kept.w, &err), 0);
	assert_int_equal(blob_add(&kept.w, STR("kept"), &err), 0);
	assert_int_equal(blob_commit(&kept.w, &err), 0);
	assert_int_equal(change(s, mail_big, &kept, &err), 0);
	blob_end(&kept.w);
	store_close(&s);
	age(dir, kept.w.name);
	assert_int_equal(unlinkat(dir, "index.db", 0), 0);
	fd = openat(dir, "log/0000000001.seg", O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, SLOG_SEGMENT_HEAD), 1); /* the first record */
	close(fd);
	s = open_store(state);
	assert_int_equal(look(s, sweep, &removed, &err), 0);
	store_close(&s);
	assert_true(blob_is_there(dir, kept.w.name));
}

/* --- rot --- */

static int read_first(struct view *v, void *arg, struct err *err)
{
	struct buf out = BUF(1000);
	uint64_t size;
	int r = entry_read(v, 1, 1, 1, 0, 1000, &out, &size, err);

	(void)arg;
	buf_free(&out);
	return r;
}

static void a_rotten_body_is_not_served(void **state)
{
	struct store *s = open_store(state);
	static char bytes[65536];
	struct err err;
	char *at;
	int fd;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "a body that will rot");
	add_account(s, "bob@example.org"); /* the last record is another one */
	assert_int_equal(look(s, read_first, NULL, &err), 0);
	store_close(&s); /* who has read it keeps the right bytes */
	fd = openat(test_dir(state), "log/0000000001.seg", O_RDWR | O_CLOEXEC);
	assert_int_equal(pread(fd, bytes, sizeof bytes, 0), sizeof bytes);
	at = memmem(bytes, sizeof bytes, "will rot", 8);
	assert_non_null(at);
	assert_int_equal(pwrite(fd, "W", 1, at - bytes), 1);
	close(fd);
	s = open_store(state);
	assert_int_equal(look(s, read_first, NULL, &err), -1);
	assert_int_equal(err.kind, ERR_DAMAGED);
	store_close(&s);
}

/* --- threads --- */

struct threads {
	uint64_t refs[3];
	uint64_t thread, email;
};

static int find_thread(struct txn *t, void *arg, struct err *err)
{
	struct threads *x = arg;
	uint64_t coded[3];

	for (int i = 0; i < 3; i++)
		coded[i] = htole64(x->refs[i]);
	return thread_find(t, 1, str_make(coded, sizeof coded), x->email, &x->thread, err);
}

static uint64_t thread_of(struct store *s, uint64_t email, uint64_t own, uint64_t a, uint64_t b)
{
	struct threads x = { { own, a, b }, 0, email };
	struct err err;

	assert_int_equal(change(s, find_thread, &x, &err), 0);
	return x.thread;
}

static void an_answer_joins_the_thread_of_what_it_answers(void **state)
{
	struct store *s = open_store(state);

	add_account(s, "ann@example.org");
	assert_int_equal(thread_of(s, 10, 111, 0, 0), 10);
	assert_int_equal(thread_of(s, 11, 222, 111, 0), 10);
	assert_int_equal(thread_of(s, 12, 333, 999, 222), 10);
	assert_int_equal(thread_of(s, 13, 444, 999, 0), 10); /* knows a common ancestor */
	assert_int_equal(thread_of(s, 14, 0, 0, 0), 14);
	assert_int_equal(thread_of(s, 15, 0, 0, 0), 15);
	store_close(&s);
}

/* --- trace --- */

struct told {
	char text[600];
	uint64_t message;
	const char *address;
};

static bool tell_row(void *arg, const struct trace_row *r)
{
	struct told *x = arg;
	size_t n = strlen(x->text);

	snprintf(x->text + n, sizeof x->text - n, "%.*s(%.*s) ", (int)r->event.n, r->event.p,
		(int)r->address.n, r->address.p);
	return true;
}

static int ask_trace(struct view *v, void *arg, struct err *err)
{
	struct told *x = arg;

	return trace_list(v, x->message, str_c(x->address), 0, tell_row, x, err);
}

static void the_trace_tells_what_happened_to_a_message(void **state)
{
	struct store *s = open_store(state);
	struct told x = { .message = 1 }, y = { .address = "ann@example.org" };
	struct err err;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org x@elsewhere.example", "hi");
	must_mail(s, 2, "x@elsewhere.example", "hi");
	if (look(s, ask_trace, &x, &err) < 0)
		fail_msg("%s", err.msg);
	assert_string_equal(x.text,
		"accepted(them@example.net) delivered(ann@example.org) "
		"queued(x@elsewhere.example) ");
	store_close(&s);
	/* Made again from the log. */
	unlinkat(test_dir(state), "trace.db", 0);
	unlinkat(test_dir(state), "trace.db-wal", 0);
	unlinkat(test_dir(state), "trace.db-shm", 0);
	s = open_store(state);
	assert_int_equal(look(s, ask_trace, &y, &err), 0);
	assert_string_equal(y.text, x.text);
	store_close(&s);
}

static void a_recipient_named_in_vain_is_in_the_trace_of_the_message(void **state)
{
	const struct delivery_note note = { STR("nobody@example.org"), STR("550 5.1.1") };
	struct mail_test m = { .id = 1,
		.sender = "them@example.net",
		.to = "ann@example.org",
		.body = "hi",
		.note = &note };
	struct store *s = open_store(state);
	struct told x = { .address = "nobody@example.org" };
	struct err err;

	add_account(s, "ann@example.org");
	assert_int_equal(mail(s, &m, &err), 0);
	assert_int_equal(look(s, ask_trace, &x, &err), 0);
	assert_string_equal(x.text,
		"accepted(them@example.net) rejected(nobody@example.org) "
		"delivered(ann@example.org) ");
	store_close(&s);
}

static void mail_that_was_refused_is_found_by_its_id_and_its_addresses(void **state)
{
	struct store *s = open_store(state);
	struct told x = { .message = 7 }, y = { .address = "x@y" }, z = { .message = 8 };
	struct err err;

	assert_true(trace_note(s, 7, STR("refused"), STR("them@example.net"), STR("no")));
	assert_true(trace_note(s, 7, STR("rejected"), STR("x@y"), STR("550")));
	assert_int_equal(look(s, ask_trace, &x, &err), 0);
	assert_string_equal(x.text, "refused(them@example.net) rejected(x@y) ");
	assert_int_equal(look(s, ask_trace, &y, &err), 0);
	assert_string_equal(y.text, x.text);
	store_close(&s);
	s = open_store(state);
	assert_true(trace_note(s, 8, STR("refused"), STR("a@b"), STR("")));
	memset(y.text, 0, sizeof y.text);
	assert_int_equal(look(s, ask_trace, &y, &err), 0);
	assert_string_equal(y.text, x.text);
	assert_int_equal(look(s, ask_trace, &z, &err), 0);
	assert_string_equal(z.text, "refused(a@b) ");
	store_close(&s);
}

static bool count_row(void *arg, const struct trace_row *r)
{
	(void)r;
	++*(size_t *)arg;
	return true;
}

static int count_trace(struct view *v, void *arg, struct err *err)
{
	return trace_list(v, 9, STR(""), 0, count_row, arg, err);
}

static void a_flood_of_refusals_does_not_fill_the_disk(void **state)
{
	struct store *s = open_store(state);
	struct told x = { .address = "ann@example.org" };
	size_t n = 0, sent = 0;
	struct err err;

	add_account(s, "ann@example.org");
	must_mail(s, 1, "ann@example.org", "hi");
	while (sent < TRACE_RING + 5000) {
		if (trace_note(s, 9, STR("refused"), STR("flood@example.net"), STR("no")))
			sent++;
		else /* more waits than may */
			assert_int_equal(look(s, count_trace, &n, &err), 0);
	}
	n = 0;
	assert_int_equal(look(s, count_trace, &n, &err), 0);
	assert_in_range(n, TRACE_RING, TRACE_RING + 1000);
	assert_int_equal(look(s, ask_trace, &x, &err), 0);
	assert_string_equal(x.text, "accepted(them@example.net) delivered(ann@example.org) ");
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_thousand_recipients_share_one_body),
		TEST(local_and_foreign_recipients_are_taken_in_one_commit),
		TEST(a_front_that_never_asked_cannot_relay),
		TEST(a_sender_cannot_smuggle_a_header),
		TEST(who_vanished_before_the_commit_gets_a_report),
		TEST(who_vanished_is_told_at_once_to_whom_it_can_be),
		TEST(fifty_megabytes_go_in_and_out_with_little_memory),
		TEST_EMBEDDED(a_blob_that_nobody_names_is_swept_away),
		TEST_EMBEDDED(no_blob_is_swept_away_while_the_log_is_damaged),
		TEST_EMBEDDED(a_rotten_body_is_not_served),
		TEST(an_answer_joins_the_thread_of_what_it_answers),
		TEST(the_trace_tells_what_happened_to_a_message),
		TEST(a_recipient_named_in_vain_is_in_the_trace_of_the_message),
		TEST(mail_that_was_refused_is_found_by_its_id_and_its_addresses),
		TEST_EMBEDDED(a_flood_of_refusals_does_not_fill_the_disk),
	};

	log_capture(test_quiet, NULL);
	return TEST_ON_BOTH(tests);
}
