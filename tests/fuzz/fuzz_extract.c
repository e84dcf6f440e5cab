/* Patterns of extract and grok: any bytes make an extractor or are refused with a place inside
 * them, and what it takes of any text is a part of that text. The pattern ends at the first byte 0,
 * behind which stands the text; the first byte says which syntax. */
#include "core/err.h"
#include "record/extract.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void match(const struct extractor *x, struct str text)
{
    const struct grok_field *field;
    struct str part[EXTRACT_FIELDS_MAX];
    bool is;
    uint32_t n = extractor_fields(x, &field);
    CHECK(n > 0 && n <= EXTRACT_FIELDS_MAX);
    enum err err = extractor_match(x, text, part, &is);
    CHECK(err == OK || err == ERR_LIMIT);
    for (uint32_t i = 0; err == OK && is && i < n; i++) {
        if (part[i].p && text.n)
            CHECK(part[i].p >= text.p && part[i].p + part[i].n <= text.p + text.n);
        for (uint32_t k = 0; k < i; k++)
            CHECK(!str_eq(field[i].name, field[k].name));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str all = {(const char *)data + 1, size - 1};
    size_t end = str_find_byte(all, 0, 0), at = 0;
    struct str pattern = {all.p, end};
    const struct extractor *x;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    if (extractor_new(pattern, data[0] % (EXTRACT_GUESS + 1), NULL, &arena, &x, &at) == OK) {
        match(x, str_from(all, end + 1));
        match(x, pattern);
    } else {
        CHECK(at <= pattern.n);
    }
    arena_release(&arena);
    return 0;
}
