/* Any line is one of these or none; what is printed is read back. */
#include "port/maildir.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void names(struct str in)
{
	struct buf b = BUF(1 << 20);
	struct maildir_name name, back;

	if (maildir_name_parse(in, &name)) {
		buf_add(&b, name.unique);
		maildir_info_print(&b, name.flags, name.letters);
		check(maildir_name_parse(buf_str(&b), &back));
		check(back.flags == name.flags && back.letters == name.letters);
		check(str_eq(back.unique, name.unique));
	}
	buf_free(&b);
}

static void folders(struct str in)
{
	struct buf name = BUF(1 << 20), dir = BUF(1 << 20), back = BUF(1 << 20);

	if (maildir_folder_decode(in, &name) && name.n < 1000) {
		check(utf8_valid(buf_str(&name)));
		maildir_folder_encode(buf_str(&name), &dir);
		check(str_find(buf_str(&dir), '/') == dir.n && dir.n > 1);
		if (maildir_folder_decode(buf_str(&dir), &back))
			check(str_eq(buf_str(&back), buf_str(&name)));
	}
	maildir_subscription(in, false, &name);
	maildir_subscription(in, true, &name);
	buf_free(&name);
	buf_free(&dir);
	buf_free(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n), word;
	uint32_t a, b;
	unsigned number;

	names(in);
	folders(in);
	if (maildir_keyword_line(in, &number, &word))
		check(number < MAILDIR_KEYWORDS && keyword_valid(word));
	maildir_uidlist_head(in, &a, &b);
	if (maildir_uidlist_line(in, &a, &word))
		check(a > 0 && word.n > 0);
	return 0;
}
