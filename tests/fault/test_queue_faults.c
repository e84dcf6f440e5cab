/* The disk queue under faults. A child appends bodies and reports every answer; whatever happened
 * to it, the parent opens the queue again and finds: what was acknowledged, once, at the position
 * that was named; nothing of what was answered with an error; no part of a body; and a queue that
 * works. */
#include "core/hash.h"
#include "core/io.h"
#include "core/log.h"
#include "fault/every_step.h"
#include "queue/queue.h"
#include "queue/wal.h"

#include <inttypes.h>

enum { BODIES = 18, TRIM_AFTER = 9, REOPEN_AFTER = 12, FRAME_BYTES = 9000 };
enum mode { PATIENT, IMPATIENT, DIE_ON_ERROR };
enum { SAID_ANSWER = 1, SAID_TRIM }; /* answer: id, error, position; trim: position */

/* Frame i of body id: both numbers, then bytes that follow from them; sizes differ and cross pages.
 */
struct frame_head {
    uint32_t id, part, parts, bytes;
};

static uint32_t parts_of(uint32_t id)
{
    return 1 + id % 3;
}

static struct blob *make_frame(uint32_t id, uint32_t part)
{
    uint32_t n = (uint32_t)sizeof(struct frame_head) + (id * 1777 + part * 131) % FRAME_BYTES;
    char *p = mem_alloc(n);
    struct frame_head head = {id, part, parts_of(id), n};
    memcpy(p, &head, sizeof(head));
    for (uint32_t i = sizeof(head); i < n; i++)
        p[i] = (char)(hash_mix(id * 64 + part + (uint64_t)i * 7919) | 1);
    return blob_take(p, n, OWNER_INGEST);
}

static void check_frame(const struct blob *b, uint32_t id, uint32_t part)
{
    struct blob *want = make_frame(id, part);
    assert_true(str_eq(b->bytes, want->bytes));
    blob_unref(want);
}

/* ---- the child ---- */

struct run {
    char dir[300];
    uint64_t trimmed; /* child: bodies below this are published */
    uint64_t last_position;
    /* IMPATIENT: appends all at once, and does not wait for answers before closing. DIE_ON_ERROR:
     * the process ends as soon as somebody was told that a body is not there. */
    enum mode mode;
};

static bool child_dies; /* DIE_ON_ERROR */

static void child_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    child_say(SAID_ANSWER, (uint32_t)(uintptr_t)ctx, err, (int64_t)first_position);
    if (err != OK && child_dies)
        raise(SIGKILL);
}

static void child_deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first,
                          void *body_ctx)
{
    struct run *r = ctx;
    if (first <= r->last_position || n != ((const struct frame_head *)frame[0]->bytes.p)->parts)
        _exit(98);
    r->last_position = first + n - 1;
}

static bool child_open(struct run *r, struct queue **ret)
{
    struct queue_options options = {
        .dir = r->dir, .file_bytes = 64 << 10, .sync = true, .direct_min = 8192};
    struct queue_consumer consumer = {.ctx = r, .deliver = child_deliver};
    r->last_position = 0;
    if (queue_open_disk(&options, ret) != OK)
        return false;
    if (queue_start(*ret, r->trimmed, &consumer, NULL) == OK)
        return true;
    queue_close(*ret);
    return false;
}

static void child_append(struct queue *q, uint32_t id)
{
    struct blob *frame[4];
    for (uint32_t i = 0; i < parts_of(id); i++)
        frame[i] = make_frame(id, i);
    struct queue_body body = {frame, parts_of(id), (void *)(uintptr_t)id, child_done};
    if (queue_append(q, &body) != OK)
        _exit(97);
}

static int child_work(void *arg)
{
    struct run *r = arg;
    struct queue *q = NULL;
    child_dies = r->mode == DIE_ON_ERROR;
    if (!child_open(r, &q))
        return CHILD_GAVE_UP;
    for (uint32_t id = 1; id <= BODIES; id++) {
        child_append(q, id);
        if (id % 3 && r->mode != IMPATIENT) /* some bodies share a group commit */
            queue_drain(q);
        if (id == TRIM_AFTER && r->mode != IMPATIENT) {
            queue_drain(q);
            r->trimmed = r->last_position + 1;
            child_say(SAID_TRIM, 0, (int64_t)r->trimmed, 0);
            if (queue_trim(q, r->trimmed) != OK && fault_hits() == 0)
                _exit(96);
        }
        if (id == REOPEN_AFTER && r->mode != IMPATIENT) {
            queue_close(q);
            if (!child_open(r, &q))
                return CHILD_GAVE_UP;
        }
    }
    queue_close(q);
    return CHILD_DONE;
}

/* ---- the parent ---- */

struct found {
    uint64_t position[BODIES + 2]; /* by id; 0: not there */
    uint64_t last_position;
};

static void parent_deliver(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first,
                           void *body_ctx)
{
    struct found *f = ctx;
    assert_true(frame[0]->bytes.n >= sizeof(struct frame_head));
    struct frame_head head;
    memcpy(&head, frame[0]->bytes.p, sizeof(head));
    assert_true(head.id >= 1 && head.id <= BODIES + 1);
    assert_int_equal(n, parts_of(head.id));
    for (uint32_t i = 0; i < n; i++)
        check_frame(frame[i], head.id, i);
    assert_int_equal(f->position[head.id], 0); /* twice */
    assert_true(first > f->last_position);
    f->position[head.id] = first;
    f->last_position = first + n - 1;
}

static void ok_done(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    if (err != OK)
        fail_msg("after the fault: %s", reason);
}

/* A file that has its name has its header: nothing was ever put away as a whole. */
static enum err check_quarantined(void *ctx, const char *name)
{
    assert_true(str_ends(str_c(name), STR(".bin")) || str_ends(str_c(name), STR(".torn")));
    return OK;
}

static void check_quarantine(const struct run *r, const struct fault_plan *plan, struct queue *q)
{
    char path[400];
    snprintf(path, sizeof(path), "%s/quarantine", r->dir);
    if (io_exists(path))
        assert_ok(io_list(path, check_quarantined, NULL));
    struct queue_stats stats;
    queue_stats(q, &stats);
    /* A power cut may leave holes in what was not synced; nothing else does. */
    if (!plan->lose)
        assert_int_equal(stats.quarantined_entries, 0);
}

/* Opens, replays into *f and appends body BODIES + 1 where that is not there yet. */
static void parent_open(struct run *r, const struct fault_plan *plan, uint64_t from,
                        struct found *f)
{
    struct queue_options options = {
        .dir = r->dir, .file_bytes = 64 << 10, .sync = true, .direct_min = 8192};
    struct queue_consumer consumer = {.ctx = f, .deliver = parent_deliver};
    struct queue *q = NULL;
    *f = (struct found){0};
    assert_ok(queue_open_disk(&options, &q));
    assert_ok(queue_start(q, from, &consumer, NULL));
    check_quarantine(r, plan, q);
    uint32_t id = BODIES + 1;
    if (!f->position[id]) {
        struct blob *frame[4];
        for (uint32_t i = 0; i < parts_of(id); i++)
            frame[i] = make_frame(id, i);
        assert_ok(queue_append(q, &(struct queue_body){frame, parts_of(id), NULL, ok_done}));
    }
    queue_close(q);
    assert_true(f->position[id] > 0);
}

static void judge(const struct said_list *said, const struct found *f, uint64_t from,
                  const char *label)
{
    for (size_t i = 0; i < said->n; i++) {
        const struct said *s = &said->items[i];
        if (s->what != SAID_ANSWER)
            continue;
        uint64_t at = f->position[s->id];
        if (s->a == OK && (uint64_t)s->b >= from && at != (uint64_t)s->b)
            fail_msg("%s: body %u was acknowledged at %" PRId64 ", found at %" PRIu64, label, s->id,
                     s->b, at);
        if (s->a != OK && s->a != ERR_TIMEOUT && at != 0)
            fail_msg("%s: body %u was answered with %s, yet found at %" PRIu64, label, s->id,
                     err_name((enum err)s->a), at);
    }
}

static unsigned count_answers(const struct said_list *said, bool ok)
{
    unsigned n = 0;
    for (size_t i = 0; i < said->n; i++)
        n += said->items[i].what == SAID_ANSWER && (said->items[i].a == OK) == ok;
    return n;
}

/* One child under one plan, and the verdict. */
static struct said_list run_once(const struct fault_plan *plan, enum mode mode)
{
    static const char *const kinds[] = {"none", "count", "crash", "enospc",
                                        "eio",  "short", "fsync"};
    struct run r = {.mode = mode};
    char label[100];
    snprintf(label, sizeof(label), "%s@%" PRIu64 ":seed=%" PRIu64 ":lose=%d:sticky=%d",
             kinds[plan->kind], plan->at, plan->seed, plan->lose, plan->sticky);
    snprintf(r.dir, sizeof(r.dir), "%s", test_dir_in_memory());
    struct said_list said = child_run(plan, child_work, &r);
    if (said.code >= 90)
        fail_msg("%s: the child found a mistake: %d", label, said.code);
    uint64_t from = 0;
    for (size_t i = 0; i < said.n; i++)
        from = said.items[i].what == SAID_TRIM ? (uint64_t)said.items[i].a : from;
    struct found first, second;
    parent_open(&r, plan, from, &first);
    judge(&said, &first, from, label);
    parent_open(&r, plan, from, &second);
    assert_memory_equal(&first, &second, sizeof(first));
    test_rmdir(r.dir);
    return said;
}

static uint64_t count_calls(void)
{
    struct said_list said = run_once(&(struct fault_plan){.kind = FAULT_COUNT_ONLY}, PATIENT);
    assert_int_equal(said.code, CHILD_DONE);
    assert_int_equal(count_answers(&said, true), BODIES);
    assert_true(said.calls > 30);
    mem_free(said.items);
    return said.calls;
}

static void crash_everywhere(bool lose, uint64_t seeds)
{
    uint64_t calls = count_calls(), kills = 0;
    for (uint64_t at = 1; at <= calls; at++) {
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            struct fault_plan plan = {FAULT_CRASH, at, seed * 1000 + at, .lose = lose};
            struct said_list said = run_once(&plan, PATIENT);
            kills += said.killed;
            mem_free(said.items);
        }
    }
    assert_true(kills > calls * seeds * 3 / 4); /* groups form a little differently each time */
}

/* A passing fault costs one group at most: everything after it works. */
static void fail_everywhere(enum fault_kind kind)
{
    uint64_t calls = count_calls(), failures = 0, deaths = 0;
    for (uint64_t at = 1; at <= calls; at++) {
        struct fault_plan plan = {kind, at};
        struct said_list said = run_once(&plan, PATIENT);
        assert_false(said.killed);
        unsigned failed = count_answers(&said, false);
        assert_true(failed <= 2);
        failures += failed || said.code == CHILD_GAVE_UP;
        if (said.code == CHILD_DONE)
            assert_int_equal(count_answers(&said, true) + failed, BODIES);
        mem_free(said.items);
        said = run_once(&plan, DIE_ON_ERROR);
        deaths += said.killed;
        mem_free(said.items);
    }
    assert_true(failures > 5 && deaths > 5);
}

/* From some call on nothing works any more: what was acknowledged before is there, and every body
 * gets an answer at the close. */
static void test_disk_dies(void **state)
{
    static const enum fault_kind kinds[] = {FAULT_EIO, FAULT_ENOSPC, FAULT_FSYNC};
    for (size_t k = 0; k < 3; k++) {
        for (uint64_t at = 8; at < 24; at += 5) {
            struct said_list said =
                run_once(&(struct fault_plan){kinds[k], at, .sticky = true}, IMPATIENT);
            if (said.code == CHILD_DONE)
                assert_int_equal(count_answers(&said, true) + count_answers(&said, false), BODIES);
            mem_free(said.items);
        }
    }
}

/* ---- in one process: what the numbers and the answers say ---- */

struct answer {
    enum err err;
    uint64_t position;
    char reason[200];
};

static void keep_answer(void *ctx, enum err err, const char *reason, uint64_t first_position)
{
    struct answer *a = ctx;
    a->err = err;
    a->position = first_position;
    snprintf(a->reason, sizeof(a->reason), "%s", reason ? reason : "");
}

static struct answer append_one(struct queue *q, uint32_t id)
{
    struct answer a = {0};
    struct blob *frame[4];
    for (uint32_t i = 0; i < parts_of(id); i++)
        frame[i] = make_frame(id, i);
    assert_ok(queue_append(q, &(struct queue_body){frame, parts_of(id), &a, keep_answer}));
    queue_drain(q);
    return a;
}

static void test_full_disk_and_back(void **state)
{
    struct run r = {0};
    struct found f = {0};
    snprintf(r.dir, sizeof(r.dir), "%s", test_dir_in_memory());
    struct queue_options options = {
        .dir = r.dir, .file_bytes = 64 << 10, .sync = true, .direct_min = 8192};
    struct queue_consumer consumer = {.ctx = &f, .deliver = parent_deliver};
    struct queue *q = NULL;
    struct queue_stats stats;
    assert_ok(queue_open_disk(&options, &q));
    assert_ok(queue_start(q, 0, &consumer, NULL));
    assert_int_equal(append_one(q, 1).position, 1);
    for (uint32_t id = 2; id <= 8; id++) { /* more than one file's worth of refusals */
        fault_set(
            &(struct fault_plan){.kind = id % 2 ? FAULT_ENOSPC : FAULT_SHORT, 1, .sticky = true});
        struct answer a = append_one(q, id);
        assert_int_equal(a.err, ERR_FULL);
        assert_non_null(strstr(a.reason, "No space left"));
    }
    fault_set(NULL);
    assert_int_equal(append_one(q, 9).position, 3);
    queue_stats(q, &stats);
    assert_false(stats.poisoned);
    assert_int_equal(stats.files, 1);
    fault_set(&(struct fault_plan){FAULT_FSYNC, 1});
    assert_int_equal(append_one(q, 10).err, ERR_IO);
    fault_set(NULL);
    queue_stats(q, &stats);
    assert_true(stats.poisoned);
    assert_int_equal(stats.files, 2);
    assert_int_equal(append_one(q, 11).position, 4); /* its positions are given out again */
    queue_close(q);
    memset(&f, 0, sizeof(f));
    assert_ok(queue_open_disk(&options, &q));
    assert_ok(queue_start(q, 0, &consumer, NULL));
    queue_stats(q, &stats);
    assert_int_equal(stats.quarantined_entries, 0);
    assert_int_equal(stats.torn_bytes, 0);
    assert_true(f.position[1] == 1 && f.position[9] == 3 && f.position[11] == 4);
    assert_int_equal(stats.replayed_frames, 2 + 1 + 3);
    queue_close(q);
    test_rmdir(r.dir);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1);
    child_use_memory();
    const struct CMUnitTest tests[] = {
        EVERY_STEP_TESTS,
        cmocka_unit_test(test_disk_dies),
        cmocka_unit_test(test_full_disk_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
