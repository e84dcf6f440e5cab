/* The words of texts for token filters, from their templates: those of static text once for each
 * template, those that variables make by the variables alone. Threads: pure functions. */
#ifndef WEIR_STORE_TEMPLATE_TOKENS_H
#define WEIR_STORE_TEMPLATE_TOKENS_H

#include "store/encoding.h"
#include "store/template.h"

/* What is known of a slot's values. */
struct slot_tokens {
    bool quantities; /* numbers, times, addresses: their words are quantities, but for units */
    bool numbers;    /* templates' `number` has them, of digits behind the point as `frac` says,
                           * and none is padded with zeros */
    uint8_t frac;    /* digits behind the point */
    bool times;      /* dates with times of day, all written in one way */
    const uint32_t *code; /* of each value its entry in a dictionary; NULL: there is none */
    const struct values *dict;
};

/* Puts the words of all texts, repeats included, and some entries' of dictionaries. `slot` is of
 * all slots of all templates. */
void template_tokens_put(const struct templates *t, const struct slot_tokens *slot,
                         struct word_sink *sink, struct arena *scratch);

#endif
