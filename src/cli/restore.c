/* restore.c - eilpost restore: a backup becomes a data directory. */
#include "cli/restore.h"
#include "cli/cli.h"
#include "cli/data.h"

#include "store/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

struct wish {
	const char *folder, *data, *seal, *account, *mailbox;
	uint64_t id;
};

/* As root the files are root's; a folder of this mode is given to the roles at the next start. */
static int give_away_later(int data, const char *path, struct err *err)
{
	return geteuid() != 0 || fchmod(data, 0700) == 0 ? 0
							 : err_sys(err, "change the mode of", path);
}

static int run(struct cli *c, const struct wish *w, struct backup_result *out, struct err *err)
{
	const char *path = w->data;
	int from, data = -1, r = -1;

	if (!path)
		path = cli_data_path(c, err);
	if (!path)
		return -1;
	from = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (from < 0)
		return err_sys(err, "open", w->folder);
	if (mkdir(path, 0700) == 0 || errno == EEXIST)
		data = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (data < 0 || fchdir(data) < 0)
		err_sys(err, "open", path);
	else
		r = backup_restore(from, w->id, data, ".", out, err);
	if (r == 0 && w->seal)
		r = cli_copy_key(AT_FDCWD, w->seal, data, "seal", err);
	if (r == 0)
		r = give_away_later(data, path, err);
	close(from);
	if (data >= 0)
		close(data);
	return r;
}

static void say(const struct wish *w, const struct backup_result *r)
{
	printf("Brought back: %" PRIu64 " files, %" PRIu64 " MiB.\n", r->files, r->bytes >> 20);
	puts("The queue is held, because what is in it may have gone out since the backup: `eilpost"
	     " queue` shows it,\n`eilpost queue release all` sends it. Mail programs fetch their"
	     " folders anew.");
	if (!w->seal)
		puts("The sealing key was not brought back (--seal FILE): without it passwords and "
		     "private"
		     " keys have to be made anew.");
}

static int run_account(struct cli *c, const struct wish *w, struct err *err)
{
	int from = open(w->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r;

	if (from < 0)
		return err_sys(err, "open", w->folder);
	r = cli_restore_account(c, from, w->id, str_c(w->account), str_c(w->mailbox), err);
	close(from);
	return r;
}

static int run_whole(struct cli *c, const struct wish *w, struct err *err)
{
	struct backup_result out;

	if (run(c, w, &out, err) < 0)
		return -1;
	say(w, &out);
	return 0;
}

int cli_restore(struct cli *c)
{
	struct err err = ERR_INIT;
	struct wish w = { 0 };
	const char *arg, **value;
	int r;

	while ((arg = cli_arg(c))) {
		const char *id = NULL;

		value = strcmp(arg, "--data") == 0      ? &w.data
			: strcmp(arg, "--seal") == 0    ? &w.seal
			: strcmp(arg, "--account") == 0 ? &w.account
			: strcmp(arg, "--folder") == 0  ? &w.mailbox
			: strcmp(arg, "--id") == 0      ? &id
							: NULL;
		if (value) {
			*value = cli_value(c, arg);
			if (!*value)
				return EX_USAGE;
			if (id && !str_u64(str_c(id), INT64_MAX, &w.id))
				return cli_usage(c, "%s is no id of a backup", id);
		} else if (arg[0] == '-' || w.folder) {
			return cli_usage(c, "\"%s\" is not known", arg);
		} else {
			w.folder = arg;
		}
	}
	if (!w.folder)
		return cli_usage(c, "from which folder?");
	if (w.mailbox && !w.account)
		return cli_usage(c, "the folder of which account?");
	r = w.account ? run_account(c, &w, &err) : run_whole(c, &w, &err);
	return r < 0 ? cli_fail(c, &err) : r ? EX_DATAERR : EX_OK;
}
