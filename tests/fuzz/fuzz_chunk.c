/* Chunks of every encoding: byte 0 is the lane, bytes 1 and 2 the number of values, the rest a
 * small chunk (no checksum stands before the decoders). Whatever the bytes are: an error or values
 * that hold together. */
#include "core/buf.h"
#include "record/bitmap.h"
#include "store/encoding.h"

#include <stdlib.h>

enum { ARENA_MAX = 64 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err times(void *ctx, const int64_t **ret)
{
    *ret = ctx;
    return OK;
}

/* What any column says in the rows of the chunk's values. */
static enum err refer(void *ctx, const struct ref_name *name, const uint32_t *pos, uint32_t n,
                      struct arena *a, struct values *ret, const uint32_t **ret_at)
{
    static const uint32_t off[] = {0, 5, 9};
    static const int64_t numbers[] = {-1, 404};
    uint32_t *at = ARENA_TRY_ARRAY(a, uint32_t, n);
    (void)ctx;
    if (!at)
        return ERR_NOMEM;
    for (uint32_t i = 0; i < n; i++)
        at[i] = (pos ? pos[i] : i) % 3 == 2 ? UINT32_MAX : (pos ? pos[i] : i) % 3;
    *ret = (struct values){.n = 2, .lane = name->lane};
    if (name->lane == LANE_INT)
        ret->i64 = numbers;
    else
        ret->off = off, ret->bytes = "req_1path";
    *ret_at = at;
    return OK;
}

static enum err refer_match(void *ctx, const struct ref_name *name, const struct predicate *p,
                            struct arena *a, uint64_t *bits)
{
    (void)ctx;
    (void)name;
    (void)p;
    (void)a;
    bitmap_set(bits, 0);
    return OK;
}

static const struct chunk_rows rows = {refer, refer_match};

static void check(bool good)
{
    if (!good)
        abort();
}

static void use_text(const struct values *v)
{
    size_t sum = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        check(v->off[i] <= v->off[i + 1]);
        struct str s = values_text(v, i);
        sum += s.n ? (uint8_t)s.p[0] + (uint8_t)s.p[s.n - 1] : 0;
    }
    check(sum < SIZE_MAX);
}

static void use_json(struct chunk *c, uint32_t from, uint32_t n, struct arena *a)
{
    struct json_texts *texts;
    struct buf out;
    if (chunk_json(c, from, n, a, &texts) != OK)
        return;
    buf_init(&out, 1 << 20);
    for (uint32_t i = 0; i < n; i++)
        texts->put(texts, &out);
    buf_release(&out);
}

static void use(struct chunk *c, struct arena *a)
{
    struct values v;
    struct predicate p;
    const uint32_t *code;
    uint32_t pos[] = {0, c->n / 2, c->n - 1};
    if (chunk_values(c, a, &v) == OK) {
        check(v.n == c->n && v.lane == c->lane);
        if (lane_is_text(v.lane))
            use_text(&v);
    }
    if (c->n > 2 && chunk_get(c, pos, 3, a, &v) == OK) {
        check(v.n == 3);
        if (lane_is_text(v.lane))
            use_text(&v);
    }
    for (uint32_t from = 0; from < c->n; from = from * 2 + 1)
        use_json(c, from, c->n - from, a);
    use_json(c, c->n / 3, 1, a);
    if (chunk_codes(c, a, &v, &code) == OK)
        for (uint32_t i = 0; i < c->n; i++)
            check(code[i] < v.n);
    if (lane_is_text(c->lane) && chunk_alike(c, a, &v, &code) == OK) {
        for (uint32_t i = 0; i < c->n; i++)
            check(code[i] < v.n);
        use_text(&v);
    }
    static const char *const words[] = {"req_1", "42", "2025-02-0"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        check(predicate_text(a, str_c(words[i]), &p) == OK);
        check(chunk_match(c, &p, a, bitmap_new(a, c->n)) <= OK);
    }
    check(predicate_equal(a, STR("host-0001"), &p) == OK);
    check(chunk_match(c, &p, a, bitmap_new(a, c->n)) <= OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    struct arena a;
    struct chunk c;
    uint32_t n = 1 + (data[1] | (uint32_t)data[2] << 8);
    arena_init(&a, ARENA_MAX, NULL);
    int64_t *time = ARENA_ARRAY(&a, int64_t, n);
    struct str bytes = str_of((const char *)data + 3, size - 3);
    if (chunk_open(bytes, CHUNK_SMALL, (enum lane)(data[0] % LANE_COUNT), n, &a, &c) == OK) {
        c.time = times;
        c.rows = &rows;
        c.time_ctx = time;
        use(&c, &a);
    }
    arena_release(&a);
    return 0;
}
