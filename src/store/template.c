/* Templates: finding the texts that share their static text.
 *
 * Three passes: every text gets its template; templates whose texts repeat as a whole are split
 * into patterns without holes; slots that never change are filled.
 *
 * Which texts are the same as one before the column may know (a frame holds those once). Else, as
 * texts come in sequences, a text is held first against the one behind that which the text
 * before it was equal to, and else against the last that was about as long and had the same first
 * and last bytes: equal texts share their variables. Then it is tried with the templates that came
 * last behind the one before it (template_like.c), and with those of the last texts that began as
 * it does but for digits. What none of them tells is cut, and looked up by its static text. What is
 * found so does not depend on which templates are tried: those of blocks before may be among them
 * (template_kept.h). */
#include "store/template.h"

#include "core/buf.h"
#include "core/hash.h"
#include "record/looks.h"
#include "store/hex_look.h"
#include "store/ints.h"
#include "store/learnt.h"
#include "store/template_kept.h"

enum { HEX_FROM = 8 };
enum { REPEATS_FROM = 16 };
enum { SAMPLE = 4096, SAMPLE_FROM = 256 };
enum { RECENT_MAX = 1 << 14, RARE_REPEATS = 256, RARE_LOOKS = 8 };

/* ---- grouping ---- */

struct found {
    struct met *met;
    uint32_t text; /* the first of it */
    uint32_t rows;
    uint32_t different; /* texts not known to be equal to one before */
    uint32_t n_vars;
    struct var_look *look;
};
struct finder {
    const struct values *v;
    struct templates_kept *kept;
    uint32_t share; /* templates_find's repeats */
    struct arena *a;
    struct template_var *var;
    int64_t *number;
    uint32_t n_vars, cap;
    uint32_t *first, *code;
    uint32_t *equal; /* of each text: one before it with the same bytes, or itself */
    /* Texts that are not said to be the same as one before: beside each other, for they are what
     * is looked at. */
    uint32_t n_new, *new_at; /* which texts; NULL: every one */
    struct str *new_text;
    uint32_t repeats; /* of those: one before has the same bytes */
    uint64_t *recent; /* those by their looks: some of those, and the number + 1 */
    uint32_t recent_mask;
    struct found *found;
    uint32_t n_found, found_cap;
    struct numeral_parts *parts; /* of the variables of the text at hand */
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
    size_t prefix = s.p[0] == '0' && s.p[1] == 'x' ? 2 : 0;
    unsigned look = hex_look(s.p + prefix, s.n - prefix);
    return look & HEX_LETTERS && !(look & HEX_OTHER) ? s.n : 0;
}

static struct str var_of(struct str s, const struct template_var *var)
{
    return str_of(s.p + var->from, var->to - var->from);
}

static void found_add(struct finder *f, struct met *x, uint32_t text)
{
    if (f->n_found == f->found_cap) {
        f->found_cap = f->found_cap ? f->found_cap * 4 : 512;
        f->found =
            grown(f->a, f->found, f->n_found * sizeof(*f->found), f->found_cap * sizeof(*f->found));
    }
    f->found[f->n_found] = (struct found){.met = x, .text = text, .n_vars = x->like.n};
    f->found[f->n_found].look = arena_alloc(f->a, x->like.n * sizeof(struct var_look) + 1);
    x->block = f->kept->block;
    x->number = f->n_found++;
}

/* ---- the variables of a text ---- */

static void room_for_vars(struct finder *f, uint32_t text)
{
    if (f->cap - f->n_vars >= TEMPLATE_VARS_MAX)
        return;
    uint64_t all = text ? (uint64_t)f->n_vars * f->v->n / text : 0, cap = f->cap * 2;
    if (text >= SAMPLE && cap < all + all / 4) /* as many as the texts so far let expect */
        cap = all + all / 4;
    cap += TEMPLATE_VARS_MAX;
    f->var = grown(f->a, f->var, f->n_vars * sizeof(*f->var), cap * sizeof(*f->var));
    f->number = grown(f->a, f->number, f->n_vars * sizeof(*f->number), cap * sizeof(*f->number));
    f->cap = (uint32_t)cap;
}

static bool same_var(struct str s, const struct template_var *x, struct str first,
                     const struct template_var *y)
{
    return str_eq(var_of(s, x), var_of(first, y));
}

/* Takes up the variables of a text, which stand at the end of f->var. */
static void look_at_vars(struct finder *f, const struct found *x, uint32_t text)
{
    struct str s = values_text(f->v, text), first = values_text(f->v, x->text);
    const struct template_var *var = f->var + f->n_vars, *was = f->var + f->first[x->text];
    int64_t *number = f->number + f->n_vars;
    for (uint32_t i = 0; i < x->n_vars; i++) {
        struct var_look *l = &x->look[i];
        const struct numeral_parts *p = &f->parts[i];
        number[i] = p->mantissa;
        if (text == x->text) {
            *l = (struct var_look){.same = true, .numeral = p->whole > 0};
            numeral_look_first(&l->number, p);
            continue;
        }
        if (l->same)
            l->same = same_var(s, &var[i], first, &was[i]);
        if (l->numeral)
            l->numeral = numeral_look_add(&l->number, p);
    }
}

static void parse_vars(struct finder *f, struct str s, const struct template_var *var, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (!numeral_parse(var_of(s, &var[i]), &f->parts[i]))
            f->parts[i] = (struct numeral_parts){0};
}

/* The template may be of a block before, of which a variable is no number though all of this block
 * are so far: those are read from now on. */
static void make_like(struct finder *f, struct met *x)
{
    met_make_like(x, f->kept->a);
    for (uint32_t i = 0; x->block == f->kept->block && x->like.var && i < x->like.n; i++)
        x->like.var[i].numeral |= f->found[x->number].look[i].numeral;
}

static bool is_like(struct finder *f, struct met *x, struct str s)
{
    if (!like_may_match(&x->like, s))
        return false;
    if (!x->has_like)
        make_like(f, x);
    return x->like.var && like_match(&x->like, s, f->var + f->n_vars, f->parts);
}

/* By the templates that came last behind the one before. */
static struct met *expected(struct finder *f, const struct met *before, struct str s)
{
    for (uint32_t k = 0; k < MET_FOLLOWERS && before->follower[k]; k++)
        if (is_like(f, before->follower[k], s))
            return before->follower[k];
    return NULL;
}

static bool was_tried(const struct met *before, const struct met *x)
{
    for (uint32_t k = 0; before && k < MET_FOLLOWERS; k++)
        if (before->follower[k] == x)
            return true;
    return false;
}

/* By the templates of texts that began as this one. */
static struct met *begun_alike(struct finder *f, const struct met *before, struct str s,
                               uint64_t begin, const struct begun *way)
{
    for (uint32_t k = 0; k < MET_WAYS && way[k].met; k++)
        if (way[k].hash == begin && !was_tried(before, way[k].met) && is_like(f, way[k].met, s))
            return way[k].met;
    return NULL;
}

static void note_begun(struct begun *way, uint64_t begin, struct met *x)
{
    if (way->met == x && way->hash == begin)
        return;
    memmove(way + 1, way, (MET_WAYS - 1) * sizeof(*way));
    *way = (struct begun){begin, x};
}

static void note_follower(struct met *before, struct met *x)
{
    if (before->follower[0] == x)
        return;
    memmove(before->follower + 1, before->follower, (MET_FOLLOWERS - 1) * sizeof(x));
    before->follower[0] = x;
}

static struct met *cut_and_find(struct finder *f, struct str s)
{
    struct template_var *var = f->var + f->n_vars;
    uint32_t n = template_vars(s, f->kept->cut, var);
    parse_vars(f, s, var, n);
    return templates_kept_find(f->kept, s, var, n);
}

/* As make_like(), where the first text of this block was told by one of a block before. */
static void parse_first(struct finder *f, struct met *x, struct str s)
{
    parse_vars(f, s, f->var + f->n_vars, x->like.n);
    for (uint32_t i = 0; i < x->like.n && x->like.var; i++)
        x->like.var[i].numeral |= f->parts[i].whole > 0;
}

static void cut_text(struct finder *f, uint32_t i)
{
    struct str s = values_text(f->v, i);
    struct met *before = i ? f->found[f->code[i - 1]].met : NULL;
    room_for_vars(f, i);
    f->equal[i] = i;
    struct met *x = before ? expected(f, before, s) : NULL;
    if (!x) {
        uint64_t begin = templates_begin(s);
        struct begun *way = templates_kept_begun(f->kept, begin);
        x = begun_alike(f, before, s, begin, way);
        if (!x)
            x = cut_and_find(f, s);
        note_begun(way, begin, x);
    }
    if (before)
        note_follower(before, x);
    if (x->block != f->kept->block) {
        parse_first(f, x, s);
        found_add(f, x, i);
    }
    f->first[i] = f->n_vars;
    f->code[i] = x->number;
    struct found *here = &f->found[x->number];
    here->different++;
    look_at_vars(f, here, i);
    f->n_vars += x->like.n;
}

/* ---- equal texts ---- */

static bool text_is(const struct values *v, uint32_t i, uint32_t k)
{
    return str_eq(values_text(v, i), values_text(v, k));
}

static void list_new(struct finder *f)
{
    const struct values *v = f->v;
    f->n_new = v->n;
    if (!v->same)
        return;
    f->n_new = 0;
    for (uint32_t i = 0; i < v->n; i++)
        f->n_new += v->same[i] == i;
    f->new_at = arena_alloc(f->a, f->n_new * sizeof(*f->new_at));
    f->new_text = arena_alloc(f->a, f->n_new * sizeof(*f->new_text));
    for (uint32_t i = 0, k = 0; i < v->n; i++) {
        if (v->same[i] != i)
            continue;
        f->new_text[k] = values_text(v, i);
        f->new_at[k++] = i;
    }
}

static uint32_t new_at(const struct finder *f, uint32_t k)
{
    return f->new_at ? f->new_at[k] : k;
}

static struct str new_text(const struct finder *f, uint32_t k)
{
    return f->new_at ? f->new_text[k] : values_text(f->v, k);
}

static bool new_is(const struct finder *f, uint32_t i, uint32_t k)
{
    return str_eq(new_text(f, i), new_text(f, k));
}

/* The last new text that looks like new text k, which takes its place; k where there is none. */
static uint32_t last_like(struct finder *f, uint32_t k)
{
    uint64_t looks = looks_of(new_text(f, k)), tag = looks & 0xffffffff00000000ULL;
    uint64_t *recent = &f->recent[looks & f->recent_mask], was = *recent;
    *recent = tag | (k + 1);
    return (uint32_t)was && (was & 0xffffffff00000000ULL) == tag ? (uint32_t)was - 1 : k;
}

/* Text i has the bytes of text `at`. */
static void take_up(struct finder *f, uint32_t i, uint32_t at)
{
    f->equal[i] = f->equal[at];
    f->code[i] = f->code[at];
    f->first[i] = f->first[at];
}

/* Of new text k; *next: where the one behind an equal one stands, or behind one in whose place text
 * k - 1 stands: a sequence that comes again mostly goes on behind a text that is another. */
static bool is_repeat(struct finder *f, uint32_t k, uint32_t *next)
{
    uint32_t at = *next;
    if (at == k || !new_is(f, k, at)) {
        *next = at + 1;
        if (f->repeats < k / RARE_REPEATS && k % RARE_LOOKS) /* hardly any text is one */
            return false;
        at = last_like(f, k);
        if (at == k || !new_is(f, k, at))
            return false;
    }
    f->repeats++;
    *next = at + 1;
    take_up(f, new_at(f, k), new_at(f, at));
    return true;
}

/* Of each template: in one pass at the end, for what is counted then stays in cache. */
static void count_rows(struct finder *f)
{
    uint32_t *rows = ARENA_ARRAY(f->a, uint32_t, f->n_found);
    for (uint32_t i = 0; i < f->v->n; i++)
        rows[f->code[i]]++;
    for (uint32_t t = 0; t < f->n_found; t++)
        f->found[t].rows = rows[t];
}

/* ---- texts that repeat as a whole ---- */

/* Most texts of the template are equal to one before them. */
static bool is_repeated(const struct finder *f, const struct found *x)
{
    return x->n_vars && x->rows >= REPEATS_FROM && x->different <= x->rows / f->share;
}

/* Numbers of texts, by their bytes. */
struct text_table {
    uint32_t *slot; /* text + 1 */
    uint32_t mask;
};

/* The first text of the table with the bytes of text i; i itself where there was none. */
static uint32_t text_find(const struct finder *f, struct text_table *t, uint32_t i)
{
    uint32_t at = (uint32_t)hash64(values_text(f->v, i)) & t->mask;
    while (t->slot[at] && !text_is(f->v, i, t->slot[at] - 1))
        at = (at + 1) & t->mask;
    if (!t->slot[at])
        t->slot[at] = i + 1;
    return t->slot[at] - 1;
}

/* Texts by number: those of t at [start[t], start[t + 1]). */
struct groups {
    uint32_t n;
    uint32_t *was; /* template of those found, or MANY where it is one text of a template */
    uint32_t *start, *text;
};
enum { MANY = UINT32_MAX };

/* Which templates repeat, and how many different texts those have at most. */
static uint32_t find_splits(const struct finder *f, bool *splits)
{
    uint32_t different = 0;
    for (uint32_t t = 0; t < f->n_found; t++) {
        splits[t] = is_repeated(f, &f->found[t]);
        different += splits[t] ? f->found[t].different : 0;
    }
    return different;
}

static struct text_table text_table_of(uint32_t texts, struct arena *a)
{
    uint32_t size = 64;
    while (size < texts * 2)
        size *= 2;
    return (struct text_table){ARENA_ARRAY(a, uint32_t, size), size - 1};
}

/* Numbers the templates in order of first appearance, each different text of those that repeat with
 * a number of its own. Equal texts have the same. */
static struct groups number_texts(struct finder *f)
{
    uint32_t n = f->v->n, *code = f->code;
    bool *splits = arena_alloc(f->a, f->n_found + 1);
    uint32_t different = find_splits(f, splits), most = f->n_found + different;
    struct text_table table = text_table_of(different, f->a);
    uint32_t *to = ARENA_ARRAY(f->a, uint32_t, f->n_found);
    struct groups g = {.was = arena_alloc(f->a, ((size_t)most + 1) * sizeof(uint32_t)),
                       .start = ARENA_ARRAY(f->a, uint32_t, (size_t)most + 2),
                       .text = arena_alloc(f->a, ((size_t)n + 1) * sizeof(uint32_t))};
    for (uint32_t i = 0; i < n; i++) {
        uint32_t t = code[i], first = f->equal[i];
        if (first == i && splits[t])
            first = text_find(f, &table, i);
        if (first != i) {
            code[i] = code[first];
        } else if (splits[t] || !to[t]) {
            g.was[g.n] = splits[t] ? MANY : t;
            to[t] = ++g.n;
            code[i] = g.n - 1;
        } else {
            code[i] = to[t] - 1;
        }
        g.start[code[i] + 2]++;
    }
    for (uint32_t t = 0; t < g.n; t++)
        g.start[t + 2] += g.start[t + 1];
    for (uint32_t i = 0; i < n; i++)
        g.text[g.start[code[i] + 1]++] = i;
    return g;
}

/* x is template `was` of those found, if that is not MANY. */
static void fill_slots(const struct finder *f, uint32_t was, struct text_template *x)
{
    if (was == MANY || f->found[was].n_vars == 0)
        return;
    uint32_t n = f->found[was].n_vars;
    x->slot = arena_alloc(f->a, (n + 1) * sizeof(*x->slot));
    x->look = f->found[was].look;
    for (uint32_t i = 0; i < n; i++)
        if (!x->look[i].same)
            x->slot[x->n_slots++] = i;
}

/* ---- all of it ---- */

static bool too_different(const struct finder *f, uint32_t texts)
{
    return texts >= SAMPLE_FROM && f->n_found > texts / 2;
}

/* What was kept of the column, or nothing yet. */
static struct templates_kept *begin_kept(const struct values *v, struct learnt_column *learnt,
                                         enum template_cut cut, struct arena *a)
{
    struct templates_kept *k = learnt ? learnt->templates : NULL;
    unsigned bits = ints_width(v->n / MET_WAYS);
    bits = bits < MET_BEGIN_BITS ? bits + 1 : MET_BEGIN_BITS;
    if (k && (k->cut != cut || k->begin_bits < bits)) {
        learnt_forget(learnt);
        k = NULL;
    }
    if (!k) {
        struct arena *to = learnt ? &learnt->a : a;
        k = ARENA_NEW(to, struct templates_kept);
        templates_kept_init(k, cut, bits, learnt, to);
        if (learnt)
            learnt->templates = k;
    }
    templates_kept_begin(k, a);
    return k;
}

static bool none_found(struct learnt_column *learnt)
{
    if (learnt)
        learnt_forget(learnt);
    return false;
}

bool templates_find(const struct values *v, enum template_cut cut, uint32_t repeats,
                    struct learnt_column *learnt, struct arena *a, struct templates *ret)
{
    struct finder f = {.v = v, .share = repeats, .a = a};
    f.kept = begin_kept(v, learnt, cut, a);
    f.first = arena_alloc(a, (size_t)v->n * sizeof(uint32_t));
    f.code = arena_alloc(a, (size_t)v->n * sizeof(uint32_t));
    f.equal = arena_alloc(a, (size_t)v->n * sizeof(uint32_t));
    f.recent_mask = (v->n < RECENT_MAX / 4 ? 64u << ints_width(v->n / 16) : RECENT_MAX) - 1;
    f.recent = ARENA_ARRAY(a, uint64_t, (size_t)f.recent_mask + 1);
    f.parts = arena_alloc(a, TEMPLATE_VARS_MAX * sizeof(*f.parts));
    list_new(&f);
    for (uint32_t k = 0, next = 0; k < f.n_new; k++) {
        uint32_t i = new_at(&f, k), end = k + 1 < f.n_new ? new_at(&f, k + 1) : v->n;
        if (!is_repeat(&f, k, &next))
            cut_text(&f, i);
        while (++i < end)
            take_up(&f, i, v->same[i]);
        if (k % SAMPLE == SAMPLE - 1 && too_different(&f, i))
            return none_found(learnt);
    }
    if (too_different(&f, v->n))
        return none_found(learnt);
    count_rows(&f);
    struct groups g = number_texts(&f);
    *ret = (struct templates){.v = v,
                              .n = g.n,
                              .t = ARENA_ARRAY(a, struct text_template, g.n),
                              .code = f.code,
                              .equal = f.equal,
                              .first = f.first,
                              .var = f.var,
                              .number = f.number};
    for (uint32_t t = 0; t < g.n; t++) {
        ret->t[t].rows = g.start[t + 1] - g.start[t];
        ret->t[t].row = g.text + g.start[t];
        fill_slots(&f, g.was[t], &ret->t[t]);
    }
    return true;
}

void templates_pattern(const struct templates *t, uint32_t number, struct buf *out)
{
    const struct text_template *x = &t->t[number];
    struct str s = values_text(t->v, x->row[0]);
    if (x->n_slots == 0) {
        for (const char *hole; (hole = memchr(s.p, TEMPLATE_HOLE, s.n)) != NULL;) {
            size_t n = (size_t)(hole - s.p) + 1;
            buf_put_str(out, str_of(s.p, n));
            buf_put_byte(out, TEMPLATE_HOLE);
            s = str_from(s, n);
        }
        buf_put_str(out, s);
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
