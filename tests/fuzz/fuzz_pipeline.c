/* Any bytes as a pipeline's configuration: read or refused with a place, and what is read can be
 * drawn. */
#include "pipeline/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pipeline p;
    struct buf out;
    pipeline_init(&p);
    buf_init(&out, SIZE_MAX);
    if (pipeline_read(&p, str_of((const char *)data, size), "fuzz") == OK) {
        pipeline_graph(&p, false, &out);
        pipeline_graph(&p, true, &out);
        CHECK(out.n > 0);
    } else {
        CHECK(err_text()[0]);
    }
    buf_release(&out);
    pipeline_release(&p);
    return 0;
}
