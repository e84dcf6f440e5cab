#include "aurora/deliver.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { WAIT_MS_FIRST = 200, WAIT_MS_MAX = 10000, PAYLOAD_MAX = 200 << 10 };

void deliver_step(const struct deliver *d, const char *step)
{
    static atomic_llong left = -1;
    const char *plan = getenv("WEIR_AURORA_CRASH");
    if (!plan)
        return;
    const char *colon = strchr(plan, ':');
    size_t n = colon ? (size_t)(colon - plan) : strlen(plan);
    if (strlen(step) != n || strncmp(plan, step, n) != 0)
        return;
    long long expected = -1;
    int64_t steps = 1;
    if (colon && !str_to_i64(str_c(colon + 1), &steps))
        return;
    atomic_compare_exchange_strong(&left, &expected, steps);
    if (atomic_fetch_sub(&left, 1) == 1)
        kill(getpid(), SIGKILL);
}

/* ---- dead letters ---- */

enum err dead_letter_put(struct state *s, const struct dead_letter *d)
{
    char id[64], text[2 * PROGRESS_NAME_MAX + 200];
    struct state_item set = {0};
    int n = snprintf(text, sizeof(text), "%.*s\n%.*s\n%" PRIu64 "\n%" PRId64 "\n%u",
                     STR_ARG(d->instance), STR_ARG(d->file), d->from, d->sequence, d->part);
    struct hash128 h = hash128(str_of(text, (size_t)n < sizeof(text) ? (size_t)n : sizeof(text)));
    snprintf(id, sizeof(id), "%016" PRIx64 "%016" PRIx64, h.hi, h.lo);
    state_set_text(&set, "instance_id", d->instance);
    state_set_text(&set, "log_file_name", d->file);
    state_set_text(&set, "log_type", d->log_type);
    state_set_int(&set, "failed_at", clock_now_ns() / NS_PER_S);
    state_set_text(&set, "error", str_c(d->error));
    state_set_int(&set, "byte_from", (int64_t)d->from);
    state_set_int(&set, "byte_to", (int64_t)d->to);
    state_set_text(&set, "payload", d->payload);
    log_error("dead letter", "message_id=%s instance=%.*s file=%.*s error=%s", id,
              STR_ARG(d->instance), STR_ARG(d->file), d->error);
    metric_add(metric_counter("weir_aurora_dead_letters_total", NULL, "Dead letters written."), 1);
    return state_update(s, STATE_DLQ, (struct state_key){str_c(id), STR("")}, &set, NULL, 0);
}

struct refused_row {
    uint32_t frame, row;
    char reason[200];
};
struct sending {
    struct refused_row *row;
    size_t n, cap;
};

static void on_refused(void *ctx, uint32_t frame, uint32_t row, const char *reason)
{
    struct sending *s = ctx;
    ARRAY_GROW(s->row, s->cap, s->n + 1);
    s->row[s->n] = (struct refused_row){.frame = frame, .row = row};
    snprintf(s->row[s->n++].reason, sizeof(s->row->reason), "%s", reason);
}

/* Dead letters of rows: all of the unit, or those refused. */
struct burying {
    struct deliver *d;
    struct dead_letter letter;
    const struct sending *only; /* NULL: all rows */
    struct buf payload;
};

static enum err bury(struct burying *b)
{
    if (!b->payload.n)
        return OK;
    b->letter.payload = buf_str(&b->payload);
    TRY(dead_letter_put(b->d->state, &b->letter));
    b->letter.part++;
    buf_clear(&b->payload);
    return OK;
}

static enum err on_row(void *ctx, const struct output_row *row)
{
    struct burying *b = ctx;
    if (b->only) {
        const struct refused_row *hit = NULL;
        for (size_t i = 0; i < b->only->n && !hit; i++)
            if (b->only->row[i].frame == row->item && b->only->row[i].row == row->row)
                hit = &b->only->row[i];
        if (!hit)
            return OK;
        b->letter.error = hit->reason;
    }
    struct str json = row->json;
    if (b->payload.n + json.n + 1 > PAYLOAD_MAX)
        TRY(bury(b));
    if (json.n > PAYLOAD_MAX) /* only its place is kept: it can be read again from the file */
        json = STR("{\"message\":\"a record larger than a dead letter\"}");
    buf_put_str(&b->payload, json);
    buf_put_byte(&b->payload, '\n');
    return OK;
}

static enum err bury_rows(struct deliver *d, struct unit *u, const struct strand *l,
                          struct dead_letter letter, const struct sending *only)
{
    struct arena a;
    struct burying b = {.d = d, .letter = letter, .only = only};
    arena_init(&a, 0, NULL);
    buf_init(&b.payload, SIZE_MAX);
    struct output_item *item = ARENA_ARRAY(&a, struct output_item, u->n_frames + 1);
    struct output_bulk bulk = {.item = item, .n = u->n_frames};
    for (uint32_t i = 0; i < u->n_frames; i++)
        item[i] =
            (struct output_item){(uint64_t)l->pending.sequence, buf_str(&u->frame[i].bytes), 0};
    enum err err = output_each_row(&bulk, on_row, &b);
    if (err == OK)
        err = bury(&b);
    buf_release(&b.payload);
    arena_release(&a);
    return err;
}

/* ---- sending ---- */

static enum err wait_to_retry(struct deliver *d, struct strand *l, int64_t wait_ns,
                              int64_t *pause_ms)
{
    int64_t ms = *pause_ms / 2 + (int64_t)(random_u64() % (uint64_t)*pause_ms);
    if (wait_ns / NS_PER_MS > ms)
        ms = wait_ns / NS_PER_MS;
    if (ms > WAIT_MS_MAX)
        ms = WAIT_MS_MAX;
    for (; ms > 0; ms -= 50) {
        if (*d->stopping)
            return err_set(ERR_CANCELED, "stopping");
        clock_sleep_ms(ms < 50 ? ms : 50);
    }
    *pause_ms = *pause_ms * 2 < WAIT_MS_MAX ? *pause_ms * 2 : WAIT_MS_MAX;
    return strand_keep(d->state, l);
}

static enum err send_to(struct deliver *d, struct output *o, struct unit *u, struct strand *l,
                        const struct dead_letter *letter)
{
    int64_t pause_ms = WAIT_MS_FIRST, wait_ns;
    struct sending s = {0};
    struct unit_refusal refusal = {&s, on_refused};
    enum err err;
    for (;;) {
        s.n = 0;
        err = unit_send(u, o, l, &refusal, &wait_ns);
        if (err == OK || err == ERR_INVALID || err == ERR_LIMIT)
            break;
        log_warn("records wait for an output", "file=%.*s error=%s", STR_ARG(letter->file),
                 err_text());
        err = wait_to_retry(d, l, wait_ns, &pause_ms);
        if (err != OK)
            break;
    }
    struct dead_letter full = *letter;
    if (err == ERR_INVALID || err == ERR_LIMIT) {
        char why[256];
        snprintf(why, sizeof(why), "%s: %s", o->type->name, err_text());
        full.error = why;
        err = bury_rows(d, u, l, full, NULL);
    } else if (err == OK && s.n) {
        err = bury_rows(d, u, l, full, &s);
    }
    mem_free(s.row);
    return err;
}

enum err deliver_unit(struct deliver *d, struct unit *u, struct strand *l, struct str instance,
                      struct str file)
{
    struct dead_letter letter = {.instance = instance,
                                 .file = file,
                                 .log_type = mysql_log_type(logfile_kind(file)),
                                 .from = l->pending.from,
                                 .to = l->pending.to,
                                 .sequence = l->pending.sequence};
    for (unsigned i = 0; i < d->n_outputs; i++)
        TRY(send_to(d, d->output[i], u, l, &letter));
    return OK;
}
