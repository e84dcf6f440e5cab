/* Answers as Elasticsearch's clients read them. */
#include "api/es.h"

#include "record/json.h"

#include <stdarg.h>
#include <stdio.h>

#define VENDOR_TYPE "application/vnd.elasticsearch+json"

/* The type is the vendor's where Accept asks for it, with the version that it names. */
static const char *answer_type(struct http_request *r)
{
    struct str accept = http_header(r, "Accept");
    size_t at = str_find(accept, STR(VENDOR_TYPE));
    if (at == SIZE_MAX)
        return JSON_TYPE;
    at = str_find(str_from(accept, at), STR("compatible-with="));
    struct str version = str_from(accept, at == SIZE_MAX ? accept.n : at);
    version = str_from(version, str_find_byte(version, '=', 0) + 1);
    return str_starts(version, STR("7"))   ? VENDOR_TYPE ";compatible-with=7"
           : str_starts(version, STR("9")) ? VENDOR_TYPE ";compatible-with=9"
                                           : VENDOR_TYPE ";compatible-with=8";
}

void es_reply(struct http_request *r, unsigned status, struct str body)
{
    http_reply_header(r, "X-Elastic-Product", "Elasticsearch");
    if (status == 429 || status == 503)
        http_reply_header(r, "Retry-After", "1");
    http_reply(r, status, answer_type(r), body);
}

void es_reply_buf(struct http_request *r, enum err err, struct buf *out)
{
    if (err != OK)
        es_error_of(r, err, err_text());
    else
        es_reply(r, 200, buf_str(out));
    buf_release(out);
}

void es_put_error(struct buf *out, const char *type, const char *reason)
{
    buf_printf(out, "{\"root_cause\":[{\"type\":\"%s\",\"reason\":", type);
    json_put_string(out, str_c(reason));
    buf_printf(out, "}],\"type\":\"%s\",\"reason\":", type);
    json_put_string(out, str_c(reason));
    buf_put_byte(out, '}');
}

static void reply_error(struct http_request *r, unsigned status, const char *type,
                        const char *reason)
{
    struct buf out;
    buf_init(&out, ES_ANSWER_MAX);
    buf_put_c(&out, "{\"error\":");
    es_put_error(&out, type, reason);
    buf_printf(&out, ",\"status\":%u}\n", status);
    es_reply(r, status, buf_str(&out));
    buf_release(&out);
}

void es_error(struct http_request *r, unsigned status, const char *type, const char *fmt, ...)
{
    char text[4096];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    reply_error(r, status, type, text);
}

const char *es_error_type(enum err err)
{
    switch (http_status_of(err)) {
    case 400:
        return "illegal_argument_exception";
    case 404:
        return "resource_not_found_exception";
    case 413:
        return "content_too_long_exception";
    case 409:
    case 503:
        return "es_rejected_execution_exception";
    case 504:
        return "timeout_exception";
    default:
        return "exception";
    }
}

/* A conflict is with a request under way and passes: shippers send again what is answered 429. */
void es_error_of(struct http_request *r, enum err err, const char *text)
{
    unsigned status = err == ERR_CONFLICT ? 429 : http_status_of(err);
    reply_error(r, status, es_error_type(err), text);
}

bool es_is_ready(struct api *api, struct http_request *r)
{
    bool ready = api->ready; /* asked once: an answered request is gone */
    if (!ready)
        es_error(r, 503, "cluster_block_exception", "starting: the queue is being replayed");
    return ready;
}

bool es_param_bool(struct http_request *r, const char *name, bool *ret)
{
    struct str s = http_param(r, name);
    if (!s.p)
        return true;
    bool yes = s.n == 0 || str_eq_c(s, "true");
    if (!yes && !str_eq_c(s, "false")) {
        es_error(r, 400, "illegal_argument_exception", "%s=%.*s: true or false is wanted", name,
                 s.n > 100 ? 100 : (int)s.n, s.p);
        return false;
    }
    *ret = yes;
    return true;
}
