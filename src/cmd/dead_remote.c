#include "cmd/dead_remote.h"
#include "cmd/remote.h"
#include "core/mem.h"

#include <jansson.h>
#include <stdio.h>

enum { TIMEOUT_MS = 60000, ANSWER_MAX = 64 << 20 };
#define PATH "/api/v1/dead-letters"

static uint64_t number(const json_t *o, const char *name)
{
    return (uint64_t)json_integer_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s ? s : "";
}

static void print_list(const json_t *answer, const char *pipeline)
{
    const json_t *f;
    size_t i, n = 0;
    json_array_foreach(json_object_get(answer, "dead_letters"), i, f)
    {
        if (strcmp(text(f, "pipeline"), pipeline ? pipeline : "") != 0)
            continue;
        dead_print(number(f, "letters"), number(f, "bytes"), text(f, "route"),
                   json_is_true(json_object_get(f, "retrying")));
        n++;
    }
    if (!n)
        printf("there are no dead letters\n");
}

static enum err print_chunk(void *ctx, struct str bytes)
{
    fwrite(bytes.p, 1, bytes.n, stdout);
    return OK;
}

/* The answer's status; 0: there was none, which has been said. */
static unsigned ask(const struct command *c, const struct options *o, const char *method,
                    const char *path, const char *pipeline, bool print, struct http_answer *ret)
{
    struct http_client *client;
    if (remote_open(o, &client) != OK) {
        options_fail(c, "%s", err_text());
        return 0;
    }
    http_client_begin(client, method, path);
    if (pipeline)
        http_client_param(client, "pipeline", str_c(pipeline));
    if (print)
        http_client_param(client, "limit", STR("1000000000"));
    enum err err = http_client_send(client, STR(""), print ? 0 : TIMEOUT_MS,
                                    print ? print_chunk : NULL, NULL, ret);
    if (err != OK)
        options_fail(c, "%s", err_text());
    else if (ret->status != 200)
        remote_explain(c, ret);
    http_client_free(client);
    return err == OK ? ret->status : 0;
}

int dead_remote(const struct command *c, const struct options *o, const char *what,
                const char *route, const char *pipeline)
{
    struct http_answer a = {0};
    bool list = !strcmp(what, "list"), show = !strcmp(what, "show"), retry = !strcmp(what, "retry");
    char *path =
        list ? mem_strdup(STR(PATH)) : mem_printf(PATH "/%s%s", route, retry ? "/retry" : "");
    buf_init(&a.body, ANSWER_MAX);
    const char *method = list || show ? "GET" : retry ? "POST" : "DELETE";
    unsigned status = ask(c, o, method, path, list ? NULL : pipeline, show, &a);
    json_t *answer = status == 200 && !show ? json_loadb(a.body.p, a.body.n, 0, NULL) : NULL;
    if (list && answer)
        print_list(answer, pipeline);
    else if (answer)
        printf("%llu dead letters of %s are %s\n", (unsigned long long)number(answer, "letters"),
               route, retry ? "tried again" : "deleted");
    json_decref(answer);
    mem_free(path);
    buf_release(&a.body);
    return status == 200 ? 0 : 1;
}
