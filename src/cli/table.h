/* table.h - rows for people (aligned columns) or for programs (--json: an array of objects).
 *
 *	struct table t = TABLE(c->json, "login", "name");
 *	table_str(&t, login);  table_str(&t, name);          one cell after another, row by row
 *	table_end(&t);                                       prints and frees
 *
 * Control characters in cells are shown as '?' to people and escaped in JSON. At most 19 columns
 * and 64 MiB.
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/str.h"

enum { TABLE_COLUMNS = 19 };

struct table {
	bool json;
	const char *head[TABLE_COLUMNS];
	size_t columns;
	struct buf cells; /* each: one type byte, the text, a NUL */
	size_t count;
};

#define TABLE(json_, ...)                                                                          \
	{                                                                                          \
		.json = (json_), .head = { __VA_ARGS__ },                                          \
		.columns = sizeof((const char *[]){ __VA_ARGS__ }) / sizeof(const char *),         \
		.cells = BUF(64u << 20)                                                            \
	}

void table_str(struct table *t, struct str s);
void table_none(struct table *t); /* "-" for people, null in JSON */
void table_num(struct table *t, uint64_t v);
void table_bool(struct table *t, bool v);
void table_time(struct table *t, int64_t seconds); /* since 1970; local time; 0 and never: none */
void table_bytes(struct table *t, uint64_t v);     /* "1.5 MiB" for people, the number in JSON */
void table_end(struct table *t);

/* One object or a list of "name: value" lines: a table with exactly one row, printed downwards. */
void table_end_single(struct table *t);

#endif
