/* Texts on their way in: the lines of the input are the values of a column, several times over.
 * Each must have the variables that cutting it finds, whatever it was told by, and come back to the
 * byte from the encodings of ingest and of a merge. What was learnt of texts before must not change
 * what is written. Byte 0 says how the lines follow each other. */
#include "core/buf.h"
#include "store/encoding.h"
#include "store/learnt.h"
#include "store/template.h"

#include <stdlib.h>

enum { LINES_MAX = 256, TEXTS = 400, BYTES_MAX = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good)
{
    if (!good)
        abort();
}

static enum err times(void *ctx, const int64_t **ret)
{
    *ret = ctx;
    return OK;
}

static uint32_t split(struct str s, struct str *line)
{
    uint32_t n = 0;
    while (s.n && n < LINES_MAX) {
        const char *end = memchr(s.p, '\n', s.n);
        size_t length = end ? (size_t)(end - s.p) : s.n;
        line[n++] = str_of(s.p, length);
        s = str_from(s, end ? length + 1 : length);
    }
    return n;
}

static void check_variables(const struct values *v, enum template_cut cut, struct arena *a)
{
    static struct template_var var[TEMPLATE_VARS_MAX];
    struct templates t;
    if (!templates_find(v, cut, TEMPLATE_REPEATS_QUICK, NULL, a, &t))
        return;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t n = template_vars(values_text(v, i), cut, var);
        check(t.code[i] < t.n);
        for (uint32_t k = 0; k < n; k++) {
            const struct template_var *x = &t.var[t.first[i] + k];
            check(x->from == var[k].from && x->to == var[k].to);
        }
    }
}

static void check_round_trip(const struct values *v, int64_t *time, int level, struct arena *a)
{
    struct encode_options o = {.zstd_level = level, .time = time};
    struct chunk_stats stats;
    struct chunk c;
    struct values back;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    check(chunk_encode(v, &o, a, &out, &stats) == OK);
    check(chunk_open(buf_str(&out), CHUNK_VERIFY, v->lane, v->n, a, &c) == OK);
    c.time = times;
    c.time_ctx = time;
    check(chunk_values(&c, a, &back) == OK && back.n == v->n);
    for (uint32_t i = 0; i < v->n; i++)
        check(str_eq(values_text(v, i), values_text(&back, i)));
    buf_release(&out);
}

static void check_same_slots(const struct text_template *x, const struct text_template *y)
{
    check(x->rows == y->rows && x->n_slots == y->n_slots);
    for (uint32_t s = 0; s < x->n_slots; s++) {
        check(x->slot[s] == y->slot[s]);
        const struct var_look *a = &x->look[x->slot[s]], *b = &y->look[y->slot[s]];
        check(a->numeral == b->numeral);
        check(!a->numeral || memcmp(&a->number, &b->number, sizeof(a->number)) == 0);
    }
}

/* The first third of the texts is a block behind one of the second third. */
static void check_kept(const struct values *all, struct arena *a)
{
    enum { COLUMN = 1, REPEATS = TEMPLATE_REPEATS_QUICK };
    const enum template_cut cut = TEMPLATE_JOINED;
    struct templates before, with, without;
    struct values first = *all, second = *all, *v = &first;
    first.n = second.n = all->n / 3;
    second.off += second.n;
    learnt_forget(learnt_column(COLUMN));
    (void)templates_find(&second, cut, REPEATS, learnt_column(COLUMN), a, &before);
    bool found = templates_find(v, cut, REPEATS, learnt_column(COLUMN), a, &with);
    check(templates_find(v, cut, REPEATS, NULL, a, &without) == found);
    if (!found)
        return;
    check(with.n == without.n);
    check(memcmp(with.code, without.code, v->n * sizeof(*with.code)) == 0);
    check(memcmp(with.equal, without.equal, v->n * sizeof(*with.equal)) == 0);
    for (uint32_t t = 0; t < with.n; t++) {
        const struct text_template *x = &with.t[t];
        check_same_slots(x, &without.t[t]);
        for (uint32_t s = 0; s < x->n_slots; s++)
            for (uint32_t i = 0; i < x->rows; i++)
                check(str_eq(templates_var(&with, x->row[i], x->slot[s]),
                             templates_var(&without, x->row[i], x->slot[s])));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct str line[LINES_MAX];
    static uint32_t off[TEXTS + 1];
    static int64_t time[TEXTS];
    if (size < 2)
        return 0;
    uint32_t lines = split(str_of((const char *)data + 1, size - 1), line), step = data[0] % 7 + 1;
    struct arena a;
    struct buf bytes;
    buf_init(&bytes, SIZE_MAX);
    arena_init(&a, 0, NULL);
    uint32_t n = 0, stay = data[0] >> 3;
    for (; n < TEXTS && bytes.n < BYTES_MAX; n++) {
        buf_put_str(&bytes, line[(n > stay ? n * step : n) % lines]);
        off[n + 1] = (uint32_t)bytes.n;
        time[n] = 1739620800000000000 + (int64_t)n / 5 * 1000000;
    }
    struct values v = {.n = n, .lane = LANE_STR, .off = off, .bytes = bytes.p ? bytes.p : ""};
    check_variables(&v, TEMPLATE_JOINED, &a);
    check_variables(&v, TEMPLATE_FINE, &a);
    check_round_trip(&v, time, 1, &a);
    check_round_trip(&v, time, 3, &a);
    check_kept(&v, &a);
    arena_release(&a);
    buf_release(&bytes);
    return 0;
}
