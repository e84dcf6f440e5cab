/* Bodies packed by gzip. Threads: pure functions. */
#ifndef WEIR_OUTPUT_GZIP_H
#define WEIR_OUTPUT_GZIP_H

#include "core/buf.h"

/* Takes the place of what is in `out`. */
NODISCARD enum err gzip_pack(struct str plain, struct buf *out);

#endif
