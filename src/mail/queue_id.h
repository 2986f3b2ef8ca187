/* queue_id.h - a queue id as people and logs see it: 13 characters without those that look alike.
 *
 * The number is the id of the call that handed the message in (ipc/store.def); the text is
 * Crockford's base 32 of it, the most significant digit first, in lower case. Parsing folds case.
 */
#ifndef MAIL_QUEUE_ID_H
#define MAIL_QUEUE_ID_H

#include "base/str.h"

enum { QUEUE_ID_SIZE = 14 }; /* with the NUL */

void queue_id_print(uint64_t id, char text[QUEUE_ID_SIZE]);
bool queue_id_parse(struct str text, uint64_t *id);

#endif
