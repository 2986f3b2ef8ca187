#include "port/newline.h"

void newline_to_crlf(struct newline *s, struct str in, struct buf *out)
{
	while (in.n) {
		const size_t n = str_find(in, '\n');

		if (n) {
			buf_add(out, str_head(in, n));
			s->cr = in.p[n - 1] == '\r';
		}
		if (n == in.n)
			return;
		buf_add(out, s->cr ? STR("\n") : STR("\r\n"));
		s->cr = false;
		in = str_from(in, n + 1);
	}
}

void newline_to_lf(struct newline *s, struct str in, struct buf *out)
{
	while (in.n) {
		const size_t n = str_find(in, '\r');

		if (s->cr && in.p[0] != '\n')
			buf_addc(out, '\r');
		s->cr = false;
		buf_add(out, str_head(in, n));
		if (n == in.n)
			return;
		s->cr = true;
		in = str_from(in, n + 1);
	}
}

void newline_end(struct newline *s, struct buf *out)
{
	if (s->cr)
		buf_addc(out, '\r');
	s->cr = false;
}
