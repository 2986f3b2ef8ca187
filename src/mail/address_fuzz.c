/* Any bytes are an address or none. What is one prints and parses back as the same, and has no
 * byte that could end a line or a bracket early. Lists end. */
#include "mail/address.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void check_address(const struct address *a, unsigned flags)
{
	struct err err;
	struct address_store store;
	struct address back;
	struct buf b = BUF(ADDRESS_PATH_MAX);

	address_print_path(&b, a);
	check(buf_ok(&b));
	for (size_t i = 0; i < b.n; i++)
		check(!is_ctl(b.p[i]));
	check(address_path(buf_str(&b), flags, &store, &back, NULL, &err) == 0);
	check(address_eq(a, &back));
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum { ALL = ADDRESS_NULL | ADDRESS_POSTMASTER | ADDRESS_UTF8 };
	struct str in = str_make(data, n), rest;
	struct err err;
	struct address_store store;
	struct address a;
	struct address_list l;
	struct address_item item;

	if (address_path(in, ALL, &store, &a, &rest, &err) == 0)
		check_address(&a, ALL);
	if (address_mailbox(in, ADDRESS_UTF8, &store, &a, &err) == 0)
		check_address(&a, ADDRESS_UTF8);
	address_list_init(&l, in);
	while (address_list_next(&l, &item))
		if (item.kind == ADDRESS_ITEM_MAILBOX &&
			address_make(item.local, item.domain, ADDRESS_UTF8, &store, &a, &err) == 0)
			check_address(&a, ADDRESS_UTF8);
	check(l.items <= ADDRESS_LIST_MAX);
	address_list_free(&l);
	return 0;
}
