/* Where segments are at rest, as weir check tries it: a small object is put, listed, read and
 * removed; each step by itself, so that what is missing has a name. */
#include "cmd/check.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"
#include "objects/objects.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BYTES = 1000 };
#define WAIT_NS (20 * NS_PER_S)

struct trying {
    struct objects *o;
    struct objects_wait wait;
    char folder[64], file[100], back[100], key[60];
    char bytes[BYTES];
    bool listed;
};

static enum err put(struct trying *t)
{
    return objects_put(t->o, t->file, str_c(t->key), &t->wait);
}

static enum err on_object(void *ctx, const struct object *object)
{
    struct trying *t = ctx;
    t->listed = t->listed || (str_eq_c(object->key, t->key) && object->bytes == BYTES);
    return OK;
}

static enum err list(struct trying *t)
{
    TRY(objects_list(t->o, STR("check/"), on_object, t, &t->wait));
    return t->listed
               ? OK
               : err_set(ERR_NOTFOUND, "%s: what was put is not in the list", objects_name(t->o));
}

static enum err get(struct trying *t)
{
    struct buf got;
    buf_init(&got, SIZE_MAX);
    enum err err = OK;
    if (objects_are_remote(t->o))
        err = objects_get(t->o, str_c(t->key), BYTES, t->back, &t->wait);
    if (err == OK)
        err = objects_read(t->o, str_c(t->key), 0, BYTES, &got, &t->wait);
    if (err == OK && (got.n != BYTES || memcmp(got.p, t->bytes, BYTES) != 0))
        err = err_set(ERR_CORRUPT, "%s: what came back is not what was put", objects_name(t->o));
    buf_release(&got);
    return err;
}

static enum err clear_away(struct trying *t)
{
    return objects_remove(t->o, str_c(t->key), &t->wait);
}

static const struct {
    const char *verb, *action;
    enum err (*run)(struct trying *t);
} steps[] = {{"put", "s3:PutObject", put},
             {"list", "s3:ListBucket", list},
             {"get", "s3:GetObject", get},
             {"remove", "s3:DeleteObject", clear_away}};
enum { STEPS = sizeof(steps) / sizeof(*steps) };

static void advise_of(struct finding *f, enum err err, const char *action)
{
    if (err == ERR_AUTH)
        advise(f,
               "give the keys the right %s on the bucket (docs/objects.md has the policy), or "
               "correct the keys",
               action);
    else if (err == ERR_UNAVAILABLE || err == ERR_TIMEOUT)
        advise(f, "start the service, or correct endpoint= in objects.url; meanwhile records stay "
                  "in memory and in the queue");
    else
        advise(f, "correct objects.url; docs/objects.md says what it may hold");
}

static void try_steps(struct trying *t, struct finding *f)
{
    int64_t begun = clock_mono_ns();
    for (int i = 0; i < STEPS; i++) {
        enum err err = steps[i].run(t);
        if (err == OK)
            continue;
        found(f, FAILED, "cannot %s: %s", steps[i].verb, err_text());
        advise_of(f, err, steps[i].action);
        if (i && i + 1 < STEPS)
            (void)!clear_away(t);
        return;
    }
    found(f, GOOD, "%s: put, list, get and remove work (%lld ms)", objects_name(t->o),
          (long long)((clock_mono_ns() - begun) / NS_PER_MS));
}

static void try_objects(struct objects *o, struct finding *f)
{
    struct trying t = {.o = o, .wait = {.deadline_mono = clock_mono_ns() + WAIT_NS}};
    const char *tmp = getenv("TMPDIR");
    snprintf(t.folder, sizeof(t.folder), "%s/weir-check-XXXXXX",
             tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    if (!mkdtemp(t.folder)) {
        found(f, SKIPPED, "no temporary folder %s", t.folder);
        return;
    }
    snprintf(t.file, sizeof(t.file), "%s/put", t.folder);
    snprintf(t.back, sizeof(t.back), "%s/got", t.folder);
    snprintf(t.key, sizeof(t.key), "check/%016" PRIx64, random_u64());
    random_bytes(t.bytes, BYTES);
    if (io_write_file(t.file, str_of(t.bytes, BYTES)) == OK)
        try_steps(&t, f);
    else
        found(f, SKIPPED, "%s", err_text());
    (void)!io_unlink(t.file);
    (void)!io_unlink(t.back);
    (void)rmdir(t.folder);
}

void check_objects(const char *url, const char *data, struct finding *f)
{
    struct objects *o;
    if (objects_open(str_c(url), data, &o) != OK) {
        found(f, FAILED, "objects.url: %s", err_text());
        advise_of(f, ERR_INVALID, "");
        return;
    }
    if (objects_are_apart(o))
        try_objects(o, f);
    else
        found(f, GOOD, "in the data folder");
    objects_close(o);
}
