/* log.h - events for operators and tests: a fixed name and typed fields, one line each.
 *
 *	log_event(LOG_INFO, "smtp.accept", L_STR("from", sender), L_U64("rcpts", n));
 *
 * prints `info smtp.accept sid=a1b2 from=<ann@example.org> rcpts=1`. Values with
 * anything but plain characters are quoted and escaped, so no peer can forge a line.
 * A secret has its own type (struct secret, base/secret.h) for which there is no field
 * constructor: it cannot be logged by accident. Lines go to a descriptor (standard error by
 * default) with one write each; a line is at most 2,048 bytes, longer values are cut.
 * Logging never fails. It never waits when the descriptor is non-blocking: a line that the
 * descriptor does not take is counted, and the next one says lost=N. A cut value ends in "..." and
 * the line in cut=1.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_field {
	const char *name; /* NULL ends the list */
	enum { LOG_F_STR, LOG_F_QUOTED, LOG_F_I64, LOG_F_U64 } type;
	struct str s;
	int64_t i;
	uint64_t u;
};

#define L_STR(name, s) ((struct log_field){ (name), LOG_F_STR, (s), 0, 0 })
/* In quotes whatever it holds, for lines whose form other tools rely on (fail2ban). */
#define L_QUOTED(name, s) ((struct log_field){ (name), LOG_F_QUOTED, (s), 0, 0 })
#define L_Z(name, z) L_STR(name, str_c(z))
#define L_I64(name, v) ((struct log_field){ (name), LOG_F_I64, { "", 0 }, (v), 0 })
#define L_U64(name, v) ((struct log_field){ (name), LOG_F_U64, { "", 0 }, 0, (v) })
#define L_ERR(e) L_Z("error", (e)->msg)

#define log_event(level, ...)                                                                      \
	log_event_(level, __VA_ARGS__, (struct log_field){ NULL, LOG_F_STR, { "", 0 }, 0, 0 })
#define log_event_(level, name, ...)                                                               \
	log_write((level), (name), (const struct log_field[]){ __VA_ARGS__ })

/* `fields` ends with a field whose name is NULL. */
void log_write(enum log_level level, const char *name, const struct log_field *fields);

void log_role(const char *role);          /* shown as role=... in every line; not copied */
void log_min_level(enum log_level level); /* LOG_INFO unless set */
void log_to_fd(int fd);

/* For tests: every line (without the newline) goes to fn instead. NULL restores. */
void log_capture(void (*fn)(void *arg, enum log_level level, struct str line), void *arg);

#endif
