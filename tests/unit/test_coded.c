/* Columns whose repeated texts stand once in a frame: they are what was put in, whoever looks. */
#include "block_kit.h"
#include "core/mem.h"
#include "record/coded.h"
#include "record/frame.h"
#include "record/predicate.h"
#include "records.h"

#define ARRIVAL 1739620800000000000LL
enum { ROWS = 1800, FRAMES = 3, VERSION_AT = 3 };

/* Lines of a few hundred kinds in sequences that come again, with some that are new. */
struct lines {
    uint64_t seed;
    unsigned kinds, at, left, number;
    bool fresh; /* every line is another */
};

static void next_line(struct lines *l, struct buf *out)
{
    buf_clear(out);
    if (!l->left) {
        l->left = 1 + (unsigned)(records_random(&l->seed) % 9);
        l->at = (unsigned)(records_random(&l->seed) % l->kinds);
    }
    l->left--;
    unsigned kind = l->at++ % l->kinds;
    if (l->fresh || records_random(&l->seed) % (l->kinds < 100 ? 40 : 7) == 0)
        buf_printf(out, "a line that is new: number %u of it", l->number++);
    else if (kind % 50 == 0)
        buf_printf(out, "%.*s", (int)(kind % 3), "ab");
    else
        buf_printf(out, "kind %u of the lines%*s", kind, (int)(kind % 11 ? kind % 40 : 700), "!");
}

/* Some rows without the text; others have a second one, which is the same in all. */
static void fill(struct batch *b, struct lines *l, struct buf *text, unsigned rows, bool backwards)
{
    struct buf line;
    buf_init(&line, SIZE_MAX);
    for (unsigned i = 0; i < rows; i++) {
        next_line(l, &line);
        batch_begin(b);
        if (i % 5 != 3)
            batch_text(b, STR("message"), LANE_STR, buf_str(&line));
        if (i % 3 != 1)
            batch_text(b, STR("unit"), LANE_STR, STR("the-same-of-all.service"));
        batch_int(b, STR("n"), i);
        batch_end(b, ARRIVAL - (backwards ? (int64_t)i * 1000 : 0), STR("{}"));
    }
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_view(b, &a, &r);
    for (unsigned i = 0; i < rows; i++)
        records_put_row(&r, i, &text[i]);
    arena_release(&a);
    buf_release(&line);
}

struct frames {
    struct buf bytes[FRAMES], *text;
    struct rows rows[FRAMES];
    struct arena a;
};

static void frames_init(struct frames *f, unsigned kinds, unsigned fresh_every)
{
    struct frame_info info = {.org = STR("default"), .stream = STR("s"), .arrival_ns = ARRIVAL};
    struct lines l = {.seed = kinds, .kinds = kinds};
    *f = (struct frames){.text = NEW_ARRAY(struct buf, FRAMES * ROWS)};
    arena_init(&f->a, 0, NULL);
    for (unsigned i = 0; i < FRAMES * ROWS; i++)
        buf_init(&f->text[i], SIZE_MAX);
    for (unsigned i = 0; i < FRAMES; i++) {
        struct batch *b = batch_new();
        l.fresh = fresh_every && i % fresh_every == 1;
        fill(b, &l, f->text + (size_t)i * ROWS, ROWS, i == 2);
        buf_init(&f->bytes[i], SIZE_MAX);
        assert_ok(frame_encode(b, &info, &f->bytes[i]));
        assert_true(f->bytes[i].n <= batch_bytes(b));
        assert_ok(frame_open(buf_str(&f->bytes[i]), 1 + i, 0, &f->a, &info, &f->rows[i]));
        batch_free(b);
    }
}

static void frames_release(struct frames *f)
{
    for (unsigned i = 0; i < FRAMES * ROWS; i++)
        buf_release(&f->text[i]);
    for (unsigned i = 0; i < FRAMES; i++)
        buf_release(&f->bytes[i]);
    mem_free(f->text);
    arena_release(&f->a);
}

static void rows_are(struct rows *r, const struct buf *text)
{
    struct buf got;
    buf_init(&got, SIZE_MAX);
    for (uint32_t i = 0; i < r->n; i++) {
        buf_clear(&got);
        records_put_row(r, i, &got);
        assert_true(str_eq(buf_str(&got), buf_str(&text[i])));
    }
    buf_release(&got);
}

static void test_frames_hold_repeats_once(void **state)
{
    static const unsigned kinds[] = {20, 200, 400};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
        struct frames f;
        frames_init(&f, kinds[k], 0);
        for (unsigned i = 0; i < FRAMES; i++) {
            const struct column *c = &f.rows[i].columns[rows_find(&f.rows[i], STR("message"), 0)];
            const struct coded_values *coded = c->impl;
            assert_int_equal(f.bytes[i].p[VERSION_AT], 2);
            assert_true(c->ops == &coded_column_ops);
            assert_true(coded->v.n <= coded->n / 2);
            assert_int_equal(coded->width, coded->v.n > 256 ? 2 : 1);
            rows_are(&f.rows[i], f.text + (size_t)i * ROWS);
        }
        frames_release(&f);
    }
}

static void test_frames_of_new_lines_are_as_before(void **state)
{
    struct batch *b = batch_new();
    struct lines l = {.kinds = 10, .fresh = true};
    struct frame_info info = {.arrival_ns = ARRIVAL};
    struct buf out, line;
    buf_init(&out, SIZE_MAX);
    buf_init(&line, SIZE_MAX);
    for (unsigned i = 0; i < ROWS; i++) {
        next_line(&l, &line);
        batch_begin(b);
        batch_text(b, STR("message"), LANE_STR, buf_str(&line));
        batch_end(b, ARRIVAL, STR("{}"));
    }
    assert_ok(frame_encode(b, &info, &out));
    assert_int_equal(out.p[VERSION_AT], 1);
    buf_release(&out);
    buf_release(&line);
    batch_free(b);
}

static void same_values(const struct values *got, const struct values *want)
{
    assert_int_equal(got->n, want->n);
    for (uint32_t i = 0; i < got->n; i++)
        assert_true(str_eq(values_text(got, i), values_text(want, i)));
}

/* What is said to be the same is. */
static void same_is_true(const struct values *v)
{
    for (uint32_t i = 0; v->same && i < v->n; i++) {
        uint32_t at = v->same[i];
        assert_true(at <= i && v->same[at] == at);
        assert_true(str_eq(values_text(v, i), values_text(v, at)));
    }
}

static void column_agrees(const struct column *c, const struct column *plain, struct arena *a)
{
    struct values want, got;
    uint64_t seed = c->n;
    uint32_t *pos = ARENA_ARRAY(a, uint32_t, c->n);
    assert_ok(plain->ops->values(plain, a, &want));
    assert_ok(c->ops->values(c, a, &got));
    same_values(&got, &want);
    for (uint32_t i = 0; i < c->n; i++)
        pos[i] = i;
    for (uint32_t i = c->n - 1; i > 0; i--) {
        uint32_t k = (uint32_t)(records_random(&seed) % i), was = pos[i];
        pos[i] = pos[k];
        pos[k] = was;
    }
    struct values picked;
    assert_ok(values_gather(&want, pos, c->n, a, &picked));
    assert_ok(c->ops->pick(c, pos, c->n, a, &got));
    same_values(&got, &picked);
    if (!c->ops->texts)
        return;
    assert_ok(c->ops->texts(c, NULL, a, &got));
    same_values(&got, &want);
    same_is_true(&got);
    assert_int_equal(values_bytes(&got), values_bytes(&want));
    assert_ok(c->ops->texts(c, pos, a, &got));
    same_values(&got, &picked);
    same_is_true(&got);
}

static void matches_agree(const struct column *c, const struct column *plain, struct arena *a)
{
    static const char *const words[] = {"kind 17 of", "new: number 3", "same-of", "zzz", ""};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        struct predicate p;
        uint64_t *x = bitmap_new(a, c->n), *y = bitmap_new(a, c->n);
        assert_ok(predicate_regex(a, str_c(words[i]), &p));
        assert_true(c->ops->may_match(c, &p));
        assert_ok(c->ops->match(c, &p, a, x));
        assert_ok(plain->ops->match(plain, &p, a, y));
        assert_memory_equal(x, y, bitmap_words(c->n) * sizeof(*x));
    }
}

/* Blocks of them hold the rows, in order of time. */
static void block_agrees(struct rows *held, struct rows *copied, struct arena *a)
{
    struct rows out;
    struct dumped *want = dump_rows(copied, a);
    struct block *block = encode(held);
    assert_ok(block_rows_open(block, STR("s"), a, NULL, &out));
    assert_same_rows(want, &out, held->n, a);
    block_unref(block);
}

static void columns_agree(struct rows *r, const struct rows *plain, struct arena *a)
{
    for (uint32_t c = 0; c < r->n_columns; c++)
        if (lane_is_text(r->columns[c].lane)) {
            column_agrees(&r->columns[c], &plain->columns[c], a);
            matches_agree(&r->columns[c], &plain->columns[c], a);
        }
}

/* The first n frames held together, beside the same rows copied. */
static void frames_agree(struct frames *f, unsigned n)
{
    struct batch *held = batch_new(), *copied = batch_new();
    struct rows got, want;
    struct arena a;
    arena_init(&a, 0, NULL);
    for (unsigned i = 0; i < n; i++) {
        assert_ok(batch_hold_rows(held, &f->rows[i]));
        assert_ok(batch_append_rows(copied, &f->rows[i], NULL, f->rows[i].n));
    }
    assert_int_equal(batch_bytes(held), batch_bytes(copied));
    batch_view(held, &a, &got);
    batch_view(copied, &a, &want);
    rows_are(&got, f->text);
    block_agrees(&got, &want, &a);
    columns_agree(&got, &want, &a);
    if (n == 1)
        columns_agree(&f->rows[0], &want, &a);
    arena_release(&a);
    batch_free(held);
    batch_free(copied);
}

static void test_looks_agree_with_those_at_copies(void **state)
{
    for (unsigned fresh_every = 0; fresh_every <= FRAMES; fresh_every += FRAMES) {
        struct frames f;
        frames_init(&f, 150, fresh_every);
        frames_agree(&f, 1);
        frames_agree(&f, FRAMES);
        frames_release(&f);
    }
}

/* ---- by hand ---- */

/* A frame of `rows` rows of one text. */
static enum err open_by_hand(unsigned version, unsigned lane, unsigned rows, unsigned entries,
                             const uint8_t *code, size_t code_bytes, struct str lengths,
                             struct str texts)
{
    struct buf body, out;
    struct arena a;
    struct rows r;
    struct frame_info info;
    buf_init(&body, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    buf_put(&body, "\0\1", 2);
    for (unsigned i = 0; i < rows; i++)
        buf_put_byte(&body, 0);
    buf_put(&body, "\1\1m\0", 4);
    buf_put_u8(&body, (uint8_t)lane);
    buf_put_varint(&body, rows);
    buf_put(&body, "\1\1\2", 3);
    buf_put_varint(&body, entries);
    buf_put(&body, code, code_bytes);
    buf_put_str(&body, lengths);
    buf_put_str(&body, texts);
    buf_put(&out, "WRF", 3);
    buf_put_u8(&out, (uint8_t)version);
    buf_put_u32(&out, 0);
    buf_put_u32(&out, rows);
    buf_put_u32(&out, (uint32_t)body.n);
    buf_put_u32(&out, (uint32_t)body.n);
    for (unsigned i = 0; i < 26; i++)
        buf_put_u32(&out, 0);
    buf_put_str(&out, buf_str(&body));
    arena_init(&a, 0, NULL);
    enum err err = frame_open(buf_str(&out), 1, 0, &a, &info, &r);
    arena_release(&a);
    buf_release(&body);
    buf_release(&out);
    return err;
}

#define LENGTHS(base, ...)                                                                         \
    str_of((const char[]){(base)*2, 1, __VA_ARGS__}, 2 + sizeof((const char[]){__VA_ARGS__}))
#define BY_HAND(version, lane, entries, lengths, ...)                                              \
    open_by_hand(version, lane, sizeof((const uint8_t[]){__VA_ARGS__}), entries,                   \
                 (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}), lengths,  \
                 STR("abc"))

static void test_what_does_not_agree_is_refused(void **state)
{
    const unsigned lane = LANE_STR | 128;
    assert_ok(BY_HAND(2, lane, 2, LENGTHS(1, 0, 1), 0, 0, 1, 0));
    assert_err(BY_HAND(2, lane, 2, LENGTHS(1, 0, 1), 1, 0, 1, 0), ERR_CORRUPT, "codes");
    assert_err(BY_HAND(2, lane, 2, LENGTHS(1, 0, 1), 0, 0, 2, 0), ERR_CORRUPT, "codes");
    assert_err(BY_HAND(2, lane, 2, LENGTHS(1, 0, 1), 0, 0, 0, 0), ERR_CORRUPT, "codes");
    assert_err(BY_HAND(2, lane, 5, LENGTHS(1, 0, 1), 0, 1, 1, 0), ERR_CORRUPT, "entries");
    assert_err(BY_HAND(2, lane, 0, LENGTHS(1, 0, 1), 0, 1, 1, 0), ERR_CORRUPT, "entries");
    assert_err(BY_HAND(2, lane, 2, LENGTHS(1, 0, 2), 0, 0, 1, 0), ERR_CORRUPT, "longer than");
    assert_err(BY_HAND(1, lane, 2, LENGTHS(1, 0, 1), 0, 0, 1, 0), ERR_CORRUPT, "column is not");
    assert_err(BY_HAND(2, LANE_INT | 128, 2, LENGTHS(1, 0, 1), 0, 0, 1, 0), ERR_CORRUPT,
               "column is not");
    assert_err(BY_HAND(3, lane, 2, LENGTHS(1, 0, 1), 0, 0, 1, 0), ERR_UNSUPPORTED, "version 3");
}

/* A small frame cannot make its reader write out as much as it likes. */
static void test_texts_together_are_bounded(void **state)
{
    enum { LONG = 1 << 20, MANY = 300 };
    struct buf texts, lengths;
    uint8_t *code = mem_zalloc(MANY);
    buf_init(&texts, SIZE_MAX);
    buf_init(&lengths, SIZE_MAX);
    memset(buf_reserve(&texts, LONG), 'x', LONG);
    texts.n = LONG;
    buf_put_varint(&lengths, (uint64_t)LONG * 2);
    buf_put(&lengths, "\1\0", 2);
    unsigned lane = LANE_STR | 128;
    assert_ok(
        open_by_hand(2, lane, MANY - 50, 1, code, MANY - 50, buf_str(&lengths), buf_str(&texts)));
    assert_err(open_by_hand(2, lane, MANY, 1, code, MANY, buf_str(&lengths), buf_str(&texts)),
               ERR_CORRUPT, "too long together");
    mem_free(code);
    buf_release(&texts);
    buf_release(&lengths);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_frames_hold_repeats_once),
        cmocka_unit_test(test_frames_of_new_lines_are_as_before),
        cmocka_unit_test(test_looks_agree_with_those_at_copies),
        cmocka_unit_test(test_what_does_not_agree_is_refused),
        cmocka_unit_test(test_texts_together_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
