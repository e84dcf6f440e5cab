/* What outputs write for given records, to the byte, and what they make of answers. Files in
 * tests/golden/output; GOLDEN_WRITE=1 writes them anew, to be read before they are kept. */
#include "output_kit.h"
#include "test.h"

#include "core/io.h"
#include "golden_wire.h"
#include "output/forward_wire.h"
#include "output/syslog_wire.h"
#include "wire/forward.h"
#include "wire/msgpack_rows.h"

#include <snappy-c.h>
#include <stdlib.h>

static void kit_file(struct output_kit *k, const char *name)
{
    struct buf in;
    char path[200];
    snprintf(path, sizeof(path), "tests/golden/output/%s", name);
    assert_ok(io_read_file(path, 1 << 20, &in));
    kit_add(k, buf_str(&in));
    buf_release(&in);
}

static void is_golden(const char *name, struct str got)
{
    struct buf want;
    char path[200];
    snprintf(path, sizeof(path), "tests/golden/output/%s", name);
    if (getenv("GOLDEN_WRITE"))
        assert_ok(io_write_file(path, got));
    assert_ok(io_read_file(path, 1 << 20, &want));
    if (!str_eq(buf_str(&want), got)) {
        print_error("%s: got\n%.*s\n", path, STR_ARG(got));
        fail();
    }
    buf_release(&want);
}

/* The body of the records by an output of that URL. */
static void write_body(const char *url, const char *records, struct buf *out)
{
    struct output_kit k = {0};
    struct output *o = kit_open(url);
    kit_file(&k, records);
    kit_add(&k, STR("{\"message\":\"of another body\",\"level\":\"warn\"}"));
    buf_clear(out);
    assert_ok(post_write(kit_post(o), &k.bulk, out));
    output_close(o);
    kit_release(&k);
}

/* What our own decoder, which is tested with other programs' clients, reads in it. */
static void is_read_as(enum wire_format format, struct str body, const char *name)
{
    struct golden g;
    uint32_t records;
    golden_init(&g);
    assert_ok(golden_decode(&g, format, body, &records));
    assert_int_equal(g.refused.n, 0);
    is_golden(name, buf_str(&g.rows));
    golden_release(&g);
}

static void test_json_bodies(void **state)
{
    static const struct {
        const char *url, *name;
    } cases[] = {
        {"opensearch://h/logs-{date}", "opensearch.out"},
        {"openobserve://h/org/stream", "openobserve.out"},
        {"http+ndjson://h/in", "ndjson.out"},
        {"http+json://h/in?_time=when", "json.out"},
        {"loki://h?format=json", "loki-json.out"},
        {"loki://h?format=json&line=message&labels=level,job=shop,c=x-{service}-{host}",
         "loki-json-message.out"},
    };
    struct buf body;
    buf_init(&body, SIZE_MAX);
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        write_body(cases[i].url, "records.ndjson", &body);
        is_golden(cases[i].name, buf_str(&body));
    }
    buf_release(&body);
}

static void unsqueeze(struct buf *body)
{
    struct buf plain;
    size_t n;
    assert_int_equal(snappy_uncompressed_length(body->p, body->n, &n), SNAPPY_OK);
    buf_init(&plain, SIZE_MAX);
    assert_int_equal(snappy_uncompress(body->p, body->n, buf_reserve(&plain, n), &n), SNAPPY_OK);
    plain.n = n;
    buf_clear(body);
    buf_put_str(body, buf_str(&plain));
    buf_release(&plain);
}

static void test_loki_protobuf(void **state)
{
    struct buf body;
    buf_init(&body, SIZE_MAX);
    write_body("loki://h", "records.ndjson", &body);
    unsqueeze(&body);
    is_golden("loki.out", buf_str(&body));
    is_read_as(WIRE_LOKI, buf_str(&body), "loki.rows");
    write_body("loki://h?line=message&labels=level,job=shop", "records.ndjson", &body);
    unsqueeze(&body);
    is_golden("loki-message.out", buf_str(&body));
    is_read_as(WIRE_LOKI, buf_str(&body), "loki-message.rows");
    buf_release(&body);
}

static void test_otlp(void **state)
{
    struct buf body;
    buf_init(&body, SIZE_MAX);
    write_body("otlp://h", "records.ndjson", &body);
    is_golden("otlp.out", buf_str(&body));
    is_read_as(WIRE_OTLP, buf_str(&body), "otlp.rows");
    write_body("otlp://h", "otel.ndjson", &body);
    is_golden("otel.out", buf_str(&body));
    is_read_as(WIRE_OTLP, buf_str(&body), "otel.rows");
    buf_release(&body);
}

static enum err add_entries(void *ctx, uint32_t item, struct rows *rows, struct arena *a)
{
    struct msgpack_rows *w;
    const int64_t *time;
    assert_ok(rows_time(rows, &time));
    assert_ok(msgpack_rows_new(rows, STR("tag"), a, &w));
    for (uint32_t i = 0; i < rows->n; i++) {
        forward_put_time(time[i], ctx);
        msgpack_rows_put(w, true, ctx);
    }
    return OK;
}

static void test_forward(void **state)
{
    struct output_kit k = {0};
    struct buf entries, out;
    buf_init(&entries, SIZE_MAX);
    buf_init(&out, SIZE_MAX);
    kit_file(&k, "records.ndjson");
    assert_ok(output_each_item(&k.bulk, add_entries, &entries));
    struct forward_message m = {
        .tag = STR("app.x"), .entries = buf_str(&entries), .records = 5, .chunk = STR("Y2h1bms=")};
    forward_put_message(&m, &out);
    is_golden("forward.out", buf_str(&out));
    is_read_as(WIRE_FORWARD, buf_str(&out), "forward.rows");
    buf_release(&entries);
    buf_release(&out);
    kit_release(&k);
}

struct syslog_run {
    struct syslog_writer *w;
    struct buf out;
};

static enum err add_message(void *ctx, const struct output_row *row)
{
    struct syslog_run *run = ctx;
    return syslog_put_row(run->w, row, &run->out);
}

static void write_syslog(const struct syslog_format *f, const char *name)
{
    struct output_kit k = {0};
    struct syslog_run run;
    kit_file(&k, "records.ndjson");
    buf_init(&run.out, SIZE_MAX);
    assert_ok(syslog_writer_new(f, &run.w));
    syslog_writer_begin(run.w);
    assert_ok(output_each_row(&k.bulk, add_message, &run));
    is_golden(name, buf_str(&run.out));
    syslog_writer_free(run.w);
    buf_release(&run.out);
    kit_release(&k);
}

static void test_syslog(void **state)
{
    const struct syslog_format counted = {
        .facility = 1, .framing = SYSLOG_COUNTED, .sd_id = STR("weir@32473")};
    const struct syslog_format lines = {
        .facility = 16, .framing = SYSLOG_LINES, .json = true, .sd_id = STR("weir@32473")};
    const struct syslog_format bare = {.facility = 0, .framing = SYSLOG_BARE, .max = 100};
    struct syslog_writer *w;
    write_syslog(&counted, "syslog-counted.out");
    write_syslog(&lines, "syslog-lines.out");
    write_syslog(&bare, "syslog-bare.out");
    assert_err(syslog_writer_new(&(struct syslog_format){.sd_id = STR("a b")}, &w), ERR_INVALID,
               "sd_id");
}

/* ---- answers ---- */

struct verdict {
    unsigned status;
    const char *answer;
    enum err err;
    const char *pieces; /* of two rows: t taken, o open, or the reason of a refusal */
};

static void judge(const char *url, const struct verdict *v, size_t n)
{
    struct output_kit k = {0};
    struct buf body;
    struct output *o = kit_open(url);
    buf_init(&body, SIZE_MAX);
    kit_add(&k, STR("{\"message\":\"one\"}\n{\"message\":\"two\"}"));
    for (size_t i = 0; i < n; i++) {
        const struct post_piece *piece;
        struct buf got;
        buf_clear(&body);
        buf_init(&got, SIZE_MAX);
        assert_ok(post_write(kit_post(o), &k.bulk, &body));
        enum err err = post_judge(kit_post(o), v[i].status, str_c(v[i].answer));
        assert_int_equal(err, v[i].err);
        uint32_t pieces = post_pieces(kit_post(o), &piece);
        assert_int_equal(pieces, 2);
        for (uint32_t p = 0; p < pieces; p++)
            buf_printf(&got, "%s%s", p ? ", " : "",
                       piece[p].state == PIECE_TAKEN  ? "t"
                       : piece[p].state == PIECE_OPEN ? "o"
                                                      : piece[p].reason);
        assert_str(buf_str(&got), v[i].pieces);
        buf_release(&got);
    }
    buf_release(&body);
    kit_release(&k);
    output_close(o);
}
#define JUDGE(url, verdicts) judge(url, verdicts, sizeof(verdicts) / sizeof(*(verdicts)))

static void test_status(void **state)
{
    static const struct verdict v[] = {
        {200, "", OK, "t, t"},
        {204, "", OK, "t, t"},
        {400, "bad", ERR_INVALID, "o, o"},
        {413, "", ERR_INVALID, "o, o"},
        {422, "", ERR_INVALID, "o, o"},
        {401, "", ERR_AUTH, "o, o"},
        {403, "", ERR_AUTH, "o, o"},
        {404, "", ERR_UNAVAILABLE, "o, o"},
        {429, "", ERR_UNAVAILABLE, "o, o"},
        {503, "", ERR_UNAVAILABLE, "o, o"},
        {302, "", ERR_UNAVAILABLE, "o, o"},
    };
    JUDGE("http+ndjson://h/", v);
    assert_ok(err_text()[0] ? OK : ERR_INVALID);
}

static void test_bulk_answers(void **state)
{
    static const struct verdict v[] = {
        {200, "{\"errors\":false,\"items\":[]}", OK, "t, t"},
        {200,
         "{\"errors\":true,\"items\":[{\"create\":{\"status\":201}},{\"create\":{\"status\":429,"
         "\"error\":{\"reason\":\"full\"}}}]}",
         OK, "t, o"},
        {200,
         "{\"errors\":true,\"items\":[{\"create\":{\"status\":400,\"error\":{\"reason\":\"bad\","
         "\"caused_by\":{\"reason\":\"no number\"}}}},{\"create\":{\"status\":409,\"error\":{}}}]}",
         OK, "bad: no number, t"},
        {200,
         "{\"errors\":true,\"items\":[{\"create\":{\"status\":404}},{\"create\":{\"status\":503}}]"
         "}",
         OK, "refused, o"},
        {200, "{\"errors\":true,\"items\":[{\"create\":{\"status\":201}}]}", ERR_UNAVAILABLE,
         "o, o"},
        {200, "{\"errors\":true,\"items\":[1,{\"index\":{}}]}", OK, "o, o"},
        {200, "{\"errors\":true}", ERR_UNAVAILABLE, "o, o"},
        {200, "<html>", ERR_UNAVAILABLE, "o, o"},
        {200, "", ERR_UNAVAILABLE, "o, o"},
    };
    JUDGE("opensearch://h/i", v);
}

static void test_openobserve_answers(void **state)
{
    static const struct verdict v[] = {
        {200, "{\"code\":200,\"status\":[{\"name\":\"s\",\"successful\":2,\"failed\":0}]}", OK,
         "t, t"},
        {200, "{\"status\":[{\"failed\":1,\"error\":\"no\"},{\"failed\":1}]}", OK,
         "no (2 of 2 records), no (2 of 2 records)"},
        {200, "{\"status\":[{\"failed\":1}]}", OK,
         "refused without a reason (1 of 2 records), refused without a reason (1 of 2 records)"},
        {200, "{\"code\":200}", ERR_UNAVAILABLE, "o, o"},
        {200, "x", ERR_UNAVAILABLE, "o, o"},
    };
    JUDGE("openobserve://h/o/s", v);
}

static void test_otlp_answers(void **state)
{
    static const struct verdict v[] = {
        {200, "", OK, "t, t"},
        {200, "\x0a\x07\x08\x01\x12\x03why", OK, "why (1 of 2 records), why (1 of 2 records)"},
        {200, "\x0a\x02\x08\x02", OK,
         "a partial success (2 of 2 records), a partial success (2 of 2 records)"},
        {200, "\x0a\x05\x12\x03you", OK, "t, t"}, /* a warning */
        {200, "\x0a\x7f", ERR_UNAVAILABLE, "o, o"},
        {200, "{}", ERR_UNAVAILABLE, "o, o"},
    };
    JUDGE("otlp://h", v);
}

static void test_forward_replies(void **state)
{
    struct forward_reply r;
    size_t n;
    assert_ok(forward_reply_read(STR("\x81\xa3"
                                     "ack\xa4Yw==\xc0"),
                                 &n, &r));
    assert_int_equal(n, 10);
    assert_int_equal(r.kind, FORWARD_ACK);
    assert_str(r.ack, "Yw==");
    assert_ok(forward_reply_read(STR("\x81\xa3"
                                     "ac"),
                                 &n, &r));
    assert_int_equal(n, 0);
    static const char *const bad[] = {"\xc1",
                                      "\xc0",
                                      "\x81\xa3"
                                      "ack\x01",
                                      "\x81\xa3"
                                      "nak\xa1x",
                                      "\x92\xa4PING\x80",
                                      "\x93\xa4PONG\xc3\xa0",
                                      "\x91\x01"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(forward_reply_read(str_c(bad[i]), &n, &r), ERR_INVALID, "answer");
    assert_ok(forward_reply_read(STR("\x92\xa4HELO\x83\xa5nonce\xc4\x02nn\xa4"
                                     "auth\xa1s\xa9keepalive\xc3"),
                                 &n, &r));
    assert_int_equal(r.kind, FORWARD_HELO);
    assert_str(r.nonce, "nn");
    assert_str(r.auth, "s");
    assert_ok(forward_reply_read(STR("\x95\xa4PONG\xc2\xa3why\xa1h\xa0"), &n, &r));
    assert_int_equal(r.kind, FORWARD_PONG);
    assert_false(r.ok);
    assert_str(r.reason, "why");
    assert_str(r.host, "h");
}

/* Both sides of the handshake, and a peer that does not know the key. */
static void test_forward_handshake(void **state)
{
    const struct forward_key k = {STR("key"), STR("u"), STR("p"), STR("me")};
    struct forward_reply helo = {.kind = FORWARD_HELO, .nonce = STR("nn"), .auth = STR("aa")};
    struct forward_reply pong = {.kind = FORWARD_PONG, .ok = true, .host = STR("you")};
    const struct str part[] = {STR("salt"), STR("you"), STR("nn"), STR("key")};
    char hex[FORWARD_DIGEST_BYTES];
    struct buf ping;
    buf_init(&ping, SIZE_MAX);
    forward_put_ping(&k, &helo, STR("salt"), &ping);
    is_golden("forward-ping.out", buf_str(&ping));
    forward_digest(part, 4, hex);
    pong.digest = str_of(hex, sizeof(hex));
    assert_true(forward_is_proof(&k, STR("nn"), STR("salt"), &pong));
    assert_false(forward_is_proof(&k, STR("nx"), STR("salt"), &pong));
    pong.digest.n--;
    assert_false(forward_is_proof(&k, STR("nn"), STR("salt"), &pong));
    buf_release(&ping);
}

static void test_urls(void **state)
{
    static const struct {
        const char *url, *text;
    } bad[] = {
        {"forward://h?shared_key=k&tags=x", "tag"},
        {"forward://u:p@h", "shared_key"},
        {"forward://h?tag={x", "{field}"},
        {"forward://h?ack=maybe", "yes or no"},
        {"forward://h?compress=zip", "gzip or none"},
        {"forward:///x", "HOST:PORT"},
        {"forward+tls://h?tls_ca=/none.pem", "/none.pem"},
        {"loki://h?labels=a,,b", "labels"},
        {"loki://h?format=xml", "protobuf or json"},
        {"loki://h?compress=gzip", "snappy"},
        {"otlp://h?timeout=soon", "30s"},
        {"openobserve://h/org", "ORG/STREAM"},
        {"openobserve://h/org/a/b", "ORG/STREAM"},
        {"openobserve://h/org/a%20b", "letters"},
        {"http+ndjson://h/?header=x", "Name:value"},
        {"http+ndjson://h/?header=a:b%0d%0ac:d", "line ends"},
        {"opensearch://h/Logs", "small letters"},
        {"opensearch://h/logs?template=/none.json", "no such file"},
        {"syslog+udp://h?framing=octet", "none by UDP"},
        {"syslog+tcp://h?facility=foo", "local0"},
        {"syslog+tcp://h?max=1k", "by UDP"},
        {"syslog+tcp://h?sd_id=a%20b", "sd_id"},
    };
    struct output *o;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
        assert_err(output_open(output_types, str_c(bad[i].url), &o), ERR_INVALID, bad[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_bodies),
        cmocka_unit_test(test_loki_protobuf),
        cmocka_unit_test(test_otlp),
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_syslog),
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_bulk_answers),
        cmocka_unit_test(test_openobserve_answers),
        cmocka_unit_test(test_otlp_answers),
        cmocka_unit_test(test_forward_replies),
        cmocka_unit_test(test_forward_handshake),
        cmocka_unit_test(test_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
