/* opensearch://[user:password@]host:port/INDEX (elasticsearch://; opensearch+tls:// over TLS): the
 * _bulk interface of OpenSearch and Elasticsearch. {date} in INDEX is the day of each record's
 * time, as 2025.02.15.
 *
 * Every document is created under an _id made of sender, sequence and place, the same whenever it
 * is sent: what is there already answers 409 and counts as sent. So a repeated bulk doubles
 * nothing, as long as both go to the same index. A document gets `@timestamp` unless it has one.
 *
 * An item that the server is too busy for (429, 503) makes the whole bulk come again; one that it
 * refuses (400 and its kin) is a dead letter, alone. */
#include "core/clock.h"
#include "core/mem.h"
#include "net/http_client.h"
#include "output/outputs.h"
#include "record/json.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define DATE STR("{date}")
enum { TIMEOUT_MS = 120000, ANSWER_MAX = 64 << 20, INDEX_MAX = 255 };

struct es_output {
    struct output base;
    struct http_client *client;
    char *index;
    struct buf body;
    const struct output_bulk *bulk; /* while it is sent */
};

static enum err check_index(struct str index)
{
    if (!index.n || index.n > INDEX_MAX)
        return err_set(ERR_INVALID, "opensearch://HOST:PORT/INDEX is wanted");
    for (size_t i = 0; i < index.n; i++) {
        if (str_starts(str_from(index, i), DATE)) {
            i += DATE.n - 1;
            continue;
        }
        char c = index.p[i];
        if ((c >= 'A' && c <= 'Z') || strchr("\\/*?\"<>| ,#:{}%", c))
            return err_set(ERR_INVALID,
                           "the index \"%.*s\": small letters, digits, '-', '_', '.' and {date}",
                           STR_ARG(index));
    }
    return OK;
}

static enum err es_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {NULL};
    struct str index = str_from(url->path, 1);
    char base[600];
    bool tls = str_ends(url->scheme, STR("+tls"));
    TRY(url_check_params(url, known));
    TRY(check_index(index));
    bool v6 = str_find_byte(url->host, ':', 0) < url->host.n;
    if (snprintf(base, sizeof(base), "http%s://%s%.*s%s:%u", tls ? "s" : "", v6 ? "[" : "",
                 STR_ARG(url->host), v6 ? "]" : "",
                 url->has_port ? url->port : 9200) >= (int)sizeof(base))
        return err_set(ERR_INVALID, "the host's name is too long");
    char *user =
        url->user.n ? mem_printf("%.*s:%.*s", STR_ARG(url->user), STR_ARG(url->password)) : NULL;
    struct es_output *o = NEW(struct es_output);
    enum err err = http_client_new(base, user, &o->client);
    mem_free(user);
    if (err != OK) {
        mem_free(o);
        return err;
    }
    o->index = mem_strdup(index);
    buf_init(&o->body, SIZE_MAX);
    o->base.type = &output_opensearch;
    *ret = &o->base;
    return OK;
}

/* ---- the body ---- */

static void put_index(const char *index, int64_t time_ns, struct buf *out)
{
    char time[TIME_TEXT_MAX]; /* 2025-02-15T... */
    (void)time_rfc3339(time_ns, time);
    for (; *index; index++) {
        if (!str_starts(str_c(index), DATE)) {
            buf_put_byte(out, *index);
            continue;
        }
        buf_printf(out, "%.4s.%.2s.%.2s", time, time + 5, time + 8);
        index += DATE.n - 1;
    }
}

static enum err put_document(void *ctx, const struct output_row *row)
{
    struct es_output *o = ctx;
    const struct output_item *item = &o->bulk->item[row->item];
    uint32_t part = 0; /* of its unit */
    char time[TIME_TEXT_MAX];
    while (part < row->item && item[-(int64_t)part - 1].sequence == item->sequence)
        part++;
    buf_put_c(&o->body, "{\"create\":{\"_index\":\"");
    put_index(o->index, row->time_ns, &o->body);
    buf_printf(&o->body, "\",\"_id\":\"%016" PRIx64 "-%016" PRIx64 "-%" PRIx64 "-%x-%x\"}}\n",
               o->bulk->producer, o->bulk->epoch, item->sequence, part, row->row);
    if (str_find(row->json, STR("\"@timestamp\":")) == SIZE_MAX && row->json.n >= 2) {
        buf_put_c(&o->body, "{\"@timestamp\":\"");
        buf_put(&o->body, time, time_rfc3339(row->time_ns, time));
        buf_put_c(&o->body, row->json.n > 2 ? "\"," : "\"");
        buf_put_str(&o->body, str_from(row->json, 1));
    } else {
        buf_put_str(&o->body, row->json);
    }
    buf_put_byte(&o->body, '\n');
    return OK;
}

/* ---- the answer ---- */

static enum err too_busy(unsigned status)
{
    return err_set(ERR_UNAVAILABLE, "the server answered %u", status);
}

static enum err judge_item(const struct output_bulk *bulk, const json_t *item, uint32_t at,
                           uint32_t row)
{
    const json_t *result = json_object_get(item, "create");
    int64_t status = json_integer_value(json_object_get(result, "status"));
    const json_t *error = json_object_get(result, "error");
    const char *reason = json_string_value(json_object_get(error, "reason"));
    if (status / 100 == 2 || status == 409)
        return OK;
    if (status == 429 || status >= 500 || !status)
        return too_busy((unsigned)status);
    bulk->refuse(bulk->ctx, at, row, reason ? reason : "refused");
    return OK;
}

static enum err judge_items(const struct output_bulk *bulk, const json_t *items)
{
    if (json_array_size(items) != bulk->rows)
        return err_set(ERR_UNAVAILABLE, "the answer has %zu items for %" PRIu64 " documents",
                       json_array_size(items), bulk->rows);
    size_t n = 0;
    for (uint32_t i = 0; i < bulk->n; i++)
        for (uint32_t row = 0; row < bulk->item[i].rows; row++)
            TRY(judge_item(bulk, json_array_get(items, n++), i, row));
    return OK;
}

static enum err judge(const struct output_bulk *bulk, const struct http_answer *a)
{
    if (a->status == 401 || a->status == 403)
        return err_set(ERR_AUTH, "the server answered %u: are user and password right?", a->status);
    if (a->status == 400 || a->status == 413)
        return err_set(ERR_INVALID, "the server answered %u: %.*s", a->status,
                       a->body.n > 200 ? 200 : (int)a->body.n, a->body.p);
    if (a->status != 200)
        return too_busy(a->status);
    json_t *answer = json_loadb(a->body.p ? a->body.p : "", a->body.n, 0, NULL);
    const json_t *errors = json_object_get(answer, "errors");
    enum err err = json_is_false(errors)  ? OK
                   : json_is_true(errors) ? judge_items(bulk, json_object_get(answer, "items"))
                                          : err_set(ERR_UNAVAILABLE, "the answer of _bulk is none");
    json_decref(answer);
    return err;
}

static enum err es_send(struct output *base, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    struct es_output *o = (struct es_output *)base;
    struct http_answer a = {0};
    o->bulk = bulk;
    buf_clear(&o->body);
    TRY(output_each_row(bulk, put_document, o));
    buf_init(&a.body, ANSWER_MAX);
    http_client_begin(o->client, "POST", "/_bulk");
    http_client_header(o->client, "Content-Type", "application/x-ndjson");
    enum err err = http_client_send(o->client, buf_str(&o->body), TIMEOUT_MS, NULL, NULL, &a);
    if (err == OK) {
        err = judge(bulk, &a);
        *ret_wait_ns = a.retry_after_s * NS_PER_S;
    }
    buf_release(&a.body);
    return err;
}

static void es_close(struct output *base)
{
    struct es_output *o = (struct es_output *)base;
    http_client_free(o->client);
    buf_release(&o->body);
    mem_free(o->index);
    mem_free(o);
}

static const char *const schemes[] = {"opensearch", "opensearch+tls", "elasticsearch",
                                      "elasticsearch+tls", NULL};
const struct output_type output_opensearch = {
    .name = "opensearch",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 5 << 20, .wait_ns = 5 * NS_PER_S},
    .open = es_open,
    .send = es_send,
    .close = es_close,
};
