/* A batch under construction: decoders append each value straight to its column. No allocation per
 * record or field in the steady state: buffers grow to the largest batch seen and are reused after
 * batch_clear. The builder guesses that a record looks like the one before it (same keys, same
 * order, same lanes), so the usual field costs one comparison of its key and one copy of its value.
 * Owner: the decoder's thread. Bounded by its caller, who hands it on when batch_full() says so
 * between records, and by the limits of record/type.h. */
#ifndef WEIR_RECORD_BATCH_H
#define WEIR_RECORD_BATCH_H

#include "record/rows.h"

struct batch;

struct batch *batch_new(void);
void batch_free(struct batch *b);
/* Room for so many rows more, where it is known how many come: they are not moved as it grows. */
void batch_rows_room(struct batch *b, uint32_t n);
void batch_clear(struct batch *b); /* no rows; keeps shapes, columns and memory for reuse */
uint32_t batch_rows(const struct batch *b);
size_t batch_bytes(const struct batch *b); /* about what frame_encode makes of it, never less */
/* Whether a record of `next` bytes of JSON might lead past FRAME_BYTES_MAX. Never for an empty
 * batch. */
bool batch_full(const struct batch *b, size_t next);
size_t batch_room(const struct batch *b);        /* the most bytes that would not, 0: none */
uint64_t batch_raw_bytes(const struct batch *b); /* of the `raw` given to batch_end */

/* One record: begin, fields in source order, end. batch_cancel drops the record begun. */
void batch_begin(struct batch *b);
void batch_open(struct batch *b, struct str key); /* a non-empty nested object */
void batch_close(struct batch *b);
void batch_text(struct batch *b, struct str key, enum lane lane, struct str bytes); /* text lanes */
void batch_int(struct batch *b, struct str key, int64_t v);
void batch_dec(struct batch *b, struct str key, int64_t mantissa, uint8_t scale);
void batch_dbl(struct batch *b, struct str key, double v);
void batch_bool(struct batch *b, struct str key, bool v);
void batch_empty(struct batch *b, struct str key, enum lane lane); /* LANE_NULL, LANE_OBJ */
/* Any JSON number by its text (already known to be valid): picks INT, DEC, DBL or NUM, losslessly.
 */
void batch_number(struct batch *b, struct str key, struct str text);
/* Resolves _time: the first of the time names (record/timestamp.h) that the shape has and that
 * parses, else arrival_ns with ROW_TIME_ARRIVAL (and ROW_TIME_BAD). `raw` is the record's JSON
 * text, used when it breaks SHAPES_MAX or PATHS_MAX: the record is then kept as one LANE_JSON leaf.
 */
void batch_end(struct batch *b, int64_t arrival_ns, struct str raw);
/* As batch_end for a record whose source is not JSON, `raw_n` bytes long. False where the record
 * breaks SHAPES_MAX or PATHS_MAX: it is still under way then, to be cancelled. */
NODISCARD bool batch_try_end(struct batch *b, int64_t arrival_ns, size_t raw_n);
/* The record before as a form for others: how many leaves it has where all of them are LANE_STR, in
 * objects or not; 0 where it is of another kind, or was taken back. */
#define BATCH_FORM_MAX 8
uint32_t batch_form(struct batch *b);
bool batch_form_has_id(const struct batch *b); /* once batch_form said that there is a form */
/* Records more of that form, as batch_begin, a batch_text a leaf in the same order, and
 * batch_try_end would add each. What they say is put where the batch has room for it: the texts of
 * each leaf behind each other, and where each of them ends. Up to BATCH_FORM_BEHIND bytes more may
 * be written behind a text. */
#define BATCH_FORM_BEHIND 64
struct batch_like {
    char *to[BATCH_FORM_MAX];      /* the next text */
    uint32_t *end[BATCH_FORM_MAX]; /* where it ends: `at` and its bytes */
    uint32_t at[BATCH_FORM_MAX];
};
/* Room for `n` of them, and `bytes` of text a leaf. Nothing else may be done to the batch before
 * batch_like_end, but that need not follow. */
void batch_like_begin(struct batch *b, uint32_t n, size_t bytes, struct batch_like *ret);
/* `n` of them were put, one or more; the bytes of the sources together and of the last. */
void batch_like_end(struct batch *b, const struct batch_like *put, uint32_t n, int64_t arrival_ns,
                    size_t raw_n, size_t last_raw_n);
size_t
batch_form_cost(const struct batch *b); /* what such a record takes of batch_room, less its texts */
/* Another with every call that adds records or takes them back, and for good. */
uint64_t batch_version(const struct batch *b);
/* Between begin and end: whether the record has a leaf whose dotted name has one of the hashes. */
bool batch_has_name(const struct batch *b, const uint64_t *name_hash, unsigned n);
/* Between begin and end: the record's time, where its envelope says it; fields are not asked. */
void batch_time(struct batch *b, int64_t time_ns);
void batch_cancel(struct batch *b);
/* The `_id` or `log_id` (first present, text lanes and INT's text) of the last ended record, or n
 * == 0. */
struct str batch_last_id(const struct batch *b);
/* Drops the last ended record (a duplicate); once, and before the next batch_begin. */
void batch_pop(struct batch *b);

/* A view of what is in it: valid until the next change of the batch. The origin of decoded records
 * is position 0 and the arrival given; appended rows keep theirs. */
void batch_view(struct batch *b, struct arena *arena, struct rows *ret);

/* Appends rows `row[0..n)` of `src` (any order; row NULL: the first n) to a batch with their times
 * and flags as they are, used by filters, seals and compaction. ERR_LIMIT when the union of shapes
 * or paths would pass the limits: nothing is appended then. */
NODISCARD enum err batch_append_rows(struct batch *b, struct rows *src, const uint32_t *row,
                                     uint32_t n);

/* As batch_append_rows of all rows, whose values stay where they are: the arena that `src` was
 * opened with, and what lies below it, are needed until the batch is cleared and its views are out
 * of use. A batch that holds rows takes nothing else, and is only looked at by batch_view. */
NODISCARD enum err batch_hold_rows(struct batch *b, struct rows *src);

/* The names that hold a record's own time, in order of precedence (dotted), NULL-ended; and of the
 * aliases. Shared by decoders and the filter. */
extern const char *const time_names[];
extern const char *const message_names[];
extern const char *const level_names[];
extern const char *const service_names[];
extern const char *const host_names[];
/* "message", "level", "service", "host" -> its list; else NULL. */
const char *const *alias_names(struct str alias);

#endif
