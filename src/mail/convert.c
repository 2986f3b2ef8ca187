#include "mail/convert.h"

#include "base/utf8.h"
#include "mail/body.h"
#include "mail/mime.h"

#include <stdlib.h>

enum {
	LINE_BYTES_MAX = 998,   /* RFC 5322 2.1.1 */
	HEAD_LINE_KEEP = 65536, /* what is longer passes unread */
};

/* What stands in the way of sending bytes as they are. */
enum { DIRT_8BIT = 1, DIRT_NUL = 2, DIRT_BARE = 4, DIRT_LONG = 8 };

struct watch {
	size_t line;
	bool cr;
	uint8_t dirt;
};

struct leaf {
	uint64_t head; /* offset: which part it is */
	uint8_t dirt;
};

/* The Content-Transfer-Encoding that a part gets. The last two: its body is encoded so. */
enum label { LABEL_KEEP, LABEL_7BIT, LABEL_8BIT, LABEL_QP, LABEL_BASE64 };

struct step {
	uint8_t label;
	uint8_t from;  /* enum body_encoding: what the body is in now */
	bool locked;   /* must not be touched */
	bool no_type;  /* has 8-bit text and does not say what it is */
	bool is_whole; /* the head of a message, not of a part */
};

enum region { IN_HEAD, IN_BODY, IN_GAP };

struct convert {
	enum convert_target target;
	/* the first pass */
	struct mime_parser *parser;
	struct leaf *leaves;
	size_t leaf_count, leaf_cap;
	struct watch watch;
	struct {
		size_t line, match;
		bool found, done, cr;
	} dkim;
	bool failed; /* out of memory */
	/* the plan */
	struct mime_tree tree;
	struct step *steps;
	/* a run */
	uint64_t at, end; /* where we are; where this region ends */
	uint32_t part;
	enum region region;
	struct buf line, plain;
	bool mid_line, dropping, done_label, has_version, has_type;
	struct body_decoder decoder;
	struct body_encoder encoder;
	const char *why; /* why it cannot be done */
};

/* ---- the first pass ---- */

static void watch_byte(struct watch *w, char c)
{
	bool after_cr = w->cr;

	w->cr = c == '\r';
	if (c == '\n') {
		w->dirt |= after_cr ? 0 : DIRT_BARE;
		w->line = 0;
		return;
	}
	if (after_cr)
		w->dirt |= DIRT_BARE;
	if (c == '\0')
		w->dirt |= DIRT_NUL;
	if ((unsigned char)c > 127)
		w->dirt |= DIRT_8BIT;
	if (c != '\r' && ++w->line > LINE_BYTES_MAX)
		w->dirt |= DIRT_LONG;
}

static void end_leaf(struct convert *c)
{
	if (c->watch.cr)
		c->watch.dirt |= DIRT_BARE;
	if (c->leaf_count)
		c->leaves[c->leaf_count - 1].dirt = c->watch.dirt;
	c->watch = (struct watch){ 0 };
}

static void on_leaf(void *arg, const struct mime_part *part, const struct mime_info *info)
{
	struct convert *c = arg;

	(void)info;
	end_leaf(c);
	if (c->leaf_count == c->leaf_cap) {
		size_t cap = c->leaf_cap ? c->leaf_cap * 2 : 8;
		struct leaf *more = realloc(c->leaves, cap * sizeof *more);

		if (!more) {
			c->failed = true;
			return;
		}
		c->leaves = more;
		c->leaf_cap = cap;
	}
	c->leaves[c->leaf_count++] = (struct leaf){ .head = part->head };
}

static void on_data(void *arg, struct str bytes)
{
	struct convert *c = arg;

	for (size_t i = 0; i < bytes.n; i++)
		watch_byte(&c->watch, bytes.p[i]);
}

/* Is there a DKIM-Signature in the message's own head? */
static void watch_head(struct convert *c, struct str piece)
{
	static const struct str name = STR_INIT("dkim-signature:");

	for (size_t i = 0; i < piece.n && !c->dkim.done; i++) {
		char b = piece.p[i];

		if (b == '\n') {
			c->dkim.done = c->dkim.line == 0 || (c->dkim.line == 1 && c->dkim.cr);
			c->dkim.line = c->dkim.match = 0;
			continue;
		}
		if (c->dkim.match == c->dkim.line && c->dkim.match < name.n &&
			to_lower(b) == name.p[c->dkim.match])
			c->dkim.match++;
		c->dkim.found |= c->dkim.match == name.n;
		c->dkim.cr = b == '\r';
		c->dkim.line++;
	}
}

struct convert *convert_new(void)
{
	struct convert *c = calloc(1, sizeof *c);

	if (!c)
		return NULL;
	c->line = BUF(HEAD_LINE_KEEP);
	c->plain = BUF((size_t)1 << 20);
	c->parser = mime_parser_new(
		&MIME_LIMITS, &(struct mime_hooks){ .arg = c, .leaf = on_leaf, .data = on_data });
	if (!c->parser)
		convert_free(&c);
	return c;
}

void convert_free(struct convert **cp)
{
	struct convert *c = *cp;

	if (!c)
		return;
	mime_parser_free(&c->parser);
	free(c->leaves);
	free(c->steps);
	buf_free(&c->line);
	buf_free(&c->plain);
	free(c);
	*cp = NULL;
}

void convert_scan(struct convert *c, struct str piece)
{
	watch_head(c, piece);
	mime_parser_feed(c->parser, piece);
}

/* ---- the plan ---- */

static bool is_signed(const struct mime_info *info)
{
	return mime_is_type(info, STR("multipart"), STR("signed"));
}

/* RFC 2045 6.4: these have no encoding but 7bit, 8bit, binary. RFC 6532 3.7: message/global may. */
static bool is_composite(const struct mime_info *info)
{
	return mime_is_type(info, STR("multipart"), STR("")) ||
		(mime_is_type(info, STR("message"), STR("")) &&
			!mime_is_type(info, STR("message"), STR("global")));
}

/* What the fields say when nothing is encoded. */
static enum label relabel(const struct convert *c, const struct mime_info *info, bool eight_bit)
{
	bool binary = str_eqi(info->encoding, STR("binary"));

	if (!binary && !(str_eqi(info->encoding, STR("8bit")) && c->target == CONVERT_7BIT))
		return LABEL_KEEP;
	return eight_bit && c->target == CONVERT_8BIT ? LABEL_8BIT : LABEL_7BIT;
}

static enum label plan_dirty(
	struct convert *c, const struct step *s, const struct mime_info *info, uint8_t dirt)
{
	bool text = mime_is_type(info, STR("text"), STR(""));
	bool can = !s->locked && !is_composite(info) && s->from != BODY_UNKNOWN;

	if (dirt == DIRT_LONG && (!can || c->dkim.found))
		return LABEL_KEEP;
	if (!can) {
		c->why = s->locked ? "its content is signed or encoded as a whole"
				   : "a part of it may not be encoded";
		return LABEL_KEEP;
	}
	return text && !(dirt & (DIRT_NUL | DIRT_BARE)) ? LABEL_QP : LABEL_BASE64;
}

static void plan_leaf(struct convert *c, struct step *s, const struct mime_info *info, uint8_t dirt)
{
	uint8_t bad = c->target == CONVERT_8BIT ? dirt & (uint8_t)~DIRT_8BIT : dirt;

	s->from = (uint8_t)body_encoding_find(info->encoding);
	if (bad) {
		s->label = (uint8_t)plan_dirty(c, s, info, bad);
		s->no_type = dirt & DIRT_8BIT;
	} else if (!s->locked) {
		s->label = (uint8_t)relabel(c, info, dirt & DIRT_8BIT);
	}
}

/* RFC 6532 3.7: the head in a message/global may be beyond ASCII, and then all of it is encoded. */
static bool encode_whole(const struct convert *c, const struct step *s, const struct mime_part *p,
	const struct mime_info *info)
{
	return c->target == CONVERT_7BIT && !s->locked && p->kind == MIME_MESSAGE &&
		mime_is_type(info, STR("message"), STR("global"));
}

static void plan_part(struct convert *c, uint32_t i, uint8_t dirt)
{
	const struct mime_part *p = &c->tree.part[i];
	struct step *s = &c->steps[i];
	struct mime_info info, outer = { 0 };
	bool has_parent = p->parent != MIME_NONE;

	mime_info_read(p, &info);
	s->is_whole = !has_parent || c->tree.part[p->parent].kind == MIME_MESSAGE;
	if (has_parent) {
		mime_info_read(&c->tree.part[p->parent], &outer);
		s->locked = c->steps[p->parent].locked || is_signed(&outer) ||
			body_encoding_find(outer.encoding) != BODY_IDENTITY;
	}
	if (p->kind == MIME_LEAF)
		plan_leaf(c, s, &info, dirt);
	else if (encode_whole(c, s, p, &info))
		s->label = LABEL_BASE64;
	else if (!s->locked)
		s->label = (uint8_t)relabel(c, &info, true);
}

/* The part after this one that is not inside something encoded as a whole. */
static uint32_t next_part(const struct convert *c, uint32_t i)
{
	return c->steps[i].label >= LABEL_QP ? c->tree.part[i].next : i + 1;
}

static int refusal(const struct convert *c, struct err *err)
{
	return err_set(err, ERR_PERM,
		"the message must be converted for the next server, and cannot be: %s", c->why);
}

static void begin_run(struct convert *c)
{
	c->at = 0;
	c->part = 0;
	c->region = IN_HEAD;
	c->end = c->tree.part[0].head_size;
	c->dropping = c->done_label = c->has_version = c->has_type = c->mid_line = false;
	buf_clear(&c->line);
}

int convert_plan(struct convert *c, enum convert_target target, struct err *err)
{
	size_t leaf = 0;

	c->target = target;
	if (mime_parser_finish(c->parser, &c->tree, err) < 0)
		return -1;
	end_leaf(c); /* the last line comes with the end only */
	c->steps = calloc(c->tree.n, sizeof *c->steps);
	if (c->failed || !c->steps)
		return err_set(err, ERR_TEMP, "out of memory for the conversion of a message");
	for (uint32_t i = 0; i < c->tree.n; i = next_part(c, i)) {
		uint64_t head = c->tree.part[i].head;
		uint8_t dirt = 0;

		while (leaf < c->leaf_count && c->leaves[leaf].head < head)
			leaf++;
		if (leaf < c->leaf_count && c->leaves[leaf].head == head)
			dirt = c->leaves[leaf].dirt;
		plan_part(c, i, dirt);
	}
	begin_run(c);
	return c->why ? refusal(c, err) : 0;
}

/* ---- a run: heads ---- */

static const char *const label_names[] = { [LABEL_7BIT] = "7bit",
	[LABEL_8BIT] = "8bit",
	[LABEL_QP] = "quoted-printable",
	[LABEL_BASE64] = "base64" };

static void put_label(struct convert *c, struct buf *out)
{
	buf_addf(out, "Content-Transfer-Encoding: %s\r\n", label_names[c->steps[c->part].label]);
	c->done_label = true;
}

/* The empty line: what is missing goes before it. */
static void end_fields(struct convert *c, struct buf *out)
{
	const struct step *s = &c->steps[c->part];

	if (s->label == LABEL_KEEP)
		return;
	if (s->is_whole && !c->has_version) /* RFC 2045 4 */
		buf_addz(out, "MIME-Version: 1.0\r\n");
	if (s->no_type && !c->has_type) /* RFC 1428 3 */
		buf_addz(out, "Content-Type: text/plain; charset=unknown-8bit\r\n");
	if (!c->done_label)
		put_label(c, out);
}

static bool is_clean(const struct convert *c, struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0' || s.p[i] == '\r')
			return false;
	return c->target == CONVERT_8BIT || utf8_is_ascii(s);
}

static struct str without_ending(struct str line)
{
	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static void put_head_line(struct convert *c, struct str line, struct buf *out)
{
	struct str text = without_ending(line);

	if (!is_clean(c, text))
		c->why = "its header is not ASCII"; /* and no encoding is allowed there */
	buf_add(out, text);
	if (line.n && line.p[line.n - 1] == '\n')
		buf_addz(out, "\r\n");
}

static void head_line(struct convert *c, struct str line, struct buf *out)
{
	struct str text = without_ending(line), name, value;

	if (text.n == 0 && !c->mid_line) {
		end_fields(c, out);
		put_head_line(c, line, out);
		return;
	}
	if (c->mid_line || is_wsp(text.p[0])) {
		if (!c->dropping)
			put_head_line(c, line, out);
		return;
	}
	c->dropping = false;
	if (!str_cut(text, ':', &name, &value))
		name = STR("");
	name = str_trim(name);
	c->has_version |= str_eqi(name, STR("MIME-Version"));
	c->has_type |= str_eqi(name, STR("Content-Type"));
	if (c->steps[c->part].label != LABEL_KEEP &&
		str_eqi(name, STR("Content-Transfer-Encoding"))) {
		c->dropping = true;
		if (!c->done_label)
			put_label(c, out);
		return;
	}
	put_head_line(c, line, out);
}

/* ---- a run: between the parts ---- */

/* Nobody reads what is there (RFC 2046 5.1.1) but the boundaries, which are as clean as the field
 * that gave them. What is not clean is left out. */
static void gap_line(struct convert *c, struct str line, struct buf *out)
{
	struct str text = without_ending(line);
	bool ended = text.n < line.n;

	if (!c->mid_line && text.n <= LINE_BYTES_MAX && is_clean(c, text)) {
		buf_add(out, text);
		if (ended)
			buf_addz(out, "\r\n");
	} else if (c->steps[c->part].locked) {
		c->why = "its content is signed";
	}
}

/* ---- a run: lines and bodies ---- */

static void take_line(struct convert *c, struct str line, struct buf *out)
{
	if (c->region == IN_HEAD)
		head_line(c, line, out);
	else
		gap_line(c, line, out);
}

/* Gather lines; one that is too long for that goes on in pieces. */
static void feed_lines(struct convert *c, struct str s, struct buf *out)
{
	while (s.n) {
		size_t room = HEAD_LINE_KEEP - c->line.n, lf = str_find(s, '\n');
		struct str piece = str_head(s, lf < room ? lf + 1 : room);

		buf_add(&c->line, piece);
		s = str_from(s, piece.n);
		if (c->line.n == HEAD_LINE_KEEP || c->line.p[c->line.n - 1] == '\n') {
			bool ended = c->line.p[c->line.n - 1] == '\n';

			take_line(c, buf_str(&c->line), out);
			c->mid_line = !ended;
			buf_clear(&c->line);
		}
	}
}

static void feed_body(struct convert *c, struct str s, struct buf *out)
{
	const struct step *step = &c->steps[c->part];

	if (step->label < LABEL_QP) {
		buf_add(out, s);
		return;
	}
	if (step->from != BODY_IDENTITY) {
		buf_clear(&c->plain);
		body_feed(&c->decoder, s, &c->plain);
		c->failed |= !buf_ok(&c->plain);
		s = buf_str(&c->plain);
	}
	body_encode(&c->encoder, s, out);
}

static void end_body(struct convert *c, struct buf *out)
{
	if (c->steps[c->part].label < LABEL_QP)
		return;
	buf_clear(&c->plain);
	body_end(&c->decoder, &c->plain);
	body_encode(&c->encoder, buf_str(&c->plain), out);
	body_encode_end(&c->encoder, out);
}

/* ---- a run: region after region ---- */

static void begin_body(struct convert *c)
{
	const struct mime_part *p = &c->tree.part[c->part];
	const struct step *s = &c->steps[c->part];

	c->region = IN_BODY;
	c->end = mime_body(p) + p->body_size;
	c->decoder = BODY_DECODER((enum body_encoding)s->from);
	c->encoder = BODY_ENCODER(s->label == LABEL_QP ? BODY_QP : BODY_BASE64);
}

static void begin_gap(struct convert *c)
{
	uint32_t next = next_part(c, c->part);

	c->region = IN_GAP;
	c->end = next < c->tree.n ? c->tree.part[next].head : c->tree.size;
}

static void begin_head(struct convert *c, uint32_t part)
{
	c->part = part;
	c->region = IN_HEAD;
	c->end = mime_body(&c->tree.part[part]);
	c->dropping = c->done_label = c->has_version = c->has_type = false;
}

static void end_lines(struct convert *c, struct buf *out)
{
	if (c->line.n)
		take_line(c, buf_str(&c->line), out);
	buf_clear(&c->line);
	c->mid_line = false;
}

/* This region is over. False at the end of the message. */
static bool next_region(struct convert *c, struct buf *out)
{
	uint32_t next = next_part(c, c->part);

	switch (c->region) {
	case IN_HEAD:
		end_lines(c, out);
		if (c->tree.part[c->part].kind == MIME_LEAF || c->steps[c->part].label >= LABEL_QP)
			begin_body(c);
		else
			begin_gap(c);
		return true;
	case IN_BODY:
		end_body(c, out);
		begin_gap(c);
		return true;
	case IN_GAP:
		end_lines(c, out);
		if (next < c->tree.n)
			begin_head(c, next);
		return next < c->tree.n;
	}
	return false;
}

void convert_feed(struct convert *c, struct str piece, struct buf *out)
{
	while (piece.n) {
		uint64_t left = c->end > c->at ? c->end - c->at : 0;
		struct str s = str_head(piece, left < piece.n ? (size_t)left : piece.n);

		if (left == 0) {
			if (!next_region(c, out))
				return;
			continue;
		}
		if (c->region == IN_BODY)
			feed_body(c, s, out);
		else
			feed_lines(c, s, out);
		c->at += s.n;
		piece = str_from(piece, s.n);
	}
}

int convert_end(struct convert *c, struct buf *out, struct err *err)
{
	bool whole = c->at == c->tree.size;

	while (whole && next_region(c, out))
		;
	begin_run(c);
	if (!whole)
		return err_set(err, ERR_TEMP, "the message is not the one that was looked at");
	if (c->failed)
		return err_set(err, ERR_TEMP, "out of memory for the conversion of a message");
	return c->why ? refusal(c, err) : 0;
}
