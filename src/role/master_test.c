/* master_test.c - a real master with real processes: this program, executed again as its roles,
 * which run the code below instead of the shipped one.
 */
#include "base/log.h"
#include "conf/conf.h"
#include "role/kind.h"
#include "role/link.h"
#include "role/master_private.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* What the front is told to do by the store, which an operator told. */
enum { MODE_CALM, MODE_VIOLATE, MODE_HANG, MODE_QUIT };

/* ---- the store: answers with the mode, and counts its fronts ---- */

static struct {
	struct role *role;
	uint64_t mode, fronts;
} st;

static void store_request(void *arg, struct request *req)
{
	struct store_status_req q;
	struct err err;

	if (req->type == MSG_store_rcpt) {
		store_rcpt_answer(&req, &(struct store_rcpt_rep){ .target = st.mode });
	} else if (req->type == MSG_store_status &&
		store_status_req_get(req->body, &q, &err) == 0) {
		st.mode = q.deep;
		store_status_answer(&req, &(struct store_status_rep){ .accounts = st.fronts });
	} else {
		request_free(&req);
	}
}

static void store_peer_ended(void *arg, const struct err *why)
{
	struct channel *ch = *(struct channel **)arg;

	st.fronts -= channel_who(ch) == WHO_MX;
	channel_close(&ch);
	free(arg);
}

static void store_peer(void *arg, uint32_t who, uint32_t number, int fd)
{
	struct channel **ch = malloc(sizeof(struct channel *));
	struct err err;

	if (!ch)
		abort();
	st.fronts += who == WHO_MX;
	*ch = channel_new(
		st.role->group, fd, who, number, store_request, store_peer_ended, ch, &err);
}

static int test_store(struct role *r, struct err *err)
{
	st.role = r;
	if (getenv("TEST_STORE_FAILS"))
		return err_set(err, ERR_PERM, "the moon is in the way");
	if (role_take_file(r, FILE_DATA_DIR, NULL) < 0 || role_take_file(r, FILE_SEAL, NULL) >= 0)
		return err_set(err, ERR_PERM, "the wrong files");
	role_on_peer(r, WHO_MX | WHO_OPERATOR, store_peer, NULL);
	role_ready(r, "");
	while (!r->stopping)
		if (task_wait(-1, 0, &r->stop, NEVER, err) < 0)
			return -1;
	return 0;
}

/* ---- the front: asks the store all the time, and keeps its session ---- */

static int front_turn(struct role *r, struct link *store, unsigned *calls, struct err *err)
{
	struct store_rcpt_req q = { 0 };
	struct store_rcpt_rep a;
	struct channel *ch = link_wait(store, NEVER, err);
	char note[64];

	if (!ch)
		return -1;
	if (store_rcpt(ch, &q, clock_after(10 * CLOCK_SEC), &a, NULL, err) < 0)
		return err->kind == ERR_CLOSED ? 0 : -1;
	snprintf(note, sizeof note, "call %u channel %u", ++*calls,
		(unsigned)link_generation(store));
	role_ready(r, note);
	while (a.target == MODE_HANG)
		continue; /* the loop turns no more */
	if (a.target == MODE_QUIT)
		return err_set(err, ERR_TEMP, "told to quit");
	ch = link_wait(store, NEVER, err);
	if (a.target == MODE_VIOLATE && ch)
		(void)channel_send(ch, MSG_store_detach, STR("\1\0\0\0"), -1, err);
	return 0;
}

static int test_front(struct role *r, struct err *err)
{
	struct link *store = role_link(r, WHO_STORE);
	struct err pause = ERR_INIT;
	unsigned calls = 0;

	if (!store || role_link(r, WHO_VAULT) || role_link(r, WHO_DNS))
		return err_set(err, ERR_PERM, "the wrong links");
	if (r->listener_count != 1 || r->listeners[0].service != SERVICE_SMTP)
		return err_set(err, ERR_PERM, "the wrong listeners");
	while (!r->stopping) {
		if (front_turn(r, store, &calls, err) < 0)
			return -1;
		if (task_wait(-1, 0, &r->stop, clock_after(5 * CLOCK_MSEC), &pause) < 0 &&
			pause.kind != ERR_TIMEOUT)
			return 0;
	}
	return 0;
}

static const struct role_kind kinds[] = {
	{ "store", WHO_STORE, 0, 0, true, NULL, test_store },
	{ "mx", WHO_MX, WHO_STORE, 500, false, NULL, test_front },
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static int be_role(const char *name)
{
	for (size_t i = 0; i < KINDS; i++)
		if (strcmp(kinds[i].name, name) == 0)
			return role_run_kind(&kinds[i]);
	return 1;
}

/* ---- the other side: a master, and somebody who looks at it through the control socket ---- */

static char folder[64];

struct row {
	pid_t pid;
	unsigned restarts;
	bool ready;
	char note[241];
};

struct look {
	struct task_group *g;
	struct row store, mx;
	bool passed;
	void (*body)(struct look *l);
};

static struct channel *dial(struct look *l, uint32_t peer)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct err err = ERR_INIT;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(at.sun_path, sizeof at.sun_path, "%s/control", folder);
	assert_int_equal(0, connect(fd, (struct sockaddr *)&at, sizeof at));
	return channel_new(l->g, fd, peer, 0, NULL, NULL, NULL, &err);
}

static void keep_row(struct row *to, const struct control_role *from)
{
	to->pid = (pid_t)from->pid;
	to->restarts = from->restarts;
	to->ready = from->ready;
	assert_true(str_z(from->note, to->note, sizeof to->note));
}

static void look_at(struct look *l)
{
	struct channel *ch = dial(l, WHO_MASTER);
	struct control_status_req q = { 0 };
	struct control_status_rep a;
	struct control_role row;
	struct reply hold = { 0 };
	struct err err = ERR_INIT;

	assert_int_equal(0, control_status(ch, &q, clock_after(10 * CLOCK_SEC), &a, &hold, &err));
	while (control_role_next(&a.roles, &row))
		keep_row(str_eq(row.name, STR("store")) ? &l->store : &l->mx, &row);
	reply_free(&hold);
	channel_close(&ch);
}

/* Tell the store the mode; gives how many fronts it has. */
static uint64_t set_mode(struct look *l, uint8_t mode)
{
	struct channel *ch = dial(l, WHO_STORE);
	struct control_connect_req cq = { .who = WHO_STORE };
	struct control_connect_rep ca;
	struct store_status_req q = { .deep = mode };
	struct store_status_rep a;
	struct reply hold = { 0 };
	struct err err = ERR_INIT;
	int64_t deadline = clock_after(10 * CLOCK_SEC);

	assert_int_equal(0, control_connect(ch, &cq, deadline, &ca, NULL, &err));
	assert_int_equal(0, store_status(ch, &q, deadline, &a, &hold, &err));
	reply_free(&hold);
	channel_close(&ch);
	return a.accounts;
}

static void rest(void)
{
	struct err err = ERR_INIT;

	assert_int_equal(0, task_sleep(clock_after(5 * CLOCK_MSEC), &err));
}

/* Until the front says that it has made calls on its n-th channel to the store. */
static void wait_for_channel(struct look *l, unsigned n)
{
	unsigned calls, channel;

	for (;;) {
		look_at(l);
		if (l->mx.ready && l->store.ready &&
			sscanf(l->mx.note, "call %u channel %u", &calls, &channel) == 2 &&
			channel == n)
			return;
		rest();
	}
}

static void wait_for_restart(struct look *l, const struct row *row, unsigned n)
{
	do {
		rest();
		look_at(l);
	} while (row->restarts < n);
}

static int look_ready(void *arg, struct err *err)
{
	struct look *l = arg;

	l->g = task_group_new("look");
	l->body(l);
	l->passed = true;
	task_group_end(&l->g);
	kill(getpid(), SIGTERM);
	return 0;
}

static struct conf *test_conf(void)
{
	struct conf_source from = { .kind = CONF_DEMO, .folder = folder };
	struct conf *c = NULL;
	struct err err = ERR_INIT;
	char text[256];

	snprintf(text, sizeof text,
		"sandbox on; log.level error; listen { smtp unix:%s/smtp; submission off; "
		"submissions off; imap off; imaps off; pop3 off; pop3s off; }",
		folder);
	from.text = str_c(text);
	if (conf_load(&from, &c, NULL, &err) < 0)
		fail_msg("%s", err.msg);
	return c;
}

static int run_master(int (*ready)(void *, struct err *), void *arg, struct err *err)
{
	struct conf *conf = test_conf();
	struct master_options o = {
		.conf = conf,
		.ready = ready,
		.arg = arg,
		.kinds = kinds,
		.kind_count = KINDS,
		.ping_every = 50 * CLOCK_MSEC,
		.ping_patience = 4 * CLOCK_SEC,
	};
	int r = master_run(&o, err);

	conf_free(&conf);
	return r;
}

static void with_master(void (*body)(struct look *))
{
	static struct look l;
	struct err err = ERR_INIT;

	l = (struct look){ .body = body };
	if (run_master(look_ready, &l, &err) < 0)
		fail_msg("%s", err.msg);
	assert_true(l.passed);
}

/* ---- the tests ---- */

static void body_calls(struct look *l)
{
	wait_for_channel(l, 1);
	assert_int_equal(l->store.restarts + l->mx.restarts, 0);
	assert_int_equal(set_mode(l, MODE_CALM), 1);
}

static void roles_are_started_joined_and_ended(void **state)
{
	with_master(body_calls);
}

static void body_store_dies(struct look *l)
{
	pid_t mx;

	wait_for_channel(l, 1);
	mx = l->mx.pid;
	for (unsigned n = 1; n <= 3; n++) {
		kill(l->store.pid, SIGKILL);
		wait_for_channel(l, n + 1);
		assert_int_equal(l->store.restarts, n);
		assert_int_equal(l->mx.pid, mx);
	}
	assert_int_equal(l->mx.restarts, 0);
}

static void a_store_that_dies_comes_back_and_its_front_lives_on(void **state)
{
	with_master(body_store_dies);
}

static void body_front_dies(struct look *l)
{
	pid_t store;

	wait_for_channel(l, 1);
	store = l->store.pid;
	kill(l->mx.pid, SIGKILL);
	wait_for_restart(l, &l->mx, 1);
	wait_for_channel(l, 1);
	assert_int_equal(l->store.pid, store);
	assert_int_equal(set_mode(l, MODE_CALM), 1);
}

static void a_front_that_dies_is_replaced_and_the_store_lives_on(void **state)
{
	with_master(body_front_dies);
}

static void body_violation(struct look *l)
{
	pid_t store, mx;

	wait_for_channel(l, 1);
	store = l->store.pid;
	mx = l->mx.pid;
	set_mode(l, MODE_VIOLATE);
	wait_for_restart(l, &l->mx, 1);
	set_mode(l, MODE_CALM);
	wait_for_channel(l, 1);
	assert_int_equal(l->store.pid, store);
	assert_true(l->mx.pid != mx);
}

static void a_front_that_breaks_the_rules_is_replaced(void **state)
{
	with_master(body_violation);
}

static void body_quit(struct look *l)
{
	wait_for_channel(l, 1);
	set_mode(l, MODE_QUIT);
	wait_for_restart(l, &l->mx, 1);
	set_mode(l, MODE_CALM);
	wait_for_channel(l, 1);
}

static void a_front_that_gives_up_is_started_again(void **state)
{
	with_master(body_quit);
}

static void body_hang(struct look *l)
{
	pid_t store;

	wait_for_channel(l, 1);
	store = l->store.pid;
	set_mode(l, MODE_HANG);
	wait_for_restart(l, &l->mx, 1);
	set_mode(l, MODE_CALM);
	wait_for_channel(l, 1);
	assert_int_equal(l->store.pid, store);
}

static void a_front_that_hangs_is_replaced(void **state)
{
	with_master(body_hang);
}

static void body_second(struct look *l)
{
	struct conf *conf = test_conf();
	static struct master m;
	struct err err = ERR_INIT;

	m.conf = conf;
	assert_int_equal(-1, control_open(&m, &err));
	assert_non_null(strstr(err.msg, "another program listens there"));
	conf_free(&conf);
}

static void a_second_server_on_the_same_control_socket_is_refused(void **state)
{
	with_master(body_second);
}

static int fail_ready(void *arg, struct err *err)
{
	return err_set(err, ERR_FULL, "no room");
}

static void when_the_caller_says_no_the_server_ends_with_its_sentence(void **state)
{
	struct err err = ERR_INIT;

	assert_int_equal(-1, run_master(fail_ready, NULL, &err));
	assert_int_equal(err.kind, ERR_FULL);
	assert_string_equal(err.msg, "no room");
}

static void a_role_that_cannot_begin_ends_the_server_with_its_sentence(void **state)
{
	struct err err = ERR_INIT;

	setenv("TEST_STORE_FAILS", "1", 1);
	assert_int_equal(-1, run_master(NULL, NULL, &err));
	unsetenv("TEST_STORE_FAILS");
	assert_int_equal(err.kind, ERR_PERM);
	assert_string_equal(err.msg, "store: the moon is in the way");
}

static void remember_pids(struct look *l)
{
	char path[128];
	FILE *f;

	wait_for_channel(l, 1);
	snprintf(path, sizeof path, "%s/pids", folder);
	f = fopen(path, "w");
	assert_non_null(f);
	fprintf(f, "%d %d\n", (int)l->store.pid, (int)l->mx.pid);
	fclose(f);
	kill(getpid(), SIGKILL);
}

static bool is_running(int pid)
{
	char path[64], state = 'X';
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fscanf(f, "%*d (%*[^)]) %c", &state) != 1)
		state = 'X';
	fclose(f);
	return state != 'X' && state != 'Z';
}

static void when_the_master_is_killed_the_roles_end_by_themselves(void **state)
{
	int64_t until = clock_after(15 * CLOCK_SEC);
	int store = 0, mx = 0, status = 0;
	char path[128];
	pid_t pid;
	FILE *f;

	pid = fork();
	if (pid == 0) {
		with_master(remember_pids);
		_exit(1);
	}
	assert_int_equal(pid, waitpid(pid, &status, 0));
	assert_true(WIFSIGNALED(status));
	snprintf(path, sizeof path, "%s/pids", folder);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(2, fscanf(f, "%d %d", &store, &mx));
	fclose(f);
	while (is_running(store) || is_running(mx)) {
		assert_true(clock_mono() < until);
		usleep(5000);
	}
}

static int make_folder(void **state)
{
	snprintf(folder, sizeof folder, "/tmp/eilpost-master-XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
	static const char *const names[] = { "data/seal", "data", "control", "smtp", "pids", "" };
	char path[128];

	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		snprintf(path, sizeof path, "%s/%s", folder, names[i]);
		remove(path);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(roles_are_started_joined_and_ended),
		cmocka_unit_test(a_store_that_dies_comes_back_and_its_front_lives_on),
		cmocka_unit_test(a_front_that_dies_is_replaced_and_the_store_lives_on),
		cmocka_unit_test(a_front_that_breaks_the_rules_is_replaced),
		cmocka_unit_test(a_front_that_gives_up_is_started_again),
		cmocka_unit_test(a_front_that_hangs_is_replaced),
		cmocka_unit_test(a_second_server_on_the_same_control_socket_is_refused),
		cmocka_unit_test(when_the_caller_says_no_the_server_ends_with_its_sentence),
		cmocka_unit_test(a_role_that_cannot_begin_ends_the_server_with_its_sentence),
		cmocka_unit_test(when_the_master_is_killed_the_roles_end_by_themselves),
	};

	if (argc == 3 && strcmp(argv[1], "role") == 0)
		return be_role(argv[2]);
	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
