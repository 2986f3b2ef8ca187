/* Backup and restore: everything before the mark comes back, a second backup adds only what is new,
 * what nobody needs goes, and a damaged one is known. */
#include "store/backup.h"
#include "store/io.h"
#include "store/snapshot.h"
#include "store/store_help_test.h"
#include "store/store_private.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int folder(int dir, const char *name)
{
	int fd;

	mkdirat(dir, name, 0700);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static struct store *open_at(int dir)
{
	const struct store_options o = { .segment_bytes = 1 << 20 };

	return open_store_with(dir, &o);
}

static struct backup_result back_up(struct store *s, int data, int to, unsigned keep)
{
	struct backup_mark mark = { 0 };
	struct backup_result r = { 0 };
	struct err err = ERR_INIT;

	store_hold(s);
	if (backup_prepare(s, &mark, &err) < 0 || backup_make(data, to, &mark, keep, &r, &err) < 0)
		fail_msg("%s", err.msg);
	store_unhold(s);
	return r;
}

static void fill(struct store *s, unsigned n)
{
	static char body[200 << 10];
	static uint64_t id = 100;

	memset(body, 'x', sizeof body - 1);
	for (unsigned i = 0; i < n; i++)
		must_mail(s, id++, "ann@example.org", body);
}

static bool has(struct store *s, const char *login, const char *body)
{
	struct box_test b;

	box(s, login, "INBOX", &b);
	return strstr(b.text, body) != NULL;
}

static struct fsck_result verify(int from)
{
	const struct fsck_options o = { 0 };
	struct fsck_result r;
	struct err err = ERR_INIT;

	if (backup_verify(from, 0, &o, &r, &err) < 0)
		fail_msg("%s", err.msg);
	return r;
}

static void restore(int from, uint64_t id, int data)
{
	struct backup_result r;
	struct err err = ERR_INIT;

	if (backup_restore(from, id, data, NULL, &r, &err) < 0)
		fail_msg("%s", err.msg);
}

/* T161, T162: what is answered before the mark is there afterwards; its queue waits, and its
 * folders are new to every client. */
static void what_was_there_comes_back(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other");
	struct store *s = open_at(data);
	struct box_test before, after;
	struct fsck_result r;
	struct err err;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	fill(s, 12);
	must_mail(s, 1, "bob@example.org x@far.example", "answered");
	box(s, "bob@example.org", "INBOX", &before);
	back_up(s, data, to, 2);
	must_mail(s, 2, "bob@example.org", "later");
	store_close(&s);
	r = verify(to);
	assert_int_equal(r.wrong, 0);
	assert_true(r.records > 10 && r.bodies > 10);

	restore(to, 0, other);
	s = open_at(other);
	assert_true(has(s, "bob@example.org", ":answered "));
	assert_false(has(s, "bob@example.org", ":later "));
	box(s, "bob@example.org", "INBOX", &after);
	assert_true(after.m.uidvalidity > before.m.uidvalidity);
	{
		struct queue_figures f;
		int64_t held = 0;

		assert_int_equal(queue_figures(&s->reader_views[0], &f, &err), 0);
		assert_int_equal(f.queued, 1);
		assert_int_equal(db_int(s->reader_views[0].db, &held,
					 "SELECT count(*) FROM queue_rcpt WHERE state <> 5",
					 DB_NOARGS, &err),
			1);
		assert_int_equal(held, 0);
	}
	must_mail(s, 3, "bob@example.org", "goes on");
	store_close(&s);
	s = open_at(other);
	assert_true(has(s, "bob@example.org", ":goes on "));
	store_close(&s);
	close(data), close(to), close(other);
}

static void a_second_one_adds_what_is_new_and_drops_what_is_not_needed(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	struct store *s = open_at(data);
	struct backup_result first, second;
	struct backup_row rows[8];
	struct err err = ERR_INIT;

	add_account(s, "ann@example.org");
	fill(s, 30);
	first = back_up(s, data, to, 2);
	assert_int_equal(first.copied, first.files);
	second = back_up(s, data, to, 2);
	assert_true(second.copied == 2 && second.files == first.files); /* index and tail */
	fill(s, 10);
	second = back_up(s, data, to, 2);
	assert_true(second.copied < second.files && second.files > first.files);
	assert_int_equal(backup_list(to, rows, 8, &err), 2);
	assert_int_equal(rows[0].id, second.id);
	/* A segment that is gone from the store goes when the last backup with it goes. */
	assert_int_equal(unlinkat(data, "log/0000000001.seg", 0), 0);
	assert_int_equal(back_up(s, data, to, 2).removed, 3);
	assert_int_equal(back_up(s, data, to, 2).removed, 3 + 1);
	store_close(&s);
	close(data), close(to);
}

/* Who knows what it names: maybe the disk answers again. */
static void of_one_whose_list_cannot_be_read_nothing_goes(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other");
	struct store *s = open_at(data);
	char name[80];
	uint64_t id;

	add_account(s, "ann@example.org");
	fill(s, 30);
	id = back_up(s, data, to, 5).id;
	snprintf(name, sizeof name, "%020llu/manifest", (unsigned long long)id);
	assert_int_equal(renameat(to, name, to, "aside"), 0);
	assert_int_equal(mkdirat(to, name, 0700), 0);
	assert_int_equal(unlinkat(data, "log/0000000001.seg", 0), 0);
	back_up(s, data, to, 5);
	store_close(&s);
	assert_int_equal(unlinkat(to, name, AT_REMOVEDIR), 0);
	assert_int_equal(renameat(to, "aside", to, name), 0);
	restore(to, id, other);
	close(data), close(to), close(other);
}

static int not_held(void *arg, struct err *err)
{
	(void)arg;
	return err_set(err, ERR_CLOSED, "gone");
}

static void what_may_lack_something_is_no_backup(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	struct store *s = open_at(data);
	struct backup_mark mark = { 0 };
	struct backup_result r;
	struct backup_row row;
	struct err err = ERR_INIT;

	add_account(s, "ann@example.org");
	store_hold(s);
	assert_int_equal(backup_prepare(s, &mark, &err), 0);
	mark.held = not_held;
	assert_int_equal(backup_make(data, to, &mark, 2, &r, &err), -1);
	assert_int_equal(backup_list(to, &row, 1, &err), 0);
	store_unhold(s);
	store_close(&s);
	close(data), close(to);
}

/* Root makes it, and the names in the data directory are those of a role that may be an attacker's.
 */
static void nobody_at_the_other_end_of_a_pipe_is_waited_for(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	struct store *s = open_at(data);

	add_account(s, "ann@example.org");
	close(folder(data, "blob/00"));
	assert_int_equal(mkfifoat(data, "blob/00/pipe", 0600), 0);
	back_up(s, data, to, 2);
	store_close(&s);
	close(data), close(to);
}

/* Two stores that have gone on from one backup do not get into each other's way. */
static void a_store_that_was_brought_back_backs_up_into_the_same_folder(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other"), third = folder(test_dir(state), "third");
	struct store *s = open_at(data);
	uint64_t old;

	add_account(s, "ann@example.org");
	add_account(s, "bob@example.org");
	fill(s, 3);
	back_up(s, data, to, 5);
	fill(s, 10);
	must_mail(s, 1, "bob@example.org", "in the first");
	old = back_up(s, data, to, 5).id;
	store_close(&s);
	restore(to, old - 1, other);
	s = open_at(other);
	fill(s, 10);
	must_mail(s, 2, "bob@example.org", "in the second");
	back_up(s, other, to, 5);
	store_close(&s);
	assert_int_equal(verify(to).wrong, 0);
	restore(to, 0, third);
	s = open_at(third);
	assert_true(has(s, "bob@example.org", ":in the second "));
	assert_false(has(s, "bob@example.org", ":in the first "));
	store_close(&s);
	close(data), close(to), close(other), close(third);
}

static void flip(int dir, const char *name, off_t at)
{
	char c = 0;
	int fd = openat(dir, name, O_RDWR);

	assert_true(fd >= 0 && pread(fd, &c, 1, at) == 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
}

static void name_of_first(int to, char name[80])
{
	struct err err = ERR_INIT;
	DIR *d = io_list(to, "log", &err);

	for (const struct dirent *e; (e = readdir(d));)
		if (strncmp(e->d_name, "0000000001-", 11) == 0)
			snprintf(name, 80, "log/%.60s", e->d_name);
	closedir(d);
}

/* T122: what has rotted in the folder is whole again after the next backup, for older ones, too. */
static void what_was_found_rotten_is_copied_anew(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other");
	struct store *s = open_at(data);
	const struct fsck_options o = { 0 };
	struct backup_result again;
	struct fsck_result r;
	struct err err = ERR_INIT;
	char name[80] = "log/";
	uint64_t first;

	add_account(s, "ann@example.org");
	fill(s, 30);
	first = back_up(s, data, to, 5).id;
	name_of_first(to, name);
	flip(to, name, 5000);
	assert_int_equal(back_up(s, data, to, 5).copied, 2); /* nobody knows yet */
	assert_true(verify(to).wrong > 0);
	again = back_up(s, data, to, 5);
	assert_int_equal(again.copied, 3);
	assert_int_equal(verify(to).wrong, 0);
	assert_int_equal(backup_verify(to, first, &o, &r, &err), 0);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(back_up(s, data, to, 5).copied, 2);
	{ /* and one that has become shorter is seen at once */
		int fd = openat(to, name, O_RDWR);

		assert_int_equal(ftruncate(fd, 7000), 0);
		close(fd);
	}
	assert_int_equal(back_up(s, data, to, 5).copied, 3);
	store_close(&s);
	restore(to, 0, other);
	close(data), close(to), close(other);
}

static void mark(int to, const char *name)
{
	char path[100];
	int fd;

	snprintf(path, sizeof path, "%s.rotten", name);
	fd = openat(to, path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
}

/* T122: a file that was marked takes nothing from a store whose own has rotted meanwhile, and is
 * copied as soon as the store's is right again. */
static void a_rotten_store_takes_no_good_copy_away(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	struct store *s = open_at(data);
	const struct fsck_options o = { 0 };
	struct backup_result again;
	struct fsck_result r;
	struct err err = ERR_INIT;
	char name[80] = "";
	uint64_t first;

	add_account(s, "ann@example.org");
	fill(s, 30);
	first = back_up(s, data, to, 5).id;
	name_of_first(to, name);
	flip(data, "log/0000000001.seg", 300000);
	mark(to, name);
	again = back_up(s, data, to, 5);
	assert_int_equal(again.differ, 1);
	assert_string_equal(again.first, "log/0000000001.seg");
	assert_int_equal(backup_verify(to, first, &o, &r, &err), 0);
	assert_int_equal(r.wrong, 0);
	assert_int_equal(verify(to).wrong, 0);
	/* both, each in another place; then the store's is brought back */
	flip(to, name, 5000);
	assert_true(verify(to).wrong > 0);
	assert_int_equal(back_up(s, data, to, 5).differ, 1);
	flip(data, "log/0000000001.seg", 300000);
	again = back_up(s, data, to, 5);
	assert_true(again.differ == 0 && again.copied == 3);
	assert_int_equal(backup_verify(to, first, &o, &r, &err), 0);
	assert_int_equal(r.wrong, 0);
	store_close(&s);
	close(data), close(to);
}

static void a_damaged_one_is_known(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other");
	struct store *s = open_at(data);
	struct backup_result r;
	struct err err = ERR_INIT;
	char name[80];
	uint64_t id;

	add_account(s, "ann@example.org");
	fill(s, 4);
	id = back_up(s, data, to, 2).id;
	store_close(&s);
	assert_int_equal(
		backup_make(data, test_dir(state), &(struct backup_mark){ 0 }, 1, &r, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS); /* a folder with other things in it */
	snprintf(name, sizeof name, "%020llu/tail.seg", (unsigned long long)id);
	flip(to, name, 5000);
	assert_true(verify(to).wrong > 0);
	assert_int_equal(backup_restore(to, 0, other, NULL, &r, &err), -1);
	flip(to, name, 5000);
	assert_int_equal(verify(to).wrong, 0);
	snprintf(name, sizeof name, "%020llu/manifest", (unsigned long long)id);
	flip(to, name, 40);
	assert_int_equal(backup_restore(to, 0, other, NULL, &r, &err), -1);
	assert_int_equal(err.kind, ERR_PROTO);
	close(data), close(to), close(other);
}

static int calls, failing;
static int fail_nth(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	(void)arg, (void)op, (void)name, (void)to, (void)offset, (void)data;
	return ++calls == failing ? EIO : 0;
}

/* Whatever step fails, a store that is half there does not open, and the same command ends well. */
static void brought_back_again_after_any_failed_step(void **state)
{
	int data = folder(test_dir(state), "data"), to = folder(test_dir(state), "backup");
	int other = folder(test_dir(state), "other");
	const struct store_options o = { .segment_bytes = 1 << 20 };
	struct backup_result r;
	struct store *s = open_at(data);
	struct err err;
	int done = -1;

	add_account(s, "ann@example.org");
	must_mail(s, 5, "ann@example.org", "hello");
	back_up(s, data, to, 2);
	store_close(&s);
	for (failing = 1; done < 0; failing += failing < 40 ? 1 : 20) {
		err = ERR_INIT;
		calls = 0;
		io_watch(fail_nth, NULL);
		done = backup_restore(to, 0, other, NULL, &r, &err);
		io_watch(NULL, NULL);
		if (done < 0 && faccessat(other, "log", F_OK, 0) == 0) {
			assert_int_equal(store_open(other, &o, &s, &err), -1);
			assert_non_null(strstr(err.msg, "restore"));
		}
	}
	assert_true(failing > 20);
	s = open_at(other);
	assert_true(has(s, "ann@example.org", ":hello "));
	store_close(&s);
	assert_int_equal(backup_restore(to, 0, other, NULL, &r, &err), -1);
	assert_int_equal(err.kind, ERR_EXISTS); /* it is in use */
	close(data), close(to), close(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_was_there_comes_back),
		TEST(a_second_one_adds_what_is_new_and_drops_what_is_not_needed),
		TEST(of_one_whose_list_cannot_be_read_nothing_goes),
		TEST(what_may_lack_something_is_no_backup),
		TEST(nobody_at_the_other_end_of_a_pipe_is_waited_for),
		TEST(a_store_that_was_brought_back_backs_up_into_the_same_folder),
		TEST(what_was_found_rotten_is_copied_anew),
		TEST(a_rotten_store_takes_no_good_copy_away),
		TEST(a_damaged_one_is_known),
		TEST(brought_back_again_after_any_failed_step),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
