/* Compaction: few files, each of one retention day.
 *
 * What is merged next (the first that applies):
 *   - compact_files fresh (level 0) segments: their sections go to files of one day each, level 1;
 *   - compact_files segments of one day and level: to one of the next level;
 *   - segments of a day that is over and has no rows in level 0 any more: to one, unless what comes
 *     to the largest is small beside it (late records never rewrite much more than themselves).
 * A file that holds COMPACT_DONE_RAW of raw data is left alone. `full` takes any fresh segment,
 * were it the only one (it has not been encoded hard yet), and any two of a day.
 *
 * Writing: for each day, sections by stream; the blocks of a stream's sections are merged in total
 * order (merge.c: one decoded source block at a time) and encoded harder. A file ends at the first
 * section behind COMPACT_DONE_RAW, a stream past that much has its own.
 *
 * Exactly once: the new files take the old ones' place in the catalog by one transaction and in the
 * manifest by one pointer. A crash before leaves files that the catalog does not name, a crash
 * behind it leaves the old ones: the next start removes either. A source that cannot be read is
 * left alone from then on (damaged), the others are merged without it. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/merge.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define COMPACT_DONE_RAW (1ull << 30)
/* Raw bytes up to which all that is merged together is small, and zstd's level for it. */
#define SMALL_RAW (32ull << 20)
enum { SMALL_ZSTD_LEVEL = 15 };
#define COMPACT_INPUT_RAW (4ull << 30)
/* A merge takes at most so many times compact_files at once. */
#define COMPACT_FILES_FACTOR 8
/* A day is over for us so long after its end. */
#define SETTLED_NS (2 * 3600 * NS_PER_S)
/* The smaller files of a day are merged into the largest from this part of it on. */
#define SMALL_PART 8
#define DISK_SPARE (16ull << 20)

/* ---- plan ---- */

struct plan {
    struct manifest_segment **segment; /* not referenced: the manifest is */
    size_t n;
};

static bool mergeable(const struct manifest_segment *e)
{
    return (e->remote || e->file) && !e->damaged && (!e->level || e->raw_bytes < COMPACT_DONE_RAW);
}

/* Takes segments of the plan while they stay within what one merge may read. */
static void plan_limit(struct store *s, struct plan *p, bool full)
{
    size_t most = (size_t)s->o.compact_files * COMPACT_FILES_FACTOR, n = 0;
    uint64_t raw = 0;
    while (n < p->n && n < most) {
        raw += p->segment[n]->raw_bytes;
        if (n >= 2 && raw > COMPACT_INPUT_RAW && (full || n >= s->o.compact_files))
            break;
        n++;
    }
    p->n = n;
}

/* Level 0, oldest first. */
static bool plan_fresh(struct store *s, const struct manifest *m, bool full, struct plan *p)
{
    p->n = 0;
    for (size_t i = 0; i < m->n; i++)
        if (!m->segment[i]->level && mergeable(m->segment[i]))
            p->segment[p->n++] = m->segment[i];
    if (p->n < (full ? 1 : s->o.compact_files))
        return false;
    plan_limit(s, p, full);
    return true;
}

/* Of one day; `level` 0: of any level. */
static void plan_collect(const struct manifest *m, int64_t day, uint32_t level, struct plan *p)
{
    p->n = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct manifest_segment *e = m->segment[i];
        if (e->level && mergeable(e) && e->day_min == day && e->day_max == day &&
            (!level || e->level == level))
            p->segment[p->n++] = e;
    }
}

static bool day_is_over(const struct manifest *m, int64_t day)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct manifest_segment *e = m->segment[i];
        if (!e->level && mergeable(e) && e->day_min <= day && day <= e->day_max)
            return false;
    }
    return clock_now_ns() >= (day + 1) * NS_PER_DAY + SETTLED_NS;
}

static bool worth_settling(const struct plan *p)
{
    uint64_t sum = 0, largest = 0;
    for (size_t i = 0; i < p->n; i++) {
        sum += p->segment[i]->raw_bytes;
        if (p->segment[i]->raw_bytes > largest)
            largest = p->segment[i]->raw_bytes;
    }
    return (sum - largest) * SMALL_PART >= largest;
}

/* The day and level of segment `e`. */
static bool plan_day(struct store *s, const struct manifest *m, const struct manifest_segment *e,
                     bool full, struct plan *p)
{
    if (!e->level || !mergeable(e) || e->day_min != e->day_max)
        return false;
    plan_collect(m, e->day_min, e->level, p);
    if (p->n < s->o.compact_files) {
        plan_collect(m, e->day_min, 0, p);
        if (p->n < 2 || (!full && !(day_is_over(m, e->day_min) && worth_settling(p))))
            return false;
    }
    plan_limit(s, p, full);
    return p->n >= 2;
}

static bool plan_next(struct store *s, const struct manifest *m, bool full, struct plan *p)
{
    if (plan_fresh(s, m, full, p))
        return true;
    for (size_t i = 0; i < m->n; i++)
        if (plan_day(s, m, m->segment[i], full, p))
            return true;
    return false;
}

bool compact_is_due(struct store *s)
{
    struct manifest *m = store_manifest(s);
    struct plan p = {NEW_ARRAY(struct manifest_segment *, m->n ? m->n : 1), 0};
    bool due = plan_next(s, m, false, &p);
    mem_free(p.segment);
    manifest_unref(m);
    return due;
}

/* ---- merge ---- */

/* A section of the plan, in the order of the output. */
struct piece {
    const struct manifest_section *section;
    struct manifest_segment *segment;
    struct segment *file;
    uint32_t number;
};

/* A block of the section that is being written. */
struct source_block {
    struct manifest_segment *segment;
    struct segment *file;
    uint32_t section, block;
    struct merge_source source;
};

struct merging {
    struct store *s;
    const struct plan *plan;
    struct segment **file; /* of each segment of the plan, held */
    struct arena arena;    /* rows of the new segments */
    uint32_t level;
    uint64_t position_min, position_max;
    int64_t created_ns;
    struct segment_writer *w; /* the file being written */
    uint64_t id, raw;         /* its id, and raw bytes so far */
    int zstd_level;
    struct source_block *block;
    size_t n_blocks, blocks_cap;
    struct replacement r;
    size_t add_cap;
    struct catalog_segment *row;
    size_t row_cap;
};

static int piece_cmp(const void *pa, const void *pb)
{
    const struct piece *a = pa, *b = pb;
    uint64_t x = a->section->stream->id, y = b->section->stream->id;
    if (a->section->day != b->section->day)
        return a->section->day < b->section->day ? -1 : 1;
    if (x != y)
        return x < y ? -1 : 1;
    return a->segment->id < b->segment->id ? -1 : a->segment->id > b->segment->id;
}

static int source_block_cmp(const void *pa, const void *pb)
{
    const struct source_block *a = pa, *b = pb;
    if (a->source.time_min != b->source.time_min)
        return a->source.time_min < b->source.time_min ? -1 : 1;
    if (a->segment->id != b->segment->id)
        return a->segment->id < b->segment->id ? -1 : 1;
    return a->block < b->block ? -1 : a->block > b->block;
}

static enum err finish_file(struct merging *g)
{
    if (!g->w)
        return OK;
    struct segment_writer *w = g->w;
    g->w = NULL;
    ARRAY_GROW(g->r.add, g->add_cap, g->r.n_add + 1);
    ARRAY_GROW(g->row, g->row_cap, g->r.n_add + 1);
    struct catalog_segment *row = &g->row[g->r.n_add];
    TRY(segment_finish(w, g->position_min, g->position_max, &g->arena, row));
    row->created_ns = g->created_ns;
    enum err err = manifest_segment_open(g->s, row, false, &g->r.add[g->r.n_add]);
    if (err != OK) {
        manifest_drop_file(g->s, g->id);
        return err;
    }
    return objects_keep(g->s, g->r.add[g->r.n_add++]);
}

static enum err begin_file(struct merging *g)
{
    TRY(catalog_new_segment_id(g->s->o.catalog, &g->id));
    char *path = store_segment_path(g->s, g->id);
    enum err err = segment_writer_open(path, g->id, g->level, &g->w);
    mem_free(path);
    g->raw = 0;
    return err;
}

static enum err open_block(void *ctx, uint32_t i, struct arena *a, struct rows *ret)
{
    struct merging *g = ctx;
    struct source_block *b = &g->block[i];
    return segment_block_rows_uncached(b->file, b->section, b->block, a, ret);
}

static enum err add_block(void *ctx, struct block *b)
{
    struct merging *g = ctx;
    g->raw += block_raw_bytes(b);
    enum err err = segment_add_block(g->w, b);
    block_unref(b);
    return err;
}

static bool stop(void *ctx)
{
    return store_stopping(((struct merging *)ctx)->s);
}

/* The blocks of pieces[0..n), all of one stream and day. */
static enum err list_blocks(struct merging *g, const struct piece *piece, size_t n)
{
    g->n_blocks = 0;
    for (size_t i = 0; i < n; i++) {
        const struct manifest_section *sec = piece[i].section;
        struct section_info own;
        TRY(segment_section(piece[i].file, piece[i].number, &own));
        for (uint32_t k = 0; k < own.blocks; k++) {
            struct segment_block_info info;
            enum err err = segment_block(piece[i].file, piece[i].number, k, &info);
            if (err == ERR_CORRUPT)
                piece[i].segment->damaged = true;
            TRY(err);
            ARRAY_GROW(g->block, g->blocks_cap, g->n_blocks + 1);
            g->block[g->n_blocks++] =
                (struct source_block){piece[i].segment,
                                      piece[i].file,
                                      piece[i].number,
                                      k,
                                      {info.time_min, info.time_max, info.rows,
                                       sec->rows ? sec->raw_bytes / sec->rows * info.rows : 0}};
        }
    }
    qsort(g->block, g->n_blocks, sizeof(*g->block), source_block_cmp);
    return OK;
}

static enum err merge_section(struct merging *g, const struct piece *piece, size_t n)
{
    struct mem_stream *st = piece->section->stream;
    TRY(list_blocks(g, piece, n));
    struct merge_source *source = NEW_ARRAY(struct merge_source, g->n_blocks ? g->n_blocks : 1);
    for (size_t i = 0; i < g->n_blocks; i++)
        source[i] = g->block[i].source;
    uint32_t at = 0;
    struct merge m = {.source = source,
                      .n = (uint32_t)g->n_blocks,
                      .open = open_block,
                      .emit = add_block,
                      .stop = stop,
                      .ctx = g,
                      .opened = &at,
                      .stream = st->name,
                      .block_rows = g->s->o.block_rows,
                      .block_bytes = g->s->o.block_bytes,
                      .zstd_level = g->zstd_level,
                      .owner = OWNER_COMPACT,
                      .scratch_owner = OWNER_COMPACT,
                      .gate = &g->s->scratch};
    enum err err = segment_begin_section(g->w, st->id, st->org, st->name, piece->section->day);
    if (err == OK)
        err = merge_run(&m);
    if (err == ERR_CORRUPT && at < g->n_blocks)
        g->block[at].segment->damaged = true;
    if (err == OK)
        err = segment_end_section(g->w);
    mem_free(source);
    return err;
}

/* pieces[0..n) are one stream's of one day. A new day, a large stream and a large file begin a
 * file. */
static enum err write_section(struct merging *g, const struct piece *piece, size_t n, bool new_day)
{
    uint64_t raw = 0;
    for (size_t i = 0; i < n; i++)
        raw += piece[i].section->raw_bytes;
    if (new_day || raw >= COMPACT_DONE_RAW || g->raw >= COMPACT_DONE_RAW)
        TRY(finish_file(g));
    if (!g->w)
        TRY(begin_file(g));
    return merge_section(g, piece, n);
}

/* A small merge is over at once at any level, and its columns are too short for zstd to find much
 * in at a low one. */
static int level_for(const struct store *s, const struct piece *piece, size_t n)
{
    uint64_t raw = 0;
    for (size_t i = 0; i < n; i++)
        raw += piece[i].section->raw_bytes;
    int least = raw <= SMALL_RAW ? SMALL_ZSTD_LEVEL : 0;
    return s->o.compact_zstd_level > least ? s->o.compact_zstd_level : least;
}

static enum err write_pieces(struct merging *g, const struct piece *piece, size_t n)
{
    for (size_t i = 0; i < n;) {
        const struct manifest_section *first = piece[i].section;
        size_t end = i + 1;
        while (end < n && piece[end].section->day == first->day &&
               piece[end].section->stream == first->stream)
            end++;
        bool new_day = i && piece[i - 1].section->day != first->day;
        TRY(write_section(g, &piece[i], end - i, new_day));
        i = end;
    }
    return finish_file(g);
}

static enum err merge_files(struct merging *g)
{
    size_t n = 0, at = 0;
    for (size_t i = 0; i < g->plan->n; i++)
        n += g->plan->segment[i]->n_sections;
    struct piece *piece = NEW_ARRAY(struct piece, n ? n : 1);
    for (size_t i = 0; i < g->plan->n; i++) {
        struct manifest_segment *e = g->plan->segment[i];
        for (uint32_t k = 0; k < e->n_sections; k++)
            piece[at++] = (struct piece){&e->section[k], e, g->file[i], k};
    }
    qsort(piece, n, sizeof(*piece), piece_cmp);
    g->zstd_level = level_for(g->s, piece, n);
    enum err err = write_pieces(g, piece, n);
    mem_free(piece);
    return err;
}

/* ---- the whole ---- */

/* What is at rest elsewhere is fetched, and stays here while it is merged. */
static enum err open_inputs(struct merging *g)
{
    struct objects_wait wait = store_until_closing(g->s);
    g->file = NEW_ARRAY(struct segment *, g->plan->n);
    for (size_t i = 1; i < g->plan->n; i++)
        copy_ahead(g->s, g->plan->segment[i]);
    for (size_t i = 0; i < g->plan->n; i++)
        TRY(copy_open(g->s, g->plan->segment[i], &wait, NULL, &g->file[i]));
    return OK;
}

static void close_inputs(struct merging *g)
{
    for (size_t i = 0; g->file && i < g->plan->n; i++)
        if (g->file[i])
            segment_unref(g->file[i]);
    mem_free(g->file);
}

/* A copy that is damaged is fetched once more; a file that is, is left alone. */
static void judge_damage(struct merging *g)
{
    for (size_t i = 0; i < g->plan->n; i++)
        if (g->plan->segment[i]->damaged && copy_suspect(g->s, g->plan->segment[i]))
            g->plan->segment[i]->damaged = false;
}

static enum err check_space(struct store *s, const struct plan *p)
{
    uint64_t need = DISK_SPARE, free_bytes, total;
    for (size_t i = 0; i < p->n; i++)
        need += p->segment[i]->bytes;
    TRY(io_disk_space(s->segments_dir, &free_bytes, &total));
    if (free_bytes < need)
        return err_set(ERR_FULL,
                       "merging %zu segments needs %" PRIu64 " bytes, %" PRIu64 " are free", p->n,
                       need, free_bytes);
    return OK;
}

static void describe(struct merging *g)
{
    g->position_min = UINT64_MAX;
    for (size_t i = 0; i < g->plan->n; i++) {
        const struct manifest_segment *e = g->plan->segment[i];
        if (e->level >= g->level)
            g->level = e->level + 1;
        if (e->position_min < g->position_min)
            g->position_min = e->position_min;
        if (e->position_max > g->position_max)
            g->position_max = e->position_max;
        if (e->created_ns > g->created_ns)
            g->created_ns = e->created_ns; /* the window of client ids goes by it */
    }
}

static void take_inputs(struct merging *g)
{
    g->r.remove = NEW_ARRAY(struct manifest_segment *, g->plan->n);
    for (size_t i = 0; i < g->plan->n; i++)
        g->r.remove[g->r.n_remove++] = manifest_segment_ref(g->plan->segment[i]);
}

/* What is said of a merge once it is in the catalog, when its lists are gone. */
struct summary {
    size_t from, to;
    uint64_t rows, before, after;
    bool own; /* of nothing but Weir's own log */
};

static struct summary summarize(const struct merging *g)
{
    struct summary sum = {.from = g->r.n_remove, .to = g->r.n_add, .own = true};
    for (size_t i = 0; i < g->r.n_remove; i++) {
        sum.before += g->r.remove[i]->bytes;
        sum.own = sum.own && manifest_segment_is_own(g->r.remove[i]);
    }
    for (size_t i = 0; i < g->r.n_add; i++) {
        sum.rows += g->r.add[i]->rows;
        sum.after += g->r.add[i]->bytes;
    }
    return sum;
}

static void report(struct store *s, const struct summary *sum, uint32_t level, int64_t took_ns)
{
    log_at(sum->own ? LOG_DEBUG : LOG_INFO, "segments merged",
           "from=%zu to=%zu level=%u rows=%" PRIu64 " bytes=%" PRIu64 " before=%" PRIu64 " ms=%lld",
           sum->from, sum->to, level, sum->rows, sum->after, sum->before,
           (long long)(took_ns / NS_PER_MS));
    metric_add(s->m.merges, 1);
    metric_observe_ns(s->m.merge_seconds, took_ns);
    pthread_mutex_lock(&s->lock);
    s->merges++;
    pthread_mutex_unlock(&s->lock);
}

static void undo(struct merging *g)
{
    char text[200];
    snprintf(text, sizeof(text), "%s", err_text());
    if (g->w)
        segment_abort(g->w);
    for (size_t i = 0; i < g->r.n_add; i++)
        g->r.add[i]->doomed = true;
    (void)err_set(ERR_IO, "%s", text);
}

/* Lets who keeps what was made of blocks look at the new ones. */
static void show(struct merging *g, int64_t took_ns)
{
    struct store *s = g->s;
    struct manifest *none = manifest_empty();
    struct merged m = {s, manifest_change(none, NULL, 0, g->r.add, g->r.n_add), took_ns};
    pthread_mutex_lock(&s->merged_lock);
    if (s->merged)
        s->merged(s->merged_ctx, &m);
    pthread_mutex_unlock(&s->merged_lock);
    manifest_unref(m.manifest);
    manifest_unref(none);
}

static enum err merge_plan(struct store *s, const struct plan *p)
{
    struct merging g = {.s = s, .plan = p};
    int64_t begun = clock_mono_ns();
    TRY(check_space(s, p));
    arena_init(&g.arena, 0, NULL);
    describe(&g);
    take_inputs(&g);
    enum err err = open_inputs(&g);
    if (err == OK)
        err = merge_files(&g);
    if (err != OK) {
        undo(&g);
        judge_damage(&g);
    } else {
        struct summary sum = summarize(&g);
        show(&g, clock_mono_ns() - begun);
        err = manifest_replace(s, &g.r, g.row);
        if (err == OK)
            report(s, &sum, g.level, clock_mono_ns() - begun);
    }
    close_inputs(&g);
    replacement_release(&g.r);
    mem_free(g.block);
    mem_free(g.row);
    arena_release(&g.arena);
    return err;
}

static size_t damaged_in(const struct plan *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n; i++)
        n += p->segment[i]->damaged;
    return n;
}

enum err compact_once(struct store *s, bool full, bool *ret_did)
{
    TRY(manifest_resolve(s));
    struct manifest *m = store_manifest(s);
    struct plan p = {NEW_ARRAY(struct manifest_segment *, m->n ? m->n : 1), 0};
    enum err err = OK;
    *ret_did = plan_next(s, m, full, &p);
    if (*ret_did)
        err = merge_plan(s, &p);
    if (err != OK && err != ERR_CANCELED) {
        metric_add(s->m.merge_errors, 1);
        log_error("merge failed", "segments=%zu error=%s", p.n, err_text());
    }
    if (err == ERR_CORRUPT && damaged_in(&p))
        err = OK; /* the next plan leaves it out */
    mem_free(p.segment);
    manifest_unref(m);
    return err;
}
