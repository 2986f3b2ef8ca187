#include "store/mailbox.h"
#include "base/utf8.h"
#include "store/directory.h"
#include "store/entry.h"
#include "store/names.h"

#define ID(x) DB_I((int64_t)(x))

int account_state(struct view *v, uint64_t account, struct account_state *s, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT modseq, next_email, next_mailbox, next_uidvalidity, messages, bytes,"
		    " charged, quota_messages, quota_bytes FROM account"
		    " WHERE id = $1 AND removed = 0",
		    DB_ARGS(ID(account)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		*s = (struct account_state){ .modseq = (uint64_t)rows_int(r, 0),
			.next_email = (uint64_t)rows_int(r, 1),
			.next_mailbox = (uint64_t)rows_int(r, 2),
			.next_uidvalidity = (uint64_t)rows_int(r, 3),
			.messages = (uint64_t)rows_int(r, 4),
			.bytes = (uint64_t)rows_int(r, 5),
			.charged = (uint64_t)rows_int(r, 6),
			.limited = rows_int(r, 6) || rows_int(r, 7) || rows_int(r, 8) };
	else if (got == 0)
		err_set(err, ERR_NOTFOUND, "no such account");
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* No empty level, no control characters, UTF-8. */
bool mailbox_name(struct str name, struct buf *out)
{
	struct str rest = name, level;
	uint32_t cp;
	bool ok;

	if (name.n == 0 || name.n > MAILBOX_NAME || name.p[name.n - 1] == '/')
		return false;
	while (utf8_next(&rest, &cp, &ok))
		if (!ok || cp < 32 || (cp >= 127 && cp < 160))
			return false;
	rest = name;
	while (rest.n) {
		level = str_word(&rest, '/');
		if (level.n == 0)
			return false;
	}
	buf_clear(out);
	rest = name;
	level = str_word(&rest, '/');
	buf_add(out, str_eqi(level, STR("INBOX")) ? STR("INBOX") : level);
	if (rest.n) {
		buf_addc(out, '/');
		buf_add(out, rest);
	}
	return buf_ok(out);
}

static int standard_name(struct str name, struct buf *out, struct err *err)
{
	if (mailbox_name(name, out))
		return 0;
	return err_set(err, ERR_PERM, "not a name for a mailbox");
}

#define MAILBOX_COLUMNS                                                                            \
	"id, uses, uidvalidity, uidnext, recent_from, messages, unseen, deleted, modseq, bytes,"   \
	" name"

static int one_mailbox(struct rows *r, struct mailbox *m, struct buf *name, struct err *err)
{
	int got = rows_next(r, err);

	if (got == 1)
		*m = (struct mailbox){ .id = (uint64_t)rows_int(r, 0),
			.uses = (uint32_t)rows_int(r, 1),
			.uidvalidity = (uint32_t)rows_int(r, 2),
			.uidnext = (uint32_t)rows_int(r, 3),
			.recent_from = (uint32_t)rows_int(r, 4),
			.messages = (uint32_t)rows_int(r, 5),
			.unseen = (uint32_t)rows_int(r, 6),
			.deleted = (uint32_t)rows_int(r, 7),
			.modseq = (uint64_t)rows_int(r, 8),
			.bytes = (uint64_t)rows_int(r, 9) };
	else if (got == 0)
		err_set(err, ERR_NOTFOUND, "no such mailbox");
	if (got == 1 && name) {
		buf_clear(name);
		buf_add(name, rows_str(r, 10));
	}
	rows_free(&r);
	return got == 1 ? 0 : -1;
}

/* The name is in its standard form already. */
static int find(
	struct view *v, uint64_t account, struct str name, struct mailbox *m, struct err *err)
{
	struct rows *r;

	if (db_query(v->db, &r,
		    "SELECT " MAILBOX_COLUMNS " FROM mailbox WHERE account = $1 AND name = $2",
		    DB_ARGS(ID(account), DB_T(name)), err) < 0)
		return -1;
	return one_mailbox(r, m, NULL, err);
}

int mailbox_find(
	struct view *v, uint64_t account, struct str name, struct mailbox *m, struct err *err)
{
	struct buf standard = BUF(MAILBOX_NAME);
	int r = -1;

	if (mailbox_name(name, &standard))
		r = find(v, account, buf_str(&standard), m, err);
	else
		err_set(err, ERR_NOTFOUND, "no such mailbox");
	buf_free(&standard);
	return r;
}

int mailbox_get(struct view *v, uint64_t account, uint64_t mailbox, struct mailbox *m,
	struct buf *name, struct err *err)
{
	struct rows *r;

	if (db_query(v->db, &r,
		    "SELECT " MAILBOX_COLUMNS
		    " FROM mailbox WHERE account = $1 AND id = $2 AND removed = 0",
		    DB_ARGS(ID(account), ID(mailbox)), err) < 0)
		return -1;
	return one_mailbox(r, m, name, err);
}

int mailbox_keywords(
	struct view *v, uint64_t account, uint64_t mailbox, struct buf *out, struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r, "SELECT keywords FROM mailbox WHERE account = $1 AND id = $2",
		    DB_ARGS(ID(account), ID(mailbox)), err) < 0)
		return -1;
	got = rows_next(r, err);
	if (got == 1)
		buf_add(out, rows_str(r, 0));
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

int mailbox_note_keywords(
	struct txn *t, uint64_t account, uint64_t mailbox, struct str words, struct err *err)
{
	struct buf all = BUF(MAILBOX_KEYWORDS);
	size_t before;
	int r = -1;

	if (words.n == 0)
		return 0;
	if (mailbox_keywords(&t->view, account, mailbox, &all, err) < 0)
		goto out;
	before = all.n;
	if (!keywords_add(&all, words)) {
		err_set(err, ERR_LIMIT, "too many different keywords in this mailbox");
		goto out;
	}
	r = all.n == before
		? 0
		: emit_mailbox_keywords(t,
			  &(struct effect_mailbox_keywords){ account, mailbox, buf_str(&all) },
			  err);
out:
	buf_free(&all);
	return r;
}

int mailbox_first_unseen(
	struct view *v, uint64_t account, const struct mailbox *m, uint32_t *uid, struct err *err)
{
	int64_t found = 0;

	if (m->unseen &&
		db_int(v->db, &found,
			"SELECT uid FROM entry WHERE account = $1 AND mailbox = $2"
			" AND (flags & 1) = 0 ORDER BY uid LIMIT 1",
			DB_ARGS(ID(account), ID(m->id)), err) < 0)
		return -1;
	*uid = (uint32_t)found;
	return 0;
}

int mailbox_list(struct view *v, uint64_t account, struct str after, mailbox_list_fn *fn, void *arg,
	struct err *err)
{
	struct rows *r;
	int got;

	if (db_query(v->db, &r,
		    "SELECT m.id, m.name AS name, m.uses,"
		    " CASE WHEN s.name IS NULL THEN 0 ELSE 1 END FROM mailbox m"
		    " LEFT JOIN subscription s ON s.account = m.account AND s.name = m.name"
		    " WHERE m.account = $1 AND m.name > $2"
		    " UNION ALL SELECT 0, s.name, 0, 1 FROM subscription s"
		    " WHERE s.account = $1 AND s.name > $2 AND NOT EXISTS"
		    " (SELECT 1 FROM mailbox m WHERE m.account = $1 AND m.name = s.name)"
		    " ORDER BY name",
		    DB_ARGS(ID(account), DB_T(after)), err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		const struct mailbox_row row = { (uint64_t)rows_int(r, 0), rows_str(r, 1),
			(uint32_t)rows_int(r, 2), rows_int(r, 3) != 0 };

		if (!fn(arg, &row))
			break;
	}
	rows_free(&r);
	return got < 0 ? -1 : 0;
}

static int make(struct txn *t, uint64_t account, struct str name, uint32_t uses, uint64_t *id,
	struct err *err)
{
	struct account_state s;

	if (account_state(&t->view, account, &s, err) < 0)
		return -1;
	if (s.next_mailbox > MAILBOX_MAX)
		return err_set(err, ERR_LIMIT, "too many mailboxes");
	*id = s.next_mailbox;
	return emit_mailbox_put(t,
		&(struct effect_mailbox_put){
			account, *id, name, uses, (uint32_t)s.next_uidvalidity, s.modseq + 1 },
		err);
}

/* 0 the name is free. */
static int must_be_free(struct view *v, uint64_t account, struct str name, struct err *err)
{
	struct err why = ERR_INIT;
	struct mailbox m;

	if (find(v, account, name, &m, &why) == 0)
		return err_set(err, ERR_EXISTS, "there is a mailbox of this name already");
	if (why.kind == ERR_NOTFOUND)
		return 0;
	*err = why;
	return -1;
}

int mailbox_create(struct txn *t, uint64_t account, struct str name, uint32_t uses, uint64_t *id,
	struct err *err)
{
	struct buf standard = BUF(MAILBOX_NAME);
	int r = -1;

	if (standard_name(name, &standard, err) == 0 &&
		must_be_free(&t->view, account, buf_str(&standard), err) == 0)
		r = make(t, account, buf_str(&standard), uses, id, err);
	buf_free(&standard);
	return r;
}

int mailbox_delete(struct txn *t, uint64_t account, struct str name, struct err *err)
{
	struct account_state s;
	struct mailbox m;

	if (str_eqi(name, STR("INBOX")))
		return err_set(err, ERR_DENIED, "INBOX cannot be deleted");
	if (account_state(&t->view, account, &s, err) < 0 ||
		mailbox_find(&t->view, account, name, &m, err) < 0)
		return -1;
	if (directory_use(t, s.charged, -(int64_t)m.messages, -(int64_t)m.bytes, err) < 0)
		return -1;
	return emit_mailbox_removed(t,
		&(struct effect_mailbox_removed){ account, m.id, s.modseq + 1, txn_deleted_at(t) },
		err);
}

static int rename_one(
	struct txn *t, uint64_t account, uint64_t id, struct str name, struct err *err)
{
	struct account_state s;

	if (name.n > MAILBOX_NAME)
		return err_set(err, ERR_PERM, "the new name is too long");
	if (must_be_free(&t->view, account, name, err) < 0 ||
		account_state(&t->view, account, &s, err) < 0)
		return -1;
	return emit_mailbox_renamed(
		t, &(struct effect_mailbox_renamed){ account, id, name, s.modseq + 1 }, err);
}

/* The next mailbox below `from` ("a/" to "a0": '0' follows '/'). 1, 0, -1. */
static int next_below(struct txn *t, uint64_t account, struct str from, struct buf *name,
	int64_t *id, struct err *err)
{
	struct buf low = BUF(MAILBOX_NAME + 1), high = BUF(MAILBOX_NAME + 1);
	struct rows *r = NULL;
	int got = -1;

	buf_add(&low, from);
	buf_addc(&low, '/');
	buf_add(&high, from);
	buf_addc(&high, '0');
	if (db_query(t->view.db, &r,
		    "SELECT id, name FROM mailbox WHERE account = $1 AND name > $2 AND name < $3"
		    " ORDER BY name LIMIT 1",
		    DB_ARGS(ID(account), DB_T(buf_str(&low)), DB_T(buf_str(&high))), err) == 0)
		got = rows_next(r, err);
	if (got == 1) {
		*id = rows_int(r, 0);
		buf_clear(name);
		buf_add(name, rows_str(r, 1));
	}
	rows_free(&r);
	buf_free(&low);
	buf_free(&high);
	return got;
}

static int rename_below(
	struct txn *t, uint64_t account, struct str from, struct str to, struct err *err)
{
	struct buf old = BUF(MAILBOX_NAME), new = BUF(2 * MAILBOX_NAME);
	int64_t id;
	int got;

	while ((got = next_below(t, account, from, &old, &id, err)) == 1) {
		buf_clear(&new);
		buf_add(&new, to);
		buf_add(&new, str_from(buf_str(&old), from.n));
		if (rename_one(t, account, (uint64_t)id, buf_str(&new), err) < 0) {
			got = -1;
			break;
		}
	}
	buf_free(&old);
	buf_free(&new);
	return got;
}

/* RFC 3501 6.3.5: the mail moves, INBOX stays, and so does what is below it. */
static int rename_inbox(struct txn *t, uint64_t account, struct str to, struct err *err)
{
	struct mailbox inbox;
	uint64_t id;

	if (mailbox_find(&t->view, account, STR("INBOX"), &inbox, err) < 0 ||
		mailbox_create(t, account, to, 0, &id, err) < 0)
		return -1;
	return entry_move_all(t, account, inbox.id, id, err);
}

int mailbox_rename(struct txn *t, uint64_t account, struct str from, struct str to, struct err *err)
{
	struct buf old = BUF(MAILBOX_NAME), new = BUF(MAILBOX_NAME);
	struct mailbox m;
	int r = -1;

	if (standard_name(from, &old, err) < 0 || standard_name(to, &new, err) < 0 ||
		find(&t->view, account, buf_str(&old), &m, err) < 0)
		goto out;
	if (str_eq(buf_str(&old), STR("INBOX"))) {
		r = rename_inbox(t, account, buf_str(&new), err);
		goto out;
	}
	if (str_starts(buf_str(&new), buf_str(&old)) && new.n > old.n &&new.p[old.n] == '/') {
		err_set(err, ERR_PERM, "a mailbox cannot move below itself");
		goto out;
	}
	if (rename_one(t, account, m.id, buf_str(&new), err) == 0)
		r = rename_below(t, account, buf_str(&old), buf_str(&new), err);
out:
	buf_free(&old);
	buf_free(&new);
	return r;
}

int mailbox_subscribe(struct txn *t, uint64_t account, struct str name, bool on, struct err *err)
{
	struct buf standard = BUF(MAILBOX_NAME);
	int r = -1;

	if (standard_name(name, &standard, err) == 0)
		r = emit_subscription(
			t, &(struct effect_subscription){ account, buf_str(&standard), on }, err);
	buf_free(&standard);
	return r;
}

int mailbox_take_recent(
	struct txn *t, uint64_t account, uint64_t mailbox, uint32_t *recent_from, struct err *err)
{
	struct mailbox m;

	if (mailbox_get(&t->view, account, mailbox, &m, NULL, err) < 0)
		return -1;
	*recent_from = m.recent_from;
	if (m.recent_from == m.uidnext)
		return 0;
	return emit_mailbox_recent(
		t, &(struct effect_mailbox_recent){ account, mailbox, m.uidnext }, err);
}
