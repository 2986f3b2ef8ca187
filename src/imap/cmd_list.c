/* cmd_list.c - which mailboxes there are (RFC 3501 6.3.8 and 6.3.9; RFC 2342, 3348, 6154). */
#include "imap/imap_private.h"

#include <stdlib.h>
#include <string.h>

enum { MAILBOXES_MAX = 20000 };

struct row {
	struct str name;
	unsigned uses;
	bool subscribed, exists, implied; /* implied: only a level above others */
};

/* All mailboxes of the account, sorted so that what is below a name follows it at once. */
struct listing {
	struct row *v;
	size_t n, cap;
	struct arena names;
};

static int add_row(struct listing *l, struct row row, struct err *err)
{
	struct row *v;

	if (l->n == MAILBOXES_MAX)
		return err_set(err, ERR_LIMIT, "too many mailboxes");
	if (l->n == l->cap) {
		v = reallocarray(l->v, l->cap ? l->cap * 2 : 16, sizeof *v);
		if (!v)
			return err_set(err, ERR_TEMP, "out of memory");
		l->v = v;
		l->cap = l->cap ? l->cap * 2 : 16;
	}
	if (!arena_str(&l->names, row.name, &row.name))
		return err_set(err, ERR_TEMP, "out of memory");
	l->v[l->n++] = row;
	return 0;
}

static int take_mailbox(void *arg, const struct imap_mailbox *m, struct err *err)
{
	return add_row(arg,
		(struct row){ .name = m->name,
			.uses = m->uses,
			.subscribed = m->subscribed,
			.exists = m->exists },
		err);
}

/* By name with '/' before everything else. */
static int by_level(const void *a, const void *b)
{
	struct str x = ((const struct row *)a)->name, y = ((const struct row *)b)->name;
	size_t n = x.n < y.n ? x.n : y.n;

	for (size_t i = 0; i < n; i++) {
		unsigned char p = (unsigned char)x.p[i], q = (unsigned char)y.p[i];

		if (p != q)
			return (p == '/' ? 0 : p + 1) - (q == '/' ? 0 : q + 1);
	}
	return (x.n > y.n) - (x.n < y.n);
}

static bool is_below(struct str name, struct str above)
{
	return name.n > above.n && name.p[above.n] == '/' && str_starts(name, above);
}

/* Every level above a mailbox is a name too, though it may be no mailbox: "a/b" makes "a". */
static int add_levels(struct listing *l, struct err *err)
{
	size_t n = l->n;
	struct str last = { "", 0 };

	for (size_t i = 0; i < n; i++) {
		struct str name = l->v[i].name;

		for (size_t at = 1; at < name.n; at++) {
			struct str above = str_head(name, at);

			if (name.p[at] != '/' || str_eq(last, above) || is_below(last, above))
				continue;
			if (add_row(l, (struct row){ .name = above, .implied = true }, err) < 0)
				return -1;
		}
		last = name;
	}
	return 0;
}

static void drop_doubles(struct listing *l)
{
	size_t kept = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (kept > 0 && str_eq(l->v[kept - 1].name, l->v[i].name)) {
			if (l->v[kept - 1].implied)
				l->v[kept - 1] = l->v[i];
			continue;
		}
		l->v[kept++] = l->v[i];
	}
	l->n = kept;
}

static void sort(struct listing *l)
{
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, by_level);
}

static int load(struct imap_session *s, struct listing *l, struct err *err)
{
	*l = (struct listing){ .names = ARENA(8 << 20) };
	if (s->policy->mailboxes(s->policy->arg, take_mailbox, l, err) < 0)
		return -1;
	sort(l);
	if (add_levels(l, err) < 0)
		return -1;
	sort(l);
	drop_doubles(l);
	return 0;
}

static void unload(struct listing *l)
{
	free(l->v);
	arena_free(&l->names);
}

/* RFC 3501 6.3.8: "*" is any text, "%" any text without "/". `on` holds, for each place in the
 * pattern, whether what was read of the name so far may end there; so the time is the product of
 * both lengths at most. */
static void pass_wildcards(bool *on, struct str pattern)
{
	for (size_t i = 0; i < pattern.n; i++)
		if (on[i] && (pattern.p[i] == '*' || pattern.p[i] == '%'))
			on[i + 1] = true;
}

static bool step(bool *on, struct str pattern, char c, bool fold)
{
	bool any = false;

	for (size_t i = pattern.n + 1; i-- > 0;) {
		bool stay = i < pattern.n && on[i] &&
			(pattern.p[i] == '*' || (pattern.p[i] == '%' && c != '/'));
		bool come = i > 0 && on[i - 1] &&
			(fold ? to_lower(pattern.p[i - 1]) == to_lower(c)
			      : pattern.p[i - 1] == c) &&
			pattern.p[i - 1] != '*' && pattern.p[i - 1] != '%';

		on[i] = stay || come;
		any = any || on[i];
	}
	return any;
}

static bool matches(struct str name, struct str pattern)
{
	bool on[IMAP_NAME_MAX + 1] = { true };
	bool fold = str_eq(name, STR("INBOX"));

	if (pattern.n > IMAP_NAME_MAX)
		return false;
	pass_wildcards(on, pattern);
	for (size_t i = 0; i < name.n; i++) {
		if (!step(on, pattern, name.p[i], fold))
			return false;
		pass_wildcards(on, pattern);
	}
	return on[pattern.n];
}

static const struct {
	unsigned use;
	struct str name;
} use_names[] = {
	{ IMAP_USE_DRAFTS, STR_INIT(" \\Drafts") },
	{ IMAP_USE_SENT, STR_INIT(" \\Sent") },
	{ IMAP_USE_JUNK, STR_INIT(" \\Junk") },
	{ IMAP_USE_TRASH, STR_INIT(" \\Trash") },
	{ IMAP_USE_ARCHIVE, STR_INIT(" \\Archive") },
};

static void write_row(
	struct imap_session *s, const char *word, const struct row *row, bool children)
{
	conn_writef(s->c, "* %s (%s", word,
		children ? "\\HasChildren" : "\\HasNoChildren"); /* RFC 3348 3 */
	if (!row->exists)
		conn_write(s->c, STR(" \\Noselect"));
	for (size_t i = 0; i < sizeof use_names / sizeof *use_names; i++)
		if (row->uses & use_names[i].use) /* RFC 6154 2 */
			conn_write(s->c, use_names[i].name);
	conn_write(s->c, STR(") \"/\" "));
	imap_write_mailbox(s->c, row->name);
	conn_write(s->c, STR("\r\n"));
}

static bool has_children(const struct listing *l, size_t i)
{
	for (size_t k = i + 1; k < l->n && is_below(l->v[k].name, l->v[i].name); k++)
		if (l->v[k].exists)
			return true;
	return false;
}

static void list_all(struct imap_session *s, const struct listing *l, struct str pattern)
{
	for (size_t i = 0; i < l->n; i++) {
		bool children = has_children(l, i);

		if (!l->v[i].exists && !children)
			continue; /* only subscribed to, or only above such */
		if (matches(l->v[i].name, pattern))
			write_row(s, "LIST", &l->v[i], children);
		if (i % 64 == 63)
			task_yield();
	}
}

/* RFC 3501 6.3.9: a name that is not subscribed to but lies above one that is shows up, as
 * \Noselect, when a "%" stops before the one below. */
static bool stands_for_lower(const struct listing *l, size_t i, struct str pattern)
{
	for (size_t k = i + 1; k < l->n && is_below(l->v[k].name, l->v[i].name); k++)
		if (l->v[k].subscribed && !matches(l->v[k].name, pattern))
			return true;
	return false;
}

static void list_subscribed(struct imap_session *s, const struct listing *l, struct str pattern)
{
	bool percent = pattern.n > 0 && pattern.p[pattern.n - 1] == '%';

	for (size_t i = 0; i < l->n; i++) {
		struct row row = l->v[i];

		if (!matches(row.name, pattern))
			continue;
		if (!row.subscribed) {
			if (!percent || !stands_for_lower(l, i, pattern))
				continue;
			row.exists = false;
		}
		write_row(s, "LSUB", &row, has_children(l, i));
	}
}

/* The reference and the pattern make one pattern (RFC 3501 6.3.8). */
static bool in_patterns(struct imap_in *in, struct str *pattern)
{
	struct str reference;
	char *whole;

	if (!imap_in_space(in) || !imap_in_mailbox(in, &reference) || !imap_in_space(in) ||
		!imap_in_pattern(in, pattern) || !imap_in_end(in))
		return false;
	if (reference.n == 0 || pattern->n == 0)
		return true;
	whole = arena_bytes(in->mem, reference.n + pattern->n);
	if (!whole) {
		in->why = "the command is too large";
		return false;
	}
	memcpy(whole, reference.p, reference.n);
	memcpy(whole + reference.n, pattern->p, pattern->n);
	*pattern = str_make(whole, reference.n + pattern->n);
	return true;
}

static int list_or_lsub(
	struct imap_session *s, struct imap_in *in, bool subscribed, struct err *err)
{
	struct err why = ERR_INIT;
	struct listing l;
	struct str pattern;
	int r;

	if (!in_patterns(in, &pattern))
		return imap_bad(s, in);
	if (pattern.n == 0) { /* RFC 3501 6.3.8: asks for the separator only */
		conn_writef(s->c, "* %s (\\Noselect) \"/\" \"\"\r\n", subscribed ? "LSUB" : "LIST");
		return imap_ok(s, "", "that is all", err);
	}
	r = load(s, &l, &why);
	if (r == 0 && subscribed)
		list_subscribed(s, &l, pattern);
	else if (r == 0)
		list_all(s, &l, pattern);
	unload(&l);
	return r < 0 ? imap_fault(s, &why, err) : imap_ok(s, "", "that is all", err);
}

int imap_do_list(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return list_or_lsub(s, in, false, err);
}

int imap_do_lsub(struct imap_session *s, struct imap_in *in, struct err *err)
{
	return list_or_lsub(s, in, true, err);
}

int imap_do_namespace(struct imap_session *s, struct imap_in *in, struct err *err)
{
	if (!imap_in_end(in))
		return imap_bad(s, in);
	conn_write(s->c, STR("* NAMESPACE ((\"\" \"/\")) NIL NIL\r\n"));
	return imap_ok(s, "", "that is all", err);
}
