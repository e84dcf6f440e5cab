/* URLs of catalogs: whatever stands there, nothing is connected to, what is refused has a text, and
 * no password comes out in what is shown. */
#include "catalog/sql.h"
#include "core/mem.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct arena a;
    struct str url = str_of((const char *)p, n);
    arena_init(&a, 0, NULL);
    if (sql_check_url(url) != OK && !err_text()[0])
        abort();
    struct str plain = sql_url_plain(url, &a);
    bool server = str_starts(plain, STR("postgresql://")) || str_starts(plain, STR("mysql://"));
    if (server && str_find_byte(plain, '@', 0) < plain.n)
        abort();
    arena_release(&a);
    return 0;
}
