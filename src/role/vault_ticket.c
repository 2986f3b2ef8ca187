/* Keys for TLS session tickets: random, per class of fronts, in memory only (T023). */
#include "base/clock.h"
#include "base/secret.h"
#include "crypto/crypto.h"
#include "crypto/tls.h"
#include "role/vault_private.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES = 4, KEPT = 2 };

#define ROTATE (12 * 3600 * CLOCK_SEC)

struct vault_tickets {
	struct vault *v;
	struct secret keys[CLASSES]; /* the newest first, KEPT of them once there are so many */
	int64_t rotate_at;
};

/* A front gets the keys of its own class and has no way to name another. */
static int class_of(uint32_t who)
{
	static const uint32_t classes[CLASSES] = { WHO_MX, WHO_SUBMIT, WHO_MAILBOX, WHO_WEB };

	for (int i = 0; i < CLASSES; i++)
		if (classes[i] == who)
			return i;
	return -1;
}

static int rotate(struct secret *keys, struct err *err)
{
	struct secret fresh = SECRET_NONE;
	struct str old = secret_reveal(keys);

	old = str_head(old, (KEPT - 1) * TLS_TICKET_KEY);
	if (secret_alloc(&fresh, TLS_TICKET_KEY + old.n, err) < 0)
		return -1;
	random_bytes(fresh.p, TLS_TICKET_KEY);
	if (old.n > 0)
		memcpy(fresh.p + TLS_TICKET_KEY, old.p, old.n);
	secret_free(keys);
	*keys = fresh;
	return 0;
}

static int rotate_all(struct vault_tickets *t, struct err *err)
{
	t->rotate_at = clock_after(ROTATE);
	for (int i = 0; i < CLASSES; i++)
		if (rotate(&t->keys[i], err) < 0)
			return -1;
	return 0;
}

static void keep_rotating(void *arg)
{
	struct vault_tickets *t = arg;
	struct err err = ERR_INIT;

	while (task_sleep(t->rotate_at, &err) == 0 || err.kind == ERR_TIMEOUT) {
		err = ERR_INIT;
		(void)rotate_all(t, &err); /* without memory the old keys stay */
		vault_tell(t->v, VAULT_TICKETS);
	}
}

int vault_tickets_begin(struct vault *v, struct err *err)
{
	v->tickets = calloc(1, sizeof *v->tickets);
	if (!v->tickets)
		return err_set(err, ERR_TEMP, "out of memory");
	v->tickets->v = v;
	if (rotate_all(v->tickets, err) < 0)
		return -1;
	return task_spawn(v->group, "ticket keys", keep_rotating, v->tickets, err);
}

void vault_tickets_free(struct vault *v)
{
	if (!v->tickets)
		return;
	for (int i = 0; i < CLASSES; i++)
		secret_free(&v->tickets->keys[i]);
	free(v->tickets);
	v->tickets = NULL;
}

void vault_do_ticket_keys(struct vault *v, struct request *req)
{
	int64_t left = v->tickets->rotate_at - clock_mono();
	struct vault_ticket_keys_rep a = {
		.rotate_after = (uint32_t)(left > 0 ? left / CLOCK_SEC + 1 : 1)
	};
	int class = class_of(channel_who(req->ch));

	if (class >= 0)
		a.keys = secret_reveal(&v->tickets->keys[class]);
	vault_ticket_keys_answer(&req, &a);
}
