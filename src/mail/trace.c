#include "mail/trace.h"

#include <string.h>

enum { NAME_MAX_BYTES = 255 };

struct str trace_protocol(bool lmtp, bool extended, bool utf8, bool tls, bool auth)
{
	static const struct str names[3][4] = {
		{ STR_INIT("ESMTP"), STR_INIT("ESMTPA"), STR_INIT("ESMTPS"), STR_INIT("ESMTPSA") },
		{ STR_INIT("UTF8SMTP"), STR_INIT("UTF8SMTPA"), STR_INIT("UTF8SMTPS"),
			STR_INIT("UTF8SMTPSA") },
		{ STR_INIT("LMTP"), STR_INIT("LMTPA"), STR_INIT("LMTPS"), STR_INIT("LMTPSA") },
	};
	static const struct str utf8_lmtp[4] = { STR_INIT("UTF8LMTP"), STR_INIT("UTF8LMTPA"),
		STR_INIT("UTF8LMTPS"), STR_INIT("UTF8LMTPSA") };
	unsigned secured = (tls ? 2u : 0u) | (auth ? 1u : 0u);

	if (lmtp)
		return utf8 ? utf8_lmtp[secured] : names[2][secured];
	if (!extended)
		return STR("SMTP");
	return names[utf8 ? 1 : 0][secured];
}

/* Letters, digits and what names, addresses and cipher suites need; nothing that could end a
 * comment or a field. */
static void add_name(struct buf *b, struct str s)
{
	s = str_head(s, NAME_MAX_BYTES);
	for (size_t i = 0; i < s.n; i++)
		buf_addc(
			b, is_alnum(s.p[i]) || (s.p[i] && strchr(".-_:[]", s.p[i])) ? s.p[i] : '?');
}

static void add_client(struct buf *b, const struct trace_hop *hop)
{
	add_name(b, hop->helo.n ? hop->helo : STR("unknown"));
	if (hop->client.n == 0)
		return;
	buf_addz(b, " (");
	if (hop->client_name.n) {
		add_name(b, hop->client_name);
		buf_addc(b, ' ');
	}
	/* RFC 5321 4.1.3: an IPv6 address says so. */
	buf_addz(b, str_find(hop->client, ':') < hop->client.n ? "[IPv6:" : "[");
	add_name(b, hop->client);
	buf_addz(b, "])");
}

void trace_received(struct buf *b, const struct trace_hop *hop)
{
	buf_addz(b, "Received: from ");
	add_client(b, hop);
	buf_addz(b, "\r\n\tby ");
	add_name(b, hop->by);
	buf_addz(b, " with ");
	buf_add(b, hop->protocol);
	if (hop->tls_version.n) {
		buf_addz(b, " (");
		add_name(b, hop->tls_version);
		buf_addc(b, ' ');
		add_name(b, hop->tls_cipher);
		buf_addc(b, ')');
	}
	if (hop->id.n) {
		buf_addz(b, "\r\n\tid ");
		add_name(b, hop->id);
	}
	if (hop->recipient) {
		buf_addz(b, "\r\n\tfor ");
		address_print_path(b, hop->recipient);
	}
	buf_addz(b, ";\r\n\t");
	date_print(b, hop->date);
	buf_addz(b, "\r\n");
}

/* ---- submitted heads --------------------------------------------------------------------------
 */

static bool is_dropped(const struct header_field *f)
{
	/* RFC 5322 3.6.3: nobody but the sender sees Bcc. RFC 5321 4.4: Return-Path is for the last
	 * hop. */
	return header_is(f, STR("Bcc")) || header_is(f, STR("Resent-Bcc")) ||
		header_is(f, STR("Return-Path"));
}

static int add_missing(
	const struct head_fix *fix, bool from, bool date, bool id, struct buf *out, struct err *err)
{
	if (!from) {
		if (fix->from.n == 0)
			return err_set(err, ERR_PERM, "the message has no From field");
		buf_addf(out, "From: " STR_F "\r\n", STR_A(fix->from));
	}
	if (!date) {
		buf_addz(out, "Date: ");
		date_print(out, fix->now);
		buf_addz(out, "\r\n");
	}
	if (!id) {
		buf_addz(out, "Message-ID: <");
		add_name(out, fix->id);
		buf_addc(out, '@');
		add_name(out, fix->host);
		buf_addz(out, ">\r\n");
	}
	return 0;
}

/* A field without its line ending is given one. */
static void add_lines(struct buf *out, struct str raw)
{
	buf_add(out, raw);
	if (!raw.n || raw.p[raw.n - 1] != '\n')
		buf_addz(out, "\r\n");
}

int head_fix_submission(
	struct str head, const struct head_fix *fix, struct buf *out, struct err *err)
{
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;
	bool from = false, date = false, id = false;
	struct str body = STR("");

	while (header_next(&it, &f)) {
		if (f.name.n == 0) {
			if (f.offset == 0 && str_starts(f.raw, STR("From ")))
				continue;
			body = str_from(head, f.offset);
			break;
		}
		from |= header_is(&f, STR("From"));
		date |= header_is(&f, STR("Date"));
		id |= header_is(&f, STR("Message-ID"));
		if (!is_dropped(&f))
			add_lines(out, f.raw);
	}
	if (it.over)
		return err_set(
			err, ERR_LIMIT, "the head of the message has too many fields or bytes");
	if (add_missing(fix, from, date, id, out, err) < 0)
		return -1;
	buf_addz(out, "\r\n");
	buf_add(out, body);
	if (!buf_ok(out))
		return err_set(err, ERR_LIMIT, "the head of the message is too long");
	return 0;
}

void head_filter(struct str head, bool (*drop)(void *arg, const struct header_field *f), void *arg,
	struct buf *out)
{
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;

	while (header_next(&it, &f))
		if (!drop(arg, &f))
			buf_add(out, f.raw);
	buf_add(out, str_from(head, it.at)); /* the empty line, and whatever was past the limits */
}

/* ---- whom a head is from
 * ------------------------------------------------------------------------- */

static int add_sender(const struct address_item *item, struct arena *arena, struct head_senders *s,
	struct err *err)
{
	struct address *a = &s->address[s->n];
	struct address_store store;

	if (item->kind == ADDRESS_ITEM_BROKEN)
		return err_set(err, ERR_PERM, "an address that the message is from cannot be read");
	if (s->n == HEAD_SENDERS_MAX)
		return err_set(err, ERR_PERM, "the message is from more than %d addresses",
			HEAD_SENDERS_MAX);
	if (address_make(item->local, item->domain, ADDRESS_UTF8, &store, a, err) < 0)
		return -1;
	if (!arena_str(arena, a->local, &a->local) || !arena_str(arena, a->domain, &a->domain))
		return err_set(err, ERR_TEMP, "out of memory for the senders of a message");
	s->n++;
	return 0;
}

static int add_senders(struct str value, struct arena *arena, struct head_senders *s,
	size_t *mailboxes, struct err *err)
{
	struct address_list l;
	struct address_item item;
	int r = 0;

	*mailboxes = 0;
	address_list_init(&l, value);
	while (r == 0 && address_list_next(&l, &item)) {
		if (item.kind == ADDRESS_ITEM_GROUP || item.kind == ADDRESS_ITEM_GROUP_END)
			continue; /* RFC 6854: their members count */
		r = add_sender(&item, arena, s, err);
		++*mailboxes;
	}
	address_list_free(&l);
	if (r == 0 && *mailboxes == 0)
		r = err_set(
			err, ERR_PERM, "a field that says whom the message is from names nobody");
	return r;
}

int head_senders(struct str head, struct arena *arena, struct head_senders *s, struct err *err)
{
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;
	size_t from = 0, sender = 0, authors = 0, n;

	s->n = 0;
	while (header_next(&it, &f)) {
		bool is_from = header_is(&f, STR("From")), is_sender = header_is(&f, STR("Sender"));

		if (!is_from && !is_sender && !header_is(&f, STR("Resent-From")) &&
			!header_is(&f, STR("Resent-Sender")))
			continue;
		if (add_senders(f.value, arena, s, &n, err) < 0)
			return -1;
		if (is_sender && n > 1)
			return err_set(err, ERR_PERM, "the Sender field names several addresses");
		from += is_from;
		sender += is_sender;
		authors += is_from ? n : 0;
	}
	if (it.over)
		return err_set(
			err, ERR_PERM, "the head of the message has too many fields or bytes");
	if (from != 1 || sender > 1)
		return err_set(err, ERR_PERM,
			"the message must have one From field and at most one Sender");
	if (authors > 1 && sender == 0)
		return err_set(
			err, ERR_PERM, "a message from several authors must name its Sender");
	return 0;
}
