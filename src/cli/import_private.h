/* import_private.h - between import.c and the formats it reads.
 *
 * A format walks its files and calls import_folder() and import_message(). -1 means that nothing
 * more can go in; a file or folder that cannot be read is named and left out.
 */
#ifndef CLI_IMPORT_PRIVATE_H
#define CLI_IMPORT_PRIVATE_H

#include "cli/feed.h"
#include "cli/files.h"
#include "cli/table.h"

enum { IMPORT_DEPTH = 32 };

struct import {
	struct cli *c;
	struct str login, folder, path; /* folder: where all of it goes; empty: by name */
	enum mbox_kind kind;
	bool subscribe; /* folders that are made; else the source says which */
	struct feed feed;
	struct table table;
	bool in_folder;
	uint64_t refused, done, whole; /* done: messages, or where the format is in its file */
	char uses[5][FEED_NAME +
		1]; /* the account's folders for drafts, sent ... in the order of USE_ */
};

/* A folder of the source begins: "INBOX", "Work/2026". total: of messages, or of bytes. 1, 0: left
 * out, -1. */
int import_folder(struct import *im, struct str name, uint64_t total, bool bytes, struct err *err);
/* In a folder. `done` counts towards its total. */
int import_message(struct import *im, const struct feed_item *item, uint64_t done, struct err *err);
int import_folder_end(struct import *im, struct err *err);
int import_subscribe(struct import *im, struct str name, struct err *err);
/* Something outside of a folder that is left out. */
void import_skip(struct import *im, struct str label, const char *why);

/* The bytes of an open file, for feed_item.read; arg is an int *. */
int import_read_fd(void *arg, mbox_sink *sink, void *sink_arg, struct err *err);
/* When the mail of a file came: its time, and never 0. */
int64_t import_date(const struct stat *st);

int import_maildir(struct import *im, int dir, struct err *err);
int import_mbox(struct import *im, int fd, const struct stat *st, struct err *err); /* one file */
int import_mboxes(struct import *im, int dir, struct err *err);
int import_eml(struct import *im, int dir, struct err *err);
int import_one_eml(struct import *im, int fd, const struct stat *st, struct err *err);

#endif
