/* backup.c - eilpost backup: a copy of everything that is stored, made while the server goes on;
 * and without one. */
#include "cli/cli.h"
#include "cli/data.h"
#include "cli/table.h"

#include "base/clock.h"
#include "store/backup.h"
#include "store/snapshot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { SNAPSHOT_SECONDS = 3600, KEEP_MAX = 150 };

struct wish {
	const char *folder, *seal;
	unsigned keep;
	bool verify, list;
};

static int open_folder(const char *path, bool make, struct err *err)
{
	int fd;

	if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_sys(err, "make directory", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_sys(err, "open", path) : fd;
}

/* ---- with the server ---- */

static int begin(struct channel *store, struct backup_mark *mark, struct err *err)
{
	struct store_backup_begin_req q = { 0 };
	struct store_backup_begin_rep a;
	struct reply hold = { 0 };
	int r = store_backup_begin(
		store, &q, clock_after(SNAPSHOT_SECONDS * CLOCK_SEC), &a, &hold, err);

	if (r == 0 && !str_z(a.snapshot, mark->snapshot, sizeof mark->snapshot))
		r = err_set(err, ERR_PROTO, "the store's snapshot has a strange name");
	if (r == 0) {
		mark->segment = a.segment;
		mark->offset = a.offset;
		mark->sequence = a.sequence;
	}
	reply_free(&hold);
	return r;
}

/* The store that held everything is the one that answers: its channel has not ended. */
static int still_held(void *arg, struct err *err)
{
	struct store_status_req q = { .deep = 0 };
	struct store_status_rep a;
	struct reply hold = { 0 };
	int r = store_status(arg, &q, cli_deadline(), &a, &hold, err);

	reply_free(&hold);
	return r < 0 ? err_wrap(err, "the server ended while the backup was made") : 0;
}

static int with_server(struct channel *store, int data, int to, const struct wish *w,
	struct backup_result *out, struct err *err)
{
	const struct store_backup_end m = { 0 };
	struct err ignored = ERR_INIT;
	struct backup_mark mark = { .held = still_held, .arg = store };
	int r = begin(store, &mark, err);

	if (r == 0)
		r = backup_make(data, to, &mark, w->keep, out, err);
	(void)store_backup_end_send(store, &m, &ignored);
	return r;
}

/* ---- without one: a process of our own is the server, as the owner of the files ---- */

struct helper_says {
	struct backup_mark mark;
	struct err err;
};

/* Opens the store, says where it stands, and waits until the other end is closed. */
static void help(struct cli *c, int out, int in)
{
	const struct store_options o = { .path = "." };
	struct helper_says says = { .err = ERR_INIT };
	struct store *s = NULL;
	int data = cli_data_enter(c, NULL, &says.err), r = -1;
	char end;

	if (data >= 0 && store_open(data, &o, &s, &says.err) == 0) {
		store_hold(s);
		r = backup_prepare(s, &says.mark, &says.err);
	}
	if (write(out, &says, sizeof says) == (ssize_t)sizeof says && r == 0)
		while (read(in, &end, 1) < 0 && errno == EINTR)
			;
	store_close(&s);
	_exit(r == 0 ? 0 : 1);
}

static int ask_helper(int from, struct backup_mark *mark, struct err *err)
{
	struct helper_says says;

	if (read(from, &says, sizeof says) != (ssize_t)sizeof says)
		return err_set(err, ERR_TEMP, "the store could not be opened");
	if (says.err.kind != ERR_NONE) {
		*err = says.err;
		return -1;
	}
	*mark = says.mark;
	return 0;
}

static int without_server(struct cli *c, int data, int to, const struct wish *w,
	struct backup_result *out, struct err *err)
{
	int said[2], stop[2], r;
	struct backup_mark mark;
	pid_t pid;

	if (pipe2(said, O_CLOEXEC) < 0 || pipe2(stop, O_CLOEXEC) < 0)
		return err_sys(err, "make", "a pipe");
	pid = fork();
	if (pid == 0) {
		close(stop[1]);
		help(c, said[1], stop[0]);
	}
	close(said[1]);
	close(stop[0]);
	r = pid < 0 ? err_sys(err, "start", "a process") : ask_helper(said[0], &mark, err);
	if (r == 0)
		r = backup_make(data, to, &mark, w->keep, out, err);
	close(stop[1]);
	close(said[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	return r;
}

/* ---- the command ---- */

static void say_differ(const struct backup_result *r)
{
	fprintf(stderr,
		"%" PRIu64 " files that are to be copied anew are not in the store any more as they"
		" were saved (the first: %s).\nWhat the backup has of them is kept. Look at the"
		" store with eilpost fsck.\n",
		r->differ, r->first);
}

static void say(struct cli *c, const struct wish *w, const struct backup_result *r)
{
	struct table t = TABLE(true, "id", "files", "copied", "bytes", "removed", "differ");

	if (r->differ)
		say_differ(r);
	if (!c->json) {
		printf("Backup %" PRIu64 ": %" PRIu64 " files, %" PRIu64 " of them new (%" PRIu64
		       " MiB); %" PRIu64 " that nothing needs any more are removed.\n",
			r->id, r->files, r->copied, r->bytes >> 20, r->removed);
		if (!w->seal)
			puts("The sealing key is not in it. Without it passwords and private keys"
			     " have to be made anew:\nsave it once, apart from the backup, with"
			     " --seal FILE.");
		return;
	}
	table_num(&t, r->id);
	table_num(&t, r->files);
	table_num(&t, r->copied);
	table_num(&t, r->bytes);
	table_num(&t, r->removed);
	table_num(&t, r->differ);
	table_end_single(&t);
}

static int make(struct cli *c, const struct wish *w, struct err *err)
{
	struct backup_result out = { 0 };
	struct err why = ERR_INIT;
	int data = -1, to, r = -1;
	const char *path = cli_data_path(c, err);
	struct channel *store;

	if (!path)
		return -1;
	to = open_folder(w->folder, true, err);
	if (to >= 0)
		data = open_folder(path, false, err);
	if (data >= 0) {
		store = cli_store(c, &why);
		r = store                        ? with_server(store, data, to, w, &out, err)
			: why.kind == ERR_CLOSED ? without_server(c, data, to, w, &out, err)
						 : (*err = why, -1);
	}
	if (r == 0 && w->seal)
		r = cli_copy_key(data, "seal", AT_FDCWD, w->seal, err);
	if (r == 0)
		say(c, w, &out);
	if (to >= 0)
		close(to);
	if (data >= 0)
		close(data);
	return r;
}

static int list(struct cli *c, const struct wish *w, struct err *err)
{
	struct table t = TABLE(c->json, "id", "made", "files", "size");
	int from = open_folder(w->folder, false, err), n = -1;
	struct backup_row rows[64];

	if (from >= 0)
		n = backup_list(from, rows, sizeof rows / sizeof *rows, err);
	for (int i = 0; i < n; i++) {
		table_num(&t, rows[i].id);
		table_time(&t, (int64_t)rows[i].id);
		table_num(&t, rows[i].files);
		table_bytes(&t, rows[i].bytes);
	}
	if (n >= 0)
		table_end(&t);
	if (from >= 0)
		close(from);
	return n < 0 ? -1 : 0;
}

static void found(void *arg, const struct fsck_finding *f)
{
	(void)arg;
	printf("%-9s %s\n", f->severity == FSCK_NOTE ? "note" : "wrong", f->text);
}

static int verify(const struct wish *w, int *code, struct err *err)
{
	const struct fsck_options o = { .found = found };
	int from = open_folder(w->folder, false, err), r = -1;
	struct fsck_result out;

	if (from >= 0)
		r = backup_verify(from, 0, &o, &out, err);
	if (r == 0 && out.wrong == 0)
		printf("The backup is whole: %" PRIu64 " records, %" PRIu64 " bodies.\n",
			out.records, out.bodies);
	*code = r == 0 && out.wrong ? 4 : EX_OK;
	if (from >= 0)
		close(from);
	return r;
}

static bool take_option(struct cli *c, const char *arg, struct wish *w, const char **value)
{
	*value = "";
	if (strcmp(arg, "--verify") == 0)
		w->verify = true;
	else if (strcmp(arg, "--list") == 0)
		w->list = true;
	else if (strcmp(arg, "--seal") == 0)
		w->seal = *value = cli_value(c, arg);
	else if (strcmp(arg, "--keep") == 0)
		*value = cli_value(c, arg);
	else
		return false;
	return true;
}

int cli_backup(struct cli *c)
{
	struct wish w = { .keep = BACKUP_KEEP };
	struct err err = ERR_INIT;
	const char *arg, *value;
	uint64_t keep;
	int code = EX_OK, r;

	while ((arg = cli_arg(c))) {
		if (take_option(c, arg, &w, &value)) {
			if (!value)
				return EX_USAGE;
			if (strcmp(arg, "--keep") != 0)
				continue;
			if (!str_u64(str_c(value), KEEP_MAX, &keep) || keep == 0)
				return cli_usage(c, "keep how many? 1 to %d", KEEP_MAX);
			w.keep = (unsigned)keep;
		} else if (arg[0] == '-' || w.folder) {
			return cli_usage(c, "\"%s\" is not known", arg);
		} else {
			w.folder = arg;
		}
	}
	if (!w.folder)
		return cli_usage(c, "into which folder?");
	r = w.verify ? verify(&w, &code, &err) : w.list ? list(c, &w, &err) : make(c, &w, &err);
	return r < 0 ? cli_fail(c, &err) : code;
}
