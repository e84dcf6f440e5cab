/* The patterns of the records that match: what the pipe makes, as one object. */
#include "query/explore.h"

#include "core/clock.h"
#include "query/scan.h"

#include <inttypes.h>

struct patterns_out {
    struct buf *out;
    uint32_t limit;
    uint64_t rows;
};

static enum err take_rows(void *ctx, struct str bytes)
{
    struct patterns_out *p = ctx;
    struct str line;
    while (bytes.n && str_split(&bytes, '\n', &line)) {
        if (line.n == 0 || str_starts(line, STR("{\"_meta\":")))
            continue;
        if (p->rows++ >= p->limit)
            continue;
        if (p->rows > 1)
            TRY(buf_add(p->out, ",", 1));
        TRY(buf_add(p->out, line.p, line.n));
    }
    return OK;
}

static void put_quoted(struct buf *out, struct str s)
{
    buf_put_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, s.p[i]);
    }
    buf_put_byte(out, '"');
}

static void put_pipe(const struct query_patterns *p, struct buf *out)
{
    struct str by = p->by, field;
    buf_printf(out, "* | patterns examples=%u", p->examples);
    if (p->new_since.n) {
        buf_put_c(out, " new_since=");
        put_quoted(out, p->new_since);
    }
    if (p->field.n) {
        buf_put_byte(out, ' ');
        put_quoted(out, p->field);
    }
    for (bool first = true; by.n && str_split(&by, ',', &field); first = false) {
        buf_put_c(out, first ? " by " : ", ");
        put_quoted(out, str_trim(field));
    }
}

enum err query_patterns(struct query_engine *e, const struct query_request *q,
                        const struct query_patterns *p, struct buf *out)
{
    struct query_request r = *q;
    struct query_meta meta;
    struct buf pipe, rows;
    struct patterns_out to = {.out = &rows, .limit = q->limit};
    struct query_sink sink = {&to, take_rows};
    buf_init(&pipe, 1 << 20);
    buf_init(&rows, out->max / 2);
    put_pipe(p, &pipe);
    r.pipes = buf_str(&pipe);
    r.meta = r.explain = false;
    enum err err = pipe.n == pipe.max ? err_set(ERR_INVALID, "by: too long a list")
                                      : query_run(e, &r, &sink, &meta);
    if (err == OK) {
        buf_printf(out, "{\"total\":%" PRIu64 ",\"distinct\":%" PRIu64 ",\"patterns\":[",
                   meta.rows_matched, to.rows);
        buf_put_str(out, buf_str(&rows));
        buf_put_byte(out, ']');
        query_put_end(out, &meta);
    }
    buf_release(&rows);
    buf_release(&pipe);
    return err;
}
