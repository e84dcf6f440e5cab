/* What is a variable, and what a pattern is called. */
#include "record/template_cut.h"

#include "core/buf.h"
#include "core/hash.h"
#include "test.h"

static void assert_pattern(const char *text, const char *want)
{
    struct buf pattern;
    buf_init(&pattern, SIZE_MAX);
    template_pattern(str_c(text), &pattern);
    assert_str(buf_str(&pattern), want);
    assert_true(template_id(buf_str(&pattern)) == template_id_of(str_c(text)));
    assert_true(template_id_of(buf_str(&pattern)) == template_id_of(str_c(text)));
    buf_release(&pattern);
}

static void test_patterns(void **state)
{
    (void)state;
    assert_pattern("", "");
    assert_pattern("no variable here", "no variable here");
    assert_pattern("Payment failed: timeout after 5000 ms", "Payment failed: timeout after <*> ms");
    assert_pattern("took 15ms on eth0", "took <*>ms on eth<*>");
    assert_pattern("10.0.0.1:80 opened /var/log/syslog", "<*> opened /<*>");
    assert_pattern("2025-02-15 12:00:00,123 up", "<*> up");
    assert_pattern("used    7 of 12", "used <*> of <*>");
    assert_pattern("id 3f2a9c1be0", "id <*>");
    assert_pattern("req_1f, \xc3\xa4 9", "<*>, \xc3\xa4 <*>");
}

/* A text with the byte that stands for a hole is left as it is. */
static void test_hole_in_text(void **state)
{
    (void)state;
    assert_pattern("a \x1a b 7", "a \x1a b 7");
    assert_true(template_id_of(STR("a \x1a b")) != template_id_of(STR("a 7 b")));
}

/* Users note ids: they may never change. */
static void test_ids_are_for_good(void **state)
{
    (void)state;
    assert_true(template_id_of(STR("took 15 ms")) == template_id_of(STR("took 7 ms")));
    assert_true(template_id_of(STR("took 15 ms")) == 0x8d420d4ac559e9a3);
    assert_true(template_id_of(STR("")) == 0x2d06800538d394c2);
}

static void test_ids_as_text(void **state)
{
    (void)state;
    char text[TEMPLATE_ID_TEXT];
    uint64_t id;
    template_id_write(0x0123456789abcdef, text);
    assert_str(str_of(text, sizeof(text)), "0123456789abcdef");
    assert_true(template_id_read(str_of(text, sizeof(text)), &id));
    assert_true(id == 0x0123456789abcdef);
    assert_true(template_id_read(STR("00FF00ff00FF00ff"), &id) && id == 0x00ff00ff00ff00ff);
    assert_false(template_id_read(STR("0123456789abcde"), &id));
    assert_false(template_id_read(STR("0123456789abcdef0"), &id));
    assert_false(template_id_read(STR("0123456789abcdeg"), &id));
    assert_false(template_id_read(STR(""), &id));
}

static void test_many_variables(void **state)
{
    (void)state;
    struct buf text;
    struct template_var var[TEMPLATE_VARS_MAX];
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < TEMPLATE_VARS_MAX + 5; i++)
        buf_put_c(&text, "1 ");
    assert_int_equal(template_vars(buf_str(&text), TEMPLATE_JOINED, var), TEMPLATE_VARS_MAX);
    buf_release(&text);
}

/* What stands before a text, without digits and slashes, moves its variables and does no more. */
static void test_cut_wherever_it_stands(void **state)
{
    (void)state;
    static const char *const text[] = {"12:30:01.5 took 15ms at eth0",
                                       "a/b c/d/e /var/log/x C:\\dir\\f, id=9f86d081884c7d65",
                                       "1",
                                       "x1",
                                       "n\xc3\xa4ive7 10.0.0.1:80->[::1] 50%",
                                       "no variable at all",
                                       "2025-02-15 12:00:00,123 [main]"};
    static struct template_var want[TEMPLATE_VARS_MAX], got[TEMPLATE_VARS_MAX];
    for (size_t k = 0; k < sizeof(text) / sizeof(*text); k++)
        for (size_t before = 0; before < 70; before++)
            for (int cut = 0; cut < 2; cut++) {
                char s[256];
                for (size_t i = 0; i < before; i++)
                    s[i] = "word, and_more-of (it) "[i % 23];
                int n = snprintf(s + before, sizeof(s) - before, "(%s", text[k]);
                struct str whole = str_of(s, before + (size_t)n);
                uint32_t n_want = template_vars(str_c(text[k]), (enum template_cut)cut, want);
                assert_int_equal(template_vars(whole, (enum template_cut)cut, got), n_want);
                for (uint32_t v = 0; v < n_want; v++) {
                    assert_int_equal(got[v].from, want[v].from + before + 1);
                    assert_int_equal(got[v].to, want[v].to + before + 1);
                }
            }
}

static bool is_mark(char c)
{
    return c && strchr(".:-/\\@+%", c);
}

static bool is_word(char c)
{
    return c && !is_mark(c) && !strchr(" ,(", c);
}

/* A token that is neither a number nor a name, of any length: where it ends, byte by byte. */
static void test_where_tokens_end(void **state)
{
    (void)state;
    static const char any[] = "abcdefgh0123456789_Z\xc3\xa4.:-/\\@+%a1b2c3d4e5f6g7h8 ,(";
    uint64_t random = 88172645463325252ULL;
    for (uint32_t round = 0; round < 100000; round++) {
        char s[200] = "z9z";
        size_t n = 3, most = 3 + round % 190, marks = round % 7;
        while (n < most) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            char c = any[(random >> 33) % (sizeof(any) - 1)];
            if (is_word(c) || (random >> 20) % 8 < marks)
                s[n++] = c;
        }
        s[n] = 0;
        size_t end = 0, joins = 1;
        while (joins) {
            while (is_word(s[end]))
                end++;
            joins = !is_mark(s[end])                             ? 0
                    : is_word(s[end + 1])                        ? 1
                    : is_mark(s[end + 1]) && is_word(s[end + 2]) ? 2
                                                                 : 0;
            end += joins;
        }
        struct template_var var;
        assert_true(template_token(str_of(s, n), 0, TEMPLATE_JOINED, 0, &var));
        assert_int_equal(var.from, 0);
        assert_int_equal(var.to, end);
        for (end = 0; is_word(s[end]);)
            end++;
        assert_true(template_token(str_of(s, n), 0, TEMPLATE_FINE, 0, &var));
        assert_int_equal(var.to, end);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_wherever_it_stands),
        cmocka_unit_test(test_where_tokens_end),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_hole_in_text),
        cmocka_unit_test(test_ids_are_for_good),
        cmocka_unit_test(test_ids_as_text),
        cmocka_unit_test(test_many_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
