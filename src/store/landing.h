/* Landing once: which idempotency keys and client ids were accepted. See store.h for the contract.
 *
 * Ids that no published segment holds are in memory, as 128-bit hashes: those claimed and pending,
 * and those landed, in two generations: a cut freezes the current one and drops it when it has
 * published. Ids older than that are found in the segments. Keys are a table, persisted with each
 * cut.
 * Threads: any; one lock inside, never held during I/O. */
#ifndef WEIR_STORE_LANDING_H
#define WEIR_STORE_LANDING_H

#include "catalog/catalog.h"
#include "record/frame.h"

struct landing;
struct store;

struct landing *landing_new(int64_t window_ns, size_t keys_max);
void landing_free(struct landing *l);
void landing_load_keys(struct landing *l, const struct catalog_key *key, size_t n);

/* Everything that `from` knows in place of what `l` knew; frees `from`. No claim is under way. */
void landing_become(struct landing *l, struct landing *from);

/* A frame was delivered: its key has landed. Before it can be frozen by a cut. */
void landing_note_key(struct landing *l, const struct frame_info *info, uint32_t rows);
/* The ids of a frame that is replayed. */
NODISCARD enum err landing_note_ids(struct landing *l, struct str org, struct str stream,
                                    struct rows *rows);
/* Between the deliveries before a cut and those behind it. Keys not yet in the catalog are copied
 * to the arena. */
void landing_freeze(struct landing *l, struct arena *a, struct catalog_key **ret, size_t *ret_n);
/* The cut has been published, with the keys; or not. */
void landing_thaw(struct landing *l, bool published);

size_t landing_ids(struct landing *l); /* landed and in no segment yet */
bool landing_live(struct landing *l);  /* a claim was made: replay is over */
void landing_set_live(struct landing *l);

enum claim_state { CLAIMED_NEW, CLAIMED_LANDED, CLAIMED_PENDING };
enum claim_state landing_claim_id(struct landing *l, struct hash128 id);
void landing_settle_id(struct landing *l, struct hash128 id, bool landed);
struct hash128 landing_id_hash(struct str org, struct str stream, struct str id);
/* The id of each row (n == 0: none), from its `_id`, else its `log_id`. In the arena; NULL when no
 * row has one. */
NODISCARD enum err landing_row_ids(struct rows *rows, struct arena *a, struct str **ret);

/* A set of hashes: open addressing. */
struct id_set {
    struct hash128 *slot;
    size_t n, n_slots;
};
void id_set_release(struct id_set *s);
bool id_set_has(const struct id_set *s, struct hash128 h);
bool id_set_add(struct id_set *s, struct hash128 h); /* false when it was there */
bool id_set_remove(struct id_set *s, struct hash128 h);

#endif
