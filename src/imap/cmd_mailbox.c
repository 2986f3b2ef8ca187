/* cmd_mailbox.c - making, removing and asking about mailboxes (RFC 3501 6.3.3 to 6.3.7 and 6.3.10;
 * RFC 6154). */
#include "imap/imap_private.h"

#include <inttypes.h>

enum { LEVELS_MAX = 20, LEVEL_NAME_MAX = 255 };

/* May a mailbox be made with this name? *why says what is wrong with it. */
static bool name_is_good(struct str name, const char **why)
{
	size_t levels = 0;

	*why = "a mailbox name has no empty levels";
	while (name.n > 0) {
		struct str level = str_word(&name, '/');

		if (level.n == 0)
			return false;
		*why = "a mailbox name has no wildcards";
		if (str_find(level, '*') < level.n || str_find(level, '%') < level.n)
			return false;
		*why = "that name is too long or too deep";
		if (level.n > LEVEL_NAME_MAX || ++levels > LEVELS_MAX)
			return false;
		*why = "a mailbox name has no empty levels";
	}
	return levels > 0;
}

/* RFC 3501 6.3.3 and 6.3.5: the levels above come into being too. */
static int create_above(struct imap_session *s, struct str name, struct err *err)
{
	struct err why = ERR_INIT;

	for (size_t i = 1; i < name.n; i++) {
		if (name.p[i] != '/')
			continue;
		if (s->policy->create(s->policy->arg, str_head(name, i), 0, &why) < 0 &&
			why.kind != ERR_EXISTS) {
			*err = why;
			return -1;
		}
	}
	return 0;
}

static const struct {
	struct str name;
	unsigned use;
} uses[] = {
	{ STR_INIT("\\Drafts"), IMAP_USE_DRAFTS },
	{ STR_INIT("\\Sent"), IMAP_USE_SENT },
	{ STR_INIT("\\Junk"), IMAP_USE_JUNK },
	{ STR_INIT("\\Trash"), IMAP_USE_TRASH },
	{ STR_INIT("\\Archive"), IMAP_USE_ARCHIVE },
};

static bool in_use(struct imap_in *in, unsigned *use, bool *unknown)
{
	struct str word;

	if (!imap_in_char(in, '\\') || !imap_in_atom(in, &word))
		return false;
	for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
		if (!str_eqi(word, str_from(uses[i].name, 1)))
			continue;
		*use |= uses[i].use;
		return true;
	}
	*unknown = true;
	return true;
}

/* RFC 6154 3 and 6: " (USE (\Sent))". */
static bool in_uses(struct imap_in *in, unsigned *use, bool *unknown)
{
	*use = 0;
	*unknown = false;
	if (in->s.n == 0)
		return true;
	if (!imap_in_space(in) || !imap_in_char(in, '(') || !imap_in_word(in, STR("USE")) ||
		!imap_in_space(in) || !imap_in_char(in, '('))
		return false;
	while (!imap_in_peek(in, ')')) {
		if (!in_use(in, use, unknown))
			return false;
		if (imap_in_peek(in, ' '))
			in->s = str_from(in->s, 1);
	}
	return imap_in_char(in, ')') && imap_in_char(in, ')');
}

int imap_do_create(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	struct str name;
	const char *text;
	unsigned use;
	bool unknown;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &name) || !in_uses(in, &use, &unknown) ||
		!imap_in_end(in))
		return imap_bad(s, in);
	if (unknown)
		return imap_no(s, "[USEATTR] ", "there is no such special use", err);
	/* RFC 3501 6.3.3: a "/" at the end says that there will be more below it. */
	if (name.n > 0 && name.p[name.n - 1] == '/')
		name.n--;
	if (!name_is_good(name, &text))
		return imap_no(s, "[CANNOT] ", text, err);
	if (create_above(s, name, &why) < 0 ||
		s->policy->create(s->policy->arg, name, use, &why) < 0)
		return imap_fault(s, &why, err);
	return imap_ok(s, "", "created", err);
}

int imap_do_delete(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	struct str name;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &name) || !imap_in_end(in))
		return imap_bad(s, in);
	if (str_eq(name, STR("INBOX")))
		return imap_no(s, "[CANNOT] ", "INBOX stays", err);
	if (s->policy->remove(s->policy->arg, name, &why) < 0)
		return imap_fault(s, &why, err);
	if (s->state == IMAP_SELECTED && str_eq(buf_str(&s->selected), name))
		imap_leave_mailbox(s);
	return imap_ok(s, "", "deleted", err);
}

int imap_do_rename(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	struct str from, to;
	const char *text;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &from) || !imap_in_space(in) ||
		!imap_in_mailbox(in, &to) || !imap_in_end(in))
		return imap_bad(s, in);
	if (!name_is_good(to, &text))
		return imap_no(s, "[CANNOT] ", text, err);
	if (to.n > from.n && to.p[from.n] == '/' && str_starts(to, from) &&
		!str_eq(from, STR("INBOX")))
		return imap_no(s, "[CANNOT] ", "a mailbox cannot move below itself", err);
	if (create_above(s, to, &why) < 0 || s->policy->rename(s->policy->arg, from, to, &why) < 0)
		return imap_fault(s, &why, err);
	return imap_ok(s, "", "renamed", err);
}

static int subscribe(struct imap_session *s, struct imap_in *in, bool on, struct err *err)
{
	struct err why = ERR_INIT;
	struct str name;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &name) || !imap_in_end(in))
		return imap_bad(s, in);
	if (s->policy->subscribe(s->policy->arg, name, on, &why) < 0)
		return imap_fault(s, &why, err);
	return imap_ok(s, "", on ? "subscribed" : "no longer subscribed", err);
}

int imap_do_subscribe(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return subscribe(s, in, true, err);
}

int imap_do_unsubscribe(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return subscribe(s, in, false, err);
}

/* RFC 3501 6.3.10, RFC 8438 */
static const struct str status_names[] = {
	STR_INIT("MESSAGES"),
	STR_INIT("RECENT"),
	STR_INIT("UIDNEXT"),
	STR_INIT("UIDVALIDITY"),
	STR_INIT("UNSEEN"),
	STR_INIT("SIZE"),
};
enum { STATUS_ITEMS = sizeof status_names / sizeof *status_names };

static bool in_status_items(struct imap_in *in, bool wanted[STATUS_ITEMS])
{
	struct str word;

	if (!imap_in_space(in) || !imap_in_char(in, '('))
		return false;
	do {
		size_t i = 0;

		if (!imap_in_atom(in, &word))
			return false;
		while (i < STATUS_ITEMS && !str_eqi(word, status_names[i]))
			i++;
		if (i == STATUS_ITEMS) {
			in->why = "unknown status item";
			return false;
		}
		wanted[i] = true;
	} while (!imap_in_peek(in, ')') && imap_in_space(in));
	return imap_in_char(in, ')');
}

int imap_do_status(struct imap_session *s, struct imap_in *in, struct err *err)
{
	bool wanted[STATUS_ITEMS] = { false };
	uint64_t value[STATUS_ITEMS];
	struct err why = ERR_INIT;
	struct imap_status st;
	const char *space = "";
	struct str name;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &name) || !in_status_items(in, wanted) ||
		!imap_in_end(in))
		return imap_bad(s, in);
	if (s->policy->status(s->policy->arg, name, &st, &why) < 0)
		return imap_fault(s, &why, err);
	value[0] = st.messages, value[1] = st.recent, value[2] = st.uidnext;
	value[3] = st.uidvalidity, value[4] = st.unseen, value[5] = st.size;
	conn_write(s->c, STR("* STATUS "));
	imap_write_mailbox(s->c, name);
	conn_write(s->c, STR(" ("));
	for (size_t i = 0; i < STATUS_ITEMS; i++) {
		if (!wanted[i])
			continue;
		conn_writef(s->c, "%s" STR_F " %" PRIu64, space, STR_A(status_names[i]), value[i]);
		space = " ";
	}
	conn_write(s->c, STR(")\r\n"));
	return imap_ok(s, "", "that is all", err);
}
