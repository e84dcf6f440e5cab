/* Names of log files, and the message that says there is something to read in one.
 *
 * Aurora's and RDS's names: slowquery/mysql-slowquery.log is written to; hourly it becomes
 * slowquery/mysql-slowquery.log.2025-08-03.15 (or .15), and a new one begins. So
 * the files with one name up to ".log" are one log, its *base* is the name up to there. The error
 * log is written to error/mysql-error.log and moved every five minutes to the end of
 * error/mysql-error-running.log, so that the first one is left out: its lines come by the second.
 * Threads: pure functions. */
#ifndef WEIR_AURORA_LOGFILE_H
#define WEIR_AURORA_LOGFILE_H

#include "core/arena.h"
#include "transform/mysql_log.h"

/* MYSQL_LOG_AUTO: of no kind that we know. */
enum mysql_log_kind logfile_kind(struct str name);
struct str logfile_base(struct str name);
/* It is being written to: it has no end yet. */
bool logfile_is_live(struct str name);
/* A file whose lines come by another. */
bool logfile_is_passed_over(struct str name);

struct logfile_message {
    struct str instance_id, log_file_name, log_type;
    uint64_t size;
    int64_t last_written_ms;
};
void logfile_message_write(const struct logfile_message *m, struct buf *out);
/* ERR_INVALID says what is missing. Texts live in the arena. */
NODISCARD enum err logfile_message_read(struct str json, struct arena *a,
                                        struct logfile_message *ret);

#endif
