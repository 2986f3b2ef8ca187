/* msg.c - the tables (*.def) made into code: one pass per function that every message has. */
#include "ipc/msg_private.h"

#include <inttypes.h>
#include <string.h>

/* ---- the fields on the wire: little-endian numbers; slices as a 32-bit length and bytes ---- */

static void put_number(struct buf *out, uint64_t v, size_t bytes)
{
	char *p = buf_room(out, bytes);

	if (!p)
		return;
	for (size_t i = 0; i < bytes; i++)
		p[i] = (char)(v >> (8 * i));
	buf_grew(out, bytes);
}

static void put_slice(struct buf *out, struct str s, size_t max, bool text)
{
	if (s.n > max || (text && memchr(s.p ? s.p : "", '\0', s.n))) {
		out->over = true;
		return;
	}
	put_number(out, s.n, 4);
	buf_add(out, s);
}

static uint64_t get_number(struct msg_in *in, size_t bytes)
{
	uint64_t v = 0;

	if (in->rest.n < bytes) {
		in->bad = true;
		return 0;
	}
	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)in->rest.p[i] << (8 * i);
	in->rest = str_from(in->rest, bytes);
	return v;
}

static struct str get_slice(struct msg_in *in, size_t max, bool text)
{
	uint64_t n = get_number(in, 4);
	struct str s;

	if (in->bad || n > max || n > in->rest.n) {
		in->bad = true;
		return STR("");
	}
	s = str_head(in->rest, (size_t)n);
	in->rest = str_from(in->rest, (size_t)n);
	if (text && memchr(s.p, '\0', s.n))
		in->bad = true;
	return s;
}

static int get_end(const struct msg_in *in, const char *name, struct err *err)
{
	if (in->bad)
		return err_set(err, ERR_PROTO, "malformed %s", name);
	if (in->rest.n)
		return err_set(err, ERR_PROTO, "%zu bytes after %s", in->rest.n, name);
	return 0;
}

static void print_text(struct buf *out, const char *name, struct str s)
{
	buf_addf(out, " %s=\"", name);
	for (size_t i = 0; i < s.n; i++)
		if (is_ctl(s.p[i]) || s.p[i] == '"' || s.p[i] == '\\')
			buf_addf(out, "\\x%02x", (unsigned)(unsigned char)s.p[i]);
		else
			buf_addc(out, s.p[i]);
	buf_addc(out, '"');
}

/* ---- X_put ---- */

#define F_U8(f) put_number(out, m->f, 1);
#define F_U32(f) put_number(out, m->f, 4);
#define F_U64(f) put_number(out, m->f, 8);
#define F_I64(f) put_number(out, (uint64_t)m->f, 8);
#define F_STR(f, max) put_slice(out, m->f, max, true);
#define F_BYTES(f, max) put_slice(out, m->f, max, false);
#define F_SECRET(f, max) put_slice(out, m->f, max, false);
#define F_SEQ(f, record) put_slice(out, m->f, MSG_MAX, false);
#define F_FD(f)
#define PUT(name, fields)                                                                          \
	void name##_put(struct buf *out, const struct name *m)                                     \
	{                                                                                          \
		fields                                                                             \
	}
#define RECORD(name, fields) PUT(name, fields)
#define ONEWAY(name, number, who, fields) PUT(name, fields)
#define CALL(name, number, who, request, reply) PUT(name##_req, request) PUT(name##_rep, reply)
#include "ipc/messages.def"
#include "ipc/undef.h"

/* ---- X_get, and X_next for records ---- */

#define F_U8(f) m->f = (uint8_t)get_number(&in, 1);
#define F_U32(f) m->f = (uint32_t)get_number(&in, 4);
#define F_U64(f) m->f = get_number(&in, 8);
#define F_I64(f) m->f = (int64_t)get_number(&in, 8);
#define F_STR(f, max) m->f = get_slice(&in, max, true);
#define F_BYTES(f, max) m->f = get_slice(&in, max, false);
#define F_SECRET(f, max) m->f = get_slice(&in, max, false);
#define F_SEQ(f, record)                                                                           \
	m->f = get_slice(&in, MSG_MAX, false);                                                     \
	in.bad |= !record##_walk(m->f);
#define F_FD(f) m->f = -1;
#define GET(name, fields)                                                                          \
	int name##_get(struct str bytes, struct name *m, struct err *err)                          \
	{                                                                                          \
		struct msg_in in = { .rest = bytes };                                              \
                                                                                                   \
		fields return get_end(&in, #name, err);                                            \
	}
#define RECORD(name, fields)                                                                       \
	bool name##_next(struct str *seq, struct name *m)                                          \
	{                                                                                          \
		struct msg_in in = { .rest = *seq };                                               \
                                                                                                   \
		if (seq->n == 0)                                                                   \
			return false;                                                              \
		fields if (!in.bad) *seq = in.rest;                                                \
		return !in.bad;                                                                    \
	}                                                                                          \
	/* Whether a whole sequence is well formed. */                                             \
	static bool name##_walk(struct str seq)                                                    \
	{                                                                                          \
		struct name row;                                                                   \
                                                                                                   \
		while (name##_next(&seq, &row))                                                    \
			continue;                                                                  \
		return seq.n == 0;                                                                 \
	}                                                                                          \
	GET(name, fields)
#define ONEWAY(name, number, who, fields) GET(name, fields)
#define CALL(name, number, who, request, reply) GET(name##_req, request) GET(name##_rep, reply)
#include "ipc/messages.def"
#include "ipc/undef.h"

/* ---- X_print ---- */

#define F_U8(f) buf_addf(out, " %s=%u", #f, (unsigned)m->f);
#define F_U32(f) buf_addf(out, " %s=%" PRIu32, #f, m->f);
#define F_U64(f) buf_addf(out, " %s=%" PRIu64, #f, m->f);
#define F_I64(f) buf_addf(out, " %s=%" PRId64, #f, m->f);
#define F_STR(f, max) print_text(out, #f, m->f);
#define F_BYTES(f, max) buf_addf(out, " %s=(%zu bytes)", #f, m->f.n);
#define F_SECRET(f, max) buf_addf(out, " %s=***", #f);
#define F_SEQ(f, record) record##_print_rows(out, #f, m->f);
#define F_FD(f) buf_addf(out, " %s=(descriptor)", #f);
#define PRINT(name, fields)                                                                        \
	void name##_print(struct buf *out, const struct name *m)                                   \
	{                                                                                          \
		buf_addz(out, #name);                                                              \
		fields                                                                             \
	}
#define RECORD(name, fields)                                                                       \
	PRINT(name, fields)                                                                        \
	static void name##_print_rows(struct buf *out, const char *field, struct str seq)          \
	{                                                                                          \
		struct name row;                                                                   \
                                                                                                   \
		buf_addf(out, " %s=[", field);                                                     \
		while (name##_next(&seq, &row))                                                    \
			name##_print(out, &row);                                                   \
		buf_addc(out, ']');                                                                \
	}
#define ONEWAY(name, number, who, fields) PRINT(name, fields)
#define CALL(name, number, who, request, reply) PRINT(name##_req, request) PRINT(name##_rep, reply)
#include "ipc/messages.def"
#include "ipc/undef.h"

/* ---- the same three by number ---- */

#define FORM(name)                                                                                 \
	static int name##_check_form(struct str in, struct err *err)                               \
	{                                                                                          \
		struct name m;                                                                     \
                                                                                                   \
		return name##_get(in, &m, err);                                                    \
	}                                                                                          \
	static int name##_print_form(struct buf *out, struct str in, struct err *err)              \
	{                                                                                          \
		struct name m;                                                                     \
                                                                                                   \
		if (name##_get(in, &m, err) < 0)                                                   \
			return -1;                                                                 \
		name##_print(out, &m);                                                             \
		return 0;                                                                          \
	}                                                                                          \
	static int name##_recode_form(struct buf *out, struct str in, struct err *err)             \
	{                                                                                          \
		struct name m;                                                                     \
                                                                                                   \
		if (name##_get(in, &m, err) < 0)                                                   \
			return -1;                                                                 \
		name##_put(out, &m);                                                               \
		return 0;                                                                          \
	}
#define RECORD(name, fields)
#define ONEWAY(name, number, who, fields) FORM(name)
#define CALL(name, number, who, request, reply) FORM(name##_req) FORM(name##_rep)
#include "ipc/messages.def"
#include "ipc/undef.h"

/* The table: fields become what they add to a message's properties. */
#define F_U8(f)
#define F_U32(f)
#define F_U64(f)
#define F_I64(f)
#define F_STR(f, max)
#define F_BYTES(f, max)
#define F_SECRET(f, max) +0x100
#define F_SEQ(f, record)
#define F_FD(f) +1
#define PROPERTIES(fields) (0 fields)
#define FORMS(name)                                                                                \
	{                                                                                          \
		name##_check_form, name##_print_form, name##_recode_form                           \
	}
#define RECORD(name, fields)
#define ONEWAY(name, number, who, fields)                                                          \
	{ { #name, (number), (who), false, PROPERTIES(fields) & 0xff, PROPERTIES(fields) > 0xff,   \
		  false },                                                                         \
		FORMS(name), { NULL, NULL, NULL } },
#define CALL(name, number, who, request, reply)                                                    \
	{ { #name, (number), (who), true, PROPERTIES(request) & 0xff, PROPERTIES(request) > 0xff,  \
		  PROPERTIES(reply) > 0xff },                                                      \
		FORMS(name##_req), FORMS(name##_rep) },
const struct msg_row msg_rows[] = {
#include "ipc/messages.def"
};
#include "ipc/undef.h"
const size_t msg_row_count = sizeof msg_rows / sizeof msg_rows[0];

/* The rows stand in the order of their numbers (a test says so). */
const struct msg_row *msg_row(uint16_t number)
{
	size_t low = 0, high = msg_row_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (msg_rows[mid].info.number < number)
			low = mid + 1;
		else
			high = mid;
	}
	return low < msg_row_count && msg_rows[low].info.number == number ? &msg_rows[low] : NULL;
}

const struct msg_info *msg_info(uint16_t number)
{
	const struct msg_row *row = msg_row(number);

	return row ? &row->info : NULL;
}

const char *who_name(uint32_t who)
{
	static const char *const names[] = { "mx", "submit", "mailbox", "web", "vault", "courier",
		"dns", "store", "operator", "master", "role", "command" };

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
		if (who == 1u << i)
			return names[i];
	return "nobody";
}
