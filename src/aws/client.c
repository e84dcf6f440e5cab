/* Retries: "Retry behavior" of the AWS SDKs and Tools Reference Guide, standard mode: three
 * attempts (AWS_MAX_ATTEMPTS), after each a pause of a random part of 2^n seconds, at most 20.
 *
 * The clock: a request whose time is off is refused with one of skew_codes and the service's own
 * time in the Date header. The difference is then kept for all requests, and this one is sent
 * again, at no cost. */
#include "aws/client.h"

#include "aws/credentials_impl.h"
#include "core/clock.h"
#include "core/mem.h"

#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    TOKENS_MAX = 500,
    TOKENS_RETRY = 5,
    TOKENS_TIMEOUT = 10,
    ATTEMPTS = 3,
    ATTEMPTS_LIMIT = 20,
    BACKOFF_MS_MAX = 20000,
    TIMEOUT_MS = 60000,
    SKEW_S_MIN = 240,
    SIDE_TIMEOUT_MS = 2000,
    STS_TIMEOUT_MS = 10000,
};

struct aws_service {
    struct aws_service_options o;
    char *name, *endpoint, *host, *region, *ca;
    unsigned attempts;
    atomic_int tokens;
    atomic_llong skew_s;
};
struct aws_client {
    struct aws_service *service;
    struct http_client *http;
};

/* ---- service ---- */

static struct str host_of(struct str endpoint)
{
    size_t at = str_find(endpoint, STR("://"));
    struct str host = at == SIZE_MAX ? endpoint : str_from(endpoint, at + 3);
    host = str_of(host.p, str_find_byte(host, '/', 0));
    struct str port = str_starts(endpoint, STR("https")) ? STR(":443") : STR(":80");
    if (str_ends(host, port))
        host.n -= port.n;
    return host;
}

enum err aws_service_new(const struct aws_service_options *o, struct aws_service **ret)
{
    struct buf endpoint;
    const char *region = aws_credentials_region(o->credentials), *n = aws_env("AWS_MAX_ATTEMPTS");
    int64_t attempts = ATTEMPTS;
    buf_init(&endpoint, 4096);
    if (n && (!str_to_i64(str_c(n), &attempts) || attempts < 1 || attempts > ATTEMPTS_LIMIT))
        return err_set(ERR_INVALID, "AWS_MAX_ATTEMPTS=%s: 1 to %d is wanted", n, ATTEMPTS_LIMIT);
    if (o->endpoint) {
        buf_put_c(&endpoint, o->endpoint);
        buf_put_byte(&endpoint, '\0');
        endpoint.n--;
    } else {
        TRY(aws_endpoint(o->credentials, o->service, &endpoint));
    }
    struct aws_service *s = NEW(struct aws_service);
    s->o = *o;
    s->name = mem_strdup(str_c(o->service));
    s->endpoint = mem_strdup(buf_str(&endpoint));
    s->host = mem_strdup(host_of(buf_str(&endpoint)));
    s->region = mem_strdup(region ? str_c(region) : STR("us-east-1"));
    const char *ca = o->ca ? o->ca : aws_env("AWS_CA_BUNDLE");
    s->ca = ca ? mem_strdup(str_c(ca)) : NULL;
    s->attempts = (unsigned)attempts;
    s->tokens = TOKENS_MAX;
    buf_release(&endpoint);
    *ret = s;
    return OK;
}

void aws_service_free(struct aws_service *s)
{
    if (!s)
        return;
    mem_free(s->name);
    mem_free(s->endpoint);
    mem_free(s->host);
    mem_free(s->region);
    mem_free(s->ca);
    mem_free(s);
}

const char *aws_service_endpoint(const struct aws_service *s)
{
    return s->endpoint;
}

enum err aws_client_new(struct aws_service *s, struct aws_client **ret)
{
    struct http_client *http;
    TRY(http_client_new(s->endpoint, NULL, &http));
    struct aws_client *c = NEW(struct aws_client);
    *c = (struct aws_client){s, http};
    http_client_tls(http, s->ca, NULL, NULL, false);
    *ret = c;
    return OK;
}

void aws_client_free(struct aws_client *c)
{
    if (!c)
        return;
    http_client_free(c->http);
    mem_free(c);
}

/* ---- one request ---- */

static void add_signature(struct http_client *http, const struct aws_keys *keys,
                          const struct aws_signing *s, struct aws_signature *sig)
{
    http_client_header(http, "X-Amz-Date", sig->date);
    if (keys->token)
        http_client_header(http, "X-Amz-Security-Token", keys->token);
    if (s->s3)
        http_client_header(http, "X-Amz-Content-Sha256", sig->payload);
    http_client_header(http, "Authorization", sig->headers.p);
}

/* Begins a signed request (keys NULL: an unsigned one). */
static enum err begin(struct http_client *http, const struct aws_keys *keys,
                      const struct aws_signing *s)
{
    struct aws_signature sig;
    char *path =
        mem_printf("%.*s%s%.*s", STR_ARG(s->path), s->query.n ? "?" : "", STR_ARG(s->query));
    http_client_begin(http, s->method, path);
    mem_free(path);
    for (unsigned i = 0; i < s->n_headers; i++) {
        char *value = mem_strdup(s->header[i].value);
        http_client_header(http, s->header[i].name.p, value);
        mem_free(value);
    }
    if (!keys)
        return OK;
    enum err err = aws_sign(keys, s, &sig);
    if (err == OK)
        add_signature(http, keys, s, &sig);
    buf_release(&sig.headers);
    return err;
}

struct attempt {
    const struct aws_call *call;
    bool written;
    enum err refused; /* what the caller's write answered */
    int64_t date_s;
};

static enum err on_bytes(void *ctx, struct str bytes)
{
    struct attempt *a = ctx;
    a->written = true;
    a->refused = a->call->write(a->call->ctx, bytes);
    return a->refused;
}

/* What is besides the request line and its headers. */
static void add_rest(struct http_client *http, const struct aws_call *call)
{
    if (call->upload)
        http_client_upload(http, call->upload);
    if (call->on_header)
        http_client_on_header(http, call->on_header, call->header_ctx);
    if (call->stop)
        http_client_stop(http, call->stop, call->stop_ctx);
    http_client_silence(http, call->silence_s);
}

static enum err send_once(struct aws_client *c, struct attempt *a, struct aws_answer *ret)
{
    struct aws_service *s = c->service;
    const struct aws_call *call = a->call;
    struct aws_header header[AWS_HEADERS_MAX + 2];
    struct aws_keys keys;
    struct http_answer answer = {.body = ret->body};
    unsigned n = 0;
    CHECK(call->n_headers <= AWS_HEADERS_MAX);
    while (n < call->n_headers) {
        header[n] = call->header[n];
        n++;
    }
    if (call->content_type)
        header[n++] = (struct aws_header){STR("content-type"), str_c(call->content_type)};
    if (call->target)
        header[n++] = (struct aws_header){STR("x-amz-target"), str_c(call->target)};
    struct aws_signing signing = {.method = call->method,
                                  .service = s->name,
                                  .region = s->region,
                                  .host = str_c(s->host),
                                  .path = call->path.n ? call->path : STR("/"),
                                  .query = call->query,
                                  .header = header,
                                  .n_headers = n,
                                  .body = call->body,
                                  .sha256 = call->upload ? call->upload_sha256 : NULL,
                                  .unsigned_payload = call->unsigned_payload,
                                  .s3 = call->s3,
                                  .time_s = clock_now_ns() / NS_PER_S + s->skew_s};
    ret->status = 0;
    ret->code[0] = ret->message[0] = '\0';
    ret->throttled = false;
    TRY(aws_credentials_get(s->o.credentials, &keys));
    enum err err = begin(c->http, &keys, &signing);
    aws_keys_release(&keys);
    if (err == OK) {
        ret->attempts++;
        add_rest(c->http, call);
        err =
            http_client_send(c->http, call->body, call->timeout_ms ? call->timeout_ms : TIMEOUT_MS,
                             call->write ? on_bytes : NULL, a, &answer);
    }
    ret->body = answer.body;
    ret->status = a->refused != OK ? 200 : answer.status; /* the service did its part */
    a->date_s = answer.date_s;
    return err;
}

/* ---- judging ---- */

/* "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException" and "Code:http://..." -> the name */
static struct str bare_code(struct str s)
{
    size_t hash = str_find_byte(s, '#', 0);
    if (hash < s.n)
        s = str_from(s, hash + 1);
    return str_of(s.p, str_find_byte(s, ':', 0));
}

static void read_error(struct aws_answer *a)
{
    struct str body = str_trim(buf_str(&a->body));
    if (body.n && body.p[0] == '{') {
        json_t *j = json_loadb(body.p, body.n, 0, NULL);
        const char *type = json_string_value(json_object_get(j, "__type"));
        const char *message = json_string_value(json_object_get(j, "message"));
        if (!message)
            message = json_string_value(json_object_get(j, "Message"));
        struct str code = bare_code(str_c(type ? type : ""));
        snprintf(a->code, sizeof(a->code), "%.*s", STR_ARG(code));
        snprintf(a->message, sizeof(a->message), "%s", message ? message : "");
        json_decref(j);
    } else if (body.n && body.p[0] == '<') {
        (void)xml_find(body, "Code", a->code, sizeof(a->code));
        (void)xml_find(body, "Message", a->message, sizeof(a->message));
    }
}

static bool is_one_of(const char *code, const char *const *list)
{
    for (; *list; list++)
        if (!strcmp(code, *list))
            return true;
    return false;
}

static const char *const throttle_codes[] = {"Throttling",
                                             "ThrottlingException",
                                             "ThrottledException",
                                             "RequestThrottledException",
                                             "TooManyRequestsException",
                                             "ProvisionedThroughputExceededException",
                                             "TransactionInProgressException",
                                             "RequestLimitExceeded",
                                             "BandwidthLimitExceeded",
                                             "LimitExceededException",
                                             "RequestThrottled",
                                             "SlowDown",
                                             "PriorRequestNotComplete",
                                             "EC2ThrottledException",
                                             NULL};
static const char *const passing_codes[] = {"RequestTimeout",
                                            "RequestTimeoutException",
                                            "InternalError",
                                            "InternalFailure",
                                            "InternalServerError",
                                            "ServiceUnavailable",
                                            NULL};
static const char *const skew_codes[] = {"RequestTimeTooSkewed",
                                         "RequestExpired",
                                         "RequestInTheFuture",
                                         "InvalidSignatureException",
                                         "SignatureDoesNotMatch",
                                         "AuthFailure",
                                         NULL};
static const char *const expired_codes[] = {"ExpiredToken", "ExpiredTokenException", NULL};

static enum err kind_of(const struct aws_answer *a)
{
    struct str code = str_c(a->code);
    if (a->throttled || a->status >= 500 || a->status == 429 || is_one_of(a->code, passing_codes))
        return ERR_UNAVAILABLE;
    if (!strcmp(a->code, "ConditionalCheckFailedException"))
        return ERR_CONFLICT;
    if (str_find(code, STR("NotFound")) != SIZE_MAX || str_starts(code, STR("NoSuch")) ||
        a->status == 404)
        return ERR_NOTFOUND;
    if (!strcmp(a->code, "ResourceInUseException"))
        return ERR_EXISTS;
    if (str_starts(code, STR("AccessDenied")) || a->status == 401 || a->status == 403 ||
        str_starts(code, STR("UnrecognizedClient")) ||
        str_starts(code, STR("InvalidClientToken")) || is_one_of(a->code, expired_codes) ||
        is_one_of(a->code, skew_codes))
        return ERR_AUTH;
    return ERR_INVALID;
}

static enum err judge(const struct aws_call *call, enum err err, struct aws_answer *a)
{
    if (err != OK)
        return err_set(err, "%s: %s", call->action, err_text());
    if (a->status / 100 == 2)
        return OK;
    read_error(a);
    a->throttled = is_one_of(a->code, throttle_codes) || (a->status == 429 && !a->code[0]);
    return err_set(kind_of(a), "%s: %u %s%s%s", call->action, a->status, a->code,
                   a->message[0] ? ": " : "", a->message);
}

/* ---- retries ---- */

static bool take_tokens(struct aws_service *s, int n)
{
    int have = s->tokens;
    do
        if (have < n)
            return false;
    while (!atomic_compare_exchange_weak(&s->tokens, &have, have - n));
    return true;
}

static void give_tokens(struct aws_service *s, int n)
{
    int have = s->tokens;
    while (have < TOKENS_MAX &&
           !atomic_compare_exchange_weak(&s->tokens, &have,
                                         have + n > TOKENS_MAX ? TOKENS_MAX : have + n))
        ;
}

/* Whether the answer tells that our clock is off: then it is put right. */
static bool correct_clock(struct aws_service *s, const struct attempt *a,
                          const struct aws_answer *r)
{
    if (!is_one_of(r->code, skew_codes) || !a->date_s)
        return false;
    int64_t skew = a->date_s - clock_now_ns() / NS_PER_S, used = s->skew_s;
    if (llabs(skew - used) < SKEW_S_MIN)
        return false;
    s->skew_s = skew;
    return true;
}

static bool is_stopping(const struct aws_service *s)
{
    return s->o.stopping && *s->o.stopping;
}

static bool is_given_up(const struct aws_service *s, const struct aws_call *call)
{
    return is_stopping(s) || (call->stop && call->stop(call->stop_ctx));
}

static void pause_before(const struct aws_service *s, const struct aws_call *call, unsigned attempt)
{
    uint64_t most = attempt < 5 ? 1000u << attempt : BACKOFF_MS_MAX;
    int64_t left = (int64_t)(random_u64() % (most + 1));
    for (; left > 0 && !is_given_up(s, call); left -= 50)
        clock_sleep_ms(left < 50 ? left : 50);
}

static bool may_pass(enum err err)
{
    return err == ERR_UNAVAILABLE || err == ERR_TIMEOUT;
}

enum err aws_send(struct aws_client *c, const struct aws_call *call, struct aws_answer *ret)
{
    struct aws_service *s = c->service;
    struct attempt a = {.call = call};
    int taken = 0;
    bool clock_set = false, keys_set = false;
    ret->attempts = 0;
    for (unsigned i = 0;; i++) {
        if (s->o.admit)
            TRY(s->o.admit(s->o.ctx, call->action));
        buf_clear(&ret->body);
        enum err err = judge(call, send_once(c, &a, ret), ret);
        if (s->o.judged)
            s->o.judged(s->o.ctx, call->action, ret);
        if (err == OK) {
            give_tokens(s, taken ? taken : 1);
            return OK;
        }
        if (a.written)
            return err;
        if (!clock_set && correct_clock(s, &a, ret)) {
            clock_set = true;
            continue;
        }
        if (!keys_set && is_one_of(ret->code, expired_codes)) {
            keys_set = true;
            aws_credentials_expire(s->o.credentials);
            continue;
        }
        int cost = err == ERR_TIMEOUT ? TOKENS_TIMEOUT : TOKENS_RETRY;
        if (!may_pass(err) || i + 1 >= s->attempts || is_given_up(s, call) || !take_tokens(s, cost))
            return err;
        taken = cost;
        pause_before(s, call, i);
    }
}

/* ---- for the credentials ---- */

enum err aws_post_form(const char *endpoint, const struct aws_keys *keys, const char *service,
                       const char *region, struct str form, struct http_answer *ret)
{
    struct http_client *http;
    struct aws_header header = {STR("content-type"), STR("application/x-www-form-urlencoded")};
    struct aws_signing s = {.method = "POST",
                            .service = service,
                            .region = region,
                            .host = host_of(str_c(endpoint)),
                            .path = STR("/"),
                            .header = &header,
                            .n_headers = 1,
                            .body = form,
                            .time_s = clock_now_ns() / NS_PER_S};
    TRY(http_client_new(endpoint, NULL, &http));
    enum err err = begin(http, keys, &s);
    if (err == OK)
        err = http_client_send(http, form, STS_TIMEOUT_MS, NULL, NULL, ret);
    http_client_free(http);
    return err;
}

enum err aws_get_text(const char *method, const char *url, const char *header, const char *value,
                      struct buf *ret)
{
    struct str whole = str_c(url);
    size_t scheme = str_find(whole, STR("://"));
    size_t slash = str_find_byte(whole, '/', scheme == SIZE_MAX ? 0 : scheme + 3);
    char *base = mem_strdup(str_of(url, slash));
    struct http_client *http = NULL;
    struct http_answer a = {.body = *ret};
    enum err err = http_client_new(base, NULL, &http);
    for (int i = 0; err == OK && i < 2; i++) {
        http_client_begin(http, method, slash < whole.n ? url + slash : "/");
        if (value)
            http_client_header(http, header, value);
        enum err sent = http_client_send(http, STR(""), SIDE_TIMEOUT_MS, NULL, NULL, &a);
        if (sent == OK && a.status / 100 == 2)
            break;
        if (i == 1)
            err = sent != OK ? sent
                             : err_set(a.status / 100 == 4 ? ERR_AUTH : ERR_UNAVAILABLE,
                                       "%s answered %u", base, a.status);
    }
    *ret = a.body;
    http_client_free(http);
    mem_free(base);
    return err;
}
