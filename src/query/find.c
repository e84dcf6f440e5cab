/* Reading one scan several ways. Blocks too old for the page are not read once as many rows are
 * counted as are to be, unless groups want them; where every row of a block matches, its header
 * says how many. Of the tables of groups each worker has its own, merged at the end. */
#include "query/find.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"
#include "query/agg.h"
#include "record/bitmap.h"

enum { TABLE_BYTES_MIN = 1 << 20, FIELDS_MAX = 100000 };

void find_init(struct find *f)
{
    *f = (struct find){0};
    arena_init(&f->arena, 0, NULL);
}

/* The rows of the block that the group's filter lets through. */
static enum err select_rows(const struct find_group *g, const struct scan_block *b,
                            const uint32_t **ret_row, uint32_t *ret_n)
{
    uint64_t *bits = bitmap_new(b->arena, b->rows->n);
    TRY(filter_eval(g->filter, b->rows, b->arena, bits));
    uint32_t *row = arena_alloc(b->arena, (b->n + 1) * sizeof(*row));
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->n; i++)
        if (bitmap_get(bits, b->row[i]))
            row[n++] = b->row[i];
    *ret_row = row;
    *ret_n = n;
    return OK;
}

static enum err visit(void *ctx, const struct scan_block *b)
{
    struct find *f = ctx;
    unsigned workers = scan_workers(&f->scan);
    TRY(hits_visit(&f->hits, b));
    f->total += b->n;
    for (uint32_t i = 0; i < f->n_groups; i++) {
        const struct find_group *g = &f->group[i];
        const uint32_t *row = b->row;
        uint32_t n = b->n;
        if (g->filter)
            TRY(select_rows(g, b, &row, &n));
        if (n)
            TRY(agg_add(f->table[i * workers + b->worker], b->rows, row, n, b->arena));
    }
    return OK;
}

static bool skip(void *ctx, const struct block_ref *ref)
{
    struct find *f = ctx;
    bool page_done = f->hits.keep == 0 || hits_skip(&f->hits, ref);
    if (f->n_groups || !page_done)
        return false;
    if (f->total_max == 0 || f->total > f->total_max)
        return true;
    if (!f->header_counts || ref->time_min < f->scan.from || ref->time_max >= f->scan.to)
        return false;
    f->total += ref->rows;
    return true;
}

static enum err merge_groups(struct find *f)
{
    unsigned workers = scan_workers(&f->scan);
    for (uint32_t i = 0; i < f->n_groups; i++) {
        struct agg_table **of = &f->table[i * workers];
        for (unsigned w = 1; w < workers; w++) {
            TRY(agg_merge(of[0], of[w]));
            agg_free(of[w]);
            of[w] = NULL;
        }
        f->group[i].result = batch_new();
        TRY(agg_result(of[0], f->group[i].result));
        agg_free(of[0]);
        of[0] = NULL;
    }
    return OK;
}

static void make_tables(struct find *f)
{
    unsigned workers = scan_workers(&f->scan);
    size_t n = (size_t)f->n_groups * workers;
    f->table = NEW_ARRAY(struct agg_table *, n + 1);
    for (size_t i = 0; i < n; i++)
        f->table[i] = agg_new(f->group[i / workers].stats, &f->scan.memory);
}

enum err find_run(struct query_engine *e, struct find *f)
{
    f->started_ns = clock_mono_ns();
    TRY(scan_open(e, f->request, f->filter, &f->arena, &f->scan));
    f->header_counts = filter_is_all(f->scan.filter);
    f->hits.keys = f->keys;
    f->hits.oldest = f->oldest;
    f->hits.beyond = f->beyond;
    f->hits.after = f->after;
    f->hits.keep = f->size ? f->from + f->size : 0;
    hits_init(&f->hits, scan_workers(&f->scan), &f->scan.memory);
    make_tables(f);
    f->scan.visit = visit;
    f->scan.skip = skip;
    f->scan.ctx = f;
    TRY(scan_run(&f->scan));
    TRY(hits_finish(&f->hits));
    TRY(merge_groups(f));
    scan_meta(&f->scan, f->started_ns, &f->meta);
    return OK;
}

enum err find_each(struct find *f, const struct row_style *style, void *ctx,
                   enum err (*fn)(void *ctx, const struct hit *hit, struct str line))
{
    TRY(hits_each(&f->hits, f->from, f->hits.n, &f->scan, style, ctx, fn));
    scan_meta(&f->scan, f->started_ns, &f->meta);
    return OK;
}

void find_release(struct find *f)
{
    size_t n = f->table ? (size_t)f->n_groups * scan_workers(&f->scan) : 0;
    for (size_t i = 0; i < n; i++)
        agg_free(f->table[i]);
    mem_free(f->table);
    for (uint32_t i = 0; i < f->n_groups; i++)
        batch_free(f->group[i].result);
    hits_release(&f->hits);
    scan_close(&f->scan);
    arena_release(&f->arena);
}

/* ---- fields ---- */

struct fields {
    struct scan scan;
    pthread_mutex_t lock;
    struct arena *arena;
    struct find_field *field;
    uint32_t n, cap;
    uint32_t *slot; /* open addressing: number + 1 */
    uint32_t slots;
};

static uint64_t field_hash(struct str name, enum lane lane)
{
    return hash64_seed(name, (uint64_t)lane + 1);
}

static uint32_t *field_slot(const struct fields *f, struct str name, enum lane lane)
{
    uint32_t i = (uint32_t)field_hash(name, lane) & (f->slots - 1);
    for (; f->slot[i]; i = (i + 1) & (f->slots - 1)) {
        const struct find_field *have = &f->field[f->slot[i] - 1];
        if (have->lane == lane && str_eq(have->name, name))
            break;
    }
    return &f->slot[i];
}

static void fields_grow(struct fields *f)
{
    mem_free(f->slot);
    f->slots = f->slots ? f->slots * 2 : 256;
    f->slot = NEW_ARRAY(uint32_t, f->slots);
    for (uint32_t i = 0; i < f->n; i++)
        *field_slot(f, f->field[i].name, f->field[i].lane) = i + 1;
}

static enum err note_field(struct fields *f, struct str name, enum lane lane, uint64_t values)
{
    if ((f->n + 1) * 2 > f->slots)
        fields_grow(f);
    uint32_t *slot = field_slot(f, name, lane);
    if (!*slot && f->n == FIELDS_MAX)
        return err_set(ERR_LIMIT, "more than %d fields", FIELDS_MAX);
    if (!*slot) {
        ARRAY_GROW(f->field, f->cap, f->n + 1);
        f->field[f->n++] = (struct find_field){arena_str(f->arena, name), lane, 0};
        *slot = f->n;
    }
    f->field[*slot - 1].values += values;
    return OK;
}

static enum err visit_fields(void *ctx, const struct scan_block *b)
{
    struct fields *f = ctx;
    struct buf name;
    enum err err = OK;
    buf_init(&name, SIZE_MAX);
    pthread_mutex_lock(&f->lock);
    for (uint32_t c = 0; c < b->rows->n_columns && err == OK; c++) {
        const struct column *column = &b->rows->columns[c];
        buf_clear(&name);
        path_name(column->path, &name);
        if (name.n)
            err = note_field(f, buf_str(&name), column->lane, column->n);
    }
    pthread_mutex_unlock(&f->lock);
    buf_release(&name);
    return err;
}

static int field_cmp(const void *a, const void *b)
{
    const struct find_field *x = a, *y = b;
    int c = str_cmp(x->name, y->name);
    return c ? c : (int)x->lane - (int)y->lane;
}

enum err find_fields(struct query_engine *e, const struct query_request *r, struct arena *arena,
                     struct find_field **ret, uint32_t *ret_n)
{
    struct fields f = {.arena = arena, .lock = PTHREAD_MUTEX_INITIALIZER};
    enum err err;
    TRY_OUT(scan_open(e, r, filter_everything(), arena, &f.scan));
    f.scan.visit = visit_fields;
    f.scan.ctx = &f;
    TRY_OUT(scan_run(&f.scan));
    if (f.n > 1)
        qsort(f.field, f.n, sizeof(*f.field), field_cmp);
    *ret = ARENA_ARRAY(arena, struct find_field, f.n + 1);
    if (f.n)
        memcpy(*ret, f.field, f.n * sizeof(*f.field));
    *ret_n = f.n;
out:
    scan_close(&f.scan);
    mem_free(f.field);
    mem_free(f.slot);
    return err;
}
