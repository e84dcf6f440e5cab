/* Indices: whether there is one, making one, what stands in which, and their fields. */
#include "api/es.h"

#include "core/clock.h"
#include "record/json.h"

#include <inttypes.h>
#include <stdio.h>

/* ---- fields ---- */

static bool is_stronger(const char *type, const char *than)
{
    static const char *const order[] = {"object", "boolean", "long", "double", "keyword", "text"};
    int a = 0, b = 0;
    while (strcmp(order[a], type) != 0)
        a++;
    while (strcmp(order[b], than) != 0)
        b++;
    return a > b;
}

static const char *type_of(const struct find_field *f)
{
    switch (f->lane) {
    case LANE_INT:
        return "long";
    case LANE_DEC:
    case LANE_DBL:
    case LANE_NUM:
        return "double";
    case LANE_BOOL:
        return "boolean";
    case LANE_OBJ:
    case LANE_JSON:
        return "object";
    default:
        return dsl_is_text(f->name) ? "text" : "keyword";
    }
}

/* The type of the field at *i, over all its lanes; *i goes to the next name. NULL: it has no value
 * anywhere. */
static const char *next_type(const struct find_field *f, uint32_t n, uint32_t *i)
{
    const char *type = NULL;
    struct str name = f[*i].name;
    for (; *i < n && str_eq(f[*i].name, name); (*i)++) {
        if (f[*i].lane == LANE_NULL)
            continue;
        const char *mine = type_of(&f[*i]);
        if (!type || is_stronger(mine, type))
            type = mine;
    }
    return type;
}

static enum err fields_of(struct api *api, struct http_request *r, const struct es_streams *s,
                          struct arena *a, struct find_field **ret, uint32_t *ret_n)
{
    struct query_request q = {.org = API_ORG,
                              .from = INT64_MIN,
                              .to = INT64_MAX,
                              .now_ns = clock_now_ns(),
                              .canceled = http_canceled(r)};
    es_want(s, a, &q);
    return find_fields(api->engine, &q, a, ret, ret_n);
}

/* The object of `name`'s first segments below `properties`; *name becomes the last. */
static json_t *descend(json_t *properties, struct str *name)
{
    struct str part;
    size_t dot;
    while ((dot = str_find_byte(*name, '.', 0)) < name->n && dot && dot + 1 < name->n) {
        part = str_of(name->p, dot);
        *name = str_from(*name, dot + 1);
        json_t *object = json_object_getn(properties, part.p, part.n);
        json_t *below = json_object_get(object, "properties");
        if (!below) {
            below = json_object();
            json_object_setn_new(properties, part.p, part.n,
                                 json_pack("{s:o}", "properties", below));
        }
        properties = below;
    }
    return properties;
}

static json_t *make_properties(const struct find_field *f, uint32_t n)
{
    json_t *all = json_object();
    json_object_set_new(all, "@timestamp", json_pack("{s:s}", "type", "date_nanos"));
    for (uint32_t i = 0; i < n;) {
        struct str name = f[i].name;
        const char *type = next_type(f, n, &i);
        if (!type || str_eq_c(name, "@timestamp") || str_eq_c(name, "_id"))
            continue;
        json_t *at = descend(all, &name);
        if (!json_object_getn(at, name.p, name.n))
            json_object_setn_new(at, name.p, name.n, json_pack("{s:s}", "type", type));
    }
    return all;
}

static int put_bytes(const char *bytes, size_t n, void *ctx)
{
    buf_put(ctx, bytes, n);
    return 0;
}

static enum err put_mapping(struct api *api, struct http_request *r, const struct stream_stats *one,
                            struct arena *a, struct buf *out)
{
    struct es_streams s = {(struct stream_stats *)(uintptr_t)one, 1};
    struct find_field *f;
    uint32_t n;
    TRY(fields_of(api, r, &s, a, &f, &n));
    json_t *properties = make_properties(f, n);
    buf_put_c(out, "\"mappings\":{\"properties\":");
    (void)json_dump_callback(properties, put_bytes, out, JSON_COMPACT); /* put_bytes cannot fail */
    buf_put_byte(out, '}');
    json_decref(properties);
    return OK;
}

static struct str path_index(struct http_request *r)
{
    struct str first = http_path_segment(r, 0);
    return first.n && first.p[0] == '_' && !str_eq_c(first, "_all") ? STR("") : first;
}

/* {"index":{...},...}; `whole`: with aliases and settings. */
static void reply_mappings(struct api *api, struct http_request *r, bool whole)
{
    struct arena a;
    struct es_streams s;
    struct buf out;
    enum err err = OK;
    arena_init(&a, 0, NULL);
    if (es_resolve_path(api, r, path_index(r), &a, &s)) {
        buf_init(&out, ES_ANSWER_MAX);
        buf_put_byte(&out, '{');
        for (size_t i = 0; i < s.n && err == OK; i++) {
            if (i)
                buf_put_byte(&out, ',');
            json_put_string(&out, s.stream[i].name);
            buf_put_c(&out, whole ? ":{\"aliases\":{}," : ":{");
            err = put_mapping(api, r, &s.stream[i], &a, &out);
            if (whole)
                buf_put_c(&out, ",\"settings\":{\"index\":{\"number_of_shards\":\"1\","
                                "\"number_of_replicas\":\"0\"}}");
            buf_put_byte(&out, '}');
        }
        buf_put_c(&out, "}\n");
        es_reply_buf(r, err, &out);
    }
    arena_release(&a);
}

void es_get_mapping(void *ctx, struct http_request *r)
{
    reply_mappings(ctx, r, false);
}

void es_get_index(void *ctx, struct http_request *r)
{
    if (str_eq_c(http_method(r), "HEAD")) { /* whether it exists: no fields are read */
        struct es_streams s;
        if (es_resolve_path(ctx, r, http_path_segment(r, 0), http_arena(r), &s))
            es_reply(r, s.n ? 200 : 404, STR("{}\n"));
        return;
    }
    reply_mappings(ctx, r, true);
}

/* ---- field_caps ---- */

static void put_capability(struct buf *out, struct str name, const char *type, bool metadata)
{
    if (out->p[out->n - 1] != '{')
        buf_put_byte(out, ',');
    json_put_string(out, name);
    buf_printf(out,
               ":{\"%s\":{\"type\":\"%s\",\"metadata_field\":%s,\"searchable\":true,"
               "\"aggregatable\":%s}}",
               type, type, metadata ? "true" : "false",
               !metadata && strcmp(type, "object") != 0 ? "true" : "false");
}

static bool is_asked(const struct str *pattern, uint32_t n, struct str name)
{
    for (uint32_t i = 0; i < n; i++)
        if (str_glob(pattern[i], name))
            return true;
    return n == 0;
}

static void put_capabilities(struct buf *out, const struct es_streams *s,
                             const struct find_field *f, uint32_t n, const struct str *pattern,
                             uint32_t n_patterns)
{
    static const char *const metadata[] = {"_id", "_index"};
    buf_put_c(out, "{\"indices\":[");
    for (size_t i = 0; i < s->n; i++) {
        if (i)
            buf_put_byte(out, ',');
        json_put_string(out, s->stream[i].name);
    }
    buf_put_c(out, "],\"fields\":{");
    for (size_t i = 0; i < 2; i++)
        if (is_asked(pattern, n_patterns, str_c(metadata[i])))
            put_capability(out, str_c(metadata[i]), metadata[i], true);
    if (s->n && is_asked(pattern, n_patterns, STR("@timestamp")))
        put_capability(out, STR("@timestamp"), "date_nanos", false);
    for (uint32_t i = 0; i < n;) {
        struct str name = f[i].name;
        const char *type = next_type(f, n, &i);
        if (type && !str_eq_c(name, "_id") && !str_eq_c(name, "@timestamp") &&
            is_asked(pattern, n_patterns, name))
            put_capability(out, name, type, false);
    }
    buf_put_c(out, "}}\n");
}

static enum err read_patterns(struct http_request *r, struct arena *a, const struct str **ret,
                              uint32_t *ret_n)
{
    struct dsl d;
    json_t *body, *param;
    struct str fields = http_param(r, "fields");
    dsl_init(&d, a, clock_now_ns());
    *ret_n = 0;
    TRY(es_read_json(r, &body));
    param = fields.n ? json_stringn(fields.p, fields.n) : NULL;
    const json_t *list = json_object_get(body, "fields");
    enum err err = list || param ? dsl_names(&d, list ? list : param, ret, ret_n) : OK;
    json_decref(body);
    json_decref(param);
    return err;
}

void es_field_caps(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct arena a;
    struct es_streams s;
    struct buf out;
    struct find_field *f;
    const struct str *pattern = NULL;
    uint32_t n, n_patterns;
    arena_init(&a, 0, NULL);
    if (es_resolve_path(api, r, path_index(r), &a, &s)) {
        buf_init(&out, ES_ANSWER_MAX);
        enum err err = read_patterns(r, &a, &pattern, &n_patterns);
        if (err == OK)
            err = fields_of(api, r, &s, &a, &f, &n);
        if (err == OK)
            put_capabilities(&out, &s, f, n, pattern, n_patterns);
        es_reply_buf(r, err, &out);
    }
    arena_release(&a);
}

/* ---- making, refreshing ---- */

static enum err create(struct api *api, struct str name, bool *ret_new)
{
    TRY(ingest_check_stream(name));
    return store_create_stream(api->store, API_ORG, name, ret_new);
}

void es_create_index(void *ctx, struct http_request *r)
{
    struct str name = http_path_segment(r, 0);
    bool fresh = false;
    struct buf out;
    if (!es_is_ready(ctx, r))
        return;
    enum err err = create(ctx, name, &fresh);
    if (err == OK && !fresh) {
        es_error(r, 400, "resource_already_exists_exception", "index [%.*s] already exists",
                 STR_ARG(name));
        return;
    }
    if (err == ERR_INVALID) {
        es_error(r, 400, "invalid_index_name_exception", "%s", err_text());
        return;
    }
    buf_init(&out, ES_ANSWER_MAX);
    buf_put_c(&out, "{\"acknowledged\":true,\"shards_acknowledged\":true,\"index\":");
    json_put_string(&out, name);
    buf_put_c(&out, "}\n");
    es_reply_buf(r, err, &out);
}

/* What was acknowledged can be found already. */
void es_refresh(void *ctx, struct http_request *r)
{
    struct arena a;
    struct es_streams s;
    arena_init(&a, 0, NULL);
    if (es_resolve_path(ctx, r, path_index(r), &a, &s))
        es_reply(r, 200, STR("{" ES_SHARDS "}\n"));
    arena_release(&a);
}

void es_delete_index(void *ctx, struct http_request *r)
{
    es_error(r, 400, "illegal_argument_exception",
             "streams are not deleted by hand: records go when store.retention says so");
}

/* ---- data streams ---- */

void es_get_data_stream(void *ctx, struct http_request *r)
{
    struct arena a;
    struct es_streams s;
    struct buf out;
    arena_init(&a, 0, NULL);
    if (es_resolve_path(ctx, r, http_path_rest(r, 1), &a, &s)) {
        buf_init(&out, ES_ANSWER_MAX);
        buf_put_c(&out, "{\"data_streams\":[");
        for (size_t i = 0; i < s.n; i++) {
            buf_put_c(&out, i ? ",{\"name\":" : "{\"name\":");
            json_put_string(&out, s.stream[i].name);
            buf_put_c(&out, ",\"timestamp_field\":{\"name\":\"@timestamp\"},\"indices\":[],"
                            "\"generation\":1,\"status\":\"GREEN\"}");
        }
        buf_put_c(&out, "]}\n");
        es_reply_buf(r, OK, &out);
    }
    arena_release(&a);
}

void es_put_data_stream(void *ctx, struct http_request *r)
{
    bool fresh;
    if (!es_is_ready(ctx, r))
        return;
    enum err err = create(ctx, http_path_segment(r, 1), &fresh);
    if (err == OK)
        es_reply(r, 200, STR("{\"acknowledged\":true}\n"));
    else
        es_error_of(r, err, err_text());
}

/* ---- _cat/indices ---- */

enum { COLUMNS = 10 };
static const char *const columns[COLUMNS] = {
    "health", "status",     "index",        "uuid",       "pri",
    "rep",    "docs.count", "docs.deleted", "store.size", "pri.store.size"};

/* 512b, 1.5kb, 3gb. */
static struct str size_text(struct arena *a, uint64_t bytes)
{
    static const char *const units[] = {"b", "kb", "mb", "gb", "tb"};
    double v = (double)bytes;
    int unit = 0;
    for (; v >= 1024 && unit < 4; unit++)
        v /= 1024;
    return unit ? arena_printf(a, "%.1f%s", v, units[unit])
                : arena_printf(a, "%" PRIu64 "b", bytes);
}

static struct str cell(struct arena *a, const struct stream_stats *s, uint32_t column, bool bytes)
{
    switch (column) {
    case 0:
        return STR("green");
    case 1:
        return STR("open");
    case 2:
    case 3:
        return s->name;
    case 4:
        return STR("1");
    case 6:
        return arena_printf(a, "%" PRIu64, s->rows);
    case 8:
    case 9:
        return bytes ? arena_printf(a, "%" PRIu64, s->bytes) : size_text(a, s->bytes);
    default:
        return STR("0");
    }
}

/* The columns that `h` names, or all. */
static uint32_t chosen(struct http_request *r, uint32_t column[COLUMNS])
{
    struct str h = http_param(r, "h"), part;
    uint32_t n = 0;
    for (uint32_t c = 0; !h.n && c < COLUMNS; c++)
        column[n++] = c;
    while (h.n && n < COLUMNS && str_split(&h, ',', &part)) {
        part = str_trim(part);
        part = str_eq_c(part, "i") ? STR("index") : str_eq_c(part, "dc") ? STR("docs.count") : part;
        for (uint32_t c = 0; c < COLUMNS; c++)
            if (str_eq_c(part, columns[c])) {
                column[n++] = c;
                break;
            }
    }
    return n;
}

struct cat {
    const struct es_streams *s;
    uint32_t column[COLUMNS], n;
    bool bytes;
    struct arena *arena;
};

static void put_json(const struct cat *c, struct buf *out)
{
    buf_put_byte(out, '[');
    for (size_t i = 0; i < c->s->n; i++) {
        buf_put_c(out, i ? ",{" : "{");
        for (uint32_t k = 0; k < c->n; k++) {
            buf_printf(out, "%s\"%s\":", k ? "," : "", columns[c->column[k]]);
            json_put_string(out, cell(c->arena, &c->s->stream[i], c->column[k], c->bytes));
        }
        buf_put_byte(out, '}');
    }
    buf_put_c(out, "]\n");
}

static void put_text(const struct cat *c, bool head, struct buf *out)
{
    size_t width[COLUMNS] = {0};
    for (size_t i = 0; i <= c->s->n; i++)
        for (uint32_t k = 0; k < c->n; k++) {
            struct str text = i < c->s->n ? cell(c->arena, &c->s->stream[i], c->column[k], c->bytes)
                                          : str_c(head ? columns[c->column[k]] : "");
            width[k] = text.n > width[k] ? text.n : width[k];
        }
    for (size_t i = head ? 0 : 1; i <= c->s->n; i++) {
        for (uint32_t k = 0; k < c->n; k++) {
            struct str text = i ? cell(c->arena, &c->s->stream[i - 1], c->column[k], c->bytes)
                                : str_c(columns[c->column[k]]);
            buf_put_str(out, text);
            for (size_t p = text.n; k + 1 < c->n && p < width[k] + 1; p++)
                buf_put_byte(out, ' ');
        }
        buf_put_byte(out, '\n');
    }
}

void es_cat_indices(void *ctx, struct http_request *r)
{
    struct arena a;
    struct es_streams s;
    struct buf out;
    bool head = false;
    struct str accept = http_header(r, "Accept");
    arena_init(&a, 0, NULL);
    if (es_param_bool(r, "v", &head) && es_resolve_path(ctx, r, http_path_rest(r, 2), &a, &s)) {
        struct cat c = {.s = &s, .arena = &a, .bytes = str_eq_c(http_param(r, "bytes"), "b")};
        c.n = chosen(r, c.column);
        buf_init(&out, ES_ANSWER_MAX);
        if (str_eq_c(http_param(r, "format"), "json") ||
            (!http_param(r, "format").n && str_starts(accept, STR("application/")))) {
            put_json(&c, &out);
            es_reply_buf(r, OK, &out);
        } else {
            put_text(&c, head, &out);
            http_reply_header(r, "X-Elastic-Product", "Elasticsearch");
            http_reply(r, 200, "text/plain; charset=UTF-8", buf_str(&out));
            buf_release(&out);
        }
    }
    arena_release(&a);
}
