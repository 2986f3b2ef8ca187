#include "base/str.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct str str_c(const char *z)
{
	return z ? (struct str){ z, strlen(z) } : STR("");
}

struct str str_make(const void *p, size_t n)
{
	return n ? (struct str){ p, n } : STR("");
}

/* An all-zero slice is empty too, but memcmp() may not see its null pointer. */
static int compare(struct str a, struct str b, size_t n)
{
	return n ? memcmp(a.p, b.p, n) : 0;
}

bool str_eq(struct str a, struct str b)
{
	return a.n == b.n && compare(a, b, a.n) == 0;
}

bool str_eqi(struct str a, struct str b)
{
	return a.n == b.n && str_startsi(a, b);
}

int str_cmp(struct str a, struct str b)
{
	int d = compare(a, b, a.n < b.n ? a.n : b.n);

	if (d)
		return d;
	return a.n < b.n ? -1 : a.n > b.n;
}

bool str_starts(struct str s, struct str head)
{
	return s.n >= head.n && compare(s, head, head.n) == 0;
}

bool str_startsi(struct str s, struct str head)
{
	if (s.n < head.n)
		return false;
	for (size_t i = 0; i < head.n; i++)
		if (to_lower(s.p[i]) != to_lower(head.p[i]))
			return false;
	return true;
}

bool str_endsi(struct str s, struct str tail)
{
	return s.n >= tail.n && str_eqi(str_from(s, s.n - tail.n), tail);
}

bool str_take(struct str *s, struct str word)
{
	if (!str_startsi(*s, word))
		return false;
	*s = str_from(*s, word.n);
	return true;
}

bool str_cut(struct str s, char sep, struct str *head, struct str *tail)
{
	size_t at = str_find(s, sep);

	if (at == s.n)
		return false;
	*head = str_head(s, at);
	*tail = str_from(s, at + 1);
	return true;
}

bool str_rcut(struct str s, char sep, struct str *head, struct str *tail)
{
	for (size_t i = s.n; i-- > 0;) {
		if (s.p[i] != sep)
			continue;
		*head = str_head(s, i);
		*tail = str_from(s, i + 1);
		return true;
	}
	return false;
}

struct str str_word(struct str *s, char sep)
{
	struct str all = *s, word;

	if (str_cut(all, sep, &word, s))
		return word;
	*s = str_from(all, all.n);
	return all;
}

struct str str_from(struct str s, size_t start)
{
	if (start > s.n)
		start = s.n;
	return (struct str){ s.p + start, s.n - start };
}

struct str str_head(struct str s, size_t n)
{
	return (struct str){ s.p, n < s.n ? n : s.n };
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.n && is_blank(s.p[0]))
		s = str_from(s, 1);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

size_t str_find(struct str s, char c)
{
	const char *at = s.n ? memchr(s.p, c, s.n) : NULL;

	return at ? (size_t)(at - s.p) : s.n;
}

size_t str_search(struct str s, struct str needle)
{
	const char *at = s.n && needle.n ? memmem(s.p, s.n, needle.p, needle.n) : NULL;

	if (needle.n == 0)
		return 0;
	return at ? (size_t)(at - s.p) : s.n;
}

size_t str_searchi(struct str s, struct str needle)
{
	for (size_t i = 0; i + needle.n <= s.n; i++)
		if (str_startsi(str_from(s, i), needle))
			return i;
	return s.n;
}

bool str_u64(struct str s, uint64_t max, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint64_t d;

		if (!is_digit(s.p[i]))
			return false;
		d = (uint64_t)(s.p[i] - '0');
		if (d > max || v > (max - d) / 10)
			return false;
		v = v * 10 + d;
	}
	*out = v;
	return true;
}

bool str_z(struct str s, char *out, size_t size)
{
	bool fits = s.n < size && str_find(s, '\0') == s.n;

	if (size == 0)
		return false;
	if (fits && s.n)
		memcpy(out, s.p, s.n);
	out[fits ? s.n : 0] = '\0';
	return fits;
}

char *buf_room(struct buf *b, size_t n)
{
	size_t want, cap;
	char *p;

	if (b->over || n > b->max - b->n) {
		b->over = true;
		return NULL;
	}
	want = b->n + n;
	if (want > b->cap || !b->p) {
		cap = b->cap ? b->cap : 64;
		while (cap < want)
			cap *= 2;
		if (cap > b->max && want <= b->max)
			cap = b->max ? b->max : 1;
		p = realloc(b->p, cap);
		if (!p) {
			b->over = true;
			return NULL;
		}
		b->p = p;
		b->cap = cap;
	}
	return b->p + b->n;
}

void buf_grew(struct buf *b, size_t n)
{
	b->n += n;
}

void buf_add(struct buf *b, struct str s)
{
	char *p = buf_room(b, s.n);

	if (!p)
		return;
	if (s.n)
		memcpy(p, s.p, s.n);
	b->n += s.n;
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, (struct str){ &c, 1 });
}

void buf_addz(struct buf *b, const char *z)
{
	buf_add(b, str_c(z));
}

void buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	char small[256];
	int n;

	va_copy(again, ap);
	n = vsnprintf(small, sizeof small, fmt, ap);
	if (n < 0) {
		b->over = true;
	} else if ((size_t)n < sizeof small) {
		buf_add(b, (struct str){ small, (size_t)n });
	} else {
		/* vsnprintf ends with a NUL, which needs a byte that we then do not keep. */
		char *text = malloc((size_t)n + 1);

		if (text) {
			vsnprintf(text, (size_t)n + 1, fmt, again);
			buf_add(b, (struct str){ text, (size_t)n });
		} else {
			b->over = true;
		}
		free(text);
	}
	va_end(again);
}

void buf_addf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vaddf(b, fmt, ap);
	va_end(ap);
}

void buf_drop(struct buf *b, size_t n)
{
	if (n >= b->n) {
		b->n = 0;
		return;
	}
	memmove(b->p, b->p + n, b->n - n);
	b->n -= n;
}

void buf_cut(struct buf *b, size_t n)
{
	if (n < b->n)
		b->n = n;
}

void buf_clear(struct buf *b)
{
	b->n = 0;
	b->over = false;
}

void buf_free(struct buf *b)
{
	free(b->p);
	b->p = NULL;
	b->n = b->cap = 0;
}

bool buf_ok(const struct buf *b)
{
	return !b->over;
}

struct str buf_str(const struct buf *b)
{
	return str_make(b->p, b->n);
}
