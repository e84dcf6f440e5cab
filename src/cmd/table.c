/* Records on a terminal. Numbers are shown as the server wrote them, so records are parsed by
 * jansson only to find their members, integers beyond 64 bits as reals. Control characters are
 * shown as '?': a log line must not drive the terminal. */
#include "cmd/table.h"

#include "cmd/options.h"
#include "core/mem.h"
#include "record/batch.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum { COLUMNS_MAX = 64, CELL_MAX = 120, SHOWN_MAX = 4096 };

struct table {
    bool logs, colours;
    char *name[COLUMNS_MAX];
    size_t width[COLUMNS_MAX], n_columns;
    char **cell; /* n_rows of COLUMNS_MAX; NULL: absent */
    size_t n_rows, rows_cap;
};

struct table *table_new(bool logs)
{
    struct table *t = NEW(struct table);
    t->logs = logs;
    t->colours = terminal_colours();
    return t;
}

void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n_rows * COLUMNS_MAX; i++)
        mem_free(t->cell[i]);
    for (size_t i = 0; i < t->n_columns; i++)
        mem_free(t->name[i]);
    mem_free(t->cell);
    mem_free(t);
}

static json_t *parse(struct str record)
{
    json_error_t error;
    json_t *o = json_loadb(record.p, record.n, JSON_ALLOW_NUL, &error);
    return o ? o : json_loadb(record.p, record.n, JSON_DECODE_INT_AS_REAL | JSON_ALLOW_NUL, &error);
}

/* A value as text, to be freed with mem_free. */
static char *text_of(const json_t *v)
{
    if (json_is_string(v))
        return mem_strdup(str_of(json_string_value(v), json_string_length(v)));
    char *dumped = json_dumps(v, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(15));
    char *text = mem_strdup(str_c(dumped ? dumped : "?"));
    mem_free(dumped);
    return text;
}

static void put_plain(const char *s, size_t max)
{
    size_t n = 0;
    for (; *s && n < max; s++, n++)
        putchar((unsigned char)*s < 0x20 || *s == 0x7f ? (*s == '\t' ? ' ' : '?') : *s);
    if (*s)
        fputs("...", stdout);
}

/* The member a dotted name stands for: itself, or nested. */
static json_t *member(json_t *o, const char *name)
{
    json_t *v = json_object_get(o, name);
    const char *dot = strchr(name, '.');
    if (v || !dot)
        return v;
    char first[128];
    snprintf(first, sizeof(first), "%.*s", (int)(dot - name), name);
    return member(json_object_get(o, first), dot + 1);
}

static json_t *alias(json_t *o, const char *const *names, const char **ret_name)
{
    for (; *names; names++) {
        json_t *v = member(o, *names);
        if (v && !json_is_null(v)) {
            *ret_name = *names;
            return v;
        }
    }
    *ret_name = "";
    return NULL;
}

/* ---- logs ---- */

static const char *colour_of(const char *level)
{
    switch (level[0] | 0x20) {
    case 'e':
    case 'f':
    case 'c':
        return "\033[31m";
    case 'w':
        return "\033[33m";
    case 'd':
    case 't':
        return "\033[2m";
    default:
        return "\033[32m";
    }
}

static void print_value(const struct table *t, json_t *v, const char *colour, int width)
{
    char *text = v ? text_of(v) : mem_strdup(STR(""));
    if (t->colours && colour)
        fputs(colour, stdout);
    put_plain(text, SHOWN_MAX);
    if (t->colours && colour)
        fputs("\033[0m", stdout);
    for (int n = (int)strlen(text); n < width; n++)
        putchar(' ');
    if (v)
        putchar(' ');
    mem_free(text);
}

static void print_log(const struct table *t, json_t *o)
{
    const char *names[5], *name;
    json_t *time = json_object_get(o, "_time"), *v;
    json_t *level = alias(o, level_names, &names[0]);
    json_t *service = alias(o, service_names, &names[1]);
    json_t *host = alias(o, host_names, &names[2]);
    json_t *message = alias(o, message_names, &names[3]);
    if (!time)
        time = alias(o, time_names, &names[4]);
    char *level_text = level ? text_of(level) : NULL;
    print_value(t, time, "\033[2m", 24);
    print_value(t, level, level_text ? colour_of(level_text) : NULL, 5);
    print_value(t, service, "\033[36m", 0);
    print_value(t, host, "\033[2m", 0);
    print_value(t, message, NULL, 0);
    mem_free(level_text);
    if (t->colours)
        fputs("\033[2m", stdout);
    json_object_foreach(o, name, v)
    {
        bool shown = name[0] == '_' || !strcmp(name, "log_id") || v == time || v == level ||
                     v == service || v == host || v == message;
        for (const char *const *n = time_names; *n && !shown; n++)
            shown = !strcmp(*n, name);
        if (shown)
            continue;
        char *text = text_of(v);
        printf(" %s=", name);
        put_plain(text, SHOWN_MAX);
        mem_free(text);
    }
    fputs(t->colours ? "\033[0m\n" : "\n", stdout);
}

/* ---- rows ---- */

static size_t column_of(struct table *t, const char *name)
{
    for (size_t i = 0; i < t->n_columns; i++)
        if (!strcmp(t->name[i], name))
            return i;
    if (t->n_columns == COLUMNS_MAX)
        return COLUMNS_MAX;
    t->name[t->n_columns] = mem_strdup(str_c(name));
    t->width[t->n_columns] = strlen(name);
    return t->n_columns++;
}

static void add_row(struct table *t, json_t *o)
{
    const char *name;
    json_t *v;
    size_t before = t->rows_cap;
    ARRAY_GROW(t->cell, t->rows_cap, (t->n_rows + 1) * COLUMNS_MAX);
    if (t->rows_cap != before)
        memset(t->cell + before, 0, (t->rows_cap - before) * sizeof(*t->cell));
    char **row = t->cell + t->n_rows++ * COLUMNS_MAX;
    json_object_foreach(o, name, v)
    {
        size_t c = column_of(t, name);
        if (c == COLUMNS_MAX)
            continue;
        row[c] = text_of(v);
        size_t n = strlen(row[c]);
        n = n > CELL_MAX ? CELL_MAX : n;
        t->width[c] = n > t->width[c] ? n : t->width[c];
    }
}

static void print_cell(const char *text, size_t width, bool last)
{
    size_t n = strlen(text);
    if (n > width) {
        put_plain(text, width > 3 ? width - 3 : width);
        n = width;
    } else {
        put_plain(text, n);
    }
    for (; n < width + 2 && !last; n++)
        putchar(' ');
}

void table_print(struct table *t)
{
    if (t->n_rows == 0)
        return;
    if (t->colours)
        fputs("\033[1m", stdout);
    for (size_t c = 0; c < t->n_columns; c++)
        print_cell(t->name[c], t->width[c], c + 1 == t->n_columns);
    fputs(t->colours ? "\033[0m\n" : "\n", stdout);
    for (size_t r = 0; r < t->n_rows; r++) {
        for (size_t c = 0; c < t->n_columns; c++) {
            const char *text = t->cell[r * COLUMNS_MAX + c];
            print_cell(text ? text : "", t->width[c], c + 1 == t->n_columns);
        }
        putchar('\n');
    }
}

enum err table_add(struct table *t, struct str record)
{
    json_t *o = parse(record);
    if (!o)
        return err_set(ERR_INVALID, "the server sent what is no JSON: %.*s",
                       record.n > 100 ? 100 : (int)record.n, record.p);
    if (t->logs)
        print_log(t, o);
    else
        add_row(t, o);
    json_decref(o);
    return OK;
}

void table_print_raw(struct str record)
{
    const char *name;
    json_t *o = parse(record), *message = o ? alias(o, message_names, &name) : NULL;
    if (message) {
        char *text = text_of(message);
        puts(text);
        mem_free(text);
    } else {
        printf("%.*s\n", STR_ARG(record));
    }
    json_decref(o);
}
