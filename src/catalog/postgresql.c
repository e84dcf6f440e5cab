/* The seam's driver for PostgreSQL, from version 12 on.
 *
 * TURNS. begin takes an advisory lock of the database and schema, held until the transaction ends,
 * so that writers take turns; it waits for LOCK_MS and no longer. At READ COMMITTED, so that every
 * statement sees what others committed before the lock was had. A transaction whose client is gone
 * without a word is ended by the server after IDLE_MS, and its lock with it.
 *
 * THE WIRE. Statements are sent in libpq's pipeline mode: what has to go together makes one trip
 * (the whole of begin; up to QUEUED_MAX statements given to run; a statement outside of a
 * transaction with the BEGIN and COMMIT around it), and a statement's rows are read one by one.
 * Every answer has ANSWER_NS; then the connection counts as lost, as when it breaks. No state of a
 * session is relied on, only what is set within the transaction, so that a pooler may stand
 * between (PgBouncer's transaction mode), and nothing is prepared by name.
 *
 * LOST CONNECTIONS. begin, and a statement outside of a transaction, connect where there is no
 * connection, and again where the one that there was turns out to be dead. Within a transaction a
 * lost connection is an error of whatever comes, up to its end: nothing is stored. But for the
 * COMMIT: once it is on its way, only an answer tells, and without one it is ERR_TIMEOUT. Whether
 * the server took it or not, it holds the lock until that is decided: the next to begin sees. */
#include "catalog/postgresql.h"

#include "catalog/sql.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/mem.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>

#define ANSWER_NS (25 * NS_PER_S)
#define PASSWORD_BYTES_MAX 1024
#define LOCK_MS "10000"
#define STATEMENT_MS "20000"
#define IDLE_MS "30000"
#define BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" /* not on a standby */
enum { QUEUED_MAX = 256, PARAMS_MAX = 16, VERSION_LEAST = 120000, WHY_MAX = 160, ERR_TEXT = 256 };

struct pg_db {
    struct sql base;
    const struct libpq *pq;
    struct arena arena; /* holds the target */
    struct pg_target target;
    const char *search_path; /* the schema, quoted; NULL: the server's own */
    PGconn *conn;            /* NULL: none, or lost */
    char why[WHY_MAX];       /* it was lost */
    bool in_tx;
    unsigned unread; /* statements sent whose answers are not read to the end */
    bool synced;     /* the mark behind them is sent */
    uint64_t affected;
    char state[6];                 /* SQLSTATE of the last error */
    char tag[8];                   /* of the last command: "COMMIT" */
    const struct sql_stmt *reader; /* whose rows are under way */
};

enum stage { READY, ROWS, DONE };
struct sql_stmt {
    struct pg_db *db;
    char *text; /* with $1... */
    enum stage stage;
    PGresult *row;
    int n;
    char *value[PARAMS_MAX];
};

static struct pg_db *db_of(struct sql *db)
{
    return (struct pg_db *)db;
}

/* ---- errors ---- */

/* libpq's and the server's words in one line, without the conjectures, which are indented. */
static void put_line(char *to, size_t size, const char *text)
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

static bool is_class(const char *state, const char *class)
{
    return !strncmp(state, class, strlen(class));
}

static enum err code_of(const char *state)
{
    static const struct {
        const char *state;
        enum err code;
    } table[] = {
        {"23505", ERR_EXISTS},   {"53100", ERR_FULL},       {"53", ERR_UNAVAILABLE},
        {"08", ERR_UNAVAILABLE}, {"57", ERR_UNAVAILABLE},   {"55P03", ERR_UNAVAILABLE},
        {"40", ERR_UNAVAILABLE}, {"25P0", ERR_UNAVAILABLE}, {"28", ERR_AUTH},
        {"42501", ERR_AUTH},     {"XX001", ERR_CORRUPT},    {"XX002", ERR_CORRUPT},
        {"22021", ERR_INVALID},  {"22P05", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (is_class(state, table[i].state))
            return table[i].code;
    return ERR_IO;
}

/* The connection is given up; what it was in the middle of is the server's to roll back. */
static enum err lost(struct pg_db *db, const char *why)
{
    put_line(db->why, sizeof(db->why), why);
    db->pq->PQfinish(db->conn);
    db->conn = NULL;
    db->unread = 0;
    db->synced = false;
    return err_set(ERR_UNAVAILABLE, "catalog %s: %s", db->target.plain, db->why);
}

/* An answer that is an error. One that ends the session is known by its severity. */
static enum err refused(struct pg_db *db, const PGresult *r)
{
    const char *state = db->pq->PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = db->pq->PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = db->pq->PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    char line[WHY_MAX];
    snprintf(db->state, sizeof(db->state), "%s", state ? state : "");
    put_line(line, sizeof(line), text ? text : db->pq->PQerrorMessage(db->conn));
    bool standby = state && is_class(state, "25006"); /* the next connection may find another */
    if (standby || !severity || strcmp(severity, "ERROR") != 0)
        return lost(db, line);
    if (state && is_class(state, "55P03"))
        return err_set(ERR_UNAVAILABLE,
                       "catalog %s: another server has been writing to it for " LOCK_MS
                       " ms; it will be tried again",
                       db->target.plain);
    if (state && is_class(state, "42501"))
        return err_set(
            ERR_AUTH,
            "catalog %s: %s. The user needs USAGE and CREATE on its schema: GRANT ALL ON "
            "SCHEMA s TO u",
            db->target.plain, line);
    return err_set(state ? code_of(state) : ERR_IO, "catalog %s: %s", db->target.plain, line);
}

/* ---- connecting ---- */

/* What trying again does not help against. */
static bool is_refusal(const char *message)
{
    static const char *const words[] = {"authentication failed", "no password supplied",
                                        "does not exist",        "pg_hba.conf",
                                        "certificate",           "is not permitted to log in"};
    for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
        if (strstr(message, words[i]))
            return true;
    return false;
}

static enum err read_password(struct pg_db *db, char text[PASSWORD_BYTES_MAX + 1])
{
    struct buf b;
    struct str word = {0};
    TRY(io_read_file(db->target.password_file, PASSWORD_BYTES_MAX, &b));
    struct str rest = buf_str(&b);
    bool there = str_split(&rest, '\n', &word) && word.n;
    snprintf(text, PASSWORD_BYTES_MAX + 1, "%.*s", STR_ARG(word));
    buf_release(&b);
    return there ? OK : err_set(ERR_AUTH, "password_file %s is empty", db->target.password_file);
}

static PGconn *dial(struct pg_db *db, const char *password)
{
    const char *name[] = {"password", NULL}, *value[] = {password, NULL};
    const struct pg_target *t = &db->target;
    unsigned n = 0;
    if (!password)
        return db->pq->PQconnectdbParams(t->name, t->value, 0);
    while (t->name[n])
        n++;
    const char **names = NEW_ARRAY(const char *, n + 2), **values = NEW_ARRAY(const char *, n + 2);
    memcpy(names, t->name, n * sizeof(*names));
    memcpy(values, t->value, n * sizeof(*values));
    memcpy(names + n, name, sizeof(name));
    memcpy(values + n, value, sizeof(value));
    PGconn *conn = db->pq->PQconnectdbParams(names, values, 0);
    mem_free(names);
    mem_free(values);
    return conn;
}

/* What a server only remarks is for its own log. */
static void ignore(void *ctx, const char *message)
{
}

static enum err open_connection(struct pg_db *db)
{
    char password[PASSWORD_BYTES_MAX + 1];
    if (db->target.password_file)
        TRY(read_password(db, password));
    db->conn = dial(db, db->target.password_file ? password : NULL);
    if (!db->conn || db->pq->PQstatus(db->conn) != CONNECTION_OK) {
        const char *message = db->conn ? db->pq->PQerrorMessage(db->conn) : "out of memory";
        bool refusal = is_refusal(message);
        enum err err = lost(db, message);
        return refusal ? err_set(ERR_AUTH, "catalog %s: %s", db->target.plain, db->why) : err;
    }
    (void)db->pq->PQsetNoticeProcessor(db->conn, ignore, NULL);
    if (!db->pq->PQenterPipelineMode(db->conn))
        return lost(db, "no pipeline mode");
    return OK;
}

static enum err need_connection(struct pg_db *db)
{
    if (db->conn)
        return OK;
    if (db->in_tx)
        return err_set(ERR_UNAVAILABLE, "catalog %s: %s", db->target.plain, db->why);
    return open_connection(db);
}

/* ---- sending and reading ---- */

static enum err send(struct pg_db *db, const char *text, int n, char *const *value)
{
    if (!db->pq->PQsendQueryParams(db->conn, text, n, NULL, (const char *const *)value, NULL, NULL,
                                   0))
        return lost(db, db->pq->PQerrorMessage(db->conn));
    db->unread++;
    return OK;
}

/* What was sent is on its way, and will be answered up to here. */
static enum err sync_now(struct pg_db *db)
{
    if (!db->pq->PQpipelineSync(db->conn))
        return lost(db, db->pq->PQerrorMessage(db->conn));
    db->synced = true;
    return OK;
}

static enum err wait_readable(struct pg_db *db, int64_t until)
{
    struct pollfd p = {.fd = db->pq->PQsocket(db->conn), .events = POLLIN};
    int64_t left_ms = (until - clock_mono_ns()) / NS_PER_MS;
    if (left_ms <= 0)
        return lost(db, "it does not answer");
    int n = poll(&p, 1, (int)left_ms);
    if (n < 0 && errno != EINTR)
        return lost(db, strerror(errno));
    return OK;
}

/* The next result of the statement at hand; NULL behind its last. */
static enum err next_result(struct pg_db *db, PGresult **ret)
{
    int64_t until = clock_mono_ns() + ANSWER_NS;
    while (db->pq->PQisBusy(db->conn)) {
        TRY(wait_readable(db, until));
        if (!db->pq->PQconsumeInput(db->conn))
            return lost(db, db->pq->PQerrorMessage(db->conn));
    }
    *ret = db->pq->PQgetResult(db->conn);
    if (!*ret && db->pq->PQstatus(db->conn) != CONNECTION_OK)
        return lost(db, db->pq->PQerrorMessage(db->conn));
    return OK;
}

/* Takes in what a result says. What was skipped because of an error before it says nothing. */
static enum err judge(struct pg_db *db, PGresult *r)
{
    switch (db->pq->PQresultStatus(r)) {
    case PGRES_FATAL_ERROR:
        return refused(db, r);
    case PGRES_COMMAND_OK:
    case PGRES_TUPLES_OK: {
        uint64_t n = 0;
        (void)str_to_u64(str_c(db->pq->PQcmdTuples(r)), &n);
        db->affected = n;
        snprintf(db->tag, sizeof(db->tag), "%s", db->pq->PQcmdStatus(r));
        return OK;
    }
    default:
        return OK;
    }
}

/* Reads answers until those of `left` statements are unread, and past the mark when none is. The
 * first error among them. */
static enum err read_answers(struct pg_db *db, unsigned left)
{
    enum err err = OK;
    PGresult *r;
    while (db->unread > left) {
        TRY(next_result(db, &r));
        if (!r) {
            db->unread--;
            continue;
        }
        if (err == OK)
            err = judge(db, r);
        db->pq->PQclear(r);
        if (!db->conn)
            return err;
    }
    if (left || !db->synced)
        return err;
    TRY(next_result(db, &r));
    if (db->pq->PQresultStatus(r) != PGRES_PIPELINE_SYNC) {
        db->pq->PQclear(r);
        return lost(db, "answers out of order");
    }
    db->pq->PQclear(r);
    db->synced = false;
    return err;
}

static enum err finish_sending(struct pg_db *db)
{
    TRY(sync_now(db));
    return read_answers(db, 0);
}

/* ---- transactions ---- */

/* For the transaction alone. What another has set for the whole database may be less than durable.
 */
static enum err send_settings(struct pg_db *db)
{
#define SETTINGS                                                                                   \
    "SELECT set_config('lock_timeout', '" LOCK_MS "', true),"                                      \
    " set_config('statement_timeout', '" STATEMENT_MS "', true),"                                  \
    " set_config('idle_in_transaction_session_timeout', '" IDLE_MS "', true),"                     \
    " CASE WHEN current_setting('synchronous_commit') = 'off'"                                     \
    " THEN set_config('synchronous_commit', 'on', true) END"
    char *path = (char *)(uintptr_t)db->search_path;
    return path ? send(db, SETTINGS ", set_config('search_path', $1, true)", 1, &path)
                : send(db, SETTINGS, 0, NULL);
#undef SETTINGS
}

static enum err try_begin(struct pg_db *db)
{
    TRY(need_connection(db));
    TRY(send(db, BEGIN, 0, NULL));
    TRY(send_settings(db));
    TRY(send(db,
             "SELECT pg_advisory_xact_lock(2003134834, hashtext(coalesce(current_schema(), '')))",
             0, NULL)); /* "weir" */
    return finish_sending(db);
}

static void db_rollback(struct sql *base)
{
    struct pg_db *db = db_of(base);
    db->in_tx = false;
    if (!db->conn)
        return;
    /* After an error the server only waits for this. */
    if (send(db, "ROLLBACK", 0, NULL) == OK && finish_sending(db) != OK && db->conn)
        (void)lost(db, "it does not roll back");
}

static enum err db_begin(struct sql *base)
{
    struct pg_db *db = db_of(base);
    CHECK(!db->in_tx && !db->unread);
    bool had = db->conn != NULL;
    enum err err = try_begin(db);
    if (err != OK && !db->conn && had)
        err = try_begin(db); /* the old connection was dead */
    if (err == OK) {
        db->in_tx = true;
        return OK;
    }
    if (db->conn) {
        char text[ERR_TEXT];
        snprintf(text, sizeof(text), "%s", err_text());
        db_rollback(base);
        return err_set(err, "%s", text);
    }
    return err;
}

/* Nothing was stored, says the server itself; others between may only have lost sight of it. */
static bool is_sure(const char *state)
{
    return *state && !is_class(state, "08") && !is_class(state, "57P") && !is_class(state, "XX") &&
           !is_class(state, "40003");
}

static enum err db_commit(struct sql *base)
{
    struct pg_db *db = db_of(base);
    enum err err = need_connection(db);
    if (err == OK) {
        db->state[0] = db->tag[0] = 0;
        err = send(db, "COMMIT", 0, NULL);
        if (err == OK)
            err = finish_sending(db);
        if (err == OK && !strcmp(db->tag, "COMMIT")) {
            db->in_tx = false;
            return OK;
        }
        if (db->conn && err == OK)
            err = err_set(ERR_IO, "catalog %s: rolled back by the server", db->target.plain);
        else if (db->conn && !is_sure(db->state))
            (void)lost(db, err_text());
        if (!db->conn)
            err = err_set(ERR_TIMEOUT, "catalog %s: no answer to the commit: %s", db->target.plain,
                          db->why);
    }
    char text[ERR_TEXT];
    snprintf(text, sizeof(text), "%s", err_text());
    db_rollback(base);
    return err_set(err, "%s", text);
}

static uint64_t db_affected(struct sql *base)
{
    return db_of(base)->affected;
}

/* ---- statements ---- */

static enum err db_prepare(struct sql *base, const char *text, struct sql_stmt **ret)
{
    struct sql_stmt *s = NEW(struct sql_stmt);
    struct buf out;
    buf_init(&out, 64 << 10);
    for (; *text; text++) {
        if (*text == '?')
            buf_printf(&out, "$%d", ++s->n);
        else
            buf_put_byte(&out, *text);
    }
    CHECK(s->n <= PARAMS_MAX);
    s->db = db_of(base);
    s->text = mem_strdup(buf_str(&out));
    buf_release(&out);
    *ret = s;
    return OK;
}

static enum err bind(struct sql_stmt *s, int index, char *value)
{
    CHECK(index < s->n && s->stage == READY);
    mem_free(s->value[index]);
    s->value[index] = value;
    return OK;
}

static enum err stmt_bind_i64(struct sql_stmt *s, int index, int64_t v)
{
    return bind(s, index, mem_printf("%" PRId64, v));
}

static enum err stmt_bind_text(struct sql_stmt *s, int index, struct str v)
{
    if (str_find_byte(v, 0, 0) < v.n)
        return err_set(ERR_INVALID, "catalog %s: a text with a NUL", s->db->target.plain);
    return bind(s, index, mem_strdup(v));
}

/* In a transaction, or as one. Afterwards the statement's own answer is the next to be read. */
static enum err send_statement(struct sql_stmt *s)
{
    struct pg_db *db = s->db;
    bool alone = !db->in_tx;
    TRY(need_connection(db));
    if (alone) {
        TRY(send(db, BEGIN, 0, NULL));
        TRY(send_settings(db));
    }
    TRY(send(db, s->text, s->n, s->value));
    if (alone)
        TRY(send(db, "COMMIT", 0, NULL));
    TRY(sync_now(db));
    TRY(read_answers(db, alone ? 2 : 1));
    return db->pq->PQsetSingleRowMode(db->conn) ? OK : lost(db, "it sends no single rows");
}

static void drop_row(struct sql_stmt *s)
{
    s->db->pq->PQclear(s->row);
    s->row = NULL;
}

/* Reads what is left of its answers, and of a transaction of its own. */
static enum err end_statement(struct sql_stmt *s, enum err err)
{
    struct pg_db *db = s->db;
    char text[ERR_TEXT];
    snprintf(text, sizeof(text), "%s", err_text());
    drop_row(s);
    s->stage = DONE;
    db->reader = NULL;
    enum err rest = db->conn ? read_answers(db, 0) : OK;
    if ((err != OK || rest != OK) && !db->in_tx)
        db_rollback(&db->base);
    if (err == OK) /* what was only read is there, however its transaction ends */
        return db->in_tx ? rest : OK;
    return err_set(err, "%s", text);
}

static enum err next_row(struct sql_stmt *s, bool *ret_row)
{
    struct pg_db *db = s->db;
    PGresult *r;
    drop_row(s);
    enum err err = next_result(db, &r);
    if (err != OK)
        return end_statement(s, err);
    CHECK(r);
    if (db->pq->PQresultStatus(r) == PGRES_SINGLE_TUPLE) {
        s->row = r;
        *ret_row = true;
        return OK;
    }
    err = judge(db, r);
    uint64_t affected = db->affected;
    db->pq->PQclear(r);
    err = end_statement(s, err);
    db->affected = affected;
    if (err == OK)
        *ret_row = false;
    return err;
}

static enum err stmt_step(struct sql_stmt *s, bool *ret_row)
{
    struct pg_db *db = s->db;
    if (s->stage == DONE) {
        *ret_row = false;
        return OK;
    }
    if (s->stage == ROWS)
        return next_row(s, ret_row);
    CHECK(!db->reader); /* another's rows are under way */
    bool had = db->conn != NULL;
    db->reader = s;
    enum err err = send_statement(s);
    if (err != OK && had && !db->conn && !db->in_tx)
        err = send_statement(s); /* the old connection was dead */
    if (err != OK)
        return end_statement(s, err);
    s->stage = ROWS;
    return next_row(s, ret_row);
}

static int64_t stmt_column_i64(struct sql_stmt *s, int index)
{
    int64_t v = 0;
    (void)str_to_i64(str_c(s->db->pq->PQgetvalue(s->row, 0, index)), &v);
    return v;
}

static struct str stmt_column_text(struct sql_stmt *s, int index)
{
    return str_of(s->db->pq->PQgetvalue(s->row, 0, index),
                  (size_t)s->db->pq->PQgetlength(s->row, 0, index));
}

static void stmt_reset(struct sql_stmt *s)
{
    if (s->stage == ROWS)
        (void)end_statement(s, OK);
    s->stage = READY;
}

static enum err stmt_run(struct sql_stmt *s)
{
    struct pg_db *db = s->db;
    CHECK(db->in_tx && !db->reader);
    TRY(need_connection(db));
    TRY(send(db, s->text, s->n, s->value));
    return db->unread < QUEUED_MAX ? OK : finish_sending(db);
}

static void stmt_finish(struct sql_stmt *s)
{
    if (!s)
        return;
    stmt_reset(s);
    for (int i = 0; i < s->n; i++)
        mem_free(s->value[i]);
    mem_free(s->text);
    mem_free(s);
}

static enum err db_exec(struct sql *base, const char *text)
{
    struct sql_stmt *s;
    bool row;
    TRY(db_prepare(base, text, &s));
    enum err err = stmt_step(s, &row);
    stmt_finish(s);
    return err;
}

/* Whether a query with one parameter finds a row. */
static enum err finds(struct sql *base, const char *text, const char *value, bool *ret)
{
    struct sql_stmt *s;
    TRY(db_prepare(base, text, &s));
    enum err err = stmt_bind_text(s, 0, str_c(value));
    if (err == OK)
        err = stmt_step(s, ret);
    stmt_finish(s);
    return err;
}

static enum err db_has_table(struct sql *base, const char *name, bool *ret)
{
    return finds(base,
                 "SELECT 1 FROM pg_catalog.pg_tables"
                 " WHERE schemaname = current_schema() AND tablename = ?",
                 name, ret);
}

static enum err db_describe(struct sql *base, struct buf *out)
{
    struct pg_db *db = db_of(base);
    struct sql_stmt *s;
    bool row = false, may = false;
    char schema[64] = "", user[64] = "";
    TRY(db_prepare(base,
                   "SELECT coalesce(current_schema(), ''), current_user, CASE"
                   " WHEN current_schema() IS NULL"
                   " THEN has_database_privilege(current_database(), 'CREATE')"
                   " ELSE has_schema_privilege(current_schema(), 'CREATE') END",
                   &s));
    enum err err = stmt_step(s, &row);
    if (err == OK && row) {
        snprintf(schema, sizeof(schema), "%.*s", STR_ARG(stmt_column_text(s, 0)));
        snprintf(user, sizeof(user), "%.*s", STR_ARG(stmt_column_text(s, 1)));
        may = str_eq(stmt_column_text(s, 2), STR("t"));
    }
    stmt_finish(s);
    TRY(err);
    const char *name = schema[0] ? schema : db->target.schema ? db->target.schema : "of no schema";
    if (!may)
        return err_set(ERR_AUTH, "the user %s may not make tables in the schema %s", user, name);
    const char *version = db->pq->PQparameterStatus(db->conn, "server_version");
    buf_printf(out, "PostgreSQL %s, %s, schema %s", version ? version : "?", db->target.plain,
               name);
    return OK;
}

/* ---- opening ---- */

static void db_close(struct sql *base)
{
    struct pg_db *db = db_of(base);
    CHECK(!db->reader);
    if (db->conn)
        db->pq->PQfinish(db->conn);
    arena_release(&db->arena);
    mem_free(db);
}

static const struct sql_driver driver = {
    .table_end = "",
    .text_end = " COLLATE \"C\"", /* others change with the machine's libraries */
    .sure = true,
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

static const char *quoted(struct arena *a, const char *name)
{
    char *text = arena_alloc(a, 2 * strlen(name) + 3), *p = text;
    *p++ = '"';
    for (; *name; name++) {
        if (*name == '"')
            *p++ = '"';
        *p++ = *name;
    }
    *p++ = '"';
    *p = 0;
    return text;
}

static enum err check_server(struct pg_db *db)
{
    int version = db->pq->PQserverVersion(db->conn);
    const char *encoding = db->pq->PQparameterStatus(db->conn, "server_encoding");
    if (version && version < VERSION_LEAST)
        return err_set(ERR_UNSUPPORTED,
                       "catalog %s: PostgreSQL %d.%d is too old, 12 is the oldest that will do",
                       db->target.plain, version / 10000, version / 100 % 100);
    if (encoding && strcmp(encoding, "UTF8") != 0)
        return err_set(ERR_UNSUPPORTED,
                       "catalog %s: the database is in %s. Make one in UTF-8: CREATE DATABASE weir "
                       "ENCODING 'UTF8' TEMPLATE template0",
                       db->target.plain, encoding);
    return OK;
}

static enum err need_schema(struct pg_db *db)
{
    bool there = false;
    TRY(finds(&db->base, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ?",
              db->target.schema, &there));
    if (there)
        return OK;
    char *text = mem_printf("CREATE SCHEMA IF NOT EXISTS %s", db->search_path);
    enum err err = db_begin(&db->base);
    if (err == OK) {
        err = db_exec(&db->base, text);
        if (err == OK)
            err = db_commit(&db->base);
        else
            db_rollback(&db->base);
    }
    mem_free(text);
    return err;
}

enum err sql_open_postgresql(struct str url, bool make, struct sql **ret)
{
    struct pg_db *db = NEW(struct pg_db);
    db->base = (struct sql){&driver, true};
    arena_init(&db->arena, 0, NULL);
    enum err err = libpq_load(&db->pq);
    if (err == OK)
        err = pg_target_read(url, &db->arena, &db->target);
    if (err == OK && db->target.schema)
        db->search_path = quoted(&db->arena, db->target.schema);
    if (err == OK)
        err = open_connection(db);
    if (err == OK)
        err = check_server(db);
    if (err == OK && db->target.schema && make)
        err = need_schema(db);
    if (err != OK) {
        db_close(&db->base);
        return err;
    }
    *ret = &db->base;
    return OK;
}
