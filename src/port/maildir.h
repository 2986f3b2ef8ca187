/* maildir.h - the names in a Maildir++, and Dovecot's files beside them. Pure.
 *
 * A message's name is "UNIQUE:2,FLAGS": D draft, F flagged, R replied, S seen, T trashed, and a to
 * z, which stand for the words of the file dovecot-keywords ("0 Work"). dovecot-uidlist says in
 * which order the messages came. A folder is a directory beside cur and new: ".Sent", ".Work.2026";
 * names are in modified UTF-7. All of it comes from strangers: parsers take any bytes.
 */
#ifndef PORT_MAILDIR_H
#define PORT_MAILDIR_H

#include "port/marks.h"

enum { MAILDIR_KEYWORDS = 26 };

struct maildir_name {
	struct str unique; /* what stays when the flags change; without sizes ("S=", "W=") */
	uint32_t flags;    /* MARK_ */
	uint32_t letters;  /* bit 0: a */
	int64_t time;      /* the number it begins with; 0: none */
};
/* False: not the name of a message (empty, or it begins with a dot). */
bool maildir_name_parse(struct str name, struct maildir_name *out);
/* ":2," and the letters, in their order. */
void maildir_info_print(struct buf *out, uint32_t flags, uint32_t letters);

/* "3 Work" of dovecot-keywords. */
bool maildir_keyword_line(struct str line, unsigned *number, struct str *word);

/* The first line of dovecot-uidlist: "3 V1275660208 N25022 G..."; of old ones "1 1275660208 25022".
 */
bool maildir_uidlist_head(struct str line, uint32_t *uidvalidity, uint32_t *uidnext);
/* "25006 W123 :1276528487.M364837P9451.host,S=1355:2,S"; old: "25006 NAME". The name without its
 * flags and sizes, as maildir_name_parse() gives it. */
bool maildir_uidlist_line(struct str line, uint32_t *uid, struct str *unique);

/* ".Work.2026" is "Work/2026", "." and "" are INBOX. What does not decode is taken as it is,
 * cleaned (level_clean()). False: there is no level in it, or it does not fit. */
bool maildir_folder_decode(struct str dir, struct buf *name);
/* The name of the directory, dot and all; a dot within a level is written in base64. */
void maildir_folder_encode(struct str name, struct buf *dir);

/* A line of `subscriptions` (of Dovecot: `tabs` when its first line is "V 2", then levels are
 * parted by tabs) or of Courier's courierimapsubscribed ("INBOX.Work"). False: no name. */
bool maildir_subscription(struct str line, bool tabs, struct buf *name);

#endif
