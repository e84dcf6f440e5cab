/* How often each value of a column occurs: what counting by a field needs, worked out once and kept
 * in the chunk cache beside the chunk. Columns of hardly repeating values have none. Threads:
 * any. */
#ifndef WEIR_STORE_TALLY_H
#define WEIR_STORE_TALLY_H

#include "record/rows.h"
#include "store/chunk_cache.h"

/* Of a column's values; `key` (segment 0: no cache) names the chunk. What is handed out lives in
 * the arena. ERR_UNSUPPORTED, without a text, where there is none. */
NODISCARD enum err tally_of(const struct column *col, const struct chunk_key *key, struct arena *a,
                            struct values *ret, const uint32_t **ret_count);

#endif
