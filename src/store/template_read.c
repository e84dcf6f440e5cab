/* Reading chunks of templates. */
#include "store/template_read.h"

#include "store/codes.h"

static enum err no_memory(const char *what)
{
    return err_set(ERR_NOMEM, "no memory for %s", what);
}

static enum err open_inner(const struct templated *o, uint32_t part, struct str bytes, uint32_t n,
                           struct chunk *ret)
{
    TRY(chunk_open_inner(o->c, part, bytes, n, o->a, ret));
    ret->lane = LANE_STR;
    if (ret->encoding == ENC_TEMPLATE && ret->inner >= TEMPLATE_INNER_MAX)
        return err_set(ERR_CORRUPT, "templates too deep inside templates");
    return OK;
}

static enum err open_patterns(struct templated *o)
{
    struct str bytes;
    TRY(chunk_part_bytes(o->c, TEMPLATE_PATTERNS, &bytes));
    struct reader r = reader_of(bytes);
    uint64_t n = read_varint(&r);
    if (r.bad || n == 0 || n > o->c->n || !lane_is_text(o->c->lane) ||
        o->c->n_parts < TEMPLATE_PARTS)
        return err_set(ERR_CORRUPT, "%llu templates of %u texts", (unsigned long long)n, o->c->n);
    o->n = (uint32_t)n;
    return open_inner(o, TEMPLATE_PATTERNS, str_from(bytes, bytes.n - reader_left(&r)), o->n,
                      &o->patterns);
}

static enum err open_codes(struct templated *o)
{
    uint32_t *code;
    o->rows = ARENA_TRY_ARRAY(o->a, uint32_t, o->n);
    if (!o->rows)
        return no_memory("the codes of templates");
    TRY(part_codes(o->c, TEMPLATE_CODES, o->c->n, o->n, o->a, &code));
    memset(o->rows, 0, o->n * sizeof(*o->rows));
    for (uint32_t i = 0; i < o->c->n; i++)
        o->rows[code[i]]++;
    o->code = code;
    return OK;
}

static enum err read_slot(struct templated *o, struct reader *r, uint32_t rows, struct slot *s,
                          uint32_t *part)
{
    s->kind = read_u8(r);
    s->chunk = NULL;
    s->bytes = s->kind == SLOT_OWN || s->kind == SLOT_TEXT ? read_u16(r) : 0;
    if (s->kind == SLOT_OWN) {
        s->at = (*part)++;
    } else if (s->kind == SLOT_NUMBER) {
        s->form.frac = read_u8(r);
        s->form.pad = read_u8(r);
        s->form.width = read_u8(r);
        s->at = o->n_numbers;
        o->n_numbers += rows;
    } else if (s->kind == SLOT_TEXT) {
        s->at = o->n_texts;
        o->n_texts += rows;
    } else {
        bool own = s->kind == SLOT_OWN_WORDS;
        s->dict = read_u8(r);
        s->at = own ? (*part)++ : o->n_codes;
        o->n_codes += own ? 0 : rows;
    }
    bool words = s->kind == SLOT_WORDS || s->kind == SLOT_OWN_WORDS;
    if (r->bad || s->kind >= SLOT_KINDS || (words && s->dict >= o->n_dicts) ||
        o->n_numbers > CHUNK_VALUES_MAX || o->n_texts > CHUNK_VALUES_MAX ||
        o->n_codes > CHUNK_VALUES_MAX || (s->kind == SLOT_NUMBER && !numeral_form_ok(&s->form)))
        return err_set(ERR_CORRUPT, "bad slots of templates");
    return OK;
}

static enum err open_slots(struct templated *o)
{
    struct str bytes;
    TRY(chunk_part_bytes(o->c, TEMPLATE_SLOTS, &bytes));
    struct reader r = reader_of(bytes);
    o->first_slot = ARENA_TRY_ARRAY(o->a, uint32_t, (size_t)o->n + 1);
    if (!o->first_slot)
        return no_memory("the slots of templates");
    uint64_t n = 0, dicts = read_varint(&r);
    if (dicts > TEMPLATE_DICTS_MAX)
        return err_set(ERR_CORRUPT, "%llu dictionaries of templates", (unsigned long long)dicts);
    o->n_dicts = (uint32_t)dicts;
    o->dict = ARENA_TRY_ARRAY(o->a, const struct values *, dicts + 1);
    o->dict_bytes = ARENA_TRY_ARRAY(o->a, uint16_t, dicts + 1);
    if (!o->dict || !o->dict_bytes)
        return no_memory("the dictionaries of templates");
    memset(o->dict, 0, dicts * sizeof(*o->dict));
    for (uint32_t d = 0; d < dicts; d++)
        o->dict_bytes[d] = read_u16(&r);
    for (uint32_t t = 0; t < o->n; t++) {
        o->first_slot[t] = (uint32_t)n;
        n += read_varint(&r);
        if (r.bad || n > bytes.n)
            return err_set(ERR_CORRUPT, "bad slots of templates");
    }
    o->first_slot[o->n] = (uint32_t)n;
    o->slot = ARENA_TRY_ARRAY(o->a, struct slot, n);
    if (!o->slot)
        return no_memory("the slots of templates");
    uint32_t part = TEMPLATE_PARTS + o->n_dicts;
    for (uint32_t t = 0; t < o->n; t++)
        for (uint32_t s = o->first_slot[t]; s < o->first_slot[t + 1]; s++)
            TRY(read_slot(o, &r, o->rows[t], &o->slot[s], &part));
    if (reader_left(&r) || part != o->c->n_parts)
        return err_set(ERR_CORRUPT, "the slots of templates do not add up");
    return OK;
}

enum err templated_open(const struct chunk *c, struct arena *a, struct templated *ret)
{
    *ret = (struct templated){.c = c, .a = a};
    TRY(open_patterns(ret));
    TRY(open_codes(ret));
    return open_slots(ret);
}

/* ---- the values of slots ---- */

/* The _time of the texts of one template, for its own chunks. */
struct slot_time {
    struct templated *o;
    uint32_t template, slot;
};

/* The texts of every template, ascending. */
static enum err list_texts(struct templated *o)
{
    uint32_t *start = ARENA_TRY_ARRAY(o->a, uint32_t, (size_t)o->n + 2);
    uint32_t *of = ARENA_TRY_ARRAY(o->a, uint32_t, o->c->n);
    if (!start || !of)
        return no_memory("the texts of templates");
    start[0] = start[1] = 0;
    for (uint32_t t = 0; t < o->n; t++)
        start[t + 2] = start[t + 1] + o->rows[t];
    for (uint32_t i = 0; i < o->c->n; i++)
        of[start[o->code[i] + 1]++] = i;
    o->of_start = start;
    o->of = of;
    return OK;
}

static enum err time_of_slot(void *ctx, const int64_t **ret)
{
    const struct slot_time *x = ctx;
    struct templated *o = x->o;
    if (!o->c->time)
        return err_set(ERR_CORRUPT, "times without a time");
    if (!o->time)
        TRY(o->c->time(o->c->time_ctx, &o->time));
    int64_t *to = ARENA_TRY_ARRAY(o->a, int64_t, o->rows[x->template] + 1);
    if (!to)
        return no_memory("the times of a template");
    *ret = to;
    if (o->times_asked++ > 2 && !o->of) /* else a walk over all codes is less */
        TRY(list_texts(o));
    if (o->of) {
        const uint32_t *of = o->of + o->of_start[x->template];
        for (uint32_t i = 0; i < o->rows[x->template]; i++)
            to[i] = o->time[of[i]];
        return OK;
    }
    for (uint32_t i = 0, n = 0; i < o->c->n; i++)
        if (o->code[i] == x->template)
            to[n++] = o->time[i];
    return OK;
}

static enum err sibling_of_slot(void *ctx, uint8_t back, const int64_t **ret);

enum err templated_own(struct templated *o, uint32_t template, uint32_t slot, struct chunk **ret)
{
    struct slot *s = &o->slot[slot];
    if (!s->chunk) {
        struct str bytes;
        struct chunk *c = ARENA_TRY_ARRAY(o->a, struct chunk, 1);
        struct slot_time *time = ARENA_TRY_ARRAY(o->a, struct slot_time, 1);
        if (!c || !time)
            return no_memory("a slot");
        TRY(chunk_part_bytes(o->c, s->at, &bytes));
        TRY(open_inner(o, s->at, bytes, o->rows[template], c));
        *time = (struct slot_time){o, template, slot};
        c->time = o->c->time ? time_of_slot : NULL;
        c->sibling = sibling_of_slot;
        c->time_ctx = time;
        s->chunk = c;
    }
    *ret = s->chunk;
    return OK;
}

/* The numbers of another slot of the same template, which are held as such. */
static enum err sibling_of_slot(void *ctx, uint8_t back, const int64_t **ret)
{
    const struct slot_time *x = ctx;
    struct templated *o = x->o;
    struct chunk *c = NULL;
    int64_t *number = NULL;
    if (back > x->slot - o->first_slot[x->template] || o->slot[x->slot - back].kind != SLOT_OWN)
        return err_set(ERR_CORRUPT, "differences to a slot that is not there");
    TRY(templated_own(o, x->template, x->slot - back, &c));
    if (c->encoding != ENC_NUMERAL)
        return err_set(ERR_CORRUPT, "differences to what are no numbers");
    TRY(numeral_mantissas(c, o->a, &number));
    *ret = number;
    return OK;
}

enum err templated_numbers(struct templated *o, uint32_t slot, const int64_t **ret)
{
    int64_t *all = NULL;
    if (!o->number)
        TRY(part_ints(o->c, TEMPLATE_NUMBERS, 0, o->n_numbers, o->a, &all));
    o->number = o->number ? o->number : all;
    *ret = o->number + o->slot[slot].at;
    return OK;
}

enum err templated_pool(const struct templated *o, struct chunk *ret)
{
    struct str bytes;
    TRY(chunk_part_bytes(o->c, TEMPLATE_TEXTS, &bytes));
    return open_inner(o, TEMPLATE_TEXTS, bytes, o->n_texts, ret);
}

static enum err text_pool(struct templated *o)
{
    if (o->text)
        return OK;
    struct chunk c;
    struct values *v = ARENA_TRY_ARRAY(o->a, struct values, 1);
    if (!v)
        return no_memory("the texts of slots");
    TRY(templated_pool(o, &c));
    TRY(chunk_values(&c, o->a, v));
    o->text = v;
    return OK;
}

static enum err texts_out(struct templated *o, uint32_t slot, const uint32_t *rank, uint32_t n,
                          struct values *ret)
{
    const struct slot *s = &o->slot[slot];
    if (rank && o->picked) {
        *ret = *o->picked;
        ret->n = n;
        ret->off += o->picked_at[slot];
        return OK;
    }
    TRY(text_pool(o));
    *ret = *o->text;
    ret->n = n;
    ret->off += s->at;
    return rank ? text_pick(ret, rank, n, o->a, ret) : OK;
}

static enum err dictionary(struct templated *o, uint32_t d, const struct values **ret)
{
    if (!o->dict[d]) {
        struct str bytes;
        struct chunk c;
        struct values *v = ARENA_TRY_ARRAY(o->a, struct values, 1);
        if (!v)
            return no_memory("a dictionary");
        TRY(chunk_part_bytes(o->c, TEMPLATE_PARTS + d, &bytes));
        struct reader r = reader_of(bytes);
        uint64_t n = read_varint(&r);
        if (r.bad || n == 0 || n > CHUNK_VALUES_MAX)
            return err_set(ERR_CORRUPT, "a dictionary of %llu words", (unsigned long long)n);
        TRY(open_inner(o, TEMPLATE_PARTS + d, str_from(bytes, bytes.n - reader_left(&r)),
                       (uint32_t)n, &c));
        TRY(chunk_values_kept(&c, o->a, v));
        o->dict[d] = v;
    }
    *ret = o->dict[d];
    return OK;
}

enum err templated_words(struct templated *o, uint32_t template, uint32_t slot,
                         const struct values **ret_dict, const int64_t **ret_code)
{
    const struct slot *s = &o->slot[slot];
    uint32_t rows = o->rows[template];
    int64_t *all = NULL;
    TRY(dictionary(o, s->dict, ret_dict));
    if (s->kind == SLOT_OWN_WORDS) {
        TRY(part_ints(o->c, s->at, 0, rows, o->a, &all));
        *ret_code = all;
    } else {
        if (!o->pool_code)
            TRY(part_ints(o->c, TEMPLATE_WORDS, 0, o->n_codes, o->a, &all));
        o->pool_code = o->pool_code ? o->pool_code : all;
        *ret_code = o->pool_code + s->at;
    }
    uint64_t past = 0;
    for (uint32_t i = 0; i < rows; i++)
        past |= (uint64_t)(*ret_code)[i] >= (*ret_dict)->n;
    return past ? err_set(ERR_CORRUPT, "a code past the end of its dictionary") : OK;
}

static enum err words_out(struct templated *o, uint32_t template, uint32_t slot,
                          const uint32_t *rank, uint32_t n, struct values *ret)
{
    const struct values *dict = NULL;
    const int64_t *code = NULL;
    TRY(templated_words(o, template, slot, &dict, &code));
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < n; i++) {
        int64_t k = code[rank ? rank[i] : i];
        bytes += dict->off[k + 1] - dict->off[k];
    }
    struct text_out out;
    TRY(text_out_init(&out, n, bytes, o->a));
    for (uint32_t i = 0; i < n; i++)
        text_out_add(&out, values_text(dict, (uint32_t)code[rank ? rank[i] : i]));
    *ret = text_out_values(&out, LANE_STR);
    return OK;
}

enum err templated_slot(struct templated *o, uint32_t template, uint32_t slot, const uint32_t *rank,
                        uint32_t n, struct values *ret)
{
    struct slot *s = &o->slot[slot];
    if (s->kind == SLOT_NUMBER) {
        const int64_t *number = NULL;
        TRY(templated_numbers(o, slot, &number));
        return numeral_texts(&s->form, number, rank, n, LANE_STR, o->a, ret);
    }
    if (s->kind == SLOT_TEXT)
        return texts_out(o, slot, rank, n, ret);
    if (s->kind != SLOT_OWN)
        return words_out(o, template, slot, rank, n, ret);
    struct chunk *c = NULL;
    TRY(templated_own(o, template, slot, &c));
    return rank ? chunk_get(c, rank, n, o->a, ret) : chunk_values(c, o->a, ret);
}

/* ---- putting texts together ---- */

/* The values of a slot for the texts asked for: in their order, or codes into a dictionary. */
struct filled_slot {
    struct values v;
    const int64_t *code;  /* NULL: none */
    const uint32_t *rank; /* whose codes; NULL: all */
};
/* One template with those of its slots. */
struct filled {
    struct str *piece; /* n_slots + 1 static texts */
    struct filled_slot *slot;
    uint32_t n_slots;
    uint32_t next; /* text to be written next */
};

static enum err unescape(struct str pattern, struct arena *a, struct str *ret)
{
    char *to = arena_try_alloc(a, pattern.n + 1);
    if (!to)
        return no_memory("a pattern");
    size_t n = 0;
    for (size_t i = 0; i < pattern.n; i++) {
        to[n++] = pattern.p[i];
        if (pattern.p[i] == TEMPLATE_HOLE && (++i == pattern.n || pattern.p[i] != TEMPLATE_HOLE))
            return err_set(ERR_CORRUPT, "a hole without a slot");
    }
    *ret = str_of(to, n);
    return OK;
}

enum err template_pieces(struct str pattern, uint32_t n_slots, struct arena *a, struct str *ret)
{
    ret[0] = pattern;
    if (n_slots == 0)
        return memchr(pattern.p, TEMPLATE_HOLE, pattern.n) ? unescape(pattern, a, ret) : OK;
    size_t at = 0;
    for (uint32_t i = 0; i <= n_slots; i++) {
        size_t end = str_find_byte(pattern, TEMPLATE_HOLE, at);
        if ((end == pattern.n) != (i == n_slots))
            return err_set(ERR_CORRUPT, "a pattern with holes other than its slots");
        ret[i] = str_of(pattern.p + at, end - at);
        at = end + 1;
    }
    return OK;
}

static struct str filled_text(const struct filled_slot *s, uint32_t i)
{
    if (s->code)
        i = (uint32_t)s->code[s->rank ? s->rank[i] : i];
    return values_text(&s->v, i);
}

static uint64_t filled_bytes(const struct filled *f, uint32_t texts)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i <= f->n_slots; i++)
        n += f->piece[i].n * (uint64_t)texts;
    for (uint32_t i = 0; i < f->n_slots; i++) {
        const struct filled_slot *s = &f->slot[i];
        if (!s->code)
            n += s->v.off[texts] - s->v.off[0];
        for (uint32_t k = 0; s->code && k < texts; k++)
            n += filled_text(s, k).n;
    }
    return n;
}

static inline void put_str(char **to, struct str s)
{
    str_copy(*to, s);
    *to += s.n;
}

static void put_text(struct filled *f, struct text_out *out)
{
    char *to = out->bytes + out->used;
    put_str(&to, f->piece[0]);
    for (uint32_t i = 0; i < f->n_slots; i++) {
        put_str(&to, filled_text(&f->slot[i], f->next));
        put_str(&to, f->piece[i + 1]);
    }
    f->next++;
    out->used = (uint64_t)(to - out->bytes);
    out->off[++out->n] = (uint32_t)out->used;
}

static enum err fill_slot(struct templated *o, uint32_t template, uint32_t slot,
                          const uint32_t *rank, uint32_t n, struct filled_slot *ret)
{
    const struct values *dict = NULL;
    uint8_t kind = o->slot[slot].kind;
    *ret = (struct filled_slot){.rank = rank};
    if (kind != SLOT_WORDS && kind != SLOT_OWN_WORDS)
        return templated_slot(o, template, slot, rank, n, &ret->v);
    TRY(templated_words(o, template, slot, &dict, &ret->code));
    ret->v = *dict;
    return OK;
}

static enum err fill(struct templated *o, uint32_t template, struct str pattern,
                     const uint32_t *rank, uint32_t n, struct filled *ret)
{
    uint32_t first = o->first_slot[template];
    uint32_t n_slots = o->first_slot[template + 1] - first;
    *ret = (struct filled){.n_slots = n_slots};
    ret->piece = ARENA_TRY_ARRAY(o->a, struct str, (size_t)n_slots + 1);
    ret->slot = ARENA_TRY_ARRAY(o->a, struct filled_slot, n_slots);
    if (!ret->piece || (n_slots && !ret->slot))
        return no_memory("a pattern");
    TRY(template_pieces(pattern, n_slots, o->a, ret->piece));
    for (uint32_t i = 0; i < ret->n_slots; i++)
        TRY(fill_slot(o, template, first + i, rank, n, &ret->slot[i]));
    return OK;
}

enum err templated_values(struct templated *o, struct values *ret)
{
    struct values patterns;
    TRY(chunk_values(&o->patterns, o->a, &patterns));
    struct filled *f = ARENA_TRY_ARRAY(o->a, struct filled, o->n);
    if (!f)
        return no_memory("templates");
    uint64_t bytes = 0;
    for (uint32_t t = 0; t < o->n; t++) {
        TRY(fill(o, t, values_text(&patterns, t), NULL, o->rows[t], &f[t]));
        bytes += filled_bytes(&f[t], o->rows[t]);
    }
    struct text_out out;
    TRY(text_out_init(&out, o->c->n, bytes, o->a));
    for (uint32_t i = 0; i < o->c->n; i++)
        put_text(&f[o->code[i]], &out);
    *ret = text_out_values(&out, o->c->lane);
    return OK;
}

/* What a get asks of each template. */
struct asked {
    uint32_t *number; /* of the template among those asked for, + 1; 0: not asked for */
    uint32_t *template;
    uint32_t *start; /* where its ranks begin */
    uint32_t *rank;
    uint32_t n;
};

static enum err ask(const struct templated *o, const uint32_t *pos, uint32_t n, struct asked *ret)
{
    struct arena *a = o->a;
    uint32_t *seen = ARENA_TRY_ARRAY(a, uint32_t, o->n), *of = ARENA_TRY_ARRAY(a, uint32_t, n);
    ret->number = ARENA_TRY_ARRAY(a, uint32_t, o->n);
    ret->template = ARENA_TRY_ARRAY(a, uint32_t, n);
    ret->start = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 2);
    ret->rank = ARENA_TRY_ARRAY(a, uint32_t, n);
    if (!seen || !of || !ret->number || !ret->template || !ret->start || !ret->rank)
        return no_memory("the texts asked for");
    memset(seen, 0, o->n * sizeof(*seen));
    memset(ret->number, 0, o->n * sizeof(*ret->number));
    memset(ret->start, 0, ((size_t)n + 2) * sizeof(*ret->start));
    ret->n = 0;
    uint32_t row = 0;
    for (uint32_t i = 0; i < n; i++) {
        for (; row < pos[i]; row++)
            seen[o->code[row]]++;
        uint32_t t = o->code[pos[i]];
        if (!ret->number[t]) {
            ret->template[ret->n] = t;
            ret->number[t] = ++ret->n;
        }
        of[i] = seen[t];
        ret->start[ret->number[t] + 1]++;
    }
    for (uint32_t i = 0; i < ret->n; i++)
        ret->start[i + 2] += ret->start[i + 1];
    for (uint32_t i = 0; i < n; i++)
        ret->rank[ret->start[ret->number[o->code[pos[i]]]]++] = of[i];
    return OK;
}

/* The patterns of the templates asked for, in the order of those. */
static enum err asked_patterns(const struct templated *o, const struct asked *q, struct str *ret)
{
    uint32_t *up = ARENA_TRY_ARRAY(o->a, uint32_t, q->n);
    if (!up)
        return no_memory("patterns");
    uint32_t n = 0;
    for (uint32_t t = 0; t < o->n; t++)
        if (q->number[t])
            up[n++] = t;
    struct values v;
    TRY(chunk_get(&o->patterns, up, n, o->a, &v));
    for (uint32_t i = 0; i < n; i++)
        ret[q->number[up[i]] - 1] = values_text(&v, i);
    return OK;
}

/* The ranks asked of a template: their number. */
static uint32_t asked_ranks(const struct asked *q, uint32_t template, const uint32_t **ret)
{
    uint32_t i = q->number[template] - 1;
    *ret = q->rank + q->start[i];
    return q->start[i + 1] - q->start[i];
}

/* Of the pool of texts only what is asked for, all of it at once, where that is a small part. */
static enum err pick_texts(struct templated *o, const struct asked *q)
{
    uint32_t total = 0, n = 0;
    for (uint32_t t = 0; t < o->n; t++)
        for (uint32_t s = o->first_slot[t]; q->number[t] && s < o->first_slot[t + 1]; s++) {
            const uint32_t *rank;
            total += o->slot[s].kind == SLOT_TEXT ? asked_ranks(q, t, &rank) : 0;
        }
    if (o->text || total == 0 || total > o->n_texts / 4)
        return OK;
    uint32_t *pos = ARENA_TRY_ARRAY(o->a, uint32_t, total);
    uint32_t *at = ARENA_TRY_ARRAY(o->a, uint32_t, o->first_slot[o->n]);
    struct values *v = ARENA_TRY_ARRAY(o->a, struct values, 1);
    struct chunk *pool = ARENA_TRY_ARRAY(o->a, struct chunk, 1);
    if (!pos || !at || !v || !pool)
        return no_memory("the texts of slots");
    for (uint32_t t = 0; t < o->n; t++)
        for (uint32_t s = o->first_slot[t]; q->number[t] && s < o->first_slot[t + 1]; s++) {
            const uint32_t *rank;
            uint32_t texts = asked_ranks(q, t, &rank);
            at[s] = n;
            for (uint32_t i = 0; o->slot[s].kind == SLOT_TEXT && i < texts; i++)
                pos[n++] = o->slot[s].at + rank[i];
        }
    TRY(templated_pool(o, pool));
    TRY(chunk_get(pool, pos, n, o->a, v));
    o->picked = v;
    o->picked_at = at;
    return OK;
}

enum err templated_get(struct templated *o, const uint32_t *pos, uint32_t n, struct values *ret)
{
    struct asked q = {0};
    TRY(ask(o, pos, n, &q));
    TRY(pick_texts(o, &q));
    struct filled *f = ARENA_TRY_ARRAY(o->a, struct filled, q.n);
    struct str *pattern = ARENA_TRY_ARRAY(o->a, struct str, q.n);
    if (!f || !pattern)
        return no_memory("templates");
    TRY(asked_patterns(o, &q, pattern));
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < q.n; i++) {
        uint32_t texts = q.start[i + 1] - q.start[i];
        TRY(fill(o, q.template[i], pattern[i], q.rank + q.start[i], texts, &f[i]));
        bytes += filled_bytes(&f[i], texts);
    }
    struct text_out out;
    TRY(text_out_init(&out, n, bytes, o->a));
    for (uint32_t i = 0; i < n; i++)
        put_text(&f[q.number[o->code[pos[i]]] - 1], &out);
    o->picked = NULL;
    *ret = text_out_values(&out, o->c->lane);
    return OK;
}

enum err templated_alike(struct templated *o, struct values *ret, const uint32_t **ret_code)
{
    uint32_t *pos = ARENA_TRY_ARRAY(o->a, uint32_t, o->n), n = 0;
    uint32_t *number = ARENA_TRY_ARRAY(o->a, uint32_t, o->n); /* of a template's first, + 1 */
    uint32_t *code = ARENA_TRY_ARRAY(o->a, uint32_t, o->c->n);
    if (!pos || !number || !code)
        return no_memory("templates");
    memset(number, 0, o->n * sizeof(*number));
    for (uint32_t i = 0; i < o->c->n; i++) {
        uint32_t *its = &number[o->code[i]];
        if (!*its) {
            pos[n++] = i;
            *its = n;
        }
        code[i] = *its - 1;
    }
    *ret_code = code;
    return ret ? templated_get(o, pos, n, ret) : OK;
}

enum err templated_whole(struct templated *o, struct values *ret)
{
    struct values pattern;
    struct text_out out;
    struct str s;
    TRY(chunk_values(&o->patterns, o->a, &pattern));
    TRY(text_out_init(&out, o->n, pattern.off[o->n] - pattern.off[0], o->a));
    for (uint32_t t = 0; t < o->n; t++) {
        TRY(template_pieces(values_text(&pattern, t), 0, o->a, &s));
        text_out_add(&out, s);
    }
    *ret = text_out_values(&out, o->c->lane);
    return OK;
}
