/* A whole catalog, from one database to another, in one transaction of each: what it was copied to
 * either has all of it or nothing. Rows travel as they are. */
#include "catalog/catalog_impl.h"

#include <inttypes.h>
#include <stdio.h>

enum { COLUMNS_MAX = 10, STATEMENT_BYTES = 400 };

/* A letter a column: i a number, t a text. */
static const struct table {
    const char *name, *columns, *types;
    bool keyed;  /* there may be rows already, which the first column tells apart: they go */
    bool shared; /* only where servers share it */
} tables[] = {
    {"streams", "id, org, name", "itt", false, false},
    {"segments", "id, level, bytes, created_ns, position_min, position_max", "iiiiii", false,
     false},
    {"sections",
     "segment_id, ordinal, stream_id, day, time_min, time_max, record_count, raw_bytes,"
     " tail_offset, tail_length",
     "iiiiiiiiii", false, false},
    {"checkpoints", "consumer, part, position", "tii", false, false},
    {"idempotency_keys", "key_hash, payload_hash, at_ns, records", "ttii", false, false},
    {"producers", "producer, epoch, part, at_ns, landed", "iiiit", false, false},
    {"counters", "name, value", "ti", true, false},
    {"meta", "name, value", "tt", true, false},
    {"nodes", "number, secret, start, name, beat_ns", "iiiti", true, true},
    {"leases", "name, holder, token, beat", "tiii", true, true},
    {"garbage", "segment_id, removed_ns", "ii", false, true},
};
enum { TABLES = sizeof(tables) / sizeof(*tables) };

static void bind_columns(struct sql_call *to, struct sql_call *from, const char *types, int n)
{
    for (int i = 0; i < n; i++) {
        if (types[i] == 'i')
            sql_arg_i64(to, sql_col_i64(from, i));
        else
            sql_arg_text(to, sql_col_text(from, i));
    }
}

static struct sql_call insert_into(struct catalog *c, const struct table *t)
{
    char text[STATEMENT_BYTES];
    int n = snprintf(text, sizeof(text), "INSERT INTO %s (%s) VALUES (", t->name, t->columns);
    for (const char *type = t->types; *type; type++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, type[1] ? "?, " : "?)");
    CHECK(n < STATEMENT_BYTES);
    return sql_call_new(c, text);
}

static struct sql_call delete_from(struct catalog *c, const struct table *t)
{
    char text[STATEMENT_BYTES];
    int n = (int)str_find_byte(str_c(t->columns), ',', 0);
    snprintf(text, sizeof(text), "DELETE FROM %s WHERE %.*s = ?", t->name, n, t->columns);
    return sql_call_new(c, text);
}

static struct sql_call select_from(struct catalog *c, const struct table *t)
{
    char text[STATEMENT_BYTES];
    snprintf(text, sizeof(text), "SELECT %s FROM %s", t->columns, t->name);
    return sql_call_new(c, text);
}

static enum err copy_table(struct catalog *from, struct catalog *to, const struct table *t,
                           uint64_t *rows)
{
    struct sql_call get = select_from(from, t), del = delete_from(to, t), in = insert_into(to, t);
    while (del.err == OK && in.err == OK && sql_call_row(&get)) {
        if (t->keyed) {
            bind_columns(&del, &get, t->types, 1);
            del.err = sql_call_run(&del);
        }
        bind_columns(&in, &get, t->types, (int)strlen(t->types));
        if (del.err == OK)
            in.err = sql_call_run(&in);
        ++*rows;
    }
    enum err err = sql_call_end(&get), err_del = sql_call_end(&del), err_in = sql_call_end(&in);
    return err != OK ? err : err_del != OK ? err_del : err_in;
}

static enum err check_empty(struct catalog *to, const struct table *t)
{
    struct sql_call get = select_from(to, t);
    bool any = sql_call_row(&get);
    TRY(sql_call_end(&get));
    return any ? err_set(ERR_EXISTS,
                         "the catalog to copy to is not empty: there are rows in its table %s",
                         t->name)
               : OK;
}

static enum err copy(struct catalog *from, struct catalog *to, uint64_t *rows)
{
    for (unsigned i = 0; i < TABLES; i++)
        if (!tables[i].keyed && (to->db->shared || !tables[i].shared))
            TRY(check_empty(to, &tables[i]));
    for (unsigned i = 0; i < TABLES; i++) {
        bool there = to->db->shared || !tables[i].shared;
        if (there)
            TRY(from->db->driver->has_table(from->db, tables[i].name, &there));
        if (there)
            TRY(copy_table(from, to, &tables[i], rows));
    }
    return OK;
}

enum err catalog_copy(struct catalog *from, struct catalog *to, uint64_t *ret_rows)
{
    uint64_t rows = 0;
    TRY(catalog_begin(from));
    enum err err = catalog_begin(to);
    if (err == OK)
        err = catalog_end(to, copy(from, to, &rows));
    err = catalog_end_reading(from, err);
    if (err == OK)
        *ret_rows = rows;
    return err;
}
