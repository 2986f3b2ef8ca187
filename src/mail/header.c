#include "mail/header.h"

/* The line at the front of s with its LF, or what there is without one. */
static struct str first_line(struct str s)
{
	return str_head(s, str_find(s, '\n') + 1);
}

static struct str without_ending(struct str line)
{
	if (line.n && line.p[line.n - 1] == '\n') {
		line.n--;
		if (line.n && line.p[line.n - 1] == '\r')
			line.n--;
	}
	return line;
}

/* RFC 5322 2.1: the head and the body are parted by an empty line. */
static bool is_empty_line(struct str line)
{
	return str_eq(line, STR("\r\n")) || str_eq(line, STR("\n"));
}

bool head_find_end(struct str message, size_t *len)
{
	struct str rest = message;

	while (rest.n) {
		struct str line = first_line(rest);

		rest = str_from(rest, line.n);
		if (is_empty_line(line)) {
			*len = message.n - rest.n;
			return true;
		}
	}
	*len = message.n;
	return false;
}

bool header_name_valid(struct str name)
{
	for (size_t i = 0; i < name.n; i++)
		if (name.p[i] <= ' ' || name.p[i] > '~' || name.p[i] == ':')
			return false;
	return name.n > 0;
}

static void split_name(struct header_field *f)
{
	struct str all = without_ending(f->raw), name, value;

	f->name = STR("");
	f->value = all;
	if (!str_cut(all, ':', &name, &value))
		return;
	/* RFC 5322 4.5: older programs put white space before the colon. */
	while (name.n && is_wsp(name.p[name.n - 1]))
		name.n--;
	if (!header_name_valid(name))
		return;
	f->name = name;
	f->value = value;
}

bool header_next(struct header_iter *it, struct header_field *f)
{
	struct str rest = str_from(it->head, it->at), line = first_line(rest);
	size_t end = line.n;

	if (rest.n == 0 || is_empty_line(line))
		return false;
	if (it->fields >= HEAD_FIELDS_MAX || it->at >= HEAD_MAX) {
		it->over = true;
		return false;
	}
	/* RFC 5322 2.2.3: a line that begins with white space goes on with the field before. */
	while (end < rest.n && is_wsp(rest.p[end]))
		end += first_line(str_from(rest, end)).n;
	f->raw = str_head(rest, end);
	f->offset = it->at;
	split_name(f);
	it->at += end;
	it->fields++;
	return true;
}

bool header_is(const struct header_field *f, struct str name)
{
	return f->name.n > 0 && str_eqi(f->name, name);
}

bool header_find(struct str head, struct str name, struct header_field *f)
{
	struct header_iter it = HEADER_ITER(head);

	while (header_next(&it, f))
		if (header_is(f, name))
			return true;
	return false;
}

size_t header_count(struct str head, struct str name)
{
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;
	size_t n = 0;

	while (header_next(&it, &f))
		n += header_is(&f, name);
	return n;
}

void header_unfold(struct buf *b, struct str value)
{
	value = str_trim(value);
	for (size_t from = 0, i = 0; i <= value.n; i++) {
		if (i < value.n && value.p[i] != '\r' && value.p[i] != '\n' && value.p[i])
			continue;
		buf_add(b, str_from(str_head(value, i), from));
		from = i + 1;
	}
}
