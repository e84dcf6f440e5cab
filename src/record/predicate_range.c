/* Bounds on values. A bound that is a number becomes, for lanes of integers and decimals, a bound
 * on mantissas (floor and ceiling of the exact number times the scale's power of ten), so that the
 * loops compare integers and nothing is rounded. Doubles: a double's value is its shortest text;
 * rounding is monotonous, so every double but the one nearest to the bound is decided by comparing
 * doubles, and the nearest was decided when the predicate was made (takes_nearest). */
#include "record/bitmap.h"
#include "record/json.h"
#include "record/predicate_impl.h"
#include "record/timestamp.h"

#include "core/mem.h"

static bool in_order(const struct predicate_bound *b, int cmp, bool is_low)
{
    return cmp == 0 ? b->inclusive : is_low ? cmp > 0 : cmp < 0;
}

static int cmp_i64(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

/* What is known about one text, found out when a bound first asks. */
struct reading {
    struct str s;
    char *room;
    bool asked_number, is_number;
    struct number number;
};

static bool bound_holds(const struct predicate_bound *b, struct reading *r, bool is_low,
                        bool is_number_lane)
{
    if (!b->set)
        return true;
    if (b->is_number) {
        if (!r->asked_number)
            r->is_number = number_read(r->s, r->room, &r->number);
        r->asked_number = true;
        return r->is_number && in_order(b, number_cmp(&r->number, &b->number), is_low);
    }
    if (b->is_time) {
        struct time_form form;
        int64_t ns;
        return time_parse(r->s, b->time_ns, &form, &ns) &&
               in_order(b, cmp_i64(ns, b->time_ns), is_low);
    }
    return !is_number_lane && in_order(b, str_cmp(r->s, b->text), is_low);
}

static bool both_hold(const struct predicate *p, struct str s, bool is_number_lane)
{
    char small[256];
    char *room = s.n <= sizeof(small) ? small : NULL;
    bool wants_number = (p->low.set && p->low.is_number) || (p->high.set && p->high.is_number);
    if (!room && wants_number)
        room = mem_alloc(s.n);
    struct reading r = {.s = s, .room = room};
    bool holds = bound_holds(&p->low, &r, true, is_number_lane) &&
                 bound_holds(&p->high, &r, false, is_number_lane);
    if (room && room != small)
        mem_free(room);
    return holds;
}

bool range_number_text(const struct predicate *p, struct str s)
{
    return both_hold(p, s, true);
}

bool range_text(const struct predicate *p, struct str s)
{
    return both_hold(p, s, false);
}

static int64_t clip(__int128 v)
{
    return v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
}

bool range_mantissas(const struct predicate *p, unsigned scale, int64_t *ret_min, int64_t *ret_max)
{
    __int128 min = INT64_MIN, max = INT64_MAX;
    bool exact;
    if ((p->low.set && !p->low.is_number) || (p->high.set && !p->high.is_number))
        return false;
    if (p->low.set) {
        min = number_floor(&p->low.number, scale, &exact);
        min += !exact || !p->low.inclusive;
    }
    if (p->high.set) {
        max = number_floor(&p->high.number, scale, &exact);
        max -= exact && !p->high.inclusive;
    }
    if (min > max || min > INT64_MAX || max < INT64_MIN)
        return false;
    *ret_min = clip(min);
    *ret_max = clip(max);
    return true;
}

static bool has_time_bound(const struct predicate *p)
{
    return (p->low.set && p->low.is_time) || (p->high.set && p->high.is_time);
}

static bool time_bound_holds(const struct predicate_bound *b, int64_t ns, bool is_low)
{
    return !b->set || (b->is_time && in_order(b, cmp_i64(ns, b->time_ns), is_low));
}

static bool instant_holds(const struct predicate *p, int64_t ns)
{
    return time_bound_holds(&p->low, ns, true) && time_bound_holds(&p->high, ns, false);
}

void predicate_match_times(const struct predicate *p, const int64_t *ns, uint32_t n, uint64_t *bits)
{
    for (uint32_t i = 0; i < n; i++) {
        if (instant_holds(p, ns[i]))
            bitmap_set(bits, i);
    }
}

static void match_epochs(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    for (uint32_t i = 0; i < v->n; i++) {
        int64_t ns;
        bool is = v->lane == LANE_DBL
                      ? time_from_double(v->f64[i], &ns)
                      : time_from_number(v->i64[i], v->lane == LANE_DEC ? v->scale[i] : 0, &ns);
        if (is && instant_holds(p, ns))
            bitmap_set(bits, i);
    }
}

void range_match_ints(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    int64_t min, max;
    if (has_time_bound(p)) {
        match_epochs(p, v, bits);
        return;
    }
    if (!range_mantissas(p, 0, &min, &max))
        return;
    uint64_t width = (uint64_t)max - (uint64_t)min;
    for (uint32_t from = 0; from < v->n; from += 64) {
        uint32_t n = v->n - from < 64 ? v->n - from : 64;
        uint64_t word = 0;
        for (uint32_t i = 0; i < n; i++)
            word |= (uint64_t)((uint64_t)v->i64[from + i] - (uint64_t)min <= width) << i;
        bits[from / 64] |= word;
    }
}

void range_match_decimals(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    struct {
        bool known, some;
        int64_t min, max;
    } of_scale[19] = {0};
    if (has_time_bound(p)) {
        match_epochs(p, v, bits);
        return;
    }
    for (uint32_t i = 0; i < v->n; i++) {
        uint8_t k = v->scale[i];
        CHECK(k <= 18);
        if (!of_scale[k].known) {
            of_scale[k].known = true;
            of_scale[k].some = range_mantissas(p, k, &of_scale[k].min, &of_scale[k].max);
        }
        if (of_scale[k].some && v->i64[i] >= of_scale[k].min && v->i64[i] <= of_scale[k].max)
            bitmap_set(bits, i);
    }
}

void range_match_doubles(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    const struct predicate_bound *low = &p->low, *high = &p->high;
    if (has_time_bound(p)) {
        match_epochs(p, v, bits);
        return;
    }
    if ((low->set && !low->is_number) || (high->set && !high->is_number))
        return;
    for (uint32_t i = 0; i < v->n; i++) {
        double d = v->f64[i];
        bool in =
            (!low->set || d > low->number.f64 || (d == low->number.f64 && low->takes_nearest)) &&
            (!high->set || d < high->number.f64 || (d == high->number.f64 && high->takes_nearest));
        if (in)
            bitmap_set(bits, i);
    }
}

bool predicate_may_match_decimals(const struct predicate *p, int64_t min, int64_t max,
                                  unsigned scale)
{
    int64_t low, high;
    bool by_number =
        p->kind == PRED_RANGE || p->kind == PRED_EQUAL || (p->kind == PRED_TEXT && p->is_number);
    if (p->kind == PRED_TEXT && !p->is_number && !predicate_is_wild(p))
        return false;
    if (p->kind == PRED_EQUAL && !p->is_number)
        return false;
    if (!by_number || has_time_bound(p))
        return true;
    return range_mantissas(p, scale, &low, &high) && low <= max && high >= min;
}

bool predicate_may_match_ints(const struct predicate *p, int64_t min, int64_t max)
{
    return predicate_may_match_decimals(p, min, max, 0);
}

/* Whether the double nearest to a bound, read as its shortest text, is within it. */
static bool takes_nearest(struct predicate_bound *b, bool is_low)
{
    char text[40], room[40];
    struct number nearest;
    if (b->number.f64 - b->number.f64 != 0) /* infinite: no value is */
        return false;
    size_t n = json_double_text(b->number.f64, text);
    CHECK(number_read(str_of(text, n), room, &nearest));
    return in_order(b, number_cmp(&nearest, &b->number), is_low);
}

void range_bound_number(struct predicate_bound *b, bool is_low)
{
    b->is_number = true;
    b->takes_nearest = takes_nearest(b, is_low);
}

bool predicate_bound_time(struct str text, bool inclusive, bool is_low, int64_t now_ns,
                          struct predicate_bound *ret)
{
    int64_t ns, end;
    if (!time_parse_query(text, now_ns, &ns, &end))
        return false;
    bool last = is_low != inclusive; /* of what the text covers */
    *ret = (struct predicate_bound){.set = true,
                                    .inclusive = inclusive,
                                    .text = text,
                                    .is_time = true,
                                    .time_ns = last && end > ns ? end - 1 : ns};
    return true;
}

void predicate_bound_init(struct arena *a, struct str text, bool inclusive, bool is_low,
                          int64_t now_ns, struct predicate_bound *ret)
{
    struct predicate_bound b = {.set = true, .inclusive = inclusive, .text = arena_str(a, text)};
    if (number_parse(b.text, a, &b.number))
        range_bound_number(&b, is_low);
    else if (predicate_bound_time(b.text, inclusive, is_low, now_ns, &b))
        b.is_time = true;
    *ret = b;
}
