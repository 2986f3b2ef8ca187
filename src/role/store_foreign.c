/* What other nodes have committed (with PostgreSQL): it comes on a thread of the store and is told
 * to those who watch on the loop's. */
#include "role/store_private.h"

#include <stdlib.h>

/* Mailboxes waiting; beyond, everybody is told to look. Accounts always fit: T037. */
enum { FOREIGN_MAX = 20000 };

static bool add(struct changes *to, const struct change *one)
{
	struct change *grown = to->v;

	if (one->mailbox && to->n >= FOREIGN_MAX)
		return false;
	if (to->n == to->cap) {
		to->cap = to->cap ? 2 * to->cap : 64;
		grown = reallocarray(to->v, to->cap, sizeof *grown);
	}
	if (!grown) {
		to->cap = to->n;
		return false;
	}
	to->v = grown;
	to->v[to->n++] = *one;
	return true;
}

/* Any thread. */
void store_foreign_add(void *arg, const struct changes *c)
{
	struct store_role *s = arg;

	pthread_mutex_lock(&s->foreign_lock);
	s->foreign.queue |= c->queue;
	s->foreign.lost |= c->lost;
	for (size_t i = 0; i < c->n; i++)
		if (!add(&s->foreign, &c->v[i]))
			s->foreign.lost = true;
	pthread_mutex_unlock(&s->foreign_lock);
	remote_raise(s->remote);
}

void store_foreign_publish(struct store_role *s)
{
	struct changes c;

	pthread_mutex_lock(&s->foreign_lock);
	c = s->foreign;
	s->foreign = (struct changes){ 0 };
	pthread_mutex_unlock(&s->foreign_lock);
	store_publish(s, &c);
	/* T037: here the account's sessions have been ended by who changed it (store_on_revoke). */
	for (size_t i = 0; i < c.n; i++)
		if (c.v[i].mailbox == 0) {
			store_grants_of_account_end(s, c.v[i].account);
			store_handles_of_account_end(
				s, c.v[i].account, STR("the account has changed"));
		}
	if (c.queue || c.lost)
		store_say_due(s);
	free(c.v);
}
