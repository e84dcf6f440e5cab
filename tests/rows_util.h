/* For tests over rows: random records of every lane, and rows as text, one line a row, that says
 * everything there is to say about it. */
#ifndef WEIR_TESTS_ROWS_UTIL_H
#define WEIR_TESTS_ROWS_UTIL_H

#include "record/batch.h"
#include "record/bitmap.h"
#include "record/frame.h"
#include "record/timestamp.h"
#include "test.h"

static uint64_t rnd_state = 88172645463325252ULL;
static inline uint64_t rnd(void)
{
    rnd_state ^= rnd_state << 13;
    rnd_state ^= rnd_state >> 7;
    return rnd_state ^= rnd_state << 17;
}
static inline uint32_t rnd_below(uint32_t n)
{
    return (uint32_t)(rnd() >> 33) % n;
}

static inline void add_text(struct batch *b, const char *key, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static inline void add_text(struct batch *b, const char *key, const char *fmt, ...)
{
    char s[512];
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(s, sizeof(s), fmt, ap);
    va_end(ap);
    batch_text(b, str_c(key), LANE_STR, str_of(s, (size_t)n));
}

static inline void add_words(struct batch *b)
{
    static const char *const word[] = {"payment", "Failed",   "timeout",  "after",
                                       "ms",      "user",     "GET /api", "naïve",
                                       "слово",   "10.0.0.1", "\xff\xfe", "日本"};
    char s[512];
    size_t n = 0;
    for (uint32_t k = rnd_below(9); k-- > 0;)
        n += (size_t)snprintf(s + n, sizeof(s) - n, "%s %u ", word[rnd_below(12)], rnd_below(5000));
    batch_text(b, STR("message"), LANE_STR, str_of(s, n));
}

static inline void add_numbers(struct batch *b)
{
    batch_int(b, STR("latency_ms"), rnd_below(10) ? rnd_below(400) : (int64_t)rnd());
    batch_int(b, STR("count"), (int64_t)batch_rows(b) / 50);
    batch_dec(b, STR("price"), (int64_t)rnd_below(100000) - 50000, 2);
    batch_dec(b, STR("ratio"), (int64_t)(rnd() >> 20), (uint8_t)(1 + rnd_below(18)));
    union {
        uint64_t u;
        double d;
    } x = {.u = rnd() & ~((uint64_t)1 << 62)};
    batch_dbl(b, STR("load"), x.d);
    batch_dbl(b, STR("big"), (double)(rnd() >> 20) * 1024);
    batch_text(b, STR("huge"), LANE_NUM,
               rnd() & 1 ? STR("123456789012345678901234567890") : STR("1e400"));
    batch_bool(b, STR("ok"), rnd_below(5));
}

static inline void add_nested(struct batch *b)
{
    batch_open(b, STR("metadata"));
    add_text(b, "request_id", "req_%016llx", (unsigned long long)rnd());
    add_text(b, "user_id", "u_%u", rnd_below(100000));
    batch_open(b, STR("in.ner"));
    add_text(b, "uuid", "%08X-%04X-4%03X", (unsigned)rnd(), (unsigned)rnd() & 0xffff,
             (unsigned)rnd() & 0xfff);
    batch_empty(b, STR("none"), LANE_NULL);
    batch_close(b);
    batch_empty(b, STR("empty"), LANE_OBJ);
    batch_close(b);
}

/* One record; `full` has every lane in it, else some are missing at random. */
static inline void add_record(struct batch *b, int64_t ns, bool full)
{
    char time[TIME_TEXT_MAX];
    batch_begin(b);
    if (full || rnd_below(10))
        batch_text(b, STR("timestamp"), LANE_STR, str_of(time, time_rfc3339(ns, time)));
    add_text(b, "host", "host-%04u", rnd_below(300));
    add_text(b, "level", "%s", rnd_below(3) ? "INFO" : "ERROR");
    batch_text(b, STR("const"), LANE_STR, STR("always the same"));
    if (full || rnd_below(2))
        add_words(b);
    if (full || rnd_below(2))
        add_numbers(b);
    if (full || rnd_below(3))
        add_nested(b);
    batch_text(b, STR("tags"), LANE_ARR, rnd() & 1 ? STR("[\"a\",1]") : STR("[]"));
    if (rnd_below(200) == 0) {
        batch_text(b, STR("rare"), LANE_STR, STR("seldom seen"));
        batch_int(b, STR("level"), 7); /* a second lane, and a second occurrence */
        add_text(b, "level", "again");
    }
    batch_text(b, STR("blank"), LANE_STR, STR(""));
    batch_end(b, ns + (int64_t)rnd_below(1000000), STR("{}"));
}

/* `frames` frames of a few records each, from different senders, so that their times interleave;
 * appended to `to` as the memtable does. */
static inline void add_frames(struct batch *to, uint32_t frames, uint32_t each, bool full)
{
    struct batch *b = batch_new();
    struct arena a;
    arena_init(&a, 0, NULL);
    for (uint32_t f = 0; f < frames; f++) {
        batch_clear(b);
        int64_t ns = 1739620800000000000LL + (int64_t)f * 50000000;
        for (uint32_t i = 0; i < each; i++) {
            ns += rnd_below(3) ? (int64_t)rnd_below(5) * 1000000 : 0;
            add_record(b, rnd_below(40) ? ns : ns - 700000000, full);
        }
        struct frame_info info = {
            .org = STR("default"), .stream = STR("s"), .arrival_ns = ns, .parts = 1};
        struct buf bytes;
        struct rows rows;
        buf_init(&bytes, SIZE_MAX);
        assert_ok(frame_encode(b, &info, &bytes));
        assert_ok(frame_open(buf_str(&bytes), 1000 + f * 7, f % 3 == 2, &a, &info, &rows));
        assert_ok(batch_append_rows(to, &rows, NULL, rows.n));
        arena_reset(&a);
        buf_release(&bytes);
    }
    arena_release(&a);
    batch_free(b);
}

static inline void dump_value(const struct values *v, uint32_t i, struct buf *out)
{
    if (lane_is_text(v->lane)) {
        struct str s = values_text(v, i);
        buf_printf(out, "%zu:", s.n);
        buf_put_str(out, s);
    } else if (v->lane == LANE_INT) {
        buf_put_i64(out, v->i64[i]);
    } else if (v->lane == LANE_DEC) {
        buf_printf(out, "%llde-%u", (long long)v->i64[i], v->scale[i]);
    } else if (v->lane == LANE_DBL) {
        uint64_t bits;
        memcpy(&bits, &v->f64[i], 8);
        buf_printf(out, "%016llx", (unsigned long long)bits);
    } else if (v->lane == LANE_BOOL) {
        buf_printf(out, "%u", v->u8[i]);
    }
}

struct dumped {
    struct str line;
    int64_t time;
    struct origin_run origin;
};

/* All rows as lines in the arena. */
static inline struct dumped *dump_rows(struct rows *r, struct arena *a)
{
    struct values *v = ARENA_ARRAY(a, struct values, r->n_columns + 1);
    const int64_t *time;
    const uint16_t *shape_of;
    const uint8_t *flags;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    for (uint32_t c = 0; c < r->n_columns; c++) {
        assert_ok(r->columns[c].ops->values(&r->columns[c], a, &v[c]));
        assert_int_equal(v[c].n, r->columns[c].n);
        assert_int_equal(v[c].lane, r->columns[c].lane);
    }
    assert_ok(rows_time(r, &time));
    assert_ok(rows_shape_of(r, &shape_of));
    assert_ok(rows_flags(r, &flags));
    struct dumped *d = ARENA_ARRAY(a, struct dumped, r->n + 1);
    for (uint32_t i = 0; i < r->n; i++) {
        buf_clear(&b);
        buf_printf(&b, "%u ", flags ? flags[i] : 0);
        const struct shape *s = &r->shapes[shape_of[i]];
        for (uint32_t t = 0; t < s->n; t++) {
            uint32_t c = s->token[t];
            if (c >= SHAPE_OPEN) {
                buf_put_c(&b, c == SHAPE_OPEN ? "{ " : "} ");
                continue;
            }
            struct presence p;
            assert_ok(rows_presence(r, c, &p));
            assert_true(presence_has(&p, i));
            buf_put_str(&b, r->columns[c].path);
            buf_printf(&b, "#%u/%u=", r->columns[c].occ, r->columns[c].lane);
            dump_value(&v[c], presence_rank(&p, i), &b);
            buf_put_c(&b, " ");
        }
        d[i].line = arena_str(a, buf_str(&b));
        d[i].time = time[i];
        assert_ok(rows_origin(r, i, &d[i].origin));
        d[i].origin.row = 0;
    }
    buf_release(&b);
    return d;
}

static inline int dumped_cmp(const void *a, const void *b)
{
    const struct dumped *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    if (x->origin.partition != y->origin.partition)
        return x->origin.partition < y->origin.partition ? -1 : 1;
    if (x->origin.position != y->origin.position)
        return x->origin.position < y->origin.position ? -1 : 1;
    return x->origin.index < y->origin.index ? -1 : x->origin.index > y->origin.index;
}

/* Rows in an order of their own against `want`, which this sorts. */
static inline void assert_same_rows(struct dumped *want, struct rows *got, uint32_t n,
                                    struct arena *a)
{
    qsort(want, n, sizeof(*want), dumped_cmp);
    assert_int_equal(got->n, n);
    struct dumped *d = dump_rows(got, a);
    for (uint32_t i = 0; i < n; i++) {
        if (!str_eq(d[i].line, want[i].line))
            fail_msg("row %u:\n%.*s\nwanted\n%.*s", i, STR_ARG(d[i].line), STR_ARG(want[i].line));
        assert_int_equal(d[i].time, want[i].time);
        assert_int_equal(dumped_cmp(&d[i], &want[i]), 0);
        assert_int_equal(d[i].origin.arrival_ns, want[i].origin.arrival_ns);
    }
}

#endif
