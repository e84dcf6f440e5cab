/* Bodies that are decoded while they come, on a ground that keeps what is appended: whatever
 * happens to an upload, it comes to what the same bytes come to that were gathered. */
#include "core/buf.h"
#include "core/mem.h"
#include "core/thread.h"
#include "pipeline/ingest.h"
#include "queue/queue.h"
#include "record/frame.h"
#include "record/json.h"
#include "test.h"

/* ---- the ground ---- */

static struct ground {
    struct buf rows; /* of everything appended, as JSON, refused records behind accepted ones */
    unsigned pending, claimed, appended;
} ground;

static enum err admit(void *ctx, size_t bytes)
{
    return OK;
}

/* Of every ten ids one has landed before; `pending` claims find another body with theirs. */
static enum err claim_id(void *ctx, struct str org, struct str stream, struct str id,
                         enum claim *ret)
{
    *ret = CLAIM_NEW;
    if (id.p[id.n - 1] == '3')
        *ret = CLAIM_SEEN;
    else if (ground.pending && id.p[id.n - 1] == '8')
        *ret = CLAIM_PENDING;
    ground.pending -= *ret == CLAIM_PENDING;
    ground.claimed += *ret == CLAIM_NEW;
    return OK;
}

static void settle_id(void *ctx, struct str org, struct str stream, struct str id, bool landed)
{
    ground.claimed--;
}

static void put_rows(struct str frame, struct arena *a, bool dead)
{
    struct frame_info info;
    struct rows rows;
    assert_ok(frame_open(frame, 0, 0, a, &info, &rows));
    if (str_eq(info.stream, INGEST_DEAD_LETTERS) != dead)
        return;
    uint32_t *row = ARENA_ARRAY(a, uint32_t, rows.n);
    for (uint32_t i = 0; i < rows.n; i++)
        row[i] = i;
    const struct json_rows what = {.rows = &rows, .row = row, .n = rows.n, .arena = a};
    assert_ok(json_put_rows(&what, &ground.rows, NULL));
}

static enum err append(void *ctx, const struct queue_body *body, const struct ingest_entry *e)
{
    struct arena a;
    uint32_t rows = 0;
    arena_init(&a, 0, NULL);
    for (int dead = 0; dead < 2; dead++)
        for (uint32_t i = 0; i < body->n; i++)
            put_rows(body->frame[i]->bytes, &a, dead);
    for (uint32_t i = 0; i < body->n; i++) {
        struct frame_info info;
        uint32_t n;
        int64_t min, max;
        assert_ok(frame_peek(body->frame[i]->bytes, &info, &n, &min, &max));
        assert_int_equal(info.part, i);
        assert_int_equal(info.parts, body->n);
        assert_int_equal(info.first_index, rows);
        rows += n;
        blob_unref(body->frame[i]);
    }
    assert_int_equal(rows, e->accepted + e->refused);
    arena_release(&a);
    ground.appended++;
    body->done(body->ctx, OK, NULL, 0);
    return OK;
}

static const char *no_room(void *ctx)
{
    return "full";
}

static struct ingest *ingest;

static int start(void **state)
{
    const struct ingest_options o = {
        .ground = {.admit = admit,
                   .claim_id = claim_id,
                   .settle_id = settle_id,
                   .append = append,
                   .full = no_room},
        .limits = {8 << 20, 128},
        .body_max = 64 << 20,
    };
    ingest = ingest_new(&o);
    ingest_open(ingest);
    return 0;
}

static int stop(void **state)
{
    ingest_free(ingest);
    return 0;
}

/* ---- bodies and what they come to ---- */

struct outcome {
    struct ingest_result result;
    uint32_t refusal[INGEST_REFUSALS_MAX];
    uint32_t rows;
    struct buf stored;
};

static void take_outcome(void *ctx, const struct ingest_result *result)
{
    struct outcome *o = ctx;
    o->result = *result;
    for (uint32_t i = 0; i < result->n_refusals; i++)
        o->refusal[i] = result->refusal[i].position;
    for (uint32_t i = 0; i < result->n_places; i++)
        o->rows += result->place[i].rows;
}

static void begin_outcome(struct outcome *o)
{
    *o = (struct outcome){0};
    ground = (struct ground){.pending = ground.pending};
    buf_init(&ground.rows, 64 << 20);
}

static void end_outcome(struct outcome *o)
{
    assert_int_equal(ground.claimed, 0);
    o->stored = ground.rows;
}

static void assert_same(const struct outcome *a, const struct outcome *b)
{
    assert_int_equal(a->result.err, b->result.err);
    assert_int_equal(a->result.accepted, b->result.accepted);
    assert_int_equal(a->result.rejected, b->result.rejected);
    assert_int_equal(a->result.duplicates, b->result.duplicates);
    assert_int_equal(a->result.n_refusals, b->result.n_refusals);
    assert_memory_equal(a->refusal, b->refusal, sizeof(a->refusal));
    assert_int_equal(a->rows, b->rows);
    assert_true(str_eq(buf_str(&a->stored), buf_str(&b->stored)));
}

enum { RECORDS = 8000, NEVER = RECORDS };

/* Lines of which some are no JSON and some empty; from `ids` on some have an id. */
static struct buf make_body(unsigned ids, bool mark, bool ends)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    if (mark)
        buf_put_c(&b, "\xef\xbb\xbf");
    for (unsigned i = 0; i < RECORDS; i++) {
        if (i % 1000 == 77)
            buf_printf(&b, "{\"n\":%u,oops\n\n", i);
        else if (i >= ids && i % 4 == 0)
            buf_printf(&b, "{\"_id\":\"id%u\",\"message\":\"of %u\",\"_time\":%u}\n", i / 4, i,
                       1700000000 + i);
        else
            buf_printf(&b, "{\"message\":\"line %u\",\"n\":%u,\"_time\":%u}\n", i, i,
                       1700000000 + i);
    }
    if (!ends)
        b.n--;
    memset(buf_reserve(&b, JSON_PADDING), 0, JSON_PADDING);
    return b;
}

static struct ingest_body body_of(struct outcome *o)
{
    return (struct ingest_body){.org = STR("o"),
                                .stream = STR("s"),
                                .format = WIRE_NDJSON,
                                .service = STR("pay"),
                                .ctx = o,
                                .done = take_outcome};
}

static void gather(const struct buf *body, struct outcome *ret)
{
    begin_outcome(ret);
    struct ingest_body b = body_of(ret);
    b.bytes = buf_str(body);
    ingest_body(ingest, &b);
    end_outcome(ret);
}

/* In pieces of `piece` bytes; set aside behind `aside` bytes. False: it is to be gathered. */
static bool upload(const struct buf *body, size_t piece, size_t aside, struct outcome *ret)
{
    bool crowded = true;
    begin_outcome(ret);
    struct ingest_body b = body_of(ret);
    struct ingest_upload *u = ingest_upload_begin(ingest, &b, body->n, &crowded);
    assert_non_null(u);
    assert_false(crowded);
    size_t at = 0;
    for (size_t end = 0; end < body->n;) {
        if (end >= aside)
            ingest_upload_set_aside(u);
        end = end + piece < body->n ? end + piece : body->n;
        size_t took = ingest_upload_take(u, str_of(body->p + at, end - at));
        if (took == INGEST_UPLOAD_GATHER) {
            buf_release(&ground.rows);
            return false;
        }
        at += took;
    }
    ingest_upload_end(u, str_of(body->p + at, body->n - at), ret, take_outcome);
    end_outcome(ret);
    return true;
}

static void release(struct outcome *o)
{
    buf_release(&o->stored);
}

/* ---- tests ---- */

static void test_in_pieces(void **state)
{
    static const unsigned ids[] = {NEVER, 0, 4, 5000, RECORDS - 4, RECORDS - 1};
    for (unsigned way = 0; way < 4 * sizeof(ids) / sizeof(*ids); way++) {
        struct buf body = make_body(ids[way / 4], way & 1, way & 2);
        struct outcome whole, pieces;
        gather(&body, &whole);
        assert_int_equal(whole.result.err, OK);
        assert_int_equal(whole.result.rejected, RECORDS / 1000);
        for (size_t piece = 1000; piece < 2000000; piece = piece * 9 + 7)
            for (unsigned third = 0; third < 4; third++) {
                size_t aside = third == 3 ? SIZE_MAX : body.n / 3 * third;
                bool gathered = !upload(&body, piece, aside, &pieces);
                assert_int_equal(gathered, ids[way / 4] == 0 && third != 0);
                if (gathered)
                    continue;
                assert_same(&whole, &pieces);
                release(&pieces);
            }
        release(&whole);
        buf_release(&body);
    }
}

/* Another body has an id of it under way for a while: as where all of it was gathered. */
static void test_an_id_is_waited_for(void **state)
{
    struct buf body = make_body(5000, false, true);
    struct outcome whole, pieces;
    gather(&body, &whole);
    for (unsigned pending = 1; pending <= 5; pending++) {
        ground.pending = pending;
        assert_true(upload(&body, 50000, SIZE_MAX, &pieces));
        assert_int_equal(ground.pending, 0);
        assert_same(&whole, &pieces);
        release(&pieces);
    }
    ground.pending = 1000; /* longer than that */
    assert_true(upload(&body, 50000, SIZE_MAX, &pieces));
    assert_int_equal(pieces.result.err, ERR_CONFLICT);
    assert_int_equal(ground.appended, 0);
    release(&pieces);
    ground.pending = 0;
    release(&whole);
    buf_release(&body);
}

/* Places are few; one that is set aside is another's. */
static void test_places(void **state)
{
    enum { MOST = 1024 };
    struct ingest_upload *u[MOST];
    struct buf body = make_body(NEVER, false, false);
    struct outcome whole, o;
    unsigned n = 0;
    bool crowded = false;
    gather(&body, &whole);
    begin_outcome(&o);
    struct ingest_body b = body_of(&o);
    while (n < MOST && (u[n] = ingest_upload_begin(ingest, &b, body.n, &crowded)))
        n++;
    assert_true(crowded);
    assert_int_equal(n, 2 * thread_cpus());
    size_t took = ingest_upload_take(u[0], str_of(body.p, body.n / 2));
    assert_true(took > body.n / 2 - 100);
    ingest_upload_set_aside(u[0]);
    ingest_upload_set_aside(u[0]);
    assert_int_equal(ingest_upload_take(u[0], str_from(buf_str(&body), took)), 0);
    assert_non_null(u[n] = ingest_upload_begin(ingest, &b, body.n, &crowded));
    assert_null(ingest_upload_begin(ingest, &b, body.n, &crowded));
    assert_true(crowded);
    for (unsigned i = 1; i <= n; i++)
        ingest_upload_abandon(u[i]);
    assert_int_equal(ground.appended, 0);
    ingest_upload_end(u[0], str_from(buf_str(&body), took), &o, take_outcome);
    end_outcome(&o);
    assert_same(&whole, &o);
    release(&o);
    for (unsigned i = 0; i < 3 * n; i++) { /* all of them are free again */
        assert_non_null(u[0] = ingest_upload_begin(ingest, &b, body.n, &crowded));
        if (i % 2)
            ingest_upload_set_aside(u[0]);
        ingest_upload_abandon(u[0]);
    }
    b.encoding = STR("gzip");
    crowded = true;
    assert_null(ingest_upload_begin(ingest, &b, body.n, &crowded));
    assert_false(crowded);
    release(&whole);
    buf_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_pieces),
        cmocka_unit_test(test_an_id_is_waited_for),
        cmocka_unit_test(test_places),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
