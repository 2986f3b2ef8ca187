#include "role/front_smtp_private.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "conf/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Static_assert((int)SMTP_BINARYMIME == (int)BODY_BINARYMIME &&
		(int)SMTP_8BITMIME == (int)BODY_8BITMIME && (int)SMTP_BY_RETURN == (int)BY_RETURN &&
		(int)SMTP_BY_NOTIFY == (int)BY_NOTIFY && (int)SMTP_BY_TRACE == (int)BY_TRACE,
	"what the client asks for is passed through");

enum {
	HEAD_KEEP = 256 << 10, /* bytes of a submitted head; larger ones are refused */
	TRACE_MAX = 4096,
	LINE_AND_CR_MAX = 999,
};

static const char received[] = "received:";

/* ---- the head as it streams by ---- */

static void watch_text(struct head_watch *w, struct str text)
{
	for (size_t i = 0; i < text.n && w->match < sizeof received - 1; i++, w->match++)
		if (to_lower(text.p[i]) != received[w->match]) {
			w->match = SIZE_MAX;
			return;
		}
	if (w->match == sizeof received - 1) {
		w->received++;
		w->match = SIZE_MAX;
	}
}

size_t head_watch_feed(struct head_watch *w, struct str piece)
{
	size_t at = 0;

	while (at < piece.n && !w->done) {
		struct str rest = str_from(piece, at);
		size_t lf = str_find(rest, '\n');
		struct str text = str_head(rest, lf);

		w->eight_bit |= !utf8_is_ascii(text);
		watch_text(w, text);
		w->line += text.n;
		at += text.n;
		if (lf == rest.n)
			break;
		at++;
		w->done = w->line <= 1; /* all that there was is the CR of the ending */
		w->line = w->match = 0;
	}
	return at;
}

/* ---- making ---- */

static void print_address(struct buf *b, const struct address *a)
{
	*b = BUF(320);
	address_print(b, a);
}

struct smtp_mailing *smtp_mailing_new(struct front_smtp *s, const struct smtp_peer *peer,
	const struct smtp_mail *mail, struct err *err)
{
	struct smtp_mailing *m = calloc(1, sizeof *m);

	if (!m) {
		err_set(err, ERR_TEMP, "out of memory");
		return NULL;
	}
	m->session = s;
	m->call = front_call_id(s->front);
	queue_id_print(m->call, m->id);
	print_address(&m->sender, &mail->from);
	m->envid = BUF(100);
	buf_add(&m->envid, mail->envid);
	m->helo = BUF(255);
	buf_add(&m->helo, peer->helo);
	snprintf(m->proto, sizeof m->proto, "%s", peer->proto);
	m->asked = *mail;
	m->utf8_needed = !address_is_ascii(&mail->from);
	m->head = BUF(HEAD_KEEP);
	m->notes = BUF(NOTES_BYTES);
	m->outcomes = BUF(MSG_MAX);
	m->border = BORDER(conf_str(s->front->conf, CONF_HOSTNAME));
	if (front_body_new(s->front, front_smtp_login(s), &m->body, err) < 0)
		smtp_mailing_free(&m);
	return m;
}

int smtp_mailing_rcpt(struct smtp_mailing *m, const struct smtp_rcpt *rcpt, struct str address,
	uint64_t target, struct err *err)
{
	struct store_rcpt_item item = { .target = target,
		.address = address,
		.orcpt = rcpt->orcpt,
		.notify = rcpt->notify,
		.rrvs = rcpt->rrvs,
		.rrvs_mode = rcpt->rrvs_reject ? RRVS_REJECT : RRVS_CONTINUE };

	if (front_body_rcpt(m->body, &item, err) < 0)
		return -1;
	m->utf8_needed |= !address_is_ascii(&rcpt->to);
	if (m->rcpts++ == 0 && rcpt->to.domain.n)
		(void)address_make(rcpt->to.local, rcpt->to.domain, ADDRESS_UTF8, &m->rcpt_store,
			&m->rcpt, err);
	return 0;
}

static int add(void *arg, struct str bytes, struct err *err)
{
	struct smtp_mailing *m = arg;

	facts_feed(m->facts, bytes);
	return front_body_add(m->body, bytes, err);
}

/* T054: what the client sends, without the fields that only we may write. */
static int add_foreign(struct smtp_mailing *m, struct str bytes, struct err *err)
{
	return border_feed(&m->border, bytes, add, m, err);
}

int smtp_mailing_begin(struct smtp_mailing *m, struct err *err)
{
	const struct front_smtp *s = m->session;
	struct trace_hop hop = { .helo = buf_str(&m->helo),
		.client = s->service == SERVICE_LMTP && conn_peer_port(s->c) == 0
			? STR("") /* a socket of this machine */
			: conn_peer(s->c),
		.client_name = str_c(s->client_name),
		.by = conf_str(s->front->conf, CONF_HOSTNAME),
		.protocol = str_c(m->proto),
		.tls_version = conn_tls_version(s->c),
		.tls_cipher = conn_tls_cipher(s->c),
		.id = str_c(m->id),
		.recipient = m->rcpts == 1 && m->rcpt.local.n ? &m->rcpt : NULL,
		.date = { clock_wall(), 0 } };
	struct buf line = BUF(TRACE_MAX);
	int r;

	m->facts = facts_builder_new();
	if (!m->facts)
		return err_set(err, ERR_TEMP, "out of memory");
	trace_received(&line, &hop);
	r = buf_ok(&line) ? add(m, buf_str(&line), err) : err_set(err, ERR_TEMP, "out of memory");
	buf_free(&line);
	return r;
}

/* ---- a submitted head: RFC 6409 6 and 8 ---- */

/* T042: all that the message says it is from must belong to the login. */
static int check_senders(struct smtp_mailing *m, struct str head, struct err *err)
{
	struct arena arena = ARENA(65536);
	struct head_senders senders;
	struct buf one = BUF(320);
	int r = head_senders(head, &arena, &senders, err);

	for (size_t i = 0; r == 0 && i < senders.n; i++) {
		buf_clear(&one);
		address_print(&one, &senders.address[i]);
		if (!str_eq(buf_str(&one), buf_str(&m->sender))) /* that one has been asked for */
			r = front_smtp_may_send_as(m->session, buf_str(&one), err);
	}
	buf_free(&one);
	arena_free(&arena);
	return r;
}

/* The head is complete: check it, and pass it on repaired. */
static int pass_head(struct smtp_mailing *m, struct err *err)
{
	const struct front_smtp *s = m->session;
	struct head_fix fix = { .now = { clock_wall(), 0 },
		.id = str_c(m->id),
		.host = conf_str(s->front->conf, CONF_HOSTNAME),
		.from = str_c(s->auth.login.login) };
	struct buf fixed = BUF(2 * HEAD_KEEP);
	int r = head_fix_submission(buf_str(&m->head), &fix, &fixed, err);

	if (r == 0)
		r = check_senders(m, buf_str(&fixed), err);
	if (r == 0)
		r = add_foreign(m, buf_str(&fixed), err);
	m->head_passed = true;
	buf_free(&fixed);
	buf_free(&m->head);
	return r;
}

static int hold_head(struct smtp_mailing *m, struct str piece, struct err *err)
{
	buf_add(&m->head, piece);
	if (!buf_ok(&m->head))
		return err_set(err, ERR_PERM, "the header is too large");
	return m->watch.done ? pass_head(m, err) : 0;
}

/* RFC 5322 2.1.1: is a line longer than 998 octets? From the back, a look or two per line of that
 * length is enough. */
static void watch_lines(struct smtp_mailing *m, struct str s)
{
	const char *lf;

	while (s.n + m->line > LINE_AND_CR_MAX && !m->long_line) {
		size_t room = LINE_AND_CR_MAX + 1 - m->line;

		lf = memrchr(s.p, '\n', room < s.n ? room : s.n);
		m->long_line = !lf;
		m->line = 0;
		s = str_from(s, lf ? (size_t)(lf - s.p) + 1 : s.n);
	}
	lf = s.n ? memrchr(s.p, '\n', s.n) : NULL;
	m->line = lf ? s.n - (size_t)(lf - s.p) - 1 : m->line + s.n;
}

static int add_piece(struct smtp_mailing *m, struct str piece, struct err *err)
{
	size_t of_head = m->watch.done ? 0 : head_watch_feed(&m->watch, piece);

	m->eight_bit |= !utf8_is_ascii(piece);
	watch_lines(m, piece);
	if (!m->session->submission)
		return add_foreign(m, piece, err);
	if (of_head && hold_head(m, str_head(piece, of_head), err) < 0)
		return -1;
	return of_head < piece.n ? add_foreign(m, str_from(piece, of_head), err) : 0;
}

int smtp_mailing_add(struct smtp_mailing *m, struct str piece, struct smtp_reply *no)
{
	struct err err = ERR_INIT;

	if (add_piece(m, piece, &err) < 0) {
		smtp_reply_err(no, SMTP_AT_DATA, &err);
		return -1;
	}
	if (m->watch.received > HOPS_MAX) { /* RFC 5321 6.3 */
		smtp_reply_set(no, 554, "5.4.6", "too many hops: this message goes in circles");
		return -1;
	}
	return 0;
}

/* ---- the end ---- */

static void say_tls(const struct front_smtp *s, struct buf *tls)
{
	if (conn_is_tls(s->c))
		buf_addf(tls, STR_F " " STR_F, STR_A(conn_tls_version(s->c)),
			STR_A(conn_tls_cipher(s->c)));
}

static uint32_t flags_of(const struct smtp_mailing *m)
{
	return (m->eight_bit ? DELIVER_8BIT : 0) | (m->long_line ? DELIVER_LONG : 0) |
		(m->asked.utf8 && m->utf8_needed ? DELIVER_UTF8 : 0) |
		(m->session->service == SERVICE_LMTP ? DELIVER_PER_RCPT : 0);
}

static int deliver(struct smtp_mailing *m, struct err *err)
{
	const struct front_smtp *s = m->session;
	struct buf facts = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES), tls = BUF(80);
	struct buf how = BUF(HOW_BYTES);
	struct store_deliver_rep a;
	struct reply hold = { 0 };
	int r = facts_finish(m->facts, &facts, &refs, err);

	say_tls(s, &tls);
	m->utf8_needed |= m->watch.eight_bit;
	smtp_how(s, &how);
	struct store_deliver_req q = { .call = m->call,
		.sender = buf_str(&m->sender),
		.flags = flags_of(m),
		.envid = buf_str(&m->envid),
		.ret = m->asked.ret,
		.body_type = (uint8_t)m->asked.body,
		.hold_until = m->asked.hold_until,
		.deliver_by = m->asked.deliver_by,
		.by_mode = m->asked.by_mode,
		.priority = (uint8_t)(m->asked.priority + PRIORITY_NORMAL),
		.require_tls = m->asked.require_tls,
		.peer = conn_peer(s->c),
		.helo = buf_str(&m->helo),
		.proto = str_c(m->proto),
		.tls = buf_str(&tls),
		.how = buf_str(&how),
		.notes = buf_str(&m->notes),
		.facts = buf_str(&facts),
		.refs = buf_str(&refs) };

	if (r == 0) {
		/* Once the store may have it we want to know, or it would come twice. */
		task_shield(true);
		r = front_body_deliver(m->body, &q, &a, &hold, err);
		task_shield(false);
	}
	if (r == 0)
		buf_add(&m->outcomes, a.gone);
	m->committed = r == 0;
	reply_free(&hold);
	buf_free(&how);
	buf_free(&facts);
	buf_free(&refs);
	buf_free(&tls);
	return r;
}

int smtp_mailing_commit(struct smtp_mailing *m, struct smtp_reply *no)
{
	struct err err = ERR_INIT;
	int r = 0;

	if (m->session->submission && !m->head_passed) /* no empty line: all of it is head */
		r = pass_head(m, &err);
	if (r == 0)
		r = border_end(&m->border, add, m, &err);
	if (r == 0)
		r = deliver(m, &err);
	if (r < 0)
		smtp_reply_err(no, SMTP_AT_DATA, &err);
	return r;
}

int smtp_mailing_outcome(const struct smtp_mailing *m, unsigned n, struct smtp_reply *no)
{
	struct str gone = buf_str(&m->outcomes);
	struct store_gone_item item;

	while (store_gone_item_next(&gone, &item))
		if (item.index == n) {
			struct err err = ERR_INIT;

			err_set(&err, item.kind, STR_F, STR_A(item.why));
			smtp_reply_err(no, SMTP_AT_RCPT, &err);
			return -1;
		}
	return 0;
}

void smtp_mailing_free(struct smtp_mailing **mailing)
{
	struct smtp_mailing *m = *mailing;

	if (!m)
		return;
	front_body_free(&m->body);
	facts_builder_free(&m->facts);
	border_free(&m->border);
	buf_free(&m->sender);
	buf_free(&m->envid);
	buf_free(&m->helo);
	buf_free(&m->head);
	buf_free(&m->notes);
	buf_free(&m->outcomes);
	free(m);
	*mailing = NULL;
}
