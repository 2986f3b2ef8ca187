/* log_private.h - what the files of the log share. */
#ifndef STORE_LOG_PRIVATE_H
#define STORE_LOG_PRIVATE_H

#include "store/log.h"

#include <pthread.h>

enum {
	SLOG_NAME = 40,      /* "log/0000000001.seg" */
	SLOG_FILES = 64,     /* segments kept open for reading */
	SLOG_ENDS_BATCH = 1, /* record flag: the last of its batch */
	SLOG_PAGE = 4096     /* a write that covers its pages reads none of them first */
};

#define SLOG_SEGMENT_BYTES (UINT64_C(64) << 20)
#define SLOG_BATCH_MAX (UINT64_C(256) << 20)

/* Makes the next segment while the current one fills. */
struct slog_ahead {
	int dir;
	uint64_t bytes, spare;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool running, stop;
	uint64_t wanted; /* number to make; 0: nothing */
	int ready;       /* descriptor of `wanted`, -1: not made yet */
};

struct slog_file {
	uint64_t segment; /* 0: empty slot */
	int fd;
	unsigned users;
	bool gone; /* its file is: closed with the last user */
};

struct slog {
	int dir;
	uint64_t segment_bytes;
	struct slog_position at; /* of the last durable record */
	int fd;                  /* of segment at.segment */
	uint64_t capacity;       /* its size */
	uint32_t salt;
	char damage[200];
	bool unsure; /* slog_is_unsure() */
	struct slog_ahead ahead;

	/* the open batch */
	struct buf batch;
	uint64_t batch_start; /* offset of batch.p[0] in the segment */
	size_t last;          /* offset in batch.p of the last record */
	uint64_t count;

	pthread_mutex_t files_lock;
	struct slog_file files[SLOG_FILES];
};

struct slog_segment {
	uint64_t number;
	uint32_t salt;
	int64_t created; /* microseconds since 1970 */
};

void slog_segment_name(char name[SLOG_NAME], uint64_t number, const char *suffix);
/* 0: not the name of one. */
uint64_t slog_segment_number(struct str name);
void slog_segment_put(char head[SLOG_SEGMENT_HEAD], const struct slog_segment *s);
bool slog_segment_parse(struct str bytes, struct slog_segment *s);

/* Length of the record whose head this is, 0 when it is none. The head has a checksum of its own,
 * so that a search through foreign bytes is cheap. */
uint64_t slog_record_length(struct str head, uint32_t salt);
/* The sizes of a record that was just put together: its padded length, 0 when they contradict each
 * other. */
size_t slog_record_sizes(const char *head, size_t *body, size_t *effects);
/* What the head of a record says, and the sizes of its body and effects: its padded length, 0 when
 * it is none. */
size_t slog_record_head(
	struct str head, uint32_t salt, struct slog_record *r, size_t *body, size_t *effects);
/* Head of a record; its checksum comes with slog_record_seal(). */
void slog_record_put(char head[SLOG_RECORD_HEAD], const struct slog_record *r);
/* Set flags, chain and checksum of a whole record in place; returns the checksum. */
uint32_t slog_record_seal(char *record, uint32_t salt, uint32_t previous, bool ends_batch);

/* Make a segment: a head and zeros, flushed and in its place. Returns a descriptor for writing.
 * ERR_FULL, before anything is written, when it would leave less than a->spare. */
int slog_segment_make(const struct slog_ahead *a, uint64_t number, struct err *err);
/* Read the head of an open segment. ERR_PROTO when it is none. */
int slog_segment_read(int fd, uint64_t number, struct slog_segment *s, struct err *err);

void slog_ahead_start(struct slog_ahead *a, int dir, uint64_t bytes, uint64_t spare);
void slog_ahead_want(struct slog_ahead *a, uint64_t number);
int slog_ahead_take(struct slog_ahead *a, uint64_t number, struct err *err);
void slog_ahead_stop(struct slog_ahead *a);

/* Walks the chain: each step gives the record after `at`, in this segment or the next. */
struct slog_cursor {
	int dir, fd;
	uint64_t segment, size; /* the open file; 0: none */
	uint32_t salt;
	struct buf window; /* bytes of it from `start` */
	uint64_t start;
	size_t ahead;      /* how many it reads at once */
	bool effects_only; /* of records that this process has written: bodies are passed over */
	struct slog_position at;
};

void slog_cursor_init(struct slog_cursor *c, int dir, const struct slog_position *at);
void slog_cursor_free(struct slog_cursor *c);
/* 1 a record (its slices live until the next step), 0 the chain goes no further, -1 a read failed.
 */
int slog_cursor_next(struct slog_cursor *c, struct slog_record *r, struct err *err);
/* The record that `at` names is there and is the one; or it names none. 1, 0, -1. */
int slog_cursor_check(struct slog_cursor *c, struct err *err);
/* A valid record at this offset of the open segment, whatever its place in the chain. 1, 0, -1. */
int slog_cursor_record(
	struct slog_cursor *c, uint64_t offset, struct slog_record *r, struct err *err);
/* Bytes of the open segment; fewer at its end. */
int slog_cursor_bytes(
	struct slog_cursor *c, uint64_t offset, size_t n, struct str *out, struct err *err);
/* Open a segment. 1, 0 there is no such file, -1. */
int slog_cursor_open(struct slog_cursor *c, uint64_t segment, struct err *err);

int slog_recover(struct slog *l, const struct slog_position *from, slog_replay_fn *replay,
	void *arg, struct err *err);

static inline uint64_t slog_round(uint64_t n, uint64_t to)
{
	return (n + to - 1) / to * to;
}

#endif
