/* Any bytes as the body of an agent: what is read lies within it, in order, and the frames in it
 * are opened as the server opens them. */
#include "record/frame.h"
#include "wire/frames.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void open_frame(struct str bytes)
{
    struct arena a;
    struct frame_info info;
    struct rows rows;
    arena_init(&a, 0, NULL);
    if (frame_open(bytes, 0, 0, &a, &info, &rows) == OK)
        CHECK(rows.n > 0);
    arena_release(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = str_of((const char *)data, size);
    struct frames_reader r;
    struct frames_head head;
    struct frames_item item;
    bool more = true;
    uint64_t last = 0;
    if (frames_open(body, &r, &head) != OK)
        return 0;
    CHECK(head.producer && head.epoch);
    while (frames_next(&r, &item, &more) == OK && more) {
        CHECK(item.sequence >= last && item.sequence);
        CHECK(item.frame.p >= body.p && item.frame.p + item.frame.n <= body.p + body.n);
        last = item.sequence;
        open_frame(item.frame);
    }
    return 0;
}
