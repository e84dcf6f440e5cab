/* Patterns of tags as Fluentd writes them, as a query: `*` is any part of a tag or a piece of one,
 * `**` any number of parts, {a,b} one of them; several patterns are parted by blanks.
 *
 *   app.*        app.nginx, not app nor app.nginx.access
 *   app.**       app, app.nginx, app.nginx.access, not apple
 *   **.error     error, app.error
 *
 * Threads: pure functions. */
#ifndef WEIR_PIPELINE_TAG_GLOB_H
#define WEIR_PIPELINE_TAG_GLOB_H

#include "core/buf.h"

/* Appends the query for records whose `tag` fits. ERR_INVALID: braces that do not close, or no
 * pattern. */
NODISCARD enum err tag_glob_query(struct str patterns, struct buf *out);

#endif
