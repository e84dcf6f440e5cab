/* A test with an arena: the fixture. */
#ifndef WEIR_TESTS_ARENA_KIT_H
#define WEIR_TESTS_ARENA_KIT_H

#include "core/arena.h"
#include "test.h"

static struct arena arena;

static inline int setup(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static inline int teardown(void **state)
{
    arena_release(&arena);
    return 0;
}

#endif
