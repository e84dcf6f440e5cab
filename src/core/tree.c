#include "core/tree.h"

#include "core/buf.h"
#include "core/hash.h"
#include "core/io.h"
#include "core/mem.h"

#include <yaml.h>

enum { TEXT_MAX = 1 << 20, KEY_SHOWN_MAX = 60 };

struct reading {
    yaml_document_t *doc;
    const char *file;
    struct arena *arena;
    uint32_t nodes;
};

static void place(const struct reading *r, const yaml_node_t *node, struct tree *t)
{
    t->file = r->file;
    t->line = (uint32_t)node->start_mark.line + 1;
    t->column = (uint32_t)node->start_mark.column + 1;
}

static enum err convert(struct reading *r, int id, unsigned depth, struct tree *ret);

static enum err convert_list(struct reading *r, const yaml_node_t *node, unsigned depth,
                             struct tree *t)
{
    yaml_node_item_t *from = node->data.sequence.items.start;
    t->kind = TREE_LIST;
    t->n = (uint32_t)(node->data.sequence.items.top - from);
    t->item = ARENA_ARRAY(r->arena, struct tree, t->n + 1);
    for (uint32_t i = 0; i < t->n; i++)
        TRY(convert(r, from[i], depth + 1, &t->item[i]));
    return OK;
}

static enum err convert_map(struct reading *r, const yaml_node_t *node, unsigned depth,
                            struct tree *t)
{
    yaml_node_pair_t *from = node->data.mapping.pairs.start;
    t->kind = TREE_MAP;
    t->n = (uint32_t)(node->data.mapping.pairs.top - from);
    t->item = ARENA_ARRAY(r->arena, struct tree, t->n + 1);
    t->key = ARENA_ARRAY(r->arena, struct tree, t->n + 1);
    for (uint32_t i = 0; i < t->n; i++) {
        TRY(convert(r, from[i].key, depth + 1, &t->key[i]));
        if (t->key[i].kind != TREE_TEXT)
            return tree_error(&t->key[i], "a name must be a word");
        for (uint32_t k = 0; k < i; k++)
            if (str_eq(t->key[k].text, t->key[i].text))
                return tree_error(&t->key[i], "\"%.*s\" is there already, in line %u",
                                  STR_ARG(t->key[i].text), t->key[k].line);
        TRY(convert(r, from[i].value, depth + 1, &t->item[i]));
    }
    return OK;
}

static enum err convert(struct reading *r, int id, unsigned depth, struct tree *ret)
{
    const yaml_node_t *node = yaml_document_get_node(r->doc, id);
    place(r, node, ret);
    if (depth > TREE_DEPTH_MAX)
        return tree_error(ret, "nested more than %d levels deep", TREE_DEPTH_MAX);
    if (++r->nodes > TREE_NODES_MAX)
        return tree_error(ret, "more than %d values", TREE_NODES_MAX);
    if (node->type == YAML_SEQUENCE_NODE)
        return convert_list(r, node, depth, ret);
    if (node->type == YAML_MAPPING_NODE)
        return convert_map(r, node, depth, ret);
    ret->kind = TREE_TEXT;
    ret->text = arena_str(r->arena,
                          str_of((const char *)node->data.scalar.value, node->data.scalar.length));
    ret->quoted = node->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    return OK;
}

static enum err read_document(struct reading *r, struct tree *ret)
{
    if (!yaml_document_get_root_node(r->doc)) {
        *ret = (struct tree){.kind = TREE_MAP, .file = r->file, .line = 1, .column = 1};
        return OK;
    }
    return convert(r, 1, 1, ret);
}

/* A tab that indents: nothing but white space is before it in its line. */
static bool is_tab(struct str yaml, size_t line, size_t column)
{
    struct str at = {0};
    for (size_t i = 0; i <= line; i++)
        if (!str_split(&yaml, '\n', &at))
            return false;
    return column < at.n && at.p[column] == '\t' && !str_trim(str_of(at.p, column)).n;
}

enum err tree_read(struct str yaml, const char *file, struct arena *a, struct tree *ret)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    struct reading r = {.doc = &doc, .arena = a};
    r.file = arena_str(a, str_c(file)).p;
    *ret = (struct tree){0};
    if (!yaml_parser_initialize(&parser))
        BUG("no memory for a YAML parser");
    yaml_parser_set_input_string(&parser, (const unsigned char *)(yaml.n ? yaml.p : ""), yaml.n);
    enum err err;
    if (yaml_parser_load(&parser, &doc)) {
        err = read_document(&r, ret);
        yaml_document_delete(&doc);
    } else {
        bool tab = is_tab(yaml, parser.problem_mark.line, parser.problem_mark.column);
        err = err_set(ERR_INVALID, "%s:%zu:%zu: %s%s%s%s", file, parser.problem_mark.line + 1,
                      parser.problem_mark.column + 1, parser.context ? parser.context : "",
                      parser.context ? ": " : "", parser.problem ? parser.problem : "not YAML",
                      tab ? "; YAML is indented by spaces, not by tabs" : "");
    }
    yaml_parser_delete(&parser);
    return err;
}

enum err tree_read_file(const char *path, struct arena *a, struct tree *ret)
{
    struct buf b;
    TRY(io_read_file(path, TEXT_MAX, &b));
    enum err err = tree_read(buf_str(&b), path, a, ret);
    buf_release(&b);
    return err;
}

const struct tree *tree_get(const struct tree *t, const char *key)
{
    for (uint32_t i = 0; t && t->kind == TREE_MAP && i < t->n; i++)
        if (str_eq_c(t->key[i].text, key))
            return &t->item[i];
    return NULL;
}

const char *tree_nearest(struct str word, const char *const *words)
{
    const char *best = NULL;
    unsigned least = 3;
    for (; *words; words++) {
        unsigned d = str_distance(word, str_c(*words), 2);
        if (d < least) {
            best = *words;
            least = d;
        }
    }
    return best;
}

static enum err unknown_key(const struct tree *key, const char *const *known)
{
    int n = key->text.n > KEY_SHOWN_MAX ? KEY_SHOWN_MAX : (int)key->text.n;
    const char *near = tree_nearest(key->text, known);
    struct buf all;
    if (near)
        return tree_error(key, "\"%.*s\" is not known here; did you mean \"%s\"?", n, key->text.p,
                          near);
    buf_init(&all, 1024);
    for (const char *const *k = known; *k; k++)
        buf_printf(&all, "%s%s", k == known ? "" : k[1] ? ", " : " and ", *k);
    enum err err = tree_error(key, "\"%.*s\" is not known here; there are %.*s", n, key->text.p,
                              STR_ARG(buf_str(&all)));
    buf_release(&all);
    return err;
}

enum err tree_check_keys(const struct tree *map, const char *const *known)
{
    for (uint32_t i = 0; i < map->n; i++) {
        const struct tree *key = &map->key[i];
        const char *const *k = known;
        while (*k && !str_eq_c(key->text, *k))
            k++;
        if (*k)
            continue;
        return unknown_key(key, known);
    }
    return OK;
}

enum err tree_text(const struct tree *map, const char *key, const char *def, struct arena *a,
                   const char **ret)
{
    const struct tree *t = tree_get(map, key);
    *ret = def;
    if (!t)
        return OK;
    if (t->kind != TREE_TEXT)
        return tree_error(t, "%s: a text is wanted", key);
    *ret = arena_str(a, t->text).p;
    return OK;
}

uint64_t tree_hash(const struct tree *t)
{
    if (!t)
        return 1;
    uint64_t h = hash_mix((uint64_t)t->kind + 2);
    if (t->kind == TREE_TEXT)
        return hash64_seed(t->text, h + t->quoted);
    for (uint32_t i = 0; i < t->n; i++) {
        if (t->kind == TREE_MAP)
            h = hash_mix(h ^ tree_hash(&t->key[i]));
        h = hash_mix(h + tree_hash(&t->item[i]));
    }
    return hash_mix(h + t->n);
}
