/* Cutting a _bulk body up. An action that repeats the bytes of the one before it, as they do where
 * no id is given, is not read again. */
#include "wire/bulk.h"

#include "record/json_walk.h"

enum { ID_BYTES_MAX = 512, STREAMS_MAX = 1024, STREAM_SLOTS = 64 };

struct parser {
    struct json_reader *reader;
    struct str rest; /* of the body */
    struct str index;
    struct arena *arena;
    struct bulk *bulk;
    uint32_t line;
    uint32_t streams_cap;
    uint32_t recent[STREAM_SLOTS]; /* by the name's length and last byte: number + 1 */
    struct str action;             /* the last one read, and what it said */
    struct bulk_item said;
};

static const char *const op_names[] = {"index", "create", "update", "delete"};

const char *bulk_op_name(enum bulk_op op)
{
    return op_names[op];
}

static bool next_line(struct parser *p, struct str *ret)
{
    if (!p->rest.n)
        return false;
    size_t end = str_find_byte(p->rest, '\n', 0);
    *ret = str_of(p->rest.p, end);
    p->rest = str_from(p->rest, end + 1);
    p->line++;
    return true;
}

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for the items of the body");
}

/* The number of a stream, new or known. */
static enum err stream_number(struct parser *p, struct str name, uint32_t *ret)
{
    struct bulk *b = p->bulk;
    size_t slot = (name.n * 31 + (name.n ? (unsigned char)name.p[name.n - 1] : 0)) % STREAM_SLOTS;
    if (p->recent[slot] && str_eq(b->stream[p->recent[slot] - 1], name)) {
        *ret = p->recent[slot] - 1;
        return OK;
    }
    uint32_t i = 0;
    while (i < b->n_streams && !str_eq(b->stream[i], name))
        i++;
    if (i == STREAMS_MAX)
        return err_set(ERR_LIMIT, "the body names more than %d streams", STREAMS_MAX);
    if (i == p->streams_cap) {
        p->streams_cap = i ? i * 2 : 16;
        struct str *grown = ARENA_TRY_ARRAY(p->arena, struct str, p->streams_cap);
        if (!grown)
            return no_memory();
        if (i)
            memcpy(grown, b->stream, i * sizeof(*grown));
        b->stream = grown;
    }
    if (i == b->n_streams) {
        b->stream[i] = arena_str(p->arena, name);
        b->n_streams++;
    }
    p->recent[slot] = i + 1;
    *ret = i;
    return OK;
}

static enum err malformed(struct parser *p, const char *what)
{
    return err_set(ERR_INVALID, "line %u of the body is no action: %s", p->line, what);
}

static bool is_key(struct str key, const char *name)
{
    return str_eq_c(key, name) ||
           (key.n > 1 && key.p[0] == '_' && str_eq_c(str_from(key, 1), name));
}

/* What stands inside {"index":{...}}. */
static enum err read_members(struct parser *p, struct str object, struct bulk_item *item)
{
    struct json_walk w;
    struct json_item m;
    struct str index = p->index;
    (void)json_walk_begin(&w, object);
    while (json_walk_next(&w, &m)) {
        bool text = m.lane == LANE_STR || m.lane == LANE_NUM;
        if (is_key(m.key, "index") && text)
            index = json_walk_text(m.text, p->arena);
        else if (is_key(m.key, "id") && text)
            item->given = arena_str(p->arena, json_walk_text(m.text, p->arena));
        else if ((is_key(m.key, "index") || is_key(m.key, "id")) && m.lane != LANE_NULL)
            return malformed(p, "_index and _id are texts");
    }
    if (item->given.n > ID_BYTES_MAX) {
        item->outcome = BULK_IMPOSSIBLE;
        item->reason = "an _id has at most 512 bytes";
        item->given = (struct str){0};
    }
    return stream_number(p, index, &item->stream);
}

static enum err read_action(struct parser *p, struct str line)
{
    struct json_walk w;
    struct json_item m, second;
    if (json_check(p->reader, line) != OK)
        return malformed(p, arena_str(p->arena, str_c(err_text())).p);
    if (!json_walk_begin(&w, line) || w.close != '}' || !json_walk_next(&w, &m) ||
        (m.lane != LANE_JSON && m.lane != LANE_OBJ) || json_walk_next(&w, &second))
        return malformed(p, "an object with one member, such as {\"index\":{}}, is expected");
    struct bulk_item item = {0};
    while (item.op < sizeof(op_names) / sizeof(*op_names) && !str_eq_c(m.key, op_names[item.op]))
        item.op++;
    if (item.op == sizeof(op_names) / sizeof(*op_names))
        return malformed(p, "one of index, create, update and delete is expected");
    TRY(read_members(p, m.text, &item));
    if (item.outcome == BULK_WAITING && item.op >= BULK_UPDATE) {
        item.outcome = BULK_IMPOSSIBLE;
        item.reason = "a stream of logs is only added to: update and delete are not possible";
    }
    p->action = line;
    p->said = item;
    return OK;
}

static enum err read_items(struct parser *p, uint32_t room)
{
    struct bulk *b = p->bulk;
    struct str line;
    while (next_line(p, &line)) {
        line = str_trim(line);
        if (!line.n)
            continue;
        if (!p->action.n || !str_eq(line, p->action))
            TRY(read_action(p, line));
        CHECK(b->n < room);
        struct bulk_item *item = &b->item[b->n++];
        *item = p->said;
        item->id = item->given;
        if (item->op == BULK_DELETE || next_line(p, &item->source))
            continue;
        if (item->outcome == BULK_WAITING) {
            item->outcome = BULK_IMPOSSIBLE;
            item->reason = "the body ends where the record is expected";
        }
    }
    return OK;
}

/* By counting: the items of a stream behind those of the streams before it. */
static enum err order_items(struct parser *p)
{
    struct bulk *b = p->bulk;
    b->order = ARENA_TRY_ARRAY(p->arena, uint32_t, b->n + 1);
    uint32_t *at = ARENA_TRY_ARRAY(p->arena, uint32_t, b->n_streams + 1);
    if (!b->order || !at)
        return no_memory();
    memset(at, 0, (b->n_streams + 1) * sizeof(*at));
    for (uint32_t i = 0; i < b->n; i++)
        at[b->item[i].stream + 1]++;
    for (uint32_t s = 0; s < b->n_streams; s++)
        at[s + 1] += at[s];
    for (uint32_t i = 0; i < b->n; i++)
        b->order[at[b->item[i].stream]++] = i;
    return OK;
}

/* Lines that are not empty: no more actions than that. */
static size_t count_lines(struct str body)
{
    size_t n = 1;
    for (const char *at = body.p, *end = body.p + body.n;
         (at = memchr(at, '\n', (size_t)(end - at))) != NULL;)
        n += ++at < end && *at != '\n';
    return n;
}

enum err bulk_parse(struct json_reader *reader, struct str body, struct str index,
                    struct arena *arena, struct bulk *ret)
{
    struct parser p = {.reader = reader, .rest = body, .index = index, .arena = arena, .bulk = ret};
    *ret = (struct bulk){.arena = arena};
    if (!body.n)
        return err_set(ERR_INVALID, "the body is empty: pairs of an action and a record are "
                                    "expected, a line each");
    size_t lines = count_lines(body);
    if (lines > 2 * (size_t)BULK_ITEMS_MAX + 1)
        return err_set(ERR_LIMIT,
                       "the body has %zu lines, more than those of %d items: send less "
                       "at a time",
                       lines, BULK_ITEMS_MAX);
    ret->item = ARENA_TRY_ARRAY(arena, struct bulk_item, lines);
    if (!ret->item)
        return no_memory();
    TRY(read_items(&p, (uint32_t)lines));
    return order_items(&p);
}

void bulk_one(enum bulk_op op, struct str index, struct str id, struct str body,
              struct arena *arena, struct bulk *ret)
{
    struct bulk_item *item = ARENA_NEW(arena, struct bulk_item);
    *item = (struct bulk_item){.given = arena_str(arena, id), .source = body, .op = (uint8_t)op};
    item->id = item->given;
    struct str *stream = ARENA_NEW(arena, struct str);
    *stream = arena_str(arena, index);
    *ret = (struct bulk){.item = item,
                         .n = 1,
                         .stream = stream,
                         .n_streams = 1,
                         .arena = arena,
                         .order = ARENA_NEW(arena, uint32_t)};
}
