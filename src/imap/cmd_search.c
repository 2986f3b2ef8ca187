/* cmd_search.c - SEARCH (RFC 3501 6.4.4). */
#include "imap/search_private.h"

/* Where to look: a set of messages that must hold by itself, or everything. */
static struct imap_range *narrow(const struct imap_search *q, struct imap_range *all, size_t *n)
{
	for (const struct imap_key *key = q->root->children; key; key = key->next) {
		if (key->kind != IMAP_KEY_UIDS || key->negated)
			continue;
		*n = key->uid_count;
		return key->uids;
	}
	*n = 1;
	return all;
}

static int search(struct imap_session *s, const struct imap_search *q, struct err *err)
{
	struct imap_range all = { 1, imap_view_last_uid(&s->view) };
	struct imap_query query = { .ghosts = true, .facts = q->wants_facts };
	struct imap_out o = IMAP_OUT(s->c);
	struct imap_rows *rows = NULL;
	struct imap_entry e;
	size_t at = 0;
	int r = 0, yes = 0;

	query.ranges = narrow(q, &all, &query.n);
	if (s->view.count == 0 || query.n == 0)
		return 0;
	r = s->policy->rows(s->policy->arg, &query, &rows, err);
	while (r >= 0 && yes >= 0 && (r = s->policy->next(rows, &e, err)) == 1) {
		uint32_t seq = imap_view_seq_from(&s->view, e.uid, &at);

		yes = seq > 0 ? imap_match(s, q, &e, err) : 0;
		if (yes < 0 && err->kind == ERR_DAMAGED)
			yes = 0; /* nobody can read it, so it has nothing to be found */
		if (yes <= 0)
			continue;
		imap_out_add(&o, STR(" "));
		imap_out_number(&o, s->by_uid ? e.uid : seq);
	}
	imap_out_flush(&o);
	s->policy->end(&rows);
	return yes < 0 ? -1 : r;
}

int imap_do_search(struct imap_session *s, struct imap_in *in, struct err *err)
{
	struct err why = ERR_INIT;
	struct imap_search q;
	int r;

	if (!imap_in_search(in, &s->view, &q))
		return imap_bad(s, in);
	if (q.bad_charset)
		return imap_no(s, "[BADCHARSET (US-ASCII UTF-8)] ", "unknown charset", err);
	conn_write(s->c, STR("* SEARCH"));
	r = search(s, &q, &why);
	conn_write(s->c, STR("\r\n"));
	return r < 0 ? imap_fault(s, &why, err) : imap_ok(s, "", "that is all", err);
}
