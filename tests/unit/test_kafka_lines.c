/* Lines of a partition that become records: where they are cut, and that cuts change nothing. */
#include "golden_wire.h"
#include "test.h"

#include "input/kafka_lines.h"

static struct multiline *java;

static int setup(void **state)
{
    return multiline_new(STR("java"), &java) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    multiline_free(java);
    return 0;
}

static void add(struct kafka_lines *l, int64_t offset, const char *key, const char *value)
{
    struct kafka_message m = {offset, 1739620800000 + offset, str_c(key),
                              value ? str_c(value) : (struct str){0}};
    kafka_lines_add(l, &m);
}

/* The records of the first n lines, as the decoder reads them, behind `rows`. */
static void take(struct kafka_lines *l, uint32_t n, struct buf *rows)
{
    struct kafka_head head = {KAFKA_TEXT, true, STR("t"), 3};
    struct golden g;
    struct buf body;
    uint32_t records;
    golden_init(&g);
    buf_init(&body, SIZE_MAX);
    kafka_body_begin(&body, &head);
    kafka_lines_take(l, java, n, &body);
    assert_ok(golden_decode(&g, WIRE_KAFKA, buf_str(&body), &records));
    assert_int_equal(g.refused.n, 0);
    buf_put_str(rows, buf_str(&g.rows));
    buf_release(&body);
    golden_release(&g);
}

static void test_keys_are_told_apart(void **state)
{
    struct kafka_lines l;
    struct buf rows;
    kafka_lines_init(&l);
    buf_init(&rows, SIZE_MAX);
    add(&l, 10, "a", "Failed");
    add(&l, 11, "b", "Started");
    add(&l, 13, "a", "java.lang.Error: x");
    add(&l, 14, "c", NULL);
    add(&l, 15, "b", "Ended");
    add(&l, 16, "a", "\tat A.b(A.java:1)");
    add(&l, 17, "a", "Next");
    assert_int_equal(kafka_lines_before(&l, 14), 3);
    assert_int_equal(kafka_lines_before(&l, 12), 2);
    assert_int_equal(kafka_lines_before(&l, 10), 0);
    assert_int_equal(kafka_lines_before(&l, 99), 7);
    take(&l, 7, &rows);
    assert_int_equal(l.n, 0);
    assert_int_equal(kafka_lines_bytes(&l), 0);
    static const char *const want[] = {
        "\"message\":\"Failed\\njava.lang.Error: x\\n\\tat A.b(A.java:1)\"",
        "\"message\":\"Started\"",
        "\"message\":\"Ended\"",
        "\"message\":\"Next\"",
    };
    size_t at = 0;
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        size_t found = str_find(str_from(buf_str(&rows), at), str_c(want[i]));
        assert_int_not_equal(found, SIZE_MAX);
        at += found + strlen(want[i]);
    }
    assert_int_not_equal(str_find(buf_str(&rows), STR("\"offset\":10")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&rows), STR("\"offset\":13")), SIZE_MAX);
    assert_int_equal(str_find(buf_str(&rows), STR("\"offset\":14")), SIZE_MAX);
    buf_release(&rows);
    kafka_lines_release(&l);
}

static void test_what_is_open_stays(void **state)
{
    struct kafka_lines l;
    kafka_lines_init(&l);
    assert_int_equal(kafka_lines_whole(&l, java), 0);
    add(&l, 0, "a", "one, and long enough that it is the first half of the bytes or more of them");
    add(&l, 1, "a", "two");
    add(&l, 2, "b", "b begins");
    add(&l, 3, "a", "\tat A.b(A.java:1)");
    add(&l, 4, "b", "b ends");
    /* The record of lines 1 and 3 is open; so is the last of b. */
    assert_int_equal(kafka_lines_whole(&l, java), 1);
    add(&l, 5, "a", "three");
    add(&l, 6, "b", "three of b");
    /* Lines 1 and 3 are whole now; what is open begins behind them. */
    assert_int_equal(kafka_lines_whole(&l, java), 5);
    kafka_lines_release(&l);
}

static uint64_t seed;
static unsigned pick(unsigned n)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(seed >> 33) % n;
}

/* Cut anywhere that kafka_lines_whole says, the records are those of one cut. */
static void test_cuts_change_nothing(void **state)
{
    static const char *const keys[] = {"", "a", "bb"};
    for (seed = 1; seed < 40; seed++) {
        struct kafka_lines whole, parts;
        struct buf want, got;
        uint64_t own = seed;
        unsigned cuts = 0;
        kafka_lines_init(&whole);
        kafka_lines_init(&parts);
        buf_init(&want, SIZE_MAX);
        buf_init(&got, SIZE_MAX);
        for (int64_t i = 0; i < 3000; i++) {
            const char *key = keys[pick(3)];
            char text[40];
            snprintf(text, sizeof(text), pick(3) ? "\tat line%d" : "begins %d", (int)i);
            const char *value = pick(50) ? text : NULL;
            add(&whole, i * 2, key, value);
            add(&parts, i * 2, key, value);
            if (parts.n >= 200 && pick(100) == 0 && ++cuts)
                take(&parts, kafka_lines_whole(&parts, java), &got);
        }
        assert_true(cuts > 2);
        take(&whole, whole.n, &want);
        take(&parts, parts.n, &got);
        assert_true(str_eq(buf_str(&got), buf_str(&want)));
        seed = own;
        buf_release(&want);
        buf_release(&got);
        kafka_lines_release(&whole);
        kafka_lines_release(&parts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_are_told_apart),
        cmocka_unit_test(test_what_is_open_stays),
        cmocka_unit_test(test_cuts_change_nothing),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
