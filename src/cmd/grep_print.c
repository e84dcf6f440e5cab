/* What weir grep shows, in the forms of grep and ripgrep:
 *
 *   line                      path:line                 path:number:line
 *   path-number-line          a line of context; "--" between groups that do not touch
 *   path                      a heading on a terminal, number:line below it
 *   path:count                --count
 *   {"type":"match",...}      --json, ripgrep's events
 *
 * Context crosses pieces: lines in front of a piece are kept as a copy (tail), lines behind a hit
 * are owed (after_left). Everything here runs on one thread. */
#include "cmd/grep.h"
#include "core/clock.h"
#include "core/mem.h"
#include "record/json.h"
#include "record/json_simd.h"

enum { OUT_BYTES = 64 << 10, SPANS_MAX = 1024 };

#define COLOUR_PATH "\033[35m"
#define COLOUR_LINE "\033[32m"
#define COLOUR_MATCH "\033[1;31m"
#define COLOUR_OFF "\033[0m"

struct span {
    size_t from, to;
};
struct grep_output {
    struct grep *g;
    struct grep_style style;
    FILE *to;
    struct buf out;
    bool any, any_group; /* a hit; a group of lines written */
    struct span *span;
    size_t n_spans, spans_cap;
    /* Of the file. */
    uint64_t lines, matched, shown; /* lines before the piece; hits; hits shown */
    unsigned after_left;
    bool begun;      /* something of it was written */
    bool gap;        /* lines were passed over since the last one written */
    struct buf tail; /* the last lines of the pieces before, not written */
    unsigned tail_lines;
    /* Of the piece. */
    const struct grep_piece *piece;
    size_t written_to;      /* its bytes in front are done with */
    uint64_t written_lines; /* and how many lines these are */
    /* Of the run: for --json. */
    int64_t began_ns, file_began_ns;
    uint64_t searches, searches_with_match, bytes_searched, bytes_printed, matched_lines, matches;
    uint64_t file_bytes, file_printed, file_matches;
};

struct grep_output *grep_output_new(struct grep *g, const struct grep_style *style, FILE *to)
{
    struct grep_output *o = NEW(struct grep_output);
    o->g = g;
    o->style = *style;
    o->to = to;
    o->began_ns = clock_mono_ns();
    buf_init(&o->out, SIZE_MAX);
    buf_init(&o->tail, SIZE_MAX);
    return o;
}

void grep_output_free(struct grep_output *o)
{
    buf_release(&o->out);
    buf_release(&o->tail);
    mem_free(o->span);
    mem_free(o);
}

bool grep_output_any(const struct grep_output *o)
{
    return o->any;
}

static void flush(struct grep_output *o)
{
    if (o->out.n && (fwrite(o->out.p, 1, o->out.n, o->to) != o->out.n || fflush(o->to) != 0))
        o->g->stop = true; /* the reader left */
    buf_clear(&o->out);
}

/* ---- spans ---- */

static void add_span(void *ctx, size_t from, size_t to)
{
    struct grep_output *o = ctx;
    if (o->n_spans == SPANS_MAX)
        return;
    ARRAY_GROW(o->span, o->spans_cap, o->n_spans + 1);
    o->span[o->n_spans++] = (struct span){from, to};
}

static int span_cmp(const void *a, const void *b)
{
    const struct span *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->to < y->to) - (x->to > y->to);
}

/* What matches in the line, in order, without overlaps. */
static void find_spans(struct grep_output *o, struct str line)
{
    o->n_spans = 0;
    if (o->style.invert)
        return;
    filter_spans(o->g->filter, line, o, add_span);
    if (o->n_spans < 2)
        return;
    qsort(o->span, o->n_spans, sizeof(*o->span), span_cmp);
    size_t n = 1;
    for (size_t i = 1; i < o->n_spans; i++) {
        struct span *last = &o->span[n - 1];
        if (o->span[i].from >= last->to)
            o->span[n++] = o->span[i];
        else if (o->span[i].to > last->to)
            last->to = o->span[i].to;
    }
    o->n_spans = n;
}

/* ---- text ---- */

/* A line must not drive the terminal. */
static void put_bytes(struct grep_output *o, struct str s)
{
    if (!o->style.sanitise) {
        buf_put_str(&o->out, s);
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        bool end = c == '\r' && i + 1 == s.n;
        buf_put_byte(&o->out, (c < 0x20 && c != '\t' && !end) || c == 0x7f ? '?' : s.p[i]);
    }
}

static void put_coloured(struct grep_output *o, const char *colour, struct str s)
{
    if (o->style.colours)
        buf_put_c(&o->out, colour);
    put_bytes(o, s);
    if (o->style.colours)
        buf_put_c(&o->out, COLOUR_OFF);
}

static void put_path(struct grep_output *o, struct grep_file *f)
{
    put_coloured(o, COLOUR_PATH, str_c(f->path));
}

static void put_number(struct grep_output *o, uint64_t number)
{
    char text[24];
    int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    put_coloured(o, COLOUR_LINE, str_of(text, (size_t)n));
}

static void put_prefix(struct grep_output *o, struct grep_file *f, uint64_t number, char mark)
{
    if (o->style.path && !o->style.heading) {
        put_path(o, f);
        buf_put_byte(&o->out, o->style.null ? 0 : mark);
    }
    if (o->style.number) {
        put_number(o, number);
        buf_put_byte(&o->out, mark);
    }
}

static void put_spans(struct grep_output *o, struct str line)
{
    size_t at = 0;
    find_spans(o, line);
    for (size_t i = 0; i < o->n_spans; i++) {
        put_bytes(o, str_of(line.p + at, o->span[i].from - at));
        at = o->span[i].from;
        put_coloured(o, COLOUR_MATCH, str_of(line.p + at, o->span[i].to - at));
        at = o->span[i].to;
    }
    put_bytes(o, str_from(line, at));
}

static void begin_file(struct grep_output *o, struct grep_file *f)
{
    if (!o->begun && o->style.heading && o->style.path) {
        if (o->any_group)
            buf_put_byte(&o->out, '\n');
        put_path(o, f);
        buf_put_byte(&o->out, '\n');
    }
    o->begun = true;
}

/* ---- events of --json ---- */

static void put_base64(struct buf *out, struct str s)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < s.n; i += 3) {
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (i + k < s.n ? (uint8_t)s.p[i + k] : 0);
        for (size_t k = 0; k < 4; k++)
            buf_put_byte(out, i + k > s.n ? '=' : digit[v >> (18 - 6 * k) & 63]);
    }
}

/* {"text":...}, or {"bytes":base64} where it is no UTF-8. */
static void put_data(struct grep_output *o, const char *key, struct str s)
{
    buf_printf(&o->out, "\"%s\":{", key);
    if (json_simd_utf8(s.p, s.n)) {
        buf_put_c(&o->out, "\"text\":");
        json_put_string(&o->out, s);
    } else {
        buf_put_c(&o->out, "\"bytes\":\"");
        put_base64(&o->out, s);
        buf_put_byte(&o->out, '"');
    }
    buf_put_byte(&o->out, '}');
}

static void event_begin(struct grep_output *o, struct grep_file *f)
{
    if (o->begun)
        return;
    buf_put_c(&o->out, "{\"type\":\"begin\",\"data\":{");
    put_data(o, "path", str_c(f->path));
    buf_put_c(&o->out, "}}\n");
    o->begun = true;
}

static void event_line(struct grep_output *o, struct grep_file *f, struct str line, size_t at,
                       uint64_t number, bool hit)
{
    event_begin(o, f);
    size_t before = o->out.n;
    bool ended = o->piece && line.p + line.n < o->piece->bytes.p + o->piece->bytes.n;
    buf_printf(&o->out, "{\"type\":\"%s\",\"data\":{", hit ? "match" : "context");
    put_data(o, "path", str_c(f->path));
    buf_put_byte(&o->out, ',');
    put_data(o, "lines", str_of(line.p, line.n + ended));
    buf_printf(&o->out, ",\"line_number\":%llu,\"absolute_offset\":%llu,\"submatches\":[",
               (unsigned long long)number,
               (unsigned long long)(o->piece ? o->piece->offset : 0) + at);
    if (hit)
        find_spans(o, line);
    for (size_t i = 0; hit && i < o->n_spans; i++) {
        buf_put_c(&o->out, i ? ",{" : "{");
        put_data(o, "match", str_of(line.p + o->span[i].from, o->span[i].to - o->span[i].from));
        buf_printf(&o->out, ",\"start\":%zu,\"end\":%zu}", o->span[i].from, o->span[i].to);
    }
    if (hit)
        o->file_matches += o->n_spans;
    buf_put_c(&o->out, "]}}\n");
    o->file_printed += o->out.n - before;
}

static void put_stats(struct grep_output *o, int64_t ns, uint64_t searches, uint64_t with,
                      uint64_t bytes, uint64_t printed, uint64_t lines, uint64_t matches)
{
    buf_printf(&o->out,
               "\"stats\":{\"elapsed\":{\"secs\":%lld,\"nanos\":%lld,\"human\":\"%.6fs\"},"
               "\"searches\":%llu,\"searches_with_match\":%llu,\"bytes_searched\":%llu,"
               "\"bytes_printed\":%llu,\"matched_lines\":%llu,\"matches\":%llu}",
               (long long)(ns / NS_PER_S), (long long)(ns % NS_PER_S), (double)ns / 1e9,
               (unsigned long long)searches, (unsigned long long)with, (unsigned long long)bytes,
               (unsigned long long)printed, (unsigned long long)lines, (unsigned long long)matches);
}

static void event_end(struct grep_output *o, struct grep_file *f)
{
    o->searches++;
    o->searches_with_match += o->matched > 0;
    o->bytes_searched += o->file_bytes;
    o->bytes_printed += o->file_printed;
    o->matched_lines += o->matched;
    o->matches += o->file_matches;
    if (!o->begun)
        return;
    buf_put_c(&o->out, "{\"type\":\"end\",\"data\":{");
    put_data(o, "path", str_c(f->path));
    buf_put_c(&o->out, ",\"binary_offset\":null,");
    put_stats(o, clock_mono_ns() - o->file_began_ns, 1, o->matched > 0, o->file_bytes,
              o->file_printed, o->matched, o->file_matches);
    buf_put_c(&o->out, "}}\n");
}

/* ---- lines ---- */

static void put_line(struct grep_output *o, struct grep_file *f, struct str line, size_t at,
                     uint64_t number, bool hit)
{
    if (o->style.json) {
        event_line(o, f, line, at, number, hit);
        return;
    }
    begin_file(o, f);
    put_prefix(o, f, number, hit ? ':' : '-');
    if (hit && o->style.colours)
        put_spans(o, line);
    else
        put_bytes(o, line);
    buf_put_byte(&o->out, '\n');
}

static void put_only(struct grep_output *o, struct grep_file *f, struct str line, uint64_t number)
{
    find_spans(o, line);
    for (size_t i = 0; i < o->n_spans; i++) {
        begin_file(o, f);
        put_prefix(o, f, number, ':');
        put_coloured(o, COLOUR_MATCH,
                     str_of(line.p + o->span[i].from, o->span[i].to - o->span[i].from));
        buf_put_byte(&o->out, '\n');
    }
}

static bool has_context(const struct grep_output *o)
{
    return o->style.before || o->style.after;
}

static size_t line_end(struct str bytes, size_t at)
{
    return str_find_byte(bytes, '\n', at);
}

/* Lines of context of the piece from written_to on, up to `upto`. */
static void put_context(struct grep_output *o, struct grep_file *f, size_t upto, unsigned n)
{
    struct str bytes = o->piece->bytes;
    while (o->written_to < upto && n-- > 0) {
        size_t end = line_end(bytes, o->written_to);
        o->written_lines++;
        put_line(o, f, str_of(bytes.p + o->written_to, end - o->written_to), o->written_to,
                 o->lines + o->written_lines, false);
        o->written_to = end + 1;
    }
}

static void pay_after(struct grep_output *o, struct grep_file *f, size_t upto)
{
    uint64_t before = o->written_lines;
    put_context(o, f, upto, o->after_left);
    o->after_left -= (unsigned)(o->written_lines - before);
}

/* The begin of the line `n` lines in front of `at`, not before `least`; *ret_n: how many. */
static size_t lines_back(struct str bytes, size_t at, size_t least, unsigned n, unsigned *ret_n)
{
    unsigned got = 0;
    while (got < n && at > least) {
        const char *newline =
            at - least > 1 ? memrchr(bytes.p + least, '\n', at - 1 - least) : NULL;
        at = newline ? (size_t)(newline - bytes.p) + 1 : least;
        got++;
    }
    *ret_n = got;
    return at;
}

static void put_separator(struct grep_output *o)
{
    if (o->any_group && o->begun && !o->style.json)
        buf_put_c(&o->out, "--\n");
    /* Between files without headings too. */
    else if (o->any_group && !o->begun && !o->style.json && !o->style.heading)
        buf_put_c(&o->out, "--\n");
}

/* The last `n` lines of the tail, as context in front of the piece's first line. */
static void put_tail(struct grep_output *o, struct grep_file *f, unsigned n)
{
    unsigned got;
    struct str tail = buf_str(&o->tail);
    size_t at = lines_back(tail, tail.n, 0, n, &got);
    const struct grep_piece *piece = o->piece;
    uint64_t number = o->lines - got;
    o->piece = NULL;
    while (at < tail.n) {
        size_t end = line_end(tail, at);
        put_line(o, f, str_of(tail.p + at, end - at), at, ++number, false);
        at = end + 1;
    }
    o->piece = piece;
}

/* What stands between the last line written and the hit. */
static void lead_to(struct grep_output *o, struct grep_file *f, const struct grep_hit *hit)
{
    unsigned in_piece, of_tail = 0;
    pay_after(o, f, hit->at);
    o->after_left = 0;
    size_t from = lines_back(o->piece->bytes, hit->at, o->written_to, o->style.before, &in_piece);
    if (from == 0 && o->written_to == 0)
        of_tail = o->style.before - in_piece;
    of_tail = of_tail < o->tail_lines ? of_tail : o->tail_lines;
    bool gap = o->gap || from > o->written_to || (!o->written_to && of_tail < o->tail_lines);
    if (gap || !o->begun)
        put_separator(o);
    if (of_tail)
        put_tail(o, f, of_tail);
    o->tail_lines = 0;
    buf_clear(&o->tail);
    o->written_to = from;
    o->written_lines = hit->line - in_piece;
    put_context(o, f, hit->at, in_piece);
    o->gap = false;
}

static void show_hit(struct grep_output *o, struct grep_file *f, const struct grep_hit *hit)
{
    struct str line = str_of(o->piece->bytes.p + hit->at, hit->n);
    uint64_t number = o->lines + hit->line + 1;
    if (has_context(o))
        lead_to(o, f, hit);
    if (o->style.only && !o->style.json)
        put_only(o, f, line, number);
    else
        put_line(o, f, line, hit->at, number, true);
    o->any_group = true;
    o->shown++;
    o->written_to = hit->at + (size_t)hit->n + 1;
    o->written_lines = hit->line + 1;
    o->after_left = o->style.after;
    if (o->out.n >= OUT_BYTES)
        flush(o);
}

/* The last lines of the piece that were not written wait for a hit in the next. */
static void keep_tail(struct grep_output *o)
{
    struct str bytes = o->piece->bytes;
    unsigned got;
    if (o->written_to > bytes.n)
        o->written_to = bytes.n;
    size_t at = lines_back(bytes, bytes.n, o->written_to, o->style.before, &got);
    if (got == o->style.before || o->written_to > 0) {
        o->gap = o->gap || at > o->written_to || o->tail_lines > 0;
        buf_clear(&o->tail);
        o->tail_lines = 0;
    }
    buf_put_str(&o->tail, str_from(bytes, at));
    o->tail_lines += got;
    if (o->tail_lines > o->style.before) {
        unsigned kept;
        size_t from = lines_back(buf_str(&o->tail), o->tail.n, 0, o->style.before, &kept);
        memmove(o->tail.p, o->tail.p + from, o->tail.n - from);
        o->tail.n -= from;
        o->tail_lines = kept;
        o->gap = true;
    }
}

/* ---- the printer ---- */

static void begin(void *ctx, struct grep_file *f)
{
    struct grep_output *o = ctx;
    o->lines = o->matched = o->shown = 0;
    o->after_left = 0;
    o->begun = false;
    o->gap = false;
    o->tail_lines = 0;
    buf_clear(&o->tail);
    o->file_began_ns = clock_mono_ns();
    o->file_bytes = o->file_printed = o->file_matches = 0;
}

static bool enough(const struct grep_output *o)
{
    return o->matched >= o->style.max_count || (o->g->first_only && o->matched);
}

static bool piece(void *ctx, struct grep_file *f, struct grep_piece *p)
{
    struct grep_output *o = ctx;
    uint64_t left = o->style.max_count - o->matched;
    o->piece = p;
    o->written_to = 0;
    o->written_lines = 0;
    o->file_bytes += p->n_bytes;
    o->matched += p->matched < left ? p->matched : left;
    o->any = o->any || o->matched;
    if (o->g->quiet && o->any) {
        o->g->stop = true;
        return false;
    }
    bool shows = !o->style.count && !o->style.list && !o->g->quiet;
    for (size_t i = 0; shows && i < p->n_hits && i < left; i++)
        show_hit(o, f, &p->hit[i]);
    if (shows && has_context(o)) {
        /* Behind the last hit that is shown, a hit is context as any other line. */
        pay_after(o, f, p->bytes.n);
        keep_tail(o);
    }
    o->lines += p->lines;
    o->piece = NULL;
    if (f->live)
        flush(o);
    return !enough(o) || (shows && o->after_left > 0);
}

static void end(void *ctx, struct grep_file *f)
{
    struct grep_output *o = ctx;
    if (o->style.json) {
        event_end(o, f);
    } else if (o->style.list && o->matched) {
        put_path(o, f);
        buf_put_byte(&o->out, o->style.null ? 0 : '\n');
    } else if (o->style.count && o->matched) {
        if (o->style.path) {
            put_path(o, f);
            buf_put_byte(&o->out, o->style.null ? 0 : ':');
        }
        buf_printf(&o->out, "%llu\n", (unsigned long long)o->matched);
    }
    if (o->out.n >= OUT_BYTES)
        flush(o);
}

static void idle(void *ctx)
{
    flush(ctx);
}

struct grep_printer grep_output_printer(struct grep_output *o)
{
    return (struct grep_printer){o, begin, piece, end, idle};
}

void grep_output_finish(struct grep_output *o)
{
    if (o->style.json) {
        int64_t ns = clock_mono_ns() - o->began_ns;
        buf_printf(
            &o->out,
            "{\"type\":\"summary\",\"data\":{\"elapsed_total\":{\"secs\":%lld,\"nanos\":%lld,"
            "\"human\":\"%.6fs\"},",
            (long long)(ns / NS_PER_S), (long long)(ns % NS_PER_S), (double)ns / 1e9);
        put_stats(o, ns, o->searches, o->searches_with_match, o->bytes_searched, o->bytes_printed,
                  o->matched_lines, o->matches);
        buf_put_c(&o->out, "}}\n");
    }
    flush(o);
}
