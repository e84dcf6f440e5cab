/* A visit to a log file: whatever is new in it is read, sent and committed, through rotation,
 * truncation and crashes of others. Threads: one for a visitor. */
#ifndef WEIR_AURORA_VISIT_H
#define WEIR_AURORA_VISIT_H

#include "aurora/intake.h"
#include "aurora/source.h"

struct visitor {
    struct deliver deliver; /* with the state and the outputs */
    struct aws_client *client;
    struct unit unit;
    const char *owner; /* of strands: this worker's name */
    int64_t lease_s;
    uint64_t rows_max;    /* BATCH_SIZE */
    struct str time_zone; /* where the instance has none of its own */
    unsigned keep;        /* MYSQL_LOG_KEEP of kinds */
    bool whole_denied;    /* the whole-file endpoint is not for us */
    bool markers_end;     /* a file that is renamed has other markers */
};

struct visit {
    uint64_t bytes, records;
    bool more; /* its share is read, not the file: come again */
    bool rest; /* an end that is not whole yet is left */
};
/* ERR_AGAIN: somebody else is at it. ERR_NOTFOUND: the file is gone, what it had unread is a dead
 * letter. ERR_UNAVAILABLE, ERR_TIMEOUT: later. ERR_CONFLICT: another took over; later. */
NODISCARD enum err visit_file(struct visitor *v, const struct logfile_message *m,
                              struct visit *ret);

/* The stream of a kind of log. */
struct str visit_stream(enum mysql_log_kind kind);

#endif
