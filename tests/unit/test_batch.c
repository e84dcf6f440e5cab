/* Batches: what goes in comes out, record by record; taking back; limits; times; ids; appending
 * rows. */
#include "core/mem.h"
#include "record/frame.h"
#include "records.h"

#define ARRIVAL 1739620800000000000LL /* 2025-02-15T12:00:00Z */

/* A batch beside the texts of the records it should hold. */
struct both {
    struct batch *b;
    struct buf *text;
    uint32_t n;
    size_t cap;
};

static void both_init(struct both *x)
{
    *x = (struct both){.b = batch_new()};
}

static void both_clear(struct both *x)
{
    for (uint32_t i = 0; i < x->n; i++)
        buf_release(&x->text[i]);
    x->n = 0;
    batch_clear(x->b);
}

static void both_release(struct both *x)
{
    both_clear(x);
    batch_free(x->b);
    mem_free(x->text);
}

static struct buf *both_next(struct both *x)
{
    ARRAY_GROW(x->text, x->cap, x->n + 1);
    buf_init(&x->text[x->n], SIZE_MAX);
    return &x->text[x->n];
}

static void both_add(struct both *x, struct records_maker *m)
{
    struct buf *text = both_next(x);
    batch_begin(x->b);
    records_make(m, x->b, text);
    batch_end(x->b, ARRIVAL + x->n / 10, str_of("{}", 2));
    x->n++;
}

static void rows_are(struct rows *r, const struct buf *text, const uint32_t *row, uint32_t n)
{
    struct buf got;
    buf_init(&got, SIZE_MAX);
    assert_int_equal(r->n, n);
    for (uint32_t i = 0; i < n; i++) {
        buf_clear(&got);
        records_put_row(r, i, &got);
        const struct buf *want = &text[row ? row[i] : i];
        if (!str_eq(buf_str(&got), buf_str(want)))
            fail_msg("row %u is %.*s, wanted %.*s", i, STR_ARG(buf_str(&got)),
                     STR_ARG(buf_str(want)));
    }
    buf_release(&got);
}

static void both_agree(struct both *x)
{
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_view(x->b, &a, &r);
    for (uint32_t c = 0; c < r.n_columns; c++)
        assert_true(r.columns[c].n > 0);
    rows_are(&r, x->text, NULL, x->n);
    arena_release(&a);
}

static void test_random_records_come_back(void **state)
{
    struct both x;
    both_init(&x);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct records_maker m = {seed, 1 + (unsigned)seed % 20, 1 + (unsigned)seed % 12, false};
        for (unsigned i = 0; i < 60; i++)
            both_add(&x, &m);
        both_agree(&x);
        both_clear(&x);
    }
    both_release(&x);
}

static void test_cancel_and_pop_leave_no_trace(void **state)
{
    struct both x;
    both_init(&x);
    struct records_maker m = {7, 14, 9, false};
    for (unsigned i = 0; i < 600; i++) {
        uint64_t r = records_random(&m.seed);
        size_t bytes = batch_bytes(x.b);
        uint64_t raw = batch_raw_bytes(x.b);
        if (r % 3 == 0) {
            both_add(&x, &m);
            continue;
        }
        struct buf dropped;
        buf_init(&dropped, SIZE_MAX);
        batch_begin(x.b);
        records_make(&m, x.b, &dropped);
        if (r % 3 == 1) {
            batch_open(x.b, STR("left open"));
            batch_int(x.b, STR("a"), 1);
            batch_cancel(x.b);
        } else {
            batch_end(x.b, ARRIVAL, STR("{\"raw\":1}"));
            batch_pop(x.b);
        }
        assert_int_equal(batch_bytes(x.b), bytes);
        assert_int_equal(batch_raw_bytes(x.b), raw);
        assert_int_equal(batch_rows(x.b), x.n);
        buf_release(&dropped);
    }
    both_agree(&x);
    both_release(&x);
}

/* Records of a few forms: members of strings, one of them a time, one an id, one key twice, one in
 * an object; and such as are none. */
static const char *const forms[][4] = {
    {"message"}, {"time", "message", "_id"}, {"a", "b", "a"}, {"o.", "in"}, {"#n", "a"}};
enum { FORMS = 5, STRINGS = 4, LIKE_ROWS = 5 };

static unsigned form_members(unsigned form)
{
    unsigned n = 0;
    while (n < 4 && forms[form][n])
        n++;
    return n;
}

static void form_add(struct batch *b, unsigned form, const struct str *text)
{
    batch_begin(b);
    for (unsigned i = 0; i < form_members(form); i++) {
        const char *key = forms[form][i];
        if (key[0] == '#') {
            batch_int(b, str_c(key), (int64_t)text[i].n);
        } else if (key[1] == '.') {
            batch_open(b, str_c(key));
            batch_text(b, STR("x"), LANE_STR, text[i]);
            batch_close(b);
        } else {
            batch_text(b, str_c(key), LANE_STR, text[i]);
        }
    }
}

static struct buf frame_bytes(struct batch *b)
{
    struct frame_info info = {.org = STR("default"), .stream = STR("s")};
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_ok(frame_encode(b, &info, &out));
    return out;
}

static struct str like_text(uint64_t r)
{
    static const char *const texts[] = {
        "2025-02-15T11:00:00Z",
        "",
        "x",
        "a longer text than those",
        "17",
        "one that is as long as what is copied at once, to the very byte.",
        "one that is longer than what is copied at once, so that there is more to copy of it"};
    return str_c(texts[r % 7]);
}

/* Records of one text a leaf, with as much behind each text as may be. */
static void put_like(struct batch *b, const struct str *text, unsigned n, unsigned members,
                     int64_t arrival)
{
    struct batch_like like;
    size_t most = 0;
    for (unsigned k = 0; k < members; k++) {
        size_t bytes = 0;
        for (unsigned i = 0; i < n; i++)
            bytes += text[(size_t)i * members + k].n;
        most = bytes > most ? bytes : most;
    }
    batch_like_begin(b, n + 3, most, &like); /* and none of them is put */
    batch_like_begin(b, n, most, &like);
    for (unsigned i = 0; i < n; i++) {
        for (unsigned k = 0; k < members; k++) {
            struct str t = text[(size_t)i * members + k];
            memcpy(like.to[k], t.p, t.n);
            memset(like.to[k] + t.n, '#', BATCH_FORM_BEHIND);
            like.to[k] += t.n;
            like.at[k] += (uint32_t)t.n;
            *like.end[k]++ = like.at[k];
        }
    }
    batch_like_end(b, &like, n, arrival, 9 * (size_t)n, 9);
}

/* The same records to both, to the second at once where `may`; answers the bytes of their texts. */
static size_t both_like(struct batch *plain, struct batch *like, unsigned form, unsigned n,
                        bool may, int64_t arrival, uint64_t *seed)
{
    struct str text[4 * LIKE_ROWS], last[4] = {0};
    size_t bytes = 0;
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = records_random(seed);
        for (unsigned k = 0; k < 4; k++)
            last[k] = like_text(r >> (8 + 8 * k) & 0xff);
        for (unsigned k = 0; k < form_members(form); k++)
            bytes += last[k].n;
        memcpy(text + (size_t)i * form_members(form), last, form_members(form) * sizeof(*last));
        form_add(plain, form, last);
        batch_end(plain, arrival, STR("{\"raw\":1}"));
        if (may)
            continue;
        form_add(like, form, last);
        batch_end(like, arrival, STR("{\"raw\":1}"));
    }
    if (may)
        put_like(like, text, n, form_members(form), arrival);
    return bytes;
}

static void test_like_before_is_the_same(void **state)
{
    struct batch *plain = batch_new(), *like = batch_new();
    uint64_t seed = 3, version = 0;
    unsigned last = FORMS, form = 0, met = 0;
    for (int i = 0; i < 20000; i++) {
        uint64_t r = records_random(&seed);
        form = r % 4 ? form : (unsigned)(r >> 32) % FORMS;
        int64_t arrival = ARRIVAL + i / 100;
        bool may = batch_form(like) && form == last;
        assert_int_equal(may && form >= STRINGS, 0);
        if (may)
            assert_int_equal(batch_form(like), form_members(form));
        if (r >> 40 & 1 && (r >> 41) % 8 == 0) {
            struct str text[4] = {like_text(r), like_text(r >> 4), like_text(r >> 8), {0}};
            form_add(plain, form, text);
            form_add(like, form, text);
            batch_cancel(plain);
            batch_cancel(like);
            assert_int_equal(batch_form(like), 0);
            continue;
        }
        unsigned rows = 1 + (unsigned)(r >> 56) % LIKE_ROWS;
        size_t had = batch_bytes(like), cost = may ? batch_form_cost(like) : 0;
        size_t texts = both_like(plain, like, form, rows, may, arrival, &seed);
        assert_true(!may || batch_bytes(like) == had + rows * cost + texts);
        met += may;
        assert_int_not_equal(batch_version(like), version);
        version = batch_version(like);
        last = form;
        assert_true(str_eq(batch_last_id(plain), batch_last_id(like)));
        if ((r >> 48) % 16 == 0) {
            batch_pop(plain);
            batch_pop(like);
            assert_int_equal(batch_form(like), 0);
        }
        if ((r >> 52) % 2000 == 0) {
            batch_clear(plain);
            batch_clear(like);
            assert_int_equal(batch_form(like), 0);
        }
        assert_int_equal(batch_bytes(plain), batch_bytes(like));
        assert_int_equal(batch_raw_bytes(plain), batch_raw_bytes(like));
    }
    assert_true(met > 2000);
    struct buf a = frame_bytes(plain), b = frame_bytes(like);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_release(&a);
    buf_release(&b);
    batch_free(plain);
    batch_free(like);
}

static void test_bytes_bound_the_frame(void **state)
{
    struct both x;
    both_init(&x);
    struct frame_info info = {.org = STR("default"), .stream = STR("s")};
    for (uint64_t seed = 1; seed < 30; seed++) {
        struct records_maker m = {seed, 20, 12, false};
        struct buf out;
        buf_init(&out, SIZE_MAX);
        for (unsigned i = 0; i < seed * 4; i++)
            both_add(&x, &m);
        assert_ok(frame_encode(x.b, &info, &out));
        assert_true(out.n <= batch_bytes(x.b) + 256);
        both_clear(&x);
        buf_release(&out);
    }
    both_release(&x);
    struct batch *b = batch_new();
    assert_false(batch_full(b, 10 * FRAME_BYTES_MAX)); /* a larger record goes alone */
    batch_begin(b);
    batch_int(b, STR("a"), 1);
    batch_end(b, ARRIVAL, STR("{\"a\":1}"));
    assert_false(batch_full(b, 1000));
    assert_true(batch_full(b, FRAME_BYTES_MAX));
    batch_free(b);
}

static void test_a_number_takes_the_lane_that_keeps_its_text(void **state)
{
    static const struct {
        const char *text;
        enum lane lane;
        int64_t i64;
        unsigned scale;
    } cases[] = {
        {"0", LANE_INT, 0, 0},
        {"-1", LANE_INT, -1, 0},
        {"9223372036854775807", LANE_INT, INT64_MAX, 0},
        {"-9223372036854775808", LANE_INT, INT64_MIN, 0},
        {"9223372036854775808", LANE_DBL, 0, 0},
        {"9223372036854775809", LANE_NUM, 0, 0},
        {"-0", LANE_DBL, 0, 0},
        {"-0.0", LANE_NUM, 0, 0},
        {"0.0", LANE_DEC, 0, 1},
        {"1.50", LANE_DEC, 150, 2},
        {"-0.05", LANE_DEC, -5, 2},
        {"0.000000000000000001", LANE_DEC, 1, 18},
        {"0.0000000000000000001", LANE_NUM, 0, 0},
        {"1e3", LANE_NUM, 0, 0},
        {"1e+30", LANE_DBL, 0, 0},
        {"1E30", LANE_NUM, 0, 0},
        {"1e999", LANE_NUM, 0, 0},
        {"123456789012345678901234567890", LANE_NUM, 0, 0},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct batch *b = batch_new();
        struct arena a;
        struct rows r;
        struct values v;
        arena_init(&a, 0, NULL);
        batch_begin(b);
        batch_number(b, STR("n"), str_c(cases[i].text));
        batch_end(b, ARRIVAL, STR("{}"));
        batch_view(b, &a, &r);
        if (r.columns[0].lane != cases[i].lane)
            fail_msg("%s is %s", cases[i].text, lane_name(r.columns[0].lane));
        assert_ok(r.columns[0].ops->values(&r.columns[0], &a, &v));
        if (v.lane == LANE_INT || v.lane == LANE_DEC)
            assert_int_equal(v.i64[0], cases[i].i64);
        if (v.lane == LANE_DEC)
            assert_int_equal(v.scale[0], cases[i].scale);
        if (v.lane == LANE_NUM)
            assert_str(values_text(&v, 0), cases[i].text);
        arena_release(&a);
        batch_free(b);
    }
}

/* The time and flags of a record of string members, "key", "value", ... */
static int64_t time_of(struct batch *b, const char *const *member, uint8_t *ret_flags)
{
    struct arena a;
    struct rows r;
    const int64_t *time;
    arena_init(&a, 0, NULL);
    batch_clear(b);
    batch_begin(b);
    for (; member[0]; member += 2)
        batch_text(b, str_c(member[0]), LANE_STR, str_c(member[1]));
    batch_end(b, ARRIVAL, STR("{}"));
    batch_view(b, &a, &r);
    assert_ok(rows_time(&r, &time));
    int64_t t = time[0];
    *ret_flags = r.flags ? r.flags[0] : 0;
    assert_int_equal(r.time_min, t);
    assert_int_equal(r.time_max, t);
    arena_release(&a);
    return t;
}

static void test_time_is_the_first_name_that_parses(void **state)
{
    struct batch *b = batch_new();
    uint8_t flags;
#define TIME_OF(...) time_of(b, (const char *const[]){__VA_ARGS__, NULL}, &flags)
    assert_int_equal(TIME_OF("a", "b"), ARRIVAL);
    assert_int_equal(flags, ROW_TIME_ARRIVAL);
    assert_int_equal(TIME_OF("time", "2025-02-15T11:00:00Z"), ARRIVAL - 3600000000000);
    assert_int_equal(flags, 0);
    assert_int_equal(TIME_OF("ts", "2025-02-15T10:00:00Z", "timestamp", "2025-02-15T11:00:00Z"),
                     ARRIVAL - 3600000000000);
    assert_int_equal(TIME_OF("timestamp", "yesterday", "ts", "2025-02-15T11:00:00Z"),
                     ARRIVAL - 3600000000000);
    assert_int_equal(flags, 0);
    assert_int_equal(TIME_OF("event.created", "2025-02-15T11:00:00Z"), ARRIVAL - 3600000000000);
    assert_int_equal(TIME_OF("timestamp", "yesterday"), ARRIVAL);
    assert_int_equal(flags, ROW_TIME_ARRIVAL | ROW_TIME_BAD);
    batch_clear(b);
    batch_begin(b);
    batch_open(b, STR("event"));
    batch_int(b, STR("created"), 1739620800);
    batch_close(b);
    batch_end(b, 5, STR("{}"));
    batch_begin(b);
    batch_dec(b, STR("ts"), 17396208005, 1);
    batch_end(b, 5, STR("{}"));
    batch_begin(b);
    batch_text(b, STR("ts"), LANE_NUM, STR("1.7396208e9"));
    batch_end(b, 5, STR("{}"));
    struct arena a;
    struct rows r;
    const int64_t *time;
    arena_init(&a, 0, NULL);
    batch_view(b, &a, &r);
    assert_ok(rows_time(&r, &time));
    assert_int_equal(time[0], ARRIVAL);
    assert_int_equal(time[1], ARRIVAL + 500000000);
    assert_int_equal(time[2], ARRIVAL);
    assert_null(r.flags);
    arena_release(&a);
    batch_free(b);
}

static void test_last_id(void **state)
{
    struct batch *b = batch_new();
    batch_begin(b);
    batch_text(b, STR("log_id"), LANE_STR, STR("second"));
    batch_text(b, STR("_id"), LANE_STR, STR("first"));
    batch_end(b, 1, STR("{}"));
    assert_str(batch_last_id(b), "first");
    batch_pop(b);
    assert_int_equal(batch_last_id(b).n, 0);
    batch_begin(b);
    batch_int(b, STR("_id"), -42);
    batch_end(b, 1, STR("{}"));
    assert_str(batch_last_id(b), "-42");
    batch_begin(b);
    batch_bool(b, STR("log_id"), true);
    batch_end(b, 1, STR("{}"));
    assert_int_equal(batch_last_id(b).n, 0);
    batch_free(b);
}

/* A record of `n` integer members f<from>, f<from + 1>, ... behind an id and a time. */
static void add_wide(struct batch *b, unsigned from, unsigned n, struct str raw)
{
    char key[24];
    batch_begin(b);
    batch_text(b, STR("log_id"), LANE_STR, STR("wide one"));
    batch_text(b, STR("time"), LANE_STR, STR("2025-02-15T11:00:00Z"));
    for (unsigned i = 0; i < n; i++)
        batch_int(b, str_of(key, (size_t)snprintf(key, sizeof(key), "f%u", from + i)), i);
    batch_end(b, ARRIVAL, raw);
}

/* Row `row` is `raw` as one leaf, its time was read. */
static void row_is_whole(struct batch *b, uint32_t row, const char *raw)
{
    struct arena a;
    struct rows r;
    const int64_t *time;
    struct buf got;
    char want[64];
    arena_init(&a, 0, NULL);
    buf_init(&got, SIZE_MAX);
    batch_view(b, &a, &r);
    assert_ok(rows_time(&r, &time));
    assert_int_equal(time[row], ARRIVAL - 3600000000000);
    records_put_row(&r, row, &got);
    snprintf(want, sizeof(want), "=json:%zu:%s;", strlen(raw), raw);
    assert_str(buf_str(&got), want);
    assert_true(r.n_shapes <= SHAPES_MAX && r.n_columns <= PATHS_MAX);
    buf_release(&got);
    arena_release(&a);
}

static void frame_opens(struct batch *b)
{
    struct arena a;
    struct rows r;
    struct buf out;
    struct frame_info info = {.org = STR("default"), .stream = STR("s")};
    arena_init(&a, 0, NULL);
    buf_init(&out, SIZE_MAX);
    assert_ok(frame_encode(b, &info, &out));
    assert_ok(frame_open(buf_str(&out), 1, 0, &a, &info, &r));
    struct batch *again = batch_new();
    assert_ok(batch_append_rows(again, &r, NULL, r.n));
    assert_int_equal(batch_rows(again), batch_rows(b));
    batch_free(again);
    buf_release(&out);
    arena_release(&a);
}

static void test_too_many_paths_make_one_leaf(void **state)
{
    struct batch *b = batch_new();
    add_wide(b, 0, 9000, STR("{1}"));
    add_wide(b, 9000, 2000, STR("{2}"));
    assert_str(batch_last_id(b), "wide one");
    add_wide(b, 0, 9000, STR("{3}"));
    add_wide(b, 20000, 900, STR("{4}"));
    add_wide(b, 30000, 200, STR("{5}"));
    add_wide(b, 0, 70000, STR("{6}")); /* past what the dictionary takes at all */
    assert_str(batch_last_id(b), "wide one");
    row_is_whole(b, 1, "{2}");
    row_is_whole(b, 4, "{5}");
    row_is_whole(b, 5, "{6}");
    assert_int_equal(batch_raw_bytes(b), 18);
    frame_opens(b);
    batch_pop(b);
    assert_int_equal(batch_rows(b), 5);
    row_is_whole(b, 4, "{5}");
    batch_clear(b);
    add_wide(b, 0, 20000, STR("{}"));
    row_is_whole(b, 0, "{}");
    batch_pop(b);
    assert_int_equal(batch_bytes(b), 0);
    batch_free(b);
}

static void test_too_many_shapes_make_one_leaf(void **state)
{
    struct batch *b = batch_new();
    for (unsigned i = 0; i < SHAPES_MAX + 20; i++)
        add_wide(b, i, 2, STR("{x}"));
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_view(b, &a, &r);
    assert_int_equal(r.n_shapes, SHAPES_MAX);
    arena_release(&a);
    row_is_whole(b, SHAPES_MAX - 1, "{x}");
    row_is_whole(b, SHAPES_MAX + 19, "{x}");
    frame_opens(b);
    add_wide(b, 0, 2, STR("{known}"));
    add_wide(b, 0, 3, STR("{new}"));
    row_is_whole(b, SHAPES_MAX + 21, "{new}");
    batch_free(b);
}

static void test_too_deep_makes_one_leaf(void **state)
{
    struct batch *b = batch_new();
    for (unsigned depth = NESTING_MAX - 1; depth <= NESTING_MAX + 50; depth += 51) {
        batch_begin(b);
        batch_text(b, STR("time"), LANE_STR, STR("2025-02-15T11:00:00Z"));
        for (unsigned i = 0; i < depth; i++)
            batch_open(b, STR("o"));
        batch_int(b, STR("leaf"), 1);
        for (unsigned i = 0; i < depth; i++)
            batch_close(b);
        batch_end(b, ARRIVAL, STR("{deep}"));
    }
    row_is_whole(b, 1, "{deep}");
    frame_opens(b);
    batch_free(b);
}

static void test_a_key_repeated_thousands_of_times(void **state)
{
    struct batch *b = batch_new();
    for (unsigned round = 0; round < 3; round++) {
        batch_begin(b);
        for (unsigned i = 0; i < 9000; i++)
            batch_int(b, STR("same"), i);
        batch_end(b, ARRIVAL, STR("{}"));
    }
    struct arena a;
    struct rows r;
    arena_init(&a, 0, NULL);
    batch_view(b, &a, &r);
    assert_int_equal(r.n_shapes, 1);
    assert_int_equal(r.n_columns, 9000);
    assert_int_equal(r.columns[8999].occ, 8999);
    arena_release(&a);
    batch_free(b);
}

static void test_a_clear_forgets_what_is_long_unused(void **state)
{
    struct both x;
    both_init(&x);
    struct records_maker wide = {3, 5000, 200, true}, narrow = {4, 3, 3, true};
    for (unsigned round = 0; round < 6; round++) {
        for (unsigned i = 0; i < 100; i++)
            both_add(&x, round % 2 ? &narrow : &wide);
        both_agree(&x);
        both_clear(&x);
    }
    both_release(&x);
}

/* Appends a random choice of rows of `src` in random or rising order and notes which. */
static uint32_t append_some(struct batch *to, struct rows *src, uint64_t *seed, uint32_t *row)
{
    uint32_t n = 0;
    unsigned way = (unsigned)(records_random(seed) % 3);
    for (uint32_t i = 0; i < src->n; i++)
        if (way == 0 || records_random(seed) % 2)
            row[n++] = i;
    if (way == 2)
        for (uint32_t i = n; i > 1; i--) {
            uint32_t j = (uint32_t)(records_random(seed) % i), t = row[i - 1];
            row[i - 1] = row[j];
            row[j] = t;
        }
    assert_ok(batch_append_rows(to, src, row, n));
    return n;
}

static void test_appended_rows_keep_everything(void **state)
{
    enum { SOURCES = 5, ROWS = 40 };
    uint64_t seed = 99;
    for (unsigned round = 0; round < 40; round++) {
        struct both src[SOURCES];
        struct rows rows[SOURCES];
        struct arena a;
        struct batch *to = batch_new();
        struct buf *want = NEW_ARRAY(struct buf, SOURCES * ROWS);
        struct origin_run origin[SOURCES * ROWS];
        int64_t time[SOURCES * ROWS];
        uint32_t total = 0;
        arena_init(&a, 0, NULL);
        for (unsigned s = 0; s < SOURCES; s++) {
            struct records_maker m = {records_random(&seed), 3 + round % 10, 6, false};
            uint32_t row[ROWS];
            both_init(&src[s]);
            for (unsigned i = 0; i < ROWS; i++)
                both_add(&src[s], &m);
            batch_view(src[s].b, &a, &rows[s]);
            uint32_t n = append_some(to, &rows[s], &seed, row);
            const int64_t *t;
            assert_ok(rows_time(&rows[s], &t));
            for (uint32_t i = 0; i < n; i++, total++) {
                want[total] = src[s].text[row[i]];
                time[total] = t[row[i]];
                assert_ok(rows_origin(&rows[s], row[i], &origin[total]));
            }
        }
        struct rows got;
        const int64_t *t;
        batch_view(to, &a, &got);
        rows_are(&got, want, NULL, total);
        assert_ok(rows_time(&got, &t));
        for (uint32_t i = 0; i < total; i++) {
            struct origin_run run;
            assert_int_equal(t[i], time[i]);
            assert_ok(rows_origin(&got, i, &run));
            assert_int_equal(run.index, origin[i].index);
            assert_int_equal(run.arrival_ns, origin[i].arrival_ns);
        }
        for (unsigned s = 0; s < SOURCES; s++)
            both_release(&src[s]);
        mem_free(want);
        batch_free(to);
        arena_release(&a);
    }
}

static void texts_are(const struct values *got, const struct values *want)
{
    assert_int_equal(got->n, want->n);
    assert_int_equal(values_bytes(got), values_bytes(want));
    for (uint32_t i = 0; i < got->n; i++)
        assert_true(str_eq(values_text(got, i), values_text(want, i)));
}

/* The values of each column at every position, in a random order. */
static void picks_agree(struct rows *held, struct rows *copied, uint64_t *seed, struct arena *a)
{
    assert_int_equal(held->n_columns, copied->n_columns);
    for (uint32_t c = 0; c < held->n_columns; c++) {
        const struct column *x = &held->columns[c], *y = &copied->columns[c];
        uint32_t *pos = arena_alloc(a, x->n * sizeof(*pos));
        struct values all, got, want;
        assert_int_equal(x->n, y->n);
        for (uint32_t i = 0; i < x->n; i++)
            pos[i] = (uint32_t)(records_random(seed) % x->n);
        assert_ok(y->ops->values(y, a, &all));
        assert_ok(values_gather(&all, pos, x->n, a, &want));
        if (x->ops->pick)
            assert_ok(x->ops->pick(x, pos, x->n, a, &got));
        else
            assert_ok(x->ops->get(x, pos, x->n, a, &got));
        assert_int_equal(got.n, want.n);
        assert_int_equal(got.lane, want.lane);
        if (lane_is_text(got.lane))
            texts_are(&got, &want);
        if (lane_is_text(got.lane) && x->ops->texts) {
            struct values picked;
            assert_ok(x->ops->texts(x, pos, a, &picked));
            texts_are(&picked, &want);
            assert_ok(values_pick(&all, pos, x->n, a, &picked));
            texts_are(&picked, &want);
            assert_ok(x->ops->texts(x, NULL, a, &picked));
            texts_are(&picked, &all);
        }
        if (want.i64)
            assert_memory_equal(got.i64, want.i64, want.n * sizeof(*want.i64));
        if (want.f64)
            assert_memory_equal(got.f64, want.f64, want.n * sizeof(*want.f64));
        if (want.scale)
            assert_memory_equal(got.scale, want.scale, want.n);
        if (want.u8)
            assert_memory_equal(got.u8, want.u8, want.n);
    }
}

static void test_held_rows_are_those_that_were_appended(void **state)
{
    enum { SOURCES = 5, ROWS = 40 };
    uint64_t seed = 77;
    struct batch *held = batch_new(), *copied = batch_new();
    for (unsigned round = 0; round < 40; round++) {
        struct both src[SOURCES];
        struct rows rows[SOURCES], got, want;
        struct arena a;
        struct buf *text = NEW_ARRAY(struct buf, SOURCES * ROWS);
        uint32_t total = 0;
        unsigned sources = 1 + round % SOURCES;
        arena_init(&a, 0, NULL);
        for (unsigned s = 0; s < sources; s++) {
            struct records_maker m = {records_random(&seed), 3 + round % 10, 6, false};
            both_init(&src[s]);
            for (unsigned i = 0; i < ROWS; i++) {
                both_add(&src[s], &m);
                text[total++] = src[s].text[i];
            }
            batch_view(src[s].b, &a, &rows[s]);
            assert_ok(batch_hold_rows(held, &rows[s]));
            assert_ok(batch_append_rows(copied, &rows[s], NULL, rows[s].n));
        }
        batch_view(held, &a, &got);
        batch_view(copied, &a, &want);
        assert_int_equal(batch_bytes(held), batch_bytes(copied));
        rows_are(&got, text, NULL, total);
        picks_agree(&got, &want, &seed, &a);
        batch_clear(held);
        batch_clear(copied);
        for (unsigned s = 0; s < sources; s++)
            both_release(&src[s]);
        mem_free(text);
        arena_release(&a);
    }
    batch_free(held);
    batch_free(copied);
}

/* The first parts of what is held may have no value at all. */
static void test_rows_without_values_are_held_beside_others(void **state)
{
    enum { N = 4 };
    struct batch *held = batch_new(), *part[N];
    struct rows rows, got;
    struct buf text[N];
    struct arena a;
    arena_init(&a, 0, NULL);
    for (unsigned i = 0; i < N; i++) {
        part[i] = batch_new();
        batch_begin(part[i]);
        if (i >= 2)
            batch_text(part[i], STR("a"), LANE_STR, STR("x"));
        batch_end(part[i], ARRIVAL, STR("{}"));
        batch_view(part[i], &a, &rows);
        buf_init(&text[i], SIZE_MAX);
        records_put_row(&rows, 0, &text[i]);
        assert_ok(batch_hold_rows(held, &rows));
        batch_view(held, &a, &got);
        rows_are(&got, text, NULL, i + 1);
    }
    for (unsigned i = 0; i < N; i++) {
        batch_free(part[i]);
        buf_release(&text[i]);
    }
    batch_free(held);
    arena_release(&a);
}

static void test_an_append_past_the_limits_changes_nothing(void **state)
{
    struct batch *b = batch_new(), *more = batch_new(), *other = batch_new();
    struct arena a;
    struct rows r, held;
    arena_init(&a, 0, NULL);
    add_wide(b, 0, 9000, STR("{}"));
    size_t bytes = batch_bytes(b);
    add_wide(more, 20000, 3, STR("{}"));
    add_wide(more, 10000, 2000, STR("{}"));
    batch_view(more, &a, &r);
    assert_err(batch_append_rows(b, &r, NULL, 2), ERR_LIMIT, "paths");
    assert_int_equal(batch_rows(b), 1);
    assert_int_equal(batch_bytes(b), bytes);
    assert_ok(batch_append_rows(b, &r, NULL, 1));
    assert_int_equal(batch_rows(b), 2);
    frame_opens(b);
    batch_clear(b);
    assert_ok(batch_hold_rows(b, &r));
    batch_view(b, &a, &held);
    add_wide(other, 0, 9000, STR("{}"));
    batch_view(other, &a, &r);
    assert_err(batch_hold_rows(b, &r), ERR_LIMIT, "paths");
    assert_int_equal(batch_rows(b), held.n);
    arena_release(&a);
    batch_free(b);
    batch_free(more);
    batch_free(other);
}

static void test_alias_names(void **state)
{
    assert_ptr_equal(alias_names(STR("level")), level_names);
    assert_ptr_equal(alias_names(STR("message")), message_names);
    assert_ptr_equal(alias_names(STR("service")), service_names);
    assert_ptr_equal(alias_names(STR("host")), host_names);
    assert_null(alias_names(STR("other")));
    assert_string_equal(level_names[0], "level");
}

static void test_misuse_dies(void **state)
{
    struct batch *b = batch_new();
    batch_begin(b);
    assert_dies(batch_close(b));
    batch_open(b, STR("a"));
    assert_dies(batch_close(b));
    assert_dies(batch_end(b, 1, STR("")));
    assert_dies(batch_pop(b));
    batch_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_random_records_come_back),
        cmocka_unit_test(test_cancel_and_pop_leave_no_trace),
        cmocka_unit_test(test_like_before_is_the_same),
        cmocka_unit_test(test_bytes_bound_the_frame),
        cmocka_unit_test(test_a_number_takes_the_lane_that_keeps_its_text),
        cmocka_unit_test(test_time_is_the_first_name_that_parses),
        cmocka_unit_test(test_last_id),
        cmocka_unit_test(test_too_many_paths_make_one_leaf),
        cmocka_unit_test(test_too_many_shapes_make_one_leaf),
        cmocka_unit_test(test_too_deep_makes_one_leaf),
        cmocka_unit_test(test_a_key_repeated_thousands_of_times),
        cmocka_unit_test(test_a_clear_forgets_what_is_long_unused),
        cmocka_unit_test(test_appended_rows_keep_everything),
        cmocka_unit_test(test_held_rows_are_those_that_were_appended),
        cmocka_unit_test(test_rows_without_values_are_held_beside_others),
        cmocka_unit_test(test_an_append_past_the_limits_changes_nothing),
        cmocka_unit_test(test_alias_names),
        cmocka_unit_test(test_misuse_dies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
