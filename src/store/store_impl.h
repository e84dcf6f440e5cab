/* The inside of the store, shared by its files. Lock order: follow_lock, compact_lock, cut_lock,
 * merged_lock, space_lock, lock, then those of landing, producers and copies. Nothing does I/O
 * under `lock`. */
#ifndef WEIR_STORE_STORE_IMPL_H
#define WEIR_STORE_STORE_IMPL_H

#include "core/metrics.h"
#include "core/thread.h"
#include "store/copies.h"
#include "store/landed.h"
#include "store/landing.h"
#include "store/manifest.h"
#include "store/memtable.h"
#include "store/producer.h"
#include "store/store.h"

#define STORE_KEYS_MAX 1000000
enum { STORE_THREADS = 4 };

/* A change of the catalog whose outcome could not be read: nothing of it may be removed before
 * that. */
struct doubt {
    bool set;
    uint64_t to;                      /* a cut's checkpoint */
    struct manifest_segment *segment; /* the cut's; NULL when empty */
    uint64_t upto;
};

#include <stdatomic.h>

struct replacement {
    bool set;
    struct manifest_segment **remove, **add; /* referenced */
    size_t n_remove, n_add;
};

struct store_metrics {
    struct metric *cuts, *cut_errors, *merges, *merge_errors, *expired_segments, *expired_bytes;
    struct metric *quarantined, *memtable_bytes, *segments, *segment_bytes, *unreadable, *disk_low;
    struct metric *cut_seconds, *merge_seconds, *seal_seconds;
    struct metric *resets, *follow_age, *merges_here; /* of several servers */
};

struct merged {
    struct store *s;
    struct manifest *manifest; /* of the new segments alone */
    int64_t took_ns;
};

struct store {
    struct store_options o;
    char *dir, *segments_dir;    /* segments are written there, and opened */
    struct objects *own_objects; /* made here, for want of others */
    char *consumer;              /* whose checkpoint this server's positions are */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* a job ended, memory was freed, work came up, closing */
    pthread_cond_t arrived; /* frames were delivered, while somebody waits for them */
    /* under lock: */
    struct stream_map streams;
    struct manifest *manifest;
    uint64_t delivered;  /* the last position */
    unsigned waiting;    /* in store_wait */
    uint64_t checkpoint; /* everything below is published */
    uint64_t frozen;     /* parts at or below belong to the cut under way; 0: none */
    unsigned generation; /* of jobs: a cut waits for those before it */
    unsigned jobs[2];
    uint64_t frame_bytes, sealed_bytes, memtable_rows; /* held in parts */
    uint64_t since_cut_bytes;
    int64_t oldest_unpublished_mono_ns; /* first frame behind the checkpoint came; 0: none */
    bool closing, cut_failed;
    char cut_error[200];
    uint64_t cuts, merges, expired_segments, expired_bytes, quarantined;
    bool disk_low, cut_wanted; /* closed for want of space; by store_cut_soon */
    char disk_text[240];
    /* Of several servers: a publish of this one is under way, or its outcome is open; how often
     * this one has changed what it shows; the catalog's changes that are in the manifest. */
    bool publishing;
    uint64_t changes_here, changes_known;
    bool conflict, resting; /* a reset is due; no encoder is to begin */
    uint64_t resets;
    uint64_t forgot_from, forgot_upto; /* positions, by the last of them */
    struct landed_others *others;      /* of the manifest's instant; NULL: alone */
    uint64_t followed;                 /* how often that was read */
    struct catalog_lease lease;        /* as it was seen last */
    bool merges_here;                  /* this server holds it */
    int64_t lease_mono_ns;             /* when it was seen to change, or renewed */
    int64_t followed_mono_ns;

    pthread_mutex_t cut_lock, compact_lock; /* one cut, one merge or expiry at a time */
    pthread_mutex_t follow_lock;
    struct doubt doubt;               /* cut_lock */
    struct replacement replace_doubt; /* compact_lock */

    _Atomic int64_t retention_ns; /* of the options, or set since */
    _Atomic uint64_t max_disk;
    atomic_bool limits_new; /* not acted on yet */

    pthread_mutex_t merged_lock; /* held while `merged` runs */
    void (*merged)(void *ctx, const struct merged *m);
    void *merged_ctx;

    pthread_mutex_t space_lock;
    atomic_bool reserved; /* DIR/reserve is there; set under space_lock */

    struct copies copies;
    /* Of objects that lie apart. The place is ours; all of it was looked at; what was only here was
     * put there. */
    atomic_bool claimed, surveyed;
    bool all_put; /* the background thread's, as chores_at */
    int64_t chores_at;
    uint64_t ids_given; /* at the start; of a catalog that is not shared */
    pthread_mutex_t forget_lock;
    uint64_t *forget; /* objects that are to be removed; under forget_lock */
    size_t n_forget, forget_cap;

    struct landing *landing;
    struct producers *producers;
    struct id_cache *id_cache;
    struct pool *encoders;
    unsigned n_encoders; /* without the spare ones */
    struct gate scratch; /* of encoders and merges */
    bool threads;
    pthread_t thread[STORE_THREADS];
    unsigned n_threads;
    struct store_metrics m;
};

static inline uint64_t store_memory(const struct store *s) /* with the lock */
{
    return s->frame_bytes + s->sealed_bytes;
}
struct manifest *store_manifest(struct store *s); /* a reference */
char *store_segment_path(const struct store *s, uint64_t id);
bool store_stopping(struct store *s);
struct objects_wait store_until_closing(struct store *s);
/* Puts a frame that cannot be read aside, under quarantine/. */
NODISCARD enum err store_quarantine(struct store *s, struct str frame, uint64_t position,
                                    const char *why);

/* cut.c */
NODISCARD enum err cut_run(struct store *s, uint64_t target);
bool cut_due(struct store *s); /* with the lock */
/* Finds out what became of a cut whose outcome was open. With cut_lock. */
NODISCARD enum err cut_resolve(struct store *s);
/* Whether a publish up to `to` whose outcome was open came through. ERR when that cannot be known
 * now. */
NODISCARD enum err cut_outcome(struct store *s, uint64_t to, bool *ret_published);

/* follow.c */
/* At start, before anything is delivered. */
NODISCARD enum err store_follow_first(struct store *s);
void *follow_main(void *arg);
void store_note_conflict(struct store *s);
/* Whether this server is the one that merges, and what its replacements are guarded by (0: nothing:
 * it is alone, or was asked to by hand). */
bool store_may_merge(struct store *s);
uint64_t store_lease_token(struct store *s);
/* Removes the objects of segments that were replaced long enough ago, and forgets them. */
NODISCARD enum err store_remove_garbage(struct store *s);
static inline bool store_is_shared(const struct store *s)
{
    return s->o.node.number != 0;
}

/* manifest.c: the entry of a segment in the catalog, its file opened. `row` may come from the
 * catalog at start, where a missing file is tolerated, or from a writer. */
NODISCARD enum err manifest_segment_open(struct store *s, const struct catalog_segment *row,
                                         bool tolerate, struct manifest_segment **ret);
/* "segments/ID.seg", and back: 0 for what is no segment's name. */
enum { SEGMENT_KEY_MAX = 40 };
struct str segment_key(uint64_t id, char out[SEGMENT_KEY_MAX]);
uint64_t segment_id_of_name(struct str name);
/* Before a segment that another server published is opened: where its file is not here, only the
 * catalog tells the names of its streams. */
NODISCARD enum err manifest_learn_streams(struct store *s, const struct catalog_segment *row,
                                          struct arena *a);
/* Removes the file of a segment that was never published; keeps the text of the last error. */
void manifest_drop_file(struct store *s, uint64_t id);
/* Loads the catalog's segments; removes files that it does not name. */
NODISCARD enum err manifest_load(struct store *s);
void store_swap_manifest(struct store *s, struct manifest *m); /* with the lock; takes m over */

/* In catalog and manifest: `remove` go, `add` come (their rows beside them). Takes the references
 * over; what was removed goes from the disk with its last reader, what could not be added at once.
 * With compact_lock, as the next. */
NODISCARD enum err manifest_replace(struct store *s, struct replacement *r,
                                    const struct catalog_segment *row);
/* Finds out what became of a replacement whose outcome was unknown, and finishes or undoes it. */
NODISCARD enum err manifest_resolve(struct store *s);
void replacement_release(struct replacement *r);

/* strays.c: objects that lie apart, and whose they are. Nothing happens for others.
 *
 * At start: the place is this store's, and no other's; it may be out of reach. */
NODISCARD enum err objects_ready(struct store *s);
/* Files are missing: ERR_INVALID when the catalog says that they are somewhere else. */
NODISCARD enum err objects_missing(struct store *s);
/* A segment of the data folder comes to the folder that lies apart. */
NODISCARD enum err objects_bring(struct store *s, uint64_t id);
/* Looks at all objects, once: which are there, and which cannot be. */
NODISCARD enum err objects_survey(struct store *s, const struct manifest *m);
/* A segment's file becomes its object: before it is published. */
NODISCARD enum err objects_keep(struct store *s, struct manifest_segment *e);
/* The object goes, soon, or when the sweep finds it. */
void objects_forget(struct store *s, uint64_t id);
/* What is left to do in the background. */
void objects_chores(struct store *s);
/* Removes objects that nobody ever published, once they are `age_ns` old, and what is left of puts.
 * With compact_lock. */
NODISCARD enum err objects_clean(struct store *s, int64_t age_ns);

/* compact.c */
NODISCARD enum err compact_once(struct store *s, bool full, bool *ret_did);
bool compact_is_due(struct store *s);

/* retention.c */
NODISCARD enum err retention_run(struct store *s, uint64_t *ret_freed);
uint64_t retention_bytes_used(const struct store *s, const struct manifest *m);

/* space.c: looks at the disk: sets disk_low and why, makes the reserve. True when segments must go
 * because of the disk budget. */
bool space_watch(struct store *s);
void space_init(struct store *s); /* at start: finds the reserve, looks */
/* A write met a full disk: true when there was a reserve, so that trying once more is worth it. */
bool space_give_up_reserve(struct store *s);

/* lookup.c: client ids in segments. */
struct id_cache *id_cache_new(void);
void id_cache_free(struct id_cache *c);
NODISCARD enum err id_lookup(struct store *s, struct mem_stream *st, struct str id,
                             struct hash128 hash, bool *ret);

#endif
