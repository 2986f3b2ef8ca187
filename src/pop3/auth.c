/* auth.c - the AUTHORIZATION state: who is it? (RFC 1939 4 and 7, RFC 2449, 2595, 5034) */
#include "pop3/pop3_private.h"

#include "sasl/sasl.h"

static void write_logins(struct pop3_session *s)
{
	struct buf names = BUF(300);

	sasl_mech_list(sasl_ways(s->policy->checks), " ", &names);
	conn_writef(s->c, "USER\r\nSASL" STR_F "\r\n", STR_A(buf_str(&names)));
	buf_free(&names);
}

int pop3_do_capa(struct pop3_session *s, struct str arg, struct err *err)
{
	if (arg.n)
		return pop3_err(s, "", "CAPA takes no argument");
	pop3_ok(s, "capabilities");
	conn_write(s->c,
		STR("TOP\r\nUIDL\r\nRESP-CODES\r\nAUTH-RESP-CODE\r\nPIPELINING\r\n"
		    "EXPIRE NEVER\r\n"));
	/* RFC 2595 2.1 and 4: after STLS the client asks again and sees the difference. */
	if (s->state == POP3_AUTHORIZATION && s->config->starttls && !s->secure)
		conn_write(s->c, STR("STLS\r\n"));
	if (s->secure)
		write_logins(s);
	conn_write(s->c, STR("IMPLEMENTATION Eilpost\r\n.\r\n"));
	return 0;
}

int pop3_do_stls(struct pop3_session *s, struct str arg, struct err *err)
{
	if (arg.n)
		return pop3_err(s, "", "STLS takes no argument");
	if (!s->config->starttls || s->secure)
		return pop3_err(s, "", s->secure ? "TLS is on already" : "TLS is not offered");
	if (conn_buffered(s->c) > 0)
		return err_set(err, ERR_PROTO, "input in clear came along with STLS");
	pop3_ok(s, "begin TLS");
	if (conn_flush(s->c, err) < 0 || s->policy->start_tls(s->policy->arg, s->c, err) < 0)
		return -1;
	/* RFC 2595 4: what was said in clear does not count. */
	buf_clear(&s->name);
	s->secure = true;
	return 0;
}

/* RFC 3206 4: [AUTH] says that the credentials are at fault, [SYS/TEMP] that we are. */
static int refuse(struct pop3_session *s, const struct err *why, struct err *err)
{
	if (why->kind == ERR_CANCELED) {
		*err = *why;
		return -1;
	}
	if (why->kind == ERR_LIMIT)
		return pop3_err(
			s, "[AUTH] ", "too many wrong passwords, wait before you try again");
	if (why->kind != ERR_DENIED && why->kind != ERR_NOTFOUND)
		return pop3_fault(s, why);
	pop3_err(s, "[AUTH] ", "wrong name or password");
	if (++s->login_fails >= s->config->max_login_fails)
		s->done = true;
	return 0;
}

static int login(
	struct pop3_session *s, struct str name, const struct secret *password, struct err *err)
{
	struct err why = ERR_INIT;

	if (s->policy->login(s->policy->arg, name, password, &why) == 0)
		return pop3_enter(s, err);
	return refuse(s, &why, err);
}

int pop3_do_user(struct pop3_session *s, struct str arg, struct err *err)
{
	if (!s->secure)
		return pop3_err(s, "[AUTH] ", "no passwords without TLS: STLS first");
	buf_clear(&s->name);
	buf_add(&s->name, arg);
	if (arg.n == 0 || !buf_ok(&s->name)) {
		buf_clear(&s->name);
		return pop3_err(s, "", "expected a name");
	}
	return pop3_ok(s, "now the password"); /* whether the name exists or not */
}

int pop3_do_pass(struct pop3_session *s, struct str arg, struct err *err)
{
	struct secret password = SECRET_NONE;
	int r;

	if (s->name.n == 0)
		return pop3_err(s, "", "USER first");
	/* RFC 1939 7: the argument is all of the line, spaces included. */
	if (secret_copy(&password, arg, err) < 0)
		return -1;
	r = login(s, buf_str(&s->name), &password, err);
	secret_free(&password);
	buf_clear(&s->name);
	return r;
}

/* RFC 5034 4: a challenge is "+ " and base64, the answer a line of base64. */
static int ask(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct pop3_session *s = arg;

	conn_writef(s->c, "+ " STR_F "\r\n", STR_A(challenge));
	return pop3_read_line(s, SASL_LINE_MAX, response, err);
}

static int finish_auth(
	struct pop3_session *s, enum sasl_outcome how, const struct err *why, struct err *err)
{
	switch (how) {
	case SASL_WELCOME:
		return pop3_enter(s, err);
	case SASL_REFUSED:
		return refuse(s, why, err);
	case SASL_CANCELLED:
		return pop3_err(s, "", "cancelled");
	case SASL_FOREIGN:
		return pop3_err(s, "[AUTH] ", "one cannot log in for another");
	case SASL_TOO_LONG:
	case SASL_BROKEN:
		break;
	}
	return pop3_err(s, "", "that is not a valid response");
}

int pop3_do_auth(struct pop3_session *s, struct str arg, struct err *err)
{
	const struct pop3_policy *p = s->policy;
	struct sasl_server sasl = { .arg = p->arg, .login = p->login, .checks = p->checks };
	struct err why = ERR_INIT;
	struct str name = arg, initial = { "", 0 };
	const struct sasl_mech *mech;
	enum sasl_outcome how;
	bool has_initial;
	int r;

	if (!s->secure)
		return pop3_err(s, "[AUTH] ", "no passwords without TLS: STLS first");
	has_initial = str_cut(arg, ' ', &name, &initial);
	mech = sasl_mech_find(name, sasl_ways(p->checks));
	if (!mech)
		return pop3_err(s, "", "unknown mechanism");
	r = sasl_serve(&sasl, mech, has_initial ? &initial : NULL, ask, s, &how, &why);
	if (r == 0)
		r = finish_auth(s, how, &why, err);
	else
		*err = why;
	sasl_server_free(&sasl);
	return r;
}
