/* GET /: what the server is, for those who do not ask for a page. */
#include "api/es.h"

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
