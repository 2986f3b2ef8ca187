/* Single messages in files, folders in folders. What such files do not keep (flags) is not there.
 */
#include "cli/import_private.h"
#include "port/names.h"

#include <unistd.h>

static bool is_eml(struct str name)
{
	return name.n > 4 && name.p[0] != '.' && str_endsi(name, STR("eml")) &&
		name.p[name.n - 4] == '.';
}

static int put(struct import *im, int fd, const struct stat *st, struct str label, struct err *err)
{
	const struct feed_item item = {
		.label = label, .received = import_date(st), .read = import_read_fd, .arg = &fd
	};

	return import_message(im, &item, ++im->done, err);
}

int import_one_eml(struct import *im, int fd, const struct stat *st, struct err *err)
{
	int r = import_folder(im, STR("INBOX"), 1, false, err);

	if (r != 1)
		return r;
	return put(im, fd, st, im->path, err) < 0 ? -1 : import_folder_end(im, err);
}

static int messages(struct import *im, int dir, const struct files_list *l, struct err *err)
{
	struct stat st;
	int r = 0;

	for (size_t i = 0; r == 0 && i < l->n; i++) {
		const struct str name = str_c(files_name(l, i));
		struct err why = ERR_INIT;
		int fd;

		if (!is_eml(name))
			continue;
		fd = files_open(dir, name.p, &st, &why);
		if (fd < 0) {
			feed_name_refused(&im->feed, name, why.msg);
			continue;
		}
		r = put(im, fd, &st, name, err);
		close(fd);
	}
	return r;
}

static int walk(struct import *im, int dir, struct str name, int depth, struct err *err);

static int below(
	struct import *im, int dir, struct str entry, struct str parent, int depth, struct err *err)
{
	struct buf name = BUF(8 * FEED_NAME);
	struct err why = ERR_INIT;
	int fd, r = 0;

	if (entry.p[0] != '.' && files_is_link_to_dir(dir, entry.p))
		import_skip(im, entry, "a link");
	if (!files_is_dir(dir, entry.p) || entry.p[0] == '.')
		return 0;
	buf_add(&name, parent);
	if (name.n)
		buf_addc(&name, '/');
	level_from_file(entry, &name);
	fd = depth < IMPORT_DEPTH ? files_open_dir(dir, entry.p, &why)
				  : err_set(&why, ERR_LIMIT, "folders are nested too deeply");
	if (fd < 0 || !buf_ok(&name))
		import_skip(im, entry, fd < 0 ? why.msg : "its name is too long");
	else
		r = walk(im, fd, buf_str(&name), depth + 1, err);
	if (fd >= 0)
		close(fd);
	buf_free(&name);
	return r;
}

static int walk(struct import *im, int dir, struct str name, int depth, struct err *err)
{
	struct files_list l;
	uint64_t count = 0;
	int r = files_list(dir, &l, err);

	for (size_t i = 0; r == 0 && i < l.n; i++)
		count += is_eml(str_c(files_name(&l, i)));
	/* The folder at the top is there only for what lies in it. */
	if (r == 0 && (count || depth)) {
		r = import_folder(im, name.n ? name : STR("INBOX"), count, false, err);
		if (r == 1)
			r = messages(im, dir, &l, err) < 0 ? -1 : import_folder_end(im, err);
	}
	for (size_t i = 0; r == 0 && i < l.n; i++)
		r = below(im, dir, str_c(files_name(&l, i)), name, depth, err);
	files_list_free(&l);
	return r;
}

int import_eml(struct import *im, int dir, struct err *err)
{
	return walk(im, dir, STR(""), 0, err);
}
