#include "cli/progress.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR = 24 };
#define EVERY_BAR (CLOCK_SEC / 10)
#define EVERY_LINE (30 * CLOCK_SEC)

static void plain(char *s)
{
	for (; *s; s++)
		if (is_ctl(*s))
			*s = '?';
}

void progress_begin(struct progress *p, struct str what, uint64_t total, bool bytes)
{
	p->terminal = isatty(STDERR_FILENO) == 1;
	p->bytes = bytes;
	p->total = total;
	p->done = p->messages = 0;
	p->begun = clock_mono();
	p->shown = p->terminal ? p->begun - EVERY_BAR : p->begun; /* a bar at once */
	snprintf(p->what, sizeof p->what, STR_F, STR_A(str_head(what, sizeof p->what - 1)));
	plain(p->what);
}

static double seconds(const struct progress *p)
{
	const double s = (double)(clock_mono() - p->begun) / (double)CLOCK_SEC;

	return s > 0.001 ? s : 0.001;
}

static void show_bar(const struct progress *p)
{
	const uint64_t done = p->done < p->total ? p->done : p->total;
	const unsigned part = p->total ? (unsigned)(done * BAR / p->total) : 0;
	const double left = done ? seconds(p) * (double)(p->total - done) / (double)done : 0;
	char bar[BAR + 1];

	memset(bar, '.', BAR);
	memset(bar, '#', part);
	bar[BAR] = '\0';
	fprintf(stderr, "\r\033[K[%s] %3u%%  %.40s  %" PRIu64 " messages, %.0f/s, %u:%02u left",
		bar, p->total ? (unsigned)(done * 100 / p->total) : 0, p->what, p->messages,
		(double)p->messages / seconds(p), (unsigned)left / 60, (unsigned)left % 60);
	fflush(stderr);
}

void progress_to(struct progress *p, uint64_t done, uint64_t messages)
{
	const int64_t now = clock_mono();

	p->done = done;
	p->messages = messages;
	if (now - p->shown < (p->terminal ? EVERY_BAR : EVERY_LINE))
		return;
	p->shown = now;
	if (p->terminal)
		show_bar(p);
	else
		fprintf(stderr, "%s: %" PRIu64 " messages, %u%%\n", p->what, messages,
			p->total ? (unsigned)(done * 100 / p->total) : 0);
}

void progress_end(struct progress *p)
{
	if (p->terminal)
		fputs("\r\033[K", stderr);
	else
		fprintf(stderr, "%s: %" PRIu64 " messages\n", p->what, p->messages);
	fflush(stderr);
}

void progress_say(struct progress *p, const char *fmt, ...)
{
	char text[1000];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	plain(text);
	fprintf(stderr, "%s%s\n", p->terminal ? "\r\033[K" : "", text);
	p->shown = 0;
}
