/* Reading and writing MessagePack (github.com/msgpack/msgpack, spec.md), token by token over bytes
 * in place: nothing is allocated, and a length that the bytes do not hold is refused when it is
 * met. (msgpack-c builds a tree of objects first, whose size an attacker chooses by a few bytes,
 * and which costs more than the batch that it would be copied into.)
 * Threads: pure functions. */
#ifndef WEIR_WIRE_MSGPACK_H
#define WEIR_WIRE_MSGPACK_H

#include "core/buf.h"

enum msgpack_kind {
    MSGPACK_NIL,
    MSGPACK_BOOL,
    MSGPACK_INT,  /* i */
    MSGPACK_UINT, /* u, more than INT64_MAX */
    MSGPACK_DOUBLE,
    MSGPACK_STR,
    MSGPACK_BIN,
    MSGPACK_ARRAY, /* n elements follow */
    MSGPACK_MAP,   /* n pairs follow */
    MSGPACK_EXT,   /* type i, bytes */
};

struct msgpack {
    enum msgpack_kind kind;
    uint32_t n;
    union {
        bool b;
        int64_t i;
        uint64_t u;
        double d;
    };
    struct str bytes; /* of STR, BIN, EXT: a slice of the source */
};

/* The next token. False at the end of the bytes and where they break off (r->bad), and at the byte
 * 0xc1, which is nothing (r->bad too). */
bool msgpack_slow(struct reader *r, struct msgpack *ret);
static inline bool msgpack_read(struct reader *r, struct msgpack *ret)
{
    size_t left = reader_left(r);
    if (__builtin_expect(left > 0, 1)) {
        unsigned byte = *r->p;
        if ((byte & 0xe0) == 0xa0 && left > (byte & 0x1f)) {
            ret->kind = MSGPACK_STR;
            ret->bytes = str_of((const char *)r->p + 1, byte & 0x1f);
            r->p += 1 + (byte & 0x1f);
            return true;
        }
        if (byte < 0x80) {
            ret->kind = MSGPACK_INT;
            ret->i = byte;
            r->p++;
            return true;
        }
        if (byte == 0xd9 && left > 1 && left - 2 >= r->p[1]) {
            ret->kind = MSGPACK_STR;
            ret->bytes = str_of((const char *)r->p + 2, r->p[1]);
            r->p += 2 + r->p[1];
            return true;
        }
        if (byte < 0xa0) {
            ret->kind = byte < 0x90 ? MSGPACK_MAP : MSGPACK_ARRAY;
            ret->n = byte & 0x0f;
            r->p++;
            return true;
        }
        if (byte == 0xcd && left > 2) {
            ret->kind = MSGPACK_INT;
            ret->i = r->p[1] << 8 | r->p[2];
            r->p += 3;
            return true;
        }
    }
    return msgpack_slow(r, ret);
}
/* Passes `values` whole values; false where the bytes break off. */
bool msgpack_skip(struct reader *r, uint64_t values);

/* A scan that goes on where it stopped when more bytes have come. */
struct msgpack_scan {
    size_t at;     /* bytes passed */
    uint64_t left; /* values to pass before the end; 1 at first */
};
enum msgpack_found { MSGPACK_WHOLE, MSGPACK_MORE, MSGPACK_BROKEN };
enum msgpack_found msgpack_scan(struct msgpack_scan *s, struct str in);

void msgpack_put_nil(struct buf *out);
void msgpack_put_bool(struct buf *out, bool v);
void msgpack_put_int(struct buf *out, int64_t v);
void msgpack_put_uint(struct buf *out, uint64_t v);
void msgpack_put_double(struct buf *out, double v);
void msgpack_put_str(struct buf *out, struct str s);
void msgpack_put_bin(struct buf *out, struct str s);
void msgpack_put_array(struct buf *out, uint32_t n);
void msgpack_put_map(struct buf *out, uint32_t n);
void msgpack_put_ext(struct buf *out, int8_t type, struct str s);

#endif
