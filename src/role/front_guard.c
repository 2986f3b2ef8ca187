#include "role/front_guard.h"

#include "base/clock.h"
#include "base/log.h"
#include "conf/conf.h"
#include "role/front_lists.h"
#include "trust/rates.h"

#include <stdlib.h>

enum {
	SOURCES_MAX = 65536, /* more than there are connections */
	KNOWN_MAX = 32768,   /* addresses remembered: half a MiB when all are there */
	RESERVED = 10,       /* one in so many connections is for the known */
	HANDSHAKE_SECONDS = 30,
	HURRIED_SECONDS = 10, /* handshakes and commands of strangers when it gets crowded */
	FREE_ERRORS = 5,      /* everybody mistypes */
};
#define KNOWN_FOR (30 * 24 * 3600 * CLOCK_SEC)
#define HOLD_STEP (CLOCK_SEC / 2)
#define HOLD_ALL (60 * CLOCK_SEC) /* of one session */

/* An address or a network that has connections now. */
struct guard_source {
	uint64_t key;
	size_t connections, handshakes;
};

struct guard {
	struct rates *rates;
	struct buckets *known;
	struct lists *lists; /* NULL: none are set */
	struct map addresses, networks;
	size_t handshakes;
	uint64_t suppressed; /* log lines */
	uint64_t per_address, per_network, most, handshakes_max;
	int64_t greeting_pause, tarpit;
};

static uint32_t count_of(const struct front *f, enum conf_id id)
{
	return (uint32_t)conf_u64(f->conf, id);
}

int guard_new(struct front *f, struct err *err)
{
	struct rates_rules rules = { .connections = count_of(f, CONF_RATE_CONNECTIONS),
		.messages = count_of(f, CONF_RATE_MESSAGES),
		.recipients = count_of(f, CONF_RATE_RECIPIENTS),
		.account_recipients = count_of(f, CONF_RATE_ACCOUNT_RECIPIENTS) };
	struct guard *g = calloc(1, sizeof *g);

	f->guard = g;
	if (!g)
		return err_set(err, ERR_TEMP, "out of memory");
	*g = (struct guard){ .addresses = MAP(SOURCES_MAX),
		.networks = MAP(SOURCES_MAX),
		.per_address = conf_u64(f->conf, CONF_CONNECTIONS_PER_ADDRESS),
		.per_network = conf_u64(f->conf, CONF_CONNECTIONS_PER_NETWORK),
		.most = conf_u64(f->conf, CONF_CONNECTIONS_MAX),
		.handshakes_max = conf_u64(f->conf, CONF_TLS_HANDSHAKES),
		.greeting_pause = conf_duration(f->conf, CONF_SMTP_GREETING_PAUSE),
		.tarpit = conf_duration(f->conf, CONF_SMTP_TARPIT) };
	g->rates = rates_new(&rules, err);
	g->known = buckets_new(KNOWN_MAX);
	if (g->rates && g->known)
		return lists_new(f, &g->lists, err);
	return err_set(err, ERR_TEMP, "out of memory");
}

void guard_free(struct front *f)
{
	struct guard *g = f->guard;

	if (!g)
		return;
	lists_free(&g->lists);
	rates_free(&g->rates);
	buckets_free(&g->known);
	map_free(&g->addresses);
	map_free(&g->networks);
	free(g);
	f->guard = NULL;
}

static int64_t time_of(const struct visitor *v)
{
	return v->now ? v->now : clock_mono();
}

/* T095: whoever is refused a thousand times a second does not fill the log. */
static bool may_log(struct visitor *v, uint64_t *suppressed)
{
	struct guard *g = v->front->guard;

	if (rates_take(g->rates, time_of(v), &v->keys, RATES_LOG_LINES, 1) != RATES_OK) {
		g->suppressed++;
		return false;
	}
	*suppressed = g->suppressed;
	g->suppressed = 0;
	return true;
}

static void tell(
	struct visitor *v, const char *event, const char *reason, uint64_t n, uint64_t most)
{
	uint64_t suppressed;

	if (may_log(v, &suppressed))
		log_event(LOG_INFO, event, L_STR("sid", v->session), L_STR("rip", v->peer),
			L_Z("reason", reason), L_U64("n", n), L_U64("most", most),
			L_U64("suppressed", suppressed));
}

/* ---- coming in ---- */

static struct guard_source *join(struct map *m, uint64_t key)
{
	struct guard_source *s = map_get_u64(m, key);

	if (!s) {
		s = calloc(1, sizeof *s);
		if (!s || !map_put_u64(m, key, s)) {
			free(s);
			return NULL;
		}
		s->key = key;
	}
	s->connections++;
	return s;
}

static void part(struct map *m, struct guard_source **source)
{
	struct guard_source *s = *source;

	*source = NULL;
	if (!s || --s->connections > 0)
		return;
	map_del_u64(m, s->key);
	free(s);
}

/* How many connections there may be besides those that are reserved for whom we know. */
static uint64_t room_for(const struct visitor *v)
{
	uint64_t most = v->front->guard->most;

	return v->known || v->local ? most : most - most / RESERVED;
}

static const char *refuse(
	struct visitor *v, const char *reason, uint64_t n, uint64_t most, const char *words)
{
	tell(v, "guard.refused", reason, n, most);
	return words;
}

static const char *check(struct visitor *v)
{
	struct guard *g = v->front->guard;
	uint64_t sessions = v->front->role->sessions;
	enum rates_answer fast;

	if (!v->address || !v->network)
		return refuse(v, "memory", 0, 0, "out of memory");
	if (sessions > room_for(v))
		return refuse(v, "full", sessions, room_for(v), "too many connections");
	if (g->per_address && v->address->connections > g->per_address)
		return refuse(v, "address", v->address->connections, g->per_address,
			"too many connections from your address");
	if (g->per_network && v->network->connections > g->per_network)
		return refuse(v, "network", v->network->connections, g->per_network,
			"too many connections from your network");
	fast = rates_take(g->rates, time_of(v), &v->keys, RATES_CONNECTIONS, 1);
	if (fast == RATES_OK)
		return NULL;
	return refuse(v, fast == RATES_ADDRESS ? "address-rate" : "network-rate",
		v->address->connections, count_of(v->front, CONF_RATE_CONNECTIONS),
		"you connect too often");
}

const char *guard_enter(struct visitor *v, struct front *f, struct str peer)
{
	struct guard *g = f->guard;
	struct ip ip;

	v->front = f;
	v->peer = peer;
	v->keys = ip_keys(peer);
	v->local = !ip_parse(&ip, peer) || ip_is_loopback(&ip);
	v->known = buckets_until(g->known, v->keys.address) > time_of(v);
	v->address = join(&g->addresses, v->keys.address);
	v->network = join(&g->networks, v->keys.network);
	return check(v);
}

void guard_leave(struct visitor *v)
{
	struct guard *g = v->front->guard;

	lists_drop(&v->check);
	part(&g->addresses, &v->address);
	part(&g->networks, &v->network);
}

void guard_welcome(struct front *f, struct str peer)
{
	buckets_set(f->guard->known, ip_keys(peer).address, clock_after(KNOWN_FOR));
}

/* More than so many of a hundred connections are taken. */
static bool crowded(const struct front *f, uint64_t percent)
{
	return f->role->sessions * 100 > f->guard->most * percent;
}

/* ---- handshakes: T026, T083 ---- */

static int shake(struct front *f, struct conn *c, enum service s, struct guard_source *network,
	struct err *err)
{
	int64_t seconds = crowded(f, 80) ? HURRIED_SECONDS : HANDSHAKE_SECONDS;
	int r;

	f->guard->handshakes++;
	if (network)
		network->handshakes++;
	conn_deadline(c, clock_after(seconds * CLOCK_SEC));
	r = conn_start_tls_server(c, f->tls[s], err);
	if (network)
		network->handshakes--;
	f->guard->handshakes--;
	return r;
}

int guard_start_tls(struct front *f, struct conn *c, enum service s, struct err *err)
{
	struct guard *g = f->guard;
	struct guard_source *network = map_get_u64(&g->networks, ip_keys(conn_peer(c)).network);

	if (!f->tls[s])
		return err_set(err, ERR_TEMP, "there is no certificate yet");
	if (g->handshakes_max && g->handshakes >= g->handshakes_max)
		return err_set(err, ERR_LIMIT, "%zu unfinished handshakes", g->handshakes);
	/* One network cannot keep the others out. */
	if (g->handshakes_max && network && network->handshakes >= (g->handshakes_max + 3) / 4)
		return err_set(err, ERR_LIMIT, "%zu unfinished handshakes of this network",
			network->handshakes);
	return shake(f, c, s, network, err);
}

/* ---- the greeting ---- */

/* RFC 5321 3.1: 554 instead of the greeting; RFC 5321 4.3.1: a client waits for it. */
static int too_early(struct visitor *v, struct conn *c, struct err *err)
{
	struct str host = conf_str(v->front->conf, CONF_HOSTNAME);

	tell(v, "guard.early-talker", "spoke before the greeting", conn_buffered(c), 0);
	conn_writef(c, "554 " STR_F " you spoke before the greeting\r\n", STR_A(host));
	(void)conn_flush(c, err);
	return err_set(err, ERR_PROTO, "spoke before the greeting");
}

void guard_look_up(struct visitor *v)
{
	struct ip ip;

	if (!v->local && ip_parse(&ip, v->peer))
		v->check = lists_ask(v->front->guard->lists, &ip);
}

int guard_greeting(struct visitor *v, struct conn *c, struct err *err)
{
	int64_t pause = v->front->guard->greeting_pause;
	struct err quiet = ERR_INIT;

	guard_look_up(v);
	if (v->local || v->known || pause == 0)
		return 0;
	if (conn_wait(c, NULL, clock_after(pause), &quiet) < 0 && quiet.kind != ERR_TIMEOUT) {
		*err = quiet;
		return -1;
	}
	return conn_buffered(c) ? too_early(v, c, err) : 0;
}

/* ---- while it talks ---- */

static int too_fast(struct visitor *v, enum rates_answer who, unsigned code, const char *status,
	const char *what, struct smtp_reply *no)
{
	tell(v, "guard.rate", what, 0, 0);
	smtp_reply_set(no, code, status, "too many %s from your %s, try again later", what,
		rates_words(who));
	return -1;
}

static int64_t hold_for(const struct visitor *v, uint64_t errors)
{
	int64_t hold = (int64_t)(errors - FREE_ERRORS) * HOLD_STEP, most = v->front->guard->tarpit;

	if (hold > most)
		hold = most;
	return hold < HOLD_ALL - v->held ? hold : HOLD_ALL - v->held;
}

/* T091: each new error costs a stranger time, as long as tasks are cheap. */
static void tarpit(struct visitor *v, uint64_t errors, int64_t *hold)
{
	bool more = errors > v->errors;

	v->errors = errors;
	if (!more || errors <= FREE_ERRORS || v->local || v->known || v->logged_in ||
		crowded(v->front, 50) || lists_allowed(v->check))
		return;
	*hold = hold_for(v, errors);
	if (*hold > 0 && v->held == 0)
		tell(v, "guard.tarpit", "errors", errors, FREE_ERRORS);
	v->held += *hold;
}

int guard_pace(
	void *visitor, uint64_t errors, int64_t *silence, int64_t *hold, struct smtp_reply *no)
{
	struct visitor *v = visitor;
	struct guard *g = v->front->guard;
	enum rates_answer fast;

	if (v->logged_in)
		return 0;
	fast = rates_take(g->rates, time_of(v), &v->keys, RATES_COMMANDS, 1);
	if (fast != RATES_OK)
		return too_fast(v, fast, 421, "4.7.0", "commands", no);
	if (!v->known && !v->local && crowded(v->front, 80) &&
		*silence > HURRIED_SECONDS * CLOCK_SEC)
		*silence = HURRIED_SECONDS * CLOCK_SEC;
	tarpit(v, errors, hold);
	return 0;
}

int guard_mail(struct visitor *v, struct smtp_reply *no)
{
	enum rates_answer fast;

	if (v->logged_in)
		return 0;
	fast = rates_take(v->front->guard->rates, time_of(v), &v->keys, RATES_MESSAGES, 1);
	return fast == RATES_OK ? 0 : too_fast(v, fast, 451, "4.7.1", "messages", no);
}

/* ---- who is on a list ---- */

/* RFC 5321 4.5.1 and 7.9: whoever is refused must be able to complain. RFC 2142 4 */
static bool takes_complaints(const struct address *to)
{
	return str_eqi(to->local, STR("postmaster")) || str_eqi(to->local, STR("abuse"));
}

static int ask_lists(struct visitor *v, struct err *err)
{
	static const char *const words[] = { [LISTS_REJECT] = "reject",
		[LISTS_GREYLIST] = "greylist",
		[LISTS_DEFER] = "defer",
		[LISTS_LOG] = "log",
		[LISTS_ALLOW] = "allow" };
	enum lists_action action;

	if (v->listed)
		return 0;
	if (lists_decide(v->check, &action, &v->zone, err) < 0)
		return -1;
	v->listed = action + 1u;
	if (action != LISTS_NONE)
		log_event(LOG_INFO, "guard.listed", L_STR("sid", v->session), L_STR("rip", v->peer),
			L_STR("zone", v->zone), L_Z("action", words[action]));
	return 0;
}

static int check_lists(struct visitor *v, const struct address *to, struct smtp_reply *no)
{
	struct err err = ERR_INIT;
	bool reject;

	if (!v->check || takes_complaints(to))
		return 0;
	if (ask_lists(v, &err) < 0) {
		smtp_reply_err(no, SMTP_AT_RCPT, &err);
		return -1;
	}
	reject = v->listed == LISTS_REJECT + 1u;
	if (!reject && v->listed != LISTS_DEFER + 1u)
		return 0;
	smtp_reply_set(no, reject ? 550 : 451, reject ? "5.7.1" : "4.7.1",
		STR_F " is listed at " STR_F, STR_A(v->peer), STR_A(v->zone));
	return -1;
}

int guard_rcpt(
	struct visitor *v, struct str account, const struct address *to, struct smtp_reply *no)
{
	struct rates *r = v->front->guard->rates;
	enum rates_answer fast;

	fast = v->logged_in ? rates_take_account(r, time_of(v), account, 1)
			    : rates_take(r, time_of(v), &v->keys, RATES_RECIPIENTS, 1);
	if (fast != RATES_OK)
		return too_fast(v, fast, 451, "4.7.1", "recipients", no);
	return v->logged_in ? 0 : check_lists(v, to, no);
}

/* ---- who has to come back: RFC 6647 2.3 ---- */

enum { GREYLIST_USUAL = 300 }; /* seconds, when only a list in the DNS asks for it */

/* Nobody is put off because the store does not answer. */
static uint32_t ask_greylist(
	struct visitor *v, int64_t delay, struct str sender, struct str address)
{
	char network[IP_NETWORK_SIZE] = "";
	struct store_greylist_req q = {
		.sender = sender, .address = address, .delay = (uint32_t)delay
	};
	struct store_greylist_rep a = { 0 };
	struct reply hold = { 0 };
	struct err err = ERR_INIT;
	struct channel *ch = link_wait(v->front->store, clock_after(CLOCK_SEC), &err);
	struct ip ip;
	uint32_t wait = 0;

	if (ip_parse(&ip, v->peer))
		ip_network(&ip, network);
	q.network = str_c(network);
	if (ch && store_greylist(ch, &q, clock_after(10 * CLOCK_SEC), &a, &hold, &err) == 0)
		wait = a.wait;
	reply_free(&hold);
	return wait;
}

int guard_greylist(struct visitor *v, struct str sender, struct str address,
	const struct address *to, struct smtp_reply *no)
{
	int64_t delay = conf_duration(v->front->conf, CONF_GREYLIST) / CLOCK_SEC;
	bool asked_for = v->listed == LISTS_GREYLIST + 1u;
	uint32_t wait;

	if (asked_for && delay == 0)
		delay = GREYLIST_USUAL;
	if (delay == 0 || v->local || v->logged_in || takes_complaints(to) ||
		(!asked_for && v->known) || v->listed == LISTS_ALLOW + 1u)
		return 0;
	wait = ask_greylist(v, delay, sender, address);
	if (wait == 0)
		return 0;
	log_event(LOG_INFO, "guard.greylist", L_STR("sid", v->session), L_STR("rip", v->peer),
		L_STR("from", sender), L_STR("to", address), L_U64("wait", wait));
	smtp_reply_set(no, 451, "4.7.1", "greylisted, try again in %u seconds", wait);
	return -1;
}
