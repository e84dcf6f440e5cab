/* Word rules, shared by matching and by token filters: a word is a maximal run of letters, marks,
 * digits and
 * '_' of any script; an ideograph is a word of its own (utf8proc's tables). Case is folded by
 * simple lower case, one code point to one. Invalid bytes are not word characters and fold to
 * themselves. Threads: pure functions. */
#ifndef WEIR_RECORD_WORDS_H
#define WEIR_RECORD_WORDS_H

#include "core/buf.h"

/* The version of utf8proc's Unicode tables, as in "15.0.0"; stands in every segment. */
const char *words_version(void);
/* Appends the folded text. */
void words_fold(struct str s, struct buf *out);
/* Whether position `at` of s is a word's edge: no word character runs across it. */
bool words_edge(struct str s, size_t at);
/* Whether the code point that starts (ends) at `at` is a word character. */
bool words_char_at(struct str s, size_t at);
bool words_char_before(struct str s, size_t at);
/* Bytes of the code point that starts at `at` (< s.n); 1 for a byte that starts none. */
size_t words_char_bytes(struct str s, size_t at);
/* Calls fn for each word, as bytes [from, to) of s. */
void words_each(struct str s, void (*fn)(void *ctx, size_t from, size_t to), void *ctx);
/* hash64 of a word's folded bytes. */
uint64_t words_hash(struct str word);
/* The lower case of the word characters below 128; 0 for all other bytes. */
extern const uint8_t words_ascii[256];
/* A number of fewer than ten digits, with or without a unit of at most four letters (of which one
 * is no hexadecimal digit) behind it: 404, 15ms. Token filters leave these out: they are many, tell
 * little, and columns of numbers are quick to read. */
#define WORDS_QUANTITY_DIGITS 9
bool words_quantity(struct str word);
/* Calls fn for the hash (hash64 of its folded bytes) of each word that is no quantity, repeats
 * included. */
void words_hashes(struct str s, void (*fn)(void *ctx, uint64_t hash), void *ctx);
/* Short words that were told already, each in the place of one before. */
struct words_told {
    uint64_t word[2048]; /* folded; 0: none */
};
/* As words_hashes, but for words that are known to have been told with `told`, which is all zero at
 * first. */
void words_hashes_new(struct str s, struct words_told *told, void (*fn)(void *ctx, uint64_t hash),
                      void *ctx);

#endif
