/* Any bytes as one record and as a body: read or refused; a record that was read is written as JSON
 * that reads as the same record again, and another check of JSON agrees that it is JSON. */
#include "record/json.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 64};

static void write_row(struct batch *b, struct buf *out)
{
    struct arena arena;
    struct rows rows;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    CHECK(rows.n == 1);
    struct json_rows what = {&rows, (uint32_t[]){0}, 1, &arena, NULL, 0};
    CHECK(json_put_rows(&what, out, NULL) == OK);
    struct str field = STR("a");
    struct json_rows part = {&rows, (uint32_t[]){0}, 1, &arena, &field, 1};
    struct buf chosen;
    buf_init(&chosen, SIZE_MAX);
    CHECK(json_put_rows(&part, &chosen, NULL) == OK && chosen.n <= out->n);
    buf_release(&chosen);
    arena_release(&arena);
}

static enum err on_record(void *ctx, uint32_t position, struct str record)
{
    struct batch *b = batch_new();
    struct json_reader *r = json_reader_new(&limits);
    if (json_read_record(r, record, 0, b) != OK) /* behind it: the rest of the body */
        CHECK(batch_rows(b) == 0);
    json_reader_free(r);
    batch_free(b);
    return OK;
}

/* Lines that are read ahead are what they are alone. */
static void read_lines(struct json_reader *r, struct str lines, struct batch *b)
{
    struct json_reader *ahead = json_reader_new(&limits);
    struct batch *same = batch_new();
    char reason[256];
    size_t bytes;
    batch_clear(b);
    json_reader_lines(ahead, lines);
    for (struct str rest = lines, line; str_split(&rest, '\n', &line);) {
        enum err err = json_read_record(r, line, 1, b);
        snprintf(reason, sizeof(reason), "%s", err == OK ? "" : err_text());
        CHECK(json_read_record(ahead, line, 1, same) == err);
        CHECK(err == OK || str_eq_c(str_c(reason), err_text()));
        uint32_t alike = json_read_alike(ahead, rest, 1, same, 10, &bytes);
        for (size_t left; alike; bytes -= left - rest.n, alike--) {
            left = rest.n;
            CHECK(str_split(&rest, '\n', &line) && json_read_record(r, line, 1, b) == OK);
        }
        CHECK(!bytes);
        CHECK(batch_raw_bytes(b) == batch_raw_bytes(same) && batch_bytes(b) == batch_bytes(same));
    }
    batch_free(same);
    json_reader_free(ahead);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_reader *r = json_reader_new(&limits);
    struct batch *b = batch_new();
    struct buf first, again;
    buf_init(&first, SIZE_MAX);
    buf_init(&again, SIZE_MAX);
    char *text = malloc(size + JSON_PADDING);
    memcpy(text, data, size);
    memset(text + size, '}', JSON_PADDING);
    if (json_read_record(r, str_of(text, size), 1, b) == OK) {
        CHECK(json_check(r, str_of(text, size)) == OK);
        write_row(b, &first);
        batch_clear(b);
        CHECK(buf_reserve(&first, JSON_PADDING));
        CHECK(json_read_record(r, buf_str(&first), 1, b) == OK);
        write_row(b, &again);
        CHECK(str_eq(buf_str(&first), buf_str(&again)));
    } else {
        CHECK(batch_rows(b) == 0);
    }
    read_lines(r, str_of(text, size), b);
    if (json_each_record(r, str_of(text, size), on_record, NULL) != OK)
        CHECK(err_text()[0]);
    free(text);
    buf_release(&first);
    buf_release(&again);
    batch_free(b);
    json_reader_free(r);
    return 0;
}
