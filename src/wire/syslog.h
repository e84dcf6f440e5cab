/* Syslog: RFC 5424 and RFC 3164 messages, framed on a stream as RFC 6587 tells: by a count of
 * octets before each message, or by a line feed (or NUL) behind it.
 *
 * A record has, where the message says them: `facility` and `severity` by their names, `version`,
 * `timestamp` as it was written, `hostname`, `appname`, `procid`, `msgid`, `structured_data` (an
 * object of objects), `message`. What is neither of the RFCs' forms is kept whole as `message`.
 * Threads: pure functions. */
#ifndef WEIR_WIRE_SYSLOG_H
#define WEIR_WIRE_SYSLOG_H

#include "core/str.h"

/* How many of the bytes received are whole messages with their framing. `ended`: nothing more will
 * come, and an unended line is a message. */
size_t syslog_cut(struct str in, bool ended);

/* The message at the beginning of bytes that syslog_cut found whole. */
struct syslog_line {
    size_t n; /* bytes with its framing */
    struct str content;
    uint64_t source; /* a hash of who says it: hostname, appname, procid */
};
void syslog_read_line(struct str in, struct syslog_line *ret);

/* The number of a facility or a severity by its name, or by its number as text; -1: there is none.
 * Severities are known by other programs' names of levels too: fatal, warn, trace, ... */
int syslog_facility(struct str name);
int syslog_severity(struct str name);

#endif
