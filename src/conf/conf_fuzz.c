/* Any text is a configuration or an error; a configuration survives being written and read again.
 */
#include "conf/conf.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(const struct conf *c)
{
	struct buf text = BUF(1 << 20), again = BUF(1 << 20);
	struct conf_source from = { .folder = "/" };
	struct conf *copy = NULL;
	struct err err = ERR_INIT;

	conf_serialise(c, &text);
	if (!buf_ok(&text))
		goto out;
	from.text = buf_str(&text);
	if (conf_load(&from, &copy, NULL, &err) < 0)
		abort();
	conf_serialise(copy, &again);
	if (!str_eq(buf_str(&text), buf_str(&again)))
		abort();
out:
	conf_free(&copy);
	buf_free(&text);
	buf_free(&again);
}

/* The first byte says how the rest is used: as a file's text, or as one override. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct buf report = BUF(1 << 16);
	struct err err = ERR_INIT;
	struct str text = str_make((const char *)data, n);
	struct conf_source from = { .kind = CONF_DEMO, .folder = "/srv" };
	struct conf *c = NULL;

	if (n && data[0] == '=') {
		text = str_from(text, 1);
		from.set = &text;
		from.sets = 1;
	} else {
		from.text = text;
	}
	if (conf_load(&from, &c, &report, &err) == 0)
		round_trip(c);
	else if (err.kind == ERR_NONE || err.msg[0] == '\0')
		abort();
	conf_free(&c);
	buf_free(&report);
	return 0;
}
