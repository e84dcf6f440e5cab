/* Frames of Beats from a connection; what comes out is decoded as lines of JSON. */
#include "fuzz/fuzz_wire.h"

#include "wire/lumberjack.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    struct lumberjack l = {0};
    struct buf lines, inflated;
    size_t n = 1;
    bool full;
    buf_init(&lines, SIZE_MAX);
    buf_init(&inflated, SIZE_MAX);
    while (in.n && n &&
           lumberjack_read(&l, in, 64 << 10, 1 << 20, &lines, &inflated, &n, &full) == OK) {
        CHECK(n <= in.n);
        fuzz_decode(WIRE_NDJSON, buf_str(&lines));
        buf_clear(&lines);
        in = str_from(in, n);
    }
    buf_release(&lines);
    buf_release(&inflated);
    return 0;
}
