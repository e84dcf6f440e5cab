/* The ground of a server whose queue others write to as well (Kafka). Bodies are appended as they
 * come: only who reads the queue knows what stands in it already, in its order, so that is where
 * records land once. A sender's repetition is answered as accepted, and passed over there.
 *
 * Each frame that is read claims its name (its unit's number, or its key), and those of its rows
 * that have an id; what landed before is left out. The claims are settled before the next frame is
 * looked at, so none is ever found pending. */
#include "core/log.h"
#include "core/mem.h"
#include "pipeline/ingest.h"
#include "queue/queue.h"
#include "record/frame.h"
#include "store/landing.h"

#include <inttypes.h>

static enum err admit(void *ctx, size_t bytes)
{
    return store_admit(((struct ingest_store *)ctx)->store, bytes);
}

static enum claim claim_key(void *ctx, struct hash128 key, struct hash128 payload,
                            uint64_t *ret_records)
{
    return CLAIM_NEW;
}

static void settle_key(void *ctx, struct hash128 key, bool landed, uint64_t records)
{
}

static enum err claim_id(void *ctx, struct str org, struct str stream, struct str id,
                         enum claim *ret)
{
    *ret = CLAIM_NEW;
    return OK;
}

static void settle_id(void *ctx, struct str org, struct str stream, struct str id, bool landed)
{
}

static enum claim claim_sequence(void *ctx, const struct store_sequence *n)
{
    return CLAIM_NEW;
}

static void settle_sequence(void *ctx, const struct store_sequence *n, bool landed)
{
}

static enum err append(void *ctx, const struct queue_body *body, const struct ingest_entry *e)
{
    return queue_append(((struct ingest_store *)ctx)->queue, body);
}

static const char *full(void *ctx)
{
    return "the brokers' disks are full";
}

struct ingest_ground ingest_log_ground(struct ingest_store *s)
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
    };
}

/* ---- reading ---- */

struct taking {
    struct store *store;
    struct arena arena;
    struct frame_info info;
    struct rows rows;
    struct str *id; /* of each row, or NULL */
    uint32_t *keep, n;
};

/* False: the frame landed before. A number that landed with another mark comes from a copy of an
 * agent's folder: the frame gets a key made of both. */
static bool claim_frame(struct taking *t, struct blob *frame)
{
    struct frame_info *info = &t->info;
    struct store_sequence number = {info->producer, info->epoch, info->sequence, info->payload.lo};
    uint64_t records;
    if (number.producer) {
        enum claim claim = store_claim_sequence(t->store, &number);
        if (claim == CLAIM_NEW)
            store_settle_sequence(t->store, &number);
        if (claim != CLAIM_OTHER)
            return claim == CLAIM_NEW;
        log_warn("two agents send as one: is an agent's folder a copy of another's?",
                 "agent=%016" PRIx64 " sequence=%" PRIu64, number.producer, number.sequence);
        info->key = hash128(str_of((const char *)&number, sizeof(number)));
        info->payload = hash128(frame->bytes);
        info->producer = info->epoch = info->sequence = 0;
        frame_restamp((char *)frame->bytes.p, info);
    }
    if (!info->key.lo && !info->key.hi)
        return true;
    enum claim claim = store_claim_key(t->store, info->key, info->payload, &records);
    if (claim == CLAIM_OTHER) { /* the key came with two bodies: both are kept, each once */
        struct hash128 both[2] = {info->key, info->payload};
        info->key = hash128(str_of((const char *)both, sizeof(both)));
        frame_restamp((char *)frame->bytes.p, info);
        claim = store_claim_key(t->store, info->key, info->payload, &records);
    }
    return claim == CLAIM_NEW;
}

static void settle_frame(struct taking *t, bool landed)
{
    if (t->info.key.lo || t->info.key.hi)
        store_settle_key(t->store, t->info.key, landed, t->rows.n);
}

/* Which rows are new by their ids. */
static enum err claim_rows(struct taking *t)
{
    t->n = t->rows.n;
    TRY(landing_row_ids(&t->rows, &t->arena, &t->id));
    if (!t->id)
        return OK;
    t->keep = ARENA_ARRAY(&t->arena, uint32_t, t->rows.n);
    t->n = 0;
    for (uint32_t i = 0; i < t->rows.n; i++) {
        enum claim claim = CLAIM_NEW;
        if (t->id[i].n)
            TRY(store_claim_id(t->store, t->info.org, t->info.stream, t->id[i], &claim));
        if (claim == CLAIM_NEW)
            t->keep[t->n++] = i;
    }
    return OK;
}

static void settle_rows(struct taking *t, bool landed)
{
    for (uint32_t i = 0; t->keep && i < t->n; i++)
        if (t->id[t->keep[i]].n)
            store_settle_id(t->store, t->info.org, t->info.stream, t->id[t->keep[i]], landed);
}

/* The frame without the rows that landed before. */
static enum err make_frame(struct taking *t, struct blob **ret)
{
    struct batch *b = batch_new();
    struct buf out;
    buf_init(&out, SIZE_MAX);
    t->info.raw_bytes = t->info.raw_bytes * t->n / t->rows.n + 1;
    enum err err = batch_append_rows(b, &t->rows, t->keep, t->n);
    if (err == OK)
        err = frame_encode(b, &t->info, &out);
    if (err == OK)
        *ret = blob_copy(buf_str(&out), OWNER_QUEUE);
    buf_release(&out);
    batch_free(b);
    return err;
}

static bool deliver(struct taking *t, struct blob *frame, uint64_t position)
{
    struct blob *some = NULL;
    enum err err = claim_rows(t);
    if (err == OK && t->n && t->n < t->rows.n)
        err = make_frame(t, &some);
    if (err != OK)
        log_error("ids of records cannot be judged: the records are kept", "error=%s", err_text());
    bool any = err != OK || t->n > 0;
    struct blob *what = some ? some : frame;
    if (any)
        store_deliver(t->store, &what, 1, position);
    settle_rows(t, true);
    blob_unref(some);
    return any;
}

bool ingest_log_take(struct store *store, struct blob *frame, uint64_t position)
{
    struct taking t = {.store = store};
    bool any = false;
    arena_init(&t.arena, 0, NULL);
    if (frame_open(frame->bytes, position, 0, &t.arena, &t.info, &t.rows) != OK) {
        store_deliver(store, &frame, 1, position); /* it puts aside what it cannot read */
        any = true;
    } else if (claim_frame(&t, frame)) {
        any = deliver(&t, frame, position);
        settle_frame(&t, any);
    }
    arena_release(&t.arena);
    return any;
}
