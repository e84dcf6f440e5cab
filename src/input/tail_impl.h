/* The inside of the tail input, shared by its files. */
#ifndef WEIR_INPUT_TAIL_IMPL_H
#define WEIR_INPUT_TAIL_IMPL_H

#include "core/metrics.h"
#include "input/tail.h"
#include "input/tail_glob.h"
#include "input/tail_positions.h"
#include "record/json.h"

#include <pthread.h>

struct tail_packed;  /* a gzip file being read */
struct tail_about;   /* what is known of a container */
struct tail_stdin;   /* standard input */
struct tail_journal; /* systemd's */
struct kube;

/* What a pattern means. */
enum tail_kind { TAIL_LINES, TAIL_KUBERNETES, TAIL_DOCKER };
struct tail_source {
    enum tail_kind kind;
    char *folder;      /* of containers */
    struct kube *kube; /* NULL: nobody is asked */
};
struct tail_pattern {
    struct tail_glob *glob;
    const struct tail_source *source; /* NULL: plain lines */
};

struct tail_file {
    struct tail_entry e; /* as read; the positions have what is in the spool */
    int fd;
    char *service;
    bool seen;    /* by the scan at hand */
    bool gone;    /* no pattern finds it any more */
    bool known;   /* it is decided where reading begins */
    bool dirty;   /* there may be something to read */
    bool touched; /* has records in the body at hand */
    uint64_t size;
    int64_t grown_ns; /* monotonic: when its size changed last */
    int watch;        /* of its folder, or -1 */
    bool is_packed;
    struct tail_packed *packed; /* while it is read */
    struct multiline_state group;
    const struct tail_source *source; /* NULL: plain lines */
    char *link;                       /* the name that led here, where it is another */
    struct tail_about *about;         /* of a container; NULL: not looked for yet */
    struct tail_carry *carry;         /* lines that its end leaves open; NULL: none */
};

/* A record's text and what its envelope says. */
struct tail_line {
    struct str text; /* JSON_PADDING bytes behind it are readable */
    bool has_time;
    int64_t time_ns;
    const char *stream; /* of a container; NULL: none */
};

enum { TAIL_BODY_BYTES = 1 << 20 };
enum tail_wide { TAIL_NARROW, TAIL_WIDE_LITTLE, TAIL_WIDE_BIG };

/* What is being put together for the spool. */
struct tail_body {
    struct batch *batch, *changed; /* changed: what the chain made of it */
    struct arena arena;
    uint64_t dropped;
    bool any; /* a file has records in it */
    int64_t arrival_ns;
    struct buf encoded;
    struct blob **frame;
    uint32_t n;
    size_t cap, bytes;
};

struct tail {
    struct tail_options o;
    char *positions_path, *stream, *host, *service, *encoding;
    struct tail_source **source;
    unsigned n_sources;
    struct tail_source **retired; /* of files that are read to their end */
    unsigned n_retired;
    struct tail_pattern *pattern;
    unsigned n_patterns;
    struct tail_stdin *stdin;     /* NULL: it is not read */
    struct tail_journal *journal; /* likewise */
    struct tail_positions positions;
    uint64_t saved_spool; /* positions.spool when the file was written */
    bool unsaved;
    int64_t saved_ns;

    struct spool *spool;
    unsigned hold;
    pthread_t thread;
    bool started;
    int wake_fd;

    struct tail_file **file;
    size_t n, cap;
    int64_t scan_at, poll_at;
    bool first_scan_done;
    struct tail_watch *watch;
    unsigned blind; /* folders that the last scan could not watch */

    struct json_reader *json;
    struct tail_body body;
    struct buf read;   /* what is read from a file; JSON_PADDING behind it */
    struct buf text;   /* a line in another encoding, as UTF-8; a container's as a record */
    unsigned n_before; /* tail_container_before's that are under way */
    struct tail_assembly *assembly; /* of containers' lines */
    void *iconv;                    /* NULL: the files are UTF-8 */
    enum tail_wide wide;

    pthread_mutex_t lock;
    bool stopping;
    struct tail_status status;
    struct metric *records_metric, *bytes_metric;
};

#define SWAP(a, b)                                                                                 \
    do {                                                                                           \
        __typeof__(a) swap_ = (a);                                                                 \
        (a) = (b);                                                                                 \
        (b) = swap_;                                                                               \
    } while (0)

bool tail_stopping(struct tail *t);
void tail_save_if_due(struct tail *t); /* the positions */

/* tail_body.c: makes room for a record of so many bytes. ERR_CANCELED: a stop came before the spool
 * took what there was. */
NODISCARD enum err tail_body_room(struct tail *t, size_t bytes);
/* Adds a line of the file, without its end. */
NODISCARD enum err tail_body_add(struct tail *t, struct tail_file *f, const struct tail_line *line);
/* Puts what there is to the spool, however long that takes. */
NODISCARD enum err tail_body_commit(struct tail *t);

/* tail_file.c */
NODISCARD enum err tail_file_open(struct tail *t, const char *path, struct str service);
/* Reads a share of what is there; *ret_more: it was not all. ERR_CANCELED as above. */
NODISCARD enum err tail_file_read(struct tail *t, struct tail_file *f, bool *ret_more);
/* Looks at its size; sets dirty. */
void tail_file_look(struct tail *t, struct tail_file *f);
/* Whether a gone file has been read and nobody writes to it any more. */
bool tail_file_over(struct tail *t, const struct tail_file *f);
void tail_file_free(struct tail_file *f);
void tail_file_remember(struct tail_file *f, uint64_t offset); /* it is read up to there */
/* Its head is noted, of bytes before `end`: where the offset alone does not tell it from others. */
void tail_file_mark(struct tail_file *f, uint64_t end);
bool tail_is_quiet(const struct tail_file *f); /* nothing was written for a while */
/* Hashes the bytes [to - n, to); false when they cannot be read. */
bool tail_hash_before(int fd, uint64_t to, uint32_t n, uint64_t *ret);

/* tail_source.c: what the patterns mean. ERR_INVALID names the one that means nothing. */
NODISCARD enum err tail_sources_open(struct tail *t);
void tail_sources_close(struct tail *t);
/* t follows what n does, n what t did, but for what both do, which t goes on with. */
void tail_sources_swap(struct tail *t, struct tail *n);
/* The containers that a path belongs to; NULL: plain lines. */
const struct tail_source *tail_source_of(const struct tail *t, const char *path);

/* tail_container.c: takes what is whole of the n bytes in the buffer, which end where the file does
 * when `all`; all there is when `full`. *ret: how far the file is then read. */
NODISCARD enum err tail_container_take(struct tail *t, struct tail_file *f, size_t n, bool all,
                                       bool full, size_t *ret);
/* A file that is read from its beginning may go on with a line that another one ends with: reads
 * that one first. */
NODISCARD enum err tail_container_before(struct tail *t, struct tail_file *f);
void tail_assembly_free(struct tail_assembly *a); /* NULL is fine */
void tail_carry_free(struct tail_carry *c);       /* likewise */

/* tail_about.c: what is known of the file's container: asks for what is not. */
struct tail_about {
    const char *key; /* "kubernetes", "container" */
    struct buf json; /* the object under it */
    struct buf service, host;
    int64_t again_ns; /* monotonic: to be asked again; 0: all is known */
};
const struct tail_about *tail_about_get(struct tail *t, struct tail_file *f);
void tail_about_free(struct tail_about *a); /* NULL is fine */

/* tail_stdin.c: lines from standard input, of which nothing is known after a crash. */
struct tail_stdin *tail_stdin_new(struct tail *t);
void tail_stdin_free(struct tail_stdin *s);    /* NULL is fine */
int tail_stdin_fd(const struct tail_stdin *s); /* to be waited for; -1: nothing comes any more */
/* Reads a share of what has come; *ret_more: more may. ERR_CANCELED as above. */
NODISCARD enum err tail_stdin_read(struct tail *t, struct tail_stdin *s, bool *ret_more);
bool tail_stdin_over(const struct tail_stdin *s);
/* When a group of lines is over (monotonic); INT64_MAX: none is open. */
int64_t tail_stdin_due(const struct tail_stdin *s);
/* Appends the note of what the body at hand has of it; and the spool has it. */
void tail_stdin_note(struct tail *t, struct tail_stdin *s, struct buf *note);
uint64_t tail_stdin_committed(struct tail *t, struct tail_stdin *s);

/* tail_journal.c: systemd's journal, by its library, which is loaded when it is asked for. folder
 * empty: the machine's. */
NODISCARD enum err tail_journal_new(const char *folder, struct tail_journal **ret);
void tail_journal_free(struct tail_journal *j); /* NULL is fine */
const char *tail_journal_folder(const struct tail_journal *j);
int tail_journal_fd(const struct tail_journal *j);
/* Reads a share of what there is; *ret_more: it was not all. */
NODISCARD enum err tail_journal_read(struct tail *t, struct tail_journal *j, bool *ret_more);
void tail_journal_note(struct tail_journal *j, struct buf *note);
uint64_t tail_journal_committed(struct tail *t, struct tail_journal *j);

/* tail_packed.c: gzip. Offsets are those of the plain bytes. */
bool tail_packed_is(int fd);
struct tail_packed *tail_packed_new(int fd);
void tail_packed_free(struct tail_packed *p);
/* Plain bytes from `offset`, which never goes back but to 0; *ret_n 0 at the end. ERR_CORRUPT, or
 * ERR_AGAIN when the file ends before the data does. */
NODISCARD enum err tail_packed_read(struct tail_packed *p, uint64_t offset, char *to, size_t n,
                                    size_t *ret_n);

/* tail_watch.c: inotify, where there is some. */
struct tail_watch *tail_watch_new(void); /* NULL: there is none */
void tail_watch_free(struct tail_watch *w);
int tail_watch_fd(const struct tail_watch *w);
/* The number of the folder's watch; -1 when it cannot be watched, or would not tell of all. */
int tail_watch_folder(struct tail_watch *w, const char *path);
struct tail_watch_calls {
    void *ctx;
    void (*written)(void *ctx, int watch, const char *name); /* a file of a watched folder */
    void (*changed)(void *ctx);                              /* a folder has other entries */
    /* A file was renamed within the watched folders: paths. */
    void (*renamed)(void *ctx, const char *from, const char *to);
};
/* Reads what has come. */
void tail_watch_read(struct tail_watch *w, const struct tail_watch_calls *calls);

#endif
