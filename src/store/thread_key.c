#include "store/thread_key.h"

#include "base/hash.h"
#include "store/txn.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>

#define ID(x) DB_I((int64_t)(x))

enum { SLOTS_FIRST = 256, STEP_LEAST = 256 };

struct key {
	uint64_t account; /* 0: an empty slot */
	uint64_t key;
	uint64_t thread; /* 0: the account is gone */
};

struct thread_keys {
	size_t max;

	struct key *slots; /* those that come: open addressing, at most half full */
	size_t cap, used;
	size_t added; /* since the last step */
	int64_t next; /* id of the next row: also when the last are purged, none is given again */

	struct key *sorted; /* those that move: by account and key, as thread_key has them */
	size_t n, moved;
	int64_t last; /* the id of the last of their rows */
};

/* ---- memory ---- */

/* As SQLite has them in order: keys are signed there. */
static int compare(const void *x, const void *y)
{
	const struct key *a = x, *b = y;
	const int64_t ka = (int64_t)a->key, kb = (int64_t)b->key;

	if (a->account != b->account)
		return a->account < b->account ? -1 : 1;
	return (ka > kb) - (ka < kb);
}

/* Where it is, or the empty slot where it would be. */
static struct key *slot_of(const struct thread_keys *k, uint64_t account, uint64_t key)
{
	size_t i = (size_t)hash_u64(key + account) & (k->cap - 1);

	while (k->slots[i].account && (k->slots[i].account != account || k->slots[i].key != key))
		i = (i + 1) & (k->cap - 1);
	return &k->slots[i];
}

static const struct key *find(const struct thread_keys *k, uint64_t account, uint64_t key)
{
	const struct key wanted = { .account = account, .key = key };
	const struct key *found = NULL;

	if (k->cap) {
		found = slot_of(k, account, key);
		if (found->account)
			return found;
	}
	return k->n ? bsearch(&wanted, k->sorted, k->n, sizeof wanted, compare) : NULL;
}

static bool have_room(struct thread_keys *k)
{
	struct thread_keys larger = *k;

	if (k->cap && k->used < k->cap / 2)
		return true;
	larger.cap = k->cap ? 2 * k->cap : SLOTS_FIRST;
	larger.slots = calloc(larger.cap, sizeof *larger.slots);
	if (!larger.slots)
		return false;
	for (size_t i = 0; i < k->cap; i++)
		if (k->slots[i].account)
			*slot_of(&larger, k->slots[i].account, k->slots[i].key) = k->slots[i];
	free(k->slots);
	*k = larger;
	return true;
}

static void keep(struct thread_keys *k, struct key key)
{
	struct key *slot = slot_of(k, key.account, key.key);

	if (slot->account)
		return;
	*slot = key;
	k->used++;
}

static void forget_all(struct thread_keys *k)
{
	free(k->slots);
	free(k->sorted);
	*k = (struct thread_keys){ .max = k->max, .next = 1 };
}

int thread_keys_reload(struct thread_keys *k, struct db *db, struct err *err)
{
	struct rows *r;
	int got;

	forget_all(k);
	if (db_query(db, &r, "SELECT account, key, thread, id FROM thread_new ORDER BY id",
		    DB_NOARGS, err) < 0)
		return -1;
	while ((got = rows_next(r, err)) == 1) {
		if (!have_room(k)) {
			got = err_set(err, ERR_TEMP, "out of memory for keys of threads");
			break;
		}
		keep(k,
			(struct key){ (uint64_t)rows_int(r, 0), (uint64_t)rows_int(r, 1),
				(uint64_t)rows_int(r, 2) });
		k->next = rows_int(r, 3) + 1;
	}
	rows_free(&r);
	return got;
}

int thread_keys_open(struct thread_keys **out, struct db *db, size_t max, struct err *err)
{
	struct thread_keys *k = calloc(1, sizeof *k);

	if (!k)
		return err_set(err, ERR_TEMP, "out of memory for keys of threads");
	k->max = max ? max : THREAD_KEYS_MAX;
	if (thread_keys_reload(k, db, err) < 0) {
		thread_keys_close(&k);
		return -1;
	}
	*out = k;
	return 0;
}

void thread_keys_close(struct thread_keys **k)
{
	if (!*k)
		return;
	forget_all(*k);
	free(*k);
	*k = NULL;
}

static void mark_gone(struct key *keys, size_t n, uint64_t account)
{
	for (size_t i = 0; i < n; i++)
		if (keys[i].account == account)
			keys[i].thread = 0;
}

void thread_keys_forget(struct thread_keys *k, uint64_t account)
{
	if (!k)
		return;
	mark_gone(k->slots, k->cap, account);
	mark_gone(k->sorted, k->n, account);
}

/* ---- tables ---- */

static int insert(struct db *db, const struct key *key, struct err *err)
{
	return db_exec(db,
		"INSERT INTO thread_key (account, key, thread) VALUES ($1, $2, $3)"
		" ON CONFLICT DO NOTHING",
		DB_ARGS(ID(key->account), ID(key->key), ID(key->thread)), err);
}

int thread_keys_add(struct thread_keys *k, struct db *db, uint64_t account, uint64_t key,
	uint64_t thread, struct err *err)
{
	const struct key new = { account, key, thread };

	if (!k || !have_room(k))
		return insert(db, &new, err);
	if (find(k, account, key))
		return 0;
	if (db_exec(db, "INSERT INTO thread_new (id, account, key, thread) VALUES ($1, $2, $3, $4)",
		    DB_ARGS(DB_I(k->next), ID(account), ID(key), ID(thread)), err) < 0)
		return -1;
	keep(k, new);
	k->next++;
	k->added++;
	return 0;
}

/* Those that have come become those that move. */
static void sort(struct thread_keys *k)
{
	size_t n = 0;

	k->sorted = k->slots;
	for (size_t i = 0; i < k->cap; i++)
		if (k->slots[i].account)
			k->sorted[n++] = k->slots[i];
	qsort(k->sorted, n, sizeof *k->sorted, compare);
	k->n = n;
	k->moved = 0;
	k->slots = NULL;
	k->cap = k->used = 0;
	k->last = k->next - 1;
}

static int move(struct thread_keys *k, struct db *db, size_t step, struct err *err)
{
	for (; k->moved < k->n && step; k->moved++, step--)
		if (k->sorted[k->moved].thread && insert(db, &k->sorted[k->moved], err) < 0)
			return -1;
	return 0;
}

/* All have moved: their rows go, and then the memory of them. */
static int remove_rows(struct thread_keys *k, struct db *db, size_t step, struct err *err)
{
	int64_t first = k->last;

	if (db_int(db, &first, "SELECT min(id) FROM thread_new", DB_NOARGS, err) < 0)
		return -1;
	first += (int64_t)step;
	if (first > k->last)
		first = k->last;
	if (db_exec(db, "DELETE FROM thread_new WHERE id <= $1", DB_ARGS(DB_I(first)), err) < 0)
		return -1;
	if (first < k->last)
		return 0;
	free(k->sorted);
	k->sorted = NULL;
	k->n = 0;
	return 0;
}

int thread_keys_tend(struct thread_keys *k, struct db *db, struct err *err)
{
	const size_t step = STEP_LEAST + 2 * k->added;

	k->added = 0;
	if (!k->sorted) {
		if (k->used >= k->max)
			sort(k);
		return 0;
	}
	return k->moved < k->n ? move(k, db, step, err) : remove_rows(k, db, step, err);
}

/* ---- which thread ---- */

/* 1 and the thread, 0: nobody has named it, -1. */
static int known(struct txn *t, uint64_t account, uint64_t key, uint64_t *thread, struct err *err)
{
	const struct key *here = t->apply.keys ? find(t->apply.keys, account, key) : NULL;
	int64_t found = 0;
	int got;

	if (here) {
		*thread = here->thread;
		return 1;
	}
	got = db_int(t->view.db, &found,
		"SELECT thread FROM thread_key WHERE account = $1 AND key = $2",
		DB_ARGS(ID(account), ID(key)), err);
	*thread = (uint64_t)found;
	return got;
}

int thread_find(struct txn *t, uint64_t account, struct str refs, uint64_t email, uint64_t *thread,
	struct err *err)
{
	struct buf new = BUF(refs.n);
	uint64_t key, found;
	int r = 0;

	*thread = 0;
	for (; refs.n >= sizeof key && r >= 0; refs = str_from(refs, sizeof key)) {
		memcpy(&key, refs.p, sizeof key);
		if (key == 0)
			continue;
		r = known(t, account, le64toh(key), &found, err);
		if (r == 0)
			buf_add(&new, str_make(&key, sizeof key));
		else if (r == 1 && *thread == 0)
			*thread = found;
	}
	if (*thread == 0)
		*thread = email;
	if (r >= 0 && !buf_ok(&new))
		r = err_set(err, ERR_TEMP, "out of memory for the keys of a message");
	if (r >= 0 && buf_str(&new).n)
		r = emit_thread_keys(
			t, &(struct effect_thread_keys){ account, *thread, buf_str(&new) }, err);
	buf_free(&new);
	return r < 0 ? -1 : 0;
}
