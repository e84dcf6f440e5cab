/* The body of Elasticsearch's _bulk: pairs of lines, an action and, but for `delete`, a source.
 *
 *   {"index":{"_index":"logs","_id":"a1"}}
 *   {"message":"..."}
 *   {"create":{}}
 *   {"message":"..."}
 *
 * `create` and `index` add a record to the stream that `_index` names, or to the one of the
 * request's path; `_id` is optional. Members of an action that say how Elasticsearch should store
 * it (routing, pipeline, version, ...) are passed over. A stream of logs is only added to: `update`
 * and `delete` are refused, each alone.
 *
 * Parsing only cuts the body up and judges the actions; the sources are judged when they are
 * decoded (wire_decode_bulk), stream by stream, and the outcome is written to the items.
 * Owner: everything lives in the arena; the sources are slices of the body. */
#ifndef WEIR_WIRE_BULK_H
#define WEIR_WIRE_BULK_H

#include "record/json.h"

#define BULK_ITEMS_MAX 250000

enum bulk_op { BULK_INDEX, BULK_CREATE, BULK_UPDATE, BULK_DELETE };
enum bulk_outcome {
    BULK_WAITING,    /* not decoded yet */
    BULK_CREATED,    /* in a batch, as record number `row` of those accepted */
    BULK_DUPLICATE,  /* a record of this id has landed, or stands before it in the body */
    BULK_REFUSED,    /* the source is no record: `reason` */
    BULK_IMPOSSIBLE, /* the action itself cannot be done: `reason` */
};
struct bulk_item {
    struct str given; /* the action's _id; n == 0: none */
    struct str id;    /* what the record is known by: given, or its own; n == 0: neither */
    struct str source;
    const char *reason;
    uint32_t stream; /* of bulk.stream */
    uint32_t row;
    uint8_t op;      /* enum bulk_op */
    uint8_t outcome; /* enum bulk_outcome */
};
struct bulk {
    struct bulk_item *item;
    uint32_t n;
    struct str *stream;
    uint32_t n_streams;
    struct arena *arena;
    uint32_t *order; /* the items, those of one stream together, in the body's order */
};

const char *bulk_op_name(enum bulk_op op);
/* `index`: the stream of actions that name none; may be empty. `reader` checks the actions.
 * JSON_PADDING bytes behind the body must be readable. ERR_INVALID: an action line that cannot be
 * read, by its number: what follows it cannot be told apart. ERR_LIMIT: too many items. ERR_NOMEM:
 * the arena's bound. */
NODISCARD enum err bulk_parse(struct json_reader *reader, struct str body, struct str index,
                              struct arena *arena, struct bulk *ret);
/* A bulk of one item, whose source is the whole body. */
void bulk_one(enum bulk_op op, struct str index, struct str id, struct str body,
              struct arena *arena, struct bulk *ret);

#endif
