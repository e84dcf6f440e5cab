/* The manifest and its segments.
 *
 * A segment's entry is made once, from the catalog's row and the file's footer, and never changes;
 * it is shared by every manifest that holds it. At start the catalog is the truth: a file that it
 * names and that is missing or cannot be opened stays as an entry without a file (searches say that
 * they are partial, retention can still expire it); a file that it does not name is what a crash
 * left behind between writing and publishing, or between replacing and removing.
 *
 * Such a file is only removed when this catalog gave out its id. Ids are never given out twice, so
 * a file with an id that the catalog has yet to give out means that the catalog was lost or put
 * back to an older state: the file is moved to `lost/`, where nothing removes or overwrites it. */
#include "store/manifest.h"

#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define SEGMENT_SUFFIX ".seg"

/* ---- entries ---- */

struct manifest_segment *manifest_segment_ref(struct manifest_segment *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

/* Renamed first: what a crash leaves of it is told from a segment by its name. */
static void remove_file(const char *path)
{
    char *dead = mem_printf("%s.del", path);
    enum err err = io_rename(path, dead);
    if (err == OK)
        err = io_unlink(dead);
    if (err != OK && io_exists(path))
        log_warn("segment file stays behind", "path=%s error=%s", path, err_text());
    mem_free(dead);
}

void manifest_segment_unref(struct manifest_segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (s->remote)
        copy_gone(s->remote, s);
    bool here = s->file || !s->remote;
    if (s->file)
        segment_unref(s->file);
    if (s->doomed && here)
        remove_file(s->path);
    if (s->doomed && s->remote && !store_is_shared(s->remote))
        objects_forget(s->remote, s->id);
    for (uint32_t i = 0; i < s->n_sections; i++)
        section_blocks_free(s->section[i].known);
    mem_free(s->section);
    mem_free(s->number);
    mem_free(s->path);
    mem_free(s);
}

void manifest_segment_set_numbers(struct manifest_segment *s, uint64_t *number, size_t n)
{
    size_t at = 0;
    CHECK(!s->number);
    s->number = number;
    for (uint32_t i = 0; i < s->n_sections; i++) {
        s->section[i].number = number + at;
        at += s->section[i].blocks;
    }
    CHECK(at == n);
}

static void add_section(struct manifest_segment *e, uint32_t i, const struct manifest_section *sec)
{
    e->section[i] = *sec;
    e->rows += sec->rows;
    e->raw_bytes += sec->raw_bytes;
    if (!i || sec->day < e->day_min)
        e->day_min = sec->day;
    if (!i || sec->day > e->day_max)
        e->day_max = sec->day;
}

static struct mem_stream *stream_of_id(struct store *s, uint64_t id)
{
    for (size_t i = 0; i < s->streams.n; i++)
        if (s->streams.all[i]->id == id)
            return s->streams.all[i];
    return NULL;
}

/* The stream of a section: by its names where the file is there, else by the catalog's id. */
static struct mem_stream *stream_of(struct store *s, uint64_t id, const struct section_info *info)
{
    pthread_mutex_lock(&s->lock);
    struct mem_stream *st =
        info ? memtable_stream(s, info->org, info->stream) : stream_of_id(s, id);
    if (st && !st->id)
        st->id = id;
    pthread_mutex_unlock(&s->lock);
    return st;
}

static enum err sections_of_file(struct store *s, struct manifest_segment *e,
                                 const struct catalog_segment *row)
{
    if (segment_id(e->file) != row->id || segment_sections(e->file) != row->n_sections)
        return err_set(
            ERR_CORRUPT,
            "%s: holds segment %" PRIu64 " with %u sections, the catalog names %" PRIu64 " with %u",
            e->path, segment_id(e->file), segment_sections(e->file), row->id, row->n_sections);
    for (uint32_t i = 0; i < row->n_sections; i++) {
        struct section_info info;
        TRY(segment_section(e->file, i, &info));
        struct manifest_section sec = {.stream = stream_of(s, info.stream_id, &info),
                                       .day = info.day,
                                       .time_min = info.time_min,
                                       .time_max = info.time_max,
                                       .rows = info.rows,
                                       .raw_bytes = info.raw_bytes,
                                       .bytes = info.bytes,
                                       .blocks = info.blocks,
                                       .tail_offset = row->section[i].offset,
                                       .tail_length = (uint32_t)row->section[i].length};
        add_section(e, i, &sec);
    }
    return OK;
}

static void sections_of_catalog(struct store *s, struct manifest_segment *e,
                                const struct catalog_segment *row)
{
    uint64_t end = 0;
    e->rows = e->raw_bytes = 0;
    for (uint32_t i = 0; i < row->n_sections; i++) {
        const struct catalog_section *c = &row->section[i];
        uint64_t next = c->offset + c->length;
        struct manifest_section sec = {.stream = stream_of(s, c->stream_id, NULL),
                                       .day = c->day,
                                       .time_min = c->time_min,
                                       .time_max = c->time_max,
                                       .rows = c->rows,
                                       .raw_bytes = c->raw_bytes,
                                       .bytes = e->remote && next > end ? next - end : 0,
                                       .tail_offset = c->offset,
                                       .tail_length = (uint32_t)c->length};
        end = next;
        add_section(e, i, &sec);
    }
}

/* Its file is at rest elsewhere: a copy that is none is as good as no copy. */
static void without_copy(struct store *s, struct manifest_segment *e,
                         const struct catalog_segment *row)
{
    if (e->file)
        segment_unref(e->file);
    e->file = NULL;
    if (io_exists(e->path)) {
        log_warn("local copy is damaged, it will be fetched again", "path=%s error=%s", e->path,
                 err_text());
        (void)!io_unlink(e->path);
    }
    sections_of_catalog(s, e, row);
}

static enum err open_file(struct store *s, struct manifest_segment *e,
                          const struct catalog_segment *row)
{
    if (e->remote && !io_exists(e->path))
        return err_set(ERR_NOTFOUND, "%s is not here", e->path);
    TRY(segment_open(e->path, &e->file));
    if (e->remote && segment_bytes(e->file) != row->bytes)
        return err_set(ERR_CORRUPT, "%s has %" PRIu64 " bytes, the catalog says %" PRIu64, e->path,
                       segment_bytes(e->file), row->bytes);
    return sections_of_file(s, e, row);
}

enum err manifest_segment_open(struct store *s, const struct catalog_segment *row, bool tolerate,
                               struct manifest_segment **ret)
{
    struct manifest_segment *e = NEW(struct manifest_segment);
    e->refs = 1;
    e->path = store_segment_path(s, row->id);
    e->id = row->id;
    e->level = row->level;
    e->bytes = row->bytes;
    e->created_ns = row->created_ns;
    e->position_min = row->position_min;
    e->position_max = row->position_max;
    e->n_sections = row->n_sections;
    e->section = NEW_ARRAY(struct manifest_section, row->n_sections ? row->n_sections : 1);
    e->remote = objects_are_remote(s->o.objects) ? s : NULL;
    enum err err = open_file(s, e, row);
    if (err == OK && e->remote)
        copy_here(s, e);
    if (err != OK && tolerate && e->remote) {
        without_copy(s, e, row);
        e->stored = true; /* else it would not be in the catalog */
        err = OK;
    }
    if (err != OK && tolerate) {
        log_error("segment cannot be read, searches will be partial", "id=%" PRIu64 " error=%s",
                  row->id, err_text());
        if (e->file)
            segment_unref(e->file);
        e->file = NULL;
        sections_of_catalog(s, e, row);
        err = OK;
    }
    if (err != OK) {
        manifest_segment_unref(e);
        return err;
    }
    *ret = e;
    return OK;
}

/* ---- manifests ---- */

bool manifest_segment_is_own(const struct manifest_segment *s)
{
    for (uint32_t i = 0; i < s->n_sections; i++)
        if (!s->section[i].stream || !str_eq(s->section[i].stream->name, STORE_OWN_STREAM))
            return false;
    return s->n_sections > 0;
}

struct manifest *manifest_empty(void)
{
    struct manifest *m = NEW(struct manifest);
    m->refs = 1;
    return m;
}

struct manifest *manifest_ref(struct manifest *m)
{
    atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void manifest_unref(struct manifest *m)
{
    if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < m->n; i++)
        manifest_segment_unref(m->segment[i]);
    mem_free(m);
}

static bool among(struct manifest_segment *const *list, size_t n, const struct manifest_segment *s)
{
    for (size_t i = 0; i < n; i++)
        if (list[i]->id == s->id)
            return true;
    return false;
}

bool manifest_has(const struct manifest *m, uint64_t id)
{
    size_t from = 0, to = m->n;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (m->segment[middle]->id < id)
            from = middle + 1;
        else
            to = middle;
    }
    return from < m->n && m->segment[from]->id == id;
}

static int segment_cmp(const void *a, const void *b)
{
    const struct manifest_segment *x = *(struct manifest_segment *const *)a;
    const struct manifest_segment *y = *(struct manifest_segment *const *)b;
    return x->id < y->id ? -1 : x->id > y->id;
}

struct manifest *manifest_change(const struct manifest *m, struct manifest_segment *const *remove,
                                 size_t n_remove, struct manifest_segment *const *add, size_t n_add)
{
    struct manifest *out = mem_zalloc(sizeof(*out) + (m->n + n_add) * sizeof(out->segment[0]));
    out->refs = 1;
    for (size_t i = 0; i < m->n; i++)
        if (!among(remove, n_remove, m->segment[i]))
            out->segment[out->n++] = manifest_segment_ref(m->segment[i]);
    for (size_t i = 0; i < n_add; i++)
        if (!manifest_has(m, add[i]->id))
            out->segment[out->n++] = manifest_segment_ref(add[i]);
    qsort(out->segment, out->n, sizeof(out->segment[0]), segment_cmp);
    return out;
}

struct manifest *manifest_keep(const struct manifest *m, const uint64_t *id, size_t n,
                               struct manifest_segment *const *add, size_t n_add)
{
    struct manifest_segment **gone = NEW_ARRAY(struct manifest_segment *, m->n ? m->n : 1);
    size_t n_gone = 0, at = 0;
    for (size_t i = 0; i < m->n; i++) {
        while (at < n && id[at] < m->segment[i]->id)
            at++;
        if (at == n || id[at] != m->segment[i]->id)
            gone[n_gone++] = m->segment[i];
    }
    struct manifest *out = manifest_change(m, gone, n_gone, add, n_add);
    mem_free(gone);
    return out;
}

struct manifest *store_manifest(struct store *s)
{
    pthread_mutex_lock(&s->lock);
    struct manifest *m = manifest_ref(s->manifest);
    pthread_mutex_unlock(&s->lock);
    return m;
}

void store_swap_manifest(struct store *s, struct manifest *m)
{
    struct manifest *old = s->manifest;
    s->manifest = m;
    uint64_t bytes = 0, unreadable = 0;
    for (size_t i = 0; i < m->n; i++) {
        bytes += m->segment[i]->bytes;
        unreadable += !m->segment[i]->remote && !m->segment[i]->file;
    }
    metric_set(s->m.segments, (int64_t)m->n);
    metric_set(s->m.segment_bytes, (int64_t)bytes);
    metric_set(s->m.unreadable, (int64_t)unreadable);
    /* May be the last holder of segments whose files then go; that is I/O under the lock, but rare
     * and short: callers who removed segments hold a reference of their own beyond the lock. */
    manifest_unref(old);
}

/* ---- replacing ---- */

void replacement_release(struct replacement *r)
{
    for (size_t i = 0; i < r->n_remove; i++)
        manifest_segment_unref(r->remove[i]);
    for (size_t i = 0; i < r->n_add; i++)
        manifest_segment_unref(r->add[i]);
    mem_free(r->remove);
    mem_free(r->add);
    *r = (struct replacement){0};
}

/* Else what was replaced is in the catalog's garbage, as others may still read it. */
static bool own_files(const struct store *s)
{
    return !store_is_shared(s) || objects_are_remote(s->o.objects);
}

static void replaced(struct store *s, struct replacement *r)
{
    pthread_mutex_lock(&s->lock);
    store_swap_manifest(s, manifest_change(s->manifest, r->remove, r->n_remove, r->add, r->n_add));
    s->changes_here++;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < r->n_remove; i++)
        r->remove[i]->doomed = own_files(s);
    replacement_release(r);
}

static void not_replaced(struct replacement *r)
{
    for (size_t i = 0; i < r->n_add; i++)
        r->add[i]->doomed = true;
    replacement_release(r);
}

/* A transaction whose outcome was open (cut.c tells how that comes) came through when the first
 * removed segment is gone. Among several servers another may have removed it, or have merged on
 * what was added: where that is open, nothing is removed here, and following the catalog shows what
 * there is. */
enum outcome { NOT_DONE, DONE, DONE_BY_SOMEBODY };

static enum err replace_outcome(struct store *s, const struct replacement *r, enum outcome *ret)
{
    struct arena a;
    struct catalog_segment *row;
    size_t n;
    arena_init(&a, 0, NULL);
    enum err err = catalog_meta_set(s->o.catalog, STR("settled"), STR("1"));
    if (err == OK)
        err = catalog_load_segments(s->o.catalog, &a, &row, &n);
    if (err == OK) {
        bool gone = true, added = !r->n_add || !store_is_shared(s);
        for (size_t i = 0; i < n; i++) {
            gone = gone && row[i].id != r->remove[0]->id;
            added = added || row[i].id == r->add[0]->id;
        }
        *ret = !gone ? NOT_DONE : added ? DONE : DONE_BY_SOMEBODY;
    }
    arena_release(&a);
    return err;
}

static void replace_settle(struct store *s, struct replacement *r, enum outcome outcome)
{
    if (outcome == DONE)
        replaced(s, r);
    else if (outcome == NOT_DONE)
        not_replaced(r);
    else
        replacement_release(r);
}

enum err manifest_replace(struct store *s, struct replacement *r, const struct catalog_segment *row)
{
    CHECK(r->n_remove && !s->replace_doubt.set);
    uint64_t *id = NEW_ARRAY(uint64_t, r->n_remove);
    for (size_t i = 0; i < r->n_remove; i++)
        id[i] = r->remove[i]->id;
    struct catalog_replacement c = {id, r->n_remove, row, r->n_add, store_lease_token(s)};
    enum err err = catalog_replace(s->o.catalog, &c);
    mem_free(id);
    if (err == OK) {
        replaced(s, r);
        return OK;
    }
    char text[200];
    enum outcome outcome = NOT_DONE;
    snprintf(text, sizeof(text), "%s", err_text());
    if (err == ERR_TIMEOUT && replace_outcome(s, r, &outcome) != OK) {
        s->replace_doubt = *r;
        s->replace_doubt.set = true;
        *r = (struct replacement){0};
        return err_set(err, "%s", text);
    }
    replace_settle(s, r, outcome);
    return outcome == NOT_DONE ? err_set(err, "%s", text) : OK;
}

enum err manifest_resolve(struct store *s)
{
    enum outcome outcome = NOT_DONE;
    if (!s->replace_doubt.set)
        return OK;
    TRY(replace_outcome(s, &s->replace_doubt, &outcome));
    struct replacement r = s->replace_doubt;
    s->replace_doubt = (struct replacement){0};
    replace_settle(s, &r, outcome);
    return OK;
}

/* ---- start ---- */

struct str segment_key(uint64_t id, char out[SEGMENT_KEY_MAX])
{
    int n = snprintf(out, SEGMENT_KEY_MAX, "segments/%016" PRIx64 SEGMENT_SUFFIX, id);
    return str_of(out, (size_t)n);
}

char *store_segment_path(const struct store *s, uint64_t id)
{
    return mem_printf("%s/%016" PRIx64 SEGMENT_SUFFIX, s->segments_dir, id);
}

void manifest_drop_file(struct store *s, uint64_t id)
{
    char text[200];
    snprintf(text, sizeof(text), "%s", err_text());
    char *path = store_segment_path(s, id);
    if (io_unlink(path) != OK)
        log_warn("unpublished file stays behind", "path=%s error=%s", path, err_text());
    mem_free(path);
    (void)err_set(ERR_IO, "%s", text);
}

struct cleaning {
    struct store *s;
    const struct manifest *m;
    char **name;
    size_t n, cap;
    char **unknown; /* names of segments that the catalog does not have */
    size_t n_unknown, unknown_cap;
};

uint64_t segment_id_of_name(struct str name)
{
    struct str suffix = STR(SEGMENT_SUFFIX);
    if (name.n != 16 + suffix.n || !str_ends(name, suffix))
        return 0;
    uint64_t id = 0;
    for (size_t i = 0; i < 16; i++) {
        char c = name.p[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
            return 0;
        id = id << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    }
    return id;
}

static enum err look_at_file(void *ctx, const char *name)
{
    struct cleaning *c = ctx;
    struct str n = str_c(name);
    uint64_t id = segment_id_of_name(n);
    if (str_ends(n, STR(".tmp")) || str_ends(n, STR(".del"))) {
        ARRAY_GROW(c->name, c->cap, c->n + 1);
        c->name[c->n++] = mem_strdup(n);
    } else if (id && !manifest_has(c->m, id)) {
        ARRAY_GROW(c->unknown, c->unknown_cap, c->n_unknown + 1);
        c->unknown[c->n_unknown++] = mem_strdup(n);
    }
    return OK;
}

static void drop_file(const struct cleaning *c, const char *name)
{
    char *path = mem_printf("%s/%s", c->s->segments_dir, name);
    if (io_unlink(path) != OK)
        log_warn("unpublished file stays behind", "path=%s error=%s", path, err_text());
    else
        log_info("unpublished file removed", "path=%s", path);
    mem_free(path);
}

static enum err save_lost(const struct cleaning *c, const char *name)
{
    char *dir = mem_printf("%s/lost", c->s->dir);
    char *from = mem_printf("%s/%s", c->s->segments_dir, name);
    char *to = mem_printf("%s/%s", dir, name);
    enum err err = io_mkdir(dir);
    if (err == OK && io_exists(to))
        err = err_set(ERR_EXISTS, "%s is there already: %s would be overwritten", to, from);
    if (err == OK)
        err = io_rename(from, to);
    if (err == OK)
        log_error("segment is unknown to the catalog, which must have been lost or is an older one",
                  "moved_to=%s", to);
    mem_free(to);
    mem_free(from);
    mem_free(dir);
    return err;
}

static enum err clean_folder(struct cleaning *c)
{
    TRY(io_list(c->s->segments_dir, look_at_file, c));
    for (size_t i = 0; i < c->n; i++)
        drop_file(c, c->name[i]);
    if (!c->n_unknown)
        return OK;
    uint64_t next_id;
    TRY(catalog_new_segment_id(c->s->o.catalog, &next_id));
    for (size_t i = 0; i < c->n_unknown; i++) {
        if (segment_id_of_name(str_c(c->unknown[i])) < next_id)
            drop_file(c, c->unknown[i]);
        else
            TRY(save_lost(c, c->unknown[i]));
    }
    return OK;
}

static enum err load_streams(struct store *s, struct arena *a)
{
    struct catalog_stream *stream;
    size_t n;
    TRY(catalog_load_streams(s->o.catalog, a, &stream, &n));
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < n; i++)
        memtable_stream(s, stream[i].org, stream[i].name)->id = stream[i].id;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

enum err manifest_learn_streams(struct store *s, const struct catalog_segment *row, struct arena *a)
{
    bool known = true;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = 0; i < row->n_sections; i++)
        known = known && stream_of_id(s, row->section[i].stream_id);
    pthread_mutex_unlock(&s->lock);
    return known ? OK : load_streams(s, a);
}

static enum err load_segments(struct store *s, struct arena *a, struct manifest **ret)
{
    struct catalog_segment *row;
    size_t n;
    TRY(catalog_load_segments(s->o.catalog, a, &row, &n));
    struct manifest_segment **e = NEW_ARRAY(struct manifest_segment *, n ? n : 1);
    enum err err = OK;
    size_t got = 0;
    for (; err == OK && got < n; got++) {
        err = objects_bring(s, row[got].id);
        if (err == OK)
            err = manifest_segment_open(s, &row[got], true, &e[got]);
    }
    if (err != OK)
        got--;
    else
        *ret = manifest_change(s->manifest, NULL, 0, e, n);
    for (size_t i = 0; i < got; i++)
        manifest_segment_unref(e[i]);
    mem_free(e);
    return err;
}

static bool is_missing_some(const struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (!m->segment[i]->file)
            return true;
    return false;
}

enum err manifest_load(struct store *s)
{
    struct arena a;
    struct cleaning c = {.s = s};
    struct manifest *m = NULL;
    arena_init(&a, 0, NULL);
    enum err err;
    TRY_OUT(load_streams(s, &a));
    TRY_OUT(load_segments(s, &a, &m));
    if (is_missing_some(m))
        TRY_OUT(objects_missing(s));
    TRY_OUT(objects_survey(s, m));
    c.m = m;
    if (objects_are_remote(s->o.objects) || !objects_are_apart(s->o.objects))
        TRY_OUT(clean_folder(&c));
    pthread_mutex_lock(&s->lock);
    store_swap_manifest(s, m);
    m = NULL;
    pthread_mutex_unlock(&s->lock);
out:
    manifest_unref(m);
    for (size_t i = 0; i < c.n; i++)
        mem_free(c.name[i]);
    for (size_t i = 0; i < c.n_unknown; i++)
        mem_free(c.unknown[i]);
    mem_free(c.name);
    mem_free(c.unknown);
    arena_release(&a);
    return err;
}
