/* What the parser says of a beginning must not change with more bytes, and what it gives must be
 * addresses. */
#include "net/proxy.h"

#include "base/network.h"

#include <stdlib.h>

static void check(const struct proxy_header *h, size_t n)
{
	struct network net;

	if (h->size == 0 || h->size > n || h->size > PROXY_HEADER_MAX)
		abort();
	if (h->local != (h->client[0] == '\0') || h->local != (h->server[0] == '\0'))
		abort();
	if (!h->local &&
		(!network_parse(str_c(h->client), &net) || !network_parse(str_c(h->server), &net)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str all = str_make(data, n);
	struct proxy_header whole, part;
	struct err err = ERR_INIT;
	enum proxy_outcome got, last = PROXY_MORE;

	if (n > PROXY_HEADER_MAX + 64)
		return 0;
	got = proxy_parse(all, &whole, &err);
	if (got == PROXY_HEADER)
		check(&whole, n);
	for (size_t i = 1; i <= n && last == PROXY_MORE; i++) {
		char *copy =
			malloc(i); /* of its exact size, so that the sanitizer sees every byte */

		if (!copy)
			abort();
		for (size_t k = 0; k < i; k++)
			copy[k] = all.p[k];
		last = proxy_parse(str_make(copy, i), &part, &err);
		free(copy);
	}
	if (n && last != got)
		abort();
	if (got == PROXY_HEADER && (whole.size != part.size || whole.local != part.local))
		abort();
	return 0;
}
