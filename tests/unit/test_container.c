/* Log files of container runtimes: lines by golden files, paths, docker's description of a
 * container and the API server's of a pod. `WRITE_GOLDEN=1` writes the golden file. */
#include "core/io.h"
#include "record/json.h"
#include "test.h"
#include "wire/container.h"

#include <inttypes.h>

static void put_line(struct str line, struct buf *scratch, struct buf *out)
{
    struct container_line l;
    if (!container_line_read(line, scratch, &l)) {
        buf_put_c(out, "-\n");
        return;
    }
    buf_printf(out, "%s %s %" PRId64 " ", container_streams[l.stream], l.is_partial ? "P" : "F",
               l.time_ns);
    json_put_string(out, l.text);
    buf_put_byte(out, '\n');
}

static void test_lines(void **state)
{
    struct buf in, want, got, scratch;
    buf_init(&got, 1 << 20);
    buf_init(&scratch, 1 << 20);
    assert_ok(io_read_file("tests/golden/container/lines.in", 1 << 20, &in));
    struct str rest = buf_str(&in), line;
    while (str_split(&rest, '\n', &line))
        if (rest.p)
            put_line(line, &scratch, &got);
    if (getenv("WRITE_GOLDEN"))
        assert_ok(io_write_file("tests/golden/container/lines.out", buf_str(&got)));
    assert_ok(io_read_file("tests/golden/container/lines.out", 1 << 20, &want));
    assert_true(str_eq(buf_str(&got), buf_str(&want)));
    buf_release(&in);
    buf_release(&want);
    buf_release(&got);
    buf_release(&scratch);
}

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void check_path(const char *path, const char *space, const char *pod, const char *pod_id,
                       const char *container, const char *id)
{
    struct container_path is;
    assert_true(container_path_read(str_c(path), &is));
    assert_str(is.space, space);
    assert_str(is.pod, pod);
    assert_str(is.pod_id, pod_id);
    assert_str(is.container, container);
    assert_str(is.container_id, id);
}

static void test_paths(void **state)
{
    struct container_path is;
    check_path("/var/log/pods/shop_cart-7d9f-x2_uid-1/web/0.log", "shop", "cart-7d9f-x2", "uid-1",
               "web", "");
    check_path("/var/log/pods/shop_a.b_uid/web/12.log.20250215-120000.gz", "shop", "a.b", "uid",
               "web", "");
    check_path("/var/log/containers/cart-1_shop_web-app-" ID ".log", "shop", "cart-1", "",
               "web-app", ID);
    check_path("/var/lib/docker/containers/" ID "/" ID "-json.log.1", "", "", "", "", ID);
    static const char *const none[] = {"/var/log/app.log",
                                       "/var/log/pods/shop_cart/web/0.log",
                                       "/var/log/pods/a_b_c_d/web/0.log",
                                       "",
                                       "0.log",
                                       "/var/log/containers/cart_shop_web-" ID,
                                       "//.log",
                                       "/var/log/containers/_shop_web-" ID ".log"};
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        if (container_path_read(str_c(none[i]), &is))
            fail_msg("%s is a container's", none[i]);
}

static void test_config(void **state)
{
    struct buf out, service;
    buf_init(&out, 1 << 20);
    buf_init(&service, 1 << 20);
    assert_ok(container_config_read(
        STR("{\"ID\":\"" ID "\",\"Name\":\"/shop-web-1\",\"Config\":{\"Image\":\"nginx:1\","
            "\"Labels\":{\"com.docker.compose.service\":\"web\",\"n\":1,\"\":\"x\"}},\"State\":{}"
            "}"),
        &out, &service));
    assert_str(buf_str(&out), "{\"id\":\"" ID "\",\"name\":\"shop-web-1\",\"image\":\"nginx:1\","
                              "\"labels\":{\"com.docker.compose.service\":\"web\"}}");
    assert_str(buf_str(&service), "web");
    buf_clear(&out);
    buf_clear(&service);
    assert_ok(container_config_read(STR("{\"Name\":\"/alone\"}"), &out, &service));
    assert_str(buf_str(&out), "{\"name\":\"alone\"}");
    assert_str(buf_str(&service), "alone");
    assert_err(container_config_read(STR("[1]"), &out, &service), ERR_INVALID, "no JSON object");
    assert_err(container_config_read(STR("{\"Name\""), &out, &service), ERR_INVALID, "byte");
    assert_err(container_config_read(STR(""), &out, &service), ERR_INVALID, "byte");
    buf_release(&out);
    buf_release(&service);
}

static void test_pod(void **state)
{
    struct buf out, service, node;
    struct container_path path = {.container = STR("web")};
    buf_init(&out, 1 << 20);
    buf_init(&service, 1 << 20);
    buf_init(&node, 1 << 20);
    struct str answer =
        STR("{\"metadata\":{\"uid\":\"u1\",\"labels\":{\"app\":\"cart\",\"tier\":\"front\"}},"
            "\"spec\":{\"nodeName\":\"node-3\"},\"status\":{\"containerStatuses\":["
            "{\"name\":\"side\",\"containerID\":\"containerd://no\"},"
            "{\"name\":\"web\",\"containerID\":\"containerd://c1\"}]}}");
    buf_put_c(&out, "{\"pod_name\":\"cart-1\"");
    assert_ok(container_pod_read(answer, &path, &out, &service, &node));
    assert_str(buf_str(&out),
               "{\"pod_name\":\"cart-1\",\"pod_id\":\"u1\",\"container_id\":\"c1\","
               "\"host\":\"node-3\",\"labels\":{\"app\":\"cart\",\"tier\":\"front\"}");
    assert_str(buf_str(&service), "cart");
    assert_str(buf_str(&node), "node-3");
    buf_clear(&out);
    buf_put_c(&out, "{\"pod_name\":\"cart-1\"");
    assert_ok(container_pod_read(STR("{\"metadata\":7}"), &path, &out, &service, &node));
    assert_str(buf_str(&out), "{\"pod_name\":\"cart-1\"");
    buf_release(&out);
    buf_release(&service);
    buf_release(&node);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_config),
        cmocka_unit_test(test_pod),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
