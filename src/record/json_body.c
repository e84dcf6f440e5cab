/* The records of a body of JSON: {"logs":[...]}, a bare array, or one object.
 *
 * A scanner that knows only strings and brackets cuts the body into records; each record is then
 * judged on its own by json_read_record, so that a bad one inside an intact array costs only
 * itself. What is around the records is checked here, other members beside `logs` by json_check. An
 * object without a top-level key `logs`, or one broken before it, is one record. */
#include "record/json.h"
#include "record/scan.h"

#include <stdio.h>

struct body {
    struct json_reader *reader;
    struct str text;
    size_t at;
    uint32_t position;
    enum err (*fn)(void *ctx, uint32_t position, struct str record);
    void *ctx;
};

static char peek(struct body *b)
{
    while (b->at < b->text.n && (b->text.p[b->at] == ' ' || b->text.p[b->at] == '\n' ||
                                 b->text.p[b->at] == '\t' || b->text.p[b->at] == '\r'))
        b->at++;
    return b->at < b->text.n ? b->text.p[b->at] : '\0';
}

static enum err expected(const struct body *b, const char *what)
{
    if (b->at >= b->text.n)
        return err_set(ERR_INVALID, "expected %s at byte %zu of the body, where it ends", what,
                       b->text.n);
    return err_set(ERR_INVALID, "expected %s at byte %zu of the body", what, b->at);
}

/* The end of the value that starts at b->at, or SIZE_MAX where it has none. */
static size_t value_end(const struct body *b)
{
    const char *p = b->text.p;
    size_t at = b->at;
    if (at < b->text.n && p[at] == '"')
        return scan_string_end(p, at, b->text.n);
    if (at < b->text.n && (p[at] == '{' || p[at] == '['))
        return scan_nested_end(p, at, b->text.n);
    while (at < b->text.n && !strchr(",]} \t\r\n", p[at] ? p[at] : 'x'))
        at++;
    return at == b->at ? SIZE_MAX : at;
}

/* The elements of the array whose bracket is at b->at. */
static enum err each_element(struct body *b)
{
    b->at++;
    if (peek(b) == ']') {
        b->at++;
        return OK;
    }
    for (;;) {
        peek(b);
        size_t end = value_end(b);
        if (end == SIZE_MAX && b->at < b->text.n && (b->text.p[b->at] | 0x20) == '{')
            return err_set(ERR_INVALID,
                           "record %u, which starts at byte %zu of the body, does not end",
                           b->position, b->at);
        if (end == SIZE_MAX)
            return expected(b, "a record");
        TRY(b->fn(b->ctx, b->position, str_of(b->text.p + b->at, end - b->at)));
        b->position++;
        b->at = end;
        char next = peek(b);
        if (next != ',' && next != ']')
            return expected(b, "',' or ']'");
        b->at++;
        if (next == ']')
            return OK;
    }
}

/* Moves over `"key" :` to the value. */
static bool take_key(struct body *b, struct str *ret_quoted)
{
    if (peek(b) != '"')
        return false;
    size_t end = scan_string_end(b->text.p, b->at, b->text.n);
    *ret_quoted = str_of(b->text.p + b->at, end - b->at);
    b->at = end;
    if (peek(b) != ':')
        return false;
    b->at++;
    peek(b);
    return true;
}

/* Whether the object at b->at has a key `logs`; b->at stays. */
static bool has_logs(struct body *b)
{
    size_t start = b->at;
    bool found = false;
    struct str key;
    b->at++;
    while (take_key(b, &key)) {
        found = str_eq(key, STR("\"logs\""));
        if (found)
            break;
        size_t end = value_end(b);
        if (end == SIZE_MAX)
            break;
        b->at = end;
        if (peek(b) != ',')
            break;
        b->at++;
    }
    b->at = start;
    return found;
}

static enum err check_part(struct body *b, struct str part)
{
    enum err err = json_check(b->reader, part);
    if (err != ERR_INVALID)
        return err;
    char reason[128];
    snprintf(reason, sizeof(reason), "%s", err_text());
    return err_set(ERR_INVALID, "beside `logs`, in what starts at byte %zu of the body: %s",
                   (size_t)(part.p - b->text.p), reason);
}

/* The members of {"logs":[...], ...}. */
static enum err each_member(struct body *b)
{
    b->at++;
    for (;;) {
        struct str key;
        if (!take_key(b, &key))
            return expected(b, "a key and ':'");
        TRY(check_part(b, key));
        if (str_eq(key, STR("\"logs\""))) {
            if (peek(b) != '[')
                return expected(b, "an array of records as `logs`");
            TRY(each_element(b));
        } else {
            size_t end = value_end(b);
            if (end == SIZE_MAX)
                return expected(b, "a value");
            TRY(check_part(b, str_of(b->text.p + b->at, end - b->at)));
            b->at = end;
        }
        char next = peek(b);
        if (next != ',' && next != '}')
            return expected(b, "',' or '}'");
        b->at++;
        if (next == '}')
            return OK;
    }
}

enum err json_each_record(struct json_reader *r, struct str body,
                          enum err (*fn)(void *ctx, uint32_t position, struct str record),
                          void *ctx)
{
    struct body b = {.reader = r, .text = body, .fn = fn, .ctx = ctx};
    if (str_starts(body, STR("\xef\xbb\xbf")))
        b.at = 3; /* a byte order mark */
    char first = peek(&b);
    if (first == '[') {
        TRY(each_element(&b));
    } else if (first == '{' && has_logs(&b)) {
        TRY(each_member(&b));
    } else if (first == '{') {
        return fn(ctx, 0, str_from(body, b.at));
    } else {
        return expected(&b, "a JSON object or array");
    }
    peek(&b);
    return b.at < body.n ? expected(&b, "nothing more behind the records") : OK;
}
