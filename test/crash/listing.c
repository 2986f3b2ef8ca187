#include "listing.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/mailbox.h"
#include "store/queue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 64 << 20, PLACE = 400 };

struct listing {
	struct view *v;
	listing_fn *fn;
	void *arg;
	struct err *err;
	int r;
	uint64_t account, mailbox;
	char login[DIRECTORY_ADDRESS + 1], name[MAILBOX_NAME + 1];
};

static void say(struct listing *l, const char *place, uint32_t uid, int read, struct str bytes,
	const struct err *why)
{
	size_t at = str_search(bytes, STR(CRASH_MARK));
	struct str rest = str_from(bytes, at), id = str_from(rest, strlen(CRASH_MARK));
	char hex[CRASH_HEX];

	struct listed one = { .place = place, .uid = uid };

	if (read < 0 || rest.n == 0) {
		one.why = read < 0 ? why->msg : "no mark in it";
	} else {
		crash_digest(rest, hex);
		one.id = str_head(id, str_find(id, '\r'));
		one.digest = hex;
	}
	l->fn(l->arg, &one);
}

static bool list_entry(void *arg, const struct entry *e)
{
	struct listing *l = arg;
	struct buf bytes = BUF(LARGEST);
	struct err err = ERR_INIT;
	char place[PLACE * 4];
	uint64_t size;
	int r;

	snprintf(place, sizeof place, "%s/%s:%u", l->login, l->name, e->flags);
	r = entry_read(l->v, l->account, l->mailbox, e->uid, 0, LARGEST, &bytes, &size, &err);
	if (r == 0 && (bytes.n != size || size != e->size))
		r = err_set(&err, ERR_TEMP, "%zu bytes instead of %llu", bytes.n,
			(unsigned long long)e->size);
	say(l, place, e->uid, r, buf_str(&bytes), &err);
	buf_free(&bytes);
	return true;
}

static bool list_mailbox(void *arg, const struct mailbox_row *row)
{
	struct listing *l = arg;
	struct entry_query q = { .account = l->account, .mailbox = row->id };

	if (row->id == 0)
		return true;
	l->mailbox = row->id;
	if (!str_z(row->name, l->name, sizeof l->name) ||
		entry_list(l->v, &q, list_entry, l, l->err) < 0)
		l->r = -1;
	return l->r == 0;
}

static bool list_account(void *arg, const struct directory_account_row *row)
{
	struct listing *l = arg;
	const struct listed one = { .id = row->login };

	l->account = row->account;
	if (!str_z(row->login, l->login, sizeof l->login) ||
		mailbox_list(l->v, row->account, STR(""), list_mailbox, l, l->err) < 0)
		l->r = -1;
	l->fn(l->arg, &one);
	return l->r == 0;
}

static bool list_queued(void *arg, const struct queue_row *row)
{
	struct listing *l = arg;
	struct buf bytes = BUF(LARGEST);
	struct err err = ERR_INIT;
	char place[PLACE];
	uint64_t size;
	int r = queue_read(l->v, row->message, 0, LARGEST, &bytes, &size, &err);

	snprintf(place, sizeof place, "queue:" STR_F, STR_A(row->address));
	say(l, place, 0, r, buf_str(&bytes), &err);
	buf_free(&bytes);
	return true;
}

int listing(struct store *s, listing_fn *fn, void *arg, struct err *err)
{
	struct listing l = { .fn = fn, .arg = arg, .err = err };
	struct view v;

	if (view_open(s, &v, err) < 0)
		return -1;
	l.v = &v;
	if (directory_accounts(&v, STR(""), list_account, &l, err) < 0 ||
		queue_list(&v, 0, list_queued, &l, err) < 0)
		l.r = -1;
	view_close(&v);
	return l.r;
}

/* ---- going on ---- */

struct probe {
	struct store_job job; /* first */
	struct delivery_rcpt rcpts[8];
	char logins[8][DIRECTORY_ADDRESS + 1];
	size_t n;
};

static bool add_rcpt(void *arg, const struct directory_account_row *row)
{
	struct probe *p = arg;

	if (!str_z(row->login, p->logins[p->n], sizeof p->logins[0]))
		abort();
	p->rcpts[p->n] = (struct delivery_rcpt){ .address = str_c(p->logins[p->n]) };
	return ++p->n < 8;
}

static int do_probe(struct txn *t, struct store_job *job, struct err *err)
{
	struct probe *p = (struct probe *)job;
	const struct delivery d = { .id = 4711,
		.any_sender = true,
		.how = STR("recover"),
		.body = { .size = job->body.n, .refs = STR("recovery") },
		.rcpts = p->rcpts };
	struct delivery with = d;
	uint32_t local, queued;

	p->n = 0;
	if (directory_accounts(&t->view, STR(""), add_rcpt, p, err) < 0)
		return -1;
	with.rcpt_count = p->n;
	return p->n ? delivery_accept(t, &with, &local, &queued, err) : 0;
}

int listing_probe(struct store *s, struct err *err)
{
	struct probe p = { .job = { .write = do_probe, .intake = true } };
	int r;

	p.job.body = STR(CRASH_MARK "probe\r\n\r\nIt goes on.\r\n");
	r = store_run(s, &p.job, err);
	store_job_free(&p.job);
	return r;
}
