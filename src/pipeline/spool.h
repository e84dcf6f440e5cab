/* The spool: the queue of an agent, in a folder of its own, with what makes it one sender for ever:
 * a random id and an epoch, made with the folder (a new folder is a new sender, whose numbers begin
 * anew).
 *
 * A body of the spool may begin with a *note*: bytes of the input that it came from (how far it has
 * read), which become durable together with the records, so that after any crash both agree. The
 * notes behind a position are handed back at the next start.
 *
 * A spool may also stand over a server's queue (spool_over): then the server starts the queue,
 * hands on what comes and says how far its store has come, and readers hold the queue back only so
 * far: one that is behind by more than `behind_max` bytes is left behind (spool_left_behind).
 *
 * Readers (routes) and the keeper of the notes each hold the spool at a position; what lies before
 * all of them is trimmed.
 * Threads: any. Full: spool_append answers ERR_UNAVAILABLE, and nothing is taken. */
#ifndef WEIR_PIPELINE_SPOOL_H
#define WEIR_PIPELINE_SPOOL_H

#include "queue/queue.h"

struct spool;
struct spool_options {
    const char *dir;
    uint64_t bytes_max; /* on disk */
    bool sync;
    void *ctx;
    /* A note that lies at or behind `notes_from`, at start. May be NULL. */
    void (*note)(void *ctx, struct str note, uint64_t position);
    /* Every note that begins with SPOOL_BOOKS, in order: at the start as far as the spool holds
     * them, and as they become durable; `behind` is the position behind its body. On the queue's
     * thread. May be NULL. */
    void (*books)(void *ctx, struct str note, uint64_t behind);
    /* Something was appended. On the queue's thread. May be NULL. */
    void (*appended)(void *ctx);
};
#define SPOOL_BOOKS STR("books ")
enum { SPOOL_HOLDS_MAX = 64 };

/* Over a queue that stays the caller's, and outlives it. o->bytes_max, sync and note are not used.
 */
NODISCARD enum err spool_over(const struct spool_options *o, struct queue *queue,
                              uint64_t behind_max, struct spool **ret);
/* From where the queue must be replayed for the readers; UINT64_MAX: there are none. */
uint64_t spool_from(struct spool *s);
/* As a queue_consumer's deliver and committed. */
void spool_deliver(struct spool *s, struct blob *const *frame, uint32_t n, uint64_t first_position);
void spool_committed(struct spool *s);
/* Everything below is in the store: trims what no reader holds. */
void spool_published(struct spool *s, uint64_t position);
bool spool_is_behind(struct spool *s, uint64_t position);
/* Whether a reader at `position` is behind what is kept for it: then it goes on at *ret_position,
 * and *ret_rows records that waited for it are lost to it, and let go of. */
bool spool_left_behind(struct spool *s, unsigned hold, uint64_t position, uint64_t *ret_position,
                       uint64_t *ret_rows);

/* Opens the folder; ERR_UNAVAILABLE when another process has it. */
NODISCARD enum err spool_open(const struct spool_options *o, struct spool **ret);
/* Before spool_start: a reader that needs everything from `position` on (0: from the beginning).
 * Its number. */
unsigned spool_hold(struct spool *s, uint64_t position);
/* After it: a reader of what comes from now on, which is *ret_position. */
unsigned spool_hold_next(struct spool *s, uint64_t *ret_position);
void spool_unhold(struct spool *s, unsigned hold); /* the reader is gone for good */
/* Records that the spool has taken since the folder was made: told once, after spool_start and
 * before anything is appended, by whoever keeps the books of its sources; counted from then on. */
void spool_set_taken(struct spool *s, uint64_t records);
uint64_t spool_taken(struct spool *s);
/* Of them, those that came before the reader did, or that it has settled. */
uint64_t spool_passed(struct spool *s, unsigned hold);
/* Replays: notes from `notes_from` on; counts what waits for each hold. */
NODISCARD enum err spool_start(struct spool *s, uint64_t notes_from);
/* The hold moves on to `position`; `rows` fewer wait for it. */
void spool_release(struct spool *s, unsigned hold, uint64_t position, uint64_t rows);
/* Rows that wait for a hold; *ret_since_ns: arrival of the oldest body that does, 0: none. */
uint64_t spool_waiting(struct spool *s, unsigned hold);
uint64_t spool_next(struct spool *s); /* the position behind the last body */

/* Appends a body and waits until it is durable. Takes the frames over when OK; *ret_position: that
 * of the first. The note may be empty. ERR_UNAVAILABLE, ERR_FULL, ERR_IO: nothing was taken, try
 * again. */
NODISCARD enum err spool_append(struct spool *s, struct str note, struct blob **frame, uint32_t n,
                                uint64_t *ret_position);
/* The same without waiting: body->done is called as queue_append's. The array stays the caller's,
 * and so do the frames unless OK. */
NODISCARD enum err spool_put(struct spool *s, struct str note, const struct queue_body *body);
struct queue *spool_queue(struct spool *s);
uint64_t spool_producer(const struct spool *s);
uint64_t spool_epoch(const struct spool *s);
/* The records of a body as the spool holds it: *ret_first is the number of its first frame that is
 * no note. */
uint64_t spool_body_rows(struct blob *const *frame, uint32_t n, uint32_t *ret_first);
/* What the note says; the entry is one. */
struct str spool_note_of(struct str entry);
void spool_close(struct spool *s);

#endif
