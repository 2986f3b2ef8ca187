/* mime_private.h - how infos, envelopes, parameters and facts are coded, and the reading of values.
 *
 * A number is a varint of 7 bits a byte, low bits first; a slice is its length and its bytes.
 * Readers are total: they answer false at the first byte that makes no sense.
 */
#ifndef MAIL_MIME_PRIVATE_H
#define MAIL_MIME_PRIVATE_H

#include "mail/mime.h"

void code_u64(struct buf *b, uint64_t v);
void code_str(struct buf *b, struct str s);
bool code_take_u64(struct str *s, uint64_t max, uint64_t *v);
bool code_take_str(struct str *s, struct str *v);

/* Tags of infos and envelopes: they stand in stored facts and never change their meaning. */
enum info_tag {
	INFO_TYPE = 1,
	INFO_SUBTYPE,
	INFO_PARAMS,
	INFO_ID,
	INFO_DESCRIPTION,
	INFO_ENCODING,
	INFO_DISPOSITION,
	INFO_DISPOSITION_PARAMS,
	INFO_LANGUAGE,
	INFO_LOCATION,
	INFO_MD5,
	INFO_TAGS
};
enum envelope_tag {
	ENVELOPE_DATE = 1,
	ENVELOPE_SUBJECT,
	ENVELOPE_FROM,
	ENVELOPE_SENDER,
	ENVELOPE_REPLY_TO,
	ENVELOPE_TO,
	ENVELOPE_CC,
	ENVELOPE_BCC,
	ENVELOPE_IN_REPLY_TO,
	ENVELOPE_MESSAGE_ID,
	ENVELOPE_TAGS
};
void code_tagged(struct buf *b, unsigned tag, struct str s); /* nothing when s is empty */

/* "type/subtype; name=value" (RFC 2045 5.1). The slices lie in `value`. False when it cannot be
 * read. */
bool value_take_type(struct str *value, struct str *type, struct str *subtype);
/* "token" at the front, comments skipped; empty when there is none. */
struct str value_take_token(struct str *value);
/* "; name=value; ..." coded for mime_param_next(). *odd is set when a name comes twice or something
 * cannot be read. */
void value_code_params(struct str value, struct buf *out, bool *odd);

#endif
