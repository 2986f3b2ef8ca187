/* Reading. The file is seen through a window that moves; a line longer than it comes in pieces. */
#include "port/mbox.h"

#include "mail/date.h"

#include <string.h>

enum field {
	STATUS,
	X_STATUS,
	X_KEYWORDS,
	X_UID,
	X_IMAPBASE,
	CONTENT_LENGTH,
	LINES,
	MOZILLA_STATUS,
	MOZILLA_STATUS2,
	MOZILLA_KEYS,
	NO_FIELD
};
_Static_assert((int)NO_FIELD == (int)MBOX_FIELDS, "a place for each");

static const struct str names[] = { [STATUS] = STR_INIT("Status"),
	[X_STATUS] = STR_INIT("X-Status"),
	[X_KEYWORDS] = STR_INIT("X-Keywords"),
	[X_UID] = STR_INIT("X-UID"),
	[X_IMAPBASE] = STR_INIT("X-IMAPbase"),
	[CONTENT_LENGTH] = STR_INIT("Content-Length"),
	[LINES] = STR_INIT("Lines"),
	[MOZILLA_STATUS] = STR_INIT("X-Mozilla-Status"),
	[MOZILLA_STATUS2] = STR_INIT("X-Mozilla-Status2"),
	[MOZILLA_KEYS] = STR_INIT("X-Mozilla-Keys") };

void mbox_init(struct mbox *m, const struct mbox_source *source, enum mbox_kind kind)
{
	m->source = *source;
	m->kind = kind;
	m->at = m->window_at = 0;
	m->window_n = 0;
	m->window_last = false;
}

/* --- lines ------------------------------------------------------------------------------------ */

static int fill(struct mbox *m, uint64_t at, struct err *err)
{
	size_t kept = 0, got = 1;

	if (at >= m->window_at && at < m->window_at + m->window_n) {
		kept = (size_t)(m->window_at + m->window_n - at);
		memmove(m->window, m->window + m->window_n - kept, kept);
	}
	m->window_at = at;
	m->window_n = kept;
	m->window_last = false;
	while (m->window_n < MBOX_WINDOW && got) {
		if (m->source.read(m->source.arg, m->window_at + m->window_n,
			    m->window + m->window_n, MBOX_WINDOW - m->window_n, &got, err) < 0)
			return -1;
		m->window_n += got;
	}
	m->window_last = got == 0;
	return 0;
}

/* The line at `at` with its LF, or as much as the window holds. Empty: the end of the file. */
static int line_at(struct mbox *m, uint64_t at, struct str *line, struct err *err)
{
	for (int pass = 0;; pass++) {
		struct str rest = STR("");
		size_t n;

		if (at >= m->window_at && at <= m->window_at + m->window_n)
			rest = str_from(
				str_make(m->window, m->window_n), (size_t)(at - m->window_at));
		n = str_find(rest, '\n');
		if (n < rest.n || pass > 0 || (rest.n && m->window_last)) {
			*line = str_head(rest, n + 1);
			return 0;
		}
		if (fill(m, at, err) < 0)
			return -1;
	}
}

static struct str without_end(struct str line)
{
	if (line.n && line.p[line.n - 1] == '\n')
		line.n--;
	if (line.n && line.p[line.n - 1] == '\r')
		line.n--;
	return line;
}

static bool is_blank(struct str line)
{
	return line.n > 0 && without_end(line).n == 0;
}

/* --- the From_ line --------------------------------------------------------------------------- */

static struct str next_word(struct str *s)
{
	while (s->n && is_wsp(s->p[0]))
		*s = str_from(*s, 1);
	return str_word(s, ' ');
}

static bool one_of(struct str word, const char *list)
{
	return word.n == 3 && str_search(str_c(list), word) % 3 == 0 &&
		str_search(str_c(list), word) < strlen(list);
}

/* "Mon Nov 30 17:54:07 [zone] 2026", and what old programs made of it. */
static bool asctime_date(struct str s, int64_t *date)
{
	struct str weekday = next_word(&s), month = next_word(&s), day = next_word(&s),
		   time = next_word(&s), year = STR(""), zone = STR("+0000");
	struct buf text = BUF(64);
	struct date d;
	bool ok;

	if (!one_of(weekday, "MonTueWedThuFriSatSun") ||
		!one_of(month, "JanFebMarAprMayJunJulAugSepOctNovDec"))
		return false;
	for (int i = 0; i < 4 && s.n; i++) {
		struct str word = next_word(&s);

		if (word.n && is_digit(word.p[0]) && !year.n)
			year = word;
		else if (word.n == 5 && (word.p[0] == '+' || word.p[0] == '-'))
			zone = word;
	}
	buf_addf(&text, STR_F " " STR_F " " STR_F " " STR_F " " STR_F, STR_A(day), STR_A(month),
		STR_A(year), STR_A(time), STR_A(zone));
	ok = year.n && buf_ok(&text) && date_parse(buf_str(&text), &d);
	if (ok)
		*date = d.unix;
	buf_free(&text);
	return ok;
}

bool mbox_from_line(struct str line, int64_t *date)
{
	struct str rest = without_end(line);

	if (!str_starts(rest, STR("From ")))
		return false;
	rest = str_from(rest, 5);
	while (rest.n) {
		struct str here = rest;

		if (asctime_date(here, date))
			return true;
		next_word(&rest);
	}
	return false;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* What the fields have said so far. */
struct head {
	uint64_t number[MBOX_FIELDS];
	struct buf keywords, mozilla;
	uint64_t last; /* where its last line begins */
	bool ours;     /* written by mbox_write(): the fields stand in that order, at the end */
};

static enum field field_of(struct str line, struct str *value)
{
	struct str name;

	if (!str_cut(line, ':', &name, value))
		return NO_FIELD;
	name = str_trim(name);
	for (int i = 0; i < NO_FIELD; i++)
		if (str_eqi(name, names[i]))
			return (enum field)i;
	return NO_FIELD;
}

static uint64_t letters(struct str value, const char *known)
{
	uint64_t found = 0;

	for (size_t i = 0; i < value.n; i++) {
		const char *at = value.p[i] ? strchr(known, value.p[i]) : NULL;

		if (at)
			found |= UINT64_C(1) << (at - known);
	}
	return found;
}

static uint64_t hex(struct str value)
{
	uint64_t v = 0;

	for (size_t i = 0; i < value.n && i < 8; i++) {
		const char c = to_lower(value.p[i]);

		if (!is_digit(c) && (c < 'a' || c > 'f'))
			break;
		v = v << 4 | (uint64_t)(is_digit(c) ? c - '0' : c - 'a' + 10);
	}
	return v;
}

static void take_field(struct head *h, enum field f, struct str value)
{
	value = str_trim(value);
	h->number[f] = 0;
	switch (f) {
	case STATUS:
		h->number[f] = letters(value, "R");
		break;
	case X_STATUS: /* in the order of the MARK_ numbers, from answered on */
		h->number[f] = letters(value, "\1AFDT") & ~UINT64_C(1);
		break;
	case X_KEYWORDS:
		buf_clear(&h->keywords);
		keywords_take(&h->keywords, value, ',');
		break;
	case MOZILLA_KEYS:
		buf_clear(&h->mozilla);
		keywords_take(&h->mozilla, value, ' ');
		break;
	case MOZILLA_STATUS:
		h->number[f] = hex(value);
		break;
	case CONTENT_LENGTH:
		if (!str_u64(value, INT64_MAX, &h->number[f]))
			h->number[f] = UINT64_MAX;
		break;
	case X_UID:
	case X_IMAPBASE:
	case LINES:
	case MOZILLA_STATUS2:
	case NO_FIELD:
		str_u64(str_word(&value, ' '), UINT32_MAX, &h->number[f]);
		break;
	}
}

/* Fields of other kinds of mailboxes in one that we wrote came with the mail. */
static void settle(struct mbox_message *m, struct head *h)
{
	const bool mozilla = m->fields[MOZILLA_STATUS] && !h->ours;
	const uint64_t status = h->number[MOZILLA_STATUS];

	if (h->ours &&
		!(m->fields[X_UID] < m->fields[X_IMAPBASE] &&
			m->fields[X_IMAPBASE] < m->fields[STATUS])) {
		m->fields[X_IMAPBASE] = 0;
		h->number[X_IMAPBASE] = 0;
	}
	m->flags = (uint32_t)(h->number[STATUS] | h->number[X_STATUS]);
	m->uid = (uint32_t)h->number[X_UID];
	m->uidvalidity = (uint32_t)h->number[X_IMAPBASE];
	if (mozilla) {
		m->flags |= (status & 1 ? MARK_SEEN : 0) | (status & 2 ? MARK_ANSWERED : 0) |
			(status & 4 ? MARK_FLAGGED : 0);
		m->expunged = (status & 8) != 0;
		keywords_take(&h->keywords, buf_str(&h->mozilla), ' ');
	} else {
		m->fields[MOZILLA_STATUS] = m->fields[MOZILLA_STATUS2] = m->fields[MOZILLA_KEYS] =
			0;
	}
	if (!m->counted)
		m->fields[CONTENT_LENGTH] = m->fields[LINES] = 0;
	str_z(buf_str(&h->keywords), m->keywords, sizeof m->keywords);
}

/* --- messages --------------------------------------------------------------------------------- */

/* From `begin` to the empty line. */
static int read_head(struct mbox *m, struct mbox_message *msg, struct head *h, struct err *err)
{
	uint64_t at = msg->begin;
	struct str line, value;
	bool begins = true;
	enum field f;

	for (;; at += line.n) {
		if (line_at(m, at, &line, err) < 0)
			return -1;
		if (line.n == 0 || (begins && is_blank(line)))
			break;
		if (begins)
			h->last = at;
		f = begins ? field_of(line, &value) : NO_FIELD;
		if (f != NO_FIELD) {
			msg->fields[f] = at;
			take_field(h, f, value);
		}
		begins = line.p[line.n - 1] == '\n';
	}
	h->ours = msg->fields[X_UID] && msg->fields[X_UID] < msg->fields[STATUS] &&
		msg->fields[STATUS] < msg->fields[X_STATUS] &&
		msg->fields[X_STATUS] < msg->fields[X_KEYWORDS] &&
		msg->fields[X_KEYWORDS] == h->last;
	msg->blank = at;
	msg->body = at + line.n;
	return 0;
}

/* Does a message, or the end of the file, follow here? Empty lines may stand between. */
static int follows(struct mbox *m, uint64_t at, bool *yes, struct err *err)
{
	struct str line;
	int64_t date;

	for (int i = 0; i < 3; i++) {
		if (line_at(m, at, &line, err) < 0)
			return -1;
		*yes = line.n == 0 || mbox_from_line(line, &date);
		if (*yes || !is_blank(line))
			return 0;
		at += line.n;
	}
	return 0;
}

/* The length that the head has named, when the file agrees. It may point into a line only at its
 * end. */
static int count(struct mbox *m, struct mbox_message *msg, const struct head *h, struct err *err)
{
	const uint64_t length = h->number[CONTENT_LENGTH], end = msg->body + length;
	struct str line;
	bool yes = false;

	if (m->kind == MBOX_O || m->kind == MBOX_RD || h->ours || !msg->fields[CONTENT_LENGTH] ||
		length > INT64_MAX - msg->body)
		return 0;
	if (line_at(m, end ? end - 1 : 0, &line, err) < 0)
		return -1;
	if (line.n == 0 ||
		(length && line.p[0] != '\n' && !is_blank(str_from(line, 1)) && line.n > 1))
		return 0;
	if (follows(m, end, &yes, err) < 0)
		return -1;
	msg->counted = yes;
	if (yes)
		msg->end = m->at = end;
	return 0;
}

/* To the next From_ line after an empty one; that one belongs to the mailbox. */
static int search_end(struct mbox *m, struct mbox_message *msg, struct err *err)
{
	/* The empty line that ended the head may be the one between two messages. */
	uint64_t at = msg->body, blank = msg->blank;
	bool begins = true, after_blank = msg->blank < msg->body;
	struct str line;
	int64_t date;

	for (;; at += line.n) {
		if (line_at(m, at, &line, err) < 0)
			return -1;
		if (line.n == 0 || (begins && after_blank && mbox_from_line(line, &date)))
			break;
		after_blank = begins && is_blank(line);
		blank = at;
		begins = line.p[line.n - 1] == '\n';
	}
	msg->end = after_blank ? blank : at;
	m->at = at;
	return 0;
}

/* A counted mailbox has either quoted these lines or left them; where one is left, none is quoted.
 */
static int look_for_from(struct mbox *m, struct mbox_message *msg, struct err *err)
{
	struct str line;
	bool begins = true;

	for (uint64_t at = msg->body; at < msg->end && !msg->verbatim; at += line.n) {
		if (line_at(m, at, &line, err) < 0)
			return -1;
		msg->verbatim = begins && str_starts(line, STR("From "));
		begins = line.p[line.n - 1] == '\n';
	}
	return 0;
}

static int find_end(struct mbox *m, struct mbox_message *msg, const struct head *h, struct err *err)
{
	if (count(m, msg, h, err) < 0)
		return -1;
	if (msg->counted && m->kind == MBOX_ANY)
		return look_for_from(m, msg, err);
	if (!msg->counted && search_end(m, msg, err) < 0)
		return -1;
	if (msg->body > msg->end)
		msg->body = msg->end;
	return 0;
}

/* The next From_ line. What stands before it, which a wrong length or a damaged file has left, is
 * no message. */
static int find_begin(struct mbox *m, struct mbox_message *msg, struct err *err)
{
	struct str line;
	bool first = m->at == 0, begins = true;

	for (;; m->at += line.n) {
		if (line_at(m, m->at, &line, err) < 0)
			return -1;
		if (line.n == 0)
			return 0;
		if (begins &&
			(mbox_from_line(line, &msg->date) ||
				(first && str_starts(line, STR("From ")))))
			break;
		if (first && !is_blank(line))
			return err_set(
				err, ERR_PERM, "not an mbox: it does not begin with \"From \"");
		begins = line.p[line.n - 1] == '\n';
	}
	msg->from = m->at;
	msg->begin = m->at + line.n;
	return 1;
}

int mbox_next(struct mbox *m, struct mbox_message *msg, struct err *err)
{
	struct head h = { .keywords = BUF(MARKS_KEYWORDS), .mozilla = BUF(MARKS_KEYWORDS) };
	int r;

	*msg = (struct mbox_message){ 0 };
	r = find_begin(m, msg, err);
	if (r == 1 && (read_head(m, msg, &h, err) < 0 || find_end(m, msg, &h, err) < 0))
		r = -1;
	if (r == 1)
		settle(msg, &h);
	buf_free(&h.keywords);
	buf_free(&h.mozilla);
	return r;
}

/* --- a message's bytes ------------------------------------------------------------------------ */

static bool is_field(const struct mbox_message *msg, uint64_t at)
{
	for (int i = 0; i < MBOX_FIELDS; i++)
		if (msg->fields[i] == at)
			return true;
	return false;
}

static bool is_quoted(const struct mbox *m, const struct mbox_message *msg, struct str line)
{
	const bool one = m->kind == MBOX_O || m->kind == MBOX_CL || msg->counted;
	size_t n = 0;

	while (n < line.n && line.p[n] == '>')
		n++;
	if (n == 0 || n > MBOX_QUOTES || m->kind == MBOX_CL2 || msg->verbatim || (one && n > 1))
		return false;
	return str_starts(str_from(line, n), STR("From "));
}

int mbox_read(
	struct mbox *m, const struct mbox_message *msg, mbox_sink *sink, void *arg, struct err *err)
{
	bool begins = true, dropped = false;
	struct str line, piece;

	for (uint64_t at = msg->begin; at < msg->end; at += line.n) {
		if (line_at(m, at, &line, err) < 0)
			return -1;
		line = str_head(line, (size_t)(msg->end - at < line.n ? msg->end - at : line.n));
		if (line.n == 0)
			return err_set(
				err, ERR_TEMP, "the file has become shorter while it was read");
		piece = line;
		if (begins && at < msg->body)
			dropped = is_field(msg, at) || (dropped && is_wsp(line.p[0]));
		else if (begins)
			dropped = false;
		if (begins && at >= msg->body && is_quoted(m, msg, line))
			piece = str_from(line, 1);
		if (!dropped && sink(arg, piece, err) < 0)
			return -1;
		begins = line.p[line.n - 1] == '\n';
	}
	return 0;
}
