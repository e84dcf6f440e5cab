/* Texts of templates on their way into JSON.
 *
 * What stands between the quotes is the same whether a text is escaped as a whole or piece by
 * piece: each byte of ASCII is escaped by itself. So static texts, words and slots' texts are
 * looked at once, escaped where they must be, and then put one behind the other into the answer;
 * numbers are written there, and no text of a row stands anywhere else before. Bytes above ASCII
 * may belong to characters that a slot has cut in two: a template that has some is put together
 * first, and then escaped as any text.
 *
 * Copies are made 16 bytes at a time, past the end of what is copied: static texts have so many
 * bytes behind them, and so does the room for a text. */
#include "record/json.h"
#include "record/scan.h"
#include "store/template_read.h"

/* From a part in so many on it pays to look at what all of a chunk's texts share. */
enum { PART = 16 };
enum { SLACK = 16, AHEAD = 4, FAR_BYTES = 256 << 10 };

/* What escaping finds in some bytes. */
enum look { LOOK_PLAIN, LOOK_ESCAPES, LOOK_HIGH };

/* Texts of a slot, or words. */
struct put_texts {
    const uint32_t *off;
    const char *bytes, *end;
    uint32_t n;
    uint32_t most; /* bytes of one */
    enum look look;
};

enum put_kind { PUT_TEXT, PUT_WORD, PUT_FAR_WORD /* of many, not in the cache */, PUT_NUMBER };

/* A slot and the static text behind it. */
struct put_slot {
    enum put_kind kind;
    uint8_t dict;
    struct numeral_form form;
    const int64_t *number; /* or codes of words; by text of the template */
    struct put_texts texts;
    size_t most; /* bytes of one */
    struct str after;
};

struct put_template {
    struct str head;
    struct put_slot *slot;
    uint32_t n_slots;
    uint32_t first, n; /* its texts among those asked for: so many from that one on */
    uint32_t next;
    size_t most; /* bytes of one, with the slack */
    bool high;   /* not escaped yet */
};

struct writer {
    struct json_texts texts;
    struct templated o;
    uint32_t at, end; /* texts of the chunk, to be put */
    struct put_template *template;
    struct put_texts *dict, *escaped; /* of the chunk; n 0: not yet */
    struct buf text;                  /* of a template with high bytes */
};

static enum err no_memory(void)
{
    return err_set(ERR_NOMEM, "no memory for texts of templates");
}

/* ---- escaping ---- */

static enum look look_at(const char *p, size_t n)
{
    scan_bytes v, special = {0}, high = {0};
    size_t i = 0;
    for (; n - i >= sizeof(v); i += sizeof(v)) {
        memcpy(&v, p + i, sizeof(v));
        special |= scan_special16(v);
        high |= scan_high16(v);
    }
    bool any = scan_bits(special), above = scan_bits(high);
    for (; i < n; i++) {
        any |= scan_special1((unsigned char)p[i]);
        above |= scan_high1((unsigned char)p[i]);
    }
    return above ? LOOK_HIGH : any ? LOOK_ESCAPES : LOOK_PLAIN;
}

static struct put_texts texts_of_values(const struct values *v)
{
    uint32_t most = 0;
    for (uint32_t i = 0; i < v->n; i++) {
        uint32_t n = v->off[i + 1] - v->off[i];
        most = n > most ? n : most;
    }
    return (struct put_texts){.off = v->off,
                              .bytes = v->bytes,
                              .end = v->bytes + v->off[v->n],
                              .n = v->n,
                              .most = most,
                              .look = look_at(v->bytes + v->off[0], v->off[v->n] - v->off[0])};
}

static enum err escape_texts(const struct put_texts *t, struct arena *a, struct put_texts *ret)
{
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)t->n + 1);
    if (!off)
        return no_memory();
    struct buf b;
    buf_init(&b, UINT32_MAX);
    off[0] = 0;
    for (uint32_t i = 0; i < t->n; i++) {
        json_put_inside(&b, str_of(t->bytes + t->off[i], t->off[i + 1] - t->off[i]));
        off[i + 1] = (uint32_t)b.n;
    }
    char *bytes = b.n < b.max ? arena_try_alloc(a, b.n + 1) : NULL;
    if (bytes && b.n)
        memcpy(bytes, b.p, b.n);
    buf_release(&b);
    if (!bytes)
        return no_memory();
    *ret = texts_of_values(&(struct values){.n = t->n, .off = off, .bytes = bytes});
    return OK;
}

/* ---- slots ---- */

static enum err set_numbers(struct put_slot *s, const struct numeral_form *form,
                            const int64_t *number, uint32_t n)
{
    uint64_t most = 0; /* as unsigned numbers, negative ones are the largest */
    for (uint32_t i = 0; i < n; i++)
        most = (uint64_t)number[i] > most ? (uint64_t)number[i] : most;
    if (!numeral_fits(form, (int64_t)most))
        return err_set(ERR_CORRUPT, "a number out of its digits' range");
    s->kind = PUT_NUMBER;
    s->form = *form;
    s->number = number;
    s->most = numeral_write(form, (int64_t)most, NULL);
    return OK;
}

/* ERR_UNSUPPORTED: they are none. */
static enum err own_numbers(struct writer *w, const struct put_template *t, uint32_t template,
                            uint32_t slot, struct put_slot *s)
{
    struct chunk *c = NULL;
    struct numeral_form form;
    const int64_t *number = NULL;
    TRY(templated_own(&w->o, template, slot, &c));
    TRY(chunk_numerals(c, t->first, t->n, w->o.a, &form, &number));
    return set_numbers(s, &form, number, t->n);
}

static enum err texts_of(struct writer *w, const struct put_template *t, uint32_t template,
                         uint32_t slot, struct values *ret)
{
    uint32_t all = w->o.rows[template];
    bool pool = w->o.slot[slot].kind == SLOT_TEXT;
    if (t->n == all || pool) {
        TRY(templated_slot(&w->o, template, slot, NULL, all, ret));
        ret->off += t->first;
        ret->n = t->n;
        return OK;
    }
    uint32_t *rank = ARENA_TRY_ARRAY(w->o.a, uint32_t, t->n);
    if (!rank)
        return no_memory();
    for (uint32_t i = 0; i < t->n; i++)
        rank[i] = t->first + i;
    return templated_slot(&w->o, template, slot, rank, t->n, ret);
}

static enum err set_slot(struct writer *w, const struct put_template *t, uint32_t template,
                         uint32_t slot, struct put_slot *s)
{
    const struct slot *from = &w->o.slot[slot];
    if (from->kind == SLOT_WORDS || from->kind == SLOT_OWN_WORDS) {
        const struct values *dict = NULL;
        TRY(templated_words(&w->o, template, slot, &dict, &s->number));
        if (!w->dict[from->dict].n)
            w->dict[from->dict] = texts_of_values(dict);
        s->number += t->first;
        s->dict = from->dict;
        s->texts = w->dict[from->dict];
        bool far = s->texts.off[s->texts.n] - s->texts.off[0] > FAR_BYTES;
        s->kind = far ? PUT_FAR_WORD : PUT_WORD;
        return OK;
    }
    if (from->kind == SLOT_NUMBER) {
        const int64_t *number = NULL;
        TRY(templated_numbers(&w->o, slot, &number));
        return set_numbers(s, &from->form, number + t->first, t->n);
    }
    if (from->kind == SLOT_OWN) {
        enum err err = own_numbers(w, t, template, slot, s);
        if (err != ERR_UNSUPPORTED)
            return err;
    }
    struct values v;
    TRY(texts_of(w, t, template, slot, &v));
    s->kind = PUT_TEXT;
    s->texts = texts_of_values(&v);
    return OK;
}

static enum err escape_slot(struct writer *w, struct put_slot *s)
{
    if (s->texts.look != LOOK_ESCAPES)
        return OK;
    if (s->kind == PUT_TEXT)
        return escape_texts(&s->texts, w->o.a, &s->texts);
    struct put_texts *words = &w->escaped[s->dict];
    if (!words->n)
        TRY(escape_texts(&s->texts, w->o.a, words));
    s->texts = *words;
    return OK;
}

/* ---- templates ---- */

static struct str *piece_of(struct put_template *t, uint32_t i)
{
    return i ? &t->slot[i - 1].after : &t->head;
}

/* Puts the static texts one behind the other, escaped and with the quotes where they stay so. */
static void put_pieces(struct put_template *t, const struct str *piece, struct buf *out)
{
    for (uint32_t i = 0; i <= t->n_slots; i++) {
        size_t from = out->n;
        if (i == 0 && !t->high)
            buf_put_byte(out, '"');
        if (t->high)
            buf_put_str(out, piece[i]);
        else
            json_put_inside(out, piece[i]);
        if (i == t->n_slots && !t->high)
            buf_put_byte(out, '"');
        piece_of(t, i)->n = out->n - from;
    }
}

static enum err set_pieces(struct put_template *t, const struct str *piece, struct arena *a)
{
    struct buf b;
    buf_init(&b, UINT32_MAX);
    put_pieces(t, piece, &b);
    size_t n = b.n;
    char *bytes = n < b.max ? arena_try_alloc(a, n + SLACK) : NULL;
    if (bytes && n)
        memcpy(bytes, b.p, n);
    buf_release(&b);
    if (!bytes)
        return no_memory();
    memset(bytes + n, 0, SLACK);
    t->most = n + SLACK;
    for (uint32_t i = 0; i <= t->n_slots; i++) {
        struct str *s = piece_of(t, i);
        s->p = bytes;
        bytes += s->n;
        t->most += i ? t->slot[i - 1].most + t->slot[i - 1].texts.most : 0;
    }
    return OK;
}

static enum err set_template(struct writer *w, uint32_t template, struct str pattern,
                             struct put_template *t)
{
    struct arena *a = w->o.a;
    uint32_t first = w->o.first_slot[template];
    t->n_slots = w->o.first_slot[template + 1] - first;
    t->slot = ARENA_TRY_ARRAY(a, struct put_slot, t->n_slots);
    struct str *piece = ARENA_TRY_ARRAY(a, struct str, (size_t)t->n_slots + 1);
    if (!piece || (t->n_slots && !t->slot))
        return no_memory();
    memset(t->slot, 0, t->n_slots * sizeof(*t->slot));
    TRY(template_pieces(pattern, t->n_slots, a, piece));
    t->high = look_at(pattern.p, pattern.n) == LOOK_HIGH;
    for (uint32_t i = 0; i < t->n_slots; i++) {
        TRY(set_slot(w, t, template, first + i, &t->slot[i]));
        t->high |= t->slot[i].texts.look == LOOK_HIGH;
    }
    for (uint32_t i = 0; i < t->n_slots && !t->high; i++)
        TRY(escape_slot(w, &t->slot[i]));
    return set_pieces(t, piece, a);
}

static enum err set_templates(struct writer *w)
{
    struct templated *o = &w->o;
    struct values patterns;
    w->template = ARENA_TRY_ARRAY(o->a, struct put_template, o->n);
    w->dict = ARENA_TRY_ARRAY(o->a, struct put_texts, (size_t)o->n_dicts * 2 + 1);
    if (!w->template || !w->dict)
        return no_memory();
    w->escaped = w->dict + o->n_dicts;
    memset(w->template, 0, o->n * sizeof(*w->template));
    memset(w->dict, 0, (size_t)o->n_dicts * 2 * sizeof(*w->dict));
    for (uint32_t i = 0; i < w->at; i++)
        w->template[o->code[i]].first++;
    for (uint32_t i = w->at; i < w->end; i++)
        w->template[o->code[i]].n++;
    TRY(chunk_values(&o->patterns, o->a, &patterns));
    for (uint32_t t = 0; t < o->n; t++)
        if (w->template[t].n)
            TRY(set_template(w, t, values_text(&patterns, t), &w->template[t]));
    return OK;
}

/* ---- putting ---- */

static inline char *put_piece(char *to, struct str s)
{
    for (size_t i = 0; i < s.n; i += SLACK)
        memcpy(to + i, s.p + i, SLACK);
    return to + s.n;
}

static inline __attribute__((always_inline)) char *put_text(char *to, const struct put_texts *t,
                                                            uint32_t i)
{
    const char *p = t->bytes + t->off[i];
    size_t n = t->off[i + 1] - t->off[i];
    if (n <= SLACK && t->end - p >= SLACK)
        memcpy(to, p, SLACK);
    else
        str_copy(to, str_of(p, n));
    return to + n;
}

/* A word of a large dictionary, and those after it fetched ahead: first where it is told where they
 * stand, then they. */
static inline char *put_far_word(char *to, const struct put_slot *s, uint32_t i, uint32_t n)
{
    const struct put_texts *t = &s->texts;
    if (i + 2 * AHEAD < n) {
        __builtin_prefetch(t->off + s->number[i + 2 * AHEAD]);
        __builtin_prefetch(t->bytes + t->off[s->number[i + AHEAD]]);
    }
    return put_text(to, t, (uint32_t)s->number[i]);
}

static inline char *put_next(struct put_template *t, char *to)
{
    uint32_t i = t->next++;
    to = put_piece(to, t->head);
    for (uint32_t k = 0; k < t->n_slots; k++) {
        const struct put_slot *s = &t->slot[k];
        if (s->kind == PUT_NUMBER)
            to += numeral_write(&s->form, s->number[i], to);
        else if (s->kind == PUT_TEXT)
            to = put_text(to, &s->texts, i);
        else if (s->kind == PUT_WORD)
            to = put_text(to, &s->texts, (uint32_t)s->number[i]);
        else
            to = put_far_word(to, s, i, t->n);
        to = put_piece(to, s->after);
    }
    return to;
}

/* Where a text must be looked at as a whole, or may pass the end of the buffer. */
static void put_apart(struct writer *w, struct put_template *t, struct buf *out)
{
    char *to = buf_reserve(&w->text, t->most);
    struct str text = str_of(to, (size_t)(put_next(t, to) - to));
    if (t->high)
        json_put_string(out, text);
    else
        buf_put_str(out, text);
}

static void put(struct json_texts *texts, struct buf *out)
{
    struct writer *w = (struct writer *)texts;
    CHECK(w->at < w->end);
    struct put_template *t = &w->template[w->o.code[w->at++]];
    char *to = t->high ? NULL : buf_reserve(out, t->most);
    if (to)
        out->n = (size_t)(put_next(t, to) - out->p);
    else
        put_apart(w, t, out);
}

static void release(void *ctx)
{
    struct writer *w = ctx;
    buf_release(&w->text);
}

enum err template_json(const struct chunk *c, uint32_t from, uint32_t n, struct arena *a,
                       struct json_texts **ret)
{
    CHECK(n <= c->n && from <= c->n - n);
    if (n < c->n / PART)
        return not_mine();
    struct writer *w = ARENA_NEW(a, struct writer);
    w->texts.put = put;
    w->at = from;
    w->end = from + n;
    TRY(templated_open(c, a, &w->o));
    TRY(set_templates(w));
    buf_init(&w->text, SIZE_MAX);
    arena_defer(a, release, w);
    *ret = &w->texts;
    return OK;
}
