/* Bodies come back as they came, or not at all. */
#include "store/body.h"
#include "store/compact.h"
#include "store/store_help_test.h"

#include <sys/stat.h>

enum { SMALL = 80, LARGE = 20, GOOD = 10, ALL = SMALL + LARGE + GOOD, LARGE_SIZE = 600 << 10 };

static uint64_t seed = 4711;

static size_t draw(size_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (size_t)(seed >> 33) % below;
}

static bool is_large(unsigned number)
{
	return number >= SMALL && number < SMALL + LARGE;
}

static size_t size_of(unsigned number)
{
	return is_large(number) ? LARGE_SIZE - number : 100 + number * 2900;
}

static char byte_of(unsigned number, size_t at)
{
	return (char)(at * 31 + at / 977 + number);
}

struct letter {
	unsigned number;
	struct blob_writer blob;
};

static int deliver(struct txn *t, void *arg, struct err *err)
{
	struct letter *l = arg;
	const struct delivery_rcpt rcpt = { .address = STR("ann@example.org") };
	const struct delivery d = { .id = l->number + 1,
		.any_sender = true,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.body = { .size = size_of(l->number),
			.blob = str_c(l->blob.name),
			.checksum = l->blob.checksum } };
	uint32_t x, y;

	return delivery_accept(t, &d, &x, &y, err);
}

static void put_blob(struct store *s, struct letter *l, struct str bytes)
{
	struct err err;

	assert_int_equal(blob_begin(s, &l->blob, &err), 0);
	for (; bytes.n; bytes = str_from(bytes, 70000))
		assert_int_equal(blob_add(&l->blob, str_head(bytes, 70000), &err), 0);
	assert_int_equal(blob_commit(&l->blob, &err), 0);
}

static void send(struct store *s, unsigned number)
{
	struct letter l = { .number = number, .blob = { .fd = -1 } };
	static char bytes[LARGE_SIZE];
	struct err err;

	for (size_t i = 0; i < size_of(number); i++)
		bytes[i] = byte_of(number, i);
	if (is_large(number))
		put_blob(s, &l, str_make(bytes, size_of(number)));
	if (change_with_body(s, deliver, &l,
		    is_large(number) ? STR("") : str_make(bytes, size_of(number)), &err) < 0)
		fail_msg("%s", err.msg);
	blob_end(&l.blob);
}

static struct store *store_with_mail(void **state)
{
	struct store *s = open_store(state);

	add_account(s, "ann@example.org");
	for (unsigned i = 0; i < ALL; i++)
		send(s, i);
	return s;
}

/* Body ids are given out in order, from 1. */
static int where_is(struct view *v, void *arg, struct err *err)
{
	struct body_place *p = arg;

	return body_find(v, p->place, p, err);
}

static struct body_place place_of(struct store *s, unsigned number)
{
	struct body_place p = { .place = number + 1 };
	struct err err;

	if (look(s, where_is, &p, &err) < 0)
		fail_msg("%s", err.msg);
	return p;
}

static int open_file(int dir, const struct body_place *p)
{
	char path[80];
	int fd;

	if (p->blob[0])
		snprintf(path, sizeof path, "blob/%.2s/%s", p->blob, p->blob + 2);
	else
		snprintf(path, sizeof path, "log/%010llu.seg", (unsigned long long)p->segment);
	fd = openat(dir, path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static void flip(int fd, uint64_t at)
{
	char c;

	assert_int_equal(pread(fd, &c, 1, (off_t)at), 1);
	c = (char)(c ^ 1 << draw(8));
	assert_int_equal(pwrite(fd, &c, 1, (off_t)at), 1);
}

static void flip_in_body(struct store *s, int dir, unsigned number)
{
	struct body_place p = place_of(s, number);
	int fd = open_file(dir, &p);

	flip(fd, (p.blob[0] ? 0 : p.place) + draw((size_t)p.size));
	close(fd);
}

struct reading {
	unsigned number;
	uint64_t offset;
	uint32_t length;
	size_t prefix;
};

/* What comes is right, all of it. */
static int read_some(struct view *v, void *arg, struct err *err)
{
	struct reading *q = arg;
	struct buf out = BUF(1 << 20);
	uint64_t size;
	int r = entry_read(
		v, 1, 1, q->number + 1, q->prefix + q->offset, q->length, &out, &size, err);

	for (size_t i = 0; r == 0 && i < out.n; i++)
		assert_int_equal(out.p[i], byte_of(q->number, q->offset + i));
	if (r == 0) {
		assert_int_equal(size, q->prefix + size_of(q->number));
		assert_int_equal(out.n,
			q->offset + q->length > size_of(q->number) ? size_of(q->number) - q->offset
								   : q->length);
	}
	buf_free(&out);
	return r;
}

static size_t prefix_of(void)
{
	return strlen("Return-Path: <>\r\nDelivered-To: ann@example.org\r\n");
}

static int try_read(
	struct store *s, unsigned number, uint64_t offset, uint32_t length, struct err *err)
{
	struct reading q = { number, offset, length, prefix_of() };

	return look(s, read_some, &q, err);
}

/* T122 */
static void of_a_hundred_rotten_messages_a_hundred_are_reported_and_none_is_served(void **state)
{
	struct store *s = store_with_mail(state);
	struct err err;

	for (unsigned i = 0; i < SMALL + LARGE; i++)
		flip_in_body(s, test_dir(state), i);
	for (int i = 0; i < 500; i++) {
		unsigned n = (unsigned)draw(SMALL + LARGE);

		/* Pieces of a large one that are right are right. */
		if (try_read(s, n, draw(size_of(n)), 1 + (uint32_t)draw(5000), &err) == 0)
			assert_true(is_large(n));
		else
			assert_int_equal(err.kind, ERR_DAMAGED);
	}
	for (unsigned i = 0; i < SMALL + LARGE; i++) {
		assert_int_equal(try_read(s, i, 0, 1 << 20, &err), -1);
		assert_int_equal(err.kind, ERR_DAMAGED);
	}
	assert_int_equal(damaged_bodies(s), SMALL + LARGE);
	for (unsigned i = SMALL + LARGE; i < ALL; i++)
		assert_int_equal(try_read(s, i, 0, 1 << 20, &err), 0);
	store_close(&s);
	s = open_store(state);
	assert_int_equal(damaged_bodies(s), SMALL + LARGE);
	/* Known by now, whatever part is asked for. */
	for (unsigned i = 0; i < SMALL + LARGE; i++)
		for (uint64_t at = 0; at < size_of(i); at += 100000)
			assert_int_equal(try_read(s, i, at, 1, &err), -1);
	store_close(&s);
}

static void every_byte_can_be_read_in_any_piece(void **state)
{
	struct store *s = store_with_mail(state);
	struct err err;

	for (int i = 0; i < 2000; i++) {
		unsigned n = (unsigned)draw(ALL);
		uint64_t at = draw(size_of(n));

		if (try_read(s, n, at, 1 + (uint32_t)draw(300000), &err) < 0)
			fail_msg("%u at %llu: %s", n, (unsigned long long)at, err.msg);
	}
	assert_int_equal(damaged_bodies(s), 0);
	store_close(&s);
}

/* As earlier versions wrote them, and where the table itself has rotted. */
static void a_blob_without_its_table_is_checked_all_the_same(void **state)
{
	struct store *s = open_store(state);
	const int dir = test_dir(state);
	struct err err;

	add_account(s, "ann@example.org");
	for (unsigned i = 0; i < SMALL + 2; i++)
		send(s, i);
	for (unsigned i = SMALL; i < SMALL + 2; i++) {
		struct body_place p = place_of(s, i);
		int fd = open_file(dir, &p);

		if (i == SMALL)
			assert_int_equal(ftruncate(fd, (off_t)p.size), 0);
		else
			flip(fd, p.size + draw(3 * 4 + 32));
		assert_int_equal(try_read(s, i, 300000, 61440, &err), 0);
		flip(fd, 560000); /* in the piece that is read next */
		assert_int_equal(try_read(s, i, 550000, 1, &err), -1);
		assert_int_equal(err.kind, ERR_DAMAGED);
		close(fd);
	}
	assert_int_equal(damaged_bodies(s), 2);
	store_close(&s);
}

/* T122, T166: what nobody asks for is looked at all the same, and all the rest is right. */
static void what_nobody_reads_is_looked_at_too(void **state)
{
	int dir = test_dir(state);
	struct store *s = store_with_mail(state);
	struct err err = ERR_INIT;

	assert_int_equal(store_scrub(s, &err), 0);
	assert_int_equal(damaged_bodies(s), 0);
	flip_in_body(s, dir, 0);
	flip_in_body(s, dir, ALL - 1);
	for (unsigned i = 0; i < ALL; i++)
		if (is_large(i)) {
			flip_in_body(s, dir, i);
			break;
		}
	assert_int_equal(store_scrub(s, &err), 0);
	assert_int_equal(damaged_bodies(s), 3);
	assert_int_equal(store_scrub(s, &err), 0); /* each is told once */
	assert_int_equal(damaged_bodies(s), 3);
	store_close(&s);
}

/* A file that is missing, or a sector that cannot be read, is no proof of damage: it is told, ends
 * nothing, and is forgotten when all could be read. */
static void what_cannot_be_read_is_told_and_the_rest_is_looked_at(void **state)
{
	int dir = test_dir(state);
	struct store *s = store_with_mail(state);
	struct body_place gone = place_of(s, SMALL);
	struct err err = ERR_INIT;
	struct store_figures f;
	char name[80];

	snprintf(name, sizeof name, "blob/%.2s/%s", gone.blob, gone.blob + 2);
	assert_int_equal(renameat(dir, name, dir, "elsewhere"), 0);
	flip_in_body(s, dir, ALL - 1); /* behind it */
	assert_int_equal(store_scrub(s, &err), 0);
	store_figures(s, &f);
	assert_int_equal(f.unread, 1);
	assert_int_equal(damaged_bodies(s), 1);
	assert_int_equal(renameat(dir, "elsewhere", dir, name), 0);
	assert_int_equal(store_scrub(s, &err), 0);
	store_figures(s, &f);
	assert_int_equal(f.unread, 0);
	assert_int_equal(damaged_bodies(s), 1);
	store_close(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(of_a_hundred_rotten_messages_a_hundred_are_reported_and_none_is_served),
		TEST(every_byte_can_be_read_in_any_piece),
		TEST(a_blob_without_its_table_is_checked_all_the_same),
		TEST(what_nobody_reads_is_looked_at_too),
		TEST(what_cannot_be_read_is_told_and_the_rest_is_looked_at),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
