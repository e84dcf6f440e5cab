/* Any bytes as a line of text: its level is of its bytes or one of those that are made, and a line
 * reads the same wherever it stands in memory. */
#include "record/text_line.h"

#include "core/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_made(struct str level)
{
    for (int i = 0; text_line_made_levels[i]; i++)
        if (str_eq_c(level, text_line_made_levels[i]))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text_line a, b;
    char *copy = mem_alloc(size + 1);
    memcpy(copy, data, size);
    struct str line = str_of(copy, size);
    text_line_read(line, 1739620800000000000LL, &a);
    CHECK(!a.level.n || (a.level.p >= line.p && a.level.p + a.level.n <= line.p + line.n) ||
          is_made(a.level));
    text_line_read(str_of((const char *)data, size), 1739620800000000000LL, &b);
    CHECK(a.has_time == b.has_time && a.time_ns == b.time_ns && str_eq(a.level, b.level));
    mem_free(copy);
    return 0;
}
