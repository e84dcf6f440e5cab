/* weir pipeline: looks into a pipeline's configuration. check reads it; graph draws it; test runs
 * sample lines through it and shows what each stage makes of each. */
#include "pipeline/pipeline.h"

#include "cmd/commands.h"
#include "cmd/flow.h"
#include "cmd/inputs.h"
#include "cmd/source.h"
#include "core/clock.h"
#include "core/mem.h"
#include "input/tail.h"
#include "output/outputs.h"
#include "record/json.h"
#include "record/text_line.h"

#include <stdio.h>

enum { SAMPLES_MAX = 256 << 20 };

static const struct option_def option_defs[] = {
    {"svg", 0, NULL, "graph: as an SVG image."},
    {"text", 't', NULL, "test: lines are text, even where they look like JSON."},
    {"pipeline", 'p', "NAME", "test: the one of that name (the main one, or the first)."},
    {0},
};
const struct command pipeline_command = {
    .name = "pipeline",
    .summary = "Checks, draws and tries the pipelines of an agent's or a server's configuration",
    .usage = "check|graph|test CONFIG",
    .text =
        "Looks into the pipelines of a configuration, as weir agent or weir server take it.\n\n"
        "  weir pipeline check agent.yaml\n"
        "  weir pipeline graph agent.yaml --svg > pipeline.svg\n"
        "  weir pipeline test agent.yaml < samples.log\n\n"
        "test prints what each stage makes of each line: the record after every transform that\n"
        "changed it, and the routes that it takes.",
    .options = option_defs,
    .args_min = 2,
    .args_max = 2,
};

/* ---- check ---- */

/* An error with its place in the file. */
static enum err placed(enum err err, const struct tree *at)
{
    char was[400];
    if (err == OK || !at)
        return err;
    snprintf(was, sizeof(was), "%s", err_text());
    return tree_error(at, "%s", was);
}

/* Where the pattern stands: `files` is a list, or one. */
static const struct tree *place_of_file(const struct tree *files, const char *pattern)
{
    for (uint32_t i = 0; files && files->kind == TREE_LIST && i < files->n; i++)
        if (str_eq_c(files->item[i].text, pattern))
            return &files->item[i];
    return files;
}

/* Setting by setting, so that it can be told which one is wrong, by itself or with the others. */
static enum err check_files(const struct pipeline *p, struct pipeline *one)
{
    const struct {
        const char *key, *text, **to;
    } settings[] = {
        {"stream", p->stream, &one->stream},       {"multiline", p->multiline, &one->multiline},
        {"encoding", p->encoding, &one->encoding}, {"line_max", p->line_max, &one->line_max},
        {"spool", p->spool, &one->spool},          {"watch", p->watch, &one->watch},
    };
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
        *settings[i].to = settings[i].text;
        TRY(placed(flow_check(one), p->at ? tree_get(p->at, settings[i].key) : NULL));
    }
    for (unsigned i = 0; i < p->n_files; i++) {
        /* Containers and the journal need not be here. */
        bool url = str_find(str_c(p->file[i]), STR("://")) < strlen(p->file[i]);
        one->file[0] = p->file[i];
        const struct tree *inputs = p->at && url ? tree_get(p->at, "inputs") : NULL;
        TRY(placed(url ? tail_check_url(str_c(p->file[i])) : flow_check(one),
                   p->at ? place_of_file(inputs ? inputs : tree_get(p->at, "files"), p->file[i])
                         : NULL));
    }
    return OK;
}

/* What only those who run it would find. */
static enum err check_one(const struct pipeline *p)
{
    struct pipeline *one = NEW(struct pipeline);
    enum err good = check_files(p, one);
    mem_free(one);
    TRY(good);
    for (unsigned i = 0; i < p->n_routes; i++) {
        struct output *output;
        enum err bad = output_open(output_types, str_c(p->route[i].output), &output);
        TRY(placed(bad, p->route[i].at));
        bad = route_check_settings(&p->route[i].settings, output);
        output_close(output);
        TRY(placed(bad, p->route[i].at));
    }
    for (unsigned i = 0; i < p->n_inputs; i++)
        TRY(placed(input_check(cmd_input_types, str_c(p->input[i])), p->input_at[i]));
    return OK;
}

/* Where it listens, as its URL says it; "" where that can be told of no two inputs. */
static struct str place_of(const char *text, struct arena *a)
{
    struct url url;
    if (url_parse(str_c(text), a, &url) != OK || !url.has_port || !url.port)
        return STR("");
    return str_starts(url.scheme, STR("kafka")) ? STR("") : input_plain_url(str_c(text), a);
}

/* Whether an input before number `i` of pipeline `p` listens at the same place. */
static bool is_taken(const struct pipelines *set, unsigned p, unsigned i, struct arena *a)
{
    struct str place = place_of(set->list[p]->input[i], a);
    for (unsigned q = 0; q <= p && place.n; q++)
        for (unsigned k = 0; k < (q == p ? i : set->list[q]->n_inputs); k++)
            if (str_eq(place, place_of(set->list[q]->input[k], a)))
                return true;
    return false;
}

static enum err check_places(const struct pipelines *set, struct arena *a)
{
    for (unsigned p = 0; p < set->n; p++)
        for (unsigned i = 0; i < set->list[p]->n_inputs; i++)
            if (is_taken(set, p, i, a))
                return placed(err_set(ERR_INVALID, "another input listens there already"),
                              set->list[p]->input_at[i]);
    return OK;
}

enum err pipelines_check(const struct pipelines *set)
{
    struct arena arena;
    for (unsigned i = 0; i < set->n; i++)
        TRY(check_one(set->list[i]));
    arena_init(&arena, 0, NULL);
    enum err err = check_places(set, &arena);
    arena_release(&arena);
    return err;
}

/* ---- test ---- */

struct trial {
    const struct pipeline *p;
    struct arena arena;
    struct batch *batch;
    struct json_reader *json;
    struct buf text, before;
    unsigned long number;
};

static enum err put_row(struct trial *t, struct rows *rows)
{
    uint32_t row = 0;
    struct json_rows what = {.rows = rows, .row = &row, .n = 1, .arena = &t->arena};
    buf_clear(&t->text);
    return json_put_rows(&what, &t->text, NULL);
}

/* Shows the record if the stage changed it; *ret_left: whether it goes on. */
static enum err show(struct trial *t, const char *indent, const char *stage, struct rows *rows,
                     bool *ret_left)
{
    *ret_left = rows->n > 0;
    if (!rows->n) {
        printf("%s%-10s (dropped)\n", indent, stage);
        return OK;
    }
    TRY(put_row(t, rows));
    if (!str_eq(buf_str(&t->text), buf_str(&t->before)))
        printf("%s%-10s %.*s\n", indent, stage, STR_ARG(buf_str(&t->text)));
    buf_clear(&t->before);
    buf_put_str(&t->before, buf_str(&t->text));
    return OK;
}

static enum err run_chain(struct trial *t, struct chain *c, const char *indent, struct rows *rows,
                          bool *ret_left)
{
    *ret_left = true;
    for (uint32_t i = 0; c && *ret_left && i < chain_stages(c); i++) {
        struct chain_stage s;
        struct rows *in = ARENA_NEW(&t->arena, struct rows);
        *in = *rows;
        chain_stage(c, i, &s);
        TRY(chain_run(c, i, i + 1, in, clock_now_ns(), &t->arena, rows));
        TRY(show(t, indent, s.name, rows, ret_left));
    }
    return OK;
}

static enum err run_route(struct trial *t, const struct pipeline_route *r, const struct rows *from)
{
    struct rows rows = *from;
    uint64_t bit = 0;
    bool left;
    if (r->filter) {
        TRY(filter_eval(r->filter, &rows, &t->arena, &bit));
        if (!bit) {
            printf("  - %s (its condition does not match)\n", r->name);
            return OK;
        }
    }
    printf("  > %s\n", r->name);
    TRY(put_row(t, &rows));
    buf_clear(&t->before);
    buf_put_str(&t->before, buf_str(&t->text));
    return run_chain(t, r->chain, "      ", &rows, &left);
}

static bool read_json(struct trial *t, struct str line)
{
    if (t->p->text || line.n < 2 || line.p[0] != '{')
        return false;
    buf_clear(&t->text);
    if (!buf_reserve(&t->text, line.n + JSON_PADDING))
        return false;
    buf_put_str(&t->text, line);
    memset(t->text.p + line.n, 0, JSON_PADDING);
    return json_read_record(t->json, buf_str(&t->text), clock_now_ns(), t->batch) == OK;
}

static enum err try_line(struct trial *t, struct str line)
{
    struct rows rows;
    bool left;
    batch_clear(t->batch);
    if (!read_json(t, line))
        text_line_append(t->batch, line, clock_now_ns());
    batch_view(t->batch, &t->arena, &rows);
    printf("%lu\n", ++t->number);
    buf_clear(&t->before);
    TRY(show(t, "  ", "record", &rows, &left));
    TRY(run_chain(t, t->p->chain, "  ", &rows, &left));
    for (unsigned i = 0; left && i < t->p->n_routes; i++)
        TRY(run_route(t, &t->p->route[i], &rows));
    return OK;
}

static bool goes_on(const struct multiline *m, struct multiline_state *s, struct str line)
{
    line.n -= line.n && line.p[line.n - 1] == '\r';
    return m && multiline_continues(m, s, line);
}

/* The next line, which was judged before, with those that go on with it. */
static struct str take_lines(const struct multiline *m, struct multiline_state *s, struct str *rest)
{
    struct str line = {0}, all = {0};
    (void)str_split(rest, '\n', &all);
    for (struct str next = *rest; str_split(&next, '\n', &line) && goes_on(m, s, line);
         *rest = next)
        all.n = (size_t)(line.p + line.n - all.p);
    while (all.n && strchr("\r\n", all.p[all.n - 1]))
        all.n--;
    return all;
}

static enum err try_lines(struct trial *t, struct str rest)
{
    struct multiline *m = NULL;
    struct multiline_state state = {0};
    enum err err = t->p->multiline ? multiline_new(str_c(t->p->multiline), &m) : OK;
    if (err == OK)
        (void)goes_on(m, &state, str_of(rest.p, str_find_byte(rest, '\n', 0)));
    while (err == OK && rest.n) {
        struct str record = take_lines(m, &state, &rest);
        if (record.n)
            err = try_line(t, record);
        arena_reset(&t->arena);
    }
    multiline_free(m);
    return err;
}

static enum err test(const struct pipeline *p)
{
    struct trial t = {.p = p, .batch = batch_new()};
    struct buf all;
    struct source *in;
    bool idle;
    arena_init(&t.arena, 0, NULL);
    buf_init(&t.text, SIZE_MAX);
    buf_init(&t.before, SIZE_MAX);
    buf_init(&all, SAMPLES_MAX);
    t.json = json_reader_new(&(struct json_limits){.record_bytes = 8 << 20, .nesting = 128});
    enum err err = source_open("-", &in);
    if (err == OK) {
        while ((err = source_read(in, &all, &idle)) == OK)
            ;
        source_close(in);
    }
    if (err == ERR_EOF)
        err = try_lines(&t, buf_str(&all));
    buf_release(&all);
    json_reader_free(t.json);
    batch_free(t.batch);
    buf_release(&t.text);
    buf_release(&t.before);
    arena_release(&t.arena);
    return err;
}

/* ---- all ---- */

static void graph(const struct pipelines *set, bool svg)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    pipelines_graph(set, svg, &out);
    fwrite(out.p, 1, out.n, stdout);
    buf_release(&out);
}

/* The one that is asked for; else the main one, where it says something. */
static enum err choose(const struct pipelines *set, const char *name, struct pipeline **ret)
{
    struct pipeline *main = set->list[0];
    bool says = main->n_files || main->n_inputs || main->n_routes || main->transforms;
    *ret = set->n > 1 && !says ? set->list[1] : main;
    for (unsigned i = 0; name; i++) {
        if (i == set->n)
            return err_set(ERR_NOTFOUND, "there is no pipeline \"%s\"", name);
        *ret = set->list[i];
        if (!strcmp(set->list[i]->name, name))
            break;
    }
    return OK;
}

static void say_good(const char *file, const struct pipelines *set)
{
    unsigned in = 0, routes = 0;
    for (unsigned i = 0; i < set->n; i++) {
        in += set->list[i]->n_files + set->list[i]->n_inputs;
        routes += set->list[i]->n_routes;
    }
    const char *lack = set->server ? NULL : pipelines_lack(set);
    printf("%s is good: %u patterns of files and inputs, %u routes", file, in, routes);
    if (set->server)
        printf(" (its settings: weir config check)");
    else if (lack)
        printf("; for weir agent, %s wanted beside it", lack);
    printf("\n");
}

static enum err run(const struct options *o, struct pipelines *set)
{
    const char *what = o->arg[0];
    TRY(pipelines_load(set, o->arg[1], PIPELINES_EITHER));
    TRY(pipelines_check(set));
    if (!strcmp(what, "check")) {
        say_good(o->arg[1], set);
    } else if (!strcmp(what, "graph")) {
        graph(set, options_has(o, "svg"));
    } else {
        struct pipeline *p;
        TRY(choose(set, options_value(o, "pipeline"), &p));
        p->text = p->text || options_has(o, "text");
        return test(p);
    }
    return OK;
}

int cmd_pipeline(int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, &pipeline_command, argc, argv);
    if (status >= 0)
        return status;
    const char *what = o.arg[0];
    if (strcmp(what, "check") != 0 && strcmp(what, "graph") != 0 && strcmp(what, "test") != 0)
        return options_fail(&pipeline_command, "\"%s\": check, graph or test is wanted", what);
    struct pipelines *set = pipelines_new();
    enum err err = run(&o, set);
    if (err != OK)
        fprintf(stderr, "weir pipeline: %s\n", err_text());
    pipelines_free(set);
    return err == OK ? 0 : 1;
}
