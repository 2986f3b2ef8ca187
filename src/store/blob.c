#include "base/codec.h"
#include "base/crc32c.h"
#include "store/blob_private.h"
#include "store/io.h"
#include "store/shared.h"

#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { SWEEP_AGE = 3600, FOOT = 32, SUMS_MAX = 64 << 20 };
enum { PATH = BLOB_PATH };

static int make_folders(int dir, struct err *err)
{
	char path[PATH];

	if (io_mkdir(dir, "blob", err) < 0 || io_mkdir(dir, "blob/tmp", err) < 0)
		return -1;
	for (unsigned i = 0; i < 256; i++) {
		snprintf(path, sizeof path, "blob/%02x", i);
		if (io_mkdir(dir, path, err) < 0)
			return -1;
	}
	return 0;
}

int blob_prepare(int dir, struct err *err)
{
	bool there =
		faccessat(dir, "blob/tmp", F_OK, 0) == 0 && faccessat(dir, "blob/ff", F_OK, 0) == 0;

	if (!there && make_folders(dir, err) < 0)
		return -1;
	/* At every start: whoever made them may have been killed before the flush. */
	if (io_flush_dir(dir, "blob", err) < 0)
		return -1;
	return io_flush_dir(dir, ".", err) < 0 ? -1 : 0;
}

void blob_tmp_path(const struct blob_writer *w, char path[PATH])
{
	snprintf(path, PATH, w->stored ? "blob/tmp/%s.z" : "blob/tmp/%s", w->name);
}

static void final_path(const char *name, char path[PATH])
{
	snprintf(path, PATH, "blob/%.2s/%s", name, name + 2);
}

static int draw_name(struct blob_writer *w, struct err *err)
{
	struct buf name = BUF(BLOB_NAME);
	char random[16];

	if (getrandom(random, sizeof random, 0) != sizeof random)
		return err_sys(err, "draw random bytes for", "a blob");
	hex_encode(&name, str_make(random, sizeof random));
	if (!buf_ok(&name))
		return err_set(err, ERR_TEMP, "out of memory for a blob");
	memcpy(w->name, name.p, name.n);
	buf_free(&name);
	return 0;
}

int blob_begin(struct store *s, struct blob_writer *w, struct err *err)
{
	char path[PATH];

	*w = (struct blob_writer){ .store = s, .fd = -1, .sums = BUF(SUMS_MAX) };
	if (draw_name(w, err) < 0)
		return -1;
	if (s->shared) {
		w->begun = staged_begin(s->shared, str_c(w->name), err) == 0;
		return w->begun ? 0 : -1;
	}
	blob_tmp_path(w, path);
	w->fd = io_open(s->dir, path, O_RDWR | O_CREAT | O_EXCL, err);
	w->begun = w->fd >= 0;
	return w->begun ? 0 : -1;
}

void blob_add_u32(struct buf *b, uint32_t v)
{
	v = htole32(v);
	buf_add(b, str_make(&v, sizeof v));
}

static void add_u64(struct buf *b, uint64_t v)
{
	v = htole64(v);
	buf_add(b, str_make(&v, sizeof v));
}

/* Checksums of what is added at w->size. */
static void count_in(struct blob_writer *w, struct str data)
{
	w->checksum = crc32c(w->checksum, data.p, data.n);
	for (uint64_t at = w->size; data.n;) {
		const uint64_t left = BLOB_PIECE - at % BLOB_PIECE;
		struct str head = str_head(data, left < data.n ? (size_t)left : data.n);

		w->piece = crc32c(w->piece, head.p, head.n);
		at += head.n;
		data = str_from(data, head.n);
		if (at % BLOB_PIECE)
			continue;
		blob_add_u32(&w->sums, w->piece);
		w->piece = 0;
	}
}

int blob_add(struct blob_writer *w, struct str data, struct err *err)
{
	struct shared *shared = w->store->shared;
	char path[PATH];

	blob_tmp_path(w, path);
	if ((shared ? staged_add(shared, str_c(w->name), w->size, data, err)
		    : io_write(w->fd, path, w->size, data, err)) < 0)
		return -1;
	count_in(w, data);
	w->size += data.n;
	return 0;
}

/* What stands behind the checksums of the pieces. */
static void add_foot(struct buf *sums, uint64_t size, bool squeezed, uint32_t checksum)
{
	buf_add(sums, squeezed ? STR("EILPBLB2") : STR("EILPBLB1"));
	blob_add_u32(sums, BLOB_PIECE);
	blob_add_u32(sums, checksum);
	add_u64(sums, size);
	blob_add_u32(sums, 0);
	if (buf_ok(sums))
		blob_add_u32(sums, crc32c(0, sums->p, sums->n));
}

static int write_sums(struct blob_writer *w, const char *path, struct err *err)
{
	add_foot(&w->sums, w->size, w->stored != 0, w->checksum);
	if (!buf_ok(&w->sums))
		return err_set(err, ERR_TEMP, "out of memory for a blob");
	return io_write(w->fd, path, w->stored ? w->stored : w->size, buf_str(&w->sums), err);
}

/* The last piece, if it is not a full one. */
static void end_sums(struct blob_writer *w)
{
	if (w->sums.n < 4 * blob_pieces(w->size))
		blob_add_u32(&w->sums, w->piece);
}

void blob_squeeze(struct blob_writer *w)
{
	struct err ignored = ERR_INIT;

	end_sums(w);
	(void)blob_squeeze_file(w, &ignored);
}

int blob_commit(struct blob_writer *w, struct err *err)
{
	char from[PATH], to[PATH], folder[PATH];
	const int dir = w->store->dir;

	end_sums(w);
	if (w->store->shared) {
		w->committed = staged_commit(w->store->shared, str_c(w->name), &w->sums, err) == 0;
		return w->committed ? 0 : -1;
	}
	blob_tmp_path(w, from);
	final_path(w->name, to);
	snprintf(folder, sizeof folder, "blob/%.2s", w->name);
	if (write_sums(w, from, err) < 0 || io_flush(w->fd, from, err) < 0 ||
		io_rename(dir, from, to, err) < 0)
		return -1;
	w->committed = true;
	return io_flush_dir(dir, folder, err);
}

void blob_end(struct blob_writer *w)
{
	struct err ignored = ERR_INIT;
	char path[PATH];

	buf_free(&w->sums);
	if (!w->begun)
		return;
	w->begun = false;
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	if (w->committed)
		return;
	blob_tmp_path(w, path);
	if (w->store->shared)
		staged_drop(w->store->shared, str_c(w->name));
	else
		io_remove(w->store->dir, path, &ignored);
}

int blob_open(int dir, struct str name, char path[PATH], struct err *err)
{
	char z[BLOB_NAME];

	if (!str_z(name, z, sizeof z) || name.n < 3)
		return err_set(err, ERR_NOTFOUND, "no such blob");
	final_path(z, path);
	return io_open(dir, path, O_RDONLY, err);
}

int blob_read(int dir, struct str name, uint64_t offset, char *p, size_t n, struct err *err)
{
	char path[PATH];
	int r, fd = blob_open(dir, name, path, err);

	if (fd < 0)
		return -1;
	r = io_read(fd, path, offset, p, n, err);
	close(fd);
	return r;
}

/* The table behind the bytes. 1, 0 there is none that fits, -1. */
static int read_sums(int fd, const char *path, uint64_t size, uint64_t stored, uint32_t checksum,
	struct buf *sums, struct err *err)
{
	/* Of a squeezed one with the lengths. */
	const uint64_t lengths = stored ? 4 * blob_pieces(size) : 0, at = stored ? stored : size,
		       n = lengths + 4 * blob_pieces(size) + FOOT;
	struct buf foot = BUF(SUMS_MAX);
	uint64_t length;
	char *room;
	int r = 0;

	if (io_size(fd, path, &length, err) < 0)
		return -1;
	if (n > SUMS_MAX || length != at + n)
		return 0;
	room = buf_room(sums, (size_t)n);
	if (!room)
		return err_set(err, ERR_TEMP, "out of memory to read a message");
	if (io_read(fd, path, at, room, (size_t)n, err) < 0)
		return -1;
	buf_add(&foot, str_make(room, (size_t)(n - FOOT)));
	add_foot(&foot, size, stored != 0, checksum);
	if (buf_ok(&foot) && memcmp(foot.p, room, foot.n) == 0) {
		memmove(room, room + lengths, (size_t)(n - FOOT - lengths));
		buf_grew(sums, (size_t)(n - FOOT - lengths));
		r = 1;
	}
	buf_free(&foot);
	return r;
}

int blob_sums(int dir, struct str name, uint64_t size, uint64_t stored, uint32_t checksum,
	struct buf *sums, struct err *err)
{
	char path[PATH];
	int r, fd = blob_open(dir, name, path, err);

	if (fd < 0)
		return -1;
	buf_clear(sums);
	r = read_sums(fd, path, size, stored, checksum, sums, err);
	close(fd);
	return r;
}

bool blob_is_named(struct view *v, const char *name)
{
	struct err ignored = ERR_INIT;
	int64_t id;

	return db_int(v->db, &id, "SELECT id FROM body WHERE blob = $1", DB_ARGS(DB_T(str_c(name))),
		       &ignored) != 0;
}

int blob_remove(int dir, struct str name, struct err *err)
{
	char z[BLOB_NAME], path[PATH];

	if (!str_z(name, z, sizeof z) || name.n < 3)
		return err_set(err, ERR_NOTFOUND, "no such blob");
	final_path(z, path);
	return io_remove(dir, path, err);
}

static bool is_named(struct view *v, const char *folder, const char *file)
{
	char name[BLOB_NAME];

	snprintf(name, sizeof name, "%.2s%.30s", folder, file);
	return blob_is_named(v, name);
}

static int sweep_folder(struct view *v, const char *folder, bool all, struct err *err)
{
	char path[PATH], file[PATH + 300];
	int removed = 0;
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof path, "blob/%s", folder);
	d = io_list(v->store->dir, path, err);
	if (!d)
		return 0;
	while (io_next(d, path, &e, err) == 1) {
		if (e->d_name[0] == '.' ||
			fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			st.st_mtime > time(NULL) - SWEEP_AGE || store_held_from(v->store) == 0)
			continue;
		if (!all && is_named(v, folder, e->d_name))
			continue;
		snprintf(file, sizeof file, "%s/%s", path, e->d_name);
		removed += io_remove(v->store->dir, file, err) == 0;
	}
	closedir(d);
	return removed;
}

int blob_sweep(struct view *v, struct err *err)
{
	char folder[3];
	int removed;

	/* Records that nobody has applied may name them. */
	if (slog_damage(v->store->log))
		return 0;
	removed = sweep_folder(v, "tmp", true, err);
	for (unsigned i = 0; i < 256; i++) {
		snprintf(folder, sizeof folder, "%02x", i);
		removed += sweep_folder(v, folder, false, err);
	}
	return removed;
}
