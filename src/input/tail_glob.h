/* Path patterns: `*`, `?` and `[...]` within a part of a path, `**` for any number of parts, and
 * `<name>` for any part of a name, which is captured: /var/log/<service>/app.log.
 * Threads: one at a time for a pattern. Bounds: TAIL_GLOB_FILES_MAX paths, 64 parts. */
#ifndef WEIR_INPUT_TAIL_GLOB_H
#define WEIR_INPUT_TAIL_GLOB_H

#include "core/err.h"
#include "core/str.h"

struct tail_glob;
enum { TAIL_GLOB_FILES_MAX = 100000, TAIL_CAPTURE_MAX = 200 };

struct tail_glob_visitor {
    void *ctx;
    /* A path that is there and no folder; service is what <service> stands for, else empty. */
    void (*file)(void *ctx, const char *path, struct str service);
    /* A folder whose entries can match, or that would be one if it were there. */
    void (*folder)(void *ctx, const char *path);
};

/* ERR_INVALID says what is wrong with the pattern. */
NODISCARD enum err tail_glob_new(struct str pattern, struct tail_glob **ret);
void tail_glob_free(struct tail_glob *g);
/* ERR_LIMIT past the bound. Folders that cannot be read are passed over. */
NODISCARD enum err tail_glob_walk(struct tail_glob *g, const struct tail_glob_visitor *v);
/* Whether a path (of a file that may be no more) matches; *ret_service is a slice of it. */
bool tail_glob_match(const struct tail_glob *g, struct str path, struct str *ret_service);

#endif
