/* resolver_private.h - where the resolver's module lies. */
#ifndef DNS_RESOLVER_PRIVATE_H
#define DNS_RESOLVER_PRIVATE_H

#include "base/err.h"

/* The module beside the executable (a build folder), else in the library folder. */
int resolver_find_module(char *path, size_t size, struct err *err);

#endif
