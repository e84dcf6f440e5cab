/* Random records for tests: made into a batch and, at the same time, into a text that says
 * everything about them; and the same text of a row read back. Keys come in every awkward form,
 * values on every lane. */
#ifndef WEIR_TESTS_RECORDS_H
#define WEIR_TESTS_RECORDS_H

#include "record/batch.h"
#include "test.h"

/* splitmix64 */
static inline uint64_t records_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15ULL;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

static inline void records_put_key(struct buf *out, struct str key)
{
    buf_printf(out, "%zu:", key.n);
    buf_put_str(out, key);
}

static inline void records_put_value(struct buf *out, const struct values *v, uint32_t i)
{
    buf_printf(out, "=%s:", lane_name(v->lane));
    if (lane_is_text(v->lane))
        records_put_key(out, values_text(v, i));
    else if (v->lane == LANE_INT)
        buf_put_i64(out, v->i64[i]);
    else if (v->lane == LANE_DEC)
        buf_printf(out, "%lld/%u", (long long)v->i64[i], v->scale[i]);
    else if (v->lane == LANE_DBL)
        buf_printf(out, "%a", v->f64[i]);
    else if (v->lane == LANE_BOOL)
        buf_printf(out, "%u", v->u8[i]);
    buf_put_c(out, ";");
}

struct records_maker {
    uint64_t seed;
    unsigned keys;   /* how many of the pool are used */
    unsigned width;  /* members of an object, at most */
    bool plain_keys; /* and no nesting */
};

static inline struct str records_key(struct records_maker *m)
{
    static const char *const pool[] = {"a",
                                       "b",
                                       "a.b",
                                       "",
                                       "\x1f",
                                       "\x1e",
                                       "x\x1e"
                                       "S",
                                       "\x1e"
                                       "N",
                                       "msg",
                                       "a\x1f"
                                       "b",
                                       "a key that is long",
                                       "N",
                                       "id",
                                       "k13",
                                       "k14",
                                       "k15"};
    unsigned i = (unsigned)(records_random(&m->seed) % m->keys);
    if (m->plain_keys || i >= 16) {
        static char made[4][24];
        static unsigned at;
        char *text = made[at++ & 3];
        return str_of(text, (size_t)snprintf(text, sizeof(made[0]), "field%u", i));
    }
    return str_c(pool[i]);
}

static inline struct str records_text(struct records_maker *m, char *to, size_t max)
{
    uint64_t r = records_random(&m->seed);
    size_t n = r % 50 == 0 ? r / 64 % max : r / 64 % 20;
    for (size_t i = 0; i < n; i++)
        to[i] = (char)(r >> (i & 31));
    return str_of(to, n);
}

static inline void records_make_leaf(struct records_maker *m, struct batch *b, struct buf *out,
                                     struct str key)
{
    char text[700];
    uint64_t r = records_random(&m->seed);
    uint32_t off[2] = {0};
    int64_t i64 = (int64_t)records_random(&m->seed) >> (r >> 8 & 63);
    uint8_t scale = (uint8_t)(1 + (r >> 16) % 3), u8 = r >> 20 & 1;
    double f64 = (double)i64 / 3;
    struct values v = {.n = 1,
                       .lane = (enum lane)(r % LANE_COUNT),
                       .off = off,
                       .bytes = text,
                       .i64 = &i64,
                       .scale = &scale,
                       .f64 = &f64,
                       .u8 = &u8};
    records_put_key(out, key);
    if (lane_is_text(v.lane)) {
        struct str s = records_text(m, text, sizeof(text));
        off[1] = (uint32_t)s.n;
        batch_text(b, key, v.lane, s);
    } else if (v.lane == LANE_INT) {
        batch_int(b, key, i64);
    } else if (v.lane == LANE_DEC) {
        batch_dec(b, key, i64, scale);
    } else if (v.lane == LANE_DBL) {
        batch_dbl(b, key, f64);
    } else if (v.lane == LANE_BOOL) {
        batch_bool(b, key, u8);
    } else {
        batch_empty(b, key, v.lane);
    }
    records_put_value(out, &v, 0);
}

/* Members of an object, at least `min`. */
static inline void records_make_members(struct records_maker *m, struct batch *b, struct buf *out,
                                        unsigned depth, unsigned min)
{
    unsigned n = min + (unsigned)(records_random(&m->seed) % m->width);
    for (unsigned i = 0; i < n; i++) {
        struct str key = records_key(m);
        if (depth < 5 && !m->plain_keys && records_random(&m->seed) % 6 == 0) {
            records_put_key(out, key);
            buf_put_c(out, "{");
            batch_open(b, key);
            records_make_members(m, b, out, depth + 1, 1);
            batch_close(b);
            buf_put_c(out, "}");
        } else {
            records_make_leaf(m, b, out, key);
        }
    }
}

/* Between batch_begin and batch_end. */
static inline void records_make(struct records_maker *m, struct batch *b, struct buf *out)
{
    records_make_members(m, b, out, 0, 0);
}

static inline void records_put_row(struct rows *r, uint32_t row, struct buf *out)
{
    const uint16_t *shape_of;
    assert_ok(rows_shape_of(r, &shape_of));
    assert_true(shape_of[row] < r->n_shapes);
    const struct shape *s = &r->shapes[shape_of[row]];
    struct buf key;
    buf_init(&key, SIZE_MAX);
    unsigned depth = 0;
    for (uint32_t t = 0; t < s->n; t++) {
        uint32_t next = t;
        if (s->token[t] == SHAPE_CLOSE) {
            buf_put_c(out, "}");
            depth--;
            continue;
        }
        while (s->token[next] == SHAPE_OPEN)
            next++;
        const struct column *c = &r->columns[s->token[next]];
        buf_clear(&key);
        path_key(path_segment(c->path, depth), &key);
        if (c->path.n)
            records_put_key(out, buf_str(&key));
        if (s->token[t] == SHAPE_OPEN) {
            buf_put_c(out, "{");
            depth++;
            continue;
        }
        struct presence p;
        struct values v;
        assert_ok(rows_presence(r, s->token[t], &p));
        assert_true(presence_has(&p, row));
        uint32_t at = presence_rank(&p, row);
        assert_true(at < c->n);
        assert_ok(c->ops->get(c, &at, 1, r->arena, &v)); /* every value, for each row, is much */
        assert_int_equal(v.n, 1);
        records_put_value(out, &v, 0);
    }
    buf_release(&key);
}

#endif
