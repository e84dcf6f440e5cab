/* What parts of texts are seen is all of them, each at least once. */
#include "store/parts_seen.h"

#include "core/buf.h"
#include "test.h"

enum { TEXTS = 400, TEXT_MAX = 4000, TABLE = 64 };

static struct buf seen;
static uint32_t calls;

static void add(void *ctx, struct str part)
{
    (void)ctx;
    assert_true(part.n > 0);
    calls++;
    buf_put_str(&seen, part);
    buf_put_byte(&seen, '\n');
}

static bool was_seen(const char *word)
{
    buf_put_byte(&seen, 0);
    seen.n--;
    return strstr(seen.p, word) != NULL;
}

/* Lists of lines that share their parts: every word is seen, and few parts are twice. */
static void test_every_part_is_seen(void **state)
{
    (void)state;
    struct arena a;
    struct parts_seen p;
    arena_init(&a, 0, NULL);
    buf_init(&seen, SIZE_MAX);
    char *text = arena_alloc(&a, (size_t)TEXTS * TEXT_MAX);
    parts_seen_init(&p, TABLE, &a);
    for (uint32_t i = 0; i < TEXTS; i++, text += TEXT_MAX) {
        int n = snprintf(text, TEXT_MAX, "text<%u> begins,\n", i);
        for (uint32_t k = 0; k < i % 40; k++)
            n += snprintf(text + n, (size_t)(TEXT_MAX - n), "item<%u>, of<%u>%s", k % 7, i % 5,
                          k % 31 == 30 ? "\n" : ", ");
        parts_each(&p, str_of(text, (size_t)n), add, NULL);
    }
    for (uint32_t i = 0; i < TEXTS; i++) {
        char word[32];
        (void)snprintf(word, sizeof(word), "text<%u> begins", i);
        assert_true(was_seen(word));
        (void)snprintf(word, sizeof(word), "item<%u>,", i % 7);
        assert_true(was_seen(word));
        (void)snprintf(word, sizeof(word), "of<%u>", i % 5);
        assert_true(was_seen(word));
    }
    assert_true(calls < TEXTS * 8); /* of 40 parts a text */
    buf_release(&seen);
    arena_release(&a);
}

/* Where texts are cut, and that short ones are not. */
static void test_where_texts_are_cut(void **state)
{
    (void)state;
    struct arena a;
    struct parts_seen p;
    char line[PARTS_LIST_FROM + 64];
    arena_init(&a, 0, NULL);
    buf_init(&seen, SIZE_MAX);
    parts_seen_init(&p, TABLE, &a);
    calls = 0;
    parts_each(&p, STR("a\nb,c"), add, NULL);
    assert_int_equal(calls, 1);
    parts_each(&p, STR(""), add, NULL);
    parts_each(&p, STR("a\nb,c"), add, NULL);
    assert_int_equal(calls, 1);
    memset(line, 'x', sizeof(line));
    line[10] = '\n';
    line[20] = ',';
    line[sizeof(line) - 1] = ',';
    parts_each(&p, str_of(line, sizeof(line)), add, NULL);
    assert_int_equal(calls, 4);
    parts_each(&p, str_of(line, PARTS_LIST_FROM), add, NULL); /* its second line is no list */
    assert_int_equal(calls, 5);
    buf_release(&seen);
    arena_release(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_part_is_seen),
        cmocka_unit_test(test_where_texts_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
