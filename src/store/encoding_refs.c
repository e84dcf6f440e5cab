/* Texts with references to other columns of their rows.
 *
 * ENC_REFS
 *   part 0   varint number of columns (1..112); of each: varint length and bytes of its path,
 *            varint occurrence, u8 lane (a string, or an integer: its decimal text)
 *   part 1   an inner chunk of the texts, in which a byte 0x0e opens a reference: 0x80 + k behind
 *            it stands for the text of column k in the same row, which has it; 0x0e for itself
 *
 * Where in a text a column is likely to stand is learned from a sample (refs_learn.c), by the first
 * bytes of the text (which event it is), the bytes right before the place (its label) and how many
 * times those have been met in the text (refs_places.c). What a place stands for is then asked of
 * every text that begins so, and held as a reference where it is so to the byte. Nothing of that is
 * stored.
 *
 * Most texts are, but for the values, what another of their kind was: that is tried first (struct
 * kinds), and only what is like none is asked place by place.
 *
 * A referred column is never held by references itself. */
#include "record/words.h"
#include "store/quick_hash.h"
#include "store/refs_places.h"

enum { SEEN = 4096, VALUE_LINES = 256, KINDS = 256, KIND_WAYS = 8, KIND_VALUES = 128 };
enum { ROOM = 1 << 18 /* bytes at once */ };

/* ---- writing ---- */

static char *put(char *to, struct str s)
{
    memcpy(to, s.p, s.n);
    return to + s.n;
}

/* Bytes as they are, with REF doubled; returns where they end. */
static char *put_static(char *to, struct str s)
{
    for (const char *hit; (hit = memchr(s.p, REF, s.n)) != NULL;) {
        size_t n = (size_t)(hit - s.p) + 1;
        to = put(to, str_of(s.p, n));
        *to++ = REF;
        s = str_from(s, n);
    }
    return put(to, s);
}

/* Words for the filter. A reference begins and ends at edges of words, so the words of a text are
 * those of its values and of what is left of it; each is looked at once, as far as is remembered.
 */
struct words_seen {
    struct word_sink *sink;
    struct str last[REFS_MAX]; /* value of each column */
    struct str value[SEEN];    /* or a line of one */
    struct str line[SEEN];     /* of what is left, in which a reference is no byte of a text */
    struct words_told told;
};

static bool seen_before(struct str *seen, struct str s)
{
    struct str *known = &seen[quick_hash(s) % SEEN];
    if (str_eq(*known, s))
        return true;
    *known = s;
    return false;
}

/* Takes a line, with what ends it, from the rest. */
static struct str next_line(struct str *rest)
{
    const char *end = memchr(rest->p, '\n', rest->n);
    struct str line = str_of(rest->p, end ? (size_t)(end - rest->p) + 1 : rest->n);
    *rest = str_from(*rest, line.n);
    return line;
}

/* Long values are looked at line by line: most lines stand in many of them. */
static void put_value_words(struct words_seen *w, uint32_t column, struct str value, bool stays)
{
    if (stays) {
        if (str_eq(w->last[column], value))
            return;
        w->last[column] = value;
    } else if (value.n <= WORDS_QUANTITY_DIGITS && value.p[0] != '-') {
        return; /* a number that is none of a filter's words */
    }
    while (w->sink && value.n) {
        struct str s = value.n > VALUE_LINES ? next_line(&value) : value;
        if (!stays || !seen_before(w->value, s))
            words_hashes_new(s, &w->told, w->sink->fn, w->sink->ctx);
        if (s.p == value.p)
            return;
    }
}

static void put_line_words(struct words_seen *w, struct str s)
{
    if (seen_before(w->line, s))
        return;
    for (const char *hit; (hit = memchr(s.p, REF, s.n)) != NULL;) {
        size_t n = (size_t)(hit - s.p);
        words_hashes_new(str_of(s.p, n), &w->told, w->sink->fn, w->sink->ctx);
        s = str_from(s, n + 2);
    }
    words_hashes_new(s, &w->told, w->sink->fn, w->sink->ctx);
}

/* Of a text as it is written, line by line: most lines stand in many texts. */
static void put_rest_words(struct words_seen *w, struct str s)
{
    while (w->sink && s.n && !word_sink_full(w->sink))
        put_line_words(w, next_line(&s));
}

/* A text as it is written, taken apart. */
struct piece {
    uint32_t bytes;
    uint8_t behind; /* the reference's byte behind them; 0: the end */
};
struct kind {
    struct str rest; /* n 0: none */
    const struct piece *piece;
    uint32_t entry; /* its number among the different ones */
};
/* What the last texts were written as, by their first bytes: most texts are again one of those but
 * for the values, and need not be asked place by place. */
struct kinds {
    struct kind kind[KINDS][KIND_WAYS]; /* what was met last first */
    struct str value[KIND_VALUES];      /* of the text at hand */
    uint16_t column[KIND_VALUES];
    uint32_t n;
};

/* What texts are written as: the different ones, and of each text its number among them. Those that
 * are written as they are stay where they lie. */
struct written {
    struct values v; /* its texts are ours */
    struct str *text;
    uint32_t *code;
    uint32_t *slot; /* of a table: number of one + 1, or 0 */
    uint32_t mask;
    char *at, *end; /* room for the next one */
    struct arena *a;
};

/* Whether the text, but for the values of its row, is what a text before was written as. */
static bool is_like(struct kinds *x, const struct refs *r, uint32_t row, struct str s,
                    const struct kind *kind, struct ref_number *number)
{
    size_t at = 0;
    const char *rest = kind->rest.p;
    x->n = 0;
    for (const struct piece *p = kind->piece;; p++) {
        if (p->bytes > s.n - at || memcmp(s.p + at, rest, p->bytes) != 0)
            return false;
        at += p->bytes;
        rest += p->bytes + 2;
        if (!p->behind)
            return at == s.n;
        if (p->behind == REF) {
            if (at == s.n || s.p[at++] != REF)
                return false;
            continue;
        }
        struct str *value = &x->value[x->n];
        if (x->n == KIND_VALUES ||
            !refs_value_of(r->used[p->behind - REF_FIRST], row, &number[x->n], value) ||
            !refs_stands(s, at, *value))
            return false;
        x->column[x->n++] = p->behind - REF_FIRST;
        at += value->n;
    }
}

/* Makes it the first one: a text is most likely what the last of its kind was. */
static void kind_first(struct kind *kind, int way, struct kind with)
{
    memmove(kind + 1, kind, (size_t)way * sizeof(*kind));
    kind[0] = with;
}

/* Writes it as the text before that it is like, if it is. */
static bool write_like(const struct refs *r, uint32_t row, struct str s, struct kind *kind,
                       struct kinds *x, struct words_seen *words, uint32_t *code)
{
    struct ref_number number[KIND_VALUES];
    for (int way = 0; way < KIND_WAYS && kind[way].rest.n; way++) {
        if (!is_like(x, r, row, s, &kind[way], number))
            continue;
        for (uint32_t k = 0; k < x->n; k++)
            put_value_words(words, x->column[k], x->value[k],
                            r->used[x->column[k]]->v.lane != LANE_INT);
        *code = kind[way].entry;
        if (way)
            kind_first(kind, way, kind[way]);
        return true;
    }
    return false;
}

static const struct piece *pieces_of(struct str rest, struct arena *a)
{
    struct str s = rest;
    uint32_t n = 1;
    for (const char *hit; (hit = memchr(s.p, REF, s.n)) != NULL; n++)
        s = str_from(s, (size_t)(hit - s.p) + 2);
    struct piece *piece = arena_alloc(a, n * sizeof(*piece));
    s = rest;
    for (uint32_t i = 0; i < n; i++) {
        const char *hit = i + 1 < n ? memchr(s.p, REF, s.n) : NULL;
        size_t bytes = hit ? (size_t)(hit - s.p) : s.n;
        piece[i] = (struct piece){(uint32_t)bytes, hit ? (uint8_t)hit[1] : 0};
        s = str_from(s, hit ? bytes + 2 : bytes);
    }
    return piece;
}

static void note_kind(struct kind *kind, struct str rest, uint32_t entry, struct arena *a)
{
    kind_first(kind, KIND_WAYS - 1, (struct kind){rest, pieces_of(rest, a), entry});
}

static void written_grow(struct written *w)
{
    w->mask = w->mask ? w->mask * 2 + 1 : 1023;
    w->slot = ARENA_ARRAY(w->a, uint32_t, (size_t)w->mask + 1);
    for (uint32_t i = 0; i < w->v.n; i++) {
        uint32_t at = (uint32_t)hash64(w->text[i]) & w->mask;
        while (w->slot[at])
            at = (at + 1) & w->mask;
        w->slot[at] = i + 1;
    }
}

/* The number of what was written, which stays where it is if it is new. */
static uint32_t entry_of(struct written *w, struct str s)
{
    if (w->v.n >= w->mask / 2)
        written_grow(w);
    uint32_t at = (uint32_t)hash64(s) & w->mask;
    for (; w->slot[at]; at = (at + 1) & w->mask)
        if (str_eq(w->text[w->slot[at] - 1], s))
            return w->slot[at] - 1;
    if (s.p == w->at)
        w->at += s.n;
    w->text[w->v.n++] = s;
    w->v.text_bytes += s.n;
    w->slot[at] = w->v.n;
    return w->v.n - 1;
}

/* Writes it place by place to w->at, unless it is written as it is. Of texts that begin so none may
 * be known but where they begin. */
static struct str write_text(const struct refs *r, uint32_t row, struct str s, uint64_t head,
                             struct places *places, struct words_seen *words, struct written *w)
{
    struct str value;
    struct ref_number number;
    size_t done = 0;
    char *to = w->at;
    uint64_t key;
    places_begin(places, s, head);
    bool refers = bitmap_get(r->heads, head % HEADS), first = bitmap_get(r->heads, NO_HEAD);
    for (; (refers || first) && places_next(places, &key); first = false) {
        size_t at = places->at++;
        if (!bitmap_get(r->known, (uint32_t)place_hash(key, 0) % PLACES_KNOWN))
            continue;
        const struct refs_place *p = place_at(r->places, key, 0);
        if (!p->column || p->column > r->n_used ||
            !refs_value_of(r->used[p->column - 1], row, &number, &value) ||
            !refs_stands(s, at, value))
            continue;
        to = put_static(to, str_of(s.p + done, at - done));
        *to++ = REF;
        *to++ = (char)(REF_FIRST + p->column - 1);
        put_value_words(words, p->column - 1u, value, r->used[p->column - 1]->v.lane != LANE_INT);
        done = at + value.n;
        places->at = done > places->at ? done : places->at;
    }
    if (to > w->at || memchr(s.p, REF, s.n)) {
        to = put_static(to, str_from(s, done));
        s = str_of(w->at, (size_t)(to - w->at));
    }
    put_rest_words(words, s);
    return s;
}

static void written_init(const struct encoder *e, struct written *ret)
{
    struct str *text = arena_alloc(e->scratch, e->v->n * sizeof(*text));
    *ret = (struct written){.a = e->scratch,
                            .v = {.lane = e->v->lane, .text = text},
                            .text = text,
                            .code = arena_alloc(e->scratch, e->v->n * sizeof(*ret->code))};
}

/* Makes room for what s may be written as. */
static enum err written_reserve(struct written *w, struct str s)
{
    size_t need = s.n * 2, room = need > ROOM ? need : ROOM;
    if (w->at && need <= (size_t)(w->end - w->at))
        return OK;
    w->at = arena_try_alloc(w->a, room);
    if (!w->at)
        return err_set(ERR_NOMEM, "no memory for %zu bytes of text", room);
    w->end = w->at + room;
    return OK;
}

static enum err write_texts(const struct encoder *e, struct written *ret)
{
    const struct refs *r = e->o->refs;
    struct places *places = ARENA_NEW(e->scratch, struct places);
    struct words_seen *words = ARENA_NEW(e->scratch, struct words_seen);
    struct kinds *kinds = ARENA_NEW(e->scratch, struct kinds);
    words->sink = e->o->words;
    written_init(e, ret);
    for (uint32_t i = 0; i < e->v->n; i++) {
        struct str s = values_text(e->v, i);
        uint64_t head = places_head(s);
        bool refers = bitmap_get(r->heads, head % HEADS);
        struct kind *kind = kinds->kind[head % KINDS];
        if (refers && write_like(r, r->row[i], s, kind, kinds, words, &ret->code[i]))
            continue;
        TRY(written_reserve(ret, s));
        struct str as = write_text(r, r->row[i], s, head, places, words, ret);
        CHECK(as.p != ret->at || as.n <= (size_t)(ret->end - ret->at));
        uint32_t entry = ret->code[i] = entry_of(ret, as);
        if (refers)
            note_kind(kind, ret->text[entry], entry, e->scratch);
    }
    if (words->sink)
        words->sink->done = true;
    return OK;
}

static struct part_out names_part(const struct encoder *e)
{
    const struct refs *r = e->o->refs;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    buf_put_varint(&b, r->n_used);
    for (uint32_t i = 0; i < r->n_used; i++) {
        const struct ref_name *n = &r->used[i]->name;
        buf_put_varint(&b, n->path.n);
        buf_put_str(&b, n->path);
        buf_put_varint(&b, n->occ);
        buf_put_u8(&b, n->lane);
    }
    struct part_out part = {.raw = arena_str(e->scratch, buf_str(&b)), .zip = ZIP_TRY};
    buf_release(&b);
    return part;
}

/* Each different text is looked at once in a search. */
static enum err encode_written(const struct encoder *e, struct written *w)
{
    struct values texts;
    enum err err = encode_dict_known(e, &w->v, w->code);
    if (err != ERR_UNSUPPORTED)
        return err;
    TRY(values_pick(&w->v, w->code, e->v->n, e->scratch, &texts));
    struct encoder all = *e;
    all.v = &texts;
    return encode_text(&all);
}

enum err encode_refs(const struct encoder *e)
{
    if (!e->o->refs || e->o->inner)
        return not_mine();
    struct written w;
    TRY(write_texts(e, &w));
    struct encode_options o = *e->o;
    struct chunk_stats unused;
    struct buf b;
    buf_init(&b, SIZE_MAX);
    o.inner++;
    o.refs = NULL;
    o.words = NULL;
    struct encoder inner = {e->v, &o, e->scratch, &b, &unused};
    enum err err = encode_written(&inner, &w);
    struct part_out part[2] = {names_part(e), {.raw = buf_str(&b), .zip = ZIP_NEVER}};
    if (err == OK) {
        e->stats->encoding = ENC_REFS;
        err = chunk_write(ENC_REFS, e->v->n, part, 2, e->o, e->scratch, e->out);
    }
    buf_release(&b);
    return err;
}

/* ---- reading ---- */

static enum err corrupt(void)
{
    return err_set(ERR_CORRUPT, "bad references to other columns");
}

enum err referring_open(const struct chunk *c, struct arena *a, struct referring *ret)
{
    struct str head, texts;
    TRY(chunk_part_bytes(c, 0, &head));
    TRY(chunk_part_bytes(c, 1, &texts));
    struct reader r = reader_of(head);
    uint64_t n = read_varint(&r);
    if (r.bad || n == 0 || n > REFS_MAX || !lane_is_text(c->lane) || !c->rows || c->inner)
        return corrupt();
    struct referring o = {.c = c, .a = a, .n = (uint32_t)n};
    o.name = ARENA_ARRAY(a, struct ref_name, n);
    o.v = ARENA_ARRAY(a, struct values, n);
    o.at = ARENA_ARRAY(a, const uint32_t *, n);
    for (uint32_t i = 0; i < n; i++) {
        o.name[i].path = read_bytes(&r, read_varint(&r));
        o.name[i].occ = (uint16_t)read_varint(&r);
        o.name[i].lane = read_u8(&r);
        if (o.name[i].lane != LANE_STR && o.name[i].lane != LANE_INT)
            return corrupt();
    }
    if (r.bad || reader_left(&r))
        return corrupt();
    TRY(chunk_open_inner(c, 1, texts, c->n, a, &o.texts));
    if (o.texts.encoding == ENC_REFS)
        return corrupt();
    o.texts.time = c->time;
    o.texts.time_ctx = c->time_ctx;
    *ret = o;
    return OK;
}

enum err referring_next(const struct referring *o, struct str s, size_t *at, uint32_t *ret,
                        bool *found)
{
    const char *hit = *at < s.n ? memchr(s.p + *at, REF, s.n - *at) : NULL;
    *found = hit != NULL;
    if (!hit)
        return OK;
    *at = (size_t)(hit - s.p);
    uint8_t k = *at + 1 < s.n ? (uint8_t)s.p[*at + 1] : 0;
    if (k == REF) {
        *ret = o->n;
        return OK;
    }
    *ret = (uint32_t)k - REF_FIRST;
    return k < REF_FIRST || *ret >= o->n ? corrupt() : OK;
}

/* Text i of those asked for, whose positions are pos (NULL: all). */
static enum err ref_text(struct referring *o, uint32_t column, const uint32_t *pos, uint32_t n,
                         uint32_t i, struct ref_number *number, struct str *ret)
{
    if (!o->at[column])
        TRY(o->c->rows->refer(o->c->time_ctx, &o->name[column], pos, n, o->a, &o->v[column],
                              &o->at[column]));
    uint32_t at = o->at[column][i];
    if (at >= o->v[column].n)
        return corrupt();
    *ret = ref_text_at(&o->v[column], at, number);
    return OK;
}

static const struct str ref_itself = {"\x0e", 1};

/* One text written out to `to`; NULL: only its length. */
static enum err expand(struct referring *o, struct str s, const uint32_t *pos, uint32_t n,
                       uint32_t i, char *to, uint64_t *ret_n)
{
    struct ref_number number;
    size_t at = 0, done = 0;
    uint64_t used = 0;
    for (;;) {
        uint32_t column;
        bool found;
        TRY(referring_next(o, s, &at, &column, &found));
        size_t end = found ? at : s.n;
        if (to)
            memcpy(to + used, s.p + done, end - done);
        used += end - done;
        if (!found)
            break;
        struct str value = ref_itself;
        if (column < o->n)
            TRY(ref_text(o, column, pos, n, i, &number, &value));
        if (to)
            memcpy(to + used, value.p, value.n);
        used += value.n;
        done = at += 2;
    }
    *ret_n = used;
    return OK;
}

enum err referring_texts(struct referring *o, const struct texts_of *x, uint32_t from, uint32_t to,
                         struct arena *a, struct values *ret)
{
    uint64_t bytes = 0, one;
    struct text_out out;
    for (uint32_t i = from; i < to; i++) {
        struct str s = values_text(x->texts, x->code ? x->code[x->pos[i]] : i);
        TRY(expand(o, s, x->pos, x->n, i, NULL, &one));
        bytes += one;
    }
    TRY(text_out_init(&out, to - from, bytes, a));
    for (uint32_t i = from; i < to; i++) {
        struct str s = values_text(x->texts, x->code ? x->code[x->pos[i]] : i);
        TRY(expand(o, s, x->pos, x->n, i, out.bytes + out.used, &one));
        out.used += one;
        out.off[++out.n] = (uint32_t)out.used;
    }
    *ret = text_out_values(&out, o->c->lane);
    return OK;
}

static enum err refs_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct referring o;
    struct values texts;
    TRY(referring_open(c, a, &o));
    TRY(chunk_values(&o.texts, a, &texts));
    struct texts_of all = {&texts, NULL, NULL, texts.n};
    return referring_texts(&o, &all, 0, texts.n, a, ret);
}

static enum err refs_get(const struct chunk *c, const uint32_t *pos, uint32_t n, struct arena *a,
                         struct values *ret)
{
    struct referring o;
    struct values texts;
    TRY(referring_open(c, a, &o));
    TRY(chunk_get(&o.texts, pos, n, a, &texts));
    struct texts_of some = {&texts, NULL, pos, n};
    return referring_texts(&o, &some, 0, n, a, ret);
}

const struct encoding_ops encoding_refs = {
    .name = "refs", .values = refs_values, .get = refs_get, .match = refs_match};
