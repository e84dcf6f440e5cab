/* What `weir segment` does with a file: describe it, check every byte, bring out what is intact.
 *
 * All of it passes the chunk cache by: what is asked for is what the disk holds. When the footer is
 * lost, the sections are found by the magic of their tails, which repeat the names. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"
#include "record/json.h"
#include "record/timestamp.h"
#include "store/encoding_ops.h"
#include "store/segment_format.h"
#include "store/segment_templates.h"

#include <stdarg.h>
#include <stdio.h>

enum { CAT_ROWS = 1024, SCAN_BYTES = 1 << 20, TEMPLATES_SHOWN = 10 };
enum { PATTERN_SHOWN = 100, SLOTS_SHOWN = 12 };

static struct block_source uncached(const struct segment *s)
{
    struct block_source from = *segment_source(s);
    from.segment = 0;
    return from;
}

static void put_problem(struct buf *problems, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void put_problem(struct buf *problems, const char *fmt, ...)
{
    char line[600];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    buf_put_c(problems, line);
    buf_put_byte(problems, '\n');
}

/* ---- inspect ---- */

/* A column over all blocks of a section. */
struct summary {
    uint64_t values, bytes, filter;
    uint32_t encodings[ENC_COUNT];
    uint32_t rare;
};

/* A rare column's part of the chunk that all of them lie in, by its length there. */
static uint64_t rare_share(const struct dir_block *b, const struct dir_field *f)
{
    uint64_t all = 0;
    for (uint32_t i = 0; i < b->n_fields; i++)
        all += b->field[i].rare ? b->field[i].chunk.length : 0;
    return all ? (uint64_t)b->rare.length * f->chunk.length / all : 0;
}

static struct summary *summarise(const struct dir *d, struct arena *a)
{
    struct summary *s = ARENA_ARRAY(a, struct summary, d->n_columns + 1);
    for (uint32_t b = 0; b < d->n_blocks; b++)
        for (uint32_t i = 0; i < d->block[b].n_fields; i++) {
            const struct dir_field *f = &d->block[b].field[i];
            struct summary *to = &s[f->column];
            to->values += f->n;
            to->bytes += f->rare ? rare_share(&d->block[b], f) : f->chunk.length;
            to->filter += f->filter.length;
            to->rare += f->rare;
            if (!f->rare && f->stats.encoding < ENC_COUNT)
                to->encodings[f->stats.encoding]++;
        }
    return s;
}

static struct str time_text(int64_t ns, struct arena *a)
{
    char text[TIME_TEXT_MAX];
    return arena_str(a, str_of(text, time_rfc3339(ns, text)));
}

static struct str name_of(const struct dir_column *c, struct arena *a)
{
    struct buf b;
    buf_init(&b, SIZE_MAX);
    path_name(c->path, &b);
    struct str s = arena_str(a, buf_str(&b));
    buf_release(&b);
    return s;
}

/* Its slots by the kinds they are held as: "numbers 120, own words 5". */
static void text_slots(const struct template_sum *t, bool all, struct buf *out)
{
    uint32_t n = all || t->n_slots < SLOTS_SHOWN ? t->n_slots : SLOTS_SHOWN;
    for (uint32_t i = 0; i < n; i++) {
        buf_put_c(out, i ? ", " : "        ");
        for (unsigned k = 0, kinds = 0; segment_slot_kind(k); k++)
            if (t->slot[i].kinds & 1u << k)
                buf_printf(out, "%s%s", kinds++ ? "/" : "", segment_slot_kind(k));
        buf_printf(out, " %llu", (unsigned long long)t->slot[i].bytes);
    }
    if (n < t->n_slots)
        buf_printf(out, ", and %u more", t->n_slots - n);
    if (n)
        buf_put_byte(out, '\n');
}

/* On one line, control characters as spaces. */
static void text_pattern(struct str pattern, bool whole, struct buf *out)
{
    size_t n = whole || pattern.n <= PATTERN_SHOWN ? pattern.n : PATTERN_SHOWN;
    for (size_t i = 0; i < n; i++)
        buf_put_byte(out, (unsigned char)pattern.p[i] < ' ' ? ' ' : pattern.p[i]);
    buf_put_c(out, n < pattern.n ? "...\n" : "\n");
}

static void text_templates(const struct templates_sum *s, bool all, struct buf *out)
{
    uint64_t rest = 0;
    uint32_t n = all || s->n < TEMPLATES_SHOWN ? s->n : TEMPLATES_SHOWN;
    buf_printf(out,
               "      %u templates; codes %llu, shared words %llu, directory of slots %llu bytes\n",
               s->n, (unsigned long long)s->codes, (unsigned long long)s->words,
               (unsigned long long)s->heads);
    for (uint32_t i = 0; i < n; i++) {
        buf_printf(out, "      %10llu texts %12llu bytes  ", (unsigned long long)s->t[i].rows,
                   (unsigned long long)s->t[i].bytes);
        text_pattern(s->t[i].pattern, all, out);
        text_slots(&s->t[i], all, out);
    }
    for (uint32_t i = n; i < s->n; i++)
        rest += s->t[i].bytes;
    if (n < s->n)
        buf_printf(out, "      and %u more, %llu bytes (--templates shows them)\n", s->n - n,
                   (unsigned long long)rest);
}

static void text_column(const struct dir_column *c, const struct summary *s, struct arena *a,
                        struct buf *out)
{
    struct str name = name_of(c, a);
    buf_printf(out, "    %-32.*s %-8s %10llu values %12llu bytes %10llu filter ", STR_ARG(name),
               lane_name((enum lane)c->lane), (unsigned long long)s->values,
               (unsigned long long)s->bytes, (unsigned long long)s->filter);
    for (unsigned e = 0; e < ENC_COUNT; e++)
        if (s->encodings[e])
            buf_printf(out, " %s:%u", encoding_name(e), s->encodings[e]);
    if (s->rare)
        buf_printf(out, " rare:%u", s->rare);
    buf_put_byte(out, '\n');
}

static void text_columns(const struct dir *d, const struct block_source *from, bool templates,
                         struct arena *a, struct buf *out)
{
    const struct summary *sum = summarise(d, a);
    for (uint32_t i = 0; i < d->n_columns; i++) {
        struct templates_sum t;
        text_column(&d->column[i], &sum[i], a, out);
        if (!sum[i].encodings[ENC_TEMPLATE])
            continue;
        if (segment_templates(d, i, from, a, &t) == OK)
            text_templates(&t, templates, out);
        else
            buf_printf(out, "      its templates cannot be read: %s\n", err_text());
    }
}

static void text_section(const struct seg_section *s, uint32_t number, const struct dir *d,
                         const struct block_source *from, bool templates, struct arena *a,
                         struct buf *out)
{
    struct str oldest = time_text(s->time_min, a), newest = time_text(s->time_max, a);
    uint64_t bytes = s->tail_offset + s->tail_length - s->offset;
    buf_printf(out, "section %u: %.*s/%.*s (stream %llu), day %lld\n", number, STR_ARG(s->org),
               STR_ARG(s->stream), (unsigned long long)s->stream_id, (long long)s->day);
    buf_printf(out, "  %.*s to %.*s\n", STR_ARG(oldest), STR_ARG(newest));
    buf_printf(out, "  %llu rows, %u blocks, %llu bytes (%.2f a row), raw %llu, ratio %.2f\n",
               (unsigned long long)s->rows, s->blocks, (unsigned long long)bytes,
               (double)bytes / (double)(s->rows ? s->rows : 1), (unsigned long long)s->raw_bytes,
               (double)s->raw_bytes / (double)(bytes ? bytes : 1));
    uint64_t own = 0;
    for (uint32_t b = 0; b < d->n_blocks; b++)
        own += (uint64_t)d->block[b].time.length + d->block[b].shape_of.length +
               d->block[b].origin.length + d->block[b].flags.length;
    buf_printf(out, "  %u columns, %u shapes; times, shapes, origin, flags %llu, directory %u\n",
               d->n_columns, d->n_shapes, (unsigned long long)own, s->tail_length);
    text_columns(d, from, templates, a, out);
}

static void json_text(struct buf *out, const char *key, struct str v)
{
    buf_printf(out, "\"%s\":", key);
    json_put_string(out, v);
    buf_put_byte(out, ',');
}

static void json_number(struct buf *out, const char *key, int64_t v)
{
    buf_printf(out, "\"%s\":%lld,", key, (long long)v);
}

static void json_end(struct buf *out, char close)
{
    if (out->n && out->p[out->n - 1] == ',')
        out->n--;
    buf_put_byte(out, close);
}

static void json_slot(const struct slot_sum *s, struct buf *out)
{
    buf_put_byte(out, '{');
    json_number(out, "values", (int64_t)s->values);
    json_number(out, "bytes", (int64_t)s->bytes);
    buf_put_c(out, "\"held_as\":[");
    for (unsigned k = 0; segment_slot_kind(k); k++)
        if (s->kinds & 1u << k)
            buf_printf(out, "\"%s\",", segment_slot_kind(k));
    json_end(out, ']');
    buf_put_c(out, "},");
}

static void json_templates(const struct templates_sum *s, struct buf *out)
{
    buf_put_c(out, "\"templates\":{");
    json_number(out, "codes_bytes", (int64_t)s->codes);
    json_number(out, "shared_words_bytes", (int64_t)s->words);
    json_number(out, "directory_bytes", (int64_t)s->heads);
    buf_put_c(out, "\"list\":[");
    for (uint32_t i = 0; i < s->n; i++) {
        buf_put_byte(out, '{');
        json_text(out, "pattern", s->t[i].pattern);
        json_number(out, "texts", (int64_t)s->t[i].rows);
        json_number(out, "bytes", (int64_t)s->t[i].bytes);
        buf_put_c(out, "\"slots\":[");
        for (uint32_t k = 0; k < s->t[i].n_slots; k++)
            json_slot(&s->t[i].slot[k], out);
        json_end(out, ']');
        buf_put_c(out, "},");
    }
    json_end(out, ']');
    buf_put_c(out, "},");
}

static void json_column(const struct dir_column *c, const struct summary *s,
                        const struct templates_sum *t, struct arena *a, struct buf *out)
{
    buf_put_byte(out, '{');
    json_text(out, "name", name_of(c, a));
    json_text(out, "type", str_c(lane_name((enum lane)c->lane)));
    json_number(out, "occurrence", c->occ);
    json_number(out, "values", (int64_t)s->values);
    json_number(out, "bytes", (int64_t)s->bytes);
    json_number(out, "filter_bytes", (int64_t)s->filter);
    buf_put_c(out, "\"chunks\":{");
    for (unsigned e = 0; e < ENC_COUNT; e++)
        if (s->encodings[e])
            json_number(out, encoding_name(e), s->encodings[e]);
    if (s->rare)
        json_number(out, "rare", s->rare);
    json_end(out, '}');
    buf_put_byte(out, ',');
    if (t->n)
        json_templates(t, out);
    json_end(out, '}');
    buf_put_byte(out, ',');
}

static void json_section(const struct seg_section *s, const struct dir *d,
                         const struct block_source *from, struct arena *a, struct buf *out)
{
    buf_put_byte(out, '{');
    json_text(out, "org", s->org);
    json_text(out, "stream", s->stream);
    json_number(out, "stream_id", (int64_t)s->stream_id);
    json_number(out, "day", s->day);
    json_text(out, "from", time_text(s->time_min, a));
    json_text(out, "to", time_text(s->time_max, a));
    json_number(out, "rows", (int64_t)s->rows);
    json_number(out, "raw_bytes", (int64_t)s->raw_bytes);
    json_number(out, "bytes", (int64_t)(s->tail_offset + s->tail_length - s->offset));
    json_number(out, "blocks", s->blocks);
    buf_put_c(out, "\"columns\":[");
    const struct summary *sum = summarise(d, a);
    for (uint32_t i = 0; i < d->n_columns; i++) {
        struct templates_sum t = {0};
        if (sum[i].encodings[ENC_TEMPLATE])
            (void)!segment_templates(d, i, from, a, &t); /* damaged: without */
        json_column(&d->column[i], &sum[i], &t, a, out);
    }
    json_end(out, ']');
    buf_put_c(out, "},");
}

static void inspect_head(const struct segment *s, uint64_t bytes, bool json, struct arena *a,
                         struct buf *out)
{
    const struct seg_footer *f = segment_footer(s);
    struct str created = time_text(f->created_ns, a);
    if (!json) {
        buf_printf(out, "%s: segment %llu, level %u, %llu bytes, written %.*s\n", segment_path(s),
                   (unsigned long long)f->id, f->level, (unsigned long long)bytes,
                   STR_ARG(created));
        buf_printf(out, "queue positions %llu to %llu, words %.*s, %u sections, %u id filters\n",
                   (unsigned long long)f->position_min, (unsigned long long)f->position_max,
                   STR_ARG(f->words), f->n_sections, f->n_ids);
        return;
    }
    buf_put_byte(out, '{');
    json_text(out, "file", str_c(segment_path(s)));
    json_number(out, "id", (int64_t)f->id);
    json_number(out, "level", f->level);
    json_number(out, "bytes", (int64_t)bytes);
    json_text(out, "written", created);
    json_number(out, "position_min", (int64_t)f->position_min);
    json_number(out, "position_max", (int64_t)f->position_max);
    json_text(out, "words", f->words);
    buf_put_c(out, "\"sections\":[");
}

enum err segment_inspect(const char *path, bool json, bool templates, struct buf *out)
{
    struct segment *s = NULL;
    struct arena a;
    uint64_t bytes = 0;
    arena_init(&a, 0, NULL);
    enum err err = segment_open(path, &s);
    if (err == OK)
        err = io_size(segment_source(s)->fd, &bytes);
    if (err == OK)
        inspect_head(s, bytes, json, &a, out);
    for (uint32_t i = 0; err == OK && i < segment_sections(s); i++) {
        const struct dir *d = NULL;
        err = segment_dir(s, i, &d);
        struct block_source from = uncached(s);
        const struct seg_section *section = &segment_footer(s)->section[i];
        if (err == OK && json)
            json_section(section, d, &from, &a, out);
        else if (err == OK)
            text_section(section, i, d, &from, templates, &a, out);
        arena_reset(&a);
    }
    if (err == OK && json) {
        json_end(out, ']');
        buf_put_c(out, "}\n");
    }
    segment_unref(s);
    arena_release(&a);
    return err;
}

/* ---- verify ---- */

static void verify_header(const struct segment *s, struct buf *problems)
{
    char head[SEGMENT_HEADER_BYTES];
    uint64_t id = 0;
    enum err err = io_pread(segment_source(s)->fd, head, sizeof(head), 0);
    if (err == OK)
        err = segment_header_read(str_of(head, sizeof(head)), &id);
    if (err != OK)
        put_problem(problems, "%s: header: %s", segment_path(s), err_text());
    else if (id != segment_id(s))
        put_problem(problems, "%s: header of segment %llu, footer of segment %llu", segment_path(s),
                    (unsigned long long)id, (unsigned long long)segment_id(s));
}

static void verify_ids(const struct segment *s, struct buf *problems)
{
    const struct seg_footer *f = segment_footer(s);
    for (uint32_t i = 0; i < f->n_ids; i++) {
        char *p = mem_alloc(f->ids[i].length);
        enum err err = io_pread(segment_source(s)->fd, p, f->ids[i].length, f->ids[i].offset);
        if (err != OK)
            put_problem(problems, "%s: filter of client ids %u: %s", segment_path(s), i,
                        err_text());
        else if (hash64(str_of(p, f->ids[i].length)) != f->ids[i].sum)
            put_problem(problems, "%s: filter of client ids %u: bad checksum", segment_path(s), i);
        mem_free(p);
    }
}

static void verify_section(struct segment *s, uint32_t section, struct buf *problems)
{
    const struct dir *d = NULL;
    struct block_source from = uncached(s);
    if (segment_dir(s, section, &d) != OK) {
        put_problem(problems, "%s", err_text());
        return;
    }
    for (uint32_t b = 0; b < d->n_blocks; b++) {
        char where[400];
        snprintf(where, sizeof(where), "%s: section %u, block %u", segment_path(s), section, b);
        block_dir_verify(d, b, &from, where, problems);
    }
}

enum err segment_verify(const char *path, struct buf *problems)
{
    struct segment *s;
    size_t before = problems->n;
    enum err err = segment_open(path, &s);
    if (err == ERR_CORRUPT || err == ERR_UNSUPPORTED)
        put_problem(problems, "%s", err_text());
    if (err != OK)
        return err;
    verify_header(s, problems);
    for (uint32_t i = 0; i < segment_sections(s); i++)
        verify_section(s, i, problems);
    verify_ids(s, problems);
    segment_unref(s);
    return problems->n == before ? OK : err_set(ERR_CORRUPT, "%s is damaged", path);
}

/* ---- cat ---- */

struct cat {
    const char *path;
    enum err (*fn)(void *ctx, struct str line);
    void *ctx;
    struct buf *problems;
    struct arena arena;
    struct buf text;
    enum err stopped; /* by fn */
};

/* Rows [from, from + n) as lines. */
static enum err cat_rows(struct cat *c, struct rows *rows, uint32_t from, uint32_t n)
{
    uint32_t row[CAT_ROWS], end_of[CAT_ROWS];
    for (uint32_t i = 0; i < n; i++)
        row[i] = from + i;
    struct json_rows what = {.rows = rows, .row = row, .n = n, .arena = &c->arena};
    buf_clear(&c->text);
    TRY(json_put_rows(&what, &c->text, end_of));
    for (uint32_t i = 0; i < n && c->stopped == OK; i++) {
        size_t start = i ? end_of[i - 1] : 0;
        c->stopped = c->fn(c->ctx, str_of(c->text.p + start, end_of[i] - start));
    }
    return OK;
}

static void cat_block(struct cat *c, const struct dir *d, uint32_t block,
                      const struct block_source *from, struct str stream)
{
    struct rows rows;
    uint32_t done = 0;
    enum err err = block_dir_rows(d, block, from, stream, &c->arena, NULL, &rows);
    while (err == OK && done < rows.n && c->stopped == OK) {
        uint32_t n = rows.n - done < CAT_ROWS ? rows.n - done : CAT_ROWS;
        err = cat_rows(c, &rows, done, n);
        done += err == OK ? n : 0;
    }
    if (err != OK)
        put_problem(c->problems, "%s: stream %.*s, block %u: %u rows lost: %s", c->path,
                    STR_ARG(stream), block, d->block[block].rows - done, err_text());
    arena_reset(&c->arena);
}

static void cat_dir(struct cat *c, const struct dir *d, const struct block_source *from,
                    struct str stream)
{
    for (uint32_t b = 0; b < d->n_blocks && c->stopped == OK; b++)
        cat_block(c, d, b, from, stream);
}

static void cat_segment(struct cat *c, struct segment *s)
{
    struct block_source from = uncached(s);
    for (uint32_t i = 0; i < segment_sections(s) && c->stopped == OK; i++) {
        const struct dir *d = NULL;
        const struct seg_section *f = &segment_footer(s)->section[i];
        if (segment_dir(s, i, &d) == OK)
            cat_dir(c, d, &from, f->stream);
        else
            put_problem(c->problems, "%s: stream %.*s: %llu rows lost: %s", c->path,
                        STR_ARG(f->stream), (unsigned long long)f->rows, err_text());
    }
}

/* A tail may start at `at`: brings out its section. False when there is none that is intact. */
static bool cat_tail(struct cat *c, const struct block_source *from, uint64_t at, uint64_t size)
{
    char head[SEGMENT_TAIL_HEAD_BYTES];
    uint64_t length;
    struct arena a;
    struct seg_tail t;
    if (at + sizeof(head) > size || io_pread(from->fd, head, sizeof(head), at) != OK ||
        !segment_tail_head(str_of(head, sizeof(head)), &length) || length > size - at)
        return false;
    arena_init(&a, 0, NULL);
    char *p = arena_try_alloc(&a, length);
    bool good = p && io_pread(from->fd, p, length, at) == OK &&
                segment_tail_read(str_of(p, length), at, &a, &t) == OK;
    if (good)
        cat_dir(c, &t.dir, from, t.stream);
    arena_release(&a);
    return good;
}

/* The whole file, in windows that overlap by the magic's length. */
static enum err cat_scan(struct cat *c, int fd)
{
    uint64_t size;
    struct block_source from = {.fd = fd, .path = c->path};
    uint32_t sections = 0;
    TRY(io_size(fd, &size));
    char *window = mem_alloc(SCAN_BYTES);
    enum err err = OK;
    for (uint64_t at = 0; at < size && err == OK && c->stopped == OK;
         at += SCAN_BYTES - sizeof(SEGMENT_TAIL_MAGIC)) {
        size_t n = size - at < SCAN_BYTES ? (size_t)(size - at) : SCAN_BYTES;
        err = io_pread(fd, window, n, at);
        struct str rest = str_of(window, err == OK ? n : 0);
        for (size_t hit; (hit = str_find(rest, STR(SEGMENT_TAIL_MAGIC))) != SIZE_MAX;) {
            uint64_t tail = at + (uint64_t)(rest.p - window) + hit;
            rest = str_from(rest, hit + 1);
            bool again = tail + 8 - at > SCAN_BYTES - sizeof(SEGMENT_TAIL_MAGIC);
            if (!again || n < SCAN_BYTES) /* else the next window has it too */
                sections += cat_tail(c, &from, tail, size);
        }
    }
    mem_free(window);
    put_problem(c->problems, "%s: without its footer %u intact sections were found", c->path,
                sections);
    return err;
}

enum err segment_cat(const char *path, enum err (*fn)(void *ctx, struct str line), void *ctx,
                     struct buf *problems)
{
    struct cat c = {.path = path, .fn = fn, .ctx = ctx, .problems = problems};
    struct segment *s;
    size_t before = problems->n;
    arena_init(&c.arena, 0, NULL);
    buf_init(&c.text, UINT32_MAX);
    enum err err = segment_open(path, &s);
    if (err == OK) {
        cat_segment(&c, s);
        segment_unref(s);
    } else if (err == ERR_CORRUPT) {
        int fd = -1;
        put_problem(problems, "%s", err_text());
        err = io_open(path, IO_READ, &fd);
        if (err == OK)
            err = cat_scan(&c, fd);
        io_close(fd);
    }
    arena_release(&c.arena);
    buf_release(&c.text);
    if (err == OK)
        err = c.stopped;
    if (err == OK && problems->n != before)
        err = err_set(ERR_CORRUPT, "%s is damaged; what is intact was written", path);
    return err;
}
