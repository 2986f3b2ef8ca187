#include "net/proxy.h"

#include "base/crc32c.h"
#include "net/conn_private.h"
#include "net/endpoint_private.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

enum {
	V1_MAX = 107, /* with CR LF */
	V2_HEAD = 16,
	TLV_HEAD = 3,
	TLV_CRC32C = 0x03,
	CRC_BYTES = 4,
};

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";
static const struct str v1_word = STR_INIT("PROXY ");

static enum proxy_outcome bad(struct err *err, const char *why)
{
	err_set(err, ERR_PROTO, "%s", why);
	return PROXY_BAD;
}

/* ---- version 1: a line ---- */

static bool put_address(int family, struct str text, char *out)
{
	struct endpoint e = { .u.any.sa_family = (sa_family_t)family };
	void *to = family == AF_INET ? (void *)&e.u.v4.sin_addr : (void *)&e.u.v6.sin6_addr;
	char z[INET6_ADDRSTRLEN];

	if (!str_z(text, z, sizeof z) || inet_pton(family, z, to) != 1)
		return false;
	endpoint_print(&e, out, sizeof((struct proxy_header *)0)->client);
	return true;
}

static bool put_port(struct str text, uint16_t *port)
{
	uint64_t v;

	if (!str_u64(text, 65535, &v) || text.n > 5 || (text.p[0] == '0' && text.n > 1))
		return false;
	*port = (uint16_t)v;
	return true;
}

static enum proxy_outcome v1_words(struct str line, struct proxy_header *h, struct err *err)
{
	struct str family = str_word(&line, ' ');
	int af = str_eq(family, STR("TCP4")) ? AF_INET : AF_INET6;

	if (str_eq(family, STR("UNKNOWN"))) { /* the rest of the line is nobody's business */
		h->local = true;
		return PROXY_HEADER;
	}
	if (!str_eq(family, STR("TCP4")) && !str_eq(family, STR("TCP6")))
		return bad(err, "a PROXY line with an unknown family");
	if (!put_address(af, str_word(&line, ' '), h->client) ||
		!put_address(af, str_word(&line, ' '), h->server))
		return bad(err, "a PROXY line with a broken address");
	if (!put_port(str_word(&line, ' '), &h->client_port) || !put_port(line, &h->server_port))
		return bad(err, "a PROXY line with a broken port");
	return PROXY_HEADER;
}

static enum proxy_outcome v1(struct str in, struct proxy_header *h, struct err *err)
{
	struct str seen = str_head(in, V1_MAX);
	size_t end = str_search(seen, STR("\r\n")), stray = str_find(seen, '\n');

	if (stray < (end < seen.n ? end + 1 : seen.n))
		return bad(err, "a PROXY line that does not end in CR LF");
	if (end == seen.n)
		return in.n < V1_MAX ? PROXY_MORE : bad(err, "a PROXY line that is too long");
	h->size = end + 2;
	return v1_words(str_from(str_head(seen, end), v1_word.n), h, err);
}

/* ---- version 2: binary ---- */

static unsigned u8(struct str s, size_t at)
{
	return (unsigned char)s.p[at];
}

static unsigned u16(struct str s, size_t at)
{
	return u8(s, at) << 8 | u8(s, at + 1);
}

/* The checksum is that of the whole header with zeros in its own place. */
static bool crc_right(struct str header, size_t at)
{
	static const char zeros[CRC_BYTES];
	size_t behind = at + CRC_BYTES;
	uint32_t want = (uint32_t)u16(header, at) << 16 | u16(header, at + 2);
	uint32_t got = crc32c(0, header.p, at);

	got = crc32c(got, zeros, sizeof zeros);
	return crc32c(got, header.p + behind, header.n - behind) == want;
}

static enum proxy_outcome v2_tlvs(struct str header, size_t at, struct err *err)
{
	while (at < header.n) {
		size_t left = header.n - at, length;

		if (left < TLV_HEAD)
			return bad(err, "a PROXY header whose last TLV is cut");
		length = u16(header, at + 1);
		if (length > left - TLV_HEAD)
			return bad(err, "a PROXY header whose last TLV is cut");
		if (u8(header, at) == TLV_CRC32C &&
			(length != CRC_BYTES || !crc_right(header, at + TLV_HEAD)))
			return bad(err, "a PROXY header with a wrong checksum");
		at += TLV_HEAD + length;
	}
	return PROXY_HEADER;
}

static void v2_addresses(struct str header, int family, struct proxy_header *h)
{
	size_t size = family == AF_INET ? 4 : 16, ports = V2_HEAD + 2 * size;
	struct endpoint client = { .u.any.sa_family = (sa_family_t)family }, server = client;

	if (family == AF_INET) {
		memcpy(&client.u.v4.sin_addr, header.p + V2_HEAD, size);
		memcpy(&server.u.v4.sin_addr, header.p + V2_HEAD + size, size);
	} else {
		memcpy(&client.u.v6.sin6_addr, header.p + V2_HEAD, size);
		memcpy(&server.u.v6.sin6_addr, header.p + V2_HEAD + size, size);
	}
	endpoint_print(&client, h->client, sizeof h->client);
	endpoint_print(&server, h->server, sizeof h->server);
	h->client_port = (uint16_t)u16(header, ports);
	h->server_port = (uint16_t)u16(header, ports + 2);
}

/* How many bytes of addresses each family has; those that a stream cannot have are refused. */
static const struct v2_family {
	unsigned number;
	size_t bytes;
	int family; /* AF_UNSPEC: nothing that we could call a client */
} v2_families[] = {
	{ 0x00, 0, AF_UNSPEC },
	{ 0x11, 12, AF_INET },
	{ 0x21, 36, AF_INET6 },
	{ 0x31, 216, AF_UNSPEC },
};

static enum proxy_outcome v2_proxied(struct str header, struct proxy_header *h, struct err *err)
{
	const struct v2_family *f = NULL;

	for (size_t i = 0; i < sizeof v2_families / sizeof *v2_families; i++)
		if (v2_families[i].number == u8(header, 13))
			f = &v2_families[i];
	if (!f)
		return bad(err, "a PROXY header with an unknown family");
	if (header.n < V2_HEAD + f->bytes)
		return bad(err, "a PROXY header too short for its addresses");
	h->local = f->family == AF_UNSPEC;
	if (!h->local)
		v2_addresses(header, f->family, h);
	if (f->number == 0) /* what stands behind is of no known form */
		return PROXY_HEADER;
	return v2_tlvs(header, V2_HEAD + f->bytes, err);
}

static enum proxy_outcome v2(struct str in, struct proxy_header *h, struct err *err)
{
	if (in.n > sizeof signature && u8(in, 12) >> 4 != 2)
		return bad(err, "a PROXY header of an unknown version");
	if (in.n > sizeof signature && u8(in, 12) > 0x21)
		return bad(err, "a PROXY header with an unknown command");
	if (in.n < V2_HEAD)
		return PROXY_MORE;
	h->size = V2_HEAD + u16(in, 14);
	if (h->size > PROXY_HEADER_MAX)
		return bad(err, "a PROXY header that is too long");
	if (in.n < h->size)
		return PROXY_MORE;
	if (u8(in, 12) == 0x21)
		return v2_proxied(str_head(in, h->size), h, err);
	h->local = true; /* LOCAL: its addresses, whatever they are, mean nothing */
	return PROXY_HEADER;
}

/* ---- either ---- */

static bool begins(struct str in, struct str word)
{
	size_t n = in.n < word.n ? in.n : word.n;

	return str_eq(str_head(in, n), str_head(word, n));
}

enum proxy_outcome proxy_parse(struct str in, struct proxy_header *h, struct err *err)
{
	const struct str v2_word = { signature, sizeof signature };

	*h = (struct proxy_header){ 0 };
	if (begins(in, v1_word))
		return in.n < v1_word.n ? PROXY_MORE : v1(in, h, err);
	if (begins(in, v2_word))
		return in.n < v2_word.n ? PROXY_MORE : v2(in, h, err);
	return bad(err, "no PROXY header");
}

/* Look at what waits in the socket, and take only what is known to be of the header. */
static int add_some(struct conn *c, struct buf *seen, struct proxy_header *h, struct err *err)
{
	size_t had = seen->n, take, room = PROXY_HEADER_MAX - had;
	enum proxy_outcome how;
	ssize_t n;
	char *p = buf_room(seen, room);

	if (!p)
		return err_set(err, ERR_TEMP, "out of memory");
	n = conn_raw_peek(c, p, room);
	if (n == IO_FAILED)
		return conn_keep_failure(c, err);
	if (n == IO_END)
		return err_set(err, ERR_CLOSED, "closed before a PROXY header");
	if (n == IO_AGAIN)
		return conn_wait_io(c, WAIT_READ, NULL, c->deadline, err) < 0 ? -1 : 0;
	buf_grew(seen, (size_t)n);
	how = proxy_parse(buf_str(seen), h, err);
	if (how == PROXY_BAD)
		return -1;
	take = (how == PROXY_HEADER ? h->size : seen->n) - had;
	if (conn_raw_read(c, p, take) != (ssize_t)take)
		return err_set(err, ERR_CLOSED, "closed within a PROXY header");
	return how == PROXY_HEADER;
}

int conn_read_proxy(struct conn *c, struct err *err)
{
	struct buf seen = BUF(PROXY_HEADER_MAX);
	struct proxy_header h;
	int got = 0;

	while (got == 0)
		got = add_some(c, &seen, &h, err);
	buf_free(&seen);
	if (got < 0)
		return -1;
	snprintf(c->proxy, sizeof c->proxy, "%s", c->peer);
	if (h.local)
		return 0;
	conn_set_peer(c, str_c(h.client), h.client_port);
	snprintf(c->local, sizeof c->local, "%s", h.server);
	return 0;
}
