/* The catalog over the driver's seam (sql.h). Schema, version 1:
 *
 *   meta              name, value                 settings; `schema` holds the version
 *   counters          name, value                 `segment`, `stream`: the next number never given
 *                                                 out
 *   streams           id, org, name
 *   segments          id, level, bytes, created_ns, position_min, position_max
 *   sections          segment_id, ordinal, stream_id, day, time_min, time_max, record_count,
 *                     raw_bytes, tail_offset, tail_length
 *   checkpoints       consumer, part, position
 *   idempotency_keys  key_hash, payload_hash, at_ns, records
 *   producers         producer, epoch, part, at_ns, landed
 *
 * What servers that share it know of each other is in further tables (shared.c).
 *
 * Numbers are 64-bit integers; unsigned ones are stored as the signed ones of the same bits (they
 * stay below 2^63 in practice, and nothing orders by those that might not). 128-bit hashes are 32
 * hexadecimal digits.
 *
 * Segment ids are taken from the counter in ranges, each range committed before its first id is
 * used: a crash leaves a gap, never a second use. Compare-and-swap is an UPDATE or DELETE whose
 * condition names what is expected, and `affected` tells; the first row of a checkpoint is an
 * INSERT, which its primary key lets only one of two win.
 *
 * WHEN A COMMIT FAILS, its bytes may be on the disk all the same, and a crash would bring them
 * back. Whoever is told that a publish failed may remove the segment's file; so the answer must
 * hold. A failed commit to a file is followed by another, the fence, that changes one number: once
 * that is durable the failed one is gone for good, as a log holds one history. When the fence fails
 * too, the answer is ERR_TIMEOUT: it may or may not be there, and only a restart will tell.
 * A database server that answers with an error has rolled back for good; when its answer is lost,
 * a fence would change nothing of what it has done, and the answer is ERR_TIMEOUT at once. The next
 * transaction that begins comes behind the lost one, whatever became of it, and finds out.
 *
 * Text that a client chose (organization, stream) is bound, never spliced. A stream's name with a
 * NUL or bad UTF-8 is refused: databases differ about both. */
#include "catalog/catalog_impl.h"
#include "core/buf.h"
#include "core/clock.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>
#include <utf8proc.h>

enum {
    SCHEMA_VERSION = 1,
    ID_RANGE = 1024,
    NAME_MAX_BYTES = 255,
    HEX_DIGITS = 32,
    FENCE_TRIES = 3
};

#define PRODUCERS_TABLE                                                                            \
    "CREATE TABLE producers (producer BIGINT NOT NULL, epoch BIGINT NOT NULL,"                     \
    " part BIGINT NOT NULL, at_ns BIGINT NOT NULL, landed TEXT NOT NULL,"                          \
    " PRIMARY KEY (producer, epoch, part))"

static const char *const schema[] = {
    "CREATE TABLE meta (name VARCHAR(255) NOT NULL PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE counters (name VARCHAR(255) NOT NULL PRIMARY KEY, value BIGINT NOT NULL)",
    "CREATE TABLE streams (id BIGINT NOT NULL PRIMARY KEY, org VARCHAR(255) NOT NULL,"
    " name VARCHAR(255) NOT NULL, UNIQUE (org, name))",
    "CREATE TABLE segments (id BIGINT NOT NULL PRIMARY KEY, level BIGINT NOT NULL,"
    " bytes BIGINT NOT NULL, created_ns BIGINT NOT NULL, position_min BIGINT NOT NULL,"
    " position_max BIGINT NOT NULL)",
    "CREATE TABLE sections (segment_id BIGINT NOT NULL, ordinal BIGINT NOT NULL,"
    " stream_id BIGINT NOT NULL, day BIGINT NOT NULL, time_min BIGINT NOT NULL,"
    " time_max BIGINT NOT NULL, record_count BIGINT NOT NULL, raw_bytes BIGINT NOT NULL,"
    " tail_offset BIGINT NOT NULL, tail_length BIGINT NOT NULL,"
    " PRIMARY KEY (segment_id, ordinal))",
    "CREATE TABLE checkpoints (consumer VARCHAR(255) NOT NULL, part BIGINT NOT NULL,"
    " position BIGINT NOT NULL, PRIMARY KEY (consumer, part))",
    "CREATE TABLE idempotency_keys (key_hash VARCHAR(32) NOT NULL PRIMARY KEY,"
    " payload_hash VARCHAR(32) NOT NULL, at_ns BIGINT NOT NULL, records BIGINT NOT NULL)",
    "CREATE INDEX idempotency_keys_at ON idempotency_keys (at_ns, key_hash)",
    PRODUCERS_TABLE,
    "INSERT INTO counters (name, value) VALUES ('segment', 1)",
    "INSERT INTO counters (name, value) VALUES ('stream', 1)",
    "INSERT INTO counters (name, value) VALUES ('fence', 1)",
    "INSERT INTO meta (name, value) VALUES ('schema', '1')",
};

/* ---- small helpers over the seam ---- */

static struct str hex_of(struct hash128 h, char out[HEX_DIGITS + 1])
{
    snprintf(out, HEX_DIGITS + 1, "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
    return str_of(out, HEX_DIGITS);
}

static bool hex_digit(char c, uint64_t *v)
{
    if (!(c >= '0' && c <= '9') && !(c >= 'a' && c <= 'f'))
        return false;
    *v = *v << 4 | (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
    return true;
}

static enum err parse_hex(struct str s, struct hash128 *ret)
{
    struct hash128 h = {0};
    bool good = s.n == HEX_DIGITS;
    for (size_t i = 0; good && i < HEX_DIGITS; i++)
        good = hex_digit(s.p[i], i < HEX_DIGITS / 2 ? &h.hi : &h.lo);
    if (!good)
        return err_set(ERR_CORRUPT, "catalog: \"%.*s\" is not a hash", STR_ARG(s));
    *ret = h;
    return OK;
}

struct sql_call sql_call_new(struct catalog *c, const char *text)
{
    struct sql_call call = {.db = c->db};
    call.err = c->db->driver->prepare(c->db, text, &call.stmt);
    return call;
}

void sql_arg_i64(struct sql_call *call, int64_t v)
{
    if (call->err == OK)
        call->err = call->db->driver->bind_i64(call->stmt, call->index++, v);
}

void sql_arg_u64(struct sql_call *call, uint64_t v)
{
    sql_arg_i64(call, (int64_t)v);
}

void sql_arg_text(struct sql_call *call, struct str v)
{
    if (call->err == OK)
        call->err = call->db->driver->bind_text(call->stmt, call->index++, v);
}

static void sql_arg_hash(struct sql_call *call, struct hash128 h)
{
    char hex[HEX_DIGITS + 1];
    sql_arg_text(call, hex_of(h, hex));
}

bool sql_call_row(struct sql_call *call)
{
    bool row = false;
    if (call->err == OK)
        call->err = call->db->driver->step(call->stmt, &row);
    return call->err == OK && row;
}

int64_t sql_col_i64(struct sql_call *call, int index)
{
    return call->db->driver->column_i64(call->stmt, index);
}

uint64_t sql_col_u64(struct sql_call *call, int index)
{
    return (uint64_t)sql_col_i64(call, index);
}

struct str sql_col_text(struct sql_call *call, int index)
{
    return call->db->driver->column_text(call->stmt, index);
}

enum err sql_call_end(struct sql_call *call)
{
    if (call->stmt)
        call->db->driver->finish(call->stmt);
    call->stmt = NULL;
    return call->err;
}

enum err sql_call_run(struct sql_call *call)
{
    if (call->err == OK)
        call->err = call->db->driver->run(call->stmt);
    call->index = 0;
    return call->err;
}

enum err sql_call_once(struct sql_call *call, uint64_t *ret_affected)
{
    (void)sql_call_row(call);
    if (call->err == OK && ret_affected)
        *ret_affected = call->db->driver->affected(call->db);
    return sql_call_end(call);
}

/* ---- transactions: every public call that writes is one ---- */

/* Makes a failed commit never have been. */
static enum err fence(struct catalog *c)
{
    const struct sql_driver *d = c->db->driver;
    TRY(d->begin(c->db));
    enum err err = d->exec(c->db, "UPDATE counters SET value = value + 1 WHERE name = 'fence'");
    if (err == OK)
        return d->commit(c->db);
    d->rollback(c->db);
    return err;
}

/* Commits, or takes everything back. */
static enum err tx_settle(struct catalog *c, enum err err)
{
    if (err != OK) {
        c->db->driver->rollback(c->db);
        return err;
    }
    err = c->db->driver->commit(c->db);
    if (err == OK || (c->db->driver->sure && err != ERR_TIMEOUT))
        return err;
    char reason[300];
    snprintf(reason, sizeof(reason), "%s", err_text());
    for (int tries = 0; !c->db->driver->sure && tries < FENCE_TRIES; tries++) {
        if (fence(c) == OK)
            return err_set(err, "%s", reason);
    }
    return err_set(ERR_TIMEOUT, "it is not known whether this was stored: %s", reason);
}

enum err catalog_begin(struct catalog *c)
{
    pthread_mutex_lock(&c->lock);
    enum err err = c->db->driver->begin(c->db);
    if (err != OK)
        pthread_mutex_unlock(&c->lock);
    return err;
}

enum err catalog_end(struct catalog *c, enum err err)
{
    err = tx_settle(c, err);
    pthread_mutex_unlock(&c->lock);
    return err;
}

enum err catalog_end_reading(struct catalog *c, enum err err)
{
    c->db->driver->rollback(c->db);
    pthread_mutex_unlock(&c->lock);
    return err;
}

enum err catalog_take_numbers(struct catalog *c, const char *name, uint64_t n, uint64_t *ret)
{
    struct sql_call up = sql_call_new(c, "UPDATE counters SET value = value + ? WHERE name = ?");
    sql_arg_u64(&up, n);
    sql_arg_text(&up, str_c(name));
    uint64_t affected = 0;
    TRY(sql_call_once(&up, &affected));
    if (affected != 1)
        return err_set(ERR_CORRUPT, "catalog: the counter \"%s\" is missing", name);
    struct sql_call get = sql_call_new(c, "SELECT value FROM counters WHERE name = ?");
    sql_arg_text(&get, str_c(name));
    uint64_t value = sql_call_row(&get) ? sql_col_u64(&get, 0) : 0;
    TRY(sql_call_end(&get));
    if (value <= n)
        return err_set(ERR_CORRUPT, "catalog: the counter \"%s\" is damaged", name);
    *ret = value - n;
    return OK;
}

/* ---- opening ---- */

static enum err meta_get(struct catalog *c, struct str name, struct arena *a, struct str *ret)
{
    struct sql_call call = sql_call_new(c, "SELECT value FROM meta WHERE name = ?");
    sql_arg_text(&call, name);
    bool found = sql_call_row(&call);
    if (found)
        *ret = arena_str(a, sql_col_text(&call, 0));
    TRY(sql_call_end(&call));
    return found ? OK : err_set(ERR_NOTFOUND, "catalog: no setting \"%.*s\"", STR_ARG(name));
}

/* The bytes of a text column's type at the beginning of `text`; 0: there is none. */
static size_t text_type(struct str text)
{
    if (str_starts(text, STR(" TEXT ")))
        return STR(" TEXT").n;
    return str_starts(text, STR(" VARCHAR(")) ? str_find_byte(text, ')', 0) + 1 : 0;
}

static void put_type(const struct sql_driver *d, struct str type, struct buf *out)
{
    size_t bound = str_find_byte(type, '(', 0);
    buf_put_byte(out, ' ');
    buf_put_c(out, bound < type.n ? d->varchar : d->text);
    buf_put_str(out, str_from(type, bound));
    buf_put_c(out, d->text_end);
}

static void put_table(const struct sql_driver *d, struct str text, struct buf *out)
{
    while (text.n) {
        size_t type = text_type(text), n = type ? type : 1;
        if (type)
            put_type(d, str_of(text.p, type), out);
        else
            buf_put_byte(out, *text.p);
        text = str_from(text, n);
    }
    buf_put_c(out, d->table_end);
}

static enum err run_schema(struct catalog *c, const char *text)
{
    struct buf whole;
    buf_init(&whole, 64 << 10);
    if (str_starts(str_c(text), STR("CREATE TABLE ")))
        put_table(c->db->driver, str_c(text), &whole);
    else
        buf_put_c(&whole, text);
    buf_put_byte(&whole, 0);
    enum err err = c->db->driver->exec(c->db, whole.p);
    buf_release(&whole);
    return err;
}

enum err catalog_run_schema(struct catalog *c, const char *text)
{
    bool row = str_starts(str_c(text), STR("INSERT "));
    if (c->schema_part == (row ? SCHEMA_TABLES : SCHEMA_ROWS))
        return OK;
    enum err err = run_schema(c, text);
    /* Made by another, or by one who did not come further. */
    return err == ERR_EXISTS && c->schema_part == SCHEMA_TABLES ? OK : err;
}

enum err catalog_has_row(struct catalog *c, const char *table, const char *name, bool *ret)
{
    char text[100];
    bool there;
    TRY(c->db->driver->has_table(c->db, table, &there));
    if (there) {
        snprintf(text, sizeof(text), "SELECT 1 FROM %s WHERE name = ?", table);
        struct sql_call call = sql_call_new(c, text);
        sql_arg_text(&call, str_c(name));
        there = sql_call_row(&call);
        TRY(sql_call_end(&call));
    }
    *ret = there;
    return OK;
}

static enum err create_schema(struct catalog *c)
{
    for (size_t i = 0; i < sizeof(schema) / sizeof(schema[0]); i++)
        TRY(catalog_run_schema(c, schema[i]));
    return OK;
}

static enum err check_version(struct catalog *c)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    struct str text = {0};
    int64_t version = 0;
    enum err err = meta_get(c, STR("schema"), &a, &text);
    if (err == OK && !str_to_i64(text, &version))
        err = err_set(ERR_CORRUPT, "catalog: schema version \"%.*s\"", STR_ARG(text));
    if (err == OK && version > SCHEMA_VERSION)
        err = err_set(ERR_UNSUPPORTED,
                      "catalog: schema version %" PRId64 ", this program knows up to %d: it was "
                      "written by a newer one",
                      version, SCHEMA_VERSION);
    arena_release(&a);
    return err;
}

/* Tables that a catalog made by an older program lacks. */
static enum err add_tables(struct catalog *c)
{
    bool there = false;
    TRY(c->db->driver->has_table(c->db, "producers", &there));
    return there ? OK : catalog_run_schema(c, PRODUCERS_TABLE);
}

/* The version of the schema is the last of its rows, which are all there or none. */
static enum err make_schema(struct catalog *c)
{
    bool there = false;
    TRY(catalog_has_row(c, "meta", "schema", &there));
    TRY(there ? check_version(c) : create_schema(c));
    if (there)
        TRY(add_tables(c));
    return c->db->shared ? catalog_add_tables(c) : OK;
}

static enum err prepare_schema(struct catalog *c)
{
    bool apart = c->db->driver->ddl_commits;
    if (apart) {
        c->schema_part = SCHEMA_TABLES;
        TRY(make_schema(c));
    }
    c->schema_part = apart ? SCHEMA_ROWS : SCHEMA_ALL;
    return CATALOG_COMMIT(c, make_schema(c));
}

static struct catalog *new_on(struct sql *db)
{
    struct catalog *c = NEW(struct catalog);
    pthread_mutex_init(&c->lock, NULL);
    c->db = db;
    return c;
}

static enum err open_on(struct sql *db, struct catalog **ret)
{
    struct catalog *c = new_on(db);
    enum err err = prepare_schema(c);
    if (err != OK) {
        catalog_close(c);
        return err;
    }
    *ret = c;
    return OK;
}

enum err catalog_open(struct str url, const char *data, struct catalog **ret)
{
    struct sql *db = NULL;
    TRY(sql_open_url(url, data, true, &db));
    return open_on(db, ret);
}

/* A turn is had, and a write tried. */
static enum err probe(struct catalog *c, struct buf *out)
{
    const struct sql_driver *d = c->db->driver;
    bool there = false;
    TRY(d->describe(c->db, out));
    TRY(d->begin(c->db));
    enum err err = d->has_table(c->db, "meta", &there);
    if (err == OK && there)
        err = check_version(c);
    if (err == OK && there)
        err = d->exec(c->db, "UPDATE counters SET value = value WHERE name = 'fence'");
    d->rollback(c->db);
    buf_put_c(out, there ? "" : ", no catalog in it yet: the first server makes one");
    return err;
}

enum err catalog_probe(struct str url, const char *data, struct buf *out)
{
    struct sql *db = NULL;
    TRY(sql_open_url(url, data, false, &db));
    struct catalog *c = new_on(db);
    enum err err = probe(c, out);
    catalog_close(c);
    return err;
}

enum err catalog_open_sqlite(const char *path, struct catalog **ret)
{
    struct sql *db = NULL;
    TRY(sql_open_sqlite(path, &db));
    return open_on(db, ret);
}

enum err catalog_check_url(struct str url)
{
    return sql_check_url(url);
}

bool catalog_is_shared(const struct catalog *c)
{
    return c->db->shared;
}

void catalog_close(struct catalog *c)
{
    if (!c)
        return;
    c->db->driver->close(c->db);
    pthread_mutex_destroy(&c->lock);
    mem_free(c);
}

/* ---- loading ---- */

static enum err count_rows(struct catalog *c, const char *text, size_t *ret)
{
    struct sql_call call = sql_call_new(c, text);
    if (sql_call_row(&call))
        *ret = (size_t)sql_col_u64(&call, 0);
    return sql_call_end(&call);
}

void catalog_read_section(struct sql_call *call, struct catalog_section *ret)
{
    *ret = (struct catalog_section){
        .stream_id = sql_col_u64(call, 1),
        .day = sql_col_i64(call, 2),
        .time_min = sql_col_i64(call, 3),
        .time_max = sql_col_i64(call, 4),
        .rows = sql_col_u64(call, 5),
        .raw_bytes = sql_col_u64(call, 6),
        .offset = sql_col_u64(call, 7),
        .length = sql_col_u64(call, 8),
    };
}

/* Both lists are in the order of segment ids. */
static enum err load_sections(struct catalog *c, struct arena *a, struct catalog_segment *segment,
                              size_t n_segments)
{
    size_t n = 0, i = 0, at = 0;
    TRY(count_rows(c, "SELECT COUNT(*) FROM sections", &n));
    struct catalog_section *section = ARENA_ARRAY(a, struct catalog_section, n + 1);
    struct sql_call call = sql_call_new(
        c, "SELECT segment_id, stream_id, day, time_min, time_max, record_count, raw_bytes,"
           " tail_offset, tail_length FROM sections ORDER BY segment_id, ordinal");
    for (; sql_call_row(&call) && i < n; i++) {
        uint64_t id = sql_col_u64(&call, 0);
        while (at < n_segments && segment[at].id != id)
            at++;
        if (at == n_segments) {
            call.err = err_set(ERR_CORRUPT,
                               "catalog: a section of segment %" PRIu64 ", which is "
                               "not there",
                               id);
            break;
        }
        catalog_read_section(&call, &section[i]);
        if (segment[at].n_sections++ == 0)
            segment[at].section = &section[i];
    }
    return sql_call_end(&call);
}

static enum err load_segments(struct catalog *c, struct arena *a, struct catalog_segment **ret,
                              size_t *ret_n)
{
    size_t n = 0, i = 0;
    TRY(count_rows(c, "SELECT COUNT(*) FROM segments", &n));
    struct catalog_segment *segment = ARENA_ARRAY(a, struct catalog_segment, n + 1);
    struct sql_call call =
        sql_call_new(c, "SELECT id, level, bytes, created_ns, position_min, position_max"
                        " FROM segments ORDER BY id");
    for (; sql_call_row(&call) && i < n; i++) {
        segment[i] = (struct catalog_segment){
            .id = sql_col_u64(&call, 0),
            .level = (uint32_t)sql_col_u64(&call, 1),
            .bytes = sql_col_u64(&call, 2),
            .created_ns = sql_col_i64(&call, 3),
            .position_min = sql_col_u64(&call, 4),
            .position_max = sql_col_u64(&call, 5),
        };
    }
    TRY(sql_call_end(&call));
    TRY(load_sections(c, a, segment, i));
    *ret = segment;
    *ret_n = i;
    return OK;
}

/* In a transaction, so that the two lists fit each other on every engine. */
enum err catalog_load_segments(struct catalog *c, struct arena *a, struct catalog_segment **ret,
                               size_t *ret_n)
{
    TRY(catalog_begin(c));
    return catalog_end_reading(c, load_segments(c, a, ret, ret_n));
}

static enum err load_streams(struct catalog *c, struct arena *a, struct catalog_stream **ret,
                             size_t *ret_n)
{
    size_t n = 0, i = 0;
    TRY(count_rows(c, "SELECT COUNT(*) FROM streams", &n));
    struct catalog_stream *stream = ARENA_ARRAY(a, struct catalog_stream, n + 1);
    struct sql_call call = sql_call_new(c, "SELECT id, org, name FROM streams ORDER BY id");
    for (; sql_call_row(&call) && i < n; i++) {
        stream[i].id = sql_col_u64(&call, 0);
        stream[i].org = arena_str(a, sql_col_text(&call, 1));
        stream[i].name = arena_str(a, sql_col_text(&call, 2));
    }
    TRY(sql_call_end(&call));
    *ret = stream;
    *ret_n = i;
    return OK;
}

enum err catalog_load_streams(struct catalog *c, struct arena *a, struct catalog_stream **ret,
                              size_t *ret_n)
{
    TRY(catalog_begin(c));
    return catalog_end_reading(c, load_streams(c, a, ret, ret_n));
}

static enum err load_keys(struct catalog *c, int64_t since_ns, struct arena *a,
                          struct catalog_key **ret, size_t *ret_n)
{
    size_t n = 0, i = 0;
    TRY(count_rows(c, "SELECT COUNT(*) FROM idempotency_keys", &n));
    struct catalog_key *key = ARENA_ARRAY(a, struct catalog_key, n + 1);
    struct sql_call call = sql_call_new(c, "SELECT key_hash, payload_hash, at_ns, records"
                                           " FROM idempotency_keys WHERE at_ns >= ?"
                                           " ORDER BY at_ns, key_hash");
    sql_arg_i64(&call, since_ns);
    for (; sql_call_row(&call) && i < n; i++) {
        call.err = parse_hex(sql_col_text(&call, 0), &key[i].key);
        if (call.err == OK)
            call.err = parse_hex(sql_col_text(&call, 1), &key[i].payload);
        key[i].at_ns = sql_col_i64(&call, 2);
        key[i].records = sql_col_u64(&call, 3);
    }
    TRY(sql_call_end(&call));
    *ret = key;
    *ret_n = i;
    return OK;
}

enum err catalog_load_keys(struct catalog *c, int64_t since_ns, struct arena *a,
                           struct catalog_key **ret, size_t *ret_n)
{
    TRY(catalog_begin(c));
    return catalog_end_reading(c, load_keys(c, since_ns, a, ret, ret_n));
}

static enum err load_producers(struct catalog *c, int64_t since_ns, struct arena *a,
                               struct catalog_producer **ret, size_t *ret_n)
{
    size_t n = 0, i = 0;
    TRY(count_rows(c, "SELECT COUNT(*) FROM producers", &n));
    struct catalog_producer *producer = ARENA_ARRAY(a, struct catalog_producer, n + 1);
    struct sql_call call = sql_call_new(c, "SELECT producer, epoch, at_ns, landed FROM producers"
                                           " WHERE at_ns >= ? AND part = 0 ORDER BY at_ns");
    sql_arg_i64(&call, since_ns);
    for (; i < n && sql_call_row(&call); i++)
        producer[i] =
            (struct catalog_producer){sql_col_u64(&call, 0), sql_col_u64(&call, 1),
                                      sql_col_i64(&call, 2), arena_str(a, sql_col_text(&call, 3))};
    TRY(sql_call_end(&call));
    *ret = producer;
    *ret_n = i;
    return OK;
}

enum err catalog_load_producers(struct catalog *c, int64_t since_ns, struct arena *a,
                                struct catalog_producer **ret, size_t *ret_n)
{
    TRY(catalog_begin(c));
    return catalog_end_reading(c, load_producers(c, since_ns, a, ret, ret_n));
}

static enum err read_checkpoint(struct catalog *c, struct str consumer, uint32_t partition,
                                bool *ret_found, uint64_t *ret_position)
{
    struct sql_call call =
        sql_call_new(c, "SELECT position FROM checkpoints WHERE consumer = ? AND part = ?");
    sql_arg_text(&call, consumer);
    sql_arg_i64(&call, partition);
    *ret_found = sql_call_row(&call);
    *ret_position = *ret_found ? sql_col_u64(&call, 0) : 0;
    return sql_call_end(&call);
}

enum err catalog_checkpoint(struct catalog *c, struct str consumer, uint32_t partition,
                            uint64_t *ret_position)
{
    bool found;
    uint64_t position;
    pthread_mutex_lock(&c->lock);
    enum err err = read_checkpoint(c, consumer, partition, &found, &position);
    pthread_mutex_unlock(&c->lock);
    if (err == OK)
        *ret_position = position;
    return err;
}

/* ---- streams, numbers and settings ---- */

static enum err check_name(const char *what, struct str s)
{
    if (s.n == 0 || s.n > NAME_MAX_BYTES)
        return err_set(ERR_LIMIT, "the %s's name has %zu bytes; 1 to %d are allowed", what, s.n,
                       NAME_MAX_BYTES);
    for (size_t at = 0; at < s.n;) {
        utf8proc_int32_t code;
        utf8proc_ssize_t n = utf8proc_iterate((const utf8proc_uint8_t *)s.p + at,
                                              (utf8proc_ssize_t)(s.n - at), &code);
        if (n <= 0 || code == 0)
            return err_set(ERR_INVALID, "the %s's name is not UTF-8 without NUL, at byte %zu", what,
                           at);
        at += (size_t)n;
    }
    return OK;
}

/* 0 when there is none. */
static enum err find_stream(struct catalog *c, struct str org, struct str name, uint64_t *ret_id)
{
    struct sql_call call = sql_call_new(c, "SELECT id FROM streams WHERE org = ? AND name = ?");
    sql_arg_text(&call, org);
    sql_arg_text(&call, name);
    uint64_t id = sql_call_row(&call) ? sql_col_u64(&call, 0) : 0;
    TRY(sql_call_end(&call));
    *ret_id = id;
    return OK;
}

static enum err make_stream(struct catalog *c, struct str org, struct str name, uint64_t *ret_id)
{
    TRY(find_stream(c, org, name, ret_id));
    if (*ret_id)
        return OK;
    TRY(catalog_take_numbers(c, "stream", 1, ret_id));
    struct sql_call call = sql_call_new(c, "INSERT INTO streams (id, org, name) VALUES (?, ?, ?)");
    sql_arg_u64(&call, *ret_id);
    sql_arg_text(&call, org);
    sql_arg_text(&call, name);
    return sql_call_once(&call, NULL);
}

enum err catalog_stream(struct catalog *c, struct str org, struct str name, uint64_t *ret_id)
{
    TRY(check_name("organization", org));
    TRY(check_name("stream", name));
    uint64_t id = 0;
    pthread_mutex_lock(&c->lock);
    enum err err = find_stream(c, org, name, &id);
    pthread_mutex_unlock(&c->lock);
    TRY(err);
    if (id == 0)
        TRY(CATALOG_COMMIT(c, make_stream(c, org, name, &id)));
    *ret_id = id;
    return OK;
}

/* Those of a shared catalog are given out in order, one at a time (store/landed.h). */
static enum err take_id_range(struct catalog *c)
{
    uint64_t first = 0, n = c->db->shared ? 1 : ID_RANGE;
    TRY(c->db->driver->begin(c->db));
    TRY(tx_settle(c, catalog_take_numbers(c, "segment", n, &first)));
    c->next_segment = first;
    c->segment_limit = first + n;
    return OK;
}

enum err catalog_new_segment_id(struct catalog *c, uint64_t *ret_id)
{
    pthread_mutex_lock(&c->lock);
    enum err err = c->next_segment == c->segment_limit ? take_id_range(c) : OK;
    if (err == OK)
        *ret_id = c->next_segment++;
    pthread_mutex_unlock(&c->lock);
    return err;
}

static enum err read_number(struct catalog *c, const char *name, uint64_t *ret)
{
    struct sql_call get = sql_call_new(c, "SELECT value FROM counters WHERE name = ?");
    sql_arg_text(&get, str_c(name));
    bool found = sql_call_row(&get);
    *ret = found ? sql_col_u64(&get, 0) : 0;
    TRY(sql_call_end(&get));
    return found ? OK : err_set(ERR_CORRUPT, "catalog: the counter \"%s\" is missing", name);
}

enum err catalog_ids_given(struct catalog *c, uint64_t *ret_limit)
{
    pthread_mutex_lock(&c->lock);
    enum err err = read_number(c, "segment", ret_limit);
    pthread_mutex_unlock(&c->lock);
    return err;
}

enum err catalog_meta_get(struct catalog *c, struct str name, struct arena *a, struct str *ret)
{
    pthread_mutex_lock(&c->lock);
    enum err err = meta_get(c, name, a, ret);
    pthread_mutex_unlock(&c->lock);
    return err;
}

static enum err meta_set(struct catalog *c, struct str name, struct str value)
{
    struct sql_call up = sql_call_new(c, "UPDATE meta SET value = ? WHERE name = ?");
    sql_arg_text(&up, value);
    sql_arg_text(&up, name);
    uint64_t affected = 0;
    TRY(sql_call_once(&up, &affected));
    if (affected)
        return OK;
    struct sql_call in = sql_call_new(c, "INSERT INTO meta (name, value) VALUES (?, ?)");
    sql_arg_text(&in, name);
    sql_arg_text(&in, value);
    return sql_call_once(&in, NULL);
}

enum err catalog_meta_set(struct catalog *c, struct str name, struct str value)
{
    TRY(check_name("setting", name));
    if (str_eq_c(name, "schema"))
        return err_set(ERR_INVALID, "the setting \"schema\" is the catalog's own");
    return CATALOG_COMMIT(c, meta_set(c, name, value));
}

static enum err meta_once(struct catalog *c, struct str name, struct str value, struct arena *a,
                          struct str *ret)
{
    enum err err = meta_get(c, name, a, ret);
    if (err != ERR_NOTFOUND)
        return err;
    TRY(meta_set(c, name, value));
    *ret = arena_str(a, value);
    return OK;
}

enum err catalog_meta_once(struct catalog *c, struct str name, struct str value, struct arena *a,
                           struct str *ret)
{
    TRY(check_name("setting", name));
    return CATALOG_COMMIT(c, meta_once(c, name, value, a, ret));
}

/* ---- publishing and replacing ---- */

static enum err add_sections(struct catalog *c, const struct catalog_segment *s)
{
    struct sql_call call = sql_call_new(
        c, "INSERT INTO sections (segment_id, ordinal, stream_id, day, time_min, time_max,"
           " record_count, raw_bytes, tail_offset, tail_length) VALUES (?, ?, ?, ?, ?, ?, "
           "?, ?, ?, ?)");
    for (uint32_t i = 0; i < s->n_sections && call.err == OK; i++) {
        const struct catalog_section *section = &s->section[i];
        sql_arg_u64(&call, s->id);
        sql_arg_i64(&call, i);
        sql_arg_u64(&call, section->stream_id);
        sql_arg_i64(&call, section->day);
        sql_arg_i64(&call, section->time_min);
        sql_arg_i64(&call, section->time_max);
        sql_arg_u64(&call, section->rows);
        sql_arg_u64(&call, section->raw_bytes);
        sql_arg_u64(&call, section->offset);
        sql_arg_u64(&call, section->length);
        call.err = sql_call_run(&call);
    }
    return sql_call_end(&call);
}

static enum err add_segment(struct catalog *c, const struct catalog_segment *s)
{
    struct sql_call call =
        sql_call_new(c, "INSERT INTO segments (id, level, bytes, created_ns, position_min,"
                        " position_max) VALUES (?, ?, ?, ?, ?, ?)");
    sql_arg_u64(&call, s->id);
    sql_arg_i64(&call, s->level);
    sql_arg_u64(&call, s->bytes);
    sql_arg_i64(&call, s->created_ns);
    sql_arg_u64(&call, s->position_min);
    sql_arg_u64(&call, s->position_max);
    TRY(sql_call_once(&call, NULL));
    return add_sections(c, s);
}

static enum err lost_checkpoint(const struct catalog_position *p)
{
    return err_set(ERR_CONFLICT,
                   "the checkpoint of consumer \"%.*s\", partition %u, is not at %" PRIu64
                   " any more: another process publishes for it",
                   STR_ARG(p->consumer), p->partition, p->from);
}

static enum err first_checkpoint(struct catalog *c, const struct catalog_position *p)
{
    struct sql_call call =
        sql_call_new(c, "INSERT INTO checkpoints (consumer, part, position) VALUES (?, ?, ?)");
    sql_arg_text(&call, p->consumer);
    sql_arg_i64(&call, p->partition);
    sql_arg_u64(&call, p->to);
    enum err err = sql_call_once(&call, NULL);
    return err == ERR_EXISTS ? lost_checkpoint(p) : err;
}

static enum err move_checkpoint(struct catalog *c, const struct catalog_position *p)
{
    struct sql_call call = sql_call_new(c, "UPDATE checkpoints SET position = ?"
                                           " WHERE consumer = ? AND part = ? AND position = ?");
    sql_arg_u64(&call, p->to);
    sql_arg_text(&call, p->consumer);
    sql_arg_i64(&call, p->partition);
    sql_arg_u64(&call, p->from);
    uint64_t affected = 0;
    TRY(sql_call_once(&call, &affected));
    if (affected)
        return OK;
    /* No row is position 0; a row elsewhere breaks the primary key. */
    return p->from == 0 ? first_checkpoint(c, p) : lost_checkpoint(p);
}

static enum err add_keys(struct catalog *c, const struct catalog_key *key, size_t n)
{
    struct sql_call del = sql_call_new(c, "DELETE FROM idempotency_keys WHERE key_hash = ?");
    struct sql_call in =
        sql_call_new(c, "INSERT INTO idempotency_keys (key_hash, payload_hash, at_ns,"
                        " records) VALUES (?, ?, ?, ?)");
    for (size_t i = 0; i < n && del.err == OK && in.err == OK; i++) {
        sql_arg_hash(&del, key[i].key);
        del.err = sql_call_run(&del);
        sql_arg_hash(&in, key[i].key);
        sql_arg_hash(&in, key[i].payload);
        sql_arg_i64(&in, key[i].at_ns);
        sql_arg_u64(&in, key[i].records);
        if (del.err == OK)
            in.err = sql_call_run(&in);
    }
    enum err err = sql_call_end(&del), err_in = sql_call_end(&in);
    return err != OK ? err : err_in;
}

/* The newest key that is too many, if there is one. */
static enum err find_excess(struct catalog *c, size_t max, bool *ret_found, int64_t *ret_at_ns,
                            struct arena *a, struct str *ret_key)
{
    struct sql_call call = sql_call_new(c, "SELECT at_ns, key_hash FROM idempotency_keys"
                                           " ORDER BY at_ns DESC, key_hash DESC LIMIT 1 OFFSET ?");
    sql_arg_u64(&call, max);
    *ret_found = sql_call_row(&call);
    if (*ret_found) {
        *ret_at_ns = sql_col_i64(&call, 0);
        *ret_key = arena_str(a, sql_col_text(&call, 1));
    }
    return sql_call_end(&call);
}

static enum err cut_keys(struct catalog *c, size_t max)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    bool found = false;
    int64_t at_ns = 0;
    struct str key = {0};
    enum err err = find_excess(c, max, &found, &at_ns, &a, &key);
    if (err == OK && found) {
        struct sql_call call = sql_call_new(c, "DELETE FROM idempotency_keys"
                                               " WHERE at_ns < ? OR (at_ns = ? AND key_hash <= ?)");
        sql_arg_i64(&call, at_ns);
        sql_arg_i64(&call, at_ns);
        sql_arg_text(&call, key);
        err = sql_call_once(&call, NULL);
    }
    arena_release(&a);
    return err;
}

static enum err update_keys(struct catalog *c, const struct catalog_publish *p)
{
    TRY(add_keys(c, p->key, p->n_keys));
    struct sql_call call = sql_call_new(c, "DELETE FROM idempotency_keys WHERE at_ns < ?");
    sql_arg_i64(&call, p->keys_expire_before_ns);
    TRY(sql_call_once(&call, NULL));
    return p->n_keys && p->keys_max ? cut_keys(c, p->keys_max) : OK;
}

static enum err update_producers(struct catalog *c, const struct catalog_publish *p)
{
    struct sql_call old = sql_call_new(c, "DELETE FROM producers WHERE at_ns < ?");
    sql_arg_i64(&old, p->producers_expire_before_ns);
    TRY(sql_call_once(&old, NULL));
    struct sql_call del = sql_call_new(c, "DELETE FROM producers"
                                          " WHERE producer = ? AND epoch = ? AND part = ?");
    struct sql_call in =
        sql_call_new(c, "INSERT INTO producers (producer, epoch, part, at_ns, landed)"
                        " VALUES (?, ?, ?, ?, ?)");
    for (size_t i = 0; i < p->n_producers && del.err == OK && in.err == OK; i++) {
        const struct catalog_producer *row = &p->producer[i];
        sql_arg_u64(&del, row->producer);
        sql_arg_u64(&del, row->epoch);
        sql_arg_i64(&del, p->partition);
        del.err = sql_call_run(&del);
        sql_arg_u64(&in, row->producer);
        sql_arg_u64(&in, row->epoch);
        sql_arg_i64(&in, p->partition);
        sql_arg_i64(&in, row->at_ns);
        sql_arg_text(&in, row->window);
        if (del.err == OK)
            in.err = sql_call_run(&in);
    }
    enum err err = sql_call_end(&del), err_in = sql_call_end(&in);
    return err != OK ? err : err_in;
}

static enum err publish(struct catalog *c, const struct catalog_publish *p)
{
    struct catalog_position own = {p->consumer, p->partition, p->from, p->to};
    TRY(move_checkpoint(c, &own));
    for (size_t i = 0; i < p->n_also; i++)
        TRY(move_checkpoint(c, &p->also[i]));
    if (p->segment)
        TRY(add_segment(c, p->segment));
    TRY(update_keys(c, p));
    TRY(update_producers(c, p));
    return c->db->shared ? catalog_count_change(c) : OK;
}

enum err catalog_publish(struct catalog *c, const struct catalog_publish *p)
{
    TRY(check_name("consumer", p->consumer));
    CHECK(p->to >= p->from);
    for (size_t i = 0; i < p->n_also; i++)
        TRY(check_name("consumer", p->also[i].consumer));
    TRY(catalog_begin(c));
    return catalog_end(c, publish(c, p));
}

static enum err remove_segment(struct catalog *c, uint64_t id)
{
    struct sql_call segment = sql_call_new(c, "DELETE FROM segments WHERE id = ?");
    sql_arg_u64(&segment, id);
    uint64_t affected = 0;
    TRY(sql_call_once(&segment, &affected));
    if (affected != 1)
        return err_set(ERR_CONFLICT, "segment %" PRIu64 " is not in the catalog any more", id);
    struct sql_call sections = sql_call_new(c, "DELETE FROM sections WHERE segment_id = ?");
    sql_arg_u64(&sections, id);
    return sql_call_once(&sections, NULL);
}

static enum err replace(struct catalog *c, const struct catalog_replacement *r)
{
    if (r->token)
        TRY(catalog_check_lease(c, r->token));
    for (size_t i = 0; i < r->n_remove; i++)
        TRY(remove_segment(c, r->remove[i]));
    for (size_t i = 0; i < r->n_add; i++)
        TRY(add_segment(c, &r->add[i]));
    if (!c->db->shared)
        return OK;
    TRY(catalog_add_garbage(c, r->remove, r->n_remove, clock_now_ns()));
    return catalog_count_change(c);
}

enum err catalog_replace(struct catalog *c, const struct catalog_replacement *r)
{
    TRY(catalog_begin(c));
    return catalog_end(c, replace(c, r));
}
