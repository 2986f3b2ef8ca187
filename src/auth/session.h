/* session.h - what a front shows again when the store has restarted.
 *
 * A session says: this account, under this name, with these scopes, on this front, until then,
 * for this password. It carries a mac of the vault, so nobody else can make one. It is no
 * authority by itself: only the vault reads it, and grants anew if the account and its password are
 * still the same. Pure; the key comes from seal_derive(), so sessions survive a restart of the
 * vault.
 */
#ifndef AUTH_SESSION_H
#define AUTH_SESSION_H

#include "base/err.h"
#include "base/str.h"

enum { SESSION_KEY = 32, SESSION_MAX = 384, SESSION_LOGIN_MAX = 320 };

struct session {
	uint64_t account;
	uint64_t password_id;
	uint32_t front;
	uint32_t scopes;
	int64_t until; /* wall clock, seconds */
	struct str login;
};

/* Append to `out`. ERR_LIMIT: no account has so long a name. */
int session_make(struct str key, const struct session *s, struct buf *out, struct err *err);
/* ERR_DENIED: not ours, for another front, or over. s->login points into `bytes`. */
int session_read(struct str key, struct str bytes, uint32_t front, int64_t now, struct session *s,
	struct err *err);

#endif
