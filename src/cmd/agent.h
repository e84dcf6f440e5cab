/* The parts of weir agent, and what its folder says. Threads: main only. */
#ifndef WEIR_CMD_AGENT_H
#define WEIR_CMD_AGENT_H

#include "cmd/options.h"
#include "input/tail_positions.h"
#include "pipeline/intake.h"

enum { AGENT_ROUTES_MAX = 64 };
struct agent_route {
    char name[80];
    uint64_t position;
    uint64_t sent, dead, dropped, before, lost;
    long long failing_since; /* Unix seconds; 0: it can send */
    char error[304];         /* why it cannot */
};
struct agent_books {
    const char *data;
    struct tail_positions positions; /* sorted by path */
    struct intake_books intake;
    struct agent_route route[AGENT_ROUTES_MAX];
    unsigned n_routes;
    uint64_t records; /* read from files */
    uint64_t spool_bytes;
};
/* From the files of the folder (NULL: ./weir-agent). Release the positions, also after an error.
 * ERR_NOTFOUND when it is no agent's. */
NODISCARD enum err agent_books_read(struct agent_books *b, const char *data);

/* Records that the spool has taken. */
uint64_t agent_books_taken(const struct agent_books *s);
/* What --config and the other options say, wholly. */
struct pipelines;
NODISCARD enum err agent_pipelines(const struct options *o, struct pipelines **ret);
int agent_status(const struct command *c, const struct options *o);

#endif
