/* JSON in: one record, a JSON object, straight to a batch.
 *
 * simdjson's first stage lists where the structure is: every bracket, colon, comma and opening
 * quote outside strings, and the first byte of every other run of bytes that is no white space
 * ("scalar"). This file walks the list once, checks all of RFC 8259's grammar on the way, and
 * pushes each value to the batch as it is met; a refused record is taken back by batch_cancel.
 *
 * What the walk relies on, and what it therefore need not look at:
 * - Strings are closed and hold no control characters (the stage refuses them).
 * - Between an opening quote and the next entry of the list lie the string, its closing quote, and
 * white space: the closing quote is the last byte there that is no white space.
 * - A scalar ends at the next entry or at white space.
 * - The list ends with sentinels that say "end of text"; the walk reads an entry only while the one
 * before was inside the text, so it never passes them.
 *
 * Bad UTF-8 is accepted: the stage then reads a copy of the text in which every byte above ASCII is
 * '?', which has the same structure, while the walk reads the original: outside of strings it knows
 * no such byte. Lone surrogates in \u escapes become their three WTF-8 bytes.
 *
 * White space is no value: line breaks in a record (they can only be white space) are made spaces
 * in a copy before the walk, so that what is kept as JSON text never breaks a line.
 *
 * Records that stand in lines are scanned many at once: the stage takes 64 bytes at a time, and has
 * a head and an end, which short records pay each for itself. A string cannot hold a line break, so
 * every line of a text that the stage takes begins outside of strings, and its part of the list is
 * what it has by itself. What the stage refuses, and what the walk does, is read alone, as its text
 * is what reasons and places are told from.
 *
 * Of those, a record whose leaves are all strings is mostly followed by others of the same keys in
 * the same text, which are read without any list (json_form.h). */
#include "record/json.h"

#include "core/hash.h"
#include "core/mem.h"
#include "record/json_form.h"
#include "record/json_simd.h"
#include "record/scan.h"

enum {
    ALIAS_NAMES_MAX = 32,
    DEFAULTS = 4,
    DEFAULT_ID = 2,
    DEFAULT_FILE = 3,
    RECORD_BYTES_MAX = 1 << 30,
    AHEAD_BYTES = 32 << 10,
    AHEAD_BYTES_FEW = 4 << 10,
    TIME_NAMES_MAX = 32
};

/* A field that records without it, or without any of an alias's names, get. */
struct alias_default {
    struct str names[ALIAS_NAMES_MAX];
    unsigned n_names;
    struct str key;
    struct buf value;
    bool found; /* in the record being read */
};

/* Lines whose records are read next, and those of them that were scanned together. */
struct lines_ahead {
    struct json_simd *simd;
    struct str lines, scanned;
    bool good;   /* what was scanned is of use */
    bool passed; /* records were read without it since */
    const uint32_t *at;
    uint32_t escape;
};

struct json_reader {
    struct json_limits limits;
    struct json_simd *simd;
    struct lines_ahead ahead;
    struct json_form form;
    struct buf key, value; /* unescaped */
    struct buf mended, flat, raw;
    struct alias_default defaults[DEFAULTS];
    struct buf name; /* dotted prefix of the open objects, while watching */
    unsigned given;  /* defaults that have a value */
    bool has_time;   /* of the envelope */
    int64_t time_ns;
    uint64_t time_hash[TIME_NAMES_MAX];
    unsigned n_time_hashes;
    unsigned missing; /* defaults whose names were not met yet; 0 also when there are none */
    /* The record being read. */
    struct batch *batch;
    const char *p; /* what was scanned, which the record stands in, and how much that is */
    uint32_t n_scanned;
    uint32_t n; /* where the record ends */
    const uint32_t *at;
    uint32_t escape; /* the first backslash behind the strings read so far; or further back */
};

static struct alias_default default_of(const char *key)
{
    struct alias_default d = {.key = str_c(key)};
    const char *const *name = alias_names(d.key);
    for (; name && name[d.n_names]; d.n_names++) {
        CHECK(d.n_names < ALIAS_NAMES_MAX);
        d.names[d.n_names] = str_c(name[d.n_names]);
    }
    if (!name)
        d.names[d.n_names++] = d.key;
    buf_init(&d.value, SIZE_MAX);
    return d;
}

struct json_reader *json_reader_new(const struct json_limits *limits)
{
    struct json_reader *r = NEW(struct json_reader);
    r->limits = *limits;
    if (r->limits.record_bytes > RECORD_BYTES_MAX)
        r->limits.record_bytes = RECORD_BYTES_MAX;
    if (r->limits.nesting > NESTING_MAX)
        r->limits.nesting = NESTING_MAX;
    r->simd = json_simd_new();
    r->ahead.simd = json_simd_new();
    CHECK(r->simd && r->ahead.simd);
    buf_init(&r->key, SIZE_MAX);
    buf_init(&r->value, SIZE_MAX);
    buf_init(&r->mended, SIZE_MAX);
    buf_init(&r->flat, SIZE_MAX);
    buf_init(&r->raw, SIZE_MAX);
    buf_init(&r->name, SIZE_MAX);
    r->defaults[0] = default_of("service");
    r->defaults[1] = default_of("host");
    r->defaults[DEFAULT_ID] = default_of("_id");
    r->defaults[DEFAULT_FILE] = default_of("file");
    r->defaults[DEFAULT_FILE].names[r->defaults[DEFAULT_FILE].n_names++] = STR("log.file.path");
    for (; time_names[r->n_time_hashes]; r->n_time_hashes++) {
        CHECK(r->n_time_hashes < TIME_NAMES_MAX);
        r->time_hash[r->n_time_hashes] = hash64(str_c(time_names[r->n_time_hashes]));
    }
    return r;
}

void json_reader_free(struct json_reader *r)
{
    if (!r)
        return;
    json_simd_free(r->simd);
    json_simd_free(r->ahead.simd);
    buf_release(&r->key);
    buf_release(&r->value);
    buf_release(&r->mended);
    buf_release(&r->flat);
    buf_release(&r->raw);
    buf_release(&r->name);
    for (unsigned i = 0; i < DEFAULTS; i++)
        buf_release(&r->defaults[i].value);
    mem_free(r);
}

static void give_default(struct json_reader *r, unsigned which, struct str value)
{
    struct buf *to = &r->defaults[which].value;
    r->given += (value.n > 0) - (to->n > 0);
    buf_clear(to);
    buf_put_str(to, value);
}

void json_reader_defaults(struct json_reader *r, struct str service, struct str host)
{
    give_default(r, 0, service);
    give_default(r, 1, host);
}

void json_reader_id(struct json_reader *r, struct str id)
{
    give_default(r, DEFAULT_ID, id);
}

void json_reader_file(struct json_reader *r, struct str path)
{
    give_default(r, DEFAULT_FILE, path);
}

void json_reader_time(struct json_reader *r, bool has_time, int64_t time_ns)
{
    r->has_time = has_time;
    r->time_ns = time_ns;
}

/* ---- refusals ---- */

static __attribute__((cold, noinline)) enum err expected(const struct json_reader *r,
                                                         const char *what, size_t at)
{
    if (at >= r->n)
        return err_set(ERR_INVALID, "expected %s at byte %u of the record, where it ends", what,
                       r->n);
    return err_set(ERR_INVALID, "expected %s at byte %zu of the record", what, at);
}

static __attribute__((cold, noinline)) enum err too_deep(const struct json_reader *r)
{
    return err_set(ERR_LIMIT, "the record nests deeper than the limit of %u levels at byte %u",
                   r->limits.nesting, *r->at);
}

/* The place of what the first stage only reports: the string that is not closed, or the first
 * control character in a string. */
static enum err bad_string(struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == '\\')
            return err_set(ERR_INVALID, "backslash outside a string at byte %zu of the record", i);
        if (text.p[i] != '"')
            continue;
        size_t end = scan_string_end(text.p, i, text.n);
        for (size_t k = i + 1; k < end; k++)
            if ((unsigned char)text.p[k] < 0x20)
                return err_set(ERR_INVALID,
                               "unescaped control character 0x%02x in a string at byte %zu of the "
                               "record",
                               text.p[k], k);
        if (end == text.n)
            return err_set(ERR_INVALID,
                           "the string that starts at byte %zu of the record is not closed", i);
        i = end - 1;
    }
    return err_set(ERR_INVALID, "a string of the record is not closed");
}

/* ---- strings ---- */

static __attribute__((noinline)) enum err unescape_into(const struct json_reader *r,
                                                        struct buf *buf, struct str *s)
{
    size_t bad;
    buf_clear(buf);
    char *to = buf_reserve(buf, s->n);
    if (!json_unescape(*s, to, &buf->n, &bad))
        return err_set(ERR_INVALID, "bad escape in a string at byte %zu of the record",
                       (size_t)(s->p - r->p) + bad);
    *s = buf_str(buf);
    return OK;
}

bool json_unquote(struct str quoted, struct arena *arena, struct str *ret)
{
    size_t bad, n;
    if (quoted.n < 2 || quoted.p[0] != '"' || quoted.p[quoted.n - 1] != '"' ||
        scan_string_end(quoted.p, 0, quoted.n) != quoted.n)
        return false;
    struct str inner = str_of(quoted.p + 1, quoted.n - 2);
    for (size_t i = 0; i < inner.n; i++)
        if ((unsigned char)inner.p[i] < 0x20)
            return false;
    char *to = arena_try_alloc(arena, inner.n + 1);
    if (!to || !json_unescape(inner, to, &n, &bad))
        return false;
    *ret = str_of(to, n);
    return true;
}

/* ---- the walk ---- */

/* The byte of the next entry; 0, which starts nothing, at the end. */
static inline char peek(const struct json_reader *r)
{
    uint32_t at = *r->at;
    return __builtin_expect(at < r->n, 1) ? r->p[at] : '\0';
}

static inline bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Whether a backslash stands in [from, close). One of all that was scanned is looked for at a time,
 * not one of each string. */
static inline bool has_escape(struct json_reader *r, uint32_t from, uint32_t close)
{
    if (r->escape < from) {
        const char *hit = memchr(r->p + from, '\\', r->n_scanned - from);
        r->escape = hit ? (uint32_t)(hit - r->p) : r->n_scanned;
    }
    return r->escape < close;
}

/* The string whose quote is the next entry, unescaped into `buf` where it needs that. */
static inline enum err read_string(struct json_reader *r, struct buf *buf, struct str *ret)
{
    uint32_t from = *r->at + 1, close = r->at[1] - 1;
    while (is_space(r->p[close]))
        close--;
    if (__builtin_expect(close < from || r->p[close] != '"', 0))
        return expected(r, "the end of a string", close);
    r->at++;
    *ret = str_of(r->p + from, close - from);
    if (has_escape(r, from, close))
        return unescape_into(r, buf, ret);
    return OK;
}

static inline bool is_digit(char c)
{
    return (unsigned char)(c - '0') <= 9;
}

/* The end of the rest of a number behind its first digits, or NULL. */
static const char *number_tail(const char *p, const char *end)
{
    if (p < end && *p == '.') {
        const char *from = ++p;
        while (p < end && is_digit(*p))
            p++;
        if (p == from)
            return NULL;
    }
    if (p < end && (*p | 0x20) == 'e') {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *from = p;
        while (p < end && is_digit(*p))
            p++;
        if (p == from)
            return NULL;
    }
    return p;
}

/* The number that is the next entry. *ret_int: it is an integer of at most 18 digits and not -0,
 * with this value. */
static inline enum err read_number(struct json_reader *r, struct str *ret, bool *ret_int,
                                   int64_t *ret_v)
{
    const char *start = r->p + *r->at, *end = r->p + r->at[1], *p = start;
    bool negative = *p == '-';
    p += negative;
    const char *digits = p;
    uint64_t v = 0;
    while (p < end && is_digit(*p))
        v = v * 10 + (uint64_t)(*p++ - '0');
    size_t n_digits = (size_t)(p - digits);
    if (n_digits == 0 || (n_digits > 1 && *digits == '0'))
        return expected(r, "a number without surplus zeros or signs", *r->at);
    const char *tail = number_tail(p, end);
    if (!tail || (tail < end && !is_space(*tail)))
        return expected(r, "a JSON number", *r->at);
    *ret_int = tail == p && n_digits <= 18 && !(negative && v == 0);
    *ret_v = (int64_t)(negative ? 0 - v : v);
    *ret = str_of(start, (size_t)(tail - start));
    r->at++;
    return OK;
}

static inline enum err read_word(struct json_reader *r, struct str word)
{
    uint32_t from = *r->at, end = r->at[1];
    if (end - from < word.n || memcmp(r->p + from, word.p, word.n) != 0 ||
        (end - from > word.n && !is_space(r->p[from + word.n])))
        return expected(r, "true, false or null", from);
    r->at++;
    return OK;
}

/* Checks a value and passes it. Keeps r->key, which may hold the key of the array that it is in. */
static enum err skip_value(struct json_reader *r, unsigned depth)
{
    struct str text;
    bool is_int;
    int64_t v;
    char open = peek(r), close = open == '{' ? '}' : ']';
    switch (open) {
    case '"':
        return read_string(r, &r->value, &text);
    case 't':
        return read_word(r, STR("true"));
    case 'f':
        return read_word(r, STR("false"));
    case 'n':
        return read_word(r, STR("null"));
    case '{':
    case '[':
        break;
    default:
        if (open == '-' || is_digit(open))
            return read_number(r, &text, &is_int, &v);
        return expected(r, "a value", *r->at);
    }
    if (depth >= r->limits.nesting)
        return too_deep(r);
    r->at++;
    if (peek(r) == close) {
        r->at++;
        return OK;
    }
    for (;;) {
        if (open == '{') {
            if (peek(r) != '"')
                return expected(r, "a key in quotes", *r->at);
            TRY(read_string(r, &r->value, &text));
            if (peek(r) != ':')
                return expected(r, "':'", *r->at);
            r->at++;
        }
        TRY(skip_value(r, depth + 1));
        char next = peek(r);
        if (next != ',' && next != close)
            return expected(r, open == '{' ? "',' or '}'" : "',' or ']'", *r->at);
        r->at++;
        if (next == close)
            return OK;
    }
}

static enum err read_array(struct json_reader *r, struct str key, unsigned depth)
{
    uint32_t from = *r->at;
    TRY(skip_value(r, depth));
    uint32_t end = r->at[-1] + 1;
    batch_text(r->batch, key, LANE_ARR, str_of(r->p + from, end - from));
    return OK;
}

/* ---- defaults ---- */

static __attribute__((noinline)) void watch_leaf(struct json_reader *r, struct str key)
{
    size_t prefix = r->name.n;
    struct str name = key;
    if (prefix) {
        buf_put_str(&r->name, key);
        name = buf_str(&r->name);
    }
    for (unsigned d = 0; d < DEFAULTS; d++) {
        struct alias_default *a = &r->defaults[d];
        for (unsigned i = 0; i < a->n_names && !a->found && a->value.n; i++)
            if (str_eq(a->names[i], name)) {
                a->found = true;
                r->missing--;
            }
    }
    r->name.n = prefix;
}

static __attribute__((noinline)) void watch_open(struct json_reader *r, struct str key)
{
    buf_put_str(&r->name, key);
    buf_put_byte(&r->name, '.');
}

static void watch_begin(struct json_reader *r)
{
    buf_clear(&r->name);
    r->missing = r->given;
    for (unsigned d = 0; r->given && d < DEFAULTS; d++)
        r->defaults[d].found = false;
}

/* Appends what the record lacks, to the batch and to its text, which counts if the record is kept
 * as text. */
static void append_defaults(struct json_reader *r, struct str *raw)
{
    buf_clear(&r->raw);
    buf_put(&r->raw, raw->p, raw->n - 1);
    bool comma = str_trim(str_of(raw->p + 1, raw->n - 2)).n > 0;
    for (unsigned d = 0; d < DEFAULTS; d++) {
        struct alias_default *a = &r->defaults[d];
        if (a->found || !a->value.n)
            continue;
        struct str value = buf_str(&a->value);
        batch_text(r->batch, a->key, LANE_STR, value);
        if (comma)
            buf_put_byte(&r->raw, ',');
        comma = true;
        json_put_string(&r->raw, a->key);
        buf_put_byte(&r->raw, ':');
        json_put_string(&r->raw, value);
    }
    buf_put_byte(&r->raw, '}');
    *raw = buf_str(&r->raw);
}

/* ---- the record ---- */

static enum err read_members(struct json_reader *r, unsigned depth);

static enum err read_object(struct json_reader *r, struct str key, unsigned depth)
{
    if (depth >= r->limits.nesting)
        return too_deep(r);
    r->at++;
    if (peek(r) == '}') {
        r->at++;
        batch_empty(r->batch, key, LANE_OBJ);
        return OK;
    }
    size_t prefix = r->name.n;
    if (r->missing)
        watch_open(r, key);
    batch_open(r->batch, key);
    TRY(read_members(r, depth + 1));
    batch_close(r->batch);
    r->name.n = prefix;
    return OK;
}

static inline enum err read_value(struct json_reader *r, struct str key, unsigned depth)
{
    struct str text = {0};
    bool is_int = false;
    int64_t v = 0;
    char c = peek(r);
    if (r->missing && c != '{')
        watch_leaf(r, key);
    switch (c) {
    case '"':
        TRY(read_string(r, &r->value, &text));
        batch_text(r->batch, key, LANE_STR, text);
        return OK;
    case '{':
        return read_object(r, key, depth);
    case '[':
        return read_array(r, key, depth);
    case 't':
        TRY(read_word(r, STR("true")));
        batch_bool(r->batch, key, true);
        return OK;
    case 'f':
        TRY(read_word(r, STR("false")));
        batch_bool(r->batch, key, false);
        return OK;
    case 'n':
        TRY(read_word(r, STR("null")));
        batch_empty(r->batch, key, LANE_NULL);
        return OK;
    default:
        if (c != '-' && !is_digit(c))
            return expected(r, "a value", *r->at);
        TRY(read_number(r, &text, &is_int, &v));
        if (is_int)
            batch_int(r->batch, key, v);
        else
            batch_number(r->batch, key, text);
        return OK;
    }
}

/* Members up to and with the closing brace; there is at least one. */
static enum err read_members(struct json_reader *r, unsigned depth)
{
    for (;;) {
        struct str key;
        if (peek(r) != '"')
            return expected(r, "a key in quotes", *r->at);
        TRY(read_string(r, &r->key, &key));
        if (peek(r) != ':')
            return expected(r, "':'", *r->at);
        r->at++;
        TRY(read_value(r, key, depth));
        char next = peek(r);
        if (next != ',' && next != '}')
            return expected(r, "',' or '}'", *r->at);
        r->at++;
        if (next == '}')
            return OK;
    }
}

/* A copy with the same structure and no byte above ASCII. */
static struct str mended_copy(struct json_reader *r, struct str text)
{
    buf_clear(&r->mended);
    char *to = buf_reserve(&r->mended, text.n + JSON_PADDING);
    for (size_t i = 0; i < text.n; i++)
        to[i] = (unsigned char)text.p[i] < 0x80 ? text.p[i] : '?';
    memset(to + text.n, ' ', JSON_PADDING);
    return str_of(to, text.n);
}

static struct str flat_copy(struct json_reader *r, struct str text)
{
    buf_clear(&r->flat);
    char *to = buf_reserve(&r->flat, text.n + JSON_PADDING);
    for (size_t i = 0; i < text.n; i++)
        to[i] = text.p[i] == '\n' || text.p[i] == '\r' ? ' ' : text.p[i];
    memset(to + text.n, ' ', JSON_PADDING);
    return str_of(to, text.n);
}

static enum err scan_structure(struct json_reader *r, struct str text)
{
    uint32_t count;
    enum json_scan scan = json_simd_scan(r->simd, text.p, text.n, &r->at, &count);
    if (scan == JSON_SCAN_UTF8)
        scan = json_simd_scan(r->simd, mended_copy(r, text).p, text.n, &r->at, &count);
    switch (scan) {
    case JSON_SCAN_OK:
        CHECK(r->at[count] == text.n && r->at[count + 1] == text.n);
        return OK;
    case JSON_SCAN_EMPTY:
        return err_set(ERR_INVALID, "the record is empty");
    case JSON_SCAN_MEMORY:
        return err_set(ERR_NOMEM, "no memory to read a record of %zu bytes", text.n);
    default:
        return bad_string(text);
    }
}

static enum err walk(struct json_reader *r, struct str *ret_raw)
{
    uint32_t from = *r->at;
    if (peek(r) != '{')
        return err_set(ERR_INVALID,
                       "a record must be a JSON object: expected '{' at byte %u of the record",
                       from);
    r->at++;
    if (peek(r) == '}')
        r->at++;
    else
        TRY(read_members(r, 1));
    uint32_t end = r->at[-1] + 1;
    if (*r->at < r->n)
        return expected(r, "nothing more behind the object", *r->at);
    *ret_raw = str_of(r->p + from, end - from);
    return OK;
}

/* Sets out to read a text that was scanned by itself. */
static void read_alone(struct json_reader *r, struct str text)
{
    r->p = text.p;
    r->n = r->n_scanned = (uint32_t)text.n;
    r->escape = 0;
}

enum err json_check(struct json_reader *r, struct str text)
{
    if (text.n > RECORD_BYTES_MAX)
        return err_set(ERR_LIMIT, "a JSON value has %zu bytes, the limit is %u", text.n,
                       (unsigned)RECORD_BYTES_MAX);
    if (text.n == 0)
        return err_set(ERR_INVALID, "expected a JSON value where nothing is");
    TRY(scan_structure(r, text));
    read_alone(r, text);
    TRY(skip_value(r, 0));
    return *r->at < r->n ? expected(r, "nothing more behind the value", *r->at) : OK;
}

/* The record from here to its end, of which everything but its text is known. */
static enum err read_record(struct json_reader *r, int64_t arrival_ns, struct batch *b)
{
    r->batch = b;
    watch_begin(r);
    struct str raw;
    batch_begin(b);
    enum err err = walk(r, &raw);
    if (err != OK) {
        batch_cancel(b);
        return err;
    }
    if (r->missing)
        append_defaults(r, &raw);
    if (r->has_time && !batch_has_name(b, r->time_hash, r->n_time_hashes))
        batch_time(b, r->time_ns);
    batch_end(b, arrival_ns, raw);
    return OK;
}

/* ---- records in lines ---- */

void json_reader_lines(struct json_reader *r, struct str lines)
{
    r->ahead.lines = lines;
    r->ahead.scanned = (struct str){0};
}

static inline bool is_inside(struct str part, struct str of)
{
    return (uintptr_t)part.p - (uintptr_t)of.p <= of.n &&
           part.n <= of.n - ((uintptr_t)part.p - (uintptr_t)of.p);
}

/* Scans from `record` on, up to a line's end: little where those behind it may well be of its form.
 */
static void scan_ahead(struct lines_ahead *a, struct str record)
{
    size_t left = (size_t)(a->lines.p + a->lines.n - record.p);
    size_t n = a->passed ? AHEAD_BYTES_FEW : AHEAD_BYTES;
    n = left < n ? left : n;
    a->passed = false;
    if (n < left) {
        const char *last = memrchr(record.p, '\n', n);
        n = last ? (size_t)(last - record.p) : 0;
    }
    uint32_t count;
    a->scanned = str_of(record.p, n > record.n ? n : record.n);
    a->good = n > record.n && !memchr(record.p, '\r', n) &&
              json_simd_scan(a->simd, record.p, n, &a->at, &count) == JSON_SCAN_OK;
    a->escape = 0;
}

/* Whether the record, of those lines, was scanned together with others: then the reader stands
 * before it. */
static inline bool stands_ahead(struct json_reader *r, struct str record)
{
    struct lines_ahead *a = &r->ahead;
    if (!is_inside(record, a->scanned))
        scan_ahead(a, record);
    if (!a->good)
        return false;
    uint32_t from = (uint32_t)(record.p - a->scanned.p);
    r->p = a->scanned.p;
    r->n_scanned = (uint32_t)a->scanned.n;
    r->n = from + (uint32_t)record.n;
    r->escape = a->escape;
    while (*a->at < from)
        a->at++;
    r->at = a->at;
    return true;
}

/* ---- records in the text of the one before ---- */

/* How many entries lead up to and with the opening quote of the next string that is no key. */
static uint32_t entries_to_value(const struct json_reader *r, const uint32_t *at)
{
    uint32_t k = 1;
    while (r->p[at[k]] != '"' || r->p[at[k - 1]] != ':')
        k++;
    return k + 1;
}

/* Takes up the record that was read last, `n` strings, whose entries are those from `at` up to
 * where the reader stands. */
static void learn_form(struct json_reader *r, const uint32_t *at, uint32_t n)
{
    struct json_form *f = &r->form;
    uint32_t from = *at;
    json_form_begin(f);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t entries = entries_to_value(r, at), close = at[entries] - 1;
        if (!json_form_piece(f, str_of(r->p + from, at[entries - 1] + 1 - from)))
            return;
        while (r->p[close] != '"')
            close--;
        from = close;
        at += entries;
    }
    if (json_form_piece(f, str_of(r->p + from, r->at[-1] + 1 - from)))
        json_form_end(f, r->batch);
}

static inline bool may_have_form(const struct json_reader *r, const struct batch *b)
{
    return json_form_is_of(&r->form, b) && !r->given && !r->has_time;
}

uint32_t json_read_alike(struct json_reader *r, struct str lines, int64_t arrival_ns,
                         struct batch *b, size_t extra, size_t *ret_n)
{
    *ret_n = 0;
    if (!may_have_form(r, b) || r->form.has_id || !is_inside(lines, r->ahead.lines))
        return 0;
    struct json_form_wanted all = {r->limits.record_bytes, extra, UINT32_MAX};
    uint32_t n = json_form_read(&r->form, lines, &all, arrival_ns, b, ret_n);
    r->ahead.passed |= n > 0;
    return n;
}

static bool read_like_before(struct json_reader *r, struct str text, int64_t arrival_ns,
                             struct batch *b)
{
    struct json_form_wanted one = {SIZE_MAX, 0, 1};
    size_t n;
    bool is_it = json_form_read(&r->form, text, &one, arrival_ns, b, &n) == 1;
    r->ahead.passed |= is_it;
    return is_it;
}

static enum err read_ahead(struct json_reader *r, int64_t arrival_ns, struct batch *b)
{
    const uint32_t *at = r->at;
    TRY(read_record(r, arrival_ns, b));
    uint32_t n = batch_form(b);
    if (n && !r->given && !r->has_time)
        learn_form(r, at, n);
    return OK;
}

enum err json_read_record(struct json_reader *r, struct str text, int64_t arrival_ns,
                          struct batch *b)
{
    if (text.n > r->limits.record_bytes)
        return err_set(ERR_LIMIT, "the record has %zu bytes, the limit is %zu", text.n,
                       r->limits.record_bytes);
    if (text.n == 0)
        return err_set(ERR_INVALID, "the record is empty");
    bool inside = r->ahead.lines.n && is_inside(text, r->ahead.lines);
    if (inside && may_have_form(r, b) && read_like_before(r, text, arrival_ns, b))
        return OK;
    if (inside && stands_ahead(r, text)) {
        enum err err = read_ahead(r, arrival_ns, b);
        r->ahead.escape = r->escape;
        if (err == OK) {
            r->ahead.at = r->at;
            return OK;
        }
    }
    TRY(scan_structure(r, text));
    if (memchr(text.p, '\n', text.n) || memchr(text.p, '\r', text.n))
        text = flat_copy(r, text);
    read_alone(r, text);
    return read_record(r, arrival_ns, b);
}
