/* budget.h - what one connection may cost us, all in one account.
 *
 * Every loop and every allocation that a client can make longer or larger charges the budget of
 * its connection; whoever runs the session looks before each step whether it is used up and then
 * ends the session with a word and a log line. Charging never fails and never waits. What has been
 * used is forgotten when the session gets somewhere (a message accepted, a login), except the
 * memory that is held, which is given back where it is freed, and the wrong passwords.
 */
#ifndef BASE_BUDGET_H
#define BASE_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

enum budget_kind {
	BUDGET_MEMORY,   /* bytes held now */
	BUDGET_INPUT,    /* bytes read */
	BUDGET_COMMANDS, /* commands of any kind */
	BUDGET_WORK,     /* what others do for it: 1 is about a question to another process */
	BUDGET_ERRORS,   /* commands that were refused */
	BUDGET_IDLING,   /* commands that lead nowhere */
	BUDGET_LOGINS,   /* wrong passwords */
	BUDGET_KINDS
};

struct budget {
	uint64_t used[BUDGET_KINDS];
	uint64_t most[BUDGET_KINDS]; /* over when used is more than this */
};

#define BUDGET_NO_LIMIT UINT64_MAX

/* Nothing used, no limits. */
void budget_init(struct budget *b);
void budget_charge(struct budget *b, enum budget_kind kind, uint64_t n); /* saturates */
void budget_give_back(struct budget *b, enum budget_kind kind, uint64_t n);
/* The session has got somewhere. */
void budget_renew(struct budget *b);
/* Is anything used up? *kind, unless NULL, says what first. */
bool budget_over(const struct budget *b, enum budget_kind *kind);
/* For the client: "too many errors". */
const char *budget_words(enum budget_kind kind);
/* For the log: "errors". */
const char *budget_name(enum budget_kind kind);

#endif
