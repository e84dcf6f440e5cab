/* kafka://HOST:PORT[,HOST:PORT...]/TOPIC[,TOPIC...]?group=G: a member of a consumer group. A topic
 * that begins with ^ is a regular expression. Parameters beside those of net/kafka.h and of every
 * input: group ("weir"), format (auto, json, text, msgpack, frames), offset (where a new group
 * begins: earliest, latest), instance (a name that stays over restarts: static membership), session
 * (after how long a silent member's partitions go to others: 10s), fields (true: records get
 * kafka.topic, kafka.partition, kafka.offset, kafka.key).
 *
 * ONCE. One thread works in rounds: it gathers messages, a *batch* for each partition; writes down
 * where each batch ends; hands the batches to the sink; and when all are durable, the next round
 * begins behind them. "Writes down" is a commit of the group: the offset at which the batch begins,
 * and as its metadata where it ends. After a crash, whoever has the partition next begins at the
 * committed offset and cuts the same batch again, byte for byte, whose key (group, topic,
 * partition, offset) the sink knows if it had landed. So nothing is committed before it is
 * durable, and what was durable and not committed lands once: as long as it comes to the same sink
 * within the time for which that remembers keys. A batch that never completes (its last messages
 * were compacted or expired meanwhile) is cut short when the partition ends behind them; where it
 * ends before them (it was made anew, or a new leader does not know yet how far it had been read),
 * after BOUNDARY_WAIT_NS. Brokers that are slow or away cut nothing.
 *
 * Frames (format=frames) are what Weir's kafka output writes; each has its place in its producer's
 * sequence, and lands once by that.
 *
 * LINES (multiline=KIND): what comes is kept as lines (kafka_lines.h) until nothing more has come
 * for multiline_wait and the partition has no more, or LINES_BYTES are there. Then the lines that
 * are before the records that may still go on become a batch, of a record each; the others stay,
 * and what is committed is where they begin. The same lines give the same batch, so that all of the
 * above holds.
 *
 * REBALANCES happen inside polls of this thread alone, and so never while a batch is with the sink.
 * A batch whose partition goes is dropped; nothing of it was committed. While a batch waits for a
 * sink that has no room, everything is paused and polls go on, so that the member stays one.
 *
 * BOUNDS: librdkafka's queue (QUEUED_KIB) and a round (ROUND_BYTES, and one message), charged to
 * OWNER_INGEST while the input runs. */
#include "wire/kafka.h"
#include "core/clock.h"
#include "core/governor.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/thread.h"
#include "input/inputs.h"
#include "input/kafka_lines.h"
#include "input/parcel.h"
#include "net/kafka_member.h"
#include "pipeline/input.h"
#include "record/frame.h"
#include "wire/frames.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

enum {
    QUEUED_KIB = 16 << 10,
    ROUND_BYTES = 12 << 20,
    BATCH_BYTES = 4 << 20,
    LINES_BYTES = 1 << 20,
    POLL_MS = 100,
    LINGER_MS = 5,
    MESSAGES_A_LOOK = 64, /* at the clock */
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 5000,
    COMMITTED_MS = 10000,
    SESSION_MS = 10000,
};
#define ROUND_NS (50 * NS_PER_MS)
#define BOUNDARY_WAIT_NS (5 * NS_PER_S)
#define DEFAULT_GROUP "weir"

struct batch_of {
    char *topic;
    int32_t partition;
    int64_t first, next;      /* offsets; first == next: empty */
    int64_t boundary;         /* it must end here: 0: anywhere */
    int64_t end;              /* of the partition, when it was read to there; -1: not yet */
    int64_t since_ns;         /* its first message came */
    int64_t grew_ns;          /* the last of `lines` came */
    struct kafka_lines lines; /* that are in no batch yet */
    int64_t committed;        /* as the group has it; -1: not known */
    bool sealed;
    bool ours;   /* the partition is assigned to us */
    bool begins; /* the group had no offset of it */
    struct buf body;
    struct frames_head unit; /* of a body of frames, */
    uint64_t sequence;       /* and its last frame's */
    /* The sink's answer. */
    struct kafka_input *in;
    bool out;
    enum err err;
    char text[200];
};

struct kafka_input {
    struct input base;
    struct arena arena;
    struct sink sink;
    struct input_target target;
    struct kafka_conf conf;
    enum kafka_value value;
    bool place, frames, latest;
    struct multiline *multiline; /* NULL: a message is a record, or several */
    int64_t wait_ns;
    char *group, *name;
    size_t body_max;
    struct kafka_member member;
    rd_kafka_message_t *held; /* the first of the next round */
    struct batch_of **batch;
    size_t n_batches, batches_cap;
    size_t woken;          /* which had its turn last */
    struct batch_of *last; /* that of the last message of this topic; NULL: since a rebalance */
    const rd_kafka_topic_t *last_topic;
    size_t round_bytes;
    pthread_t thread;
    bool started;
    atomic_bool stop;
    atomic_llong stop_by_ns;
    atomic_ullong accepted, refused, duplicates, bytes, waiting, errors, lag, assigned;
    pthread_mutex_t lock; /* of last_error, and of the answers of batches */
    pthread_cond_t answered;
    char last_error[256];
};

static void note_error(struct kafka_input *in, const char *text)
{
    in->errors++;
    pthread_mutex_lock(&in->lock);
    snprintf(in->last_error, sizeof(in->last_error), "%s", text);
    pthread_mutex_unlock(&in->lock);
    log_warn("the input met an error", "input=%s error=%s", in->name, text);
}

/* Whether the thread is to end now; with work under way it may take until stop_by. */
static bool out_of_time(const struct kafka_input *in)
{
    return in->stop && clock_mono_ns() >= in->stop_by_ns;
}

/* ---- partitions ---- */

static struct batch_of *find_batch(struct kafka_input *in, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < in->n_batches; i++)
        if (in->batch[i]->partition == partition && !strcmp(in->batch[i]->topic, topic))
            return in->batch[i];
    struct batch_of *b = NEW(struct batch_of);
    b->in = in;
    b->topic = mem_strdup(str_c(topic));
    b->partition = partition;
    b->committed = -1;
    buf_init(&b->body, SIZE_MAX);
    kafka_lines_init(&b->lines);
    ARRAY_GROW(in->batch, in->batches_cap, in->n_batches + 1);
    return in->batch[in->n_batches++] = b;
}

static struct batch_of *batch_for(struct kafka_input *in, const rd_kafka_message_t *m)
{
    if (!in->last || in->last_topic != m->rkt || in->last->partition != m->partition) {
        in->last = find_batch(in, rd_kafka_topic_name(m->rkt), m->partition);
        in->last_topic = m->rkt;
    }
    return in->last;
}

static void empty_batch(struct batch_of *b)
{
    b->in->round_bytes -= b->body.n;
    buf_clear(&b->body);
    b->first = b->next;
    b->sealed = false;
}

static void drop_lines(struct batch_of *b)
{
    b->in->round_bytes -= kafka_lines_bytes(&b->lines);
    kafka_lines_clear(&b->lines);
}

static void drop_held(struct kafka_input *in)
{
    if (in->held)
        rd_kafka_message_destroy(in->held);
    in->held = NULL;
}

static void on_ending(void *ctx)
{
    struct kafka_input *in = ctx;
    drop_held(in);
    in->last = NULL;
}

static bool is_held(const struct kafka_input *in, const struct batch_of *b)
{
    return in->held && in->held->partition == b->partition &&
           !strcmp(rd_kafka_topic_name(in->held->rkt), b->topic);
}

static int64_t boundary_of(const rd_kafka_topic_partition_t *p)
{
    char text[24];
    int64_t end;
    if (!p->metadata || p->metadata_size >= sizeof(text))
        return 0;
    snprintf(text, sizeof(text), "%.*s", (int)p->metadata_size, (const char *)p->metadata);
    return str_to_i64(str_c(text), &end) && end > p->offset ? end : 0;
}

static rd_kafka_resp_err_t ask_committed(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = rd_kafka_committed(rk, list, COMMITTED_MS);
    for (int i = 0; i < list->cnt && code == 0; i++)
        code = list->elems[i].err;
    return code;
}

/* A group that has read nothing yet begins at the end, where that is now. It is written down, as
 * what comes while no member is there would be passed over else. */
static void begin_at_end(struct kafka_input *in, rd_kafka_topic_partition_t *p, struct batch_of *b)
{
    int64_t low, high;
    if (rd_kafka_query_watermark_offsets(in->member.rk, p->topic, p->partition, &low, &high,
                                         COMMITTED_MS))
        return; /* where the broker says, then */
    p->offset = b->first = b->next = high;
    b->begins = true;
}

/* Where their batches began and end that may have landed. It is asked until it is known: without
 * it records could land twice. */
static void read_committed(struct kafka_input *in, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code;
    while ((code = ask_committed(in->member.rk, list)) != 0 && !in->stop)
        note_error(in, rd_kafka_err2str(code));
    for (int i = 0; i < list->cnt; i++) {
        rd_kafka_topic_partition_t *p = &list->elems[i];
        struct batch_of *b = find_batch(in, p->topic, p->partition);
        b->ours = true;
        b->committed = code == 0 && p->offset >= 0 ? p->offset : -1;
        b->boundary = code == 0 && p->offset >= 0 ? boundary_of(p) : 0;
        b->first = b->next = 0;
        b->end = -1;
        b->begins = false;
        if (code == 0 && p->offset < 0 && in->latest)
            begin_at_end(in, p, b);
        in->assigned++;
    }
}

static void give_up(struct kafka_input *in, const rd_kafka_topic_partition_list_t *list)
{
    for (int i = 0; i < list->cnt; i++) {
        struct batch_of *b = find_batch(in, list->elems[i].topic, list->elems[i].partition);
        if (!b->ours)
            continue;
        empty_batch(b);
        drop_lines(b);
        if (is_held(in, b))
            drop_held(in);
        b->ours = false;
        in->assigned--;
    }
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_input *in = opaque;
    in->last = NULL;
    bool cooperative = !strcmp(rd_kafka_rebalance_protocol(rk), "COOPERATIVE");
    rd_kafka_error_t *error = NULL;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        read_committed(in, list);
        if (cooperative)
            error = rd_kafka_incremental_assign(rk, list);
        else
            (void)rd_kafka_assign(rk, list);
    } else {
        give_up(in, list);
        if (cooperative)
            error = rd_kafka_incremental_unassign(rk, list);
        else
            (void)rd_kafka_assign(rk, NULL);
    }
    bool got = code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
    log_info("partitions of an input", "input=%s got=%d gave=%d", in->name, got ? list->cnt : 0,
             got ? 0 : list->cnt);
    if (error) {
        note_error(in, rd_kafka_error_string(error));
        rd_kafka_error_destroy(error);
    }
}

static void on_error(rd_kafka_t *rk, int code, const char *reason, void *opaque)
{
    note_error(opaque, reason);
}

/* ---- gathering ---- */

static void begin_body(struct batch_of *b)
{
    struct kafka_head head = {b->in->value, b->in->place, str_c(b->topic), b->partition};
    if (b->unit.producer)
        frames_begin(&b->body, &b->unit);
    else
        kafka_body_begin(&b->body, &head);
}

static bool frame_place(const struct batch_of *b, const rd_kafka_message_t *m,
                        struct kafka_unit *ret)
{
    struct frame_info info;
    uint32_t rows;
    int64_t min, max;
    if (frame_peek(str_of(m->payload, m->len), &info, &rows, &min, &max) != OK)
        return false;
    kafka_unit_of(&info, str_c(b->topic), m->partition, m->offset, ret);
    return true;
}

static struct kafka_message message_of(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t time_ms = rd_kafka_message_timestamp(m, &type);
    return (struct kafka_message){
        .offset = m->offset,
        .time_ms = type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? -1 : time_ms,
        .key = str_of(m->key, m->key_len),
        .value = str_of(m->payload, m->len),
    };
}

/* False: it must be of the next batch. A message that should be a frame and is none becomes a body
 * of its own, which the decoder refuses. */
static bool add_message(struct batch_of *b, const rd_kafka_message_t *m)
{
    char why[300] = "";
    struct kafka_unit unit = {0};
    bool frame = b->in->frames && m->len && frame_place(b, m, &unit);
    if (b->in->frames && !frame)
        snprintf(why, sizeof(why), "this is no frame of Weir's: %s", m->len ? err_text() : "empty");
    if (b->sealed || (b->boundary && m->offset >= b->boundary))
        return false;
    if (b->first != b->next && b->in->frames &&
        (!frame || unit.producer != b->unit.producer || unit.epoch != b->unit.epoch ||
         unit.sequence <= b->sequence))
        return false; /* numbers that do not ascend: what is sent again */
    if (b->first == b->next) {
        b->first = m->offset;
        b->since_ns = clock_mono_ns();
        b->unit = (struct frames_head){unit.producer, unit.epoch};
        begin_body(b);
    }
    struct kafka_message message = message_of(m);
    if (why[0])
        message.key = str_c(why);
    b->sequence = unit.sequence;
    if (frame)
        frames_add(&b->body, unit.sequence, message.value);
    else
        kafka_body_add(&b->body, &message);
    b->next = m->offset + 1;
    b->sealed = b->next == b->boundary || (b->in->frames && !frame) ||
                (!b->boundary && b->body.n >= BATCH_BYTES);
    return true;
}

static void add_line(struct batch_of *b, const rd_kafka_message_t *m)
{
    struct kafka_message message = message_of(m);
    size_t before = kafka_lines_bytes(&b->lines);
    b->grew_ns = clock_mono_ns();
    if (!b->lines.n)
        b->since_ns = b->grew_ns;
    kafka_lines_add(&b->lines, &message);
    b->in->round_bytes += kafka_lines_bytes(&b->lines) - before;
    b->in->bytes += m->len;
}

/* What is no message: the end of a partition, or an error. */
static void note_event(struct kafka_input *in, const rd_kafka_message_t *m)
{
    if (m->err == RD_KAFKA_RESP_ERR__PARTITION_EOF)
        batch_for(in, m)->end = m->offset;
    else
        note_error(in, rd_kafka_message_errstr(m));
}

/* False where the message has to wait for the next round. */
static bool take_message(struct kafka_input *in, rd_kafka_message_t *m)
{
    if (m->err) {
        note_event(in, m);
        rd_kafka_message_destroy(m);
        return true;
    }
    struct batch_of *b = batch_for(in, m);
    size_t before = b->body.n;
    if (!b->ours) { /* of an assignment that is over */
        rd_kafka_message_destroy(m);
        return true;
    }
    if (in->multiline) {
        add_line(b, m);
        rd_kafka_message_destroy(m);
        return true;
    }
    if (!add_message(b, m)) {
        b->sealed = true;
        in->held = m;
        return false;
    }
    in->round_bytes += b->body.n - before;
    in->bytes += m->len;
    rd_kafka_message_destroy(m);
    return !b->sealed;
}

/* Whether no more comes of a noted batch, of which was read what is before `next`. */
static bool is_cut_short(const struct batch_of *b, int64_t next, int64_t now)
{
    return b->end >= b->boundary || (b->end >= next && now - b->since_ns >= BOUNDARY_WAIT_NS);
}

/* Messages of the partition from the offset `next` on, as far as is known. */
static uint64_t messages_from(struct kafka_input *in, const struct batch_of *b, int64_t next)
{
    int64_t low, high;
    if (rd_kafka_get_watermark_offsets(in->member.rk, b->topic, b->partition, &low, &high) != 0)
        return 0;
    return high > next ? (uint64_t)(high - next) : 0;
}

/* How many of the lines are the next batch, 0: none yet. full: no more can be kept. */
static uint32_t lines_due(struct kafka_input *in, struct batch_of *b, int64_t now, bool full)
{
    const struct kafka_lines *l = &b->lines;
    uint32_t n = l->n;
    if (!b->ours || !n || b->first != b->next)
        return 0;
    if (b->boundary) {
        int64_t next = l->line[n - 1].offset + 1;
        if (next < b->boundary && !is_cut_short(b, next, now))
            return 0; /* even if more than ROUND_BYTES are kept then */
        if ((n = kafka_lines_before(l, b->boundary)) > 0)
            return n;
        b->boundary = 0; /* nothing is left of it */
        n = l->n;
    }
    if (now - b->grew_ns >= in->wait_ns && !messages_from(in, b, l->line[n - 1].offset + 1))
        return n;
    if (!full && kafka_lines_bytes(l) < LINES_BYTES &&
        now - b->since_ns < MULTILINE_WAITS * in->wait_ns)
        return 0;
    uint32_t before_open = kafka_lines_whole(l, in->multiline);
    return before_open ? before_open : n;
}

/* Lines that are due become batches; whether there are any. */
static bool form_batches(struct kafka_input *in)
{
    bool any = false, full = in->round_bytes >= ROUND_BYTES;
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < in->n_batches; i++) {
        struct batch_of *b = in->batch[i];
        uint32_t n = lines_due(in, b, now, full);
        any = any || b->first != b->next;
        if (!n)
            continue;
        any = true;
        in->round_bytes -= kafka_lines_bytes(&b->lines);
        begin_body(b);
        b->first = b->lines.line[0].offset;
        b->next = b->lines.line[n - 1].offset + 1;
        kafka_lines_take(&b->lines, in->multiline, n, &b->body);
        b->sealed = true;
        b->since_ns = now;
        in->round_bytes += kafka_lines_bytes(&b->lines) + b->body.n;
    }
    return any;
}

/* Batches that are whole, or may end anywhere. */
static bool any_ready(struct kafka_input *in, int64_t now)
{
    bool any = false;
    for (size_t i = 0; i < in->n_batches; i++) {
        struct batch_of *b = in->batch[i];
        if (b->first != b->next && !b->sealed && b->boundary && is_cut_short(b, b->next, now))
            b->sealed = true;
        any = any || (b->first != b->next && (b->sealed || !b->boundary)) ||
              lines_due(in, b, now, false);
    }
    return any;
}

static uint64_t lag_of(struct kafka_input *in, const struct batch_of *b)
{
    return b->ours && b->next ? messages_from(in, b, b->next) : 0;
}

/* One partition that has more, in turn. */
static void wake_fetch(struct kafka_input *in)
{
    for (size_t i = 0; i < in->n_batches; i++) {
        struct batch_of *b = in->batch[in->woken++ % in->n_batches];
        if (!lag_of(in, b))
            continue;
        kafka_wake_fetch(in->member.rk, b->topic, b->partition);
        return;
    }
}

/* The next message: at once, or after a wait that is short where something is ready to go. */
static rd_kafka_message_t *next_message(struct kafka_input *in)
{
    rd_kafka_message_t *m = in->held ? in->held : rd_kafka_consumer_poll(in->member.rk, 0);
    in->held = NULL;
    if (m || in->stop)
        return m;
    wake_fetch(in);
    bool ready = any_ready(in, clock_mono_ns());
    return rd_kafka_consumer_poll(in->member.rk, ready ? LINGER_MS : POLL_MS);
}

/* One round's messages; false when none is ready to go. */
static bool gather(struct kafka_input *in)
{
    int64_t until = 0;
    rd_kafka_message_t *m;
    for (unsigned n = 1; (m = next_message(in)); n++) {
        if (!take_message(in, m) || in->round_bytes >= ROUND_BYTES)
            return true;
        if (n % MESSAGES_A_LOOK)
            continue;
        int64_t now = clock_mono_ns();
        if (until && now >= until && any_ready(in, now))
            break;
        until = until ? until : now + ROUND_NS;
    }
    return any_ready(in, clock_mono_ns());
}

static bool is_going(const struct batch_of *b)
{
    return b->ours && b->first != b->next && (b->sealed || !b->boundary);
}

/* ---- commits ---- */

/* Polls go on while we wait; no message comes, and what does would be lost. */
static void serve(struct kafka_input *in, int ms)
{
    rd_kafka_topic_partition_list_t *all = NULL;
    if (rd_kafka_assignment(in->member.rk, &all) == 0 && all->cnt)
        (void)rd_kafka_pause_partitions(in->member.rk, all);
    int64_t until = clock_mono_ns() + ms * NS_PER_MS;
    do {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(in->member.rk, ms < POLL_MS ? ms : POLL_MS);
        if (m && !m->err) { /* fetched before the pause: read it again */
            rd_kafka_topic_partition_list_t *back = rd_kafka_topic_partition_list_new(1);
            rd_kafka_topic_partition_list_add(back, rd_kafka_topic_name(m->rkt), m->partition)
                ->offset = m->offset;
            rd_kafka_error_t *error = rd_kafka_seek_partitions(in->member.rk, back, COMMITTED_MS);
            if (error)
                rd_kafka_error_destroy(error);
            rd_kafka_topic_partition_list_destroy(back);
        } else if (m) {
            note_event(in, m);
        }
        if (m)
            rd_kafka_message_destroy(m);
    } while (clock_mono_ns() < until && !out_of_time(in));
    if (all) {
        (void)rd_kafka_resume_partitions(in->member.rk, all);
        rd_kafka_topic_partition_list_destroy(all);
    }
}

static rd_kafka_resp_err_t commit(struct kafka_input *in, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_resp_err_t code = kafka_member_commit(&in->member, list);
    while (code == 0 && !out_of_time(in))
        if (kafka_member_committed(&in->member, POLL_MS, &code))
            return code;
    return code ? code : RD_KAFKA_RESP_ERR__TIMED_OUT;
}

/* begins: the batches that are about to be handed on, with their ends; else what has landed. */
static rd_kafka_topic_partition_list_t *commit_list(struct kafka_input *in, bool begins)
{
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)in->n_batches + 1);
    for (size_t i = 0; i < in->n_batches; i++) {
        struct batch_of *b = in->batch[i];
        char end[24];
        bool read = b->first == b->next && (b->next || b->begins) && b->next != b->committed;
        bool due = begins ? is_going(b) : read;
        if (!b->ours || !due)
            continue;
        rd_kafka_topic_partition_t *p =
            rd_kafka_topic_partition_list_add(list, b->topic, b->partition);
        p->offset = begins ? b->first : b->next;
        if (!begins)
            continue;
        p->metadata_size = (size_t)snprintf(end, sizeof(end), "%" PRId64, b->next);
        p->metadata = rd_kafka_mem_malloc(in->member.rk, p->metadata_size);
        CHECK(p->metadata);
        memcpy(p->metadata, end, p->metadata_size);
    }
    return list;
}

/* Until the ends are written down, or no batch is left whose end must be. */
static bool write_ends(struct kafka_input *in)
{
    for (int ms = RETRY_MIN_MS; !out_of_time(in);
         ms = ms * 2 < RETRY_MAX_MS ? ms * 2 : RETRY_MAX_MS) {
        rd_kafka_topic_partition_list_t *list = commit_list(in, true);
        int n = list->cnt;
        rd_kafka_resp_err_t code = n ? commit(in, list) : 0;
        rd_kafka_topic_partition_list_destroy(list);
        if (code == 0)
            return n > 0;
        note_error(in, rd_kafka_err2str(code));
        if (rd_kafka_fatal_error(in->member.rk, NULL, 0))
            return false;
        serve(in, ms);
    }
    return false;
}

static void commit_landed(struct kafka_input *in)
{
    rd_kafka_topic_partition_list_t *list = commit_list(in, false);
    rd_kafka_resp_err_t code = list->cnt ? commit(in, list) : 0;
    for (int i = 0; code == 0 && i < list->cnt; i++)
        find_batch(in, list->elems[i].topic, list->elems[i].partition)->committed =
            list->elems[i].offset;
    if (code)
        note_error(in, rd_kafka_err2str(code));
    rd_kafka_topic_partition_list_destroy(list);
}

/* ---- handing on ---- */

static void landed(void *ctx, const struct ingest_result *result)
{
    struct batch_of *b = ctx;
    struct kafka_input *in = b->in;
    if (result->err == OK) {
        if (result->duplicate)
            in->duplicates += result->accepted;
        else
            in->accepted += result->accepted;
        in->refused += result->rejected;
        in->duplicates += result->duplicates;
    }
    pthread_mutex_lock(&in->lock);
    b->err = result->err;
    snprintf(b->text, sizeof(b->text), "%s", result->err == OK ? "" : result->text);
    if (result->err == OK && result->n_refusals)
        snprintf(in->last_error, sizeof(in->last_error), "%.*s",
                 STR_ARG(result->refusal[0].reason));
    b->out = false;
    pthread_cond_broadcast(&in->answered);
    pthread_mutex_unlock(&in->lock);
}

static bool is_frames(const struct batch_of *b)
{
    return b->in->frames && b->unit.producer;
}

static void hand_on(struct batch_of *b)
{
    struct kafka_input *in = b->in;
    char key[700];
    bool fast = in->value == KAFKA_JSON && !in->place;
    snprintf(key, sizeof(key), "kafka/%s/%s/%" PRId32 "/%" PRId64, in->group, b->topic,
             b->partition, b->first);
    struct ingest_body body = {
        .org = in->target.org,
        .stream = in->target.stream,
        .bytes = buf_str(&b->body),
        .format = is_frames(b) ? WIRE_FRAMES
                  : fast       ? WIRE_KAFKA_JSON
                               : WIRE_KAFKA,
        .service = in->target.service,
        .host = in->target.host,
        .key = is_frames(b) ? (struct str){0} : str_c(key),
        .ctx = b,
        .done = landed,
    };
    char *padding = buf_reserve(&b->body, JSON_PADDING);
    CHECK(padding);
    memset(padding, 0, JSON_PADDING);
    body.bytes.p = b->body.p;
    b->out = true;
    in->waiting++;
    in->sink.take(in->sink.ctx, &body);
}

static void wait_answers(struct kafka_input *in)
{
    pthread_mutex_lock(&in->lock);
    for (size_t i = 0; i < in->n_batches; i++)
        while (in->batch[i]->out)
            pthread_cond_wait(&in->answered, &in->lock);
    pthread_mutex_unlock(&in->lock);
    in->waiting = 0;
}

/* A body of frames that is refused as a whole: its messages become refused records, one by one. */
static void refuse_frames(struct batch_of *b)
{
    struct kafka_head head = {KAFKA_REFUSED, false, str_c(b->topic), b->partition};
    struct kafka_message m = {.offset = b->first, .time_ms = -1, .key = str_c(b->text)};
    struct buf body;
    buf_init(&body, SIZE_MAX);
    kafka_body_begin(&body, &head);
    m.value = buf_str(&b->body);
    kafka_body_add(&body, &m);
    buf_release(&b->body);
    b->body = body;
    b->unit = (struct frames_head){0};
}

/* What has been answered: the batch is over, or goes again. */
static bool settle(struct batch_of *b)
{
    struct kafka_input *in = b->in;
    if (b->err != OK && ingest_may_retry(b->err)) {
        log_warn("an input waits", "input=%s error=%s", in->name, b->text);
        return false;
    }
    if (b->err != OK && is_frames(b)) {
        note_error(in, b->text);
        refuse_frames(b);
        return false;
    }
    if (b->err != OK)
        note_error(in, b->text);
    b->boundary = 0;
    empty_batch(b);
    return true;
}

static void hand_all_on(struct kafka_input *in)
{
    for (int ms = RETRY_MIN_MS;; ms = ms * 2 < RETRY_MAX_MS ? ms * 2 : RETRY_MAX_MS) {
        bool again = false;
        for (size_t i = 0; i < in->n_batches; i++)
            if (is_going(in->batch[i]))
                hand_on(in->batch[i]);
        wait_answers(in);
        for (size_t i = 0; i < in->n_batches; i++)
            if (is_going(in->batch[i]) && !settle(in->batch[i]))
                again = true;
        if (!again || out_of_time(in))
            return;
        serve(in, ms);
    }
}

/* ---- the thread ---- */

static void measure_lag(struct kafka_input *in)
{
    uint64_t lag = 0;
    for (size_t i = 0; i < in->n_batches; i++)
        lag += lag_of(in, in->batch[i]);
    in->lag = lag;
}

static void *run(void *arg)
{
    struct kafka_input *in = arg;
    while (!in->stop) {
        if (!kafka_member_is_on(&in->member)) {
            clock_sleep_ms(POLL_MS);
            continue;
        }
        bool any = gather(in);
        if (in->multiline)
            any = form_batches(in);
        if (any && write_ends(in))
            hand_all_on(in);
        else if (!any)
            commit_landed(in);
        measure_lag(in);
    }
    in->stop_by_ns = in->stop_by_ns + NS_PER_S; /* for the last commit */
    if (in->member.rk)
        commit_landed(in);
    return NULL;
}

/* ---- life ---- */

static enum err read_topics(struct kafka_input *in)
{
    struct str rest = str_c(in->conf.topic), topic;
    in->member.topics = rd_kafka_topic_partition_list_new(1);
    if (!rest.n)
        return err_set(ERR_INVALID, "a topic is wanted: kafka://HOST:PORT/TOPIC");
    while (rest.n && str_split(&rest, ',', &topic)) {
        if (!topic.n || topic.p[0] != '^')
            TRY(kafka_check_topic(topic));
        char *name = mem_strdup(topic);
        (void)rd_kafka_topic_partition_list_add(in->member.topics, name, RD_KAFKA_PARTITION_UA);
        mem_free(name);
    }
    return OK;
}

static enum err configure(struct kafka_input *in, const struct url *url)
{
    static const char *const yes[] = {"false", "true", NULL}, *const from[] = {"earliest", "latest",
                                                                               NULL};
    static const char *const formats[] = {"auto", "json", "text", "msgpack", "frames", NULL};
    unsigned format = in->multiline ? KAFKA_TEXT : KAFKA_AUTO, offset = 0, place = 0;
    int64_t session = SESSION_MS * NS_PER_MS;
    struct str group = url_get(url, "group"), instance = url_get(url, "instance");
    struct str given = url_get(url, "session");
    struct kafka_conf *c = &in->conf;
    TRY(url_choice(url, "format", formats, &format));
    TRY(url_choice(url, "offset", from, &offset));
    TRY(url_choice(url, "fields", yes, &place));
    if (given.p && (!str_to_duration_ns(given, &session) || session < NS_PER_S))
        return err_set(ERR_INVALID, "session=%.*s: a duration is wanted, such as 10s",
                       STR_ARG(given));
    if (in->multiline && format != KAFKA_TEXT)
        return err_set(ERR_INVALID,
                       "multiline= goes with format=text; lines inside of JSON are put "
                       "together by the transform multiline");
    in->frames = format == 4;
    in->value = in->frames ? KAFKA_REFUSED : (enum kafka_value)format;
    in->place = place;
    in->latest = offset;
    in->group = mem_strdup(group.n ? group : STR(DEFAULT_GROUP));
    TRY(kafka_conf_set(c, "group.id", in->group));
    TRY(kafka_conf_set(c, "enable.auto.commit", "false"));
    TRY(kafka_conf_set(c, "enable.auto.offset.store", "false"));
    TRY(kafka_conf_set(c, "auto.offset.reset", from[offset]));
    TRY(kafka_conf_set(c, "enable.partition.eof", "true"));
    TRY(kafka_conf_set(c, "partition.assignment.strategy", "cooperative-sticky"));
    TRY(kafka_conf_set_int(c, "session.timeout.ms", session / NS_PER_MS));
    TRY(kafka_conf_set_int(c, "heartbeat.interval.ms", session / NS_PER_MS / 4));
    TRY(kafka_conf_set_fetch(c, QUEUED_KIB));
    if (instance.n)
        TRY(kafka_conf_set_instance(c, instance));
    rd_kafka_conf_set_opaque(c->conf, in);
    rd_kafka_conf_set_rebalance_cb(c->conf, on_rebalance);
    rd_kafka_conf_set_error_cb(c->conf, on_error);
    return read_topics(in);
}

static void kafka_close(struct input *base)
{
    struct kafka_input *in = (struct kafka_input *)base;
    for (size_t i = 0; i < in->n_batches; i++) {
        buf_release(&in->batch[i]->body);
        kafka_lines_release(&in->batch[i]->lines);
        mem_free(in->batch[i]->topic);
        mem_free(in->batch[i]);
    }
    if (in->member.topics)
        rd_kafka_topic_partition_list_destroy(in->member.topics);
    mem_free(in->batch);
    multiline_free(in->multiline);
    mem_free(in->group);
    mem_free(in->name);
    kafka_conf_release(&in->conf);
    arena_release(&in->arena);
    pthread_mutex_destroy(&in->lock);
    pthread_cond_destroy(&in->answered);
    mem_free(in);
}

static enum err kafka_open(const struct input_options *o, const struct url *url, struct input **ret)
{
    static const char *const known[] = {PARCEL_PARAMS, "group",   "format", "offset",
                                        "instance",    "session", "fields", NULL};
    struct kafka_input *in = NEW(struct kafka_input);
    in->base.type = &kafka_input_type;
    in->sink = o->sink;
    in->body_max = o->body_max;
    arena_init(&in->arena, 0, NULL);
    pthread_mutex_init(&in->lock, NULL);
    cond_init(&in->answered);
    enum err err = kafka_conf_read(url, known, &in->conf);
    if (err == OK)
        err = input_read_target(url, "kafka", &in->arena, &in->target);
    if (err == OK)
        err = multiline_read(url, &in->multiline, &in->wait_ns);
    if (err == OK)
        err = configure(in, url);
    if (err != OK) {
        kafka_close(&in->base);
        return err;
    }
    in->name = mem_printf("%s/%s", in->conf.brokers, in->conf.topic);
    in->member.conf = &in->conf;
    in->member.name = in->name;
    in->member.ctx = in;
    in->member.ending = on_ending;
    *ret = &in->base;
    return OK;
}

static enum err kafka_start(struct input *base)
{
    struct kafka_input *in = (struct kafka_input *)base;
    TRY(kafka_member_join(&in->member));
    enum err err = thread_start(&in->thread, "kafka", run, in);
    if (err != OK) {
        kafka_member_leave(&in->member);
        return err;
    }
    governor_force(OWNER_INGEST, ((size_t)QUEUED_KIB << 10) + ROUND_BYTES);
    in->started = true;
    return OK;
}

static void kafka_stop(struct input *base, int64_t wait_ms)
{
    struct kafka_input *in = (struct kafka_input *)base;
    if (!in->started)
        return;
    in->stop_by_ns = clock_mono_ns() + wait_ms * NS_PER_MS;
    in->stop = true;
    pthread_join(in->thread, NULL);
    in->started = false;
    kafka_member_leave(&in->member);
    governor_give(OWNER_INGEST, ((size_t)QUEUED_KIB << 10) + ROUND_BYTES);
}

static void kafka_status(struct input *base, struct input_status *ret)
{
    struct kafka_input *in = (struct kafka_input *)base;
    snprintf(ret->address, sizeof(ret->address), "%s", in->name);
    ret->connections = in->assigned;
    ret->accepted = in->accepted;
    ret->refused = in->refused;
    ret->duplicates = in->duplicates;
    ret->bytes = in->bytes;
    ret->waiting = in->waiting;
    ret->errors = in->errors;
    ret->lag = in->lag;
    pthread_mutex_lock(&in->lock);
    memcpy(ret->last_error, in->last_error, sizeof(ret->last_error));
    pthread_mutex_unlock(&in->lock);
}

const struct input_type kafka_input_type = {
    .name = "kafka",
    .schemes = kafka_schemes,
    .open = kafka_open,
    .start = kafka_start,
    .stop = kafka_stop,
    .close = kafka_close,
    .status = kafka_status,
};
