#include "store/space.h"

#include <stdlib.h>

#define BLOBS() BUF(SPACE_BLOBS)

void space_init(struct space *s)
{
	*s = (struct space){ .blobs = BLOBS(), .dropped = BLOBS() };
	pthread_mutex_init(&s->lock, NULL);
}

void space_end(struct space *s)
{
	free(s->v);
	s->v = NULL;
	buf_free(&s->blobs);
	buf_free(&s->dropped);
	pthread_mutex_destroy(&s->lock);
}

/* A batch touches few segments, and mostly the newest. */
static struct space_change *change_of(struct space *s, uint64_t segment)
{
	struct space_change *v;
	size_t cap;

	for (size_t i = s->n; i-- > 0;)
		if (s->v[i].segment == segment)
			return &s->v[i];
	if (s->n == s->cap) {
		cap = s->cap ? 2 * s->cap : 16;
		v = reallocarray(s->v, cap, sizeof *v);
		if (!v)
			return NULL;
		s->v = v;
		s->cap = cap;
	}
	s->v[s->n] = (struct space_change){ .segment = segment };
	return &s->v[s->n++];
}

int space_add(struct space *s, uint64_t segment, int64_t bytes, int64_t bodies, struct err *err)
{
	struct space_change *c;

	if (segment == 0)
		return 0;
	c = change_of(s, segment);
	if (!c)
		return err_set(err, ERR_TEMP, "out of memory to count the log");
	c->bytes += bytes;
	c->bodies += bodies;
	return 0;
}

/* All of it or nothing; a name that does not fit is the sweep's. */
static void add_name(struct buf *b, struct str names)
{
	size_t before = b->n;

	buf_add(b, names);
	if (!buf_ok(b)) {
		buf_cut(b, before);
		b->over = false;
	}
}

void space_blob_dropped(struct space *s, struct str name)
{
	char line[64];

	if (name.n >= sizeof line)
		return;
	for (size_t i = 0; i < name.n; i++)
		line[i] = name.p[i];
	line[name.n] = '\n';
	add_name(&s->blobs, str_make(line, name.n + 1));
}

static int save_one(struct db *db, const struct space_change *c, struct err *err)
{
	const struct db_val segment = DB_I((int64_t)c->segment);

	if (c->bytes == 0 && c->bodies == 0)
		return 0;
	if (db_exec(db,
		    "INSERT INTO segment (number, bytes, bodies) VALUES ($1, $2, $3)"
		    " ON CONFLICT (number) DO UPDATE SET bytes = segment.bytes + $2,"
		    " bodies = segment.bodies + $3",
		    DB_ARGS(segment, DB_I(c->bytes), DB_I(c->bodies)), err) < 0)
		return -1;
	if (c->bodies >= 0)
		return 0;
	return db_exec(
		db, "DELETE FROM segment WHERE number = $1 AND bodies = 0", DB_ARGS(segment), err);
}

void space_give_blobs(struct space *s, struct str names)
{
	if (names.n == 0)
		return;
	pthread_mutex_lock(&s->lock);
	add_name(&s->dropped, names);
	pthread_mutex_unlock(&s->lock);
}

int space_save(struct space *s, struct db *db, struct err *err)
{
	for (size_t i = 0; i < s->n; i++)
		if (save_one(db, &s->v[i], err) < 0)
			return -1;
	s->n = 0;
	return 0;
}

void space_committed(struct space *s)
{
	space_give_blobs(s, buf_str(&s->blobs));
	buf_clear(&s->blobs);
}

void space_forget(struct space *s)
{
	s->n = 0;
	buf_clear(&s->blobs);
}

void space_take_blobs(struct space *s, struct buf *out)
{
	pthread_mutex_lock(&s->lock);
	*out = s->dropped;
	s->dropped = BLOBS();
	pthread_mutex_unlock(&s->lock);
}
