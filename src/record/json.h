/* JSON in and out.
 * In: one record (a JSON object) at a time to a batch, over simdjson's first stage (a thin C++
 * shim). What RFC 8259 refuses is refused with its byte and reason; bad UTF-8 and lone surrogates
 * are accepted: values are the original bytes (a lone surrogate becomes its three WTF-8 bytes).
 * Out: a row in its original key order and nesting.
 * Threads: a json_reader is one thread's; the writers are pure. */
#ifndef WEIR_RECORD_JSON_H
#define WEIR_RECORD_JSON_H

#include "record/batch.h"

struct json_reader;
struct json_limits {
    size_t record_bytes; /* 8 MiB */
    unsigned nesting;    /* 128 */
};
#define JSON_PADDING 64 /* bytes that must be readable behind a text given to json_read_record */

struct json_reader *json_reader_new(const struct json_limits *limits);
void json_reader_free(struct json_reader *r);
/* Appends the record `text` to the batch as one row, or leaves the batch unchanged and answers
 * ERR_INVALID (err_text: reason and byte offset) or ERR_LIMIT. JSON_PADDING bytes behind text must
 * be readable. */
NODISCARD enum err json_read_record(struct json_reader *r, struct str text, int64_t arrival_ns,
                                    struct batch *b);
/* The lines that the records read next stand in, each a part of one and in their order: short ones
 * are then read faster, with the same outcome. The lines must stay until they are given up by empty
 * ones; records from elsewhere are read as before. */
void json_reader_lines(struct json_reader *r, struct str lines);
/* Reads on in those lines, from `lines` to their end, as long as the records are like the one
 * before and have no id, and each leaves the batch room for `extra` bytes more: how many, and
 * *ret_n, their bytes with the line breaks. What comes then is to be read by json_read_record. */
uint32_t json_read_alike(struct json_reader *r, struct str lines, int64_t arrival_ns,
                         struct batch *b, size_t extra, size_t *ret_n);
/* Fields `service` and `host` for records that have none of the alias's names, appended at their
 * end; an empty value: none. The bytes are copied. */
void json_reader_defaults(struct json_reader *r, struct str service, struct str host);
/* The `_id` that the records read from here on get where they have none of their own; empty: none.
 * The bytes are copied. */
void json_reader_id(struct json_reader *r, struct str id);
/* The same for `file`, where the record has neither that nor `log.file.path`. */
void json_reader_file(struct json_reader *r, struct str path);
/* The time of records that have none of the names of a time, from here on; has_time false: none. */
void json_reader_time(struct json_reader *r, bool has_time, int64_t time_ns);
/* Whether the text is one JSON value; ERR_INVALID or ERR_LIMIT with the reason. JSON_PADDING as
 * above. */
NODISCARD enum err json_check(struct json_reader *r, struct str text);
/* The body {"logs":[...]} or a bare array [...] or a single object: calls fn with the text of each
 * record in it (a slice of the body) and its position. Other members beside `logs` are checked and
 * passed over. A `logs` that is not an array and broken JSON around the records are ERR_INVALID
 * with the byte; a broken record is fn's business. What fn answers but OK ends it. JSON_PADDING as
 * above. */
NODISCARD enum err json_each_record(struct json_reader *r, struct str body,
                                    enum err (*fn)(void *ctx, uint32_t position, struct str record),
                                    void *ctx);

/* What a string's bytes between its quotes stand for, into `to` (never longer, and elsewhere);
 * false, with the place of the escape, where one is none. A lone surrogate becomes its three bytes.
 */
bool json_unescape(struct str inside, char *to, size_t *ret_n, size_t *ret_bad);
/* The bytes of a JSON string given with its quotes; false when it is none. */
bool json_unquote(struct str quoted, struct arena *arena, struct str *ret);
/* Appends "..." with escapes; bad UTF-8 is written as U+FFFD. */
void json_put_string(struct buf *out, struct str s);
/* The same without the quotes. */
void json_put_inside(struct buf *out, struct str s);
/* The bytes as they are shown: themselves where they are UTF-8, else mended in `scratch`, which is
 * emptied for them. */
struct str json_shown(struct str s, struct buf *scratch);
/* Whether mantissa / 10^scale is had as the double nearest to it by one division: to 15 digits. */
bool json_decimal_double(int64_t mantissa, unsigned scale, double *ret);
void json_put_double(struct buf *out, double v); /* shortest that reads back, JSON-valid */
void json_put_value(struct buf *out, const struct values *v, uint32_t i);
/* Appends rows as JSON objects, one behind the other without separators; only the columns asked for
 * are read. Rows ascending, none twice. */
struct json_rows {
    struct rows *rows;
    const uint32_t *row;
    uint32_t n;
    struct arena *arena;
    /* Only these dotted names (prefixes of nested ones too), or all when n_fields is 0. */
    const struct str *fields;
    uint32_t n_fields;
    /* And none of these. In both lists '*' stands for any text where `globs` is set. */
    const struct str *without;
    uint32_t n_without;
    bool globs;
    /* May be NULL: called when the i-th row's object stands at the end of `out`, its closing brace
     * last, so that members can be put before that, or bytes behind it. */
    void (*row_done)(void *ctx, uint32_t i, size_t begin, struct buf *out);
    void *ctx;
};
NODISCARD enum err json_put_rows(const struct json_rows *what, struct buf *out,
                                 uint32_t *ret_end_of);
/* ret_end_of: array of n, or NULL; ret_end_of[i] = out->n behind row i's object, so that callers
 * can slice. ERR_LIMIT when out's maximum is met or it passes 4 GiB; `out` then ends at some byte.
 */
/* The same a few rows at a time: the columns are read once for all of them, and each call appends
 * the next n. The writer lives in the arena; rows, their numbers and the lists stay as long. */
struct json_writer;
NODISCARD enum err json_writer_new(const struct json_rows *what, struct json_writer **ret);
NODISCARD enum err json_writer_put(struct json_writer *w, uint32_t n, struct buf *out);
/* Shortest round-trip text of a double (std::to_chars), at most 32 bytes. */
size_t json_double_text(double v, char *out);

#endif
