/* A segment: an immutable file of sections; a section is the blocks of one stream (and, past level
 * 0, of one retention day), with its tail: column directory, shapes, block index, filters. The
 * footer lists the sections and can be read with one ranged read of the file's end. Byte layout:
 * segment.c, docs/format.md.
 *
 * Writer: one thread; writes to `path`.tmp, syncs and renames in finish; the folder is synced too.
 * Reader: immutable after open; sections load on first use and stay while the segment is open
 * (charged to OWNER_CACHE). Threads: any. Every chunk, tail and footer is checksummed; ERR_CORRUPT
 * names the file, the section, the block and the column. */
#ifndef WEIR_STORE_SEGMENT_H
#define WEIR_STORE_SEGMENT_H

#include "catalog/catalog.h"
#include "store/block.h"

struct segment_writer;
NODISCARD enum err segment_writer_open(const char *path, uint64_t id, uint32_t level,
                                       struct segment_writer **ret);
NODISCARD enum err segment_begin_section(struct segment_writer *w, uint64_t stream_id,
                                         struct str org, struct str stream, int64_t day);
/* Blocks in total order of their first rows. Copies what it needs. */
NODISCARD enum err segment_add_block(struct segment_writer *w, const struct block *b);
NODISCARD enum err segment_end_section(struct segment_writer *w);
/* The catalog's row for it; sections live in the arena. Then the writer is gone. */
NODISCARD enum err segment_finish(struct segment_writer *w, uint64_t position_min,
                                  uint64_t position_max, struct arena *a,
                                  struct catalog_segment *ret);
void segment_abort(struct segment_writer *w); /* removes the temporary file */

struct segment;
NODISCARD enum err segment_open(const char *path, struct segment **ret);
struct segment *segment_ref(struct segment *s);
void segment_unref(struct segment *s);
uint64_t segment_id(const struct segment *s);
uint64_t segment_bytes(const struct segment *s); /* of the file */
/* Nobody holds it but the caller, who sees to it that nobody comes to. */
bool segment_is_idle(const struct segment *s);
const char *segment_path(const struct segment *s);
uint32_t segment_sections(const struct segment *s);
struct section_info {
    uint64_t stream_id;
    struct str org, stream;
    int64_t day, time_min, time_max;
    uint64_t rows, raw_bytes, bytes;
    uint32_t blocks;
};
NODISCARD enum err segment_section(struct segment *s, uint32_t section, struct section_info *ret);
struct segment_block_info {
    int64_t time_min, time_max;
    uint32_t rows;
    uint64_t bytes;
};
/* Loads the section's tail. */
NODISCARD enum err segment_block(struct segment *s, uint32_t section, uint32_t block,
                                 struct segment_block_info *ret);
NODISCARD enum err segment_block_rows(struct segment *s, uint32_t section, uint32_t block,
                                      struct arena *arena, uint64_t *bytes_read, struct rows *ret);
/* Leaves the cache to queries: for merges, which read everything once. */
NODISCARD enum err segment_block_rows_uncached(struct segment *s, uint32_t section, uint32_t block,
                                               struct arena *arena, struct rows *ret);
/* Client ids (`log_id`, `_id`): false when surely none of the segment's records has it.
 * hash: hash64_seed(id's text, stream_id). */
bool segment_may_hold_id(struct segment *s, uint64_t hash);

/* For `weir segment`: */
/* `templates`: every template of a column, in text too, which else names the largest. */
NODISCARD enum err segment_inspect(const char *path, bool json, bool templates, struct buf *out);
/* Reads every byte: checksums, structure, decodes every chunk. Appends one line a problem; OK when
 * none, ERR_CORRUPT when any. */
NODISCARD enum err segment_verify(const char *path, struct buf *problems);
/* Every intact row as JSON lines, in order, to fn; damage is skipped and described in `problems`.
 */
NODISCARD enum err segment_cat(const char *path, enum err (*fn)(void *ctx, struct str line),
                               void *ctx, struct buf *problems);

#endif
