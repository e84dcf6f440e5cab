/* Numbers of a template's slot that are near those of another of its slots: the start of a
 * collection and of its first phase, the time of a part and of the whole.
 *
 * ENC_DIFFERENCE
 *   part 0   u8 digits behind the point, u8 pad, u8 width (numeral.h), u8 distance of the other
 *            slot: so many slots before this one in the same template; its own chunk is of
 *            ENC_NUMERAL
 *   part 1   this slot's mantissas minus the other's, modulo 2^64, as integers (ints.c)
 *
 * Which slot is near is asked of a stretch of the values. */
#include "store/encoding_ops.h"
#include "store/siblings.h"

enum { STRETCH = 512, BITS_MIN = 3 };

/* ---- writing ---- */

/* About how many bits n values take, by themselves and by their steps. */
static uint64_t cost(const int64_t *v, uint32_t n)
{
    int64_t min = v[0];
    uint64_t as_is = 0, steps = 0;
    for (uint32_t i = 1; i < n; i++)
        min = v[i] < min ? v[i] : min;
    for (uint32_t i = 1; i < n; i++) {
        as_is += ints_width((uint64_t)v[i] - (uint64_t)min);
        steps += ints_width(zigzag((int64_t)((uint64_t)v[i] - (uint64_t)v[i - 1])));
    }
    return as_is < steps ? as_is : steps;
}

/* The nearest, where that is worth it. */
static const struct sibling *choose(const struct siblings *all, uint32_t n)
{
    int64_t other[STRETCH];
    uint32_t take = n < STRETCH ? n : STRETCH, from = (n - take) / 2;
    uint64_t own = cost(all->number + from, take), least = own / 8 * 7;
    const struct sibling *best = NULL;
    if (own < (uint64_t)take * BITS_MIN)
        return NULL;
    for (uint32_t k = 0; k < all->n; k++) {
        const struct sibling *s = &all->s[k];
        if (s->frac != all->form.frac || all->slot - s->slot > UINT8_MAX)
            continue;
        for (uint32_t i = 0; i < take; i++)
            other[i] = all->number[from + i] - s->number[from + i];
        uint64_t mine = cost(other, take);
        if (mine < least) {
            least = mine;
            best = s;
        }
    }
    return best;
}

enum err encode_difference(const struct encoder *e)
{
    struct siblings *all = e->o->siblings;
    struct numeral_form f;
    int64_t *number = NULL;
    if (!all || !all->n)
        return not_mine();
    TRY(numerals_read(e, &f, &number));
    uint32_t n = e->v->n;
    const struct sibling *other = choose(all, n);
    if (!other)
        return not_mine();
    int64_t *difference = arena_alloc(e->scratch, n * sizeof(*difference));
    for (uint32_t i = 0; i < n; i++)
        difference[i] = number[i] - other->number[i];
    uint8_t *head = arena_alloc(e->scratch, 4);
    head[0] = f.frac;
    head[1] = f.pad;
    head[2] = f.width;
    head[3] = (uint8_t)(all->slot - other->slot);
    struct part_out part[2] = {{.raw = str_of((char *)head, 4), .zip = ZIP_NEVER}};
    TRY(part_of_ints(difference, n, e->o, e->scratch, &part[1]));
    e->stats->encoding = ENC_DIFFERENCE;
    return chunk_write(ENC_DIFFERENCE, n, part, 2, e->o, e->scratch, e->out);
}

/* ---- reading ---- */

enum err difference_numbers(const struct chunk *c, struct arena *a, struct numeral_form *ret,
                            int64_t **ret_number)
{
    struct str head;
    int64_t *number = NULL;
    const int64_t *other = NULL;
    TRY(chunk_part_bytes(c, 0, &head));
    struct reader r = reader_of(head);
    *ret = (struct numeral_form){.frac = read_u8(&r), .pad = read_u8(&r), .width = read_u8(&r)};
    uint8_t back = read_u8(&r);
    if (r.bad || reader_left(&r) || !numeral_form_ok(ret) || !lane_is_text(c->lane) || !back ||
        !c->sibling)
        return err_set(ERR_CORRUPT, "bad form of differences");
    TRY(part_ints(c, 1, 0, c->n, a, &number));
    TRY(c->sibling(c->time_ctx, back, &other));
    for (uint32_t i = 0; i < c->n; i++)
        number[i] = (int64_t)((uint64_t)number[i] + (uint64_t)other[i]);
    *ret_number = number;
    return OK;
}

static enum err difference_values(const struct chunk *c, struct arena *a, struct values *ret)
{
    struct numeral_form f;
    int64_t *number = NULL;
    TRY(difference_numbers(c, a, &f, &number));
    return numeral_texts(&f, number, NULL, c->n, c->lane, a, ret);
}

static enum err difference_get(const struct chunk *c, const uint32_t *pos, uint32_t n,
                               struct arena *a, struct values *ret)
{
    struct numeral_form f;
    int64_t *number = NULL;
    TRY(difference_numbers(c, a, &f, &number));
    return numeral_texts(&f, number, pos, n, c->lane, a, ret);
}

static enum err difference_match(const struct chunk *c, const struct predicate *p, struct arena *a,
                                 uint64_t *bits)
{
    struct values v;
    if (!numeral_could_match(p))
        return OK;
    TRY(difference_values(c, a, &v));
    return predicate_match(p, &v, bits);
}

const struct encoding_ops encoding_difference = {.name = "difference",
                                                 .values = difference_values,
                                                 .get = difference_get,
                                                 .match = difference_match};
