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

#endif
