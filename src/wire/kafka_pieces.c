#include "wire/kafka_pieces.h"

#include "record/pick.h"

#include <stdlib.h>

struct cutting {
    struct kafka_pieces *p;
    struct frame_info info;
    struct rows rows;
    uint32_t frame_no;
    size_t bytes_max;
    struct batch *batch;
    struct buf out;
};

static struct kafka_piece *new_piece(struct kafka_pieces *p)
{
    if (p->n == p->cap) {
        uint32_t cap = p->cap ? p->cap * 2 : 8;
        struct kafka_piece *more = ARENA_ARRAY(p->arena, struct kafka_piece, cap);
        if (p->n)
            memcpy(more, p->piece, p->n * sizeof(*more));
        p->piece = more;
        p->cap = cap;
    }
    return &p->piece[p->n++];
}

static void add_piece(struct cutting *c, struct str key, struct str frame, uint32_t row,
                      uint32_t rows)
{
    struct kafka_piece *piece = new_piece(c->p);
    *piece = (struct kafka_piece){.key = arena_str(c->p->arena, key),
                                  .bytes = frame.n,
                                  .frame_no = c->frame_no,
                                  .row = row,
                                  .rows = rows};
    if (!frame.n)
        return;
    piece->frame = arena_alloc(c->p->arena, frame.n);
    memcpy(piece->frame, frame.p, frame.n);
}

/* Rows of one key, halved while they are too large. */
static enum err cut_rows(struct cutting *c, struct str key, const uint32_t *row, uint32_t n)
{
    struct frame_info info = c->info;
    info.raw_bytes = info.raw_bytes * n / c->rows.n + 1;
    batch_clear(c->batch);
    buf_clear(&c->out);
    TRY(batch_append_rows(c->batch, &c->rows, row, n));
    TRY(frame_encode(c->batch, &info, &c->out));
    if (c->out.n <= c->bytes_max || n == 1) {
        struct str frame = c->out.n <= c->bytes_max ? buf_str(&c->out) : (struct str){0};
        add_piece(c, key, frame, row[0], n);
        return OK;
    }
    TRY(cut_rows(c, key, row, n / 2));
    return cut_rows(c, key, row + n / 2, n - n / 2);
}

struct keyed_row {
    struct str key;
    uint32_t row;
};

static int by_key(const void *pa, const void *pb)
{
    const struct keyed_row *a = pa, *b = pb;
    int cmp = str_cmp(a->key, b->key);
    return cmp ? cmp : (a->row > b->row) - (a->row < b->row);
}

static bool one_key(const struct str *text, uint32_t n)
{
    for (uint32_t i = 1; text && i < n; i++)
        if (!str_eq(text[i], text[0]))
            return false;
    return true;
}

/* The keys in the order of their bytes, the rows of each in theirs. */
static enum err cut_by_key(struct cutting *c, const struct str *text, struct arena *a)
{
    uint32_t n = c->rows.n;
    struct keyed_row *list = ARENA_ARRAY(a, struct keyed_row, n);
    uint32_t *row = ARENA_ARRAY(a, uint32_t, n);
    for (uint32_t i = 0; i < n; i++)
        list[i] = (struct keyed_row){text ? text[i] : (struct str){0}, i};
    qsort(list, n, sizeof(*list), by_key);
    for (uint32_t i = 0; i < n; i++)
        row[i] = list[i].row;
    for (uint32_t from = 0, to; from < n; from = to) {
        for (to = from + 1; to < n && str_eq(list[to].key, list[from].key); to++)
            ;
        TRY(cut_rows(c, list[from].key, row + from, to - from));
    }
    return OK;
}

enum err kafka_pieces_add(struct kafka_pieces *p, struct str frame, struct str key,
                          size_t bytes_max)
{
    struct arena a;
    struct str *text = NULL;
    struct cutting c = {.p = p, .bytes_max = bytes_max};
    enum err err = OK;
    c.frame_no = p->n ? p->piece[p->n - 1].frame_no + 1 : 0;
    arena_init(&a, 0, NULL);
    TRY_OUT(frame_open(frame, 0, 0, &a, &c.info, &c.rows));
    if (key.n)
        TRY_OUT(rows_pick_text(&c.rows, key, &a, &text));
    if (one_key(text, c.rows.n) && frame.n <= bytes_max) {
        add_piece(&c, text ? text[0] : (struct str){0}, frame, 0, c.rows.n);
        goto out;
    }
    c.batch = batch_new();
    buf_init(&c.out, SIZE_MAX);
    err = cut_by_key(&c, text, &a);
    buf_release(&c.out);
    batch_free(c.batch);
out:
    arena_release(&a);
    return err;
}

void kafka_pieces_stamp(struct kafka_pieces *p, uint64_t producer, uint64_t epoch,
                        uint64_t sequence)
{
    for (uint32_t i = 0; i < p->n; i++) {
        struct kafka_piece *piece = &p->piece[i];
        struct frame_info info;
        uint32_t rows;
        int64_t min, max;
        if (!piece->bytes)
            continue;
        CHECK(frame_peek(str_of(piece->frame, piece->bytes), &info, &rows, &min, &max) == OK);
        info.part = i;
        info.first_index = 0;
        if (producer) {
            if (!info.producer)
                info.payload = (struct hash128){(uint64_t)info.arrival_ns, 0};
            info.producer = producer;
            info.epoch = epoch;
            info.sequence = sequence;
            info.key = (struct hash128){0, 0};
        }
        frame_restamp(piece->frame, &info);
        frame_set_parts(piece->frame, p->n);
    }
}
