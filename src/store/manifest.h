/* The manifest: which segments are searched, as one immutable refcounted array. Whoever changes the
 * set makes a new one and swaps the store's pointer under its lock; readers hold a reference for as
 * long as they read. A segment that left the set is removed from the disk when its last holder lets
 * go.
 * Threads: a manifest is immutable; references from any. */
#ifndef WEIR_STORE_MANIFEST_H
#define WEIR_STORE_MANIFEST_H

#include "store/segment.h"

struct mem_stream;
struct section_blocks;
struct store;

struct manifest_section {
    struct mem_stream *stream;
    int64_t day, time_min, time_max;
    uint64_t rows, raw_bytes, bytes;
    uint32_t blocks;
    const uint64_t *number; /* of each block, as it was in memory; NULL: not known any more */
    uint64_t tail_offset;
    uint32_t tail_length;
    _Atomic(const struct section_blocks *) known; /* of remote ones (copies.h); NULL: not yet */
};

struct manifest_segment {
    _Atomic uint32_t refs;
    _Atomic bool doomed;  /* left the catalog: the file goes with the last reference */
    _Atomic bool damaged; /* a merge could not read it: leave it as it is */
    struct segment *file; /* NULL: missing or unreadable; its sections are the catalog's */
    /* At rest elsewhere: `file` is here or not, and under the lock of copies (copies.h), as are the
     * others but for `stored`, which says that it is known to be at rest. */
    struct store *remote;
    _Atomic bool stored;
    bool fetching, counted;
    uint64_t used;
    int64_t suspected_mono;
    char *path;
    uint64_t id;
    uint32_t level;
    uint64_t bytes, rows, raw_bytes;
    int64_t created_ns;
    uint64_t position_min, position_max;
    int64_t day_min, day_max;
    struct manifest_section *section; /* ascending (stream id, day) */
    uint32_t n_sections;
    uint64_t *number; /* what the sections' point into */
};

struct manifest {
    _Atomic uint32_t refs;
    size_t n;
    struct manifest_segment *segment[]; /* ascending id */
};

struct manifest_segment *manifest_segment_ref(struct manifest_segment *s);
void manifest_segment_unref(struct manifest_segment *s);
/* Says as which blocks in memory the `n` blocks were known that the segment consists of, in the
 * order of the file. Before anyone else sees it. Takes the array over. */
void manifest_segment_set_numbers(struct manifest_segment *s, uint64_t *number, size_t n);
/* Of nothing but Weir's own log. */
bool manifest_segment_is_own(const struct manifest_segment *s);

struct manifest *manifest_empty(void);
struct manifest *manifest_ref(struct manifest *m);
void manifest_unref(struct manifest *m);
/* A new manifest: `m` without those of `remove`, with those of `add` (references are taken). A
 * segment that is there already stays as it is; those of one id are one. */
struct manifest *manifest_change(const struct manifest *m, struct manifest_segment *const *remove,
                                 size_t n_remove, struct manifest_segment *const *add,
                                 size_t n_add);
/* The same, with those of the ids and no others; ascending. */
struct manifest *manifest_keep(const struct manifest *m, const uint64_t *id, size_t n,
                               struct manifest_segment *const *add, size_t n_add);
bool manifest_has(const struct manifest *m, uint64_t id);

#endif
