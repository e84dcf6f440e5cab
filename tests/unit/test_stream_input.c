/* Inputs on connections, with a sink in the test's hand and plain sockets: what is acknowledged,
 * what is kept and tried again, who is made to wait, who is cut off. The protocol of the test:
 * lines; each line is a body and its own acknowledgement; "!" is refused by the protocol. */
#include "core/buf.h"
#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"
#include "input/stream.h"
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

enum { LINE_MAX_BYTES = 100000, LONG_MS = 60000 };

/* ---- a sink that answers when and what it is told to ---- */

struct held {
    struct ingest_body body;
    char text[64];
};
static struct {
    pthread_mutex_t lock;
    bool hold;       /* keep bodies until they are let go */
    enum err answer; /* of the next `fail` bodies */
    unsigned fail;
    struct held held[256];
    unsigned n_held, n_taken;
} sink = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void answer(const struct ingest_body *b, enum err err)
{
    struct ingest_result r = {.err = err, .text = "the test says no", .accepted = err == OK};
    b->done(b->ctx, &r);
}

static void take(void *ctx, const struct ingest_body *b)
{
    pthread_mutex_lock(&sink.lock);
    sink.n_taken++;
    enum err err = OK;
    bool hold = sink.hold;
    if (sink.fail) {
        sink.fail--;
        err = sink.answer;
    } else if (hold) {
        struct held *h = &sink.held[sink.n_held++];
        h->body = *b;
        snprintf(h->text, sizeof(h->text), "%.*s", (int)(b->bytes.n < 40 ? b->bytes.n : 40),
                 b->bytes.p);
    }
    pthread_mutex_unlock(&sink.lock);
    if (!hold || err != OK)
        answer(b, err);
}

static unsigned held(void)
{
    pthread_mutex_lock(&sink.lock);
    unsigned n = sink.n_held;
    pthread_mutex_unlock(&sink.lock);
    return n;
}

static unsigned taken(void)
{
    pthread_mutex_lock(&sink.lock);
    unsigned n = sink.n_taken;
    pthread_mutex_unlock(&sink.lock);
    return n;
}

static void let_go(unsigned i)
{
    answer(&sink.held[i].body, OK);
}

/* ---- the protocol ---- */

static enum err cut(void *ctx, struct conn *c, void *state, struct str in, bool ended,
                    struct stream_cut *ret)
{
    size_t end = str_find_byte(in, '\n', 0);
    if (in.n && in.p[0] == '!')
        return err_set(ERR_INVALID, "an exclamation mark");
    if (end == in.n)
        return OK;
    ret->n = end + 1;
    ret->body = str_of(in.p, end);
    ret->ack = str_of(in.p, end + 1);
    return OK;
}

static enum err landed(void *ctx, struct conn *c, void *state, struct str ack)
{
    return conn_write(c, ack);
}

static const struct stream_protocol protocol = {
    .name = "test",
    .format = WIRE_TEXT,
    .cut = cut,
    .landed = landed,
};
static const struct input_type type = {
    .name = "test",
    .schemes = (const char *const[]){"test", NULL},
    .start = stream_input_start,
    .stop = stream_input_stop,
    .close = stream_input_close,
    .status = stream_input_status,
};

static struct input *open_input(void)
{
    struct arena arena;
    struct url url;
    struct input *in;
    struct input_options o = {
        .url = STR("test://127.0.0.1:0"),
        .sink = {NULL, take},
        .body_max = LINE_MAX_BYTES,
        .connections_max = 3,
    };
    sink.hold = false;
    sink.fail = sink.n_held = sink.n_taken = 0;
    arena_init(&arena, 0, NULL);
    assert_ok(url_parse(o.url, &arena, &url));
    assert_ok(stream_input_open(&type, &protocol, &o, &url, &in));
    assert_ok(input_start(in));
    arena_release(&arena);
    return in;
}

static void close_input(struct input *in)
{
    input_stop(in, LONG_MS);
    input_close(in);
    assert_int_equal(governor_used_by(OWNER_INGEST), 0);
}

/* ---- a client ---- */

static int connect_to(struct input *in)
{
    struct input_status st;
    input_status(in, &st);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port =
                                htons((uint16_t)strtoul(strchr(st.address, ':') + 1, NULL, 10))};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static uint64_t connections(struct input *in)
{
    struct input_status st;
    input_status(in, &st);
    return st.connections;
}

static bool says_last(struct input *in, const char *text)
{
    struct input_status st;
    input_status(in, &st);
    return strstr(st.last_error, text) != NULL;
}

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static bool readable(int fd, int ms)
{
    struct pollfd p = {fd, POLLIN, 0};
    return poll(&p, 1, ms) == 1;
}

/* The next n bytes that come are these. */
static void expect(int fd, const char *text)
{
    char got[256] = "";
    size_t n = 0, want = strlen(text);
    while (n < want) {
        assert_true(readable(fd, LONG_MS));
        ssize_t r = recv(fd, got + n, want - n, 0);
        assert_true(r > 0);
        n += (size_t)r;
    }
    assert_string_equal(got, text);
}

static void expect_end(int fd)
{
    char byte;
    assert_true(readable(fd, LONG_MS));
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void wait_held(unsigned n)
{
    assert_soon(held() >= n);
    assert_int_equal(held(), n);
}

/* ---- tests ---- */

static void test_acknowledges_when_durable_and_in_order(void **state)
{
    struct input *in = open_input();
    int fd = connect_to(in);
    sink.hold = true;
    send_text(fd, "a\nb\nc\n");
    wait_held(3);
    let_go(1);
    let_go(2);
    assert_false(readable(fd, 50));
    let_go(0);
    expect(fd, "a\nb\nc\n");
    close(fd);
    close_input(in);
}

static void test_tries_again_what_could_not_land(void **state)
{
    static const enum err passing[] = {ERR_UNAVAILABLE, ERR_NOMEM, ERR_FULL, ERR_CONFLICT};
    struct input *in = open_input();
    int fd = connect_to(in);
    for (unsigned i = 0; i < 4; i++) {
        pthread_mutex_lock(&sink.lock);
        sink.answer = passing[i];
        sink.fail = 1;
        pthread_mutex_unlock(&sink.lock);
        send_text(fd, "x\n");
        expect(fd, "x\n");
    }
    assert_int_equal(taken(), 8);
    close(fd);
    close_input(in);
}

static void test_what_never_lands_is_not_acknowledged(void **state)
{
    struct input *in = open_input();
    struct input_status st;
    int fd = connect_to(in);
    sink.answer = ERR_INVALID;
    sink.fail = 1;
    send_text(fd, "bad\n");
    expect_end(fd);
    input_status(in, &st);
    assert_int_equal(st.errors, 1);
    assert_non_null(strstr(st.last_error, "127.0.0.1: the test says no"));
    close(fd);
    close_input(in);
}

static void test_a_full_sender_waits(void **state)
{
    struct input *in = open_input();
    int fd = connect_to(in), other;
    sink.hold = true;
    for (int i = 0; i < 200; i++)
        send_text(fd, "line\n");
    wait_held(64);
    clock_sleep_ms(50);
    assert_int_equal(held(), 64);
    other = connect_to(in); /* others are not made to wait */
    send_text(other, "other\n");
    wait_held(65);
    assert_string_equal(sink.held[64].text, "other");
    sink.hold = false;
    for (unsigned i = 0; i < 65; i++)
        let_go(i);
    for (int i = 0; i < 200; i++)
        expect(fd, "line\n");
    expect(other, "other\n");
    close(fd);
    close(other);
    close_input(in);
}

static void test_the_end_waits_for_what_is_out(void **state)
{
    struct input *in = open_input();
    int fd = connect_to(in);
    sink.hold = true;
    send_text(fd, "last\n");
    shutdown(fd, SHUT_WR);
    wait_held(1);
    assert_false(readable(fd, 50));
    let_go(0);
    expect(fd, "last\n");
    expect_end(fd);
    close(fd);
    close_input(in);
}

static void test_a_sender_that_leaves(void **state)
{
    struct input *in = open_input();
    struct input_status st;
    int fd = connect_to(in);
    sink.hold = true;
    send_text(fd, "kept\n");
    wait_held(1);
    struct linger now = {1, 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd); /* a reset */
    assert_soon(connections(in) == 0);
    let_go(0);
    input_stop(in, LONG_MS);
    input_status(in, &st);
    assert_int_equal(st.accepted, 1);
    close_input(in);
}

static void test_bad_and_too_long_is_cut_off(void **state)
{
    struct input *in = open_input();
    struct input_status st;
    int fd = connect_to(in);
    send_text(fd, "good\n!bad\n");
    expect(fd, "good\n");
    expect_end(fd);
    close(fd);
    fd = connect_to(in);
    char block[10000];
    memset(block, 'x', sizeof(block));
    for (int i = 0; i < 300; i++)
        if (send(fd, block, sizeof(block), MSG_NOSIGNAL) < 0)
            break;
    assert_soon(says_last(in, "longer than"));
    input_status(in, &st);
    assert_int_equal(st.errors, 2);
    close(fd);
    close_input(in);
}

static void test_no_memory_makes_it_wait(void **state)
{
    struct input *in = open_input();
    governor_set_budget(8 << 20);
    governor_force(OWNER_INGEST, 8 << 20);
    int fd = connect_to(in);
    send_text(fd, "late\n");
    assert_false(readable(fd, 100));
    governor_give(OWNER_INGEST, 8 << 20);
    expect(fd, "late\n");
    governor_set_budget(0);
    close(fd);
    close_input(in);
}

static void test_more_connections_than_allowed_wait(void **state)
{
    struct input *in = open_input();
    int fd[4];
    for (int i = 0; i < 4; i++)
        fd[i] = connect_to(in);
    send_text(fd[3], "fourth\n");
    for (int i = 0; i < 3; i++) {
        send_text(fd[i], "x\n");
        expect(fd[i], "x\n");
    }
    assert_false(readable(fd[3], 50));
    close(fd[0]);
    expect(fd[3], "fourth\n");
    for (int i = 1; i < 4; i++)
        close(fd[i]);
    close_input(in);
}

static void test_stop_gives_up_what_cannot_land(void **state)
{
    struct input *in = open_input();
    int fd = connect_to(in);
    sink.answer = ERR_UNAVAILABLE;
    sink.fail = 1000;
    send_text(fd, "never\n");
    assert_soon(taken() > 0);
    input_stop(in, 50);
    struct input_status st;
    input_status(in, &st);
    assert_int_equal(st.waiting, 0);
    assert_int_equal(st.accepted, 0);
    input_close(in);
    assert_int_equal(governor_used_by(OWNER_INGEST), 0);
    expect_end(fd); /* without an acknowledgement */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acknowledges_when_durable_and_in_order),
        cmocka_unit_test(test_tries_again_what_could_not_land),
        cmocka_unit_test(test_what_never_lands_is_not_acknowledged),
        cmocka_unit_test(test_a_full_sender_waits),
        cmocka_unit_test(test_the_end_waits_for_what_is_out),
        cmocka_unit_test(test_a_sender_that_leaves),
        cmocka_unit_test(test_bad_and_too_long_is_cut_off),
        cmocka_unit_test(test_no_memory_makes_it_wait),
        cmocka_unit_test(test_more_connections_than_allowed_wait),
        cmocka_unit_test(test_stop_gives_up_what_cannot_land),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
