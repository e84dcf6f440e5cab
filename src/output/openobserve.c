/* openobserve://[user:password@]host:port/ORG/STREAM (openobserve+tls://): OpenObserve's
 * /api/{org}/{stream}/_json, an array of records, each with `_timestamp`: its time in microseconds,
 * unless it has one.
 *
 * The answer says how many records of the body failed, not which. A body of several of which some
 * failed becomes dead letters whole: nothing is lost, and what was taken stands at both places.
 * At least once: the interface cannot tell repeats. */
#include "core/clock.h"
#include "core/mem.h"
#include "output/outputs.h"
#include "output/post.h"
#include "output/text.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>

enum { OPENOBSERVE_PORT = 5080, PATH_MAX_BYTES = 300 };

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    if (text_has_member(row->json, STR("_timestamp"))) {
        buf_put_str(out, row->json);
        return OK;
    }
    int64_t us = row->time_ns / 1000 - (row->time_ns % 1000 < 0);
    buf_printf(out, "{\"_timestamp\":%" PRId64 "%s", us, row->json.n > 2 ? "," : "");
    buf_put_str(out, str_from(row->json, 1));
    return OK;
}

static void put_body(void *ctx, const struct post_part *part, struct buf *out)
{
    for (uint32_t i = 0; i < part->n; i++) {
        buf_put_byte(out, i ? ',' : '[');
        buf_put_str(out, post_bytes(part, i));
    }
    buf_put_byte(out, ']');
}

static enum err judge_failures(struct post *p, const struct post_part *part, const json_t *status)
{
    int64_t failed = 0;
    const char *error = NULL;
    size_t i;
    const json_t *one;
    json_array_foreach(status, i, one)
    {
        failed += json_integer_value(json_object_get(one, "failed"));
        if (!error)
            error = json_string_value(json_object_get(one, "error"));
    }
    if (failed <= 0)
        return OK;
    char reason[300];
    snprintf(reason, sizeof(reason), "%.200s (%" PRId64 " of %u records)",
             error && *error ? error : "refused without a reason", failed, part->n);
    for (uint32_t k = 0; k < part->n; k++)
        post_refuse(p, part, k, str_c(reason));
    return OK;
}

static enum err judge(void *ctx, struct post *p, const struct post_part *part, struct str answer)
{
    json_t *a = json_loadb(answer.n ? answer.p : "", answer.n, 0, NULL);
    const json_t *status = json_object_get(a, "status");
    enum err err = json_is_array(status)
                       ? judge_failures(p, part, status)
                       : err_set(ERR_UNAVAILABLE, "the answer of _json is none: %.*s",
                                 answer.n > 100 ? 100 : (int)answer.n, answer.p);
    json_decref(a);
    return err;
}

static enum err make_path(const struct url *url, char **ret)
{
    struct str rest = str_from(url->path, 1), org, stream;
    if (!str_split(&rest, '/', &org) || !str_split(&rest, '/', &stream) || rest.p || !org.n ||
        !stream.n || url->path.n > PATH_MAX_BYTES)
        return err_set(ERR_INVALID, "openobserve://HOST:PORT/ORG/STREAM is wanted");
    for (size_t i = 1; i < url->path.n; i++) {
        char c = url->path.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-' || c == '.' || c == '/';
        if (!plain)
            return err_set(ERR_INVALID, "openobserve://HOST:PORT/ORG/STREAM: letters, digits, "
                                        "'_', '-' and '.'");
    }
    *ret = mem_printf("/api/%.*s/%.*s/_json", STR_ARG(org), STR_ARG(stream));
    return OK;
}

static const struct post_kind kind = {.content_type = "application/json",
                                      .gzip = true,
                                      .default_port = OPENOBSERVE_PORT,
                                      .put_row = put_row,
                                      .put_body = put_body,
                                      .judge = judge};

static enum err openobserve_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, NULL};
    char *path;
    TRY(url_check_params(url, known));
    TRY(make_path(url, &path));
    struct url to = *url;
    to.path = str_c(path);
    struct post_output *o = NEW(struct post_output);
    enum err err = post_new(&to, &kind, o, &o->post);
    mem_free(path);
    if (err != OK) {
        mem_free(o);
        return err;
    }
    o->base.type = &output_openobserve;
    *ret = &o->base;
    return OK;
}

static void openobserve_close(struct output *base)
{
    post_free(((struct post_output *)base)->post);
    mem_free(base);
}

static const char *const schemes[] = {"openobserve", "openobserve+tls", NULL};
const struct output_type output_openobserve = {
    .name = "openobserve",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 5 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel = 4,
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = openobserve_open,
    .send = post_send,
    .close = openobserve_close,
};
