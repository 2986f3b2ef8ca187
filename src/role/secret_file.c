#include "role/secret_file.h"

#include "crypto/crypto.h"

#include <unistd.h>

int secret_file_read(struct role *r, const char *name, struct secret *out, struct err *err)
{
	char text[SECRET_FILE_MAX + 2];
	int fd = role_take_file(r, FILE_PASSWORD, name), done = -1;
	struct str line;
	ssize_t n;

	*out = SECRET_NONE;
	if (fd < 0)
		return 0;
	n = read(fd, text, sizeof text);
	if (n < 0) {
		err_sys(err, "read", "the password file");
		goto out;
	}
	line = str_make(text, (size_t)n);
	line = str_head(line, str_find(line, '\n'));
	if (line.n > 0 && line.p[line.n - 1] == '\r')
		line.n--;
	if (line.n == 0 || line.n > SECRET_FILE_MAX)
		err_set(err, ERR_PERM, "the first line of the password file is empty or too long");
	else
		done = secret_copy(out, line, err);
out:
	crypto_wipe(text, sizeof text);
	close(fd);
	return done;
}
