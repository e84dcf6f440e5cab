/* opensearch://[user:password@]host:port/INDEX (elasticsearch://; opensearch+tls:// over TLS): the
 * _bulk interface of OpenSearch and Elasticsearch. {date} in INDEX is the day of each record's
 * time, as 2025.02.15.
 *
 * Every document is created under an _id made of sender, sequence and place, the same whenever it
 * is sent: what is there already answers 409 and counts as sent. So a repeated bulk doubles
 * nothing, as long as both go to the same index. A document gets `@timestamp` unless it has one.
 *
 * Items that the server is too busy for (429, 5xx) are sent again alone; one that it refuses (400
 * and its kin) is a dead letter, alone.
 *
 * Before the first bulk an index template is put, unless there is one of its name: `weir-` and the
 * index (a date as `any`), for these indexes only, with the mapping below and ignore_malformed, so
 * that a field that cannot be read as its type costs the field's index and not the document.
 * template=FILE puts that file in its place, template=none nothing. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "output/post.h"
#include "output/text.h"
#include "record/timestamp.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

#define DATE STR("{date}")
enum { ES_PORT = 9200, INDEX_MAX = 255, TEMPLATE_MAX = 4 << 20 };

static const char mapping[] = "{\"properties\":{"
                              "\"@timestamp\":{\"type\":\"date\"},"
                              "\"log_id\":{\"type\":\"keyword\"},"
                              "\"timestamp\":{\"type\":\"date\"},"
                              "\"level\":{\"type\":\"keyword\"},"
                              "\"service\":{\"type\":\"keyword\"},"
                              "\"host\":{\"type\":\"keyword\"},"
                              "\"message\":{\"type\":\"text\",\"analyzer\":\"standard\"},"
                              "\"metadata\":{\"type\":\"object\",\"dynamic\":true},"
                              "\"tags\":{\"type\":\"keyword\"},"
                              "\"ingested_at\":{\"type\":\"date\"}}}";

struct es_output {
    struct post_output base;
    char *index;
    char *template; /* a file; NULL: ours; "none" */
    /* Of the bulk that is written. */
    uint64_t producer, epoch;
    const struct output_item *item;
};

/* ---- the index ---- */

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

/* The index with its dates as `date`. */
static void put_index(const char *index, struct str date, struct buf *out)
{
    for (; *index; index++) {
        if (!str_starts(str_c(index), DATE)) {
            buf_put_byte(out, *index);
            continue;
        }
        buf_put_str(out, date);
        index += DATE.n - 1;
    }
}

/* ---- the template ---- */

static enum err put_template(struct es_output *o, struct buf *out)
{
    if (o->template) {
        struct buf file;
        TRY(io_read_file(o->template, TEMPLATE_MAX, &file));
        buf_put_str(out, buf_str(&file));
        buf_release(&file);
        return OK;
    }
    buf_put_c(out, "{\"index_patterns\":[\"");
    put_index(o->index, STR("*"), out);
    buf_printf(out,
               "\"],\"priority\":100,\"template\":{\"settings\":"
               "{\"index.mapping.ignore_malformed\":true},\"mappings\":%s}}",
               mapping);
    return OK;
}

/* A server that has no templates, or one that may not be put, takes documents all the same. */
static enum err greet(void *ctx, struct post *p)
{
    struct es_output *o = ctx;
    struct buf body, path;
    struct str answer;
    unsigned status = 0;
    if (o->template && !strcmp(o->template, "none"))
        return OK;
    buf_init(&body, SIZE_MAX);
    buf_init(&path, SIZE_MAX);
    buf_put_c(&path, "/_index_template/weir-");
    put_index(o->index, STR("any"), &path);
    buf_put_c(&path, "?create=true");
    buf_put_byte(&path, '\0');
    enum err err = put_template(o, &body);
    if (err == OK)
        err = post_request(p, "PUT", path.p, "application/json", buf_str(&body), &status, &answer);
    buf_release(&body);
    buf_release(&path);
    if (err != OK)
        return err;
    if (status == 429 || (status >= 500 && status != 501))
        return err_set(ERR_UNAVAILABLE, "the server answered %u to the index template", status);
    if (status == 401 || status == 403)
        return err_set(ERR_AUTH, "the server answered %u: are user and password right?", status);
    bool there = status == 400 && str_find(answer, STR("already exists")) != SIZE_MAX;
    if (status / 100 != 2 && !there)
        log_warn("no index template could be put", "index=%s status=%u answer=\"%.*s\"", o->index,
                 status, answer.n > 200 ? 200 : (int)answer.n, answer.p);
    return OK;
}

/* ---- the body ---- */

static void begin(void *ctx, const struct output_bulk *bulk)
{
    struct es_output *o = ctx;
    o->producer = bulk->producer;
    o->epoch = bulk->epoch;
    o->item = bulk->item;
}

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    const struct es_output *o = ctx;
    const struct output_item *item = &o->item[row->item];
    uint32_t part = 0;                  /* of its unit */
    char time[TIME_TEXT_MAX], date[16]; /* 2025-02-15T... */
    size_t n = time_rfc3339(row->time_ns, time);
    while (part < row->item && item[-(int64_t)part - 1].sequence == item->sequence)
        part++;
    snprintf(date, sizeof(date), "%.4s.%.2s.%.2s", time, time + 5, time + 8);
    buf_put_c(out, "{\"create\":{\"_index\":\"");
    put_index(o->index, str_c(date), out);
    buf_printf(out, "\",\"_id\":\"%016" PRIx64 "-%016" PRIx64 "-%" PRIx64 "-%x-%x\"}}\n",
               o->producer, o->epoch, item->sequence, part, row->row);
    if (!text_has_member(row->json, STR("@timestamp"))) {
        buf_put_c(out, "{\"@timestamp\":\"");
        buf_put(out, time, n);
        buf_put_c(out, row->json.n > 2 ? "\"," : "\"");
        buf_put_str(out, str_from(row->json, 1));
    } else {
        buf_put_str(out, row->json);
    }
    buf_put_byte(out, '\n');
    return OK;
}

static void put_body(void *ctx, const struct post_part *part, struct buf *out)
{
    for (uint32_t i = 0; i < part->n; i++)
        buf_put_str(out, post_bytes(part, i));
}

/* ---- the answer ---- */

static void judge_item(struct post *p, const struct post_part *part, uint32_t i, const json_t *item)
{
    const json_t *result = json_object_get(item, "create");
    int64_t status = json_integer_value(json_object_get(result, "status"));
    const json_t *error = json_object_get(result, "error");
    const char *reason = json_string_value(json_object_get(error, "reason"));
    if (status / 100 == 2 || status == 409)
        return;
    if (status == 429 || status >= 500 || !status) {
        part->piece[part->at[i]].state = PIECE_OPEN;
        return;
    }
    const char *why =
        json_string_value(json_object_get(json_object_get(error, "caused_by"), "reason"));
    char text[300];
    snprintf(text, sizeof(text), "%s%s%s", reason ? reason : "refused", why ? ": " : "",
             why ? why : "");
    post_refuse(p, part, i, str_c(text));
}

static enum err judge_items(struct post *p, const struct post_part *part, const json_t *items)
{
    if (json_array_size(items) != part->n)
        return err_set(ERR_UNAVAILABLE, "the answer has %zu items for %u documents",
                       json_array_size(items), part->n);
    for (uint32_t i = 0; i < part->n; i++)
        judge_item(p, part, i, json_array_get(items, i));
    return OK;
}

static enum err judge(void *ctx, struct post *p, const struct post_part *part, struct str answer)
{
    json_t *a = json_loadb(answer.n ? answer.p : "", answer.n, 0, NULL);
    const json_t *errors = json_object_get(a, "errors");
    enum err err = json_is_false(errors)  ? OK
                   : json_is_true(errors) ? judge_items(p, part, json_object_get(a, "items"))
                                          : err_set(ERR_UNAVAILABLE, "the answer of _bulk is none");
    json_decref(a);
    return err;
}

/* ---- the output ---- */

static const struct post_kind kind = {.content_type = "application/x-ndjson",
                                      .path = "/_bulk",
                                      .default_port = ES_PORT,
                                      .begin = begin,
                                      .put_row = put_row,
                                      .put_body = put_body,
                                      .judge = judge,
                                      .greet = greet};

static enum err es_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, "template", NULL};
    struct str index = str_from(url->path, 1), template = url_get(url, "template");
    TRY(url_check_params(url, known));
    TRY(check_index(index));
    struct es_output *o = NEW(struct es_output);
    enum err err = post_new(url, &kind, o, &o->base.post);
    if (err != OK) {
        mem_free(o);
        return err;
    }
    o->index = mem_strdup(index);
    o->template = template.n ? mem_strdup(template) : NULL;
    o->base.base.type = &output_opensearch;
    *ret = &o->base.base;
    if (o->template && strcmp(o->template, "none") != 0 && !io_exists(o->template)) {
        err = err_set(ERR_INVALID, "template=%s: there is no such file", o->template);
        output_close(&o->base.base);
    }
    return err;
}

static void es_close(struct output *base)
{
    struct es_output *o = (struct es_output *)base;
    post_free(o->base.post);
    mem_free(o->index);
    mem_free(o->template);
    mem_free(o);
}

static const char *const schemes[] = {"opensearch", "opensearch+tls", "elasticsearch",
                                      "elasticsearch+tls", NULL};
const struct output_type output_opensearch = {
    .name = "opensearch",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 5 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel = 4,
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = es_open,
    .send = post_send,
    .close = es_close,
};
