/* dial.h - connect to an address within a deadline. The name must be resolved before (dns/). */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include "net/conn.h"

/* Connect to a numeric address (IPv4, IPv6) and port, or to "unix:PATH" (port 0). -1 with
 * ERR_PERM (not an address), ERR_TIMEOUT, ERR_CANCELED, or ERR_TEMP with the reason
 * ("connection refused", ...). The deadline is for connecting; the connection then has none. */
int dial(struct str address, uint16_t port, int64_t deadline, struct conn **c, struct err *err);

#endif
