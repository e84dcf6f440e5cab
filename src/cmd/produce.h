/* What weir produce makes: kinds of logs, each a function that appends one record. The same seed
 * makes the same records but for their times. Threads: one. */
#ifndef WEIR_CMD_PRODUCE_H
#define WEIR_CMD_PRODUCE_H

#include "core/buf.h"

struct maker {
    uint64_t state;       /* of the generator */
    int64_t time_ns;      /* of the record */
    unsigned errors_1000; /* how many of a thousand records are errors */
    uint64_t made;
};
uint64_t maker_draw(struct maker *m, uint64_t below);

enum { PRODUCE_RECORD_MAX = 4096 }; /* bytes of a record at most */
struct produce_kind {
    const char *name, *what;
    const char *content_type;
    unsigned errors_1000;                          /* unless asked otherwise */
    void (*put)(struct maker *m, struct buf *out); /* with the line's end */
};
extern const struct produce_kind produce_kinds[]; /* ended by name NULL */

#endif
