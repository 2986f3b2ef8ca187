/* front_body.h - a message body on its way into the store, in credited pieces.
 *
 * For DATA and APPEND. front_body_add() gathers and sends pieces as the store gives credit (it
 * waits then), so a body of any size needs little memory. A body of up to 256 KiB is also kept, so
 * that the commit can be repeated when the store restarts in between. Of a larger one only the
 * commit is repeated: if the store had it already, the answer is the same; if not, the client is
 * asked to try again (ERR_TEMP).
 *
 * One task uses it. Freeing before the commit aborts; the message is then nowhere.
 */
#ifndef ROLE_FRONT_BODY_H
#define ROLE_FRONT_BODY_H

#include "role/front.h"

struct front_body;

/* login NULL: on mx. */
int front_body_new(
	struct front *f, struct front_login *login, struct front_body **b, struct err *err);
int front_body_add(struct front_body *b, struct str data, struct err *err);
int front_body_rcpt(struct front_body *b, const struct store_rcpt_item *rcpt, struct err *err);
uint64_t front_body_size(const struct front_body *b);

/* Commit. txn, size, handle and (when 0) call are filled in here. Durable when 0 is returned. */
int front_body_deliver(struct front_body *b, struct store_deliver_req *q,
	struct store_deliver_rep *a, struct reply *hold, struct err *err);
int front_body_append(struct front_body *b, struct store_append_req *q, struct store_append_rep *a,
	struct reply *hold, struct err *err);

void front_body_free(struct front_body **b);

#endif
