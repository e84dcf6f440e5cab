/* weir config default | show | check FILE. */
#include "catalog/catalog.h"
#include "cmd/commands.h"
#include "cmd/flow.h"
#include "cmd/settings.h"
#include "core/conf.h"
#include "objects/objects.h"
#include "queue/queue.h"

#include <stdio.h>

static const struct option_def option_defs[] = {
    {"config", 'c', "FILE", "show: the file to read first."},
    {"set", 's', "NAME=VALUE", "show: a setting, as weir server takes it.", .many = true},
    {0},
};
static const char *const verbs[] = {"default", "show", "check", NULL};
const struct command config_command = {
    .name = "config",
    .summary = "Shows, explains and checks the configuration",
    .usage = "default | show | check FILE",
    .text = "default   writes every setting with its default and what it is for, as YAML\n"
            "show      writes what is in force (file, environment, --set) and where each value is "
            "from\n"
            "check     reads a file, of a server or an agent, and says what is wrong with it, by "
            "line and "
            "column\n\n"
            "  weir config default > weir.yaml\n"
            "  weir config check weir.yaml && weir server --config weir.yaml",
    .options = option_defs,
    .verbs = verbs,
    .takes_files = true,
    .args_min = 1,
    .args_max = 2,
};

static int print(struct buf *out)
{
    bool good = fwrite(out->p, 1, out->n, stdout) == out->n && fflush(stdout) == 0;
    buf_release(out);
    return good ? 0 : 1;
}

static enum err check_url(const struct conf *c, const char *name, enum err (*check)(struct str))
{
    char why[400];
    enum err err = check(str_c(conf_string(c, name)));
    if (err == OK)
        return OK;
    snprintf(why, sizeof(why), "%s", err_text());
    return err_set(err, "%s: %s: %s", conf_source(c, name), name, why);
}

/* The file of a server or of an agent: pipelines, and a server's settings. */
static enum err check_file(const char *path, struct conf *c, struct pipelines *set)
{
    enum err err = pipelines_load(set, path, PIPELINES_EITHER);
    if (err == OK && set->server)
        err = conf_load_file(c, path);
    if (err == OK)
        err = check_url(c, "queue.url", queue_check_url);
    if (err == OK)
        err = check_url(c, "catalog.url", catalog_check_url);
    if (err == OK)
        err = check_url(c, "objects.url", objects_check_url);
    return err == OK ? pipelines_check(set) : err;
}

/* And what an agent that is started with it would say. */
static int check(const char *path, struct conf *c)
{
    struct pipelines *set = pipelines_new();
    enum err err = check_file(path, c, set);
    const char *lack = err == OK && (set->nothing || !set->server) ? pipelines_lack(set) : NULL;
    if (err != OK)
        options_fail(&config_command, "%s", err_text());
    else if (lack)
        printf("%s is good%s; for weir agent, %s wanted beside it\n", path,
               set->nothing ? " and says nothing: weir server takes every default" : "", lack);
    else
        printf("%s is good\n", path);
    pipelines_free(set);
    return err == OK ? 0 : 1;
}

static int run(const struct options *o, struct conf *c)
{
    struct buf out;
    buf_init(&out, 1 << 20);
    struct str what = str_c(o->arg[0]);
    if (str_eq_c(what, "default") && o->n_args == 1) {
        conf_write_default(&out);
        return print(&out);
    }
    if (str_eq_c(what, "show") && o->n_args == 1) {
        if (settings_load(o, c) != OK)
            return options_fail(&config_command, "%s", err_text());
        conf_write(c, &out);
        return print(&out);
    }
    if (str_eq_c(what, "check") && o->n_args == 2)
        return check(o->arg[1], c);
    return options_fail(&config_command, "usage: weir config %s", config_command.usage);
}

int cmd_config(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &config_command, argc, argv);
    if (status >= 0)
        return status;
    struct conf *c = conf_new();
    status = run(&o, c);
    conf_free(c);
    return status;
}
