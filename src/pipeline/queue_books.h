/* The books of a server's queue: how many records it has ever taken, by stream. They are counted as
 * the queue hands its frames on, and kept in the file DIR/books, at a position of the queue: from
 * there on they are counted anew at a start. So they are exact after any end.
 * Threads: note and save from one each, the rest from any. Bounds: QUEUE_BOOKS_STREAMS streams, the
 * last of which stands for all others. */
#ifndef WEIR_PIPELINE_QUEUE_BOOKS_H
#define WEIR_PIPELINE_QUEUE_BOOKS_H

#include "core/arena.h"
#include "pipeline/spool.h"

enum { QUEUE_BOOKS_STREAMS = 4096 };

struct queue_books;
struct queue_books_stream {
    struct str name; /* in the arena */
    uint64_t records;
};
/* Holds the spool, which stands over the queue. *ret_new: there was no file; then `position` is
 * from where it counts, and queue_books_add says what was there before. */
NODISCARD enum err queue_books_open(const char *dir, struct spool *spool, uint64_t position,
                                    struct queue_books **ret, bool *ret_new);
void queue_books_add(struct queue_books *b, struct str stream, uint64_t records);
/* As a queue_consumer's deliver. */
void queue_books_note(struct queue_books *b, struct blob *const *frame, uint32_t n,
                      uint64_t first_position);
/* At most once in a few seconds unless `now`. */
void queue_books_save(struct queue_books *b, bool now);
uint64_t queue_books_total(struct queue_books *b);
void queue_books_list(struct queue_books *b, struct arena *a, struct queue_books_stream **ret,
                      unsigned *ret_n);
void queue_books_free(struct queue_books *b); /* NULL is fine */

#endif
