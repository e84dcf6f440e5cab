/* From the bytes of a log file to units that are sent and committed (progress.h). Whoever reads the
 * file (visit.c) hands its bytes over in order, from a place that the checkpoint names; the intake
 * proves that they are those of the file that was read before, passes over what is known, has the
 * rest parsed, and cuts units.
 * Threads: one. Bounds: the parser's memory and a unit. */
#ifndef WEIR_AURORA_INTAKE_H
#define WEIR_AURORA_INTAKE_H

#include "aurora/deliver.h"
#include "aurora/unit.h"

enum { INTAKE_HEAD_BYTES = 512, INTAKE_BORDERS = 64 };

/* A place between two pieces whose hashes are known. */
struct intake_border {
    uint64_t at, marker_at;
    uint32_t crc, overlap_crc;
    char marker[PROGRESS_MARKER_MAX];
};

struct intake {
    struct deliver *deliver;
    struct strand *strand;
    struct str instance, file;
    struct checkpoint cp; /* as committed */
    struct mysql_log *parser;
    struct unit *unit;
    struct str stream;
    uint64_t rows_max;

    uint64_t at;     /* of the next byte */
    uint64_t began;  /* where the reading began */
    bool known;      /* what the checkpoint holds of the file has been seen again, and agrees */
    bool other_file; /* it does not agree */
    bool again; /* the unit at hand is the pending one, to be made anew: it ends at `stop_at` */
    uint64_t stop_at;
    uint32_t crc, overlap_crc;
    char marker[PROGRESS_MARKER_MAX];
    uint64_t marker_at;
    char head[INTAKE_HEAD_BYTES];
    struct intake_border border[INTAKE_BORDERS];
    unsigned n_borders;
    int64_t last_written_ms;
    uint64_t bytes, records; /* taken by this intake */
};

struct intake_options {
    struct deliver *deliver;
    struct strand *strand;
    struct unit *unit;
    struct str instance, file, stream, time_zone;
    enum mysql_log_kind kind;
    unsigned keep;
    uint64_t rows_max;
    int64_t last_written_ms;
    const struct checkpoint *cp;
    bool again; /* make strand->pending anew */
};
NODISCARD enum err intake_init(struct intake *f, const struct intake_options *o);
void intake_release(struct intake *f);
/* The bytes that follow begin at `at`, to which `marker` leads. First: at cp.marker_at, or 0. */
void intake_begin(struct intake *f, const char *marker, uint64_t at);
/* ERR_CORRUPT with f->other_file: the bytes are not those of the file that was read before: nothing
 * of them was sent. ERR_EOF: all that is wanted has come (again). Others: of sending and
 * committing. */
NODISCARD enum err intake_bytes(struct intake *f, struct str bytes);
/* There are no more bytes now. `last`: and there will be none. next_marker: of the file's end, ""
 * when it is not known. ERR_CORRUPT with f->other_file: there were fewer than were read before. */
NODISCARD enum err intake_end(struct intake *f, bool last, const char *next_marker);

#endif
