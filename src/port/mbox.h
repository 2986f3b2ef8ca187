/* mbox.h - mailboxes in one file, as Unix, Thunderbird and mutt keep them.
 *
 * The reader takes the four kinds: mboxo and mboxrd quote lines that begin with "From " (">From "),
 * mboxcl and mboxcl2 count (Content-Length). A length is believed when the file agrees with it,
 * i.e. when a message or the end of the file follows. It reads through a function, so it needs a
 * window of memory whatever the size of the file, and any bytes are an mbox or none. The writer
 * makes mboxrd, from which every byte comes back.
 *
 * What a mailbox keeps in fields of its messages (Status, X-Status, X-Keywords, X-UID, X-IMAPbase,
 * those of Mozilla, a length that was believed) is read and is no part of the message. Of several
 * fields of a name the last one counts, because that is where programs add theirs: a message that
 * was sent with such a field keeps it.
 */
#ifndef PORT_MBOX_H
#define PORT_MBOX_H

#include "base/err.h"
#include "port/marks.h"

enum mbox_kind { MBOX_ANY, MBOX_O, MBOX_RD, MBOX_CL, MBOX_CL2 };

/* Where bytes come from. Reads up to n bytes at a place; *got 0 is the end. */
struct mbox_source {
	int (*read)(void *arg, uint64_t at, char *p, size_t n, size_t *got, struct err *err);
	void *arg;
};

enum {
	MBOX_WINDOW = 65536,
	MBOX_FIELDS = 10,
	MBOX_QUOTES = 60000 /* a line that begins with more '>' is neither quoted nor unquoted */
};

/* Opaque; about 64 KiB. */
struct mbox {
	struct mbox_source source;
	enum mbox_kind kind;
	uint64_t at; /* where the next message is looked for */
	uint64_t window_at;
	size_t window_n;
	bool window_last; /* the file ends with it */
	char window[MBOX_WINDOW];
};

struct mbox_message {
	uint64_t from;                /* where its From_ line begins */
	uint64_t begin, end;          /* its bytes in the file */
	uint64_t blank, body;         /* where the head's empty line and the body begin */
	int64_t date;                 /* of the From_ line, seconds since 1970; 0: none */
	uint32_t flags;               /* MARK_ */
	bool expunged;                /* Thunderbird has deleted it already */
	bool counted;                 /* a length said where it ends */
	bool verbatim;                /* and no line is quoted */
	uint32_t uid, uidvalidity;    /* 0: none */
	uint64_t fields[MBOX_FIELDS]; /* where the mailbox's own fields begin; 0: there is none */
	char keywords[MARKS_KEYWORDS + 1];
};

void mbox_init(struct mbox *m, const struct mbox_source *source, enum mbox_kind kind);
/* 1 with the next message, 0 at the end, -1. ERR_PERM: not an mbox. */
int mbox_next(struct mbox *m, struct mbox_message *out, struct err *err);

/* The message's bytes, in pieces, unquoted and without the mailbox's fields; lines end as they do
 * in the file. The sink gives -1 to stop. */
typedef int mbox_sink(void *arg, struct str piece, struct err *err);
int mbox_read(struct mbox *m, const struct mbox_message *msg, mbox_sink *sink, void *arg,
	struct err *err);

/* "From joe@x.y Mon Nov 30 17:54:07 2026" with or without its line ending. False: not such a line.
 */
bool mbox_from_line(struct str line, int64_t *date);

/* --- writing ---------------------------------------------------------------------------------- */

struct mbox_marks {
	int64_t date;
	uint32_t flags, uid, uidvalidity; /* uidvalidity not 0: the first message of the file */
	struct str keywords;
};

struct mbox_writer {
	struct mbox_marks marks;
	bool in_body, begun, cr;
	size_t quotes; /* at the beginning of this line */
	size_t held;   /* bytes of "From " at the beginning of a line that are not written yet */
	bool quotable; /* nothing but '>' so far in this line */
	bool line_empty;
};

/* Mail in, mboxrd out: the From_ line, the message in pieces, the empty line after it. */
void mbox_write_begin(struct mbox_writer *w, const struct mbox_marks *marks, struct buf *out);
void mbox_write(struct mbox_writer *w, struct str piece, struct buf *out);
void mbox_write_end(struct mbox_writer *w, struct buf *out);

#endif
