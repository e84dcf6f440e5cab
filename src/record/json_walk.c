/* A pull walker over one level of a container: each call gives one element whole, so that what is
 * inside it is only passed over (strings and brackets are counted, nothing is kept) and a caller
 * who wants it begins another walk there. Nothing recurses here; every step is bounds-checked. */
#include "record/json_walk.h"

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

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hexadecimal digits at `at`, or -1. */
static int32_t hex4(struct str s, size_t at)
{
    int32_t v = 0;
    if (s.n < 4 || at > s.n - 4)
        return -1;
    for (size_t i = 0; i < 4; i++) {
        int d = hex_digit(s.p[at + i]);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

static void put_code_point(struct buf *out, uint32_t cp)
{
    if (cp < 0x80) {
        buf_put_byte(out, (char)cp);
        return;
    }
    if (cp < 0x800) {
        buf_put_byte(out, (char)(0xc0 | cp >> 6));
    } else {
        if (cp < 0x10000) {
            buf_put_byte(out, (char)(0xe0 | cp >> 12));
        } else {
            buf_put_byte(out, (char)(0xf0 | cp >> 18));
            buf_put_byte(out, (char)(0x80 | (cp >> 12 & 0x3f)));
        }
        buf_put_byte(out, (char)(0x80 | (cp >> 6 & 0x3f)));
    }
    buf_put_byte(out, (char)(0x80 | (cp & 0x3f)));
}

/* \uXXXX at `at` (the 'u'); returns the bytes used behind the backslash. */
static size_t unescape_unicode(struct str s, size_t at, struct buf *out)
{
    int32_t high = hex4(s, at + 1);
    if (high < 0) {
        buf_put_byte(out, 'u');
        return 1;
    }
    if (high >= 0xd800 && high < 0xdc00 && s.n > at + 6 && s.p[at + 5] == '\\' &&
        s.p[at + 6] == 'u') {
        int32_t low = hex4(s, at + 7);
        if (low >= 0xdc00 && low < 0xe000) {
            put_code_point(out,
                           0x10000 + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
            return 11;
        }
    }
    put_code_point(out, (uint32_t)high);
    return 5;
}

void json_walk_unescape(struct str inside, struct buf *out)
{
    static const char from[] = "nrtbf", to[] = "\n\r\t\b\f";
    for (size_t i = 0; i < inside.n; i++) {
        if (inside.p[i] != '\\' || i + 1 == inside.n) {
            buf_put_byte(out, inside.p[i]);
            continue;
        }
        char c = inside.p[++i];
        const char *known = memchr(from, c, sizeof(from) - 1);
        if (c == 'u')
            i += unescape_unicode(inside, i, out) - 1;
        else
            buf_put_byte(out, known ? to[known - from] : c);
    }
}
