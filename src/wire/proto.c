#include "wire/proto.h"

static void *take(void *arena, size_t n)
{
    return arena_try_alloc(arena, n);
}

static void give(void *arena, void *p)
{
    /* The arena's reset. */
}

void proto_init(struct proto_level *l, struct reservation *r)
{
    arena_init(&l->arena, 0, r);
    l->allocator = (ProtobufCAllocator){take, give, &l->arena};
}

void proto_release(struct proto_level *l)
{
    arena_release(&l->arena);
}

enum err proto_unpack_more(struct proto_level *l, const ProtobufCMessageDescriptor *kind,
                           struct str bytes, const char *what, void *ret_message)
{
    void *message =
        protobuf_c_message_unpack(kind, &l->allocator, bytes.n, (const uint8_t *)bytes.p);
    if (!message && l->arena.failed)
        return err_set(ERR_NOMEM, "no memory to read %s of %zu bytes", what, bytes.n);
    if (!message)
        return err_set(ERR_INVALID, "%s of %zu bytes is no valid protobuf", what, bytes.n);
    *(void **)ret_message = message;
    return OK;
}

enum err proto_unpack(struct proto_level *l, const ProtobufCMessageDescriptor *kind,
                      struct str bytes, const char *what, void *ret_message)
{
    arena_reset(&l->arena);
    return proto_unpack_more(l, kind, bytes, what, ret_message);
}
