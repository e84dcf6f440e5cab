/* A part of codes.
 *
 *   u8    bytes a code: 1 or 2; 0: integers follow
 *   then  the codes, low byte first; or as integers (ints.c)
 *
 * Lines come in sequences that repeat, and so do their codes: in whole bytes zstd sees that. Else
 * integers are smaller. Which is so is measured; at the level of ingest by a sample. */
#include "store/codes.h"

enum {
    SAMPLE = 16384,
    SAMPLE_FROM = SAMPLE * 4,
    /* At the level of ingest zstd is not tried for less, nor where there is at most one run in so
     * many values: what integers take is then hardly more. */
    PACKED_MIN = 96,
    RUNS_FEW = 16
};

static enum err as_ints(const uint32_t *code, uint32_t n, const struct encode_options *o,
                        struct arena *scratch, struct part_out *ret)
{
    int64_t *wide = arena_alloc(scratch, n * sizeof(*wide) + 1);
    for (uint32_t i = 0; i < n; i++)
        wide[i] = code[i];
    static const char integers_follow = 0;
    return part_of_ints_behind(str_of(&integers_follow, 1), wide, n, o, scratch, ret);
}

static struct str as_bytes(const uint32_t *code, uint32_t n, uint32_t each, struct arena *scratch)
{
    char *to = arena_alloc(scratch, (size_t)n * each + 1);
    to[0] = (char)each;
    for (uint32_t i = 0; each == 1 && i < n; i++)
        to[1 + i] = (char)code[i];
    for (uint32_t i = 0; each == 2 && i < n; i++) {
        to[1 + (size_t)i * 2] = (char)code[i];
        to[2 + (size_t)i * 2] = (char)(code[i] >> 8);
    }
    return str_of(to, 1 + (size_t)n * each);
}

/* Both ways; ret[1].packed is empty where bytes are of no use. */
static enum err both_ways(const uint32_t *code, uint32_t n, uint32_t each,
                          const struct encode_options *o, struct arena *scratch,
                          struct part_out ret[2])
{
    TRY(as_ints(code, n, o, scratch, &ret[0]));
    ret[1] = (struct part_out){0};
    if (o->zstd_level <= ENCODE_QUICK_LEVEL && ret[0].raw.n < PACKED_MIN)
        return OK;
    ret[1].raw = as_bytes(code, n, each, scratch);
    if (!zip_bytes(ret[1].raw, o->zstd_level, scratch, &ret[1].packed))
        ret[1].packed.n = 0;
    return OK;
}

static bool bytes_win(const struct part_out way[2])
{
    return way[1].packed.n && way[1].packed.n < part_out_bytes(&way[0]);
}

static enum err choose_way(const uint32_t *code, uint32_t n, uint32_t each,
                           const struct encode_options *o, struct arena *scratch,
                           struct part_out *ret)
{
    struct part_out way[2] = {0};
    if (o->zstd_level <= ENCODE_QUICK_LEVEL && n >= SAMPLE_FROM) {
        TRY(both_ways(code + (n - SAMPLE) / 2, SAMPLE, each, o, scratch, way));
        if (!bytes_win(way))
            return as_ints(code, n, o, scratch, ret);
        *ret = (struct part_out){.raw = as_bytes(code, n, each, scratch), .zip = ZIP_TRY};
        return OK;
    }
    TRY(both_ways(code, n, each, o, scratch, way));
    *ret = way[bytes_win(way)];
    return OK;
}

enum err part_of_codes(const uint32_t *code, uint32_t n, const struct encode_options *o,
                       struct arena *scratch, struct part_out *ret)
{
    bool quick = o->zstd_level <= ENCODE_QUICK_LEVEL;
    uint32_t any = n ? code[0] : 0, runs = 1;
    for (uint32_t i = 1; i < n; i++) {
        any |= code[i];
        runs += code[i] != code[i - 1];
    }
    uint32_t each = any > UINT8_MAX ? 2 : 1;
    struct encode_options own = *o;
    own.packed = quick && each == 1; /* their planes are their bytes */
    if (o->small || any > UINT16_MAX || (quick && runs <= n / RUNS_FEW))
        return as_ints(code, n, &own, scratch, ret);
    return choose_way(code, n, each, &own, scratch, ret);
}

static enum err corrupt(void)
{
    return err_set(ERR_CORRUPT, "bad codes of a chunk");
}

static uint32_t code_at(const uint8_t *p, uint32_t each, uint32_t i)
{
    return each == 1 ? p[i] : p[(size_t)i * 2] | (uint32_t)p[(size_t)i * 2 + 1] << 8;
}

/* pos NULL: all. */
static enum err codes_at(const struct chunk *c, uint32_t part, uint32_t n, const uint32_t *pos,
                         uint32_t n_pos, struct arena *a, uint32_t *to)
{
    struct str bytes;
    TRY(chunk_part_bytes(c, part, &bytes));
    uint8_t each = bytes.n ? (uint8_t)bytes.p[0] : UINT8_MAX;
    const uint8_t *p = (const uint8_t *)bytes.p + 1;
    if (each > 2 || (each && bytes.n != 1 + (size_t)n * each))
        return corrupt();
    if (each) {
        for (uint32_t i = 0; i < n_pos; i++)
            to[i] = code_at(p, each, pos ? pos[i] : i);
        return OK;
    }
    int64_t *wide;
    if (pos) {
        struct reader r = reader_of(str_from(bytes, 1));
        wide = ARENA_TRY_ARRAY(a, int64_t, n_pos);
        if (!wide)
            return err_set(ERR_NOMEM, "no memory for %u codes", n_pos);
        TRY(ints_get(&r, n, pos, n_pos, a, wide));
    } else {
        TRY(part_ints(c, part, 1, n, a, &wide));
    }
    for (uint32_t i = 0; i < n_pos; i++)
        to[i] = (uint64_t)wide[i] <= UINT32_MAX ? (uint32_t)wide[i] : UINT32_MAX;
    return OK;
}

enum err part_codes_get(const struct chunk *c, uint32_t part, uint32_t n, uint32_t bound,
                        const uint32_t *pos, uint32_t n_pos, struct arena *a, uint32_t **ret)
{
    uint32_t *to = ARENA_TRY_ARRAY(a, uint32_t, n_pos), past = 0;
    if (!to)
        return err_set(ERR_NOMEM, "no memory for %u codes", n_pos);
    TRY(codes_at(c, part, n, pos, n_pos, a, to));
    for (uint32_t i = 0; i < n_pos; i++)
        past |= to[i] >= bound;
    *ret = to;
    return past ? err_set(ERR_CORRUPT, "a code past the end of its dictionary") : OK;
}

enum err part_codes(const struct chunk *c, uint32_t part, uint32_t n, uint32_t bound,
                    struct arena *a, uint32_t **ret)
{
    return part_codes_get(c, part, n, bound, NULL, n, a, ret);
}
