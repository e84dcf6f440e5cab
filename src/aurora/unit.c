#include "aurora/unit.h"

#include "core/mem.h"

void unit_init(struct unit *u, struct stages *stages)
{
    *u = (struct unit){.stages = stages, .batch = batch_new(), .changed = batch_new()};
    arena_init(&u->arena, 0, NULL);
}

void unit_release(struct unit *u)
{
    batch_free(u->batch);
    batch_free(u->changed);
    arena_release(&u->arena);
    for (uint32_t i = 0; i < u->cap; i++)
        buf_release(&u->frame[i].bytes);
    mem_free(u->frame);
}

void unit_clear(struct unit *u, struct str stream, int64_t arrival_ns)
{
    batch_clear(u->batch);
    u->n_frames = 0;
    u->rows = 0;
    u->stream = stream;
    u->arrival_ns = arrival_ns;
}

/* What the stages make of the batch; *ret: that. */
static enum err change(struct unit *u, struct batch **ret)
{
    struct rows *in = ARENA_NEW(&u->arena, struct rows), out;
    *ret = u->batch;
    if (!u->stages)
        return OK;
    *ret = u->changed;
    batch_clear(u->changed);
    batch_view(u->batch, &u->arena, in);
    struct chain *chain = stages_take(u->stages);
    enum err err = chain_run(chain, 0, UINT32_MAX, in, u->arrival_ns, &u->arena, &out);
    stages_give(u->stages, chain);
    return err == OK && out.n ? batch_append_rows(u->changed, &out, NULL, out.n) : err;
}

static enum err seal(struct unit *u, struct batch *batch)
{
    if (u->n_frames == u->cap) {
        uint32_t before = u->cap;
        ARRAY_GROW(u->frame, u->cap, u->n_frames + 1);
        for (uint32_t i = before; i < u->cap; i++)
            buf_init(&u->frame[i].bytes, SIZE_MAX);
    }
    struct unit_frame *f = &u->frame[u->n_frames];
    struct frame_info info = {.org = STR("default"),
                              .stream = u->stream,
                              .arrival_ns = u->arrival_ns,
                              .part = u->n_frames,
                              .parts = u->n_frames + 1,
                              .first_index = (uint32_t)u->rows,
                              .lz4 = true};
    buf_clear(&f->bytes);
    TRY(frame_encode(batch, &info, &f->bytes));
    f->rows = batch_rows(batch);
    u->rows += f->rows;
    u->n_frames++;
    return OK;
}

enum err unit_seal(struct unit *u)
{
    struct batch *batch;
    if (!batch_rows(u->batch))
        return OK;
    enum err err = change(u, &batch);
    if (err == OK && batch_rows(batch))
        err = seal(u, batch);
    arena_reset(&u->arena);
    batch_clear(u->batch);
    return err;
}

enum err unit_send(struct unit *u, struct output *o, const struct strand *l,
                   const struct unit_refusal *refusal, int64_t *ret_wait_ns)
{
    struct arena a;
    *ret_wait_ns = 0;
    if (!u->n_frames)
        return OK;
    arena_init(&a, 0, NULL);
    struct output_item *item = ARENA_ARRAY(&a, struct output_item, u->n_frames);
    struct output_bulk bulk = {.producer = l->producer,
                               .epoch = l->epoch,
                               .item = item,
                               .n = u->n_frames,
                               .rows = u->rows,
                               .ctx = refusal->ctx,
                               .refuse = refusal->refused};
    for (uint32_t i = 0; i < u->n_frames; i++) {
        frame_set_parts(u->frame[i].bytes.p, u->n_frames);
        item[i] = (struct output_item){(uint64_t)l->pending.sequence, buf_str(&u->frame[i].bytes),
                                       u->frame[i].rows};
        bulk.bytes += item[i].frame.n;
    }
    enum err err = output_send(o, &bulk, ret_wait_ns);
    arena_release(&a);
    return err;
}
