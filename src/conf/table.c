/* The table as an array, and finding names in it. */
#include "conf/conf_private.h"

const struct setting conf_table[CONF_COUNT] = {
#define SETTING(id, name, type, fallback, demo, least, most, choices, sentence)                    \
	[CONF_##id] = { name, type, fallback, demo, least, most, choices, sentence },
#include "conf/settings.def"
#undef SETTING
};

const char *conf_name(enum conf_id id)
{
	return conf_table[id].name;
}

bool conf_is_list(const struct setting *s)
{
	return s->type == CONF_T_LISTEN || s->type == CONF_T_SERVER || s->type == CONF_T_NETWORKS ||
		s->type == CONF_T_DNSLISTS || s->type == CONF_T_ROUTES;
}

const struct setting *conf_find(struct str name, struct str *key)
{
	*key = STR("");
	for (size_t i = 0; i < CONF_COUNT; i++)
		if (str_eq(name, str_c(conf_table[i].name)))
			return &conf_table[i];
	for (size_t i = 0; i < CONF_COUNT; i++) {
		struct str rest = name;

		if (conf_table[i].type != CONF_T_ROUTES ||
			!str_take(&rest, str_c(conf_table[i].name)) || rest.n < 2 ||
			rest.p[0] != '.')
			continue;
		*key = str_from(rest, 1);
		return &conf_table[i];
	}
	return NULL;
}

enum { NEAR = 64 }; /* longer names are not compared */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t ab = a < b ? a : b;

	return ab < c ? ab : c;
}

/* How many letters to change, add or drop to make a from b. */
static size_t distance(struct str a, struct str b)
{
	size_t row[NEAR + 1];

	if (a.n > NEAR || b.n > NEAR)
		return NEAR;
	for (size_t k = 0; k <= b.n; k++)
		row[k] = k;
	for (size_t i = 1; i <= a.n; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t k = 1; k <= b.n; k++) {
			size_t above = row[k], change = to_lower(a.p[i - 1]) != b.p[k - 1];

			row[k] = least(above + 1, row[k - 1] + 1, diagonal + change);
			diagonal = above;
		}
	}
	return row[b.n];
}

/* "max-size" is near to "message.max-size". */
static struct str last_part(struct str name)
{
	struct str head, tail;

	return str_rcut(name, '.', &head, &tail) ? tail : name;
}

struct str conf_nearest(struct str name)
{
	size_t best = name.n / 3 < 3 ? name.n / 3 + 1 : 4, d;
	struct str near = STR("");

	for (size_t i = 0; i < CONF_COUNT; i++) {
		struct str candidate = str_c(conf_table[i].name);

		d = distance(name, candidate);
		if (d >= best && str_eqi(name, last_part(candidate)))
			d = best - 1;
		if (d >= best)
			continue;
		best = d;
		near = candidate;
	}
	return near;
}
