/* The state in SQLite: conditions, lists, several at a time; strands and checkpoints on it. */
#include "arena_kit.h"

#include "aurora/progress.h"
#include "core/clock.h"

static struct state *s, *other;
static char folder[300], path[340];

static int open_two(void **state)
{
    setup(state);
    snprintf(folder, sizeof(folder), "%s", test_dir());
    snprintf(path, sizeof(path), "%s/state.db", folder);
    assert_ok(state_open_sqlite(path, &s));
    assert_ok(state_open_sqlite(path, &other)); /* as another process would */
    return 0;
}

static int close_two(void **state)
{
    state_close(s);
    state_close(other);
    test_rmdir(folder);
    return teardown(state);
}

static const struct state_key key = {{"db-1", 4}, {"error/x.log", 11}};

static void test_conditions(void **state)
{
    struct state_item set = {0}, got;
    const struct state_cond absent = {.op = STATE_NO_ITEM};
    const struct state_cond is_1 = {.op = STATE_IS_INT, .name = "n", .number = 1};
    const struct state_cond is_a = {.op = STATE_IS_TEXT, .name = "t", .text = STR("a")};
    const struct state_cond no_x = {.op = STATE_NO_ATTR, .name = "x"};
    state_set_text(&set, "t", STR("a"));
    state_set_int(&set, "n", 1);
    assert_ok(state_update(s, STATE_FILES, key, &set, &absent, 1));
    assert_err(state_update(other, STATE_FILES, key, &set, &absent, 1), ERR_CONFLICT, "db-1");
    const struct state_cond all[] = {is_1, is_a, no_x};
    struct state_item more = {0};
    state_set_int(&more, "x", -5);
    assert_ok(state_update(other, STATE_FILES, key, &more, all, 3));
    assert_err(state_update(s, STATE_FILES, key, &more, all, 3), ERR_CONFLICT, "changed");
    assert_ok(state_get(s, STATE_FILES, key, &arena, &got));
    assert_str(state_text(&got, "t"), "a");
    assert_int_equal(state_int(&got, "x"), -5);
    assert_str(state_text(&got, "log_file_name"), "error/x.log");
    assert_err(state_remove(s, STATE_FILES, key, &no_x, 1), ERR_CONFLICT, "changed");
    assert_ok(state_remove(s, STATE_FILES, key, &is_1, 1));
    assert_ok(state_remove(s, STATE_FILES, key, NULL, 0));
    assert_err(state_get(other, STATE_FILES, key, &arena, &got), ERR_NOTFOUND, "db-1");
    assert_err(state_get(s, STATE_FILES, (struct state_key){STR("x"), STR("")}, &arena, &got),
               ERR_INVALID, "key");
}

static enum err count_item(void *ctx, const struct state_item *item)
{
    *(int *)ctx += 1;
    return OK;
}

static void test_lists_and_expiry(void **state)
{
    int n = 0;
    for (int i = 0; i < 700; i++) {
        struct state_item set = {0};
        char name[20];
        snprintf(name, sizeof(name), "f%d", i);
        state_set_int(&set, "expires_at", i < 10 ? 1 : 0);
        assert_ok(state_update(s, STATE_FILES,
                               (struct state_key){i % 2 ? STR("b") : STR("a"), str_c(name)}, &set,
                               NULL, 0));
    }
    assert_ok(state_each(other, STATE_FILES, STR(""), count_item, &n));
    assert_int_equal(n, 700);
    n = 0;
    assert_ok(state_each(other, STATE_FILES, STR("a"), count_item, &n));
    assert_int_equal(n, 350);
    n = 0;
    assert_ok(state_each(other, STATE_CHECKPOINTS, STR(""), count_item, &n));
    assert_int_equal(n, 0);
    assert_ok(state_forget(s));
    assert_ok(state_each(other, STATE_FILES, STR(""), count_item, &n));
    assert_int_equal(n, 690);
}

static void test_one_holds_a_strand(void **state)
{
    struct strand a, b;
    struct str db = STR("db-1"), file = STR("error/x.log");
    clock_set_ns(1000 * NS_PER_S);
    assert_ok(strand_claim(s, db, file, "other-host/1/a/0", 60, &a));
    assert_int_equal(a.next, 1);
    assert_err(strand_claim(other, db, STR("error/x.log.3"), "third-host/1/b/0", 60, &b), ERR_AGAIN,
               "held");
    a.pending = (struct strand_unit){.from = 5, .to = 9, .arrival_ns = 77};
    snprintf(a.pending.file, sizeof(a.pending.file), "error/x.log");
    assert_ok(strand_announce(s, &a));
    clock_set_ns(1061 * NS_PER_S); /* its lease is over */
    assert_ok(strand_claim(other, db, file, "third-host/1/b/0", 60, &b));
    assert_true(b.has_pending);
    assert_int_equal(b.pending.to, 9);
    assert_int_equal(b.pending.sequence, 1);
    assert_int_equal(b.pending.arrival_ns, 77);
    assert_int_equal(b.next, 2);
    assert_int_equal(a.epoch, b.epoch);
    assert_int_equal(a.producer, b.producer);
    assert_err(strand_announce(s, &a), ERR_CONFLICT, "changed"); /* fenced off */
    strand_release(s, &a);                                       /* changes nothing */
    assert_err(strand_claim(s, db, file, "other-host/1/a/0", 60, &a), ERR_AGAIN, "held");
    strand_release(other, &b);
    assert_ok(strand_claim(s, db, file, "other-host/1/a/0", 60, &a));
    clock_set_ns(0);
}

static void test_the_dead_hold_nothing(void **state)
{
    struct strand a, b;
    char mine[200], dead[220];
    strand_owner_make(mine);
    struct str host = str_of(mine, str_find_byte(str_c(mine), '/', 0));
    snprintf(dead, sizeof(dead), "%.*s/999999999/x/0", STR_ARG(host));
    assert_ok(strand_claim(s, STR("db"), STR("a.log"), dead, 3600, &a));
    assert_ok(strand_claim(s, STR("db"), STR("a.log"), mine, 3600, &b));
    assert_int_equal(b.fence, 2);
}

static void test_checkpoints(void **state)
{
    struct checkpoint none, c = {.exists = true, .offset = 10, .generation = 1}, got;
    snprintf(c.marker, sizeof(c.marker), "7:10");
    assert_ok(checkpoint_load(s, key.hash, key.range, &none));
    assert_false(none.exists);
    assert_string_equal(none.marker, "0");
    assert_ok(checkpoint_store(s, key.hash, key.range, NULL, &c));
    assert_err(checkpoint_store(other, key.hash, key.range, NULL, &c), ERR_CONFLICT, "changed");
    assert_ok(checkpoint_load(other, key.hash, key.range, &got));
    assert_int_equal(got.offset, 10);
    assert_string_equal(got.marker, "7:10");
    struct checkpoint next = got;
    next.offset = 20;
    assert_ok(checkpoint_store(s, key.hash, key.range, &got, &next));
    assert_err(checkpoint_store(other, key.hash, key.range, &got, &next), ERR_CONFLICT, "changed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conditions, open_two, close_two),
        cmocka_unit_test_setup_teardown(test_lists_and_expiry, open_two, close_two),
        cmocka_unit_test_setup_teardown(test_one_holds_a_strand, open_two, close_two),
        cmocka_unit_test_setup_teardown(test_the_dead_hold_nothing, open_two, close_two),
        cmocka_unit_test_setup_teardown(test_checkpoints, open_two, close_two),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
