/* weir ledger of a server, or of an agent that listens: GET /api/v1/ledger, for people. */
#include "cmd/ledger.h"

#include "cmd/remote.h"

#include <jansson.h>
#include <stdio.h>

static double number(const json_t *from, const char *name)
{
    return json_number_value(json_object_get(from, name));
}

static const char *text(const json_t *from, const char *name)
{
    const char *s = json_string_value(json_object_get(from, name));
    return s ? s : "";
}

static void print_streams(const json_t *books)
{
    const json_t *streams = json_object_get(books, "streams"), *s;
    size_t i;
    if (!json_is_array(streams))
        return;
    printf("%12s %12s  %s\n", "taken", "stored", "stream");
    json_array_foreach(streams, i, s)
        printf("%12.0f %12.0f  %s\n", number(s, "taken"), number(s, "stored"), text(s, "stream"));
    printf("%12.0f %12.0f  all, %.0f of them in memory, %.0f expired\n", number(books, "taken"),
           number(books, "stored"), number(books, "in_memory"), number(books, "expired"));
}

static void print_pipeline(const json_t *p)
{
    const json_t *sources = json_object_get(p, "sources"), *x;
    const json_t *routes = json_object_get(p, "routes");
    size_t i;
    if (!json_array_size(sources) && !json_array_size(routes))
        return;
    if (*text(p, "pipeline"))
        printf("\npipeline %s\n", text(p, "pipeline"));
    if (json_array_size(sources))
        printf("\n%12s %12s %12s  %s\n", "in", "refused", "dropped", "source");
    json_array_foreach(sources, i, x)
        printf("%12.0f %12.0f %12.0f  %s\n", number(x, "in"), number(x, "refused"),
               number(x, "dropped"), text(x, "source"));
    if (json_array_size(routes))
        printf("\n%12s %12s %12s %12s %12s %12s  %s\n", "before", "sent", "dropped", "dead", "lost",
               "waiting", "route");
    json_array_foreach(routes, i, x)
        printf("%12.0f %12.0f %12.0f %12.0f %12.0f %12.0f  %s%s%s\n", number(x, "before"),
               number(x, "sent"), number(x, "dropped"), number(x, "dead"), number(x, "lost"),
               number(x, "waiting"), text(x, "route"), *text(x, "last_error") ? ": " : "",
               text(x, "last_error"));
}

static void print_inputs(const json_t *inputs)
{
    const json_t *x;
    size_t i;
    if (json_array_size(inputs))
        printf("\n%12s %12s %12s %12s  %s\n", "accepted", "refused", "duplicates", "waiting",
               "input, since the start");
    json_array_foreach(inputs, i, x) printf(
        "%12.0f %12.0f %12.0f %12.0f  %s://%s\n", number(x, "accepted"), number(x, "refused"),
        number(x, "duplicates"), number(x, "waiting"), text(x, "scheme"), text(x, "address"));
}

static int print_books(const json_t *books)
{
    const json_t *p;
    size_t i;
    bool balanced = json_is_true(json_object_get(books, "balanced"));
    print_streams(books);
    json_array_foreach(json_object_get(books, "pipelines"), i, p) print_pipeline(p);
    print_inputs(json_object_get(books, "inputs"));
    printf("\nthe books %s\n", balanced ? "balance" : "do not balance");
    return balanced ? 0 : 1;
}

int ledger_remote(const struct command *c, const struct options *o)
{
    enum { TIMEOUT_MS = 60000, ANSWER_MAX = 64 << 20 };
    struct http_client *client;
    struct http_answer a = {0};
    int status = 1;
    if (remote_open(o, &client) != OK)
        return options_fail(c, "%s", err_text());
    buf_init(&a.body, ANSWER_MAX);
    http_client_begin(client, "GET", "/api/v1/ledger");
    if (http_client_send(client, STR(""), TIMEOUT_MS, NULL, NULL, &a) != OK) {
        options_fail(c, "%s", err_text());
    } else if (a.status != 200) {
        remote_explain(c, &a);
    } else {
        json_t *books = json_loadb(a.body.p, a.body.n, 0, NULL);
        if (options_has(o, "json")) {
            fwrite(a.body.p, 1, a.body.n, stdout);
            status = json_is_true(json_object_get(books, "balanced")) ? 0 : 1;
        } else {
            status = print_books(books);
        }
        json_decref(books);
    }
    buf_release(&a.body);
    http_client_free(client);
    return status;
}
