/* The log files of MySQL, Aurora MySQL and MariaDB, read to records: slow query logs, error logs,
 * and the general and audit logs, which are told apart and left out unless asked for. Every record
 * has `log_type`: "slowquery", "error", "general" or "audit".
 *
 * A parser is fed the bytes of one file in pieces cut anywhere; the same bytes give the same
 * records however they are cut. A record is appended when the next one's beginning shows that it is
 * whole, so that what is fed and what is consumed differ by the record under way (and, at an end
 * that is not the last, by what mysql_log_end leaves). State that outlives a record (`use db`, a
 * "# Time" header that several share) goes into a checkpoint with mysql_log_save.
 *
 * Bounds: 1.2 MiB of memory and `text_max`, whatever the file holds: of a statement or message the
 * first text_max bytes are kept, the record gets `truncated_bytes`, and the rest is passed over.
 * Bytes that are no such log are records with `message` and `unparsed: true`, never lost.
 * Threads: one at a time. A crash loses the memory alone: feed anew from mysql_log_consumed. */
#ifndef WEIR_TRANSFORM_MYSQL_LOG_H
#define WEIR_TRANSFORM_MYSQL_LOG_H

#include "core/buf.h"
#include "record/batch.h"

enum mysql_log_kind {
    MYSQL_LOG_AUTO, /* by the file's first lines; told is told, until the file is another */
    MYSQL_LOG_SLOW,
    MYSQL_LOG_ERROR,
    MYSQL_LOG_GENERAL,
    MYSQL_LOG_AUDIT,
    MYSQL_LOG_KIND_COUNT
};
/* "slow" (or "slowquery"), "error", "general", "audit", "auto"; false where it is none. */
bool mysql_log_kind_of(struct str name, enum mysql_log_kind *ret);
/* What `log_type` says of a kind. */
struct str mysql_log_type(enum mysql_log_kind kind);

#define MYSQL_LOG_KEEP(kind) (1u << (kind))
#define MYSQL_LOG_KEEP_ALL (~0u)
#define MYSQL_LOG_TEXT_MAX ((size_t)1 << 20)

struct mysql_log_options {
    enum mysql_log_kind kind;
    unsigned keep; /* MYSQL_LOG_KEEP of the kinds that records are made of; 0: slow and error */
    /* Of times without one: the instance's time_zone. "" and "SYSTEM": UTC, which is the system's
     * zone at Amazon; "+05:30"; "Europe/Berlin" by the machine's tzdata. */
    struct str time_zone;
    struct str instance, file; /* fields `instance` and `log_file` of each record; may be empty */
    size_t text_max;           /* 0: MYSQL_LOG_TEXT_MAX */
};

/* Since mysql_log_new. */
struct mysql_log_counts {
    uint64_t bytes, lines;    /* consumed */
    uint64_t records;         /* appended */
    uint64_t filtered;        /* left out by `keep` */
    uint64_t banner_lines;    /* what a server writes into a slow or general log when it starts */
    uint64_t unparsed;        /* of the records: kept as text alone */
    uint64_t truncated_bytes; /* not kept of texts that were too long */
};

struct mysql_log;
/* ERR_INVALID for a time zone that there is not. The options' texts are copied. */
NODISCARD enum err mysql_log_new(const struct mysql_log_options *o, struct mysql_log **ret);
void mysql_log_free(struct mysql_log *m); /* NULL is fine */

/* Takes the bytes that follow those taken before. *ret_used < piece.n only where the batch is full:
 * hand it on, clear it, and feed the rest. */
NODISCARD enum err mysql_log_feed(struct mysql_log *m, struct str piece, int64_t arrival_ns,
                                  struct batch *b, size_t *ret_used);
/* The file has no more bytes now: the record under way is appended where it looks whole (a
 * statement with its ";" and the line's end; a message with its line's end). `last`: none will come
 * either, and whatever is left is appended. *ret_more: the batch is full, call again. */
NODISCARD enum err mysql_log_end(struct mysql_log *m, bool last, int64_t arrival_ns,
                                 struct batch *b, bool *ret_more);

/* The offset in the file in front of which every byte is in a record appended (or counted as
 * banner, empty or left out): where to go on with what mysql_log_save says now. */
uint64_t mysql_log_consumed(const struct mysql_log *m);
/* A printable text of at most 1 KiB, without spaces at its ends. */
void mysql_log_save(const struct mysql_log *m, struct buf *out);
/* Before the first byte: goes on where that was saved; feed from mysql_log_consumed. ERR_INVALID
 * for a text that mysql_log_save has not written. */
NODISCARD enum err mysql_log_restore(struct mysql_log *m, struct str state);
const struct mysql_log_counts *mysql_log_counts(const struct mysql_log *m);
/* What the file is; AUTO while that is not known. */
enum mysql_log_kind mysql_log_kind(const struct mysql_log *m);

#endif
