/* pop3_private.h - the session as its command files see it. */
#ifndef POP3_POP3_PRIVATE_H
#define POP3_POP3_PRIVATE_H

#include "pop3/pop3.h"

enum {
	POP3_LINE_MAX = 2048, /* RFC 2449 4 wants 255; PASS and AUTH may be longer */
};

/* RFC 1939 3: the states; bits, for the table of commands. */
enum pop3_state { POP3_AUTHORIZATION = 1, POP3_TRANSACTION = 2 };

struct pop3_session {
	struct conn *c;
	const struct pop3_config *config;
	const struct pop3_policy *policy;
	enum pop3_state state;
	int64_t login_deadline;
	struct buf name; /* given by USER, waits for PASS */
	struct buf
		messages; /* an array of struct pop3_message; its index + 1 is the message number */
	uint32_t uidvalidity;
	uint32_t errors, login_fails;
	bool secure;     /* TLS is on */
	bool opened;     /* the policy has a login to be closed */
	bool in_message; /* an error text now would be read as a part of the message */
	bool done;
};

/* A command answers the client itself. It returns -1 only when the session cannot go on. */
typedef int pop3_command(struct pop3_session *s, struct str arg, struct err *err);

pop3_command pop3_do_capa, pop3_do_stls, pop3_do_user, pop3_do_pass, pop3_do_auth, pop3_do_quit;
pop3_command pop3_do_stat, pop3_do_list, pop3_do_retr, pop3_do_dele, pop3_do_noop, pop3_do_rset;
pop3_command pop3_do_top, pop3_do_uidl;

/* Both return 0. pop3_err counts towards max_errors; `code` is a response code of RFC 2449 8
 * with its brackets and a space, or empty. */
int pop3_ok(struct pop3_session *s, const char *text);
int pop3_err(struct pop3_session *s, const char *code, const char *text);
/* What went wrong inside, in the terms of RFC 3206: [SYS/TEMP] or [SYS/PERM]. */
int pop3_fault(struct pop3_session *s, const struct err *why);

/* Wait for the client's next line. The deadline is set by the state. */
int pop3_read_line(struct pop3_session *s, size_t max, struct str *line, struct err *err);

/* After a right password: hold and list the mailbox, answer the client. */
int pop3_enter(struct pop3_session *s, struct err *err);
void pop3_leave(struct pop3_session *s);

/* Give client the bytes of one message (RFC 1939 3: dots stuffed, ended by a lone dot): all of it,
 * or with lines >= 0 the header and that many lines of the body. */
int pop3_send_message(
	struct pop3_session *s, const struct pop3_message *m, int64_t lines, struct err *err);

#endif
