/* Any bytes as a general or audit log of MySQL: the same records however they are cut and wherever
 * the parser is begun anew, within its bounds. */
#include "core/mem.h"
#include "mysql_kit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mysql_log_options o = {
        .kind = MYSQL_LOG_AUTO, .keep = MYSQL_LOG_KEEP_ALL, .text_max = 300};
    mysql_kit_fuzz(&o, str_of((const char *)data, size));
    return 0;
}
