/* The forward protocol from a connection: messages are found the same in pieces as in one, and
 * decoded. */
#include "fuzz/fuzz_wire.h"

#include "wire/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str in = str_of((const char *)data, size), chunk;
    struct forward_scan whole = {0}, torn = {0};
    size_t n = 0, m = 0;
    bool nil;
    enum err err = forward_next(&whole, in, &n, &chunk, &nil);
    for (size_t have = 0; have <= size; have += 1 + have / 8) {
        enum err got = forward_next(&torn, str_of(in.p, have), &m, &chunk, &nil);
        if (got != OK || m) {
            CHECK(err == got && (err != OK || n == m));
            break;
        }
    }
    if (err == OK && n)
        fuzz_decode(WIRE_FORWARD, str_of(in.p, n));
    fuzz_decode(WIRE_FORWARD, in);
    return 0;
}
