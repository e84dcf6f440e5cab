#include "pipeline/tag_glob.h"

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           (unsigned char)c >= 0x80;
}

/* Appends what stands for the beginning of the pattern, and answers how many bytes that is. */
static size_t put_piece(struct str p, bool first, unsigned *braces, struct buf *out)
{
    if (str_starts(p, STR(".**"))) {
        buf_put_c(out, "(\\..*)?");
        return 3;
    }
    if (first && str_starts(p, STR("**."))) {
        buf_put_c(out, "(.*\\.)?");
        return 3;
    }
    if (str_starts(p, STR("**"))) {
        buf_put_c(out, ".*");
        return 2;
    }
    if (p.p[0] == '*') {
        buf_put_c(out, "[^.]*");
    } else if (p.p[0] == '{' || (p.p[0] == '}' && *braces)) {
        *braces += p.p[0] == '{' ? 1 : -1U;
        buf_put_byte(out, p.p[0] == '{' ? '(' : ')');
    } else if (p.p[0] == ',' && *braces) {
        buf_put_byte(out, '|');
    } else {
        if (!is_word(p.p[0]))
            buf_put_byte(out, '\\');
        buf_put_byte(out, p.p[0]);
    }
    return 1;
}

static enum err put_pattern(struct str pattern, struct buf *out)
{
    unsigned braces = 0;
    for (size_t at = 0; at < pattern.n;)
        at += put_piece(str_from(pattern, at), at == 0, &braces, out);
    return braces ? err_set(ERR_INVALID, "\"%.*s\": a brace is not closed", STR_ARG(pattern)) : OK;
}

enum err tag_glob_query(struct str patterns, struct buf *out)
{
    struct str rest = patterns, one;
    bool any = false;
    buf_put_c(out, "tag:/^(");
    while (str_split(&rest, ' ', &one)) {
        if (!one.n)
            continue;
        if (any)
            buf_put_byte(out, '|');
        any = true;
        TRY(put_pattern(one, out));
    }
    buf_put_c(out, ")$/");
    return any ? OK : err_set(ERR_INVALID, "a pattern of tags is wanted, such as app.**");
}
