/* postgres_test.h - a PostgreSQL server of the test's own, from Debian's package, on a Unix socket
 * in a folder under /tmp. It dies with the test. */
#ifndef DB_POSTGRES_TEST_H
#define DB_POSTGRES_TEST_H

#include "db/db.h"

#include <glob.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct postgres {
	char bin[128], folder[64], url[128];
	pid_t pid;
};

/* The newest version installed; false when there is none. */
static inline bool postgres_find(struct postgres *p)
{
	glob_t g = { 0 };
	bool found = glob("/usr/lib/postgresql/*/bin/postgres", 0, NULL, &g) == 0 && g.gl_pathc > 0;

	if (found)
		snprintf(p->bin, sizeof p->bin, "%.*s",
			(int)(strlen(g.gl_pathv[g.gl_pathc - 1]) - 9), g.gl_pathv[g.gl_pathc - 1]);
	globfree(&g);
	return found;
}

/* PostgreSQL refuses to run as root: then it is the user postgres. */
static inline pid_t postgres_spawn(const struct postgres *p, const char *name, char *const *args)
{
	const struct passwd *user = geteuid() == 0 ? getpwnam("postgres") : NULL;
	char path[160];
	pid_t pid;

	snprintf(path, sizeof path, "%s/%s", p->bin, name);
	if (user && chown(p->folder, user->pw_uid, user->pw_gid) < 0)
		return -1;
	pid = fork();
	if (pid != 0)
		return pid;
	if (user &&
		(setgroups(0, NULL) < 0 || setgid(user->pw_gid) < 0 || setuid(user->pw_uid) < 0))
		_exit(126);
	prctl(PR_SET_PDEATHSIG, SIGQUIT);
	if (chdir(p->folder) < 0 || !freopen("log", "a", stdout) || !freopen("log", "a", stderr))
		_exit(126);
	execv(path, args);
	_exit(127);
}

static inline bool postgres_answers(const struct postgres *p)
{
	const struct timespec pause = { 0, 20 * 1000 * 1000 };
	struct err err = ERR_INIT;
	struct db *db = NULL;

	for (int i = 0; i < 1500; i++) {
		if (db_open(&db, p->url, DB_WRITE, &err) == 0) {
			db_close(&db);
			return true;
		}
		nanosleep(&pause, NULL);
	}
	print_error("%s\n", err.msg);
	return false;
}

static inline int postgres_start(struct postgres *p)
{
	char *make[] = { "initdb", "-D", "data", "-A", "trust", "-U", "eilpost", "-E", "UTF8",
		"--locale=C", "--no-sync", "--no-instructions", NULL };
	char *serve[] = { "postgres", "-D", "data", "-k", p->folder, "-c",
		"listen_addresses=", "-c", "fsync=off", "-c", "shared_buffers=8MB", "-c",
		"max_connections=60", NULL };
	int status = -1;
	pid_t pid;

	snprintf(p->folder, sizeof p->folder, "/tmp/eilpost-pg-XXXXXX");
	if (!mkdtemp(p->folder))
		return -1;
	snprintf(p->url, sizeof p->url, "postgres:///postgres?host=%s&user=eilpost", p->folder);
	pid = postgres_spawn(p, "initdb", make);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		return -1;
	p->pid = postgres_spawn(p, "postgres", serve);
	return p->pid > 0 && postgres_answers(p) ? 0 : -1;
}

static inline void postgres_stop(struct postgres *p)
{
	char command[96];

	if (p->pid > 0) {
		kill(p->pid, SIGQUIT);
		waitpid(p->pid, NULL, 0);
	}
	snprintf(command, sizeof command, "rm -rf %s", p->folder);
	if (system(command) != 0)
		print_error("%s is left behind\n", p->folder);
}

#endif
