/* Learning which columns texts refer to, and remembering it.
 *
 * A sample of texts is looked at, place by place, for values of other columns that stand there.
 * With a memory, a block begins with the counts of those before it, and only texts of kinds that
 * were looked at too few times are learnt from, of every eighth text; beside a glance at texts from
 * all over, by which a column is given up whose texts no longer refer to others. What is remembered
 * of kinds of texts that a block does not have does not count for it: the columns that it may refer
 * to are few. Every so often all is forgotten, and learnt anew. */
#include "core/mem.h"
#include "store/refs_places.h"

enum { GLANCE = 64, GLANCE_BEGUN = 16, HITS_MIN = 2, PLACES_MAX = 1 << 14, TABLE_FIRST = 1 << 11 };
enum { GAIN = 32, KIND_GAIN = 64 }; /* of the bytes, at least one in so many */
enum {
    ENOUGH = 100, /* texts of a kind */
    STRIDE = 8,
    BLOCKS_MAX = 64,
    IDLE_BLOCKS = 7, /* are not looked at behind one that was not worth it */
    NAMES_MAX = 8192,
    TEXTS_MAX = 4
};

/* ---- memory ---- */

/* What was looked at of texts that begin alike. */
struct kind {
    uint32_t texts, bytes, covered; /* by values of other columns */
};
/* Of one column. */
struct memory_text {
    struct ref_name name;
    struct refs_place *place; /* their columns are numbers of names + 1 */
    size_t n, cap;
    struct kind *kind;     /* HEADS of them; NULL: nothing is known */
    uint32_t blocks, idle; /* so many learnt from; so many not to be looked at */
};
struct refs_memory {
    struct ref_name *name;
    size_t n_names, names_cap;
    struct memory_text *text[TEXTS_MAX];
    uint32_t n_texts;
};

struct refs_memory *refs_memory_new(void)
{
    return NEW(struct refs_memory);
}

static void memory_clear(struct refs_memory *m)
{
    for (uint32_t i = 0; i < m->n_texts; i++) {
        mem_free((char *)m->text[i]->name.path.p);
        mem_free(m->text[i]->place);
        mem_free(m->text[i]->kind);
        mem_free(m->text[i]);
    }
    for (size_t i = 0; i < m->n_names; i++)
        mem_free((char *)m->name[i].path.p);
    m->n_texts = 0;
    m->n_names = 0;
}

void refs_memory_free(struct refs_memory *m)
{
    if (!m)
        return;
    memory_clear(m);
    mem_free(m->name);
    mem_free(m);
}

bool refs_memory_has(const struct refs_memory *m)
{
    return m->n_texts > 0;
}

static struct ref_name name_copy(const struct ref_name *n)
{
    return (struct ref_name){{mem_strdup(n->path), n->path.n}, n->occ, n->lane};
}

static bool name_eq(const struct ref_name *a, const struct ref_name *b)
{
    return a->occ == b->occ && a->lane == b->lane && str_eq(a->path, b->path);
}

/* What is known of the column, from now on; NULL: there are too many. */
static struct memory_text *memory_of(struct refs_memory *m, const struct ref_name *name)
{
    if (m->n_names == NAMES_MAX)
        memory_clear(m);
    for (uint32_t i = 0; i < m->n_texts; i++)
        if (name_eq(&m->text[i]->name, name))
            return m->text[i];
    if (m->n_texts == TEXTS_MAX)
        return NULL;
    struct memory_text *t = NEW(struct memory_text);
    t->name = name_copy(name);
    return m->text[m->n_texts++] = t;
}

static void forget(struct memory_text *t)
{
    mem_free(t->kind);
    t->kind = NULL;
    t->n = t->blocks = 0;
}

/* ---- learning ---- */

struct learner {
    struct refs *r;
    struct arena *a;
    struct memory_text *known; /* NULL: nothing is */
    bool begun;                /* with what is known */
    struct refs_table seen;    /* by place and column */
    uint16_t *name;            /* by column: the number of its name in the memory + 1, or 0 */
    uint64_t *heads;   /* the kinds of texts that the block has, as far as it was looked at */
    struct kind *kind; /* the memory, or those of this block alone */
    struct places *places;
};

static void table_init(struct refs_table *t, uint32_t slots, struct arena *a)
{
    *t = (struct refs_table){ARENA_ARRAY(a, struct refs_place, slots), slots - 1, 0};
}

static void table_grow(struct refs_table *t, struct arena *a)
{
    struct refs_table to;
    table_init(&to, (t->mask + 1) * 2, a);
    for (uint32_t i = 0; i <= t->mask; i++)
        if (t->slot[i].column)
            *place_at(&to, t->slot[i].key, t->slot[i].column) = t->slot[i];
    to.n = t->n;
    *t = to;
}

/* The place with that column, from now on; NULL: there are too many. */
static struct refs_place *seen_place(struct learner *l, uint64_t key, uint16_t column,
                                     uint16_t head)
{
    struct refs_place *p = place_at(&l->seen, key, column);
    if (p->column)
        return p;
    if (l->seen.n == PLACES_MAX)
        return NULL;
    if (l->seen.n == l->seen.mask / 2) {
        table_grow(&l->seen, l->a);
        p = place_at(&l->seen, key, column);
    }
    *p = (struct refs_place){key, 0, column, head};
    l->seen.n++;
    return p;
}

/* The values of one row by their first two bytes. */
struct row_values {
    uint16_t first[256], *next;
    struct str *text;
    struct ref_number *number;
};

static uint8_t start_of(const char *p)
{
    return (uint8_t)((uint8_t)p[0] * 31 + (uint8_t)p[1]);
}

static void row_values_of(const struct refs *r, uint32_t row, struct row_values *x)
{
    memset(x->first, 0, sizeof(x->first));
    for (uint32_t c = r->n; c-- > 0;) {
        if (!refs_value_of(&r->column[c], row, &x->number[c], &x->text[c]) ||
            x->text[c].n < VALUE_MIN || x->text[c].n > VALUE_MAX)
            continue;
        uint8_t h = start_of(x->text[c].p);
        x->next[c] = x->first[h];
        x->first[h] = (uint16_t)(c + 1);
    }
}

/* Returns how many bytes of the text are those of others, as far as is known by now. */
static uint64_t learn_places(struct learner *l, struct str s, uint64_t head,
                             const struct row_values *x)
{
    struct places *places = l->places;
    uint64_t key, covered = 0;
    places_begin(places, s, head);
    for (size_t done = 0; places_next(places, &key); places->at++) {
        size_t longest = 0;
        if (places->at + VALUE_MIN > s.n)
            break;
        for (uint16_t c = x->first[start_of(s.p + places->at)]; c; c = x->next[c - 1]) {
            if (!refs_stands(s, places->at, x->text[c - 1]))
                continue;
            struct refs_place *p =
                seen_place(l, key, c, (uint16_t)(places->at ? head % HEADS : NO_HEAD));
            if (p)
                p->hits++;
            longest = x->text[c - 1].n > longest ? x->text[c - 1].n : longest;
        }
        if (places->at >= done && longest) {
            covered += longest;
            done = places->at + longest;
        }
    }
    return covered;
}

static uint64_t learn_text(struct learner *l, uint32_t k, struct row_values *x)
{
    struct str s = values_text(&l->r->own->v, k);
    uint64_t head = places_head(s);
    bitmap_set(l->heads, head % HEADS);
    row_values_of(l->r, l->r->row[k], x);
    uint64_t covered = learn_places(l, s, head, x);
    struct kind *kind = &l->kind[head % HEADS];
    if (kind->bytes > INT32_MAX) {
        kind->bytes /= 2;
        kind->covered /= 2;
    }
    kind->texts++;
    kind->bytes += (uint32_t)s.n;
    kind->covered += (uint32_t)covered;
    return covered;
}

/* Texts of kinds of which too little is known. */
static void learn_unmet(struct learner *l, struct row_values *x)
{
    for (uint32_t k = 0; k < l->r->own->v.n; k += STRIDE) {
        uint64_t head = places_head(values_text(&l->r->own->v, k)) % HEADS;
        if (l->kind[head].texts < ENOUGH)
            learn_text(l, k, x);
        else
            bitmap_set(l->heads, (uint32_t)head);
    }
}

/* Whether it looks worth it; after a glance at texts from all over first. */
static bool learn(struct learner *l)
{
    const struct refs *r = l->r;
    uint32_t all = r->own->v.n;
    struct row_values x = {.next = ARENA_ARRAY(l->a, uint16_t, r->n),
                           .text = ARENA_ARRAY(l->a, struct str, r->n),
                           .number = ARENA_ARRAY(l->a, struct ref_number, r->n)};
    uint32_t glance = l->begun ? GLANCE_BEGUN : GLANCE;
    uint32_t n = all < r->sample ? all : r->sample, step = n / glance ? n / glance : 1;
    uint64_t bytes = 0, covered = 0;
    for (uint32_t done = 0, i = 0; done < n; done++, i += step) {
        if (i >= n) {
            i = i % step + 1;
            if (i == 1 && covered < bytes / GAIN / 2)
                return false;
            if (l->begun) {
                learn_unmet(l, &x);
                return true;
            }
        }
        uint32_t k = (uint32_t)((uint64_t)i * all / n);
        covered += learn_text(l, k, &x);
        bytes += values_text(&r->own->v, k).n;
    }
    return covered >= bytes / GAIN;
}

/* Whether the block has texts that begin so, as far as it was looked at. Where time is dear, more
 * than a few of their bytes are to be those of others, too: most places in the rest are chance, and
 * to ask long texts for them costs more than it gives. */
static bool is_worth(const struct learner *l, uint32_t head)
{
    const struct kind *k = &l->kind[head];
    if (head == NO_HEAD || !l->known)
        return true;
    return bitmap_get(l->heads, head) && k->covered >= k->bytes / KIND_GAIN;
}

/* Of each place the column that stood there most often; columns get their numbers. */
static void choose(const struct learner *l, struct arena *a)
{
    struct refs *r = l->r;
    uint8_t *of_column = ARENA_ARRAY(l->a, uint8_t, r->n);
    for (uint32_t i = 0; i <= l->seen.mask; i++) {
        const struct refs_place *p = &l->seen.slot[i];
        if (!p->column || p->hits < HITS_MIN || !is_worth(l, p->head))
            continue;
        struct refs_place *b = place_at(r->places, p->key, 0);
        if (!b->column || p->hits > b->hits || (p->hits == b->hits && p->column < b->column))
            *b = *p;
    }
    for (uint32_t i = 0; i <= r->places->mask; i++) {
        struct refs_place *b = &r->places->slot[i];
        if (!b->column)
            continue;
        uint8_t *number = &of_column[b->column - 1];
        if (!*number && r->n_used < REFS_MAX) {
            r->used[r->n_used++] = &r->column[b->column - 1];
            *number = (uint8_t)r->n_used;
        }
        b->column = *number ? *number : UINT16_MAX;
        bitmap_set(r->known, (uint32_t)place_hash(b->key, 0) % PLACES_KNOWN);
        bitmap_set(r->heads, b->head);
    }
}

/* ---- from block to block ---- */

static uint64_t name_hash(const struct ref_name *n)
{
    return hash64_seed(n->path, (uint64_t)n->occ << 8 | n->lane);
}

/* Gives the names in the memory to the columns of the block that have them. */
static void name_columns(struct learner *l, uint16_t *column_of_name)
{
    const struct refs *r = l->r;
    const struct refs_memory *m = r->memory;
    uint32_t slots = 64;
    while (slots < r->n * 2)
        slots *= 2;
    uint16_t *slot = ARENA_ARRAY(l->a, uint16_t, slots);
    for (uint32_t c = 0; c < r->n; c++) {
        uint32_t at = (uint32_t)name_hash(&r->column[c].name) & (slots - 1);
        while (slot[at])
            at = (at + 1) & (slots - 1);
        slot[at] = (uint16_t)(c + 1);
    }
    for (size_t i = 0; i < m->n_names; i++) {
        uint32_t at = (uint32_t)name_hash(&m->name[i]) & (slots - 1);
        while (slot[at] && !name_eq(&r->column[slot[at] - 1].name, &m->name[i]))
            at = (at + 1) & (slots - 1);
        if (slot[at])
            l->name[slot[at] - 1] = (uint16_t)(i + 1);
        column_of_name[i] = slot[at];
    }
}

/* Begins with what the memory knows of the block's columns; the rest stays there. */
static void recall(struct learner *l)
{
    const struct refs_memory *m = l->r->memory;
    struct memory_text *t = l->known;
    uint16_t *column = ARENA_ARRAY(l->a, uint16_t, m->n_names + 1);
    size_t kept = 0;
    l->name = ARENA_ARRAY(l->a, uint16_t, l->r->n);
    name_columns(l, column);
    for (size_t i = 0; i < t->n; i++) {
        const struct refs_place *p = &t->place[i];
        uint16_t c = column[p->column - 1];
        struct refs_place *to = c ? seen_place(l, p->key, c, p->head) : NULL;
        if (to)
            to->hits = p->hits;
        else
            t->place[kept++] = *p;
    }
    t->n = kept;
}

static void remember(struct learner *l)
{
    struct refs_memory *m = l->r->memory;
    struct memory_text *t = l->known;
    for (uint32_t i = 0; i <= l->seen.mask; i++) {
        struct refs_place p = l->seen.slot[i];
        if (!p.column)
            continue;
        uint16_t *name = &l->name[p.column - 1];
        if (!*name && m->n_names == NAMES_MAX)
            continue;
        if (!*name) {
            ARRAY_GROW(m->name, m->names_cap, m->n_names + 1);
            m->name[m->n_names++] = name_copy(&l->r->column[p.column - 1].name);
            *name = (uint16_t)m->n_names;
        }
        p.column = *name;
        ARRAY_GROW(t->place, t->cap, t->n + 1);
        t->place[t->n++] = p;
    }
    if (!t->kind) {
        t->kind = NEW_ARRAY(struct kind, HEADS);
        memcpy(t->kind, l->kind, HEADS * sizeof(*t->kind));
    }
    if (++t->blocks == BLOCKS_MAX || t->n > PLACES_MAX / 2)
        forget(t);
}

/* False where the column was worth nothing in one of the last blocks. */
static bool learner_init(struct learner *l, struct refs *r, struct arena *a)
{
    *l = (struct learner){.r = r, .a = a};
    if (r->memory)
        l->known = memory_of(r->memory, &r->own->name);
    if (l->known && l->known->idle) {
        l->known->idle--;
        return false;
    }
    table_init(&l->seen, TABLE_FIRST, a);
    l->heads = ARENA_ARRAY(a, uint64_t, bitmap_words(HEADS));
    l->begun = l->known && l->known->kind;
    l->kind = l->begun ? l->known->kind : ARENA_ARRAY(a, struct kind, HEADS);
    l->places = ARENA_NEW(a, struct places);
    if (l->known)
        recall(l);
    return true;
}

static void refs_init(struct refs *r, uint32_t slots, struct arena *a)
{
    r->places = ARENA_NEW(a, struct refs_table);
    table_init(r->places, slots, a);
    r->known = ARENA_ARRAY(a, uint64_t, bitmap_words(PLACES_KNOWN));
    r->heads = ARENA_ARRAY(a, uint64_t, bitmap_words(HEADS + 1));
    r->used = ARENA_ARRAY(a, const struct ref_column *, REFS_MAX);
    r->n_used = 0;
}

static bool all_are_one(const struct ref_column *c)
{
    uint32_t i = 1;
    while (i < c->v.n && str_eq(values_text(&c->v, i), values_text(&c->v, 0)))
        i++;
    return i == c->v.n;
}

bool refs_learn(struct refs *r, struct arena *a)
{
    struct learner l;
    if (!r->n || r->n >= UINT16_MAX || !refs_long_texts(r->own->v.n, r->own->bytes) ||
        all_are_one(r->own))
        return false;
    bool worth = learner_init(&l, r, a) && learn(&l);
    if (worth) {
        refs_init(r, l.seen.mask + 1, a);
        choose(&l, a);
        if (l.known)
            remember(&l);
    } else if (l.known && l.name) {
        forget(l.known);
        l.known->idle = IDLE_BLOCKS;
    }
    return worth && r->n_used;
}
