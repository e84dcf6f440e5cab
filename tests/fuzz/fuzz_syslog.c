/* Syslog from a connection: framing and messages. What is cut off as whole messages, piece by
 * piece, must be all of it at the end. */
#include "fuzz/fuzz_wire.h"

#include "wire/syslog.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_of((const char *)data, size);
    size_t n = syslog_cut(all, false);
    CHECK(n <= size && syslog_cut(all, true) == size);
    CHECK(syslog_cut(str_of(all.p, n), false) == n);
    struct syslog_line line;
    size_t at = 0;
    for (; at < n; at += line.n) {
        syslog_read_line(str_of(all.p + at, n - at), &line);
        CHECK(line.n && line.content.n <= line.n);
    }
    CHECK(at == n);
    fuzz_decode(WIRE_SYSLOG, all);
    fuzz_decode(WIRE_SYSLOG_COUNTED, all);
    return 0;
}
