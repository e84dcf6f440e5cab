/* Where the rows of a block came from.
 *
 * A chunk of encoding ENC_ORIGIN with as many values as the block has rows:
 *   part 0   varint number of entries E, varint number of runs R, then sequences of E integers
 *            (ints.c): partitions, positions, arrival times of the entries; ascending by
 *            (partition, position, arrival)
 *   part 1   sequences of R integers: entry numbers; lengths, together the block's rows; distance
 *            of the run's first index from where the last run of its entry ended (at first from 0)
 *
 * After a sort by time a run may be a single row, so everything that repeats is taken out of it:
 * mostly the distances are all 0 and the lengths all 1, and a run costs the bits of its entry
 * number. */
#include "store/block_dir.h"
#include "store/chunk.h"

#include <stdlib.h>

struct entry {
    uint64_t position;
    int64_t arrival_ns;
    uint32_t partition;
};

static struct entry entry_of(const struct origin_run *r)
{
    return (struct entry){r->position, r->arrival_ns, r->partition};
}

static int entry_cmp(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->arrival_ns < y->arrival_ns ? -1 : x->arrival_ns > y->arrival_ns;
}

static bool entry_eq(const struct entry *a, const struct entry *b)
{
    return a->partition == b->partition && a->position == b->position &&
           a->arrival_ns == b->arrival_ns;
}

static uint32_t distinct_entries(const struct origin_run *run, uint32_t n, struct entry *to)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct entry e = entry_of(&run[i]);
        if (kept == 0 || !entry_eq(&to[kept - 1], &e))
            to[kept++] = e;
    }
    qsort(to, kept, sizeof(*to), entry_cmp);
    uint32_t unique = 0;
    for (uint32_t i = 0; i < kept; i++)
        if (unique == 0 || !entry_eq(&to[unique - 1], &to[i]))
            to[unique++] = to[i];
    return unique;
}

static struct str entries_bytes(const struct entry *e, uint32_t n, uint32_t runs,
                                struct arena *scratch)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_varint(&b, n);
    buf_put_varint(&b, runs);
    int64_t *v = arena_alloc(scratch, n * sizeof(int64_t));
    for (uint32_t i = 0; i < n; i++)
        v[i] = e[i].partition;
    ints_encode(v, n, INTS_PACKED, scratch, &b);
    for (uint32_t i = 0; i < n; i++)
        v[i] = (int64_t)e[i].position;
    ints_encode(v, n, INTS_PACKED, scratch, &b);
    for (uint32_t i = 0; i < n; i++)
        v[i] = e[i].arrival_ns;
    ints_encode(v, n, INTS_PACKED, scratch, &b);
    struct str s = arena_str(scratch, buf_str(&b));
    buf_release(&b);
    return s;
}

struct run_columns {
    int64_t *entry, *length, *distance;
};

static void split_runs(const struct origin_run *run, uint32_t n, uint32_t rows,
                       const struct entry *e, uint32_t n_entries, struct arena *scratch,
                       struct run_columns *ret)
{
    uint64_t *next = ARENA_ARRAY(scratch, uint64_t, n_entries);
    for (uint32_t i = 0; i < n; i++) {
        struct entry key = entry_of(&run[i]);
        const struct entry *at =
            i && ret->entry[i - 1] >= 0 && entry_eq(&e[ret->entry[i - 1]], &key)
                ? &e[ret->entry[i - 1]]
                : bsearch(&key, e, n_entries, sizeof(*e), entry_cmp);
        uint32_t length = (i + 1 < n ? run[i + 1].row : rows) - run[i].row;
        uint64_t k = (uint64_t)(at - e);
        ret->entry[i] = (int64_t)k;
        ret->length[i] = length;
        ret->distance[i] = (int64_t)(run[i].index - next[k]);
        next[k] = (uint64_t)run[i].index + length;
    }
}

enum err origin_encode(const struct origin_run *run, uint32_t n_runs, uint32_t rows,
                       const struct encode_options *o, struct arena *scratch, struct buf *out)
{
    CHECK(n_runs > 0 && n_runs <= rows);
    struct entry *e = arena_alloc(scratch, n_runs * sizeof(*e));
    uint32_t entries = distinct_entries(run, n_runs, e);
    int64_t *v = arena_alloc(scratch, (size_t)n_runs * 3 * sizeof(int64_t));
    struct run_columns c = {v, v + n_runs, v + 2 * (size_t)n_runs};
    split_runs(run, n_runs, rows, e, entries, scratch, &c);
    struct buf b;
    buf_init(&b, SIZE_MAX);
    ints_encode(c.entry, n_runs, INTS_PACKED, scratch, &b);
    ints_encode(c.length, n_runs, INTS_PACKED, scratch, &b);
    ints_encode(c.distance, n_runs, INTS_PACKED, scratch, &b);
    struct part_out part[2] = {
        {.raw = entries_bytes(e, entries, n_runs, scratch), .zip = ZIP_SAMPLE},
        {.raw = buf_str(&b), .zip = ZIP_SAMPLE},
    };
    enum err err = chunk_write(ENC_ORIGIN, rows, part, 2, o, scratch, out);
    buf_release(&b);
    return err;
}

static enum err corrupt(const char *what)
{
    return err_set(ERR_CORRUPT, "origin of rows: %s", what);
}

static enum err read_entries(struct reader *r, uint32_t n, struct arena *a, struct entry *to)
{
    int64_t *v = ARENA_TRY_ARRAY(a, int64_t, (size_t)n * 3);
    if (!v)
        return err_set(ERR_NOMEM, "no memory for %u queue entries", n);
    for (int k = 0; k < 3; k++)
        TRY(ints_decode(r, n, a, v + (size_t)k * n));
    for (uint32_t i = 0; i < n; i++) {
        if (v[i] < 0 || v[i] > UINT32_MAX)
            return corrupt("bad partition");
        to[i] = (struct entry){(uint64_t)v[n + i], v[2 * (size_t)n + i], (uint32_t)v[i]};
    }
    return reader_left(r) ? corrupt("bytes left over") : OK;
}

static enum err join_runs(const struct run_columns *c, uint32_t n, uint32_t rows,
                          const struct entry *e, uint32_t n_entries, struct arena *a,
                          struct origin_run *to)
{
    uint64_t *next = ARENA_TRY_ARRAY(a, uint64_t, n_entries);
    if (!next)
        return err_set(ERR_NOMEM, "no memory for %u queue entries", n_entries);
    memset(next, 0, n_entries * sizeof(*next));
    uint32_t row = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t k = (uint64_t)c->entry[i];
        if (k >= n_entries || c->length[i] < 1 || c->length[i] > (int64_t)(rows - row))
            return corrupt("bad run");
        uint64_t index = next[k] + (uint64_t)c->distance[i];
        if (index > UINT32_MAX - BLOCK_ROWS_MAX)
            return corrupt("bad index");
        to[i] = (struct origin_run){.row = row,
                                    .index = (uint32_t)index,
                                    .partition = e[k].partition,
                                    .position = e[k].position,
                                    .arrival_ns = e[k].arrival_ns};
        next[k] = index + (uint64_t)c->length[i];
        row += (uint32_t)c->length[i];
    }
    return row == rows ? OK : corrupt("runs do not add up");
}

enum err origin_decode(struct str bytes, uint32_t rows, struct arena *a, struct origin_run **ret,
                       uint32_t *ret_n)
{
    struct chunk c;
    struct str head, runs;
    TRY(chunk_open_as(bytes, CHUNK_TRUSTED, ENC_ORIGIN, rows, a, &c));
    TRY(chunk_part_bytes(&c, 0, &head));
    TRY(chunk_part_bytes(&c, 1, &runs));
    struct reader r = reader_of(head);
    uint64_t entries = read_varint(&r), n = read_varint(&r);
    if (r.bad || n == 0 || n > rows || entries == 0 || entries > n)
        return corrupt("bad counts");
    struct entry *e = ARENA_TRY_ARRAY(a, struct entry, entries);
    int64_t *v = ARENA_TRY_ARRAY(a, int64_t, n * 3);
    struct origin_run *to = ARENA_TRY_ARRAY(a, struct origin_run, n);
    if (!e || !v || !to)
        return err_set(ERR_NOMEM, "no memory for the origin of %u rows", rows);
    TRY(read_entries(&r, (uint32_t)entries, a, e));
    r = reader_of(runs);
    struct run_columns columns = {v, v + n, v + 2 * n};
    for (int k = 0; k < 3; k++)
        TRY(ints_decode(&r, (uint32_t)n, a, v + (size_t)k * n));
    if (reader_left(&r))
        return corrupt("bytes left over");
    TRY(join_runs(&columns, (uint32_t)n, rows, e, (uint32_t)entries, a, to));
    *ret = to;
    *ret_n = (uint32_t)n;
    return OK;
}
