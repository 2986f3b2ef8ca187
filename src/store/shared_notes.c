/* What the nodes tell each other with their commits.
 *
 * A note is a text of at most 8,000 bytes: the node's number, then lines. "m ACCOUNT MAILBOX
 * MODSEQ": this mailbox has changed. "q": something in the queue may be due. "a": too much to say,
 * anything may have changed. */
#include "base/clock.h"
#include "base/log.h"
#include "store/queue.h"
#include "store/shared.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	NOTE_MAX = 7900,
	NOTES_MAX = 64,
	LOOK_SECONDS = 5,
	/* A server that has not said for that long who its standby is has stopped, or its network
	 * drops everything: this connection finds out for all. */
	SILENT_SECONDS = 15
};

/* ---- to others ---- */

struct note {
	struct store *s;
	struct buf text;
	unsigned sent;
};

static void begin_note(struct note *n)
{
	buf_clear(&n->text);
	buf_addf(&n->text, "%" PRIx64 "\n", n->s->shared->node);
}

static int send_note(struct note *n, struct err *err)
{
	n->sent++;
	if (db_exec(n->s->index, "SELECT pg_notify('eilpost', $1)",
		    DB_ARGS(DB_T(buf_str(&n->text))), err) < 0)
		return -1;
	begin_note(n);
	return 0;
}

static int add_line(struct note *n, struct str line, struct err *err)
{
	if (n->text.n + line.n > NOTE_MAX && send_note(n, err) < 0)
		return -1;
	buf_add(&n->text, line);
	return 0;
}

/* Of accounts (mailbox 0), or of mailboxes, as many as may be. */
static int add_changes(struct note *n, const struct changes *c, bool accounts, struct err *err)
{
	char line[80];

	for (size_t i = 0; i < c->n && (accounts || n->sent < NOTES_MAX); i++) {
		int len = snprintf(line, sizeof line, "m %" PRIu64 " %" PRIu64 " %" PRIu64 "\n",
			c->v[i].account, c->v[i].mailbox, c->v[i].modseq);

		if ((c->v[i].mailbox == 0) == accounts &&
			add_line(n, str_make(line, (size_t)len), err) < 0)
			return -1;
	}
	return 0;
}

/* T037: whose sessions must end is said first, whatever else there is to say. */
static int add_all(struct note *n, const struct batch *b, bool accounts, struct err *err)
{
	int r = 0;

	for (const struct store_job *j = b->first; r == 0 && j; j = j->next)
		if (j->result == 0)
			r = add_changes(n, &j->changes, accounts, err);
	return r;
}

int notes_send(struct store *s, const struct batch *b, struct err *err)
{
	struct note n = { .s = s, .text = BUF(2 * NOTE_MAX) };
	bool all = false, queue = false;
	size_t head;
	int r;

	begin_note(&n);
	head = n.text.n;
	for (const struct store_job *j = b->first; j; j = j->next) {
		all |= j->result == 0 && j->changes.lost;
		queue |= j->result == 0 && j->changes.queue;
	}
	r = add_all(&n, b, true, err) < 0 ? -1 : add_all(&n, b, false, err);
	if (r == 0 && (all || n.sent >= NOTES_MAX))
		r = add_line(&n, STR("a\n"), err);
	else if (r == 0 && queue)
		r = add_line(&n, STR("q\n"), err);
	if (r == 0 && n.text.n > head)
		r = send_note(&n, err);
	if (!buf_ok(&n.text))
		r = err_set(err, ERR_TEMP, "out of memory for a note");
	buf_free(&n.text);
	return r;
}

/* ---- from others ---- */

static void hear_change(struct changes *c, struct str line)
{
	struct change m;

	(void)str_word(&line, ' ');
	if (!str_u64(str_word(&line, ' '), UINT64_MAX, &m.account) ||
		!str_u64(str_word(&line, ' '), UINT64_MAX, &m.mailbox) ||
		!str_u64(line, UINT64_MAX, &m.modseq))
		c->lost = true;
	else if (c->n < c->cap)
		c->v[c->n++] = m;
	else
		c->lost = true;
}

static void hear_line(struct changes *c, struct str line)
{
	if (str_starts(line, STR("m ")))
		hear_change(c, line);
	else if (str_eq(line, STR("q")))
		c->queue = true;
	else /* "a", or what a later version says */
		c->lost = c->queue = true;
}

static void hear(void *arg, struct str text)
{
	enum { MOST = NOTE_MAX / 8 };
	struct store *s = arg;
	struct changes c = { .v = malloc(MOST * sizeof *c.v), .cap = MOST };
	char self[20];

	snprintf(self, sizeof self, "%" PRIx64, s->shared->node);
	if (!c.v)
		c.cap = 0;
	if (!str_eq(str_word(&text, '\n'), str_c(self))) {
		while (text.n)
			hear_line(&c, str_word(&text, '\n'));
		if (s->options.changed)
			s->options.changed(s->options.arg, &c);
	}
	free(c.v);
}

/* T170: a commit waits for the standby if one is named; is it there? */
static int look_at_standby(struct shared *h, struct err *err)
{
	int64_t is = STORE_STANDBY_NONE;

	if (db_int(h->listen, &is,
		    "SELECT CASE WHEN current_setting('synchronous_standby_names') = '' THEN 0"
		    " WHEN count(*) FILTER (WHERE sync_state IN ('sync', 'quorum')) > 0 THEN 1"
		    " WHEN count(*) FILTER (WHERE sync_state IS NULL) > 0 THEN 3"
		    " ELSE 2 END FROM pg_stat_replication",
		    DB_NOARGS, err) < 0)
		return -1;
	atomic_store(&h->standby, (int)is);
	return 0;
}

static void *listen_to_others(void *arg)
{
	struct store *s = arg;
	struct shared *h = s->shared;
	struct err err = ERR_INIT;
	bool stop = false;
	int64_t look = 0;

	while (!stop) {
		int got = db_wait(h->listen, h->stop[0], look, hear, s, &err);

		if (got == 0 && clock_mono() >= look) {
			look = clock_after(LOOK_SECONDS * CLOCK_SEC);
			got = look_at_standby(h, &err);
		} else if (got == 0) {
			stop = true;
		}
		if (got < 0)
			break;
	}
	if (!stop)
		store_fatal(s, &err);
	return NULL;
}

int notes_open(struct store *s, struct err *err)
{
	struct shared *h = s->shared;

	if (pipe2(h->stop, O_CLOEXEC) < 0)
		return err_sys(err, "make", "a pipe");
	db_limit(h->listen, SILENT_SECONDS * CLOCK_SEC);
	return db_exec(h->listen, "LISTEN eilpost", DB_NOARGS, err) < 0 ? -1
									: look_at_standby(h, err);
}

int notes_start(struct store *s, struct err *err)
{
	if (pthread_create(&s->shared->thread, NULL, listen_to_others, s) != 0)
		return err_set(err, ERR_TEMP, "cannot start a thread to listen to other nodes");
	s->shared->running = true;
	return 0;
}

void notes_stop(struct store *s)
{
	struct shared *h = s->shared;

	if (h->stop[1] >= 0)
		close(h->stop[1]); /* the other end can be read now */
	if (h->running)
		pthread_join(h->thread, NULL);
	if (h->stop[0] >= 0)
		close(h->stop[0]);
	h->stop[0] = h->stop[1] = -1;
	h->running = false;
}
