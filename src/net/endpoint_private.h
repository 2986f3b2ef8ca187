/* endpoint_private.h - addresses as text and as the kernel wants them. */
#ifndef NET_ENDPOINT_PRIVATE_H
#define NET_ENDPOINT_PRIVATE_H

#include "base/err.h"
#include "base/str.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

struct endpoint {
	union {
		struct sockaddr any;
		struct sockaddr_in v4;
		struct sockaddr_in6 v6;
		struct sockaddr_un un;
		struct sockaddr_storage room;
	} u;
	socklen_t len;
};

/* A numeric IPv4 or IPv6 address, or "unix:PATH" (the port is then not used). ERR_PERM. */
int endpoint_parse(struct endpoint *a, struct str text, uint16_t port, struct err *err);

/* "192.0.2.1", "2001:db8::1", "unix"; an IPv4 client of an IPv6 socket is an IPv4 client. Returns
 * the port. */
uint16_t endpoint_print(const struct endpoint *a, char *text, size_t size);

#endif
