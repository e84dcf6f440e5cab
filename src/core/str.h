/* Byte slices: a pointer and a length, passed by value, owning nothing. Not NUL-terminated.
 * Threads: any. */
#ifndef WEIR_CORE_STR_H
#define WEIR_CORE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define STR_BYTES_TEXT 24

struct str {
    const char *p;
    size_t n;
};

#define STR(lit) ((struct str){(lit), sizeof(lit) - 1})
/* For printf("%.*s"). */
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}
static inline struct str str_c(const char *c)
{
    return (struct str){c, c ? strlen(c) : 0};
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_eq_c(struct str a, const char *c)
{
    return str_eq(a, str_c(c));
}
static inline bool str_starts(struct str a, struct str prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}
static inline bool str_ends(struct str a, struct str suffix)
{
    return a.n >= suffix.n &&
           (suffix.n == 0 || memcmp(a.p + (a.n - suffix.n), suffix.p, suffix.n) == 0);
}
/* `a` from byte `from` on; empty past the end. */
static inline struct str str_from(struct str a, size_t from)
{
    if (from > a.n)
        from = a.n;
    return from ? (struct str){a.p + from, a.n - from} : a;
}
/* memcpy of what is mostly short: pieces that overlap take the place of a call. */
static inline void str_copy(char *to, struct str s)
{
    if (s.n > 32) {
        memcpy(to, s.p, s.n);
    } else if (s.n >= 16) {
        memcpy(to, s.p, 16);
        memcpy(to + s.n - 16, s.p + s.n - 16, 16);
    } else if (s.n >= 8) {
        memcpy(to, s.p, 8);
        memcpy(to + s.n - 8, s.p + s.n - 8, 8);
    } else if (s.n >= 4) {
        memcpy(to, s.p, 4);
        memcpy(to + s.n - 4, s.p + s.n - 4, 4);
    } else {
        for (size_t i = 0; i < s.n; i++)
            to[i] = s.p[i];
    }
}
/* ASCII case is ignored. */
bool str_ieq(struct str a, struct str b);
/* <0, 0, >0 as memcmp, a shorter prefix first. */
int str_cmp(struct str a, struct str b);
/* The index of c at or after `from`, or a.n. */
size_t str_find_byte(struct str a, char c, size_t from);
/* The index of the first `needle`, or SIZE_MAX. */
size_t str_find(struct str hay, struct str needle);
struct str str_trim(struct str a);
/* Cuts the part before `sep` off *rest; false when *rest is used up (its pointer is NULL then).
 * "a," has two parts, "" one. */
bool str_split(struct str *rest, char sep, struct str *ret_part);
/* Whether all of `s` fits a pattern in which '*' stands for any bytes. */
bool str_glob(struct str pattern, struct str s);
/* Whole-string conversions; false when not wholly a number in range. */
bool str_to_i64(struct str s, int64_t *ret);
bool str_to_u64(struct str s, uint64_t *ret);
bool str_to_f64(struct str s, double *ret);
/* "64MiB", "1.5 GB", "512k", "100" -> bytes (k, M, G, T; with i or B alike: powers of 1024). */
bool str_to_bytes(struct str s, uint64_t *ret);
/* "100 KiB", "1.5 GiB", "17 B" to `out`, which it answers. */
const char *str_put_bytes(char out[STR_BYTES_TEXT], uint64_t bytes);
/* "90s", "15m", "24h", "7d", "250ms", "1w" -> nanoseconds. */
bool str_to_duration_ns(struct str s, int64_t *ret);
/* Edit distance bounded by `max` + 1; for "did you mean". */
unsigned str_distance(struct str a, struct str b, unsigned max);

#endif
