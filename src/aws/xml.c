/* Mending: byte b becomes U+10FF00 + b, four bytes F4 8F BC..BF 80..BF. A real character of that
 * range is mended byte by byte, so that the way back is unambiguous. */
#include "aws/xml.h"

#include "core/mem.h"

#include <expat.h>
#include <stdio.h>

struct xml {
    XML_Parser parser;
    const struct xml_calls *calls;
    struct buf text;            /* of all open elements; */
    size_t from[XML_DEPTH_MAX]; /* where each one's begins */
    unsigned depth;
    enum err err;
};

/* ---- mending ---- */

static void put_mended(struct buf *out, unsigned char b)
{
    const char four[4] = {(char)0xf4, (char)0x8f, (char)(0xbc | b >> 6), (char)(0x80 | (b & 0x3f))};
    buf_put(out, four, 4);
}

/* The length of the well-formed character at p that XML allows, or 0. */
static size_t character(const unsigned char *p, size_t n)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (p[0] < 0x80)
        return p[0] >= 0x20 || p[0] == '\t' || p[0] == '\n';
    size_t len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || n < len)
        return 0;
    uint32_t c = p[0] & (0xffu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3f);
    }
    bool bad = c < least[len] || (c >= 0xd800 && c < 0xe000) || c == 0xfffe || c == 0xffff ||
               c >= 0x10ff00;
    return bad ? 0 : len;
}

/* "&#x1;" and "&#27;": the length of a reference to a character below a blank that XML forbids. */
static size_t forbidden_reference(struct str s, unsigned char *ret)
{
    size_t end = str_find_byte(str_of(s.p, s.n < 12 ? s.n : 12), ';', 0);
    unsigned value = 0;
    if (end >= s.n || end >= 12 || end < 3 || s.p[1] != '#')
        return 0;
    bool hex = s.p[2] == 'x';
    for (size_t i = hex ? 3 : 2; i < end; i++) {
        char c = s.p[i];
        unsigned digit = c >= '0' && c <= '9'          ? (unsigned)(c - '0')
                         : hex && c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                         : hex && c >= 'A' && c <= 'F' ? (unsigned)(c - 'A' + 10)
                                                       : 99;
        if (digit == 99 || value > 0x100)
            return 0;
        value = value * (hex ? 16 : 10) + digit;
    }
    if (value >= 0x20 || value == '\t' || value == '\n' || value == '\r' || (hex && end == 3))
        return 0;
    *ret = (unsigned char)value;
    return end + 1;
}

static void mend(struct str body, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)body.p;
    size_t i = 0, from = 0;
    while (i < body.n) {
        unsigned char b = p[i];
        if (b >= 0x20 && b < 0x80 && b != '&') {
            i++;
            continue;
        }
        size_t len = character(p + i, body.n - i), taken = len ? 0 : 1;
        if (b == '&')
            taken = forbidden_reference(str_from(body, i), &b);
        if (!taken) {
            i += len;
            continue;
        }
        buf_put(out, p + from, i - from);
        put_mended(out, b);
        i += taken;
        from = i;
    }
    buf_put(out, p + from, body.n - from);
}

/* In place; answers the new length. */
static size_t undo(char *p, size_t n)
{
    size_t to = 0;
    for (size_t i = 0; i < n;) {
        const unsigned char *u = (const unsigned char *)p + i;
        if (u[0] == 0xf4 && n - i >= 4 && u[1] == 0x8f && u[2] >= 0xbc) {
            p[to++] = (char)((u[2] & 3) << 6 | (u[3] & 0x3f));
            i += 4;
        } else {
            p[to++] = p[i++];
        }
    }
    return to;
}

/* ---- parsing ---- */

static void stop(struct xml *x, enum err err)
{
    if (x->err == OK)
        x->err = err;
    XML_StopParser(x->parser, XML_FALSE);
}

static void XMLCALL on_open(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
    struct xml *x = ctx;
    if (x->depth == XML_DEPTH_MAX) {
        stop(x, err_set(ERR_LIMIT, "XML: more than %d levels", XML_DEPTH_MAX));
        return;
    }
    x->from[x->depth++] = x->text.n;
    if (x->calls->open)
        x->calls->open(x->calls->ctx, str_c(name));
}

static void XMLCALL on_close(void *ctx, const XML_Char *name)
{
    struct xml *x = ctx;
    size_t from = x->from[--x->depth];
    char *p = x->text.n > from ? x->text.p + from : NULL;
    size_t n = p ? undo(p, x->text.n - from) : 0;
    x->text.n = from;
    enum err err = x->calls->close(x->calls->ctx, str_c(name), n ? str_of(p, n) : STR(""));
    if (err != OK)
        stop(x, err);
}

static void XMLCALL on_text(void *ctx, const XML_Char *p, int n)
{
    struct xml *x = ctx;
    if (x->depth)
        buf_put(&x->text, p, (size_t)n);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *name, const XML_Char *system_id,
                               const XML_Char *id, int internal)
{
    stop(ctx, err_set(ERR_INVALID, "XML: a document type is not taken"));
}

enum err xml_read(struct str body, const struct xml_calls *calls)
{
    struct xml x = {.calls = calls, .parser = XML_ParserCreate("UTF-8")};
    struct buf mended;
    CHECK(x.parser);
    buf_init(&x.text, SIZE_MAX);
    buf_init(&mended, SIZE_MAX);
    mend(body, &mended);
    XML_SetUserData(x.parser, &x);
    XML_SetElementHandler(x.parser, on_open, on_close);
    XML_SetCharacterDataHandler(x.parser, on_text);
    XML_SetStartDoctypeDeclHandler(x.parser, on_doctype);
    if (mended.n > INT32_MAX)
        x.err = err_set(ERR_LIMIT, "XML: more than 2 GiB");
    else if (XML_Parse(x.parser, mended.n ? mended.p : "", (int)mended.n, 1) != XML_STATUS_OK &&
             x.err == OK)
        x.err = err_set(ERR_INVALID, "XML:%lu:%lu: %s", XML_GetCurrentLineNumber(x.parser),
                        XML_GetCurrentColumnNumber(x.parser) + 1,
                        XML_ErrorString(XML_GetErrorCode(x.parser)));
    XML_ParserFree(x.parser);
    buf_release(&x.text);
    buf_release(&mended);
    return x.err;
}

/* ---- one element ---- */

struct wanted {
    const char *name;
    char *out;
    size_t n;
    bool found;
};

static enum err on_wanted(void *ctx, struct str name, struct str text)
{
    struct wanted *w = ctx;
    if (w->found || !str_eq_c(name, w->name))
        return OK;
    text = str_trim(text);
    snprintf(w->out, w->n, "%.*s", STR_ARG(text));
    w->found = true;
    return OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): written through `w` */
bool xml_find(struct str body, const char *name, char *out, size_t n)
{
    struct wanted w = {.name = name, .out = out, .n = n};
    struct xml_calls calls = {.ctx = &w, .close = on_wanted};
    if (xml_read(body, &calls) != OK && !w.found)
        return false; /* what was found before an error counts */
    return w.found;
}
