/* Rows to blocks. */
#ifndef WEIR_TESTS_BLOCK_KIT_H
#define WEIR_TESTS_BLOCK_KIT_H

#include "rows_util.h"
#include "store/block.h"

static inline struct block *encode(struct rows *rows)
{
    struct arena scratch;
    struct block *block;
    struct block_options o = {.zstd_level = 1};
    arena_init(&scratch, 0, NULL);
    assert_ok(block_encode(rows, &o, OWNER_MEMTABLE, &scratch, &block));
    arena_release(&scratch);
    return block;
}

#endif
