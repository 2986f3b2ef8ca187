/* mime.h - the structure of a message: its parts, where they lie, and what they say they are.
 *
 * A parser is fed the message in pieces of any size, in order, and keeps only the structure, so
 * a message of any length passes in bounded memory; the result does not depend on the pieces.
 * Offsets count from the first byte fed. Every byte string is a message. Past the limits the rest
 * is not looked into (`cut`). Lines and heads are those of mail/header.h. Linear time.
 *
 * The parser owns the tree and everything in it. Making it and feeding it can fail only for
 * lack of memory, which mime_parser_finish() reports.
 */
#ifndef MAIL_MIME_H
#define MAIL_MIME_H

#include "base/err.h"
#include "base/str.h"

enum {
	MIME_DEPTH_MAX = 100,
	MIME_PARTS_MAX = 10000,
	MIME_BOUNDARY_MAX = 200, /* RFC 2046 5.1.1 says 70; some programs write more */
	MIME_PARAMS_MAX = 64,    /* parameters of a field */
};
#define MIME_NONE UINT32_MAX

enum mime_kind {
	MIME_LEAF,      /* not looked into. With a type of multipart or message/rfc822 that means it
			 * could      not be (limits, no boundary): treat it as application/octet-stream
			 */
	MIME_MULTIPART, /* has any number of children; none when its first boundary never came */
	MIME_MESSAGE,   /* message/rfc822 or message/global: has one child, the message in it */
};

/* Parts stand in the order in which they begin; part 0 is the whole message. The children of part
 * i are i + 1, then next(i + 1), and so on, as long as their parent is i. */
struct mime_part {
	enum mime_kind kind;
	uint32_t parent;     /* MIME_NONE for part 0 */
	uint32_t next;       /* the part after this one and all that is in it */
	uint32_t number;     /* among its parent's children, from 1 */
	uint32_t depth;      /* 0 for part 0 */
	uint64_t head;       /* offset of its own head */
	uint64_t head_size;  /* with the empty line */
	uint64_t body_size;  /* the body follows the head */
	uint64_t lines;      /* line endings in the body */
	struct str info;     /* for mime_info_read() */
	struct str envelope; /* for mime_envelope_read(); of part 0 and of messages in messages */
};

struct mime_tree {
	const struct mime_part *part;
	uint32_t n;
	uint64_t size;
	bool cut;       /* a limit was met: some parts were not looked into */
	bool lossy;     /* a limit was met: some values of fields are missing */
	bool ambiguous; /* fields that must be single are doubled, or cannot be read: others may
			 * read this message differently */
};

static inline uint64_t mime_body(const struct mime_part *p)
{
	return p->head + p->head_size;
}

/* What the fields of a part say, comments removed; empty where there is none. A missing or
 * unreadable Content-Type is text/plain (in multipart/digest: message/rfc822) without parameters.
 */
struct mime_info {
	struct str type, subtype; /* as written: compare with str_eqi */
	struct str params;        /* for mime_param_next() */
	struct str encoding;      /* Content-Transfer-Encoding; "7bit" when there is none */
	struct str disposition, disposition_params;
	struct str id, description, language, location, md5;
};
void mime_info_read(const struct mime_part *p, struct mime_info *info);
bool mime_is_type(
	const struct mime_info *info, struct str type, struct str subtype); /* subtype empty: any */

/* Walk over parameters: start with *rest = params. The continuations of RFC 2231 are joined; a
 * value with charset and percent codes keeps them and has "*" at the end of its name. */
bool mime_param_next(struct str *rest, struct str *name, struct str *value);
bool mime_param_find(struct str params, struct str name, struct str *value);
/* The value in UTF-8, whichever way it was written (RFC 2231, or RFC 2047 as many do). */
bool mime_param_text(struct str params, struct str name, struct buf *text);

/* Values of a message's own fields on one line each, otherwise raw; of several the first. They hold
 * no CR, LF or NUL. Read addresses with mail/address.h, words with mail/encode.h. */
struct mime_envelope {
	struct str date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id;
};
void mime_envelope_read(struct str coded, struct mime_envelope *e);

/* The part that an IMAP section number names (RFC 3501 6.4.5), or NULL. With n = 0 the whole
 * message. Its HEADER and TEXT are, when the part is a MIME_MESSAGE, those of its child. */
const struct mime_part *mime_section(const struct mime_tree *t, const uint32_t *number, size_t n);

struct mime_limits {
	uint32_t parts;
	size_t text;  /* bytes of all infos and envelopes */
	size_t field; /* bytes of one value */
};
#define MIME_LIMITS ((struct mime_limits){ MIME_PARTS_MAX, 4 << 20, 256 << 10 })

/* Called while the parser runs; any may be NULL. */
struct mime_hooks {
	void *arg;
	/* A leaf's body begins. */
	void (*leaf)(void *arg, const struct mime_part *part, const struct mime_info *info);
	/* Bytes of the body of the leaf last named, as they are in the message. The line ending
	 * before a boundary is among them. */
	void (*data)(void *arg, struct str bytes);
};

struct mime_parser;

struct mime_parser *mime_parser_new(
	const struct mime_limits *limits, const struct mime_hooks *hooks);
void mime_parser_feed(struct mime_parser *p, struct str piece);
/* No more comes. *tree lives until the parser is freed. ERR_TEMP: out of memory. */
int mime_parser_finish(struct mime_parser *p, struct mime_tree *tree, struct err *err);
/* The References field of the message itself, on one line. */
struct str mime_parser_references(const struct mime_parser *p);
void mime_parser_free(struct mime_parser **p);

#endif
