#include "base/secret.h"

#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

/* Most secrets are short and live for moments, so they share one locked piece of memory:
 * mapping and locking pages for each would cost more than checking the password. */
enum { SLOT = 256, SLOTS = 64 };

static struct {
	pthread_mutex_t lock;
	char *base;
	uint64_t used; /* a bit per slot */
} pool = { .lock = PTHREAD_MUTEX_INITIALIZER };

static char *map_pages(size_t n)
{
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	/* Best effort: the limit on locked memory may be zero. */
	(void)mlock(p, n);
	(void)madvise(p, n, MADV_DONTDUMP);
	return p;
}

static char *slot_take(void)
{
	char *p = NULL;

	pthread_mutex_lock(&pool.lock);
	if (!pool.base)
		pool.base = map_pages((size_t)SLOT * SLOTS);
	if (pool.base && ~pool.used) {
		unsigned i = (unsigned)__builtin_ctzll(~pool.used);

		pool.used |= UINT64_C(1) << i;
		p = pool.base + (size_t)i * SLOT;
	}
	pthread_mutex_unlock(&pool.lock);
	return p;
}

static bool slot_give(const char *p)
{
	bool ours;

	pthread_mutex_lock(&pool.lock);
	ours = pool.base && p >= pool.base && p < pool.base + (size_t)SLOT * SLOTS;
	if (ours)
		pool.used &= ~(UINT64_C(1) << (size_t)(p - pool.base) / SLOT);
	pthread_mutex_unlock(&pool.lock);
	return ours;
}

int secret_alloc(struct secret *s, size_t n, struct err *err)
{
	*s = SECRET_NONE;
	if (n > SECRET_MAX)
		return err_set(err, ERR_LIMIT, "a secret of %zu bytes is too long", n);
	if (n <= SLOT)
		s->p = slot_take();
	if (!s->p)
		s->p = map_pages(n ? n : 1);
	if (!s->p)
		return err_sys(err, "get memory for", "a secret");
	s->n = n;
	return 0;
}

int secret_copy(struct secret *s, struct str from, struct err *err)
{
	if (secret_alloc(s, from.n, err) < 0)
		return -1;
	if (from.n)
		memcpy(s->p, from.p, from.n);
	return 0;
}

void secret_free(struct secret *s)
{
	if (!s->p)
		return;
	explicit_bzero(s->p, s->n);
	if (!slot_give(s->p))
		munmap(s->p, s->n ? s->n : 1);
	*s = SECRET_NONE;
}

bool secret_eq(const struct secret *a, struct str b)
{
	volatile unsigned char diff = 0;

	if (a->n != b.n)
		return false;
	for (size_t i = 0; i < b.n; i++)
		diff |= (unsigned char)(a->p[i] ^ b.p[i]);
	return diff == 0;
}

struct str secret_reveal(const struct secret *s)
{
	return str_make(s->p, s->n);
}

void secret_wipe_buf(struct buf *b)
{
	if (b->p)
		explicit_bzero(b->p, b->cap);
	buf_free(b);
}
