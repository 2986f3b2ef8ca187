/* send.c - eilpost send: hand a message to any server, as a mail app would, and say what it
 * answered.
 *
 * The text of the message comes from standard input; From, To, Subject, Date and Message-ID are
 * made. A password is asked for, or read from the first line of standard input when that is no
 * terminal. The server's certificate must verify unless --insecure is given.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "base/secret.h"
#include "cli/cli_private.h"
#include "crypto/tls.h"
#include "mail/date.h"
#include "mail/encode.h"
#include "mail/queue_id.h"
#include "net/dial.h"
#include "smtp/client.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { RCPTS_MAX = 100, TEXT_MAX = 64 << 20, CONNECT_SECONDS = 30 };

struct send {
	struct cli *c;
	const char *server, *from, *user, *subject, *ca_file;
	struct str to[RCPTS_MAX];
	size_t to_count;
	bool insecure, quiet;
	enum smtp_encryption encryption;
	char host[256], port[8];
	struct tls_client *tls;
	struct secret password;
	struct buf message;
	bool sent;
};

/* ---- arguments ---- */

static int read_args(struct send *s)
{
	const char *arg, *value;

	while ((arg = cli_arg(s->c))) {
		if (strcmp(arg, "--insecure") == 0 || strcmp(arg, "--quiet") == 0) {
			*(arg[2] == 'i' ? &s->insecure : &s->quiet) = true;
			continue;
		}
		value = cli_arg(s->c);
		if (!value)
			return cli_usage(s->c, "%s needs a value, or is not known", arg);
		if (strcmp(arg, "--server") == 0)
			s->server = value;
		else if (strcmp(arg, "--from") == 0)
			s->from = value;
		else if (strcmp(arg, "--user") == 0)
			s->user = value;
		else if (strcmp(arg, "--subject") == 0)
			s->subject = value;
		else if (strcmp(arg, "--ca-file") == 0)
			s->ca_file = value;
		else if (strcmp(arg, "--to") == 0 && s->to_count < RCPTS_MAX)
			s->to[s->to_count++] = str_c(value);
		else
			return cli_usage(s->c, "\"%s\" is not known", arg);
	}
	if (!s->server || !s->from || s->to_count == 0)
		return cli_usage(s->c, "--server, --from and --to are needed");
	return EX_OK;
}

/* smtp://HOST[:PORT], smtp+starttls://, smtps://. */
static int read_server(struct send *s, struct err *err)
{
	struct str url = str_c(s->server), host, port;

	if (str_take(&url, STR("smtps://"))) {
		s->encryption = SMTP_WRAPPED;
		port = STR("465");
	} else if (str_take(&url, STR("smtp+starttls://"))) {
		s->encryption = SMTP_STARTTLS;
		port = STR("587");
	} else {
		str_take(&url, STR("smtp://"));
		s->encryption = s->user ? SMTP_STARTTLS : SMTP_MAY;
		port = s->user ? STR("587") : STR("25");
	}
	host = url;
	if (url.n && url.p[0] == '[' && str_find(url, ']') < url.n) {
		host = str_make(url.p + 1, str_find(url, ']') - 1);
		url = str_from(url, host.n + 2);
		if (url.n > 1 && url.p[0] == ':')
			port = str_from(url, 1);
	} else {
		str_rcut(url, ':', &host, &port);
	}
	if (!host.n || !str_z(host, s->host, sizeof s->host) ||
		!str_z(port, s->port, sizeof s->port))
		return err_set(err, ERR_PERM, "the server is written smtps://HOST:PORT");
	return 0;
}

/* ---- the message ---- */

static int make_message(struct send *s, struct err *err)
{
	struct date now = { .unix = clock_wall() };
	char id[QUEUE_ID_SIZE], last = '\n', c;
	size_t n;

	queue_id_print(cli_call_id(), id);
	buf_addz(&s->message, "Date: ");
	date_print(&s->message, now);
	buf_addf(&s->message, "\r\nFrom: <%s>\r\nTo: ", s->from);
	for (size_t i = 0; i < s->to_count; i++)
		buf_addf(&s->message, "%s<" STR_F ">", i ? ",\r\n " : "", STR_A(s->to[i]));
	buf_addz(&s->message, "\r\nSubject: ");
	words_encode(&s->message, str_c(s->subject ? s->subject : "a message by eilpost send"), 9);
	buf_addf(&s->message,
		"\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n\r\n",
		id, strchr(s->from, '@') ? strrchr(s->from, '@') + 1 : "localhost");
	while ((n = fread(&c, 1, 1, stdin)) == 1 && buf_ok(&s->message)) {
		if (c == '\n' && last != '\r')
			buf_addc(&s->message, '\r');
		if (c != '\0')
			buf_addc(&s->message, c);
		last = c;
	}
	if (last != '\n')
		buf_addz(&s->message, "\r\n");
	return buf_ok(&s->message) ? 0 : err_set(err, ERR_LIMIT, "the message is too big");
}

static int next_piece(void *arg, struct str *piece, struct err *err)
{
	struct send *s = arg;

	(void)err;
	*piece = s->sent ? STR("") : buf_str(&s->message);
	s->sent = true;
	return 0;
}

/* ---- the session ---- */

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct send *s = arg;

	return conn_start_tls_client(c, s->tls, str_c(s->host), err);
}

static int connect_to(struct send *s, struct conn **c, struct err *err)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list,
			*a;
	char address[INET6_ADDRSTRLEN];
	int why = getaddrinfo(s->host, s->port, &hints, &list), r = -1;

	if (why)
		return err_set(err, ERR_NOTFOUND, "%s: %s", s->host, gai_strerror(why));
	for (a = list; a && r < 0; a = a->ai_next)
		if (getnameinfo(a->ai_addr, a->ai_addrlen, address, sizeof address, NULL, 0,
			    NI_NUMERICHOST) == 0)
			r = dial(str_c(address), (uint16_t)atoi(s->port),
				clock_after(CONNECT_SECONDS * CLOCK_SEC), c, err);
	freeaddrinfo(list);
	return r;
}

static void show(const struct send *s, const char *what, const struct smtp_answer *a)
{
	if (!s->quiet && a->code)
		printf("%s: %u %s %s\n", what, a->code, a->status, a->text);
}

static int send_to(struct send *s, struct smtp_client *client, struct err *err)
{
	struct smtp_client_rcpt *rcpts = calloc(s->to_count, sizeof *rcpts);
	struct smtp_client_mail mail = { .from = str_c(s->from),
		.size = s->message.n,
		.body = SMTP_BODY_8BIT,
		.rcpts = rcpts,
		.rcpt_count = s->to_count,
		.read = next_piece,
		.arg = s };
	int r;

	if (!rcpts)
		return err_set(err, ERR_TEMP, "out of memory");
	for (size_t i = 0; i < s->to_count; i++)
		rcpts[i] = (struct smtp_client_rcpt){ .address = s->to[i] };
	r = smtp_client_send(client, &mail, err);
	for (size_t i = 0; r == 0 && i < s->to_count; i++) {
		char address[321];

		str_z(s->to[i], address, sizeof address);
		show(s, address, &rcpts[i].answer);
		if (rcpts[i].answer.code / 100 != 2)
			r = err_set(err, rcpts[i].answer.code / 100 == 5 ? ERR_PERM : ERR_TEMP,
				"%s was refused: %u %.150s", address, rcpts[i].answer.code,
				rcpts[i].answer.text);
	}
	free(rcpts);
	return r;
}

static int run(struct send *s, struct err *err)
{
	struct smtp_client_options o = { .helo = STR("localhost"),
		.encryption = s->encryption,
		.start_tls = start_tls,
		.arg = s,
		.user = str_c(s->user),
		.times = SMTP_TIMES };
	struct smtp_client *client = NULL;
	struct smtp_answer answer = { .code = 0 };
	struct conn *c = NULL;
	int r = -1;

	if (tls_client_new(&s->tls, s->ca_file, !s->insecure && s->encryption != SMTP_MAY, err) <
			0 ||
		connect_to(s, &c, err) < 0)
		goto out;
	o.password = s->user ? &s->password : NULL;
	r = smtp_client_open(&client, c, &o, &answer, err);
	show(s, "session", &answer);
	if (r == 0)
		r = send_to(s, client, err);
	smtp_client_close(&client);
out:
	tls_client_free(&s->tls);
	return r;
}

static int take_password(struct send *s, struct err *err)
{
	struct buf b = BUF(1024);
	int r = 0;

	if (!s->user)
		return 0;
	if (cli_password("Password at the server", false, &b, err) < 0 ||
		secret_copy(&s->password, buf_str(&b), err) < 0)
		r = -1;
	secret_wipe_buf(&b);
	return r;
}

int cli_send(struct cli *c)
{
	struct send s = { .c = c, .message = BUF(TEXT_MAX), .password = SECRET_NONE };
	struct err err = ERR_INIT;
	int code = read_args(&s);

	if (code != EX_OK)
		return code;
	if (read_server(&s, &err) < 0 || take_password(&s, &err) < 0 ||
		make_message(&s, &err) < 0 || run(&s, &err) < 0)
		code = cli_fail(c, &err);
	else if (!s.quiet)
		puts("The server has taken the message.");
	secret_free(&s.password);
	buf_free(&s.message);
	return code;
}
