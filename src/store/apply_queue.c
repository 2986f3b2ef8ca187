#include "store/apply_private.h"
#include "store/names.h"

int apply_queue_put(struct apply *a, const struct effect_queue_put *e, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO queue_message (id, account, sender, arrived, size, flags, envid, ret,"
		" body, waiting, prefix) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
		DB_ARGS(ID(e->id), ID(e->account), DB_T(e->sender), DB_I(e->arrived), ID(e->size),
			DB_I(e->flags), DB_T(e->envid), DB_I(e->ret), ID(e->body), DB_I(e->rcpts),
			DB_B(e->prefix)),
		err);
}

static void queue_changed(struct apply *a)
{
	if (a->changes)
		a->changes->queue = true;
}

/* Something of the domain is due then, maybe the first of it. */
static int expect_domain(struct apply *a, struct str domain, int64_t next, struct err *err)
{
	return db_exec(a->db,
		"INSERT INTO queue_domain (domain, next) VALUES ($1, $2)"
		" ON CONFLICT (domain) DO UPDATE SET next = $2 WHERE queue_domain.next > $2",
		DB_ARGS(DB_T(domain), DB_I(next)), err);
}

/* The first time at which something of the domain is due: one step in the index for each priority
 * that it has. 1, 0 there is nothing of it, -1. */
static int first_of_domain(struct apply *a, struct str domain, int64_t *first, struct err *err)
{
	int64_t priority = PRIORITY_ZERO + 1, next = 0;
	int got, found = 0;

	while ((got = db_int(a->db, &priority,
			"SELECT max(priority) FROM queue_rcpt WHERE domain = $1 AND priority < $2",
			DB_ARGS(DB_T(domain), DB_I(priority)), err)) == 1) {
		if (db_int(a->db, &next,
			    "SELECT min(next) FROM queue_rcpt WHERE domain = $1 AND priority = $2",
			    DB_ARGS(DB_T(domain), DB_I(priority)), err) < 0)
			return -1;
		if (!found || next < *first)
			*first = next;
		found = 1;
	}
	return got < 0 ? -1 : found;
}

/* A recipient of it has gone, or is due at another time. */
static int settle_domain(struct apply *a, struct str domain, struct err *err)
{
	int64_t first = 0;
	int got = first_of_domain(a, domain, &first, err);

	if (got < 0)
		return -1;
	if (got == 0)
		return db_exec(a->db, "DELETE FROM queue_domain WHERE domain = $1",
			DB_ARGS(DB_T(domain)), err);
	return db_exec(a->db, "UPDATE queue_domain SET next = $2 WHERE domain = $1 AND next <> $2",
		DB_ARGS(DB_T(domain), DB_I(first)), err);
}

/* Change one recipient and settle the domain that the statement returns, if it finds it. */
static int change_rcpt(
	struct apply *a, const char *sql, const struct db_val *v, size_t n, struct err *err)
{
	struct buf domain = BUF(1024);
	struct rows *r;
	int got = -1;

	queue_changed(a);
	if (db_query(a->db, &r, sql, v, n, err) == 0) {
		got = rows_next(r, err);
		if (got == 1)
			buf_add(&domain, rows_str(r, 0));
		rows_free(&r);
	}
	if (got == 1 && !buf_ok(&domain))
		got = err_set(err, ERR_TEMP, "out of memory for a domain");
	if (got == 1)
		got = settle_domain(a, buf_str(&domain), err);
	buf_free(&domain);
	return got < 0 ? -1 : 0;
}

int apply_queue_rcpt(struct apply *a, const struct effect_queue_rcpt *e, struct err *err)
{
	apply_at_least(&a->next->rcpt, e->id);
	queue_changed(a);
	if (expect_domain(a, e->domain, e->next, err) < 0)
		return -1;
	return db_exec(a->db,
		"INSERT INTO queue_rcpt (id, message, domain, address, orcpt, notify, state,"
		" attempts, next, code, status, reply, remote, delay_told)"
		" VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8, 0, '', '', '', 0)",
		DB_ARGS(ID(e->id), ID(e->message), DB_T(e->domain), DB_T(e->address),
			DB_T(e->orcpt), DB_I(e->notify), DB_I(e->state), DB_I(e->next)),
		err);
}

int apply_queue_options(struct apply *a, const struct effect_queue_options *e, struct err *err)
{
	struct effect_queue_options_row o;
	struct str seq = e->options;

	if (!effect_queue_options_row_next(&seq, &o))
		return err_set(err, ERR_PROTO, "malformed options of a queued message");
	if (db_exec(a->db, "UPDATE queue_message SET options = $2 WHERE id = $1",
		    DB_ARGS(ID(e->id), DB_B(e->options)), err) < 0)
		return -1;
	if (o.priority == PRIORITY_ZERO)
		return 0;
	return db_exec(a->db, "UPDATE queue_rcpt SET priority = $2 WHERE message = $1",
		DB_ARGS(ID(e->id), DB_I(o.priority - PRIORITY_ZERO)), err);
}

int apply_queue_rrvs(struct apply *a, const struct effect_queue_rrvs *e, struct err *err)
{
	return db_exec(a->db, "UPDATE queue_rcpt SET rrvs = $2 WHERE id = $1",
		DB_ARGS(ID(e->id), DB_I(e->rrvs * 2 + (e->mode & 1))), err);
}

int apply_queue_state(struct apply *a, const struct effect_queue_state *e, struct err *err)
{
	return change_rcpt(a,
		"UPDATE queue_rcpt SET state = $2, attempts = $3, next = $4, code = $5,"
		" status = $6, reply = $7, remote = $8, delay_told = $9 WHERE id = $1"
		" RETURNING domain",
		DB_ARGS(ID(e->id), DB_I(e->state), DB_I(e->attempts), DB_I(e->next), DB_I(e->code),
			DB_T(e->status), DB_T(e->reply), DB_T(e->remote), DB_I(e->delay_told)),
		err);
}

int apply_queue_done(struct apply *a, const struct effect_queue_done *e, struct err *err)
{
	int64_t waiting = 1, body = 0;

	if (change_rcpt(a, "DELETE FROM queue_rcpt WHERE id = $1 RETURNING domain",
		    DB_ARGS(ID(e->id)), err) < 0 ||
		db_int(a->db, &waiting,
			"UPDATE queue_message SET waiting = waiting - 1 WHERE id = $1"
			" RETURNING waiting",
			DB_ARGS(ID(e->message)), err) < 0)
		return -1;
	if (waiting > 0)
		return 0;
	if (db_int(a->db, &body, "DELETE FROM queue_message WHERE id = $1 RETURNING body",
		    DB_ARGS(ID(e->message)), err) < 0)
		return -1;
	return apply_body_unlink(a, (uint64_t)body, err);
}
