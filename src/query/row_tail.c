/* The end of a row's line. See row_tail.h. */
#include "query/row_tail.h"

#include "filter/filter.h"
#include "record/json.h"
#include "record/timestamp.h"

#define TIME_HEAD ",\"_time\":\""
#define LINE_END "\"}\n"
enum { SLACK = 16 }; /* copied beyond the end of the text */

struct row_tail {
    const uint32_t *row;
    const int64_t *time;
    const struct origin_run *run, *last_run; /* of the row at hand, and of the one in the text */
    uint32_t runs;                           /* from `run` on */
    uint32_t last_row;
    int64_t last_ns;
    struct time_writer writer;
    char *text;
    size_t n, time_n, id_at; /* n 0: nothing is written yet */
    struct str middle;       /* between time and id */
};

/* Whether a column, or a record kept as text, may give rows a member of the name. */
static bool may_have(const struct rows *rows, struct str name)
{
    for (uint32_t c = 0; c < rows->n_columns; c++)
        if (rows->columns[c].lane == LANE_JSON && rows->columns[c].path.n == 0)
            return true;
    return rows_find(rows, name, 0) != UINT32_MAX;
}

enum err row_tail_new(struct rows *rows, const uint32_t *row, uint32_t n, struct arena *arena,
                      struct row_tail **ret)
{
    *ret = NULL;
    if (n == 0 || may_have(rows, STR("_time")) || may_have(rows, STR("_stream")) ||
        may_have(rows, STR("_id")))
        return OK;
    struct row_tail *t = ARENA_NEW(arena, struct row_tail);
    struct buf b;
    t->row = row;
    TRY(rows_time(rows, &t->time));
    TRY(rows->ops->origin(rows, &t->run, &t->runs));
    if (!t->runs || t->run->row > row[0])
        return err_set(ERR_CORRUPT, "row %u has no origin", row[0]);
    buf_init(&b, SIZE_MAX);
    buf_put_c(&b, "\",\"_stream\":");
    json_put_string(&b, rows->stream);
    buf_put_c(&b, ",\"_id\":\"");
    t->middle = arena_str(arena, buf_str(&b));
    buf_release(&b);
    t->text = arena_zalloc(arena, sizeof(TIME_HEAD) + TIME_TEXT_MAX + t->middle.n + FILTER_ID_MAX +
                                      sizeof(LINE_END) + SLACK);
    memcpy(t->text, TIME_HEAD, sizeof(TIME_HEAD) - 1);
    *ret = t;
    return OK;
}

static void put_id(struct row_tail *t, uint32_t row)
{
    struct origin_run origin = *t->run;
    origin.index += row - origin.row;
    t->n = t->id_at + filter_row_id(&origin, t->text + t->id_at);
    memcpy(t->text + t->n, LINE_END, sizeof(LINE_END) - 1);
    t->n += sizeof(LINE_END) - 1;
    t->last_run = t->run;
}

/* The number in hexadecimal that ends at `end` plus one; false where it has no more digits. */
static bool hex_next(char *end)
{
    char *p = end - 1;
    for (; *p == 'f'; p--)
        *p = '0';
    if (*p == '-')
        return false;
    *p = *p == '9' ? 'a' : (char)(*p + 1);
    return true;
}

static void put_time(struct row_tail *t, int64_t ns)
{
    char text[TIME_TEXT_MAX], *to = t->text + sizeof(TIME_HEAD) - 1;
    size_t n = time_rfc3339_next(&t->writer, ns, text);
    str_copy(to, str_of(text, n));
    t->last_ns = ns;
    if (n == t->time_n)
        return;
    t->time_n = n;
    memcpy(to + n, t->middle.p, t->middle.n);
    t->id_at = (size_t)(to - t->text) + n + t->middle.n;
    t->last_run = NULL;
}

void row_tail_put(struct row_tail *t, uint32_t i, bool first, struct buf *out)
{
    uint32_t row = t->row[i];
    for (; t->runs > 1 && t->run[1].row <= row; t->runs--)
        t->run++;
    if (t->time_n == 0 || t->time[row] != t->last_ns)
        put_time(t, t->time[row]);
    if (t->run != t->last_run || row != t->last_row + 1 ||
        !hex_next(t->text + t->n - (sizeof(LINE_END) - 1)))
        put_id(t, row);
    t->last_row = row;
    const char *from = t->text + first;
    size_t n = t->n - first;
    char *to = buf_reserve(out, n + SLACK);
    if (!to) {
        buf_put(out, from, n);
        return;
    }
    for (size_t at = 0; at < n; at += SLACK)
        memcpy(to + at, from + at, SLACK);
    out->n += n;
}
