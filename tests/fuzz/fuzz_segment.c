/* Segment files. Byte 0 says how the rest is read: 0 as a whole file; 1 as a footer whose checksum
 * is right; 2 as u32 length, a section's tail of that length whose checksum is made right, and the
 * bytes of its blocks, which are then read as if they were in memory, so that no checksum shields
 * the decoders. */
#include "core/buf.h"
#include "core/hash.h"
#include "core/mem.h"
#include "record/bitmap.h"
#include "record/json.h"
#include "record/predicate.h"
#include "store/segment_format.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum { ARENA_MAX = 64 << 20, ROWS_SHOWN = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum err ignore_line(void *ctx, struct str line)
{
    *(size_t *)ctx += line.n;
    return OK;
}

static void whole_file(struct str s)
{
    char path[64];
    size_t total = 0;
    struct buf out;
    int fd = memfd_create("segment", 0);
    if (fd < 0 || write(fd, s.p, s.n) != (ssize_t)s.n)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    buf_init(&out, 1 << 20);
    enum err verified = segment_verify(path, &out);
    enum err shown = segment_cat(path, ignore_line, &total, &out);
    enum err inspected = segment_inspect(path, true, false, &out);
    if (verified == OK && (shown != OK || inspected != OK))
        abort();
    buf_release(&out);
    close(fd);
}

static void footer(struct str s)
{
    struct arena a;
    struct seg_footer f;
    arena_init(&a, ARENA_MAX, NULL);
    if (segment_footer_read(s, hash64(s), 1 << 30, &a, &f) == OK)
        for (uint32_t i = 0; i < f.n_sections; i++)
            if (f.section[i].tail_offset > 1 << 30)
                abort();
    arena_release(&a);
}

/* What texts say, asked without being read. */
static void match_texts(const struct rows *rows, struct arena *a)
{
    static const char *const words[] = {"user: domain", "0.0"};
    for (uint32_t c = 0; c < rows->n_columns; c++) {
        const struct column *col = &rows->columns[c];
        for (size_t i = 0; lane_is_text(col->lane) && i < sizeof(words) / sizeof(*words); i++) {
            struct predicate p;
            if (predicate_text(a, str_c(words[i]), &p) != OK ||
                col->ops->match(col, &p, a, bitmap_new(a, col->n)) > OK)
                abort();
        }
    }
}

static void show_block(const struct dir *d, uint32_t block, struct str bytes)
{
    struct arena a;
    struct rows rows;
    struct buf out;
    struct block_source from = {.bytes = bytes, .fd = -1, .filters = true};
    uint32_t row[ROWS_SHOWN], end_of[ROWS_SHOWN], n = 0;
    struct origin_run origin;
    arena_init(&a, ARENA_MAX, NULL);
    buf_init(&out, 1 << 20);
    if (block_dir_rows(d, block, &from, STR("s"), &a, NULL, &rows) == OK) {
        for (; n < ROWS_SHOWN && n < rows.n; n++)
            row[n] = n;
        struct json_rows what = {.rows = &rows, .row = row, .n = n, .arena = &a};
        enum err err = json_put_rows(&what, &out, end_of);
        if (err == OK)
            err = rows_origin(&rows, rows.n - 1, &origin);
        buf_clear(&out);
        match_texts(&rows, &a);
    }
    block_dir_verify(d, block, &from, "fuzz", &out);
    arena_release(&a);
    buf_release(&out);
}

static void tail_and_blocks(struct str s)
{
    struct reader r = reader_of(s);
    uint32_t n = read_u32(&r);
    if (r.bad || n < SEGMENT_TAIL_HEAD_BYTES || n > reader_left(&r))
        return;
    char *tail = mem_strdup(read_bytes(&r, n));
    uint64_t sum = hash64(str_of(tail + 16, n - 16));
    memcpy(tail, SEGMENT_TAIL_MAGIC, 8);
    for (int i = 0; i < 8; i++)
        tail[8 + i] = (char)(sum >> (8 * i));
    /* A copy of its own, so that reads past the end are seen. */
    size_t left = reader_left(&r);
    char *blocks = mem_strdup(read_bytes(&r, left));
    struct arena a;
    struct seg_tail t;
    arena_init(&a, ARENA_MAX, NULL);
    if (segment_tail_read(str_of(tail, n), 1 << 30, &a, &t) == OK)
        for (uint32_t i = 0; i < t.dir.n_blocks && i < 4; i++)
            if (t.dir.block[i].length <= left && left > 0)
                show_block(&t.dir, i, str_of(blocks, left));
    arena_release(&a);
    mem_free(tail);
    mem_free(blocks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    struct str rest = str_of((const char *)data + 1, size - 1);
    if (data[0] == 0)
        whole_file(rest);
    else if (data[0] == 1)
        footer(rest);
    else
        tail_and_blocks(rest);
    return 0;
}
