/* The insides of JSON's strings. */
#include "record/json_unescape.h"

#include "record/json.h"
#include "record/scan.h"

const char json_escapes[128] = {['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
                                ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t'};

static bool hex4(const char *p, const char *end, unsigned *ret)
{
    unsigned v = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)p[i], lower = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (lower >= 'a' && lower <= 'f')
            v = v << 4 | (lower - 'a' + 10u);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* UTF-8, and for surrogates the same bit pattern, which is WTF-8. */
static char *put_code_point(char *to, unsigned c)
{
    if (c < 0x80) {
        *to++ = (char)c;
        return to;
    }
    if (c < 0x800) {
        *to++ = (char)(0xc0 | c >> 6);
    } else {
        if (c < 0x10000) {
            *to++ = (char)(0xe0 | c >> 12);
        } else {
            *to++ = (char)(0xf0 | c >> 18);
            *to++ = (char)(0x80 | (c >> 12 & 0x3f));
        }
        *to++ = (char)(0x80 | (c >> 6 & 0x3f));
    }
    *to++ = (char)(0x80 | (c & 0x3f));
    return to;
}

bool json_unescape_one(const char **p, const char *end, char **to)
{
    const char *at = *p + 1;
    unsigned c, low;
    if (at == end)
        return false;
    char known = (unsigned char)*at < 128 ? json_escapes[(unsigned char)*at] : '\0';
    if (known) {
        *(*to)++ = known;
        *p = at + 1;
        return true;
    }
    if (*at != 'u' || !hex4(at + 1, end, &c))
        return false;
    at += 5;
    if (c >= 0xd800 && c < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u' &&
        hex4(at + 2, end, &low) && low >= 0xdc00 && low < 0xe000) {
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    }
    *to = put_code_point(*to, c);
    *p = at;
    return true;
}

/* Copies up to the next backslash, or the end, sixteen or eight bytes at a time: texts with escapes
 * mostly have many. What is written too far is written over, for the source is ahead by as much at
 * least. */
static void copy_to_escape(const char **from, const char *end, char **to)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const char *p = *from;
    char *out = *to;
    for (; end - p >= 16; p += 16, out += 16) {
        scan_bytes v;
        memcpy(&v, p, 16);
        memcpy(out, &v, 16);
        uint32_t found = scan_bits((scan_bytes)(v == SCAN_ALL('\\')));
        if (found) {
            unsigned n = (unsigned)__builtin_ctz(found);
            *from = p + n;
            *to = out + n;
            return;
        }
    }
    for (; end - p >= 8; p += 8, out += 8) {
        uint64_t v;
        memcpy(&v, p, 8);
        memcpy(out, &v, 8);
        uint64_t x = v ^ ones * '\\', found = (x - ones) & ~x & ones << 7;
        if (found) { /* the lowest mark is right, whatever stands above it */
            unsigned n = (unsigned)__builtin_ctzll(found) / 8;
            *from = p + n;
            *to = out + n;
            return;
        }
    }
    while (p < end && *p != '\\')
        *out++ = *p++;
    *from = p;
    *to = out;
}

bool json_unescape_plain(struct str s, char *to, size_t *ret_n, size_t *ret_bad)
{
    char *start = to;
    const char *p = s.p, *end = s.p + s.n;
    while (p < end) {
        copy_to_escape(&p, end, &to);
        if (p < end && !json_unescape_one(&p, end, &to)) {
            *ret_bad = (size_t)(p - s.p);
            return false;
        }
    }
    *ret_n = (size_t)(to - start);
    return true;
}

bool json_unescape(struct str s, char *to, size_t *ret_n, size_t *ret_bad)
{
#ifdef __x86_64__
    if (json_has_avx512())
        return json_unescape_avx512(s, to, ret_n, ret_bad);
#endif
    return json_unescape_plain(s, to, ret_n, ret_bad);
}
