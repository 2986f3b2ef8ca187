/* calls.c - attempts at the kernel. Each runs in a process of its own. */
#include "evil.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static int done(long r)
{
	return r < 0 ? -1 : 0;
}

/* ---- files ---- */

static int read_path(const char *path)
{
	char c;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && read(fd, &c, 1) >= 0 ? 0 : -1;
}

static int read_in(const struct evil *e, const char *name)
{
	char path[512];

	snprintf(path, sizeof path, "%s/%s", e->folder, name);
	return read_path(path);
}

static int read_passwd(const struct evil *e)
{
	return read_path("/etc/passwd");
}

static int read_configuration(const struct evil *e)
{
	return read_in(e, "eilpost.conf");
}

static int read_seal(const struct evil *e)
{
	return read_path("seal") == 0 ? 0 : read_in(e, "data/seal");
}

static int read_index(const struct evil *e)
{
	return read_path("index.db") == 0 ? 0 : read_in(e, "data/index.db");
}

static int replace_seal(const struct evil *e)
{
	char from[512], to[512];

	snprintf(from, sizeof from, "%s/data/seal", e->folder);
	snprintf(to, sizeof to, "%s/data/seal.away", e->folder);
	if (rename("seal", "seal.away") == 0)
		return done(rename("seal.away", "seal"));
	if (rename(from, to) < 0)
		return -1;
	return done(rename(to, from));
}

static int create_file(const struct evil *e)
{
	int fd = open("/tmp/eilpost-evil", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	unlink("/tmp/eilpost-evil");
	return done(fd);
}

static int list_root(const struct evil *e)
{
	return done(open("/usr", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static int read_memory_of_sibling(const struct evil *e)
{
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/mem", (int)e->sibling);
	return done(open(path, O_RDONLY | O_CLOEXEC));
}

/* ---- network ---- */

static int connect_out(const struct evil *e)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)e->port),
		.sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return done(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to));
}

/* A new use for a socket it already has. */
static int listen_tcp(const struct evil *e)
{
	struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return fd >= 0 && bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 1) == 0
		? 0
		: -1;
}

static int send_datagram(const struct evil *e)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons(9), .sin_addr = { htonl(INADDR_LOOPBACK) }
	};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return done(fd < 0 ? -1 : sendto(fd, "x", 1, 0, (struct sockaddr *)&to, sizeof to));
}

static int connect_control(const struct evil *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(to.sun_path, sizeof to.sun_path, "%.90s/control", e->folder);
	return done(fd < 0 ? -1 : connect(fd, (struct sockaddr *)&to, sizeof to));
}

static int new_socket_family(const struct evil *e)
{
	return done(socket(AF_ALG, SOCK_SEQPACKET, 0));
}

static int raw_socket(const struct evil *e)
{
	return done(socket(AF_PACKET, SOCK_RAW, 0));
}

/* ---- processes ---- */

static int exec_program(const struct evil *e)
{
	execl("/bin/true", "true", (char *)NULL);
	return -1;
}

static int fork_process(const struct evil *e)
{
	pid_t pid = fork();
	int status;

	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid(pid, &status, 0) == pid ? 0 : -1;
}

static int ptrace_sibling(const struct evil *e)
{
	return done(ptrace(PTRACE_SEIZE, e->sibling, NULL, NULL));
}

static int ptrace_me(const struct evil *e)
{
	return done(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int read_sibling(const struct evil *e)
{
	char c;
	struct iovec here = { &c, 1 }, there = { (void *)(uintptr_t)&evil_calls, 1 };

	/* EFAULT would mean: allowed, but nothing is at that address. */
	return process_vm_readv(e->sibling, &here, 1, &there, 1, 0) == 1 || errno == EFAULT ? 0
											    : -1;
}

/* SIGURG is ignored by who does not wait for it. */
static int signal_sibling(const struct evil *e)
{
	return done(kill(e->sibling, SIGURG));
}

static int steal_descriptor(const struct evil *e)
{
	int pidfd = (int)syscall(SYS_pidfd_open, e->sibling, 0);

	return done(pidfd < 0 ? -1 : syscall(SYS_pidfd_getfd, pidfd, 0, 0));
}

/* ---- the kernel at large ---- */

static int become_root(const struct evil *e)
{
	return done(setuid(0));
}

static int new_namespace(const struct evil *e)
{
	return done(unshare(CLONE_NEWUSER));
}

static int mount_something(const struct evil *e)
{
	return done(mount("none", "/mnt", "tmpfs", 0, NULL));
}

static int load_bpf(const struct evil *e)
{
	char attr[128] = { 0 };

	/* Any errno but these two says that the call was looked at. */
	return syscall(SYS_bpf, 0, attr, sizeof attr) >= 0 || (errno != EPERM && errno != ENOSYS)
		? 0
		: -1;
}

static int add_kernel_key(const struct evil *e)
{
	return done(syscall(SYS_add_key, "user", "evil", "x", 1, -3));
}

static int open_io_uring(const struct evil *e)
{
	struct io_uring_params p = { 0 };

	return done(syscall(SYS_io_uring_setup, 4, &p));
}

static int anonymous_file(const struct evil *e)
{
	return done(memfd_create("evil", 0));
}

static int change_personality(const struct evil *e)
{
	return done(syscall(SYS_personality, 0xffffffffUL));
}

static int change_root(const struct evil *e)
{
	return done(chroot("/"));
}

/* ---- memory ---- */

static int map_code(const struct evil *e)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0) == MAP_FAILED
		? -1
		: 0;
}

static int make_code(const struct evil *e)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? -1 : mprotect(p, 4096, PROT_READ | PROT_EXEC);
}

static int raise_core_limit(const struct evil *e)
{
	struct rlimit l = { 4096, 4096 };

	return setrlimit(RLIMIT_CORE, &l);
}

/* ---- further ways to the same ends ---- */

static int file_handle(const struct evil *e)
{
	union {
		struct file_handle h;
		char room[sizeof(struct file_handle) + MAX_HANDLE_SZ];
	} u = { .h.handle_bytes = MAX_HANDLE_SZ };
	int mount_id;

	return done(name_to_handle_at(AT_FDCWD, "/etc/passwd", &u.h, &mount_id, 0));
}

static int change_mode(const struct evil *e)
{
	char path[512];

	snprintf(path, sizeof path, "%s/eilpost.conf", e->folder);
	return done(chmod(path, 0600));
}

static int read_own_map(const struct evil *e)
{
	return read_path("/proc/self/maps");
}

static int listen_unbound(const struct evil *e)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	return done(fd < 0 ? -1 : listen(fd, 1)); /* the kernel picks a port */
}

static int netlink_socket(const struct evil *e)
{
	return done(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0));
}

static int vsock_socket(const struct evil *e)
{
	return done(socket(AF_VSOCK, SOCK_STREAM, 0));
}

static int icmp_socket(const struct evil *e)
{
	return done(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
}

static int socket_pair(const struct evil *e)
{
	int sv[2];

	return done(socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
}

static int reap(long pid)
{
	if (pid == 0)
		_exit(0);
	return pid > 0 && waitpid((pid_t)pid, NULL, __WALL) == pid ? 0 : -1;
}

static int fork_new_way(const struct evil *e)
{
	/* clone3: flags, pidfd, two tids, exit signal, stack, its size, tls */
	uint64_t how[8] = { [4] = SIGCHLD };

	return reap(syscall(SYS_clone3, how, sizeof how));
}

static int exec_from_memory(const struct evil *e)
{
	char *const argv[] = { (char *)(uintptr_t) "true", NULL }, part[1024];
	int fd = memfd_create("x", 0), in = open("/bin/true", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	while (fd >= 0 && (n = read(in, part, sizeof part)) > 0)
		if (write(fd, part, (size_t)n) != n)
			return -1;
	return done(fd < 0 ? -1 : fexecve(fd, argv, environ));
}

static int write_sibling(const struct evil *e)
{
	char c = 0;
	struct iovec here = { &c, 1 }, there = { (void *)(uintptr_t)&evil_calls, 1 };

	return process_vm_writev(e->sibling, &here, 1, &there, 1, 0) == 1 || errno == EFAULT ? 0
											     : -1;
}

static int signal_parent(const struct evil *e)
{
	return done(
		kill(getppid(), SIGURG)); /* our parent: the role, or whoever runs a plain one */
}

static int signal_thread(const struct evil *e)
{
	return done(syscall(SYS_tgkill, e->sibling, e->sibling, SIGURG));
}

static int signal_by_descriptor(const struct evil *e)
{
	int fd = (int)syscall(SYS_pidfd_open, e->sibling, 0);

	return done(fd < 0 ? -1 : syscall(SYS_pidfd_send_signal, fd, SIGURG, NULL, 0));
}

static int limits_of_sibling(const struct evil *e)
{
	struct rlimit l;

	if (prlimit(e->sibling, RLIMIT_NOFILE, NULL, &l) < 0)
		return -1;
	return done(prlimit(e->sibling, RLIMIT_NOFILE, &l, NULL));
}

static int priority_of_sibling(const struct evil *e)
{
	return done(setpriority(PRIO_PROCESS, (id_t)e->sibling, 0));
}

static int raise_capabilities(const struct evil *e)
{
	uint32_t head[2] = { 0x20080522 /* version 3 */, 0 };
	uint32_t data[6] = { 1u << 21, 1u << 21, 0, 0, 0, 0 }; /* CAP_SYS_ADMIN */

	return done(syscall(SYS_capset, head, data));
}

static int enter_namespace(const struct evil *e)
{
	int fd = open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);

	/* Of a descriptor that is none the kernel would say EBADF. */
	return setns(fd, 0) == 0 || (fd < 0 && errno == EBADF) ? 0 : -1;
}

static int watch_performance(const struct evil *e)
{
	uint32_t attr[32] = { 1 /* software */, sizeof attr, 9 /* dummy */ };

	return done(syscall(SYS_perf_event_open, attr, 0, -1, -1, 0));
}

static int handle_page_faults(const struct evil *e)
{
	return done(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */));
}

static int read_keyring(const struct evil *e)
{
	return done(syscall(SYS_keyctl, 0, -4 /* the user's */, 1));
}

static int become_dumpable(const struct evil *e)
{
	return done(prctl(PR_SET_DUMPABLE, 1, 0, 0, 0));
}

static int name_host(const struct evil *e)
{
	char name[256];

	return gethostname(name, sizeof name) < 0 ? -1 : done(sethostname(name, strlen(name)));
}

static int read_kernel_log(const struct evil *e)
{
	return done(syscall(SYS_syslog, 10 /* size of the buffer */, NULL, 0));
}

static int shared_memory(const struct evil *e)
{
	int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);

	return id < 0 ? -1 : done(shmctl(id, IPC_RMID, NULL));
}

const struct evil_call evil_calls[] = {
	{ "read-passwd", read_passwd },
	{ "read-configuration", read_configuration },
	{ "read-seal", read_seal },
	{ "read-index", read_index },
	{ "replace-seal", replace_seal },
	{ "create-file", create_file },
	{ "list-folder", list_root },
	{ "read-memory-of-sibling", read_memory_of_sibling },
	{ "connect-out", connect_out },
	{ "listen-tcp", listen_tcp },
	{ "send-datagram", send_datagram },
	{ "connect-control-socket", connect_control },
	{ "new-socket-family", new_socket_family },
	{ "raw-socket", raw_socket },
	{ "exec", exec_program },
	{ "fork", fork_process },
	{ "ptrace-sibling", ptrace_sibling },
	{ "ptrace-me", ptrace_me },
	{ "read-sibling", read_sibling },
	{ "signal-sibling", signal_sibling },
	{ "steal-descriptor", steal_descriptor },
	{ "become-root", become_root },
	{ "new-namespace", new_namespace },
	{ "mount", mount_something },
	{ "bpf", load_bpf },
	{ "kernel-key", add_kernel_key },
	{ "io-uring", open_io_uring },
	{ "anonymous-file", anonymous_file },
	{ "personality", change_personality },
	{ "change-root", change_root },
	{ "map-code", map_code },
	{ "make-code", make_code },
	{ "raise-core-limit", raise_core_limit },
	{ "file-handle", file_handle },
	{ "change-mode", change_mode },
	{ "read-own-map", read_own_map },
	{ "listen-unbound", listen_unbound },
	{ "netlink-socket", netlink_socket },
	{ "vsock-socket", vsock_socket },
	{ "icmp-socket", icmp_socket },
	{ "socket-pair", socket_pair },
	{ "fork-new-way", fork_new_way },
	{ "exec-from-memory", exec_from_memory },
	{ "write-sibling", write_sibling },
	{ "signal-parent", signal_parent },
	{ "signal-thread", signal_thread },
	{ "signal-by-descriptor", signal_by_descriptor },
	{ "limits-of-sibling", limits_of_sibling },
	{ "priority-of-sibling", priority_of_sibling },
	{ "raise-capabilities", raise_capabilities },
	{ "enter-namespace", enter_namespace },
	{ "watch-performance", watch_performance },
	{ "handle-page-faults", handle_page_faults },
	{ "read-keyring", read_keyring },
	{ "become-dumpable", become_dumpable },
	{ "name-host", name_host },
	{ "read-kernel-log", read_kernel_log },
	{ "shared-memory", shared_memory },
};
const size_t evil_call_count = sizeof evil_calls / sizeof evil_calls[0];
