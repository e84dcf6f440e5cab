/* Several stores on one catalog and one folder: a topic of partitions is read by some of them, as
 * the Kafka queue does it, and partitions change hands at the worst of moments. */
#include "core/fault.h"
#include "postgresql_kit.h"
#include "query/tail.h"
#include "store_kit.h"

enum { PARTITIONS = 3, MESSAGES = 400, MARKS = 4096, ROWS = 5 };

struct topic {
    struct blob *frame[PARTITIONS][MESSAGES];
    uint32_t n[PARTITIONS];
    uint64_t rows; /* numbers given out */
};

struct server {
    struct kit k;
    struct objects *objects;
    struct topic *topic;
    bool ours[PARTITIONS], settling;
    uint64_t next[PARTITIONS], published[PARTITIONS];
    struct {
        uint64_t position, next;
        int partition;
    } mark[MARKS];
    size_t n_marks;
    bool reset_due, ousted;
    unsigned resets;
    /* A tail of all: how often it showed each record, and its cursor. */
    struct query_engine *engine;
    struct query_tail *tail;
    uint8_t times[PARTITIONS * MESSAGES * ROWS];
    char cursor[400];
    /* Called in the middle of a publish: before the catalog's transaction, and after the swap. */
    void (*before)(struct server *s);
    void (*after)(struct server *s);
};

static struct pg_server database;
static char shared[300], catalog_url[400];
static struct topic topic;
static struct server a, b;

/* ---- the queue ---- */

static bool has_marks(const struct server *s, int partition)
{
    for (size_t i = 0; i < s->n_marks; i++)
        if (s->mark[i].partition == partition)
            return true;
    return false;
}

static void checkpoints(void *ctx, uint64_t upto, struct arena *arena,
                        struct catalog_position **ret, size_t *ret_n)
{
    struct server *s = ctx;
    size_t n = 0;
    *ret = ARENA_ARRAY(arena, struct catalog_position, PARTITIONS);
    for (int p = 0; p < PARTITIONS; p++) {
        uint64_t next = 0;
        for (size_t i = 0; i < s->n_marks && s->mark[i].position <= upto; i++)
            if (s->mark[i].partition == p)
                next = s->mark[i].next;
        if (next && next != s->published[p])
            (*ret)[n++] =
                (struct catalog_position){STR("topic"), (uint32_t)p, s->published[p], next};
    }
    *ret_n = n;
    if (s->before)
        s->before(s);
}

static void published(void *ctx, uint64_t position)
{
    struct server *s = ctx;
    size_t n = 0;
    if (s->after)
        s->after(s);
    for (; n < s->n_marks && s->mark[n].position < position; n++)
        s->published[s->mark[n].partition] = s->mark[n].next;
    memmove(s->mark, s->mark + n, (s->n_marks - n) * sizeof(s->mark[0]));
    s->n_marks -= n;
}

static enum err agrees(void *ctx, const struct catalog_state *state)
{
    struct server *s = ctx;
    if (s->settling)
        return ERR_AGAIN;
    for (int p = 0; p < PARTITIONS; p++)
        if ((s->ours[p] || has_marks(s, p)) &&
            catalog_state_at(state, STR("topic"), (uint32_t)p) != s->published[p])
            return ERR_CONFLICT;
    return OK;
}

static void conflict(void *ctx)
{
    ((struct server *)ctx)->reset_due = true;
}

static void ousted(void *ctx)
{
    ((struct server *)ctx)->ousted = true;
}

static uint64_t stands_at(struct server *s, int partition)
{
    uint64_t at;
    assert_ok(catalog_checkpoint(s->k.catalog, STR("topic"), (uint32_t)partition, &at));
    return at;
}

static void forget(void *ctx)
{
    struct server *s = ctx;
    s->n_marks = 0;
    s->settling = true;
}

static void reset(struct server *s)
{
    s->reset_due = false;
    assert_ok(store_reset(s->k.store, forget, s));
    for (int p = 0; p < PARTITIONS; p++)
        s->next[p] = s->published[p] = stands_at(s, p);
    store_moved(s->k.store);
    s->settling = false;
    s->resets++;
}

static void get(struct server *s, int partition)
{
    s->settling = true;
    uint64_t at = stands_at(s, partition);
    if (!has_marks(s, partition))
        s->next[partition] = s->published[partition] = at;
    s->reset_due |= at != s->published[partition];
    s->ours[partition] = true;
    store_moved(s->k.store);
    s->settling = false;
    enum err err = s->reset_due ? OK : store_take_over(s->k.store);
    assert_true(err == OK || err == ERR_CONFLICT);
}

static void leave(struct server *s, int partition)
{
    s->ours[partition] = false;
}

/* Reads what there is of its partitions, at most n messages of each. */
static void read_on(struct server *s, uint32_t n)
{
    if (s->reset_due)
        reset(s);
    for (int p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; s->ours[p] && i < n && s->next[p] < s->topic->n[p]; i++) {
            struct blob *frame = s->topic->frame[p][s->next[p]++];
            assert_true(s->n_marks < MARKS);
            s->mark[s->n_marks].position = s->k.position;
            s->mark[s->n_marks].partition = p;
            s->mark[s->n_marks++].next = s->next[p];
            store_deliver(s->k.store, &frame, 1, s->k.position++);
        }
}

static void produce(int partition, uint32_t messages)
{
    for (uint32_t i = 0; i < messages; i++) {
        struct kit_frame f = {.stream = partition ? STR("app") : STR("web"),
                              .first = topic.rows,
                              .count = ROWS,
                              .producer = 7 + (uint64_t)partition,
                              .epoch = 1,
                              .sequence = topic.n[partition] + 1,
                              .payload = {topic.rows + 1, 0}};
        topic.rows += ROWS;
        assert_true(topic.n[partition] < MESSAGES);
        topic.frame[partition][topic.n[partition]++] = kit_frame(&a.k, &f);
    }
}

/* ---- servers ---- */

static void start(struct server *s, const char *name, bool background)
{
    char path[400];
    if (!s->topic) {
        s->topic = &topic;
        s->k.step_ns = 10 * NS_PER_MS;
        kit_options(&s->k);
        snprintf(s->k.dir, sizeof(s->k.dir), "%.200s/%s", shared, name);
        assert_ok(io_mkdir(s->k.dir));
        s->k.o.node.name = STR("test");
    }
    bool is_new;
    assert_ok(catalog_open(str_c(catalog_url), s->k.dir, &s->k.catalog));
    s->k.o.node.start++;
    assert_ok(catalog_node_join(s->k.catalog, &s->k.o.node, &is_new));
    s->k.o.catalog = s->k.catalog;
    s->k.o.dir = s->k.dir;
    if (!s->objects) {
        snprintf(path, sizeof(path), "file://%.200s/objects", shared);
        assert_ok(objects_open(str_c(path), s->k.dir, &s->objects));
    }
    s->k.o.objects = s->objects;
    s->k.o.checkpoints = checkpoints;
    s->k.o.published = published;
    s->k.o.agrees = agrees;
    s->k.o.conflict = conflict;
    s->k.o.ousted = ousted;
    s->k.o.background = background;
    s->k.o.ctx = s;
    assert_ok(store_open(&s->k.o, &s->k.store));
    s->k.position = store_checkpoint(s->k.store);
    store_replayed(s->k.store);
    memset(s->ours, 0, sizeof(s->ours));
    memset(s->next, 0, sizeof(s->next));
    memset(s->published, 0, sizeof(s->published));
    s->n_marks = 0;
    s->reset_due = s->settling = false;
}

/* As a kill does: what is in memory is gone. */
static void restart(struct server *s)
{
    kit_close(&s->k);
    start(s, "", false);
}

/* ---- a live tail ---- */

static enum err count_lines(void *ctx, struct str lines)
{
    struct server *s = ctx;
    struct str line;
    while (lines.n && str_split(&lines, '\n', &line)) {
        unsigned long long n;
        char text[40];
        snprintf(text, sizeof(text), "%.*s", line.n < 39 ? (int)line.n : 39, line.p);
        assert_int_equal(sscanf(text, "{\"n\":%llu", &n), 1);
        assert_true(n < topic.rows);
        s->times[n]++;
    }
    return OK;
}

static void tail_end(struct server *s)
{
    query_tail_free(s->tail);
    query_engine_free(s->engine);
    s->tail = NULL;
    s->engine = NULL;
}

/* after NULL: from now on. */
static void tail_begin(struct server *s, const char *after)
{
    struct query_engine_options o = {.store = s->k.store, .threads = 2, .query_memory = 512 << 10};
    struct query_request r = {
        .org = STR("default"), .q = STR("*"), .from = INT64_MIN, .to = INT64_MAX};
    struct query_sink sink = {s, count_lines};
    struct str cursor = str_c(after ? after : "");
    tail_end(s);
    assert_ok(query_engine_new(&o, &s->engine));
    assert_ok(query_tail_open(s->engine, &r, after ? &cursor : NULL, &s->tail));
    assert_ok(query_tail_begin(s->tail, &sink));
}

/* What there is; a round may take a part of it. */
static void tail_on(struct server *s)
{
    struct query_sink sink = {s, count_lines};
    struct buf text;
    uint64_t n = 1;
    while (n)
        assert_ok(query_tail_next(s->tail, 0, &sink, &n));
    buf_init(&text, sizeof(s->cursor) - 1);
    query_tail_put_cursor(s->tail, &text);
    snprintf(s->cursor, sizeof(s->cursor), "%.*s", STR_ARG(buf_str(&text)));
    buf_release(&text);
}

/* Every record from `from` on was shown: once, or `most` times. */
static void assert_tailed(struct server *s, uint64_t from, uint8_t most)
{
    tail_on(s);
    for (uint64_t n = 0; n < topic.rows; n++)
        if (s->times[n] < (n >= from) || s->times[n] > (n >= from ? most : 0))
            fail_msg("record %llu of %llu was shown %d times by the tail of %s",
                     (unsigned long long)n, (unsigned long long)topic.rows, s->times[n],
                     s == &a ? "a" : "b");
}

static int begin(void)
{
    log_set_level(LOG_ERROR);
    clock_set_ns(KIT_T0);
    topic = (struct topic){0};
    a = (struct server){0};
    b = (struct server){0};
    start(&a, "a", false);
    start(&b, "b", false);
    return 0;
}

static int setup(void **state)
{
    snprintf(shared, sizeof(shared), "%s", test_dir_in_memory());
    snprintf(catalog_url, sizeof(catalog_url), "sqlite:%s/catalog.db?shared=true", shared);
    return begin();
}

static int setup_postgresql(void **state)
{
    snprintf(shared, sizeof(shared), "%s", test_dir_in_memory());
    pg_url(&database, catalog_url, sizeof(catalog_url));
    return begin();
}

static int teardown(void **state)
{
    fault_set(NULL);
    tail_end(&a);
    tail_end(&b);
    kit_close(&a.k);
    kit_close(&b.k);
    objects_close(a.objects);
    objects_close(b.objects);
    for (int p = 0; p < PARTITIONS; p++)
        for (uint32_t i = 0; i < topic.n[p]; i++)
            blob_unref(topic.frame[p][i]);
    clock_set_ns(0);
    test_rmdir(shared);
    return 0;
}

/* Rows that a server shows; none is shown twice. */
static uint64_t shown(struct server *s)
{
    struct kit_found f;
    struct snapshot *snap = kit_snapshot(&s->k);
    assert_ok(kit_read_snapshot(&s->k, snap, topic.rows, &f));
    snapshot_close(snap);
    for (uint64_t n = 0; n < topic.rows; n++)
        if (f.times[n] > 1)
            fail_msg("record %llu is shown %d times by %s", (unsigned long long)n, f.times[n],
                     s == &a ? "a" : "b");
    assert_int_equal(f.stats.unreadable, 0);
    uint64_t total = f.total;
    kit_found_release(&f);
    return total;
}

static void settle(struct server *s)
{
    enum err err = store_follow(s->k.store);
    if (err == ERR_CONFLICT || s->reset_due)
        reset(s);
    else
        assert_ok(err);
}

/* Everything that was sent is read, stored, and shown by both. */
static void finish(struct server *reader)
{
    for (int p = 0; p < PARTITIONS; p++)
        if (!reader->ours[p])
            get(reader, p);
    for (int tries = 0; tries < 4; tries++) {
        read_on(reader, MESSAGES);
        if (store_flush(reader->k.store) == OK)
            break;
    }
    settle(&a);
    settle(&b);
    assert_int_equal(shown(&a), topic.rows);
    assert_int_equal(shown(&b), topic.rows);
}

/* ---- the tests ---- */

static void test_what_one_publishes_the_other_shows(void **state)
{
    produce(0, 10);
    produce(1, 10);
    get(&a, 0);
    get(&b, 1);
    read_on(&a, 100);
    read_on(&b, 100);
    assert_int_equal(shown(&a), 50);
    assert_int_equal(shown(&b), 50);
    assert_ok(store_flush(a.k.store));
    assert_ok(store_follow(b.k.store));
    assert_int_equal(shown(&b), 100);
    assert_int_equal(shown(&a), 50);
    assert_ok(store_flush(b.k.store));
    assert_ok(store_follow(a.k.store));
    assert_int_equal(shown(&a), 100);
    /* Positions begin at the server's number. */
    assert_int_equal(store_checkpoint(a.k.store) >> STORE_NODE_SHIFT, a.k.o.node.number);
    assert_int_equal(store_checkpoint(b.k.store) >> STORE_NODE_SHIFT, b.k.o.node.number);
    restart(&a);
    assert_int_equal(shown(&a), 100);
    finish(&a);
    assert_int_equal(a.resets + b.resets, 0);
}

/* A partition goes over in peace, then back. */
static void test_handed_over(void **state)
{
    for (int turn = 0; turn < 4; turn++) {
        struct server *from = turn % 2 ? &b : &a, *to = turn % 2 ? &a : &b;
        produce(0, 5);
        if (!turn)
            get(from, 0);
        read_on(from, 100);
        assert_ok(store_flush(from->k.store));
        leave(from, 0);
        produce(0, 5);
        get(to, 0);
        read_on(to, 100);
        assert_int_equal(shown(to), topic.rows);
    }
    finish(&a);
    assert_int_equal(a.resets + b.resets, 0);
}

/* One was cut off: both have the same rows in memory. Whoever publishes first, the other reads
 * again. */
static void test_cut_off(void **state)
{
    for (int first = 0; first < 2; first++) {
        struct server *winner = first ? &a : &b, *loser = first ? &b : &a;
        produce(0, 10);
        produce(1, 10);
        get(&a, 0);
        get(&a, 1);
        read_on(&a, 100);
        leave(&a, 0); /* and does not know it */
        get(&b, 0);
        read_on(&b, 7);
        uint64_t before = shown(loser);
        assert_ok(store_flush(winner->k.store));
        /* Shows nothing twice, whatever it does, until it has read again. */
        assert_int_equal(store_follow(loser->k.store), ERR_CONFLICT);
        assert_int_equal(shown(loser), before);
        assert_err(store_flush(loser->k.store), ERR_CONFLICT, "topic");
        assert_int_not_equal(store_follow(loser->k.store), OK);
        assert_true(loser->reset_due);
        reset(loser);
        read_on(loser, 100);
        assert_ok(store_flush(loser->k.store));
        settle(winner);
        leave(&a, 1);
        leave(&a, 0);
        leave(&b, 0);
        finish(first ? &a : &b);
        for (int p = 0; p < PARTITIONS; p++) {
            leave(&a, p);
            leave(&b, p);
        }
    }
}

/* The repetition of an agent lands once, whoever reads it. */
static void test_what_has_landed_elsewhere_is_known(void **state)
{
    produce(0, 10);
    get(&a, 0);
    read_on(&a, 100);
    struct store_sequence n = {7, 1, 3, 11};
    assert_ok(store_flush(a.k.store));
    assert_int_equal(store_claim_sequence(b.k.store, &n), CLAIM_NEW);
    store_settle_sequence(b.k.store, &n);
    leave(&a, 0);
    get(&b, 0);
    assert_int_equal(store_claim_sequence(b.k.store, &n), CLAIM_SEEN);
    /* What was not published is forgotten by a reset. */
    produce(0, 1);
    read_on(&b, 100);
    n = (struct store_sequence){7, 1, 11, 51};
    assert_int_equal(store_claim_sequence(b.k.store, &n), CLAIM_SEEN);
    reset(&b);
    assert_int_equal(shown(&b), 50);
    assert_int_equal(store_claim_sequence(b.k.store, &n), CLAIM_NEW);
    store_settle_sequence(b.k.store, &n);
    finish(&b);
}

/* In the middle of a publish nothing is taken over, on either side of the catalog's transaction. */
static enum err in_the_middle;
static void follow_now(struct server *s)
{
    uint64_t before = shown(s);
    in_the_middle = store_follow(s->k.store);
    assert_true(shown(s) == before || in_the_middle == OK);
}

static void test_following_in_the_middle_of_a_publish(void **state)
{
    get(&a, 0);
    get(&b, 1);
    for (int side = 0; side < 2; side++) { /* not begun, or not over: */
        produce(0, 10);
        produce(1, 10);
        read_on(&a, 100);
        read_on(&b, 100);
        assert_ok(store_flush(b.k.store));
        (*(side ? &a.after : &a.before)) = follow_now;
        assert_ok(store_flush(a.k.store));
        a.after = a.before = NULL;
        assert_int_equal(in_the_middle, side ? ERR_AGAIN : OK);
        settle(&a);
        assert_int_equal(shown(&a), topic.rows);
    }
    finish(&a);
    assert_int_equal(a.resets, 0);
}

/* The other publishes while this one's cut is on its way to the catalog. */
static void b_takes_all(struct server *s)
{
    get(&b, 0);
    read_on(&b, 100);
    assert_ok(store_flush(b.k.store));
}

static void test_overtaken_in_the_middle_of_a_publish(void **state)
{
    produce(0, 10);
    produce(1, 5);
    get(&a, 0);
    get(&a, 1);
    read_on(&a, 100);
    a.before = b_takes_all;
    assert_err(store_flush(a.k.store), ERR_CONFLICT, "topic");
    a.before = NULL;
    assert_true(a.reset_due);
    leave(&a, 0);
    reset(&a);
    assert_int_equal(shown(&a), 50);
    read_on(&a, 100);
    assert_int_equal(shown(&a), 75);
    finish(&b);
}

/* Merges are seen by the other, and files stay for those who have not seen them. */
static size_t files(void)
{
    struct kit_names l = {0};
    char path[400];
    snprintf(path, sizeof(path), "%s/objects/segments", shared);
    assert_ok(io_list(path, kit_add_name, &l));
    size_t n = 0;
    for (size_t i = 0; i < l.n && i < 64; i++)
        n += strstr(l.name[i], ".seg") != NULL;
    return n;
}

static void test_merges(void **state)
{
    get(&a, 0);
    for (int i = 0; i < 8; i++) {
        produce(0, 3);
        read_on(&a, 100);
        assert_ok(store_flush(a.k.store));
    }
    settle(&b);
    struct snapshot *old = kit_snapshot(&b.k);
    assert_ok(store_compact(a.k.store, true));
    assert_int_equal(kit_stats(&a.k).segments, 1);
    assert_int_equal(kit_stats(&b.k).segments, 8);
    assert_int_equal(files(), 9);
    settle(&b);
    assert_int_equal(kit_stats(&b.k).segments, 1);
    struct kit_found f; /* a query that had begun goes on */
    assert_ok(kit_read_snapshot(&b.k, old, topic.rows, &f));
    assert_int_equal(f.total, topic.rows);
    kit_found_release(&f);
    snapshot_close(old);
    /* Two who merge the same at once: one of them finds the segments gone. */
    for (int i = 0; i < 4; i++) {
        produce(0, 3);
        read_on(&a, 100);
        assert_ok(store_flush(a.k.store));
    }
    settle(&b);
    assert_ok(store_compact(b.k.store, true));
    assert_err(store_compact(a.k.store, true), ERR_CONFLICT, "not in the catalog any more");
    settle(&a);
    assert_int_equal(shown(&a), topic.rows);
    uint64_t *id;
    size_t n;
    struct arena arena;
    arena_init(&arena, 0, NULL);
    assert_ok(catalog_load_garbage(a.k.catalog, INT64_MAX, &arena, &id, &n));
    assert_true(n >= 8 + 5);
    arena_release(&arena);
    finish(&a);
}

static void test_lease(void **state)
{
    struct catalog_lease lease, seen, mine;
    struct catalog *c = a.k.catalog;
    assert_ok(catalog_lease_look(c, &seen));
    assert_int_equal(seen.holder, 0);
    assert_ok(catalog_lease_take(c, 1, &seen, &mine));
    assert_err(catalog_lease_take(b.k.catalog, 2, &seen, &lease), ERR_CONFLICT, "compact");
    assert_ok(catalog_lease_renew(c, &mine));
    assert_ok(catalog_lease_look(b.k.catalog, &seen));
    assert_int_equal(seen.holder, 1);
    assert_int_equal(seen.beat, mine.beat);
    assert_ok(catalog_lease_take(b.k.catalog, 2, &seen, &lease));
    assert_err(catalog_lease_renew(c, &mine), ERR_CONFLICT, "compact");
    uint64_t gone = 12345;
    struct catalog_replacement r = {.remove = &gone, .n_remove = 1, .token = mine.token};
    assert_err(catalog_replace(c, &r), ERR_CONFLICT, "lease");
    r.token = lease.token;
    assert_err(catalog_replace(c, &r), ERR_CONFLICT, "12345");
}

static void test_nodes(void **state)
{
    struct catalog_node copy = a.k.o.node, stranger = {.number = 1, .secret = 99, .name = STR("x")};
    bool is_new;
    assert_int_not_equal(a.k.o.node.number, b.k.o.node.number);
    assert_ok(catalog_node_beat(a.k.catalog, &a.k.o.node));
    copy.start += 1000;
    assert_ok(catalog_node_join(b.k.catalog, &copy, &is_new));
    assert_false(is_new);
    assert_int_equal(copy.number, a.k.o.node.number);
    assert_err(catalog_node_beat(a.k.catalog, &a.k.o.node), ERR_CONFLICT, "copy");
    assert_ok(catalog_node_join(b.k.catalog, &stranger, &is_new));
    assert_true(is_new);
    assert_true(stranger.number > b.k.o.node.number);
}

/* A copy of a data folder: the first that publishes ousts the other. */
static void test_copied_folder(void **state)
{
    static struct server copy;
    copy = a;
    copy.k.store = NULL;
    copy.k.catalog = NULL;
    start(&copy, "", false);
    produce(0, 5);
    produce(1, 5);
    get(&a, 0);
    get(&copy, 1);
    read_on(&a, 100);
    read_on(&copy, 100);
    assert_ok(store_flush(copy.k.store));
    assert_int_equal(store_follow(a.k.store), ERR_CONFLICT);
    assert_int_not_equal(store_reset(a.k.store, forget, &a), OK);
    assert_true(a.ousted);
    assert_false(copy.ousted);
    kit_close(&copy.k);
    kit_close(&a.k);
    start(&a, "", false);
    finish(&a);
}

/* The answer to a commit is lost: until it is known what became of it, nothing is taken over. */
static void test_doubt(void **state)
{
    produce(0, 5);
    produce(1, 5);
    get(&a, 0);
    get(&b, 1);
    read_on(&a, 100);
    read_on(&b, 100);
    assert_ok(store_flush(b.k.store));
    for (unsigned at = 1; at < 12; at++) {
        struct fault_plan plan = {.kind = FAULT_FSYNC, .at = at, .sticky = true};
        fault_set(&plan);
        enum err err = store_flush(a.k.store);
        uint64_t before = shown(&a);
        enum err followed = store_follow(a.k.store);
        assert_true(shown(&a) >= before);
        assert_true(followed == OK || followed == ERR_AGAIN || err == OK);
        fault_set(NULL);
        assert_ok(store_flush(a.k.store));
        settle(&a);
        assert_int_equal(shown(&a), topic.rows);
        produce(0, 2);
        read_on(&a, 100);
    }
    finish(&a);
    assert_int_equal(a.resets, 0);
}

/* Random turns of two servers that take partitions from each other, in peace or not, die, and
 * merge. */
static void take_turns(uint64_t seed, bool die, void (*each)(struct server *s, uint64_t r))
{
    for (int turn = 0; turn < 1500; turn++) {
        uint64_t r = seed = hash_mix(seed + (uint64_t)turn);
        struct server *s = r & 1 ? &a : &b, *other = r & 1 ? &b : &a;
        int p = (int)((r >> 1) % PARTITIONS);
        switch (r >> 8 & 15) {
        case 0:
        case 1:
        case 2:
            if (topic.n[p] + 3 < MESSAGES)
                produce(p, 1 + r % 3);
            break;
        case 3: /* as a session that ends: the other does not know */
            if (!s->ours[p])
                get(s, p);
            break;
        case 4:
            (void)!store_flush(other->k.store);
            leave(other, p);
            if (!s->ours[p])
                get(s, p);
            break;
        case 5:
            leave(s, p);
            break;
        case 6:
        case 7:
            (void)!store_flush(s->k.store);
            break;
        case 8:
        case 9:
            (void)!store_follow(s->k.store);
            break;
        case 10:
            if (die && (r >> 16) % 4 == 0)
                restart(s);
            break;
        case 11:
            if ((r >> 16) % 3 == 0)
                (void)!store_compact(s->k.store, false);
            break;
        default:
            read_on(s, 1 + r % 4);
        }
        if (each)
            each(s, r);
        if (turn % 10 == 0) {
            (void)shown(&a);
            (void)shown(&b);
        }
    }
    for (int p = 0; p < PARTITIONS; p++)
        leave(&b, p);
    if (b.reset_due)
        reset(&b);
    finish(&a);
}

static void test_at_random(void **state)
{
    take_turns(20261130, true, NULL);
}

/* ---- tails ---- */

static void test_tail_of_several(void **state)
{
    produce(0, 2);
    get(&a, 0);
    get(&b, 1);
    get(&b, 2);
    read_on(&a, 100);
    tail_begin(&a, NULL);
    tail_begin(&b, NULL);
    tail_on(&a);
    produce(0, 5);
    produce(1, 5);
    read_on(&a, 100);
    read_on(&b, 100);
    tail_on(&a);
    for (uint64_t n = 0; n < topic.rows; n++) /* its own at once */
        assert_int_equal(a.times[n], n >= 10 && n < 35);
    assert_ok(store_flush(b.k.store));
    assert_ok(store_follow(a.k.store));
    assert_tailed(&a, 10, 1);
    assert_ok(store_flush(a.k.store)); /* they were shown from memory */
    assert_ok(store_follow(b.k.store));
    assert_tailed(&a, 10, 1);
    for (uint64_t n = 0; n < 10; n++) /* in memory there when the tail of b began */
        b.times[n]--;
    assert_tailed(&b, 10, 1);
    /* Published and merged before it was looked for. */
    for (int i = 0; i < 6; i++) {
        produce(1 + i % 2, 2);
        read_on(&b, 100);
        assert_ok(store_flush(b.k.store));
    }
    assert_ok(store_compact(b.k.store, true));
    assert_ok(store_follow(a.k.store));
    assert_tailed(&a, 10, 1);
    assert_tailed(&b, 10, 1);
}

/* What was shown from memory is forgotten, and comes again by another's hand and by its own. */
static void test_tail_and_reset(void **state)
{
    tail_begin(&a, NULL);
    tail_begin(&b, NULL);
    produce(0, 10);
    produce(1, 10);
    get(&a, 0);
    get(&a, 1);
    read_on(&a, 100);
    tail_on(&a);
    leave(&a, 0);
    get(&b, 0);
    read_on(&b, 7);
    tail_on(&b);
    assert_ok(store_flush(b.k.store));
    assert_int_equal(store_follow(a.k.store), ERR_CONFLICT);
    tail_on(&a);
    reset(&a);
    tail_on(&a);
    read_on(&a, 100);
    assert_tailed(&a, 0, 1);
    read_on(&b, 100);
    finish(&b);
    assert_tailed(&a, 0, 1);
    assert_tailed(&b, 0, 1);
    assert_int_equal(a.resets, 2);
}

/* A cursor goes on at the same server, at the other, and at one that was killed. */
static void test_tail_goes_on(void **state)
{
    tail_begin(&a, "0");
    get(&a, 0);
    get(&b, 1);
    for (int turn = 0; turn < 6; turn++) {
        struct server *at = turn % 2 ? &b : &a, *next = turn % 2 ? &a : &b;
        produce(0, 3);
        produce(1, 3);
        read_on(&a, 100);
        read_on(&b, 100);
        tail_on(at);
        if (turn >= 2)
            assert_ok(store_flush(at->k.store));
        tail_begin(at, at->cursor);
        tail_on(at);
        memcpy(next->times, at->times, sizeof(at->times));
        tail_begin(next, at->cursor);
        tail_end(at);
    }
    assert_ok(store_flush(a.k.store));
    assert_ok(store_flush(b.k.store));
    assert_ok(store_follow(a.k.store));
    assert_tailed(&a, 0, 1);
    /* What it showed and did not publish gets other positions: that comes again, and nothing is
     * lost. */
    produce(0, 4);
    produce(1, 4);
    read_on(&a, 100);
    tail_on(&a);
    tail_end(&a);
    restart(&a);
    get(&a, 0);
    produce(0, 1);
    read_on(&a, 2);
    memcpy(b.times, a.times, sizeof(a.times));
    snprintf(b.cursor, sizeof(b.cursor), "%s", a.cursor);
    tail_begin(&a, a.cursor);
    tail_begin(&b, b.cursor);
    finish(&a);
    assert_tailed(&a, 0, 2);
    assert_tailed(&b, 0, 2);
}

/* More than a round holds: each part has a cursor of its own, and a tail that goes on with any of
 * them lacks nothing, also where the part ends within what is published. */
static void test_tail_in_parts(void **state)
{
    struct query_sink sink = {&a, count_lines};
    unsigned parts = 0;
    get(&a, 0);
    get(&b, 1);
    for (int i = 0; i < 20; i++) {
        produce(0, 12);
        produce(1, 8);
        read_on(&a, 100);
        read_on(&b, 100);
        if (i < 15)
            assert_ok(store_flush(a.k.store));
        assert_ok(store_flush(b.k.store));
    }
    assert_ok(store_follow(a.k.store));
    snprintf(a.cursor, sizeof(a.cursor), "0");
    for (uint64_t n = 1; n; parts++) {
        struct buf text;
        tail_begin(&a, a.cursor);
        assert_ok(query_tail_next(a.tail, 0, &sink, &n));
        buf_init(&text, sizeof(a.cursor) - 1);
        query_tail_put_cursor(a.tail, &text);
        snprintf(a.cursor, sizeof(a.cursor), "%.*s", STR_ARG(buf_str(&text)));
        buf_release(&text);
    }
    assert_true(parts > 5);
    assert_tailed(&a, 0, 1);
}

static void test_cursors_that_are_none(void **state)
{
    struct query_engine_options o = {.store = a.k.store, .threads = 1, .query_memory = 64 << 20};
    struct query_request r = {
        .org = STR("default"), .q = STR("*"), .from = INT64_MIN, .to = INT64_MAX};
    static const char *const bad[] = {
        "x",         "1_",        "_", "1_2",         "1_2.3.4",
        "1_2.3_1.4", "1_1.2.9.4", "7", "1_4194304.1", "1_1.1099511627776",
        "1_1.999999"};
    assert_ok(query_engine_new(&o, &a.engine));
    assert_int_equal(a.k.o.node.number, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct str after = str_c(bad[i]);
        assert_err(query_tail_open(a.engine, &r, &after, &a.tail), ERR_INVALID, bad[i]);
    }
}

static void each_tails(struct server *s, uint64_t r)
{
    if ((r >> 24) % 2 == 0)
        tail_on(s);
    if ((r >> 25) % 16 == 0 && !s->resets)
        tail_begin(s, s->cursor);
}

/* Nobody dies: each tail has each record once. */
static void test_tails_at_random(void **state)
{
    tail_begin(&a, NULL);
    tail_begin(&b, NULL);
    tail_on(&a);
    tail_on(&b);
    take_turns(20261201, false, each_tails);
    assert_true(a.resets + b.resets > 10);
    assert_tailed(&a, 0, 1);
    assert_tailed(&b, 0, 1);
}

static int start_database(void **state)
{
    pg_init(&database);
    return 0;
}

static int stop_database(void **state)
{
    pg_remove(&database);
    return 0;
}

int main(void)
{
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_one_publishes_the_other_shows),
        TEST(test_handed_over),
        TEST(test_cut_off),
        TEST(test_what_has_landed_elsewhere_is_known),
        TEST(test_following_in_the_middle_of_a_publish),
        TEST(test_overtaken_in_the_middle_of_a_publish),
        TEST(test_merges),
        TEST(test_lease),
        TEST(test_nodes),
        TEST(test_copied_folder),
        TEST(test_doubt),
        TEST(test_at_random),
        TEST(test_tail_of_several),
        TEST(test_tail_and_reset),
        TEST(test_tail_goes_on),
        TEST(test_tail_in_parts),
        TEST(test_cursors_that_are_none),
        TEST(test_tails_at_random),
    };
#define ON_POSTGRESQL(fn) cmocka_unit_test_setup_teardown(fn, setup_postgresql, teardown)
    const struct CMUnitTest postgresql[] = {
        ON_POSTGRESQL(test_what_one_publishes_the_other_shows),
        ON_POSTGRESQL(test_handed_over),
        ON_POSTGRESQL(test_cut_off),
        ON_POSTGRESQL(test_what_has_landed_elsewhere_is_known),
        ON_POSTGRESQL(test_following_in_the_middle_of_a_publish),
        ON_POSTGRESQL(test_overtaken_in_the_middle_of_a_publish),
        ON_POSTGRESQL(test_merges),
        ON_POSTGRESQL(test_lease),
        ON_POSTGRESQL(test_nodes),
        ON_POSTGRESQL(test_copied_folder),
        ON_POSTGRESQL(test_at_random),
        ON_POSTGRESQL(test_tail_of_several),
        ON_POSTGRESQL(test_tails_at_random),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(postgresql, start_database, stop_database);
}
