/* Any lines to every mechanism: the exchange ends, and what it gives to those who decide keeps to
 * its grammar. The first octet chooses mechanism, initial response and whether they say yes, the
 * second the ways; lines are separated by LF. The client side gets the same lines as challenges. */
#include "sasl/sasl.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct world {
	unsigned ways;
	bool yes;
	int logins, firsts, finals, undone;
};

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_name(struct str name)
{
	check(name.n <= SASL_NAME_MAX && utf8_valid(name) && str_find(name, '\0') == name.n);
}

static int decide(struct world *w, struct err *err)
{
	if (!w->yes)
		return err_set(err, ERR_DENIED, "no");
	w->logins++;
	return 0;
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	check_name(name);
	check(name.n > 0 && password->n > 0 && password->n <= SASL_PASSWORD_MAX);
	return decide(arg, err);
}

static unsigned ways(void *arg)
{
	const struct world *w = arg;

	return w->ways;
}

static int scram_first(
	void *arg, const struct sasl_scram *m, struct buf *challenge, struct err *err)
{
	struct world *w = arg;
	struct scram_first f;

	check(w->ways & SASL_WAY_SCRAM && !w->firsts++);
	check(scram_read_first(m->message, &f, err) == 0);
	check(m->plus == (m->binding.n > 0) && (!m->plus || m->offered));
	buf_add(challenge, STR("r=abc,s=YWFh,i=4096"));
	return 0;
}

static int scram_final(void *arg, const struct sasl_scram *m, struct buf *last, struct err *err)
{
	struct world *w = arg;

	check(w->firsts == 1 && !w->finals++);
	buf_add(last, STR("v=abc"));
	return decide(w, err);
}

static void undo(void *arg)
{
	struct world *w = arg;

	check(w->logins == 1);
	w->logins--;
	w->undone++;
}

static int token(void *arg, struct str name, const struct secret *token, struct err *err)
{
	struct world *w = arg;

	check_name(name);
	check(w->ways & SASL_WAY_TOKEN && token->n > 0 && token->n <= SASL_TOKEN_MAX);
	return decide(w, err);
}

static int certificate(void *arg, struct str name, struct err *err)
{
	struct world *w = arg;

	check_name(name);
	check(w->ways & SASL_WAY_CERTIFICATE);
	return decide(w, err);
}

static const struct sasl_checks functions = {
	.ways = ways,
	.scram_first = scram_first,
	.scram_final = scram_final,
	.undo = undo,
	.token = token,
	.certificate = certificate,
};

static int next_line(void *arg, struct str challenge, struct str *response, struct err *err)
{
	struct str *rest = arg;

	if (rest->n == 0)
		return err_set(err, ERR_CLOSED, "gone");
	*response = str_word(rest, '\n');
	if (response->n > SASL_LINE_MAX)
		return err_set(err, ERR_LIMIT, "line too long");
	return 0;
}

static void serve(struct str in, const struct sasl_mech *mech, struct world *w, bool with_initial)
{
	struct sasl_checks checks = functions;
	struct sasl_server s = { .arg = w, .login = login, .checks = &checks };
	struct err err = ERR_INIT;
	enum sasl_outcome how;
	struct str initial = { "", 0 };
	bool in_at_last;

	checks.arg = w;
	if (with_initial)
		initial = str_head(str_word(&in, '\n'), SASL_LINE_MAX);
	in_at_last = sasl_serve(&s, mech, with_initial ? &initial : NULL, next_line, &in, &how,
			     &err) == 0 &&
		how == SASL_WELCOME;
	check(in_at_last == (w->logins == 1));
	sasl_server_free(&s);
}

static void respond(struct str in, const struct sasl_mech *mech)
{
	struct secret pw = SECRET_NONE;
	struct err err = ERR_INIT;
	struct sasl_client c = { .name = STR("ann"), .password = &pw };
	enum sasl_step step = SASL_CHALLENGE;

	check(secret_copy(&pw, STR("pw"), &err) == 0);
	for (int i = 0; i < 5 && step == SASL_CHALLENGE; i++) {
		struct buf out = BUF(SASL_LINE_MAX);

		step = sasl_client_step(
			&c, mech, str_head(str_word(&in, '\n'), SASL_LINE_MAX), &out);
		check(step != SASL_MALFORMED || out.n == 0);
		secret_wipe_buf(&out);
	}
	check(step != SASL_CHALLENGE);
	secret_free(&pw);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	struct world w = { 0 };
	const struct sasl_mech *mech;

	if (n < 2)
		return 0;
	mech = sasl_mech_at((data[0] & 15) % 9);
	w.yes = data[0] & 32;
	w.ways = data[1] | mech->ways;
	serve(str_from(in, 2), mech, &w, data[0] & 16);
	if (mech->respond)
		respond(str_from(in, 2), mech);
	return 0;
}
