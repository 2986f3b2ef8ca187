/* sendmail_args.h - the arguments of the sendmail command, as thirty years of callers write them.
 *
 * Options may stand together (-oi), carry their value attached or as the next argument (-fADDR, -f
 * ADDR), and end at `--`. What changes only how other programs queue or report is accepted and has
 * no effect. What would read or write files of the caller's choice (-C, -X, -be) or start a daemon
 * is refused. Slices point into argv.
 */
#ifndef CLI_SENDMAIL_ARGS_H
#define CLI_SENDMAIL_ARGS_H

#include "base/err.h"
#include "base/str.h"

enum { SENDMAIL_RCPTS_MAX = 1000 };

enum sendmail_mode {
	SENDMAIL_SUBMIT, /* (none), -bm */
	SENDMAIL_QUEUE,  /* -bp */
	SENDMAIL_FLUSH,  /* -q */
	SENDMAIL_ALIASES /* -bi, -I */
};

struct sendmail_args {
	enum sendmail_mode mode;
	bool from_head;   /* -t: recipients from To, Cc and Bcc as well */
	bool ignore_dots; /* -i, -oi: a line with only a dot does not end the message */
	bool has_sender;  /* -f, -r; an empty one or <> is the null sender */
	struct str sender, full_name;
	uint8_t notify, ret; /* NOTIFY_ and RET_ bits (ipc/names.h) */
	struct str envid;
	struct str rcpts[SENDMAIL_RCPTS_MAX];
	size_t rcpt_count;
};

/* argv after the command's own name. ERR_PERM: unknown or refused, with the option in the sentence.
 */
int sendmail_args(int argc, char *const *argv, struct sendmail_args *a, struct err *err);

#endif
