#include "cli/data.h"

#include "cli/cli_private.h"
#include "cli/files.h"
#include "conf/conf.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEY_MAX = 1024 };

/* The folder itself may be root's, and what is in it the store's; log/ may be lost, or made anew by
 * root. */
static bool find_owner(int fd, struct stat *st)
{
	static const char *const names[] = { "log", "index.db", "snapshot", "." };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (fstatat(fd, names[i], st, AT_SYMLINK_NOFOLLOW) == 0 && st->st_uid != 0)
			return true;
	return false;
}

static int become_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() != 0 || !find_owner(fd, &st))
		return 0;
	/* SQLite goes by whole paths, and the way there may be closed to the owner. */
	if (chroot(".") < 0 || chdir("/") < 0 || setgroups(0, NULL) < 0 ||
		setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
		setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return err_sys(err, "become the owner of", path);
	return 0;
}

const char *cli_data_path(struct cli *c, struct err *err)
{
	if (cli_load(c, err) < 0)
		return NULL;
	if (!conf_str(c->conf, CONF_STORE).n)
		return conf_z(c->conf, CONF_DATA);
	err_set(err, ERR_PERM,
		"the store is a PostgreSQL database: its own tools check and save it (pg_amcheck, "
		"pg_dump,"
		" pg_basebackup); keep data/seal too");
	return NULL;
}

int cli_data_enter(struct cli *c, const char *path, struct err *err)
{
	int fd;

	if (!path)
		path = cli_data_path(c, err);
	if (!path)
		return -1;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_sys(err, "open", path);
	if (fchdir(fd) < 0)
		err_sys(err, "enter", path);
	else if (become_owner(fd, path, err) == 0)
		return fd;
	close(fd);
	return -1;
}

/* What the operator names may be a link or a pipe; what a role has put there is a file or nothing.
 */
static int open_key(int dir, const char *name, struct err *err)
{
	struct stat st;
	int fd;

	if (dir != AT_FDCWD)
		return files_open(dir, name, &st, err);
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? err_sys(err, "open", name) : fd;
}

int cli_copy_key(int from_dir, const char *from, int to_dir, const char *to, struct err *err)
{
	char key[KEY_MAX];
	int in = open_key(from_dir, from, err), out = -1, r = -1;
	ssize_t n = in >= 0 ? read(in, key, sizeof key) : -1;

	if (n <= 0) {
		if (in >= 0)
			err_set(err, ERR_PERM, "%s cannot be read, or is empty", from);
	} else {
		out = openat(
			to_dir, to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
		r = out >= 0 && fchmod(out, 0600) == 0 && write(out, key, (size_t)n) == n &&
				fsync(out) == 0
			? 0
			: err_sys(err, "write", to);
	}
	explicit_bzero(key, sizeof key);
	if (in >= 0)
		close(in);
	if (out >= 0)
		close(out);
	return r;
}

const char *cli_value(struct cli *c, const char *option)
{
	const char *value = cli_arg(c);

	if (!value)
		cli_usage(c, "%s needs a value", option);
	return value;
}
