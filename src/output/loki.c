/* loki://[user:password@]host:port (loki+tls://): Loki's push interface.
 *
 *   labels=L,...      of the streams: a field's name, NAME=text with {field}s, or NAME=text
 *                     (stream,service,host,level; `stream` is Weir's). A record lacks a label
 *                     whose fields it lacks; one that lacks them all gets `stream`.
 *   line=json         an entry's line is the record as JSON (this is the default), or
 *   line=message      its message, and its other fields are structured metadata
 *   format=protobuf   with snappy (the default), or format=json
 *   tenant=NAME       X-Scope-OrgID
 *
 * Within a push the entries of a stream are in the order of their times. Loki keeps entries of
 * the same stream, time and line once, so that a push sent again doubles nothing there; records
 * that are alike in all three are one too. An entry that Loki refuses (too old, too long) makes its
 * answer 400 although it has taken the others: the push is halved until the one stands alone.
 *
 * The push (see wire/proto/loki.proto):
 *     1 Stream { 1 labels `{name="value", ...}`
 *                2 Entry { 1 Timestamp {1 seconds, 2 nanos}  2 line  3 LabelPair {1, 2}* }* }*  */
#include "core/clock.h"
#include "core/mem.h"
#include "output/groups.h"
#include "output/outputs.h"
#include "output/pick.h"
#include "output/post.h"
#include "output/text.h"
#include "record/json.h"

#include <inttypes.h>
#include <snappy-c.h>
#include <stdlib.h>

enum { LOKI_PORT = 3100, LABELS_MAX = 15, LABEL_BYTES_MAX = 2048 };
#define LABELS_DEFAULT "stream,service,host,level"
#define STREAM_LABEL "stream"

struct label {
    char *name;
    struct pick_text *text; /* NULL: Weir's stream */
};
struct loki_output {
    struct post_output base;
    struct label label[LABELS_MAX];
    unsigned n_labels;
    bool json, message;
    char *tenant;
    struct pick *pick;
    unsigned message_field;
    struct groups groups; /* of the bulk that is written: Loki's streams, by their labels */
    struct buf scratch;
};

/* ---- labels ---- */

static void put_name(struct str name, struct buf *out)
{
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        bool digit = c >= '0' && c <= '9';
        if (digit && i == 0)
            buf_put_byte(out, '_');
        buf_put_byte(out, letter || digit ? c : '_');
    }
}

/* {name="value"}, with the names of pairs in the order of the labels; or as a JSON object. */
static void put_label(const struct loki_output *o, const char *name, struct str value, bool first,
                      struct buf *out)
{
    if (value.n > LABEL_BYTES_MAX)
        value.n = LABEL_BYTES_MAX;
    if (!first)
        buf_put_c(out, o->json ? "," : ", ");
    if (o->json)
        json_put_string(out, str_c(name));
    else
        buf_put_c(out, name);
    buf_put_byte(out, o->json ? ':' : '=');
    json_put_string(out, value); /* Go, which reads it, knows the escapes of JSON */
}

static void put_labels(struct loki_output *o, struct str stream, struct buf *out)
{
    unsigned n = 0;
    buf_put_byte(out, '{');
    for (unsigned i = 0; i < o->n_labels; i++) {
        const struct label *l = &o->label[i];
        buf_clear(&o->scratch);
        bool there = l->text ? pick_text_put(l->text, o->pick, &o->scratch) : true;
        if (!l->text)
            buf_put_str(&o->scratch, stream);
        if (there && o->scratch.n)
            put_label(o, l->name, buf_str(&o->scratch), n++ == 0, out);
    }
    if (!n)
        put_label(o, STREAM_LABEL, stream, true, out);
    buf_put_byte(out, '}');
}

static enum err read_label(struct loki_output *o, struct str text)
{
    struct buf name;
    size_t equal = str_find_byte(text, '=', 0);
    if (o->n_labels == LABELS_MAX)
        return err_set(ERR_INVALID, "labels=: at most %d of them", LABELS_MAX);
    if (!text.n || !equal)
        return err_set(ERR_INVALID, "labels=: names of fields, or NAME=text, with commas between");
    struct label *l = &o->label[o->n_labels];
    buf_init(&name, SIZE_MAX);
    put_name(str_of(text.p, equal), &name);
    *l = (struct label){.name = mem_strdup(buf_str(&name))};
    buf_release(&name);
    o->n_labels++;
    if (equal < text.n)
        return pick_text_new(o->pick, str_from(text, equal + 1), &l->text);
    if (str_eq_c(text, STREAM_LABEL))
        return OK;
    char *field = mem_printf("{%.*s}", STR_ARG(text));
    enum err err = pick_text_new(o->pick, str_c(field), &l->text);
    mem_free(field);
    return err;
}

/* ---- entries ---- */

struct metadata {
    struct loki_output *o;
    struct str message; /* the name of the member that is the line */
    struct buf *out;
    unsigned n;
};

static void put_metadata(void *ctx, const struct text_leaf *leaf)
{
    struct metadata *m = ctx;
    struct buf *scratch = &m->o->scratch;
    if (str_eq(leaf->name, m->message))
        return;
    buf_clear(scratch);
    put_name(leaf->name, scratch);
    size_t name = scratch->n;
    text_put_item(&leaf->item, scratch);
    struct str key = str_of(scratch->p, name), value = str_from(buf_str(scratch), name);
    if (m->o->json) {
        buf_put_c(m->out, m->n++ ? "," : ",{");
        json_put_string(m->out, key);
        buf_put_byte(m->out, ':');
        json_put_string(m->out, value);
        return;
    }
    size_t pair = pb_open(m->out);
    pb_put_bytes(m->out, 1, key);
    pb_put_bytes(m->out, 2, value);
    pb_close(m->out, 3, pair);
}

static void put_line(struct loki_output *o, struct str line, struct buf *out)
{
    if (o->json)
        json_put_string(out, line);
    else
        pb_put_bytes(out, 2, line);
}

static void put_time(const struct loki_output *o, int64_t ns, struct buf *out)
{
    if (o->json) {
        buf_printf(out, "[\"%" PRId64 "\",", ns);
        return;
    }
    int64_t s = ns / NS_PER_S - (ns % NS_PER_S < 0);
    size_t time = pb_open(out);
    if (s)
        pb_put_varint(out, 1, (uint64_t)s);
    if (ns - s * NS_PER_S)
        pb_put_varint(out, 2, (uint64_t)(ns - s * NS_PER_S));
    pb_close(out, 1, time);
}

static void begin(void *ctx, const struct output_bulk *bulk)
{
    struct loki_output *o = ctx;
    groups_clear(&o->groups);
    pick_begin(o->pick);
}

static enum err put_row(void *ctx, const struct output_row *row, struct buf *out, uint32_t *group)
{
    struct loki_output *o = ctx;
    size_t from = o->groups.bytes.n, entry = pb_open(out);
    struct metadata m = {.o = o, .out = out};
    TRY(pick_row(o->pick, row));
    put_labels(o, row->stream, &o->groups.bytes);
    *group = groups_find(&o->groups, from, 0);
    put_time(o, row->time_ns, out);
    buf_clear(&o->scratch);
    if (o->message && pick_get(o->pick, o->message_field, &o->scratch, &m.message)) {
        put_line(o, buf_str(&o->scratch), out);
        text_each_leaf(row->json, put_metadata, &m);
    } else {
        put_line(o, row->json, out);
    }
    if (o->json)
        buf_put_c(out, m.n ? "}]" : "]");
    else
        pb_close(out, 2, entry);
    return OK;
}

/* ---- the body ---- */

struct order {
    const struct post_piece *piece;
    uint32_t i; /* in the part */
};

static int by_group_and_time(const void *a, const void *b)
{
    const struct order *x = a, *y = b;
    if (x->piece->group != y->piece->group)
        return x->piece->group < y->piece->group ? -1 : 1;
    if (x->piece->time_ns != y->piece->time_ns)
        return x->piece->time_ns < y->piece->time_ns ? -1 : 1;
    return x->i < y->i ? -1 : 1;
}

static void put_stream(const struct loki_output *o, const struct post_part *part,
                       const struct order *order, uint32_t n, bool first, struct buf *out)
{
    struct str labels = groups_bytes(&o->groups, order->piece->group);
    if (o->json) {
        buf_put_c(out, first ? "{\"stream\":" : ",{\"stream\":");
        buf_put_str(out, labels);
        buf_put_c(out, ",\"values\":[");
        for (uint32_t i = 0; i < n; i++) {
            if (i)
                buf_put_byte(out, ',');
            buf_put_str(out, post_bytes(part, order[i].i));
        }
        buf_put_c(out, "]}");
        return;
    }
    size_t bytes = pb_head_size(1, labels.n) + labels.n;
    for (uint32_t i = 0; i < n; i++)
        bytes += order[i].piece->n;
    pb_put_head(out, 1, bytes);
    pb_put_bytes(out, 1, labels);
    for (uint32_t i = 0; i < n; i++)
        buf_put_str(out, post_bytes(part, order[i].i));
}

static void squeeze(struct buf *body)
{
    struct buf packed;
    size_t n = snappy_max_compressed_length(body->n);
    buf_init(&packed, SIZE_MAX);
    char *to = buf_reserve(&packed, n);
    CHECK(to && snappy_compress(body->p, body->n, to, &n) == SNAPPY_OK);
    buf_clear(body);
    buf_put(body, to, n);
    buf_release(&packed);
}

static void put_body(void *ctx, const struct post_part *part, struct buf *out)
{
    const struct loki_output *o = ctx;
    struct order *order = NEW_ARRAY(struct order, part->n);
    for (uint32_t i = 0; i < part->n; i++)
        order[i] = (struct order){&part->piece[part->at[i]], i};
    qsort(order, part->n, sizeof(*order), by_group_and_time);
    if (o->json)
        buf_put_c(out, "{\"streams\":[");
    for (uint32_t i = 0, n; i < part->n; i += n) {
        for (n = 1; i + n < part->n && order[i + n].piece->group == order[i].piece->group;)
            n++;
        put_stream(o, part, order + i, n, i == 0, out);
    }
    if (o->json)
        buf_put_c(out, "]}");
    else
        squeeze(out);
    mem_free(order);
}

static void put_headers(void *ctx, struct post *p, const struct post_part *part)
{
    const struct loki_output *o = ctx;
    if (o->tenant)
        post_header(p, "X-Scope-OrgID", o->tenant);
}

/* ---- the output ---- */

#define PATH "/loki/api/v1/push"
static const struct post_kind protobuf = {.content_type = "application/x-protobuf",
                                          .default_port = LOKI_PORT,
                                          .begin = begin,
                                          .put_row = put_row,
                                          .put_body = put_body,
                                          .put_headers = put_headers};
static const struct post_kind json = {.content_type = "application/json",
                                      .gzip = true,
                                      .default_port = LOKI_PORT,
                                      .begin = begin,
                                      .put_row = put_row,
                                      .put_body = put_body,
                                      .put_headers = put_headers};

static enum err read_choice(const struct url *url, const char *name, const char *def,
                            const char *other, bool *ret_other)
{
    struct str v = url_get(url, name);
    *ret_other = str_eq_c(v, other);
    if (v.p && !*ret_other && !str_eq_c(v, def))
        return err_set(ERR_INVALID, "%s=%.*s: %s or %s is wanted", name, STR_ARG(v), def, other);
    return OK;
}

static enum err configure(struct loki_output *o, const struct url *url)
{
    struct str labels = url_get(url, "labels"), one, tenant = url_get(url, "tenant");
    struct url to = *url;
    TRY(read_choice(url, "format", "protobuf", "json", &o->json));
    TRY(read_choice(url, "line", "json", "message", &o->message));
    if (!o->json && str_eq_c(url_get(url, "compress"), "gzip"))
        return err_set(ERR_INVALID, "compress=gzip goes with format=json: protobuf has snappy");
    if (!labels.p)
        labels = STR(LABELS_DEFAULT);
    while (str_split(&labels, ',', &one))
        TRY(read_label(o, str_trim(one)));
    o->tenant = tenant.n ? mem_strdup(tenant) : NULL;
    if (to.path.n < 2)
        to.path = STR(PATH);
    return post_new(&to, o->json ? &json : &protobuf, o, &o->base.post);
}

static void loki_close(struct output *base)
{
    struct loki_output *o = (struct loki_output *)base;
    post_free(o->base.post);
    for (unsigned i = 0; i < o->n_labels; i++) {
        mem_free(o->label[i].name);
        pick_text_free(o->label[i].text);
    }
    pick_free(o->pick);
    groups_release(&o->groups);
    buf_release(&o->scratch);
    mem_free(o->tenant);
    mem_free(o);
}

static enum err loki_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {POST_PARAMS, "labels", "line", "format", "tenant", NULL};
    TRY(url_check_params(url, known));
    struct loki_output *o = NEW(struct loki_output);
    o->base.base.type = &output_loki;
    o->pick = pick_new();
    o->message_field = pick_add(o->pick, STR("message"));
    groups_init(&o->groups);
    buf_init(&o->scratch, SIZE_MAX);
    enum err err = configure(o, url);
    if (err != OK) {
        loki_close(&o->base.base);
        return err;
    }
    *ret = &o->base.base;
    return OK;
}

static const char *const schemes[] = {"loki", "loki+tls", NULL};
const struct output_type output_loki = {
    .name = "loki",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 1 << 20, .wait_ns = 5 * NS_PER_S},
    .parallel_max = OUTPUT_PARALLEL_MAX,
    .open = loki_open,
    .send = post_send,
    .close = loki_close,
};
