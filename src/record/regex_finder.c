/* From the tree to the automaton, by Glushkov's way: each set of bytes of the tree, repeats written
 * out, is a position; `follow` says which positions may be read behind which. A state is the set of
 * positions read last, always with a new match begun; reading one at which a match may end is a
 * hit. Bytes that no set tells apart are one class, so that a state is a short row of a table.
 *
 * What would be too large is made simpler, each time finding more: large counts become "so many or
 * more", then the end of the pattern is left out.
 *
 * The search: one byte is two dependent loads, which leaves the processor idle; so four strands
 * walk through different rows of the column at once, each state's load overlapping the others'. A
 * strand reads through the borders of values, which costs a wrong candidate now and then and no
 * test a byte. After a hit it goes on with the next value. */
#include "record/regex_finder.h"

#include "core/err.h"
#include "core/hash.h"

#define POSITIONS_MAX 256
#define WORDS (POSITIONS_MAX / 64)
#define STATES_MAX 1024
#define TABLE_MAX 0x8000 /* entries; a state is the place of its row */
#define HIT 0x8000
#define STRANDS 4
#define SLICE_BYTES_MIN 2048
#define SLICES 256

struct regex_finder {
    const uint16_t *next;
    uint8_t class_of[256];
};

typedef uint64_t positions[WORDS];

/* ---- positions ---- */

struct maker {
    struct arena *a;
    uint32_t count_max; /* larger counts become this many or more */
    uint32_t n;
    bool overflow;
    const uint64_t *set[POSITIONS_MAX]; /* the bytes of a position */
    positions follow[POSITIONS_MAX];
};

/* A part of the pattern: where it begins and ends, and whether it may be empty. */
struct part {
    bool empty;
    positions first, last;
};

static bool has(const positions p, uint32_t i)
{
    return p[i >> 6] >> (i & 63) & 1;
}

static void join(positions to, const positions from)
{
    for (int w = 0; w < WORDS; w++)
        to[w] |= from[w];
}

/* `to` may be read behind `from`. */
static void link_parts(struct maker *m, const positions from, const positions to)
{
    for (uint32_t i = 0; i < m->n; i++) {
        if (has(from, i))
            join(m->follow[i], to);
    }
}

static void append(struct maker *m, struct part *to, const struct part *behind)
{
    link_parts(m, to->last, behind->first);
    if (to->empty)
        join(to->first, behind->first);
    if (!behind->empty)
        memset(to->last, 0, sizeof(to->last));
    join(to->last, behind->last);
    to->empty &= behind->empty;
}

static struct part make_part(struct maker *m, const struct regex_tree *t);

static struct part make_set(struct maker *m, const struct regex_tree *t)
{
    struct part p = {0};
    if (m->n == POSITIONS_MAX) {
        m->overflow = true;
        return p;
    }
    m->set[m->n] = t->set;
    memset(m->follow[m->n], 0, sizeof(positions));
    p.first[m->n >> 6] |= 1ULL << (m->n & 63);
    memcpy(p.last, p.first, sizeof(p.last));
    m->n++;
    return p;
}

static struct part make_repeat(struct maker *m, const struct regex_tree *t)
{
    struct part all = {.empty = true}, one;
    bool endless = t->max > m->count_max;
    uint32_t min = t->min < m->count_max ? t->min : m->count_max;
    uint32_t copies = endless ? (min ? min : 1) : t->max;
    for (uint32_t i = 0; i < copies && !m->overflow; i++) {
        uint32_t before = m->n;
        one = make_part(m, t->first);
        if (m->n == before) /* nothing to read, however often */
            break;
        one.empty |= i >= min;
        if (endless && i == copies - 1)
            link_parts(m, one.last, one.first);
        append(m, &all, &one);
    }
    return all;
}

static struct part make_part(struct maker *m, const struct regex_tree *t)
{
    struct part all = {.empty = t->kind == TREE_ALL};
    if (m->overflow)
        return all;
    if (t->kind == TREE_SET)
        return make_set(m, t);
    if (t->kind == TREE_REPEAT)
        return make_repeat(m, t);
    for (const struct regex_tree *sub = t->first; sub; sub = sub->next) {
        struct part one = make_part(m, sub);
        if (t->kind == TREE_ALL) {
            append(m, &all, &one);
            continue;
        }
        all.empty |= one.empty;
        join(all.first, one.first);
        join(all.last, one.last);
    }
    return all;
}

/* ---- states ---- */

struct table {
    const struct maker *m;
    const struct part *whole;
    uint32_t n_classes, n_states;
    positions class_has[256]; /* the positions whose set has the class's bytes */
    positions state[STATES_MAX];
    uint16_t slot[STATES_MAX * 2]; /* open addressing: state + 1, 0: free */
    uint16_t *next;
};

static void find_classes(struct table *t, uint8_t class_of[256])
{
    for (uint32_t byte = 0; byte < 256; byte++) {
        positions in = {0};
        uint32_t c = 0;
        for (uint32_t i = 0; i < t->m->n; i++) {
            if (regex_set_has(t->m->set[i], (uint8_t)byte))
                in[i >> 6] |= 1ULL << (i & 63);
        }
        while (c < t->n_classes && memcmp(t->class_has[c], in, sizeof(in)) != 0)
            c++;
        if (c == t->n_classes)
            memcpy(t->class_has[t->n_classes++], in, sizeof(in));
        class_of[byte] = (uint8_t)c;
    }
}

/* The state of these positions, made if it is new; UINT32_MAX: there is no room. */
static uint32_t state_of(struct table *t, const positions p)
{
    uint32_t mask = STATES_MAX * 2 - 1;
    uint32_t at = (uint32_t)hash64(str_of((const char *)p, sizeof(positions))) & mask;
    for (; t->slot[at]; at = (at + 1) & mask) {
        if (memcmp(t->state[t->slot[at] - 1], p, sizeof(positions)) == 0)
            return t->slot[at] - 1U;
    }
    if (t->n_states == STATES_MAX || (t->n_states + 1) * t->n_classes > TABLE_MAX)
        return UINT32_MAX;
    memcpy(t->state[t->n_states], p, sizeof(positions));
    t->slot[at] = (uint16_t)++t->n_states;
    return t->n_states - 1;
}

static bool fill_row(struct table *t, uint32_t state)
{
    positions behind;
    memcpy(behind, t->whole->first, sizeof(behind));
    for (uint32_t i = 0; i < t->m->n; i++) {
        if (has(t->state[state], i))
            join(behind, t->m->follow[i]);
    }
    for (uint32_t c = 0; c < t->n_classes; c++) {
        positions to;
        uint64_t ends = 0;
        for (int w = 0; w < WORDS; w++) {
            to[w] = behind[w] & t->class_has[c][w];
            ends |= to[w] & t->whole->last[w];
        }
        uint32_t next = ends ? 0 : state_of(t, to);
        if (next == UINT32_MAX)
            return false;
        t->next[state * t->n_classes + c] = ends ? HIT : (uint16_t)(next * t->n_classes);
    }
    return true;
}

static bool fill_table(struct table *t)
{
    static const positions none;
    (void)state_of(t, none); /* state 0: nothing begun */
    for (uint32_t i = 0; i < t->n_states; i++) {
        if (!fill_row(t, i))
            return false;
    }
    return true;
}

/* ---- a finder ---- */

struct work {
    struct maker maker;
    struct table table;
    uint16_t next[TABLE_MAX];
};

static bool try_make(struct work *work, struct arena *a, const struct regex_tree *tree,
                     uint32_t count_max, struct regex_finder *ret)
{
    struct maker *m = &work->maker;
    struct table *t = &work->table;
    m->n = 0;
    m->overflow = false;
    m->count_max = count_max;
    struct part whole = make_part(m, tree);
    if (m->overflow || whole.empty)
        return false;
    memset(t, 0, sizeof(*t));
    t->m = m;
    t->whole = &whole;
    t->next = work->next;
    find_classes(t, ret->class_of);
    if (!fill_table(t))
        return false;
    size_t bytes = sizeof(uint16_t) * t->n_states * t->n_classes;
    uint16_t *next = arena_alloc(a, bytes);
    memcpy(next, work->next, bytes);
    ret->next = next;
    return true;
}

/* The first n members of an ALL. */
static struct regex_tree beginning(struct arena *a, const struct regex_tree *tree, uint32_t n)
{
    struct regex_tree some = {.kind = TREE_ALL};
    const struct regex_tree **link = &some.first;
    for (const struct regex_tree *sub = tree->first; sub && n; sub = sub->next, n--) {
        struct regex_tree *member = ARENA_NEW(a, struct regex_tree);
        *member = *sub;
        member->next = NULL;
        *link = member;
        link = &member->next;
    }
    return some;
}

const struct regex_finder *regex_finder(struct arena *a, const struct regex_tree *tree)
{
    static const uint32_t counts[] = {POSITIONS_MAX, 8, 1};
    struct arena scratch;
    struct regex_finder made, *f = NULL;
    if (!tree)
        return NULL;
    arena_init(&scratch, 0, NULL);
    struct work *work = arena_alloc(&scratch, sizeof(*work));
    bool is = false;
    for (size_t i = 0; !is && i < sizeof(counts) / sizeof(counts[0]); i++)
        is = try_make(work, a, tree, counts[i], &made);
    uint32_t n = 0;
    if (tree->kind == TREE_ALL)
        for (const struct regex_tree *sub = tree->first; sub; sub = sub->next)
            n++;
    while (!is && (n /= 2) > 0) {
        struct regex_tree some = beginning(&scratch, tree, n);
        is = try_make(work, a, &some, 1, &made);
    }
    if (is) {
        f = ARENA_NEW(a, struct regex_finder);
        *f = made;
    }
    arena_release(&scratch);
    return f;
}

/* ---- the search ---- */

struct strand {
    const uint8_t *p, *end; /* bytes left of its rows */
    uint32_t row, row_end, state;
};

struct search {
    const struct regex_finder *f;
    const struct values *v;
    uint32_t row, row_end; /* those that no strand has */
    size_t slice;
    struct strand strand[STRANDS];
};

static const uint8_t *row_bytes(const struct search *s, uint32_t row)
{
    return (const uint8_t *)s->v->bytes + s->v->off[row];
}

/* Gives a strand the next rows; false: there are none. */
static bool take_rows(struct search *s, struct strand *l)
{
    uint32_t low = s->row + 1, high = s->row_end;
    if (s->row >= s->row_end)
        return false;
    while (low < high) { /* the first row that is a slice away */
        uint32_t mid = low + (high - low) / 2;
        if (s->v->off[mid] - s->v->off[s->row] < s->slice)
            low = mid + 1;
        else
            high = mid;
    }
    *l = (struct strand){row_bytes(s, s->row), row_bytes(s, low), s->row, low, 0};
    s->row = low;
    return true;
}

static bool next_bytes(struct search *s, struct strand *l)
{
    while (l->p == l->end) {
        if (!take_rows(s, l))
            return false;
    }
    return true;
}

/* The strand has a hit at the byte before p: its row is a candidate; on with the row behind. */
static bool report(struct search *s, struct strand *l, regex_found *found, void *ctx)
{
    while (row_bytes(s, l->row + 1) < l->p)
        l->row++;
    uint32_t row = l->row++;
    l->p = row_bytes(s, l->row);
    l->state = 0;
    return found(ctx, row);
}

/* Reads as far as all four strands have bytes, or to the first hit. */
static size_t read_strands(const struct regex_finder *f, struct strand *l, size_t n)
{
    const uint16_t *next = f->next;
    const uint8_t *class_of = f->class_of;
    const uint8_t *p0 = l[0].p, *p1 = l[1].p, *p2 = l[2].p, *p3 = l[3].p;
    uint32_t s0 = l[0].state, s1 = l[1].state, s2 = l[2].state, s3 = l[3].state;
    size_t i = 0;
    while (i < n) {
        s0 = next[s0 + class_of[p0[i]]];
        s1 = next[s1 + class_of[p1[i]]];
        s2 = next[s2 + class_of[p2[i]]];
        s3 = next[s3 + class_of[p3[i]]];
        i++;
        if ((s0 | s1 | s2 | s3) & HIT)
            break;
    }
    l[0].state = s0;
    l[1].state = s1;
    l[2].state = s2;
    l[3].state = s3;
    for (int k = 0; k < STRANDS; k++)
        l[k].p += i;
    return i;
}

/* One strand to the end of its rows. */
static bool finish_strand(struct search *s, struct strand *l, regex_found *found, void *ctx)
{
    while (l->p < l->end) {
        l->state = s->f->next[l->state + s->f->class_of[*l->p++]];
        if ((l->state & HIT) && !report(s, l, found, ctx))
            return false;
    }
    return true;
}

void regex_finder_run(const struct regex_finder *f, const struct values *v, uint32_t from,
                      uint32_t to, regex_found *found, void *ctx)
{
    struct search s = {.f = f, .v = v, .row = from, .row_end = to};
    if (v->off[from] == v->off[to])
        return;
    s.slice = (v->off[to] - v->off[from]) / SLICES;
    s.slice = s.slice > SLICE_BYTES_MIN ? s.slice : SLICE_BYTES_MIN;
    for (;;) {
        size_t n = SIZE_MAX;
        for (int k = 0; k < STRANDS; k++) {
            if (!next_bytes(&s, &s.strand[k]))
                n = 0;
            size_t left = (size_t)(s.strand[k].end - s.strand[k].p);
            n = left < n ? left : n;
        }
        if (n == 0)
            break;
        read_strands(f, s.strand, n);
        for (int k = 0; k < STRANDS; k++) {
            if ((s.strand[k].state & HIT) && !report(&s, &s.strand[k], found, ctx))
                return;
        }
    }
    for (int k = 0; k < STRANDS; k++) {
        if (!finish_strand(&s, &s.strand[k], found, ctx))
            return;
    }
}
