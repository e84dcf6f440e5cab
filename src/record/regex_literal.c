/* Literals: the longest run of bytes that every match holds one behind the other; and where
 * alternatives hold other ones, the longest of each. */
#include "core/buf.h"
#include "record/regex_tree.h"

#define LITERAL_REPEATS_MAX 64

/* The run of bytes being read, and the longest so far. */
struct runs {
    bool fold; /* letters in both cases are part of a run */
    bool run_folded, best_folded;
    struct buf run, best;
};

static void end_run(struct runs *r)
{
    if (r->run.n > r->best.n) {
        buf_clear(&r->best);
        buf_put_str(&r->best, buf_str(&r->run));
        r->best_folded = r->run_folded;
    }
    buf_clear(&r->run);
    r->run_folded = false;
}

static int bytes_of(const struct regex_tree *t)
{
    int n = 0;
    for (int w = 0; t->kind == TREE_SET && w < 4; w++)
        n += __builtin_popcountll(t->set[w]);
    return n;
}

/* The largest byte of a set; of a letter in both cases the lower one. */
static uint8_t last_byte(const struct regex_tree *t)
{
    int w = 3;
    while (!t->set[w])
        w--;
    return (uint8_t)(w * 64 + 63 - __builtin_clzll(t->set[w]));
}

static bool is_letter(const struct regex_tree *t)
{
    uint8_t c = bytes_of(t) == 2 ? last_byte(t) : 0;
    return c >= 'a' && c <= 'z' && regex_set_has(t->set, c - 32);
}

static void add_set(struct runs *r, const struct regex_tree *t)
{
    bool letter = r->fold && is_letter(t);
    if (bytes_of(t) != 1 && !letter) {
        end_run(r);
        return;
    }
    r->run_folded |= letter;
    buf_put_byte(&r->run, (char)last_byte(t));
}

static void find_runs(struct runs *r, const struct regex_tree *t)
{
    switch (t->kind) {
    case TREE_SET:
        add_set(r, t);
        break;
    case TREE_ALL:
        for (const struct regex_tree *part = t->first; part; part = part->next)
            find_runs(r, part);
        break;
    case TREE_ANY:
        end_run(r);
        break;
    case TREE_REPEAT:
        for (uint32_t i = 0; i < t->min && i < LITERAL_REPEATS_MAX; i++) {
            find_runs(r, t->first);
            if (t->first->kind != TREE_SET)
                break;
        }
        if (t->min != t->max || t->min > 1)
            end_run(r);
        break;
    }
}

static struct regex_literal longest(struct arena *a, const struct regex_tree *t, bool fold)
{
    struct runs r = {.fold = fold};
    struct regex_literal literal = {0};
    buf_init(&r.run, SIZE_MAX);
    buf_init(&r.best, SIZE_MAX);
    find_runs(&r, t);
    end_run(&r);
    for (size_t i = 0; r.best_folded && i < r.best.n; i++) {
        if (r.best.p[i] >= 'A' && r.best.p[i] <= 'Z')
            r.best.p[i] |= 0x20;
    }
    if (r.best.n)
        literal = (struct regex_literal){arena_str(a, buf_str(&r.best)), r.best_folded};
    buf_release(&r.run);
    buf_release(&r.best);
    return literal;
}

struct str regex_tree_literal(struct arena *a, const struct regex_tree *t)
{
    return t ? longest(a, t, false).text : (struct str){0};
}

/* ---- sets ---- */

struct set {
    uint32_t n; /* 0: none found */
    struct regex_literal literal[REGEX_LITERALS_MAX];
};

static size_t shortest(const struct set *s)
{
    size_t least = s->n ? SIZE_MAX : 0;
    for (uint32_t i = 0; i < s->n; i++)
        least = s->literal[i].text.n < least ? s->literal[i].text.n : least;
    return least;
}

static void offer(struct set *best, const struct set *s)
{
    size_t have = shortest(best), length = shortest(s);
    if (length > have || (length == have && s->n < best->n))
        *best = *s;
}

static void find_sets(struct arena *a, const struct regex_tree *t, struct set *best);

static struct set best_set(struct arena *a, const struct regex_tree *t)
{
    struct set best = {.literal[0] = longest(a, t, true)};
    best.n = best.literal[0].text.n > 0;
    find_sets(a, t, &best);
    return best;
}

/* One set for each place with alternatives: the best of each of them. */
static void find_sets(struct arena *a, const struct regex_tree *t, struct set *best)
{
    struct set all = {0};
    if (t->kind == TREE_SET || (t->kind == TREE_REPEAT && t->min == 0))
        return;
    for (const struct regex_tree *sub = t->first; sub; sub = sub->next) {
        if (t->kind != TREE_ANY) {
            find_sets(a, sub, best);
            continue;
        }
        struct set one = best_set(a, sub);
        if (one.n == 0 || all.n + one.n > REGEX_LITERALS_MAX)
            return;
        memcpy(all.literal + all.n, one.literal, one.n * sizeof(*one.literal));
        all.n += one.n;
    }
    offer(best, &all);
}

uint32_t regex_tree_literals(struct arena *a, const struct regex_tree *t,
                             struct regex_literal ret[REGEX_LITERALS_MAX])
{
    if (!t)
        return 0;
    struct set best = best_set(a, t);
    memcpy(ret, best.literal, best.n * sizeof(*ret));
    return best.n;
}
