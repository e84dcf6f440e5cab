/* The stage multiline: records that are lines of one (a stack trace that came line by line) become
 * that one. A line goes on with the record before it of the same source: the fields `by`. The first
 * keeps its fields and gets the text of all, a line each; the others go. Only what is in one batch
 * comes together, so the same rows give the same again; an input that can wait for the rest of a
 * record does so (`multiline` in its URL). */
#include "core/mem.h"
#include "transform/multiline.h"
#include "transform/transform_impl.h"

struct joiner {
    struct multiline *kind;
    struct str from;
    struct str *by;
    uint32_t n_by;
};

/* What tells sources apart, by whatever protocol their lines come. */
static const char *const sources[] = {
    "host",         "service",        "appname", "procid", "tag",
    "container_id", "container_name", "source",  "stream", "file",
};
enum { SOURCES = sizeof(sources) / sizeof(*sources) };

static enum err make_kind(struct joiner *j, const struct tree *t)
{
    if (t->kind != TREE_TEXT)
        return tree_error(t, "multiline: java, python, go, dotnet, mysql, mysql_error, "
                             "begins:REGEX or continues:REGEX is wanted");
    enum err err = multiline_new(t->text, &j->kind);
    return err == OK ? OK : tree_error(t, "%s", err_text());
}

static enum err make(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"kind", "from", "by", NULL};
    struct joiner *j = ARENA_NEW(s->arena, struct joiner);
    const struct tree *kind = args && args->kind == TREE_MAP ? tree_get(args, "kind") : args;
    const struct tree *by = args && args->kind == TREE_MAP ? tree_get(args, "by") : NULL;
    if (!kind)
        return args ? tree_error(args, "multiline takes %s", s->type->args)
                    : err_set(ERR_INVALID, "multiline takes %s", s->type->args);
    s->state = j;
    j->from = STR("message");
    if (args != kind) {
        TRY(tree_check_keys(args, known));
        TRY(arg_text(s, args, "from", "message", &j->from));
    }
    TRY(make_kind(j, kind));
    if (by)
        return arg_list(s, by, &j->by, &j->n_by);
    j->by = ARENA_ARRAY(s->arena, struct str, SOURCES);
    for (j->n_by = 0; j->n_by < SOURCES; j->n_by++)
        j->by[j->n_by] = str_c(sources[j->n_by]);
    return OK;
}

static void free_joiner(struct stage *s)
{
    multiline_free(((struct joiner *)s->state)->kind);
}

/* ---- rows ---- */

struct line {
    struct str text, name; /* text.p NULL: the row has none */
    uint32_t next, last;   /* lines that go on with this one; 0: none */
    bool joined;           /* it goes on with another */
};

/* The text of each row, and the name of the field that it stands in. */
static enum err read_lines(const struct joiner *j, struct step *st, struct line *line)
{
    const char *own[2] = {arena_str(st->arena, j->from).p, NULL};
    const char *const *names = alias_names(j->from);
    for (names = names ? names : own; *names; names++) {
        struct str *text;
        TRY(step_texts_named(st, str_c(*names), &text));
        for (uint32_t i = 0; i < st->rows.n; i++)
            if (!line[i].text.p && text[i].p) {
                line[i].text = text[i];
                line[i].name = str_c(*names);
            }
    }
    return OK;
}

/* The record that a source is at. */
struct source {
    uint64_t hash;
    uint32_t first; /* row + 1 of its first line; 0: nobody's place */
    struct multiline_state state;
};

static struct source *find_source(struct source *list, uint32_t mask, uint64_t hash)
{
    uint32_t at = (uint32_t)hash & mask;
    while (list[at].first && list[at].hash != hash)
        at = (at + 1) & mask;
    list[at].hash = hash;
    return &list[at];
}

static enum err find_records(const struct joiner *j, struct step *st, struct line *line,
                             uint32_t *ret_joined)
{
    uint64_t *hash = ARENA_ARRAY(st->arena, uint64_t, st->rows.n + 1);
    uint32_t slots = 16;
    while (slots < 2 * st->rows.n)
        slots *= 2;
    struct source *list = ARENA_ARRAY(st->arena, struct source, slots);
    TRY(step_hash(st, j->by, j->n_by, hash));
    for (uint32_t i = 0; i < st->rows.n; i++) {
        if (!line[i].text.p)
            continue;
        struct source *s = find_source(list, slots - 1, hash[i]);
        bool goes_on = multiline_continues(j->kind, &s->state, line[i].text);
        if (!goes_on || !s->first) {
            s->first = i + 1;
            continue;
        }
        struct line *first = &line[s->first - 1];
        line[first->next ? first->last : s->first - 1].next = i;
        first->last = i;
        line[i].joined = true;
        ++*ret_joined;
    }
    return OK;
}

/* In place of the text of its first line. */
static void put_record(struct step *st, const struct line *line, uint32_t first, struct buf *text)
{
    buf_clear(text);
    buf_put_str(text, line[first].text);
    for (uint32_t i = line[first].next; i; i = line[i].next) {
        buf_put_byte(text, '\n');
        buf_put_str(text, line[i].text);
    }
    batch_text(step_begin(st, first), line[first].name, LANE_STR, buf_str(text));
    step_end(st, first);
}

static enum err run(struct stage *s, struct step *st)
{
    const struct joiner *j = s->state;
    uint32_t joined = 0, n = 0;
    struct line *line = ARENA_ARRAY(st->arena, struct line, st->rows.n + 1);
    TRY(read_lines(j, st, line));
    TRY(find_records(j, st, line, &joined));
    if (!joined)
        return OK;
    uint32_t *row = ARENA_ARRAY(st->arena, uint32_t, st->rows.n);
    struct buf text;
    buf_init(&text, SIZE_MAX);
    for (uint32_t i = 0; i < st->rows.n; i++) {
        if (line[i].joined)
            continue;
        row[n++] = i;
        if (line[i].next)
            put_record(st, line, i, &text);
    }
    buf_release(&text);
    TRY(step_merge(st, false));
    return step_select(st, row, n);
}

static const struct stage_type multiline_stage = {
    "multiline", "a kind (java, ..., begins:REGEX), or kind, from, by (a list)", make, run,
    free_joiner};
const struct stage_type *const join_stages[] = {&multiline_stage, NULL};
