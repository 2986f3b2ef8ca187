/* power_test.c - what a power cut leaves of log and blobs.
 *
 * A store runs while every write, flush, rename and creation of its own files is recorded, together
 * with the moment at which each message was acknowledged. Then images are built: the record is cut
 * at some step; what was flushed before is there, of the rest any sectors, any number of the
 * pending renames and creations. Each image is opened without an index, so everything is replayed,
 * and has to hold every message that was acknowledged before the cut, once, whole.
 *
 * Taking the flushes out of the record is the control: then mail must be missing. (SQLite's own
 * files and the running program are the matter of test/crash/.)
 */
#include "base/crc32c.h"
#include "store/blob.h"
#include "store/io.h"
#include "store/store_help_test.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

enum {
	STEPS_MAX = 20000,
	FILES_MAX = 400,
	MAILS = 120,
	IMAGES = 200,
	SECTOR = 512,
	BIG = 300 << 10
};

struct step {
	enum io_op op;
	char name[64], to[64];
	uint64_t offset;
	struct str data;
	int ack; /* > 0: no operation, this message was acknowledged */
};

static struct {
	pthread_mutex_t lock;
	struct step v[STEPS_MAX];
	size_t n;
} record = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct step *new_step(void)
{
	assert_true(record.n < STEPS_MAX);
	record.v[record.n] = (struct step){ 0 };
	return &record.v[record.n++];
}

static int note(void *arg, enum io_op op, const char *name, const char *to, uint64_t offset,
	struct str data)
{
	struct step *s;
	char *copy = data.n ? malloc(data.n) : NULL;

	(void)arg;
	if (copy)
		memcpy(copy, data.p, data.n);
	pthread_mutex_lock(&record.lock);
	s = new_step();
	s->op = op;
	s->offset = offset;
	s->data = str_make(copy, data.n);
	snprintf(s->name, sizeof s->name, "%s", name);
	snprintf(s->to, sizeof s->to, "%s", to ? to : "");
	pthread_mutex_unlock(&record.lock);
	return 0;
}

static void note_ack(int mail)
{
	pthread_mutex_lock(&record.lock);
	new_step()->ack = mail;
	pthread_mutex_unlock(&record.lock);
}

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
	random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (random_state >> 33) % below;
}

/* --- the load ------------------------------------------------------------------------------- */

static size_t size_of(int mail)
{
	return mail % 20 == 0 ? BIG : (size_t)(mail * 977 % 9000) + 20;
}

static void text_of(int mail, char *out)
{
	size_t n = size_of(mail);

	snprintf(out, 20, "mail %d ", mail);
	for (size_t i = strlen(out); i < n; i++)
		out[i] = (char)('a' + (i * 31 + (size_t)mail) % 26);
}

struct send {
	struct store_job job; /* first */
	int mail;
	char *text;
	struct blob_writer blob;
};

static int deliver(struct txn *t, struct store_job *job, struct err *err)
{
	struct send *s = (struct send *)job;
	const struct delivery_rcpt rcpt = { .address = STR("ann@example.org") };
	const struct delivery d = { .id = (uint64_t)s->mail,
		.any_sender = true,
		.rcpts = &rcpt,
		.rcpt_count = 1,
		.body = { .size = size_of(s->mail),
			.blob = str_c(s->blob.name),
			.checksum = s->blob.checksum } };
	uint32_t local, queued;

	return delivery_accept(t, &d, &local, &queued, err);
}

static void begin(struct store *store, int dir, struct send *s, int mail)
{
	struct err err = ERR_INIT;

	*s = (struct send){ .mail = mail, .text = malloc(BIG), .blob = { .fd = -1 } };
	assert_non_null(s->text);
	text_of(mail, s->text);
	s->job.write = deliver;
	s->job.lazy = true;
	if (size_of(mail) == BIG) {
		assert_int_equal(blob_begin(store, &s->blob, &err), 0);
		assert_int_equal(blob_add(&s->blob, str_make(s->text, BIG), &err), 0);
		assert_int_equal(blob_commit(&s->blob, &err), 0);
	} else {
		s->job.body = str_make(s->text, size_of(mail));
	}
	store_submit(store, &s->job);
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool ready;

static void woken(void *arg)
{
	(void)arg;
	pthread_mutex_lock(&lock);
	ready = true;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
}

static struct store_job *wait_finished(struct store *s)
{
	pthread_mutex_lock(&lock);
	while (!ready)
		pthread_cond_wait(&cond, &lock);
	ready = false;
	pthread_mutex_unlock(&lock);
	return store_finished(s);
}

static int add_ann(struct txn *t, struct store_job *job, struct err *err)
{
	uint64_t id;

	(void)job;
	return directory_account_add(t, STR("ann@example.org"), STR(""), &id, err);
}

/* Some at once, so that they share batches. */
static void run_load(int dir)
{
	const struct store_options o = { .segment_bytes = 256 << 10, .woken = woken };
	struct store *s = open_store_with(dir, &o);
	struct store_job account = { .write = add_ann };
	static struct send sends[8];
	int next = 1;

	store_submit(s, &account);
	assert_int_equal(wait_finished(s)->result, 0);
	store_job_free(&account);
	while (next <= MAILS) {
		int together = 1 + next % 7, waiting = 0;

		for (; waiting < together && next <= MAILS; waiting++)
			begin(s, dir, &sends[waiting], next++);
		while (waiting) {
			struct store_job *j = wait_finished(s);

			for (; j; j = j->next, waiting--) {
				struct send *sent = (struct send *)j;

				assert_int_equal(j->result, 0);
				note_ack(sent->mail);
				blob_end(&sent->blob);
				free(sent->text);
				store_job_free(j);
			}
		}
	}
	store_close(&s);
}

/* --- a disk --------------------------------------------------------------------------------- */

struct file {
	char *bytes; /* what is on the platter */
	uint64_t size;
	size_t pending[200]; /* steps: written, not flushed */
	size_t pending_n;
};

struct name {
	char path[64];
	int file; /* -1: none */
};

/* As the program sees it (now) and as the platter has it (kept); steps in between are pending. */
struct disk {
	struct file files[FILES_MAX];
	int file_count;
	struct name now[FILES_MAX], kept[FILES_MAX];
	size_t now_n, kept_n;
	size_t pending[2000]; /* steps that change names */
	int pending_file[2000];
	size_t pending_n;
};

static struct name *find(struct name *v, size_t *n, const char *path)
{
	for (size_t i = 0; i < *n; i++)
		if (strcmp(v[i].path, path) == 0)
			return &v[i];
	assert_true(*n < FILES_MAX);
	snprintf(v[*n].path, sizeof v[*n].path, "%s", path);
	v[*n].file = -1;
	return &v[(*n)++];
}

static void change_name(struct name *v, size_t *n, const struct step *s, int file)
{
	if (s->op == IO_RENAME) {
		file = find(v, n, s->name)->file >= 0 ? find(v, n, s->name)->file : file;
		find(v, n, s->name)->file = -1;
		find(v, n, s->to)->file = file;
	} else {
		find(v, n, s->name)->file = s->op == IO_CREATE ? file : -1;
	}
}

static void apply_sectors(struct file *f, const struct step *s, bool all)
{
	uint64_t end = s->offset + s->data.n;

	if (end > f->size) {
		f->bytes = realloc(f->bytes, end);
		assert_non_null(f->bytes);
		memset(f->bytes + f->size, 0, end - f->size);
		f->size = end;
	}
	for (uint64_t at = s->offset; at < end;) {
		uint64_t stop = (at / SECTOR + 1) * SECTOR;

		if (stop > end)
			stop = end;
		if (all || draw(2))
			memcpy(f->bytes + at, s->data.p + (at - s->offset), stop - at);
		at = stop;
	}
}

static bool is_in(const char *path, const char *folder)
{
	size_t n = strlen(folder);

	return strncmp(path, folder, n) == 0 && path[n] == '/' && !strchr(path + n + 1, '/');
}

static void flush_folder(struct disk *d, const char *folder)
{
	size_t left = 0;

	for (size_t i = 0; i < d->pending_n; i++) {
		const struct step *s = &record.v[d->pending[i]];

		if (is_in(s->op == IO_RENAME ? s->to : s->name, folder)) {
			change_name(d->kept, &d->kept_n, s, d->pending_file[i]);
		} else {
			d->pending[left] = d->pending[i];
			d->pending_file[left++] = d->pending_file[i];
		}
	}
	d->pending_n = left;
}

static void write_step(struct disk *d, size_t step, const struct step *s)
{
	struct file *f = &d->files[find(d->now, &d->now_n, s->name)->file];

	assert_true(f->pending_n < 200);
	f->pending[f->pending_n++] = step;
}

static void name_step(struct disk *d, size_t step, const struct step *s)
{
	int file;

	if (s->op == IO_CREATE && find(d->now, &d->now_n, s->name)->file < 0) {
		assert_true(d->file_count < FILES_MAX);
		find(d->now, &d->now_n, s->name)->file = d->file_count++;
	}
	file = find(d->now, &d->now_n, s->name)->file;
	assert_true(d->pending_n < 2000);
	d->pending[d->pending_n] = step;
	d->pending_file[d->pending_n++] = file;
	if (s->op != IO_CREATE)
		change_name(d->now, &d->now_n, s, file);
}

static void flush_file(struct disk *d, const struct step *s)
{
	struct file *f = &d->files[find(d->now, &d->now_n, s->name)->file];

	for (size_t i = 0; i < f->pending_n; i++)
		apply_sectors(f, &record.v[f->pending[i]], true);
	f->pending_n = 0;
}

/* Everything up to the cut, then the cut. */
static void play(struct disk *d, size_t cut, bool flushes)
{
	size_t survive;

	for (size_t i = 0; i < cut; i++) {
		const struct step *s = &record.v[i];

		if (s->ack || strcmp(s->name, "lock") == 0)
			continue;
		if (s->op == IO_WRITE)
			write_step(d, i, s);
		else if (s->op == IO_CREATE || s->op == IO_RENAME || s->op == IO_REMOVE)
			name_step(d, i, s);
		else if (s->op == IO_FLUSH && (flushes || strstr(s->name, ".new")))
			flush_file(d, s);
		else if (s->op == IO_FLUSH_DIR)
			flush_folder(d, s->name);
	}
	survive = d->pending_n ? draw(d->pending_n + 1) : 0;
	for (size_t i = 0; i < survive; i++)
		change_name(d->kept, &d->kept_n, &record.v[d->pending[i]], d->pending_file[i]);
	for (int f = 0; f < d->file_count; f++)
		for (size_t i = 0; i < d->files[f].pending_n; i++)
			apply_sectors(&d->files[f], &record.v[d->files[f].pending[i]], false);
}

static void write_image(const struct disk *d, int dir)
{
	char path[64];

	mkdirat(dir, "log", 0700);
	mkdirat(dir, "blob", 0700);
	mkdirat(dir, "blob/tmp", 0700);
	for (unsigned i = 0; i < 256; i++) {
		snprintf(path, sizeof path, "blob/%02x", i);
		mkdirat(dir, path, 0700);
	}
	for (size_t i = 0; i < d->kept_n; i++) {
		const struct name *n = &d->kept[i];
		int fd;

		if (n->file < 0)
			continue;
		fd = openat(dir, n->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
		assert_true(fd >= 0);
		assert_int_equal(write(fd, d->files[n->file].bytes, d->files[n->file].size),
			d->files[n->file].size);
		close(fd);
	}
}

/* --- the proof ------------------------------------------------------------------------------ */

struct found {
	int count[MAILS + 1];
	int wrong;
	struct view *v;
};

static bool check_entry(void *arg, const struct entry *e)
{
	static char want[BIG];
	struct buf body = BUF(2 * BIG);
	struct found *f = arg;
	struct err err = ERR_INIT;
	uint64_t size;
	int mail = 0;

	if (entry_read(f->v, 1, 1, e->uid, e->prefix_size, 2 * BIG, &body, &size, &err) == 0 &&
		body.n > 8 && sscanf(body.p, "mail %d ", &mail) == 1 && mail >= 1 &&
		mail <= MAILS) {
		text_of(mail, want);
		f->count[mail]++;
		f->wrong += !str_eq(buf_str(&body), str_make(want, size_of(mail)));
	} else {
		f->wrong++;
	}
	buf_free(&body);
	return true;
}

static int ask_all(struct view *v, void *arg, struct err *err)
{
	const struct entry_query q = { .account = 1, .mailbox = 1 };
	struct err none = ERR_INIT;
	struct found *f = arg;

	(void)err;
	f->v = v;
	(void)entry_list(v, &q, check_entry, f, &none); /* there may be no account yet */
	return 0;
}

/* How many acknowledged messages are missing, doubled or altered, or 1,000 when nothing can be
 * read. */
static int count_faults(int dir, size_t cut)
{
	static struct found f;
	const struct store_options o = { .segment_bytes = 256 << 10 };
	struct store_figures figures;
	struct store *s = NULL;
	struct err err = ERR_INIT;
	int faults;

	memset(&f, 0, sizeof f);
	if (store_open(dir, &o, &s, &err) < 0)
		return 1000;
	store_figures(s, &figures);
	look(s, ask_all, &f, &err);
	store_close(&s);
	faults = f.wrong + (figures.read_only ? 1000 : 0);
	for (size_t i = 0; i < cut; i++)
		if (record.v[i].ack)
			faults += f.count[record.v[i].ack] == 0;
	for (int i = 1; i <= MAILS; i++)
		faults += f.count[i] > 1;
	return faults;
}

static int try_image(uint64_t seed, size_t cut, bool flushes)
{
	struct disk *d = calloc(1, sizeof *d);
	void *state = NULL;
	int faults;

	assert_non_null(d);
	random_state = seed;
	assert_int_equal(test_setup(&state), 0);
	play(d, cut, flushes);
	write_image(d, test_dir(&state));
	faults = count_faults(test_dir(&state), cut);
	test_teardown(&state);
	for (int i = 0; i < d->file_count; i++)
		free(d->files[i].bytes);
	free(d);
	return faults;
}

/* After which steps: every n-th flush, where the promise is youngest, and places in between. */
static size_t cut_at(int image)
{
	size_t first = 0, at;

	while (first < record.n && record.v[first].op == IO_MKDIR && !record.v[first].ack)
		first++;
	at = first + (record.n - first) * (size_t)(image + 1) / IMAGES;

	for (size_t i = at; image % 2 && i < record.n; i++)
		if (record.v[i].op == IO_FLUSH && !record.v[i].ack)
			return i;
	return at;
}

static int record_load(void **state)
{
	if (test_setup(state) < 0)
		return -1;
	record.n = 0;
	io_watch(note, NULL);
	run_load(test_dir(state));
	io_watch(NULL, NULL);
	return 0;
}

static int forget_load(void **state)
{
	for (size_t i = 0; i < record.n; i++)
		if (record.v[i].data.n)
			free((void *)(uintptr_t)record.v[i].data.p);
	return test_teardown(state);
}

static void no_power_cut_loses_what_was_acknowledged(void **state)
{
	(void)state;
	for (int i = 0; i < IMAGES; i++) {
		int faults = try_image((uint64_t)i, cut_at(i), true);

		if (faults)
			fail_msg("image %d, cut before step %zu of %zu: %d faults", i, cut_at(i),
				record.n, faults);
	}
}

static void without_flushes_mail_is_lost(void **state)
{
	int faults = 0;

	(void)state;
	for (int i = 0; i < 6; i++)
		faults += try_image((uint64_t)i, record.n, false);
	assert_true(faults > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			no_power_cut_loses_what_was_acknowledged, record_load, forget_load),
		cmocka_unit_test_setup_teardown(
			without_flushes_mail_is_lost, record_load, forget_load),
	};

	log_capture(test_quiet, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
