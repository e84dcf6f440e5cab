/* weir dead: the dead letters of an agent's or a server's routes, in its folder, where a process
 * that runs on it need not be stopped (pipeline/dead.h); or by asking that process. */
#include "pipeline/dead.h"
#include "cmd/commands.h"
#include "cmd/dead_remote.h"
#include "core/io.h"
#include "core/mem.h"

#include <inttypes.h>
#include <stdio.h>

enum { FILE_MOST = 1 << 30 };

static const struct option_def option_defs[] = {
    {"data", 'd', "DIR", "The folder of the agent or server (./weir-agent)."},
    {"pipeline", 'p', "NAME", "Of this pipeline, not of the main one."},
    {"url", 'u', "URL", "Ask this server, or agent that listens, in place of the folder."},
    {"user", 'U', "NAME:PASSWORD", "Credentials ($WEIR_ROOT_USER, $WEIR_ROOT_PASSWORD)."},
    {0},
};
static const char *const verbs[] = {"list", "show", "retry", "delete", NULL};
const struct command dead_command = {
    .name = "dead",
    .summary = "Lists, shows, retries and deletes what outputs refused for good",
    .usage = "list | show ROUTE | retry ROUTE | delete ROUTE  --data DIR | --url URL",
    .text = "list      the routes that have dead letters, and how many\n"
            "show      them, as JSON: time, reason, stream and the record\n"
            "retry     the route tries them once more, now or when its process runs; what is "
            "refused again is\n"
            "          a dead letter again, and each goes only when the output has it\n"
            "delete    they are gone for good\n\n"
            "  weir dead list --data /var/lib/weir-agent\n"
            "  weir dead show errors --data /var/lib/weir-agent | jq .reason | sort | uniq -c\n"
            "  weir dead retry errors --url http://127.0.0.1:5080",
    .options = option_defs,
    .verbs = verbs,
    .args_min = 1,
    .args_max = 2,
};

void dead_print(uint64_t letters, uint64_t bytes, const char *route, bool retrying)
{
    char text[STR_BYTES_TEXT];
    printf("%10" PRIu64 " %10s  %s%s\n", letters, str_put_bytes(text, bytes), route,
           retrying ? " (being tried again)" : "");
}

static enum err print_line(void *ctx, const struct dead_file *f)
{
    dead_print(f->letters, f->bytes, f->route, f->retrying);
    ++*(unsigned *)ctx;
    return OK;
}

static enum err list(const char *dir)
{
    unsigned n = 0;
    TRY(dead_each(dir, print_line, &n));
    if (!n)
        printf("there are no dead letters\n");
    return OK;
}

struct showing {
    const char *route;
    bool found;
};

static enum err show_file(void *ctx, const struct dead_file *f)
{
    struct showing *s = ctx;
    struct buf text;
    if (strcmp(f->route, s->route) != 0)
        return OK;
    TRY(io_read_file(f->path, FILE_MOST, &text));
    fwrite(text.p, 1, text.n, stdout);
    buf_release(&text);
    s->found = true;
    return OK;
}

static enum err show(const char *dir, const char *route)
{
    struct showing s = {.route = route};
    TRY(dead_each(dir, show_file, &s));
    return s.found ? OK : err_set(ERR_NOTFOUND, "the route %s has no dead letters", route);
}

static enum err run(const char *what, const char *dir, const char *route)
{
    uint64_t letters;
    if (!strcmp(what, "list"))
        return list(dir);
    if (!strcmp(what, "show"))
        return show(dir, route);
    if (!strcmp(what, "retry")) {
        TRY(dead_retry(dir, route, &letters));
        printf("%" PRIu64 " dead letters of %s are tried again\n", letters, route);
        return OK;
    }
    TRY(dead_delete(dir, route, &letters));
    printf("%" PRIu64 " dead letters of %s are deleted\n", letters, route);
    return OK;
}

int cmd_dead(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &dead_command, argc, argv);
    if (status >= 0)
        return status;
    const char *what = o.arg[0], *pipeline = options_value(&o, "pipeline");
    const char *data = options_value(&o, "data");
    bool known = false;
    for (int i = 0; verbs[i]; i++)
        known = known || !strcmp(verbs[i], what);
    if (!known || (o.n_args == 1) != !strcmp(what, "list"))
        return options_fail(&dead_command, "usage: weir dead %s", dead_command.usage);
    if (options_has(&o, "url")) {
        if (data)
            return options_fail(&dead_command, "--data and --url do not go together");
        return dead_remote(&dead_command, &o, what, o.n_args > 1 ? o.arg[1] : NULL, pipeline);
    }
    data = data ? data : "./weir-agent";
    char *dir = pipeline ? mem_printf("%s/pipelines/%s", data, pipeline) : mem_strdup(str_c(data));
    enum err err = run(what, dir, o.n_args > 1 ? o.arg[1] : NULL);
    mem_free(dir);
    if (err != OK)
        options_fail(&dead_command, "%s", err_text());
    return err == OK ? 0 : 1;
}
