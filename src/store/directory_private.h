/* directory_private.h - what the files of the directory share. */
#ifndef STORE_DIRECTORY_PRIVATE_H
#define STORE_DIRECTORY_PRIVATE_H

#include "mail/address.h"
#include "store/directory.h"

/* An address in the form in which it is kept and compared. */
struct directory_name {
	struct address_store store;
	struct address address; /* local in lower case */
	struct str local;       /* with its case */
	char lower[ADDRESS_LOCAL_MAX];
};
int directory_parse(struct str s, struct directory_name *out, struct err *err);
/* The same, or "@domain": the catch-all. */
int directory_parse_alias(struct str s, struct directory_name *out, struct err *err);

struct directory_entry {
	uint64_t id, account; /* account 0: an alias */
	uint64_t domain;
	uint8_t kind;  /* of the domain; 0: not ours */
	uint8_t flags; /* STORE_ADDRESS_ */
	bool mapped;   /* id 0: the map knows this name */
};
/* Look an address up: the domain, then the address exactly. id 0: no such address there. */
int directory_find(struct view *v, const struct directory_name *name, struct directory_entry *out,
	struct err *err);
/* The same with subaddresses, the map, postmaster and abuse, and the catch-all. `name` becomes the
 * name under which it was found. */
int directory_resolve(
	struct view *v, struct directory_name *name, struct directory_entry *out, struct err *err);

char directory_separator(const struct view *v);
/* Is this "user", the separator and something? Then *user is what stands before. */
bool directory_untag(const struct view *v, struct str local, struct str *user);
/* What the map says of a name, a line feed after each target; 1, 0, -1. */
int directory_map(struct view *v, const struct address *a, struct buf *targets, struct err *err);

#endif
