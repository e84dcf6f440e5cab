/* Records of protocols that are not JSON. A decoder says for each record how to *put* its fields,
 * and the fields go straight to the columns of a batch. A record with more fields than a batch may
 * have is kept as one JSON text: then its fields are put a second time, as text. So a put function
 * must do the same each time it is called.
 * Threads: those of its wire_decoder: one. */
#ifndef WEIR_WIRE_RECORD_H
#define WEIR_WIRE_RECORD_H

#include "wire/decode.h"

/* Where the fields of the record under way go. */
struct put {
    struct batch *batch; /* NULL: to `json` */
    struct buf *json;
    struct buf *scratch;
    unsigned depth, nesting; /* open objects, and how many there may be */
};

void put_text_json(struct put *p, struct str key, struct str v);
static inline void put_text(struct put *p, struct str key, struct str v)
{
    if (__builtin_expect(p->batch != NULL, 1))
        batch_text(p->batch, key, LANE_STR, v);
    else
        put_text_json(p, key, v);
}
/* put_text where the text is not empty. */
static inline void put_text_if(struct put *p, struct str key, struct str v)
{
    if (v.n)
        put_text(p, key, v);
}
void put_int_json(struct put *p, struct str key, int64_t v);
static inline void put_int(struct put *p, struct str key, int64_t v)
{
    if (__builtin_expect(p->batch != NULL, 1))
        batch_int(p->batch, key, v);
    else
        put_int_json(p, key, v);
}
void put_uint(struct put *p, struct str key, uint64_t v);
/* A whole double is written with ".0", so that it is seen to be one; NaN and infinities as text. */
void put_double(struct put *p, struct str key, double v);
void put_bool(struct put *p, struct str key, bool v);
void put_null(struct put *p, struct str key);
void put_hex(struct put *p, struct str key, struct str bytes);    /* text, lower case */
void put_base64(struct put *p, struct str key, struct str bytes); /* text, RFC 4648 with padding */
/* A valid JSON value by its text, of any kind: objects are opened. ERR_LIMIT past the nesting. */
NODISCARD enum err put_json(struct put *p, struct str key, struct str text);
/* The members of a valid JSON object, as fields of the object that is open. */
NODISCARD enum err put_json_members(struct put *p, struct str object);
/* An array by its JSON text. */
void put_array(struct put *p, struct str key, struct str text);
/* An object with members; put_empty is {}. */
NODISCARD enum err put_open(struct put *p, struct str key); /* ERR_LIMIT past the nesting */
void put_close(struct put *p);
void put_empty(struct put *p, struct str key);

/* JSON text of values in arrays: the same kinds of values, appended to `out`. */
void json_text_int(struct buf *out, int64_t v);
void json_text_uint(struct buf *out, uint64_t v);
void json_text_double(struct buf *out, double v);
void json_text_base64(struct buf *out, struct str bytes); /* in quotes */

struct wire_record {
    /* ERR_INVALID and ERR_LIMIT refuse the record with err_text(); anything else ends the body. */
    enum err (*put)(void *ctx, struct put *p);
    void *ctx;
    struct str raw; /* its bytes: for the dead letters, and counted */
    /* Where only put finds the end of `raw`, which reaches as far as it may till then: put leaves
     * it here, also when it fails. NULL: it is known. */
    const char *const *end;
    size_t cost;   /* what it takes in a batch at most, about; 0: judged by `raw` */
    bool has_time; /* its envelope says so: */
    int64_t time_ns;
};
/* The next record of the body: into the batch, or refused. */
NODISCARD enum err wire_add(struct wire_decoder *d, const struct wire_record *r);
/* A record that cannot even be begun: refused with err_text(). */
void wire_refuse(struct wire_decoder *d, struct str raw);

#endif
