/* write.c - the small pieces that responses are made of. */
#include "imap/imap_private.h"
#include "mail/utf7.h"

#include <inttypes.h>
#include <string.h>

static const struct {
	struct str name;
	unsigned flag;
} flag_names[] = {
	{ STR_INIT("\\Seen"), IMAP_SEEN },
	{ STR_INIT("\\Answered"), IMAP_ANSWERED },
	{ STR_INIT("\\Flagged"), IMAP_FLAGGED },
	{ STR_INIT("\\Deleted"), IMAP_DELETED },
	{ STR_INIT("\\Draft"), IMAP_DRAFT },
};

void imap_out_flush(struct imap_out *o)
{
	conn_write(o->c, str_make(o->p, o->n));
	o->n = 0;
}

void imap_out_add(struct imap_out *o, struct str s)
{
	if (s.n > sizeof o->p - o->n)
		imap_out_flush(o);
	if (s.n > sizeof o->p) {
		conn_write(o->c, s);
		return;
	}
	if (s.n > 0)
		memcpy(o->p + o->n, s.p, s.n);
	o->n += s.n;
}

void imap_out_number(struct imap_out *o, uint64_t n)
{
	char digits[20];
	size_t at = sizeof digits;

	do {
		digits[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	imap_out_add(o, str_make(digits + at, sizeof digits - at));
}

void imap_out_flags(struct imap_out *o, const struct imap_session *s, const struct imap_entry *e)
{
	struct str space = STR("");

	imap_out_add(o, STR("FLAGS ("));
	for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++) {
		if (!(e->flags & flag_names[i].flag))
			continue;
		imap_out_add(o, space);
		imap_out_add(o, flag_names[i].name);
		space = STR(" ");
	}
	if (e->uid >= s->recent_from) {
		imap_out_add(o, space);
		imap_out_add(o, STR("\\Recent"));
		space = STR(" ");
	}
	if (e->keywords.n > 0) {
		imap_out_add(o, space);
		imap_out_add(o, e->keywords);
	}
	imap_out_add(o, STR(")"));
}

void imap_write_change(struct imap_session *s, uint32_t seq, const struct imap_entry *e)
{
	struct imap_out o = IMAP_OUT(s->c);

	imap_out_add(&o, STR("* "));
	imap_out_number(&o, seq);
	imap_out_add(&o, STR(" FETCH ("));
	if (s->by_uid) { /* RFC 3501 6.4.8 */
		imap_out_add(&o, STR("UID "));
		imap_out_number(&o, e->uid);
		imap_out_add(&o, STR(" "));
	}
	imap_out_flags(&o, s, e);
	imap_out_add(&o, STR(")\r\n"));
	imap_out_flush(&o);
}

/* RFC 3501 9: what a quoted string can hold, within reason. */
static bool is_quotable(struct str s)
{
	if (s.n > 1000)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c == '"' || c == '\\' || c < 0x20 || c >= 0x7f)
			return false;
	}
	return true;
}

void imap_write_string(struct conn *c, struct str s)
{
	if (is_quotable(s)) {
		conn_write(c, STR("\""));
		conn_write(c, s);
		conn_write(c, STR("\""));
		return;
	}
	conn_writef(c, "{%zu}\r\n", s.n);
	conn_write(c, s);
}

void imap_write_mailbox(struct conn *c, struct str name)
{
	struct buf wire = BUF(4 * IMAP_NAME_MAX);

	utf7_encode(name, &wire);
	imap_write_string(c, buf_str(&wire));
	buf_free(&wire);
}

void imap_write_ranges(struct conn *c, const struct imap_ranges *r)
{
	for (size_t i = 0; i < r->n; i++) {
		conn_writef(c, "%s%" PRIu32, i ? "," : "", r->v[i].first);
		if (r->v[i].last != r->v[i].first)
			conn_writef(c, ":%" PRIu32, r->v[i].last);
	}
}
