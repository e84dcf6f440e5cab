/* How far each log file is read, and who reads it: the tables of jobs and checkpoints.
 *
 * A *strand* is one log of one instance (its slow log, its error log): the file that is written to
 * and those it became by rotation. One reader at a time holds a strand, by a lease with a fence: a
 * number that grows with every claim, so that whoever has lost the strand cannot write to it any
 * more. Its records go out in *units*, numbered without end:
 *
 *   1. intent:  the strand gets "unit N is FILE[from, to), arrived at T"   (if the fence is ours)
 *   2. send:    the unit's records go out under (producer, epoch, N)
 *   3. commit:  FILE's checkpoint moves from `from` to `to`              (if it stands at `from`)
 *
 * After a crash between 1 and 3 the next reader makes the same unit of the same bytes and sends it
 * under the same number, by which a receiver that has it already tells. So a line is sent once,
 * whoever crashes where.
 * Threads: as state. */
#ifndef WEIR_AURORA_PROGRESS_H
#define WEIR_AURORA_PROGRESS_H

#include "aurora/logfile.h"
#include "aurora/state.h"

enum {
    PROGRESS_NAME_MAX = 1024,
    PROGRESS_MARKER_MAX = 256,
    PROGRESS_PARSER_MAX = 1100,
    CHECKPOINT_DAYS = 7,
};

struct strand_unit {
    char file[PROGRESS_NAME_MAX + 1];
    char was[PROGRESS_NAME_MAX + 1]; /* its name when it was announced, which its records have */
    uint64_t from, to;
    int64_t sequence, arrival_ns;
    uint32_t head_n, head_crc; /* of the file, where the unit is its beginning; see checkpoint */
};
struct strand {
    char id[PROGRESS_NAME_MAX + 1]; /* "instance_id/base" */
    char owner[220];
    int64_t fence, lease_until_s, lease_s;
    uint64_t producer, epoch;
    int64_t next; /* sequence */
    bool has_pending;
    struct strand_unit pending; /* announced, and perhaps not committed */
};

struct checkpoint {
    bool exists;
    uint64_t offset; /* what lies before is durable downstream */
    /* Where reading can go on: a marker of the API for the byte `marker_at`. */
    char marker[PROGRESS_MARKER_MAX];
    uint64_t marker_at;
    /* And the one for where the last reading ended: the next reading begins at `marker`, so that it
     * sees some of what is known, and the one after it here. "": none. */
    char next_marker[PROGRESS_MARKER_MAX];
    uint64_t next_at;
    /* What tells whether it is still this file: CRC-32 of [0, check_at), of [marker_at, check_at)
     * and of the first head_n bytes; marker_at <= check_at <= offset. */
    uint64_t check_at;
    uint32_t check_crc, overlap_crc, head_n, head_crc;
    char parser[PROGRESS_PARSER_MAX]; /* mysql_log_save */
    int64_t sequence;                 /* of the unit that ends here */
    int64_t last_written_ms;          /* of the file when this was written */
    int64_t generation;               /* how often this name began anew */
};

/* ERR_AGAIN: somebody else holds it. lease_s: how long it is ours without a sign of life. */
NODISCARD enum err strand_claim(struct state *s, struct str instance, struct str file,
                                const char *owner, int64_t lease_s, struct strand *ret);
/* Announces l->pending with sequence l->next; extends the lease. ERR_CONFLICT: it is lost. */
NODISCARD enum err strand_announce(struct state *s, struct strand *l);
/* Extends the lease when half of it is over. */
NODISCARD enum err strand_keep(struct state *s, struct strand *l);
void strand_release(struct state *s, struct strand *l);
/* The pending unit lies in another file now: it was renamed. */
NODISCARD enum err strand_move(struct state *s, struct strand *l, struct str file);
/* The pending unit is done with. In memory alone: the next announcement writes over it. */
void strand_settled(struct strand *l);

/* exists false where there is none. */
NODISCARD enum err checkpoint_load(struct state *s, struct str instance, struct str file,
                                   struct checkpoint *ret);
/* Only if it stands at `was` (NULL: there must be none). ERR_CONFLICT. */
NODISCARD enum err checkpoint_store(struct state *s, struct str instance, struct str file,
                                    const struct checkpoint *was, const struct checkpoint *c);
/* Does the owner's process run no more? Known only of this machine. */
bool strand_owner_is_dead(struct str owner);
/* "HOST/PID/RANDOM": once a process. */
void strand_owner_make(char out[200]);

#endif
