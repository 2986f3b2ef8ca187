/* Mail of an account was frozen: a log line each time, and once a day a message to the account's
 * owner and to the operator. It is due until it has been delivered, also after a restart. */
#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "mail/date.h"
#include "mail/facts.h"
#include "mail/queue_id.h"
#include "role/store_private.h"
#include "store/delivery.h"
#include "store/directory.h"
#include "store/sending.h"

#include <stdlib.h>
#include <sys/random.h>

enum { ALARM_MAX = 4096, ALARMS_AT_START = 1000 };

static const char alarm_text[] =
	"\r\n"
	"Mail from the account %s to other servers is being held back, because more was\r\n"
	"sent today than is usual:\r\n"
	"\r\n"
	"    %s\r\n"
	"\r\n"
	"Nothing is lost. Such messages wait until the operator of this server lets them go.\r\n"
	"\r\n"
	"If you have not sent them, somebody else knows your password: change it at once and "
	"tell\r\n"
	"the operator. If you have, ask the operator to release them.\r\n"
	"\r\n"
	"For the operator:\r\n"
	"\r\n"
	"    eilpost queue                        shows what is held\r\n"
	"    eilpost queue release %s\r\n"
	"    eilpost queue drop %s\r\n"
	"    eilpost account password %s\r\n"
	"    eilpost account caps %s MESSAGES RECIPIENTS\r\n";

static void compose(struct buf *b, struct str host, const char *login, const char *why, uint64_t id)
{
	char name[QUEUE_ID_SIZE];

	queue_id_print(id, name);
	buf_addf(b, "From: Mail Delivery System <MAILER-DAEMON@" STR_F ">\r\n", STR_A(host));
	buf_addf(b, "To: <%s>\r\nSubject: Mail from %s is held back\r\nDate: ", login, login);
	date_print(b, (struct date){ clock_wall(), 0 });
	buf_addf(b, "\r\nMessage-ID: <%s.alarm@" STR_F ">\r\n", name, STR_A(host));
	/* RFC 3834 5: so that nobody answers */
	buf_addz(b,
		"Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\n"
		"Content-Type: text/plain; charset=utf-8\r\n"
		"Content-Transfer-Encoding: 8bit\r\n");
	buf_addf(b, alarm_text, login, why, login, login, login, login);
}

/* To the owner, to whoever looks after the domain, and after the server: one copy per mailbox. */
static int hand_in(struct txn *t, const struct work *w, struct err *err)
{
	struct buf postmaster = BUF(DIRECTORY_ADDRESS), facts = BUF(FACTS_MAX),
		   refs = BUF(FACTS_REFS_BYTES);
	struct str user, domain = STR("");
	struct directory_login who;
	struct delivery_rcpt rcpts[3] = { 0 };
	struct delivery d = { .id = w->mailbox,
		.any_sender = true,
		.how = STR("the mail system"),
		.rcpts = rcpts,
		.rcpt_count = 3 };
	uint32_t local, queued;
	int r = -1;

	if (directory_account(&t->view, w->touched, &who, err) < 0)
		return -1;
	str_rcut(str_c(who.login), '@', &user, &domain);
	buf_addz(&postmaster, "postmaster@");
	buf_add(&postmaster, domain);
	rcpts[0].address = str_c(who.login);
	rcpts[1].address = buf_str(&postmaster);
	rcpts[2].address = STR("postmaster");
	d.body.size = w->text.n;
	if (facts_of(buf_str(&w->text), &facts, &refs, err) == 0) {
		d.body.facts = buf_str(&facts);
		d.body.refs = buf_str(&refs);
		r = delivery_accept(t, &d, &local, &queued, err);
	}
	buf_free(&postmaster);
	buf_free(&facts);
	buf_free(&refs);
	return r;
}

static int do_alarm(struct txn *t, struct store_job *job, struct err *err)
{
	const struct work *w = work_of(job);
	bool due = false;

	if (sending_told(t, w->touched, &due, err) < 0)
		return -1;
	return due ? hand_in(t, w, err) : 0;
}

static void after_alarm(struct work *w)
{
	if (w->job.result < 0)
		log_event(
			LOG_WARN, "store.alarm", L_U64("account", w->touched), L_ERR(&w->job.err));
}

static void tell(struct peer *p, uint64_t account, const char *login, const char *why)
{
	struct err err = ERR_INIT;
	struct work *w = store_work_new(p, NULL, &err);

	if (!w)
		return; /* with the next message, or the next start */
	w->touched = account;
	if (getrandom(&w->mailbox, sizeof w->mailbox, 0) != sizeof w->mailbox)
		w->mailbox = (uint64_t)clock_wall_us();
	w->text = BUF(ALARM_MAX);
	compose(&w->text, conf_str(p->s->role->conf, CONF_HOSTNAME), login, why, w->mailbox);
	w->job.body = buf_str(&w->text);
	w->job.write = do_alarm;
	w->after = after_alarm;
	store_work_submit(w);
}

void store_alarm_frozen(struct work *w)
{
	struct directory_login who;
	struct err err = ERR_INIT;

	if (w->job.result < 0 || !w->touched)
		return;
	if (directory_account(&w->s->view, w->touched, &who, &err) < 0)
		return;
	log_event(LOG_INFO, "submission.frozen", L_Z("login", who.login),
		L_Z("why", w->text.p + sizeof SENDING_FROZEN - 1));
	if (w->tell)
		tell(w->peer, w->touched, who.login, w->text.p + sizeof SENDING_FROZEN - 1);
}

struct untold {
	uint64_t accounts[ALARMS_AT_START];
	size_t n;
};

static bool add_untold(void *arg, uint64_t account)
{
	struct untold *u = arg;

	u->accounts[u->n++] = account;
	return u->n < ALARMS_AT_START;
}

void store_alarm_rest(struct store_role *s)
{
	struct untold *u;
	struct directory_login who;
	struct err err = ERR_INIT;

	if (s->alarms_begun || !s->peers)
		return;
	s->alarms_begun = true;
	u = calloc(1, sizeof *u);
	if (u && sending_untold(&s->view, add_untold, u, &err) == 0)
		for (size_t i = 0; i < u->n; i++)
			if (directory_account(&s->view, u->accounts[i], &who, &err) == 0)
				tell(s->peers, u->accounts[i], who.login, "over its cap");
	free(u);
}
