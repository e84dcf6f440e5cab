/* The records of a bulk, in the order of their streams, so that a batch is of one stream. */
#include "wire/decode_impl.h"

struct json_reader *wire_decoder_json(struct wire_decoder *d)
{
    return d->reader;
}

static enum err refuse_item(struct wire_decoder *d, const struct bulk *bulk, uint32_t number)
{
    struct bulk_item *item = &bulk->item[number];
    d->sink->refused(d->sink->ctx, number, item->source, err_text());
    item->outcome = BULK_REFUSED;
    item->reason = arena_str(bulk->arena, str_c(err_text())).p;
    return OK;
}

static enum err add_item(struct wire_decoder *d, const struct bulk *bulk, uint32_t number)
{
    struct bulk_item *item = &bulk->item[number];
    struct str given = item->given;
    TRY(wire_make_room(d, item->source.n + given.n));
    json_reader_id(d->reader, given);
    enum err err = json_read_record(d->reader, item->source, d->arrival_ns, d->batch);
    if (err == ERR_INVALID || err == ERR_LIMIT)
        return refuse_item(d, bulk, number);
    TRY(err);
    struct str id = batch_last_id(d->batch);
    if (given.n && !str_eq(id, given)) {
        batch_pop(d->batch);
        (void)err_set(ERR_INVALID, "the record has an _id of its own, and not the action's");
        return refuse_item(d, bulk, number);
    }
    if (!given.n && id.n)
        item->id = arena_str(bulk->arena, id);
    item->outcome = BULK_CREATED;
    item->row = d->accepted;
    wire_admit(d);
    if (item->row == d->accepted)
        item->outcome = BULK_DUPLICATE;
    return OK;
}

static enum err each_item(struct wire_decoder *d, const struct bulk *bulk)
{
    uint32_t stream = UINT32_MAX;
    for (uint32_t i = 0; i < bulk->n; i++) {
        const struct bulk_item *item = &bulk->item[bulk->order[i]];
        if (item->outcome == BULK_IMPOSSIBLE)
            continue;
        if (item->stream != stream) {
            TRY(wire_flush(d));
            stream = item->stream;
            TRY(d->sink->stream(d->sink->ctx, bulk->stream[stream]));
        }
        TRY(add_item(d, bulk, bulk->order[i]));
    }
    return wire_flush(d);
}

enum err wire_decode_bulk(struct wire_decoder *d, struct bulk *bulk, int64_t arrival_ns,
                          const struct wire_sink *sink, uint32_t *ret_records)
{
    d->batch = d->json;
    d->sink = sink;
    d->arrival_ns = arrival_ns;
    d->accepted = 0;
    batch_clear(d->batch);
    enum err err = each_item(d, bulk);
    json_reader_id(d->reader, (struct str){0});
    *ret_records = d->accepted;
    return err;
}
