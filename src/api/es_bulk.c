/* POST, PUT /_bulk, /{index}/_bulk; and one document: POST /{index}/_doc, PUT /{index}/_doc/{id},
 * /{index}/_create/{id}.
 *
 * The answer comes when what was accepted is durable and can be found, so that `refresh` has
 * nothing to do. Each item has its own result: 201 created; where its _id has landed before, 200
 * noop for `index` (the first copy stays) and 409 for `create`; 400 with the reason where the
 * record cannot be read, which costs no other item. A document without an _id is known by the place
 * where its record came to stand. */
#include "api/es.h"

#include "core/clock.h"
#include "filter/filter.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>

/* Walks the places of accepted records, whose numbers only rise. */
struct place_cursor {
    const struct ingest_result *result;
    uint32_t place, before; /* records in the places before it */
};

static struct origin_run origin_of(struct place_cursor *c, uint32_t row)
{
    const struct ingest_place *p = &c->result->place[c->place];
    for (; row - c->before >= p->rows; p = &c->result->place[c->place]) {
        c->before += p->rows;
        c->place++;
        CHECK(c->place < c->result->n_places);
    }
    return (struct origin_run){.partition = p->partition,
                               .position = p->position,
                               .index = p->first_index + (row - c->before)};
}

static unsigned status_of(const struct bulk_item *item)
{
    if (item->outcome == BULK_CREATED)
        return 201;
    if (item->outcome == BULK_DUPLICATE)
        return item->op == BULK_CREATE ? 409 : 200;
    return 400;
}

static void put_failure(struct buf *out, const struct bulk_item *item)
{
    char reason[700];
    if (item->outcome == BULK_DUPLICATE) {
        snprintf(reason, sizeof(reason), "[%.*s]: version conflict, document already exists",
                 STR_ARG(item->id));
        buf_put_c(out, "{\"type\":\"version_conflict_engine_exception\",\"reason\":");
        json_put_string(out, str_c(reason));
    } else {
        buf_printf(out, "{\"type\":\"%s\",\"reason\":",
                   item->outcome == BULK_REFUSED ? "document_parsing_exception"
                                                 : "illegal_argument_exception");
        json_put_string(out, str_c(item->reason));
    }
    buf_put_byte(out, '}');
}

/* An item's result without the name of its action. */
static void put_item(struct buf *out, const struct bulk *bulk, uint32_t number,
                     const struct origin_run *origin)
{
    const struct bulk_item *item = &bulk->item[number];
    unsigned status = status_of(item);
    buf_put_c(out, "{\"_index\":");
    json_put_string(out, bulk->stream[item->stream]);
    buf_put_c(out, ",\"_id\":");
    char place[FILTER_ID_MAX];
    if (item->id.n)
        json_put_string(out, item->id);
    else if (item->outcome == BULK_CREATED)
        json_put_string(out, str_of(place, filter_row_id(origin, place)));
    else
        buf_put_c(out, "null");
    if (status >= 300) {
        buf_put_c(out, ",\"error\":");
        put_failure(out, item);
    } else {
        buf_printf(out,
                   ",\"_version\":1,\"result\":\"%s\",\"_shards\":{\"total\":1,\"successful\":1,"
                   "\"failed\":0},\"_seq_no\":%" PRIu64 ",\"_primary_term\":1",
                   status == 201 ? "created" : "noop", origin->position);
    }
    buf_printf(out, ",\"status\":%u}", status);
}

/* The origins of the created items, by item. They were numbered in the order of their streams. */
static struct origin_run *origins(struct arena *a, const struct ingest_result *result)
{
    const struct bulk *bulk = result->bulk;
    struct origin_run *origin = ARENA_ARRAY(a, struct origin_run, bulk->n);
    struct place_cursor cursor = {.result = result};
    for (uint32_t i = 0; i < bulk->n; i++) {
        const struct bulk_item *item = &bulk->item[bulk->order[i]];
        if (item->outcome == BULK_CREATED)
            origin[bulk->order[i]] = origin_of(&cursor, item->row);
    }
    return origin;
}

struct bulk_ctx {
    struct http_request *r;
    int64_t began_ns;
};

static void put_bulk(struct buf *out, const struct ingest_result *result, int64_t began_ns)
{
    const struct bulk *bulk = result->bulk;
    struct arena a;
    arena_init(&a, 0, NULL);
    const struct origin_run *origin = origins(&a, result);
    bool errors = false;
    for (uint32_t i = 0; i < bulk->n; i++)
        errors |= status_of(&bulk->item[i]) >= 300;
    buf_printf(out, "{\"took\":%lld,\"errors\":%s,\"items\":[",
               (long long)((clock_mono_ns() - began_ns) / NS_PER_MS), errors ? "true" : "false");
    for (uint32_t i = 0; i < bulk->n; i++) {
        buf_printf(out, "%s{\"%s\":", i ? "," : "", bulk_op_name(bulk->item[i].op));
        put_item(out, bulk, i, &origin[i]);
        buf_put_byte(out, '}');
    }
    buf_put_c(out, "]}\n");
    arena_release(&a);
}

static void answer_bulk(void *ctx, const struct ingest_result *result)
{
    struct bulk_ctx *c = ctx;
    struct buf out;
    if (result->err != OK || !result->bulk) {
        es_error_of(c->r, result->err == OK ? ERR_INVALID : result->err,
                    result->err == OK ? "the body holds no action" : result->text);
        return;
    }
    buf_init(&out, ES_ANSWER_MAX);
    put_bulk(&out, result, c->began_ns);
    es_reply(c->r, 200, buf_str(&out));
    buf_release(&out);
}

static void answer_doc(void *ctx, const struct ingest_result *result)
{
    struct bulk_ctx *c = ctx;
    struct buf out;
    if (result->err != OK) {
        es_error_of(c->r, result->err, result->text);
        return;
    }
    const struct bulk_item *item = &result->bulk->item[0];
    unsigned status = status_of(item);
    struct origin_run *origin = origins(http_arena(c->r), result);
    buf_init(&out, ES_ANSWER_MAX);
    if (status < 300) {
        put_item(&out, result->bulk, 0, origin);
    } else {
        buf_put_c(&out, "{\"error\":");
        put_failure(&out, item);
        buf_printf(&out, ",\"status\":%u}", status);
    }
    buf_put_byte(&out, '\n');
    es_reply(c->r, status, buf_str(&out));
    buf_release(&out);
}

static void send_body(struct api *api, struct http_request *r, enum wire_format format,
                      enum bulk_op op, struct str id)
{
    struct bulk_ctx *c = ARENA_NEW(http_arena(r), struct bulk_ctx);
    *c = (struct bulk_ctx){r, clock_mono_ns()};
    bool bulk = format == WIRE_BULK;
    /* /_bulk, /{index}/_bulk, and with an organization before it */
    struct str index = http_path_segment(r, bulk && http_path_segment(r, 2).n ? 2 : 0);
    struct ingest_body body = {
        .org = API_ORG,
        .stream = bulk && str_eq_c(index, "_bulk") ? STR("") : index,
        .bytes = http_body(r),
        .encoding = api_plain_encoding(r),
        .format = format,
        .op = op,
        .id = id,
        .service = http_header(r, "X-Service-Id"),
        .host = http_header(r, "X-Host"),
        .ctx = c,
        .done = bulk ? answer_bulk : answer_doc,
    };
    if (es_is_ready(api, r))
        ingest_body(api->ingest, &body);
}

void es_bulk(void *ctx, struct http_request *r)
{
    send_body(ctx, r, WIRE_BULK, BULK_INDEX, STR(""));
}

static void put_doc(struct api *api, struct http_request *r, enum bulk_op op)
{
    bool create = str_eq_c(http_param(r, "op_type"), "create");
    send_body(api, r, WIRE_DOC, create ? BULK_CREATE : op, http_path_rest(r, 2));
}

void es_put_doc(void *ctx, struct http_request *r)
{
    put_doc(ctx, r, BULK_INDEX);
}

void es_create_doc(void *ctx, struct http_request *r)
{
    put_doc(ctx, r, BULK_CREATE);
}
