/* The parameters of MAIL and RCPT: RFC 5321 4.1.2, 1870, 6152, 3030, 6531, 4954, 3461, 2852, 4865,
 * 6710, 8689, 7293. Each is taken only when its extension has been offered, once, and in the form
 * its RFC gives it. */
#include "smtp/server_private.h"

#include "base/clock.h"
#include "base/codec.h"
#include "mail/date.h"

enum { OF_MAIL = 1, OF_RCPT = 2 };

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
	if (str_eqi(value, STR("8BITMIME"))) /* RFC 6152 3 */
		to.mail->body = SMTP_8BITMIME;
	else if (str_eqi(value, STR("BINARYMIME")) && smtp_offers(s) & SMTP_HAS_CHUNKING)
		to.mail->body = SMTP_BINARYMIME; /* RFC 3030 3 */
	else if (!str_eqi(value, STR("7BIT")))
		return -1;
	return 0;
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

	if (value.n && value.p[value.n - 1] == ',')
		return -1;
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

/* RFC 2852 4: "BY=SECONDS;MODE"; a time that is over already can only be told of. */
static int take_by(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	struct str time, mode;
	bool negative, notify;
	uint64_t seconds;
	int64_t by;

	if (!str_cut(value, ';', &time, &mode) || mode.n < 1 || mode.n > 2)
		return -1;
	notify = to_lower(mode.p[0]) == 'n';
	if ((!notify && to_lower(mode.p[0]) != 'r') || (mode.n == 2 && to_lower(mode.p[1]) != 't'))
		return -1;
	negative = time.n && time.p[0] == '-';
	if (time.n && (negative || time.p[0] == '+'))
		time = str_from(time, 1);
	if (time.n > 9 || !str_u64(time, INT32_MAX, &seconds))
		return -1;
	by = negative ? -(int64_t)seconds : (int64_t)seconds;
	if (!notify && by <= 0)
		return -1;
	if (!notify && by < s->server->by_min) { /* a permanent 55z */
		smtp_reply_set(no, 555, "5.5.4", "less than %lld seconds cannot be kept",
			(long long)s->server->by_min);
		return -1;
	}
	to.mail->deliver_by = clock_wall_us() * 1000 + by * CLOCK_SEC;
	to.mail->by_mode = (uint8_t)((notify ? SMTP_BY_NOTIFY : SMTP_BY_RETURN) |
		(mode.n == 2 ? SMTP_BY_TRACE : 0));
	return 0;
}

/* RFC 4865 4.2: one of the two, and not later than we have offered. */
static int hold(const struct smtp_session *s, int64_t until, union target to, struct smtp_reply *no)
{
	if (to.mail->hold_until)
		return -1;
	to.mail->hold_until = until;
	if (until <= (clock_wall() + s->server->hold_max) * CLOCK_SEC + CLOCK_SEC)
		return 0;
	smtp_reply_set(no, 501, "5.5.4", "messages are held for %lld seconds at most",
		(long long)s->server->hold_max);
	return -1;
}

static int take_holdfor(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	uint64_t seconds;

	if (value.n > 9 || !str_u64(value, INT32_MAX, &seconds) || seconds == 0)
		return -1;
	return hold(s, clock_wall_us() * 1000 + (int64_t)seconds * CLOCK_SEC, to, no);
}

static int take_holduntil(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	struct date d;
	int64_t nanos;

	if (!date_iso_parse(value, &d, &nanos))
		return -1;
	if (d.unix > INT64_MAX / CLOCK_SEC - 1)
		d.unix = INT64_MAX / CLOCK_SEC - 1;
	/* What is over already is the same as now. */
	return hold(s, d.unix > 0 ? d.unix * CLOCK_SEC + nanos : 1, to, no);
}

/* RFC 6710 4.1 */
static int take_priority(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	bool low = value.n == 2 && value.p[0] == '-';
	char digit = value.n ? value.p[value.n - 1] : 'x';

	if (value.n != (low ? 2 : 1) || !is_digit(digit) || (low && digit == '0'))
		return -1;
	to.mail->priority = low ? '0' - digit : digit - '0';
	to.mail->priority_said = true;
	return 0;
}

static int take_requiretls(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	to.mail->require_tls = true; /* RFC 8689 4.1: no value */
	return value.n ? -1 : 0;
}

/* RFC 7293 3.1: a moment, in whole seconds, and what to do where it cannot be checked: reject,
 * unless "C" is said. */
static int take_rrvs(
	const struct smtp_session *s, struct str value, union target to, struct smtp_reply *no)
{
	struct str when = value, action;
	struct date d;
	int64_t nanos;

	to.rcpt->rrvs_reject = true;
	if (str_cut(value, ';', &when, &action)) {
		to.rcpt->rrvs_reject = str_eqi(action, STR("R"));
		if (!to.rcpt->rrvs_reject && !str_eqi(action, STR("C")))
			return -1;
	}
	if (str_find(when, '.') < when.n || !date_iso_parse(when, &d, &nanos))
		return -1;
	to.rcpt->rrvs = d.unix > 0 ? d.unix : 1;
	return 0;
}

static const struct param {
	struct str name;
	unsigned of;
	unsigned needs; /* SMTP_HAS_: what must have been offered */
	param_fn *take;
} params[] = {
	{ STR_INIT("SIZE"), OF_MAIL, 0, take_size },
	{ STR_INIT("BODY"), OF_MAIL, 0, take_body },
	{ STR_INIT("SMTPUTF8"), OF_MAIL, 0, take_utf8 },
	{ STR_INIT("AUTH"), OF_MAIL, SMTP_HAS_AUTH, take_auth },
	{ STR_INIT("RET"), OF_MAIL, SMTP_HAS_DSN, take_ret },
	{ STR_INIT("ENVID"), OF_MAIL, SMTP_HAS_DSN, take_envid },
	{ STR_INIT("BY"), OF_MAIL, SMTP_HAS_BY, take_by },
	{ STR_INIT("HOLDFOR"), OF_MAIL, SMTP_HAS_HOLD, take_holdfor },
	{ STR_INIT("HOLDUNTIL"), OF_MAIL, SMTP_HAS_HOLD, take_holduntil },
	{ STR_INIT("MT-PRIORITY"), OF_MAIL, SMTP_HAS_PRIORITY, take_priority },
	{ STR_INIT("REQUIRETLS"), OF_MAIL, SMTP_HAS_REQUIRETLS, take_requiretls },
	{ STR_INIT("NOTIFY"), OF_RCPT, SMTP_HAS_DSN, take_notify },
	{ STR_INIT("ORCPT"), OF_RCPT, SMTP_HAS_DSN, take_orcpt },
	{ STR_INIT("RRVS"), OF_RCPT, SMTP_HAS_RRVS, take_rrvs },
};
enum { PARAMS = sizeof params / sizeof params[0] };

static bool offered(const struct smtp_session *s, const struct param *p, unsigned command)
{
	return s->extended && p->of & command && (smtp_offers(s) & p->needs) == p->needs;
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
	if (str_eqi(name, STR("REQUIRETLS")) && s->server->require_tls) { /* RFC 8689 2 */
		smtp_reply_set(no, 530, "5.7.10", "REQUIRETLS needs TLS");
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
	if (take_all(s, words, OF_MAIL, (union target){ .mail = mail }, no) < 0)
		return -1;
	if (!mail->deliver_by || mail->hold_until <= mail->deliver_by)
		return 0;
	smtp_reply_set(no, 501, "5.5.4", "held for longer than it may take"); /* RFC 4865 5.2.2 */
	return -1;
}

int smtp_rcpt_params(const struct smtp_session *s, struct str words, struct smtp_rcpt *rcpt,
	struct smtp_reply *no)
{
	return take_all(s, words, OF_RCPT, (union target){ .rcpt = rcpt }, no);
}
