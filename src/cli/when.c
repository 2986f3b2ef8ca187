#include "cli/when.h"

#include <time.h>

enum { AGO_MAX = 1000000 };

/* So many digits, and what stands after them is dropped. */
static bool take_number(struct str *s, size_t digits, char after, int *out)
{
	uint64_t v;

	if (s->n < digits || !str_u64(str_head(*s, digits), 9999, &v))
		return false;
	*s = str_from(*s, digits);
	*out = (int)v;
	if (!after)
		return true;
	if (s->n == 0 || (s->p[0] != after && !(after == ' ' && s->p[0] == 'T')))
		return false;
	*s = str_from(*s, 1);
	return true;
}

static bool date(struct str s, int64_t *out)
{
	struct tm tm = { .tm_isdst = -1 };

	if (s.n == 0 || !is_digit(s.p[s.n - 1]))
		return false;
	if (!take_number(&s, 4, '-', &tm.tm_year) || !take_number(&s, 2, '-', &tm.tm_mon) ||
		!take_number(&s, 2, s.n > 2 ? ' ' : 0, &tm.tm_mday))
		return false;
	if (s.n &&
		(!take_number(&s, 2, ':', &tm.tm_hour) ||
			!take_number(&s, 2, s.n > 2 ? ':' : 0, &tm.tm_min) ||
			(s.n && !take_number(&s, 2, 0, &tm.tm_sec))))
		return false;
	if (s.n || tm.tm_mon < 1 || tm.tm_mon > 12 || tm.tm_mday < 1 || tm.tm_mday > 31 ||
		tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_year < 1970)
		return false;
	tm.tm_year -= 1900;
	tm.tm_mon--;
	*out = (int64_t)mktime(&tm);
	return *out != -1;
}

static bool ago(struct str s, int64_t now, int64_t *out)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 7 * 86400 } };
	uint64_t n;

	if (s.n < 2 || !str_u64(str_head(s, s.n - 1), AGO_MAX, &n))
		return false;
	for (size_t i = 0; i < sizeof units / sizeof *units; i++)
		if (s.p[s.n - 1] == units[i].letter) {
			*out = now - (int64_t)n * units[i].seconds;
			return true;
		}
	return false;
}

int when_parse(struct str text, int64_t now, int64_t *out, struct err *err)
{
	*out = now;
	if (str_eqi(text, STR("now")) || ago(text, now, out) || date(text, out))
		return 0;
	return err_set(err, ERR_PERM,
		"a time is written 2026-11-30, \"2026-11-30 17:54\", or 3d for three days ago");
}
