#include "imap/mem_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct imap_mem_box *new_box(struct imap_mem *m, struct str name, struct err *err)
{
	for (size_t i = 0; i < IMAP_MEM_BOXES; i++) {
		struct imap_mem_box *box = &m->boxes[i];

		if (box->name[0] || !str_z(name, box->name, sizeof box->name))
			continue;
		return box;
	}
	err_set(err, ERR_LIMIT, "too many mailboxes");
	return NULL;
}

int imap_mem_create(void *arg, struct str name, unsigned uses, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *box = imap_mem_box(m, name);

	if (imap_mem_check(m, err) < 0)
		return -1;
	if (box && box->exists)
		return err_set(err, ERR_EXISTS, "there already");
	if (!box)
		box = new_box(m, name, err);
	if (!box)
		return -1;
	box->exists = true;
	box->uses = uses;
	box->uidvalidity = ++m->uidvalidity;
	box->uidnext = box->recent_from = 1;
	return 0;
}

int imap_mem_remove(void *arg, struct str name, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *box = imap_mem_box(m, name);

	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box || !box->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	for (size_t i = 0; i < box->count; i++)
		imap_mem_drop_body(&box->entries[i].body);
	box->count = 0;
	box->exists = false;
	if (!box->subscribed)
		box->name[0] = '\0';
	return 0;
}

/* The name that a mailbox at or below `from` gets; false when it is neither, or too long. */
static bool new_name(struct str name, struct str from, struct str to, char out[IMAP_NAME_MAX + 1])
{
	struct str rest = str_from(name, from.n);

	if (!str_starts(name, from) || (rest.n > 0 && rest.p[0] != '/') ||
		to.n + rest.n > IMAP_NAME_MAX)
		return false;
	snprintf(out, IMAP_NAME_MAX + 1, STR_F STR_F, STR_A(to), STR_A(rest));
	return true;
}

static int empty_inbox(struct imap_mem *m, struct str to, struct err *err)
{
	struct imap_mem_box *inbox = imap_mem_box(m, STR("INBOX")), *box;

	if (imap_mem_create(m, to, 0, err) < 0)
		return -1;
	box = imap_mem_box(m, to);
	for (size_t i = 0; i < inbox->count; i++) {
		struct imap_mem_entry *e = &inbox->entries[i];

		if (e->expunged || !imap_mem_put(m, box, e->body, err))
			continue;
		e->body->users++;
		e->expunged = true;
		e->modseq = ++m->modseq;
	}
	return 0;
}

int imap_mem_rename(void *arg, struct str from, struct str to, struct err *err)
{
	struct imap_mem *m = arg;
	const struct imap_mem_box *box = imap_mem_box(m, from);
	char name[IMAP_NAME_MAX + 1];

	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box || !box->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	if (imap_mem_box(m, to))
		return err_set(err, ERR_EXISTS, "there already");
	if (str_eq(from, STR("INBOX")))
		return empty_inbox(m, to, err);
	for (size_t i = 0; i < IMAP_MEM_BOXES; i++) {
		/* `from` may be a slice of no box's name: it lies in the command. */
		if (m->boxes[i].name[0] && new_name(str_c(m->boxes[i].name), from, to, name))
			memcpy(m->boxes[i].name, name, sizeof name);
	}
	return 0;
}

int imap_mem_subscribe(void *arg, struct str name, bool on, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *box = imap_mem_box(m, name);

	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box && on)
		box = new_box(m, name, err);
	if (!box)
		return on ? -1 : 0;
	box->subscribed = on;
	if (!on && !box->exists)
		box->name[0] = '\0';
	return 0;
}

static bool add_keyword(char keywords[IMAP_FLAGS_MAX + 1], struct str word)
{
	size_t n = strlen(keywords);

	if (imap_has_keyword(str_c(keywords), word))
		return true;
	if (n + 1 + word.n > IMAP_FLAGS_MAX)
		return false;
	snprintf(keywords + n, IMAP_FLAGS_MAX + 1 - n, "%s" STR_F, n ? " " : "", STR_A(word));
	return true;
}

static void remove_keywords(char keywords[IMAP_FLAGS_MAX + 1], struct str which)
{
	char left[IMAP_FLAGS_MAX + 1] = "";
	struct str all = str_c(keywords);

	while (all.n > 0) {
		struct str word = str_word(&all, ' ');

		if (!imap_has_keyword(which, word))
			add_keyword(left, word);
	}
	memcpy(keywords, left, sizeof left);
}

static void change(struct imap_mem_entry *e, enum imap_store_op op, const struct imap_flags *flags)
{
	struct str words = flags->keywords;

	if (op == IMAP_STORE_REMOVE) {
		e->flags &= ~flags->system;
		remove_keywords(e->keywords, words);
		return;
	}
	if (op == IMAP_STORE_SET) {
		e->flags = 0;
		e->keywords[0] = '\0';
	}
	e->flags |= flags->system;
	while (words.n > 0)
		add_keyword(e->keywords, str_word(&words, ' '));
}

int imap_mem_store(void *arg, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, struct imap_rows **rows, struct err *err)
{
	struct imap_mem *m = arg;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	m->modseq++;
	for (size_t i = 0; i < m->selected->count; i++) {
		struct imap_mem_entry *e = &m->selected->entries[i];

		if (e->expunged || !imap_ranges_have(uids, e->uid))
			continue;
		change(e, op, flags);
		e->modseq = m->modseq;
	}
	if (imap_mem_walk(m, uids->v, uids->n, rows, err) < 0)
		return -1;
	(*rows)->live_only = true;
	return 0;
}

int imap_mem_expunge(void *arg, const struct imap_ranges *uids, bool all, struct err *err)
{
	struct imap_mem *m = arg;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	m->modseq++;
	for (size_t i = 0; i < m->selected->count; i++) {
		struct imap_mem_entry *e = &m->selected->entries[i];

		if (e->expunged || !imap_ranges_have(uids, e->uid) ||
			(!all && !(e->flags & IMAP_DELETED)))
			continue;
		e->expunged = true;
		e->modseq = m->modseq;
	}
	return 0;
}

int imap_mem_copy(void *arg, const struct imap_ranges *uids, struct str target, bool move,
	struct imap_copied *copied, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *to = imap_mem_box(m, target);
	size_t count;

	if (imap_mem_selected(m, err) < 0)
		return -1;
	if (!to || !to->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	copied->uidvalidity = to->uidvalidity;
	count = m->selected->count;
	for (size_t i = 0; i < count; i++) {
		struct imap_mem_entry *e = &m->selected->entries[i], *copy;

		if (e->expunged || !imap_ranges_have(uids, e->uid))
			continue;
		copy = imap_mem_put(m, to, e->body, err);
		if (!copy)
			return -1;
		e->body->users++;
		copy->flags = e->flags;
		copy->received = e->received;
		memcpy(copy->keywords, e->keywords, sizeof copy->keywords);
		imap_ranges_add(&copied->from, e->uid, e->uid);
		imap_ranges_add(&copied->to, copy->uid, copy->uid);
		e->expunged = e->expunged || move;
		if (move)
			e->modseq = ++m->modseq;
	}
	return 0;
}

int imap_mem_append_begin(void *arg, const struct imap_append *a, struct err *err)
{
	struct imap_mem *m = arg;
	const struct imap_mem_box *box = imap_mem_box(m, a->mailbox);

	buf_clear(&m->incoming);
	if (imap_mem_check(m, err) < 0)
		return -1;
	if (!box || !box->exists)
		return err_set(err, ERR_NOTFOUND, "no such mailbox");
	return 0;
}

int imap_mem_append_piece(void *arg, struct str data, struct err *err)
{
	struct imap_mem *m = arg;

	buf_add(&m->incoming, data);
	if (!buf_ok(&m->incoming) || (m->space > 0 && m->incoming.n > m->space))
		return err_set(err, ERR_FULL, "no space left");
	return 0;
}

int imap_mem_append_commit(void *arg, const struct imap_append *a, uint32_t *uidvalidity,
	uint32_t *uid, struct err *err)
{
	struct imap_mem *m = arg;
	struct imap_mem_box *box = imap_mem_box(m, a->mailbox);

	if (imap_mem_check(m, err) < 0)
		return -1;
	*uid = imap_mem_add(m, a->mailbox, buf_str(&m->incoming), a->flags.system,
		a->flags.keywords, a->received);
	if (*uid == 0)
		return err_set(err, ERR_FULL, "no room");
	*uidvalidity = box->uidvalidity;
	return 0;
}

void imap_mem_append_abort(void *arg)
{
	struct imap_mem *m = arg;

	buf_clear(&m->incoming);
}
