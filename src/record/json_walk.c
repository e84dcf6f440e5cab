/* A pull walker over one level of a container: each call gives one element whole, so that what is
 * inside it is only passed over (strings and brackets are counted, nothing is kept) and a caller
 * who wants it begins another walk there. Nothing recurses here; every step is bounds-checked. */
#include "record/json_walk.h"

#include "record/json.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static void skip_space(struct json_walk *w)
{
    while (w->p < w->end && is_space(*w->p))
        w->p++;
}

/* From behind the opening quote to the closing one, which is passed. */
static bool take_string(struct json_walk *w, struct str *ret)
{
    const char *from = w->p;
    for (; w->p < w->end; w->p++) {
        if (*w->p == '\\') {
            w->p++;
        } else if (*w->p == '"') {
            *ret = str_of(from, (size_t)(w->p - from));
            w->p++;
            return true;
        }
    }
    w->p = w->end;
    return false;
}

/* A container to its closing bracket. */
static bool take_container(struct json_walk *w, struct str *ret)
{
    const char *from = w->p;
    size_t depth = 0;
    struct str inside;
    while (w->p < w->end) {
        char c = *w->p++;
        if (c == '"' && !take_string(w, &inside))
            return false;
        depth += c == '[' || c == '{';
        if ((c == ']' || c == '}') && --depth == 0) {
            *ret = str_of(from, (size_t)(w->p - from));
            return true;
        }
    }
    return false;
}

static bool take_scalar(struct json_walk *w, struct str *ret)
{
    const char *from = w->p;
    while (w->p < w->end && !memchr(",]} \t\n\r", *w->p, 7))
        w->p++;
    *ret = str_of(from, (size_t)(w->p - from));
    return ret->n > 0;
}

static bool empty_object(struct str s)
{
    for (size_t i = 1; i + 1 < s.n; i++) {
        if (!is_space(s.p[i]))
            return false;
    }
    return true;
}

static bool take_value(struct json_walk *w, struct json_item *ret)
{
    if (w->p == w->end)
        return false;
    switch (*w->p) {
    case '"':
        w->p++;
        ret->lane = LANE_STR;
        return take_string(w, &ret->text);
    case '[':
        ret->lane = LANE_ARR;
        return take_container(w, &ret->text);
    case '{':
        if (!take_container(w, &ret->text))
            return false;
        ret->lane = empty_object(ret->text) ? LANE_OBJ : LANE_JSON;
        return true;
    case 't':
    case 'f':
        ret->lane = LANE_BOOL;
        return take_scalar(w, &ret->text);
    case 'n':
        ret->lane = LANE_NULL;
        return take_scalar(w, &ret->text);
    default:
        ret->lane = LANE_NUM;
        return take_scalar(w, &ret->text);
    }
}

bool json_walk_begin(struct json_walk *w, struct str text)
{
    *w = (struct json_walk){0};
    if (!text.n)
        return false;
    *w = (struct json_walk){.p = text.p, .end = text.p + text.n};
    skip_space(w);
    if (w->p == w->end || (*w->p != '[' && *w->p != '{'))
        return false;
    w->close = *w->p++ == '[' ? ']' : '}';
    return true;
}

static bool end_walk(struct json_walk *w)
{
    w->p = w->end;
    return false;
}

bool json_walk_next(struct json_walk *w, struct json_item *ret)
{
    *ret = (struct json_item){0};
    skip_space(w);
    if (w->p < w->end && *w->p == ',') {
        w->p++;
        skip_space(w);
    }
    if (w->p == w->end || *w->p == w->close)
        return end_walk(w);
    if (w->close == '}') {
        if (*w->p++ != '"' || !take_string(w, &ret->key))
            return end_walk(w);
        skip_space(w);
        if (w->p == w->end || *w->p++ != ':')
            return end_walk(w);
        skip_space(w);
    }
    return take_value(w, ret) ? true : end_walk(w);
}

bool json_walk_escaped(struct str inside)
{
    return inside.n && memchr(inside.p, '\\', inside.n);
}

void json_walk_unescape(struct str inside, struct buf *out)
{
    size_t n, bad;
    char *to = buf_reserve(out, inside.n);
    if (to && json_unescape(inside, to, &n, &bad))
        out->n += n;
    else
        buf_put_str(out, inside);
}

struct str json_walk_text(struct str inside, struct arena *a)
{
    if (!json_walk_escaped(inside))
        return inside;
    struct buf out = {.p = arena_alloc(a, inside.n), .cap = inside.n, .max = inside.n};
    json_walk_unescape(inside, &out);
    return buf_str(&out);
}
