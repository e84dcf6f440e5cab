/* The HTTP server against plain sockets: what is sent is written here to the byte. */
#include "core/buf.h"
#include "core/clock.h"
#include "core/governor.h"
#include "core/mem.h"
#include "core/thread.h"
#include "net/http_server.h"
#include "net/listen.h"
#include "test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/socket.h>

enum { BODY_MAX = 100000, PLACES = 3 };

static struct http_server *server;
static int port;

/* ---- handlers ---- */

static void handle_echo(void *ctx, struct http_request *r)
{
    http_reply_header(r, "X-Name", http_param(r, "name").n ? http_param(r, "name").p : "none");
    struct str body = http_body(r);
    if (body.n)
        for (int i = 0; i < 64; i++)
            assert_int_equal(body.p[body.n + (size_t)i], 0);
    http_reply(r, 200, "text/plain", body);
}

static void *answer_late(void *arg)
{
    clock_sleep_ms(20);
    http_reply(arg, 202, "text/plain", STR("late"));
    return NULL;
}

static void handle_late(void *ctx, struct http_request *r)
{
    pthread_t t;
    http_body_release(r);
    assert_ok(thread_start(&t, "late", answer_late, r));
    pthread_detach(t);
}

enum { STREAM_LINES = 200000 };

static void handle_stream(void *ctx, struct http_request *r)
{
    bool fail = str_eq_c(http_param(r, "fail"), "1");
    http_stream_begin(r, 200, "application/x-ndjson");
    enum err err = OK;
    for (int i = 0; i < STREAM_LINES && err == OK; i += 1000) {
        struct buf b;
        buf_init(&b, 1 << 20);
        for (int k = i; k < i + 1000; k++)
            buf_printf(&b, "%08d\n", k);
        err = http_stream_write(r, buf_str(&b));
        buf_release(&b);
    }
    http_stream_end(r, err == OK && !fail);
}

static atomic_int drips; /* begun */

static void handle_drip(void *ctx, struct http_request *r)
{
    drips++;
    http_stream_begin(r, 200, NULL);
    enum err err = OK;
    for (int i = 0; i < 5 && err == OK; i++) {
        clock_sleep_ms(5);
        err = http_stream_write(r, STR("drip\n"));
    }
    http_stream_end(r, err == OK);
}

static atomic_int canceled_seen, waiting_now;

static void handle_wait(void *ctx, struct http_request *r)
{
    waiting_now++;
    for (int i = 0; i < 60000 && !*http_canceled(r); i++)
        clock_sleep_ms(1);
    canceled_seen += *http_canceled(r);
    waiting_now--;
    http_reply(r, 200, NULL, STR("waited"));
}

static void handle_refuse(void *ctx, struct http_request *r)
{
    http_error(r, 503, "no \"room\"\nfor \x01 and \xff: %d", 7);
}

static void handle_point(void *ctx, struct http_request *r)
{
    http_error_at(r, 400, "here", 12);
}

/* The path's segments, one by one. */
static void handle_box(void *ctx, struct http_request *r)
{
    struct str one = http_path_segment(r, 1), none = http_path_segment(r, 9);
    assert_int_equal(none.n, 0);
    http_reply(r, 200, NULL,
               arena_printf(http_arena(r), "%s [%.*s] [%.*s]", (const char *)ctx, STR_ARG(one),
                            STR_ARG(http_path_rest(r, 2))));
}

/* ---- bodies taken as they come: lines, whole ones ---- */

struct taking {
    struct buf lines;
    unsigned calls, skip; /* every skip-th call takes nothing */
    bool aside;
};
static atomic_int takings; /* begun and not over */
static atomic_int begun;   /* ever */
static atomic_int places;  /* that are free */
static atomic_bool is_full;
static atomic_size_t bytes_taken;

static void *begin_taking(void *ctx, struct http_request *r, uint64_t length, bool *ret_crowded)
{
    uint64_t skip = 0;
    *ret_crowded = false;
    if (!str_to_u64(http_param(r, "skip"), &skip))
        return NULL;
    *ret_crowded = places == 0;
    if (*ret_crowded)
        return NULL;
    places--;
    struct taking *t = NEW(struct taking);
    buf_init(&t->lines, BODY_MAX);
    t->skip = (unsigned)skip;
    takings++;
    begun++;
    return t;
}

static void end_taking(void *upload)
{
    struct taking *t = upload;
    buf_release(&t->lines);
    places += !t->aside;
    mem_free(t);
    takings--;
}

static size_t take_lines(void *upload, struct str bytes)
{
    struct taking *t = upload;
    volatile char sum = 0;
    for (size_t i = 0; i < 64; i++) /* readable, says the sanitizer */
        sum = (char)(sum + bytes.p[bytes.n + i]);
    if (t->skip == 1) {
        end_taking(t);
        return HTTP_GATHER;
    }
    const char *last = memrchr(bytes.p, '\n', bytes.n);
    assert_false(t->aside);
    if (!last || (t->skip && ++t->calls % t->skip == 0))
        return 0;
    buf_put(&t->lines, bytes.p, (size_t)(last - bytes.p) + 1);
    bytes_taken += (size_t)(last - bytes.p) + 1;
    return (size_t)(last - bytes.p) + 1;
}

static void set_aside(void *upload)
{
    ((struct taking *)upload)->aside = true;
    places++;
}

static bool taker_is_full(void *ctx)
{
    return is_full;
}

static const struct http_taker taker = {NULL,      1000,          begin_taking, take_lines,
                                        set_aside, taker_is_full, end_taking};

static void handle_taken(void *ctx, struct http_request *r)
{
    struct taking *t = http_upload(r);
    struct str body = http_body(r);
    assert_null(http_upload(r));
    for (int i = 0; body.n && i < 64; i++)
        assert_int_equal(body.p[body.n + (size_t)i], 0);
    http_reply_header(r, "X-Way", t ? "taken" : "gathered");
    if (t)
        buf_put_str(&t->lines, body);
    http_reply(r, 200, "text/plain", t ? buf_str(&t->lines) : body);
    if (t)
        end_taking(t);
}

static const struct http_route routes[] = {
    {"POST", "/taken", HTTP_INGEST, true, handle_taken, NULL},
    {"GET", "/box/red/lid", HTTP_FAST, true, handle_box, "red"},
    {"GET", "/box/{name}/lid", HTTP_FAST, true, handle_box, "any"},
    {"POST", "/box/{name}/lid", HTTP_FAST, true, handle_box, "any"},
    {"GET", "/box/{name}/in/+", HTTP_FAST, true, handle_box, "in"},

    {"GET", "/echo", HTTP_FAST, true, handle_echo, NULL},
    {"POST", "/echo", HTTP_INGEST, true, handle_echo, NULL},
    {"POST", "/form", HTTP_FAST, true, handle_echo, NULL},
    {"GET", "/files/+", HTTP_FAST, true, handle_echo, NULL},
    {"POST", "/late", HTTP_INGEST, true, handle_late, NULL},
    {"GET", "/stream", HTTP_QUERY, true, handle_stream, NULL},
    {"GET", "/drip", HTTP_QUERY, true, handle_drip, NULL},
    {"GET", "/wait", HTTP_QUERY, true, handle_wait, NULL},
    {"GET", "/refuse", HTTP_FAST, true, handle_refuse, NULL},
    {"GET", "/point", HTTP_FAST, true, handle_point, NULL},
    {"GET", "/secret", HTTP_FAST, false, handle_echo, NULL},
    {0},
};

static bool authorize(void *ctx, struct str authorization)
{
    return str_eq_c(authorization, "Basic good");
}

static const struct http_server_options options = {
    .listen = "127.0.0.1:0",
    .body_max = BODY_MAX,
    .connections_max = 64,
    .workers = {1, 2, 2},
    .routes = routes,
    .authorize = authorize,
    .taker = &taker,
};

static int start(void **state)
{
    places = PLACES;
    assert_ok(http_server_start(&options, &server));
    port = atoi(strrchr(http_server_address(server), ':') + 1);
    return port > 0 ? 0 : -1;
}

static int stop(void **state)
{
    http_server_stop(server, 2000);
    assert_int_equal(governor_used(), 0);
    return 0;
}

/* ---- client ---- */

static int dial(void)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void send_all(int fd, struct str s)
{
    while (s.n > 0) {
        ssize_t n = send(fd, s.p, s.n, MSG_NOSIGNAL);
        assert_true(n > 0);
        s = str_from(s, (size_t)n);
    }
}

/* Reads to the connection's end or a minute of silence. */
static struct buf receive(int fd)
{
    struct buf b;
    buf_init(&b, 64 << 20);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (poll(&p, 1, 60000) == 1) {
        char *to = buf_reserve(&b, 65536);
        ssize_t n = recv(fd, to, 65536, 0);
        if (n <= 0)
            break;
        b.n += (size_t)n;
    }
    close(fd);
    buf_put_byte(&b, 0);
    b.n--;
    return b;
}

static struct buf ask(const char *request)
{
    int fd = dial();
    send_all(fd, str_c(request));
    return receive(fd);
}

#define HEAD(line) line " HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
#define AUTH "Authorization: Basic good\r\n\r\n"

static void expect(const char *request, const char *status, const char *part)
{
    struct buf b = ask(request);
    if (!strstr(b.p, status) || !strstr(b.p, part))
        fail_msg("%s\n answered %s", request, b.p);
    buf_release(&b);
}

/* ---- tests ---- */

static void test_plain(void **state)
{
    expect(HEAD("GET /echo?name=a%20b%2Bc+d") "\r\n", "HTTP/1.1 200", "X-Name: a b+c d\r\n");
    expect(HEAD("POST /echo") "Content-Length: 5\r\n\r\nhello", "200 OK", "\r\n\r\nhello");
    expect(HEAD("POST /echo") "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
           "200 OK", "\r\n\r\nhello");
    expect(HEAD("POST /late") "Content-Length: 2\r\n\r\nhi", "202", "late");
    expect(HEAD("GET /files/a/b") "\r\n", "200 OK", "");
    expect(HEAD("GET /files/") AUTH, "404", "did you mean");
}

static void test_patterns(void **state)
{
    expect(HEAD("GET /box/red/lid") "\r\n", "200 OK", "red [red] [lid]");
    expect(HEAD("GET /box/blue%20x/lid") "\r\n", "200 OK", "any [blue x] [lid]");
    expect(HEAD("GET /box/blue/in/a%2Fb/c") "\r\n", "200 OK", "in [blue] [in/a/b/c]");
    expect(HEAD("GET /box/blue/in/") AUTH, "404", "nothing is at");
    expect(HEAD("GET /box//lid") AUTH, "404", "nothing is at /box//lid");
    expect(HEAD("GET /box/blue/lid/") AUTH, "404", "did you mean /box/red/lid");
    expect(HEAD("POST /box/red/lid") "Content-Length: 0\r\n" AUTH, "405", "Allow: GET\r\n");
    expect(HEAD("PUT /box/blue/lid") "Content-Length: 0\r\n" AUTH, "405", "Allow: GET, POST");
}

static void test_head_has_no_body(void **state)
{
    struct buf b = ask(HEAD("HEAD /drip") "\r\n");
    assert_non_null(strstr(b.p, "200 OK"));
    assert_true(str_ends(buf_str(&b), STR("\r\n\r\n")));
    buf_release(&b);
    b = ask(HEAD("HEAD /refuse") "\r\n");
    assert_non_null(strstr(b.p, "503"));
    assert_true(str_ends(buf_str(&b), STR("\r\n\r\n")));
    buf_release(&b);
}

static void test_form(void **state)
{
    expect(HEAD("POST /form") "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
                              "Content-Length: 28\r\n\r\na=1&&name=x%3D%zz+%41%4&b=%\r",
           "200 OK", "X-Name: x=%zz A%4\r\n");
    expect(HEAD("POST /echo") "Content-Type: application/x-www-form-urlencoded\r\n"
                              "Content-Length: 8\r\n\r\nname=abc",
           "200 OK", "X-Name: none\r\n");
}

static void test_errors_are_json(void **state)
{
    expect(HEAD("GET /refuse") "\r\n", "503",
           "{\"error\":\"no \\\"room\\\"\\nfor \\u0001 and ?: 7\",\"status\":503}");
    expect(HEAD("GET /refuse") "\r\n", "503", "Retry-After: 1\r\n");
    expect(HEAD("GET /point") "\r\n", "400", "{\"error\":\"here\",\"status\":400,\"at\":12}");
    expect(HEAD("GET /ecko") AUTH, "404", "did you mean /echo?");
    expect(HEAD("GET /nowhere-at-all") AUTH, "404", "/api/v1/");
    expect(HEAD("PUT /echo") "Content-Length: 1\r\n" AUTH "x", "405", "Allow: GET, POST\r\n");
    expect(HEAD("GET /secret") "\r\n", "401", "WWW-Authenticate: Basic realm=\"weir\"");
    expect(HEAD("GET /secret") AUTH, "200 OK", "");
    expect(HEAD("GET /missing") "\r\n", "401", "credentials");
}

/* A large body, by length or in chunks, with or without waiting for 100 Continue. */
static void test_body_limit(void **state)
{
    const char *wants = "larger than 97.7 KiB (limits.body_bytes)";
    expect(HEAD("POST /echo") "Content-Length: 100001\r\nExpect: 100-continue\r\n\r\n", "413",
           wants);
    char *body = NEW_ARRAY(char, BODY_MAX + 2);
    memset(body, 'x', BODY_MAX + 1);
    for (int chunked = 0; chunked < 2; chunked++) {
        char *request =
            chunked
                ? mem_printf(HEAD("POST /echo") "Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n"
                                                "0\r\n\r\n",
                             BODY_MAX + 1, body)
                : mem_printf(HEAD("POST /echo") "Content-Length: %d\r\n\r\n%s", BODY_MAX + 1, body);
        expect(request, "413", wants);
        mem_free(request);
    }
    body[BODY_MAX] = 0;
    char *request = mem_printf(HEAD("POST /echo") "Content-Length: %d\r\n\r\n%s", BODY_MAX, body);
    expect(request, "200 OK", body);
    mem_free(request);
    mem_free(body);
}

/* Sends in pieces of random sizes, each of which arrives before the next is sent, mostly. */
static void send_pieces(int fd, struct str s, uint64_t *seed)
{
    while (s.n) {
        *seed = *seed * 6364136223846793005 + 1442695040888963407;
        size_t n = (*seed >> 33) % (*seed >> 62 ? 30000 : 200) + 1;
        n = n < s.n ? n : s.n;
        send_all(fd, str_of(s.p, n));
        s = str_from(s, n);
        if (*seed >> 63)
            clock_sleep_ms(1);
    }
}

static void test_taken_bodies_are_whole(void **state)
{
    uint64_t seed = 5;
    unsigned taken = 0;
    for (unsigned round = 0; round < 60; round++) {
        struct buf body, want;
        buf_init(&body, BODY_MAX);
        size_t least = round % 5 ? 1000 + round * 1500 : 999;
        for (unsigned i = 0; body.n < least; i++) {
            seed = seed * 6364136223846793005 + 1442695040888963407;
            size_t n = (seed >> 33) % (i % 20 ? 300 : 9000);
            for (size_t k = 0; k < n && body.n < least; k++)
                buf_put_byte(&body, (char)('a' + (k + i) % 26));
            if (body.n < least)
                buf_put_byte(&body, '\n');
        }
        unsigned skip = round % 4;
        bool gathered = skip == 1 || body.n < 1000;
        char *head =
            mem_printf(HEAD("POST /taken?skip=%u") "Content-Length: %zu\r\n\r\n", skip, body.n);
        int fd = dial();
        send_all(fd, str_c(head));
        send_pieces(fd, buf_str(&body), &seed);
        want = receive(fd);
        bool was_taken = strstr(want.p, "X-Way: taken");
        assert_false(gathered && was_taken);
        taken += was_taken;
        const char *got = strstr(want.p, "\r\n\r\n");
        assert_non_null(got);
        assert_true(str_eq(str_c(got + 4), buf_str(&body)));
        mem_free(head);
        buf_release(&want);
        buf_release(&body);
    }
    assert_soon(!takings); /* an answer is here before its handler is over */
    assert_true(taken > 20);
}

#define TAKEN HEAD("POST /taken?skip=0") "Content-Length: 90000\r\n\r\n"

/* The begin of a body of 90000 bytes. */
static int send_lines(int n)
{
    char line[2000];
    int fd = dial();
    memset(line, 'x', 2000);
    line[1999] = '\n';
    send_all(fd, STR(TAKEN));
    for (int i = 0; i < n; i++)
        send_all(fd, str_of(line, 2000));
    return fd;
}

static void test_taken_bodies_that_break_off_are_abandoned(void **state)
{
    for (int i = 0; i < 8; i++) {
        int fd = send_lines(i);
        assert_soon(takings == 1);
        close(fd);
        assert_soon(takings == 0);
    }
}

/* The end comes with the last bytes, mostly, and libmicrohttpd does not look for another. */
static void test_clients_that_leave_at_once_are_seen(void **state)
{
    int before = begun;
    places = 1000;
    for (int i = 0; i < 200; i++)
        close(send_lines(1 + i % 20));
    assert_soon(begun == before + 200);
    assert_soon(takings == 0);
    places = PLACES;
}

static void test_clients_that_leave_while_bodies_wait_are_seen(void **state)
{
    for (int i = 0; i < 20; i++) {
        int before = begun;
        is_full = true;
        for (int k = 0; k < PLACES; k++)
            close(send_lines(1 + i + k));
        assert_soon(begun == before + PLACES);
        clock_sleep_ms(i % 5);
        is_full = false;
        http_server_go_on(server);
        assert_soon(takings == 0);
    }
}

static void expect_taken(bool taken)
{
    char *body = NEW_ARRAY(char, 90001);
    memset(body, '\n', 90000);
    char *request = mem_printf("%s%s", TAKEN, body);
    expect(request, "200 OK", taken ? "X-Way: taken" : "X-Way: gathered");
    mem_free(request);
    mem_free(body);
}

static struct http_server *server_of_all;
static int port_of_all;

static void start_own(const struct http_server_options *o)
{
    server_of_all = server;
    port_of_all = port;
    assert_ok(http_server_start(o, &server));
    port = atoi(strrchr(http_server_address(server), ':') + 1);
}

static void stop_own(void)
{
    http_server_stop(server, 2000);
    server = server_of_all;
    port = port_of_all;
}

/* Sends the rest of one that send_lines began. */
static void finish(int fd, int sent, bool taken)
{
    for (int i = sent; i < 45; i++) {
        char line[2000];
        memset(line, 'y', 2000);
        line[1999] = '\n';
        send_all(fd, str_of(line, 2000));
    }
    struct buf b = receive(fd);
    assert_non_null(strstr(b.p, taken ? "X-Way: taken" : "X-Way: gathered"));
    const char *got = strstr(b.p, "\r\n\r\n");
    assert_int_equal(b.p + b.n - (got + 4), 90000);
    assert_int_equal(got[4], 'x');
    assert_int_equal(b.p[b.n - 2], 'y');
    buf_release(&b);
}

/* Who stops amid a body keeps its place with the taker from nobody, and may go on all the same. */
static void test_slow_bodies_are_set_aside(void **state)
{
    for (int is_slow = 0; is_slow < 2; is_slow++) {
        struct http_server_options o = options;
        o.slow_ms = is_slow ? 100 : 60000;
        start_own(&o);
        int stopped[PLACES];
        for (int i = 0; i < PLACES; i++)
            stopped[i] = send_lines(20);
        assert_soon(takings == PLACES);
        assert_int_equal(places, 0);
        clock_sleep_ms(200);
        for (int i = 0; i < 10; i++) {
            expect_taken(is_slow);
            assert_soon(places == is_slow);
        }
        for (int i = 0; i < PLACES; i++)
            finish(stopped[i], 20, true);
        assert_soon(takings == 0);
        assert_soon(places == PLACES);
        stop_own();
    }
}

/* Nor does it keep memory from others: what is reserved for the rest of it at first, all later. */
static void test_slow_bodies_give_memory_back(void **state)
{
    struct http_server_options o = options;
    o.slow_ms = 50;
    o.taker = NULL;
    start_own(&o);
    governor_set_budget(200000);
    int slow[2];
    for (int i = 0; i < 2; i++)
        slow[i] = send_lines(40 - i * 35); /* one is there with 80000 bytes */
    clock_sleep_ms(200);
    assert_true(governor_used() > 180000);
    expect_taken(false);
    assert_soon(governor_used() <= 100000);
    finish(slow[1], 5, false);
    assert_soon(governor_used() <= 90000);
    slow[1] = send_lines(40);
    clock_sleep_ms(1500);
    expect(HEAD("POST /taken") "Content-Length: 90000\r\nExpect: 100-continue\r\n\r\n", "503",
           "no memory for the body");
    assert_soon(!governor_used());
    expect_taken(false);
    for (int i = 0; i < 2; i++) {
        struct buf b = receive(slow[i]);
        assert_int_equal(b.n, 0);
        buf_release(&b);
    }
    governor_set_budget(0);
    stop_own();
}

/* Of a body that waits only what came before is taken; another goes its way meanwhile. */
static void test_taken_bodies_wait_for_room(void **state)
{
    enum { N = 100000, WHOLE = 0, STOP = 1 };
    struct http_server_options o = options;
    struct http_server *all = server;
    int all_port = port;
    o.threads = 1;
    assert_ok(http_server_start(&o, &server));
    port = atoi(strrchr(http_server_address(server), ':') + 1);
    char *body = mem_alloc(N);
    for (int i = 0; i < N; i++)
        body[i] = i % 1000 == 999 ? '\n' : 'x';
    for (int way = WHOLE; way <= STOP; way++) {
        int fd = dial();
        bytes_taken = 0;
        is_full = true;
        send_all(fd, STR(HEAD("POST /taken?skip=0") "Content-Length: 100000\r\n\r\n"));
        send_all(fd, str_of(body, N / 4));
        assert_soon(bytes_taken > 0);
        send_all(fd, str_of(body + N / 4, N - N / 4));
        int other = dial();
        send_all(other, STR("POST /echo HTTP/1.1\r\nHost: t\r\nConnection: close\r\n"
                            "Content-Length: 3\r\n\r\nabc"));
        struct buf answer = receive(other);
        assert_non_null(strstr(answer.p, "abc"));
        buf_release(&answer);
        clock_sleep_ms(20);
        assert_true(bytes_taken <= N / 4);
        if (way == STOP) {
            http_server_stop(server, 60000);
        } else {
            is_full = false;
            http_server_go_on(server);
        }
        answer = receive(fd);
        const char *got = strstr(answer.p, "\r\n\r\n");
        assert_non_null(got);
        assert_non_null(strstr(answer.p, "X-Way: taken"));
        assert_true(str_eq(str_c(got + 4), str_of(body, N)));
        buf_release(&answer);
    }
    is_full = false;
    assert_int_equal(takings, 0);
    mem_free(body);
    server = all;
    port = all_port;
}

static void test_continue(void **state)
{
    int fd = dial();
    send_all(fd, STR(HEAD("POST /echo") "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"));
    char line[26] = "";
    assert_int_equal(recv(fd, line, 25, MSG_WAITALL), 25);
    assert_string_equal(line, "HTTP/1.1 100 Continue\r\n\r\n");
    send_all(fd, STR("hello"));
    struct buf b = receive(fd);
    assert_non_null(strstr(b.p, "\r\n\r\nhello"));
    buf_release(&b);
}

static void test_keep_alive(void **state)
{
    int fd = dial();
    for (int i = 0; i < 3; i++)
        send_all(fd, STR("POST /echo HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nabc"));
    send_all(fd, STR(HEAD("GET /echo") "\r\n"));
    struct buf b = receive(fd);
    int answers = 0;
    for (const char *p = b.p; (p = strstr(p, "HTTP/1.1 200")); p++)
        answers++;
    assert_int_equal(answers, 4);
    buf_release(&b);
}

static void test_memory_is_refused(void **state)
{
    governor_set_budget(50000);
    expect(HEAD("POST /echo") "Content-Length: 60000\r\nExpect: 100-continue\r\n\r\n", "503",
           "no memory for the body");
    governor_set_budget(0);
}

/* Undoes the chunked coding; answers whether the last chunk was there. */
static bool unchunk(struct buf *b, struct buf *out)
{
    char *p = strstr(b->p, "\r\n\r\n"), *end = b->p + b->n;
    assert_non_null(p);
    p += 4;
    while (p < end) {
        char *after;
        size_t n = strtoul(p, &after, 16);
        if (n == 0)
            return true;
        p = after + 2;
        if (p + n > end)
            return false;
        buf_put(out, p, n);
        p += n + 2;
    }
    return false;
}

static void test_stream(void **state)
{
    for (int fail = 0; fail < 2; fail++) {
        struct buf b =
            fail ? ask(HEAD("GET /stream?fail=1") "\r\n") : ask(HEAD("GET /stream") "\r\n");
        struct buf plain;
        buf_init(&plain, 64 << 20);
        assert_int_equal(unchunk(&b, &plain), !fail);
        if (!fail) {
            assert_int_equal(plain.n, STREAM_LINES * 9);
            for (int i = 0; i < STREAM_LINES; i += 777) {
                char line[16];
                snprintf(line, sizeof(line), "%08d\n", i);
                assert_memory_equal(plain.p + i * 9, line, 9);
            }
        }
        buf_release(&plain);
        buf_release(&b);
    }
    struct buf b = ask(HEAD("GET /drip") "\r\n"), plain;
    buf_init(&plain, 1000);
    assert_true(unchunk(&b, &plain));
    assert_str(buf_str(&plain), "drip\ndrip\ndrip\ndrip\ndrip\n");
    buf_release(&plain);
    buf_release(&b);
}

static void test_slow_reader(void **state)
{
    int fd = dial(), small = 200000;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    send_all(fd, STR(HEAD("GET /stream") "\r\n"));
    clock_sleep_ms(100);
    struct buf b = receive(fd), plain;
    buf_init(&plain, 64 << 20);
    assert_true(unchunk(&b, &plain));
    assert_int_equal(plain.n, STREAM_LINES * 9);
    buf_release(&plain);
    buf_release(&b);
}

static void test_leaving_cancels(void **state)
{
    canceled_seen = 0;
    int fd = dial();
    send_all(fd, STR(HEAD("GET /wait") "\r\n"));
    assert_soon(waiting_now == 1);
    assert_int_equal(canceled_seen, 0);
    close(fd);
    assert_soon(canceled_seen == 1);
    assert_soon(!waiting_now);
    /* In the middle of a stream. */
    fd = dial();
    send_all(fd, STR(HEAD("GET /stream") "\r\n"));
    char c;
    assert_int_equal(recv(fd, &c, 1, 0), 1);
    close(fd);
    assert_soon(!governor_used());
}

/* The first of n connections that has an answer. */
static int first_answered(const int *fds, int n)
{
    struct pollfd p[256];
    assert_true(n <= 256);
    for (int i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
    assert_true(poll(p, (nfds_t)n, 60000) > 0);
    for (int i = 0; i < n; i++)
        if (p[i].revents)
            return i;
    return -1;
}

static void test_busy_pool_refuses(void **state)
{
    enum { N = 2 + 128 }; /* workers and their queue */
    static int fds[N + 1];
    struct http_server *before = server;
    struct http_server_options o = {
        .listen = "localhost:0", .body_max = BODY_MAX, .workers = {1, 1, 2}, .routes = routes};
    assert_ok(http_server_start(&o, &server));
    int port_before = port;
    port = atoi(strrchr(http_server_address(server), ':') + 1);
    canceled_seen = 0;
    for (int i = 0; i <= N; i++) { /* one too many, whichever comes last */
        fds[i] = dial();
        send_all(fds[i], STR(HEAD("GET /wait") "\r\n"));
        if (i < 2)
            assert_soon(waiting_now == i + 1);
    }
    int refused = first_answered(fds, N + 1);
    struct buf b = receive(fds[refused]);
    assert_non_null(strstr(b.p, "503"));
    assert_non_null(strstr(b.p, "busy"));
    buf_release(&b);
    fds[refused] = fds[N];
    /* Other pools go on. */
    expect(HEAD("GET /echo") "\r\n", "200 OK", "");
    /* A stop cancels what does not end by itself. */
    http_server_stop(server, 50);
    assert_int_equal(waiting_now, 0);
    assert_int_equal(canceled_seen, N);
    for (int i = 0; i < N; i++)
        close(fds[i]);
    server = before;
    port = port_before;
}

static void test_stop_waits(void **state)
{
    struct http_server *own;
    struct http_server_options o = {.listen = "[::1]:0", .routes = routes};
    if (http_server_start(&o, &own) != OK) { /* no IPv6 here */
        o.listen = "127.0.0.1:0";
        assert_ok(http_server_start(&o, &own));
    }
    http_server_stop(own, 0);
    o.listen = ":0";
    assert_ok(http_server_start(&o, &own));
    int port_before = port;
    port = atoi(strrchr(http_server_address(own), ':') + 1);
    int fd = dial(), before = drips;
    send_all(fd, STR(HEAD("GET /drip") "\r\n"));
    assert_soon(drips > before);
    http_server_stop(own, 60000);
    struct buf b = receive(fd), plain;
    buf_init(&plain, 1000);
    assert_true(unchunk(&b, &plain));
    assert_int_equal(plain.n, 25);
    buf_release(&plain);
    buf_release(&b);
    port = port_before;
}

static void test_addresses(void **state)
{
    int fd;
    bool loopback;
    char taken[32];
    snprintf(taken, sizeof(taken), "127.0.0.1:%d", port);
    assert_err(listen_open(taken, &fd), ERR_UNAVAILABLE, "another program");
    assert_err(listen_open("nonsense", &fd), ERR_INVALID, "HOST:PORT");
    assert_err(listen_open("127.0.0.1:70000", &fd), ERR_INVALID, "HOST:PORT");
    assert_err(listen_open("::1:80", &fd), ERR_INVALID, "brackets");
    assert_ok(listen_is_loopback("127.0.0.9:1", &loopback));
    assert_true(loopback);
    assert_ok(listen_is_loopback("[::1]:1", &loopback));
    assert_true(loopback);
    assert_ok(listen_is_loopback(":1", &loopback));
    assert_false(loopback);
    assert_ok(listen_is_loopback("0.0.0.0:1", &loopback));
    assert_false(loopback);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_head_has_no_body),
        cmocka_unit_test(test_form),
        cmocka_unit_test(test_errors_are_json),
        cmocka_unit_test(test_body_limit),
        cmocka_unit_test(test_taken_bodies_are_whole),
        cmocka_unit_test(test_taken_bodies_that_break_off_are_abandoned),
        cmocka_unit_test(test_clients_that_leave_at_once_are_seen),
        cmocka_unit_test(test_clients_that_leave_while_bodies_wait_are_seen),
        cmocka_unit_test(test_slow_bodies_are_set_aside),
        cmocka_unit_test(test_slow_bodies_give_memory_back),
        cmocka_unit_test(test_taken_bodies_wait_for_room),
        cmocka_unit_test(test_continue),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_memory_is_refused),
        cmocka_unit_test(test_stream),
        cmocka_unit_test(test_slow_reader),
        cmocka_unit_test(test_leaving_cancels),
        cmocka_unit_test(test_busy_pool_refuses),
        cmocka_unit_test(test_stop_waits),
        cmocka_unit_test(test_addresses),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
