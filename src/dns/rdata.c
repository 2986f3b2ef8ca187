#include "dns/rdata.h"

#include <arpa/inet.h>

static bool is_name_char(char c)
{
	return is_alnum(c) || c == '-' || c == '_';
}

bool dns_name_ok(struct str name)
{
	size_t label = 0;

	if (str_eq(name, STR(".")))
		return true;
	if (name.n > 0 && name.p[name.n - 1] == '.')
		name.n--;
	if (name.n == 0 || name.n > DNS_NAME_MAX)
		return false;
	for (size_t i = 0; i <= name.n; i++) {
		if (i == name.n || name.p[i] == '.') {
			if (label == 0 || label > 63)
				return false;
			label = 0;
		} else if (is_name_char(name.p[i])) {
			label++;
		} else {
			return false;
		}
	}
	return true;
}

/* Take one name in wire form off the front. Without compression a length byte over 63 is an
 * error, so this ends after at most 128 labels. */
static bool take_name(struct str *s, struct buf *name)
{
	size_t start = name->n, len;

	for (;;) {
		if (s->n == 0)
			return false;
		len = (unsigned char)s->p[0];
		if (len == 0)
			break;
		if (len > 63 || len >= s->n)
			return false;
		if (name->n > start)
			buf_addc(name, '.');
		for (size_t i = 1; i <= len; i++) {
			if (!is_name_char(s->p[i]))
				return false;
			buf_addc(name, to_lower(s->p[i]));
		}
		*s = str_from(*s, len + 1);
		if (name->n - start > DNS_NAME_MAX || !buf_ok(name))
			return false;
	}
	*s = str_from(*s, 1);
	if (name->n == start)
		buf_addc(name, '.');
	return buf_ok(name);
}

int dns_read_name(struct str rdata, struct buf *name, struct err *err)
{
	if (!take_name(&rdata, name) || rdata.n > 0)
		return err_set(err, ERR_PROTO, "a DNS record with a malformed name");
	return 0;
}

int dns_read_mx(struct str rdata, uint16_t *preference, struct buf *name, struct err *err)
{
	if (rdata.n < 3)
		return err_set(err, ERR_PROTO, "an MX record that is too short");
	*preference = (uint16_t)((unsigned char)rdata.p[0] << 8 | (unsigned char)rdata.p[1]);
	return dns_read_name(str_from(rdata, 2), name, err);
}

int dns_read_address(
	enum dns_type type, struct str rdata, char text[DNS_ADDRESS_SIZE], struct err *err)
{
	int family = type == DNS_TYPE_A ? AF_INET : AF_INET6;

	if ((type != DNS_TYPE_A && type != DNS_TYPE_AAAA) ||
		rdata.n != (type == DNS_TYPE_A ? 4 : 16) ||
		!inet_ntop(family, rdata.p, text, DNS_ADDRESS_SIZE))
		return err_set(err, ERR_PROTO, "an address record of %zu bytes", rdata.n);
	return 0;
}

int dns_read_txt(struct str rdata, struct buf *text, struct err *err)
{
	if (rdata.n == 0)
		return err_set(err, ERR_PROTO, "an empty TXT record");
	while (rdata.n > 0) {
		size_t len = (unsigned char)rdata.p[0];

		if (len >= rdata.n)
			return err_set(err, ERR_PROTO, "a TXT record that ends early");
		buf_add(text, str_make(rdata.p + 1, len));
		rdata = str_from(rdata, len + 1);
	}
	return buf_ok(text) ? 0 : err_set(err, ERR_LIMIT, "a TXT record that is too long");
}

int dns_read_tlsa(struct str rdata, struct dns_tlsa *tlsa, struct err *err)
{
	if (rdata.n < 4) /* three numbers and at least a byte to compare */
		return err_set(err, ERR_PROTO, "a TLSA record that is too short");
	tlsa->usage = (uint8_t)rdata.p[0];
	tlsa->selector = (uint8_t)rdata.p[1];
	tlsa->matching = (uint8_t)rdata.p[2];
	tlsa->data = str_from(rdata, 3);
	return 0;
}
