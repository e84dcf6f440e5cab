/* What disk.c tells reader.c about its files. */
#ifndef WEIR_QUEUE_DISK_IMPL_H
#define WEIR_QUEUE_DISK_IMPL_H

#include "queue/queue_impl.h"

struct disk_queue;
struct disk_span {
    uint64_t first_position; /* of the file; it is named by it */
    uint64_t salt;
    uint64_t end;   /* behind its last durable entry */
    uint64_t limit; /* every position in it is below */
    bool last;      /* it may grow */
};
/* The file that holds `position`, or would; when it is trimmed already the first file. False when
 * there is none, or `position` has not been given out. */
bool disk_span_of(struct disk_queue *q, uint64_t position, struct disk_span *ret);
/* The file's path, freed with mem_free. */
char *disk_path_of(const struct disk_queue *q, uint64_t first_position);

/* Of reader.c: as queue_reader_new and its kin. */
struct queue_reader *disk_reader_new(struct queue *q, uint64_t from);
void disk_reader_free(struct queue_reader *base);
enum err disk_reader_next(struct queue_reader *base, struct queue_read *ret);
uint64_t disk_reader_lost(const struct queue_reader *base);

#endif
