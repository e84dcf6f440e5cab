#include "pipeline/input.h"

#include "core/clock.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "record/json.h"

#include <pthread.h>
#include <stdio.h>

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

enum { SCHEMES_MAX = 64 };

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
    const char *known[SCHEMES_MAX + 1] = {0};
    for (unsigned n = 0; *types; types++)
        for (const char *const *s = (*types)->schemes; *s && n < SCHEMES_MAX; s++)
            known[n++] = *s;
    return url_unknown_scheme("input", scheme, known);
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

enum err input_check(const struct input_type *const *types, struct str text)
{
    struct input_options o = {.url = text, .dry = true};
    struct input *in;
    TRY(input_open(types, &o, &in));
    input_close(in);
    return OK;
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

/* ---- all of them ---- */

struct member {
    struct input *input;
    char scheme[24];
    char *url;
    bool started;
};
struct input_set {
    const struct input_type *const *types;
    pthread_mutex_t lock; /* members come and go while others look */
    struct member member[INPUTS_MAX];
    unsigned n;
};

struct input_set *input_set_new(const struct input_type *const *types)
{
    struct input_set *s = NEW(struct input_set);
    s->types = types;
    pthread_mutex_init(&s->lock, NULL);
    return s;
}

struct str input_plain_url(struct str url, struct arena *a)
{
    size_t end = str_find_byte(url, '?', 0), scheme = str_find(url, STR("://")), at = end;
    while (at > 0 && url.p[at - 1] != '@')
        at--;
    if (!at || scheme == SIZE_MAX || scheme + 3 > at)
        return arena_str(a, str_of(url.p, end));
    return arena_printf(a, "%.*s%.*s", STR_ARG(str_of(url.p, scheme + 3)),
                        STR_ARG(str_of(url.p + at, end - at)));
}

/* The error, with the URL before it as far as it holds no secret. */
static enum err explain(enum err err, struct str url)
{
    char was[400];
    struct arena a;
    snprintf(was, sizeof(was), "%s", err_text());
    arena_init(&a, 0, NULL);
    (void)err_set(err, "input %.*s: %s", STR_ARG(input_plain_url(url, &a)), was);
    arena_release(&a);
    return err;
}

enum err input_set_add(struct input_set *s, const struct input_options *o)
{
    if (s->n == INPUTS_MAX)
        return err_set(ERR_LIMIT, "there are more than %d inputs", INPUTS_MAX);
    struct member *m = &s->member[s->n];
    size_t colon = str_find_byte(o->url, ':', 0);
    snprintf(m->scheme, sizeof(m->scheme), "%.*s", colon > 20 ? 20 : (int)colon, o->url.p);
    enum err err = input_open(s->types, o, &m->input);
    if (err != OK)
        return explain(err, o->url);
    m->url = mem_strdup(o->url);
    m->started = false;
    pthread_mutex_lock(&s->lock);
    s->n++;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

unsigned input_set_count(const struct input_set *s)
{
    return s->n;
}

static unsigned find_member(const struct input_set *s, struct str url)
{
    unsigned i = 0;
    while (i < s->n && !str_eq_c(url, s->member[i].url))
        i++;
    return i;
}

bool input_set_has(const struct input_set *s, struct str url)
{
    return find_member(s, url) < s->n;
}

enum err input_set_join(struct input_set *s, struct input_set *from)
{
    if (s->n + from->n > INPUTS_MAX)
        return err_set(ERR_LIMIT, "there are more than %d inputs", INPUTS_MAX);
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < from->n; i++)
        s->member[s->n++] = from->member[i];
    from->n = 0;
    pthread_mutex_unlock(&s->lock);
    return OK;
}

static double read_accepted(void *ctx)
{
    struct input_status st;
    input_status(ctx, &st);
    return (double)st.accepted;
}

static double read_waiting(void *ctx)
{
    struct input_status st;
    input_status(ctx, &st);
    return (double)st.waiting;
}

static double read_lag(void *ctx)
{
    struct input_status st;
    input_status(ctx, &st);
    return (double)st.lag;
}

static double read_errors(void *ctx)
{
    struct input_status st;
    input_status(ctx, &st);
    return (double)st.errors;
}

static const struct {
    const char *name, *help;
    double (*read)(void *ctx);
} gauges[] = {
    {"weir_input_accepted", "Records that came in by an input.", read_accepted},
    {"weir_input_waiting", "Bodies of an input that are not durable yet.", read_waiting},
    {"weir_input_lag", "Messages at the source that an input has not read yet.", read_lag},
    {"weir_input_errors", "Senders cut off, records refused, datagrams dropped.", read_errors},
};

static void set_gauges(struct input_set *s, unsigned i, bool on)
{
    struct buf name, labels;
    buf_init(&name, 256);
    buf_init(&labels, 512);
    (void)input_set_name(s, i, &name);
    metric_label(&labels, "input", buf_str(&name));
    buf_put_byte(&labels, 0);
    for (unsigned k = 0; k < sizeof(gauges) / sizeof(gauges[0]); k++)
        metric_gauge_fn(gauges[k].name, labels.p, gauges[k].help, on ? gauges[k].read : NULL,
                        s->member[i].input);
    buf_release(&name);
    buf_release(&labels);
}

enum err input_set_start(struct input_set *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        if (s->member[i].started)
            continue;
        TRY(input_start(s->member[i].input));
        s->member[i].started = true;
        set_gauges(s, i, true);
    }
    return OK;
}

static void stop_member(struct input_set *s, unsigned i, int64_t wait_ms)
{
    if (!s->member[i].started)
        return;
    set_gauges(s, i, false);
    input_stop(s->member[i].input, wait_ms);
    s->member[i].started = false;
}

void input_set_remove(struct input_set *s, struct str url, int64_t wait_ms)
{
    unsigned i = find_member(s, url);
    if (i == s->n)
        return;
    stop_member(s, i, wait_ms);
    pthread_mutex_lock(&s->lock);
    struct member m = s->member[i];
    s->member[i] = s->member[--s->n];
    pthread_mutex_unlock(&s->lock);
    input_close(m.input);
    mem_free(m.url);
}

void input_set_stop(struct input_set *s, int64_t wait_ms)
{
    int64_t deadline = clock_mono_ns() + wait_ms * NS_PER_MS;
    for (unsigned i = 0; i < s->n; i++) {
        int64_t left = (deadline - clock_mono_ns()) / NS_PER_MS;
        stop_member(s, i, left > 0 ? left : 0);
    }
}

void input_set_free(struct input_set *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++) {
        input_close(s->member[i].input);
        mem_free(s->member[i].url);
    }
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

bool input_set_name(struct input_set *s, unsigned i, struct buf *out)
{
    struct input_status st;
    if (i >= s->n)
        return false;
    input_status(s->member[i].input, &st);
    buf_printf(out, "%s://%s", s->member[i].scheme, st.address);
    return true;
}

static void write_one(struct input_set *s, unsigned i, struct buf *out)
{
    struct input_status st;
    const struct member *m = &s->member[i];
    input_status(m->input, &st);
    buf_printf(out, "{\"type\":\"%s\",\"scheme\":", m->input->type->name);
    json_put_string(out, str_c(m->scheme));
    buf_put_c(out, ",\"address\":");
    json_put_string(out, str_c(st.address));
    buf_printf(out,
               ",\"connections\":%llu,\"accepted\":%llu,\"refused\":%llu,\"duplicates\":%llu,"
               "\"bytes\":%llu,\"waiting\":%llu,\"lag\":%llu,\"errors\":%llu,\"last_error\":",
               (unsigned long long)st.connections, (unsigned long long)st.accepted,
               (unsigned long long)st.refused, (unsigned long long)st.duplicates,
               (unsigned long long)st.bytes, (unsigned long long)st.waiting,
               (unsigned long long)st.lag, (unsigned long long)st.errors);
    json_put_string(out, str_c(st.last_error));
    buf_put_byte(out, '}');
}

void input_set_write(struct input_set *s, struct buf *out)
{
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < s->n; i++) {
        buf_put_c(out, out->n && out->p[out->n - 1] == '}' ? "," : "");
        write_one(s, i, out);
    }
    pthread_mutex_unlock(&s->lock);
}
