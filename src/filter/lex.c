/* The pieces of a filter's text, read by hand from where the parser stands, and errors that show
 * the place. Which piece is expected where is the parser's business: '/' begins a regular
 * expression only where a value may stand, ':' ends a word only where a field may. */
#include "filter/filter_impl.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_BEFORE 60 /* bytes shown before and behind the place of an error */
#define LINE_BEHIND 60

/* Columns count code points; a broken line starts at a character. */
static size_t columns(const char *p, size_t n)
{
    size_t count = 0;
    for (size_t i = 0; i < n; i++)
        count += ((uint8_t)p[i] & 0xc0) != 0x80;
    return count;
}

static bool inside_character(struct str s, size_t at)
{
    return at < s.n && ((uint8_t)s.p[at] & 0xc0) == 0x80;
}

enum err lex_fail(struct lexer *l, size_t at, const char *hint, const char *fmt, ...)
{
    char what[160], line[LINE_BEFORE + LINE_BEHIND + 8];
    struct str s = l->text;
    va_list args;
    va_start(args, fmt);
    vsnprintf(what, sizeof(what), fmt, args);
    va_end(args);
    if (l->ret_at)
        *l->ret_at = at;
    size_t from = at > LINE_BEFORE ? at - LINE_BEFORE : 0, end = at;
    while (from > 0 && from < at && inside_character(s, from))
        from++;
    while (end < s.n && (end < at + LINE_BEHIND || inside_character(s, end)) &&
           end - from < sizeof(line))
        end++;
    for (size_t i = from; i < end; i++)
        line[i - from] = (uint8_t)s.p[i] < ' ' ? ' ' : s.p[i];
    return err_set(ERR_INVALID, "%s at column %zu\n  %.*s\n  %*s^%s%s", what, columns(s.p, at) + 1,
                   (int)(end - from), line, (int)columns(s.p + from, at - from), "",
                   hint ? "\nhint: " : "", hint ? hint : "");
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

void lex_space(struct lexer *l)
{
    while (!lex_done(l) && is_space(l->text.p[l->at]))
        l->at++;
}

bool lex_keyword(const struct lexer *l, const char *word)
{
    size_t n = strlen(word);
    if (!str_starts(str_from(l->text, l->at), str_of(word, n)))
        return false;
    char next = lex_peek(l, n);
    return l->at + n == l->text.n || is_space(next) || (next && strchr("()\"|", next));
}

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void put_code_point(struct buf *out, uint32_t cp)
{
    if (cp < 0x80) {
        buf_put_byte(out, (char)cp);
        return;
    }
    if (cp >= 0x800)
        buf_put_byte(out, (char)(0xe0 | cp >> 12));
    buf_put_byte(out, (char)(cp >= 0x800 ? 0x80 | (cp >> 6 & 0x3f) : 0xc0 | cp >> 6));
    buf_put_byte(out, (char)(0x80 | (cp & 0x3f)));
}

static enum err put_unicode(struct lexer *l, struct buf *out)
{
    uint32_t cp = 0;
    for (size_t i = 2; i < 6; i++) {
        int d = hex(lex_peek(l, i));
        if (d < 0)
            return lex_fail(l, l->at, "write \\u and four hexadecimal digits, as in \\u00e9",
                            "incomplete escape '\\u'");
        cp = cp << 4 | (uint32_t)d;
    }
    if (cp == PATTERN_ANY || cp == PATTERN_ONE)
        return lex_fail(l, l->at, "a regular expression can: /\\x01/",
                        "the bytes 1 and 2 cannot be looked for");
    put_code_point(out, cp);
    l->at += 6;
    return OK;
}

/* A backslash: any other character that is no letter or digit stands for itself. */
static enum err put_escape(struct lexer *l, struct buf *out)
{
    static const char from[] = "nrt", to[] = "\n\r\t";
    if (l->at + 1 >= l->text.n)
        return lex_fail(l, l->at, "write \\\\ for a backslash", "nothing behind the backslash");
    char c = l->text.p[l->at + 1];
    if (c == 'u')
        return put_unicode(l, out);
    const char *known = memchr(from, c, sizeof(from) - 1);
    bool plain = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    if (!known && plain)
        return lex_fail(l, l->at, "write \\\\ for a backslash", "unknown escape '\\%c'", c);
    if (c == PATTERN_ANY || c == PATTERN_ONE)
        return lex_fail(l, l->at + 1, NULL, "a control character");
    buf_put_byte(out, known ? to[known - from] : c);
    l->at += 2;
    return OK;
}

static enum err put_char(struct lexer *l, struct buf *out)
{
    char c = l->text.p[l->at];
    if (c == '\\')
        return put_escape(l, out);
    if (c == PATTERN_ANY || c == PATTERN_ONE)
        return lex_fail(l, l->at, NULL, "a control character");
    buf_put_byte(out, c);
    l->at++;
    return OK;
}

static bool ends_word(const struct lexer *l, bool stop_at_colon)
{
    char c = lex_peek(l, 0);
    return is_space(c) || (c && strchr("()\"|", c)) || (c == ':' && stop_at_colon) ||
           (c == '&' && lex_peek(l, 1) == '&');
}

/* ^2, ^0.5: how much a clause is worth in an order that is not had here. */
static bool pass_boost(struct lexer *l)
{
    size_t n = 1;
    while ((lex_peek(l, n) >= '0' && lex_peek(l, n) <= '9') || lex_peek(l, n) == '.')
        n++;
    struct lexer behind = *l;
    behind.at += n;
    if (lex_peek(l, 0) != '^' || n == 1 || !(lex_done(&behind) || ends_word(&behind, false)))
        return false;
    l->at += n;
    return true;
}

/* What Lucene gives a meaning that is not had here. */
static enum err refuse(struct lexer *l)
{
    char c = lex_peek(l, 0);
    if (c == '^')
        return lex_fail(l, l->at, "results are ordered by time; for the character write \\^",
                        "boosts (^) are not supported");
    if (c && strchr("[]{}", c))
        return lex_fail(l, l->at, "put the text in quotes; ranges are field:[a TO b]",
                        "unexpected '%c'", c);
    if (c != '~')
        return OK;
    size_t n = 1;
    while (lex_peek(l, n) >= '0' && lex_peek(l, n) <= '9')
        n++;
    struct lexer behind = *l;
    behind.at += n;
    if (lex_done(&behind) || ends_word(&behind, false))
        return lex_fail(l, l->at, "use wildcards or a /regex/; for the character write \\~",
                        "fuzziness and slop (~) are not supported");
    return OK;
}

static enum err read_word(struct lexer *l, bool stop_at_colon, struct buf *out)
{
    while (!lex_done(l) && !ends_word(l, stop_at_colon)) {
        char c = lex_peek(l, 0);
        if (l->boosts && pass_boost(l))
            break;
        TRY(refuse(l));
        if (c == '*' || c == '?') {
            buf_put_byte(out, c == '*' ? PATTERN_ANY : PATTERN_ONE);
            l->at++;
            continue;
        }
        TRY(put_char(l, out));
    }
    return OK;
}

enum err lex_word(struct lexer *l, bool stop_at_colon, struct str *ret)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    enum err err = read_word(l, stop_at_colon, &out);
    if (err == OK)
        *ret = arena_str(l->arena, buf_str(&out));
    buf_release(&out);
    return err;
}

static enum err read_quoted(struct lexer *l, struct buf *out)
{
    size_t open = l->at++;
    while (!lex_done(l) && lex_peek(l, 0) != '"')
        TRY(put_char(l, out));
    if (lex_done(l))
        return lex_fail(l, open, "close it, or write \\\" for the character",
                        "this '\"' is never closed");
    l->at++;
    if (l->boosts && pass_boost(l))
        return OK;
    if (lex_peek(l, 0) == '~' || lex_peek(l, 0) == '^')
        return refuse(l);
    return OK;
}

enum err lex_quoted(struct lexer *l, struct str *ret)
{
    struct buf out;
    buf_init(&out, SIZE_MAX);
    enum err err = read_quoted(l, &out);
    if (err == OK)
        *ret = arena_str(l->arena, buf_str(&out));
    buf_release(&out);
    return err;
}

enum err lex_regex(struct lexer *l, struct str *ret)
{
    size_t open = l->at++;
    struct buf out;
    buf_init(&out, SIZE_MAX);
    while (!lex_done(l) && lex_peek(l, 0) != '/') {
        char c = lex_peek(l, 0);
        if (c == '\\' && l->at + 1 < l->text.n) {
            if (lex_peek(l, 1) != '/')
                buf_put_byte(&out, c);
            c = l->text.p[++l->at];
        }
        buf_put_byte(&out, c);
        l->at++;
    }
    *ret = arena_str(l->arena, buf_str(&out));
    buf_release(&out);
    if (lex_done(l))
        return lex_fail(l, open, "/ begins a regular expression; put a path in quotes",
                        "this '/' is never closed");
    l->at++;
    if (ret->n == 0 || (!lex_done(l) && !ends_word(l, false)))
        return lex_fail(l, open,
                        "/ begins a regular expression; put a path or URL in quotes, or write \\/",
                        "a regular expression ends in the middle of a word");
    return OK;
}

enum err lex_bound(struct lexer *l, struct str *ret, bool *ret_open)
{
    if (lex_peek(l, 0) == '"') {
        *ret_open = false;
        return lex_quoted(l, ret);
    }
    struct buf out;
    enum err err = OK;
    buf_init(&out, SIZE_MAX);
    size_t from = l->at;
    while (err == OK && !lex_done(l) && !is_space(lex_peek(l, 0)) &&
           !strchr("[]{}()\"|", lex_peek(l, 0)))
        err = put_char(l, &out);
    if (err == OK)
        *ret = arena_str(l->arena, buf_str(&out));
    *ret_open = l->at == from + 1 && l->text.p[from] == '*';
    buf_release(&out);
    return err;
}
