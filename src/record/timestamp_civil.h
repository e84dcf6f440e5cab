/* The calendar under timestamps: proleptic Gregorian, days of 86400 seconds. Threads: pure
 * functions. */
#ifndef WEIR_RECORD_TIMESTAMP_CIVIL_H
#define WEIR_RECORD_TIMESTAMP_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

struct civil {
    int64_t year;
    int month, day; /* from 1 */
    int hour, minute, second;
};

/* Days from 1970-01-01 to the first of the month. */
int64_t civil_days(int64_t year, int month);
int civil_month_days(int64_t year, int month);
/* A day of the calendar and a time of day; a second 60 passes. */
bool civil_valid(const struct civil *c);
int64_t civil_seconds(const struct civil *c);
void civil_of_seconds(int64_t seconds, struct civil *ret);
/* seconds * 1e9 + frac_ns, or false past int64. */
bool ns_of_seconds(int64_t seconds, int64_t frac_ns, int64_t *ret);

#endif
