/* aliases.h - files that say where addresses lead: the aliases of sendmail, and virtual tables.
 *
 * ALIASES_CLASSIC is aliases(5), "name: target, target": a name without a domain is meant in every
 * domain. ALIASES_VIRTUAL is a table, "address target, target"; "@domain" is the catch-all. In both
 * '#' begins a comment line and a line that begins with white space goes on with the one before.
 * Names and targets are addresses or local parts; a target without a domain is in the domain that
 * was asked for. Commands ("|program"), files ("/path") and ":include:" are refused, as is what is
 * not an address.
 *
 * Pure: bytes in, calls out. Errors (ERR_PERM, ERR_LIMIT) begin with "line N: ". Linear time.
 */
#ifndef MAIL_ALIASES_H
#define MAIL_ALIASES_H

#include "base/err.h"
#include "base/str.h"

enum { ALIASES_FILE_MAX = 16 << 20, ALIASES_LINE_MAX = 1 << 20, ALIASES_TARGETS_MAX = 1000 };
enum aliases_form { ALIASES_CLASSIC, ALIASES_VIRTUAL };

/* name: "local@domain", "local" or "@domain", canonical (address_print()) and in lower case.
 * targets: each ends with a line feed. -1 ends the reading; its err gets the line. */
typedef int aliases_fn(void *arg, struct str name, struct str targets, struct err *err);
int aliases_read(
	struct str text, enum aliases_form form, aliases_fn *fn, void *arg, struct err *err);

#endif
