/* pop3.c - plays the dialogues in pop3/ against the POP3 server and a mailbox in memory.
 *
 * Options: "tls" (STLS is offered), "secure" (TLS from the first byte), "empty" (no messages),
 * "disk-full" (nothing can be removed), "vanish" (message 1 is taken away meanwhile), and numbers:
 * errors logins chunk (bytes that one read of a message gives) max (messages a session shows).
 *
 * The mailbox: ann@mx.test, password "pass word", two messages. Fact: "removed N".
 */
#include "script.h"

#include "pop3/mem.h"

struct stage {
	struct pop3_mem mem;
	struct script *script;
};

static int start_tls(void *arg, struct conn *c, struct err *err)
{
	struct pop3_mem *m = arg;
	struct stage *st = (struct stage *)(void *)m;
	struct str next = script_next_part(st->script);

	if (next.n == 0)
		return err_set(err, ERR_PROTO, "the handshake failed");
	conn_mem_feed(c, next);
	return 0;
}

static void configure(const struct script *s, struct stage *st, struct pop3_config *config)
{
	uint64_t v;

	config->hostname = STR("mx.test");
	config->secure = script_has(s, STR("secure"));
	config->starttls = script_has(s, STR("tls"));
	if (script_number(s, STR("errors"), &v))
		config->max_errors = (uint32_t)v;
	if (script_number(s, STR("logins"), &v))
		config->max_login_fails = (uint32_t)v;
	if (script_number(s, STR("max"), &v))
		config->max_messages = (uint32_t)v;
	if (script_number(s, STR("chunk"), &v))
		st->mem.chunk = (size_t)v;
	st->mem.count = script_has(s, STR("empty")) ? 0 : 2;
	st->mem.read_only = script_has(s, STR("disk-full"));
	st->mem.vanished[0] = script_has(s, STR("vanish"));
}

static void play(struct script *s, struct conn *c, struct outcome *o)
{
	struct stage st = { .mem = { .name = STR("ann@mx.test"), .password = STR("pass word") },
		.script = s };
	struct pop3_config config = POP3_CONFIG_DEFAULT;
	struct pop3_policy policy = pop3_mem_policy(&st.mem);
	struct err err = ERR_INIT;

	st.mem.messages[0] =
		STR("Subject: one\r\nTo: ann@mx.test\r\n\r\nfirst line\r\nsecond line\r\n");
	st.mem.messages[1] = STR("Subject: dots\r\n\r\n.\r\n..\r\nno dot\r\n.last");
	configure(s, &st, &config);
	policy.start_tls = start_tls;
	o->end = pop3_serve(c, &config, &policy, &err) == 0 ? STR("ok")
							    : str_c(err_kind_name(err.kind));
	for (unsigned i = 0; i < POP3_MEM_MAX; i++)
		if (st.mem.removed[i])
			buf_addf(&o->facts, "removed %u\n", i + 1);
}

int main(int argc, char **argv)
{
	return argc == 2 ? script_run_folder(argv[1], play) : 2;
}
