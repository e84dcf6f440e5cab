/* weir web: a small page and one endpoint that make a pipeline work. POST /produceEventsToPipeline
 * makes access records of nginx, or reads JSON lines from a URL or a file, and sends them to an
 * output: the forward protocol unless told otherwise.
 *
 * A request is answered when its last record is acknowledged: 200, or an error with the stage at
 * which it came (request, fetch, parse, forward) and what had been sent until then. Sources must
 * begin with one of the prefixes that --allow names: else the page would be a way to read whatever
 * this machine can. */
#include "cmd/commands.h"
#include "cmd/feed.h"
#include "cmd/produce.h"
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/http_client.h"
#include "net/http_server.h"
#include "record/json.h"

#include <inttypes.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

extern const unsigned char web_html[];
extern const size_t web_html_size;

#define LISTEN_DEFAULT "127.0.0.1:8000"
#define OUTPUT_DEFAULT "forward://127.0.0.1:24224?tag=app.nginx"
#define JSON_TYPE "application/json"
enum {
    STOP_MS = 5000,
    COUNT_MAX = 1000000,
    COUNT_DEFAULT = 100,
    SECONDS_MAX = 300, /* of a request, by count and rate */
    TEXT_MAX = 256,    /* of asset and region */
    FETCH_MS = 300000,
    READ_BYTES = 256 << 10,
    TICK_MS = 100,
    REQUESTS_MAX = 16, /* at a time */
};
#define PATIENCE_NS (10 * NS_PER_S)

static const struct option_def option_defs[] = {
    {"listen", 'l', "HOST:PORT", "Where it listens (" LISTEN_DEFAULT ")."},
    {"output", 'o', "URL", "Where the records go (" OUTPUT_DEFAULT ")."},
    {"allow", 'a', "PREFIX",
     "Sources may begin so: https://HOST/PATH/ or /FOLDER/; may be given often (none).",
     .many = true},
    {0},
};
const struct command web_command = {
    .name = "web",
    .summary = "Serves a page that sends sample records through a pipeline",
    .usage = "[options]",
    .text = "Serves a form, and POST /produceEventsToPipeline with count, rate, asset and region: "
            "access records\n"
            "of nginx go to the output. With source=URL or source=/FILE its JSON lines go there "
            "instead.\n\n"
            "  weir web --output 'forward://127.0.0.1:24224?tag=app.nginx'\n"
            "  curl -X POST 'http://127.0.0.1:8000/produceEventsToPipeline?count=1000&rate=200'",
    .options = option_defs,
};

struct web {
    const struct options *o;
    const char *output;
};

/* What a request asks for. */
struct wish {
    uint64_t count, rate; /* count 0: all lines of the source; rate 0: as fast as may be */
    struct str asset, region, source;
};

enum stage { REQUEST, FETCH, PARSE, FORWARD };
static const char *const stage_names[] = {"request", "fetch", "parse", "forward"};

/* ---- requests ---- */

static enum err read_number(struct str text, const char *name, uint64_t max, uint64_t *ret)
{
    if (text.n && (!str_to_u64(text, ret) || *ret > max))
        return err_set(ERR_INVALID, "%s: a whole number up to %" PRIu64 " is wanted", name, max);
    return OK;
}

/* A parameter of the query, of the form, or a member of the JSON object that was sent. */
static struct str param(struct http_request *r, const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);
    if (json_is_string(v))
        return arena_str(http_arena(r), str_of(json_string_value(v), json_string_length(v)));
    if (json_is_integer(v))
        return arena_printf(http_arena(r), "%" JSON_INTEGER_FORMAT, json_integer_value(v));
    return str_trim(http_param(r, name));
}

static enum err read_params(struct http_request *r, const json_t *body, struct wish *w)
{
    *w = (struct wish){.asset = param(r, body, "asset"),
                       .region = param(r, body, "region"),
                       .source = param(r, body, "source")};
    w->count = w->source.n ? 0 : COUNT_DEFAULT;
    TRY(read_number(param(r, body, "count"), "count", COUNT_MAX, &w->count));
    TRY(read_number(param(r, body, "rate"), "rate", COUNT_MAX, &w->rate));
    if (!w->count && !w->source.n)
        return err_set(ERR_INVALID, "count: at least 1");
    if (w->rate && w->count / w->rate > SECONDS_MAX)
        return err_set(ERR_INVALID, "count and rate: that would take longer than %d s",
                       SECONDS_MAX);
    if (w->asset.n > TEXT_MAX || w->region.n > TEXT_MAX)
        return err_set(ERR_INVALID, "asset and region: at most %d bytes", TEXT_MAX);
    return OK;
}

static enum err read_wish(struct http_request *r, struct wish *w)
{
    struct str body = http_body(r);
    json_t *object = NULL;
    if (str_starts(http_header(r, "Content-Type"), STR(JSON_TYPE)) && body.n) {
        json_error_t e;
        object = json_loadb(body.p, body.n, 0, &e);
        if (!json_is_object(object)) {
            json_decref(object);
            return err_set(ERR_INVALID, "the body is no JSON object: %s", object ? "" : e.text);
        }
    }
    enum err err = read_params(r, object, w);
    json_decref(object);
    return err;
}

/* ---- answers ---- */

static void put_counts(const struct feed *f, struct buf *out)
{
    struct feed_stats s = {0};
    if (f)
        feed_stats(f, &s);
    buf_printf(out, "\"sent\":%" PRIu64 ",\"failed\":%" PRIu64, s.sent, s.failed);
    if (s.failed) {
        buf_put_c(out, ",\"errors\":");
        feed_put_errors(f, out);
    }
}

static void answer_error(struct http_request *r, const struct feed *f, enum stage stage,
                         unsigned status, const char *text)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    buf_put_c(&out, "{\"error\":");
    json_put_string(&out, str_c(text));
    buf_printf(&out, ",\"stage\":\"%s\",\"status\":%u,", stage_names[stage], status);
    put_counts(f, &out);
    buf_put_c(&out, "}\n");
    log_error("events could not be produced", "stage=%s status=%u error=%s", stage_names[stage],
              status, text);
    http_reply(r, status, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

static void answer_good(struct http_request *r, const struct feed *f, int64_t began_ns)
{
    struct buf out;
    int64_t ms = (clock_mono_ns() - began_ns) / NS_PER_MS;
    buf_init(&out, 1 << 20);
    buf_put_byte(&out, '{');
    put_counts(f, &out);
    buf_printf(&out, ",\"took_ms\":%" PRId64 "}\n", ms);
    log_info("events produced", "answer=%.*s", out.n > 120 ? 120 : (int)out.n - 1, out.p);
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

/* ---- records ---- */

/* Waits until record number `n` is due; what is there is sent before. ERR_CANCELED: nobody waits
 * for the answer. */
static enum err pace(struct http_request *r, struct feed *f, const struct wish *w, uint64_t n,
                     int64_t began_ns)
{
    while (w->rate && clock_mono_ns() - began_ns < (int64_t)(n * (uint64_t)NS_PER_S / w->rate)) {
        TRY(feed_flush(f));
        clock_sleep_ms(1 + TICK_MS / (1 + (int64_t)(w->rate / 10)));
        if (*http_canceled(r))
            return err_set(ERR_CANCELED, "the client has left");
    }
    return OK;
}

static enum err generate(struct http_request *r, struct feed *f, const struct wish *w)
{
    const struct produce_kind *kind = produce_kinds;
    struct maker m = {.state = random_u64()};
    int64_t began = clock_mono_ns();
    struct buf line;
    enum err err = OK;
    while (strcmp(kind->name, "nginx") != 0)
        kind++;
    buf_init(&line, PRODUCE_RECORD_MAX);
    m.errors_1000 = kind->errors_1000;
    for (uint64_t i = 0; i < w->count && err == OK; i++) {
        buf_clear(&line);
        m.time_ns = clock_now_ns();
        kind->put(&m, &line);
        err = pace(r, f, w, i, began);
        if (err == OK)
            err = feed_line(f, buf_str(&line));
    }
    buf_release(&line);
    return err == OK ? feed_end(f) : err;
}

/* What is being read, line by line. */
struct reading {
    struct http_request *r;
    struct feed *f;
    const struct wish *w;
    int64_t began_ns;
    uint64_t lines;
    enum err forward; /* what the output said */
    bool enough;
};

static enum err take_bytes(void *ctx, struct str bytes)
{
    struct reading *g = ctx;
    while (bytes.n && g->forward == OK && !g->enough) {
        size_t end = str_find_byte(bytes, '\n', 0), n = end < bytes.n ? end + 1 : end;
        if (n > end && g->forward == OK)
            g->forward = pace(g->r, g->f, g->w, g->lines, g->began_ns);
        if (g->forward == OK)
            g->forward = feed_bytes(g->f, str_of(bytes.p, n));
        g->lines += n > end;
        g->enough = g->w->count && g->lines >= g->w->count;
        bytes = str_from(bytes, n);
    }
    return g->forward != OK || g->enough ? ERR_CANCELED : OK;
}

static enum err fetch_url(struct reading *g, const char *url)
{
    struct http_client *c;
    struct http_answer a = {0};
    TRY(http_client_new(url, NULL, &c));
    buf_init(&a.body, 64 << 10);
    http_client_begin(c, "GET", "");
    enum err err = http_client_send(c, (struct str){0}, FETCH_MS, take_bytes, g, &a);
    if (err == OK && a.status / 100 != 2)
        err = err_set(ERR_NOTFOUND, "%s answers %u", url, a.status);
    buf_release(&a.body);
    http_client_free(c);
    return err;
}

static enum err read_file(struct reading *g, const char *path)
{
    int fd;
    uint64_t size;
    enum err err = OK;
    TRY(io_open(path, IO_READ, &fd));
    char *bytes = mem_alloc(READ_BYTES);
    TRY_OUT(io_size(fd, &size));
    for (uint64_t at = 0; at < size && err == OK;) {
        size_t n = size - at < READ_BYTES ? (size_t)(size - at) : READ_BYTES;
        TRY_OUT(io_pread(fd, bytes, n, at));
        err = take_bytes(g, str_of(bytes, n));
        at += n;
    }
out:
    mem_free(bytes);
    io_close(fd);
    return err;
}

/* The source as it may be read: ERR_AUTH where no prefix allows it. Of a file the real path is
 * judged, behind links and "..". Freed by free(3)'s kin: mem_free. */
static enum err allowed(const struct web *web, struct str source, char **ret)
{
    char *text = mem_strdup(source);
    const char *prefix;
    char real[4096];
    bool file = source.p[0] == '/', good = false;
    if (file && !realpath(text, real)) {
        enum err err = err_set(ERR_NOTFOUND, "%s: there is no such file", text);
        mem_free(text);
        return err;
    }
    for (unsigned i = 0; !good && (prefix = options_value_at(web->o, "allow", i)); i++)
        good = str_starts(file ? str_c(real) : source, str_c(prefix));
    if (!good) {
        enum err err = err_set(ERR_AUTH, "%s: no --allow of weir web names it", text);
        mem_free(text);
        return err;
    }
    *ret = file ? mem_strdup(str_c(real)) : mem_strdup(source);
    mem_free(text);
    return OK;
}

static void produce_from_source(const struct web *web, struct http_request *r, struct feed *f,
                                const struct wish *w)
{
    struct reading g = {.r = r, .f = f, .w = w, .began_ns = clock_mono_ns()};
    struct feed_stats s;
    char *source;
    enum err err = allowed(web, w->source, &source);
    if (err != OK) {
        answer_error(r, f, FETCH, err == ERR_AUTH ? 403 : 404, err_text());
        return;
    }
    err = source[0] == '/' ? read_file(&g, source) : fetch_url(&g, source);
    mem_free(source);
    if (g.forward != OK) {
        answer_error(r, f, FORWARD, 502, err_text());
        return;
    }
    if (err != OK && !g.enough) {
        char why[400];
        snprintf(why, sizeof(why), "%s", err_text());
        if (feed_flush(f) != OK)
            answer_error(r, f, FORWARD, 502, err_text());
        else
            answer_error(r, f, FETCH, 502, why);
        return;
    }
    if (feed_end(f) != OK) {
        answer_error(r, f, FORWARD, 502, err_text());
        return;
    }
    feed_stats(f, &s);
    if (s.failed && !s.sent)
        answer_error(r, f, PARSE, 422, "no line is a record");
    else
        answer_good(r, f, g.began_ns);
}

static void produce_events(void *ctx, struct http_request *r)
{
    const struct web *web = ctx;
    struct wish w;
    struct feed *f;
    int64_t began = clock_mono_ns();
    if (read_wish(r, &w) != OK) {
        answer_error(r, NULL, REQUEST, 400, err_text());
        return;
    }
    struct feed_options o = {.output = web->output,
                             .stream = "web",
                             .asset = w.asset,
                             .region = w.region,
                             .patience_ns = PATIENCE_NS};
    if (feed_new(&o, &f) != OK) {
        answer_error(r, NULL, FORWARD, 500, err_text());
        return;
    }
    if (w.source.n)
        produce_from_source(web, r, f, &w);
    else if (generate(r, f, &w) != OK)
        answer_error(r, f, FORWARD, 502, err_text());
    else
        answer_good(r, f, began);
    feed_free(f);
}

static void serve_page(void *ctx, struct http_request *r)
{
    http_reply_header(r, "Cache-Control", "no-cache");
    http_reply(r, 200, "text/html; charset=utf-8", str_of((const char *)web_html, web_html_size));
}

static void serve_health(void *ctx, struct http_request *r)
{
    http_reply(r, 200, "text/plain", STR("ok\n"));
}

/* ---- the command ---- */

static enum err check_output(const char *url)
{
    struct feed_options o = {.output = url, .stream = "web"};
    struct feed *f;
    TRY(feed_new(&o, &f));
    feed_free(f);
    return OK;
}

int cmd_web(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &web_command, argc, argv), got;
    if (status >= 0)
        return status;
    const char *listen = options_value(&o, "listen"), *output = options_value(&o, "output");
    struct web web = {.o = &o, .output = output ? output : OUTPUT_DEFAULT};
    const struct http_route routes[] = {
        {"GET", "/", HTTP_FAST, true, serve_page, &web},
        {"GET", "/healthz", HTTP_FAST, true, serve_health, &web},
        {"POST", "/produceEventsToPipeline", HTTP_QUERY, true, produce_events, &web},
        {0}};
    struct http_server_options options = {.listen = listen ? listen : LISTEN_DEFAULT,
                                          .body_max = 1 << 20,
                                          .connections_max = 256,
                                          .workers = {[HTTP_QUERY] = REQUESTS_MAX},
                                          .routes = routes};
    struct http_server *server;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    enum err err = check_output(web.output);
    if (err == OK)
        err = http_server_start(&options, &server);
    if (err != OK) {
        options_fail(&web_command, "%s", err_text());
        return err == ERR_INVALID ? 2 : 1;
    }
    log_info("listening", "url=http://%s/", http_server_address(server));
    (void)sigwait(&set, &got);
    log_info("stopping", NULL);
    http_server_stop(server, STOP_MS);
    return 0;
}
