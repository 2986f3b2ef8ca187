/* One message over one connection: what the server takes of it, in which form, and what it says. */
#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/convert.h"
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

enum { PIECE = 60000, CONVERTED_MAX = 1 << 20 };

_Static_assert((int)SMTP_BODY == (int)PHASE_BODY && (int)SMTP_TLS == (int)PHASE_TLS &&
		(int)SMTP_RCPT == (int)PHASE_RCPT,
	"the phases of smtp/client.h and route/reply.h");

struct message {
	struct job *j;
	struct smtp_client *client;
	const char *remote;
	struct smtp_client_rcpt *rcpts;
	struct smtp_client_mail mail;
	/* the body */
	uint64_t at;
	struct reply hold;
	struct convert *convert; /* NULL: it goes as it is */
	struct buf converted;
	bool ended;
	bool damaged; /* in the store: nobody can have it (T122) */
};

/* ---- the body ---- */

static void rewind_body(struct message *m)
{
	m->at = 0;
	m->ended = false;
}

static int read_stored(struct message *m, struct str *piece, struct err *err)
{
	struct job *j = m->j;
	struct store_lease_body_req q = { .lease = j->lease, .offset = m->at, .length = PIECE };
	struct store_lease_body_rep a;
	struct channel *ch = link_channel(j->c->store, j->generation);

	reply_free(&m->hold);
	*piece = STR("");
	if (m->at >= j->size)
		return 0;
	if (!ch)
		return err_set(err, ERR_TEMP, "the store has restarted");
	if (store_lease_body(ch, &q, clock_after(60 * CLOCK_SEC), &a, &m->hold, err) < 0) {
		m->damaged = err->kind == ERR_DAMAGED;
		return err_wrap(err, "read the message");
	}
	if (a.data.n == 0)
		return err_set(err, ERR_TEMP, "the message is shorter than it should be");
	m->at += a.data.n;
	*piece = a.data;
	return 0;
}

static int read_converted(struct message *m, struct str *piece, struct err *err)
{
	struct str stored;

	buf_clear(&m->converted);
	while (m->converted.n == 0 && !m->ended) {
		if (read_stored(m, &stored, err) < 0)
			return -1;
		m->ended = stored.n == 0;
		if (!m->ended)
			convert_feed(m->convert, stored, &m->converted);
		else if (convert_end(m->convert, &m->converted, err) < 0)
			return -1;
		if (!buf_ok(&m->converted))
			return err_set(err, ERR_TEMP, "out of memory for a converted message");
	}
	*piece = buf_str(&m->converted);
	return 0;
}

static int read_body(void *arg, struct str *piece, struct err *err)
{
	struct message *m = arg;

	if (!job_is_leased(m->j)) {
		log_event(LOG_WARN, "courier.lease_ended", L_U64("message", m->j->message),
			L_Z("remote", m->remote));
		return err_set(err, ERR_TEMP, "the lease has ended: another machine may send it");
	}
	return m->convert ? read_converted(m, piece, err) : read_stored(m, piece, err);
}

/* ---- conversion ---- */

static bool must_convert(const struct message *m, enum convert_target target)
{
	const struct job *j = m->j;

	if (j->body_type == BODY_BINARYMIME)
		return !smtp_client_offers(m->client, SMTP_BINARYMIME);
	return (j->flags & DELIVER_LONG) || ((j->flags & DELIVER_8BIT) && target == CONVERT_7BIT);
}

/* Three walks over the message, of which this is two: what it is made of, and what becomes of it.
 */
static int convert(struct message *m, enum convert_target target, struct err *err)
{
	struct str piece;
	uint64_t size = 0;

	m->convert = convert_new();
	if (!m->convert)
		return err_set(err, ERR_TEMP, "out of memory for a conversion");
	do {
		if (read_stored(m, &piece, err) < 0)
			return -1;
		convert_scan(m->convert, piece);
	} while (piece.n);
	if (convert_plan(m->convert, target, err) < 0)
		return -1;
	rewind_body(m);
	do {
		if (read_converted(m, &piece, err) < 0)
			return -1;
		size += piece.n;
	} while (piece.n);
	m->mail.size = size;
	return 0;
}

static int choose_body(struct message *m, struct err *err)
{
	bool eight = smtp_client_offers(m->client, SMTP_8BITMIME);
	enum convert_target target = eight ? CONVERT_8BIT : CONVERT_7BIT;

	if (m->mail.utf8 && !smtp_client_offers(m->client, SMTP_SMTPUTF8))
		return 0; /* RFC 6531 3.5: it will not go at all */
	if (m->j->flags & DELIVER_8BIT)
		m->mail.body = eight ? SMTP_BODY_8BIT : SMTP_BODY_7BIT;
	if (must_convert(m, target))
		return convert(m, target, err);
	if (m->j->body_type == BODY_BINARYMIME)
		m->mail.body = SMTP_BODY_BINARY;
	return 0;
}

/* ---- recipients ---- */

/* RFC 7293 5.1: what must be checked is not given to a server that cannot. */
static void refuse_unchecked(struct message *m)
{
	struct job *j = m->j;

	if (smtp_client_offers(m->client, SMTP_RRVS))
		return;
	for (size_t i = 0; i < j->rcpt_count; i++) {
		struct job_rcpt *r = &j->rcpts[i];

		if (r->out.state || !r->rrvs || !r->rrvs_reject)
			continue;
		r->out = (struct outcome){ .state = RCPT_FAILED,
			.code = 550,
			.text = job_text(j,
				STR("the next server cannot say since when the mailbox has its "
				    "owner")) };
		str_z(STR("5.7.19"), r->out.status, sizeof r->out.status);
	}
}

/* The next recipients without an outcome, as many as the server takes at once. */
static void name_rcpts(struct message *m)
{
	size_t most = smtp_client_rcpt_max(m->client), n = 0;

	for (size_t i = 0; i < m->j->rcpt_count && n < most; i++) {
		const struct job_rcpt *r = &m->j->rcpts[i];

		if (!r->out.state)
			m->rcpts[n++] = (struct smtp_client_rcpt){ .address = r->address,
				.notify = r->notify,
				.orcpt = r->orcpt,
				.rrvs = r->rrvs,
				.rrvs_reject = r->rrvs_reject };
	}
	m->mail.rcpt_count = n;
}

/* ---- answers ---- */

/* RFC 2852 4: who asked for a trace, or for word of a delay that the next server will not give,
 * hears that the message has gone on. */
static bool is_traced(const struct message *m)
{
	if (!m->j->deliver_by)
		return false;
	return (m->j->by_mode & BY_TRACE) ||
		((m->j->by_mode & BY_NOTIFY) && !smtp_client_offers(m->client, SMTP_DELIVERBY));
}

static void take_answer(struct message *m, struct job_rcpt *r, const struct smtp_answer *a)
{
	struct reply_verdict v = reply_judge((enum reply_phase)a->phase, a->code, str_c(a->status));
	struct outcome *o = &r->out;

	o->state = v.outcome == REPLY_OK   ? RCPT_DELIVERED
		: v.outcome == REPLY_NEVER ? RCPT_FAILED
					   : RCPT_DEFERRED;
	if (o->state == RCPT_DELIVERED) {
		o->here = m->j->dest->route.lmtp;
		o->relayed = !smtp_client_offers(m->client, SMTP_DSN);
		o->traced = is_traced(m);
	}
	o->code = a->code;
	o->text = job_text(m->j, str_c(a->text));
	o->remote = a->ours ? STR("") : job_text(m->j, str_c(m->remote));
	memcpy(o->status, v.status, sizeof o->status);
}

/* RFC 5321 4.5.3.1.10: the recipients beyond what the server takes at once go in another
 * transaction, as long as it takes any. */
static bool is_one_too_many(const struct smtp_answer *a, bool any)
{
	return any && a->phase == SMTP_RCPT && a->code == 452 &&
		(!a->status[0] || str_eq(str_c(a->status), STR("4.5.3")));
}

/* Gives whether there was a good one. */
static bool take_answers(struct message *m)
{
	const struct smtp_client_rcpt *next = m->rcpts, *end = next + m->mail.rcpt_count;
	bool any = false;

	for (const struct smtp_client_rcpt *r = m->rcpts; r < end; r++)
		any |= r->answer.code >= 200 && r->answer.code < 300;
	for (size_t i = 0; i < m->j->rcpt_count && next < end; i++) {
		struct job_rcpt *r = &m->j->rcpts[i];
		const struct smtp_answer *a = &next->answer;

		if (r->out.state)
			continue;
		next++;
		if (a->code && !is_one_too_many(a, any)) /* 0: not this server's word */
			take_answer(m, r, a);
	}
	return any;
}

/* Does nobody know whether the server has the message? (T103, T150: then it is sent again.) */
static bool is_in_doubt(const struct smtp_client_rcpt *rcpts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rcpts[i].answer.code == 0 && rcpts[i].answer.phase == SMTP_BODY)
			return true;
	return false;
}

/* The server's 421 is about the connection, not about the recipient. */
static bool is_goodbye(const struct smtp_client_rcpt *rcpts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (rcpts[i].answer.code != 421)
			return false;
	return n > 0;
}

/* Those in doubt, and nobody else: LMTP may have answered for others. */
static void settle_doubt(struct message *m)
{
	if (is_in_doubt(m->rcpts, m->mail.rcpt_count))
		job_settle(m->j, RCPT_DEFERRED, 0, "4.4.2",
			STR("the connection broke before the server said whether it has the "
			    "message"),
			str_c(m->remote));
}

/* Its sender has it, and can send it again. What the server got of it has no end, so it is nothing.
 */
static void settle_damaged(struct message *m)
{
	job_settle(m->j, RCPT_FAILED, 554, "5.3.0",
		STR("the message was damaged on our disk and cannot be sent"), STR(""));
}

/* ---- sending ---- */

/* One transaction. Gives whether anybody was served. */
static bool transact(struct message *m, struct err *err)
{
	bool any = false;

	if (!job_is_leased(m->j)) {
		err_set(err, ERR_TEMP, "the lease has ended");
		return false;
	}
	name_rcpts(m);
	rewind_body(m);
	m->mail.by_seconds = m->j->deliver_by - clock_wall();
	(void)smtp_client_send(m->client, &m->mail, err);
	if (is_goodbye(m->rcpts, m->mail.rcpt_count))
		err_set(err, ERR_TEMP, "%u %s", m->rcpts[0].answer.code, m->rcpts[0].answer.text);
	else
		any = take_answers(m);
	if (m->damaged)
		settle_damaged(m);
	settle_doubt(m);
	return any;
}

static enum sending send_all(struct message *m, struct err *err)
{
	bool any = false, more = true;

	while (more && !job_is_settled(m->j)) {
		more = transact(m, err);
		any |= more;
		more &= smtp_client_usable(m->client);
	}
	if (job_is_settled(m->j))
		return SENT;
	if (err->kind == ERR_NONE)
		err_set(err, ERR_TEMP, "the server takes no more recipients on this connection");
	return any ? SENT_PARTLY : NOT_SENT;
}

static void prepare(struct message *m, struct job *j)
{
	m->mail = (struct smtp_client_mail){ .from = j->sender,
		.size = j->size,
		.utf8 = j->flags & DELIVER_UTF8,
		.require_tls = j->require_tls,
		.ret = j->ret,
		.envid = j->envid,
		.by_mode = j->deliver_by ? j->by_mode : 0,
		.priority = j->priority,
		.rcpts = m->rcpts,
		.read = read_body,
		.arg = m };
}

enum sending message_send(
	struct job *j, struct smtp_client *client, const char *remote, struct err *err)
{
	struct message m = { .j = j,
		.client = client,
		.remote = remote,
		.rcpts = calloc(j->rcpt_count, sizeof *m.rcpts),
		.converted = BUF(CONVERTED_MAX) };
	enum sending done = NOT_SENT;

	*err = ERR_INIT;
	if (!m.rcpts) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	prepare(&m, j);
	job_return_late(j);
	refuse_unchecked(&m);
	if (job_is_settled(j)) {
		done = SENT;
	} else if (choose_body(&m, err) == 0) {
		done = send_all(&m, err);
	} else if (m.damaged) {
		settle_damaged(&m);
		done = SENT;
	} else if (err->kind == ERR_PERM) { /* RFC 6152 3, RFC 3463 3.7 */
		job_settle(j, RCPT_FAILED, 554, "5.6.3", str_c(err->msg), STR(""));
		done = SENT;
	}
out:
	convert_free(&m.convert);
	buf_free(&m.converted);
	reply_free(&m.hold);
	free(m.rcpts);
	return done;
}
