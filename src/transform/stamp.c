/* stamp: the record's time as a field, for peers that read their own name of it in their own unit.
 * `arrival` makes it first the time at which the record came: for records whose own times are old,
 * or another clock's. */
#include "core/clock.h"
#include "record/timestamp.h"
#include "transform/transform_impl.h"

struct stamp {
    struct str to;
    int64_t unit_ns; /* 0: RFC 3339 */
    bool arrival;
};

static enum err make_stamp(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"to", "unit", "arrival", NULL};
    struct stamp *w = ARENA_NEW(s->arena, struct stamp);
    s->state = w;
    if (args && args->kind == TREE_TEXT) {
        w->to = arena_str(s->arena, args->text);
        return OK;
    }
    if (!args || args->kind != TREE_MAP || !tree_get(args, "to"))
        return args ? tree_error(args, "stamp takes %s", s->type->args)
                    : err_set(ERR_INVALID, "stamp takes %s", s->type->args);
    const struct tree *unit = tree_get(args, "unit"), *arrival = tree_get(args, "arrival");
    TRY(tree_check_keys(args, known));
    TRY(arg_text(s, args, "to", "", &w->to));
    w->arrival = arrival && arrival->kind == TREE_TEXT && str_eq_c(arrival->text, "true");
    if (arrival && !w->arrival)
        return tree_error(arrival, "arrival: true is wanted, or nothing");
    return unit ? arg_unit(unit, &w->unit_ns) : OK;
}

static enum err set_times(struct step *st, bool arrival)
{
    const int64_t *had;
    if (!st->time) {
        TRY(rows_time(&st->rows, &had));
        st->time = ARENA_ARRAY(st->arena, int64_t, st->rows.n + 1);
        memcpy(st->time, had, st->rows.n * sizeof(*had));
    }
    for (uint32_t row = 0; arrival && row < st->rows.n; row++)
        st->time[row] = st->arrival_ns;
    return OK;
}

static enum err run_stamp(struct stage *s, struct step *st)
{
    const struct stamp *w = s->state;
    TRY(set_times(st, w->arrival));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct batch *b = step_begin(st, row);
        int64_t ns = st->time[row];
        char text[TIME_TEXT_MAX];
        if (w->unit_ns)
            batch_int(b, w->to, ns / w->unit_ns - (ns % w->unit_ns < 0));
        else
            batch_text(b, w->to, LANE_STR, str_of(text, time_rfc3339(ns, text)));
        step_end(st, row);
    }
    return step_merge(st, false);
}

static const struct stage_type stamp_stage = {
    "stamp", "a field; or to, unit (s, ms, us, ns), arrival", make_stamp, run_stamp, NULL};
const struct stage_type *const stamp_stages[] = {&stamp_stage, NULL};
