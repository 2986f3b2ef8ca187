/* Any bytes from a server: the session opens or not, messages are sent or not; it ends, no
 * recipient counts as served without a 2xx after the text, and what is kept of the replies is clean
 * and short. The first octet: chunk; the second: options. */
#include "smtp/client.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int fake_tls(void *arg, struct conn *c, struct err *err)
{
	check(conn_buffered(c) == 0);
	return 0;
}

static int read_text(void *arg, struct str *piece, struct err *err)
{
	int *calls = arg;

	*piece = (*calls)++ ? STR("") : STR("Subject: x\r\n\r\n.\r\n");
	return 0;
}

static void check_answer(const struct smtp_answer *a)
{
	check(a->code < 600 && strlen(a->text) <= SMTP_ANSWER_TEXT);
	check(strlen(a->status) < sizeof a->status);
	for (const char *p = a->text; *p; p++)
		check(!is_ctl(*p) && (unsigned char)*p < 127);
	if (a->status[0])
		check((unsigned)(a->status[0] - '0') == a->code / 100);
}

static void send_one(struct smtp_client *s, uint8_t options)
{
	struct smtp_client_rcpt rcpts[2] = { { .address = STR("a@b.test") },
		{ .address = STR("c@b.test") } };
	int calls = 0;
	struct smtp_client_mail m = { .from = STR(""),
		.size = 20,
		.body = (enum smtp_body)(options >> 2 & 1 ? 1 + (options >> 6 & 1) : 0),
		.utf8 = options & 8,
		.by_mode = options >> 7,
		.by_seconds = 200,
		.rcpts = rcpts,
		.rcpt_count = 2,
		.read = read_text,
		.arg = &calls };
	struct err err = ERR_INIT;
	int r = smtp_client_send(s, &m, &err);

	for (int i = 0; i < 2; i++) {
		const struct smtp_answer *a = &rcpts[i].answer;

		check_answer(a);
		check(r < 0 || a->code > 0);
		if (a->code >= 200 && a->code < 300)
			check(a->phase == SMTP_BODY && calls == 2);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct smtp_client_options o = {
		.helo = STR("me.test"), .start_tls = fake_tls, .times = SMTP_TIMES
	};
	struct secret password = SECRET_NONE;
	struct smtp_client *s = NULL;
	struct smtp_answer a;
	struct err err = ERR_INIT;

	if (n < 2)
		return 0;
	check(secret_copy(&password, STR("pw"), &err) == 0);
	o.lmtp = data[1] & 64;
	o.encryption = (enum smtp_encryption)(data[1] & 3);
	if (data[1] & 16) {
		o.user = STR("ann");
		o.password = &password;
		o.clear_login = data[1] & 32;
	}
	struct conn *c = conn_mem(str_make(data + 2, n - 2), data[0]);

	check(c != NULL);
	if (smtp_client_open(&s, c, &o, &a, &err) == 0)
		for (int i = 0; i < 3 && smtp_client_usable(s); i++)
			send_one(s, data[1]);
	check_answer(&a);
	smtp_client_close(&s);
	secret_free(&password);
	return 0;
}
