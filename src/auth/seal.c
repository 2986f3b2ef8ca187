#include "auth/seal.h"

#include "base/codec.h"
#include "crypto/aead.h"
#include "crypto/crypto.h"
#include "crypto/digest.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct seal {
	struct secret key;
};

/* The file is text, so that it can be kept on paper: a title, the key in hex, a check. */
static const struct str title = STR_INIT("eilpost sealing key 1\n");

enum { VERSION = 1, CHECK = 4, HEX = 2 * (AEAD_KEY + CHECK), FILE_SIZE = 22 + HEX + 1 };

static int damaged(struct err *err)
{
	return err_set(err, ERR_PERM,
		"the sealing key file is damaged or something else; restore it from the backup "
		"(without it passwords and keys must be set again)");
}

static int check_of(const struct secret *key, unsigned char out[CHECK], struct err *err)
{
	unsigned char d[SHA256_SIZE];

	if (digest_once(DIGEST_SHA256, secret_reveal(key), d, err) < 0)
		return -1;
	memcpy(out, d, CHECK);
	return 0;
}

static int write_key(int fd, const struct secret *key, struct err *err)
{
	struct buf b = BUF(FILE_SIZE);
	unsigned char check[CHECK];
	int r = -1;

	if (check_of(key, check, err) < 0)
		goto out;
	if (!buf_room(&b, FILE_SIZE)) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	buf_add(&b, title);
	hex_encode(&b, secret_reveal(key));
	hex_encode(&b, str_make(check, sizeof check));
	buf_addc(&b, '\n');
	if (!buf_ok(&b) || pwrite(fd, b.p, b.n, 0) != (ssize_t)b.n || fsync(fd) < 0) {
		err_sys(err, "write", "the sealing key");
		goto out;
	}
	r = 0;
out:
	secret_wipe_buf(&b);
	return r;
}

static int make_key(int fd, struct secret *key, struct err *err)
{
	if (secret_alloc(key, AEAD_KEY, err) < 0)
		return -1;
	random_bytes(key->p, AEAD_KEY);
	return write_key(fd, key, err);
}

static int parse_key(struct str text, struct secret *key, struct err *err)
{
	struct buf raw = BUF(AEAD_KEY + CHECK);
	unsigned char check[CHECK];
	int r = -1;

	if (text.n != FILE_SIZE || !str_take(&text, title) || text.p[HEX] != '\n' ||
		!buf_room(&raw, AEAD_KEY + CHECK) || !hex_decode(str_head(text, HEX), &raw)) {
		damaged(err);
		goto out;
	}
	if (secret_copy(key, str_head(buf_str(&raw), AEAD_KEY), err) < 0 ||
		check_of(key, check, err) < 0)
		goto out;
	if (memcmp(check, raw.p + AEAD_KEY, CHECK) != 0) {
		damaged(err);
		goto out;
	}
	r = 0;
out:
	secret_wipe_buf(&raw);
	return r;
}

/* A power cut during the very first start may leave a file of zeros; nothing is sealed yet then. */
static bool is_unwritten(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static int check_mode(int fd, struct err *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(err, "look at", "the sealing key");
	if (!S_ISREG(st.st_mode) || (st.st_mode & 077))
		return err_set(err, ERR_PERM,
			"the sealing key must be a file that its owner alone may read (chmod 600)");
	return 0;
}

int seal_load(int fd, struct seal **seal, struct err *err)
{
	char text[FILE_SIZE + 1];
	struct seal *s = calloc(1, sizeof *s);
	ssize_t n;
	int r = -1;

	if (!s) {
		err_set(err, ERR_TEMP, "out of memory");
		goto out;
	}
	if (check_mode(fd, err) < 0)
		goto out;
	n = pread(fd, text, sizeof text, 0);
	if (n < 0)
		err_sys(err, "read", "the sealing key");
	else if (is_unwritten(text, (size_t)n))
		r = make_key(fd, &s->key, err);
	else
		r = parse_key(str_make(text, (size_t)n), &s->key, err);
	crypto_wipe(text, sizeof text);
out:
	if (r < 0)
		seal_free(&s);
	*seal = s;
	return r;
}

void seal_free(struct seal **seal)
{
	if (!*seal)
		return;
	secret_free(&(*seal)->key);
	free(*seal);
	*seal = NULL;
}

/* The name comes last and alone is of free length, so no two of these are alike. */
static struct str binding(char *p, size_t size, enum seal_kind kind, struct str name)
{
	if (name.n > size - 2)
		return STR("");
	p[0] = VERSION;
	p[1] = (char)kind;
	if (name.n > 0)
		memcpy(p + 2, name.p, name.n);
	return str_make(p, name.n + 2);
}

int seal_put(const struct seal *seal, enum seal_kind kind, struct str name, struct str plain,
	struct buf *out, struct err *err)
{
	char aad[512];
	struct str bound = binding(aad, sizeof aad, kind, name);

	if (bound.n == 0)
		return err_set(err, ERR_LIMIT, "a name of %zu bytes is too long", name.n);
	buf_addc(out, VERSION);
	return aead_seal(&seal->key, bound, plain, out, err);
}

int seal_get(const struct seal *seal, enum seal_kind kind, struct str name, struct str sealed,
	struct secret *plain, struct err *err)
{
	char aad[512];
	struct str bound = binding(aad, sizeof aad, kind, name);

	*plain = SECRET_NONE;
	if (bound.n == 0 || sealed.n == 0 || sealed.p[0] != VERSION)
		return err_set(err, ERR_DENIED, "not bytes that this program has sealed");
	return aead_open(&seal->key, bound, str_from(sealed, 1), plain, err);
}

void seal_derive(const struct seal *seal, struct str purpose, void *out)
{
	mac_sha256(secret_reveal(&seal->key), &purpose, 1, out);
}
