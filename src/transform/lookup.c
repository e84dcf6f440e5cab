/* lookup: fields of a row of a CSV file, found by the value of a field.
 *
 * The file's first line names its columns (RFC 4180: fields in quotes may hold separators, line
 * feeds and "" for a quote). It is read when the chain is made, and again when it has changed: it
 * is looked at once a second while records come. A changed file that cannot be read leaves the
 * table as it was. Of rows with the same key the first counts. Bounds: 64 MiB, a million rows, 100
 * columns. */
#include "core/clock.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "transform/transform_impl.h"

#include <sys/stat.h>

enum { FILE_MAX = 64 << 20, ROWS_MAX = 1000000, COLUMNS_MAX = 100 };
#define LOOK_NS NS_PER_S

/* A file that was read. */
struct table {
    struct arena arena;
    struct str column[COLUMNS_MAX];
    uint32_t n_columns, key; /* key: number of the column */
    struct str *cell;        /* row after row */
    uint32_t n_rows;
    uint32_t *slot; /* number of a row + 1, by the key's hash; open addressing */
    uint32_t mask;
};

struct lookup {
    const char *file;
    struct str from, column, prefix;
    struct str *take;
    uint32_t n_take; /* 0: all but the key */
    char separator;
    struct table *table;
    struct timespec changed; /* of the file read */
    off_t size;
    int64_t looked_ns;
};

/* ---- reading ---- */

static void table_free(struct table *t)
{
    if (!t)
        return;
    arena_release(&t->arena);
    mem_free(t);
}

struct csv {
    struct str text;
    size_t at;
    unsigned line;
    char separator;
    struct buf cell;
};

/* The next cell; *ret_last: it ends its row. False where a quote is not closed. */
static bool next_cell(struct csv *c, struct arena *a, struct str *ret, bool *ret_last)
{
    buf_clear(&c->cell);
    bool in_quotes = c->at < c->text.n && c->text.p[c->at] == '"';
    c->at += in_quotes;
    for (; c->at < c->text.n; c->at++) {
        char b = c->text.p[c->at];
        c->line += b == '\n';
        if (in_quotes && b == '"' && c->at + 1 < c->text.n && c->text.p[c->at + 1] == '"')
            c->at++;
        else if (in_quotes && b == '"')
            break;
        else if (!in_quotes && (b == c->separator || b == '\n'))
            break;
        buf_put_byte(&c->cell, b);
    }
    if (in_quotes && c->at++ >= c->text.n)
        return false;
    struct str text = buf_str(&c->cell);
    bool end = c->at >= c->text.n || c->text.p[c->at] == '\n';
    if (in_quotes && c->at < c->text.n && c->text.p[c->at] == '\r')
        end = ++c->at >= c->text.n || c->text.p[c->at] == '\n';
    if (!in_quotes && end && str_ends(text, STR("\r")))
        text.n--;
    *ret = arena_str(a, text);
    *ret_last = end;
    bool parted = end || c->text.p[c->at] == c->separator;
    c->at++;
    return parted;
}

static enum err read_row(struct csv *c, struct arena *a, struct str *cell, uint32_t *ret_n)
{
    unsigned line = c->line;
    bool last = false;
    uint32_t n = 0;
    while (!last) {
        if (n == COLUMNS_MAX)
            return err_set(ERR_LIMIT, "line %u: at most %d columns", line, COLUMNS_MAX);
        if (!next_cell(c, a, &cell[n++], &last))
            return err_set(ERR_INVALID, "line %u: what begins with a quote must end with one",
                           line);
    }
    *ret_n = n;
    return OK;
}

static enum err read_head(struct lookup *l, struct csv *c, struct table *t)
{
    TRY(read_row(c, &t->arena, t->column, &t->n_columns));
    for (t->key = 0; t->key < t->n_columns; t->key++)
        if (str_eq(t->column[t->key], l->column))
            break;
    if (t->key == t->n_columns)
        return err_set(ERR_INVALID, "no column is named \"%.*s\"", STR_ARG(l->column));
    for (uint32_t i = 0; i < l->n_take; i++) {
        uint32_t k = 0;
        while (k < t->n_columns && !str_eq(t->column[k], l->take[i]))
            k++;
        if (k == t->n_columns)
            return err_set(ERR_INVALID, "no column is named \"%.*s\"", STR_ARG(l->take[i]));
    }
    return OK;
}

static enum err read_rows(struct csv *c, struct table *t)
{
    struct str row[COLUMNS_MAX];
    size_t cap = 0;
    struct str *cell = NULL;
    enum err err = OK;
    while (err == OK && c->at < c->text.n) {
        uint32_t n = 0;
        unsigned line = c->line;
        err = read_row(c, &t->arena, row, &n);
        if (err != OK || (n == 1 && !row[0].n))
            continue;
        if (n != t->n_columns)
            err = err_set(ERR_INVALID, "line %u has %u columns, the first line %u", line, n,
                          t->n_columns);
        else if (t->n_rows == ROWS_MAX)
            err = err_set(ERR_LIMIT, "at most %d rows", ROWS_MAX);
        if (err != OK)
            continue;
        ARRAY_GROW(cell, cap, (size_t)(t->n_rows + 1) * n);
        memcpy(cell + (size_t)t->n_rows++ * n, row, n * sizeof(*row));
    }
    if (err == OK && t->n_rows) {
        t->cell = ARENA_ARRAY(&t->arena, struct str, (size_t)t->n_rows * t->n_columns);
        memcpy(t->cell, cell, (size_t)t->n_rows * t->n_columns * sizeof(*cell));
    }
    mem_free(cell);
    return err;
}

/* The number of the key's row, or n_rows; *ret_slot: where it is, or would be. */
static uint32_t find(const struct table *t, struct str key, uint32_t *ret_slot)
{
    uint32_t at = (uint32_t)hash64(key) & t->mask;
    for (; t->slot[at]; at = (at + 1) & t->mask)
        if (str_eq(t->cell[(size_t)(t->slot[at] - 1) * t->n_columns + t->key], key))
            break;
    *ret_slot = at;
    return t->slot[at] ? t->slot[at] - 1 : t->n_rows;
}

static void index_rows(struct table *t)
{
    uint32_t slots = 16, slot;
    while (slots < t->n_rows * 2)
        slots *= 2;
    t->mask = slots - 1;
    t->slot = ARENA_ARRAY(&t->arena, uint32_t, slots);
    for (uint32_t i = 0; i < t->n_rows; i++)
        if (find(t, t->cell[(size_t)i * t->n_columns + t->key], &slot) == t->n_rows)
            t->slot[slot] = i + 1;
}

static enum err table_read(struct lookup *l, struct str text, struct table **ret)
{
    struct table *t = NEW(struct table);
    struct csv c = {.text = text, .line = 1, .separator = l->separator};
    c.at = str_starts(text, STR("\xef\xbb\xbf")) ? 3 : 0;
    arena_init(&t->arena, 0, NULL);
    buf_init(&c.cell, SIZE_MAX);
    enum err err = read_head(l, &c, t);
    if (err == OK)
        err = read_rows(&c, t);
    buf_release(&c.cell);
    if (err != OK) {
        table_free(t);
        return err;
    }
    index_rows(t);
    *ret = t;
    return OK;
}

static enum err load(struct lookup *l)
{
    struct stat st;
    struct buf text;
    struct table *t;
    if (stat(l->file, &st) != 0)
        return err_set_errno("%s", l->file);
    l->changed = st.st_mtim;
    l->size = st.st_size;
    TRY(io_read_file(l->file, FILE_MAX, &text));
    enum err err = table_read(l, buf_str(&text), &t);
    buf_release(&text);
    if (err != OK)
        return err_set(err, "%s: %s", l->file, err_text());
    table_free(l->table);
    l->table = t;
    return OK;
}

/* Reads the file again where it is another now. */
static void look_again(struct lookup *l)
{
    struct stat st;
    int64_t now = clock_mono_ns();
    if (now - l->looked_ns < LOOK_NS)
        return;
    l->looked_ns = now;
    if (stat(l->file, &st) != 0 ||
        (st.st_size == l->size && st.st_mtim.tv_sec == l->changed.tv_sec &&
         st.st_mtim.tv_nsec == l->changed.tv_nsec))
        return;
    if (load(l) == OK)
        log_info("a table was read again", "file=%s rows=%u", l->file, l->table->n_rows);
    else
        log_warn("a table cannot be read again, and stays as it was", "error=\"%s\"", err_text());
}

/* ---- the stage ---- */

static enum err make_lookup(struct stage *s, const struct tree *args)
{
    static const char *const known[] = {"file",   "from",      "column", "take",
                                        "prefix", "separator", NULL};
    struct lookup *l = ARENA_NEW(s->arena, struct lookup);
    struct str file, separator;
    if (!args || args->kind != TREE_MAP || !tree_get(args, "file") || !tree_get(args, "from"))
        return args ? tree_error(args, "lookup takes %s", s->type->args)
                    : err_set(ERR_INVALID, "lookup takes %s", s->type->args);
    s->state = l;
    TRY(tree_check_keys(args, known));
    TRY(arg_text(s, args, "file", "", &file));
    TRY(arg_text(s, args, "from", "", &l->from));
    TRY(arg_text(s, args, "column", l->from.p, &l->column));
    TRY(arg_text(s, args, "prefix", "", &l->prefix));
    TRY(arg_text(s, args, "separator", ",", &separator));
    const struct tree *take = tree_get(args, "take");
    if (take)
        TRY(arg_list(s, take, &l->take, &l->n_take));
    if (separator.n != 1)
        return tree_error(tree_get(args, "separator"), "the separator is one byte");
    l->file = file.p;
    l->separator = separator.p[0];
    l->looked_ns = clock_mono_ns();
    return load(l) == OK ? OK : tree_error(tree_get(args, "file"), "%s", err_text());
}

static void free_lookup(struct stage *s)
{
    table_free(((struct lookup *)s->state)->table);
}

static bool is_taken(const struct lookup *l, uint32_t column)
{
    const struct table *t = l->table;
    for (uint32_t i = 0; i < l->n_take; i++)
        if (str_eq(t->column[column], l->take[i]))
            return true;
    return !l->n_take && column != t->key;
}

static void put_row(const struct lookup *l, struct batch *b, uint32_t row, struct buf *name)
{
    const struct table *t = l->table;
    for (uint32_t i = 0; i < t->n_columns; i++) {
        struct str cell = t->cell[(size_t)row * t->n_columns + i];
        if (!cell.n || !is_taken(l, i))
            continue;
        buf_clear(name);
        buf_put_str(name, l->prefix);
        buf_put_str(name, t->column[i]);
        put_guess(b, buf_str(name), cell);
    }
}

static enum err run_lookup(struct stage *s, struct step *st)
{
    struct lookup *l = s->state;
    struct str *key;
    struct buf name;
    look_again(l);
    TRY(step_texts(st, l->from, &key));
    buf_init(&name, SIZE_MAX);
    for (uint32_t row = 0; row < st->rows.n; row++) {
        uint32_t slot, found = key[row].p ? find(l->table, key[row], &slot) : l->table->n_rows;
        if (found == l->table->n_rows) {
            st->missed++;
            continue;
        }
        put_row(l, step_begin(st, row), found, &name);
        step_end(st, row);
    }
    buf_release(&name);
    return step_merge(st, false);
}

static const struct stage_type lookup_stage = {
    "lookup", "file, from, and column, take (a list), prefix, separator", make_lookup, run_lookup,
    free_lookup};
const struct stage_type *const lookup_stages[] = {&lookup_stage, NULL};
