/* msg_fuzz.c - any bytes as the body of every message: a value or an error, and a value
 * encodes to the bytes it came from. The first two bytes choose the message; 0xffff tries all. */
#include "ipc/msg_private.h"

#include <stdlib.h>
#include <string.h>

static void try_form(const struct msg_form *form, struct str body)
{
	struct buf again = BUF(MSG_MAX), text = BUF(1 << 24);
	struct err err = ERR_INIT;

	if (!form->check || body.n > MSG_MAX)
		return;
	if (form->check(body, &err) == 0) {
		if (form->recode(&again, body, &err) < 0 || !buf_ok(&again) ||
			!str_eq(buf_str(&again), body))
			abort();
		if (form->print(&text, body, &err) < 0)
			abort();
	} else if (err.kind != ERR_PROTO) {
		abort();
	}
	buf_free(&again);
	buf_free(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	unsigned want = n >= 2 ? (unsigned)(data[0] | data[1] << 8) : 0xffff;
	struct str body = str_from(str_make(data, n), 2);

	for (size_t i = 0; i < msg_row_count; i++) {
		if (want != 0xffff && (want & 0x7fff) != msg_rows[i].info.number)
			continue;
		if (want == 0xffff || !(want & 0x8000))
			try_form(&msg_rows[i].asked, body);
		if (want == 0xffff || (want & 0x8000))
			try_form(&msg_rows[i].answered, body);
	}
	return 0;
}
