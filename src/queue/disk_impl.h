/* What disk.c tells reader.c about its files. */
#ifndef WEIR_QUEUE_DISK_IMPL_H
#define WEIR_QUEUE_DISK_IMPL_H

#include "queue/queue.h"

struct disk_span {
    uint64_t first_position; /* of the file; it is named by it */
    uint64_t salt;
    uint64_t end;   /* behind its last durable entry */
    uint64_t limit; /* every position in it is below */
    bool last;      /* it may grow */
};
/* The file that holds `position`, or would; when it is trimmed already the first file. False when
 * there is none, or `position` has not been given out. */
bool disk_span_of(struct queue *q, uint64_t position, struct disk_span *ret);
/* The file's path, freed with mem_free. */
char *disk_path_of(const struct queue *q, uint64_t first_position);

#endif
