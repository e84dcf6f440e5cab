/* The trie of tokens.
 *
 * Four arrays that only grow at their end: nodes (places in the tree of keys), columns (node, lane,
 * occurrence), steps (a token behind a prefix of tokens), shapes (a step where records end). Three
 * chained hash tables find items by (parent node, key), (node, lane, occurrence) and (parent step,
 * node, kind). A node or column is put at the head of its chain, also when a table is made anew,
 * which goes over the items in order: so the newest are always heads, and cutting the arrays back
 * from their end unlinks them in one move each.
 *
 * Of steps the table holds only those that have siblings. Most are the only child of their parent,
 * which knows it; records of ever new shapes (keys in no fixed order) make thousands of such.
 *
 * Occurrences. The occurrence of a leaf is the smallest that makes its column new on the way from
 * the root. To tell, the columns of the way carry a mark; it is set on the first new step of a
 * record (every step behind a new one is new too), so a record costs one walk back at most. The
 * chain of a column's occurrences keeps where its marked part ends, so that a key repeated n times
 * costs n, not n squared.
 *
 * Bounds: what may be known from before (once the limits), what a batch uses (once more; names are
 * keys and paths, so twice) and one record twice as large as allowed: it can still be looked
 * through for its time before it becomes one leaf. */
#include "record/shapes.h"

#include "core/hash.h"
#include "core/mem.h"
#include "record/batch.h"

enum { TABLE_FIRST = 64 };

static const char *const id_names[] = {"_id", "log_id", NULL};

static void table_make(struct shapes_table *t, uint32_t buckets)
{
    t->bucket = mem_realloc(t->bucket, buckets * sizeof(*t->bucket));
    t->mask = buckets - 1;
    memset(t->bucket, 0xff, buckets * sizeof(*t->bucket));
}

static struct shapes_link *link_at(void *items, size_t size, uint32_t i)
{
    return (struct shapes_link *)((char *)items + size * i);
}

/* Item n (with its hash set) becomes the head of its chain; items 0..n-1 are in the table. */
static void table_add(struct shapes_table *t, void *items, size_t size, uint32_t n)
{
    if (n > t->mask) {
        table_make(t, (t->mask + 1) * 2);
        for (uint32_t i = 0; i < n; i++) {
            struct shapes_link *link = link_at(items, size, i);
            link->next = t->bucket[link->hash & t->mask];
            t->bucket[link->hash & t->mask] = i;
        }
    }
    struct shapes_link *link = link_at(items, size, n);
    link->next = t->bucket[link->hash & t->mask];
    t->bucket[link->hash & t->mask] = n;
}

static void table_cut(struct shapes_table *t, void *items, size_t size, uint32_t from, uint32_t to)
{
    while (from > to) {
        const struct shapes_link *link = link_at(items, size, --from);
        CHECK(t->bucket[link->hash & t->mask] == from);
        t->bucket[link->hash & t->mask] = link->next;
    }
}

static uint32_t hash3(uint32_t a, uint32_t b, uint32_t c)
{
    return (uint32_t)hash_mix(((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15ULL + c);
}

void shapes_clear(struct shapes *s)
{
    table_make(&s->steps, TABLE_FIRST);
    table_make(&s->nodes, TABLE_FIRST);
    table_make(&s->columns, TABLE_FIRST);
    s->n_steps = s->n_nodes = s->n_columns = s->n_shapes = s->n_tokens = s->n_linked = 0;
    s->names_n = 0;
    s->marked = 0;
    ARRAY_GROW(s->node, s->nodes_cap, 1);
    s->node[0] = (struct shapes_node){.parent = SHAPES_NONE};
    table_add(&s->nodes, s->node, sizeof(*s->node), s->n_nodes++);
    ARRAY_GROW(s->step, s->steps_cap, SHAPES_ROOT + 1);
    ARRAY_GROW(s->way, s->ways_cap, SHAPES_ROOT + 1);
    for (; s->n_steps <= SHAPES_ROOT; s->n_steps++) {
        s->step[s->n_steps] = (struct shapes_step){.kind = STEP_NONE};
        s->way[s->n_steps] = (struct shapes_way){.shape = SHAPES_NONE};
    }
}

void shapes_init(struct shapes *s)
{
    *s = (struct shapes){0};
    shapes_clear(s);
}

void shapes_release(struct shapes *s)
{
    mem_free(s->step);
    mem_free(s->way);
    mem_free(s->node);
    mem_free(s->column);
    mem_free(s->shape);
    mem_free(s->token);
    mem_free(s->names);
    mem_free(s->steps.bucket);
    mem_free(s->nodes.bucket);
    mem_free(s->columns.bucket);
    *s = (struct shapes){0};
}

static uint8_t name_rank(const char *const *names, struct str path)
{
    for (uint8_t i = 0; names[i]; i++)
        if (path_has_name(path, str_c(names[i])))
            return i;
    return UINT8_MAX;
}

static bool names_add(struct shapes *s, struct str bytes, uint32_t *ret_off)
{
    if (bytes.n > 6 * (size_t)PATH_BYTES_MAX - s->names_n)
        return false;
    ARRAY_GROW(s->names, s->names_cap, s->names_n + bytes.n + 1); /* never NULL, for empty keys */
    if (bytes.n)
        memcpy(s->names + s->names_n, bytes.p, bytes.n);
    *ret_off = (uint32_t)s->names_n;
    s->names_n += bytes.n;
    return true;
}

/* Writes the path of a leaf's node, once. */
static bool node_path(struct shapes *s, uint32_t node)
{
    if (node == 0 || s->node[node].path_n)
        return true;
    uint32_t way[NESTING_MAX + 1], n = 0;
    size_t max = 0;
    for (uint32_t i = node; i != 0; i = s->node[i].parent) {
        way[n++] = i;
        max += 2 * (size_t)s->node[i].key_n + 3;
    }
    struct buf path;
    buf_init(&path, max);
    while (n-- > 0)
        path_push(&path, str_of(s->names + s->node[way[n]].key_off, s->node[way[n]].key_n));
    uint32_t off;
    bool ok = names_add(s, buf_str(&path), &off);
    if (ok) {
        s->node[node].path_off = off;
        s->node[node].path_n = (uint32_t)path.n;
    }
    buf_release(&path);
    return ok;
}

/* The node of a key in an object, or SHAPES_NONE. */
static uint32_t node_of(struct shapes *s, uint32_t parent, struct str key)
{
    uint32_t hash = (uint32_t)hash64_seed(key, parent);
    for (uint32_t i = s->nodes.bucket[hash & s->nodes.mask]; i != SHAPES_NONE;
         i = s->node[i].link.next) {
        const struct shapes_node *n = &s->node[i];
        if (n->link.hash == hash && n->parent == parent &&
            str_eq(str_of(s->names + n->key_off, n->key_n), key))
            return i;
    }
    struct shapes_node n = {
        .link.hash = hash, .parent = parent, .depth = s->node[parent].depth + 1};
    if (n.depth > NESTING_MAX || !names_add(s, key, &n.key_off))
        return SHAPES_NONE;
    n.key_n = (uint32_t)key.n;
    ARRAY_GROW(s->node, s->nodes_cap, s->n_nodes + 1);
    s->node[s->n_nodes] = n;
    table_add(&s->nodes, s->node, sizeof(*s->node), s->n_nodes);
    return s->n_nodes++;
}

static uint32_t column_find(const struct shapes *s, uint32_t hash, uint32_t node, unsigned lane,
                            uint32_t occ)
{
    for (uint32_t i = s->columns.bucket[hash & s->columns.mask]; i != SHAPES_NONE;
         i = s->column[i].link.next) {
        const struct shapes_column *c = &s->column[i];
        if (c->node == node && c->lane == lane && c->occ == occ)
            return i;
    }
    return SHAPES_NONE;
}

static uint32_t column_add(struct shapes *s, uint32_t node, unsigned lane, uint32_t occ)
{
    if (s->n_columns >= 4 * PATHS_MAX || !node_path(s, node))
        return SHAPES_NONE;
    ARRAY_GROW(s->column, s->columns_cap, s->n_columns + 1);
    const struct shapes_node *n = &s->node[node];
    struct str path = {s->names + n->path_off, n->path_n};
    s->column[s->n_columns] = (struct shapes_column){
        .link.hash = hash3(node, lane, occ),
        .node = node,
        .occ = (uint16_t)occ,
        .lane = (uint8_t)lane,
        .time_rank = name_rank(time_names, path),
        .id_rank = name_rank(id_names, path),
        .mark = 0,
        .next_occ = SHAPES_NONE,
        .name_hash = path_name_hash(path),
    };
    table_add(&s->columns, s->column, sizeof(*s->column), s->n_columns);
    return s->n_columns++;
}

/* Marks the columns on the way to a step. */
static void mark_way(struct shapes *s, uint32_t step)
{
    if (s->marked == step)
        return;
    s->mark++;
    s->marked = step;
    for (; step != SHAPES_ROOT; step = s->way[step].parent)
        if (s->step[step].kind < LANE_COUNT)
            s->column[s->step[step].column].mark = s->mark;
}

/* The column of the next occurrence of a leaf behind `from`, or SHAPES_NONE. */
static uint32_t column_behind(struct shapes *s, uint32_t from, uint32_t node, unsigned lane)
{
    mark_way(s, from);
    uint32_t first = column_find(s, hash3(node, lane, 0), node, lane, 0);
    if (first == SHAPES_NONE)
        return column_add(s, node, lane, 0);
    if (s->column[first].mark != s->mark)
        return first;
    uint32_t at = s->column[first].last_mark == s->mark ? s->column[first].last_occ : first;
    uint32_t next = s->column[at].next_occ;
    while (next != SHAPES_NONE && s->column[next].mark == s->mark) {
        at = next;
        next = s->column[at].next_occ;
    }
    s->column[first].last_occ = at;
    s->column[first].last_mark = s->mark;
    if (next == SHAPES_NONE && s->column[at].occ < UINT16_MAX) {
        next = column_add(s, node, lane, s->column[at].occ + 1u);
        s->column[at].next_occ = next;
    }
    return next;
}

static uint32_t step_hash(const struct shapes *s, uint32_t i)
{
    return hash3(s->way[i].parent, s->way[i].name_node, s->step[i].kind);
}

static void step_link(struct shapes *s, uint32_t i)
{
    struct shapes_way *w = &s->way[i];
    w->link.hash = step_hash(s, i);
    w->link.next = s->steps.bucket[w->link.hash & s->steps.mask];
    s->steps.bucket[w->link.hash & s->steps.mask] = i;
    s->n_linked++;
}

static void step_unlink(struct shapes *s, uint32_t i)
{
    uint32_t *at = &s->steps.bucket[s->way[i].link.hash & s->steps.mask];
    while (*at != i)
        at = &s->way[*at].link.next;
    *at = s->way[i].link.next;
    s->n_linked--;
}

/* A child beside others: they all are in the table from now on. */
static void add_sibling(struct shapes *s, uint32_t from, uint32_t i)
{
    if (s->n_linked + 2 > s->steps.mask) {
        table_make(&s->steps, (s->steps.mask + 1) * 2);
        s->n_linked = 0;
        for (uint32_t k = SHAPES_ROOT + 1; k < i; k++)
            if (s->way[s->way[k].parent].many)
                step_link(s, k);
    }
    if (!s->way[from].many)
        step_link(s, s->step[from].hot);
    s->way[from].many = true;
    step_link(s, i);
}

static uint32_t step_find(const struct shapes *s, uint32_t from, uint32_t node, unsigned kind)
{
    uint32_t i = s->step[from].hot;
    if (s->way[from].many)
        i = s->steps.bucket[hash3(from, node, kind) & s->steps.mask];
    for (; i != SHAPES_NONE && i; i = s->way[i].link.next) {
        const struct shapes_way *p = &s->way[i];
        if (p->parent == from && p->name_node == node && s->step[i].kind == kind)
            return i;
        if (!s->way[from].many)
            break;
    }
    return 0;
}

static uint32_t step_make(struct shapes *s, uint32_t from, uint32_t node, unsigned kind)
{
    struct shapes_step step = {.kind = kind};
    struct shapes_way way = {
        .name_node = node,
        .node = kind == STEP_OPEN    ? node
                : kind == STEP_CLOSE ? s->node[node].parent
                                     : s->way[from].node,
        .parent = from,
        .shape = SHAPES_NONE,
        .tokens = s->way[from].tokens + 1,
    };
    if (kind < LANE_COUNT) {
        uint32_t column = column_behind(s, from, node, kind);
        if (column == SHAPES_NONE)
            return 0;
        step.column = column & 0xffffff;
    }
    if (kind != STEP_CLOSE) {
        step.key_off = s->node[node].key_off;
        step.key_n = s->node[node].key_n;
    }
    ARRAY_GROW(s->step, s->steps_cap, s->n_steps + 1);
    ARRAY_GROW(s->way, s->ways_cap, s->n_steps + 1);
    uint32_t made = s->n_steps++;
    s->step[made] = step;
    s->way[made] = way;
    if (s->step[from].hot || s->way[from].many)
        add_sibling(s, from, made);
    if (kind < LANE_COUNT) {
        s->column[step.column].mark = s->mark;
        s->marked = made;
    } else if (s->marked == from) {
        s->marked = made;
    }
    return made;
}

/* `node`: the leaf's or the object's own; for STEP_CLOSE that of the object it closes. */
static uint32_t step_to(struct shapes *s, uint32_t from, uint32_t node, unsigned kind)
{
    uint32_t to = step_find(s, from, node, kind);
    if (!to && s->way[from].tokens < SHAPE_TOKENS_MAX && s->n_steps < 4 * TOKENS_MAX)
        to = step_make(s, from, node, kind);
    if (to)
        s->step[from].hot = to;
    return to;
}

uint32_t shapes_next(struct shapes *s, uint32_t from, struct str key, unsigned kind)
{
    uint32_t node = s->way[from].node;
    if (kind == STEP_CLOSE) {
        CHECK(node != 0 && s->step[from].kind != STEP_OPEN);
    } else {
        node = node_of(s, node, key);
        if (node == SHAPES_NONE)
            return 0;
    }
    return step_to(s, from, node, kind);
}

uint32_t shapes_whole(struct shapes *s)
{
    return step_to(s, SHAPES_ROOT, 0, LANE_JSON);
}

static bool may_hold_time(unsigned lane)
{
    return lane == LANE_STR || lane_is_number(lane);
}

/* Keeps the candidates in order of their rank; among equals the first in the record comes first.
 * The walk goes from the last leaf to the first. */
static void time_candidate(struct shapes *s, struct shapes_shape *shape, uint32_t column)
{
    uint8_t rank = s->column[column].time_rank;
    uint32_t at = 0;
    while (at < shape->n_time && s->column[shape->time_column[at]].time_rank < rank)
        at++;
    if (at == SHAPES_CANDIDATES)
        return;
    if (shape->n_time < SHAPES_CANDIDATES)
        shape->n_time++;
    for (uint32_t i = shape->n_time - 1; i > at; i--)
        shape->time_column[i] = shape->time_column[i - 1];
    shape->time_column[at] = column;
}

uint32_t shapes_at(struct shapes *s, uint32_t step)
{
    if (s->way[step].shape != SHAPES_NONE)
        return s->way[step].shape;
    struct shapes_shape shape = {.step = step, .token = s->n_tokens, .id_column = SHAPES_NONE};
    uint8_t id_rank = UINT8_MAX;
    /* Never NULL, for a record without leaves. */
    ARRAY_GROW(s->token, s->tokens_cap, s->n_tokens + s->way[step].tokens + 1);
    s->n_tokens += s->way[step].tokens;
    uint32_t *token = s->token + s->n_tokens;
    for (uint32_t i = step; i != SHAPES_ROOT; i = s->way[i].parent) {
        unsigned kind = s->step[i].kind;
        *--token = kind == STEP_OPEN    ? SHAPE_OPEN
                   : kind == STEP_CLOSE ? SHAPE_CLOSE
                                        : (uint32_t)s->step[i].column;
        if (kind >= LANE_COUNT)
            continue;
        const struct shapes_column *c = &s->column[*token];
        if (c->time_rank != UINT8_MAX && may_hold_time(c->lane))
            time_candidate(s, &shape, *token);
        if (c->id_rank != UINT8_MAX && c->id_rank <= id_rank &&
            (c->lane == LANE_STR || c->lane == LANE_NUM || c->lane == LANE_INT)) {
            id_rank = c->id_rank;
            shape.id_column = *token;
        }
    }
    ARRAY_GROW(s->shape, s->shapes_cap, s->n_shapes + 1);
    s->shape[s->n_shapes] = shape;
    return s->way[step].shape = s->n_shapes++;
}

void shapes_cut(struct shapes *s, const struct shapes_mark *to)
{
    for (uint32_t i = to->n_shapes; i < s->n_shapes; i++)
        s->way[s->shape[i].step].shape = SHAPES_NONE;
    for (uint32_t i = to->n_steps; i < s->n_steps; i++) {
        uint32_t parent = s->way[i].parent;
        if (s->step[parent].hot == i)
            s->step[parent].hot = 0;
        if (s->way[parent].many)
            step_unlink(s, i);
    }
    for (uint32_t i = to->n_columns; i < s->n_columns; i++) {
        const struct shapes_column *c = &s->column[i];
        if (s->node[c->node].path_off >= to->names_n)
            s->node[c->node].path_n = 0;
        if (c->occ == 0)
            continue;
        uint32_t before =
            column_find(s, hash3(c->node, c->lane, c->occ - 1u), c->node, c->lane, c->occ - 1u);
        if (before != SHAPES_NONE)
            s->column[before].next_occ = SHAPES_NONE;
    }
    table_cut(&s->nodes, s->node, sizeof(*s->node), s->n_nodes, to->n_nodes);
    table_cut(&s->columns, s->column, sizeof(*s->column), s->n_columns, to->n_columns);
    s->n_steps = to->n_steps;
    s->n_nodes = to->n_nodes;
    s->n_columns = to->n_columns;
    s->n_shapes = to->n_shapes;
    s->n_tokens = to->n_tokens;
    s->names_n = to->names_n;
    s->marked = 0;
}
