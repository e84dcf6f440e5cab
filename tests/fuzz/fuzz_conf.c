/* Any bytes as a configuration file: read or refused with a place, and what was read can be written
 * and read again. */
#include "core/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct conf *c = conf_new();
    if (conf_load_yaml(c, str_of((const char *)data, size), "fuzz.yaml") == OK) {
        struct buf b;
        buf_init(&b, 64 << 20);
        conf_write(c, &b);
        struct conf *again = conf_new();
        CHECK(conf_load_yaml(again, buf_str(&b), "again.yaml") == OK);
        CHECK(strcmp(conf_text(c, "server.data"), conf_text(again, "server.data")) == 0);
        conf_free(again);
        buf_release(&b);
    } else {
        CHECK(strncmp(err_text(), "fuzz.yaml:", 10) == 0);
    }
    conf_free(c);
    return 0;
}
