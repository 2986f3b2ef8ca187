/* mboxrd files, laid out as Thunderbird does: Work, and what is below it in Work.sbd. A file that
 * an earlier run has begun is read first: its last message, which may be torn, is written again,
 * unless it has been deleted since. */
#include "cli/export_private.h"

#include "port/names.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static struct {
	struct export_file f;
	struct mbox_writer writer;
	uint32_t last; /* uid that is in the file already */
	uint32_t torn; /* that of the message behind it, which may be torn; 0: there is none */
	uint64_t good; /* where that one begins */
	bool first;    /* the next message is the first of the file */
} box = { .f = { .fd = -1 } };

static int read_at(void *arg, uint64_t at, char *p, size_t n, size_t *got, struct err *err)
{
	ssize_t r = pread(*(int *)arg, p, n, (off_t)at);

	if (r < 0)
		return err_sys(err, "read", "an mbox");
	*got = (size_t)r;
	return 0;
}

static int foreign(struct err *err)
{
	return err_set(
		err, ERR_EXISTS, "there is a file already that was not exported from this folder");
}

/* Up to where is the file good? */
static int look_through(struct export *x, struct mbox *m, struct err *err)
{
	struct mbox_message msg;
	uint32_t before = 0, uid = 0;
	bool any = false;
	int got;

	while ((got = mbox_next(m, &msg, err)) == 1) {
		/* The last one alone may lack its fields, and never the first. */
		if ((any && !uid) || (!any && (!msg.uid || msg.uidvalidity != x->uidvalidity)))
			return foreign(err);
		any = true;
		before = uid;
		uid = msg.uid;
		box.good = msg.from;
	}
	box.last = before;
	box.torn = uid;
	return got < 0 ? foreign(err) : 0;
}

static int cut(struct err *err)
{
	box.torn = 0;
	box.first = box.good == 0;
	return ftruncate(box.f.fd, (off_t)box.good) < 0 || lseek(box.f.fd, 0, SEEK_END) < 0
		? err_sys(err, "cut", "an mbox")
		: 0;
}

/* A message that is whole ends in an empty line. */
static bool ends_whole(off_t size)
{
	char end[2];

	return size > 2 && pread(box.f.fd, end, 2, size - 2) == 2 && end[0] == '\n' &&
		end[1] == '\n';
}

static int go_on(struct export *x, struct err *err)
{
	const struct mbox_source source = { read_at, &box.f.fd };
	struct mbox *m = malloc(sizeof *m);
	off_t size;
	int r;

	if (!m)
		return err_set(err, ERR_TEMP, "out of memory");
	mbox_init(m, &source, MBOX_RD);
	r = look_through(x, m, err);
	free(m);
	if (r < 0)
		return -1;
	size = lseek(box.f.fd, 0, SEEK_END);
	box.first = false;
	return box.torn && ends_whole(size) ? 0 : cut(err);
}

/* Where the file stands: as named, or by the folder's name. */
static int open_file(struct export *x, struct err *err)
{
	struct str parent = STR(""), level = str_c(x->name);
	struct buf file = BUF(1000);
	int dir = -1, fd = -1;

	if (x->only.n) {
		level = x->path;
		str_rcut(x->path, '/', &parent, &level);
		buf_add(&file, level);
		dir = files_open_dir(x->root, ".", err);
	} else {
		if (!str_rcut(str_c(x->name), '/', &parent, &level))
			parent = STR("");
		if (level_to_file(level, &file))
			dir = export_dir(x->root, parent, ".sbd", err);
		else
			err_set(err, ERR_LIMIT, "its name is too long for a file");
	}
	buf_addc(&file, '\0');
	if (dir >= 0) {
		fd = openat(
			dir, file.p, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
		if (fd < 0 && errno == ELOOP)
			err_set(err, ERR_PERM, "there is a link of that name");
		else if (fd < 0)
			err_sys(err, "make", file.p);
		close(dir);
	}
	buf_free(&file);
	return fd;
}

static int begin(struct export *x, struct err *err)
{
	struct stat st;

	box.f = (struct export_file){ .fd = open_file(x, err), .dir = -1, .out = BUF(4 << 20) };
	box.last = box.torn = 0;
	box.good = 0;
	box.first = true;
	if (box.f.fd < 0)
		return -1;
	if (fstat(box.f.fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(err, ERR_PERM, "not a plain file");
	return st.st_size ? go_on(x, err) : 0;
}

static bool has(struct export *x, const struct export_message *m)
{
	(void)x;
	return m->uid <= box.last;
}

static int add(void *arg, struct str piece, struct err *err)
{
	(void)arg;
	mbox_write(&box.writer, piece, &box.f.out);
	return export_file_flush(&box.f, false, err);
}

static int look(void *arg, struct str piece, struct err *err)
{
	(void)arg, (void)piece, (void)err;
	return 0;
}

/* The file's last message may be whole, and the only copy by now: it goes only for one that can be
 * read. */
static int make_way(struct export *x, const struct export_message *m, struct err *err)
{
	return export_read(x, m, look, NULL, err) < 0 ? -1 : cut(err);
}

static int put(struct export *x, const struct export_message *m, struct err *err)
{
	struct mbox_marks marks = { m->received, m->flags, m->uid, 0, m->keywords };
	const size_t before = box.f.out.n;
	off_t at;

	if (m->uid <= box.torn && make_way(x, m, err) < 0)
		return -1;
	box.torn = 0; /* of one that is not in the folder any more this is all there is */
	at = lseek(box.f.fd, 0, SEEK_CUR);
	marks.uidvalidity = box.first ? x->uidvalidity : 0;
	mbox_write_begin(&box.writer, &marks, &box.f.out);
	if (export_read(x, m, add, NULL, err) == 0) {
		mbox_write_end(&box.writer, &box.f.out);
		box.first = false;
		return 0;
	}
	/* Half a message must not stay. */
	if (lseek(box.f.fd, 0, SEEK_CUR) == at)
		buf_cut(&box.f.out, before);
	else if (ftruncate(box.f.fd, at + (off_t)before) < 0 || lseek(box.f.fd, 0, SEEK_END) < 0)
		err_sys(err, "cut", "an mbox");
	else
		buf_clear(&box.f.out);
	return -1;
}

static int end(struct export *x, struct err *err)
{
	(void)x;
	return export_file_flush(&box.f, true, err);
}

static void close_file(struct export *x)
{
	(void)x;
	export_file_drop(&box.f);
}

const struct export_format export_mbox = { "mbox", true, begin, has, put, end, close_file, NULL };
