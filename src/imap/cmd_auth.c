/* cmd_auth.c - the commands of any state and those before a login (RFC 3501 6.1 and 6.2). */
#include "imap/imap_private.h"

#include "sasl/sasl.h"

static void write_mechanisms(struct imap_session *s)
{
	struct buf names = BUF(400);

	sasl_mech_list(sasl_ways(s->policy->checks), " AUTH=", &names);
	conn_write(s->c, buf_str(&names));
	buf_free(&names);
}

void imap_write_capabilities(struct imap_session *s)
{
	conn_write(s->c, STR("CAPABILITY IMAP4rev1 LITERAL+ ID ENABLE SASL-IR"));
	if (s->state != IMAP_NOT_AUTHENTICATED) {
		conn_write(s->c,
			STR(" NAMESPACE IDLE UIDPLUS MOVE UNSELECT CHILDREN SPECIAL-USE"
			    " CREATE-SPECIAL-USE STATUS=SIZE"));
		return;
	}
	if (s->config->starttls && !s->secure)
		conn_write(s->c, STR(" STARTTLS"));
	if (s->secure)
		write_mechanisms(s);
	else
		conn_write(s->c, STR(" LOGINDISABLED")); /* RFC 3501 6.2.3 */
}

int imap_do_capability(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	conn_write(s->c, STR("* "));
	imap_write_capabilities(s);
	conn_write(s->c, STR("\r\n"));
	return imap_ok(s, "", "that is all", err);
}

/* RFC 3501 6.1.2: the moment to hear of changes, so we ask for them and do not wait for news. */
int imap_do_noop(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	s->changed = true;
	return imap_ok(s, "", "done", err);
}

int imap_do_logout(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	imap_leave_mailbox(s);
	imap_bye(s, "", "goodbye");
	s->done = true;
	return imap_ok(s, "", "logged out", err);
}

/* RFC 2971 3.1: NIL or a list of pairs of strings. We have no use for what it says. */
static bool skip_id(struct imap_in *in)
{
	struct str key, value;
	bool nil;

	if (str_take(&in->s, STR("NIL")))
		return true;
	if (!imap_in_char(in, '('))
		return false;
	while (!imap_in_peek(in, ')')) {
		if (!imap_in_string(in, &key) || !imap_in_space(in) ||
			!imap_in_nstring(in, &value, &nil))
			return false;
		if (imap_in_peek(in, ' '))
			in->s = str_from(in->s, 1);
	}
	return imap_in_char(in, ')');
}

int imap_do_id(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_space(in) || !skip_id(in) || !imap_in_end(in))
		return imap_bad(s, in);
	conn_write(s->c, STR("* ID (\"name\" \"Eilpost\")\r\n"));
	return imap_ok(s, "", "nice to meet you", err);
}

/* RFC 5161 3.1: none of our extensions needs it; unknown names are ignored. */
int imap_do_enable(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct str name;

	do {
		if (!imap_in_space(in) || !imap_in_atom(in, &name))
			return imap_bad(s, in);
	} while (in->s.n > 0);
	conn_write(s->c, STR("* ENABLED\r\n"));
	return imap_ok(s, "", "done", err);
}

int imap_do_starttls(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	if (!s->config->starttls || s->secure) {
		in->why = s->secure ? "TLS is on already" : "TLS is not offered";
		return imap_bad(s, in);
	}
	if (conn_buffered(s->c) > 0)
		return err_set(err, ERR_PROTO, "input in clear came along with STARTTLS");
	if (imap_ok(s, "", "begin TLS", err) < 0 || conn_flush(s->c, err) < 0 ||
		s->policy->start_tls(s->policy->arg, s->c, err) < 0)
		return -1;
	s->secure = true;
	return 0;
}

static int welcome(struct imap_session *s)
{
	s->state = IMAP_AUTHENTICATED;
	s->errors = 0;
	conn_writef(s->c, STR_F " OK [", STR_A(s->tag));
	imap_write_capabilities(s);
	conn_write(s->c, STR("] logged in\r\n"));
	return 0;
}

/* RFC 5530 3: AUTHENTICATIONFAILED says that the credentials are at fault, UNAVAILABLE that we are.
 */
static int refuse(struct imap_session *s, const struct err *why, struct err *err)
{
	if (why->kind == ERR_LIMIT)
		return imap_no(
			s, "[LIMIT] ", "too many wrong passwords, wait before you try again", err);
	if (why->kind != ERR_DENIED && why->kind != ERR_NOTFOUND)
		return imap_fault(s, why, err);
	if (++s->login_fails >= s->config->max_login_fails) {
		imap_bye(s, "", "too many wrong passwords");
		s->done = true;
	}
	return imap_no(s, "[AUTHENTICATIONFAILED] ", "wrong name or password", err);
}

static int login(
	struct imap_session *s, struct str name, const struct secret *password, struct err *err)
{
	struct err why = ERR_INIT;

	if (s->policy->login(s->policy->arg, name, password, &why) == 0)
		return welcome(s);
	return refuse(s, &why, err);
}

int imap_do_login(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct secret secret = SECRET_NONE;
	struct str name, password;
	int r;

	if (!s->secure)
		return imap_no(
			s, "[PRIVACYREQUIRED] ", "no passwords without TLS: STARTTLS first", err);
	if (!imap_in_space(in) || !imap_in_astring(in, &name) || !imap_in_space(in) ||
		!imap_in_astring(in, &password) || !imap_in_end(in))
		return imap_bad(s, in);
	if (secret_copy(&secret, password, err) < 0)
		return -1;
	r = login(s, name, &secret, err);
	secret_free(&secret);
	secret_wipe_buf(&s->text); /* the tag went with the answer */
	return r;
}

/* RFC 3501 6.2.2: a challenge is "+ " and base64, the answer a line of base64. */
static int ask(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct imap_session *s = arg;

	conn_writef(s->c, "+ " STR_F "\r\n", STR_A(challenge));
	return imap_wait_line(s, SASL_LINE_MAX, response, err);
}

static int finish(
	struct imap_session *s, enum sasl_outcome how, const struct err *why, struct err *err)
{
	struct imap_in in = { .why = "that is not a valid response" };

	switch (how) {
	case SASL_WELCOME:
		return welcome(s);
	case SASL_REFUSED:
		return refuse(s, why, err);
	case SASL_FOREIGN:
		return imap_no(s, "[AUTHORIZATIONFAILED] ", "one cannot log in for another", err);
	case SASL_CANCELLED:
		in.why = "cancelled";
		break;
	case SASL_TOO_LONG:
	case SASL_BROKEN:
		break;
	}
	return imap_bad(s, &in);
}

int imap_do_authenticate(struct imap_session *s, struct imap_in *in, struct err *err)
{
	const struct imap_policy *p = s->policy;
	struct sasl_server sasl = { .arg = p->arg, .login = p->login, .checks = p->checks };
	struct err why = ERR_INIT;
	struct str name, initial = { "", 0 };
	const struct sasl_mech *mech;
	enum sasl_outcome how;
	bool has_initial;
	int r;

	if (!s->secure)
		return imap_no(
			s, "[PRIVACYREQUIRED] ", "no passwords without TLS: STARTTLS first", err);
	if (!imap_in_space(in) || !imap_in_atom(in, &name))
		return imap_bad(s, in);
	has_initial = imap_in_peek(in, ' '); /* RFC 4959 3 */
	if (has_initial)
		initial = str_from(in->s, 1);
	else if (!imap_in_end(in))
		return imap_bad(s, in);
	mech = sasl_mech_find(name, sasl_ways(p->checks));
	if (!mech)
		return imap_no(s, "[CANNOT] ", "unknown mechanism", err);
	r = sasl_serve(&sasl, mech, has_initial ? &initial : NULL, ask, s, &how, &why);
	if (r == 0)
		r = finish(s, how, &why, err);
	else
		*err = why;
	sasl_server_free(&sasl);
	secret_wipe_buf(&s->text);
	return r;
}
