/* Templates: finding the texts that share their static text.
 *
 * Three passes: every text is cut and looked up by its static text; templates whose texts repeat as
 * a whole are split into patterns without holes; slots that never change are filled. */
#include "store/template.h"

#include "core/buf.h"
#include "core/hash.h"

enum { HEX_FROM = 8, COPY_BYTES = 16, MARK_BYTES = 5 };
/* A text repeats as a whole where a template has this many texts for each different one. */
enum { REPEATS = 8, REPEATS_FROM = 16 };
enum { SAMPLE = 4096, SAMPLE_FROM = 256 };

/* ---- grouping ---- */

struct found {
    uint64_t hash;
    struct str frame;
    uint32_t text; /* the first of it */
    uint32_t rows;
    uint32_t n_vars;
};
struct finder {
    const struct values *v;
    enum template_cut cut;
    struct arena *a;
    struct template_var *var;
    uint32_t n_vars, cap;
    uint32_t *first, *code;
    struct found *found;
    uint32_t n_found, found_cap;
    uint32_t *slot; /* of the table: number of a template + 1, or 0 */
    uint32_t mask;
    char *frame; /* of the text at hand */
    size_t frame_cap;
};

static void *grown(struct arena *a, void *old, size_t used, size_t size)
{
    void *p = arena_alloc(a, size);
    if (used)
        memcpy(p, old, used);
    return p;
}

size_t template_hex_length(struct str s)
{
    if (s.n < HEX_FROM)
        return 0;
    size_t letters = 0;
    for (size_t i = s.p[0] == '0' && s.p[1] == 'x' ? 2 : 0; i < s.n; i++) {
        char c = (char)(s.p[i] | 0x20);
        if (s.p[i] >= '0' && s.p[i] <= '9')
            continue;
        if (c < 'a' || c > 'f')
            return 0;
        letters++;
    }
    return letters ? s.n : 0;
}

static struct str var_of(struct str s, const struct template_var *var)
{
    return str_of(s.p + var->from, var->to - var->from);
}

/* Up to 16 bytes at once where the text has so many; `to` has room for them. */
static void copy_piece(char *to, struct str s, size_t at, size_t n)
{
    if (n <= COPY_BYTES && at + COPY_BYTES <= s.n)
        memcpy(to, s.p + at, COPY_BYTES);
    else
        memcpy(to, s.p + at, n);
}

/* A text without its variables: of each stays a mark and, where it is a hexadecimal number, the
 * length of that. Texts of one template have the same frame, others another: the mark does not
 * stand in a text with variables. */
static struct str frame_of(struct finder *f, struct str s, const struct template_var *var,
                           uint32_t n)
{
    size_t most = s.n + (size_t)n * MARK_BYTES + COPY_BYTES, at = 0;
    if (n == 0)
        return s;
    if (most > f->frame_cap) {
        f->frame_cap = most * 2;
        f->frame = arena_alloc(f->a, f->frame_cap);
    }
    char *to = f->frame;
    for (uint32_t i = 0; i < n; i++) {
        size_t piece = var[i].from - at;
        uint32_t hex = (uint32_t)template_hex_length(var_of(s, &var[i]));
        copy_piece(to, s, at, piece);
        to += piece;
        *to = TEMPLATE_HOLE;
        memcpy(to + 1, &hex, sizeof(hex));
        to += MARK_BYTES;
        at = var[i].to;
    }
    copy_piece(to, s, at, s.n - at);
    return str_of(f->frame, (size_t)(to - f->frame) + s.n - at);
}

static void table_put(struct finder *f, uint32_t number)
{
    uint32_t at = (uint32_t)f->found[number].hash & f->mask;
    while (f->slot[at])
        at = (at + 1) & f->mask;
    f->slot[at] = number + 1;
}

static void table_grow(struct finder *f)
{
    uint32_t size = f->found_cap ? f->found_cap * 4 : 1024;
    f->found = grown(f->a, f->found, f->n_found * sizeof(*f->found), size / 2 * sizeof(*f->found));
    f->found_cap = size / 2;
    f->slot = ARENA_ARRAY(f->a, uint32_t, size);
    f->mask = size - 1;
    for (uint32_t i = 0; i < f->n_found; i++)
        table_put(f, i);
}

static uint32_t table_find(struct finder *f, uint32_t text, const struct template_var *var,
                           uint32_t n)
{
    struct str frame = frame_of(f, values_text(f->v, text), var, n);
    uint64_t h = hash64(frame);
    for (uint32_t at = (uint32_t)h & f->mask; f->slot[at]; at = (at + 1) & f->mask) {
        const struct found *x = &f->found[f->slot[at] - 1];
        if (x->hash == h && x->n_vars == n && str_eq(x->frame, frame))
            return f->slot[at] - 1;
    }
    if (f->n_found == f->found_cap)
        table_grow(f);
    f->found[f->n_found] = (struct found){h, n ? arena_str(f->a, frame) : frame, text, 0, n};
    table_put(f, f->n_found);
    return f->n_found++;
}

static void cut_text(struct finder *f, uint32_t i)
{
    struct str s = values_text(f->v, i);
    if (f->cap - f->n_vars < TEMPLATE_VARS_MAX) {
        uint32_t cap = f->cap * 2 + TEMPLATE_VARS_MAX;
        f->var = grown(f->a, f->var, f->n_vars * sizeof(*f->var), cap * sizeof(*f->var));
        f->cap = cap;
    }
    struct template_var *var = f->var + f->n_vars;
    uint32_t n = template_vars(s, f->cut, var);
    f->first[i] = f->n_vars;
    f->n_vars += n;
    f->first[i + 1] = f->n_vars;
    f->code[i] = table_find(f, i, var, n);
    f->found[f->code[i]].rows++;
}

/* ---- grouped texts ---- */

/* Texts by template: those of template t at [start[t], start[t + 1]). */
struct groups {
    uint32_t *start, *text;
};

static struct groups group(const uint32_t *code, uint32_t n, uint32_t n_codes, struct arena *a)
{
    struct groups g = {ARENA_ARRAY(a, uint32_t, n_codes + 2), arena_alloc(a, (n + 1) * 4)};
    for (uint32_t i = 0; i < n; i++)
        g.start[code[i] + 2]++;
    for (uint32_t t = 0; t < n_codes; t++)
        g.start[t + 2] += g.start[t + 1];
    for (uint32_t i = 0; i < n; i++)
        g.text[g.start[code[i] + 1]++] = i;
    return g;
}

/* Gives each different text of a template its own code, counted from *next, where few are
 * different. */
static void split_repeats(struct finder *f, const uint32_t *text, uint32_t n, uint32_t *table,
                          uint32_t *next)
{
    uint32_t max = n / REPEATS, size = 64, different = 0;
    while (size < max * 2)
        size *= 2;
    memset(table, 0, size * sizeof(*table));
    uint32_t *mine = arena_alloc(f->a, n * sizeof(*mine));
    for (uint32_t i = 0; i < n; i++) {
        struct str s = values_text(f->v, text[i]);
        uint32_t at = (uint32_t)hash64(s) & (size - 1);
        while (table[at] && !str_eq(s, values_text(f->v, text[table[at] - 1])))
            at = (at + 1) & (size - 1);
        if (!table[at]) {
            table[at] = i + 1;
            mine[i] = different++;
            if (different > max)
                return;
        } else {
            mine[i] = mine[table[at] - 1];
        }
    }
    for (uint32_t i = 0; i < n; i++)
        f->code[text[i]] = *next + mine[i];
    *next += different;
}

static uint32_t split_all(struct finder *f)
{
    struct groups g = group(f->code, f->v->n, f->n_found, f->a);
    uint32_t next = f->n_found;
    uint32_t *table = arena_alloc(f->a, ((size_t)f->v->n + 64) * sizeof(*table));
    for (uint32_t t = 0; t < f->n_found; t++) {
        uint32_t n = g.start[t + 1] - g.start[t], text = g.text[g.start[t]];
        if (n >= REPEATS_FROM && f->first[text + 1] > f->first[text])
            split_repeats(f, g.text + g.start[t], n, table, &next);
    }
    return next;
}

/* Numbers in order of first appearance; returns how many are in use. */
static uint32_t renumber(uint32_t *code, uint32_t n, uint32_t n_codes, struct arena *a)
{
    uint32_t *to = ARENA_ARRAY(a, uint32_t, n_codes), used = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (!to[code[i]])
            to[code[i]] = ++used;
        code[i] = to[code[i]] - 1;
    }
    return used;
}

static bool always_same(const struct templates *t, const struct text_template *x, uint32_t var)
{
    struct str first = templates_var(t, x->row[0], var);
    for (uint32_t i = x->rows - 1; i > 0; i--)
        if (!str_eq(first, templates_var(t, x->row[i], var)))
            return false;
    return true;
}

static void fill_slots(const struct templates *t, struct text_template *x, struct arena *a)
{
    uint32_t n = t->first[x->row[0] + 1] - t->first[x->row[0]];
    uint32_t *slot = arena_alloc(a, (n + 1) * sizeof(*slot));
    for (uint32_t i = 0; i < n; i++)
        if (!always_same(t, x, i))
            slot[x->n_slots++] = i;
    x->slot = slot;
}

/* ---- all of it ---- */

static bool too_different(const struct finder *f, uint32_t texts)
{
    return texts >= SAMPLE_FROM && f->n_found > texts / 2;
}

bool templates_find(const struct values *v, enum template_cut cut, struct arena *a,
                    struct templates *ret)
{
    struct finder f = {.v = v, .cut = cut, .a = a};
    f.first = arena_alloc(a, ((size_t)v->n + 1) * sizeof(uint32_t));
    f.code = arena_alloc(a, (size_t)v->n * sizeof(uint32_t));
    table_grow(&f);
    f.first[0] = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        cut_text(&f, i);
        if (i % SAMPLE == SAMPLE - 1 && too_different(&f, i + 1))
            return false;
    }
    if (too_different(&f, v->n))
        return false;
    uint32_t n = renumber(f.code, v->n, split_all(&f), a);
    struct groups g = group(f.code, v->n, n, a);
    *ret =
        (struct templates){v, n, ARENA_ARRAY(a, struct text_template, n), f.code, f.first, f.var};
    for (uint32_t t = 0; t < n; t++) {
        ret->t[t].rows = g.start[t + 1] - g.start[t];
        ret->t[t].row = g.text + g.start[t];
        fill_slots(ret, &ret->t[t], a);
    }
    return true;
}

void templates_pattern(const struct templates *t, uint32_t number, struct buf *out)
{
    const struct text_template *x = &t->t[number];
    struct str s = values_text(t->v, x->row[0]);
    if (x->n_slots == 0) {
        for (size_t i = 0; i < s.n; i++) {
            buf_put_byte(out, s.p[i]);
            if (s.p[i] == TEMPLATE_HOLE)
                buf_put_byte(out, s.p[i]);
        }
        return;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < x->n_slots; i++) {
        const struct template_var *var = &t->var[t->first[x->row[0]] + x->slot[i]];
        buf_put_str(out, str_of(s.p + at, var->from - at));
        buf_put_byte(out, TEMPLATE_HOLE);
        at = var->to;
    }
    buf_put_str(out, str_from(s, at));
}
