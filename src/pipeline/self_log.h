/* Weir's own log as records: of the stream _weir of its store, so that what is written to stderr
 * can be searched too; or by an output, where a process has no store (log_output.h).
 *
 * It does not feed on itself: what is logged while its own lines are taken in is left out, and the
 * store does not log what concerns this stream alone. It is bounded: lines wait in SELF_LOG_BYTES;
 * what does not fit is dropped and counted, and so is what cannot be taken in. Nothing waits for
 * it.
 * Threads: start, set and stop from one; the log's lines come from any. One a process. */
#ifndef WEIR_PIPELINE_SELF_LOG_H
#define WEIR_PIPELINE_SELF_LOG_H

#include "pipeline/ingest.h"

#include <stdatomic.h>

#define SELF_LOG_BYTES (256u << 10)

struct self_log;
/* Lines gather from now on; they go in once self_log_run was called, which is when `g` is open. */
struct self_log *self_log_new(struct ingest *g);
/* The same, where lines go elsewhere. `take` blocks, on a thread of its own; false: the lines are
 * dropped. *stopping: it should not take long any more. JSON_PADDING stands behind the body. */
struct self_log_sink {
    void *ctx;
    bool (*take)(void *ctx, struct str body, const atomic_bool *stopping);
};
struct self_log *self_log_new_to(const struct self_log_sink *to);
NODISCARD enum err self_log_run(struct self_log *s);
/* Off: lines are left alone. On at first. */
void self_log_set(struct self_log *s, bool on);
/* Takes in what waits; NULL is fine. */
void self_log_stop(struct self_log *s);

#endif
