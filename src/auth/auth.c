/* Basic auth (RFC 7617): "Basic " and the base64 of NAME:PASSWORD. Name and password are compared
 * byte by byte without stopping at the first difference; a wrong length is mixed into the result
 * instead of being answered at once. */
#include "auth/auth.h"

enum { CREDENTIALS_MAX = 1024 };

static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* False for what is no base64 or does not fit. */
static bool base64_decode(struct str s, char *out, size_t max, size_t *ret_n)
{
    uint32_t bits = 0;
    unsigned have = 0;
    size_t n = 0;
    while (s.n > 0 && s.p[s.n - 1] == '=')
        s.n--;
    for (size_t i = 0; i < s.n; i++) {
        int digit = base64_digit(s.p[i]);
        if (digit < 0)
            return false;
        bits = bits << 6 | (uint32_t)digit;
        have += 6;
        if (have < 8)
            continue;
        have -= 8;
        if (n == max)
            return false;
        out[n++] = (char)(bits >> have);
    }
    *ret_n = n;
    return true;
}

/* Takes the time of `given`, whatever it is compared with. */
static unsigned differs(struct str given, struct str wanted)
{
    volatile unsigned diff = given.n != wanted.n;
    for (size_t i = 0; i < given.n; i++) {
        char want = wanted.n ? wanted.p[i % wanted.n] : 0;
        diff |= (unsigned char)(given.p[i] ^ want);
    }
    return diff;
}

bool auth_root_check(void *ctx, struct str authorization)
{
    const struct auth_root *root = ctx;
    struct str s = str_trim(authorization);
    if (s.n < 6 || !str_ieq(str_of(s.p, 6), STR("basic ")))
        return false;
    char plain[CREDENTIALS_MAX];
    size_t n;
    if (!base64_decode(str_trim(str_from(s, 6)), plain, sizeof(plain), &n))
        return false;
    struct str given = str_of(plain, n);
    size_t colon = str_find_byte(given, ':', 0);
    if (colon == n)
        return false;
    unsigned user = differs(str_of(plain, colon), root->user);
    unsigned password = differs(str_from(given, colon + 1), root->password);
    return (user | password) == 0;
}
