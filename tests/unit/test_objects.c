/* The objects seam: URLs, and objects as files of a folder. */
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "folder_kit.h"
#include "objects/objects.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_urls, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_data_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_folder, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_ended_in_its_middle_is_swept, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_place_belongs_to_one_store, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_put_is_given_up, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
