/* GELF 1.1 (docs.graylog.org, "GELF"): a JSON object, and on a connection objects with a NUL behind
 * each.
 *
 *     {"version": "1.1", "host": "h", "short_message": "m", "full_message": "",
 *      "timestamp": 1385053862.3072, "level": 1, "_additional": "field"}
 *
 * A record is the object's members, with additional fields without their underscore, and `level` by
 * the name of its number. `timestamp` is its time. An object without short_message is refused. */
#include "record/json_walk.h"
#include "wire/decode_impl.h"

struct str wire_gelf_encoding(struct str m)
{
    const unsigned char *p = (const unsigned char *)m.p;
    if (m.n > 2 && p[0] == 0x1f && p[1] == 0x8b)
        return STR("gzip");
    bool zlib = m.n > 2 && (p[0] & 0x0f) == 8 && (p[0] << 8 | p[1]) % 31 == 0;
    return zlib ? STR("deflate") : (struct str){0};
}

static const char *const levels[] = {
    "emerg", "alert", "crit", "error", "warning", "notice", "info", "debug",
};

static enum err put_member(struct put *p, const struct json_item *item, struct str whole)
{
    int64_t level;
    struct str key = item->key;
    if (str_eq_c(key, "level") && str_to_i64(item->text, &level) && level >= 0 && level < 8) {
        put_text(p, key, str_c(levels[level]));
        return OK;
    }
    if (key.n > 1 && key.p[0] == '_')
        key = str_from(key, 1);
    return put_json(p, key, whole);
}

static enum err put_message(void *ctx, struct put *p)
{
    struct json_walk w;
    struct json_item item;
    (void)json_walk_begin(&w, *(struct str *)ctx);
    while (json_walk_next(&w, &item)) {
        bool text = item.lane == LANE_STR;
        TRY(put_member(p, &item, text ? str_of(item.text.p - 1, item.text.n + 2) : item.text));
    }
    return OK;
}

static enum err check(struct wire_decoder *d, struct str object)
{
    struct json_walk w;
    struct json_item item;
    TRY(json_check(d->reader, object));
    if (!json_walk_begin(&w, object) || w.close != '}')
        return err_set(ERR_INVALID, "a GELF message is no JSON object");
    while (json_walk_next(&w, &item))
        if (str_eq_c(item.key, "short_message") && item.lane == LANE_STR)
            return OK;
    return err_set(ERR_INVALID, "a GELF message has no short_message");
}

static enum err add_message(struct wire_decoder *d, struct str object)
{
    object = str_trim(object);
    if (!object.n)
        return OK;
    struct wire_record r = {
        .put = put_message, .ctx = &object, .raw = object, .cost = object.n * 4};
    enum err err = check(d, object);
    if (err == OK)
        return wire_add(d, &r);
    if (err != ERR_INVALID && err != ERR_LIMIT)
        return err;
    wire_refuse(d, object);
    return OK;
}

enum err wire_decode_gelf(struct wire_decoder *d, struct str body)
{
    while (body.n) {
        size_t end = str_find_byte(body, '\0', 0);
        TRY(add_message(d, str_of(body.p, end)));
        body = str_from(body, end + 1);
    }
    return OK;
}
