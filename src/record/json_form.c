/* Records in the text of the one before: what a form is, and the twin of json_form_put.h for any
 * machine. */
#include "record/json_form_put.h"

/* Records that are added at once. A column gets room for as many bytes as are looked at. */
enum { PUT_RECORDS = 128, PUT_BYTES = 32 << 10 };

/* ---- learning ---- */

void json_form_begin(struct json_form *f)
{
    f->batch = NULL;
    f->pieces = 0;
}

bool json_form_piece(struct json_form *f, struct str text)
{
    const struct json_piece *last = &f->piece[f->pieces];
    uint32_t at = f->pieces ? last[-1].from + last[-1].n : 0;
    if (text.n > JSON_FORM_BYTES - at)
        return false;
    memcpy(f->text + at, text.p, text.n);
    f->piece[f->pieces++] = (struct json_piece){(uint16_t)at, (uint16_t)text.n};
    return true;
}

void json_form_end(struct json_form *f, struct batch *b)
{
    f->strings = f->pieces - 1;
    f->has_id = batch_form_has_id(b);
    f->batch = b;
    f->version = batch_version(b);
}

/* ---- reading ---- */

static inline uint64_t put_step(char *to, const char *p)
{
    uint64_t stop = 0;
    for (int i = 0; i < 4; i++) {
        scan_bytes v;
        memcpy(&v, p + i * 16, sizeof(v));
        memcpy(to + i * 16, &v, sizeof(v));
        stop |= (uint64_t)scan_bits((scan_bytes)((v == SCAN_ALL('"')) | (v == SCAN_ALL('\\')) |
                                                 (v < SCAN_ALL(0x20))))
                << i * 16;
    }
    return stop;
}

static inline struct put_marks put_marks(const char *p)
{
    struct put_marks m = {0};
    for (int i = 0; i < 4; i++) {
        scan_bytes v;
        memcpy(&v, p + i * 16, sizeof(v));
        m.quote |= (uint64_t)scan_bits((scan_bytes)(v == SCAN_ALL('"'))) << i * 16;
        m.backslash |= (uint64_t)scan_bits((scan_bytes)(v == SCAN_ALL('\\'))) << i * 16;
        m.control |= (uint64_t)scan_bits((scan_bytes)(v < SCAN_ALL(0x20))) << i * 16;
    }
    return m;
}

const char *json_form_put_plain(const struct json_form *f, const char *p, const char *end,
                                struct json_likes *l)
{
    return put_records(f, p, end, l);
}

static const char *put(const struct json_form *f, const char *p, const char *end,
                       struct json_likes *l)
{
#ifdef __x86_64__
    if (json_has_avx512())
        return json_form_put_avx512(f, p, end, l);
#endif
    return json_form_put_plain(f, p, end, l);
}

uint32_t json_form_read(struct json_form *f, struct str lines,
                        const struct json_form_wanted *wanted, int64_t arrival_ns, struct batch *b,
                        size_t *ret_n)
{
    struct json_likes l = {.lines_end = lines.p + lines.n,
                           .room = batch_room(b),
                           .extra = wanted->extra,
                           .record_max = wanted->record_max,
                           .cost = batch_form_cost(b)};
    const char *p = lines.p;
    uint32_t n = 0;
    do {
        size_t left = (size_t)(l.lines_end - p), bytes = left < PUT_BYTES ? left : PUT_BYTES;
        l.max = wanted->n - n < PUT_RECORDS ? wanted->n - n : PUT_RECORDS;
        l.raw_n = 0;
        batch_like_begin(b, l.max, bytes, &l.like);
        p = put(f, p, p + bytes, &l);
        if (l.n)
            batch_like_end(b, &l.like, l.n, arrival_ns, l.raw_n, l.last_raw_n);
        n += l.n;
    } while (l.n && n < wanted->n && p < l.lines_end);
    f->version = batch_version(b);
    *ret_n = (size_t)(p - lines.p);
    return n;
}
