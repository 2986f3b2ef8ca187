#include "base/budget.h"

#include <stddef.h>

static const struct {
	const char *name, *words;
	bool lasts; /* beyond budget_renew() */
} kinds[BUDGET_KINDS] = {
	[BUDGET_MEMORY] = { "memory", "this session takes too much memory", true },
	[BUDGET_INPUT] = { "input", "too much input that led nowhere", false },
	[BUDGET_COMMANDS] = { "commands", "too many commands", false },
	[BUDGET_WORK] = { "work", "too much work that led nowhere", false },
	[BUDGET_ERRORS] = { "errors", "too many errors", false },
	[BUDGET_IDLING] = { "idling", "too many commands without a message", false },
	[BUDGET_LOGINS] = { "logins", "too many wrong passwords", true },
};

void budget_init(struct budget *b)
{
	*b = (struct budget){ 0 };
	for (int i = 0; i < BUDGET_KINDS; i++)
		b->most[i] = BUDGET_NO_LIMIT;
}

void budget_charge(struct budget *b, enum budget_kind kind, uint64_t n)
{
	uint64_t room = UINT64_MAX - b->used[kind];

	b->used[kind] += n < room ? n : room;
}

void budget_give_back(struct budget *b, enum budget_kind kind, uint64_t n)
{
	b->used[kind] -= n < b->used[kind] ? n : b->used[kind];
}

void budget_renew(struct budget *b)
{
	for (int i = 0; i < BUDGET_KINDS; i++)
		if (!kinds[i].lasts)
			b->used[i] = 0;
}

bool budget_over(const struct budget *b, enum budget_kind *kind)
{
	for (int i = 0; i < BUDGET_KINDS; i++)
		if (b->used[i] > b->most[i]) {
			if (kind)
				*kind = (enum budget_kind)i;
			return true;
		}
	return false;
}

const char *budget_words(enum budget_kind kind)
{
	return kinds[kind].words;
}

const char *budget_name(enum budget_kind kind)
{
	return kinds[kind].name;
}
