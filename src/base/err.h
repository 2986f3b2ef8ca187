/* err.h - why something failed, in a form both a program and a person can use.
 *
 * A function that can fail for outside reasons returns -1 and fills *err.
 * The kind decides what happens next (retry, bounce, hang up); the text is for
 * the log. Filling an err never allocates. err is untouched on success.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include "base/str.h"

enum err_kind {
	ERR_NONE,
	ERR_TEMP,     /* may work later: SMTP 4xx, IMAP NO [UNAVAILABLE] */
	ERR_PERM,     /* will not work: SMTP 5xx */
	ERR_PROTO,    /* the peer broke the protocol */
	ERR_LIMIT,    /* over a size, count or rate limit */
	ERR_NOTFOUND, /* no such account, mailbox, message, name */
	ERR_EXISTS,   /* already there */
	ERR_DENIED,   /* not allowed to this caller; wrong password */
	ERR_FULL,     /* no space on the disk */
	ERR_CLOSED,   /* the peer went away */
	ERR_TIMEOUT,
	ERR_CANCELED, /* our own shutdown: unwind, say nothing */
	/* What a recipient may meet: */
	ERR_DISABLED,   /* the account takes no mail */
	ERR_QUOTA,      /* over its quota: worth another try */
	ERR_QUOTA_LONG, /* over its quota for so long that it is not */
	ERR_EXPANSION,  /* a list that leads too far, or in a circle */
	ERR_DAMAGED,    /* what is on the disk is not what was stored: no other try helps */
	ERR_KINDS
};

struct err {
	enum err_kind kind;
	char msg[240];
};

#define ERR_INIT ((struct err){ .kind = ERR_NONE })

/* All return -1, so that a caller can write `return err_set(...)`. Control characters in the
 * result are replaced by '?', so a peer's words cannot forge log lines. */
int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int err_wrap(struct err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));                  /* "fmt: old text" */
int err_sys(struct err *e, const char *what, const char *name); /* "what name: strerror(errno)";
								 * ENOSPC and EDQUOT give ERR_FULL,
								 * everything else ERR_TEMP */
const char *err_kind_name(enum err_kind kind);

#endif
