/* rdata.h - what stands in a DNS record: bytes from the network to values. Pure and total.
 *
 * The resolver gives record data without compression. Names come out as text in lower case without
 * the final dot; the root is ".". Only names of letters, digits, '-' and '_' are taken: any other
 * byte in a name that mail is sent to is a trick or a mistake. Malformed data is ERR_PROTO.
 */
#ifndef DNS_RDATA_H
#define DNS_RDATA_H

#include "base/err.h"
#include "base/str.h"

enum dns_type {
	DNS_TYPE_A = 1,
	DNS_TYPE_NS = 2,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_PTR = 12,
	DNS_TYPE_MX = 15,
	DNS_TYPE_TXT = 16,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_TLSA = 52
};

enum { DNS_NAME_MAX = 253, DNS_ADDRESS_SIZE = 46, DNS_TXT_MAX = 4096 };

/* May this be asked? Letters, digits, '-', '_' in labels of 1 to 63; a final dot is fine; "." too.
 */
bool dns_name_ok(struct str name);

/* RFC 1035 3.3.1, 3.3.12: CNAME, PTR, NS. Appends to `name`. */
int dns_read_name(struct str rdata, struct buf *name, struct err *err);
/* RFC 1035 3.3.9. */
int dns_read_mx(struct str rdata, uint16_t *preference, struct buf *name, struct err *err);
/* RFC 1035 3.4.1, RFC 3596 2.2: `type` A or AAAA. */
int dns_read_address(
	enum dns_type type, struct str rdata, char text[DNS_ADDRESS_SIZE], struct err *err);
/* RFC 1035 3.3.14, RFC 7208 3.3: the strings of one record joined without a space. */
int dns_read_txt(struct str rdata, struct buf *text, struct err *err);

/* RFC 6698 2.1. Whether the numbers mean anything is for DANE to say. `data` points into rdata. */
struct dns_tlsa {
	uint8_t usage, selector, matching;
	struct str data;
};
int dns_read_tlsa(struct str rdata, struct dns_tlsa *tlsa, struct err *err);

#endif
