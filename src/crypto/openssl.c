#include "crypto/openssl_private.h"

#include <openssl/err.h>
#include <stdio.h>
#include <string.h>

/* The first entry is the cause, later ones say through what it passed. */
int openssl_failed(struct err *err, enum err_kind kind, const char *what)
{
	unsigned long code = ERR_get_error();
	const char *reason = code ? ERR_reason_error_string(code) : "no reason given";
	char text[160];

	if (!reason) /* an error of the system */
		snprintf(text, sizeof text, "%s", strerror(ERR_GET_REASON(code)));
	else
		snprintf(text, sizeof text, "%s", reason);
	ERR_clear_error();
	return err_set(err, kind, "%s: %s", what, text);
}
