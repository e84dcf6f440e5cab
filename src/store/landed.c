/* Spans of positions behind a cursor. */
#include "store/landed.h"

#include "catalog/shared.h"
#include "core/mem.h"
#include "store/store.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

static uint64_t first_of(uint64_t node)
{
    return node << STORE_NODE_SHIFT;
}

static uint64_t below(uint64_t position)
{
    return position ? position - 1 : 0;
}

/* ---- cursors ---- */

void landed_cursor_release(struct landed_cursor *c)
{
    mem_free(c->seen);
    *c = (struct landed_cursor){0};
}

struct landed_seen *landed_cursor_at(struct landed_cursor *c, uint64_t node)
{
    size_t i = c->n;
    while (i && c->seen[i - 1].node > node)
        i--;
    if (i && c->seen[i - 1].node == node)
        return &c->seen[i - 1];
    ARRAY_GROW(c->seen, c->cap, c->n + 1);
    memmove(&c->seen[i + 1], &c->seen[i], (c->n - i) * sizeof(*c->seen));
    c->n++;
    c->seen[i] = (struct landed_seen){.node = node, .after = first_of(node)};
    return &c->seen[i];
}

static const struct landed_seen *find_seen(const struct landed_cursor *c, uint64_t node)
{
    for (size_t i = 0; c && i < c->n; i++)
        if (c->seen[i].node == node)
            return &c->seen[i];
    return NULL;
}

/* ids_node.after_node.after.published.life_... with positions from the node's first. */
void landed_cursor_write(const struct landed_cursor *c, struct buf *out)
{
    if (c->n == 1 && !c->seen->node) {
        buf_printf(out, "%" PRIu64, c->seen->after);
        return;
    }
    buf_printf(out, "%" PRIu64, c->ids);
    for (size_t i = 0; i < c->n; i++) {
        const struct landed_seen *e = &c->seen[i];
        uint64_t first = first_of(e->node);
        buf_printf(out, "_%" PRIu64 ".%" PRIu64, e->node, e->after - first);
        if (e->life)
            buf_printf(out, ".%" PRIu64 ".%" PRIu64, e->published - first, e->life);
    }
}

static bool read_seen(struct str s, struct landed_cursor *c)
{
    uint64_t part[4] = {0};
    struct str text;
    size_t n = 0;
    while (s.n && n < 4 && str_split(&s, '.', &text))
        if (!str_to_u64(text, &part[n++]))
            return false;
    bool fits = part[0] < CATALOG_NODES_MAX && part[1] < first_of(1) && part[2] <= part[1] + 1;
    if (s.n || (n != 2 && n != 4) || !fits)
        return false;
    if (c->n && c->seen[c->n - 1].node >= part[0])
        return false;
    uint64_t first = first_of(part[0]);
    *landed_cursor_at(c, part[0]) =
        (struct landed_seen){part[0], first + part[1], part[3] ? first + part[2] : 0, part[3]};
    return true;
}

bool landed_cursor_read(struct str s, struct landed_cursor *ret)
{
    struct landed_cursor c = {0};
    struct str text;
    bool first = true, good = s.n > 0 && s.p[s.n - 1] != '_',
         alone = str_find_byte(s, '_', 0) == s.n;
    while (good && s.n && str_split(&s, '_', &text)) {
        good = first ? str_to_u64(text, &c.ids) : read_seen(text, &c);
        first = false;
    }
    if (good && alone && c.ids) {
        landed_cursor_at(&c, 0)->after = c.ids;
        c.ids = 0;
    }
    if (good)
        *ret = c;
    else
        landed_cursor_release(&c);
    return good;
}

/* ---- the others ---- */

static int node_cmp(const void *a, const void *b)
{
    const struct landed_other *x = a, *y = b;
    return x->node < y->node ? -1 : x->node > y->node;
}

/* Of the name of a server's checkpoint (`consumer` of store.c). */
static bool node_of(const struct catalog_at *at, uint64_t *ret)
{
    struct str name = at->consumer;
    *ret = 0;
    if (at->partition != 0 || !str_starts(name, STR("store")))
        return false;
    name = str_from(name, 5);
    return !name.n || (name.p[0] == '/' && str_to_u64(str_from(name, 1), ret));
}

struct landed_others *landed_others_of(const struct catalog_state *state, uint64_t own)
{
    struct landed_others *o =
        mem_zalloc(sizeof(*o) + (state->n_at ? state->n_at : 1) * sizeof(o->node[0]));
    o->refs = 1;
    o->ids = state->n_segments ? state->segment[state->n_segments - 1] : 0;
    for (size_t i = 0; i < state->n_at; i++) {
        uint64_t node;
        if (!node_of(&state->at[i], &node) || node == own)
            continue;
        o->node[o->n++] = (struct landed_other){
            node, state->at[i].position, catalog_state_at(state, CATALOG_STARTS, (uint32_t)node)};
    }
    qsort(o->node, o->n, sizeof(o->node[0]), node_cmp);
    return o;
}

struct landed_others *landed_others_ref(struct landed_others *o)
{
    if (o)
        atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    return o;
}

void landed_others_unref(struct landed_others *o)
{
    if (o && atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) == 1)
        mem_free(o);
}

/* ---- spans ---- */

const struct landed_span *landed_span_of(const struct landed_span *s, size_t n, uint64_t position)
{
    size_t from = 0, to = n;
    uint64_t node = position >> STORE_NODE_SHIFT;
    while (from < to) {
        size_t middle = from + (to - from) / 2;
        if (s[middle].node < node)
            from = middle + 1;
        else
            to = middle;
    }
    return from < n && s[from].node == node && landed_span_holds(&s[from], position) ? &s[from]
                                                                                     : NULL;
}

bool landed_meets(const struct landed_span *s, size_t n, uint64_t min, uint64_t max)
{
    for (size_t i = 0; i < n; i++)
        if (max > s[i].after && min <= s[i].upto)
            return true;
    return false;
}

/* What is behind the cursor of one server, that shows all up to `upto`. */
static struct landed_span span_of(const struct landed_cursor *cursor, uint64_t node, uint64_t upto,
                                  uint64_t checkpoint, uint64_t life)
{
    const struct landed_seen *seen = find_seen(cursor, node);
    struct landed_span s = {.node = node, .after = seen ? seen->after : first_of(node)};
    bool same = seen && seen->life == life;
    if (seen && seen->life && !same)
        s.after = below(seen->published);
    s.upto = upto > s.after ? upto : s.after;
    if (s.upto >= checkpoint) { /* some of it is in no segment */
        s.life = upto >= s.after || same ? life : 0;
        s.published = checkpoint;
    }
    return s;
}

struct landed_span *landed_spans(const struct landed_own *own, const struct landed_others *others,
                                 const struct landed_cursor *cursor, struct arena *a, size_t *ret_n)
{
    size_t of = others ? others->n : 0, n = 0;
    bool placed = false;
    struct landed_span *s = ARENA_ARRAY(a, struct landed_span, of + 1);
    for (size_t i = 0; i <= of; i++) {
        if (!placed && (i == of || others->node[i].node > own->node)) {
            s[n++] = span_of(cursor, own->node, own->delivered, own->checkpoint, own->life);
            placed = true;
        }
        if (i < of) {
            const struct landed_other *o = &others->node[i];
            s[n++] = span_of(cursor, o->node, below(o->checkpoint), o->checkpoint, o->life);
        }
    }
    *ret_n = n;
    return s;
}

/* How many positions of (after, upto] are in [min, max]. */
static uint64_t overlap(const struct landed_span *s, uint64_t min, uint64_t max)
{
    uint64_t from = min > s->after + 1 ? min : s->after + 1, to = max < s->upto ? max : s->upto;
    return to >= from ? to - from + 1 : 0;
}

void landed_find(struct landed_span *s, size_t n, const struct manifest *m)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t last = s[i].published ? below(s[i].published) : s[i].upto, covered = 0;
        last = last < s[i].upto ? last : s[i].upto;
        for (size_t k = 0; last > s[i].after && k < m->n; k++)
            if (!m->segment[k]->level)
                covered += overlap(&s[i], m->segment[k]->position_min, m->segment[k]->position_max);
        s[i].merged = last > s[i].after && covered < last - s[i].after;
    }
}

bool landed_in_segment(const struct landed_span *s, size_t n, uint64_t ids,
                       const struct manifest_segment *e)
{
    for (size_t i = 0; i < n; i++)
        if (overlap(&s[i], e->position_min, e->position_max) &&
            (!e->level || (s[i].merged && e->id > ids)))
            return true;
    return false;
}
