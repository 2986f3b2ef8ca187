/* write.c - the small pieces that responses are made of. */
#include "imap/imap_private.h"
#include "imap/utf7.h"

#include <inttypes.h>

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

void imap_write_flags(struct imap_session *s, uint32_t uid, unsigned flags, struct str keywords)
{
	bool some = false;

	conn_write(s->c, STR("FLAGS ("));
	for (size_t i = 0; i < sizeof flag_names / sizeof *flag_names; i++) {
		if (!(flags & flag_names[i].flag))
			continue;
		if (some)
			conn_write(s->c, STR(" "));
		conn_write(s->c, flag_names[i].name);
		some = true;
	}
	if (uid >= s->recent_from) {
		conn_write(s->c, some ? STR(" \\Recent") : STR("\\Recent"));
		some = true;
	}
	if (keywords.n > 0 && some)
		conn_write(s->c, STR(" "));
	conn_write(s->c, keywords);
	conn_write(s->c, STR(")"));
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

	imap_utf7_encode(name, &wire);
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
