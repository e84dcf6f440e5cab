/* Snapshots: what a query sees.
 *
 * Under the lock, in one instant, a snapshot takes a reference to the manifest and, for each stream
 * it wants, one to the list of its parts with the list's length. A cut or a merge swaps both sides
 * under the same lock, so every record delivered before that instant is in the snapshot exactly
 * once, and stays readable, whatever happens to the store, until it is closed.
 *
 * Then, without the lock, the block refs are laid out: blocks of sections (whose tails load on
 * first use), then parts. A section whose tail cannot be read, or whose segment has no file, is
 * counted as unreadable and left out: the answer is then partial, and says so. */
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <stdatomic.h>
#include <stdio.h>

struct pinned {
    struct mem_stream *st;
    struct part_list *list;
    uint32_t n;
};

/* What a block_ref's impl points to. */
struct block_place {
    struct manifest_segment *segment; /* or */
    const struct part *part;
    struct str stream;
    uint32_t section, block;
};

struct places {
    struct section_place *place;
    size_t n, cap;
};

struct snapshot {
    struct store *s;
    struct arena arena; /* of the places */
    struct manifest *manifest;
    struct pinned *pinned;
    size_t n_pinned, pinned_cap;
    struct block_ref *ref;
    size_t n, cap;
    struct snapshot_stats stats;
    const struct objects_wait *wait;
    _Atomic uint64_t *fetched; /* in the arena */
    struct landed_others *others;
    struct snapshot_landed landed; /* spans in the arena */
    const struct landed_cursor *behind;
    bool unseen; /* of a merge: read once */
    bool remote; /* some of it is at rest elsewhere */
};

static bool wants_stream(const struct snapshot_want *w, const struct mem_stream *st)
{
    if (!str_eq(st->org, w->org))
        return false;
    if (!w->n_streams)
        return !st->name.n || st->name.p[0] != '_';
    for (uint32_t i = 0; i < w->n_streams; i++)
        if (str_eq(st->name, w->stream[i]))
            return true;
    return false;
}

static bool wants_time(const struct snapshot_want *w, int64_t time_min, int64_t time_max)
{
    return time_max >= w->from && time_min < w->to;
}

static bool wants_segment(const struct snapshot *n, const struct manifest_segment *e)
{
    return !n->behind || landed_in_segment(n->landed.span, n->landed.n, n->behind->ids, e);
}

static bool wants_part(const struct snapshot *n, const struct part *p)
{
    return !n->behind ||
           landed_meets(n->landed.span, n->landed.n, p->position_min, p->position_max);
}

/* With the lock. */
static void pin_stream(struct snapshot *n, struct mem_stream *st)
{
    if (!st->parts)
        return;
    ARRAY_GROW(n->pinned, n->pinned_cap, n->n_pinned + 1);
    atomic_fetch_add_explicit(&st->parts->refs, 1, memory_order_relaxed);
    n->pinned[n->n_pinned++] = (struct pinned){st, st->parts, st->parts->n};
}

static void pin(struct snapshot *n, const struct snapshot_want *w, struct landed_own *own)
{
    struct store *s = n->s;
    pthread_mutex_lock(&s->lock);
    n->manifest = manifest_ref(s->manifest);
    n->others = landed_others_ref(s->others);
    *own = (struct landed_own){s->o.node.number, s->checkpoint, s->delivered,
                               s->o.agrees ? s->o.node.start : 0};
    n->landed = (struct snapshot_landed){.moves = {s->delivered, s->followed},
                                         .node = s->o.node.number,
                                         .published = s->checkpoint,
                                         .forgets = store_is_shared(s) && s->o.agrees,
                                         .resets = s->resets,
                                         .forgot_from = s->forgot_from,
                                         .forgot_upto = s->forgot_upto};
    for (size_t i = 0; i < s->streams.n; i++) {
        struct mem_stream *st = s->streams.all[i];
        if (wants_stream(w, st))
            pin_stream(n, st);
        else if (st->parts && str_eq(st->org, w->org))
            n->stats.blocks_total += st->parts->n;
    }
    pthread_mutex_unlock(&s->lock);
}

static void add_ref(struct snapshot *n, const struct block_place *at, int64_t time_min,
                    int64_t time_max, uint32_t rows, uint64_t bytes)
{
    struct block_place *place = ARENA_NEW(&n->arena, struct block_place);
    *place = *at;
    ARRAY_GROW(n->ref, n->cap, n->n + 1);
    n->ref[n->n] = (struct block_ref){.time_min = time_min,
                                      .time_max = time_max,
                                      .rows = rows,
                                      .bytes = bytes,
                                      .stream = at->stream,
                                      .order = n->n,
                                      .impl = place};
    const uint64_t *number = at->segment ? at->segment->section[at->section].number : NULL;
    if (number) {
        n->ref[n->n].lasting = number[at->block] | LASTING_BLOCK;
    } else if (at->segment) {
        n->ref[n->n].lasting = at->segment->id;
        n->ref[n->n].place = (uint64_t)at->section << 32 | at->block;
    } else if (at->part->block) {
        n->ref[n->n].lasting = block_number(at->part->block) | LASTING_BLOCK;
    } else {
        n->ref[n->n].lasting = at->part->number | LASTING_FRAME;
    }
    n->n++;
}

/* A section whose file may be at rest elsewhere. */
static enum err add_remote_section(struct snapshot *n, const struct snapshot_want *w,
                                   struct manifest_segment *e, uint32_t section)
{
    const struct section_blocks *known;
    enum err err = copy_blocks(n->s, e, section, n->wait, &known);
    if (err == ERR_CANCELED || err == ERR_TIMEOUT)
        return err;
    if (err != OK) {
        log_error("section cannot be read, the answer is partial", "error=%s", err_text());
        if (!n->stats.unreadable++)
            snprintf(n->stats.why, sizeof(n->stats.why), "%s", err_text());
        return OK;
    }
    for (uint32_t b = 0; b < known->n; b++) {
        const struct segment_block_info *info = &known->block[b];
        struct block_place at = {.segment = e,
                                 .stream = e->section[section].stream->name,
                                 .section = section,
                                 .block = b};
        if (wants_time(w, info->time_min, info->time_max))
            add_ref(n, &at, info->time_min, info->time_max, info->rows, info->bytes);
    }
    return OK;
}

static void add_section(struct snapshot *n, const struct snapshot_want *w,
                        struct manifest_segment *e, uint32_t section)
{
    const struct manifest_section *sec = &e->section[section];
    n->stats.sections++;
    if (!e->file) {
        n->stats.unreadable++;
        return;
    }
    for (uint32_t b = 0; b < sec->blocks; b++) {
        struct segment_block_info info;
        if (segment_block(e->file, section, b, &info) != OK) {
            log_error("section cannot be read, the answer is partial", "error=%s", err_text());
            n->stats.unreadable++;
            return;
        }
        if (!wants_time(w, info.time_min, info.time_max))
            continue;
        struct block_place at = {
            .segment = e, .stream = sec->stream->name, .section = section, .block = b};
        add_ref(n, &at, info.time_min, info.time_max, info.rows, info.bytes);
    }
}

static void add_segments(struct snapshot *n, const struct snapshot_want *w, struct places *remote)
{
    const struct manifest *m = n->manifest;
    n->stats.segments = m->n;
    for (size_t i = 0; i < m->n; i++)
        for (uint32_t k = 0; k < m->segment[i]->n_sections; k++) {
            const struct manifest_section *sec = &m->segment[i]->section[k];
            if (!sec->stream || !str_eq(sec->stream->org, w->org))
                continue;
            n->stats.blocks_total += sec->blocks;
            if (!wants_segment(n, m->segment[i]) || !wants_stream(w, sec->stream) ||
                !wants_time(w, sec->time_min, sec->time_max))
                continue;
            if (m->segment[i]->remote) {
                ARRAY_GROW(remote->place, remote->cap, remote->n + 1);
                remote->place[remote->n++] = (struct section_place){m->segment[i], k};
            } else {
                add_section(n, w, m->segment[i], k);
            }
        }
}

/* Those whose blocks are not known are asked for together. */
static enum err add_remote(struct snapshot *n, const struct snapshot_want *w,
                           const struct places *remote)
{
    struct places unknown = {NEW_ARRAY(struct section_place, remote->n ? remote->n : 1), 0, 0};
    enum err err = OK;
    for (size_t i = 0; i < remote->n; i++) {
        const struct section_place *p = &remote->place[i];
        if (!atomic_load(&p->segment->section[p->section].known))
            unknown.place[unknown.n++] = *p;
    }
    if (unknown.n > 1)
        copy_blocks_ahead(n->s, unknown.place, unknown.n, n->wait);
    mem_free(unknown.place);
    for (size_t i = 0; err == OK && i < remote->n; i++) {
        struct manifest_segment *e = remote->place[i].segment;
        uint32_t section = remote->place[i].section;
        n->stats.sections++;
        err = add_remote_section(n, w, e, section);
        const struct section_blocks *known = atomic_load(&e->section[section].known);
        if (known && !e->section[section].blocks)
            n->stats.blocks_total += known->n;
    }
    return err;
}

static enum err add_all(struct snapshot *n, const struct snapshot_want *w)
{
    struct places remote = {NULL, 0, 0};
    n->wait = w->wait;
    n->fetched = arena_zalloc(&n->arena, sizeof(*n->fetched));
    add_segments(n, w, &remote);
    n->remote = remote.n > 0;
    enum err err = remote.n ? add_remote(n, w, &remote) : OK;
    mem_free(remote.place);
    return err;
}

static void add_parts(struct snapshot *n, const struct snapshot_want *w)
{
    for (size_t i = 0; i < n->n_pinned; i++) {
        const struct pinned *pin = &n->pinned[i];
        n->stats.blocks_total += pin->n;
        for (uint32_t k = 0; k < pin->n; k++) {
            const struct part *p = pin->list->part[k];
            struct block_place at = {.part = p, .stream = pin->st->name};
            if (wants_part(n, p) && wants_time(w, p->time_min, p->time_max))
                add_ref(n, &at, p->time_min, p->time_max, p->rows, p->bytes);
        }
    }
}

enum err snapshot_open_merged(const struct merged *m, const struct snapshot_want *want,
                              struct snapshot **ret)
{
    struct snapshot *n = NEW(struct snapshot);
    n->s = m->s;
    n->unseen = true;
    arena_init(&n->arena, 0, NULL);
    n->manifest = manifest_ref(m->manifest);
    enum err err = add_all(n, want);
    if (err != OK)
        snapshot_close(n);
    else
        *ret = n;
    return err;
}

int64_t merged_took_ns(const struct merged *m)
{
    return m->took_ns;
}

static void find_landed(struct snapshot *n, const struct snapshot_want *w,
                        const struct landed_own *own)
{
    struct landed_span *span = landed_spans(own, n->others, w->behind, &n->arena, &n->landed.n);
    n->landed.ids = n->others ? n->others->ids : 0;
    n->behind = w->behind;
    if (w->behind && w->window) {
        *span = *w->window;
        n->landed.n = 1;
    }
    if (w->behind)
        landed_find(span, n->landed.n, n->manifest);
    n->landed.span = span;
}

enum err snapshot_open(struct store *s, const struct snapshot_want *want, struct snapshot **ret)
{
    struct snapshot *n = NEW(struct snapshot);
    struct landed_own own;
    n->s = s;
    arena_init(&n->arena, 0, NULL);
    pin(n, want, &own);
    find_landed(n, want, &own);
    enum err err = add_all(n, want);
    if (err != OK) {
        snapshot_close(n);
        return err;
    }
    add_parts(n, want);
    *ret = n;
    return OK;
}

void snapshot_close(struct snapshot *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->n_pinned; i++)
        part_list_unref(n->pinned[i].list);
    manifest_unref(n->manifest);
    landed_others_unref(n->others);
    mem_free(n->pinned);
    mem_free(n->ref);
    arena_release(&n->arena);
    mem_free(n);
}

void snapshot_landed(const struct snapshot *n, struct snapshot_landed *ret)
{
    *ret = n->landed;
}

const struct block_ref *snapshot_blocks(const struct snapshot *n, size_t *ret_n)
{
    *ret_n = n->n;
    return n->ref;
}

void snapshot_stats(const struct snapshot *n, struct snapshot_stats *ret)
{
    *ret = n->stats;
    ret->fetched = *n->fetched;
}

static enum err rows_of(const struct snapshot *n, const struct block_place *at,
                        struct segment *file, struct arena *arena, uint64_t *bytes_read,
                        struct rows *ret)
{
    if (n->unseen)
        return segment_block_rows_uncached(file, at->section, at->block, arena, ret);
    return segment_block_rows(file, at->section, at->block, arena, bytes_read, ret);
}

static enum err open_remote(const struct snapshot *n, const struct block_place *at,
                            struct arena *arena, uint64_t *bytes_read, struct rows *ret)
{
    struct segment *file;
    TRY(copy_open(n->s, at->segment, n->wait, n->fetched, &file));
    enum err err = rows_of(n, at, file, arena, bytes_read, ret);
    segment_unref(file);
    return err;
}

bool block_is_here(const struct snapshot *n, const struct block_ref *b)
{
    const struct block_place *at = b->impl;
    return at->part || copy_is_here(n->s, at->segment);
}

enum err block_fetch(const struct snapshot *n, const struct block_ref *b)
{
    const struct block_place *at = b->impl;
    struct segment *file;
    TRY(copy_open(n->s, at->segment, n->wait, n->fetched, &file));
    segment_unref(file); /* it stays for a while */
    return OK;
}

void block_ahead(const struct snapshot *s, const struct block_ref *b)
{
    const struct block_place *at = b->impl;
    if (!at->part)
        copy_ahead(s->s, at->segment);
}

bool snapshot_is_remote(const struct snapshot *n)
{
    return n->remote;
}

bool block_suspect(const struct snapshot *n, const struct block_ref *b)
{
    const struct block_place *at = b->impl;
    return !at->part && copy_suspect(n->s, at->segment);
}

enum err block_open(const struct snapshot *n, const struct block_ref *b, struct arena *arena,
                    struct rows *ret, uint64_t *bytes_read)
{
    const struct block_place *at = b->impl;
    if (at->part)
        return part_open(at->part, at->stream, arena, bytes_read, ret);
    if (at->segment->remote)
        return open_remote(n, at, arena, bytes_read, ret);
    return rows_of(n, at, at->segment->file, arena, bytes_read, ret);
}
