/* What reader, writer and tools of segments share: constants of the file, the footer, a section's
 * tail. The bytes are described in segment.c. Threads: pure functions. */
#ifndef WEIR_STORE_SEGMENT_FORMAT_H
#define WEIR_STORE_SEGMENT_FORMAT_H

#include "store/block_dir.h"
#include "store/segment.h"

#define SEGMENT_MAGIC "WEIRSEG1"
#define SEGMENT_TAIL_MAGIC "WEIRTAIL"
enum {
    SEGMENT_VERSION = 1,
    SEGMENT_HEADER_BYTES = 32,
    SEGMENT_TRAILER_BYTES = 40,
    SEGMENT_TAIL_HEAD_BYTES = 40,
    SEGMENT_ENDING_BYTES = 64 << 10, /* read at once when a file is opened */
};
/* Tags of the footer's parts. */
enum {
    FOOT_MUST = 0x8000, /* a reader that does not know the part must refuse the file */
    FOOT_IDENT = 1,
    FOOT_SECTIONS = 2,
    FOOT_IDS = 3,
    FOOT_WORDS = 4,
    /* Kept free for: 5 delete sidecars, 6 sums per column, 7 shared dictionaries, 8 tier. */
};

/* A section as the footer knows it. */
struct seg_section {
    uint64_t stream_id;
    int64_t day, time_min, time_max;
    uint64_t rows, raw_bytes;
    uint64_t offset;      /* of its first block */
    uint64_t tail_offset; /* its blocks end here */
    uint32_t tail_length, blocks;
    struct str org, stream;
};
struct seg_ids { /* a filter of client ids */
    uint64_t offset, sum;
    uint32_t length;
};
struct seg_footer {
    uint64_t id, position_min, position_max;
    int64_t created_ns;
    uint32_t level;
    struct seg_section *section;
    uint32_t n_sections;
    struct seg_ids *ids;
    uint32_t n_ids;
    struct str words; /* version of the word tables behind the filters */
};

void segment_header_put(uint64_t id, struct buf *out);
NODISCARD enum err segment_header_read(struct str bytes, uint64_t *ret_id);
/* Footer and trailer. */
NODISCARD enum err segment_footer_put(const struct seg_footer *f, uint64_t offset,
                                      struct arena *scratch, struct buf *out);
/* Where the footer is, from the file's last SEGMENT_TRAILER_BYTES. */
NODISCARD enum err segment_trailer_read(struct str bytes, uint64_t file_bytes, uint64_t *ret_offset,
                                        uint32_t *ret_length, uint64_t *ret_sum);
NODISCARD enum err segment_footer_read(struct str bytes, uint64_t sum, uint64_t offset,
                                       struct arena *a, struct seg_footer *ret);

/* segment_read.c, for the tools. */
const struct seg_footer *segment_footer(const struct segment *s);
const struct block_source *segment_source(const struct segment *s);
NODISCARD enum err segment_dir(struct segment *s, uint32_t section, const struct dir **ret);

/* The tail of a section. */
struct seg_tail {
    uint64_t stream_id;
    int64_t day;
    struct str org, stream;
    struct dir dir;
};
NODISCARD enum err segment_tail_put(const struct seg_tail *t, struct arena *scratch,
                                    struct buf *out);
/* `at`: the tail's offset in the file, for the bounds of blocks. */
NODISCARD enum err segment_tail_read(struct str bytes, uint64_t at, struct arena *a,
                                     struct seg_tail *ret);
/* Length of the tail that starts with these SEGMENT_TAIL_HEAD_BYTES; false when none does. */
bool segment_tail_head(struct str bytes, uint64_t *ret_length);

/* ---- shared by tail and footer: arrays of structs as columns of integers ---- */

struct member {
    uint16_t at;
    uint8_t bytes; /* 1, 2, 4, 8 */
    bool flag;     /* 0 or 1 */
};
#define MEMBER(type, name)                                                                         \
    {                                                                                              \
        offsetof(struct type, name), sizeof(((struct type *)0)->name), false                       \
    }
#define MEMBER_FLAG(type, name)                                                                    \
    {                                                                                              \
        offsetof(struct type, name), 1, true                                                       \
    }
void members_put(const void *base, size_t stride, uint32_t n, const struct member *m,
                 unsigned n_members, struct arena *scratch, struct buf *out);
NODISCARD enum err members_read(struct reader *r, void *base, size_t stride, uint32_t n,
                                const struct member *m, unsigned n_members, struct arena *scratch);
/* Lengths as integers, then all bytes. `at`: where the struct str is. */
void strings_put(const void *base, size_t stride, uint32_t n, size_t at, struct arena *scratch,
                 struct buf *out);
NODISCARD enum err strings_read(struct reader *r, void *base, size_t stride, uint32_t n, size_t at,
                                struct arena *scratch);
/* u32 stored length, u32 raw length, bytes (zstd where the lengths differ). */
void zipped_put(struct str raw, struct arena *scratch, struct buf *out);
NODISCARD enum err zipped_read(struct reader *r, struct arena *a, struct str *ret);

#endif
