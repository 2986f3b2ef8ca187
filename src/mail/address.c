#include "mail/address.h"
#include "base/utf8.h"

#include <arpa/inet.h>
#include <idn2.h>
#include <string.h>

enum { LABEL_MAX = 63 };

static int refuse(struct err *err, const char *why)
{
	return err_set(err, ERR_PERM, "%s", why);
}

/* RFC 5322 3.2.3 atext. */
static bool is_atext(char c)
{
	return is_alnum(c) || (c && strchr("!#$%&'*+-/=?^_`{|}~", c));
}

/* RFC 5321 4.1.2 Dot-string, with the UTF-8 of RFC 6531 3.3. */
static bool is_dot_string(struct str s)
{
	char before = '.';

	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i];

		if (c == '.' ? before == '.' : !is_atext(c) && (unsigned char)c < 0x80)
			return false;
		before = c;
	}
	return before != '.';
}

/* ---- domains ---------------------------------------------------------------------------- */

/* RFC 5321 4.1.2 Domain. Deviation: "_" passes for a letter, because such names exist in the DNS
 * and send mail. */
static int check_ascii_domain(struct str s, struct err *err)
{
	struct str rest = s;

	if (s.n > ADDRESS_DOMAIN_MAX)
		return err_set(err, ERR_LIMIT, "the domain is longer than 255 bytes");
	if (s.n == 0 || s.p[s.n - 1] == '.')
		return refuse(err, "the domain is empty or ends with a dot");
	while (rest.n) {
		struct str label = str_word(&rest, '.');

		if (label.n == 0 || label.n > LABEL_MAX)
			return refuse(
				err, "a label of the domain is empty or longer than 63 bytes");
		if (label.p[0] == '-' || label.p[label.n - 1] == '-')
			return refuse(err, "a label of the domain begins or ends with a hyphen");
		for (size_t i = 0; i < label.n; i++)
			if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
				return refuse(err, "the domain has a character that no domain has");
	}
	return 0;
}

/* U-labels to A-labels (RFC 5891). */
static int to_alabels(struct str s, char *out, size_t *n, struct err *err)
{
	uint8_t z[4 * ADDRESS_DOMAIN_MAX + 1], *ascii = NULL;
	int r;

	if (!utf8_valid(s) || !str_z(s, (char *)z, sizeof z))
		return refuse(err, "the domain is no valid UTF-8, or too long");
	r = idn2_lookup_u8(z, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK)
		return err_set(err, ERR_PERM, "the domain is no valid international name: %s",
			idn2_strerror(r));
	*n = strlen((const char *)ascii);
	if (*n <= ADDRESS_DOMAIN_MAX)
		memcpy(out, ascii, *n);
	idn2_free(ascii);
	if (*n > ADDRESS_DOMAIN_MAX)
		return err_set(err, ERR_LIMIT, "the domain is longer than 255 bytes");
	return 0;
}

int domain_canonical(struct str s, char *out, struct str *domain, struct err *err)
{
	size_t n = s.n;

	if (!utf8_is_ascii(s)) {
		if (to_alabels(s, out, &n, err) < 0)
			return -1;
		s = str_make(out, n);
	}
	if (check_ascii_domain(s, err) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		out[i] = to_lower(s.p[i]);
	*domain = str_make(out, n);
	return 0;
}

bool domain_same(struct str a, struct str b)
{
	char a_bytes[ADDRESS_DOMAIN_MAX], b_bytes[ADDRESS_DOMAIN_MAX];
	struct err err;

	if (domain_canonical(a, a_bytes, &a, &err) < 0 ||
		domain_canonical(b, b_bytes, &b, &err) < 0)
		return false;
	return str_eq(a, b);
}

void domain_print_unicode(struct buf *b, struct str domain)
{
	char z[ADDRESS_DOMAIN_MAX + 1], *u = NULL;

	if (str_searchi(domain, STR("xn--")) < domain.n && str_z(domain, z, sizeof z) &&
		idn2_to_unicode_8z8z(z, &u, 0) == IDN2_OK && domain_same(str_c(u), domain))
		buf_addz(b, u);
	else
		buf_add(b, domain);
	idn2_free(u);
}

/* RFC 5321 4.1.3: [192.0.2.1] and [IPv6:2001:db8::1], nothing else. */
static int literal_canonical(struct str s, char *out, struct str *domain, struct err *err)
{
	struct str inner = s.n > 2 ? str_make(s.p + 1, s.n - 2) : STR("");
	bool v6 = str_take(&inner, STR("IPv6:"));
	char z[INET6_ADDRSTRLEN];
	struct in6_addr ip;
	struct buf b = BUF(ADDRESS_DOMAIN_MAX);
	int r = -1;

	if (s.n < 2 || s.p[0] != '[' || s.p[s.n - 1] != ']' || !str_z(inner, z, sizeof z) ||
		inet_pton(v6 ? AF_INET6 : AF_INET, z, &ip) != 1) {
		refuse(err, "the address literal is no IP address");
		goto out;
	}
	inet_ntop(v6 ? AF_INET6 : AF_INET, &ip, z, sizeof z);
	buf_addf(&b, v6 ? "[IPv6:%s]" : "[%s]", z);
	if (!buf_ok(&b)) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	memcpy(out, b.p, b.n);
	*domain = str_make(out, b.n);
	r = 0;
out:
	buf_free(&b);
	return r;
}

/* ---- making and printing ------------------------------------------------------------------ */

static int check_local(struct str local, unsigned flags, struct err *err)
{
	if (local.n == 0)
		return refuse(err, "the local part is empty");
	if (local.n > ADDRESS_LOCAL_MAX)
		return err_set(err, ERR_LIMIT, "the local part is longer than 64 bytes");
	for (size_t i = 0; i < local.n; i++)
		if (is_ctl(local.p[i]))
			return refuse(err, "the local part has a control character");
	if (utf8_is_ascii(local))
		return 0;
	if (!(flags & ADDRESS_UTF8))
		return refuse(err, "the local part is not ASCII and SMTPUTF8 was not asked for");
	return utf8_valid(local) ? 0 : refuse(err, "the local part is no valid UTF-8");
}

static size_t printed_local(struct str local)
{
	size_t n = local.n;

	if (is_dot_string(local))
		return n;
	for (size_t i = 0; i < local.n; i++)
		n += local.p[i] == '"' || local.p[i] == '\\';
	return n + 2;
}

int address_make(struct str local, struct str domain, unsigned flags, struct address_store *store,
	struct address *a, struct err *err)
{
	struct str canonical;
	char *at;
	int r;

	if (check_local(local, flags, err) < 0)
		return -1;
	at = store->bytes + local.n;
	if (domain.n && domain.p[0] == '[')
		r = literal_canonical(domain, at, &canonical, err);
	else
		r = domain_canonical(domain, at, &canonical, err);
	if (r < 0)
		return -1;
	if (printed_local(local) + 1 + canonical.n + 2 > ADDRESS_PATH_MAX)
		return err_set(err, ERR_LIMIT, "the address is longer than 254 bytes");
	memmove(store->bytes, local.p, local.n);
	a->local = str_make(store->bytes, local.n);
	a->domain = canonical;
	return 0;
}

bool address_is_null(const struct address *a)
{
	return a->local.n == 0 && a->domain.n == 0;
}

bool address_eq(const struct address *a, const struct address *b)
{
	return str_eq(a->local, b->local) && str_eq(a->domain, b->domain);
}

bool address_is_ascii(const struct address *a)
{
	return utf8_is_ascii(a->local);
}

void address_print(struct buf *b, const struct address *a)
{
	if (a->local.n == 0 || is_dot_string(a->local)) {
		buf_add(b, a->local);
	} else {
		buf_addc(b, '"');
		for (size_t i = 0; i < a->local.n; i++) {
			if (a->local.p[i] == '"' || a->local.p[i] == '\\')
				buf_addc(b, '\\');
			buf_addc(b, a->local.p[i]);
		}
		buf_addc(b, '"');
	}
	if (a->domain.n) {
		buf_addc(b, '@');
		buf_add(b, a->domain);
	}
}

void address_print_path(struct buf *b, const struct address *a)
{
	buf_addc(b, '<');
	address_print(b, a);
	buf_addc(b, '>');
}

/* ---- parsing the envelope's form ------------------------------------------------------------- */

/* RFC 5321 4.1.2 Quoted-string at the front of s, unquoted into out. */
static int take_quoted(struct str *s, char *out, size_t *n, struct err *err)
{
	size_t i = 1;

	for (*n = 0; i < s->n && s->p[i] != '"'; i++) {
		if (s->p[i] == '\\')
			i++;
		if (i == s->n || is_ctl(s->p[i]))
			return refuse(err, "a quoted local part has a control character or no end");
		if (*n == ADDRESS_LOCAL_MAX)
			return err_set(err, ERR_LIMIT, "the local part is longer than 64 bytes");
		out[(*n)++] = s->p[i];
	}
	if (i >= s->n)
		return refuse(err, "a quoted local part has no end");
	*s = str_from(*s, i + 1);
	return 0;
}

static int take_local(struct str *s, char *out, struct str *local, struct err *err)
{
	size_t n = 0;

	if (s->n && s->p[0] == '"') {
		if (take_quoted(s, out, &n, err) < 0)
			return -1;
		*local = str_make(out, n);
		return 0;
	}
	while (n < s->n && s->p[n] != '@' && s->p[n] != '>')
		n++;
	*local = str_head(*s, n);
	*s = str_from(*s, n);
	if (!is_dot_string(*local))
		return refuse(err,
			local->n ? "the local part has a character that needs quotes, or a "
				   "misplaced dot"
				 : "the local part is empty");
	return 0;
}

/* RFC 5321 4.1.1.3 and appendix C: a source route is understood and ignored. */
static int drop_route(struct str *s, struct err *err)
{
	struct str route, rest, word, canonical;
	char bytes[ADDRESS_DOMAIN_MAX];

	if (s->n == 0 || s->p[0] != '@')
		return 0;
	if (!str_cut(*s, ':', &route, &rest))
		return refuse(err, "a source route has no end");
	if (route.n && route.p[route.n - 1] == ',')
		return refuse(err, "a source route ends with a comma");
	*s = rest;
	while (route.n) {
		word = str_word(&route, ',');
		if (word.n < 2 || word.p[0] != '@' ||
			domain_canonical(str_from(word, 1), bytes, &canonical, err) < 0)
			return refuse(err, "a source route names no domain");
	}
	return 0;
}

/* local@domain up to `end`, which is not taken. */
static int take_mailbox(struct str *s, char end, unsigned flags, struct address_store *store,
	struct address *a, struct err *err)
{
	char bytes[ADDRESS_LOCAL_MAX];
	struct str local, domain;

	if (take_local(s, bytes, &local, err) < 0)
		return -1;
	if ((s->n == 0 || s->p[0] == end) && (flags & ADDRESS_POSTMASTER) &&
		str_eqi(local, STR("postmaster"))) {
		memcpy(store->bytes, "postmaster", 10);
		*a = (struct address){ str_make(store->bytes, 10), STR("") };
		return 0;
	}
	if (!str_take(s, STR("@")))
		return refuse(err, "the address has no @ where it belongs");
	domain = end ? str_head(*s, str_find(*s, end)) : *s;
	*s = str_from(*s, domain.n);
	return address_make(local, domain, flags, store, a, err);
}

int address_path(struct str s, unsigned flags, struct address_store *store, struct address *a,
	struct str *rest, struct err *err)
{
	if (!str_take(&s, STR("<")))
		return refuse(err, "the address does not begin with <");
	if (s.n && s.p[0] == '>' && (flags & ADDRESS_NULL)) {
		*a = (struct address){ STR(""), STR("") };
	} else {
		if (drop_route(&s, err) < 0)
			return -1;
		if (take_mailbox(&s, '>', flags, store, a, err) < 0)
			return -1;
	}
	if (!str_take(&s, STR(">")))
		return refuse(err, "the address does not end with >");
	if (!rest && s.n)
		return refuse(err, "something follows the address");
	if (rest)
		*rest = s;
	return 0;
}

int address_mailbox(struct str s, unsigned flags, struct address_store *store, struct address *a,
	struct err *err)
{
	return take_mailbox(&s, '\0', flags, store, a, err);
}
