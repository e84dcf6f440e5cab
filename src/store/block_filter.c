/* Token filters: which words a text column of a block holds, as a binary fuse filter (fuse.c) over
 * hash64 of each folded word (record/words.h).
 *
 * A filter costs about 9 bits a distinct word. Where that is more than a quarter of the column's
 * own bytes it is not made: reading the column is then hardly dearer. Words are gathered in a hash
 * set that stops at the bound, so a column of ever new words costs a bounded effort. */
#include "core/hash.h"
#include "record/words.h"
#include "store/block_dir.h"
#include "store/fuse.h"
#include "store/parts_seen.h"

enum { SET_FIRST = 1024, PARTS = 1024 };

/* How many words a filter of so many bytes holds. */
static uint32_t words_max(size_t bytes)
{
    uint64_t keys = (uint64_t)bytes * 8 / 9;
    return keys > UINT32_MAX / 8 ? UINT32_MAX / 8 : (uint32_t)keys;
}

struct word_set {
    uint64_t *slot; /* 0: free; the hash 0 is remembered aside */
    uint32_t size, n, max;
    bool zero, over;
    struct arena *a;
};

static void set_insert(struct word_set *s, uint64_t h)
{
    uint32_t at = (uint32_t)h & (s->size - 1);
    while (s->slot[at] && s->slot[at] != h)
        at = (at + 1) & (s->size - 1);
    s->n += s->slot[at] == 0;
    s->slot[at] = h;
}

static void set_grow(struct word_set *s)
{
    struct word_set bigger = {.size = s->size ? s->size * 2 : SET_FIRST, .a = s->a};
    bigger.slot = ARENA_ARRAY(s->a, uint64_t, bigger.size);
    for (uint32_t i = 0; i < s->size; i++)
        if (s->slot[i])
            set_insert(&bigger, s->slot[i]);
    s->slot = bigger.slot;
    s->size = bigger.size;
}

void word_set_add(void *set, uint64_t hash)
{
    struct word_set *s = set;
    if (hash == 0) {
        s->zero = true;
        return;
    }
    if (s->n > s->max) {
        s->over = true;
        return;
    }
    if (s->n >= s->size / 2)
        set_grow(s);
    set_insert(s, hash);
}

/* Words of values that hardly repeat: gathered without asking whether they do. */
struct word_list {
    uint64_t *key;
    uint32_t n, max;
};

static void list_word(void *ctx, uint64_t h)
{
    struct word_list *l = ctx;
    if (l->n < l->max)
        l->key[l->n] = h;
    l->n += l->n <= l->max;
}

static enum err build_unique(const struct values *v, uint32_t max, struct arena *scratch,
                             struct buf *out)
{
    struct word_list l = {.max = max};
    if (v->n > max) /* a word each, at least */
        return OK;
    l.key = arena_alloc(scratch, ((size_t)max + 1) * sizeof(*l.key));
    for (uint32_t i = 0; i < v->n && l.n <= max; i++)
        words_hashes(values_text(v, i), list_word, &l);
    return l.n <= max ? fuse_build(l.key, l.n, scratch, out) : OK;
}

static uint32_t set_keys(const struct word_set *s, uint64_t *key)
{
    uint32_t n = 0;
    if (s->zero)
        key[n++] = 0;
    for (uint32_t i = 0; i < s->size; i++)
        if (s->slot[i])
            key[n++] = s->slot[i];
    return n;
}

struct word_set *word_set_new(size_t bytes_max, struct arena *a)
{
    struct word_set *s = ARENA_NEW(a, struct word_set);
    *s = (struct word_set){.max = words_max(bytes_max), .a = a};
    return s;
}

void word_set_bound(struct word_set *s, size_t bytes_max)
{
    uint32_t max = words_max(bytes_max);
    s->max = max < s->max ? max : s->max;
    s->over |= s->n > s->max;
}

const bool *word_set_over(const struct word_set *s)
{
    return &s->over;
}

bool word_set_tells(const struct word_set *s, size_t bytes_max)
{
    return !s->over || words_max(bytes_max) <= s->max;
}

enum err word_set_filter(const struct word_set *s, size_t bytes_max, struct arena *scratch,
                         struct buf *out)
{
    if (s->over || s->n + s->zero == 0 || s->n > words_max(bytes_max))
        return OK;
    uint64_t *key = arena_alloc(scratch, ((size_t)s->n + 1) * sizeof(*key));
    return fuse_build(key, set_keys(s, key), scratch, out);
}

static void add_part(void *ctx, struct str part)
{
    words_hashes(part, word_set_add, ctx);
}

enum err block_filter_build(const struct values *v, bool unique, size_t bytes_max,
                            struct arena *scratch, struct buf *out)
{
    if (unique)
        return build_unique(v, words_max(bytes_max), scratch, out);
    struct word_set *s = word_set_new(bytes_max, scratch);
    struct parts_seen parts = {0};
    for (uint32_t i = 0; i < v->n && !s->over; i++) {
        struct str text = values_text(v, i);
        if (text.n <= PARTS_LIST_FROM) {
            words_hashes(text, word_set_add, s);
            continue;
        }
        if (!parts.part)
            parts_seen_init(&parts, PARTS, scratch);
        parts_each(&parts, text, add_part, s);
    }
    return word_set_filter(s, bytes_max, scratch, out);
}

bool block_filter_may_match(struct str filter, enum lane lane, const struct predicate *p)
{
    if (!predicate_needs_words(p, lane))
        return true;
    for (uint32_t i = 0; i < p->n_words; i++)
        if (!fuse_may_contain(filter, p->word_hash[i]))
            return false;
    return true;
}
