/* The inside of the tail input, shared by its files. */
#ifndef WEIR_INPUT_TAIL_IMPL_H
#define WEIR_INPUT_TAIL_IMPL_H

#include "core/metrics.h"
#include "input/tail.h"
#include "input/tail_glob.h"
#include "input/tail_positions.h"
#include "record/json.h"

#include <pthread.h>

struct tail_packed; /* a gzip file being read */

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
    struct tail_glob **glob;
    unsigned n_globs;
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

    struct json_reader *json;
    struct tail_body body;
    struct buf read; /* what is read from a file; JSON_PADDING behind it */
    struct buf text; /* a line in another encoding, as UTF-8 */
    void *iconv;     /* NULL: the files are UTF-8 */
    enum tail_wide wide;

    pthread_mutex_t lock;
    bool stopping;
    struct tail_status status;
    struct metric *records_metric, *bytes_metric;
};

bool tail_stopping(struct tail *t);
void tail_save_if_due(struct tail *t); /* the positions */

/* tail_body.c: adds a line of the file, without its end; puts the body to the spool when it is
 * large. ERR_CANCELED: a stop came before the spool took it. */
NODISCARD enum err tail_body_add(struct tail *t, struct tail_file *f, struct str line);
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
/* Hashes the bytes [to - n, to); false when they cannot be read. */
bool tail_hash_before(int fd, uint64_t to, uint32_t n, uint64_t *ret);

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
/* The number of the folder's watch; -1 when it cannot be watched. */
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
