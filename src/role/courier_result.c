#include "role/courier_private.h"

#include "base/clock.h"
#include "base/codec.h"
#include "base/log.h"
#include "base/utf8.h"
#include "conf/conf.h"
#include "crypto/crypto.h"
#include "mail/dsn.h"
#include "mail/facts.h"
#include "mail/header.h"
#include "mail/queue_id.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { REPORT_MAX = 240 * 1024, RETURN_MAX = 128 * 1024, HEAD_PIECE = 60000, RESULTS_MAX = 24000 };

#define CALL_TIME (60 * CLOCK_SEC)
enum { AGAIN_FIRST = 1, AGAIN_MOST = 60 }; /* seconds until a result is told again */
/* RFC 3461 6.2: when a delay is worth a word. */
#define DELAY_AFTER (4 * 3600)

/* ---- what becomes of each recipient ---- */

static void give_up(struct job *j, struct outcome *o)
{
	char text[TEXT_MAX + 1];

	snprintf(text, sizeof text, "delivery time expired after %" PRId64 " hours; last: " STR_F,
		(clock_wall() - j->arrived) / 3600, STR_A(str_head(o->text, TEXT_MAX - 80)));
	o->state = RCPT_FAILED;
	o->text = job_text(j, str_c(text));
	snprintf(o->status, sizeof o->status, "5.4.7");
}

/* The wait, but not beyond the time at which there is something to say (RFC 2852 4.1). */
static uint32_t until_deadline(const struct job *j, uint32_t wait)
{
	int64_t left = j->deliver_by - clock_wall();

	return j->deliver_by && left > 0 && left < wait ? (uint32_t)left : wait;
}

/* What was deferred has run out of the time that its sender gave it. */
static void return_late(struct job *j)
{
	for (size_t i = 0; i < j->rcpt_count; i++)
		if (j->rcpts[i].out.state == RCPT_DEFERRED)
			j->rcpts[i].out.state = 0;
	job_return_late(j);
}

/* Deferred again, or was that the last time? */
static void plan(struct job *j)
{
	if (job_is_late(j))
		return_late(j);
	for (size_t i = 0; i < j->rcpt_count; i++) {
		struct job_rcpt *r = &j->rcpts[i];

		if (r->out.state != RCPT_DEFERRED || r->out.retry_after > 0)
			continue;
		r->out.retry_after = until_deadline(j,
			schedule_next(&j->c->schedule, r->attempts + 1, j->since,
				clock_wall_earlier(), random_below(UINT32_MAX)));
		if (r->out.retry_after == 0)
			give_up(j, &r->out);
	}
}

static const char *word_of(uint8_t state)
{
	return state == RCPT_DELIVERED ? "sent" : state == RCPT_FAILED ? "bounced" : "deferred";
}

/* One line per recipient and attempt. */
static void log_outcomes(const struct job *j)
{
	char id[QUEUE_ID_SIZE];

	queue_id_print(j->message, id);
	for (size_t i = 0; i < j->rcpt_count; i++) {
		const struct outcome *o = &j->rcpts[i].out;

		if (o->state == RCPT_RELEASED)
			continue;
		log_event(LOG_INFO, "courier.delivery", L_Z("id", id), L_STR("from", j->sender),
			L_STR("to", j->rcpts[i].address),
			L_STR("relay", o->remote.n ? o->remote : STR("none")),
			L_I64("delay", clock_wall() - j->arrived), L_Z("dsn", o->status),
			L_Z("status", word_of(o->state)), L_U64("code", o->code),
			L_U64("attempt", j->rcpts[i].attempts + 1u), L_STR("reply", o->text));
	}
}

/* ---- the report ---- */

/* RFC 2852 4.1: when the time that the sender set has passed, it hears of that and of no other
 * delay. */
static bool wants_delay_report(const struct job *j, const struct job_rcpt *r, uint8_t notify)
{
	int64_t after = j->c->schedule.expire / 4;

	if (r->delay_told)
		return false;
	if (j->deliver_by && (j->by_mode & BY_NOTIFY))
		return clock_wall() >= j->deliver_by;
	if (after > DELAY_AFTER)
		after = DELAY_AFTER;
	return (notify & NOTIFY_DELAY) && clock_wall() - j->since >= after;
}

/* RFC 3461 4.1: what the sender wants to hear; not said means failure. */
static bool wants_report(const struct job *j, struct job_rcpt *r, enum dsn_action *action)
{
	uint8_t notify = r->notify ? r->notify : NOTIFY_FAILURE;

	if (notify & NOTIFY_NEVER)
		return false;
	if (r->out.state == RCPT_FAILED) {
		*action = DSN_FAILED;
		return notify & NOTIFY_FAILURE;
	}
	if (r->out.state == RCPT_DELIVERED) {
		*action = r->out.here ? DSN_DELIVERED : DSN_RELAYED; /* RFC 3461 5.2.2 */
		return r->out.traced ||
			((notify & NOTIFY_SUCCESS) && (r->out.here || r->out.relayed));
	}
	*action = DSN_DELAYED;
	return r->out.state == RCPT_DEFERRED && wants_delay_report(j, r, notify);
}

struct report {
	struct job *j;
	struct dsn_recipient *list;
	struct address_store *stores; /* one a recipient, and one for the sender */
	size_t n;
	bool failure; /* somebody did not get it */
	struct arena mem;
	struct buf original, text, facts, refs;
};

static bool decode_xtext(struct report *p, struct str s, struct str *out)
{
	struct buf b = BUF(TEXT_MAX);
	bool ok = xtext_decode(s, &b) && arena_str(&p->mem, buf_str(&b), out);

	buf_free(&b);
	return ok;
}

/* "rfc822;xtext" to "rfc822;text". */
static struct str decode_orcpt(struct report *p, struct str s)
{
	struct str type, rest, plain, out = STR("");
	struct buf b = BUF(TEXT_MAX);

	if (str_cut(s, ';', &type, &rest) && decode_xtext(p, rest, &plain)) {
		buf_add(&b, type);
		buf_addc(&b, ';');
		buf_add(&b, plain);
		(void)arena_str(&p->mem, buf_str(&b), &out);
	}
	buf_free(&b);
	return out;
}

/* "mx.example.net[192.0.2.1]:25" to the name. */
static struct str host_of(struct str remote)
{
	return str_head(remote, str_find(remote, '['));
}

static void add_recipient(struct report *p, const struct job_rcpt *r, enum dsn_action action)
{
	struct dsn_recipient *to = &p->list[p->n];
	struct err err;

	if (address_mailbox(r->address, ADDRESS_UTF8 | ADDRESS_POSTMASTER, &p->stores[p->n],
		    &to->address, &err) < 0) {
		log_event(LOG_ERROR, "courier.no-report", L_STR("about", r->address), L_ERR(&err));
		return;
	}
	to->original = decode_orcpt(p, r->orcpt);
	to->action = action;
	to->status = str_c(r->out.status);
	to->remote_mta = host_of(r->out.remote);
	to->diagnostic = r->out.text;
	to->last_attempt = clock_wall();
	if (action == DSN_DELAYED)
		to->retry_until = p->j->since + p->j->c->schedule.expire;
	p->failure |= action == DSN_FAILED;
	p->n++;
}

static int choose_recipients(struct report *p, struct err *err)
{
	struct job *j = p->j;
	enum dsn_action action;

	p->list = arena_array(&p->mem, j->rcpt_count, sizeof *p->list);
	p->stores = arena_array(&p->mem, j->rcpt_count + 1, sizeof *p->stores);
	if (!p->list || !p->stores)
		return err_set(err, ERR_TEMP, "out of memory");
	for (size_t i = 0; i < j->rcpt_count; i++)
		if (wants_report(j, &j->rcpts[i], &action)) {
			add_recipient(p, &j->rcpts[i], action);
			j->rcpts[i].delay_tells = action == DSN_DELAYED;
		}
	return 0;
}

/* RFC 3461 4.3: when it failed all of it, unless only the head is asked for or it is too much. RFC
 * 8689 5: of what must have TLS the head only. A binary one cannot stand in a report. */
static bool returns_whole(const struct report *p)
{
	const struct job *j = p->j;

	return p->failure && j->ret != RET_HDRS && !j->require_tls && j->size <= RETURN_MAX &&
		j->body_type != BODY_BINARYMIME;
}

static int read_original(struct report *p, bool *whole, struct err *err)
{
	struct job *j = p->j;
	size_t end;

	*whole = returns_whole(p);
	while (p->original.n < j->size) {
		struct store_lease_body_req q = {
			.lease = j->lease, .offset = p->original.n, .length = HEAD_PIECE
		};
		struct store_lease_body_rep a;
		struct reply hold = { 0 };
		struct channel *ch = link_channel(j->c->store, j->generation);

		if (!ch || store_lease_body(ch, &q, clock_after(CALL_TIME), &a, &hold, err) < 0) {
			reply_free(&hold);
			return ch ? -1 : err_set(err, ERR_CLOSED, "the store has restarted");
		}
		buf_add(&p->original, a.data);
		end = a.data.n;
		reply_free(&hold);
		if (end == 0 || !buf_ok(&p->original) ||
			(!*whole && head_find_end(buf_str(&p->original), &end)))
			break;
	}
	return 0;
}

/* One that is damaged in the store is reported without it. */
static int add_original(struct report *p, bool *whole, struct err *err)
{
	struct err why = ERR_INIT;

	if (read_original(p, whole, &why) == 0)
		return 0;
	if (why.kind != ERR_DAMAGED) {
		*err = why;
		return -1;
	}
	*whole = false;
	buf_clear(&p->original);
	return 0;
}

static int compose(struct report *p, struct err *err)
{
	struct job *j = p->j;
	char id[QUEUE_ID_SIZE];
	struct dsn d = { .host = conf_str(j->c->conf, CONF_HOSTNAME),
		.now = { clock_wall(), 0 },
		.arrival = j->arrived,
		.deliver_by = j->deliver_by,
		.held_until = j->since > j->arrived ? j->since : 0,
		.recipients = p->list,
		.n = p->n };

	queue_id_print(call_id_next(), id);
	d.id = str_c(id);
	if (add_original(p, &d.whole, err) < 0 ||
		address_mailbox(j->sender, ADDRESS_UTF8, &p->stores[j->rcpt_count], &d.to, err) < 0)
		return -1;
	d.original = buf_str(&p->original);
	(void)decode_xtext(p, j->envid, &d.envelope_id);
	if (dsn_compose(&d, &p->text, err) < 0)
		return -1;
	return facts_of(buf_str(&p->text), &p->facts, &p->refs, err);
}

static int send_body(struct report *p, struct channel *ch, uint32_t txn, struct err *err)
{
	struct str rest = buf_str(&p->text);

	while (rest.n > 0) {
		struct store_txn_body m = { .txn = txn, .data = str_head(rest, HEAD_PIECE) };

		if (store_txn_body_send(ch, &m, err) < 0)
			return -1;
		rest = str_from(rest, m.data.n);
	}
	return 0;
}

static void report_free(struct report *p)
{
	buf_free(&p->original);
	buf_free(&p->text);
	buf_free(&p->facts);
	buf_free(&p->refs);
	arena_free(&p->mem);
}

/* ---- telling the store ---- */

static void put_results(const struct job *j, struct buf *b)
{
	size_t most = RESULTS_MAX / j->rcpt_count;
	size_t text = most < 2 * TEXT_MAX ? most / 2 : TEXT_MAX;

	for (size_t i = 0; i < j->rcpt_count; i++) {
		const struct job_rcpt *r = &j->rcpts[i];
		struct store_result_item item = { .rcpt = r->id,
			.state = r->out.state,
			.retry_after = r->out.retry_after,
			.code = r->out.code,
			.status = str_c(r->out.status),
			.text = str_head(r->out.text, text),
			.remote = str_head(r->out.remote, text < 320 ? text : 320),
			.delay_told = r->delay_told || r->delay_tells };

		store_result_item_put(b, &item);
	}
}

static int record(struct report *p, struct err *err)
{
	struct job *j = p->j;
	struct buf results = BUF(MSG_MAX);
	struct store_result_req q = { .call = j->call, .lease = j->lease };
	struct store_result_rep a;
	struct channel *ch = link_channel(j->c->store, j->generation);
	int r = -1;

	put_results(j, &results);
	q.results = buf_str(&results);
	q.flags = utf8_is_ascii(buf_str(&p->text)) ? 0 : DELIVER_8BIT;
	if (p->text.n && !utf8_is_ascii(j->sender))
		q.flags |= DELIVER_UTF8;
	if (!ch) {
		err_set(err, ERR_CLOSED, "the store has restarted");
		goto out;
	}
	if (p->text.n > 0) {
		q.txn = ++j->c->txn;
		q.size = p->text.n;
		q.facts = buf_str(&p->facts);
		q.refs = buf_str(&p->refs);
		if (send_body(p, ch, q.txn, err) < 0)
			goto out;
	}
	r = store_result(ch, &q, clock_after(CALL_TIME), &a, NULL, err);
out:
	buf_free(&results);
	return r;
}

/* A report that cannot be made must not hold the result back for ever, nor be lost for a passing
 * trouble: the latter is tried again with the whole job. */
static int report(struct report *p, struct err *err)
{
	struct job *j = p->j;
	char id[QUEUE_ID_SIZE];

	if (choose_recipients(p, err) < 0)
		return -1;
	if (p->n == 0)
		return 0;
	queue_id_print(j->message, id);
	if (j->sender.n == 0) { /* RFC 5321 4.5.5: never answer a notification */
		log_event(LOG_INFO, "courier.double-bounce", L_Z("id", id));
		return 0;
	}
	if (compose(p, err) == 0)
		return 0;
	if (err->kind != ERR_PERM && err->kind != ERR_LIMIT)
		return -1;
	log_event(
		LOG_ERROR, "courier.no-report", L_Z("id", id), L_STR("to", j->sender), L_ERR(err));
	buf_clear(&p->text);
	return 0;
}

static int finish(struct job *j, struct err *err)
{
	struct report p = { .j = j,
		.mem = ARENA(512 * 1024),
		.original = BUF(RETURN_MAX + HEAD_PIECE),
		.text = BUF(REPORT_MAX),
		.facts = BUF(FACTS_MAX),
		.refs = BUF(FACTS_REFS_BYTES) };
	int r = -1;

	if (!j->call)
		j->call = call_id_next();
	plan(j);
	if (report(&p, err) == 0)
		r = record(&p, err);
	report_free(&p);
	return r;
}

/* The store could not be told. If the lease's channel has ended, the store will lease these
 * recipients anew and the heir gets what we know; that must not be forgotten until then. */
static void keep_or_pass_on(struct job *j, const struct err *err)
{
	struct job *heir = j->heir;

	if (heir) {
		j->heir = NULL;
		job_inherit(heir, j);
		job_free(&j);
		job_finish(heir);
		return;
	}
	log_event(LOG_WARN, "courier.unrecorded", L_U64("message", j->message), L_ERR(err));
	j->busy = false;
	j->unrecorded = true;
	j->c->unrecorded++;
}

/* Nothing but its result ends a lease while its channel lives. */
static bool may_tell_again(const struct job *j, const struct err *err)
{
	return (err->kind == ERR_TEMP || err->kind == ERR_FULL || err->kind == ERR_TIMEOUT) &&
		link_channel(j->c->store, j->generation);
}

/* What the store refuses for now is told again, by the same call: it may have been done after all.
 */
static int finish_at_last(struct job *j, struct err *err)
{
	int64_t wait = AGAIN_FIRST;
	struct err ended;

	while (finish(j, err) < 0) {
		if (!may_tell_again(j, err))
			return -1;
		log_event(LOG_WARN, "courier.unrecorded", L_U64("message", j->message),
			L_I64("again", wait), L_ERR(err));
		if (task_sleep(clock_after(wait * CLOCK_SEC), &ended) < 0)
			return -1;
		wait = wait * 2 < AGAIN_MOST ? wait * 2 : AGAIN_MOST;
		*err = (struct err)ERR_INIT;
	}
	return 0;
}

static void run_finish(void *arg)
{
	struct job *j = arg;
	struct courier *c = j->c;
	struct err err = ERR_INIT;

	if (finish_at_last(j, &err) == 0) {
		log_outcomes(j);
		job_free(&j);
	} else {
		keep_or_pass_on(j, &err);
	}
	c->recording--;
	signal_raise(&c->work);
}

void job_finish(struct job *j)
{
	struct err err = ERR_INIT;

	j->busy = true;
	j->c->recording++;
	if (task_spawn(j->c->group, "courier result", run_finish, j, &err) == 0)
		return;
	j->c->recording--;
	keep_or_pass_on(j, &err);
}
