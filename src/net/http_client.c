/* The client: one easy handle, whose connection libcurl keeps from request to request. */
#include "net/http_client.h"

#include "core/mem.h"

#include <curl/curl.h>
#include <stdio.h>
#include <strings.h>

enum { URL_BYTES_MAX = 1 << 20, CONNECT_MS = 10000, TRANSFER_BYTES = 256 << 10 };

struct http_client {
    CURL *curl;
    char *base, *user;
    char *ca, *cert, *key; /* NULL: none */
    bool trust_anyone, distrusts;
    struct buf url; /* of the request begun, without a NUL until it is sent */
    bool has_params;
    const char *method;
    struct curl_slist *headers;
    unsigned silence_s; /* 0: none */
    void (*on_header)(void *ctx, struct str name, struct str value);
    void *header_ctx;
    bool (*stop)(void *ctx);
    void *stop_ctx;
    struct http_upload upload; /* read NULL: none */
    uint64_t uploaded;
    /* While it is being sent. */
    enum err (*write)(void *ctx, struct str bytes);
    void *ctx;
    enum err write_err;
    struct http_answer *answer;
};

enum err http_client_new(const char *base, const char *user, struct http_client **ret)
{
    struct str b = str_c(base);
    if (!str_starts(b, STR("http://")) && !str_starts(b, STR("https://")))
        return err_set(ERR_INVALID, "bad URL \"%s\": http://HOST:PORT is wanted", base);
    while (b.n > 0 && b.p[b.n - 1] == '/')
        b.n--;
    CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    struct http_client *c = NEW(struct http_client);
    c->curl = curl_easy_init();
    CHECK(c->curl);
    c->base = mem_strdup(b);
    c->user = user ? mem_strdup(str_c(user)) : NULL;
    buf_init(&c->url, URL_BYTES_MAX);
    *ret = c;
    return OK;
}

void http_client_free(struct http_client *c)
{
    if (!c)
        return;
    curl_slist_free_all(c->headers);
    curl_easy_cleanup(c->curl);
    curl_global_cleanup();
    buf_release(&c->url);
    mem_free(c->base);
    mem_free(c->user);
    mem_free(c->ca);
    mem_free(c->cert);
    mem_free(c->key);
    mem_free(c);
}

void http_client_tls(struct http_client *c, const char *ca, const char *cert, const char *key,
                     bool trust_anyone)
{
    c->ca = ca ? mem_strdup(str_c(ca)) : NULL;
    c->cert = cert ? mem_strdup(str_c(cert)) : NULL;
    c->key = key ? mem_strdup(str_c(key)) : NULL;
    c->trust_anyone = trust_anyone;
}

bool http_client_distrusts(const struct http_client *c)
{
    return c->distrusts;
}

void http_client_begin(struct http_client *c, const char *method, const char *path)
{
    c->method = method;
    c->has_params = false;
    c->silence_s = 0;
    c->on_header = NULL;
    c->stop = NULL;
    c->upload = (struct http_upload){0};
    curl_slist_free_all(c->headers);
    c->headers = NULL;
    buf_clear(&c->url);
    buf_put_c(&c->url, c->base);
    buf_put_c(&c->url, path);
    /* A body is sent at once: it can be sent again when it is refused. */
    http_client_header(c, "Expect", "");
}

void http_client_param(struct http_client *c, const char *name, struct str value)
{
    buf_put_byte(&c->url, c->has_params ? '&' : '?');
    c->has_params = true;
    buf_put_c(&c->url, name);
    buf_put_byte(&c->url, '=');
    for (size_t i = 0; i < value.n; i++) {
        unsigned char b = (unsigned char)value.p[i];
        bool plain = (b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
                     b == '-' || b == '_' || b == '.' || b == '~';
        if (plain)
            buf_put_byte(&c->url, (char)b);
        else
            buf_printf(&c->url, "%%%02X", b);
    }
}

void http_client_header(struct http_client *c, const char *name, const char *value)
{
    char *line = mem_printf("%s:%s%s", name, *value ? " " : "", value);
    c->headers = curl_slist_append(c->headers, line);
    CHECK(c->headers);
    mem_free(line);
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct http_client *c = arg;
    long status = 0;
    n *= size;
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    if (c->write && status / 100 == 2)
        c->write_err = c->write(c->ctx, str_of(p, n));
    else
        c->write_err = buf_add(&c->answer->body, p, n);
    return c->write_err == OK ? n : CURL_WRITEFUNC_ERROR;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct http_client *c = arg;
    struct str line = str_of(p, size * n);
    size_t colon = str_find_byte(line, ':', 0);
    int64_t seconds;
    if (str_ieq(str_of(p, colon), STR("Retry-After")) &&
        str_to_i64(str_trim(str_from(line, colon + 1)), &seconds) && seconds > 0)
        c->answer->retry_after_s = seconds;
    if (str_ieq(str_of(p, colon), STR("Date"))) {
        char date[64];
        struct str value = str_trim(str_from(line, colon + 1));
        snprintf(date, sizeof(date), "%.*s", STR_ARG(value));
        time_t at = curl_getdate(date, NULL);
        c->answer->date_s = at > 0 ? at : 0;
    }
    if (c->on_header && colon < line.n)
        c->on_header(c->header_ctx, str_of(p, colon), str_trim(str_from(line, colon + 1)));
    return size * n;
}

static size_t on_upload(char *p, size_t size, size_t n, void *arg)
{
    struct http_client *c = arg;
    uint64_t left = c->upload.bytes - c->uploaded;
    n = n * size < left ? n * size : (size_t)left;
    c->write_err = n ? c->upload.read(c->upload.ctx, c->uploaded, p, n) : OK;
    c->uploaded += n;
    return c->write_err == OK ? n : CURL_READFUNC_ABORT;
}

/* A connection that was kept may turn out to be gone: then the body is sent once more. */
static int on_seek(void *arg, curl_off_t offset, int origin)
{
    struct http_client *c = arg;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > c->upload.bytes)
        return CURL_SEEKFUNC_FAIL;
    c->uploaded = (uint64_t)offset;
    return CURL_SEEKFUNC_OK;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t d, curl_off_t e)
{
    struct http_client *c = arg;
    if (!c->stop(c->stop_ctx))
        return 0;
    c->write_err = err_set(ERR_CANCELED, "%s: given up", c->base);
    return 1;
}

void http_client_on_header(struct http_client *c,
                           void (*fn)(void *ctx, struct str name, struct str value), void *ctx)
{
    c->on_header = fn;
    c->header_ctx = ctx;
}

void http_client_stop(struct http_client *c, bool (*fn)(void *ctx), void *ctx)
{
    c->stop = fn;
    c->stop_ctx = ctx;
}

void http_client_upload(struct http_client *c, const struct http_upload *u)
{
    c->upload = *u;
}

void http_client_silence(struct http_client *c, unsigned seconds)
{
    c->silence_s = seconds;
}

static void set_up_tls(struct http_client *c)
{
    if (c->ca)
        curl_easy_setopt(c->curl, CURLOPT_CAINFO, c->ca);
    if (c->cert) {
        curl_easy_setopt(c->curl, CURLOPT_SSLCERT, c->cert);
        curl_easy_setopt(c->curl, CURLOPT_SSLKEY, c->key ? c->key : c->cert);
    }
    if (c->trust_anyone) {
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(c->curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
}

static void set_up(struct http_client *c, struct str body, int64_t timeout_ms)
{
    curl_easy_reset(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_URL, c->url.p);
    curl_easy_setopt(c->curl, CURLOPT_CUSTOMREQUEST, c->method);
    curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
    curl_easy_setopt(c->curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
    curl_easy_setopt(c->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, c);
    curl_easy_setopt(c->curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c->curl, CURLOPT_HEADERDATA, c);
    set_up_tls(c);
    if (c->silence_s) {
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c->curl, CURLOPT_LOW_SPEED_TIME, (long)c->silence_s);
    }
    if (c->user) {
        curl_easy_setopt(c->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
        curl_easy_setopt(c->curl, CURLOPT_USERPWD, c->user);
    }
    if (c->write)
        curl_easy_setopt(c->curl, CURLOPT_BUFFERSIZE, (long)TRANSFER_BYTES);
    if (c->stop) {
        curl_easy_setopt(c->curl, CURLOPT_NOPROGRESS, 0L);
        curl_easy_setopt(c->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
        curl_easy_setopt(c->curl, CURLOPT_XFERINFODATA, c);
    }
    if (c->upload.read) {
        c->uploaded = 0;
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c->curl, CURLOPT_UPLOAD_BUFFERSIZE, (long)TRANSFER_BYTES);
        curl_easy_setopt(c->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)c->upload.bytes);
        curl_easy_setopt(c->curl, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(c->curl, CURLOPT_READDATA, c);
        curl_easy_setopt(c->curl, CURLOPT_SEEKFUNCTION, on_seek);
        curl_easy_setopt(c->curl, CURLOPT_SEEKDATA, c);
    } else if (body.n || !strcmp(c->method, "POST")) {
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.n);
        curl_easy_setopt(c->curl, CURLOPT_POSTFIELDS, body.n ? body.p : "");
    }
}

enum err http_client_send(struct http_client *c, struct str body, int64_t timeout_ms,
                          enum err (*write)(void *ctx, struct str bytes), void *ctx,
                          struct http_answer *ret)
{
    char why[CURL_ERROR_SIZE] = "";
    long status = 0;
    buf_put_byte(&c->url, 0);
    buf_clear(&ret->body);
    ret->status = 0;
    ret->retry_after_s = 0;
    ret->date_s = 0;
    c->write = write;
    c->ctx = ctx;
    c->write_err = OK;
    c->answer = ret;
    set_up(c, body, timeout_ms);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, why);
    CURLcode code = curl_easy_perform(c->curl);
    curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, NULL);
    c->url.n--; /* it may be sent again */
    if (c->write_err != OK)
        return c->write_err;
    c->distrusts = code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_SSL_CACERT_BADFILE;
    if (code != CURLE_OK)
        return err_set(code == CURLE_OPERATION_TIMEDOUT ? ERR_TIMEOUT : ERR_UNAVAILABLE, "%s: %s",
                       c->base, why[0] ? why : curl_easy_strerror(code));
    curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
    ret->status = (unsigned)status;
    return OK;
}
