/* The bytes of a write-ahead log file: its header, its entries, and how to read them back from a
 * file that a crash or a bad disk may have had its hand in. wal.c holds the format. Nothing here
 * knows about threads, folders or group commit: that is disk.c. Threads: pure functions; wal_read
 * blocks on the disk. */
#ifndef WEIR_QUEUE_WAL_H
#define WEIR_QUEUE_WAL_H

#include "core/blob.h"
#include "core/err.h"

enum {
    WAL_HEADER_BYTES = 64,  /* one copy of the header */
    WAL_COPY_OFFSET = 4096, /* where the second copy is, in a sector of its own */
    WAL_START = WAL_COPY_OFFSET + WAL_HEADER_BYTES, /* the first entry */
    WAL_ENTRY_BYTES = 40,                           /* the fixed part of an entry */
    WAL_PARTS_MAX = 1 << 16,                        /* frames in a body */
};
#define WAL_PAYLOAD_MAX (256u << 20)

struct wal_header {
    uint64_t first_position; /* of the first entry */
    uint64_t salt;           /* random; never 0 */
    uint64_t prev_salt;      /* of the file before this one; 0: there is none */
    uint64_t prev_end; /* the offset where that one ends: what lies behind it was never there */
};
struct wal_entry {
    uint64_t position;
    uint32_t part, parts; /* frame `part` of `parts` of its body; parts 0: a mark, no frame */
    uint32_t length;
    uint64_t hash; /* of the payload */
};

static inline uint64_t wal_padded(uint64_t n)
{
    return (n + 7) & ~UINT64_C(7);
}
/* What one frame takes in a file. */
static inline uint64_t wal_entry_size(uint64_t length)
{
    return WAL_ENTRY_BYTES + wal_padded(length);
}

/* Fills the WAL_START bytes with which a file begins. */
void wal_header_encode(const struct wal_header *h, char out[WAL_START]);
/* ERR_CORRUPT when neither copy is whole, ERR_UNSUPPORTED when the file is of a newer version. */
NODISCARD enum err wal_header_read(int fd, const char *path, struct wal_header *ret);
/* The fixed part of an entry, or a mark (nothing but a position), that stands at `offset` of the
 * file with this salt. */
void wal_entry_encode(const struct wal_entry *e, uint64_t salt, uint64_t offset,
                      char out[WAL_ENTRY_BYTES]);
/* False when these are not the bytes that wal_entry_encode made for this file and offset. */
bool wal_entry_decode(const char p[WAL_ENTRY_BYTES], uint64_t salt, uint64_t offset,
                      struct wal_entry *ret);

/* What wal_read should read, and what it may expect there. */
struct wal_span {
    int fd;
    uint64_t salt;
    uint64_t end;          /* the offset where the entries end: the file's size when nobody knows */
    bool last;             /* the newest file: its end may be torn */
    uint64_t position_min; /* no entry is below */
    uint64_t position_limit; /* every entry is below */
};
struct wal_visitor {
    void *ctx;
    /* A whole body. The references stay the reader's. May be NULL. */
    void (*body)(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position);
    /* Bytes [from, to) hold what is not, or no longer, a whole body, though valid entries follow it
     * or the file is known to reach that far: `entries` positions are missing. May be NULL. */
    void (*damaged)(void *ctx, uint64_t from, uint64_t to, uint64_t entries);
    /* Bytes gone through so far. May be NULL. */
    void (*progress)(void *ctx, uint64_t offset);
};
struct wal_result {
    uint64_t end;           /* behind the last body, or the last damaged region */
    uint64_t next_position; /* at least position_min */
    uint64_t torn_bytes; /* of an unfinished write behind `end`, as far as it can be told; 0 but in
                            the last file */
    uint64_t unreadable_bytes; /* that the device would not give; taken as damaged */
};
/* Fails only when the file cannot be read at all, or in too many places (ERR_IO). */
NODISCARD enum err wal_read(const struct wal_span *span, const struct wal_visitor *v,
                            struct wal_result *ret);

#endif
