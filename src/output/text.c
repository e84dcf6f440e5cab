#include "output/text.h"

bool text_has_member(struct str object, struct str key)
{
    struct json_walk w;
    struct json_item item;
    if (str_find(object, key) == SIZE_MAX || !json_walk_begin(&w, object))
        return false;
    while (json_walk_next(&w, &item))
        if (str_eq(item.key, key))
            return true;
    return false;
}

struct leaves {
    struct buf name;
    void (*fn)(void *ctx, const struct text_leaf *leaf);
    void *ctx;
};

static void walk_leaves(struct leaves *l, struct str object, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    size_t at = l->name.n;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        if (at)
            buf_put_byte(&l->name, '.');
        json_walk_unescape(item.key, &l->name);
        if (item.lane == LANE_JSON && depth < TEXT_DEPTH) {
            walk_leaves(l, item.text, depth + 1);
        } else if (!lane_is_empty(item.lane)) {
            struct str name = buf_str(&l->name);
            if (name.n > TEXT_NAME_MAX)
                name.n = TEXT_NAME_MAX;
            l->fn(l->ctx, &(struct text_leaf){name, item});
        }
        l->name.n = at;
    }
}

void text_each_leaf(struct str object, void (*fn)(void *ctx, const struct text_leaf *leaf),
                    void *ctx)
{
    struct leaves l = {.fn = fn, .ctx = ctx};
    buf_init(&l.name, SIZE_MAX);
    walk_leaves(&l, object, 0);
    buf_release(&l.name);
}

void text_put_item(const struct json_item *item, struct buf *out)
{
    if (item->lane == LANE_STR)
        json_walk_unescape(item->text, out);
    else
        buf_put_str(out, item->text);
}

bool text_is_integer(struct str number)
{
    for (size_t i = 0; i < number.n; i++)
        if (strchr(".eE", number.p[i]))
            return false;
    return true;
}

/* ---- protobuf ---- */

static uint64_t key_of(unsigned field, unsigned kind)
{
    return (uint64_t)field << 3 | kind;
}

void pb_put_varint(struct buf *out, unsigned field, uint64_t v)
{
    buf_put_varint(out, key_of(field, PB_VARINT));
    buf_put_varint(out, v);
}

void pb_put_fixed64(struct buf *out, unsigned field, uint64_t v)
{
    buf_put_varint(out, key_of(field, PB_FIXED64));
    buf_put_u64(out, v);
}

void pb_put_fixed32(struct buf *out, unsigned field, uint32_t v)
{
    buf_put_varint(out, key_of(field, PB_FIXED32));
    buf_put_u32(out, v);
}

void pb_put_head(struct buf *out, unsigned field, size_t n)
{
    buf_put_varint(out, key_of(field, PB_BYTES));
    buf_put_varint(out, n);
}

void pb_put_bytes(struct buf *out, unsigned field, struct str bytes)
{
    pb_put_head(out, field, bytes.n);
    buf_put_str(out, bytes);
}

static size_t varint_size(uint64_t v)
{
    size_t n = 1;
    for (; v >= 0x80; v >>= 7)
        n++;
    return n;
}

size_t pb_head_size(unsigned field, size_t n)
{
    return varint_size(key_of(field, PB_BYTES)) + varint_size(n);
}

size_t pb_open(struct buf *out)
{
    return out->n;
}

void pb_close(struct buf *out, unsigned field, size_t opened)
{
    size_t n = out->n - opened, head = pb_head_size(field, n);
    CHECK(buf_reserve(out, head));
    memmove(out->p + opened + head, out->p + opened, n);
    out->n = opened;
    pb_put_head(out, field, n);
    out->n += n;
}
