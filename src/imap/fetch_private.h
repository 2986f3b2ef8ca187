/* fetch_private.h - what FETCH asks for, and a message as FETCH and SEARCH look at it. */
#ifndef IMAP_FETCH_PRIVATE_H
#define IMAP_FETCH_PRIVATE_H

#include "imap/imap_private.h"
#include "mail/facts.h"

/* RFC 3501 6.4.5 */
enum imap_item {
	IMAP_ITEM_UID = 1,
	IMAP_ITEM_FLAGS = 2,
	IMAP_ITEM_INTERNALDATE = 4,
	IMAP_ITEM_SIZE = 8,
	IMAP_ITEM_ENVELOPE = 16,
	IMAP_ITEM_BODY = 32,
	IMAP_ITEM_BODYSTRUCTURE = 64,
	IMAP_ITEMS_OF_FACTS = IMAP_ITEM_ENVELOPE | IMAP_ITEM_BODY | IMAP_ITEM_BODYSTRUCTURE
};

enum imap_section_kind {
	IMAP_SECTION_ALL, /* BODY[] or BODY[1.2] */
	IMAP_SECTION_HEADER,
	IMAP_SECTION_FIELDS,
	IMAP_SECTION_FIELDS_NOT,
	IMAP_SECTION_TEXT,
	IMAP_SECTION_MIME
};

struct imap_section {
	struct imap_section *next;
	enum imap_section_kind kind;
	uint32_t part[IMAP_PART_DEPTH_MAX];
	size_t depth;
	struct str *fields;
	size_t field_count;
	bool peek, partial;
	uint64_t offset, length;
	struct str label; /* how the answer names it, without the origin */
};

struct imap_fetch {
	unsigned items; /* enum imap_item bits */
	struct imap_section *sections;
	bool marks_seen;
};

/* parse_fetch.c: " (FLAGS BODY.PEEK[1.MIME]<0.100>)" and the macros. */
bool imap_in_fetch(struct imap_in *in, struct imap_fetch *f);

/* message.c: one message. Made from an entry, whose slices must live as long as it does. What the
 * facts do not have is read from the message itself, at most once. Errors are those of the policy.
 */
struct imap_message {
	struct imap_session *s;
	const struct imap_entry *e;
	struct facts facts;
	bool has_facts, has_tree, has_envelope;
	struct mime_tree tree;
	struct mime_envelope envelope;
	struct mime_parser *parser;
	struct arena mem;
};
void imap_message_init(struct imap_message *m, struct imap_session *s, const struct imap_entry *e);
void imap_message_free(struct imap_message *m);
int imap_message_tree(struct imap_message *m, struct err *err);
int imap_message_envelope(struct imap_message *m, struct err *err);
/* Where a section lies in the message with its prefix; false: there is no such part. */
int imap_message_find(struct imap_message *m, const struct imap_section *section, bool *found,
	uint64_t *offset, uint64_t *size, struct err *err);
/* Append these bytes to b; ERR_LIMIT when it does not take them. */
int imap_message_read(
	struct imap_message *m, uint64_t offset, uint64_t size, struct buf *b, struct err *err);

/* structure.c: RFC 3501 7.4.2. */
void imap_write_envelope(struct conn *c, const struct mime_envelope *e);
void imap_write_structure(struct conn *c, const struct mime_tree *t, bool extended);

/* cmd_store.c: change flags and tell the client, unless silent. */
int imap_change_flags(struct imap_session *s, const struct imap_ranges *uids, enum imap_store_op op,
	const struct imap_flags *flags, bool silent, struct err *err);

#endif
