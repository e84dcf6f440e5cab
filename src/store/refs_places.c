/* Places and values, see refs_places.h. A place is told by the first bytes of the text (which event
 * it is), the bytes right before it (its label) and how many times those have been met in the text.
 */
#include "store/refs_places.h"

#include "record/scan.h"

enum { LABEL = 16 };

static const bool opens[256] = {
    [' '] = true, ['\t'] = true, ['\n'] = true, ['"'] = true,  ['='] = true, [':'] = true,
    ['('] = true, ['['] = true,  [','] = true,  ['\''] = true, ['>'] = true};
const bool refs_word_byte[256] = {['0' ... '9'] = true,
                                  ['a' ... 'z'] = true,
                                  ['A' ... 'Z'] = true,
                                  ['_'] = true,
                                  [0x80 ... 0xff] = true};

static uint64_t load(const char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

void places_begin(struct places *x, struct str s, uint64_t head)
{
    x->s = s;
    x->at = 0;
    x->head = head;
    x->epoch++;
}

/* The first place at or behind i > 0; n where there is none. Long words are passed sixteen bytes at
 * a time. */
static size_t next_place(const uint8_t *p, size_t i, size_t n)
{
    for (;;) {
        size_t end = n - i < sizeof(scan_bytes) ? n : i + sizeof(scan_bytes);
        for (; i < end; i++)
            if (opens[p[i - 1]] && (p[i - 1] == '\n' || (!opens[p[i]] && p[i] > ' ')))
                return i;
        for (; i < n && n - i >= sizeof(scan_bytes); i += sizeof(scan_bytes)) {
            scan_bytes v;
            memcpy(&v, p + i - 1, sizeof(v));
            if (scan_bits((scan_bytes)((v < SCAN_ALL('-')) |
                                       (v - SCAN_ALL(':') <= SCAN_ALL('>' - ':')) |
                                       (v == SCAN_ALL('[')))))
                break;
        }
        if (i >= n)
            return n;
    }
}

bool places_next(struct places *x, uint64_t *ret)
{
    size_t n = x->s.n, i = x->at ? next_place((const uint8_t *)x->s.p, x->at, n) : 0;
    x->at = i;
    if (i >= n)
        return false;
    uint64_t a = 0, b = 0, head = i ? x->head : 0;
    if (i >= LABEL) {
        a = load(x->s.p + i - 16);
        b = load(x->s.p + i - 8);
    } else {
        a = hash64(str_of(x->s.p, i));
    }
    uint64_t label = hash_mix(hash_mix(head ^ a) ^ b);
    uint32_t times = 0;
    size_t m = label % PLACES_MET;
    if (x->met[m].epoch == x->epoch && x->met[m].label == label)
        times = x->met[m].times + 1;
    x->met[m].label = label;
    x->met[m].epoch = x->epoch;
    x->met[m].times = times;
    *ret = label + times * 0x9e3779b97f4a7c15ULL;
    return true;
}

/* ---- values of other columns ---- */

struct str ref_number_text(int64_t v, struct ref_number *to)
{
    char *end = to->b + sizeof(to->b), *p = end;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do
        *--p = (char)('0' + u % 10);
    while (u /= 10);
    if (v < 0)
        *--p = '-';
    return str_of(p, (size_t)(end - p));
}

struct str ref_text_at(const struct values *v, uint32_t i, struct ref_number *to)
{
    return v->lane == LANE_INT ? ref_number_text(v->i64[i], to) : values_text(v, i);
}
