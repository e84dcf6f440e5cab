/* As in MessagePack (wire/msgpack_rows.c), what does not differ between the rows of a shape is made
 * once for each: the tree of its members as a list of *nodes*, an object before what it holds, with
 * their keys as bytes of a KeyValue and with what each is for a LogRecord (its *role*). All rows
 * are put, in order, so a column's values come one after the other.
 *
 * A row that is one JSON text, and one nested deeper than VALUE_DEPTH, is walked as JSON instead;
 * an *item* is a member of either. */
#include "output/otlp_record.h"

#include "core/mem.h"
#include "output/text.h"
#include "record/batch.h"
#include "record/json.h"

enum { ID_BYTES_MAX = 16, VALUE_DEPTH = 64, PAIR_KEY = 1, PAIR_VALUE = 2, ATTRIBUTES = 6 };

/* What a member of the top level is. Each may be an attribute after all: by its type or value, or
 * because the record has another of its kind. */
enum role {
    ROLE_NONE,
    ROLE_BODY,
    ROLE_MESSAGE,
    ROLE_SEVERITY,
    ROLE_LEVEL,
    ROLE_NUMBER,
    ROLE_TRACE,
    ROLE_SPAN,
    ROLE_FLAGS,
    ROLE_OBSERVED,
    ROLE_DROPPED,
    ROLE_EVENT,
    ROLE_ATTRIBUTES,
    ROLE_RESOURCE,
    ROLE_SCOPE,
    ROLE_SERVICE,
    ROLE_HOST,
};

struct node {
    struct str pair_key, key; /* the key's member of a KeyValue; the key */
    enum role role;
    bool object;
    uint32_t column; /* of a leaf */
    uint32_t n;      /* nodes behind it that the object holds */
};
struct program {
    struct node *node; /* the first is the record itself */
    bool whole;        /* one JSON text, in the column of the second */
    bool by_json;
};
struct column_at { /* next: one behind the value of the row at hand, where it has one */
    struct values values;
    uint32_t next;
    bool read;
};
struct item {
    struct str key; /* as it is shown */
    enum role role;
    enum lane lane;          /* LANE_JSON: an object with members */
    const struct node *node; /* in columns; else it is JSON: */
    struct str text;
    bool done;
};
struct items {
    struct item *item;
    uint32_t n;
};
struct otlp_rows {
    struct rows *rows;
    struct arena *arena;
    bool by_json;
    const uint16_t *shape_of;
    struct program **program; /* by shape */
    struct column_at *column;
    uint32_t next;
    struct json_rows by_text; /* the rows that are walked as JSON */
    struct json_writer *writer;
    struct buf scratch, json; /* a text that is looked at; the row's */
};

/* ---- JSON ---- */

static void put_json_any(struct buf *out, const struct json_item *item, unsigned depth);

static void put_number(struct buf *out, struct str text)
{
    int64_t i;
    double d = 0;
    uint64_t bits;
    if (str_to_i64(text, &i)) {
        pb_put_varint(out, 3, (uint64_t)i);
        return;
    }
    if (text_is_integer(text) || !str_to_f64(text, &d)) {
        pb_put_bytes(out, 1, text); /* a double would lose digits */
        return;
    }
    memcpy(&bits, &d, sizeof(bits));
    pb_put_fixed64(out, 4, bits);
}

static void put_json_list(struct buf *out, struct str list, unsigned depth)
{
    struct json_walk w;
    struct json_item element;
    if (!json_walk_begin(&w, list))
        return;
    while (json_walk_next(&w, &element)) {
        size_t any = pb_open(out);
        put_json_any(out, &element, depth);
        pb_close(out, 1, any);
    }
}

static void put_json_pairs(struct buf *out, unsigned field, struct str object, unsigned depth)
{
    struct json_walk w;
    struct json_item item;
    if (!json_walk_begin(&w, object))
        return;
    while (json_walk_next(&w, &item)) {
        size_t pair = pb_open(out), key = pb_open(out);
        json_walk_unescape(item.key, out);
        pb_close(out, PAIR_KEY, key);
        size_t any = pb_open(out);
        put_json_any(out, &item, depth);
        pb_close(out, PAIR_VALUE, any);
        pb_close(out, field, pair);
    }
}

/* An AnyValue's members. */
static void put_json_any(struct buf *out, const struct json_item *item, unsigned depth)
{
    bool list = item->lane == LANE_ARR;
    size_t at = pb_open(out);
    switch (item->lane) {
    case LANE_BOOL:
        pb_put_varint(out, 2, item->text.n && item->text.p[0] == 't');
        return;
    case LANE_NUM:
        put_number(out, item->text);
        return;
    case LANE_NULL:
        return;
    case LANE_OBJ:
        pb_put_head(out, 6, 0);
        return;
    case LANE_ARR:
    case LANE_JSON:
        if (depth >= VALUE_DEPTH)
            break;
        if (list)
            put_json_list(out, item->text, depth + 1);
        else
            put_json_pairs(out, 1, item->text, depth + 1);
        pb_close(out, list ? 5 : 6, at);
        return;
    default:
        break;
    }
    text_put_item(item, out);
    pb_close(out, 1, at);
}

/* ---- columns ---- */

/* The value of a leaf in the row at hand. */
static const struct values *value_of(const struct otlp_rows *w, const struct node *leaf,
                                     uint32_t *ret_at)
{
    const struct column_at *c = &w->column[leaf->column];
    *ret_at = c->next - 1;
    return &c->values;
}

/* The same as text. */
static struct str shown(struct otlp_rows *w, const struct node *leaf)
{
    uint32_t at;
    const struct values *v = value_of(w, leaf, &at);
    return json_shown(values_text(v, at), &w->scratch);
}

static void put_double(struct buf *out, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    pb_put_fixed64(out, 4, bits);
}

/* Numbers of which JSON's text decides. */
static void put_by_text(struct otlp_rows *w, const struct values *v, uint32_t at, struct buf *out)
{
    buf_clear(&w->scratch);
    json_put_value(&w->scratch, v, at);
    struct json_item item = {.text = buf_str(&w->scratch), .lane = LANE_NUM};
    if (v->lane == LANE_DBL && !__builtin_isfinite(v->f64[at]))
        item.lane = LANE_NULL;
    put_json_any(out, &item, 0);
}

static void put_leaf(struct otlp_rows *w, const struct node *leaf, struct buf *out, unsigned depth)
{
    uint32_t at;
    const struct values *v = value_of(w, leaf, &at);
    struct json_item item = {.lane = v->lane};
    double d;
    switch (v->lane) {
    case LANE_STR:
        pb_put_bytes(out, 1, json_shown(values_text(v, at), &w->scratch));
        return;
    case LANE_INT:
        pb_put_varint(out, 3, (uint64_t)v->i64[at]);
        return;
    case LANE_BOOL:
        pb_put_varint(out, 2, v->u8[at]);
        return;
    case LANE_DEC:
        if (json_decimal_double(v->i64[at], v->scale[at], &d))
            put_double(out, d);
        else
            put_by_text(w, v, at, out);
        return;
    case LANE_DBL:
        if (__builtin_isfinite(v->f64[at]) && __builtin_trunc(v->f64[at]) != v->f64[at])
            put_double(out, v->f64[at]);
        else
            put_by_text(w, v, at, out);
        return;
    default:
        if (lane_is_text(v->lane))
            item.text = json_shown(values_text(v, at), &w->scratch);
        put_json_any(out, &item, depth);
    }
}

static void put_node_pair(struct otlp_rows *w, const struct node *n, unsigned field,
                          struct buf *out, unsigned depth);

static void put_nodes(struct otlp_rows *w, const struct node *object, unsigned field,
                      struct buf *out, unsigned depth)
{
    for (uint32_t i = 1; i <= object->n; i += 1 + object[i].n)
        put_node_pair(w, &object[i], field, out, depth);
}

/* An AnyValue's members. */
static void put_node_any(struct otlp_rows *w, const struct node *n, struct buf *out, unsigned depth)
{
    if (!n->object) {
        put_leaf(w, n, out, depth);
        return;
    }
    size_t list = pb_open(out);
    put_nodes(w, n, 1, out, depth + 1);
    pb_close(out, 6, list);
}

static void put_node_pair(struct otlp_rows *w, const struct node *n, unsigned field,
                          struct buf *out, unsigned depth)
{
    size_t pair = pb_open(out);
    buf_put_str(out, n->pair_key);
    size_t any = pb_open(out);
    put_node_any(w, n, out, depth);
    pb_close(out, PAIR_VALUE, any);
    pb_close(out, field, pair);
}

/* ---- items ---- */

static void put_any(struct otlp_rows *w, const struct item *item, struct buf *out, unsigned depth)
{
    if (item->node)
        put_node_any(w, item->node, out, depth);
    else
        put_json_any(out, &(struct json_item){.text = item->text, .lane = item->lane}, depth);
}

static void put_pair(struct otlp_rows *w, const struct item *item, unsigned field, struct buf *out)
{
    if (item->node) {
        put_node_pair(w, item->node, field, out, 1);
        return;
    }
    size_t pair = pb_open(out);
    pb_put_bytes(out, PAIR_KEY, item->key);
    size_t any = pb_open(out);
    put_any(w, item, out, 1);
    pb_close(out, PAIR_VALUE, any);
    pb_close(out, field, pair);
}

/* The members of an object as KeyValues. */
static void put_pairs(struct otlp_rows *w, const struct item *object, unsigned field,
                      struct buf *out)
{
    if (object->node && object->node->object)
        put_nodes(w, object->node, field, out, 1);
    else
        put_json_pairs(out, field, object->node ? shown(w, object->node) : object->text, 1);
}

/* A string's bytes; good until the next is asked for. */
static struct str text_of(struct otlp_rows *w, const struct item *item)
{
    if (item->node)
        return shown(w, item->node);
    if (!json_walk_escaped(item->text))
        return item->text;
    buf_clear(&w->scratch);
    json_walk_unescape(item->text, &w->scratch);
    return buf_str(&w->scratch);
}

static bool natural_of(const struct otlp_rows *w, const struct item *item, uint64_t *ret)
{
    uint32_t at;
    if (!item->node)
        return item->lane == LANE_NUM && str_to_u64(item->text, ret);
    if (!lane_is_number(item->lane))
        return false;
    const struct values *v = value_of(w, item->node, &at);
    if (v->lane == LANE_INT) {
        *ret = (uint64_t)v->i64[at];
        return v->i64[at] >= 0;
    }
    return v->lane == LANE_NUM && str_to_u64(values_text(v, at), ret);
}

/* ---- what a member of a record is ---- */

static bool is_one_of(struct str key, const char *const *names)
{
    for (; *names; names++)
        if (str_eq_c(key, *names))
            return true;
    return false;
}

static enum role role_of(struct str key)
{
    static const struct {
        const char *key;
        enum role role;
    } own[] = {
        {"body", ROLE_BODY},
        {"severity_text", ROLE_SEVERITY},
        {"severity_number", ROLE_NUMBER},
        {"trace_id", ROLE_TRACE},
        {"span_id", ROLE_SPAN},
        {"flags", ROLE_FLAGS},
        {"observed_time_unix_nano", ROLE_OBSERVED},
        {"dropped_attributes_count", ROLE_DROPPED},
        {"event_name", ROLE_EVENT},
        {"attributes", ROLE_ATTRIBUTES},
        {"resource", ROLE_RESOURCE},
        {"scope", ROLE_SCOPE},
    };
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (str_eq_c(key, own[i].key))
            return own[i].role;
    return is_one_of(key, message_names)   ? ROLE_MESSAGE
           : is_one_of(key, level_names)   ? ROLE_LEVEL
           : is_one_of(key, service_names) ? ROLE_SERVICE
           : is_one_of(key, host_names)    ? ROLE_HOST
                                           : ROLE_NONE;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* An id of so many bytes in hex; false where it is none. */
static bool put_id(struct otlp_rows *w, const struct item *item, unsigned field, size_t bytes,
                   struct buf *out)
{
    char id[ID_BYTES_MAX];
    if (item->lane != LANE_STR)
        return false;
    struct str text = text_of(w, item);
    if (text.n != 2 * bytes)
        return false;
    for (size_t i = 0; i < bytes; i++) {
        int high = hex(text.p[2 * i]), low = hex(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        id[i] = (char)(high << 4 | low);
    }
    pb_put_bytes(out, field, str_of(id, bytes));
    return true;
}

static bool put_count(struct otlp_rows *w, const struct item *item, unsigned field, unsigned kind,
                      uint64_t max, struct buf *out)
{
    uint64_t v;
    if (!natural_of(w, item, &v) || v > max)
        return false;
    if (kind == PB_FIXED64)
        pb_put_fixed64(out, field, v);
    else if (kind == PB_FIXED32)
        pb_put_fixed32(out, field, (uint32_t)v);
    else
        pb_put_varint(out, field, v);
    return true;
}

/* The first number of the level's name; 0: it has none. */
static unsigned severity_of(struct str level)
{
    static const struct {
        const char *name;
        unsigned number;
    } names[] = {{"trace", 1},   {"debug", 5},     {"info", 9},      {"information", 9},
                 {"notice", 10}, {"warn", 13},     {"warning", 13},  {"error", 17},
                 {"err", 17},    {"critical", 18}, {"crit", 18},     {"alert", 19},
                 {"fatal", 21},  {"emerg", 21},    {"emergency", 21}};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (str_ieq(level, str_c(names[i].name)))
            return names[i].number;
    return 0;
}

/* ---- the members of an object ---- */

static struct items in_columns(struct otlp_rows *w, const struct node *object)
{
    struct items s = {ARENA_ARRAY(w->arena, struct item, object->n + 1), 0};
    uint32_t at;
    for (uint32_t i = 1; i <= object->n; i += 1 + object[i].n) {
        const struct node *n = &object[i];
        enum lane lane = n->object ? LANE_JSON : value_of(w, n, &at)->lane;
        s.item[s.n++] = (struct item){.key = n->key, .role = n->role, .lane = lane, .node = n};
    }
    return s;
}

static struct items in_json(struct otlp_rows *w, struct str object)
{
    struct json_walk walk;
    struct json_item item;
    uint32_t n = 0;
    bool is = json_walk_begin(&walk, object);
    while (is && json_walk_next(&walk, &item))
        n++;
    struct items s = {ARENA_ARRAY(w->arena, struct item, n + 1), 0};
    is = json_walk_begin(&walk, object);
    while (is && s.n < n && json_walk_next(&walk, &item)) {
        struct str key = json_walk_text(item.key, w->arena);
        s.item[s.n++] =
            (struct item){.key = key, .role = role_of(key), .lane = item.lane, .text = item.text};
    }
    return s;
}

static struct items members_of(struct otlp_rows *w, const struct item *object)
{
    if (!object->node)
        return in_json(w, object->text);
    return object->node->object ? in_columns(w, object->node)
                                : in_json(w, arena_str(w->arena, shown(w, object->node)));
}

/* ---- a record ---- */

/* What has been said of a record so far. */
struct log_record {
    struct otlp_rows *w;
    const struct otlp_parts *to;
    bool has_body, has_severity, has_number;
    const struct item *service, *host;
    unsigned number;
};

static bool put_text(struct log_record *r, const struct item *item, unsigned field, struct buf *out)
{
    if (item->lane != LANE_STR)
        return false;
    pb_put_bytes(out, field, text_of(r->w, item));
    return true;
}

static bool put_scope(struct log_record *r, const struct item *scope)
{
    struct buf *out = r->to->scope;
    if (scope->lane != LANE_JSON)
        return false;
    struct items s = members_of(r->w, scope);
    for (uint32_t i = 0; i < s.n; i++) {
        const struct item *item = &s.item[i];
        unsigned field = str_eq_c(item->key, "name") ? 1 : str_eq_c(item->key, "version") ? 2 : 0;
        if (field && put_text(r, item, field, out))
            continue;
        if (item->role == ROLE_ATTRIBUTES && item->lane == LANE_JSON)
            put_pairs(r->w, item, 3, out);
        else
            put_pair(r->w, item, 3, out);
    }
    return true;
}

static bool put_object(struct log_record *r, const struct item *item, unsigned field,
                       struct buf *out)
{
    if (item->lane != LANE_JSON)
        return false;
    put_pairs(r->w, item, field, out);
    return true;
}

static bool put_body(struct log_record *r, const struct item *item)
{
    if (r->has_body || (item->role == ROLE_MESSAGE && item->lane != LANE_STR))
        return false;
    size_t any = pb_open(r->to->record);
    put_any(r->w, item, r->to->record, 0);
    pb_close(r->to->record, 5, any);
    return r->has_body = true;
}

static bool put_severity(struct log_record *r, const struct item *item)
{
    if (r->has_severity || !put_text(r, item, 3, r->to->record))
        return false;
    r->number = severity_of(text_of(r->w, item));
    return r->has_severity = true;
}

static bool remember(const struct item **first, const struct item *item)
{
    if (*first || item->lane != LANE_STR)
        return false;
    *first = item;
    return true;
}

/* By what it is for. False: it is an attribute. */
static bool put_role(struct log_record *r, const struct item *item)
{
    struct buf *out = r->to->record;
    switch (item->role) {
    case ROLE_BODY:
    case ROLE_MESSAGE:
        return put_body(r, item);
    case ROLE_SEVERITY:
    case ROLE_LEVEL:
        return put_severity(r, item);
    case ROLE_NUMBER:
        return r->has_number |= put_count(r->w, item, 2, PB_VARINT, 24, out);
    case ROLE_TRACE:
        return put_id(r->w, item, 9, 16, out);
    case ROLE_SPAN:
        return put_id(r->w, item, 10, 8, out);
    case ROLE_FLAGS:
        return put_count(r->w, item, 8, PB_FIXED32, UINT32_MAX, out);
    case ROLE_OBSERVED:
        return put_count(r->w, item, 11, PB_FIXED64, UINT64_MAX, out);
    case ROLE_DROPPED:
        return put_count(r->w, item, 7, PB_VARINT, UINT32_MAX, out);
    case ROLE_EVENT:
        return put_text(r, item, 12, out);
    case ROLE_ATTRIBUTES:
        return put_object(r, item, ATTRIBUTES, out);
    case ROLE_RESOURCE:
        return put_object(r, item, 1, r->to->resource);
    case ROLE_SCOPE:
        return put_scope(r, item);
    case ROLE_SERVICE:
        return remember(&r->service, item);
    case ROLE_HOST:
        return remember(&r->host, item);
    case ROLE_NONE:
        break;
    }
    return false;
}

static void put_resource_text(struct log_record *r, const char *key, const struct item *item)
{
    struct buf *out = r->to->resource;
    if (!item)
        return;
    size_t pair = pb_open(out);
    pb_put_bytes(out, PAIR_KEY, str_c(key));
    size_t any = pb_open(out);
    (void)put_text(r, item, 1, out);
    pb_close(out, PAIR_VALUE, any);
    pb_close(out, 1, pair);
}

/* A `body` and a `severity_text` come before other names for the same. */
static void put_items(struct log_record *r, struct items s)
{
    bool severity = false;
    for (uint32_t i = 0; i < s.n; i++) {
        struct item *item = &s.item[i];
        if (item->role == ROLE_BODY || item->role == ROLE_SEVERITY)
            item->done = put_role(r, item);
        severity |= item->done && item->role == ROLE_SEVERITY;
    }
    for (uint32_t i = 0; i < s.n; i++) {
        const struct item *item = &s.item[i];
        if (item->done || put_role(r, item))
            continue;
        /* What the input made of a number of severity. */
        if (!severity && r->has_number && item->lane == LANE_STR && str_eq_c(item->key, "level") &&
            severity_of(text_of(r->w, item)))
            continue;
        put_pair(r->w, item, ATTRIBUTES, r->to->record);
    }
    put_resource_text(r, "service.name", r->service);
    put_resource_text(r, "host.name", r->host);
    if (r->number && !r->has_number)
        pb_put_varint(r->to->record, 2, r->number);
}

/* ---- programs ---- */

static enum err read_column(struct otlp_rows *w, uint32_t column)
{
    struct column_at *c = &w->column[column];
    const struct column *is = &w->rows->columns[column];
    if (!c->read)
        TRY(is->ops->values(is, w->arena, &c->values));
    c->read = true;
    return OK;
}

static void name_node(struct otlp_rows *w, struct str segment, struct node *n)
{
    struct buf key;
    buf_init(&key, SIZE_MAX);
    path_key(segment, &key);
    n->key = arena_str(w->arena, json_shown(buf_str(&key), &w->scratch));
    n->role = role_of(n->key);
    buf_clear(&key);
    pb_put_bytes(&key, PAIR_KEY, n->key);
    n->pair_key = arena_str(w->arena, buf_str(&key));
    buf_release(&key);
}

static enum err make_nodes(struct otlp_rows *w, const struct shape *s, struct program *p)
{
    uint32_t *open = ARENA_ARRAY(w->arena, uint32_t, s->n + 1); /* nodes of objects, by depth */
    uint32_t n = 1;
    unsigned depth = 0;
    for (uint32_t t = 0; t < s->n; t++) {
        if (s->token[t] == SHAPE_CLOSE) {
            CHECK(depth > 0);
            p->node[open[depth]].n = n - open[depth] - 1;
            depth--;
            continue;
        }
        struct node *at = &p->node[n];
        name_node(w, path_segment(rows_path_behind(w->rows, s, t), depth), at);
        if (s->token[t] == SHAPE_OPEN) {
            at->object = true;
            open[++depth] = n;
            p->by_json |= depth >= VALUE_DEPTH - 1;
        } else {
            at->column = s->token[t];
            TRY(read_column(w, at->column));
        }
        n++;
    }
    p->node[0] = (struct node){.object = true, .n = n - 1};
    return OK;
}

static enum err make_program(struct otlp_rows *w, const struct shape *s, struct program **ret)
{
    struct program *p = ARENA_NEW(w->arena, struct program);
    p->node = ARENA_ARRAY(w->arena, struct node, s->n + 1);
    p->whole = s->n == 1 && rows_path_behind(w->rows, s, 0).n == 0;
    p->by_json = w->by_json;
    *ret = p;
    return make_nodes(w, s, p);
}

static enum err find_texts(struct otlp_rows *w)
{
    uint32_t *row = ARENA_ARRAY(w->arena, uint32_t, w->rows->n), n = 0;
    for (uint32_t i = 0; i < w->rows->n; i++)
        if (w->program[w->shape_of[i]]->by_json)
            row[n++] = i;
    w->by_text = (struct json_rows){.rows = w->rows, .row = row, .n = n, .arena = w->arena};
    return n ? json_writer_new(&w->by_text, &w->writer) : OK;
}

static void release(void *ctx)
{
    struct otlp_rows *w = ctx;
    buf_release(&w->scratch);
    buf_release(&w->json);
}

enum err otlp_rows_new(struct rows *rows, bool by_json, struct arena *a, struct otlp_rows **ret)
{
    struct otlp_rows *w = ARENA_NEW(a, struct otlp_rows);
    *w = (struct otlp_rows){.rows = rows, .arena = a, .by_json = by_json};
    w->program = ARENA_ARRAY(a, struct program *, rows->n_shapes);
    w->column = ARENA_ARRAY(a, struct column_at, rows->n_columns);
    buf_init(&w->scratch, SIZE_MAX);
    buf_init(&w->json, SIZE_MAX);
    arena_defer(a, release, w);
    TRY(rows_shape_of(rows, &w->shape_of));
    for (uint32_t i = 0; i < rows->n; i++) {
        uint16_t s = w->shape_of[i];
        if (!w->program[s])
            TRY(make_program(w, &rows->shapes[s], &w->program[s]));
    }
    *ret = w;
    return find_texts(w);
}

/* ---- rows ---- */

/* Every column of the row stands one value further on. */
static void step(struct otlp_rows *w, const struct program *p)
{
    for (uint32_t i = 1; i <= p->node[0].n; i++)
        if (!p->node[i].object)
            w->column[p->node[i].column].next++;
}

static enum err root_of(struct otlp_rows *w, const struct program *p, struct item *ret)
{
    *ret = (struct item){.lane = LANE_JSON, .node = &p->node[p->whole]};
    if (!p->by_json)
        return OK;
    buf_clear(&w->json);
    TRY(json_writer_put(w->writer, 1, &w->json));
    *ret = (struct item){.lane = LANE_JSON, .text = buf_str(&w->json)};
    return OK;
}

enum err otlp_rows_put(struct otlp_rows *w, const struct otlp_parts *to)
{
    CHECK(w->next < w->rows->n);
    struct log_record r = {.w = w, .to = to};
    const struct program *p = w->program[w->shape_of[w->next++]];
    struct item root;
    step(w, p);
    TRY(root_of(w, p, &root));
    struct arena_mark mark = arena_mark(w->arena);
    put_items(&r, members_of(w, &root));
    arena_rewind(w->arena, &mark);
    return OK;
}
