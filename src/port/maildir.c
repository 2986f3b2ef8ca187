#include "port/maildir.h"

#include "mail/utf7.h"
#include "port/names.h"

static const struct {
	char letter;
	uint32_t flag;
} letters[] = { { 'D', MARK_DRAFT }, { 'F', MARK_FLAGGED }, { 'R', MARK_ANSWERED },
	{ 'S', MARK_SEEN }, { 'T', MARK_DELETED } };

/* --- messages --------------------------------------------------------------------------------- */

/* What stands before the flags (":2,", and on file systems without ':' ";2," or "!2,") and sizes.
 */
static struct str unique_of(struct str name, struct str *info)
{
	static const struct str marks[] = { STR_INIT(":2,"), STR_INIT(";2,"), STR_INIT("!2,") };
	size_t at = name.n;

	*info = STR("");
	for (size_t i = 0; i < sizeof marks / sizeof *marks && at == name.n; i++) {
		at = str_search(name, marks[i]);
		if (at < name.n)
			*info = str_from(name, at + marks[i].n);
	}
	name = str_head(name, at);
	return str_head(name, str_find(str_head(name, str_find(name, ':')), ','));
}

bool maildir_name_parse(struct str name, struct maildir_name *out)
{
	struct str info;
	uint64_t time = 0;

	*out = (struct maildir_name){ .unique = unique_of(name, &info) };
	if (out->unique.n == 0 || name.p[0] == '.')
		return false;
	for (size_t i = 0; i < info.n; i++) {
		if (info.p[i] >= 'a' && info.p[i] <= 'z')
			out->letters |= 1u << (info.p[i] - 'a');
		for (size_t k = 0; k < sizeof letters / sizeof *letters; k++)
			if (info.p[i] == letters[k].letter)
				out->flags |= letters[k].flag;
	}
	str_u64(str_head(name, str_find(name, '.')), INT64_MAX, &time);
	out->time = (int64_t)time;
	return true;
}

void maildir_info_print(struct buf *out, uint32_t flags, uint32_t words)
{
	buf_addz(out, ":2,");
	for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
		if (flags & letters[i].flag)
			buf_addc(out, letters[i].letter);
	for (unsigned i = 0; i < MAILDIR_KEYWORDS; i++)
		if (words & 1u << i)
			buf_addc(out, (char)('a' + i));
}

bool maildir_keyword_line(struct str line, unsigned *number, struct str *word)
{
	struct str text;
	uint64_t n;

	line = str_trim(line);
	if (!str_cut(line, ' ', &text, word) || !str_u64(text, MAILDIR_KEYWORDS - 1, &n) ||
		!keyword_valid(*word))
		return false;
	*number = (unsigned)n;
	return true;
}

static bool number_after(struct str word, char letter, uint32_t *out)
{
	uint64_t v;

	if (letter && (word.n == 0 || word.p[0] != letter))
		return false;
	if (!str_u64(str_from(word, letter ? 1 : 0), UINT32_MAX, &v))
		return false;
	*out = (uint32_t)v;
	return true;
}

bool maildir_uidlist_head(struct str line, uint32_t *uidvalidity, uint32_t *uidnext)
{
	struct str rest = str_trim(line), version = str_word(&rest, ' ');

	*uidvalidity = *uidnext = 0;
	if (str_eq(version, STR("1")))
		return number_after(str_word(&rest, ' '), 0, uidvalidity) &&
			number_after(str_word(&rest, ' '), 0, uidnext);
	if (!str_eq(version, STR("3")))
		return false;
	while (rest.n) {
		struct str word = str_word(&rest, ' ');

		if (!number_after(word, 'V', uidvalidity))
			number_after(word, 'N', uidnext);
	}
	return *uidvalidity != 0;
}

bool maildir_uidlist_line(struct str line, uint32_t *uid, struct str *unique)
{
	struct maildir_name name;
	struct str rest = line;

	while (rest.n && (rest.p[rest.n - 1] == '\n' || rest.p[rest.n - 1] == '\r'))
		rest.n--;
	if (!number_after(str_word(&rest, ' '), 0, uid) || *uid == 0)
		return false;
	if (rest.n && rest.p[0] == ':')
		rest = str_from(rest, 1);
	else if (str_search(rest, STR(" :")) < rest.n)
		rest = str_from(rest, str_search(rest, STR(" :")) + 2);
	if (!maildir_name_parse(rest, &name))
		return false;
	*unique = name.unique;
	return true;
}

/* --- folders ---------------------------------------------------------------------------------- */

/* What does not decode is taken as it stands. */
static bool decode_level(struct str level, struct buf *name)
{
	const size_t before = name->n;
	struct buf plain = BUF(1 << 16);

	level_clean(utf7_decode_any(level, &plain) ? buf_str(&plain) : level, name);
	buf_free(&plain);
	return name->n > before;
}

static bool decode_levels(struct str levels, char separator, struct buf *name)
{
	while (levels.n) {
		struct str level = str_word(&levels, separator);

		if (level.n == 0)
			continue;
		if (name->n)
			buf_addc(name, '/');
		if (!decode_level(level, name))
			return false;
	}
	return name->n > 0 && buf_ok(name);
}

bool maildir_folder_decode(struct str dir, struct buf *name)
{
	buf_clear(name);
	if (dir.n && dir.p[0] == '.')
		dir = str_from(dir, 1);
	if (dir.n == 0) {
		buf_addz(name, "INBOX");
		return buf_ok(name);
	}
	return decode_levels(dir, '.', name);
}

static void encode_level(struct str level, struct buf *dir)
{
	while (level.n) {
		const size_t n = str_find(level, '.');

		utf7_encode(str_head(level, n), dir);
		if (n < level.n)
			buf_addz(dir, "&AC4-");
		level = str_from(level, n + 1);
	}
}

void maildir_folder_encode(struct str name, struct buf *dir)
{
	while (name.n) {
		buf_addc(dir, '.');
		encode_level(str_word(&name, '/'), dir);
	}
}

bool maildir_subscription(struct str line, bool tabs, struct buf *name)
{
	buf_clear(name);
	while (line.n && (line.p[line.n - 1] == '\n' || line.p[line.n - 1] == '\r'))
		line.n--;
	if (line.n == 0 || str_find(line, '\0') < line.n)
		return false;
	if (!tabs && str_startsi(line, STR("INBOX.")))
		line = str_from(line, 6);
	return decode_levels(line, tabs ? '\t' : str_find(line, '/') < line.n ? '/' : '.', name);
}
