/* The forward protocol, and MessagePack under it. tests/golden/wire/make/forward.py writes what is
 * read here. */
#include "golden_wire.h"

#include "core/mem.h"
#include "record/frame.h"
#include "wire/forward.h"
#include "wire/msgpack.h"

static void test_golden(void **state)
{
    golden_file("forward-modes", WIRE_FORWARD);
    golden_file("forward-values", WIRE_FORWARD);
    golden_file("forward-bad", WIRE_FORWARD);
    golden_file("forward-deep", WIRE_FORWARD);
    golden_file("forward-garbage", WIRE_FORWARD);
}

static void read_file(const char *name, struct buf *ret)
{
    char path[256];
    snprintf(path, sizeof(path), "tests/golden/wire/%s.in", name);
    assert_ok(io_read_file(path, 1 << 20, ret));
}

/* Messages and their chunks are found the same when each byte comes alone. */
static void test_messages_byte_by_byte(void **state)
{
    static const char *const chunks[] = {"", "Yw==", "cGFja2Vk", "", "", "eg==", "", "", ""};
    struct buf in;
    struct str chunk;
    size_t n, from = 0;
    unsigned found = 0;
    bool nil;
    struct forward_scan scan = {0};
    read_file("forward-modes", &in);
    for (size_t have = 1; have <= in.n; have++) {
        assert_ok(forward_next(&scan, str_of(in.p + from, have - from), &n, &chunk, &nil));
        if (!n)
            continue;
        assert_true(found < 9);
        assert_str(chunk, chunks[found]);
        assert_int_equal(nil, found == 6);
        assert_int_equal(n, have - from);
        from = have;
        found++;
    }
    assert_int_equal(found, 9);
    assert_int_equal(from, in.n);
    buf_release(&in);
}

static void test_what_is_no_message(void **state)
{
    static const struct {
        struct str in;
        const char *part;
    } bad[] = {
        {STR("GET /"), "0x47"},      {STR("\xc1"), "0xc1"},
        {STR("\x80"), "array"},      {STR("\x90"), "elements"},
        {STR("\x97\x01"), "2 to 4"}, {STR("\x93\xa1t\xc1\x01"), "byte 3"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct forward_scan scan = {0};
        struct str chunk;
        size_t n;
        bool nil;
        assert_err(forward_next(&scan, bad[i].in, &n, &chunk, &nil), ERR_INVALID, bad[i].part);
    }
}

/* ---- records that are read where they stand ---- */

enum { SENT = 4000, OWN_FRAME = 1000, TOO_LARGE = 2000, NO_KEY = 3000 };

struct taken {
    uint32_t rows, batches, refused;
    uint32_t refused_at[4];
    size_t refused_bytes[4];
    const char *refused_part[4];
};

/* Batches stay below a frame's size but for one record; the numbers come in order. */
static enum err take_batch(void *ctx, struct batch *b)
{
    struct taken *t = ctx;
    struct arena arena;
    struct rows rows;
    struct values v;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    assert_true(rows.n == 1 || batch_bytes(b) <= FRAME_BYTES_MAX);
    uint32_t n = rows_find(&rows, STR("n"), 0);
    assert_true(n < rows.n_columns && rows.columns[n].n == rows.n);
    assert_ok(rows.columns[n].ops->values(&rows.columns[n], &arena, &v));
    for (uint32_t i = 0; i < rows.n; i++, t->rows++) {
        t->rows += t->rows == TOO_LARGE;
        t->rows += t->rows == NO_KEY;
        assert_int_equal(v.i64[i], t->rows);
    }
    t->batches++;
    arena_release(&arena);
    return OK;
}

static void take_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct taken *t = ctx;
    assert_true(t->refused < 3);
    assert_non_null(strstr(reason, t->refused_part[t->refused]));
    t->refused_at[t->refused] = position;
    t->refused_bytes[t->refused++] = raw.n;
}

static void put_numbered(struct buf *b, uint32_t i, size_t text)
{
    char *bytes = mem_zalloc(text + 1), key[16];
    snprintf(key, sizeof(key), "k%u", i / 50);
    memset(bytes, 'x', text);
    msgpack_put_array(b, 2);
    msgpack_put_int(b, 1739620800);
    msgpack_put_map(b, 3);
    msgpack_put_str(b, STR("n"));
    msgpack_put_int(b, i);
    if (i == NO_KEY)
        msgpack_put_int(b, 1);
    else
        msgpack_put_str(b, str_c(key));
    msgpack_put_str(b, str_of(bytes, text));
    msgpack_put_str(b, STR("end"));
    msgpack_put_bool(b, true);
    mem_free(bytes);
}

static void test_entries_of_all_sizes(void **state)
{
    static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 32};
    struct taken t = {
        .refused_part = {"the limit is", "a key of the record is no text", "break off"}};
    struct wire_sink sink = {&t, take_batch, take_refused, NULL};
    struct wire_decoder *d = wire_decoder_new(&limits);
    struct buf entries, message;
    size_t large = 0, keyless = 0;
    uint32_t records;
    buf_init(&entries, SIZE_MAX);
    buf_init(&message, SIZE_MAX);
    for (uint32_t i = 0; i < SENT; i++) {
        size_t before = entries.n;
        put_numbered(&entries, i, i == OWN_FRAME ? 700000 : i == TOO_LARGE ? 1100000 : i % 997);
        large = i == TOO_LARGE ? entries.n - before : large;
        keyless = i == NO_KEY ? entries.n - before : keyless;
    }
    put_numbered(&entries, SENT, 100);
    entries.n -= 7;
    msgpack_put_array(&message, 2);
    msgpack_put_str(&message, STR("app.x"));
    msgpack_put_bin(&message, buf_str(&entries));
    memset(buf_reserve(&message, JSON_PADDING), 0, JSON_PADDING);
    assert_ok(wire_decode(d, WIRE_FORWARD, buf_str(&message), GOLDEN_ARRIVAL, &sink, &records));
    assert_int_equal(t.rows, SENT);
    assert_true(t.batches > 4);
    assert_int_equal(records, SENT - 2);
    assert_int_equal(t.refused, 3);
    assert_int_equal(t.refused_at[0], TOO_LARGE);
    assert_int_equal(t.refused_bytes[0], large);
    assert_int_equal(t.refused_at[1], NO_KEY);
    assert_int_equal(t.refused_bytes[1], keyless);
    assert_int_equal(t.refused_at[2], SENT);
    buf_release(&entries);
    buf_release(&message);
    wire_decoder_free(d);
}

static void put_all(struct buf *b)
{
    char bytes[70000] = "";
    msgpack_put_nil(b);
    msgpack_put_bool(b, true);
    msgpack_put_bool(b, false);
    static const int64_t ints[] = {
        0,         1,  127, 128, 255,  256,  65535,  65536,  4294967295, 4294967296,
        INT64_MAX, -1, -32, -33, -128, -129, -32768, -32769, INT32_MIN,  (int64_t)INT32_MIN - 1,
        INT64_MIN};
    for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++)
        msgpack_put_int(b, ints[i]);
    msgpack_put_uint(b, UINT64_MAX);
    msgpack_put_double(b, 0.1);
    static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 16, 17, 31, 32, 255, 256, 65535, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
        msgpack_put_str(b, str_of(bytes, sizes[i]));
        msgpack_put_bin(b, str_of(bytes, sizes[i]));
        msgpack_put_ext(b, -5, str_of(bytes, sizes[i]));
    }
    static const uint32_t counts[] = {0, 15, 16, 65535, 65536, UINT32_MAX};
    for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++) {
        msgpack_put_array(b, counts[i]);
        msgpack_put_map(b, counts[i]);
    }
}

static void put_token(struct buf *b, const struct msgpack *m)
{
    switch (m->kind) {
    case MSGPACK_NIL:
        msgpack_put_nil(b);
        return;
    case MSGPACK_BOOL:
        msgpack_put_bool(b, m->b);
        return;
    case MSGPACK_INT:
        msgpack_put_int(b, m->i);
        return;
    case MSGPACK_UINT:
        msgpack_put_uint(b, m->u);
        return;
    case MSGPACK_DOUBLE:
        msgpack_put_double(b, m->d);
        return;
    case MSGPACK_STR:
        msgpack_put_str(b, m->bytes);
        return;
    case MSGPACK_BIN:
        msgpack_put_bin(b, m->bytes);
        return;
    case MSGPACK_ARRAY:
        msgpack_put_array(b, m->n);
        return;
    case MSGPACK_MAP:
        msgpack_put_map(b, m->n);
        return;
    case MSGPACK_EXT:
        msgpack_put_ext(b, (int8_t)m->i, m->bytes);
        return;
    }
}

/* Every form that is written is read, and read back is written the same. */
static void test_tokens_come_back(void **state)
{
    struct buf b, again;
    struct msgpack m;
    buf_init(&b, SIZE_MAX);
    buf_init(&again, SIZE_MAX);
    put_all(&b);
    struct reader r = reader_of(buf_str(&b));
    while (r.p < r.end) {
        assert_true(msgpack_read(&r, &m));
        put_token(&again, &m);
    }
    assert_true(str_eq(buf_str(&b), buf_str(&again)));
    for (size_t n = 1; n < 200; n++) { /* what breaks off is said to */
        struct reader cut = reader_of(str_of(b.p, n));
        while (cut.p < cut.end && msgpack_read(&cut, &m))
            ;
        assert_true(cut.bad || cut.p == cut.end);
    }
    buf_release(&b);
    buf_release(&again);
}

/* Passes a value by reading it; false where it breaks off. */
static bool walk(struct reader *r)
{
    struct msgpack m;
    for (uint64_t left = 1; left; left--) {
        if (!msgpack_read(r, &m))
            return false;
        left += m.kind == MSGPACK_ARRAY ? m.n : m.kind == MSGPACK_MAP ? 2 * (uint64_t)m.n : 0;
    }
    return true;
}

/* Behind every head, and behind each of its lengths: what is passed over is what is read. */
static void test_skip_passes_what_is_read(void **state)
{
    char in[64];
    for (unsigned head = 0; head < 256; head++)
        for (unsigned fill = 0; fill < 8; fill++)
            for (size_t n = 1; n <= sizeof(in); n++) {
                memset(in, 0, sizeof(in));
                in[0] = (char)head;
                in[1 + fill % 4] = (char)(fill * 3);
                struct reader r = reader_of(str_of(in, n)), s = r;
                struct msgpack_scan scan = {.left = 1};
                bool whole = walk(&r);
                assert_int_equal(msgpack_skip(&s, 1), whole && head != 0xc1);
                if (whole)
                    assert_ptr_equal(r.p, s.p);
                enum msgpack_found found = msgpack_scan(&scan, str_of(in, n));
                assert_int_equal(found, head == 0xc1 ? MSGPACK_BROKEN
                                        : whole      ? MSGPACK_WHOLE
                                                     : MSGPACK_MORE);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_entries_of_all_sizes),
        cmocka_unit_test(test_messages_byte_by_byte),
        cmocka_unit_test(test_what_is_no_message),
        cmocka_unit_test(test_tokens_come_back),
        cmocka_unit_test(test_skip_passes_what_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
