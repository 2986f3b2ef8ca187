/* Greylisting for all mx fronts. It lives in this process because fronts come and go; it is lost
 * with it, and then strangers are put off once more, which costs minutes and no mail. */
#include "base/clock.h"
#include "conf/conf.h"
#include "role/store_private.h"
#include "trust/greylist.h"

/* A list in the DNS may ask for it although the setting does not. */
static bool in_use(const struct conf *conf)
{
	return conf_duration(conf, CONF_GREYLIST) > 0 || conf_count(conf, CONF_DNSBL) > 0;
}

int store_greylist_start(struct store_role *s, struct err *err)
{
	if (!in_use(s->role->conf))
		return 0;
	s->greylist = greylist_new(err);
	return s->greylist ? 0 : -1;
}

void store_on_greylist(struct peer *p, struct request *req)
{
	struct store_greylist_req q;
	struct store_greylist_rep a = { 0 };
	struct err err = ERR_INIT;
	int64_t wait;

	if (store_greylist_req_get(req->body, &q, &err) < 0) {
		channel_violation(req->ch, err.msg);
		request_fail(&req, &err);
		return;
	}
	if (p->s->greylist) {
		wait = greylist_ask(p->s->greylist, clock_mono(), q.delay * CLOCK_SEC, q.network,
			q.sender, q.address);
		a.wait = (uint32_t)((wait + CLOCK_SEC - 1) / CLOCK_SEC);
	}
	store_greylist_answer(&req, &a);
}

void store_greylist_wrote(struct store_role *s, struct str rcpts)
{
	struct store_rcpt_item item;

	while (s->greylist && store_rcpt_item_next(&rcpts, &item))
		if (item.target == 0) /* on another server */
			greylist_wrote(s->greylist, clock_mono(), item.address);
}
