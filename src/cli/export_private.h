/* export_private.h - between export.c and the formats it writes.
 *
 * A format is a few functions. What a folder holds is given to it message by message, in the order
 * of uids; it says which it has from an earlier run already. Names of folders are a user's words:
 * they become names of files only through port/names.h and port/maildir.h, and everything is made
 * relative to an open folder, never through a link.
 */
#ifndef CLI_EXPORT_PRIVATE_H
#define CLI_EXPORT_PRIVATE_H

#include "cli/cli.h"
#include "cli/files.h"
#include "cli/progress.h"
#include "cli/seen.h"
#include "cli/table.h"
#include "port/mbox.h"

enum { EXPORT_NAME = 1000 };

struct ahead;
struct export_message {
	uint32_t uid, flags;
	int64_t received;
	uint64_t size;
	struct str keywords;
};

struct export
{
	struct cli *c;
	struct str login, only, path; /* only: one folder; empty: all */
	const struct export_format *format;
	uint32_t handle;
	int root; /* an open folder */
	struct table table;
	struct progress progress;
	uint64_t refused; /* in all */

	/* the folder in hand */
	char name[EXPORT_NAME + 1];
	uint64_t mailbox;
	uint32_t uidvalidity, uidnext, exists;
	struct buf keywords; /* all that are in use there */
	uint64_t exported, present, left_out, bytes;

	/* messages on their way from the store, and the one that is written */
	const struct ahead *in_hand;
	bool unread; /* the store did not give it */
	unsigned flying;
	struct signal landed;
};

struct export_format {
	const char *name;
	bool one_file; /* with --folder, the path is a file */
	/* ERR_PERM, ERR_EXISTS, ERR_LIMIT: this folder is left out; anything else ends it all. */
	int (*begin)(struct export *x, struct err *err);
	bool (*has)(struct export *x, const struct export_message *m);
	int (*put)(struct export *x, const struct export_message *m, struct err *err);
	int (*end)(struct export *x, struct err *err);
	void (*close)(struct export *x); /* always, after begin */
	int (*finish)(struct export *x, struct str subscribed,
		struct err *err); /* NULL: nothing. Names, each ended by NUL */
};
extern const struct export_format export_maildir, export_mbox, export_eml;

/* The message in hand, piece by piece, as a client sees it. */
int export_read(struct export *x, const struct export_message *m, mbox_sink *sink, void *arg,
	struct err *err);

/* A folder below `dir`, made when it is missing; the levels of `name` as port/names.h writes them,
 * with `suffix` after each. Empty: dir itself. A descriptor of its own. */
int export_dir(int dir, struct str name, const char *suffix, struct err *err);

/* A file that appears whole or not at all: written as `part`, then named. */
struct export_file {
	int dir, fd;
	char part[64];
	struct buf out;
};
int export_file_begin(struct export_file *f, int dir, const char *part, struct err *err);
int export_file_flush(
	struct export_file *f, bool all, struct err *err); /* writes f->out when it is large */
/* date 0: now */
int export_file_end(
	struct export_file *f, int dir, const char *name, int64_t date, struct err *err);
void export_file_drop(struct export_file *f); /* fine after its end */

#endif
