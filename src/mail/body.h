/* body.h - take the transfer encoding off a body, piece by piece, as readers do: tolerantly.
 *
 * Base64: bytes outside the alphabet are skipped, padding ends a group. Quoted-printable: what is
 * no code stands for itself; white space at line ends stays. The result does not depend on the
 * pieces. For strict decoding see base/codec.h.
 */
#ifndef MAIL_BODY_H
#define MAIL_BODY_H

#include "base/str.h"

enum body_encoding { BODY_IDENTITY, BODY_BASE64, BODY_QP, BODY_UNKNOWN };

/* Of a Content-Transfer-Encoding; empty is identity. BODY_UNKNOWN decodes like identity. */
enum body_encoding body_encoding_find(struct str name);

struct body_decoder {
	enum body_encoding encoding;
	uint32_t bits; /* base64: digits not yet given out */
	int digits;
	char held[4]; /* quoted-printable: "=" and what followed it */
	size_t n;
};
#define BODY_DECODER(e) ((struct body_decoder){ .encoding = (e) })

void body_feed(struct body_decoder *d, struct str in, struct buf *out);
void body_end(struct body_decoder *d, struct buf *out);

/* The other way, for BODY_BASE64 and BODY_QP (RFC 2045 6.7, 6.8; quoted-printable as for text: CR
 * LF is a line break, any other CR or LF is a code). Lines have at most 76 characters and end with
 * CR LF. Decoding gives the same bytes. */
struct body_encoder {
	enum body_encoding encoding;
	size_t column;
	unsigned char held[3]; /* base64: bytes that make no group yet */
	size_t n;
	char space; /* quoted-printable: white space that may turn out to end a line, or 0 */
	bool cr;    /* and a CR that may */
};
#define BODY_ENCODER(e) ((struct body_encoder){ .encoding = (e) })

void body_encode(struct body_encoder *e, struct str in, struct buf *out);
void body_encode_end(struct body_encoder *e, struct buf *out);

#endif
