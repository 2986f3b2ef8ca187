/* Whatever remote servers said and whatever the message was: a notification parses as one, in three
 * parts, and holds nothing that a line-based protocol could trip over. Submitted heads likewise
 * come out with one reading. */
#include "mail/dsn.h"
#include "mail/header.h"
#include "mail/mime.h"
#include "mail/trace.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_lines(struct str s, bool eight_bit)
{
	size_t length = 0;

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		check(c != '\0' && (c != '\n' || (i && s.p[i - 1] == '\r')));
		check(c != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		check(eight_bit || (unsigned char)c < 0x80);
		length = c == '\n' ? 0 : length + 1;
		check(length <= 999); /* 998 and the CR */
	}
}

static void check_report(struct str message)
{
	struct mime_parser *p = mime_parser_new(&MIME_LIMITS, NULL);
	struct mime_tree t;
	struct mime_info info;
	struct err err;

	check(p);
	mime_parser_feed(p, message);
	check(mime_parser_finish(p, &t, &err) == 0);
	mime_info_read(&t.part[0], &info);
	check(mime_is_type(&info, STR("multipart"), STR("report")));
	check(t.n >= 4 && t.part[1].next == 2 && t.part[2].next == 3);
	check(t.part[3].parent == 0 && t.part[3].next == t.n);
	mime_info_read(&t.part[2], &info);
	check(mime_is_type(&info, STR("message"), STR("delivery-status")));
	mime_parser_free(&p);
}

static void check_head_fix(struct str head)
{
	const struct head_fix fix = { { 0, 0 }, STR_INIT("id"), STR_INIT("host"),
		STR_INIT("<a@b>") };
	struct buf out = BUF(head.n + 1000);
	struct header_iter it;
	struct header_field f;
	struct err err;
	size_t len;

	if (head_fix_submission(head, &fix, &out, &err) == 0) {
		check(head_find_end(buf_str(&out), &len));
		it = (struct header_iter)HEADER_ITER(str_head(buf_str(&out), len));
		while (header_next(&it, &f))
			check(f.name.n && !header_is(&f, STR("Bcc")));
		check(header_count(it.head, STR("From")) && header_count(it.head, STR("Date")));
	}
	buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_make(data, n), mta = str_word(&rest, '|'),
		   said = str_word(&rest, '|');
	struct str original = str_word(&rest, '|'), status = str_word(&rest, '|');
	enum dsn_action action = (enum dsn_action)(n % 5);
	const struct dsn_recipient rcpt[] = {
		{ { STR_INIT("joe"), STR_INIT("x.y") }, original, action, status, mta, said, 1, 2 },
		{ { STR_INIT("j\xc3\xbc"), STR_INIT("x.y") }, STR_INIT(""), DSN_FAILED, status,
			STR_INIT(""), said, 0, 0 },
	};
	const struct dsn d = { .host = mta,
		.to = { STR_INIT("ann"), STR_INIT("x.y") },
		.id = STR_INIT("id"),
		.envelope_id = said,
		.recipients = rcpt,
		.n = 2,
		.original = rest,
		.whole = n % 2 };
	struct buf out = BUF(n * 8 + 10000);
	struct arena a = ARENA(10000);
	struct head_senders s;
	struct err err;

	check(dsn_compose(&d, &out, &err) == 0);
	check_lines(buf_str(&out), d.whole);
	check_report(buf_str(&out));
	check_head_fix(rest);
	if (head_senders(rest, &a, &s, &err) == 0)
		check(header_count(rest, STR("From")) == 1 && s.n > 0);
	arena_free(&a);
	buf_free(&out);
	return 0;
}
