/* What is written down of each transaction, and who stands behind the peer. */
#include "role/front_smtp_private.h"

#include "base/bucket.h"
#include "base/clock.h"
#include "base/log.h"
#include "role/front_guard.h"

#include <stdio.h>

enum { NOTE_ADDRESS = 320, NOTE_TEXT = 300 };

/* Refused and broken-off transactions that one front has written down; under a flood the rest is
 * only counted. Accepted mail always is: its trace rides with its commit. */
static const struct rate notes_rate = { 1000, CLOCK_SEC / 20 };

/* Others' words, without control characters. */
static void add_clean(struct buf *b, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		buf_addc(b, is_ctl(s.p[i]) ? '?' : s.p[i]);
}

static void note(struct smtp_mailing *m, uint8_t kind, struct str address, const char *text)
{
	struct store_note n = { kind, str_head(address, NOTE_ADDRESS),
		str_head(str_c(text), NOTE_TEXT) };

	if (m->notes.n + n.address.n + n.text.n + 16 > NOTES_BYTES)
		m->notes_lost++;
	else
		store_note_put(&m->notes, &n);
}

void smtp_note_rcpt(struct smtp_mailing *m, struct str address)
{
	note(m, NOTE_NAMED, address, "");
}

/* "<Joe@example.org>" as the address that the trace is asked for; what is none, as it came. */
static void plain_address(struct str what, struct buf *out)
{
	struct address_store store;
	struct address a;
	struct err err;
	struct str rest;

	if (address_path(what, ADDRESS_UTF8, &store, &a, &rest, &err) == 0)
		address_print(out, &a);
	else
		add_clean(out, str_head(what, NOTE_ADDRESS));
}

struct str smtp_note_refusal(
	struct front_smtp *s, const char *stage, struct str what, const struct smtp_reply *no)
{
	struct smtp_mailing *m = s->mailing;
	struct buf address = BUF(1000);
	char text[NOTE_TEXT];

	if (!m)
		return STR("");
	m->last = *no;
	if (str_eq(str_c(stage), STR("rcpt"))) {
		plain_address(what, &address);
		snprintf(text, sizeof text, "%u %s %s", no->code, no->status, no->text);
		note(m, NOTE_REJECTED, buf_str(&address), text);
	}
	buf_free(&address);
	return str_c(m->id);
}

void smtp_how(const struct front_smtp *s, struct buf *how)
{
	static const char *const doors[SERVICE_COUNT] = { [SERVICE_SMTP] = "smtp",
		[SERVICE_SUBMISSION] = "submission",
		[SERVICE_SUBMISSIONS] = "submissions",
		[SERVICE_LMTP] = "lmtp" };

	buf_addz(how, doors[s->service]);
	if (s->auth.login.login[0])
		buf_addf(how, ", login %s", s->auth.login.login);
	if (s->client_name[0])
		buf_addf(how, ", named %s", s->client_name);
	if (conn_proxy(s->c).n)
		buf_addf(how, ", via " STR_F, STR_A(conn_proxy(s->c)));
	if (s->via[0])
		buf_addf(how, ", via %s", s->via);
}

/* "client.example[192.0.2.1] ESMTPS TLSv1.3 ..., smtp" */
static void say_peer(const struct smtp_mailing *m, struct buf *how)
{
	const struct front_smtp *s = m->session;

	buf_addf(how, STR_F "[" STR_F "] %s", STR_A(buf_str(&m->helo)), STR_A(conn_peer(s->c)),
		m->proto);
	if (conn_is_tls(s->c))
		buf_addf(how, " " STR_F " " STR_F, STR_A(conn_tls_version(s->c)),
			STR_A(conn_tls_cipher(s->c)));
	buf_addz(how, ", ");
	smtp_how(s, how);
}

static bool may_tell(struct front *f)
{
	int64_t now = clock_mono();

	if (!rate_allows(f->notes_full_at, &notes_rate, 1, now)) {
		f->notes_withheld++;
		return false;
	}
	f->notes_full_at = rate_taken(f->notes_full_at, &notes_rate, 1, now);
	return true;
}

/* The last note says what became of the whole. */
static void sum_up(struct smtp_mailing *m, struct str sender)
{
	struct front *f = m->session->front;
	char text[NOTE_TEXT];
	int n;

	if (m->last.code)
		n = snprintf(
			text, sizeof text, "%u %s %s", m->last.code, m->last.status, m->last.text);
	else
		n = snprintf(text, sizeof text, "the client went no further");
	if (m->notes_lost && n > 0 && (size_t)n < sizeof text)
		n += snprintf(text + n, sizeof text - (size_t)n, " (%u recipients not shown)",
			m->notes_lost);
	if (f->notes_withheld && n > 0 && (size_t)n < sizeof text)
		snprintf(text + n, sizeof text - (size_t)n,
			" (%llu transactions before this one were not written down)",
			(unsigned long long)f->notes_withheld);
	f->notes_withheld = 0;
	m->notes.max += NOTE_ADDRESS + NOTE_TEXT + 16;
	store_note_put(&m->notes,
		&(struct store_note){
			m->last.code ? NOTE_REFUSED : NOTE_BROKEN_OFF, sender, str_c(text) });
}

void smtp_note_end(struct smtp_mailing *m)
{
	struct front *f = m->session->front;
	struct buf how = BUF(600);
	struct channel *ch = link_channel(f->store, link_generation(f->store));
	struct err err = ERR_INIT;

	if (m->committed || !ch || !may_tell(f))
		return;
	sum_up(m, buf_str(&m->sender));
	say_peer(m, &how);
	(void)store_refused_send(ch,
		&(struct store_refused){
			.call = m->call, .how = buf_str(&how), .notes = buf_str(&m->notes) },
		&err);
	buf_free(&how);
}

/* ---- XCLIENT ---- */

/* The limits of the front that speaks are not those of its client: it leaves, the client comes, and
 * nothing that was known of whoever stood there before is said of it. */
static const char *change_visitor(struct front_smtp *s, const struct smtp_xclient *x)
{
	bool guarded = s->service != SERVICE_LMTP;
	struct visitor *v = s->visitor;
	const char *no = NULL;

	if (guarded)
		guard_leave(v);
	*v = (struct visitor){ .session = v->session };
	s->client_name[0] = '\0';
	if (!s->via[0])
		snprintf(s->via, sizeof s->via, STR_F, STR_A(conn_peer(s->c)));
	conn_set_peer(s->c, x->address, x->port);
	if (guarded)
		no = guard_enter(v, s->front, conn_peer(s->c));
	if (s->service == SERVICE_SMTP)
		guard_look_up(v);
	return no;
}

int smtp_speak_for(struct front_smtp *s, const struct smtp_xclient *x, struct smtp_reply *no)
{
	const char *refused = x->address.n ? change_visitor(s, x) : NULL;

	if (x->name.n)
		snprintf(s->client_name, sizeof s->client_name, STR_F, STR_A(x->name));
	log_event(LOG_INFO, "smtp.xclient", L_STR("sid", s->visitor->session),
		L_STR("rip", conn_peer(s->c)), L_Z("via", s->via), L_Z("name", s->client_name),
		L_STR("helo", x->helo), L_Z("login", x->login ? "not believed" : ""));
	if (!refused)
		return 0;
	smtp_reply_set(no, 421, "4.7.0", "%s, try again later", refused);
	return -1;
}
