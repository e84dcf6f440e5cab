/* Reference-counted bytes. The count starts at 1; whoever takes it to 0 frees, and the
 * release/acquire pair makes every earlier use by other threads happen before that. */
#include "core/blob.h"

#include "core/mem.h"

#include <stdatomic.h>

struct blob *blob_take(char *p, size_t n, enum owner owner)
{
    struct blob *b = NEW(struct blob);
    atomic_init(&b->refs, 1);
    b->owner = owner;
    b->bytes = str_of(p, n);
    governor_force(owner, n);
    return b;
}

struct blob *blob_copy(struct str s, enum owner owner)
{
    return blob_take(mem_strdup(s), s.n, owner);
}

struct blob *blob_ref(struct blob *b)
{
    uint32_t had = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    CHECK(had > 0 && had < UINT32_MAX);
    return b;
}

void blob_unref(struct blob *b)
{
    if (!b)
        return;
    uint32_t had = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    CHECK(had > 0);
    if (had > 1)
        return;
    governor_give(b->owner, b->bytes.n);
    mem_free((char *)b->bytes.p);
    mem_free(b);
}

void blob_charge(struct blob *b, enum owner owner)
{
    governor_force(owner, b->bytes.n);
    governor_give(b->owner, b->bytes.n);
    b->owner = owner;
}
