#include "auth/session.h"

#include "crypto/crypto.h"
#include "crypto/digest.h"

enum { VERSION = 1, FIXED = 1 + 8 + 8 + 4 + 4 + 8, MAC = 20 };

_Static_assert(FIXED + SESSION_LOGIN_MAX + MAC <= SESSION_MAX, "size of a session");

static void put(struct buf *b, uint64_t v, int bytes)
{
	for (int i = 0; i < bytes; i++)
		buf_addc(b, (char)(v >> 8 * i));
}

static uint64_t take(struct str *s, size_t bytes)
{
	uint64_t v = 0;

	for (size_t i = 0; i < bytes; i++)
		v |= (uint64_t)(unsigned char)s->p[i] << 8 * i;
	*s = str_from(*s, bytes);
	return v;
}

int session_make(struct str key, const struct session *s, struct buf *out, struct err *err)
{
	unsigned char mac[SHA256_SIZE];
	size_t start = out->n;
	struct str said;

	if (s->login.n > SESSION_LOGIN_MAX)
		return err_set(err, ERR_LIMIT, "the name is too long for a session");
	put(out, VERSION, 1);
	put(out, s->account, 8);
	put(out, s->password_id, 8);
	put(out, s->front, 4);
	put(out, s->scopes, 4);
	put(out, (uint64_t)s->until, 8);
	buf_add(out, s->login);
	said = str_from(buf_str(out), start);
	mac_sha256(key, &said, 1, mac);
	buf_add(out, str_make(mac, MAC));
	return buf_ok(out) ? 0 : err_set(err, ERR_LIMIT, "no room for a session");
}

int session_read(struct str key, struct str bytes, uint32_t front, int64_t now, struct session *s,
	struct err *err)
{
	unsigned char mac[SHA256_SIZE];
	struct str said;

	if (bytes.n < FIXED + MAC || bytes.n > SESSION_MAX)
		return err_set(err, ERR_DENIED, "not a session");
	said = str_head(bytes, bytes.n - MAC);
	mac_sha256(key, &said, 1, mac);
	if (!crypto_equal(str_make(mac, MAC), str_from(bytes, said.n)) || take(&said, 1) != VERSION)
		return err_set(err, ERR_DENIED, "not a session of this server");
	s->account = take(&said, 8);
	s->password_id = take(&said, 8);
	s->front = (uint32_t)take(&said, 4);
	s->scopes = (uint32_t)take(&said, 4);
	s->until = (int64_t)take(&said, 8);
	s->login = said;
	if (s->front != front)
		return err_set(err, ERR_DENIED, "a session of another front");
	if (now >= s->until)
		return err_set(err, ERR_DENIED, "the session is over");
	return 0;
}
