/* BDAT: RFC 3030 2. The octets of a chunk follow their command whatever it is answered, so they are
 * always taken, all of them and no more: what is left would be read as commands. Where it is not
 * certain how many there are, or there are too many, the session ends. */
#include "smtp/server_private.h"

#include "base/clock.h"

#include <stdio.h>

enum { CHUNK_USUAL = 1024 }; /* octets; the smallest chunk that a sender has a reason for */

struct chunk {
	uint64_t size;
	bool last;
};

/* "SIZE" or "SIZE LAST". A size beyond all numbers is only too large. */
static bool parse(struct str arg, struct chunk *k)
{
	struct str rest = arg, size = str_word(&rest, ' ');

	*k = (struct chunk){ 0 };
	for (size_t i = 0; i < size.n; i++)
		if (!is_digit(size.p[i]))
			return false;
	while (rest.n && rest.p[0] == ' ')
		rest = str_from(rest, 1);
	while (rest.n && rest.p[rest.n - 1] == ' ')
		rest.n--;
	k->last = str_eqi(rest, STR("LAST"));
	if (!str_u64(size, UINT64_MAX, &k->size))
		k->size = UINT64_MAX;
	return size.n > 0 && (rest.n == 0 || k->last);
}

static void take(struct smtp_session *s, struct str piece)
{
	struct smtp_reception *r = &s->txn->in;
	const char *wrong = r->refused ? NULL : text_check_feed(&r->text, piece);

	if (wrong)
		smtp_reception_refuse(r, 554, "5.6.0", wrong);
	smtp_reception_take(s, piece);
}

/* For a chunk that belongs to no message: its octets are dropped. T083: it leads nowhere, so it has
 * no more time than all that leads nowhere has together. */
static int skip(struct smtp_session *s, uint64_t left, struct err *err)
{
	int64_t end = smtp_fruitless_end(s);

	while (left) {
		int64_t silent = clock_after(s->server->limits.idle);
		size_t n = conn_buffered(s->c);

		if (n > left)
			n = (size_t)left;
		conn_take(s->c, n);
		left -= n;
		conn_deadline(s->c, silent < end ? silent : end);
		if (left && smtp_budget_over(s))
			return err_set(err, ERR_LIMIT, "the session's budget is used up");
		if (left && conn_fill(s->c, err) < 0)
			return -1;
	}
	return 0;
}

static int receive(struct smtp_session *s, uint64_t left, struct err *err)
{
	s->txn->in.began = clock_mono();
	s->txn->in.came = 0;
	while (left) {
		struct str piece = conn_peek(s->c);

		if (piece.n > left)
			piece.n = (size_t)left;
		if (piece.n)
			take(s, piece);
		conn_take(s->c, piece.n);
		left -= piece.n;
		if (left && smtp_reception_more(s, err) < 0)
			return -1;
	}
	return 0;
}

/* What the client hears of a chunk that is not the last. */
static int acknowledge(struct smtp_session *s, const struct chunk *k)
{
	char text[64];

	/* RFC 3030 2: after a refusal the rest of the message is refused as well. */
	if (s->txn->in.refused)
		return smtp_refuse(s, "data", STR(""), &s->txn->in.no);
	snprintf(text, sizeof text, "%llu octets", (unsigned long long)k->size);
	return smtp_say(s, 250, "2.0.0", str_c(text));
}

static int finish(struct smtp_session *s)
{
	struct smtp_reception *r = &s->txn->in;
	const char *wrong = text_check_end(&r->text);

	if (wrong && !r->refused)
		smtp_reception_refuse(r, 554, "5.6.0", wrong);
	smtp_reception_end(s);
	return 0;
}

int smtp_do_bdat(struct smtp_session *s, struct str arg, struct err *err)
{
	uint64_t had = s->txn ? s->txn->in.size : 0;
	unsigned code;
	const char *text;
	struct chunk k;

	if (!s->server->chunking)
		return smtp_say(s, 500, "5.5.1", STR("no such command"));
	if (!parse(arg, &k))
		return smtp_goodbye(s, 501, "5.5.4", "expected BDAT SIZE or BDAT SIZE LAST");
	if (k.size > smtp_reception_most(s) || had > smtp_reception_most(s) - k.size)
		return smtp_goodbye(s, 552, "5.3.4", "the message is far too large");
	if (k.size == 0 && !k.last) /* without end, if one lets them */
		budget_charge(s->budget, BUDGET_IDLING, 1);
	code = smtp_body_too_soon(s, &text);
	if (code) {
		if (skip(s, k.size, err) < 0)
			return -1;
		return smtp_say(s, code, "5.5.1", str_c(text));
	}
	if (!s->txn->in.begun)
		(void)smtp_reception_begin(s); /* a refusal is told when the octets are in */
	if (receive(s, k.size, err) < 0)
		return -1;
	/* Chunks of 8 KiB are usual: a large message is counted by its octets, not as commands. */
	if (k.size >= CHUNK_USUAL)
		budget_give_back(s->budget, BUDGET_COMMANDS, 1);
	return k.last ? finish(s) : acknowledge(s, &k);
}
