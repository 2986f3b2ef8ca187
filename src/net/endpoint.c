#include "net/endpoint_private.h"

#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>

static int parse_unix(struct endpoint *a, struct str path, struct err *err)
{
	struct sockaddr_un *un = &a->u.un;

	un->sun_family = AF_UNIX;
	if (path.n == 0 || !str_z(path, un->sun_path, sizeof un->sun_path))
		return err_set(err, ERR_PERM,
			"the path of a Unix socket has 1 to %zu bytes: \"" STR_F "\"",
			sizeof un->sun_path - 1, STR_A(str_head(path, 120)));
	a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
	return 0;
}

int endpoint_parse(struct endpoint *a, struct str text, uint16_t port, struct err *err)
{
	char z[INET6_ADDRSTRLEN];

	*a = (struct endpoint){ 0 };
	if (str_starts(text, STR("unix:")))
		return parse_unix(a, str_from(text, 5), err);
	if (str_z(text, z, sizeof z) && inet_pton(AF_INET, z, &a->u.v4.sin_addr) == 1) {
		a->u.v4.sin_family = AF_INET;
		a->u.v4.sin_port = htons(port);
		a->len = sizeof a->u.v4;
		return 0;
	}
	if (inet_pton(AF_INET6, z, &a->u.v6.sin6_addr) == 1) {
		a->u.v6.sin6_family = AF_INET6;
		a->u.v6.sin6_port = htons(port);
		a->len = sizeof a->u.v6;
		return 0;
	}
	return err_set(
		err, ERR_PERM, "not a numeric address: \"" STR_F "\"", STR_A(str_head(text, 120)));
}

uint16_t endpoint_print(const struct endpoint *a, char *text, size_t size)
{
	if (a->u.any.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->u.v4.sin_addr, text, (socklen_t)size);
		return ntohs(a->u.v4.sin_port);
	}
	if (a->u.any.sa_family == AF_INET6) {
		const struct in6_addr *ip = &a->u.v6.sin6_addr;

		if (IN6_IS_ADDR_V4MAPPED(ip))
			inet_ntop(AF_INET, ip->s6_addr + 12, text, (socklen_t)size);
		else
			inet_ntop(AF_INET6, ip, text, (socklen_t)size);
		return ntohs(a->u.v6.sin6_port);
	}
	snprintf(text, size, "%s", "unix");
	return 0;
}
