/* The state in one SQLite file, which several processes may have open: the collector, and who looks
 * at it. One table of items:
 *
 *   items(tbl, k1, k2, expires_at, body)    body: the item as JSON (state_item_json)
 *
 * A write is one transaction: read, judge the conditions, write. The log of transactions is synced
 * behind those that must last; it keeps their order, so that what only needs to last with them
 * costs no sync. */
#include "aurora/state.h"
#include "catalog/sql.h"
#include "core/mem.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>

enum { BATCH_MAX = 256 };

struct sqlite_state {
    struct state base;
    pthread_mutex_t lock;
    struct sql *db;
    bool unsynced; /* commits are not synced now */
};

static struct sqlite_state *state_of(struct state *s)
{
    return (struct sqlite_state *)s;
}

static void sqlite_close(struct state *base)
{
    struct sqlite_state *s = state_of(base);
    s->db->driver->close(s->db);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static enum err sqlite_init(struct state *base)
{
    struct sqlite_state *s = state_of(base);
    pthread_mutex_lock(&s->lock);
    enum err err =
        s->db->driver->exec(s->db, "CREATE TABLE IF NOT EXISTS items(tbl INTEGER NOT NULL, k1 TEXT "
                                   "NOT NULL, k2 TEXT NOT NULL, expires_at INTEGER NOT NULL, body "
                                   "TEXT NOT NULL, PRIMARY KEY(tbl, k1, k2)) WITHOUT ROWID");
    pthread_mutex_unlock(&s->lock);
    return err;
}

/* ---- statements ---- */

static enum err bind_key(const struct sql_driver *d, struct sql_stmt *st, int at,
                         enum state_table t, const struct state_key *k)
{
    TRY(d->bind_i64(st, at, t));
    TRY(d->bind_text(st, at + 1, k->hash));
    return d->bind_text(st, at + 2, k->range);
}

static enum err read_body(struct str body, struct arena *a, struct state_item *ret)
{
    json_t *json = json_loadb(body.p, body.n, JSON_ALLOW_NUL, NULL);
    enum err err = json ? state_item_read(json, a, ret)
                        : err_set(ERR_CORRUPT, "the state's file has an item that is no JSON");
    json_decref(json);
    return err;
}

static enum err find(struct sqlite_state *s, enum state_table t, const struct state_key *k,
                     struct arena *a, struct state_item *ret)
{
    const struct sql_driver *d = s->db->driver;
    struct sql_stmt *st;
    bool row = false;
    TRY(d->prepare(s->db, "SELECT body FROM items WHERE tbl = ? AND k1 = ? AND k2 = ?", &st));
    enum err err = bind_key(d, st, 0, t, k);
    if (err == OK)
        err = d->step(st, &row);
    if (err == OK)
        err = row ? read_body(d->column_text(st, 0), a, ret)
                  : err_set(ERR_NOTFOUND, "%s has no %.*s%s%.*s", state_tables[t].name,
                            STR_ARG(k->hash), k->range.n ? " " : "", STR_ARG(k->range));
    d->finish(st);
    return err;
}

static enum err run(struct sqlite_state *s, struct sql_stmt *st, enum err err)
{
    bool row;
    if (err == OK)
        err = s->db->driver->step(st, &row);
    s->db->driver->finish(st);
    return err;
}

static enum err erase(struct sqlite_state *s, enum state_table t, const struct state_key *k)
{
    const struct sql_driver *d = s->db->driver;
    struct sql_stmt *st;
    TRY(d->prepare(s->db, "DELETE FROM items WHERE tbl = ? AND k1 = ? AND k2 = ?", &st));
    return run(s, st, bind_key(d, st, 0, t, k));
}

static enum err store(struct sqlite_state *s, enum state_table t, const struct state_key *k,
                      const struct state_item *item)
{
    const struct sql_driver *d = s->db->driver;
    struct sql_stmt *st;
    TRY(erase(s, t, k));
    TRY(d->prepare(s->db, "INSERT INTO items(tbl, k1, k2, expires_at, body) VALUES(?, ?, ?, ?, ?)",
                   &st));
    json_t *json = state_item_json(item);
    char *body = json_dumps(json, JSON_COMPACT);
    enum err err = body ? OK : err_set(ERR_INVALID, "an item with text that is no UTF-8");
    if (err == OK)
        err = bind_key(d, st, 0, t, k);
    if (err == OK)
        err = d->bind_i64(st, 3, state_int(item, "expires_at"));
    if (err == OK)
        err = d->bind_text(st, 4, str_c(body));
    json_decref(json);
    err = run(s, st, err);
    json_free_t release;
    json_get_alloc_funcs(NULL, &release);
    release(body);
    return err;
}

/* ---- conditions ---- */

static bool has_attr(const struct state_item *item, const char *name)
{
    for (unsigned i = 0; i < item->n; i++)
        if (str_eq_c(item->attr[i].name, name))
            return true;
    return false;
}

static bool holds(const struct state_item *item, bool exists, const struct state_cond *c)
{
    switch (c->op) {
    case STATE_NO_ITEM:
        return !exists;
    case STATE_NO_ATTR:
        return !has_attr(item, c->name);
    case STATE_HAS_ATTR:
        return has_attr(item, c->name);
    case STATE_IS_TEXT:
        return has_attr(item, c->name) && str_eq(state_text(item, c->name), c->text);
    case STATE_IS_INT:
        return has_attr(item, c->name) && state_int(item, c->name) == c->number;
    }
    return false;
}

static enum err judge(struct sqlite_state *s, enum state_table t, const struct state_key *k,
                      const struct state_cond *cond, unsigned n, struct arena *a,
                      struct state_item *ret, bool *ret_exists)
{
    ret->n = 0;
    enum err err = find(s, t, k, a, ret);
    if (err != OK && err != ERR_NOTFOUND)
        return err;
    *ret_exists = err == OK;
    for (unsigned i = 0; i < n; i++)
        if (!holds(ret, *ret_exists, &cond[i]))
            return err_set(ERR_CONFLICT, "%s %.*s%s%.*s: changed meanwhile", state_tables[t].name,
                           STR_ARG(k->hash), k->range.n ? " " : "", STR_ARG(k->range));
    return OK;
}

/* ---- the driver ---- */

static enum err sqlite_get(struct state *base, enum state_table t, const struct state_key *k,
                           struct arena *a, struct state_item *ret)
{
    struct sqlite_state *s = state_of(base);
    pthread_mutex_lock(&s->lock);
    enum err err = find(s, t, k, a, ret);
    pthread_mutex_unlock(&s->lock);
    return err;
}

static enum err update_in(struct sqlite_state *s, enum state_table t, const struct state_key *k,
                          const struct state_item *set, const struct state_cond *cond, unsigned n,
                          struct arena *a)
{
    struct state_item *item = ARENA_NEW(a, struct state_item);
    bool exists;
    TRY(judge(s, t, k, cond, n, a, item, &exists));
    state_set_text(item, state_tables[t].hash, k->hash);
    if (state_tables[t].range)
        state_set_text(item, state_tables[t].range, k->range);
    for (unsigned i = 0; i < set->n; i++) {
        const struct state_attr *attr = &set->attr[i];
        const char *name = arena_str(a, attr->name).p;
        if (attr->is_number)
            state_set_int(item, name, attr->number);
        else
            state_set_text(item, name, attr->text);
    }
    return store(s, t, k, item);
}

/* Ends the transaction; the error, if any, is the transaction's. */
static enum err end(struct sqlite_state *s, enum err err)
{
    if (err == OK)
        return s->db->driver->commit(s->db);
    char text[256];
    snprintf(text, sizeof(text), "%s", err_text());
    s->db->driver->rollback(s->db);
    return err_set(err, "%s", text);
}

static enum err begin(struct sqlite_state *s, bool durable)
{
    if (s->unsynced == durable) {
        TRY(s->db->driver->exec(s->db,
                                durable ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL"));
        s->unsynced = !durable;
    }
    return s->db->driver->begin(s->db);
}

static enum err sqlite_update(struct state *base, enum state_table t, const struct state_key *k,
                              const struct state_item *set, const struct state_cond *cond,
                              unsigned n, bool durable)
{
    struct sqlite_state *s = state_of(base);
    struct arena a;
    arena_init(&a, 0, NULL);
    pthread_mutex_lock(&s->lock);
    enum err err = begin(s, durable);
    if (err == OK)
        err = end(s, update_in(s, t, k, set, cond, n, &a));
    pthread_mutex_unlock(&s->lock);
    arena_release(&a);
    return err;
}

static enum err sqlite_remove(struct state *base, enum state_table t, const struct state_key *k,
                              const struct state_cond *cond, unsigned n)
{
    struct sqlite_state *s = state_of(base);
    struct arena a;
    bool exists;
    arena_init(&a, 0, NULL);
    pthread_mutex_lock(&s->lock);
    enum err err = begin(s, true);
    if (err == OK) {
        err = judge(s, t, k, cond, n, &a, ARENA_NEW(&a, struct state_item), &exists);
        if (err == OK)
            err = erase(s, t, k);
        err = end(s, err);
    }
    pthread_mutex_unlock(&s->lock);
    arena_release(&a);
    return err;
}

/* The next items behind (hash, range), so that no statement is open while fn is called. */
static enum err next_batch(struct sqlite_state *s, enum state_table t, struct str hash,
                           const struct state_key *behind, struct arena *a, struct state_item **ret,
                           unsigned *ret_n)
{
    const struct sql_driver *d = s->db->driver;
    struct sql_stmt *st;
    bool row = false;
    *ret_n = 0;
    TRY(d->prepare(s->db,
                   hash.n ? "SELECT body FROM items WHERE tbl = ? AND k1 = ? AND k2 > ? "
                            "ORDER BY k1, k2 LIMIT 256"
                          : "SELECT body FROM items WHERE tbl = ? AND (k1, k2) > (?, ?) "
                            "ORDER BY k1, k2 LIMIT 256",
                   &st));
    enum err err = bind_key(d, st, 0, t, behind);
    while (err == OK && *ret_n < BATCH_MAX && (err = d->step(st, &row)) == OK && row) {
        ret[*ret_n] = ARENA_NEW(a, struct state_item);
        err = read_body(d->column_text(st, 0), a, ret[*ret_n]);
        (*ret_n)++;
    }
    d->finish(st);
    return err;
}

static enum err sqlite_each(struct state *base, enum state_table t, struct str hash,
                            enum err (*fn)(void *ctx, const struct state_item *item), void *ctx)
{
    struct sqlite_state *s = state_of(base);
    struct state_item *item[BATCH_MAX];
    struct state_key behind = {hash, STR("")};
    char k1[STATE_KEY_MAX], k2[STATE_KEY_MAX];
    struct arena a;
    unsigned n;
    enum err err;
    arena_init(&a, 0, NULL);
    do {
        arena_reset(&a);
        pthread_mutex_lock(&s->lock);
        err = next_batch(s, t, hash, &behind, &a, item, &n);
        pthread_mutex_unlock(&s->lock);
        for (unsigned i = 0; i < n && err == OK; i++)
            err = fn(ctx, item[i]);
        if (err == OK && n) {
            const struct state_table_info *info = &state_tables[t];
            struct str hash_key = state_text(item[n - 1], info->hash);
            struct str range_key = info->range ? state_text(item[n - 1], info->range) : STR("");
            memcpy(k1, hash_key.p, hash_key.n);
            memcpy(k2, range_key.p, range_key.n);
            behind = (struct state_key){str_of(k1, hash_key.n), str_of(k2, range_key.n)};
        }
    } while (err == OK && n == BATCH_MAX);
    arena_release(&a);
    return err;
}

static enum err sqlite_forget(struct state *base, int64_t now_s)
{
    struct sqlite_state *s = state_of(base);
    const struct sql_driver *d = s->db->driver;
    struct sql_stmt *st;
    pthread_mutex_lock(&s->lock);
    enum err err =
        d->prepare(s->db, "DELETE FROM items WHERE expires_at > 0 AND expires_at < ?", &st);
    if (err == OK)
        err = run(s, st, d->bind_i64(st, 0, now_s));
    pthread_mutex_unlock(&s->lock);
    return err;
}

static const struct state_driver sqlite_driver = {
    .close = sqlite_close,
    .init = sqlite_init,
    .get = sqlite_get,
    .update = sqlite_update,
    .remove = sqlite_remove,
    .each = sqlite_each,
    .forget = sqlite_forget,
};

enum err state_open_sqlite(const char *path, struct state **ret)
{
    struct sql *db;
    TRY(sql_open_sqlite_shared(path, &db));
    struct sqlite_state *s = NEW(struct sqlite_state);
    s->base.driver = &sqlite_driver;
    s->db = db;
    pthread_mutex_init(&s->lock, NULL);
    enum err err = sqlite_init(&s->base);
    if (err == OK)
        err = state_forget(&s->base);
    if (err != OK) {
        sqlite_close(&s->base);
        return err;
    }
    *ret = &s->base;
    return OK;
}
