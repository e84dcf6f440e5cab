/* Tables of a catalog that servers share, beside those of catalog.c; a catalog of one server does
 * without them, and gets them when it is first shared.
 *
 *   nodes             number, secret, start, name, beat_ns     a server's start and last heartbeat
 *   leases            name, holder, token, beat                `compact`
 *   garbage           segment_id, removed_ns                   left the catalog, objects remain
 *   counters          `node`: the next server's number; `manifest`: publishes and replacements
 *
 * A look is one statement, so that what it says is of one instant without a lock. */
#include "catalog/shared.h"

#include "catalog/catalog_impl.h"
#include "core/clock.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdlib.h>

static const struct {
    const char *name, *text;
} tables[] = {
    {"nodes", "CREATE TABLE nodes (number BIGINT NOT NULL PRIMARY KEY, secret BIGINT NOT NULL,"
              " start BIGINT NOT NULL, name VARCHAR(255) NOT NULL, beat_ns BIGINT NOT NULL)"},
    {"leases",
     "CREATE TABLE leases (name VARCHAR(255) NOT NULL PRIMARY KEY, holder BIGINT NOT NULL,"
     " token BIGINT NOT NULL, beat BIGINT NOT NULL)"},
    {"garbage",
     "CREATE TABLE garbage (segment_id BIGINT NOT NULL PRIMARY KEY, removed_ns BIGINT NOT NULL)"},
};
static const struct {
    const char *table, *name, *text;
} rows[] = {
    {"counters", "node", "INSERT INTO counters (name, value) VALUES ('node', 1)"},
    {"counters", "manifest", "INSERT INTO counters (name, value) VALUES ('manifest', 1)"},
    {"leases", "compact",
     "INSERT INTO leases (name, holder, token, beat) VALUES ('compact', 0, 0, 0)"},
};

/* Each by itself: a copy of a shared catalog for one server has the rows of `counters` alone. */
enum err catalog_add_tables(struct catalog *c)
{
    bool there = false;
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        TRY(c->db->driver->has_table(c->db, tables[i].name, &there));
        if (!there)
            TRY(catalog_run_schema(c, tables[i].text));
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        TRY(catalog_has_row(c, rows[i].table, rows[i].name, &there));
        if (!there)
            TRY(catalog_run_schema(c, rows[i].text));
    }
    return OK;
}

static void *copied(struct arena *a, const void *p, size_t n)
{
    void *to = arena_alloc(a, n + 1);
    if (n)
        memcpy(to, p, n);
    return to;
}

/* ---- nodes ---- */

static enum err go_on(struct catalog *c, const struct catalog_node *n, bool *ret_known)
{
    uint64_t affected = 0;
    struct sql_call up = sql_call_new(c, "UPDATE nodes SET start = ?, name = ?, beat_ns = ?"
                                         " WHERE number = ? AND secret = ?");
    sql_arg_u64(&up, n->start);
    sql_arg_text(&up, n->name);
    sql_arg_i64(&up, clock_now_ns());
    sql_arg_u64(&up, n->number);
    sql_arg_u64(&up, n->secret);
    TRY(sql_call_once(&up, &affected));
    *ret_known = affected > 0;
    return OK;
}

static enum err take_number(struct catalog *c, struct catalog_node *n)
{
    TRY(catalog_take_numbers(c, "node", 1, &n->number));
    if (n->number >= CATALOG_NODES_MAX)
        return err_set(ERR_LIMIT, "the catalog has had %d servers; that is all there can be",
                       CATALOG_NODES_MAX - 1);
    n->secret = random_u64() >> 1;
    struct sql_call in = sql_call_new(c, "INSERT INTO nodes (number, secret, start, name, beat_ns)"
                                         " VALUES (?, ?, ?, ?, ?)");
    sql_arg_u64(&in, n->number);
    sql_arg_u64(&in, n->secret);
    sql_arg_u64(&in, n->start);
    sql_arg_text(&in, n->name);
    sql_arg_i64(&in, clock_now_ns());
    return sql_call_once(&in, NULL);
}

/* Once more with the number that was taken, where it is not known whether that was stored. */
static enum err join(struct catalog *c, struct catalog_node *n)
{
    bool known = false;
    if (n->number)
        TRY(go_on(c, n, &known));
    return known ? OK : take_number(c, n);
}

enum err catalog_node_join(struct catalog *c, struct catalog_node *node, bool *ret_new)
{
    struct catalog_node n = *node;
    TRY(CATALOG_COMMIT(c, join(c, &n)));
    *ret_new = n.number != node->number || n.secret != node->secret;
    *node = n;
    return OK;
}

static enum err beat(struct catalog *c, const struct catalog_node *n)
{
    uint64_t affected = 0;
    struct sql_call up =
        sql_call_new(c, "UPDATE nodes SET beat_ns = ? WHERE number = ? AND start = ?");
    sql_arg_i64(&up, clock_now_ns());
    sql_arg_u64(&up, n->number);
    sql_arg_u64(&up, n->start);
    TRY(sql_call_once(&up, &affected));
    if (!affected)
        return err_set(ERR_CONFLICT,
                       "another process has started as server %" PRIu64
                       " of the catalog: is its data folder a copy of this one's?",
                       n->number);
    return OK;
}

enum err catalog_node_beat(struct catalog *c, const struct catalog_node *node)
{
    TRY(catalog_begin(c));
    return catalog_end(c, beat(c, node));
}

/* ---- changes ---- */

enum err catalog_count_change(struct catalog *c)
{
    uint64_t was;
    return catalog_take_numbers(c, "manifest", 1, &was);
}

#define LOOK                                                                                       \
    "SELECT consumer, part, position FROM checkpoints"                                             \
    " UNION ALL SELECT '', 0, value FROM counters WHERE name = 'manifest'"
#define LOOK_WHOLE                                                                                 \
    LOOK " UNION ALL SELECT '', 1, id FROM segments"                                               \
         " UNION ALL SELECT 'start', number, start FROM nodes"

static int id_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static enum err look(struct catalog *c, bool segments, struct arena *a, struct catalog_state *ret)
{
    struct catalog_at *at = NULL;
    uint64_t *id = NULL;
    size_t n_at = 0, at_cap = 0, n = 0, cap = 0;
    struct sql_call call = sql_call_new(c, segments ? LOOK_WHOLE : LOOK);
    while (sql_call_row(&call)) {
        struct str consumer = sql_col_text(&call, 0);
        int64_t part = sql_col_i64(&call, 1);
        if (consumer.n) {
            ARRAY_GROW(at, at_cap, n_at + 1);
            at[n_at++] =
                (struct catalog_at){arena_str(a, consumer), (uint32_t)part, sql_col_u64(&call, 2)};
        } else if (part == 0) {
            ret->changes = sql_col_u64(&call, 2);
        } else {
            ARRAY_GROW(id, cap, n + 1);
            id[n++] = sql_col_u64(&call, 2);
        }
    }
    enum err err = sql_call_end(&call);
    if (n)
        qsort(id, n, sizeof(*id), id_cmp);
    ret->at = copied(a, at, n_at * sizeof(*at));
    ret->n_at = n_at;
    ret->segment = copied(a, id, n * sizeof(*id));
    ret->n_segments = n;
    mem_free(at);
    mem_free(id);
    return err;
}

enum err catalog_look(struct catalog *c, bool segments, struct arena *a, struct catalog_state *ret)
{
    struct catalog_state state = {0};
    pthread_mutex_lock(&c->lock);
    enum err err = look(c, segments, a, &state);
    pthread_mutex_unlock(&c->lock);
    if (err == OK)
        *ret = state;
    return err;
}

uint64_t catalog_state_at(const struct catalog_state *s, struct str consumer, uint32_t partition)
{
    for (size_t i = 0; i < s->n_at; i++)
        if (s->at[i].partition == partition && str_eq(s->at[i].consumer, consumer))
            return s->at[i].position;
    return 0;
}

static enum err load_segment(struct catalog *c, uint64_t id, struct arena *a,
                             struct catalog_segment *ret)
{
    struct catalog_section *section = NULL;
    size_t cap = 0;
    struct catalog_segment s = {.id = id};
    struct sql_call call = sql_call_new(
        c, "SELECT x.segment_id, x.stream_id, x.day, x.time_min, x.time_max, x.record_count,"
           " x.raw_bytes, x.tail_offset, x.tail_length, s.level, s.bytes, s.created_ns,"
           " s.position_min, s.position_max FROM segments s"
           " JOIN sections x ON x.segment_id = s.id WHERE s.id = ? ORDER BY x.ordinal");
    sql_arg_u64(&call, id);
    while (sql_call_row(&call)) {
        ARRAY_GROW(section, cap, s.n_sections + 1);
        catalog_read_section(&call, &section[s.n_sections++]);
        s.level = (uint32_t)sql_col_u64(&call, 9);
        s.bytes = sql_col_u64(&call, 10);
        s.created_ns = sql_col_i64(&call, 11);
        s.position_min = sql_col_u64(&call, 12);
        s.position_max = sql_col_u64(&call, 13);
    }
    enum err err = sql_call_end(&call);
    s.section = copied(a, section, s.n_sections * sizeof(*section));
    mem_free(section);
    TRY(err);
    if (!s.n_sections)
        return err_set(ERR_NOTFOUND, "segment %" PRIu64 " is not in the catalog any more", id);
    *ret = s;
    return OK;
}

enum err catalog_load_segment(struct catalog *c, uint64_t id, struct arena *a,
                              struct catalog_segment *ret)
{
    pthread_mutex_lock(&c->lock);
    enum err err = load_segment(c, id, a, ret);
    pthread_mutex_unlock(&c->lock);
    return err;
}

/* ---- the lease ---- */

static enum err read_lease(struct catalog *c, struct catalog_lease *ret)
{
    struct sql_call call =
        sql_call_new(c, "SELECT holder, token, beat FROM leases WHERE name = 'compact'");
    bool there = sql_call_row(&call);
    struct catalog_lease lease = {0};
    if (there)
        lease = (struct catalog_lease){sql_col_u64(&call, 0), sql_col_u64(&call, 1),
                                       sql_col_u64(&call, 2)};
    TRY(sql_call_end(&call));
    if (!there)
        return err_set(ERR_CORRUPT, "catalog: the lease \"compact\" is missing");
    *ret = lease;
    return OK;
}

enum err catalog_lease_look(struct catalog *c, struct catalog_lease *ret)
{
    pthread_mutex_lock(&c->lock);
    enum err err = read_lease(c, ret);
    pthread_mutex_unlock(&c->lock);
    return err;
}

static enum err lost_lease(void)
{
    return err_set(ERR_CONFLICT, "another server has taken the lease \"compact\"");
}

enum err catalog_check_lease(struct catalog *c, uint64_t token)
{
    struct catalog_lease lease;
    TRY(read_lease(c, &lease));
    return lease.token == token ? OK : lost_lease();
}

static enum err set_lease(struct catalog *c, const struct catalog_lease *from,
                          const struct catalog_lease *to)
{
    uint64_t affected = 0;
    struct sql_call up = sql_call_new(c, "UPDATE leases SET holder = ?, token = ?, beat = ?"
                                         " WHERE name = 'compact' AND token = ? AND beat = ?");
    sql_arg_u64(&up, to->holder);
    sql_arg_u64(&up, to->token);
    sql_arg_u64(&up, to->beat);
    sql_arg_u64(&up, from->token);
    sql_arg_u64(&up, from->beat);
    TRY(sql_call_once(&up, &affected));
    return affected ? OK : lost_lease();
}

enum err catalog_lease_take(struct catalog *c, uint64_t holder, const struct catalog_lease *seen,
                            struct catalog_lease *ret)
{
    struct catalog_lease to = {holder, seen->token + 1, seen->beat + 1};
    TRY(catalog_begin(c));
    TRY(catalog_end(c, set_lease(c, seen, &to)));
    *ret = to;
    return OK;
}

enum err catalog_lease_renew(struct catalog *c, struct catalog_lease *held)
{
    struct catalog_lease to = {held->holder, held->token, held->beat + 1};
    TRY(catalog_begin(c));
    TRY(catalog_end(c, set_lease(c, held, &to)));
    *held = to;
    return OK;
}

/* ---- garbage ---- */

enum err catalog_add_garbage(struct catalog *c, const uint64_t *id, size_t n, int64_t now_ns)
{
    struct sql_call in =
        sql_call_new(c, "INSERT INTO garbage (segment_id, removed_ns) VALUES (?, ?)");
    for (size_t i = 0; i < n && in.err == OK; i++) {
        sql_arg_u64(&in, id[i]);
        sql_arg_i64(&in, now_ns);
        in.err = sql_call_run(&in);
    }
    return sql_call_end(&in);
}

static enum err load_garbage(struct catalog *c, int64_t before_ns, struct arena *a, uint64_t **ret,
                             size_t *ret_n)
{
    uint64_t *id = NULL;
    size_t n = 0, cap = 0;
    struct sql_call call = sql_call_new(c, "SELECT segment_id FROM garbage WHERE removed_ns < ?");
    sql_arg_i64(&call, before_ns);
    while (sql_call_row(&call)) {
        ARRAY_GROW(id, cap, n + 1);
        id[n++] = sql_col_u64(&call, 0);
    }
    enum err err = sql_call_end(&call);
    if (err == OK) {
        *ret = copied(a, id, n * sizeof(*id));
        *ret_n = n;
    }
    mem_free(id);
    return err;
}

enum err catalog_load_garbage(struct catalog *c, int64_t before_ns, struct arena *a, uint64_t **ret,
                              size_t *ret_n)
{
    pthread_mutex_lock(&c->lock);
    enum err err = load_garbage(c, before_ns, a, ret, ret_n);
    pthread_mutex_unlock(&c->lock);
    return err;
}

static enum err forget_garbage(struct catalog *c, const uint64_t *id, size_t n)
{
    struct sql_call del = sql_call_new(c, "DELETE FROM garbage WHERE segment_id = ?");
    for (size_t i = 0; i < n && del.err == OK; i++) {
        sql_arg_u64(&del, id[i]);
        del.err = sql_call_run(&del);
    }
    return sql_call_end(&del);
}

enum err catalog_forget_garbage(struct catalog *c, const uint64_t *id, size_t n)
{
    TRY(catalog_begin(c));
    return catalog_end(c, forget_garbage(c, id, n));
}
