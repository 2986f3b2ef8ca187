/* files.h - files and folders that somebody else has filled.
 *
 * Their names and kinds are hostile: everything is opened relative to an open folder, never through
 * a symbolic link, and only plain files and folders are opened at all (no pipe, no device). Closing
 * is the caller's.
 */
#ifndef CLI_FILES_H
#define CLI_FILES_H

#include "base/err.h"
#include "base/str.h"

#include <sys/stat.h>

/* A descriptor, or -1: ERR_NOTFOUND there is none, ERR_PERM it is something else. */
int files_open(int dir, const char *name, struct stat *st, struct err *err);
int files_open_dir(int dir, const char *name, struct err *err);

bool files_is_dir(int dir, const char *name); /* and no link to one */
/* Nobody follows it, so somebody has to be told. */
bool files_is_link_to_dir(int dir, const char *name);

/* The names in a folder, in order of their bytes, without "." and "..". */
struct files_list {
	struct buf names; /* each ended by NUL */
	uint32_t *at;
	size_t n;
};
int files_list(int dir, struct files_list *l, struct err *err);
static inline const char *files_name(const struct files_list *l, size_t i)
{
	return l->names.p + l->at[i];
}
void files_list_free(struct files_list *l);

/* Every line of at most 4,000 bytes, with its ending; longer ones are left out. fn gives false when
 * it has enough. Closes fd. */
typedef bool files_line_fn(void *arg, struct str line);
int files_lines(int fd, files_line_fn *fn, void *arg, struct err *err);

#endif
