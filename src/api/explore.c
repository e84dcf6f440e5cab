/* GET or POST /api/v1/logs/fields, /api/v1/logs/values, /api/v1/logs/patterns,
 * /api/v1/logs/context: which fields there are, which values a field has, which kinds of lines
 * there are, what happened around a record. Parameters as of search; besides them: fields: limit
 * (1000). values: field, limit (10). patterns: field, by, limit (50), examples (1), new_since.
 * context: id, before and after (10 each), same (a comma list of fields that name the source). */
#include "api/internal.h"

#include "query/explore.h"
#include "query/pipe.h"

enum {
    FIELDS_DEFAULT = 1000,
    VALUES_DEFAULT = 10,
    PATTERNS_DEFAULT = 50,
    AROUND_DEFAULT = 10,
    ANSWER_BYTES_MAX = 1 << 30
};

static void reply(struct http_request *r, const char *kind, enum err err, int64_t began,
                  struct buf *out)
{
    api_end_query(kind, err, began);
    if (err != OK)
        http_error_of(r, err, err_text());
    else
        http_reply(r, 200, JSON_TYPE, buf_str(out));
    buf_release(out);
}

/* The limit that is the default here, where the request names none. */
static void default_limit(struct http_request *r, uint32_t limit, struct query_request *q)
{
    if (!http_param(r, "limit").n)
        q->limit = limit;
}

void api_fields(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct buf out;
    if (!api_read_query(api, r, &q))
        return;
    default_limit(r, FIELDS_DEFAULT, &q);
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    reply(r, "fields", query_fields(api->engine, &q, &out), began, &out);
}

void api_values(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct buf out;
    struct str field = http_param(r, "field");
    if (!api_read_query(api, r, &q))
        return;
    if (field.n == 0) {
        http_error(r, 400, "field: the name of a field is wanted, as in field=service");
        return;
    }
    default_limit(r, VALUES_DEFAULT, &q);
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    reply(r, "values", query_values(api->engine, &q, field, &out), began, &out);
}

void api_patterns(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct query_patterns p = {.field = http_param(r, "field"),
                               .by = http_param(r, "by"),
                               .new_since = http_param(r, "new_since"),
                               .examples = 1};
    struct buf out;
    if (!api_read_query(api, r, &q) ||
        !api_param_u32(r, "examples", PATTERN_EXAMPLES_MAX, &p.examples))
        return;
    default_limit(r, PATTERNS_DEFAULT, &q);
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    reply(r, "patterns", query_patterns(api->engine, &q, &p, &out), began, &out);
}

/* By any of the names that answers have for it. */
static struct str record_id(struct http_request *r)
{
    static const char *const names[] = {"id", "_id", "log_id"};
    struct str id = {0};
    for (int i = 0; i < 3 && id.n == 0; i++)
        id = http_param(r, names[i]);
    return id;
}

void api_context(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct query_request q;
    struct query_context c = {.id = record_id(r),
                              .same = http_param(r, "same"),
                              .before = AROUND_DEFAULT,
                              .after = AROUND_DEFAULT};
    struct buf out;
    if (!api_read_query(api, r, &q) || !api_param_u32(r, "before", QUERY_CONTEXT_MAX, &c.before) ||
        !api_param_u32(r, "after", QUERY_CONTEXT_MAX, &c.after))
        return;
    if (c.id.n == 0) {
        http_error(r, 400, "id: the _id of a record is wanted, as in id=0-1f-3");
        return;
    }
    int64_t began = api_begin_query();
    buf_init(&out, ANSWER_BYTES_MAX);
    reply(r, "context", query_context(api->engine, &q, &c, &out), began, &out);
}
