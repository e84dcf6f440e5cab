/* Values. As protobuf a value is unpacked when it is put, level by level; as JSON it is an object
 * of one member, whose name says its kind. What stands in an array becomes JSON text. */
#include "wire/otlp_value.h"

#include "record/json_walk.h"

static enum err unpack_any(struct proto_level *l, struct str bytes, Otlp__AnyValue **ret)
{
    return proto_unpack_more(l, &otlp__any_value__descriptor, bytes, "a value", ret);
}

static enum err text_any(struct proto_level *l, struct buf *out, const struct otlp_any *any,
                         unsigned depth);

static enum err put_attributes(struct proto_level *l, struct put *p,
                               const struct otlp_attributes *a);

/* Calls fn with each pair. */
static enum err each_pair(struct proto_level *l, const struct otlp_attributes *a,
                          enum err (*fn)(struct proto_level *l, void *ctx, struct str key,
                                         const struct otlp_any *value),
                          void *ctx)
{
    struct json_walk list, pair;
    struct json_item item, member;
    for (size_t i = 0; i < a->n; i++) {
        struct otlp_any value = {.proto = proto_str(a->proto[i]->value), .there = true};
        TRY(fn(l, ctx, proto_str(a->proto[i]->key), &value));
    }
    if (!a->json.n || !json_walk_begin(&list, a->json))
        return OK;
    while (json_walk_next(&list, &item)) {
        struct str key = {0};
        struct otlp_any value = {.there = true};
        if (!json_walk_begin(&pair, item.text) || pair.close != '}')
            return err_set(ERR_INVALID, "an attribute is no object with `key` and `value`");
        while (json_walk_next(&pair, &member)) {
            if (str_eq_c(member.key, "key") && member.lane == LANE_STR)
                key = json_walk_text(member.text, &l->arena);
            else if (str_eq_c(member.key, "value"))
                value.json = member.text;
        }
        TRY(fn(l, ctx, key, &value));
    }
    return OK;
}

static enum err put_pair(struct proto_level *l, void *ctx, struct str key,
                         const struct otlp_any *value)
{
    return otlp_put(l, ctx, key, value);
}

static enum err put_attributes(struct proto_level *l, struct put *p,
                               const struct otlp_attributes *a)
{
    return each_pair(l, a, put_pair, p);
}

bool otlp_is_empty(const struct otlp_attributes *a)
{
    struct json_walk w;
    struct json_item item;
    return !a->n && (!a->json.n || !json_walk_begin(&w, a->json) || !json_walk_next(&w, &item));
}

enum err otlp_put_object(struct proto_level *l, struct put *p, struct str key,
                         const struct otlp_attributes *a)
{
    if (otlp_is_empty(a)) {
        put_empty(p, key);
        return OK;
    }
    TRY(put_open(p, key));
    TRY(put_attributes(l, p, a));
    put_close(p);
    return OK;
}

static enum err put_list(struct proto_level *l, struct put *p, struct str key,
                         const struct otlp_any *any)
{
    struct buf text;
    buf_init(&text, SIZE_MAX);
    enum err err = text_any(l, &text, any, p->nesting - p->depth);
    if (err == OK)
        put_array(p, key, buf_str(&text));
    buf_release(&text);
    return err;
}

static enum err put_proto(struct proto_level *l, struct put *p, struct str key,
                          const struct otlp_any *any)
{
    Otlp__AnyValue *v;
    Otlp__KeyValueList *list;
    TRY(unpack_any(l, any->proto, &v));
    switch (v->value_case) {
    case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
        put_text(p, key, proto_str(v->string_value));
        return OK;
    case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
        put_bool(p, key, v->bool_value);
        return OK;
    case OTLP__ANY_VALUE__VALUE_INT_VALUE:
        put_int(p, key, v->int_value);
        return OK;
    case OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        put_double(p, key, v->double_value);
        return OK;
    case OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
        put_base64(p, key, proto_str(v->bytes_value));
        return OK;
    case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
        return put_list(l, p, key, any);
    case OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
        TRY(proto_unpack_more(l, &otlp__key_value_list__descriptor, proto_str(v->kvlist_value),
                              "a list of pairs", &list));
        return otlp_put_object(
            l, p, key, &(struct otlp_attributes){.proto = list->values, .n = list->n_values});
    default:
        put_null(p, key);
        return OK;
    }
}

/* The kinds of a value in JSON: the member's name says it. */
enum json_kind {
    JSON_STRING,
    JSON_BOOL,
    JSON_INT,
    JSON_DOUBLE,
    JSON_ARRAY,
    JSON_PAIRS,
    JSON_BYTES,
    JSON_NONE
};

static enum err json_kind(const struct otlp_any *any, enum json_kind *ret,
                          struct json_item *ret_item)
{
    static const char *const names[] = {"stringValue", "boolValue",   "intValue",  "doubleValue",
                                        "arrayValue",  "kvlistValue", "bytesValue"};
    struct json_walk w;
    *ret = JSON_NONE;
    if (!any->json.n || str_eq_c(any->json, "null"))
        return OK;
    if (!json_walk_begin(&w, any->json) || w.close != '}')
        return err_set(ERR_INVALID, "a value is no object such as {\"stringValue\": \"...\"}");
    while (json_walk_next(&w, ret_item))
        for (unsigned i = 0; i < JSON_NONE; i++)
            if (str_eq_c(ret_item->key, names[i])) {
                *ret = (enum json_kind)i;
                return OK;
            }
    return OK;
}

/* The array in {"values": [...]}. */
static struct str inner_values(struct str object)
{
    struct json_walk w;
    struct json_item item;
    if (json_walk_begin(&w, object) && w.close == '}')
        while (json_walk_next(&w, &item))
            if (str_eq_c(item.key, "values") && item.lane == LANE_ARR)
                return item.text;
    return (struct str){0};
}

static enum err put_json_any(struct proto_level *l, struct put *p, struct str key,
                             const struct otlp_any *any)
{
    struct json_item item;
    enum json_kind kind;
    int64_t i;
    double v;
    TRY(json_kind(any, &kind, &item));
    switch (kind) {
    case JSON_STRING:
    case JSON_BYTES:
        put_text(p, key, json_walk_text(item.text, &l->arena));
        return OK;
    case JSON_BOOL:
        put_bool(p, key, str_eq_c(item.text, "true"));
        return OK;
    case JSON_INT:
        if (!str_to_i64(item.text, &i))
            return err_set(ERR_INVALID, "an intValue is no integer of 64 bits");
        put_int(p, key, i);
        return OK;
    case JSON_DOUBLE:
        if (!str_to_f64(item.text, &v)) {
            put_text(p, key, item.text); /* "NaN", "Infinity" */
            return OK;
        }
        put_double(p, key, v);
        return OK;
    case JSON_ARRAY:
        return put_list(l, p, key, any);
    case JSON_PAIRS:
        return otlp_put_object(l, p, key,
                               &(struct otlp_attributes){.json = inner_values(item.text)});
    default:
        put_null(p, key);
        return OK;
    }
}

enum err otlp_put(struct proto_level *l, struct put *p, struct str key, const struct otlp_any *any)
{
    return any->proto.p ? put_proto(l, p, key, any) : put_json_any(l, p, key, any);
}

/* ---- values in arrays, as JSON text ---- */

struct texts {
    struct buf *out;
    unsigned depth;
    bool first;
};

static enum err text_pair(struct proto_level *l, void *ctx, struct str key,
                          const struct otlp_any *value)
{
    struct texts *t = ctx;
    if (!t->first)
        buf_put_byte(t->out, ',');
    t->first = false;
    json_put_string(t->out, key);
    buf_put_byte(t->out, ':');
    return text_any(l, t->out, value, t->depth);
}

static enum err text_pairs(struct proto_level *l, struct buf *out, const struct otlp_attributes *a,
                           unsigned depth)
{
    struct texts t = {out, depth - 1, true};
    buf_put_byte(out, '{');
    TRY(each_pair(l, a, text_pair, &t));
    buf_put_byte(out, '}');
    return OK;
}

static enum err text_element(struct proto_level *l, struct buf *out, const struct otlp_any *any,
                             unsigned depth, size_t i)
{
    if (i)
        buf_put_byte(out, ',');
    return text_any(l, out, any, depth - 1);
}

static enum err text_proto(struct proto_level *l, struct buf *out, const struct otlp_any *any,
                           unsigned depth)
{
    Otlp__AnyValue *v;
    Otlp__KeyValueList *pairs;
    Otlp__ArrayValue *array;
    TRY(unpack_any(l, any->proto, &v));
    switch (v->value_case) {
    case OTLP__ANY_VALUE__VALUE_STRING_VALUE:
        json_put_string(out, proto_str(v->string_value));
        return OK;
    case OTLP__ANY_VALUE__VALUE_BOOL_VALUE:
        buf_put_c(out, v->bool_value ? "true" : "false");
        return OK;
    case OTLP__ANY_VALUE__VALUE_INT_VALUE:
        json_text_int(out, v->int_value);
        return OK;
    case OTLP__ANY_VALUE__VALUE_DOUBLE_VALUE:
        json_text_double(out, v->double_value);
        return OK;
    case OTLP__ANY_VALUE__VALUE_BYTES_VALUE:
        json_text_base64(out, proto_str(v->bytes_value));
        return OK;
    case OTLP__ANY_VALUE__VALUE_ARRAY_VALUE:
        TRY(proto_unpack_more(l, &otlp__array_value__descriptor, proto_str(v->array_value),
                              "an array", &array));
        buf_put_byte(out, '[');
        for (size_t i = 0; i < array->n_values; i++)
            TRY(text_element(l, out, &(struct otlp_any){.proto = proto_str(array->values[i])},
                             depth, i));
        buf_put_byte(out, ']');
        return OK;
    case OTLP__ANY_VALUE__VALUE_KVLIST_VALUE:
        TRY(proto_unpack_more(l, &otlp__key_value_list__descriptor, proto_str(v->kvlist_value),
                              "a list of pairs", &pairs));
        return text_pairs(
            l, out, &(struct otlp_attributes){.proto = pairs->values, .n = pairs->n_values}, depth);
    default:
        buf_put_c(out, "null");
        return OK;
    }
}

static enum err text_json(struct proto_level *l, struct buf *out, const struct otlp_any *any,
                          unsigned depth)
{
    struct json_item item;
    struct json_walk w;
    enum json_kind kind;
    size_t i = 0;
    int64_t number;
    TRY(json_kind(any, &kind, &item));
    switch (kind) {
    case JSON_STRING:
    case JSON_BYTES:
        json_put_string(out, json_walk_text(item.text, &l->arena));
        return OK;
    case JSON_INT:
        if (!str_to_i64(item.text, &number))
            return err_set(ERR_INVALID, "an intValue is no integer of 64 bits");
        json_text_int(out, number);
        return OK;
    case JSON_BOOL:
        buf_put_c(out, str_eq_c(item.text, "true") ? "true" : "false");
        return OK;
    case JSON_DOUBLE:
        if (item.lane == LANE_STR)
            json_put_string(out, item.text);
        else
            buf_put_str(out, item.text);
        return OK;
    case JSON_ARRAY:
        buf_put_byte(out, '[');
        if (json_walk_begin(&w, inner_values(item.text)))
            while (json_walk_next(&w, &item))
                TRY(text_element(l, out, &(struct otlp_any){.json = item.text}, depth, i++));
        buf_put_byte(out, ']');
        return OK;
    case JSON_PAIRS:
        return text_pairs(l, out, &(struct otlp_attributes){.json = inner_values(item.text)},
                          depth);
    default:
        buf_put_c(out, "null");
        return OK;
    }
}

static enum err text_any(struct proto_level *l, struct buf *out, const struct otlp_any *any,
                         unsigned depth)
{
    if (depth < 2)
        return err_set(ERR_LIMIT, "a value of the record nests too deep");
    return any->proto.p ? text_proto(l, out, any, depth) : text_json(l, out, any, depth);
}
