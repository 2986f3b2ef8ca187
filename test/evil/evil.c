/* evil.c - the program: eilpost with hostile roles. See evil.h. */
#include "evil.h"

#include "cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static struct evil self = { .results = -1 };
static const struct role_kind *honest; /* the kind that we stand in for */

static const char *name_of(enum outcome o)
{
	static const char *const names[] = { "did", "refused", "killed", "broke" };

	return names[o];
}

void evil_tell(const struct evil *e, const char *attempt, enum outcome o, const char *detail)
{
	char line[512];
	int n = snprintf(line, sizeof line, "%s\t%s\t%s\t%s\n", e->role ? e->role->name : "-",
		attempt, name_of(o), detail);

	if (n < 0 || write(e->results, line, (size_t)n) != n)
		abort();
}

/* All lines so far. pread is not for every role; the position of our own reading is ours alone. */
static const char *read_results(const struct evil *e)
{
	static char text[1 << 20];
	ssize_t n = 0, r;

	lseek(e->results, 0, SEEK_SET);
	while (n < (ssize_t)sizeof text - 1 &&
		(r = read(e->results, text + n, sizeof text - 1 - (size_t)n)) > 0)
		n += r;
	text[n] = '\0';
	return text;
}

bool evil_find(const struct evil *e, const char *start, char *rest, size_t size)
{
	const char *text = read_results(e);

	for (const char *p = text; (p = strstr(p, start)) != NULL; p++)
		if (p == text || p[-1] == '\n') {
			p += strlen(start);
			return str_z(str_make(p, strcspn(p, "\n")), rest, size);
		}
	return false;
}

bool evil_told(const struct evil *e, const char *attempt)
{
	char start[256], rest[512];

	snprintf(start, sizeof start, "%s\t%s\t", e->role->name, attempt);
	return evil_find(e, start, rest, sizeof rest);
}

/* ---- attempts at the kernel ---- */

static _Noreturn void one_call(struct evil *e, const struct evil_call *call)
{
	struct err err = ERR_INIT;

	alarm(10);
	if (e->role && role_close_sandbox(e->role, &err) < 0) {
		fprintf(stderr, "evil: %s\n", err.msg);
		_exit(99);
	}
	_exit(call->run(e) == 0 ? 0 : 1);
}

static void try_call(struct evil *e, const struct evil_call *call)
{
	pid_t pid = fork();
	int status = 0;
	char detail[64] = "";
	enum outcome o = BROKE;

	if (pid == 0)
		one_call(e, call);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		snprintf(detail, sizeof detail, "fork: %s", strerror(errno));
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGSYS)
		o = KILLED;
	else if (WIFEXITED(status) && WEXITSTATUS(status) <= 1)
		o = WEXITSTATUS(status) == 0 ? DID : REFUSED;
	else
		snprintf(detail, sizeof detail, "status %x", (unsigned)status);
	evil_tell(e, call->name, o, detail);
}

/* Another role: a process with the same parent. Without one the parent must do. */
static pid_t find_sibling(void)
{
	for (pid_t pid = getpid() - 1; pid > 1 && pid > getpid() - 200; pid--) {
		char path[64], text[256] = "";
		int parent = 0;
		FILE *f;

		snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
		f = fopen(path, "r");
		if (!f)
			continue;
		if (fscanf(f, "%*d %255s %*c %d", text, &parent) == 2 && parent == getppid()) {
			fclose(f);
			return pid;
		}
		fclose(f);
	}
	return getppid();
}

static void look_around(struct evil *e)
{
	const char *results = getenv("EVIL_RESULTS"), *port = getenv("EVIL_PORT");

	e->folder = getenv("EVIL_FOLDER");
	e->port = port ? atoi(port) : 0;
	e->sibling = find_sibling();
	e->results = results ? open(results, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
	if (e->results < 0 || !e->folder) {
		fprintf(stderr, "evil: EVIL_FOLDER and EVIL_RESULTS must be set\n");
		exit(1);
	}
}

static int evil_prepare(struct role *r, struct err *err)
{
	self.role = r;
	look_around(&self);
	if (honest->prepare && honest->prepare(r, err) < 0)
		return -1;
	for (size_t i = 0; i < evil_call_count; i++)
		if (!evil_told(&self, evil_calls[i].name))
			try_call(&self, &evil_calls[i]);
	return 0;
}

static int evil_main(struct role *r, struct err *err)
{
	struct err ignored = ERR_INIT;

	role_ready(r, "evil");
	evil_ask(&self);
	while (!r->stopping)
		if (task_wait(-1, 0, &r->stop, NEVER, &ignored) < 0)
			break;
	return 0;
}

/* ---- the program ---- */

static bool is_evil(const char *role)
{
	const char *roles = getenv("EVIL_ROLES");
	struct str rest = str_c(roles ? roles : "");

	while (rest.n)
		if (str_eq(str_word(&rest, ','), str_c(role)))
			return true;
	return false;
}

static int be_role(const char *name)
{
	struct role_kind kind;

	honest = role_kind_find(name);
	if (!honest || !is_evil(name))
		return role_run(name);
	kind = *honest;
	kind.prepare = evil_prepare;
	kind.main = evil_main;
	return role_run_kind(&kind);
}

/* The same attempts by a plain process: what this machine lets anybody do. */
static int be_plain(void)
{
	look_around(&self);
	for (size_t i = 0; i < evil_call_count; i++)
		try_call(&self, &evil_calls[i]);
	return 0;
}

/* Run a program on a kernel that seems to have no Landlock, or no seccomp filters. */
static int be_blind(const char *what, char **argv)
{
	scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
	const struct scmp_arg_cmp get = { 0, SCMP_CMP_EQ, PR_GET_SECCOMP, 0 };
	int r = f ? 0 : -1;

	if (r == 0 && strcmp(what, "landlock") == 0)
		r = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), 444, 0);
	else if (r == 0)
		r = seccomp_rule_add_array(f, SCMP_ACT_ERRNO(EINVAL), SCMP_SYS(prctl), 1, &get);
	if (r < 0 || seccomp_load(f) < 0)
		return 1;
	execvp(argv[0], argv);
	return 1;
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "blind") == 0)
		return be_blind(argv[2], argv + 3);
	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return be_role(argv[2]);
	if (argc == 2 && strcmp(argv[1], "plain") == 0)
		return be_plain();
	return cli_main(argc, argv);
}
