/* address.h - the one address parser.
 *
 * An address is {local, domain} in canonical form: the local part without its quoting and with its
 * case, the domain in lower case and in A-labels (xn--...), an address literal in its shortest
 * spelling. Two addresses are the same mailbox's if both slices are equal. Whatever is not
 * certainly an address is refused. Printing an address and parsing the result gives the same
 * address.
 *
 * The parsers copy into a store that the caller owns; the slices point there. Below: the lists of
 * header fields, read tolerantly but through the same final check. Linear time.
 */
#ifndef MAIL_ADDRESS_H
#define MAIL_ADDRESS_H

#include "base/err.h"
#include "base/str.h"

enum {
	ADDRESS_LOCAL_MAX = 64,   /* RFC 5321 4.5.3.1.1; bytes without quoting */
	ADDRESS_DOMAIN_MAX = 255, /* RFC 5321 4.5.3.1.2 */
	ADDRESS_PATH_MAX = 256,   /* RFC 5321 4.5.3.1.3; printed, with the angle brackets */
	ADDRESS_LIST_MAX = 1000,  /* addresses of one field that are looked at */
};

struct address {
	struct str local, domain; /* both empty: the null path. Only domain empty: postmaster */
};

struct address_store {
	char bytes[ADDRESS_LOCAL_MAX + ADDRESS_DOMAIN_MAX];
};

enum {
	ADDRESS_UTF8 = 1, /* the local part may be UTF-8 (SMTPUTF8, RFC 6531) */
	ADDRESS_NULL = 2, /* <> is allowed (MAIL FROM) */
	ADDRESS_POSTMASTER =
		4, /* <Postmaster> without a domain is allowed (RCPT TO); local is "postmaster" */
};

/* RFC 5321 4.1.2 Path, at the front of s: "<@route:local@domain>". A source route is checked
 * and dropped. *rest is what follows the closing bracket; NULL: nothing may follow. Errors:
 * ERR_PERM for no address, ERR_LIMIT for a part that is too long. Domains may always be written
 * with U-labels; they come out as A-labels. */
int address_path(struct str s, unsigned flags, struct address_store *store, struct address *a,
	struct str *rest, struct err *err);

/* RFC 5321 4.1.2 Mailbox, all of s: "local@domain", without brackets. */
int address_mailbox(struct str s, unsigned flags, struct address_store *store, struct address *a,
	struct err *err);

/* Check and bring into canonical form what is already taken apart (local part unquoted). The
 * slices must not lie in the store. */
int address_make(struct str local, struct str domain, unsigned flags, struct address_store *store,
	struct address *a, struct err *err);

bool address_is_null(const struct address *a);
bool address_eq(const struct address *a, const struct address *b);
bool address_is_ascii(const struct address *a); /* false: only an SMTPUTF8 server can take it */

/* Append "local@domain", the local part quoted where it must be; "" for the null path. */
void address_print(struct buf *b, const struct address *a);
void address_print_path(struct buf *b, const struct address *a); /* with the brackets */

/* A domain name in canonical form: A-labels, lower case, no dot at the end. Fails (ERR_PERM,
 * ERR_LIMIT) for what is no domain name. `out` has room for ADDRESS_DOMAIN_MAX bytes. */
int domain_canonical(struct str s, char *out, struct str *domain, struct err *err);
/* Do both name the same domain, however they are written? What is no domain equals nothing. */
bool domain_same(struct str a, struct str b);
/* With U-labels where that is certain, for people to read. */
void domain_print_unicode(struct buf *b, struct str domain);

/* --- header fields: RFC 5322 3.4 and 4.4 --------------------------------------------------- */

enum address_item_kind {
	ADDRESS_ITEM_MAILBOX,
	ADDRESS_ITEM_GROUP, /* a group begins; its name is in `name` */
	ADDRESS_ITEM_GROUP_END,
	ADDRESS_ITEM_BROKEN, /* something stood there that is no address; what could be read is
				filled in */
};

struct address_item {
	enum address_item_kind kind;
	struct str
		name; /* display name, unquoted; encoded words as they are. Else the last comment */
	struct str local;  /* unquoted */
	struct str domain; /* as written, without comments */
};

/* Walks over a field's value (folds and all). Slices are good until the next call. Takes memory for
 * the text of one address; free it. */
struct address_list {
	struct str rest;
	size_t items;
	bool over; /* stopped at a limit: there was more */
	bool in_group;
	struct buf name, local, domain, comment;
};

void address_list_init(struct address_list *l, struct str value);
bool address_list_next(struct address_list *l, struct address_item *item);
void address_list_free(struct address_list *l);

#endif
