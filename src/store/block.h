/* An encoded block: up to BLOCK_ROWS_MAX rows of one stream in total order (_time, partition,
 * position, index), a chunk per column, bounds and token filters. Immutable and refcounted; sealed
 * blocks of the memtable and the blocks of segments are the same bytes. Threads: encode and open
 * from any, each with its own arena.
 *
 * Columns with few values in the block share one rare-values chunk (one zstd over all of them, one
 * checksum); every other column has its own. Beside the columns a block holds: its shapes and the
 * shape codes, the time chunk, the origin runs, row flags. Byte layout: block.c, segment.c and
 * docs/format.md. */
#ifndef WEIR_STORE_BLOCK_H
#define WEIR_STORE_BLOCK_H

#include "core/blob.h"
#include "store/encoding.h"

struct block;

#define BLOCK_ROWS_MAX (1u << 20)

struct block_options {
    int zstd_level;
    struct refs_memory *memory; /* what blocks of the stream before this one taught; may be NULL */
};

/* `rows` need not be sorted: the encoder orders them (the usual case, sorted already, is seen at
 * once). Scratch is reset by the caller. The result's bytes are charged to `owner`. */
NODISCARD enum err block_encode(struct rows *rows, const struct block_options *o, enum owner owner,
                                struct arena *scratch, struct block **ret);
void block_unref(struct block *b);
uint32_t block_rows(const struct block *b);
/* No other block of the process has it. */
uint64_t block_number(const struct block *b);
int64_t block_time_min(const struct block *b);
int64_t block_time_max(const struct block *b);
size_t block_bytes(const struct block *b);       /* chunks and directory */
uint64_t block_raw_bytes(const struct block *b); /* of the rows as JSON text, about */
uint64_t block_position_min(const struct block *b);
uint64_t block_position_max(const struct block *b);
/* The rows of a block in memory. `bytes_read` (may be NULL) grows by the chunk bytes that are read.
 */
NODISCARD enum err block_rows_open(const struct block *b, struct str stream, struct arena *arena,
                                   uint64_t *bytes_read, struct rows *ret);

#endif
