/* parse.h - the grammar of IMAP commands (RFC 3501 9), token by token.
 *
 * The input is one whole command as the reader gathered it: its line, with each literal standing
 * where it was sent, as "{5}" CRLF and five bytes. A parse function takes what it knows from the
 * front of the input. When the input is something else it returns false and says in `why` what was
 * expected; the command is then answered with BAD, so nothing is undone after a false. Total: any
 * bytes give a value or false. Nothing recurses. Slices point into the input or into the arena,
 * which has the limit.
 */
#ifndef IMAP_PARSE_H
#define IMAP_PARSE_H

#include "base/arena.h"
#include "base/str.h"

enum {
	IMAP_NAME_MAX = 1000,    /* octets of a mailbox name in UTF-8 */
	IMAP_FLAGS_MAX = 1000,   /* octets of all keywords of a message, with the spaces between */
	IMAP_KEYWORD_MAX = 100,  /* octets of one */
	IMAP_NESTING_MAX = 32,   /* parentheses within each other */
	IMAP_PART_DEPTH_MAX = 32 /* numbers in BODY[1.2.3] */
};

struct imap_in {
	struct str s; /* what is left */
	struct arena *mem;
	const char *why; /* after a false: static text for the client */
};

/* Exactly this; `word` folds case. */
bool imap_in_char(struct imap_in *in, char c);
bool imap_in_word(struct imap_in *in, struct str word);
bool imap_in_space(struct imap_in *in);
bool imap_in_end(struct imap_in *in);
/* Is this next? Takes nothing, says nothing. */
bool imap_in_peek(const struct imap_in *in, char c);

bool imap_in_tag(struct imap_in *in, struct str *tag);
bool imap_in_atom(struct imap_in *in, struct str *atom);
bool imap_in_string(struct imap_in *in, struct str *s); /* quoted or literal */
bool imap_in_astring(struct imap_in *in, struct str *s);
bool imap_in_nstring(struct imap_in *in, struct str *s, bool *nil);
bool imap_in_number(struct imap_in *in, uint32_t *n);
bool imap_in_nonzero(struct imap_in *in, uint32_t *n);
bool imap_in_number64(struct imap_in *in, uint64_t *n); /* up to 2^63 - 1 */

/* A mailbox name as the store knows it: UTF-8, INBOX in capitals (RFC 3501 5.1: any case on the
 * wire, also as the first level). */
bool imap_in_mailbox(struct imap_in *in, struct str *name);
/* The pattern of LIST and LSUB, in UTF-8 with its wildcards (RFC 3501 6.3.8). */
bool imap_in_pattern(struct imap_in *in, struct str *pattern);

/* "5-Nov-2026", quotes allowed: days since 1970. "05-Nov-2026 10:00:00 +0100" in quotes: seconds
 * since 1970. */
bool imap_in_date(struct imap_in *in, int64_t *day);
bool imap_in_date_time(struct imap_in *in, int64_t *when);

/* System flags of a message (RFC 3501 2.3.2). \Recent is no flag a client can set. */
enum imap_flag {
	IMAP_SEEN = 1,
	IMAP_ANSWERED = 2,
	IMAP_FLAGGED = 4,
	IMAP_DELETED = 8,
	IMAP_DRAFT = 16
};
struct imap_flags {
	unsigned system;
	struct str keywords; /* separated by single spaces, no word twice */
};
/* "(\Seen $Junk)"; without parentheses only where RFC 3501 has it so (STORE). */
bool imap_in_flag_list(struct imap_in *in, struct imap_flags *flags);
bool imap_in_flags(struct imap_in *in, struct imap_flags *flags);
/* Is the word among the keywords? Case does not matter. */
bool imap_has_keyword(struct str keywords, struct str word);

/* A set of numbers as written: `last` may lie before `first`; IMAP_STAR is "*". */
#define IMAP_STAR 0
struct imap_range {
	uint32_t first, last;
};
struct imap_set {
	struct imap_range *v;
	size_t n;
};
bool imap_in_set(struct imap_in *in, struct imap_set *set);

#endif
