/* Frames from an agent. They were decoded and judged where they were made; here they are outside
 * bytes: each is opened, which proves its structure, and what stands in it as JSON text is checked
 * (a row is written out by copying it). Then they go to the queue as they are, but for the fields
 * of the head that the receiver decides.
 *
 * A unit (frames of one sequence number) is claimed before its frames are looked at: what landed
 * before is passed over. A number that landed with another mark comes from a copy of an agent's
 * folder: the unit is stored under an idempotency key made of number and mark, so that it lands
 * too, and once. The mark is the arrival of the unit's first record, which the agent fixed when it
 * read it; the arrival itself is taken over, but never later than now.
 *
 * Rows with a record id (log_id, _id) are claimed one by one as from any other sender; a frame of
 * which some are duplicates is made anew of the others. */
#include "pipeline/ingest_impl.h"

#include "core/clock.h"
#include "core/log.h"
#include "core/mem.h"
#include "record/derive.h"
#include "store/landing.h"
#include "wire/frames.h"

#include <inttypes.h>
#include <math.h>

struct unit {
    struct store_sequence id;
    bool skip;            /* landed before */
    struct hash128 key;   /* the unit's own: its number is taken by another */
    struct hash128 first; /* hash of its first frame */
};

/* ---- judging ---- */

static enum err refuse(const char *what)
{
    return err_set(ERR_INVALID, "a frame holds %s", what);
}

static enum err check_text(struct job *j, enum lane lane, struct str text)
{
    struct worker *w = j->w;
    if (!w->checker)
        w->checker = json_reader_new(&j->g->o.limits);
    buf_clear(&w->frame);
    if (!text.n || !buf_reserve(&w->frame, text.n + JSON_PADDING))
        return refuse("an empty number, array or object, or one that is too long");
    buf_put_str(&w->frame, text);
    memset(w->frame.p + text.n, 0, JSON_PADDING);
    char c = text.p[0];
    bool begins = lane == LANE_ARR    ? c == '['
                  : lane == LANE_JSON ? c == '{'
                                      : c == '-' || (c >= '0' && c <= '9');
    if (!begins || json_check(w->checker, buf_str(&w->frame)) != OK)
        return refuse("a number, array or object that is not JSON");
    return OK;
}

static enum err check_column(struct job *j, const struct column *c, struct arena *a)
{
    struct values v;
    if (c->lane != LANE_NUM && c->lane != LANE_ARR && c->lane != LANE_JSON && c->lane != LANE_DBL)
        return OK;
    TRY(c->ops->values(c, a, &v));
    for (uint32_t i = 0; i < v.n; i++) {
        if (c->lane == LANE_DBL && !isfinite(v.f64[i]))
            return refuse("a number that is none");
        if (c->lane != LANE_DBL)
            TRY(check_text(j, (enum lane)c->lane, values_text(&v, i)));
    }
    return OK;
}

static enum err check_rows(struct job *j, const struct rows *rows, struct arena *a)
{
    for (uint32_t i = 0; i < rows->n_columns; i++)
        TRY(check_column(j, &rows->columns[i], a));
    return OK;
}

static enum err check_target(struct job *j, const struct frame_info *info)
{
    if (!str_eq(info->org, j->org))
        return err_set(ERR_INVALID, "a frame is for the organization \"%.*s\"", STR_ARG(info->org));
    return str_eq(info->stream, INGEST_DEAD_LETTERS) ? OK : ingest_check_stream(info->stream);
}

/* ---- ids ---- */

/* The rows that are no duplicates; *ret_n == rows->n when none is. */
static enum err claim_rows(struct job *j, struct rows *rows, struct arena *a, uint32_t **ret,
                           uint32_t *ret_n)
{
    struct str *id = NULL;
    TRY(landing_row_ids(rows, a, &id));
    *ret_n = rows->n;
    if (!id)
        return OK;
    uint32_t *keep = ARENA_ARRAY(a, uint32_t, rows->n), n = 0;
    for (uint32_t i = 0; i < rows->n; i++)
        if (!id[i].n || job_accept_id(j, id[i]))
            keep[n++] = i;
    TRY(j->failed == OK ? OK : err_set(j->failed, "%s", j->failed_text.p));
    *ret = keep;
    *ret_n = n;
    return OK;
}

/* Rows (keep NULL: all) as a frame of their own: what is left when some were dropped or changed. */
static enum err add_some(struct job *j, struct frame_info *info, struct rows *rows,
                         const uint32_t *keep, uint32_t n)
{
    struct worker *w = j->w;
    struct batch *b = batch_new();
    buf_clear(&w->frame);
    info->raw_bytes = info->raw_bytes * n / rows->n + 1;
    enum err err = batch_append_rows(b, rows, keep, n);
    if (err == OK)
        err = frame_encode(b, info, &w->frame);
    if (err == OK)
        job_add_blob(j, blob_copy(buf_str(&w->frame), OWNER_QUEUE), n);
    batch_free(b);
    return err;
}

/* ---- units ---- */

static enum err begin_unit(struct job *j, const struct frames_item *item, struct unit *u)
{
    struct frame_info info;
    uint32_t rows;
    int64_t time_min, time_max;
    TRY(frame_peek(item->frame, &info, &rows, &time_min, &time_max));
    *u = (struct unit){
        .id = {u->id.producer, u->id.epoch, item->sequence, (uint64_t)info.arrival_ns}};
    const struct ingest_ground *ground = &j->g->o.ground;
    enum claim claim = ground->claim_sequence(ground->ctx, &u->id);
    if (claim == CLAIM_OTHER) {
        log_warn("two agents send as one: is an agent's folder a copy of another's?",
                 "agent=%016" PRIx64 " sequence=%" PRIu64, u->id.producer, u->id.sequence);
        j->result.key_reused = true;
        u->key = hash128(str_of((const char *)&u->id, sizeof(u->id)));
        u->first = hash128(item->frame);
        if (!j->keyed) {
            j->key = u->key;
            uint64_t records = 0;
            claim = ground->claim_key(ground->ctx, u->key, u->first, &records);
            j->keyed = claim == CLAIM_NEW;
            j->payload = u->first;
        } else {
            claim = CLAIM_PENDING;
        }
    } else if (claim == CLAIM_NEW) {
        ARRAY_GROW(j->sequence, j->sequences_cap, j->n_sequences + 1);
        j->sequence[j->n_sequences++] = u->id;
    }
    u->skip = claim == CLAIM_SEEN;
    if (claim == CLAIM_PENDING || claim == CLAIM_OTHER)
        return err_set(ERR_CONFLICT, "sequence %" PRIu64 " of this agent is under way",
                       u->id.sequence);
    return OK;
}

static void stamp(struct job *j, const struct unit *u, struct frame_info *info)
{
    bool own = !u->key.lo && !u->key.hi;
    info->part = j->n_frames;
    info->parts = j->n_frames + 1;
    info->first_index = j->rows;
    info->key = u->key;
    info->payload = own ? (struct hash128){u->id.mark, 0} : u->first;
    info->producer = own ? u->id.producer : 0;
    info->epoch = own ? u->id.epoch : 0;
    info->sequence = own ? u->id.sequence : 0;
    if (info->arrival_ns > j->arrival_ns)
        info->arrival_ns = j->arrival_ns;
}

static enum err add_changed(struct job *j, struct frame_info *info, struct rows *rows,
                            const uint32_t *keep, uint32_t n, struct arena *a)
{
    struct rows *some = ARENA_NEW(a, struct rows), out;
    *some = *rows;
    if (n < rows->n)
        TRY(rows_repeat(rows, keep, n, a, some));
    enum err err = job_change(j, some, &out);
    if (err == OK && out.n)
        err = add_some(j, info, &out, NULL, out.n);
    arena_reset(&j->w->arena);
    return err;
}

static enum err take_frame(struct job *j, const struct unit *u, struct str bytes, struct arena *a)
{
    struct frame_info info;
    struct rows rows;
    uint32_t *keep = NULL, n = 0;
    TRY(frame_open(bytes, 0, 0, a, &info, &rows));
    TRY(check_target(j, &info));
    if (u->skip) {
        j->result.duplicates += rows.n;
        return OK;
    }
    TRY(check_rows(j, &rows, a));
    TRY(claim_rows(j, &rows, a, &keep, &n));
    stamp(j, u, &info);
    j->result.accepted += n;
    if (n && job_changes(j) && !str_eq(info.stream, INGEST_DEAD_LETTERS))
        return add_changed(j, &info, &rows, keep, n, a);
    if (n < rows.n)
        return n ? add_some(j, &info, &rows, keep, n) : OK;
    struct blob *frame = blob_copy(bytes, OWNER_QUEUE);
    frame_restamp((char *)frame->bytes.p, &info);
    job_add_blob(j, frame, n);
    return OK;
}

static enum err take_all(struct job *j, struct str bytes)
{
    struct frames_reader r;
    struct frames_head head;
    struct frames_item item;
    bool more;
    struct arena a;
    TRY(frames_open(bytes, &r, &head));
    struct unit u = {.id = {.producer = head.producer, .epoch = head.epoch}};
    arena_init(&a, 0, NULL);
    enum err err;
    while ((err = frames_next(&r, &item, &more)) == OK && more) {
        if (item.sequence != u.id.sequence)
            err = begin_unit(j, &item, &u);
        if (err == OK)
            err = take_frame(j, &u, item.frame, &a);
        arena_reset(&a);
        if (err != OK)
            break;
    }
    arena_release(&a);
    /* What is damaged or of a newer version here is the sender's fault, not the store's. */
    return err == ERR_CORRUPT || err == ERR_UNSUPPORTED ? err_set(ERR_INVALID, "%s", err_text())
                                                        : err;
}

void ingest_frames(struct ingest *g, const struct ingest_body *body)
{
    struct job *j = job_new(g, body);
    struct str bytes = body->bytes;
    enum err err = ingest_admit(g, bytes.n);
    if (err == OK && body->encoding.n)
        err = job_inflate(j, body->encoding, &bytes);
    metric_add(g->bytes, (int64_t)bytes.n);
    if (err == OK)
        err = take_all(j, bytes);
    job_end(j, err);
}
