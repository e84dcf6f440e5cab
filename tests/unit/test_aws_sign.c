/* Signatures against those that botocore makes (tests/golden/aws/sign.tsv). */
#include "test.h"

#include "aws/sign.h"
#include "core/io.h"

enum { COLUMNS = 10 };

static void check_row(struct str row)
{
    struct str cell[COLUMNS], part, rest;
    struct aws_header header[4];
    struct aws_signature sig;
    unsigned n = 0;
    for (unsigned i = 0; i < COLUMNS; i++)
        assert_true(str_split(&row, '\t', &cell[i]));
    struct str url = str_from(cell[4], str_find(cell[4], STR("://")) + 3);
    size_t slash = str_find_byte(url, '/', 0), mark = str_find_byte(url, '?', 0);
    for (rest = cell[5]; rest.n && str_split(&rest, ';', &part); n++) {
        size_t eq = str_find_byte(part, '=', 0);
        /* A value may hold the separator. */
        if (rest.p && str_starts(rest, STR(" charset")))
            part.n += 1 + rest.n, rest.n = 0;
        header[n] = (struct aws_header){str_of(part.p, eq), str_from(part, eq + 1)};
    }
    char *service = strndup(cell[2].p, cell[2].n), *region = strndup(cell[3].p, cell[3].n);
    char *method = strndup(cell[1].p, cell[1].n), *token = strndup(cell[7].p, cell[7].n);
    struct aws_keys keys = {.access = (char *)"AKIDEXAMPLE",
                            .secret = (char *)"wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
                            .token = cell[7].n ? token : NULL};
    struct aws_signing s = {.method = method,
                            .service = service,
                            .region = region,
                            .host = str_of(url.p, slash),
                            .path = str_of(url.p + slash, mark - slash),
                            .query = str_from(url, mark + 1),
                            .header = header,
                            .n_headers = n,
                            .body = cell[6],
                            .unsigned_payload = str_eq_c(cell[6], "-"),
                            .s3 = str_eq_c(cell[2], "s3"),
                            .time_s = 1440938160};
    assert_ok(aws_sign(&keys, &s, &sig));
    assert_string_equal(sig.date, "20150830T123600Z");
    if (!str_eq(buf_str(&sig.headers), cell[9]))
        fail_msg("%.*s: \"%s\", wanted \"%.*s\"", STR_ARG(cell[0]), sig.headers.p,
                 STR_ARG(cell[9]));
    if (cell[8].n)
        assert_true(str_eq_c(cell[8], sig.payload));
    buf_release(&sig.headers);
    free(service);
    free(region);
    free(method);
    free(token);
}

static void test_as_botocore(void **state)
{
    struct buf file;
    struct str line, rest;
    unsigned rows = 0;
    assert_ok(io_read_file("tests/golden/aws/sign.tsv", 1 << 20, &file));
    for (rest = buf_str(&file); str_split(&rest, '\n', &line);)
        if (line.n && line.p[0] != '#') {
            check_row(line);
            rows++;
        }
    assert_int_equal(rows, 7);
    buf_release(&file);
}

static void test_bounds(void **state)
{
    struct aws_keys keys = {.access = (char *)"a", .secret = (char *)"b"};
    struct aws_signing s = {.method = "GET", .service = "x", .region = "y", .path = STR("/")};
    struct aws_signature sig;
    struct buf query;
    buf_init(&query, SIZE_MAX);
    for (int i = 0; i <= AWS_PARAMS_MAX; i++)
        buf_printf(&query, "%sp%d=1", i ? "&" : "", i);
    s.query = buf_str(&query);
    assert_err(aws_sign(&keys, &s, &sig), ERR_LIMIT, "parameters");
    buf_release(&sig.headers);
    buf_release(&query);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_botocore),
        cmocka_unit_test(test_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
