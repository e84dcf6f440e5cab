/* The collector's state, for the commands that look at it or change it. */
#ifndef WEIR_CMD_AURORA_STATE_H
#define WEIR_CMD_AURORA_STATE_H

#include "aurora/state.h"
#include "cmd/options.h"

#define AURORA_STATE_OPTIONS                                                                       \
    {                                                                                              \
        "state", 's', "URL",                                                                       \
            "What is remembered: sqlite:PATH or dynamodb: ($WEIR_AURORA_STATE, "                   \
            "sqlite:./weir-aurora.db)."                                                            \
    }
const char *aurora_state_url(const struct options *o);

struct aurora_state {
    struct aws_credentials *credentials;
    struct state *state;
};
NODISCARD enum err aurora_state_open(const struct options *o, struct aurora_state *ret);
void aurora_state_close(struct aurora_state *s);

/* What a command's first argument says is to be done. */
struct aurora_verb {
    const char *name;
    unsigned args_min, args_max; /* behind it */
    enum err (*run)(const struct options *o, struct state *s);
    bool stateless; /* s is NULL */
};
/* Parses the line, and runs that of the verbs (ended by name NULL) which it names; answers the exit
 * status, errors are explained. */
int aurora_run_verb(const struct command *c, const struct aurora_verb *verbs, int argc,
                    char **argv);

#endif
