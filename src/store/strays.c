/* Objects and whose they are.
 *
 * The catalog has an identity of its own, which the marker beside the objects repeats: a store
 * finds only its own objects. A segment is put before it is published, so that every published one
 * is there; what was put and never published (a crash between, a publish that failed) is a stray:
 * an object that the catalog does not name, a day old. */
#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "store/store_impl.h"

#include <inttypes.h>
#include <stdio.h>

static bool is_closing(void *ctx)
{
    return store_stopping(ctx);
}

static struct objects_wait until_closing(struct store *s)
{
    return (struct objects_wait){.stop = is_closing, .ctx = s};
}

/* ---- at start ---- */

enum err objects_ready(struct store *s)
{
    struct arena a;
    struct str id;
    struct objects_wait wait = until_closing(s);
    if (!objects_are_apart(s->o.objects))
        return OK;
    arena_init(&a, 0, NULL);
    enum err err = catalog_identity(s->o.catalog, &a, &id);
    if (err == OK)
        err = objects_claim(s->o.objects, id, &wait);
    arena_release(&a);
    return err;
}

/* ---- putting ---- */

enum err objects_keep(struct store *s, const struct manifest_segment *e)
{
    char key[SEGMENT_KEY_MAX];
    struct objects_wait wait = until_closing(s);
    return objects_put(s->o.objects, e->path, segment_key(e->id, key), &wait);
}

/* ---- strays ---- */

struct straying {
    const struct manifest *m;
    int64_t before_ns;
    uint64_t *id;
    size_t n, cap;
};

static enum err look_at_object(void *ctx, const struct object *object)
{
    struct straying *t = ctx;
    struct str prefix = STR("segments/");
    uint64_t id =
        str_starts(object->key, prefix) ? segment_id_of_name(str_from(object->key, prefix.n)) : 0;
    if (!id || object->modified_ns >= t->before_ns || manifest_has(t->m, id))
        return OK;
    ARRAY_GROW(t->id, t->cap, t->n + 1);
    t->id[t->n++] = id;
    return OK;
}

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

static enum err remove_stray(struct store *s, uint64_t id)
{
    char key[SEGMENT_KEY_MAX];
    struct objects_wait wait = until_closing(s);
    TRY(objects_remove(s->o.objects, segment_key(id, key), &wait));
    log_info("unpublished object removed", "key=%s/%s", objects_name(s->o.objects), key);
    return OK;
}

enum err objects_clean(struct store *s, int64_t age_ns)
{
    int64_t before = clock_now_ns() - age_ns;
    struct objects_wait wait = until_closing(s);
    if (!objects_are_apart(s->o.objects))
        return OK;
    TRY(objects_sweep(s->o.objects, before, &wait));
    struct straying t = {.before_ns = before, .m = store_manifest(s)};
    enum err err = objects_list(s->o.objects, STR("segments/"), look_at_object, &t, &wait);
    for (size_t i = 0; err == OK && i < t.n; i++)
        if (!is_in_doubt(s, t.id[i]))
            err = remove_stray(s, t.id[i]);
    manifest_unref((struct manifest *)t.m);
    mem_free(t.id);
    return err;
}
