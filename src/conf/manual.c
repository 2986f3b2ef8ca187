/* The manual's chapter on settings, from the table. */
#include "conf/conf_private.h"

#include <string.h>

static const char *type_name(enum conf_type t)
{
	static const char *const names[] = {
		[CONF_T_NAME] = "name",
		[CONF_T_PATH] = "path",
		[CONF_T_SECRET] = "file:path",
		[CONF_T_BOOL] = "on|off",
		[CONF_T_COUNT] = "number",
		[CONF_T_SIZE] = "size",
		[CONF_T_DURATION] = "duration",
		[CONF_T_CHOICE] = "choice",
		[CONF_T_LISTEN] = "addresses",
		[CONF_T_SERVER] = "addresses",
		[CONF_T_DNSLISTS] = "lists",
		[CONF_T_NETWORKS] = "networks",
		[CONF_T_ROUTE] = "url",
		[CONF_T_DATABASE] = "url",
		[CONF_T_ROUTES] = "domain url",
	};

	return names[t];
}

static void shown_default(const char *text, const char *quote, struct buf *out)
{
	buf_addf(out, "%s%s%s", *text ? quote : "", *text ? text : "none", *text ? quote : "");
}

static void facts(const struct setting *s, const char *quote, struct buf *out)
{
	buf_addz(out, "Default ");
	shown_default(s->fallback, quote, out);
	if (s->demo && strcmp(s->demo, s->fallback) != 0) {
		buf_addz(out, ", in the demo ");
		shown_default(s->demo, quote, out);
	}
	if (s->choices || (s->most && !conf_is_list(s))) {
		buf_addz(out, "; ");
		conf_expected(out, s);
	}
	buf_addz(out, ".\n");
}

static void markdown(const struct setting *s, struct buf *out)
{
	buf_addf(out, "\n### `%s` *%s*\n\n%s\n", s->name, type_name(s->type), s->sentence);
	facts(s, "`", out);
}

/* Names and sentences of the table hold nothing that roff would take for its own but a dot or quote
 * at the start of a line. */
static void mdoc(const struct setting *s, struct buf *out)
{
	buf_addf(out, ".It Ic %s Ar %s\n\\&%s\n\\&", s->name, type_name(s->type), s->sentence);
	facts(s, "", out);
}

void conf_manual(struct buf *out, enum conf_format format)
{
	if (format == CONF_MARKDOWN)
		buf_addz(out,
			"# Settings\n\nWritten by `./dev docs` from `src/conf/settings.def`; do "
			"not edit.\n\n"
			"A file is `name value;` and blocks: `tls { key /etc/x.pem; }` is the same "
			"as\n"
			"`tls.key /etc/x.pem;`. `#` starts a comment, quotes keep spaces, `include "
			"FILE;`\n"
			"reads another file. Sizes: `B KB MB GB` (powers of 1024). Durations:\n"
			"`ms s m h d w`. A list takes several values, or `off` for none.\n");
	else
		buf_addz(out, ".Bl -tag -width Ds\n");
	for (size_t i = 0; i < CONF_COUNT; i++)
		(format == CONF_MARKDOWN ? markdown : mdoc)(&conf_table[i], out);
	if (format == CONF_MDOC)
		buf_addz(out, ".El\n");
}
