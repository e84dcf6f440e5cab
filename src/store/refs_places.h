/* Places in texts where values of other columns may stand, and those values. For encoding_refs.c
 * and refs_learn.c only. Threads: pure functions over what is the caller's. */
#ifndef WEIR_STORE_REFS_PLACES_H
#define WEIR_STORE_REFS_PLACES_H

#include "core/hash.h"
#include "store/refs_read.h"

enum { VALUE_MIN = 2, VALUE_MAX = 64 << 10 };
enum { PLACES_HEAD = 16, PLACES_MET = 64, PLACES_KNOWN = 1 << 15 };
enum { HEADS = 4096, NO_HEAD = HEADS };

/* A place, and the column whose value stands there. */
struct refs_place {
    uint64_t key;
    uint32_t hits;
    uint16_t column; /* + 1, or its number among those in use + 1; 0: free */
    uint16_t head;   /* of its texts, some bits; NO_HEAD: where texts begin, which tells no head */
};
struct refs_table {
    struct refs_place *slot;
    uint32_t mask, n;
};

/* What the first bytes of a text tell of its kind. */
static inline uint64_t places_head(struct str s)
{
    return hash64(str_of(s.p, s.n < PLACES_HEAD ? s.n : PLACES_HEAD));
}

/* Walks the places where a value may begin. */
struct places {
    struct str s;
    size_t at;
    uint64_t head;
    uint32_t epoch;
    struct {
        uint64_t label;
        uint32_t epoch, times;
    } met[PLACES_MET];
};
void places_begin(struct places *x, struct str s, uint64_t head);
/* The next place at x->at or behind it, as what tells it from others; false: there is none. */
bool places_next(struct places *x, uint64_t *ret);

static inline uint64_t place_hash(uint64_t key, uint16_t column)
{
    return hash_mix(key + column);
}
/* The place's, with that column (0: with any), or a free one. */
static inline struct refs_place *place_at(const struct refs_table *t, uint64_t key, uint16_t column)
{
    uint32_t at = (uint32_t)place_hash(key, column) & t->mask;
    while (t->slot[at].column &&
           (t->slot[at].key != key || (column && t->slot[at].column != column)))
        at = (at + 1) & t->mask;
    return &t->slot[at];
}

extern const bool refs_word_byte[256];
/* Whether the value stands at `at` as a whole. */
static inline bool refs_stands(struct str s, size_t at, struct str value)
{
    if (value.n < VALUE_MIN || value.n > s.n - at || memcmp(s.p + at, value.p, value.n) != 0)
        return false;
    size_t end = at + value.n;
    return end == s.n || !refs_word_byte[(uint8_t)s.p[end]] ||
           !refs_word_byte[(uint8_t)s.p[end - 1]];
}
/* The column's text in a row; false where it has none. */
static inline bool refs_value_of(const struct ref_column *c, uint32_t row, struct ref_number *to,
                                 struct str *ret)
{
    if (!presence_has(&c->p, row))
        return false;
    uint32_t i = presence_rank(&c->p, row);
    *ret = ref_text_at(&c->v, i, to);
    return true;
}

#endif
