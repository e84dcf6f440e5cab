/* weir aurora check: what keeps logs from appearing, in the order in which it would be met: keys,
 * permissions, instances, parameters, files. */
#include "aurora/logfile.h"
#include "aws/rds.h"
#include "cmd/aurora.h"
#include "cmd/aurora_state.h"
#include "cmd/aurora_table.h"
#include "core/clock.h"

#include <stdio.h>

static const char *const columns[] = {"instance", "check", "result", "detail", NULL};

static void add(json_t *list, struct str instance, const char *check, const char *result,
                const char *detail)
{
    json_array_append_new(list, json_pack("{s:s%,s:s,s:s,s:s}", "instance",
                                          instance.n ? instance.p : "", instance.n, "check", check,
                                          "result", result, "detail", detail));
}

/* What was refused, and which permission it wants. */
static void add_error(json_t *list, struct str instance, const char *check, enum err err,
                      const char *permission)
{
    char text[400];
    if (err == ERR_AUTH)
        snprintf(text, sizeof(text), "the IAM permission %s is missing, or the keys are bad: %s",
                 permission, err_text());
    else
        snprintf(text, sizeof(text), "%s", err_text());
    add(list, instance, check, "failed", text);
}

static void check_parameter(struct aws_client *c, const struct rds_instance *x, const char *name,
                            const char *want, const char *why, json_t *list)
{
    char value[200], text[300];
    if (!x->parameters.n)
        return;
    enum err err = rds_parameter(c, x->parameters, name, value, sizeof(value));
    if (err == ERR_NOTFOUND)
        return;
    if (err != OK) {
        add_error(list, x->id, name, err, "rds:DescribeDBParameters");
        return;
    }
    bool good = str_ieq(str_c(value), str_c(want)) ||
                (!strcmp(want, "1") && str_ieq(str_c(value), STR("ON")));
    snprintf(text, sizeof(text), "%s = \"%s\" in %.*s%s%s", name, value, STR_ARG(x->parameters),
             good ? "" : ": ", good ? "" : why);
    add(list, x->id, name, good ? "good" : "failed", text);
}

static void check_file(struct aws_client *c, const struct rds_instance *x, const struct rds_file *f,
                       json_t *list)
{
    struct rds_portion p = {0};
    char text[400];
    buf_init(&p.data, 64 << 20);
    enum err err = rds_download_portion(c, x->id, f->name, "0", 1, &p);
    buf_release(&p.data);
    if (err != OK) {
        add_error(list, x->id, "download", err, "rds:DownloadDBLogFilePortion");
        return;
    }
    snprintf(text, sizeof(text), "%.*s can be read", STR_ARG(f->name));
    add(list, x->id, "download", "good", text);
}

static void check_files(struct aws_client *c, const struct rds_instance *x, struct arena *a,
                        json_t *list)
{
    static const enum mysql_log_kind kinds[] = {MYSQL_LOG_SLOW, MYSQL_LOG_ERROR};
    struct rds_files_query q = {.instance = x->id};
    struct rds_files files = {0};
    const struct rds_file *some = NULL;
    enum err err = rds_describe_files(c, &q, a, &files);
    if (err != OK) {
        add_error(list, x->id, "files", err, "rds:DescribeDBLogFiles");
        return;
    }
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        unsigned n = 0;
        char text[200];
        for (uint32_t i = 0; i < files.n; i++)
            if (logfile_kind(files.item[i].name) == kinds[k]) {
                n++;
                if (files.item[i].size)
                    some = &files.item[i];
            }
        struct str type = mysql_log_type(kinds[k]);
        snprintf(text, sizeof(text), "%u files of log_type %.*s%s", n, STR_ARG(type),
                 n ? "" : ": they may not be written, or be past their retention");
        add(list, x->id, "files", n ? "good" : "failed", text);
    }
    if (some)
        check_file(c, x, some, list);
}

static void check_all(struct aws_client *c, const struct options *o, json_t *list)
{
    struct rds_instances instances = {0};
    struct arena a;
    char text[100];
    const char *name = options_value(o, "name");
    arena_init(&a, 0, NULL);
    enum err err = rds_describe_instances(c, NULL, &a, &instances);
    if (err != OK)
        add_error(list, STR(""), "instances", err, "rds:DescribeDBInstances");
    for (uint32_t i = 0; err == OK && i < instances.n; i++) {
        const struct rds_instance *x = &instances.item[i];
        bool mysql = str_starts(x->engine, STR("aurora"))
                         ? !str_ends(x->engine, STR("postgresql"))
                         : str_eq_c(x->engine, "mysql") || str_eq_c(x->engine, "mariadb");
        if (!mysql || (name && !str_glob(str_c(name), x->id)))
            continue;
        check_parameter(c, x, "slow_query_log", "1", "set it to 1, or no slow log is written",
                        list);
        check_parameter(c, x, "log_output", "FILE",
                        "set it to FILE: with TABLE the logs are in tables and not in files", list);
        check_files(c, x, &a, list);
    }
    if (err == OK) {
        snprintf(text, sizeof(text), "%u instances", instances.n);
        add(list, STR(""), "instances", instances.n ? "good" : "failed", text);
    }
    arena_release(&a);
}

static enum err check_keys(struct aws_credentials *k, json_t *list)
{
    struct aws_keys keys;
    char text[300];
    enum err err = aws_credentials_get(k, &keys);
    if (err != OK) {
        add(list, STR(""), "keys", "failed", err_text());
        return err;
    }
    aws_keys_release(&keys);
    snprintf(text, sizeof(text), "from the %s; region %s", aws_credentials_source(k),
             aws_credentials_region(k) ? aws_credentials_region(k) : "not set");
    add(list, STR(""), "keys", "good", text);
    return OK;
}

static void check(const struct options *o, json_t *list)
{
    struct aws_credentials_options ko = {.profile = options_value(o, "profile"),
                                         .region = options_value(o, "region")};
    struct aws_credentials *k = NULL;
    struct aws_service *service = NULL;
    struct aws_client *client = NULL;
    enum err err = aws_credentials_new(&ko, &k);
    if (err != OK)
        add(list, STR(""), "profile", "failed", err_text());
    if (err == OK)
        err = check_keys(k, list);
    if (err == OK) {
        struct aws_service_options so = {.credentials = k, .service = "rds"};
        err = aws_service_new(&so, &service);
        if (err == OK)
            err = aws_client_new(service, &client);
        if (err != OK)
            add(list, STR(""), "endpoint", "failed", err_text());
        else
            check_all(client, o, list);
    }
    aws_client_free(client);
    aws_service_free(service);
    aws_credentials_free(k);
}

static const struct option_def check_options[] = {
    AURORA_JSON_OPTION,
    {"region", 0, "NAME", "The AWS region ($AWS_REGION, or the profile's)."},
    {"profile", 0, "NAME", "The AWS profile ($AWS_PROFILE, or default)."},
    {"name", 'n', "GLOB", "Instances of that name alone (any)."},
    {0},
};
const struct command aurora_check_command = {
    .name = "aurora check",
    .summary = "Tells what keeps logs from appearing: keys, permissions, parameters",
    .usage = "[options]",
    .text = "Looks at the keys, the permissions, and each instance's parameters and log files, and "
            "says what is\n"
            "wrong and how to put it right. Ends with 1 when something is.\n\n"
            "  weir aurora check --name 'shop-*'",
    .options = check_options,
};

int aurora_check(int argc, char **argv)
{
    struct options o;
    size_t i;
    json_t *row, *list = json_array();
    int failed = 0, status = options_parse(&o, &aurora_check_command, argc, argv);
    if (status >= 0) {
        json_decref(list);
        return status;
    }
    check(&o, list);
    json_array_foreach(list, i, row) failed |=
        !strcmp(json_string_value(json_object_get(row, "result")), "failed");
    aurora_print_rows(&o, list, columns);
    return failed;
}
