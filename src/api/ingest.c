/* POST /api/v1/logs/ingest?stream=S
 *
 * Content-Type decides the format: application/json (the body {"logs":[...]}, an array or one
 * object), application/x-ndjson and its kin (a record a line), text/... (a line a record). Without
 * one, or with those that tools send when they were told nothing (octet-stream, form-urlencoded),
 * the bytes decide (ingest_sniff). application/vnd.weir.frames is what agents send (wire/frames.h):
 * every frame names its stream, and each sequence number lands once. Any other type is answered
 * 415. Content-Encoding: gzip, deflate, zstd, lz4. X-Service-Id and X-Host give records a service
 * and a host that they lack.
 *
 * 202 when what was accepted is durable and searchable:
 *   {"accepted":2,"rejected":1,"duplicates":0,"errors":[{"position":1,"reason":"..."}]}
 * with "duplicate":true when the whole body had landed before (Idempotency-Key), "key_reused":true
 * when its key came before with another body. 400 with the same members, and "error", when every
 * record was refused. */
#include "api/internal.h"

#include "record/json.h"
#include "wire/frames.h"

enum { UPLOAD_MIN = 256 << 10 }; /* smaller bodies are gathered */

static bool is_one_of(struct str s, const char *const *names)
{
    for (; *names; names++)
        if (str_ieq(s, str_c(*names)))
            return true;
    return false;
}

static struct str media_type(struct http_request *r)
{
    struct str type = http_header(r, "Content-Type");
    return str_trim(str_of(type.p, str_find_byte(type, ';', 0)));
}

static bool is_frames(struct http_request *r)
{
    return str_ieq(media_type(r), STR(FRAMES_TYPE));
}

/* By the type; false: no format has it. */
static bool find_format(struct http_request *r, struct ingest_body *body)
{
    static const char *const json[] = {"application/json", "text/json", NULL};
    static const char *const ndjson[] = {"application/x-ndjson",    "application/ndjson",
                                         "application/jsonl",       "application/jsonlines",
                                         "application/x-jsonlines", "application/x-jsonl",
                                         "application/json-lines",  NULL};
    static const char *const any[] = {"", "application/octet-stream",
                                      "application/x-www-form-urlencoded", "*/*", NULL};
    struct str type = media_type(r);
    body->sniff = is_one_of(type, any);
    if (is_one_of(type, json))
        body->format = WIRE_JSON;
    else if (is_one_of(type, ndjson))
        body->format = WIRE_NDJSON;
    else if (type.n > 5 && str_ieq(str_of(type.p, 5), STR("text/")))
        body->format = WIRE_TEXT;
    else
        return body->sniff;
    return true;
}

/* False: answered. */
static bool read_format(struct http_request *r, struct ingest_body *body)
{
    struct str type = media_type(r);
    if (find_format(r, body))
        return true;
    http_error(r, 415,
               "Content-Type %.*s: application/json, application/x-ndjson or text/plain is wanted",
               type.n > 100 ? 100 : (int)type.n, type.p);
    return false;
}

static void write_result(const struct ingest_result *result, const char *error, struct buf *out)
{
    buf_put_byte(out, '{');
    if (error)
        buf_printf(out, "\"error\":\"%s\",\"status\":400,", error);
    buf_printf(out, "\"accepted\":%llu,\"rejected\":%llu,\"duplicates\":%llu",
               (unsigned long long)result->accepted, (unsigned long long)result->rejected,
               (unsigned long long)result->duplicates);
    if (result->duplicate)
        buf_put_c(out, ",\"duplicate\":true");
    if (result->key_reused)
        buf_put_c(out, ",\"key_reused\":true");
    buf_put_c(out, ",\"errors\":[");
    for (uint32_t i = 0; i < result->n_refusals; i++) {
        buf_printf(out, "%s{\"position\":%u,\"reason\":", i ? "," : "",
                   result->refusal[i].position);
        json_put_string(out, result->refusal[i].reason);
        buf_put_byte(out, '}');
    }
    buf_put_c(out, "]}\n");
}

static void answer(void *ctx, const struct ingest_result *result)
{
    struct http_request *r = ctx;
    if (result->err != OK) {
        if (result->err == ERR_CONFLICT)
            http_reply_header(r, "Retry-After", "1");
        http_error_of(r, result->err, result->text);
        return;
    }
    bool all_refused = result->rejected > 0 && !result->accepted && !result->duplicates;
    struct buf out;
    buf_init(&out, 4 << 20);
    write_result(result, all_refused ? "every record was refused" : NULL, &out);
    http_reply(r, all_refused ? 400 : 202, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}

struct str api_plain_encoding(struct http_request *r)
{
    struct str encoding = str_trim(http_header(r, "Content-Encoding"));
    return str_ieq(encoding, STR("identity")) ? STR("") : encoding;
}

static struct ingest_body body_of(struct http_request *r)
{
    struct str stream = http_param(r, "stream");
    return (struct ingest_body){
        .org = API_ORG,
        .stream = stream.p ? stream : STR("default"),
        .bytes = http_body(r),
        .encoding = api_plain_encoding(r),
        .service = http_header(r, "X-Service-Id"),
        .host = http_header(r, "X-Host"),
        .key = str_trim(http_header(r, "Idempotency-Key")),
        .ctx = r,
        .done = answer,
    };
}

/* Whatever is wrong with it, the handler says. */
static void *begin_upload(void *ctx, struct http_request *r, uint64_t length, bool *ret_crowded)
{
    struct api *api = ctx;
    *ret_crowded = false;
    if (!api->ready || !str_eq(http_path(r), STR("/api/v1/logs/ingest")))
        return NULL;
    struct ingest_body body = body_of(r);
    if (ingest_check_stream(body.stream) != OK || is_frames(r) || !find_format(r, &body))
        return NULL;
    return ingest_upload_begin(api->ingest, &body, length, ret_crowded);
}

static size_t take_upload(void *upload, struct str bytes)
{
    return ingest_upload_take(upload, bytes);
}

static void set_aside_upload(void *upload)
{
    ingest_upload_set_aside(upload);
}

/* More lines would wait in memory for what cannot keep up. */
static bool uploads_wait(void *ctx)
{
    return store_is_behind(((struct api *)ctx)->store);
}

static void abandon_upload(void *upload)
{
    ingest_upload_abandon(upload);
}

struct http_taker api_taker(struct api *api)
{
    _Static_assert(HTTP_GATHER == INGEST_UPLOAD_GATHER, "handed through");
    return (struct http_taker){
        api, UPLOAD_MIN, begin_upload, take_upload, set_aside_upload, uploads_wait, abandon_upload};
}

void api_ingest(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct ingest_upload *upload = http_upload(r);
    if (upload) {
        ingest_upload_end(upload, http_body(r), r, answer);
        return;
    }
    struct ingest_body body = body_of(r);
    if (!api_is_ready(api, r))
        return;
    enum err err = ingest_check_stream(body.stream);
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    if (is_frames(r))
        ingest_frames(api->ingest, &body);
    else if (read_format(r, &body))
        ingest_body(api->ingest, &body);
}
