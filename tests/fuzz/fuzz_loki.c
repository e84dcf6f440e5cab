/* Loki's push requests, as protobuf and as JSON. */
#include "fuzz/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    fuzz_decode(WIRE_LOKI, in);
    fuzz_decode(WIRE_LOKI_JSON, in);
    return 0;
}
