/* The dead letters of routes (pipeline/dead.h):
 *
 *   GET    /api/v1/dead-letters                  how many each route of each pipeline has
 *   GET    /api/v1/dead-letters/{route}          the letters, an object a line; skip, limit
 *   POST   /api/v1/dead-letters/{route}/retry    the route tries them once more
 *   DELETE /api/v1/dead-letters/{route}          they are gone for good
 *
 * `pipeline` names one; without it the main one is meant. */
#include "api/internal.h"

#include "core/io.h"
#include "core/mem.h"
#include "pipeline/dead.h"
#include "pipeline/route.h"
#include "record/json.h"

#include <inttypes.h>

enum { CHUNK = 64 << 10, LETTERS_MAX = 1000000000, LETTERS_USUAL = 1000, LIST_MAX = 16 << 20 };

/* ---- which are meant ---- */

/* NULL: answered. The folder is the request's. */
static const char *folder_of(struct api *api, struct http_request *r)
{
    struct str pipeline = http_param(r, "pipeline");
    const char *name = arena_str(http_arena(r), pipeline).p;
    if (!pipeline.n)
        return api->data;
    if (route_check_name(name) != OK) {
        http_error(r, 400, "pipeline: a name has 1 to %d of a-z, 0-9, '.', '_', '-'",
                   ROUTE_NAME_MAX);
        return NULL;
    }
    return arena_printf(http_arena(r), "%s/pipelines/%s", api->data, name).p;
}

/* NULL: answered. */
static const char *route_of(struct http_request *r)
{
    const char *name = arena_str(http_arena(r), http_path_segment(r, 3)).p;
    if (route_check_name(name) == OK)
        return name;
    http_error_of(r, ERR_INVALID, err_text());
    return NULL;
}

/* ---- the list ---- */

struct listing {
    struct buf *out;
    const char *data;
    struct str pipeline;
};

static enum err put_file(void *ctx, const struct dead_file *f)
{
    const struct listing *l = ctx;
    buf_put_c(l->out, l->out->p[l->out->n - 1] == '[' ? "" : ",");
    buf_put_c(l->out, "{\"pipeline\":");
    json_put_string(l->out, l->pipeline);
    buf_put_c(l->out, ",\"route\":");
    json_put_string(l->out, str_c(f->route));
    buf_printf(l->out, ",\"letters\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"retrying\":%s}",
               f->letters, f->bytes, f->retrying ? "true" : "false");
    return OK;
}

static enum err put_pipeline(void *ctx, const char *name)
{
    struct listing l = *(const struct listing *)ctx;
    char *dir = mem_printf("%s/pipelines/%s", l.data, name);
    l.pipeline = str_c(name);
    enum err err = dead_each(dir, put_file, &l);
    mem_free(dir);
    return err;
}

static enum err put_list(struct api *api, struct buf *out)
{
    struct listing l = {.out = out, .data = api->data};
    char *dir = mem_printf("%s/pipelines", api->data);
    buf_put_c(out, "{\"dead_letters\":[");
    enum err err = dead_each(api->data, put_file, &l);
    if (err == OK && io_exists(dir))
        err = io_list(dir, put_pipeline, &l);
    buf_put_c(out, "]}\n");
    mem_free(dir);
    return err;
}

void api_dead_letters(void *ctx, struct http_request *r)
{
    struct buf out;
    buf_init(&out, LIST_MAX);
    if (put_list(ctx, &out) == OK)
        http_reply(r, 200, JSON_TYPE, buf_str(&out));
    else
        http_error_of(r, ERR_IO, err_text());
    buf_release(&out);
}

/* ---- the letters ---- */

struct showing {
    struct http_request *r;
    const char *route;
    uint64_t skip, limit;
    bool found;
};

/* The letters of a piece of the file that are wanted. */
static struct str wanted(struct showing *s, struct str piece)
{
    size_t from = 0, at = 0;
    while (s->skip && from < piece.n) {
        from = str_find_byte(piece, '\n', from) + 1;
        s->skip -= from <= piece.n;
    }
    from = from < piece.n ? from : piece.n;
    for (at = from; s->limit && at < piece.n; s->limit -= at <= piece.n)
        at = str_find_byte(piece, '\n', at) + 1;
    at = at < piece.n ? at : piece.n;
    return str_of(piece.p + from, at - from);
}

static enum err send_file(struct showing *s, int fd)
{
    uint64_t size = 0;
    char *p = mem_alloc(CHUNK), last = '\n';
    enum err err = io_size(fd, &size);
    for (uint64_t at = 0; err == OK && at < size && s->limit; at += CHUNK) {
        size_t n = size - at < CHUNK ? (size_t)(size - at) : CHUNK;
        err = io_pread(fd, p, n, at);
        struct str piece = err == OK ? wanted(s, str_of(p, n)) : STR("");
        if (piece.n)
            err = http_stream_write(s->r, piece);
        last = piece.n ? piece.p[piece.n - 1] : last;
    }
    if (err == OK && last != '\n') /* a crash left half a line */
        err = http_stream_write(s->r, STR("\n"));
    mem_free(p);
    return err;
}

static enum err show_file(void *ctx, const struct dead_file *f)
{
    struct showing *s = ctx;
    int fd;
    if (strcmp(f->route, s->route) != 0)
        return OK;
    TRY(io_open(f->path, IO_READ, &fd));
    if (!s->found)
        http_stream_begin(s->r, 200, "application/x-ndjson");
    s->found = true;
    enum err err = send_file(s, fd);
    io_close(fd);
    return err;
}

void api_dead_letters_of(void *ctx, struct http_request *r)
{
    uint32_t skip = 0, limit = LETTERS_USUAL;
    const char *dir = folder_of(ctx, r), *route = dir ? route_of(r) : NULL;
    if (!route || !api_param_u32(r, "skip", UINT32_MAX, &skip) ||
        !api_param_u32(r, "limit", LETTERS_MAX, &limit))
        return;
    struct showing s = {.r = r, .route = route, .skip = skip, .limit = limit};
    enum err err = dead_each(dir, show_file, &s);
    if (s.found)
        http_stream_end(r, err == OK);
    else if (err != OK)
        http_error_of(r, err, err_text());
    else
        http_error(r, 404, "the route %s has no dead letters", route);
}

/* ---- what is done with them ---- */

static void act(struct api *api, struct http_request *r,
                enum err (*fn)(const char *dir, const char *route, uint64_t *ret_letters))
{
    uint64_t letters;
    const char *dir = folder_of(api, r), *route = dir ? route_of(r) : NULL;
    if (!route)
        return;
    enum err err = fn(dir, route, &letters);
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    http_reply(r, 200, JSON_TYPE,
               arena_printf(http_arena(r), "{\"route\":\"%s\",\"letters\":%" PRIu64 "}\n", route,
                            letters));
}

void api_dead_letters_retry(void *ctx, struct http_request *r)
{
    act(ctx, r, dead_retry);
}

void api_dead_letters_delete(void *ctx, struct http_request *r)
{
    act(ctx, r, dead_delete);
}
