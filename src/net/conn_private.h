/* conn_private.h - the inside of a connection: a transport (socket or memory) that moves bytes
 * without ever waiting, buffers above it, and between the two the TLS engine once it is started.
 */
#ifndef NET_CONN_PRIVATE_H
#define NET_CONN_PRIVATE_H

#include "net/conn.h"

#include <sys/types.h>

#define CONN_HOLD ((size_t)64 << 10)   /* unread input at most */
#define CONN_ROOM ((size_t)16 << 10)   /* offered to one read */
#define CONN_GATHER ((size_t)32 << 10) /* unsent output beyond which it is sent */
#define CONN_TLS ((size_t)32 << 10)    /* what TLS holds besides, about */

struct conn {
	struct buf in;         /* unread from in_at on */
	struct buf out;        /* not sent yet */
	size_t in_at, in_used; /* in_used: the most that was ever in `in`, to be wiped */
	int fd;                /* -1: memory */
	struct tls *tls;       /* NULL: what is sent is what was written */
	bool tcp;
	bool readable; /* the socket may have input: it has not said otherwise since */
	bool ended;    /* the peer's end of stream */
	bool failed;   /* for good, because of why */
	struct err why;
	int64_t deadline, write_patience;
	struct budget budget;
	size_t held; /* memory charged to it */
	uint64_t bytes_in, bytes_out;
	struct buf source; /* memory: what is still to be read, from source_at on */
	size_t source_at, chunk;
	uint16_t peer_port;
	char peer[48], local[48];
	char proxy[48]; /* who spoke for the peer; empty: nobody */
};

/* What a transport says instead of a count. */
enum { IO_END = 0, IO_AGAIN = -1, IO_FAILED = -2 };

/* Never wait. IO_FAILED: c->why says why. */
ssize_t conn_raw_read(struct conn *c, char *p, size_t n);
/* What raw_read would give, without taking it. */
ssize_t conn_raw_peek(struct conn *c, char *p, size_t n);
ssize_t conn_raw_write(struct conn *c, struct str s);
/* The same, through the TLS engine if there is one. IO_AGAIN while c->readable is still true:
 * nothing for us yet, but the engine may have something to send. */
ssize_t conn_plain_read(struct conn *c, char *p, size_t n);
/* Send s, waiting for room; *sent says how far it got. */
int conn_send(struct conn *c, struct str s, size_t *sent, struct err *err);
/* Encrypt what has gathered and send it, and whatever the engine has to say. */
int conn_flush_tls(struct conn *c, struct err *err);
int conn_wait_io(struct conn *c, int events, struct signal *sig, int64_t deadline, struct err *err);
void conn_count_memory(struct conn *c); /* buffers or TLS have grown or gone: tell the budget */
void conn_release_input(struct conn *c);
void conn_release_output(struct conn *c);
int conn_keep_failure(const struct conn *c, struct err *err);        /* -1: c->why again */
int conn_fail(struct conn *c, enum err_kind kind, const char *what); /* IO_FAILED */
void conn_names(struct conn *c);                                     /* fills peer and local */

#endif
