/* fsck.h - check a data directory: log, index, bodies and counters against each other; and make the
 * index anew.
 *
 * Nothing is written unless repair or rebuild is asked for. What has one right answer is put right
 * (counters from what they count, links from what refers, rows that nothing refers to); what is
 * lost is named. Only here is a damaged log passed over: the records that can be read are applied,
 * and what lay between them is named.
 *
 * The index is made anew from the newest snapshot that is whole (those whose record the log still
 * has come first), and the log since; without one from the log alone, in which every body names its
 * account, folder and flags. The old one stays as index.db.broken, and is what it was until the new
 * one is whole. When anything may be missing all folders get a new UIDVALIDITY.
 *
 * Of a log that holds nothing at all nobody knows whether it is lost or elsewhere (a disk that is
 * not mounted). When it is said to be lost (new_log), a new one is begun: all that the index knows
 * stays, bodies that lay in the log are marked as damaged, those in files of their own are there.
 *
 * fsck_run() takes the lock: ERR_EXISTS when a server has it. Then fsck_online() reads the index
 * while it changes, each check for itself one moment of it. Damage is a finding and no error; an
 * error is what keeps from looking.
 */
#ifndef STORE_FSCK_H
#define STORE_FSCK_H

#include "base/err.h"
#include "base/str.h"

enum fsck_severity {
	FSCK_NOTE,  /* worth knowing, nothing wrong */
	FSCK_WRONG, /* has a right answer */
	FSCK_LOST   /* something that was promised cannot be brought back */
};

struct fsck_finding {
	const char *check; /* "mailbox.counters" */
	enum fsck_severity severity;
	bool repaired; /* put right, or what is lost is cleared away */
	const char *text;
};

struct fsck_options {
	const char *path; /* the folder as SQLite shall name it; see store_options */
	bool repair, rebuild;
	bool new_log; /* log/ holds no record any more, and none will come back: begin another */
	void (*found)(void *arg, const struct fsck_finding *f);
	void *arg;
};

struct fsck_result {
	uint64_t segments, records, bodies, blobs;
	uint64_t wrong, repaired, lost; /* findings; lost ones are among the wrong ones */
	bool index_unusable;            /* only rebuild helps */
};

int fsck_run(int dir, const struct fsck_options *o, struct fsck_result *out, struct err *err);
int fsck_online(int dir, const struct fsck_options *o, struct fsck_result *out, struct err *err);

/* Compress what pays, or undo it, for all messages (compact.h, store_rewrite); *changed: how many.
 * Then there is one snapshot, and what they were is gone. */
int fsck_rewrite(int dir, const char *path, bool squeezed, uint64_t *changed, struct err *err);

/* Give the index the format of the version before (`to`), after everything in the log has been
 * applied to it and a snapshot was made. */
int fsck_go_back(int dir, const char *path, int64_t to, struct err *err);

#endif
