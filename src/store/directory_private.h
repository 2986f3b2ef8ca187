/* directory_private.h - what the files of the directory share. */
#ifndef STORE_DIRECTORY_PRIVATE_H
#define STORE_DIRECTORY_PRIVATE_H

#include "mail/address.h"
#include "store/directory.h"

/* An address in the form in which it is kept and compared. */
struct directory_name {
	struct address_store store;
	struct address address; /* local in lower case */
	char lower[ADDRESS_LOCAL_MAX];
};
int directory_parse(struct str s, struct directory_name *out, struct err *err);

struct directory_entry {
	uint64_t id, account; /* account 0: an alias */
	uint64_t domain;
	uint8_t kind; /* of the domain; 0: not ours */
};
/* Look an address up: the domain, then the address exactly. id 0: no such address there. */
int directory_find(struct view *v, const struct directory_name *name, struct directory_entry *out,
	struct err *err);
/* The same with subaddresses, postmaster and abuse. */
int directory_resolve(
	struct view *v, struct directory_name *name, struct directory_entry *out, struct err *err);

#endif
