/* weir aurora files, checkpoint, dlq: items of the state, shown and changed. */
#include "aurora/progress.h"
#include "aurora/unit.h"
#include "aurora/visit.h"
#include "cmd/aurora.h"
#include "cmd/aurora_state.h"
#include "cmd/aurora_table.h"
#include "core/clock.h"
#include "core/hash.h"
#include "output/outputs.h"
#include "record/json.h"

#include <stdio.h>

static int64_t now_s(void)
{
    return clock_now_ns() / NS_PER_S;
}

/* ---- what all three share ---- */

/* Lists items with a filter. */
struct listing {
    json_t *list;
    const char *status; /* NULL: any */
    int64_t older_than; /* updated_at at most; 0: any */
    const char *instance;
    const char *omit; /* an attribute */
};

static enum err on_listed(void *ctx, const struct state_item *i)
{
    struct listing *l = ctx;
    if ((l->status && !str_eq_c(state_text(i, "status"), l->status)) ||
        (l->older_than && state_int(i, "updated_at") > l->older_than) ||
        (l->instance && !str_eq_c(state_text(i, "instance_id"), l->instance)))
        return OK;
    json_t *row = state_item_plain(i);
    if (l->omit)
        json_object_del(row, l->omit);
    json_object_set_new(row, "updated", aurora_time_json(state_int(i, "updated_at")));
    if (state_int(i, "failed_at"))
        json_object_set_new(row, "failed", aurora_time_json(state_int(i, "failed_at")));
    json_array_append_new(l->list, row);
    return OK;
}

static enum err list_items(struct state *s, enum state_table t, struct listing *l)
{
    l->list = json_array();
    return state_each(s, t, STR(""), on_listed, l);
}

static struct state_key key_of(const struct options *o)
{
    return (struct state_key){str_c(o->arg[1]), o->n_args > 2 ? str_c(o->arg[2]) : STR("")};
}

static enum err show(const struct options *o, struct state *s, enum state_table t)
{
    struct arena a;
    arena_init(&a, 0, NULL);
    struct state_item *item = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, t, key_of(o), &a, item);
    if (err == OK)
        aurora_print_object(o, state_item_plain(item));
    arena_release(&a);
    return err;
}

static enum err make_discovered(struct state *s, struct state_key k, const struct state_cond *more)
{
    struct state_cond cond[2] = {{.op = STATE_HAS_ATTR, .name = "size"}};
    struct state_item set = {0};
    if (more)
        cond[1] = *more;
    state_set_text(&set, "status", STR("discovered"));
    state_set_int(&set, "updated_at", now_s());
    state_set_int(&set, "published_at", 0);
    return state_update(s, STATE_FILES, k, &set, cond, more ? 2 : 1);
}

/* ---- files ---- */

static enum err files_list(const struct options *o, struct state *s)
{
    static const char *const columns[] = {"instance_id", "log_file_name", "status",
                                          "size",        "updated",       NULL};
    struct listing l = {.status = options_value(o, "status"),
                        .instance = options_value(o, "instance")};
    TRY(list_items(s, STATE_FILES, &l));
    aurora_print_rows(o, l.list, columns);
    return OK;
}

/* Nobody may be at it: what it would write would contradict. */
static enum err check_idle(struct state *s, struct state_key k)
{
    struct arena a;
    struct str base = logfile_base(k.range);
    arena_init(&a, 0, NULL);
    struct str id = arena_printf(&a, "%.*s/%.*s", STR_ARG(k.hash), STR_ARG(base));
    struct state_item *item = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, STATE_JOBS, (struct state_key){id, STR("")}, &a, item);
    if (err == ERR_NOTFOUND)
        err = OK;
    else if (err == OK && state_text(item, "owner").n && state_int(item, "lease_until") > now_s() &&
             !strand_owner_is_dead(state_text(item, "owner")))
        err =
            err_set(ERR_UNAVAILABLE, "%.*s is being read by %.*s: stop it first (weir aurora stop)",
                    STR_ARG(id), STR_ARG(state_text(item, "owner")));
    arena_release(&a);
    return err;
}

static enum err files_reset(const struct options *o, struct state *s)
{
    struct state_key k = key_of(o);
    struct checkpoint was;
    TRY(check_idle(s, k));
    if (options_has(o, "from-start")) {
        TRY(checkpoint_load(s, k.hash, k.range, &was));
        struct checkpoint c = {.exists = true,
                               .marker = "0",
                               .generation = was.generation + 1,
                               .sequence = was.sequence};
        if (was.exists)
            TRY(checkpoint_store(s, k.hash, k.range, &was, &c));
    }
    enum err err = make_discovered(s, k, NULL);
    if (err == ERR_CONFLICT)
        return err_set(ERR_NOTFOUND, "no such file: %s %s", o->arg[1], o->arg[2]);
    TRY(err);
    printf("%s %s is discovered%s\n", o->arg[1], o->arg[2],
           options_has(o, "from-start") ? ", and will be read from its beginning" : "");
    return OK;
}

static enum err files_reset_stuck(const struct options *o, struct state *s)
{
    int64_t age_s;
    size_t i;
    json_t *row;
    json_int_t n = 0;
    if (!aurora_age_option(o, "older-than", 3600, &age_s))
        return err_set(ERR_INVALID, "bad --older-than");
    struct listing l = {.status = "processing", .older_than = now_s() - age_s};
    TRY(list_items(s, STATE_FILES, &l));
    json_array_foreach(l.list, i, row)
    {
        struct state_key k = {str_c(json_string_value(json_object_get(row, "instance_id"))),
                              str_c(json_string_value(json_object_get(row, "log_file_name")))};
        const struct state_cond same = {.op = STATE_IS_INT,
                                        .name = "updated_at",
                                        .number =
                                            json_integer_value(json_object_get(row, "updated_at"))};
        enum err err = make_discovered(s, k, &same);
        n += err == OK;
        if (err != OK && err != ERR_CONFLICT) {
            json_decref(l.list);
            return err;
        }
    }
    json_decref(l.list);
    aurora_print_object(o, json_pack("{s:I}", "reset", n));
    return OK;
}

static const struct aurora_verb files_verbs[] = {{"list", 0, 0, files_list},
                                                 {"reset", 2, 2, files_reset},
                                                 {"reset-stuck", 0, 0, files_reset_stuck},
                                                 {0}};
static const char *const files_words[] = {"list", "reset", "reset-stuck", NULL};
static const struct option_def files_options[] = {
    AURORA_STATE_OPTIONS,
    AURORA_JSON_OPTION,
    {"status", 0, "STATUS", "list: those alone; discovered, processing, completed, ..."},
    {"instance", 'i', "NAME", "list: of that instance."},
    {"from-start", 0, NULL, "reset: its lines are sent again, all of them."},
    {"older-than", 0, "TIME", "reset-stuck: in processing for so long (1h)."},
    {0},
};
const struct command aurora_files_command = {
    .name = "aurora files",
    .summary = "Lists log files; sets them back to discovered",
    .usage = "list | reset INSTANCE FILE [--from-start] | reset-stuck [--older-than TIME]",
    .text =
        "Log files as the collector knows them. reset lets one be read on from its checkpoint;\n"
        "reset-stuck does so for those that are in processing for long.\n\n"
        "  weir aurora files list --status processing\n"
        "  weir aurora files reset db-1 slowquery/mysql-slowquery.log\n"
        "  weir aurora files reset-stuck --older-than 1h",
    .options = files_options,
    .verbs = files_words,
    .args_min = 1,
    .args_max = 3,
};

int aurora_files(int argc, char **argv)
{
    return aurora_run_verb(&aurora_files_command, files_verbs, argc, argv);
}

/* ---- checkpoints ---- */

static enum err checkpoint_list(const struct options *o, struct state *s)
{
    static const char *const columns[] = {"instance_id", "log_file_name", "byte_offset",
                                          "marker",      "updated",       NULL};
    struct listing l = {.instance = options_value(o, "instance")};
    TRY(list_items(s, STATE_CHECKPOINTS, &l));
    aurora_print_rows(o, l.list, columns);
    return OK;
}

static enum err checkpoint_show(const struct options *o, struct state *s)
{
    return show(o, s, STATE_CHECKPOINTS);
}

static enum err checkpoint_resume(const struct options *o, struct state *s)
{
    enum err err = make_discovered(s, key_of(o), NULL);
    if (err == ERR_CONFLICT)
        return err_set(ERR_NOTFOUND, "no such file: %s %s", o->arg[1], o->arg[2]);
    TRY(err);
    printf("%s %s will be read on from its checkpoint\n", o->arg[1], o->arg[2]);
    return OK;
}

static enum err checkpoint_cleanup(const struct options *o, struct state *s)
{
    int64_t age_s;
    size_t i;
    json_t *row;
    json_int_t n = 0;
    enum err err = OK;
    if (!aurora_age_option(o, "older-than", CHECKPOINT_DAYS * 86400, &age_s))
        return err_set(ERR_INVALID, "bad --older-than");
    struct listing l = {.older_than = now_s() - age_s};
    TRY(list_items(s, STATE_CHECKPOINTS, &l));
    json_array_foreach(l.list, i, row)
    {
        struct state_key k = {str_c(json_string_value(json_object_get(row, "instance_id"))),
                              str_c(json_string_value(json_object_get(row, "log_file_name")))};
        const struct state_cond same = {.op = STATE_IS_INT,
                                        .name = "updated_at",
                                        .number =
                                            json_integer_value(json_object_get(row, "updated_at"))};
        err = state_remove(s, STATE_CHECKPOINTS, k, &same, 1);
        if (err != OK && err != ERR_CONFLICT)
            break;
        n += err == OK;
    }
    json_decref(l.list);
    if (err == OK || err == ERR_CONFLICT)
        aurora_print_object(o, json_pack("{s:I}", "removed", n));
    return err == ERR_CONFLICT ? OK : err;
}

static const struct aurora_verb checkpoint_verbs[] = {{"list", 0, 0, checkpoint_list},
                                                      {"show", 2, 2, checkpoint_show},
                                                      {"resume", 2, 2, checkpoint_resume},
                                                      {"cleanup", 0, 0, checkpoint_cleanup},
                                                      {0}};
static const char *const checkpoint_words[] = {"list", "show", "resume", "cleanup", NULL};
static const struct option_def checkpoint_options[] = {
    AURORA_STATE_OPTIONS,
    AURORA_JSON_OPTION,
    {"instance", 'i', "NAME", "list: of that instance."},
    {"older-than", 0, "TIME", "cleanup: whose files were not seen for so long (7d)."},
    {0},
};
const struct command aurora_checkpoint_command = {
    .name = "aurora checkpoint",
    .summary = "Lists, shows and cleans up how far files are read",
    .usage = "list | show INSTANCE FILE | resume INSTANCE FILE | cleanup [--older-than TIME]",
    .text =
        "How far each log file is read. A checkpoint is kept while its file is there, and seven "
        "days longer;\n"
        "cleanup removes what is older where the database did not.\n\n"
        "  weir aurora checkpoint list --instance db-1\n"
        "  weir aurora checkpoint cleanup --older-than 7d",
    .options = checkpoint_options,
    .verbs = checkpoint_words,
    .args_min = 1,
    .args_max = 3,
};

int aurora_checkpoint(int argc, char **argv)
{
    return aurora_run_verb(&aurora_checkpoint_command, checkpoint_verbs, argc, argv);
}

/* ---- dead letters ---- */

static enum err dlq_list(const struct options *o, struct state *s)
{
    static const char *const columns[] = {"message_id", "instance_id", "log_file_name",
                                          "failed",     "error",       NULL};
    struct listing l = {.omit = "payload", .instance = options_value(o, "instance")};
    TRY(list_items(s, STATE_DLQ, &l));
    aurora_print_rows(o, l.list, columns);
    return OK;
}

static enum err dlq_show(const struct options *o, struct state *s)
{
    return show(o, s, STATE_DLQ);
}

static enum err dlq_delete(const struct options *o, struct state *s)
{
    const struct state_cond there = {.op = STATE_HAS_ATTR, .name = "message_id"};
    enum err err = state_remove(s, STATE_DLQ, key_of(o), &there, 1);
    return err == ERR_CONFLICT ? err_set(ERR_NOTFOUND, "no dead letter %s", o->arg[1]) : err;
}

/* The payload's records, as a unit. */
static enum err read_payload(struct str payload, struct unit *u)
{
    static const struct json_limits limits = {.record_bytes = 8 << 20, .nesting = 128};
    struct json_reader *json = json_reader_new(&limits);
    struct buf padded;
    struct str line;
    enum err err = OK;
    buf_init(&padded, SIZE_MAX);
    while (err == OK && payload.n && str_split(&payload, '\n', &line)) {
        if (!line.n)
            continue;
        buf_clear(&padded);
        buf_put_str(&padded, line);
        if (!buf_reserve(&padded, JSON_PADDING))
            BUG("a buffer without a bound is full");
        memset(padded.p + padded.n, 0, JSON_PADDING);
        if (batch_full(u->batch, line.n))
            err = unit_seal(u);
        if (err == OK)
            err = json_read_record(json, buf_str(&padded), u->arrival_ns, u->batch);
    }
    if (err == OK)
        err = unit_seal(u);
    buf_release(&padded);
    json_reader_free(json);
    return err;
}

static void on_refused(void *ctx, uint32_t frame, uint32_t row, const char *reason)
{
    if (!*(char *)ctx)
        snprintf(ctx, 200, "%s", reason);
}

/* Under a number that is the letter's, so that it lands once however often this is tried. */
static enum err send_payload(const struct options *o, const struct state_item *item)
{
    struct unit u;
    struct output *output;
    struct strand l = {.producer = hash64(state_text(item, "message_id")) | 1, .epoch = 1};
    const char *url = options_value(o, "output");
    char refused[200] = "";
    struct unit_refusal refusal = {refused, on_refused};
    int64_t wait_ns, failed_at = state_int(item, "failed_at");
    if (!url)
        return err_set(ERR_INVALID, "--output is wanted: where the records go");
    l.pending.sequence = 1;
    TRY(output_open(output_types, str_c(url), &output));
    unit_init(&u, NULL);
    enum mysql_log_kind kind = logfile_kind(state_text(item, "log_file_name"));
    unit_clear(&u, visit_stream(kind), failed_at * NS_PER_S);
    enum err err = read_payload(state_text(item, "payload"), &u);
    if (err == OK)
        err = unit_send(&u, output, &l, &refusal, &wait_ns);
    if (err == OK && refused[0])
        err = err_set(ERR_INVALID, "refused again: %s", refused);
    unit_release(&u);
    output_close(output);
    return err;
}

static enum err reprocess_item(const struct options *o, struct state *s,
                               const struct state_item *item)
{
    struct state_key k = {state_text(item, "message_id"), STR("")};
    struct state_key file = {state_text(item, "instance_id"), state_text(item, "log_file_name")};
    if (state_text(item, "payload").n) {
        TRY(send_payload(o, item));
        printf("%.*s: sent\n", STR_ARG(k.hash));
        return state_remove(s, STATE_DLQ, k, NULL, 0);
    }
    /* No records: it is about the file. Where that is still there it is read on. */
    enum err err = make_discovered(s, file, NULL);
    if (err == ERR_CONFLICT)
        return err_set(ERR_NOTFOUND, "%.*s: its file is not known any more; delete it",
                       STR_ARG(k.hash));
    TRY(err);
    printf("%.*s: its file will be visited; delete it when that is completed\n", STR_ARG(k.hash));
    return OK;
}

struct reprocessing {
    const struct options *o;
    struct state *s;
    unsigned failed;
};

static enum err on_reprocess(void *ctx, const struct state_item *item)
{
    struct reprocessing *r = ctx;
    if (reprocess_item(r->o, r->s, item) == OK)
        return OK;
    fprintf(stderr, "%s\n", err_text());
    r->failed++;
    return OK;
}

static enum err dlq_reprocess(const struct options *o, struct state *s)
{
    struct arena a;
    struct reprocessing r = {o, s, 0};
    if (!strcmp(o->arg[1], "all")) {
        TRY(state_each(s, STATE_DLQ, STR(""), on_reprocess, &r));
        return r.failed ? err_set(ERR_UNAVAILABLE, "%u of them are still there", r.failed) : OK;
    }
    arena_init(&a, 0, NULL);
    struct state_item *item = ARENA_NEW(&a, struct state_item);
    enum err err = state_get(s, STATE_DLQ, key_of(o), &a, item);
    if (err == OK)
        err = reprocess_item(o, s, item);
    arena_release(&a);
    return err;
}

static const struct aurora_verb dlq_verbs[] = {{"list", 0, 0, dlq_list},
                                               {"show", 1, 1, dlq_show},
                                               {"reprocess", 1, 1, dlq_reprocess},
                                               {"delete", 1, 1, dlq_delete},
                                               {0}};
static const char *const dlq_words[] = {"list", "show", "reprocess", "delete", NULL};
static const struct option_def dlq_options[] = {
    AURORA_STATE_OPTIONS,
    AURORA_JSON_OPTION,
    {"output", 'o', "URL", "reprocess: where the records go."},
    {"instance", 'i', "NAME", "list: of that instance."},
    {0},
};
const struct command aurora_dlq_command = {
    .name = "aurora dlq",
    .summary = "Lists, shows, sends again and deletes dead letters",
    .usage = "list | show ID | reprocess ID|all --output URL | delete ID",
    .text =
        "Dead letters: records that no output would take, and files whose lines are lost. A "
        "letter\n"
        "that is sent again goes only when its records are durable.\n\n"
        "  weir aurora dlq list\n"
        "  weir aurora dlq reprocess 0123456789abcdef0123456789abcdef --output http://logs:5080",
    .options = dlq_options,
    .verbs = dlq_words,
    .args_min = 1,
    .args_max = 2,
};

int aurora_dlq(int argc, char **argv)
{
    return aurora_run_verb(&aurora_dlq_command, dlq_verbs, argc, argv);
}
