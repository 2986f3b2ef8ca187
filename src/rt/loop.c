/* loop.c - runs what is ready, then asks the kernel what else is. */
#include "base/clock.h"
#include "rt/rt_private.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define EVENTS 256           /* taken from epoll at once */
#define ROUNDS 8             /* of ready tasks, before the events are looked at anyway */
#define SIGNALS 65           /* Linux numbers them 1 to 64 */
#define TAG_OWN (1ull << 63) /* epoll tags of the loop's own descriptors */
#define SWEEP_EVERY CLOCK_SEC

struct rt rt;

static struct {
	sigset_t wanted, before;
	struct signal *to[SIGNALS];
	void (*sigpipe)(int);
} sigs;

/* ---- signals of the process ---- */

static int block_and_watch(int signo, struct err *err)
{
	sigset_t one;

	sigemptyset(&one);
	sigaddset(&one, signo);
	sigaddset(&sigs.wanted, signo);
	/* Block first: what arrives in between then waits for the descriptor. */
	if (pthread_sigmask(SIG_BLOCK, &one, NULL) != 0 ||
		signalfd(rt.sigfd, &sigs.wanted, SFD_NONBLOCK | SFD_CLOEXEC) < 0)
		return err_sys(err, "watch", "signals");
	return 0;
}

int rt_signal(int signo, struct signal *sig, struct err *err)
{
	if (!rt.running || signo < 1 || signo >= SIGNALS)
		return err_set(err, ERR_TEMP, "cannot watch signal %d", signo);
	sigs.to[signo] = sig;
	return sig ? block_and_watch(signo, err) : 0;
}

static void take_signals(void)
{
	struct signalfd_siginfo si;

	while (read(rt.sigfd, &si, sizeof si) == (ssize_t)sizeof si) {
		if (si.ssi_signo >= SIGNALS)
			continue;
		if (sigs.to[si.ssi_signo])
			signal_raise(sigs.to[si.ssi_signo]);
		else if (si.ssi_signo == SIGUSR1)
			task_dump(STDERR_FILENO);
	}
}

/* ---- the loop ---- */

static int own_fd(int fd, struct err *err)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u64 = TAG_OWN | (uint32_t)fd };

	if (fd < 0 || epoll_ctl(rt.epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_sys(err, "set up", "the event loop");
	return 0;
}

static int open_loop(struct err *err)
{
	rt = (struct rt){ .epoll = -1, .sigfd = -1, .wakefd = -1 };
	memset(&sigs, 0, sizeof sigs);
	sigemptyset(&sigs.wanted);
	pthread_sigmask(SIG_BLOCK, NULL, &sigs.before);
	sigs.sigpipe = signal(SIGPIPE, SIG_IGN);
	link_init(&rt.all);
	link_init(&rt.warm);
	rt.now = clock_mono();
	rt.running = true;
	rt.epoll = epoll_create1(EPOLL_CLOEXEC);
	if (rt.epoll < 0)
		return err_sys(err, "set up", "the event loop");
	rt.sigfd = signalfd(-1, &sigs.wanted, SFD_NONBLOCK | SFD_CLOEXEC);
	if (own_fd(rt.sigfd, err) < 0 || block_and_watch(SIGUSR1, err) < 0 || worker_start(err) < 0)
		return -1;
	return own_fd(rt.wakefd, err);
}

static void close_loop(void)
{
	worker_stop();
	if (rt.sigfd >= 0) {
		take_signals();
		close(rt.sigfd);
	}
	if (rt.epoll >= 0)
		close(rt.epoll);
	pthread_sigmask(SIG_SETMASK, &sigs.before, NULL);
	signal(SIGPIPE, sigs.sigpipe);
	heap_free(&rt.timers);
	fd_table_free();
	stack_pool_free();
	rt.running = false;
}

/* How long there is nothing to do, in epoll's milliseconds, rounded up. */
static int patience(void)
{
	const struct heap_item *top = heap_min(&rt.timers);
	int64_t until = top ? top->at : NEVER;
	bool warm = rt.warm.next != &rt.warm;
	int64_t now;

	if (rt.ready_head)
		return 0;
	if (warm && rt.sweep_at < until)
		until = rt.sweep_at;
	if (until == NEVER)
		return -1;
	now = clock_mono();
	if (until <= now)
		return 0;
	if (until - now > 3600 * CLOCK_SEC)
		return 3600 * 1000;
	return (int)((until - now + CLOCK_MSEC - 1) / CLOCK_MSEC);
}

static void take_events(void)
{
	static struct epoll_event ev[EVENTS];
	int n = epoll_wait(rt.epoll, ev, EVENTS, patience());

	rt.now = clock_mono();
	for (int i = 0; i < n; i++) {
		uint64_t tag = ev[i].data.u64;

		if (!(tag & TAG_OWN))
			fd_ready(tag, ev[i].events);
		else if ((int)(uint32_t)tag == rt.sigfd)
			take_signals();
		else
			worker_finished();
	}
	timer_fire();
	if (rt.now >= rt.sweep_at) {
		task_trim();
		rt.sweep_at = rt.now + SWEEP_EVERY;
	}
}

int rt_main(void (*run)(void *), void *arg, struct err *err)
{
	struct task_group *root = NULL;
	unsigned rounds = 0;
	int r = -1;

	if (rt.running)
		return err_set(err, ERR_TEMP, "a loop is running already");
	if (open_loop(err) < 0)
		goto out;
	root = task_group_new("main");
	if (!root) {
		err_set(err, ERR_TEMP, "out of memory for the first task");
		goto out;
	}
	if (task_spawn(root, "main", run, arg, err) < 0)
		goto out;
	while (rt.count) {
		task_run_ready();
		if (!rt.ready_head || ++rounds % ROUNDS == 0)
			if (rt.count)
				take_events();
	}
	r = 0;
out:
	task_group_end(&root);
	close_loop();
	return r;
}
