/* A bulk as ingest takes it: cut up, its streams judged, and room kept for its answer. */
#include "pipeline/ingest_impl.h"

enum { ITEM_ANSWER = 256 }; /* bytes of an item's answer, and its copy */

enum err job_read_bulk(struct job *j, const struct ingest_body *body, struct str bytes)
{
    if (body->format == WIRE_DOC)
        bulk_one(body->op, body->stream, body->id, bytes, &j->bulk_arena, &j->bulk);
    else
        TRY(bulk_parse(wire_decoder_json(j->w->decoder), bytes, body->stream, &j->bulk_arena,
                       &j->bulk));
    TRY(reservation_grow(&j->inflated, (size_t)j->bulk.n * ITEM_ANSWER));
    for (uint32_t i = 0; i < j->bulk.n; i++) {
        struct bulk_item *item = &j->bulk.item[i];
        struct str stream = j->bulk.stream[item->stream];
        if (item->outcome != BULK_WAITING || ingest_check_stream(stream) == OK)
            continue;
        item->outcome = BULK_IMPOSSIBLE;
        item->reason = stream.n ? arena_str(&j->bulk_arena, str_c(err_text())).p
                                : "neither the action nor the path names an index";
    }
    return OK;
}
