/* bench-store - what the store costs, without network and without fronts. bench/store runs it.
 *
 * usage: bench-store DIR WHAT [NAME=NUMBER ...]     DIR is an empty folder, or one of an earlier
 * run
 *
 *   deliver messages= batch= size= accounts=   into mailboxes; the writer's CPU for each
 *   raw messages= batch= size=                 the same bytes into the log alone
 *   one messages= size=                        one at a time, beside a bare append and flush
 *   read messages= size=                       bodies and messages, beside a bare pread
 *     deliver and read also with mail=FOLDER (files 0 to 63, each a message) and compress=1
 *   big messages= rounds=                      into one account that holds so many, and into empty
 *                                              ones
 *   queue messages= domains=                   for elsewhere; then a restart, leases and results
 *   purge messages=                            expunge them all at once; then remove the account
 *   folder messages=                           list all of one
 *   slow messages= stay_ms=                    deliver while somebody reads moments so long
 *
 * BENCH_DATABASE=postgres://... in the environment: deliver into a store there.
 */
#include "bench/store_bench.h"
#include "base/clock.h"
#include "base/crc32c.h"
#include "mail/facts.h"
#include "store/body.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/squeeze.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BATCH_MAX = 512, SIZE_MAX_LOG = 200000 };

struct one {
	struct store_job job; /* first */
	struct bench *b;
	uint64_t id;
};

/* Messages of a few shapes, with the facts that a front finds in them. */
static struct shape {
	struct buf text, facts;
	struct buf squeezed; /* empty: it is stored as it is */
	uint32_t checksum;
} shapes[BENCH_SHAPES];

static const char *letters; /* a folder whose files are messages, instead of those made up here */
static bool compress;

void bench_die(const struct err *err)
{
	fprintf(stderr, "bench-store: %s\n", err->msg);
	exit(1);
}

int64_t bench_cpu_of(pthread_t thread)
{
	struct timespec t = { 0 };
	clockid_t clock;

	if (pthread_getcpuclockid(thread, &clock) == 0)
		clock_gettime(clock, &t);
	return t.tv_sec * CLOCK_SEC + t.tv_nsec;
}

double bench_argument(int argc, char **argv, const char *name, double standard)
{
	size_t n = strlen(name);

	for (int i = 0; i < argc; i++)
		if (strncmp(argv[i], name, n) == 0 && argv[i][n] == '=')
			return strtod(argv[i] + n + 1, NULL);
	return standard;
}

/* ---- messages ---- */

static const char words[] = "the quick brown fox of the board of directors has been asked whether "
			    "next quarter's figures, as they stand, should be sent around before "
			    "Thursday or rather with the minutes of the meeting in Basel. ";

static void fill(struct buf *out, size_t until, bool lines)
{
	while (out->n < until) {
		buf_addz(out, words);
		if (lines)
			buf_addz(out, "\r\n");
	}
}

static void add_part(struct buf *out, unsigned i, const char *type, const char *more, size_t until)
{
	buf_addf(out,
		"--=_%08x_part\r\nContent-Type: %s; charset=\"utf-8\"%s\r\n"
		"Content-Transfer-Encoding: quoted-printable\r\n\r\n",
		i * 2654435761u, type, more);
	fill(out, until, true);
}

/* One in three is plain text, the others have two or three parts. */
static void make_text(struct buf *out, unsigned i, size_t size)
{
	buf_addf(out,
		"Date: Mon, 23 Nov 2026 %02u:%02u:07 +0100\r\nFrom: \"Somebody %u (Sales)\" "
		"<somebody.%u@department.example.net>\r\nTo: \"A. Reader\" <user%u@example.org>, "
		"<second.reader@example.org>\r\nCc: team%u@lists.example.net\r\n"
		"Message-ID: <%08x.%08x.somebody@mail-%u.department.example.net>\r\n",
		i % 24, i % 60, i, i, i, i % 7, i * 40503u, i * 2654435761u, i % 5);
	if (i % 2)
		buf_addf(out, "In-Reply-To: <%08x.another@mail.example.org>\r\n", i * 69069u);
	buf_addf(out, "Subject: Re: figures of the %uth quarter and the minutes of Basel\r\n", i);
	buf_addz(out, "MIME-Version: 1.0\r\n");
	if (i % 3 == 0) {
		buf_addz(out, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		fill(out, size, true);
		return;
	}
	buf_addf(out, "Content-Type: multipart/%s; boundary=\"=_%08x_part\"\r\n\r\n",
		i % 3 == 1 ? "alternative" : "mixed", i * 2654435761u);
	add_part(out, i, "text/plain", "", size / 3);
	add_part(out, i, "text/html", "", i % 3 == 1 ? size : size / 2);
	if (i % 3 == 2)
		add_part(out, i, "application/pdf",
			"; name=\"minutes.pdf\"\r\nContent-Disposition: attachment; "
			"filename=\"minutes.pdf\"",
			size);
	buf_addf(out, "--=_%08x_part--\r\n", i * 2654435761u);
}

/* The files are named 0, 1, 2, ... */
static void read_text(struct buf *out, unsigned i)
{
	char name[300], *room = buf_room(out, SIZE_MAX_LOG);
	FILE *f;

	snprintf(name, sizeof name, "%s/%u", letters, i);
	f = fopen(name, "r");
	if (!f) {
		perror(name);
		exit(1);
	}
	buf_grew(out, fread(room, 1, SIZE_MAX_LOG, f));
	fclose(f);
}

/* As the role does it, on another thread than the writer's. */
static void squeeze_shapes(void)
{
	const int64_t cpu = bench_cpu_of(pthread_self());
	size_t plain = 0, stored = 0;

	for (unsigned i = 0; i < BENCH_SHAPES; i++) {
		struct shape *s = &shapes[i];

		s->checksum = crc32c(0, s->text.p, s->text.n);
		(void)squeeze(buf_str(&s->text), &s->squeezed);
		plain += s->text.n;
		stored += s->squeezed.n ? s->squeezed.n : s->text.n;
	}
	printf("squeeze_us %.2f\nplain %.0f\nstored %.0f\n",
		(double)(bench_cpu_of(pthread_self()) - cpu) / 1e3 / BENCH_SHAPES,
		(double)plain / BENCH_SHAPES, (double)stored / BENCH_SHAPES);
}

static void make_shapes(size_t size)
{
	struct err err = ERR_INIT;

	for (unsigned i = 0; i < BENCH_SHAPES; i++) {
		struct shape *s = &shapes[i];

		buf_free(&s->text);
		buf_free(&s->facts);
		buf_free(&s->squeezed);
		s->text = BUF(SIZE_MAX_LOG);
		s->facts = BUF(FACTS_MAX);
		s->squeezed = BUF(SIZE_MAX_LOG);
		if (letters)
			read_text(&s->text, i);
		else
			make_text(&s->text, i, size);
		buf_cut(&s->text, !letters && size < s->text.n && size > 2000 ? size : s->text.n);
		if (facts_of(buf_str(&s->text), &s->facts, NULL, &err) < 0)
			bench_die(&err);
	}
}

static uint64_t key_of(uint64_t id)
{
	id *= UINT64_C(0x9e3779b97f4a7c15);
	id ^= id >> 29;
	return id * UINT64_C(0xbf58476d1ce4e5b9);
}

/* Half of the mail answers an earlier message. */
static struct str make_refs(uint64_t id, uint64_t refs[3])
{
	refs[0] = key_of(id);
	refs[1] = key_of(id - id % 97 / 2 - 1);
	refs[2] = key_of(id / 8 * 8);
	return str_make(refs, id % 2 ? 8 : 24);
}

static int deliver(struct txn *t, struct store_job *job, struct err *err)
{
	const struct one *o = (const struct one *)job;
	const struct shape *s = &shapes[o->id % BENCH_SHAPES];
	char to[64] = "user@example.org";
	const struct delivery_rcpt rcpt = {
		.target = o->b->domains ? 0 : o->b->target[o->id % BENCH_TARGETS],
		.address = str_make(to,
			o->b->domains
				? (size_t)snprintf(to, sizeof to,
					  "user@host%" PRIu64 ".example.com", o->id % o->b->domains)
				: 16),
	};
	uint64_t refs[3];
	const struct delivery d = { .id = o->id,
		.any_sender = true,
		.anywhere = o->b->domains != 0,
		.sender = STR("somebody.12@department.example.net"),
		.prefix = STR("Received: from mail-3.department.example.net "
			      "(mail-3.department.example.net [192.0.2.1])\r\n"
			      "\t(using TLSv1.3 with cipher TLS_AES_256_GCM_SHA384)\r\n"
			      "\tby mail.example.org with ESMTPS id 0123456789abc;\r\n"
			      "\tMon, 23 Nov 2026 00:00:00 +0000\r\n"),
		.how = STR("mail-3.department.example.net[192.0.2.1] ESMTPS TLSv1.3, smtp"),
		.body = { .size = s->text.n,
			.stored = s->squeezed.n,
			.checksum = s->checksum,
			.facts = buf_str(&s->facts),
			.refs = make_refs(o->id, refs) },
		.rcpts = &rcpt,
		.rcpt_count = 1 };
	uint32_t local, queued;

	if (delivery_accept(t, &d, &local, &queued, err) < 0)
		return -1;
	buf_addf(&job->answer, "%08u", local);
	return 0;
}

/* ---- the store ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t some = PTHREAD_COND_INITIALIZER;
static bool ready;

static void woken(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	ready = true;
	pthread_cond_signal(&some);
	pthread_mutex_unlock(&lock);
}

static struct store_job *wait_finished(struct store *s)
{
	pthread_mutex_lock(&lock);
	while (!ready)
		pthread_cond_wait(&some, &lock);
	ready = false;
	pthread_mutex_unlock(&lock);
	return store_finished(s);
}

void bench_open(struct bench *b, const char *path)
{
	const struct store_options o = { .woken = woken, .url = getenv("BENCH_DATABASE") };
	struct err err = ERR_INIT;

	snprintf(b->path, sizeof b->path, "%s", path);
	b->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir < 0)
		err_sys(&err, "open", path);
	if (b->dir < 0 || store_open(b->dir, &o, &b->s, &err) < 0)
		bench_die(&err);
}

void bench_close(struct bench *b)
{
	store_close(&b->s);
	close(b->dir);
}

struct timed {
	struct store_job job; /* first */
	int (*run)(struct txn *t, struct store_job *job, struct err *err);
	int64_t cpu;
};

static int run_timed(struct txn *t, struct store_job *job, struct err *err)
{
	struct timed *j = (struct timed *)job;
	int64_t before = bench_cpu_of(pthread_self());
	int r = j->run(t, job, err);

	j->cpu = bench_cpu_of(pthread_self()) - before;
	return r;
}

int64_t bench_job(
	struct bench *b, int (*run)(struct txn *t, struct store_job *job, struct err *err))
{
	struct timed j = { .job = { .write = run_timed }, .run = run };

	store_submit(b->s, &j.job);
	while (!wait_finished(b->s))
		;
	if (j.job.result < 0)
		bench_die(&j.job.err);
	store_job_free(&j.job);
	return j.cpu;
}

static struct {
	struct bench *b;
	const char *prefix;
	unsigned n;
} wanted;

static int add_accounts(struct txn *t, struct store_job *job, struct err *err)
{
	struct directory_rcpt found;
	uint64_t account;
	char login[64];

	(void)job;
	for (unsigned i = 0; i < wanted.n; i++) {
		snprintf(login, sizeof login, "%s%u@example.org", wanted.prefix, i);
		if (directory_account_add(t, str_c(login), STR("User"), &account, err) < 0 ||
			directory_rcpt(&t->view, str_c(login), false, 0, &found, err) < 0)
			return -1;
		for (unsigned k = i; k < BENCH_TARGETS; k += wanted.n)
			wanted.b->target[k] = found.target;
	}
	return 0;
}

void bench_accounts(struct bench *b, const char *prefix, unsigned n)
{
	wanted.b = b;
	wanted.prefix = prefix;
	wanted.n = n;
	bench_job(b, add_accounts);
}

static void submit(struct bench *b, struct one *o)
{
	const struct shape *s = &shapes[++b->id % BENCH_SHAPES];

	o->b = b;
	o->id = o->job.call = b->id;
	o->job.write = deliver;
	o->job.lazy = true; /* as the store role does */
	o->job.body = buf_str(s->squeezed.n ? &s->squeezed : &s->text);
	o->job.answer.max = 64;
	store_submit(b->s, &o->job);
}

void bench_deliver(struct bench *b, uint64_t messages, unsigned batch, size_t size)
{
	static struct one all[BATCH_MAX];
	static size_t shaped;
	uint64_t sent = 0, done = 0;

	if (shaped != size)
		make_shapes(size);
	if (shaped != size && compress)
		squeeze_shapes();
	shaped = size;
	for (; sent < batch && sent < messages; sent++)
		submit(b, &all[sent]);
	while (done < messages)
		for (struct store_job *j = wait_finished(b->s), *next; j; j = next) {
			next = j->next;
			if (j->result < 0)
				bench_die(&j->err);
			done++;
			if (sent < messages)
				submit(b, (struct one *)j), sent++;
		}
}

/* ---- what is measured ---- */

static void do_deliver(struct bench *b, int argc, char **argv)
{
	uint64_t messages = (uint64_t)bench_argument(argc, argv, "messages", 50000);
	unsigned accounts = (unsigned)bench_argument(argc, argv, "accounts", 100);
	struct store_figures f;
	int64_t wall, cpu;

	bench_accounts(b, "user", accounts);
	bench_deliver(b, 1000, 32, (size_t)bench_argument(argc, argv, "size", 10240));
	wall = clock_mono();
	cpu = bench_cpu_of(b->s->writer);
	bench_deliver(b, messages, (unsigned)bench_argument(argc, argv, "batch", 32),
		(size_t)bench_argument(argc, argv, "size", 10240));
	cpu = bench_cpu_of(b->s->writer) - cpu;
	wall = clock_mono() - wall;
	store_figures(b->s, &f);
	printf("rate %.0f\nwriter_us %.2f\nflush %.1f\n", (double)messages * 1e9 / (double)wall,
		(double)cpu / 1e3 / (double)messages, (double)f.commits / (double)f.batches);
}

static int no_replay(void *arg, const struct slog_record *r, struct err *err)
{
	(void)arg, (void)r, (void)err;
	return 0;
}

static void do_raw(const char *path, int argc, char **argv)
{
	uint64_t messages = (uint64_t)bench_argument(argc, argv, "messages", 50000);
	unsigned batch = (unsigned)bench_argument(argc, argv, "batch", 32), n;
	const struct slog_position from = { 0 };
	struct slog_position after;
	struct err err = ERR_INIT;
	struct slog *l;
	int64_t cpu;
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	make_shapes((size_t)bench_argument(argc, argv, "size", 10240));
	if (slog_open(&l, dir, &(struct slog_options){ 0 }, &from, no_replay, NULL, &err) < 0)
		bench_die(&err);
	cpu = bench_cpu_of(pthread_self());
	for (uint64_t i = 0; i < messages; i += n) {
		if (slog_batch_begin(l, 12000, &err) < 0)
			bench_die(&err);
		for (n = 0; n < batch && slog_batch_fits(l, 12000); n++)
			if (slog_batch_add(l, 0, buf_str(&shapes[n % BENCH_SHAPES].text),
				    buf_str(&shapes[n % BENCH_SHAPES].facts), &err) < 0)
				bench_die(&err);
		if (slog_batch_commit(l, &after, &err) < 0)
			bench_die(&err);
	}
	printf("raw_us %.2f\n",
		(double)(bench_cpu_of(pthread_self()) - cpu) / 1e3 / (double)messages);
	slog_close(&l);
	close(dir);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static double median_us(int64_t *v, size_t n)
{
	qsort(v, n, sizeof *v, compare);
	return (double)v[n / 2] / 1e3;
}

/* A file of zeros, as the log has them, and its own descriptor. */
static int prepare_file(const struct bench *b, size_t bytes)
{
	int fd = openat(b->dir, "bare", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	char *zeros = calloc(1, 1 << 20);

	for (size_t at = 0; zeros && at < bytes; at += 1 << 20)
		if (pwrite(fd, zeros, 1 << 20, (off_t)at) < 0)
			exit(1);
	free(zeros);
	if (fsync(fd) < 0)
		exit(1);
	return fd;
}

static void do_one(struct bench *b, int argc, char **argv)
{
	size_t n = (size_t)bench_argument(argc, argv, "messages", 2000), at = 0;
	size_t size = (size_t)bench_argument(argc, argv, "size", 10240), length;
	int64_t *mail = calloc(n, sizeof *mail), *bare = calloc(n, sizeof *bare), before;
	double one, other;
	int fd;

	bench_accounts(b, "user", 100);
	bench_deliver(b, 100, 1, size);
	length = shapes[0].text.n;
	fd = prepare_file(b, n * (length + 4096));
	for (size_t i = 0; i < n; i++, at = (at + length + 511) / 512 * 512) {
		before = clock_mono();
		bench_deliver(b, 1, 1, size);
		mail[i] = clock_mono() - before;
		before = clock_mono();
		if (pwrite(fd, shapes[i % BENCH_SHAPES].text.p, length, (off_t)at) < 0 ||
			fdatasync(fd) < 0)
			exit(1);
		bare[i] = clock_mono() - before;
	}
	one = median_us(mail, n);
	other = median_us(bare, n);
	printf("one_us %.1f\nbare_us %.1f\nratio %.2f\n", one, other, one / other);
	close(fd);
	free(mail);
	free(bare);
}

enum { SEGMENTS_MAX = 256 };

/* A message: by whom it is read, and where its body is. */
struct readable {
	int64_t account, mailbox;
	uint32_t uid;
	struct body_place place;
};

/* Mailbox after mailbox, as clients read. */
static struct readable *list_readable(struct view *v, size_t n)
{
	struct readable *all = calloc(n, sizeof *all);
	struct err err = ERR_INIT;
	struct rows *r;
	size_t got = 0;

	if (db_query(v->db, &r,
		    "SELECT e.account, e.mailbox, e.uid, " BODY_PLACE
		    " FROM entry e JOIN body b ON b.id = e.body"
		    " ORDER BY e.account, e.mailbox, e.uid",
		    DB_NOARGS, &err) < 0)
		bench_die(&err);
	for (; got < n && rows_next(r, &err) == 1; got++)
		all[got] = (struct readable){ rows_int(r, 0), rows_int(r, 1),
			(uint32_t)rows_int(r, 2), body_place_of(r, 3) };
	rows_free(&r);
	if (got < n)
		bench_die(&err);
	return all;
}

static int read_found(struct view *v, const struct readable *m, struct buf *out, struct err *err)
{
	struct body_place p;
	uint64_t size;

	return body_find(v, m->place.body, &p, err) < 0
		? -1
		: body_read_message(v, STR(""), &p, 0, 1 << 20, out, &size, err);
}

static int read_place(struct view *v, const struct readable *m, struct buf *out, struct err *err)
{
	uint64_t size;

	return body_read_message(v, STR(""), &m->place, 0, 1 << 20, out, &size, err);
}

static int read_entry(struct view *v, const struct readable *m, struct buf *out, struct err *err)
{
	uint64_t size;

	return entry_read(
		v, (uint64_t)m->account, (uint64_t)m->mailbox, m->uid, 0, 1 << 20, out, &size, err);
}

/* Its CPU, in us. A job has a transaction of its own. */
static double time_reads(struct view *v, const struct readable *all, size_t n, size_t repeat,
	int (*one)(struct view *, const struct readable *, struct buf *, struct err *))
{
	struct buf out = BUF(SIZE_MAX_LOG);
	struct err err = ERR_INIT;
	int64_t cpu = bench_cpu_of(pthread_self());

	for (size_t i = 0; i < n * repeat; i++) {
		buf_clear(&out);
		if (i % 16 == 0)
			db_rollback(v->db);
		if ((i % 16 == 0 && db_begin(v->db, &err) < 0) ||
			one(v, &all[i % n], &out, &err) < 0)
			bench_die(&err);
	}
	db_rollback(v->db);
	buf_free(&out);
	return (double)(bench_cpu_of(pthread_self()) - cpu) / 1e3 / (double)(n * repeat);
}

/* The same bytes from the same files, as they are. */
static double time_preads(
	const struct bench *b, const struct readable *all, size_t n, size_t repeat, size_t size)
{
	char *room = malloc(size), name[32];
	uint64_t segment = 0;
	int fds[SEGMENTS_MAX] = { 0 };
	int64_t cpu = bench_cpu_of(pthread_self());

	for (size_t i = 0; i < n * repeat; i++) {
		const struct body_place *p = &all[i % n].place;

		const size_t length = p->stored ? p->stored : p->size;

		if (p->segment >= SEGMENTS_MAX || length > size)
			exit(1);
		if (!fds[p->segment]) {
			snprintf(name, sizeof name, "log/%010" PRIu64 ".seg", p->segment);
			fds[p->segment] = openat(b->dir, name, O_RDONLY | O_CLOEXEC);
		}
		if (pread(fds[p->segment], room, length, (off_t)p->place) != (ssize_t)length)
			exit(1);
	}
	cpu = bench_cpu_of(pthread_self()) - cpu;
	for (segment = 0; segment < SEGMENTS_MAX; segment++)
		if (fds[segment])
			close(fds[segment]);
	free(room);
	return (double)cpu / 1e3 / (double)(n * repeat);
}

static void do_read(struct bench *b, int argc, char **argv)
{
	size_t n = (size_t)bench_argument(argc, argv, "messages", 20000);
	size_t repeat = (size_t)bench_argument(argc, argv, "repeat", 10);
	size_t size = (size_t)bench_argument(argc, argv, "size", 10240);
	struct err err = ERR_INIT;
	double found, placed, entry, bare;
	struct readable *all;
	struct view v;

	bench_accounts(b, "user", (unsigned)bench_argument(argc, argv, "accounts", 100));
	bench_deliver(b, n, 32, size);
	bench_accounts(b, "other", 1); /* a job that is not lazy: the index has all of it */
	if (view_open(b->s, &v, &err) < 0)
		bench_die(&err);
	all = list_readable(&v, n);
	found = time_reads(&v, all, n, repeat, read_found);
	placed = time_reads(&v, all, n, repeat, read_place);
	entry = time_reads(&v, all, n, repeat, read_entry);
	bare = time_preads(b, all, n, repeat, letters ? SIZE_MAX_LOG : 2 * size);
	printf("read_us %.2f\nplaced_us %.2f\nentry_us %.2f\npread_us %.2f\n"
	       "ratio %.2f\nplaced_ratio %.2f\n",
		found, placed, entry, bare, found / bare, placed / bare);
	view_close(&v);
	free(all);
}

/* The writer's CPU and the time for each of `n` messages. */
static void round_of(struct bench *b, uint64_t n, double *cpu, double *wall)
{
	int64_t c = bench_cpu_of(b->s->writer), w = clock_mono();

	bench_deliver(b, n, 32, 10240);
	*cpu = (double)(bench_cpu_of(b->s->writer) - c) / 1e3 / (double)n;
	*wall = (double)(clock_mono() - w) / 1e3 / (double)n;
}

/* In turn, so that whatever else the machine does meets both. */
static void do_big(struct bench *b, int argc, char **argv)
{
	uint64_t messages = (uint64_t)bench_argument(argc, argv, "messages", 1000000);
	unsigned rounds = (unsigned)bench_argument(argc, argv, "rounds", 5);
	char name[32];
	static uint64_t big[BENCH_TARGETS];
	double cpu, wall;

	bench_accounts(b, "big", 1);
	memcpy(big, b->target, sizeof big);
	bench_deliver(b, messages, 256, 1000);
	for (unsigned i = 0; i < rounds; i++) {
		memcpy(b->target, big, sizeof big);
		round_of(b, 10000, &cpu, &wall);
		printf("big_us %.2f\nbig_wall_us %.2f\n", cpu, wall);
		snprintf(name, sizeof name, "empty%u-", i);
		bench_accounts(b, name, 1);
		round_of(b, 10000, &cpu, &wall);
		printf("empty_us %.2f\nempty_wall_us %.2f\n", cpu, wall);
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(struct bench *b, int argc, char **argv);
	} all[] = { { "deliver", do_deliver }, { "one", do_one }, { "read", do_read },
		{ "big", do_big }, { "queue", bench_queue }, { "purge", bench_purge },
		{ "folder", bench_folder }, { "slow", bench_slow } };
	static struct bench b;

	compress = bench_argument(argc, argv, "compress", 0) != 0;
	for (int i = 3; i < argc; i++)
		if (strncmp(argv[i], "mail=", 5) == 0)
			letters = argv[i] + 5;
	if (argc > 2 && strcmp(argv[2], "raw") == 0) {
		do_raw(argv[1], argc - 3, argv + 3);
		return 0;
	}
	for (size_t i = 0; argc > 2 && i < sizeof all / sizeof all[0]; i++)
		if (strcmp(argv[2], all[i].name) == 0) {
			bench_open(&b, argv[1]);
			all[i].run(&b, argc - 3, argv + 3);
			bench_close(&b);
			return 0;
		}
	fprintf(stderr,
		"usage: bench-store DIR deliver|raw|one|read|big|queue|purge|folder|slow "
		"[NAME=NUMBER ...]\n");
	return 64;
}
