/* rt_bench.c - what tasks and connections cost.
 *
 *	rt_bench switch          nanoseconds per switch, signal and timer
 *	rt_bench tasks N         memory of N idle tasks
 *	rt_bench tls N           memory of N idle TLS connections, server side, all in
 *	rt_bench plain N         the same without TLS
 *
 * Memory is the growth of the process (PSS) and, for connections, of the kernel's slabs and socket
 * buffers, of which the server's end is half. Clients live in a process of their own.
 */
#include "base/clock.h"
#include "crypto/tls.h"
#include "crypto/x509.h"
#include "net/dial.h"
#include "net/listen.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static size_t wanted;
static bool with_tls;
static struct err err;
static struct tls_server *server;
static struct tls_client *client;
static int listener;
static uint16_t port;
static struct signal all_there;
static size_t ready;

static void must(int r, const char *what)
{
	if (r >= 0)
		return;
	fprintf(stderr, "%s: %s\n", what, err.msg);
	exit(1);
}

/* Kilobytes, from a file of "Name: number kB" lines. */
static double field(const char *file, const char *name)
{
	FILE *f = fopen(file, "r");
	char line[256];
	double kb = 0;

	while (f && fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			kb = strtod(line + strlen(name), NULL);
	if (f)
		fclose(f);
	return kb;
}

static double process_kb(void)
{
	return field("/proc/self/smaps_rollup", "Pss:") + field("/proc/self/status", "VmPTE:");
}

static double kernel_kb(void)
{
	return field("/proc/meminfo", "Slab:") + field("/proc/meminfo", "Percpu:") +
		field("/proc/meminfo", "KernelStack:");
}

/* ---- switching ---- */

enum { TURNS = 5000000 };

static void yields(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS; i++)
		task_yield();
}

static struct signal ping, pong;

static void answers(void *arg)
{
	(void)arg;
	for (int i = 0; i < TURNS / 5; i++) {
		task_wait(-1, 0, &ping, clock_after(CLOCK_SEC * 300), &err);
		signal_raise(&pong);
	}
}

static void per_turn(const char *what, int64_t began, double turns)
{
	printf("%-44s %6.1f ns\n", what, (double)(clock_mono() - began) / turns);
}

static void measure_switches(void *arg)
{
	struct task_group *g = task_group_new("bench");
	int64_t began = clock_mono();

	(void)arg;
	must(task_spawn(g, "other", yields, NULL, &err), "spawn");
	yields(NULL);
	task_group_join(g);
	/* Each yield changes to the loop and from there to a task. */
	per_turn("one stack switch, with the loop's share", began, 4.0 * TURNS);
	must(task_spawn(g, "other", answers, NULL, &err), "spawn");
	began = clock_mono();
	for (int i = 0; i < TURNS / 5; i++) {
		signal_raise(&ping);
		task_wait(-1, 0, &pong, clock_after(CLOCK_SEC * 300), &err);
	}
	per_turn("one wait with deadline, woken by a signal", began, 2.0 * TURNS / 5);
	task_group_end(&g);
}

/* ---- idle tasks ---- */

static void idles(void *arg)
{
	char locals[2000];

	snprintf(locals, sizeof locals, "%p", arg);
	task_describe(str_c(locals));
	task_sleep(NEVER, &err);
}

static void measure_tasks(void *arg)
{
	struct task_group *g = task_group_new("bench");
	double before = process_kb(), kernel = kernel_kb();

	(void)arg;
	for (size_t i = 0; i < wanted; i++)
		must(task_spawn(g, "idle", idles, NULL, &err), "spawn");
	task_sleep(clock_after(3 * CLOCK_SEC), &err);
	printf("%zu idle tasks: %.2f KiB each in the process, %.2f in the kernel\n", wanted,
		(process_kb() - before) / (double)wanted, (kernel_kb() - kernel) / (double)wanted);
	task_group_end(&g);
}

/* ---- idle connections ---- */

static void serves(void *arg)
{
	struct conn *c = arg;
	struct err e = ERR_INIT;
	struct str line;

	conn_deadline(c, clock_after(60 * CLOCK_SEC));
	if (with_tls && conn_start_tls_server(c, server, &e) < 0)
		fprintf(stderr, "%s\n", e.msg);
	conn_write(c, STR("* OK ready\r\n"));
	if (conn_read_line(c, 1000, LINE_CRLF, &line, &e) == 0) {
		conn_writef(c, STR_F " OK\r\n", STR_A(line));
		conn_flush(c, &e);
	}
	if (++ready == wanted)
		signal_raise(&all_there);
	conn_deadline(c, clock_after(1800 * CLOCK_SEC));
	conn_read_line(c, 1000, LINE_CRLF, &line, &e);
	conn_free(&c);
}

static void accepts(void *arg)
{
	int fd;

	while (listen_accept(listener, &fd, &err) == 0) {
		struct conn *c = conn_socket(fd);

		if (!c || task_spawn(arg, "session", serves, c, &err) < 0)
			fprintf(stderr, "%s\n", err.msg);
	}
}

static void clients(void *arg)
{
	struct conn **all = calloc(wanted, sizeof(struct conn *));
	struct str line;

	(void)arg;
	for (size_t i = 0; all && i < wanted; i++) {
		char address[32];

		snprintf(address, sizeof address, "127.0.0.%u", 1 + (unsigned)(i / 20000));
		must(dial(str_c(address), port, clock_after(60 * CLOCK_SEC), &all[i], &err),
			"dial");
		if (with_tls)
			must(conn_start_tls_client(all[i], client, STR("localhost"), &err), "tls");
		conn_write(all[i], STR("a1\r\n"));
		must(conn_read_line(all[i], 100, LINE_CRLF, &line, &err), "greeting");
		must(conn_read_line(all[i], 100, LINE_CRLF, &line, &err), "answer");
	}
	task_sleep(NEVER, &err);
}

static void measure_connections(void *arg)
{
	struct task_group *g = task_group_new("accept"), *sessions = task_group_new("sessions");
	const pid_t *child = arg;
	double before, kernel;
	int64_t began;

	must(fd_watch(listener, &err), "watch");
	must(task_spawn(g, "accept", accepts, sessions, &err), "spawn");
	before = process_kb();
	kernel = kernel_kb();
	began = clock_mono();
	task_wait(-1, 0, &all_there, NEVER, &err);
	printf("%zu connections in %.2f s\n", wanted, (double)(clock_mono() - began) / 1e9);
	task_sleep(clock_after(4 * CLOCK_SEC), &err);
	before = (process_kb() - before) / (double)wanted;
	kernel = (kernel_kb() - kernel) / (double)wanted;
	printf("each: %.2f KiB in the process, %.2f KiB in the kernel for both ends; "
	       "server side all in: %.2f KiB\n",
		before, kernel, before + kernel / 2);
	kill(*child, SIGKILL);
	task_group_end(&sessions);
	task_group_end(&g);
}

static void make_identity(void)
{
	struct buf ca = BUF(X509_CHAIN_MAX), chain = BUF(X509_CHAIN_MAX);
	char random[TLS_TICKET_KEY] = "key";
	struct secret tickets = SECRET_NONE;
	struct key *key = NULL;

	must(key_generate(KEY_P256, &key, &err), "key");
	must(x509_make_authority(key, STR("bench"), 1, &ca, &err), "authority");
	must(x509_make_server(key, STR("localhost"), 1, key, buf_str(&ca), &chain, &err), "leaf");
	must(tls_server_new(&server, STR("bench"), STR("imap"), &err), "server");
	must(tls_server_add(server, buf_str(&chain), key, &err), "server");
	must(secret_copy(&tickets, str_make(random, sizeof random), &err), "tickets");
	must(tls_server_tickets(server, &tickets, &err), "tickets");
	must(tls_client_new(&client, "", true, &err), "client");
	must(tls_client_trust(client, buf_str(&ca), &err), "client");
	secret_free(&tickets);
	buf_free(&ca);
	buf_free(&chain);
	key_free(&key);
}

static void run_connections(void)
{
	struct sockaddr_in a = { 0 };
	socklen_t n = sizeof a;
	pid_t child;

	if (with_tls)
		make_identity();
	must(listen_open(STR("127.0.0.1:0"), &listener, &err), "listen");
	getsockname(listener, (struct sockaddr *)&a, &n);
	port = ntohs(a.sin_port);
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		must(rt_main(clients, NULL, &err), "clients");
		_exit(0);
	}
	must(rt_main(measure_connections, &child, &err), "server");
	waitpid(child, NULL, 0);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "switch";

	wanted = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
	with_tls = strcmp(what, "tls") == 0;
	if (with_tls || strcmp(what, "plain") == 0)
		run_connections();
	else if (strcmp(what, "tasks") == 0)
		must(rt_main(measure_tasks, NULL, &err), "tasks");
	else
		must(rt_main(measure_switches, NULL, &err), "switches");
	return 0;
}
