/* weir aurora init; what opens the state for others, and runs their verbs. */
#include "cmd/aurora_state.h"

#include "aurora/collector.h"
#include "cmd/aurora.h"

#include <stdio.h>

const char *aurora_state_url(const struct options *o)
{
    const char *url = options_value(o, "state");
    return url ? url : collector_state_default();
}

enum err aurora_state_open(const struct options *o, struct aurora_state *ret)
{
    struct aws_credentials_options k = {0};
    struct str url = str_c(aurora_state_url(o));
    *ret = (struct aurora_state){0};
    TRY(aws_credentials_new(&k, &ret->credentials));
    enum err err = state_open(url, ret->credentials, &ret->state);
    if (err == OK && state_join(ret->state) == ERR_INVALID) /* tables may be missing still */
        err = ERR_INVALID;
    if (err != OK)
        aurora_state_close(ret);
    return err;
}

void aurora_state_close(struct aurora_state *s)
{
    state_close(s->state);
    aws_credentials_free(s->credentials);
    *s = (struct aurora_state){0};
}

static enum err run_with_state(const struct options *o, const struct aurora_verb *v)
{
    struct aurora_state s;
    TRY(aurora_state_open(o, &s));
    enum err err = v->run(o, s.state);
    aurora_state_close(&s);
    return err;
}

int aurora_run_verb(const struct command *c, const struct aurora_verb *verbs, int argc, char **argv)
{
    struct options o;
    int status = options_parse(&o, c, argc, argv);
    if (status >= 0)
        return status;
    const struct aurora_verb *v = verbs;
    while (v->name && strcmp(v->name, o.arg[0]) != 0)
        v++;
    if (!v->name)
        return options_fail(c, "what is \"%s\"?", o.arg[0]);
    if (o.n_args < v->args_min + 1 || o.n_args > v->args_max + 1)
        return options_fail(c, "%s wants %u argument%s", v->name, v->args_max,
                            v->args_max == 1 ? "" : "s");
    enum err err = v->stateless ? v->run(&o, NULL) : run_with_state(&o, v);
    if (err != OK)
        options_fail(c, "%s", err_text());
    return err == OK ? 0 : err == ERR_INVALID ? 2 : 1;
}

/* ---- init ---- */

static const struct option_def init_options[] = {AURORA_STATE_OPTIONS, {0}};
const struct command aurora_init_command = {
    .name = "aurora init",
    .summary = "Makes the tables of the collector's state, where they are missing",
    .usage = "[--state URL]",
    .text = "Makes the tables of the collector's state, where they are missing. In DynamoDB they "
            "are on\n"
            "demand, and forget by themselves what has expired.\n\n"
            "  weir aurora init --state dynamodb:",
    .options = init_options,
};

int aurora_init(int argc, char **argv)
{
    struct options o;
    struct aurora_state s;
    int status = options_parse(&o, &aurora_init_command, argc, argv);
    if (status >= 0)
        return status;
    enum err err = aurora_state_open(&o, &s);
    if (err == OK) {
        err = state_init(s.state);
        if (err == OK)
            for (int t = 0; t < STATE_TABLE_COUNT; t++)
                printf("%s\n", state_tables[t].name);
        aurora_state_close(&s);
    }
    if (err != OK)
        options_fail(&aurora_init_command, "%s", err_text());
    return err != OK;
}
