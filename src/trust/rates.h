/* rates.h - how often somebody may connect, talk and send.
 *
 * Strangers are counted twice, by address and by network (base/ip.h); a network has four times as
 * much as an address. Who has logged in is counted by account. Every count is a token bucket that
 * holds a minute's worth (an hour's for accounts), so a burst passes and a flood does not.
 *
 * Pure: time is a parameter (monotonic nanoseconds). Memory is fixed at birth (base/bucket.h).
 */
#ifndef TRUST_RATES_H
#define TRUST_RATES_H

#include "base/bucket.h"
#include "base/err.h"
#include "base/ip.h"

enum rates_kind {
	RATES_CONNECTIONS,
	RATES_COMMANDS,
	RATES_MESSAGES,
	RATES_RECIPIENTS,
	RATES_LOG_LINES, /* of one network about the same thing; always limited */
	RATES_KINDS
};

/* What an operator says; 0: no limit. Commands go with messages. */
struct rates_rules {
	uint32_t connections, messages, recipients; /* a minute, from one address */
	uint32_t account_recipients;                /* an hour, by one account */
};

enum rates_answer { RATES_OK, RATES_ADDRESS, RATES_NETWORK, RATES_ACCOUNT };

struct rates;

struct rates *rates_new(const struct rates_rules *rules, struct err *err);
void rates_free(struct rates **r);

/* Take n tokens. Refused ones cost nothing. More than a whole bucket at once is never there. */
enum rates_answer rates_take(
	struct rates *r, int64_t now, const struct ip_keys *who, enum rates_kind kind, uint32_t n);
/* For recipients only: the one thing that accounts are counted by. `account` folds. */
enum rates_answer rates_take_account(struct rates *r, int64_t now, struct str account, uint32_t n);
/* "address", "network", "account" */
const char *rates_words(enum rates_answer a);

#endif
