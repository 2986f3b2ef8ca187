#include "role/vault_private.h"

#include "base/clock.h"

enum { WAITING_MAX = 1000 };

#define PATIENCE (10 * CLOCK_SEC)

/* Somebody who waits for a place; lives on his stack. */
struct hash_wait {
	struct signal go;
	bool granted;
	struct hash_wait *next;
};

void hash_gate_begin(struct hash_gate *g, unsigned most)
{
	*g = (struct hash_gate){ .most = most };
	g->last[0] = &g->first[0];
	g->last[1] = &g->first[1];
}

static void enter(struct hash_gate *g, bool known, struct hash_wait *w)
{
	int line = known ? 0 : 1;

	*g->last[line] = w;
	g->last[line] = &w->next;
	g->waiting++;
}

static void leave(struct hash_gate *g, struct hash_wait *w)
{
	for (int line = 0; line < 2; line++)
		for (struct hash_wait **at = &g->first[line]; *at; at = &(*at)->next) {
			if (*at != w)
				continue;
			*at = w->next;
			if (g->last[line] == &w->next)
				g->last[line] = at;
			g->waiting--;
			return;
		}
}

/* The place that was ours goes to the next in line, if there is one. */
static void pass_on(struct hash_gate *g)
{
	struct hash_wait *w = g->first[0] ? g->first[0] : g->first[1];

	if (!w) {
		g->running--;
		return;
	}
	leave(g, w);
	w->granted = true;
	signal_raise(&w->go);
}

static int wait_for_place(struct hash_gate *g, bool known, struct err *err)
{
	struct hash_wait w = { 0 };
	int64_t deadline = clock_after(PATIENCE);

	if (g->waiting >= WAITING_MAX)
		return err_set(err, ERR_LIMIT, "too many logins at once");
	enter(g, known, &w);
	while (!w.granted) {
		if (task_wait(-1, 0, &w.go, deadline, err) >= 0)
			continue;
		if (w.granted) { /* both at once: the place is ours to give back */
			pass_on(g);
		} else {
			leave(g, &w);
		}
		return err->kind == ERR_TIMEOUT ? err_set(err, ERR_TEMP, "too many logins at once")
						: -1;
	}
	return 0;
}

int hash_gate_run(struct hash_gate *g, bool known, int (*run)(void *arg, struct err *err),
	void *arg, struct err *err)
{
	int r;

	if (g->running < g->most)
		g->running++;
	else if (wait_for_place(g, known, err) < 0)
		return -1;
	r = task_offload(run, arg, err);
	pass_on(g);
	return r;
}
