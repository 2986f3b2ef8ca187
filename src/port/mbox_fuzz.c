/* Any bytes are an mbox or none: messages follow one another and end within the file. What is read
 * can be written, and is then one message that reads the same. */
#include "port/mbox_test.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void lf_only(struct str in, struct buf *out)
{
	for (size_t i = 0; i < in.n; i++)
		if (!(in.p[i] == '\r' && i + 1 < in.n && in.p[i + 1] == '\n'))
			buf_addc(out, in.p[i]);
	if (out->n && out->p[out->n - 1] != '\n')
		buf_addc(out, '\n');
}

static void comes_back(struct str text, const struct mbox_message *msg)
{
	static struct mbox m;
	const struct mbox_marks marks = { msg->date, msg->flags, 1, 0, str_c(msg->keywords) };
	struct buf file = BUF(1 << 22), got = BUF(1 << 22), want = BUF(1 << 22);
	struct mbox_memory memory;
	const struct mbox_source source = { mbox_memory_read, &memory };
	struct mbox_message back;
	struct err err = ERR_INIT;
	struct mbox_writer w;

	/* In a file of LF, a CR before it is part of the line's end. */
	if (str_search(text, STR("\r\r\n")) < text.n)
		return;
	mbox_write_begin(&w, &marks, &file);
	mbox_write(&w, text, &file);
	mbox_write_end(&w, &file);
	memory = (struct mbox_memory){ buf_str(&file), 4096 };
	mbox_init(&m, &source, MBOX_RD);
	check(mbox_next(&m, &back, &err) == 1 && back.flags == msg->flags);
	check(mbox_read(&m, &back, mbox_memory_sink, &got, &err) == 0);
	lf_only(text, &want);
	check(buf_ok(&file) && buf_ok(&got) && buf_ok(&want));
	check(str_eq(buf_str(&got), buf_str(&want)));
	check(mbox_next(&m, &back, &err) == 0);
	buf_free(&file);
	buf_free(&got);
	buf_free(&want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct mbox m;
	struct mbox_memory memory = { str_make(data, n), 4096 };
	const struct mbox_source source = { mbox_memory_read, &memory };
	struct mbox_message msg;
	struct err err = ERR_INIT;
	uint64_t before = 0;

	mbox_init(&m, &source, n ? (enum mbox_kind)(data[n - 1] % 5) : MBOX_ANY);
	while (mbox_next(&m, &msg, &err) == 1) {
		struct buf text = BUF(1 << 22);

		check(msg.from >= before && msg.begin <= msg.body && msg.body <= msg.end &&
			msg.end <= n);
		before = msg.end;
		check(mbox_read(&m, &msg, mbox_memory_sink, &text, &err) == 0);
		comes_back(buf_str(&text), &msg);
		buf_free(&text);
	}
	return 0;
}
