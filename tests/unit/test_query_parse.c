/* The pipes: what is understood, and errors that point at the place. */
#include "query/pipe.h"

#include "test.h"

static struct arena arena;

static struct query_tree parse(const char *text)
{
    struct query_tree tree;
    assert_ok(query_parse(str_c(text), &(struct filter_options){0}, &arena, &tree, NULL));
    return tree;
}

static void refuse(const char *text, size_t column, const char *part)
{
    struct query_tree tree;
    size_t at = SIZE_MAX;
    assert_err(query_parse(str_c(text), &(struct filter_options){0}, &arena, &tree, &at),
               ERR_INVALID, part);
    assert_non_null(strchr(err_text(), '^'));
    assert_int_equal(at + 1, column);
}

static void test_stats(void **state)
{
    struct query_tree t =
        parse("level:ERROR | stats count(), count(*) as all, p99.9(latency.ms), "
              "DISTINCT(user) as users by service, bin(1m) as minute, bin(size, 100)");
    assert_int_equal(t.n_pipes, 1);
    const struct pipe *p = &t.pipe[0];
    assert_int_equal(p->n_aggs, 4);
    assert_str(p->agg[0].name, "count");
    assert_int_equal(p->agg[1].field.n, 0);
    assert_str(p->agg[1].name, "all");
    assert_int_equal(p->agg[2].kind, AGG_PERCENTILE);
    assert_true(p->agg[2].quantile > 0.9989 && p->agg[2].quantile < 0.9991);
    assert_str(p->agg[2].name, "p99.9(latency.ms)");
    assert_int_equal(p->agg[3].kind, AGG_DISTINCT);
    assert_int_equal(p->n_by, 3);
    assert_str(p->by[0].field, "service");
    assert_true(p->by[1].bin_time && p->by[1].bin_ns == 60000000000LL);
    assert_str(p->by[1].name, "minute");
    assert_true(!p->by[2].bin_time && p->by[2].bin_width == 100);
}

static void test_others(void **state)
{
    struct query_tree t =
        parse("* | where count > 5 | sort -a, b desc, +c | limit 10 offset 20 | fields a, b c");
    assert_int_equal(t.n_pipes, 4);
    assert_int_equal(t.pipe[0].kind, PIPE_WHERE);
    const struct pipe *sort = &t.pipe[1];
    assert_int_equal(sort->n_keys, 3);
    assert_true(sort->key[0].descending && sort->key[1].descending && !sort->key[2].descending);
    assert_int_equal(t.pipe[2].limit, 10);
    assert_int_equal(t.pipe[2].offset, 20);
    assert_int_equal(t.pipe[3].n_fields, 3);
}

static void test_top(void **state)
{
    struct query_tree t = parse("a:b | top 3 host, service");
    assert_int_equal(t.n_pipes, 3);
    assert_int_equal(t.pipe[0].kind, PIPE_STATS);
    assert_int_equal(t.pipe[0].n_by, 2);
    assert_int_equal(t.pipe[1].kind, PIPE_SORT);
    assert_str(t.pipe[1].key[0].field, "count");
    assert_int_equal(t.pipe[2].limit, 3);
    assert_int_equal(parse("* | top host").pipe[2].limit, 10);
}

static void test_chart(void **state)
{
    struct query_tree t = parse("* | timechart span=5m limit=3 useother=f avg(ms), count by host "
                                "usenull=0 cont=no | fields a");
    assert_int_equal(t.n_pipes, 2);
    const struct pipe *p = &t.pipe[0];
    assert_int_equal(p->kind, PIPE_STATS);
    assert_int_equal(p->n_aggs, 2);
    assert_int_equal(p->n_by, 2);
    assert_str(p->by[0].field, "host");
    assert_true(p->by[0].required && p->by[1].bin_time && p->by[1].bin_ns == 300000000000LL);
    assert_true(p->chart->split && !p->chart->other && !p->chart->null && !p->chart->fill);
    assert_int_equal(p->chart->series, 3);
    p = &parse("* | timechart").pipe[0];
    assert_true(p->n_aggs == 1 && p->n_by == 1 && !p->chart->span_ns && p->chart->bins == 100);
}

static void test_rows(void **state)
{
    struct query_tree t = parse("* | dedup 3 host, svc keepempty=true sortby -ms b | rare 7 x y | "
                                "values (a, b) limit 4");
    assert_int_equal(t.pipe[0].kind, PIPE_SORT);
    assert_int_equal(t.pipe[0].n_keys, 2);
    assert_true(t.pipe[1].kind == PIPE_DEDUP && t.pipe[1].limit == 3 && t.pipe[1].keep_empty);
    assert_int_equal(t.pipe[1].n_by, 2);
    assert_true(t.pipe[2].kind == PIPE_STATS && t.pipe[2].n_by == 2 && !t.pipe[2].by[0].required);
    assert_true(!t.pipe[3].key[0].descending && t.pipe[4].limit == 7);
    assert_true(t.pipe[5].by[0].required && t.pipe[6].key[0].descending && t.pipe[7].limit == 4);
    t = parse("* | unnest a.b as c | unroll by (d) | mvexpand e");
    assert_str(t.pipe[0].from, "a.b");
    assert_str(t.pipe[0].into, "c");
    assert_str(t.pipe[1].into, "d");
    assert_int_equal(t.pipe[2].kind, PIPE_UNNEST);
}

static void extracts(const char *pipe, const char *from, const char *fields)
{
    const struct grok_field *field;
    char text[200], got[200] = "";
    snprintf(text, sizeof(text), "* | %s", pipe);
    struct query_tree t = parse(text);
    assert_int_equal(t.pipe[0].kind, PIPE_EXTRACT);
    assert_str(t.pipe[0].from, from);
    uint32_t n = extractor_fields(t.pipe[0].extractor, &field);
    for (uint32_t i = 0, at = 0; i < n; i++)
        at += (uint32_t)snprintf(got + at, sizeof(got) - at, "%s%.*s", i ? "," : "",
                                 STR_ARG(field[i].name));
    assert_string_equal(got, fields);
}

static void test_extract(void **state)
{
    extracts("extract /(?<a>x|y)\\/(?<b>z)/ from log", "log", "a,b");
    extracts("extract \"%{IP:ip} [<x>] | q\"", "message", "ip");
    extracts("extract \"a=<a> b=<b>\" from log | limit 1", "log", "a,b");
    extracts("extract 'it \\'(?<a>x)' from f", "f", "a");
    extracts("rex field=_raw \"(?<user>\\w+)@\"", "_raw", "user");
    extracts("rex \"(?P<user>\\w+) %{x\"", "message", "user");
    extracts("extract_regexp `\"(?<q>[^\"]*)\"` from m", "m", "q");
    extracts("grok line \"%{WORD:w} <%{INT:i:int}>\"", "line", "w,i");
}

static void where_is(const char *where, const char *filter)
{
    char text[200];
    struct buf got, want;
    buf_init(&got, SIZE_MAX);
    buf_init(&want, SIZE_MAX);
    snprintf(text, sizeof(text), "* | where %s", where);
    filter_write(parse(text).pipe[0].where, &got);
    filter_write(parse(filter).filter, &want);
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, got.n);
    buf_release(&got);
    buf_release(&want);
}

static void test_where(void **state)
{
    where_is("count > 5", "count:>5");
    where_is("count >= 5 AND a <= 3", "count:>=5 AND a:<=3");
    where_is("a = \"x | y\"", "a:=\"x | y\"");
    where_is("a == b", "a:=b");
    where_is("a != b", "NOT a:=b");
    where_is("a:b OR /x > y/", "a:b OR /x > y/");
    assert_int_equal(parse("* | where a:b || c:d | limit 1").n_pipes, 2);
}

static void test_errors(void **state)
{
    refuse("* | stat count()", 5, "did you mean 'stats'?");
    refuse("* | stats cuont()", 11, "did you mean count()?");
    refuse("* | stats sum", 14, "sum needs a field");
    refuse("* | stats sum()", 11, "needs a field");
    refuse("* | limit x", 11, "a whole number is expected");
    refuse("* | sort", 9, "a field name is expected");
    refuse("* |", 4, "a pipe is expected");
    refuse("* | stats count() by bin(banana)", 26, "a width is expected");
    refuse("* | stats count() service", 19, "not understood");
    refuse("* | dedpu host", 5, "did you mean 'dedup'?");
    refuse("* | dedup", 10, "a field name is expected");
    refuse("* | dedup 0 host", 11, "from 1 to 10000");
    refuse("* | dedup host keep=1", 16, "keepempty=true");
    refuse("* | dedup host keepempty=maybe", 26, "true or false");
    refuse("* | timechart spam=1m", 15, "span=1m");
    refuse("* | timechart span=soon", 20, "a width of time");
    refuse("* | timechart limit=2000", 21, "up to 1000");
    refuse("* | timechart by a, b", 19, "splits by one field");
    refuse("* | rare limit=x host", 16, "a whole number");
    refuse("* | top lim=3 host", 9, "limit=10");
    refuse("* | values (a, b", 17, "')' is expected");
    refuse("* | unnest a, b", 13, "one field is taken apart at a time");
    refuse("* | unnest", 11, "a field name is expected");
    refuse("* | extract", 12, "a pattern is expected");
    refuse("* | extract /(?<a>x", 13, "never closed");
    refuse("* | extract /a\\/(?<a>x/", 23, "missing closing parenthesis");
    refuse("* | extract \"a %{IPP:a}\"", 16, "did you mean %{IP}?");
    refuse("* | extract \"nothing\"", 14, "name what is wanted");
    refuse("* | rex mode=sed \"s/a/b/\"", 9, "field=message");
    refuse("* | stats by service count()", 14, "'(' is expected");
}

static int set_up(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static int tear_down(void **state)
{
    arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stats),   cmocka_unit_test(test_others), cmocka_unit_test(test_top),
        cmocka_unit_test(test_where),   cmocka_unit_test(test_chart),  cmocka_unit_test(test_rows),
        cmocka_unit_test(test_extract), cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
