#include "imap/view.h"

#include <stdlib.h>

/* Room for one more element; NULL past the limit or when memory runs out. */
static void *grow(void *v, size_t n, size_t *cap, size_t size)
{
	size_t want = *cap ? *cap * 2 : 4;

	if (n < *cap)
		return v;
	if (want > IMAP_SPANS_MAX)
		return NULL;
	v = reallocarray(v, want, size);
	if (v)
		*cap = want;
	return v;
}

bool imap_ranges_add(struct imap_ranges *r, uint32_t first, uint32_t last)
{
	struct imap_range *v;

	if (r->n > 0 && r->v[r->n - 1].last + 1 == first) {
		r->v[r->n - 1].last = last;
		return true;
	}
	v = grow(r->v, r->n, &r->cap, sizeof *v);
	if (!v)
		return false;
	r->v = v;
	r->v[r->n++] = (struct imap_range){ first, last };
	return true;
}

bool imap_ranges_have(const struct imap_ranges *r, uint32_t uid)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (r->v[mid].last < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low < r->n && r->v[low].first <= uid;
}

uint64_t imap_ranges_count(const struct imap_ranges *r)
{
	uint64_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		n += (uint64_t)r->v[i].last - r->v[i].first + 1;
	return n;
}

void imap_ranges_clear(struct imap_ranges *r)
{
	r->n = 0;
}

void imap_ranges_free(struct imap_ranges *r)
{
	free(r->v);
	*r = (struct imap_ranges){ .v = NULL };
}

bool imap_view_append(struct imap_view *w, uint32_t first, uint32_t last)
{
	struct imap_span *v;

	if (w->n > 0 && w->v[w->n - 1].last + 1 == first) {
		w->v[w->n - 1].last = last;
	} else {
		v = grow(w->v, w->n, &w->cap, sizeof *v);
		if (!v)
			return false;
		w->v = v;
		w->v[w->n++] = (struct imap_span){ first, last, w->count + 1 };
	}
	w->count += last - first + 1;
	w->uidnext = last + 1;
	return true;
}

void imap_view_free(struct imap_view *w)
{
	free(w->v);
	*w = (struct imap_view){ .v = NULL };
}

/* The first span that does not end before uid; w->n when there is none. */
static size_t find_uid(const struct imap_view *w, uint32_t uid)
{
	size_t low = 0, high = w->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (w->v[mid].last < uid)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint32_t imap_view_uid(const struct imap_view *w, uint32_t seq)
{
	size_t low = 0, high = w->n;

	if (seq == 0 || seq > w->count)
		return 0;
	while (high - low > 1) {
		size_t mid = low + (high - low) / 2;

		if (w->v[mid].seq <= seq)
			low = mid;
		else
			high = mid;
	}
	return w->v[low].first + (seq - w->v[low].seq);
}

uint32_t imap_view_seq_from(const struct imap_view *w, uint32_t uid, size_t *at)
{
	while (*at < w->n && w->v[*at].last < uid)
		++*at;
	if (*at == w->n || uid < w->v[*at].first)
		return 0;
	return w->v[*at].seq + (uid - w->v[*at].first);
}

uint32_t imap_view_seq(const struct imap_view *w, uint32_t uid)
{
	size_t at = find_uid(w, uid);

	return imap_view_seq_from(w, uid, &at);
}

uint32_t imap_view_last_uid(const struct imap_view *w)
{
	return w->n > 0 ? w->v[w->n - 1].last : 0;
}

/* The number of the first message whose uid is at least `uid`; count + 1 when there is none. */
static uint32_t seq_at_or_after(const struct imap_view *w, uint32_t uid)
{
	size_t at = find_uid(w, uid);

	if (at == w->n)
		return w->count + 1;
	return uid <= w->v[at].first ? w->v[at].seq : w->v[at].seq + (uid - w->v[at].first);
}

uint32_t imap_view_count_from(const struct imap_view *w, uint32_t uid)
{
	return w->count + 1 - seq_at_or_after(w, uid);
}

struct removal {
	struct imap_view kept;
	uint32_t removed;
	void (*each)(void *arg, uint32_t seq);
	void *arg;
};

/* One span of the old view, without what `gone` takes of it. *g is the first range of gone that may
 * touch it. */
static bool remove_from_span(
	struct removal *r, const struct imap_span *s, const struct imap_ranges *gone, size_t *g)
{
	uint32_t at = s->first;

	while (*g < gone->n && gone->v[*g].last < s->first)
		++*g;
	for (; *g < gone->n && gone->v[*g].first <= s->last; ++*g) {
		uint32_t first = gone->v[*g].first > at ? gone->v[*g].first : at;
		uint32_t last = gone->v[*g].last < s->last ? gone->v[*g].last : s->last;

		if (first > at && !imap_view_append(&r->kept, at, first - 1))
			return false;
		r->removed += last - first + 1;
		at = last + 1;
		if (gone->v[*g].last > s->last)
			break; /* it reaches into the next span */
	}
	return at > s->last || at == 0 || imap_view_append(&r->kept, at, s->last);
}

/* Say which numbers go. The old view is still there. */
static void tell(const struct imap_view *w, const struct imap_ranges *gone, struct removal *r)
{
	uint32_t removed = 0;

	for (size_t g = 0; g < gone->n; g++) {
		uint32_t first = seq_at_or_after(w, gone->v[g].first);
		uint32_t after = gone->v[g].last == UINT32_MAX
			? w->count + 1
			: seq_at_or_after(w, gone->v[g].last + 1);

		for (uint32_t seq = first; seq < after; seq++)
			r->each(r->arg, seq - removed++);
	}
}

bool imap_view_remove(struct imap_view *w, const struct imap_ranges *gone,
	void (*each)(void *arg, uint32_t seq), void *arg)
{
	struct removal r = { .each = each, .arg = arg };
	size_t g = 0;

	for (size_t i = 0; i < w->n; i++) {
		if (!remove_from_span(&r, &w->v[i], gone, &g)) {
			imap_view_free(&r.kept);
			return false;
		}
	}
	tell(w, gone, &r);
	r.kept.uidnext = w->uidnext;
	imap_view_free(w);
	*w = r.kept;
	return true;
}

/* Ranges of sequence numbers, to be sorted and joined. */
static int by_first(const void *a, const void *b)
{
	const struct imap_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

/* RFC 3501 9 (seq-range): "2:4" is "4:2"; "*" is the last message, or nothing in an empty mailbox.
 */
static struct imap_range in_order(struct imap_range r, uint32_t star)
{
	uint32_t a = r.first == IMAP_STAR ? star : r.first;
	uint32_t b = r.last == IMAP_STAR ? star : r.last;

	return a <= b ? (struct imap_range){ a, b } : (struct imap_range){ b, a };
}

/* The set's ranges as numbers of this view; those that hold none are left out. */
static bool to_numbers(const struct imap_view *w, const struct imap_set *set, bool uids,
	struct imap_range *out, size_t *n, const char **why)
{
	*n = 0;
	for (size_t i = 0; i < set->n; i++) {
		struct imap_range r = in_order(set->v[i], uids ? imap_view_last_uid(w) : w->count);

		if (uids) {
			r.first = seq_at_or_after(w, r.first);
			r.last = r.last == UINT32_MAX ? w->count
						      : seq_at_or_after(w, r.last + 1) - 1;
		} else if (r.first == 0 || r.last > w->count) {
			*why = "there is no such message number";
			return false;
		}
		if (r.first >= 1 && r.first <= r.last)
			out[(*n)++] = r;
	}
	return true;
}

/* Ranges of numbers as ranges of uids: one each, since no message lies in a gap of the view. */
static bool to_uids(
	const struct imap_view *w, const struct imap_range *v, size_t n, struct imap_ranges *out)
{
	for (size_t i = 0; i < n;) {
		struct imap_range r = v[i++];

		while (i < n && (uint64_t)v[i].first <= (uint64_t)r.last + 1) {
			r.last = v[i].last > r.last ? v[i].last : r.last;
			i++;
		}
		if (!imap_ranges_add(out, imap_view_uid(w, r.first), imap_view_uid(w, r.last)))
			return false;
	}
	return true;
}

bool imap_view_resolve(const struct imap_view *w, const struct imap_set *set, bool uids,
	struct imap_ranges *out, const char **why)
{
	struct imap_range *numbers = reallocarray(NULL, set->n, sizeof *numbers);
	size_t n;
	bool ok = false;

	*why = "out of memory";
	imap_ranges_clear(out);
	if (!numbers)
		return false;
	if (!to_numbers(w, set, uids, numbers, &n, why))
		goto out;
	qsort(numbers, n, sizeof *numbers, by_first);
	ok = to_uids(w, numbers, n, out);
out:
	free(numbers);
	return ok;
}
