/* What the files of weir grep share; for nobody else.
 *
 * Way of a byte: the feeder walks folders and cuts files into *slots*: a range of a plain file, or
 * a whole file that must be read from its begin (compressed, a pipe, a segment). Workers take slots
 * in order and make *pieces* of them: whole lines with the hits among them. The printer, on the
 * main thread, takes the pieces of one slot after the other, so that output has the order of the
 * files whatever the threads do. A worker ahead of the printer waits when it holds too much. */
#ifndef WEIR_CMD_GREP_H
#define WEIR_CMD_GREP_H

#include "cmd/grep_map.h"
#include "cmd/options.h"
#include "core/buf.h"
#include "filter/filter.h"
#include "query/local.h"
#include "record/batch.h"

#include <stdatomic.h>
#include <stdio.h>

enum { GREP_PIECE_BYTES = 256 << 10, GREP_LINE_MAX = 256 << 20 };

struct grep {
    const struct filter *filter;
    struct query_local *query; /* pipes; NULL: lines are shown */
    struct filter_needles needles;
    bool reads_heads; /* the query may ask for a text line's time or level */
    bool every_line;  /* nothing that a line must hold is known */
    bool invert, quiet, messages;
    bool recursive, hidden;
    bool need_hits;  /* not their number alone */
    bool need_data;  /* bytes even of pieces without a hit: context */
    bool need_lines; /* line numbers */
    bool first_only; /* one hit of a file says it all */
    unsigned threads;
    atomic_bool stop; /* nothing more is wanted of any file */
    atomic_bool failed;
};

/* A hit, or a line of a segment: bytes [at, at + n) of the piece, without the line's end. */
struct grep_hit {
    uint64_t line; /* number within the piece, from 0 */
    uint32_t at, n;
};
struct grep_piece {
    struct grep_piece *next;
    struct buf data;  /* whole lines; more bytes may lie behind `bytes`. Empty: they are mapped */
    struct str bytes; /* NULL: without hits, and given back */
    size_t n_bytes;
    uint64_t offset; /* of `bytes` in the file as it is read */
    struct grep_hit *hit;
    size_t n_hits, hits_cap;
    uint64_t matched, lines;
    struct batch *rows; /* for pipes that gather */
};

enum grep_kind { GREP_PLAIN, GREP_STREAM, GREP_SEGMENT };
struct grep_file {
    char *path; /* as shown */
    enum grep_kind kind;
    int fd;               /* PLAIN; else -1 */
    struct grep_map *map; /* of a large PLAIN one; may be NULL */
    uint64_t bytes;
    int64_t mtime_ns;
    bool live;        /* a pipe: lines are shown as they come */
    atomic_bool stop; /* nothing more is wanted of it */
};

/* grep_scan.c. A worker's: decoder, batches, scratch. */
struct grep_scanner;
struct grep_scanner *grep_scanner_new(struct grep *g, unsigned worker);
void grep_scanner_free(struct grep_scanner *s);
bool grep_needs_data(const struct grep_scanner *s);
/* Finds the hits in p->bytes, behind which JSON_PADDING bytes are readable. */
NODISCARD enum err grep_scan(struct grep_scanner *s, const struct grep_file *f,
                             struct grep_piece *p);
/* Rows of a segment's block to a piece: its lines are their JSON. */
NODISCARD enum err grep_scan_rows(struct grep_scanner *s, struct rows *rows, struct grep_piece *p);

/* grep_read.c: the slots of a file. */
struct grep_sink {
    void *ctx;
    /* Takes the piece over. False: nothing more is wanted. */
    bool (*take)(void *ctx, struct grep_piece *p);
};
struct grep_piece *grep_piece_new(void);
void grep_piece_free(struct grep_piece *p);
void grep_piece_empty(struct grep_piece *p); /* gives its bytes back; hits stay */
void grep_pieces_release(void);              /* at the end of all */
/* What a file is, and its size. ERR_NOTFOUND and kin explained in err_text; ERR_UNSUPPORTED: not
 * one to search (binary, met in a folder). */
NODISCARD enum err grep_file_open(const char *path, bool named, struct grep_file **ret);
void grep_file_free(struct grep_file *f);
NODISCARD enum err grep_read_range(struct grep_scanner *s, const struct grep_file *f, uint64_t from,
                                   uint64_t to, const struct grep_sink *sink);
NODISCARD enum err grep_read_stream(struct grep_scanner *s, const struct grep_file *f,
                                    const struct grep_sink *sink);
NODISCARD enum err grep_read_segment(struct grep_scanner *s, const struct grep_file *f,
                                     const struct grep_sink *sink);

/* grep_run.c: feeder, workers, order. Calls the printer's functions on the calling thread. */
struct grep_printer {
    void *ctx;
    void (*begin)(void *ctx, struct grep_file *f);
    /* False: nothing more of this file. */
    bool (*piece)(void *ctx, struct grep_file *f, struct grep_piece *p);
    void (*end)(void *ctx, struct grep_file *f);
    void (*idle)(void *ctx); /* the next piece is not there yet */
};
void grep_run(struct grep *g, char **paths, unsigned n, const struct grep_printer *to);
/* Said on stderr unless --no-messages; makes the exit status 2. */
void grep_complain(struct grep *g, const char *text);

/* grep_print.c */
struct grep_style {
    bool heading, path, number, colours, sanitise, json, count, list, only, invert, null;
    unsigned before, after;
    uint64_t max_count; /* of a file */
};
struct grep_output;
struct grep_output *grep_output_new(struct grep *g, const struct grep_style *style, FILE *to);
/* The last words (the summary of --json), and what is still held back. */
void grep_output_finish(struct grep_output *o);
void grep_output_free(struct grep_output *o);
struct grep_printer grep_output_printer(struct grep_output *o);
bool grep_output_any(const struct grep_output *o); /* a hit was met */

#endif
