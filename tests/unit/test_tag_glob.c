/* Patterns of tags, as queries on records. */
#include "test.h"

#include "core/buf.h"
#include "filter/eval.h"
#include "filter/filter.h"
#include "pipeline/tag_glob.h"
#include "record/batch.h"

static bool fits(const char *pattern, const char *tag)
{
    struct filter_options o = {0};
    const struct filter *filter;
    struct arena arena;
    struct buf query;
    struct rows rows;
    uint64_t bits = 0;
    struct batch *b = batch_new();
    arena_init(&arena, 0, NULL);
    buf_init(&query, SIZE_MAX);
    assert_ok(tag_glob_query(str_c(pattern), &query));
    batch_begin(b);
    batch_text(b, STR("tag"), LANE_STR, str_c(tag));
    batch_end(b, 0, STR("{}"));
    batch_view(b, &arena, &rows);
    assert_ok(filter_parse(buf_str(&query), &o, &arena, &filter, NULL, NULL));
    assert_ok(filter_eval(filter, &rows, &arena, &bits));
    arena_release(&arena);
    buf_release(&query);
    batch_free(b);
    return bits & 1;
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *tag;
        bool fits;
    } cases[] = {
        {"app.nginx", "app.nginx", true},
        {"app.nginx", "app.nginx.access", false},
        {"app.nginx", "appxnginx", false},
        {"app.*", "app.nginx", true},
        {"app.*", "app", false},
        {"app.*", "app.nginx.access", false},
        {"app.n*x", "app.nginx", true},
        {"app.**", "app", true},
        {"app.**", "app.nginx", true},
        {"app.**", "app.nginx.access", true},
        {"app.**", "apple", false},
        {"**", "fluent.info", true},
        {"**.error", "error", true},
        {"**.error", "app.error", true},
        {"**.error", "apperror", false},
        {"app.**.error", "app.error", true},
        {"app.**.error", "app.a.b.error", true},
        {"app.**.error", "app.a.b.info", false},
        {"{app,web}.*", "web.x", true},
        {"{app,web}.*", "db.x", false},
        {"app.** web.**", "web", true},
        {" app.**  web.** ", "db", false},
        {"a/b-c.+", "a/b-c.+", true},
        {"fluent.info", "fluent.info", true},
        {"Größe.*", "Größe.x", true},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        if (fits(cases[i].pattern, cases[i].tag) != cases[i].fits)
            fail_msg("%s and %s", cases[i].pattern, cases[i].tag);
}

static void test_bad_patterns(void **state)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    assert_err(tag_glob_query(STR("{app.*"), &out), ERR_INVALID, "not closed");
    assert_err(tag_glob_query(STR("  "), &out), ERR_INVALID, "is wanted");
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_bad_patterns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
