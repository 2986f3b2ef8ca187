/* Reading replies: RFC 5321 4.2. T008: what a server says is bounded and cleaned before it goes
 * anywhere. */
#include "smtp/client_private.h"

#include "base/clock.h"

#include <string.h>

bool smtp_reply_line(struct str line, unsigned *code, bool *last, struct str *text)
{
	if (line.n < 3 || !is_digit(line.p[0]) || !is_digit(line.p[1]) || !is_digit(line.p[2]))
		return false;
	*code = (unsigned)(line.p[0] - '0') * 100 + (unsigned)(line.p[1] - '0') * 10 +
		(unsigned)(line.p[2] - '0');
	if (*code < 200 || *code > 599)
		return false;
	if (line.n > 3 && line.p[3] != ' ' && line.p[3] != '-')
		return false;
	*last = line.n == 3 || line.p[3] == ' ';
	*text = str_from(line, 4);
	return true;
}

/* One to three digits. */
static bool take_number(struct str *s)
{
	size_t n = 0;

	while (n < s->n && n < 3 && is_digit(s->p[n]))
		n++;
	*s = str_from(*s, n);
	return n > 0;
}

/* RFC 3463 2, RFC 2034 4: the status at the front of a text; its class agrees with the code. */
static struct str take_status(unsigned code, struct str *text)
{
	struct str rest = *text, status;

	if (rest.n == 0 || rest.p[0] != (char)('0' + code / 100))
		return STR("");
	rest = str_from(rest, 1);
	if (!str_take(&rest, STR(".")) || !take_number(&rest) || !str_take(&rest, STR(".")) ||
		!take_number(&rest) || (rest.n && rest.p[0] != ' '))
		return STR("");
	status = str_head(*text, text->n - rest.n);
	*text = str_from(rest, rest.n > 0);
	return status;
}

static void add_text(struct smtp_answer *a, struct str text)
{
	size_t n = strlen(a->text);

	if (n && text.n && n < SMTP_ANSWER_TEXT)
		a->text[n++] = ' ';
	for (size_t i = 0; i < text.n && n < SMTP_ANSWER_TEXT; i++)
		a->text[n++] =
			is_ctl(text.p[i]) || (unsigned char)text.p[i] > 126 ? '?' : text.p[i];
	a->text[n] = '\0';
}

/* Gather one line into the answer. */
static void gather(struct smtp_answer *a, unsigned code, size_t index, struct str text)
{
	struct str status = take_status(code, &text);

	if (index == 0) {
		a->code = code;
		str_z(status, a->status, sizeof a->status);
	}
	add_text(a, text);
}

static int read_lines(
	struct smtp_client *s, smtp_line_fn *each, struct smtp_answer *a, struct err *err)
{
	struct str line, text;
	size_t bytes = 0;
	unsigned code;
	bool last = false;

	for (size_t i = 0; !last; i++) {
		if (conn_read_line(s->c, REPLY_LINE_MAX, LINE_LOOSE, &line, err) < 0)
			return -1;
		bytes += line.n;
		if (i >= REPLY_LINES_MAX || bytes > REPLY_BYTES_MAX)
			return err_set(err, ERR_PROTO, "a reply without end");
		if (!smtp_reply_line(line, &code, &last, &text))
			return err_set(
				err, ERR_PROTO, "not a reply: " STR_F, STR_A(str_head(line, 60)));
		if (i && code != a->code) /* RFC 5321 4.2.1 */
			return err_set(err, ERR_PROTO, "a reply with two codes");
		if (each)
			each(s, i, text);
		gather(a, code, i, text);
	}
	return 0;
}

int smtp_client_reply(struct smtp_client *s, enum smtp_phase phase, int64_t timeout,
	smtp_line_fn *each, struct smtp_answer *a, struct err *err)
{
	*a = (struct smtp_answer){ .phase = phase };
	conn_deadline(s->c, clock_after(timeout));
	if (read_lines(s, each, a, err) < 0) {
		*a = (struct smtp_answer){ .phase = phase };
		s->dead = true;
		return -1;
	}
	if (a->code == 421) /* RFC 5321 3.8: it closes the connection now */
		s->dead = true;
	return 0;
}
