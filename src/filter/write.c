/* The tree as text again: fully bracketed, every text quoted but where it holds wildcards. Parsing
 * the result (space meaning AND) gives the same tree. */
#include "filter/filter_impl.h"

#include "record/template_cut.h"

static bool is_plain(char c)
{
    return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || c == '_' ||
           c == '.' || (uint8_t)c >= 128;
}

/* Control characters; those that have no letter by their number. */
static bool put_control(struct buf *out, char c)
{
    if ((uint8_t)c >= ' ')
        return false;
    if (c == '\n' || c == '\r' || c == '\t')
        buf_printf(out, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    else
        buf_printf(out, "\\u%04x", (unsigned)(uint8_t)c);
    return true;
}

static void put_bare(struct buf *out, struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == PATTERN_ANY || c == PATTERN_ONE) {
            buf_put_byte(out, c == PATTERN_ANY ? '*' : '?');
        } else if (!put_control(out, c)) {
            if (!is_plain(c))
                buf_put_byte(out, '\\');
            buf_put_byte(out, c);
        }
    }
}

static void put_quoted(struct buf *out, struct str s)
{
    buf_put_byte(out, '"');
    for (size_t i = 0; i < s.n; i++) {
        if (put_control(out, s.p[i]))
            continue;
        if (s.p[i] == '"' || s.p[i] == '\\')
            buf_put_byte(out, '\\');
        buf_put_byte(out, s.p[i]);
    }
    buf_put_byte(out, '"');
}

static void put_regex(struct buf *out, struct str s)
{
    buf_put_byte(out, '/');
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\\' && i + 1 < s.n) {
            buf_put(out, s.p + i++, 1);
        } else if (s.p[i] == '/') {
            buf_put_byte(out, '\\');
        }
        buf_put_byte(out, s.p[i]);
    }
    buf_put_byte(out, '/');
}

static void put_bound(struct buf *out, const struct predicate_bound *b)
{
    if (b->set)
        put_quoted(out, b->text);
    else
        buf_put_byte(out, '*');
}

static void put_text(struct buf *out, struct str s)
{
    if (str_find_byte(s, PATTERN_ANY, 0) < s.n || str_find_byte(s, PATTERN_ONE, 0) < s.n)
        put_bare(out, s);
    else
        put_quoted(out, s);
}

static void put_leaf(struct buf *out, const struct filter *f)
{
    const struct predicate *p = &f->pred;
    if (f->field.n) {
        put_bare(out, f->field);
        buf_put_byte(out, ':');
    } else if (p->kind == PRED_RANGE) {
        buf_put_c(out, "*:");
    }
    switch (p->kind) {
    case PRED_TEXT:
        put_text(out, f->source);
        break;
    case PRED_EQUAL:
        buf_put_byte(out, '=');
        put_quoted(out, p->text);
        break;
    case PRED_REGEX:
        put_regex(out, p->text);
        break;
    case PRED_RANGE:
        buf_put_byte(out, p->low.set && !p->low.inclusive ? '{' : '[');
        put_bound(out, &p->low);
        buf_put_c(out, " TO ");
        put_bound(out, &p->high);
        buf_put_byte(out, p->high.set && !p->high.inclusive ? '}' : ']');
        break;
    case PRED_EXISTS:
        buf_put_byte(out, '*');
        break;
    case PRED_PATTERN: {
        char id[TEMPLATE_ID_TEXT];
        template_id_write(p->pattern, id);
        buf_put_c(out, "pattern(");
        buf_put(out, id, sizeof(id));
        buf_put_byte(out, ')');
        break;
    }
    }
}

void filter_write(const struct filter *f, struct buf *out)
{
    switch (f->kind) {
    case FILTER_ALL:
        buf_put_byte(out, '*');
        return;
    case FILTER_LEAF:
        put_leaf(out, f);
        return;
    case FILTER_NOT:
        buf_put_c(out, "NOT ");
        filter_write(f->child[0], out);
        return;
    case FILTER_AND:
    case FILTER_OR:
        buf_put_byte(out, '(');
        for (uint32_t i = 0; i < f->n; i++) {
            if (i)
                buf_put_c(out, f->kind == FILTER_AND ? " AND " : " OR ");
            filter_write(f->child[i], out);
        }
        buf_put_byte(out, ')');
        return;
    }
}
