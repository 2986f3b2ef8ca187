#include "mail/mime.h"
#include "base/hash.h"
#include "mail/header.h"
#include "mail/mime_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	HEAD_LINE_MAX = 65536, /* bytes of a line in a head that are kept */
	BODY_LINE_MAX = 2 + MIME_BOUNDARY_MAX + 2 + 52, /* a longer line is no boundary */
	REFERENCES_MAX = 16384,
	HINTS = 1024,
	PART_TEXT_MAX = 8192, /* room that must be left for a part to be looked into */
};

enum field_id {
	FIELD_OTHER,
	/* as the info tags */
	FIELD_TYPE,
	FIELD_ID,
	FIELD_DESCRIPTION,
	FIELD_ENCODING,
	FIELD_DISPOSITION,
	FIELD_LANGUAGE,
	FIELD_LOCATION,
	FIELD_MD5,
	FIELD_REFERENCES,
	FIELD_ENVELOPE, /* and the envelope tags after it */
	FIELD_IDS = FIELD_ENVELOPE + ENVELOPE_TAGS
};

/* An open part and the ones it lies in. */
struct open_part {
	uint32_t part;
	uint32_t children;
	uint64_t lf;                 /* line endings before its body */
	size_t boundary, boundary_n; /* in `boundaries`; n is 0 when none is awaited */
	uint64_t hash;
	bool digest;
};

struct span {
	size_t info, envelope; /* where in `text` */
};

struct mime_parser {
	struct mime_limits limits;
	struct mime_hooks hooks;
	struct mime_part *part;
	struct span *span;
	uint32_t n, cap;
	struct buf text, boundaries;

	struct open_part open[MIME_DEPTH_MAX + 1];
	unsigned depth;            /* of the innermost open part */
	unsigned awaited;          /* open parts that await a boundary */
	unsigned char hint[HINTS]; /* how many of them, by the low bits of their hash */

	/* the line that is coming in */
	struct buf line;
	bool mid_line;   /* its start was given out already */
	char before;     /* the last byte of it that has passed by */
	uint64_t offset; /* of the next byte */
	uint64_t line_start;
	uint64_t lf;        /* line endings so far */
	uint64_t line_lf;   /* and before this line */
	size_t last_ending; /* length of the one before this line */

	/* the head that is being read */
	bool in_head;
	enum field_id field;
	uint64_t seen; /* fields of this head, a bit per field_id */
	unsigned fields;
	struct buf value, info, envelope, references, boundary;
	bool multipart, message, digest;

	bool failed, cut, lossy, ambiguous;
};

static struct mime_part *top(struct mime_parser *p)
{
	return &p->part[p->open[p->depth].part];
}

/* ---- fields -------------------------------------------------------------------------------- */

static const struct {
	struct str name;
	enum field_id id;
} field_names[] = {
	{ STR_INIT("content-type"), FIELD_TYPE },
	{ STR_INIT("content-id"), FIELD_ID },
	{ STR_INIT("content-description"), FIELD_DESCRIPTION },
	{ STR_INIT("content-transfer-encoding"), FIELD_ENCODING },
	{ STR_INIT("content-disposition"), FIELD_DISPOSITION },
	{ STR_INIT("content-language"), FIELD_LANGUAGE },
	{ STR_INIT("content-location"), FIELD_LOCATION },
	{ STR_INIT("content-md5"), FIELD_MD5 },
	{ STR_INIT("references"), FIELD_REFERENCES },
	{ STR_INIT("date"), FIELD_ENVELOPE + ENVELOPE_DATE },
	{ STR_INIT("subject"), FIELD_ENVELOPE + ENVELOPE_SUBJECT },
	{ STR_INIT("from"), FIELD_ENVELOPE + ENVELOPE_FROM },
	{ STR_INIT("sender"), FIELD_ENVELOPE + ENVELOPE_SENDER },
	{ STR_INIT("reply-to"), FIELD_ENVELOPE + ENVELOPE_REPLY_TO },
	{ STR_INIT("to"), FIELD_ENVELOPE + ENVELOPE_TO },
	{ STR_INIT("cc"), FIELD_ENVELOPE + ENVELOPE_CC },
	{ STR_INIT("bcc"), FIELD_ENVELOPE + ENVELOPE_BCC },
	{ STR_INIT("in-reply-to"), FIELD_ENVELOPE + ENVELOPE_IN_REPLY_TO },
	{ STR_INIT("message-id"), FIELD_ENVELOPE + ENVELOPE_MESSAGE_ID },
};

/* Does the innermost open part begin a message (and so has an envelope)? */
static bool is_message_head(struct mime_parser *p)
{
	const struct mime_part *part = top(p);

	return part->parent == MIME_NONE || p->part[part->parent].kind == MIME_MESSAGE;
}

static enum field_id find_field(struct mime_parser *p, struct str name)
{
	for (size_t i = 0; i < sizeof field_names / sizeof field_names[0]; i++) {
		enum field_id id = field_names[i].id;

		if (name.n != field_names[i].name.n || !str_eqi(name, field_names[i].name))
			continue;
		if (id == FIELD_REFERENCES)
			return p->depth == 0 ? id : FIELD_OTHER;
		return id < FIELD_ENVELOPE || is_message_head(p) ? id : FIELD_OTHER;
	}
	return FIELD_OTHER;
}

/* RFC 2045 5.1, and RFC 2046 5.1.1 for the boundary. */
static void take_type(struct mime_parser *p, struct str value)
{
	struct buf params = BUF(p->limits.field * 3);
	struct str type, subtype, boundary;

	if (value_take_type(&value, &type, &subtype)) {
		value_code_params(value, &params, &p->ambiguous);
		code_tagged(&p->info, INFO_TYPE, type);
		code_tagged(&p->info, INFO_SUBTYPE, subtype);
		code_tagged(&p->info, INFO_PARAMS, buf_str(&params));
		p->multipart = str_eqi(type, STR("multipart"));
		p->digest = p->multipart && str_eqi(subtype, STR("digest"));
		p->message = str_eqi(type, STR("message")) &&
			(str_eqi(subtype, STR("rfc822")) || str_eqi(subtype, STR("global")));
		if (p->multipart && mime_param_find(buf_str(&params), STR("boundary"), &boundary)) {
			while (boundary.n && is_wsp(boundary.p[boundary.n - 1]))
				boundary.n--;
			if (boundary.n <= MIME_BOUNDARY_MAX)
				buf_add(&p->boundary, boundary);
		}
	} else {
		/* RFC 2045 5.2: what cannot be read is text/plain. */
		p->ambiguous = true;
		p->message = false;
	}
	buf_free(&params);
}

static void take_disposition(struct mime_parser *p, struct str value)
{
	struct buf params = BUF(p->limits.field * 3);
	struct str token = value_take_token(&value);
	bool odd = false;

	if (token.n) {
		value_code_params(value, &params, &odd);
		code_tagged(&p->info, INFO_DISPOSITION, token);
		code_tagged(&p->info, INFO_DISPOSITION_PARAMS, buf_str(&params));
	}
	buf_free(&params);
}

/* A value on one line is complete. */
static void take_field(struct mime_parser *p)
{
	static const unsigned char tags[] = { [FIELD_ID] = INFO_ID,
		[FIELD_DESCRIPTION] = INFO_DESCRIPTION,
		[FIELD_LANGUAGE] = INFO_LANGUAGE,
		[FIELD_LOCATION] = INFO_LOCATION,
		[FIELD_MD5] = INFO_MD5 };
	struct str value = str_trim(buf_str(&p->value));
	enum field_id id = p->field;

	p->field = FIELD_OTHER;
	if (id == FIELD_OTHER)
		return;
	if (p->seen & UINT64_C(1) << id) {
		p->ambiguous |= id == FIELD_TYPE || id == FIELD_ENCODING ||
			id == FIELD_DISPOSITION || id >= FIELD_ENVELOPE;
		return;
	}
	p->seen |= UINT64_C(1) << id;
	if (!buf_ok(&p->value)) {
		p->lossy = true;
		p->message &= id != FIELD_TYPE;
	} else if (id == FIELD_TYPE)
		take_type(p, value);
	else if (id == FIELD_DISPOSITION)
		take_disposition(p, value);
	else if (id == FIELD_ENCODING)
		code_tagged(&p->info, INFO_ENCODING, value_take_token(&value));
	else if (id == FIELD_REFERENCES)
		buf_add(&p->references,
			str_from(value, value.n > REFERENCES_MAX ? value.n - REFERENCES_MAX : 0));
	else if (id > FIELD_ENVELOPE)
		code_tagged(&p->envelope, id - FIELD_ENVELOPE, value);
	else
		code_tagged(&p->info, tags[id], value);
}

/* Append what the line adds to the value; CR and NUL are dropped (no LF is in a line). */
static void add_value(struct mime_parser *p, struct str s)
{
	while (s.n) {
		size_t n = 0;

		while (n < s.n && s.p[n] != '\r' && s.p[n] != '\0')
			n++;
		buf_add(&p->value, str_head(s, n));
		s = str_from(s, n + 1);
	}
}

static void head_line(struct mime_parser *p, struct str line)
{
	struct str name, value;

	if (is_wsp(line.p[0])) {
		if (p->field != FIELD_OTHER)
			add_value(p, line);
		return;
	}
	take_field(p);
	if (++p->fields > HEAD_FIELDS_MAX || p->line_start - top(p)->head >= HEAD_MAX) {
		p->lossy = true;
		return;
	}
	if (!str_cut(line, ':', &name, &value))
		name = STR("");
	while (name.n && is_wsp(name.p[name.n - 1]))
		name.n--;
	if (!header_name_valid(name)) { /* junk, with which other readers begin the body */
		p->ambiguous |= p->line_start > 0 || !str_starts(line, STR("From "));
		return;
	}
	p->field = find_field(p, name);
	if (p->field == FIELD_OTHER)
		return;
	buf_clear(&p->value);
	add_value(p, value);
}

/* ---- parts -------------------------------------------------------------------------------------
 */

static bool grow_parts(struct mime_parser *p)
{
	uint32_t cap = p->cap ? p->cap * 2 : 4;
	struct mime_part *part;
	struct span *span;

	if (p->n < p->cap)
		return true;
	part = realloc(p->part, cap * sizeof *part);
	if (part)
		p->part = part;
	span = realloc(p->span, cap * sizeof *span);
	if (span)
		p->span = span;
	if (!part || !span) {
		p->failed = true;
		return false;
	}
	p->cap = cap;
	return true;
}

/* May a part at this depth begin? */
static bool may_begin(struct mime_parser *p, unsigned depth)
{
	if (depth <= MIME_DEPTH_MAX && p->n < p->limits.parts &&
		p->text.n + PART_TEXT_MAX <= p->limits.text)
		return true;
	p->cut = true;
	return false;
}

/* A part begins at the next byte, inside the innermost open one (or it is the first). */
static void begin_part(struct mime_parser *p)
{
	bool first = p->n == 0;
	unsigned depth = first ? 0 : p->depth + 1;
	struct mime_part *part;

	if (!grow_parts(p))
		return;
	part = &p->part[p->n];
	*part = (struct mime_part){ .parent = first ? MIME_NONE : p->open[p->depth].part,
		.number = first ? 1 : ++p->open[p->depth].children,
		.depth = depth,
		.head = p->offset };
	p->open[depth] = (struct open_part){ .part = p->n, .boundary = p->boundaries.n };
	p->depth = depth;
	p->n++;
	p->in_head = true;
	p->seen = 0;
	p->fields = 0;
	p->field = FIELD_OTHER;
	p->multipart = p->message = p->digest = false;
	buf_clear(&p->info);
	buf_clear(&p->envelope);
	buf_clear(&p->boundary);
	/* RFC 2046 5.1.5: in a digest a part without a type is a message. */
	p->message = !first && p->open[depth - 1].digest;
}

static void keep_texts(struct mime_parser *p)
{
	struct span *span = &p->span[p->open[p->depth].part];
	struct mime_part *part = top(p);

	if (!buf_ok(&p->info) || !buf_ok(&p->envelope) || !buf_ok(&p->boundary)) {
		p->lossy = true;
		buf_clear(&p->info);
		buf_clear(&p->envelope);
		p->multipart = p->message = false;
	}
	span->info = p->text.n;
	part->info.n = p->info.n;
	buf_add(&p->text, buf_str(&p->info));
	span->envelope = p->text.n;
	part->envelope.n = p->envelope.n;
	buf_add(&p->text, buf_str(&p->envelope));
	if (!buf_ok(&p->text)) {
		p->lossy = true;
		p->text.over = false;
		buf_cut(&p->text, span->info);
		part->info.n = part->envelope.n = 0;
		p->multipart = p->message = false;
	}
}

static void await_boundary(struct mime_parser *p)
{
	struct open_part *o = &p->open[p->depth];

	buf_add(&p->boundaries, buf_str(&p->boundary));
	o->boundary_n = p->boundary.n;
	o->hash = hash_bytes(buf_str(&p->boundary));
	o->digest = p->digest;
	p->awaited++;
	p->hint[o->hash % HINTS]++;
}

static void stop_awaiting(struct mime_parser *p, struct open_part *o)
{
	if (o->boundary_n) {
		p->awaited--;
		p->hint[o->hash % HINTS]--;
	}
	o->boundary_n = 0;
}

/* All fields of a head have been read. */
static void end_fields(struct mime_parser *p)
{
	take_field(p);
	p->in_head = false;
	if (p->depth && p->open[p->depth - 1].digest && !(p->seen & UINT64_C(1) << FIELD_TYPE)) {
		code_tagged(&p->info, INFO_TYPE, STR("message"));
		code_tagged(&p->info, INFO_SUBTYPE, STR("rfc822"));
	}
	keep_texts(p);
}

/* The head is over; the body begins at the next byte. */
static void end_head(struct mime_parser *p)
{
	struct mime_part *part = top(p);
	struct mime_info info;

	end_fields(p);
	part->head_size = p->offset - part->head;
	p->open[p->depth].lf = p->lf;
	if (p->multipart && p->boundary.n && may_begin(p, p->depth + 1)) {
		part->kind = MIME_MULTIPART;
		await_boundary(p);
		return;
	}
	if (p->message && may_begin(p, p->depth + 1)) {
		part->kind = MIME_MESSAGE;
		begin_part(p);
		return;
	}
	if (!p->hooks.leaf)
		return;
	part->info.p = p->text.p + p->span[p->open[p->depth].part].info;
	mime_info_read(part, &info);
	p->hooks.leaf(p->hooks.arg, part, &info);
}

/* The innermost open part ends at `end`, and before it there were `lf` line endings. */
static void end_part(struct mime_parser *p, uint64_t end, uint64_t lf)
{
	struct open_part *o = &p->open[p->depth];
	struct mime_part *part = top(p);

	if (p->in_head) { /* its head never ended, so all of it is head */
		end_fields(p);
		part->head_size = end > part->head ? end - part->head : 0;
	} else if (end > mime_body(part)) {
		part->body_size = end - mime_body(part);
		part->lines = lf > o->lf ? lf - o->lf : 0;
	}
	part->next = p->n;
	stop_awaiting(p, o);
	buf_cut(&p->boundaries, o->boundary);
	if (p->depth)
		p->depth--;
}

/* ---- lines
 * ---------------------------------------------------------------------------------------- */

/* The open part whose boundary this line is, or -1. RFC 2046 5.1.1 would have a line match that
 * merely begins with a boundary; we follow the readers that people use, which allow only "--" and
 * white space after it. The innermost wins when several have the same boundary. */
static int find_boundary(struct mime_parser *p, struct str line, bool *last)
{
	struct str open, closed;
	uint64_t open_hash, closed_hash = 0;

	if (p->awaited == 0 || line.n > BODY_LINE_MAX || !str_starts(line, STR("--")))
		return -1;
	while (line.n && is_wsp(line.p[line.n - 1]))
		line.n--;
	open = closed = str_from(line, 2);
	open_hash = hash_bytes(open);
	if (closed.n > 2 && str_endsi(closed, STR("--"))) {
		closed.n -= 2;
		closed_hash = hash_bytes(closed);
	} else {
		closed.n = 0;
	}
	if (!p->hint[open_hash % HINTS] && !(closed.n && p->hint[closed_hash % HINTS]))
		return -1;
	for (int i = (int)p->depth; i >= 0; i--) {
		const struct open_part *o = &p->open[i];
		struct str b = str_make(p->boundaries.p + o->boundary, o->boundary_n);

		if (!b.n)
			continue;
		*last = !(o->hash == open_hash && str_eq(b, open));
		if (!*last || (o->hash == closed_hash && str_eq(b, closed)))
			return i;
	}
	return -1;
}

/* A boundary of open part `level` has passed by; the next byte is after its line. */
static void at_boundary(struct mime_parser *p, unsigned level, bool last)
{
	/* RFC 2046 5.1.1: the line ending before a boundary belongs to it. */
	uint64_t end = p->line_start - p->last_ending;
	uint64_t lf = p->line_lf - (p->last_ending != 0);

	while (p->depth > level)
		end_part(p, end, lf);
	if (last || !may_begin(p, p->depth + 1))
		stop_awaiting(p, &p->open[p->depth]); /* the rest is epilogue */
	else
		begin_part(p);
}

static void give_data(struct mime_parser *p, struct str bytes)
{
	if (p->hooks.data && top(p)->kind == MIME_LEAF && bytes.n)
		p->hooks.data(p->hooks.arg, bytes);
}

/* A whole line: its text and its bytes in the message. `offset` and `lf` are past it. */
static void take_line(struct mime_parser *p, struct str text, struct str bytes)
{
	bool last;
	int level = find_boundary(p, text, &last);

	if (level >= 0)
		at_boundary(p, (unsigned)level, last);
	else if (!p->in_head)
		give_data(p, bytes);
	else if (text.n == 0)
		end_head(p);
	else
		head_line(p, text);
}

/* How much of a line is kept. A body line that is longer is no boundary. */
static size_t line_limit(const struct mime_parser *p)
{
	return p->in_head ? HEAD_LINE_MAX : BODY_LINE_MAX;
}

/* The start of a line whose end has not come: keep it as long as it can matter, else give it out.
 */
static void take_start(struct mime_parser *p, struct str s)
{
	p->offset += s.n;
	p->before = s.p[s.n - 1];
	if (p->in_head) {
		buf_add(&p->line, str_head(s, HEAD_LINE_MAX + 2 - p->line.n));
		return;
	}
	if (!p->mid_line && p->line.n + s.n <= BODY_LINE_MAX + 2) {
		buf_add(&p->line, s);
		if (p->line.n < 2 || str_starts(buf_str(&p->line), STR("--")))
			return;
		s = STR("");
	}
	give_data(p, buf_str(&p->line));
	buf_clear(&p->line);
	give_data(p, s);
	p->mid_line = true;
}

/* The end of a line, with its LF unless the message ends without one. */
static void take_end(struct mime_parser *p, struct str s)
{
	bool lf = s.n && s.p[s.n - 1] == '\n';
	char cr = s.n > 1 ? s.p[s.n - 2] : p->offset > p->line_start ? p->before : '\0';
	size_t ending = lf ? 1 + (cr == '\r') : 0;
	size_t max = line_limit(p), length;
	struct str bytes = s;

	p->offset += s.n;
	p->line_lf = p->lf;
	p->lf += lf;
	length = (size_t)(p->offset - p->line_start) - ending;
	if (p->in_head)
		p->lossy |= length > max;
	if (p->mid_line || (!p->in_head && length > max)) {
		give_data(p, buf_str(&p->line));
		give_data(p, s);
	} else {
		if (p->line.n) {
			buf_add(&p->line, str_head(s, max + 2 - p->line.n));
			bytes = buf_str(&p->line);
		}
		take_line(p, str_head(bytes, length < max ? length : max), bytes);
	}
	p->last_ending = ending;
	p->line_start = p->offset;
	p->mid_line = false;
	buf_clear(&p->line);
}

/* Eight bytes at a time: this is all that most of a large body costs. */
static uint64_t count_lf(struct str s)
{
	const uint64_t low = 0x7f7f7f7f7f7f7f7f, ones = 0x0101010101010101;
	uint64_t n = 0, v;
	size_t i = 0;

	for (; i + 8 <= s.n; i += 8) {
		memcpy(&v, s.p + i, 8);
		v ^= ones * '\n';
		v = ~(((v & low) + low) | v | low); /* the high bit of each byte that was LF */
		n += (v >> 7) * ones >> 56;
	}
	for (; i < s.n; i++)
		n += s.p[i] == '\n';
	return n;
}

/* Nothing but the body of one leaf can come any more. */
static void take_rest(struct mime_parser *p, struct str s)
{
	p->lf += count_lf(s);
	p->offset += s.n;
	give_data(p, s);
}

void mime_parser_feed(struct mime_parser *p, struct str piece)
{
	while (piece.n && !p->failed) {
		size_t at;

		if (!p->in_head && p->awaited == 0) {
			give_data(p, buf_str(&p->line));
			buf_clear(&p->line);
			take_rest(p, piece);
			return;
		}
		at = str_find(piece, '\n');
		if (at == piece.n) {
			take_start(p, piece);
			return;
		}
		take_end(p, str_head(piece, at + 1));
		piece = str_from(piece, at + 1);
	}
}

/* ---- the parser
 * -------------------------------------------------------------------------------------- */

struct mime_parser *mime_parser_new(
	const struct mime_limits *limits, const struct mime_hooks *hooks)
{
	struct mime_parser *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->limits = *limits;
	if (hooks)
		p->hooks = *hooks;
	p->text = BUF(limits->text);
	p->info = BUF(limits->text);
	p->envelope = BUF(limits->text);
	p->value = BUF(limits->field);
	p->line = BUF(HEAD_LINE_MAX + 2);
	p->boundary = BUF(MIME_BOUNDARY_MAX);
	p->boundaries = BUF((MIME_DEPTH_MAX + 1) * MIME_BOUNDARY_MAX);
	p->references = BUF(REFERENCES_MAX);
	begin_part(p);
	if (p->failed)
		mime_parser_free(&p);
	return p;
}

int mime_parser_finish(struct mime_parser *p, struct mime_tree *tree, struct err *err)
{
	if (p->offset > p->line_start && !p->mid_line && !p->failed)
		take_end(p, STR(""));
	if (p->failed)
		return err_set(err, ERR_TEMP, "out of memory for the structure of a message");
	while (p->depth > 0)
		end_part(p, p->offset, p->lf);
	end_part(p, p->offset, p->lf);
	for (uint32_t i = 0; i < p->n; i++) {
		p->part[i].info = str_make(p->text.p + p->span[i].info, p->part[i].info.n);
		p->part[i].envelope =
			str_make(p->text.p + p->span[i].envelope, p->part[i].envelope.n);
	}
	*tree = (struct mime_tree){ p->part, p->n, p->offset, p->cut, p->lossy, p->ambiguous };
	return 0;
}

struct str mime_parser_references(const struct mime_parser *p)
{
	return buf_str(&p->references);
}

void mime_parser_free(struct mime_parser **pp)
{
	struct mime_parser *p = *pp;

	if (!p)
		return;
	free(p->part);
	free(p->span);
	buf_free(&p->text);
	buf_free(&p->boundaries);
	buf_free(&p->line);
	buf_free(&p->value);
	buf_free(&p->info);
	buf_free(&p->envelope);
	buf_free(&p->references);
	buf_free(&p->boundary);
	free(p);
	*pp = NULL;
}

/* ---- sections
 * ------------------------------------------------------------------------------------------ */

static const struct mime_part *child(
	const struct mime_tree *t, const struct mime_part *p, uint32_t number)
{
	uint32_t self = (uint32_t)(p - t->part);

	for (uint32_t i = self + 1; i < p->next; i = t->part[i].next)
		if (t->part[i].number == number)
			return &t->part[i];
	return NULL;
}

const struct mime_part *mime_section(const struct mime_tree *t, const uint32_t *number, size_t n)
{
	/* A number chooses in a message (`in_message`) or in the multipart that is its body. */
	const struct mime_part *p = t->part;
	bool in_message = true;

	for (size_t i = 0; i < n && p; i++) {
		if (!in_message && p->kind == MIME_MESSAGE) {
			p = child(t, p, 1);
			in_message = true;
		}
		if (p && p->kind == MIME_MULTIPART)
			p = child(t, p, number[i]);
		else if (!in_message || number[i] != 1)
			p = NULL;
		in_message = false;
	}
	return p;
}
