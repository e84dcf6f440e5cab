/* Which inputs this program has. */
#ifndef WEIR_CMD_INPUTS_H
#define WEIR_CMD_INPUTS_H

#include "pipeline/input.h"

extern const struct input_type *const cmd_input_types[];

#endif
