/* How a list in the DNS is written: ZONE[=CODES][:ACTION]. */
#include "conf/conf_private.h"

/* "4", "2-11" or "*". */
static bool range(struct str text, unsigned char *low, unsigned char *high)
{
	struct str from = text, to = text;
	uint64_t a, b;

	*low = 0;
	*high = 255;
	if (str_eq(text, STR("*")))
		return true;
	(void)str_cut(text, '-', &from, &to);
	if (!str_u64(from, 255, &a) || !str_u64(to, 255, &b) || a > b)
		return false;
	*low = (unsigned char)a;
	*high = (unsigned char)b;
	return true;
}

static bool codes(struct str text, struct conf_dnslist *l)
{
	for (int i = 0; i < 4; i++) {
		struct str part = text;

		if (i < 3 && !str_cut(text, '.', &part, &text))
			return false;
		if (!range(part, &l->low[i], &l->high[i]))
			return false;
	}
	/* RFC 5782 2.1: answers are in 127.0.0.0/8 */
	return l->low[0] == 127 && l->high[0] == 127;
}

bool conf_dnslist_parse(struct str text, const char *choices, struct conf_dnslist *l)
{
	struct str action, wanted;
	uint64_t which = 0;

	*l = (struct conf_dnslist){ .zone = text };
	if (str_cut(text, ':', &l->zone, &action) &&
		!(choices && conf_choice(choices, action, &which)))
		return false;
	l->action = (unsigned)which;
	text = l->zone;
	if (!str_cut(text, '=', &l->zone, &wanted))
		wanted = STR("127.*.*.*");
	return codes(wanted, l) && conf_is_name(l->zone) && l->zone.n <= 180;
}
