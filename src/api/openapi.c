/* GET /api/openapi.json: docs/openapi.yaml, which is embedded into the program, as JSON.
 *
 * Of YAML what that document uses: maps, lists, scalars, anchors and their aliases (written out
 * where they stand; libyaml has no merge keys). A plain scalar is null, true, false or an integer
 * where JSON would read it as one; everything else is a string. */
#include "api/openapi.h"
#include "api/internal.h"

#include "record/json.h"

#include <yaml.h>

extern const unsigned char openapi_yaml[];
extern const size_t openapi_yaml_size;

enum { DEPTH_MAX = 64, DOCUMENT_MAX = 4 << 20 };

static bool is_integer(struct str s)
{
    struct str digits = s.n && s.p[0] == '-' ? str_from(s, 1) : s;
    if (digits.n == 0 || digits.n > 18 || (digits.n > 1 && digits.p[0] == '0'))
        return false;
    for (size_t i = 0; i < digits.n; i++)
        if (digits.p[i] < '0' || digits.p[i] > '9')
            return false;
    return true;
}

static void put_scalar(struct buf *out, const yaml_node_t *node)
{
    struct str s = str_of((const char *)node->data.scalar.value, node->data.scalar.length);
    bool plain = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && (s.n == 0 || str_eq_c(s, "~")))
        buf_put_c(out, "null");
    else if (plain &&
             (str_eq_c(s, "null") || str_eq_c(s, "true") || str_eq_c(s, "false") || is_integer(s)))
        buf_put_str(out, s);
    else
        json_put_string(out, s);
}

static enum err put_node(struct buf *out, yaml_document_t *doc, int id, int depth);

static enum err put_map(struct buf *out, yaml_document_t *doc, const yaml_node_t *node, int depth)
{
    buf_put_byte(out, '{');
    for (yaml_node_pair_t *p = node->data.mapping.pairs.start; p < node->data.mapping.pairs.top;
         p++) {
        const yaml_node_t *key = yaml_document_get_node(doc, p->key);
        if (key->type != YAML_SCALAR_NODE)
            return err_set(ERR_INVALID, "line %zu: a key that is no scalar",
                           key->start_mark.line + 1);
        if (p > node->data.mapping.pairs.start)
            buf_put_byte(out, ',');
        json_put_string(out, str_of((const char *)key->data.scalar.value, key->data.scalar.length));
        buf_put_byte(out, ':');
        TRY(put_node(out, doc, p->value, depth));
    }
    buf_put_byte(out, '}');
    return OK;
}

static enum err put_list(struct buf *out, yaml_document_t *doc, const yaml_node_t *node, int depth)
{
    buf_put_byte(out, '[');
    for (yaml_node_item_t *i = node->data.sequence.items.start; i < node->data.sequence.items.top;
         i++) {
        if (i > node->data.sequence.items.start)
            buf_put_byte(out, ',');
        TRY(put_node(out, doc, *i, depth));
    }
    buf_put_byte(out, ']');
    return OK;
}

/* The depth is bounded because an alias may stand inside what it names. */
static enum err put_node(struct buf *out, yaml_document_t *doc, int id, int depth)
{
    const yaml_node_t *node = yaml_document_get_node(doc, id);
    if (depth >= DEPTH_MAX)
        return err_set(ERR_LIMIT, "line %zu: nested deeper than %d", node->start_mark.line + 1,
                       DEPTH_MAX);
    if (node->type == YAML_MAPPING_NODE)
        return put_map(out, doc, node, depth + 1);
    if (node->type == YAML_SEQUENCE_NODE)
        return put_list(out, doc, node, depth + 1);
    put_scalar(out, node);
    return OK;
}

enum err openapi_json(struct buf *out)
{
    yaml_parser_t parser;
    yaml_document_t doc;
    CHECK(yaml_parser_initialize(&parser));
    yaml_parser_set_input_string(&parser, openapi_yaml, openapi_yaml_size);
    if (!yaml_parser_load(&parser, &doc)) {
        enum err err = err_set(ERR_INVALID, "openapi.yaml:%zu: %s", parser.problem_mark.line + 1,
                               parser.problem);
        yaml_parser_delete(&parser);
        return err;
    }
    enum err err = yaml_document_get_root_node(&doc)
                       ? put_node(out, &doc, 1, 0)
                       : err_set(ERR_INVALID, "openapi.yaml is empty");
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return err;
}

void api_openapi(void *ctx, struct http_request *r)
{
    struct buf out;
    buf_init(&out, DOCUMENT_MAX);
    enum err err = openapi_json(&out);
    if (err == OK)
        http_reply(r, 200, JSON_TYPE, buf_str(&out));
    else
        http_error_of(r, err, err_text());
    buf_release(&out);
}
