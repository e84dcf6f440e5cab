/* Which fields there are.
 *
 * Rows are counted by shape: a shape says which fields its records have, so that only the number of
 * each shape's rows is asked for. A block that is wanted whole needs not even that: its directory
 * says how many values each column has; the shapes are asked only where one holds a name in two
 * columns (a key twice, dotted twins), whose record must count once. Objects kept as JSON text are
 * walked. */
#include "query/explore.h"

#include "core/clock.h"
#include "core/governor.h"
#include "core/hash.h"
#include "core/mem.h"
#include "query/scan.h"
#include "record/json.h"
#include "record/json_walk.h"

#include <inttypes.h>
#include <stdlib.h>

enum { DEPTH_MAX = 256, ENTRY_COST = 160 };

enum type {
    TYPE_STRING,
    TYPE_NUMBER,
    TYPE_BOOLEAN,
    TYPE_NULL,
    TYPE_OBJECT,
    TYPE_ARRAY,
    TYPE_COUNT
};
static const char *const type_names[] = {"string", "number", "boolean", "null", "object", "array"};

static enum type type_of(enum lane lane)
{
    static const enum type types[LANE_COUNT] = {
        [LANE_STR] = TYPE_STRING, [LANE_INT] = TYPE_NUMBER, [LANE_DEC] = TYPE_NUMBER,
        [LANE_DBL] = TYPE_NUMBER, [LANE_NUM] = TYPE_NUMBER, [LANE_BOOL] = TYPE_BOOLEAN,
        [LANE_NULL] = TYPE_NULL,  [LANE_OBJ] = TYPE_OBJECT, [LANE_ARR] = TYPE_ARRAY,
        [LANE_JSON] = TYPE_OBJECT};
    return types[lane];
}

struct name {
    struct str text;
    uint64_t hash;
    uint64_t count;             /* records with a value that is not null */
    uint64_t types[TYPE_COUNT]; /* records with a value of that type */
    uint64_t stamp;             /* of the shape or record that is being counted */
    unsigned seen;              /* its types, and 1 << TYPE_COUNT: a value */
};

/* Names met, by a worker. */
struct names {
    struct arena arena;
    struct reservation res;
    struct name **item;
    uint32_t *slot; /* item + 1 */
    uint32_t n, cap, slots;
    uint64_t stamp;
    struct buf path; /* of what is being walked */
};

struct fields {
    struct scan scan;
    struct names *names; /* a worker each */
    _Atomic uint64_t total;
};

static enum err too_large(const struct names *t)
{
    return err_set(ERR_NOMEM,
                   "so many names of fields need more memory than a query may hold (%zu MiB, "
                   "query.memory): narrow the time range or the filter",
                   t->res.of->max >> 20);
}

static void rehash(struct names *t)
{
    uint32_t slots = t->slots ? t->slots * 2 : 256;
    uint32_t *slot = NEW_ARRAY(uint32_t, slots);
    for (uint32_t k = 0; k < t->n; k++) {
        uint32_t i = (uint32_t)t->item[k]->hash & (slots - 1);
        while (slot[i])
            i = (i + 1) & (slots - 1);
        slot[i] = k + 1;
    }
    mem_free(t->slot);
    t->slot = slot;
    t->slots = slots;
}

/* The entry of a name, made where it is new; NULL when the memory is used up. */
static struct name *names_get(struct names *t, struct str text)
{
    uint64_t hash = hash64(text);
    if ((t->n + 1) * 2 > t->slots)
        rehash(t);
    uint32_t i = (uint32_t)hash & (t->slots - 1);
    for (; t->slot[i]; i = (i + 1) & (t->slots - 1))
        if (t->item[t->slot[i] - 1]->hash == hash && str_eq(t->item[t->slot[i] - 1]->text, text))
            return t->item[t->slot[i] - 1];
    struct name *e = arena_try_alloc(&t->arena, sizeof(*e) + text.n);
    if (!e || reservation_grow(&t->res, ENTRY_COST) != OK)
        return NULL;
    *e = (struct name){.text = {(char *)(e + 1), text.n}, .hash = hash};
    if (text.n)
        memcpy((char *)(e + 1), text.p, text.n);
    ARRAY_GROW(t->item, t->cap, t->n + 1);
    t->item[t->n++] = e;
    t->slot[i] = t->n;
    return e;
}

/* A value of a lane in `rows` records of one shape; a second one of the name counts no more. */
static void count_lane(struct names *t, struct name *e, enum lane lane, uint64_t rows)
{
    unsigned type = 1u << type_of(lane), value = lane == LANE_NULL ? 0 : 1u << TYPE_COUNT;
    if (e->stamp != t->stamp) {
        e->stamp = t->stamp;
        e->seen = 0;
    }
    e->types[type_of(lane)] += e->seen & type ? 0 : rows;
    e->count += !value || e->seen & value ? 0 : rows;
    e->seen |= type | value;
}

/* ---- columns ---- */

static struct name **names_of_columns(struct names *t, struct rows *rows, struct arena *arena)
{
    struct name **name = (struct name **)ARENA_ARRAY(arena, struct name *, rows->n_columns + 1);
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        if (rows->columns[c].path.n == 0)
            continue;
        buf_clear(&t->path);
        path_name(rows->columns[c].path, &t->path);
        name[c] = names_get(t, buf_str(&t->path));
        if (!name[c])
            return NULL;
    }
    return name;
}

/* Whether some shape holds one name in two columns. */
static bool has_twins(struct names *t, const struct rows *rows, struct name *const *name)
{
    for (uint32_t s = 0; s < rows->n_shapes; s++) {
        t->stamp++;
        for (uint32_t k = 0; k < rows->shapes[s].n; k++) {
            uint32_t c = rows->shapes[s].token[k];
            if (c >= SHAPE_OPEN || !name[c])
                continue;
            if (name[c]->stamp == t->stamp)
                return true;
            name[c]->stamp = t->stamp;
            name[c]->seen = 0;
        }
    }
    return false;
}

static void count_columns(struct names *t, const struct rows *rows, struct name *const *name)
{
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        t->stamp++;
        if (name[c])
            count_lane(t, name[c], rows->columns[c].lane, rows->columns[c].n);
    }
}

static enum err count_shapes(struct names *t, const struct scan_block *b, struct name *const *name)
{
    struct rows *rows = b->rows;
    uint32_t *n = ARENA_ARRAY(b->arena, uint32_t, rows->n_shapes + 1);
    const uint16_t *shape_of;
    TRY(rows_shape_of(rows, &shape_of));
    for (uint32_t i = 0; i < b->n; i++)
        n[shape_of[b->row[i]]]++;
    for (uint32_t s = 0; s < rows->n_shapes; s++) {
        t->stamp++;
        for (uint32_t k = 0; n[s] && k < rows->shapes[s].n; k++) {
            uint32_t c = rows->shapes[s].token[k];
            if (c < SHAPE_OPEN && name[c])
                count_lane(t, name[c], rows->columns[c].lane, n[s]);
        }
    }
    return OK;
}

/* ---- objects kept as text ---- */

static enum err count_inside(struct names *t, struct str object, struct arena *arena,
                             unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    size_t before = t->path.n;
    bool is = depth < DEPTH_MAX && json_walk_begin(&w, object);
    while (is && json_walk_next(&w, &item)) {
        if (t->path.n)
            buf_put_byte(&t->path, '.');
        json_walk_unescape(item.key, &t->path);
        if (item.lane == LANE_JSON) {
            TRY(count_inside(t, item.text, arena, depth + 1));
        } else {
            struct name *e = names_get(t, buf_str(&t->path));
            if (!e)
                return too_large(t);
            count_lane(t, e, item.lane, 1);
        }
        t->path.n = before;
    }
    return OK;
}

static enum err count_texts(struct names *t, const struct scan_block *b, uint32_t c)
{
    const struct column *col = &b->rows->columns[c];
    struct presence has;
    struct values v;
    TRY(rows_presence(b->rows, c, &has));
    TRY(col->ops->values(col, b->arena, &v));
    for (uint32_t i = 0; i < b->n; i++) {
        if (!presence_has(&has, b->row[i]))
            continue;
        t->stamp++;
        buf_clear(&t->path);
        path_name(col->path, &t->path);
        TRY(count_inside(t, values_text(&v, presence_rank(&has, b->row[i])), b->arena, 0));
    }
    return OK;
}

static enum err visit(void *ctx, const struct scan_block *b)
{
    struct fields *f = ctx;
    struct names *t = &f->names[b->worker];
    struct name **name = names_of_columns(t, b->rows, b->arena);
    if (!name)
        return too_large(t);
    if (b->n == b->rows->n && !has_twins(t, b->rows, name))
        count_columns(t, b->rows, name);
    else
        TRY(count_shapes(t, b, name));
    for (uint32_t c = 0; c < b->rows->n_columns; c++)
        if (b->rows->columns[c].lane == LANE_JSON)
            TRY(count_texts(t, b, c));
    f->total += b->n;
    return OK;
}

/* ---- the answer ---- */

static enum err merge(struct names *into, const struct names *from)
{
    for (uint32_t i = 0; i < from->n; i++) {
        struct name *e = names_get(into, from->item[i]->text);
        if (!e)
            return too_large(into);
        e->count += from->item[i]->count;
        for (int k = 0; k < TYPE_COUNT; k++)
            e->types[k] += from->item[i]->types[k];
    }
    return OK;
}

static int most_frequent(const void *a, const void *b)
{
    const struct name *x = *(struct name *const *)a, *y = *(struct name *const *)b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return str_cmp(x->text, y->text);
}

/* Names that no row had: of columns of partly selected blocks. */
static bool is_met(const struct name *e)
{
    return e->count || e->types[TYPE_NULL];
}

static void write_name(const struct name *e, uint64_t total, struct buf *out)
{
    buf_put_c(out, "{\"name\":");
    json_put_string(out, e->text);
    buf_printf(out, ",\"count\":%" PRIu64 ",\"share\":", e->count);
    json_put_double(out, total ? (double)e->count / (double)total : 0);
    buf_put_c(out, ",\"types\":{");
    bool any = false;
    for (int k = 0; k < TYPE_COUNT; k++)
        if (e->types[k]) {
            buf_printf(out, "%s\"%s\":%" PRIu64, any ? "," : "", type_names[k], e->types[k]);
            any = true;
        }
    buf_put_c(out, "}}");
}

static void write_names(struct fields *f, uint32_t limit, int64_t started, struct buf *out)
{
    struct names *t = &f->names[0];
    struct query_meta meta;
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->n; i++)
        if (is_met(t->item[i]))
            t->item[n++] = t->item[i];
    if (n > 1)
        qsort(t->item, n, sizeof(*t->item), most_frequent);
    buf_printf(out, "{\"total\":%" PRIu64 ",\"distinct\":%u,\"fields\":[", (uint64_t)f->total, n);
    for (uint32_t i = 0; i < n && i < limit; i++) {
        if (i)
            buf_put_byte(out, ',');
        write_name(t->item[i], f->total, out);
    }
    scan_meta(&f->scan, started, &meta);
    buf_put_byte(out, ']');
    query_put_end(out, &meta);
}

enum err query_fields(struct query_engine *e, const struct query_request *q, struct buf *out)
{
    int64_t started = clock_mono_ns();
    struct fields f = {0};
    struct arena arena;
    unsigned workers = e->threads;
    enum err err;
    arena_init(&arena, 0, NULL);
    f.names = NEW_ARRAY(struct names, workers);
    TRY_OUT(scan_open_filter(e, q, &arena, &f.scan));
    for (unsigned i = 0; i < workers; i++) {
        reservation_init_of(&f.names[i].res, OWNER_QUERY, &f.scan.memory);
        arena_init(&f.names[i].arena, 0, &f.names[i].res);
        buf_init(&f.names[i].path, SIZE_MAX);
    }
    f.scan.visit = visit;
    f.scan.ctx = &f;
    TRY_OUT(scan_run(&f.scan));
    for (unsigned i = 1; i < workers; i++)
        TRY_OUT(merge(&f.names[0], &f.names[i]));
    write_names(&f, q->limit, started, out);
out:
    for (unsigned i = 0; i < workers; i++) {
        mem_free(f.names[i].item);
        mem_free(f.names[i].slot);
        buf_release(&f.names[i].path);
        arena_release(&f.names[i].arena);
        reservation_release(&f.names[i].res);
    }
    mem_free(f.names);
    scan_close(&f.scan);
    arena_release(&arena);
    return err;
}
