/* Splunk's HTTP event collector (docs.splunk.com, "Use the HTTP Event Collector").
 *
 * POST /services/collector, .../event: JSON events behind each other (wire/hec.c)
 * POST /services/collector/raw: lines of text; ?host, source, sourcetype, index, time
 * POST /services/collector/ack: {"acks":[0,1]} -> {"acks":{"0":true,"1":true}}
 * GET  /services/collector/health
 * OPTIONS of what takes events: 200, by which Docker's driver finds out whether somebody is there
 *
 * Credentials: "Authorization: Splunk TOKEN" with one of hec.tokens, the token as the password of
 * any user, or the root user's. Without tokens and root user everything is let in. A refused event
 * is answered with its number, as Splunk does; but those behind it landed too.
 *
 * Acknowledgements: an answer comes when the events are durable, and an ackId is given with it
 * where a channel is named. So every id that was ever given is acknowledged: ids count up from the
 * microsecond of the start, and one is true if it is below the next. */
#include "api/push.h"

#include "core/clock.h"
#include "record/json_walk.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

enum { CREDENTIALS_MAX = 4096 };

struct code {
    unsigned status, code;
    const char *text;
};
static const struct code success = {200, 0, "Success"}, no_token = {401, 2, "Token is required"},
                         no_splunk = {401, 3, "Invalid authorization"},
                         bad_token = {403, 4, "Invalid token"}, no_data = {400, 5, "No data"},
                         bad_data = {400, 6, "Invalid data format"},
                         server_error = {500, 8, "Internal server error"},
                         busy = {503, 9, "Server is busy"},
                         no_channel = {400, 10, "Data channel is missing"},
                         no_event = {400, 12, "Event field is required"},
                         blank_event = {400, 13, "Event field cannot be blank"},
                         healthy = {200, 17, "HEC is healthy"},
                         unhealthy = {503, 18, "HEC is unhealthy, queues are full"};

static atomic_ullong next_ack;

/* more: further members, each with its comma before it; may be NULL. */
static void say(struct http_request *r, const struct code *c, const char *more)
{
    struct str text = arena_printf(http_arena(r), "{\"text\":\"%s\",\"code\":%u%s}", c->text,
                                   c->code, more ? more : "");
    if (c->status == 503)
        http_reply_header(r, "Retry-After", "1");
    http_reply(r, c->status, JSON_TYPE, text);
}

/* ---- who may ---- */

static bool is_token(struct api *api, struct str given)
{
    bool found = false;
    for (size_t i = 0; i < api->n_hec_tokens; i++) {
        struct str t = api->hec_tokens[i];
        found |= t.n == given.n && t.n && CRYPTO_memcmp(t.p, given.p, t.n) == 0;
    }
    return found;
}

/* Basic authentication, whose password is a token. */
static bool is_basic_token(struct api *api, struct http_request *r, struct str given)
{
    static const struct str basic = STR("Basic ");
    struct str text = str_trim(str_from(given, given.n < basic.n ? given.n : basic.n));
    if (!text.n || text.n % 4 || text.n > CREDENTIALS_MAX ||
        !str_ieq(str_of(given.p, basic.n), basic))
        return false;
    char *plain = arena_alloc(http_arena(r), text.n);
    int n = EVP_DecodeBlock((unsigned char *)plain, (const unsigned char *)text.p, (int)text.n);
    if (n < 0)
        return false;
    struct str pair = str_of(plain, (size_t)n);
    while (pair.n && !pair.p[pair.n - 1]) /* what stands for the padding */
        pair.n--;
    return is_token(api, str_from(pair, str_find_byte(pair, ':', 0) + 1));
}

/* False: answered. */
static bool may_come_in(struct api *api, struct http_request *r)
{
    static const struct str scheme = STR("Splunk ");
    struct str given = str_trim(http_header(r, "Authorization"));
    if (!api->n_hec_tokens && !api->authorize)
        return true;
    if (api->authorize && api->authorize(api->auth_ctx, given))
        return true;
    if (is_basic_token(api, r, given))
        return true;
    if (!given.n) {
        say(r, &no_token, NULL);
        return false;
    }
    if (given.n <= scheme.n || !str_ieq(str_of(given.p, scheme.n), scheme)) {
        say(r, &no_splunk, NULL);
        return false;
    }
    if (is_token(api, str_trim(str_from(given, scheme.n))))
        return true;
    say(r, &bad_token, NULL);
    return false;
}

/* ---- events ---- */

static bool has_channel(struct http_request *r)
{
    return http_header(r, "X-Splunk-Request-Channel").n || http_param(r, "channel").n;
}

static void accept(struct http_request *r)
{
    if (!has_channel(r)) {
        say(r, &success, NULL);
        return;
    }
    unsigned long long id = atomic_fetch_add(&next_ack, 1);
    say(r, &success, arena_printf(http_arena(r), ",\"ackId\":%llu", id).p);
}

static void answer(void *ctx, const struct ingest_result *result)
{
    struct http_request *r = ctx;
    if (result->err != OK) {
        unsigned status = http_status_of(result->err);
        say(r,
            result->err == ERR_CONFLICT || status == 503 || status == 507 || status == 429 ? &busy
            : status < 500 ? &bad_data
                           : &server_error,
            NULL);
        return;
    }
    if (!result->rejected) {
        if (result->accepted || result->duplicates)
            accept(r);
        else
            say(r, &no_data, NULL);
        return;
    }
    const struct ingest_refusal *first = &result->refusal[0];
    const struct code *code = str_eq_c(first->reason, no_event.text)      ? &no_event
                              : str_eq_c(first->reason, blank_event.text) ? &blank_event
                                                                          : &bad_data;
    say(r, code, arena_printf(http_arena(r), ",\"invalid-event-number\":%u", first->position).p);
}

/* False: answered. */
static bool begin(struct api *api, struct http_request *r, struct ingest_body *body)
{
    unsigned long long none = 0;
    atomic_compare_exchange_strong(&next_ack, &none, (unsigned long long)(clock_now_ns() / 1000));
    if (!may_come_in(api, r))
        return false;
    enum err err = push_body(api, r, "hec", answer, body);
    if (err == OK)
        return true;
    say(r, err == ERR_UNAVAILABLE ? &busy : &bad_data, NULL);
    return false;
}

void push_hec_event(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct ingest_body body;
    if (!begin(api, r, &body))
        return;
    body.format = WIRE_HEC;
    ingest_body(api->ingest, &body);
}

void push_hec_raw(void *ctx, struct http_request *r)
{
    static const char *const names[] = {"host", "source", "sourcetype", "index", "time"};
    struct wire_field field[sizeof(names) / sizeof(*names)];
    struct api *api = ctx;
    struct ingest_body body;
    if (!begin(api, r, &body))
        return;
    for (unsigned i = 0; i < sizeof(names) / sizeof(*names); i++) {
        struct str value = http_param(r, names[i]);
        if (value.n)
            field[body.n_fields++] = (struct wire_field){str_c(names[i]), value};
    }
    body.fields = field;
    body.format = WIRE_TEXT;
    ingest_body(api->ingest, &body);
}

/* ---- acknowledgements and health ---- */

static bool put_acks(struct str array, struct buf *out)
{
    struct json_walk w;
    struct json_item item;
    uint64_t id;
    const char *comma = "";
    if (!json_walk_begin(&w, array))
        return false;
    buf_put_c(out, "{\"acks\":{");
    while (json_walk_next(&w, &item)) {
        if (item.lane != LANE_NUM || !str_to_u64(item.text, &id))
            return false;
        buf_printf(out, "%s\"%llu\":%s", comma, (unsigned long long)id,
                   id < next_ack ? "true" : "false");
        comma = ",";
    }
    buf_put_c(out, "}}");
    return true;
}

void push_hec_ack(void *ctx, struct http_request *r)
{
    struct json_walk w;
    struct json_item item;
    struct ingest_body body;
    struct buf out;
    if (!begin(ctx, r, &body))
        return;
    if (!has_channel(r)) {
        say(r, &no_channel, NULL);
        return;
    }
    bool good = false;
    buf_init(&out, SIZE_MAX);
    if (json_walk_begin(&w, http_body(r)) && w.close == '}')
        while (!good && json_walk_next(&w, &item))
            if (str_eq_c(item.key, "acks") && item.lane == LANE_ARR)
                good = put_acks(item.text, &out);
    if (good)
        http_reply(r, 200, JSON_TYPE, buf_str(&out));
    else
        say(r, &bad_data, NULL);
    buf_release(&out);
}

void push_hec_options(void *ctx, struct http_request *r)
{
    http_reply_header(r, "Allow", "OPTIONS, POST");
    http_reply(r, 200, NULL, (struct str){0});
}

void push_hec_health(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    say(r, api->ready ? &healthy : &unhealthy, NULL);
}
