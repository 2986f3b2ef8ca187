/* Files of aliases (mail/aliases.h) as an address map. The master opens them and passes them on,
 * again whenever they change; a file with a wrong line leaves the old map as it is. */
#include "base/arena.h"
#include "base/log.h"
#include "conf/conf.h"
#include "mail/address.h"
#include "mail/aliases.h"
#include "role/store_private.h"
#include "store/address_map.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { NAMES_MAX = 1 << 20, MAP_BYTES = 128 << 20 };

struct table {
	struct arena arena;
	struct map names; /* struct entry */
};

struct entry {
	struct str targets; /* each ends with a line feed */
};

static struct map_file {
	const char *name; /* as the master calls it */
	enum conf_id path;
	enum aliases_form form;
	struct table *table; /* NULL: never read */
	bool wanted;
} files[] = {
	{ "virtual", CONF_MAP_VIRTUAL, ALIASES_VIRTUAL, NULL, false },
	{ "aliases", CONF_MAP_ALIASES, ALIASES_CLASSIC, NULL, false },
};
enum { FILES = sizeof files / sizeof *files };
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER; /* of all tables */

static void table_free(struct table **t)
{
	if (!*t)
		return;
	map_free(&(*t)->names);
	arena_free(&(*t)->arena);
	free(*t);
	*t = NULL;
}

static int add_name(void *arg, struct str name, struct str targets, struct err *err)
{
	struct table *t = arg;
	struct entry *e = arena_alloc(&t->arena, sizeof *e);
	struct str key;

	if (map_get(&t->names, name))
		return err_set(
			err, ERR_PERM, STR_F " was there before", STR_A(str_head(name, 100)));
	if (!e || !arena_str(&t->arena, name, &key) ||
		!arena_str(&t->arena, targets, &e->targets) || !map_put(&t->names, key, e))
		return err_set(err, ERR_LIMIT, "too many names");
	return 0;
}

static int read_all(int fd, struct buf *text, struct err *err)
{
	char piece[3000];
	ssize_t n;

	while ((n = pread(fd, piece, sizeof piece, (off_t)text->n)) > 0) {
		buf_add(text, str_make(piece, (size_t)n));
		if (!buf_ok(text))
			return err_set(err, ERR_LIMIT, "the file is too large");
	}
	return n < 0 ? err_sys(err, "read", "the file") : 0;
}

static struct table *load(const struct map_file *f, int fd, struct err *err)
{
	struct table *t = calloc(1, sizeof *t);
	struct buf text = BUF(ALIASES_FILE_MAX);

	if (!t) {
		err_set(err, ERR_TEMP, "out of memory");
		return NULL;
	}
	*t = (struct table){ ARENA(MAP_BYTES), MAP(NAMES_MAX) };
	if (read_all(fd, &text, err) < 0 ||
		aliases_read(buf_str(&text), f->form, add_name, t, err) < 0)
		table_free(&t);
	buf_free(&text);
	return t;
}

static void take(struct store_role *s, struct map_file *f, int fd)
{
	struct err err = ERR_INIT;
	struct table *t = load(f, fd, &err), *old = f->table;

	close(fd);
	if (!t) {
		log_event(LOG_WARN, "store.map", L_Z("file", conf_z(s->role->conf, f->path)),
			L_ERR(&err), L_Z("so", old ? "the old map stays" : "there is none"));
		return;
	}
	pthread_rwlock_wrlock(&lock);
	f->table = t;
	pthread_rwlock_unlock(&lock);
	log_event(LOG_INFO, "store.map", L_Z("file", conf_z(s->role->conf, f->path)),
		L_U64("names", t->names.n));
	table_free(&old);
}

void store_map_renew(struct store_role *s)
{
	for (size_t i = 0; i < FILES; i++) {
		int fd = files[i].wanted ? role_take_file(s->role, FILE_MAP, files[i].name) : -1;

		if (fd >= 0)
			take(s, &files[i], fd);
	}
}

/* A target without a domain is in the one that was asked for. */
static void put_targets(struct buf *out, struct str targets, struct str domain)
{
	while (targets.n) {
		struct str one = str_word(&targets, '\n');

		buf_add(out, one);
		if (str_find(one, '@') == one.n) {
			buf_addc(out, '@');
			buf_add(out, domain);
		}
		buf_addc(out, '\n');
	}
}

static int look_up(const struct map_file *f, struct str name, struct str local, struct str domain,
	struct buf *targets, struct err *err)
{
	const struct entry *e;

	if (!f->wanted)
		return 0;
	/* Nobody knows what it would say, so nobody is refused for good. */
	if (!f->table)
		return err_set(err, ERR_TEMP, "the address map cannot be read");
	e = map_get(&f->table->names, name);
	if (!e && local.n)
		e = map_get(&f->table->names, local);
	if (!e)
		return 0;
	put_targets(targets, e->targets, domain);
	return buf_ok(targets) ? 1 : err_set(err, ERR_TEMP, "out of memory for an address");
}

static int find(
	void *arg, struct str local, struct str domain, struct buf *targets, struct err *err)
{
	struct buf name = BUF(ADDRESS_PATH_MAX + 64);
	int got = 0;

	(void)arg;
	if (local.n) {
		address_print(&name, &(struct address){ local, domain });
	} else {
		buf_addc(&name, '@');
		buf_add(&name, domain);
	}
	pthread_rwlock_rdlock(&lock);
	for (size_t i = 0; i < FILES && got == 0; i++)
		got = look_up(&files[i], buf_str(&name),
			str_head(buf_str(&name), local.n ? name.n - domain.n - 1 : 0), domain,
			targets, err);
	pthread_rwlock_unlock(&lock);
	buf_free(&name);
	return got;
}

const struct address_map *store_map_open(struct store_role *s)
{
	static const struct address_map map = { find, NULL };
	bool any = false;

	for (size_t i = 0; i < FILES; i++) {
		files[i].wanted = conf_str(s->role->conf, files[i].path).n > 0;
		any |= files[i].wanted;
	}
	store_map_renew(s);
	return any ? &map : NULL;
}
