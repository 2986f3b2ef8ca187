#include "base/log.h"
#include "base/utf8.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
	LINE_MAX_BYTES = 2048, /* with the newline */
	VALUE_MAX = 512,       /* one long value must not push the others out */
	TAIL_MAX = 40,         /* " cut=1 lost=N\n" */
};

static struct {
	const char *role;
	enum log_level min;
	int fd;
	void (*capture)(void *arg, enum log_level level, struct str line);
	void *capture_arg;
} out = { .min = LOG_INFO, .fd = STDERR_FILENO };

static _Atomic uint64_t lost; /* lines that the descriptor did not take */

struct line {
	char p[LINE_MAX_BYTES];
	size_t n, max;
	bool cut;
};

static void add(struct line *l, const char *p, size_t n)
{
	if (n > l->max - l->n) {
		l->cut = true;
		return;
	}
	memcpy(l->p + l->n, p, n);
	l->n += n;
}

static void addz(struct line *l, const char *z)
{
	add(l, z, strlen(z));
}

/* May this character stand in a line as it is? Not what steers a terminal, and not what is
 * invisible or turns the writing direction. */
static bool shown(uint32_t c)
{
	if (c < 0x80)
		return c >= 0x20 && c != 0x7f;
	if (c < 0xa1 || c == 0xad || c == 0x61c || c == 0xfeff)
		return false;
	if ((c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e))
		return false;
	return !(c >= 0x2060 && c <= 0x206f) && !(c >= 0xfff0 && c <= 0xfffb) && c < 0xe0000;
}

static bool is_plain(struct str s)
{
	uint32_t c;
	bool ok;

	if (s.n == 0)
		return false;
	while (utf8_next(&s, &c, &ok))
		if (!ok || !shown(c) || c == ' ' || c == '"' || c == '=' || c == '\\' ||
			(c >= 0x2000 && c <= 0x200a) || c == 0x202f || c == 0x205f || c == 0x3000)
			return false;
	return true;
}

static void add_escaped(struct line *l, struct str s)
{
	static const char hex[] = "0123456789abcdef";
	size_t end = l->n + VALUE_MAX;

	while (s.n) {
		struct str from = s;
		char e[4] = { '\\', 'x' };
		uint32_t c;
		bool ok;

		if (l->n + 4 > end) {
			addz(l, "...");
			l->cut = true;
			return;
		}
		utf8_next(&s, &c, &ok);
		if (ok && (c == '"' || c == '\\')) {
			e[1] = (char)c;
			add(l, e, 2);
		} else if (ok && shown(c)) {
			add(l, from.p, (size_t)(s.p - from.p));
		} else {
			unsigned char byte = (unsigned char)from.p[0];

			s = str_from(from, 1);
			e[2] = hex[byte >> 4];
			e[3] = hex[byte & 15];
			add(l, e, 4);
		}
	}
}

static void add_str(struct line *l, struct str s, bool quoted)
{
	if (!quoted && s.n <= VALUE_MAX && is_plain(s)) {
		add(l, s.p, s.n);
		return;
	}
	addz(l, "\"");
	add_escaped(l, s);
	addz(l, "\"");
}

/* A field that does not fit is left out whole, so that what is there is always true. */
static void add_field(struct line *l, const struct log_field *f)
{
	size_t start = l->n;
	bool cut = l->cut;
	char num[24];

	l->cut = false;
	addz(l, " ");
	addz(l, f->name);
	addz(l, "=");
	switch (f->type) {
	case LOG_F_STR:
	case LOG_F_QUOTED:
		add_str(l, f->s, f->type == LOG_F_QUOTED);
		break;
	case LOG_F_I64:
		snprintf(num, sizeof num, "%lld", (long long)f->i);
		addz(l, num);
		break;
	case LOG_F_U64:
		snprintf(num, sizeof num, "%llu", (unsigned long long)f->u);
		addz(l, num);
		break;
	}
	/* A cut value ends in `..."`; anything else was cut by the end of the line. */
	if (l->cut && !(l->n - start > 4 && memcmp(l->p + l->n - 4, "...\"", 4) == 0))
		l->n = start;
	l->cut |= cut;
}

static void send_line(struct line *l)
{
	uint64_t n = atomic_load(&lost);
	ssize_t r;

	if (n) {
		char text[32];

		snprintf(text, sizeof text, " lost=%llu", (unsigned long long)n);
		addz(l, text);
	}
	addz(l, "\n");
	do
		r = write(out.fd, l->p, l->n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		atomic_fetch_add(&lost, 1);
	else
		atomic_fetch_sub(&lost, n);
}

void log_write(enum log_level level, const char *name, const struct log_field *fields)
{
	static const char *const levels[] = { "debug", "info", "warn", "error" };
	int saved = errno;
	struct line l;

	if (level < out.min)
		return;
	l.n = 0;
	l.cut = false;
	l.max = sizeof l.p - TAIL_MAX;
	addz(&l, levels[level <= LOG_ERROR ? level : LOG_ERROR]);
	addz(&l, " ");
	addz(&l, name);
	if (out.role)
		add_field(&l, &L_Z("role", out.role));
	for (; fields->name; fields++)
		add_field(&l, fields);
	l.max = sizeof l.p;
	if (l.cut)
		addz(&l, " cut=1");
	if (out.capture)
		out.capture(out.capture_arg, level, str_make(l.p, l.n));
	else
		send_line(&l);
	errno = saved;
}

void log_role(const char *role)
{
	out.role = role;
}

void log_min_level(enum log_level level)
{
	out.min = level;
}

void log_to_fd(int fd)
{
	out.fd = fd;
}

void log_capture(void (*fn)(void *arg, enum log_level level, struct str line), void *arg)
{
	out.capture = fn;
	out.capture_arg = arg;
}
