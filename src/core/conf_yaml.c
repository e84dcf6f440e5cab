/* YAML in and out. Nested maps flatten to dotted names, so that
 *
 *     store:
 *       retention: 30d
 *
 * and `store.retention: 30d` say the same. Errors begin with file:line:column: of the key where the
 * name is wrong, of the value where that is. A setting without a value keeps its default. */
#include "core/conf.h"
#include "core/io.h"
#include "core/mem.h"

#include <yaml.h>

enum { DEPTH_MAX = 16, NAME_MAX_BYTES = 256, FILE_MAX = 1 << 20 };

struct loader {
    struct conf *conf;
    const char *file;
    yaml_document_t *doc;
    size_t *lines; /* a setting's line in this file; 0: not yet there */
};

static const char *place(const struct loader *l, yaml_mark_t mark, char out[512])
{
    snprintf(out, 512, "%s:%zu:%zu", l->file, mark.line + 1, mark.column + 1);
    return out;
}

static struct str scalar(const yaml_node_t *node)
{
    return str_of((const char *)node->data.scalar.value, node->data.scalar.length);
}

static bool is_null(const yaml_node_t *node)
{
    if (node->type != YAML_SCALAR_NODE || node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE)
        return false;
    struct str s = scalar(node);
    return s.n == 0 || str_eq(s, STR("~")) || str_ieq(s, STR("null"));
}

static size_t setting_index(const struct conf *c, const char *name)
{
    const struct conf_setting *table = conf_settings(c);
    size_t i = 0;
    while (table[i].name && strcmp(table[i].name, name) != 0)
        i++;
    return i;
}

static bool is_section(const struct conf *c, const char *name)
{
    size_t n = strlen(name);
    for (const struct conf_setting *s = conf_settings(c); s->name; s++) {
        if (strncmp(s->name, name, n) == 0 && s->name[n] == '.')
            return true;
    }
    return false;
}

static enum err load_sequence(struct loader *l, const char *name, const yaml_node_t *node)
{
    char at[512];
    struct str *items = NULL;
    size_t count = 0, cap = 0;
    enum err err = OK;
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++) {
        const yaml_node_t *item = yaml_document_get_node(l->doc, *i);
        if (item->type != YAML_SCALAR_NODE) {
            err = err_set(ERR_INVALID, "%s: %s: an item of the list is not a plain value",
                          place(l, item->start_mark, at), name);
            goto out;
        }
        ARRAY_GROW(items, cap, count + 1);
        items[count++] = scalar(item);
    }
    err = conf_set_list(l->conf, name, items, count, place(l, node->start_mark, at));
out:
    mem_free(items);
    return err;
}

static enum err load_value(struct loader *l, const char *name, yaml_mark_t key_mark,
                           const yaml_node_t *node)
{
    char at[512];
    size_t i = setting_index(l->conf, name);
    bool known = conf_settings(l->conf)[i].name != NULL;
    if (is_null(node) && (known || is_section(l->conf, name)))
        return OK;
    if (known && l->lines[i])
        return err_set(ERR_INVALID, "%s: \"%s\" is set in line %zu already", place(l, key_mark, at),
                       name, l->lines[i]);
    if (known)
        l->lines[i] = key_mark.line + 1;
    else if (is_section(l->conf, name))
        return err_set(ERR_INVALID, "%s: \"%s\" is a group of settings, not a setting",
                       place(l, key_mark, at), name);
    if (known && node->type == YAML_SEQUENCE_NODE)
        return load_sequence(l, name, node);
    struct str text = node->type == YAML_SCALAR_NODE ? scalar(node) : STR("");
    return conf_set(l->conf, name, text, place(l, known ? node->start_mark : key_mark, at));
}

static enum err load_mapping(struct loader *l, const char *prefix, const yaml_node_t *map,
                             int depth)
{
    char name[NAME_MAX_BYTES], at[512];
    if (depth > DEPTH_MAX)
        return err_set(ERR_INVALID, "%s: nested too deeply", place(l, map->start_mark, at));
    for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(l->doc, p->key);
        const yaml_node_t *value = yaml_document_get_node(l->doc, p->value);
        if (key->type != YAML_SCALAR_NODE)
            return err_set(ERR_INVALID, "%s: the name of a setting must be a word",
                           place(l, key->start_mark, at));
        int n = snprintf(name, sizeof(name), "%s%s%.*s", prefix, *prefix ? "." : "",
                         STR_ARG(scalar(key)));
        if (n < 0 || (size_t)n >= sizeof(name))
            return err_set(ERR_INVALID, "%s: the name is too long", place(l, key->start_mark, at));
        size_t i = setting_index(l->conf, name);
        if (conf_settings(l->conf)[i].name && conf_settings(l->conf)[i].type == CONF_TREE)
            continue;
        if (value->type == YAML_MAPPING_NODE)
            TRY(load_mapping(l, name, value, depth + 1));
        else
            TRY(load_value(l, name, key->start_mark, value));
    }
    return OK;
}

static enum err load_document(struct loader *l)
{
    const yaml_node_t *root = yaml_document_get_root_node(l->doc);
    char at[512];
    if (!root || is_null(root))
        return OK;
    if (root->type != YAML_MAPPING_NODE)
        return err_set(ERR_INVALID, "%s: the file must be a map of settings",
                       place(l, root->start_mark, at));
    return load_mapping(l, "", root, 1);
}

static enum err syntax_error(const struct loader *l, const yaml_parser_t *parser)
{
    char at[512];
    return err_set(ERR_INVALID, "%s: %s%s%s", place(l, parser->problem_mark, at),
                   parser->context ? parser->context : "", parser->context ? ": " : "",
                   parser->problem ? parser->problem : "not YAML");
}

enum err conf_load_yaml(struct conf *c, struct str text, const char *name)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    struct loader l = {.conf = c, .file = name, .doc = &doc};
    if (!yaml_parser_initialize(&parser))
        BUG("no memory for a YAML parser");
    text = text.n ? text : STR(""); /* the library insists on an address */
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.p, text.n);
    enum err err;
    if (yaml_parser_load(&parser, &doc)) {
        l.lines = NEW_ARRAY(size_t, setting_index(c, "") + 1); /* "" is none: their number */
        err = load_document(&l);
        mem_free(l.lines);
        yaml_document_delete(&doc);
    } else {
        err = syntax_error(&l, &parser);
    }
    yaml_parser_delete(&parser);
    return err;
}

enum err conf_load_file(struct conf *c, const char *path)
{
    struct buf b;
    TRY(io_read_file(path, FILE_MAX, &b));
    enum err err = conf_load_yaml(c, buf_str(&b), path);
    buf_release(&b);
    return err;
}

static bool needs_quotes(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || !strchr("._/-", c) || !c))
            return true;
    }
    return s.n == 0 || str_ieq(s, STR("null"));
}

static void put_scalar(struct buf *out, struct str s)
{
    if (!needs_quotes(s)) {
        buf_put_str(out, s);
        return;
    }
    buf_put_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\x%02x", c);
        else
            buf_put_byte(out, (char)c);
    }
    buf_put_byte(out, '"');
}

static void put_indent(struct buf *out, unsigned depth)
{
    while (depth--)
        buf_put_c(out, "  ");
}

/* Opens the groups of `name` that `before` was not in; returns how deep the setting stands. */
static unsigned put_groups(struct buf *out, const char *before, const char *name)
{
    unsigned depth = 0;
    bool same = true;
    for (const char *dot; (dot = strchr(name, '.')); name = dot + 1, depth++) {
        size_t n = (size_t)(dot - name) + 1;
        same = same && strncmp(before, name, n) == 0;
        if (same) {
            before += n;
            continue;
        }
        if (depth == 0)
            buf_put_c(out, "\n");
        put_indent(out, depth);
        buf_put(out, name, n - 1);
        buf_put_c(out, ":\n");
    }
    return depth;
}

/* Of a URL its user and what stands behind the '?' are left out: keys and passwords are there. */
static void put_item(struct buf *out, struct str item, bool secret)
{
    size_t scheme = str_find(item, STR("://")), query = str_find_byte(item, '?', 0);
    if (scheme == SIZE_MAX || secret) {
        put_scalar(out, secret ? STR("***") : item);
        return;
    }
    size_t host = scheme + 3;
    for (size_t i = host; i < query; i++)
        if (item.p[i] == '@')
            host = i + 1;
    struct buf shown;
    buf_init(&shown, SIZE_MAX);
    buf_put(&shown, item.p, scheme + 3);
    buf_put_c(&shown, host > scheme + 3 ? "***@" : "");
    buf_put(&shown, item.p + host, query - host);
    buf_put_c(&shown, query < item.n ? "?***" : "");
    put_scalar(out, buf_str(&shown));
    buf_release(&shown);
}

static void put_list(const struct conf *c, const char *name, bool secret, struct buf *out)
{
    const char *item;
    buf_put_byte(out, '[');
    for (size_t i = 0; (item = conf_list_item(c, name, i)); i++) {
        buf_put_c(out, i ? ", " : "");
        put_item(out, str_c(item), secret);
    }
    buf_put_byte(out, ']');
}

/* What was set is shown as it was written; a secret, and what is unset, as a comment. */
static void put_setting(const struct conf *c, const struct conf_setting *s, unsigned depth,
                        struct buf *out)
{
    const char *text = conf_text(c, s->name);
    const char *dot = strrchr(s->name, '.');
    bool shown = s->type == CONF_LIST || (text && !s->secret);
    put_indent(out, depth);
    buf_printf(out, "%s%s:", shown ? "" : "# ", dot ? dot + 1 : s->name);
    buf_put_c(out, shown || text ? " " : "");
    if (s->type == CONF_LIST)
        put_list(c, s->name, s->secret, out);
    else if (text && s->secret)
        buf_put_c(out, "\"***\"");
    else if (text)
        put_item(out, str_c(text), false);
}

static void write_all(const struct conf *c, bool help, struct buf *out)
{
    const char *before = "";
    for (const struct conf_setting *s = conf_settings(c); s->name; s++) {
        unsigned depth = put_groups(out, before, s->name);
        before = s->name;
        if (help) {
            put_indent(out, depth);
            buf_printf(out, "# %s%s%s%s\n", s->help, s->choices ? " One of " : "",
                       s->choices ? s->choices : "", s->choices ? "." : "");
        }
        put_setting(c, s, depth, out);
        if (!help)
            buf_printf(out, "  # %s", conf_source(c, s->name));
        buf_put_byte(out, '\n');
    }
}

void conf_write_default(struct buf *out)
{
    struct conf *c = conf_new();
    buf_put_c(
        out,
        "# Weir's settings, each with its default. What is left out keeps it; the environment\n"
        "# (store.retention: WEIR_STORE_RETENTION) and the command line come after this file.\n");
    write_all(c, true, out);
    conf_free(c);
}

void conf_write(const struct conf *c, struct buf *out)
{
    buf_put_c(out, "# Weir's settings in force, and where each came from.\n");
    write_all(c, false, out);
}
