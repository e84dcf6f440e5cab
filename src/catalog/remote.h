/* What the drivers of database servers have in common (remote.c): a connection that breaks and is
 * made anew, transactions and the doubt about a commit without an answer, statements and their
 * parameters. A driver is a struct that begins with struct remote, and a struct wire: what goes
 * over its wire. Threads: as sql.h. */
#ifndef WEIR_CATALOG_REMOTE_H
#define WEIR_CATALOG_REMOTE_H

#include "catalog/sql.h"

/* How long a writer waits for its turn, how long an answer may take, and when a server may end the
 * transaction of a client that says nothing any more. A commit is decided, and its lock free,
 * whatever became of the client. */
#define REMOTE_TURN_S "10"
#define REMOTE_IDLE_S "30"
enum {
    REMOTE_ANSWER_S = 25,
    REMOTE_QUEUED_MAX = 256, /* statements given to run, before they are sent */
    REMOTE_PARAMS_MAX = 16,
    REMOTE_WHY_MAX = 160,
    REMOTE_PASSWORD_MAX = 4096 /* a token may be long */
};

/* A library that is loaded when it is needed: an agent, and a server with a catalog of its own, do
 * without it and all that it loads. */
struct remote_symbol {
    const char *name;
    size_t at; /* in the table */
};
struct remote_library {
    const char *file, *needs, *old; /* its name; how errors begin: there is none, or an old one */
    const struct remote_symbol *symbol;
    size_t n;
    void *table;
    char missing[200]; /* why it cannot be used */
};
/* Fills the table; `missing` says why it cannot. Once. */
bool remote_load_library(struct remote_library *l);

struct remote;
struct wire {
    bool numbered; /* parameters are $1, $2, ... */
    /* On failure there is no connection. */
    enum err (*connect)(struct remote *db);
    void (*disconnect)(struct remote *db); /* also from what is half a connection */
    enum err (*begin)(struct remote *db);  /* with a turn */
    /* *ret_sure: by an error of the server, nothing was stored. */
    enum err (*commit)(struct remote *db, bool *ret_sure);
    enum err (*rollback)(struct remote *db);
    /* In a transaction, or as one. Afterwards its own answer is the next to be read. */
    enum err (*send)(struct sql_stmt *s);
    enum err (*queue)(struct sql_stmt *s); /* the same, some time; its answer has no rows */
    /* The next row; or the end, which says how many rows were affected. */
    enum err (*next)(struct sql_stmt *s, bool *ret_row);
    struct str (*column)(struct sql_stmt *s, int index); /* a NUL behind */
    void (*drop_row)(struct sql_stmt *s);
    enum err (*drain)(struct remote *db); /* reads what is left of answers */
};

struct remote {
    struct sql base;
    const struct wire *wire;
    struct arena arena; /* for what the URL says */
    const char *plain;  /* the URL without user and parameters */
    bool connected;
    bool in_tx;
    char why[REMOTE_WHY_MAX]; /* the connection was lost */
    uint64_t affected;
    const struct sql_stmt *reader; /* whose rows are under way */
};

struct sql_stmt {
    struct remote *db;
    char *text;
    enum { STMT_READY, STMT_ROWS, STMT_DONE } stage;
    int n;
    char *value[REMOTE_PARAMS_MAX];
    bool is_text[REMOTE_PARAMS_MAX];
    void *row;
};

void remote_init(struct remote *db, const struct sql_driver *driver, const struct wire *wire);
/* The connection is given up; what it was in the middle of is the server's to roll back. Returns
 * ERR_UNAVAILABLE with the reason. */
enum err remote_lost(struct remote *db, const char *why);
/* What a library or a server says, in one line, without the conjectures, which are indented. */
void remote_put_line(char *to, size_t size, const char *text);
NODISCARD enum err remote_need_connection(struct remote *db);
/* ERR_UNAVAILABLE: another has the turn for too long. */
enum err remote_no_turn(const struct remote *db);
/* The first line of a file, for one connection. */
NODISCARD enum err remote_read_password(const char *path, char ret[REMOTE_PASSWORD_MAX + 1]);
/* A part of a URL, undone, with a NUL behind: neither empty nor with one inside. */
NODISCARD enum err remote_check_value(struct str v, const char *name, const char **ret);
/* Whether a query with one parameter finds a row. */
NODISCARD enum err remote_finds(struct sql *db, const char *text, const char *value, bool *ret);

/* For the driver's table. */
#define REMOTE_DRIVER                                                                              \
    .sure = true, .close = remote_close, .exec = remote_exec, .begin = remote_begin,               \
    .commit = remote_commit, .rollback = remote_rollback, .affected = remote_affected,             \
    .prepare = remote_prepare, .bind_i64 = remote_bind_i64, .bind_text = remote_bind_text,         \
    .step = remote_step, .run = remote_run, .column_i64 = remote_column_i64,                       \
    .column_text = remote_column_text, .reset = remote_reset, .finish = remote_finish
void remote_close(struct sql *base);
enum err remote_exec(struct sql *base, const char *text);
enum err remote_begin(struct sql *base);
enum err remote_commit(struct sql *base);
void remote_rollback(struct sql *base);
uint64_t remote_affected(struct sql *base);
enum err remote_prepare(struct sql *base, const char *text, struct sql_stmt **ret);
enum err remote_bind_i64(struct sql_stmt *s, int index, int64_t v);
enum err remote_bind_text(struct sql_stmt *s, int index, struct str v);
enum err remote_step(struct sql_stmt *s, bool *ret_row);
enum err remote_run(struct sql_stmt *s);
int64_t remote_column_i64(struct sql_stmt *s, int index);
struct str remote_column_text(struct sql_stmt *s, int index);
void remote_reset(struct sql_stmt *s);
void remote_finish(struct sql_stmt *s);

#endif
