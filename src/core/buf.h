/* A growable byte buffer with a maximum. Past the maximum an append fails with ERR_LIMIT and the
 * buffer is unchanged. buf_init allocates nothing and takes no maximum of 0 (SIZE_MAX: none).
 * Owner: whoever declared it; one thread at a time. */
#ifndef WEIR_CORE_BUF_H
#define WEIR_CORE_BUF_H

#include "core/err.h"
#include "core/str.h"

struct buf {
    char *p;
    size_t n, cap, max;
};

void buf_init(struct buf *b, size_t max);
void buf_release(struct buf *b);            /* frees; the buffer may be used again */
static inline void buf_clear(struct buf *b) /* empties; keeps the memory */
{
    b->n = 0;
}
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
/* Makes room for n more bytes and returns where they go, or NULL past the maximum; does not count
 * them: add to b->n what was written. */
char *buf_reserve(struct buf *b, size_t n);
NODISCARD enum err buf_add(struct buf *b, const void *p, size_t n);
/* For buffers whose maximum cannot be reached or where cutting is wanted: appends what fits. */
void buf_put(struct buf *b, const void *p, size_t n);
static inline void buf_put_str(struct buf *b, struct str s)
{
    buf_put(b, s.p, s.n);
}
static inline void buf_put_c(struct buf *b, const char *c)
{
    buf_put(b, c, strlen(c));
}
static inline void buf_put_byte(struct buf *b, char c)
{
    if (b->n < b->cap)
        b->p[b->n++] = c;
    else
        buf_put(b, &c, 1);
}
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_put_i64(struct buf *b, int64_t v); /* decimal text */
/* Little-endian binary, and LEB128. */
void buf_put_u8(struct buf *b, uint8_t v);
void buf_put_u16(struct buf *b, uint16_t v);
void buf_put_u32(struct buf *b, uint32_t v);
void buf_put_u64(struct buf *b, uint64_t v);
void buf_put_varint(struct buf *b, uint64_t v);
/* varint length, then the bytes. */
void buf_put_lstr(struct buf *b, struct str s);

/* A bounds-checked cursor over bytes from outside. After the first read past the end `bad` stays
 * set and reads give zeros: check once at the end. */
struct reader {
    const uint8_t *p, *end;
    bool bad;
};

static inline struct reader reader_of(struct str s)
{
    return (struct reader){(const uint8_t *)s.p, (const uint8_t *)s.p + s.n, false};
}
static inline size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->p);
}
uint8_t read_u8(struct reader *r);
uint16_t read_u16(struct reader *r);
uint32_t read_u32(struct reader *r);
uint64_t read_u64(struct reader *r);
uint64_t read_varint_long(struct reader *r);
static inline uint64_t read_varint(struct reader *r)
{
    return r->p < r->end && *r->p < 0x80 ? *r->p++ : read_varint_long(r);
}
/* A slice into the source; empty when bad. */
struct str read_bytes(struct reader *r, size_t n);
struct str read_lstr(struct reader *r);

static inline uint64_t zigzag(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}
static inline int64_t unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

#endif
