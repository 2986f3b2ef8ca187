/* script.h - a dialogue as a text file, for tests of a protocol's server.
 *
 *	# what this shows
 *	with WORD...        options for the server under test; their meaning is the player's, but
 *for "whole": what the client says arrives in one piece, not in chunks C text              the
 *client sends a line (CR LF is added) R "bytes"           the client sends exactly these bytes; \r
 *\n \t \0 \\ \" \xHH; "ab"*500 repeats S text              the server says this line; a * at its
 *end stands for anything TLS here the handshake takes place: what follows comes after it stored
 *"bytes"      a message that the server took, whole (more kinds of facts: the player's) log NAME
 *k=v ...    a log line of that name holding these words, in this order end WORD            how the
 *session ended: "ok", or the kind of error
 *
 * Everything the client says up to TLS is there at once, so each file also tests pipelining; the
 * player runs it whole and cut into chunks of several sizes, and the outcome must be the same. Log
 *lines of level warn and error must be announced; when a file names log lines at all, it names all.
 */
#ifndef TEST_TRANSCRIPTS_SCRIPT_H
#define TEST_TRANSCRIPTS_SCRIPT_H

#include "base/str.h"
#include "net/conn.h"

enum { SCRIPT_LINES = 400, SCRIPT_PARTS = 4 };

struct script {
	const char *path;
	struct buf text;
	struct str with;
	struct buf input[SCRIPT_PARTS]; /* by handshake */
	size_t parts, part;
	struct str said[SCRIPT_LINES]; /* S lines */
	size_t said_count;
	struct str facts[SCRIPT_LINES]; /* lines of any other kind, "stored ..." */
	size_t fact_count;
	struct str logs[SCRIPT_LINES];
	size_t log_count;
	struct str end;
};

/* What happened in one run; the player adds facts, one line each. */
struct outcome {
	struct buf facts, logs;
	struct str end;
};

/* False, and a message on standard error, when the file is not a script. */
bool script_read(struct script *s, const char *path);
void script_free(struct script *s);

/* Is `word` among the options? "size=100" gives 100 for "size" through *number. */
bool script_has(const struct script *s, struct str word);
bool script_number(const struct script *s, struct str word, uint64_t *number);

/* Append the bytes of a quoted string ("a\r\n"*3); false when it is none. The other way round. */
bool script_unquote(struct str s, struct buf *out);
void script_quote(struct str bytes, struct buf *out);

/* Run one protocol's server on c, noting facts. `end` must be set. */
typedef void script_play_fn(struct script *s, struct conn *c, struct outcome *o);

/* The input of the next part, for the handshake. Empty when there is none: the handshake fails. */
struct str script_next_part(struct script *s);

/* One cmocka test per file of a folder, each run whole and in chunks. The exit code for main(). */
int script_run_folder(const char *folder, script_play_fn *play);

#endif
