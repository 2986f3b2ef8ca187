#include "route/reply.h"

#include <stdio.h>
#include <string.h>

/* Codes that say more than their first digit. The first row that matches counts. */
static const struct row {
	unsigned code;
	struct str status; /* from the second digit on; empty: any */
	enum reply_kind kind;
} rows[] = {
	{ 0, STR_INIT("1.1"), KIND_NO_USER },
	{ 0, STR_INIT("1.2"), KIND_NO_USER },
	{ 0, STR_INIT("1.3"), KIND_NO_USER },
	{ 0, STR_INIT("1.6"), KIND_NO_USER },
	{ 0, STR_INIT("2.1"), KIND_NO_USER },
	{ 0, STR_INIT("2.2"), KIND_FULL },
	{ 0, STR_INIT("2.3"), KIND_TOO_BIG },
	{ 0, STR_INIT("3.1"), KIND_FULL },
	{ 0, STR_INIT("3.2"), KIND_BUSY },
	{ 0, STR_INIT("3.4"), KIND_TOO_BIG },
	{ 0, STR_INIT("4.5"), KIND_BUSY },
	{ 0, STR_INIT("5.3"), KIND_BUSY },
	{ 0, STR_INIT("7."), KIND_POLICY },
	{ 421, STR_INIT(""), KIND_BUSY },
	{ 450, STR_INIT(""), KIND_OTHER },
	{ 452, STR_INIT(""), KIND_FULL },
	{ 552, STR_INIT(""), KIND_FULL },
	{ 550, STR_INIT(""), KIND_OTHER },
	{ 551, STR_INIT(""), KIND_NO_USER },
	{ 553, STR_INIT(""), KIND_NO_USER },
};

/* When the server names no status, or one that contradicts its code. */
static const struct fallback {
	enum reply_kind kind;
	const char *rest;
} fallbacks[] = {
	{ KIND_NO_USER, "1.1" },
	{ KIND_FULL, "2.2" },
	{ KIND_TOO_BIG, "3.4" },
	{ KIND_POLICY, "7.1" },
	{ KIND_BUSY, "4.5" },
	{ KIND_LOGIN, "7.8" },
	{ KIND_NETWORK, "4.2" },
	{ KIND_TLS, "7.5" },
};

bool reply_status_ok(struct str status)
{
	struct str class, subject, detail;
	uint64_t n;

	if (status.n > 9 || !str_cut(status, '.', &class, &subject) ||
		!str_cut(subject, '.', &subject, &detail))
		return false;
	return class.n == 1 && (class.p[0] == '2' || class.p[0] == '4' || class.p[0] == '5') &&
		str_u64(subject, 999, &n) && str_u64(detail, 999, &n);
}

static enum reply_kind kind_of(enum reply_phase phase, unsigned code, struct str status)
{
	if (phase == PHASE_LOGIN)
		return KIND_LOGIN;
	if (phase == PHASE_TLS)
		return KIND_TLS;
	if (code == 0)
		return KIND_NETWORK;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *r = &rows[i];

		if (r->code ? r->code == code && status.n == 0
			    : str_starts(str_from(status, 2), r->status))
			return r->kind;
	}
	return KIND_OTHER;
}

static enum reply_scope scope_of(enum reply_phase phase, unsigned code)
{
	if (code == 0 || code == 421) /* RFC 5321 3.8: the server closes the connection */
		return ABOUT_HOST;
	switch (phase) {
	case PHASE_RCPT:
		return ABOUT_RCPT;
	case PHASE_MAIL:
	case PHASE_DATA:
	case PHASE_BODY:
		return ABOUT_MESSAGE;
	case PHASE_CONNECT:
	case PHASE_GREETING:
	case PHASE_HELLO:
	case PHASE_TLS:
	case PHASE_LOGIN:
		break;
	}
	return ABOUT_HOST;
}

static enum reply_outcome outcome_of(
	enum reply_phase phase, unsigned code, enum reply_scope scope, struct str status)
{
	if (code >= 200 && code < 300)
		return REPLY_OK;
	if (scope == ABOUT_HOST || code < 500 || code > 599)
		return REPLY_LATER;
	/* RFC 5321 4.5.3.1.10: 552 to RCPT means too many recipients, which passes. */
	if (code == 552 && phase == PHASE_RCPT && !str_starts(status, STR("5.2")))
		return REPLY_LATER;
	/* RFC 4954 6: wants a login, which a change of the settings can give. */
	if (code == 530 || code == 534 || code == 535 || code == 538)
		return REPLY_LATER;
	return REPLY_NEVER;
}

static const char *rest_of(enum reply_kind kind)
{
	for (size_t i = 0; i < sizeof fallbacks / sizeof fallbacks[0]; i++)
		if (fallbacks[i].kind == kind)
			return fallbacks[i].rest;
	return "0.0";
}

struct reply_verdict reply_judge(enum reply_phase phase, unsigned code, struct str status)
{
	static const char digits[] = { [REPLY_OK] = '2', [REPLY_LATER] = '4', [REPLY_NEVER] = '5' };
	struct reply_verdict v = { 0 };

	if (!reply_status_ok(status))
		status = STR("");
	v.scope = scope_of(phase, code);
	v.outcome = outcome_of(phase, code, v.scope, status);
	v.kind = v.outcome == REPLY_OK ? KIND_OK : kind_of(phase, code, status);
	/* RFC 3463 2: the class must agree with what we do; the rest is what the server said. */
	if (status.n > 0)
		snprintf(v.status, sizeof v.status, "%c." STR_F, digits[v.outcome],
			STR_A(str_from(status, 2)));
	else
		snprintf(v.status, sizeof v.status, "%c.%s", digits[v.outcome], rest_of(v.kind));
	return v;
}

const char *reply_kind_name(enum reply_kind kind)
{
	static const char *const names[] = { [KIND_OK] = "ok",
		[KIND_OTHER] = "other",
		[KIND_NO_USER] = "no-user",
		[KIND_FULL] = "full",
		[KIND_TOO_BIG] = "too-big",
		[KIND_POLICY] = "policy",
		[KIND_BUSY] = "busy",
		[KIND_LOGIN] = "login",
		[KIND_NETWORK] = "network",
		[KIND_TLS] = "tls" };

	return (size_t)kind < sizeof names / sizeof names[0] ? names[kind] : "?";
}
