#include "wire/msgpack_json.h"

#include "record/json_walk.h"
#include "wire/msgpack.h"

#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_MAX = 40, DIGITS_SURE = 15 };

static uint32_t count(struct str container)
{
    struct json_walk w;
    struct json_item item;
    uint32_t n = 0;
    if (json_walk_begin(&w, container))
        while (json_walk_next(&w, &item))
            n++;
    return n;
}

static void put_string(struct buf *out, struct str inside)
{
    struct buf plain;
    if (!json_walk_escaped(inside)) {
        msgpack_put_str(out, inside);
        return;
    }
    buf_init(&plain, SIZE_MAX);
    json_walk_unescape(inside, &plain);
    msgpack_put_str(out, buf_str(&plain));
    buf_release(&plain);
}

static unsigned digits(struct str number)
{
    unsigned n = 0;
    for (size_t i = 0; i < number.n && (number.p[i] | 0x20) != 'e'; i++)
        n += number.p[i] >= '0' && number.p[i] <= '9';
    return n;
}

/* More digits than a double is sure to keep: it may, where its shortest text says the same. */
static bool keeps(struct str number, double v)
{
    char text[NUMBER_MAX];
    if (digits(number) <= DIGITS_SURE)
        return true;
    snprintf(text, sizeof(text), "%.17g", v);
    return digits(number) <= 17 && str_eq(str_c(text), number);
}

static void put_number(struct buf *out, struct str text)
{
    char copy[NUMBER_MAX];
    int64_t i;
    uint64_t u;
    if (str_to_i64(text, &i)) {
        msgpack_put_int(out, i);
    } else if (str_to_u64(text, &u)) {
        msgpack_put_uint(out, u);
    } else if (text.n < sizeof(copy)) {
        snprintf(copy, sizeof(copy), "%.*s", STR_ARG(text));
        double v = strtod(copy, NULL);
        if (keeps(text, v))
            msgpack_put_double(out, v);
        else
            msgpack_put_str(out, text);
    } else {
        msgpack_put_str(out, text);
    }
}

static void put_container(struct buf *out, struct str json, unsigned depth);

static void put_value(struct buf *out, const struct json_item *item, unsigned depth)
{
    switch (item->lane) {
    case LANE_STR:
        put_string(out, item->text);
        return;
    case LANE_BOOL:
        msgpack_put_bool(out, item->text.n == 4);
        return;
    case LANE_NULL:
        msgpack_put_nil(out);
        return;
    case LANE_OBJ:
        msgpack_put_map(out, 0);
        return;
    case LANE_ARR:
    case LANE_JSON:
        if (depth == MSGPACK_JSON_DEPTH)
            msgpack_put_str(out, item->text);
        else
            put_container(out, item->text, depth);
        return;
    default:
        put_number(out, item->text);
    }
}

static void put_container(struct buf *out, struct str json, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    bool object = json.n && json.p[0] == '{';
    if (object)
        msgpack_put_map(out, count(json));
    else
        msgpack_put_array(out, count(json));
    if (!json_walk_begin(&w, json))
        return;
    while (json_walk_next(&w, &item)) {
        if (object)
            put_string(out, item.key);
        put_value(out, &item, depth + 1);
    }
}

void msgpack_put_json(struct buf *out, struct str json)
{
    put_container(out, json, 0);
}

void msgpack_put_json_value(struct buf *out, enum lane lane, struct str text)
{
    put_value(out, &(struct json_item){.lane = lane, .text = text}, 0);
}
