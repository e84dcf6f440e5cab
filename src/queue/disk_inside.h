/* The inside of the disk queue, shared by disk.c, which holds its rules, and disk_replay.c. */
#ifndef WEIR_QUEUE_DISK_INSIDE_H
#define WEIR_QUEUE_DISK_INSIDE_H

#include "queue/direct.h"
#include "queue/disk_impl.h"
#include "queue/pace.h"
#include "queue/wal.h"

#include <pthread.h>

enum { DISK_GROUP_BYTES = 8 << 20, DISK_REASON_MAX = 400 };
#define FILE_SUFFIX ".wal"
#define SAVE_IT                                                                                    \
    "the disk is failing: copy the data folder to another one (ddrescue keeps what can be read) "  \
    "and start there"

/* A body in line. The arrays are in the same piece of memory. */
struct pending {
    struct pending *next;
    void *ctx;
    void (*done)(void *ctx, enum err err, const char *reason, uint64_t first_position);
    uint64_t first_position;
    size_t bytes;         /* payloads and what is around them in the file */
    uint64_t plain_bytes; /* of queue_body */
    uint32_t n;
    struct blob **frame;
    uint64_t *hash;
};

struct group {
    struct pending *head, *last;
    size_t bytes;
    uint64_t bodies, frames, payload_bytes;
    uint64_t packed_bytes, plain_bytes; /* of bodies that somebody tried to compress */
};

struct wal_file {
    struct wal_header header;
    uint64_t bytes; /* on disk */
    uint64_t end;   /* behind its last entry; known when it was replayed or written by us */
    bool keep;      /* it could not be read in places: never removed */
};

struct spare {
    uint64_t id; /* the position it once began with */
    uint64_t bytes;
};

struct disk_queue {
    struct queue base;
    struct queue_options options;
    char *dir;
    int lock_fd;
    pthread_t thread;
    struct queue_consumer consumer;

    pthread_mutex_t trim_lock, lock;
    pthread_cond_t wake;     /* something waits, or closing */
    pthread_cond_t answered; /* `finished` grew */
    struct group line;
    uint64_t accepted, finished; /* bodies */
    bool started, closing;
    struct wal_file *files; /* oldest first; the last is the one being written */
    size_t n_files, files_cap;
    struct spare *spares;
    size_t n_spares, spares_cap;
    uint64_t spare_bytes, spare_bytes_max;
    struct queue_stats stats;

    /* The writer's own. */
    int fd; /* of the last file; -1: none is open */
    struct direct direct;
    struct pace pace;
    uint64_t salt;      /* its salt */
    uint64_t end;       /* the last good end in it */
    uint64_t allocated; /* its blocks reach up to here */
    uint64_t next;      /* the position to give out */
    bool sealed;        /* nothing may be written to the last file */
    bool dirty;         /* bytes behind `end` may be there that must be taken back */
    bool gave_up;       /* they could not be; closing */
    struct iovec *iov;
    size_t iov_cap;
    char *heads;
    size_t heads_cap;
};

enum err disk_sync(const struct disk_queue *q, int fd);
void disk_count_quarantined(struct disk_queue *q, uint64_t entries);
/* Hands what lies at or behind `from` to the consumer; then knows where to go on writing. */
NODISCARD enum err disk_replay(struct disk_queue *q, uint64_t from,
                               void (*progress)(uint64_t done, uint64_t total));

#endif
