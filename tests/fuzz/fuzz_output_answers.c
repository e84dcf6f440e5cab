/* What peers of outputs answer: the first byte says which peer. */
#include "output_kit.h"

#include "output/forward_wire.h"

static struct output *out[3];
static struct output_kit kit;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const url[] = {"opensearch://h/i", "openobserve://h/o/s", "otlp://h"};
    struct forward_reply reply;
    struct buf body;
    size_t n = 0;
    if (size < 1)
        return 0;
    struct str answer = str_of((const char *)data + 1, size - 1);
    if (data[0] % 4 == 3) {
        enum err err = forward_reply_read(answer, &n, &reply);
        CHECK(n <= answer.n && (err == OK || n == 0));
        return 0;
    }
    for (int i = 0; i < 3 && !out[i]; i++) {
        out[i] = kit_open(url[i]);
        if (i == 0)
            kit_add(&kit, STR("{\"message\":\"one\"}\n{\"message\":\"two\"}\n{\"n\":3}"));
    }
    struct post *p = kit_post(out[data[0] % 4]);
    buf_init(&body, SIZE_MAX);
    CHECK(post_write(p, &kit.bulk, &body) == OK);
    enum err err = post_judge(p, 200, answer);
    CHECK(err == OK || err == ERR_UNAVAILABLE);
    CHECK(post_judge(p, 400, answer) == ERR_INVALID);
    buf_release(&body);
    return 0;
}
