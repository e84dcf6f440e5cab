/* Values of a queue's topic: whatever they are, they are a frame or are refused, and a frame is cut
 * into pieces that hold its rows. */
#include "core/mem.h"
#include "wire/kafka.h"
#include "wire/kafka_pieces.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t rows_of(const struct kafka_pieces *p, size_t bytes_max, struct arena *a)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < p->n; i++) {
        struct frame_info info;
        struct rows rows;
        const struct kafka_piece *piece = &p->piece[i];
        CHECK(piece->bytes <= bytes_max && (piece->bytes || piece->rows == 1));
        sum += piece->rows;
        if (!piece->bytes)
            continue;
        CHECK(frame_open(str_of(piece->frame, piece->bytes), 0, 0, a, &info, &rows) == OK);
        CHECK(rows.n == piece->rows && info.part == i && info.parts == p->n && info.producer == 7);
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str frame = str_of((const char *)data, size);
    struct frame_info info;
    struct kafka_unit unit;
    struct arena a;
    uint32_t n;
    int64_t min, max;
    if (frame_peek(frame, &info, &n, &min, &max) == OK) {
        kafka_unit_of(&info, STR("t"), 3, 99, &unit);
        CHECK(unit.producer && unit.epoch);
    }
    arena_init(&a, 0, NULL);
    for (unsigned turn = 0; turn < 2; turn++) {
        struct kafka_pieces p = {.arena = &a};
        size_t bytes_max = turn ? 400 : SIZE_MAX;
        if (kafka_pieces_add(&p, frame, STR("service"), bytes_max) != OK)
            continue;
        kafka_pieces_stamp(&p, 7, 8, 9);
        CHECK(rows_of(&p, bytes_max, &a) == n);
    }
    arena_release(&a);
    return 0;
}
