/* Local copies of segments that are at rest elsewhere (objects_are_remote).
 *
 * An entry of the manifest is then `remote`: its file may be here or not. It is opened when it is
 * needed, and fetched first where it is not here, once however many ask. Copies are kept up to
 * `max` bytes; beyond that those go that were used longest ago, but for those that somebody reads,
 * and those that are not at rest yet. The file is the entry's under the lock of copies; who uses it
 * holds a reference to it.
 * Threads: any. */
#ifndef WEIR_STORE_COPIES_H
#define WEIR_STORE_COPIES_H

#include "core/thread.h"
#include "objects/objects.h"
#include "store/manifest.h"

struct store;

struct copies {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* a fetch ended */
    uint64_t max;           /* 0: no bound */
    /* Under lock: */
    uint64_t bytes, uses;
    unsigned files, fetching;
    struct pool *ahead; /* made when it is first used */
    bool resting;
    int64_t down_until; /* the objects' place does not answer; */
    char down_text[240];
    /* Numbers since the start; under lock. */
    uint64_t fetched, fetched_bytes, evicted, hits;
    struct metric *m_hits, *m_fetched, *m_evicted, *m_bytes;
};
void copies_init(struct copies *c, uint64_t max);
void copies_release(struct copies *c);

/* A reference to the open file, of any entry; that of a remote one is fetched where it is not here,
 * and *fetched (may be NULL) increased by its bytes. ERR_IO: it cannot be had; the text says why.
 * ERR_CANCELED, ERR_TIMEOUT: the wait is over. */
NODISCARD enum err copy_open(struct store *s, struct manifest_segment *e,
                             const struct objects_wait *w, _Atomic uint64_t *fetched,
                             struct segment **ret);
bool copy_is_here(struct store *s, struct manifest_segment *e);
/* Begins to fetch it, if it is not here and there is room for it: by who has time. */
void copy_ahead(struct store *s, struct manifest_segment *e);
/* Waits for those. */
void copies_rest(struct store *s);
/* The blocks of a section, which need not be here: they live as long as the entry. Of remote ones.
 */
struct section_blocks {
    uint32_t n;
    struct segment_block_info block[];
};
void section_blocks_free(const struct section_blocks *b); /* NULL is fine */
NODISCARD enum err copy_blocks(struct store *s, struct manifest_segment *e, uint32_t section,
                               const struct objects_wait *w, const struct section_blocks **ret);
/* Those of many sections at once: what cannot be had is left for copy_blocks to say. */
struct section_place {
    struct manifest_segment *segment;
    uint32_t section;
};
void copy_blocks_ahead(struct store *s, const struct section_place *place, size_t n,
                       const struct objects_wait *w);
/* What was read of the file is damaged: the copy goes, to be fetched again. False: that was tried
 * a while ago, or the file is not at rest. */
bool copy_suspect(struct store *s, struct manifest_segment *e);
/* The entry's file has come to be here, or goes with the entry. */
void copy_here(struct store *s, struct manifest_segment *e);
void copy_gone(struct store *s, struct manifest_segment *e);
/* Lets copies go beyond the bound, which `room` more bytes are to fit in. */
void copies_evict(struct store *s, uint64_t room);
/* The disk is full: lets one go. False: there is none that may. */
bool copies_give_way(struct store *s);

#endif
