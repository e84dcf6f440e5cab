/* Records as JSON text, looked into by outputs. The text comes from json_put_rows, so it is valid.
 * Threads: pure functions. */
#ifndef WEIR_OUTPUT_TEXT_H
#define WEIR_OUTPUT_TEXT_H

#include "core/buf.h"
#include "record/json_walk.h"

/* Whether the object has the member; key without escapes. */
bool text_has_member(struct str object, struct str key);
/* A leaf of an object by its dotted name. Arrays are leaves, and what is nested deeper than
 * TEXT_DEPTH. */
enum { TEXT_DEPTH = 64, TEXT_NAME_MAX = 1024 };
struct text_leaf {
    struct str name; /* dotted, cut at TEXT_NAME_MAX */
    struct json_item item;
};
/* Calls fn for every leaf in order, but not null and {}. */
void text_each_leaf(struct str object, void (*fn)(void *ctx, const struct text_leaf *leaf),
                    void *ctx);
/* Appends what the item is as plain text: a string's bytes, else its JSON. */
void text_put_item(const struct json_item *item, struct buf *out);
/* Whether the text of a JSON number has neither fraction nor exponent. */
bool text_is_integer(struct str number);

/* ---- protobuf ---- */

enum { PB_VARINT = 0, PB_FIXED64 = 1, PB_BYTES = 2, PB_FIXED32 = 5 };
void pb_put_varint(struct buf *out, unsigned field, uint64_t v);
void pb_put_fixed64(struct buf *out, unsigned field, uint64_t v);
void pb_put_fixed32(struct buf *out, unsigned field, uint32_t v);
void pb_put_bytes(struct buf *out, unsigned field, struct str bytes);
/* The head of a message of n bytes that the caller appends. */
void pb_put_head(struct buf *out, unsigned field, size_t n);
size_t pb_head_size(unsigned field, size_t n);
/* A message whose length is not known before: what is appended between the two is its body. */
size_t pb_open(struct buf *out);
void pb_close(struct buf *out, unsigned field, size_t opened);

#endif
