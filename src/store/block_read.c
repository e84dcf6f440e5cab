/* Rows over an encoded block, in memory or in a file.
 *
 * Opening reads nothing but the directory; a chunk is loaded when its column (or the times, shapes,
 * origin) is first asked for, and stays for the life of the arena. Chunks of files come through the
 * chunk cache; what comes from disk is checked against its checksum before it enters the cache, so
 * a hit needs no check.
 *
 * What the directory says was checked when it was read; what chunks say is checked here: so many
 * values as the directory says, shape numbers below the number of shapes, and each column as many
 * values as the shapes of the rows say it has. Nobody above needs to doubt them again. */
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/template_cut.h"
#include "store/block_dir.h"
#include "store/chunk_cache.h"
#include "store/encoding_ops.h"
#include "store/filter_probe.h"
#include "store/patterns.h"
#include "store/tally.h"

#include <stdio.h>

struct opened_column {
    struct opened *block;
    const struct dir_field *field;
    uint32_t number; /* of the block's columns */
    bool loaded;
    struct chunk chunk;
    const int64_t *time; /* of the values' rows, once asked for */
};
struct opened {
    const struct dir *dir;
    const struct dir_block *block;
    const struct block_source *from;
    struct rows rows; /* our own copy: the caller may move his */
    struct arena *arena;
    uint64_t *bytes_read;
    const int64_t *time; /* once asked for */
    const uint16_t *shape_of;
    struct origin_run *run;
    uint32_t n_runs;
    struct opened_column *column;
    struct str rare; /* decompressed, once asked for */
    struct chunk rare_chunk;
};

/* ---- bytes ---- */

static void unref_blob(void *b)
{
    blob_unref(b);
}

static enum err corrupt_at(const struct opened *o, struct dir_place p, const char *what)
{
    return err_set(ERR_CORRUPT, "%s: %s at byte %llu, %u bytes",
                   o->from->path ? o->from->path : "block in memory", what,
                   (unsigned long long)(o->block->offset + p.offset), p.length);
}

static enum err check_place(const struct opened *o, struct dir_place p, bool filter, uint32_t sum,
                            struct str s)
{
    bool good = filter ? (uint32_t)hash64(s) == sum : chunk_sum_ok(s);
    return good ? OK
                : corrupt_at(o, p, filter ? "bad checksum of a filter" : "bad checksum of a chunk");
}

static enum err read_file_place(const struct opened *o, struct dir_place p, bool filter,
                                uint32_t sum, struct blob **ret)
{
    uint64_t at = o->block->offset + p.offset;
    char *to = mem_alloc(p.length);
    enum err err = io_pread(o->from->fd, to, p.length, at);
    if (err == OK)
        err = check_place(o, p, filter, sum, str_of(to, p.length));
    else if (err == ERR_EOF)
        err = corrupt_at(o, p, "the file ends within a chunk");
    if (err != OK) {
        mem_free(to);
        return err;
    }
    *ret = blob_take(to, p.length, OWNER_CACHE);
    return OK;
}

/* Verified bytes that live as long as the arena. */
static enum err load_place(struct opened *o, struct dir_place p, bool filter, uint32_t sum,
                           struct str *ret)
{
    if (o->bytes_read)
        *o->bytes_read += p.length;
    if (o->from->bytes.p) {
        CHECK((uint64_t)p.offset + p.length <= o->from->bytes.n);
        *ret = str_of(o->from->bytes.p + p.offset, p.length);
        return OK;
    }
    struct chunk_key key = {o->from->segment, o->block->offset + p.offset, 0};
    struct blob *b = key.segment ? chunk_cache_get(&key) : NULL;
    if (b && b->bytes.n != p.length) {
        blob_unref(b);
        b = NULL;
    }
    if (!b) {
        TRY(read_file_place(o, p, filter, sum, &b));
        if (key.segment)
            chunk_cache_put(&key, b);
    }
    arena_defer(o->arena, unref_blob, b);
    *ret = b->bytes;
    return OK;
}

static void set_cache_key(const struct opened *o, struct dir_place p, struct chunk *c)
{
    if (!o->from->bytes.p) {
        c->cache_segment = o->from->segment;
        c->cache_offset = o->block->offset + p.offset;
    }
}

static enum err load_rare(struct opened *o, struct str *ret)
{
    if (!o->rare.p) {
        struct str bytes;
        uint32_t n = 0;
        for (uint32_t i = 0; i < o->block->n_fields; i++)
            n += o->block->field[i].rare;
        TRY(load_place(o, o->block->rare, false, 0, &bytes));
        TRY(chunk_open_as(bytes, CHUNK_TRUSTED, ENC_RARE, n, o->arena, &o->rare_chunk));
        set_cache_key(o, o->block->rare, &o->rare_chunk);
        TRY(chunk_part_bytes(&o->rare_chunk, 0, &o->rare));
    }
    *ret = o->rare;
    return OK;
}

/* Names the column in the text of an error. */
static enum err in_column(const struct opened_column *c, enum err err)
{
    struct str path = c->block->dir->column[c->field->column].path;
    char name[64];
    size_t n = path.n < sizeof(name) ? path.n : sizeof(name);
    for (size_t i = 0; i < n; i++)
        name[i] = path.p[i] == PATH_SEP ? '.' : path.p[i];
    char was[200];
    snprintf(was, sizeof(was), "%s", err_text());
    if (err != ERR_CORRUPT)
        return err;
    const char *file = c->block->from->path;
    return err_set(err, "%s block at byte %llu, column %.*s: %s", file ? file : "memory",
                   (unsigned long long)c->block->block->offset, (int)n, name, was);
}

static enum err values_time(void *ctx, const int64_t **ret);
static const struct chunk_rows values_rows;

static enum err load_chunk(struct opened_column *c)
{
    struct opened *o = c->block;
    const struct dir_field *f = c->field;
    enum lane lane = o->dir->column[f->column].lane;
    struct str bytes;
    if (f->rare) {
        TRY(load_rare(o, &bytes));
        if ((uint64_t)f->chunk.offset + f->chunk.length > bytes.n)
            return err_set(ERR_CORRUPT, "rare values end early");
        bytes = str_of(bytes.p + f->chunk.offset, f->chunk.length);
        TRY(chunk_open(bytes, CHUNK_SMALL, lane, f->n, o->arena, &c->chunk));
    } else {
        TRY(load_place(o, f->chunk, false, 0, &bytes));
        TRY(chunk_open(bytes, CHUNK_TRUSTED, lane, f->n, o->arena, &c->chunk));
        set_cache_key(o, f->chunk, &c->chunk);
    }
    if (c->chunk.encoding != f->stats.encoding)
        return err_set(ERR_CORRUPT, "encoding %u instead of %u", c->chunk.encoding,
                       f->stats.encoding);
    c->chunk.time = values_time;
    c->chunk.rows = &values_rows;
    c->chunk.time_ctx = c;
    c->loaded = true;
    return OK;
}

static enum err chunk_of(const struct column *col, const struct chunk **ret)
{
    struct opened_column *c = (struct opened_column *)col->impl;
    if (!c->loaded) {
        enum err err = load_chunk(c);
        if (err != OK)
            return in_column(c, err);
    }
    *ret = &c->chunk;
    return OK;
}

enum err block_dir_chunk(const struct column *col, const struct chunk **ret)
{
    return chunk_of(col, ret);
}

/* The times of the rows that have the column. */
static enum err values_time(void *ctx, const int64_t **ret)
{
    struct opened_column *c = ctx;
    struct rows *rows = &c->block->rows;
    if (!c->time) {
        struct presence p;
        const int64_t *time;
        TRY(rows_time(rows, &time));
        TRY(rows_presence(rows, c->number, &p));
        c->time = time;
        if (!p.all) {
            int64_t *to = ARENA_TRY_ARRAY(c->block->arena, int64_t, c->field->n);
            if (!to)
                return err_set(ERR_NOMEM, "no memory for %u times", c->field->n);
            uint32_t k = 0;
            for (uint32_t i = 0; i < rows->n && k < c->field->n; i++)
                if (presence_has(&p, i))
                    to[k++] = time[i];
            c->time = to;
        }
    }
    *ret = c->time;
    return OK;
}

/* ---- other columns of the same rows ---- */

static struct opened_column *find_column(const struct opened *o, const struct ref_name *name)
{
    for (uint32_t i = 0; i < o->rows.n_columns; i++) {
        const struct column *c = &o->rows.columns[i];
        if (c->lane == name->lane && c->occ == name->occ && str_eq(c->path, name->path))
            return &o->column[i];
    }
    return NULL;
}

/* The rows that have a column; those of its values at n positions (pos NULL: of all n). */
static enum err rows_of_values(const struct opened_column *c, const uint32_t *pos, uint32_t n,
                               uint32_t *to)
{
    struct presence p;
    TRY(rows_presence(&c->block->rows, c->number, &p));
    if (p.all) {
        for (uint32_t i = 0; i < n; i++)
            to[i] = pos ? pos[i] : i;
        return OK;
    }
    uint32_t k = 0, value = 0;
    for (uint32_t row = 0; row < c->block->rows.n && k < n; row++) {
        if (!presence_has(&p, row))
            continue;
        if (!pos || pos[k] == value)
            to[k++] = row;
        value++;
    }
    return k == n ? OK : err_set(ERR_CORRUPT, "a column lacks values");
}

static enum err find_referred(struct opened_column *c, const struct ref_name *name,
                              struct opened_column **ret)
{
    struct opened_column *other = find_column(c->block, name);
    if (!other || other->field->stats.encoding == ENC_REFS)
        return err_set(ERR_CORRUPT, "a reference to a column that cannot be");
    if (!other->loaded)
        TRY(load_chunk(other));
    *ret = other;
    return OK;
}

/* Of the values at n positions each one's number in another column. */
static enum err numbers_in(struct opened_column *c, const struct opened_column *other,
                           const uint32_t *pos, uint32_t n, struct arena *a, uint32_t **ret)
{
    struct presence p;
    uint32_t *at = ARENA_TRY_ARRAY(a, uint32_t, n);
    if (!at)
        return err_set(ERR_NOMEM, "no memory for %u references", n);
    TRY(rows_presence(&c->block->rows, other->number, &p));
    TRY(rows_of_values(c, pos, n, at));
    for (uint32_t i = 0; i < n; i++)
        at[i] = presence_has(&p, at[i]) ? presence_rank(&p, at[i]) : UINT32_MAX;
    *ret = at;
    return OK;
}

static enum err values_refer(void *ctx, const struct ref_name *name, const uint32_t *pos,
                             uint32_t n, struct arena *a, struct values *ret,
                             const uint32_t **ret_at)
{
    struct opened_column *other = NULL;
    uint32_t *at = NULL, *want = ARENA_TRY_ARRAY(a, uint32_t, n), found = 0;
    if (!want)
        return err_set(ERR_NOMEM, "no memory for %u references", n);
    TRY(find_referred(ctx, name, &other));
    TRY(numbers_in(ctx, other, pos, n, a, &at));
    *ret_at = at;
    if (!pos)
        return chunk_values(&other->chunk, a, ret);
    for (uint32_t i = 0; i < n; i++)
        if (at[i] != UINT32_MAX) {
            want[found] = at[i];
            at[i] = found++;
        }
    *ret = (struct values){.lane = other->chunk.lane};
    return found ? chunk_get(&other->chunk, want, found, a, ret) : OK;
}

static bool column_may_match(const struct column *col, const struct predicate *p);

static enum err values_match(void *ctx, const struct ref_name *name, const struct predicate *p,
                             struct arena *a, uint64_t *bits)
{
    struct opened_column *c = ctx, *other = NULL;
    uint32_t *at = NULL;
    TRY(find_referred(c, name, &other));
    if (!column_may_match(&c->block->rows.columns[other->number], p))
        return OK;
    uint64_t *its = bitmap_new(a, other->field->n);
    TRY(chunk_match(&other->chunk, p, a, its));
    if (!bitmap_any(its, other->field->n))
        return OK;
    TRY(numbers_in(c, other, NULL, c->field->n, a, &at));
    for (uint32_t i = 0; i < c->field->n; i++)
        if (at[i] != UINT32_MAX && bitmap_get(its, at[i]))
            bitmap_set(bits, i);
    return OK;
}

static const struct chunk_rows values_rows = {values_refer, values_match};

/* ---- column operations ---- */

static enum err column_values(const struct column *col, struct arena *a, struct values *ret)
{
    const struct chunk *c = NULL;
    TRY(chunk_of(col, &c));
    enum err err = chunk_values(c, a, ret);
    return err == OK ? OK : in_column(col->impl, err);
}

static enum err column_get(const struct column *col, const uint32_t *pos, uint32_t n,
                           struct arena *a, struct values *ret)
{
    const struct chunk *c = NULL;
    TRY(chunk_of(col, &c));
    enum err err = chunk_get(c, pos, n, a, ret);
    return err == OK ? OK : in_column(col->impl, err);
}

static enum err column_json(const struct column *col, uint32_t from, uint32_t n, struct arena *a,
                            struct json_texts **ret)
{
    const struct chunk *c = NULL;
    TRY(chunk_of(col, &c));
    enum err err = chunk_json(c, from, n, a, ret);
    return err == OK || err == ERR_UNSUPPORTED ? err : in_column(col->impl, err);
}

static enum err column_patterns(const struct column *col, struct arena *a,
                                struct values *ret_pattern, const uint32_t **ret_code,
                                struct pattern_sums *ret_sums);

/* Values by the pattern of their code; what values have none is found out without the codes. */
static enum err match_pattern(const struct column *col, const struct predicate *p, struct arena *a,
                              uint64_t *bits)
{
    struct values pattern;
    const uint32_t *code = NULL;
    bool any = false;
    TRY(column_patterns(col, a, &pattern, NULL, NULL));
    uint8_t *is = ARENA_TRY_ARRAY(a, uint8_t, pattern.n);
    if (!is)
        return err_set(ERR_NOMEM, "no memory for %u patterns", pattern.n);
    for (uint32_t i = 0; i < pattern.n; i++) {
        is[i] = template_id(values_text(&pattern, i)) == p->pattern;
        any |= is[i];
    }
    if (!any)
        return OK;
    TRY(column_patterns(col, a, &pattern, &code, NULL));
    for (uint32_t i = 0; i < col->n; i++)
        bits[i >> 6] |= (uint64_t)is[code[i]] << (i & 63);
    return OK;
}

static enum err column_match(const struct column *col, const struct predicate *p, struct arena *a,
                             uint64_t *bits)
{
    const struct chunk *c = NULL;
    if (p->kind == PRED_EXISTS) {
        if (col->lane != LANE_NULL)
            bitmap_fill(bits, col->n);
        return OK;
    }
    if (!column_may_match(col, p))
        return OK;
    if (p->kind == PRED_PATTERN) {
        enum err is = match_pattern(col, p, a, bits);
        if (is != ERR_UNSUPPORTED)
            return is;
    }
    TRY(chunk_of(col, &c));
    enum err err = chunk_match(c, p, a, bits);
    return err == OK ? OK : in_column(col->impl, err);
}

/* A filter that cannot be read prunes nothing: the column's own chunk decides. */
static bool filter_may_match(const struct opened_column *c, enum lane lane,
                             const struct predicate *p)
{
    struct str filter;
    const struct opened *o = c->block;
    const struct dir_field *f = c->field;
    if (!o->from->filters || !f->filter.length || !predicate_needs_words(p, lane))
        return true;
    if (!o->from->bytes.p && o->from->segment && f->filter.length > FILTER_WHOLE_MAX) {
        struct filter_place at = {o->from->fd, o->from->segment,
                                  o->block->offset + f->filter.offset, f->filter.length,
                                  f->filter_sum};
        return filter_probe(&at, p->word_hash, p->n_words, o->bytes_read);
    }
    if (load_place(c->block, f->filter, true, f->filter_sum, &filter) != OK)
        return true;
    return block_filter_may_match(filter, lane, p);
}

static bool column_may_match(const struct column *col, const struct predicate *p)
{
    const struct opened_column *c = col->impl;
    const struct chunk_stats *s = &c->field->stats;
    if (p->kind == PRED_EXISTS)
        return col->lane != LANE_NULL;
    if (col->lane == LANE_INT && s->has_range)
        return predicate_may_match_ints(p, s->min, s->max);
    if (col->lane == LANE_DEC && s->has_range)
        return predicate_may_match_decimals(p, s->min, s->max, s->scale);
    return filter_may_match(c, col->lane, p);
}

static enum err column_codes(const struct column *col, struct arena *a, struct values *ret_dict,
                             const uint32_t **ret_code)
{
    const struct chunk *c = NULL;
    TRY(chunk_of(col, &c));
    enum err err = chunk_codes(c, a, ret_dict, ret_code);
    return err == OK || err == ERR_UNSUPPORTED ? err : in_column(col->impl, err);
}

static enum err column_tally(const struct column *col, struct arena *a, struct values *ret_dict,
                             const uint32_t **ret_count)
{
    const struct opened_column *c = col->impl;
    const struct opened *o = c->block;
    struct chunk_key key = {0};
    if (!o->from->bytes.p && !c->field->rare)
        key = (struct chunk_key){o->from->segment, o->block->offset + c->field->chunk.offset, 0};
    return tally_of(col, &key, a, ret_dict, ret_count);
}

static enum err column_patterns(const struct column *col, struct arena *a,
                                struct values *ret_pattern, const uint32_t **ret_code,
                                struct pattern_sums *ret_sums)
{
    const struct opened_column *oc = col->impl;
    const struct opened *o = oc->block;
    const struct chunk *c = NULL;
    struct chunk_key key = {0};
    if (!lane_is_text(col->lane))
        return ERR_UNSUPPORTED;
    if (!o->from->bytes.p && !oc->field->rare)
        key = (struct chunk_key){o->from->segment, o->block->offset + oc->field->chunk.offset, 0};
    TRY(chunk_of(col, &c));
    enum err err = patterns_of(c, &key, a, ret_pattern, ret_code, ret_sums);
    return err == OK || err == ERR_UNSUPPORTED ? err : in_column(oc, err);
}

static const struct column_ops block_column_ops = {
    .values = column_values,
    .get = column_get,
    .json = column_json,
    .match = column_match,
    .may_match = column_may_match,
    .codes = column_codes,
    .tally = column_tally,
    .patterns = column_patterns,
};

/* ---- rows operations ---- */

static enum err load_ints(struct opened *o, struct dir_place p, const int64_t **ret)
{
    struct str bytes;
    struct chunk c;
    struct values v;
    TRY(load_place(o, p, false, 0, &bytes));
    TRY(chunk_open(bytes, CHUNK_TRUSTED, LANE_INT, o->block->rows, o->arena, &c));
    set_cache_key(o, p, &c);
    TRY(chunk_values(&c, o->arena, &v));
    *ret = v.i64;
    return OK;
}

static enum err block_time(struct rows *r, const int64_t **ret)
{
    struct opened *o = r->impl;
    if (!o->time)
        TRY(load_ints(o, o->block->time, &o->time));
    *ret = o->time;
    return OK;
}

/* Each column must have as many values as there are rows of shapes that hold it. */
static enum err check_counts(struct opened *o, const uint32_t *rows_of)
{
    const struct rows *r = &o->rows;
    uint64_t *count = ARENA_TRY_ARRAY(o->arena, uint64_t, r->n_columns + 1);
    if (!count)
        return err_set(ERR_NOMEM, "no memory for %u columns", r->n_columns);
    memset(count, 0, sizeof(*count) * r->n_columns);
    for (uint32_t s = 0; s < r->n_shapes; s++)
        for (uint32_t t = 0; t < r->shapes[s].n; t++)
            if (r->shapes[s].token[t] < r->n_columns)
                count[r->shapes[s].token[t]] += rows_of[s];
    for (uint32_t c = 0; c < r->n_columns; c++)
        if (count[c] != r->columns[c].n)
            return corrupt_at(o, o->block->shape_of, "shapes and columns disagree");
    return OK;
}

/* What is worked out of a block's shapes is kept where there are many: then each search would spend
 * more on that than on its rows. */
enum shape_part { KEPT_NUMBERED, KEPT_SHAPE_OF };
enum { SHAPES_MANY = 64 };

static struct chunk_key kept_key(const struct opened *o, enum shape_part part)
{
    return (struct chunk_key){o->from->segment, o->block->offset, ((uint64_t)1 << 62) + part};
}

static bool keeps_shapes(const struct opened *o)
{
    return o->from->segment && !o->from->bytes.p && o->block->n_shapes >= SHAPES_MANY;
}

/* NULL: it is not there. */
static const void *kept_get(struct opened *o, enum shape_part part)
{
    struct chunk_key key = kept_key(o, part);
    struct blob *b = keeps_shapes(o) ? chunk_cache_get(&key) : NULL;
    if (!b)
        return NULL;
    arena_defer(o->arena, unref_blob, b);
    return b->bytes.p;
}

/* Takes over p, which lives as long as the arena from now on. */
static void kept_put(struct opened *o, enum shape_part part, void *p, size_t n)
{
    struct chunk_key key = kept_key(o, part);
    struct blob *b = blob_take(p, n, OWNER_CACHE);
    chunk_cache_put(&key, b);
    arena_defer(o->arena, unref_blob, b);
}

static enum err make_shape_of(struct opened *o, const uint16_t **ret)
{
    const struct rows *r = &o->rows;
    const int64_t *code;
    TRY(load_ints(o, o->block->shape_of, &code));
    uint16_t *to = ARENA_TRY_ARRAY(o->arena, uint16_t, r->n);
    uint32_t *rows_of = ARENA_TRY_ARRAY(o->arena, uint32_t, r->n_shapes);
    if (!to || !rows_of)
        return err_set(ERR_NOMEM, "no memory for the shapes of %u rows", r->n);
    memset(rows_of, 0, sizeof(*rows_of) * r->n_shapes);
    for (uint32_t i = 0; i < r->n; i++) {
        if ((uint64_t)code[i] >= r->n_shapes)
            return corrupt_at(o, o->block->shape_of, "a shape that is not there");
        to[i] = (uint16_t)code[i];
        rows_of[to[i]]++;
    }
    TRY(check_counts(o, rows_of));
    if (keeps_shapes(o)) {
        uint16_t *kept = mem_alloc(r->n * sizeof(*kept));
        memcpy(kept, to, r->n * sizeof(*kept));
        kept_put(o, KEPT_SHAPE_OF, kept, r->n * sizeof(*kept));
    }
    *ret = to;
    return OK;
}

static enum err block_shape_of(struct rows *r, const uint16_t **ret)
{
    struct opened *o = r->impl;
    if (!o->shape_of)
        o->shape_of = kept_get(o, KEPT_SHAPE_OF);
    if (!o->shape_of)
        TRY(make_shape_of(o, &o->shape_of));
    *ret = o->shape_of;
    return OK;
}

static enum err block_origin(struct rows *r, const struct origin_run **ret, uint32_t *ret_n)
{
    struct opened *o = r->impl;
    if (!o->run) {
        struct str bytes;
        TRY(load_place(o, o->block->origin, false, 0, &bytes));
        TRY(origin_decode(bytes, r->n, o->arena, &o->run, &o->n_runs));
    }
    *ret = o->run;
    *ret_n = o->n_runs;
    return OK;
}

static enum err block_flags(struct rows *r, const uint8_t **ret)
{
    struct opened *o = r->impl;
    const int64_t *v;
    if (!o->block->flags.length)
        return OK;
    TRY(load_ints(o, o->block->flags, &v));
    uint8_t *flags = ARENA_TRY_ARRAY(o->arena, uint8_t, r->n);
    if (!flags)
        return err_set(ERR_NOMEM, "no memory for the flags of %u rows", r->n);
    for (uint32_t i = 0; i < r->n; i++)
        flags[i] = (uint8_t)v[i];
    *ret = flags;
    return OK;
}

static const struct rows_ops block_rows_ops = {
    .time = block_time, .shape_of = block_shape_of, .origin = block_origin, .flags = block_flags};

/* ---- opening ---- */

static enum err no_memory(const struct dir_block *b)
{
    return err_set(ERR_NOMEM, "no memory for a block of %u columns", b->n_fields);
}

static enum err open_columns(struct opened *o, struct rows *r)
{
    const struct dir_block *b = o->block;
    struct column *column = ARENA_TRY_ARRAY(o->arena, struct column, b->n_fields + 1);
    o->column = ARENA_TRY_ARRAY(o->arena, struct opened_column, b->n_fields + 1);
    if (!column || !o->column)
        return no_memory(b);
    for (uint32_t i = 0; i < b->n_fields; i++) {
        const struct dir_column *d = &o->dir->column[b->field[i].column];
        o->column[i] = (struct opened_column){.block = o, .field = &b->field[i], .number = i};
        column[i] = (struct column){.path = d->path,
                                    .name_hash = d->name_hash,
                                    .occ = d->occ,
                                    .lane = d->lane,
                                    .n = b->field[i].n,
                                    .ops = &block_column_ops,
                                    .impl = &o->column[i]};
    }
    r->columns = column;
    r->n_columns = b->n_fields;
    return OK;
}

static bool same_numbers(const struct opened *o)
{
    const struct dir_block *b = o->block;
    bool same = b->n_fields == o->dir->n_columns && b->n_shapes == o->dir->n_shapes;
    for (uint32_t i = 0; same && i < b->n_fields; i++)
        same = b->field[i].column == i;
    for (uint32_t i = 0; same && i < b->n_shapes; i++)
        same = b->shape[i] == i;
    return same;
}

static size_t shapes_bytes(const struct opened *o)
{
    size_t tokens = 0;
    for (uint32_t s = 0; s < o->block->n_shapes; s++)
        tokens += o->dir->shape[o->block->shape[s]].n;
    return o->block->n_shapes * sizeof(struct shape) + tokens * sizeof(uint32_t);
}

/* Puts the block's shapes at `to`, and their tokens behind them. */
static enum err number_shapes(const struct opened *o, struct shape *to)
{
    const struct dir_block *b = o->block;
    const struct dir *d = o->dir;
    uint32_t *token = (uint32_t *)(to + b->n_shapes);
    uint32_t *number = ARENA_TRY_ARRAY(o->arena, uint32_t, d->n_columns + 1);
    if (!number)
        return no_memory(b);
    memset(number, 0xff, sizeof(*number) * d->n_columns);
    for (uint32_t i = 0; i < b->n_fields; i++)
        number[b->field[i].column] = i;
    for (uint32_t s = 0; s < b->n_shapes; s++) {
        const struct shape *from = &d->shape[b->shape[s]];
        for (uint32_t t = 0; t < from->n; t++) {
            uint32_t c = from->token[t];
            token[t] = c < d->n_columns ? number[c] : c;
            if (c < d->n_columns && number[c] == UINT32_MAX)
                return err_set(ERR_CORRUPT, "a shape with a column that its block lacks");
        }
        to[s] = (struct shape){token, from->n};
        token += from->n;
    }
    return OK;
}

/* The directory's shapes number the directory's columns, the block's the block's. */
static enum err open_shapes(struct opened *o, struct rows *r)
{
    r->n_shapes = o->block->n_shapes;
    r->shapes = o->dir->shape;
    if (same_numbers(o))
        return OK;
    r->shapes = kept_get(o, KEPT_NUMBERED);
    if (r->shapes)
        return OK;
    size_t bytes = shapes_bytes(o);
    bool keep = keeps_shapes(o);
    struct shape *shape = keep ? mem_alloc(bytes) : arena_try_alloc(o->arena, bytes + 1);
    enum err err = shape ? number_shapes(o, shape) : no_memory(o->block);
    r->shapes = shape;
    if (keep && err == OK)
        kept_put(o, KEPT_NUMBERED, shape, bytes);
    else if (keep)
        mem_free(shape);
    return err;
}

/* NOLINTBEGIN(readability-non-const-parameter): bytes are counted while columns are read */
enum err block_dir_rows(const struct dir *d, uint32_t block, const struct block_source *from,
                        struct str stream, struct arena *arena, uint64_t *bytes_read,
                        struct rows *ret)
/* NOLINTEND(readability-non-const-parameter) */
{
    CHECK(block < d->n_blocks);
    struct opened *o = ARENA_TRY_ARRAY(arena, struct opened, 1);
    if (!o)
        return err_set(ERR_NOMEM, "no memory for a block");
    *o = (struct opened){.dir = d,
                         .block = &d->block[block],
                         .from = from,
                         .arena = arena,
                         .bytes_read = bytes_read};
    struct rows r = {.n = o->block->rows,
                     .ops = &block_rows_ops,
                     .impl = o,
                     .arena = arena,
                     .stream = stream,
                     .time_min = o->block->time_min,
                     .time_max = o->block->time_max,
                     .position_min = o->block->position_min,
                     .position_max = o->block->position_max};
    TRY(open_columns(o, &r));
    TRY(open_shapes(o, &r));
    o->rows = r;
    if (r.n_shapes == 1)
        TRY(check_counts(o, &r.n));
    *ret = r;
    return OK;
}

/* ---- verifying ---- */

static enum err verify_rows(struct rows *r)
{
    const int64_t *time;
    const uint16_t *shape_of;
    const uint8_t *flags;
    const struct origin_run *run;
    uint32_t n_runs;
    TRY(rows_time(r, &time));
    for (uint32_t i = 0; i < r->n; i++)
        if (time[i] < r->time_min || time[i] > r->time_max || (i && time[i] < time[i - 1]))
            return err_set(ERR_CORRUPT, "row %u: its time is out of order", i);
    TRY(rows_shape_of(r, &shape_of));
    TRY(rows_flags(r, &flags));
    return r->ops->origin(r, &run, &n_runs);
}

static enum err verify_column(const struct column *col, struct arena *a)
{
    struct values v;
    struct str filter;
    struct opened_column *c = (struct opened_column *)col->impl;
    TRY(col->ops->values(col, a, &v));
    if (c->field->filter.length)
        TRY(load_place(c->block, c->field->filter, true, c->field->filter_sum, &filter));
    return OK;
}

static void put_problem(struct buf *problems, const char *where)
{
    buf_printf(problems, "%s: %s\n", where, err_text());
}

void block_dir_verify(const struct dir *d, uint32_t block, const struct block_source *from,
                      const char *where, struct buf *problems)
{
    struct arena a, tmp;
    struct rows r;
    arena_init(&a, 0, NULL);
    arena_init(&tmp, 0, NULL);
    if (block_dir_rows(d, block, from, STR(""), &a, NULL, &r) != OK) {
        put_problem(problems, where);
    } else {
        if (verify_rows(&r) != OK)
            put_problem(problems, where);
        for (uint32_t c = 0; c < r.n_columns; c++) {
            if (verify_column(&r.columns[c], &tmp) != OK)
                put_problem(problems, where);
            arena_reset(&tmp);
        }
    }
    arena_release(&a);
    arena_release(&tmp);
}
