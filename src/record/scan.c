/* The end of a nested JSON value, without a look at its grammar: brackets outside strings are
 * counted, 64 bytes at a time. A block whose closing brackets are fewer than the depth cannot hold
 * the end, whatever their order: it costs a few instructions and no branch on its bytes. */
#include "record/scan.h"

#include "record/bitmap.h"

size_t scan_nested_end(const char *p, size_t at, size_t n)
{
    uint64_t carry = 0, in_string = 0; /* of the blocks before: one bit, all bits */
    size_t depth = 0;
    for (; at < n; at += 64) {
        struct scan_block block;
        if (n - at >= 64) {
            scan_block(p + at, &block);
        } else {
            char last[64] = {0};
            memcpy(last, p + at, n - at);
            scan_block(last, &block);
        }
        uint64_t quote = block.quote & ~scan_shielded(block.backslash, &carry);
        in_string ^= scan_parity(quote);
        uint64_t open = block.open & ~in_string, close = block.close & ~in_string;
        in_string = 0 - (in_string >> 63);
        size_t closing = bitmap_ones(close);
        if (closing < depth) {
            depth = depth + bitmap_ones(open) - closing;
            continue;
        }
        for (uint64_t left = open | close; left; left &= left - 1) {
            depth += open & left & -left ? 1 : (size_t)-1;
            if (depth == 0)
                return at + (size_t)__builtin_ctzll(left) + 1;
        }
    }
    return SIZE_MAX;
}
