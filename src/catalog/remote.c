/* What is the same for every database server.
 *
 * LOST CONNECTIONS. begin, and a statement outside of a transaction, connect where there is no
 * connection, and again where the one that there was turns out to be dead. Within a transaction a
 * lost connection is an error of whatever comes, up to its end: nothing is stored. But for the
 * COMMIT: once it is on its way, only an answer tells, and without one it is ERR_TIMEOUT. Whether
 * the server took it or not, it holds the lock until that is decided: the next to begin sees. */
#include "catalog/remote.h"

#include "core/io.h"
#include "core/mem.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdio.h>

enum { ERR_TEXT = 256 };

static struct remote *remote_of(struct sql *db)
{
    return (struct remote *)db;
}

void remote_init(struct remote *db, const struct sql_driver *driver, const struct wire *wire)
{
    db->base = (struct sql){driver, true};
    db->wire = wire;
    db->plain = "";
    arena_init(&db->arena, 0, NULL);
}

bool remote_load_library(struct remote_library *l)
{
    void *handle = dlopen(l->file, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        snprintf(l->missing, sizeof(l->missing), "%s: %s", l->needs, dlerror());
    for (size_t i = 0; handle && i < l->n; i++) {
        void *symbol = dlsym(handle, l->symbol[i].name);
        if (!symbol)
            snprintf(l->missing, sizeof(l->missing), "%s: it has no %s", l->old, l->symbol[i].name);
        memcpy((char *)l->table + l->symbol[i].at, &symbol, sizeof(symbol));
    }
    return !l->missing[0];
}

/* ---- connections ---- */

void remote_put_line(char *to, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n + 2 < size; text++) {
        if (text[0] == '\n' && text[1] == '\t')
            text += strcspn(text + 1, "\n");
        else if (*text != '\n')
            to[n++] = *text;
        else if (text[1] && text[1] != '\n') {
            to[n++] = ';';
            to[n++] = ' ';
        }
    }
    to[n] = 0;
}

enum err remote_lost(struct remote *db, const char *why)
{
    char text[REMOTE_WHY_MAX];
    remote_put_line(text, sizeof(text), why); /* it may be the connection's own */
    memcpy(db->why, text, sizeof(text));
    db->wire->disconnect(db);
    db->connected = false;
    return err_set(ERR_UNAVAILABLE, "catalog %s: %s", db->plain, db->why);
}

enum err remote_need_connection(struct remote *db)
{
    if (db->connected)
        return OK;
    if (db->in_tx)
        return err_set(ERR_UNAVAILABLE, "catalog %s: %s", db->plain, db->why);
    TRY(db->wire->connect(db));
    db->connected = true;
    return OK;
}

enum err remote_no_turn(const struct remote *db)
{
    return err_set(ERR_UNAVAILABLE,
                   "catalog %s: another server has been writing to it for " REMOTE_TURN_S
                   " s; it will be tried again",
                   db->plain);
}

enum err remote_read_password(const char *path, char ret[REMOTE_PASSWORD_MAX + 1])
{
    struct buf b;
    struct str word = {0};
    TRY(io_read_file(path, REMOTE_PASSWORD_MAX, &b));
    struct str rest = buf_str(&b);
    bool there = str_split(&rest, '\n', &word) && word.n;
    snprintf(ret, REMOTE_PASSWORD_MAX + 1, "%.*s", STR_ARG(word));
    buf_release(&b);
    return there ? OK : err_set(ERR_AUTH, "password_file %s is empty", path);
}

enum err remote_check_value(struct str v, const char *name, const char **ret)
{
    if (!v.n || str_find_byte(v, 0, 0) < v.n)
        return err_set(ERR_INVALID, "the %s of the URL is empty, or has a NUL", name);
    *ret = v.p;
    return OK;
}

void remote_close(struct sql *base)
{
    struct remote *db = remote_of(base);
    CHECK(!db->reader);
    db->wire->disconnect(db);
    arena_release(&db->arena);
    mem_free(db);
}

/* ---- transactions ---- */

void remote_rollback(struct sql *base)
{
    struct remote *db = remote_of(base);
    db->in_tx = false;
    if (db->connected && db->wire->rollback(db) != OK && db->connected)
        (void)remote_lost(db, "it does not roll back");
}

static enum err try_begin(struct remote *db)
{
    TRY(remote_need_connection(db));
    return db->wire->begin(db);
}

/* The error stays what it is. */
static enum err rollback_after(struct remote *db, enum err err)
{
    char text[ERR_TEXT];
    snprintf(text, sizeof(text), "%s", err_text());
    remote_rollback(&db->base);
    return err_set(err, "%s", text);
}

enum err remote_begin(struct sql *base)
{
    struct remote *db = remote_of(base);
    CHECK(!db->in_tx && !db->reader);
    bool had = db->connected;
    enum err err = try_begin(db);
    if (err != OK && !db->connected && had)
        err = try_begin(db); /* the old connection was dead */
    if (err == OK) {
        db->in_tx = true;
        return OK;
    }
    return db->connected ? rollback_after(db, err) : err;
}

enum err remote_commit(struct sql *base)
{
    struct remote *db = remote_of(base);
    enum err err = remote_need_connection(db);
    if (err == OK) {
        bool sure = false;
        err = db->wire->commit(db, &sure);
        if (err == OK) {
            db->in_tx = false;
            return OK;
        }
        if (db->connected && !sure)
            (void)remote_lost(db, err_text());
        if (!db->connected)
            err =
                err_set(ERR_TIMEOUT, "catalog %s: no answer to the commit: %s", db->plain, db->why);
    }
    return rollback_after(db, err);
}

uint64_t remote_affected(struct sql *base)
{
    return remote_of(base)->affected;
}

/* ---- statements ---- */

enum err remote_prepare(struct sql *base, const char *text, struct sql_stmt **ret)
{
    struct sql_stmt *s = NEW(struct sql_stmt);
    struct buf out;
    s->db = remote_of(base);
    buf_init(&out, 64 << 10);
    for (; *text; text++) {
        s->n += *text == '?';
        if (*text == '?' && s->db->wire->numbered)
            buf_printf(&out, "$%d", s->n);
        else
            buf_put_byte(&out, *text);
    }
    CHECK(s->n <= REMOTE_PARAMS_MAX);
    s->text = mem_strdup(buf_str(&out));
    buf_release(&out);
    *ret = s;
    return OK;
}

static enum err bind(struct sql_stmt *s, int index, char *value, bool is_text)
{
    CHECK(index < s->n && s->stage == STMT_READY);
    mem_free(s->value[index]);
    s->value[index] = value;
    s->is_text[index] = is_text;
    return OK;
}

enum err remote_bind_i64(struct sql_stmt *s, int index, int64_t v)
{
    return bind(s, index, mem_printf("%" PRId64, v), false);
}

enum err remote_bind_text(struct sql_stmt *s, int index, struct str v)
{
    if (str_find_byte(v, 0, 0) < v.n)
        return err_set(ERR_INVALID, "catalog %s: a text with a NUL", s->db->plain);
    return bind(s, index, mem_strdup(v), true);
}

/* Reads what is left of its answers, and of a transaction of its own. */
static enum err end_statement(struct sql_stmt *s, enum err err)
{
    struct remote *db = s->db;
    uint64_t affected = db->affected;
    char text[ERR_TEXT];
    snprintf(text, sizeof(text), "%s", err_text());
    db->wire->drop_row(s);
    s->stage = STMT_DONE;
    db->reader = NULL;
    enum err rest = db->connected ? db->wire->drain(db) : OK;
    if ((err != OK || rest != OK) && !db->in_tx)
        remote_rollback(&db->base);
    db->affected = affected;
    if (err == OK) /* what was only read is there, however its transaction ends */
        return db->in_tx ? rest : OK;
    return err_set(err, "%s", text);
}

static enum err next_row(struct sql_stmt *s, bool *ret_row)
{
    bool row = false;
    s->db->wire->drop_row(s);
    enum err err = s->db->wire->next(s, &row);
    if (err != OK || !row)
        err = end_statement(s, err);
    if (err == OK)
        *ret_row = row;
    return err;
}

enum err remote_step(struct sql_stmt *s, bool *ret_row)
{
    struct remote *db = s->db;
    if (s->stage == STMT_DONE) {
        *ret_row = false;
        return OK;
    }
    if (s->stage == STMT_ROWS)
        return next_row(s, ret_row);
    CHECK(!db->reader); /* another's rows are under way */
    bool had = db->connected;
    db->reader = s;
    enum err err = remote_need_connection(db);
    if (err == OK)
        err = db->wire->send(s);
    if (err != OK && had && !db->connected && !db->in_tx) { /* the old connection was dead */
        err = remote_need_connection(db);
        if (err == OK)
            err = db->wire->send(s);
    }
    if (err != OK)
        return end_statement(s, err);
    s->stage = STMT_ROWS;
    return next_row(s, ret_row);
}

enum err remote_run(struct sql_stmt *s)
{
    CHECK(s->db->in_tx && !s->db->reader);
    TRY(remote_need_connection(s->db));
    return s->db->wire->queue(s);
}

struct str remote_column_text(struct sql_stmt *s, int index)
{
    return s->db->wire->column(s, index);
}

int64_t remote_column_i64(struct sql_stmt *s, int index)
{
    int64_t v = 0;
    (void)str_to_i64(remote_column_text(s, index), &v);
    return v;
}

void remote_reset(struct sql_stmt *s)
{
    if (s->stage == STMT_ROWS)
        (void)end_statement(s, OK);
    s->stage = STMT_READY;
}

void remote_finish(struct sql_stmt *s)
{
    if (!s)
        return;
    remote_reset(s);
    for (int i = 0; i < s->n; i++)
        mem_free(s->value[i]);
    mem_free(s->text);
    mem_free(s);
}

enum err remote_exec(struct sql *base, const char *text)
{
    struct sql_stmt *s;
    bool row;
    TRY(remote_prepare(base, text, &s));
    enum err err = remote_step(s, &row);
    remote_finish(s);
    return err;
}

enum err remote_finds(struct sql *base, const char *text, const char *value, bool *ret)
{
    struct sql_stmt *s;
    TRY(remote_prepare(base, text, &s));
    enum err err = remote_bind_text(s, 0, str_c(value));
    if (err == OK)
        err = remote_step(s, ret);
    remote_finish(s);
    return err;
}
