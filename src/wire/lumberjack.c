#include "wire/lumberjack.h"

#include "wire/decode.h"

enum { PAIRS_MAX = 10000 };

static uint32_t read_number(struct reader *r)
{
    struct str s = read_bytes(r, 4);
    const unsigned char *p = (const unsigned char *)s.p;
    return s.n < 4 ? 0 : (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static enum err count_event(struct lumberjack *l, uint32_t sequence)
{
    l->sequence = sequence;
    l->seen++;
    return OK;
}

/* An event as a line: a line break in JSON can only be white space. */
static void add_json(struct buf *lines, struct str json)
{
    char *to = buf_reserve(lines, json.n + 1);
    for (size_t i = 0; i < json.n; i++)
        to[i] = json.p[i] == '\n' || json.p[i] == '\r' ? ' ' : json.p[i];
    to[json.n] = '\n';
    lines->n += json.n + 1;
}

static enum err read_json(struct lumberjack *l, struct reader *r, struct buf *lines)
{
    uint32_t sequence = read_number(r), n = read_number(r);
    struct str json = read_bytes(r, n);
    if (r->bad)
        return OK;
    add_json(lines, json);
    return count_event(l, sequence);
}

static enum err read_pairs(struct lumberjack *l, struct reader *r, struct buf *lines)
{
    uint32_t sequence = read_number(r), pairs = read_number(r);
    size_t before = lines->n;
    if (pairs > PAIRS_MAX)
        return err_set(ERR_LIMIT, "an event has %u fields, the limit is %d", pairs, PAIRS_MAX);
    buf_put_byte(lines, '{');
    for (uint32_t i = 0; i < pairs && !r->bad; i++) {
        struct str key = read_bytes(r, read_number(r));
        struct str value = read_bytes(r, read_number(r));
        if (i)
            buf_put_byte(lines, ',');
        json_put_string(lines, key);
        buf_put_byte(lines, ':');
        json_put_string(lines, value);
    }
    buf_put_c(lines, "}\n");
    if (r->bad) {
        lines->n = before;
        return OK;
    }
    return count_event(l, sequence);
}

static enum err read_frames(struct lumberjack *l, struct reader *r, size_t lines_max,
                            size_t inflated_max, struct buf *lines, struct buf *inflated,
                            bool *ret_full);

static enum err read_compressed(struct lumberjack *l, struct reader *r, size_t lines_max,
                                size_t inflated_max, struct buf *lines, struct buf *inflated)
{
    struct str bytes = read_bytes(r, read_number(r));
    bool full;
    if (r->bad)
        return OK;
    if (!inflated)
        return err_set(ERR_INVALID, "a compressed frame stands in another");
    buf_clear(inflated);
    inflated->max = inflated_max;
    enum err err = wire_inflate(STR("deflate"), bytes, inflated);
    inflated->max = SIZE_MAX;
    TRY(err);
    struct reader inside = reader_of(buf_str(inflated));
    TRY(read_frames(l, &inside, SIZE_MAX, 0, lines, NULL, &full));
    return inside.p < inside.end
               ? err_set(ERR_INVALID, "a compressed frame ends within a frame of its own")
               : OK;
}

/* One frame; r->bad where it is not all there. */
static enum err read_frame(struct lumberjack *l, struct reader *r, size_t lines_max,
                           size_t inflated_max, struct buf *lines, struct buf *inflated)
{
    struct str head = read_bytes(r, 2);
    if (r->bad)
        return OK;
    if (head.p[0] != '1' && head.p[0] != '2')
        return err_set(ERR_INVALID,
                       "this is no frame of Beats: version 1 or 2 is wanted, and its first byte is "
                       "0x%02x",
                       (unsigned char)head.p[0]);
    l->version = head.p[0];
    switch (head.p[1]) {
    case 'W': {
        uint32_t window = read_number(r);
        if (!r->bad) {
            l->window = window;
            l->seen = 0;
        }
        return OK;
    }
    case 'J':
        return read_json(l, r, lines);
    case 'D':
        return read_pairs(l, r, lines);
    case 'C':
        return read_compressed(l, r, lines_max, inflated_max, lines, inflated);
    default:
        return err_set(ERR_INVALID, "Beats knows no frame 0x%02x", (unsigned char)head.p[1]);
    }
}

static enum err read_frames(struct lumberjack *l, struct reader *r, size_t lines_max,
                            size_t inflated_max, struct buf *lines, struct buf *inflated,
                            bool *ret_full)
{
    *ret_full = false;
    while (r->p < r->end && lines->n < lines_max && !*ret_full) {
        struct reader frame = *r;
        uint32_t seen = l->seen;
        TRY(read_frame(l, &frame, lines_max, inflated_max, lines, inflated));
        if (frame.bad)
            return OK;
        *r = frame;
        /* In a compressed frame the rest of it is read first: its window is full at its end. */
        *ret_full = inflated && l->seen > seen && l->seen >= l->window;
    }
    return OK;
}

enum err lumberjack_read(struct lumberjack *l, struct str in, size_t lines_max, size_t inflated_max,
                         struct buf *lines, struct buf *inflated, size_t *ret_n, bool *ret_full)
{
    struct reader r = reader_of(in);
    TRY(read_frames(l, &r, lines_max, inflated_max, lines, inflated, ret_full));
    *ret_n = in.n - reader_left(&r);
    return OK;
}

void lumberjack_ack(const struct lumberjack *l, uint32_t sequence, char out[LUMBERJACK_ACK_BYTES])
{
    out[0] = l->version ? l->version : '2';
    out[1] = 'A';
    for (int i = 0; i < 4; i++)
        out[2 + i] = (char)(sequence >> (8 * (3 - i)));
}
