/* SMTP in a front: between the session (smtp/server.h) and vault and store. */
#include "role/front.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "role/front_guard.h"
#include "role/front_smtp_private.h"

#include <stdio.h>
#include <string.h>

enum { BY_MIN = 60 }; /* seconds; what is to be there sooner is returned at once */

/* Besides the strings; and what a body keeps: pieces for a repeat, its head, its facts. */
enum { RCPT_MEMORY = 64, BODY_MEMORY = 1 << 20 };

struct front_login *front_smtp_login(struct front_smtp *s)
{
	return s->auth.in ? &s->auth.login : NULL;
}

/* T037: what may be done was decided at login; when that has ended, so has the session. */
static bool login_gone(const struct front_smtp *s, struct smtp_reply *no)
{
	if (!s->auth.in || !s->auth.login.gone)
		return false;
	smtp_reply_set(no, 421, "4.7.0", "the login has ended");
	return true;
}

static bool ended(void *arg)
{
	const struct front_smtp *s = arg;

	return s->auth.in && s->auth.login.gone;
}

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct front_smtp *s = arg;

	return guard_start_tls(s->front, c, s->service, err);
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct front_smtp *s = arg;

	return front_auth_password(&s->auth, name, password, err);
}

int front_smtp_may_send_as(struct front_smtp *s, struct str address, struct err *err)
{
	struct store_sender_req q = { .address = address };
	struct store_sender_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(s->front, front_smtp_login(s), store_sender, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

/* What a transaction keeps here is charged to the connection until it ends. */
static void hold_memory(struct front_smtp *s, size_t n)
{
	s->held += n;
	budget_charge(conn_budget(s->c), BUDGET_MEMORY, n);
}

static int begin(struct front_smtp *s, const struct smtp_peer *peer, const struct smtp_mail *mail,
	struct err *err)
{
	s->mailing = smtp_mailing_new(s, peer, mail, err);
	if (!s->mailing)
		return -1;
	hold_memory(s, sizeof *s->mailing);
	if (!s->submission || address_is_null(&mail->from))
		return 0;
	return front_smtp_may_send_as(s, buf_str(&s->mailing->sender), err);
}

/* The server in front has looked at the mail; its rates are those of all its clients together. */
static bool trusted(const struct front_smtp *s)
{
	return s->service == SERVICE_LMTP;
}

static int mail(void *arg, const struct smtp_peer *peer, const struct smtp_mail *mail,
	struct smtp_reply *no)
{
	struct front_smtp *s = arg;
	struct err err = ERR_INIT;

	if (login_gone(s, no) || (!trusted(s) && guard_mail(s->visitor, no) < 0))
		return -1;
	if (begin(s, peer, mail, &err) == 0)
		return 0;
	smtp_reply_err(no, SMTP_AT_MAIL, &err);
	return -1;
}

static void refuse_rcpt(struct smtp_reply *no, const struct err *err)
{
	if (err->kind == ERR_EXISTS) /* RFC 7293 5.1 */
		smtp_reply_set(no, 550, "5.7.17", "%s", err->msg);
	else
		smtp_reply_err(no, SMTP_AT_RCPT, err);
}

/* RFC 7293 5.1: the addresses of RFC 2142 belong to a role, whoever holds it. */
static bool is_role(struct str local)
{
	static const struct str roles[] = { STR_INIT("postmaster"), STR_INIT("abuse"),
		STR_INIT("hostmaster"), STR_INIT("webmaster"), STR_INIT("security"),
		STR_INIT("noc"), STR_INIT("info"), STR_INIT("support"), STR_INIT("sales"),
		STR_INIT("marketing"), STR_INIT("usenet"), STR_INIT("news"), STR_INIT("uucp"),
		STR_INIT("ftp"), STR_INIT("www") };

	for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
		if (str_eqi(local, roles[i]))
			return true;
	return false;
}

static int rcpt(void *arg, const struct smtp_rcpt *rcpt, struct smtp_reply *no)
{
	struct front_smtp *s = arg;
	struct buf address = BUF(320);
	struct reply hold = { 0 };
	struct store_rcpt_rep a = { 0 };
	struct err err = ERR_INIT;
	int r = -1;

	if (login_gone(s, no) ||
		(!trusted(s) &&
			guard_rcpt(s->visitor, str_c(s->auth.login.login), &rcpt->to, no) < 0))
		return -1;
	address_print(&address, &rcpt->to);
	struct store_rcpt_req q = { .sender = buf_str(&s->mailing->sender),
		.address = buf_str(&address),
		.rrvs = is_role(rcpt->to.local) ? 0 : rcpt->rrvs,
		.size = s->mailing->asked.size };

	if (FRONT_CALL(s->front, front_smtp_login(s), store_rcpt, &q, &a, &hold, &err) < 0)
		refuse_rcpt(no, &err);
	else if (s->service == SERVICE_SMTP &&
		guard_greylist(s->visitor, q.sender, q.address, &rcpt->to, no) < 0)
		;
	else if (smtp_mailing_rcpt(s->mailing, rcpt, q.address, a.target, &err) < 0)
		refuse_rcpt(no, &err);
	else {
		hold_memory(s, RCPT_MEMORY + q.address.n + rcpt->orcpt.n);
		smtp_note_rcpt(s->mailing, q.address);
		r = 0;
	}
	reply_free(&hold);
	buf_free(&address);
	return r;
}

static int data(void *arg, struct smtp_reply *no)
{
	struct front_smtp *s = arg;
	struct err err = ERR_INIT;

	if (login_gone(s, no))
		return -1;
	if (smtp_mailing_begin(s->mailing, &err) == 0) {
		hold_memory(s, BODY_MEMORY);
		return 0;
	}
	smtp_reply_err(no, SMTP_AT_DATA, &err);
	return -1;
}

/* So that the client's people can ask ours. */
static int refused_as(const struct front_smtp *s, struct smtp_reply *no)
{
	size_t n = strlen(no->text);

	snprintf(no->text + n, sizeof no->text - n, " (%s)", s->mailing->id);
	return -1;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	struct front_smtp *s = arg;

	return smtp_mailing_add(s->mailing, piece, no) < 0 ? refused_as(s, no) : 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	struct front_smtp *s = arg;

	if (login_gone(s, no))
		return -1;
	if (smtp_mailing_commit(s->mailing, no) < 0)
		return refused_as(s, no);
	s->accepted++;
	guard_welcome(s->front, conn_peer(s->c));
	*id = str_c(s->mailing->id);
	return 0;
}

static int outcome(void *arg, unsigned n, struct smtp_reply *no)
{
	struct front_smtp *s = arg;

	return smtp_mailing_outcome(s->mailing, n, no) < 0 ? refused_as(s, no) : 0;
}

static struct str refused(
	void *arg, const char *stage, struct str what, const struct smtp_reply *no)
{
	return smtp_note_refusal(arg, stage, what, no);
}

static int xclient(void *arg, const struct smtp_xclient *x, struct smtp_reply *no)
{
	return smtp_speak_for(arg, x, no);
}

static void reset(void *arg)
{
	struct front_smtp *s = arg;

	if (s->mailing)
		smtp_note_end(s->mailing);
	smtp_mailing_free(&s->mailing);
	budget_give_back(conn_budget(s->c), BUDGET_MEMORY, s->held);
	s->held = 0;
}

static struct smtp_server offer(const struct front_smtp *s)
{
	static const char *const names[SERVICE_COUNT] = { [SERVICE_SMTP] = "smtp",
		[SERVICE_SUBMISSION] = "submission",
		[SERVICE_SUBMISSIONS] = "submissions",
		[SERVICE_LMTP] = "lmtp" };
	const struct conf *conf = s->front->conf;
	struct smtp_server server = { .name = conf_str(conf, CONF_HOSTNAME),
		.proto = names[s->service],
		.lmtp = s->service == SERVICE_LMTP,
		.secure = conn_is_tls(s->c),
		.starttls = s->front->tls[s->service] != NULL,
		.auth = s->submission,
		.auth_required = s->submission,
		.dsn = true,
		.chunking = true,
		.by_min = BY_MIN,
		.priority = true,
		.require_tls = true,
		.rrvs = true,
		.tells_limits = true,
		.limits = SMTP_LIMITS };

	server.hold_max = conf_duration(conf, CONF_QUEUE_HOLD_MAX) / CLOCK_SEC;

	server.limits.message = conf_u64(conf, CONF_MESSAGE_MAX_SIZE);
	server.limits.rcpts = (unsigned)conf_u64(conf, CONF_SMTP_RECIPIENTS);
	server.limits.commands = 10 * server.limits.rcpts;
	server.limits.memory += 1024 * (uint64_t)server.limits.rcpts;
	server.limits.work = 20 * (uint64_t)server.limits.rcpts;
	server.limits.idle = conf_duration(conf, CONF_SMTP_IDLE);
	return server;
}

/* Session ids need to be told apart within the logs of one machine: process, then connection. */
static void name_session(struct front_smtp *s)
{
	static uint64_t count;

	snprintf(s->sid, sizeof s->sid, "%x.%llx", s->front->role->number,
		(unsigned long long)++count);
}

void front_smtp_session(struct front *f, struct conn *c, enum service service, struct visitor *v)
{
	const struct smtp_guard guard = { v, guard_pace };
	struct front_smtp s = { .front = f,
		.c = c,
		.visitor = v,
		.service = service,
		.submission = service == SERVICE_SUBMISSION || service == SERVICE_SUBMISSIONS };
	struct err err = ERR_INIT;
	int64_t began = clock_mono();
	struct smtp_server server = offer(&s);
	struct smtp_policy policy = { &s, STR(""), start_tls, login, mail, rcpt, data, body, commit,
		reset };

	name_session(&s);
	front_auth_begin(&s.auth, f, c, service, NULL, &s.wake);
	s.auth.visitor = v;
	policy.session = v->session = str_c(s.sid);
	policy.checks = &s.auth.checks;
	policy.wake = &s.wake;
	policy.ended = ended;
	policy.outcome = outcome;
	policy.refused = refused;
	if (conf_network_has(f->conf, CONF_XCLIENT_FROM, conn_peer(c)))
		policy.xclient = xclient;
	server.guard = trusted(&s) ? NULL : &guard;
	log_event(LOG_INFO, "smtp.connect", L_STR("sid", policy.session),
		L_Z("proto", server.proto), L_STR("rip", conn_peer(c)),
		L_STR(conn_proxy(c).n ? "via" : NULL, conn_proxy(c)));
	if (service != SERVICE_SMTP || guard_greeting(v, c, &err) == 0)
		(void)smtp_serve(c, &server, &policy, &err); /* it has logged what there was */
	log_event(LOG_INFO, "smtp.disconnect", L_STR("sid", policy.session),
		L_Z("proto", server.proto), L_STR("rip", conn_peer(c)),
		L_Z("why", err.kind == ERR_NONE ? "done" : err.msg), L_U64("accepted", s.accepted),
		L_U64("in", conn_bytes_in(c)), L_U64("out", conn_bytes_out(c)),
		L_U64("ms", (uint64_t)((clock_mono() - began) / CLOCK_MSEC)));
	front_auth_end(&s.auth);
}
