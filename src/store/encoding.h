/* Encodings: how the values of one column chunk are held. A table of operations by id; the next one
 * is a row more. The encoder tries those whose test passes, measures, and takes the smallest; then
 * zstd where it still pays. A chunk decodes alone.
 *
 * Chunk bytes: see encoding.c (and docs/format.md) for the layout and for that of each encoding.
 * Threads: pure functions over arenas. */
#ifndef WEIR_STORE_ENCODING_H
#define WEIR_STORE_ENCODING_H

#include "record/predicate.h"
#include "record/rows.h"
#include "store/refs.h"

/* On disk: never renumber. */
enum encoding_id {
    ENC_PLAIN = 1,   /* text lanes: lengths, bytes */
    ENC_CONST = 2,   /* one value, repeated */
    ENC_DICT = 3,    /* distinct values, bit-packed codes */
    ENC_INTS = 4,    /* INT, BOOL: delta or frame of reference, common divisor, bit-packed; runs */
    ENC_DECIMAL = 5, /* DEC: scale (one or per value) and mantissas as ints */
    ENC_DOUBLE = 6,  /* DBL: bytes transposed */
    ENC_HEX = 7,     /* text of one length: a common prefix and hexadecimal digits of one case */
    ENC_TIME = 8,    /* text times: form and offset from the row's _time */
    ENC_EMPTY = 9,   /* NULL, OBJ: a count */
    ENC_PREFIX_INT = 10, /* text: a common prefix and a decimal number */
    ENC_NUMERAL = 11,    /* text: numbers as written, with padding and fraction */
    ENC_CLOCK = 12,      /* text: times of day */
    ENC_TEMPLATE = 13,   /* text: patterns, and the variables of each as columns */
    ENC_REFS = 14,       /* text: with references to other columns of the row */
    ENC_INSTANT = 15,    /* text times: form and instant */
    ENC_DIFFERENCE = 16, /* text: numbers near those of another slot of their template */
    ENC_COUNT = 17,
    /* Chunks that are no column's (block.c): */
    ENC_RARE = 64,   /* small chunks back to back */
    ENC_ORIGIN = 65, /* where the rows came from */
};

/* Takes the words of a column's texts (hash64 of each that is no quantity; record/words.h), from an
 * encoder that knows them without reading all texts again. An encoder that knows how large its
 * chunk becomes, at most, says so before it puts them: a filter that would be large beside its
 * column is not made, and then nobody asks for the rest of the words. */
struct word_sink {
    void (*fn)(void *ctx, uint64_t hash);
    void *ctx;
    void (*bound)(void *ctx, size_t chunk_bytes); /* NULL: it does not matter */
    const bool *full;                             /* no more are asked for; NULL: all are */
    bool done;                                    /* all of them were put, or it is full */
};
/* Of dictionaries of fewer entries nobody asks for the words. */
enum { WORDS_DICT_MIN = 16 };
static inline bool word_sink_full(const struct word_sink *s)
{
    return s->full && *s->full;
}
/* Up to this level of zstd, that of ingest, time is dear: less is tried. */
#define ENCODE_QUICK_LEVEL 1
struct encode_options {
    int zstd_level;
    const int64_t *time; /* the _time of the row of each value, for ENC_TIME */
    bool small;          /* for the rare-values chunk: no checksum and no zstd of its own */
    uint8_t inner;       /* how deep inside other chunks; those have no checksum of their own */
    bool packed;         /* integers are not tried as planes */
    bool slot;           /* of a template: tokens rather than lines */
    struct siblings *siblings; /* of a slot; NULL: it stands alone */
    struct word_sink *words;   /* NULL: nobody asks */
    const struct refs *refs;   /* other columns that texts may refer to; NULL: none */
    uint64_t column;           /* the key of what is learnt of it (learnt.h); 0: nothing is */
};
/* What is known about a chunk without reading it; stands in the section's tail. */
struct chunk_stats {
    uint8_t encoding;
    bool alike;     /* texts that have the same kinds of bytes (byte_kinds.h) each */
    bool has_range; /* INT, DEC with one scale, BOOL, times: min and max */
    uint8_t scale;  /* of min and max, for DEC */
    int64_t min, max;
    uint32_t distinct; /* exact for CONST and DICT, else 0 */
};

NODISCARD enum err chunk_encode(const struct values *v, const struct encode_options *o,
                                struct arena *scratch, struct buf *out, struct chunk_stats *ret);

/* Other columns of the rows of a chunk's values. */
struct chunk_rows {
    /* The values in the rows of the chunk's values at n ascending positions (pos NULL: of all n),
     * and of each row the number of its own among them, or UINT32_MAX. */
    enum err (*refer)(void *ctx, const struct ref_name *name, const uint32_t *pos, uint32_t n,
                      struct arena *a, struct values *ret, const uint32_t **ret_at);
    /* Sets the bits of those of the chunk's n values in whose rows the column matches. */
    enum err (*match)(void *ctx, const struct ref_name *name, const struct predicate *p,
                      struct arena *a, uint64_t *bits);
};

struct chunk_part;
/* An encoded chunk, opened. Its parts are decompressed when first asked for and then kept. */
struct chunk {
    enum lane lane;
    uint8_t encoding;
    uint8_t inner; /* as encode_options' */
    uint32_t n;
    uint32_t n_parts;
    struct chunk_part *part;
    struct arena *arena; /* the opener's: what is kept lives here */
    /* Key of decompressed parts in the cache (segment 0: none); cache_part: of an inner chunk, what
     * its parts' numbers begin behind. */
    uint64_t cache_segment, cache_offset, cache_part;
    enum err (*time)(void *ctx,
                     const int64_t **ret); /* for ENC_TIME: the times of the values' rows */
    const struct chunk_rows *rows;         /* for ENC_REFS */
    /* For ENC_DIFFERENCE: the mantissas of the slot so many slots before this one. */
    enum err (*sibling)(void *ctx, uint8_t back, const int64_t **ret);
    void *time_ctx; /* of all three */
};
/* Reads the header; verifies the checksum unless the bytes are `trusted` (verified when they came
 * into memory). `bytes` must outlive the arena. ERR_CORRUPT. */
enum chunk_trust { CHUNK_VERIFY, CHUNK_TRUSTED, CHUNK_SMALL /* has none */ };
NODISCARD enum err chunk_open(struct str bytes, enum chunk_trust trust, enum lane lane, uint32_t n,
                              struct arena *a, struct chunk *ret);
/* What the functions below hand out lives in `a` or in the opener's arena. */
NODISCARD enum err chunk_values(const struct chunk *c, struct arena *a, struct values *ret);
NODISCARD enum err chunk_get(const struct chunk *c, const uint32_t *pos, uint32_t n,
                             struct arena *a, struct values *ret);
NODISCARD enum err chunk_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                               uint64_t *bits);
/* The texts at positions [from, from + n), in their order, as they stand in JSON (record/rows.h).
 * ERR_UNSUPPORTED where they are best had as values. */
NODISCARD enum err chunk_json(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                              struct json_texts **ret);
/* ERR_UNSUPPORTED where it is not a dictionary. */
NODISCARD enum err chunk_codes(const struct chunk *c, struct arena *a, struct values *ret_dict,
                               const uint32_t **ret_code);
/* Texts of which each stands for all values of its code: those have its pattern
 * (record/template_cut.h). ret NULL: only the codes. ERR_UNSUPPORTED where it takes a look at every
 * value. */
NODISCARD enum err chunk_alike(const struct chunk *c, struct arena *a, struct values *ret,
                               const uint32_t **ret_code);
const char *encoding_name(uint8_t id);

#endif
