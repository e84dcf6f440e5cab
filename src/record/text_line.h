/* What a line of plain text says about itself: when, and how bad. Nothing is cut out of the line.
 *
 * Times, at the line's head behind brackets, a syslog priority or a "-":
 *   2025-02-15T12:00:00.123Z   2025-02-15 12:00:00,123 +0100   2025/02/15 12:00:00   ISO 8601 and
 *                              kin: log4j, logback, Python, PostgreSQL, nginx's error log, Go
 *   Feb 15 12:00:00            syslog (RFC 3164): the year that brings it nearest to `near_ns`
 *   <34>1 2025-02-15T12:00:00Z syslog (RFC 5424)
 *   Sat Feb 15 12:00:00.123456 2025   ctime, Apache's error log
 *   15 Feb 2025 12:00:00,123   log4j, Redis
 *   17/06/09 20:10:40          Spark: year, month, day
 *   I0215 12:00:00.123456      klog; 20250215 12:00:00 glog's files; 250215 12:00:00 MariaDB's
 *   1739620800.123             seconds since 1970
 * and [15/Feb/2025:12:00:00 +0000] within the first bytes: access logs. A time without a zone is
 * UTC.
 *
 * Levels: the first word such as ERROR, WARN or Info that stands as a level does: in capitals
 * between spaces, brackets, colons; in small letters only in brackets, before a colon, or behind
 * "level=". As it is written; klog's letters become INFO, WARNING, ERROR, FATAL.
 * Threads: pure functions. */
#ifndef WEIR_RECORD_TEXT_LINE_H
#define WEIR_RECORD_TEXT_LINE_H

#include "record/batch.h"

struct text_line {
    bool has_time;
    int64_t time_ns;
    struct str level; /* of the line's bytes, or klog's word; n == 0: none */
};
void text_line_read(struct str line, int64_t near_ns, struct text_line *ret);

/* The words that a level may be without standing in the line, NULL-ended, and what such lines begin
 * with: for a search that looks at bytes first. */
extern const char *const text_line_made_levels[];
extern const char text_line_made_letters[];

/* Appends the line as a record: {"message": line, "level": ...}, as decoders of text do. */
void text_line_append(struct batch *b, struct str line, int64_t arrival_ns);

#endif
