/* Large writes to a file past the page cache (O_DIRECT): nobody reads a log file while it is being
 * written, and the copy into fresh pages took as much CPU as parsing the records.
 *
 * The whole pages inside a write go directly, by way of a buffer that is used again and again; what
 * lies before the first and behind the last page boundary goes through the cache. So a page that
 * two writes share is always the cache's, and what it holds beside them stays. Durable as ever by
 * io_sync of the file. Owner: the queue's writer; threads: its own. */
#ifndef WEIR_QUEUE_DIRECT_H
#define WEIR_QUEUE_DIRECT_H

#include "core/err.h"

#include <stddef.h>
#include <stdint.h>

struct iovec;
struct direct {
    size_t least;      /* smaller writes go through the cache, as do all when this is 0 */
    int fd;            /* -1: the file system does not do it, or failed to */
    char *mem, *stage; /* made when first needed */
};

void direct_init(struct direct *d, size_t least);
void direct_release(struct direct *d);
/* From now on `path`; silently through the cache where it cannot be opened so. */
void direct_use(struct direct *d, const char *path);
/* As io_pwritev; fd is the same file's. */
NODISCARD enum err direct_pwritev(struct direct *d, int fd, struct iovec *iov, int count,
                                  uint64_t off);

#endif
