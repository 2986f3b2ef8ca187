/* structure.c - ENVELOPE, BODY and BODYSTRUCTURE (RFC 3501 7.4.2). */
#include "imap/fetch_private.h"
#include "mail/address.h"

#include <inttypes.h>

static void nstring(struct conn *c, struct str s)
{
	if (s.n == 0)
		conn_write(c, STR("NIL"));
	else
		imap_write_string(c, s);
}

/* NIL as a host says "group", so what has no host gets an empty one. */
static void write_address(struct conn *c, const struct address_item *a)
{
	switch (a->kind) {
	case ADDRESS_ITEM_GROUP:
		conn_write(c, STR("(NIL NIL "));
		imap_write_string(c, a->name);
		conn_write(c, STR(" NIL)"));
		return;
	case ADDRESS_ITEM_GROUP_END:
		conn_write(c, STR("(NIL NIL NIL NIL)"));
		return;
	case ADDRESS_ITEM_MAILBOX:
	case ADDRESS_ITEM_BROKEN:
		break;
	}
	conn_write(c, STR("("));
	nstring(c, a->name);
	conn_write(c, STR(" NIL "));
	imap_write_string(c, a->local);
	conn_write(c, STR(" "));
	imap_write_string(c, a->domain);
	conn_write(c, STR(")"));
}

static void write_addresses(struct conn *c, struct str value)
{
	struct address_list l;
	struct address_item a;
	bool any = false;

	address_list_init(&l, value);
	while (address_list_next(&l, &a)) {
		conn_write(c, any ? STR("") : STR("("));
		write_address(c, &a);
		any = true;
	}
	conn_write(c, any ? STR(")") : STR("NIL"));
	address_list_free(&l);
}

void imap_write_envelope(struct conn *c, const struct mime_envelope *e)
{
	/* RFC 3501 7.4.2: Sender and Reply-To are From where they are missing. */
	const struct str lists[] = { e->from, e->sender.n ? e->sender : e->from,
		e->reply_to.n ? e->reply_to : e->from, e->to, e->cc, e->bcc };

	conn_write(c, STR("("));
	nstring(c, e->date);
	conn_write(c, STR(" "));
	nstring(c, e->subject);
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		conn_write(c, STR(" "));
		write_addresses(c, lists[i]);
	}
	conn_write(c, STR(" "));
	nstring(c, e->in_reply_to);
	conn_write(c, STR(" "));
	nstring(c, e->message_id);
	conn_write(c, STR(")"));
}

static void write_params(struct conn *c, struct str params)
{
	struct str name, value;
	bool any = false;

	while (mime_param_next(&params, &name, &value)) {
		conn_write(c, any ? STR(" ") : STR("("));
		imap_write_string(c, name);
		conn_write(c, STR(" "));
		imap_write_string(c, value);
		any = true;
	}
	conn_write(c, any ? STR(")") : STR("NIL"));
}

/* Language tags separated by commas. */
static void write_languages(struct conn *c, struct str value)
{
	bool any = false;

	while (value.n > 0) {
		struct str one = str_trim(str_word(&value, ','));

		if (one.n == 0)
			continue;
		conn_write(c, any ? STR(" ") : STR("("));
		imap_write_string(c, one);
		any = true;
	}
	conn_write(c, any ? STR(")") : STR("NIL"));
}

/* The end of every kind of part: disposition, language, location. */
static void write_extension(struct conn *c, const struct mime_info *info)
{
	if (info->disposition.n == 0) {
		conn_write(c, STR(" NIL "));
	} else {
		conn_write(c, STR(" ("));
		imap_write_string(c, info->disposition);
		conn_write(c, STR(" "));
		write_params(c, info->disposition_params);
		conn_write(c, STR(") "));
	}
	write_languages(c, info->language);
	conn_write(c, STR(" "));
	nstring(c, info->location);
}

/* Type to size, which all parts but multiparts begin with. */
static void write_basic(
	struct conn *c, const struct mime_part *p, const struct mime_info *info, bool opaque)
{
	conn_write(c, STR("("));
	imap_write_string(c, opaque ? STR("application") : info->type);
	conn_write(c, STR(" "));
	imap_write_string(c, opaque ? STR("octet-stream") : info->subtype);
	conn_write(c, STR(" "));
	write_params(c, info->params);
	conn_write(c, STR(" "));
	nstring(c, info->id);
	conn_write(c, STR(" "));
	nstring(c, info->description);
	conn_write(c, STR(" "));
	imap_write_string(c, info->encoding);
	conn_writef(c, " %" PRIu64, p->body_size);
}

struct writer {
	struct conn *c;
	const struct mime_tree *t;
	bool extended;
};

static void close_single(struct writer *w, const struct mime_info *info)
{
	if (w->extended) {
		conn_write(w->c, STR(" "));
		nstring(w->c, info->md5);
		write_extension(w->c, info);
	}
	conn_write(w->c, STR(")"));
}

static void write_leaf(struct writer *w, const struct mime_part *p)
{
	struct mime_info info;
	bool opaque;

	mime_info_read(p, &info);
	opaque = str_eqi(info.type, STR("multipart")) ||
		mime_is_type(&info, STR("message"), STR("rfc822"));
	write_basic(w->c, p, &info, opaque);
	if (mime_is_type(&info, STR("text"), STR("")))
		conn_writef(w->c, " %" PRIu64, p->lines);
	close_single(w, &info);
}

/* What a part begins with when there are parts in it. False: it is written whole. */
static bool open_part(struct writer *w, const struct mime_part *p)
{
	struct mime_envelope e;
	struct mime_info info;

	if (p->kind == MIME_MULTIPART) {
		conn_write(w->c, STR("("));
		/* RFC 3501 9 (body-type-mpart) wants a part, also where there is none. */
		if (p->next == (uint32_t)(p - w->t->part) + 1)
			conn_write(w->c, STR("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)"));
		return true;
	}
	mime_info_read(p, &info);
	if (p->kind != MIME_MESSAGE || !mime_is_type(&info, STR("message"), STR("rfc822")))
		return false;
	write_basic(w->c, p, &info, false);
	conn_write(w->c, STR(" "));
	mime_envelope_read(p[1].envelope, &e);
	imap_write_envelope(w->c, &e);
	conn_write(w->c, STR(" "));
	return true;
}

static void close_part(struct writer *w, const struct mime_part *p)
{
	struct mime_info info;

	mime_info_read(p, &info);
	if (p->kind == MIME_MESSAGE) {
		conn_writef(w->c, " %" PRIu64, p->lines);
		close_single(w, &info);
		return;
	}
	conn_write(w->c, STR(" "));
	imap_write_string(w->c, info.subtype);
	if (w->extended) {
		conn_write(w->c, STR(" "));
		write_params(w->c, info.params);
		write_extension(w->c, &info);
	}
	conn_write(w->c, STR(")"));
}

/* Parts stand in the order in which they begin, so one walk opens them; whoever ends before the
 * next one begins is closed, from the inside out. */
void imap_write_structure(struct conn *c, const struct mime_tree *t, bool extended)
{
	struct writer w = { .c = c, .t = t, .extended = extended };
	uint32_t open = MIME_NONE;
	uint32_t i = 0;

	while (i < t->n) {
		const struct mime_part *p = &t->part[i];

		if (open_part(&w, p)) {
			open = i++;
		} else {
			write_leaf(&w, p);
			i = p->next; /* a message/global is one piece to RFC 3501 */
		}
		while (open != MIME_NONE && t->part[open].next <= i) {
			close_part(&w, &t->part[open]);
			open = t->part[open].parent;
		}
	}
}
