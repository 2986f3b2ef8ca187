/* Compaction: what is dead goes, what lives moves and is the same, and a replay knows. */
#include "store/body.h"
#include "store/compact.h"
#include "store/io.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#include <dirent.h>
#include <errno.h>
#include <sys/wait.h>

enum { SEGMENT = 128 << 10, MAILS = 120, SIZE = 4000, BIG = 300 << 10 };

static struct store *open_small(void **state)
{
	const struct store_options o = { .segment_bytes = SEGMENT, .retention = -10 };

	return open_store_with(test_dir(state), &o);
}

static char byte_of(uint64_t mail, size_t at)
{
	return (char)('a' + (at * 7 + mail * 31 + at / 26) % 26);
}

struct post {
	uint64_t mail;
	const char *to;
	size_t size;
	struct blob_writer blob;
};

static int run_post(struct txn *t, void *arg, struct err *err)
{
	struct post *p = arg;
	const struct delivery_rcpt rcpt = { .address = str_c(p->to) };
	const struct delivery d = { .id = p->mail,
		.any_sender = true,
		.anywhere = true,
		.sender = STR("them@example.net"),
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.prefix = STR("Received: by us\r\n"),
		.body = { .size = p->size,
			.blob = str_c(p->blob.name),
			.checksum = p->blob.checksum,
			.facts = STR("facts") } };
	uint32_t x, y;

	return delivery_accept(t, &d, &x, &y, err);
}

static void post(struct store *s, uint64_t mail, const char *to, size_t size)
{
	struct post p = { .mail = mail, .to = to, .size = size, .blob = { .fd = -1 } };
	static char bytes[BIG];
	struct err err;
	bool big = size == BIG;

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_of(mail, i);
	if (big) {
		assert_int_equal(blob_begin(s, &p.blob, &err), 0);
		assert_int_equal(blob_add(&p.blob, str_make(bytes, size), &err), 0);
		assert_int_equal(blob_commit(&p.blob, &err), 0);
	}
	if (change_with_body(s, run_post, &p, big ? STR("") : str_make(bytes, size), &err) < 0)
		fail_msg("%s", err.msg);
	blob_end(&p.blob);
}

/* Uids in which every `keep`th stays, expunged and purged. */
struct cut {
	uint32_t first, last, keep;
};

static int run_expunge(struct txn *t, void *arg, struct err *err)
{
	const struct cut *c = arg;
	struct range_list uids = RANGE_LIST, out = RANGE_LIST;
	uint64_t modseq;
	int r;

	for (uint32_t uid = c->first; uid <= c->last; uid++)
		if (c->keep == 0 || uid % c->keep)
			range_list_add(&uids, uid);
	r = entry_expunge(t, 1, 1, range_list_end(&uids), true, &out, &modseq, err);
	range_list_free(&uids);
	range_list_free(&out);
	return r;
}

static int run_purge(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return housekeeping_run(t, NULL, err);
}

static void expunge(struct store *s, uint32_t first, uint32_t last, uint32_t keep)
{
	struct cut c = { first, last, keep };
	struct err err;

	if (change(s, run_expunge, &c, &err) < 0)
		fail_msg("%s", err.msg);
	for (int i = 0; i < 3; i++)
		assert_int_equal(change(s, run_purge, NULL, &err), 0);
}

static unsigned files_in(int dir, const char *folder)
{
	struct err err = ERR_INIT;
	struct dirent *e;
	unsigned n = 0;
	DIR *d = io_list(dir, folder, &err);

	assert_non_null(d);
	while (io_next(d, folder, &e, &err) == 1)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

static struct compact_report compact_now(struct store *s)
{
	struct compact_report done = { 0 };
	struct err err = ERR_INIT;

	if (store_compact(s, &done, &err) < 0)
		fail_msg("%s", err.msg);
	return done;
}

struct check {
	struct view *v;
	unsigned count, wrong;
};

static bool check_entry(void *arg, const struct entry *e)
{
	struct check *c = arg;
	struct buf body = BUF(2 * BIG);
	struct err err = ERR_INIT;
	uint64_t size;
	int r = entry_read(c->v, 1, 1, e->uid, e->prefix_size, 2 * BIG, &body, &size, &err);

	c->count++;
	c->wrong += r < 0 || body.n != e->size - e->prefix_size;
	for (size_t i = 0; r == 0 && i < body.n; i++)
		if (body.p[i] != byte_of(e->uid, i)) { /* mail and uid go together here */
			c->wrong++;
			break;
		}
	buf_free(&body);
	return true;
}

static int look_all(struct view *v, void *arg, struct err *err)
{
	const struct entry_query q = { .account = 1, .mailbox = 1 };
	struct check *c = arg;

	c->v = v;
	return entry_list(v, &q, check_entry, c, err);
}

static void assert_all_right(struct store *s, unsigned count)
{
	struct check c = { 0 };
	struct err err;

	assert_int_equal(look(s, look_all, &c, &err), 0);
	assert_int_equal(c.count, count);
	assert_int_equal(c.wrong, 0);
	assert_space(s);
}

static struct store *store_with_mail(void **state)
{
	struct store *s = open_small(state);

	add_account(s, "ann@example.org");
	for (unsigned i = 1; i <= MAILS; i++)
		post(s, i, "ann@example.org", i == 60 || i == 61 ? BIG : SIZE);
	return s;
}

static void what_lives_in_a_mostly_dead_segment_moves_and_is_the_same(void **state)
{
	struct store *s = store_with_mail(state);
	const int dir = test_dir(state);
	unsigned before = files_in(dir, "log"), after;
	struct compact_report done;
	struct snapshot made;
	struct err err;

	expunge(s, 1, 100, 5);
	assert_int_equal(snapshot_list(dir, &made, 1, &err), 0);
	done = compact_now(s);
	/* With what went from the log the index could not be made anew. */
	assert_int_equal(snapshot_list(dir, &made, 1, &err), 1);
	assert_true(done.moved >= 10 && done.moved <= 30);
	assert_true(done.segments >= 2);
	assert_int_equal(done.blobs, 1); /* 61; 60 lives */
	after = files_in(dir, "log");
	assert_true(after < before);
	assert_all_right(s, 40);
	done = compact_now(s);
	assert_int_equal(done.moved + done.segments + done.blobs, 0);
	store_close(&s);
	s = open_small(state);
	assert_all_right(s, 40);
	post(s, MAILS + 1, "ann@example.org", SIZE);
	assert_all_right(s, 41);
	store_close(&s);
}

static void what_is_wholly_dead_goes_without_copying(void **state)
{
	struct store *s = store_with_mail(state);
	struct compact_report done;

	expunge(s, 1, MAILS, 0);
	done = compact_now(s);
	assert_int_equal(done.moved, 0);
	assert_true(done.segments >= 3);
	assert_int_equal(done.blobs, 2);
	assert_int_equal(files_in(test_dir(state), "log"), 2); /* the current one and the next */
	assert_all_right(s, 0);
	store_close(&s);
}

/* From the snapshot before, through the records of the moves. */
static void a_replay_gives_the_same_index(void **state)
{
	struct store *s = store_with_mail(state);
	const int dir = test_dir(state);
	struct buf live;
	struct snapshot made;
	struct err err = ERR_INIT;
	struct compact_report done;

	expunge(s, 1, 40, 5);
	if (store_snapshot(s, &made, &err) < 0)
		fail_msg("%s", err.msg);
	expunge(s, 41, 100, 5);
	done = compact_now(s);
	assert_true(done.moved > 0 && done.segments > 0);
	assert_all_right(s, 40);
	store_close(&s);
	show_index(dir, "index.db", &live);
	unlinkat(dir, "index.db-wal", 0);
	unlinkat(dir, "index.db-shm", 0);
	assert_int_equal(renameat(dir, made.name, dir, "index.db"), 0);
	s = open_small(state);
	assert_all_right(s, 40);
	store_close(&s);
	must_show(dir, &live);
	buf_free(&live);
}

static void what_a_backup_holds_stays(void **state)
{
	struct store *s = store_with_mail(state);
	struct compact_report done;

	expunge(s, 1, MAILS, 0);
	store_hold(s);
	done = compact_now(s);
	assert_int_equal(done.moved + done.segments + done.blobs, 0);
	store_unhold(s);
	done = compact_now(s);
	assert_true(done.segments >= 3);
	assert_int_equal(done.blobs, 2);
	store_close(&s);
}

/* Who knows only where it was gets all of it, and parts of it. */
static void assert_found_again(struct view *v, const struct body_place *was)
{
	struct buf out = BUF(2 * BIG);
	struct err err = ERR_INIT;
	uint64_t size;

	if (body_read_message(v, STR(""), was, 0, 2 * BIG, &out, &size, &err) < 0 ||
		body_read_message(v, STR(""), was, 100, 200, &out, &size, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(size, was->size);
	assert_int_equal(out.n, size + 200);
	for (size_t i = 0; i < out.n; i++)
		assert_int_equal(
			out.p[i], byte_of(was->body, i < size ? i : i - (size_t)size + 100));
	buf_free(&out);
}

/* Somebody who looks at an old moment may still read from what has moved. */
static void an_old_moment_keeps_its_files(void **state)
{
	struct store *s = store_with_mail(state);
	struct compact_report done;
	struct err err = ERR_INIT;
	struct body_place was;
	struct str bytes;
	struct view v;

	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(db_begin(v.db, &err), 0);
	assert_int_equal(body_read(&v, 1, 0, &bytes, &err), 0);
	assert_int_equal(body_find(&v, 5, &was, &err), 0);
	expunge(s, 1, 100, 5);
	done = compact_now(s);
	assert_int_equal(done.segments, 0);
	for (uint64_t body = 1; body <= MAILS; body++)
		assert_int_equal(body_read(&v, body, 0, &bytes, &err), 0);
	db_rollback(v.db);
	done = compact_now(s);
	assert_true(done.segments >= 2);
	/* Looked at without a moment of its own, it is where it is now. */
	assert_found_again(&v, &was);
	assert_int_equal(body_read(&v, 5, 0, &bytes, &err), 0);
	assert_int_equal(bytes.p[0], byte_of(5, 0));
	view_close(&v);
	store_close(&s);
}

static int find_body(struct view *v, void *arg, struct err *err)
{
	struct body_place *p = arg;

	return body_find(v, p->body, p, err);
}

static void a_damaged_body_stays_and_the_others_move(void **state)
{
	struct store *s = store_with_mail(state);
	struct body_place p = { .body = 5 };
	struct compact_report done;
	struct check c = { 0 };
	struct err err;
	char name[40];
	int fd;

	expunge(s, 1, 100, 5);
	assert_int_equal(look(s, find_body, &p, &err), 0);
	snprintf(name, sizeof name, "log/%010llu.seg", (unsigned long long)p.segment);
	fd = openat(test_dir(state), name, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "X", 1, (off_t)p.place + 100), 1);
	close(fd);
	done = compact_now(s);
	assert_true(done.moved >= 10);
	assert_int_equal(faccessat(test_dir(state), name, F_OK, 0), 0);
	done = compact_now(s);
	assert_int_equal(done.moved, 0);
	assert_int_equal(look(s, look_all, &c, &err), 0);
	assert_int_equal(c.count, 40);
	assert_int_equal(c.wrong, 1);
	assert_space(s);
	store_close(&s);
}

static int run_mend(struct txn *t, void *arg, struct err *err)
{
	return emit_body_damaged(t, &(struct effect_body_damaged){ *(uint64_t *)arg, 0 }, err);
}

static unsigned stuck_segments(struct store *s)
{
	struct store_figures f;

	store_figures(s, &f);
	return f.stuck_segments;
}

/* One wrong byte, or what it was. */
static void set_byte(int dir, const struct body_place *p, char c)
{
	char name[40];
	int fd;

	snprintf(name, sizeof name, "log/%010llu.seg", (unsigned long long)p->segment);
	fd = openat(dir, name, O_RDWR | O_CLOEXEC);
	assert_int_equal(pwrite(fd, &c, 1, (off_t)p->place + 100), 1);
	close(fd);
}

static void what_could_not_be_emptied_is_tried_again_after_an_hour(void **state)
{
	struct store *s = store_with_mail(state);
	struct body_place p = { .body = 5 };
	struct err err;

	expunge(s, 1, 100, 5);
	assert_int_equal(look(s, find_body, &p, &err), 0);
	set_byte(test_dir(state), &p, 'X');
	assert_true(compact_now(s).moved >= 10);
	assert_int_equal(stuck_segments(s), 1);
	set_byte(test_dir(state), &p, byte_of(5, 100));
	assert_int_equal(change(s, run_mend, &p.body, &err), 0);
	assert_int_equal(compact_now(s).moved, 0);
	assert_int_equal(stuck_segments(s), 1);
	s->compactor.stuck_until = 0;
	assert_int_equal(compact_now(s).moved, 1);
	assert_int_equal(stuck_segments(s), 0);
	assert_all_right(s, 40);
	store_close(&s);
}

/* Somebody who reads an old moment finds the old place rotten; the body lives elsewhere. */
static void what_rots_where_a_body_has_been_is_not_marked(void **state)
{
	struct store *s = store_with_mail(state);
	struct body_place p = { .body = 5 };
	struct err err = ERR_INIT;
	uint64_t damaged = 1;
	struct str bytes;
	struct view v;

	expunge(s, 60, 61, 0);
	compact_now(s); /* nothing is left that waits for the old moment, so bodies move */
	assert_int_equal(look(s, find_body, &p, &err), 0);
	assert_int_equal(view_open(s, &v, &err), 0);
	assert_int_equal(db_begin(v.db, &err), 0);
	assert_int_equal(body_read(&v, 1, 0, &bytes, &err), 0);
	expunge(s, 1, 100, 5);
	assert_true(compact_now(s).moved > 0);
	set_byte(test_dir(state), &p, 'X');
	assert_int_equal(body_read(&v, 5, 0, &bytes, &err), -1);
	assert_int_equal(err.kind, ERR_DAMAGED);
	view_close(&v);
	expunge(s, 10, 10, 0); /* a request behind the one that marks */
	assert_int_equal(look(s, look_for_damage, &damaged, &err), 0);
	assert_int_equal(damaged, 0);
	store_close(&s);
}

/* Many of them, and each is tried once. */
static void a_round_ends_however_many_segments_cannot_be_emptied(void **state)
{
	enum { EACH = 16, SEGMENTS = 80, ALL = EACH * SEGMENTS };
	struct store *s = open_small(state);
	uint64_t segment = 0, hurt = 0;
	struct snapshot made;
	struct err err;

	add_account(s, "ann@example.org");
	for (unsigned i = 1; i <= ALL; i++)
		post(s, i, "ann@example.org", SIZE);
	for (unsigned i = 1; i < ALL; i += EACH)
		expunge(s, i, i + EACH - 1, 4);
	for (uint64_t body = 4; body <= ALL; body += 4) {
		struct body_place p = { .body = body };
		char name[40];
		int fd;

		assert_int_equal(look(s, find_body, &p, &err), 0);
		if (p.segment == segment)
			continue;
		segment = p.segment;
		snprintf(name, sizeof name, "log/%010llu.seg", (unsigned long long)segment);
		fd = openat(test_dir(state), name, O_RDWR | O_CLOEXEC);
		assert_int_equal(pwrite(fd, "X", 1, (off_t)p.place + 100), 1);
		close(fd);
		hurt++;
	}
	assert_true(hurt > 70);
	for (int i = 0; i < 2; i++) { /* so that none before holds the log */
		add_account(s, i ? "bob@example.org" : "eve@example.org");
		assert_int_equal(store_snapshot(s, &made, &err), 0);
	}
	alarm(120);
	compact_now(s);
	alarm(0);
	assert_int_equal(compact_now(s).moved, 0);
	assert_space(s);
	store_close(&s);
}

/* ---- from the log alone ---- */

struct witness {
	uint64_t body;
	unsigned records, emails, entries, queued;
	struct effect_moved_email email;
	struct effect_moved_entry entry;
	struct effect_moved_queued q;
	char name[40], prefix[100], rcpts[80];
};

static int see(void *arg, const struct slog_record *r, struct err *err)
{
	struct str effects = r->effects, fields;
	struct witness *w = arg;
	struct effect_body_moved e;
	uint16_t number;

	(void)err;
	while (effect_next(&effects, &number, &fields)) {
		if (number != EFFECT_body_moved || !effect_body_moved_get(fields, &e) ||
			e.id != w->body)
			continue;
		w->records++;
		assert_true(str_eq(e.facts, STR("facts")));
		while (effect_moved_email_next(&e.emails, &w->email))
			w->emails++;
		while (effect_moved_entry_next(&e.entries, &w->entry))
			w->entries++;
		while (effect_moved_queued_next(&e.queued, &w->q))
			w->queued++;
		str_z(w->entry.name, w->name, sizeof w->name);
		str_z(w->email.prefix, w->prefix, sizeof w->prefix);
		str_z(w->q.rcpts, w->rcpts, sizeof w->rcpts);
	}
	return 0;
}

static int run_archive(struct txn *t, void *arg, struct err *err)
{
	struct range_list some = RANGE_LIST, from = RANGE_LIST, to = RANGE_LIST;
	struct entry_copy q = { .account = 1, .mailbox = 1, .move = true };
	uint64_t modseq;
	int r = mailbox_create(t, 1, STR("Kept"), 0, &q.target, err);

	(void)arg;
	for (uint32_t uid = 10; uid < MAILS; uid += 5)
		range_list_add(&some, uid);
	q.ranges = range_list_end(&some);
	if (r == 0)
		r = entry_copy(t, &q, &from, &to, &modseq, err);
	/* How many there are is no reason not to look. */
	if (r == 0)
		r = db_exec(t->view.db, "UPDATE account SET messages = messages + 1000000",
			DB_NOARGS, err);
	range_list_free(&some);
	range_list_free(&from);
	range_list_free(&to);
	return r;
}

/* From the segment on that it lies in now. */
static struct witness seen(struct store *s, int dir, uint64_t body)
{
	struct slog_position at = { .segment = 0 };
	struct body_place p = { .body = body };
	struct witness w = { .body = body };
	struct err err = ERR_INIT;

	assert_int_equal(look(s, find_body, &p, &err), 0);
	at.segment = p.segment - 1;
	if (slog_follow(dir, &at, s->at.sequence, SIZE_MAX, see, &w, &err) < 0)
		fail_msg("%s", err.msg);
	return w;
}

static void a_moved_body_says_whose_it_is(void **state)
{
	struct store *s = store_with_mail(state);
	const int dir = test_dir(state);
	struct compact_report done;
	struct witness w;
	struct err err;

	post(s, 500, "x@far.example", SIZE);
	for (unsigned i = 0; i < 80; i++)
		post(s, 600 + i, "ann@example.org", SIZE);
	assert_int_equal(change(s, run_archive, NULL, &err), 0);
	expunge(s, 1, 200, 20);
	done = compact_now(s);
	assert_true(done.moved > 0 && done.segments > 0);
	w = seen(s, dir, 141);
	assert_int_equal(w.records, 1);
	assert_int_equal(w.emails, 1);
	assert_int_equal(w.entries, 1);
	assert_int_equal(w.entry.uid, 140); /* the one to elsewhere has none */
	assert_string_equal(w.name, "INBOX");
	assert_non_null(strstr(w.prefix, "Delivered-To: ann@example.org"));
	for (uint32_t n = 0; n < 22; n++) { /* not where their own records say */
		w = seen(s, dir, 10 + 5 * n);
		assert_int_equal(w.entries, 1);
		assert_int_equal(w.entry.uid, n + 1);
		assert_string_equal(w.name, "Kept");
	}
	w = seen(s, dir, MAILS + 1);
	assert_int_equal(w.emails, 0);
	assert_int_equal(w.queued, 1);
	assert_int_equal(w.q.id, 500);
	assert_string_equal(w.rcpts, "x@far.example");
	store_close(&s);
}

struct copies {
	uint64_t from, to;
	uint32_t last;
};

/* Uids up to `last`; without a target into a folder with the longest name. */
static int run_copy(struct txn *t, void *arg, struct err *err)
{
	struct range_list some = RANGE_LIST, from = RANGE_LIST, to = RANGE_LIST;
	struct copies *c = arg;
	struct entry_copy q = { .account = 1, .mailbox = c->from };
	char name[MAILBOX_NAME];
	uint64_t modseq;
	int r = 0;

	memset(name, 'n', sizeof name);
	if (!c->to)
		r = mailbox_create(t, 1, str_make(name, sizeof name), 0, &c->to, err);
	q.target = c->to;
	range_list_add_range(&some, c->to == c->from ? 1 : c->last, c->last);
	q.ranges = range_list_end(&some);
	if (r == 0)
		r = entry_copy(t, &q, &from, &to, &modseq, err);
	range_list_free(&some);
	range_list_free(&from);
	range_list_free(&to);
	return r;
}

/* What is known of them would be larger than a record: the segment is emptied all the same, and of
 * the others that move with it nothing is left out. */
static void a_message_in_very_many_places_moves_and_holds_up_nobody(void **state)
{
	struct store *s = store_with_mail(state);
	struct copies c = { .from = 1, .last = 7 };
	struct compact_report done;
	struct witness w;
	struct err err;

	assert_int_equal(change(s, run_copy, &c, &err), 0);
	c.from = c.to;
	for (c.last = 1; c.last < 70000; c.last *= 2)
		assert_int_equal(change(s, run_copy, &c, &err), 0);
	expunge(s, 1, 100, 7);
	done = compact_now(s);
	assert_true(done.moved > 10 && done.segments > 0);
	assert_int_equal(stuck_segments(s), 0);
	w = seen(s, test_dir(state), 7);
	assert_int_equal(w.records, 1);
	assert_int_equal(w.emails, 1);
	w = seen(s, test_dir(state), 14);
	assert_int_equal(w.entries, 1);
	assert_all_right(s, 34);
	store_close(&s);
}

/* The write-ahead log of the index was never flushed: what has been removed is not missed by what
 * the main file holds. */
static void a_power_cut_right_after_a_removal_misses_nothing(void **state)
{
	const int dir = test_dir(state);
	struct compact_report done;
	struct store *s;
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		s = store_with_mail(state);
		expunge(s, 1, 100, 5);
		done = compact_now(s);
		_exit(done.moved && done.segments && done.blobs ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(unlinkat(dir, "index.db-wal", 0), 0);
	unlinkat(dir, "index.db-shm", 0);
	s = open_small(state);
	assert_all_right(s, 40);
	post(s, MAILS + 1, "ann@example.org", SIZE);
	assert_all_right(s, 41);
	store_close(&s);
}

static void without_its_first_segments_an_empty_index_replays_nothing(void **state)
{
	struct store *s = store_with_mail(state);
	const struct store_options o = { .segment_bytes = SEGMENT };
	struct store_figures f;
	struct compact_report done;
	int dir = test_dir(state);

	expunge(s, 1, 100, 5);
	done = compact_now(s);
	assert_true(done.segments > 0);
	store_close(&s);
	unlinkat(dir, "index.db", 0);
	unlinkat(dir, "index.db-wal", 0);
	unlinkat(dir, "index.db-shm", 0);
	s = open_store_with(dir, &o);
	store_figures(s, &f);
	assert_true(f.read_only);
	store_close(&s);
}

/* trace.db may be older than the log after a power cut. */
static int no_row(struct view *v, void *arg, struct err *err)
{
	(void)v, (void)arg, (void)err;
	return 0;
}

static void a_trace_that_lost_its_place_goes_on(void **state)
{
	struct store *s = store_with_mail(state);
	int dir = test_dir(state);
	struct err err;

	expunge(s, 1, 100, 5);
	assert_true(compact_now(s).segments > 0);
	store_close(&s);
	unlinkat(dir, "trace.db", 0);
	unlinkat(dir, "trace.db-wal", 0);
	unlinkat(dir, "trace.db-shm", 0);
	s = open_small(state);
	post(s, MAILS + 1, "ann@example.org", SIZE);
	assert_int_equal(look(s, no_row, NULL, &err), 0);
	follower_catch_up(s);
	assert_true(follower_needs(s) == s->at.segment);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_lives_in_a_mostly_dead_segment_moves_and_is_the_same),
		TEST(what_is_wholly_dead_goes_without_copying),
		TEST(a_replay_gives_the_same_index),
		TEST(what_a_backup_holds_stays),
		TEST(an_old_moment_keeps_its_files),
		TEST(a_damaged_body_stays_and_the_others_move),
		TEST(what_could_not_be_emptied_is_tried_again_after_an_hour),
		TEST(what_rots_where_a_body_has_been_is_not_marked),
		TEST(a_round_ends_however_many_segments_cannot_be_emptied),
		TEST(a_moved_body_says_whose_it_is),
		TEST(a_message_in_very_many_places_moves_and_holds_up_nobody),
		TEST(a_power_cut_right_after_a_removal_misses_nothing),
		TEST(without_its_first_segments_an_empty_index_replays_nothing),
		TEST(a_trace_that_lost_its_place_goes_on),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
