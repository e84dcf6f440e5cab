/* What the Aurora collector remembers: six tables of items, in SQLite or in DynamoDB, chosen by a
 * URL (sqlite:PATH, dynamodb:). Names, keys and attributes are the same in both:
 *
 *   aurora-instance-metadata     instance_id
 *   aurora-log-file-tracking     instance_id, log_file_name
 *   aurora-log-processing-jobs   job_id
 *   aurora-log-tracking          process_id
 *   aurora-log-checkpoints       instance_id, log_file_name
 *   aurora-log-dlq               message_id
 *
 * An item is a flat set of attributes, texts and integers. A write sets some of them, under
 * conditions that are judged together with it: that is how any number of processes agree.
 * `expires_at` (epoch seconds) is when an item may be forgotten.
 *
 * Builds of several versions work on one state, at once and by turns. So a format only grows by
 * attributes, texts or integers, that a build may do without, and an item has at most
 * STATE_ATTRS_MAX: what a build does not know it leaves as it is. The item "orders" of
 * aurora-log-tracking has `format`, that of the newest build that was there, and `format_needed`,
 * which a build sets that must keep older ones away: they do not start, and those that run stop.
 *
 * Threads: any. Calls block. Errors: ERR_NOTFOUND, ERR_CONFLICT (a condition did not hold),
 * ERR_UNAVAILABLE and ERR_TIMEOUT (come again), others for good. A write that answers an error may
 * have been done all the same when it is ERR_UNAVAILABLE or ERR_TIMEOUT. */
#ifndef WEIR_AURORA_STATE_H
#define WEIR_AURORA_STATE_H

#include "aws/client.h"
#include "core/arena.h"
#include "core/url.h"

enum state_table {
    STATE_INSTANCES,
    STATE_FILES,
    STATE_JOBS,
    STATE_PROCESSES,
    STATE_CHECKPOINTS,
    STATE_DLQ,
    STATE_TABLE_COUNT
};
struct state_table_info {
    const char *name, *hash, *range; /* range NULL: the hash key alone */
    bool expires;
};
extern const struct state_table_info state_tables[STATE_TABLE_COUNT];

struct state_attr {
    struct str name;
    bool is_number;
    struct str text;
    int64_t number;
};
enum { STATE_ATTRS_MAX = 40, STATE_TEXT_MAX = 300 << 10, STATE_KEY_MAX = 1024 };
struct state_item {
    struct state_attr attr[STATE_ATTRS_MAX];
    unsigned n;
};
/* Past STATE_ATTRS_MAX: a bug. The text is not copied. */
void state_set_text(struct state_item *item, const char *name, struct str text);
void state_set_int(struct state_item *item, const char *name, int64_t n);
/* "" and 0 where there is none, or it is of the other type. */
struct str state_text(const struct state_item *item, const char *name);
int64_t state_int(const struct state_item *item, const char *name);

struct state_key {
    struct str hash, range; /* range: n == 0 in tables without one */
};
enum state_op { STATE_NO_ITEM, STATE_IS_TEXT, STATE_IS_INT, STATE_NO_ATTR, STATE_HAS_ATTR };
struct state_cond {
    enum state_op op;
    const char *name; /* of the attribute; not for STATE_NO_ITEM */
    struct str text;
    int64_t number;
};
enum { STATE_CONDS_MAX = 4 };

struct state;
struct state_driver {
    void (*close)(struct state *s);
    enum err (*init)(struct state *s); /* makes what tables are missing */
    enum err (*get)(struct state *s, enum state_table t, const struct state_key *k, struct arena *a,
                    struct state_item *ret);
    enum err (*update)(struct state *s, enum state_table t, const struct state_key *k,
                       const struct state_item *set, const struct state_cond *cond, unsigned n,
                       bool durable);
    enum err (*remove)(struct state *s, enum state_table t, const struct state_key *k,
                       const struct state_cond *cond, unsigned n);
    /* hash n == 0: of the whole table */
    enum err (*each)(struct state *s, enum state_table t, struct str hash,
                     enum err (*fn)(void *ctx, const struct state_item *item), void *ctx);
    enum err (*forget)(struct state *s, int64_t now_s);
};
struct state {
    const struct state_driver *driver;
};

/* credentials: for dynamodb:, where the caller keeps them; may be NULL for sqlite:. */
NODISCARD enum err state_open(struct str url, struct aws_credentials *credentials,
                              struct state **ret);
NODISCARD enum err state_open_sqlite(const char *path, struct state **ret);
NODISCARD enum err state_open_dynamodb(const struct url *url, struct aws_credentials *credentials,
                                       struct state **ret);
void state_close(struct state *s); /* NULL is fine */

NODISCARD enum err state_init(struct state *s);
#define STATE_FORMAT 1
#define STATE_ORDERS ((struct state_key){STR("orders"), STR("")})
/* This build is about to work on it. ERR_INVALID: it must not, see above. Other errors say that the
 * state could not be asked. */
NODISCARD enum err state_join(struct state *s);
/* Whether `orders`, as read, keep this build away. */
bool state_is_too_new(const struct state_item *orders);
/* The item's keys are among its attributes. Its texts live in the arena. */
NODISCARD enum err state_get(struct state *s, enum state_table t, struct state_key k,
                             struct arena *a, struct state_item *ret);
/* Sets attributes; makes the item where there is none, unless a condition forbids it. */
NODISCARD enum err state_update(struct state *s, enum state_table t, struct state_key k,
                                const struct state_item *set, const struct state_cond *cond,
                                unsigned n);
/* The same of what can be found out anew: when the machine fails it may be forgotten, unless a
 * state_update has come behind it. In SQLite that saves a sync. */
NODISCARD enum err state_note(struct state *s, enum state_table t, struct state_key k,
                              const struct state_item *set, const struct state_cond *cond,
                              unsigned n);
NODISCARD enum err state_remove(struct state *s, enum state_table t, struct state_key k,
                                const struct state_cond *cond, unsigned n); /* absent is OK */
/* Items of a hash key (or, when empty, of the table), in no order; fn may change the table but not
 * rely on seeing that. What it is given lives until it returns; what it answers other than OK ends
 * it. */
NODISCARD enum err state_each(struct state *s, enum state_table t, struct str hash,
                              enum err (*fn)(void *ctx, const struct state_item *item), void *ctx);
/* Removes what has expired, where the database does not do it by itself. */
NODISCARD enum err state_forget(struct state *s);

/* An item as JSON and back, as DynamoDB writes it ({"a":{"S":"x"},"n":{"N":"1"}}): for its driver
 * and the fuzzer. Attributes of other types are passed over. */
struct json_t;
struct json_t *state_item_json(const struct state_item *item);
NODISCARD enum err state_item_read(const struct json_t *json, struct arena *a,
                                   struct state_item *ret);
/* As plain JSON, for who looks at it. */
struct json_t *state_item_plain(const struct state_item *item);

#endif
