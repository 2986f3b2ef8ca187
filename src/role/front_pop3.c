/* front_pop3.c - the POP3 session's policy: its questions become calls to vault and store. */
#include "base/log.h"
#include "conf/conf.h"
#include "pop3/pop3.h"
#include "role/front_auth.h"
#include "role/front_guard.h"

struct mailbox {
	struct front *f;
	struct conn *c;
	enum service service;
	struct front_auth auth;
	struct signal wake;
	uint64_t number;
	uint64_t locked_for; /* generation of the store that knows our lock; 0: none */
	struct reply piece;  /* what the slice of the last read points into */
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	const struct mailbox *m = arg;

	return guard_start_tls(m->f, c, m->service, err);
}

static int login(void *arg, struct str name, const struct secret *password, struct err *err)
{
	struct mailbox *m = arg;

	return front_auth_password(&m->auth, name, password, err);
}

/* Hold the inbox alone, also after the store has forgotten our lock because it was restarted. */
static int lock(struct mailbox *m, uint32_t *uidvalidity, struct err *err)
{
	struct store_select_req q = { .name = STR("INBOX"), .lock = 1 };
	struct store_select_rep a;
	struct reply hold = { 0 };

	if (FRONT_CALL(m->f, &m->auth.login, store_select, &q, &a, &hold, err) < 0)
		return -1;
	m->number = a.mailbox;
	m->locked_for = m->auth.login.generation;
	*uidvalidity = a.uidvalidity;
	reply_free(&hold);
	return 0;
}

static int keep_lock(struct mailbox *m, struct err *err)
{
	uint32_t uidvalidity;

	if (m->locked_for == m->auth.login.generation)
		return 0;
	return lock(m, &uidvalidity, err);
}

static int open_inbox(void *arg, uint32_t *uidvalidity, struct err *err)
{
	return lock(arg, uidvalidity, err);
}

static int list(
	void *arg, uint32_t from, struct pop3_message *list, size_t max, size_t *n, struct err *err)
{
	struct mailbox *m = arg;
	struct store_entries_req q = { .mailbox = m->number, .from = from };
	struct store_entries_rep a;
	struct store_entry e;
	struct reply hold = { 0 };

	*n = 0;
	if (FRONT_CALL(m->f, &m->auth.login, store_entries, &q, &a, &hold, err) < 0)
		return -1;
	while (*n < max && store_entry_next(&a.entries, &e))
		list[(*n)++] = (struct pop3_message){ .uid = e.uid, .size = e.size };
	reply_free(&hold);
	return keep_lock(m, err);
}

static int read_piece(void *arg, uint32_t uid, uint64_t offset, struct str *piece, struct err *err)
{
	struct mailbox *m = arg;
	struct store_body_req q = {
		.mailbox = m->number, .uid = uid, .offset = offset, .length = 61440
	};
	struct store_body_rep a;

	reply_free(&m->piece);
	if (FRONT_CALL(m->f, &m->auth.login, store_body, &q, &a, &m->piece, err) < 0)
		return -1;
	*piece = a.data;
	return keep_lock(m, err);
}

static int remove_some(struct mailbox *m, struct str ranges, struct err *err)
{
	struct store_expunge_req q = { .mailbox = m->number, .ranges = ranges, .any = 1 };

	return front_expunge(m->f, &m->auth.login, &q, err);
}

static int remove_marked(void *arg, const uint32_t *uids, size_t n, struct err *err)
{
	enum { RANGES_MAX = 2000 };
	struct buf ranges = BUF(32768);
	size_t count = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct store_range one = { uids[i], uids[i] };

		while (i + 1 < n && uids[i + 1] == uids[i] + 1)
			one.last = uids[++i];
		store_range_put(&ranges, &one);
		if (++count < RANGES_MAX && i + 1 < n)
			continue;
		r = buf_ok(&ranges) ? remove_some(arg, buf_str(&ranges), err)
				    : err_set(err, ERR_TEMP, "out of memory");
		buf_clear(&ranges);
		count = 0;
	}
	buf_free(&ranges);
	return r;
}

static void let_go(void *arg)
{
	struct mailbox *m = arg;

	front_auth_end(&m->auth); /* the lock goes with the handle */
	reply_free(&m->piece);
}

static bool gone(void *arg)
{
	const struct mailbox *m = arg;

	return m->auth.login.gone;
}

void front_pop3_session(struct front *f, struct conn *c, enum service s)
{
	struct mailbox m = { .f = f, .c = c, .service = s };
	struct pop3_config config = POP3_CONFIG_DEFAULT;
	struct pop3_policy policy = { .arg = &m,
		.start_tls = start_tls,
		.login = login,
		.open = open_inbox,
		.list = list,
		.read = read_piece,
		.remove = remove_marked,
		.close = let_go,
		.wake = &m.wake,
		.gone = gone,
		.checks = &m.auth.checks };
	struct err err = ERR_INIT;

	front_auth_begin(&m.auth, f, c, s, "pop3", &m.wake);

	config.hostname = conf_str(f->conf, CONF_HOSTNAME);
	config.secure = conn_is_tls(c);
	config.starttls = f->tls[s] != NULL;
	config.idle = conf_duration(f->conf, CONF_POP3_IDLE);
	pop3_serve(c, &config, &policy, &err);
}
