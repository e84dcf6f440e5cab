/* What is known of a container: from the path of its file at once; labels and the node from
 * Kubernetes' API server, name, image and labels from docker's config.v2.json beside the file. What
 * cannot be had now is asked for again after AGAIN_NS, and the log flows on without it. */
#include "core/clock.h"
#include "core/io.h"
#include "core/log.h"
#include "core/mem.h"
#include "input/kube.h"
#include "input/tail_impl.h"
#include "wire/container.h"

#include <stdio.h>

enum { CONFIG_MAX = 4 << 20, ID_SHOWN = 12 };
#define AGAIN_NS (10 * NS_PER_S)

static void put_text(struct buf *out, const char *key, struct str value)
{
    if (!value.n)
        return;
    buf_printf(out, "%s\"%s\":", out->p[out->n - 1] == '{' ? "" : ",", key);
    json_put_string(out, value);
}

/* The path of the file, and what the link to it says beside. */
static struct container_path path_of(const struct tail_file *f)
{
    struct container_path is = {0}, link = {0};
    (void)container_path_read(str_c(f->e.path), &is);
    if (f->link && container_path_read(str_c(f->link), &link)) {
        if (!is.pod.n) {
            link.pod_id = is.pod_id;
            link.container_id = is.container_id.n ? is.container_id : link.container_id;
            return link;
        }
        is.container_id = link.container_id;
    }
    return is;
}

static bool describe_pod(struct tail_about *about, struct kube *kube,
                         const struct container_path *path)
{
    struct str answer;
    buf_put_byte(&about->json, '{');
    put_text(&about->json, "pod_name", path->pod);
    put_text(&about->json, "namespace_name", path->space);
    put_text(&about->json, "container_name", path->container);
    put_text(&about->json, "container_id", path->container_id);
    put_text(&about->json, "pod_id", path->pod_id);
    enum err err =
        kube && path->pod.n ? kube_pod(kube, path->space, path->pod, &answer) : ERR_NOTFOUND;
    if (err == OK &&
        container_pod_read(answer, path, &about->json, &about->service, &about->host) != OK)
        log_warn("what the API server says of a pod cannot be read", "pod=%.*s error=\"%s\"",
                 STR_ARG(path->pod), err_text());
    buf_put_byte(&about->json, '}');
    if (!about->service.n)
        buf_put_str(&about->service, path->container);
    return err != ERR_UNAVAILABLE;
}

static bool describe_container(struct tail_about *about, const struct tail_file *f,
                               const struct container_path *path)
{
    struct buf config;
    const char *slash = strrchr(f->e.path, '/');
    char *name = mem_printf("%.*s/config.v2.json", slash ? (int)(slash - f->e.path) : 1,
                            slash ? f->e.path : ".");
    enum err err = io_read_file(name, CONFIG_MAX, &config);
    if (err == OK) {
        err = container_config_read(buf_str(&config), &about->json, &about->service);
        buf_release(&config);
    }
    if (err != OK) {
        log_warn("a container is described without its name", "file=%s error=\"%s\"", name,
                 err_text());
        buf_clear(&about->json);
        buf_clear(&about->service);
        buf_put_byte(&about->json, '{');
        put_text(&about->json, "id", path->container_id);
        buf_put_byte(&about->json, '}');
    }
    mem_free(name);
    if (!about->service.n)
        buf_put(&about->service, path->container_id.p,
                path->container_id.n < ID_SHOWN ? path->container_id.n : ID_SHOWN);
    return err == OK;
}

static void describe(struct tail_about *about, const struct tail_file *f)
{
    struct container_path path = path_of(f);
    buf_clear(&about->json);
    buf_clear(&about->service);
    buf_clear(&about->host);
    bool all = f->source->kind == TAIL_KUBERNETES ? describe_pod(about, f->source->kube, &path)
                                                  : describe_container(about, f, &path);
    about->again_ns = all ? 0 : clock_mono_ns() + AGAIN_NS;
}

const struct tail_about *tail_about_get(struct tail *t, struct tail_file *f)
{
    struct tail_about *about = f->about;
    if (!about) {
        about = f->about = NEW(struct tail_about);
        about->key = f->source->kind == TAIL_KUBERNETES ? "kubernetes" : "container";
        buf_init(&about->json, SIZE_MAX);
        buf_init(&about->service, SIZE_MAX);
        buf_init(&about->host, SIZE_MAX);
        describe(about, f);
    } else if (about->again_ns && clock_mono_ns() >= about->again_ns) {
        describe(about, f);
    }
    return about;
}

void tail_about_free(struct tail_about *a)
{
    if (!a)
        return;
    buf_release(&a->json);
    buf_release(&a->service);
    buf_release(&a->host);
    mem_free(a);
}
