/* Aggregation: a table of groups, fed block by block, merged across threads, read out as rows.
 * Owner: one thread at a time. Memory is charged to the reservation given; past it ERR_NOMEM with a
 * text for the user, and the table is still good to free. */
#ifndef WEIR_QUERY_AGG_H
#define WEIR_QUERY_AGG_H

#include "query/pipe.h"
#include "record/batch.h"

struct agg_table;

/* `pipe` is a PIPE_STATS and outlives the table, as the account does that it is charged to. */
struct account;
struct agg_table *agg_new(const struct pipe *pipe, struct account *memory);
void agg_free(struct agg_table *t);
/* Selected rows `row` (ascending) of one block. */
NODISCARD enum err agg_add(struct agg_table *t, struct rows *rows, const uint32_t *row, uint32_t n,
                           struct arena *scratch);
/* `rows` rows with times in [time_min, time_max], of which only the number is wanted
 * (agg_counts_rows). False: it takes a look at them to tell their groups. */
bool agg_add_header(struct agg_table *t, int64_t time_min, int64_t time_max, uint64_t rows);
NODISCARD enum err agg_merge(struct agg_table *into, const struct agg_table *from);
/* Whether all that is asked for is how many rows there are. */
bool agg_counts_rows(const struct pipe *pipe);
/* Leaves out the groups that are not among the `most` (0: all stay) with the greatest result of
 * function `agg`, an AGG_COUNT; those that are equal at the end stay. Before agg_result, and
 * nothing else. */
void agg_keep_most(struct agg_table *t, uint32_t agg, uint64_t most);
/* A record a group, ordered by the group's keys; without `by` always one. */
NODISCARD enum err agg_result(struct agg_table *t, struct batch *out);

#endif
