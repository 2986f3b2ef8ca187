/* recent.h - right passwords of the last minutes, so that an app that logs in every minute costs
 * one slow hash and not ten.
 *
 * What is kept is a mac of account, password id and password under a key that is drawn at
 * start and never leaves this memory; without the process it says nothing. A changed password has
 * another id, so an old entry cannot match it, and recent_forget() wipes the account's entries at
 * once. Fixed memory; the oldest go. Not thread-safe.
 */
#ifndef AUTH_RECENT_H
#define AUTH_RECENT_H

#include "base/err.h"
#include "base/str.h"

#define RECENT_FOR (INT64_C(600) * 1000000000) /* nanoseconds */

struct recent;

struct recent *recent_new(struct err *err);
void recent_free(struct recent **r); /* wipes */

/* Is this the right password, as seen within RECENT_FOR? `now` is monotonic nanoseconds. */
bool recent_has(const struct recent *r, int64_t now, uint64_t account, uint64_t password_id,
	struct str password);
void recent_add(
	struct recent *r, int64_t now, uint64_t account, uint64_t password_id, struct str password);
void recent_forget(struct recent *r, uint64_t account);

#endif
