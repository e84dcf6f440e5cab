/* Timestamps in text and numbers, to and from nanoseconds since 1970 UTC. Text forms are kept apart
 * so that a column of them can be stored as (form, offset from _time) and come back to the byte.
 * Bounds: int64 nanoseconds, 1677-09-21 to 2262-04-11. Threads: pure functions. */
#ifndef WEIR_RECORD_TIMESTAMP_H
#define WEIR_RECORD_TIMESTAMP_H

#include "core/str.h"

/* How a text writes a time; two texts of one form and one instant are the same text. On disk. */
struct time_form {
    uint8_t kind;   /* enum time_kind */
    uint8_t digits; /* of the fraction: 0..9; more: not exact */
    uint8_t
        sep; /* between date and time: 'T', 't' or ' ', 0: a date alone; syslog: of the day's pad */
    uint8_t frac; /* '.' or ',', 0: no fraction */
    uint8_t zone; /* 0 none (UTC assumed), 'Z', 'z', ':' as +hh:mm, '+' as +hhmm, 'H' as +hh, 's' as
                 " +hh:mm", 'S' as " +hhmm", 'U' as " UTC", 'G' as " GMT"; bit 0x80: not exact */
    int16_t offset_min; /* of the zone */
};
/* ISO 8601 / RFC 3339; epoch as text (s, ms, us, ns); Apache "15/Feb/2025:12:00:00 +0000"; RFC
 * 1123; "Feb 15 12:00:00" (no year: the year that puts it nearest to `near_ns`); "2025/02/15
 * 12:00:00". */
enum time_kind {
    TIME_ISO,
    TIME_EPOCH_S,
    TIME_EPOCH_MS,
    TIME_EPOCH_US,
    TIME_EPOCH_NS,
    TIME_APACHE,
    TIME_RFC1123,
    TIME_SYSLOG,
    TIME_SLASHED,
    TIME_KIND_COUNT
};

/* The whole text must be a time. near_ns: "now", for forms without a year. */
bool time_parse(struct str s, int64_t near_ns, struct time_form *ret_form, int64_t *ret_ns);
/* Writes at most TIME_TEXT_MAX bytes; returns the length. time_format(parse(s)) == s for every s
 * parsed with a form whose time_form_exact is true. */
#define TIME_TEXT_MAX 48
size_t time_format(const struct time_form *form, int64_t ns, char *out);
/* The same for one time after the other, of which many lie in the minute of the one before. */
struct time_writer {
    struct time_form form;
    char text[TIME_TEXT_MAX]; /* the last, n 0: none */
    size_t n;
    int64_t minute; /* where it begins, seconds */
};
size_t time_format_next(struct time_writer *w, const struct time_form *form, int64_t ns, char *out);
bool time_form_exact(const struct time_form *form);
bool time_form_eq(const struct time_form *a, const struct time_form *b);
/* A number of a time field: seconds, milli-, micro- or nanoseconds by magnitude; mantissa /
 * 10^scale. */
bool time_from_number(int64_t mantissa, unsigned scale, int64_t *ret_ns);
bool time_from_double(double v, int64_t *ret_ns);
/* RFC 3339 in UTC with as many fraction digits as needed (0, 3, 6 or 9). */
size_t time_rfc3339(int64_t ns, char *out);
size_t time_rfc3339_next(struct time_writer *w, int64_t ns, char *out);
/* For query parameters and ranges: RFC 3339, dates ("2025-02-15", "2025-02"), epoch numbers, "now",
 * "-15m", "now-1h", "now/d". *ret_end: first instant behind it (a date covers its day). */
bool time_parse_query(struct str s, int64_t now_ns, int64_t *ret_ns, int64_t *ret_end);

#endif
