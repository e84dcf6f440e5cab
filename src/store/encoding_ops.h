/* The table of encodings, for encoding.c; a new encoding is a file with an ops and an encoder. */
#ifndef WEIR_STORE_ENCODING_OPS_H
#define WEIR_STORE_ENCODING_OPS_H

#include "record/bitmap.h"
#include "store/chunk.h"

struct encoding_ops {
    const char *name;
    enum err (*values)(const struct chunk *, struct arena *, struct values *ret);
    /* NULL: all values, then those asked for. */
    enum err (*get)(const struct chunk *, const uint32_t *pos, uint32_t n, struct arena *,
                    struct values *ret);
    /* NULL: all values, then predicate_match. `bits` is zeroed. */
    enum err (*match)(const struct chunk *, const struct predicate *, struct arena *,
                      uint64_t *bits);
    enum err (*codes)(const struct chunk *, struct arena *, struct values *ret_dict,
                      const uint32_t **ret_code);
    enum err (*json)(const struct chunk *, uint32_t from, uint32_t n, struct arena *,
                     struct json_texts **ret);
    /* As chunk_alike; NULL: the codes are. */
    enum err (*alike)(const struct chunk *, struct arena *, struct values *ret,
                      const uint32_t **ret_code);
    /* Each distinct text once, for token filters; NULL: its values. */
    enum err (*distinct)(const struct chunk *, struct arena *, struct values *ret);
};
extern const struct encoding_ops encoding_plain, encoding_const, encoding_dict, encoding_hex,
    encoding_prefix_int, encoding_time, encoding_ints, encoding_decimal, encoding_double,
    encoding_empty, encoding_numeral, encoding_clock, encoding_template, encoding_refs,
    encoding_instant, encoding_difference;
const struct encoding_ops *encoding_ops(uint8_t id); /* NULL when unknown */

/* What an encoder is given, and where it puts its chunk. */
struct encoder {
    const struct values *v; /* texts may be where they lie */
    const struct encode_options *o;
    struct arena *scratch;
    struct buf *out;
    struct chunk_stats *stats;
};
/* These always can. */
NODISCARD enum err encode_plain(const struct encoder *e);
NODISCARD enum err encode_ints(const struct encoder *e);
NODISCARD enum err encode_decimal(const struct encoder *e);
NODISCARD enum err encode_double(const struct encoder *e);
NODISCARD enum err encode_empty(const struct encoder *e);
/* These say ERR_UNSUPPORTED, without a text, where the values are none of theirs; nothing is
 * appended. */
NODISCARD enum err encode_const(const struct encoder *e);
NODISCARD enum err encode_dict(const struct encoder *e);
/* Of values of which the different ones are known, and the number of each among them, which become
 * places in the dictionary. */
NODISCARD enum err encode_dict_known(const struct encoder *e, const struct values *different,
                                     uint32_t *code);
NODISCARD enum err encode_hex(const struct encoder *e);
NODISCARD enum err encode_prefix_int(const struct encoder *e);
NODISCARD enum err encode_time(const struct encoder *e);
NODISCARD enum err encode_numeral(const struct encoder *e);
NODISCARD enum err encode_clock(const struct encoder *e);
NODISCARD enum err encode_template(const struct encoder *e);
NODISCARD enum err encode_refs(const struct encoder *e);
NODISCARD enum err encode_difference(const struct encoder *e);
/* Whether texts are lines of a log, of which so many are different that a dictionary of them is no
 * smaller than their templates, where lines that repeat are patterns. */
bool texts_are_many_lines(const struct values *v, struct arena *scratch);
/* Any text, by the choice of encoding.c. */
NODISCARD enum err encode_text(const struct encoder *e);

/* The numbers of texts that are such, and how they are written (ERR_UNSUPPORTED: they are none);
 * read once for a slot with siblings. encoding_numeral.c */
struct numeral_form;
NODISCARD enum err numerals_read(const struct encoder *e, struct numeral_form *ret,
                                 int64_t **ret_number);
/* The mantissas of a chunk of ENC_NUMERAL. */
NODISCARD enum err numeral_mantissas(const struct chunk *c, struct arena *a, int64_t **ret);
/* Of a chunk of numbers, however held, those at positions [from, from + n), and how they are
 * written; not checked to have a text. ERR_UNSUPPORTED where it holds none. */
NODISCARD enum err chunk_numerals(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                                  struct numeral_form *ret, const int64_t **ret_number);
NODISCARD enum err difference_numbers(const struct chunk *c, struct arena *a,
                                      struct numeral_form *ret, int64_t **ret_number);
bool numeral_could_match(const struct predicate *p);

/* Text being gathered: n values of together `bytes` bytes, set one by one. */
struct text_out {
    uint32_t *off;
    char *bytes;
    uint32_t n;
    uint64_t used, max;
};
NODISCARD enum err text_out_init(struct text_out *t, uint32_t n, uint64_t bytes, struct arena *a);
static inline void text_out_add(struct text_out *t, struct str s)
{
    memcpy(t->bytes + t->used, s.p, s.n);
    t->used += s.n;
    t->off[++t->n] = (uint32_t)t->used;
}
static inline struct values text_out_values(const struct text_out *t, enum lane lane)
{
    return (struct values){.n = t->n, .lane = lane, .off = t->off, .bytes = t->bytes};
}
/* The texts at pos[0..n) of v, by offsets. */
NODISCARD enum err text_pick(const struct values *v, const uint32_t *pos, uint32_t n,
                             struct arena *a, struct values *ret);
/* All of v, by offsets: copied if they are not yet. */
NODISCARD enum err texts_together(const struct values *v, struct arena *a, struct values *ret);

/* Sets bits [at, at + n) of `bits` to those of `from`. */
void bits_put(uint64_t *bits, uint32_t at, const uint64_t *from, uint32_t n);
/* False only where no text made of the allowed bytes (lower case for letters) can match. */
bool text_could_match(const struct predicate *p, const bool allowed[256]);

static inline enum err not_mine(void)
{
    return ERR_UNSUPPORTED;
}

#endif
