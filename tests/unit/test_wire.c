#include "test.h"

#include "core/clock.h"
#include "record/frame.h"
#include "wire/decode.h"

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

struct fixture {
    struct wire_decoder *decoder;
    struct wire_sink sink;
    struct buf in;
    /* What the sink saw. */
    struct buf rows, refused;
    uint32_t batches, largest;
    enum err answer;
    const char *duplicate; /* an id that is one */
};

static const struct json_limits limits = {.record_bytes = 1 << 20, .nesting = 32};

static enum err on_batch(void *ctx, struct batch *b)
{
    struct fixture *f = ctx;
    struct arena arena;
    struct rows rows;
    arena_init(&arena, 0, NULL);
    batch_view(b, &arena, &rows);
    uint32_t *row = ARENA_ARRAY(&arena, uint32_t, rows.n),
             *end = ARENA_ARRAY(&arena, uint32_t, rows.n);
    for (uint32_t i = 0; i < rows.n; i++)
        row[i] = i;
    struct json_rows what = {&rows, row, rows.n, &arena, NULL, 0};
    struct buf text;
    buf_init(&text, SIZE_MAX);
    assert_ok(json_put_rows(&what, &text, end));
    for (uint32_t i = 0, from = 0; i < rows.n; from = end[i++]) {
        buf_put(&f->rows, text.p + from, end[i] - from);
        buf_put_byte(&f->rows, '\n');
    }
    struct frame_info info = {.org = STR("o"), .stream = STR("s"), .parts = 1};
    buf_clear(&text);
    assert_ok(frame_encode(b, &info, &text));
    assert_true(text.n <= FRAME_BYTES_MAX || rows.n == 1);
    buf_release(&text);
    arena_release(&arena);
    f->batches++;
    f->largest = rows.n > f->largest ? rows.n : f->largest;
    return f->answer == OK ? OK : err_set(f->answer, "the sink says no");
}

static void on_refused(void *ctx, uint32_t position, struct str raw, const char *reason)
{
    struct fixture *f = ctx;
    buf_printf(&f->refused, "%u:%.*s: %s\n", position, raw.n > 40 ? 40 : (int)raw.n, raw.p, reason);
}

static bool accept_id(void *ctx, struct str id)
{
    struct fixture *f = ctx;
    return !f->duplicate || !str_eq_c(id, f->duplicate);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->decoder = wire_decoder_new(&limits);
    f->sink = (struct wire_sink){f, on_batch, on_refused, accept_id};
    buf_init(&f->in, SIZE_MAX);
    buf_init(&f->rows, SIZE_MAX);
    buf_init(&f->refused, SIZE_MAX);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    wire_decoder_free(f->decoder);
    buf_release(&f->in);
    buf_release(&f->rows);
    buf_release(&f->refused);
    free(f);
    return 0;
}

static enum err decode(struct fixture *f, enum wire_format format, struct str body, uint32_t *ret)
{
    buf_clear(&f->in);
    buf_put_str(&f->in, body);
    buf_put_c(&f->in,
              "\"}],[{\"x\":1}]\n{\"y\":[2]}]}\n]}   1234567890123456789012345678901234567890");
    buf_clear(&f->rows);
    buf_clear(&f->refused);
    f->batches = f->largest = 0;
    return wire_decode(f->decoder, format, str_of(f->in.p, body.n), 5, &f->sink, ret);
}

static void assert_decodes(struct fixture *f, enum wire_format format, const char *body,
                           uint32_t accepted, const char *rows, const char *refused)
{
    uint32_t records = 999;
    assert_ok(decode(f, format, str_c(body), &records));
    assert_str(buf_str(&f->rows), rows);
    assert_str(buf_str(&f->refused), refused);
    assert_int_equal(records, accepted);
    assert_int_equal(f->batches, accepted > 0);
}

/* Bodies in pieces of whole lines: as those that come at once. */
static void test_lines_in_pieces(void **state)
{
    struct fixture *f = *state;
    static const char *const line[] = {"{\"a\":1,\"b\":\"text\"}\n",
                                       "{\"a\":2,\"b\":\"more\"}\n",
                                       "\n",
                                       "not json\n",
                                       "{\"n\":{\"x\":[1,2]}}\r\n",
                                       "\xef\xbb\xbf{\"a\":3}\n",
                                       "{\"_id\":\"twice\"}\n"};
    enum { LINES = sizeof(line) / sizeof(*line) };
    uint64_t seed = 3;
    f->duplicate = "twice";
    for (unsigned round = 0; round < 400; round++) {
        enum wire_format format = round % 2 ? WIRE_NDJSON : WIRE_TEXT;
        struct buf body, rows, refused;
        uint32_t records, want, n = 0, cut[64];
        size_t taken = 0;
        buf_init(&body, SIZE_MAX);
        buf_init(&rows, SIZE_MAX);
        buf_init(&refused, SIZE_MAX);
        for (unsigned i = 0; i < round % 40; i++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            buf_put_c(&body, line[(seed >> 40) % LINES]);
            if (seed >> 62 == 0)
                cut[n++] = (uint32_t)body.n;
        }
        if (round % 3 == 0 && body.n)
            body.n--; /* the last line has no end */
        assert_ok(decode(f, format, buf_str(&body), &want));
        buf_put_str(&rows, buf_str(&f->rows));
        buf_put_str(&refused, buf_str(&f->refused));
        buf_clear(&f->rows);
        buf_clear(&f->refused);
        wire_lines_begin(f->decoder, format, 5, &f->sink);
        uint32_t at = 0;
        for (uint32_t i = 0; i <= n; at = i < n ? cut[i] : at, i++) {
            size_t end = i < n && cut[i] < body.n ? cut[i] : body.n;
            if (end > at)
                assert_ok(wire_lines(f->decoder, str_of(f->in.p + at, end - at), &taken));
        }
        assert_ok(wire_lines_end(f->decoder, &records));
        assert_true(str_eq(buf_str(&f->rows), buf_str(&rows)));
        assert_true(str_eq(buf_str(&f->refused), buf_str(&refused)));
        assert_int_equal(records, want);
        buf_release(&body);
        buf_release(&rows);
        buf_release(&refused);
    }
    f->duplicate = NULL;
}

static bool halt_at_id(void *ctx, struct str id)
{
    struct fixture *f = ctx;
    wire_lines_halt(f->decoder);
    return false;
}

static void test_lines_halt_at_a_record(void **state)
{
    struct fixture *f = *state;
    struct wire_sink sink = f->sink;
    struct str lines = STR("\xef\xbb\xbf{\"a\":1}\nbad\n{\"_id\":\"x\"}\nworse\n{\"_id\":\"y\"}\n");
    uint32_t records;
    size_t first = str_find(lines, STR("{\"_id")), n = 0;
    assert_ok(decode(f, WIRE_NDJSON, lines, &records));
    struct str whole = str_of(f->in.p, lines.n);
    buf_clear(&f->rows);
    buf_clear(&f->refused);
    sink.accept_id = halt_at_id;
    wire_lines_begin(f->decoder, WIRE_NDJSON, 5, &sink);
    assert_ok(wire_lines(f->decoder, whole, &n));
    assert_int_equal(n, first);
    assert_ok(wire_lines(f->decoder, str_from(whole, n), &n));
    assert_int_equal(n, 0);
    sink.accept_id = accept_id;
    assert_ok(wire_lines(f->decoder, str_from(whole, first), &n));
    assert_int_equal(n, lines.n - first);
    assert_ok(wire_lines_end(f->decoder, &records));
    assert_int_equal(records, 3);
    assert_str(buf_str(&f->rows), "{\"a\":1}\n{\"_id\":\"x\"}\n{\"_id\":\"y\"}\n");
    assert_true(str_starts(buf_str(&f->refused), STR("1:bad: ")));
    assert_true(strstr(f->refused.p, "\n3:worse: "));
}

static void test_ndjson(void **state)
{
    struct fixture *f = *state;
    assert_decodes(f, WIRE_NDJSON, "", 0, "", "");
    assert_decodes(f, WIRE_NDJSON, "\n\r\n  \t\n\n", 0, "", "");
    assert_decodes(f, WIRE_NDJSON, "{\"a\":1}", 1, "{\"a\":1}\n", "");
    assert_decodes(f, WIRE_NDJSON, "\xef\xbb\xbf{\"a\":1}\r\n\n \n {\"b\":2} \n", 2,
                   "{\"a\":1}\n{\"b\":2}\n", "");
    assert_decodes(f, WIRE_NDJSON, "{\"a\":1}\n{\"b\":}\n\n[1]\n{\"c\":3}\n{\"d\":\"", 2,
                   "{\"a\":1}\n{\"c\":3}\n",
                   "1:{\"b\":}: expected a value at byte 5 of the record\n"
                   "2:[1]: a record must be a JSON object: expected '{' at byte 0 of the record\n"
                   "4:{\"d\":\": the string that starts at byte 5 of the record is not closed\n");
}

static void test_text(void **state)
{
    assert_decodes(
        *state, WIRE_TEXT, "one\r\n\n\r\n two \n{\"a\":1}\nbad \xff\tend", 4,
        "{\"message\":\"one\"}\n{\"message\":\" two \"}\n{\"message\":\"{\\\"a\\\":1}\"}\n"
        "{\"message\":\"bad \xef\xbf\xbd\\tend\"}\n",
        "");
    struct fixture *f = *state;
    struct buf body;
    buf_init(&body, SIZE_MAX);
    for (size_t i = 0; i <= limits.record_bytes; i++)
        buf_put_byte(&body, 'x');
    buf_put_c(&body, "\nshort");
    uint32_t records;
    assert_ok(decode(f, WIRE_TEXT, buf_str(&body), &records));
    assert_int_equal(records, 1);
    assert_str(buf_str(&f->rows), "{\"message\":\"short\"}\n");
    assert_non_null(strstr(f->refused.p, "the line has 1048577 bytes, the limit is 1048576"));
    buf_release(&body);
}

static void test_json(void **state)
{
    struct fixture *f = *state;
    assert_decodes(f, WIRE_JSON, "{\"logs\":[{\"a\":1}, {\"b\":[{}]}]}", 2,
                   "{\"a\":1}\n{\"b\":[{}]}\n", "");
    assert_decodes(f, WIRE_JSON, "{\"a\":1}", 1, "{\"a\":1}\n", "");
    assert_decodes(f, WIRE_JSON, "[\n {\n  \"a\": [\n1\n]\n }\n]\n", 1, "{\"a\":[ 1 ]}\n", "");
    assert_decodes(f, WIRE_JSON, "[{\"a\":1},7,{\"b\":tru},{\"c\":3}]", 2, "{\"a\":1}\n{\"c\":3}\n",
                   "1:7: a record must be a JSON object: expected '{' at byte 0 of the record\n"
                   "2:{\"b\":tru}: expected true, false or null at byte 5 of the record\n");
    uint32_t records = 77;
    assert_err(decode(f, WIRE_JSON, STR("[{\"a\":1}"), &records), ERR_INVALID,
               "byte 8 of the body");
    assert_err(decode(f, WIRE_JSON, STR("{\"logs\":3}"), &records), ERR_INVALID,
               "array of records");
    assert_int_equal(records, 77);
    assert_int_equal(f->batches, 0);
    assert_decodes(f, WIRE_JSON, "[{\"z\":1}]", 1, "{\"z\":1}\n", ""); /* nothing was left behind */
}

static void test_defaults_and_ids(void **state)
{
    struct fixture *f = *state;
    wire_decoder_defaults(f->decoder, STR("pay"), STR("h1"));
    assert_decodes(
        f, WIRE_NDJSON, "{\"a\":1}\n{\"app\":\"x\"}", 2,
        "{\"a\":1,\"service\":\"pay\",\"host\":\"h1\"}\n{\"app\":\"x\",\"host\":\"h1\"}\n", "");
    assert_decodes(f, WIRE_TEXT, "x", 1,
                   "{\"message\":\"x\",\"service\":\"pay\",\"host\":\"h1\"}\n", "");
    wire_decoder_defaults(f->decoder, STR(""), STR(""));
    assert_decodes(f, WIRE_TEXT, "x", 1, "{\"message\":\"x\"}\n", "");
    f->duplicate = "two";
    assert_decodes(
        f, WIRE_NDJSON,
        "{\"_id\":\"one\"}\n{\"log_id\":\"two\"}\n{\"a\":3}\n{\"log_id\":2}\n{\"_id\":\"two\"}", 3,
        "{\"_id\":\"one\"}\n{\"a\":3}\n{\"log_id\":2}\n", "");
    f->duplicate = NULL;
}

/* Many records: every one comes out, in frames' sizes (on_batch encodes each), a large one alone.
 */
static void test_batches(void **state)
{
    struct fixture *f = *state;
    struct buf body;
    buf_init(&body, SIZE_MAX);
    random_seed(3);
    for (int i = 0; i < 30000; i++)
        buf_printf(&body, "{\"n\":%d,\"m\":\"%0*d\",\"k%u\":{\"x\":%d.5}}\n", i,
                   (int)(random_u64() % 80), i, (unsigned)(random_u64() % 40), i % 100);
    size_t large = 900000;
    buf_put_c(&body, "{\"large\":\"");
    memset(buf_reserve(&body, large), 'y', large);
    body.n += large;
    buf_put_c(&body, "\"}\n{\"last\":true}\n");
    for (int format = WIRE_NDJSON; format <= WIRE_TEXT; format++) {
        uint32_t records;
        assert_ok(decode(f, (enum wire_format)format, buf_str(&body), &records));
        assert_int_equal(records, 30002);
        assert_true(f->batches > 6);
        assert_int_equal(f->refused.n, 0);
        if (format == WIRE_NDJSON) {
            for (size_t i = 0; i < body.n && i < f->rows.n; i++)
                if (body.p[i] != f->rows.p[i])
                    fail_msg("at %zu: %.60s, wanted %.60s", i, f->rows.p + i, body.p + i);
            assert_int_equal(f->rows.n, body.n);
        }
    }
    /* Tiny records are bounded too. */
    buf_clear(&body);
    for (int i = 0; i < 200000; i++)
        buf_put_c(&body, "{}\n");
    uint32_t records;
    assert_ok(decode(f, WIRE_NDJSON, buf_str(&body), &records));
    assert_int_equal(records, 200000);
    assert_true(f->batches > 1);
    f->answer = ERR_UNAVAILABLE;
    assert_err(decode(f, WIRE_NDJSON, buf_str(&body), &records), ERR_UNAVAILABLE,
               "the sink says no");
    assert_int_equal(f->batches, 1);
    f->answer = OK;
    buf_release(&body);
}

/* ---- content encodings ---- */

static void zlib_pack(int bits, struct str plain, struct buf *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    size_t room = deflateBound(&z, plain.n) + 64;
    z.next_in = (Bytef *)plain.p;
    z.avail_in = (uInt)plain.n;
    z.next_out = (Bytef *)buf_reserve(out, room);
    z.avail_out = (uInt)room;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    out->n += z.total_out;
    deflateEnd(&z);
}

static void pack(const char *encoding, struct str plain, struct buf *out)
{
    if (strcmp(encoding, "gzip") == 0) {
        zlib_pack(15 + 16, plain, out);
    } else if (strcmp(encoding, "deflate") == 0 || strcmp(encoding, "zlib") == 0) {
        zlib_pack(15, plain, out);
    } else if (strcmp(encoding, "zstd") == 0) {
        size_t room = ZSTD_compressBound(plain.n);
        out->n += ZSTD_compress(buf_reserve(out, room), room, plain.p, plain.n, 3);
    } else {
        LZ4F_preferences_t p = {.frameInfo.contentChecksumFlag = LZ4F_contentChecksumEnabled};
        size_t room = LZ4F_compressFrameBound(plain.n, &p);
        out->n += LZ4F_compressFrame(buf_reserve(out, room), room, plain.p, plain.n, &p);
    }
}

static struct str sample(struct buf *buf, size_t n)
{
    random_seed(n);
    buf_clear(buf);
    while (buf->n < n)
        buf_printf(buf, "{\"id\":%llu}\n", (unsigned long long)random_u64() % 1000000);
    buf->n = n;
    return buf_str(buf);
}

static void test_inflate(void **state)
{
    static const char *const encodings[] = {"gzip", "deflate", "zlib", "zstd", "lz4"};
    static const size_t sizes[] = {0, 1, 100, 128 << 10, (128 << 10) + 1, 3000000};
    struct buf text, packed, out;
    buf_init(&text, SIZE_MAX);
    buf_init(&packed, SIZE_MAX);
    for (size_t e = 0; e < 5; e++)
        for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
            struct str plain = sample(&text, sizes[s]);
            buf_clear(&packed);
            pack(encodings[e], plain, &packed);
            buf_init(&out, plain.n ? plain.n : 1); /* just enough */
            assert_ok(wire_inflate(str_c(encodings[e]), buf_str(&packed), &out));
            assert_true(str_eq(buf_str(&out), plain));
            buf_release(&out);
            if (plain.n > 1) { /* one byte too few */
                buf_init(&out, plain.n - 1);
                char limit[64];
                snprintf(limit, sizeof(limit), "larger than the limit of %zu bytes", plain.n - 1);
                assert_err(wire_inflate(str_c(encodings[e]), buf_str(&packed), &out), ERR_LIMIT,
                           limit);
                assert_int_equal(out.n, 0);
                buf_release(&out);
            }
            buf_init(&out, 4000000);
            /* Cut anywhere, and with something behind. */
            for (size_t cut = 0; cut < packed.n; cut += packed.n / 50 + 1)
                assert_err(wire_inflate(str_c(encodings[e]), str_of(packed.p, cut), &out),
                           ERR_INVALID, encodings[e]);
            buf_put_c(&packed, "garbage behind");
            assert_err(wire_inflate(str_c(encodings[e]), buf_str(&packed), &out), ERR_INVALID,
                       encodings[e]);
            assert_int_equal(out.n, 0);
            buf_release(&out);
        }
    buf_release(&text);
    buf_release(&packed);
}

static void test_inflate_members(void **state)
{
    static const char *const encodings[] = {"gzip", "zstd", "lz4"};
    struct buf packed, out;
    buf_init(&packed, SIZE_MAX);
    buf_init(&out, 4096);
    for (size_t e = 0; e < 3; e++) {
        buf_clear(&packed);
        buf_clear(&out);
        buf_put_c(&out, "before ");
        pack(encodings[e], STR("one "), &packed);
        pack(encodings[e], STR(""), &packed);
        pack(encodings[e], STR("two"), &packed);
        assert_ok(wire_inflate(str_c(encodings[e]), buf_str(&packed), &out));
        assert_str(buf_str(&out), "before one two");
    }
    buf_clear(&packed);
    buf_clear(&out);
    zlib_pack(-15, STR("raw deflate"), &packed);
    assert_ok(wire_inflate(STR(" Deflate "), buf_str(&packed), &out));
    assert_str(buf_str(&out), "raw deflate");
    pack("deflate", STR("second"), &packed);
    assert_err(wire_inflate(STR("deflate"), buf_str(&packed), &out), ERR_INVALID, "behind the end");
    assert_str(buf_str(&out), "raw deflate");
    buf_release(&packed);
    buf_release(&out);
}

/* By hand, with the CRC-32C that everybody's is held against: of "123456789", 0xe3069283. */
static void test_inflate_snappy_frames(void **state)
{
#define STREAM "\xff\x06\0\0sNaPpY"
#define DIGITS "\xe5\xb0\x8a\xc7" /* its masked CRC */
#define PLAIN "\x01\x0d\0\0" DIGITS "123456789"
#define BLOCK                                                                                      \
    "\0\x0f\0\0" DIGITS "\x09\x20"                                                                 \
    "123456789" /* 9 bytes: a literal of 9 */
    static const struct {
        struct str body;
        const char *plain, *error;
    } cases[] = {
        {STR(STREAM PLAIN), "123456789", NULL},
        {STR(STREAM BLOCK), "123456789", NULL},
        {STR(STREAM), "", NULL},
        {STR(STREAM PLAIN "\xfe\x02\0\0xx" STREAM BLOCK "\x80\0\0\0"), "123456789123456789", NULL},
        {STR(STREAM "\x01\x0d\0\0" DIGITS "123456780"), NULL, "checksum"},
        {STR(STREAM "\0\x0f\0\0" DIGITS "\x08\x20"
                    "123456789"),
         NULL, "no valid snappy block"},
        {STR(STREAM "\x01\x03\0\0abc"), NULL, "too short"},
        {STR(STREAM "\x02\0\0\0"), NULL, "chunk of type 2"},
        {STR(STREAM "\xff\x06\0\0sNaPpy"), NULL, "chunk of type 255"},
        {STR(STREAM PLAIN "\x01\x0d\0"), NULL, "ends in the middle, at byte 30"},
        {STR(STREAM PLAIN PLAIN PLAIN PLAIN), NULL, "limit of 30 bytes"},
    };
    struct buf out;
    buf_init(&out, 30);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
        for (int said = 0; said < 2; said++) { /* some say only "snappy" */
            struct str coding = said ? STR("X-Snappy-Framed") : STR("snappy");
            buf_clear(&out);
            if (cases[i].error) {
                assert_err(wire_inflate(coding, cases[i].body, &out),
                           i == 10 ? ERR_LIMIT : ERR_INVALID, cases[i].error);
                assert_int_equal(out.n, 0);
                continue;
            }
            assert_ok(wire_inflate(coding, cases[i].body, &out));
            assert_true(str_eq_c(buf_str(&out), cases[i].plain));
        }
    assert_err(wire_inflate(STR("x-snappy-framed"),
                            STR("\x09\x20"
                                "123456789"),
                            &out),
               ERR_INVALID, "no stream of snappy's framing");
    buf_release(&out);
}

static void test_inflate_other(void **state)
{
    struct buf out;
    buf_init(&out, 10);
    assert_ok(wire_inflate(STR(""), STR("plain"), &out));
    assert_ok(wire_inflate(STR("identity"), STR("12345"), &out));
    assert_str(buf_str(&out), "plain12345");
    assert_err(wire_inflate(STR("identity"), STR("1"), &out), ERR_LIMIT, "10 bytes");
    assert_err(wire_inflate(STR("br"), STR("x"), &out), ERR_UNSUPPORTED, "\"br\"");
    assert_err(wire_inflate(STR("gzip, zstd"), STR("x"), &out), ERR_UNSUPPORTED, "gzip, zstd");
    buf_release(&out);
    /* A flipped bit never gives other bytes. */
    struct buf packed;
    buf_init(&packed, SIZE_MAX);
    pack("gzip", STR("some text that is packed"), &packed);
    buf_init(&out, 4096);
    for (size_t i = 12; i < packed.n; i++) {
        packed.p[i] ^= 4;
        if (wire_inflate(STR("gzip"), buf_str(&packed), &out) == OK) /* padding between parts */
            assert_str(buf_str(&out), "some text that is packed");
        buf_clear(&out);
        packed.p[i] ^= 4;
    }
    buf_release(&packed);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_in_pieces),
        cmocka_unit_test(test_lines_halt_at_a_record),
        cmocka_unit_test(test_ndjson),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_defaults_and_ids),
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_inflate),
        cmocka_unit_test(test_inflate_members),
        cmocka_unit_test(test_inflate_snappy_frames),
        cmocka_unit_test(test_inflate_other),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
