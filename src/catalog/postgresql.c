/* The seam's driver for PostgreSQL, from version 12 on; what other servers have as well is in
 * remote.c.
 *
 * TURNS. begin takes an advisory lock of the database and schema, held until the transaction ends,
 * so that writers take turns; it waits for REMOTE_TURN_S and no longer. At READ COMMITTED, so that
 * every statement sees what others committed before the lock was had. A transaction whose client is
 * gone without a word is ended by the server after REMOTE_IDLE_S, and its lock with it.
 *
 * THE WIRE. Statements are sent in libpq's pipeline mode: what has to go together makes one trip
 * (the whole of begin; up to REMOTE_QUEUED_MAX statements given to run; a statement outside of a
 * transaction with the BEGIN and COMMIT around it), and a statement's rows are read one by one.
 * Every answer has REMOTE_ANSWER_S; then the connection counts as lost, as when it breaks. No state
 * of a session is relied on, only what is set within the transaction, so that a pooler may stand
 * between (PgBouncer's transaction mode), and nothing is prepared by name. */
#include "catalog/postgresql.h"

#include "catalog/remote.h"
#include "core/clock.h"
#include "core/mem.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

#define STATEMENT_MS "20000"
#define BEGIN "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE" /* not on a standby */
enum { VERSION_LEAST = 120000 };

struct pg_db {
    struct remote remote;
    const struct libpq *pq;
    struct pg_target target;
    const char *search_path; /* the schema, quoted; NULL: the server's own */
    PGconn *conn;
    unsigned unread; /* statements sent whose answers are not read to the end */
    bool synced;     /* the mark behind them is sent */
    char state[6];   /* SQLSTATE of the last error */
    char tag[8];     /* of the last command: "COMMIT" */
};

static struct pg_db *db_of(struct remote *db)
{
    return (struct pg_db *)db;
}

/* ---- errors ---- */

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
        {"23505", ERR_EXISTS},     {"53", ERR_UNAVAILABLE},    {"08", ERR_UNAVAILABLE},
        {"57", ERR_UNAVAILABLE},   {"55P03", ERR_UNAVAILABLE}, {"40", ERR_UNAVAILABLE},
        {"25P0", ERR_UNAVAILABLE}, {"28", ERR_AUTH},           {"42501", ERR_AUTH},
        {"XX001", ERR_CORRUPT},    {"XX002", ERR_CORRUPT},     {"22021", ERR_INVALID},
        {"22P05", ERR_INVALID},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (is_class(state, table[i].state))
            return table[i].code;
    return ERR_IO;
}

static enum err lost(struct pg_db *db, const char *why)
{
    return remote_lost(&db->remote, why);
}

static void wire_disconnect(struct remote *remote)
{
    struct pg_db *db = db_of(remote);
    if (db->conn)
        db->pq->PQfinish(db->conn);
    db->conn = NULL;
    db->unread = 0;
    db->synced = false;
}

/* An answer that is an error. One that ends the session is known by its severity. */
static enum err refused(struct pg_db *db, const PGresult *r)
{
    const char *state = db->pq->PQresultErrorField(r, PG_DIAG_SQLSTATE);
    const char *text = db->pq->PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY);
    const char *severity = db->pq->PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    char line[REMOTE_WHY_MAX];
    snprintf(db->state, sizeof(db->state), "%s", state ? state : "");
    remote_put_line(line, sizeof(line), text ? text : db->pq->PQerrorMessage(db->conn));
    bool standby = state && is_class(state, "25006"); /* the next connection may find another */
    if (standby || !severity || strcmp(severity, "ERROR") != 0)
        return lost(db, line);
    if (state && is_class(state, "55P03"))
        return remote_no_turn(&db->remote);
    if (state && is_class(state, "42501"))
        return err_set(
            ERR_AUTH,
            "catalog %s: %s. The user needs USAGE and CREATE on its schema: GRANT ALL ON "
            "SCHEMA s TO u",
            db->remote.plain, line);
    return err_set(state ? code_of(state) : ERR_IO, "catalog %s: %s", db->remote.plain, line);
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

static enum err wire_connect(struct remote *remote)
{
    struct pg_db *db = db_of(remote);
    char password[REMOTE_PASSWORD_MAX + 1];
    if (db->target.password_file)
        TRY(remote_read_password(db->target.password_file, password));
    db->conn = dial(db, db->target.password_file ? password : NULL);
    if (!db->conn || db->pq->PQstatus(db->conn) != CONNECTION_OK) {
        const char *message = db->conn ? db->pq->PQerrorMessage(db->conn) : "out of memory";
        bool refusal = is_refusal(message);
        enum err err = lost(db, message);
        return refusal ? err_set(ERR_AUTH, "catalog %s: %s", remote->plain, remote->why) : err;
    }
    (void)db->pq->PQsetNoticeProcessor(db->conn, ignore, NULL);
    if (!db->pq->PQenterPipelineMode(db->conn))
        return lost(db, "no pipeline mode");
    return OK;
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
    int64_t until = clock_mono_ns() + REMOTE_ANSWER_S * NS_PER_S;
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
        db->remote.affected = n;
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
    "SELECT set_config('lock_timeout', '" REMOTE_TURN_S "s', true),"                               \
    " set_config('statement_timeout', '" STATEMENT_MS "', true),"                                  \
    " set_config('idle_in_transaction_session_timeout', '" REMOTE_IDLE_S "s', true),"              \
    " CASE WHEN current_setting('synchronous_commit') = 'off'"                                     \
    " THEN set_config('synchronous_commit', 'on', true) END"
    char *path = (char *)(uintptr_t)db->search_path;
    return path ? send(db, SETTINGS ", set_config('search_path', $1, true)", 1, &path)
                : send(db, SETTINGS, 0, NULL);
#undef SETTINGS
}

static enum err wire_begin(struct remote *remote)
{
    struct pg_db *db = db_of(remote);
    CHECK(!db->unread);
    TRY(send(db, BEGIN, 0, NULL));
    TRY(send_settings(db));
    TRY(send(db,
             "SELECT pg_advisory_xact_lock(2003134834, hashtext(coalesce(current_schema(), '')))",
             0, NULL)); /* "weir" */
    return finish_sending(db);
}

/* After an error the server only waits for this. */
static enum err wire_rollback(struct remote *remote)
{
    struct pg_db *db = db_of(remote);
    TRY(send(db, "ROLLBACK", 0, NULL));
    return finish_sending(db);
}

/* Nothing was stored, says the server itself; others between may only have lost sight of it. */
static bool is_sure(const char *state)
{
    return *state && !is_class(state, "08") && !is_class(state, "57P") && !is_class(state, "XX") &&
           !is_class(state, "40003");
}

static enum err wire_commit(struct remote *remote, bool *ret_sure)
{
    struct pg_db *db = db_of(remote);
    db->state[0] = db->tag[0] = 0;
    enum err err = send(db, "COMMIT", 0, NULL);
    if (err == OK)
        err = finish_sending(db);
    bool answered = err == OK;
    if (answered && !strcmp(db->tag, "COMMIT"))
        return OK;
    *ret_sure = answered || is_sure(db->state);
    return answered ? err_set(ERR_IO, "catalog %s: rolled back by the server", remote->plain) : err;
}

/* ---- statements ---- */

static enum err wire_send(struct sql_stmt *s)
{
    struct pg_db *db = db_of(s->db);
    bool alone = !s->db->in_tx;
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

static enum err wire_queue(struct sql_stmt *s)
{
    struct pg_db *db = db_of(s->db);
    TRY(send(db, s->text, s->n, s->value));
    return db->unread < REMOTE_QUEUED_MAX ? OK : finish_sending(db);
}

static enum err wire_drain(struct remote *remote)
{
    return read_answers(db_of(remote), 0);
}

static void wire_drop_row(struct sql_stmt *s)
{
    db_of(s->db)->pq->PQclear(s->row);
    s->row = NULL;
}

static enum err wire_next(struct sql_stmt *s, bool *ret_row)
{
    struct pg_db *db = db_of(s->db);
    PGresult *r;
    TRY(next_result(db, &r));
    CHECK(r);
    *ret_row = db->pq->PQresultStatus(r) == PGRES_SINGLE_TUPLE;
    if (*ret_row) {
        s->row = r;
        return OK;
    }
    enum err err = judge(db, r);
    db->pq->PQclear(r);
    return err;
}

static struct str wire_column(struct sql_stmt *s, int index)
{
    const struct libpq *pq = db_of(s->db)->pq;
    return str_of(pq->PQgetvalue(s->row, 0, index), (size_t)pq->PQgetlength(s->row, 0, index));
}

static enum err db_has_table(struct sql *base, const char *name, bool *ret)
{
    return remote_finds(base,
                        "SELECT 1 FROM pg_catalog.pg_tables"
                        " WHERE schemaname = current_schema() AND tablename = ?",
                        name, ret);
}

static enum err db_describe(struct sql *base, struct buf *out)
{
    struct pg_db *db = (struct pg_db *)base;
    struct sql_stmt *s;
    bool row = false, may = false;
    char schema[64] = "", user[64] = "";
    TRY(remote_prepare(base,
                       "SELECT coalesce(current_schema(), ''), current_user, CASE"
                       " WHEN current_schema() IS NULL"
                       " THEN has_database_privilege(current_database(), 'CREATE')"
                       " ELSE has_schema_privilege(current_schema(), 'CREATE') END",
                       &s));
    enum err err = remote_step(s, &row);
    if (err == OK && row) {
        snprintf(schema, sizeof(schema), "%.*s", STR_ARG(remote_column_text(s, 0)));
        snprintf(user, sizeof(user), "%.*s", STR_ARG(remote_column_text(s, 1)));
        may = str_eq(remote_column_text(s, 2), STR("t"));
    }
    remote_finish(s);
    TRY(err);
    const char *name = schema[0] ? schema : db->target.schema ? db->target.schema : "of no schema";
    if (!may)
        return err_set(ERR_AUTH, "the user %s may not make tables in the schema %s", user, name);
    const char *version = db->pq->PQparameterStatus(db->conn, "server_version");
    buf_printf(out, "PostgreSQL %s, %s, schema %s", version ? version : "?", db->remote.plain,
               name);
    return OK;
}

/* ---- opening ---- */

static const struct sql_driver driver = {
    .table_end = "",
    .text = "TEXT",
    .varchar = "VARCHAR",
    .text_end = " COLLATE \"C\"", /* others change with the machine's libraries */
    REMOTE_DRIVER,
    .has_table = db_has_table,
    .describe = db_describe,
};

static const struct wire wire = {
    .numbered = true,
    .connect = wire_connect,
    .disconnect = wire_disconnect,
    .begin = wire_begin,
    .commit = wire_commit,
    .rollback = wire_rollback,
    .send = wire_send,
    .queue = wire_queue,
    .next = wire_next,
    .column = wire_column,
    .drop_row = wire_drop_row,
    .drain = wire_drain,
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
                       db->remote.plain, version / 10000, version / 100 % 100);
    if (encoding && strcmp(encoding, "UTF8") != 0)
        return err_set(ERR_UNSUPPORTED,
                       "catalog %s: the database is in %s. Make one in UTF-8: CREATE DATABASE weir "
                       "ENCODING 'UTF8' TEMPLATE template0",
                       db->remote.plain, encoding);
    return OK;
}

static enum err need_schema(struct pg_db *db)
{
    bool there = false;
    TRY(remote_finds(&db->remote.base, "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = ?",
                     db->target.schema, &there));
    if (there)
        return OK;
    char *text = mem_printf("CREATE SCHEMA IF NOT EXISTS %s", db->search_path);
    enum err err = remote_begin(&db->remote.base);
    if (err == OK) {
        err = remote_exec(&db->remote.base, text);
        if (err == OK)
            err = remote_commit(&db->remote.base);
        else
            remote_rollback(&db->remote.base);
    }
    mem_free(text);
    return err;
}

enum err sql_open_postgresql(struct str url, bool make, struct sql **ret)
{
    struct pg_db *db = NEW(struct pg_db);
    remote_init(&db->remote, &driver, &wire);
    enum err err = libpq_load(&db->pq);
    if (err == OK)
        err = pg_target_read(url, &db->remote.arena, &db->target);
    db->remote.plain = err == OK ? db->target.plain : "";
    if (err == OK && db->target.schema)
        db->search_path = quoted(&db->remote.arena, db->target.schema);
    if (err == OK)
        err = remote_need_connection(&db->remote);
    if (err == OK)
        err = check_server(db);
    if (err == OK && db->target.schema && make)
        err = need_schema(db);
    if (err != OK) {
        remote_close(&db->remote.base);
        return err;
    }
    *ret = &db->remote.base;
    return OK;
}
