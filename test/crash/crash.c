#include "crash.h"

#include "base/codec.h"
#include "crypto/digest.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void crash_die(const char *what, const struct err *err)
{
	fprintf(stderr, "%s: %s\n", what, err->msg);
	exit(1);
}

void crash_digest(struct str data, char hex[CRASH_HEX])
{
	char raw[SHA256_SIZE];
	struct err err = ERR_INIT;
	struct buf text = BUF(CRASH_HEX);

	if (digest_once(DIGEST_SHA256, data, raw, &err) < 0)
		crash_die("digest", &err);
	hex_encode(&text, str_make(raw, sizeof raw));
	str_z(buf_str(&text), hex, CRASH_HEX);
	buf_free(&text);
}

int crash_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0) {
		perror(path);
		exit(1);
	}
	return fd;
}
