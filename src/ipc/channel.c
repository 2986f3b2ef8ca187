#include "ipc/channel_private.h"

#include "base/log.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A call that waits for its answer; lives on the caller's stack. */
struct waiting {
	uint16_t type;
	struct reply *hold;
	struct str *answer;
	struct err *err;
	struct signal woken;
	bool done;
	int result;
};

struct room_wait {
	struct signal woken;
	struct room_wait *next;
};

struct channel {
	int fd;
	uint32_t who, number;
	channel_handler *handler;
	channel_ended *ended;
	void *arg;
	unsigned refs; /* the owner, both tasks, open requests, calls */
	bool open;     /* messages may go in and out */
	bool disowned; /* channel_close() was called */
	bool serving;  /* the peer calls us */
	struct err why;
	struct wire_in in;
	struct wire_out out;
	struct signal to_write, drained;
	struct room_wait *rooms;
	struct map calls; /* struct waiting by sequence number */
	uint32_t next_seq;
};

/* What a handler gets, and the body behind it. */
struct request_owned {
	struct request r;
	bool answered, secret;
	char body[];
};

/* ---- life ---- */

static void unref(struct channel *ch)
{
	if (--ch->refs)
		return;
	wire_in_free(&ch->in);
	wire_out_free(&ch->out);
	map_free(&ch->calls);
	free(ch);
}

static void wake_room(struct channel *ch)
{
	for (struct room_wait *w = ch->rooms; w; w = w->next)
		signal_raise(&w->woken);
}

static void finish_call(struct waiting *w, int result)
{
	w->result = result;
	w->done = true;
	signal_raise(&w->woken);
}

static void fail_calls(struct channel *ch)
{
	struct waiting *w;
	size_t pos = 0;

	while ((w = map_next(&ch->calls, &pos)) != NULL)
		finish_call(
			w, err_set(w->err, ERR_CLOSED, "%s: %s", who_name(ch->who), ch->why.msg));
	map_free(&ch->calls);
}

static void end(struct channel *ch, const struct err *why)
{
	struct err ignored = ERR_INIT;

	if (!ch->open)
		return;
	if (why->kind == ERR_CANCELED) /* our own wish: what was answered may still go out */
		(void)wire_send(&ch->out, ch->fd, &ignored);
	ch->open = false;
	ch->why = *why;
	fd_forget(ch->fd);
	close(ch->fd);
	ch->fd = -1;
	fail_calls(ch);
	signal_raise(&ch->to_write);
	signal_raise(&ch->drained);
	wake_room(ch);
}

void channel_close(struct channel **chp)
{
	struct channel *ch = *chp;
	struct err err = ERR_INIT;

	*chp = NULL;
	if (!ch)
		return;
	ch->disowned = true;
	err_set(&err, ERR_CANCELED, "the channel was closed");
	end(ch, &err);
	unref(ch);
}

static channel_watcher *watcher;

void channel_on_violation(channel_watcher *fn)
{
	watcher = fn;
}

void channel_violation(struct channel *ch, const char *what)
{
	struct err err;

	if (!ch->open)
		return;
	log_event(LOG_WARN, "ipc.violation", L_Z("peer", who_name(ch->who)),
		L_U64("number", ch->number), L_Z("what", what));
	if (watcher)
		watcher(ch->who, ch->number, what);
	err_set(&err, ERR_CLOSED, "the peer broke the protocol: %s", what);
	end(ch, &err);
}

uint32_t channel_who(const struct channel *ch)
{
	return ch->who;
}

uint32_t channel_number(const struct channel *ch)
{
	return ch->number;
}

bool channel_is_open(const struct channel *ch)
{
	return ch->open;
}

/* ---- in ---- */

static int copy_answer(struct waiting *w, const struct frame *f, bool secret)
{
	char *p = malloc(f->body.n ? f->body.n : 1);

	if (!p)
		return err_set(w->err, ERR_TEMP, "out of memory for an answer");
	if (f->body.n)
		memcpy(p, f->body.p, f->body.n);
	*w->hold = (struct reply){ p, f->body.n, secret };
	*w->answer = str_make(p, f->body.n);
	return 0;
}

/* The body of MSG_error: a kind and its sentence. */
static bool get_error(struct str body, struct err *err)
{
	unsigned char kind;

	if (body.n < 1 || body.n > sizeof err->msg)
		return false;
	kind = (unsigned char)body.p[0];
	if (kind == ERR_NONE || kind >= ERR_KINDS)
		return false;
	body = str_from(body, 1);
	err_set(err, (enum err_kind)kind, STR_F, STR_A(body));
	return true;
}

static void take_answer(struct channel *ch, const struct frame *f)
{
	struct waiting *w = map_get_u64(&ch->calls, f->seq);
	const struct msg_info *info = w ? msg_info(w->type) : NULL;
	int result = -1;

	/* Nobody waits: the call was given up. */
	if (!w || !info)
		return;
	if (f->type == (info->number | ANSWER_BIT)) {
		result = copy_answer(w, f, info->answer_secret);
	} else if (f->type != MSG_error || !get_error(f->body, w->err)) {
		channel_violation(ch, "an answer to something else");
		return;
	}
	map_del_u64(&ch->calls, f->seq);
	finish_call(w, result);
}

static struct request *make_request(
	struct channel *ch, const struct frame *f, const struct msg_info *info, int fd)
{
	struct request_owned *o = malloc(sizeof *o + f->body.n);

	if (!o)
		return NULL;
	if (f->body.n)
		memcpy(o->body, f->body.p, f->body.n);
	o->r = (struct request){ ch, f->type, f->seq, str_make(o->body, f->body.n), fd };
	o->answered = !info->answered;
	o->secret = info->secret;
	ch->refs++;
	return &o->r;
}

static void take_request(struct channel *ch, const struct frame *f)
{
	const struct msg_row *row = msg_row(f->type);
	struct request *req;
	struct err err;
	int fd = -1;

	if (!row || !ch->handler) {
		channel_violation(ch, "unknown message");
		return;
	}
	if (!(row->info.who & ch->who)) {
		channel_violation(ch, row->info.name);
		return;
	}
	if (row->asked.check(f->body, &err) < 0) {
		channel_violation(ch, err.msg);
		return;
	}
	if (row->info.fds && (fd = wire_take_fd(&ch->in)) < 0) {
		channel_violation(ch, "a message without its descriptor");
		return;
	}
	req = make_request(ch, f, &row->info, fd);
	if (row->info.secret)
		wire_wipe(&ch->in, f);
	if (!req) {
		if (fd >= 0)
			close(fd);
		err_set(&err, ERR_CLOSED, "out of memory for a request");
		end(ch, &err);
		return;
	}
	ch->serving |= row->info.answered;
	ch->handler(ch->arg, req);
}

static void take_frame(struct channel *ch, const struct frame *f)
{
	const struct msg_info *info;

	if (f->type != MSG_error && !(f->type & ANSWER_BIT)) {
		take_request(ch, f);
		return;
	}
	take_answer(ch, f);
	info = msg_info((uint16_t)(f->type & ~ANSWER_BIT));
	if (info && info->answer_secret)
		wire_wipe(&ch->in, f);
}

/* One look at the socket: 1 something was read, 0 nothing there, -1 the end. */
static int read_some(struct channel *ch, struct err *err)
{
	struct frame f;
	int r = wire_receive(&ch->in, ch->fd, err);

	if (r <= 0)
		return r;
	while (ch->open && (r = wire_next(&ch->in, &f, err)) > 0)
		take_frame(ch, &f);
	if (r < 0 && ch->open)
		channel_violation(ch, err->msg);
	return 1;
}

static int read_wait(struct channel *ch, struct err *err)
{
	int r;

	if (ch->serving && wire_pending(&ch->out) > PENDING_HIGH)
		return task_wait(-1, 0, &ch->drained, NEVER, err);
	r = read_some(ch, err);
	if (r > 0 && task_cancelled())
		return err_set(err, ERR_CANCELED, "cancelled");
	if (r > 0)
		task_yield(); /* what was just begun may run before more is read */
	if (r == 0)
		r = task_wait(ch->fd, WAIT_READ, NULL, NEVER, err);
	return r;
}

static void reader(void *arg)
{
	struct channel *ch = arg;
	struct err err = ERR_INIT;

	while (ch->open)
		if (read_wait(ch, &err) < 0)
			end(ch, &err);
	if (!ch->disowned && ch->ended)
		ch->ended(ch->arg, &ch->why);
	unref(ch);
}

/* ---- out ---- */

static int write_wait(struct channel *ch, struct err *err)
{
	int r;

	if (wire_pending(&ch->out) == 0)
		return task_wait(-1, 0, &ch->to_write, NEVER, err);
	task_yield(); /* let the others of this turn add theirs */
	if (!ch->open)
		return 0;
	r = wire_send(&ch->out, ch->fd, err);
	if (wire_pending(&ch->out) < PENDING_LOW) {
		signal_raise(&ch->drained);
		wake_room(ch);
	}
	if (r == 0)
		r = task_wait(ch->fd, WAIT_WRITE, NULL, NEVER, err);
	return r;
}

static void writer(void *arg)
{
	struct channel *ch = arg;
	struct err err = ERR_INIT;

	while (ch->open)
		if (write_wait(ch, &err) < 0)
			end(ch, &err);
	unref(ch);
}

struct channel *channel_new(struct task_group *g, int fd, uint32_t who, uint32_t number,
	channel_handler *handler, channel_ended *ended, void *arg, struct err *err)
{
	struct channel *ch = calloc(1, sizeof *ch);

	if (!ch || fd_watch(fd, err) < 0) {
		if (!ch)
			err_set(err, ERR_TEMP, "out of memory for a channel");
		free(ch);
		close(fd);
		return NULL;
	}
	*ch = (struct channel){ .fd = fd,
		.who = who,
		.number = number,
		.handler = handler,
		.ended = ended,
		.arg = arg,
		.refs = 1,
		.open = true,
		.calls = MAP(1 << 20) };
	if (task_spawn(g, "channel writer", writer, ch, err) < 0) {
		channel_close(&ch);
		return NULL;
	}
	ch->refs++;
	if (task_spawn(g, "channel reader", reader, ch, err) < 0) {
		channel_close(&ch);
		return NULL;
	}
	ch->refs++;
	return ch;
}

size_t channel_pending(const struct channel *ch)
{
	return wire_pending(&ch->out);
}

int channel_room(struct channel *ch, int64_t deadline, struct err *err)
{
	struct room_wait w = { .next = ch->rooms };
	struct room_wait **at;
	int r = 0;

	ch->rooms = &w;
	ch->refs++;
	while (r >= 0 && ch->open && wire_pending(&ch->out) > PENDING_HIGH)
		r = task_wait(-1, 0, &w.woken, deadline, err);
	for (at = &ch->rooms; *at != &w; at = &(*at)->next)
		continue;
	*at = w.next;
	if (r >= 0 && !ch->open)
		r = err_set(err, ERR_CLOSED, "%s: %s", who_name(ch->who), ch->why.msg);
	unref(ch);
	return r < 0 ? -1 : 0;
}

/* ---- sending a message: begin, encode in place, end ---- */

static int frame_begin(struct channel *ch, struct buf *body, struct err *err)
{
	struct err why = ERR_INIT;

	if (!ch->open)
		return err_set(err, ERR_CLOSED, "%s: %s", who_name(ch->who), ch->why.msg);
	if (wire_begin(&ch->out, body, &why) == 0)
		return 0;
	*err = why;
	end(ch, &why);
	return -1;
}

static int frame_end(struct channel *ch, const struct buf *body, uint16_t type, uint32_t seq,
	bool secret, int fd, struct err *err)
{
	if (wire_end(&ch->out, body, type, seq, secret, fd, err) < 0)
		return -1;
	signal_raise(&ch->to_write);
	return 0;
}

static void drop_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

/* Send what was encoded into `body`, a oneway. */
static int oneway_end(
	struct channel *ch, const struct buf *body, uint16_t type, int fd, struct err *err)
{
	const struct msg_info *info = msg_info(type);

	if (frame_end(ch, body, type, 0, info && info->secret, fd, err) == 0)
		return 0;
	drop_fd(fd);
	return -1;
}

int channel_send(struct channel *ch, uint16_t type, struct str bytes, int fd, struct err *err)
{
	struct buf body;

	if (frame_begin(ch, &body, err) < 0) {
		drop_fd(fd);
		return -1;
	}
	buf_add(&body, bytes);
	return oneway_end(ch, &body, type, fd, err);
}

static int wait_answer(struct channel *ch, struct waiting *w, uint32_t seq, int64_t deadline)
{
	struct err why = ERR_INIT;

	while (!w->done)
		if (task_wait(-1, 0, &w->woken, deadline, &why) < 0 && !w->done) {
			map_del_u64(&ch->calls, seq);
			*w->err = why;
			return err_wrap(w->err, "waiting for %s", who_name(ch->who));
		}
	return w->result;
}

/* Send what was encoded into `body` and wait for the answer. */
static int call_end(struct channel *ch, const struct buf *body, uint16_t type, int fd,
	int64_t deadline, struct reply *hold, struct str *answer, struct err *err)
{
	const struct msg_info *info = msg_info(type);
	struct waiting w = { .type = type, .hold = hold, .answer = answer, .err = err };
	uint32_t seq;

	do
		seq = ++ch->next_seq;
	while (map_get_u64(&ch->calls, seq));
	if (!map_put_u64(&ch->calls, seq, &w)) {
		drop_fd(fd);
		return err_set(err, ERR_TEMP, "too many calls to %s", who_name(ch->who));
	}
	if (frame_end(ch, body, type, seq, info && info->secret, fd, err) < 0) {
		map_del_u64(&ch->calls, seq);
		drop_fd(fd);
		return -1;
	}
	return wait_answer(ch, &w, seq, deadline);
}

int channel_call(struct channel *ch, uint16_t type, struct str bytes, int fd, int64_t deadline,
	struct reply *hold, struct str *answer, struct err *err)
{
	struct buf body;
	int r;

	if (frame_begin(ch, &body, err) < 0) {
		drop_fd(fd);
		return -1;
	}
	ch->refs++;
	buf_add(&body, bytes);
	r = call_end(ch, &body, type, fd, deadline, hold, answer, err);
	unref(ch);
	return r;
}

void reply_free(struct reply *r)
{
	if (r->p && r->secret)
		explicit_bzero(r->p, r->n);
	free(r->p);
	*r = (struct reply){ 0 };
}

/* ---- answering ---- */

static void release(struct request **req)
{
	struct request_owned *o = (struct request_owned *)*req;
	struct channel *ch = o->r.ch;

	*req = NULL;
	drop_fd(o->r.fd);
	if (o->secret)
		explicit_bzero(o->body, o->r.body.n);
	free(o);
	unref(ch);
}

/* Send what was encoded into `body`, and be done with the request. */
static void answer_end(struct request **req, const struct buf *body, uint16_t type, bool secret)
{
	struct request_owned *o = (struct request_owned *)*req;
	struct channel *ch = o->r.ch;
	struct err err = ERR_INIT;

	if (frame_end(ch, body, type, o->r.seq, secret, -1, &err) < 0) {
		const struct msg_info *info = msg_info(o->r.type);

		log_event(LOG_ERROR, "ipc.answer", L_Z("message", info ? info->name : "?"),
			L_ERR(&err));
		request_fail(req, &err);
		return;
	}
	o->answered = true;
	release(req);
}

static bool answer_begin(struct request **req, struct buf *body)
{
	struct err err = ERR_INIT;

	if (frame_begin((*req)->ch, body, &err) == 0)
		return true;
	release(req);
	return false;
}

void request_answer(struct request **req, struct str bytes)
{
	const struct msg_info *info = msg_info((*req)->type);
	struct buf body;

	if (!answer_begin(req, &body))
		return;
	buf_add(&body, bytes);
	answer_end(req, &body, (*req)->type | ANSWER_BIT, info && info->answer_secret);
}

void request_fail(struct request **req, const struct err *why)
{
	struct request_owned *o = (struct request_owned *)*req;
	struct buf body;
	struct err err = ERR_INIT;

	if (!o->answered && answer_begin(req, &body)) {
		buf_addc(&body, (char)(why->kind == ERR_NONE ? ERR_TEMP : why->kind));
		buf_addz(&body, why->msg);
		(void)frame_end(o->r.ch, &body, MSG_error, o->r.seq, false, -1, &err);
	}
	if (*req)
		release(req);
}

void request_free(struct request **req)
{
	static const struct err unanswered = { ERR_TEMP, "no answer" };

	if (*req)
		request_fail(req, &unanswered);
}

/* ---- the typed forms ---- */

/* Decode the answer of a finished call. */
#define CALL_FINISH(name)                                                                          \
	if (r == 0 && name##_rep_get(answer, a, err) < 0) {                                        \
		channel_violation(ch, err->msg);                                                   \
		reply_free(hold);                                                                  \
		r = err_set(err, ERR_CLOSED, "malformed answer to %s", #name);                     \
	}                                                                                          \
	if (hold == &own)                                                                          \
		reply_free(&own);                                                                  \
	unref(ch);

#define F_U8(f)
#define F_U32(f)
#define F_U64(f)
#define F_I64(f)
#define F_STR(f, max)
#define F_BYTES(f, max)
#define F_SECRET(f, max)
#define F_SEQ(f, record)
#define F_FD(f) fd = m->f;
#define RECORD(name, fields)
#define ONEWAY(name, number, who, fields)                                                          \
	int name##_send(struct channel *ch, const struct name *m, struct err *err)                 \
	{                                                                                          \
		struct buf body;                                                                   \
		int fd = -1;                                                                       \
                                                                                                   \
		fields if (frame_begin(ch, &body, err) < 0)                                        \
		{                                                                                  \
			drop_fd(fd);                                                               \
			return -1;                                                                 \
		}                                                                                  \
		name##_put(&body, m);                                                              \
		return oneway_end(ch, &body, (number), fd, err);                                   \
	}
#define CALL(name, number, who, asked, answered)                                                   \
	int name(struct channel *ch, const struct name##_req *m, int64_t deadline,                 \
		struct name##_rep *a, struct reply *hold, struct err *err)                         \
	{                                                                                          \
		struct reply own = { 0 };                                                          \
		struct str answer = STR("");                                                       \
		struct buf body;                                                                   \
		int fd = -1, r;                                                                    \
                                                                                                   \
		asked if (!hold) hold = &own;                                                      \
		if (frame_begin(ch, &body, err) < 0) {                                             \
			drop_fd(fd);                                                               \
			return -1;                                                                 \
		}                                                                                  \
		ch->refs++;                                                                        \
		name##_req_put(&body, m);                                                          \
		r = call_end(ch, &body, (number), fd, deadline, hold, &answer, err);               \
		CALL_FINISH(name)                                                                  \
		return r;                                                                          \
	}                                                                                          \
	void name##_answer(struct request **req, const struct name##_rep *a)                       \
	{                                                                                          \
		const struct msg_info *info = msg_info(number);                                    \
		struct buf body;                                                                   \
                                                                                                   \
		if (!answer_begin(req, &body))                                                     \
			return;                                                                    \
		name##_rep_put(&body, a);                                                          \
		answer_end(req, &body, (number) | ANSWER_BIT, info && info->answer_secret);        \
	}
#include "ipc/messages.def"
#include "ipc/undef.h"
