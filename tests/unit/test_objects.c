/* The objects seam: URLs, and objects as files of a folder. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "folder_kit.h"
#include "objects/objects_impl.h"

#include <stdio.h>
#include <sys/stat.h>
#include <utime.h>

static const struct str own = {"0123456789abcdef0123456789abcdef", 32};

static struct objects *open_folder(const char *name)
{
    struct objects *o;
    char *url = mem_printf("file://%s", at(name));
    assert_ok(objects_open(str_c(url), at("data"), &o));
    mem_free(url);
    return o;
}

static void test_urls(void **state)
{
    assert_ok(objects_check_url(STR("file:")));
    assert_ok(objects_check_url(STR("file://")));
    assert_ok(objects_check_url(STR("file:///a/b")));
    assert_err(objects_check_url(STR("file://nas/logs")), ERR_INVALID, "file:///nas/logs");
    assert_err(objects_check_url(STR("file:///")), ERR_INVALID, "names no folder");
    assert_err(objects_check_url(STR("file:///a?x=1")), ERR_INVALID, "x");
    assert_err(objects_check_url(STR("fil:///a")), ERR_INVALID, "did you mean file://");
    assert_err(objects_check_url(STR("nonsense")), ERR_INVALID, "scheme");
}

/* Nothing is copied, and no marker is made: the data folder is as it was before there were objects.
 */
static void test_the_data_folder(void **state)
{
    struct objects *o;
    assert_ok(objects_open(STR("file:"), at("data"), &o));
    assert_string_equal(objects_name(o), "file:");
    assert_false(objects_are_apart(o) || objects_are_remote(o));
    assert_ok(io_mkdir(at("data/segments")));
    assert_ok(io_write_file(at("data/segments/1.seg"), STR("one")));
    char *path = objects_path(o, STR("segments/1.seg"));
    assert_ok(objects_claim(o, own, NULL));
    assert_ok(objects_put(o, path, STR("segments/1.seg"), NULL));
    assert_false(io_exists(at("data/weir-store")));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_nlink, 1);
    assert_ok(objects_sweep(o, INT64_MAX, NULL));
    assert_true(io_exists(path));
    mem_free(path);
    objects_close(o);
}

struct seen {
    unsigned n;
    uint64_t bytes;
    char last[100];
};

static enum err see(void *ctx, const struct object *object)
{
    struct seen *s = ctx;
    s->n++;
    s->bytes += object->bytes;
    snprintf(s->last, sizeof(s->last), "%.*s", STR_ARG(object->key));
    assert_true(object->modified_ns > clock_now_ns() - 3600 * NS_PER_S);
    return OK;
}

static void test_a_folder(void **state)
{
    struct objects *o = open_folder("shared");
    struct seen seen = {0};
    struct buf got;
    buf_init(&got, SIZE_MAX);
    assert_true(objects_are_apart(o) && !objects_are_remote(o));
    assert_ok(objects_list(o, STR("segments/"), see, &seen, NULL));
    assert_int_equal(seen.n, 0);
    assert_ok(io_mkdir(at("data")));
    assert_ok(io_write_file(at("data/1.seg"), STR("hello")));
    for (int i = 0; i < 2; i++)
        assert_ok(objects_put(o, at("data/1.seg"), STR("segments/1.seg"), NULL));
    assert_ok(io_write_file(at("shared/segments/2.seg.tmp"), STR("being written")));
    assert_ok(objects_list(o, STR("segments/"), see, &seen, NULL));
    assert_int_equal(seen.n, 1);
    assert_int_equal(seen.bytes, 5);
    assert_string_equal(seen.last, "segments/1.seg");
    assert_ok(objects_read(o, STR("segments/1.seg"), 1, 3, &got, NULL));
    assert_true(str_eq_c(buf_str(&got), "ell"));
    assert_err(objects_read(o, STR("segments/1.seg"), 1, 5, &got, NULL), ERR_EOF, "1.seg");
    assert_err(objects_read(o, STR("segments/3.seg"), 0, 1, &got, NULL), ERR_NOTFOUND, "3.seg");
    assert_ok(objects_move(o, STR("segments/1.seg"), STR("lost/1.seg"), NULL));
    assert_true(io_exists(at("shared/lost/1.seg")));
    for (int i = 0; i < 2; i++)
        assert_ok(objects_remove(o, STR("lost/1.seg"), NULL));
    buf_release(&got);
    objects_close(o);
}

static void test_what_ended_in_its_middle_is_swept(void **state)
{
    struct objects *o = open_folder("shared");
    assert_ok(io_mkdir(at("shared/segments")));
    struct utimbuf old = {1000, 1000};
    const char *const name[] = {"shared/segments/1.seg.tmp", "shared/segments/2.seg.put-00",
                                "shared/segments/3.seg", "shared/segments/4.seg.tmp"};
    for (int i = 0; i < 4; i++) {
        assert_ok(io_write_file(at(name[i]), STR("x")));
        if (i < 3)
            assert_int_equal(utime(at(name[i]), &old), 0);
    }
    assert_ok(objects_sweep(o, clock_now_ns() - 3600 * NS_PER_S, NULL));
    assert_false(io_exists(at(name[0])) || io_exists(at(name[1])));
    assert_true(io_exists(at(name[2])) && io_exists(at(name[3])));
    objects_close(o);
}

static void test_a_place_belongs_to_one_store(void **state)
{
    struct str other = STR("ffffffffffffffffffffffffffffffff");
    struct objects *o = open_folder("shared");
    for (int i = 0; i < 2; i++)
        assert_ok(objects_claim(o, own, NULL));
    assert_err(objects_claim(o, other, NULL), ERR_CONFLICT, "belongs to another store (0123456789");
    assert_ok(io_write_file(at("shared/weir-store"), STR("some notes\n")));
    assert_err(objects_claim(o, own, NULL), ERR_CONFLICT, "no marker of Weir's");
    objects_close(o);
}

static bool at_once(void *ctx)
{
    return true;
}

static void test_a_put_is_given_up(void **state)
{
    struct objects *o = open_folder("shared");
    struct objects_wait stopped = {.stop = at_once}, late = {.deadline_mono = 1};
    struct seen seen = {0};
    assert_ok(io_mkdir(at("data")));
    assert_ok(io_write_file(at("data/1.seg"), STR("hello")));
    assert_err(objects_put(o, at("data/1.seg"), STR("segments/1.seg"), &stopped), ERR_CANCELED,
               "file://");
    assert_err(objects_put(o, at("data/1.seg"), STR("segments/1.seg"), &late), ERR_TIMEOUT,
               "out of time");
    assert_err(objects_put(o, at("data/none"), STR("segments/1.seg"), NULL), ERR_NOTFOUND, "none");
    assert_ok(objects_list(o, STR("segments/"), see, &seen, NULL));
    assert_int_equal(seen.n, 0);
    assert_ok(objects_sweep(o, INT64_MAX, NULL));
    objects_close(o);
}

/* ---- s3:// ---- */

static void test_urls_of_s3(void **state)
{
    struct objects *o;
    assert_ok(objects_check_url(STR("s3://logs")));
    assert_ok(objects_check_url(STR("s3://my.logs_1/a/b?region=eu-west-1&path_style=true")));
    assert_ok(objects_check_url(
        STR("s3://logs/?endpoint=http://127.0.0.1:9000&tls_ca=/x&part_bytes=8MiB")));
    assert_err(objects_check_url(STR("s3://")), ERR_INVALID, "a bucket's name is wanted");
    assert_err(objects_check_url(STR("s3://ab")), ERR_INVALID, "a bucket's name is wanted");
    assert_err(objects_check_url(STR("s3://logs:9000/a")), ERR_INVALID, "endpoint=");
    assert_err(objects_check_url(STR("s3://me:secret@logs/a")), ERR_INVALID, "takes no keys");
    assert_err(objects_check_url(STR("s3://logs?endpont=http://a")), ERR_INVALID,
               "did you mean \"endpoint\"");
    assert_err(objects_check_url(STR("s3://logs?endpoint=127.0.0.1:9000")), ERR_INVALID,
               "http://HOST:PORT");
    assert_err(objects_check_url(STR("s3://logs?endpoint=http://a/b")), ERR_INVALID,
               "http://HOST:PORT");
    assert_err(objects_check_url(STR("s3://logs?path_style=yes")), ERR_INVALID, "true or false");
    assert_err(objects_check_url(STR("s3://logs?part_bytes=1MiB")), ERR_INVALID, "5MiB to 4GiB");
    assert_ok(objects_open(STR("s3://logs//a/b/?endpoint=http://127.0.0.1:9&region=x"), "d", &o));
    assert_string_equal(objects_name(o), "s3://logs/a/b");
    assert_true(objects_are_apart(o) && objects_are_remote(o));
    objects_close(o);
}

struct items {
    unsigned n;
    char text[300];
};

static enum err note_item(void *ctx, const struct s3_listed *one)
{
    struct items *t = ctx;
    size_t had = strlen(t->text);
    t->n++;
    snprintf(t->text + had, sizeof(t->text) - had, "%.*s %.*s %llu %lld;", STR_ARG(one->key),
             STR_ARG(one->upload), (unsigned long long)one->bytes,
             (long long)(one->modified_ns / NS_PER_S));
    return one->bytes == 666 ? err_set(ERR_LIMIT, "enough") : OK;
}

static enum err read_page(const char *text, struct items *t, struct s3_page *page)
{
    *t = (struct items){0};
    *page = (struct s3_page){.ctx = t, .fn = note_item};
    return s3_read_page(str_c(text), page);
}

static void test_lists_of_s3(void **state)
{
    struct s3_page page;
    struct items t;
    assert_ok(read_page("<?xml version=\"1.0\"?><ListBucketResult xmlns=\"x\"><Name>logs</Name>"
                        "<IsTruncated>true</IsTruncated><Contents><Key>a b&amp;c</Key>"
                        "<LastModified>2009-10-12T17:50:30.000Z</LastModified><Size>434234</Size>"
                        "<Owner><ID>7</ID></Owner></Contents><Contents><Size>0</Size><Key>d</Key>"
                        "<LastModified>1970-01-01T00:00:01Z</LastModified></Contents>"
                        "<NextContinuationToken>1+/x=</NextContinuationToken></ListBucketResult>",
                        &t, &page));
    assert_string_equal(t.text, "a b&c  434234 1255369830;d  0 1;");
    assert_true(page.more);
    assert_string_equal(page.next, "1+/x=");
    assert_ok(read_page("<ListMultipartUploadsResult><KeyMarker/><IsTruncated>false</IsTruncated>"
                        "<Upload><Key>k</Key><UploadId>U1</UploadId><Initiator><ID>a</ID>"
                        "</Initiator><Initiated>1970-01-01T00:00:09.5Z</Initiated></Upload>"
                        "</ListMultipartUploadsResult>",
                        &t, &page));
    assert_string_equal(t.text, "k U1 0 9;");
    assert_false(page.more);
}

static void test_lists_that_are_none(void **state)
{
    struct s3_page page;
    struct items t;
    assert_err(read_page("<html><body>Welcome</body></html>", &t, &page), ERR_INVALID, "no list");
    assert_err(read_page("<ListBucketResult>", &t, &page), ERR_INVALID, "XML:1");
    assert_err(read_page("<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>", &t,
                         &page),
               ERR_INVALID, "does not say where");
    assert_err(read_page("<ListBucketResult><Contents><Key>a</Key></Contents></ListBucketResult>",
                         &t, &page),
               ERR_INVALID, "lacks");
    assert_err(read_page("<ListBucketResult><Contents><Size>-1</Size></Contents>"
                         "</ListBucketResult>",
                         &t, &page),
               ERR_INVALID, "Size is \"-1\"");
    assert_err(read_page("<ListBucketResult><Contents><LastModified>soon</LastModified></Contents>"
                         "</ListBucketResult>",
                         &t, &page),
               ERR_INVALID, "\"soon\"");
    assert_err(read_page("<ListBucketResult><Contents><Key>a</Key><Size>666</Size>"
                         "<LastModified>1970-01-01T00:00:01Z</LastModified></Contents>"
                         "</ListBucketResult>",
                         &t, &page),
               ERR_LIMIT, "enough");
    assert_int_equal(t.n, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_data_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_ended_in_its_middle_is_swept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_place_belongs_to_one_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_put_is_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_urls_of_s3, setup, teardown),
        cmocka_unit_test(test_lists_of_s3),
        cmocka_unit_test(test_lists_that_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
