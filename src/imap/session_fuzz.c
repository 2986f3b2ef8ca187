#include "imap/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static const char mail[] = "From: a@b\r\nTo: c@d\r\nSubject: x\r\nContent-Type: multipart/mixed;"
			   " boundary=b\r\n\r\n--b\r\n\r\nhello\r\n--b\r\nContent-Type: "
			   "message/rfc822\r\n\r\nSubject: y\r\n\r\nz\r\n--b--\r\n";

/* A session with an account in memory. The first byte says how input comes and what is there; with
 * its high bit the client is logged in and has INBOX selected already. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct imap_mem m; /* large */
	struct imap_config config = IMAP_CONFIG_DEFAULT;
	struct buf input = BUF(1 << 21);
	struct imap_policy policy;
	struct err err = ERR_INIT;
	struct conn *c;

	if (n == 0)
		return 0;
	m = (struct imap_mem){ .name = STR("a"), .password = STR("b") };
	m.chunk = data[0] & 3;
	m.prefix = data[0] & 8 ? 11 : 0;
	m.no_facts = (data[0] & 16) != 0;
	imap_mem_init(&m);
	imap_mem_add(&m, STR("INBOX"), str_c(mail), IMAP_SEEN, STR(""), 1);
	imap_mem_add(&m, STR("INBOX"), str_make(data, n), 0, STR("k"), 2);
	imap_mem_add(&m, STR("INBOX"), str_c(mail), 0, STR(""), 3);
	policy = imap_mem_policy(&m);
	config.hostname = STR("h");
	config.secure = (data[0] & 4) == 0;
	config.starttls = true;
	config.append_max = 4096;
	if (data[0] & 128)
		buf_addz(&input, "a LOGIN a b\r\nb SELECT INBOX\r\n");
	buf_add(&input, str_make(data + 1, n - 1));
	c = conn_mem(buf_str(&input), data[0] & 32 ? 1 : 0);
	if (c)
		imap_serve(c, &config, &policy, &err);
	if (m.rows_open > 0 || m.selected)
		abort();
	conn_free(&c);
	imap_mem_free(&m);
	buf_free(&input);
	return 0;
}
