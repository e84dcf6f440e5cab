/* Bins are cut in shifted time: shift, cut, shift back. */
#include "query/bins.h"

#include "core/clock.h"
#include "record/timestamp_civil.h"

static int64_t add_clamped(int64_t a, int64_t b)
{
    int64_t sum;
    if (!__builtin_add_overflow(a, b, &sum))
        return sum;
    return b > 0 ? INT64_MAX : INT64_MIN;
}

static int64_t floor_div(int64_t v, int64_t by)
{
    return v / by - (v % by < 0);
}

static int64_t month_ns(int64_t months)
{
    int64_t ns,
        days = civil_days(floor_div(months, 12), (int)(months - floor_div(months, 12) * 12) + 1);
    return ns_of_seconds(days * 86400, 0, &ns) ? ns : days > 0 ? INT64_MAX : INT64_MIN;
}

/* Months since the year 0. */
static int64_t month_of(int64_t ns)
{
    struct civil c;
    civil_of_seconds(floor_div(ns, NS_PER_S), &c);
    return c.year * 12 + c.month - 1;
}

int64_t bin_start(const struct by_spec *by, int64_t ns)
{
    int64_t local = add_clamped(ns, by->bin_shift_ns), start;
    if (by->bin_months)
        start = month_ns(floor_div(month_of(local), by->bin_months) * by->bin_months);
    else if (__builtin_mul_overflow(floor_div(local, by->bin_ns), by->bin_ns, &start))
        start = INT64_MIN;
    return add_clamped(start, -by->bin_shift_ns);
}

int64_t bin_next(const struct by_spec *by, int64_t start)
{
    if (!by->bin_months)
        return add_clamped(start, by->bin_ns);
    int64_t local = add_clamped(start, by->bin_shift_ns);
    return add_clamped(month_ns(month_of(local) + by->bin_months), -by->bin_shift_ns);
}
