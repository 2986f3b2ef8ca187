/* The bytes of a record and of a segment's head, little-endian:
 *
 *	record   0 mark "ELR1"    4 version u16   6 flags u16    8 length u32     12 body length u32
 *	        16 sequence u64  24 batch u64    32 time i64    40 previous u32  44 head checksum
 *u32 48 checksum u32  52 zero u32     56 body, effects, zeros up to a multiple of 8 segment  0 mark
 *"EILPSEG1"  8 version u32  12 checksum u32  16 number u64  24 created i64 32 salt u32  36 zeros
 */
#include "base/crc32c.h"
#include "store/log_private.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put16(char *p, uint16_t v)
{
	for (int i = 0; i < 2; i++)
		p[i] = (char)(unsigned char)(v >> 8 * i);
}

static void put32(char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (char)(unsigned char)(v >> 8 * i);
}

static void put64(char *p, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		p[i] = (char)(unsigned char)(v >> 8 * i);
}

static uint64_t get(const char *p, int n)
{
	uint64_t v = 0;

	for (int i = n; i-- > 0;)
		v = v << 8 | (unsigned char)p[i];
	return v;
}

void slog_segment_name(char name[SLOG_NAME], uint64_t number, const char *suffix)
{
	snprintf(name, SLOG_NAME, "log/%010" PRIu64 "%s", number, suffix);
}

uint64_t slog_segment_number(struct str name)
{
	struct str digits, suffix;
	uint64_t n;

	if (!str_cut(name, '.', &digits, &suffix) || !str_eq(suffix, STR("seg")) ||
		!str_u64(digits, INT64_MAX, &n))
		return 0;
	return n;
}

static uint32_t segment_sum(const char *head)
{
	uint32_t sum = crc32c(0, head, 12);

	return crc32c(sum, head + 16, SLOG_SEGMENT_HEAD - 16);
}

void slog_segment_put(char head[SLOG_SEGMENT_HEAD], const struct slog_segment *s)
{
	memset(head, 0, SLOG_SEGMENT_HEAD);
	memcpy(head, "EILPSEG1", 8);
	put32(head + 8, SLOG_VERSION);
	put64(head + 16, s->number);
	put64(head + 24, (uint64_t)s->created);
	put32(head + 32, s->salt);
	put32(head + 12, segment_sum(head));
}

bool slog_segment_parse(struct str b, struct slog_segment *s)
{
	if (b.n < SLOG_SEGMENT_HEAD || memcmp(b.p, "EILPSEG1", 8) != 0 ||
		get(b.p + 8, 4) != SLOG_VERSION || get(b.p + 12, 4) != segment_sum(b.p))
		return false;
	*s = (struct slog_segment){ .number = get(b.p + 16, 8),
		.created = (int64_t)get(b.p + 24, 8),
		.salt = (uint32_t)get(b.p + 32, 4) };
	return true;
}

void slog_record_put(char head[SLOG_RECORD_HEAD], const struct slog_record *r)
{
	memcpy(head, "ELR1", 4);
	put16(head + 4, SLOG_VERSION);
	put16(head + 6, 0);
	put32(head + 8, (uint32_t)(SLOG_RECORD_HEAD + r->body.n + r->effects.n));
	put32(head + 12, (uint32_t)r->body.n);
	put64(head + 16, r->sequence);
	put64(head + 24, r->batch);
	put64(head + 32, (uint64_t)r->time);
	memset(head + 40, 0, SLOG_RECORD_HEAD - 40);
}

static uint32_t record_sum(const char *record, size_t n, uint32_t salt)
{
	uint32_t sum = crc32c(salt, record, 48);

	return crc32c(sum, record + SLOG_RECORD_HEAD, n - SLOG_RECORD_HEAD);
}

uint32_t slog_record_seal(char *record, uint32_t salt, uint32_t previous, bool ends_batch)
{
	uint32_t sum;

	put16(record + 6, ends_batch ? SLOG_ENDS_BATCH : 0);
	put32(record + 40, previous);
	put32(record + 44, crc32c(salt, record, 44));
	sum = record_sum(record, (size_t)get(record + 8, 4), salt);
	put32(record + 48, sum);
	return sum;
}

uint64_t slog_record_length(struct str b, uint32_t salt)
{
	uint64_t n;

	if (b.n < SLOG_RECORD_HEAD || memcmp(b.p, "ELR1", 4) != 0 ||
		get(b.p + 44, 4) != crc32c(salt, b.p, 44))
		return 0;
	n = get(b.p + 8, 4);
	return n < SLOG_RECORD_HEAD ? 0 : n;
}

size_t slog_record_sizes(const char *head, size_t *body, size_t *effects)
{
	uint64_t length = get(head + 8, 4);

	*body = (size_t)get(head + 12, 4);
	if (length < SLOG_RECORD_HEAD || *body > length - SLOG_RECORD_HEAD)
		return 0;
	*effects = (size_t)(length - SLOG_RECORD_HEAD - *body);
	return (size_t)slog_round(length, 8);
}

size_t slog_record_head(
	struct str b, uint32_t salt, struct slog_record *r, size_t *body, size_t *effects)
{
	size_t n = slog_record_length(b, salt) ? slog_record_sizes(b.p, body, effects) : 0;

	if (n == 0)
		return 0;
	*r = (struct slog_record){ .version = (uint16_t)get(b.p + 4, 2),
		.sequence = get(b.p + 16, 8),
		.batch = get(b.p + 24, 8),
		.time = (int64_t)get(b.p + 32, 8),
		.previous = (uint32_t)get(b.p + 40, 4),
		.ends_batch = get(b.p + 6, 2) & SLOG_ENDS_BATCH };
	r->after = (struct slog_position){
		.sequence = r->sequence, .batch = r->batch, .checksum = (uint32_t)get(b.p + 48, 4)
	};
	return n;
}

size_t slog_record_parse(struct str b, uint32_t salt, struct slog_record *r)
{
	size_t body, effects, n = slog_record_head(b, salt, r, &body, &effects);

	if (n == 0 || SLOG_RECORD_HEAD + body + effects > b.n ||
		r->after.checksum != record_sum(b.p, SLOG_RECORD_HEAD + body + effects, salt))
		return 0;
	r->body = str_make(b.p + SLOG_RECORD_HEAD, body);
	r->effects = str_make(b.p + SLOG_RECORD_HEAD + body, effects);
	return n;
}
