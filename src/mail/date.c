#include "mail/date.h"

enum { MINUTE = 60, HOUR = 3600, DAY = 86400 };

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

struct civil {
	int64_t year;
	int month, day; /* from 1 */
	int hour, minute, second;
};

/* Days since 1970 of a day in the Gregorian calendar; years are counted from March, so that the
 * leap day is the last one. */
static int64_t days_from_civil(int64_t y, int m, int d)
{
	int64_t era, year_of_era, day_of_year;

	y -= m <= 2;
	era = y / 400; /* our years are never negative */
	year_of_era = y - era * 400;
	day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
		day_of_year - 719468;
}

static struct civil civil_from_unix(int64_t t)
{
	struct civil c;
	int64_t day = t / DAY, rest = t % DAY, era, doe, yoe, doy, mp;

	if (rest < 0) {
		rest += DAY;
		day--;
	}
	day += 719468;
	era = (day >= 0 ? day : day - 146096) / 146097;
	doe = day - era * 146097;
	yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	mp = (5 * doy + 2) / 153;
	c.day = (int)(doy - (153 * mp + 2) / 5 + 1);
	c.month = (int)(mp < 10 ? mp + 3 : mp - 9);
	c.year = yoe + era * 400 + (c.month <= 2);
	c.hour = (int)(rest / HOUR);
	c.minute = (int)(rest % HOUR / MINUTE);
	c.second = (int)(rest % MINUTE);
	return c;
}

static int month_length(int64_t year, int month)
{
	static const char length[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return month == 2 && leap ? 29 : length[month - 1];
}

static bool to_date(const struct civil *c, int zone, struct date *d)
{
	if (c->year < 1900 || c->year > 9999 || c->month < 1 || c->day < 1 ||
		c->day > month_length(c->year, c->month))
		return false;
	/* RFC 5322 3.3: 60 is a leap second, which the clock of the system counts as 59. */
	if (c->hour > 23 || c->minute > 59 || c->second > 60)
		return false;
	d->zone = zone;
	d->unix = days_from_civil(c->year, c->month, c->day) * DAY + c->hour * HOUR +
		c->minute * MINUTE + (c->second == 60 ? 59 : c->second) - (int64_t)zone * MINUTE;
	return true;
}

/* Skip white space, line breaks and comments (which nest). */
static void skip_cfws(struct str *s)
{
	size_t i = 0, depth = 0;

	for (; i < s->n; i++) {
		char c = s->p[i];

		if (depth && c == '\\')
			i++;
		else if (c == '(')
			depth++;
		else if (depth && c == ')')
			depth--;
		else if (!depth && !is_wsp(c) && c != '\r' && c != '\n')
			break;
	}
	*s = str_from(*s, i);
}

/* Take between min and max digits and no more follow. */
static bool take_number(struct str *s, size_t min, size_t max, int *out, size_t *digits)
{
	size_t n = 0;
	int v = 0;

	while (n < s->n && is_digit(s->p[n])) {
		if (n == max)
			return false;
		v = v * 10 + (s->p[n++] - '0');
	}
	if (n < min)
		return false;
	*s = str_from(*s, n);
	*out = v;
	if (digits)
		*digits = n;
	return true;
}

static struct str take_letters(struct str *s)
{
	size_t n = 0;
	struct str word;

	while (n < s->n && is_alpha(s->p[n]))
		n++;
	word = str_head(*s, n);
	*s = str_from(*s, n);
	return word;
}

static bool take_char(struct str *s, char c)
{
	if (s->n == 0 || s->p[0] != c)
		return false;
	*s = str_from(*s, 1);
	return true;
}

/* 1 to 12, or 0. Long names begin like the short ones. */
static int month_number(struct str word)
{
	if (word.n < 3)
		return 0;
	for (int i = 0; i < 12; i++)
		if (str_startsi(word, str_make(months + 3 * i, 3)))
			return i + 1;
	return 0;
}

/* RFC 5322 4.3: 00 to 49 are of this century, 50 to 999 count from 1900. */
static bool take_year(struct str *s, int64_t *year)
{
	size_t digits;
	int v;

	if (!take_number(s, 2, 4, &v, &digits))
		return false;
	*year = v;
	if (digits == 2)
		*year += v < 50 ? 2000 : 1900;
	else if (digits == 3)
		*year += 1900;
	return true;
}

static bool take_time(struct str *s, struct civil *c)
{
	c->second = 0;
	if (!take_number(s, 1, 2, &c->hour, NULL))
		return false;
	skip_cfws(s);
	if (!take_char(s, ':'))
		return false;
	skip_cfws(s);
	if (!take_number(s, 1, 2, &c->minute, NULL))
		return false;
	skip_cfws(s);
	if (!take_char(s, ':'))
		return true;
	skip_cfws(s);
	return take_number(s, 1, 2, &c->second, NULL);
}

static bool take_offset(struct str *s, int *zone)
{
	bool east = s->n && s->p[0] == '+';
	int v;

	*s = str_from(*s, 1);
	if (!take_number(s, 4, 4, &v, NULL) || v % 100 > 59 || v / 100 > 23)
		return false;
	*zone = v / 100 * 60 + v % 100;
	if (!east)
		*zone = -*zone;
	return true;
}

/* RFC 5322 4.3: the North American names mean something; all others are UTC. */
static int named_zone(struct str name)
{
	static const struct {
		struct str name;
		int zone;
	} zones[] = {
		{ STR_INIT("EST"), -300 },
		{ STR_INIT("EDT"), -240 },
		{ STR_INIT("CST"), -360 },
		{ STR_INIT("CDT"), -300 },
		{ STR_INIT("MST"), -420 },
		{ STR_INIT("MDT"), -360 },
		{ STR_INIT("PST"), -480 },
		{ STR_INIT("PDT"), -420 },
	};

	for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++)
		if (str_eqi(name, zones[i].name))
			return zones[i].zone;
	return 0;
}

bool date_parse(struct str s, struct date *d)
{
	struct civil c;
	int zone = 0;

	skip_cfws(&s);
	if (take_letters(&s).n) { /* the day's name says nothing that the date does not */
		skip_cfws(&s);
		take_char(&s, ',');
		skip_cfws(&s);
	}
	if (!take_number(&s, 1, 2, &c.day, NULL))
		return false;
	skip_cfws(&s);
	take_char(&s, '-');
	c.month = month_number(take_letters(&s));
	skip_cfws(&s);
	take_char(&s, '-');
	if (c.month == 0 || !take_year(&s, &c.year))
		return false;
	skip_cfws(&s);
	if (!take_time(&s, &c))
		return false;
	skip_cfws(&s);
	if (s.n && (s.p[0] == '+' || s.p[0] == '-')) {
		if (!take_offset(&s, &zone))
			return false;
	} else {
		zone = named_zone(take_letters(&s));
	}
	return to_date(&c, zone, d);
}

void date_print(struct buf *b, struct date d)
{
	int64_t local = d.unix + (int64_t)d.zone * MINUTE;
	struct civil c = civil_from_unix(local);
	int64_t weekday = (date_day(d) % 7 + 7 + 4) % 7; /* 1970 began on a Thursday */
	int zone = d.zone < 0 ? -d.zone : d.zone;

	buf_addf(b, "%.3s, %02d %.3s %04lld %02d:%02d:%02d %c%02d%02d", days + 3 * weekday, c.day,
		months + 3 * (c.month - 1), (long long)c.year, c.hour, c.minute, c.second,
		d.zone < 0 ? '-' : '+', zone / 60, zone % 60);
}

static bool take_imap_day(struct str *s, struct civil *c)
{
	struct str month;
	size_t digits;
	int year;

	if (!take_number(s, 1, 2, &c->day, NULL) || !take_char(s, '-'))
		return false;
	month = take_letters(s);
	c->month = month_number(month);
	if (month.n != 3 || c->month == 0 || !take_char(s, '-'))
		return false;
	if (!take_number(s, 4, 4, &year, &digits))
		return false;
	c->year = year;
	return true;
}

bool date_imap_parse(struct str s, struct date *d)
{
	struct civil c;
	int zone;

	if (s.n != 26 || s.p[2] != '-' || s.p[6] != '-' || s.p[11] != ' ' || s.p[20] != ' ')
		return false;
	take_char(&s, ' ');
	if (!take_imap_day(&s, &c) || !take_char(&s, ' '))
		return false;
	if (!take_number(&s, 2, 2, &c.hour, NULL) || !take_char(&s, ':') ||
		!take_number(&s, 2, 2, &c.minute, NULL) || !take_char(&s, ':') ||
		!take_number(&s, 2, 2, &c.second, NULL) || !take_char(&s, ' '))
		return false;
	if (s.p[0] != '+' && s.p[0] != '-')
		return false;
	return take_offset(&s, &zone) && s.n == 0 && to_date(&c, zone, d);
}

void date_imap_print(struct buf *b, struct date d)
{
	struct civil c = civil_from_unix(d.unix + (int64_t)d.zone * MINUTE);
	int zone = d.zone < 0 ? -d.zone : d.zone;

	buf_addf(b, "%02d-%.3s-%04lld %02d:%02d:%02d %c%02d%02d", c.day, months + 3 * (c.month - 1),
		(long long)c.year, c.hour, c.minute, c.second, d.zone < 0 ? '-' : '+', zone / 60,
		zone % 60);
}

bool date_imap_day_parse(struct str s, int64_t *day)
{
	struct civil c = { 0 };
	struct date d;

	if (!take_imap_day(&s, &c) || s.n || !to_date(&c, 0, &d))
		return false;
	*day = date_day(d);
	return true;
}

int64_t date_day(struct date d)
{
	int64_t local = d.unix + (int64_t)d.zone * MINUTE;

	return local / DAY - (local % DAY < 0);
}

void date_iso_print(struct buf *b, int64_t unix)
{
	struct civil c = civil_from_unix(unix);

	buf_addf(b, "%04lld-%02d-%02dT%02d:%02d:%02dZ", (long long)c.year, c.month, c.day, c.hour,
		c.minute, c.second);
}

/* The fraction behind the seconds, and "Z" or "+01:00", to the end. */
static bool take_iso_end(struct str s, int64_t *nanos, int *zone)
{
	int64_t unit = 100000000;
	int hours, minutes;
	bool east;

	*nanos = *zone = 0;
	if (take_char(&s, '.')) {
		if (!s.n || !is_digit(s.p[0]))
			return false;
		for (; s.n && is_digit(s.p[0]); s = str_from(s, 1), unit /= 10)
			*nanos += (s.p[0] - '0') * unit;
	}
	if (s.n == 1 && (s.p[0] == 'Z' || s.p[0] == 'z'))
		return true;
	east = take_char(&s, '+');
	if ((!east && !take_char(&s, '-')) || !take_number(&s, 2, 2, &hours, NULL) ||
		!take_char(&s, ':') || !take_number(&s, 2, 2, &minutes, NULL))
		return false;
	*zone = (hours * 60 + minutes) * (east ? 1 : -1);
	return s.n == 0 && hours < 24 && minutes < 60;
}

bool date_iso_parse(struct str s, struct date *d, int64_t *nanos)
{
	struct civil c;
	int year, zone;

	if (!take_number(&s, 4, 4, &year, NULL) || !take_char(&s, '-') ||
		!take_number(&s, 2, 2, &c.month, NULL) || !take_char(&s, '-') ||
		!take_number(&s, 2, 2, &c.day, NULL) || !(take_char(&s, 'T') || take_char(&s, 't')))
		return false;
	if (!take_number(&s, 2, 2, &c.hour, NULL) || !take_char(&s, ':') ||
		!take_number(&s, 2, 2, &c.minute, NULL) || !take_char(&s, ':') ||
		!take_number(&s, 2, 2, &c.second, NULL))
		return false;
	c.year = year;
	return c.month <= 12 && take_iso_end(s, nanos, &zone) && to_date(&c, zone, d);
}
