/* Stages that read a record's text as an entry of a log of MySQL, Aurora MySQL or MariaDB:
 * mysql_slow and mysql_error. Each entry by itself: what a file carries from one to the next (`use
 * db`, a shared "# Time") is not there, as records of many files come mixed, and a chain gives the
 * same when it is run again. */
#include "transform/mysql_log_impl.h"
#include "transform/transform_impl.h"

struct mysql_stage {
    struct str from;
    bool remove;
    struct mysql_log *log;
};

static enum err make(struct stage *s, const struct tree *args, enum mysql_log_kind kind)
{
    static const char *const known[] = {"from", "time_zone", "remove", NULL};
    struct mysql_stage *p = ARENA_NEW(s->arena, struct mysql_stage);
    struct str zone = {0}, remove = {0};
    s->state = p;
    p->from = STR("message");
    if (args) {
        if (args->kind != TREE_MAP)
            return tree_error(args, "%s takes %s", s->type->name, s->type->args);
        TRY(tree_check_keys(args, known));
        TRY(arg_text(s, args, "from", "message", &p->from));
        TRY(arg_text(s, args, "time_zone", "", &zone));
        TRY(arg_text(s, args, "remove", "false", &remove));
    }
    p->remove = str_eq(remove, STR("true"));
    if (remove.n && !p->remove && !str_eq(remove, STR("false")))
        return tree_error(tree_get(args, "remove"), "remove: true or false is wanted");
    const struct mysql_log_options o = {.kind = kind, .time_zone = zone};
    if (mysql_log_new(&o, &p->log) != OK)
        return tree_error(tree_get(args, "time_zone"), "%s", err_text());
    return OK;
}

static enum err make_slow(struct stage *s, const struct tree *args)
{
    return make(s, args, MYSQL_LOG_SLOW);
}

static enum err make_error(struct stage *s, const struct tree *args)
{
    return make(s, args, MYSQL_LOG_ERROR);
}

static void free_stage(struct stage *s)
{
    struct mysql_stage *p = s->state;
    mysql_log_free(p->log);
}

static enum err run(struct stage *s, struct step *st)
{
    struct mysql_stage *p = s->state;
    struct str *text;
    TRY(step_texts(st, p->from, &text));
    for (uint32_t row = 0; row < st->rows.n; row++) {
        struct str entry = text[row];
        if (!mysql_log_is_entry(p->log, entry)) {
            st->missed++;
            continue;
        }
        mysql_log_put_entry(p->log, entry, step_begin(st, row));
        step_end(st, row);
    }
    return step_merge_parsed(st, p->from, p->remove);
}

static const struct stage_type slow_stage = {"mysql_slow", "from, time_zone, remove", make_slow,
                                             run, free_stage};
static const struct stage_type error_stage = {"mysql_error", "from, time_zone, remove", make_error,
                                              run, free_stage};
const struct stage_type *const mysql_stages[] = {&slow_stage, &error_stage, NULL};
