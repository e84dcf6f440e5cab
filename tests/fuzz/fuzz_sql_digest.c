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
    (void)sql_ends_quoted(str_of(copy, size));
    buf_release(&text);
    mem_free(copy);
    return 0;
}
