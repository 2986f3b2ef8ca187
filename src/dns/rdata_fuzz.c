/* Any bytes as record data of every type: a value or an error, and a name that is a name. */
#include "dns/rdata.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	struct buf name = BUF(DNS_NAME_MAX + 1), text = BUF(DNS_TXT_MAX);
	char address[DNS_ADDRESS_SIZE];
	struct err err = ERR_INIT;
	struct dns_tlsa tlsa;
	uint16_t preference;

	if (dns_read_name(in, &name, &err) == 0)
		check(dns_name_ok(buf_str(&name)));
	buf_clear(&name);
	if (dns_read_mx(in, &preference, &name, &err) == 0)
		check(dns_name_ok(buf_str(&name)));
	if (dns_read_address(DNS_TYPE_A, in, address, &err) == 0)
		check(n == 4 && strlen(address) >= 7);
	if (dns_read_address(DNS_TYPE_AAAA, in, address, &err) == 0)
		check(n == 16 && strlen(address) >= 2);
	if (dns_read_txt(in, &text, &err) == 0)
		check(text.n < n);
	if (dns_read_tlsa(in, &tlsa, &err) == 0)
		check(tlsa.data.p + tlsa.data.n == in.p + n);
	(void)dns_name_ok(in);
	buf_free(&name);
	buf_free(&text);
	return 0;
}
