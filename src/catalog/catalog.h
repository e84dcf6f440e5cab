/* The catalog: which segments exist, which streams, how far each consumer has come, which
 * idempotency keys were seen. The truth about the store: a segment that the catalog does not name
 * is not there. SQL beneath; 64-bit integers and binary-collated text only, no RETURNING, no
 * upsert, compare-and-swap by affected rows, so that the same statements run on SQLite, PostgreSQL
 * and MySQL (sql.h is the driver's seam). Queries never come here: they read the manifest in memory
 * (store/manifest.h).
 * A call that fails has changed nothing, nor will it after a crash; but for ERR_TIMEOUT, which
 * leaves that open.
 * Threads: any; calls are serialised inside. All calls block on disk. */
#ifndef WEIR_CATALOG_CATALOG_H
#define WEIR_CATALOG_CATALOG_H

#include "core/arena.h"
#include "core/buf.h"
#include "core/hash.h"

struct catalog;

/* One section of a segment: the rows of one stream (and, past level 0, one retention day). */
struct catalog_section {
    uint64_t stream_id;
    int64_t day; /* retention day: days since 1970 */
    int64_t time_min, time_max;
    uint64_t rows;
    uint64_t raw_bytes;      /* of the records as JSON text, for accounting */
    uint64_t offset, length; /* of the section's tail in the file */
};
struct catalog_segment {
    uint64_t id;
    uint32_t level;
    uint64_t bytes; /* of the file */
    int64_t created_ns;
    uint64_t position_min, position_max; /* queue positions it holds */
    const struct catalog_section *section;
    uint32_t n_sections;
};
struct catalog_stream {
    uint64_t id;
    struct str org, name;
};
struct catalog_key { /* an idempotency key */
    struct hash128 key, payload;
    int64_t at_ns;
    uint64_t records; /* what was answered then */
};

/* What landed of an agent's sequence (store/producer.h). */
struct catalog_producer {
    uint64_t producer, epoch;
    int64_t at_ns;     /* when it was heard of last */
    struct str window; /* text of the store's making */
};

/* Creates the schema; refuses a newer one. The URL is one of sql_open_url (sql.h); data: the
 * server's own folder. */
NODISCARD enum err catalog_open(struct str url, const char *data, struct catalog **ret);
NODISCARD enum err catalog_open_sqlite(const char *path, struct catalog **ret);
/* Connects to nothing: ERR_INVALID says what is wrong with the URL. */
NODISCARD enum err catalog_check_url(struct str url);
/* The same for a server: the data folder remembers which catalog it belongs to, and ERR_CONFLICT
 * says that this one knows nothing of its segments (home.c). */
NODISCARD enum err catalog_open_home(struct str url, const char *data, struct catalog **ret);
/* Tries what a server would need, changes nothing, and says what is there. ERR_NOTFOUND: no file.
 */
NODISCARD enum err catalog_probe(struct str url, const char *data, struct buf *out);
/* Its own since it was made, 32 hexadecimal digits; a copy has that of what it was made from. */
NODISCARD enum err catalog_identity(struct catalog *c, struct arena *a, struct str *ret);
/* All rows, in one transaction of each. ERR_EXISTS: there is something in `to`. */
NODISCARD enum err catalog_copy(struct catalog *from, struct catalog *to, uint64_t *ret_rows);
/* Whether other processes may write to it while it is open here. */
bool catalog_is_shared(const struct catalog *c);
void catalog_close(struct catalog *c);

/* Everything, for start-up. Arrays live in the arena. */
NODISCARD enum err catalog_load_segments(struct catalog *c, struct arena *a,
                                         struct catalog_segment **ret, size_t *ret_n);
NODISCARD enum err catalog_load_streams(struct catalog *c, struct arena *a,
                                        struct catalog_stream **ret, size_t *ret_n);
NODISCARD enum err catalog_load_keys(struct catalog *c, int64_t since_ns, struct arena *a,
                                     struct catalog_key **ret, size_t *ret_n);
NODISCARD enum err catalog_load_producers(struct catalog *c, int64_t since_ns, struct arena *a,
                                          struct catalog_producer **ret, size_t *ret_n);
/* 0 when the consumer has none. */
NODISCARD enum err catalog_checkpoint(struct catalog *c, struct str consumer, uint32_t partition,
                                      uint64_t *ret_position);
/* Finds or makes the stream. */
NODISCARD enum err catalog_stream(struct catalog *c, struct str org, struct str name,
                                  uint64_t *ret_id);
/* A fresh segment id, never used before, also across crashes. */
NODISCARD enum err catalog_new_segment_id(struct catalog *c, uint64_t *ret_id);

/* How far a consumer has come in a partition: from -> to by compare-and-swap. from 0: there is no
 * row yet. */
struct catalog_position {
    struct str consumer;
    uint32_t partition;
    uint64_t from, to;
};
/* One transaction: adds a segment (may be NULL: an empty cut), moves the checkpoint from `from` to
 * `to` by compare-and-swap (ERR_CONFLICT when somebody else moved it: nothing happened), and those
 * in `also`; stores keys and producers. */
struct catalog_publish {
    const struct catalog_segment *segment;
    struct str consumer;
    uint32_t partition;
    uint64_t from, to;
    const struct catalog_position *also;
    size_t n_also;
    const struct catalog_key *key;
    size_t n_keys;
    int64_t keys_expire_before_ns; /* older keys are deleted */
    size_t keys_max;               /* and the oldest beyond so many; 0: no bound */
    const struct catalog_producer *producer;
    size_t n_producers;
    int64_t producers_expire_before_ns;
};
NODISCARD enum err catalog_publish(struct catalog *c, const struct catalog_publish *p);
/* One transaction: `remove` go, `add` come (compaction; retention with n_add 0). ERR_CONFLICT when
 * one of `remove` is not there, or `token` (not 0) is not that of the lease "compact" any more. */
struct catalog_replacement {
    const uint64_t *remove;
    size_t n_remove;
    const struct catalog_segment *add;
    size_t n_add;
    uint64_t token;
};
NODISCARD enum err catalog_replace(struct catalog *c, const struct catalog_replacement *r);
/* Every id given out so far, to whomever, is below. */
NODISCARD enum err catalog_ids_given(struct catalog *c, uint64_t *ret_limit);
NODISCARD enum err catalog_meta_get(struct catalog *c, struct str name, struct arena *a,
                                    struct str *ret); /* ERR_NOTFOUND */
NODISCARD enum err catalog_meta_set(struct catalog *c, struct str name, struct str value);
/* Sets it where it is not set; *ret is what it is then, whoever set it. */
NODISCARD enum err catalog_meta_once(struct catalog *c, struct str name, struct str value,
                                     struct arena *a, struct str *ret);

#endif
