/* Finding the words that recur.
 *
 * Slots of numbers and times are left out: columns of their own hold them smaller. The texts are
 * walked in their order, and every value of the other slots is looked up in one table and counted.
 * Slots of which at least half the values are words that occur more than once are shared; a second
 * walk over the codes gives those words their numbers. There is a dictionary for each length of
 * hexadecimal ids, which are then stored as such, and one for the rest. */
#include "store/template_words.h"

#include "store/encoding_ops.h"
#include "store/numeral.h"
#include "store/quick_hash.h"

enum {
    WORD_MAX = 1024,
    PROBES = 8,
    JOIN_SAMPLE = 1024,
    JOIN_ROWS = 64,
    JOIN_FROM = 16,
    DATE_BYTES = 10
};
enum { PENDING = 32, SOON = 4, LONG_TEXT = 256, EXPECT_FROM = 1 << 14 };

struct word {
    uint64_t hash;
    struct str text;
    uint32_t count;
    uint32_t number; /* in its dictionary + 1; 0: none yet */
    uint8_t dict;
};
/* A value whose word is to be looked up. */
struct pending {
    struct str text;
    uint64_t hash;
    uint32_t *code;
    uint8_t dict;
};
/* A slot that may be shared. */
struct place {
    uint32_t *code; /* of each text of its template: numbers of words, then of entries */
    uint32_t slot, var;
    uint8_t dict;
};
/* A text of template t, the how-manieth of it, and which of those it equals: itself where none
 * before it is known to. */
struct listed {
    uint32_t text, t, rank, equal;
};
struct finder {
    struct templates *t;
    struct arena *a;
    struct place *place; /* candidates, by template: those of t from first_place[t] on */
    uint32_t *first_place;
    uint32_t n_texts, at; /* those of templates with candidates; the one at hand */
    struct listed *text;
    struct word *word;
    uint32_t n_words, words_cap;
    uint32_t *table;
    uint32_t mask;
    struct pending pending[PENDING];
    uint32_t n_pending;
    struct pair *pair; /* by looks */
    uint32_t pairs_mask;
    size_t hex[TEMPLATE_DICTS_MAX]; /* lengths; dictionary 0 is for the rest */
    uint32_t n_dicts;
};

/* Numbers, times of day and dates: begin with a digit and hold little else. */
static bool is_measure(struct str s)
{
    size_t digits = 0, marks = 0;
    if (s.n > DATE_BYTES && s.p[4] == '-' && s.p[7] == '-' && s.p[DATE_BYTES] == 'T')
        s = str_of(s.p, DATE_BYTES);
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c >= '0' && c <= '9')
            digits++;
        else if (c == '.' || c == ':' || c == '-' || c == ' ' || c == ',')
            marks++;
        else
            return false;
    }
    return digits && marks <= 6 && s.n <= NUMERAL_WIDTH_MAX;
}

/* The first few values tell. */
static bool is_candidate(const struct templates *t, const struct text_template *x, uint32_t slot)
{
    if (x->look[x->slot[slot]].numeral)
        return false;
    uint32_t n = x->rows < PROBES ? x->rows : PROBES;
    for (uint32_t i = 0; i < n; i++)
        if (!is_measure(templates_var(t, x->row[(uint64_t)i * x->rows / n], x->slot[slot])))
            return true;
    return false;
}

/* ---- words that go together ---- */

/* How many different hashes there are, at most JOIN_SAMPLE of them. */
static uint32_t distinct(const uint64_t *hash, uint32_t n, uint32_t *table)
{
    uint32_t different = 0, mask = JOIN_SAMPLE * 2 - 1;
    memset(table, 0, (mask + 1) * sizeof(*table));
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = (uint32_t)hash[i] & mask;
        while (table[at] && hash[table[at] - 1] != hash[i])
            at = (at + 1) & mask;
        if (!table[at]) {
            table[at] = i + 1;
            different++;
        }
    }
    return different;
}

static bool is_id(const struct templates *t, const struct text_template *x, uint32_t slot)
{
    return template_hex_length(templates_var(t, x->row[0], x->slot[slot])) > 0;
}

/* Slots beside each other that templates have in common, as far as their looks tell. */
struct pair {
    uint64_t looks; /* 0: free */
    uint32_t most;  /* different values of the slot that has more, summed up over templates */
    uint32_t apart; /* so many more the two have together */
    bool counted;
};

static bool in_words(char c)
{
    return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z');
}

/* What stands between the slots, and the first value with its letters and digits left out. */
static uint64_t looks_of(const struct finder *f, const struct text_template *x, uint32_t slot)
{
    uint32_t text = x->row[0];
    const struct template_var *var = &f->t->var[f->t->first[text]];
    struct str s = values_text(f->t->v, text), first = templates_var(f->t, text, x->slot[slot]);
    uint32_t from = var[x->slot[slot]].to, to = var[x->slot[slot + 1]].from;
    uint64_t h = quick_hash(str_of(s.p + from, to - from));
    bool before = false;
    for (size_t i = 0; i < first.n; i++) {
        bool word = in_words(first.p[i]);
        if (!word || !before)
            h = hash_mix(h + (word ? 'a' : (uint8_t)first.p[i]));
        before = word;
    }
    return h | 1;
}

static struct pair *pair_like(const struct finder *f, const struct text_template *x, uint32_t slot)
{
    uint64_t looks = looks_of(f, x, slot);
    uint32_t at = (uint32_t)(looks >> 32) & f->pairs_mask;
    while (f->pair[at].looks && f->pair[at].looks != looks)
        at = (at + 1) & f->pairs_mask;
    f->pair[at].looks = looks;
    return &f->pair[at];
}

/* Ids stay alone: each has a dictionary that holds it in half its length. */
static bool may_join(const struct finder *f, const struct text_template *x, uint32_t slot)
{
    return is_candidate(f->t, x, slot) && is_candidate(f->t, x, slot + 1) &&
           !is_id(f->t, x, slot) && !is_id(f->t, x, slot + 1);
}

static void count_pair(const struct finder *f, const struct text_template *x, uint32_t slot,
                       struct pair *to)
{
    uint64_t hash[3][JOIN_SAMPLE];
    uint32_t table[JOIN_SAMPLE * 2], n = x->rows < JOIN_SAMPLE ? x->rows : JOIN_SAMPLE, d[3];
    for (uint32_t i = 0; i < n; i++) {
        uint32_t text = x->row[(uint64_t)i * x->rows / n];
        hash[0][i] = quick_hash(templates_var(f->t, text, x->slot[slot]));
        hash[1][i] = quick_hash(templates_var(f->t, text, x->slot[slot + 1]));
        hash[2][i] = hash_mix(hash[0][i]) + hash[1][i];
    }
    for (int k = 0; k < 3; k++)
        d[k] = distinct(hash[k], n, table);
    uint32_t most = d[0] > d[1] ? d[0] : d[1];
    to->counted = true;
    if (most < JOIN_FROM)
        return;
    to->most += most;
    to->apart += d[2] - most;
}

/* Whether one of two slots tells the other: a connection's address and its peer. Asked of all
 * templates that have such slots at once: were some of them joined and others not, they would
 * share no words. */
static bool go_together(const struct finder *f, const struct text_template *x, uint32_t slot)
{
    if (!may_join(f, x, slot))
        return false;
    struct pair *p = pair_like(f, x, slot);
    if (!p->counted) /* one of the slots is of two that were joined */
        count_pair(f, x, slot, p);
    return p->most && p->apart <= p->most / 64;
}

/* Makes one variable of two slots and what stands between them. */
static void join(const struct finder *f, struct text_template *x, uint32_t slot)
{
    for (uint32_t i = 0; i < x->rows; i++) {
        struct template_var *var = &f->t->var[f->t->first[x->row[i]]];
        var[x->slot[slot]].to = var[x->slot[slot + 1]].to;
    }
    x->look[x->slot[slot]].numeral = false;
    x->n_slots--;
    memmove(&x->slot[slot + 1], &x->slot[slot + 2], (x->n_slots - slot - 1) * sizeof(*x->slot));
}

static void count_pairs(struct finder *f)
{
    uint32_t n = 0;
    for (uint32_t t = 0; t < f->t->n; t++)
        n += f->t->t[t].n_slots;
    for (f->pairs_mask = 15; f->pairs_mask < n * 4; f->pairs_mask = f->pairs_mask * 2 + 1)
        ;
    f->pair = ARENA_ARRAY(f->a, struct pair, (size_t)f->pairs_mask + 1);
    for (uint32_t t = 0; t < f->t->n; t++) {
        const struct text_template *x = &f->t->t[t];
        for (uint32_t s = 0; x->rows >= JOIN_ROWS && s + 1 < x->n_slots; s++)
            if (may_join(f, x, s))
                count_pair(f, x, s, pair_like(f, x, s));
    }
}

static void join_slots(struct finder *f)
{
    count_pairs(f);
    for (uint32_t t = 0; t < f->t->n; t++) {
        struct text_template *x = &f->t->t[t];
        for (uint32_t s = 0; x->rows >= JOIN_ROWS && s + 1 < x->n_slots;)
            if (go_together(f, x, s))
                join(f, x, s);
            else
                s++;
    }
}

/* ---- sharing ---- */

static uint8_t dict_for(struct finder *f, struct str first)
{
    size_t length = template_hex_length(first);
    if (!length)
        return 0;
    for (uint32_t d = 1; d < f->n_dicts; d++)
        if (f->hex[d] == length)
            return (uint8_t)d;
    if (f->n_dicts == TEMPLATE_DICTS_MAX)
        return 0;
    f->hex[f->n_dicts] = length;
    return (uint8_t)f->n_dicts++;
}

/* To twice as many words or, where they are many, as many as the texts so far let expect. */
static void words_grow(struct finder *f)
{
    struct word *old = f->word;
    uint64_t all = f->n_words < EXPECT_FROM ? 0 : (uint64_t)f->n_words * f->n_texts / (f->at + 1);
    f->words_cap = f->words_cap ? f->words_cap * 2 : 2048;
    while (f->words_cap < all)
        f->words_cap *= 2;
    f->word = arena_alloc(f->a, f->words_cap * sizeof(*f->word));
    if (old)
        memcpy(f->word, old, f->n_words * sizeof(*old));
    f->mask = f->words_cap * 2 - 1;
    f->table = ARENA_ARRAY(f->a, uint32_t, (size_t)f->mask + 1);
    for (uint32_t i = 0; i < f->n_words; i++) {
        uint32_t at = (uint32_t)f->word[i].hash & f->mask;
        while (f->table[at])
            at = (at + 1) & f->mask;
        f->table[at] = i + 1;
    }
}

static uint32_t word_number(struct finder *f, struct str s, uint8_t dict, uint64_t h)
{
    if (f->n_words == f->words_cap)
        words_grow(f);
    uint32_t at = (uint32_t)h & f->mask;
    for (; f->table[at]; at = (at + 1) & f->mask) {
        struct word *w = &f->word[f->table[at] - 1];
        if (w->hash == h && w->dict == dict && str_eq(w->text, s)) {
            w->count++;
            return f->table[at] - 1;
        }
    }
    f->word[f->n_words] = (struct word){h, s, 1, 0, dict};
    f->table[at] = ++f->n_words;
    return f->n_words - 1;
}

static void find_candidates(struct finder *f)
{
    uint32_t slot = 0, n = 0;
    for (uint32_t t = 0; t < f->t->n; t++) {
        const struct text_template *x = &f->t->t[t];
        f->first_place[t] = n;
        for (uint32_t s = 0; s < x->n_slots; s++, slot++)
            if (is_candidate(f->t, x, s))
                f->place[n++] =
                    (struct place){.code = arena_alloc(f->a, x->rows * sizeof(uint32_t)),
                                   .slot = slot,
                                   .var = x->slot[s],
                                   .dict = dict_for(f, templates_var(f->t, x->row[0], x->slot[s]))};
    }
    f->first_place[f->t->n] = n;
}

/* Most texts of many logs are of templates without any. */
static void list_texts(struct finder *f)
{
    const struct templates *t = f->t;
    uint32_t *used = ARENA_ARRAY(f->a, uint32_t, t->n);
    uint32_t *rank = arena_alloc(f->a, (size_t)t->v->n * sizeof(*rank));
    f->text = arena_alloc(f->a, (size_t)t->v->n * sizeof(*f->text));
    for (uint32_t i = 0; i < t->v->n; i++) {
        uint32_t code = t->code[i];
        if (f->first_place[code] == f->first_place[code + 1])
            continue;
        rank[i] = used[code]++;
        f->text[f->n_texts++] = (struct listed){i, code, rank[i], rank[t->equal[i]]};
    }
}

/* In long texts the variables lie in other lines of the cache than those of the text before. */
static void fetch_values(const struct finder *f, const struct listed *x)
{
    const struct template_var *var = &f->t->var[f->t->first[x->text]];
    const char *p = values_text(f->t->v, x->text).p;
    for (uint32_t k = f->first_place[x->t]; k < f->first_place[x->t + 1]; k++)
        __builtin_prefetch(p + var[f->place[k].var].from);
}

/* Words are looked up some at a time: table, word and its text are far apart in memory, and so are
 * fetched for all of those before the first is asked for. */
static void settle(struct finder *f)
{
    struct pending *p = f->pending, *end = p + f->n_pending;
    for (struct pending *x = p; x < end; x++)
        __builtin_prefetch(&f->word[f->table[(uint32_t)x->hash & f->mask]]);
    for (struct pending *x = p; x < end; x++) {
        uint32_t number = f->table[(uint32_t)x->hash & f->mask];
        if (number)
            __builtin_prefetch(f->word[number - 1].text.p);
    }
    for (; p < end; p++) {
        *p->code = p->text.n > WORD_MAX ? UINT32_MAX : word_number(f, p->text, p->dict, p->hash);
    }
    f->n_pending = 0;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written when it is settled */
static void look_up(struct finder *f, struct str text, uint8_t dict, uint32_t *code)
{
    struct pending *p = &f->pending[f->n_pending++];
    *p = (struct pending){.text = text, .code = code, .dict = dict};
    p->hash = text.n > WORD_MAX ? 0 : quick_hash(text) + dict;
    __builtin_prefetch(&f->table[(uint32_t)p->hash & f->mask]);
    if (f->n_pending == PENDING)
        settle(f);
}

/* In the order of the texts, of which equal ones are looked at once. */
static void count_words(struct finder *f)
{
    const struct templates *t = f->t;
    bool fetch = values_bytes(t->v) > (uint64_t)t->v->n * LONG_TEXT;
    for (f->at = 0; f->at < f->n_texts; f->at++) {
        const struct listed *x = &f->text[f->at];
        if (x->rank != x->equal)
            continue;
        if (fetch && f->at + SOON < f->n_texts)
            fetch_values(f, x + SOON);
        struct str s = values_text(t->v, x->text);
        const struct template_var *var = &t->var[t->first[x->text]];
        for (uint32_t k = f->first_place[x->t]; k < f->first_place[x->t + 1]; k++) {
            const struct place *p = &f->place[k];
            const struct template_var *v = &var[p->var];
            look_up(f, str_of(s.p + v->from, v->to - v->from), p->dict, &p->code[x->rank]);
        }
    }
    settle(f);
    for (const struct listed *x = f->text, *end = x + f->n_texts; x < end; x++)
        for (uint32_t k = f->first_place[x->t]; x->rank != x->equal && k < f->first_place[x->t + 1];
             k++) {
            uint32_t *code = f->place[k].code;
            code[x->rank] = code[x->equal];
            if (code[x->rank] != UINT32_MAX)
                f->word[code[x->rank]].count++;
        }
}

/* Whether at least half of a slot's values are words that occur more than once. */
static bool is_worth_it(const struct finder *f, const struct place *p, uint32_t rows)
{
    uint32_t again = 0;
    for (uint32_t i = 0; i < rows; i++) {
        if (p->code[i] == UINT32_MAX)
            return false;
        again += f->word[p->code[i]].count > 1;
    }
    return again >= rows - rows / 2;
}

/* Leaves as candidates the slots that are worth it. */
static bool choose(struct finder *f)
{
    uint32_t n = 0;
    for (uint32_t t = 0, from, to = 0; t < f->t->n; t++) {
        from = to;
        to = f->first_place[t + 1];
        f->first_place[t] = n;
        for (uint32_t k = from; k < to; k++)
            if (is_worth_it(f, &f->place[k], f->t->t[t].rows))
                f->place[n++] = f->place[k];
    }
    f->first_place[f->t->n] = n;
    return n > 0;
}

/* Words that are left get their numbers in the order of the texts: returns how many each dictionary
 * has. */
static void number_words(struct finder *f, uint32_t *n)
{
    for (const struct listed *x = f->text, *end = x + f->n_texts; x < end; x++)
        for (uint32_t k = f->first_place[x->t]; k < f->first_place[x->t + 1]; k++) {
            uint32_t *code = f->place[k].code;
            if (x->rank == x->equal) {
                struct word *w = &f->word[code[x->rank]];
                if (!w->number)
                    w->number = ++n[w->dict];
                code[x->rank] = w->number - 1;
            } else {
                code[x->rank] = code[x->equal];
            }
        }
}

/* The words with a number, dictionary by dictionary; empty dictionaries are left out. */
static enum err put_dicts(struct finder *f, const uint32_t *n, struct shared_words *ret)
{
    uint8_t place[TEMPLATE_DICTS_MAX];
    struct text_out out[TEMPLATE_DICTS_MAX];
    struct str *sorted[TEMPLATE_DICTS_MAX];
    uint64_t bytes[TEMPLATE_DICTS_MAX] = {0};
    for (uint32_t d = 0; d < f->n_dicts; d++)
        sorted[d] = arena_alloc(f->a, (n[d] + 1) * sizeof(struct str));
    for (uint32_t i = 0; i < f->n_words; i++) {
        const struct word *w = &f->word[i];
        if (!w->number)
            continue;
        sorted[w->dict][w->number - 1] = w->text;
        bytes[w->dict] += w->text.n;
    }
    for (uint32_t d = 0; d < f->n_dicts; d++) {
        place[d] = (uint8_t)ret->n_dicts;
        if (!n[d])
            continue;
        TRY(text_out_init(&out[d], n[d], bytes[d], f->a));
        for (uint32_t i = 0; i < n[d]; i++)
            text_out_add(&out[d], sorted[d][i]);
        ret->dict[ret->n_dicts++] = text_out_values(&out[d], LANE_STR);
    }
    for (const struct place *p = f->place, *end = p + f->first_place[f->t->n]; p < end; p++)
        ret->slot[p->slot] = (struct shared_slot){p->code, place[p->dict]};
    return OK;
}

enum err shared_words_find(struct templates *t, struct arena *a, struct shared_words *ret)
{
    struct finder f = {.t = t, .a = a, .n_dicts = 1};
    uint32_t n_slots = 0, n[TEMPLATE_DICTS_MAX] = {0};
    join_slots(&f);
    for (uint32_t i = 0; i < t->n; i++)
        n_slots += t->t[i].n_slots;
    f.place = arena_alloc(a, ((size_t)n_slots + 1) * sizeof(*f.place));
    f.first_place = arena_alloc(a, ((size_t)t->n + 1) * sizeof(*f.first_place));
    *ret = (struct shared_words){0};
    words_grow(&f);
    find_candidates(&f);
    list_texts(&f);
    count_words(&f);
    if (!choose(&f))
        return OK;
    number_words(&f, n);
    ret->slot = ARENA_ARRAY(a, struct shared_slot, n_slots);
    return put_dicts(&f, n, ret);
}
