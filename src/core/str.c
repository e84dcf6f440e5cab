/* Slices: searching, cutting, and whole-string conversions that refuse anything but exactly a
 * number. */
#include "core/str.h"

#include <stdio.h>

#include "core/mem.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : (unsigned char)c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int d = n ? memcmp(a.p, b.p, n) : 0;
    return d ? d : (a.n > b.n) - (a.n < b.n);
}

size_t str_find_byte(struct str a, char c, size_t from)
{
    if (from >= a.n)
        return a.n;
    const char *at = memchr(a.p + from, c, a.n - from);
    return at ? (size_t)(at - a.p) : a.n;
}

size_t str_find(struct str hay, struct str needle)
{
    if (needle.n == 0)
        return 0;
    if (needle.n > hay.n)
        return SIZE_MAX;
    const char *at = memmem(hay.p, hay.n, needle.p, needle.n);
    return at ? (size_t)(at - hay.p) : SIZE_MAX;
}

struct str str_trim(struct str a)
{
    while (a.n && is_space(a.p[0])) {
        a.p++;
        a.n--;
    }
    while (a.n && is_space(a.p[a.n - 1]))
        a.n--;
    return a;
}

/* A used-up rest has a null pointer: "a," is two parts, the second empty. */
bool str_split(struct str *rest, char sep, struct str *ret_part)
{
    if (!rest->p)
        return false;
    size_t at = str_find_byte(*rest, sep, 0);
    *ret_part = str_of(rest->p, at);
    *rest = at == rest->n ? (struct str){0} : str_from(*rest, at + 1);
    return true;
}

/* On a mismatch go back to the last '*' and let it take one byte more. */
bool str_glob(struct str pattern, struct str s)
{
    size_t i = 0, j = 0, star = SIZE_MAX, from = 0;
    while (i < s.n) {
        if (j < pattern.n && pattern.p[j] == '*') {
            star = j++;
            from = i;
        } else if (j < pattern.n && pattern.p[j] == s.p[i]) {
            i++;
            j++;
        } else if (star != SIZE_MAX) {
            j = star + 1;
            i = ++from;
        } else {
            return false;
        }
    }
    while (j < pattern.n && pattern.p[j] == '*')
        j++;
    return j == pattern.n;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (!is_digit(s.p[i]) || __builtin_mul_overflow(v, 10, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v))
            return false;
    }
    if (s.n == 0)
        return false;
    *ret = v;
    return true;
}

bool str_to_i64(struct str s, int64_t *ret)
{
    bool minus = s.n && s.p[0] == '-';
    uint64_t v;
    if (!str_to_u64(minus ? str_from(s, 1) : s, &v) || v > (uint64_t)INT64_MAX + minus)
        return false;
    *ret = minus ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

bool str_to_f64(struct str s, double *ret)
{
    /* strtod also takes leading space, hex, inf and nan: none is a number here. */
    bool digits = false;
    for (size_t i = 0; i < s.n; i++) {
        digits |= is_digit(s.p[i]);
        if (!is_digit(s.p[i]) && !memchr("+-.eE", s.p[i], 5))
            return false;
    }
    if (!digits)
        return false;
    char small[64];
    char *text = s.n < sizeof(small) ? small : mem_alloc(s.n + 1);
    memcpy(text, s.p, s.n);
    text[s.n] = 0;
    char *end;
    double v = strtod(text, &end);
    bool whole = end == text + s.n && isfinite(v);
    if (text != small)
        mem_free(text);
    if (whole)
        *ret = v;
    return whole;
}

/* Cuts "12.75" off *s as 12 and 750000000 billionths; digits past the ninth are dropped. */
static bool cut_decimal(struct str *s, uint64_t *ret_whole, uint64_t *ret_billionths)
{
    size_t i = 0;
    while (i < s->n && is_digit(s->p[i]))
        i++;
    if (!str_to_u64(str_of(s->p, i), ret_whole))
        return false;
    *ret_billionths = 0;
    if (i < s->n && s->p[i] == '.') {
        size_t start = ++i;
        for (uint64_t scale = 100000000; i < s->n && is_digit(s->p[i]); i++, scale /= 10)
            *ret_billionths += (uint64_t)(s->p[i] - '0') * scale;
        if (i == start)
            return false;
    }
    *s = str_from(*s, i);
    return true;
}

static bool scale_decimal(uint64_t whole, uint64_t billionths, uint64_t unit, uint64_t *ret)
{
    unsigned __int128 v = (unsigned __int128)whole * unit;
    v += (unsigned __int128)billionths * unit / 1000000000;
    if (v > UINT64_MAX)
        return false;
    *ret = (uint64_t)v;
    return true;
}

const char *str_put_bytes(char out[STR_BYTES_TEXT], uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    double v = (double)bytes;
    int unit = 0;
    for (; v >= 1024 && unit < 6; unit++)
        v /= 1024;
    bool whole = v >= 100 || v == (double)(uint64_t)v;
    snprintf(out, STR_BYTES_TEXT, whole ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

/* "", "B", "k", "KB", "KiB", ... -> 1, 1, 1024, ... */
static bool bytes_unit(struct str s, uint64_t *ret)
{
    static const char letters[] = "kmgtp";
    if (s.n && lower(s.p[s.n - 1]) == 'b')
        s.n--;
    if (s.n == 0) {
        *ret = 1;
        return true;
    }
    const char *at = memchr(letters, lower(s.p[0]), sizeof(letters) - 1);
    if (!at || s.n > 2 || (s.n == 2 && s.p[1] != 'i'))
        return false;
    *ret = 1ULL << (10 * (at - letters + 1));
    return true;
}

bool str_to_bytes(struct str s, uint64_t *ret)
{
    uint64_t whole, part, unit;
    s = str_trim(s);
    return cut_decimal(&s, &whole, &part) && bytes_unit(str_trim(s), &unit) &&
           scale_decimal(whole, part, unit, ret);
}

static bool cut_duration_unit(struct str *s, uint64_t *ret)
{
    static const struct {
        struct str name;
        uint64_t ns;
    } units[] = {
        {{"ns", 2}, 1},
        {{"us", 2}, 1000},
        {{"ms", 2}, 1000000},
        {{"s", 1}, 1000000000},
        {{"m", 1}, 60000000000},
        {{"h", 1}, 3600000000000},
        {{"d", 1}, 86400000000000},
        {{"w", 1}, 604800000000000},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (str_starts(*s, units[i].name)) {
            *s = str_from(*s, units[i].name.n);
            *ret = units[i].ns;
            return true;
        }
    }
    return false;
}

/* One or more number-and-unit pairs ("1h30m"); a bare 0 needs no unit. */
bool str_to_duration_ns(struct str s, int64_t *ret)
{
    s = str_trim(s);
    if (str_eq(s, STR("0"))) {
        *ret = 0;
        return true;
    }
    uint64_t total = 0;
    do {
        uint64_t whole, part, unit, ns;
        if (!cut_decimal(&s, &whole, &part))
            return false;
        s = str_trim(s);
        if (!cut_duration_unit(&s, &unit) || !scale_decimal(whole, part, unit, &ns) ||
            __builtin_add_overflow(total, ns, &total) || total > INT64_MAX)
            return false;
    } while (s.n);
    *ret = (int64_t)total;
    return true;
}

unsigned str_distance(struct str a, struct str b, unsigned max)
{
    enum { LONGEST = 128 };
    unsigned row[LONGEST + 1];
    size_t gap = a.n > b.n ? a.n - b.n : b.n - a.n;
    if (a.n > LONGEST || b.n > LONGEST || gap > max)
        return max + 1;
    for (size_t j = 0; j <= b.n; j++)
        row[j] = (unsigned)j;
    for (size_t i = 1; i <= a.n; i++) {
        unsigned diagonal = row[0];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= b.n; j++) {
            unsigned best = diagonal + (lower(a.p[i - 1]) != lower(b.p[j - 1]));
            diagonal = row[j];
            best = best < row[j] + 1 ? best : row[j] + 1;
            row[j] = best < row[j - 1] + 1 ? best : row[j - 1] + 1;
        }
    }
    return row[b.n] > max ? max + 1 : row[b.n];
}
