/* XCLIENT: a front that is listed says for whom it speaks. Postfix has described it
 * (XCLIENT_README): attributes with values in xtext, "[UNAVAILABLE]" for what the front does not
 * know; the answer is the greeting, and the session begins anew. */
#include "smtp/server_private.h"

#include "base/codec.h"
#include "base/ip.h"

#include <arpa/inet.h>

enum { VALUE_MAX = 255 };

struct attributes {
	struct smtp_xclient x;
	char name[VALUE_MAX], helo[VALUE_MAX], address[INET6_ADDRSTRLEN];
	bool extended;
};

typedef bool attribute_fn(struct attributes *a, struct str value);

static struct str keep(char *room, struct str value)
{
	for (size_t i = 0; i < value.n; i++)
		room[i] = value.p[i];
	return str_make(room, value.n);
}

static bool take_name(struct attributes *a, struct str value)
{
	a->x.name = keep(a->name, value);
	return smtp_helo_valid(value);
}

static bool take_address(struct attributes *a, struct str value)
{
	struct ip ip;

	(void)str_take(&value, STR("IPV6:"));
	if (!ip_parse(&ip, value))
		return false;
	inet_ntop(ip.v6 ? AF_INET6 : AF_INET, ip.byte, a->address, sizeof a->address);
	a->x.address = str_c(a->address);
	return true;
}

static bool take_port(struct attributes *a, struct str value)
{
	uint64_t port;
	bool ok = str_u64(value, 65535, &port);

	a->x.port = ok ? (uint16_t)port : 0;
	return ok;
}

static bool take_proto(struct attributes *a, struct str value)
{
	a->extended = str_eqi(value, STR("ESMTP"));
	return a->extended || str_eqi(value, STR("SMTP"));
}

static bool take_helo(struct attributes *a, struct str value)
{
	/* Whatever the client said there: what we would not have taken is not known here. */
	if (smtp_helo_valid(value))
		a->x.helo = keep(a->helo, value);
	return true;
}

static bool take_login(struct attributes *a, struct str value)
{
	a->x.login = true;
	return true;
}

static bool take_destination(struct attributes *a, struct str value)
{
	struct ip ip;

	(void)str_take(&value, STR("IPV6:"));
	return ip_parse(&ip, value);
}

static bool take_destination_port(struct attributes *a, struct str value)
{
	uint64_t port;

	return str_u64(value, 65535, &port);
}

static const struct attribute {
	struct str name;
	attribute_fn *take;
} attributes[] = {
	{ STR_INIT("NAME"), take_name },
	{ STR_INIT("ADDR"), take_address },
	{ STR_INIT("PORT"), take_port },
	{ STR_INIT("PROTO"), take_proto },
	{ STR_INIT("HELO"), take_helo },
	{ STR_INIT("LOGIN"), take_login },
	{ STR_INIT("DESTADDR"), take_destination },
	{ STR_INIT("DESTPORT"), take_destination_port },
};

static bool take_value(struct attributes *a, const struct attribute *what, struct str raw)
{
	struct buf value = BUF(VALUE_MAX);
	bool ok = xtext_decode(raw, &value) && buf_ok(&value) && value.n > 0;

	for (size_t i = 0; ok && i < value.n; i++)
		ok = !is_ctl(value.p[i]);
	if (ok && !str_eqi(buf_str(&value), STR("[UNAVAILABLE]")) &&
		!str_eqi(buf_str(&value), STR("[TEMPUNAVAIL]")))
		ok = what->take(a, buf_str(&value));
	buf_free(&value);
	return ok;
}

static bool take_one(struct attributes *a, struct str word)
{
	struct str name, raw;

	if (!str_cut(word, '=', &name, &raw))
		return false;
	for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++)
		if (str_eqi(name, attributes[i].name))
			return take_value(a, &attributes[i], raw);
	return false;
}

static bool take_all(struct attributes *a, struct str words)
{
	bool any = false;

	while (words.n) {
		struct str word = str_word(&words, ' ');

		if (word.n && !take_one(a, word))
			return false;
		any |= word.n > 0;
	}
	return any;
}

int smtp_do_xclient(struct smtp_session *s, struct str arg, struct err *err)
{
	struct attributes a = { .extended = s->extended };
	struct smtp_reply no;

	if (!s->policy->xclient) {
		smtp_reply_set(&no, 550, "5.7.0", "XCLIENT is not for you");
		return smtp_refuse(s, "xclient", STR(""), &no);
	}
	/* A login was checked for the address that asked: it cannot go on for another. */
	if (s->txn || s->authenticated)
		return smtp_say(s, 503, "5.5.1", STR("not now"));
	if (!take_all(&a, arg))
		return smtp_say(
			s, 501, "5.5.4", STR("an XCLIENT attribute is not as it should be"));
	if (s->policy->xclient(s->policy->arg, &a.x, &no) < 0)
		return smtp_refuse(s, "xclient", STR(""), &no);
	buf_clear(&s->helo);
	buf_add(&s->helo, a.x.helo);
	s->extended = a.x.helo.n && a.extended;
	smtp_greet(s);
	return 0;
}
