/* Which of an agent's sequence numbers have landed, so that what an agent sends again lands once.
 *
 * An agent (producer) numbers what it sends within an epoch, ascending, with gaps where it likes.
 * Kept for each (producer, epoch): the highest number that landed, and which of the
 * PRODUCER_WINDOW numbers up to it did, each with its mark. A number below the window counts as
 * landed: an agent sends number n only when all up to n - PRODUCER_WINDOW are settled. The mark is
 * what the agent fixed before it sent for the first time (the arrival of the records, in ns): the
 * same number with another mark comes from a copy of the agent's folder, and is no repetition.
 * Threads: any; one lock inside. Bounds: PRODUCERS_MAX, of which the one not heard of for longest
 * goes. */
#ifndef WEIR_STORE_PRODUCER_H
#define WEIR_STORE_PRODUCER_H

#include "catalog/catalog.h"
#include "record/frame.h"
#include "store/store.h"

enum { PRODUCER_WINDOW = 64, PRODUCERS_MAX = 100000 };
#define PRODUCER_KEPT_NS (30 * NS_PER_DAY)

struct producers;
struct producers *producers_new(void);
void producers_free(struct producers *p);
/* ERR_CORRUPT when a row of the catalog cannot be read. */
NODISCARD enum err producers_load(struct producers *p, const struct catalog_producer *row,
                                  size_t n);
/* Everything that `from` knows in place of what `p` knew; frees `from`. No claim is under way. */
void producers_become(struct producers *p, struct producers *from);
/* A frame was delivered: its number has landed. Frames without a producer are passed over. */
void producers_note(struct producers *p, const struct frame_info *info);
enum claim producers_claim(struct producers *p, const struct store_sequence *s);
void producers_settle(struct producers *p, const struct store_sequence *s);
/* As landing_freeze and landing_thaw: what the catalog does not have yet, copied to the arena. */
void producers_freeze(struct producers *p, struct arena *a, struct catalog_producer **ret,
                      size_t *ret_n);
void producers_thaw(struct producers *p, bool published);

#endif
