/* otlp://[user:password@]host:port (otlp+tls://): OpenTelemetry's logs by OTLP/HTTP, as protobuf
 * (wire/proto/otlp.proto), packed by gzip; the path is /v1/logs unless the URL has one.
 *
 * What the OTLP input makes of a record (wire/otlp.c) is undone: severity_text, severity_number,
 * event_name, body, trace_id, span_id, flags, observed_time_unix_nano, dropped_attributes_count,
 * attributes, scope and resource go back to where they came from. Of any other record the message
 * is the body, the level severity_text and its number, service and host are service.name and
 * host.name of the resource, and every other field is an attribute.
 *
 * Partial success names a number of rejected records, not which. When one of several was rejected,
 * all of the request become dead letters: nothing is lost, and what was taken stands at both
 * places. At least once: the protocol cannot tell repeats.
 *
 *     1 ResourceLogs { 1 Resource { 1 KeyValue* }
 *                      2 ScopeLogs { 1 Scope {1 name, 2 version, 3 KeyValue*}
 *                                    2 LogRecord* } }* */
#include "core/clock.h"
#include "core/mem.h"
#include "output/groups.h"
#include "output/otlp_record.h"
#include "output/outputs.h"
#include "output/post.h"
#include "output/text.h"

#include "wire/proto/otlp.pb-c.h"

#include <inttypes.h>
#include <stdio.h>

enum { OTLP_PORT = 4318 };

struct otlp_output {
    struct post_output base;
    struct groups groups; /* of the bulk that is written: a resource, then a scope */
    struct buf resource, scope;
    struct otlp_rows *rows; /* of the item at hand */
};

/* ---- rows and bodies ---- */

static void begin(void *ctx, const struct output_bulk *bulk)
{
    struct otlp_output *o = ctx;
    groups_clear(&o->groups);
}

static uint32_t find_group(struct otlp_output *o)
{
    size_t from = o->groups.bytes.n;
    buf_put_str(&o->groups.bytes, buf_str(&o->resource));
    buf_put_str(&o->groups.bytes, buf_str(&o->scope));
    return groups_find(&o->groups, from, o->resource.n);
}

static enum err begin_item(void *ctx, struct rows *rows, struct arena *a)
{
    struct otlp_output *o = ctx;
    return otlp_rows_new(rows, false, a, &o->rows);
}

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    struct otlp_output *o = ctx;
    size_t record = pb_open(out);
    buf_clear(&o->resource);
    buf_clear(&o->scope);
    if (row->time_ns > 0)
        pb_put_fixed64(out, 1, (uint64_t)row->time_ns);
    TRY(otlp_rows_put(o->rows, &(struct otlp_parts){out, &o->resource, &o->scope}));
    pb_close(out, 2, record);
    *group = find_group(o);
    return OK;
}

/* The rows of a part that `row` names, all of one group. */
static void put_group(const struct otlp_output *o, const struct post_part *part,
                      const uint32_t *row, uint32_t n, struct buf *out)
{
    uint32_t g = part->piece[part->at[*row]].group;
    struct str both = groups_bytes(&o->groups, g);
    size_t split = o->groups.group[g].split;
    struct str resource = str_of(both.p, split), scope = str_from(both, split);
    size_t logs = scope.n ? pb_head_size(1, scope.n) + scope.n : 0, all = 0;
    for (uint32_t i = 0; i < n; i++)
        logs += post_bytes(part, row[i]).n;
    all = pb_head_size(2, logs) + logs;
    if (resource.n)
        all += pb_head_size(1, resource.n) + resource.n;
    pb_put_head(out, 1, all);
    if (resource.n)
        pb_put_bytes(out, 1, resource);
    pb_put_head(out, 2, logs);
    if (scope.n)
        pb_put_bytes(out, 1, scope);
    for (uint32_t i = 0; i < n; i++)
        buf_put_str(out, post_bytes(part, row[i]));
}

static void put_body(void *ctx, const struct post_part *part, struct buf *out)
{
    const struct otlp_output *o = ctx;
    uint32_t *end = NEW_ARRAY(uint32_t, o->groups.n + 1), *row = NEW_ARRAY(uint32_t, part->n + 1);
    for (uint32_t i = 0; i < part->n; i++)
        end[part->piece[part->at[i]].group + 1]++;
    for (uint32_t g = 0; g < o->groups.n; g++)
        end[g + 1] += end[g];
    for (uint32_t i = 0; i < part->n; i++) /* end[g]: where the group's next row goes */
        row[end[part->piece[part->at[i]].group]++] = i;
    for (uint32_t g = 0, from = 0; g < o->groups.n; from = end[g++])
        if (end[g] > from)
            put_group(o, part, row + from, end[g] - from, out);
    mem_free(end);
    mem_free(row);
}

/* ---- the answer ---- */

static enum err judge(void *ctx, struct post *p, const struct post_part *part, struct str answer)
{
    static const char whole[] = "a partial success";
    Otlp__Response *a =
        otlp__response__unpack(NULL, answer.n, (const uint8_t *)(answer.n ? answer.p : ""));
    if (!a)
        return err_set(ERR_UNAVAILABLE, "the answer is no ExportLogsServiceResponse");
    const Otlp__PartialSuccess *partial = a->partial_success;
    if (partial && partial->rejected_log_records > 0) {
        char reason[300];
        const ProtobufCBinaryData *m = &partial->error_message;
        snprintf(reason, sizeof(reason), "%.*s (%" PRId64 " of %u records)",
                 m->len > 200 ? 200
                 : m->len     ? (int)m->len
                              : (int)sizeof(whole) - 1,
                 m->len ? (const char *)m->data : whole, partial->rejected_log_records, part->n);
        for (uint32_t i = 0; i < part->n; i++)
            post_refuse(p, part, i, str_c(reason));
    }
    otlp__response__free_unpacked(a, NULL);
    return OK;
}

/* ---- the output ---- */

static const struct post_kind kind = {.content_type = "application/x-protobuf",
                                      .gzip = true,
                                      .default_port = OTLP_PORT,
                                      .begin = begin,
                                      .begin_item = begin_item,
                                      .put_row = put_row,
                                      .put_body = put_body,
                                      .judge = judge};

static void otlp_close(struct output *base)
{
    struct otlp_output *o = (struct otlp_output *)base;
    post_free(o->base.post);
    groups_release(&o->groups);
    buf_release(&o->resource);
    buf_release(&o->scope);
    mem_free(o);
}

static enum err otlp_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, NULL};
    struct url to = *url;
    TRY(url_check_params(url, known));
    if (to.path.n < 2)
        to.path = STR("/v1/logs");
    struct otlp_output *o = NEW(struct otlp_output);
    o->base.base.type = &output_otlp;
    groups_init(&o->groups);
    buf_init(&o->resource, SIZE_MAX);
    buf_init(&o->scope, SIZE_MAX);
    enum err err = post_new(&to, &kind, o, &o->base.post);
    if (err != OK) {
        otlp_close(&o->base.base);
        return err;
    }
    *ret = &o->base.base;
    return OK;
}

static const char *const schemes[] = {"otlp", "otlp+tls", NULL};
const struct output_type output_otlp = {
    .name = "otlp",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 4 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel = 4,
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = otlp_open,
    .send = post_send,
    .close = otlp_close,
};
