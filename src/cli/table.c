#include "cli/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* How a cell is written in JSON. */
enum cell { CELL_TEXT = 't', CELL_RAW = 'r' };

static void cell_begin(struct table *t, enum cell type)
{
	buf_addc(&t->cells, (char)type);
	t->count++;
}

void table_str(struct table *t, struct str s)
{
	cell_begin(t, CELL_TEXT);
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] == '\0')
			buf_addc(&t->cells, '?');
		else
			buf_addc(&t->cells, s.p[i]);
	buf_addc(&t->cells, '\0');
}

void table_none(struct table *t)
{
	cell_begin(t, CELL_RAW);
	buf_addz(&t->cells, t->json ? "null" : "-");
	buf_addc(&t->cells, '\0');
}

void table_num(struct table *t, uint64_t v)
{
	cell_begin(t, CELL_RAW);
	buf_addf(&t->cells, "%" PRIu64, v);
	buf_addc(&t->cells, '\0');
}

void table_bool(struct table *t, bool v)
{
	if (t->json) {
		cell_begin(t, CELL_RAW);
		buf_addz(&t->cells, v ? "true" : "false");
		buf_addc(&t->cells, '\0');
	} else {
		table_str(t, v ? STR("yes") : STR("no"));
	}
}

void table_time(struct table *t, int64_t seconds)
{
	time_t at = (time_t)seconds;
	char text[40];
	struct tm tm;

	if (seconds <= 0 || !localtime_r(&at, &tm)) { /* never: of what is held */
		table_none(t);
	} else if (t->json) {
		table_num(t, (uint64_t)seconds);
	} else {
		strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
		table_str(t, str_c(text));
	}
}

void table_bytes(struct table *t, uint64_t v)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double shown = (double)v;
	char text[40];
	size_t u = 0;

	if (t->json) {
		table_num(t, v);
		return;
	}
	while (shown >= 1024 && u + 1 < sizeof units / sizeof units[0]) {
		shown /= 1024;
		u++;
	}
	snprintf(text, sizeof text, u ? "%.1f %s" : "%.0f %s", shown, units[u]);
	table_str(t, str_c(text));
}

static void print_json_text(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			printf("\\%c", *s);
		else if ((unsigned char)*s < 32 || *s == 127)
			printf("\\u%04x", (unsigned)(unsigned char)*s);
		else
			putchar(*s);
	}
	putchar('"');
}

static void print_json_row(const struct table *t, const char **cell)
{
	putchar('{');
	for (size_t i = 0; i < t->columns; i++) {
		printf("%s", i ? ", " : "");
		print_json_text(t->head[i]);
		printf(": ");
		if (**cell == CELL_RAW)
			printf("%s", *cell + 1);
		else
			print_json_text(*cell + 1);
		*cell += strlen(*cell) + 1;
	}
	putchar('}');
}

static void print_text(const char *s, size_t width, bool last)
{
	size_t n = 0;

	for (; *s; s++) {
		putchar(is_ctl(*s) ? '?' : *s);
		n += ((unsigned char)*s & 0xc0) != 0x80; /* UTF-8: count characters, not bytes */
	}
	for (; !last && n < width; n++)
		putchar(' ');
}

static size_t text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

static void measure(const struct table *t, size_t width[TABLE_COLUMNS])
{
	const char *cell = t->cells.p;

	for (size_t i = 0; i < t->columns; i++)
		width[i] = strlen(t->head[i]);
	for (size_t k = 0; k < t->count; k++, cell += strlen(cell) + 1)
		if (text_width(cell + 1) > width[k % t->columns])
			width[k % t->columns] = text_width(cell + 1);
}

static void print_rows(const struct table *t)
{
	size_t width[TABLE_COLUMNS], last = t->columns - 1;
	const char *cell = t->cells.p;

	measure(t, width);
	for (size_t i = 0; i < t->columns; i++) {
		print_text(t->head[i], width[i] + 2, i == last);
		printf("%s", i == last ? "\n" : "");
	}
	for (size_t k = 0; k < t->count; k++, cell += strlen(cell) + 1) {
		print_text(cell + 1, width[k % t->columns] + 2, k % t->columns == last);
		printf("%s", k % t->columns == last ? "\n" : "");
	}
}

static void table_done(struct table *t)
{
	if (!buf_ok(&t->cells))
		fputs("the list is too long to show\n", stderr);
	buf_free(&t->cells);
	t->count = 0;
}

void table_end(struct table *t)
{
	const char *cell = t->cells.p;
	size_t rows = t->count / t->columns;

	if (t->json) {
		putchar('[');
		for (size_t i = 0; i < rows && buf_ok(&t->cells); i++) {
			printf("%s\n  ", i ? "," : "");
			print_json_row(t, &cell);
		}
		printf("%s]\n", rows ? "\n" : "");
	} else if (buf_ok(&t->cells)) {
		print_rows(t);
	}
	table_done(t);
}

void table_end_single(struct table *t)
{
	const char *cell = t->cells.p;
	size_t width = 0;

	for (size_t i = 0; i < t->columns; i++)
		if (strlen(t->head[i]) > width)
			width = strlen(t->head[i]);
	if (t->json && t->count == t->columns) {
		print_json_row(t, &cell);
		putchar('\n');
	}
	for (size_t k = 0; !t->json && k < t->count; k++, cell += strlen(cell) + 1) {
		printf("%-*s  ", (int)width, t->head[k % t->columns]);
		print_text(cell + 1, 0, true);
		putchar('\n');
	}
	table_done(t);
}
