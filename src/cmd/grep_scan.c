/* Lines to hits. Bytes are searched for what every matching line must hold; only lines that hold it
 * are decoded, to the same records that ingest makes of them, and judged by the one evaluator of
 * the language, many at a time. A line that begins with '{' and is a JSON object is its fields; any
 * other is text. */
#include "cmd/grep.h"

#include "core/mem.h"
#include "record/bitmap.h"
#include "record/json.h"
#include "record/scan.h"
#include "record/text_line.h"

enum { BATCH_BYTES = 256 << 10 };

struct candidate {
    uint32_t at, n; /* the line, without its end */
    bool json;
    uint32_t row; /* in its batch */
};
struct lines { /* decoded lines that wait for judgement */
    struct batch *batch;
    uint64_t *bits;
};
struct grep_scanner {
    struct grep *g;
    unsigned worker;
    struct json_reader *reader;
    struct batch *text, *json;
    struct arena arena;
    struct candidate *wait;
    uint32_t n_wait, wait_cap;
    /* The piece under way. */
    const struct grep_file *file;
    struct grep_piece *piece;
    size_t counted_to; /* lines before it are in `line` */
    uint64_t line;
    size_t told_to; /* with --invert-match: lines before it have been told */
};

struct grep_scanner *grep_scanner_new(struct grep *g, unsigned worker)
{
    static const struct json_limits limits = {.record_bytes = GREP_LINE_MAX, .nesting = 1024};
    struct grep_scanner *s = NEW(struct grep_scanner);
    s->g = g;
    s->worker = worker;
    s->reader = json_reader_new(&limits);
    s->text = batch_new();
    s->json = batch_new();
    arena_init(&s->arena, 0, NULL);
    return s;
}

void grep_scanner_free(struct grep_scanner *s)
{
    json_reader_free(s->reader);
    batch_free(s->text);
    batch_free(s->json);
    arena_release(&s->arena);
    mem_free(s->wait);
    mem_free(s);
}

bool grep_needs_data(const struct grep_scanner *s)
{
    return s->g->need_data;
}

/* ---- hits ---- */

static uint64_t count_lines(const char *p, size_t n)
{
    uint64_t lines = 0;
    size_t i = 0;
    for (; n - i >= sizeof(scan_bytes); i += sizeof(scan_bytes)) {
        scan_bytes v;
        memcpy(&v, p + i, sizeof(v));
        lines += (uint64_t)__builtin_popcount(scan_bits((scan_bytes)(v == SCAN_ALL('\n'))));
    }
    for (; i < n; i++)
        lines += p[i] == '\n';
    return lines;
}

static void add_hit(struct grep_scanner *s, uint32_t at, uint32_t n)
{
    struct grep_piece *p = s->piece;
    p->matched++;
    if (!s->g->need_hits)
        return;
    if (s->g->need_lines) {
        s->line += count_lines(p->bytes.p + s->counted_to, at - s->counted_to);
        s->counted_to = at;
    }
    ARRAY_GROW(p->hit, p->hits_cap, p->n_hits + 1);
    p->hit[p->n_hits++] = (struct grep_hit){s->line, at, n};
}

static size_t line_end(struct str bytes, size_t at)
{
    const char *newline = memchr(bytes.p + at, '\n', bytes.n - at);
    return newline ? (size_t)(newline - bytes.p) : bytes.n;
}

/* The lines in front of `upto` that have not been told of are what is wanted. */
static void tell_others(struct grep_scanner *s, size_t upto)
{
    struct str bytes = s->piece->bytes;
    while (s->told_to < upto) {
        size_t end = line_end(bytes, s->told_to);
        add_hit(s, (uint32_t)s->told_to, (uint32_t)(end - s->told_to));
        s->told_to = end + 1;
    }
}

static void take_match(struct grep_scanner *s, const struct candidate *c)
{
    if (!s->g->invert) {
        add_hit(s, c->at, c->n);
        return;
    }
    tell_others(s, c->at);
    s->told_to = line_end(s->piece->bytes, c->at) + 1;
}

/* ---- judgement ---- */

static enum err give_rows(struct grep_scanner *s, struct rows *rows, const uint64_t *bits)
{
    struct grep *g = s->g;
    uint32_t *row = arena_alloc(&s->arena, ((size_t)rows->n + 1) * sizeof(*row));
    uint32_t n = bitmap_list(bits, rows->n, row);
    s->piece->matched += n;
    if (n == 0)
        return OK;
    if (query_local_folds(g->query))
        return query_local_fold(g->query, s->worker, rows, row, n, &s->arena);
    if (!s->piece->rows)
        s->piece->rows = batch_new();
    return batch_append_rows(s->piece->rows, rows, row, n);
}

/* Which of the batch's rows match; with pipes they go on from here. */
static enum err judge(struct grep_scanner *s, struct batch *b, uint64_t **ret)
{
    struct rows rows;
    *ret = NULL;
    if (batch_rows(b) == 0)
        return OK;
    batch_view(b, &s->arena, &rows);
    rows.stream = str_c(s->file->path);
    *ret = bitmap_new(&s->arena, rows.n);
    TRY(filter_eval(s->g->filter, &rows, &s->arena, *ret));
    if (!s->g->query)
        return OK;
    if (s->g->invert)
        bitmap_not(*ret, rows.n);
    return give_rows(s, &rows, *ret);
}

static enum err flush(struct grep_scanner *s)
{
    uint64_t *text, *json;
    if (s->n_wait == 0)
        return OK;
    TRY(judge(s, s->text, &text));
    TRY(judge(s, s->json, &json));
    for (uint32_t i = 0; i < s->n_wait && !s->g->query; i++) {
        const struct candidate *c = &s->wait[i];
        if (bitmap_get(c->json ? json : text, c->row))
            take_match(s, c);
    }
    s->n_wait = 0;
    batch_clear(s->text);
    batch_clear(s->json);
    arena_reset(&s->arena);
    return OK;
}

/* What the line says of its time and level is read where the query may ask for it. */
static void append_text(struct grep_scanner *s, struct str line)
{
    if (s->g->reads_heads) {
        text_line_append(s->text, line, s->file->mtime_ns);
        return;
    }
    batch_begin(s->text);
    batch_text(s->text, STR("message"), LANE_STR, line);
    batch_time(s->text, s->file->mtime_ns);
    batch_end(s->text, s->file->mtime_ns, line);
}

/* Decodes the line and lets it wait. */
static enum err add_line(struct grep_scanner *s, size_t at, size_t end)
{
    struct str line = str_of(s->piece->bytes.p + at, end - at);
    if (line.n && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n == 0)
        return OK;
    if (batch_bytes(s->text) + batch_bytes(s->json) + line.n > BATCH_BYTES)
        TRY(flush(s));
    bool json =
        line.p[0] == '{' && json_read_record(s->reader, line, s->file->mtime_ns, s->json) == OK;
    /* Rows that go on keep their order. */
    if (s->g->query && s->n_wait && s->wait[s->n_wait - 1].json != json) {
        if (json)
            batch_pop(s->json);
        TRY(flush(s));
        if (json)
            TRY(json_read_record(s->reader, line, s->file->mtime_ns, s->json));
    }
    if (!json)
        append_text(s, line);
    ARRAY_GROW(s->wait, s->wait_cap, s->n_wait + 1);
    s->wait[s->n_wait++] = (struct candidate){(uint32_t)at, (uint32_t)(end - at), json,
                                              batch_rows(json ? s->json : s->text) - 1};
    return OK;
}

/* ---- candidates ---- */

/* The first place at or behind `at`, a line's begin; a text that starts with '\n' stands at the
 * begin of the line behind it. */
static size_t next_place(const struct filter_needles *n, uint32_t used, struct str bytes, size_t at)
{
    for (uint32_t i = 0; i < used && at == 0; i++)
        if (n->needle[i].text.p[0] == '\n' && str_starts(bytes, str_from(n->needle[i].text, 1)))
            return 0;
    size_t place = needle_first(n->needle, used, bytes, at ? at - 1 : 0);
    return place != SIZE_MAX && bytes.p[place] == '\n' ? place + 1 : place;
}

static enum err scan_needles(struct grep_scanner *s)
{
    const struct filter_needles *n = &s->g->needles;
    struct str bytes = s->piece->bytes;
    uint32_t used = n->n > n->n_ascii && needle_wide(bytes) ? n->n : n->n_ascii;
    size_t place;
    for (size_t at = 0;
         at < bytes.n && used && (place = next_place(n, used, bytes, at)) < bytes.n;) {
        const char *before = memrchr(bytes.p + at, '\n', place - at);
        size_t from = before ? (size_t)(before - bytes.p) + 1 : at, end = line_end(bytes, place);
        TRY(add_line(s, from, end));
        at = end + 1;
        if (s->g->first_only && s->piece->matched)
            break;
    }
    return OK;
}

static enum err scan_all(struct grep_scanner *s)
{
    struct str bytes = s->piece->bytes;
    for (size_t at = 0; at < bytes.n;) {
        size_t end = line_end(bytes, at);
        TRY(add_line(s, at, end));
        at = end + 1;
        if (s->g->first_only && s->piece->matched)
            break;
    }
    return OK;
}

enum err grep_scan(struct grep_scanner *s, const struct grep_file *f, struct grep_piece *p)
{
    s->file = f;
    s->piece = p;
    s->line = 0;
    s->counted_to = s->told_to = 0;
    TRY(s->g->every_line ? scan_all(s) : scan_needles(s));
    TRY(flush(s));
    if (s->g->invert && !s->g->query)
        tell_others(s, p->bytes.n);
    if (s->g->need_lines)
        p->lines = s->line + count_lines(p->bytes.p + s->counted_to, p->bytes.n - s->counted_to);
    return OK;
}

/* ---- segments ---- */

enum err grep_scan_rows(struct grep_scanner *s, struct rows *rows, struct grep_piece *p)
{
    struct grep *g = s->g;
    struct arena *a = rows->arena;
    uint64_t *bits = bitmap_new(a, rows->n);
    s->piece = p;
    if (filter_may_match(g->filter, rows))
        TRY(filter_eval(g->filter, rows, a, bits));
    if (g->invert)
        bitmap_not(bits, rows->n);
    p->lines = rows->n;
    if (g->query)
        return give_rows(s, rows, bits);
    p->matched = bitmap_count(bits, rows->n);
    if (!g->need_hits || (p->matched == 0 && !g->need_data))
        return OK;
    uint32_t *row = arena_alloc(a, ((size_t)rows->n + 1) * sizeof(*row)), n = 0;
    for (uint32_t i = 0; i < rows->n; i++)
        if (g->need_data || bitmap_get(bits, i))
            row[n++] = i;
    size_t *end = arena_alloc(a, ((size_t)n + 1) * sizeof(*end));
    TRY(output_rows(rows, row, n, &(struct row_style){.local = true}, a, &p->data, end));
    p->bytes = buf_str(&p->data);
    for (uint32_t i = 0; i < n; i++) {
        size_t at = i ? end[i - 1] : 0;
        if (!bitmap_get(bits, row[i]))
            continue;
        ARRAY_GROW(p->hit, p->hits_cap, p->n_hits + 1);
        p->hit[p->n_hits++] = (struct grep_hit){row[i], (uint32_t)at, (uint32_t)(end[i] - at - 1)};
    }
    return OK;
}
