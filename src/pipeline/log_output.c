#include "pipeline/log_output.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "pipeline/self_log.h"
#include "record/frame.h"
#include "wire/decode.h"

enum { TRY_MS_FIRST = 200, TRY_MS_MAX = 10000, END_MS = 2000 };

struct log_output {
    struct output *output;
    struct wire_decoder *decoder;
    struct self_log *lines;
    char *service;
    struct buf frame;
    uint64_t producer, sequence;
    const atomic_bool *stopping;
    int64_t give_up_ns; /* 0: not stopping */
};

static void on_refused(void *ctx, uint32_t item, uint32_t row, const char *reason)
{
    log_warn("a line of the own log was refused", "error=%s", reason);
}

/* False: the time to end is over. */
static bool wait_to_retry(struct log_output *l, int64_t ms)
{
    for (; ms > 0; ms -= 50) {
        if (*l->stopping && !l->give_up_ns)
            l->give_up_ns = clock_mono_ns() + END_MS * NS_PER_MS;
        if (l->give_up_ns && clock_mono_ns() >= l->give_up_ns)
            return false;
        clock_sleep_ms(ms < 50 ? ms : 50);
    }
    return true;
}

static enum err send_frame(struct log_output *l, uint32_t rows)
{
    struct output_item item = {l->sequence, buf_str(&l->frame), rows};
    struct output_bulk bulk = {.producer = l->producer,
                               .epoch = 1,
                               .item = &item,
                               .n = 1,
                               .rows = rows,
                               .bytes = l->frame.n,
                               .refuse = on_refused};
    for (int64_t ms = TRY_MS_FIRST;; ms = ms * 2 < TRY_MS_MAX ? ms * 2 : TRY_MS_MAX) {
        int64_t wait_ns = 0;
        enum err err = output_send(l->output, &bulk, &wait_ns);
        if (err == OK || err == ERR_INVALID || err == ERR_LIMIT)
            return err;
        log_warn("lines of the own log wait for their output", "error=%s", err_text());
        if (!wait_to_retry(l, wait_ns / NS_PER_MS > ms ? wait_ns / NS_PER_MS : ms))
            return err;
    }
}

static enum err on_batch(void *ctx, struct batch *b)
{
    struct log_output *l = ctx;
    struct frame_info info = {.org = STR("default"),
                              .stream = STR("weir_logs"),
                              .arrival_ns = clock_now_ns(),
                              .parts = 1,
                              .lz4 = true};
    buf_clear(&l->frame);
    l->sequence++;
    TRY(frame_encode(b, &info, &l->frame));
    return send_frame(l, batch_rows(b));
}

static void on_bad(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    log_warn("a line of the own log is no record", "error=%s", reason);
}

static bool take(void *ctx, struct str body, const atomic_bool *stopping)
{
    struct log_output *l = ctx;
    struct wire_sink sink = {.ctx = l, .batch = on_batch, .refused = on_bad};
    uint32_t records;
    l->stopping = stopping;
    wire_decoder_defaults(l->decoder, str_c(l->service), STR(""));
    enum err err = wire_decode(l->decoder, WIRE_NDJSON, body, clock_now_ns(), &sink, &records);
    if (err != OK)
        log_warn("lines of the own log were dropped", "error=%s", err_text());
    return err == OK;
}

enum err log_output_open(const struct output_type *const *types, const char *url,
                         const char *service, struct log_output **ret)
{
    static const struct json_limits limits = {.record_bytes = SELF_LOG_BYTES, .nesting = 16};
    struct output *output;
    TRY(output_open(types, str_c(url), &output));
    struct log_output *l = NEW(struct log_output);
    l->output = output;
    l->decoder = wire_decoder_new(&limits);
    l->service = mem_strdup(str_c(service));
    l->producer = random_u64() | 1;
    buf_init(&l->frame, SIZE_MAX);
    l->lines = self_log_new_to(&(struct self_log_sink){l, take});
    enum err err = self_log_run(l->lines);
    if (err != OK) {
        log_output_close(l);
        return err;
    }
    *ret = l;
    return OK;
}

void log_output_close(struct log_output *l)
{
    if (!l)
        return;
    self_log_stop(l->lines);
    output_close(l->output);
    wire_decoder_free(l->decoder);
    buf_release(&l->frame);
    mem_free(l->service);
    mem_free(l);
}
