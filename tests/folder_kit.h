/* A test that works in a folder of its own: the fixture, and the paths in it. */
#ifndef WEIR_TESTS_FOLDER_KIT_H
#define WEIR_TESTS_FOLDER_KIT_H

#include "core/fault.h"
#include "test.h"

static char dir[256];

static inline int setup(void **state)
{
    snprintf(dir, sizeof(dir), "%s", test_dir());
    return 0;
}

static inline int teardown(void **state)
{
    fault_set(NULL);
    test_rmdir(dir);
    return 0;
}

/* A path in the test's folder; four may be in use at a time. */
static inline const char *at(const char *name)
{
    static char paths[4][512];
    static int next;
    char *p = paths[next++ % 4];
    snprintf(p, sizeof(paths[0]), "%s/%s", dir, name);
    return p;
}

#endif
