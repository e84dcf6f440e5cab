/* Texts that repeat what other columns of their rows say, as the messages of Windows events do: an
 * encoder of such a column is given the others, and a reader of its chunk asks for those that it
 * names. Layout: encoding_refs.c. Threads: pure functions over arenas. */
#ifndef WEIR_STORE_REFS_H
#define WEIR_STORE_REFS_H

#include "record/rows.h"

/* A column as a chunk names it: strings, or integers by their decimal text. */
struct ref_name {
    struct str path;
    uint16_t occ;
    uint8_t lane;
};
struct ref_column {
    struct ref_name name;
    uint32_t number; /* the caller's */
    struct values v;
    uint64_t bytes; /* of text */
    struct presence p;
};
/* What was learnt of a stream's texts in blocks before, so that the next begins with it: which
 * places of which kinds of texts stand for which columns, by their names. A block is read without
 * it. Bounded; one thread at a time. */
struct refs_memory;
struct refs_memory *refs_memory_new(void);
void refs_memory_free(struct refs_memory *m);
/* Whether there is anything in it. */
bool refs_memory_has(const struct refs_memory *m);

/* What an encoder of texts knows of the other columns of their rows. */
struct refs {
    const struct ref_column *own;
    /* Of each text, to learn from as they stand in `own`, and to write. */
    const uint32_t *row;
    const struct ref_column *column;
    uint32_t n;
    uint32_t sample;            /* texts to learn from, at most */
    struct refs_memory *memory; /* NULL: nothing is known, and nothing is kept */
    /* Learned: what stands where; the columns in use, and their numbers among all. */
    struct refs_table *places;
    uint64_t *known; /* which of them are in use: a bit each, which stays in cache */
    uint64_t *heads; /* of which texts */
    const struct ref_column **used;
    uint32_t n_used;
};

/* Texts are looked at where there are so many, so long on average. */
enum { REFS_TEXTS_MIN = 1024, REFS_LENGTH_MIN = 64 };
/* Whether so many texts, of so many bytes, are long enough to be made of others. */
static inline bool refs_long_texts(uint32_t n, uint64_t bytes)
{
    return n >= REFS_TEXTS_MIN && bytes >= (uint64_t)n * REFS_LENGTH_MIN;
}
/* Learns from a sample of texts where which columns stand, or, with a memory, from those of a kind
 * of which it knows too little; false where that is worth nothing, as it is where all texts are the
 * same. `own`, `row`, `column`, `n` and `sample` are given, and maybe `memory`; the rest lives in
 * the arena. */
bool refs_learn(struct refs *r, struct arena *a);

#endif
