#include "wire/msgpack.h"

/* Big-endian. */
static uint64_t take(struct reader *r, unsigned n)
{
    uint64_t v = 0;
    if (reader_left(r) < n) {
        r->bad = true;
        r->p = r->end;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | r->p[i];
    r->p += n;
    return v;
}

static bool bytes(struct reader *r, struct msgpack *ret, enum msgpack_kind kind, uint64_t n)
{
    ret->kind = kind;
    if (r->bad || reader_left(r) < n) {
        r->bad = true;
        return false;
    }
    ret->bytes = str_of((const char *)r->p, (size_t)n);
    r->p += n;
    return true;
}

static bool extension(struct reader *r, struct msgpack *ret, uint64_t n)
{
    ret->i = (int8_t)take(r, 1); /* NOLINT(bugprone-signed-char-misuse,cert-str34-c): a number */
    return bytes(r, ret, MSGPACK_EXT, n);
}

static bool container(struct reader *r, struct msgpack *ret, enum msgpack_kind kind, uint64_t n)
{
    ret->kind = kind;
    ret->n = (uint32_t)n;
    return !r->bad;
}

static bool integer(struct reader *r, struct msgpack *ret, int64_t v)
{
    ret->kind = MSGPACK_INT;
    ret->i = v;
    return !r->bad;
}

static bool real(struct reader *r, struct msgpack *ret, unsigned size)
{
    uint64_t raw = take(r, size);
    ret->kind = MSGPACK_DOUBLE;
    if (size == 4) {
        uint32_t half = (uint32_t)raw;
        float f;
        memcpy(&f, &half, sizeof(f));
        ret->d = (double)f;
    } else {
        memcpy(&ret->d, &raw, sizeof(ret->d));
    }
    return !r->bad;
}

static bool positive(struct reader *r, struct msgpack *ret, unsigned size)
{
    uint64_t v = take(r, size);
    if (v <= INT64_MAX)
        return integer(r, ret, (int64_t)v);
    ret->kind = MSGPACK_UINT;
    ret->u = v;
    return !r->bad;
}

static bool of_head(struct reader *r, struct msgpack *ret, unsigned head)
{
    switch (head) {
    case 0xc0:
        ret->kind = MSGPACK_NIL;
        return true;
    case 0xc2:
    case 0xc3:
        ret->kind = MSGPACK_BOOL;
        ret->b = head & 1;
        return true;
    case 0xc4:
    case 0xc5:
    case 0xc6:
        return bytes(r, ret, MSGPACK_BIN, take(r, 1u << (head - 0xc4)));
    case 0xc7:
    case 0xc8:
    case 0xc9:
        return extension(r, ret, take(r, 1u << (head - 0xc7)));
    case 0xca:
    case 0xcb:
        return real(r, ret, head == 0xca ? 4 : 8);
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf:
        return positive(r, ret, 1u << (head - 0xcc));
    case 0xd0:
        return integer(r, ret, (int8_t)take(r, 1));
    case 0xd1:
        return integer(r, ret, (int16_t)take(r, 2));
    case 0xd2:
        return integer(r, ret, (int32_t)take(r, 4));
    case 0xd3:
        return integer(r, ret, (int64_t)take(r, 8));
    case 0xd4:
    case 0xd5:
    case 0xd6:
    case 0xd7:
    case 0xd8:
        return extension(r, ret, 1u << (head - 0xd4));
    case 0xd9:
    case 0xda:
    case 0xdb:
        return bytes(r, ret, MSGPACK_STR, take(r, 1u << (head - 0xd9)));
    case 0xdc:
    case 0xdd:
        return container(r, ret, MSGPACK_ARRAY, take(r, head == 0xdc ? 2 : 4));
    case 0xde:
    case 0xdf:
        return container(r, ret, MSGPACK_MAP, take(r, head == 0xde ? 2 : 4));
    default: /* 0xc1 */
        r->bad = true;
        return false;
    }
}

bool msgpack_slow(struct reader *r, struct msgpack *ret)
{
    if (r->bad || r->p == r->end) {
        r->bad = true;
        return false;
    }
    unsigned head = *r->p++;
    if (head < 0x80)
        return integer(r, ret, head);
    if (head < 0x90)
        return container(r, ret, MSGPACK_MAP, head & 15);
    if (head < 0xa0)
        return container(r, ret, MSGPACK_ARRAY, head & 15);
    if (head < 0xc0)
        return bytes(r, ret, MSGPACK_STR, head & 31);
    if (head >= 0xe0)
        return integer(r, ret, (int8_t)head);
    return of_head(r, ret, head);
}

/* ---- passing over ---- */

/* What comes behind the heads from 0xc0 on: a number of `size` bytes, and what that counts; then
 * `fixed` bytes. Half of what is received is passed over first, to find where records end: values
 * are not looked at for that. */
struct behind {
    uint8_t size, fixed;
    uint8_t inside; /* values inside for each that the number counts; 0: it counts bytes */
};
static const struct behind behind[32] = {
    [0xc4 - 0xc0] = {1, 0, 0}, [0xc5 - 0xc0] = {2, 0, 0}, [0xc6 - 0xc0] = {4, 0, 0},
    [0xc7 - 0xc0] = {1, 1, 0}, [0xc8 - 0xc0] = {2, 1, 0}, [0xc9 - 0xc0] = {4, 1, 0},
    [0xca - 0xc0] = {0, 4, 0}, [0xcb - 0xc0] = {0, 8, 0}, [0xcc - 0xc0] = {0, 1, 0},
    [0xcd - 0xc0] = {0, 2, 0}, [0xce - 0xc0] = {0, 4, 0}, [0xcf - 0xc0] = {0, 8, 0},
    [0xd0 - 0xc0] = {0, 1, 0}, [0xd1 - 0xc0] = {0, 2, 0}, [0xd2 - 0xc0] = {0, 4, 0},
    [0xd3 - 0xc0] = {0, 8, 0}, [0xd4 - 0xc0] = {0, 2, 0}, [0xd5 - 0xc0] = {0, 3, 0},
    [0xd6 - 0xc0] = {0, 5, 0}, [0xd7 - 0xc0] = {0, 9, 0}, [0xd8 - 0xc0] = {0, 17, 0},
    [0xd9 - 0xc0] = {1, 0, 0}, [0xda - 0xc0] = {2, 0, 0}, [0xdb - 0xc0] = {4, 0, 0},
    [0xdc - 0xc0] = {2, 0, 1}, [0xdd - 0xc0] = {4, 0, 1}, [0xde - 0xc0] = {2, 0, 2},
    [0xdf - 0xc0] = {4, 0, 2},
};

/* The value at p without those inside, of which *ret is the number; NULL: there is not all of it.
 */
static const uint8_t *pass(const uint8_t *p, const uint8_t *end, uint64_t *ret)
{
    unsigned head = *p++;
    uint64_t n = 0;
    *ret = 0;
    if (head < 0x80 || head >= 0xe0)
        return p;
    if (head < 0xa0) {
        *ret = (uint64_t)(head & 15) << (head < 0x90);
        return p;
    }
    if (head < 0xc0) {
        n = head & 31;
    } else {
        const struct behind *b = &behind[head - 0xc0];
        if (end - p < b->size)
            return NULL;
        for (unsigned i = 0; i < b->size; i++)
            n = n << 8 | *p++;
        *ret = n * b->inside;
        n = b->inside ? 0 : n + b->fixed;
    }
    return n <= (uint64_t)(end - p) ? p + n : NULL;
}

/* By head: the bytes of the value without those inside, of which there are `inside`; step 0: the
 * head does not say. One look, as heads come in no order that a branch could be guessed by. */
struct short_value {
    uint8_t step, inside;
};
#define FOUR(n, of)                                                                                \
    {1, (n) * (of)}, {1, ((n) + 1) * (of)}, {1, ((n) + 2) * (of)},                                 \
    {                                                                                              \
        1, ((n) + 3) * (of)                                                                        \
    }
#define SIXTEEN(of) FOUR(0, of), FOUR(4, of), FOUR(8, of), FOUR(12, of)
#define TEXTS(n)                                                                                   \
    {(n) + 1, 0}, {(n) + 2, 0}, {(n) + 3, 0},                                                      \
    {                                                                                              \
        (n) + 4, 0                                                                                 \
    }
static const struct short_value short_values[256] = {
    [0x00 ... 0x7f] = {1, 0},
    [0x80] = SIXTEEN(2),
    [0x90] = SIXTEEN(1),
    [0xa0] = TEXTS(0),
    TEXTS(4),
    TEXTS(8),
    TEXTS(12),
    TEXTS(16),
    TEXTS(20),
    TEXTS(24),
    TEXTS(28),
    [0xc0] = {1, 0},
    [0xc2] = {1, 0},
    [0xc3] = {1, 0},
    [0xca] = {5, 0},
    [0xcb] = {9, 0},
    [0xcc] = {2, 0},
    [0xcd] = {3, 0},
    [0xce] = {5, 0},
    [0xcf] = {9, 0},
    [0xd0] = {2, 0},
    [0xd1] = {3, 0},
    [0xd2] = {5, 0},
    [0xd3] = {9, 0},
    [0xd4] = {3, 0},
    [0xd5] = {4, 0},
    [0xd6] = {6, 0},
    [0xd7] = {10, 0},
    [0xd8] = {18, 0},
    [0xe0 ... 0xff] = {1, 0},
};
enum { SHORT_MAX = 32 };

/* Passes values while they are short and surely all there. */
static const uint8_t *pass_short(const uint8_t *p, const uint8_t *end, uint64_t *left)
{
    uint64_t n = *left;
    while (n && end - p >= SHORT_MAX && short_values[*p].step) {
        const struct short_value *v = &short_values[*p];
        n = n - 1 + v->inside;
        p += v->step;
    }
    *left = n;
    return p;
}

enum msgpack_found msgpack_scan(struct msgpack_scan *s, struct str in)
{
    if (s->at >= in.n)
        return s->left ? MSGPACK_MORE : MSGPACK_WHOLE;
    const uint8_t *p = (const uint8_t *)in.p + s->at, *end = (const uint8_t *)in.p + in.n;
    enum msgpack_found found = MSGPACK_WHOLE;
    for (p = pass_short(p, end, &s->left); s->left; p = pass_short(p, end, &s->left)) {
        uint64_t inside;
        const uint8_t *next = p < end ? pass(p, end, &inside) : NULL;
        if (!next || *p == 0xc1) {
            found = next ? MSGPACK_BROKEN : MSGPACK_MORE;
            break;
        }
        s->left += inside - 1;
        p = next;
    }
    s->at = (size_t)(p - (const uint8_t *)in.p);
    return found;
}

bool msgpack_skip(struct reader *r, uint64_t values)
{
    struct msgpack_scan s = {.left = values};
    r->bad =
        r->bad || msgpack_scan(&s, str_of((const char *)r->p, reader_left(r))) != MSGPACK_WHOLE;
    r->p += s.at;
    return !r->bad;
}

/* ---- writing: the shortest form ---- */

static void put(struct buf *out, unsigned head, uint64_t v, unsigned size)
{
    char b[9] = {(char)head};
    for (unsigned i = 0; i < size; i++)
        b[1 + i] = (char)(v >> (8 * (size - 1 - i)));
    buf_put(out, b, size + 1);
}

void msgpack_put_nil(struct buf *out)
{
    put(out, 0xc0, 0, 0);
}

void msgpack_put_bool(struct buf *out, bool v)
{
    put(out, v ? 0xc3 : 0xc2, 0, 0);
}

void msgpack_put_uint(struct buf *out, uint64_t v)
{
    if (v < 0x80)
        put(out, (unsigned)v, 0, 0);
    else if (v <= UINT8_MAX)
        put(out, 0xcc, v, 1);
    else if (v <= UINT16_MAX)
        put(out, 0xcd, v, 2);
    else if (v <= UINT32_MAX)
        put(out, 0xce, v, 4);
    else
        put(out, 0xcf, v, 8);
}

void msgpack_put_int(struct buf *out, int64_t v)
{
    if (v >= 0)
        msgpack_put_uint(out, (uint64_t)v);
    else if (v >= -32)
        put(out, (unsigned)v & 0xff, 0, 0);
    else if (v >= INT8_MIN)
        put(out, 0xd0, (uint64_t)v, 1);
    else if (v >= INT16_MIN)
        put(out, 0xd1, (uint64_t)v, 2);
    else if (v >= INT32_MIN)
        put(out, 0xd2, (uint64_t)v, 4);
    else
        put(out, 0xd3, (uint64_t)v, 8);
}

void msgpack_put_double(struct buf *out, double v)
{
    uint64_t raw;
    memcpy(&raw, &v, sizeof(raw));
    put(out, 0xcb, raw, 8);
}

void msgpack_put_str(struct buf *out, struct str s)
{
    if (s.n < 32)
        put(out, 0xa0 | (unsigned)s.n, 0, 0);
    else if (s.n <= UINT8_MAX)
        put(out, 0xd9, s.n, 1);
    else if (s.n <= UINT16_MAX)
        put(out, 0xda, s.n, 2);
    else
        put(out, 0xdb, s.n, 4);
    buf_put_str(out, s);
}

void msgpack_put_bin(struct buf *out, struct str s)
{
    unsigned size = s.n <= UINT8_MAX ? 0 : s.n <= UINT16_MAX ? 1 : 2;
    put(out, 0xc4 + size, s.n, 1u << size);
    buf_put_str(out, s);
}

void msgpack_put_array(struct buf *out, uint32_t n)
{
    if (n < 16)
        put(out, 0x90 | n, 0, 0);
    else
        put(out, n <= UINT16_MAX ? 0xdc : 0xdd, n, n <= UINT16_MAX ? 2 : 4);
}

void msgpack_put_map(struct buf *out, uint32_t n)
{
    if (n < 16)
        put(out, 0x80 | n, 0, 0);
    else
        put(out, n <= UINT16_MAX ? 0xde : 0xdf, n, n <= UINT16_MAX ? 2 : 4);
}

void msgpack_put_ext(struct buf *out, int8_t type, struct str s)
{
    unsigned log = s.n ? (unsigned)__builtin_ctzll(s.n) : 16;
    if (log <= 4 && s.n == (size_t)1 << log)
        put(out, 0xd4 + log, 0, 0);
    else
        put(out,
            s.n <= UINT8_MAX    ? 0xc7
            : s.n <= UINT16_MAX ? 0xc8
                                : 0xc9,
            s.n,
            s.n <= UINT8_MAX    ? 1
            : s.n <= UINT16_MAX ? 2
                                : 4);
    buf_put_byte(out, (char)type);
    buf_put_str(out, s);
}
