/* MARK, then: 0 to 127: so many bytes and one more follow as they are; 128 and more: so many bytes
 * less 128, and LEAST more, stand as far back as the u16 that follows says. Before the first byte
 * stands the dictionary. */
#include "store/pack.h"

#include <pthread.h>
#include <string.h>

enum { MARK = 0xe1, LEAST = 5, LONGEST = LEAST + 127, LITERALS = 128, HASH_BITS = 12 };

/* On people's disks: another dictionary gets another mark. What is frequent stands last, near. */
static const char dictionary[] =
	"Undelivered Mail Returned to SenderDelivery Status Notification (Failure)Mail Delivery "
	"SystemMAILER-DAEMON@postmaster@noreply@no-reply@notifications@newsletter@support@info@"
	"\x0bapplication\x02\x0coctet-stream\x0bvnd.openxmlformats-officedocument.wordprocessingml."
	"document\x06\x06report\x0breport-type\x0f"
	"delivery-status\x07message\x02\x06rfc822\x0c"
	"disposition-notification\x05image\x02\x04jpeg\x03png\x03gif\x05video\x05"
	"audio\x04mpeg\x0bsigned\x08protocol\x06micalg\x07sha-256\x11pkcs7-signature\x0dpgp-"
	"signature"
	"\x08related\x04type\x09text/html\x06inline\x05"
	"format\x06"
	"flowed\x05"
	"delsp\x03yes\x05"
	"calendar\x06method\x07REQUEST\x0aiso-8859-1\x0cwindows-1252\x08us-ascii=?utf-8?Q?=?UTF-8?"
	"B?"
	"Re: Fwd: AW: WG: Invitation: Your order .example.com>.example.net>.example.org>@gmail.com>"
	"@outlook.com>@yahoo.com>@googlegroups.com>.prod.outlook.com>@mail.gmail.com>@lists."
	" -0800 -0700 -0600 -0500 -0400 +0900 +0800 +0530 +0300 +0200 +0100 +0000"
	"Jan 20 Feb 20 Mar 20 Apr 20 May 20 Jun 20 Jul 20 Aug 20 Sep 20 Oct 20 Nov 20 Dec 20"
	"\x01\x1fMon, \x01\x1fTue, \x01\x1fWed, \x01\x1fThu, \x01\x1f"
	"Fri, \x01\x1fSat, \x01\x1fSun, "
	"\x06\x06"
	"base64\x06\x04"
	"7bit\x06\x04"
	"8bit\x0bapplication\x02\x03pdf\x03\x07\x0a"
	"attachment\x08\x08"
	"filename\x04name\x01\x09multipart\x02\x05mixed\x03\x19\x08"
	"boundary\x0f----=_Part_\x01\x09multipart\x02\x0b"
	"alternative\x03\x19\x08"
	"boundary\x01\x04text\x02\x05plain\x03\x0e\x07"
	"charset\x05utf-8\x01\x04text\x02\x04html\x03\x0e\x07"
	"charset\x05UTF-8\x06\x10quoted-printable";
enum { DICTIONARY = sizeof dictionary - 1 };

/* Places of what was seen, by hash: from the beginning of the dictionary, one more; 0: none. */
static uint16_t known[1 << HASH_BITS];

static unsigned hash_at(const char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof v);
	v ^= (uint32_t)(unsigned char)p[4] << 11;
	return (uint32_t)(v * UINT32_C(2654435761)) >> (32 - HASH_BITS);
}

static void learn(void)
{
	for (size_t i = 0; i + LEAST <= DICTIONARY; i++)
		known[hash_at(dictionary + i)] = (uint16_t)(i + 1);
}

static void put_literals(struct buf *out, const char *p, size_t n)
{
	while (n) {
		size_t some = n < LITERALS ? n : LITERALS;

		buf_addc(out, (char)(some - 1));
		buf_add(out, str_make(p, some));
		p += some;
		n -= some;
	}
}

/* How many bytes are the same. `window`: the dictionary and what is to be packed, in a row. */
static size_t match(const char *window, size_t from, size_t at, size_t end)
{
	size_t n = 0;

	while (n < LONGEST && at + n < end && window[from + n] == window[at + n])
		n++;
	return n;
}

static void pack_window(const char *window, size_t end, uint16_t *seen, struct buf *out)
{
	size_t at = DICTIONARY, plain = at;

	while (at + LEAST <= end) {
		const unsigned h = hash_at(window + at);
		const size_t from = seen[h];
		size_t n = from ? match(window, from - 1, at, end) : 0;

		seen[h] = (uint16_t)(at + 1);
		if (n < LEAST) {
			at++;
			continue;
		}
		put_literals(out, window + plain, at - plain);
		buf_addc(out, (char)(128 + n - LEAST));
		buf_addc(out, (char)((at - from + 1) & 255));
		buf_addc(out, (char)((at - from + 1) >> 8));
		for (plain = at + n; ++at < plain && at + LEAST <= end;)
			seen[hash_at(window + at)] = (uint16_t)(at + 1);
		at = plain;
	}
	put_literals(out, window + plain, end - plain);
}

struct str pack(struct str raw, struct buf *out)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	static _Thread_local char window[DICTIONARY + PACK_MAX];
	static _Thread_local uint16_t seen[1 << HASH_BITS];
	bool marked = raw.n && (unsigned char)raw.p[0] == MARK;

	if (raw.n == 0 || raw.n > PACK_MAX)
		return raw;
	pthread_once(&once, learn);
	memcpy(seen, known, sizeof seen);
	memcpy(window, dictionary, DICTIONARY);
	memcpy(window + DICTIONARY, raw.p, raw.n);
	buf_clear(out);
	buf_addc(out, (char)MARK);
	pack_window(window, DICTIONARY + raw.n, seen, out);
	return buf_ok(out) && (marked || out->n < raw.n) ? buf_str(out) : raw;
}

/* Byte by byte: it may reach into itself. False: there is nothing so far back. */
static bool copy_back(struct buf *out, size_t distance, size_t n)
{
	if (distance == 0 || distance > out->n + DICTIONARY || out->n + n > PACK_MAX)
		return false;
	for (; n; n--) {
		const size_t at = DICTIONARY + out->n - distance;

		buf_addc(out, at < DICTIONARY ? dictionary[at] : out->p[at - DICTIONARY]);
	}
	return true;
}

static bool unpack_one(struct str *s, struct buf *out)
{
	const unsigned token = (unsigned char)s->p[0];

	*s = str_from(*s, 1);
	if (token < 128) {
		if (s->n < token + 1u)
			return false;
		buf_add(out, str_head(*s, token + 1u));
		*s = str_from(*s, token + 1u);
		return out->n <= PACK_MAX;
	}
	if (s->n < 2 ||
		!copy_back(out, (unsigned char)s->p[0] | (size_t)(unsigned char)s->p[1] << 8,
			token - 128 + LEAST))
		return false;
	*s = str_from(*s, 2);
	return true;
}

struct str unpack(struct str coded, struct buf *out)
{
	struct str rest = str_from(coded, 1);

	if (coded.n == 0 || (unsigned char)coded.p[0] != MARK)
		return coded;
	buf_clear(out);
	while (rest.n)
		if (!unpack_one(&rest, out) || !buf_ok(out))
			return STR("");
	return buf_str(out);
}
