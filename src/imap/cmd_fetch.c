/* cmd_fetch.c - FETCH (RFC 3501 6.4.5 and 7.4.2). */
#include "imap/fetch_private.h"
#include "mail/date.h"
#include "mail/header.h"

#include <inttypes.h>

struct fetch {
	struct imap_session *s;
	const struct imap_fetch *want;
	struct imap_ranges seen; /* shown now, not marked before */
	bool failed;             /* a message could not be read, and why */
	struct err why;
	struct str space; /* before the next item */
	int64_t day;      /* the start of one, and its text; empty: none yet */
	char day_text[16];
};

/* Two digits. */
static void out_digits(struct imap_out *o, int64_t n)
{
	char p[2] = { (char)('0' + n / 10), (char)('0' + n % 10) };

	imap_out_add(o, str_make(p, 2));
}

/* RFC 3501 9, date-time, in UTC. Neighbours often share their day, so its text is kept. */
static void out_date(struct fetch *f, struct imap_out *o, int64_t when)
{
	int64_t second = when % 86400 + (when % 86400 < 0 ? 86400 : 0);
	int64_t day = when - second;
	struct buf b = BUF(64);

	if (f->day_text[0] == '\0' || f->day != day) {
		date_imap_print(&b, (struct date){ .unix = day });
		str_z(str_head(buf_str(&b), 11), f->day_text, sizeof f->day_text);
		buf_free(&b);
		f->day = day;
	}
	imap_out_add(o, STR("\""));
	imap_out_add(o, str_c(f->day_text));
	imap_out_add(o, STR(" "));
	out_digits(o, second / 3600);
	imap_out_add(o, STR(":"));
	out_digits(o, second / 60 % 60);
	imap_out_add(o, STR(":"));
	out_digits(o, second % 60);
	imap_out_add(o, STR(" +0000\""));
}

static void out_name(struct fetch *f, struct imap_out *o, struct str name)
{
	imap_out_add(o, f->space);
	imap_out_add(o, name);
	f->space = STR(" ");
}

static void out_plain_items(struct fetch *f, struct imap_out *o, const struct imap_entry *e)
{
	unsigned items = f->want->items;

	if (items & IMAP_ITEM_UID) {
		out_name(f, o, STR("UID "));
		imap_out_number(o, e->uid);
	}
	if (items & IMAP_ITEM_FLAGS) {
		out_name(f, o, STR(""));
		imap_out_flags(o, f->s, e);
	}
	if (items & IMAP_ITEM_INTERNALDATE) {
		out_name(f, o, STR("INTERNALDATE "));
		out_date(f, o, e->received);
	}
	if (items & IMAP_ITEM_SIZE) {
		out_name(f, o, STR("RFC822.SIZE "));
		imap_out_number(o, e->size);
	}
}

/* "* 3 FETCH (" and what the entry itself has. */
static void write_begin(struct fetch *f, const struct imap_entry *e, uint32_t seq, struct str end)
{
	struct imap_out o = IMAP_OUT(f->s->c);

	imap_out_add(&o, STR("* "));
	imap_out_number(&o, seq);
	imap_out_add(&o, STR(" FETCH ("));
	f->space = STR("");
	out_plain_items(f, &o, e);
	imap_out_add(&o, end);
	imap_out_flush(&o);
}

static void item(struct fetch *f, const char *name)
{
	conn_writef(f->s->c, STR_F "%s ", STR_A(f->space), name);
	f->space = STR(" ");
}

static void write_facts_items(struct fetch *f, const struct imap_message *m)
{
	unsigned items = f->want->items;

	if (items & IMAP_ITEM_ENVELOPE) {
		item(f, "ENVELOPE");
		imap_write_envelope(f->s->c, &m->envelope);
	}
	if (items & IMAP_ITEM_BODY) {
		item(f, "BODY");
		imap_write_structure(f->s->c, &m->tree, false);
	}
	if (items & IMAP_ITEM_BODYSTRUCTURE) {
		item(f, "BODYSTRUCTURE");
		imap_write_structure(f->s->c, &m->tree, true);
	}
}

static void section_name(struct fetch *f, const struct imap_section *x)
{
	conn_writef(f->s->c, STR_F STR_F, STR_A(f->space), STR_A(x->label));
	if (x->partial)
		conn_writef(f->s->c, "<%" PRIu64 ">", x->offset);
	conn_write(f->s->c, STR(" "));
	f->space = STR(" ");
}

static void clip(const struct imap_section *x, uint64_t *offset, uint64_t *size)
{
	if (!x->partial)
		return;
	if (x->offset >= *size) {
		*size = 0;
		return;
	}
	*offset += x->offset;
	*size -= x->offset;
	*size = *size < x->length ? *size : x->length;
}

/* Bytes of the message straight to the client. The first piece is had before the size is promised;
 * if a later one fails, only the end of the connection can say so. */
static int write_range(struct fetch *f, struct imap_message *m, const struct imap_section *x,
	uint64_t offset, uint64_t size, struct err *err)
{
	const struct imap_policy *policy = f->s->policy;
	struct str piece = { "", 0 };

	if (size > 0 && policy->body(policy->arg, m->e->uid, offset, size, &piece, &f->why) < 0) {
		f->failed = true;
		return 0;
	}
	section_name(f, x);
	conn_writef(f->s->c, "{%" PRIu64 "}\r\n", size);
	for (;;) {
		conn_deadline(f->s->c, clock_after(f->s->config->idle));
		conn_write(f->s->c, str_head(piece, (size_t)size));
		offset += piece.n;
		size -= piece.n < size ? piece.n : size;
		if (size == 0)
			return 0;
		if (policy->body(policy->arg, m->e->uid, offset, size, &piece, err) < 0)
			return -1;
		if (piece.n == 0)
			return err_set(err, ERR_CLOSED, "a message is shorter than its size");
	}
}

static bool is_wanted(const struct imap_section *x, const struct header_field *h)
{
	bool named = false;

	for (size_t i = 0; i < x->field_count; i++)
		named = named || header_is(h, x->fields[i]);
	return named == (x->kind == IMAP_SECTION_FIELDS);
}

/* RFC 3501 6.4.5: the fields as they are, and the empty line. */
static int write_fields(struct fetch *f, struct imap_message *m, const struct imap_section *x,
	uint64_t offset, uint64_t size)
{
	struct buf head = BUF(HEAD_MAX), out = BUF(HEAD_MAX + 2);
	struct header_field h;
	struct str text;

	size = size < HEAD_MAX ? size : HEAD_MAX;
	if (imap_message_read(m, offset, size, &head, &f->why) < 0) {
		f->failed = true;
		goto out;
	}
	for (struct header_iter it = HEADER_ITER(buf_str(&head)); header_next(&it, &h);)
		if (h.name.n > 0 && is_wanted(x, &h))
			buf_add(&out, h.raw);
	buf_add(&out, STR("\r\n"));
	offset = 0;
	size = out.n;
	clip(x, &offset, &size);
	text = str_head(str_from(buf_str(&out), (size_t)offset), (size_t)size);
	section_name(f, x);
	conn_writef(f->s->c, "{%zu}\r\n", text.n);
	conn_write(f->s->c, text);
out:
	buf_free(&head);
	buf_free(&out);
	return 0;
}

static int write_section(
	struct fetch *f, struct imap_message *m, const struct imap_section *x, struct err *err)
{
	uint64_t offset = 0, size = 0;
	bool found;

	if (imap_message_find(m, x, &found, &offset, &size, &f->why) < 0) {
		f->failed = true;
		return 0;
	}
	if (!found) {
		section_name(f, x);
		conn_write(f->s->c, STR("NIL"));
		return 0;
	}
	if (x->kind == IMAP_SECTION_FIELDS || x->kind == IMAP_SECTION_FIELDS_NOT)
		return write_fields(f, m, x, offset, size);
	clip(x, &offset, &size);
	return write_range(f, m, x, offset, size, err);
}

/* Have at hand what is written in one go. */
static int prepare(struct fetch *f, struct imap_message *m)
{
	unsigned items = f->want->items;

	if ((items & IMAP_ITEM_ENVELOPE) && imap_message_envelope(m, &f->why) < 0)
		return -1;
	if ((items & (IMAP_ITEM_BODY | IMAP_ITEM_BODYSTRUCTURE)) &&
		imap_message_tree(m, &f->why) < 0)
		return -1;
	return 0;
}

/* A message that cannot be read is left out; the end of the command says so. */
static int fetch_one(struct fetch *f, const struct imap_entry *e, uint32_t seq, struct err *err)
{
	struct imap_message m;
	int r = 0;

	imap_message_init(&m, f->s, e);
	if (prepare(f, &m) < 0) {
		f->failed = true;
		goto out;
	}
	write_begin(f, e, seq, STR(""));
	write_facts_items(f, &m);
	for (const struct imap_section *x = f->want->sections; x && r == 0; x = x->next)
		r = write_section(f, &m, x, err);
	conn_write(f->s->c, STR(")\r\n"));
	if (f->want->marks_seen && !(e->flags & IMAP_SEEN) && !f->s->read_only)
		imap_ranges_add(&f->seen, e->uid, e->uid);
out:
	imap_message_free(&m);
	return r;
}

static bool needs_facts(const struct imap_fetch *want)
{
	if (want->items & IMAP_ITEMS_OF_FACTS)
		return true;
	for (const struct imap_section *x = want->sections; x; x = x->next)
		if (x->depth > 0 || x->kind != IMAP_SECTION_ALL)
			return true;
	return false;
}

static int fetch_all(struct fetch *f, const struct imap_ranges *uids, struct err *err)
{
	struct imap_session *s = f->s;
	struct imap_query q = {
		.ranges = uids->v, .n = uids->n, .ghosts = true, .facts = needs_facts(f->want)
	};
	struct imap_rows *rows = NULL;
	bool simple = !(f->want->items & IMAP_ITEMS_OF_FACTS) && !f->want->sections;
	struct imap_entry e;
	size_t at = 0;
	int r;

	if (uids->n == 0)
		return 0;
	r = s->policy->rows(s->policy->arg, &q, &rows, &f->why);
	while (r >= 0 && (r = s->policy->next(rows, &e, &f->why)) == 1) {
		uint32_t seq = imap_view_seq_from(&s->view, e.uid, &at);

		if (seq > 0 && simple)
			write_begin(f, &e, seq, STR(")\r\n"));
		else if (seq > 0 && fetch_one(f, &e, seq, err) < 0)
			break;
	}
	s->policy->end(&rows);
	f->failed = f->failed || r < 0;
	return r == 1 ? -1 : 0;
}

/* RFC 3501 6.4.5: what was shown is seen; the client is told with a FETCH of its own. */
static void mark_seen(struct fetch *f)
{
	static const struct imap_flags seen = { .system = IMAP_SEEN };
	struct err ignored = ERR_INIT;

	if (f->seen.n > 0)
		imap_change_flags(f->s, &f->seen, IMAP_STORE_ADD, &seen, false, &ignored);
	imap_ranges_free(&f->seen);
}

int imap_do_fetch(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct imap_ranges uids = { .v = NULL };
	struct imap_fetch want;
	struct fetch f = { .s = s, .want = &want };
	struct imap_set set;
	int r;

	if (!imap_in_space(in) || !imap_in_set(in, &set) || !imap_in_fetch(in, &want) ||
		!imap_in_end(in))
		return imap_bad(s, in);
	if (!imap_view_resolve(&s->view, &set, s->by_uid, &uids, &in->why))
		return imap_bad(s, in);
	if (s->by_uid)
		want.items |= IMAP_ITEM_UID; /* RFC 3501 6.4.8 */
	r = fetch_all(&f, &uids, err);
	imap_ranges_free(&uids);
	mark_seen(&f);
	if (r < 0)
		return -1;
	return f.failed ? imap_fault(s, &f.why, err) : imap_ok(s, "", "that is all", err);
}
