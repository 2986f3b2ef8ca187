#include "cli/data.h"

#include "cli/cli_private.h"
#include "conf/conf.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

/* The folder itself may be root's, and what is in it the store's. */
static int become_owner(int fd, const char *path, struct err *err)
{
	struct stat st;

	if (geteuid() != 0)
		return 0;
	if (fstatat(fd, "log", &st, AT_SYMLINK_NOFOLLOW) < 0 && fstat(fd, &st) < 0)
		return err_sys(err, "look at", path);
	if (st.st_uid == 0)
		return 0;
	/* SQLite goes by whole paths, and the way there may be closed to the owner. */
	if (chroot(".") < 0 || chdir("/") < 0 || setgroups(0, NULL) < 0 ||
		setresgid(st.st_gid, st.st_gid, st.st_gid) < 0 ||
		setresuid(st.st_uid, st.st_uid, st.st_uid) < 0)
		return err_sys(err, "become the owner of", path);
	return 0;
}

int cli_data_enter(struct cli *c, const char *path, struct err *err)
{
	int fd;

	if (!path && cli_load(c, err) < 0)
		return -1;
	if (!path)
		path = conf_z(c->conf, CONF_DATA);
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

const char *cli_value(struct cli *c, const char *option)
{
	const char *value = cli_arg(c);

	if (!value)
		cli_usage(c, "%s needs a value", option);
	return value;
}
