/* Talking to a server from the command line. */
#include "cmd/remote.h"

#include "core/mem.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

const char *remote_url(const struct options *o)
{
    const char *url = options_value(o, options_has(o, "url") ? "url" : "host");
    const char *from_env = getenv("WEIR_URL");
    return url ? url : from_env && *from_env ? from_env : "http://127.0.0.1:5080";
}

enum err remote_open(const struct options *o, struct http_client **ret)
{
    const char *user = options_value(o, "user");
    const char *name = getenv("WEIR_ROOT_USER"), *password = getenv("WEIR_ROOT_PASSWORD");
    char *both = NULL;
    if (!user && name && password)
        user = both = mem_printf("%s:%s", name, password);
    enum err err = http_client_new(remote_url(o), user, ret);
    mem_free(both);
    const char *ca = options_value(o, "tls-ca");
    ca = ca ? ca : getenv("WEIR_TLS_CA");
    if (err == OK && ca && *ca)
        http_client_tls(*ret, ca, NULL, NULL, false);
    return err;
}

void remote_explain(const struct command *c, const struct http_answer *a)
{
    json_t *answer = json_loadb(a->body.p ? a->body.p : "", a->body.n, 0, NULL);
    const char *error = json_string_value(json_object_get(answer, "error"));
    if (error)
        options_fail(c, "%s", error);
    else
        options_fail(c, "the server answered %u: %.*s", a->status,
                     a->body.n > 500 ? 500 : (int)a->body.n, a->body.p ? a->body.p : "");
    json_decref(answer);
}
