/* front_private.h - between the files of the front: who hears what the store and the vault say by
 * themselves. */
#ifndef ROLE_FRONT_PRIVATE_H
#define ROLE_FRONT_PRIVATE_H

#include "role/front.h"

/* front_login.c */
void front_login_message(struct front *f, const struct request *req);
void front_login_store_state(struct front *f, bool up);

/* front_body.c */
void front_body_message(struct front *f, const struct request *req);
void front_body_store_down(struct front *f);

/* front_tls.c: fetch certificates and ticket keys now, and again when the vault says so or it is
 * time. The servers in f->tls are replaced; sessions keep theirs. */
int front_tls_start(struct front *f, struct err *err);

#endif
