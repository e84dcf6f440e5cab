/* The segment file, and its writer.
 *
 * All numbers are little-endian, places are absolute offsets in the file.
 *
 * HEADER, 32 bytes
 *    0   u8[8]  "WEIRSEG1"
 *    8   u16    version 1; u16 0; u32 0
 *   16   u64    segment id
 *   24   u64    XXH3-64 of the 24 bytes before
 *
 * SECTIONS, one behind another. Each is its blocks, back to back in total order of their first rows
 * (block.c), then its tail (segment_dir.c). Between sections there may be filters of client ids
 * (fuse.c).
 *
 * FOOTER, parts one behind another, each
 *    u16 tag (bit 15: a reader that does not know the tag must refuse the file), u32 length, bytes
 *
 *   1 identity (must)   u64 segment id, u32 level, i64 written at (ns), u64 smallest, u64 largest
 *                       queue position
 *   2 sections (must)   u32 stored length, u32 raw length (different: one zstd frame) of: varint
 *                       count; sequences of integers (ints.c) over all sections: stream id,
 *                       retention day, time min, time max, rows, raw bytes, offset of the first
 *                       block, offset of the tail, length of the tail, blocks; lengths and bytes of
 *                       the organizations' names; lengths and bytes of the streams' names
 *   3 client ids        varint count; sequences of offset, length and hash64 of the filters. Their
 *                       keys are hash64_seed(id, stream id). Without this part no record has an id
 *   4 words             version of the Unicode tables that the token filters were built with
 *   5 to 8              kept for delete sidecars (must), sums per column, shared dictionaries
 *                       (must), tiers
 *
 * TRAILER, the last 40 bytes
 *    0   u64    offset of the footer
 *    8   u32    length of the footer
 *   12   u16    version 1; u16 0
 *   16   u64    XXH3-64 of the footer
 *   24   u64    XXH3-64 of the 24 bytes before
 *   32   u8[8]  "WEIRSEG1"
 *
 * Every byte of the file is under a checksum. One read of the last 64 KiB normally brings the whole
 * footer; then a section costs one read of its tail, and a column of a block one read of its chunk.
 *
 * The writer appends to PATH.tmp through a buffer; the file gets its name when it is complete and
 * synced. It holds no more than one section's directory and about IDS_KEYS keys of client ids. */
#include "store/segment.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/words.h"
#include "store/fuse.h"
#include "store/segment_format.h"

#include <stdlib.h>

enum { OUT_FLUSH = 1 << 20, IDS_KEYS = 1 << 20 };

/* Numbers for things that have a hash: open addressing, number + 1. */
struct numbering {
    uint32_t *slot;
    uint64_t *hash; /* per number */
    uint32_t size, n, cap;
};
struct segment_writer {
    int fd;
    char *path, *tmp;
    uint64_t at; /* file offset behind what was given out, the buffer included */
    struct buf out;
    struct arena names; /* of sections, to the end */
    struct seg_footer footer;
    uint32_t cap_sections, cap_ids;
    /* The section begun: */
    bool open;
    struct arena arena;
    struct seg_section section;
    struct numbering columns, shapes;
    struct dir_column *column;
    struct shape *shape;
    struct dir_block *block;
    uint32_t cap_columns, cap_shapes, cap_blocks, n_blocks;
    uint64_t *key;
    uint32_t n_keys, cap_keys;
};

static enum err flush(struct segment_writer *w)
{
    TRY(io_pwrite(w->fd, w->out.p, w->out.n, w->at - w->out.n));
    buf_clear(&w->out);
    return OK;
}

static enum err put(struct segment_writer *w, struct str s)
{
    if (w->out.n + s.n > OUT_FLUSH)
        TRY(flush(w));
    if (s.n > OUT_FLUSH)
        TRY(io_pwrite(w->fd, s.p, s.n, w->at));
    else
        buf_put_str(&w->out, s);
    w->at += s.n;
    return OK;
}

enum err segment_writer_open(const char *path, uint64_t id, uint32_t level,
                             struct segment_writer **ret)
{
    CHECK(id);
    struct segment_writer *w = NEW(struct segment_writer);
    w->path = mem_strdup(str_c(path));
    w->tmp = mem_printf("%s.tmp", path);
    w->fd = -1;
    buf_init(&w->out, SIZE_MAX);
    arena_init(&w->names, 0, NULL);
    arena_init(&w->arena, 0, NULL);
    w->footer.id = id;
    w->footer.level = level;
    w->footer.words = str_c(words_version());
    enum err err = io_unlink(w->tmp);
    if (err == OK)
        err = io_open(w->tmp, IO_CREATE, &w->fd);
    if (err != OK) {
        segment_abort(w);
        return err;
    }
    segment_header_put(id, &w->out);
    w->at = w->out.n;
    *ret = w;
    return OK;
}

static void numbering_release(struct numbering *n)
{
    mem_free(n->slot);
    mem_free(n->hash);
    *n = (struct numbering){0};
}

static void writer_free(struct segment_writer *w)
{
    io_close(w->fd);
    buf_release(&w->out);
    arena_release(&w->names);
    arena_release(&w->arena);
    numbering_release(&w->columns);
    numbering_release(&w->shapes);
    mem_free(w->column);
    mem_free(w->shape);
    mem_free(w->block);
    mem_free(w->key);
    mem_free(w->footer.section);
    mem_free(w->footer.ids);
    mem_free(w->path);
    mem_free(w->tmp);
    mem_free(w);
}

void segment_abort(struct segment_writer *w)
{
    if (!w)
        return;
    /* What cannot be removed now is removed by the next start. */
    enum err ignored = w->fd >= 0 ? io_unlink(w->tmp) : OK;
    (void)ignored;
    writer_free(w);
}

/* ---- the section's directory ---- */

static void numbering_grow(struct numbering *t)
{
    t->size = t->size ? t->size * 2 : 64;
    mem_free(t->slot);
    t->slot = NEW_ARRAY(uint32_t, t->size);
    for (uint32_t i = 0; i < t->n; i++) {
        uint32_t at = (uint32_t)t->hash[i] & (t->size - 1);
        while (t->slot[at])
            at = (at + 1) & (t->size - 1);
        t->slot[at] = i + 1;
    }
}

/* The number of an item that `same` accepts, or a new one (*ret_new). */
static uint32_t numbering_find(struct numbering *t, uint64_t hash,
                               bool (*same)(const void *ctx, const void *item, uint32_t number),
                               const void *ctx, const void *item, bool *ret_new)
{
    if (t->n >= t->size / 2)
        numbering_grow(t);
    uint32_t at = (uint32_t)hash & (t->size - 1);
    for (; t->slot[at]; at = (at + 1) & (t->size - 1)) {
        uint32_t i = t->slot[at] - 1;
        if (t->hash[i] == hash && same(ctx, item, i)) {
            *ret_new = false;
            return i;
        }
    }
    ARRAY_GROW(t->hash, t->cap, t->n + 1);
    t->hash[t->n] = hash;
    t->slot[at] = ++t->n;
    *ret_new = true;
    return t->n - 1;
}

static void numbering_clear(struct numbering *t)
{
    t->n = 0;
    if (t->slot)
        memset(t->slot, 0, t->size * sizeof(*t->slot));
}

static bool same_column(const void *ctx, const void *item, uint32_t i)
{
    const struct dir_column *a = &((const struct segment_writer *)ctx)->column[i], *b = item;
    return a->lane == b->lane && a->occ == b->occ && str_eq(a->path, b->path);
}

static uint32_t column_number(struct segment_writer *w, const struct dir_column *c)
{
    bool fresh;
    uint64_t hash = hash64_seed(c->path, (uint64_t)c->occ << 8 | c->lane);
    uint32_t i = numbering_find(&w->columns, hash, same_column, w, c, &fresh);
    if (fresh) {
        ARRAY_GROW(w->column, w->cap_columns, i + 1);
        w->column[i] = *c;
        w->column[i].path = arena_str(&w->arena, c->path);
    }
    return i;
}

static bool same_shape(const void *ctx, const void *item, uint32_t i)
{
    const struct shape *a = &((const struct segment_writer *)ctx)->shape[i], *b = item;
    return a->n == b->n && (a->n == 0 || memcmp(a->token, b->token, a->n * sizeof(*a->token)) == 0);
}

static uint32_t shape_number(struct segment_writer *w, const struct shape *s,
                             const uint32_t *column, uint32_t n_columns)
{
    bool fresh;
    uint32_t *token = arena_alloc(&w->arena, s->n * sizeof(*token) + 1);
    for (uint32_t i = 0; i < s->n; i++)
        token[i] = s->token[i] < n_columns ? column[s->token[i]] : s->token[i];
    struct shape mine = {token, s->n};
    uint64_t hash = hash64(str_of((const char *)token, s->n * sizeof(*token)));
    uint32_t i = numbering_find(&w->shapes, hash, same_shape, w, &mine, &fresh);
    if (fresh) {
        ARRAY_GROW(w->shape, w->cap_shapes, i + 1);
        w->shape[i] = mine;
    }
    return i;
}

static int field_cmp(const void *a, const void *b)
{
    uint32_t x = ((const struct dir_field *)a)->column, y = ((const struct dir_field *)b)->column;
    return x < y ? -1 : x > y;
}

/* The block's directory in the section's numbers; a block's fields ascend by column in a file. */
static void add_to_directory(struct segment_writer *w, const struct dir *d)
{
    struct dir_block b = d->block[0];
    uint32_t *column = arena_alloc(&w->arena, d->n_columns * sizeof(*column) + 1);
    for (uint32_t i = 0; i < d->n_columns; i++)
        column[i] = column_number(w, &d->column[i]);
    uint32_t *shape = arena_alloc(&w->arena, b.n_shapes * sizeof(*shape) + 1);
    for (uint32_t i = 0; i < b.n_shapes; i++)
        shape[i] = shape_number(w, &d->shape[b.shape[i]], column, d->n_columns);
    struct dir_field *field = arena_alloc(&w->arena, b.n_fields * sizeof(*field) + 1);
    for (uint32_t i = 0; i < b.n_fields; i++) {
        field[i] = b.field[i];
        field[i].column = column[b.field[i].column];
    }
    qsort(field, b.n_fields, sizeof(*field), field_cmp);
    b.shape = shape;
    b.field = field;
    b.offset = w->at;
    ARRAY_GROW(w->block, w->cap_blocks, w->n_blocks + 1);
    w->block[w->n_blocks++] = b;
}

/* ---- client ids ---- */

static void add_id(struct segment_writer *w, struct str id)
{
    ARRAY_GROW(w->key, w->cap_keys, w->n_keys + 1);
    w->key[w->n_keys++] = hash64_seed(id, w->section.stream_id);
}

static enum err add_ids_of(struct segment_writer *w, const struct column *c, struct arena *a)
{
    struct values v;
    if (!lane_is_text((enum lane)c->lane) && c->lane != LANE_INT)
        return OK;
    TRY(c->ops->values(c, a, &v));
    struct buf text;
    buf_init(&text, 64);
    for (uint32_t i = 0; i < v.n; i++) {
        buf_clear(&text);
        if (c->lane == LANE_INT)
            buf_put_i64(&text, v.i64[i]);
        add_id(w, c->lane == LANE_INT ? buf_str(&text) : values_text(&v, i));
    }
    buf_release(&text);
    return OK;
}

static enum err add_ids(struct segment_writer *w, const struct block *b)
{
    static const struct str names[] = {{"log_id", 6}, {"_id", 3}};
    struct arena a;
    struct rows rows;
    arena_init(&a, 0, NULL);
    enum err err;
    TRY_OUT(block_rows_open(b, STR(""), &a, NULL, &rows));
    for (int k = 0; k < 2; k++)
        for (uint32_t c = 0; (c = rows_find(&rows, names[k], c)) != UINT32_MAX; c++)
            TRY_OUT(add_ids_of(w, &rows.columns[c], &a));
out:
    arena_release(&a);
    return err;
}

static enum err put_ids(struct segment_writer *w)
{
    if (!w->n_keys)
        return OK;
    struct arena a;
    struct buf filter;
    arena_init(&a, 0, NULL);
    buf_init(&filter, UINT32_MAX);
    enum err err = fuse_build(w->key, w->n_keys, &a, &filter);
    if (err == OK) {
        ARRAY_GROW(w->footer.ids, w->cap_ids, w->footer.n_ids + 1);
        w->footer.ids[w->footer.n_ids++] =
            (struct seg_ids){w->at, hash64(buf_str(&filter)), (uint32_t)filter.n};
        err = put(w, buf_str(&filter));
    }
    w->n_keys = 0;
    buf_release(&filter);
    arena_release(&a);
    return err;
}

/* ---- sections ---- */

enum err segment_begin_section(struct segment_writer *w, uint64_t stream_id, struct str org,
                               struct str stream, int64_t day)
{
    CHECK(!w->open);
    w->open = true;
    w->section = (struct seg_section){.stream_id = stream_id,
                                      .day = day,
                                      .org = arena_str(&w->names, org),
                                      .stream = arena_str(&w->names, stream),
                                      .offset = w->at,
                                      .time_min = INT64_MAX,
                                      .time_max = INT64_MIN};
    return OK;
}

enum err segment_add_block(struct segment_writer *w, const struct block *b)
{
    CHECK(w->open);
    const struct dir *d = block_dir(b);
    struct seg_section *s = &w->section;
    add_to_directory(w, d);
    TRY(put(w, block_chunk_bytes(b)));
    s->rows += d->block->rows;
    s->raw_bytes += d->block->raw_bytes;
    s->time_min = d->block->time_min < s->time_min ? d->block->time_min : s->time_min;
    s->time_max = d->block->time_max > s->time_max ? d->block->time_max : s->time_max;
    s->blocks++;
    return add_ids(w, b);
}

enum err segment_end_section(struct segment_writer *w)
{
    CHECK(w->open && w->n_blocks > 0);
    struct seg_section *s = &w->section;
    struct seg_tail tail = {
        .stream_id = s->stream_id, .day = s->day, .org = s->org, .stream = s->stream};
    tail.dir = (struct dir){w->column, w->shape, w->block, w->columns.n, w->shapes.n, w->n_blocks};
    struct buf b;
    buf_init(&b, UINT32_MAX);
    enum err err = segment_tail_put(&tail, &w->arena, &b);
    s->tail_offset = w->at;
    s->tail_length = (uint32_t)b.n;
    if (err == OK)
        err = put(w, buf_str(&b));
    buf_release(&b);
    TRY(err);
    ARRAY_GROW(w->footer.section, w->cap_sections, w->footer.n_sections + 1);
    w->footer.section[w->footer.n_sections++] = *s;
    numbering_clear(&w->columns);
    numbering_clear(&w->shapes);
    w->n_blocks = 0;
    arena_reset(&w->arena);
    w->open = false;
    return w->n_keys >= IDS_KEYS ? put_ids(w) : OK;
}

static void fill_row(const struct segment_writer *w, struct arena *a, struct catalog_segment *ret)
{
    const struct seg_footer *f = &w->footer;
    struct catalog_section *to = ARENA_ARRAY(a, struct catalog_section, f->n_sections + 1);
    for (uint32_t i = 0; i < f->n_sections; i++) {
        const struct seg_section *s = &f->section[i];
        to[i] = (struct catalog_section){.stream_id = s->stream_id,
                                         .day = s->day,
                                         .time_min = s->time_min,
                                         .time_max = s->time_max,
                                         .rows = s->rows,
                                         .raw_bytes = s->raw_bytes,
                                         .offset = s->tail_offset,
                                         .length = s->tail_length};
    }
    *ret = (struct catalog_segment){.id = f->id,
                                    .level = f->level,
                                    .bytes = w->at,
                                    .created_ns = f->created_ns,
                                    .position_min = f->position_min,
                                    .position_max = f->position_max,
                                    .section = to,
                                    .n_sections = f->n_sections};
}

static enum err finish(struct segment_writer *w)
{
    struct buf footer;
    buf_init(&footer, UINT32_MAX);
    TRY(put_ids(w));
    enum err err = segment_footer_put(&w->footer, w->at, &w->arena, &footer);
    if (err == OK)
        err = put(w, buf_str(&footer));
    buf_release(&footer);
    TRY(err);
    TRY(flush(w));
    TRY(io_sync(w->fd));
    TRY(io_rename(w->tmp, w->path));
    const char *slash = strrchr(w->path, '/');
    struct str dir =
        slash ? str_of(w->path, (size_t)(slash - w->path) + (slash == w->path)) : STR(".");
    char *folder = mem_strdup(dir);
    err = io_sync_dir(folder);
    mem_free(folder);
    return err;
}

enum err segment_finish(struct segment_writer *w, uint64_t position_min, uint64_t position_max,
                        struct arena *a, struct catalog_segment *ret)
{
    CHECK(!w->open);
    w->footer.position_min = position_min;
    w->footer.position_max = position_max;
    w->footer.created_ns = clock_now_ns();
    enum err err = finish(w);
    if (err != OK) {
        segment_abort(w);
        return err;
    }
    fill_row(w, a, ret);
    writer_free(w);
    return OK;
}
