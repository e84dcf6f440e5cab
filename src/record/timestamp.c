/* Timestamps in text and numbers.
 *
 * A parsed text is (form, instant). The form keeps everything of the writing that the instant does
 * not: kind, fraction digits, separators, zone notation. Where the two give the text back to the
 * byte the form is exact, and a column of such texts is stored as forms and instants alone. What a
 * form cannot say (a leap second, "-00:00", a tenth fraction digit, a weekday that is not the
 * date's) is parsed all the same but marked: ZONE_INEXACT in `zone`, or more than 9 `digits`.
 *
 * Calendar: proleptic Gregorian, no leap seconds, UTC where no zone is written. All sums are made
 * in 128 bits and must fit int64 nanoseconds at the end. Months are counted from March, so that the
 * leap day is the last day of a year and the days before a month are a linear formula. */
#include "record/timestamp.h"

#include "core/clock.h"
#include "core/decimal.h"
#include "core/err.h"
#include "record/timestamp_civil.h"

#define ZONE_INEXACT 0x80 /* bit of time_form.zone: the text does not come back */

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";
static const int64_t pow10_table[] = {1,      10,      100,      1000,      10000,
                                      100000, 1000000, 10000000, 100000000, 1000000000};

/* A text read so far: the parts found and where the next byte is. */
struct cursor {
    const char *p, *end;
    struct civil c;
    int64_t frac_ns;
    bool inexact;
};

int64_t civil_days(int64_t year, int month)
{
    int64_t y = month <= 2 ? year - 1 : year;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

int civil_month_days(int64_t year, int month)
{
    if (month == 2)
        return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28;
    return 30 + ((month + (month > 7)) & 1);
}

bool civil_valid(const struct civil *c)
{
    return c->month >= 1 && c->month <= 12 && c->day >= 1 && c->hour <= 23 && c->minute <= 59 &&
           c->second <= 60 && c->day <= civil_month_days(c->year, c->month);
}

int64_t civil_seconds(const struct civil *c)
{
    int64_t days = civil_days(c->year, c->month) + c->day - 1;
    return days * 86400 + c->hour * 3600 + c->minute * 60 + c->second;
}

void civil_of_seconds(int64_t seconds, struct civil *ret)
{
    int64_t days = seconds / 86400, rest = seconds % 86400;
    if (rest < 0) {
        rest += 86400;
        days--;
    }
    ret->hour = (int)(rest / 3600);
    ret->minute = (int)(rest / 60 % 60);
    ret->second = (int)(rest % 60);
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t doe = days - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t from_march = (5 * doy + 2) / 153;
    ret->day = (int)(doy - (153 * from_march + 2) / 5 + 1);
    ret->month = (int)(from_march < 10 ? from_march + 3 : from_march - 9);
    ret->year = yoe + era * 400 + (ret->month <= 2);
}

bool ns_of_seconds(int64_t seconds, int64_t frac_ns, int64_t *ret)
{
    __int128 ns = (__int128)seconds * NS_PER_S + frac_ns;
    if (ns < INT64_MIN || ns > INT64_MAX)
        return false;
    *ret = (int64_t)ns;
    return true;
}

/* Seconds and nanoseconds of a time, the latter never negative. */
static int64_t split_ns(int64_t ns, int64_t *ret_frac)
{
    int64_t seconds = ns / NS_PER_S, frac = ns % NS_PER_S;
    if (frac < 0) {
        frac += NS_PER_S;
        seconds--;
    }
    *ret_frac = frac;
    return seconds;
}

/* ---- parsing ---- */

/* Eight bytes: what they are with '0' for any digit, and where the digits are. */
struct pattern {
    char text[9], digits[9];
};
static const struct pattern dashed_date = {"0000-00-", "\xff\xff\xff\xff\0\xff\xff"};
static const struct pattern slashed_date = {"0000/00/", "\xff\xff\xff\xff\0\xff\xff"};
static const struct pattern clock_time = {"00:00:00", "\xff\xff\0\xff\xff\0\xff\xff"};

/* Digits come back as 0..9. A byte over 9 shows in its top bit once 0x76 is added; a carry can only
 * come from such a byte. */
static inline bool match8(const char *p, const struct pattern *pattern, uint8_t digit[8])
{
    uint64_t text, want, digits;
    memcpy(&text, p, 8);
    memcpy(&want, pattern->text, 8);
    memcpy(&digits, pattern->digits, 8);
    uint64_t diff = text ^ want;
    memcpy(digit, &diff, 8);
    uint64_t over = ((diff + 0x7676767676767676ULL) | diff) & 0x8080808080808080ULL;
    return (over | (diff & ~digits)) == 0;
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

static bool take_byte(struct cursor *k, char c)
{
    if (k->p == k->end || *k->p != c)
        return false;
    k->p++;
    return true;
}

/* Exactly n digits. */
static bool take_number(struct cursor *k, int n, int *ret)
{
    if (k->end - k->p < n)
        return false;
    int v = 0;
    for (int i = 0; i < n; i++) {
        if (!is_digit(k->p[i]))
            return false;
        v = v * 10 + (k->p[i] - '0');
    }
    k->p += n;
    *ret = v;
    return true;
}

/* A name of three letters out of a list, counted from 0. */
static bool take_name(struct cursor *k, const char *names, int *ret)
{
    if (k->end - k->p < 3)
        return false;
    for (int i = 0; names[i * 3]; i++)
        if (memcmp(k->p, names + i * 3, 3) == 0) {
            k->p += 3;
            *ret = i;
            return true;
        }
    return false;
}

/* "hh:mm:ss". */
static bool take_clock(struct cursor *k)
{
    uint8_t d[8];
    if (k->end - k->p < 8 || !match8(k->p, &clock_time, d))
        return false;
    k->c.hour = d[0] * 10 + d[1];
    k->c.minute = d[3] * 10 + d[4];
    k->c.second = d[6] * 10 + d[7];
    k->p += 8;
    return true;
}

/* An optional fraction; digits past the ninth are dropped, and counted up to 255. */
static bool take_fraction(struct cursor *k, struct time_form *form)
{
    if (k->p == k->end || (*k->p != '.' && *k->p != ','))
        return true;
    form->frac = (uint8_t)*k->p++;
    const char *from = k->p;
    int64_t v = 0;
    while (k->p < k->end && is_digit(*k->p)) {
        if (k->p - from < 9)
            v = v * 10 + (*k->p - '0');
        k->p++;
    }
    size_t n = (size_t)(k->p - from);
    if (n == 0)
        return false;
    form->digits = (uint8_t)(n > 255 ? 255 : n);
    k->frac_ns = n < 9 ? v * pow10_table[9 - n] : v;
    return true;
}

/* "+hh:mm", "+hhmm", "+hh", the first two behind a space too. */
static bool take_offset(struct cursor *k, struct time_form *form)
{
    bool spaced = take_byte(k, ' ');
    if (k->p == k->end || (*k->p != '+' && *k->p != '-'))
        return false;
    bool negative = *k->p++ == '-';
    int hours, minutes = 0;
    char zone = 'H';
    if (!take_number(k, 2, &hours))
        return false;
    if (k->p < k->end) {
        bool colon = take_byte(k, ':');
        if (!take_number(k, 2, &minutes))
            return false;
        zone = colon ? (spaced ? 's' : ':') : (spaced ? 'S' : '+');
    } else if (spaced) {
        return false;
    }
    if (hours > 23 || minutes > 59)
        return false;
    int offset = hours * 60 + minutes;
    k->inexact |= negative && offset == 0;
    form->zone = (uint8_t)zone;
    form->offset_min = (int16_t)(negative ? -offset : offset);
    return true;
}

/* The rest of the text: nothing, or a zone. */
static bool take_zone(struct cursor *k, struct time_form *form)
{
    struct str rest = str_of(k->p, (size_t)(k->end - k->p));
    if (rest.n == 0)
        return true;
    if (rest.n == 1 && (rest.p[0] == 'Z' || rest.p[0] == 'z'))
        form->zone = (uint8_t)rest.p[0];
    else if (str_eq(rest, STR(" UTC")))
        form->zone = 'U';
    else if (str_eq(rest, STR(" GMT")))
        form->zone = 'G';
    else
        return take_offset(k, form) && k->p == k->end;
    return true;
}

/* Common end of the calendar forms. */
static bool finish(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    if (!civil_valid(&k->c))
        return false;
    k->inexact |= k->c.second == 60;
    int64_t seconds = civil_seconds(&k->c) - (int64_t)form->offset_min * 60;
    if (k->inexact)
        form->zone |= ZONE_INEXACT;
    return ns_of_seconds(seconds, k->frac_ns, ret_ns);
}

/* "2025-02-15", then "T12:00", then ":00", then fraction and zone; with '-' or '/' in the date. */
static bool parse_iso(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    uint8_t d[8];
    bool slashed = k->p[4] == '/';
    if (!(match8(k->p, slashed ? &slashed_date : &dashed_date, d)))
        return false;
    form->kind = slashed ? TIME_SLASHED : TIME_ISO;
    k->c.year = d[0] * 1000 + d[1] * 100 + d[2] * 10 + d[3];
    k->c.month = d[5] * 10 + d[6];
    k->p += 8;
    if (!take_number(k, 2, &k->c.day))
        return false;
    if (k->p == k->end) /* a date alone: its midnight */
        return finish(k, form, ret_ns);
    char sep = *k->p++;
    if (sep != 'T' && sep != ' ' && sep != 't')
        return false;
    form->sep = (uint8_t)sep;
    if (!take_clock(k)) {
        if (!take_number(k, 2, &k->c.hour) || !take_byte(k, ':') ||
            !take_number(k, 2, &k->c.minute))
            return false;
        k->inexact = true;
        return take_zone(k, form) && finish(k, form, ret_ns);
    }
    return take_fraction(k, form) && take_zone(k, form) && finish(k, form, ret_ns);
}

/* "20250215T120000Z", fractions and zones too. */
static bool parse_basic(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    int year;
    form->kind = TIME_ISO;
    k->inexact = true;
    if (!take_number(k, 4, &year) || !take_number(k, 2, &k->c.month) ||
        !take_number(k, 2, &k->c.day) || !take_byte(k, 'T') || !take_number(k, 2, &k->c.hour) ||
        !take_number(k, 2, &k->c.minute) || !take_number(k, 2, &k->c.second))
        return false;
    form->sep = 'T';
    k->c.year = year;
    return take_fraction(k, form) && take_zone(k, form) && finish(k, form, ret_ns);
}

/* "15/Feb/2025:12:00:00 +0000" */
static bool parse_apache(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    int year, month;
    form->kind = TIME_APACHE;
    if (!take_number(k, 2, &k->c.day) || !take_byte(k, '/') || !take_name(k, month_names, &month) ||
        !take_byte(k, '/') || !take_number(k, 4, &year) || !take_byte(k, ':') || !take_clock(k))
        return false;
    k->c.year = year;
    k->c.month = month + 1;
    return take_fraction(k, form) && take_zone(k, form) && finish(k, form, ret_ns);
}

/* "Sat, 15 Feb 2025 12:00:00 GMT" */
static bool parse_rfc1123(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    int year, month, weekday;
    form->kind = TIME_RFC1123;
    if (!take_name(k, day_names, &weekday) || !take_byte(k, ',') || !take_byte(k, ' '))
        return false;
    if (!take_number(k, 2, &k->c.day)) {
        k->inexact = true;
        if (!take_number(k, 1, &k->c.day))
            return false;
    }
    if (!take_byte(k, ' ') || !take_name(k, month_names, &month) || !take_byte(k, ' ') ||
        !take_number(k, 4, &year) || !take_byte(k, ' ') || !take_clock(k))
        return false;
    k->c.year = year;
    k->c.month = month + 1;
    if (!civil_valid(&k->c))
        return false;
    k->inexact |= (civil_days(year, month + 1) + k->c.day - 1 + 4 + 7 * 200000) % 7 != weekday;
    return take_zone(k, form) && finish(k, form, ret_ns);
}

/* The year that puts a date without one nearest to a time. Eight years reach a leap day from
 * anywhere. */
static bool nearest_year(struct cursor *k, int64_t near_ns)
{
    struct civil now;
    int64_t unused, near = split_ns(near_ns, &unused), best = INT64_MAX;
    civil_of_seconds(near, &now);
    struct civil c = k->c;
    for (int64_t year = now.year - 8; year <= now.year + 8; year++) {
        c.year = year;
        if (!civil_valid(&c))
            continue;
        int64_t distance = civil_seconds(&c) - near;
        if (distance < 0)
            distance = -distance;
        if (distance < best) {
            best = distance;
            k->c.year = year;
        }
    }
    return best != INT64_MAX;
}

/* "Feb 15 12:00:00", "Feb  5 12:00:00", "Feb 05 12:00:00" (the last with '0' as sep) */
static bool parse_syslog(struct cursor *k, int64_t near_ns, struct time_form *form, int64_t *ret_ns)
{
    int month;
    form->kind = TIME_SYSLOG;
    form->sep = ' ';
    if (!take_name(k, month_names, &month) || !take_byte(k, ' '))
        return false;
    if (take_byte(k, ' ')) {
        if (!take_number(k, 1, &k->c.day))
            return false;
    } else if (take_number(k, 2, &k->c.day)) {
        form->sep = k->c.day < 10 ? '0' : ' ';
    } else {
        k->inexact = true;
        if (!take_number(k, 1, &k->c.day))
            return false;
    }
    k->c.month = month + 1;
    if (!take_byte(k, ' ') || !take_clock(k) || !take_fraction(k, form) || k->p != k->end)
        return false;
    return nearest_year(k, near_ns) && finish(k, form, ret_ns);
}

/* Which unit a number of this size is written in; *ret_digits: decimals of a second in it. */
static enum time_kind epoch_kind(uint64_t whole, unsigned *ret_digits)
{
    enum time_kind kind = TIME_EPOCH_NS;
    if (whole < 100000000000ULL)
        kind = TIME_EPOCH_S;
    else if (whole < 100000000000000ULL)
        kind = TIME_EPOCH_MS;
    else if (whole < 100000000000000000ULL)
        kind = TIME_EPOCH_US;
    *ret_digits = (unsigned)(kind - TIME_EPOCH_S) * 3;
    return kind;
}

/* A number of seconds, milli-, micro- or nanoseconds from 1973 on: shorter numbers in text are no
 * times. */
static bool parse_epoch(struct cursor *k, struct time_form *form, int64_t *ret_ns)
{
    uint64_t whole = 0;
    const char *from = k->p;
    for (; k->p < k->end && is_digit(*k->p); k->p++) {
        if (k->p - from >= 19)
            return false;
        whole = whole * 10 + (uint64_t)(*k->p - '0');
    }
    unsigned unit_digits;
    if (k->p - from < 9 || *from == '0')
        return false;
    form->kind = (uint8_t)epoch_kind(whole, &unit_digits);
    if (!take_fraction(k, form) || k->p != k->end || form->frac == ',')
        return false;
    if (form->digits + unit_digits > 9)
        form->zone = ZONE_INEXACT;
    __int128 ns =
        (__int128)whole * pow10_table[9 - unit_digits] + k->frac_ns / pow10_table[unit_digits];
    if (ns > INT64_MAX)
        return false;
    *ret_ns = (int64_t)ns;
    return true;
}

bool time_parse(struct str s, int64_t near_ns, struct time_form *ret_form, int64_t *ret_ns)
{
    if (s.n < 9 || s.n > 64)
        return false;
    struct cursor k = {.p = s.p, .end = s.p + s.n, .c = {.day = 1, .month = 1}};
    struct time_form form = {0};
    int64_t ns;
    bool ok;
    if (!is_digit(s.p[0]))
        ok = s.p[3] == ',' ? parse_rfc1123(&k, &form, &ns) : parse_syslog(&k, near_ns, &form, &ns);
    else if (s.n >= 10 && (s.p[4] == '-' || s.p[4] == '/'))
        ok = parse_iso(&k, &form, &ns);
    else if (s.p[2] == '/')
        ok = parse_apache(&k, &form, &ns);
    else if (s.p[8] == 'T')
        ok = parse_basic(&k, &form, &ns);
    else
        ok = parse_epoch(&k, &form, &ns);
    if (ok) {
        *ret_form = form;
        *ret_ns = ns;
    }
    return ok;
}

/* ---- writing ---- */

static char *put_digits(char *p, int64_t v, unsigned n)
{
    uint64_t left = (uint64_t)v;
    decimal_put_before(p + n, &left, n);
    return p + n;
}

static char *put_text(char *p, const char *text, size_t n)
{
    memcpy(p, text, n);
    return p + n;
}

static char *put_clock(char *p, const struct civil *c)
{
    p = put_digits(p, c->hour, 2);
    *p++ = ':';
    p = put_digits(p, c->minute, 2);
    *p++ = ':';
    return put_digits(p, c->second, 2);
}

static char *put_fraction(char *p, const struct time_form *form, int64_t frac_ns)
{
    unsigned digits = form->digits > 9 ? 9 : form->digits;
    if (digits == 0)
        return p;
    *p++ = form->frac ? (char)form->frac : '.';
    return put_digits(p, frac_ns / pow10_table[9 - digits], digits);
}

static char *put_zone(char *p, const struct time_form *form)
{
    char zone = (char)(form->zone & ~ZONE_INEXACT);
    int offset = form->offset_min < 0 ? -form->offset_min : form->offset_min;
    switch (zone) {
    case 0:
        return p;
    case 'Z':
    case 'z':
        *p++ = zone;
        return p;
    case 'U':
        return put_text(p, " UTC", 4);
    case 'G':
        return put_text(p, " GMT", 4);
    default:
        break;
    }
    if (zone == 's' || zone == 'S')
        *p++ = ' ';
    *p++ = form->offset_min < 0 ? '-' : '+';
    p = put_digits(p, offset / 60, 2);
    if (zone == 'H')
        return p;
    if (zone == ':' || zone == 's')
        *p++ = ':';
    return put_digits(p, offset % 60, 2);
}

static char *put_date(char *p, const struct civil *c, char between)
{
    p = put_digits(p, c->year, 4);
    *p++ = between;
    p = put_digits(p, c->month, 2);
    *p++ = between;
    return put_digits(p, c->day, 2);
}

static char *put_month(char *p, const struct civil *c)
{
    return put_text(p, month_names + 3 * (c->month - 1), 3);
}

static char *put_apache(char *p, const struct civil *c)
{
    p = put_digits(p, c->day, 2);
    *p++ = '/';
    p = put_month(p, c);
    *p++ = '/';
    p = put_digits(p, c->year, 4);
    *p++ = ':';
    return put_clock(p, c);
}

static char *put_rfc1123(char *p, const struct civil *c)
{
    int64_t days = civil_days(c->year, c->month) + c->day - 1;
    p = put_text(p, day_names + 3 * ((days + 4 + 7 * 200000) % 7), 3);
    *p++ = ',';
    *p++ = ' ';
    p = put_digits(p, c->day, 2);
    *p++ = ' ';
    p = put_month(p, c);
    *p++ = ' ';
    p = put_digits(p, c->year, 4);
    *p++ = ' ';
    return put_clock(p, c);
}

static char *put_syslog(char *p, const struct time_form *form, const struct civil *c)
{
    p = put_month(p, c);
    *p++ = ' ';
    p = put_digits(p, c->day, 2);
    if (c->day < 10)
        p[-2] = form->sep == '0' ? '0' : ' ';
    *p++ = ' ';
    return put_clock(p, c);
}

/* Instants before 1970 never have this form. */
static size_t put_epoch(char *out, const struct time_form *form, int64_t ns)
{
    unsigned unit_digits = (unsigned)(form->kind - TIME_EPOCH_S) * 3;
    int64_t unit = pow10_table[9 - unit_digits];
    int64_t whole = ns / unit, rest = ns % unit * pow10_table[unit_digits];
    char digits[20], *d = digits + sizeof(digits), *p = out;
    uint64_t left = whole < 0 ? 0 - (uint64_t)whole : (uint64_t)whole;
    do {
        *--d = (char)('0' + left % 10);
        left /= 10;
    } while (left);
    if (ns < 0)
        *p++ = '-';
    p = put_text(p, d, (size_t)(digits + sizeof(digits) - d));
    p = put_fraction(p, form, rest < 0 ? -rest : rest);
    return (size_t)(p - out);
}

size_t time_format(const struct time_form *form, int64_t ns, char *out)
{
    if (form->kind >= TIME_EPOCH_S && form->kind <= TIME_EPOCH_NS)
        return put_epoch(out, form, ns);
    int64_t frac, seconds = split_ns(ns, &frac);
    struct civil c;
    char *p = out;
    civil_of_seconds(seconds + (int64_t)form->offset_min * 60, &c);
    switch (form->kind) {
    case TIME_APACHE:
        p = put_apache(p, &c);
        break;
    case TIME_RFC1123:
        p = put_rfc1123(p, &c);
        break;
    case TIME_SYSLOG:
        p = put_syslog(p, form, &c);
        break;
    default:
        p = put_date(p, &c, form->kind == TIME_SLASHED ? '/' : '-');
        if (form->sep == 0)
            return (size_t)(p - out);
        *p++ = (char)form->sep;
        p = put_clock(p, &c);
    }
    p = put_fraction(p, form, frac);
    return (size_t)(put_zone(p, form) - out);
}

size_t time_format_next(struct time_writer *w, const struct time_form *form, int64_t ns, char *out)
{
    enum { SECONDS_AT = 17 }; /* 2025-02-15 12:00:07 */
    int64_t frac, seconds = split_ns(ns, &frac);
    if (w->n && (uint64_t)(seconds - w->minute) < 60 && time_form_eq(form, &w->form)) {
        str_copy(out, str_of(w->text, w->n));
        put_fraction(put_digits(out + SECONDS_AT, seconds - w->minute, 2), form, frac);
        return w->n;
    }
    size_t n = time_format(form, ns, out);
    bool known = (form->kind == TIME_ISO || form->kind == TIME_SLASHED) && form->sep;
    w->n = known ? n : 0;
    w->form = *form;
    w->minute = seconds - ((seconds % 60) + 60) % 60;
    memcpy(w->text, out, n);
    return n;
}

bool time_form_exact(const struct time_form *form)
{
    return form->digits <= 9 && !(form->zone & ZONE_INEXACT);
}

bool time_form_eq(const struct time_form *a, const struct time_form *b)
{
    return a->kind == b->kind && a->digits == b->digits && a->sep == b->sep && a->frac == b->frac &&
           a->zone == b->zone && a->offset_min == b->offset_min;
}

static struct time_form rfc3339_form(int64_t ns)
{
    struct time_form form = {.kind = TIME_ISO, .sep = 'T', .frac = '.', .zone = 'Z'};
    if (ns % NS_PER_S)
        form.digits = ns % NS_PER_MS == 0 ? 3 : ns % 1000 == 0 ? 6 : 9;
    return form;
}

size_t time_rfc3339(int64_t ns, char *out)
{
    struct time_form form = rfc3339_form(ns);
    return time_format(&form, ns, out);
}

size_t time_rfc3339_next(struct time_writer *w, int64_t ns, char *out)
{
    struct time_form form = rfc3339_form(ns);
    return time_format_next(w, &form, ns, out);
}

/* ---- numbers ---- */

bool time_from_number(int64_t mantissa, unsigned scale, int64_t *ret_ns)
{
    if (scale > 18)
        return false;
    int64_t divisor = pow10_table[scale > 9 ? 9 : scale] * pow10_table[scale > 9 ? scale - 9 : 0];
    uint64_t size = mantissa < 0 ? 0 - (uint64_t)mantissa : (uint64_t)mantissa;
    unsigned unit_digits;
    epoch_kind(size / (uint64_t)divisor, &unit_digits);
    __int128 scaled = (__int128)mantissa * pow10_table[9 - unit_digits];
    __int128 ns = scaled / divisor;
    if (scaled % divisor < 0) /* towards the past, as everywhere */
        ns--;
    if (ns < INT64_MIN || ns > INT64_MAX)
        return false;
    *ret_ns = (int64_t)ns;
    return true;
}

bool time_from_double(double v, int64_t *ret_ns)
{
    double size = v < 0 ? -v : v;
    if (!(size < 9.2e18))
        return false;
    unsigned unit_digits;
    epoch_kind((uint64_t)size, &unit_digits);
    int64_t unit = pow10_table[9 - unit_digits], whole = (int64_t)size;
    int64_t part = (int64_t)((size - (double)whole) * (double)unit + 0.5);
    __int128 ns = (__int128)whole * unit + part;
    if (ns > INT64_MAX)
        return false;
    *ret_ns = v < 0 ? -(int64_t)ns : (int64_t)ns;
    return true;
}
