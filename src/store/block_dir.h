/* The directory of blocks: which columns and shapes there are, and where each block keeps what. A
 * section of a segment has one for all its blocks (segment_dir.c reads and writes it); a block in
 * memory has one of its own. Immutable when made. Threads: any. */
#ifndef WEIR_STORE_BLOCK_DIR_H
#define WEIR_STORE_BLOCK_DIR_H

#include "store/block.h"

#define BLOCK_BYTES_MAX ((uint64_t)3 << 30) /* encoded */

struct dir_column {
    struct str path;
    uint64_t name_hash;
    uint16_t occ;
    uint8_t lane;
};
/* Bytes from the start of the block (or, for rare values, of the decompressed rare-values chunk).
 * Length 0: there is none. */
struct dir_place {
    uint32_t offset, length;
};
/* A column in a block. */
struct dir_field {
    uint32_t column;
    uint32_t n; /* values */
    struct dir_place chunk;
    bool rare;
    struct chunk_stats stats;
    struct dir_place filter; /* token filter */
    uint32_t filter_sum;     /* the low half of its hash64 */
};
struct dir_block {
    uint64_t offset, length; /* in the file; offset 0 in memory */
    uint32_t rows;
    int64_t time_min, time_max;
    uint64_t position_min, position_max;
    uint64_t raw_bytes;
    struct dir_place time, shape_of, origin, flags, rare;
    const uint32_t *shape; /* the block's shapes, as numbers of the directory's */
    uint32_t n_shapes;
    const struct dir_field *field; /* in the order of the block's columns */
    uint32_t n_fields;
};
struct dir {
    const struct dir_column *column;
    const struct shape *shape; /* tokens number `column` */
    const struct dir_block *block;
    uint32_t n_columns, n_shapes, n_blocks;
};

/* Where a block's bytes are. */
struct block_source {
    struct str bytes; /* in memory; p NULL: in a file */
    int fd;
    uint64_t segment; /* key in the cache; 0: pass it by */
    const char *path; /* for messages */
    bool filters;     /* built by our words */
};
/* The rows of a block. Source, directory and stream must outlive the arena. */
NODISCARD enum err block_dir_rows(const struct dir *d, uint32_t block,
                                  const struct block_source *from, struct str stream,
                                  struct arena *arena, uint64_t *bytes_read, struct rows *ret);
/* The chunk of one of their columns; it lives as they do. */
NODISCARD enum err block_dir_chunk(const struct column *col, const struct chunk **ret);
/* The directory (of one block) and the bytes of a block in memory. */
const struct dir *block_dir(const struct block *b);
struct str block_chunk_bytes(const struct block *b);
/* Loads and checks everything of a block: chunks, filters, order. One line a problem, each after
 * `where`. */
void block_dir_verify(const struct dir *d, uint32_t block, const struct block_source *from,
                      const char *where, struct buf *problems);

/* Whether tokens nest as the paths of their leaves say; for directories from outside. */
bool shape_valid(const struct shape *s, const struct dir_column *column, uint32_t n_columns,
                 struct arena *scratch);

/* block_filter.c: appends the token filter of a text column; nothing when it would take more than
 * `bytes_max` or is of no use. `unique`: the values hardly repeat. */
NODISCARD enum err block_filter_build(const struct values *v, bool unique, size_t bytes_max,
                                      struct arena *scratch, struct buf *out);
/* The same of words gathered before it is known how many bytes it may take: at most those of
 * `bytes_max`; `over` where there were more. The set lives in the arena. */
struct word_set *word_set_new(size_t bytes_max, struct arena *a);
void word_set_add(void *set, uint64_t hash);
/* From now on at most those of `bytes_max`, if that is less. */
void word_set_bound(struct word_set *s, size_t bytes_max);
/* Set once there are more; the address stays. */
const bool *word_set_over(const struct word_set *s);
/* Whether the set tells that of `bytes_max`. */
bool word_set_tells(const struct word_set *s, size_t bytes_max);
NODISCARD enum err word_set_filter(const struct word_set *s, size_t bytes_max,
                                   struct arena *scratch, struct buf *out);
/* False when surely no value of the lane matches. */
bool block_filter_may_match(struct str filter, enum lane lane, const struct predicate *p);

/* block_origin.c */
NODISCARD enum err origin_encode(const struct origin_run *run, uint32_t n_runs, uint32_t rows,
                                 const struct encode_options *o, struct arena *scratch,
                                 struct buf *out);
NODISCARD enum err origin_decode(struct str bytes, uint32_t rows, struct arena *a,
                                 struct origin_run **ret, uint32_t *ret_n);

#endif
