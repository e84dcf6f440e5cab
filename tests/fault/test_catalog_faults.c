/* The catalog under faults. A child publishes, replaces and takes segment ids, and reports every
 * answer. The parent opens the catalog again: it holds exactly the operations that were answered
 * OK, in one piece each, and perhaps the one that was under way; none that was answered with an
 * error; and no segment id comes twice. */
#include "catalog/catalog.h"
#include "core/io.h"
#include "core/log.h"
#include "fault/every_step.h"

#include <inttypes.h>

enum { STEPS = 8, SECTIONS = 3 };
enum { SAID_STEP = 1, SAID_ID }; /* step: number, error; id: number */
enum mode { PATIENT, DIE_ON_ERROR };

struct run {
    char dir[300], path[400];
    enum mode mode;
};

static struct catalog_segment make_segment(uint64_t id, struct catalog_section *sections)
{
    for (uint64_t i = 0; i < SECTIONS; i++)
        sections[i] = (struct catalog_section){i + 1, 20000,    -(int64_t)id, (int64_t)i,
                                               id,    id * 100, i * 50,       50};
    return (struct catalog_segment){id, 0, id * 1000, (int64_t)id, id, id, sections, SECTIONS};
}

/* What the catalog holds after step n: publishes of one segment each; every fourth step merges
 * those of the three before it instead. Segment s belongs to step s. */
static bool has_segment(unsigned n, unsigned s)
{
    return s <= n && (s % 4 == 0 || s / 4 == n / 4);
}

static uint64_t checkpoint_after(unsigned n)
{
    return n % 4 == 0 && n ? n - 1 : n;
}

static enum err do_step(struct catalog *c, unsigned n)
{
    struct catalog_section sections[SECTIONS];
    struct catalog_segment segment = make_segment(n, sections);
    if (n % 4 == 0) {
        uint64_t gone[] = {n - 3, n - 2, n - 1};
        return catalog_replace(c, &(struct catalog_replacement){gone, 3, &segment, 1, 0});
    }
    struct catalog_key key = {{n, 1}, {n, 2}, n, n};
    struct catalog_publish p = {.segment = &segment,
                                .consumer = STR("store"),
                                .from = checkpoint_after(n - 1),
                                .to = n,
                                .key = &key,
                                .n_keys = 1,
                                .keys_max = 100};
    return catalog_publish(c, &p);
}

static int child_work(void *arg)
{
    struct run *r = arg;
    struct catalog *c = NULL;
    if (catalog_open_sqlite(r->path, &c) != OK)
        return CHILD_GAVE_UP;
    for (unsigned n = 1; n <= STEPS; n++) {
        uint64_t id;
        if (catalog_new_segment_id(c, &id) == OK)
            child_say(SAID_ID, (uint32_t)id, 0, 0);
        enum err err = do_step(c, n);
        child_say(SAID_STEP, n, err, 0);
        if (err != OK && r->mode == DIE_ON_ERROR)
            raise(SIGKILL);
        if (err == ERR_TIMEOUT)
            return CHILD_GAVE_UP;
        if (err != OK)
            n--; /* it is not there, so it can be done again */
        if (n == STEPS / 2) {
            catalog_close(c);
            if (catalog_open_sqlite(r->path, &c) != OK)
                return CHILD_GAVE_UP;
        }
    }
    catalog_close(c);
    return CHILD_DONE;
}

/* Is what is there the whole of what step n left? */
static bool holds_step(const struct catalog_segment *s, size_t count, uint64_t checkpoint,
                       size_t keys, unsigned n)
{
    size_t want = 0, at = 0;
    for (unsigned i = 1; i <= STEPS; i++) {
        if (!has_segment(n, i))
            continue;
        struct catalog_section sections[SECTIONS];
        struct catalog_segment segment = make_segment(i, sections);
        want++;
        if (at >= count || s[at].id != i || s[at].bytes != segment.bytes ||
            s[at].n_sections != SECTIONS || memcmp(s[at].section, sections, sizeof(sections)) != 0)
            return false;
        at++;
    }
    return want == count && checkpoint == checkpoint_after(n) && keys == n - n / 4;
}

static void judge(struct catalog *c, const struct said_list *said, const char *label)
{
    struct arena a;
    struct catalog_segment *segments;
    struct catalog_key *keys;
    size_t n_segments, n_keys;
    uint64_t checkpoint;
    arena_init(&a, 0, NULL);
    assert_ok(catalog_load_segments(c, &a, &segments, &n_segments));
    assert_ok(catalog_load_keys(c, 0, &a, &keys, &n_keys));
    assert_ok(catalog_checkpoint(c, STR("store"), 0, &checkpoint));
    unsigned done = 0;
    bool refused = false; /* the last word was a refusal, after which nothing was tried */
    uint64_t last_id = 0;
    for (size_t i = 0; i < said->n; i++) {
        const struct said *s = &said->items[i];
        if (s->what == SAID_ID) {
            assert_true(s->id > last_id);
            last_id = s->id;
        } else {
            done = s->a == OK ? s->id : done;
            refused = s->a != OK && s->a != ERR_TIMEOUT && i + 1 == said->n;
        }
    }
    if (!holds_step(segments, n_segments, checkpoint, n_keys, done) &&
        (refused || !holds_step(segments, n_segments, checkpoint, n_keys, done + 1)))
        fail_msg("%s: %u steps were answered; there are %zu segments, checkpoint %" PRIu64
                 ", %zu keys",
                 label, done, n_segments, checkpoint, n_keys);
    uint64_t id;
    assert_ok(catalog_new_segment_id(c, &id));
    assert_true(id > last_id);
    arena_release(&a);
}

static struct said_list run_once(const struct fault_plan *plan, enum mode mode)
{
    struct run r = {.mode = mode};
    char label[100];
    snprintf(label, sizeof(label), "kind=%d@%" PRIu64 ":seed=%" PRIu64 ":lose=%d mode=%d",
             plan->kind, plan->at, plan->seed, plan->lose, mode);
    snprintf(r.dir, sizeof(r.dir), "%s", test_dir_in_memory());
    snprintf(r.path, sizeof(r.path), "%s/catalog.sqlite", r.dir);
    struct said_list said = child_run(plan, child_work, &r);
    struct catalog *c = NULL;
    enum err err = catalog_open_sqlite(r.path, &c);
    if (err != OK)
        fail_msg("%s: %s", label, err_text());
    judge(c, &said, label);
    catalog_close(c);
    test_rmdir(r.dir);
    return said;
}

static uint64_t count_calls(void)
{
    struct said_list said = run_once(&(struct fault_plan){.kind = FAULT_COUNT_ONLY}, PATIENT);
    assert_int_equal(said.code, CHILD_DONE);
    assert_int_equal(said.n, STEPS * 2);
    assert_true(said.calls > 50);
    mem_free(said.items);
    return said.calls;
}

static void crash_everywhere(bool lose, uint64_t seeds)
{
    uint64_t calls = count_calls();
    for (uint64_t at = 1; at <= calls; at++) {
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            struct fault_plan plan = {FAULT_CRASH, at, seed * 1000 + at, .lose = lose};
            struct said_list said = run_once(&plan, PATIENT);
            assert_true(said.killed);
            mem_free(said.items);
        }
    }
}

static void fail_everywhere(enum fault_kind kind)
{
    uint64_t calls = count_calls(), refused = 0, done = 0;
    for (uint64_t at = 1; at <= calls; at++) {
        struct fault_plan plan = {kind, at};
        struct said_list said = run_once(&plan, DIE_ON_ERROR);
        refused += said.killed;
        mem_free(said.items);
        said = run_once(&plan, PATIENT);
        assert_false(said.killed);
        done += said.code == CHILD_DONE;
        mem_free(said.items);
    }
    assert_true(refused > 5 && done > calls / 2);
}

int main(void)
{
    log_set_level(LOG_ERROR + 1);
    child_use_memory();
    const struct CMUnitTest tests[] = {
        EVERY_STEP_TESTS,
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
