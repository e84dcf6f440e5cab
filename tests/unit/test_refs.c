/* Texts that repeat other columns of their rows: held by references, read and searched as if they
 * were not. */
#include "block_kit.h"
#include "record/bitmap.h"
#include "record/predicate.h"
#include "store/block_dir.h"
#include "store/encoding.h"
#include "store/refs.h"
#include "words_kit.h"

enum { ROWS = 3000 };

static struct arena arena, other;
static bool plain_events, other_fields; /* how the next ones are made */

/* An event as Windows writes them: most of what its message says stands in fields of its own, in
 * the same words, but for some rows and some fields. */
static void add_event(struct batch *b, uint32_t i)
{
    static const char *const users[] = {"alice", "bob", "Kelvin\xe2\x84\xaa", "x y", "z"};
    const char *user = users[rnd_below(5)];
    char text[600], image[64];
    uint32_t pid = rnd_below(9000), kind = rnd_below(4);
    snprintf(image, sizeof(image), "C:\\Windows\\Program Files\\app%u.exe", rnd_below(40));
    batch_begin(b);
    if (plain_events || (kind == 3 && rnd_below(3))) {
        snprintf(
            text, sizeof(text),
            "nothing of the sort %u \x0e\x0f \x0e\x81 and so on and on, until the line is long",
            rnd_below(500));
        if (plain_events)
            add_text(b, "Image", "%s", image);
    } else {
        snprintf(text, sizeof(text),
                 "Process %s:\r\nRuleName: -\r\nImage: %s\r\nProcessId: %u\r\nUser: %s\r\n"
                 "Again: %s\x0e, (%s)%s%s",
                 kind ? "created" : "ended", image, rnd_below(20) ? pid : pid + 1, user, user,
                 rnd_below(9) ? image : "none", rnd_below(2) ? "" : "\r\nEnd: ", user);
        if (rnd_below(10)) {
            add_text(b, other_fields ? "Path" : "Image", "%s", image);
            batch_int(b, STR("ProcessId"), pid);
        }
        if (rnd_below(30))
            add_text(b, other_fields ? "Account" : "User", "%s", user);
    }
    batch_text(b, STR("Message"), LANE_STR, str_c(text));
    batch_time(b, 1739620800000000000LL + (int64_t)i * 1000 + rnd_below(5000));
    batch_end(b, 1739620800000000000LL, STR("{}"));
}

static void make_events(uint32_t n, struct buf *bytes, struct rows *ret)
{
    struct batch *b = batch_new();
    for (uint32_t i = 0; i < n; i++)
        add_event(b, i);
    struct frame_info info = {
        .org = STR("default"), .stream = STR("s"), .arrival_ns = 1739620800000000000LL, .parts = 1};
    buf_init(bytes, SIZE_MAX);
    assert_ok(frame_encode(b, &info, bytes));
    static uint64_t position = 1000;
    assert_ok(frame_open(buf_str(bytes), position++, 0, &arena, &info, ret));
    batch_free(b);
}

static uint32_t message_of(const struct rows *r)
{
    uint32_t c = rows_find(r, STR("Message"), 0);
    assert_true(c != UINT32_MAX);
    return c;
}

static const struct dir_field *field_of(const struct block *block, struct str name)
{
    const struct dir *d = block_dir(block);
    for (uint32_t i = 0; i < d->n_columns; i++)
        if (str_eq(d->column[i].path, name))
            return &d->block->field[i];
    return NULL;
}

static struct block *encode_slowly(struct rows *rows)
{
    struct arena scratch;
    struct block *block;
    struct block_options o = {.zstd_level = 9};
    arena_init(&scratch, 0, NULL);
    assert_ok(block_encode(rows, &o, OWNER_MEMTABLE, &scratch, &block));
    arena_release(&scratch);
    return block;
}

static void check_match(const struct column *col, const struct values *all,
                        const struct predicate *p)
{
    uint64_t *want = bitmap_new(&other, all->n), *got = bitmap_new(&other, all->n);
    assert_ok(predicate_match(p, all, want));
    assert_ok(col->ops->match(col, p, &other, got));
    for (uint32_t i = 0; i < all->n; i++)
        if (bitmap_get(want, i) != bitmap_get(got, i))
            fail_msg("\"%.*s\" in value %u: %.*s", STR_ARG(p->text), i,
                     STR_ARG(values_text(all, i)));
}

/* Pieces of values, with and without gaps, as terms, literals and whole texts. */
static void check_matches(const struct column *col, const struct values *all)
{
    struct predicate p;
    for (int k = 0; k < 400; k++) {
        struct str s = values_text(all, rnd_below(all->n));
        uint32_t most = k % 4 ? 12 : 60, from = rnd_below((uint32_t)s.n),
                 left = (uint32_t)s.n - from;
        struct str piece =
            arena_str(&other, str_of(s.p + from, 1 + rnd_below(left < most ? left : most)));
        if (!needle_wide(piece)) {
            struct buf quoted;
            buf_init(&quoted, SIZE_MAX);
            buf_printf(&quoted, "%s\\Q%.*s\\E", k % 3 ? "" : "(?i)", STR_ARG(piece));
            assert_ok(predicate_regex(&other, arena_str(&other, buf_str(&quoted)), &p));
            buf_release(&quoted);
            check_match(col, all, &p);
        }
        assert_ok(predicate_text(&other, piece, &p));
        check_match(col, all, &p);
        struct buf wild;
        buf_init(&wild, SIZE_MAX);
        buf_printf(&wild, "%c%.*s%c", PATTERN_ANY, STR_ARG(piece), PATTERN_ANY);
        assert_ok(predicate_text(&other, arena_str(&other, buf_str(&wild)), &p));
        buf_release(&wild);
        check_match(col, all, &p);
        ((char *)piece.p)[rnd_below((uint32_t)piece.n)] = k % 2 ? PATTERN_ANY : PATTERN_ONE;
        assert_ok(predicate_text(&other, piece, &p));
        check_match(col, all, &p);
        assert_ok(predicate_equal(&other, k % 2 ? s : piece, &p));
        check_match(col, all, &p);
    }
    static const char *const words[] = {
        "created",          "CREATED",    "k",      "user: alice", "alice", "images", "app1.exe",
        "exe\r\nProcessId", "Files\\app", "(none)", "1",           "-",     "\x0e"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
        assert_ok(predicate_text(&other, str_c(words[i]), &p));
        check_match(col, all, &p);
    }
    static const char *const regexes[] = {"\\d+\r\nUser: a",
                                          "app[0-9]+",
                                          "(?i)USER: [a-k]",
                                          "^Pro",
                                          "Image: C:.*exe\r\nProcessId: 1",
                                          "zzz|bob",
                                          "(none)$",
                                          "app\\d+\\.e",
                                          "\\\\[^ ]+ Files\\\\app[0-9]{2}",
                                          "alic[^e]",
                                          "alic\\w",
                                          "bob\\b",
                                          "(?=bob)b",
                                          "[a-z]++e",
                                          "[a-z]+?e\r"};
    for (size_t i = 0; i < sizeof(regexes) / sizeof(*regexes); i++) {
        assert_ok(predicate_regex(&other, str_c(regexes[i]), &p));
        check_match(col, all, &p);
    }
}

/* Rows of frames that stay open, whose columns are put together when they are asked for. */
static struct batch *hold(struct buf bytes[2], struct rows *ret)
{
    struct batch *b = batch_new();
    for (int i = 0; i < 2; i++) {
        struct rows some;
        make_events(ROWS / 2, &bytes[i], &some);
        assert_ok(batch_hold_rows(b, &some));
    }
    batch_view(b, &arena, ret);
    return b;
}

static void hold_by_references(bool slowly)
{
    struct buf bytes[2];
    struct rows in, out;
    struct batch *held = hold(bytes, &in);
    struct dumped *want = dump_rows(&in, &arena);
    struct block *block = slowly ? encode_slowly(&in) : encode(&in);
    assert_int_equal(field_of(block, STR("Message"))->stats.encoding, ENC_REFS);
    assert_ok(block_rows_open(block, STR("s"), &other, NULL, &out));
    assert_same_rows(want, &out, in.n, &other);
    const struct column *col = &out.columns[message_of(&out)];
    struct values all, some;
    assert_ok(col->ops->values(col, &other, &all));
    for (uint32_t step = 1; step < ROWS; step = step * 3 + 1) {
        uint32_t *pos = ARENA_ARRAY(&other, uint32_t, col->n), n = 0;
        for (uint32_t i = rnd_below(step); i < col->n; i += 1 + rnd_below(step))
            pos[n++] = i;
        assert_ok(col->ops->get(col, pos, n, &other, &some));
        for (uint32_t i = 0; i < n; i++)
            assert_true(str_eq(values_text(&some, i), values_text(&all, pos[i])));
    }
    check_matches(col, &all);
    block_unref(block);
    batch_free(held);
    arena_reset(&arena);
    arena_reset(&other);
    buf_release(&bytes[0]);
    buf_release(&bytes[1]);
}

static void test_held_by_references(void **state)
{
    (void)state;
    hold_by_references(true);
    hold_by_references(false);
}

/* Blocks that begin with what those before them taught, whose records change meanwhile: each is
 * read alone, and none is larger than a block that learns anew by more than little. */
static void test_memory(void **state)
{
    (void)state;
    struct refs_memory *memory = refs_memory_new();
    assert_false(refs_memory_has(memory));
    for (uint32_t k = 0; k < 90; k++) {
        struct buf bytes;
        struct rows in, out;
        struct block *block, *alone;
        struct block_options o = {.zstd_level = 1, .memory = memory};
        plain_events = k >= 20 && k < 24;
        other_fields = k % 30 >= 15;
        make_events(k % 3 ? 1200 : ROWS, &bytes, &in);
        struct dumped *want = dump_rows(&in, &arena);
        assert_ok(block_encode(&in, &o, OWNER_MEMTABLE, &other, &block));
        arena_reset(&other);
        assert_ok(block_rows_open(block, STR("s"), &other, NULL, &out));
        assert_same_rows(want, &out, in.n, &other);
        alone = encode(&in);
        size_t n = block_bytes(block), most = block_bytes(alone);
        bool refers = field_of(block, STR("Message"))->stats.encoding == ENC_REFS;
        assert_int_equal(refers, !plain_events && (k < 20 || k >= 28));
        bool renamed = k % 15 < 2; /* what was learnt refers to columns that are gone */
        assert_true(!refers || n <= most + most / (renamed ? 8 : 20));
        assert_true(refs_memory_has(memory));
        block_unref(block);
        block_unref(alone);
        arena_reset(&arena);
        arena_reset(&other);
        buf_release(&bytes);
    }
    plain_events = other_fields = false;
    refs_memory_free(memory);
}

/* What the encoder puts for the filter are the words of the texts, each of few more than once. */
static void test_words(void **state)
{
    (void)state;
    struct buf frame, out;
    struct rows in;
    struct values v;
    struct chunk_stats stats;
    make_events(ROWS, &frame, &in);
    uint32_t message = message_of(&in), *row = ARENA_ARRAY(&arena, uint32_t, in.n);
    struct ref_column *column = ARENA_ARRAY(&arena, struct ref_column, in.n_columns);
    struct ref_column own = {0};
    struct refs r = {.own = &own, .row = row, .column = column, .sample = 512};
    for (uint32_t c = 0; c < in.n_columns; c++) {
        const struct column *from = &in.columns[c];
        struct ref_column *to = &column[r.n];
        *to = (struct ref_column){.name = {from->path, from->occ, from->lane}, .number = c};
        assert_ok(from->ops->values(from, &arena, &to->v));
        assert_ok(rows_presence(&in, c, &to->p));
        r.n += c != message;
        if (c == message)
            own = *to;
    }
    v = own.v;
    own.bytes = v.off[v.n] - v.off[0];
    assert_int_equal(v.n, in.n);
    for (uint32_t i = 0; i < in.n; i++)
        row[i] = i;
    assert_true(refs_learn(&r, &arena));
    struct words want = words_of(&v, &arena), got = words_none(&arena);
    struct word_sink sink = {.fn = words_take, .ctx = &got};
    struct encode_options o = {.zstd_level = 1, .refs = &r, .words = &sink};
    buf_init(&out, SIZE_MAX);
    assert_ok(chunk_encode(&v, &o, &arena, &out, &stats));
    assert_int_equal(stats.encoding, ENC_REFS);
    assert_true(sink.done);
    assert_true(got.n < want.n / 4);
    assert_same_words(&want, &got);
    buf_release(&out);
    buf_release(&frame);
    arena_reset(&arena);
}

/* Bytes of the encoded block changed one by one: an error, or values that hold together. */
static void test_damage(void **state)
{
    (void)state;
    struct buf frame;
    struct rows in, out;
    make_events(ROWS / 2, &frame, &in);
    struct block *block = encode_slowly(&in);
    const struct dir_field *f = field_of(block, STR("Message"));
    assert_int_equal(f->stats.encoding, ENC_REFS);
    char *bytes = (char *)block_chunk_bytes(block).p + f->chunk.offset;
    for (int k = 0; k < 600; k++) {
        uint32_t at =
            8 + (k < 300 ? (uint32_t)k % (f->chunk.length - 8) : rnd_below(f->chunk.length - 8));
        char was = bytes[at];
        bytes[at] = (char)rnd_below(256);
        struct values v;
        struct predicate p;
        assert_ok(predicate_text(&other, STR("created"), &p));
        if (block_rows_open(block, STR("s"), &other, NULL, &out) == OK) {
            const struct column *col = &out.columns[message_of(&out)];
            if (col->ops->values(col, &other, &v) == OK)
                assert_int_equal(v.n, col->n);
            enum err err = col->ops->match(col, &p, &other, bitmap_new(&other, col->n));
            assert_true(err <= OK);
        }
        bytes[at] = was;
        arena_reset(&other);
    }
    block_unref(block);
    arena_reset(&arena);
    buf_release(&frame);
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    arena_init(&other, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_held_by_references),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_damage),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    arena_release(&other);
    return failed;
}
