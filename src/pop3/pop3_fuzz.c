#include "pop3/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A session against a mailbox in memory. The first byte says how input and messages come in. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct pop3_mem m = { .name = STR("a"), .password = STR("b"), .count = 3 };
	struct pop3_config config = POP3_CONFIG_DEFAULT;
	struct pop3_policy policy = pop3_mem_policy(&m);
	struct err err = ERR_INIT;
	struct conn *c;

	if (n == 0)
		return 0;
	m.messages[0] = STR("Subject: x\r\n\r\n.\r\nbody\r\n");
	m.messages[1] = STR("a\n.b\r\r\n\n.");
	m.messages[2] = str_make(data, n);
	m.chunk = data[0] & 7;
	config.hostname = STR("h");
	config.secure = (data[0] & 8) == 0;
	c = conn_mem(str_make(data + 1, n - 1), data[0] >> 4);
	if (!c)
		return 0;
	pop3_serve(c, &config, &policy, &err);
	conn_free(&c);
	return 0;
}
