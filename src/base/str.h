/* str.h - byte slices and growing buffers.
 *
 * A slice is a borrowed view: it owns nothing and is passed by value. It is
 * valid only as long as the memory it was cut from. Bytes may be anything,
 * NUL included; make a C string only at a system call (str_z).
 *
 * A buffer owns its bytes and has a limit from birth. Adding past the limit
 * keeps what is there, sets `over`, and ignores every later add, so a caller
 * may add many pieces and ask buf_ok() once at the end.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
	const char *p;
	size_t n;
};

#define STR(lit) ((struct str){ "" lit, sizeof(lit) - 1 })
#define STR_INIT(lit)                                                                              \
	{                                                                                          \
		"" lit, sizeof(lit) - 1                                                            \
	} /* for static tables */
#define STR_F "%.*s"
#define STR_A(s) (int)(s).n, (s).p /* printf(STR_F, STR_A(s)) */

struct str str_c(const char *z); /* a C string; NULL gives the empty slice */
struct str str_make(const void *p, size_t n);
bool str_eq(struct str a, struct str b);
bool str_eqi(struct str a, struct str b); /* ASCII letters fold */
int str_cmp(struct str a, struct str b);  /* bytewise order, like memcmp */
bool str_starts(struct str s, struct str head);
bool str_startsi(struct str s, struct str head);
bool str_endsi(struct str s, struct str tail);
bool str_take(struct str *s, struct str word); /* drop a leading word, fold case */
bool str_cut(struct str s, char sep, struct str *head, struct str *tail);  /* at the first sep */
bool str_rcut(struct str s, char sep, struct str *head, struct str *tail); /* at the last sep */
struct str str_word(struct str *s, char sep);    /* drop and return what precedes sep or the end */
struct str str_from(struct str s, size_t start); /* s[start..], never past the end */
struct str str_head(struct str s, size_t n);     /* s[..n], never past the end */
struct str str_trim(struct str s);               /* without spaces, tabs, CR and LF at both ends */
size_t str_find(struct str s, char c);           /* index, or s.n when absent */
size_t str_search(struct str s, struct str needle);  /* index, or s.n when absent */
size_t str_searchi(struct str s, struct str needle); /* the same, ASCII letters fold */

/* A decimal number: digits only, no sign, no space, at most `max`. */
bool str_u64(struct str s, uint64_t max, uint64_t *out);

/* Copy into a C string of `size` bytes. False, and an empty string, when it does not fit or
 * holds a NUL: such a slice must not reach a system call. */
bool str_z(struct str s, char *out, size_t size);

struct buf {
	char *p;
	size_t n, cap, max;
	bool over;
};

#define BUF(limit) ((struct buf){ .max = (limit) })

void buf_add(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
void buf_addz(struct buf *b, const char *z);
void buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* Room for n more bytes at the end, or NULL when that passes the limit (and `over` is set).
 * The caller writes there and then says with buf_grew() how many bytes it used. */
char *buf_room(struct buf *b, size_t n);
void buf_grew(struct buf *b, size_t n);

void buf_drop(struct buf *b, size_t n); /* remove the first n bytes, keep the rest */
void buf_cut(struct buf *b, size_t n);  /* keep the first n bytes, remove the rest */
void buf_clear(struct buf *b);          /* empties and forgives, keeps the memory */
void buf_free(struct buf *b);           /* safe to call twice */
bool buf_ok(const struct buf *b);
struct str buf_str(const struct buf *b);

/* ASCII, whatever the locale says. */
static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}
static inline bool is_alpha(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}
static inline bool is_alnum(char c)
{
	return is_digit(c) || is_alpha(c);
}
static inline char to_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}
static inline bool is_wsp(char c)
{
	return c == ' ' || c == '\t';
}
static inline bool is_ctl(char c)
{
	return (unsigned char)c < 32 || c == 127;
}

#endif
