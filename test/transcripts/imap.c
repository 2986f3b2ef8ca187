/* imap.c - plays the dialogues in imap/ against the IMAP server and an account in memory.
 *
 * Options: "tls" (STARTTLS is offered), "secure" (TLS from the first byte), "empty" (no messages),
 * "no-facts" (the store has none, so messages must be read), and numbers: errors logins chunk
 * (bytes that one read of a message gives) prefix (so many bytes of each message are the store's)
 * max (octets of a message) space (octets that fit).
 *
 * The account: ann@mx.test, password "pw"; INBOX with three messages (uids 1 to 3), Sent. STATUS of
 * "other/..." is another session at work: see imap/mem.h. Facts: "appended BOX UID FLAGS DATE
 * BYTES" for what came by APPEND.
 */
#include "script.h"

#include "imap/mem.h"

struct stage {
	struct imap_mem mem;
	struct script *script;
};

static const char plain[] = "From: Ann Example <ann@mx.test>\r\n"
			    "To: joe@example.org, \"Doe, Jane\" <jane@example.org>\r\n"
			    "Subject: Lunch?\r\n"
			    "Date: Thu, 05 Nov 2026 10:00:00 +0100\r\n"
			    "Message-ID: <one@mx.test>\r\n"
			    "\r\n"
			    "Are you there?\r\n"
			    "Ann\r\n";

static const char mixed[] = "From: joe@example.org\r\n"
			    "To: friends: ann@mx.test, bob@mx.test;\r\n"
			    "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n"
			    "Date: Fri, 06 Nov 2026 12:00:00 +0000\r\n"
			    "Message-ID: <two@example.org>\r\n"
			    "In-Reply-To: <one@mx.test>\r\n"
			    "MIME-Version: 1.0\r\n"
			    "Content-Type: multipart/mixed; boundary=\"b1\"\r\n"
			    "\r\n"
			    "preamble\r\n"
			    "--b1\r\n"
			    "Content-Type: text/plain; charset=utf-8\r\n"
			    "Content-Transfer-Encoding: base64\r\n"
			    "\r\n"
			    "R3LDvMOfZSBhdXMgS8O2bG4K\r\n"
			    "--b1\r\n"
			    "Content-Type: message/rfc822\r\n"
			    "Content-Disposition: attachment; filename=\"old.eml\"\r\n"
			    "\r\n"
			    "From: old@example.net\r\n"
			    "Subject: inner\r\n"
			    "\r\n"
			    "inner text\r\n"
			    "--b1--\r\n";

static const char odd[] = "Subject: no sender here\r\n"
			  "X-Colour: dark blue\r\n"
			  "X-Colour: light green\r\n"
			  "\r\n"
			  "short\r\n";

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct imap_mem *m = arg;
	struct stage *st = (struct stage *)(void *)m;
	struct str next = script_next_part(st->script);

	if (next.n == 0)
		return err_set(err, ERR_PROTO, "the handshake failed");
	conn_mem_feed(c, next);
	return 0;
}

static uint64_t number(const struct script *s, struct str word, uint64_t fallback)
{
	script_number(s, word, &fallback);
	return fallback;
}

static void fill(struct imap_mem *m, const struct script *s)
{
	m->no_facts = script_has(s, STR("no-facts"));
	imap_mem_init(m);
	if (script_has(s, STR("empty")))
		return;
	imap_mem_add(m, STR("INBOX"), str_c(plain), IMAP_SEEN, STR(""), 1793869200);
	imap_mem_add(m, STR("INBOX"), str_c(mixed), IMAP_FLAGGED, STR("$Junk"), 1793966400);
	imap_mem_add(m, STR("INBOX"), str_c(odd), 0, STR(""), 1794052800);
}

static void note_appended(
	struct imap_mem *m, struct str box_name, uint32_t after, struct buf *facts)
{
	const struct imap_mem_box *box = imap_mem_box(m, box_name);

	for (size_t i = 0; box && i < box->count; i++) {
		const struct imap_mem_entry *e = &box->entries[i];

		if (e->uid <= after)
			continue;
		buf_addf(facts, "appended " STR_F " %u %u(%s) %lld ", STR_A(box_name), e->uid,
			e->flags, e->keywords, (long long)e->received);
		if (e->body->text.n > 2000)
			buf_addf(facts, "%zu bytes", e->body->text.n);
		else
			script_quote(e->body->text, facts);
		buf_addz(facts, "\n");
	}
}

static void play(struct script *s, struct conn *c, struct outcome *o)
{
	static struct stage st; /* large */
	struct imap_config config = IMAP_CONFIG_DEFAULT;
	struct imap_policy policy = imap_mem_policy(&st.mem);
	struct err err = ERR_INIT;

	st.mem.name = STR("ann@mx.test");
	st.mem.password = STR("pw");
	st.mem.chunk = (size_t)number(s, STR("chunk"), 0);
	st.mem.prefix = (uint32_t)number(s, STR("prefix"), 0);
	st.mem.space = number(s, STR("space"), 0);
	st.script = s;
	config.hostname = STR("mx.test");
	config.secure = script_has(s, STR("secure"));
	config.starttls = script_has(s, STR("tls"));
	config.max_errors = (uint32_t)number(s, STR("errors"), config.max_errors);
	config.max_login_fails = (uint32_t)number(s, STR("logins"), config.max_login_fails);
	config.append_max = number(s, STR("max"), config.append_max);
	fill(&st.mem, s);
	policy.start_tls = start_tls;
	o->end = imap_serve(c, &config, &policy, &err) == 0 ? STR("ok")
							    : str_c(err_kind_name(err.kind));
	if (!script_has(s, STR("deliver")))
		note_appended(
			&st.mem, STR("INBOX"), script_has(s, STR("empty")) ? 0 : 3, &o->facts);
	if (script_has(s, STR("sent")))
		note_appended(&st.mem, STR("Sent"), 0, &o->facts);
	if (st.mem.rows_open > 0)
		buf_addz(&o->facts, "a walk was not ended\n");
	imap_mem_free(&st.mem);
}

int main(int argc, char **argv)
{
	return argc == 2 ? script_run_folder(argv[1], play) : 2;
}
