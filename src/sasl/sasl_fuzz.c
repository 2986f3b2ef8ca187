/* Any lines to every mechanism: the exchange ends, and what it gives keeps to its grammar. The
 * first octet chooses mechanism and initial response; lines are separated by LF. The client side
 * gets the same lines as challenges. */
#include "sasl/sasl.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

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

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void serve(struct str in, const struct sasl_mech *mech, bool with_initial)
{
	struct sasl_server s = { 0 };
	struct err err = ERR_INIT;
	enum sasl_outcome how;
	struct str initial = { "", 0 };

	if (with_initial)
		initial = str_head(str_word(&in, '\n'), SASL_LINE_MAX);
	if (sasl_serve(&s, mech, with_initial ? &initial : NULL, next_line, &in, &how, &err) == 0 &&
		how == SASL_GIVEN) {
		check(s.name.n > 0 && s.name.n <= SASL_NAME_MAX && utf8_valid(buf_str(&s.name)));
		check(str_find(buf_str(&s.name), '\0') == s.name.n);
		check(s.password.n > 0 && s.password.n <= SASL_PASSWORD_MAX);
	}
	sasl_server_free(&s);
}

static void respond(struct str in, const struct sasl_mech *mech)
{
	struct secret pw = SECRET_NONE;
	struct err err = ERR_INIT;
	struct sasl_client c = { .name = STR("ann"), .password = &pw };
	enum sasl_step step = SASL_CHALLENGE;

	check(secret_copy(&pw, STR("pw"), &err) == 0);
	for (int i = 0; i < 4 && step == SASL_CHALLENGE; i++) {
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
	const struct sasl_mech *mech;

	if (n == 0)
		return 0;
	mech = sasl_mech_at(data[0] & 1);
	serve(str_from(in, 1), mech, data[0] & 2);
	respond(str_from(in, 1), mech);
	return 0;
}
