/* limits.h - how often somebody may guess.
 *
 * Every attempt costs a token of its account, of its network (IPv4: the address and its /24; IPv6:
 * the /64 and the /48) and of everybody together; a right password gives them back. Without a token
 * the attempt is refused unchecked, so a right guess looks like a wrong one. From a network
 * where the account's owner has logged in before, only a bucket of that pair counts: an attack
 * from elsewhere does not lock the owner out.
 *
 * Pure: time is a parameter (monotonic nanoseconds). Memory is fixed at birth; when a table is
 * full the entries that are nearest to forgotten go. Cannot fail after limits_new().
 */
#ifndef AUTH_LIMITS_H
#define AUTH_LIMITS_H

#include "base/bucket.h"
#include "base/err.h"
#include "base/str.h"

/* `burst` attempts at once, then one every `every` nanoseconds. Burst 0: no limit. */
struct limits_rules {
	struct rate account; /* attempts on one name from anywhere */
	struct rate address; /* from one IPv4 address or IPv6 /64 */
	struct rate network; /* from one IPv4 /24 or IPv6 /48 */
	struct rate known;   /* on one name from a network its owner has used */
	struct rate everyone;
};

extern const struct limits_rules limits_usual;

enum limits_answer { LIMITS_OK, LIMITS_ACCOUNT, LIMITS_ADDRESS, LIMITS_NETWORK, LIMITS_EVERYONE };

struct limits;

struct limits *limits_new(const struct limits_rules *rules, struct err *err);
void limits_free(struct limits **l);

/* Before a password is checked. `account` is the name as typed (ASCII letters fold), `peer` an
 * address as text; anything else counts as a network of its own. Refused attempts cost nothing. */
enum limits_answer limits_take(struct limits *l, int64_t now, struct str account, struct str peer);
/* The password was right: give back what limits_take() took, and remember the network. */
void limits_give_back(struct limits *l, int64_t now, struct str account, struct str peer);
/* Has this account's owner logged in from this network lately? */
bool limits_known(struct limits *l, int64_t now, struct str account, struct str peer);
/* Nothing was checked after all (no time, no memory): give back, remember nothing. */
void limits_undo(struct limits *l, int64_t now, struct str account, struct str peer);

#endif
