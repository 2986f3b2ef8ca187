#include "role/courier_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/tls.h"
#include "net/dial.h"
#include "smtp/client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIAL_TIME (30 * CLOCK_SEC)
/* IPv6 gets this long when IPv4 could stand in, and is left out for a while when it fails (T152).
 */
#define DIAL_TIME_V6 (1 * CLOCK_SEC)
#define DIAL_TIME_FIRST (4 * CLOCK_SEC)
#define V6_BAD (600 * CLOCK_SEC)
#define LINGER (1 * CLOCK_SEC)
#define PROVIDER_TIME (30 * CLOCK_SEC)

enum { TRIES_MAX = 3 };

struct session {
	struct courier *c;
	struct dest *d;
	struct smtp_client *client;
	struct target_list targets;
	size_t next;               /* target to try next */
	char remote[TEXT_MAX + 1]; /* "mx.example.net[192.0.2.1]:25" */
	char host[256];
	struct smtp_answer answer; /* why the last target would not have us */
	struct err err;
	unsigned jobs, done; /* taken for this connection; brought on its way on it */
	/* RFC 8689: of the servers, one was not certain or offers no REQUIRETLS; one was not
	 * reached.
	 */
	bool unfit, unreached;
	struct signal go;
	struct session *next_idle;
	bool is_idle;
};

void session_wake(struct session *s)
{
	signal_raise(&s->go);
}

struct session *session_next_idle(struct session *s)
{
	return s->next_idle;
}

/* ---- connecting ---- */

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct session *s = arg;
	bool verify = s->d->route.tls != ROUTE_TLS_MAY;
	struct tls_client *tls = verify ? courier_verified(s->c, err) : s->c->any;

	if (!tls)
		return err_wrap(err, "no authorities to verify the server with");
	return conn_start_tls_client(c, tls, str_c(s->host), err);
}

/* The password of this route, in passing. */
static int get_login(struct session *s, struct str *user, struct secret *password,
	struct reply *hold, struct err *err)
{
	struct vault_provider_req q = { .route = s->d->route.name };
	struct vault_provider_rep a;
	int64_t deadline = clock_after(PROVIDER_TIME);
	struct channel *ch = link_wait(s->c->vault, deadline, err);

	if (!ch || vault_provider(ch, &q, deadline, &a, hold, err) < 0)
		return err->kind == ERR_NOTFOUND
			? err_set(err, ERR_TEMP, "no password is kept for the route " STR_F,
				  STR_A(s->d->route.name))
			: -1;
	*user = a.user;
	return secret_copy(password, a.password, err);
}

static int open_client(struct session *s, struct conn *c, enum smtp_encryption encryption)
{
	struct smtp_client_options o = { .helo = conf_str(s->c->conf, CONF_HOSTNAME),
		.lmtp = s->d->route.lmtp,
		.encryption = encryption,
		.start_tls = start_tls,
		.arg = s,
		.times = SMTP_TIMES };
	struct secret password = SECRET_NONE;
	struct reply hold = { 0 };
	int r = -1;

	s->answer = (struct smtp_answer){ .phase = SMTP_LOGIN };
	if (s->d->route.login && get_login(s, &o.user, &password, &hold, &s->err) < 0) {
		conn_free(&c);
		goto out;
	}
	if (s->d->route.login)
		o.password = &password;
	r = smtp_client_open(&s->client, c, &o, &s->answer, &s->err);
out:
	secret_free(&password);
	reply_free(&hold);
	return r;
}

/* T152: nobody waits long for one address while there are others. Those that were silent are tried
 * once more, with patience, after all others. */
static int64_t dial_time(const struct session *s, const struct target *t)
{
	bool v6 = route_address_is_v6(str_c(t->address)), other = false;

	for (size_t i = 0; i < s->targets.count; i++)
		other |= !route_address_is_v6(str_c(s->targets.t[i].address));
	if (t->was_silent || s->targets.count == 1)
		return DIAL_TIME;
	return v6 && other ? DIAL_TIME_V6 : DIAL_TIME_FIRST;
}

static void note_silence(struct session *s, const struct target *t)
{
	struct target again = *t;

	if (s->err.kind == ERR_CANCELED)
		return;
	if (route_address_is_v6(str_c(t->address)) && s->targets.count > 1)
		s->c->v6_bad_until = clock_after(V6_BAD);
	if (s->err.kind != ERR_TIMEOUT || t->was_silent || s->targets.count < 2 ||
		s->targets.count == TARGETS_MAX)
		return;
	again.was_silent = true;
	s->targets.t[s->targets.count++] = again;
}

static int connect_target(struct session *s, const struct target *t, enum smtp_encryption how)
{
	struct conn *c = NULL;

	s->answer = (struct smtp_answer){ .phase = SMTP_CONNECT };
	s->err = ERR_INIT;
	if (dial(str_c(t->address), t->port, clock_after(dial_time(s, t)), &c, &s->err) < 0) {
		note_silence(s, t);
		return -1;
	}
	return open_client(s, c, how);
}

static void name_target(struct session *s, const struct target *t)
{
	snprintf(s->host, sizeof s->host, "%s", t->name);
	snprintf(s->remote, sizeof s->remote, "%s[%s]:%u", t->name, t->address, (unsigned)t->port);
}

static int try_target(struct session *s, const struct target *t)
{
	static const enum smtp_encryption wanted[] = { [ROUTE_TLS_MAY] = SMTP_MAY,
		[ROUTE_TLS_REQUIRE] = SMTP_STARTTLS,
		[ROUTE_TLS_IMPLICIT] = SMTP_WRAPPED };
	enum smtp_encryption how = wanted[s->d->route.tls];

	name_target(s, t);
	if (connect_target(s, t, how) == 0)
		return 0;
	/* T153, RFC 3207 4.1: a broken handshake is no reason to keep mail that may go in clear. */
	if (how != SMTP_MAY || s->answer.phase != SMTP_TLS || s->err.kind == ERR_CANCELED)
		return -1;
	log_event(LOG_INFO, "courier.tls-failed", L_Z("relay", s->remote), L_ERR(&s->err));
	return connect_target(s, t, SMTP_CLEAR);
}

/* RFC 8689 4.2.1: a server that offers no REQUIRETLS is as good as none. */
static int check_fitness(struct session *s)
{
	if (!s->d->require_tls || smtp_client_offers(s->client, SMTP_REQUIRETLS))
		return 0;
	smtp_client_close(&s->client);
	s->answer = (struct smtp_answer){ .phase = SMTP_TLS };
	return err_set(&s->err, ERR_PERM, "the server does not support REQUIRETLS");
}

/* Was that the server's unfitness, or is there hope in another attempt? */
static void note_failure(struct session *s)
{
	bool broke = s->err.kind == ERR_TIMEOUT || s->err.kind == ERR_CLOSED ||
		s->err.kind == ERR_CANCELED;

	if (s->answer.phase == SMTP_TLS && !broke && s->answer.code / 100 != 4)
		s->unfit = true;
	else
		s->unreached = true;
}

/* -1: none of the targets that are left will have us. */
static int connect_next(struct session *s)
{
	s->jobs = s->done = 0;
	while (s->next < s->targets.count) {
		const struct target *t = &s->targets.t[s->next++];

		if (try_target(s, t) == 0 && check_fitness(s) == 0) {
			s->d->proven = true;
			return 0;
		}
		note_failure(s);
		log_event(LOG_INFO, "courier.host-failed", L_Z("relay", s->remote), L_ERR(&s->err));
		if (s->err.kind == ERR_CANCELED)
			return -1;
	}
	return -1;
}

/* ---- a message that did not go ---- */

/* A connection that broke, or a server that says goodbye: where others went through, or on another
 * host, the message may do better; one that breaks several connections is put off. */
static void give_back(struct session *s, struct job *j)
{
	bool elsewhere = s->done > 0 || s->next < s->targets.count;

	if (task_cancelled()) {
		j->busy = false;
		dest_put_back(s->d, j);
	} else if (job_is_void(j)) {
		job_settle(j, RCPT_RELEASED, 0, "4.0.0", STR("its lease has ended"), STR(""));
		job_finish(j);
	} else if (j->tries < TRIES_MAX && elsewhere) {
		j->tries++;
		j->busy = false;
		dest_put_back(s->d, j);
	} else {
		job_settle(j, RCPT_DEFERRED, 0, "4.4.2", str_c(s->err.msg), str_c(s->remote));
		job_finish(j);
	}
}

/* ---- a session ---- */

static bool is_stopping(const struct session *s)
{
	return s->c->r->stopping;
}

/* Wait a moment for more: a connection is worth keeping while mail keeps coming. */
static void linger(struct session *s)
{
	struct err err = ERR_INIT;
	struct session **at = &s->d->idle;

	s->is_idle = true;
	s->next_idle = s->d->idle;
	s->d->idle = s;
	(void)task_wait(-1, 0, &s->go, clock_after(LINGER), &err);
	while (*at && *at != s)
		at = &(*at)->next_idle;
	if (*at)
		*at = s->next_idle;
	s->is_idle = false;
}

static struct job *next_job(struct session *s)
{
	struct job *j;

	if (is_stopping(s) || task_cancelled())
		return NULL;
	j = dest_take(s->d);
	if (!j && s->jobs > 0 && smtp_client_usable(s->client)) {
		linger(s);
		j = is_stopping(s) || task_cancelled() ? NULL : dest_take(s->d);
	}
	return j;
}

/* Send what waits over this connection. */
static void use_connection(struct session *s)
{
	struct job *j;

	s->d->connected++;
	while (s->jobs < SESSION_JOBS_MAX && smtp_client_usable(s->client) && (j = next_job(s))) {
		enum sending sent = message_send(j, s->client, s->remote, &s->err);

		s->jobs++;
		s->done += sent != NOT_SENT;
		if (sent == SENT_PARTLY)
			j->tries = 0;
		if (sent == SENT)
			job_finish(j);
		else
			give_back(s, j);
	}
	s->d->connected--;
}

/* RFC 8689 4.2.1: it goes back rather than anywhere else. */
static void refuse_unfit(struct session *s, const char *why)
{
	char text[TEXT_MAX + 1];

	snprintf(text, sizeof text, "REQUIRETLS support required: %s", why);
	dest_settle_all(s->d, RCPT_FAILED, 550, "5.7.30", str_c(text), str_c(s->remote));
}

/* Every host refused: all that waits here waits on. But when others of our connections stand, it
 * was only one too many (T151). */
static void nobody_there(struct session *s)
{
	struct reply_verdict v = reply_judge(
		(enum reply_phase)s->answer.phase, s->answer.code, str_c(s->answer.status));

	if (task_cancelled())
		return;
	if (s->d->connected > 0) {
		s->d->most = s->d->connected;
		return;
	}
	if (s->d->require_tls && s->unfit && !s->unreached) {
		refuse_unfit(s, s->err.msg);
		return;
	}
	dest_settle_all(s->d, RCPT_DEFERRED, s->answer.code,
		s->answer.phase == SMTP_CONNECT ? "4.4.1" : v.status,
		s->answer.code ? str_c(s->answer.text) : str_c(s->err.msg), str_c(s->remote));
}

/* Connection after connection until nothing waits. A connection over which nothing came to an end
 * leads to the next host; three such in a row, and the destination is taken for down. */
static void deliver_all(struct session *s)
{
	unsigned broken = 0;

	while (s->d->queued > 0 && !is_stopping(s)) {
		if (broken == TRIES_MAX || connect_next(s) < 0) {
			nobody_there(s);
			return;
		}
		use_connection(s);
		smtp_client_close(&s->client);
		if (s->done > 0) {
			broken = 0;
			s->next--; /* a good host */
			if (s->c->hungry)
				return; /* others wait for a connection */
		} else if (s->jobs > 0) {
			broken++;
			if (s->next == s->targets.count)
				s->next = 0;
		}
	}
}

static void deliver(struct session *s)
{
	const char *status = "4.3.0";
	enum mx_verdict v = courier_resolve(s->c, &s->d->route, &s->targets, &status, &s->err);

	if (v == MX_USE && s->d->require_tls && !s->targets.certain)
		refuse_unfit(s, "the MX records are not signed, so no server is certain");
	else if (v == MX_USE)
		deliver_all(s);
	else if (!task_cancelled())
		dest_settle_all(s->d, v == MX_FAIL ? RCPT_FAILED : RCPT_DEFERRED, 0, status,
			str_c(s->err.msg), STR(""));
}

void session_start(void *arg)
{
	struct dest *d = arg;
	struct session *s = calloc(1, sizeof *s);

	if (s) {
		s->c = d->c;
		s->d = d;
		task_describe(str_c(d->key));
		deliver(s);
		free(s);
	}
	dest_session_ended(d);
}
