/* The parameters of MAIL and RCPT: RFC 5321 4.1.2, 1870, 6152, 6531, 4954, 3461. Each is taken only
 * when its extension has been offered, once, and in the form its RFC gives it. */
#include "smtp/server_private.h"

#include "base/codec.h"

enum { OF_MAIL = 1, OF_RCPT = 2, OF_DSN = 4, OF_AUTH = 8 };

union target {
	struct smtp_mail *mail;
	struct smtp_rcpt *rcpt;
};

/* A value that does not fit its RFC leaves no->code at 0, and gets the common reply. */
typedef int param_fn(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no);

static bool all_digits(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_digit(s.p[i]))
			return false;
	return s.n > 0;
}

static int take_size(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	uint64_t limit = s->server->limits.message;

	if (!all_digits(value) || value.n > 20) /* RFC 1870 4 */
		return -1;
	if (!str_u64(value, limit, &to.mail->size)) { /* RFC 1870 6.1 */
		smtp_reply_set(no, 552, "5.3.4", "more than %llu bytes are not taken",
			(unsigned long long)limit);
		return -1;
	}
	return 0;
}

static int take_body(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	to.mail->eight_bit = str_eqi(value, STR("8BITMIME")); /* RFC 6152 3 */
	return to.mail->eight_bit || str_eqi(value, STR("7BIT")) ? 0 : -1;
}

static int take_utf8(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	to.mail->utf8 = true; /* RFC 6531 3.4: no value */
	return value.n ? -1 : 0;
}

/* An xtext value whose meaning holds no control characters (T011). */
static bool xtext_ok(struct str value, size_t max)
{
	struct buf text = BUF(SMTP_ORCPT_MAX);
	bool ok = value.n > 0 && value.n <= max && xtext_decode(value, &text);

	for (size_t i = 0; ok && i < text.n; i++)
		ok = !is_ctl(text.p[i]);
	buf_free(&text);
	return ok;
}

static int take_auth(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	/* RFC 4954 5: who first handed the message in, says the peer. Nobody here believes it. */
	return str_eq(value, STR("<>")) || xtext_ok(value, SMTP_ORCPT_MAX) ? 0 : -1;
}

static int take_ret(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	to.mail->ret = str_eqi(value, STR("FULL")) ? 1 : str_eqi(value, STR("HDRS")) ? 2 : 0;
	return to.mail->ret ? 0 : -1;
}

static int take_envid(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	to.mail->envid = value;
	return xtext_ok(value, SMTP_ENVID_MAX) ? 0 : -1;
}

/* RFC 3461 4.1: NEVER alone, or a list of the others. */
static int take_notify(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	static const struct str words[] = { STR_INIT("NEVER"), STR_INIT("SUCCESS"),
		STR_INIT("FAILURE"), STR_INIT("DELAY") };
	uint8_t bits = 0;

	while (value.n) {
		struct str word = str_word(&value, ',');
		uint8_t bit = 0;

		for (unsigned i = 0; i < 4; i++)
			if (str_eqi(word, words[i]))
				bit = (uint8_t)(1u << i);
		if (!bit || bits & bit)
			return -1;
		bits |= bit;
	}
	to.rcpt->notify = bits;
	return bits == 0 || (bits & 1 && bits != 1) ? -1 : 0;
}

/* RFC 3461 4.2: an address type, then the address as xtext. */
static int take_orcpt(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	struct str type, text;

	to.rcpt->orcpt = value;
	if (value.n > SMTP_ORCPT_MAX || !str_cut(value, ';', &type, &text) || type.n == 0)
		return -1;
	for (size_t i = 0; i < type.n; i++)
		if (!is_alnum(type.p[i]) && type.p[i] != '-')
			return -1;
	return xtext_ok(text, SMTP_ORCPT_MAX) ? 0 : -1;
}

static const struct param {
	struct str name;
	unsigned flags;
	param_fn *take;
} params[] = {
	{ STR_INIT("SIZE"), OF_MAIL, take_size },
	{ STR_INIT("BODY"), OF_MAIL, take_body },
	{ STR_INIT("SMTPUTF8"), OF_MAIL, take_utf8 },
	{ STR_INIT("AUTH"), OF_MAIL | OF_AUTH, take_auth },
	{ STR_INIT("RET"), OF_MAIL | OF_DSN, take_ret },
	{ STR_INIT("ENVID"), OF_MAIL | OF_DSN, take_envid },
	{ STR_INIT("NOTIFY"), OF_RCPT | OF_DSN, take_notify },
	{ STR_INIT("ORCPT"), OF_RCPT | OF_DSN, take_orcpt },
};
enum { PARAMS = sizeof params / sizeof params[0] };

static bool offered(const struct smtp_session *s, const struct param *p, unsigned command)
{
	return s->extended && p->flags & command && (!(p->flags & OF_DSN) || s->server->dsn) &&
		(!(p->flags & OF_AUTH) || smtp_auth_offered(s));
}

static int take_one(const struct smtp_session *s, struct str word, unsigned command,
	union target to, unsigned *seen, struct smtp_reply *no)
{
	struct str name = str_word(&word, '=');

	for (unsigned i = 0; i < PARAMS; i++) {
		if (!str_eqi(name, params[i].name) || !offered(s, &params[i], command))
			continue;
		no->code = 0;
		if (!(*seen & 1u << i) && params[i].take(s, word, to, no) == 0) {
			*seen |= 1u << i;
			return 0;
		}
		if (!no->code)
			smtp_reply_set(no, 501, "5.5.4",
				"a parameter is not as it should be: " STR_F,
				STR_A(params[i].name));
		return -1;
	}
	/* RFC 5321 4.1.1.11 */
	smtp_reply_set(no, 555, "5.5.4", "a parameter is not known");
	return -1;
}

static int take_all(const struct smtp_session *s, struct str words, unsigned command,
	union target to, struct smtp_reply *no)
{
	unsigned seen = 0;

	if (words.n && words.p[0] != ' ') {
		smtp_reply_set(no, 501, "5.5.4", "a space must follow the address");
		return -1;
	}
	while (words.n) {
		struct str word = str_word(&words, ' ');

		if (word.n && take_one(s, word, command, to, &seen, no) < 0)
			return -1;
	}
	return 0;
}

int smtp_mail_params(const struct smtp_session *s, struct str words, struct smtp_mail *mail,
	struct smtp_reply *no)
{
	return take_all(s, words, OF_MAIL, (union target){ .mail = mail }, no);
}

int smtp_rcpt_params(const struct smtp_session *s, struct str words, struct smtp_rcpt *rcpt,
	struct smtp_reply *no)
{
	return take_all(s, words, OF_RCPT, (union target){ .rcpt = rcpt }, no);
}
