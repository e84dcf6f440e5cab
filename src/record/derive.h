/* Rows made of other rows, without copying what does not change: rows repeated, and rows with
 * fields put in. What is not touched still decodes on demand from where it was. Ownership and
 * threads: as record/rows.h; the rows given must live as long as the arena, and so must the side's
 * batch (batch_free is the caller's, see arena_defer). */
#ifndef WEIR_RECORD_DERIVE_H
#define WEIR_RECORD_DERIVE_H

#include "record/batch.h"
#include "record/json_walk.h"

/* Row i is row src[i] of the base; src ascends and may repeat rows, each of which keeps its time
 * and its place. */
NODISCARD enum err rows_repeat(struct rows *base, const uint32_t *src, uint32_t n,
                               struct arena *arena, struct rows *ret);
/* Row i is row i of the base, with the members of row side_of[i] of the side behind its own
 * (UINT32_MAX: none; those given ascend strictly). Where the side has anything under one of the
 * `field`s (dotted names), what the base's row has under that name goes. ERR_LIMIT when the rows
 * would have more shapes than can be numbered. */
NODISCARD enum err rows_zip(struct rows *base, struct rows *side, const uint32_t *side_of,
                            const struct str *field, uint32_t n_fields, struct arena *arena,
                            struct rows *ret);

/* A value of JSON text as a member of the record that a batch has begun: objects member by member,
 * arrays as text. */
void batch_put_json(struct batch *b, struct str key, const struct json_item *item,
                    struct arena *scratch);

#endif
