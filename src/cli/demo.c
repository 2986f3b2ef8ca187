/* demo.c - eilpost demo: a complete throw-away instance on loopback, on high ports.
 *
 * Makes what is missing under its folder, serves, and once every listener answers writes demo.env
 * and prints `ready`. The accounts and the certificate are made by the running server like any
 * operator would make them. It never delivers outside loopback.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/cli_private.h"
#include "conf/conf.h"
#include "crypto/tls.h"
#include "net/dial.h"
#include "role/master.h"
#include "rt/task.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

enum { SETS_MAX = 64, ANSWER_SECONDS = 30, CERTIFICATE_DAYS = 365, PATH_SIZE = 512 };

static const char certificate_names[] = "localhost,127.0.0.1,::1,mail.example.test";

static const struct person {
	const char *login, *name, *password;
} people[] = {
	{ "ann@example.test", "Ann Example", "ann-sings-2-moths" },
	{ "bob@example.test", "Bob Example", "bob-paints-3-boats" },
};

/* The listeners, as demo.env names them. */
static const struct port {
	const char *name;
	enum conf_id listen;
	bool tls;
} ports[] = {
	{ "SMTP_PORT", CONF_LISTEN_SMTP, false },
	{ "SUBMISSION_PORT", CONF_LISTEN_SUBMISSION, false },
	{ "SUBMISSIONS_PORT", CONF_LISTEN_SUBMISSIONS, true },
	{ "IMAP_PORT", CONF_LISTEN_IMAP, false },
	{ "IMAPS_PORT", CONF_LISTEN_IMAPS, true },
	{ "POP3_PORT", CONF_LISTEN_POP3, false },
	{ "POP3S_PORT", CONF_LISTEN_POP3S, true },
};
static const size_t port_count = sizeof ports / sizeof ports[0];

struct demo {
	struct cli *c;
	char dir[PATH_SIZE], self[PATH_SIZE];
};

/* dir/name in out; false when that is too long. */
static bool demo_path(const struct demo *d, const char *name, char out[PATH_SIZE])
{
	return (size_t)snprintf(out, PATH_SIZE, "%.*s/%s", PATH_SIZE - 64, d->dir, name) <
		PATH_SIZE;
}

static int write_file(const struct demo *d, const char *name, struct str text, struct err *err)
{
	char path[PATH_SIZE], tmp[PATH_SIZE];
	int fd, r = -1;

	if (!demo_path(d, name, path) || !demo_path(d, ".tmp", tmp))
		return err_set(err, ERR_PERM, "the folder's path is too long");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_sys(err, "create", tmp);
	if (write(fd, text.p, text.n) == (ssize_t)text.n && rename(tmp, path) == 0)
		r = 0;
	else
		err_sys(err, "write", path);
	close(fd);
	return r;
}

static int add_person(struct cli *c, const struct person *p, struct err *err)
{
	struct channel *store = cli_store(c, err), *vault = cli_vault(c, err);
	struct store_account_add_req q = {
		.call = cli_call_id(), .login = str_c(p->login), .full_name = str_c(p->name)
	};
	struct store_account_add_rep a;
	struct vault_password_set_req pq = { .login = str_c(p->login),
		.password = str_c(p->password) };
	struct vault_password_set_rep pa;
	struct reply hold = { 0 }, hold2 = { 0 };
	int r;

	if (!store || !vault)
		return -1;
	r = store_account_add(store, &q, cli_deadline(), &a, &hold, err);
	if (r < 0 && err->kind == ERR_EXISTS)
		r = 0;
	else if (r == 0)
		r = vault_password_set(vault, &pq, cli_deadline(), &pa, &hold2, err);
	reply_free(&hold);
	reply_free(&hold2);
	return r;
}

/* The certificate, once; ca.pem is what clients are told to trust. */
static int ensure_certificate(struct demo *d, struct err *err)
{
	struct channel *vault = cli_vault(d->c, err);
	struct vault_identity_make_req q = { .names = str_c(certificate_names),
		.days = CERTIFICATE_DAYS };
	struct vault_identity_make_rep a;
	struct reply hold = { 0 };
	char path[PATH_SIZE];
	int r;

	if (!vault || !demo_path(d, "ca.pem", path))
		return -1;
	if (access(path, R_OK) == 0)
		return 0;
	r = vault_identity_make(vault, &q, cli_deadline(), &a, &hold, err);
	if (r == 0)
		r = write_file(d, "ca.pem", a.ca, err);
	reply_free(&hold);
	return r;
}

/* One connection that says what the service says first; with TLS the certificate must verify. */
static int try_port(
	const struct conf *conf, const struct port *p, struct tls_client *tls, struct err *err)
{
	struct str address, line;
	struct conn *c = NULL;
	uint16_t port;
	int r = -1;

	if (!conf_address(conf_item(conf, p->listen, 0), 0, &address, &port))
		return err_set(err, ERR_PERM, "no address for %s", p->name);
	if (dial(address, port, clock_mono() + 5000000000LL, &c, err) < 0)
		return -1;
	conn_deadline(c, clock_mono() + 5000000000LL);
	if ((!p->tls || conn_start_tls_client(c, tls, STR("localhost"), err) == 0) &&
		conn_read_line(c, 2048, LINE_CRLF, &line, err) == 0)
		r = 0;
	conn_free(&c);
	return r;
}

static int wait_for_ports(struct demo *d, struct err *err)
{
	int64_t until = clock_mono() + ANSWER_SECONDS * 1000000000LL;
	struct tls_client *tls = NULL;
	char path[PATH_SIZE];
	size_t i = 0;
	int r = 0;

	if (!demo_path(d, "ca.pem", path) || tls_client_new(&tls, path, true, err) < 0)
		return -1;
	while (r == 0 && i < port_count) {
		if (conf_count(d->c->conf, ports[i].listen) == 0 ||
			try_port(d->c->conf, &ports[i], tls, err) == 0)
			i++;
		else if (clock_mono() > until)
			r = err_wrap(err, "%s does not answer", ports[i].name);
		else
			r = task_sleep(clock_mono() + 50000000, err);
	}
	tls_client_free(&tls);
	return r;
}

static int write_env(const struct demo *d, struct err *err)
{
	struct buf env = BUF(65536);
	int r;

	buf_addz(&env, "HOST=127.0.0.1\n");
	for (size_t i = 0; i < port_count; i++) {
		struct str address;
		uint16_t port;

		if (conf_count(d->c->conf, ports[i].listen) &&
			conf_address(conf_item(d->c->conf, ports[i].listen, 0), 0, &address, &port))
			buf_addf(&env, "%s=%u\n", ports[i].name, port);
	}
	buf_addf(&env,
		"DOMAIN=example.test\nUSER1=%s\nPASS1=%s\nUSER2=%s\nPASS2=%s\n"
		"CAFILE='%s/ca.pem'\nTLS_NAME=localhost\n"
		"SENDMAIL='%s --config %s/eilpost.conf sendmail'\n",
		people[0].login, people[0].password, people[1].login, people[1].password, d->dir,
		d->self, d->dir);
	r = buf_ok(&env) ? write_file(d, "demo.env", buf_str(&env), err)
			 : err_set(err, ERR_LIMIT, "demo.env is too long");
	buf_free(&env);
	return r;
}

static int demo_ready(void *arg, struct err *err)
{
	struct demo *d = arg;
	int r = -1;

	d->c->group = task_group_new("demo");
	if (!d->c->group)
		return err_set(err, ERR_TEMP, "out of memory");
	if (add_person(d->c, &people[0], err) == 0 && add_person(d->c, &people[1], err) == 0 &&
		ensure_certificate(d, err) == 0 && wait_for_ports(d, err) == 0 &&
		write_env(d, err) == 0)
		r = 0;
	cli_disconnect(d->c);
	task_group_end(&d->c->group);
	if (r == 0) {
		puts("ready");
		fflush(stdout);
	}
	return r;
}

static int make_dir(struct demo *d, const char *dir, struct err *err)
{
	char path[PATH_SIZE], *full;
	bool fits;
	ssize_t n;

	if (mkdir(dir, 0755) < 0 && errno != EEXIST)
		return err_sys(err, "create", dir);
	if (!(full = realpath(dir, NULL)))
		return err_sys(err, "find", dir);
	fits = str_z(str_c(full), d->dir, sizeof d->dir);
	free(full);
	if (!fits)
		return err_set(err, ERR_PERM, "the folder's path is too long");
	n = readlink("/proc/self/exe", d->self, sizeof d->self - 1);
	if (n < 0)
		return err_sys(err, "read", "/proc/self/exe");
	d->self[n] = '\0';
	if (strchr(d->dir, '\'') || strchr(d->self, '\''))
		return err_set(err, ERR_PERM, "a path with ' in it cannot stand in demo.env");
	if (demo_path(d, "demo.env", path) && unlink(path) < 0 && errno != ENOENT)
		return err_sys(err, "remove the old", path);
	return 0;
}

/* Commands find the demo with --config DIR/eilpost.conf. */
static int write_conf(struct demo *d, struct err *err)
{
	struct buf text = BUF(1u << 20);
	int r;

	conf_serialise(d->c->conf, &text);
	r = write_file(d, "eilpost.conf", buf_str(&text), err);
	buf_free(&text);
	return r;
}

static int run_demo(struct demo *d, const struct conf_source *from, struct err *err)
{
	struct master_options o = { .ready = demo_ready, .arg = d };
	struct buf report = BUF(65536);
	int r = conf_load(from, &d->c->conf, &report, err);

	fwrite(report.p, 1, report.n, stderr);
	buf_free(&report);
	if (r < 0 || write_conf(d, err) < 0)
		return -1;
	o.conf = d->c->conf;
	return master_run(&o, err);
}

int cli_demo(struct cli *c)
{
	struct demo d = { .c = c };
	struct str sets[SETS_MAX];
	char base[64];
	struct conf_source from = { .kind = CONF_DEMO, .folder = d.dir, .set = sets };
	const char *dir = "demo", *arg;
	struct err err = ERR_INIT;

	while ((arg = cli_arg(c))) {
		const char *value = cli_arg(c);

		if (!value || from.sets == SETS_MAX)
			return cli_usage(c, "%s needs a value", arg);
		if (strcmp(arg, "--dir") == 0) {
			dir = value;
		} else if (strcmp(arg, "--port-base") == 0) {
			snprintf(base, sizeof base, "port-base=%.40s", value);
			sets[from.sets++] = str_c(base);
		} else if (strcmp(arg, "--set") == 0) {
			sets[from.sets++] = str_c(value);
		} else {
			return cli_usage(c, "\"%s\" is not known", arg);
		}
	}
	if (make_dir(&d, dir, &err) < 0 || run_demo(&d, &from, &err) < 0)
		return cli_fail_start(c, &err);
	return EX_OK;
}
