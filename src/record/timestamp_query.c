/* Times as people ask for them, in parameters and ranges of queries:
 *
 *   2025-02-15T12:00:00.5Z   any form of time_parse; covers its last written digit
 *   2025-02-15 2025-02 2025  covers the day, month, year
 *   1739620800, 1739620800123.5   epoch by magnitude, as in records
 *   now, now-1h, -15m, +1h30m, now/d, now-1M/M   relative to now: steps of number and unit, where
 *                            "/unit" cuts down to the unit's start and covers the unit
 *
 * Units: ns us ms s m h (H) d w M y. Days, weeks (from Monday), months and years are of the UTC
 * calendar; adding months keeps the day within the month it arrives at. */
#include "core/clock.h"
#include "record/timestamp.h"
#include "record/timestamp_civil.h"

enum unit_kind { UNIT_NS, UNIT_MONTH, UNIT_BAD };

struct unit {
    enum unit_kind kind;
    int64_t size;   /* nanoseconds, or months */
    int64_t origin; /* where one starts, for cutting: weeks start on Mondays */
};

static struct unit unit_of(struct str s)
{
    static const struct {
        const char *name;
        struct unit unit;
    } units[] = {
        {"ns", {UNIT_NS, 1, 0}},
        {"us", {UNIT_NS, 1000, 0}},
        {"ms", {UNIT_NS, NS_PER_MS, 0}},
        {"s", {UNIT_NS, NS_PER_S, 0}},
        {"m", {UNIT_NS, 60 * NS_PER_S, 0}},
        {"h", {UNIT_NS, 3600 * NS_PER_S, 0}},
        {"H", {UNIT_NS, 3600 * NS_PER_S, 0}},
        {"d", {UNIT_NS, NS_PER_DAY, 0}},
        {"w", {UNIT_NS, 7 * NS_PER_DAY, -3 * NS_PER_DAY}},
        {"M", {UNIT_MONTH, 1, 0}},
        {"y", {UNIT_MONTH, 12, 0}},
    };
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
        if (str_eq_c(s, units[i].name))
            return units[i].unit;
    return (struct unit){.kind = UNIT_BAD};
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* The first instant of a month counted from the year 0. */
static bool month_start(int64_t months, int64_t *ret)
{
    int64_t year = floor_div(months, 12);
    return ns_of_seconds(civil_days(year, (int)(months - year * 12) + 1) * 86400, 0, ret);
}

static int64_t month_of(int64_t ns, struct civil *ret)
{
    civil_of_seconds(floor_div(ns, NS_PER_S), ret);
    return ret->year * 12 + ret->month - 1;
}

static bool add_units(int64_t *ns, int64_t count, struct unit u)
{
    int64_t step;
    if (__builtin_mul_overflow(count, u.size, &step))
        return false;
    if (u.kind == UNIT_NS)
        return !__builtin_add_overflow(*ns, step, ns);
    struct civil c;
    int64_t month = month_of(*ns, &c) + step;
    if (step < -12 * 2000 || step > 12 * 2000)
        return false;
    int64_t year = floor_div(month, 12);
    c.year = year;
    c.month = (int)(month - year * 12) + 1;
    int days = civil_month_days(c.year, c.month);
    c.day = c.day < days ? c.day : days;
    return ns_of_seconds(civil_seconds(&c), *ns - floor_div(*ns, NS_PER_S) * NS_PER_S, ns);
}

static bool cut_to_unit(int64_t *ns, struct unit u, int64_t *ret_end)
{
    if (u.kind == UNIT_NS) {
        int64_t shifted;
        if (__builtin_sub_overflow(*ns, u.origin, &shifted))
            return false;
        int64_t start = floor_div(shifted, u.size);
        if (__builtin_mul_overflow(start, u.size, &start) ||
            __builtin_add_overflow(start, u.origin, ns))
            return false;
        return !__builtin_add_overflow(*ns, u.size, ret_end);
    }
    struct civil c;
    int64_t month = floor_div(month_of(*ns, &c), u.size) * u.size;
    return month_start(month, ns) && month_start(month + u.size, ret_end);
}

/* Steps behind "now": "-1h30m+5s/d". */
static bool relative(struct str s, int64_t now_ns, int64_t *ret_ns, int64_t *ret_end)
{
    int64_t ns = now_ns, end;
    bool covers = false;
    char op = 0;
    for (size_t i = 0; i < s.n;) {
        if (s.p[i] == '+' || s.p[i] == '-' || s.p[i] == '/')
            op = s.p[i++];
        size_t from = i;
        while (i < s.n && s.p[i] >= '0' && s.p[i] <= '9')
            i++;
        struct str number = str_of(s.p + from, i - from);
        from = i;
        while (i < s.n && ((s.p[i] | 32) >= 'a' && (s.p[i] | 32) <= 'z'))
            i++;
        struct unit u = unit_of(str_of(s.p + from, i - from));
        int64_t count = 0;
        if (op == 0 || u.kind == UNIT_BAD || (op == '/') != (number.n == 0) ||
            (number.n > 0 && !str_to_i64(number, &count)))
            return false;
        covers = op == '/';
        if (covers ? !cut_to_unit(&ns, u, &end) : !add_units(&ns, op == '-' ? -count : count, u))
            return false;
    }
    *ret_end = covers ? end : ns == INT64_MAX ? ns : ns + 1;
    *ret_ns = ns;
    return true;
}

static bool all_digits(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

/* "2025" and "2025-02". */
static bool year_or_month(struct str s, int64_t *ret_ns, int64_t *ret_end)
{
    int64_t year, month = 1;
    if (!all_digits(str_of(s.p, 4)) || !str_to_i64(str_of(s.p, 4), &year))
        return false;
    if (s.n == 7 && (s.p[4] != '-' || !all_digits(str_from(s, 5)) ||
                     !str_to_i64(str_from(s, 5), &month) || month < 1 || month > 12))
        return false;
    int64_t first = year * 12 + month - 1, ns, end;
    if (!month_start(first, &ns) || !month_start(first + (s.n == 4 ? 12 : 1), &end))
        return false;
    *ret_ns = ns;
    *ret_end = end;
    return true;
}

/* Digits with an optional fraction and sign. */
static bool epoch_number(struct str s, int64_t *ret_ns, int64_t *ret_end)
{
    size_t dot = str_find_byte(s, '.', 0);
    struct str whole = str_of(s.p, dot), fraction = str_from(s, dot + 1);
    if (!all_digits(whole) || (dot < s.n && !all_digits(fraction)) || whole.n + fraction.n > 18)
        return time_parse(s, 0, &(struct time_form){0}, ret_ns) && (*ret_end = *ret_ns + 1, true);
    int64_t mantissa = 0, ns, next;
    for (size_t i = 0; i < s.n; i++)
        if (i != dot)
            mantissa = mantissa * 10 + (s.p[i] - '0');
    if (!time_from_number(mantissa, (unsigned)fraction.n, &ns))
        return false;
    *ret_end = ns + 1;
    if (time_from_number(mantissa + 1, (unsigned)fraction.n, &next) && next > ns)
        *ret_end = next;
    *ret_ns = ns;
    return true;
}

/* How long a written time lasts: its last digit. */
static int64_t form_unit(struct str s, const struct time_form *form)
{
    static const int64_t unit[] = {NS_PER_S, 100000000, 10000000, 1000000, 100000,
                                   10000,    1000,      100,      10,      1};
    if ((form->kind == TIME_ISO || form->kind == TIME_SLASHED) && form->sep == 0)
        return NS_PER_DAY;
    if ((form->kind == TIME_ISO || form->kind == TIME_SLASHED) && s.p[8] != 'T' &&
        (s.n < 19 || s.p[16] != ':'))
        return 60 * NS_PER_S;
    return unit[form->digits > 9 ? 9 : form->digits];
}

bool time_parse_query(struct str s, int64_t now_ns, int64_t *ret_ns, int64_t *ret_end)
{
    s = str_trim(s);
    if (s.n == 0)
        return false;
    if (s.p[0] == '+' || s.p[0] == '-')
        return relative(s, now_ns, ret_ns, ret_end);
    if (str_starts(s, STR("now")))
        return relative(str_from(s, 3), now_ns, ret_ns, ret_end);
    if ((s.n == 4 || s.n == 7) && year_or_month(s, ret_ns, ret_end))
        return true;
    size_t digits = 0;
    while (digits < s.n && ((s.p[digits] >= '0' && s.p[digits] <= '9') || s.p[digits] == '.'))
        digits++;
    if (digits == s.n)
        return epoch_number(s, ret_ns, ret_end);
    struct time_form form;
    int64_t ns;
    if (!time_parse(s, now_ns, &form, &ns))
        return false;
    *ret_ns = ns;
    if (__builtin_add_overflow(ns, form_unit(s, &form), ret_end))
        *ret_end = INT64_MAX;
    return true;
}
