/* conn.h - one connection: TCP or Unix socket, with or without TLS, or memory.
 *
 * Reads and writes are buffered. Output gathers until the next read has to wait, or until
 * conn_flush(): flush exactly when about to wait for input, which is all that pipelining needs.
 * A connection belongs to one task. Deadlines: every wait ends at conn_deadline() at the latest
 * with ERR_TIMEOUT; the peer's end of stream is ERR_CLOSED. An idle connection holds no
 * buffers: they are given back when a read has to wait with nothing buffered.
 *
 * Slices returned by the read functions are valid until the next call on the connection.
 */
#ifndef NET_CONN_H
#define NET_CONN_H

#include "base/budget.h"
#include "base/err.h"
#include "base/str.h"
#include "rt/task.h"

struct conn;
struct tls_server; /* crypto/tls.h */
struct tls_client;

/* Take over a connected, non-blocking socket. NULL when out of memory (fd is then closed). */
struct conn *conn_socket(int fd);
/* A connection in memory: reads give `input`, `chunk` bytes at a time (0: all at once), then
 * end of stream. What is written gathers in conn_mem_output(). It never waits, so no loop is
 * needed. */
struct conn *conn_mem(struct str input, size_t chunk);
struct str conn_mem_output(const struct conn *c);
/* For transcript tests: more input for a memory connection; it must not have ended yet. */
void conn_mem_feed(struct conn *c, struct str more);
void conn_free(struct conn **c); /* closes at once; NULL is fine */

void conn_deadline(struct conn *c, int64_t deadline);
/* How long the peer may take nothing at all of what we have to say before that is ERR_TIMEOUT;
 * nanoseconds, 2 minutes unless set. The deadline holds besides. */
void conn_write_patience(struct conn *c, int64_t patience);

/* The one account of what this connection costs (base/budget.h). Without limits unless somebody
 * sets them. The connection itself charges the bytes read and the memory of its buffers and of TLS;
 * whoever runs the session charges the rest, and looks whether it is over. */
struct budget *conn_budget(struct conn *c);

enum line_end {
	LINE_CRLF, /* strictly CR LF; a bare CR or LF anywhere is ERR_PROTO (SMTP data and commands)
		    */
	LINE_LOOSE /* CR LF or LF (IMAP, POP3 and ManageSieve commands) */
};
/* Read one line; the ending is not part of *line. Longer than max: ERR_LIMIT, and the rest of the
 * line up to its end has been read and dropped (at most 64 KiB more, then ERR_PROTO), so the
 * session may reply and go on. ERR_PROTO for a forbidden ending: the session must not go on. */
int conn_read_line(
	struct conn *c, size_t max, enum line_end end, struct str *line, struct err *err);
/* Read exactly n bytes, or whatever is there (1 to max bytes; 0 never). */
int conn_read_full(struct conn *c, char *p, size_t n, struct err *err);
int conn_read_some(struct conn *c, size_t max, struct str *some, struct err *err);
/* Look at what is buffered without taking it, then take n bytes of it: how DATA scans for its end
 * without copying. conn_fill reads at least one more byte, or fails; the buffer holds at most 64
 * KiB. */
struct str conn_peek(const struct conn *c);
void conn_take(struct conn *c, size_t n);
int conn_fill(struct conn *c, struct err *err);
size_t conn_buffered(
	const struct conn *c); /* input that waits already (pipelined, or typed before STARTTLS) */

/* Writing never fails here: a failure is kept and reported by the next flush or read. Output
 * over 32 KiB is sent while gathering, which may wait for the peer. */
void conn_write(struct conn *c, struct str s);
void conn_writef(struct conn *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int conn_flush(struct conn *c, struct err *err);

/* Wait for input, for `sig`, or for the deadline: WAIT_READ or WAIT_SIGNAL, -1 as task_wait.
 * Flushes first. WAIT_READ at once when input is buffered. */
int conn_wait(struct conn *c, struct signal *sig, int64_t deadline, struct err *err);

/* TLS. The server side refuses (ERR_PROTO) when input is already buffered: nothing typed before
 * STARTTLS survives it. The client side drops such input. What was written before is
 * sent first, in clear. Handshakes honour the deadline. Errors as of tls_handshake()
 * (crypto/tls.h): ERR_PROTO, ERR_DENIED (a certificate that does not verify), ERR_CLOSED,
 * ERR_TIMEOUT, or what the sign function said; the connection is then of no more use. `tls` may be
 * freed meanwhile. */
int conn_start_tls_server(struct conn *c, struct tls_server *tls, struct err *err);
int conn_start_tls_client(struct conn *c, struct tls_client *tls, struct str name, struct err *err);
bool conn_is_tls(const struct conn *c);
/* Properties of the TLS session, empty without TLS: "TLSv1.3", "TLS_AES_256_GCM_SHA384". */
struct str conn_tls_version(const struct conn *c);
struct str conn_tls_cipher(const struct conn *c);
/* Why the peer's certificate did not verify, or empty when it did (client side). */
struct str conn_tls_verify_error(const struct conn *c);
/* The certificates that the peer has shown: see tls_peer_chain(). ERR_NOTFOUND: none. */
int conn_tls_peer_chain(const struct conn *c, struct buf *pem, struct err *err);
/* After ERR_CLOSED: the end came without TLS's goodbye (close_notify), so it may have been cut by
 * somebody in between. Never true without TLS. */
bool conn_tls_truncated(const struct conn *c);
/* The channel binding for SCRAM: "tls-exporter" (RFC 9266) or "tls-server-end-point" (RFC 5929).
 * ERR_PERM when there is none of that name. */
int conn_tls_binding(const struct conn *c, struct str name, struct buf *out, struct err *err);

/* Say goodbye: flush, TLS close_notify, half-close. Bounded by the deadline. */
void conn_shutdown(struct conn *c);

/* The peer as text ("192.0.2.1", "2001:db8::1", "unix", "memory") and its port. */
struct str conn_peer(const struct conn *c);
uint16_t conn_peer_port(const struct conn *c);
struct str conn_local(const struct conn *c);
/* Somebody who is believed (PROXY protocol, XCLIENT) has said who the peer is: all that asks for it
 * from now on hears that. `address` is as conn_peer() gives it. */
void conn_set_peer(struct conn *c, struct str address, uint16_t port);
/* The balancer whose PROXY header named the peer; empty: there was none. */
struct str conn_proxy(const struct conn *c);
/* Bytes moved so far, for budgets and traces. */
uint64_t conn_bytes_in(const struct conn *c);
uint64_t conn_bytes_out(const struct conn *c);

#endif
