/* smtp.c - plays the dialogues in smtp/ against the SMTP server with a policy made for them.
 *
 * Options: "submission" (587: STARTTLS, then a login is needed), "submissions" (465), "auth" (a
 * login is possible), "tls" (STARTTLS is offered), the extensions "dsn", "chunking", "priority",
 * "requiretls", "rrvs", "limits", "lmtp", "xclient" (this client may), and numbers: size rcpts
 * mails line errors idling logins, "by" (the least seconds of DELIVERBY), "hold" (the most of
 * FUTURERELEASE).
 *
 * The policy: ann@mx.test with the password "pw" may log in and send as herself. mx.test is local.
 * Of its users "nobody" does not exist, "full" is over quota, "later" cannot be told now; everybody
 * else exists. Other domains only after a login. A message that holds "X-Fail: KIND" fails at its
 * end; with LMTP, "gone" is told at the end that it has gone.
 *
 * "scram", "plus", "token" and "certificate" add ways to log in.
 *
 * Facts: "first MESSAGE" (SCRAM), "token of NAME", "undone", "begin FROM proto=... [options]", "to
 * ADDRESS [options]", "stored BYTES", "login NAME", "for NAME[ADDRESS]:PORT helo=... [login]", and
 * with the option "refusals" every one: "refused STAGE CODE WHAT".
 */
#include "script.h"

#include "base/clock.h"
#include "sasl/sasl.h"
#include "smtp/server.h"

#include <string.h>

struct stage {
	struct script *script;
	struct outcome *out;
	struct buf message;
	unsigned count;
	bool logged_in, refusals;
	unsigned rcpts, gone; /* gone: the number of that recipient, from 1 */
	char id[16];
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct stage *st = arg;
	struct str next = script_next_part(st->script);

	if (next.n == 0)
		return err_set(err, ERR_PROTO, "the handshake failed");
	conn_mem_feed(c, next);
	return 0;
}

/* Ways to log in, as the options "scram", "plus", "token" and "certificate" say. The proof is right
 * when it is 32 octets "y", the binding when it is "tls-exporter"; the token "good" is ann's; the
 * certificate is hers. */
static unsigned ways(void *arg)
{
	const struct stage *st = arg;
	unsigned found = 0;

	if (script_has(st->script, STR("scram")))
		found |= SASL_WAY_SCRAM;
	if (script_has(st->script, STR("plus")))
		found |= SASL_WAY_BINDING;
	if (script_has(st->script, STR("token")))
		found |= SASL_WAY_TOKEN;
	if (script_has(st->script, STR("certificate")))
		found |= SASL_WAY_CERTIFICATE;
	return found;
}

static int scram_first(
	void *arg, const struct sasl_scram *m, struct buf *challenge, struct err *err)
{
	struct stage *st = arg;

	buf_addf(&st->out->facts, "first " STR_F "\n", STR_A(m->message));
	buf_add(challenge, STR("r=abcdef,s=c2FsdA==,i=4096"));
	return 0;
}

static int scram_final(void *arg, const struct sasl_scram *m, struct buf *last, struct err *err)
{
	struct stage *st = arg;
	struct scram_final f;

	if (scram_read_final(m->hash, m->message, &f, err) < 0)
		return -1;
	if (f.proof[0] == 'l')
		return err_set(err, ERR_LIMIT, "too many");
	if (f.proof[0] != 'y')
		return err_set(err, ERR_DENIED, "wrong");
	st->logged_in = true;
	buf_add(last, STR("v=c2lnbmVk"));
	return 0;
}

static void undo(void *arg)
{
	struct stage *st = arg;

	st->logged_in = false;
	buf_add(&st->out->facts, STR("undone\n"));
}

static int token(void *arg, struct str name, const struct secret *token, struct err *err)
{
	struct stage *st = arg;

	buf_addf(&st->out->facts, "token of " STR_F "\n", STR_A(name));
	if (secret_eq(token, STR("later")))
		return err_set(err, ERR_TEMP, "no checker");
	if (!secret_eq(token, STR("good")))
		return err_set(err, ERR_DENIED, "wrong");
	st->logged_in = true;
	return 0;
}

static int certificate(void *arg, struct str name, struct err *err)
{
	struct stage *st = arg;

	if (name.n && !str_eqi(name, STR("ann@mx.test")))
		return err_set(err, ERR_DENIED, "somebody else's");
	st->logged_in = true;
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct stage *st = arg;

	buf_addf(&st->out->facts, "login " STR_F "\n", STR_A(name));
	if (str_eq(name, STR("broken@mx.test")))
		return err_set(err, ERR_TEMP, "no vault");
	if (str_eq(name, STR("guessed@mx.test")))
		return err_set(err, ERR_LIMIT, "too many");
	if (!str_eq(name, STR("ann@mx.test")) || !secret_eq(password, STR("pw")))
		return err_set(err, ERR_DENIED, "wrong");
	st->logged_in = true;
	return 0;
}

/* Rounded, so that it does not depend on how fast the machine is. */
static long long seconds_from_now(int64_t ns)
{
	int64_t s = ns / CLOCK_SEC - clock_wall();

	return (long long)((s + 1000005) / 10 * 10 - 1000000);
}

static int mail(
	void *arg, const struct smtp_peer *peer, const struct smtp_mail *m, struct smtp_reply *no)
{
	struct stage *st = arg;
	struct buf *f = &st->out->facts;
	struct err err = ERR_INIT;

	buf_add(f, STR("begin "));
	address_print_path(f, &m->from);
	buf_addf(f, " proto=%s helo=" STR_F, peer->proto, STR_A(peer->helo));
	if (m->size)
		buf_addf(f, " size=%llu", (unsigned long long)m->size);
	if (m->body)
		buf_addz(f, m->body == SMTP_BINARYMIME ? " binary" : " 8bit");
	if (m->utf8)
		buf_addz(f, " utf8");
	if (m->ret)
		buf_addf(f, " ret=%u", m->ret);
	if (m->envid.n)
		buf_addf(f, " envid=" STR_F, STR_A(m->envid));
	if (m->hold_until)
		buf_addf(f, " hold=%lld", seconds_from_now(m->hold_until));
	if (m->deliver_by)
		buf_addf(f, " by=%lld;%u", seconds_from_now(m->deliver_by), m->by_mode);
	if (m->priority_said)
		buf_addf(f, " priority=%d", m->priority);
	if (m->require_tls)
		buf_addz(f, " requiretls");
	buf_addz(f, "\n");
	if (!st->logged_in || str_eq(m->from.local, STR("ann")))
		return 0;
	err_set(&err, ERR_DENIED, "that sender is not yours");
	smtp_reply_err(no, SMTP_AT_MAIL, &err);
	return -1;
}

static int rcpt_err(struct stage *st, const struct address *to, struct err *err)
{
	if (to->domain.n && !str_eq(to->domain, STR("mx.test")))
		return st->logged_in ? 0 : err_set(err, ERR_DENIED, "no relaying");
	if (str_eq(to->local, STR("nobody")))
		return err_set(err, ERR_NOTFOUND, "no such user here");
	if (str_eq(to->local, STR("full")))
		return err_set(err, ERR_FULL, "over quota");
	if (str_eq(to->local, STR("later")))
		return err_set(err, ERR_TEMP, "store: broken pipe");
	if (str_eq(to->local, STR("shutdown")))
		return err_set(err, ERR_CANCELED, "canceled");
	return 0;
}

static int rcpt(void *arg, const struct smtp_rcpt *r, struct smtp_reply *no)
{
	struct stage *st = arg;
	struct buf *f = &st->out->facts;
	struct err err = ERR_INIT;

	if (rcpt_err(st, &r->to, &err) < 0) {
		smtp_reply_err(no, SMTP_AT_RCPT, &err);
		return -1;
	}
	st->rcpts++;
	if (str_eq(r->to.local, STR("gone")))
		st->gone = st->rcpts;
	buf_add(f, STR("to "));
	address_print_path(f, &r->to);
	if (r->notify)
		buf_addf(f, " notify=%u", r->notify);
	if (r->orcpt.n)
		buf_addf(f, " orcpt=" STR_F, STR_A(r->orcpt));
	if (r->rrvs)
		buf_addf(f, " rrvs=%lld%s", (long long)r->rrvs, r->rrvs_reject ? ";R" : "");
	buf_addz(f, "\n");
	return 0;
}

static int data(void *arg, struct smtp_reply *no)
{
	return 0;
}

static int body(void *arg, struct str piece, struct smtp_reply *no)
{
	struct stage *st = arg;

	buf_add(&st->message, piece);
	return 0;
}

static int commit(void *arg, struct str *id, struct smtp_reply *no)
{
	static const struct {
		struct str word;
		enum err_kind kind;
	} fails[] = { { STR_INIT("X-Fail: temp"), ERR_TEMP },
		{ STR_INIT("X-Fail: perm"), ERR_PERM }, { STR_INIT("X-Fail: full"), ERR_FULL } };
	struct stage *st = arg;
	struct str message = buf_str(&st->message);
	struct err err = ERR_INIT;

	for (size_t i = 0; i < sizeof fails / sizeof fails[0]; i++)
		if (str_search(message, fails[i].word) < message.n) {
			err_set(&err, fails[i].kind, "it was asked to fail");
			smtp_reply_err(no, SMTP_AT_DATA, &err);
			return -1;
		}
	buf_add(&st->out->facts, STR("stored "));
	if (message.n > 2000)
		buf_addf(&st->out->facts, "%zu bytes", message.n);
	else
		script_quote(message, &st->out->facts);
	buf_addz(&st->out->facts, "\n");
	st->id[0] = (char)('1' + st->count++);
	*id = str_make(st->id, 1);
	return 0;
}

static int outcome(void *arg, unsigned n, struct smtp_reply *no)
{
	struct stage *st = arg;

	if (n + 1 != st->gone)
		return 0;
	smtp_reply_set(no, 550, "5.1.1", "no such user here any more");
	return -1;
}

static struct str refused(
	void *arg, const char *stage, struct str what, const struct smtp_reply *no)
{
	struct stage *st = arg;

	if (st->refusals) {
		buf_addf(&st->out->facts, "refused %s %u ", stage, no->code);
		script_quote(what, &st->out->facts);
		buf_addz(&st->out->facts, "\n");
	}
	return STR("");
}

static int xclient(void *arg, const struct smtp_xclient *x, struct smtp_reply *no)
{
	struct stage *st = arg;

	buf_addf(&st->out->facts, "for " STR_F "[" STR_F "]:%u helo=" STR_F "%s\n", STR_A(x->name),
		STR_A(x->address), x->port, STR_A(x->helo), x->login ? " login" : "");
	if (!str_eq(x->address, STR("192.0.2.66")))
		return 0;
	smtp_reply_set(no, 421, "4.7.0", "not that one");
	return -1;
}

static void reset(void *arg)
{
	struct stage *st = arg;

	st->rcpts = st->gone = 0;
	buf_clear(&st->message);
}

static void set_number(const struct script *s, struct str word, unsigned *to)
{
	uint64_t v;

	if (script_number(s, word, &v))
		*to = (unsigned)v;
}

static void configure(const struct script *s, struct smtp_server *server)
{
	bool submission = script_has(s, STR("submission"));
	bool submissions = script_has(s, STR("submissions"));
	uint64_t v;

	server->proto = submissions ? "submissions" : submission ? "submission" : "smtp";
	server->secure = submissions;
	server->starttls = script_has(s, STR("tls")) || submission;
	server->auth_required = submission || submissions;
	server->auth = server->auth_required || script_has(s, STR("auth"));
	server->lmtp = script_has(s, STR("lmtp"));
	server->dsn = script_has(s, STR("dsn"));
	server->chunking = script_has(s, STR("chunking"));
	server->priority = script_has(s, STR("priority"));
	server->require_tls = script_has(s, STR("requiretls"));
	server->rrvs = script_has(s, STR("rrvs"));
	server->tells_limits = script_has(s, STR("limits"));
	if (script_number(s, STR("by"), &v))
		server->by_min = (int64_t)v;
	if (script_number(s, STR("hold"), &v))
		server->hold_max = (int64_t)v;
	if (script_number(s, STR("size"), &v))
		server->limits.message = v;
	if (script_number(s, STR("line"), &v))
		server->limits.text_line = v;
	set_number(s, STR("rcpts"), &server->limits.rcpts);
	set_number(s, STR("mails"), &server->limits.mails);
	set_number(s, STR("errors"), &server->limits.errors);
	set_number(s, STR("idling"), &server->limits.idling);
	set_number(s, STR("logins"), &server->limits.logins);
}

static void play(struct script *s, struct conn *c, struct outcome *o)
{
	struct stage st = { .script = s, .out = o, .message = BUF(8 << 20) };
	struct smtp_server server = { .name = STR("mx.test"), .limits = SMTP_LIMITS };
	const struct sasl_checks checks = { &st, ways, scram_first, scram_final, undo, token,
		certificate };
	struct smtp_policy policy = { &st, STR("t1"), start_tls, login, mail, rcpt, data, body,
		commit, reset };
	struct err err = ERR_INIT;

	policy.checks = &checks;
	configure(s, &server);
	st.refusals = script_has(s, STR("refusals"));
	policy.outcome = outcome;
	policy.refused = refused;
	if (script_has(s, STR("xclient")))
		policy.xclient = xclient;
	o->end = smtp_serve(c, &server, &policy, &err) == 0 ? STR("ok")
							    : str_c(err_kind_name(err.kind));
	buf_free(&st.message);
}

int main(int argc, char **argv)
{
	return argc == 2 ? script_run_folder(argv[1], play) : 2;
}
