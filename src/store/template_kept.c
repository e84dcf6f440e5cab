#include "store/template_kept.h"

#include "core/hash.h"
#include "store/template.h"

enum { COPY_BYTES = 16, MARK_BYTES = 5, TABLE_FIRST = 128 };
enum { BEGIN_BYTES = 256 };

static void table_put(struct templates_kept *k, struct kept_slot x)
{
    uint32_t at = (uint32_t)x.hash & k->mask;
    while (k->slot[at].met)
        at = (at + 1) & k->mask;
    k->slot[at] = x;
}

static void table_grow(struct templates_kept *k)
{
    struct kept_slot *old = k->slot;
    uint32_t n = old ? k->mask + 1 : 0, size = n ? n * 2 : TABLE_FIRST;
    k->slot = ARENA_ARRAY(k->a, struct kept_slot, size);
    k->mask = size - 1;
    for (uint32_t i = 0; i < n; i++)
        if (old[i].met)
            table_put(k, old[i]);
}

void templates_kept_init(struct templates_kept *k, enum template_cut cut, unsigned begin_bits,
                         bool copies, struct arena *a)
{
    *k = (struct templates_kept){.a = a, .cut = cut, .begin_bits = begin_bits, .copies = copies};
    k->begun = ARENA_ARRAY(a, struct begun, (size_t)MET_WAYS << begin_bits);
    table_grow(k);
}

void templates_kept_begin(struct templates_kept *k, struct arena *scratch)
{
    k->block++;
    k->scratch = scratch;
    k->frame = NULL;
    k->frame_cap = 0;
}

static uint32_t hex_length(struct str s, const struct template_var *var)
{
    return (uint32_t)template_hex_length(str_of(s.p + var->from, var->to - var->from));
}

/* Up to 16 bytes at once where the text has so many; `to` has room for them. */
static void copy_piece(char *to, struct str s, size_t at, size_t n)
{
    if (n <= COPY_BYTES && at + COPY_BYTES <= s.n)
        memcpy(to, s.p + at, COPY_BYTES);
    else
        memcpy(to, s.p + at, n);
}

/* A text without its variables: of each stays a mark and, where it is a hexadecimal number, the
 * length of that. Texts of one template have the same frame, others another: the mark does not
 * stand in a text with variables. */
static struct str frame_of(struct templates_kept *k, struct str s, const struct template_var *var,
                           uint32_t n)
{
    size_t most = s.n + (size_t)n * MARK_BYTES + COPY_BYTES, at = 0;
    if (n == 0)
        return s;
    if (most > k->frame_cap) {
        k->frame_cap = most * 2;
        k->frame = arena_alloc(k->scratch, k->frame_cap);
    }
    char *to = k->frame;
    for (uint32_t i = 0; i < n; i++) {
        size_t piece = var[i].from - at;
        uint32_t hex = hex_length(s, &var[i]);
        copy_piece(to, s, at, piece);
        to += piece;
        *to = TEMPLATE_HOLE;
        memcpy(to + 1, &hex, sizeof(hex));
        to += MARK_BYTES;
        at = var[i].to;
    }
    copy_piece(to, s, at, s.n - at);
    return str_of(k->frame, (size_t)(to - k->frame) + s.n - at);
}

/* Whether texts have the same frame. */
static bool same_frame(const struct met *x, struct str s, const struct template_var *var,
                       uint32_t n)
{
    struct str t = x->like.text;
    size_t at = 0, end = 0;
    if (x->like.n != n)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        size_t piece = var[i].from - at;
        if (x->var[i].from - end != piece || memcmp(s.p + at, t.p + end, piece) != 0 ||
            hex_length(s, &var[i]) != hex_length(t, &x->var[i]))
            return false;
        at = var[i].to;
        end = x->var[i].to;
    }
    return str_eq(str_from(s, at), str_from(t, end));
}

struct met *templates_kept_find(struct templates_kept *k, struct str s,
                                const struct template_var *var, uint32_t n)
{
    uint64_t h = hash64(frame_of(k, s, var, n));
    for (uint32_t at = (uint32_t)h & k->mask; k->slot[at].met; at = (at + 1) & k->mask)
        if (k->slot[at].hash == h && same_frame(k->slot[at].met, s, var, n))
            return k->slot[at].met;
    if (k->n > k->mask / 2)
        table_grow(k);
    struct met *x = ARENA_NEW(k->a, struct met);
    like_begin(k->copies ? arena_str(k->a, s) : s, k->cut, var, n, &x->like);
    x->var = arena_alloc(k->a, n * sizeof(*var) + 1);
    memcpy(x->var, var, n * sizeof(*var));
    table_put(k, (struct kept_slot){h, x});
    k->n++;
    return x;
}

void met_make_like(struct met *x, struct arena *a)
{
    like_make(&x->like, x->var, a);
    x->has_like = true;
}

uint64_t templates_begin(struct str s)
{
    const uint64_t each = UINT64_MAX / 255, high = each * 0x80;
    uint64_t h = 0, x;
    for (size_t i = 0; i + sizeof(x) <= s.n && i < BEGIN_BYTES; i += sizeof(x)) {
        memcpy(&x, s.p + i, sizeof(x));
        uint64_t low = x | each * 0x20;
        uint64_t digit = (x + each * (0x80 - '0')) & ~(x + each * (0x7f - '9')) & high;
        uint64_t letter = (low + each * (0x80 - 'a')) & ~(low + each * (0x7f - 'f')) & high;
        x &= ~(((digit | letter) >> 7) * 0xff);
        h = (h ^ x) * 0x9e3779b97f4a7c15ULL;
        h ^= h >> 29;
    }
    return h;
}
