/* The seam's driver for MySQL 8, Aurora MySQL 3 and MariaDB, over the text protocol; what other
 * servers have as well is in remote.c.
 *
 * TURNS. begin counts up the one row of the table `turns`, whose lock InnoDB keeps until the
 * transaction is decided and not a moment longer, so that writers take turns; it waits for
 * REMOTE_TURN_S. GET_LOCK would be a session's, not a transaction's: it takes a trip to give back,
 * a pooler may hand it to somebody else, and no cluster knows of it. A row that is changed, not
 * only locked, makes two transactions that began on two nodes of a cluster collide at their
 * commits. A failover (Aurora's) forgets row locks with the transactions that had them.
 * At REPEATABLE READ, which is a snapshot of InnoDB's taken by the first SELECT, not by the BEGIN
 * nor by the UPDATE of the turn: behind the lock. So every statement sees what others committed
 * before the lock was had, and nobody commits until it is given back. (READ COMMITTED would see the
 * same, but cannot be written to a binary log by statements.)
 * A transaction whose client is gone without a word is ended after REMOTE_IDLE_S (wait_timeout).
 *
 * THE WIRE. What has to go together makes one trip, as several statements of one text: the whole
 * of begin; up to REMOTE_QUEUED_MAX statements given to run and what is asked behind them; a
 * statement outside of a transaction with the transaction around it. The server stops at the first
 * that fails. Values are spliced as decimal numbers and as X'hexadecimal' alone, so that there is
 * nothing to escape, whatever the character set and the mode. Rows are read one by one.
 * Every read and write on the wire has REMOTE_ANSWER_S; then the connection counts as lost. No
 * state of a session is relied on: what matters is set with each BEGIN.
 *
 * ERRORS. Other than PostgreSQL, the server would go on after a statement that failed, and after
 * some errors (a deadlock) has left the transaction: then the next statement would be stored by
 * itself. So an error makes everything up to the rollback fail here; and the server says with each
 * answer whether it is in a transaction.
 * CREATE TABLE commits what was before it: it is run outside of transactions (sql.h). */
#include "catalog/mysql.h"

#include "catalog/remote.h"
#include "core/mem.h"

#include <stdio.h>

enum {
    QUEUED_BYTES = 256 << 10, /* the least that max_allowed_packet is anywhere is a MiB */
    MYSQL_LEAST = 80000,
    MARIADB_LEAST = 100400,
};

/* Errors of servers, as their manuals number them, and two of the library's. */
enum {
    E_DISK_FULL = 1021,
    E_DUP_KEY = 1022,
    E_CONNECTIONS = 1040,
    E_DB_DENIED = 1044,
    E_USER_DENIED = 1045,
    E_NO_DB = 1049,
    E_TABLE_EXISTS = 1050,
    E_KEY_NAME_EXISTS = 1061,
    E_DUP_ENTRY = 1062,
    E_TABLE_FULL = 1114,
    E_HOST_BLOCKED = 1129,
    E_HOST_DENIED = 1130,
    E_TABLE_DENIED = 1142,
    E_COLUMN_DENIED = 1143,
    E_LOCK_WAIT = 1205,
    E_LOCKS_FULL = 1206,
    E_DEADLOCK = 1213,
    E_USER_LIMIT = 1226,
    E_PLUGIN_DENIED = 1251,
    E_QUERY_KILLED = 1317,
    E_TOO_LONG = 1406,
    E_NO_PASSWORD = 1698,
    E_PASSWORD_EXPIRED = 1862,
    E_STATEMENT_TIME = 1969,
    E_LIBRARY_TLS = 2026,
    E_LIBRARY_PLUGIN = 2059,
    E_EXECUTION_TIME = 3024,
    E_ROLLED_BACK_AT_COMMIT = 3101,
    E_ACCOUNT_LOCKED = 3118,
    E_ACCOUNT_LOCKED_MARIADB = 4151,
};

struct my_db {
    struct remote remote;
    const struct libmariadb *my;
    struct my_target target;
    MYSQL *conn;
    MYSQL_RES *rows;   /* of the statement at hand */
    MYSQL_ROW row;     /* the one at hand */
    struct buf queued; /* statements that are not sent, a ';' between */
    unsigned n_queued;
    unsigned at;   /* the statement of those sent last whose answer is at hand */
    unsigned code; /* of the last error */
    bool turns;    /* there is the table */
    bool failed;   /* a statement of the transaction */
};

static struct my_db *db_of(struct remote *db)
{
    return (struct my_db *)db;
}

/* ---- errors ---- */

static bool is_one_of(unsigned code, const unsigned *list)
{
    while (*list && *list != code)
        list++;
    return *list;
}

/* The session is over, or of no use: the server ends, its wire broke, or it may not write any more
 * (it was the first of a cluster until now; the next connection may find another). All of the
 * library's own errors are of this kind. */
static bool ends_session(unsigned code)
{
    static const unsigned list[] = {1047, /* a node of a cluster that is not part of it any more */
                                    1053, 1077, 1078, 1079,
                                    1080, 1184, 3168, /* shutdowns, and connections given up */
                                    1290, 1836,       /* read-only */
                                    1927, 4031, 0};   /* killed; idle for too long */
    bool library = (code >= 2000 && code < 3000) || (code >= 5000 && code < 6000);
    bool wire = code >= 1152 && code <= 1161;
    return library || wire || is_one_of(code, list);
}

static enum err code_of(unsigned code)
{
    static const struct {
        unsigned code;
        enum err err;
    } table[] = {
        {E_DUP_ENTRY, ERR_EXISTS},
        {E_DUP_KEY, ERR_EXISTS},
        {E_TABLE_EXISTS, ERR_EXISTS},
        {E_KEY_NAME_EXISTS, ERR_EXISTS},
        {E_DISK_FULL, ERR_UNAVAILABLE}, /* not our disk */
        {E_TABLE_FULL, ERR_UNAVAILABLE},
        {E_CONNECTIONS, ERR_UNAVAILABLE},
        {E_USER_LIMIT, ERR_UNAVAILABLE},
        {E_DEADLOCK, ERR_UNAVAILABLE},
        {E_LOCKS_FULL, ERR_UNAVAILABLE},
        {E_QUERY_KILLED, ERR_UNAVAILABLE},
        {E_STATEMENT_TIME, ERR_UNAVAILABLE},
        {E_EXECUTION_TIME, ERR_UNAVAILABLE},
        {E_ROLLED_BACK_AT_COMMIT, ERR_UNAVAILABLE},
        {E_USER_DENIED, ERR_AUTH},
        {E_DB_DENIED, ERR_AUTH},
        {E_TABLE_DENIED, ERR_AUTH},
        {E_COLUMN_DENIED, ERR_AUTH},
        {1034, ERR_CORRUPT}, /* three ways to say that an index or a table is damaged */
        {1712, ERR_CORRUPT},
        {1877, ERR_CORRUPT},
        {E_TOO_LONG, ERR_LIMIT},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(*table); i++)
        if (table[i].code == code)
            return table[i].err;
    return ERR_IO;
}

static enum err lost(struct my_db *db, const char *why)
{
    return remote_lost(&db->remote, why);
}

/* An answer that is an error, or none. */
static enum err refused(struct my_db *db)
{
    char line[REMOTE_WHY_MAX];
    db->code = db->my->mysql_errno(db->conn);
    db->failed = true;
    remote_put_line(line, sizeof(line), db->my->mysql_error(db->conn));
    if (ends_session(db->code))
        return lost(db, line);
    if (db->code == E_LOCK_WAIT)
        return remote_no_turn(&db->remote);
    enum err err = code_of(db->code);
    return err_set(err, "catalog %s: %s%s", db->remote.plain, line,
                   err == ERR_AUTH ? ". The user needs its rights: GRANT ALL ON weir.* TO weir"
                                   : "");
}

/* ---- connecting ---- */

/* Reads what is left of a result. */
static void drop_rows(struct my_db *db)
{
    if (db->rows)
        db->my->mysql_free_result(db->rows);
    db->rows = NULL;
    db->row = NULL;
}

static void wire_disconnect(struct remote *remote)
{
    struct my_db *db = db_of(remote);
    drop_rows(db);
    if (db->conn)
        db->my->mysql_close(db->conn);
    db->conn = NULL;
    buf_release(&db->queued);
    db->n_queued = 0;
}

/* What trying again does not help against. */
static bool is_refusal(unsigned code, const char *message)
{
    static const unsigned list[] = {E_DB_DENIED,      E_USER_DENIED,
                                    E_NO_DB,          E_HOST_BLOCKED,
                                    E_HOST_DENIED,    E_PLUGIN_DENIED,
                                    E_NO_PASSWORD,    E_PASSWORD_EXPIRED,
                                    E_ACCOUNT_LOCKED, E_ACCOUNT_LOCKED_MARIADB,
                                    E_LIBRARY_PLUGIN, 0};
    return is_one_of(code, list) || (code == E_LIBRARY_TLS && strstr(message, "certificate"));
}

static enum err refused_connection(struct my_db *db)
{
    unsigned code = db->my->mysql_errno(db->conn);
    bool refusal = is_refusal(code, db->my->mysql_error(db->conn));
    enum err err = lost(db, db->my->mysql_error(db->conn));
    return refusal ? err_set(ERR_AUTH, "catalog %s: %s", db->remote.plain, db->remote.why) : err;
}

/* A password as it is goes over a wire that nobody else can read or be, and over no other: whoever
 * answers for the server could ask for it. */
static const char *plugins(const struct my_target *t)
{
#define PLUGINS "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519,parsec"
    return t->tls && !t->trust_anyone ? PLUGINS ",mysql_clear_password,dialog" : PLUGINS;
#undef PLUGINS
}

static bool set_options(struct my_db *db)
{
    const struct my_target *t = &db->target;
    const unsigned answer_s = REMOTE_ANSWER_S, connect_s = t->connect_s, no = 0;
    const unsigned protocol = t->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    const my_bool tls = t->tls, verify = t->tls && !t->trust_anyone, reconnect = 0;
    const struct {
        enum mysql_option option;
        const void *value;
    } options[] = {
        {MYSQL_OPT_CONNECT_TIMEOUT, &connect_s},
        {MYSQL_OPT_READ_TIMEOUT, &answer_s},
        {MYSQL_OPT_WRITE_TIMEOUT, &answer_s},
        {MYSQL_OPT_PROTOCOL, &protocol},
        {MYSQL_OPT_LOCAL_INFILE, &no}, /* a server could ask for any of our files */
        {MYSQL_OPT_RECONNECT, &reconnect},
        {MYSQL_SET_CHARSET_NAME, "utf8mb4"},
        {MYSQL_OPT_SSL_ENFORCE, &tls},
        {MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify},
        {MYSQL_OPT_SSL_CA, t->ca},
        {MYSQL_OPT_SSL_CERT, t->cert},
        {MYSQL_OPT_SSL_KEY, t->key},
    };
    for (size_t i = 0; i < sizeof(options) / sizeof(*options); i++)
        if (options[i].value)
            (void)db->my->mysql_options(db->conn, options[i].option, options[i].value);
    (void)db->my->mysql_options4(db->conn, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "weir");
    return !db->my->mysql_options(db->conn, MARIADB_OPT_RESTRICTED_AUTH, plugins(t));
}

static bool is_on(const char *value)
{
    return value && strcmp(value, "0") != 0 && strcasecmp(value, "OFF") != 0;
}

/* A server that others write to and this one reads is none to keep a catalog on. */
static enum err check_writable(struct my_db *db)
{
    static const char text[] = "SELECT @@GLOBAL.read_only, @@GLOBAL.innodb_read_only";
    const struct libmariadb *my = db->my;
    if (my->mysql_real_query(db->conn, text, sizeof(text) - 1) ||
        !(db->rows = my->mysql_use_result(db->conn)))
        return refused_connection(db);
    MYSQL_ROW row = my->mysql_fetch_row(db->rows);
    bool read_only = row && (is_on(row[0]) || is_on(row[1]));
    if (!row)
        return refused_connection(db);
    drop_rows(db);
    return read_only ? lost(db, "it takes no writes: it is read-only, as a replica is") : OK;
}

static enum err connect_to(struct my_db *db, const struct my_place *p, const char *password)
{
    const struct my_target *t = &db->target;
    db->conn = db->my->mysql_init(NULL);
    CHECK(db->conn);
    if (!set_options(db))
        return lost(db, "libmariadb is older than 3.3");
    if (!db->my->mysql_real_connect(db->conn, p->host, t->user, password, t->database, p->port,
                                    t->socket, CLIENT_FOUND_ROWS | CLIENT_MULTI_STATEMENTS))
        return refused_connection(db);
    if (t->tls && !db->my->mysql_get_ssl_cipher(db->conn))
        return lost(db, "it does not speak TLS");
    return check_writable(db);
}

static enum err wire_connect(struct remote *remote)
{
    struct my_db *db = db_of(remote);
    char password[REMOTE_PASSWORD_MAX + 1];
    enum err err = ERR_UNAVAILABLE;
    if (db->target.password_file)
        TRY(remote_read_password(db->target.password_file, password));
    for (unsigned i = 0; err != OK && i < db->target.n_places; i++)
        err = connect_to(db, &db->target.place[i],
                         db->target.password_file ? password : db->target.password);
    return err;
}

/* ---- sending and reading ---- */

static void put(struct my_db *db, const char *text)
{
    if (db->n_queued++)
        buf_put_byte(&db->queued, ';');
    buf_put_c(&db->queued, text);
}

static void put_hex(struct buf *out, const char *text)
{
    static const char digit[] = "0123456789abcdef";
    buf_put_c(out, "X'");
    for (; *text; text++) {
        buf_put_byte(out, digit[(unsigned char)*text >> 4]);
        buf_put_byte(out, digit[*text & 15]);
    }
    buf_put_byte(out, '\'');
}

/* A statement with its values. */
static void put_statement(struct sql_stmt *s)
{
    struct my_db *db = db_of(s->db);
    int n = 0;
    put(db, "");
    for (const char *p = s->text; *p; p++) {
        if (*p != '?') {
            buf_put_byte(&db->queued, *p);
            continue;
        }
        CHECK(s->value[n]);
        if (s->is_text[n])
            put_hex(&db->queued, s->value[n]);
        else
            buf_put_c(&db->queued, s->value[n]);
        n++;
    }
}

static bool is_in_transaction(struct my_db *db)
{
    unsigned status = 0;
    (void)db->my->mariadb_get_infov(db->conn, MARIADB_CONNECTION_SERVER_STATUS, &status);
    return status & SERVER_STATUS_IN_TRANS;
}

/* Sends what is queued. Afterwards the answer of its statement number `at`, from 0, is at hand;
 * those before have no rows. */
static enum err ask(struct my_db *db, unsigned at)
{
    int rc = db->my->mysql_real_query(db->conn, db->queued.p, db->queued.n);
    buf_clear(&db->queued);
    db->n_queued = db->at = 0;
    for (; !rc && db->at < at; db->at++)
        rc = db->my->mysql_next_result(db->conn);
    if (rc)
        return rc < 0 ? lost(db, "answers out of order") : refused(db);
    return OK;
}

/* The same within a transaction. */
static enum err ask_within(struct my_db *db)
{
    TRY(ask(db, db->n_queued - 1));
    if (is_in_transaction(db))
        return OK;
    return lost(db, "the server has left the transaction");
}

static enum err check_failed(const struct my_db *db)
{
    if (!db->failed)
        return OK;
    return err_set(ERR_UNAVAILABLE, "catalog %s: a statement of the transaction has failed",
                   db->remote.plain);
}

/* ---- transactions ---- */

/* What another has set for the whole server may be anything. */
static void put_begin(struct my_db *db)
{
    db->failed = false;
    buf_clear(&db->queued);
    db->n_queued = 0;
    put(db, "SET SESSION innodb_lock_wait_timeout = " REMOTE_TURN_S
            ", SESSION lock_wait_timeout = " REMOTE_TURN_S ", SESSION wait_timeout = " REMOTE_IDLE_S
            ", SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
            ", SESSION sql_safe_updates = 0, SESSION completion_type = 0");
    put(db, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ");
    put(db, "START TRANSACTION READ WRITE"); /* not on a replica */
}

static enum err wire_begin(struct remote *remote)
{
    struct my_db *db = db_of(remote);
    put_begin(db);
    if (db->turns)
        put(db, "UPDATE turns SET taken = taken + 1 WHERE id = 1");
    TRY(ask_within(db));
    if (db->turns && db->my->mysql_affected_rows(db->conn) != 1)
        return err_set(ERR_CORRUPT, "catalog %s: the row of its table turns is missing",
                       remote->plain);
    return OK;
}

static enum err wire_rollback(struct remote *remote)
{
    struct my_db *db = db_of(remote);
    buf_clear(&db->queued);
    db->n_queued = 0;
    db->failed = false;
    put(db, "ROLLBACK");
    return ask(db, 0);
}

static enum err wire_commit(struct remote *remote, bool *ret_sure)
{
    struct my_db *db = db_of(remote);
    unsigned before = db->n_queued;
    if (db->failed) {
        *ret_sure = true;
        return err_set(ERR_IO, "catalog %s: rolled back: a statement has failed", remote->plain);
    }
    put(db, "COMMIT");
    enum err err = ask(db, before);
    if (err != OK)
        *ret_sure =
            db->at < before || db->code == E_DEADLOCK || db->code == E_ROLLED_BACK_AT_COMMIT;
    return err;
}

/* ---- statements ---- */

static enum err wire_send(struct sql_stmt *s)
{
    struct my_db *db = db_of(s->db);
    if (s->db->in_tx) {
        TRY(check_failed(db));
        put_statement(s);
        return ask_within(db);
    }
    put_begin(db);
    put_statement(s);
    unsigned at = db->n_queued - 1;
    put(db, "COMMIT");
    return ask(db, at);
}

static enum err wire_queue(struct sql_stmt *s)
{
    struct my_db *db = db_of(s->db);
    TRY(check_failed(db));
    put_statement(s);
    if (db->n_queued < REMOTE_QUEUED_MAX && db->queued.n < QUEUED_BYTES)
        return OK;
    return ask_within(db);
}

static enum err wire_next(struct sql_stmt *s, bool *ret_row)
{
    struct my_db *db = db_of(s->db);
    const struct libmariadb *my = db->my;
    *ret_row = false;
    if (!db->rows && !my->mysql_field_count(db->conn)) {
        s->db->affected = my->mysql_affected_rows(db->conn);
        return OK;
    }
    if (!db->rows)
        db->rows = my->mysql_use_result(db->conn);
    db->row = db->rows ? my->mysql_fetch_row(db->rows) : NULL;
    if (!db->row && my->mysql_errno(db->conn))
        return refused(db);
    *ret_row = db->row;
    return OK;
}

static struct str wire_column(struct sql_stmt *s, int index)
{
    struct my_db *db = db_of(s->db);
    const char *value = db->row[index];
    return str_of(value, value ? db->my->mysql_fetch_lengths(db->rows)[index] : 0);
}

static void wire_drop_row(struct sql_stmt *s)
{
    db_of(s->db)->row = NULL;
}

static enum err wire_drain(struct remote *remote)
{
    struct my_db *db = db_of(remote);
    drop_rows(db);
    if (ends_session(db->my->mysql_errno(db->conn)))
        return refused(db);
    while (db->my->mysql_more_results(db->conn)) {
        if (db->my->mysql_next_result(db->conn))
            return refused(db);
    }
    return OK;
}

static enum err db_has_table(struct sql *base, const char *name, bool *ret)
{
    return remote_finds(base,
                        "SELECT 1 FROM information_schema.tables"
                        " WHERE table_schema = DATABASE() AND table_name = ?",
                        name, ret);
}

/* What makes a table is looked at, and not run. */
static enum err check_rights(struct sql *base)
{
    TRY(remote_exec(base, "PREPARE weir FROM 'CREATE TABLE weir_probe (id BIGINT PRIMARY KEY)'"));
    return remote_exec(base, "DEALLOCATE PREPARE weir");
}

static enum err db_describe(struct sql *base, struct buf *out)
{
    struct my_db *db = (struct my_db *)base;
    struct sql_stmt *s;
    bool row = false, durable = true;
    TRY(check_rights(base));
    TRY(remote_prepare(base, "SELECT @@GLOBAL.innodb_flush_log_at_trx_commit", &s));
    enum err err = remote_step(s, &row);
    if (err == OK && row)
        durable = remote_column_i64(s, 0) == 1;
    remote_finish(s);
    TRY(err);
    const char *version = db->my->mysql_get_server_info(db->conn);
    buf_printf(out, "%s %s, %s", db->my->mariadb_connection(db->conn) ? "MariaDB" : "MySQL",
               version ? version : "?", db->remote.plain);
    if (!durable)
        buf_put_c(out, ", innodb_flush_log_at_trx_commit is not 1: a crash of the database may "
                       "lose records");
    return OK;
}

/* ---- opening ---- */

static const struct sql_driver driver = {
    .table_end = " ENGINE=InnoDB",
    .text = "LONGBLOB", /* bytes: no collation pads, folds or changes with a version */
    .varchar = "VARBINARY",
    .text_end = "",
    .ddl_commits = true,
    REMOTE_DRIVER,
    .has_table = db_has_table,
    .describe = db_describe,
};

static const struct wire wire = {
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

static enum err check_server(struct my_db *db)
{
    unsigned long version = db->my->mysql_get_server_version(db->conn);
    bool mariadb = db->my->mariadb_connection(db->conn);
    if (version >= (mariadb ? MARIADB_LEAST : MYSQL_LEAST))
        return OK;
    return err_set(ERR_UNSUPPORTED,
                   "catalog %s: %s %lu.%lu is too old, %s is the oldest that will do",
                   db->remote.plain, mariadb ? "MariaDB" : "MySQL", version / 10000,
                   version / 100 % 100, mariadb ? "10.4" : "8.0");
}

/* What two do at once is done once: the table is there, or its row. */
static enum err make_turns(struct sql *base)
{
    enum err err = remote_exec(base, "CREATE TABLE turns (id BIGINT NOT NULL PRIMARY KEY,"
                                     " taken BIGINT NOT NULL) ENGINE=InnoDB");
    if (err != OK && err != ERR_EXISTS)
        return err;
    err = remote_exec(base, "INSERT INTO turns (id, taken) VALUES (1, 0)");
    return err == ERR_EXISTS ? OK : err;
}

static enum err find_turns(struct my_db *db)
{
    struct sql *base = &db->remote.base;
    TRY(db_has_table(base, "turns", &db->turns));
    if (!db->turns)
        return OK;
    return remote_finds(base, "SELECT 1 FROM turns WHERE id = ?", "1", &db->turns);
}

static enum err open_target(struct my_db *db, bool make)
{
    TRY(remote_need_connection(&db->remote));
    TRY(check_server(db));
    TRY(find_turns(db));
    if (db->turns || !make)
        return OK;
    TRY(make_turns(&db->remote.base));
    db->turns = true;
    return OK;
}

enum err sql_open_mysql(struct str url, bool make, struct sql **ret)
{
    struct my_db *db = NEW(struct my_db);
    remote_init(&db->remote, &driver, &wire);
    buf_init(&db->queued, SIZE_MAX); /* never cut: what is too long the server says */
    enum err err = libmariadb_load(&db->my);
    if (err == OK)
        err = my_target_read(url, &db->remote.arena, &db->target);
    if (err == OK) {
        db->remote.plain = db->target.plain;
        err = open_target(db, make);
    }
    if (err != OK) {
        remote_close(&db->remote.base);
        return err;
    }
    *ret = &db->remote.base;
    return OK;
}
