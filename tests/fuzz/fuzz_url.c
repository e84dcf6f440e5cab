/* URLs of inputs, outputs and seams: whatever stands on a command line. */
#include "core/url.h"

#include "core/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const known[] = {"stream", "shared_key", NULL};
    struct arena arena;
    struct url u;
    struct buf plain;
    arena_init(&arena, 0, NULL);
    buf_init(&plain, SIZE_MAX);
    if (url_parse(str_of((const char *)data, size), &arena, &u) == OK &&
        url_check_params(&u, known) == OK)
        url_put_plain(&u, &plain);
    buf_release(&plain);
    arena_release(&arena);
    return 0;
}
