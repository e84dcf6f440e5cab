/* The body of json_form_put's twins, of which each brings the functions declared here.
 *
 * A record is read from its first byte to its last in one go. A piece of static text is compared;
 * then the string is copied to its column on the way to its end, 64 bytes at a time, and what was
 * copied too far is written over by the next one. A control character ends the record's being of
 * the form; from a backslash on the string is undone. Bytes above ASCII are not asked what they
 * are: bad UTF-8 is taken as it is. */
#ifndef WEIR_RECORD_JSON_FORM_PUT_H
#define WEIR_RECORD_JSON_FORM_PUT_H

#include "record/json.h"
#include "record/json_form.h"
#include "record/json_unescape.h"

enum { STEP = 64 };

/* Copies 64 bytes; answers, as bits, those that cannot stand for themselves in a string: its
 * closing quote, backslashes, control characters. */
static inline uint64_t put_step(char *to, const char *p);

/* What 64 bytes hold, a bit a byte. */
struct put_marks {
    uint64_t quote, backslash, control;
};
static inline struct put_marks put_marks(const char *p);

/* The rest of a string from a backslash on; as put_string. */
static __attribute__((noinline)) const char *put_escaped(const char *p, const char *end, char *to,
                                                         uint32_t *ret_n)
{
    const char *from = p;
    uint64_t carry = 0;
    for (; p < end; p += STEP) {
        struct put_marks m = put_marks(p);
        uint64_t stop = (m.quote & ~scan_shielded(m.backslash, &carry)) | m.control;
        if (stop) {
            p += __builtin_ctzll(stop);
            break;
        }
    }
    size_t n, bad;
    if (p >= end || *p != '"' || !json_unescape(str_of(from, (size_t)(p - from)), to, &n, &bad))
        return NULL;
    *ret_n = (uint32_t)n;
    return p;
}

/* The string whose inside begins at p, to `to`: where it ends, and its bytes there; NULL where it
 * does not before `end`, or is none. */
static inline const char *put_string(const char *p, const char *end, char *to, uint32_t *ret_n)
{
    for (uint32_t n = 0; p < end; n += STEP, p += STEP) {
        uint64_t stop = put_step(to + n, p);
        if (!stop)
            continue;
        unsigned at = (unsigned)__builtin_ctzll(stop);
        uint32_t rest = 0;
        p += at;
        if (p >= end || (*p != '"' && *p != '\\'))
            return NULL;
        if (__builtin_expect(*p == '\\', 0))
            p = put_escaped(p, end, to + n + at, &rest);
        *ret_n = n + at + rest;
        return p;
    }
    return NULL;
}

/* Whether a piece stands at p: sixteen bytes at a time, the last with what stands behind them,
 * which is masked out. */
static inline bool has_piece(const char *p, const char *text, uint32_t n)
{
    scan_bytes is, wanted;
    for (; n > sizeof(is); n -= (uint32_t)sizeof(is), p += sizeof(is), text += sizeof(is)) {
        memcpy(&is, p, sizeof(is));
        memcpy(&wanted, text, sizeof(wanted));
        if (scan_bits((scan_bytes)(is == wanted)) != UINT16_MAX)
            return false;
    }
    memcpy(&is, p, sizeof(is));
    memcpy(&wanted, text, sizeof(wanted));
    return (scan_bits((scan_bytes)(is == wanted)) | UINT32_MAX << n) == UINT32_MAX;
}

/* The strings of the record at p, each to its column; where it ends, or NULL where it is none of
 * the form. */
static inline const char *put_record(const struct json_form *f, uint32_t strings, const char *p,
                                     const char *end, char *const *to, uint32_t *ret_n)
{
    const struct json_piece *x = f->piece;
    for (uint32_t i = 0; i < strings; i++, x++) {
        if (x->n >= (size_t)(end - p) || !has_piece(p, f->text + x->from, x->n))
            return NULL;
        p = put_string(p + x->n, end, to[i], &ret_n[i]);
        if (!p)
            return NULL;
    }
    bool is_it = x->n <= (size_t)(end - p) && has_piece(p, f->text + x->from, x->n);
    return is_it ? p + x->n : NULL;
}

/* A string cannot hold a line break, nor can what stands between those of the form: a record that
 * has it ends in its line. */
static inline __attribute__((always_inline)) const char *put_strings(const struct json_form *f,
                                                                     uint32_t strings,
                                                                     const char *p, const char *end,
                                                                     struct json_likes *l)
{
    struct batch_like like = l->like;
    const char *const lines_end = l->lines_end;
    size_t room = l->room, raw_n = l->raw_n, last_raw_n = 0;
    uint32_t i = 0, n[BATCH_FORM_MAX];
    for (; i < l->max && p < end; i++) {
        const char *behind = put_record(f, strings, p, end, like.to, n);
        if (!behind || (behind < lines_end && *behind != '\n'))
            break;
        size_t bytes = (size_t)(behind - p), cost = l->cost;
        if (bytes + l->extra > room || bytes > l->record_max)
            break;
        for (uint32_t k = 0; k < strings; k++) {
            like.to[k] += n[k];
            like.at[k] += n[k];
            *like.end[k]++ = like.at[k];
            cost += n[k];
        }
        room -= cost < room ? cost : room;
        raw_n += bytes;
        last_raw_n = bytes;
        p = behind + (behind < lines_end); /* and the line break */
    }
    l->like = like;
    l->room = room;
    l->raw_n = raw_n;
    l->last_raw_n = last_raw_n;
    l->n = i;
    return p;
}

/* One string is what lines of text have. */
static inline const char *put_records(const struct json_form *f, const char *p, const char *end,
                                      struct json_likes *l)
{
    return f->strings == 1 ? put_strings(f, 1, p, end, l) : put_strings(f, f->strings, p, end, l);
}
#endif
