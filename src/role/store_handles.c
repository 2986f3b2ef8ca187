/* Handles and what hangs on them: grants, watches, locks. */
#include "base/clock.h"
#include "role/store_private.h"
#include "store/directory.h"
#include "store/mailbox.h"

#include <stdlib.h>
#include <string.h>

static void refuse(struct request *req, enum err_kind kind, const char *why)
{
	struct err err = ERR_INIT;

	err_set(&err, kind, "%s", why);
	request_fail(&req, &err);
}

static void malformed(struct request *req, const struct err *why)
{
	channel_violation(req->ch, why->msg);
	request_fail(&req, why);
}

/* The handle of that number, NULL when it has ended. One that was never given is a lie. */
struct handle *store_handle(struct peer *p, uint32_t number)
{
	struct handle *h = number ? map_get_u64(&p->handles, number) : NULL;

	if (!h && p->ch && (number == 0 || number > p->last_handle))
		channel_violation(p->ch, "a handle that was never given");
	return h;
}

static void end(struct handle *h)
{
	struct store_role *s = h->peer->s;
	struct handle *first = map_get_u64(&s->accounts, h->account);

	if (first == h) {
		map_del_u64(&s->accounts, h->account);
		if (h->next)
			map_put_u64(&s->accounts, h->account, h->next);
	} else {
		*h->at = h->next;
	}
	if (h->next)
		h->next->at = h->at;
	map_del_u64(&h->peer->handles, h->number);
	free(h);
}

void store_handles_of_peer_end(struct peer *p)
{
	struct handle *h;
	size_t pos = 0;

	while ((h = map_next(&p->handles, &pos)))
		end(h);
}

uint32_t store_handles_of_account_end(struct store_role *s, uint64_t account, struct str why)
{
	struct err ignored = ERR_INIT;
	struct handle *h = map_get_u64(&s->accounts, account), *next;
	uint32_t ended = 0;

	for (; h; h = next) {
		const struct store_handle_gone m = { .handle = h->number,
			.why = str_head(why, 200) };

		next = h->next;
		if (h->peer->who == WHO_OPERATOR) /* no login */
			continue;
		if (h->peer->ch)
			(void)store_handle_gone_send(h->peer->ch, &m, &ignored);
		end(h);
		ended++;
	}
	return ended;
}

/* ---- grants ---- */

static void grant_forget(struct store_role *s)
{
	struct grant *g = s->oldest;

	s->oldest = g->next;
	if (!s->oldest)
		s->youngest = &s->oldest;
	if (!g->used)
		map_del(&s->grants, str_make(g->token, sizeof g->token));
	free(g);
}

void store_grants_expire(struct store_role *s)
{
	while (s->oldest && s->oldest->until <= clock_mono())
		grant_forget(s);
}

void store_grants_of_account_end(struct store_role *s, uint64_t account)
{
	for (struct grant *g = s->oldest; g; g = g->next)
		if (g->account == account && !g->used) {
			map_del(&s->grants, str_make(g->token, sizeof g->token));
			g->used = true;
		}
}

void store_on_grant(struct peer *p, struct request *req)
{
	struct store_role *s = p->s;
	const struct store_grant_rep a = { .ok = 1 };
	struct store_grant_req q;
	struct directory_login who;
	struct err err = ERR_INIT;
	struct grant *g;

	if (store_grant_req_get(req->body, &q, &err) < 0 || q.token.n != sizeof g->token) {
		malformed(req, &err);
		return;
	}
	if (directory_account(&s->view, q.account, &who, &err) < 0) {
		request_fail(&req, &err);
		return;
	}
	if (!who.enabled) {
		refuse(req, ERR_DENIED, "the account is disabled");
		return;
	}
	g = calloc(1, sizeof *g);
	if (g) {
		*g = (struct grant){ .front = q.front,
			.scopes = q.scopes,
			.account = q.account,
			.until = clock_after(STORE_GRANT_SECONDS * CLOCK_SEC) };
		memcpy(g->token, q.token.p, sizeof g->token);
	}
	if (!g || map_get(&s->grants, q.token) ||
		!map_put(&s->grants, str_make(g->token, sizeof g->token), g)) {
		free(g);
		refuse(req, ERR_TEMP, "too many logins at once");
		return;
	}
	*s->youngest = g;
	s->youngest = &g->next;
	store_grant_answer(&req, &a);
}

/* One use, one channel, ten seconds. A wrong channel uses it up too. */
static bool redeem(struct peer *p, struct str token, struct grant *out)
{
	struct grant *g = map_del(&p->s->grants, token);

	if (!g)
		return false;
	g->used = true;
	*out = *g;
	return g->until > clock_mono() && g->front == channel_number(p->ch);
}

static struct handle *handle_new(struct peer *p, const struct grant *g)
{
	struct handle *h = calloc(1, sizeof *h), *first = map_get_u64(&p->s->accounts, g->account);

	if (!h)
		return NULL;
	*h = (struct handle){ .next = first,
		.peer = p,
		.number = p->last_handle + 1,
		.scopes = g->scopes,
		.account = g->account };
	if (!map_put_u64(&p->handles, h->number, h)) {
		free(h);
		return NULL;
	}
	if (!map_put_u64(&p->s->accounts, g->account, h)) {
		map_del_u64(&p->handles, h->number);
		free(h);
		return NULL;
	}
	if (first)
		first->at = &h->next;
	p->last_handle++;
	return h;
}

void store_on_attach(struct peer *p, struct request *req)
{
	struct store_attach_req q;
	struct store_attach_rep a;
	struct directory_login who;
	struct err err = ERR_INIT;
	struct grant g;
	struct handle *h;

	if (store_attach_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	if (!redeem(p, q.token, &g)) {
		refuse(req, ERR_DENIED, "no such grant");
		return;
	}
	if (directory_account(&p->s->view, g.account, &who, &err) < 0) {
		request_fail(&req, &err);
		return;
	}
	h = who.enabled ? handle_new(p, &g) : NULL;
	if (!h) {
		refuse(req, who.enabled ? ERR_TEMP : ERR_DENIED,
			who.enabled ? "too many logins at once" : "the account is disabled");
		return;
	}
	a = (struct store_attach_rep){
		.handle = h->number, .login = str_c(who.login), .scopes = h->scopes
	};
	store_attach_answer(&req, &a);
}

/* One account for each peer: that is all that a command needs. */
static bool have_alone(struct peer *p, uint64_t account)
{
	if (p->alone || map_get_u64(&p->s->alone, account) ||
		!map_put_u64(&p->s->alone, account, p))
		return false;
	p->alone = account;
	return true;
}

void store_on_account_open(struct peer *p, struct request *req)
{
	struct grant g = { .scopes = SCOPE_MAIL };
	struct store_account_open_req q;
	struct store_account_open_rep a;
	struct directory_login who;
	struct err err = ERR_INIT;
	struct handle *h;

	if (store_account_open_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	if (directory_login(&p->s->view, q.login, &who, &err) < 0) {
		request_fail(&req, &err);
		return;
	}
	if (q.alone && !have_alone(p, who.account)) {
		refuse(req, ERR_EXISTS, "another import into this account is running");
		return;
	}
	g.account = who.account;
	h = handle_new(p, &g);
	if (!h) {
		refuse(req, ERR_TEMP, "too many logins at once");
		return;
	}
	a = (struct store_account_open_rep){ .handle = h->number, .login = str_c(who.login) };
	store_account_open_answer(&req, &a);
}

void store_on_detach(struct peer *p, struct request *req)
{
	struct err err = ERR_INIT;
	struct store_detach m;
	struct handle *h;

	if (store_detach_get(req->body, &m, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else {
		h = store_handle(p, m.handle);
		if (h)
			end(h);
	}
	request_free(&req);
}

void store_on_revoke(struct peer *p, struct request *req)
{
	struct store_revoke_req q;
	struct store_revoke_rep a;
	struct err err = ERR_INIT;

	if (store_revoke_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	store_grants_of_account_end(p->s, q.account);
	a = (struct store_revoke_rep){ .ended = store_handles_of_account_end(
					       p->s, q.account, q.why) };
	store_revoke_answer(&req, &a);
}

/* ---- watches ---- */

static void tell(struct handle *h, uint64_t modseq)
{
	const struct store_changed m = {
		.handle = h->number, .mailbox = h->watched, .modseq = modseq
	};
	struct err ignored = ERR_INIT;

	if (h->peer->ch)
		(void)store_changed_send(h->peer->ch, &m, &ignored);
}

static void tell_all(struct store_role *s)
{
	struct handle *h;
	size_t pos = 0;

	while ((h = map_next(&s->accounts, &pos)))
		for (; h; h = h->next)
			if (h->watched)
				tell(h, 0);
}

void store_publish(struct store_role *s, const struct changes *c)
{
	if (c->lost)
		tell_all(s);
	for (size_t i = 0; i < c->n; i++) {
		struct handle *h = map_get_u64(&s->accounts, c->v[i].account);

		for (; h; h = h->next)
			if (h->watched && h->watched == c->v[i].mailbox)
				tell(h, c->v[i].modseq);
	}
}

void store_on_watch(struct peer *p, struct request *req)
{
	struct err err = ERR_INIT;
	struct store_watch m;
	struct handle *h;

	if (store_watch_get(req->body, &m, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else {
		h = store_handle(p, m.handle);
		if (h && (h->scopes & SCOPE_MAIL))
			h->watched = m.mailbox;
	}
	request_free(&req);
}

/* ---- select and its lock ---- */

void store_on_unlock(struct peer *p, struct request *req)
{
	struct err err = ERR_INIT;
	struct store_unlock m;
	struct handle *h;

	if (store_unlock_get(req->body, &m, &err) < 0) {
		channel_violation(req->ch, err.msg);
	} else {
		h = store_handle(p, m.handle);
		if (h && h->locked == m.mailbox)
			h->locked = 0;
	}
	request_free(&req);
}

static bool is_locked(
	struct store_role *s, uint64_t account, uint64_t mailbox, const struct handle * not )
{
	struct handle *h = map_get_u64(&s->accounts, account);

	for (; h; h = h->next)
		if (h != not &&h->locked == mailbox)
			return true;
	return false;
}

static int answer_select(struct view *v, struct store_job *job, const struct mailbox *m,
	uint32_t recent_from, struct err *err)
{
	struct store_select_rep a = { .mailbox = m->id,
		.uidvalidity = m->uidvalidity,
		.uidnext = m->uidnext,
		.exists = m->messages,
		.unseen = m->unseen,
		.recent_from = recent_from,
		.modseq = m->modseq };
	struct buf keywords = BUF(MAILBOX_KEYWORDS);
	int r = -1;

	if (mailbox_keywords(v, work_of(job)->account, m->id, &keywords, err) == 0 &&
		mailbox_first_unseen(v, work_of(job)->account, m, &a.first_unseen, err) == 0) {
		a.keywords = buf_str(&keywords);
		store_select_rep_put(&job->answer, &a);
		r = store_role_fits(job, err);
	}
	buf_free(&keywords);
	return r;
}

static int read_select(struct view *v, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	struct mailbox m;

	if (mailbox_get(v, w->account, w->mailbox, &m, NULL, err) < 0)
		return -1;
	return answer_select(v, job, &m, m.recent_from, err);
}

static int write_select(struct txn *t, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	uint32_t recent_from;
	struct mailbox m;

	if (mailbox_get(&t->view, w->account, w->mailbox, &m, NULL, err) < 0)
		return -1;
	/* With a full disk they stay recent, for somebody else, too. */
	recent_from = m.recent_from;
	if (t->refused.kind == ERR_NONE &&
		mailbox_take_recent(t, w->account, w->mailbox, &recent_from, err) < 0)
		return -1;
	return answer_select(&t->view, job, &m, recent_from, err);
}

/* A lock that nobody heard of must not stay. */
static void after_select(struct work *w)
{
	struct handle *h = w->peer->ch ? map_get_u64(&w->peer->handles, w->handle) : NULL;

	if (h && w->job.result < 0 && h->locked == w->mailbox)
		h->locked = 0;
}

void store_on_select(struct peer *p, struct request *req)
{
	struct store_select_req q;
	struct err err = ERR_INIT;
	struct mailbox m;
	struct handle *h;
	struct work *w;

	if (store_select_req_get(req->body, &q, &err) < 0) {
		malformed(req, &err);
		return;
	}
	h = store_handle(p, q.handle);
	if (!h || !(h->scopes & SCOPE_MAIL)) {
		refuse(req, ERR_DENIED, "the login has ended");
		return;
	}
	if (mailbox_find(&p->s->view, h->account, q.name, &m, &err) < 0) {
		request_fail(&req, &err);
		return;
	}
	if (q.lock && is_locked(p->s, h->account, m.id, h)) {
		refuse(req, ERR_EXISTS, "the mailbox is in use by another session");
		return;
	}
	w = store_work_new(p, req, &err);
	if (!w) {
		request_fail(&req, &err);
		return;
	}
	w->handle = q.handle;
	w->account = h->account;
	w->mailbox = m.id;
	if (q.lock)
		h->locked = m.id;
	w->after = q.lock ? after_select : NULL;
	if (q.take_recent && (m.recent_from != m.uidnext || store_is_behind(p->s->store)))
		w->job.write = write_select;
	else
		w->job.read = read_select;
	store_work_submit(w);
}
