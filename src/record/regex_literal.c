/* The literal: the longest run of single bytes that every match holds one behind the other. */
#include "core/buf.h"
#include "record/regex_tree.h"

#define LITERAL_REPEATS_MAX 64

/* The run of bytes being read, and the longest so far. */
struct runs {
    struct buf run, best;
};

static void end_run(struct runs *r)
{
    if (r->run.n > r->best.n) {
        buf_clear(&r->best);
        buf_put_str(&r->best, buf_str(&r->run));
    }
    buf_clear(&r->run);
}

/* The only byte of a set, or -1. */
static int only_byte(const struct regex_tree *t)
{
    int n = 0, byte = -1;
    for (int w = 0; t->kind == TREE_SET && w < 4; w++) {
        n += __builtin_popcountll(t->set[w]);
        if (t->set[w])
            byte = w * 64 + __builtin_ctzll(t->set[w]);
    }
    return n == 1 ? byte : -1;
}

static void find_runs(struct runs *r, const struct regex_tree *t)
{
    int byte = only_byte(t);
    switch (t->kind) {
    case TREE_SET:
        if (byte >= 0)
            buf_put_byte(&r->run, (char)byte);
        else
            end_run(r);
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
            if (only_byte(t->first) < 0)
                break;
        }
        if (t->min != t->max || t->min > 1)
            end_run(r);
        break;
    }
}

struct str regex_tree_literal(struct arena *a, const struct regex_tree *t)
{
    struct runs r = {0};
    if (!t)
        return (struct str){0};
    buf_init(&r.run, SIZE_MAX);
    buf_init(&r.best, SIZE_MAX);
    find_runs(&r, t);
    end_run(&r);
    struct str literal = r.best.n ? arena_str(a, buf_str(&r.best)) : (struct str){0};
    buf_release(&r.run);
    buf_release(&r.best);
    return literal;
}
