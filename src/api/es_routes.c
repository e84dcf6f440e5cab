/* The routes of Elasticsearch's API. */
#include "api/es.h"

const struct http_route es_routes[] = {
    {"GET", "/", HTTP_FAST, false, es_root, NULL},
    {"POST", "/_bulk", HTTP_INGEST, false, es_bulk, NULL},
    {"PUT", "/_bulk", HTTP_INGEST, false, es_bulk, NULL},
    {"POST", "/{index}/_bulk", HTTP_INGEST, false, es_bulk, NULL},
    {"PUT", "/{index}/_bulk", HTTP_INGEST, false, es_bulk, NULL},
    {"POST", "/{index}/_doc", HTTP_INGEST, false, es_put_doc, NULL},
    {"PUT", "/{index}/_doc/+", HTTP_INGEST, false, es_put_doc, NULL},
    {"POST", "/{index}/_doc/+", HTTP_INGEST, false, es_put_doc, NULL},
    {"PUT", "/{index}/_create/+", HTTP_INGEST, false, es_create_doc, NULL},
    {"POST", "/{index}/_create/+", HTTP_INGEST, false, es_create_doc, NULL},
    {0},
};
