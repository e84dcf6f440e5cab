/* Regular expressions: the first line is the pattern, each other line a value. What is found in the
 * column is what PCRE2 finds in each value. */
#include "core/err.h"
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/predicate.h"

#define VALUES_MAX 4096
#define BYTES_MAX 20000 /* of values: some patterns take long on each */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool matches(const struct predicate *p, const struct values *v, uint64_t *bits)
{
    memset(bits, 0, bitmap_words(VALUES_MAX) * sizeof(*bits));
    return predicate_match(p, v, bits) == OK;
}

static void compare(struct predicate p, struct str text)
{
    static uint32_t off[VALUES_MAX + 1];
    static uint64_t found[VALUES_MAX / 64], each[VALUES_MAX / 64];
    struct buf bytes;
    struct str value;
    struct values v = {.lane = LANE_STR, .off = off};
    buf_init(&bytes, SIZE_MAX);
    while (v.n < VALUES_MAX && str_split(&text, '\n', &value)) {
        buf_put_str(&bytes, value);
        off[++v.n] = (uint32_t)bytes.n;
    }
    v.bytes = bytes.p ? bytes.p : "";
    for (int way = 0; way < 2; way++) { /* with the literal, and without */
        bool ok = matches(&p, &v, found);
        struct predicate plain = p;
        plain.has_needle = false;
        plain.n_needles = 0;
        plain.finder = NULL;
        /* PCRE2 may give up on a value that the search has not looked at */
        if (matches(&plain, &v, each))
            CHECK(ok && memcmp(found, each, sizeof(found)) == 0);
        p.n_needles = 0;
    }
    buf_release(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = {(const char *)data, size}, pattern;
    struct arena arena;
    struct predicate p;
    arena_init(&arena, 0, NULL);
    if (str_split(&text, '\n', &pattern) && text.n <= BYTES_MAX &&
        predicate_regex(&arena, pattern, &p) == OK)
        compare(p, text);
    arena_release(&arena);
    return 0;
}
