/* sandbox.c - who keeps what, and the order in which the rest is given up. */
#include "role/sandbox.h"

#include "base/log.h"
#include "ipc/names.h"
#include "role/sandbox_private.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "config.h"

/* The whole of it: what is not named here, the role does not have. */
static const struct sandbox_row {
	uint32_t who;
	unsigned may;
	rlim_t descriptors; /* 0: as many as the system lets us */
} rows[] = {
	{ WHO_STORE, MAY_THREAD | MAY_DATA | MAY_SPEAK, 4096 },
	{ WHO_VAULT, MAY_THREAD | MAY_SEAL, 1024 },
	{ WHO_COURIER, MAY_THREAD | MAY_CONNECT, 16384 },
	{ WHO_DNS, MAY_THREAD | MAY_RESOLVE, 4096 },
	{ WHO_MX, MAY_ACCEPT, 0 },
	{ WHO_SUBMIT, MAY_ACCEPT, 0 },
	{ WHO_MAILBOX, MAY_ACCEPT, 0 },
};

enum { DESCRIPTORS_MOST = 65536 };

static uint8_t reached;

uint8_t sandbox_isolation(void)
{
	return reached;
}

static const struct sandbox_row *row_of(uint32_t who)
{
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		if (rows[i].who == who)
			return &rows[i];
	return NULL;
}

/* ---- limits ---- */

static int limit(int what, rlim_t soft, rlim_t hard, struct err *err)
{
	const struct rlimit l = { soft, hard };

	return setrlimit((__rlimit_resource_t)what, &l) == 0
		? 0
		: err_sys(err, "set", "the resource limits");
}

/* Root may be able to raise the hard limit; nobody else is. */
static int set_descriptors(rlim_t want, struct err *err)
{
	struct rlimit l;

	if (want == 0)
		want = DESCRIPTORS_MOST;
	if (getrlimit(RLIMIT_NOFILE, &l) < 0)
		return err_sys(err, "read", "the resource limits");
	if (l.rlim_max < want && setrlimit(RLIMIT_NOFILE, &(struct rlimit){ want, want }) < 0)
		want = l.rlim_max;
	return limit(RLIMIT_NOFILE, want, want, err);
}

static int set_limits(const struct sandbox_row *row, struct err *err)
{
	if (set_descriptors(row->descriptors, err) < 0 || limit(RLIMIT_CORE, 0, 0, err) < 0)
		return -1;
	return row->may & MAY_THREAD ? 0 : limit(RLIMIT_NPROC, 0, 0, err);
}

/* ---- user, capabilities ---- */

static int change_user(const struct sandbox_wish *wish, struct err *err)
{
	if (!wish->uid)
		return 0;
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (prctl(PR_CAPBSET_DROP, cap) < 0)
			return err_sys(err, "drop", "capabilities");
	if (wish->root_dir && chroot(".") < 0)
		return err_sys(err, "change the root folder to", "the data folder");
	if (setgroups(0, NULL) < 0 || setresgid(wish->gid, wish->gid, wish->gid) < 0 ||
		setresuid(wish->uid, wish->uid, wish->uid) < 0)
		return err_sys(err, "become", "the role's user");
	reached |= ISOLATION_UID;
	return 0;
}

static int drop_capabilities(struct err *err)
{
	cap_t none = cap_init();
	int r = none ? cap_set_proc(none) : -1;

	if (none)
		cap_free(none);
	if (r < 0 || prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return err_sys(err, "drop", "capabilities");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_sys(err, "give up", "privileges");
	reached |= ISOLATION_CAPS;
	return 0;
}

/* ---- the order ---- */

/* Whether to go on after a step that did not work (r: -1, or 1 when the kernel lacks it). */
static int judge(
	int r, const struct sandbox_wish *wish, const char *what, const char *hint, struct err *err)
{
	if (r > 0)
		err_set(err, ERR_PERM, "this kernel has no %s", what);
	if (r == 0)
		return 0;
	if (wish->mode == CONF_SANDBOX_BEST_EFFORT) {
		log_event(LOG_WARN, "sandbox.reduced", L_Z("without", what), L_ERR(err));
		return 0;
	}
	err->kind = ERR_PERM;
	return err_wrap(err,
		"the sandbox cannot be closed (%s; the setting `sandbox best-effort` "
		"would go on without it)",
		hint);
}

static int close_all(
	const struct sandbox_wish *wish, const struct sandbox_row *row, struct err *err)
{
	const char *strict = getenv("EILPOST_SANDBOX");
	int r;

	if (judge(set_limits(row, err), wish, "limits", "limits", err) < 0 ||
		judge(change_user(wish, err), wish, "uid of its own", "uid", err) < 0 ||
		judge(drop_capabilities(err), wish, "capabilities to drop", "capabilities", err) <
			0)
		return -1;
	r = landlock_close(row->may, wish->data_fd, &reached, err);
	if (judge(r, wish, "Landlock", "Landlock", err) < 0)
		return -1;
	r = seccomp_close(row->may, strict && strcmp(strict, "kill") == 0, err);
	if (judge(r, wish, "seccomp filters", "seccomp", err) < 0)
		return -1;
	if (r == 0)
		reached |= ISOLATION_SECCOMP;
	return 0;
}

int sandbox_close(const struct sandbox_wish *wish, struct err *err)
{
	const struct sandbox_row *row = row_of(wish->who);

	if (wish->data_fd >= 0 && fchdir(wish->data_fd) < 0)
		return err_sys(err, "enter", "the data folder");
#ifdef SANDBOX
	if (!row)
		return err_set(err, ERR_PERM, "no sandbox is defined for this role");
	if (wish->mode != CONF_SANDBOX_OFF)
		return close_all(wish, row, err);
#else
	(void)row;
	(void)close_all; /* sanitizers need what the sandbox takes away */
#endif
	log_event(LOG_WARN, "sandbox.off");
	return 0;
}

void sandbox_describe(uint8_t isolation, struct buf *out)
{
	static const struct {
		uint8_t bit;
		const char *what;
	} parts[] = { { ISOLATION_UID, "uid" }, { ISOLATION_CAPS, "privileges" },
		{ ISOLATION_LANDLOCK, "Landlock" }, { ISOLATION_NET, "TCP rules" },
		{ ISOLATION_SCOPE, "signal scope" }, { ISOLATION_SECCOMP, "seccomp" } };
	const char *between = "reduced, without ";

	if (isolation == ISOLATION_FULL) {
		buf_addz(out, "full");
		return;
	}
	for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
		if (isolation & parts[i].bit)
			continue;
		buf_addf(out, "%s%s", between, parts[i].what);
		between = ", ";
	}
}
