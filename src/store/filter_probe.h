/* Asking a token filter in a file for words without holding it in memory: filter_probe.c. */
#ifndef WEIR_STORE_FILTER_PROBE_H
#define WEIR_STORE_FILTER_PROBE_H

#include "core/str.h"

/* Filters longer than this are probed; shorter ones are kept whole, as other chunks are. */
enum { FILTER_WHOLE_MAX = 8 << 10 };

struct filter_place {
    int fd;
    uint64_t segment, offset; /* of the file, not 0; in the file */
    uint32_t length, sum;     /* the low half of the filter's hash64 */
};
/* False when the filter surely lacks one of the words. What cannot be read, or is not what its
 * checksums say, answers true: the column itself decides. Adds to *bytes_read (NULL: nobody asks)
 * what was read of it. Threads: any. */
bool filter_probe(const struct filter_place *at, const uint64_t *word, uint32_t n_words,
                  uint64_t *bytes_read);

#endif
