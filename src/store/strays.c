/* Objects and whose they are, where they lie apart from the data folder.
 *
 * The catalog has an identity of its own, which the marker beside the objects repeats: a store
 * finds only its own objects. A segment is put before it is published, so that every published one
 * is there; what was put and never published (a crash between, a publish that failed) is a stray:
 * an object that the catalog does not name, a day old.
 *
 * A start looks at all objects. One with an id that the catalog has yet to give out tells that the
 * catalog was lost or put back to an older state: it is moved to lost/, where nothing removes or
 * overwrites it (as files are, manifest.c). A segment of the catalog that is here and not there is
 * put: so a store moves to another place by being started with its URL. Where the place does not
 * answer, the store starts with what is here, and all that is done later, before the first put. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>

#define START_NS (10 * NS_PER_S)
#define AGAIN_NS (10 * NS_PER_S)

static uint64_t id_of_key(struct str key)
{
    struct str prefix = STR("segments/");
    return str_starts(key, prefix) ? segment_id_of_name(str_from(key, prefix.n)) : 0;
}

/* ---- whose they are ---- */

/* The catalog remembers the place, for who starts without it. */
static enum err note_place(struct store *s, struct arena *a)
{
    struct str was, name = str_c(objects_name(s->o.objects));
    enum err err = catalog_meta_get(s->o.catalog, STR("objects"), a, &was);
    if (err == ERR_NOTFOUND || (err == OK && !str_eq(was, name)))
        err = catalog_meta_set(s->o.catalog, STR("objects"), name);
    return err;
}

static enum err claim(struct store *s, const struct objects_wait *w)
{
    struct arena a;
    struct str id;
    if (s->claimed)
        return OK;
    arena_init(&a, 0, NULL);
    enum err err = catalog_identity(s->o.catalog, &a, &id);
    if (err == OK)
        err = objects_claim(s->o.objects, id, w);
    if (err == OK)
        err = note_place(s, &a);
    arena_release(&a);
    TRY(err);
    s->claimed = true;
    return OK;
}

enum err objects_ready(struct store *s)
{
    struct objects_wait wait = {.deadline_mono = clock_mono_ns() + START_NS};
    if (!objects_are_apart(s->o.objects))
        return OK;
    enum err err = claim(s, &wait);
    if (err != ERR_UNAVAILABLE && err != ERR_TIMEOUT)
        return err;
    log_error("segments at rest cannot be reached, the store begins with what is here", "error=%s",
              err_text());
    return OK;
}

enum err objects_missing(struct store *s)
{
    struct arena a;
    struct str place;
    if (objects_are_apart(s->o.objects))
        return OK;
    arena_init(&a, 0, NULL);
    enum err err = catalog_meta_get(s->o.catalog, STR("objects"), &a, &place);
    if (err == OK)
        err = err_set(ERR_INVALID,
                      "segments of this catalog are at %.*s: name it with --objects or objects.url",
                      STR_ARG(place));
    else if (err == ERR_NOTFOUND)
        err = OK;
    arena_release(&a);
    return err;
}

/* ---- putting ---- */

/* Nothing is put before it is known that the place is ours, and that no object of another time has
 * the number. */
static enum err own_place(struct store *s, const struct objects_wait *w)
{
    TRY(claim(s, w));
    if (s->surveyed)
        return OK;
    struct manifest *m = store_manifest(s);
    enum err err = objects_survey(s, m);
    manifest_unref(m);
    return err;
}

enum err objects_keep(struct store *s, struct manifest_segment *e)
{
    char key[SEGMENT_KEY_MAX];
    struct objects_wait wait = store_until_closing(s);
    if (!objects_are_apart(s->o.objects))
        return OK;
    TRY(own_place(s, &wait));
    TRY(objects_put(s->o.objects, e->path, segment_key(e->id, key), &wait));
    e->stored = true;
    copies_evict(s, 0);
    return OK;
}

enum err objects_bring(struct store *s, uint64_t id)
{
    char key[SEGMENT_KEY_MAX];
    struct objects_wait wait = store_until_closing(s);
    struct str k = segment_key(id, key);
    enum err err = OK;
    if (objects_are_remote(s->o.objects) || !objects_are_apart(s->o.objects))
        return OK;
    char *there = objects_path(s->o.objects, k), *here = mem_printf("%s/%s", s->dir, key);
    if (!io_exists(there) && io_exists(here)) {
        err = objects_put(s->o.objects, here, k, &wait);
        if (err == OK)
            err = io_unlink(here);
        if (err == OK)
            log_info("segment moved", "from=%s to=%s", here, there);
    }
    mem_free(here);
    mem_free(there);
    return err;
}

/* ---- all objects, at the start ---- */

struct unknown {
    uint64_t *id;
    size_t n, cap;
};
struct looking {
    const struct manifest *m;
    int64_t before_ns; /* unknown ones must be older */
    struct unknown unknown;
};

static struct manifest_segment *segment_of_id(const struct manifest *m, uint64_t id)
{
    size_t from = 0, to = m->n;
    while (from < to) {
        size_t at = from + (to - from) / 2;
        if (m->segment[at]->id == id)
            return m->segment[at];
        if (m->segment[at]->id < id)
            from = at + 1;
        else
            to = at;
    }
    return NULL;
}

static enum err look_at_object(void *ctx, const struct object *object)
{
    struct looking *l = ctx;
    uint64_t id = id_of_key(object->key);
    struct manifest_segment *e = segment_of_id(l->m, id);
    if (e) {
        e->stored = e->stored || object->bytes == e->bytes;
    } else if (id && object->modified_ns < l->before_ns) {
        ARRAY_GROW(l->unknown.id, l->unknown.cap, l->unknown.n + 1);
        l->unknown.id[l->unknown.n++] = id;
    }
    return OK;
}

static enum err set_aside(struct store *s, uint64_t id, const struct objects_wait *w)
{
    char from[SEGMENT_KEY_MAX], to[SEGMENT_KEY_MAX + 40];
    struct str key = segment_key(id, from);
    int n = snprintf(to, sizeof(to), "lost/%016" PRIx64 "-%016" PRIx64 ".seg", id, random_u64());
    TRY(objects_move(s->o.objects, key, str_of(to, (size_t)n), w));
    log_error("object is unknown to the catalog, which must have been lost or is an older one",
              "moved_to=%s/%s", objects_name(s->o.objects), to);
    return OK;
}

/* Those with ids that were given out are strays, which the sweep finds when they are old. */
static enum err set_aside_lost(struct store *s, const struct unknown *u,
                               const struct objects_wait *w)
{
    uint64_t given = s->ids_given; /* before this process was given any */
    if (store_is_shared(s))
        TRY(catalog_ids_given(s->o.catalog, &given)); /* before the list others were */
    for (size_t i = 0; i < u->n; i++)
        if (u->id[i] >= given)
            TRY(set_aside(s, u->id[i], w));
    return OK;
}

/* What was taken to be there, for it is nowhere else. */
static void doubt_what_is_afar(struct store *s, const struct manifest *m)
{
    for (size_t i = 0; i < m->n; i++)
        if (m->segment[i]->remote && !copy_is_here(s, m->segment[i]))
            m->segment[i]->stored = false;
}

enum err objects_survey(struct store *s, const struct manifest *m)
{
    struct objects_wait wait = store_until_closing(s);
    struct looking l = {.m = m, .before_ns = INT64_MAX};
    if (!objects_are_apart(s->o.objects) || s->surveyed || !s->claimed)
        return OK;
    doubt_what_is_afar(s, m);
    enum err err = objects_list(s->o.objects, STR("segments/"), look_at_object, &l, &wait);
    if (err == OK)
        err = set_aside_lost(s, &l.unknown, &wait);
    mem_free(l.unknown.id);
    TRY(err);
    s->surveyed = true;
    for (size_t i = 0; i < m->n; i++)
        if (m->segment[i]->remote && !copy_is_here(s, m->segment[i]) && !m->segment[i]->stored)
            log_error("segment is neither here nor at rest, searches will be partial",
                      "id=%" PRIu64 " place=%s", m->segment[i]->id, objects_name(s->o.objects));
    return OK;
}

/* ---- strays ---- */

/* Not of a change whose outcome is not known yet. With compact_lock. */
static bool is_in_doubt(struct store *s, uint64_t id)
{
    const struct replacement *r = &s->replace_doubt;
    pthread_mutex_lock(&s->cut_lock);
    bool doubt = s->doubt.set && s->doubt.segment && s->doubt.segment->id == id;
    pthread_mutex_unlock(&s->cut_lock);
    for (size_t i = 0; r->set && i < r->n_add; i++)
        doubt = doubt || r->add[i]->id == id;
    return doubt;
}

static enum err remove_object(struct store *s, uint64_t id)
{
    char key[SEGMENT_KEY_MAX];
    struct objects_wait wait = store_until_closing(s);
    return objects_remove(s->o.objects, segment_key(id, key), &wait);
}

static bool is_among(const uint64_t *list, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (list[i] == id)
            return true;
    return false;
}

/* What was replaced a moment ago may still be read elsewhere: it goes by the catalog's garbage. */
static enum err remove_strays(struct store *s, const struct unknown *u)
{
    struct arena a;
    uint64_t given = 0, *garbage = NULL;
    size_t n = 0;
    arena_init(&a, 0, NULL);
    enum err err = catalog_ids_given(s->o.catalog, &given);
    if (err == OK && store_is_shared(s))
        err = catalog_load_garbage(s->o.catalog, INT64_MAX, &a, &garbage, &n);
    for (size_t i = 0; err == OK && i < u->n; i++) {
        uint64_t id = u->id[i];
        if (id >= given || is_among(garbage, n, id) || is_in_doubt(s, id))
            continue;
        err = remove_object(s, id);
        if (err == OK)
            log_info("unpublished object removed", "id=%" PRIu64 " place=%s", id,
                     objects_name(s->o.objects));
    }
    arena_release(&a);
    return err;
}

enum err objects_clean(struct store *s, int64_t age_ns)
{
    struct objects_wait wait = store_until_closing(s);
    struct looking l = {.before_ns = clock_now_ns() - age_ns};
    if (!objects_are_apart(s->o.objects))
        return OK;
    if (objects_sweep(s->o.objects, l.before_ns, &wait) != OK)
        log_warn("uploads without an end cannot be looked for", "error=%s", err_text());
    struct manifest *m = store_manifest(s);
    l.m = m;
    enum err err = objects_list(s->o.objects, STR("segments/"), look_at_object, &l, &wait);
    if (err == OK)
        err = remove_strays(s, &l.unknown);
    manifest_unref(m);
    mem_free(l.unknown.id);
    return err;
}

/* ---- removing ---- */

void objects_forget(struct store *s, uint64_t id)
{
    pthread_mutex_lock(&s->forget_lock);
    ARRAY_GROW(s->forget, s->forget_cap, s->n_forget + 1);
    s->forget[s->n_forget++] = id;
    pthread_mutex_unlock(&s->forget_lock);
}

static bool take_forgotten(struct store *s, uint64_t *ret)
{
    pthread_mutex_lock(&s->forget_lock);
    bool any = s->n_forget > 0;
    if (any)
        *ret = s->forget[--s->n_forget];
    pthread_mutex_unlock(&s->forget_lock);
    return any;
}

static enum err remove_forgotten(struct store *s)
{
    uint64_t id;
    while (!store_stopping(s) && take_forgotten(s, &id)) {
        enum err err = remove_object(s, id);
        if (err == OK)
            continue;
        objects_forget(s, id);
        return err;
    }
    return OK;
}

/* ---- in the background ---- */

/* A reference to one that is here and not at rest. */
static struct manifest_segment *next_to_put(struct store *s)
{
    struct manifest_segment *found = NULL;
    struct manifest *m = store_manifest(s);
    for (size_t i = 0; !found && i < m->n; i++)
        if (m->segment[i]->remote && !m->segment[i]->stored && copy_is_here(s, m->segment[i]))
            found = manifest_segment_ref(m->segment[i]);
    manifest_unref(m);
    return found;
}

static enum err put_what_is_here(struct store *s)
{
    struct manifest_segment *e;
    enum err err = OK;
    while (err == OK && !store_stopping(s) && (e = next_to_put(s))) {
        err = objects_keep(s, e);
        if (err == OK)
            log_info("segment put at rest", "id=%" PRIu64 " bytes=%" PRIu64 " place=%s", e->id,
                     e->bytes, objects_name(s->o.objects));
        manifest_segment_unref(e);
    }
    copies_evict(s, 0);
    return err;
}

static enum err chores(struct store *s)
{
    struct objects_wait wait = store_until_closing(s);
    TRY(own_place(s, &wait));
    if (objects_are_remote(s->o.objects) && !s->all_put) {
        TRY(put_what_is_here(s));
        s->all_put = true;
    }
    return remove_forgotten(s);
}

void objects_chores(struct store *s)
{
    int64_t now = clock_mono_ns();
    if (!objects_are_apart(s->o.objects) || now < s->chores_at)
        return;
    copies_evict(s, 0); /* what queries held is idle again */
    enum err err = chores(s);
    if (err == OK || err == ERR_CANCELED)
        return;
    s->chores_at = clock_mono_ns() + AGAIN_NS;
    log_warn("segments at rest cannot be looked after", "error=%s", err_text());
}
