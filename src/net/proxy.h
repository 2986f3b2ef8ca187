/* proxy.h - the PROXY protocol, versions 1 and 2: what a load balancer says before anything else.
 *
 * proxy_parse() is a pure function on the first bytes of a connection. It believes nothing: who may
 * send such a header is for the caller to decide. conn_read_proxy() takes the header off a fresh
 * connection, byte for byte, so that what follows (a TLS handshake, perhaps) is untouched, and
 * makes the client that it names the peer of the connection.
 */
#ifndef NET_PROXY_H
#define NET_PROXY_H

#include "net/conn.h"

/* With all its TLVs; a balancer that sends more is refused. */
enum { PROXY_HEADER_MAX = 4096 };

struct proxy_header {
	size_t size; /* bytes of the header */
	/* The balancer speaks for itself (a health check), or does not know or say for whom: the
	 * addresses of the connection count, and those below are empty. */
	bool local;
	char client[48], server[48];
	uint16_t client_port, server_port;
};

enum proxy_outcome { PROXY_MORE, PROXY_HEADER, PROXY_BAD };

/* `in` is what has come so far. PROXY_MORE: all of it belongs to a header that goes on.
 * PROXY_HEADER: *h is filled. PROXY_BAD: this is no such header, or a broken one; err says why.
 * What it says of a beginning never changes with more bytes, but from PROXY_MORE. */
enum proxy_outcome proxy_parse(struct str in, struct proxy_header *h, struct err *err);

/* Read the header that this peer owes, before anything was read, within the connection's deadline.
 * From then on conn_peer() is the client and conn_proxy() who spoke for it. ERR_PROTO: no header or
 * a bad one; otherwise as any read. */
int conn_read_proxy(struct conn *c, struct err *err);

#endif
