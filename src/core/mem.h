/* The only callers of malloc. must-succeed calls abort when the system has no memory (limits are
 * the governor's business, not malloc's); every buffer that grows with its input is reserved there
 * first. Threads: any. */
#ifndef WEIR_CORE_MEM_H
#define WEIR_CORE_MEM_H

#include "core/str.h"

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void mem_free(void *p);
/* A NUL-terminated copy, freed with mem_free. */
char *mem_strdup(struct str s);
char *mem_printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define NEW(type) ((type *)mem_zalloc(sizeof(type)))
#define NEW_ARRAY(type, n) ((type *)mem_zalloc(sizeof(type) * (size_t)(n)))

/* Grows an array so that it holds at least `need` items: ARRAY_GROW(list->items, list->cap, need).
 */
#define ARRAY_GROW(ptr, cap, need)                                                                 \
    do {                                                                                           \
        if ((size_t)(need) > (size_t)(cap)) {                                                      \
            size_t cap_ = (size_t)(cap)*2 > (size_t)(need) ? (size_t)(cap)*2 : (size_t)(need);     \
            if (cap_ < 8)                                                                          \
                cap_ = 8;                                                                          \
            (ptr) = mem_realloc((ptr), cap_ * sizeof(*(ptr)));                                     \
            (cap) = cap_;                                                                          \
        }                                                                                          \
    } while (0)

#endif
