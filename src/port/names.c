#include "port/names.h"

#include "base/utf8.h"

#include <string.h>

void level_clean(struct str bytes, struct buf *name)
{
	uint32_t c;
	bool ok;

	while (utf8_next(&bytes, &c, &ok))
		if (!ok || (c < 0x80 && strchr("/%*", (int)c)) || c < 0x20 ||
			(c >= 0x7f && c < 0xa0))
			buf_addc(name, '_');
		else
			utf8_put(name, c);
}

/* The dot of an ending by which other programs know kinds of files. */
static bool is_ending(struct str level, size_t at)
{
	static const struct str endings[] = { STR_INIT(".sbd"), STR_INIT(".mbox"), STR_INIT(".mbx"),
		STR_INIT(".msf"), STR_INIT(".dat"), STR_INIT(".eml"), STR_INIT(".part") };

	for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
		if (str_eqi(str_from(level, at), endings[i]))
			return true;
	return false;
}

/* A dot at the beginning hides a file, and "." and ".." are none; at the end Windows drops it. */
static bool is_coded(unsigned char c, bool at_edge)
{
	return c < 0x20 || c == 0x7f || strchr("%/\\:*?\"<>|", c) || (at_edge && c == '.');
}

bool level_to_file(struct str level, struct buf *file)
{
	const size_t before = file->n;

	for (size_t i = 0; i < level.n; i++) {
		const unsigned char c = (unsigned char)level.p[i];

		if (is_coded(c, i == 0 || i + 1 == level.n || is_ending(level, i)))
			buf_addf(file, "%%%02X", c);
		else
			buf_addc(file, (char)c);
	}
	return buf_ok(file) && file->n - before <= LEVEL_FILE && level.n > 0;
}

static int digit(char c)
{
	if (is_digit(c))
		return c - '0';
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

void level_from_file(struct str file, struct buf *level)
{
	struct buf bytes = BUF(1 << 16);

	for (size_t i = 0; i < file.n; i++) {
		const int high = i + 2 < file.n && file.p[i] == '%' ? digit(file.p[i + 1]) : -1,
			  low = high < 0 ? -1 : digit(file.p[i + 2]);
		const int c = low < 0 ? -1 : high * 16 + low;

		if (c > 0 && is_coded((unsigned char)c, true)) {
			buf_addc(&bytes, (char)c);
			i += 2;
		} else {
			buf_addc(&bytes, file.p[i]);
		}
	}
	level_clean(buf_str(&bytes), level);
	buf_free(&bytes);
}
