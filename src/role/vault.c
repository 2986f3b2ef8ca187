/* The vault role: start, peers, and which request goes where. */
#include "role/vault_private.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "crypto/crypto.h"
#include "role/secret_file.h"

#include <stdlib.h>
#include <unistd.h>

enum { TASKS_MAX = 2000, NAMES_MAX = 2000 };
enum { FRONTS = WHO_MX | WHO_SUBMIT | WHO_MAILBOX | WHO_WEB };

static struct vault self;

static void do_status(struct vault *v, struct request *req)
{
	struct vault_status_rep a = {
		.logins = v->logins, .failures = v->failures, .limited = v->limited
	};
	struct buf names = BUF(4 * NAMES_MAX);

	vault_identities_status(v, &a, &names);
	vault_status_answer(&req, &a);
	buf_free(&names);
}

/* What waits (for the store, for a hash) runs in a task of its own. Key operations do not wait. */
static const struct route_row {
	uint16_t type;
	bool waits;
	vault_do_fn *run;
} rows[] = {
	{ MSG_vault_sign, false, vault_do_sign },
	{ MSG_vault_login, true, vault_do_login },
	{ MSG_vault_regrant, true, vault_do_regrant },
	{ MSG_vault_scram_first, true, vault_do_scram_first },
	{ MSG_vault_scram_final, true, vault_do_scram_final },
	{ MSG_vault_certificate, true, vault_do_certificate },
	{ MSG_vault_client_ca, false, vault_do_client_ca },
	{ MSG_vault_identities, false, vault_do_identities },
	{ MSG_vault_ticket_keys, false, vault_do_ticket_keys },
	{ MSG_vault_provider, true, vault_do_provider },
	{ MSG_vault_password_set, true, vault_do_password_set },
	{ MSG_vault_identity_make, true, vault_do_identity_make },
	{ MSG_vault_identity_import, true, vault_do_identity_import },
	{ MSG_vault_provider_set, true, vault_do_provider_set },
	{ MSG_vault_status, false, do_status },
};

/* ---- tasks ---- */

struct job {
	struct vault *v;
	struct request *req;
	vault_do_fn *run;
};

static void run_job(void *arg)
{
	struct job j = *(struct job *)arg;

	free(arg);
	j.run(j.v, j.req);
	j.v->tasks--;
}

static void start_job(struct vault *v, struct request *req, vault_do_fn *run)
{
	struct job *j = v->tasks < TASKS_MAX ? malloc(sizeof *j) : NULL;
	struct err err = ERR_INIT;

	if (!j) {
		err_set(&err, ERR_LIMIT, "the vault is busy, try again");
		request_fail(&req, &err);
		return;
	}
	*j = (struct job){ v, req, run };
	v->tasks++;
	if (task_spawn(v->group, "vault request", run_job, j, &err) == 0)
		return;
	v->tasks--;
	free(j);
	request_fail(&req, &err);
}

/* ---- peers ---- */

static void on_request(void *arg, struct request *req)
{
	struct vault_peer *p = arg;

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (rows[i].type != req->type)
			continue;
		if (rows[i].waits)
			start_job(p->v, req, rows[i].run);
		else
			rows[i].run(p->v, req);
		return;
	}
	request_free(&req);
}

static void on_end(void *arg, const struct err *why)
{
	struct vault_peer *p = arg, **at = &p->v->peers;

	(void)why;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	channel_close(&p->ch);
	free(p);
}

static void on_peer(void *arg, uint32_t who, uint32_t number, int fd)
{
	struct vault *v = arg;
	struct vault_peer *p = v->group ? calloc(1, sizeof *p) : NULL; /* else we are ending */
	struct err err = ERR_INIT;

	if (!p) {
		close(fd);
		return;
	}
	p->v = v;
	p->ch = channel_new(v->r->group, fd, who, number, on_request, on_end, p, &err);
	if (!p->ch) {
		log_event(LOG_ERROR, "vault.peer", L_ERR(&err));
		free(p);
		return;
	}
	p->next = v->peers;
	v->peers = p;
}

void vault_tell(struct vault *v, uint32_t what)
{
	struct vault_changed m = { .what = what };
	struct err err = ERR_INIT;

	for (struct vault_peer *p = v->peers; p; p = p->next)
		if (channel_who(p->ch) & FRONTS)
			(void)vault_changed_send(p->ch, &m, &err);
}

/* ---- life ---- */

int role_vault_prepare(struct role *r, struct err *err)
{
	int fd = role_take_file(r, FILE_SEAL, NULL), done = -1;

	self.r = r;
	if (crypto_init(err) < 0)
		goto out;
	if (fd < 0)
		err_set(err, ERR_PERM, "the master gave no sealing key file");
	else if (seal_load(fd, &self.seal, err) == 0 &&
		secret_file_read(r, "smarthost", &self.smarthost, err) == 0 &&
		vault_client_ca_prepare(&self, err) == 0)
		done = vault_identities_prepare(&self, err);
out:
	if (fd >= 0)
		close(fd);
	return done;
}

/* The store may wait for its database: then so do we. A database that several machines share is
 * used by none that could not read its passwords and would write ones that the others cannot read.
 */
static int load(struct vault *v, struct err *err)
{
	bool shared = conf_str(v->r->conf, CONF_STORE).n > 0;
	struct err why = ERR_INIT;

	while ((shared && vault_seal_check(v, err) < 0) || vault_identities_load(v, err) < 0) {
		bool away = err->kind == ERR_TEMP || err->kind == ERR_TIMEOUT ||
			err->kind == ERR_CLOSED;

		if (!away || v->r->stopping || task_sleep(clock_after(CLOCK_SEC), &why) < 0)
			return -1;
	}
	return 0;
}

static int begin(struct vault *v, struct role *r, struct err *err)
{
	v->store = role_link(r, WHO_STORE);
	v->group = task_group_new("vault");
	if (!v->group)
		return err_set(err, ERR_TEMP, "out of memory");
	if (vault_login_begin(v, err) < 0 || vault_tickets_begin(v, err) < 0)
		return -1;
	return load(v, err);
}

/* No peer and no task any more: wipe what was secret. */
static void end(struct vault *v)
{
	while (v->peers) {
		struct vault_peer *p = v->peers;

		v->peers = p->next;
		channel_close(&p->ch);
		free(p);
	}
	task_group_end(&v->group);
	vault_tickets_free(v);
	vault_identities_free(v);
	vault_login_end(v);
	secret_free(&v->smarthost);
	buf_free(&v->client_ca);
	seal_free(&v->seal);
	*v = (struct vault){ 0 };
}

int role_vault_main(struct role *r, struct err *err)
{
	struct vault *v = &self;
	int done = begin(v, r, err);

	if (done == 0) {
		role_on_peer(r, FRONTS | WHO_COURIER | WHO_OPERATOR, on_peer, v);
		role_ready(r, "");
		while (!r->stopping && task_wait(-1, 0, &r->stop, NEVER, err) >= 0)
			;
	}
	end(v);
	return done;
}
