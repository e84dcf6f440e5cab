/* The ground of a server: the store says what has landed, its queue takes what comes. */
#include "pipeline/ingest.h"
#include "queue/queue.h"

static enum err admit(void *ctx, size_t bytes)
{
    return store_admit(((struct ingest_store *)ctx)->store, bytes);
}

static enum claim claim_key(void *ctx, struct hash128 key, struct hash128 payload,
                            uint64_t *ret_records)
{
    return store_claim_key(((struct ingest_store *)ctx)->store, key, payload, ret_records);
}

static void settle_key(void *ctx, struct hash128 key, bool landed, uint64_t records)
{
    store_settle_key(((struct ingest_store *)ctx)->store, key, landed, records);
}

static enum err claim_id(void *ctx, struct str org, struct str stream, struct str id,
                         enum claim *ret)
{
    return store_claim_id(((struct ingest_store *)ctx)->store, org, stream, id, ret);
}

static void settle_id(void *ctx, struct str org, struct str stream, struct str id, bool landed)
{
    store_settle_id(((struct ingest_store *)ctx)->store, org, stream, id, landed);
}

static enum claim claim_sequence(void *ctx, const struct store_sequence *n)
{
    return store_claim_sequence(((struct ingest_store *)ctx)->store, n);
}

static void settle_sequence(void *ctx, const struct store_sequence *n, bool landed)
{
    store_settle_sequence(((struct ingest_store *)ctx)->store, n);
}

static enum err append(void *ctx, const struct queue_body *body, const struct ingest_entry *e)
{
    return queue_append(((struct ingest_store *)ctx)->queue, body);
}

static const char *full(void *ctx)
{
    store_cut_soon(((struct ingest_store *)ctx)->store);
    return "the disk is full: free some space, or set a lower store.max_disk or store.retention; "
           "send again later";
}

static bool slow(void *ctx)
{
    return queue_disk_is_slow(((struct ingest_store *)ctx)->queue);
}

struct ingest_ground ingest_store_ground(struct ingest_store *s)
{
    return (struct ingest_ground){
        .ctx = s,
        .admit = admit,
        .claim_key = claim_key,
        .settle_key = settle_key,
        .claim_id = claim_id,
        .settle_id = settle_id,
        .claim_sequence = claim_sequence,
        .settle_sequence = settle_sequence,
        .append = append,
        .full = full,
        .slow = slow,
    };
}
