/* The inside of the catalog, shared by its files: a statement under way, and transactions. All with
 * the catalog's lock; catalog_begin takes it, catalog_end gives it back. */
#ifndef WEIR_CATALOG_CATALOG_IMPL_H
#define WEIR_CATALOG_CATALOG_IMPL_H

#include "catalog/catalog.h"
#include "catalog/sql.h"

#include <pthread.h>

struct catalog {
    pthread_mutex_t lock;
    struct sql *db;
    uint64_t next_segment, segment_limit; /* ids at hand */
    /* What catalog_run_schema runs: where making a table ends a transaction, the tables go before
     * it and the rows into it. */
    enum { SCHEMA_ALL, SCHEMA_TABLES, SCHEMA_ROWS } schema_part;
};

/* A statement and the place of its next parameter; the first error stays. */
struct sql_call {
    struct sql *db;
    struct sql_stmt *stmt;
    int index;
    enum err err;
};
struct sql_call sql_call_new(struct catalog *c, const char *text);
void sql_arg_i64(struct sql_call *call, int64_t v);
void sql_arg_u64(struct sql_call *call, uint64_t v);
void sql_arg_text(struct sql_call *call, struct str v);
/* The next row; false at the end or after an error. */
bool sql_call_row(struct sql_call *call);
int64_t sql_col_i64(struct sql_call *call, int index);
uint64_t sql_col_u64(struct sql_call *call, int index);
struct str sql_col_text(struct sql_call *call, int index);
NODISCARD enum err sql_call_end(struct sql_call *call);
/* Runs a statement without rows; it can be given parameters anew. A failure may come to light only
 * with the commit. */
NODISCARD enum err sql_call_run(struct sql_call *call);
/* Runs a statement without rows, once. ret_affected may be NULL. */
NODISCARD enum err sql_call_once(struct sql_call *call, uint64_t *ret_affected);

/* A transaction that writes: commits, or takes everything back. */
NODISCARD enum err catalog_begin(struct catalog *c);
NODISCARD enum err catalog_end(struct catalog *c, enum err err);
/* The end of one that only read: it cannot be unknown whether that was stored. */
NODISCARD enum err catalog_end_reading(struct catalog *c, enum err err);
/* A transaction that may be made twice: where the answer to its commit is lost, it is made again,
 * which comes behind the lost one, whatever became of that; it may hold the others up for half a
 * minute. */
enum { CATALOG_TRIES = 5 };
#define CATALOG_COMMIT(c, work)                                                                    \
    ({                                                                                             \
        enum err commit_err_;                                                                      \
        bool lost_ = false;                                                                        \
        int tries_ = 0;                                                                            \
        do {                                                                                       \
            commit_err_ = catalog_begin(c);                                                        \
            if (commit_err_ == OK)                                                                 \
                commit_err_ = catalog_end(c, work);                                                \
            lost_ = lost_ || commit_err_ == ERR_TIMEOUT;                                           \
        } while (++tries_ < CATALOG_TRIES &&                                                       \
                 (commit_err_ == ERR_TIMEOUT || (lost_ && commit_err_ == ERR_UNAVAILABLE)));       \
        commit_err_;                                                                               \
    })
/* Takes `n` numbers of a counter: the first of them. Within a transaction. */
NODISCARD enum err catalog_take_numbers(struct catalog *c, const char *name, uint64_t n,
                                        uint64_t *ret);
NODISCARD enum err catalog_run_schema(struct catalog *c, const char *text);
/* Whether there is the table, and in it the row. */
NODISCARD enum err catalog_has_row(struct catalog *c, const char *table, const char *name,
                                   bool *ret);
/* Columns stream_id to tail_length of a row of `sections`, from column 1 on. */
void catalog_read_section(struct sql_call *call, struct catalog_section *ret);

/* shared.c, of a catalog that servers share: its further tables; that something has changed which
 * the others want to know; that segments left it, and when. Within a transaction. */
NODISCARD enum err catalog_add_tables(struct catalog *c);
NODISCARD enum err catalog_count_change(struct catalog *c);
NODISCARD enum err catalog_add_garbage(struct catalog *c, const uint64_t *id, size_t n,
                                       int64_t now_ns);
NODISCARD enum err catalog_check_lease(struct catalog *c, uint64_t token);

#endif
