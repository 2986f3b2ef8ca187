#include "base/err.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void clean(char *s)
{
	for (; *s; s++)
		if (is_ctl(*s))
			*s = '?';
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	clean(e->msg);
	e->kind = kind;
	return -1;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
	char old[sizeof e->msg];
	va_list ap;
	size_t n;

	memcpy(old, e->msg, sizeof old);
	va_start(ap, fmt);
	vsnprintf(e->msg, sizeof e->msg, fmt, ap);
	va_end(ap);
	n = strlen(e->msg);
	snprintf(e->msg + n, sizeof e->msg - n, ": %s", old);
	clean(e->msg);
	return -1;
}

int err_sys(struct err *e, const char *what, const char *name)
{
	int no = errno;
	enum err_kind kind = no == ENOSPC || no == EDQUOT ? ERR_FULL : ERR_TEMP;

	return err_set(e, kind, "%s %s: %s", what, name, strerror(no));
}

const char *err_kind_name(enum err_kind kind)
{
	static const char *const names[] = { "none", "temporary", "permanent", "protocol", "limit",
		"not-found", "exists", "denied", "full", "closed", "timeout", "canceled",
		"disabled", "quota", "quota-long", "expansion", "damaged" };

	return kind < ERR_KINDS ? names[kind] : "unknown";
}
