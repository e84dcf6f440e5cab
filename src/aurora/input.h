/* aurora://, the collector as an input of a server or an agent; see input.c. */
#ifndef WEIR_AURORA_INPUT_H
#define WEIR_AURORA_INPUT_H

#include "pipeline/input.h"

extern const struct input_type aurora_input;

#endif
