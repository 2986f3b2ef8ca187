/* address_map.h - where addresses lead that stand neither with an account nor with an alias.
 *
 * The one interface behind which files are now (role/store_map.c) and SQL or LDAP may be: asked
 * after the directory and before its catch-all, from the writer's thread and from those that read,
 * so it must not wait for the network. What it says is decided when mail comes and is not asked
 * again in a replay.
 */
#ifndef STORE_ADDRESS_MAP_H
#define STORE_ADDRESS_MAP_H

#include "base/err.h"
#include "base/str.h"

struct address_map {
	/* Append the targets of local@domain, a line feed after each; both are in canonical form,
	 * the local part in lower case. An empty local part asks for the catch-all of the domain.
	 * 1, 0 no such address, -1 (ERR_TEMP: it cannot be known now). Any thread. */
	int (*find)(void *arg, struct str local, struct str domain, struct buf *targets,
		struct err *err);
	void *arg;
};

#endif
