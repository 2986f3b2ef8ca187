#include "script.h"

#include "base/codec.h"
#include "base/log.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FILE_MAX = 1 << 20, INPUT_MAX = 4 << 20, FILES_MAX = 500 };

/* ---- reading a script ---- */

static bool unescape(struct str *s, struct buf *out)
{
	static const char from[] = "rnt0\\\"", to[] = "\r\n\t\0\\\"";
	const char *at;
	int hi, lo;

	if (s->n < 2)
		return false;
	at = memchr(from, s->p[1], sizeof from - 1);
	if (at) {
		buf_addc(out, to[at - from]);
		*s = str_from(*s, 2);
		return true;
	}
	if (s->p[1] != 'x' || s->n < 4)
		return false;
	hi = hex_digit(s->p[2]);
	lo = hex_digit(s->p[3]);
	buf_addc(out, (char)(hi << 4 | lo));
	*s = str_from(*s, 4);
	return hi >= 0 && lo >= 0;
}

bool script_unquote(struct str s, struct buf *out)
{
	struct buf one = BUF(INPUT_MAX);
	uint64_t times = 1;
	bool ok = str_take(&s, STR("\""));

	while (ok && s.n && s.p[0] != '"') {
		if (s.p[0] == '\\') {
			ok = unescape(&s, &one);
			continue;
		}
		buf_addc(&one, s.p[0]);
		s = str_from(s, 1);
	}
	ok = ok && str_take(&s, STR("\""));
	if (ok && str_take(&s, STR("*")))
		ok = str_u64(s, INPUT_MAX, &times);
	else
		ok = ok && s.n == 0;
	for (uint64_t i = 0; ok && i < times; i++)
		buf_add(out, buf_str(&one));
	buf_free(&one);
	return ok;
}

void script_quote(struct str bytes, struct buf *out)
{
	buf_addc(out, '"');
	for (size_t i = 0; i < bytes.n; i++) {
		char c = bytes.p[i];

		if (c == '\r')
			buf_add(out, STR("\\r"));
		else if (c == '\n')
			buf_add(out, STR("\\n"));
		else if (c == '"' || c == '\\')
			buf_addf(out, "\\%c", c);
		else if (is_ctl(c) || (unsigned char)c > 126)
			buf_addf(out, "\\x%02x", (unsigned)(unsigned char)c);
		else
			buf_addc(out, c);
	}
	buf_addc(out, '"');
}

static bool push(struct str *list, size_t *count, struct str s)
{
	if (*count == SCRIPT_LINES)
		return false;
	list[(*count)++] = s;
	return true;
}

static bool read_line(struct script *s, struct str line)
{
	struct buf *input = &s->input[s->parts];

	if (line.n == 0 || line.p[0] == '#')
		return true;
	if (str_eq(line, STR("TLS")))
		return ++s->parts < SCRIPT_PARTS;
	if (str_take(&line, STR("with "))) {
		s->with = line;
		return true;
	}
	if (str_take(&line, STR("end "))) {
		s->end = line;
		return true;
	}
	if (str_eq(line, STR("C")) || str_starts(line, STR("C "))) {
		buf_add(input, str_from(line, 2));
		buf_add(input, STR("\r\n"));
		return true;
	}
	if (str_take(&line, STR("R ")))
		return script_unquote(line, input);
	if (str_take(&line, STR("S ")))
		return push(s->said, &s->said_count, line);
	if (str_take(&line, STR("log ")))
		return push(s->logs, &s->log_count, line);
	return push(s->facts, &s->fact_count, line);
}

static bool read_file(const char *path, struct buf *text)
{
	FILE *f = fopen(path, "rb");
	char *p = buf_room(text, FILE_MAX);

	if (!f || !p)
		return false;
	buf_grew(text, fread(p, 1, FILE_MAX, f));
	fclose(f);
	return true;
}

bool script_read(struct script *s, const char *path)
{
	struct str rest;

	*s = (struct script){ .path = path, .text = BUF(FILE_MAX) };
	for (size_t i = 0; i < SCRIPT_PARTS; i++)
		s->input[i] = BUF(INPUT_MAX);
	if (!read_file(path, &s->text)) {
		fprintf(stderr, "cannot read %s\n", path);
		return false;
	}
	rest = buf_str(&s->text);
	while (rest.n) {
		struct str line = str_word(&rest, '\n');

		if (!read_line(s, line)) {
			fprintf(stderr, "%s: what is this: " STR_F "\n", path, STR_A(line));
			return false;
		}
	}
	return true;
}

void script_free(struct script *s)
{
	for (size_t i = 0; i < SCRIPT_PARTS; i++)
		buf_free(&s->input[i]);
	buf_free(&s->text);
}

bool script_has(const struct script *s, struct str word)
{
	struct str rest = s->with;

	while (rest.n)
		if (str_eq(str_word(&rest, ' '), word))
			return true;
	return false;
}

bool script_number(const struct script *s, struct str word, uint64_t *number)
{
	struct str rest = s->with, value;

	while (rest.n) {
		struct str name = str_word(&rest, ' ');

		if (str_cut(name, '=', &name, &value) && str_eq(name, word))
			return str_u64(value, UINT64_MAX, number);
	}
	return false;
}

struct str script_next_part(struct script *s)
{
	return s->part < s->parts ? buf_str(&s->input[++s->part]) : STR("");
}

/* ---- one run ---- */

static void note_log(void *arg, enum log_level level, struct str line)
{
	struct buf *logs = arg;

	buf_add(logs, line);
	buf_addc(logs, '\n');
}

static bool said_matches(struct str want, struct str got)
{
	if (want.n && want.p[want.n - 1] == '*')
		return str_starts(got, str_head(want, want.n - 1));
	return str_eq(want, got);
}

static int complain(
	const struct script *s, size_t chunk, const char *what, struct str want, struct str got)
{
	fprintf(stderr, "%s (in chunks of %zu): %s\n  wanted: " STR_F "\n  got:    " STR_F "\n",
		s->path, chunk, what, STR_A(want), STR_A(got));
	return -1;
}

static int compare_output(const struct script *s, size_t chunk, struct str out)
{
	for (size_t i = 0; i < s->said_count; i++) {
		struct str line = str_head(out, str_search(out, STR("\r\n")));

		if (out.n == 0 || !said_matches(s->said[i], line))
			return complain(s, chunk, "the server says", s->said[i], line);
		out = str_from(out, line.n + 2);
	}
	return out.n ? complain(s, chunk, "the server says more", STR(""), out) : 0;
}

static int compare_facts(const struct script *s, size_t chunk, struct str facts)
{
	for (size_t i = 0; i < s->fact_count; i++) {
		struct str line = str_word(&facts, '\n');

		if (!str_eq(s->facts[i], line))
			return complain(s, chunk, "what happened", s->facts[i], line);
	}
	return facts.n ? complain(s, chunk, "what happened besides", STR(""), facts) : 0;
}

static bool log_matches(struct str want, struct str line)
{
	struct str name = str_word(&want, ' ');

	str_word(&line, ' '); /* the level */
	if (!str_eq(str_word(&line, ' '), name))
		return false;
	while (want.n) {
		struct str word = str_word(&want, ' ');
		size_t at = str_search(line, word);

		if (at == line.n)
			return false;
		line = str_from(line, at + word.n);
	}
	return true;
}

static int compare_logs(const struct script *s, size_t chunk, struct str logs)
{
	size_t i = 0;

	while (logs.n) {
		struct str line = str_word(&logs, '\n');

		if (s->log_count == 0 && !str_starts(line, STR("warn")) &&
			!str_starts(line, STR("error")))
			continue;
		if (i >= s->log_count || !log_matches(s->logs[i], line))
			return complain(s, chunk, "the log",
				i < s->log_count ? s->logs[i] : STR("nothing more"), line);
		i++;
	}
	return i < s->log_count ? complain(s, chunk, "the log", s->logs[i], STR("")) : 0;
}

static int run_once(struct script *s, size_t chunk, script_play_fn *play)
{
	struct outcome o = { .facts = BUF(INPUT_MAX), .logs = BUF(INPUT_MAX) };
	struct conn *c = conn_mem(buf_str(&s->input[0]), chunk);
	int r = -1;

	if (!c)
		return -1;
	s->part = 0;
	log_capture(note_log, &o.logs);
	play(s, c, &o);
	log_capture(NULL, NULL);
	if (compare_output(s, chunk, conn_mem_output(c)) == 0 &&
		compare_facts(s, chunk, buf_str(&o.facts)) == 0 &&
		compare_logs(s, chunk, buf_str(&o.logs)) == 0)
		r = 0;
	if (r == 0 && s->end.n && !str_eq(s->end, o.end))
		r = complain(s, chunk, "the end", s->end, o.end);
	conn_free(&c);
	buf_free(&o.facts);
	buf_free(&o.logs);
	return r;
}

/* ---- a folder ---- */

static script_play_fn *player;

static void plays_as_written(void **state)
{
	static const size_t chunks[] = { 0, 1, 2, 3, 7, 19, 61, 1000 };
	static struct script s; /* large */
	bool ok = script_read(&s, *state);

	for (size_t i = 0; ok && i < sizeof chunks / sizeof chunks[0]; i++) {
		/* Long input in tiny chunks shows nothing new and takes long. */
		if (chunks[i] &&
			(script_has(&s, STR("whole")) || (chunks[i] < 61 && s.input[0].n > 200000)))
			continue;
		ok = run_once(&s, chunks[i], player) == 0;
	}
	script_free(&s);
	assert_true(ok);
}

static int by_name(const void *a, const void *b)
{
	const struct CMUnitTest *x = a, *y = b;

	return strcmp(x->name, y->name);
}

int script_run_folder(const char *folder, script_play_fn *play)
{
	static struct CMUnitTest tests[FILES_MAX];
	static char paths[FILES_MAX][512];
	DIR *d = opendir(folder);
	const struct dirent *e;
	size_t n = 0;

	if (!d) {
		fprintf(stderr, "there is no folder %s\n", folder);
		return 1;
	}
	while (n < FILES_MAX && (e = readdir(d)))
		if (str_endsi(str_c(e->d_name), STR(".txt"))) {
			snprintf(paths[n], sizeof paths[n], "%s/%s", folder, e->d_name);
			tests[n] = (struct CMUnitTest){ paths[n] + strlen(folder) + 1,
				plays_as_written, NULL, NULL, paths[n] };
			n++;
		}
	closedir(d);
	qsort(tests, n, sizeof tests[0], by_name);
	player = play;
	if (n == 0)
		return 1;
	return _cmocka_run_group_tests(folder, tests, n, NULL, NULL);
}
