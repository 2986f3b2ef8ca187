/* listen.h - listening sockets and accepting.
 *
 * A listener is a plain descriptor and belongs to the caller, who watches it (fd_watch) before
 * the first listen_accept, forgets and closes it. Several processes may accept on one listener.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "base/err.h"
#include "base/str.h"

/* Open a listener on "ADDRESS:PORT" ("127.0.0.1:2025", "[::1]:2025", "*:25") or "unix:PATH".
 * "*" is IPv6 and IPv4 in one; "[::]" is IPv6 only. A socket file that nobody listens on
 * any more is replaced. Non-blocking, close-on-exec. -1 with the address and what to do in err
 * ("address in use", ...). */
int listen_open(struct str where, int *fd, struct err *err);

/* Accept the next connection, waiting for it (watched descriptor): non-blocking, close-on-exec.
 * EMFILE and friends wait and retry instead of failing. -1 only with ERR_CANCELED or a
 * broken listener. */
int listen_accept(int listener, int *fd, struct err *err);

#endif
