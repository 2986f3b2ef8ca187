/* secret_file.h - a password that stands in a file which the master has opened for this role. */
#ifndef ROLE_SECRET_FILE_H
#define ROLE_SECRET_FILE_H

#include "base/secret.h"
#include "role/role.h"

enum { SECRET_FILE_MAX = 1024 };

/* Its first line; *out is SECRET_NONE when the master has passed no file of that name. ERR_PERM:
 * the line is empty or too long. */
int secret_file_read(struct role *r, const char *name, struct secret *out, struct err *err);

#endif
