/* Any bytes are a file of aliases or have a line that is wrong. Names and targets hold no control
 * character, and no target is a program, a file or an include. */
#include "mail/aliases.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static int entry(void *arg, struct str name, struct str targets, struct err *err)
{
	(void)arg, (void)err;
	check(name.n > 0 && targets.n > 1 && targets.p[targets.n - 1] == '\n');
	for (size_t i = 0; i < name.n; i++)
		check(!is_ctl(name.p[i]));
	while (targets.n) {
		struct str one = str_word(&targets, '\n');

		check(one.n > 0 && one.p[0] != '|' && one.p[0] != ':');
		for (size_t i = 0; i < one.n; i++)
			check(!is_ctl(one.p[i]));
	}
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str text = { (const char *)data, n };
	struct err err = ERR_INIT;

	if (aliases_read(text, ALIASES_CLASSIC, entry, NULL, &err) < 0)
		check(str_starts(str_c(err.msg), STR("line ")));
	if (aliases_read(text, ALIASES_VIRTUAL, entry, NULL, &err) < 0)
		check(str_starts(str_c(err.msg), STR("line ")));
	return 0;
}
