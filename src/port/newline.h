/* newline.h - line endings between files and mail, in pieces of any size.
 *
 * Mail ends its lines in CRLF and nothing else. Files of mail mostly have LF. Other bytes, NUL and
 * a lone CR among them, stay what they are; but one right before a CRLF is lost on the way to LF
 * and back, because there it is part of a line's end.
 */
#ifndef PORT_NEWLINE_H
#define PORT_NEWLINE_H

#include "base/str.h"

struct newline {
	bool cr; /* the last byte was one */
};

/* LF without a CR before it becomes CRLF. */
void newline_to_crlf(struct newline *s, struct str in, struct buf *out);
/* CRLF becomes LF. newline_end() gives what was held back. */
void newline_to_lf(struct newline *s, struct str in, struct buf *out);
void newline_end(struct newline *s, struct buf *out);

#endif
