/* Any bytes as a statement: its digest is bounded, and so are the quotes looked for. */
#include "core/mem.h"
#include "transform/sql_digest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[SQL_DIGEST_ID_BYTES], *copy = mem_alloc(size + 1);
    struct buf text;
    memcpy(copy, data, size);
    buf_init(&text, SIZE_MAX);
    sql_digest_text(str_of(copy, size), &text);
    CHECK(text.n <= SQL_DIGEST_MAX);
    sql_digest_id(buf_str(&text), id);
    /* Line by line it is as at once. */
    struct sql_quotes once = {0}, lines = {0};
    bool open = sql_in_quotes(&once, str_of(copy, size)), also = false;
    for (size_t n = 0; n < size;) {
        n = str_find_byte(str_of(copy, size), '\n', n);
        n += n < size;
        also = sql_in_quotes(&lines, str_of(copy, n));
    }
    CHECK(open == also);
    buf_release(&text);
    mem_free(copy);
    return 0;
}
