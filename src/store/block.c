/* Encoding of blocks.
 *
 * A block's bytes, at places that its directory (block_dir.h, segment_dir.c) names:
 *
 *   columns   a chunk for each column that is not rare, in the order of the rows' columns
 *   rare      one chunk (ENC_RARE; so many values as there are rare columns) with one part: the
 *             small chunks of those columns back to back, one zstd over all
 *   times     a chunk of integers: nanoseconds, ascending
 *   shapes    a chunk of integers: a number of the block's shapes a row; absent with one shape
 *   origin    a chunk (block_origin.c)
 *   flags     a chunk of integers: enum row_flag a row; absent where none is set
 *   filters   token filters (block_filter.c, fuse.c), in the order of the columns
 *
 * Rows are in total order: (_time, partition, position, index). A column holds the values of the
 * rows that have it, in that order. Rows mostly come sorted or nearly so: an ascending run is found
 * in one pass, and a natural merge sort needs as many passes as runs ask for. Only when the order
 * changes are values gathered; else each column is encoded from where it lies.
 *
 * Columns of at most 64 values and 4 KiB, and all columns of blocks under 1,024 rows, are rare: one
 * zstd over all of them finds what they share, and one read fetches them. */
#include "core/hash.h"
#include "core/mem.h"
#include "store/block_dir.h"
#include "store/encoding_ops.h"

#include <stdatomic.h>
#include <stdlib.h>

enum {
    RARE_ROWS = 1024,
    RARE_VALUES = 64,
    RARE_BYTES = 4096,
    FILTER_SHARE = 10,    /* of the bytes of a column */
    FILTER_SHARE_IDS = 4, /* where every value is a word of its own, or stands elsewhere */
    WORDS_SHARE = 16,     /* of the bytes of the texts, for words gathered meanwhile */
    REFS_COLUMNS = 8,     /* looked at */
    REFS_SAMPLE = 1024,
    REFS_SAMPLE_QUICK = 512
};

struct block {
    _Atomic uint32_t refs;
    struct blob *blob;
    struct arena arena; /* the directory */
    size_t charged;     /* of the arena, to the blob's owner */
    struct dir dir;
    struct dir_block entry;
    uint64_t number;
};

/* Where the values of a column go. Columns that the same rows have share it, where they are
 * neighbours. */
struct places {
    const uint64_t *bits; /* of the presence */
    const uint32_t *pos; /* by value in the new order: where it is in the old one; NULL: the same */
    const int64_t *time; /* by value in the new order */
};

/* Everything about one encoding run. */
struct job {
    struct rows *rows;
    const struct block_options *o;
    struct arena *scratch; /* whole job */
    struct arena tmp;      /* one column */
    struct arena words;    /* the column's */
    struct buf out, rare, filters;
    uint32_t n;
    const int64_t *time; /* in the new order */
    uint32_t *order;     /* old row of each new one; NULL: unchanged */
    uint32_t *new_of;    /* the reverse; NULL: not asked for yet */
    struct places last;
    struct arena places;
    uint32_t n_rare;
    struct refs **refs;        /* of the columns held so; NULL: of none */
    struct ref_column **known; /* with refs, by column: what was asked for to find them */
    struct arena known_arena;
    struct block *block;
    struct dir_field *field;
};

/* ---- order ---- */

struct sort_key {
    int64_t time;
    uint32_t row;
};

static bool run_before(const struct origin_run *a, const struct origin_run *b)
{
    if (a->partition != b->partition)
        return a->partition < b->partition;
    if (a->position != b->position)
        return a->position < b->position;
    return a->index < b->index;
}

/* Merges neighbours [a, b) and [b, c); equal times keep their order. */
static void merge(const struct sort_key *from, uint32_t a, uint32_t b, uint32_t c,
                  struct sort_key *to)
{
    uint32_t i = a, k = b;
    for (uint32_t at = a; at < c; at++)
        to[at] = i < b && (k == c || from[i].time <= from[k].time) ? from[i++] : from[k++];
}

static struct sort_key *natural_sort(struct sort_key *key, struct sort_key *other, uint32_t n,
                                     uint32_t *start, uint32_t runs)
{
    while (runs > 1) {
        uint32_t kept = 0;
        for (uint32_t r = 0; r < runs; r += 2) {
            uint32_t a = start[r], b = r + 1 < runs ? start[r + 1] : n;
            uint32_t c = r + 2 < runs ? start[r + 2] : n;
            merge(key, a, b, c, other);
            start[kept++] = a;
        }
        struct sort_key *t = key;
        key = other;
        other = t;
        runs = kept;
    }
    return key;
}

static int run_cmp(const void *a, const void *b)
{
    const struct origin_run *x = a, *y = b;
    return run_before(x, y) ? -1 : run_before(y, x);
}

/* Old rows in the order of their origin. */
static void keys_by_origin(const struct origin_run *run, uint32_t n_runs, const int64_t *time,
                           uint32_t n, struct arena *a, struct sort_key *to)
{
    struct span {
        struct origin_run run; /* first, for run_cmp */
        uint32_t length;
    } *span = arena_alloc(a, n_runs * sizeof(*span));
    bool sorted = true;
    for (uint32_t i = 0; i < n_runs; i++) {
        span[i].run = run[i];
        span[i].length = (i + 1 < n_runs ? run[i + 1].row : n) - run[i].row;
        sorted &= i == 0 || !run_before(&run[i], &run[i - 1]);
    }
    if (!sorted)
        qsort(span, n_runs, sizeof(*span), run_cmp);
    uint32_t at = 0;
    for (uint32_t i = 0; i < n_runs; i++)
        for (uint32_t k = 0; k < span[i].length; k++, at++) {
            uint32_t row = span[i].run.row + k;
            to[at] = (struct sort_key){time[row], row};
        }
    CHECK(at == n);
}

static bool in_order(const struct origin_run *run, uint32_t n_runs, const int64_t *time, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        if (time[i] < time[i - 1])
            return false;
    for (uint32_t i = 1; i < n_runs; i++)
        if (run_before(&run[i], &run[i - 1]) && time[run[i].row] == time[run[i].row - 1])
            return false; /* maybe fine further apart, but not worth a look */
    return true;
}

static void order_rows(struct job *j, const int64_t *time, const struct origin_run *run,
                       uint32_t n_runs)
{
    uint32_t n = j->n;
    j->time = time;
    if (in_order(run, n_runs, time, n))
        return;
    struct sort_key *key = arena_alloc(&j->tmp, (size_t)n * 2 * sizeof(*key));
    uint32_t *start = arena_alloc(&j->tmp, n * sizeof(*start));
    keys_by_origin(run, n_runs, time, n, &j->tmp, key);
    uint32_t runs = 0;
    for (uint32_t i = 0; i < n; i++)
        if (i == 0 || key[i].time < key[i - 1].time)
            start[runs++] = i;
    key = natural_sort(key, key + n, n, start, runs);
    int64_t *sorted = arena_alloc(j->scratch, n * sizeof(*sorted));
    j->order = arena_alloc(j->scratch, n * sizeof(*j->order));
    for (uint32_t i = 0; i < n; i++) {
        sorted[i] = key[i].time;
        j->order[i] = key[i].row;
    }
    j->time = sorted;
    arena_reset(&j->tmp);
}

/* ---- small chunks of the block itself ---- */

static struct encode_options options(const struct job *j)
{
    return (struct encode_options){.zstd_level = j->o->zstd_level};
}

static struct dir_place place_from(const struct buf *b, size_t start)
{
    return (struct dir_place){(uint32_t)start, (uint32_t)(b->n - start)};
}

static enum err put_ints(struct job *j, const int64_t *v, struct dir_place *ret)
{
    struct values values = {.n = j->n, .lane = LANE_INT, .i64 = v};
    struct encode_options o = options(j);
    struct chunk_stats unused;
    size_t start = j->out.n;
    TRY(chunk_encode(&values, &o, &j->tmp, &j->out, &unused));
    *ret = place_from(&j->out, start);
    arena_reset(&j->tmp);
    return OK;
}

/* Runs in the new order. */
static struct origin_run *reorder_runs(struct job *j, const struct origin_run *run, uint32_t n_runs,
                                       uint32_t *ret_n)
{
    uint32_t *of_row = arena_alloc(&j->tmp, j->n * sizeof(*of_row));
    for (uint32_t r = 0; r < n_runs; r++)
        for (uint32_t i = run[r].row; i < (r + 1 < n_runs ? run[r + 1].row : j->n); i++)
            of_row[i] = r;
    struct origin_run *to = arena_alloc(&j->tmp, j->n * sizeof(*to));
    uint32_t n = 0;
    for (uint32_t i = 0; i < j->n; i++) {
        uint32_t row = j->order[i];
        struct origin_run r = run[of_row[row]];
        r.index += row - r.row;
        r.row = i;
        struct origin_run *last = n ? &to[n - 1] : NULL;
        bool joins = last && last->partition == r.partition && last->position == r.position &&
                     last->arrival_ns == r.arrival_ns && last->index + (i - last->row) == r.index;
        if (!joins)
            to[n++] = r;
    }
    *ret_n = n;
    return to;
}

static enum err put_origin(struct job *j, const struct origin_run *run, uint32_t n_runs)
{
    struct dir_block *b = &j->block->entry;
    b->position_min = UINT64_MAX;
    for (uint32_t i = 0; i < n_runs; i++) {
        b->position_min = run[i].position < b->position_min ? run[i].position : b->position_min;
        b->position_max = run[i].position > b->position_max ? run[i].position : b->position_max;
    }
    if (j->order)
        run = reorder_runs(j, run, n_runs, &n_runs);
    struct encode_options o = options(j);
    size_t start = j->out.n;
    TRY(origin_encode(run, n_runs, j->n, &o, &j->tmp, &j->out));
    b->origin = place_from(&j->out, start);
    arena_reset(&j->tmp);
    return OK;
}

static enum err put_flags(struct job *j)
{
    const uint8_t *flags;
    TRY(rows_flags(j->rows, &flags));
    if (!flags)
        return OK;
    int64_t *v = arena_alloc(&j->tmp, j->n * sizeof(*v));
    uint8_t any = 0;
    for (uint32_t i = 0; i < j->n; i++) {
        v[i] = flags[j->order ? j->order[i] : i];
        any |= (uint8_t)v[i];
    }
    enum err err = any ? put_ints(j, v, &j->block->entry.flags) : OK;
    arena_reset(&j->tmp);
    return err;
}

/* ---- shapes ---- */

/* Numbers the shapes and columns that rows use, copies them to the directory, and writes the codes.
 */
static enum err put_shapes(struct job *j)
{
    struct rows *rows = j->rows;
    struct arena *own = &j->block->arena;
    const uint16_t *shape_of = NULL;
    if (rows->n_shapes > 1)
        TRY(rows_shape_of(rows, &shape_of));
    uint32_t *number = ARENA_ARRAY(j->scratch, uint32_t, rows->n_shapes);
    uint32_t used = 0, n = rows->n_shapes > 1 ? j->n : 1; /* all rows have the one */
    int64_t *code = arena_alloc(&j->tmp, n * sizeof(*code));
    uint32_t *column = ARENA_ARRAY(j->scratch, uint32_t, rows->n_columns + 1);
    for (uint32_t c = 0, to = 0; c < rows->n_columns; c++)
        column[c] = rows->columns[c].n ? to++ : UINT32_MAX;
    struct shape *shape = ARENA_ARRAY(own, struct shape, rows->n_shapes);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t s = shape_of ? shape_of[j->order ? j->order[i] : i] : 0;
        CHECK(s < rows->n_shapes);
        if (!number[s]) {
            number[s] = used + 1;
            uint32_t *token = arena_alloc(own, rows->shapes[s].n * sizeof(*token) + 1);
            for (uint32_t t = 0; t < rows->shapes[s].n; t++) {
                uint32_t from = rows->shapes[s].token[t];
                token[t] = from < rows->n_columns ? column[from] : from;
            }
            shape[used++] = (struct shape){token, rows->shapes[s].n};
        }
        code[i] = number[s] - 1;
    }
    uint32_t *all = ARENA_ARRAY(own, uint32_t, used);
    for (uint32_t i = 0; i < used; i++)
        all[i] = i;
    j->block->dir.shape = shape;
    j->block->dir.n_shapes = j->block->entry.n_shapes = used;
    j->block->entry.shape = all;
    enum err err = used > 1 ? put_ints(j, code, &j->block->entry.shape_of) : OK;
    arena_reset(&j->tmp);
    return err;
}

/* ---- columns ---- */

static enum err gather_numbers(const struct values *v, const uint32_t *pos, struct arena *a,
                               struct values *ret)
{
    uint32_t n = v->n;
    struct values out = {.n = n, .lane = v->lane};
    if (v->i64) {
        int64_t *to = arena_alloc(a, n * sizeof(*to));
        for (uint32_t i = 0; i < n; i++)
            to[i] = v->i64[pos[i]];
        out.i64 = to;
    }
    if (v->f64) {
        double *to = arena_alloc(a, n * sizeof(*to));
        for (uint32_t i = 0; i < n; i++)
            to[i] = v->f64[pos[i]];
        out.f64 = to;
    }
    const uint8_t *bytes = v->lane == LANE_DEC ? v->scale : v->u8;
    if (bytes) {
        uint8_t *to = arena_alloc(a, n);
        for (uint32_t i = 0; i < n; i++)
            to[i] = bytes[pos[i]];
        *(v->lane == LANE_DEC ? &out.scale : &out.u8) = to;
    }
    *ret = out;
    return OK;
}

/* Marks in the new order which rows have a value, and says by row which one it is. */
static uint64_t *reorder_presence(struct job *j, const struct presence *p, uint32_t *value)
{
    struct arena *a = &j->places;
    size_t words = bitmap_words(j->n);
    uint64_t *bits = ARENA_ARRAY(a, uint64_t, words);
    uint32_t k = 0;
    if (!j->new_of) {
        j->new_of = arena_alloc(j->scratch, j->n * sizeof(*j->new_of));
        for (uint32_t i = 0; i < j->n; i++)
            j->new_of[j->order[i]] = i;
    }
    for (size_t w = 0; w < words; w++)
        for (uint64_t left = p->bits[w]; left; left &= left - 1) {
            uint32_t to = j->new_of[w * 64 + (unsigned)__builtin_ctzll(left)];
            bits[to >> 6] |= (uint64_t)1 << (to & 63);
            value[to] = k++;
        }
    return bits;
}

/* Of a column of n values that not all rows have. */
static const struct places *find_places(struct job *j, const struct presence *p, uint32_t n)
{
    if (j->last.bits == p->bits)
        return &j->last;
    arena_reset(&j->places);
    struct arena *a = &j->places;
    int64_t *time = arena_alloc(a, n * sizeof(*time));
    uint32_t *pos = NULL, *value = NULL, k = 0;
    const uint64_t *bits = p->bits;
    if (j->order) {
        pos = arena_alloc(a, n * sizeof(*pos));
        value = arena_alloc(a, j->n * sizeof(*value));
        bits = reorder_presence(j, p, value);
    }
    for (size_t w = 0; w < bitmap_words(j->n); w++)
        for (uint64_t left = bits[w]; left; left &= left - 1) {
            uint32_t row = (uint32_t)(w * 64) + (unsigned)__builtin_ctzll(left);
            CHECK(k < n);
            if (pos)
                pos[k] = value[row];
            time[k++] = j->time[row];
        }
    CHECK(k == n);
    j->last = (struct places){p->bits, pos, time};
    return &j->last;
}

/* Where the values of a column in the new order stand in the old one (NULL: in the same), and the
 * times of their rows. */
static enum err column_places(struct job *j, uint32_t c, const uint32_t **ret_pos,
                              const int64_t **ret_time)
{
    const struct column *col = &j->rows->columns[c];
    *ret_pos = j->order;
    *ret_time = j->time;
    if (col->n == j->n)
        return OK;
    struct presence p;
    TRY(rows_presence(j->rows, c, &p));
    const struct places *at = find_places(j, &p, col->n);
    *ret_pos = at->pos;
    *ret_time = at->time;
    return OK;
}

/* A column's values at those places. Of texts mostly only where they lie is put in order. */
static enum err column_in_order(struct job *j, uint32_t c, const uint32_t *pos, struct values *ret)
{
    const struct column *col = &j->rows->columns[c];
    const struct ref_column *known = j->known ? j->known[c] : NULL;
    if (!known && col->ops->texts && lane_is_text(col->lane))
        return col->ops->texts(col, pos, &j->tmp, ret);
    if (pos && !known && col->ops->pick)
        return col->ops->pick(col, pos, col->n, &j->tmp, ret);
    struct values v;
    if (known)
        v = known->v;
    else
        TRY(col->ops->values(col, &j->tmp, &v));
    CHECK(v.n == col->n);
    *ret = v;
    if (!pos)
        return OK;
    return lane_is_text(v.lane) ? values_pick(&v, pos, v.n, &j->tmp, ret)
                                : gather_numbers(&v, pos, &j->tmp, ret);
}

static unsigned digits(int64_t v)
{
    unsigned n = 1 + (v < 0);
    for (; v > 9 || v < -9; v /= 10)
        n++;
    return n;
}

/* About, as JSON text. `text`: of all values together, where they are text. */
static uint64_t raw_bytes(const struct column *c, const struct values *v, uint64_t text,
                          const struct chunk_stats *s)
{
    size_t key = c->path.n;
    for (size_t i = 0; i < c->path.n; i++)
        if (c->path.p[i] == PATH_SEP)
            key = c->path.n - i - 1;
    uint64_t each = key + 4;
    if (lane_is_text(v->lane))
        return (each + (v->lane == LANE_STR ? 2 : 0)) * v->n + text;
    if (v->lane == LANE_INT)
        each += (digits(s->min) + digits(s->max) + 1) / 2;
    else if (v->lane == LANE_DEC)
        each += s->has_range ? (digits(s->min) + digits(s->max) + 3) / 2 : 8;
    else
        each += v->lane == LANE_DBL ? 18 : v->lane == LANE_OBJ ? 2 : 4;
    return each * v->n;
}

static bool is_rare(const struct job *j, const struct values *v, uint64_t text)
{
    if (j->n < RARE_ROWS)
        return true;
    return v->n <= RARE_VALUES && (lane_is_text(v->lane) ? text : v->n * 8) <= RARE_BYTES;
}

static bool has_words(enum lane lane)
{
    return lane == LANE_STR || lane == LANE_ARR;
}

/* `known`: the words, where the encoder put them all. */
static enum err put_filter(struct job *j, const struct values *v, const struct word_set *known,
                           struct dir_field *f)
{
    uint8_t enc = f->stats.encoding;
    if (!has_words(v->lane) || enc == ENC_CONST || enc == ENC_TIME || enc == ENC_INSTANT ||
        (enc == ENC_DICT && f->stats.distinct < WORDS_DICT_MIN))
        return OK;
    struct values distinct = *v;
    bool ids = enc == ENC_HEX || enc == ENC_PREFIX_INT, small = ids || enc == ENC_REFS;
    size_t start = j->filters.n, most = f->chunk.length / (small ? FILTER_SHARE_IDS : FILTER_SHARE);
    if (known && word_set_tells(known, most)) {
        TRY(word_set_filter(known, most, &j->tmp, &j->filters));
    } else {
        if (enc == ENC_DICT) {
            struct chunk c;
            struct str bytes = str_of(j->out.p + f->chunk.offset, f->chunk.length);
            TRY(chunk_open(bytes, CHUNK_TRUSTED, v->lane, v->n, &j->tmp, &c));
            TRY(encoding_ops(enc)->distinct(&c, &j->tmp, &distinct));
        }
        TRY(block_filter_build(&distinct, ids, most, &j->tmp, &j->filters));
    }
    f->filter = place_from(&j->filters, start);
    f->filter_sum = (uint32_t)hash64(str_from(buf_str(&j->filters), start));
    return OK;
}

/* ---- texts that repeat other columns ---- */

/* The row of each value of a column, in the new order or the old one. */
static enum err rows_of_column(struct job *j, uint32_t c, bool old, struct arena *a,
                               const uint32_t **ret)
{
    struct presence p;
    TRY(rows_presence(j->rows, c, &p));
    uint32_t n = j->rows->columns[c].n, k = 0, *row = arena_alloc(a, n * sizeof(*row));
    for (uint32_t i = 0; i < j->n; i++) {
        uint32_t was = j->order && !old ? j->order[i] : i;
        if (presence_has(&p, was))
            row[k++] = was;
    }
    CHECK(k == n);
    *ret = row;
    return OK;
}

static int long_cmp(const void *a, const void *b)
{
    const struct ref_column *x = a, *y = b;
    return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1) : 0;
}

static bool may_have_refs(const struct rows *r)
{
    for (uint32_t c = 0; c < r->n_columns; c++) {
        const struct column *col = &r->columns[c];
        if (col->lane == LANE_STR && col->n >= REFS_TEXTS_MIN &&
            (!col->text_bytes || col->text_bytes >= (uint64_t)col->n * REFS_LENGTH_MIN))
            return true;
    }
    return false;
}

/* The column as others may refer to it. */
static enum err know_column(struct job *j, uint32_t c, struct ref_column *ret)
{
    const struct column *col = &j->rows->columns[c];
    struct arena *a = &j->known_arena;
    *ret = (struct ref_column){.name = {col->path, col->occ, col->lane}, .number = c};
    TRY(rows_presence(j->rows, c, &ret->p));
    if (col->lane == LANE_STR && col->ops->texts)
        TRY(col->ops->texts(col, NULL, a, &ret->v));
    else
        TRY(col->ops->values(col, a, &ret->v));
    if (col->lane == LANE_STR)
        ret->bytes = values_bytes(&ret->v);
    return OK;
}

/* Which columns are to be held by references to which others: the largest first, and none that
 * another refers to, so that no reference leads to a reference. */
static enum err plan_refs(struct job *j)
{
    uint32_t n = j->rows->n_columns, n_all = 0, n_long = 0;
    bool quick = j->o->zstd_level <= ENCODE_QUICK_LEVEL, any = false;
    if (j->n < RARE_ROWS || !may_have_refs(j->rows))
        return OK;
    struct arena *a = j->scratch;
    j->known = ARENA_ARRAY(a, struct ref_column *, n);
    struct ref_column *all = ARENA_ARRAY(a, struct ref_column, n);
    struct ref_column *large = ARENA_ARRAY(a, struct ref_column, n);
    bool *taken = ARENA_ARRAY(a, bool, n); /* referred to, or held by references */
    j->refs = ARENA_ARRAY(a, struct refs *, n);
    for (uint32_t c = 0; c < n; c++) {
        const struct column *col = &j->rows->columns[c];
        struct ref_column *r = &all[n_all];
        if (!col->n || (col->lane != LANE_STR && col->lane != LANE_INT))
            continue;
        TRY(know_column(j, c, r));
        j->known[c] = r;
        if (col->lane == LANE_STR && refs_long_texts(col->n, r->bytes))
            large[n_long++] = *r;
        n_all++;
    }
    qsort(large, n_long, sizeof(*large), long_cmp);
    for (uint32_t i = 0; i < n_long && i < REFS_COLUMNS; i++) {
        uint32_t c = large[i].number;
        struct ref_column *others = ARENA_ARRAY(a, struct ref_column, n_all);
        struct refs *r = ARENA_NEW(a, struct refs);
        r->own = &large[i];
        r->memory = j->o->memory;
        r->sample = quick ? REFS_SAMPLE_QUICK : REFS_SAMPLE;
        r->column = others;
        for (uint32_t k = 0; k < n_all; k++)
            if (all[k].number != c && !j->refs[all[k].number])
                others[r->n++] = all[k];
        if (taken[c])
            continue;
        TRY(rows_of_column(j, c, true, a, &r->row));
        if (!refs_learn(r, a))
            continue;
        j->refs[c] = r;
        for (uint32_t k = 0; k < r->n_used; k++)
            taken[r->used[k]->number] = true;
        any = true;
    }
    if (!any) {
        j->known = NULL;
        arena_release(&j->known_arena);
    }
    return OK;
}

static void bound_words(void *ctx, size_t chunk_bytes)
{
    word_set_bound(ctx, chunk_bytes / FILTER_SHARE);
}

/* By which what is learnt of a column is kept for the next block of the stream. */
static uint64_t column_key(const struct job *j, const struct column *c)
{
    uint64_t h = hash64_seed(c->path, hash64(j->rows->stream));
    return hash_mix(h + c->occ * (uint64_t)LANE_COUNT + c->lane) | 1;
}

static enum err put_column(struct job *j, uint32_t c, struct dir_field *f)
{
    const struct column *col = &j->rows->columns[c];
    struct values v;
    uint64_t text; /* bytes */
    const uint32_t *pos;
    struct encode_options o = options(j);
    TRY(column_places(j, c, &pos, &o.time));
    if (o.zstd_level <= ENCODE_QUICK_LEVEL)
        o.column = column_key(j, col);
    if (j->refs && j->refs[c]) {
        TRY(rows_of_column(j, c, false, &j->tmp, &j->refs[c]->row));
        o.refs = j->refs[c];
    }
    TRY(column_in_order(j, c, pos, &v));
    text = lane_is_text(v.lane) ? values_bytes(&v) : 0;
    f->rare = o.small = is_rare(j, &v, text);
    f->n = v.n;
    struct buf *to = f->rare ? &j->rare : &j->out;
    size_t start = to->n;
    struct word_sink sink = {.fn = word_set_add, .bound = bound_words};
    struct word_set *known = NULL;
    if (has_words(v.lane) && !f->rare) {
        sink.ctx = known = word_set_new(text / WORDS_SHARE, &j->words);
        sink.full = word_set_over(known);
        o.words = &sink;
    }
    TRY(chunk_encode(&v, &o, &j->tmp, to, &f->stats));
    f->chunk = place_from(to, start);
    j->n_rare += f->rare;
    if (!f->rare)
        TRY(put_filter(j, &v, sink.done ? known : NULL, f));
    j->block->entry.raw_bytes += raw_bytes(col, &v, text, &f->stats);
    arena_reset(&j->tmp);
    arena_reset(&j->words);
    return OK;
}

static enum err put_columns(struct job *j)
{
    struct rows *rows = j->rows;
    struct block *b = j->block;
    struct dir_column *column = ARENA_ARRAY(&b->arena, struct dir_column, rows->n_columns);
    j->field = ARENA_ARRAY(&b->arena, struct dir_field, rows->n_columns);
    uint32_t n = 0;
    TRY(plan_refs(j));
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        const struct column *from = &rows->columns[c];
        if (from->n == 0)
            continue;
        column[n] = (struct dir_column){.path = arena_str(&b->arena, from->path),
                                        .name_hash = from->name_hash,
                                        .occ = from->occ,
                                        .lane = from->lane};
        j->field[n].column = n;
        TRY(put_column(j, c, &j->field[n]));
        n++;
    }
    b->dir.column = column;
    b->dir.n_columns = b->entry.n_fields = n;
    b->entry.field = j->field;
    if (!j->n_rare)
        return OK;
    size_t start = j->out.n;
    struct part_out part = {.raw = buf_str(&j->rare), .zip = ZIP_TRY};
    struct encode_options o = options(j);
    TRY(chunk_write(ENC_RARE, j->n_rare, &part, 1, &o, &j->tmp, &j->out));
    b->entry.rare = place_from(&j->out, start);
    arena_reset(&j->tmp);
    return OK;
}

static enum err put_filters(struct job *j)
{
    if (!j->filters.n)
        return OK;
    for (uint32_t i = 0; i < j->block->entry.n_fields; i++)
        if (j->field[i].filter.length)
            j->field[i].filter.offset += (uint32_t)j->out.n;
    return buf_add(&j->out, j->filters.p, j->filters.n);
}

static enum err encode_all(struct job *j)
{
    const int64_t *time;
    const struct origin_run *run;
    uint32_t n_runs;
    TRY(rows_time(j->rows, &time));
    TRY(j->rows->ops->origin(j->rows, &run, &n_runs));
    order_rows(j, time, run, n_runs);
    struct dir_block *b = &j->block->entry;
    b->rows = j->n;
    b->time_min = j->time[0];
    b->time_max = j->time[j->n - 1];
    b->raw_bytes = (uint64_t)j->n * 2;
    TRY(put_columns(j));
    TRY(put_ints(j, j->time, &b->time));
    TRY(put_shapes(j));
    TRY(put_origin(j, run, n_runs));
    TRY(put_flags(j));
    return put_filters(j);
}

enum err block_encode(struct rows *rows, const struct block_options *o, enum owner owner,
                      struct arena *scratch, struct block **ret)
{
    if (rows->n == 0 || rows->n > BLOCK_ROWS_MAX)
        return err_set(ERR_LIMIT, "a block holds 1 to %u rows, not %u", BLOCK_ROWS_MAX, rows->n);
    static _Atomic uint64_t numbers;
    struct block *b = NEW(struct block);
    arena_init(&b->arena, 0, NULL);
    struct job j = {.rows = rows, .o = o, .scratch = scratch, .n = rows->n, .block = b};
    arena_init(&j.tmp, 0, scratch->res);
    arena_init(&j.words, 0, scratch->res);
    arena_init(&j.places, 0, scratch->res);
    arena_init(&j.known_arena, 0, scratch->res);
    buf_init(&j.out, BLOCK_BYTES_MAX);
    buf_init(&j.rare, BLOCK_BYTES_MAX);
    buf_init(&j.filters, BLOCK_BYTES_MAX);
    enum err err = encode_all(&j);
    arena_release(&j.tmp);
    arena_release(&j.words);
    arena_release(&j.places);
    arena_release(&j.known_arena);
    buf_release(&j.rare);
    buf_release(&j.filters);
    if (err != OK) {
        buf_release(&j.out);
        arena_release(&b->arena);
        mem_free(b);
        return err;
    }
    atomic_init(&b->refs, 1);
    b->number = ++numbers;
    b->entry.length = j.out.n;
    b->blob = blob_take(mem_realloc(j.out.p, j.out.n), j.out.n, owner);
    b->charged = b->arena.used + sizeof(*b);
    governor_force(owner, b->charged);
    b->dir.block = &b->entry;
    b->dir.n_blocks = 1;
    *ret = b;
    return OK;
}

/* ---- the block in memory ---- */

void block_unref(struct block *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) > 1)
        return;
    governor_give(b->blob->owner, b->charged);
    arena_release(&b->arena);
    blob_unref(b->blob);
    mem_free(b);
}

uint64_t block_number(const struct block *b)
{
    return b->number;
}

uint32_t block_rows(const struct block *b)
{
    return b->entry.rows;
}

int64_t block_time_min(const struct block *b)
{
    return b->entry.time_min;
}

int64_t block_time_max(const struct block *b)
{
    return b->entry.time_max;
}

size_t block_bytes(const struct block *b)
{
    return b->blob->bytes.n + b->charged;
}

uint64_t block_raw_bytes(const struct block *b)
{
    return b->entry.raw_bytes;
}

uint64_t block_position_min(const struct block *b)
{
    return b->entry.position_min;
}

uint64_t block_position_max(const struct block *b)
{
    return b->entry.position_max;
}

const struct dir *block_dir(const struct block *b)
{
    return &b->dir;
}

struct str block_chunk_bytes(const struct block *b)
{
    return b->blob->bytes;
}

enum err block_rows_open(const struct block *b, struct str stream, struct arena *arena,
                         uint64_t *bytes_read, struct rows *ret)
{
    struct block_source *from = ARENA_NEW(arena, struct block_source);
    *from = (struct block_source){.bytes = b->blob->bytes, .fd = -1, .filters = true};
    return block_dir_rows(&b->dir, 0, from, stream, arena, bytes_read, ret);
}
