/* Fields that are of the row and not of the record: _time, _stream, _id, ingested_at. Times compare
 * as instants with ranges (bounds of the whole set of rows first: most need no time to be read),
 * everything else as the text that is shown for them. */
#include "filter/eval.h"

#include "record/bitmap.h"
#include "record/timestamp.h"

#include <stdio.h>

static char *put_hex(char *to, uint64_t v)
{
    int shift = v ? (63 - __builtin_clzll(v)) / 4 * 4 : 0;
    for (; shift >= 0; shift -= 4)
        *to++ = "0123456789abcdef"[v >> shift & 15];
    return to;
}

size_t filter_row_id(const struct origin_run *origin, char *out)
{
    char *to = put_hex(out, origin->partition);
    *to++ = '-';
    to = put_hex(to, origin->position);
    *to++ = '-';
    to = put_hex(to, origin->index);
    *to = 0;
    return (size_t)(to - out);
}

/* Lower-case hexadecimal without leading zeros, at most `digits`. */
static bool read_hex(struct str s, size_t digits, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.n == 0 || s.n > digits || (s.n > 1 && s.p[0] == '0'))
        return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        v = v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    *ret = v;
    return true;
}

static bool read_id(struct str s, uint64_t ret[3])
{
    static const size_t digits[] = {8, 16, 8};
    struct str part;
    for (int i = 0; i < 3; i++) {
        if (!str_split(&s, '-', &part) || !read_hex(part, digits[i], &ret[i]))
            return false;
    }
    return s.p == NULL;
}

static uint32_t run_rows(const struct rows *r, const struct origin_run *run, uint32_t i, uint32_t n)
{
    return (i + 1 < n ? run[i + 1].row : r->n) - run[i].row;
}

static void match_id(const struct rows *r, const struct origin_run *run, uint32_t n,
                     struct str text, uint64_t *out)
{
    uint64_t id[3];
    if (!read_id(text, id))
        return;
    for (uint32_t i = 0; i < n; i++) {
        if (run[i].partition == id[0] && run[i].position == id[1] && id[2] >= run[i].index &&
            id[2] - run[i].index < run_rows(r, run, i, n))
            bitmap_set(out, run[i].row + (uint32_t)(id[2] - run[i].index));
    }
}

static bool is_wild(const struct predicate *p)
{
    return str_find_byte(p->text, PATTERN_ANY, 0) < p->text.n ||
           str_find_byte(p->text, PATTERN_ONE, 0) < p->text.n;
}

static enum err eval_id(struct eval *e, const struct predicate *p, uint64_t *out)
{
    struct rows *r = e->rows;
    const struct origin_run *run;
    uint32_t n;
    TRY(r->ops->origin(r, &run, &n));
    if (p->kind == PRED_EQUAL || (p->kind == PRED_TEXT && !is_wild(p))) {
        match_id(r, run, n, p->text, out);
        return OK;
    }
    for (uint32_t i = 0; i < n; i++) {
        struct origin_run row = run[i];
        for (uint32_t k = run_rows(r, run, i, n); k; k--, row.row++, row.index++) {
            char text[FILTER_ID_MAX];
            bool is;
            TRY(predicate_match_text(p, LANE_STR, str_of(text, filter_row_id(&row, text)), &is));
            if (is)
                bitmap_set(out, row.row);
        }
    }
    return OK;
}

/* What a predicate says to an instant's text. */
static enum err time_text_match(const struct predicate *p, int64_t ns, bool *ret)
{
    char text[TIME_TEXT_MAX];
    return predicate_match_text(p, LANE_STR, str_of(text, time_rfc3339(ns, text)), ret);
}

static enum err instant_match(const struct predicate *p, int64_t ns, bool *ret)
{
    if (p->kind != PRED_RANGE)
        return time_text_match(p, ns, ret);
    uint64_t bit = 0;
    predicate_match_times(p, &ns, 1, &bit);
    *ret = bit;
    return OK;
}

/* All of [min, max] is in the range, or none of it. */
static bool range_decides(const struct predicate *p, int64_t min, int64_t max, bool *ret_all)
{
    const struct predicate_bound *low = &p->low, *high = &p->high;
    uint64_t ends = 0;
    predicate_match_times(p, (int64_t[]){min, max}, 2, &ends);
    bool below = low->set && (low->inclusive ? max < low->time_ns : max <= low->time_ns);
    bool above = high->set && (high->inclusive ? min > high->time_ns : min >= high->time_ns);
    *ret_all = ends == 3;
    return ends == 3 || below || above;
}

static enum err eval_time(struct eval *e, const struct predicate *p, uint64_t *out)
{
    struct rows *r = e->rows;
    const int64_t *time;
    bool all;
    if (p->kind == PRED_RANGE && range_decides(p, r->time_min, r->time_max, &all)) {
        if (all)
            bitmap_fill(out, r->n);
        return OK;
    }
    TRY(rows_time(r, &time));
    if (p->kind == PRED_RANGE) {
        predicate_match_times(p, time, r->n, out);
        return OK;
    }
    for (uint32_t i = 0; i < r->n; i++) {
        bool is;
        TRY(time_text_match(p, time[i], &is));
        if (is)
            bitmap_set(out, i);
    }
    return OK;
}

static enum err eval_arrival(struct eval *e, const struct predicate *p, uint64_t *out)
{
    struct rows *r = e->rows;
    const struct origin_run *run;
    uint32_t n;
    TRY(r->ops->origin(r, &run, &n));
    for (uint32_t i = 0; i < n; i++) {
        bool is;
        TRY(instant_match(p, run[i].arrival_ns, &is));
        for (uint32_t k = 0; is && k < run_rows(r, run, i, n); k++)
            bitmap_set(out, run[i].row + k);
    }
    return OK;
}

static enum err eval_stream(struct eval *e, const struct predicate *p, uint64_t *out)
{
    bool is;
    TRY(predicate_match_text(p, LANE_STR, e->rows->stream, &is));
    if (is)
        bitmap_fill(out, e->rows->n);
    return OK;
}

enum err eval_row_field(struct eval *e, const struct filter *leaf, uint64_t *out)
{
    if (leaf->pred.kind == PRED_EXISTS) {
        bitmap_fill(out, e->rows->n);
        return OK;
    }
    switch (leaf->field_kind) {
    case FIELD_TIME:
        return eval_time(e, &leaf->pred, out);
    case FIELD_STREAM:
        return eval_stream(e, &leaf->pred, out);
    case FIELD_ID:
        return eval_id(e, &leaf->pred, out);
    case FIELD_ARRIVAL:
        return eval_arrival(e, &leaf->pred, out);
    default:
        return OK;
    }
}

static bool id_may_match(const struct predicate *p, const struct rows *rows)
{
    uint64_t id[3];
    if (rows->position_max == 0 || (p->kind != PRED_EQUAL && p->kind != PRED_TEXT) ||
        (p->kind == PRED_TEXT && is_wild(p)))
        return true;
    return read_id(p->text, id) && id[1] >= rows->position_min && id[1] <= rows->position_max;
}

bool row_field_may_match(const struct filter *leaf, const struct rows *rows)
{
    bool all, is = true;
    if (leaf->pred.kind == PRED_EXISTS)
        return true;
    if (leaf->field_kind == FIELD_TIME && leaf->pred.kind == PRED_RANGE)
        return !range_decides(&leaf->pred, rows->time_min, rows->time_max, &all) || all;
    if (leaf->field_kind == FIELD_ID)
        return id_may_match(&leaf->pred, rows);
    if (leaf->field_kind == FIELD_STREAM)
        return predicate_match_text(&leaf->pred, LANE_STR, rows->stream, &is) != OK || is;
    return true;
}
