/* The error detail: one fixed buffer a thread, so that failing never allocates and never fails
 * itself.
 *
 * A new detail may quote the old one (`err_set(code, "part 3: %s", err_text())`): it is formatted
 * beside the buffer first and copied over then. */
#include "core/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DETAIL_MAX = 1024 };

static _Thread_local char detail[DETAIL_MAX];

enum err err_set_at(const char *file, int line, enum err code, const char *fmt, ...)
{
    char text[DETAIL_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    memcpy(detail, text, strlen(text) + 1);
    (void)file;
    (void)line;
    return code;
}

enum err err_set_errno_at(const char *file, int line, const char *fmt, ...)
{
    int number = errno;
    char text[DETAIL_MAX], reason[128];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    const char *why = strerror_r(number, reason, sizeof(reason));
    snprintf(detail, sizeof(detail), "%.*s: %s", DETAIL_MAX - 140, text, why);
    (void)file;
    (void)line;
    errno = number;
    return number == ENOSPC || number == EDQUOT ? ERR_FULL : ERR_IO;
}

const char *err_text(void)
{
    return detail;
}

const char *err_name(enum err code)
{
    static const char *const names[] = {
        "ok",          "out of memory budget",
        "i/o",         "disk full",
        "corrupt",     "invalid",
        "limit",       "not found",
        "exists",      "conflict",
        "unavailable", "timeout",
        "canceled",    "unsupported",
        "auth",        "end of data",
        "try again",
    };
    int i = -(int)code;
    if (i < 0 || i >= (int)(sizeof(names) / sizeof(names[0])))
        return "unknown";
    return names[i];
}

void err_bug_at(const char *file, int line, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    fprintf(stderr, "BUG at %s:%d: ", file, line);
    vfprintf(stderr, fmt, ap);
    fputc('\n', stderr);
    va_end(ap);
    abort();
}
