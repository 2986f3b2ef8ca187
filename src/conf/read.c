/* Statements, blocks, includes. A block only puts its name before the names inside. */
#include "conf/conf_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct block {
	size_t prefix; /* length of the prefix outside */
	struct place place;
};

struct reading {
	struct lexer lex;
	struct word words[CONF_WORDS];
	size_t n;
	char prefix[CONF_NAME]; /* "tls.", "route.example.org." */
	size_t prefix_n;
	struct block blocks[CONF_DEPTH];
	size_t depth;
};

int conf_mistake(struct reader *r, const struct place *at, const char *fmt, ...)
{
	char what[400];
	struct err one = ERR_INIT;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof what, fmt, ap);
	va_end(ap);
	if (at && at->line)
		err_set(&one, ERR_PERM, "%s:%u:%u: %s", at->file, at->line, at->column, what);
	else
		err_set(&one, ERR_PERM, "%s%s%s", at ? at->file : "", at ? ": " : "", what);
	if (r->mistakes++ == 0)
		*r->err = one;
	if (r->report)
		buf_addf(r->report, "%s\n", one.msg);
	return r->mistakes < CONF_MISTAKES ? 0 : -1;
}

static bool add_name(struct reading *g, struct str s)
{
	if (s.n > sizeof g->prefix - g->prefix_n - 1)
		return false;
	memcpy(g->prefix + g->prefix_n, s.p, s.n);
	g->prefix_n += s.n;
	return true;
}

static int open_block(struct reading *g)
{
	struct reader *r = g->lex.r;
	const struct place *at = &g->words[0].place;

	if (g->depth == CONF_DEPTH)
		return conf_mistake(r, at, "more than %d blocks inside each other", CONF_DEPTH), -1;
	g->blocks[g->depth++] = (struct block){ g->prefix_n, *at };
	for (size_t i = 0; i < g->n; i++)
		if (!add_name(g, g->words[i].text) || !add_name(g, STR(".")))
			return conf_mistake(r, at, "this name is too long"), -1;
	return 0;
}

static int close_block(struct reading *g, const struct word *w)
{
	if (g->depth == 0)
		return conf_mistake(g->lex.r, &w->place, "this } closes no block"), -1;
	g->prefix_n = g->blocks[--g->depth].prefix;
	return 0;
}

static int include(struct reading *g)
{
	struct reader *r = g->lex.r;
	const struct place *at = &g->words[0].place;
	struct str path = g->n == 2 ? g->words[1].text : STR("");
	char full[1024];
	int n;

	if (path.n == 0 || g->depth)
		return conf_mistake(r, at, "include takes one file, outside of all blocks");
	if (!r->may_include)
		return conf_mistake(r, at, "include works in files only");
	if (r->files == CONF_FILES)
		return conf_mistake(r, at, "more than %d files (does a file include itself?)",
			       CONF_FILES),
		       -1;
	if (path.p[0] == '/')
		n = snprintf(full, sizeof full, STR_F, STR_A(path));
	else
		n = snprintf(full, sizeof full, STR_F "/" STR_F, STR_A(r->folder), STR_A(path));
	if (n < 0 || (size_t)n >= sizeof full)
		return conf_mistake(r, at, "the path is too long");
	return conf_read_file(r, full);
}

static int unknown(struct reading *g, struct str name, const struct place *at)
{
	struct str near = conf_nearest(name);

	if (near.n)
		return conf_mistake(g->lex.r, at,
			"there is no setting '" STR_F "'; did you mean '" STR_F "'?", STR_A(name),
			STR_A(near));
	return conf_mistake(g->lex.r, at, "there is no setting '" STR_F "'", STR_A(name));
}

/* `name value...;` with all blocks around it put before the name. */
static int statement(struct reading *g)
{
	struct reader *r = g->lex.r;
	const struct place *at = &g->words[0].place;
	size_t outside = g->prefix_n, skip = 1;
	const struct setting *s;
	struct str name, key;
	int got;

	if (g->depth == 0 && str_eq(g->words[0].text, STR("include")))
		return include(g);
	if (!add_name(g, g->words[0].text))
		return conf_mistake(r, at, "this name is too long");
	name = str_make(g->prefix, g->prefix_n);
	s = conf_find(name, &key);
	if (s && s->type == CONF_T_ROUTES && key.n == 0 && g->n > 1) {
		key = g->words[1].text; /* `route example.org smtp://...;` */
		skip = 2;
	}
	if (!s)
		got = unknown(g, name, at);
	else
		got = conf_assign(r, s, key, g->words + skip, g->n - skip, at);
	g->prefix_n = outside;
	return got;
}

/* Words up to ';' or '{'. The usual mistake is a missing ';', so say where it belongs. */
static enum token collect(struct reading *g)
{
	enum token t = T_WORD;
	struct word w;

	while (t == T_WORD) {
		t = conf_lex(&g->lex, &w);
		if (t == T_WORD && g->n == CONF_WORDS) {
			conf_mistake(g->lex.r, &w.place, "more than %d words; is a ';' missing?",
				CONF_WORDS);
			return T_BAD;
		}
		if (t == T_WORD)
			g->words[g->n++] = w;
	}
	if (t == T_CLOSE || t == T_EOF) {
		conf_mistake(g->lex.r, &g->words[g->n - 1].place,
			"a ';' is missing after '" STR_F "'", STR_A(g->words[g->n - 1].text));
		return T_BAD;
	}
	return t;
}

static int read_one(struct reading *g, enum token t)
{
	switch (t) {
	case T_WORD:
		g->n = 1;
		t = collect(g);
		return t == T_BAD ? -1 : t == T_OPEN ? open_block(g) : statement(g);
	case T_CLOSE:
		return close_block(g, &g->words[0]);
	case T_OPEN:
	case T_END:
		return conf_mistake(g->lex.r, &g->words[0].place, "expected a name here"), -1;
	case T_EOF:
	case T_BAD:
		break;
	}
	return -1;
}

/* A mistake in the form ends the reading of this text, for what follows would be guesswork; a
 * mistake in a value does not. */
int conf_read_text(struct reader *r, const char *file, struct str text)
{
	struct reading *g = calloc(1, sizeof *g);
	const struct place start = { file, 0, 0 };
	enum token t = T_BAD;

	if (!g)
		return conf_mistake(r, &start, "out of memory"), -1;
	if (text.n > r->text_left) {
		conf_mistake(r, &start, "more than %d bytes of configuration", CONF_TEXT);
		goto out;
	}
	r->text_left -= text.n;
	g->lex = (struct lexer){ .text = text, .place = { file, 1, 1 }, .r = r };
	do
		t = conf_lex(&g->lex, &g->words[0]);
	while (t != T_EOF && read_one(g, t) == 0);
	if (t == T_EOF && g->depth)
		conf_mistake(r, &g->blocks[g->depth - 1].place, "this block is not closed with }");
out:
	free(g);
	return r->mistakes < CONF_MISTAKES ? 0 : -1;
}

static int slurp(int fd, struct buf *text)
{
	ssize_t n;
	char *p;

	do {
		p = buf_room(text, 4096);
		n = p ? read(fd, p, 4096) : 0;
		if (n > 0)
			buf_grew(text, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n < 0 ? -1 : 0;
}

static int cannot_read(struct reader *r, const char *path)
{
	enum err_kind kind = errno == ENOENT ? ERR_NOTFOUND
		: errno == EACCES            ? ERR_DENIED
					     : ERR_TEMP;
	bool first = r->mistakes == 0;
	int got = conf_mistake(r, NULL, "configuration %s: %s", path, strerror(errno));

	if (first)
		r->err->kind = kind;
	return got;
}

int conf_read_file(struct reader *r, const char *path)
{
	struct buf text = BUF(CONF_TEXT + 4096);
	struct str outer = r->folder, rest;
	char *name = arena_z(&r->c->arena, str_c(path));
	int fd = open(path, O_RDONLY | O_CLOEXEC), got = -1;

	if (fd < 0 || slurp(fd, &text) < 0) {
		got = cannot_read(r, path);
		goto out;
	}
	if (!name || !str_rcut(str_c(name), '/', &r->folder, &rest)) {
		conf_mistake(r, NULL, "configuration %s: out of memory", path);
		goto out;
	}
	r->files++;
	got = conf_read_text(r, name, buf_str(&text));
out:
	r->folder = outer;
	buf_free(&text);
	if (fd >= 0)
		close(fd);
	return got;
}
