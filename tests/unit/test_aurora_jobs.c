/* The queue of files that wait: turns of instances, one reader a strand, what is merged. */
#include "test.h"

#include "aurora/jobs.h"
#include "core/clock.h"

static void put(struct jobs *j, const char *instance, const char *file, int64_t written_ms)
{
    struct logfile_message m = {.instance_id = str_c(instance),
                                .log_file_name = str_c(file),
                                .log_type = STR("slowquery"),
                                .size = 1,
                                .last_written_ms = written_ms};
    assert_ok(jobs_put(j, &m, NULL));
}

static struct job *expect(struct jobs *j, const char *instance, const char *file)
{
    struct job *job = jobs_take(j, 0);
    assert_non_null(job);
    assert_true(str_eq_c(job->m.instance_id, instance));
    assert_true(str_eq_c(job->m.log_file_name, file));
    return job;
}

static void test_instances_take_turns(void **state)
{
    (void)state;
    struct jobs *j = jobs_new();
    put(j, "much", "slow.log.1", 1);
    put(j, "much", "slow.log.2", 2);
    put(j, "much", "slow.log.3", 3);
    put(j, "little", "slow.log", 4);
    put(j, "other", "slow.log", 5);
    put(j, "other", "slow.log.1", 6);
    static const char *const order[][2] = {{"much", "slow.log.1"},  {"little", "slow.log"},
                                           {"other", "slow.log"},   {"much", "slow.log.2"},
                                           {"other", "slow.log.1"}, {"much", "slow.log.3"}};
    for (size_t i = 0; i < sizeof(order) / sizeof(*order); i++)
        assert_null(jobs_done(j, expect(j, order[i][0], order[i][1])));
    assert_null(jobs_take(j, 0));
    assert_int_equal(jobs_waiting(j), 0);
    jobs_free(j, NULL, NULL);
}

static void test_a_large_file_is_read_by_shares(void **state)
{
    (void)state;
    struct jobs *j = jobs_new();
    put(j, "large", "slow.log", 1);
    put(j, "a", "slow.log", 2);
    put(j, "b", "slow.log", 3);
    struct job *job = expect(j, "large", "slow.log");
    jobs_again(j, job, 0); /* its share is read */
    jobs_done(j, expect(j, "a", "slow.log"));
    jobs_done(j, expect(j, "b", "slow.log"));
    jobs_done(j, expect(j, "large", "slow.log"));
    jobs_free(j, NULL, NULL);
}

static void test_one_reader_a_strand(void **state)
{
    (void)state;
    struct jobs *j = jobs_new();
    put(j, "a", "slow.log.1", 1);
    put(j, "a", "slow.log", 2);
    put(j, "a", "error.log", 3);
    struct job *first = expect(j, "a", "slow.log.1");
    struct job *error = expect(j, "a", "error.log");
    assert_null(jobs_take(j, 0));
    jobs_again(j, first, 3600 * NS_PER_S);
    jobs_done(j, expect(j, "a", "slow.log"));
    jobs_done(j, error);
    assert_null(jobs_take(j, 10)); /* it is not due */
    assert_int_equal(jobs_waiting(j), 1);
    jobs_free(j, NULL, NULL);
}

static unsigned given;
static void give_back(void *ctx, struct job_token *token)
{
    assert_ptr_equal(ctx, token);
    given++;
}

static void test_what_waits_is_as_old_as_its_first_message(void **state)
{
    (void)state;
    struct jobs *j = jobs_new();
    struct job_token token = {0};
    assert_int_equal(jobs_oldest_ms(j), 0);
    put(j, "a", "slow.log", 100);
    put(j, "a", "slow.log", 200);
    struct logfile_message m = {.instance_id = STR("a"),
                                .log_file_name = STR("slow.log"),
                                .log_type = STR("slowquery"),
                                .size = 7,
                                .last_written_ms = 300};
    assert_ok(jobs_put(j, &m, &token));
    assert_int_equal(jobs_waiting(j), 1);
    assert_int_equal(jobs_oldest_ms(j), 100);
    struct job *job = expect(j, "a", "slow.log");
    assert_int_equal(job->m.last_written_ms, 300);
    assert_int_equal(job->m.size, 7);
    assert_int_equal(jobs_oldest_ms(j), 100); /* it is read */
    put(j, "a", "slow.log", 400);
    jobs_again(j, job, 0);
    assert_int_equal(jobs_waiting(j), 2);
    job = expect(j, "a", "slow.log");
    assert_ptr_equal(job->token, NULL); /* the one put meanwhile goes first: it came first */
    jobs_done(j, job);
    assert_int_equal(jobs_oldest_ms(j), 100);
    jobs_free(j, give_back, &token);
    assert_int_equal(given, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_instances_take_turns),
        cmocka_unit_test(test_a_large_file_is_read_by_shares),
        cmocka_unit_test(test_one_reader_a_strand),
        cmocka_unit_test(test_what_waits_is_as_old_as_its_first_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
