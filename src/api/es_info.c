/* What shippers and clients ask before they send: the server, its health and nodes, licence and
 * features, templates and policies.
 *
 * Templates, mappings, policies and pipelines are accepted so that shippers that insist on setting
 * them up can start, and change nothing: a stream needs no mapping, and retention is Weir's own.
 * Each such answer says so in a Warning header. None is kept: asked for, it is not found. */
#include "api/es.h"

#include "record/json.h"

#include <stdio.h>

static bool wants_page(struct http_request *r)
{
    return str_find(http_header(r, "Accept"), STR("text/html")) != SIZE_MAX;
}

/* The page for browsers, which ask for HTML by name; for all others what Elasticsearch's clients
 * look at before they go on. */
void es_root(void *ctx, struct http_request *r)
{
    if (wants_page(r)) {
        api_page(ctx, r);
        return;
    }
    es_reply(r, 200,
             STR("{\"name\":\"weir\",\"cluster_name\":\"weir\",\"cluster_uuid\":\"weir\","
                 "\"version\":{\"number\":\"" ES_VERSION "\",\"build_flavor\":\"default\","
                 "\"build_type\":\"deb\",\"build_hash\":\"weir-" WEIR_VERSION "\","
                 "\"build_date\":\"2025-01-01T00:00:00Z\",\"build_snapshot\":false,"
                 "\"lucene_version\":\"9.12.0\",\"minimum_wire_compatibility_version\":\"7.17.0\","
                 "\"minimum_index_compatibility_version\":\"7.0.0\"},"
                 "\"tagline\":\"You Know, for Search\"}\n"));
}

void es_health(void *ctx, struct http_request *r)
{
    if (es_is_ready(ctx, r))
        es_reply(r, 200,
                 STR("{\"cluster_name\":\"weir\",\"status\":\"green\",\"timed_out\":false,"
                     "\"number_of_nodes\":1,\"number_of_data_nodes\":1,\"active_primary_shards\":1,"
                     "\"active_shards\":1,\"relocating_shards\":0,\"initializing_shards\":0,"
                     "\"unassigned_shards\":0,\"delayed_unassigned_shards\":0,"
                     "\"number_of_pending_tasks\":0,\"number_of_in_flight_fetch\":0,"
                     "\"task_max_waiting_in_queue_millis\":0,"
                     "\"active_shards_percent_as_number\":100.0}\n"));
}

/* The one node, at the address that the client has reached: sniffing leads back here. */
void es_nodes(void *ctx, struct http_request *r)
{
    struct str host = http_header(r, "Host");
    struct buf out;
    buf_init(&out, ES_ANSWER_MAX);
    buf_put_c(&out, "{\"_nodes\":{\"total\":1,\"successful\":1,\"failed\":0},"
                    "\"cluster_name\":\"weir\",\"nodes\":{\"weir\":{\"name\":\"weir\","
                    "\"version\":\"" ES_VERSION "\",\"roles\":[\"data\",\"ingest\",\"master\"],"
                    "\"http\":{\"publish_address\":");
    json_put_string(&out, host);
    buf_put_c(&out, ",\"bound_address\":[");
    json_put_string(&out, host);
    buf_put_c(&out, "],\"max_content_length_in_bytes\":67108864}}}}\n");
    es_reply_buf(r, OK, &out);
}

void es_license(void *ctx, struct http_request *r)
{
    es_reply(r, 200,
             STR("{\"license\":{\"status\":\"active\",\"uid\":\"weir\",\"type\":\"basic\","
                 "\"issue_date\":\"2025-01-01T00:00:00.000Z\","
                 "\"issue_date_in_millis\":1735689600000,\"max_nodes\":1000,\"issued_to\":\"weir\","
                 "\"issuer\":\"weir\",\"start_date_in_millis\":-1}}\n"));
}

/* No feature beyond the plain ones: shippers then leave them alone. */
void es_xpack(void *ctx, struct http_request *r)
{
    static const char *const features[] = {"ilm", "security", "ml", "monitoring", "data_streams"};
    struct buf out;
    buf_init(&out, ES_ANSWER_MAX);
    buf_put_c(&out, "{\"build\":{\"hash\":\"weir-" WEIR_VERSION "\","
                    "\"date\":\"2025-01-01T00:00:00Z\"},\"license\":{\"uid\":\"weir\","
                    "\"type\":\"basic\",\"mode\":\"basic\",\"status\":\"active\"},\"features\":{");
    for (size_t i = 0; i < sizeof(features) / sizeof(*features); i++)
        buf_printf(&out, "%s\"%s\":{\"available\":false,\"enabled\":false}", i ? "," : "",
                   features[i]);
    buf_put_c(&out, "},\"tagline\":\"You know, for X\"}\n");
    es_reply_buf(r, OK, &out);
}

/* ---- what is accepted and changes nothing ---- */

static void acknowledge(struct http_request *r, const char *what)
{
    char warning[300];
    snprintf(warning, sizeof(warning), "299 Weir-" WEIR_VERSION " \"%s\"", what);
    http_reply_header(r, "Warning", warning);
    es_reply(r, 200, STR("{\"acknowledged\":true}\n"));
}

void es_put_template(void *ctx, struct http_request *r)
{
    acknowledge(r, "templates are accepted and change nothing: streams need no mapping");
}

void es_put_policy(void *ctx, struct http_request *r)
{
    acknowledge(r, "policies are accepted and change nothing: see store.retention");
}

/* Filebeat sends nothing before the pipelines of its modules are there; its documents say which
 * they want, and are kept as they come. */
void es_put_pipeline(void *ctx, struct http_request *r)
{
    acknowledge(r, "ingest pipelines are accepted and not run: take fields out by transforms");
}

void es_put_mapping(void *ctx, struct http_request *r)
{
    acknowledge(r, "mappings are accepted and change nothing: streams need none");
}

void es_not_kept(void *ctx, struct http_request *r)
{
    struct str name = http_path_rest(r, 1);
    es_error(r, 404, "resource_not_found_exception", "nothing is kept under [%.*s]",
             name.n < 200 ? (int)name.n : 200, name.p);
}
