/* A line of those that were shown, in order of their positions; sorted keys of those that come
 * again. */
#include "query/again.h"

#include "core/hash.h"
#include "core/mem.h"

#include <stdlib.h>
#include <string.h>

void again_release(struct again *a)
{
    mem_free(a->line);
    mem_free(a->due);
    *a = (struct again){0};
}

uint64_t again_key(struct str text, struct str id)
{
    uint64_t key = 0;
    const char *at;
    while (id.n && (at = memmem(text.p, text.n, id.p, id.n))) {
        size_t n = (size_t)(at - text.p);
        key = hash64_seed(str_of(text.p, n), key);
        text = str_from(text, n + id.n);
    }
    return hash64_seed(text, key);
}

void again_shown(struct again *a, uint64_t position, uint64_t key)
{
    if (a->n - a->first == AGAIN_MAX)
        a->first++;
    if (a->first > a->n / 2) {
        a->n -= a->first;
        memmove(a->line, a->line + a->first, a->n * sizeof(*a->line));
        a->first = 0;
    }
    ARRAY_GROW(a->line, a->cap, a->n + 1);
    a->line[a->n++] = (struct again_line){position, key};
}

void again_published(struct again *a, uint64_t below)
{
    while (a->first < a->n && a->line[a->first].position < below)
        a->first++;
}

static int key_cmp(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

void again_forgotten(struct again *a, uint64_t from, uint64_t upto)
{
    uint64_t *due = NEW_ARRAY(uint64_t, a->n_due + (a->n - a->first) + 1);
    size_t n = a->n_due;
    if (n)
        memcpy(due, a->due, n * sizeof(*due));
    for (size_t i = a->first; i < a->n; i++)
        if (a->line[i].position >= from && a->line[i].position <= upto)
            due[n++] = a->line[i].key;
    if (n > AGAIN_MAX)
        n = AGAIN_MAX;
    if (n)
        qsort(due, n, sizeof(*due), key_cmp);
    mem_free(a->due);
    a->due = due;
    a->n_due = n;
    again_published(a, upto + 1);
}

bool again_came(struct again *a, uint64_t key)
{
    const uint64_t *at =
        a->n_due ? bsearch(&key, a->due, a->n_due, sizeof(*a->due), key_cmp) : NULL;
    if (!at)
        return false;
    size_t i = (size_t)(at - a->due);
    memmove(a->due + i, a->due + i + 1, (--a->n_due - i) * sizeof(*a->due));
    return true;
}
