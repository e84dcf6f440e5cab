/* The words that templates know of their texts are those of the texts. */
#include "record/words.h"
#include "rows_util.h"
#include "store/encoding_ops.h"
#include "store/template_tokens.h"
#include "words_kit.h"

enum { TEXTS = 2000 };

static struct arena arena;

/* Variables with letters on either side, next to each other, with units, beside other scripts. */
static int make_text(uint32_t kind, char *to, size_t size)
{
    uint32_t a = rnd_below(1000000), b = rnd_below(40);
    switch (kind) {
    case 0:
        return snprintf(to, size, "took %ums at eth%u, id_%08x ok", a, b, a * 7919);
    case 1:
        return snprintf(to, size, "%u", a);
    case 2:
        return snprintf(to, size, "x%uy%uz /var/log/%x.log", a, b, a);
    case 3:
        return snprintf(to, size, "naïve%uслово %u日本%u", a, b, a);
    case 4:
        return snprintf(to, size, "\xff%u\xc3 tail%u\x1a", a, b);
    case 5:
        return snprintf(to, size, "2025-02-15 12:00:%02u.%03u done %u%%", b, b, a);
    case 6:
        return snprintf(to, size, "size %12u bytes (%u.%02ukB)", a, a, b);
    case 7:
        return snprintf(to, size, "from %llu to %17.3f", a * 12345678ULL, a * 7654321.0);
    case 8:
        return snprintf(to, size, "at 12:00:%02u.%03u, 2025-02-%02u from 10.0.%u.%u took %u.%umin",
                        b, a % 1000, b % 28 + 1, b, a % 256, b, a);
    case 9:
        return snprintf(to, size,
                        "time：%u，%08x。 «%u» "
                        "\xe3\x80%u\xef\xbc %u–%u…",
                        a, a * 7919, b, a, b, a);
    default:
        return snprintf(to, size, "same again and again");
    }
}

enum about { NOTHING, NUMBERS, DICTIONARIES };

/* What encoders say of a slot; a dictionary is shared by all slots of the template. */
static struct slot_tokens tokens_of(const struct templates *t, const struct text_template *x,
                                    uint32_t slot, enum about about)
{
    const struct var_look *look = &x->look[x->slot[slot]];
    if (about == NUMBERS && look->numeral)
        return (struct slot_tokens){.numbers = !look->number.zeros,
                                    .quantities = look->number.whole <= WORDS_QUANTITY_DIGITS,
                                    .frac = look->number.frac};
    if (about != DICTIONARIES)
        return (struct slot_tokens){0};
    uint32_t *code = ARENA_ARRAY(&arena, uint32_t, x->rows);
    struct values *dict = ARENA_NEW(&arena, struct values);
    struct text_out out;
    assert_ok(text_out_init(&out, x->rows, (uint64_t)x->rows * 128, &arena));
    for (uint32_t r = 0; r < x->rows; r++) { /* each value its own entry */
        text_out_add(&out, templates_var(t, x->row[r], x->slot[slot]));
        code[r] = r;
    }
    *dict = text_out_values(&out, LANE_STR);
    return (struct slot_tokens){.code = code, .dict = dict};
}

static struct values make_texts(void)
{
    char *bytes = arena_alloc(&arena, TEXTS * 128);
    uint32_t *off = ARENA_ARRAY(&arena, uint32_t, TEXTS + 1);
    for (uint32_t i = 0; i < TEXTS; i++)
        off[i + 1] = off[i] + (uint32_t)make_text(rnd_below(10), bytes + off[i], 128);
    return (struct values){.n = TEXTS, .lane = LANE_STR, .off = off, .bytes = bytes};
}

static void check(enum about about)
{
    struct values v = make_texts();
    struct templates t;
    assert_true(templates_find(&v, TEMPLATE_JOINED, TEMPLATE_REPEATS, NULL, &arena, &t));
    struct words want = words_of(&v, &arena), got = words_none(&arena);
    uint32_t n = 0;
    for (uint32_t i = 0; i < t.n; i++)
        n += t.t[i].n_slots;
    struct slot_tokens *slot = ARENA_ARRAY(&arena, struct slot_tokens, n + 1);
    for (uint32_t i = 0, s = 0; i < t.n; i++)
        for (uint32_t k = 0; k < t.t[i].n_slots; k++)
            slot[s++] = tokens_of(&t, &t.t[i], k, about);
    struct word_sink sink = {.fn = words_take, .ctx = &got};
    template_tokens_put(&t, slot, &sink, &arena);
    assert_true(sink.done);
    assert_true(got.n < want.n);
    assert_same_words(&want, &got);
    arena_reset(&arena);
}

static size_t chunk_bytes;
static void take_bound(void *ctx, size_t bytes)
{
    (void)ctx;
    chunk_bytes = bytes;
}

/* What the encoder knows of its slots tells the same; who is full is asked for no more. */
static void check_encoder(int level)
{
    struct values v = make_texts();
    int64_t *time = ARENA_ARRAY(&arena, int64_t, v.n);
    struct words want = words_of(&v, &arena), got = words_none(&arena);
    struct word_sink sink = {.fn = words_take, .ctx = &got, .bound = take_bound};
    struct encode_options o = {.zstd_level = level, .time = time, .words = &sink};
    struct chunk_stats stats;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_ok(chunk_encode(&v, &o, &arena, &out, &stats));
    assert_int_equal(stats.encoding, ENC_TEMPLATE);
    assert_true(sink.done);
    assert_same_words(&want, &got);
    assert_true(chunk_bytes >= out.n);
    static const bool full = true;
    got = words_none(&arena);
    sink.full = &full;
    sink.done = false;
    assert_ok(chunk_encode(&v, &o, &arena, &out, &stats));
    assert_true(sink.done && got.n == 0);
    buf_release(&out);
    arena_reset(&arena);
}

static void test_words_of_encoder(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        check_encoder(i % 2 ? 9 : ENCODE_QUICK_LEVEL);
}

static void test_words_of_templates(void **state)
{
    (void)state;
    for (int i = 0; i < 30; i++)
        check((enum about)(i % 3));
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_words_of_templates),
                                       cmocka_unit_test(test_words_of_encoder)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
