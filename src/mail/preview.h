/* preview.h - the first words of a message, for lists: at most 200 bytes of UTF-8 on one line.
 *
 * Fed by the hooks of a MIME parser: takes the first part of type text that is no attachment and
 * has any words; of HTML the text between the tags. Best effort, bounded memory, and the result
 * does not depend on the pieces.
 */
#ifndef MAIL_PREVIEW_H
#define MAIL_PREVIEW_H

#include "mail/body.h"
#include "mail/charset.h"
#include "mail/mime.h"

enum {
	PREVIEW_MAX = 200,
	PREVIEW_LOOK_MAX = 65536, /* bytes of a part that are looked at */
};

struct preview {
	char text[PREVIEW_MAX];
	size_t n;
	size_t looked;
	bool reading, full, space;
	struct body_decoder body;
	struct charset_decoder charset;
	struct buf bytes, chars;
	/* HTML */
	bool html;
	enum { HTML_TEXT, HTML_OPEN, HTML_TAG, HTML_COMMENT, HTML_ENTITY } state;
	char word[12]; /* a tag's name or an entity, as far as it fits */
	size_t word_n;
	bool word_done;
	char quote;      /* inside a quoted attribute */
	char hidden[12]; /* the element whose content is skipped (style, script, ...), or empty */
	unsigned dashes;
};

void preview_init(struct preview *p);
void preview_leaf(void *arg, const struct mime_part *part, const struct mime_info *info);
void preview_data(void *arg, struct str bytes);
struct str preview_text(struct preview *p);
void preview_free(struct preview *p);

#endif
