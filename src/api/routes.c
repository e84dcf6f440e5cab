/* The table of routes, and what reading parameters means everywhere: an absent parameter is the
 * default, a parameter that cannot be read is an error that says what would be right. Weir's own
 * routes come first: the others' have patterns that their paths would fit. */
#include "api/es.h"
#include "api/push.h"

enum { ROUTES_MAX = 256 };

static const struct http_route weir_routes[] = {
    {"GET", "/api/v1/logs/search", HTTP_QUERY, false, api_search, NULL},
    {"POST", "/api/v1/logs/search", HTTP_QUERY, false, api_search, NULL},
    {"GET", "/api/v1/logs/query", HTTP_QUERY, false, api_query, NULL},
    {"POST", "/api/v1/logs/query", HTTP_QUERY, false, api_query, NULL},
    {"GET", "/api/v1/logs/histogram", HTTP_QUERY, false, api_histogram, NULL},
    {"POST", "/api/v1/logs/histogram", HTTP_QUERY, false, api_histogram, NULL},
    {"GET", "/api/v1/logs/fields", HTTP_QUERY, false, api_fields, NULL},
    {"POST", "/api/v1/logs/fields", HTTP_QUERY, false, api_fields, NULL},
    {"GET", "/api/v1/logs/values", HTTP_QUERY, false, api_values, NULL},
    {"POST", "/api/v1/logs/values", HTTP_QUERY, false, api_values, NULL},
    {"GET", "/api/v1/logs/patterns", HTTP_QUERY, false, api_patterns, NULL},
    {"POST", "/api/v1/logs/patterns", HTTP_QUERY, false, api_patterns, NULL},
    {"GET", "/api/v1/logs/context", HTTP_QUERY, false, api_context, NULL},
    {"POST", "/api/v1/logs/context", HTTP_QUERY, false, api_context, NULL},
    {"GET", "/api/v1/logs/tail", HTTP_QUERY, false, api_tail, NULL},
    {"GET", "/api/v1/streams", HTTP_QUERY, false, api_streams, NULL},
    {"GET", "/api/v1/stats", HTTP_FAST, false, api_stats, NULL},
    {"POST", "/api/v1/admin/flush", HTTP_QUERY, false, api_flush, NULL},
    {"POST", "/api/v1/admin/compact", HTTP_QUERY, false, api_compact, NULL},
    {"GET", "/api/openapi.json", HTTP_FAST, false, api_openapi, NULL},
    {0},
};

/* What an agent has, too. */
static const struct http_route common_routes[] = {
    {"POST", "/api/v1/logs/ingest", HTTP_INGEST, false, api_ingest, NULL},
    {"GET", "/api/v1/ledger", HTTP_QUERY, false, api_ledger, NULL},
    {"GET", "/api/v1/dead-letters", HTTP_QUERY, false, api_dead_letters, NULL},
    {"GET", "/api/v1/dead-letters/{route}", HTTP_QUERY, false, api_dead_letters_of, NULL},
    {"DELETE", "/api/v1/dead-letters/{route}", HTTP_QUERY, false, api_dead_letters_delete, NULL},
    {"POST", "/api/v1/dead-letters/{route}/retry", HTTP_QUERY, false, api_dead_letters_retry, NULL},
    {"GET", "/healthz", HTTP_FAST, true, api_healthz, NULL},
    {"GET", "/health", HTTP_FAST, true, api_healthz, NULL},
    {"GET", "/readyz", HTTP_FAST, true, api_readyz, NULL},
    {"GET", "/metrics", HTTP_FAST, false, api_metrics, NULL},
    {0},
};

static const struct http_route *join(const struct http_route *const *families, size_t count,
                                     struct api *api)
{
    static struct http_route table[ROUTES_MAX];
    size_t n = 0;
    for (size_t f = 0; f < count; f++)
        for (const struct http_route *r = families[f]; r->method; r++) {
            CHECK(n + 1 < ROUTES_MAX);
            table[n] = *r;
            table[n++].ctx = api;
        }
    return table;
}

const struct http_route *api_routes(struct api *api)
{
    static const struct http_route *const families[] = {weir_routes, common_routes, push_routes,
                                                        openobserve_routes, es_routes};
    return join(families, sizeof(families) / sizeof(*families), api);
}

const struct http_route *api_agent_routes(struct api *api)
{
    static const struct http_route *const families[] = {common_routes, push_routes};
    return join(families, sizeof(families) / sizeof(*families), api);
}

bool api_param_u32(struct http_request *r, const char *name, uint32_t max, uint32_t *ret)
{
    struct str s = http_param(r, name);
    uint64_t v;
    if (s.n == 0)
        return true;
    if (!str_to_u64(s, &v) || v > max) {
        http_error(r, 400, "%s=%.*s: a whole number from 0 to %u is wanted", name,
                   s.n > 100 ? 100 : (int)s.n, s.p, max);
        return false;
    }
    *ret = (uint32_t)v;
    return true;
}

bool api_param_bool(struct http_request *r, const char *name, bool *ret)
{
    struct str s = http_param(r, name);
    if (!s.p)
        return true;
    bool yes = s.n == 0 || str_eq_c(s, "1") || str_ieq(s, STR("true"));
    if (!yes && !str_eq_c(s, "0") && !str_ieq(s, STR("false"))) {
        http_error(r, 400, "%s=%.*s: 1 or 0 is wanted", name, s.n > 100 ? 100 : (int)s.n, s.p);
        return false;
    }
    *ret = yes;
    return true;
}

bool api_is_ready(struct api *api, struct http_request *r)
{
    if (api->ready)
        return true;
    uint64_t done = api->replay_done, total = api->replay_total;
    http_error(r, 503, "starting: the queue is being replayed, %.0f %% done",
               total ? 100.0 * (double)done / (double)total : 0.0);
    return false;
}
