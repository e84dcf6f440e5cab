/* weir aurora stop, resume, breaker: orders to the processes that run, by the item "orders" of the
 * table aurora-log-tracking, which each looks at every few seconds (aurora/collector.c). offsets:
 * to Kafka. */
#include "aurora/topics.h"
#include "cmd/aurora.h"
#include "cmd/aurora_state.h"
#include "cmd/aurora_table.h"
#include "core/clock.h"

#include <stdio.h>

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

enum { SILENT_S = 30 }; /* who has given no sign of life for so long does not run */

static bool runs(const struct state_item *i)
{
    return str_eq_c(state_text(i, "status"), "running") &&
           now_s() - state_int(i, "updated_at") < SILENT_S;
}

static enum err count_running(void *ctx, const struct state_item *i)
{
    *(unsigned *)ctx += runs(i);
    return OK;
}

static int give(const struct command *c, const struct options *o, const struct state_item *set,
                const char *said)
{
    struct aurora_state s;
    unsigned n = 0;
    enum err err = aurora_state_open(o, &s);
    if (err == OK) {
        err = state_update(s.state, STATE_PROCESSES, STATE_ORDERS, set, NULL, 0);
        if (err == OK)
            err = state_each(s.state, STATE_PROCESSES, STR(""), count_running, &n);
        aurora_state_close(&s);
    }
    if (err != OK)
        options_fail(c, "%s", err_text());
    else
        printf("%s; %u %s now\n", said, n, n == 1 ? "process runs" : "processes run");
    return err != OK;
}

/* ---- stop, resume ---- */

static const struct option_def stop_options[] = {AURORA_STATE_OPTIONS, {0}};
const struct command aurora_stop_command = {
    .name = "aurora stop",
    .summary = "Stops all processes of the collector that run now",
    .usage = "[--state URL]",
    .text = "All discoverers and processors on this state finish what they are sending, and end "
            "within seconds.\n"
            "Those that are started later run; an aurora:// input of a server goes on when weir "
            "aurora resume\n"
            "says so.",
    .options = stop_options,
};

int aurora_stop(int argc, char **argv)
{
    struct options o;
    struct state_item set = {0};
    int status = options_parse(&o, &aurora_stop_command, argc, argv);
    if (status >= 0)
        return status;
    state_set_int(&set, "stop_at", now_s());
    state_set_int(&set, "ramp_at", 0);
    return give(&aurora_stop_command, &o, &set, "all were told to stop");
}

static const struct option_def resume_options[] = {
    AURORA_STATE_OPTIONS, {"ramp", 0, "TIME", "Until every worker works (5m)."}, {0}};
const struct command aurora_resume_command = {
    .name = "aurora resume",
    .summary = "Lets processors begin gently after an outage",
    .usage = "[--ramp TIME]",
    .text = "Processors that run, or are started from now on, begin with one worker and add the "
            "others\n"
            "one by one over that time.\n\n"
            "  weir aurora resume --ramp 5m",
    .options = resume_options,
};

int aurora_resume(int argc, char **argv)
{
    struct options o;
    struct state_item set = {0};
    int64_t ramp_s;
    int status = options_parse(&o, &aurora_resume_command, argc, argv);
    if (status >= 0)
        return status;
    if (!aurora_age_option(&o, "ramp", 300, &ramp_s))
        return 2;
    state_set_int(&set, "ramp_at", now_s());
    state_set_int(&set, "ramp_s", ramp_s > 0 ? ramp_s : 1);
    return give(&aurora_resume_command, &o, &set, "processors begin with one worker each");
}

/* ---- breakers ---- */

static enum err on_process(void *ctx, const struct state_item *i)
{
    json_t *list = ctx, *breaker;
    size_t n;
    struct str report = state_text(i, "report"), id = state_text(i, "process_id");
    json_t *r = json_loadb(report.n ? report.p : "", report.n, 0, NULL);
    if (r && runs(i))
        json_array_foreach(json_object_get(json_object_get(r, "limits"), "breakers"), n, breaker)
        {
            json_t *row = json_copy(breaker);
            json_object_set_new(row, "process", json_stringn(id.p, id.n));
            json_array_append_new(list, row);
        }
    json_decref(r);
    return OK;
}

static enum err breaker_show(const struct options *o, struct state *s)
{
    static const char *const columns[] = {"name",       "state",   "failures", "opened",
                                          "next_try_s", "process", NULL};
    json_t *list = json_array();
    enum err err = state_each(s, STATE_PROCESSES, STR(""), on_process, list);
    if (err == OK)
        aurora_print_rows(o, list, columns); /* takes the list */
    else
        json_decref(list);
    return err;
}

static enum err breaker_reset(const struct options *o, struct state *s)
{
    struct state_item set = {0};
    state_set_int(&set, "reset_at", now_s());
    state_set_text(&set, "reset_breaker", str_c(o->n_args > 1 ? o->arg[1] : ""));
    TRY(state_update(s, STATE_PROCESSES, STATE_ORDERS, &set, NULL, 0));
    printf("closed within seconds, in each process that runs\n");
    return OK;
}

static const struct aurora_verb breaker_verbs[] = {
    {"show", 0, 0, breaker_show}, {"reset", 0, 1, breaker_reset}, {0}};
static const char *const breaker_words[] = {"show", "reset", NULL};
static const struct option_def breaker_options[] = {AURORA_STATE_OPTIONS, AURORA_JSON_OPTION, {0}};
const struct command aurora_breaker_command = {
    .name = "aurora breaker",
    .summary = "Shows the circuit breakers of the processes that run; closes them",
    .usage = "show | reset [NAME]",
    .text = "Circuit breakers with something to tell, of the processes that run. reset closes one "
            "of that name, or\n"
            "all, within seconds.\n\n"
            "  weir aurora breaker show\n"
            "  weir aurora breaker reset api:DownloadDBLogFilePortion",
    .options = breaker_options,
    .verbs = breaker_words,
    .args_min = 1,
    .args_max = 2,
};

int aurora_breaker(int argc, char **argv)
{
    return aurora_run_verb(&aurora_breaker_command, breaker_verbs, argc, argv);
}

/* ---- offsets ---- */

static enum err queue_of(const struct options *o, struct str *ret)
{
    const char *queue = options_value(o, "queue");
    *ret = str_c(queue ? queue : "");
    return queue ? OK : err_set(ERR_INVALID, "--queue is wanted, such as kafka://kafka:9092");
}

static enum err offsets_reset(const struct options *o, struct state *s)
{
    const char *to = options_value(o, "to");
    struct str queue;
    if (to && strcmp(to, "earliest") != 0 && strcmp(to, "latest") != 0)
        return err_set(ERR_INVALID, "--to %s: earliest or latest is wanted", to);
    TRY(queue_of(o, &queue));
    TRY(topics_reset(queue, to && !strcmp(to, "latest")));
    printf("done\n");
    return OK;
}

static enum err offsets_delete_group(const struct options *o, struct state *s)
{
    struct str queue;
    TRY(queue_of(o, &queue));
    TRY(topics_delete_group(queue));
    printf("done\n");
    return OK;
}

static const struct aurora_verb offsets_verbs[] = {
    {"reset", 0, 0, offsets_reset, .stateless = true},
    {"delete-group", 0, 0, offsets_delete_group, .stateless = true},
    {0}};
static const char *const offsets_words[] = {"reset", "delete-group", NULL};
static const struct option_def offsets_options[] = {
    {"queue", 'q', "URL", "The queue: kafka://HOST:PORT, with ?group= where it has another name."},
    {"to", 0, "WHERE", "reset: where reading begins (earliest).", .choices = "earliest|latest"},
    {0},
};
const struct command aurora_offsets_command = {
    .name = "aurora offsets",
    .summary = "Sets the processors' group back to the beginning of its topics, or forgets it",
    .usage = "reset [--to WHERE] | delete-group --queue URL",
    .text =
        "Where processors begin to take messages. Refused while any of them runs. Messages that "
        "come again\n"
        "double nothing: what their files hold has been read.\n\n"
        "  weir aurora offsets reset --queue kafka://kafka:9092",
    .options = offsets_options,
    .verbs = offsets_words,
    .args_min = 1,
    .args_max = 1,
};

int aurora_offsets(int argc, char **argv)
{
    return aurora_run_verb(&aurora_offsets_command, offsets_verbs, argc, argv);
}
