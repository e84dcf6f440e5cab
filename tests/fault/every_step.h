/* The tests that a disk gives every user of it: a kill, a power cut and each kind of error at every
 * call. Included behind the two functions that walk over the calls. */
#ifndef WEIR_TESTS_FAULT_EVERY_STEP_H
#define WEIR_TESTS_FAULT_EVERY_STEP_H

#include "fault/child.h"

/* lose: a power cut, with each of so many seeds. */
static void crash_everywhere(bool lose, uint64_t seeds);
static void fail_everywhere(enum fault_kind kind);

static void test_kill_at_every_step(void **state)
{
    crash_everywhere(false, 1);
}

static void test_power_cut_at_every_step(void **state)
{
    crash_everywhere(true, 4);
}

static void test_eio_at_every_step(void **state)
{
    fail_everywhere(FAULT_EIO);
}

static void test_full_at_every_step(void **state)
{
    fail_everywhere(FAULT_ENOSPC);
}

static void test_short_at_every_step(void **state)
{
    fail_everywhere(FAULT_SHORT);
}

static void test_failed_sync_at_every_step(void **state)
{
    fail_everywhere(FAULT_FSYNC);
}

#define EVERY_STEP_TESTS                                                                           \
    cmocka_unit_test(test_kill_at_every_step), cmocka_unit_test(test_power_cut_at_every_step),     \
        cmocka_unit_test(test_eio_at_every_step), cmocka_unit_test(test_full_at_every_step),       \
        cmocka_unit_test(test_short_at_every_step),                                                \
        cmocka_unit_test(test_failed_sync_at_every_step)

#endif
