/* Text by templates (template.h): a dictionary of patterns, a code for each value, and for each
 * hole of each pattern a column of its own, encoded by what it holds.
 *
 * ENC_TEMPLATE
 *   part 0   varint number of templates (1..n), then an inner chunk (without checksum) of their
 *            patterns, in order of first appearance; 0x1a is a hole where the template has slots,
 *            and a byte 0x1a of the text written twice where it has none
 *   part 1   the template of each value (codes.c)
 *   part 2   varint number of dictionaries, of each a u16, the kinds of bytes in its entries
 *            (byte_kinds.h); for each template a varint, its number of slots; then for each slot of
 *            each template u8 kind: 0 own, 1 number, 2 text, 3 words, 4 own words; behind kinds 0
 *            and 2 a u16, the kinds of bytes in its values; behind kind 1 the form of its numbers:
 *            u8 digits behind the point, u8 pad, u8 width (numeral.h); behind kinds 3 and 4 u8
 *            number of its dictionary
 *   part 3   the mantissas of all slots of kind 1, one slot after the other, as integers; empty
 *            where there is none
 *   part 4   an inner chunk of the values of all slots of kind 2, one slot after the other; empty
 *            where there is none
 *   part 5   the codes of all slots of kind 3, one slot after the other, as integers; empty where
 *            there is none
 *   part 6+  each dictionary: varint number of entries, an inner chunk of them
 *   then     of each slot of kind 0 an inner chunk of its values, of each of kind 4 its codes as
 *            integers, in the order of the slots
 *
 * A slot holds as many values as its template has texts, in the order of those. Slots of few values
 * share the pools of parts 3 to 5, for a part of its own costs a slot some bytes. Dictionaries are
 * shared by all slots: the ids of requests, sessions and traces recur in the lines of many
 * templates. Their entries stand in the order in which the texts name them, so that codes near each
 * other in time are near each other. */
#include "core/hash.h"
#include "record/words.h"
#include "store/codes.h"
#include "store/learnt.h"
#include "store/siblings.h"
#include "store/template_read.h"
#include "store/template_tokens.h"
#include "store/template_words.h"

enum {
    OWN_FROM = 192 /* values */,
    TEXTS_MIN = 32,
    LENGTH_MIN = 8,
    LEARN_FROM = 1 << 18 /* bytes */,
    PATTERNS_SHARE = 16 /* of the texts' bytes, at most as a rule */
};

/* ---- writing ---- */

struct writer {
    const struct encoder *e;
    struct templates *t;
    struct shared_words words;
    struct buf slots; /* part 2 */
    int64_t *number;  /* part 3 */
    uint32_t n_numbers;
    struct buf texts;   /* part 4 */
    uint32_t *text_off; /* n_texts + 1 */
    uint32_t n_texts;
    int64_t *code; /* part 5 */
    uint32_t n_codes;
    int64_t *wide;              /* of one slot, used again */
    struct slot_tokens *tokens; /* of the slots so far; NULL: nobody asks */
    uint32_t n_tokens;
    struct siblings siblings; /* of the template at hand */
    struct arena numbers;     /* theirs */
    struct part_out *part;
    uint32_t n_parts, parts_cap;
};

/* The values of one slot, where they lie or, short ones, together. */
static enum err slot_values(const struct writer *w, const struct text_template *x, uint32_t slot,
                            struct values *ret)
{
    struct str *text = arena_alloc(w->e->scratch, x->rows * sizeof(*text));
    struct values v = {.n = x->rows, .lane = LANE_STR, .text = text};
    for (uint32_t i = 0; i < x->rows; i++) {
        text[i] = templates_var(w->t, x->row[i], x->slot[slot]);
        v.text_bytes += text[i].n;
    }
    *ret = v;
    return texts_may_lie(v.n, v.text_bytes) ? OK : texts_together(&v, w->e->scratch, ret);
}

static uint16_t values_kinds(const struct values *v)
{
    uint16_t kinds = 0;
    if (!v->text)
        return byte_kinds(str_of(v->bytes + v->off[0], v->off[v->n] - v->off[0]));
    for (uint32_t i = 0; i < v->n; i++)
        kinds |= byte_kinds(v->text[i]);
    return kinds;
}

static const int64_t *slot_times(const struct writer *w, const struct text_template *x)
{
    if (!w->e->o->time)
        return NULL;
    int64_t *to = arena_alloc(w->e->scratch, x->rows * sizeof(*to));
    for (uint32_t i = 0; i < x->rows; i++)
        to[i] = w->e->o->time[x->row[i]];
    return to;
}

static struct encode_options inner_options(const struct writer *w, const int64_t *time,
                                           struct siblings *siblings)
{
    struct encode_options o = *w->e->o;
    o.inner++;
    o.slot = true;
    o.time = time;
    o.words = NULL;
    o.column = 0;
    o.siblings = siblings;
    return o;
}

static enum err inner_chunk(const struct writer *w, const struct values *v, const int64_t *time,
                            struct siblings *siblings, struct buf *out, struct chunk_stats *ret)
{
    struct encode_options o = inner_options(w, time, siblings);
    *ret = (struct chunk_stats){0};
    struct encoder inner = {v, &o, w->e->scratch, out, ret};
    return encode_text(&inner);
}

static void put_part(struct writer *w, struct part_out part)
{
    if (w->n_parts == w->parts_cap) {
        struct part_out *old = w->part;
        w->parts_cap = w->parts_cap * 2 + 16;
        w->part = arena_alloc(w->e->scratch, w->parts_cap * sizeof(*w->part));
        if (old)
            memcpy(w->part, old, w->n_parts * sizeof(*old));
    }
    w->part[w->n_parts++] = part;
}

static struct part_out part_of_bytes(struct str bytes)
{
    return (struct part_out){.raw = bytes, .zip = ZIP_NEVER};
}

/* A slot whose values are words of a dictionary. */
static enum err put_words(struct writer *w, const struct text_template *x, const uint32_t *code,
                          uint8_t dict)
{
    bool own = x->rows >= OWN_FROM;
    int64_t *wide = own ? w->wide : w->code + w->n_codes;
    for (uint32_t i = 0; i < x->rows; i++)
        wide[i] = code[i];
    buf_put_u8(&w->slots, own ? SLOT_OWN_WORDS : SLOT_WORDS);
    buf_put_u8(&w->slots, dict);
    if (!own) {
        w->n_codes += x->rows;
        return OK;
    }
    struct part_out part;
    TRY(part_of_ints(wide, x->rows, w->e->o, w->e->scratch, &part));
    put_part(w, part);
    return OK;
}

/* More digits in a row than a quantity has: one of them stands at a multiple of as many. */
static bool has_more_digits(struct str s)
{
    const size_t step = WORDS_QUANTITY_DIGITS + 1;
    for (size_t at = step - 1; at < s.n; at += step) {
        size_t from = at, to = at;
        while (to < s.n && (uint8_t)(s.p[to] - '0') < 10)
            to++;
        while (to > at && from > 0 && (uint8_t)(s.p[from - 1] - '0') < 10)
            from--;
        if (to - from >= step)
            return true;
    }
    return false;
}

/* Whether all words in them are numbers of so few digits that they are quantities
 * (record/words.h): numbers, times of day, dates, addresses. `kinds`: their bytes. */
static bool are_quantities(const struct values *v, uint16_t kinds)
{
    const unsigned letters = 1u << BYTES_LOW_HEX | 1u << BYTES_LOW | 1u << BYTES_UP_HEX |
                             1u << BYTES_UP | 1u << BYTES_LINE | 1u << BYTES_WIDE;
    if (kinds & letters)
        return false;
    for (uint32_t i = 0; i < v->n; i++)
        if (has_more_digits(values_text(v, i)))
            return false;
    return true;
}

static void note_tokens(struct writer *w, const struct slot_tokens *tokens)
{
    if (w->tokens)
        w->tokens[w->n_tokens++] = *tokens;
}

/* The siblings of a slot, which is to become one: no more than SIBLINGS_MAX of the last. */
static struct siblings *begin_sibling(struct writer *w, const struct text_template *x,
                                      uint32_t slot)
{
    struct siblings *s = &w->siblings;
    if (x->n_slots < 2)
        return NULL;
    if (!s->number) {
        arena_reset(&w->numbers);
        s->number = arena_alloc(&w->numbers, x->rows * sizeof(int64_t));
    }
    s->slot = slot;
    s->read = s->is_number = false;
    return s;
}

static void end_sibling(struct writer *w, const struct text_template *x, uint8_t encoding)
{
    struct siblings *s = &w->siblings;
    if (x->n_slots < 2 || encoding != ENC_NUMERAL || !s->is_number)
        return;
    int64_t *room;
    if (s->n == SIBLINGS_MAX) { /* the oldest gives way */
        room = s->s[0].number;
        memmove(&s->s[0], &s->s[1], --s->n * sizeof(s->s[0]));
    } else {
        room = arena_alloc(&w->numbers, x->rows * sizeof(*room));
    }
    s->s[s->n++] = (struct sibling){s->number, s->form.frac, s->slot};
    s->number = room;
}

/* A slot of a part of its own. What it takes of the arena is given back but for its bytes. */
static enum err put_own(struct writer *w, const struct text_template *x, uint32_t slot)
{
    struct arena_mark mark = arena_mark(w->e->scratch);
    struct values v;
    struct buf b;
    struct chunk_stats stats;
    struct siblings *siblings = begin_sibling(w, x, slot);
    buf_init(&b, SIZE_MAX);
    enum err err = slot_values(w, x, slot, &v);
    if (err == OK)
        err = inner_chunk(w, &v, slot_times(w, x), siblings, &b, &stats);
    if (err == OK) {
        uint16_t kinds = stats.alike ? byte_kinds(values_text(&v, 0)) : values_kinds(&v);
        struct slot_tokens tokens = {.quantities = w->tokens && are_quantities(&v, kinds),
                                     .times = stats.encoding == ENC_TIME ||
                                              stats.encoding == ENC_INSTANT};
        note_tokens(w, &tokens);
        end_sibling(w, x, stats.encoding);
        buf_put_u8(&w->slots, SLOT_OWN);
        buf_put_u16(&w->slots, kinds);
        arena_rewind(w->e->scratch, &mark);
        put_part(w, part_of_bytes(arena_str(w->e->scratch, buf_str(&b))));
    }
    buf_release(&b);
    return err;
}

/* ---- slots of numbers, which were read when the texts were ---- */

/* The numbers of a slot; false where their form is not that of each of them. */
static bool slot_numbers(const struct writer *w, const struct text_template *x, uint32_t slot,
                         struct numeral_form *ret, int64_t *to)
{
    const struct templates *t = w->t;
    uint32_t var = x->slot[slot];
    const struct var_look *look = &x->look[var];
    if (!look->numeral || !numeral_look_form(&look->number, ret))
        return false;
    for (uint32_t i = 0; i < x->rows; i++)
        to[i] = t->number[t->first[x->row[i]] + var];
    for (uint32_t i = 0; look->number.spaces && i < x->rows; i++)
        if (numeral_write(ret, to[i], NULL) != templates_var(t, x->row[i], var).n)
            return false;
    return true;
}

static uint16_t numeral_bytes(const struct numeral_look *l)
{
    return (uint16_t)(1u << BYTES_DIGIT | (l->frac > 0) << BYTES_DOT | l->spaces << BYTES_SPACE);
}

static struct slot_tokens numeral_tokens(const struct numeral_look *l)
{
    return (struct slot_tokens){
        .quantities = l->whole <= WORDS_QUANTITY_DIGITS, .numbers = !l->zeros, .frac = l->frac};
}

/* At the level of ingest: numbers, or their differences to those of another slot. Says
 * ERR_UNSUPPORTED where they are none. */
static enum err put_own_numbers(struct writer *w, const struct text_template *x, uint32_t slot)
{
    struct arena *a = w->e->scratch;
    const struct numeral_look *look = &x->look[x->slot[slot]].number;
    struct arena_mark mark = arena_mark(a);
    struct siblings alone = {0}, *s = begin_sibling(w, x, slot);
    if (!s) {
        s = &alone;
        s->number = arena_alloc(a, x->rows * sizeof(*s->number));
    }
    s->read = true;
    s->is_number = slot_numbers(w, x, slot, &s->form, s->number);
    struct values v = {.n = x->rows, .lane = LANE_STR};
    struct encode_options o = inner_options(w, NULL, s);
    struct buf b;
    buf_init(&b, SIZE_MAX);
    struct chunk_stats stats = {0};
    struct encoder inner = {&v, &o, a, &b, &stats};
    enum err err = s->is_number ? encode_difference(&inner) : not_mine();
    if (err == ERR_UNSUPPORTED && s->is_number)
        err = encode_numeral(&inner);
    if (err == OK) {
        struct slot_tokens tokens = numeral_tokens(look);
        note_tokens(w, &tokens);
        end_sibling(w, x, stats.encoding);
        buf_put_u8(&w->slots, SLOT_OWN);
        buf_put_u16(&w->slots, numeral_bytes(look));
        arena_rewind(a, &mark);
        put_part(w, part_of_bytes(arena_str(a, buf_str(&b))));
    } else {
        arena_rewind(a, &mark);
    }
    buf_release(&b);
    return err;
}

/* Few numbers go to the pool; false where they are none. */
static bool pool_numbers(struct writer *w, const struct text_template *x, uint32_t slot)
{
    struct numeral_form f;
    if (!slot_numbers(w, x, slot, &f, w->number + w->n_numbers))
        return false;
    uint8_t bytes[] = {SLOT_NUMBER, f.frac, f.pad, f.width};
    buf_put(&w->slots, bytes, sizeof(bytes));
    w->n_numbers += x->rows;
    struct slot_tokens tokens = numeral_tokens(&x->look[x->slot[slot]].number);
    note_tokens(w, &tokens);
    return true;
}

static enum err put_slot(struct writer *w, const struct text_template *x, uint32_t slot,
                         const struct shared_slot *shared)
{
    if (shared->code) {
        note_tokens(
            w, &(struct slot_tokens){.code = shared->code, .dict = &w->words.dict[shared->dict]});
        return put_words(w, x, shared->code, shared->dict);
    }
    if (x->rows >= OWN_FROM) {
        enum err err = ERR_UNSUPPORTED;
        if (w->e->o->zstd_level <= ENCODE_QUICK_LEVEL)
            err = put_own_numbers(w, x, slot);
        return err == ERR_UNSUPPORTED ? put_own(w, x, slot) : err;
    }
    if (pool_numbers(w, x, slot))
        return OK;
    struct values v = {.n = x->rows, .lane = LANE_STR, .off = w->text_off + w->n_texts};
    for (uint32_t i = 0; i < x->rows; i++) {
        buf_put_str(&w->texts, templates_var(w->t, x->row[i], x->slot[slot]));
        w->text_off[++w->n_texts] = (uint32_t)w->texts.n;
    }
    v.bytes = w->texts.p;
    uint16_t kinds = values_kinds(&v);
    struct slot_tokens tokens = {.quantities = w->tokens && are_quantities(&v, kinds)};
    note_tokens(w, &tokens);
    buf_put_u8(&w->slots, SLOT_TEXT);
    buf_put_u16(&w->slots, kinds);
    return OK;
}

/* Room for as many values as the pools may have to hold. */
static enum err pools_init(struct writer *w)
{
    uint64_t n = 0;
    for (uint32_t t = 0; t < w->t->n; t++) {
        const struct text_template *x = &w->t->t[t];
        if (x->rows < OWN_FROM)
            n += (uint64_t)x->rows * x->n_slots;
    }
    if (n > CHUNK_VALUES_MAX || values_bytes(w->e->v) > UINT32_MAX)
        return not_mine();
    w->number = arena_alloc(w->e->scratch, (n + 1) * sizeof(*w->number));
    w->code = arena_alloc(w->e->scratch, (n + 1) * sizeof(*w->code));
    w->wide = arena_alloc(w->e->scratch, ((size_t)w->e->v->n + 1) * sizeof(*w->wide));
    w->text_off = arena_alloc(w->e->scratch, (n + 1) * sizeof(*w->text_off));
    w->text_off[0] = 0;
    return OK;
}

static enum err put_patterns(struct writer *w)
{
    struct buf b;
    struct str chunk;
    buf_init(&b, SIZE_MAX);
    uint32_t *off = arena_alloc(w->e->scratch, ((size_t)w->t->n + 1) * sizeof(*off));
    off[0] = 0;
    buf_reserve(&b, values_bytes(w->e->v) / PATTERNS_SHARE);
    for (uint32_t t = 0; t < w->t->n; t++) {
        templates_pattern(w->t, t, &b);
        off[t + 1] = (uint32_t)b.n;
    }
    struct values v = {.n = w->t->n, .lane = LANE_STR, .off = off, .bytes = b.p ? b.p : ""};
    struct encode_options o = *w->e->o;
    o.inner = TEMPLATE_INNER_MAX;
    struct chunk_stats unused;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    buf_put_varint(&out, w->t->n);
    struct encoder inner = {&v, &o, w->e->scratch, &out, &unused};
    enum err err = b.n > UINT32_MAX ? not_mine() : encode_plain(&inner);
    chunk = arena_str(w->e->scratch, buf_str(&out));
    buf_release(&out);
    buf_release(&b);
    if (err == OK)
        put_part(w, part_of_bytes(chunk));
    return err;
}

static enum err put_codes(struct writer *w)
{
    struct part_out part;
    TRY(part_of_codes(w->t->code, w->e->v->n, w->e->o, w->e->scratch, &part));
    put_part(w, part);
    return OK;
}

static enum err put_pools(struct writer *w)
{
    struct part_out numbers = {.zip = ZIP_NEVER};
    struct str texts = {"", 0};
    struct buf b;
    if (w->n_numbers)
        TRY(part_of_ints(w->number, w->n_numbers, w->e->o, w->e->scratch, &numbers));
    w->part[TEMPLATE_NUMBERS] = numbers;
    if (w->n_texts) {
        struct values v = {
            .n = w->n_texts, .lane = LANE_STR, .off = w->text_off, .bytes = w->texts.p};
        buf_init(&b, SIZE_MAX);
        struct chunk_stats unused;
        enum err err = inner_chunk(w, &v, NULL, NULL, &b, &unused);
        texts = arena_str(w->e->scratch, buf_str(&b));
        buf_release(&b);
        TRY(err);
    }
    w->part[TEMPLATE_TEXTS] = part_of_bytes(texts);
    struct part_out codes = {.zip = ZIP_NEVER};
    if (w->n_codes)
        TRY(part_of_ints(w->code, w->n_codes, w->e->o, w->e->scratch, &codes));
    w->part[TEMPLATE_WORDS] = codes;
    w->part[TEMPLATE_SLOTS] =
        (struct part_out){.raw = arena_str(w->e->scratch, buf_str(&w->slots)), .zip = ZIP_TRY};
    return OK;
}

static enum err put_dictionaries(struct writer *w)
{
    buf_put_varint(&w->slots, w->words.n_dicts);
    for (uint32_t d = 0; d < w->words.n_dicts; d++)
        buf_put_u16(&w->slots, values_kinds(&w->words.dict[d]));
    for (uint32_t d = 0; d < w->words.n_dicts; d++) {
        struct buf b;
        struct chunk_stats unused;
        buf_init(&b, SIZE_MAX);
        buf_put_varint(&b, w->words.dict[d].n);
        enum err err = inner_chunk(w, &w->words.dict[d], NULL, NULL, &b, &unused);
        put_part(w, part_of_bytes(arena_str(w->e->scratch, buf_str(&b))));
        buf_release(&b);
        TRY(err);
    }
    return OK;
}

static enum err write_parts(struct writer *w)
{
    if (!w->e->o->slot)
        TRY(shared_words_find(w->t, w->e->scratch, &w->words));
    TRY(pools_init(w));
    TRY(put_patterns(w));
    TRY(put_codes(w));
    for (uint32_t i = TEMPLATE_SLOTS; i < TEMPLATE_PARTS; i++)
        put_part(w, part_of_bytes(str_of("", 0)));
    TRY(put_dictionaries(w));
    uint32_t n_slots = 0;
    for (uint32_t t = 0; t < w->t->n; t++) {
        buf_put_varint(&w->slots, w->t->t[t].n_slots);
        n_slots += w->t->t[t].n_slots;
    }
    if (w->e->o->words && !w->e->o->words->done)
        w->tokens = ARENA_ARRAY(w->e->scratch, struct slot_tokens, n_slots);
    static const struct shared_slot none;
    uint32_t slot = 0;
    for (uint32_t t = 0; t < w->t->n; t++) {
        w->siblings = (struct siblings){0};
        for (uint32_t s = 0; s < w->t->t[t].n_slots; s++, slot++)
            TRY(put_slot(w, &w->t->t[t], s, w->words.slot ? &w->words.slot[slot] : &none));
    }
    return w->n_parts >= CHUNK_PARTS_MAX ? not_mine() : put_pools(w);
}

static void put_all_words(const struct writer *w)
{
    struct word_sink *sink = w->e->o->words;
    if (sink->bound)
        sink->bound(sink->ctx, chunk_bytes_max(w->part, w->n_parts));
    template_tokens_put(w->t, w->tokens, sink, w->e->scratch);
}

enum err encode_template(const struct encoder *e)
{
    const struct values *v = e->v;
    if (e->o->inner >= TEMPLATE_INNER_MAX || v->n < TEXTS_MIN ||
        values_bytes(v) < (uint64_t)v->n * LENGTH_MIN)
        return not_mine();
    struct templates t;
    uint32_t repeats =
        e->o->zstd_level <= ENCODE_QUICK_LEVEL ? TEMPLATE_REPEATS_QUICK : TEMPLATE_REPEATS;
    bool learns = e->o->column && values_bytes(v) >= LEARN_FROM;
    struct learnt_column *learnt = learns ? learnt_column(e->o->column) : NULL;
    if (!templates_find(v, e->o->slot ? TEMPLATE_FINE : TEMPLATE_JOINED, repeats, learnt,
                        e->scratch, &t))
        return not_mine();
    struct writer w = {.e = e, .t = &t};
    buf_init(&w.slots, SIZE_MAX);
    buf_init(&w.texts, SIZE_MAX);
    arena_init(&w.numbers, 0, e->scratch->res);
    enum err err = write_parts(&w);
    arena_release(&w.numbers);
    buf_release(&w.texts);
    buf_release(&w.slots);
    TRY(err);
    if (w.tokens)
        put_all_words(&w);
    e->stats->encoding = ENC_TEMPLATE;
    return chunk_write(ENC_TEMPLATE, v->n, w.part, w.n_parts, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

static enum err template_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct templated o;
    TRY(templated_open(c, a, &o));
    return templated_values(&o, ret);
}

static enum err template_get(const struct chunk *c, const uint32_t *pos, uint32_t n,
                             struct arena *a, struct values *ret)
{
    struct templated o;
    TRY(templated_open(c, a, &o));
    return templated_get(&o, pos, n, ret);
}

/* Where no pattern has a hole they are a dictionary. */
static enum err template_codes(const struct chunk *c, struct arena *a, struct values *ret_dict,
                               const uint32_t **ret_code)
{
    struct templated o;
    TRY(templated_open(c, a, &o));
    if (o.first_slot[o.n] > 0)
        return not_mine();
    *ret_code = o.code;
    return templated_whole(&o, ret_dict);
}

static enum err template_alike(const struct chunk *c, struct arena *a, struct values *ret,
                               const uint32_t **ret_code)
{
    struct templated o;
    TRY(templated_open(c, a, &o));
    return templated_alike(&o, ret, ret_code);
}

const struct encoding_ops encoding_template = {.name = "template",
                                               .values = template_values,
                                               .get = template_get,
                                               .match = template_match,
                                               .codes = template_codes,
                                               .json = template_json,
                                               .alike = template_alike};
