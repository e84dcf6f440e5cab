/* Kafka's messages as records. tests/golden/wire/make/kafka.py writes what is read here. */
#include "golden_wire.h"

#include "wire/kafka.h"

static void test_golden(void **state)
{
    golden_file("kafka-json", WIRE_KAFKA_JSON);
    golden_file("kafka-json-place", WIRE_KAFKA);
    golden_file("kafka-auto", WIRE_KAFKA);
    golden_file("kafka-mixed", WIRE_KAFKA);
    golden_file("kafka-msgpack", WIRE_KAFKA);
    golden_file("kafka-refused", WIRE_KAFKA);
}

static void test_a_body_that_breaks_off(void **state)
{
    struct golden g;
    struct buf body;
    uint32_t records;
    struct kafka_head head = {KAFKA_TEXT, false, STR("t"), 7};
    struct kafka_message m = {.offset = 5, .time_ms = -1, .value = STR("line")};
    buf_init(&body, 1024);
    kafka_body_begin(&body, &head);
    size_t begin = body.n;
    kafka_body_add(&body, &m);
    golden_init(&g);
    assert_ok(golden_decode(&g, WIRE_KAFKA, buf_str(&body), &records));
    assert_int_equal(records, 1);
    for (size_t n = 0; n < body.n; n++) {
        enum err err = golden_decode(&g, WIRE_KAFKA, str_of(body.p, n), &records);
        assert_int_equal(err, n == begin ? OK : ERR_INVALID);
    }
    golden_release(&g);
    buf_release(&body);
}

static void test_units(void **state)
{
    struct frame_info agent = {.producer = 9, .epoch = 4, .sequence = 77, .part = 0}, none = {0};
    struct kafka_unit a, b, c;
    kafka_unit_of(&agent, STR("t"), 1, 500, &a);
    kafka_unit_of(&agent, STR("t"), 1, 900, &b);
    assert_memory_equal(&a, &b, sizeof(a)); /* wherever in the partition it stands */
    assert_int_equal(a.producer, 9);
    assert_int_equal(a.sequence, 77);
    agent.part = 1;
    kafka_unit_of(&agent, STR("t"), 1, 500, &c);
    assert_int_not_equal(a.epoch, c.epoch);
    agent.part = 0;
    kafka_unit_of(&agent, STR("t"), 2, 500, &c);
    assert_int_not_equal(a.epoch, c.epoch);
    kafka_unit_of(&none, STR("t"), 1, 500, &a);
    kafka_unit_of(&none, STR("t"), 1, 501, &b);
    assert_true(a.producer && a.producer == b.producer && a.epoch == b.epoch);
    assert_int_equal(b.sequence, a.sequence + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_a_body_that_breaks_off),
        cmocka_unit_test(test_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
