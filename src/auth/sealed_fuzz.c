/* Any bytes as a verifier and as a session: read whole or refused. */
#include "auth/session.h"
#include "auth/verifier.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str in = str_make(data, n);
	struct verifier v;
	struct session s;
	struct err err = ERR_INIT;

	if (verifier_read(in, &v, &err) == 0) {
		size_t all = 10 + v.argon2.n;

		for (int i = 0; i < VERIFIER_HASHES; i++)
			all += v.scram[i].salt.n ? 4 + v.scram[i].salt.n + v.scram[i].stored_key.n +
					v.scram[i].server_key.n
						 : 0;
		if (all != n)
			abort();
	}
	/* Nobody guesses a mac. */
	if (session_read(STR("0123456789abcdef0123456789abcdef"), in, 0, 0, &s, &err) == 0 &&
		s.login.n > SESSION_LOGIN_MAX)
		abort();
	return 0;
}
