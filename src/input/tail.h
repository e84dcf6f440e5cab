/* Tailing files: follows every file that some patterns match, from its beginning, through rotation
 * by rename and by copy and truncation, deletion, and the reuse of inodes, and puts its lines as
 * records to the spool, in whose bodies it notes how far it has read (tail_positions.h): after any
 * end each line is in the spool once.
 *
 * A line is a record {"message", "host", "file", "service"}; a line that is a JSON object is that
 * record, with host, file and service where it has none (unless `text`).
 * Lines longer than line_max are cut into pieces of it: none of their bytes is lost.
 *
 * Containers' files (tail_container.c), systemd's journal (tail_journal.c) and standard input
 * (tail_stdin.c) are followed by the same thread and to the same spool; their positions stand
 * beside those of files, but standard input has none: what was in the spool when the agent ended is
 * kept, and the rest was in the pipe.
 *
 * A full spool stops the reading, and nothing else: the files' descriptors are held, so that even
 * what is deleted meanwhile is read later.
 * Threads: one of its own; status from any; the rest from one. Bounds: one body and two read
 * buffers, whatever the number of files; TAIL_FILES_MAX files. */
#ifndef WEIR_INPUT_TAIL_H
#define WEIR_INPUT_TAIL_H

#include "pipeline/spool.h"
#include "transform/multiline.h"
#include "transform/transform.h"

struct tail;
enum { TAIL_FILES_MAX = 100000 };
struct tail_options {
    const char *const *pattern; /* paths, or URLs (tail_source.c); ended by NULL */
    const char *positions;      /* path of the file */
    struct str stream, host;
    struct str service; /* where the path captures none; empty: the file's name without its end */
    bool text;          /* never look for JSON */
    size_t line_max;
    const char *encoding;              /* of the files, as iconv names them; NULL: UTF-8 */
    const struct multiline *multiline; /* NULL: a line is a record */
    struct chain *chain;               /* before the spool; NULL: none. Run by the tail alone */
    int64_t poll_ns; /* how often sizes, and folders that tell of nothing, are looked at */
    bool polls;      /* nothing is asked of inotify */
};

/* Loads the positions. ERR_INVALID for a bad pattern. */
NODISCARD enum err tail_new(const struct tail_options *o, struct tail **ret);
/* For spool_options.note: a note that the spool held. Between tail_new and tail_start. */
void tail_note(struct tail *t, struct str note);
/* Where the spool of that epoch has notes that the positions lack: for spool_hold and spool_start.
 */
uint64_t tail_notes_from(struct tail *t, uint64_t epoch);
/* `hold`: the spool's, of the notes. */
NODISCARD enum err tail_start(struct tail *t, struct spool *spool, unsigned hold);
void tail_stop(struct tail *t); /* saves the positions; it may be started again */
/* Other options in place of those it has, while it is stopped: what it has open and has not handed
 * on stays, files that no pattern matches any more are read to their end. As tail_new. */
NODISCARD enum err tail_reconfigure(struct tail *t, const struct tail_options *o);
/* What is wrong with a pattern that is a URL, as far as can be said without following it. */
NODISCARD enum err tail_check_url(struct str url);
/* Records handed on, and dropped by the chain, up to what positions and notes say. Before it is
 * started, or when it is stopped. */
void tail_totals(const struct tail *t, uint64_t *ret_records, uint64_t *ret_dropped);
void tail_free(struct tail *t); /* stopped, or never started; NULL is fine */

struct tail_status {
    uint64_t files;   /* open */
    uint64_t records; /* handed on, since the folder was made */
    uint64_t dropped; /* of them, by the chain */
    uint64_t behind;  /* bytes that are not read yet */
    uint64_t errors;
    int64_t idle_since_ns; /* monotonic: nothing was read since; 0: the files are looked for */
    bool ended;            /* standard input was read, and is at its end */
    bool blocked;          /* the spool takes nothing: the reading stands */
    char last_error[256];
};
void tail_status(struct tail *t, struct tail_status *ret);

#endif
