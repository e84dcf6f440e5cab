/* What an S3 server answers to ListObjectsV2 and ListMultipartUploads. */
#include "objects/objects_impl.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err on_item(void *ctx, const struct s3_listed *one)
{
    unsigned *n = ctx;
    CHECK(one->key.n > 0 && one->key.n <= OBJECTS_KEY_MAX && one->upload.n <= OBJECTS_KEY_MAX);
    return ++*n == 1000 ? err_set(ERR_LIMIT, "enough") : OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned n = 0;
    struct s3_page page = {.ctx = &n, .fn = on_item};
    enum err err = s3_read_page(str_of((const char *)data, size), &page);
    CHECK(strlen(page.next) < sizeof(page.next));
    if (err == OK && page.more)
        CHECK(page.next[0]);
    return 0;
}
