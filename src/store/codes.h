/* A part of codes: small numbers, each below a known bound, one a value. For encodings only.
 * Threads: pure functions over arenas. Layout: codes.c. */
#ifndef WEIR_STORE_CODES_H
#define WEIR_STORE_CODES_H

#include "store/chunk.h"

NODISCARD enum err part_of_codes(const uint32_t *code, uint32_t n, const struct encode_options *o,
                                 struct arena *scratch, struct part_out *ret);
/* All n codes, each below `bound` or ERR_CORRUPT; those at ascending positions. */
NODISCARD enum err part_codes(const struct chunk *c, uint32_t part, uint32_t n, uint32_t bound,
                              struct arena *a, uint32_t **ret);
NODISCARD enum err part_codes_get(const struct chunk *c, uint32_t part, uint32_t n, uint32_t bound,
                                  const uint32_t *pos, uint32_t n_pos, struct arena *a,
                                  uint32_t **ret);

#endif
