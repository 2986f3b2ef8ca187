/* Replies: how they are written, and what each kind of error becomes. */
#include "smtp/server_private.h"

#include "base/log.h"

#include <stdio.h>
#include <string.h>

enum { REPLY_LINE_MAX = 512 }; /* RFC 5321 4.5.3.1.5, with CR LF */

/* Only printable ASCII goes out: what we repeat of others cannot end a line or change its meaning.
 */
static size_t put_text(char *to, size_t room, struct str text)
{
	size_t n = text.n < room ? text.n : room;

	for (size_t i = 0; i < n; i++)
		to[i] = is_ctl(text.p[i]) || (unsigned char)text.p[i] > 126 ? '?' : text.p[i];
	return n;
}

int smtp_say(struct smtp_session *s, unsigned code, const char *status, struct str text)
{
	char line[REPLY_LINE_MAX];
	size_t n = 0;

	line[n++] = (char)('0' + code / 100 % 10);
	line[n++] = (char)('0' + code / 10 % 10);
	line[n++] = (char)('0' + code % 10);
	line[n++] = ' ';
	for (const char *p = status; *p && n < 3 + 1 + SMTP_STATUS_SIZE; p++)
		line[n++] = *p;
	if (*status) /* RFC 2034 4 */
		line[n++] = ' ';
	n += put_text(line + n, sizeof line - 2 - n, text);
	line[n++] = '\r';
	line[n++] = '\n';
	conn_write(s->c, str_make(line, n));
	if (code >= 500) /* "later" is no mistake of the client */
		budget_charge(s->budget, BUDGET_ERRORS, 1);
	return 0;
}

void smtp_reply_set(struct smtp_reply *r, unsigned code, const char *status, const char *fmt, ...)
{
	va_list ap;

	r->code = code;
	snprintf(r->status, sizeof r->status, "%s", status);
	va_start(ap, fmt);
	vsnprintf(r->text, sizeof r->text, fmt, ap);
	va_end(ap);
}

int smtp_refuse(
	struct smtp_session *s, const char *stage, struct str what, const struct smtp_reply *no)
{
	const struct smtp_policy *p = s->policy;
	struct str id = p->refused ? p->refused(p->arg, stage, what, no) : STR("");

	log_event(LOG_INFO, "smtp.reject", L_STR("sid", p->session), L_Z("proto", s->server->proto),
		L_STR("rip", conn_peer(s->c)), L_STR("helo", buf_str(&s->helo)),
		L_Z("stage", stage), L_STR("what", what), L_U64("code", no->code),
		L_Z("status", no->status), L_Z("text", no->text), L_STR(id.n ? "id" : NULL, id));
	if (no->code == 421) /* RFC 5321 3.8: after it the channel is closed */
		s->done = true;
	return smtp_say(s, no->code, no->status, str_c(no->text));
}

int smtp_goodbye(struct smtp_session *s, unsigned code, const char *status, const char *text)
{
	struct smtp_reply no;

	smtp_reply_set(&no, code, status, "%s", text);
	s->done = s->thrown_out = true;
	return smtp_refuse(s, "session", STR(""), &no);
}

/* Per stage: code, status and, when the text of the error is not for clients, the text to send. */
static const struct kind_reply {
	struct {
		unsigned code;
		const char *status;
	} at[3]; /* MAIL, RCPT, DATA */
	const char *text;
} kinds[ERR_KINDS] = {
	[ERR_TEMP] = { { { 451, "4.3.0" }, { 451, "4.3.0" }, { 451, "4.3.0" } },
		"try again later" },
	[ERR_PERM] = { { { 550, "5.7.1" }, { 550, "5.7.1" }, { 554, "5.6.0" } }, NULL },
	[ERR_PROTO] = { { { 501, "5.5.2" }, { 501, "5.5.2" }, { 554, "5.6.0" } }, NULL },
	[ERR_LIMIT] = { { { 451, "4.7.1" }, { 452, "4.5.3" }, { 552, "5.3.4" } }, NULL },
	[ERR_NOTFOUND] = { { { 550, "5.1.8" }, { 550, "5.1.1" }, { 550, "5.1.1" } }, NULL },
	[ERR_DENIED] = { { { 553, "5.7.1" }, { 550, "5.7.1" }, { 550, "5.7.1" } }, NULL },
	[ERR_FULL] = { { { 452, "4.3.1" }, { 452, "4.3.1" }, { 452, "4.3.1" } },
		"not enough space now" },
	/* RFC 3463 3.3: X.2.1 disabled, X.2.2 mailbox full, X.2.4 mailing list expansion */
	[ERR_DISABLED] = { { { 550, "5.7.1" }, { 550, "5.2.1" }, { 550, "5.2.1" } }, NULL },
	[ERR_QUOTA] = { { { 452, "4.2.2" }, { 452, "4.2.2" }, { 452, "4.2.2" } }, NULL },
	[ERR_QUOTA_LONG] = { { { 552, "5.2.2" }, { 552, "5.2.2" }, { 552, "5.2.2" } }, NULL },
	[ERR_EXPANSION] = { { { 550, "5.2.4" }, { 550, "5.2.4" }, { 550, "5.2.4" } }, NULL },
	[ERR_CANCELED] = { { { 421, "4.3.2" }, { 421, "4.3.2" }, { 421, "4.3.2" } },
		"going down, try again" },
};

void smtp_reply_err(struct smtp_reply *r, enum smtp_stage stage, const struct err *err)
{
	const struct kind_reply *k = &kinds[err->kind < ERR_KINDS ? err->kind : ERR_TEMP];

	if (!k->at[stage].code)
		k = &kinds[ERR_TEMP];
	smtp_reply_set(
		r, k->at[stage].code, k->at[stage].status, "%s", k->text ? k->text : err->msg);
}
