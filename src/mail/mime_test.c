#include "mail/mime.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct mime_parser *parse_with(
	struct str message, size_t chunk, const struct mime_limits *limits, struct mime_tree *t)
{
	struct err err = ERR_INIT;
	struct mime_parser *p = mime_parser_new(limits, NULL);

	assert_non_null(p);
	for (; message.n; message = str_from(message, chunk))
		mime_parser_feed(p, str_head(message, chunk));
	assert_int_equal(mime_parser_finish(p, t, &err), 0);
	return p;
}

static struct mime_parser *parse(struct str message, struct mime_tree *t)
{
	return parse_with(message, SIZE_MAX, &MIME_LIMITS, t);
}

/* One line per part: depth as dashes, kind, type, then head/body as text. */
static void describe(struct buf *b, struct str message, const struct mime_tree *t)
{
	static const char kinds[] = { '.', '+', '@' };

	for (uint32_t i = 0; i < t->n; i++) {
		const struct mime_part *p = &t->part[i];
		struct mime_info info;

		mime_info_read(p, &info);
		for (uint32_t d = 0; d < p->depth; d++)
			buf_addc(b, '-');
		buf_addf(b, "%u%c" STR_F "/" STR_F " %llu", p->number, kinds[p->kind],
			STR_A(info.type), STR_A(info.subtype), (unsigned long long)p->lines);
		if (p->kind == MIME_LEAF) {
			buf_addz(b, " [");
			buf_add(b, str_head(str_from(message, mime_body(p)), p->body_size));
			buf_addz(b, "]");
		}
		buf_addc(b, '\n');
	}
}

#define NESTED                                                                                     \
	"Content-Type: multipart/mixed; boundary=\"a b\"\r\nSubject: s\r\n\r\npreamble\r\n--a "    \
	"b\r\n"                                                                                    \
	"\r\nplain\r\ntext\r\n--a b\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n"   \
	"--in\r\nContent-Type: text/html\r\n\r\n<p>\r\n--in--\r\nepilogue\r\n--in\r\nnot a "       \
	"part\r\n"                                                                                 \
	"--a b  \r\nContent-Type: message/rfc822\r\n\r\nFrom: x@y\r\nSubject: "                    \
	"inner\r\n\r\nhello\r\n"                                                                   \
	"--a b--\r\nend\r\n"

static void parts_are_found_where_they_are(void **state)
{
	static const struct {
		struct str message, parts;
	} rows[] = {
		{ STR_INIT(NESTED),
			STR_INIT("1+multipart/mixed 25\n"
				 "-1.text/plain 1 [plain\r\ntext]\n"
				 "-2+multipart/alternative 7\n"
				 "--1.text/html 0 [<p>]\n"
				 "-3@message/rfc822 3\n"
				 "--1.text/plain 0 [hello]\n") },
		{ STR_INIT(""), STR_INIT("1.text/plain 0 []\n") },
		{ STR_INIT("Subject: no body"), STR_INIT("1.text/plain 0 []\n") },
		{ STR_INIT("\r\nbody\r\n"), STR_INIT("1.text/plain 1 [body\r\n]\n") },
		{ STR_INIT("a: b\n\nbody\nline"), STR_INIT("1.text/plain 1 [body\nline]\n") },
		/* bare line feeds throughout */
		{ STR_INIT("Content-Type: multipart/x; "
			   "boundary=b\n\n--b\n\none\n--b\n\ntwo\n\n--b--\n"),
			STR_INIT("1+multipart/x 8\n-1.text/plain 0 [one]\n-2.text/plain 1 "
				 "[two\n]\n") },
		/* empty parts, a part that is all head, the last boundary without a line ending */
		{ STR_INIT("Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n--b\r\n\r\n--b\r\n"
			   "Content-Type: text/x\r\n--b--"),
			STR_INIT("1+multipart/x 5\n-1.text/plain 0 []\n-2.text/plain 0 "
				 "[]\n-3.text/x 0 []\n") },
		/* never closed */
		{ STR_INIT("Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\nleft\r\n"),
			STR_INIT("1+multipart/x 3\n-1.text/plain 1 [left\r\n]\n") },
		/* the outer boundary ends everything inside */
		{ STR_INIT("Content-Type: multipart/x; boundary=o\r\n\r\n--o\r\n"
			   "Content-Type: multipart/y; boundary=i\r\n\r\n--i\r\nContent-Type: "
			   "message/rfc822\r\n\r\n"
			   "S: t\r\n\r\ndeep\r\n--o\r\n\r\nout\r\n--i\r\n--o--\r\n"),
			STR_INIT("1+multipart/x 14\n-1+multipart/y 5\n--1@message/rfc822 2\n"
				 "---1.text/plain 0 [deep]\n-2.text/plain 1 [out\r\n--i]\n") },
		/* lines that only look like boundaries */
		{ STR_INIT("Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n--bc\r\n "
			   "--b\r\n--b-\r\n--b--x\r\n"
			   "--b--\r\n--b\r\n\r\nno\r\n"),
			STR_INIT("1+multipart/x 10\n-1.text/plain 3 [--bc\r\n "
				 "--b\r\n--b-\r\n--b--x]\n") },
		/* no boundary, an empty one, one that never comes */
		{ STR_INIT("Content-Type: multipart/mixed\r\n\r\n--\r\nx"),
			STR_INIT("1.multipart/mixed 1 [--\r\nx]\n") },
		{ STR_INIT("Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\nx"),
			STR_INIT("1.multipart/mixed 1 [--\r\nx]\n") },
		{ STR_INIT("Content-Type: multipart/mixed; boundary=b\r\n\r\nx\r\n"),
			STR_INIT("1+multipart/mixed 1\n") },
		/* RFC 2046 5.1.5 */
		{ STR_INIT("Content-Type: multipart/digest; boundary=b\r\n\r\n--b\r\n\r\nSubject: "
			   "1\r\n\r\nx\r\n"
			   "--b\r\nContent-Type: text/plain\r\n\r\ny\r\n--b--"),
			STR_INIT("1+multipart/digest 9\n-1@message/rfc822 2\n--1.text/plain 0 [x]\n"
				 "-2.text/plain 0 [y]\n") },
		/* a type that cannot be read is text/plain; the first of two counts */
		{ STR_INIT("Content-Type: nonsense\r\n\r\nx"), STR_INIT("1.text/plain 0 [x]\n") },
		{ STR_INIT("Content-Type: a/b\r\ncontent-type: c/d\r\n\r\nx"),
			STR_INIT("1.a/b 0 [x]\n") },
		{ STR_INIT("Content-Type:\r\n (a) multipart (b) / (c)\r\n\tmixed ; boundary (d) = "
			   "(e) b (f)\r\n\r\n"
			   "--b\r\n\r\nx\r\n--b--"),
			STR_INIT("1+multipart/mixed 3\n-1.text/plain 0 [x]\n") },
	};

	size_t bad = 0;

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		for (size_t chunk = 1; chunk < 70; chunk += chunk < 5 ? 1 : 13) {
			struct buf b = BUF(4000);
			struct mime_tree t;
			struct mime_parser *p =
				parse_with(rows[i].message, chunk, &MIME_LIMITS, &t);

			describe(&b, rows[i].message, &t);
			if (!str_eq(buf_str(&b), rows[i].parts))
				print_error(STR_F "\n--\n" STR_F "\n", STR_A(buf_str(&b)),
					STR_A(rows[i].parts));
			bad += !str_eq(buf_str(&b), rows[i].parts);
			assert_int_equal(t.size, rows[i].message.n);
			assert_false(t.cut);
			buf_free(&b);
			mime_parser_free(&p);
		}
	assert_int_equal(bad, 0);
}

static void fields_say_what_they_say(void **state)
{
	struct str m = STR("Content-Type: Image/JPEG; name=\"a\\\"b.jpg\"; x=y z; size = (c) 12\r\n"
			   "Content-Transfer-Encoding: (c) BASE64\r\nContent-ID: <1@x>\r\n"
			   "Content-Description: two\r\n words\r\nContent-Disposition: attachment; "
			   "filename*0*=utf-8''j%C3%BC;"
			   " filename*1=\"r gen\"; filename=plain\r\nContent-Language: de, en\r\n"
			   "Content-Location: http://x/\r\nContent-MD5: abc=\r\nSubject: "
			   "a\0b\rc\r\n d\r\nTo: x\r\nTo: y\r\n"
			   "References: <1@x>\r\n <2@x>\r\n\r\n");
	struct mime_tree t;
	struct mime_parser *p = parse(m, &t);
	struct mime_info info;
	struct mime_envelope e;
	struct str v;
	struct buf b = BUF(100);

	(void)state;
	mime_info_read(&t.part[0], &info);
	assert_true(mime_is_type(&info, STR("image"), STR("jpeg")));
	assert_true(mime_param_find(info.params, STR("NAME"), &v));
	assert_true(str_eq(v, STR("a\"b.jpg")));
	assert_true(mime_param_find(info.params, STR("x"), &v) && str_eq(v, STR("y z")));
	assert_true(mime_param_find(info.params, STR("size"), &v) && str_eq(v, STR("12")));
	assert_true(str_eq(info.encoding, STR("BASE64")));
	assert_true(str_eq(info.id, STR("<1@x>")));
	assert_true(str_eq(info.description, STR("two words")));
	assert_true(str_eq(info.disposition, STR("attachment")));
	assert_true(mime_param_find(info.disposition_params, STR("filename*"), &v));
	assert_true(str_eq(v, STR("utf-8''j%C3%BCr%20gen")));
	assert_true(mime_param_text(info.disposition_params, STR("filename"), &b));
	assert_true(str_eq(buf_str(&b), STR("j\xc3\xbcr gen")));
	assert_true(str_eq(info.language, STR("de, en")));
	assert_true(str_eq(info.location, STR("http://x/")));
	assert_true(str_eq(info.md5, STR("abc=")));
	mime_envelope_read(t.part[0].envelope, &e);
	assert_true(str_eq(e.subject, STR("abc d")));
	assert_true(str_eq(e.to, STR("x"))); /* the first */
	assert_true(t.ambiguous);
	assert_true(str_eq(mime_parser_references(p), STR("<1@x> <2@x>")));
	buf_free(&b);
	mime_parser_free(&p);
}

static void file_names_are_read_however_they_are_written(void **state)
{
	static const struct {
		struct str field, name;
	} rows[] = {
		{ STR_INIT("a; filename=x.exe"), STR_INIT("x.exe") },
		{ STR_INIT("a; filename=\"x.exe\""), STR_INIT("x.exe") },
		{ STR_INIT("a; FileName=my file.pdf ; b=c"), STR_INIT("my file.pdf") },
		{ STR_INIT("a; filename*=utf-8'en'x%2Eexe"), STR_INIT("x.exe") },
		{ STR_INIT("a; filename*=iso-8859-15''%A4"), STR_INIT("\xe2\x82\xac") },
		{ STR_INIT("a; filename*1=xe; filename*0=x.e"), STR_INIT("x.exe") },
		{ STR_INIT("a; filename*0*=''x%2E; filename*1=exe"), STR_INIT("x.exe") },
		{ STR_INIT("a; filename*0=x.; filename*1*=e%78e"), STR_INIT("x.exe") },
		{ STR_INIT("a; filename*0=x; filename*2=y"), STR_INIT("x") },
		{ STR_INIT("a; filename=\"=?utf-8?b?eC5leGU=?=\""), STR_INIT("x.exe") },
		{ STR_INIT("a; ;; junk; filename=x"), STR_INIT("x") },
		{ STR_INIT("a; filename=\"x"), STR_INIT("x") },
		{ STR_INIT("a; filename*=x%zz%4"), STR_INIT("x%zz%4") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf m = BUF(200), name = BUF(100);
		struct mime_tree t;
		struct mime_parser *p;
		struct mime_info info;

		buf_addf(&m, "Content-Disposition: " STR_F "\r\n\r\n", STR_A(rows[i].field));
		p = parse(buf_str(&m), &t);
		mime_info_read(&t.part[0], &info);
		assert_true(mime_param_text(info.disposition_params, STR("filename"), &name));
		assert_true(str_eq(buf_str(&name), rows[i].name));
		buf_free(&m);
		buf_free(&name);
		mime_parser_free(&p);
	}
}

static void sections_are_numbered_as_imap_does(void **state)
{
	struct mime_tree t;
	struct mime_parser *p = parse(STR(NESTED), &t);

	(void)state;
	assert_ptr_equal(mime_section(&t, NULL, 0), &t.part[0]);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 1 }, 1), &t.part[1]);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 2 }, 1), &t.part[2]);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 2, 1 }, 2), &t.part[3]);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 3 }, 1), &t.part[4]);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 3, 1 }, 2), &t.part[5]);
	assert_null(mime_section(&t, (uint32_t[]){ 3, 2 }, 2));
	assert_null(mime_section(&t, (uint32_t[]){ 3, 1, 1 }, 3));
	assert_null(mime_section(&t, (uint32_t[]){ 4 }, 1));
	assert_null(mime_section(&t, (uint32_t[]){ 0 }, 1));
	assert_null(mime_section(&t, (uint32_t[]){ 1, 1 }, 2));
	mime_parser_free(&p);
	p = parse(STR("Subject: single\r\n\r\nx"), &t);
	assert_ptr_equal(mime_section(&t, (uint32_t[]){ 1 }, 1), &t.part[0]);
	assert_null(mime_section(&t, (uint32_t[]){ 1, 1 }, 2));
	assert_null(mime_section(&t, (uint32_t[]){ 2 }, 1));
	mime_parser_free(&p);
}

/* T070 */
static void messages_that_others_may_read_differently_are_marked(void **state)
{
	static const struct {
		struct str message;
		bool ambiguous;
	} rows[] = {
		{ STR_INIT(NESTED), false },
		{ STR_INIT("From me Mon\r\nSubject: mbox\r\n\r\n"), false },
		{ STR_INIT("Subject: s\r\nno field\r\n\r\n"), true },
		{ STR_INIT("Subject: s\r\nNo name: x\r\n\r\n"), true },
		{ STR_INIT("Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\n"), true },
		{ STR_INIT("Content-Type: multipart/x; boundary=a; boundary=b\r\n\r\n"), true },
		{ STR_INIT("Content-Type: ;\r\n\r\n"), true },
		{ STR_INIT("From: a@b\r\nFrom: c@d\r\n\r\n"), true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct mime_tree t;
		struct mime_parser *p = parse(rows[i].message, &t);

		assert_true(t.ambiguous == rows[i].ambiguous);
		mime_parser_free(&p);
	}
}

/* T085 */
static void deep_and_wide_messages_are_cut(void **state)
{
	struct buf m = BUF(64 << 20);
	struct mime_tree t;
	struct mime_parser *p;

	(void)state;
	for (int i = 0; i < 100000; i++)
		buf_add(&m, STR("Content-Type: message/rfc822\r\n\r\n"));
	p = parse(buf_str(&m), &t);
	assert_true(t.cut);
	assert_int_equal(t.n, MIME_DEPTH_MAX + 1);
	mime_parser_free(&p);

	buf_clear(&m);
	buf_add(&m, STR("Content-Type: multipart/mixed; boundary=b\r\n\r\n"));
	for (int i = 0; i < 1000000; i++)
		buf_add(&m, STR("--b\r\n\r\n"));
	p = parse(buf_str(&m), &t);
	assert_true(t.cut);
	assert_int_equal(t.n, MIME_PARTS_MAX);
	mime_parser_free(&p);

	buf_clear(&m);
	for (int i = 0; i < 100000; i++)
		buf_addf(&m, "Content-Type: multipart/x; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	p = parse(buf_str(&m), &t);
	assert_true(t.cut);
	assert_int_equal(t.n, MIME_DEPTH_MAX + 1);
	mime_parser_free(&p);
	buf_free(&m);
}

/* T086 */
static void field_floods_are_cut(void **state)
{
	struct buf m = BUF(64 << 20);
	struct mime_tree t;
	struct mime_parser *p;
	struct mime_info info;
	struct str rest, n, v;
	size_t count = 0;

	(void)state;
	buf_add(&m, STR("To: "));
	for (int i = 0; i < 1000000; i++)
		buf_add(&m, STR("a@b,\r\n "));
	buf_add(&m, STR("\r\nSubject: s\r\n"));
	for (int i = 0; i < 5000; i++)
		buf_add(&m, STR("X: y\r\n"));
	buf_add(&m, STR("From: late\r\n\r\n"));
	p = parse(buf_str(&m), &t);
	assert_true(t.lossy);
	mime_parser_free(&p);

	buf_clear(&m);
	buf_add(&m, STR("Content-Type: a/b"));
	for (int i = 0; i < 100000; i++)
		buf_addf(&m, "; p*%d=x", i % 1000);
	buf_add(&m, STR("\r\n\r\n"));
	p = parse_with(buf_str(&m), 1000, &MIME_LIMITS, &t);
	mime_info_read(&t.part[0], &info);
	for (rest = info.params; mime_param_next(&rest, &n, &v);)
		count++;
	assert_true(count <= MIME_PARAMS_MAX);
	mime_parser_free(&p);
	buf_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_are_found_where_they_are),
		cmocka_unit_test(fields_say_what_they_say),
		cmocka_unit_test(file_names_are_read_however_they_are_written),
		cmocka_unit_test(sections_are_numbered_as_imap_does),
		cmocka_unit_test(messages_that_others_may_read_differently_are_marked),
		cmocka_unit_test(deep_and_wide_messages_are_cut),
		cmocka_unit_test(field_floods_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
