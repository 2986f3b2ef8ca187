/* fsck_private.h - what the files of fsck share. */
#ifndef STORE_FSCK_PRIVATE_H
#define STORE_FSCK_PRIVATE_H

#include "db/db.h"
#include "store/fsck.h"
#include "store/log_private.h"

struct store;

enum { FSCK_URL = 1024, FSCK_TOLD = 50 /* findings of one check that are told one by one */ };

struct fsck {
	int dir;
	const struct fsck_options *o;
	struct fsck_result *out;
	struct db *db;
	struct slog_position at; /* where the index stands */
	uint64_t safe_sequence;  /* what lies before is not needed to make it anew */
	uint64_t safe_segment;   /* the same */
	bool keep_unnamed;       /* files of blob/ may be mail whose record is lost */
};

void fsck_say(struct fsck *f, const char *check, enum fsck_severity severity, bool repaired,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void fsck_url(const struct fsck *f, char url[FSCK_URL], const char *name);

/* Higher than every one that was given out. */
int fsck_uidvalidity(struct db *db, uint32_t *out, struct err *err);

/* ---- fsck_log.c: the segments, whatever state they are in ---- */

struct log_gap {
	uint64_t segment, from, to;
	uint64_t after, before; /* sequence numbers of the valid records around it; 0: none */
	bool is_tail;           /* nothing valid follows: a batch that nobody was told of */
	uint64_t absent;        /* files that are not there, from `segment` on; 0: there is one */
	const char *what;
};

struct log_walk {
	int dir;
	uint64_t from; /* the first segment to look at */
	int (*record)(void *arg, const struct slog_record *r, struct err *err);
	int (*gap)(void *arg, const struct log_gap *g, struct err *err);
	void *arg;
	uint64_t segments, records, highest; /* highest: number of a file */
	/* the walk's own */
	struct slog_position last;
	uint64_t last_number;
	uint64_t absent; /* files that lack before the one in hand */
	struct buf bytes;
};

/* "log/0000000003.seg is not there", "... to ... are not there". */
enum { LOG_ABSENT = 80 };
void log_absent_text(char text[LOG_ABSENT], const struct log_gap *g);

/* All valid records in order, and what lies between them. Segments that are not there may have been
 * removed, because nothing in them was needed any more. */
int log_walk(struct log_walk *w, struct err *err);
int fsck_check_log(struct fsck *f, struct err *err);

/* ---- fsck_index.c: the tables against each other ---- */

/* integrity_check of SQLite. False: it is damaged; said already. */
bool fsck_index_is_whole(struct fsck *f);
/* With repair, in a transaction of the caller. */
int fsck_check_index(struct fsck *f, bool repair, struct err *err);

/* ---- fsck_body.c ---- */

int fsck_check_bodies(struct fsck *f, struct err *err);

/* ---- fsck_rebuild.c ---- */

/* Apply what follows the index's position in the log, passing over damage. *losses: how much was
 * not there, or did not fit. The transaction stays open: what was passed over leaves counters that
 * are wrong, and a store that counts links wrong removes mail. */
int fsck_salvage(struct fsck *f, struct store *s, uint64_t *losses, struct err *err);

/* ---- fsck_anew.c ---- */

/* As fsck_salvage(), with an index of its own (INDEX_NEW), begun from a snapshot. */
int fsck_rebuild(struct fsck *f, struct store *s, uint64_t *losses, struct err *err);
/* It is whole, and nobody has it open: the one that was there becomes index.db.broken. */
int fsck_put_in_place(struct fsck *f, struct err *err);

#endif
