/* watch.c - address maps: files that the master opens for the store, and again whenever they
 * change.
 *
 * Another name for the file (a link), a pipe, or a file that others may write is refused: who could
 * change it could read anybody's mail. */
#include "role/master_private.h"

#include "base/log.h"
#include "conf/conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define EVERY (2 * CLOCK_SEC)

static struct watched {
	enum conf_id path;
	const char *name;
	uint32_t given_to; /* number of the store that has it */
	struct stat seen;  /* as it was then */
	bool refused;      /* that was logged */
} maps[] = {
	{ .path = CONF_MAP_VIRTUAL, .name = "virtual" },
	{ .path = CONF_MAP_ALIASES, .name = "aliases" },
};
enum { MAPS = sizeof maps / sizeof *maps };

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
		a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
		a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
		a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* T053: judged by the open file, so that nobody can change it in between. */
static int open_map(const char *path, struct stat *st, struct err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return err_sys(err, "open", path);
	if (fstat(fd, st) < 0)
		err_sys(err, "look at", path);
	else if (!S_ISREG(st->st_mode))
		err_set(err, ERR_PERM, "%s is no file", path);
	else if (st->st_uid != 0 && st->st_uid != geteuid())
		err_set(err, ERR_PERM, "%s belongs to another user", path);
	else if (st->st_mode & (S_IWGRP | S_IWOTH))
		err_set(err, ERR_PERM, "%s may be changed by others than its owner", path);
	else
		return fd;
	close(fd);
	return -1;
}

static void refuse(struct watched *w, const char *path, const struct err *why)
{
	if (!w->refused)
		log_event(LOG_WARN, "master.map", L_Z("file", path), L_ERR(why));
	w->refused = true;
}

static void give(struct master *m, struct watched *w, struct child *store)
{
	const char *path = conf_z(m->conf, w->path);
	struct control_file f = { .purpose = FILE_MAP, .name = str_c(w->name) };
	struct err err = ERR_INIT;
	struct stat st;

	f.fd = open_map(path, &st, &err);
	if (f.fd < 0) {
		refuse(w, path, &err);
		return;
	}
	if (w->given_to == store->number && is_same(&st, &w->seen)) {
		close(f.fd);
		return;
	}
	if (control_file_send(store->control, &f, &err) < 0)
		return;
	w->given_to = store->number;
	w->seen = st;
	w->refused = false;
}

void watch_give(struct master *m, struct child *store)
{
	for (size_t i = 0; i < MAPS; i++)
		if (conf_str(m->conf, maps[i].path).n)
			give(m, &maps[i], store);
}

void watch_maps(void *arg)
{
	struct master *m = arg;
	struct err err = ERR_INIT;

	if (!conf_str(m->conf, CONF_MAP_VIRTUAL).n && !conf_str(m->conf, CONF_MAP_ALIASES).n)
		return;
	while (!m->stopping && task_sleep(clock_after(EVERY), &err) == 0) {
		struct child *store = child_find(m, WHO_STORE);

		if (store && store->control)
			watch_give(m, store);
	}
}
