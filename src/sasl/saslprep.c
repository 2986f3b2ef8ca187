#include "sasl/saslprep.h"

#include "base/utf8.h"

#include <string.h>
#include <utf8proc.h>

struct span {
	uint32_t first, last;
};

/* RFC 3454 C.1.2: spaces that become the one space. */
static const struct span spaces[] = { { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200b },
	{ 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 } };

/* RFC 3454 B.1: mapped to nothing. */
static const struct span nothing[] = { { 0xad, 0xad }, { 0x34f, 0x34f }, { 0x1806, 0x1806 },
	{ 0x180b, 0x180d }, { 0x200c, 0x200d }, { 0x2060, 0x2060 }, { 0xfe00, 0xfe0f },
	{ 0xfeff, 0xfeff } };

/* RFC 3454 C.2.1 to C.9: prohibited. */
static const struct span prohibited[] = { { 0, 0x1f }, { 0x7f, 0x9f }, { 0x340, 0x341 },
	{ 0x6dd, 0x6dd }, { 0x70f, 0x70f }, { 0x180e, 0x180e }, { 0x200e, 0x200f },
	{ 0x2028, 0x202e }, { 0x2061, 0x2063 }, { 0x206a, 0x206f }, { 0x2ff0, 0x2ffb },
	{ 0xe000, 0xf8ff }, { 0xfdd0, 0xfdef }, { 0xfff9, 0xfffd }, { 0x1d173, 0x1d17a },
	{ 0xe0001, 0xe007f }, { 0xf0000, 0x10ffff } };

#define IN(table, c) is_in(table, sizeof(table) / sizeof(table)[0], c)

static bool is_in(const struct span *table, size_t n, uint32_t c)
{
	for (size_t i = 0; i < n; i++)
		if (c >= table[i].first && c <= table[i].last)
			return true;
	return false;
}

/* RFC 3454 C.4: the last two code points of every plane are no characters. */
static bool is_prohibited(uint32_t c)
{
	return (c & 0xfffe) == 0xfffe || IN(prohibited, c);
}

static bool is_plain(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n > 0;
}

static int no_form(struct err *err)
{
	return err_set(err, ERR_PERM, "the password cannot be prepared");
}

/* RFC 4013 2.1: what is mapped before normalising; never longer than it was. */
static struct str map_into(struct str text, struct secret *room)
{
	size_t n = 0;
	uint32_t c;

	while (utf8_next(&text, &c, NULL)) {
		if (IN(nothing, c))
			continue;
		n += utf8_encode(IN(spaces, c) ? ' ' : c, room->p + n);
	}
	return str_make(room->p, n);
}

/* RFC 4013 2.2: NFKC. The library works on code points, in room that is secret too. */
static int normalise(struct str mapped, struct secret *room, struct str *text, struct err *err)
{
	const utf8proc_option_t how = UTF8PROC_STABLE | UTF8PROC_COMPOSE | UTF8PROC_COMPAT;
	const utf8proc_uint8_t *from = (const utf8proc_uint8_t *)mapped.p;
	utf8proc_ssize_t len = (utf8proc_ssize_t)mapped.n;
	utf8proc_ssize_t n = utf8proc_decompose(from, len, NULL, 0, how);
	utf8proc_int32_t *points;

	if (n <= 0)
		return no_form(err);
	if (secret_alloc(room, ((size_t)n + 1) * sizeof *points, err) < 0)
		return -1;
	points = (utf8proc_int32_t *)(void *)room->p;
	n = utf8proc_decompose(from, len, points, n, how);
	if (n > 0)
		n = utf8proc_reencode(points, n, how);
	if (n <= 0)
		return no_form(err);
	*text = str_make(room->p, (size_t)n);
	return 0;
}

static bool all_allowed(struct str text)
{
	uint32_t c;

	while (utf8_next(&text, &c, NULL))
		if (is_prohibited(c))
			return false;
	return true;
}

int saslprep(struct str text, struct secret *out, struct err *err)
{
	struct secret mapped = SECRET_NONE, whole = SECRET_NONE;
	struct str done;
	int r = -1;

	*out = SECRET_NONE;
	if (is_plain(text))
		return secret_copy(out, text, err);
	if (text.n == 0 || text.n > SECRET_MAX / 128 || !utf8_valid(text))
		return no_form(err);
	if (secret_alloc(&mapped, text.n, err) < 0)
		return -1;
	if (normalise(map_into(text, &mapped), &whole, &done, err) == 0)
		r = all_allowed(done) ? secret_copy(out, done, err) : no_form(err);
	secret_free(&mapped);
	secret_free(&whole);
	return r;
}
