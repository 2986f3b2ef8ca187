#include "imap/mem_private.h"

#include "mail/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int imap_mem_check(const struct imap_mem *m, struct err *err)
{
	if (m->broken)
		return err_set(err, ERR_TEMP, "broken");
	/* As a call does that was repeated: success, with the err of the try before. */
	err_set(err, ERR_CLOSED, "left by a try that failed");
	return 0;
}

int imap_mem_selected(const struct imap_mem *m, struct err *err)
{
	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!m->selected || !m->selected->exists)
		return err_set(err, ERR_NOTFOUND, "the mailbox is gone");
	return 0;
}

struct imap_mem_box *imap_mem_box(struct imap_mem *m, struct str name)
{
	for (size_t i = 0; i < IMAP_MEM_BOXES; i++)
		if (m->boxes[i].name[0] && str_eq(str_c(m->boxes[i].name), name))
			return &m->boxes[i];
	return NULL;
}

struct imap_mem_entry *imap_mem_entry(struct imap_mem_box *box, uint32_t uid)
{
	for (size_t i = 0; i < box->count; i++)
		if (box->entries[i].uid == uid)
			return &box->entries[i];
	return NULL;
}

struct imap_mem_body *imap_mem_body(struct imap_mem *m, struct str text)
{
	struct imap_mem_body *body = calloc(1, sizeof *body);
	struct buf facts = BUF(FACTS_MAX);
	struct err ignored = ERR_INIT;
	char *copy = malloc(text.n + 1);

	if (!body || !copy) {
		free(body);
		free(copy);
		return NULL;
	}
	if (text.n > 0)
		memcpy(copy, text.p, text.n);
	body->text = str_make(copy, text.n);
	body->text.p = copy;
	if (!m->no_facts && facts_of(str_from(body->text, m->prefix), &facts, NULL, &ignored) == 0)
		body->facts = (struct str){ facts.p, facts.n }; /* taken over from the buffer */
	else
		buf_free(&facts);
	body->users = 1;
	return body;
}

void imap_mem_drop_body(struct imap_mem_body **body)
{
	struct imap_mem_body *b = *body;

	*body = NULL;
	if (!b || --b->users > 0)
		return;
	free((char *)(uintptr_t)b->text.p);
	if (b->facts.n > 0)
		free((char *)(uintptr_t)b->facts.p);
	free(b);
}

struct imap_mem_entry *imap_mem_put(
	struct imap_mem *m, struct imap_mem_box *box, struct imap_mem_body *body, struct err *err)
{
	struct imap_mem_entry *e;

	if (!box->entries)
		box->entries = calloc(IMAP_MEM_ENTRIES, sizeof *box->entries);
	if (!box->entries || !body || box->count == IMAP_MEM_ENTRIES) {
		err_set(err, ERR_FULL, "no room");
		return NULL;
	}
	e = &box->entries[box->count++];
	*e = (struct imap_mem_entry){ .body = body, .uid = box->uidnext++, .modseq = ++m->modseq };
	return e;
}

uint32_t imap_mem_add(struct imap_mem *m, struct str box_name, struct str text, unsigned flags,
	struct str keywords, int64_t received)
{
	struct imap_mem_box *box = imap_mem_box(m, box_name);
	struct imap_mem_body *body = box ? imap_mem_body(m, text) : NULL;
	struct err err = ERR_INIT;
	struct imap_mem_entry *e = body ? imap_mem_put(m, box, body, &err) : NULL;

	if (!e) {
		imap_mem_drop_body(&body);
		return 0;
	}
	e->flags = flags;
	e->received = received;
	str_z(keywords, e->keywords, sizeof e->keywords);
	return e->uid;
}

void imap_mem_init(struct imap_mem *m)
{
	struct err err = ERR_INIT;

	m->uidvalidity = 100;
	m->incoming = BUF(1 << 20);
	imap_mem_create(m, STR("INBOX"), 0, &err);
	imap_mem_create(m, STR("Sent"), IMAP_USE_SENT, &err);
}

void imap_mem_free(struct imap_mem *m)
{
	for (size_t i = 0; i < IMAP_MEM_BOXES; i++) {
		for (size_t k = 0; k < m->boxes[i].count; k++)
			imap_mem_drop_body(&m->boxes[i].entries[k].body);
		free(m->boxes[i].entries);
	}
	buf_free(&m->incoming);
	*m = (struct imap_mem){ .chunk = 0 };
}

/* "expunge/3" and the like: what another session does. */
void imap_mem_other(struct imap_mem *m, struct str action)
{
	struct str what = action, number = { "", 0 };
	struct imap_mem_entry *e = NULL;
	uint64_t uid = 0;

	str_cut(action, '/', &what, &number);
	if (str_eq(what, STR("gone")))
		m->gone = true;
	if (str_eq(what, STR("broken")))
		m->broken = true;
	if (!m->selected)
		return;
	if (str_u64(number, UINT32_MAX, &uid))
		e = imap_mem_entry(m->selected, (uint32_t)uid);
	if (e && str_eq(what, STR("expunge")))
		e->expunged = true;
	if (e && str_eq(what, STR("seen")))
		e->flags |= IMAP_SEEN;
	if (e && str_eq(what, STR("deleted")))
		e->flags |= IMAP_DELETED;
	if (e)
		e->modseq = ++m->modseq;
	if (str_eq(what, STR("remove")))
		m->selected->exists = false, m->modseq++;
	if (str_eq(what, STR("deliver")))
		imap_mem_add(m, str_c(m->selected->name), STR("Subject: new\r\n\r\nfresh\r\n"), 0,
			STR(""), 86400 * 365);
	signal_raise(&m->wake);
}

static unsigned mem_news(void *arg, uint64_t seen)
{
	const struct imap_mem *m = arg;
	unsigned news = m->gone ? IMAP_NEWS_GONE : 0;

	if (m->modseq > seen)
		news |= IMAP_NEWS_CHANGES;
	return news;
}

static int mem_start_tls(void *arg, struct conn *c, struct err *err)
{
	return 0;
}

static int mem_login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct imap_mem *m = arg;

	if (str_eq(name, STR("guessed")))
		return err_set(err, ERR_LIMIT, "too many");
	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!str_eqi(name, m->name) || !secret_eq(password, m->password))
		return err_set(err, ERR_DENIED, "wrong name or password");
	return 0;
}

static int mem_mailboxes(void *arg, imap_mailbox_fn *each, void *each_arg, struct err *err)
{
	struct imap_mem *m = arg;

	if (imap_mem_check(m, err) < 0)
		return -1;
	for (size_t i = 0; i < IMAP_MEM_BOXES; i++) {
		const struct imap_mem_box *box = &m->boxes[i];
		struct imap_mailbox row = { .name = str_c(box->name),
			.uses = box->uses,
			.subscribed = box->subscribed,
			.exists = box->exists };

		if ((box->exists || box->subscribed) && each(each_arg, &row, err) < 0)
			return -1;
	}
	return 0;
}

static int mem_status(void *arg, struct str name, struct imap_status *st, struct err *err)
{
	struct imap_mem *m = arg;
	const struct imap_mem_box *box = imap_mem_box(m, name);

	if (str_take(&name, STR("other/")))
		imap_mem_other(m, name);
	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box || !box->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	*st = (struct imap_status){ .uidvalidity = box->uidvalidity, .uidnext = box->uidnext };
	for (size_t i = 0; i < box->count; i++) {
		const struct imap_mem_entry *e = &box->entries[i];

		if (e->expunged)
			continue;
		st->messages++;
		st->unseen += !(e->flags & IMAP_SEEN);
		st->recent += e->uid >= box->recent_from;
		st->size += e->body->text.n;
	}
	return 0;
}

static int mem_select(
	void *arg, struct str name, bool read_only, struct imap_box *out, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *box = imap_mem_box(m, name);

	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box || !box->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	m->selected = box;
	*out = (struct imap_box){ .uidvalidity = box->uidvalidity,
		.uidnext = box->uidnext,
		.recent_from = box->recent_from,
		.modseq = m->modseq,
		.keywords = STR("$Junk") };
	for (size_t i = box->count; i-- > 0;)
		if (!box->entries[i].expunged && !(box->entries[i].flags & IMAP_SEEN))
			out->first_unseen = box->entries[i].uid;
	if (!read_only)
		box->recent_from = box->uidnext;
	return 0;
}

static void mem_unselect(void *arg)
{
	struct imap_mem *m = arg;

	m->selected = NULL;
}

static int mem_uids(void *arg, uint32_t from, struct imap_ranges *out, struct err *err)
{
	const struct imap_mem *m = arg;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	for (size_t i = 0; i < m->selected->count; i++) {
		const struct imap_mem_entry *e = &m->selected->entries[i];

		if (!e->expunged && e->uid >= from)
			imap_ranges_add(out, e->uid, e->uid);
	}
	return 0;
}

static int mem_vanished(
	void *arg, uint64_t since, struct imap_ranges *out, uint64_t *modseq, struct err *err)
{
	const struct imap_mem *m = arg;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	for (size_t i = 0; i < m->selected->count; i++) {
		const struct imap_mem_entry *e = &m->selected->entries[i];

		if (e->expunged && e->modseq > since)
			imap_ranges_add(out, e->uid, e->uid);
	}
	*modseq = m->modseq;
	return 0;
}

int imap_mem_walk(struct imap_mem *m, const struct imap_range *ranges, size_t n,
	struct imap_rows **rows, struct err *err)
{
	struct imap_rows *r = calloc(1, sizeof *r);

	if (!r)
		return err_set(err, ERR_TEMP, "out of memory");
	r->m = m;
	r->box = m->selected;
	for (size_t i = 0; i < n; i++)
		imap_ranges_add(&r->uids, ranges[i].first, ranges[i].last);
	m->rows_open++;
	*rows = r;
	return 0;
}

static int mem_rows(void *arg, const struct imap_query *q, struct imap_rows **rows, struct err *err)
{
	struct imap_mem *m = arg;

	if (imap_mem_selected(m, err) < 0 || imap_mem_walk(m, q->ranges, q->n, rows, err) < 0)
		return -1;
	(*rows)->since = q->since;
	(*rows)->facts = q->facts;
	(*rows)->live_only = !q->ghosts;
	return 0;
}

static int mem_next(struct imap_rows *r, struct imap_entry *out, struct err *err)
{
	if (imap_mem_check(r->m, err) < 0)
		return -1;
	while (r->at < r->box->count) {
		const struct imap_mem_entry *e = &r->box->entries[r->at++];

		if (!imap_ranges_have(&r->uids, e->uid) || e->modseq <= r->since ||
			(r->live_only && e->expunged))
			continue;
		*out = (struct imap_entry){ .uid = e->uid,
			.flags = e->flags,
			.keywords = str_c(e->keywords),
			.received = e->received,
			.size = e->body->text.n,
			.prefix_size = r->m->prefix,
			.modseq = e->modseq,
			.facts = r->facts ? e->body->facts : STR("") };
		return 1;
	}
	return 0;
}

static void mem_end(struct imap_rows **rows)
{
	if (!*rows)
		return;
	(*rows)->m->rows_open--;
	imap_ranges_free(&(*rows)->uids);
	free(*rows);
	*rows = NULL;
}

static int mem_body(void *arg, uint32_t uid, uint64_t offset, uint64_t length, struct str *piece,
	struct err *err)
{
	const struct imap_mem *m = arg;
	const struct imap_mem_entry *e;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	e = imap_mem_entry(m->selected, uid);
	if (!e)
		return err_set(err, ERR_NOTFOUND, "no such message");
	*piece = str_head(str_from(e->body->text, (size_t)offset), (size_t)length);
	if (m->chunk > 0)
		*piece = str_head(*piece, m->chunk);
	return 0;
}

struct imap_policy imap_mem_policy(struct imap_mem *m)
{
	return (struct imap_policy){ .arg = m,
		.wake = &m->wake,
		.news = mem_news,
		.start_tls = mem_start_tls,
		.login = mem_login,
		.mailboxes = mem_mailboxes,
		.create = imap_mem_create,
		.remove = imap_mem_remove,
		.rename = imap_mem_rename,
		.subscribe = imap_mem_subscribe,
		.status = mem_status,
		.select = mem_select,
		.unselect = mem_unselect,
		.uids = mem_uids,
		.vanished = mem_vanished,
		.rows = mem_rows,
		.store = imap_mem_store,
		.next = mem_next,
		.end = mem_end,
		.body = mem_body,
		.expunge = imap_mem_expunge,
		.copy = imap_mem_copy,
		.append_begin = imap_mem_append_begin,
		.append_piece = imap_mem_append_piece,
		.append_commit = imap_mem_append_commit,
		.append_abort = imap_mem_append_abort };
}
