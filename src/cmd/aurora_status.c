/* weir aurora status, lag, monitor: what the state says about the collector. */
#include "aurora/progress.h"
#include "cmd/aurora.h"
#include "cmd/aurora_state.h"
#include "cmd/aurora_table.h"
#include "core/clock.h"

#include <stdio.h>

enum { GONE_S = 3600 }; /* processes that are gone are shown for so long */

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

/* ---- gathering ---- */

struct gathered {
    json_t *files;     /* status -> count */
    json_t *instances; /* name -> {files, behind_bytes, oldest} */
    json_t *processes;
    struct state *state;
    int64_t behind_bytes, oldest_s, dead, checkpoints, n_instances;
    json_int_t bytes, records, visits, published;
    int64_t first_s;
    json_t *offsets; /* "instance\nfile" -> byte_offset */
};

static void count(json_t *object, struct str name, json_int_t n)
{
    char key[300];
    snprintf(key, sizeof(key), "%.*s", STR_ARG(name));
    json_object_set_new(object, key,
                        json_integer(json_integer_value(json_object_get(object, key)) + n));
}

static enum err on_checkpoint(void *ctx, const struct state_item *i)
{
    struct gathered *g = ctx;
    char key[2200];
    struct str instance = state_text(i, "instance_id"), file = state_text(i, "log_file_name");
    snprintf(key, sizeof(key), "%.*s\n%.*s", STR_ARG(instance), STR_ARG(file));
    json_object_set_new(g->offsets, key, json_integer(state_int(i, "byte_offset")));
    g->checkpoints++;
    return OK;
}

static enum err on_file(void *ctx, const struct state_item *i)
{
    struct gathered *g = ctx;
    char key[2200], name[300];
    struct str status = state_text(i, "status"), instance = state_text(i, "instance_id");
    struct str file = state_text(i, "log_file_name");
    bool waits = str_eq_c(status, "discovered") || str_eq_c(status, "processing");
    snprintf(key, sizeof(key), "%.*s\n%.*s", STR_ARG(instance), STR_ARG(file));
    snprintf(name, sizeof(name), "%.*s", STR_ARG(instance));
    json_int_t behind =
        waits ? state_int(i, "size") - json_integer_value(json_object_get(g->offsets, key)) : 0;
    if (behind < 0)
        behind = 0;
    count(g->files, status, 1);
    json_t *of = json_object_get(g->instances, name);
    if (!of) {
        of = json_object();
        json_object_set_new(g->instances, name, of);
    }
    count(of, STR("files"), 1);
    count(of, STR("waiting"), waits);
    count(of, STR("behind_bytes"), behind);
    g->behind_bytes += behind;
    int64_t at = state_int(i, "last_written") / 1000;
    json_int_t oldest = json_integer_value(json_object_get(of, "oldest"));
    if (waits && (!oldest || at < oldest))
        json_object_set_new(of, "oldest", json_integer(at));
    if (waits && (!g->oldest_s || at < g->oldest_s))
        g->oldest_s = at;
    return OK;
}

static enum err on_dead(void *ctx, const struct state_item *i)
{
    ((struct gathered *)ctx)->dead++;
    return OK;
}

static enum err on_instance(void *ctx, const struct state_item *i)
{
    ((struct gathered *)ctx)->n_instances++;
    return OK;
}

static enum err on_process(void *ctx, const struct state_item *i)
{
    struct gathered *g = ctx;
    struct str report = state_text(i, "report");
    json_t *r = json_loadb(report.n ? report.p : "", report.n, 0, NULL);
    if (!r)
        return OK; /* the orders */
    int64_t seen = state_int(i, "updated_at"),
            started = json_integer_value(json_object_get(r, "started_at"));
    bool alive = str_eq_c(state_text(i, "status"), "running") && now_s() - seen < 30;
    g->bytes += json_integer_value(json_object_get(r, "bytes"));
    g->records += json_integer_value(json_object_get(r, "records"));
    g->visits += json_integer_value(json_object_get(r, "visits"));
    g->published += json_integer_value(json_object_get(r, "published"));
    if (!g->first_s || started < g->first_s)
        g->first_s = started;
    struct str id = state_text(i, "process_id");
    if (!alive && now_s() - seen > GONE_S) {
        json_decref(r);
        return OK;
    }
    json_object_set_new(r, "process", json_stringn(id.p, id.n));
    bool ended = str_eq_c(state_text(i, "status"), "stopped");
    json_object_set_new(r, "state", json_string(alive ? "running" : ended ? "stopped" : "gone"));
    json_object_set_new(r, "seen", aurora_time_json(seen));
    json_array_append_new(g->processes, r);
    return OK;
}

static enum err gather(struct state *s, struct gathered *g)
{
    *g = (struct gathered){.state = s,
                           .files = json_object(),
                           .instances = json_object(),
                           .processes = json_array(),
                           .offsets = json_object()};
    TRY(state_each(s, STATE_CHECKPOINTS, STR(""), on_checkpoint, g));
    TRY(state_each(s, STATE_FILES, STR(""), on_file, g));
    TRY(state_each(s, STATE_DLQ, STR(""), on_dead, g));
    TRY(state_each(s, STATE_INSTANCES, STR(""), on_instance, g));
    return state_each(s, STATE_PROCESSES, STR(""), on_process, g);
}

static void release(struct gathered *g)
{
    json_decref(g->files);
    json_decref(g->instances);
    json_decref(g->processes);
    json_decref(g->offsets);
}

/* ---- status ---- */

static const char *const process_columns[] = {"process", "role",  "state",   "visits", "failed",
                                              "records", "bytes", "waiting", "seen",   NULL};

static void print_status(const struct options *o, const struct gathered *g)
{
    const char *name;
    json_t *value;
    json_t *all = json_pack(
        "{s:I,s:O,s:I,s:I,s:I,s:I,s:O}", "instances", (json_int_t)g->n_instances, "files", g->files,
        "behind_bytes", (json_int_t)g->behind_bytes, "lag_seconds",
        (json_int_t)(g->oldest_s ? now_s() - g->oldest_s : 0), "checkpoints",
        (json_int_t)g->checkpoints, "dead_letters", (json_int_t)g->dead, "processes", g->processes);
    if (options_has(o, "json")) {
        aurora_print_object(o, all);
        return;
    }
    printf("instances      %lld\n", (long long)g->n_instances);
    json_object_foreach(g->files, name, value)
        printf("files %-12s %lld\n", name, (long long)json_integer_value(value));
    printf("behind         %lld bytes", (long long)g->behind_bytes);
    if (g->oldest_s)
        printf(", for %lld s", (long long)(now_s() - g->oldest_s));
    printf("\ncheckpoints    %lld\ndead letters   %lld\n\n", (long long)g->checkpoints,
           (long long)g->dead);
    json_decref(all);
    aurora_print_rows(o, json_incref(g->processes), process_columns);
}

static void print_lag(const struct options *o, const struct gathered *g)
{
    static const char *const columns[] = {"instance",     "files",       "waiting",
                                          "behind_bytes", "lag_seconds", NULL};
    json_t *list = json_array(), *value;
    const char *name;
    json_object_foreach(g->instances, name, value)
    {
        json_int_t oldest = json_integer_value(json_object_get(value, "oldest"));
        json_t *row = json_copy(value);
        json_object_set_new(row, "instance", json_string(name));
        json_object_set_new(row, "lag_seconds", json_integer(oldest ? now_s() - oldest : 0));
        json_object_del(row, "oldest");
        json_array_append_new(list, row);
    }
    aurora_print_rows(o, list, columns);
}

static int with_state(const struct command *c, const struct options *o,
                      void (*print)(const struct options *o, const struct gathered *g))
{
    struct aurora_state s;
    struct gathered g = {0};
    enum err err = aurora_state_open(o, &s);
    if (err == OK) {
        err = gather(s.state, &g);
        if (err == OK)
            print(o, &g);
        release(&g);
        aurora_state_close(&s);
    }
    if (err != OK)
        options_fail(c, "%s", err_text());
    return err != OK;
}

static const struct option_def status_options[] = {AURORA_STATE_OPTIONS, AURORA_JSON_OPTION, {0}};
const struct command aurora_status_command = {
    .name = "aurora status",
    .summary = "The collector at a glance: files by status, lag, dead letters, processes",
    .usage = "[--json]",
    .text =
        "The collector at a glance, from its state: files by status, what is not read yet, dead "
        "letters,\n"
        "and the processes that gave a sign of life.\n\n"
        "  weir aurora status --state dynamodb:",
    .options = status_options,
};
const struct command aurora_lag_command = {
    .name = "aurora lag",
    .summary = "How far each instance's logs are behind",
    .usage = "[--json]",
    .text = "For each instance: files that wait, bytes that are not read, and for how long.",
    .options = status_options,
};

int aurora_status(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &aurora_status_command, argc, argv);
    return status >= 0 ? status : with_state(&aurora_status_command, &o, print_status);
}

int aurora_lag(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &aurora_lag_command, argc, argv);
    return status >= 0 ? status : with_state(&aurora_lag_command, &o, print_lag);
}

/* ---- monitor ---- */

static const struct option_def monitor_options[] = {
    AURORA_STATE_OPTIONS,
    AURORA_JSON_OPTION,
    {"every", 0, "TIME", "Between two looks (5s)."},
    {"count", 0, "N", "Ends after so many looks (never)."},
    {0},
};
const struct command aurora_monitor_command = {
    .name = "aurora monitor",
    .summary = "The status, live",
    .usage = "[--every TIME]",
    .text = "Shows what weir aurora status shows, again and again, until it is interrupted.",
    .options = monitor_options,
};

int aurora_monitor(int argc, char **argv)
{
    struct options o;
    uint64_t looks;
    int64_t every_s;
    int status = options_parse(&o, &aurora_monitor_command, argc, argv);
    if (status >= 0)
        return status;
    if (!options_number(&o, "count", 1, UINT64_MAX, UINT64_MAX, &looks) ||
        !aurora_age_option(&o, "every", 5, &every_s))
        return 2;
    for (uint64_t i = 0; i < looks; i++) {
        if (terminal_is_stdout())
            fputs("\033[H\033[2J", stdout);
        if (!options_has(&o, "json")) {
            json_t *now = aurora_time_json(now_s());
            printf("%s\n\n", json_string_value(now));
            json_decref(now);
        }
        status = with_state(&aurora_monitor_command, &o, print_status);
        fflush(stdout);
        if (status)
            return status;
        if (i + 1 < looks)
            clock_sleep_ms(every_s * 1000);
    }
    return 0;
}
