/* The API's description, docs/openapi.yaml, as JSON. Threads: any. */
#ifndef WEIR_API_OPENAPI_H
#define WEIR_API_OPENAPI_H

#include "core/buf.h"

/* Appends it. An error says the line of openapi.yaml: a mistake of ours that a test finds. */
NODISCARD enum err openapi_json(struct buf *out);

#endif
