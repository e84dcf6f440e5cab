/* A chunk of templates, opened: what encoding_template.c wrote, piece by piece as it is asked for.
 * For template_read.c and template_match.c only. Lives in the arena it was opened with; one thread
 * at a time. */
#ifndef WEIR_STORE_TEMPLATE_READ_H
#define WEIR_STORE_TEMPLATE_READ_H

#include "store/byte_kinds.h"
#include "store/encoding_ops.h"
#include "store/numeral.h"
#include "store/template.h"

/* The parts of a chunk; encoding_template.c says what they hold. */
enum {
    TEMPLATE_PATTERNS,
    TEMPLATE_CODES,
    TEMPLATE_SLOTS,
    TEMPLATE_NUMBERS,
    TEMPLATE_TEXTS,
    TEMPLATE_WORDS,
    TEMPLATE_PARTS
};
enum slot_kind { SLOT_OWN, SLOT_NUMBER, SLOT_TEXT, SLOT_WORDS, SLOT_OWN_WORDS, SLOT_KINDS };
/* A dictionary's entries, their slots, those of a token. */
enum { TEMPLATE_INNER_MAX = 3, TEMPLATE_DICTS_MAX = 16 };

struct slot {
    uint8_t kind, dict;
    uint16_t bytes; /* byte_kinds of its values; of kinds own and text */
    struct numeral_form form;
    uint32_t at;         /* in its pool, or its part */
    struct chunk *chunk; /* of kind own, once opened */
};
struct templated {
    const struct chunk *c;
    struct arena *a;
    uint32_t n; /* templates */
    struct chunk patterns;
    const uint32_t *code;
    uint32_t *rows;       /* texts of each template */
    uint32_t *first_slot; /* n + 1 */
    struct slot *slot;
    uint32_t n_numbers, n_texts, n_codes, n_dicts;
    const int64_t *number; /* the pools, once read */
    const struct values *text;
    const struct values *picked; /* of the pool of texts, what one templated_get asks for */
    uint32_t *picked_at;         /* of each slot, where in it */
    const int64_t *pool_code;
    const struct values **dict; /* each once read */
    uint16_t *dict_bytes;       /* byte_kinds of the words of each */
    const int64_t *time;
    uint32_t times_asked;     /* templates whose times were looked for */
    const uint32_t *of_start; /* n + 1: where in `of` a template's texts are; once made */
    const uint32_t *of;
};

NODISCARD enum err templated_open(const struct chunk *c, struct arena *a, struct templated *ret);
/* The values of a slot: all of them, or those at n ascending ranks. */
NODISCARD enum err templated_slot(struct templated *o, uint32_t template, uint32_t slot,
                                  const uint32_t *rank, uint32_t n, struct values *ret);
/* The numbers of all texts in a slot of kind number. */
NODISCARD enum err templated_numbers(struct templated *o, uint32_t slot, const int64_t **ret);
/* The chunk of a slot of kind own. */
NODISCARD enum err templated_own(struct templated *o, uint32_t template, uint32_t slot,
                                 struct chunk **ret);
/* The chunk that all slots of kind text share; n_texts is not 0. */
NODISCARD enum err templated_pool(const struct templated *o, struct chunk *ret);
/* Of a slot of words: its dictionary, and the codes of all its values, below the dictionary's n. */
NODISCARD enum err templated_words(struct templated *o, uint32_t template, uint32_t slot,
                                   const struct values **ret_dict, const int64_t **ret_code);
/* All texts; those at ascending positions. */
NODISCARD enum err templated_values(struct templated *o, struct values *ret);
NODISCARD enum err templated_get(struct templated *o, const uint32_t *pos, uint32_t n,
                                 struct values *ret);
/* The first text of each template that has one: all its texts have that one's pattern. And of each
 * text the number of its template's. */
NODISCARD enum err templated_alike(struct templated *o, struct values *ret,
                                   const uint32_t **ret_code);
/* The texts of all templates, none of which has a slot. */
NODISCARD enum err templated_whole(struct templated *o, struct values *ret);
/* The n_slots + 1 static texts of a pattern. */
NODISCARD enum err template_pieces(struct str pattern, uint32_t n_slots, struct arena *a,
                                   struct str *ret);
/* template_match.c */
NODISCARD enum err template_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                                  uint64_t *bits);

/* template_json.c: as chunk_json. */
NODISCARD enum err template_json(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                                 struct json_texts **ret);

#endif
