/* Exact decimal numbers, to compare numbers of any lane and any length without rounding: a sign,
 * the significant digits, and the place of the point.
 *
 * Invariants: digits have neither leading nor trailing zeros; zero has no digits, no sign and
 * exponent 0; so equal numbers have equal members and order is by sign, exponent, digits. */
#include "record/predicate_impl.h"

#include <stdio.h>
#include <stdlib.h>

/* Beyond this an exponent is not taken for a number; int32 sums cannot overflow below it. */
#define EXPONENT_MAX 1000000000

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* [eE][+-]digits at the end of s; absent is 0. */
static bool read_exponent(struct str s, int64_t *ret)
{
    *ret = 0;
    if (s.n == 0)
        return true;
    if ((s.p[0] | 0x20) != 'e')
        return false;
    bool minus = s.n > 1 && s.p[1] == '-';
    size_t i = s.n > 1 && (minus || s.p[1] == '+') ? 2 : 1;
    if (i == s.n)
        return false;
    for (; i < s.n; i++) {
        if (!is_digit(s.p[i]) || *ret > EXPONENT_MAX)
            return false;
        *ret = *ret * 10 + (s.p[i] - '0');
    }
    *ret = minus ? -*ret : *ret;
    return true;
}

/* Digits before and behind the point; returns the bytes used, 0 when they are not a number's. */
static size_t read_digits(struct str s, char *room, uint32_t *ret_n, int64_t *ret_exp)
{
    uint32_t n = 0;
    int64_t exp = 0;
    size_t i = 0;
    for (; i < s.n && is_digit(s.p[i]); i++) {
        if (n || s.p[i] != '0') {
            room[n++] = s.p[i];
            exp++;
        }
    }
    if (i == 0)
        return 0;
    if (i < s.n && s.p[i] == '.') {
        size_t point = i++;
        for (; i < s.n && is_digit(s.p[i]); i++) {
            if (n || s.p[i] != '0')
                room[n++] = s.p[i];
            else
                exp--;
        }
        if (i == point + 1)
            return 0;
    }
    *ret_n = n;
    *ret_exp = exp;
    return i;
}

/* Sets i64 where the value is an integer that fits. */
static void find_i64(struct number *n)
{
    uint64_t v = 0;
    if (n->exp < (int64_t)n->n_digits || n->exp > 19)
        return;
    for (int32_t i = 0; i < n->exp; i++) {
        uint64_t d = (uint32_t)i < n->n_digits ? (uint64_t)(n->digits[i] - '0') : 0;
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
            return;
    }
    if (v > (uint64_t)INT64_MAX + n->neg)
        return;
    n->is_i64 = true;
    n->i64 = n->neg ? (int64_t)(0 - v) : (int64_t)v;
}

bool number_read(struct str s, char *room, struct number *ret)
{
    struct number n = {.digits = room};
    if (s.n == 0 || s.n > UINT32_MAX / 2 || (s.p[0] != '-' && !is_digit(s.p[0])))
        return false;
    n.neg = s.p[0] == '-';
    s = str_from(s, n.neg);
    int64_t exp, e;
    size_t used = read_digits(s, room, &n.n_digits, &exp);
    if (used == 0 || !read_exponent(str_from(s, used), &e))
        return false;
    exp += e;
    if (exp > EXPONENT_MAX || exp < -EXPONENT_MAX)
        return false;
    while (n.n_digits && room[n.n_digits - 1] == '0')
        n.n_digits--;
    n.exp = n.n_digits ? (int32_t)exp : 0;
    n.neg = n.neg && n.n_digits;
    find_i64(&n);
    *ret = n;
    return true;
}

bool number_parse(struct str s, struct arena *a, struct number *ret)
{
    /* Most texts are no numbers: no memory is taken for those. */
    if (s.n == 0 || !(is_digit(s.p[0]) || (s.p[0] == '-' && s.n > 1 && is_digit(s.p[1]))))
        return false;
    char *room = arena_alloc(a, s.n);
    if (!number_read(s, room, ret))
        return false;
    ret->f64 = strtod(arena_str(a, s).p, NULL);
    return true;
}

int number_cmp(const struct number *a, const struct number *b)
{
    if (a->n_digits == 0 || b->n_digits == 0) {
        int sign_a = a->n_digits == 0 ? 0 : a->neg ? -1 : 1;
        int sign_b = b->n_digits == 0 ? 0 : b->neg ? -1 : 1;
        return sign_a - sign_b;
    }
    if (a->neg != b->neg)
        return a->neg ? -1 : 1;
    int sign = a->neg ? -1 : 1;
    if (a->exp != b->exp)
        return a->exp < b->exp ? -sign : sign;
    return sign * str_cmp(str_of(a->digits, a->n_digits), str_of(b->digits, b->n_digits));
}

__int128 number_floor(const struct number *n, unsigned scale, bool *ret_exact)
{
    int64_t places = (int64_t)n->exp + scale;
    __int128 v = 0;
    if (places > 30)
        places = 30; /* far outside int64 already: n_digits > 0 here, so the value is >= 10^29 */
    for (int64_t i = 0; i < places && n->n_digits; i++)
        v = v * 10 + (i < n->n_digits ? n->digits[i] - '0' : 0);
    *ret_exact = (int64_t)n->n_digits <= (places > 0 ? places : 0);
    if (n->neg)
        v = *ret_exact ? -v : -v - 1;
    return v;
}

size_t number_text(int64_t mantissa, unsigned scale, char *out)
{
    CHECK(scale <= 18);
    uint64_t v = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    char digits[24];
    size_t n =
        (size_t)snprintf(digits, sizeof(digits), "%0*llu", (int)scale + 1, (unsigned long long)v);
    size_t at = 0;
    if (mantissa < 0)
        out[at++] = '-';
    memcpy(out + at, digits, n - scale);
    at += n - scale;
    if (scale) {
        out[at++] = '.';
        memcpy(out + at, digits + n - scale, scale);
        at += scale;
    }
    return at;
}
