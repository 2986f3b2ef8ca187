/* Any bytes are a date or none; a date prints and reads back as itself. */
#include "mail/date.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	struct date d, back;
	int64_t day;

	if (date_parse(in, &d)) {
		struct buf b = BUF(64);

		date_print(&b, d);
		check(buf_ok(&b));
		check(date_parse(buf_str(&b), &back));
		check(back.unix == d.unix && back.zone == d.zone);
		buf_free(&b);
	}
	if (date_imap_parse(in, &d)) {
		struct buf b = BUF(64);

		date_imap_print(&b, d);
		check(date_imap_parse(buf_str(&b), &back));
		check(back.unix == d.unix && back.zone == d.zone);
		buf_free(&b);
	}
	date_imap_day_parse(in, &day);
	return 0;
}
