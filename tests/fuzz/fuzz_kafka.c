/* Bodies of Kafka messages: the first byte chooses how their records are read. The values are what
 * comes from outside; the body around them is the input's own. */
#include "fuzz/fuzz_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size);
    if (!size)
        return 0;
    /* A body of JSON alone is what the input makes for WIRE_KAFKA_JSON. */
    bool json = data[0] & 1 && size > 3 && data[2] == 1 && data[3] == 0;
    fuzz_decode(json ? WIRE_KAFKA_JSON : WIRE_KAFKA, str_from(in, 1));
    return 0;
}
