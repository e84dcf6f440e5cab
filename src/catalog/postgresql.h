/* What the PostgreSQL driver is made of: libpq, loaded when it is first needed, and what a URL says
 * of a server. Threads: libpq_load any; the rest by one at a time. */
#ifndef WEIR_CATALOG_POSTGRESQL_H
#define WEIR_CATALOG_POSTGRESQL_H

#include "core/arena.h"
#include "core/err.h"

#include <libpq-fe.h>

#define LIBPQ_FUNCTIONS(X)                                                                         \
    X(PQclear)                                                                                     \
    X(PQcmdStatus)                                                                                 \
    X(PQcmdTuples)                                                                                 \
    X(PQconndefaults)                                                                              \
    X(PQconnectStartParams)                                                                        \
    X(PQconnectdbParams)                                                                           \
    X(PQconninfoFree)                                                                              \
    X(PQconninfoParse)                                                                             \
    X(PQconsumeInput)                                                                              \
    X(PQenterPipelineMode)                                                                         \
    X(PQerrorMessage)                                                                              \
    X(PQfinish)                                                                                    \
    X(PQfreemem)                                                                                   \
    X(PQgetResult)                                                                                 \
    X(PQgetlength)                                                                                 \
    X(PQgetvalue)                                                                                  \
    X(PQisBusy)                                                                                    \
    X(PQparameterStatus)                                                                           \
    X(PQpingParams)                                                                                \
    X(PQpipelineSync)                                                                              \
    X(PQresultErrorField)                                                                          \
    X(PQresultStatus)                                                                              \
    X(PQsendQueryParams)                                                                           \
    X(PQserverVersion)                                                                             \
    X(PQsetNoticeProcessor)                                                                        \
    X(PQsetSingleRowMode)                                                                          \
    X(PQsocket)                                                                                    \
    X(PQstatus)
struct libpq {
#define X(name) __typeof__(name) *name;
    LIBPQ_FUNCTIONS(X)
#undef X
};
/* ERR_UNSUPPORTED: the machine has none, or one that is too old. */
NODISCARD enum err libpq_load(const struct libpq **ret);

struct pg_target {
    const char **name, **value; /* libpq's parameters, ended by NULL */
    const char *plain;          /* the URL without user and parameters */
    const char *schema;         /* NULL: the first of the search path */
    const char *password_file;  /* read at each connection; NULL: none */
};
/* postgresql://user:password@host:port/database?parameters: libpq's, and schema=, password_file=.
 * Connects to nothing. ERR_INVALID says what is wrong, without the password. Lives in the arena. */
NODISCARD enum err pg_target_read(struct str url, struct arena *a, struct pg_target *ret);

#endif
