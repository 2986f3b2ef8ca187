/* crc32c.h - the checksum of the store's log: CRC-32C (Castagnoli, RFC 3720 appendix B.4).
 *
 * It finds torn and rotten bytes, not forged ones. Uses the instruction of the CPU when it has one,
 * a table otherwise; both give the same value.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include "base/str.h"

/* Continue `crc` (0 to begin) over n more bytes. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* The checksum of two pieces, one after the other, of which the second has n bytes. */
uint32_t crc32c_join(uint32_t first, uint32_t second, uint64_t n);

/* The table alone, for the test that compares the two. */
uint32_t crc32c_table(uint32_t crc, const void *p, size_t n);

#endif
