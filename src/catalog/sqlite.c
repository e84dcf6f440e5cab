/* The seam's first driver: one SQLite file.
 *
 * Settings, and why:
 *   - locking_mode=EXCLUSIVE: the first access locks the file until close, so a second server on
 * the same data is refused at once, and the WAL's index stays in our memory, without a -shm file.
 *   - journal_mode=WAL, synchronous=FULL: a commit is one append and one sync of the -wal file,
 * where a rollback journal takes three syncs or more; and it is durable when commit returns.
 *   - trusted_schema off, defensive on, cell_size_check on: the file is bytes from outside.
 * No busy time-out: waiting would not help against a holder that never lets go.
 *
 * A shared file is not locked, so that its WAL has an index in shared memory (a -shm file), and a
 * writer waits for another.
 *
 * Text parameters are copied by SQLite (SQLITE_TRANSIENT). A commit that fails is rolled back here,
 * so that the connection is usable again whatever happened. */
#include "catalog/sql.h"
#include "catalog/sqlite_vfs.h"
#include "core/clock.h"
#include "core/mem.h"

#include <limits.h>
#include <sqlite3.h>

struct sqlite_db {
    struct sql base;
    sqlite3 *handle;
    char *path;
};
struct sql_stmt {
    struct sqlite_db *db;
    sqlite3_stmt *handle;
};

static struct sqlite_db *db_of(struct sql *db)
{
    return (struct sqlite_db *)db;
}

static enum err fail(const struct sqlite_db *db, int rc)
{
    const char *why = db->handle ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    enum err code = ERR_IO;
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_set(ERR_UNAVAILABLE, "catalog %s is in use by another process", db->path);
    case SQLITE_FULL:
        code = ERR_FULL;
        break;
    case SQLITE_CONSTRAINT:
        code = ERR_EXISTS;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = ERR_CORRUPT;
        break;
    case SQLITE_TOOBIG:
        code = ERR_LIMIT;
        break;
    default:
        break;
    }
    return err_set(code, "catalog %s: %s", db->path, why);
}

static void db_close(struct sql *base)
{
    struct sqlite_db *db = db_of(base);
    CHECK(sqlite3_close(db->handle) == SQLITE_OK); /* else a statement was not finished */
    mem_free(db->path);
    mem_free(db);
}

static enum err db_exec(struct sql *base, const char *text)
{
    struct sqlite_db *db = db_of(base);
    int rc = sqlite3_exec(db->handle, text, NULL, NULL, NULL);
    return rc == SQLITE_OK ? OK : fail(db, rc);
}

static enum err db_begin(struct sql *base)
{
    return db_exec(base, "BEGIN IMMEDIATE");
}

static void db_rollback(struct sql *base)
{
    struct sqlite_db *db = db_of(base);
    /* After some errors SQLite has rolled back by itself. */
    if (!sqlite3_get_autocommit(db->handle))
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
}

static enum err db_commit(struct sql *base)
{
    struct sqlite_db *db = db_of(base);
    int rc = sqlite3_exec(db->handle, "COMMIT", NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return OK;
    enum err err = fail(db, rc);
    db_rollback(base);
    return err;
}

static uint64_t db_affected(struct sql *base)
{
    return (uint64_t)sqlite3_changes64(db_of(base)->handle);
}

static enum err db_prepare(struct sql *base, const char *text, struct sql_stmt **ret)
{
    struct sqlite_db *db = db_of(base);
    sqlite3_stmt *handle = NULL;
    int rc = sqlite3_prepare_v2(db->handle, text, -1, &handle, NULL);
    if (rc != SQLITE_OK)
        return fail(db, rc);
    struct sql_stmt *s = NEW(struct sql_stmt);
    *s = (struct sql_stmt){db, handle};
    *ret = s;
    return OK;
}

static enum err stmt_bind_i64(struct sql_stmt *s, int index, int64_t v)
{
    int rc = sqlite3_bind_int64(s->handle, index + 1, v);
    return rc == SQLITE_OK ? OK : fail(s->db, rc);
}

static enum err stmt_bind_text(struct sql_stmt *s, int index, struct str v)
{
    int rc = sqlite3_bind_text64(s->handle, index + 1, v.n ? v.p : "", v.n, SQLITE_TRANSIENT,
                                 SQLITE_UTF8);
    return rc == SQLITE_OK ? OK : fail(s->db, rc);
}

static enum err stmt_step(struct sql_stmt *s, bool *ret_row)
{
    int rc = sqlite3_step(s->handle);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        return fail(s->db, rc);
    *ret_row = rc == SQLITE_ROW;
    return OK;
}

static int64_t stmt_column_i64(struct sql_stmt *s, int index)
{
    return sqlite3_column_int64(s->handle, index);
}

static struct str stmt_column_text(struct sql_stmt *s, int index)
{
    const char *p = (const char *)sqlite3_column_text(s->handle, index);
    return str_of(p, p ? (size_t)sqlite3_column_bytes(s->handle, index) : 0);
}

static void stmt_reset(struct sql_stmt *s)
{
    sqlite3_reset(s->handle);
    sqlite3_clear_bindings(s->handle);
}

static enum err stmt_run(struct sql_stmt *s)
{
    bool row;
    enum err err = stmt_step(s, &row);
    stmt_reset(s);
    return err;
}

static void stmt_finish(struct sql_stmt *s)
{
    if (!s)
        return;
    sqlite3_finalize(s->handle);
    mem_free(s);
}

static enum err db_has_table(struct sql *base, const char *name, bool *ret)
{
    struct sql_stmt *s = NULL;
    TRY(db_prepare(base, "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", &s));
    enum err err = stmt_bind_text(s, 0, str_c(name));
    if (err == OK)
        err = stmt_step(s, ret);
    stmt_finish(s);
    return err;
}

static enum err db_describe(struct sql *base, struct buf *out)
{
    buf_printf(out, "SQLite %s, %s", sqlite3_libversion(), db_of(base)->path);
    return OK;
}

static const struct sql_driver sqlite_driver = {
    .table_end = " WITHOUT ROWID", /* else each key is an index beside the table, a page at least */
    .text = "TEXT",
    .varchar = "VARCHAR",
    .text_end = "", /* binary unless told otherwise */
    .close = db_close,
    .exec = db_exec,
    .begin = db_begin,
    .commit = db_commit,
    .rollback = db_rollback,
    .has_table = db_has_table,
    .describe = db_describe,
    .affected = db_affected,
    .prepare = db_prepare,
    .bind_i64 = stmt_bind_i64,
    .bind_text = stmt_bind_text,
    .step = stmt_step,
    .run = stmt_run,
    .column_i64 = stmt_column_i64,
    .column_text = stmt_column_text,
    .reset = stmt_reset,
    .finish = stmt_finish,
};

enum { BUSY_MS = 10000 };

static enum err configure(struct sqlite_db *db, bool shared)
{
    /* The size of pages is that of a new file: most tables stay within one. The least that there is
     * costs large tables nothing to speak of, and a commit writes less. */
    static const char *const alone[] = {"PRAGMA page_size=512", "PRAGMA locking_mode=EXCLUSIVE",
                                        "PRAGMA journal_mode=WAL", NULL};
    static const char *const together[] = {"PRAGMA journal_mode=WAL", NULL};
    static const char *const all[] = {"PRAGMA trusted_schema=OFF", "PRAGMA cell_size_check=ON",
                                      "PRAGMA synchronous=FULL",   "PRAGMA temp_store=MEMORY",
                                      "PRAGMA cache_size=-2000",   NULL};
    sqlite3_extended_result_codes(db->handle, 1);
    sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    if (shared)
        sqlite3_busy_timeout(db->handle, BUSY_MS);
    for (const char *const *s = shared ? together : alone; *s; s++)
        TRY(db_exec(&db->base, *s));
    for (const char *const *s = all; *s; s++)
        TRY(db_exec(&db->base, *s));
    /* Takes the lock now, and not at the first statement of somebody who does not expect a refusal.
     */
    TRY(db_begin(&db->base));
    return db_commit(&db->base);
}

/* SQLite's own waiting leaves out what could be a deadlock: the change to a WAL, the recovery of
 * one, its removal by the last who closes. Each is over in a moment. */
static enum err configure_shared(struct sqlite_db *db)
{
    int64_t until = clock_mono_ns() + BUSY_MS * NS_PER_MS;
    for (;;) {
        enum err err = configure(db, true);
        if (err != ERR_UNAVAILABLE || clock_mono_ns() > until)
            return err;
        clock_sleep_ms(5);
    }
}

static enum err open_file(const char *path, bool shared, struct sql **ret)
{
    struct sqlite_db *db = NEW(struct sqlite_db);
    db->base = (struct sql){&sqlite_driver, shared};
    db->path = mem_strdup(str_c(path));
    int rc = sqlite3_open_v2(path, &db->handle,
                             SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                             sqlite_vfs_name());
    enum err err = rc != SQLITE_OK ? fail(db, rc)
                   : shared        ? configure_shared(db)
                                   : configure(db, false);
    if (err != OK) {
        db_close(&db->base);
        return err;
    }
    *ret = &db->base;
    return OK;
}

enum err sql_open_sqlite(const char *path, struct sql **ret)
{
    return open_file(path, false, ret);
}

enum err sql_open_sqlite_shared(const char *path, struct sql **ret)
{
    return open_file(path, true, ret);
}
