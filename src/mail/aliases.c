#include "mail/aliases.h"
#include "mail/address.h"

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
	while (s.n && is_blank(s.p[0]))
		s = str_from(s, 1);
	while (s.n && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

/* Where the first of these stands outside of quotes; s.n: nowhere. */
static size_t find_outside(struct str s, char a, char b)
{
	bool quoted = false;

	for (size_t i = 0; i < s.n; i++) {
		if (quoted && s.p[i] == '\\' && i + 1 < s.n)
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && (s.p[i] == a || s.p[i] == b))
			return i;
	}
	return s.n;
}

static int refuse(struct str word, struct err *err)
{
	if (word.n && word.p[0] == '"')
		word = str_from(word, 1);
	if (str_startsi(word, STR(":include:")))
		return err_set(err, ERR_PERM, ":include: is not possible: name the addresses here");
	if (word.n && word.p[0] == '|')
		return err_set(err, ERR_PERM, "mail is not given to programs: name an address");
	if (word.n && word.p[0] == '/')
		return err_set(err, ERR_PERM, "mail is not written to files: name an address");
	return 0;
}

/* An address, or a local part alone; appended in canonical form. */
static int put_word(struct buf *out, struct str word, bool lower, struct err *err)
{
	struct address_store store;
	struct buf local = BUF(ADDRESS_PATH_MAX);
	struct address a;
	size_t begin = out->n;
	int r;

	if (refuse(word, err) < 0)
		return -1;
	if (find_outside(word, '@', '@') < word.n) {
		r = address_mailbox(word, ADDRESS_UTF8, &store, &a, err);
		if (r == 0)
			address_print(out, &a);
	} else {
		buf_add(&local, word);
		buf_addz(&local, "@local.invalid");
		r = address_mailbox(buf_str(&local), ADDRESS_UTF8, &store, &a, err);
		if (r == 0)
			address_print(out, &a);
		if (r == 0 && buf_ok(out))
			buf_cut(out, out->n - a.domain.n - 1);
	}
	for (size_t i = begin; r == 0 && lower && i < out->n; i++)
		out->p[i] = to_lower(out->p[i]);
	buf_free(&local);
	return r;
}

static int put_name(struct buf *out, struct str word, struct err *err)
{
	char domain[ADDRESS_DOMAIN_MAX];
	struct str canonical;

	if (word.n == 0 || word.p[0] != '@')
		return put_word(out, word, true, err);
	if (domain_canonical(str_from(word, 1), domain, &canonical, err) < 0)
		return -1;
	buf_addc(out, '@');
	buf_add(out, canonical);
	return 0;
}

static int put_targets(struct buf *out, struct str rest, struct err *err)
{
	size_t n = 0;

	while (rest.n) {
		size_t end = find_outside(rest, ',', ',');
		struct str word = trim(str_head(rest, end));

		rest = str_from(rest, end + 1);
		if (word.n == 0)
			continue;
		if (++n > ALIASES_TARGETS_MAX)
			return err_set(err, ERR_LIMIT, "more than %d targets", ALIASES_TARGETS_MAX);
		if (put_word(out, word, false, err) < 0)
			return -1;
		buf_addc(out, '\n');
	}
	return n ? 0 : err_set(err, ERR_PERM, "where does it lead?");
}

struct reading {
	enum aliases_form form;
	aliases_fn *fn;
	void *arg;
	struct buf line; /* with those that go on with it */
	struct buf name, targets;
};

static int take_entry(struct reading *r, struct err *err)
{
	struct str line = trim(buf_str(&r->line));
	size_t end = r->form == ALIASES_CLASSIC ? find_outside(line, ':', ':')
						: find_outside(line, ' ', '\t');

	if (line.n == 0)
		return 0;
	if (line.p[0] == ':')
		return refuse(line, err) < 0 ? -1 : err_set(err, ERR_PERM, "a name is missing");
	if (end == line.n)
		return err_set(err, ERR_PERM, "%s",
			r->form == ALIASES_CLASSIC ? "expected \"name: target, target\""
						   : "expected \"address target, target\"");
	buf_clear(&r->name);
	buf_clear(&r->targets);
	if (put_name(&r->name, trim(str_head(line, end)), err) < 0 ||
		put_targets(&r->targets, str_from(line, end + 1), err) < 0)
		return -1;
	if (!buf_ok(&r->name) || !buf_ok(&r->targets))
		return err_set(err, ERR_LIMIT, "the line is too long");
	return r->fn(r->arg, buf_str(&r->name), buf_str(&r->targets), err);
}

static int take_lines(struct reading *r, struct str text, struct err *err)
{
	unsigned number = 0, begun = 1;
	struct str line;

	while (text.n) {
		line = str_word(&text, '\n');
		number++;
		if (trim(line).n == 0 || trim(line).p[0] == '#')
			continue;
		if (!is_blank(line.p[0])) {
			if (take_entry(r, err) < 0)
				return err_wrap(err, "line %u", begun);
			buf_clear(&r->line);
			begun = number;
		}
		buf_add(&r->line, line);
		buf_addc(&r->line, ' ');
		if (!buf_ok(&r->line))
			return err_set(err, ERR_LIMIT, "line %u: too long", begun);
	}
	return take_entry(r, err) < 0 ? err_wrap(err, "line %u", begun) : 0;
}

int aliases_read(
	struct str text, enum aliases_form form, aliases_fn *fn, void *arg, struct err *err)
{
	struct reading r = { .form = form,
		.fn = fn,
		.arg = arg,
		.line = BUF(ALIASES_LINE_MAX),
		.name = BUF(ADDRESS_PATH_MAX + 64),
		.targets = BUF(ALIASES_LINE_MAX) };
	int result = text.n > ALIASES_FILE_MAX
		? err_set(err, ERR_LIMIT, "the file is larger than %d MiB", ALIASES_FILE_MAX >> 20)
		: take_lines(&r, text, err);

	buf_free(&r.line);
	buf_free(&r.name);
	buf_free(&r.targets);
	return result;
}
