/* names.h - levels of mailbox names and names of files, either way safe for the other side. Pure.
 *
 * A level is what stands between two '/' of a mailbox name. As the name of a file it is at most
 * 200 bytes, begins with no dot and with no ending that means something (.sbd, .eml), holds no '/',
 * no control character and nothing that Windows forbids: such bytes are written %2E. Only those
 * codes are decoded again.
 */
#ifndef PORT_NAMES_H
#define PORT_NAMES_H

#include "base/str.h"

enum { LEVEL_FILE = 200 };

/* Append what can be a level out of any bytes: valid UTF-8, no '/', no wildcard of IMAP, no control
 * characters ('_' instead). */
void level_clean(struct str bytes, struct buf *name);

/* False: too long for a file's name. */
bool level_to_file(struct str level, struct buf *file);
void level_from_file(struct str file, struct buf *level);

#endif
