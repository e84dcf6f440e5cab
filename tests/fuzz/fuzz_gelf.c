/* GELF messages. */
#include "fuzz/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    fuzz_decode(WIRE_GELF, in);
    return 0;
}
