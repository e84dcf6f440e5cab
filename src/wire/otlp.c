/* OpenTelemetry's logs by OTLP/HTTP (opentelemetry.io/docs/specs/otlp), as protobuf
 * (proto/otlp.proto) and as JSON (its mapping: lowerCamelCase names, ids in hex, bytes in base64,
 * 64-bit integers as numbers or strings).
 *
 * A record has, where they are said, in this order:
 *
 *     severity_text, severity_number, event_name, body, trace_id, span_id (hex), flags,
 *     observed_time_unix_nano, dropped_attributes_count,
 *     attributes {...}, scope {name, version, attributes {...}}, resource {...}
 *
 * with the attributes' names as they are: resource.service.name is a service, resource.host.name a
 * host. Its time is time_unix_nano, else observed_time_unix_nano. Where there is a number of
 * severity and no text, `level` is the number's name. A body or attribute that is a list of pairs
 * is an object, an array is one, bytes are base64. */
#include "record/json_walk.h"
#include "wire/decode_impl.h"
#include "wire/otlp_value.h"

struct scope {
    struct str name, version;
    struct otlp_attributes attributes;
};
struct record {
    struct wire_decoder *d;
    struct proto_level *values; /* for what is unpacked while it is put */
    const struct otlp_attributes *resource;
    const struct scope *scope;
    uint64_t time, observed, flags, dropped;
    int64_t severity;
    struct str severity_text, event_name, trace_id, span_id; /* ids: bytes */
    struct otlp_any body;
    struct otlp_attributes attributes;
};

enum { ID_BYTES_MAX = 64, SEVERITY_MAX = 24 };

/* ---- records ---- */

/* OpenTelemetry's short names, four numbers each. */
static struct str severity_name(int64_t number)
{
    static const char *const names[] = {"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"};
    return str_c(names[(number - 1) / 4]);
}

static enum err put_scope(struct record *r, struct put *p, const struct scope *s)
{
    TRY(put_open(p, STR("scope")));
    put_text_if(p, STR("name"), s->name);
    put_text_if(p, STR("version"), s->version);
    if (!otlp_is_empty(&s->attributes))
        TRY(otlp_put_object(r->values, p, STR("attributes"), &s->attributes));
    put_close(p);
    return OK;
}

static enum err put_record(void *ctx, struct put *p)
{
    struct record *r = ctx;
    put_text_if(p, STR("severity_text"), r->severity_text);
    if (r->severity)
        put_int(p, STR("severity_number"), r->severity);
    if (!r->severity_text.n && r->severity >= 1 && r->severity <= SEVERITY_MAX)
        put_text(p, STR("level"), severity_name(r->severity));
    put_text_if(p, STR("event_name"), r->event_name);
    if (r->body.there)
        TRY(otlp_put(r->values, p, STR("body"), &r->body));
    if (r->trace_id.n)
        put_hex(p, STR("trace_id"), r->trace_id);
    if (r->span_id.n)
        put_hex(p, STR("span_id"), r->span_id);
    if (r->flags)
        put_uint(p, STR("flags"), r->flags);
    if (r->observed)
        put_uint(p, STR("observed_time_unix_nano"), r->observed);
    if (r->dropped)
        put_uint(p, STR("dropped_attributes_count"), r->dropped);
    if (!otlp_is_empty(&r->attributes))
        TRY(otlp_put_object(r->values, p, STR("attributes"), &r->attributes));
    const struct scope *s = r->scope;
    if (s->name.n || s->version.n || !otlp_is_empty(&s->attributes))
        TRY(put_scope(r, p, s));
    return otlp_is_empty(r->resource) ? OK
                                      : otlp_put_object(r->values, p, STR("resource"), r->resource);
}

static enum err add_record(struct wire_decoder *d, struct record *r, struct str raw, size_t around)
{
    struct wire_record w = {.put = put_record, .ctx = r, .raw = raw};
    uint64_t time = r->time ? r->time : r->observed;
    w.has_time = time && time <= INT64_MAX;
    w.time_ns = (int64_t)time;
    w.cost = raw.n * 4 + around * 4;
    return wire_add(d, &w);
}

static enum err refuse(struct wire_decoder *d, enum err err, struct str raw)
{
    if (err != ERR_INVALID && err != ERR_LIMIT)
        return err;
    wire_refuse(d, raw);
    return OK;
}

/* ---- protobuf ---- */

enum { LEVEL_REQUEST, LEVEL_RESOURCE, LEVEL_SCOPE, LEVEL_RECORD, LEVELS };

static enum err add_proto_record(struct wire_decoder *d, struct proto_level *level,
                                 const struct otlp_attributes *resource, const struct scope *scope,
                                 struct str raw, size_t around)
{
    Otlp__LogRecord *m;
    enum err err = proto_unpack(level, &otlp__log_record__descriptor, raw, "a log record", &m);
    if (err != OK)
        return refuse(d, err, raw);
    struct record r = {
        .d = d,
        .values = level,
        .resource = resource,
        .scope = scope,
        .time = m->time_unix_nano,
        .observed = m->observed_time_unix_nano,
        .flags = m->flags,
        .dropped = m->dropped_attributes_count,
        .severity = m->severity_number,
        .severity_text = proto_str(m->severity_text),
        .event_name = proto_str(m->event_name),
        .trace_id = proto_str(m->trace_id),
        .span_id = proto_str(m->span_id),
        .body = {.proto = proto_str(m->body), .there = m->body.len > 0},
        .attributes = {.proto = m->attributes, .n = m->n_attributes},
    };
    return add_record(d, &r, raw, around);
}

static enum err add_proto_scope(struct wire_decoder *d, struct proto_level *level,
                                const struct otlp_attributes *resource, struct str raw,
                                size_t around)
{
    Otlp__ScopeLogs *m;
    enum err err = proto_unpack(&level[LEVEL_SCOPE], &otlp__scope_logs__descriptor, raw,
                                "the logs of a scope", &m);
    if (err != OK)
        return refuse(d, err, raw);
    struct scope scope = {0};
    if (m->scope) {
        scope.name = proto_str(m->scope->name);
        scope.version = proto_str(m->scope->version);
        scope.attributes =
            (struct otlp_attributes){.proto = m->scope->attributes, .n = m->scope->n_attributes};
    }
    for (size_t i = 0; i < m->n_log_records; i++)
        TRY(add_proto_record(d, &level[LEVEL_RECORD], resource, &scope,
                             proto_str(m->log_records[i]), around));
    return OK;
}

static enum err add_proto_resource(struct wire_decoder *d, struct proto_level *level,
                                   struct str raw)
{
    Otlp__ResourceLogs *m;
    enum err err = proto_unpack(&level[LEVEL_RESOURCE], &otlp__resource_logs__descriptor, raw,
                                "the logs of a resource", &m);
    if (err != OK)
        return refuse(d, err, raw);
    struct otlp_attributes resource = {0};
    size_t around = 256;
    if (m->resource)
        resource = (struct otlp_attributes){.proto = m->resource->attributes,
                                            .n = m->resource->n_attributes};
    for (size_t i = 0; i < resource.n; i++)
        around += resource.proto[i]->key.len + resource.proto[i]->value.len;
    for (size_t i = 0; i < m->n_scope_logs; i++)
        TRY(add_proto_scope(d, level, &resource, proto_str(m->scope_logs[i]), around));
    return OK;
}

enum err wire_decode_otlp(struct wire_decoder *d, struct str body)
{
    struct proto_level level[LEVELS];
    Otlp__Request *m;
    for (int i = 0; i < LEVELS; i++)
        proto_init(&level[i], &d->inflated_reserved);
    enum err err = proto_unpack(&level[LEVEL_REQUEST], &otlp__request__descriptor, body,
                                "an export request", &m);
    for (size_t i = 0; err == OK && i < m->n_resource_logs; i++)
        err = add_proto_resource(d, level, proto_str(m->resource_logs[i]));
    for (int i = 0; i < LEVELS; i++)
        proto_release(&level[i]);
    return err;
}

/* ---- JSON ---- */

/* A member by either of its two spellings. */
static bool is(const struct json_item *item, const char *camel, const char *snake)
{
    return str_eq_c(item->key, camel) || str_eq_c(item->key, snake);
}

static bool hex_bytes(struct str hex, struct arena *a, struct str *ret)
{
    char *to = arena_alloc(a, ID_BYTES_MAX);
    if (hex.n % 2 || hex.n / 2 > ID_BYTES_MAX)
        return false;
    for (size_t i = 0; i < hex.n; i++) {
        unsigned char c = (unsigned char)hex.p[i], lower = c | 0x20;
        unsigned v = c >= '0' && c <= '9' ? c - (unsigned)'0' : lower - 'a' + 10u;
        if (v > 15 || (c > '9' && lower < 'a'))
            return false;
        to[i / 2] = (char)(i % 2 ? (to[i / 2] | (int)v) : (int)(v << 4));
    }
    *ret = str_of(to, hex.n / 2);
    return true;
}

static enum err read_number(const struct json_item *item, uint64_t *ret)
{
    int64_t v;
    if (str_to_u64(item->text, ret))
        return OK;
    if (str_to_i64(item->text, &v) && v < 0)
        return err_set(ERR_INVALID, "`%.*s` is negative", STR_ARG(item->key));
    return err_set(ERR_INVALID, "`%.*s` is no integer of 64 bits",
                   item->key.n > 40 ? 40 : (int)item->key.n, item->key.p);
}

/* A number, or the name of one such as SEVERITY_NUMBER_INFO2. */
static enum err read_severity(const struct json_item *item, int64_t *ret)
{
    static const char prefix[] = "SEVERITY_NUMBER_";
    struct str s = item->text;
    if (str_to_i64(s, ret))
        return OK;
    if (str_starts(s, str_c(prefix)))
        s = str_from(s, strlen(prefix));
    for (int64_t n = 1; n <= SEVERITY_MAX; n++) {
        char name[16];
        struct str base = severity_name(n);
        int64_t step = (n - 1) % 4 + 1;
        snprintf(name, sizeof(name), step > 1 ? "%.*s%d" : "%.*s", STR_ARG(base), (int)step);
        if (str_eq_c(s, name)) {
            *ret = n;
            return OK;
        }
    }
    *ret = 0;
    return str_eq_c(s, "UNSPECIFIED") ? OK : err_set(ERR_INVALID, "`severityNumber` is none");
}

static enum err read_id(const struct json_item *item, struct arena *a, struct str *ret)
{
    if (item->lane == LANE_STR && hex_bytes(item->text, a, ret))
        return OK;
    return err_set(ERR_INVALID, "`%.*s` is no hex text", item->key.n > 40 ? 40 : (int)item->key.n,
                   item->key.p);
}

static enum err read_member(struct record *r, const struct json_item *item)
{
    struct arena *a = &r->values->arena;
    if (item->lane == LANE_NULL)
        return OK;
    if (is(item, "timeUnixNano", "time_unix_nano"))
        return read_number(item, &r->time);
    if (is(item, "observedTimeUnixNano", "observed_time_unix_nano"))
        return read_number(item, &r->observed);
    if (is(item, "flags", "flags"))
        return read_number(item, &r->flags);
    if (is(item, "droppedAttributesCount", "dropped_attributes_count"))
        return read_number(item, &r->dropped);
    if (is(item, "severityNumber", "severity_number"))
        return read_severity(item, &r->severity);
    if (is(item, "traceId", "trace_id"))
        return read_id(item, a, &r->trace_id);
    if (is(item, "spanId", "span_id"))
        return read_id(item, a, &r->span_id);
    if (is(item, "severityText", "severity_text") && item->lane == LANE_STR)
        r->severity_text = json_walk_text(item->text, a);
    else if (is(item, "eventName", "event_name") && item->lane == LANE_STR)
        r->event_name = json_walk_text(item->text, a);
    else if (is(item, "body", "body"))
        r->body = (struct otlp_any){.json = item->text, .there = true};
    else if (is(item, "attributes", "attributes"))
        r->attributes.json = item->text;
    return OK;
}

static enum err add_json_record(struct wire_decoder *d, struct proto_level *level,
                                const struct otlp_attributes *resource, const struct scope *scope,
                                struct str raw)
{
    struct record r = {.d = d, .values = level, .resource = resource, .scope = scope};
    struct json_walk w;
    struct json_item item;
    arena_reset(&level->arena);
    if (!json_walk_begin(&w, raw) || w.close != '}')
        return refuse(d, err_set(ERR_INVALID, "a log record is no object"), raw);
    while (json_walk_next(&w, &item)) {
        enum err err = read_member(&r, &item);
        if (err != OK)
            return refuse(d, err, raw);
    }
    return add_record(d, &r, raw, resource->json.n + 256);
}

/* The attributes, name and version of the object of a resource or scope. */
static void read_about(struct str object, struct arena *a, struct scope *ret)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        if (str_eq_c(item.key, "attributes"))
            ret->attributes.json = item.text;
        else if (str_eq_c(item.key, "name") && item.lane == LANE_STR)
            ret->name = json_walk_text(item.text, a);
        else if (str_eq_c(item.key, "version") && item.lane == LANE_STR)
            ret->version = json_walk_text(item.text, a);
    }
}

/* The member of an object by either spelling; empty where there is none. */
static struct str member_of(struct str object, const char *camel, const char *snake)
{
    struct json_walk w;
    struct json_item item;
    if (json_walk_begin(&w, object) && w.close == '}')
        while (json_walk_next(&w, &item))
            if (is(&item, camel, snake) && item.lane != LANE_NULL)
                return item.text;
    return (struct str){0};
}

/* Begins the array of that name; one that is absent has no elements. */
static enum err begin_list(struct str object, const char *camel, const char *snake,
                           struct json_walk *ret)
{
    struct str list = member_of(object, camel, snake);
    if (!object.n || object.p[0] != '{')
        return err_set(ERR_INVALID, "an object with `%s` is wanted", camel);
    if (list.p && list.p[0] != '[')
        return err_set(ERR_INVALID, "`%s` is no array", camel);
    (void)json_walk_begin(ret, list.p ? list : STR("[]"));
    return OK;
}

static enum err add_json_scope(struct wire_decoder *d, struct proto_level *level,
                               const struct otlp_attributes *resource, struct str object)
{
    struct scope scope = {0};
    struct json_walk w;
    struct json_item item;
    read_about(member_of(object, "scope", "scope"), &d->arena, &scope);
    enum err err = begin_list(object, "logRecords", "log_records", &w);
    if (err != OK)
        return refuse(d, err, object);
    while (json_walk_next(&w, &item))
        TRY(add_json_record(d, level, resource, &scope, item.text));
    return OK;
}

static enum err add_json_resource(struct wire_decoder *d, struct proto_level *level,
                                  struct str object)
{
    struct scope about = {0};
    struct json_walk w;
    struct json_item item;
    read_about(member_of(object, "resource", "resource"), &d->arena, &about);
    enum err err = begin_list(object, "scopeLogs", "scope_logs", &w);
    if (err != OK)
        return refuse(d, err, object);
    while (json_walk_next(&w, &item))
        TRY(add_json_scope(d, level, &about.attributes, item.text));
    return OK;
}

enum err wire_decode_otlp_json(struct wire_decoder *d, struct str body)
{
    struct proto_level level;
    struct json_walk w;
    struct json_item item;
    TRY(json_check(d->reader, body));
    if (!json_walk_begin(&w, body) || w.close != '}')
        return err_set(ERR_INVALID, "a JSON object with `resourceLogs` is wanted");
    TRY(begin_list(body, "resourceLogs", "resource_logs", &w));
    proto_init(&level, &d->inflated_reserved);
    enum err err = OK;
    while (err == OK && json_walk_next(&w, &item))
        err = add_json_resource(d, &level, item.text);
    proto_release(&level);
    return err;
}
