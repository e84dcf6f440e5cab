/* Messages of one Kafka partition that are lines of records: they are kept until it is known where
 * their record ends. Lines of different keys are told apart.
 * Owner: one thread. Bounds: the input's, which counts kafka_lines_bytes. */
#ifndef WEIR_INPUT_KAFKA_LINES_H
#define WEIR_INPUT_KAFKA_LINES_H

#include "transform/multiline.h"
#include "wire/kafka.h"

struct kafka_line {
    int64_t offset, time_ms;
    size_t at; /* its key and its value in `text` */
    uint32_t key_n, value_n;
    bool none; /* it has no value */
};
struct kafka_lines {
    struct kafka_line *line; /* by offset */
    size_t cap;
    uint32_t n;
    struct buf text;
};
void kafka_lines_init(struct kafka_lines *l);
void kafka_lines_release(struct kafka_lines *l);
void kafka_lines_clear(struct kafka_lines *l);
/* value.p NULL: the message has none. */
void kafka_lines_add(struct kafka_lines *l, const struct kafka_message *m);
static inline size_t kafka_lines_bytes(const struct kafka_lines *l)
{
    return l->text.n + l->n * sizeof(struct kafka_line);
}
/* How many are before an offset. */
uint32_t kafka_lines_before(const struct kafka_lines *l, int64_t offset);
/* How many are before the records that the next line of their key may go on with; a record that
 * began half of the bytes ago is not waited for. None is divided by that. */
uint32_t kafka_lines_whole(const struct kafka_lines *l, const struct multiline *m);
/* Appends the records of the first n lines to a body (kafka_body_add), each with the place, time
 * and key of its first line, and forgets these lines. The same lines give the same bytes. */
void kafka_lines_take(struct kafka_lines *l, const struct multiline *m, uint32_t n,
                      struct buf *body);

#endif
