/* sandbox_seccomp.c - which system calls a role may make. Three lists: those it may, those nobody
 * may and whose attempt ends the process, and all others, which are refused and told. */
#include "role/sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <ucontext.h>
#include <unistd.h>

#define CALLS(...)                                                                                 \
	(const int[])                                                                              \
	{                                                                                          \
		__VA_ARGS__, CALLS_END                                                             \
	}
#define CALLS_END (-99999)
#define NR(name) SCMP_SYS(name)

/* Memory, time, waiting, and bytes on descriptors that are open already. */
static const int common[] = { NR(read), NR(write), NR(readv), NR(writev), NR(recvmsg), NR(sendmsg),
	NR(recvfrom), NR(sendto), NR(shutdown), NR(close), NR(epoll_wait), NR(epoll_pwait),
	NR(epoll_ctl), NR(poll), NR(ppoll), NR(futex), NR(clock_gettime), NR(clock_getres),
	NR(clock_nanosleep), NR(nanosleep), NR(gettimeofday), NR(time), NR(munmap), NR(mremap),
	NR(madvise), NR(brk), NR(mlock), NR(munlock), NR(getrandom), NR(rt_sigreturn),
	NR(rt_sigprocmask), NR(rt_sigaction), NR(sigaltstack), NR(restart_syscall), NR(exit),
	NR(exit_group), NR(rseq), NR(set_robust_list), NR(sched_yield), NR(sched_getaffinity),
	NR(getpid), NR(gettid), NR(getuid), NR(geteuid), NR(getgid), NR(getegid), NR(getsockopt),
	NR(setsockopt), NR(getpeername), NR(getsockname), NR(fstat), NR(lseek), NR(uname),
	NR(sysinfo), NR(getrlimit), NR(getrusage), NR(getcpu), CALLS_END };

static const struct {
	unsigned may;
	const int *calls;
} granted[] = {
	{ MAY_ACCEPT, CALLS(NR(accept4)) },
	{ MAY_SEAL, CALLS(NR(pread64), NR(pwrite64), NR(fsync), NR(fdatasync), NR(ftruncate)) },
	{ MAY_DATA,
		CALLS(NR(open), NR(openat), NR(pread64), NR(pwrite64), NR(preadv), NR(pwritev),
			NR(preadv2), NR(pwritev2), NR(fsync), NR(fdatasync), NR(sync_file_range),
			NR(fallocate), NR(ftruncate), NR(truncate), NR(rename), NR(renameat),
			NR(renameat2), NR(link), NR(linkat), NR(unlink), NR(unlinkat), NR(mkdir),
			NR(mkdirat), NR(rmdir), NR(getdents64), NR(flock), NR(fchmod), NR(fstatfs),
			NR(statfs), NR(fadvise64), NR(readlink), NR(readlinkat), NR(access),
			NR(faccessat), NR(faccessat2), NR(stat), NR(lstat), NR(newfstatat),
			NR(statx), NR(getcwd), NR(umask), NR(utimensat), NR(copy_file_range),
			NR(dup)) },
	{ MAY_CONNECT, CALLS(NR(connect)) },
	/* After a write to a closed TLS connection libpq takes the SIGPIPE away. The pipe wakes the
	 * thread that listens. */
	{ MAY_SPEAK, CALLS(NR(rt_sigpending), NR(rt_sigtimedwait), NR(pipe2)) },
	{ MAY_RESOLVE,
		CALLS(NR(connect), NR(bind), NR(sendmmsg), NR(recvmmsg), NR(pipe2), NR(eventfd2),
			NR(epoll_create1), NR(dup)) },
};

/* Nobody needs these; who tries is not itself any more. */
static const int deadly[] = { NR(execve), NR(execveat), NR(ptrace), NR(process_vm_readv),
	NR(process_vm_writev), NR(process_madvise), NR(pidfd_getfd), NR(kcmp), NR(mount),
	NR(umount2), NR(pivot_root), NR(move_mount), NR(open_tree), NR(fsopen), NR(fsmount),
	NR(fsconfig), NR(mount_setattr), NR(chroot), NR(setns), NR(unshare), NR(bpf),
	NR(perf_event_open), NR(userfaultfd), NR(init_module), NR(finit_module), NR(delete_module),
	NR(add_key), NR(request_key), NR(keyctl), NR(kexec_load), NR(kexec_file_load),
	NR(io_uring_setup), NR(io_uring_enter), NR(io_uring_register), NR(open_by_handle_at),
	NR(name_to_handle_at), NR(personality), NR(iopl), NR(ioperm), NR(modify_ldt), NR(swapon),
	NR(swapoff), NR(reboot), NR(acct), NR(quotactl), NR(sethostname), NR(setdomainname),
	NR(settimeofday), NR(clock_settime), NR(syslog), NR(setuid), NR(setgid), NR(setreuid),
	NR(setregid), NR(setresuid), NR(setresgid), NR(setgroups), NR(capset), NR(memfd_create),
	NR(fork), NR(vfork), CALLS_END };

/* ---- a refused call ---- */

enum { NUMBERS = 1024 };
static atomic_ulong refused;
static atomic_uchar told[NUMBERS];

unsigned long seccomp_refused(void)
{
	return atomic_load(&refused);
}

/* Between the call and its return, in whatever code made it: only write(2) is used. */
static void tell(int number)
{
	char line[64] = "warn sandbox.refused call=";
	size_t n = strlen(line);
	char digits[8];
	size_t d = 0;

	if (number < 0 || number >= NUMBERS || atomic_exchange(&told[number], 1))
		return;
	do
		digits[d++] = (char)('0' + number % 10);
	while ((number /= 10) && d < sizeof digits);
	while (d)
		line[n++] = digits[--d];
	line[n++] = '\n';
	if (write(STDERR_FILENO, line, n) < 0)
		return;
}

static void on_refused(int signo, siginfo_t *info, void *context)
{
	ucontext_t *u = context;
	int saved = errno;

	(void)signo;
	atomic_fetch_add(&refused, 1);
	tell(info->si_syscall);
	errno = saved;
#if defined(__x86_64__)
	u->uc_mcontext.gregs[REG_RAX] = -EPERM;
#elif defined(__aarch64__)
	u->uc_mcontext.regs[0] = (unsigned long long)-EPERM;
#else
#error "say here where this CPU returns the result of a system call"
#endif
}

static int catch_refusals(struct err *err)
{
	struct sigaction a = { .sa_sigaction = on_refused, .sa_flags = SA_SIGINFO | SA_NODEFER };

	sigemptyset(&a.sa_mask);
	return sigaction(SIGSYS, &a, NULL) == 0 ? 0 : err_sys(err, "catch", "SIGSYS");
}

/* ---- the filter ---- */

/* The first failure sticks. A call that this CPU does not have is no failure. */
struct filter {
	scmp_filter_ctx ctx;
	bool strict; /* what is not allowed kills anyway */
	int failed;
};

static void rule(struct filter *f, uint32_t action, int call, unsigned count,
	const struct scmp_arg_cmp *args)
{
	int r = f->failed;

	if (r == 0 && !(f->strict && action == SCMP_ACT_KILL_PROCESS))
		r = seccomp_rule_add_array(f->ctx, action, call, count, args);
	if (r < 0 && r != -EDOM && r != -EFAULT)
		f->failed = r;
}

static void rules(struct filter *f, uint32_t action, const int *calls)
{
	for (; *calls != CALLS_END; calls++)
		rule(f, action, *calls, 0, NULL);
}

/* Allowed when argument number `arg`, masked, has this value. */
static void allow_masked(struct filter *f, int call, unsigned arg, uint64_t mask, uint64_t value)
{
	const struct scmp_arg_cmp a = { arg, SCMP_CMP_MASKED_EQ, mask, value };

	rule(f, SCMP_ACT_ALLOW, call, 1, &a);
}

static void allow_equal(struct filter *f, int call, unsigned arg, uint64_t value)
{
	const struct scmp_arg_cmp a = { arg, SCMP_CMP_EQ, value, 0 };

	rule(f, SCMP_ACT_ALLOW, call, 1, &a);
}

/* No memory becomes code. */
static void add_memory(struct filter *f)
{
	allow_masked(f, NR(mmap), 2, PROT_EXEC, 0);
	allow_masked(f, NR(mprotect), 2, PROT_EXEC, 0);
}

static void add_descriptors(struct filter *f, unsigned may)
{
	static const int plain[] = { F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL };
	static const int locks[] = { F_GETLK, F_SETLK, F_SETLKW, F_OFD_GETLK, F_OFD_SETLK,
		F_OFD_SETLKW };

	for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
		allow_equal(f, NR(fcntl), 1, (uint64_t)plain[i]);
	for (size_t i = 0; (may & MAY_DATA) && i < sizeof locks / sizeof locks[0]; i++)
		allow_equal(f, NR(fcntl), 1, (uint64_t)locks[i]);
	if (!(may & MAY_DATA)) /* fstat(fd) as the C library spells it */
		allow_masked(f, NR(newfstatat), 3, AT_EMPTY_PATH, AT_EMPTY_PATH);
}

static void add_self(struct filter *f)
{
	const struct scmp_arg_cmp read_only = { 2, SCMP_CMP_EQ, 0, 0 };

	allow_equal(f, NR(tgkill), 0, (uint64_t)getpid()); /* abort() */
	allow_equal(f, NR(prctl), 0, PR_SET_NAME);
	rule(f, SCMP_ACT_ALLOW, NR(prlimit64), 1, &read_only);
}

/* glibc falls back from clone3, whose flags a filter cannot see, to clone. */
static void add_threads(struct filter *f, unsigned may)
{
	if (!(may & MAY_THREAD))
		return;
	rule(f, SCMP_ACT_ERRNO(ENOSYS), NR(clone3), 0, NULL);
	allow_masked(f, NR(clone), 0, CLONE_THREAD, CLONE_THREAD);
	rule(f, SCMP_ACT_ALLOW, NR(set_tid_address), 0, NULL);
	rule(f, SCMP_ACT_ALLOW, NR(membarrier), 0, NULL);
}

/* An Internet socket, for TCP only or for UDP too; the type's upper bits are flags. */
static void allow_internet(struct filter *f, uint64_t family, unsigned may)
{
	const struct scmp_arg_cmp tcp[] = { { 0, SCMP_CMP_EQ, family, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM } };
	const struct scmp_arg_cmp udp[] = { { 0, SCMP_CMP_EQ, family, 0 },
		{ 1, SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM } };

	if (may & (MAY_CONNECT | MAY_RESOLVE))
		rule(f, SCMP_ACT_ALLOW, NR(socket), 2, tcp);
	if (may & MAY_RESOLVE)
		rule(f, SCMP_ACT_ALLOW, NR(socket), 2, udp);
}

/* Families that the C library may ask for are refused; any other is deadly. */
static void add_sockets(struct filter *f, unsigned may)
{
	const struct scmp_arg_cmp above = { 0, SCMP_CMP_GT, AF_NETLINK, 0 };

	for (uint64_t family = 0; family < AF_NETLINK; family++) {
		const struct scmp_arg_cmp this = { 0, SCMP_CMP_EQ, family, 0 };

		if (family == AF_INET || family == AF_INET6)
			allow_internet(f, family, may);
		else if (family != AF_UNIX)
			rule(f, SCMP_ACT_KILL_PROCESS, NR(socket), 1, &this);
	}
	rule(f, SCMP_ACT_KILL_PROCESS, NR(socket), 1, &above);
}

static void add_all(struct filter *f, unsigned may)
{
	rules(f, SCMP_ACT_ALLOW, common);
	rules(f, SCMP_ACT_KILL_PROCESS, deadly);
	for (size_t i = 0; i < sizeof granted / sizeof granted[0]; i++)
		if (may & granted[i].may)
			rules(f, SCMP_ACT_ALLOW, granted[i].calls);
	add_memory(f);
	add_descriptors(f, may);
	add_self(f);
	add_threads(f, may);
	add_sockets(f, may);
}

int seccomp_close(unsigned may, bool strict, struct err *err)
{
	struct filter f = { .strict = strict };
	int r;

	if (prctl(PR_GET_SECCOMP, 0, 0, 0, 0) < 0)
		return 1;
	if (catch_refusals(err) < 0)
		return -1;
	f.ctx = seccomp_init(strict ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP);
	if (!f.ctx)
		return err_set(err, ERR_TEMP, "no memory for a system call filter");
	add_all(&f, may);
	r = f.failed ? f.failed : seccomp_load(f.ctx);
	seccomp_release(f.ctx);
	if (r == 0)
		return 0;
	errno = -r;
	return err_sys(err, "load", "the system call filter");
}
