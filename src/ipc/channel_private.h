/* channel_private.h - the two halves of a channel: bytes (wire.c) and calls (channel.c). */
#ifndef IPC_CHANNEL_PRIVATE_H
#define IPC_CHANNEL_PRIVATE_H

#include "base/map.h"
#include "ipc/channel.h"
#include "ipc/msg_private.h"

/* A frame: length of the body, type, two zero bytes, sequence; little-endian; then the body. */
enum { FRAME_HEAD = 12, FRAME_MAX = FRAME_HEAD + MSG_MAX };
enum { ANSWER_BIT = 0x8000 };

enum {
	PENDING_HIGH = 512 << 10, /* a server reads no more requests over this */
	PENDING_LOW = 256 << 10,  /* and goes on below this */
	PENDING_MAX = 64 << 20,
	IN_SIZE = 2 * (FRAME_MAX),
	FDS_MAX = 128 /* descriptors on their way, each direction */
};

/* Bytes on their way out: p[sent..n]. The memory never moves under a message that is being
 * encoded, and is wiped before it goes back when a secret has been in it. */
struct wire_out {
	char *p;
	size_t sent, n, cap;
	bool secret;
	uint64_t total; /* bytes sent so far */
	struct {
		uint64_t at; /* travels with the byte at this place in the stream */
		int fd;
	} fds[FDS_MAX];
	size_t fd_count;
};

struct wire_in {
	char *p; /* IN_SIZE */
	size_t start, n;
	int fds[FDS_MAX];
	size_t fd_count;
};

struct frame {
	uint16_t type;
	uint32_t seq;
	struct str body;
};

/* Begin a message: *body is where to encode it, in place, at most MSG_MAX bytes. */
int wire_begin(struct wire_out *w, struct buf *body, struct err *err);
/* It is complete. With fd >= 0 the descriptor travels along. */
int wire_end(struct wire_out *w, const struct buf *body, uint16_t type, uint32_t seq, bool secret,
	int fd, struct err *err);
/* Send what the socket takes now: 1 all of it, 0 would block, -1 broken. */
int wire_send(struct wire_out *w, int fd, struct err *err);
size_t wire_pending(const struct wire_out *w);
void wire_out_free(struct wire_out *w);

/* Take what the socket has: 1 some, 0 would block, -1 broken, at its end, or bad descriptors. */
int wire_receive(struct wire_in *w, int fd, struct err *err);
/* The next whole frame: 1, 0 none yet, -1 malformed. The body lives until the next receive. */
int wire_next(struct wire_in *w, struct frame *f, struct err *err);
int wire_take_fd(struct wire_in *w); /* -1: none has come */
void wire_wipe(struct wire_in *w, const struct frame *f);
void wire_in_free(struct wire_in *w);

#endif
