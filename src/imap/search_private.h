/* search_private.h - what SEARCH asks for (RFC 3501 6.4.4): the keys as a tree, and their tests. */
#ifndef IMAP_SEARCH_PRIVATE_H
#define IMAP_SEARCH_PRIVATE_H

#include "imap/fetch_private.h"

enum { IMAP_SEARCH_KEYS_MAX = 2000, IMAP_SEARCH_DEPTH_MAX = 32 };

enum imap_key_kind {
	IMAP_KEY_AND,  /* all of the children; none: true */
	IMAP_KEY_OR,   /* one of them */
	IMAP_KEY_FLAG, /* any of the system flags in `number` */
	IMAP_KEY_RECENT,
	IMAP_KEY_KEYWORD,
	IMAP_KEY_UIDS,
	IMAP_KEY_LARGER,
	IMAP_KEY_SMALLER,
	IMAP_KEY_BEFORE, /* day of arrival < number */
	IMAP_KEY_ON,
	IMAP_KEY_SINCE,
	IMAP_KEY_SENTBEFORE,
	IMAP_KEY_SENTON,
	IMAP_KEY_SENTSINCE,
	IMAP_KEY_FROM,
	IMAP_KEY_TO,
	IMAP_KEY_CC,
	IMAP_KEY_BCC,
	IMAP_KEY_SUBJECT,
	IMAP_KEY_HEADER, /* field `name` has `text`; an empty text: the field is there */
	IMAP_KEY_BODY,
	IMAP_KEY_TEXT
};

struct imap_key {
	struct imap_key *next, *children;
	enum imap_key_kind kind;
	bool negated;
	int64_t number;
	struct str name, text; /* text is folded (imap_fold) */
	struct imap_range *uids;
	size_t uid_count;
};

struct imap_search {
	struct imap_key *root; /* IMAP_KEY_AND */
	bool bad_charset;      /* RFC 3501 6.4.4: NO [BADCHARSET] */
	bool wants_facts;      /* more than an entry's own fields is needed */
};

/* parse_search.c: " [CHARSET x] keys". Sets are resolved in the view at once. Depth is limited. */
bool imap_in_search(struct imap_in *in, const struct imap_view *view, struct imap_search *q);

/* Append the text as search compares it: every letter small. Bytes that are no UTF-8 stay apart
 * from all characters. */
void imap_fold(struct str text, struct buf *out);

/* match.c: does the message answer the question? 1, 0, -1 with err. */
int imap_match(struct imap_session *s, const struct imap_search *q, const struct imap_entry *e,
	struct err *err);

#endif
