/* Bytes of a file or of standard input, gzip, zstd, bzip2 and xz undone by what they begin
 * with.
 * Threads: one. Bounded: two buffers of 256 KiB. */
#ifndef WEIR_CMD_SOURCE_H
#define WEIR_CMD_SOURCE_H

#include "core/buf.h"
#include "core/err.h"

struct source;
/* path "-": standard input. */
NODISCARD enum err source_open(const char *path, struct source **ret);
void source_close(struct source *s);
/* Appends some bytes to `out`. *ret_idle: nothing came for half a second (a pipe that waits).
 * ERR_EOF at the end. */
NODISCARD enum err source_read(struct source *s, struct buf *out, bool *ret_idle);
/* Whether a file's first bytes are those of one of these. */
bool source_is_compressed(struct str head);
/* Bytes read of how many in all (0: unknown), before decompression. */
void source_progress(const struct source *s, uint64_t *ret_done, uint64_t *ret_total);

#endif
