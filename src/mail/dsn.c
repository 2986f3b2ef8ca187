#include "mail/dsn.h"
#include "base/codec.h"
#include "base/utf8.h"
#include "mail/encode.h"
#include "mail/header.h"

#include <string.h>

enum {
	LINE_BYTES_MAX = 998, /* RFC 5322 2.1.1 */
	FOLD_AT = 76,
	ORIGINAL_MAX = 900,
};

static const struct {
	const char *name;    /* RFC 3464 2.3.3 */
	const char *general; /* RFC 3463 */
	const char *subject;
	const char *text;
} actions[] = {
	[DSN_DELIVERED] = { "delivered", "2.0.0", "Your message was delivered",
		"Your message was delivered to:" },
	[DSN_RELAYED] = { "relayed", "2.0.0", "Your message was passed on",
		"Your message was passed on to a server that sends no confirmations, for:" },
	[DSN_EXPANDED] = { "expanded", "2.0.0", "Your message was distributed",
		"Your message was delivered to these addresses and passed on from there to "
		"others:" },
	[DSN_DELAYED] = { "delayed", "4.0.0", "Your message is delayed",
		"Your message has not been delivered yet. You need not send it again: we keep "
		"trying.\r\n"
		"It is still waiting for:" },
	[DSN_FAILED] = { "failed", "5.0.0", "Your message could not be delivered",
		"Your message could not be delivered, and we have stopped trying, for:" },
};

enum dsn_action dsn_worst(const struct dsn *d)
{
	enum dsn_action worst = DSN_DELIVERED;

	for (size_t i = 0; i < d->n; i++)
		if (d->recipients[i].action > worst)
			worst = d->recipients[i].action;
	return worst;
}

/* ---- words of others --------------------------------------------------------------------------
 */

/* Printable ASCII on one line; line breaks become spaces, runs of spaces one. */
static void add_words(struct buf *b, struct str s)
{
	bool space = false, any = false;

	s = str_head(s, DSN_WORDS_MAX);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (is_wsp(c) || c == '\r' || c == '\n') {
			space = any;
			continue;
		}
		if (space)
			buf_addc(b, ' ');
		buf_addc(b, c > ' ' && c <= '~' ? c : '?');
		space = false;
		any = true;
	}
}

static void add_host(struct buf *b, struct str s)
{
	s = str_head(s, ADDRESS_DOMAIN_MAX);
	for (size_t i = 0; i < s.n; i++)
		buf_addc(
			b, is_alnum(s.p[i]) || (s.p[i] && strchr(".-_:[]", s.p[i])) ? s.p[i] : '?');
}

/* One field of the status part, folded at spaces. */
static void add_field(struct buf *b, const char *name, struct str value)
{
	size_t column = strlen(name) + 1;

	buf_addf(b, "%s:", name);
	while (value.n) {
		struct str word = str_word(&value, ' ');

		if (column + 1 + word.n > FOLD_AT && column > strlen(name) + 1) {
			buf_addz(b, "\r\n");
			column = 0;
		}
		buf_addc(b, ' ');
		buf_add(b, word);
		column += 1 + word.n;
	}
	buf_addz(b, "\r\n");
}

static void add_words_field(struct buf *b, const char *name, const char *type, struct str words)
{
	struct buf v = BUF(DSN_WORDS_MAX + 32);

	buf_addz(&v, type);
	add_words(&v, words);
	add_field(b, name, buf_str(&v));
	buf_free(&v);
}

static void add_date_field(struct buf *b, const char *name, int64_t unix)
{
	if (unix == 0)
		return;
	buf_addf(b, "%s: ", name);
	date_print(b, (struct date){ unix, 0 });
	buf_addz(b, "\r\n");
}

/* RFC 6533 3: utf-8-addr-xtext, which is ASCII. */
static void add_utf8_address(struct buf *b, struct str s)
{
	uint32_t c;

	buf_addz(b, "utf-8;");
	while (utf8_next(&s, &c, NULL)) {
		if (c > ' ' && c < 0x7f && c != '\\' && c != '+' && c != '=')
			buf_addc(b, (char)c);
		else
			buf_addf(b, "\\x{%02X}", (unsigned)c);
	}
}

static void add_address_field(struct buf *b, const char *name, const struct address *a)
{
	struct buf text = BUF(ADDRESS_PATH_MAX);

	address_print(&text, a);
	buf_addf(b, "%s: ", name);
	if (address_is_ascii(a)) {
		buf_addz(b, "rfc822;");
		buf_add(b, buf_str(&text));
	} else {
		add_utf8_address(b, buf_str(&text));
	}
	buf_addz(b, "\r\n");
	buf_free(&text);
}

/* RFC 3461 4.2: "type;address". The type is a word; what is not ASCII is written as above. */
static void add_original(struct buf *b, struct str original)
{
	struct buf v = BUF(ORIGINAL_MAX);
	struct str type, address;

	if (original.n > DSN_WORDS_MAX || !str_cut(original, ';', &type, &address) || !address.n ||
		!header_name_valid(type))
		return;
	if (utf8_is_ascii(address)) {
		buf_add(&v, type);
		buf_addc(&v, ';');
		add_words(&v, address);
	} else {
		add_utf8_address(&v, address);
	}
	/* One too long for a line cannot be folded and must not be cut: it would be another
	 * address. */
	if (buf_ok(&v))
		add_field(b, "Original-Recipient", buf_str(&v));
	buf_free(&v);
}

/* ---- the parts --------------------------------------------------------------------------------
 */

/* RFC 3463 2: class "." subject "." detail, of the class that fits the action. */
static void add_status(struct buf *b, const struct dsn_recipient *r)
{
	struct str rest = r->status, class = str_word(&rest, '.'), subject = str_word(&rest, '.');
	uint64_t v;

	buf_addz(b, "Status: ");
	if (class.n == 1 && class.p[0] == actions[r->action].general[0] && subject.n <= 3 &&
		rest.n <= 3 && str_u64(subject, 999, &v) && str_u64(rest, 999, &v))
		buf_add(b, r->status);
	else
		buf_addz(b, actions[r->action].general);
	buf_addz(b, "\r\n");
}

static void add_recipient(struct buf *b, const struct dsn_recipient *r)
{
	buf_addz(b, "\r\n");
	add_original(b, r->original);
	add_address_field(b, "Final-Recipient", &r->address);
	buf_addf(b, "Action: %s\r\n", actions[r->action].name);
	add_status(b, r);
	if (r->remote_mta.n) {
		buf_addz(b, "Remote-MTA: dns;");
		add_host(b, r->remote_mta);
		buf_addz(b, "\r\n");
	}
	if (r->diagnostic.n)
		add_words_field(b, "Diagnostic-Code", r->remote_mta.n ? "smtp; " : "X-Eilpost; ",
			r->diagnostic);
	add_date_field(b, "Last-Attempt-Date", r->last_attempt);
	if (r->action == DSN_DELAYED)
		add_date_field(b, "Will-Retry-Until", r->retry_until);
}

static void add_status_part(struct buf *b, const struct dsn *d)
{
	buf_addz(b, "Content-Type: message/delivery-status\r\n\r\n");
	if (d->envelope_id.n)
		add_words_field(b, "Original-Envelope-Id", "", d->envelope_id);
	buf_addz(b, "Reporting-MTA: dns;");
	add_host(b, d->host);
	buf_addz(b, "\r\n");
	add_date_field(b, "Arrival-Date", d->arrival);
	add_date_field(b, "Deliver-By-Date", d->deliver_by); /* RFC 2852 5 */
	if (d->held_until) {                                 /* RFC 4865 5.1.2 */
		buf_addz(b, "Future-Release-Request: until;");
		date_iso_print(b, d->held_until);
		buf_addz(b, "\r\n");
	}
	for (size_t i = 0; i < d->n; i++)
		add_recipient(b, &d->recipients[i]);
}

static void tell_recipient(struct buf *b, const struct dsn_recipient *r)
{
	buf_addz(b, "\r\n  ");
	address_print(b, &r->address);
	buf_addz(b, "\r\n");
	if (r->remote_mta.n) {
		buf_addz(b, "    ");
		add_host(b, r->remote_mta);
		buf_addz(b, r->diagnostic.n ? " said: " : " answered.");
	} else if (r->diagnostic.n) {
		buf_addz(b, "    Reason: ");
	}
	add_words(b, r->diagnostic);
	if (r->remote_mta.n || r->diagnostic.n)
		buf_addz(b, "\r\n");
	if (r->action == DSN_DELAYED && r->retry_until) {
		buf_addz(b, "    We keep trying until ");
		date_print(b, (struct date){ r->retry_until, 0 });
		buf_addz(b, ".\r\n");
	}
}

/* Which message this is about, in words. */
static void tell_subject(struct buf *b, const struct dsn *d, struct str head)
{
	struct header_field f;
	struct buf text = BUF(DSN_WORDS_MAX * 4);

	if (d->arrival) {
		buf_addz(b, "\r\nWe received the message on ");
		date_print(b, (struct date){ d->arrival, 0 });
		buf_addz(b, ".\r\n");
	}
	if (header_find(head, STR("Subject"), &f)) {
		words_decode(str_head(f.value, DSN_WORDS_MAX), &text);
		buf_addz(b, "\r\nIts subject: ");
		buf_add(b, buf_str(&text));
		buf_addz(b, "\r\n");
	}
	buf_free(&text);
}

static void add_text_part(struct buf *b, const struct dsn *d, struct str head)
{
	struct buf text = BUF(b->max);

	buf_addz(&text, "This is the mail server ");
	add_host(&text, d->host);
	buf_addz(&text, ".\r\n");
	for (int action = DSN_FAILED; action >= DSN_DELIVERED; action--) {
		bool said = false;

		for (size_t i = 0; i < d->n; i++) {
			if ((int)d->recipients[i].action != action)
				continue;
			if (!said)
				buf_addf(&text, "\r\n%s\r\n", actions[action].text);
			said = true;
			tell_recipient(&text, &d->recipients[i]);
		}
	}
	tell_subject(&text, d, head);
	if (utf8_is_ascii(buf_str(&text))) {
		buf_addz(b, "Content-Type: text/plain; charset=us-ascii\r\n\r\n");
		buf_add(b, buf_str(&text));
	} else {
		buf_addz(b,
			"Content-Type: text/plain; charset=utf-8\r\n"
			"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
		qp_encode(b, buf_str(&text));
	}
	b->over |= !buf_ok(&text);
	buf_free(&text);
}

/* Has the text only CRLF line endings, short lines, and no NUL? Then it can stand as it is. */
static bool is_clean(struct str s, bool *eight_bit)
{
	size_t length = 0;

	*eight_bit = !utf8_is_ascii(s);
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') {
			i++;
			length = 0;
		} else if (c == '\r' || c == '\n' || c == '\0' || ++length > LINE_BYTES_MAX) {
			return false;
		}
	}
	return true;
}

/* Lone line feeds as CRLF, so that quoting them keeps the lines. */
static void add_crlf_lines(struct buf *b, struct str s)
{
	while (s.n) {
		size_t n = str_find(s, '\n');
		bool broken = n < s.n;
		struct str line = str_head(s, n);

		if (broken && line.n && line.p[line.n - 1] == '\r')
			line.n--;
		buf_add(b, line);
		if (broken)
			buf_addz(b, "\r\n");
		s = str_from(s, n + 1);
	}
}

static void add_original_part(struct buf *b, const struct dsn *d, struct str head)
{
	bool eight_bit;

	if (d->whole && is_clean(d->original, &eight_bit)) {
		/* RFC 6532 3.7: a message with UTF-8 in its head is message/global. */
		buf_addf(b, "Content-Type: message/%s\r\n",
			utf8_is_ascii(head) ? "rfc822" : "global");
		if (eight_bit)
			buf_addz(b, "Content-Transfer-Encoding: 8bit\r\n");
		buf_addz(b, "\r\n");
		buf_add(b, d->original);
		return;
	}
	buf_addz(b, "Content-Type: text/rfc822-headers\r\n");
	if (is_clean(head, &eight_bit) && !eight_bit) {
		buf_addz(b, "\r\n");
		buf_add(b, head);
	} else { /* RFC 6522 4: what is not 7-bit may be quoted-printable */
		struct buf lines = BUF(head.n * 2);

		add_crlf_lines(&lines, head);
		buf_addz(b, "Content-Transfer-Encoding: quoted-printable\r\n\r\n");
		qp_encode(b, buf_str(&lines));
		buf_free(&lines);
	}
}

/* ---- the message -------------------------------------------------------------------------------
 */

/* For mail apps to show the notification beside the message. */
static void add_references(struct buf *b, struct str head)
{
	struct header_field f;
	struct str id;

	if (!header_find(head, STR("Message-ID"), &f))
		return;
	id = str_trim(f.value);
	if (id.n < 3 || id.n > 250 || id.p[0] != '<' || id.p[id.n - 1] != '>')
		return;
	for (size_t i = 0; i < id.n; i++)
		if (id.p[i] <= ' ' || id.p[i] > '~')
			return;
	buf_addf(b, "In-Reply-To: " STR_F "\r\nReferences: " STR_F "\r\n", STR_A(id), STR_A(id));
}

static void add_head(struct buf *b, const struct dsn *d, struct str head, struct str boundary)
{
	bool eight_bit;

	buf_addz(b, "From: Mail Delivery System <MAILER-DAEMON@");
	add_host(b, d->host);
	buf_addz(b, ">\r\nTo: ");
	address_print_path(b, &d->to);
	buf_addf(b, "\r\nSubject: %s\r\nDate: ", actions[dsn_worst(d)].subject);
	date_print(b, d->now);
	buf_addz(b, "\r\nMessage-ID: <");
	add_host(b, d->id);
	buf_addc(b, '@');
	add_host(b, d->host);
	buf_addz(b, ">\r\n");
	add_references(b, head);
	/* RFC 3834 3.1.7 */
	buf_addz(b, "Auto-Submitted: auto-replied\r\nMIME-Version: 1.0\r\n");
	buf_addf(b,
		"Content-Type: multipart/report; "
		"report-type=delivery-status;\r\n\tboundary=\"" STR_F "\"\r\n",
		STR_A(boundary));
	if (d->whole && is_clean(d->original, &eight_bit) && eight_bit)
		buf_addz(b, "Content-Transfer-Encoding: 8bit\r\n");
	buf_addz(b, "\r\n");
}

/* A boundary that does not occur in the message that is returned. */
static void make_boundary(struct buf *b, const struct dsn *d)
{
	for (unsigned i = 0; i < 100; i++) {
		buf_clear(b);
		buf_addf(b, "=_%u_", i);
		add_host(b, str_head(d->id, 40));
		if (str_search(d->original, buf_str(b)) == d->original.n)
			return;
	}
}

int dsn_compose(const struct dsn *d, struct buf *out, struct err *err)
{
	struct buf boundary = BUF(64);
	size_t head_n;
	struct str head;
	int r = -1;

	if (d->n == 0 || address_is_null(&d->to)) {
		err_set(err, ERR_PERM, "a notification needs recipients and somebody to tell");
		goto out;
	}
	head_find_end(d->original, &head_n);
	head = str_head(d->original, head_n < HEAD_MAX ? head_n : HEAD_MAX);
	make_boundary(&boundary, d);
	add_head(out, d, head, buf_str(&boundary));
	buf_addf(out, "--" STR_F "\r\n", STR_A(buf_str(&boundary)));
	add_text_part(out, d, head);
	buf_addf(out, "\r\n--" STR_F "\r\n", STR_A(buf_str(&boundary)));
	add_status_part(out, d);
	buf_addf(out, "\r\n--" STR_F "\r\n", STR_A(buf_str(&boundary)));
	add_original_part(out, d, head);
	buf_addf(out, "\r\n--" STR_F "--\r\n", STR_A(buf_str(&boundary)));
	if (!buf_ok(out) || !buf_ok(&boundary)) {
		err_set(err, ERR_LIMIT, "the notification is too long");
		goto out;
	}
	r = 0;
out:
	buf_free(&boundary);
	return r;
}
