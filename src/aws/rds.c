#include "aws/rds.h"

#include "aws/xml.h"
#include "core/mem.h"

#include <stdio.h>

enum {
    ANSWER_MAX = 64 << 20,
    PAGE_INSTANCES = 100,
    PAGE_FILES = 1000,
    PAGES_MAX = 10000,
    WHOLE_TIMEOUT_MS = 3600 * 1000,
    ITEMS_MAX = 1 << 20,
};

/* ---- requests ---- */

static void put_param(struct buf *form, const char *name, struct str value)
{
    buf_printf(form, "&%s=", name);
    aws_encode(form, value, true);
}

static void put_number(struct buf *form, const char *name, int64_t value)
{
    buf_printf(form, "&%s=%lld", name, (long long)value);
}

static void begin_form(struct buf *form, const char *action)
{
    buf_init(form, 64 << 10);
    buf_printf(form, "Action=%s&Version=2014-10-31", action);
}

static enum err ask(struct aws_client *c, const char *action, const struct buf *form,
                    struct aws_answer *answer)
{
    struct aws_call call = {.action = action,
                            .method = "POST",
                            .content_type = "application/x-www-form-urlencoded; charset=utf-8",
                            .body = buf_str(form)};
    buf_init(&answer->body, ANSWER_MAX);
    return aws_send(c, &call, answer);
}

/* ---- lists ---- */

/* Appends an item, or answers ERR_LIMIT. The old array stays in the arena: sizes double. */
#define LIST_ADD(arena, list, type, ret)                                                           \
    do {                                                                                           \
        if ((list)->n == (list)->cap) {                                                            \
            uint32_t cap_ = (list)->cap ? (list)->cap * 2 : 16;                                    \
            if (cap_ > ITEMS_MAX)                                                                  \
                return err_set(ERR_LIMIT, "RDS answers more than %d items", ITEMS_MAX);            \
            type *new_ = ARENA_ARRAY(arena, type, cap_);                                           \
            if ((list)->n)                                                                         \
                memcpy(new_, (list)->item, (list)->n * sizeof(type));                              \
            (list)->item = new_;                                                                   \
            (list)->cap = cap_;                                                                    \
        }                                                                                          \
        (ret) = &(list)->item[(list)->n++];                                                        \
    } while (0)

struct instances_reader {
    struct arena *arena;
    struct rds_instances *list;
    struct rds_instance now;
    char *marker;
    struct rds_tag tag[64], tag_now;
    unsigned depth; /* below DBInstance; 0: outside */
};

static void instances_open(void *ctx, struct str name)
{
    struct instances_reader *r = ctx;
    if (r->depth)
        r->depth++;
    else if (str_eq_c(name, "DBInstance"))
        r->depth = 1;
    if (str_eq_c(name, "Tag"))
        r->tag_now = (struct rds_tag){0};
}

static enum err instance_done(struct instances_reader *r)
{
    struct rds_instance *item;
    if (r->now.n_tags) {
        r->now.tag = ARENA_ARRAY(r->arena, struct rds_tag, r->now.n_tags);
        memcpy(r->now.tag, r->tag, r->now.n_tags * sizeof(*r->tag));
    }
    if (r->now.id.n) {
        LIST_ADD(r->arena, r->list, struct rds_instance, item);
        *item = r->now;
    }
    r->now = (struct rds_instance){0};
    return OK;
}

static void instance_member(struct instances_reader *r, struct str name, struct str text)
{
    const struct {
        const char *name;
        struct str *to;
    } members[] = {
        {"DBInstanceIdentifier", &r->now.id},
        {"Engine", &r->now.engine},
        {"EngineVersion", &r->now.engine_version},
        {"DBInstanceClass", &r->now.instance_class},
        {"DBInstanceStatus", &r->now.status},
        {"DBClusterIdentifier", &r->now.cluster},
        {"DBInstanceArn", &r->now.arn},
        {"AvailabilityZone", &r->now.az},
    };
    for (size_t i = 0; i < sizeof(members) / sizeof(*members); i++)
        if (str_eq_c(name, members[i].name))
            *members[i].to = arena_str(r->arena, str_trim(text));
}

static enum err instances_close(void *ctx, struct str name, struct str text)
{
    struct instances_reader *r = ctx;
    unsigned depth = r->depth;
    if (!depth) {
        if (str_eq_c(name, "Marker"))
            snprintf(r->marker, RDS_MARKER_MAX, "%.*s", STR_ARG(text));
        return OK;
    }
    r->depth--;
    if (depth == 1)
        return instance_done(r);
    if (depth == 2)
        instance_member(r, name, text);
    else if (str_eq_c(name, "Key"))
        r->tag_now.key = arena_str(r->arena, text);
    else if (str_eq_c(name, "Value"))
        r->tag_now.value = arena_str(r->arena, text);
    else if (str_eq_c(name, "Tag") && r->now.n_tags < sizeof(r->tag) / sizeof(*r->tag))
        r->tag[r->now.n_tags++] = r->tag_now;
    else if (str_eq_c(name, "DBParameterGroupName") && !r->now.parameters.n)
        r->now.parameters = arena_str(r->arena, str_trim(text));
    return OK;
}

enum err rds_read_instances(struct str xml, struct arena *a, struct rds_instances *list,
                            char ret_marker[RDS_MARKER_MAX])
{
    struct instances_reader r = {.arena = a, .list = list, .marker = ret_marker};
    struct xml_calls calls = {&r, instances_open, instances_close};
    ret_marker[0] = '\0';
    return xml_read(xml, &calls);
}

struct files_reader {
    struct arena *arena;
    struct rds_files *list;
    struct rds_file now;
    char *marker;
};

static enum err files_close(void *ctx, struct str name, struct str text)
{
    struct files_reader *r = ctx;
    struct rds_file *item;
    if (str_eq_c(name, "LogFileName")) {
        r->now.name = arena_str(r->arena, str_trim(text));
    } else if (str_eq_c(name, "LastWritten")) {
        if (!str_to_i64(str_trim(text), &r->now.last_written_ms))
            return err_set(ERR_INVALID, "LastWritten is no number");
    } else if (str_eq_c(name, "Size")) {
        if (!str_to_u64(str_trim(text), &r->now.size))
            return err_set(ERR_INVALID, "Size is no number");
    } else if (str_eq_c(name, "Marker")) {
        snprintf(r->marker, RDS_MARKER_MAX, "%.*s", STR_ARG(text));
    } else if (str_eq_c(name, "DescribeDBLogFilesDetails") && r->now.name.n) {
        LIST_ADD(r->arena, r->list, struct rds_file, item);
        *item = r->now;
        r->now = (struct rds_file){0};
    }
    return OK;
}

enum err rds_read_files(struct str xml, struct arena *a, struct rds_files *list,
                        char ret_marker[RDS_MARKER_MAX])
{
    struct files_reader r = {.arena = a, .list = list, .marker = ret_marker};
    struct xml_calls calls = {.ctx = &r, .close = files_close};
    ret_marker[0] = '\0';
    return xml_read(xml, &calls);
}

enum err rds_describe_instances(struct aws_client *c, const char *engine, struct arena *a,
                                struct rds_instances *list)
{
    char marker[RDS_MARKER_MAX] = "";
    for (int page = 0; page < PAGES_MAX; page++) {
        struct aws_answer answer;
        struct buf form;
        begin_form(&form, "DescribeDBInstances");
        put_number(&form, "MaxRecords", PAGE_INSTANCES);
        if (engine) {
            buf_put_c(&form, "&Filters.Filter.1.Name=engine");
            put_param(&form, "Filters.Filter.1.Values.Value.1", str_c(engine));
        }
        if (marker[0])
            put_param(&form, "Marker", str_c(marker));
        enum err err = ask(c, "DescribeDBInstances", &form, &answer);
        if (err == OK)
            err = rds_read_instances(buf_str(&answer.body), a, list, marker);
        buf_release(&form);
        buf_release(&answer.body);
        if (err != OK || !marker[0])
            return err;
    }
    return err_set(ERR_LIMIT, "DescribeDBInstances: more than %d pages", PAGES_MAX);
}

enum err rds_describe_files(struct aws_client *c, const struct rds_files_query *q, struct arena *a,
                            struct rds_files *list)
{
    char marker[RDS_MARKER_MAX] = "";
    for (int page = 0; page < PAGES_MAX; page++) {
        struct aws_answer answer;
        struct buf form;
        begin_form(&form, "DescribeDBLogFiles");
        put_param(&form, "DBInstanceIdentifier", q->instance);
        put_number(&form, "MaxRecords", PAGE_FILES);
        if (q->contains)
            put_param(&form, "FilenameContains", str_c(q->contains));
        if (q->written_from_ms)
            put_number(&form, "FileLastWritten", q->written_from_ms);
        if (marker[0])
            put_param(&form, "Marker", str_c(marker));
        enum err err = ask(c, "DescribeDBLogFiles", &form, &answer);
        if (err == OK)
            err = rds_read_files(buf_str(&answer.body), a, list, marker);
        buf_release(&form);
        buf_release(&answer.body);
        if (err != OK || !marker[0])
            return err;
    }
    return err_set(ERR_LIMIT, "DescribeDBLogFiles: more than %d pages", PAGES_MAX);
}

/* ---- contents ---- */

static enum err portion_close(void *ctx, struct str name, struct str text)
{
    struct rds_portion *p = ctx;
    if (str_eq_c(name, "LogFileData"))
        return buf_add(&p->data, text.p, text.n);
    if (str_eq_c(name, "Marker")) {
        if (text.n >= sizeof(p->marker))
            return err_set(ERR_LIMIT, "a marker of %zu bytes", text.n);
        snprintf(p->marker, sizeof(p->marker), "%.*s", STR_ARG(text));
    } else if (str_eq_c(name, "AdditionalDataPending")) {
        p->pending = str_ieq(str_trim(text), STR("true"));
    }
    return OK;
}

enum err rds_read_portion(struct str xml, struct rds_portion *ret)
{
    struct xml_calls calls = {.ctx = ret, .close = portion_close};
    buf_clear(&ret->data);
    ret->marker[0] = '\0';
    ret->pending = false;
    return xml_read(xml, &calls);
}

enum err rds_download_portion(struct aws_client *c, struct str instance, struct str file,
                              const char *marker, unsigned lines, struct rds_portion *ret)
{
    struct aws_answer answer;
    struct buf form;
    begin_form(&form, "DownloadDBLogFilePortion");
    put_param(&form, "DBInstanceIdentifier", instance);
    put_param(&form, "LogFileName", file);
    if (*marker)
        put_param(&form, "Marker", str_c(marker));
    if (lines)
        put_number(&form, "NumberOfLines", lines);
    enum err err = ask(c, "DownloadDBLogFilePortion", &form, &answer);
    if (err == OK)
        err = rds_read_portion(buf_str(&answer.body), ret);
    buf_release(&form);
    buf_release(&answer.body);
    return err;
}

enum err rds_download_whole(struct aws_client *c, struct str instance, struct str file,
                            enum err (*write)(void *ctx, struct str bytes), void *ctx)
{
    struct aws_answer answer;
    struct buf path;
    buf_init(&path, 64 << 10);
    buf_init(&answer.body, 1 << 20);
    buf_put_c(&path, "/v13/downloadCompleteLogFile/");
    aws_encode(&path, instance, true);
    buf_put_byte(&path, '/');
    aws_encode(&path, file, false);
    struct aws_call call = {.action = "downloadCompleteLogFile",
                            .method = "GET",
                            .path = buf_str(&path),
                            .timeout_ms = WHOLE_TIMEOUT_MS,
                            .write = write,
                            .ctx = ctx};
    enum err err = aws_send(c, &call, &answer);
    buf_release(&path);
    buf_release(&answer.body);
    return err;
}

/* ---- parameters ---- */

struct parameter_reader {
    const char *name;
    char *out, *marker;
    size_t n;
    struct buf value;
    bool named, found;
};

static void parameter_open(void *ctx, struct str name)
{
    struct parameter_reader *r = ctx;
    if (str_eq_c(name, "Parameter")) {
        r->named = false;
        buf_clear(&r->value);
    }
}

static enum err parameter_close(void *ctx, struct str name, struct str text)
{
    struct parameter_reader *r = ctx;
    if (str_eq_c(name, "ParameterName")) {
        r->named = str_eq_c(str_trim(text), r->name);
    } else if (str_eq_c(name, "ParameterValue")) {
        buf_clear(&r->value);
        buf_put_str(&r->value, str_trim(text));
    } else if (str_eq_c(name, "Parameter") && r->named) {
        r->found = true;
        snprintf(r->out, r->n, "%.*s", STR_ARG(buf_str(&r->value)));
    } else if (str_eq_c(name, "Marker")) {
        snprintf(r->marker, RDS_MARKER_MAX, "%.*s", STR_ARG(text));
    }
    return OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through `r` */
enum err rds_parameter(struct aws_client *c, struct str group, const char *name, char *out,
                       size_t n)
{
    char marker[RDS_MARKER_MAX] = "";
    struct parameter_reader r = {.name = name, .out = out, .n = n, .marker = marker};
    struct xml_calls calls = {&r, parameter_open, parameter_close};
    enum err err = OK;
    buf_init(&r.value, 1 << 16);
    for (int page = 0; page < PAGES_MAX && err == OK && !r.found; page++) {
        struct aws_answer answer;
        struct buf form;
        begin_form(&form, "DescribeDBParameters");
        put_param(&form, "DBParameterGroupName", group);
        if (marker[0])
            put_param(&form, "Marker", str_c(marker));
        marker[0] = '\0';
        err = ask(c, "DescribeDBParameters", &form, &answer);
        if (err == OK)
            err = xml_read(buf_str(&answer.body), &calls);
        buf_release(&form);
        buf_release(&answer.body);
        if (!marker[0])
            break;
    }
    buf_release(&r.value);
    if (err == OK && !r.found)
        err = err_set(ERR_NOTFOUND, "parameter group %.*s has no %s", STR_ARG(group), name);
    return err;
}
