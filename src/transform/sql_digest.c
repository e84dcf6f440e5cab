/* One pass over a statement: a token at a time is written to the text, and where literals and rows
 * of them meet, what was written last is taken back and replaced by a shorter form:
 *
 *   ? , ?  and  ?, ... , ?          ?, ...
 *   ( ? )                           (?)
 *   ( ?, ... )                      (...)
 *   (?) , (?)                       (?) /+ , ... +/        (with stars in place of the pluses)
 *   (...) , (...)                   (...) /+ , ... +/
 *   a sign where an operand is expected, and a literal     ?
 *
 * These are the reductions of MySQL's digests. What is remembered of the tokens written are the
 * last few: their kinds, and where each begins in the text. */
#include "transform/sql_digest.h"

#include "core/hash.h"
#include "transform/sql_words.h"

enum token {
    NONE,
    NAME,
    KEYWORD,
    IS,      /* the keywords behind which NULL is no literal */
    OPERAND, /* a keyword that stands for a value: END, NULL, TRUE; or ")" */
    OPEN,
    COMMA,
    SIGN, /* + or - */
    DOT,
    OPERATOR,
    VALUE,
    VALUES_LIST,
    ROW1,
    ROW1_LIST,
    ROWS,
    ROWS_LIST,
};
enum { RECENT = 16 };

struct digest {
    struct str sql;
    size_t at;
    struct buf *out;
    size_t begin; /* of the text in out */
    struct {
        enum token kind;
        uint32_t begin; /* in out, with the space before it */
    } recent[RECENT];
    unsigned n;   /* of recent; older ones are forgotten */
    bool tail_ok; /* the last keyword may be followed by a SQL_TAIL */
    bool full;
    bool glue;    /* no space before the next token */
    bool in_hint; /* within a comment that is executed */
};

/* ---- what was written ---- */

static enum token last(const struct digest *d, unsigned back)
{
    return back < d->n ? d->recent[d->n - 1 - back].kind : NONE;
}

static void take_back(struct digest *d, unsigned n)
{
    d->n -= n;
    d->out->n = d->recent[d->n].begin;
}

static void write_token(struct digest *d, enum token kind, struct str text)
{
    if (d->n == RECENT) {
        memmove(d->recent, d->recent + RECENT / 2, sizeof(d->recent) / 2);
        d->n = RECENT / 2;
    }
    d->recent[d->n].kind = kind;
    d->recent[d->n++].begin = (uint32_t)d->out->n;
    if (d->out->n > d->begin && !d->glue)
        buf_put_byte(d->out, ' ');
    d->glue = false;
    buf_put_str(d->out, text);
    d->full = d->out->n - d->begin > SQL_DIGEST_MAX - 4;
}

static bool expects_operand(enum token t)
{
    return t == NONE || t == KEYWORD || t == IS || t == OPEN || t == COMMA || t == SIGN ||
           t == OPERATOR;
}

static void write_value(struct digest *d)
{
    while (last(d, 0) == SIGN && expects_operand(last(d, 1)))
        take_back(d, 1);
    if (last(d, 0) == COMMA && (last(d, 1) == VALUE || last(d, 1) == VALUES_LIST)) {
        take_back(d, 2);
        write_token(d, VALUES_LIST, STR("?, ..."));
    } else {
        write_token(d, VALUE, STR("?"));
    }
}

static void write_row(struct digest *d, enum token one, enum token many, struct str text)
{
    take_back(d, 2);
    if (last(d, 0) == COMMA && (last(d, 1) == one || last(d, 1) == many)) {
        take_back(d, 2);
        write_token(d, many, text);
        buf_put_c(d->out, " /* , ... */");
    } else {
        write_token(d, one, text);
    }
}

static void write_close(struct digest *d)
{
    if (last(d, 1) == OPEN && last(d, 0) == VALUE)
        write_row(d, ROW1, ROW1_LIST, STR("(?)"));
    else if (last(d, 1) == OPEN && last(d, 0) == VALUES_LIST)
        write_row(d, ROWS, ROWS_LIST, STR("(...)"));
    else
        write_token(d, OPERAND, STR(")"));
}

/* ---- what is read ---- */

enum class { OTHER, SPACE, LETTER, DIGIT, QUOTE };
static const uint8_t class_of[256] = {
    [' '] = SPACE,
    ['\t'] = SPACE,
    ['\n'] = SPACE,
    ['\r'] = SPACE,
    ['\v'] = SPACE,
    ['\f'] = SPACE,
    [0] = SPACE,
    ['0' ... '9'] = DIGIT,
    ['a' ... 'z'] = LETTER,
    ['A' ... 'Z'] = LETTER,
    ['_'] = LETTER,
    ['$'] = LETTER,
    [0x80 ... 0xff] = LETTER,
    ['\''] = QUOTE,
    ['"'] = QUOTE,
};

static enum class class_at(const struct digest *d, size_t at) {
    return at < d->sql.n ? (enum class)class_of[(uint8_t)d->sql.p[at]] : OTHER;
}

static char byte_at(const struct digest *d, size_t at)
{
    return at < d->sql.n ? d->sql.p[at] : 0;
}

/* Behind the quote that closes a text, `at` being within it: a doubled quote is one of its bytes,
 * and so is what follows a backslash, but for names. SIZE_MAX: it is not closed. */
static size_t close_end(struct str sql, size_t at, char quote)
{
    for (; at < sql.n; at++) {
        if (sql.p[at] == '\\' && quote != '`')
            at++;
        else if (sql.p[at] == quote && at + 1 < sql.n && sql.p[at + 1] == quote)
            at++;
        else if (sql.p[at] == quote)
            return at + 1;
    }
    return SIZE_MAX;
}

static size_t quoted_end(struct str sql, size_t at)
{
    return close_end(sql, at + 1, sql.p[at]);
}

/* Behind the comment that begins at `at`; `at` where none does, SIZE_MAX where it is not closed. */
static size_t comment_end(struct str sql, size_t at)
{
    char c = sql.p[at], next = at + 1 < sql.n ? sql.p[at + 1] : 0;
    bool dashes =
        c == '-' && next == '-' && (at + 2 >= sql.n || class_of[(uint8_t)sql.p[at + 2]] == SPACE);
    if (c == '#' || dashes)
        return str_find_byte(sql, '\n', at);
    if (c != '/' || next != '*')
        return at;
    size_t end = str_find(str_from(sql, at + 2), STR("*/"));
    return end == SIZE_MAX ? SIZE_MAX : at + 2 + end + 2;
}

/* Behind what is open, in a text that goes on with it from `at`; SIZE_MAX: it is not closed. */
static size_t open_end(struct str sql, size_t at, char open)
{
    if (open == '*') {
        size_t end = str_find(str_from(sql, at), STR("*/"));
        return end == SIZE_MAX ? SIZE_MAX : at + end + 2;
    }
    return close_end(sql, at, open);
}

bool sql_in_quotes(struct sql_quotes *q, struct str sql)
{
    while (q->at < sql.n) {
        char c = sql.p[q->at];
        size_t end = q->at;
        if (q->open) {
            end = open_end(sql, q->at, q->open);
            q->at = end == SIZE_MAX ? sql.n : end;
            if (end != SIZE_MAX)
                q->open = 0;
            continue;
        }
        if (c == '\'' || c == '"' || c == '`')
            q->open = c;
        else if (c == '/' && q->at + 1 < sql.n && sql.p[q->at + 1] == '*')
            q->open = '*';
        else if (c == '#' || c == '-')
            end = comment_end(sql, q->at);
        q->at = q->open == '*' ? q->at + 2 : end > q->at ? end : q->at + 1;
    }
    return q->open != 0;
}

/* "/+!40101 ... +/" is executed: only its brackets go. */
static bool skip_comment(struct digest *d)
{
    if (d->in_hint && byte_at(d, d->at) == '*' && byte_at(d, d->at + 1) == '/') {
        d->in_hint = false;
        d->at += 2;
        return true;
    }
    size_t end = comment_end(d->sql, d->at);
    if (end == d->at)
        return false;
    bool maria = byte_at(d, d->at + 2) == 'M' && byte_at(d, d->at + 3) == '!';
    if (byte_at(d, d->at) == '/' && (maria || byte_at(d, d->at + 2) == '!')) {
        d->at += maria ? 4 : 3;
        while (class_at(d, d->at) == DIGIT)
            d->at++;
        d->in_hint = true;
    } else {
        d->at = end < d->sql.n ? end : d->sql.n;
    }
    return true;
}

static void skip_quoted(struct digest *d)
{
    size_t end = quoted_end(d->sql, d->at);
    d->at = end < d->sql.n ? end : d->sql.n;
}

static void read_name(struct digest *d, size_t from)
{
    char name[2 + 256];
    size_t n = d->at - from;
    struct str text = str_of(d->sql.p + from, n);
    if (n <= 256) {
        name[0] = '`';
        memcpy(name + 1, text.p, n);
        name[n + 1] = '`';
        text = str_of(name, n + 2);
    }
    write_token(d, NAME, text);
}

static void read_keyword(struct digest *d, struct str upper)
{
    static const struct str heads[] = {{"SHOW", 4},   {"SHARE", 5},  {"ISOLATION", 9}, {"SET", 3},
                                       {"READ", 4},   {"START", 5},  {"IN", 2},        {"FLUSH", 5},
                                       {"COMMIT", 6}, {"CREATE", 6}, {"TEMPORARY", 9}};
    static const struct str operands[] = {{"END", 3}, {"TRUE", 4}, {"FALSE", 5}, {"DEFAULT", 7}};
    enum token kind = str_eq(upper, STR("IS")) || str_eq(upper, STR("NOT")) ? IS : KEYWORD;
    d->tail_ok = false;
    for (size_t i = 0; i < sizeof(heads) / sizeof(*heads); i++)
        d->tail_ok |= str_eq(upper, heads[i]);
    for (size_t i = 0; i < sizeof(operands) / sizeof(*operands); i++)
        kind = str_eq(upper, operands[i]) ? OPERAND : kind;
    write_token(d, kind, upper);
}

static bool opens_next(const struct digest *d)
{
    size_t at = d->at;
    while (class_at(d, at) == SPACE)
        at++;
    return byte_at(d, at) == '(';
}

static void read_word(struct digest *d)
{
    char text[SQL_WORD_MAX];
    size_t from = d->at;
    enum class c;
    while ((c = class_at(d, d->at)) == LETTER || c == DIGIT)
        d->at++;
    size_t n = d->at - from;
    if (byte_at(d, from) == '_' && class_at(d, d->at) == QUOTE && last(d, 0) != DOT) {
        write_token(d, KEYWORD, STR("(_charset)"));
        return;
    }
    if (n == 1 && byte_at(d, d->at) == '\'' && strchr("nNxXbB", d->sql.p[from])) {
        skip_quoted(d);
        write_value(d);
        return;
    }
    enum sql_word is = SQL_NAME;
    for (size_t i = 0; n <= SQL_WORD_MAX && i < n; i++) {
        char letter = d->sql.p[from + i];
        text[i] = letter >= 'a' && letter <= 'z' ? (char)(letter - 32) : letter;
    }
    struct str upper = str_of(text, n);
    if (n <= SQL_WORD_MAX && last(d, 0) != DOT)
        is = sql_word_of(upper);
    bool keyword = is == SQL_KEYWORD || (is == SQL_TAIL && d->tail_ok) ||
                   (is == SQL_UNIT && (last(d, 0) == VALUE || opens_next(d))) ||
                   (is == SQL_FUNCTION && opens_next(d));
    if (keyword && is == SQL_KEYWORD && str_eq(upper, STR("NULL")) && last(d, 0) != IS)
        write_value(d);
    else if (keyword && is == SQL_TAIL)
        write_token(d, KEYWORD, upper); /* and another may follow: READ ONLY */
    else if (keyword)
        read_keyword(d, upper);
    else
        read_name(d, from);
    if (!keyword)
        d->tail_ok = false;
}

/* A number, or a name that begins with digits. */
static void read_number(struct digest *d)
{
    size_t from = d->at;
    enum class c;
    while (class_at(d, d->at) == DIGIT)
        d->at++;
    bool point = byte_at(d, d->at) == '.';
    if (point)
        for (d->at++; class_at(d, d->at) == DIGIT;)
            d->at++;
    char e = byte_at(d, d->at), sign = byte_at(d, d->at + 1);
    size_t digits = d->at + 1 + (sign == '-' || sign == '+');
    if ((e == 'e' || e == 'E') && class_at(d, digits) == DIGIT)
        for (d->at = digits; class_at(d, d->at) == DIGIT;)
            d->at++;
    size_t end = d->at;
    while ((c = class_at(d, d->at)) == LETTER || c == DIGIT)
        d->at++;
    bool hex =
        byte_at(d, from) == '0' && end == from + 1 && d->at > end && strchr("xXbB", d->sql.p[end]);
    if (d->at == end || hex || point)
        write_value(d);
    else
        read_name(d, from);
}

/* @name and @@name: what the session calls its variables is no part of the statement's kind. */
static void read_variable(struct digest *d)
{
    bool of_server = byte_at(d, d->at + 1) == '@';
    enum class c;
    d->at += of_server ? 2 : 1;
    if (of_server) {
        write_token(d, OPERATOR, STR("@@"));
        d->recent[d->n - 1].kind = DOT; /* a name follows */
        d->glue = true;
        return;
    }
    char next = byte_at(d, d->at);
    if (next == '\'' || next == '"' || next == '`')
        skip_quoted(d);
    else
        while ((c = class_at(d, d->at)) == LETTER || c == DIGIT || byte_at(d, d->at) == '.')
            d->at++;
    write_token(d, NAME, STR("@?"));
}

static void read_operator(struct digest *d)
{
    static const struct str longer[] = {{"<=>", 3}, {"->>", 3}, {"<=", 2}, {">=", 2},
                                        {"<>", 2},  {"!=", 2},  {"<<", 2}, {">>", 2},
                                        {"||", 2},  {"&&", 2},  {":=", 2}, {"->", 2}};
    struct str rest = str_from(d->sql, d->at), text = str_of(rest.p, 1);
    for (size_t i = 0; i < sizeof(longer) / sizeof(*longer) && text.n == 1; i++)
        if (str_starts(rest, longer[i]))
            text = longer[i];
    d->at += text.n;
    if (str_eq(text, STR("<>")))
        text = STR("!=");
    switch (text.n == 1 ? text.p[0] : 0) {
    case '(':
        write_token(d, OPEN, text);
        break;
    case ')':
        write_close(d);
        break;
    case ',':
        write_token(d, COMMA, text);
        break;
    case '.':
        write_token(d, DOT, text);
        break;
    case '+':
    case '-':
        write_token(d, SIGN, text);
        break;
    case '?':
        write_value(d);
        break;
    default:
        write_token(d, OPERATOR, text);
    }
}

static void read_token(struct digest *d)
{
    char c = d->sql.p[d->at];
    enum class is = (enum class)class_of[(uint8_t)c];
    if (is == SPACE) {
        d->at++;
    } else if (is == LETTER) {
        read_word(d);
    } else if (is == DIGIT || (c == '.' && class_at(d, d->at + 1) == DIGIT && last(d, 0) != NAME)) {
        read_number(d);
    } else if (is == QUOTE) {
        skip_quoted(d);
        write_value(d);
    } else if (c == '`') {
        size_t from = d->at + 1;
        skip_quoted(d);
        size_t end = d->at > from && d->sql.p[d->at - 1] == '`' ? d->at - 1 : d->at;
        size_t to = d->at;
        d->at = end;
        read_name(d, from);
        d->at = to;
    } else if ((c == '#' || c == '-' || c == '/' || c == '*') && skip_comment(d)) {
        return;
    } else if (c == '@') {
        read_variable(d);
    } else {
        read_operator(d);
    }
}

void sql_digest_text(struct str sql, struct buf *out)
{
    struct digest d = {.sql = sql, .out = out, .begin = out->n};
    while (d.at < sql.n && !d.full)
        read_token(&d);
    if (!d.full)
        return;
    out->n = d.begin + SQL_DIGEST_MAX - 4;
    while (out->n > d.begin && ((uint8_t)out->p[out->n] & 0xc0) == 0x80) /* no half a letter */
        out->n--;
    buf_put_c(out, " ...");
}

void sql_digest_id(struct str text, char ret[SQL_DIGEST_ID_BYTES])
{
    uint64_t h = hash64(text);
    for (int i = 0; i < SQL_DIGEST_ID_BYTES; i++)
        ret[i] = "0123456789abcdef"[h >> (60 - 4 * i) & 15];
}
