/* Any bytes as an agent's positions: what is read is written and read again as the same. */
#include "core/mem.h"
#include "input/tail_positions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_all(const struct tail_positions *p, struct buf *out)
{
    for (size_t i = 0; i < p->n; i++)
        tail_entry_write(&p->entry[i], out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tail_positions p = {0}, again = {0};
    struct buf one, two;
    buf_init(&one, SIZE_MAX);
    buf_init(&two, SIZE_MAX);
    if (tail_positions_read(&p, str_of((const char *)data, size), "fuzz") == OK) {
        write_all(&p, &one);
        CHECK(tail_positions_read(&again, buf_str(&one), "again") == OK);
        write_all(&again, &two);
        CHECK(str_eq(buf_str(&one), buf_str(&two)));
    }
    buf_release(&one);
    buf_release(&two);
    tail_positions_release(&p);
    tail_positions_release(&again);
    return 0;
}
