/* The driver's seam: what the catalog asks of a database. A driver is a table of functions;
 * catalog.c knows only this file.
 *
 * Statements are written once for all drivers: parameters are `?`, values are 64-bit integers and
 * text (binary collation; bytes travel as hexadecimal text), no RETURNING, no upsert. `affected`
 * counts rows that a statement's condition found, whether or not it changed their values. A broken
 * UNIQUE or PRIMARY KEY is ERR_EXISTS, a database that somebody else holds ERR_UNAVAILABLE, as is a
 * server whose disk is full, a full disk of ours ERR_FULL, a damaged file ERR_CORRUPT, anything
 * else ERR_IO.
 *
 * A statement outside of begin and commit is a transaction of its own, and only reads. One
 * statement at a time gives rows: its end, reset or finish comes before anything else.
 *
 * Threads: one at a time for a connection and its statements. Every call may block on the disk or a
 * wire. */
#ifndef WEIR_CATALOG_SQL_H
#define WEIR_CATALOG_SQL_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/err.h"
#include "core/str.h"

struct sql;
struct sql_stmt;

struct sql_driver {
    const char *table_end; /* of a CREATE TABLE with a primary key: how rows are best kept */
    /* Types of text columns, of any length and of a bounded one, and what stands behind: a binary
     * collation. */
    const char *text, *varchar, *text_end;
    bool ddl_commits; /* to make a table ends a transaction: each is made before one, by itself */
    bool sure; /* a commit that failed, but for ERR_TIMEOUT, can never come back from the disk */
    void (*close)(struct sql *db);
    enum err (*exec)(struct sql *db, const char *text); /* one statement without parameters */
    enum err (*begin)(struct sql *db); /* to write: fails rather than deadlocks later */
    /* Durable when OK; rolled back when not; ERR_TIMEOUT: it is not known which of both. */
    enum err (*commit)(struct sql *db);
    void (*rollback)(struct sql *db);
    enum err (*has_table)(struct sql *db, const char *name, bool *ret);
    /* What it is, for people: "PostgreSQL 15.18, schema public". ERR_AUTH: no tables could be made.
     */
    enum err (*describe)(struct sql *db, struct buf *out);
    uint64_t (*affected)(struct sql *db); /* by the last step or exec */
    /* The text need not outlive the call. */
    enum err (*prepare)(struct sql *db, const char *text, struct sql_stmt **ret);
    /* Parameters from 0. The text is copied. */
    enum err (*bind_i64)(struct sql_stmt *s, int index, int64_t v);
    enum err (*bind_text)(struct sql_stmt *s, int index, struct str v);
    enum err (*step)(struct sql_stmt *s, bool *ret_row);
    /* Within a transaction, of a statement without rows: step and reset. A failure may come to
     * light later, with the commit at the latest. Many of them make few trips over a wire. */
    enum err (*run)(struct sql_stmt *s);
    /* Columns from 0 of the row; a text lives until the next step or reset. */
    int64_t (*column_i64)(struct sql_stmt *s, int index);
    struct str (*column_text)(struct sql_stmt *s, int index);
    void (*reset)(struct sql_stmt *s); /* to bind and step anew */
    void (*finish)(struct sql_stmt *s);
};
struct sql {
    const struct sql_driver *driver;
    bool shared; /* by several processes */
};

/* path: the file. One process at a time: another gets ERR_UNAVAILABLE. */
NODISCARD enum err sql_open_sqlite(const char *path, struct sql **ret);
/* For any number of processes, which wait for each other's writes up to ten seconds. */
NODISCARD enum err sql_open_sqlite_shared(const char *path, struct sql **ret);
/* postgresql://...: the parameters are libpq's, and schema=, a password_file=. make: the schema,
 * when it is not there. */
NODISCARD enum err sql_open_postgresql(struct str url, bool make, struct sql **ret);
NODISCARD enum err sql_check_postgresql(struct str url);
/* mysql://..., mysql+tls://...: of MySQL, Aurora MySQL, MariaDB (mysql_url.c). make: the table that
 * turns are taken by, when it is not there. */
NODISCARD enum err sql_open_mysql(struct str url, bool make, struct sql **ret);
NODISCARD enum err sql_check_mysql(struct str url);
/* sqlite:, sqlite:PATH, sqlite:PATH?shared=true, postgresql://..., mysql://... data: the folder
 * whose catalog.db is meant where there is no path. ERR_INVALID says what is wrong with the URL;
 * ERR_NOTFOUND: there is no such file, and it is not to be made. */
NODISCARD enum err sql_open_url(struct str url, const char *data, bool make, struct sql **ret);
/* The URL without user and parameters, for logs. Lives in the arena, a NUL behind. */
struct str sql_url_plain(struct str url, struct arena *a);
/* Connects to nothing. */
NODISCARD enum err sql_check_url(struct str url);

#endif
