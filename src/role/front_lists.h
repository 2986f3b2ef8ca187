/* front_lists.h - asking the lists of the settings dnsbl and dnswl about a client.
 *
 * lists_ask() starts the questions when a stranger connects and does not wait; lists_decide() is
 * asked at RCPT and waits for what is still missing, until 5 s after the start at most. What is not
 * answered by then counts as not listed. Answers are kept for a while, and there is one question
 * under way for each name, however many connections want to know.
 *
 * Every list is watched: one that does not list its test point, or lists everybody, is not used
 * until it does better (T149).
 */
#ifndef ROLE_FRONT_LISTS_H
#define ROLE_FRONT_LISTS_H

#include "base/ip.h"
#include "role/front.h"

struct lists;
struct lists_check; /* of one connection */

/* *l stays NULL when no list is set. Its tasks live until lists_free(). */
int lists_new(struct front *f, struct lists **l, struct err *err);
void lists_free(struct lists **l);

/* NULL: nobody to ask (or no memory). */
struct lists_check *lists_ask(struct lists *l, const struct ip *ip);
void lists_drop(struct lists_check **c);

enum lists_action { LISTS_REJECT, LISTS_GREYLIST, LISTS_DEFER, LISTS_LOG, LISTS_ALLOW, LISTS_NONE };

/* The strictest of what the lists say; an allow list overrules them. *zone: which list it was. -1
 * only when cancelled. */
int lists_decide(
	struct lists_check *c, enum lists_action *action, struct str *zone, struct err *err);
/* What is known without waiting: is it on an allow list? */
bool lists_allowed(const struct lists_check *c);

#endif
