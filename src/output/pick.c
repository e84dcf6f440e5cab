#include "output/pick.h"

#include "core/mem.h"
#include "record/batch.h"
#include "record/json.h"

enum { COLUMNS_MAX = 16 }; /* looked at for one name: lanes, occurrences and dotted twins */

struct found {
    uint32_t column;
    struct presence presence;
    struct values values;
    struct str name;
};
struct field {
    char *name;
    const char *own[2];       /* its name alone, when it is no alias */
    const char *const *names; /* in order of precedence, ended by NULL */
    struct found found[COLUMNS_MAX];
    unsigned n;
};
struct pick {
    struct field *field;
    size_t cap;
    unsigned n;
    struct arena arena; /* of the item at hand */
    uint32_t item, row;
    bool begun;
};

struct pick *pick_new(void)
{
    struct pick *p = NEW(struct pick);
    arena_init(&p->arena, 0, NULL);
    return p;
}

void pick_free(struct pick *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i < p->n; i++)
        mem_free(p->field[i].name);
    mem_free(p->field);
    arena_release(&p->arena);
    mem_free(p);
}

unsigned pick_add(struct pick *p, struct str name)
{
    ARRAY_GROW(p->field, p->cap, p->n + 1);
    struct field *f = &p->field[p->n];
    *f = (struct field){.name = mem_strdup(name), .names = alias_names(name)};
    return p->n++;
}

void pick_begin(struct pick *p)
{
    p->begun = false;
}

static enum err find_columns(struct pick *p, struct field *f, struct rows *rows)
{
    f->n = 0;
    f->own[0] = f->name;
    f->own[1] = NULL;
    for (const char *const *name = f->names ? f->names : f->own; *name; name++) {
        uint32_t c = rows_find(rows, str_c(*name), 0);
        for (; c != UINT32_MAX && f->n < COLUMNS_MAX; c = rows_find(rows, str_c(*name), c + 1)) {
            const struct column *column = &rows->columns[c];
            struct found *found = &f->found[f->n];
            if (lane_is_empty(column->lane))
                continue;
            *found = (struct found){.column = c, .name = str_c(*name)};
            TRY(rows_presence(rows, c, &found->presence));
            TRY(column->ops->values(column, &p->arena, &found->values));
            f->n++;
        }
    }
    return OK;
}

enum err pick_row(struct pick *p, const struct output_row *row)
{
    p->row = row->row;
    if (p->begun && p->item == row->item)
        return OK;
    arena_reset(&p->arena);
    for (unsigned i = 0; i < p->n; i++)
        TRY(find_columns(p, &p->field[i], row->rows));
    p->item = row->item;
    p->begun = true;
    return OK;
}

bool pick_get(struct pick *p, unsigned field, struct buf *out, struct str *ret_name)
{
    const struct field *f = &p->field[field];
    for (unsigned i = 0; i < f->n; i++) {
        const struct found *found = &f->found[i];
        if (!presence_has(&found->presence, p->row))
            continue;
        uint32_t at = presence_rank(&found->presence, p->row);
        if (found->values.lane == LANE_STR)
            buf_put_str(out, values_text(&found->values, at));
        else
            json_put_value(out, &found->values, at);
        if (ret_name)
            *ret_name = found->name;
        return true;
    }
    return false;
}

/* ---- texts ---- */

enum { TEXT_PARTS_MAX = 32 };

struct pick_text {
    char *text;
    struct {
        struct str literal;
        unsigned field; /* behind it */
        bool has_field;
    } part[TEXT_PARTS_MAX];
    unsigned n;
};

enum err pick_text_new(struct pick *p, struct str text, struct pick_text **ret)
{
    struct pick_text *t = NEW(struct pick_text);
    t->text = mem_strdup(text);
    struct str rest = str_c(t->text);
    while (rest.n && t->n < TEXT_PARTS_MAX) {
        size_t open = str_find_byte(rest, '{', 0), close = str_find_byte(rest, '}', open);
        if (open < rest.n && (close == rest.n || close == open + 1))
            break;
        t->part[t->n].literal = str_of(rest.p, open);
        t->part[t->n].has_field = open < rest.n;
        if (open < rest.n)
            t->part[t->n].field = pick_add(p, str_of(rest.p + open + 1, close - open - 1));
        t->n++;
        rest = str_from(rest, close + 1);
    }
    if (!rest.n) {
        *ret = t;
        return OK;
    }
    pick_text_free(t);
    return err_set(ERR_INVALID, "\"%.*s\": a text with {field}s in it is wanted, at most %d",
                   STR_ARG(text), TEXT_PARTS_MAX);
}

void pick_text_free(struct pick_text *t)
{
    if (!t)
        return;
    mem_free(t->text);
    mem_free(t);
}

bool pick_text_put(const struct pick_text *t, struct pick *p, struct buf *out)
{
    unsigned fields = 0, there = 0;
    for (unsigned i = 0; i < t->n; i++) {
        buf_put_str(out, t->part[i].literal);
        fields += t->part[i].has_field;
        if (t->part[i].has_field)
            there += pick_get(p, t->part[i].field, out, NULL);
    }
    return there || !fields;
}
