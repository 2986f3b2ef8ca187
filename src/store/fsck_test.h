/* fsck_test.h - a store with something of everything, and what fsck finds in it. */
#ifndef STORE_FSCK_TEST_H
#define STORE_FSCK_TEST_H

#include "store/fsck.h"
#include "store/io.h"
#include "store/snapshot.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

struct findings {
	char checks[600]; /* " name name ..." */
	struct fsck_result r;
};

static inline void note(void *arg, const struct fsck_finding *f)
{
	struct findings *all = arg;
	size_t n = strlen(all->checks);

	assert_true(f->text[0] != 0);
	if (f->severity != FSCK_NOTE)
		snprintf(all->checks + n, sizeof all->checks - n, " %s", f->check);
	if (getenv("FSCK_TEST_SHOW"))
		print_message("%s%s: %s\n", f->check, f->repaired ? " (repaired)" : "", f->text);
}

static inline struct findings run_fsck(int dir, bool repair, bool rebuild)
{
	struct findings all = { 0 };
	const struct fsck_options o = {
		.repair = repair, .rebuild = rebuild, .found = note, .arg = &all
	};
	struct err err = ERR_INIT;

	if (fsck_run(dir, &o, &all.r, &err) < 0)
		fail_msg("fsck: %s", err.msg);
	return all;
}

static inline void is_clean(int dir)
{
	struct findings all = run_fsck(dir, false, false);

	assert_string_equal(all.checks, "");
	assert_int_equal(all.r.wrong, 0);
}

/* ---- a store with something of everything ---- */

static inline int set_limits(struct txn *t, void *arg, struct err *err)
{
	(void)arg;
	return directory_domain_quota(t, STR("example.org"), 1000, 1 << 24, err) < 0 ||
			directory_account_quota(t, STR("bob@example.org"), 50, 0, err) < 0 ||
			directory_identity_add(
				t, STR("ann@example.org"), STR("a@other.example"), err) < 0
		? -1
		: 0;
}

static inline bool ignore_flag(
	void *arg, uint32_t uid, uint32_t flags, struct str keywords, uint64_t modseq)
{
	(void)arg, (void)uid, (void)flags, (void)keywords, (void)modseq;
	return true;
}

static inline struct str ranges(struct range_list *l, uint32_t first, uint32_t last)
{
	range_list_add_range(l, first, last);
	return range_list_end(l);
}

static inline int copy_some(struct txn *t, const struct entry_copy *q, struct err *err)
{
	struct range_list from = RANGE_LIST, to = RANGE_LIST;
	uint64_t modseq;
	int r = entry_copy(t, q, &from, &to, &modseq, err);

	range_list_free(&from);
	range_list_free(&to);
	return r;
}

static inline int mark_and_expunge(
	struct txn *t, uint64_t mailbox, struct str read, struct str doomed, struct err *err)
{
	const struct entry_flags seen = { .account = 1,
		.mailbox = mailbox,
		.ranges = read,
		.op = ENTRY_ADD,
		.flags = STORE_SEEN,
		.keywords = STR("work") };
	struct range_list gone = RANGE_LIST, failed = RANGE_LIST;
	uint64_t modseq;
	uint32_t next;
	int r = entry_set_flags(t, &seen, ignore_flag, NULL, &failed, &next, &modseq, err);

	if (r == 0)
		r = entry_expunge(t, 1, mailbox, doomed, true, &gone, &modseq, err);
	range_list_free(&gone);
	range_list_free(&failed);
	return r;
}

/* Ann's INBOX: 1 to 3 copied to the archive, 2 moved there, 5 expunged, 1 read. */
static inline int change_mail(struct txn *t, void *arg, struct err *err)
{
	struct range_list l[4] = { RANGE_LIST, RANGE_LIST, RANGE_LIST, RANGE_LIST };
	struct mailbox inbox, archive;
	int r = mailbox_find(&t->view, 1, STR("INBOX"), &inbox, err);

	(void)arg;
	if (r == 0)
		r = mailbox_find(&t->view, 1, STR("Archive"), &archive, err);
	if (r == 0)
		r = copy_some(t,
			&(struct entry_copy){ 1, inbox.id, ranges(&l[0], 1, 3), archive.id, false },
			err);
	if (r == 0)
		r = copy_some(t,
			&(struct entry_copy){ 1, inbox.id, ranges(&l[1], 2, 2), archive.id, true },
			err);
	if (r == 0)
		r = mark_and_expunge(t, inbox.id, ranges(&l[2], 1, 1), ranges(&l[3], 5, 5), err);
	for (int i = 0; i < 4; i++)
		range_list_free(&l[i]);
	return r;
}

static inline void fill(struct store *s)
{
	struct mail_test out = { .id = 50,
		.sender = "ann@example.org",
		.to = "x@far.example y@far.example",
		.body = "out",
		.anywhere = true };
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	add_alias(s, "all@example.org", "ann@example.org bob@example.org");
	if (change(s, set_limits, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	for (uint64_t i = 1; i < 8; i++)
		must_mail(s, i, i % 2 ? "ann@example.org" : "all@example.org", "hello");
	if (mail(s, &out, &err) < 0 || change(s, change_mail, NULL, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void fill_and_close(void **state)
{
	struct store *s = open_store(state);

	fill(s);
	store_close(&s);
}

static inline void sql(int dir, const char *text)
{
	struct err err = ERR_INIT;
	struct db *db = NULL;
	char url[100];

	snprintf(url, sizeof url, "sqlite:/proc/self/fd/%d/index.db", dir);
	if (db_open(&db, url, DB_WRITE, &err) < 0 || db_script(db, str_c(text), &err) < 0)
		fail_msg("%s: %s", text, err.msg);
	db_close(&db);
}

static inline void copy_file(int dir, const char *from, const char *to)
{
	int in = openat(dir, from, O_RDONLY), out;
	struct err err = ERR_INIT;
	uint64_t size;

	unlinkat(dir, to, 0);
	out = openat(dir, to, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(in >= 0 && out >= 0);
	assert_int_equal(io_size(in, from, &size, &err), 0);
	assert_int_equal(io_copy(in, from, out, to, size, &err), 0);
	close(in);
	close(out);
}

static inline void drop_snapshots(int dir)
{
	struct snapshot kept[8];
	struct err err = ERR_INIT;
	int n = snapshot_list(dir, kept, 8, &err);

	for (int i = 0; i < n; i++)
		unlinkat(dir, kept[i].name, 0);
}

static inline void must_snapshot(struct store *s, struct snapshot *made)
{
	struct err err = ERR_INIT;

	if (store_snapshot(s, made, &err) < 0)
		fail_msg("%s", err.msg);
}

static inline void snapshot_and_more(void **state, struct snapshot *made, const char *later)
{
	struct store *s = open_store(state);

	must_snapshot(s, made);
	must_mail(s, (uint64_t)later[0] * 1000, "ann@example.org", later);
	store_close(&s);
}

#endif
