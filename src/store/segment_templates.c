/* Bytes by template. A slot's own part is its bytes; what slots share a pool for is split by their
 * numbers of values, for nobody can tell which bit is whose. */
#include "store/segment_templates.h"

#include "core/buf.h"
#include "core/hash.h"
#include "store/template_read.h"

#include <stdlib.h>

const char *segment_slot_kind(unsigned kind)
{
    static const char *const names[SLOT_KINDS] = {[SLOT_OWN] = "own",
                                                  [SLOT_NUMBER] = "numbers",
                                                  [SLOT_TEXT] = "texts",
                                                  [SLOT_WORDS] = "words",
                                                  [SLOT_OWN_WORDS] = "own words"};
    return kind < SLOT_KINDS ? names[kind] : NULL;
}

struct gathering {
    struct templates_sum *to;
    struct arena *a;
    uint32_t *slot; /* of the table: number + 1, or 0 */
    uint32_t cap;
};

static uint32_t *find(struct gathering *g, struct str pattern, uint32_t n_slots)
{
    uint32_t mask = g->cap * 2 - 1, at = (uint32_t)hash64_seed(pattern, n_slots) & mask;
    for (; g->slot[at]; at = (at + 1) & mask) {
        const struct template_sum *t = &g->to->t[g->slot[at] - 1];
        if (t->n_slots == n_slots && str_eq(t->pattern, pattern))
            break;
    }
    return &g->slot[at];
}

static void grow(struct gathering *g)
{
    struct template_sum *old = g->to->t;
    g->cap = g->cap ? g->cap * 2 : 256;
    g->to->t = ARENA_ARRAY(g->a, struct template_sum, g->cap);
    if (g->to->n)
        memcpy(g->to->t, old, g->to->n * sizeof(*old));
    g->slot = ARENA_ARRAY(g->a, uint32_t, g->cap * 2);
    for (uint32_t i = 0; i < g->to->n; i++)
        *find(g, g->to->t[i].pattern, g->to->t[i].n_slots) = i + 1;
}

static struct template_sum *template_of(struct gathering *g, struct str pattern, uint32_t n_slots)
{
    if (g->to->n == g->cap)
        grow(g);
    uint32_t *at = find(g, pattern, n_slots);
    if (!*at) {
        g->to->t[g->to->n] = (struct template_sum){
            .pattern = arena_str(g->a, pattern),
            .n_slots = n_slots,
            .slot = ARENA_ARRAY(g->a, struct slot_sum, (size_t)n_slots + 1),
        };
        *at = ++g->to->n;
    }
    return &g->to->t[*at - 1];
}

/* With <*> for each hole. */
static enum err shown(struct str pattern, uint32_t n_slots, struct arena *a, struct buf *out)
{
    struct str *piece = ARENA_ARRAY(a, struct str, (size_t)n_slots + 1);
    TRY(template_pieces(pattern, n_slots, a, piece));
    buf_clear(out);
    for (uint32_t i = 0; i <= n_slots; i++) {
        buf_put_str(out, piece[i]);
        if (i < n_slots)
            buf_put_c(out, TEMPLATE_SHOWN_HOLE);
    }
    return OK;
}

static uint64_t part_bytes(const struct templated *o, uint32_t part)
{
    return o->c->part[part].stored.n;
}

static uint64_t share(uint64_t bytes, uint64_t of, uint64_t all)
{
    return all ? bytes * of / all : 0;
}

static uint64_t slot_bytes(const struct templated *o, const struct slot *s, uint32_t rows)
{
    switch (s->kind) {
    case SLOT_NUMBER:
        return share(part_bytes(o, TEMPLATE_NUMBERS), rows, o->n_numbers);
    case SLOT_TEXT:
        return share(part_bytes(o, TEMPLATE_TEXTS), rows, o->n_texts);
    case SLOT_WORDS:
        return share(part_bytes(o, TEMPLATE_WORDS), rows, o->n_codes);
    default:
        return part_bytes(o, s->at);
    }
}

static void add_template(struct gathering *g, const struct templated *o, uint32_t t,
                         struct str pattern, uint64_t pattern_bytes)
{
    uint32_t first = o->first_slot[t], n_slots = o->first_slot[t + 1] - first;
    struct template_sum *to = template_of(g, pattern, n_slots);
    to->rows += o->rows[t];
    to->bytes += pattern_bytes;
    for (uint32_t i = 0; i < n_slots; i++) {
        uint64_t bytes = slot_bytes(o, &o->slot[first + i], o->rows[t]);
        to->slot[i].values += o->rows[t];
        to->slot[i].bytes += bytes;
        to->slot[i].kinds |= 1u << o->slot[first + i].kind;
        to->bytes += bytes;
    }
}

static enum err add_chunk(struct gathering *g, const struct chunk *c, struct arena *scratch)
{
    struct templated o;
    struct values patterns;
    struct buf text;
    TRY(templated_open(c, scratch, &o));
    TRY(chunk_values(&o.patterns, scratch, &patterns));
    g->to->codes += part_bytes(&o, TEMPLATE_CODES);
    g->to->heads += part_bytes(&o, TEMPLATE_SLOTS);
    for (uint32_t d = 0; d < o.n_dicts; d++)
        g->to->words += part_bytes(&o, TEMPLATE_PARTS + d);
    uint64_t all = patterns.off[patterns.n] - patterns.off[0];
    enum err err = OK;
    buf_init(&text, SIZE_MAX);
    for (uint32_t t = 0; t < o.n && err == OK; t++) {
        struct str pattern = values_text(&patterns, t);
        err = shown(pattern, o.first_slot[t + 1] - o.first_slot[t], scratch, &text);
        if (err == OK)
            add_template(g, &o, t, buf_str(&text),
                         share(part_bytes(&o, TEMPLATE_PATTERNS), pattern.n, all));
    }
    buf_release(&text);
    return err;
}

static int largest_first(const void *a, const void *b)
{
    const struct template_sum *x = a, *y = b;
    if (x->bytes != y->bytes)
        return x->bytes > y->bytes ? -1 : 1;
    return str_cmp(x->pattern, y->pattern);
}

static enum err add_block(struct gathering *g, const struct dir *d, uint32_t block, uint32_t field,
                          const struct block_source *from, struct arena *scratch)
{
    struct rows rows;
    const struct chunk *c = NULL;
    TRY(block_dir_rows(d, block, from, STR(""), scratch, NULL, &rows));
    TRY(block_dir_chunk(&rows.columns[field], &c));
    return add_chunk(g, c, scratch);
}

enum err segment_templates(const struct dir *d, uint32_t column, const struct block_source *from,
                           struct arena *a, struct templates_sum *ret)
{
    struct gathering g = {.to = ret, .a = a};
    struct arena scratch;
    enum err err = OK;
    *ret = (struct templates_sum){0};
    arena_init(&scratch, 0, NULL);
    for (uint32_t b = 0; b < d->n_blocks; b++)
        for (uint32_t i = 0; i < d->block[b].n_fields && err == OK; i++) {
            const struct dir_field *f = &d->block[b].field[i];
            if (f->column != column || f->rare || f->stats.encoding != ENC_TEMPLATE)
                continue;
            err = add_block(&g, d, b, i, from, &scratch);
            arena_reset(&scratch);
        }
    arena_release(&scratch);
    if (ret->n > 1)
        qsort(ret->t, ret->n, sizeof(*ret->t), largest_first);
    return err;
}
