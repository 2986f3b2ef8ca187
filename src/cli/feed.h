/* feed.h - messages into one account of the running server, many on the way at once.
 *
 * Messages get their uids in the order in which they are put. What is in the folder already
 * (seen.h) is left out, so an import that was broken off, however, is simply run again; one at a
 * time into an account. One that cannot be taken is named, counted and left out; the call fails
 * only when nothing more can go in: the account is full, the server is gone. Memory: 256 KiB for a
 * message of any size, and the marks of those on the way.
 */
#ifndef CLI_FEED_H
#define CLI_FEED_H

#include "cli/cli.h"
#include "cli/progress.h"
#include "cli/seen.h"
#include "port/mbox.h"
#include "port/newline.h"

enum { FEED_NAME = 1000, FEED_LABEL = 300 };

struct feed {
	struct cli *c;
	uint32_t handle;
	uint64_t size_max;
	struct progress progress;

	/* the folder */
	char folder[FEED_NAME + 1];
	uint64_t mailbox;
	struct seen seen;
	uint64_t imported, present, refused, bytes;

	/* the message in hand */
	struct newline newline;
	struct buf text; /* all of it, as long as it is small */
	bool big;
	uint64_t size;
	uint32_t checksum;

	/* on their way */
	uint32_t last_txn;
	unsigned in_flight;
	uint64_t flying; /* bytes */
	struct signal landed;
	struct err failed;
};

struct feed_item {
	struct str label; /* for people */
	int64_t received;
	uint32_t flags;
	struct str keywords;
	/* Gives the bytes, in pieces; lines may end in LF. Called twice for a large message. */
	int (*read)(void *arg, mbox_sink *sink, void *sink_arg, struct err *err);
	void *arg;
};

int feed_open(struct feed *f, struct cli *c, struct str login, struct err *err);
/* The folder is made when it is missing, and, with `subscribe`, subscribed then. 0: it cannot be
 * made, which has been said. 1, -1. */
int feed_folder(struct feed *f, struct str name, bool subscribe, struct err *err);
int feed_put(struct feed *f, const struct feed_item *item, struct err *err);
/* Wait for what is on its way. */
int feed_flush(struct feed *f, struct err *err);
void feed_name_refused(struct feed *f, struct str label, const char *why);
void feed_close(struct feed *f); /* waits for what is on its way, whatever becomes of it */

#endif
