/* channel.h - framed calls between roles over a Unix stream socket.
 *
 * A call looks like a function: it suspends only its own task; answers are matched by sequence
 * number, so one channel carries many calls at once. What is written within one turn of the loop
 * goes out in one write. A malformed message, or one that this peer's class may not send, costs the
 * peer its channel. When a channel ends every waiting call fails with ERR_CLOSED; whoever needs the
 * peer waits for the new channel that the master hands out (role/).
 *
 * A channel belongs to the loop's thread. It runs two tasks of its own (reader, writer) in the
 * group it was made in.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include "ipc/msg.h"
#include "rt/task.h"

struct channel;

/* One message that arrived and is to be handled (and, for a CALL, answered exactly once). The
 * handler owns it. Its body lives until it is answered or freed. */
struct request {
	struct channel *ch; /* kept alive while requests on it are open */
	uint16_t type;
	uint32_t seq;
	struct str body;
	int fd; /* -1: none; the owner closes or takes it */
};

/* Called on the reader task for every request or oneway. It must not wait long: spawn a task, or
 * keep the request and answer it later. */
typedef void channel_handler(void *arg, struct request *req);
/* The channel has ended (peer gone or thrown out); called once, last: no request comes after it.
 * Answers to requests that are still open go nowhere and do no harm. The owner still has to
 * channel_close(), here or later. */
typedef void channel_ended(void *arg, const struct err *why);

/* Take over fd (closed on failure). `who` is what the peer is (one WHO_ bit), `number` the
 * master's number for it. handler NULL: the peer may send answers only. */
struct channel *channel_new(struct task_group *g, int fd, uint32_t who, uint32_t number,
	channel_handler *handler, channel_ended *ended, void *arg, struct err *err);
/* End it, after a last attempt to send what waits; waiting calls fail with ERR_CLOSED. Neither
 * handler nor ended is called any more. NULL is fine. */
void channel_close(struct channel **ch);
void channel_violation(struct channel *ch, const char *what); /* log and end: the peer misbehaved */
/* Is told of every violation on any channel of this process (role/ reports it to the master, which
 * replaces the peer). NULL: nobody. */
typedef void channel_watcher(uint32_t who, uint32_t number, const char *what);
void channel_on_violation(channel_watcher *fn);
uint32_t channel_who(const struct channel *ch);
uint32_t channel_number(const struct channel *ch);
bool channel_is_open(const struct channel *ch);

/* An answer's bytes: the slices of a reply point into it. Zero-initialised; free it when done with
 * the reply (wiped when the message held a secret). */
struct reply {
	char *p;
	size_t n;
	bool secret;
};
void reply_free(struct reply *r);

/* Low level; the typed forms below are what code uses. A descriptor is taken over, also on
 * failure. The answer is not decoded. ERR_CLOSED, ERR_TIMEOUT, ERR_CANCELED, ERR_LIMIT (does not
 * fit a message), or what the peer answered with request_fail(). */
int channel_call(struct channel *ch, uint16_t type, struct str body, int fd, int64_t deadline,
	struct reply *hold, struct str *answer, struct err *err);
int channel_send(struct channel *ch, uint16_t type, struct str body, int fd, struct err *err);
void request_answer(struct request **req, struct str body);
/* The caller's call returns this err. */
void request_fail(struct request **req, const struct err *why);
/* A oneway that is done with (a call that nobody answered fails with ERR_TEMP). Closes req->fd. */
void request_free(struct request **req);

/* Unsent bytes waiting on the channel: a server stops reading a peer's requests over 512 KiB by
 * itself. Who sends much without calls in between waits for room (under 512 KiB) now and then. Over
 * 64 MiB the channel ends: the peer does not read. */
size_t channel_pending(const struct channel *ch);
int channel_room(struct channel *ch, int64_t deadline, struct err *err);

/* Typed forms, made from the tables. `hold` may be
 * NULL for an answer without slices; else it must be empty.
 *
 *	int store_rcpt(struct channel *ch, const struct store_rcpt_req *q, int64_t deadline,
 *		struct store_rcpt_rep *a, struct reply *hold, struct err *err);
 *	void store_rcpt_answer(struct request **req, const struct store_rcpt_rep *a);
 *	int store_due_send(struct channel *ch, const struct store_due *m, struct err *err);
 */
#define RECORD(name, fields)
#define ONEWAY(name, number, who, fields)                                                          \
	int name##_send(struct channel *ch, const struct name *m, struct err *err);
#define CALL(name, number, who, asked, answered)                                                   \
	int name(struct channel *ch, const struct name##_req *q, int64_t deadline,                 \
		struct name##_rep *a, struct reply *hold, struct err *err);                        \
	void name##_answer(struct request **req, const struct name##_rep *a);
#include "ipc/messages.def"
#include "ipc/undef.h"

#endif
