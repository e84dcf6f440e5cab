/* Getting to know the records: which fields there are, which values a field has, what happened
 * around one record. Each appends one JSON object; parse errors come before anything is written.
 * Threads: as query.h. Memory is the query's budget, shared among the workers. */
#ifndef WEIR_QUERY_EXPLORE_H
#define WEIR_QUERY_EXPLORE_H

#include "query/query.h"

/* The names of fields in the records that match, dotted, the most frequent first, at most
 * q->limit: {"total":..,"fields":[{"name","count","share","types":{..}}],"distinct":..,..}. A block
 * that matches whole is counted by its directory, without a look at its rows, where no record has
 * a name twice. */
NODISCARD enum err query_fields(struct query_engine *e, const struct query_request *q,
                                struct buf *out);

/* The most frequent values of a field, at most q->limit, arrays by their scalars:
 * {"field","total","missing","distinct","values":[{"value","count","share"}],..}. */
NODISCARD enum err query_values(struct query_engine *e, const struct query_request *q,
                                struct str field, struct buf *out);

struct query_patterns {
    struct str field;     /* n == 0: message */
    struct str by;        /* a comma list of fields; n == 0: none */
    uint32_t examples;    /* of each */
    struct str new_since; /* n == 0: all of them */
};
/* The patterns there are, the most frequent first, at most q->limit: {"total":..,"distinct":..,
 * "patterns":[{"id","pattern","count","first_seen","last_seen","examples":[..],"query"}],..}. Also
 * those who have no value, under null. */
NODISCARD enum err query_patterns(struct query_engine *e, const struct query_request *q,
                                  const struct query_patterns *p, struct buf *out);

#define QUERY_CONTEXT_MAX 1000
struct query_context {
    struct str id;          /* _id of the record */
    struct str same;        /* a comma list of fields; p NULL: what usually names a source */
    uint32_t before, after; /* records on either side */
};
/* A record and its neighbours in the order of their source: of the same stream, with the same
 * values of the fields that name the source (or, as it, without them), matching q->q:
 * {"before":[..],"record":{..},"after":[..],"same":{..},..}, each list oldest first. ERR_NOTFOUND
 * when there is no such record. */
NODISCARD enum err query_context(struct query_engine *e, const struct query_request *q,
                                 const struct query_context *c, struct buf *out);

#endif
