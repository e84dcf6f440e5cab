/* timestamp: the record's time from a field, in a form of its own, a zone, a unit.
 *
 * Forms are those of strptime(3), as far as logs need them:
 *   %Y %y %m %d %e %j %H %I %p %M %S %b %B %h %a %A %z
 *   %Z (letters, passed over but for UTC and GMT)
 *   %f and %L (a fraction of any length) %s (seconds since 1970, with a fraction) %T %D %F %R %n %t
 *   %%; white space stands for any white space, also none.
 * Without a form the text may have any that is known (record/timestamp.h). What the form does not
 * say: the year is the one that brings the time nearest to the arrival, the day 1, the time 0; the
 * zone is `zone`, else UTC. */
#include "core/clock.h"
#include "record/timestamp.h"
#include "record/timestamp_civil.h"
#include "record/zone.h"
#include "transform/transform_impl.h"

#include <stdlib.h>
#include <strings.h>

enum { FORMS_MAX = 16 };
struct when {
    struct str from, to; /* to: a field that gets the time as text; empty: none */
    struct str form[FORMS_MAX];
    uint32_t n_forms;
    struct zone *zone; /* NULL: UTC */
    int64_t unit_ns;   /* of numbers; 0: by their size */
};

/* ---- arguments ---- */

static enum err check_form(const struct tree *t, struct str form)
{
    for (size_t i = 0; i < form.n; i++)
        if (form.p[i] == '%' &&
            (++i == form.n || !strchr("YymdejHIpMSbBhaAZzfLsTDFRnt%", form.p[i])))
            return tree_error(t, "format: %%%c is not known", i < form.n ? form.p[i] : ' ');
    return OK;
}

static enum err read_forms(struct stage *s, const struct tree *t, struct when *w)
{
    struct str *list;
    TRY(arg_list(s, t, &list, &w->n_forms));
    if (w->n_forms > FORMS_MAX)
        return tree_error(t, "at most %d formats", FORMS_MAX);
    for (uint32_t i = 0; i < w->n_forms; i++) {
        TRY(check_form(t, list[i]));
        w->form[i] = list[i];
    }
    return OK;
}

static enum err read_zone(struct stage *s, const struct tree *args, struct when *w)
{
    struct str name;
    TRY(arg_text(s, args, "zone", "", &name));
    if (name.n && zone_new(name, &w->zone) != OK)
        return tree_error(tree_get(args, "zone"), "%s", err_text());
    return OK;
}

static enum err make_timestamp(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"from", "format", "zone", "unit", "to", NULL};
    struct when *w = ARENA_NEW(s->arena, struct when);
    s->state = w;
    if (args && args->kind == TREE_TEXT) {
        w->from = arena_str(s->arena, args->text);
        return OK;
    }
    if (!args || args->kind != TREE_MAP || !tree_get(args, "from"))
        return args ? tree_error(args, "timestamp takes %s", s->type->args)
                    : err_set(ERR_INVALID, "timestamp takes %s", s->type->args);
    const struct tree *form = tree_get(args, "format"), *unit = tree_get(args, "unit");
    TRY(tree_check_keys(args, known));
    TRY(arg_text(s, args, "from", "", &w->from));
    TRY(arg_text(s, args, "to", "", &w->to));
    if (form)
        TRY(read_forms(s, form, w));
    if (unit)
        TRY(arg_unit(unit, &w->unit_ns));
    return read_zone(s, args, w);
}

static void free_timestamp(struct stage *s)
{
    zone_free(((struct when *)s->state)->zone);
}

/* ---- reading a form ---- */

struct reading {
    struct str text;
    size_t at;
    struct civil is;
    bool has_year, has_zone, has_epoch, is_pm, has_pm, has_hour12, has_day_of_year;
    int64_t epoch, frac_ns, offset_s;
    int day_of_year;
};

static bool digits(struct reading *r, unsigned least, unsigned most, int64_t *ret)
{
    unsigned n = 0;
    int64_t v = 0;
    for (; n < most && r->at < r->text.n && r->text.p[r->at] >= '0' && r->text.p[r->at] <= '9'; n++)
        v = v * 10 + (r->text.p[r->at++] - '0');
    *ret = v;
    return n >= least;
}

static bool number(struct reading *r, unsigned most, int *ret)
{
    int64_t v;
    if (!digits(r, 1, most, &v))
        return false;
    *ret = (int)v;
    return true;
}

static bool fraction(struct reading *r)
{
    int64_t v = 0, unit = NS_PER_S / 10;
    size_t from = r->at;
    for (; r->at < r->text.n && r->text.p[r->at] >= '0' && r->text.p[r->at] <= '9'; r->at++) {
        v += (r->text.p[r->at] - '0') * unit;
        unit /= 10;
    }
    r->frac_ns = v;
    return r->at > from;
}

/* One of the names, or its first three letters; its number from 0. */
static bool name_of(struct reading *r, const char *const *names, int *ret)
{
    for (int i = 0; names[i]; i++) {
        size_t whole = strlen(names[i]), left = r->text.n - r->at;
        size_t n = left >= whole && !strncasecmp(r->text.p + r->at, names[i], whole) ? whole : 3;
        if (left >= n && !strncasecmp(r->text.p + r->at, names[i], n)) {
            r->at += n;
            *ret = i;
            return true;
        }
    }
    return false;
}

static bool month(struct reading *r)
{
    static const char *const names[] = {"January",  "February", "March",  "April",     "May",
                                        "June",     "July",     "August", "September", "October",
                                        "November", "December", NULL};
    bool good = name_of(r, names, &r->is.month);
    r->is.month++;
    return good;
}

static bool week_day(struct reading *r)
{
    static const char *const names[] = {"Monday", "Tuesday",  "Wednesday", "Thursday",
                                        "Friday", "Saturday", "Sunday",    NULL};
    int day;
    return name_of(r, names, &day);
}

static bool half_of_day(struct reading *r)
{
    static const char *const halves[] = {"am", "pm"};
    for (int i = 0; i < 2; i++)
        if (r->text.n - r->at >= 2 && !strncasecmp(r->text.p + r->at, halves[i], 2)) {
            r->has_pm = true;
            r->is_pm = i == 1;
            r->at += 2;
            return true;
        }
    return false;
}

/* Z, +hh, +hhmm, +hh:mm */
static bool offset(struct reading *r)
{
    int64_t hours, minutes = 0;
    if (r->at >= r->text.n)
        return false;
    char sign = r->text.p[r->at++];
    r->has_zone = true;
    if (sign == 'Z' || sign == 'z')
        return true;
    if ((sign != '+' && sign != '-') || !digits(r, 2, 2, &hours))
        return false;
    r->at += r->at < r->text.n && r->text.p[r->at] == ':';
    (void)digits(r, 0, 2, &minutes);
    r->offset_s = (hours * 60 + minutes) * (sign == '-' ? -60 : 60);
    return true;
}

static bool zone_letters(struct reading *r)
{
    size_t from = r->at;
    while (r->at < r->text.n &&
           ((r->text.p[r->at] | 0x20) >= 'a' && (r->text.p[r->at] | 0x20) <= 'z'))
        r->at++;
    struct str name = str_of(r->text.p + from, r->at - from);
    r->has_zone = r->has_zone || str_eq(name, STR("UTC")) || str_eq(name, STR("GMT")) ||
                  str_eq(name, STR("Z"));
    return name.n > 0;
}

static bool epoch(struct reading *r)
{
    r->has_epoch = r->has_zone = true;
    if (!digits(r, 1, 18, &r->epoch))
        return false;
    if (r->at < r->text.n && r->text.p[r->at] == '.') {
        r->at++;
        return fraction(r);
    }
    return true;
}

static bool year(struct reading *r, bool is_short)
{
    r->has_year = true;
    if (!digits(r, is_short ? 2 : 4, is_short ? 2 : 4, &r->is.year))
        return false;
    if (is_short)
        r->is.year += r->is.year < 69 ? 2000 : 1900;
    return true;
}

static bool read_form(struct reading *r, struct str form);

static bool skip_spaces(struct reading *r)
{
    while (r->at < r->text.n && strchr(" \t\n", r->text.p[r->at]) && r->text.p[r->at])
        r->at++;
    return true;
}

static bool read_place(struct reading *r, char what)
{
    switch (what) {
    case 'Y':
    case 'y':
        return year(r, what == 'y');
    case 'm':
        return number(r, 2, &r->is.month);
    case 'd':
    case 'e':
        return skip_spaces(r) && number(r, 2, &r->is.day);
    case 'j':
        return r->has_day_of_year = number(r, 3, &r->day_of_year);
    case 'H':
        return number(r, 2, &r->is.hour);
    case 'I':
        return r->has_hour12 = number(r, 2, &r->is.hour);
    case 'M':
        return number(r, 2, &r->is.minute);
    case 'S':
        return number(r, 2, &r->is.second);
    case 'p':
        return half_of_day(r);
    case 'b':
    case 'B':
    case 'h':
        return month(r);
    case 'a':
    case 'A':
        return week_day(r);
    case 'Z':
        return zone_letters(r);
    case 'z':
        return offset(r);
    case 'f':
    case 'L':
        return fraction(r);
    case 's':
        return epoch(r);
    case 'T':
        return read_form(r, STR("%H:%M:%S"));
    case 'R':
        return read_form(r, STR("%H:%M"));
    case 'D':
        return read_form(r, STR("%m/%d/%y"));
    case 'F':
        return read_form(r, STR("%Y-%m-%d"));
    case 'n':
    case 't':
        return skip_spaces(r);
    default: /* %% */
        return r->at < r->text.n && r->text.p[r->at++] == what;
    }
}

static bool read_form(struct reading *r, struct str form)
{
    for (size_t i = 0; i < form.n; i++) {
        char c = form.p[i];
        bool good;
        if (c == '%' && i + 1 < form.n)
            good = read_place(r, form.p[++i]);
        else if (c == ' ' || c == '\t')
            good = skip_spaces(r);
        else
            good = r->at < r->text.n && r->text.p[r->at++] == c;
        if (!good)
            return false;
    }
    return true;
}

/* ---- to an instant ---- */

static void set_clock(struct reading *r)
{
    if (r->has_hour12 && r->has_pm)
        r->is.hour = r->is.hour % 12 + (r->is_pm ? 12 : 0);
    if (r->has_day_of_year) {
        struct civil day;
        civil_of_seconds((civil_days(r->is.year, 1) + r->day_of_year - 1) * 86400, &day);
        r->is.month = day.month;
        r->is.day = day.day;
    }
}

static bool to_ns(const struct when *w, const struct reading *r, int64_t *ret)
{
    if (!civil_valid(&r->is))
        return false;
    int64_t seconds = civil_seconds(&r->is);
    if (r->has_zone)
        seconds -= r->offset_s;
    else if (w->zone)
        seconds = zone_utc(w->zone, seconds);
    return ns_of_seconds(seconds, r->frac_ns, ret);
}

/* The year that brings it nearest to `near_ns`. */
static bool nearest_year(const struct when *w, struct reading *r, int64_t near_ns, int64_t *ret)
{
    struct civil now;
    bool found = false;
    civil_of_seconds(near_ns / NS_PER_S, &now);
    for (int i = -1; i <= 1; i++) {
        int64_t ns;
        struct reading of = *r;
        of.is.year = now.year + i;
        set_clock(&of);
        if (!to_ns(w, &of, &ns))
            continue;
        if (!found || llabs(ns - near_ns) < llabs(*ret - near_ns))
            *ret = ns;
        found = true;
    }
    return found;
}

static bool parse_form(const struct when *w, struct str form, struct str text, int64_t near_ns,
                       int64_t *ret)
{
    struct reading r = {.text = text, .is = {.month = 1, .day = 1}};
    if (!read_form(&r, form) || r.at != text.n)
        return false;
    if (r.has_epoch)
        return ns_of_seconds(r.epoch, r.frac_ns, ret);
    if (!r.has_year)
        return nearest_year(w, &r, near_ns, ret);
    set_clock(&r);
    return to_ns(w, &r, ret);
}

/* A number of units, with a fraction or without. */
static bool parse_unit(int64_t unit_ns, struct str text, int64_t *ret)
{
    int64_t v;
    double d;
    if (str_to_i64(text, &v))
        return !__builtin_mul_overflow(v, unit_ns, ret);
    if (!str_to_f64(text, &d) || !(d * (double)unit_ns > -9.2e18 && d * (double)unit_ns < 9.2e18))
        return false;
    int64_t whole = (int64_t)d;
    *ret = whole * unit_ns + (int64_t)((d - (double)whole) * (double)unit_ns);
    return true;
}

static bool parse(const struct when *w, struct str text, int64_t near_ns, int64_t *ret)
{
    struct time_form form;
    if (w->unit_ns)
        return parse_unit(w->unit_ns, text, ret);
    for (uint32_t i = 0; i < w->n_forms; i++)
        if (parse_form(w, w->form[i], text, near_ns, ret))
            return true;
    if (w->n_forms || !time_parse(text, near_ns, &form, ret))
        return false;
    if (w->zone && !form.zone &&
        (form.kind == TIME_ISO || form.kind == TIME_SLASHED || form.kind == TIME_SYSLOG)) {
        int64_t seconds = *ret / NS_PER_S - (*ret % NS_PER_S < 0);
        return ns_of_seconds(zone_utc(w->zone, seconds), *ret - seconds * NS_PER_S, ret);
    }
    return true;
}

static enum err run_timestamp(struct stage *s, struct step *st)
{
    const struct when *w = s->state;
    struct str *text;
    const int64_t *had;
    TRY(step_texts(st, w->from, &text));
    if (!st->time) {
        TRY(rows_time(&st->rows, &had));
        st->time = ARENA_ARRAY(st->arena, int64_t, st->rows.n + 1);
        memcpy(st->time, had, st->rows.n * sizeof(*had));
    }
    for (uint32_t row = 0; row < st->rows.n; row++) {
        char out[TIME_TEXT_MAX];
        int64_t ns;
        if (!text[row].p || !parse(w, str_trim(text[row]), st->arrival_ns, &ns)) {
            st->missed++;
            continue;
        }
        st->time[row] = ns;
        if (!w->to.n)
            continue;
        batch_text(step_begin(st, row), w->to, LANE_STR, str_of(out, time_rfc3339(ns, out)));
        step_end(st, row);
    }
    return step_merge(st, false);
}

static const struct stage_type timestamp_stage = {
    "timestamp", "a field; or from, format (one or a list), zone, unit, to", make_timestamp,
    run_timestamp, free_timestamp};
const struct stage_type *const time_stages[] = {&timestamp_stage, NULL};
