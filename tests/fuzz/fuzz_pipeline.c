/* Any bytes as a pipeline's configuration: read or refused with a place, and what is read can be
 * drawn. */
#include "pipeline/pipeline.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (int of = PIPELINES_AGENT; of <= PIPELINES_EITHER; of++) {
        struct pipelines *p = pipelines_new();
        struct buf out;
        buf_init(&out, SIZE_MAX);
        if (pipelines_read(p, str_of((const char *)data, size), "fuzz", (enum pipelines_of)of) ==
            OK) {
            pipelines_graph(p, false, &out);
            pipelines_graph(p, true, &out);
            CHECK(out.n > 0);
        } else {
            CHECK(err_text()[0]);
        }
        buf_release(&out);
        pipelines_free(p);
    }
    return 0;
}
