/* A chunk of references, opened. For encoding_refs.c and refs_match.c only. Lives in the arena it
 * was opened with; one thread at a time. */
#ifndef WEIR_STORE_REFS_READ_H
#define WEIR_STORE_REFS_READ_H

#include "store/encoding_ops.h"

enum { REF = 0x0e, REF_FIRST = 0x80, REFS_MAX = 112 };

struct referring {
    const struct chunk *c;
    struct arena *a;
    uint32_t n; /* columns */
    struct ref_name *name;
    struct values *v;    /* of each column, of the texts asked for */
    const uint32_t **at; /* of each text its value; NULL: not loaded */
    struct chunk texts;
};
NODISCARD enum err referring_open(const struct chunk *c, struct arena *a, struct referring *ret);
/* The next reference of s at or behind *at, which is moved there; false where there is none. *ret
 * is its column, or n where it stands for REF itself. */
NODISCARD enum err referring_next(const struct referring *o, struct str s, size_t *at,
                                  uint32_t *ret, bool *found);

/* Texts with their references written out: of the values at `n` positions (NULL: of all), those
 * from `from` up to `to`, in `a`. texts[code[pos[i]]] is what value i holds; without `code` it is
 * texts[i]. */
struct texts_of {
    const struct values *texts;
    const uint32_t *code, *pos;
    uint32_t n;
};
NODISCARD enum err referring_texts(struct referring *o, const struct texts_of *x, uint32_t from,
                                   uint32_t to, struct arena *a, struct values *ret);

struct ref_number {
    char b[24];
};
/* The text of an integer, in `to`. */
struct str ref_number_text(int64_t v, struct ref_number *to);
/* That of value i of a column. */
struct str ref_text_at(const struct values *v, uint32_t i, struct ref_number *to);

NODISCARD enum err refs_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                              uint64_t *bits);

#endif
