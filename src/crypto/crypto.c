#include "crypto/crypto.h"

#include "crypto/crypto_private.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <sys/random.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool ready;
static const EVP_MD *kinds[DIGEST_KINDS];

static void start(void)
{
	static const char *const names[DIGEST_KINDS] = { "SHA1", "SHA256", "SHA512" };

	/* No configuration file: what it could load would not be there behind the sandbox. */
	if (sodium_init() < 0 || OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
		return;
	for (int i = 0; i < DIGEST_KINDS; i++)
		if (!(kinds[i] = EVP_MD_fetch(NULL, names[i], NULL)))
			return;
	ready = true;
}

int crypto_init(struct err *err)
{
	pthread_once(&once, start);
	return ready ? 0 : err_set(err, ERR_TEMP, "cannot start the crypto libraries");
}

const EVP_MD *digest_md(enum digest_kind kind)
{
	pthread_once(&once, start);
	return kind < DIGEST_KINDS ? kinds[kind] : NULL;
}

void random_bytes(void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			abort(); /* a guessable key would be worse than no service */
		at += got;
		n -= (size_t)got;
	}
}

uint32_t random_below(uint32_t below)
{
	uint32_t skip, v;

	if (below < 2)
		return 0;
	/* Values under 2^32 mod below would make the first results likelier: draw again. */
	skip = (uint32_t)-below % below;
	do
		random_bytes(&v, sizeof v);
	while (v < skip);
	return v % below;
}

bool crypto_equal(struct str a, struct str b)
{
	return a.n == b.n && (a.n == 0 || sodium_memcmp(a.p, b.p, a.n) == 0);
}

void crypto_wipe(void *p, size_t n)
{
	if (n > 0)
		sodium_memzero(p, n);
}
