/* Any text through every stage that reads texts: alone as a message, and as what stands in fields
 * that are times, numbers, levels. What comes out is rows that a batch takes. */
#include "record/batch.h"
#include "transform/transform.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char yaml[] =
    "- auto\n"
    "- csv: {columns: [a, b, c]}\n"
    "- logfmt: {remove: true}\n"
    "- json\n"
    "- timestamp: {from: when, format: ['%Y-%m-%d %H:%M:%S.%f %z', '%b %e %T %Y', '%s', '%j %p %I',"
    " '%d/%b/%Y:%T %Z'], zone: Europe/Berlin, to: at}\n"
    "- timestamp: {from: when, zone: Asia/Tokyo}\n"
    "- timestamp: {from: when, unit: us}\n"
    "- level\n"
    "- convert: {when: int, a: float, b: bool}\n"
    "- redact\n"
    "- nest: {under: n, prefix: a, fields: [b, c]}\n"
    "- flatten: {separator: _}\n"
    "- hash: {fields: [when]}\n"
    "- route: {ways: [{where: 'level:ERROR', to: x}], else: y}\n"
    "- dedup: {fields: [at]}\n"
    "- sample: {levels: {DEBUG: 50%}}\n"
    "- throttle: {rate: 1000000/s}\n";

static struct chain *make(void)
{
    struct arena a;
    struct tree t;
    struct chain *c;
    arena_init(&a, 0, NULL);
    CHECK(tree_read(STR(yaml), "fuzz", &a, &t) == OK && chain_new(&t, &c) == OK);
    arena_release(&a);
    return c;
}

/* Each line a record. */
static void read_lines(struct str text, struct batch *b)
{
    struct str line;
    while (str_split(&text, '\n', &line) && batch_rows(b) < 100) {
        batch_begin(b);
        batch_text(b, STR("message"), LANE_STR, line);
        batch_text(b, STR("when"), LANE_STR, line);
        batch_text(b, STR("level"), LANE_STR, line);
        batch_end(b, 1700000000000000000, line);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct chain *chain;
    struct batch *b = batch_new(), *to = batch_new();
    struct rows in, out;
    struct arena a;
    chain = chain ? chain : make();
    arena_init(&a, 0, NULL);
    read_lines(str_of((const char *)data, size), b);
    batch_view(b, &a, &in);
    if (in.n && chain_run(chain, 0, UINT32_MAX, &in, 1700000000000000000, &a, &out) == OK && out.n)
        CHECK(batch_append_rows(to, &out, NULL, out.n) == OK && batch_rows(to) == out.n);
    batch_free(to);
    arena_release(&a);
    batch_free(b);
    return 0;
}
