/* Columns in parts. Their texts together have less than 2 GiB: whoever joins them looks to it. */
#include "record/joined.h"

#include "record/predicate.h"

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u values", n);
}

static bool has_codes(const struct joined *j)
{
    for (uint32_t i = 0; i < j->n_parts; i++)
        if (j->part[i].code)
            return true;
    return false;
}

static void join_plain(const struct values *v, uint32_t *to, char *bytes)
{
    uint32_t at = *to++, shift = at - v->off[0];
    memcpy(bytes + at, v->bytes + v->off[0], v->off[v->n] - v->off[0]);
    for (uint32_t k = 0; k < v->n; k++)
        to[k] = v->off[k + 1] + shift;
}

static void join_coded(const struct coded_values *c, uint32_t *to, char *bytes)
{
    for (uint32_t k = 0; k < c->n; k++) {
        struct str s = coded_text(c, k);
        memcpy(bytes + to[k], s.p, s.n);
        to[k + 1] = to[k] + (uint32_t)s.n;
    }
}

static enum err join_texts(const struct joined *j, uint32_t n, struct arena *a, struct values *ret)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < j->n_parts; i++)
        total += j->part[i].text_bytes;
    CHECK(total <= UINT32_MAX);
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1), *to = off;
    char *bytes = arena_try_alloc(a, total + 1);
    if (!off || !bytes)
        return no_memory(n);
    *to = 0;
    for (uint32_t i = 0; i < j->n_parts; i++) {
        if (j->part[i].code)
            join_coded(&j->part[i], to, bytes);
        else
            join_plain(&j->part[i].v, to, bytes);
        to += j->part[i].n;
    }
    ret->off = off;
    ret->bytes = bytes;
    return OK;
}

/* Of each part the array at `member` of its values, whose items have `size` bytes. */
static enum err join_items(const struct joined *j, uint32_t n, size_t member, size_t size,
                           struct arena *a, void *ret)
{
    char *to = arena_try_alloc(a, n * size);
    if (!to)
        return no_memory(n);
    memcpy(ret, &to, sizeof(to));
    for (uint32_t i = 0; i < j->n_parts; i++) {
        const void *from;
        memcpy(&from, (const char *)&j->part[i].v + member, sizeof(from));
        memcpy(to, from, j->part[i].n * size);
        to += j->part[i].n * size;
    }
    return OK;
}

static enum err joined_values(const struct column *c, struct arena *a, struct values *ret)
{
    const struct joined *j = c->impl;
    struct values out = {.n = c->n, .lane = c->lane};
    if (j->n_parts == 1 && !j->part[0].code) {
        *ret = j->part[0].v;
        return OK;
    }
    if (lane_is_text(c->lane))
        TRY(join_texts(j, c->n, a, &out));
    if (c->lane == LANE_INT || c->lane == LANE_DEC)
        TRY(join_items(j, c->n, offsetof(struct values, i64), sizeof(*out.i64), a, &out.i64));
    if (c->lane == LANE_DEC)
        TRY(join_items(j, c->n, offsetof(struct values, scale), 1, a, &out.scale));
    if (c->lane == LANE_DBL)
        TRY(join_items(j, c->n, offsetof(struct values, f64), sizeof(*out.f64), a, &out.f64));
    if (c->lane == LANE_BOOL)
        TRY(join_items(j, c->n, offsetof(struct values, u8), 1, a, &out.u8));
    *ret = out;
    return OK;
}

/* The parts of values by their positions: neighbours in time stand in the same part mostly. */
struct walk {
    const struct coded_values *part;
    const uint32_t *begin; /* n_parts + 1 */
    uint32_t at;
};

static struct str walk_text(struct walk *w, uint32_t pos)
{
    while (pos >= w->begin[w->at + 1])
        w->at++;
    while (pos < w->begin[w->at])
        w->at--;
    return coded_text(&w->part[w->at], pos - w->begin[w->at]);
}

static enum err walk_begin(const struct joined *j, struct arena *a, struct walk *ret)
{
    uint32_t *begin = ARENA_TRY_ARRAY(a, uint32_t, (size_t)j->n_parts + 1);
    if (!begin)
        return no_memory(j->n_parts);
    begin[0] = 0;
    for (uint32_t i = 0; i < j->n_parts; i++)
        begin[i + 1] = begin[i] + j->part[i].n;
    *ret = (struct walk){j->part, begin, 0};
    return OK;
}

static enum err pick_texts(const struct joined *j, const uint32_t *pos, uint32_t n, struct arena *a,
                           struct values *ret)
{
    struct walk w;
    TRY(walk_begin(j, a, &w));
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1);
    if (!off)
        return no_memory(n);
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        CHECK(pos[i] < w.begin[j->n_parts]);
        off[i] = (uint32_t)total;
        total += walk_text(&w, pos[i]).n;
    }
    CHECK(total <= UINT32_MAX);
    off[n] = (uint32_t)total;
    char *bytes = arena_try_alloc(a, total + 1);
    if (!bytes)
        return no_memory(n);
    for (uint32_t i = 0; i < n; i++) {
        struct str s = walk_text(&w, pos[i]);
        memcpy(bytes + off[i], s.p, s.n);
    }
    *ret = (struct values){.n = n, .lane = j->part[0].v.lane, .off = off, .bytes = bytes};
    return OK;
}

static enum err joined_pick(const struct column *c, const uint32_t *pos, uint32_t n,
                            struct arena *a, struct values *ret)
{
    const struct joined *j = c->impl;
    if (j->n_parts > 1 && lane_is_text(c->lane))
        return pick_texts(j, pos, n, a, ret);
    struct values all;
    TRY(joined_values(c, a, &all));
    return values_gather(&all, pos, n, a, ret);
}

/* ---- where texts lie ---- */

/* By entry of each part the first value that has it, + 1. */
struct sames {
    uint32_t **first; /* NULL: a part has no codes */
    uint32_t *same;   /* NULL: no part has */
};

static enum err sames_begin(const struct joined *j, uint32_t n, struct arena *a, struct sames *ret)
{
    *ret = (struct sames){0};
    if (!has_codes(j))
        return OK;
    ret->first = ARENA_TRY_ARRAY(a, uint32_t *, j->n_parts);
    ret->same = ARENA_TRY_ARRAY(a, uint32_t, n);
    if (!ret->first || !ret->same)
        return no_memory(n);
    for (uint32_t i = 0; i < j->n_parts; i++)
        ret->first[i] = j->part[i].code ? ARENA_ARRAY(a, uint32_t, j->part[i].v.n) : NULL;
    return OK;
}

/* Value i is number `k` of its part. */
static void note_same(struct sames *s, const struct joined *j, uint32_t part, uint32_t k,
                      uint32_t i)
{
    if (!s->same)
        return;
    s->same[i] = i;
    if (!s->first[part])
        return;
    uint32_t *first = &s->first[part][coded_at(&j->part[part], k)];
    if (*first)
        s->same[i] = *first - 1;
    else
        *first = i + 1;
}

static struct str *places_of_part(const struct joined *j, uint32_t part, struct sames *s,
                                  uint32_t i, struct str *to)
{
    const struct coded_values *c = &j->part[part];
    for (uint32_t k = 0; k < c->n; k++) {
        to[k] = coded_text(c, k);
        note_same(s, j, part, k, i + k);
    }
    return to + c->n;
}

/* Of each value, in that order, where it lies; with `same` and `text_bytes` of the result. */
static enum err places_of_texts(const struct joined *j, const uint32_t *pos, struct arena *a,
                                struct str *to, struct values *ret)
{
    struct walk w;
    struct sames sames;
    TRY(walk_begin(j, a, &w));
    TRY(sames_begin(j, ret->n, a, &sames));
    for (uint32_t i = 0; !pos && i < j->n_parts; i++) {
        to = places_of_part(j, i, &sames, w.begin[i], to);
        ret->text_bytes += j->part[i].text_bytes;
    }
    for (uint32_t i = 0; pos && i < ret->n; i++) {
        CHECK(pos[i] < w.begin[j->n_parts]);
        to[i] = walk_text(&w, pos[i]);
        note_same(&sames, j, w.at, pos[i] - w.begin[w.at], i);
        ret->text_bytes += to[i].n;
    }
    ret->same = sames.same;
    return OK;
}

static enum err joined_texts(const struct column *c, const uint32_t *pos, struct arena *a,
                             struct values *ret)
{
    const struct joined *j = c->impl;
    bool whole = j->n_parts == 1 && !j->part[0].code;
    if (!pos && (whole || !texts_may_lie(c->n, c->text_bytes)))
        return joined_values(c, a, ret);
    struct str *to = ARENA_TRY_ARRAY(a, struct str, c->n);
    if (!to)
        return no_memory(c->n);
    struct values v = {.n = c->n, .lane = c->lane, .text = to};
    TRY(places_of_texts(j, pos, a, to, &v));
    *ret = v;
    return OK;
}

static enum err joined_match(const struct column *c, const struct predicate *p, struct arena *a,
                             uint64_t *bits)
{
    struct values all;
    TRY(joined_values(c, a, &all));
    return predicate_match(p, &all, bits);
}

static bool joined_may_match(const struct column *c, const struct predicate *p)
{
    return true;
}

const struct column_ops joined_column_ops = {
    .values = joined_values,
    .get = joined_pick,
    .pick = joined_pick,
    .texts = joined_texts,
    .match = joined_match,
    .may_match = joined_may_match,
};
