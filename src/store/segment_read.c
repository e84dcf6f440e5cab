/* Reading segments.
 *
 * A segment holds its file, its footer and those section tails that were asked for; all immutable.
 * Tails are loaded under the segment's lock and published by one pointer store, so that readers of
 * a loaded section take no lock. What a segment holds is charged to OWNER_CACHE. Rows keep their
 * segment alive by a reference that their arena drops. */
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/words.h"
#include "store/chunk_cache.h"
#include "store/fuse.h"
#include "store/segment_format.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

enum { TAIL_ARENA_MAX = 1 << 30 };

struct loaded {
    struct arena arena;
    size_t charged;
    struct seg_tail tail;
};
struct segment {
    _Atomic uint32_t refs;
    char *path;
    uint64_t bytes;     /* of the file */
    struct arena arena; /* footer */
    size_t charged;
    struct seg_footer footer;
    struct block_source source, uncached;
    pthread_mutex_t lock;
    _Atomic(struct loaded *) *loaded; /* per section */
    struct blob **ids;                /* per filter; under the lock */
};

static enum err in_file(const char *path, enum err err)
{
    char was[200];
    snprintf(was, sizeof(was), "%s", err_text());
    return err_set(err, "%s: %s", path, was);
}

static enum err read_footer(int fd, struct arena *a, struct seg_footer *ret, uint64_t *ret_size)
{
    uint64_t size, offset, sum;
    uint32_t length;
    TRY(io_size(fd, &size));
    *ret_size = size;
    if (size < SEGMENT_HEADER_BYTES + SEGMENT_TRAILER_BYTES)
        return err_set(ERR_CORRUPT, "segment: a file of %llu bytes is too short",
                       (unsigned long long)size);
    size_t n = size < SEGMENT_ENDING_BYTES ? (size_t)size : SEGMENT_ENDING_BYTES;
    char *end = arena_alloc(a, n);
    TRY(io_pread(fd, end, n, size - n));
    struct str trailer = str_of(end + n - SEGMENT_TRAILER_BYTES, SEGMENT_TRAILER_BYTES);
    TRY(segment_trailer_read(trailer, size, &offset, &length, &sum));
    struct str footer;
    if (offset >= size - n) {
        footer = str_of(end + (offset - (size - n)), length);
    } else {
        char *p = arena_try_alloc(a, length);
        if (!p)
            return err_set(ERR_NOMEM, "no memory for a footer of %u bytes", length);
        TRY(io_pread(fd, p, length, offset));
        footer = str_of(p, length);
    }
    return segment_footer_read(footer, sum, offset, a, ret);
}

enum err segment_open(const char *path, struct segment **ret)
{
    struct segment *s = NEW(struct segment);
    atomic_init(&s->refs, 1);
    s->path = mem_strdup(str_c(path));
    s->source.fd = -1;
    arena_init(&s->arena, TAIL_ARENA_MAX, NULL);
    pthread_mutex_init(&s->lock, NULL);
    enum err err = io_open(path, IO_READ, &s->source.fd);
    if (err == OK) {
        err = read_footer(s->source.fd, &s->arena, &s->footer, &s->bytes);
        if (err != OK)
            err = in_file(path, err);
    }
    s->charged = s->arena.used;
    governor_force(OWNER_CACHE, s->charged);
    if (err != OK) {
        segment_unref(s);
        return err;
    }
    s->source.segment = s->footer.id;
    s->source.path = s->path;
    s->source.filters = str_eq_c(s->footer.words, words_version());
    s->uncached = s->source;
    s->uncached.segment = 0;
    s->loaded = NEW_ARRAY(_Atomic(struct loaded *), s->footer.n_sections);
    s->ids = NEW_ARRAY(struct blob *, s->footer.n_ids);
    *ret = s;
    return OK;
}

struct segment *segment_ref(struct segment *s)
{
    CHECK(atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed) > 0);
    return s;
}

static void loaded_free(struct loaded *l)
{
    if (!l)
        return;
    governor_give(OWNER_CACHE, l->charged);
    arena_release(&l->arena);
    mem_free(l);
}

void segment_unref(struct segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (uint32_t i = 0; s->loaded && i < s->footer.n_sections; i++)
        loaded_free(atomic_load(&s->loaded[i]));
    for (uint32_t i = 0; s->ids && i < s->footer.n_ids; i++)
        blob_unref(s->ids[i]);
    if (s->footer.id)
        chunk_cache_drop(s->footer.id);
    mem_free(s->loaded);
    mem_free(s->ids);
    io_close(s->source.fd);
    governor_give(OWNER_CACHE, s->charged);
    arena_release(&s->arena);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->path);
    mem_free(s);
}

uint64_t segment_id(const struct segment *s)
{
    return s->footer.id;
}

uint64_t segment_bytes(const struct segment *s)
{
    return s->bytes;
}

bool segment_is_idle(const struct segment *s)
{
    return atomic_load_explicit(&s->refs, memory_order_acquire) == 1;
}

const char *segment_path(const struct segment *s)
{
    return s->path;
}

uint32_t segment_sections(const struct segment *s)
{
    return s->footer.n_sections;
}

const struct seg_footer *segment_footer(const struct segment *s)
{
    return &s->footer;
}

const struct block_source *segment_source(const struct segment *s)
{
    return &s->source;
}

static enum err no_such(const struct segment *s, const char *what, uint32_t i)
{
    return err_set(ERR_NOTFOUND, "%s: there is no %s %u", s->path, what, i);
}

enum err segment_section(struct segment *s, uint32_t section, struct section_info *ret)
{
    if (section >= s->footer.n_sections)
        return no_such(s, "section", section);
    const struct seg_section *f = &s->footer.section[section];
    *ret = (struct section_info){.stream_id = f->stream_id,
                                 .org = f->org,
                                 .stream = f->stream,
                                 .day = f->day,
                                 .time_min = f->time_min,
                                 .time_max = f->time_max,
                                 .rows = f->rows,
                                 .raw_bytes = f->raw_bytes,
                                 .bytes = f->tail_offset + f->tail_length - f->offset,
                                 .blocks = f->blocks};
    return OK;
}

/* ---- tails ---- */

static enum err read_tail(struct segment *s, const struct seg_section *f, struct loaded *l)
{
    char *p = arena_try_alloc(&l->arena, f->tail_length);
    if (!p)
        return err_set(ERR_NOMEM, "no memory for a section's directory of %u bytes",
                       f->tail_length);
    TRY(io_pread(s->source.fd, p, f->tail_length, f->tail_offset));
    TRY(segment_tail_read(str_of(p, f->tail_length), f->tail_offset, &l->arena, &l->tail));
    const struct seg_tail *t = &l->tail;
    uint64_t rows = 0;
    for (uint32_t i = 0; i < t->dir.n_blocks; i++)
        rows += t->dir.block[i].rows;
    if (t->stream_id != f->stream_id || t->day != f->day || t->dir.n_blocks != f->blocks ||
        rows != f->rows)
        return err_set(ERR_CORRUPT, "a section's directory disagrees with the footer");
    return OK;
}

static enum err load_section(struct segment *s, uint32_t section, struct loaded **ret)
{
    struct loaded *l = NEW(struct loaded);
    arena_init(&l->arena, TAIL_ARENA_MAX, NULL);
    enum err err = read_tail(s, &s->footer.section[section], l);
    l->charged = l->arena.used + sizeof(*l);
    governor_force(OWNER_CACHE, l->charged);
    if (err != OK) {
        loaded_free(l);
        char where[300];
        snprintf(where, sizeof(where), "%s, section %u", s->path, section);
        return in_file(where, err);
    }
    *ret = l;
    return OK;
}

static enum err section_tail(struct segment *s, uint32_t section, const struct seg_tail **ret)
{
    if (section >= s->footer.n_sections)
        return no_such(s, "section", section);
    struct loaded *l = atomic_load_explicit(&s->loaded[section], memory_order_acquire);
    enum err err = OK;
    if (!l) {
        pthread_mutex_lock(&s->lock);
        l = atomic_load_explicit(&s->loaded[section], memory_order_acquire);
        if (!l)
            err = load_section(s, section, &l);
        if (err == OK)
            atomic_store_explicit(&s->loaded[section], l, memory_order_release);
        pthread_mutex_unlock(&s->lock);
    }
    if (err == OK)
        *ret = &l->tail;
    return err;
}

enum err segment_dir(struct segment *s, uint32_t section, const struct dir **ret)
{
    const struct seg_tail *t = NULL;
    TRY(section_tail(s, section, &t));
    *ret = &t->dir;
    return OK;
}

enum err segment_block(struct segment *s, uint32_t section, uint32_t block,
                       struct segment_block_info *ret)
{
    const struct dir *d = NULL;
    TRY(segment_dir(s, section, &d));
    if (block >= d->n_blocks)
        return no_such(s, "block", block);
    const struct dir_block *b = &d->block[block];
    *ret = (struct segment_block_info){b->time_min, b->time_max, b->rows, b->length};
    return OK;
}

static void unref_segment(void *s)
{
    segment_unref(s);
}

static enum err rows_through(struct segment *s, uint32_t section, uint32_t block,
                             const struct block_source *source, struct arena *arena,
                             uint64_t *bytes_read, struct rows *ret)
{
    const struct dir *d = NULL;
    TRY(segment_dir(s, section, &d));
    if (block >= d->n_blocks)
        return no_such(s, "block", block);
    arena_defer(arena, unref_segment, segment_ref(s));
    return block_dir_rows(d, block, source, s->footer.section[section].stream, arena, bytes_read,
                          ret);
}

enum err segment_block_rows(struct segment *s, uint32_t section, uint32_t block,
                            struct arena *arena, uint64_t *bytes_read, struct rows *ret)
{
    return rows_through(s, section, block, &s->source, arena, bytes_read, ret);
}

enum err segment_block_rows_uncached(struct segment *s, uint32_t section, uint32_t block,
                                     struct arena *arena, struct rows *ret)
{
    return rows_through(s, section, block, &s->uncached, arena, NULL, ret);
}

/* ---- client ids ---- */

static enum err load_ids(struct segment *s, uint32_t i, struct blob **ret)
{
    const struct seg_ids *f = &s->footer.ids[i];
    char *p = mem_alloc(f->length);
    enum err err = io_pread(s->source.fd, p, f->length, f->offset);
    if (err == OK && hash64(str_of(p, f->length)) != f->sum)
        err = err_set(ERR_CORRUPT, "%s: bad checksum of the client ids' filter", s->path);
    if (err != OK)
        mem_free(p);
    else
        *ret = blob_take(p, f->length, OWNER_CACHE);
    return err;
}

bool segment_may_hold_id(struct segment *s, uint64_t hash)
{
    bool may = false;
    for (uint32_t i = 0; i < s->footer.n_ids && !may; i++) {
        pthread_mutex_lock(&s->lock);
        if (!s->ids[i] && load_ids(s, i, &s->ids[i]) != OK)
            may = true; /* not known: look */
        struct blob *b = s->ids[i];
        pthread_mutex_unlock(&s->lock);
        may = may || fuse_may_contain(b->bytes, hash);
    }
    return may;
}
