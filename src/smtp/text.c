#include "smtp/text.h"

#include <string.h>

static const char bare_cr[] = "a bare CR in the message";

/* Bytes without CR and LF. */
static const char *take_plain(struct text_check *t, struct str s)
{
	if (s.n && t->cr)
		return bare_cr;
	t->line += s.n;
	if (t->line > t->longest)
		t->longest = t->line;
	return memchr(s.p, '\0', s.n) ? "a NUL in the message" : NULL;
}

static const char *take_lf(struct text_check *t)
{
	if (!t->cr)
		return "a bare LF in the message";
	t->done = t->binary && t->line == 0;
	t->cr = false;
	t->line = 0;
	return NULL;
}

const char *text_check_feed(struct text_check *t, struct str in)
{
	const char *wrong = NULL;

	while (in.n && !wrong && !t->done) {
		const char *lf = memchr(in.p, '\n', in.n), *cr;
		size_t n = lf ? (size_t)(lf - in.p) : in.n;

		cr = memchr(in.p, '\r', n);
		n = cr ? (size_t)(cr - in.p) : n;
		wrong = take_plain(t, str_head(in, n));
		in = str_from(in, n);
		if (wrong || !in.n)
			break;
		if (in.p[0] == '\r') {
			wrong = t->cr ? bare_cr : NULL;
			t->cr = true;
		} else {
			wrong = take_lf(t);
		}
		in = str_from(in, 1);
	}
	return wrong;
}

const char *text_check_end(const struct text_check *t)
{
	return t->cr ? bare_cr : NULL;
}
