#include "imap/search_private.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void inside(struct str part, struct str whole)
{
	if (part.n > whole.n + 4 * IMAP_LINE_MAX)
		abort();
}

static void one(unsigned which, struct imap_in *in)
{
	struct imap_view view = { .v = NULL };
	struct imap_search search;
	struct imap_fetch fetch;
	struct imap_flags flags;
	struct imap_set set;
	struct str s, whole = in->s;
	int64_t when;
	bool nil;

	imap_view_append(&view, 1, 7);
	switch (which % 8) {
	case 0:
		imap_in_search(in, &view, &search);
		break;
	case 1:
		imap_in_fetch(in, &fetch);
		break;
	case 2:
		while (imap_in_astring(in, &s) && imap_in_space(in))
			inside(s, whole);
		break;
	case 3:
		while (imap_in_nstring(in, &s, &nil) && imap_in_space(in))
			inside(s, whole);
		break;
	case 4:
		if (imap_in_mailbox(in, &s) && s.n > IMAP_NAME_MAX)
			abort();
		break;
	case 5:
		if (imap_in_flags(in, &flags) && flags.keywords.n > IMAP_FLAGS_MAX)
			abort();
		break;
	case 6:
		while (imap_in_set(in, &set) && imap_in_space(in))
			;
		break;
	default:
		if (imap_in_pattern(in, &s) && imap_in_space(in) && imap_in_date(in, &when) &&
			imap_in_space(in))
			imap_in_date_time(in, &when);
	}
	imap_view_free(&view);
}

/* Each grammar on any bytes: a value or a reason. The first byte chooses. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena mem = ARENA(IMAP_ARENA_MAX);
	struct imap_in in = { .mem = &mem };

	if (n == 0)
		return 0;
	in.s = str_make(data + 1, n - 1);
	one(data[0], &in);
	if (in.s.n > n)
		abort();
	arena_free(&mem);
	return 0;
}
