/* The tail of a section: its directory, in columns.
 *
 *    0   u8[8]  "WEIRTAIL"
 *    8   u64    XXH3-64 of everything behind it
 *   16   u64    stream id
 *   24   i64    retention day
 *   32   u32    stored length of the body; u32 raw length (different: one zstd frame)
 *   40   body
 *
 * The body is the organization and the stream as (varint length, bytes); varint numbers of columns,
 * shapes, tokens, blocks, block shapes, fields; then these arrays, each member as integers
 * (ints.c) over all items:
 *
 *   columns        path lengths, then the bytes of all paths; occurrence; lane
 *   shapes         number of tokens
 *   tokens         0 close, 1 open, else column + 2; shape by shape
 *   blocks         offset in the file, length, rows, time min, time max, position min, position
 *                  max, raw bytes; offset in the block and length of: times, shapes, origin,
 *                  flags, rare (length 0: absent); number of shapes, number of fields
 *   block shapes   numbers of the section's shapes; block by block
 *   fields         column (ascending in a block), values, chunk offset, chunk length, rare (0, 1),
 *                  encoding, has range (0, 1), scale, min, max, distinct, filter offset, filter
 *                  length, filter sum (low half of its hash64); block by block. The chunk of a rare
 *                  column is placed in the decompressed part of the rare-values chunk
 *
 * Magic and lengths let `weir segment cat` find sections in a file without a footer. */
#include "store/chunk.h"
#include "store/segment_format.h"

#include "core/hash.h"

enum { COUNT_MAX = 1 << 24, ZSTD_LEVEL = 3, BODY_MAX = 1 << 29 };

/* ---- arrays of structs as columns of integers ---- */

static int64_t member_get(const char *p, const struct member *m)
{
    uint8_t v1;
    uint16_t v2;
    uint32_t v4;
    int64_t v8;
    switch (m->bytes) {
    case 1:
        memcpy(&v1, p, 1);
        return v1;
    case 2:
        memcpy(&v2, p, 2);
        return v2;
    case 4:
        memcpy(&v4, p, 4);
        return v4;
    default:
        memcpy(&v8, p, 8);
        return v8;
    }
}

static void member_set(char *p, const struct member *m, int64_t v)
{
    uint8_t v1 = (uint8_t)v;
    uint16_t v2 = (uint16_t)v;
    uint32_t v4 = (uint32_t)v;
    if (m->bytes == 8)
        memcpy(p, &v, 8);
    else if (m->bytes == 4)
        memcpy(p, &v4, 4);
    else if (m->bytes == 2)
        memcpy(p, &v2, 2);
    else
        memcpy(p, &v1, 1);
}

void members_put(const void *base, size_t stride, uint32_t n, const struct member *m,
                 unsigned n_members, struct arena *scratch, struct buf *out)
{
    int64_t *v = arena_alloc(scratch, ((size_t)n + 1) * sizeof(*v));
    for (unsigned k = 0; k < n_members; k++) {
        for (uint32_t i = 0; i < n; i++)
            v[i] = member_get((const char *)base + stride * i + m[k].at, &m[k]);
        ints_encode(v, n, INTS_PACKED, scratch, out);
    }
}

enum err members_read(struct reader *r, void *base, size_t stride, uint32_t n,
                      const struct member *m, unsigned n_members, struct arena *scratch)
{
    int64_t *v = ARENA_TRY_ARRAY(scratch, int64_t, n);
    if (!v)
        return err_set(ERR_NOMEM, "no memory for a directory of %u items", n);
    for (unsigned k = 0; k < n_members; k++) {
        TRY(ints_decode(r, n, scratch, v));
        uint64_t max = m[k].flag         ? 1
                       : m[k].bytes == 8 ? UINT64_MAX
                                         : ((uint64_t)1 << (8 * m[k].bytes)) - 1;
        for (uint32_t i = 0; i < n; i++) {
            if ((uint64_t)v[i] > max)
                return err_set(ERR_CORRUPT, "a number of a directory is out of range");
            member_set((char *)base + stride * i + m[k].at, &m[k], v[i]);
        }
    }
    return OK;
}

void strings_put(const void *base, size_t stride, uint32_t n, size_t at, struct arena *scratch,
                 struct buf *out)
{
    int64_t *v = arena_alloc(scratch, ((size_t)n + 1) * sizeof(*v));
    for (uint32_t i = 0; i < n; i++)
        v[i] = (int64_t)((const struct str *)((const char *)base + stride * i + at))->n;
    ints_encode(v, n, INTS_PACKED, scratch, out);
    for (uint32_t i = 0; i < n; i++)
        buf_put_str(out, *(const struct str *)((const char *)base + stride * i + at));
}

enum err strings_read(struct reader *r, void *base, size_t stride, uint32_t n, size_t at,
                      struct arena *scratch)
{
    int64_t *v = ARENA_TRY_ARRAY(scratch, int64_t, n);
    if (!v)
        return err_set(ERR_NOMEM, "no memory for a directory of %u items", n);
    TRY(ints_decode(r, n, scratch, v));
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] < 0)
            return err_set(ERR_CORRUPT, "a length of a directory is out of range");
        *(struct str *)((char *)base + stride * i + at) = read_bytes(r, (size_t)v[i]);
    }
    return r->bad ? err_set(ERR_CORRUPT, "names of a directory are missing") : OK;
}

void zipped_put(struct str raw, struct arena *scratch, struct buf *out)
{
    struct str zipped = raw;
    zip_bytes(raw, ZSTD_LEVEL, scratch, &zipped);
    buf_put_u32(out, (uint32_t)zipped.n);
    buf_put_u32(out, (uint32_t)raw.n);
    buf_put_str(out, zipped);
}

enum err zipped_read(struct reader *r, struct arena *a, struct str *ret)
{
    uint32_t stored = read_u32(r), raw = read_u32(r);
    struct str bytes = read_bytes(r, stored);
    if (r->bad || raw < stored || raw > BODY_MAX)
        return err_set(ERR_CORRUPT, "bad length of a directory");
    if (raw > stored) {
        char *to = arena_try_alloc(a, raw);
        if (!to)
            return err_set(ERR_NOMEM, "no memory for a directory of %u bytes", raw);
        TRY(unzip_bytes(bytes, to, raw));
        bytes = str_of(to, raw);
    }
    *ret = bytes;
    return OK;
}

/* ---- the tail ---- */

static const struct member column_members[] = {
    MEMBER(dir_column, occ),
    MEMBER(dir_column, lane),
};
static const struct member shape_members[] = {MEMBER(shape, n)};
static const struct member block_members[] = {
    MEMBER(dir_block, offset),
    MEMBER(dir_block, length),
    MEMBER(dir_block, rows),
    MEMBER(dir_block, time_min),
    MEMBER(dir_block, time_max),
    MEMBER(dir_block, position_min),
    MEMBER(dir_block, position_max),
    MEMBER(dir_block, raw_bytes),
    MEMBER(dir_block, time.offset),
    MEMBER(dir_block, time.length),
    MEMBER(dir_block, shape_of.offset),
    MEMBER(dir_block, shape_of.length),
    MEMBER(dir_block, origin.offset),
    MEMBER(dir_block, origin.length),
    MEMBER(dir_block, flags.offset),
    MEMBER(dir_block, flags.length),
    MEMBER(dir_block, rare.offset),
    MEMBER(dir_block, rare.length),
    MEMBER(dir_block, n_shapes),
    MEMBER(dir_block, n_fields),
};
static const struct member field_members[] = {
    MEMBER(dir_field, column),
    MEMBER(dir_field, n),
    MEMBER(dir_field, chunk.offset),
    MEMBER(dir_field, chunk.length),
    MEMBER_FLAG(dir_field, rare),
    MEMBER(dir_field, stats.encoding),
    MEMBER_FLAG(dir_field, stats.has_range),
    MEMBER(dir_field, stats.scale),
    MEMBER(dir_field, stats.min),
    MEMBER(dir_field, stats.max),
    MEMBER(dir_field, stats.distinct),
    MEMBER(dir_field, filter.offset),
    MEMBER(dir_field, filter.length),
    MEMBER(dir_field, filter_sum),
};
static const struct member u32_members[] = {{0, 4, false}};
#define N_MEMBERS(m) (sizeof(m) / sizeof(*(m)))

struct counts {
    uint32_t tokens, shapes, fields;
};

static struct counts count_items(const struct dir *d)
{
    struct counts c = {0};
    for (uint32_t i = 0; i < d->n_shapes; i++)
        c.tokens += d->shape[i].n;
    for (uint32_t i = 0; i < d->n_blocks; i++) {
        c.shapes += d->block[i].n_shapes;
        c.fields += d->block[i].n_fields;
    }
    return c;
}

static uint32_t *flat_tokens(const struct dir *d, uint32_t n, struct arena *a)
{
    uint32_t *to = arena_alloc(a, ((size_t)n + 1) * sizeof(*to));
    uint32_t at = 0;
    for (uint32_t s = 0; s < d->n_shapes; s++)
        for (uint32_t i = 0; i < d->shape[s].n; i++) {
            uint32_t t = d->shape[s].token[i];
            to[at++] = t == SHAPE_CLOSE ? 0 : t == SHAPE_OPEN ? 1 : t + 2;
        }
    return to;
}

static void put_body(const struct seg_tail *t, struct arena *a, struct buf *out)
{
    const struct dir *d = &t->dir;
    struct counts c = count_items(d);
    buf_put_lstr(out, t->org);
    buf_put_lstr(out, t->stream);
    uint32_t counts[] = {d->n_columns, d->n_shapes, c.tokens, d->n_blocks, c.shapes, c.fields};
    for (unsigned i = 0; i < N_MEMBERS(counts); i++)
        buf_put_varint(out, counts[i]);
    strings_put(d->column, sizeof(*d->column), d->n_columns, offsetof(struct dir_column, path), a,
                out);
    members_put(d->column, sizeof(*d->column), d->n_columns, column_members,
                N_MEMBERS(column_members), a, out);
    members_put(d->shape, sizeof(*d->shape), d->n_shapes, shape_members, 1, a, out);
    members_put(flat_tokens(d, c.tokens, a), 4, c.tokens, u32_members, 1, a, out);
    members_put(d->block, sizeof(*d->block), d->n_blocks, block_members, N_MEMBERS(block_members),
                a, out);
    uint32_t *shape = arena_alloc(a, ((size_t)c.shapes + 1) * sizeof(*shape));
    struct dir_field *field = arena_alloc(a, ((size_t)c.fields + 1) * sizeof(*field));
    uint32_t shapes = 0, fields = 0;
    for (uint32_t i = 0; i < d->n_blocks; i++) {
        const struct dir_block *b = &d->block[i];
        memcpy(shape + shapes, b->shape, b->n_shapes * sizeof(*shape));
        memcpy(field + fields, b->field, b->n_fields * sizeof(*field));
        shapes += b->n_shapes;
        fields += b->n_fields;
    }
    members_put(shape, 4, c.shapes, u32_members, 1, a, out);
    members_put(field, sizeof(*field), c.fields, field_members, N_MEMBERS(field_members), a, out);
}

enum err segment_tail_put(const struct seg_tail *t, struct arena *scratch, struct buf *out)
{
    struct counts c = count_items(&t->dir);
    if (t->dir.n_columns > COUNT_MAX || t->dir.n_shapes > COUNT_MAX || c.tokens > COUNT_MAX ||
        t->dir.n_blocks > COUNT_MAX || c.shapes > COUNT_MAX || c.fields > COUNT_MAX)
        return err_set(ERR_LIMIT, "a section's directory is limited to %d items of a kind",
                       COUNT_MAX);
    struct buf body;
    buf_init(&body, BODY_MAX);
    put_body(t, scratch, &body);
    if (body.n == BODY_MAX) {
        buf_release(&body);
        return err_set(ERR_LIMIT, "a section's directory is limited to %d bytes", BODY_MAX);
    }
    size_t start = out->n;
    buf_put(out, SEGMENT_TAIL_MAGIC, 8);
    buf_put_u64(out, 0);
    buf_put_u64(out, t->stream_id);
    buf_put_u64(out, (uint64_t)t->day);
    zipped_put(buf_str(&body), scratch, out);
    buf_release(&body);
    uint64_t sum = hash64(str_of(out->p + start + 16, out->n - start - 16));
    for (int i = 0; i < 8; i++)
        out->p[start + 8 + (size_t)i] = (char)(sum >> (8 * i));
    return OK;
}

bool segment_tail_head(struct str bytes, uint64_t *ret_length)
{
    struct reader r = reader_of(bytes);
    struct str magic = read_bytes(&r, 8);
    read_bytes(&r, 24);
    uint32_t stored = read_u32(&r);
    if (r.bad || !str_eq_c(magic, SEGMENT_TAIL_MAGIC))
        return false;
    *ret_length = SEGMENT_TAIL_HEAD_BYTES + (uint64_t)stored;
    return true;
}

/* ---- reading ---- */

static enum err corrupt(const char *what)
{
    return err_set(ERR_CORRUPT, "directory of a section: %s", what);
}

bool shape_valid(const struct shape *s, const struct dir_column *column, uint32_t n_columns,
                 struct arena *scratch)
{
    uint64_t *seen = arena_try_alloc(scratch, ((size_t)n_columns / 64 + 1) * 8);
    if (!seen)
        return false;
    memset(seen, 0, ((size_t)n_columns / 64 + 1) * 8);
    uint32_t depth = 0;
    for (uint32_t i = 0; i < s->n; i++) {
        uint32_t t = s->token[i];
        if (t == SHAPE_OPEN) {
            if (i + 1 == s->n || s->token[i + 1] == SHAPE_CLOSE || ++depth > 4096)
                return false;
            continue;
        }
        if (t == SHAPE_CLOSE) {
            if (depth-- == 0)
                return false;
            continue;
        }
        if (t >= n_columns || seen[t / 64] >> (t % 64) & 1)
            return false;
        seen[t / 64] |= (uint64_t)1 << (t % 64);
        struct str path = column[t].path;
        uint32_t segments = path.n != 0;
        for (size_t k = 0; k < path.n; k++)
            segments += path.p[k] == PATH_SEP;
        if (segments != depth + (path.n != 0))
            return false;
    }
    return depth == 0;
}

static enum err read_columns(struct reader *r, uint32_t n, struct arena *a, struct dir *d)
{
    struct dir_column *c = ARENA_TRY_ARRAY(a, struct dir_column, n + 1);
    if (!c)
        return err_set(ERR_NOMEM, "no memory for %u columns", n);
    memset(c, 0, sizeof(*c) * n);
    TRY(strings_read(r, c, sizeof(*c), n, offsetof(struct dir_column, path), a));
    TRY(members_read(r, c, sizeof(*c), n, column_members, N_MEMBERS(column_members), a));
    for (uint32_t i = 0; i < n; i++) {
        if (c[i].lane >= LANE_COUNT ||
            (c[i].path.n ? !path_valid(c[i].path) : c[i].lane != LANE_JSON))
            return corrupt("bad column");
        c[i].name_hash = path_name_hash(c[i].path);
    }
    d->column = c;
    d->n_columns = n;
    return OK;
}

static enum err read_shapes(struct reader *r, uint32_t n, uint32_t n_tokens, struct arena *a,
                            struct dir *d)
{
    struct shape *s = ARENA_TRY_ARRAY(a, struct shape, n + 1);
    uint32_t *token = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n_tokens + 1);
    if (!s || !token)
        return err_set(ERR_NOMEM, "no memory for %u shapes", n);
    TRY(members_read(r, s, sizeof(*s), n, shape_members, 1, a));
    TRY(members_read(r, token, 4, n_tokens, u32_members, 1, a));
    for (uint32_t i = 0; i < n_tokens; i++)
        token[i] = token[i] == 0 ? SHAPE_CLOSE : token[i] == 1 ? SHAPE_OPEN : token[i] - 2;
    uint32_t at = 0;
    struct arena tmp;
    arena_init(&tmp, 0, NULL);
    bool good = true;
    for (uint32_t i = 0; i < n && good; i++) {
        good = s[i].n <= n_tokens - at;
        s[i].token = token + at;
        good = good && shape_valid(&s[i], d->column, d->n_columns, &tmp);
        at += good ? s[i].n : 0;
        arena_reset(&tmp);
    }
    arena_release(&tmp);
    d->shape = s;
    d->n_shapes = n;
    return good && at == n_tokens ? OK : corrupt("bad shape");
}

static bool place_in(const struct dir_place *p, const struct dir_block *b)
{
    return (uint64_t)p->offset + p->length <= b->length;
}

static bool block_good(const struct dir_block *b, uint64_t tail_at)
{
    if (b->rows == 0 || b->rows > BLOCK_ROWS_MAX || b->time_min > b->time_max || b->n_shapes == 0 ||
        b->n_shapes > BLOCK_ROWS_MAX || b->position_min > b->position_max)
        return false;
    if (b->offset < SEGMENT_HEADER_BYTES || b->offset > tail_at || b->length > tail_at - b->offset)
        return false;
    return place_in(&b->time, b) && b->time.length && place_in(&b->origin, b) && b->origin.length &&
           place_in(&b->shape_of, b) && (b->n_shapes > 1) == (b->shape_of.length > 0) &&
           place_in(&b->flags, b) && place_in(&b->rare, b);
}

static bool fields_good(const struct dir_block *b, const struct dir *d)
{
    bool rare = false;
    for (uint32_t i = 0; i < b->n_fields; i++) {
        const struct dir_field *f = &b->field[i];
        if (f->column >= d->n_columns || (i && f->column <= f[-1].column) || f->n == 0 ||
            f->n > b->rows || f->chunk.length == 0 || !place_in(&f->filter, b) ||
            f->stats.scale > 18 || f->stats.min > f->stats.max)
            return false;
        if (!f->rare && !place_in(&f->chunk, b))
            return false;
        rare |= f->rare;
    }
    for (uint32_t i = 0; i < b->n_shapes; i++)
        if (b->shape[i] >= d->n_shapes)
            return false;
    return rare == (b->rare.length > 0);
}

static enum err read_blocks(struct reader *r, uint32_t n, uint32_t n_shapes, uint32_t n_fields,
                            uint64_t tail_at, struct arena *a, struct dir *d)
{
    struct dir_block *b = ARENA_TRY_ARRAY(a, struct dir_block, n + 1);
    uint32_t *shape = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n_shapes + 1);
    struct dir_field *field = ARENA_TRY_ARRAY(a, struct dir_field, (size_t)n_fields + 1);
    if (!b || !shape || !field)
        return err_set(ERR_NOMEM, "no memory for %u blocks", n);
    memset(b, 0, sizeof(*b) * n);
    memset(field, 0, sizeof(*field) * n_fields);
    TRY(members_read(r, b, sizeof(*b), n, block_members, N_MEMBERS(block_members), a));
    TRY(members_read(r, shape, 4, n_shapes, u32_members, 1, a));
    TRY(members_read(r, field, sizeof(*field), n_fields, field_members, N_MEMBERS(field_members),
                     a));
    d->block = b;
    d->n_blocks = n;
    uint32_t shapes = 0, fields = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!block_good(&b[i], tail_at) || b[i].n_shapes > n_shapes - shapes ||
            b[i].n_fields > n_fields - fields)
            return corrupt("bad block");
        b[i].shape = shape + shapes;
        b[i].field = field + fields;
        shapes += b[i].n_shapes;
        fields += b[i].n_fields;
        if (!fields_good(&b[i], d))
            return corrupt("bad column of a block");
    }
    return shapes == n_shapes && fields == n_fields ? OK : corrupt("blocks do not add up");
}

enum err segment_tail_read(struct str bytes, uint64_t at, struct arena *a, struct seg_tail *ret)
{
    struct reader r = reader_of(bytes);
    struct str magic = read_bytes(&r, 8), body;
    uint64_t sum = read_u64(&r);
    if (r.bad || !str_eq_c(magic, SEGMENT_TAIL_MAGIC))
        return corrupt("it does not start as one");
    if (sum != hash64(str_from(bytes, 16)))
        return corrupt("bad checksum");
    struct seg_tail t = {.stream_id = read_u64(&r), .day = (int64_t)read_u64(&r)};
    TRY(zipped_read(&r, a, &body));
    if (reader_left(&r))
        return corrupt("bytes left over");
    r = reader_of(body);
    t.org = read_lstr(&r);
    t.stream = read_lstr(&r);
    uint32_t n[6];
    for (unsigned i = 0; i < N_MEMBERS(n); i++) {
        uint64_t v = read_varint(&r);
        if (v > COUNT_MAX)
            return corrupt("too many items");
        n[i] = (uint32_t)v;
    }
    TRY(read_columns(&r, n[0], a, &t.dir));
    TRY(read_shapes(&r, n[1], n[2], a, &t.dir));
    TRY(read_blocks(&r, n[3], n[4], n[5], at, a, &t.dir));
    if (r.bad || reader_left(&r))
        return corrupt("bytes left over");
    *ret = t;
    return OK;
}
