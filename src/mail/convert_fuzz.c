/* Any message, converted or refused: what comes out is fit for the server, the same in the dry run
 * and for good, the same for any pieces, and needs no more conversion; every leaf decodes to what
 * it was. The first octet: target and size of the pieces. */
#include "mail/body.h"
#include "mail/convert.h"
#include "mail/mime.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int run(struct convert *c, struct str message, size_t piece, struct buf *out)
{
	struct err err = ERR_INIT;

	buf_clear(out);
	for (size_t at = 0; at < message.n; at += piece)
		convert_feed(c, str_head(str_from(message, at), piece), out);
	return convert_end(c, out, &err);
}

static void check_clean(struct str s, bool seven)
{
	for (size_t i = 0; i < s.n; i++) {
		check(s.p[i] != '\0' && (!seven || (unsigned char)s.p[i] < 128));
		if (s.p[i] == '\n')
			check(i > 0 && s.p[i - 1] == '\r');
		if (s.p[i] == '\r')
			check(i + 1 == s.n || s.p[i + 1] == '\n');
	}
}

/* What the leaves hold, decoded, one after the other, white space aside: CR LF before a boundary
 * may come to belong to one or the other. */
struct content {
	struct body_decoder decoder;
	struct buf raw, text;
};

static void end_leaf(struct content *c)
{
	body_feed(&c->decoder, buf_str(&c->raw), &c->text);
	body_end(&c->decoder, &c->text);
	buf_clear(&c->raw);
}

static void on_leaf(void *arg, const struct mime_part *part, const struct mime_info *info)
{
	struct content *c = arg;

	(void)part;
	end_leaf(c);
	c->decoder = BODY_DECODER(body_encoding_find(info->encoding));
}

static void on_data(void *arg, struct str bytes)
{
	buf_add(&((struct content *)arg)->raw, bytes);
}

static void content_of(struct str message, struct buf *out, bool *odd)
{
	struct content c = { .raw = BUF((size_t)1 << 24), .text = BUF((size_t)1 << 24) };
	struct mime_hooks hooks = { .arg = &c, .leaf = on_leaf, .data = on_data };
	struct mime_parser *p = mime_parser_new(&MIME_LIMITS, &hooks);
	struct mime_tree tree;
	struct err err = ERR_INIT;

	check(p != NULL);
	mime_parser_feed(p, message);
	check(mime_parser_finish(p, &tree, &err) == 0);
	end_leaf(&c);
	for (size_t i = 0; i < c.text.n; i++)
		if (!is_wsp(c.text.p[i]) && c.text.p[i] != '\r' && c.text.p[i] != '\n')
			buf_addc(out, c.text.p[i]);
	*odd = tree.ambiguous || tree.lossy || tree.cut;
	for (uint32_t i = 0; i < tree.n; i++) { /* encoded as a whole, or read in another way */
		struct mime_info info;

		mime_info_read(&tree.part[i], &info);
		*odd |= mime_is_type(&info, STR("message"), STR("global"));
	}
	mime_parser_free(&p);
	buf_free(&c.raw);
	buf_free(&c.text);
}

static void check_same(struct str before, struct str after)
{
	struct buf a = BUF((size_t)1 << 24), b = BUF((size_t)1 << 24);
	bool odd, odd_after;

	content_of(before, &a, &odd);
	content_of(after, &b, &odd_after);
	check(odd || str_eq(buf_str(&a), buf_str(&b)));
	buf_free(&a);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf dry = BUF((size_t)1 << 24), out = BUF((size_t)1 << 24);
	struct err err = ERR_INIT;
	struct convert *c;
	struct str message;
	bool seven;

	if (n < 1 || n > 100000)
		return 0;
	c = convert_new();
	check(c != NULL);
	seven = data[0] & 1;
	message = str_make(data + 1, n - 1);
	convert_scan(c, message);
	if (convert_plan(c, seven ? CONVERT_7BIT : CONVERT_8BIT, &err) == 0) {
		int first = run(c, message, 1 + (data[0] >> 1), &dry);

		check(run(c, message, 60000, &out) == first);
		check(str_eq(buf_str(&dry), buf_str(&out)) && buf_ok(&out));
		if (first == 0) {
			check_clean(buf_str(&out), seven);
			check_same(message, buf_str(&out));
		}
	} else {
		check(err.kind == ERR_PERM);
	}
	convert_free(&c);
	buf_free(&dry);
	buf_free(&out);
	return 0;
}
