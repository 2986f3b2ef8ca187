/* imap_private.h - the session as its command files see it. */
#ifndef IMAP_IMAP_PRIVATE_H
#define IMAP_IMAP_PRIVATE_H

#include "imap/imap.h"

/* RFC 3501 3: the states; bits, for the table of commands. */
enum imap_state {
	IMAP_NOT_AUTHENTICATED = 1,
	IMAP_AUTHENTICATED = 2,
	IMAP_SELECTED = 4,
	IMAP_LOGGED_IN = IMAP_AUTHENTICATED | IMAP_SELECTED,
	IMAP_ANY = IMAP_NOT_AUTHENTICATED | IMAP_LOGGED_IN
};

/* What a command may cost before and after a login. */
enum {
	IMAP_LINE_MAX = 60000,
	IMAP_COMMAND_MAX = 256 << 10, /* with its literals, the message of APPEND excepted */
	IMAP_ARENA_MAX = 4 << 20,
	IMAP_LINE_MAX_BEFORE = 8192,
	IMAP_LITERAL_MAX_BEFORE = 4096,
	IMAP_COMMAND_MAX_BEFORE = 16384,
	IMAP_ARENA_MAX_BEFORE = 64 << 10,
	IMAP_OWN_CHANGES = 8
};

/* A change of flags that this session made: not to be told again. */
struct imap_own_change {
	uint64_t modseq;
	uint32_t first, last; /* within these uids */
};

struct imap_session {
	struct conn *c;
	const struct imap_config *config;
	const struct imap_policy *policy;
	enum imap_state state;
	int64_t login_deadline;
	uint32_t errors, login_fails;
	bool secure; /* TLS is on */
	bool done;

	/* The command in hand; all of it is given back after its answer. */
	struct buf text; /* as it came */
	struct arena mem;
	struct str tag;
	bool by_uid;     /* UID FETCH and the like */
	bool expunge_ok; /* RFC 3501 7.4.1: EXPUNGE may be sent now */
	bool has_message,
		message_waits; /* APPEND: a literal comes; the client waits for our word */
	uint64_t message_size;

	/* The selected mailbox. */
	struct buf selected; /* its name */
	struct imap_view view;
	uint64_t seen_flags, seen_expunges; /* modseq up to which the client has been told */
	uint32_t recent_from;
	bool read_only;
	bool changed; /* news that the client has not been told */
	struct imap_own_change own[IMAP_OWN_CHANGES];
	unsigned own_next;
};

/* A command takes its arguments from `in` (after the space) and answers the client itself. It
 * returns -1 only when the session cannot go on. */
typedef int imap_command(struct imap_session *s, struct imap_in *in, struct err *err);

imap_command imap_do_capability, imap_do_noop, imap_do_logout, imap_do_id, imap_do_enable;
imap_command imap_do_starttls, imap_do_authenticate, imap_do_login;
imap_command imap_do_list, imap_do_lsub, imap_do_namespace;
imap_command imap_do_create, imap_do_delete, imap_do_rename, imap_do_subscribe, imap_do_unsubscribe;
imap_command imap_do_status, imap_do_append, imap_do_idle;
imap_command imap_do_select, imap_do_examine, imap_do_check, imap_do_close, imap_do_unselect;
imap_command imap_do_expunge, imap_do_search, imap_do_fetch, imap_do_store, imap_do_copy,
	imap_do_move;

/* The tagged answers. All return 0, except when telling of changes first fails for good (-1).
 * `code` is a response code with its brackets and a space, or empty. */
int imap_ok(struct imap_session *s, const char *code, const char *text, struct err *err);
int imap_no(struct imap_session *s, const char *code, const char *text, struct err *err);
int imap_bad(struct imap_session *s, const struct imap_in *in);
/* NO with the code of RFC 5530 that fits; -1 when we are being shut down. */
int imap_fault(struct imap_session *s, const struct err *why, struct err *err);
/* BYE with a reason; the session ends after this command. */
void imap_bye(struct imap_session *s, const char *code, const char *text);

/* reader.c: gather one command in s->text. 1: it was refused and answered. */
int imap_read_command(struct imap_session *s, struct err *err);
/* Wait for the client's next line with the deadline that the state has. */
int imap_wait_line(struct imap_session *s, size_t max, struct str *line, struct err *err);
/* Throw away a message that comes without being asked for (LITERAL+), and the rest of its line. */
int imap_skip_message(struct imap_session *s, struct err *err);

/* cmd_auth.c */
void imap_write_capabilities(struct imap_session *s);

/* sync.c: tell the client what has changed in the selected mailbox. Expunges only with `expunge`;
 * when some are held back *held is set (may be NULL). Faults of the store are left for the next
 * time; -1 only when the session cannot go on. */
int imap_sync(struct imap_session *s, bool expunge, bool *held, struct err *err);
/* Take in what `news` says; true when the login is gone. */
bool imap_take_news(struct imap_session *s);
void imap_remember_own(struct imap_session *s, uint64_t modseq, uint32_t first, uint32_t last);
void imap_leave_mailbox(struct imap_session *s);

/* write.c: pieces of responses. The lines that come by the hundred thousand are put together here
 * first, so that each costs one conn_write(). */
struct imap_out {
	struct conn *c;
	size_t n;
	char p[256];
};
#define IMAP_OUT(conn) ((struct imap_out){ .c = (conn) })
void imap_out_add(struct imap_out *o, struct str s);
void imap_out_number(struct imap_out *o, uint64_t n);
void imap_out_flush(struct imap_out *o);
/* "FLAGS (...)" */
void imap_out_flags(struct imap_out *o, const struct imap_session *s, const struct imap_entry *e);
/* "* 3 FETCH (UID 7 FLAGS (...))", whole: a change of flags. The UID only in the UID forms. */
void imap_write_change(struct imap_session *s, uint32_t seq, const struct imap_entry *e);
void imap_write_string(struct conn *c, struct str s); /* quoted, or a literal where it must be */
void imap_write_mailbox(struct conn *c, struct str name);
void imap_write_ranges(struct conn *c, const struct imap_ranges *r);

#endif
