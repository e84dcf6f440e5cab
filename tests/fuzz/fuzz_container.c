/* What container runtimes leave on a node: lines of their logs, names of the files, docker's
 * description of a container and the API server's of a pod. */
#include "core/buf.h"
#include "wire/container.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    struct buf scratch, service, node;
    struct container_line line;
    struct container_path path = {0};
    buf_init(&scratch, SIZE_MAX);
    buf_init(&service, SIZE_MAX);
    buf_init(&node, SIZE_MAX);
    if (container_line_read(text, &scratch, &line))
        CHECK(line.stream < CONTAINER_STREAMS && line.text.n <= size * 3);
    if (container_path_read(text, &path))
        CHECK(path.container.n || path.container_id.n);
    if (container_config_read(text, &scratch, &service) == OK)
        CHECK(str_ends(buf_str(&scratch), STR("}")));
    buf_clear(&scratch);
    buf_put_byte(&scratch, '{');
    if (container_pod_read(text, &path, &scratch, &service, &node) != OK)
        CHECK(scratch.n == 1);
    buf_release(&scratch);
    buf_release(&service);
    buf_release(&node);
    return 0;
}
