/* otlp://[user:password@]host:port (otlp+tls://): OpenTelemetry's logs by OTLP/HTTP, as protobuf
 * (wire/proto/otlp.proto), packed by gzip; the path is /v1/logs unless the URL has one.
 *
 * What the OTLP input makes of a record (wire/otlp.c) is undone: severity_text, severity_number,
 * event_name, body, trace_id, span_id, flags, observed_time_unix_nano, dropped_attributes_count,
 * attributes, scope and resource go back to where they came from. Of any other record the message
 * is the body, the level severity_text and its number, service and host are service.name and
 * host.name of the resource, and every other field is an attribute.
 *
 * Partial success names a number of rejected records, not which. When one of several was rejected,
 * all of the request become dead letters: nothing is lost, and what was taken stands at both
 * places. At least once: the protocol cannot tell repeats.
 *
 *     1 ResourceLogs { 1 Resource { 1 KeyValue* }
 *                      2 ScopeLogs { 1 Scope {1 name, 2 version, 3 KeyValue*}
 *                                    2 LogRecord* } }* */
#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "output/post.h"
#include "output/text.h"
#include "record/batch.h"
#include "record/json.h"

#include "wire/proto/otlp.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

enum { OTLP_PORT = 4318, ID_TEXT_MAX = 64, VALUE_DEPTH = 64 };

struct group { /* resource and scope, as bytes of o->groups */
    uint64_t hash;
    size_t from, n_resource, n_scope;
};
struct otlp_output {
    struct post_output base;
    struct group *group; /* of the bulk that is written */
    size_t groups_cap;
    uint32_t n_groups;
    struct buf groups, resource, scope;
};

/* ---- values ---- */

static void put_text(struct buf *out, unsigned field, const struct json_item *item)
{
    size_t text = pb_open(out);
    text_put_item(item, out);
    pb_close(out, field, text);
}

static void put_number(struct buf *out, struct str text)
{
    int64_t i;
    double d = 0;
    uint64_t bits;
    if (str_to_i64(text, &i)) {
        pb_put_varint(out, 3, (uint64_t)i);
        return;
    }
    if (text_is_integer(text) || !str_to_f64(text, &d)) {
        pb_put_bytes(out, 1, text); /* a double would lose digits */
        return;
    }
    memcpy(&bits, &d, sizeof(bits));
    pb_put_fixed64(out, 4, bits);
}

static void put_pairs(struct buf *out, unsigned field, struct str object, unsigned depth);

/* An AnyValue's members. */
static void put_any(struct buf *out, const struct json_item *item, unsigned depth)
{
    struct json_walk w;
    struct json_item element;
    size_t at;
    switch (item->lane) {
    case LANE_BOOL:
        pb_put_varint(out, 2, item->text.n && item->text.p[0] == 't');
        return;
    case LANE_NUM:
        put_number(out, item->text);
        return;
    case LANE_NULL:
        return;
    case LANE_OBJ:
        pb_put_head(out, 6, 0);
        return;
    case LANE_ARR:
    case LANE_JSON:
        if (depth >= VALUE_DEPTH || !json_walk_begin(&w, item->text))
            break;
        at = pb_open(out);
        if (item->lane == LANE_JSON)
            put_pairs(out, 1, item->text, depth + 1);
        while (item->lane == LANE_ARR && json_walk_next(&w, &element)) {
            size_t any = pb_open(out);
            put_any(out, &element, depth + 1);
            pb_close(out, 1, any);
        }
        pb_close(out, item->lane == LANE_ARR ? 5 : 6, at);
        return;
    default:
        break;
    }
    put_text(out, 1, item);
}

static void put_pair(struct buf *out, unsigned field, const struct json_item *item, unsigned depth)
{
    size_t pair = pb_open(out), key = pb_open(out);
    json_walk_unescape(item->key, out);
    pb_close(out, 1, key);
    size_t any = pb_open(out);
    put_any(out, item, depth);
    pb_close(out, 2, any);
    pb_close(out, field, pair);
}

static void put_pairs(struct buf *out, unsigned field, struct str object, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item))
        put_pair(out, field, &item, depth);
}

static void put_text_pair(struct buf *out, unsigned field, const char *key,
                          const struct json_item *value)
{
    size_t pair = pb_open(out);
    pb_put_bytes(out, 1, str_c(key));
    size_t any = pb_open(out);
    put_text(out, 1, value);
    pb_close(out, 2, any);
    pb_close(out, field, pair);
}

/* ---- what a member of a record is ---- */

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* An id of so many bytes in hex; false where it is none. */
static bool put_id(struct buf *out, unsigned field, const struct json_item *item, size_t bytes)
{
    char id[ID_TEXT_MAX];
    if (item->lane != LANE_STR || item->text.n != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        int high = hex(item->text.p[2 * i]), low = hex(item->text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (char)(high << 4 | low);
    }
    pb_put_bytes(out, field, str_of(id, bytes));
    return true;
}

/* The first number of the level's name; 0: it has none. */
static unsigned severity_of(struct str level)
{
    static const struct {
        const char *name;
        unsigned number;
    } names[] = {{"trace", 1},   {"debug", 5},     {"info", 9},      {"information", 9},
                 {"notice", 10}, {"warn", 13},     {"warning", 13},  {"error", 17},
                 {"err", 17},    {"critical", 18}, {"crit", 18},     {"alert", 19},
                 {"fatal", 21},  {"emerg", 21},    {"emergency", 21}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_ieq(level, str_c(names[i].name)))
            return names[i].number;
    return 0;
}

static bool is_one_of(struct str key, const char *const *names)
{
    for (; *names; names++)
        if (str_eq_c(key, *names))
            return true;
    return false;
}

/* What has been said of a record so far. */
struct log_record {
    struct otlp_output *o;
    struct buf *out; /* LogRecord */
    bool has_body, has_severity, has_level, has_number, has_resource;
    const struct json_item *service, *host;
    unsigned number;
};

static bool put_scope(struct log_record *r, const struct json_item *scope)
{
    struct json_walk w;
    struct json_item item;
    if (scope->lane != LANE_JSON || !json_walk_begin(&w, scope->text))
        return false;
    while (json_walk_next(&w, &item)) {
        bool named = str_eq_c(item.key, "name") || str_eq_c(item.key, "version");
        if (named && item.lane == LANE_STR)
            put_text(&r->o->scope, str_eq_c(item.key, "name") ? 1 : 2, &item);
        else if (str_eq_c(item.key, "attributes") && item.lane == LANE_JSON)
            put_pairs(&r->o->scope, 3, item.text, 1);
        else
            put_pair(&r->o->scope, 3, &item, 1);
    }
    return true;
}

static bool put_count(struct buf *out, unsigned field, unsigned kind, const struct json_item *item,
                      uint64_t max)
{
    uint64_t v;
    if (item->lane != LANE_NUM || !str_to_u64(item->text, &v) || v > max)
        return false;
    if (kind == PB_FIXED64)
        pb_put_fixed64(out, field, v);
    else if (kind == PB_FIXED32)
        pb_put_fixed32(out, field, (uint32_t)v);
    else
        pb_put_varint(out, field, v);
    return true;
}

/* The members that a LogRecord has by the same name. False: it is none of them. */
static bool put_own(struct log_record *r, const struct json_item *item)
{
    struct buf *out = r->out;
    struct str key = item->key;
    if (str_eq_c(key, "trace_id"))
        return put_id(out, 9, item, 16);
    if (str_eq_c(key, "span_id"))
        return put_id(out, 10, item, 8);
    if (str_eq_c(key, "flags"))
        return put_count(out, 8, PB_FIXED32, item, UINT32_MAX);
    if (str_eq_c(key, "observed_time_unix_nano"))
        return put_count(out, 11, PB_FIXED64, item, UINT64_MAX);
    if (str_eq_c(key, "dropped_attributes_count"))
        return put_count(out, 7, PB_VARINT, item, UINT32_MAX);
    if (str_eq_c(key, "severity_number"))
        return r->has_number = put_count(out, 2, PB_VARINT, item, 24);
    if (str_eq_c(key, "event_name") && item->lane == LANE_STR) {
        put_text(out, 12, item);
        return true;
    }
    if (str_eq_c(key, "attributes") && item->lane == LANE_JSON) {
        put_pairs(out, 6, item->text, 1);
        return true;
    }
    if (str_eq_c(key, "resource") && item->lane == LANE_JSON) {
        put_pairs(&r->o->resource, 1, item->text, 1);
        return r->has_resource = true;
    }
    return str_eq_c(key, "scope") && put_scope(r, item);
}

static bool put_body_of(struct log_record *r, const struct json_item *item)
{
    bool own = str_eq_c(item->key, "body");
    if (r->has_body || (!own && (item->lane != LANE_STR || !is_one_of(item->key, message_names))))
        return false;
    size_t any = pb_open(r->out);
    put_any(r->out, item, 0);
    pb_close(r->out, 5, any);
    return r->has_body = true;
}

static bool put_severity(struct log_record *r, const struct json_item *item)
{
    if (r->has_severity || item->lane != LANE_STR || !is_one_of(item->key, level_names))
        return false;
    put_text(r->out, 3, item);
    r->number = severity_of(item->text);
    return r->has_severity = true;
}

/* A `body` and a `severity_text` come before other names for the same. */
static void look_ahead(struct log_record *r, struct str object)
{
    bool body = text_has_member(object, STR("body"));
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        if (body && str_eq_c(item.key, "body"))
            (void)put_body_of(r, &item);
        if (str_eq_c(item.key, "severity_text"))
            (void)put_severity(r, &item);
    }
}

static void put_members(struct log_record *r, struct str object)
{
    static const char *const ahead[] = {"body", "severity_text", NULL};
    struct json_walk w;
    struct json_item item, service, host;
    look_ahead(r, object);
    bool body = r->has_body, severity = r->has_severity;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        if (is_one_of(item.key, ahead) && (str_eq_c(item.key, "body") ? body : severity))
            continue;
        if (put_own(r, &item) || put_body_of(r, &item) || put_severity(r, &item))
            continue;
        /* What the input made of a number of severity. */
        if (severity == false && r->has_number && str_eq_c(item.key, "level") &&
            item.lane == LANE_STR && severity_of(item.text))
            continue;
        if (!r->service && item.lane == LANE_STR && is_one_of(item.key, service_names)) {
            service = item;
            r->service = &service;
        } else if (!r->host && item.lane == LANE_STR && is_one_of(item.key, host_names)) {
            host = item;
            r->host = &host;
        } else {
            put_pair(r->out, 6, &item, 1);
        }
    }
    if (r->service)
        put_text_pair(&r->o->resource, 1, "service.name", r->service);
    if (r->host)
        put_text_pair(&r->o->resource, 1, "host.name", r->host);
    if (r->number && !r->has_number)
        pb_put_varint(r->out, 2, r->number);
}

/* ---- rows and bodies ---- */

static void begin(void *ctx, const struct output_bulk *bulk)
{
    struct otlp_output *o = ctx;
    o->n_groups = 0;
    buf_clear(&o->groups);
}

static uint32_t find_group(struct otlp_output *o)
{
    size_t from = o->groups.n, n = o->resource.n + o->scope.n;
    buf_put_str(&o->groups, buf_str(&o->resource));
    buf_put_str(&o->groups, buf_str(&o->scope));
    struct str bytes = str_from(buf_str(&o->groups), from);
    uint64_t hash = hash64_seed(bytes, o->resource.n);
    for (uint32_t i = o->n_groups; i-- > 0;) {
        const struct group *g = &o->group[i];
        if (g->hash == hash && g->n_resource == o->resource.n && g->n_scope == o->scope.n &&
            (!n || !memcmp(o->groups.p + g->from, bytes.p, n))) {
            o->groups.n = from;
            return i;
        }
    }
    ARRAY_GROW(o->group, o->groups_cap, o->n_groups + 1);
    o->group[o->n_groups] = (struct group){hash, from, o->resource.n, o->scope.n};
    return o->n_groups++;
}

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    struct otlp_output *o = ctx;
    struct log_record r = {.o = o, .out = out};
    size_t record = pb_open(out);
    buf_clear(&o->resource);
    buf_clear(&o->scope);
    if (row->time_ns > 0)
        pb_put_fixed64(out, 1, (uint64_t)row->time_ns);
    put_members(&r, row->json);
    pb_close(out, 2, record);
    *group = find_group(o);
    return OK;
}

static void put_group(const struct otlp_output *o, const struct post_part *part, uint32_t group,
                      struct buf *out)
{
    const struct group *g = &o->group[group];
    struct str bytes = str_from(buf_str(&o->groups), g->from),
               resource = str_of(bytes.p, g->n_resource),
               scope = str_of(str_from(bytes, g->n_resource).p, g->n_scope);
    size_t logs = scope.n ? pb_head_size(1, scope.n) + scope.n : 0, all = 0;
    for (uint32_t i = 0; i < part->n; i++)
        if (part->piece[part->at[i]].group == group)
            logs += part->piece[part->at[i]].n;
    all = pb_head_size(2, logs) + logs;
    if (resource.n)
        all += pb_head_size(1, resource.n) + resource.n;
    pb_put_head(out, 1, all);
    if (resource.n)
        pb_put_bytes(out, 1, resource);
    pb_put_head(out, 2, logs);
    if (scope.n)
        pb_put_bytes(out, 1, scope);
    for (uint32_t i = 0; i < part->n; i++)
        if (part->piece[part->at[i]].group == group)
            buf_put_str(out, post_bytes(part, i));
}

static void put_body(void *ctx, const struct post_part *part, struct buf *out)
{
    const struct otlp_output *o = ctx;
    bool *there = NEW_ARRAY(bool, o->n_groups + 1);
    for (uint32_t i = 0; i < part->n; i++)
        there[part->piece[part->at[i]].group] = true;
    for (uint32_t g = 0; g < o->n_groups; g++)
        if (there[g])
            put_group(o, part, g, out);
    mem_free(there);
}

/* ---- the answer ---- */

static enum err judge(void *ctx, struct post *p, const struct post_part *part, struct str answer)
{
    static const char whole[] = "a partial success";
    Otlp__Response *a =
        otlp__response__unpack(NULL, answer.n, (const uint8_t *)(answer.n ? answer.p : ""));
    if (!a)
        return err_set(ERR_UNAVAILABLE, "the answer is no ExportLogsServiceResponse");
    const Otlp__PartialSuccess *partial = a->partial_success;
    if (partial && partial->rejected_log_records > 0) {
        char reason[300];
        const ProtobufCBinaryData *m = &partial->error_message;
        snprintf(reason, sizeof(reason), "%.*s (%" PRId64 " of %u records)",
                 m->len > 200 ? 200
                 : m->len     ? (int)m->len
                              : (int)sizeof(whole) - 1,
                 m->len ? (const char *)m->data : whole, partial->rejected_log_records, part->n);
        for (uint32_t i = 0; i < part->n; i++)
            post_refuse(p, part, i, str_c(reason));
    }
    otlp__response__free_unpacked(a, NULL);
    return OK;
}

/* ---- the output ---- */

static const struct post_kind kind = {.content_type = "application/x-protobuf",
                                      .gzip = true,
                                      .default_port = OTLP_PORT,
                                      .begin = begin,
                                      .put_row = put_row,
                                      .put_body = put_body,
                                      .judge = judge};

static void otlp_close(struct output *base)
{
    struct otlp_output *o = (struct otlp_output *)base;
    post_free(o->base.post);
    buf_release(&o->groups);
    buf_release(&o->resource);
    buf_release(&o->scope);
    mem_free(o->group);
    mem_free(o);
}

static enum err otlp_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, NULL};
    struct url to = *url;
    TRY(url_check_params(url, known));
    if (to.path.n < 2)
        to.path = STR("/v1/logs");
    struct otlp_output *o = NEW(struct otlp_output);
    o->base.base.type = &output_otlp;
    buf_init(&o->groups, SIZE_MAX);
    buf_init(&o->resource, SIZE_MAX);
    buf_init(&o->scope, SIZE_MAX);
    enum err err = post_new(&to, &kind, o, &o->base.post);
    if (err != OK) {
        otlp_close(&o->base.base);
        return err;
    }
    *ret = &o->base.base;
    return OK;
}

static const char *const schemes[] = {"otlp", "otlp+tls", NULL};
const struct output_type output_otlp = {
    .name = "otlp",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 4 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel = 4,
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = otlp_open,
    .send = post_send,
    .close = otlp_close,
};
