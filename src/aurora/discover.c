#include "aurora/discover.h"

#include "aurora/progress.h"
#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

enum { REPUBLISH_S = 60, EXPIRED_S = 24 * 3600, FILE_DAYS = 14, INSTANCES_EVERY = 3 };
#define BATCH_NS NS_PER_S /* a batch that is not full waits no longer, however slowly RDS answers */

/* A version of a file that was seen; open addressing. */
struct seen {
    uint64_t name, version;  /* hashes; name 0: free */
    uint32_t round, touched; /* touched: in units of touch_s */
};
struct discover {
    struct discover_options o;
    struct seen *seen;
    size_t cap, n;
    uint32_t round;
    struct logfile_message *out; /* of the batch */
    size_t n_out, cap_out;
};

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

struct discover *discover_new(const struct discover_options *o)
{
    struct discover *d = NEW(struct discover);
    d->o = *o;
    return d;
}

void discover_free(struct discover *d)
{
    if (!d)
        return;
    mem_free(d->seen);
    mem_free(d->out);
    mem_free(d);
}

/* ---- what was seen ---- */

static struct seen *seen_at(struct discover *d, uint64_t name)
{
    size_t i = hash_mix(name) & (d->cap - 1);
    while (d->seen[i].name && d->seen[i].name != name)
        i = (i + 1) & (d->cap - 1);
    return &d->seen[i];
}

static bool is_there(const struct discover *d, const struct seen *s)
{
    return s->name && s->round + 2 >= d->round;
}

/* Room for one more; files that are gone for two rounds are forgotten meanwhile. */
static void seen_grow(struct discover *d)
{
    if (d->n * 2 < d->cap)
        return;
    struct seen *old = d->seen;
    size_t old_cap = d->cap;
    d->n = 0;
    for (size_t i = 0; i < old_cap; i++)
        d->n += is_there(d, &old[i]);
    d->cap = 1024;
    while (d->cap < d->n * 4)
        d->cap *= 2;
    d->seen = NEW_ARRAY(struct seen, d->cap);
    for (size_t i = 0; i < old_cap; i++)
        if (is_there(d, &old[i]))
            *seen_at(d, old[i].name) = old[i];
    mem_free(old);
}

static uint64_t name_hash(struct str instance, struct str file)
{
    return hash64_seed(file, hash64(instance)) | 1;
}

static uint64_t version_hash(const struct rds_file *f)
{
    return hash_mix(f->size ^ hash_mix((uint64_t)f->last_written_ms));
}

static uint32_t touch_now(const struct discover *d)
{
    return (uint32_t)(now_s() / d->o.touch_s);
}

static bool was_seen(struct discover *d, struct str instance, const struct rds_file *f)
{
    seen_grow(d);
    struct seen *s = seen_at(d, name_hash(instance, f->name));
    bool same = s->name && s->version == version_hash(f);
    if (same)
        s->round = d->round;
    return same;
}

static void set_seen(struct discover *d, struct str instance, const struct rds_file *f)
{
    seen_grow(d);
    struct seen *s = seen_at(d, name_hash(instance, f->name));
    if (!s->name)
        d->n++;
    *s = (struct seen){name_hash(instance, f->name), version_hash(f), d->round, touch_now(d)};
}

static void unsee(struct discover *d, struct str instance, struct str file)
{
    if (d->cap)
        seen_at(d, name_hash(instance, file))->version = 0;
}

/* ---- publishing ---- */

static struct state_key key_of(const struct logfile_message *m)
{
    return (struct state_key){m->instance_id, m->log_file_name};
}

static enum err publish(struct discover *d, const struct logfile_message *m,
                        struct discover_round *r)
{
    const struct state_cond same = {
        .op = STATE_IS_INT, .name = "last_written", .number = m->last_written_ms};
    struct state_item set = {0};
    TRY(d->o.publish(d->o.ctx, m));
    r->published++;
    state_set_int(&set, "published_at", now_s());
    enum err err = state_note(d->o.state, STATE_FILES, key_of(m), &set, &same, 1);
    return err == ERR_CONFLICT ? OK : err; /* a newer version is there already */
}

static enum err publish_batch(struct discover *d, struct discover_round *r)
{
    enum err err = OK;
    for (size_t i = 0; i < d->n_out; i++) {
        if (err == OK)
            err = publish(d, &d->out[i], r);
        if (err != OK) /* it stays discovered, and comes again */
            unsee(d, d->out[i].instance_id, d->out[i].log_file_name);
    }
    d->n_out = 0;
    return err;
}

static void add(struct discover *d, const struct logfile_message *m)
{
    ARRAY_GROW(d->out, d->cap_out, d->n_out + 1);
    d->out[d->n_out++] = *m;
}

/* ---- files ---- */

/* Whether the message of an item that is discovered has to go out (again): it never did, or it was
 * read meanwhile and set back by hand, or it has expired. */
static bool is_unpublished(const struct discover *d, const struct state_item *i)
{
    int64_t at = state_int(i, "published_at"), made = state_int(i, "updated_at");
    if (!str_eq_c(state_text(i, "status"), "discovered"))
        return false;
    if (at == 0)
        return now_s() - made >= REPUBLISH_S || state_int(i, "started_at") > 0;
    return state_int(i, "started_at") > at || (d->o.must_expire && now_s() - at >= EXPIRED_S);
}

/* Claims the publication of an item that nobody published, or not of late. */
static enum err claim_again(struct discover *d, const struct logfile_message *m,
                            const struct state_item *i, struct discover_round *r)
{
    const struct state_cond same[] = {
        {.op = STATE_IS_INT, .name = "updated_at", .number = state_int(i, "updated_at")},
        {.op = STATE_IS_TEXT, .name = "status", .text = STR("discovered")}};
    struct state_item set = {0};
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "published_at", 0);
    enum err err = state_note(d->o.state, STATE_FILES, key_of(m), &set, same, 2);
    if (err == OK) {
        add(d, m);
        r->again++;
    }
    return err == ERR_CONFLICT ? OK : err;
}

/* Over the whole table, since those that are unchanged are not asked about. */
struct again {
    struct discover *d;
    struct arena *arena;
    struct discover_round *round;
};

static enum err on_undone(void *ctx, const struct state_item *i)
{
    struct again *x = ctx;
    if (!is_unpublished(x->d, i))
        return OK;
    struct logfile_message m = {
        .instance_id = arena_str(x->arena, state_text(i, "instance_id")),
        .log_file_name = arena_str(x->arena, state_text(i, "log_file_name")),
        .log_type = arena_str(x->arena, state_text(i, "log_type")),
        .size = (uint64_t)state_int(i, "size"),
        .last_written_ms = state_int(i, "last_written"),
    };
    return claim_again(x->d, &m, i, x->round);
}

static enum err claim_version(struct discover *d, const struct logfile_message *m,
                              const struct state_item *was)
{
    struct state_cond cond[2] = {{.op = STATE_NO_ITEM}};
    struct state_item set = {0};
    unsigned n = 1;
    if (was) {
        cond[0] = (struct state_cond){
            .op = STATE_IS_INT, .name = "size", .number = state_int(was, "size")};
        cond[n++] = (struct state_cond){
            .op = STATE_IS_INT, .name = "last_written", .number = state_int(was, "last_written")};
    }
    state_set_text(&set, "status", STR("discovered"));
    state_set_text(&set, "log_type", m->log_type);
    state_set_int(&set, "size", (int64_t)m->size);
    state_set_int(&set, "last_written", m->last_written_ms);
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "published_at", 0);
    state_set_int(&set, "expires_at", now_s() + FILE_DAYS * 86400);
    if (!was)
        state_set_int(&set, "discovered_at", now_s());
    enum err err = state_note(d->o.state, STATE_FILES, key_of(m), &set, cond, n);
    if (err == OK)
        add(d, m);
    return err == ERR_CONFLICT ? OK : err; /* another discoverer was first */
}

/* What is remembered of a file lives as long as the file, however quiet that is: else it would be
 * read anew. */
static enum err touch(struct discover *d, struct str instance, const struct rds_file *f)
{
    const struct state_cond read = {.op = STATE_HAS_ATTR, .name = "byte_offset"};
    const struct state_cond found = {.op = STATE_HAS_ATTR, .name = "size"};
    const struct state_key key = {instance, f->name};
    struct state_item set = {0};
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "expires_at", now_s() + CHECKPOINT_DAYS * 86400);
    enum err err = state_note(d->o.state, STATE_CHECKPOINTS, key, &set, &read, 1);
    if (err != OK && err != ERR_CONFLICT)
        return err;
    set = (struct state_item){0};
    state_set_int(&set, "expires_at", now_s() + FILE_DAYS * 86400);
    err = state_note(d->o.state, STATE_FILES, key, &set, &found, 1);
    return err == ERR_CONFLICT ? OK : err;
}

static enum err look_at(struct discover *d, struct arena *a, struct str instance,
                        const struct rds_file *f, struct discover_round *r)
{
    struct logfile_message m = {.instance_id = instance,
                                .log_file_name = f->name,
                                .log_type = mysql_log_type(logfile_kind(f->name)),
                                .size = f->size,
                                .last_written_ms = f->last_written_ms};
    struct state_item *item = ARENA_NEW(a, struct state_item);
    enum err err = state_get(d->o.state, STATE_FILES, key_of(&m), a, item);
    if (err != OK && err != ERR_NOTFOUND)
        return err;
    bool is_new = err == ERR_NOTFOUND;
    bool same = !is_new && state_int(item, "size") == (int64_t)f->size &&
                state_int(item, "last_written") == f->last_written_ms;
    if (!same && (is_new || state_int(item, "last_written") <= f->last_written_ms))
        err = claim_version(d, &m, is_new ? NULL : item);
    else if (state_int(item, "expires_at") <= now_s() + FILE_DAYS * 86400 - d->o.touch_s)
        err = touch(d, instance, f); /* nobody has for a day: collectors that run once do not see
                                      * a file twice */
    else
        err = OK;
    TRY(err);
    set_seen(d, instance, f);
    return OK;
}

/* A file that was seen as it is. */
static enum err look_again(struct discover *d, struct str instance, const struct rds_file *f)
{
    struct seen *s = seen_at(d, name_hash(instance, f->name));
    if (s->touched == touch_now(d))
        return OK;
    TRY(touch(d, instance, f));
    s->touched = touch_now(d);
    return OK;
}

static bool is_wanted(const struct discover *d, const struct rds_file *f)
{
    enum mysql_log_kind kind = logfile_kind(f->name);
    return f->size > 0 && kind != MYSQL_LOG_AUTO && !logfile_is_passed_over(f->name) &&
           (d->o.keep & MYSQL_LOG_KEEP(kind));
}

/* ---- answers from the cache ---- */

/* When RDS gave the answer (epoch milliseconds), then a line a file. */
static void files_to_text(const struct rds_files *list, int64_t asked_ms, struct buf *out)
{
    buf_printf(out, "@%" PRId64 "\n", asked_ms);
    for (uint32_t i = 0; i < list->n; i++)
        buf_printf(out, "%.*s\t%" PRIu64 "\t%" PRId64 "\n", STR_ARG(list->item[i].name),
                   list->item[i].size, list->item[i].last_written_ms);
}

static bool files_from_text(struct str text, struct arena *a, struct rds_files *list,
                            int64_t *ret_asked_ms)
{
    struct str line, name, size, written;
    if (!str_split(&text, '\n', &line) || !line.n || line.p[0] != '@' ||
        !str_to_i64(str_from(line, 1), ret_asked_ms))
        return false;
    while (text.n && str_split(&text, '\n', &line)) {
        struct rds_file f;
        if (!str_split(&line, '\t', &name) || !str_split(&line, '\t', &size) ||
            !str_split(&line, '\t', &written) || !str_to_u64(size, &f.size) ||
            !str_to_i64(written, &f.last_written_ms))
            return false;
        f.name = arena_str(a, name);
        if (list->n == list->cap) {
            uint32_t cap = list->cap ? list->cap * 2 : 64;
            struct rds_file *item = ARENA_ARRAY(a, struct rds_file, cap);
            if (list->n)
                memcpy(item, list->item, list->n * sizeof(*item));
            list->item = item;
            list->cap = cap;
        }
        list->item[list->n++] = f;
    }
    return true;
}

/* A little shorter than a round, so that rounds of several discoverers see answers of their own. */
static int64_t files_ttl_s(const struct discover *d)
{
    return d->o.poll_ns / NS_PER_S * 9 / 10;
}

/* From the cache, unless we know that answer: then a round was quicker than the last one. */
static bool cached_files(struct discover *d, struct str instance, struct str key, struct arena *a,
                         struct rds_files *list)
{
    struct buf text;
    struct rds_file answer = {.name = STR("\1files")};
    buf_init(&text, CACHE_VALUE_MAX);
    bool hit = cache_get(d->o.cache, key, &text) &&
               files_from_text(buf_str(&text), a, list, &answer.last_written_ms) &&
               !was_seen(d, instance, &answer);
    if (hit)
        set_seen(d, instance, &answer);
    buf_release(&text);
    return hit;
}

static void cache_files(struct discover *d, struct str instance, struct str key,
                        const struct rds_files *list)
{
    struct buf text;
    struct rds_file answer = {.name = STR("\1files"),
                              .last_written_ms = clock_now_ns() / NS_PER_MS};
    buf_init(&text, CACHE_VALUE_MAX);
    files_to_text(list, answer.last_written_ms, &text);
    cache_put(d->o.cache, key, buf_str(&text), files_ttl_s(d));
    set_seen(d, instance, &answer);
    buf_release(&text);
}

static enum err list_files(struct discover *d, struct str instance, struct arena *a,
                           struct rds_files *list, struct discover_round *r)
{
    struct str key = arena_printf(a, "weir:rds:files:%.*s", STR_ARG(instance));
    struct rds_files_query q = {.instance = instance};
    if (cached_files(d, instance, key, a, list)) {
        r->requests_saved++;
        return OK;
    }
    *list = (struct rds_files){0};
    rds_source_about(instance);
    enum err err = rds_describe_files(d->o.client, &q, a, list);
    rds_source_about(STR(""));
    if (err == OK)
        cache_files(d, instance, key, list);
    return err;
}

/* ---- instances ---- */

static json_t *text(struct str s)
{
    return json_stringn(s.p ? s.p : "", s.n);
}

static void instances_to_json(const struct rds_instances *list, struct buf *out)
{
    json_t *all = json_array();
    for (uint32_t i = 0; i < list->n; i++) {
        const struct rds_instance *x = &list->item[i];
        json_t *tags = json_object();
        for (uint32_t t = 0; t < x->n_tags; t++) {
            char *name = mem_strdup(x->tag[t].key);
            json_object_set_new(tags, name, text(x->tag[t].value));
            mem_free(name);
        }
        json_array_append_new(
            all, json_pack("{s:o,s:o,s:o,s:o,s:o,s:o,s:o,s:o}", "id", text(x->id), "engine",
                           text(x->engine), "version", text(x->engine_version), "class",
                           text(x->instance_class), "status", text(x->status), "cluster",
                           text(x->cluster), "parameters", text(x->parameters), "tags", tags));
    }
    size_t n = json_dumpb(all, NULL, 0, JSON_COMPACT);
    char *p = buf_reserve(out, n);
    if (p)
        out->n += json_dumpb(all, p, n, JSON_COMPACT);
    json_decref(all);
}

static struct str member(const json_t *j, const char *name, struct arena *a)
{
    const json_t *v = json_object_get(j, name);
    return arena_str(a, str_of(json_string_value(v), json_string_length(v)));
}

static bool instances_from_json(struct str json, struct arena *a, struct rds_instances *list)
{
    json_t *all = json_loadb(json.p ? json.p : "", json.n, 0, NULL), *j, *value;
    const char *name;
    size_t i;
    list->n = list->cap = (uint32_t)json_array_size(all);
    list->item = ARENA_ARRAY(a, struct rds_instance, list->n + 1);
    json_array_foreach(all, i, j)
    {
        struct rds_instance *x = &list->item[i];
        json_t *tags = json_object_get(j, "tags");
        *x = (struct rds_instance){.id = member(j, "id", a),
                                   .engine = member(j, "engine", a),
                                   .engine_version = member(j, "version", a),
                                   .instance_class = member(j, "class", a),
                                   .status = member(j, "status", a),
                                   .cluster = member(j, "cluster", a),
                                   .parameters = member(j, "parameters", a)};
        x->tag = ARENA_ARRAY(a, struct rds_tag, json_object_size(tags) + 1);
        json_object_foreach(tags, name, value) x->tag[x->n_tags++] = (struct rds_tag){
            arena_str(a, str_c(name)), arena_str(a, str_c(json_string_value(value)))};
    }
    bool good = json_is_array(all);
    json_decref(all);
    return good;
}

static enum err list_instances(struct discover *d, struct arena *a, struct rds_instances *list,
                               struct discover_round *r)
{
    struct buf json;
    struct str key = arena_printf(a, "weir:rds:instances:%s", d->o.engine ? d->o.engine : "");
    buf_init(&json, CACHE_VALUE_MAX);
    if (cache_get(d->o.cache, key, &json) && instances_from_json(buf_str(&json), a, list)) {
        r->requests_saved++;
        buf_release(&json);
        return OK;
    }
    *list = (struct rds_instances){0};
    enum err err = rds_describe_instances(d->o.client, d->o.engine, a, list);
    if (err == OK) {
        buf_clear(&json);
        instances_to_json(list, &json);
        cache_put(d->o.cache, key, buf_str(&json), files_ttl_s(d) * INSTANCES_EVERY);
    }
    buf_release(&json);
    return err;
}

static struct str tag_of(const struct rds_instance *x, struct str name)
{
    for (uint32_t i = 0; i < x->n_tags; i++)
        if (str_eq(x->tag[i].key, name))
            return x->tag[i].value;
    return (struct str){0};
}

static bool is_chosen(const struct discover *d, const struct rds_instance *x)
{
    if (!d->o.engine && !str_eq_c(x->engine, "aurora-mysql") && !str_eq_c(x->engine, "aurora") &&
        !str_eq_c(x->engine, "mysql") && !str_eq_c(x->engine, "mariadb"))
        return false;
    if (d->o.name && !str_glob(str_c(d->o.name), x->id))
        return false;
    if (!d->o.tag)
        return true;
    struct str want = str_c(d->o.tag);
    size_t eq = str_find_byte(want, '=', 0);
    struct str have = tag_of(x, str_of(want.p, eq));
    return have.p && (eq == want.n || str_eq(have, str_from(want, eq + 1)));
}

static enum err note_instance(struct discover *d, const struct rds_instance *x)
{
    struct rds_file as = {.name = STR("\1instance"),
                          .size = hash64_seed(x->status, hash64(x->engine_version)),
                          .last_written_ms = (int64_t)(hash64(tag_of(x, STR("time_zone"))) >> 1)};
    struct state_item set = {0};
    if (was_seen(d, x->id, &as))
        return OK;
    state_set_text(&set, "engine", x->engine);
    state_set_text(&set, "engine_version", x->engine_version);
    state_set_text(&set, "instance_class", x->instance_class);
    state_set_text(&set, "status", x->status);
    state_set_text(&set, "cluster_id", x->cluster);
    state_set_text(&set, "parameter_group", x->parameters);
    if (tag_of(x, STR("time_zone")).n)
        state_set_text(&set, "time_zone", tag_of(x, STR("time_zone")));
    state_set_int(&set, "updated_at", now_s());
    TRY(state_note(d->o.state, STATE_INSTANCES, (struct state_key){x->id, STR("")}, &set, NULL, 0));
    set_seen(d, x->id, &as);
    return OK;
}

/* ---- a round ---- */

/* Rotated files before the live one: their lines are older. */
static enum err look_at_all(struct discover *d, struct arena *a, struct str instance,
                            const struct rds_files *list, struct discover_round *r)
{
    for (int live = 0; live < 2; live++)
        for (uint32_t i = 0; i < list->n; i++) {
            const struct rds_file *f = &list->item[i];
            if (logfile_is_live(f->name) != live || !is_wanted(d, f))
                continue;
            r->files++;
            TRY(was_seen(d, instance, f) ? look_again(d, instance, f)
                                         : look_at(d, a, instance, f, r));
        }
    return OK;
}

static enum err one_instance(struct discover *d, struct arena *a, const struct rds_instance *x,
                             struct discover_round *r)
{
    struct rds_files list = {0};
    TRY(note_instance(d, x));
    enum err err = list_files(d, x->id, a, &list, r);
    if (err != OK) { /* this one's trouble is not the others' */
        log_error("log files could not be listed", "instance=%.*s error=%s", STR_ARG(x->id),
                  err_text());
        r->failed++;
        return err == ERR_CANCELED ? err : OK;
    }
    return look_at_all(d, a, x->id, &list, r);
}

enum err discover_run(struct discover *d, struct discover_round *ret)
{
    struct rds_instances list;
    struct arena a;
    unsigned in_batch = 0;
    int64_t batch_began = clock_mono_ns();
    *ret = (struct discover_round){0};
    d->round++;
    arena_init(&a, 0, NULL);
    enum err err = list_instances(d, &a, &list, ret);
    for (uint32_t i = 0; err == OK && i < list.n && !*d->o.stopping; i++) {
        if (!is_chosen(d, &list.item[i]))
            continue;
        ret->instances++;
        err = one_instance(d, &a, &list.item[i], ret);
        if (err == OK && (++in_batch >= d->o.batch || clock_mono_ns() - batch_began >= BATCH_NS)) {
            err = publish_batch(d, ret);
            in_batch = 0;
            batch_began = clock_mono_ns();
        }
    }
    struct again again = {d, &a, ret};
    if (err == OK)
        err = state_each(d->o.state, STATE_FILES, STR(""), on_undone, &again);
    char why[256];
    snprintf(why, sizeof(why), "%s", err_text());
    enum err published = publish_batch(d, ret);
    arena_release(&a);
    return err != OK ? err_set(err, "%s", why) : published;
}
