/* A folder of single messages, as they are on the wire: UIDVALIDITY-UID.eml, its date that of the
 * message. */
#include "cli/export_private.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static int dir = -1; /* one command, one export */

static void name_of(const struct export *x, const struct export_message *m, char name[40])
{
	snprintf(name, 40, "%u-%010u.eml", x->uidvalidity, m->uid);
}

static int begin(struct export *x, struct err *err)
{
	dir = export_dir(x->root, x->only.n ? STR("") : str_c(x->name), "", err);
	return dir < 0 ? -1 : 0;
}

static bool has(struct export *x, const struct export_message *m)
{
	char name[40];

	name_of(x, m, name);
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static int add(void *arg, struct str piece, struct err *err)
{
	struct export_file *f = arg;

	buf_add(&f->out, piece);
	return export_file_flush(f, false, err);
}

static int put(struct export *x, const struct export_message *m, struct err *err)
{
	struct export_file f;
	char name[40];
	int r = -1;

	name_of(x, m, name);
	if (export_file_begin(&f, dir, ".part", err) == 0 && export_read(x, m, add, &f, err) == 0)
		r = export_file_end(&f, dir, name, m->received, err);
	export_file_drop(&f);
	return r;
}

static int end(struct export *x, struct err *err)
{
	(void)x, (void)err;
	return 0;
}

static void close_dir(struct export *x)
{
	(void)x;
	if (dir >= 0)
		close(dir);
	dir = -1;
}

const struct export_format export_eml = { "eml", false, begin, has, put, end, close_dir, NULL };
