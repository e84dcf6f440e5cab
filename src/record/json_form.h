/* What a record was that held nothing but strings, as a form for those behind it: most have its
 * keys in its text, and differ in the values. Such a record is told by its bytes alone: where the
 * static text stands, and what lies between is the inside of a string, it is a record as JSON has
 * it, and nothing of it need be looked for. Owner: a json_reader; threads: its own. */
#ifndef WEIR_RECORD_JSON_FORM_H
#define WEIR_RECORD_JSON_FORM_H

#include "record/batch.h"
#include "record/scan.h"

enum { JSON_FORM_BYTES = 512 };

/* Static text of a record: up to and with the opening quote of a value, from the closing quote of
 * the one before. */
struct json_piece {
    uint16_t from, n;
};

struct json_form {
    const struct batch *batch; /* that holds such a record as its last; NULL: there is none */
    uint64_t version;          /* of the batch, just behind it */
    bool has_id;
    uint32_t strings, pieces;
    struct json_piece piece[BATCH_FORM_MAX + 1];
    char text[JSON_FORM_BYTES + sizeof(scan_bytes)];
};

/* Learning it: the pieces in their order, one more than there are strings, and then the batch whose
 * last record it is. False: the form is too long. */
void json_form_begin(struct json_form *f);
bool json_form_piece(struct json_form *f, struct str text);
void json_form_end(struct json_form *f, struct batch *b);

/* Whether the batch's last record is of the form. */
static inline bool json_form_is_of(const struct json_form *f, const struct batch *b)
{
    return f->batch == b && f->version == batch_version(b);
}

/* Which records are added. */
struct json_form_wanted {
    size_t record_max; /* none that are longer */
    size_t extra;      /* each leaves the batch room for so many bytes more */
    uint32_t n;
};

/* Adds records of the form that stand in lines, from the first on: how many, and their bytes with
 * the line breaks. BATCH_FORM_BEHIND bytes behind the lines must be readable. */
uint32_t json_form_read(struct json_form *f, struct str lines,
                        const struct json_form_wanted *wanted, int64_t arrival_ns, struct batch *b,
                        size_t *ret_n);

/* A part of them, put where the batch has room. */
struct json_likes {
    struct batch_like like;
    const char *lines_end;
    size_t room, extra, record_max;
    size_t cost; /* of a record, beside its texts */
    size_t raw_n, last_raw_n;
    uint32_t n, max;
};

/* The records from p to `end` at most, where the lines may go on; answers where they end. The
 * twins: on any machine, and by AVX-512. */
const char *json_form_put_plain(const struct json_form *f, const char *p, const char *end,
                                struct json_likes *l);
const char *json_form_put_avx512(const struct json_form *f, const char *p, const char *end,
                                 struct json_likes *l);

#endif
