#include "mail/facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define MIXED                                                                                      \
	"From: \"Ann\" <ann@example.org>\r\nTo: joe@example.org,\r\n bob@example.org\r\nSubject: " \
	"Hi\r\n"                                                                                   \
	"Date: Mon, 1 Jan 2024 00:00:00 +0000\r\nMessage-ID: <m1@x>\r\nIn-Reply-To: <r2@x>\r\n"    \
	"References: <r0@x> <r1@x>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; "        \
	"boundary=b\r\n"                                                                           \
	"\r\n--b\r\nContent-Type: text/html; charset=iso-8859-1\r\nContent-Transfer-Encoding: "    \
	"quoted-printable\r\n\r\n<html><head><style>p{x}</style></head><body>Gr=FC=\r\n"           \
	"<b>=DF</b>e &amp; K&uuml;sse<br>=A0 <!-- no --> two\r\n--b\r\nContent-Type: "             \
	"message/rfc822\r\n"                                                                       \
	"\r\nSubject: inner\r\nFrom: x@y\r\n\r\nhello\r\n--b--\r\n"

static void take(struct str message, size_t chunk, struct buf *facts, struct buf *refs)
{
	struct facts_builder *b = facts_builder_new();
	struct err err = ERR_INIT;

	assert_non_null(b);
	for (; message.n; message = str_from(message, chunk))
		facts_feed(b, str_head(message, chunk));
	assert_int_equal(facts_finish(b, facts, refs, &err), 0);
	facts_builder_free(&b);
}

static uint64_t ref_at(const struct buf *refs, size_t i)
{
	uint64_t v = 0;

	assert_true(i * 8 + 8 <= refs->n);
	for (size_t k = 8; k-- > 0;)
		v = v << 8 | (unsigned char)refs->p[i * 8 + k];
	return v;
}

static void facts_tell_envelope_structure_and_first_words(void **state)
{
	struct buf coded = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES);
	struct arena a = ARENA(1 << 20);
	struct facts f;
	struct mime_tree t;
	struct mime_info info;
	struct mime_envelope inner;

	(void)state;
	take(STR(MIXED), SIZE_MAX, &coded, &refs);
	assert_true(facts_decode(buf_str(&coded), &f));
	assert_int_equal(f.size, sizeof MIXED - 1);
	assert_true(str_eq(f.envelope.from, STR("\"Ann\" <ann@example.org>")));
	assert_true(str_eq(f.envelope.to, STR("joe@example.org, bob@example.org")));
	assert_true(str_eq(f.envelope.subject, STR("Hi")));
	assert_int_equal(f.envelope.cc.n, 0);
	assert_true(str_eq(f.envelope.message_id, STR("<m1@x>")));
	assert_true(str_eq(f.preview,
		STR("Gr\xc3\xbc\xc3\x9f"
		    "e & K\xc3\xbcsse two")));
	assert_false(f.envelope_cut || f.structure_cut || f.ambiguous);
	assert_true(facts_tree(&f, &a, &t));
	assert_int_equal(t.n, 4);
	assert_int_equal(t.part[0].next, 4);
	assert_int_equal(t.part[1].next, 2);
	assert_int_equal(t.part[2].next, 4);
	assert_int_equal(t.part[3].parent, 2);
	assert_int_equal(t.part[2].number, 2);
	mime_info_read(&t.part[1], &info);
	assert_true(mime_is_type(&info, STR("text"), STR("html")));
	mime_envelope_read(t.part[3].envelope, &inner);
	assert_true(str_eq(inner.subject, STR("inner")));
	assert_true(
		str_eq(str_head(str_from(STR(MIXED), mime_body(&t.part[3])), t.part[3].body_size),
			STR("hello")));
	assert_int_equal(refs.n, 4 * 8);
	assert_true(ref_at(&refs, 0) == facts_ref(STR("m1@x")));
	assert_true(ref_at(&refs, 1) == facts_ref(STR("<r0@x>")));
	assert_true(ref_at(&refs, 3) == facts_ref(STR("<r2@x>")));
	arena_free(&a);
	buf_free(&coded);
	buf_free(&refs);
}

static void pieces_of_any_size_give_the_same_facts(void **state)
{
	struct buf whole = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES);

	(void)state;
	take(STR(MIXED), SIZE_MAX, &whole, &refs);
	for (size_t chunk = 1; chunk < 200; chunk++) {
		struct buf b = BUF(FACTS_MAX), r = BUF(FACTS_REFS_BYTES);

		take(STR(MIXED), chunk, &b, &r);
		assert_true(str_eq(buf_str(&b), buf_str(&whole)));
		assert_true(str_eq(buf_str(&r), buf_str(&refs)));
		buf_free(&b);
		buf_free(&r);
	}
	buf_free(&whole);
	buf_free(&refs);
}

static void previews_show_what_people_would_read_first(void **state)
{
	static const struct {
		struct str message, preview;
	} rows[] = {
		{ STR_INIT("\r\n\r\n  Hello,\r\n\r\nworld \r\n"), STR_INIT("Hello, world") },
		{ STR_INIT("Content-Type: text/plain; charset=us-ascii\r\n\r\na\x01\x7f"
			   "b\xff"),
			STR_INIT("ab\xef\xbf\xbd") },
		{ STR_INIT("Content-Type: text/plain; "
			   "charset=windows-1252\r\nContent-Transfer-Encoding: base64\r\n\r\n"
			   "gCA1\r\n"),
			STR_INIT("\xe2\x82\xac 5") },
		{ STR_INIT("Content-Type: image/png\r\n\r\nxx"), STR_INIT("") },
		{ STR_INIT("Content-Disposition: attachment\r\n\r\nxx"), STR_INIT("") },
		{ STR_INIT("Content-Type: multipart/x; boundary=b\r\n\r\n--b\r\n\r\n "
			   "\r\n--b\r\n\r\nsecond\r\n--b--"),
			STR_INIT("second") },
		{ STR_INIT("Content-Type: text/html\r\n\r\n<title>t</title><p title=\"a>b\">1 < 2 "
			   "&lt;&#8364;&#x41; "
			   "&bogus; <script>if (a<b) x</script>end"),
			STR_INIT("1 < 2 <\xe2\x82\xac"
				 "A &bogus end") },
		{ STR_INIT("Content-Type: text/html\r\n\r\n<head><title>no</title><body>yes"),
			STR_INIT("yes") },
		{ STR_INIT("Content-Type: "
			   "text/html\r\n\r\npre&zwnj;&nbsp;&zwnj;&nbsp;\xe2\x80\x8bheader"),
			STR_INIT("pre header") },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct buf b = BUF(FACTS_MAX);
		struct facts f;

		take(rows[i].message, 3, &b, NULL);
		assert_true(facts_decode(buf_str(&b), &f));
		if (!str_eq(f.preview, rows[i].preview))
			print_error("[" STR_F "]\n", STR_A(f.preview));
		assert_true(str_eq(f.preview, rows[i].preview));
		buf_free(&b);
	}
}

static void a_long_preview_ends_with_a_whole_character(void **state)
{
	struct buf m = BUF(10000), b = BUF(FACTS_MAX);
	struct facts f;

	(void)state;
	buf_add(&m, STR("\r\na"));
	for (int i = 0; i < 1000; i++)
		buf_add(&m, STR("\xe2\x82\xac"));
	take(buf_str(&m), 7, &b, NULL);
	assert_true(facts_decode(buf_str(&b), &f));
	assert_int_equal(f.preview.n, 199);
	buf_free(&m);
	buf_free(&b);
}

static void what_is_too_much_says_so(void **state)
{
	struct buf m = BUF(1 << 20), b = BUF(FACTS_MAX), refs = BUF(FACTS_REFS_BYTES);
	struct arena a = ARENA(1 << 20);
	struct facts f;
	struct mime_tree t;

	(void)state;
	buf_add(&m, STR("Subject: s\r\nContent-Type: multipart/x; boundary=b\r\n\r\n"));
	for (int i = 0; i < 5000; i++)
		buf_add(&m, STR("--b\r\n\r\nx\r\n"));
	take(buf_str(&m), 1000, &b, NULL);
	assert_true(facts_decode(buf_str(&b), &f));
	assert_true(f.structure_cut && !f.envelope_cut);
	assert_true(str_eq(f.envelope.subject, STR("s")));
	assert_false(facts_tree(&f, &a, &t));

	buf_clear(&m);
	buf_clear(&b);
	buf_add(&m, STR("To: x"));
	for (int i = 0; i < 5000; i++)
		buf_add(&m, STR(",\r\n aaa@b"));
	buf_add(&m, STR("\r\n\r\nbody"));
	take(buf_str(&m), 1000, &b, NULL);
	assert_true(facts_decode(buf_str(&b), &f));
	assert_true(f.envelope_cut);
	assert_true(str_eq(f.preview, STR("body")));

	buf_clear(&m);
	buf_clear(&b);
	buf_add(&m, STR("References:"));
	for (int i = 0; i < 100; i++)
		buf_addf(&m, " <r%d@x>\r\n", i);
	buf_add(&m, STR("\r\n"));
	take(buf_str(&m), 1000, &b, &refs);
	assert_int_equal(refs.n, FACTS_REFS_BYTES);
	assert_true(ref_at(&refs, 0) == 0);
	assert_true(ref_at(&refs, 1) == facts_ref(STR("r0@x")));
	assert_true(ref_at(&refs, 20) == facts_ref(STR("r99@x")));
	arena_free(&a);
	buf_free(&m);
	buf_free(&b);
	buf_free(&refs);
}

static void damaged_facts_are_refused_or_harmless(void **state)
{
	struct buf coded = BUF(FACTS_MAX);
	struct facts f;

	(void)state;
	take(STR(MIXED), SIZE_MAX, &coded, NULL);
	assert_false(facts_decode(STR(""), &f));
	assert_false(facts_decode(STR("\2\0"), &f));
	srand(5);
	for (int round = 0; round < 100000; round++) {
		struct arena a = ARENA(100000);
		struct buf b = BUF(FACTS_MAX);
		struct mime_tree t;

		buf_add(&b, str_head(buf_str(&coded), (size_t)rand() % (coded.n + 1)));
		for (int i = rand() % 4; i > 0 && b.n; i--)
			b.p[(size_t)rand() % b.n] = (char)rand();
		if (facts_decode(buf_str(&b), &f) && facts_tree(&f, &a, &t))
			for (uint32_t i = 0; i < t.n; i++) {
				assert_true(mime_body(&t.part[i]) + t.part[i].body_size <= t.size);
				assert_true(t.part[i].next > i && t.part[i].next <= t.n);
			}
		arena_free(&a);
		buf_free(&b);
	}
	buf_free(&coded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(facts_tell_envelope_structure_and_first_words),
		cmocka_unit_test(pieces_of_any_size_give_the_same_facts),
		cmocka_unit_test(previews_show_what_people_would_read_first),
		cmocka_unit_test(a_long_preview_ends_with_a_whole_character),
		cmocka_unit_test(what_is_too_much_says_so),
		cmocka_unit_test(damaged_facts_are_refused_or_harmless),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
