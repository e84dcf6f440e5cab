/* Growable bytes with a maximum, and the cursor that reads bytes from outside.
 *
 * Invariant of a buffer: n <= cap <= max (rounded up once, never past max). Invariant of a reader:
 * p <= end; a bad reader stands at its end, so that every later read fails too. */
#include "core/buf.h"

#include "core/decimal.h"
#include "core/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum { FIRST_CAP = 64 };

void buf_init(struct buf *b, size_t max)
{
    CHECK(max > 0);
    *b = (struct buf){.max = max};
}

void buf_release(struct buf *b)
{
    mem_free(b->p);
    b->p = NULL;
    b->n = b->cap = 0;
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (n <= b->cap - b->n)
        return b->p + b->n;
    CHECK(b->max > 0); /* never initialised */
    if (n > b->max - b->n)
        return NULL;
    size_t want = b->n + n;
    size_t cap = b->cap < FIRST_CAP / 2 ? FIRST_CAP : b->cap > b->max / 2 ? b->max : b->cap * 2;
    cap = cap < want ? want : cap;
    cap = cap > b->max ? b->max : cap;
    b->p = mem_realloc(b->p, cap);
    b->cap = cap;
    return b->p + b->n;
}

enum err buf_add(struct buf *b, const void *p, size_t n)
{
    if (n == 0)
        return OK;
    char *to = buf_reserve(b, n);
    if (!to)
        return err_set(ERR_LIMIT, "buffer is limited to %zu bytes", b->max);
    memcpy(to, p, n);
    b->n += n;
    return OK;
}

void buf_put(struct buf *b, const void *p, size_t n)
{
    if (n > b->max - b->n)
        n = b->max - b->n;
    if (n == 0) {
        CHECK(b->max > 0); /* never initialised */
        return;
    }
    memcpy(buf_reserve(b, n), p, n);
    b->n += n;
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
    char small[256];
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof(small), fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    if ((size_t)n < sizeof(small)) {
        buf_put(b, small, (size_t)n);
    } else {
        char *text = mem_alloc((size_t)n + 1);
        vsnprintf(text, (size_t)n + 1, fmt, again);
        buf_put(b, text, (size_t)n);
        mem_free(text);
    }
    va_end(again);
}

void buf_put_i64(struct buf *b, int64_t v)
{
    char text[21], *end = text + sizeof(text);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    char *p = decimal_put_before(end, &u, decimal_digits(u));
    if (v < 0)
        *--p = '-';
    buf_put(b, p, (size_t)(end - p));
}

void buf_put_u8(struct buf *b, uint8_t v)
{
    buf_put_byte(b, (char)v);
}

void buf_put_u16(struct buf *b, uint16_t v)
{
    uint8_t le[2] = {(uint8_t)v, (uint8_t)(v >> 8)};
    buf_put(b, le, sizeof(le));
}

void buf_put_u32(struct buf *b, uint32_t v)
{
    uint8_t le[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_put(b, le, sizeof(le));
}

void buf_put_u64(struct buf *b, uint64_t v)
{
    uint8_t le[8];
    for (int i = 0; i < 8; i++)
        le[i] = (uint8_t)(v >> (8 * i));
    buf_put(b, le, sizeof(le));
}

void buf_put_varint(struct buf *b, uint64_t v)
{
    uint8_t leb[10];
    size_t n = 0;
    while (v >= 0x80) {
        leb[n++] = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    leb[n++] = (uint8_t)v;
    buf_put(b, leb, n);
}

void buf_put_lstr(struct buf *b, struct str s)
{
    buf_put_varint(b, s.n);
    buf_put_str(b, s);
}

static void reader_fail(struct reader *r)
{
    r->p = r->end;
    r->bad = true;
}

static const uint8_t *reader_take(struct reader *r, size_t n)
{
    if (n > reader_left(r)) {
        reader_fail(r);
        return NULL;
    }
    const uint8_t *p = r->p;
    r->p += n;
    return p;
}

uint8_t read_u8(struct reader *r)
{
    const uint8_t *p = reader_take(r, 1);
    return p ? *p : 0;
}

uint16_t read_u16(struct reader *r)
{
    const uint8_t *p = reader_take(r, 2);
    return p ? (uint16_t)(p[0] | p[1] << 8) : 0;
}

uint32_t read_u32(struct reader *r)
{
    const uint8_t *p = reader_take(r, 4);
    return p ? p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

uint64_t read_u64(struct reader *r)
{
    uint64_t lo = read_u32(r);
    uint64_t hi = read_u32(r);
    return r->bad ? 0 : lo | hi << 32;
}

uint64_t read_varint_long(struct reader *r)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (r->p == r->end)
            break;
        uint64_t byte = *r->p++;
        /* The tenth byte holds the last bit alone. */
        if (shift == 63 && byte > 1)
            break;
        v |= (byte & 0x7f) << shift;
        if (byte < 0x80)
            return v;
    }
    reader_fail(r);
    return 0;
}

struct str read_bytes(struct reader *r, size_t n)
{
    const uint8_t *p = reader_take(r, n);
    return p ? str_of((const char *)p, n) : (struct str){0};
}

struct str read_lstr(struct reader *r)
{
    uint64_t n = read_varint(r);
    return r->bad ? (struct str){0} : read_bytes(r, n);
}
