/* Ranges of uids that grow. */
#include "store/entry.h"

void range_list_add_range(struct range_list *l, uint32_t first, uint32_t last)
{
	if (l->n && l->last.last != UINT32_MAX && l->last.last + 1 == first) {
		l->last.last = last;
		return;
	}
	if (l->n)
		effect_uid_range_put(&l->bytes, &l->last);
	l->last = (struct effect_uid_range){ first, last };
	l->n++;
}

void range_list_add(struct range_list *l, uint32_t uid)
{
	range_list_add_range(l, uid, uid);
}

struct str range_list_end(struct range_list *l)
{
	if (l->n && !l->ended)
		effect_uid_range_put(&l->bytes, &l->last);
	l->ended = true;
	return buf_str(&l->bytes);
}

void range_list_free(struct range_list *l)
{
	buf_free(&l->bytes);
	*l = RANGE_LIST;
}

bool ranges_valid(struct str ranges)
{
	struct effect_uid_range r;
	uint64_t least = 1;

	while (effect_uid_range_next(&ranges, &r)) {
		if (r.first < least || r.last < r.first)
			return false;
		least = (uint64_t)r.last + 1;
	}
	return ranges.n == 0;
}
