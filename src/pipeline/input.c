#include "pipeline/input.h"

#include "core/buf.h"

static void take(void *ctx, const struct ingest_body *body)
{
    ingest_body(ctx, body);
}

struct sink ingest_sink(struct ingest *g)
{
    return (struct sink){g, take};
}

bool ingest_may_retry(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_NOMEM || err == ERR_FULL || err == ERR_CONFLICT ||
           err == ERR_IO || err == ERR_TIMEOUT || err == ERR_AGAIN;
}

enum err input_read_target(const struct url *url, const char *stream, struct arena *arena,
                           struct input_target *ret)
{
    struct str given = url_get(url, "stream");
    TRY(ingest_check_stream(given.p ? given : str_c(stream)));
    *ret = (struct input_target){
        .org = STR("default"),
        .stream = arena_str(arena, given.p ? given : str_c(stream)),
        .service = arena_str(arena, url_get(url, "service")),
        .host = arena_str(arena, url_get(url, "host")),
    };
    return OK;
}

static const struct input_type *find(const struct input_type *const *types, struct str scheme)
{
    for (; *types; types++)
        for (const char *const *s = (*types)->schemes; *s; s++)
            if (str_eq_c(scheme, *s))
                return *types;
    return NULL;
}

static enum err unknown(const struct input_type *const *types, struct str scheme)
{
    struct buf names;
    buf_init(&names, 1024);
    for (; *types; types++)
        for (const char *const *s = (*types)->schemes; *s; s++)
            buf_printf(&names, "%s%s://", names.n ? ", " : "", *s);
    enum err err = err_set(ERR_INVALID, "no input has the scheme %.*s://; there are %.*s",
                           scheme.n > 40 ? 40 : (int)scheme.n, scheme.p, STR_ARG(buf_str(&names)));
    buf_release(&names);
    return err;
}

enum err input_open(const struct input_type *const *types, const struct input_options *o,
                    struct input **ret)
{
    struct arena arena;
    struct url url;
    arena_init(&arena, 0, NULL);
    enum err err = url_parse(o->url, &arena, &url);
    const struct input_type *type = err == OK ? find(types, url.scheme) : NULL;
    if (type)
        err = type->open(o, &url, ret);
    else if (err == OK)
        err = unknown(types, url.scheme);
    arena_release(&arena);
    return err;
}

enum err input_start(struct input *in)
{
    return in->type->start(in);
}

void input_stop(struct input *in, int64_t wait_ms)
{
    in->type->stop(in, wait_ms);
}

void input_close(struct input *in)
{
    if (in)
        in->type->close(in);
}

void input_status(struct input *in, struct input_status *ret)
{
    *ret = (struct input_status){0};
    in->type->status(in, ret);
}
