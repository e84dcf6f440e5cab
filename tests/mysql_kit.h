/* What tests of the parser of MySQL's logs share: bytes to records, as lines "TIME RECORD", fed in
 * pieces of all sizes, with batches that are full at any time, and with parsers that are saved and
 * begun anew. */
#ifndef WEIR_TESTS_MYSQL_KIT_H
#define WEIR_TESTS_MYSQL_KIT_H

#include "core/buf.h"
#include "record/json.h"
#include "record/timestamp.h"
#include "transform/mysql_log.h"

#define MYSQL_KIT_ARRIVAL 1739620800000000000LL /* 2025-02-15T12:00:00Z */

static inline void mysql_kit_take(struct batch *b, struct buf *out)
{
    struct arena arena;
    struct rows rows;
    const int64_t *time;
    if (!batch_rows(b))
        return;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    CHECK(rows_time(&rows, &time) == OK);
    for (uint32_t i = 0; i < rows.n; i++) {
        char text[TIME_TEXT_MAX];
        struct json_rows what = {.rows = &rows, .row = &i, .n = 1, .arena = &arena};
        buf_put(out, text, time_rfc3339(time[i], text));
        buf_put_byte(out, ' ');
        CHECK(json_put_rows(&what, out, NULL) == OK);
        buf_put_byte(out, '\n');
    }
    arena_release(&arena);
    batch_clear(b);
}

/* How a file comes. */
struct mysql_kit_way {
    uint64_t seed;    /* 0: all at once */
    size_t piece_max; /* pieces of 0 to so many bytes */
    bool restart;     /* now and then the parser is saved, and another goes on */
};

static inline uint64_t mysql_kit_draw(uint64_t *state)
{
    *state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
    return *state >> 33;
}

static inline void mysql_kit_again(struct mysql_log **m, const struct mysql_log_options *o)
{
    struct buf state;
    struct mysql_log *next;
    buf_init(&state, 1024);
    mysql_log_save(*m, &state);
    uint64_t at = mysql_log_consumed(*m);
    mysql_log_free(*m);
    CHECK(mysql_log_new(o, &next) == OK);
    CHECK(mysql_log_restore(next, buf_str(&state)) == OK);
    CHECK(mysql_log_consumed(next) == at);
    buf_release(&state);
    *m = next;
}

/* Appends the records of `bytes` to `out`; what was counted (since the last restart) to *ret. */
static inline void mysql_kit_run(const struct mysql_log_options *o, struct str bytes,
                                 struct mysql_kit_way way, struct buf *out,
                                 struct mysql_log_counts *ret)
{
    struct mysql_log *m;
    struct batch *b = batch_new();
    size_t at = 0, used;
    bool more = true;
    CHECK(mysql_log_new(o, &m) == OK);
    while (at < bytes.n) {
        size_t n = bytes.n - at;
        if (way.seed) {
            size_t want = mysql_kit_draw(&way.seed) % (way.piece_max + 1);
            n = want < n ? want : n;
        }
        CHECK(mysql_log_feed(m, str_of(bytes.p + at, n), MYSQL_KIT_ARRIVAL, b, &used) == OK);
        CHECK(used <= n && (used == n || batch_rows(b)));
        at += used;
        CHECK(mysql_log_consumed(m) <= at);
        mysql_kit_take(b, out);
        if (way.restart && mysql_kit_draw(&way.seed) % 4 == 0) {
            mysql_kit_again(&m, o);
            at = (size_t)mysql_log_consumed(m);
        }
    }
    while (more) {
        CHECK(mysql_log_end(m, true, MYSQL_KIT_ARRIVAL, b, &more) == OK);
        mysql_kit_take(b, out);
    }
    CHECK(mysql_log_consumed(m) == bytes.n);
    *ret = *mysql_log_counts(m);
    mysql_log_free(m);
    batch_free(b);
}

/* For fuzzers: every way gives the same. */
static inline void mysql_kit_fuzz(const struct mysql_log_options *o, struct str bytes)
{
    struct mysql_log_counts first, again;
    struct buf want, got;
    uint64_t seed = 1 + bytes.n;
    buf_init(&want, SIZE_MAX);
    buf_init(&got, SIZE_MAX);
    mysql_kit_run(o, bytes, (struct mysql_kit_way){0}, &want, &first);
    CHECK(first.bytes == bytes.n);
    mysql_kit_run(o, bytes, (struct mysql_kit_way){.seed = seed, .piece_max = 1}, &got, &again);
    CHECK(str_eq(buf_str(&want), buf_str(&got)) && !memcmp(&first, &again, sizeof(first)));
    buf_clear(&got);
    mysql_kit_run(o, bytes, (struct mysql_kit_way){seed, bytes.n / 2 + 1, true}, &got, &again);
    CHECK(str_eq(buf_str(&want), buf_str(&got)));
    buf_release(&want);
    buf_release(&got);
}

#endif
