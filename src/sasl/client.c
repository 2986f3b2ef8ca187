#include "base/codec.h"
#include "sasl/sasl_private.h"

static bool has_word(struct str words, struct str word)
{
	while (words.n)
		if (str_eqi(str_word(&words, ' '), word))
			return true;
	return false;
}

const struct sasl_mech *sasl_client_pick(struct str offered)
{
	const struct sasl_mech *mech;

	for (size_t i = 0; (mech = sasl_mech_at(i)); i++)
		if (mech->respond && has_word(offered, mech->name))
			return mech;
	return NULL;
}

enum sasl_step sasl_client_step(
	struct sasl_client *c, const struct sasl_mech *mech, struct str challenge, struct buf *out)
{
	struct buf asked = BUF(SASL_LINE_MAX), raw = BUF(SCRAM_MESSAGE_MAX);
	enum sasl_step step = SASL_MALFORMED;

	/* Both at full size at once, so that growing leaves no copy of a password behind. */
	if (base64_decode(challenge, &asked) && buf_room(&raw, raw.max) &&
		buf_room(out, raw.max / 3 * 4 + 4))
		step = mech->respond(c, mech, buf_str(&asked), &raw);
	if (!buf_ok(&raw))
		step = SASL_MALFORMED;
	if (step != SASL_MALFORMED)
		base64_encode(out, buf_str(&raw));
	secret_wipe_buf(&raw);
	buf_free(&asked);
	return step;
}
