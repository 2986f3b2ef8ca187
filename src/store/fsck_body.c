/* Every body that the index knows is read and compared with its checksum; files that no body names
 * are told. */
#include "base/crc32c.h"
#include "store/blob.h"
#include "store/fsck_private.h"
#include "store/io.h"
#include "store/squeeze.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PIECE = 1 << 20, WHOLE_MAX = 256 << 20, PATH = 64, BLOB_FILE = 30 };

struct body {
	uint64_t id, segment, place, size, stored;
	uint32_t checksum;
	char blob[BLOB_NAME];
};

/* The file that was read last stays open: bodies come in the order of the log. */
struct reading {
	struct fsck *f;
	int fd;
	uint64_t segment;
	struct buf piece;
	struct buf whole; /* of one that is squeezed */
	struct buf right; /* ids of those that are marked for no reason */
};

static void file_name(const struct body *b, char name[PATH])
{
	char segment[SLOG_NAME];

	if (b->blob[0]) {
		snprintf(name, PATH, "blob/%.2s/%s", b->blob, b->blob + 2);
	} else {
		slog_segment_name(segment, b->segment, ".seg");
		snprintf(name, PATH, "%s", segment);
	}
}

static int open_file(struct reading *r, const struct body *b, const char *name, struct err *err)
{
	if (r->fd >= 0 && !b->blob[0] && r->segment == b->segment)
		return 0;
	if (r->fd >= 0)
		close(r->fd);
	r->segment = b->blob[0] ? 0 : b->segment;
	r->fd = io_open(r->f->dir, name, O_RDONLY, err);
	return r->fd < 0 ? -1 : 0;
}

static int sum_plain(
	struct reading *r, const struct body *b, const char *name, uint32_t *sum, struct err *err)
{
	for (uint64_t at = 0; at < b->size;) {
		size_t n = b->size - at < PIECE ? (size_t)(b->size - at) : PIECE;

		if (io_read(r->fd, name, b->place + at, r->piece.p, n, err) < 0)
			return -1;
		*sum = crc32c(*sum, r->piece.p, n);
		at += n;
	}
	return 0;
}

/* 1: what is there cannot be it. */
static int sum_squeezed(
	struct reading *r, const struct body *b, const char *name, uint32_t *sum, struct err *err)
{
	char *room;
	int got;

	if (b->stored > PIECE || b->size > WHOLE_MAX)
		return 1;
	buf_clear(&r->whole);
	room = buf_room(&r->whole, (size_t)b->size);
	if (!room)
		return err_set(err, ERR_TEMP, "out of memory to read bodies");
	if (io_read(r->fd, name, b->place, r->piece.p, (size_t)b->stored, err) < 0)
		return -1;
	got = squeeze_undo(str_make(r->piece.p, (size_t)b->stored), room, (size_t)b->size, err);
	*sum = got == 0 ? crc32c(0, room, (size_t)b->size) : 0;
	return got;
}

static int sum_squeezed_blob(
	struct reading *r, const struct body *b, uint32_t *sum, struct err *err)
{
	int got = 0;

	for (uint64_t at = 0; at < b->size && got == 0; at += BLOB_PIECE) {
		size_t n = b->size - at < BLOB_PIECE ? (size_t)(b->size - at) : BLOB_PIECE;

		got = blob_read_squeezed(
			r->f->dir, str_c(b->blob), b->size, b->stored, at, r->piece.p, n, err);
		*sum = crc32c(*sum, r->piece.p, n);
	}
	return got;
}

static int sum_body(struct reading *r, const struct body *b, struct err *err)
{
	uint32_t sum = 0;
	char name[PATH];
	int got;

	file_name(b, name);
	if (open_file(r, b, name, err) < 0)
		return -1;
	if (!b->stored)
		got = sum_plain(r, b, name, &sum, err);
	else if (b->blob[0])
		got = sum_squeezed_blob(r, b, &sum, err);
	else
		got = sum_squeezed(r, b, name, &sum, err);
	if (got < 0)
		return -1;
	return got == 0 && sum == b->checksum
		? 0
		: err_set(err, ERR_PERM, "%s: its bytes are not those that were stored", name);
}

/* Who has lost it: the first message that shows it. */
static void tell_lost(struct fsck *f, const struct body *b, const struct err *why)
{
	char who[600] = "no message shows it";
	struct err err = ERR_INIT;
	struct rows *r = NULL;

	if (db_query(f->db, &r,
		    "SELECT 'message ' || t.uid || ' in ' || coalesce(m.name, 'a removed folder')"
		    " || ' of ' || coalesce(a.login, 'a removed account') FROM entry t"
		    " JOIN mailbox m ON m.account = t.account AND m.id = t.mailbox"
		    " JOIN account a ON a.id = t.account WHERE t.body = $1"
		    " UNION ALL SELECT 'a message in the queue, from <' || q.sender || '>'"
		    " FROM queue_message q WHERE q.body = $1",
		    DB_ARGS(DB_I((int64_t)b->id)), &err) == 0 &&
		rows_next(r, &err) == 1)
		snprintf(who, sizeof who, STR_F, STR_A(rows_str(r, 0)));
	rows_free(&r);
	fsck_say(f, "body.damage", FSCK_LOST, false, "body %" PRIu64 " (%s) cannot be read: %s",
		b->id, who, why->msg);
}

/* It was marked when somebody could not read it: the disk gives the right bytes again. */
static void tell_well_again(struct reading *r, const struct body *b)
{
	fsck_say(r->f, "body.marked", FSCK_WRONG, r->f->o->repair || r->f->o->rebuild,
		"body %" PRIu64 " is marked as damaged, and its bytes are right", b->id);
	buf_add(&r->right, str_make(&b->id, sizeof b->id));
}

static int unmark(struct reading *r, struct err *err)
{
	struct str ids = buf_str(&r->right);
	uint64_t id;

	for (; ids.n >= sizeof id; ids = str_from(ids, sizeof id)) {
		memcpy(&id, ids.p, sizeof id);
		if (db_exec(r->f->db, "UPDATE body SET damaged = 0 WHERE id = $1",
			    DB_ARGS(DB_I((int64_t)id)), err) < 0)
			return -1;
	}
	return 0;
}

static int check_rows(struct reading *reading, struct rows *r, struct err *err)
{
	int got;

	while ((got = rows_next(r, err)) == 1) {
		struct body b = { .id = (uint64_t)rows_int(r, 0),
			.segment = (uint64_t)rows_int(r, 1),
			.place = rows_str(r, 3).n ? 0 : (uint64_t)rows_int(r, 2),
			.size = (uint64_t)rows_int(r, 4),
			.checksum = (uint32_t)rows_int(r, 5),
			.stored = (uint64_t)rows_int(r, 7) };
		struct err why = ERR_INIT;

		str_z(rows_str(r, 3), b.blob, sizeof b.blob);
		reading->f->out->bodies++;
		reading->f->out->blobs += b.blob[0] != 0;
		if (sum_body(reading, &b, &why) < 0)
			tell_lost(reading->f, &b, &why);
		else if (rows_int(r, 6))
			tell_well_again(reading, &b);
	}
	return got;
}

static bool is_named(struct fsck *f, const char *folder, const char *file)
{
	struct err err = ERR_INIT;
	char name[BLOB_NAME];
	int64_t id;

	snprintf(name, sizeof name, "%.2s%.30s", folder, file);
	return db_int(f->db, &id, "SELECT id FROM body WHERE blob = $1", DB_ARGS(DB_T(str_c(name))),
		       &err) != 0;
}

/* ---- files that no body names ---- */

/* The record that named it may be what is lost: it gets a second name that no sweep looks at, and
 * whatever ends this here, an index that names the first one finds it. */
static int keep_file(
	struct fsck *f, const char *folder, const char *file, uint64_t n, struct err *err)
{
	char from[PATH], to[PATH];

	if (strlen(file) != BLOB_FILE) /* none of ours */
		return 0;
	snprintf(from, sizeof from, "blob/%s/%.30s", folder, file);
	snprintf(to, sizeof to, "blob.lost/%s%.30s", folder, file);
	if (io_mkdir(f->dir, "blob.lost", err) < 0 ||
		(io_link(f->dir, from, to, err) < 0 && io_rename(f->dir, from, to, err) < 0))
		return -1;
	if (n < FSCK_TOLD)
		fsck_say(f, "blob.lost", FSCK_NOTE, false,
			"%s belongs to no message that is left: it stays as %s", from, to);
	return 0;
}

static int see_folder(struct fsck *f, const char *folder, uint64_t *n, struct err *err)
{
	char path[PATH];
	struct dirent *e;
	int got, r = 0;
	DIR *d;

	snprintf(path, sizeof path, "blob/%s", folder);
	d = io_list(f->dir, path, err);
	if (!d)
		return err->kind == ERR_NOTFOUND ? 0 : -1;
	while (r == 0 && (got = io_next(d, path, &e, err)) != 0) {
		if (got < 0)
			r = -1;
		else if (e->d_name[0] != '.' && !is_named(f, folder, e->d_name)) {
			if (f->keep_unnamed)
				r = keep_file(f, folder, e->d_name, *n, err);
			++*n;
		}
	}
	closedir(d);
	return r;
}

/* The server removes them itself, an hour after nobody came to name them. */
static int check_unnamed(struct fsck *f, struct err *err)
{
	struct err why = ERR_INIT;
	uint64_t n = 0;
	char folder[3];

	for (unsigned i = 0; i < 256; i++) {
		snprintf(folder, sizeof folder, "%02x", i);
		if (see_folder(f, folder, &n, &why) < 0 && f->keep_unnamed) {
			*err = why;
			return -1;
		}
	}
	if (n == 0)
		return 0;
	if (!f->keep_unnamed) {
		fsck_say(f, "blob.unnamed", FSCK_NOTE, false,
			"%" PRIu64 " files of blob/ belong to no message; the server removes them",
			n);
		return 0;
	}
	if (n > FSCK_TOLD)
		fsck_say(f, "blob.lost", FSCK_NOTE, false,
			"%" PRIu64 " files like that are in blob.lost/", n);
	if (io_mkdir(f->dir, "blob.lost", err) < 0 || io_flush_dir(f->dir, "blob.lost", err) < 0)
		return -1;
	return io_flush_dir(f->dir, ".", err);
}

int fsck_check_bodies(struct fsck *f, struct err *err)
{
	struct reading reading = { .f = f,
		.fd = -1,
		.piece = BUF(PIECE),
		.whole = BUF(WHOLE_MAX),
		.right = BUF(1 << 26) };
	struct rows *r = NULL;
	int result = -1;

	if (!buf_room(&reading.piece, PIECE))
		return err_set(err, ERR_TEMP, "out of memory to read bodies");
	if (db_query(f->db, &r,
		    "SELECT id, segment, place, blob, size, checksum, damaged, stored FROM body"
		    " ORDER BY segment, place",
		    DB_NOARGS, err) == 0)
		result = check_rows(&reading, r, err);
	rows_free(&r);
	if (reading.fd >= 0)
		close(reading.fd);
	if (result == 0 && (f->o->repair || f->o->rebuild))
		result = unmark(&reading, err);
	buf_free(&reading.piece);
	buf_free(&reading.whole);
	buf_free(&reading.right);
	return result < 0 ? -1 : check_unnamed(f, err);
}
