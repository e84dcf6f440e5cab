/* A record and its neighbours: the record is found by its id, its source by what it says about it,
 * and then the nearest records of that source are two searches: the newest before it, and the
 * oldest behind it. */
#include "query/explore.h"

#include "core/clock.h"
#include "query/hits.h"
#include "record/batch.h"
#include "record/json.h"

/* What names a source, besides its stream. */
static const char *const source_fields[] = {
    "service",  "host",      "log.file.path",       "log.file.name",       "file",
    "filename", "file_path", "kubernetes.pod_name", "kubernetes.pod.name", "k8s.pod.name"};
enum { SOURCE_FIELDS = sizeof(source_fields) / sizeof(*source_fields), SAME_MAX = 32 };

struct source {
    struct str stream;
    struct str field[SAME_MAX];
    struct scalar value[SAME_MAX]; /* lane SCALAR_NONE: it has none */
    uint32_t n;
};

struct finding {
    struct query_engine *engine;
    const struct query_request *q;
    const struct query_context *c;
    struct arena arena;
    struct row_order order; /* of the record */
    struct source source;
    struct buf record;
};

static const struct row_style row_style = {.search = true};

static enum err source_names(struct finding *f)
{
    struct str rest = f->c->same, part;
    struct source *s = &f->source;
    if (!rest.p) {
        for (; s->n < SOURCE_FIELDS; s->n++)
            s->field[s->n] = str_c(source_fields[s->n]);
        return OK;
    }
    while (rest.p && rest.n && str_split(&rest, ',', &part)) {
        part = str_trim(part);
        if (part.n == 0)
            continue;
        if (s->n == SAME_MAX)
            return err_set(ERR_INVALID, "same: more than %d fields", SAME_MAX);
        s->field[s->n++] = part;
    }
    return OK;
}

/* What the record says about its source. */
static enum err read_source(struct finding *f, struct rows *rows, uint32_t row)
{
    struct source *s = &f->source;
    s->stream = arena_str(&f->arena, rows->stream);
    for (uint32_t i = 0; i < s->n; i++) {
        struct field_values v;
        s->value[i] = (struct scalar){.lane = SCALAR_NONE};
        TRY(field_read(rows, s->field[i], &row, 1, rows->arena, &v));
        if (v.n == 0 || v.piece[0].n == 0)
            continue;
        s->value[i] = scalar_of(&v.piece[0].v, v.piece[0].code ? v.piece[0].code[0] : 0);
        s->value[i].text = arena_str(&f->arena, s->value[i].text);
    }
    return OK;
}

static enum err take_line(void *ctx, struct str line)
{
    struct finding *f = ctx;
    return buf_add(&f->record, line.p, line.n - 1);
}

static enum err visit_hits(void *ctx, const struct scan_block *b)
{
    struct hits *h = ctx;
    return hits_visit(h, b);
}

static bool skip_far(void *ctx, const struct block_ref *ref)
{
    struct hits *h = ctx;
    return hits_skip(h, ref);
}

static enum err run_hits(struct scan *s, struct hits *h)
{
    s->visit = visit_hits;
    s->skip = skip_far;
    s->ctx = h;
    TRY(scan_run(s));
    return hits_finish(h);
}

static enum err read_record(struct finding *f, struct scan *s, struct hits *h)
{
    if (h->n == 0)
        return err_set(ERR_NOTFOUND, "there is no record with _id %.*s in that range",
                       f->c->id.n > 100 ? 100 : (int)f->c->id.n, f->c->id.p);
    const struct hit *hit = &h->hit[0];
    struct query_sink sink = {f, take_line};
    struct rows rows;
    struct arena scratch;
    uint32_t row;
    f->order = hit->order;
    TRY(hits_write(h, 0, 1, s, &row_style, &sink));
    arena_init(&scratch, 0, NULL);
    enum err err = scan_reopen(s, hit->number, &hit->row, &hit->part, 1, &scratch, &rows, &row);
    if (err == OK)
        err = read_source(f, &rows, row);
    arena_release(&scratch);
    return err;
}

static enum err find_record(struct finding *f)
{
    struct query_request q = *f->q;
    struct scan scan = {0};
    struct hits hits = {.keep = 1};
    q.from = INT64_MIN;
    q.to = INT64_MAX;
    q.service = q.level = q.host = (struct str){0};
    const struct filter *filter = filter_equal(&f->arena, STR("_id"), f->c->id);
    enum err err = scan_open(f->engine, &q, filter, &f->arena, &scan);
    hits_init(&hits, f->engine->threads, &scan.memory);
    if (err == OK)
        err = run_hits(&scan, &hits);
    if (err == OK)
        err = read_record(f, &scan, &hits);
    scan_close(&scan);
    hits_release(&hits);
    return err;
}

/* The text that equality asks for. */
static struct str value_text(struct finding *f, const struct scalar *s)
{
    if (s->text.p)
        return s->text;
    struct buf b;
    buf_init(&b, 4096);
    scalar_json(&b, s);
    struct str text = arena_str(&f->arena, buf_str(&b));
    buf_release(&b);
    return text;
}

static enum err neighbour_filter(struct finding *f, const struct filter **ret)
{
    const struct source *s = &f->source;
    TRY(query_filter(f->q, &f->arena, ret));
    for (uint32_t i = 0; i < s->n; i++) {
        const struct filter *one =
            s->value[i].lane == SCALAR_NONE
                ? filter_lacks(&f->arena, s->field[i])
                : filter_equal(&f->arena, s->field[i], value_text(f, &s->value[i]));
        *ret = filter_and(&f->arena, one, *ret);
    }
    return OK;
}

struct lines {
    struct buf text;
    size_t end[QUERY_CONTEXT_MAX];
    uint32_t n;
};

static enum err take_neighbour(void *ctx, struct str line)
{
    struct lines *l = ctx;
    TRY(buf_add(&l->text, line.p, line.n - 1));
    l->end[l->n++] = l->text.n;
    return OK;
}

static void write_lines(const struct lines *l, bool reversed, struct buf *out)
{
    for (uint32_t i = 0; i < l->n; i++) {
        uint32_t at = reversed ? l->n - 1 - i : i;
        size_t from = at ? l->end[at - 1] : 0;
        if (i)
            buf_put_byte(out, ',');
        buf_put(out, l->text.p + from, l->end[at] - from);
    }
}

/* The `n` nearest records on one side, oldest first. */
static enum err write_side(struct finding *f, const struct filter *filter, bool behind, uint32_t n,
                           struct query_meta *meta, struct buf *out)
{
    struct query_request q = *f->q;
    struct scan scan = {0};
    struct hits hits = {.keep = n, .beyond = &f->order, .oldest = behind};
    struct lines *lines = ARENA_NEW(&f->arena, struct lines);
    struct query_sink sink = {lines, take_neighbour};
    enum err err;
    if (n == 0)
        return OK;
    q.stream = f->source.stream;
    buf_init(&lines->text, SIZE_MAX);
    TRY_OUT(scan_open(f->engine, &q, filter, &f->arena, &scan));
    hits_init(&hits, f->engine->threads, &scan.memory);
    if (behind)
        scan_oldest_first(&scan);
    TRY_OUT(run_hits(&scan, &hits));
    TRY_OUT(hits_write(&hits, 0, hits.n, &scan, &row_style, &sink));
    write_lines(lines, !behind, out);
    struct query_meta side;
    scan_meta(&scan, 0, &side);
    if (meta->complete)
        *meta = side;
out:
    buf_release(&lines->text);
    scan_close(&scan);
    hits_release(&hits);
    return err;
}

static void write_same(const struct finding *f, struct buf *out)
{
    const struct source *s = &f->source;
    buf_put_c(out, ",\"same\":{\"_stream\":");
    json_put_string(out, s->stream);
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->value[i].lane == SCALAR_NONE)
            continue;
        buf_put_byte(out, ',');
        json_put_string(out, s->field[i]);
        buf_put_byte(out, ':');
        scalar_json(out, &s->value[i]);
    }
    buf_put_byte(out, '}');
}

static enum err write_context(struct finding *f, int64_t started, struct buf *out)
{
    const struct filter *filter;
    struct query_meta meta = {.complete = true};
    TRY(neighbour_filter(f, &filter));
    buf_put_c(out, "{\"before\":[");
    TRY(write_side(f, filter, false, f->c->before, &meta, out));
    buf_put_c(out, "],\"record\":");
    buf_put_str(out, buf_str(&f->record));
    buf_put_c(out, ",\"after\":[");
    TRY(write_side(f, filter, true, f->c->after, &meta, out));
    buf_put_byte(out, ']');
    write_same(f, out);
    meta.took_ns = clock_mono_ns() - started;
    query_put_end(out, &meta);
    return OK;
}

enum err query_context(struct query_engine *e, const struct query_request *q,
                       const struct query_context *c, struct buf *out)
{
    int64_t started = clock_mono_ns();
    struct finding f = {.engine = e, .q = q, .c = c};
    const struct filter *checked;
    enum err err;
    arena_init(&f.arena, 0, NULL);
    buf_init(&f.record, SIZE_MAX);
    CHECK(c->before <= QUERY_CONTEXT_MAX && c->after <= QUERY_CONTEXT_MAX);
    TRY_OUT(query_filter(q, &f.arena, &checked));
    TRY_OUT(source_names(&f));
    TRY_OUT(find_record(&f));
    TRY_OUT(write_context(&f, started, out));
out:
    buf_release(&f.record);
    arena_release(&f.arena);
    return err;
}
