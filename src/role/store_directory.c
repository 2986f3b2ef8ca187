/* The directory: point reads on the loop's thread, lists and changes as jobs. */
#include "base/clock.h"
#include "base/hash.h"
#include "role/store_private.h"
#include "store/directory.h"
#include "store/names.h"

_Static_assert((int)DOMAIN_LOCAL == (int)STORE_DOMAIN_LOCAL &&
		(int)DOMAIN_RELAY == (int)STORE_DOMAIN_RELAY,
	"kinds of domains are passed through");
_Static_assert((int)SECRET_VERIFIER == (int)STORE_VERIFIER &&
		(int)SECRET_TLS_KEY == (int)STORE_TLS_KEY &&
		(int)SECRET_PROVIDER == (int)STORE_PROVIDER &&
		(int)SECRET_DKIM == (int)STORE_DKIM && (int)SECRET_MARK == (int)STORE_MARK,
	"kinds of secrets are passed through");

/* A malformed request costs the channel. True when it was one. */
static bool malformed(struct request **req, int got, const struct err *why)
{
	if (got == 0)
		return false;
	channel_violation((*req)->ch, why->msg);
	request_fail(req, why);
	return true;
}

static uint64_t target_tag(struct str address, uint64_t id)
{
	return hash_u64(hash_bytes(address) ^ id) << 32;
}

uint64_t store_target_seal(struct str address, uint64_t id)
{
	return id && id <= UINT32_MAX ? target_tag(address, id) | id : 0;
}

uint64_t store_target_open(struct str address, uint64_t sealed)
{
	uint64_t id = sealed & UINT32_MAX;

	return store_target_seal(address, id) == sealed ? id : 0;
}

/* ---- recipients ---- */

static int find_rcpt(struct view *v, const struct store_rcpt_req *q, bool anywhere,
	struct directory_rcpt *found, struct store_rcpt_rep *a, struct err *err)
{
	if (directory_rcpt(v, q->address, anywhere, q->size, found, err) < 0 ||
		(q->rrvs && found->local && directory_since(v, found->target, q->rrvs, err) < 0))
		return -1;
	*a = (struct store_rcpt_rep){ .target = store_target_seal(q->address, found->target),
		.local = found->local };
	return 0;
}

static int note_full(struct txn *t, struct store_job *job, struct err *err)
{
	const struct work *w = work_of(job);

	return directory_note_full(t, buf_str(&w->text), w->touched, err);
}

/* The first refusal begins the time after which there is no more hope. */
static void begin_grace(struct peer *p, const struct store_rcpt_req *q)
{
	struct err err = ERR_INIT;
	struct work *w = store_work_new(p, NULL, &err);

	if (!w)
		return;
	w->text = BUF(DIRECTORY_ADDRESS);
	buf_add(&w->text, q->address);
	w->touched = q->size;
	w->job.write = note_full;
	store_work_submit(w);
}

static int read_rcpt(struct view *v, struct store_job *job, struct err *err)
{
	struct work *w = work_of(job);
	struct directory_rcpt found;
	struct store_rcpt_rep a;
	ASKED(store_rcpt, q);

	if (find_rcpt(v, &q, w->peer->who != WHO_MX, &found, &a, err) < 0) {
		w->touched = found.newly_full;
		return -1;
	}
	return ANSWER(store_rcpt, .target = a.target, .local = a.local);
}

static void after_rcpt(struct work *w)
{
	struct store_rcpt_req q;
	struct err err = ERR_INIT;

	if (w->touched && w->peer->ch && store_rcpt_req_get(w->req->body, &q, &err) == 0)
		begin_grace(w->peer, &q);
}

/* What was answered a moment ago may not have reached our own view yet, and here it counts. */
static void ask_again(struct peer *p, struct request *req)
{
	struct err err = ERR_INIT;
	struct work *w = store_work_new(p, req, &err);

	if (!w) {
		request_fail(&req, &err);
		return;
	}
	w->job.read = read_rcpt;
	w->after = after_rcpt;
	store_work_submit(w);
}

static int may_send(struct peer *p, const struct store_rcpt_req *q, struct err *err)
{
	const struct handle *h;

	if (p->who == WHO_SUBMIT) {
		h = store_handle(p, q->handle);
		if (!h || !(h->scopes & SCOPE_SUBMIT))
			return err_set(err, ERR_DENIED, "the login has ended");
	}
	if (!store_has_room_for(p->s->store, q->size))
		return err_set(err, ERR_FULL, "disk nearly full: no new mail is taken");
	return 0;
}

void store_on_rcpt(struct peer *p, struct request *req)
{
	struct directory_rcpt found = { 0 };
	struct store_rcpt_req q;
	struct store_rcpt_rep a;
	struct err err = ERR_INIT;
	int r;

	if (malformed(&req, store_rcpt_req_get(req->body, &q, &err), &err))
		return;
	r = may_send(p, &q, &err);
	if (r == 0)
		r = find_rcpt(&p->s->view, &q, p->who != WHO_MX, &found, &a, &err);
	if (found.measured && store_is_behind(p->s->store)) {
		ask_again(p, req);
		return;
	}
	if (r < 0 && found.newly_full)
		begin_grace(p, &q);
	if (r < 0)
		request_fail(&req, &err);
	else
		store_rcpt_answer(&req, &a);
}

void store_on_sender(struct peer *p, struct request *req)
{
	const struct store_sender_rep a = { .ok = 1 };
	struct store_sender_req q;
	struct err err = ERR_INIT;
	struct handle *h;
	int r;

	if (malformed(&req, store_sender_req_get(req->body, &q, &err), &err))
		return;
	if (p->who == WHO_OPERATOR) {
		r = directory_is_local(&p->s->view, q.address, &err);
		if (r == 0)
			r = err_set(&err, ERR_DENIED, "not an address of this server");
	} else {
		h = store_handle(p, q.handle);
		if (h)
			r = directory_sender(&p->s->view, h->account, q.address, &err);
		else
			r = err_set(&err, ERR_DENIED, "the login has ended");
	}
	if (r < 0)
		request_fail(&req, &err);
	else
		store_sender_answer(&req, &a);
}

void store_on_login(struct peer *p, struct request *req)
{
	struct buf verifier = BUF(2048);
	struct store_login_req q;
	struct store_login_rep a;
	struct directory_login who;
	struct err err = ERR_INIT, none = ERR_INIT;

	if (malformed(&req, store_login_req_get(req->body, &q, &err), &err))
		return;
	if (directory_login(&p->s->view, q.name, &who, &err) < 0 &&
		(err.kind != ERR_NOTFOUND || who.login[0] == 0)) {
		request_fail(&req, &err);
		return;
	}
	/* An account without a password yet has no verifier, nobody has none either: T031, to look
	 * costs the same. */
	if (directory_secret(&p->s->view, STORE_VERIFIER, str_c(who.login), &verifier, &none) < 0 &&
		none.kind != ERR_NOTFOUND) {
		request_fail(&req, &none);
	} else {
		a = (struct store_login_rep){ .account = who.account,
			.login = str_c(who.login),
			.enabled = who.enabled,
			.verifier = buf_str(&verifier) };
		store_login_answer(&req, &a);
	}
	buf_free(&verifier);
}

void store_on_secret_get(struct peer *p, struct request *req)
{
	struct buf sealed = BUF(49152);
	struct store_secret_get_req q;
	struct store_secret_get_rep a;
	struct err err = ERR_INIT;

	if (malformed(&req, store_secret_get_req_get(req->body, &q, &err), &err))
		return;
	if (directory_secret(&p->s->view, q.kind, q.name, &sealed, &err) < 0) {
		request_fail(&req, &err);
	} else {
		a = (struct store_secret_get_rep){ .sealed = buf_str(&sealed) };
		store_secret_get_answer(&req, &a);
	}
	buf_free(&sealed);
}

/* ---- changes ---- */

int store_do_secret_put(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_secret_put, q);

	if (directory_secret_put(t, q.kind, q.name, q.sealed, err) < 0)
		return -1;
	return ANSWER(store_secret_put, .ok = 1);
}

int store_do_domain_put(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_domain_put, q);

	if (directory_domain_put(t, q.name, q.kind, err) < 0)
		return -1;
	return ANSWER(store_domain_put, .ok = 1);
}

int store_do_domain_remove(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_domain_remove, q);

	if (directory_domain_remove(t, q.name, err) < 0)
		return -1;
	return ANSWER(store_domain_remove, .ok = 1);
}

int store_do_account_add(struct txn *t, struct store_job *job, struct err *err)
{
	uint64_t account = 0;
	ASKED(store_account_add, q);

	if (directory_account_add(t, q.login, q.full_name, &account, err) < 0)
		return -1;
	return ANSWER(store_account_add, .account = account);
}

/* Who is disabled or removed is logged out everywhere. */
static void log_out(struct work *w)
{
	if (w->job.result == 0)
		store_handles_of_account_end(
			w->s, w->touched, STR("the account was disabled or removed"));
}

int store_do_account_enable(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_account_enable, q);

	if (directory_account_enable(t, q.login, q.on != 0, &work_of(job)->touched, err) < 0)
		return -1;
	if (!q.on)
		work_of(job)->after = log_out;
	return ANSWER(store_account_enable, .ok = 1);
}

int store_do_account_remove(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_account_remove, q);

	if (directory_account_remove(t, q.login, &work_of(job)->touched, err) < 0)
		return -1;
	work_of(job)->after = log_out;
	return ANSWER(store_account_remove, .ok = 1);
}

int store_do_alias_put(struct txn *t, struct store_job *job, struct err *err)
{
	struct str targets[DIRECTORY_TARGETS / 8];
	struct store_target_item item;
	size_t n = 0;
	ASKED(store_alias_put, q);

	while (store_target_item_next(&q.targets, &item)) {
		if (n == sizeof targets / sizeof targets[0])
			return err_set(err, ERR_LIMIT, "at most %zu targets",
				sizeof targets / sizeof targets[0]);
		targets[n++] = item.address;
	}
	if (directory_alias_put(t, q.address, q.owner, targets, n, err) < 0)
		return -1;
	return ANSWER(store_alias_put, .ok = 1);
}

int store_do_alias_remove(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_alias_remove, q);

	if (directory_alias_remove(t, q.address, err) < 0)
		return -1;
	return ANSWER(store_alias_remove, .ok = 1);
}

int store_do_account_quota(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_account_quota, q);

	if (directory_account_quota(t, q.login, q.messages, q.bytes, err) < 0)
		return -1;
	return ANSWER(store_account_quota, .ok = 1);
}

int store_do_domain_quota(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_domain_quota, q);

	if (directory_domain_quota(t, q.name, q.messages, q.bytes, err) < 0)
		return -1;
	return ANSWER(store_domain_quota, .ok = 1);
}

int store_do_account_caps(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_account_caps, q);

	if (directory_account_caps(t, q.login, q.messages, q.recipients, err) < 0)
		return -1;
	return ANSWER(store_account_caps, .ok = 1);
}

int store_do_identity(struct txn *t, struct store_job *job, struct err *err)
{
	ASKED(store_identity, q);

	if (q.add ? directory_identity_add(t, q.login, q.address, err) < 0
		  : directory_identity_remove(t, q.login, q.address, err) < 0)
		return -1;
	return ANSWER(store_identity, .ok = 1);
}

/* ---- lists ---- */

static bool add_domain(void *arg, const struct directory_domain_row *row)
{
	struct listing *l = arg;
	size_t before = l->items.n;

	store_domain_row_put(&l->items,
		&(struct store_domain_row){ row->name, row->kind, (uint32_t)row->accounts,
			row->quota_messages, row->quota_bytes, row->messages, row->bytes });
	return listing_fits(l, before);
}

int store_do_domains(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_domains, q);

	if (directory_domains(v, q.after, add_domain, &l, err) == 0)
		r = ANSWER(store_domains, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

static bool add_account(void *arg, const struct directory_account_row *row)
{
	struct listing *l = arg;
	size_t before = l->items.n;

	store_account_row_put(&l->items,
		&(struct store_account_row){ row->account, row->login, row->full_name, row->enabled,
			row->messages, row->bytes, row->created, row->quota_messages,
			row->quota_bytes, row->cap_messages, row->cap_recipients });
	return listing_fits(l, before);
}

int store_do_accounts(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_accounts, q);

	if (directory_accounts(v, q.after, add_account, &l, err) == 0)
		r = ANSWER(store_accounts, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

static bool add_identity(void *arg, struct str address)
{
	struct listing *l = arg;
	size_t before = l->items.n;

	store_target_item_put(&l->items, &(struct store_target_item){ address });
	return listing_fits(l, before);
}

int store_do_identities(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_identities, q);

	if (directory_identities(v, q.login, add_identity, &l, err) == 0)
		r = ANSWER(store_identities, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}

/* Targets come one by one; an alias goes out when it is whole. */
struct alias_listing {
	struct listing list;
	struct buf address, owner, targets;
};

static bool end_alias(struct alias_listing *l)
{
	const struct store_alias_row row = { buf_str(&l->address), buf_str(&l->owner),
		buf_str(&l->targets) };
	size_t before = l->list.items.n;

	if (row.address.n == 0)
		return true;
	store_alias_row_put(&l->list.items, &row);
	return listing_fits(&l->list, before);
}

static bool add_alias(
	void *arg, struct str address, struct str owner, struct str target, bool first)
{
	struct alias_listing *l = arg;

	if (first) {
		if (!end_alias(l))
			return false;
		buf_clear(&l->address);
		buf_clear(&l->targets);
		buf_add(&l->address, address);
		buf_clear(&l->owner);
		buf_add(&l->owner, owner);
	}
	store_target_item_put(&l->targets, &(struct store_target_item){ target });
	return true;
}

int store_do_aliases(struct view *v, struct store_job *job, struct err *err)
{
	struct alias_listing l = { LISTING, BUF(DIRECTORY_ADDRESS), BUF(DIRECTORY_ADDRESS),
		BUF(MSG_MAX) };
	int r = -1;
	ASKED(store_aliases, q);

	if (directory_aliases(v, q.after, add_alias, &l, err) == 0) {
		if (!l.list.more)
			(void)end_alias(&l);
		r = ANSWER(store_aliases, .items = buf_str(&l.list.items), .more = l.list.more);
	}
	buf_free(&l.list.items);
	buf_free(&l.address);
	buf_free(&l.owner);
	buf_free(&l.targets);
	return r;
}

static bool add_secret(void *arg, struct str name)
{
	struct listing *l = arg;
	size_t before = l->items.n;

	store_secret_item_put(&l->items, &(struct store_secret_item){ name });
	return listing_fits(l, before);
}

int store_do_secret_list(struct view *v, struct store_job *job, struct err *err)
{
	struct listing l = LISTING;
	int r = -1;
	ASKED(store_secret_list, q);

	if (directory_secrets(v, q.kind, q.after, add_secret, &l, err) == 0)
		r = ANSWER(store_secret_list, .items = buf_str(&l.items), .more = l.more);
	buf_free(&l.items);
	return r;
}
