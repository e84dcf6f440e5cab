/* Events of Splunk's HTTP event collector. */
#include "fuzz/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    fuzz_decode(WIRE_HEC, in);
    return 0;
}
