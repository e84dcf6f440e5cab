/* Objects in S3, or in what speaks like it:
 *
 *   s3://BUCKET[/PREFIX][?endpoint=https://HOST:PORT][&region=R][&path_style=true|false]
 *                       [&tls_ca=FILE][&part_bytes=64MiB]
 *
 * Requests are those of the Amazon S3 API reference that every service of its kind has: PutObject,
 * GetObject with ranges, DeleteObject, CopyObject, ListObjectsV2, and the five of multipart
 * uploads. Retries, back-off and the clock are those of aws/client.c.
 *
 * What is put carries the hash of its body (x-amz-content-sha256, which is signed, and Content-MD5)
 * and, as metadata of its own, the SHA-256 of the whole: what comes back is held against it. */
#include "core/clock.h"
#include "core/mem.h"
#include "objects/s3_impl.h"

#include "aws/xml.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGES_MAX = 100000 };
#define PART_BYTES_MIN (5ull << 20)
#define PART_BYTES (64ull << 20)

static const char *const known_params[] = {"endpoint", "region",     "path_style",
                                           "tls_ca",   "part_bytes", NULL};

/* ---- requests ---- */

/* "PutObject" as an answer tells it: ok, throttled, or by kind. */
static const char *result_of(const struct aws_answer *a)
{
    if (!a->status)
        return "unreachable";
    if (a->status / 100 == 2)
        return "ok";
    if (a->throttled)
        return "throttled";
    return a->status >= 500 ? "failed" : a->status == 404 ? "absent" : "refused";
}

static void judged(void *ctx, const char *action, const struct aws_answer *a)
{
    char labels[100];
    snprintf(labels, sizeof(labels), "action=\"%s\",result=\"%s\"", action, result_of(a));
    metric_add(
        metric_counter("weir_objects_requests_total", labels, "Requests to the objects' place."),
        1);
}

static enum err take_client(struct s3 *s, struct aws_client **ret)
{
    *ret = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->n_idle)
        *ret = s->idle[--s->n_idle];
    pthread_mutex_unlock(&s->lock);
    return *ret ? OK : aws_client_new(s->service, ret);
}

static void give_client(struct s3 *s, struct aws_client *c)
{
    pthread_mutex_lock(&s->lock);
    bool keep = s->n_idle < S3_IDLE_MAX;
    if (keep)
        s->idle[s->n_idle++] = c;
    pthread_mutex_unlock(&s->lock);
    if (!keep)
        aws_client_free(c);
}

struct waiting {
    const struct s3 *s;
    const struct objects_wait *w;
};

static bool is_over(void *ctx)
{
    struct waiting *w = ctx;
    return objects_waited(&w->s->o, w->w) != OK;
}

static void put_path(const struct s3 *s, struct str key, struct buf *out)
{
    buf_put_byte(out, '/');
    if (s->path_style) {
        buf_put_c(out, s->bucket);
        if (key.n)
            buf_put_byte(out, '/');
    }
    if (key.n) {
        aws_encode(out, str_c(s->prefix), false);
        aws_encode(out, key, false);
    }
}

/* The errors of the bucket, which no key is to blame for, and the place in front. */
static enum err explain(const struct s3 *s, enum err err, const struct aws_answer *a)
{
    char was[300];
    snprintf(was, sizeof(was), "%s", err_text());
    if (!strcmp(a->code, "NoSuchBucket"))
        return err_set(ERR_INVALID,
                       "%s: there is no bucket \"%s\": make it, or correct objects.url", s->o.name,
                       s->bucket);
    if (!strcmp(a->code, "InvalidRange") || a->status == 416)
        return err_set(ERR_EOF, "%s: the object is shorter than it should be", s->o.name);
    if (a->status == 301 || !strcmp(a->code, "AuthorizationHeaderMalformed"))
        err = ERR_INVALID;
    return err_set(err, "%s: %s", s->o.name, was);
}

static enum err send_by(struct s3 *s, struct aws_client *c, const struct s3_request *r,
                        const struct objects_wait *w, struct aws_answer *answer)
{
    struct waiting waiting = {s, w};
    struct buf path;
    buf_init(&path, 64 << 10);
    put_path(s, r->key, &path);
    struct aws_call call = {.action = r->action,
                            .method = r->method,
                            .path = buf_str(&path),
                            .query = r->query,
                            .body = r->body,
                            .upload = r->upload,
                            .upload_sha256 = r->sha256,
                            .header = r->header,
                            .n_headers = r->n_headers,
                            .s3 = true,
                            .timeout_ms = S3_REQUEST_MS,
                            .silence_s = r->silence_s ? r->silence_s : S3_SILENCE_S,
                            .stop = is_over,
                            .stop_ctx = &waiting,
                            .on_header = r->on_header,
                            .header_ctx = r->ctx,
                            .write = r->write,
                            .ctx = r->ctx};
    enum err err = aws_send(c, &call, answer);
    buf_release(&path);
    if (err == OK)
        return OK;
    TRY(objects_waited(&s->o, w)); /* which of the two it was */
    return explain(s, err, answer);
}

enum err s3_send(struct s3 *s, const struct s3_request *r, const struct objects_wait *w,
                 struct aws_answer *answer)
{
    struct aws_answer own = {0};
    struct aws_client *c;
    int64_t begun = clock_mono_ns();
    char labels[60];
    TRY(objects_waited(&s->o, w));
    TRY(take_client(s, &c));
    buf_init(&own.body, S3_ANSWER_MAX);
    enum err err = send_by(s, c, r, w, answer ? answer : &own);
    buf_release(&own.body);
    give_client(s, c);
    snprintf(labels, sizeof(labels), "action=\"%s\"", r->action);
    metric_observe_ns(
        metric_histogram("weir_objects_request_seconds", labels,
                         "Time of a request to the objects' place, with its retries."),
        clock_mono_ns() - begun);
    return err;
}

enum err s3_send_slow(struct s3 *s, const struct s3_request *r, const struct objects_wait *w,
                      struct aws_answer *answer)
{
    char code[80] = "", message[200] = "";
    TRY(s3_send(s, r, w, answer));
    struct str body = buf_str(&answer->body);
    if (str_find(body, STR("<Error>")) == SIZE_MAX)
        return OK;
    (void)xml_find(body, "Code", code, sizeof(code));
    (void)xml_find(body, "Message", message, sizeof(message));
    return err_set(ERR_UNAVAILABLE, "%s: %s: %s: %s", s->o.name, r->action, code, message);
}

/* ---- what is small ---- */

static enum err read_small(struct objects *o, struct str key, struct buf *ret,
                           const struct objects_wait *w)
{
    struct s3 *s = (struct s3 *)o;
    struct aws_answer answer = {0};
    struct s3_request r = {.action = "GetObject", .method = "GET", .key = key};
    buf_init(&answer.body, OBJECTS_MARKER_MAX);
    enum err err = s3_send(s, &r, w, &answer);
    if (err == OK)
        err = buf_add(ret, answer.body.p, answer.body.n);
    buf_release(&answer.body);
    return err;
}

static enum err remove_object(struct objects *o, struct str key, const struct objects_wait *w)
{
    struct s3_request r = {.action = "DeleteObject", .method = "DELETE", .key = key};
    enum err err = s3_send((struct s3 *)o, &r, w, NULL);
    return err == ERR_NOTFOUND ? OK : err;
}

static enum err move_object(struct objects *o, struct str from, struct str to,
                            const struct objects_wait *w)
{
    struct s3 *s = (struct s3 *)o;
    struct buf source;
    struct aws_answer answer = {0};
    buf_init(&source, 64 << 10);
    buf_printf(&source, "/%s/", s->bucket);
    aws_encode(&source, str_c(s->prefix), false);
    aws_encode(&source, from, false);
    buf_put_byte(&source, '\0');
    buf_init(&answer.body, S3_ANSWER_MAX);
    struct aws_header header = {STR("x-amz-copy-source"), str_of(source.p, source.n - 1)};
    struct s3_request r = {.action = "CopyObject",
                           .method = "PUT",
                           .key = to,
                           .header = &header,
                           .n_headers = 1,
                           .silence_s = S3_JOIN_SILENCE_S};
    enum err err = s3_send_slow(s, &r, w, &answer);
    buf_release(&answer.body);
    buf_release(&source);
    return err == OK ? remove_object(o, from, w) : err;
}

/* ---- lists ---- */

/* Calls page->fn for each item of all pages. `first`: of the query; the page's markers follow. */
static enum err each_page(struct s3 *s, const char *action, const char *first, struct s3_page *page,
                          void (*put_next)(const struct s3_page *page, struct buf *query),
                          const struct objects_wait *w)
{
    struct buf query;
    struct aws_answer answer = {0};
    enum err err = OK;
    buf_init(&query, 64 << 10);
    buf_init(&answer.body, S3_ANSWER_MAX);
    page->more = true;
    for (unsigned i = 0; err == OK && page->more; i++) {
        buf_clear(&query);
        buf_put_c(&query, first);
        if (i)
            put_next(page, &query);
        struct s3_request r = {.action = action, .method = "GET", .query = buf_str(&query)};
        err = i == PAGES_MAX ? err_set(ERR_LIMIT, "%s: more than %d pages of a list", s->o.name, i)
                             : s3_send(s, &r, w, &answer);
        if (err == OK)
            err = s3_read_page(buf_str(&answer.body), page);
    }
    buf_release(&answer.body);
    buf_release(&query);
    return err;
}

struct listing {
    struct s3 *s;
    enum err (*fn)(void *ctx, const struct object *object);
    void *ctx;
    int64_t before_ns; /* of a sweep */
    const struct objects_wait *wait;
};

static enum err on_object(void *ctx, const struct s3_listed *one)
{
    struct listing *l = ctx;
    struct str prefix = str_c(l->s->prefix);
    if (!str_starts(one->key, prefix))
        return OK; /* a service that takes no prefix */
    struct object object = {str_from(one->key, prefix.n), one->bytes, one->modified_ns};
    return l->fn(l->ctx, &object);
}

static void put_continuation(const struct s3_page *page, struct buf *query)
{
    buf_put_c(query, "&continuation-token=");
    aws_encode(query, str_c(page->next), true);
}

static enum err list_objects(struct objects *o, struct str prefix,
                             enum err (*fn)(void *ctx, const struct object *object), void *ctx,
                             const struct objects_wait *w)
{
    struct s3 *s = (struct s3 *)o;
    struct listing l = {.s = s, .fn = fn, .ctx = ctx, .wait = w};
    struct s3_page page = {.ctx = &l, .fn = on_object};
    struct buf first;
    buf_init(&first, 64 << 10);
    buf_put_c(&first, "list-type=2&max-keys=1000&prefix=");
    aws_encode(&first, str_c(s->prefix), true);
    aws_encode(&first, prefix, true);
    buf_put_byte(&first, '\0');
    enum err err = each_page(s, "ListObjectsV2", first.p, &page, put_continuation, w);
    buf_release(&first);
    return err;
}

/* An upload that ended in its middle keeps its parts, and costs, until it is aborted. */
static enum err on_begun_upload(void *ctx, const struct s3_listed *one)
{
    struct listing *l = ctx;
    struct str key, prefix = str_c(l->s->prefix);
    struct buf query;
    key = str_from(one->key, prefix.n);
    if (one->modified_ns >= l->before_ns || !str_starts(one->key, prefix) ||
        !str_starts(key, STR("segments/")))
        return OK; /* the bucket may be somebody else's, too */
    buf_init(&query, 64 << 10);
    buf_put_c(&query, "uploadId=");
    aws_encode(&query, one->upload, true);
    struct s3_request r = {
        .action = "AbortMultipartUpload", .method = "DELETE", .key = key, .query = buf_str(&query)};
    enum err err = s3_send(l->s, &r, l->wait, NULL);
    buf_release(&query);
    return err == ERR_NOTFOUND ? OK : err;
}

static void put_markers(const struct s3_page *page, struct buf *query)
{
    buf_put_c(query, "&key-marker=");
    aws_encode(query, str_c(page->next), true);
    buf_put_c(query, "&upload-id-marker=");
    aws_encode(query, str_c(page->next_upload), true);
}

static enum err sweep(struct objects *o, int64_t before_ns, const struct objects_wait *w)
{
    struct s3 *s = (struct s3 *)o;
    struct listing l = {.s = s, .before_ns = before_ns, .wait = w};
    struct s3_page page = {.ctx = &l, .fn = on_begun_upload};
    struct buf first;
    buf_init(&first, 64 << 10);
    buf_put_c(&first, "uploads=&prefix=");
    aws_encode(&first, str_c(s->prefix), true);
    aws_encode(&first, STR("segments/"), true);
    buf_put_byte(&first, '\0');
    enum err err = each_page(s, "ListMultipartUploads", first.p, &page, put_markers, w);
    buf_release(&first);
    return err;
}

/* ---- opening ---- */

static void close_s3(struct objects *o)
{
    struct s3 *s = (struct s3 *)o;
    while (s->n_idle)
        aws_client_free(s->idle[--s->n_idle]);
    aws_service_free(s->service);
    aws_credentials_free(s->credentials);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->bucket);
    mem_free(s->prefix);
    mem_free(s);
}

static const struct objects_driver driver = {.put = s3_put,
                                             .get = s3_get,
                                             .read = s3_read,
                                             .remove = remove_object,
                                             .move = move_object,
                                             .list = list_objects,
                                             .sweep = sweep,
                                             .read_small = read_small,
                                             .write_small = s3_write_small,
                                             .close = close_s3};

static bool is_bucket_name(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && c != '-' && c != '.' && c != '_')
            return false;
    }
    return s.n >= 3 && s.n <= 255;
}

static enum err check_endpoint(struct str e)
{
    size_t at = str_find(e, STR("://"));
    struct str host = at == SIZE_MAX ? (struct str){0} : str_from(e, at + 3);
    if (host.n && host.p[host.n - 1] == '/')
        host.n--;
    if ((!str_starts(e, STR("http://")) && !str_starts(e, STR("https://"))) || !host.n ||
        str_find_byte(host, '/', 0) < host.n)
        return err_set(ERR_INVALID,
                       "s3://: endpoint=\"%.*s\": http://HOST:PORT or https:// is wanted",
                       STR_ARG(e));
    return OK;
}

static enum err read_part_bytes(const struct url *url, uint64_t *ret)
{
    struct str text = url_get(url, "part_bytes");
    *ret = PART_BYTES;
    if (!text.p)
        return OK;
    if (!str_to_bytes(text, ret) || *ret < PART_BYTES_MIN || *ret > (1ull << 32))
        return err_set(ERR_INVALID, "s3://: part_bytes=\"%.*s\": 5MiB to 4GiB is wanted",
                       STR_ARG(text));
    return OK;
}

enum err objects_check_s3(const struct url *url)
{
    struct str style = url_get(url, "path_style"), endpoint = url_get(url, "endpoint");
    uint64_t part;
    TRY(url_check_params(url, known_params));
    if (url->user.n || url->password.n)
        return err_set(ERR_INVALID, "s3:// takes no keys: they come from AWS_ACCESS_KEY_ID and "
                                    "AWS_SECRET_ACCESS_KEY, a profile, or the machine's role");
    if (url->has_port || !is_bucket_name(url->host))
        return err_set(ERR_INVALID,
                       "s3://%.*s%s: a bucket's name is wanted; the service's address is "
                       "endpoint=http://HOST:PORT",
                       STR_ARG(url->host), url->has_port ? ":..." : "");
    if (style.p && !str_eq_c(style, "true") && !str_eq_c(style, "false"))
        return err_set(ERR_INVALID, "s3://: path_style=\"%.*s\": true or false is wanted",
                       STR_ARG(style));
    if (endpoint.p)
        TRY(check_endpoint(endpoint));
    return read_part_bytes(url, &part);
}

static bool is_amazon(struct str endpoint)
{
    return str_ends(endpoint, STR(".amazonaws.com")) ||
           str_ends(endpoint, STR(".amazonaws.com.cn"));
}

/* Where requests go, and whether the bucket stands in the path or in the host's name. */
static enum err place_service(struct s3 *s, const struct url *url, struct buf *endpoint)
{
    struct str given = url_get(url, "endpoint"), style = url_get(url, "path_style");
    if (given.p)
        buf_put_str(endpoint, given);
    else
        TRY(aws_endpoint(s->credentials, "s3", endpoint));
    while (endpoint->n && endpoint->p[endpoint->n - 1] == '/')
        endpoint->n--;
    TRY(check_endpoint(buf_str(endpoint)));
    bool dotted = str_find_byte(url->host, '.', 0) < url->host.n;
    s->path_style = style.p ? str_eq_c(style, "true") : dotted || !is_amazon(buf_str(endpoint));
    if (!s->path_style) {
        size_t at = str_find(buf_str(endpoint), STR("://")) + 3;
        char *host = mem_strdup(str_from(buf_str(endpoint), at));
        endpoint->n = at;
        buf_printf(endpoint, "%s.%s", s->bucket, host);
        mem_free(host);
    }
    buf_put_byte(endpoint, '\0');
    return OK;
}

static enum err set_up(struct s3 *s, const struct url *url)
{
    struct str region = url_get(url, "region"), ca = url_get(url, "tls_ca");
    struct aws_credentials_options c = {.region = region.n ? region.p : NULL};
    struct buf endpoint;
    TRY(read_part_bytes(url, &s->part_bytes));
    TRY(aws_credentials_new(&c, &s->credentials));
    buf_init(&endpoint, 64 << 10);
    enum err err = place_service(s, url, &endpoint);
    struct aws_service_options o = {.credentials = s->credentials,
                                    .service = "s3",
                                    .endpoint = endpoint.p,
                                    .ca = ca.n ? ca.p : NULL,
                                    .judged = judged};
    if (err == OK)
        err = aws_service_new(&o, &s->service);
    buf_release(&endpoint);
    return err;
}

enum err objects_open_s3(const struct url *url, struct objects **ret)
{
    struct s3 *s = NEW(struct s3);
    struct str prefix = url->path;
    while (prefix.n && prefix.p[0] == '/')
        prefix = str_from(prefix, 1);
    while (prefix.n && prefix.p[prefix.n - 1] == '/')
        prefix.n--;
    s->o.driver = &driver;
    s->o.apart = true;
    s->bucket = mem_strdup(url->host);
    s->prefix = prefix.n ? mem_printf("%.*s/", STR_ARG(prefix)) : mem_strdup(STR(""));
    s->o.name = mem_printf("s3://%s%s%.*s", s->bucket, prefix.n ? "/" : "", STR_ARG(prefix));
    s->sent = metric_counter("weir_objects_bytes_total", "direction=\"sent\"",
                             "Bytes of objects put and fetched.");
    s->received = metric_counter("weir_objects_bytes_total", "direction=\"received\"",
                                 "Bytes of objects put and fetched.");
    pthread_mutex_init(&s->lock, NULL);
    enum err err = set_up(s, url);
    if (err != OK)
        objects_close(&s->o);
    else
        *ret = &s->o;
    return err;
}
