#include "aurora/state.h"

#include "core/clock.h"
#include "core/mem.h"

#include <jansson.h>
#include <stdio.h>

const struct state_table_info state_tables[STATE_TABLE_COUNT] = {
    [STATE_INSTANCES] = {"aurora-instance-metadata", "instance_id", NULL, false},
    [STATE_FILES] = {"aurora-log-file-tracking", "instance_id", "log_file_name", true},
    [STATE_JOBS] = {"aurora-log-processing-jobs", "job_id", NULL, false},
    [STATE_PROCESSES] = {"aurora-log-tracking", "process_id", NULL, true},
    [STATE_CHECKPOINTS] = {"aurora-log-checkpoints", "instance_id", "log_file_name", true},
    [STATE_DLQ] = {"aurora-log-dlq", "message_id", NULL, false},
};

/* ---- items ---- */

static struct state_attr *attr_of(struct state_item *item, const char *name)
{
    for (unsigned i = 0; i < item->n; i++)
        if (str_eq_c(item->attr[i].name, name))
            return &item->attr[i];
    CHECK(item->n < STATE_ATTRS_MAX);
    item->attr[item->n].name = str_c(name);
    return &item->attr[item->n++];
}

void state_set_text(struct state_item *item, const char *name, struct str text)
{
    struct state_attr *a = attr_of(item, name);
    *a = (struct state_attr){.name = a->name, .text = text};
}

void state_set_int(struct state_item *item, const char *name, int64_t n)
{
    struct state_attr *a = attr_of(item, name);
    *a = (struct state_attr){.name = a->name, .is_number = true, .number = n};
}

static const struct state_attr *find(const struct state_item *item, const char *name, bool number)
{
    for (unsigned i = 0; i < item->n; i++)
        if (str_eq_c(item->attr[i].name, name) && item->attr[i].is_number == number)
            return &item->attr[i];
    return NULL;
}

struct str state_text(const struct state_item *item, const char *name)
{
    const struct state_attr *a = find(item, name, false);
    return a ? a->text : STR("");
}

int64_t state_int(const struct state_item *item, const char *name)
{
    const struct state_attr *a = find(item, name, true);
    return a ? a->number : 0;
}

/* ---- JSON ---- */

json_t *state_item_json(const struct state_item *item)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < item->n; i++) {
        const struct state_attr *a = &item->attr[i];
        char number[24];
        json_t *value = json_object();
        snprintf(number, sizeof(number), "%lld", (long long)a->number);
        if (a->is_number)
            json_object_set_new(value, "N", json_string(number));
        else
            json_object_set_new(value, "S", json_stringn_nocheck(a->text.p, a->text.n));
        char *name = mem_strdup(a->name);
        json_object_set_new_nocheck(out, name, value);
        mem_free(name);
    }
    return out;
}

enum err state_item_read(const json_t *json, struct arena *a, struct state_item *ret)
{
    const char *name;
    json_t *value;
    ret->n = 0;
    if (!json_is_object(json))
        return err_set(ERR_INVALID, "an item that is no object");
    json_object_foreach((json_t *)(uintptr_t)json, name, value)
    {
        const json_t *s = json_object_get(value, "S"), *n = json_object_get(value, "N");
        int64_t number;
        double real;
        if (ret->n == STATE_ATTRS_MAX)
            return err_set(ERR_LIMIT, "an item with more than %d attributes", STATE_ATTRS_MAX);
        struct state_attr *attr = &ret->attr[ret->n];
        *attr = (struct state_attr){.name = arena_str(a, str_c(name))};
        if (json_is_string(s)) {
            attr->text = arena_str(a, str_of(json_string_value(s), json_string_length(s)));
        } else if (json_is_string(n)) {
            struct str text = str_c(json_string_value(n));
            attr->is_number = true;
            if (str_to_i64(text, &number))
                attr->number = number;
            else if (str_to_f64(text, &real) && real > -9e18 && real < 9e18)
                attr->number = (int64_t)real;
            else
                return err_set(ERR_INVALID, "attribute %s: a number that is none", name);
        } else {
            continue;
        }
        ret->n++;
    }
    return OK;
}

json_t *state_item_plain(const struct state_item *item)
{
    json_t *out = json_object();
    for (unsigned i = 0; i < item->n; i++) {
        const struct state_attr *a = &item->attr[i];
        char *name = mem_strdup(a->name);
        json_object_set_new_nocheck(out, name,
                                    a->is_number ? json_integer(a->number)
                                                 : json_stringn_nocheck(a->text.p, a->text.n));
        mem_free(name);
    }
    return out;
}

/* ---- the seam ---- */

enum err state_open(struct str text, struct aws_credentials *credentials, struct state **ret)
{
    struct arena arena;
    struct url url;
    enum err err;
    if (str_starts(text, STR("sqlite:"))) {
        char *path = mem_strdup(str_from(text, 7));
        err = *path ? state_open_sqlite(path, ret)
                    : err_set(ERR_INVALID, "sqlite:PATH is wanted for the state");
        mem_free(path);
        return err;
    }
    if (str_eq_c(text, "dynamodb:"))
        text = STR("dynamodb://");
    arena_init(&arena, 0, NULL);
    err = url_parse(text, &arena, &url);
    if (err == OK && !str_eq_c(url.scheme, "dynamodb"))
        err = err_set(ERR_INVALID, "no state has the scheme %.*s:; there are sqlite: and dynamodb:",
                      STR_ARG(url.scheme));
    else if (err == OK)
        err = state_open_dynamodb(&url, credentials, ret);
    arena_release(&arena);
    return err;
}

void state_close(struct state *s)
{
    if (s)
        s->driver->close(s);
}

enum err state_init(struct state *s)
{
    return s->driver->init(s);
}

bool state_is_too_new(const struct state_item *orders)
{
    return state_int(orders, "format_needed") > STATE_FORMAT;
}

enum err state_join(struct state *s)
{
    struct arena a;
    struct state_item set = {0};
    arena_init(&a, 0, NULL);
    struct state_item *item = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, STATE_PROCESSES, STATE_ORDERS, &a, item);
    if (err == OK && state_is_too_new(item))
        err = err_set(ERR_INVALID,
                      "the state belongs to a newer Weir: it wants format %lld, and this one knows "
                      "%d",
                      (long long)state_int(item, "format_needed"), STATE_FORMAT);
    else if ((err == OK || err == ERR_NOTFOUND) && state_int(item, "format") < STATE_FORMAT) {
        state_set_int(&set, "format", STATE_FORMAT);
        err = state_update(s, STATE_PROCESSES, STATE_ORDERS, &set, NULL, 0);
    }
    arena_release(&a);
    return err;
}

static enum err check_key(enum state_table t, const struct state_key *k)
{
    if (!k->hash.n || k->hash.n > STATE_KEY_MAX || k->range.n > STATE_KEY_MAX ||
        (state_tables[t].range && !k->range.n))
        return err_set(ERR_INVALID, "%s: a key of %zu and %zu bytes", state_tables[t].name,
                       k->hash.n, k->range.n);
    return OK;
}

enum err state_get(struct state *s, enum state_table t, struct state_key k, struct arena *a,
                   struct state_item *ret)
{
    TRY(check_key(t, &k));
    return s->driver->get(s, t, &k, a, ret);
}

static enum err write_item(struct state *s, enum state_table t, struct state_key k,
                           const struct state_item *set, const struct state_cond *cond, unsigned n,
                           bool durable)
{
    TRY(check_key(t, &k));
    CHECK(n <= STATE_CONDS_MAX);
    for (unsigned i = 0; i < set->n; i++)
        if (set->attr[i].text.n > STATE_TEXT_MAX)
            return err_set(ERR_LIMIT, "%s: an attribute of %zu bytes", state_tables[t].name,
                           set->attr[i].text.n);
    return s->driver->update(s, t, &k, set, cond, n, durable);
}

enum err state_update(struct state *s, enum state_table t, struct state_key k,
                      const struct state_item *set, const struct state_cond *cond, unsigned n)
{
    return write_item(s, t, k, set, cond, n, true);
}

enum err state_note(struct state *s, enum state_table t, struct state_key k,
                    const struct state_item *set, const struct state_cond *cond, unsigned n)
{
    return write_item(s, t, k, set, cond, n, false);
}

enum err state_remove(struct state *s, enum state_table t, struct state_key k,
                      const struct state_cond *cond, unsigned n)
{
    TRY(check_key(t, &k));
    CHECK(n <= STATE_CONDS_MAX);
    return s->driver->remove(s, t, &k, cond, n);
}

enum err state_each(struct state *s, enum state_table t, struct str hash,
                    enum err (*fn)(void *ctx, const struct state_item *item), void *ctx)
{
    return s->driver->each(s, t, hash, fn, ctx);
}

enum err state_forget(struct state *s)
{
    return s->driver->forget(s, clock_now_ns() / NS_PER_S);
}
