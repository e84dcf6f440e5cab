/* malloc and its kin, wrapped once: a request that the system refuses ends the process, for no
 * caller could go on; what may be refused is refused earlier, by the governor. */
#include "core/mem.h"

#include "core/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void *must(void *p, size_t n)
{
    if (!p)
        BUG("the system has no %zu bytes of memory", n);
    return p;
}

void *mem_alloc(size_t n)
{
    return must(malloc(n ? n : 1), n);
}

void *mem_zalloc(size_t n)
{
    return must(calloc(1, n ? n : 1), n);
}

void *mem_realloc(void *p, size_t n)
{
    return must(realloc(p, n ? n : 1), n);
}

void mem_free(void *p)
{
    free(p);
}

char *mem_strdup(struct str s)
{
    char *p = mem_alloc(s.n + 1);
    if (s.n)
        memcpy(p, s.p, s.n);
    p[s.n] = 0;
    return p;
}

char *mem_printf(const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    CHECK(n >= 0);
    char *p = mem_alloc((size_t)n + 1);
    vsnprintf(p, (size_t)n + 1, fmt, again);
    va_end(again);
    return p;
}
