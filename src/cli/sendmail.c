/* sendmail.c - eilpost sendmail: hand in a message from standard input, as PHP, cron and git do.
 *
 * The message goes to the store of the running server over the control socket, so it needs no
 * password; the master lets in who may administer the server. 0 is said only when it is durable.
 */
#include "cli/cli.h"

#include "base/clock.h"
#include "cli/cli_private.h"
#include "cli/sendmail_args.h"
#include "conf/conf.h"
#include "mail/address.h"
#include "mail/facts.h"
#include "mail/header.h"
#include "mail/queue_id.h"
#include "mail/trace.h"
#include "rt/task.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

enum { OVERHEAD = 64 * 1024, TXN = 1 };

struct mail {
	struct cli *c;
	struct sendmail_args args;
	char domain[256]; /* of names without one */
	struct buf sender, message;
	struct buf rcpts; /* one after another, each ended by NUL; no address holds one */
	size_t rcpt_count;
};

/* ---- the message ---- */

/* Lines end in CRLF from here on, whatever the caller wrote; a lone CR is a line's end too, because
 * nobody may pass one on. Gives false at the end of the message. */
static bool add_line(struct mail *m, struct str line)
{
	if (!m->args.ignore_dots && str_eq(line, STR(".")))
		return false;
	buf_add(&m->message, line);
	buf_add(&m->message, STR("\r\n"));
	return true;
}

static int too_big(const struct mail *m, struct err *err)
{
	return err_set(err, ERR_LIMIT, "the message is over %zu bytes", m->message.max - OVERHEAD);
}

static int read_message(struct mail *m, struct err *err)
{
	struct buf line = BUF(m->message.max);
	bool after_cr = false, more = true;
	int ch;

	while (more && buf_ok(&line) && buf_ok(&m->message) && (ch = getc_unlocked(stdin)) != EOF) {
		if (ch == '\n' && after_cr) {
			after_cr = false;
			continue;
		}
		after_cr = ch == '\r';
		if (ch == '\n' || ch == '\r') {
			more = add_line(m, buf_str(&line));
			buf_clear(&line);
		} else if (ch != '\0') {
			buf_addc(&line, (char)ch);
		}
	}
	if (more && line.n)
		add_line(m, buf_str(&line));
	if (ferror(stdin))
		err_sys(err, "read", "the message");
	else if (!buf_ok(&line) || !buf_ok(&m->message))
		too_big(m, err);
	else
		more = true;
	if (ferror(stdin) || !buf_ok(&line) || !buf_ok(&m->message))
		more = false;
	buf_free(&line);
	return more ? 0 : -1;
}

/* ---- addresses ---- */

/* "ann" or "ann@example.org", checked and complete. */
static int complete(const struct mail *m, struct str text, struct buf *out, struct err *err)
{
	struct address_store store;
	struct address a;
	struct buf full = BUF(ADDRESS_PATH_MAX + 64);
	int r;

	text = str_trim(text);
	buf_add(&full, text);
	if (str_find(text, '@') == text.n)
		buf_addf(&full, "@%s", m->domain);
	r = buf_ok(&full) ? address_mailbox(buf_str(&full), ADDRESS_UTF8, &store, &a, err)
			  : err_set(err, ERR_PERM, "the address is too long");
	if (r == 0)
		address_print(out, &a);
	else
		err_wrap(err, STR_F, STR_A(str_head(text, 80)));
	buf_free(&full);
	return r;
}

static int add_rcpt(struct mail *m, struct str text, struct err *err)
{
	if (m->rcpt_count == SENDMAIL_RCPTS_MAX)
		return err_set(err, ERR_LIMIT, "more than %d recipients", SENDMAIL_RCPTS_MAX);
	if (complete(m, text, &m->rcpts, err) < 0)
		return -1;
	buf_addc(&m->rcpts, '\0');
	m->rcpt_count++;
	return 0;
}

static int add_list(struct mail *m, struct str value, struct err *err)
{
	struct address_list list;
	struct address_item item;
	struct buf text = BUF(1024);
	int r = 0;

	address_list_init(&list, value);
	while (r == 0 && address_list_next(&list, &item)) {
		if (item.kind != ADDRESS_ITEM_MAILBOX)
			continue;
		buf_clear(&text);
		buf_add(&text, item.local);
		if (item.domain.n) {
			buf_addc(&text, '@');
			buf_add(&text, item.domain);
		}
		r = add_rcpt(m, buf_str(&text), err);
	}
	address_list_free(&list);
	buf_free(&text);
	return r;
}

/* -t: To, Cc and Bcc; where the message is being resent, the Resent- forms instead. */
static int rcpts_from_head(struct mail *m, struct str head, struct err *err)
{
	bool resent = header_count(head, STR("Resent-To")) ||
		header_count(head, STR("Resent-Cc")) || header_count(head, STR("Resent-Bcc"));
	struct header_iter it = HEADER_ITER(head);
	struct header_field f;
	int r = 0;

	while (r == 0 && header_next(&it, &f)) {
		struct str name = f.name;

		if (str_take(&name, STR("Resent-")) != resent)
			continue;
		if (str_eqi(name, STR("To")) || str_eqi(name, STR("Cc")) ||
			str_eqi(name, STR("Bcc")))
			r = add_list(m, f.value, err);
	}
	return r;
}

static int find_rcpts(struct mail *m, struct str head, struct err *err)
{
	for (size_t i = 0; i < m->args.rcpt_count; i++)
		if (add_rcpt(m, m->args.rcpts[i], err) < 0)
			return -1;
	if (m->args.from_head && rcpts_from_head(m, head, err) < 0)
		return -1;
	if (m->rcpt_count == 0)
		return err_set(
			err, ERR_PERM, "no recipients: name them, or use -t with a To field");
	return 0;
}

static int find_sender(struct mail *m, struct err *err)
{
	const struct passwd *user;

	if (m->args.has_sender && m->args.sender.n == 0)
		return 0;
	if (m->args.has_sender)
		return complete(m, m->args.sender, &m->sender, err);
	user = getpwuid(getuid());
	return complete(m, user ? str_c(user->pw_name) : STR("postmaster"), &m->sender, err);
}

/* Names without a domain belong to the local domain that this host is in, else to the first one. */
static int find_domain(struct mail *m, struct err *err)
{
	struct channel *store = cli_store(m->c, err);
	struct store_domains_req q = { .after = STR("") };
	struct store_domains_rep a;
	struct reply hold = { 0 };
	struct store_domain_row row;
	struct str host;
	bool ours = false;

	if (!store || store_domains(store, &q, cli_deadline(), &a, &hold, err) < 0)
		return -1;
	host = conf_str(m->c->conf, CONF_HOSTNAME);
	while (!ours && store_domain_row_next(&a.items, &row)) {
		ours = str_endsi(host, row.name);
		if (row.kind == DOMAIN_LOCAL && (ours || !m->domain[0]))
			str_z(row.name, m->domain, sizeof m->domain);
	}
	if (!m->domain[0])
		str_z(host, m->domain, sizeof m->domain);
	reply_free(&hold);
	return 0;
}

/* ---- handing in ---- */

/* The message as it goes on: Received, the repaired head, the body. */
static int finish_head(struct mail *m, struct str id, struct buf *out, struct err *err)
{
	struct str whole = buf_str(&m->message), host = conf_str(m->c->conf, CONF_HOSTNAME);
	struct date now = { .unix = clock_wall() };
	struct trace_hop hop = { .helo = STR("localhost"),
		.by = host,
		.protocol = STR("local"),
		.id = id,
		.date = now };
	struct buf from = BUF(1024);
	struct head_fix fix = { .now = now, .id = id, .host = host };
	size_t head;
	int r;

	if (!head_find_end(whole, &head)) /* nothing but a head: its empty line is missing */
		buf_add(&m->message, STR("\r\n"));
	whole = buf_str(&m->message);
	head_find_end(whole, &head);
	if (m->args.full_name.n && str_find(m->args.full_name, '"') == m->args.full_name.n &&
		str_find(m->args.full_name, '\n') == m->args.full_name.n)
		buf_addf(&from, "\"" STR_F "\" ", STR_A(m->args.full_name));
	buf_addf(
		&from, "<" STR_F ">", STR_A(m->sender.n ? buf_str(&m->sender) : STR("postmaster")));
	fix.from = buf_str(&from);
	trace_received(out, &hop);
	r = head_fix_submission(str_head(whole, head), &fix, out, err);
	buf_add(out, str_from(whole, head));
	buf_free(&from);
	return r == 0 && !buf_ok(out) ? too_big(m, err) : r;
}

/* Ask for each recipient, so that one that does not exist is said before anything is sent. */
static int send_rcpts(struct mail *m, struct channel *store, struct err *err)
{
	struct buf items = BUF(61440);
	const char *p = m->rcpts.p;
	int r = 0;

	for (size_t i = 0; r == 0 && i < m->rcpt_count; i++, p += strlen(p) + 1) {
		struct store_rcpt_req q = { .sender = buf_str(&m->sender), .address = str_c(p) };
		struct store_rcpt_rep a;
		struct store_txn_rcpts piece = { .txn = TXN };
		struct reply hold = { 0 };

		if (store_rcpt(store, &q, cli_deadline(), &a, &hold, err) < 0) {
			reply_free(&hold);
			r = err_wrap(err, "%s", p);
			break;
		}
		reply_free(&hold);
		buf_clear(&items);
		store_rcpt_item_put(&items,
			&(struct store_rcpt_item){ .target = a.target,
				.address = str_c(p),
				.notify = m->args.notify });
		piece.rcpts = buf_str(&items);
		r = store_txn_rcpts_send(store, &piece, err);
	}
	buf_free(&items);
	return r;
}

static bool has_8bit(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] & 0x80)
			return true;
	return false;
}

static int hand_in(struct mail *m, struct err *err)
{
	struct store_deliver_req q = { .call = cli_call_id(),
		.txn = TXN,
		.sender = buf_str(&m->sender),
		.envid = m->args.envid,
		.ret = m->args.ret,
		.peer = STR("local"),
		.priority = PRIORITY_NORMAL,
		.proto = STR("sendmail") };
	struct store_deliver_rep a;
	struct channel *store = cli_store(m->c, err);
	struct buf body = BUF(m->message.max + OVERHEAD), facts = BUF(FACTS_MAX),
		   refs = BUF(FACTS_REFS_BYTES);
	struct reply hold = { 0 };
	char id[QUEUE_ID_SIZE];
	int r = -1;

	queue_id_print(q.call, id);
	cli_body_begin(m->c, TXN);
	if (store && finish_head(m, str_c(id), &body, err) == 0 &&
		facts_of(buf_str(&body), &facts, &refs, err) == 0 &&
		send_rcpts(m, store, err) == 0 && cli_body_send(m->c, buf_str(&body), err) == 0) {
		q.size = body.n;
		q.facts = buf_str(&facts);
		q.refs = buf_str(&refs);
		q.flags = has_8bit(buf_str(&body)) ? DELIVER_8BIT : 0;
		r = store_deliver(store, &q, cli_deadline(), &a, &hold, err);
	}
	reply_free(&hold);
	buf_free(&body);
	buf_free(&facts);
	buf_free(&refs);
	return r;
}

static int submit(struct mail *m, struct err *err)
{
	size_t head;

	if (find_domain(m, err) < 0)
		return -1;
	m->message = BUF((size_t)conf_u64(m->c->conf, CONF_MESSAGE_MAX_SIZE) + OVERHEAD);
	if (read_message(m, err) < 0)
		return -1;
	head_find_end(buf_str(&m->message), &head);
	if (find_sender(m, err) < 0 || find_rcpts(m, str_head(buf_str(&m->message), head), err) < 0)
		return -1;
	return hand_in(m, err);
}

/* -q: everything that waits is tried now. */
static int flush_queue(struct cli *c, struct err *err)
{
	struct store_queue_change_req q = { .op = QUEUE_RETRY };
	struct channel *store = cli_store(c, err);
	uint64_t changed;

	return store ? cli_queue_change(store, &q, &changed, err) : -1;
}

int cli_sendmail(struct cli *c)
{
	static struct mail m; /* one a process; its list of recipients is no stack's load */
	struct err err = ERR_INIT;
	int r = 0;

	m = (struct mail){ .c = c, .sender = BUF(ADDRESS_PATH_MAX + 64), .rcpts = BUF(1u << 20) };
	if (sendmail_args(c->argc, c->argv, &m.args, &err) < 0)
		return cli_usage(c, "%s", err.msg);
	if (m.args.mode == SENDMAIL_QUEUE) {
		c->argc = 0;
		return cli_queue(c);
	}
	if (m.args.mode == SENDMAIL_FLUSH)
		r = flush_queue(c, &err);
	else if (m.args.mode == SENDMAIL_SUBMIT)
		r = submit(&m, &err);
	buf_free(&m.sender);
	buf_free(&m.rcpts);
	buf_free(&m.message);
	return r < 0 ? cli_fail(c, &err) : EX_OK;
}
