/* What is read of a request: its JSON, and parameters of the URL that say what a body could. And
 * the ids that scrolls and points in time go by. */
#include "api/es.h"

#include "query/dsl_search.h"
#include "record/json.h"
#include "wire/decode.h"

/* ---- bodies ---- */

enum err es_read_body(struct http_request *r, struct buf *inflated, struct str *ret)
{
    struct str encoding = api_plain_encoding(r);
    *ret = http_body(r);
    if (encoding.n) {
        TRY(wire_inflate(encoding, *ret, inflated));
        *ret = buf_str(inflated);
    }
    if (ret->n > ES_JSON_MAX)
        return err_set(ERR_LIMIT, "the body has %zu bytes, more than %zu", ret->n,
                       (size_t)ES_JSON_MAX);
    return OK;
}

enum err es_read_json(struct http_request *r, json_t **ret)
{
    struct buf inflated;
    struct str text;
    json_error_t e;
    buf_init(&inflated, ES_JSON_MAX);
    *ret = NULL;
    enum err err = es_read_body(r, &inflated, &text);
    if (err == OK && str_trim(text).n) {
        *ret = json_loadb(text.p, text.n, 0, &e);
        if (!*ret)
            err = err_set(ERR_INVALID, "the body is no JSON at line %d, column %d: %s", e.line,
                          e.column, e.text);
        else if (!json_is_object(*ret))
            err = err_set(ERR_INVALID, "the body must be a JSON object");
    }
    buf_release(&inflated);
    return err;
}

/* ---- parameters ---- */

static json_t *text_of(struct str s)
{
    return json_stringn(s.p, s.n);
}

enum err es_add_query_param(struct http_request *r, json_t **body)
{
    struct str q = http_param(r, "q"), df = http_param(r, "df");
    struct str operator= http_param(r, "default_operator");
    if (!*body)
        *body = json_object();
    if (!q.p)
        return OK;
    json_t *query = json_object();
    json_t *text = text_of(q);
    if (!text) {
        json_decref(query);
        return err_set(ERR_INVALID, "q is no UTF-8");
    }
    json_object_set_new(query, "query", text);
    if (df.n)
        json_object_set_new(query, "default_field", text_of(df));
    if (operator.n)
        json_object_set_new(query, "default_operator", text_of(operator));
    json_object_set_new(*body, "query", json_pack("{s:o}", "query_string", query));
    return OK;
}

static void add_text(struct http_request *r, json_t *body, const char *param, const char *member)
{
    struct str s = http_param(r, param);
    json_t *text = s.p ? text_of(s) : NULL;
    if (text)
        json_object_set_new(body, member, text);
}

static json_t *list_of(struct str s)
{
    json_t *list = json_array();
    struct str part;
    while (s.n && str_split(&s, ',', &part))
        if (part.n)
            json_array_append_new(list, text_of(part));
    return list;
}

static void add_flag_or_text(struct http_request *r, json_t *body, const char *name)
{
    struct str s = http_param(r, name);
    int64_t n;
    if (!s.p)
        return;
    if (s.n == 0 || str_eq_c(s, "true") || str_eq_c(s, "false"))
        json_object_set_new(body, name, json_boolean(!str_eq_c(s, "false")));
    else if (str_to_i64(s, &n))
        json_object_set_new(body, name, json_integer(n));
    else
        json_object_set_new(body, name, list_of(s));
}

enum err es_add_params(struct http_request *r, json_t **body)
{
    TRY(es_add_query_param(r, body));
    struct str include = http_param(r, "_source_includes"), sort = http_param(r, "sort");
    struct str exclude = http_param(r, "_source_excludes");
    add_text(r, *body, "size", "size");
    add_text(r, *body, "from", "from");
    add_text(r, *body, "timeout", "timeout");
    add_flag_or_text(r, *body, "track_total_hits");
    add_flag_or_text(r, *body, "_source");
    add_flag_or_text(r, *body, "version");
    if (include.n || exclude.n)
        json_object_set_new(
            *body, "_source",
            json_pack("{s:o,s:o}", "includes", list_of(include), "excludes", list_of(exclude)));
    if (sort.n)
        json_object_set_new(*body, "sort", list_of(sort));
    return OK;
}

/* ---- ids ---- */

/* An id is the hexadecimal of a JSON object: i, the index; t, the instant; b, the body; n, the
 * total; m, whether there are more; a, the sort values of the last hit. */
static int put_hex(const char *bytes, size_t n, void *ctx)
{
    for (size_t i = 0; i < n; i++)
        buf_printf(ctx, "%02x", (unsigned char)bytes[i]);
    return 0;
}

void es_token_write(const struct es_token *t, struct buf *out)
{
    json_t *o = json_object();
    json_object_set_new(o, "i", text_of(t->index));
    json_object_set_new(o, "t", json_integer(t->arrival_ns));
    if (t->body) {
        json_object_set(o, "b", t->body);
        json_object_set_new(o, "n", json_integer((json_int_t)t->total));
        json_object_set_new(o, "m", json_boolean(t->more));
    }
    if (t->after)
        json_object_set(o, "a", t->after);
    (void)json_dump_callback(o, put_hex, out, JSON_COMPACT); /* put_hex does not fail */
    json_decref(o);
}

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static json_t *read_token(struct str id, struct arena *a)
{
    char *text = arena_alloc(a, id.n / 2 + 1);
    for (size_t i = 0; i + 1 < id.n; i += 2) {
        int high = hex(id.p[i]), low = hex(id.p[i + 1]);
        if (high < 0 || low < 0)
            return NULL;
        text[i / 2] = (char)(high << 4 | low);
    }
    return id.n % 2 ? NULL : json_loadb(text, id.n / 2, 0, NULL);
}

enum err es_token_read(struct str id, struct arena *a, struct es_token *ret)
{
    json_t *o = read_token(id, a);
    const json_t *index = json_object_get(o, "i");
    if (!json_is_string(index)) {
        json_decref(o);
        return err_set(ERR_INVALID,
                       "the id of a scroll or point in time is none that was given out");
    }
    *ret = (struct es_token){
        .index = arena_str(a, str_c(json_string_value(index))),
        .arrival_ns = json_integer_value(json_object_get(o, "t")),
        .total = (uint64_t)json_integer_value(json_object_get(o, "n")),
        .more = json_is_true(json_object_get(o, "m")),
        .body = json_incref(json_object_get(o, "b")),
        .after = json_incref(json_object_get(o, "a")),
    };
    json_decref(o);
    return OK;
}
