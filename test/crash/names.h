/* names.h - the C library's calls that open, make, link, rename and remove names, brought down to
 * five.
 *
 * names.c takes the place of open, open64, openat, creat, mkdir, rename and their kin in the
 * program or library that it is linked into; who links it defines the five.
 */
#ifndef CRASH_NAMES_H
#define CRASH_NAMES_H

#include <sys/types.h>

int name_open(int at, const char *path, int flags, mode_t mode);
int name_mkdir(int at, const char *path, mode_t mode);
int name_link(int from_dir, const char *from, int dir, const char *path, int flags);
int name_unlink(int at, const char *path, int flags);
int name_rename(int from_dir, const char *from, int dir, const char *path, unsigned flags);

#endif
