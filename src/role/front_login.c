#include "role/front_login.h"

#include "base/clock.h"
#include "role/front_private.h"

#include <string.h>

enum {
	LOGIN_SECONDS = 40, /* a login may wait behind others for a password hash */
	CALL_SECONDS = 120, /* one call, restarts of the store included */
	RENEWALS_MAX = 3    /* the store may be restarted while we renew */
};

static void link_login(struct front *f, struct front_login *l)
{
	l->next = f->first_login;
	l->prev = &f->first_login;
	if (l->next)
		l->next->prev = &l->next;
	f->first_login = l;
}

static void unlink_login(struct front_login *l)
{
	if (!l->prev)
		return;
	*l->prev = l->next;
	if (l->next)
		l->next->prev = l->prev;
	l->prev = NULL;
}

static void drop_handle(struct front_login *l)
{
	if (l->handle && map_get_u64(&l->front->logins, l->handle) == l)
		map_del_u64(&l->front->logins, l->handle);
	l->handle = 0;
}

static void send_watch(struct front_login *l)
{
	struct channel *ch = link_channel(l->front->store, l->generation);
	struct store_watch m = { .handle = l->handle, .mailbox = l->watching };
	struct err err = ERR_INIT;

	/* A channel that is going down takes the watch with it; the renewal sets it again. */
	if (ch && l->handle)
		(void)store_watch_send(ch, &m, &err);
}

/* Turn a grant into a handle. ERR_CLOSED: the store went away, and the grant with it. */
static int redeem(struct front_login *l, struct str token, struct err *err)
{
	struct front *f = l->front;
	struct store_attach_req q = { .token = token };
	struct store_attach_rep a;
	struct reply hold = { 0 };
	struct channel *ch = link_wait(f->store, clock_after(LOGIN_SECONDS * CLOCK_SEC), err);
	uint64_t generation = link_generation(f->store);
	int r = -1;

	if (!ch || store_attach(ch, &q, clock_after(LOGIN_SECONDS * CLOCK_SEC), &a, &hold, err) < 0)
		goto out;
	if (!str_z(a.login, l->login, sizeof l->login) || !map_put_u64(&f->logins, a.handle, l)) {
		err_set(err, ERR_TEMP, "too many logins");
		goto out;
	}
	l->handle = a.handle;
	l->scopes = a.scopes;
	l->generation = generation;
	r = 0;
out:
	reply_free(&hold);
	return r;
}

/* The store has forgotten our handle: the vault vouches for the session once more. */
static int renew(struct front_login *l, struct err *err)
{
	struct front *f = l->front;
	struct vault_regrant_req q = { .session = str_make(l->session, l->session_n) };
	struct vault_regrant_rep a;
	struct reply hold = { 0 };
	int64_t deadline = clock_after(LOGIN_SECONDS * CLOCK_SEC);
	struct channel *ch = NULL;
	int r = -1;

	drop_handle(l);
	if (link_wait(f->store, deadline, err) && (ch = link_wait(f->vault, deadline, err)))
		r = vault_regrant(ch, &q, deadline, &a, &hold, err);
	if (r == 0)
		r = redeem(l, a.token, err);
	if (r == 0 && l->watching)
		send_watch(l);
	if (r < 0 && err->kind == ERR_DENIED && !l->gone) {
		l->gone = true;
		str_z(str_c(err->msg), l->why, sizeof l->why);
	}
	reply_free(&hold);
	return r;
}

static int ask_vault(struct front *f, const struct vault_login_req *q, struct vault_login_rep *a,
	struct reply *hold, struct err *err)
{
	int64_t deadline = clock_after(LOGIN_SECONDS * CLOCK_SEC);
	struct channel *ch;

	for (int tries = 0; tries < 2; tries++) {
		ch = link_wait(f->vault, deadline, err);
		if (!ch)
			return -1;
		if (vault_login(ch, q, deadline, a, hold, err) == 0)
			return 0;
		if (err->kind != ERR_CLOSED)
			return -1;
		reply_free(hold);
	}
	return -1;
}

int front_enter(struct front *f, struct str token, struct str session, struct front_login *l,
	struct err *err)
{
	int r;

	*l = (struct front_login){ .front = f };
	if (session.n > sizeof l->session)
		return err_set(err, ERR_TEMP, "the vault's session does not fit");
	memcpy(l->session, session.p, session.n);
	l->session_n = session.n;
	r = redeem(l, token, err);
	if (r < 0 && err->kind == ERR_CLOSED)
		r = renew(l, err);
	if (r == 0)
		link_login(f, l);
	return r;
}

int front_login(struct front *f, enum service service, struct conn *c, struct str name,
	struct str password, struct front_login *l, struct err *err)
{
	struct vault_login_req q = { .service = (uint8_t)service,
		.peer = conn_peer(c),
		.tls = conn_is_tls(c),
		.name = name,
		.password = password };
	struct vault_login_rep a;
	struct reply hold = { 0 };
	int r = -1;

	*l = (struct front_login){ .front = f };
	if (ask_vault(f, &q, &a, &hold, err) == 0)
		r = front_enter(f, a.token, a.session, l, err);
	/* Waiting for the store or the vault is our trouble, not a closed connection of the client.
	 */
	if (r < 0 && err->kind == ERR_CLOSED)
		err->kind = ERR_TEMP;
	reply_free(&hold);
	return r;
}

int front_handle(struct front_login *l, struct channel **ch, uint32_t *handle, struct err *err)
{
	for (int i = 0; i < RENEWALS_MAX; i++) {
		if (l->gone)
			return err_set(err, ERR_DENIED, "the login has ended: %s", l->why);
		*ch = link_channel(l->front->store, l->generation);
		if (*ch && l->handle) {
			*handle = l->handle;
			return 0;
		}
		if (renew(l, err) < 0 && err->kind != ERR_CLOSED)
			return -1;
	}
	return err_set(err, ERR_TEMP, "the store is not there");
}

void front_watch(struct front_login *l, uint64_t mailbox)
{
	l->watching = mailbox;
	send_watch(l);
}

void front_logout(struct front_login *l)
{
	struct store_detach m = { .handle = l->handle };
	struct err err = ERR_INIT;
	struct channel *ch;

	if (!l->prev)
		return;
	ch = link_channel(l->front->store, l->generation);
	if (ch && l->handle)
		(void)store_detach_send(ch, &m, &err);
	drop_handle(l);
	unlink_login(l);
	explicit_bzero(l->session, sizeof l->session);
}

/* ---- calls that survive a restart of the store ---- */

bool front_try(struct front_try *t, struct front *f, struct front_login *login, uint32_t *handle,
	struct err *err)
{
	if (!t->began) {
		t->began = true;
		t->deadline = clock_after(CALL_SECONDS * CLOCK_SEC);
	} else if (t->result == 0) {
		if (t->repeats)
			*err = ERR_INIT; /* of an attempt that was made good */
		return false;
	} else if (err->kind != ERR_CLOSED) {
		return false;
	} else if (clock_mono() >= t->deadline || (t->repeats && clock_mono() >= t->away_until)) {
		err_set(err, ERR_TEMP, "the store keeps going away");
		return false;
	} else if (t->repeats++ == 0) {
		/* T183: its database may be away, and it comes and goes meanwhile. */
		t->away_until = clock_after(LINK_PATIENCE * CLOCK_SEC);
	}
	t->result = -1;
	*handle = 0;
	if (login)
		return front_handle(login, &t->ch, handle, err) == 0;
	t->ch = link_wait(f->store, t->deadline, err);
	return t->ch != NULL;
}

/* ---- what the store tells by itself ---- */

static void wake(struct front_login *l)
{
	if (l->wake)
		signal_raise(l->wake);
}

static void on_changed(struct front *f, struct str body)
{
	struct store_changed m;
	struct front_login *l;
	struct err err = ERR_INIT;

	if (store_changed_get(body, &m, &err) < 0)
		return;
	l = map_get_u64(&f->logins, m.handle);
	if (!l || l->watching != m.mailbox)
		return;
	if (m.modseq > l->modseq)
		l->modseq = m.modseq;
	wake(l);
}

static void on_gone(struct front *f, struct str body)
{
	struct store_handle_gone m;
	struct front_login *l;
	struct err err = ERR_INIT;

	if (store_handle_gone_get(body, &m, &err) < 0)
		return;
	l = map_get_u64(&f->logins, m.handle);
	if (!l)
		return;
	drop_handle(l);
	l->gone = true;
	str_z(m.why, l->why, sizeof l->why);
	wake(l);
}

void front_login_message(struct front *f, const struct request *req)
{
	if (req->type == MSG_store_changed)
		on_changed(f, req->body);
	else if (req->type == MSG_store_handle_gone)
		on_gone(f, req->body);
}

void front_login_store_state(struct front *f, bool up)
{
	for (struct front_login *l = f->first_login; l; l = l->next) {
		if (!up)
			l->handle = 0;
		else
			wake(l); /* changes may have been missed */
	}
	if (!up)
		map_free(&f->logins);
}
