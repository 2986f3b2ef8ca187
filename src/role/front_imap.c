/* front_imap.c - the IMAP session's policy: its questions become calls to vault and store. Here
 * logins, mailboxes and news; front_imap_message.c has the messages. */
#include "base/log.h"
#include "conf/conf.h"
#include "role/front_guard.h"
#include "role/front_imap_private.h"

_Static_assert((int)IMAP_SEEN == FLAG_SEEN && (int)IMAP_ANSWERED == FLAG_ANSWERED &&
		(int)IMAP_FLAGGED == FLAG_FLAGGED && (int)IMAP_DELETED == FLAG_DELETED &&
		(int)IMAP_DRAFT == FLAG_DRAFT,
	"flags pass through unchanged");
_Static_assert((int)IMAP_USE_DRAFTS == USE_DRAFTS && (int)IMAP_USE_SENT == USE_SENT &&
		(int)IMAP_USE_JUNK == USE_JUNK && (int)IMAP_USE_TRASH == USE_TRASH &&
		(int)IMAP_USE_ARCHIVE == USE_ARCHIVE,
	"uses pass through unchanged");

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	const struct front_imap *m = arg;

	return guard_start_tls(m->f, c, m->service, err);
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct front_imap *m = arg;

	return front_auth_password(&m->auth, name, password, err);
}

/* The store tells of changes in the selected mailbox. What happened between two of its lives, or
 * before it began to watch, it does not tell. */
static unsigned news(void *arg, uint64_t seen)
{
	struct front_imap *m = arg;
	uint64_t generation = link_generation(m->f->store);
	unsigned found = 0;

	if (!m->auth.in)
		return 0;
	if (m->auth.login.gone)
		found |= IMAP_NEWS_GONE;
	if (m->mailbox != 0 &&
		(m->ask || m->auth.login.modseq > seen || generation != m->generation))
		found |= IMAP_NEWS_CHANGES;
	m->ask = false;
	m->generation = generation;
	return found;
}

static int list_page(struct front_imap *m, struct buf *after, bool *more, imap_mailbox_fn *each,
	void *each_arg, struct err *err)
{
	struct store_mailboxes_req q = { .after = buf_str(after) };
	struct store_mailboxes_rep a;
	struct store_mailbox_item item;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailboxes, &q, &a, &hold, err);

	while (r == 0 && store_mailbox_item_next(&a.items, &item)) {
		struct imap_mailbox row = { .name = item.name,
			.uses = item.uses,
			.subscribed = item.subscribed,
			.exists = item.exists };

		r = each(each_arg, &row, err);
		buf_clear(after);
		buf_add(after, item.name);
	}
	*more = r == 0 && a.more;
	reply_free(&hold);
	return r;
}

static int mailboxes(void *arg, imap_mailbox_fn *each, void *each_arg, struct err *err)
{
	struct buf after = BUF(IMAP_NAME_MAX);
	bool more = true;
	int r = 0;

	while (r == 0 && more)
		r = list_page(arg, &after, &more, each, each_arg, err);
	buf_free(&after);
	return r;
}

static int create(void *arg, struct str name, unsigned uses, struct err *err)
{
	struct front_imap *m = arg;
	struct store_mailbox_create_req q = {
		.call = front_call_id(m->f), .name = name, .uses = uses
	};
	struct store_mailbox_create_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_create, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int remove_mailbox(void *arg, struct str name, struct err *err)
{
	struct front_imap *m = arg;
	struct store_mailbox_delete_req q = { .call = front_call_id(m->f), .name = name };
	struct store_mailbox_delete_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_delete, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int rename_mailbox(void *arg, struct str from, struct str to, struct err *err)
{
	struct front_imap *m = arg;
	struct store_mailbox_rename_req q = { .call = front_call_id(m->f), .from = from, .to = to };
	struct store_mailbox_rename_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_rename, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int subscribe(void *arg, struct str name, bool on, struct err *err)
{
	struct front_imap *m = arg;
	struct store_mailbox_subscribe_req q = {
		.call = front_call_id(m->f), .name = name, .on = on
	};
	struct store_mailbox_subscribe_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_subscribe, &q, &a, &hold, err);

	reply_free(&hold);
	return r;
}

static int status(void *arg, struct str name, struct imap_status *st, struct err *err)
{
	struct front_imap *m = arg;
	struct store_mailbox_status_req q = { .name = name };
	struct store_mailbox_status_rep a;
	struct reply hold = { 0 };
	int r = FRONT_CALL(m->f, &m->auth.login, store_mailbox_status, &q, &a, &hold, err);

	if (r == 0)
		*st = (struct imap_status){ .uidvalidity = a.uidvalidity,
			.uidnext = a.uidnext,
			.messages = a.exists,
			.unseen = a.unseen,
			.recent = a.recent,
			.size = a.size };
	reply_free(&hold);
	return r;
}

static int select_mailbox(
	void *arg, struct str name, bool read_only, struct imap_box *box, struct err *err)
{
	struct front_imap *m = arg;
	struct store_select_req q = { .name = name, .take_recent = !read_only };
	struct store_select_rep a;

	reply_free(&m->piece);
	if (FRONT_CALL(m->f, &m->auth.login, store_select, &q, &a, &m->piece, err) < 0)
		return -1;
	*box = (struct imap_box){ .uidvalidity = a.uidvalidity,
		.uidnext = a.uidnext,
		.first_unseen = a.first_unseen,
		.recent_from = a.recent_from,
		.modseq = a.modseq,
		.keywords = a.keywords };
	m->mailbox = a.mailbox;
	m->auth.login.modseq = 0;
	m->ask = true; /* for what came between this answer and the watch */
	front_watch(&m->auth.login, a.mailbox);
	return 0;
}

static void unselect(void *arg)
{
	struct front_imap *m = arg;

	front_watch(&m->auth.login, 0);
	m->mailbox = 0;
	reply_free(&m->piece);
}

int front_imap_take_ranges(struct str encoded, struct imap_ranges *out, struct err *err)
{
	struct store_range one;

	while (store_range_next(&encoded, &one))
		if (!imap_ranges_add(out, one.first, one.last))
			return err_set(err, ERR_TEMP, "out of memory");
	return 0;
}

static int uids(void *arg, uint32_t from, struct imap_ranges *out, struct err *err)
{
	struct front_imap *m = arg;
	struct store_uids_req q = { .mailbox = m->mailbox, .from = from };
	struct store_uids_rep a = { .more = 1 };
	struct reply hold = { 0 };
	int r = 0;

	while (r == 0 && a.more) {
		r = FRONT_CALL(m->f, &m->auth.login, store_uids, &q, &a, &hold, err);
		if (r == 0)
			r = front_imap_take_ranges(a.ranges, out, err);
		reply_free(&hold);
		if (out->n == 0 || out->v[out->n - 1].last == UINT32_MAX)
			break;
		q.from = out->v[out->n - 1].last + 1;
	}
	return r;
}

static int vanished(
	void *arg, uint64_t since, struct imap_ranges *out, uint64_t *modseq, struct err *err)
{
	struct front_imap *m = arg;
	struct store_vanished_req q = { .mailbox = m->mailbox, .since = since };
	struct store_vanished_rep a = { .more = 1 };
	struct reply hold = { 0 };
	int r = 0;

	while (r == 0 && a.more) {
		r = FRONT_CALL(m->f, &m->auth.login, store_vanished, &q, &a, &hold, err);
		if (r == 0)
			r = front_imap_take_ranges(a.ranges, out, err);
		if (r == 0 && q.from == 0)
			*modseq = a.modseq; /* later pages may know more than the first */
		reply_free(&hold);
		if (out->n == 0 || out->v[out->n - 1].last == UINT32_MAX)
			break;
		q.from = out->v[out->n - 1].last + 1;
	}
	return r;
}

static int body(void *arg, uint32_t uid, uint64_t offset, uint64_t length, struct str *piece,
	struct err *err)
{
	enum { PIECE = 61440 };
	struct front_imap *m = arg;
	struct store_body_req q = { .mailbox = m->mailbox,
		.uid = uid,
		.offset = offset,
		.length = length < PIECE ? (uint32_t)length : PIECE };
	struct store_body_rep a;

	reply_free(&m->piece);
	if (FRONT_CALL(m->f, &m->auth.login, store_body, &q, &a, &m->piece, err) < 0)
		return -1;
	*piece = a.data;
	return 0;
}

static struct imap_policy policy_of(struct front_imap *m)
{
	return (struct imap_policy){ .arg = m,
		.wake = &m->wake,
		.news = news,
		.start_tls = start_tls,
		.login = login,
		.checks = &m->auth.checks,
		.mailboxes = mailboxes,
		.create = create,
		.remove = remove_mailbox,
		.rename = rename_mailbox,
		.subscribe = subscribe,
		.status = status,
		.select = select_mailbox,
		.unselect = unselect,
		.uids = uids,
		.vanished = vanished,
		.rows = front_imap_rows,
		.store = front_imap_store,
		.next = front_imap_next,
		.end = front_imap_end,
		.body = body,
		.expunge = front_imap_expunge,
		.copy = front_imap_copy,
		.append_begin = front_imap_append_begin,
		.append_piece = front_imap_append_piece,
		.append_commit = front_imap_append_commit,
		.append_abort = front_imap_append_abort };
}

void front_imap_session(struct front *f, struct conn *c, enum service s)
{
	struct front_imap m = { .f = f, .c = c, .service = s };
	struct imap_config config = IMAP_CONFIG_DEFAULT;
	struct imap_policy policy = policy_of(&m);
	struct err err = ERR_INIT;

	front_auth_begin(&m.auth, f, c, s, "imap", &m.wake);
	config.hostname = conf_str(f->conf, CONF_HOSTNAME);
	config.secure = conn_is_tls(c);
	config.starttls = f->tls[s] != NULL;
	config.idle = conf_duration(f->conf, CONF_IMAP_IDLE);
	config.append_max = conf_u64(f->conf, CONF_MESSAGE_MAX_SIZE);
	imap_serve(c, &config, &policy, &err);
	front_imap_append_abort(&m);
	front_auth_end(&m.auth);
	reply_free(&m.piece);
}
