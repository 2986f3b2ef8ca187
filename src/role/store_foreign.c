/* What other nodes have committed (with PostgreSQL): it comes on a thread of the store and is told
 * to those who watch on the loop's. */
#include "role/store_private.h"

#include <stdlib.h>
#include <string.h>

enum { FOREIGN_MAX = 20000 }; /* waiting; beyond, everybody is told to look */

static bool add(struct changes *to, const struct change *v, size_t n)
{
	struct change *grown;

	if (n > FOREIGN_MAX - to->n)
		return false;
	if (n == 0)
		return true;
	grown = realloc(to->v, (to->n + n) * sizeof *grown);
	if (!grown)
		return false;
	memcpy(grown + to->n, v, n * sizeof *v);
	to->v = grown;
	to->n += n;
	return true;
}

/* Any thread. */
void store_foreign_add(void *arg, const struct changes *c)
{
	struct store_role *s = arg;

	pthread_mutex_lock(&s->foreign_lock);
	s->foreign.queue |= c->queue;
	s->foreign.lost |= c->lost || !add(&s->foreign, c->v, c->n);
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
		if (c.v[i].mailbox == 0)
			store_handles_of_account_end(
				s, c.v[i].account, STR("the account has changed"));
	if (c.queue || c.lost)
		store_say_due(s);
	free(c.v);
}
