/* The patterns of a column's texts, and how often each occurs when: worked out once from a chunk's
 * codes and one text a code, and kept in the chunk cache beside the chunk. Threads: any. */
#ifndef WEIR_STORE_PATTERNS_H
#define WEIR_STORE_PATTERNS_H

#include "store/chunk_cache.h"
#include "store/encoding.h"

/* As column_ops' patterns; `key` (segment 0: no cache) names the chunk. What is handed out lives in
 * the arena. */
NODISCARD enum err patterns_of(const struct chunk *c, const struct chunk_key *key, struct arena *a,
                               struct values *ret, const uint32_t **ret_code,
                               struct pattern_sums *ret_sums);

#endif
