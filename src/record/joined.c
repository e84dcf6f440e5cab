/* Columns in parts. Their texts together have less than 2 GiB: whoever joins them looks to it. */
#include "record/joined.h"

#include "record/predicate.h"

static enum err no_memory(uint32_t n)
{
    return err_set(ERR_NOMEM, "no memory for %u values", n);
}

static enum err join_texts(const struct joined *j, uint32_t n, struct arena *a, struct values *ret)
{
    uint64_t total = 0;
    for (uint32_t i = 0; i < j->n_parts; i++)
        total += j->part[i].off[j->part[i].n] - j->part[i].off[0];
    CHECK(total <= UINT32_MAX);
    uint32_t *off = ARENA_TRY_ARRAY(a, uint32_t, (size_t)n + 1), *to = off;
    char *bytes = arena_try_alloc(a, total + 1);
    if (!off || !bytes)
        return no_memory(n);
    *to = 0;
    for (uint32_t i = 0; i < j->n_parts; i++) {
        const struct values *v = &j->part[i];
        uint32_t at = *to++, shift = at - v->off[0];
        memcpy(bytes + at, v->bytes + v->off[0], v->off[v->n] - v->off[0]);
        for (uint32_t k = 0; k < v->n; k++)
            to[k] = v->off[k + 1] + shift;
        to += v->n - 1;
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
        memcpy(&from, (const char *)&j->part[i] + member, sizeof(from));
        memcpy(to, from, j->part[i].n * size);
        to += j->part[i].n * size;
    }
    return OK;
}

static enum err joined_values(const struct column *c, struct arena *a, struct values *ret)
{
    const struct joined *j = c->impl;
    struct values out = {.n = c->n, .lane = c->lane};
    if (j->n_parts == 1) {
        *ret = j->part[0];
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
    const struct values *part;
    const uint32_t *begin; /* n_parts + 1 */
    uint32_t at;
};

static struct str walk_text(struct walk *w, uint32_t pos)
{
    while (pos >= w->begin[w->at + 1])
        w->at++;
    while (pos < w->begin[w->at])
        w->at--;
    return values_text(&w->part[w->at], pos - w->begin[w->at]);
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
    *ret = (struct values){.n = n, .lane = j->part[0].lane, .off = off, .bytes = bytes};
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

/* Of each value, in that order, where it lies; returns their bytes. */
static enum err places_of_texts(const struct joined *j, const uint32_t *pos, uint32_t n,
                                struct arena *a, struct str *to, uint64_t *ret_bytes)
{
    struct walk w;
    uint64_t bytes = 0;
    for (uint32_t i = 0; !pos && i < j->n_parts; i++) {
        for (uint32_t k = 0; k < j->part[i].n; k++)
            *to++ = values_text(&j->part[i], k);
        bytes += values_bytes(&j->part[i]);
    }
    if (pos)
        TRY(walk_begin(j, a, &w));
    for (uint32_t i = 0; pos && i < n; i++) {
        CHECK(pos[i] < w.begin[j->n_parts]);
        to[i] = walk_text(&w, pos[i]);
        bytes += to[i].n;
    }
    *ret_bytes = bytes;
    return OK;
}

static enum err joined_texts(const struct column *c, const uint32_t *pos, struct arena *a,
                             struct values *ret)
{
    const struct joined *j = c->impl;
    if (!pos && (j->n_parts == 1 || !texts_may_lie(c->n, c->text_bytes)))
        return joined_values(c, a, ret);
    struct str *to = ARENA_TRY_ARRAY(a, struct str, c->n);
    if (!to)
        return no_memory(c->n);
    struct values v = {.n = c->n, .lane = c->lane, .text = to};
    TRY(places_of_texts(j, pos, c->n, a, to, &v.text_bytes));
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
