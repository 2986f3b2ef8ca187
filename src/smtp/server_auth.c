/* STARTTLS (RFC 3207) and AUTH (RFC 4954). */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "sasl/sasl.h"

int smtp_do_starttls(struct smtp_session *s, struct str arg, struct err *err)
{
	if (s->secure)
		return smtp_say(s, 503, "5.5.1", STR("TLS is on already"));
	if (!s->server->starttls)
		return smtp_say(s, 502, "5.5.1", STR("TLS is not offered"));
	/* T019: what came in the clear behind STARTTLS was perhaps put there by somebody else. RFC
	 * 3207 4.2: none of it may be used; RFC 2920 3.1: a client that obeys never sends it. */
	if (conn_buffered(s->c))
		return smtp_goodbye(s, 554, "5.5.1", "nothing may follow STARTTLS");
	smtp_txn_end(s);
	budget_charge(s->budget, BUDGET_WORK, SMTP_WORK_TLS);
	smtp_say(s, 220, "2.0.0", STR("go ahead"));
	if (s->policy->start_tls(s->policy->arg, s->c, err) < 0) {
		log_event(LOG_INFO, "smtp.tls-failed", L_STR("sid", s->policy->session),
			L_STR("rip", conn_peer(s->c)), L_ERR(err));
		return err_set(
			err, ERR_CLOSED, "no TLS"); /* there is no way left to say anything */
	}
	/* RFC 3207 4.2: all that was learnt before is forgotten. */
	buf_clear(&s->helo);
	s->extended = false;
	s->secure = true;
	return 0;
}

/* RFC 4954 4: offered only where a password is not readable on the way. */
bool smtp_auth_offered(const struct smtp_session *s)
{
	return s->server->auth && s->secure;
}

void smtp_write_auth(struct smtp_session *s)
{
	struct buf names = BUF(300);

	if (smtp_auth_offered(s)) {
		sasl_mech_list(sasl_ways(s->policy->checks), " ", &names);
		conn_writef(s->c, "250-AUTH" STR_F "\r\n", STR_A(buf_str(&names)));
	}
	buf_free(&names);
}

int smtp_await_command(struct smtp_session *s, int64_t deadline, struct err *err)
{
	int woke;

	conn_deadline(s->c, deadline);
	do {
		/* T037: what was granted at login ends at once, not at the next command. */
		if (s->policy->ended && s->policy->ended(s->policy->arg))
			return smtp_goodbye(s, 421, "4.7.0", "the login has ended");
		woke = s->policy->wake ? conn_wait(s->c, s->policy->wake, deadline, err)
				       : WAIT_READ;
		if (woke < 0)
			return -1;
	} while (!(woke & WAIT_READ));
	return 0;
}

static int ask(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct smtp_session *s = arg;

	conn_write(s->c, STR("334 "));
	conn_write(s->c, challenge);
	conn_write(s->c, STR("\r\n"));
	conn_deadline(s->c, clock_after(s->server->limits.idle));
	return conn_read_line(s->c, SASL_LINE_MAX - 2, LINE_CRLF, response, err);
}

/* One form of line for all protocols, which tools like fail2ban read. */
static void log_failure(
	struct smtp_session *s, const struct sasl_mech *mech, struct str user, const char *reason)
{
	log_event(LOG_INFO, "auth-failed", L_Z("proto", s->server->proto),
		L_STR("mech", mech->name), L_QUOTED("user", user), L_STR("rip", conn_peer(s->c)),
		L_Z("reason", reason), L_STR("sid", s->policy->session));
}

static int welcome(struct smtp_session *s)
{
	budget_charge(s->budget, BUDGET_WORK, SMTP_WORK_LOGIN);
	s->authenticated = true;
	smtp_progress(s);
	return smtp_say(s, 235, "2.7.0", STR("welcome"));
}

static int refuse(struct smtp_session *s, const struct sasl_server *given, const struct err *why)
{
	budget_charge(s->budget, BUDGET_WORK, SMTP_WORK_LOGIN);
	if (why->kind == ERR_DENIED || why->kind == ERR_LIMIT)
		budget_charge(s->budget, BUDGET_LOGINS, 1);
	log_failure(s, given->mech, buf_str(&given->name),
		why->kind == ERR_DENIED          ? "bad-password"
			: why->kind == ERR_LIMIT ? "too-many-tries"
						 : "unavailable");
	if (why->kind == ERR_DENIED)
		return smtp_say(s, 535, "5.7.8", STR("wrong name or password"));
	if (why->kind == ERR_LIMIT)
		return smtp_say(s, 454, "4.7.0", STR("too many wrong passwords, try later"));
	return smtp_say(s, 454, "4.7.0", STR("cannot check passwords now, try later"));
}

static int finish(struct smtp_session *s, const struct sasl_server *given, enum sasl_outcome how,
	const struct err *why)
{
	switch (how) {
	case SASL_WELCOME:
		return welcome(s);
	case SASL_REFUSED:
		return refuse(s, given, why);
	case SASL_CANCELLED: /* RFC 4954 4 */
		return smtp_say(s, 501, "5.7.0", STR("cancelled"));
	case SASL_TOO_LONG: /* RFC 4954 6 */
		return smtp_say(s, 500, "5.5.6", STR("the line is too long"));
	case SASL_FOREIGN:
		log_failure(s, given->mech, buf_str(&given->name), "other-identity");
		budget_charge(s->budget, BUDGET_LOGINS, 1);
		return smtp_say(s, 535, "5.7.8", STR("you may act as yourself only"));
	case SASL_BROKEN:
		break;
	}
	return smtp_say(s, 501, "5.5.2", STR("cannot decode that"));
}

int smtp_do_auth(struct smtp_session *s, struct str arg, struct err *err)
{
	struct str initial = arg, name = str_word(&initial, ' ');
	const struct smtp_policy *p = s->policy;
	struct sasl_server given = { .arg = p->arg, .login = p->login, .checks = p->checks };
	const struct sasl_mech *mech;
	struct err why = ERR_INIT;
	enum sasl_outcome how;
	int r = -1;

	if (!s->server->auth)
		return smtp_say(s, 502, "5.5.1", STR("no logins here"));
	if (!s->secure)
		return smtp_say(s, 538, "5.7.11", STR("STARTTLS first"));
	if (s->authenticated || s->txn) /* RFC 4954 4 */
		return smtp_say(s, 503, "5.5.1", STR("not now"));
	if (name.n == 0)
		return smtp_say(s, 501, "5.5.4", STR("expected a mechanism"));
	mech = sasl_mech_find(name, sasl_ways(p->checks));
	if (!mech)
		return smtp_say(s, 504, "5.5.4", STR("no such mechanism"));
	/* T028: one object per attempt, gone with it. */
	if (sasl_serve(&given, mech, name.n < arg.n ? &initial : NULL, ask, s, &how, &why) == 0)
		r = finish(s, &given, how, &why);
	else
		*err = why;
	sasl_server_free(&given);
	return r;
}
