/* Numbers as texts write them: a mantissa and the few facts that bring the very text back. A run of
 * texts is held as numerals only where every one of them comes back to the byte.
 * Threads: pure functions. */
#ifndef WEIR_STORE_NUMERAL_H
#define WEIR_STORE_NUMERAL_H

#include "record/rows.h"

#include <string.h>

/* How the numbers of a column are written: digits, then '.' and `frac` digits where frac is not 0;
 * in front of them as many of `pad` ('0' or ' ') as bring the whole to `width`. pad 0: none. */
struct numeral_form {
    uint8_t frac; /* 0..NUMERAL_FRAC_MAX */
    uint8_t pad;
    uint8_t width; /* 0 where there is no pad; at most NUMERAL_WIDTH_MAX */
};
#define NUMERAL_FRAC_MAX 9
#define NUMERAL_WIDTH_MAX 32
#define NUMERAL_DIGITS_MAX 18

/* A text taken apart: spaces, digits, fraction. */
struct numeral_parts {
    int64_t mantissa;
    uint8_t spaces, whole, frac; /* whole: digits before the point; 0: it is no number */
    uint8_t length;
    uint8_t zero; /* 1: a zero stands in front of another digit */
    uint8_t unused[3];
};
/* False where it is no number, or one of too many digits. */
bool numeral_parse(struct str s, struct numeral_parts *ret);
static inline bool numeral_ok(size_t spaces, size_t whole, size_t frac)
{
    return whole > 0 && whole + frac <= NUMERAL_DIGITS_MAX && frac <= NUMERAL_FRAC_MAX &&
           spaces + whole + frac + (frac > 0) <= NUMERAL_WIDTH_MAX;
}

/* What is known of numbers that came one by one. */
struct numeral_look {
    uint64_t last; /* how the last one was written: all but its mantissa */
    uint8_t frac;
    bool zeros, spaces, one_length;
    uint8_t length, shortest, longest; /* length: of the first */
    uint8_t whole;                     /* most digits before the point */
};
static inline uint64_t numeral_writing(const struct numeral_parts *p)
{
    uint64_t how;
    _Static_assert(sizeof(*p) == sizeof(p->mantissa) + sizeof(how), "nothing but these");
    memcpy(&how, &p->spaces, sizeof(how));
    return how;
}
static inline void numeral_look_first(struct numeral_look *l, const struct numeral_parts *p)
{
    *l = (struct numeral_look){.last = numeral_writing(p),
                               .frac = p->frac,
                               .zeros = p->zero,
                               .spaces = p->spaces > 0,
                               .one_length = true,
                               .length = p->length,
                               .shortest = p->length,
                               .longest = p->length,
                               .whole = p->whole};
}
/* False: it is none, or has another number of digits behind the point. */
static inline bool numeral_look_add(struct numeral_look *l, const struct numeral_parts *p)
{
    uint64_t how = numeral_writing(p);
    if (how == l->last)
        return true;
    l->last = how;
    l->zeros |= p->zero;
    l->spaces |= p->spaces > 0;
    l->one_length &= p->length == l->length;
    l->shortest = p->length < l->shortest ? p->length : l->shortest;
    l->longest = p->length > l->longest ? p->length : l->longest;
    l->whole = p->whole > l->whole ? p->whole : l->whole;
    return p->whole && p->frac == l->frac;
}
/* The form that they share. Where it pads with spaces, that is so only if each number's text has
 * the length that numeral_write() gives it. */
bool numeral_look_form(const struct numeral_look *l, struct numeral_form *ret);

/* The form that all n texts share, with their mantissas; false where there is none. */
bool numeral_form_of(const struct values *v, struct numeral_form *ret, int64_t *mantissa);
bool numeral_form_ok(const struct numeral_form *f);
/* Whether the mantissa has a text in this form. */
bool numeral_fits(const struct numeral_form *f, int64_t mantissa);
/* Bytes of the text; writes it where `to` is not NULL. The mantissa fits. */
#define NUMERAL_TEXT_MAX 64
size_t numeral_write(const struct numeral_form *f, int64_t mantissa, char *to);
/* The texts of n mantissas (those at rank[0..n), or the first n where rank is NULL), of the lane
 * given. ERR_CORRUPT where one has none. */
NODISCARD enum err numeral_texts(const struct numeral_form *f, const int64_t *mantissa,
                                 const uint32_t *rank, uint32_t n, enum lane lane, struct arena *a,
                                 struct values *ret);
/* 10^i. */
extern const int64_t numeral_power10[NUMERAL_DIGITS_MAX + 1];

#endif
