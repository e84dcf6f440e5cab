#include "record/json.h"
#include "record/template_cut.h"
#include "rows_util.h"
#include "store/encoding.h"

static struct arena arena;

/* A column being made: texts or numbers, whichever its lane takes. */
struct made {
    struct values v;
    uint32_t *off;
    struct buf bytes;
    int64_t *i64, *time;
    uint8_t *u8;
    double *f64;
};

static void made_init(struct made *m, enum lane lane, uint32_t n)
{
    memset(m, 0, sizeof(*m));
    buf_init(&m->bytes, SIZE_MAX);
    m->off = ARENA_ARRAY(&arena, uint32_t, n + 1);
    m->i64 = ARENA_ARRAY(&arena, int64_t, n);
    m->time = ARENA_ARRAY(&arena, int64_t, n);
    m->u8 = ARENA_ARRAY(&arena, uint8_t, n);
    m->f64 = ARENA_ARRAY(&arena, double, n);
    m->v = (struct values){.n = n, .lane = lane};
    for (uint32_t i = 0; i < n; i++)
        m->time[i] = 1739620800000000000LL + (int64_t)i * 1000000 + (int64_t)(i * 7919 % 1000003);
}

static void made_text(struct made *m, uint32_t i, const char *s, size_t n)
{
    buf_put(&m->bytes, s, n);
    m->off[i + 1] = (uint32_t)m->bytes.n;
}

static void made_finish(struct made *m)
{
    m->v.off = m->off;
    m->v.bytes = m->bytes.p ? m->bytes.p : "";
    m->v.i64 = m->i64;
    m->v.scale = m->v.u8 = m->u8;
    m->v.f64 = m->f64;
}

enum kind {
    WORDS,
    SAME,
    FEW,
    MANY_FEW,
    HEX,
    HEX_UPPER,
    UUID,
    PREFIX,
    PREFIX_ZEROS,
    DIGITS,
    TIMES,
    TIMES_MIXED,
    NUMERALS,
    PADDED,
    ZEROS,
    CLOCKS,
    LINES,
    FEW_LINES,
    NEARLY_LINES,
    NESTED,
    QUOTED,
    HOLES,
    NEARLY_HEX,
    NEARLY_PREFIX,
    NEARLY_TIME,
    OTHER_TIMES,
    MINUTES,
    ODD_MINUTES,
    NEAR_NUMBERS,
    EMPTIES,
    BINARY,
    PROSE,
    LONG,
    ARRAYS,
    NUMS,
    INTS,
    SMALL_INTS,
    BOOLS,
    DECS,
    DECS_MIXED,
    DBLS,
    WHOLE_DBLS,
    NULLS,
    KINDS
};

static int trace_of(uint64_t r, char *s, size_t max)
{
    return snprintf(s, max, "%016llx%016llx", (unsigned long long)r * 0x9e3779b97f4a7c15ULL | 1,
                    (unsigned long long)r * 0xbf58476d1ce4e5b9ULL | 1);
}

/* Lines of a few programs: every kind of variable, words at the edges of holes, ids that recur. */
static int line_of(uint64_t r, uint32_t i, char *s, size_t max)
{
    char trace[40];
    unsigned small = (unsigned)(r >> 8) % 100, big = (unsigned)(r >> 16) % 100000;
    trace_of((r >> 24) % 40, trace, sizeof(trace));
    switch (r % 10) {
    case 0:
        return snprintf(s, max, "[%u.%03us] GC(%u) Pause Young %u%% %6u.%uK", i, small, i / 7,
                        small, big, small % 10);
    case 1:
        return snprintf(s, max, "2025-02-15 %02u:%02u:%02u,%03u INFO TraceID: %s SpanID: %016llx",
                        i / 3600 % 24, i / 60 % 60, i % 60, small, trace, (unsigned long long)r);
    case 2:
        return snprintf(s, max, "%02u:%02u:%02u.%03u ERROR TraceID: %s timeout after %u ms",
                        i / 3600 % 24, i / 60 % 60, i % 60, small, trace, big);
    case 3:
        return snprintf(s, max, "eth%u: link C-0x%llx: db/user@10.0.0.%u:%u \xc3\xa4rger",
                        small % 4, (unsigned long long)(r >> 30), small % 8, big);
    case 4:
        return snprintf(s, max, "alpha");
    case 5:
        return snprintf(s, max, "read /var/log/alpha/%u.log beta C:\\Windows\\x%u.dll", small % 5,
                        small % 9);
    case 6:
        return snprintf(s, max, "  Min: %5u, Avg: %7u.%u, Max: %u", small, big, small % 10, big);
    case 7:
        return snprintf(s, max, "user_%u \xe2\x84\xaa%u failed with %s", big, small, trace);
    case 8:
        return snprintf(s, max, "%u%s%u", small, small % 2 ? "ms" : "-", big);
    default:
        return snprintf(s, max, "at org.alpha.Beta.run(Beta.java:%u) req_%llx", small % 3,
                        (unsigned long long)(r >> 20));
    }
}

/* Words that are put together of others: templates in the slots of templates, of slots of their own
 * and, where a line is rare, in those that many share. */
static int nested_line(uint64_t r, char *s, size_t max)
{
    static const char *const part[] = {"cart", "pay", "auth", "Route", "k8s"};
    const char *a = part[r % 5], *b = part[r / 5 % 5];
    unsigned x = (unsigned)(r >> 8) % 1000, y = (unsigned)(r >> 20) % 100000;
    switch (r >> 40 & 3 ? 0 : (r >> 42) % 40) {
    case 0:
        return snprintf(s, max, "GET [Id:%s-%x.%s/%u:v%u]done in %u ms", a, y, b, x, x % 7, y);
    case 1:
        return snprintf(s, max, "GET [Id:%s-%08x.%s]done in %u ms", a, y * 977, b, x);
    default:
        return snprintf(s, max, "job%u x<%s_%u.%x/%s>y %llu", (unsigned)(r >> 42) % 40, a, x, y, b,
                        (unsigned long long)r % 999983);
    }
}

/* Words and slots' texts that are escaped in JSON, and characters that slots cut in two. */
static int quoted_line(uint64_t r, uint32_t i, char *s, size_t max)
{
    static const char *const part[] = {"a\"b", "c:\\x", "\x01", "plain", "d\"\"e"};
    const char *a = part[r % 5], *b = part[r / 5 % 4];
    unsigned x = (unsigned)(r >> 8) % 1000, y = (unsigned)(r >> 20) % 100000;
    switch (r >> 40 & 3) {
    case 0:
        return snprintf(s, max, "opened \"%s\\%x_%s%u\" of '%u'", a, y, b, x, i);
    case 1:
        return snprintf(s, max, "%s said <%s-%u\t%x> at alpha %u.%02u", a, b, x, y, i, x % 100);
    case 2:
        return snprintf(s, max, "took \xc3%c%u \xe2\x82 %u alpha", (int)(0x80 + r % 64), x, y);
    default:
        return snprintf(s, max, "job%u x<%s_%u.%x/%s>y", (unsigned)(r >> 42) % 40, a, x, y, b);
    }
}

static int text_of(enum kind kind, uint32_t i, uint32_t n, int64_t time, char *s, size_t max)
{
    static const char *const word[] = {"alpha", "Beta", "timeout", "Failed", "42", "naïve"};
    unsigned long long r = rnd();
    switch (kind) {
    case WORDS:
        return snprintf(s, max, "%s: %u %s after %u ms", word[r % 6], i, word[r / 6 % 6],
                        (unsigned)r % 9999);
    case SAME:
        return snprintf(s, max, "always alpha");
    case FEW:
        return snprintf(s, max, "%s", word[r % 6]);
    case MANY_FEW:
        return snprintf(s, max, "pod-%s-%llu", word[r % 6], r / 6 % (n / 40 + 1));
    case HEX:
        return snprintf(s, max, "req_%016llx", r);
    case HEX_UPPER:
        return snprintf(s, max, "%016llX", r | 0xfull << 60);
    case UUID:
        return snprintf(s, max, "%08llx-%04llx-%04llx", r >> 32, r >> 16 & 0xffff, r & 0xffff);
    case PREFIX:
        return snprintf(s, max, "User_%llu", r % 1000000);
    case PREFIX_ZEROS:
        return snprintf(s, max, "host-%06llu.", r % 1000000) - 1;
    case DIGITS:
        return snprintf(s, max, "%llu", r >> (r % 50));
    case TIMES:
        return (int)time_rfc3339(time, s);
    case TIMES_MIXED:
        return r % 3 ? (int)time_rfc3339(time + (int64_t)(r % 999), s)
                     : snprintf(s, max, "%llu", 1739620800ull + r % 5);
    case NUMERALS:
        return snprintf(s, max, "%llu.%02u", r % 5000, (unsigned)(r >> 20) % 100);
    case PADDED:
        return snprintf(s, max, "%8llu.%u", r % 2 ? r % 77 : r % 100000000000,
                        (unsigned)(r >> 40) % 10);
    case ZEROS:
        return snprintf(s, max, "%09llu", r % 99999999);
    case CLOCKS:
        return snprintf(s, max, "%02u:%02u:%02u,%03u", i / 3600 % 24, i / 60 % 60, i % 60,
                        (unsigned)r % 1000);
    case LINES:
        return line_of(r, i, s, max);
    case FEW_LINES:
        return line_of(r % 30, 7, s, max);
    case NEARLY_LINES:
        return i % 50 == 0 ? snprintf(s, max, "%llx \x1a %u", r, i) : line_of(r, i, s, max);
    case NESTED:
        return nested_line(r, s, max);
    case QUOTED:
        return quoted_line(r, i, s, max);
    case HOLES:
        return snprintf(s, max, "\x1a%s\x1a", word[r % 6]);
    case NEARLY_HEX:
        return i + 1 == n ? snprintf(s, max, "req_%015llxg", r & 0xfff)
                          : snprintf(s, max, "req_%016llx", r);
    case NEARLY_PREFIX:
        return i + 1 == n ? snprintf(s, max, "u_007") : snprintf(s, max, "u_%llu", r % 99999 + 1);
    case NEARLY_TIME:
        return i + 1 == n ? snprintf(s, max, "yesterday") : (int)time_rfc3339(time, s);
    case OTHER_TIMES: /* whole seconds, one step back, whatever _time is */
        return (int)time_rfc3339((1700000000 + (int64_t)i % 3000 + (int64_t)r % 2) * 1000000000, s);
    case MINUTES: /* many times of one minute */
        return snprintf(s, max, "2025-02-15 12:%02u:%02u,%03u+02%s0", i / 60 % 60, (unsigned)r % 60,
                        (unsigned)(r >> 8) % 1000, i / 200 % 2 ? ":0" : "0");
    case ODD_MINUTES: /* and some that are none */
        return snprintf(s, max, "2025-02-15T12:00:%02u%c%03u%s",
                        i % 97 == 96 ? 60 : (unsigned)r % 60, i % 53 == 52 ? ',' : '.',
                        (unsigned)(r >> 8) % 1000, i % 31 ? "Z" : "");
    case NEAR_NUMBERS: /* the second is near the first, the third is the second */
        return snprintf(s, max, "collection %llu.%03u: part %llu.%03u, all %llu.%03u, %u alpha",
                        r % 90000000, (unsigned)r % 1000, r % 90000000 + (i % 3),
                        (unsigned)r % 1000, r % 90000000 + (i % 3), (unsigned)r % 1000, i % 500);
    case EMPTIES:
        return r % 3 ? 0 : snprintf(s, max, "alpha %u", i);
    case LONG:
        return snprintf(s, max, "%0*u alpha %llx%llx%llx", (int)(i % 97 == 0 ? 3000 : 50), i, r,
                        (unsigned long long)rnd(), (unsigned long long)rnd());
    case PROSE:
        for (int k = 0; k < 160; k++)
            s[k] = rnd_below(7) ? (char)('a' + rnd_below(26)) : ' ';
        return 160;
    case ARRAYS:
        return snprintf(s, max, "[\"alpha\",%llu]", r % 100);
    case NUMS:
        return snprintf(s, max, "%llue%llu", r % 100 + 1, r / 100 % 500);
    default: /* BINARY */
        memcpy(s, &r, 8);
        return (int)(r % 9);
    }
}

static const uint8_t expected[KINDS] = {
    [WORDS] = ENC_TEMPLATE,
    [SAME] = ENC_CONST,
    [FEW] = ENC_DICT,
    [MANY_FEW] = ENC_DICT,
    [HEX] = ENC_HEX,
    [HEX_UPPER] = ENC_HEX,
    [UUID] = ENC_HEX,
    [PREFIX] = ENC_PREFIX_INT,
    [PREFIX_ZEROS] = ENC_PREFIX_INT,
    [TIMES] = ENC_TIME,
    [TIMES_MIXED] = ENC_TIME,
    [OTHER_TIMES] = ENC_INSTANT,
    [MINUTES] = ENC_INSTANT,
    [NEAR_NUMBERS] = ENC_TEMPLATE,
    [NUMERALS] = ENC_NUMERAL,
    [PADDED] = ENC_NUMERAL,
    [ZEROS] = ENC_NUMERAL,
    [CLOCKS] = ENC_CLOCK,
    [LINES] = ENC_TEMPLATE,
    [FEW_LINES] = ENC_DICT,
    [NEARLY_LINES] = ENC_TEMPLATE,
    [NESTED] = ENC_TEMPLATE,
    [QUOTED] = ENC_TEMPLATE,
    [HOLES] = ENC_DICT,
    [NEARLY_HEX] = ENC_TEMPLATE,
    [NEARLY_PREFIX] = ENC_PLAIN,
    [PROSE] = ENC_PLAIN,
    [INTS] = ENC_INTS,
    [SMALL_INTS] = ENC_INTS,
    [BOOLS] = ENC_INTS,
    [DECS] = ENC_DECIMAL,
    [DECS_MIXED] = ENC_DECIMAL,
    [DBLS] = ENC_DOUBLE,
    [WHOLE_DBLS] = ENC_DOUBLE,
    [NULLS] = ENC_EMPTY,
};

static enum lane lane_of(enum kind kind)
{
    switch (kind) {
    case ARRAYS:
        return LANE_ARR;
    case NUMS:
        return LANE_NUM;
    case INTS:
    case SMALL_INTS:
        return LANE_INT;
    case BOOLS:
        return LANE_BOOL;
    case DECS:
    case DECS_MIXED:
        return LANE_DEC;
    case DBLS:
    case WHOLE_DBLS:
        return LANE_DBL;
    case NULLS:
        return LANE_NULL;
    default:
        return LANE_STR;
    }
}

static void make(struct made *m, enum kind kind, uint32_t n)
{
    char s[4096];
    made_init(m, lane_of(kind), n);
    for (uint32_t i = 0; i < n; i++) {
        uint64_t r = rnd();
        if (lane_is_text(m->v.lane))
            made_text(m, i, s, (size_t)text_of(kind, i, n, m->time[i], s, sizeof(s)));
        m->i64[i] = kind == INTS ? (int64_t)r : (int64_t)(r % 1000) - 300;
        m->u8[i] = (uint8_t)(kind == DECS ? 2 : kind == DECS_MIXED ? 1 + r % 18 : r & 1);
        union {
            uint64_t u;
            double d;
        } x = {.u = r & ~((uint64_t)1 << 62)};
        m->f64[i] = kind == WHOLE_DBLS ? (double)(r % 5000) : x.d;
    }
    made_finish(m);
}

static enum err times(void *ctx, const int64_t **ret)
{
    *ret = ((struct made *)ctx)->time;
    return OK;
}

/* Texts that lie apart from each other are encoded as those that lie together, to the byte. */
static void check_apart(const struct values *v, const struct encode_options *o, struct str bytes)
{
    struct str *text = ARENA_ARRAY(&arena, struct str, v->n);
    struct values apart = {.n = v->n, .lane = v->lane, .text = text, .text_bytes = values_bytes(v)};
    struct chunk_stats stats;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    for (uint32_t i = v->n; i-- > 0;) {
        struct str s = values_text(v, i);
        char *to = arena_alloc(&arena, s.n);
        memcpy(to, s.p, s.n);
        text[i] = str_of(to, s.n);
    }
    assert_ok(chunk_encode(&apart, o, &arena, &out, &stats));
    assert_true(str_eq(buf_str(&out), bytes));
    buf_release(&out);
}

static struct chunk open_encoded(struct made *m, bool small, struct buf *out,
                                 struct chunk_stats *stats)
{
    struct encode_options o = {
        .zstd_level = 1 + (int)(m->v.n % 2), .time = m->time, .small = small};
    struct chunk c;
    assert_ok(chunk_encode(&m->v, &o, &arena, out, stats));
    if (lane_is_text(m->v.lane))
        check_apart(&m->v, &o, buf_str(out));
    assert_ok(chunk_open(buf_str(out), small ? CHUNK_SMALL : CHUNK_VERIFY, m->v.lane, m->v.n,
                         &arena, &c));
    c.time = times;
    c.time_ctx = m;
    assert_int_equal(c.encoding, stats->encoding);
    return c;
}

static void assert_same_value(const struct values *a, uint32_t i, const struct values *b,
                              uint32_t k)
{
    struct buf x, y;
    buf_init(&x, SIZE_MAX);
    buf_init(&y, SIZE_MAX);
    dump_value(a, i, &x);
    dump_value(b, k, &y);
    if (!str_eq(buf_str(&x), buf_str(&y)))
        fail_msg("%.*s instead of %.*s", STR_ARG(buf_str(&x)), STR_ARG(buf_str(&y)));
    buf_release(&x);
    buf_release(&y);
}

static void check_values(const struct chunk *c, const struct made *m)
{
    struct values v;
    assert_ok(chunk_values(c, &arena, &v));
    assert_int_equal(v.n, m->v.n);
    for (uint32_t i = 0; i < v.n; i++)
        assert_same_value(&v, i, &m->v, i);
    for (uint32_t step = 1; step < 600; step = step * 4 + 1) {
        uint32_t *pos = ARENA_ARRAY(&arena, uint32_t, m->v.n), n = 0;
        for (uint32_t i = rnd_below(step); i < m->v.n; i += 1 + rnd_below(step))
            pos[n++] = i;
        assert_ok(chunk_get(c, pos, n, &arena, &v));
        assert_int_equal(v.n, n);
        for (uint32_t i = 0; i < n; i++)
            assert_same_value(&v, i, &m->v, pos[i]);
    }
}

/* As JSON: all, and some neighbours; also where they meet a buffer's maximum. */
static void check_json(const struct chunk *c, const struct made *m)
{
    for (uint32_t k = 0; k < 6; k++) {
        struct json_texts *texts;
        struct buf got, want;
        uint32_t from = k ? rnd_below(m->v.n) : 0, n = k ? rnd_below(m->v.n - from) : m->v.n;
        n += n == 0;
        enum err err = chunk_json(c, from, n, &arena, &texts);
        if (err == ERR_UNSUPPORTED &&
            (c->encoding != ENC_TEMPLATE || c->lane != LANE_STR || n < c->n / 16))
            continue;
        assert_ok(err);
        buf_init(&want, SIZE_MAX);
        for (uint32_t i = from; i < from + n; i++)
            json_put_string(&want, values_text(&m->v, i));
        buf_init(&got, k == 5 ? want.n / 2 + 1 : SIZE_MAX);
        for (uint32_t i = 0; i < n; i++)
            texts->put(texts, &got);
        if (k == 5)
            want.n = got.max;
        assert_true(str_eq(buf_str(&got), buf_str(&want)));
        buf_release(&got);
        buf_release(&want);
    }
}

static void check_match(const struct chunk *c, const struct made *m, const struct predicate *p)
{
    uint64_t *want = bitmap_new(&arena, m->v.n), *got = bitmap_new(&arena, m->v.n);
    assert_ok(predicate_match(p, &m->v, want));
    assert_ok(chunk_match(c, p, &arena, got));
    for (uint32_t i = 0; i < m->v.n; i++)
        if (bitmap_get(want, i) != bitmap_get(got, i))
            fail_msg("%s: predicate %d \"%.*s\" on value %u: %d", encoding_name(c->encoding),
                     p->kind, STR_ARG(p->text), i, bitmap_get(got, i));
}

static struct predicate_bound bound(const char *text, bool inclusive)
{
    struct predicate_bound b = {.set = text != NULL, .inclusive = inclusive};
    if (!text)
        return b;
    b.text = str_c(text);
    b.is_number = number_parse(b.text, &arena, &b.number);
    return b;
}

/* Every kind of predicate, on whole values, parts of values and others. */
static void check_predicates(const struct chunk *c, const struct made *m)
{
    static const char *const texts[] = {
        "alpha", "ALPHA",    "beta",         "timeout",    "42",   "req_",     "user_", "u_7",
        "host-", "fail\x01", "\x01out",      "t\x02meout", "2025", "T",        "-",     "a",
        "true",  "ï",        "\xe2\x84\xaa", ".",          "1",    "req_\x01", "\x01"};
    struct predicate p;
    for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
        assert_ok(predicate_text(&arena, str_c(texts[i]), &p));
        check_match(c, m, &p);
        assert_ok(predicate_equal(&arena, str_c(texts[i]), &p));
        check_match(c, m, &p);
    }
    for (int k = 0; k < 6 && lane_is_text(m->v.lane); k++) {
        struct str s = values_text(&m->v, rnd_below(m->v.n));
        assert_ok(predicate_equal(&arena, s, &p));
        check_match(c, m, &p);
        if (!s.n)
            continue;
        assert_ok(predicate_text(&arena, s, &p));
        check_match(c, m, &p);
        assert_ok(predicate_text(&arena, str_from(s, rnd_below((uint32_t)s.n)), &p));
        check_match(c, m, &p);
        struct str upper = arena_str(&arena, s);
        for (size_t i = 0; i < s.n; i++)
            if (upper.p[i] >= 'a' && upper.p[i] <= 'z')
                ((char *)upper.p)[i] = (char)(upper.p[i] - 32);
        assert_ok(predicate_equal(&arena, upper, &p));
        check_match(c, m, &p);
        assert_ok(predicate_text(&arena, upper, &p));
        check_match(c, m, &p);
    }
    /* Any piece of any value, with and without a gap in it, as a term and as a literal. */
    for (int k = 0; k < 40 && lane_is_text(m->v.lane); k++) {
        struct str s = values_text(&m->v, rnd_below(m->v.n));
        uint32_t from = rnd_below((uint32_t)s.n + 1),
                 to = from + rnd_below((uint32_t)s.n + 1 - from);
        if (k % 4 && to > from + 9) /* short ones, too: across an edge of a hole, and no more */
            to = from + 2 + rnd_below(7);
        char piece[4096];
        memcpy(piece, s.p + from, to - from);
        if (k % 3 == 0 && to > from + 2)
            piece[rnd_below(to - from)] = k % 2 ? PATTERN_ANY : PATTERN_ONE;
        if (to == from)
            continue;
        assert_ok(predicate_text(&arena, arena_str(&arena, str_of(piece, to - from)), &p));
        check_match(c, m, &p);
        if (needle_wide(str_of(s.p + from, to - from)))
            continue; /* a regex must be UTF-8 */
        struct buf quoted;
        buf_init(&quoted, SIZE_MAX);
        buf_printf(&quoted, "\\Q%.*s\\E", (int)(to - from), s.p + from);
        assert_ok(predicate_regex(&arena, arena_str(&arena, buf_str(&quoted)), &p));
        check_match(c, m, &p);
        buf_release(&quoted);
    }
    static const char *const regexes[] = {
        "after [0-9]+ ms", "Trace.*0 ms$", "user_[0-9]*7", "alph.", "^req_[0-9a-f]{4}",
        "(?i)ALPHA",       "[0-9]+$",      "zzz",          "^$"};
    for (size_t i = 0; i < sizeof(regexes) / sizeof(*regexes); i++) {
        assert_ok(predicate_regex(&arena, str_c(regexes[i]), &p));
        check_match(c, m, &p);
    }
    static const char *const bounds[][2] = {
        {"10", "200"}, {NULL, "-5.5"}, {"a", NULL}, {"0.001", "1e300"}};
    for (size_t i = 0; i < sizeof(bounds) / sizeof(*bounds); i++) {
        struct predicate_bound low = bound(bounds[i][0], i & 1), high = bound(bounds[i][1], true);
        assert_ok(predicate_range(&arena, &low, &high, &p));
        check_match(c, m, &p);
    }
    predicate_exists(&p);
    check_match(c, m, &p);
    predicate_pattern(template_id_of(lane_is_text(m->v.lane) ? values_text(&m->v, 0) : STR("7")),
                      &p);
    check_match(c, m, &p);
}

/* The text that stands for others has the pattern of each of them. */
static void check_alike(const struct chunk *c, const struct made *m)
{
    struct values text;
    const uint32_t *code;
    if (!lane_is_text(m->v.lane) || chunk_alike(c, &arena, &text, &code) != OK)
        return;
    uint64_t *id = ARENA_ARRAY(&arena, uint64_t, text.n);
    for (uint32_t i = 0; i < text.n; i++)
        id[i] = template_id_of(values_text(&text, i));
    for (uint32_t i = 0; i < m->v.n; i++)
        if (id[code[i]] != template_id_of(values_text(&m->v, i)))
            fail_msg("%s: \"%.*s\" stands for \"%.*s\"", encoding_name(c->encoding),
                     STR_ARG(values_text(&text, code[i])), STR_ARG(values_text(&m->v, i)));
}

static void test_every_encoding_does_as_plain_values(void **state)
{
    static const uint32_t sizes[] = {1, 2, 5, 64, 701, 3001, 5000};
    for (enum kind kind = 0; kind < KINDS; kind++)
        for (size_t k = 0; k < sizeof(sizes) / sizeof(*sizes); k++)
            for (int small = 0; small < 2; small++) {
                struct made m;
                struct buf out;
                struct chunk_stats stats;
                buf_init(&out, SIZE_MAX);
                make(&m, kind, sizes[k]);
                struct chunk c = open_encoded(&m, small, &out, &stats);
                if (sizes[k] == 5000 && !small && expected[kind] &&
                    stats.encoding != expected[kind])
                    fail_msg("kind %d became %s", kind, encoding_name(stats.encoding));
                check_values(&c, &m);
                check_json(&c, &m);
                check_predicates(&c, &m);
                check_alike(&c, &m);
                for (uint32_t i = 0; stats.has_range && m.v.lane == LANE_INT && i < m.v.n; i++)
                    assert_true(m.i64[i] >= stats.min && m.i64[i] <= stats.max);
                buf_release(&out);
                buf_release(&m.bytes);
                arena_reset(&arena);
            }
}

/* Text of many pages; get opens only some. */
/* Words of a dictionary larger than a cache, which are fetched before they are put. */
static void test_many_words(void **state)
{
    enum { N = 90000 };
    struct made m;
    struct buf out;
    struct chunk_stats stats;
    char s[64];
    buf_init(&out, SIZE_MAX);
    made_init(&m, LANE_STR, N);
    for (uint32_t i = 0; i < N; i++) {
        static const char *const of[] = {"order-worker", "inventory-api", "auth", "payments-api"};
        uint32_t r = (uint32_t)rnd();
        made_text(&m, i, s,
                  (size_t)snprintf(s, sizeof(s), "%s-%03x-x7k2p", of[r % 4], r / 4 % 12288));
    }
    made_finish(&m);
    struct chunk c = open_encoded(&m, false, &out, &stats);
    assert_int_equal(stats.encoding, ENC_TEMPLATE);
    check_json(&c, &m);
    buf_release(&out);
    buf_release(&m.bytes);
    arena_reset(&arena);
}

static void test_pages(void **state)
{
    struct made m;
    struct buf out;
    struct chunk_stats stats;
    buf_init(&out, SIZE_MAX);
    make(&m, PROSE, 30000);
    assert_true(m.bytes.n > 3 << 20);
    struct chunk c = open_encoded(&m, false, &out, &stats);
    assert_int_equal(stats.encoding, ENC_PLAIN);
    assert_true(c.n_parts > 2);
    check_values(&c, &m);
    struct predicate p;
    assert_ok(predicate_text(&arena, str_of(m.bytes.p + 3 * 160, 80), &p));
    check_match(&c, &m, &p);
    buf_release(&out);
    buf_release(&m.bytes);
    arena_reset(&arena);
}

static void test_small_where_it_can_be(void **state)
{
    static const struct {
        enum kind kind;
        double max; /* bytes a value */
    } want[] = {{SAME, 0.02},        {FEW, 0.5},        {HEX, 8.1},         {PREFIX, 2.7},
                {PREFIX_ZEROS, 2.7}, {TIMES, 0.02},     {SMALL_INTS, 1.4},  {BOOLS, 0.15},
                {NULLS, 0.01},       {WHOLE_DBLS, 2.0}, {NEAR_NUMBERS, 6.0}};
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
        struct made m;
        struct buf out;
        struct chunk_stats stats;
        buf_init(&out, SIZE_MAX);
        make(&m, want[i].kind, 10000);
        open_encoded(&m, false, &out, &stats);
        if ((double)out.n > want[i].max * 10000)
            fail_msg("kind %d takes %zu bytes", want[i].kind, out.n);
        buf_release(&out);
        buf_release(&m.bytes);
        arena_reset(&arena);
    }
}

/* Lines of two templates that both hold a connection and its peer: `opened` tells in which order
 * those open whose closing is in order. */
static size_t bytes_of_connections(const uint32_t *opened, uint32_t n)
{
    struct made m;
    struct buf out;
    struct chunk_stats stats;
    buf_init(&out, SIZE_MAX);
    made_init(&m, LANE_STR, n * 2);
    for (uint32_t i = 0; i < n * 2; i++) {
        char text[120];
        uint32_t k = i < n ? opened[i] : i - n;
        snprintf(text, sizeof(text), "C-0x%05x: shop%u/u@10.0.%u.%u:%u %s", (k % 1024) * 977,
                 k * 7 % 1100 % 9, k * 7 % 1100 % 7, k * 7 % 1100 % 250, k * 7 % 1100 * 13,
                 i < n ? "came in by the door" : "went away again");
        made_text(&m, i, text, strlen(text));
    }
    made_finish(&m);
    open_encoded(&m, false, &out, &stats);
    assert_int_equal(stats.encoding, ENC_TEMPLATE);
    size_t bytes = out.n;
    buf_release(&out);
    buf_release(&m.bytes);
    arena_reset(&arena);
    return bytes;
}

/* Where a sample of one template says that two slots go together, and one of the other that they do
 * not, both are cut in the same way, for else they would share no words. */
static void test_templates_join_slots_alike(void **state)
{
    enum { N = 2048 };
    uint32_t straight[N], turned[N];
    for (uint32_t i = 0; i < N; i++) {
        straight[i] = i;
        turned[i] = i / 2 + (i % 2 ? N / 2 : 0);
    }
    size_t usual = bytes_of_connections(straight, N), unlucky = bytes_of_connections(turned, N);
    if (unlucky > usual + usual / 2)
        fail_msg("%zu bytes became %zu", usual, unlucky);
}

static void use_everything(struct made *m, struct str bytes, enum chunk_trust trust)
{
    struct chunk c;
    struct values v;
    const uint32_t *code;
    struct predicate p;
    uint32_t pos[2] = {0, m->v.n - 1};
    enum err err = chunk_open(bytes, trust, m->v.lane, m->v.n, &arena, &c);
    assert_true(err == OK || err == ERR_CORRUPT || err == ERR_UNSUPPORTED);
    if (err != OK)
        return;
    c.time = times;
    c.time_ctx = m;
    err = chunk_values(&c, &arena, &v);
    if (err == OK)
        assert_int_equal(v.n, m->v.n);
    err = chunk_get(&c, pos, m->v.n > 1 ? 2 : 1, &arena, &v);
    err = chunk_codes(&c, &arena, &v, &code);
    for (uint32_t i = 0; err == OK && i < m->v.n; i++)
        assert_true(code[i] < v.n);
    assert_ok(predicate_text(&arena, STR("alpha"), &p));
    err = chunk_match(&c, &p, &arena, bitmap_new(&arena, m->v.n));
    assert_true(err <= OK);
}

static void test_damage_is_found_and_never_crashes(void **state)
{
    for (enum kind kind = 0; kind < KINDS; kind++) {
        struct made m;
        struct buf out;
        struct chunk_stats stats;
        struct chunk c;
        buf_init(&out, SIZE_MAX);
        make(&m, kind, 300);
        open_encoded(&m, false, &out, &stats);
        for (int round = 0; round < 400; round++) {
            size_t at = rnd_below((uint32_t)(round % 2 || out.n < 60 ? out.n : 60));
            char was = out.p[at];
            out.p[at] = (char)(was ^ (1 + rnd_below(255)));
            assert_int_equal(chunk_open(buf_str(&out), CHUNK_VERIFY, m.v.lane, 300, &arena, &c),
                             ERR_CORRUPT);
            use_everything(&m, buf_str(&out), CHUNK_TRUSTED);
            out.p[at] = was;
            if (round % 50 == 49)
                use_everything(&m, str_of(out.p, rnd_below((uint32_t)out.n)), CHUNK_TRUSTED);
        }
        assert_err(chunk_open(buf_str(&out), CHUNK_VERIFY, m.v.lane, 301, &arena, &c), ERR_CORRUPT,
                   "300 values instead of 301");
        buf_release(&out);
        buf_release(&m.bytes);
        arena_reset(&arena);
    }
}

int main(void)
{
    arena_init(&arena, 0, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_encoding_does_as_plain_values),
        cmocka_unit_test(test_pages),
        cmocka_unit_test(test_many_words),
        cmocka_unit_test(test_small_where_it_can_be),
        cmocka_unit_test(test_templates_join_slots_alike),
        cmocka_unit_test(test_damage_is_found_and_never_crashes),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_release(&arena);
    return failed;
}
