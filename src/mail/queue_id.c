#include "mail/queue_id.h"

#include <string.h>

static const char digits[] = "0123456789abcdefghjkmnpqrstvwxyz";

void queue_id_print(uint64_t id, char text[QUEUE_ID_SIZE])
{
	for (int i = QUEUE_ID_SIZE - 2; i >= 0; i--, id >>= 5)
		text[i] = digits[id & 31];
	text[QUEUE_ID_SIZE - 1] = '\0';
}

bool queue_id_parse(struct str text, uint64_t *id)
{
	uint64_t v = 0;

	if (text.n != QUEUE_ID_SIZE - 1)
		return false;
	for (size_t i = 0; i < text.n; i++) {
		const char *at = text.p[i] ? strchr(digits, to_lower(text.p[i])) : NULL;

		/* 13 digits hold 65 bits: the first has room for four only. */
		if (!at || (i == 0 && at - digits > 15))
			return false;
		v = v << 5 | (uint64_t)(at - digits);
	}
	*id = v;
	return true;
}
