/* setup.c - eilpost setup ADDRESS: from nothing to a server that needs only its DNS records.
 *
 * Writes the configuration unless there is one, starts the server without listeners for a moment
 * if none is running, makes domain, account and certificate, and prints the DNS records and what to
 * type into a mail app. Running it again changes nothing that is already there.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/cli_private.h"
#include "conf/conf.h"
#include "mail/address.h"
#include "rt/task.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

enum { START_SECONDS = 30, CERTIFICATE_DAYS = 825 };

struct setup {
	struct cli *c;
	struct str login, domain;
	char hostname[256];
	pid_t server; /* 0: it was running already */
	bool made_account, made_certificate;
	int result;
	struct err err;
};

static int default_hostname(struct setup *s, const char *wanted, struct err *err)
{
	char own[256] = "", canonical[ADDRESS_DOMAIN_MAX + 1];
	struct str name;

	gethostname(own, sizeof own - 1);
	if (wanted)
		name = str_c(wanted);
	else if (str_endsi(str_c(own), s->domain) && strlen(own) > s->domain.n)
		name = str_c(own);
	else {
		snprintf(s->hostname, sizeof s->hostname, "mail." STR_F, STR_A(s->domain));
		return 0;
	}
	if (domain_canonical(name, canonical, &name, err) < 0)
		return -1;
	snprintf(s->hostname, sizeof s->hostname, STR_F, STR_A(name));
	return 0;
}

static int write_config(const struct setup *s, bool standard, struct err *err)
{
	const char *path = s->c->config;
	struct buf text = BUF(4096);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640), r = -1;

	if (fd < 0)
		return err_sys(err, "create", path);
	buf_addf(&text, "# `eilpost config manual` explains every setting.\n\nhostname %s;\n",
		s->hostname);
	if (!standard)
		buf_addz(&text, "data data;\ncontrol control;\n");
	if (write(fd, text.p, text.n) == (ssize_t)text.n && fsync(fd) == 0)
		r = 0;
	else
		err_sys(err, "write", path);
	close(fd);
	buf_free(&text);
	return r;
}

/* Make the folder of `path` and, unless it is there, the file. */
static int ensure_config(const struct setup *s, struct err *err)
{
	bool standard = strcmp(s->c->config, "/etc/eilpost/eilpost.conf") == 0;

	if (access(s->c->config, F_OK) == 0)
		return 0;
	if (standard && mkdir("/etc/eilpost", 0755) < 0 && errno != EEXIST) {
		err_sys(err, "create", "/etc/eilpost");
		return err_wrap(err, "run this as root, or name a file of yours with --config");
	}
	return write_config(s, standard, err);
}

static bool server_answers(struct setup *s)
{
	struct err quiet = ERR_INIT;
	bool up = cli_store(s->c, &quiet) != NULL;

	if (!up)
		cli_disconnect(s->c);
	return up;
}

static void exec_server(const struct cli *c)
{
	static const char *const closed[] = { "listen.smtp=off", "listen.submission=off",
		"listen.submissions=off", "listen.imap=off", "listen.imaps=off", "listen.pop3=off",
		"listen.pop3s=off", "log.level=warn" };
	enum { CLOSED = sizeof closed / sizeof closed[0] };
	const char *argv[6 + 2 * CLOSED] = { "eilpost", "--config", c->config, "serve" };
	size_t n = 4;

	for (size_t i = 0; i < CLOSED; i++) {
		argv[n++] = "--set";
		argv[n++] = closed[i];
	}
	argv[n] = NULL;
	execv("/proc/self/exe", (char *const *)argv);
	_exit(EX_OSERR);
}

/* A server of our own, without listeners, for as long as the setup takes. */
static int start_server(struct setup *s, struct err *err)
{
	int64_t until = clock_mono() + START_SECONDS * 1000000000LL;

	s->server = fork();
	if (s->server < 0) {
		s->server = 0;
		return err_sys(err, "start", "the server");
	}
	if (s->server == 0)
		exec_server(s->c);
	while (clock_mono() < until) {
		int status;

		if (server_answers(s))
			return 0;
		if (waitpid(s->server, &status, WNOHANG) == s->server) {
			s->server = 0;
			return err_set(err, ERR_PERM, "the server did not start; see above");
		}
		if (task_sleep(clock_mono() + 50000000, err) < 0)
			return -1;
	}
	return err_set(
		err, ERR_TIMEOUT, "the server did not start within %d seconds", START_SECONDS);
}

static void stop_server(struct setup *s)
{
	if (s->server <= 0)
		return;
	kill(s->server, SIGTERM);
	while (waitpid(s->server, NULL, 0) < 0 && errno == EINTR)
		;
	s->server = 0;
}

static int set_password(struct setup *s, struct err *err)
{
	struct channel *vault = cli_vault(s->c, err);
	struct vault_password_set_req q = { .login = s->login };
	struct vault_password_set_rep a;
	struct reply hold = { 0 };
	struct buf password = BUF(1024);
	char prompt[400];
	int r = -1;

	snprintf(prompt, sizeof prompt, "New password for " STR_F, STR_A(s->login));
	if (vault && cli_password(prompt, true, &password, err) == 0) {
		q.password = buf_str(&password);
		r = vault_password_set(vault, &q, cli_deadline(), &a, &hold, err);
	}
	if (password.p)
		explicit_bzero(password.p, password.cap);
	buf_free(&password);
	reply_free(&hold);
	return r;
}

static int ensure_account(struct setup *s, struct err *err)
{
	struct channel *store = cli_store(s->c, err);
	struct store_account_add_req q = {
		.call = cli_call_id(), .login = s->login, .full_name = STR("")
	};
	struct store_account_add_rep a;
	struct reply hold = { 0 };
	int r;

	if (!store)
		return -1;
	r = store_account_add(store, &q, cli_deadline(), &a, &hold, err);
	reply_free(&hold);
	if (r < 0)
		return err->kind == ERR_EXISTS ? 0 : -1;
	s->made_account = true;
	return set_password(s, err);
}

static int ensure_certificate(struct setup *s, struct err *err)
{
	struct channel *vault = cli_vault(s->c, err);
	struct vault_status_req sq = { 0 };
	struct vault_status_rep sa;
	struct vault_identity_make_req q = { .days = CERTIFICATE_DAYS };
	struct vault_identity_make_rep a;
	struct reply hold = { 0 };
	struct buf names = BUF(600);
	int r;

	if (!vault || vault_status(vault, &sq, cli_deadline(), &sa, &hold, err) < 0)
		return -1;
	reply_free(&hold);
	if (sa.identities || conf_is_set(s->c->conf, CONF_TLS_CERTIFICATE))
		return 0;
	buf_addf(&names, "%s," STR_F ",localhost", s->hostname, STR_A(s->domain));
	q.names = buf_str(&names);
	r = vault_identity_make(vault, &q, cli_deadline(), &a, &hold, err);
	s->made_certificate = r == 0;
	reply_free(&hold);
	buf_free(&names);
	return r;
}

static void print_result(const struct setup *s)
{
	struct str d = s->domain;

	printf("%s " STR_F ".\n",
		s->made_account ? "Made the account" : "There is already an account",
		STR_A(s->login));
	if (s->made_certificate)
		puts("Made a certificate of our own. Mail apps will warn about it; get one from a "
		     "public\n"
		     "authority and name it with tls.certificate and tls.key.");
	printf("\nDNS records for " STR_F " (replace ADDRESS by this machine's public address):\n\n"
	       "  %s.  A     ADDRESS\n"
	       "  " STR_F ".  MX    10 %s.\n"
	       "  " STR_F ".  TXT   \"v=spf1 mx -all\"\n"
	       "  _dmarc." STR_F ".  TXT   \"v=DMARC1; p=none; rua=mailto:postmaster@" STR_F "\"\n"
	       "  _submissions._tcp." STR_F ".  SRV   0 1 465 %s.\n"
	       "  _imaps._tcp." STR_F ".  SRV   0 1 993 %s.\n",
		STR_A(d), s->hostname, STR_A(d), s->hostname, STR_A(d), STR_A(d), STR_A(d),
		STR_A(d), s->hostname, STR_A(d), s->hostname);
	printf("\nFor your mail app:\n\n"
	       "  user name   " STR_F "\n"
	       "  incoming    IMAP, %s, port 993, TLS\n"
	       "  outgoing    SMTP, %s, port 465, TLS, the same name and password\n",
		STR_A(s->login), s->hostname, s->hostname);
	if (strcmp(s->c->config, "/etc/eilpost/eilpost.conf") == 0)
		puts("\nNow start it: eilpost serve");
	else
		printf("\nNow start it: eilpost --config %s serve\n", s->c->config);
}

static void run_setup(void *arg)
{
	struct setup *s = arg;

	s->c->group = task_group_new("setup");
	s->result = -1;
	if (!s->c->group)
		err_set(&s->err, ERR_TEMP, "out of memory");
	else if ((server_answers(s) || start_server(s, &s->err) == 0) &&
		ensure_account(s, &s->err) == 0 && ensure_certificate(s, &s->err) == 0)
		s->result = 0;
	cli_disconnect(s->c);
	task_group_end(&s->c->group);
	stop_server(s);
}

static int prepare(struct setup *s, const char *address, const char *hostname,
	struct address_store *store, struct err *err)
{
	struct address a;

	if (address_mailbox(str_c(address), 0, store, &a, err) < 0)
		return -1;
	s->login = str_c(address);
	s->domain = a.domain;
	if (default_hostname(s, hostname, err) < 0 || ensure_config(s, err) < 0 ||
		cli_load(s->c, err) < 0)
		return -1;
	return rt_main(run_setup, s, err);
}

int cli_setup(struct cli *c)
{
	struct setup s = { .c = c, .err = ERR_INIT };
	const char *address = NULL, *hostname = NULL, *arg;
	struct address_store store;

	while ((arg = cli_arg(c))) {
		if (strcmp(arg, "--hostname") == 0)
			hostname = cli_arg(c);
		else if (arg[0] == '-' || address)
			return cli_usage(c, "\"%s\" is not known", arg);
		else
			address = arg;
	}
	if (!address)
		return cli_usage(c, "whose mail? Give an address of the domain.");
	if (prepare(&s, address, hostname, &store, &s.err) < 0 || s.result < 0)
		return cli_fail(c, &s.err);
	print_result(&s);
	return EX_OK;
}
