#include "input/kube.h"

#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "net/http_client.h"

#include <stdlib.h>

enum { PODS_KEPT = 32, TIMEOUT_MS = 2000, TOKEN_MAX = 64 << 10, ANSWER_MAX = 4 << 20 };
#define ACCOUNT "/var/run/secrets/kubernetes.io/serviceaccount"
#define KEPT_NS (60 * NS_PER_S)
#define PAUSE_NS (10 * NS_PER_S)

struct kept {
    char *path; /* of the request; NULL: free */
    struct buf answer;
    enum err err;
    int64_t at_ns; /* monotonic */
};

struct kube {
    struct http_client *http;
    char *token;
    int64_t paused_until_ns;
    struct kept kept[PODS_KEPT];
    unsigned next;
};

enum err kube_new(const struct kube_options *o, struct kube **ret)
{
    const char *host = getenv("KUBERNETES_SERVICE_HOST"), *port = getenv("KUBERNETES_SERVICE_PORT");
    char *base = NULL;
    *ret = NULL;
    if (o->api && !strcmp(o->api, "none"))
        return OK;
    if (o->api)
        base = mem_strdup(str_c(o->api));
    else if (host && *host)
        base = mem_printf(strchr(host, ':') ? "https://[%s]:%s" : "https://%s:%s", host,
                          port && *port ? port : "443");
    else
        return OK;
    struct kube *k = NEW(struct kube);
    enum err err = http_client_new(base, NULL, &k->http);
    mem_free(base);
    if (err != OK) {
        mem_free(k);
        return err;
    }
    const char *ca = o->ca ? o->ca : ACCOUNT "/ca.crt";
    if (io_exists(ca))
        http_client_tls(k->http, ca, NULL, NULL, false);
    k->token = mem_strdup(str_c(o->token ? o->token : ACCOUNT "/token"));
    for (unsigned i = 0; i < PODS_KEPT; i++)
        buf_init(&k->kept[i].answer, ANSWER_MAX);
    *ret = k;
    return OK;
}

void kube_free(struct kube *k)
{
    if (!k)
        return;
    for (unsigned i = 0; i < PODS_KEPT; i++) {
        mem_free(k->kept[i].path);
        buf_release(&k->kept[i].answer);
    }
    http_client_free(k->http);
    mem_free(k->token);
    mem_free(k);
}

/* Tokens are exchanged while they are in use: read for every request. */
static void put_token(struct kube *k)
{
    struct buf token;
    if (!io_exists(k->token) || io_read_file(k->token, TOKEN_MAX, &token) != OK)
        return;
    struct str text = str_trim(buf_str(&token));
    char *line = mem_printf("Bearer %.*s", STR_ARG(text));
    http_client_header(k->http, "Authorization", line);
    mem_free(line);
    buf_release(&token);
}

static enum err ask(struct kube *k, const char *path, struct buf *to)
{
    struct http_answer a = {.body = *to};
    http_client_begin(k->http, "GET", path);
    put_token(k);
    enum err err = http_client_send(k->http, STR(""), TIMEOUT_MS, NULL, NULL, &a);
    *to = a.body;
    if (err == OK && a.status == 404)
        return err_set(ERR_NOTFOUND, "%s: there is no such pod", path);
    if (err == OK && a.status / 100 != 2)
        return err_set(ERR_UNAVAILABLE, "the API server answers %u", a.status);
    return err == OK ? OK : err_set(ERR_UNAVAILABLE, "the API server: %s", err_text());
}

static struct kept *find(struct kube *k, const char *path, int64_t now)
{
    for (unsigned i = 0; i < PODS_KEPT; i++)
        if (k->kept[i].path && !strcmp(k->kept[i].path, path) && now - k->kept[i].at_ns < KEPT_NS)
            return &k->kept[i];
    return NULL;
}

static enum err fetch(struct kube *k, const char *path, int64_t now, struct kept **ret)
{
    struct kept *e = &k->kept[k->next];
    if (now < k->paused_until_ns)
        return ERR_UNAVAILABLE;
    mem_free(e->path);
    e->path = NULL;
    buf_clear(&e->answer);
    e->err = ask(k, path, &e->answer);
    if (e->err == ERR_UNAVAILABLE) {
        log_warn("pods are described without their labels", "error=\"%s\"", err_text());
        k->paused_until_ns = clock_mono_ns() + PAUSE_NS;
        return e->err;
    }
    e->path = mem_strdup(str_c(path));
    e->at_ns = now;
    k->next = (k->next + 1) % PODS_KEPT;
    *ret = e;
    return OK;
}

enum err kube_pod(struct kube *k, struct str space, struct str pod, struct str *ret)
{
    int64_t now = clock_mono_ns();
    char *path = mem_printf("/api/v1/namespaces/%.*s/pods/%.*s", STR_ARG(space), STR_ARG(pod));
    struct kept *e = find(k, path, now);
    enum err err = e ? OK : fetch(k, path, now, &e);
    mem_free(path);
    TRY(err);
    *ret = buf_str(&e->answer);
    return e->err;
}
