/* Frames from outside: whatever opens is read to its last value and can be appended, held and
 * written again. */
#include "core/mem.h"
#include "record/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void touch(struct rows *r)
{
    for (uint32_t c = 0; c < r->n_columns; c++) {
        struct values v;
        struct presence p;
        uint64_t sum = 0;
        CHECK(r->columns[c].ops->values(&r->columns[c], r->arena, &v) == OK);
        CHECK(rows_presence(r, c, &p) == OK || r->arena->failed);
        for (uint32_t i = 0; i < v.n && lane_is_text(v.lane); i++)
            for (size_t k = 0; k < values_text(&v, i).n; k++)
                sum += (unsigned char)values_text(&v, i).p[k];
        __asm__ volatile("" : : "r"(sum));
    }
}

/* As the encoder takes them: held, and each text where it lies. */
static void hold(struct rows *r)
{
    struct batch *b = batch_new();
    struct rows held;
    CHECK(batch_hold_rows(b, r) == OK);
    batch_view(b, r->arena, &held);
    for (uint32_t c = 0; c < held.n_columns; c++) {
        struct values v;
        if (!lane_is_text(held.columns[c].lane) ||
            held.columns[c].ops->texts(&held.columns[c], NULL, r->arena, &v) != OK)
            continue;
        for (uint32_t i = 0; v.same && i < v.n; i++)
            CHECK(v.same[i] <= i && str_eq(values_text(&v, i), values_text(&v, v.same[i])));
    }
    batch_free(b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a;
    struct rows r, again;
    struct frame_info info;
    /* Expanded a frame may be large: past this bound it is ERR_NOMEM. */
    arena_init(&a, (size_t)64 << 20, NULL);
    if (frame_open(str_of((const char *)data, size), 1, 0, &a, &info, &r) == OK) {
        struct batch *b = batch_new();
        struct buf out;
        touch(&r);
        hold(&r);
        CHECK(batch_append_rows(b, &r, NULL, r.n) == OK);
        buf_init(&out, SIZE_MAX);
        CHECK(frame_encode(b, &info, &out) == OK);
        CHECK(frame_open(buf_str(&out), 1, 0, &a, &info, &again) == OK || a.failed);
        CHECK(a.failed || again.n == r.n);
        buf_release(&out);
        batch_free(b);
    }
    arena_release(&a);
    return 0;
}
