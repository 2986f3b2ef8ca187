/* Any bytes as each of the messages of SCRAM, and as a password to be prepared: read whole or
 * refused; what was read can be written again; nobody guesses a proof. */
#include "sasl/saslprep.h"
#include "sasl/scram.h"

#include "base/utf8.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check(bool ok)
{
	if (!ok)
		abort();
}

static void names(struct str name)
{
	struct buf plain = BUF(SCRAM_MESSAGE_MAX), again = BUF(SCRAM_MESSAGE_MAX);

	if (scram_name_decode(name, &plain)) {
		scram_name_encode(buf_str(&plain), &again);
		/* Commas cannot stand in a name, so what was read is the one way to write it. */
		check(str_find(name, ',') < name.n || str_eq(buf_str(&again), name));
	}
	buf_free(&plain);
	buf_free(&again);
}

static void serve(struct str first, struct str last)
{
	struct scram_exchange x = { 0 };
	struct scram_keys keys = { .stored = "k", .server = "s" };
	struct scram_first f;
	struct buf challenge = BUF(SCRAM_MESSAGE_MAX), out = BUF(200);
	struct err err = ERR_INIT;

	if (scram_read_first(first, &f, &err) == 0) {
		check(f.header.n + f.bare.n == first.n && f.nonce.n > 0 && f.name.n > 0);
		names(f.name);
		(void)scram_check_flag(&f, true, true, &err);
		(void)scram_check_flag(&f, false, true, &err);
		if (scram_begin(&x, DIGEST_SHA256, &f, STR("abc"), STR("salt"), 4096, &challenge,
			    &err) == 0)
			check(scram_finish(&x, &keys, STR(""), last, &out, &err) < 0);
		scram_end(&x);
	}
	buf_free(&challenge);
	buf_free(&out);
}

static void prepare(struct str text)
{
	struct secret once = SECRET_NONE, twice = SECRET_NONE;
	struct err err = ERR_INIT;

	if (saslprep(str_head(text, 1024), &once, &err) < 0)
		return;
	check(once.n > 0 && utf8_valid(secret_reveal(&once)));
	if (saslprep(secret_reveal(&once), &twice, &err) == 0)
		check(secret_eq(&twice, secret_reveal(&once)));
	secret_free(&once);
	secret_free(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct str rest = str_make(data, n), first = str_word(&rest, '\n');
	struct scram_client c = { .nonce = "abc" };
	struct buf out = BUF(SCRAM_MESSAGE_MAX);
	struct scram_final f;
	struct err err = ERR_INIT;

	serve(first, rest);
	prepare(first);
	names(first);
	(void)scram_read_final(DIGEST_SHA1, first, &f, &err);
	check(scram_client_verify(&c, DIGEST_SHA256, first, &err) < 0);
	/* Few challenges pass for ours; those cost up to a tenth of a second. */
	(void)scram_client_final(&c, DIGEST_SHA1, STR("ann"), STR("pw"), first, &out, &err);
	buf_free(&out);
	return 0;
}
