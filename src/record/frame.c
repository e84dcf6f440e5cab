/* The frame: a batch as bytes.
 *
 * All integers are little-endian. `varint` is LEB128, `lstr` a varint length and as many bytes,
 * `zigzag` a varint of a zigzag-coded int64. The frame has no checksum of its own: the queue, the
 * disk and the wire that carry it have one. A reader that meets another version refuses the frame.
 *
 *   offset  bytes
 *        0      3  'W' 'R' 'F'
 *        3      1  version: 1, or 2 where a column has entries
 *        4      4  flags: bit 0 the body is LZ4-compressed (one block); bit 1 rows have flags;
 *                  others 0
 *        8      4  number of rows, 1 or more
 *       12      4  bytes of the body as it stands here
 *       16      4  bytes of the body when plain
 *       20      4  part
 *       24      4  parts
 *       28      4  index of the first row within the body received
 *       32      8  arrival, ns
 *       40      8  smallest time of a row
 *       48      8  largest time of a row
 *       56      8  bytes of the records as received
 *       64     16  idempotency key, hashed (low half, high half)
 *       80     16  hash of the body received
 *       96     24  producer, epoch, sequence
 *      120      2  bytes of the organization's name
 *      122      2  bytes of the stream's name
 *      124         organization, stream, body; nothing behind
 *
 * Body:
 *   times       ints: `zigzag` base, 1 byte width (1, 2, 4, 8), then a value a row: base + unsigned
 *               width bytes, modulo 2^64
 *   columns     varint count; each: lstr path, varint occurrence, 1 byte lane (and, from version 2
 *               on, 128 where its texts stand as entries), varint number of values
 *   shapes      varint count; each: varint number of tokens, each a varint: 0 open, 1 close, else
 *               column number + 2
 *   shape of    a row each, 1 byte, or 2 where there are more than 256 shapes; absent where there
 *               is one
 *   flags       1 byte a row (enum row_flag); absent without bit 1 of the head's flags
 *   values      column by column:
 *                 text lanes   ints of the lengths (base not negative, widths 1, 2, 4), then the
 *                              bytes of all values
 *                 entries      varint number of different texts; a value each, 1 byte, or 2 where
 *                              there are more than 256 of them, the number of its text, at most one
 *                              more than those before it; then those texts, as of text lanes
 *                 INT          ints
 *                 DEC          1 byte scale of all, or 255 and then a scale a value; ints of the
 *                              mantissas
 *                 DBL          8 bytes a value, IEEE 754
 *                 BOOL         1 byte a value, 0 or 1
 *                 NULL, OBJ    nothing
 *
 * Every value but NULL and {} takes a byte at least, so what a frame opens to is bounded by its
 * plain size; texts written out of their entries are FRAME_PLAIN_MAX together at most.
 *
 * What frame_open promises, checked here and relied upon everywhere: (path, lane, occurrence) are
 * unique and occurrences without gaps; every path is valid, and empty only for the one leaf of a
 * whole record; shapes are balanced, no object in them is empty, the paths of their leaves agree
 * with their nesting, no column stands twice in one and occurrences stand in order; every shape has
 * rows; a column's values are as many as the rows whose shapes hold it; scales are 1..18, bools 0
 * or 1. */
#include "record/frame.h"

#include "core/mem.h"
#include "record/coded.h"

#include <lz4.h>

enum {
    HEAD_BYTES = 124,
    PART_AT = 20,
    PARTS_AT = 24,
    FIRST_INDEX_AT = 28,
    ARRIVAL_AT = 32,
    KEY_AT = 64,
    VERSION_AT = 3,
    VERSION = 1,
    VERSION_CODED = 2,
    LANE_CODED = 128,
    FLAG_LZ4 = 1,
    FLAG_ROW_FLAGS = 2,
    SCALE_MAX = 18,
    SCALE_EACH = 255,
    TOKEN_OPEN = 0,
    TOKEN_CLOSE = 1,
    TOKEN_COLUMN = 2,
    TOKEN_BYTES = 2, /* at most, as a varint */
};
_Static_assert(PATHS_MAX + TOKEN_COLUMN < 1 << 14, "a token is a varint of two bytes at most");
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are copied as they stand");

/* ---- writing ---- */

static unsigned width_of(uint64_t range)
{
    return range <= UINT8_MAX ? 1 : range <= UINT16_MAX ? 2 : range <= UINT32_MAX ? 4 : 8;
}

/* The buffer has room: frame_encode reserved it. */
static char *take(struct buf *out, size_t n)
{
    char *p = buf_reserve(out, n);
    CHECK(p);
    out->n += n;
    return p;
}

static void put_ints(struct buf *out, const int64_t *v, uint32_t n)
{
    int64_t min = v[0], max = v[0];
    for (uint32_t i = 1; i < n; i++) {
        min = v[i] < min ? v[i] : min;
        max = v[i] > max ? v[i] : max;
    }
    uint64_t base = (uint64_t)min;
    unsigned width = width_of((uint64_t)max - base);
    buf_put_varint(out, zigzag(min));
    buf_put_u8(out, (uint8_t)width);
    char *p = take(out, (size_t)n * width);
    if (width == 1) {
        for (uint32_t i = 0; i < n; i++)
            p[i] = (char)((uint64_t)v[i] - base);
    } else if (width == 2) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(p + 2 * (size_t)i, &(uint16_t){(uint16_t)((uint64_t)v[i] - base)}, 2);
    } else if (width == 4) {
        for (uint32_t i = 0; i < n; i++)
            memcpy(p + 4 * (size_t)i, &(uint32_t){(uint32_t)((uint64_t)v[i] - base)}, 4);
    } else {
        for (uint32_t i = 0; i < n; i++)
            memcpy(p + 8 * (size_t)i, &(uint64_t){(uint64_t)v[i] - base}, 8);
    }
}

static void put_texts(struct buf *out, const struct values *v)
{
    uint32_t min = UINT32_MAX, max = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t n = v->off[i + 1] - v->off[i];
        min = n < min ? n : min;
        max = n > max ? n : max;
    }
    unsigned width = width_of(max - min);
    buf_put_varint(out, zigzag(min));
    buf_put_u8(out, (uint8_t)width);
    char *p = take(out, (size_t)v->n * width);
    const uint32_t *off = v->off;
    if (width == 1) {
        for (uint32_t i = 0; i < v->n; i++)
            p[i] = (char)(off[i + 1] - off[i] - min);
    } else if (width == 2) {
        for (uint32_t i = 0; i < v->n; i++)
            memcpy(p + 2 * (size_t)i, &(uint16_t){(uint16_t)(off[i + 1] - off[i] - min)}, 2);
    } else {
        for (uint32_t i = 0; i < v->n; i++)
            memcpy(p + 4 * (size_t)i, &(uint32_t){off[i + 1] - off[i] - min}, 4);
    }
    buf_put(out, v->bytes + off[0], off[v->n] - off[0]);
}

static void put_decimals(struct buf *out, const struct values *v)
{
    bool same = true;
    for (uint32_t i = 1; i < v->n; i++)
        same &= v->scale[i] == v->scale[0];
    buf_put_u8(out, same ? v->scale[0] : SCALE_EACH);
    if (!same)
        buf_put(out, v->scale, v->n);
    put_ints(out, v->i64, v->n);
}

static void put_coded(struct buf *out, const struct coded_values *c)
{
    buf_put_varint(out, c->v.n);
    buf_put(out, c->code, (size_t)c->n * c->width);
    put_texts(out, &c->v);
}

static void put_values(struct buf *out, const struct values *v, const struct coded_values *coded)
{
    if (coded->code)
        put_coded(out, coded);
    else if (lane_is_text(v->lane))
        put_texts(out, v);
    else if (v->lane == LANE_INT)
        put_ints(out, v->i64, v->n);
    else if (v->lane == LANE_DEC)
        put_decimals(out, v);
    else if (v->lane == LANE_DBL)
        buf_put(out, v->f64, v->n * sizeof(*v->f64));
    else if (v->lane == LANE_BOOL)
        buf_put(out, v->u8, v->n);
}

static void put_shapes(struct buf *out, const struct rows *r)
{
    buf_put_varint(out, r->n_shapes);
    for (uint32_t i = 0; i < r->n_shapes; i++) {
        const struct shape *s = &r->shapes[i];
        buf_put_varint(out, s->n);
        char *begin = buf_reserve(out, TOKEN_BYTES * (size_t)s->n), *p = begin;
        CHECK(p);
        for (uint32_t t = 0; t < s->n; t++) {
            unsigned v = s->token[t] == SHAPE_OPEN    ? TOKEN_OPEN
                         : s->token[t] == SHAPE_CLOSE ? TOKEN_CLOSE
                                                      : s->token[t] + TOKEN_COLUMN;
            *p++ = (char)(v < 0x80 ? v : (v & 0x7f) | 0x80);
            if (v >= 0x80)
                *p++ = (char)(v >> 7);
        }
        out->n += (size_t)(p - begin);
    }
    if (r->n_shapes == 1)
        return;
    const uint16_t *of = ((const struct plain_rows *)r->impl)->shape_of;
    if (r->n_shapes > 256) {
        buf_put(out, of, r->n * sizeof(*of));
        return;
    }
    char *p = take(out, r->n);
    for (uint32_t i = 0; i < r->n; i++)
        p[i] = (char)of[i];
}

/* Returns the version it takes. */
static int put_body(struct buf *out, const struct rows *r)
{
    int version = VERSION;
    struct coded_values *coded = ARENA_ARRAY(r->arena, struct coded_values, r->n_columns);
    put_ints(out, ((const struct plain_rows *)r->impl)->time, r->n);
    buf_put_varint(out, r->n_columns);
    for (uint32_t i = 0; i < r->n_columns; i++) {
        const struct column *c = &r->columns[i];
        uint8_t lane = c->lane;
        if (coded_make(c->impl, r->arena, &coded[i])) {
            lane |= LANE_CODED;
            version = VERSION_CODED;
        }
        buf_put_lstr(out, c->path);
        buf_put_varint(out, c->occ);
        buf_put_u8(out, lane);
        buf_put_varint(out, c->n);
    }
    put_shapes(out, r);
    if (r->flags)
        buf_put(out, r->flags, r->n);
    for (uint32_t i = 0; i < r->n_columns; i++)
        put_values(out, r->columns[i].impl, &coded[i]);
    return version;
}

static void put_head(struct buf *out, const struct frame_info *info, const struct rows *r,
                     uint64_t raw_bytes)
{
    buf_put(out, "WRF\x01", 4);
    buf_put_u32(out, r->flags ? FLAG_ROW_FLAGS : 0);
    buf_put_u32(out, r->n);
    buf_put_u32(out, 0); /* both sizes of the body are filled in behind it */
    buf_put_u32(out, 0);
    buf_put_u32(out, info->part);
    buf_put_u32(out, info->parts);
    buf_put_u32(out, info->first_index);
    buf_put_u64(out, (uint64_t)info->arrival_ns);
    buf_put_u64(out, (uint64_t)r->time_min);
    buf_put_u64(out, (uint64_t)r->time_max);
    buf_put_u64(out, raw_bytes);
    buf_put_u64(out, info->key.lo);
    buf_put_u64(out, info->key.hi);
    buf_put_u64(out, info->payload.lo);
    buf_put_u64(out, info->payload.hi);
    buf_put_u64(out, info->producer);
    buf_put_u64(out, info->epoch);
    buf_put_u64(out, info->sequence);
    buf_put_u16(out, (uint16_t)info->org.n);
    buf_put_u16(out, (uint16_t)info->stream.n);
    buf_put_str(out, info->org);
    buf_put_str(out, info->stream);
}

static void patch_u32(struct buf *out, size_t at, uint32_t v)
{
    memcpy(out->p + at, &v, sizeof(v));
}

void frame_set_parts(char *frame, uint32_t parts)
{
    memcpy(frame + PARTS_AT, &parts, sizeof(parts));
}

void frame_restamp(char *frame, const struct frame_info *info)
{
    const uint64_t from_key[] = {info->key.lo,   info->key.hi, info->payload.lo, info->payload.hi,
                                 info->producer, info->epoch,  info->sequence};
    memcpy(frame + PART_AT, &info->part, sizeof(info->part));
    memcpy(frame + FIRST_INDEX_AT, &info->first_index, sizeof(info->first_index));
    memcpy(frame + ARRIVAL_AT, &info->arrival_ns, sizeof(info->arrival_ns));
    memcpy(frame + KEY_AT, from_key, sizeof(from_key));
}

/* Compresses out->p[body..] in place, where that makes it smaller. */
static void compress_body(struct buf *out, size_t head, size_t body)
{
    size_t plain = out->n - body;
    char *packed = mem_alloc(plain);
    int n = LZ4_compress_default(out->p + body, packed, (int)plain, (int)plain - 1);
    if (n > 0) {
        memcpy(out->p + body, packed, (size_t)n);
        out->n = body + (size_t)n;
        out->p[head + 4] |= FLAG_LZ4;
    }
    mem_free(packed);
}

enum err frame_encode(struct batch *b, const struct frame_info *info, struct buf *out)
{
    size_t room = HEAD_BYTES + info->org.n + info->stream.n + 64 + batch_bytes(b);
    if (!batch_rows(b))
        return err_set(ERR_INVALID, "a frame needs a record");
    if (batch_rows(b) > FRAME_ROWS_MAX || batch_bytes(b) > FRAME_PLAIN_MAX - 64 ||
        info->org.n > UINT16_MAX || info->stream.n > UINT16_MAX)
        return err_set(ERR_LIMIT, "a frame is limited to %u records of %u bytes", FRAME_ROWS_MAX,
                       FRAME_PLAIN_MAX);
    if (!buf_reserve(out, room))
        return err_set(ERR_LIMIT, "a buffer of %zu bytes has no room for a frame of %zu", out->max,
                       room);
    struct arena arena;
    arena_init(&arena, 0, NULL);
    struct rows rows;
    batch_view(b, &arena, &rows);
    size_t head = out->n;
    put_head(out, info, &rows, info->raw_bytes ? info->raw_bytes : batch_raw_bytes(b));
    size_t body = out->n;
    out->p[head + VERSION_AT] = (char)put_body(out, &rows);
    CHECK(out->n - head <= room);
    patch_u32(out, head + 16, (uint32_t)(out->n - body));
    if (info->lz4)
        compress_body(out, head, body);
    patch_u32(out, head + 12, (uint32_t)(out->n - body));
    arena_release(&arena);
    return OK;
}

size_t frame_plain_bytes(struct str frame)
{
    uint32_t stored, plain;
    memcpy(&stored, frame.p + 12, sizeof(stored));
    memcpy(&plain, frame.p + 16, sizeof(plain));
    return frame.n - stored + plain;
}

/* ---- reading ---- */

struct head {
    unsigned version;
    uint32_t flags, rows, body_bytes, plain_bytes;
    int64_t time_min, time_max;
    struct frame_info info;
    struct str body;
};

static enum err corrupt(const char *what)
{
    return err_set(ERR_CORRUPT, "frame: %s", what);
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory to open a frame");
}

static void read_info(struct reader *in, struct head *h)
{
    struct frame_info *info = &h->info;
    info->part = read_u32(in);
    info->parts = read_u32(in);
    info->first_index = read_u32(in);
    info->arrival_ns = (int64_t)read_u64(in);
    h->time_min = (int64_t)read_u64(in);
    h->time_max = (int64_t)read_u64(in);
    info->raw_bytes = read_u64(in);
    info->key.lo = read_u64(in);
    info->key.hi = read_u64(in);
    info->payload.lo = read_u64(in);
    info->payload.hi = read_u64(in);
    info->producer = read_u64(in);
    info->epoch = read_u64(in);
    info->sequence = read_u64(in);
    uint16_t org_n = read_u16(in);
    uint16_t stream_n = read_u16(in);
    info->org = read_bytes(in, org_n);
    info->stream = read_bytes(in, stream_n);
    info->lz4 = h->flags & FLAG_LZ4;
}

static enum err read_head(struct str bytes, struct head *ret)
{
    struct head h = {0};
    struct reader in = reader_of(bytes);
    if (!str_eq(read_bytes(&in, 3), STR("WRF")))
        return corrupt("it does not begin like one");
    h.version = read_u8(&in);
    if (h.version != VERSION && h.version != VERSION_CODED)
        return err_set(in.bad ? ERR_CORRUPT : ERR_UNSUPPORTED, "frame: version %u is not known",
                       h.version);
    h.flags = read_u32(&in);
    h.rows = read_u32(&in);
    h.body_bytes = read_u32(&in);
    h.plain_bytes = read_u32(&in);
    read_info(&in, &h);
    if (in.bad || reader_left(&in) != h.body_bytes)
        return corrupt("it is cut short or has more than its body");
    if (h.flags & ~(uint32_t)(FLAG_LZ4 | FLAG_ROW_FLAGS))
        return corrupt("unknown flags");
    if (!h.rows || h.rows > FRAME_ROWS_MAX || h.plain_bytes > FRAME_PLAIN_MAX)
        return corrupt("too many rows or bytes");
    if (h.time_min > h.time_max)
        return corrupt("its times end before they begin");
    if (h.info.lz4 ? h.plain_bytes / 255 > h.body_bytes : h.plain_bytes != h.body_bytes)
        return corrupt("the sizes of its body disagree");
    h.body = read_bytes(&in, h.body_bytes);
    *ret = h;
    return OK;
}

enum err frame_peek(struct str bytes, struct frame_info *ret_info, uint32_t *ret_rows,
                    int64_t *ret_time_min, int64_t *ret_time_max)
{
    struct head h;
    TRY(read_head(bytes, &h));
    *ret_info = h.info;
    *ret_rows = h.rows;
    *ret_time_min = h.time_min;
    *ret_time_max = h.time_max;
    return OK;
}

/* A frame being opened. */
struct opening {
    struct reader in;
    struct arena *arena;
    unsigned version;
    uint32_t rows;
    struct column *column;
    struct values *values; /* of each column, or of its entries */
    uint16_t *levels;      /* by column: segments of its path */
    uint32_t *before;      /* by column: that of the occurrence before, or itself for the first */
    uint32_t *seen;        /* by column: number of the last shape it stood in, + 1 */
    uint32_t *expected;    /* by column: rows whose shapes hold it */
    uint32_t n_columns;
    struct shape *shape;
    uint32_t n_shapes;
    uint32_t *shape_rows; /* by shape */
    uint16_t *shape_of;
    bool whole; /* a shape is that of whole records */
};

static bool read_width(struct reader *in, uint32_t n, unsigned max, unsigned *ret_width,
                       struct str *ret)
{
    unsigned width = read_u8(in);
    if (width != 1 && width != 2 && width != 4 && (width != 8 || max < 8))
        return false;
    *ret_width = width;
    *ret = read_bytes(in, (size_t)n * width);
    return !in->bad;
}

static enum err read_ints(struct opening *o, uint32_t n, const int64_t **ret)
{
    uint64_t base = (uint64_t)unzigzag(read_varint(&o->in));
    unsigned width;
    struct str s;
    if (!read_width(&o->in, n, 8, &width, &s))
        return corrupt("integers are cut short");
    int64_t *to = ARENA_TRY_ARRAY(o->arena, int64_t, n);
    if (!to)
        return no_memory();
    const uint8_t *p = (const uint8_t *)s.p;
    uint16_t v2;
    uint32_t v4;
    uint64_t v8;
    if (width == 1) {
        for (uint32_t i = 0; i < n; i++)
            to[i] = (int64_t)(base + p[i]);
    } else if (width == 2) {
        for (uint32_t i = 0; i < n; i++)
            to[i] = (int64_t)(base + (memcpy(&v2, p + 2 * (size_t)i, 2), v2));
    } else if (width == 4) {
        for (uint32_t i = 0; i < n; i++)
            to[i] = (int64_t)(base + (memcpy(&v4, p + 4 * (size_t)i, 4), v4));
    } else {
        for (uint32_t i = 0; i < n; i++)
            to[i] = (int64_t)(base + (memcpy(&v8, p + 8 * (size_t)i, 8), v8));
    }
    *ret = to;
    return OK;
}

/* The offsets of texts; answers where the last ends: 2^20 rows of 2^33 bytes fit, and what passes
 * 32 bits is refused by the caller. */
static uint64_t sum_lengths(const char *p, unsigned width, uint32_t n, uint64_t base, uint32_t *off)
{
    uint64_t at = 0;
    uint16_t v2;
    uint32_t v4;
    for (uint32_t i = 0; width == 1 && i < n; i++) {
        off[i] = (uint32_t)at;
        at += base + (uint8_t)p[i];
    }
    for (uint32_t i = 0; width == 2 && i < n; i++) {
        off[i] = (uint32_t)at;
        at += base + (memcpy(&v2, p + 2 * (size_t)i, 2), v2);
    }
    for (uint32_t i = 0; width == 4 && i < n; i++) {
        off[i] = (uint32_t)at;
        at += base + (memcpy(&v4, p + 4 * (size_t)i, 4), v4);
    }
    return at;
}

static enum err read_texts(struct opening *o, struct values *v)
{
    int64_t base = unzigzag(read_varint(&o->in));
    unsigned width;
    struct str s;
    if (base < 0 || base > FRAME_PLAIN_MAX || !read_width(&o->in, v->n, 4, &width, &s))
        return corrupt("lengths are cut short");
    uint32_t *off = ARENA_TRY_ARRAY(o->arena, uint32_t, (size_t)v->n + 1);
    if (!off)
        return no_memory();
    uint64_t at = sum_lengths(s.p, width, v->n, (uint64_t)base, off);
    if (at > reader_left(&o->in))
        return corrupt("texts are longer than the frame");
    off[v->n] = (uint32_t)at;
    v->off = off;
    v->bytes = read_bytes(&o->in, at).p;
    return OK;
}

/* Each code is at most one more than those before it, so that entries stand in order of first
 * appearance. */
static bool check_codes(struct coded_values *c)
{
    uint32_t seen = 0;
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < c->n; i++) {
        uint32_t code = coded_at(c, i);
        if (code > seen || code >= c->v.n)
            return false;
        seen += code == seen;
        bytes += c->v.off[code + 1] - c->v.off[code];
    }
    c->text_bytes = bytes;
    return seen == c->v.n;
}

static enum err read_coded(struct opening *o, struct column *column, struct values *v)
{
    uint64_t n = read_varint(&o->in);
    if (o->in.bad || n < 1 || n > column->n || n > CODED_ENTRIES_MAX)
        return corrupt("a column has too many entries");
    struct coded_values *c = arena_try_alloc(o->arena, sizeof(*c));
    if (!c)
        return no_memory();
    *c = (struct coded_values){.n = column->n, .width = coded_width((uint32_t)n)};
    c->code = (const uint8_t *)read_bytes(&o->in, (size_t)c->n * c->width).p;
    v->n = (uint32_t)n;
    TRY(read_texts(o, v));
    c->v = *v;
    if (o->in.bad || !check_codes(c))
        return corrupt("the codes of a column are not those of its entries");
    if (c->text_bytes > FRAME_PLAIN_MAX)
        return corrupt("its texts are too long together");
    column->text_bytes = c->text_bytes;
    column->impl = c;
    return OK;
}

static enum err read_decimals(struct opening *o, struct values *v)
{
    unsigned scale = read_u8(&o->in);
    struct str each = {0};
    if (scale == SCALE_EACH)
        each = read_bytes(&o->in, v->n);
    if (o->in.bad || (scale != SCALE_EACH && (scale < 1 || scale > SCALE_MAX)))
        return corrupt("a scale is out of bounds");
    uint8_t *to = arena_try_alloc(o->arena, v->n);
    if (!to)
        return no_memory();
    bool bad = false;
    memset(to, (int)scale, v->n);
    for (uint32_t i = 0; i < each.n; i++) {
        to[i] = (uint8_t)each.p[i];
        bad |= to[i] < 1 || to[i] > SCALE_MAX;
    }
    if (bad)
        return corrupt("a scale is out of bounds");
    v->scale = to;
    return read_ints(o, v->n, &v->i64);
}

static enum err read_doubles(struct opening *o, struct values *v)
{
    struct str s = read_bytes(&o->in, v->n * sizeof(double));
    if (o->in.bad)
        return corrupt("doubles are cut short");
    double *to = ARENA_TRY_ARRAY(o->arena, double, v->n);
    if (!to)
        return no_memory();
    memcpy(to, s.p, s.n);
    v->f64 = to;
    return OK;
}

static enum err read_bools(struct opening *o, struct values *v)
{
    struct str s = read_bytes(&o->in, v->n);
    uint8_t all = 0;
    for (size_t i = 0; i < s.n; i++)
        all |= (uint8_t)s.p[i];
    if (o->in.bad || all > 1)
        return corrupt("bools are cut short or neither 0 nor 1");
    v->u8 = (const uint8_t *)s.p;
    return OK;
}

static enum err read_values(struct opening *o, struct column *c, struct values *v)
{
    if (c->ops == &coded_column_ops)
        return read_coded(o, c, v);
    if (lane_is_text(v->lane))
        return read_texts(o, v);
    if (v->lane == LANE_INT)
        return read_ints(o, v->n, &v->i64);
    if (v->lane == LANE_DEC)
        return read_decimals(o, v);
    if (v->lane == LANE_DBL)
        return read_doubles(o, v);
    return v->lane == LANE_BOOL ? read_bools(o, v) : OK;
}

/* ---- columns ---- */

static uint64_t column_hash(struct str path, unsigned lane, unsigned occ)
{
    return hash64_seed(path, (uint64_t)lane << 32 | occ);
}

/* The column (path, lane, occurrence) in an open-addressing table of numbers + 1, or the free slot.
 */
static uint32_t *column_slot(const struct opening *o, uint32_t *table, uint32_t mask,
                             struct str path, unsigned lane, unsigned occ)
{
    uint32_t at = (uint32_t)column_hash(path, lane, occ) & mask;
    for (; table[at]; at = (at + 1) & mask) {
        const struct column *c = &o->column[table[at] - 1];
        if (c->lane == lane && c->occ == occ && str_eq(c->path, path))
            break;
    }
    return &table[at];
}

/* Columns are unique, and each occurrence has the one before it. */
static enum err link_columns(struct opening *o)
{
    uint32_t size = 16;
    while (size < 2 * o->n_columns)
        size *= 2;
    uint32_t *table = ARENA_TRY_ARRAY(o->arena, uint32_t, size);
    if (!table)
        return no_memory();
    memset(table, 0, size * sizeof(*table));
    for (uint32_t i = 0; i < o->n_columns; i++) {
        const struct column *c = &o->column[i];
        uint32_t *slot = column_slot(o, table, size - 1, c->path, c->lane, c->occ);
        if (*slot)
            return corrupt("a column stands twice");
        *slot = i + 1;
    }
    for (uint32_t i = 0; i < o->n_columns; i++) {
        const struct column *c = &o->column[i];
        o->before[i] = i;
        if (!c->occ)
            continue;
        uint32_t *slot = column_slot(o, table, size - 1, c->path, c->lane, c->occ - 1u);
        if (!*slot)
            return corrupt("an occurrence lacks the one before it");
        o->before[i] = *slot - 1;
    }
    return OK;
}

static bool column_valid(const struct opening *o, const struct column *c, uint64_t occ, uint64_t n,
                         uint16_t *ret_levels)
{
    if (o->in.bad || c->lane >= LANE_COUNT || occ >= PATHS_MAX || n < 1 || n > o->rows)
        return false;
    *ret_levels = 1;
    if (!c->path.n)
        return c->lane == LANE_JSON && occ == 0;
    unsigned depth = 1;
    for (size_t i = 0; i < c->path.n; i++)
        depth += c->path.p[i] == PATH_SEP;
    *ret_levels = (uint16_t)depth;
    return depth <= NESTING_MAX && path_valid(c->path);
}

static enum err make_columns(struct opening *o, uint64_t n)
{
    if (o->in.bad || n > PATHS_MAX || n > reader_left(&o->in))
        return corrupt("too many columns");
    o->n_columns = (uint32_t)n;
    o->column = ARENA_TRY_ARRAY(o->arena, struct column, n);
    o->values = ARENA_TRY_ARRAY(o->arena, struct values, n);
    o->levels = ARENA_TRY_ARRAY(o->arena, uint16_t, n);
    o->before = ARENA_TRY_ARRAY(o->arena, uint32_t, n);
    o->seen = ARENA_TRY_ARRAY(o->arena, uint32_t, n);
    o->expected = ARENA_TRY_ARRAY(o->arena, uint32_t, n);
    if (!o->column || !o->values || !o->levels || !o->before || !o->seen || !o->expected)
        return no_memory();
    memset(o->seen, 0, n * sizeof(*o->seen));
    memset(o->expected, 0, n * sizeof(*o->expected));
    return OK;
}

static enum err read_columns(struct opening *o)
{
    TRY(make_columns(o, read_varint(&o->in)));
    size_t path_bytes = 0;
    for (uint32_t i = 0; i < o->n_columns; i++) {
        struct column c = {.path = read_lstr(&o->in), .ops = &plain_column_ops};
        uint64_t occ = read_varint(&o->in);
        c.lane = read_u8(&o->in);
        if (o->version == VERSION_CODED && c.lane & LANE_CODED &&
            lane_is_text(c.lane & ~LANE_CODED)) {
            c.lane &= (uint8_t)~LANE_CODED;
            c.ops = &coded_column_ops;
        }
        uint64_t n = read_varint(&o->in);
        if (!column_valid(o, &c, occ, n, &o->levels[i]))
            return corrupt("a column is not valid");
        path_bytes += c.path.n;
        c.occ = (uint16_t)occ;
        c.n = (uint32_t)n;
        c.name_hash = path_name_hash(c.path);
        o->values[i] = (struct values){.n = c.n, .lane = c.lane};
        c.impl = &o->values[i];
        o->column[i] = c;
    }
    if (path_bytes > PATH_BYTES_MAX)
        return corrupt("its paths are too long");
    return link_columns(o);
}

/* ---- shapes ---- */

/* The state of a walk over a shape's tokens: at each open object that a leaf has named, where its
 * part of the path ends. Leaves within it must begin with that part. */
struct walk {
    struct str path;             /* of the leaf before */
    uint32_t depth, named;       /* open objects, and how many of them have a name */
    size_t end[NESTING_MAX + 1]; /* end[d]: of the first d segments of `path` */
};

/* The leaf's path has depth + 1 segments and begins with those of the objects it stands in. */
static bool walk_leaf(struct walk *w, struct str path, unsigned levels)
{
    size_t end = w->end[w->named];
    if (levels != w->depth + 1)
        return false;
    if (w->named &&
        (path.n <= end || path.p[end] != PATH_SEP || memcmp(path.p, w->path.p, end) != 0))
        return false;
    while (w->named < w->depth) {
        size_t from = w->named ? end + 1 : 0;
        end = str_find_byte(path, PATH_SEP, from);
        w->end[++w->named] = end;
    }
    w->path = path;
    return true;
}

static bool check_shape(struct opening *o, uint32_t number, struct walk *w)
{
    const struct shape *s = &o->shape[number];
    w->depth = w->named = 0;
    w->end[0] = 0;
    for (uint32_t t = 0; t < s->n; t++) {
        uint32_t token = s->token[t];
        if (token == SHAPE_OPEN) {
            if (++w->depth > NESTING_MAX - 1)
                return false;
        } else if (token == SHAPE_CLOSE) {
            if (w->depth == 0 || w->named < w->depth) /* not open, or empty */
                return false;
            w->named = --w->depth;
        } else {
            const struct column *c = &o->column[token];
            if (o->seen[token] == number + 1)
                return false;
            o->seen[token] = number + 1;
            if (o->seen[o->before[token]] != number + 1 || !walk_leaf(w, c->path, o->levels[token]))
                return false;
            o->expected[token] += o->shape_rows[number];
            if (!c->path.n && s->n != 1)
                return false;
            o->whole |= !c->path.n;
        }
    }
    return w->depth == 0;
}

static enum err read_tokens(struct opening *o, struct shape *ret, uint64_t *total)
{
    uint64_t n = read_varint(&o->in);
    *total += n;
    if (o->in.bad || n > SHAPE_TOKENS_MAX || *total > TOKENS_MAX || n > reader_left(&o->in))
        return corrupt("a shape is too long");
    uint32_t *token = ARENA_TRY_ARRAY(o->arena, uint32_t, n);
    if (!token)
        return no_memory();
    for (uint64_t t = 0; t < n; t++) {
        uint64_t v = read_varint(&o->in);
        if (v >= TOKEN_COLUMN + (uint64_t)o->n_columns)
            return corrupt("a shape has a column that is not there");
        token[t] = v == TOKEN_OPEN    ? SHAPE_OPEN
                   : v == TOKEN_CLOSE ? SHAPE_CLOSE
                                      : (uint32_t)v - TOKEN_COLUMN;
    }
    *ret = (struct shape){token, (uint32_t)n};
    return OK;
}

static enum err read_shape_of(struct opening *o)
{
    o->shape_rows = ARENA_TRY_ARRAY(o->arena, uint32_t, o->n_shapes);
    o->shape_of = ARENA_TRY_ARRAY(o->arena, uint16_t, o->rows);
    if (!o->shape_rows || !o->shape_of)
        return no_memory();
    memset(o->shape_rows, 0, o->n_shapes * sizeof(*o->shape_rows));
    if (o->n_shapes == 1) {
        memset(o->shape_of, 0, o->rows * sizeof(*o->shape_of));
        o->shape_rows[0] = o->rows;
        return OK;
    }
    size_t width = o->n_shapes > 256 ? 2 : 1;
    struct str s = read_bytes(&o->in, o->rows * width);
    if (o->in.bad)
        return corrupt("the shapes of its rows are cut short");
    for (uint32_t i = 0; i < o->rows; i++) {
        uint16_t number = (uint8_t)s.p[i * width];
        if (width == 2)
            memcpy(&number, s.p + i * width, 2);
        if (number >= o->n_shapes)
            return corrupt("a row has a shape that is not there");
        o->shape_of[i] = number;
        o->shape_rows[number]++;
    }
    return OK;
}

static enum err check_shapes(struct opening *o, uint64_t tokens)
{
    struct walk *w = arena_try_alloc(o->arena, sizeof(*w));
    if (!w)
        return no_memory();
    for (uint32_t i = 0; i < o->n_shapes; i++)
        if (!o->shape_rows[i] || !check_shape(o, i, w))
            return corrupt("a shape is not valid");
    for (uint32_t i = 0; i < o->n_columns; i++)
        if (o->expected[i] != o->column[i].n)
            return corrupt("a column has not as many values as rows");
    /* Room for a whole record is kept, as in a batch: every frame fits an empty one. */
    uint32_t spare = o->whole ? 0 : 1;
    if (o->n_shapes + spare > SHAPES_MAX || o->n_columns + spare > PATHS_MAX ||
        tokens + spare > TOKENS_MAX)
        return corrupt("too many shapes, columns or tokens");
    return OK;
}

static enum err read_shapes(struct opening *o)
{
    uint64_t n = read_varint(&o->in);
    if (o->in.bad || n < 1 || n > SHAPES_MAX || n > o->rows)
        return corrupt("too many shapes");
    o->n_shapes = (uint32_t)n;
    o->shape = ARENA_TRY_ARRAY(o->arena, struct shape, n);
    if (!o->shape)
        return no_memory();
    uint64_t tokens = 0;
    for (uint32_t i = 0; i < o->n_shapes; i++)
        TRY(read_tokens(o, &o->shape[i], &tokens));
    TRY(read_shape_of(o));
    return check_shapes(o, tokens);
}

/* ---- the whole ---- */

static enum err plain_body(const struct head *h, struct arena *arena, struct str *ret)
{
    *ret = h->body;
    if (!h->info.lz4)
        return OK;
    char *plain = arena_try_alloc(arena, h->plain_bytes);
    if (!plain)
        return no_memory();
    int n = LZ4_decompress_safe(h->body.p, plain, (int)h->body_bytes, (int)h->plain_bytes);
    if (n < 0 || (uint32_t)n != h->plain_bytes)
        return corrupt("its body does not decompress");
    *ret = str_of(plain, h->plain_bytes);
    return OK;
}

static enum err read_times(struct opening *o, const struct head *h, const int64_t **ret)
{
    const int64_t *t;
    TRY(read_ints(o, o->rows, &t));
    int64_t min = t[0], max = t[0];
    for (uint32_t i = 1; i < o->rows; i++) {
        min = t[i] < min ? t[i] : min;
        max = t[i] > max ? t[i] : max;
    }
    if (min != h->time_min || max != h->time_max)
        return corrupt("its times disagree with its head");
    *ret = t;
    return OK;
}

static enum err read_flags(struct opening *o, const struct head *h, const uint8_t **ret)
{
    *ret = NULL;
    if (!(h->flags & FLAG_ROW_FLAGS))
        return OK;
    *ret = (const uint8_t *)read_bytes(&o->in, o->rows).p;
    return o->in.bad ? corrupt("the flags of its rows are cut short") : OK;
}

enum err frame_open(struct str bytes, uint64_t position, uint32_t partition, struct arena *arena,
                    struct frame_info *ret_info, struct rows *ret_rows)
{
    struct head h;
    struct str body;
    TRY(read_head(bytes, &h));
    TRY(plain_body(&h, arena, &body));
    struct opening o = {
        .in = reader_of(body), .arena = arena, .version = h.version, .rows = h.rows};
    const int64_t *time = NULL;
    const uint8_t *flags = NULL;
    TRY(read_times(&o, &h, &time));
    TRY(read_columns(&o));
    TRY(read_shapes(&o));
    TRY(read_flags(&o, &h, &flags));
    for (uint32_t i = 0; i < o.n_columns; i++)
        TRY(read_values(&o, &o.column[i], &o.values[i]));
    if (o.in.bad || reader_left(&o.in))
        return corrupt("bytes behind its values");
    struct plain_rows *plain = arena_try_alloc(arena, sizeof(*plain));
    struct origin_run *run = arena_try_alloc(arena, sizeof(*run));
    if (!plain || !run)
        return no_memory();
    *run = (struct origin_run){0, h.info.first_index, partition, position, h.info.arrival_ns};
    *plain = (struct plain_rows){time, o.shape_of, run, 1};
    *ret_info = h.info;
    *ret_rows = (struct rows){
        .n = h.rows,
        .n_shapes = o.n_shapes,
        .n_columns = o.n_columns,
        .shapes = o.shape,
        .columns = o.column,
        .ops = &plain_rows_ops,
        .impl = plain,
        .arena = arena,
        .stream = h.info.stream,
        .time_min = h.time_min,
        .time_max = h.time_max,
        .flags = flags,
    };
    return OK;
}
