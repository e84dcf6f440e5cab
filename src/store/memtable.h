/* The memtable: per stream a list of parts, each a frame as it was delivered or an encoded block.
 *
 * A list is append-only: a reader pins (list, n) with one reference and reads its first n parts
 * without a lock, while later parts are appended behind. Replacing parts (frames by the block made
 * of them, or flushed ones by nothing) makes a new list. Every change happens under the store's
 * lock, so a snapshot sees the frames or their block, never both nor neither. */
#ifndef WEIR_STORE_MEMTABLE_H
#define WEIR_STORE_MEMTABLE_H

#include "core/blob.h"
#include "store/block.h"

struct store;

struct part {
    _Atomic uint32_t refs;
    bool busy;          /* in a job (store's lock) */
    bool sealed;        /* a block of one retention day, ready for a segment */
    struct blob *frame; /* one of these two */
    struct block *block;
    uint64_t number; /* of a frame's part: unlike any other in this process */
    uint32_t rows;
    uint64_t bytes, raw_bytes;
    int64_t time_min, time_max;
    int64_t day_min, day_max; /* bounds of the rows' retention days; exact when equal */
    uint64_t position_min, position_max;
};
void part_unref(struct part *p);

struct part_list {
    _Atomic uint32_t refs;
    uint32_t n, cap;
    struct part *part[];
};
void part_list_unref(struct part_list *l);

/* Lives as long as the store; org and name never change. */
struct mem_stream {
    struct str org, name;
    uint64_t hash;
    size_t number;                  /* in stream_map.all */
    _Atomic uint64_t id;            /* 0 until its first cut */
    struct part_list *parts;        /* store's lock, as all below; NULL when empty */
    uint64_t open_rows, open_bytes; /* of parts neither sealed nor busy */
    uint32_t loose;                 /* small parts among them since they were last looked through */
};

/* What the encoders of a stream learnt that none of them uses now (store/refs.h), of the streams
 * that had blocks last; the newest last. */
enum { STREAM_MEMORIES = 8 };
struct stream_memory {
    const struct mem_stream *st;
    struct refs_memory *learnt;
};

struct stream_map {
    struct mem_stream **slot;
    size_t n_slots;
    struct mem_stream **all; /* in order of appearance */
    size_t n, cap;
    struct stream_memory memory[STREAM_MEMORIES];
    uint32_t n_memories;
};
void stream_map_release(struct stream_map *m);

/* All of these with the store's lock held. */
struct mem_stream *memtable_stream(struct store *s, struct str org, struct str name);
struct mem_stream *memtable_find_stream(struct store *s, struct str org, struct str name);
void memtable_append(struct store *s, struct mem_stream *st, struct part *p); /* takes p over */
/* Hands full groups of parts, and groups of many small ones, to the encoders. */
void memtable_schedule(struct store *s, struct mem_stream *st);
/* Seals what is at or below `upto` and waits for it; the lock is released meanwhile. */
NODISCARD enum err memtable_seal_upto(struct store *s, uint64_t upto);
/* Waits until no encoder runs, with the lock released; none begins until the next call. Nobody
 * delivers meanwhile. */
void memtable_rest(struct store *s);
/* The encoders may go on; `drop`: with nothing, all parts go. */
void memtable_go_on(struct store *s, bool drop);
/* Drops all parts at or below `upto`: they are in a segment now. */
void memtable_drop_upto(struct store *s, uint64_t upto);

/* A part of a frame; takes its own reference. ERR_CORRUPT when it is none; *ret_stream and *ret_org
 * point into the frame. */
struct frame_info;
NODISCARD enum err part_of_frame(struct blob *frame, uint64_t position, struct frame_info *ret_info,
                                 struct part **ret);
/* The part's rows. */
NODISCARD enum err part_open(const struct part *p, struct str stream, struct arena *a,
                             uint64_t *bytes_read, struct rows *ret);

#endif
