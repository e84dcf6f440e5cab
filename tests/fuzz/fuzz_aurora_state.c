/* Items of the collector's state as DynamoDB answers them, and messages of its queue. */
#include "aurora/logfile.h"
#include "aurora/state.h"

#include <jansson.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct state_item *item, *again;
    struct logfile_message m;
    arena_init(&arena, 0, NULL);
    item = ARENA_NEW(&arena, struct state_item);
    again = ARENA_NEW(&arena, struct state_item);
    json_t *j = json_loadb(size ? (const char *)data : "", size, 0, NULL);
    if (j && state_item_read(j, &arena, item) == OK) {
        json_t *back = state_item_json(item);
        CHECK(state_item_read(back, &arena, again) == OK);
        CHECK(item->n == again->n);
        json_decref(back);
        back = state_item_plain(item);
        json_decref(back);
    }
    json_decref(j);
    if (logfile_message_read(str_of((const char *)data, size), &arena, &m) == OK) {
        struct buf out;
        struct logfile_message back;
        buf_init(&out, SIZE_MAX);
        logfile_message_write(&m, &out);
        CHECK(logfile_message_read(buf_str(&out), &arena, &back) == OK);
        CHECK(str_eq(m.log_file_name, back.log_file_name) && m.size == back.size);
        buf_release(&out);
    }
    arena_release(&arena);
    return 0;
}
