/* What the files of the parser of MySQL's logs share; for nobody else. */
#ifndef WEIR_TRANSFORM_MYSQL_LOG_IMPL_H
#define WEIR_TRANSFORM_MYSQL_LOG_IMPL_H

#include "record/zone.h"
#include "transform/mysql_log.h"
#include "transform/sql_digest.h"

enum {
    HEAD_MAX = 1024,       /* a line that is longer begins no slow record; of others this is seen */
    HEADER_MAX = 64 << 10, /* of a record, in front of its text */
    KEYS_MAX = 96,         /* names of values in headers, learned from the file */
    KEY_BYTES_MAX = 40,
    DB_BYTES_MAX = 256, /* of a name: 64 letters of up to 4 bytes */
};

/* What a line is, by itself and the one behind it. */
enum look {
    LOOK_MORE,   /* more bytes are needed to say */
    LOOK_PART,   /* it goes on with the record under way */
    LOOK_BEGIN,  /* a record begins */
    LOOK_BANNER, /* the first of three lines that a server writes when it starts */
};

/* A text where a record's line begins, as far as there are bytes. */
struct ahead {
    struct str line; /* without its end; at most HEAD_MAX bytes of it */
    bool whole;      /* the line is not longer */
    struct str next; /* what follows it, as far as it is there */
    bool last;       /* nothing will follow what is there */
};

/* A record's bytes. */
struct piece {
    struct str text;  /* its first bytes, with line ends */
    uint64_t missing; /* so many more that are not kept */
    bool headed;      /* it began with LOOK_BEGIN: else what lies before the first such line */
};

struct mysql_log;
struct mysql_log_format {
    enum look (*look)(struct mysql_log *m, const struct ahead *a);
    /* Between batch_begin and its end: the fields. False: not such a record at all; nothing was
     * put. */
    bool (*put)(struct mysql_log *m, const struct piece *p, struct batch *b);
    /* Whether a record at the end of what there is looks whole. */
    bool (*whole)(const struct mysql_log *m, struct str text);
};
extern const struct mysql_log_format mysql_slow_format;    /* mysql_slow.c */
extern const struct mysql_log_format mysql_error_format;   /* mysql_error.c */
extern const struct mysql_log_format mysql_general_format; /* mysql_other.c */
extern const struct mysql_log_format mysql_audit_format;

/* A name of a value in headers: "Rows_sent" -> rows_sent. */
struct key {
    char raw[KEY_BYTES_MAX], name[KEY_BYTES_MAX];
    uint8_t n;
    uint8_t what; /* enum key_what of mysql_slow.c */
};

struct mysql_log {
    enum mysql_log_kind kind;
    bool told; /* the kind was given, not found */
    unsigned keep;
    struct zone *zone;
    char *instance, *file;
    size_t text_max;
    struct mysql_log_counts counts;

    /* The window: bytes [0, head) are consumed, the record under way is [head, scan), with
     * `dropped` bytes behind its first text_max + HEADER_MAX that are not kept; lines from scan on
     * have not been looked at. */
    struct buf window;
    size_t head, scan;
    uint64_t base;    /* in the file: of `head` */
    uint64_t dropped; /* of the record under way */
    uint64_t lines;   /* of the record under way */
    bool headed;      /* the record under way has begun with LOOK_BEGIN */
    bool begun;       /* a record is under way */
    bool in_line;     /* scan stands within a line that is too long to be looked at */
    bool ended;       /* the last line looked at ended with ';', or none was looked at */
    unsigned banner;  /* lines of a banner that are still to come */

    /* Carried from record to record. */
    bool has_time;
    int64_t time_ns; /* the last time read */
    char db[DB_BYTES_MAX];
    size_t db_n;

    /* Slow logs. */
    bool forged;              /* within the record: a header in quotes was met */
    size_t headers_n;         /* of the record: bytes in front of the statement, where asked for */
    struct sql_quotes quotes; /* of the statement */

    struct key key[KEYS_MAX];
    unsigned n_keys, next_key;
    struct buf text; /* scratch: digests, joined lines */
};

/* ---- mysql_log.c: an entry by itself, a whole text, its last line's end there or not ---- */

bool mysql_log_is_entry(struct mysql_log *m, struct str text);
/* The fields of one that is, with `log_type`, to a record that is begun. */
void mysql_log_put_entry(struct mysql_log *m, struct str text, struct batch *b);

/* ---- mysql_time.c ---- */

/* A time at the beginning of `s`, and the bytes that it takes; 0: there is none. *ret_own: it has
 * the form with 'T' that is written for each record, not for many.
 *   2025-08-03T15:30:45.123456Z   2025-08-03T15:30:45.123456+02:00   2025-08-03 15:30:45
 *   250803 15:30:45   250803  5:30:45   with .123456 */
size_t mysql_time_read(const struct mysql_log *m, struct str s, int64_t *ret_ns, bool *ret_own);
/* Digits at the beginning of `s`, at most 18; the bytes that they take. */
size_t mysql_digits(struct str s, int64_t *ret);

/* ---- mysql_slow.c: for all that hold statements ---- */

/* `statement` (at most text_max bytes of it), `truncated_bytes`, `digest`, `digest_text`. */
void mysql_put_statement(struct mysql_log *m, struct str sql, uint64_t missing, struct batch *b);

#endif
