/* CRI (kubernetes/kubernetes, pkg/kubelet/kuberuntime/logs; design proposal "CRI: Log Management"):
 *
 *   2016-10-06T00:17:09.669794202Z stdout P the first part of a long line,
 *   2016-10-06T00:17:09.669794203Z stdout F  and its end
 *
 *   TIMESTAMP (RFC 3339), space, "stdout" or "stderr", space, TAGS parted by ':' of which the first
 *   is "P" (partial: the line goes on) or "F" (full), space, the bytes. Of an empty line the last
 *   space may lack.
 *
 * json-file (moby, daemon/logger/jsonfilelog): one JSON object a line with "log" (the bytes; they
 * end in a line feed unless the line goes on), "stream" and "time"; others beside them ("attrs")
 * are passed over.
 *
 * Paths:
 *   .../pods/NAMESPACE_POD_UID/CONTAINER/RESTARTS.log[.ROTATED]   kubelet
 *   .../containers/POD_NAMESPACE_CONTAINER-ID.log                 kubelet's links to them
 *   .../containers/ID/ID-json.log[.N]                             docker
 * No name of Kubernetes has a '_' in it, and an id is 64 hex digits. */
#include "wire/container.h"

#include "record/json.h"
#include "record/json_walk.h"
#include "record/timestamp.h"

#include <jansson.h>

enum { ID_HEX = 64 };
const char *const container_streams[CONTAINER_STREAMS] = {"stdout", "stderr"};

static bool read_stream(struct str name, enum container_stream *ret)
{
    for (unsigned i = 0; i < CONTAINER_STREAMS; i++)
        if (str_eq_c(name, container_streams[i])) {
            *ret = (enum container_stream)i;
            return true;
        }
    return false;
}

/* ---- lines ---- */

static bool read_cri(struct str line, struct container_line *ret)
{
    struct str time, stream, tags, tag;
    struct time_form form;
    if (!str_split(&line, ' ', &time) || !str_split(&line, ' ', &stream) ||
        !str_split(&line, ' ', &tags) || !str_split(&tags, ':', &tag) ||
        !read_stream(stream, &ret->stream) || !time_parse(time, 0, &form, &ret->time_ns) ||
        form.kind != TIME_ISO)
        return false;
    ret->is_partial = str_eq(tag, STR("P"));
    ret->text = line.p ? line : STR("");
    return ret->is_partial || str_eq(tag, STR("F"));
}

static bool unescape(struct str inside, struct buf *to)
{
    size_t n = 0, bad;
    if (!inside.n)
        return true;
    char *at = buf_reserve(to, inside.n);
    if (!at || !json_unescape(inside, at, &n, &bad))
        return false;
    to->n += n;
    return true;
}

static bool read_docker(struct str line, struct buf *scratch, struct container_line *ret)
{
    struct json_walk w;
    struct json_item item;
    struct time_form form;
    bool has_log = false, has_time = false, has_stream = false;
    if (!json_walk_begin(&w, line) || w.close != '}')
        return false;
    buf_clear(scratch);
    while (json_walk_next(&w, &item)) {
        if (item.lane != LANE_STR)
            continue;
        if (!has_log && str_eq(item.key, STR("log"))) {
            if (!unescape(item.text, scratch))
                return false;
            has_log = true;
        } else if (str_eq(item.key, STR("stream"))) {
            has_stream = read_stream(item.text, &ret->stream);
        } else if (str_eq(item.key, STR("time"))) {
            has_time = time_parse(item.text, 0, &form, &ret->time_ns);
        }
    }
    if (!has_log || !has_stream || !has_time)
        return false;
    ret->text = buf_str(scratch);
    ret->is_partial = !str_ends(ret->text, STR("\n"));
    ret->text.n -= !ret->is_partial;
    return true;
}

bool container_line_read(struct str line, struct buf *scratch, struct container_line *ret)
{
    struct container_line is = {0};
    bool json = line.n > 1 && line.p[0] == '{' && line.p[line.n - 1] == '}';
    if (json ? !read_docker(line, scratch, &is) : !read_cri(line, &is))
        return false;
    *ret = is;
    return true;
}

/* ---- paths ---- */

/* The last part of the path; what is left of it before the slash. */
static struct str pop_part(struct str *path)
{
    size_t at = path->n;
    while (at && path->p[at - 1] != '/')
        at--;
    struct str part = str_from(*path, at);
    path->n = at ? at - 1 : 0;
    return part;
}

static bool is_id(struct str s)
{
    bool hex = s.n == ID_HEX;
    for (size_t i = 0; hex && i < s.n; i++)
        hex = (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f');
    return hex;
}

/* POD_NAMESPACE_CONTAINER-ID.log */
static bool read_link(struct str name, struct container_path *ret)
{
    size_t tail = ID_HEX + STR(".log").n;
    if (!str_ends(name, STR(".log")) || name.n < tail + 2 || name.p[name.n - tail - 1] != '-')
        return false;
    ret->container_id = str_of(name.p + name.n - tail, ID_HEX);
    name.n -= tail + 1;
    bool parted = is_id(ret->container_id) && str_split(&name, '_', &ret->pod) && ret->pod.n &&
                  str_split(&name, '_', &ret->space) && ret->space.n;
    ret->container = name;
    return parted && name.n && str_find_byte(name, '_', 0) == name.n;
}

/* NAMESPACE_POD_UID/CONTAINER */
static bool read_pod(struct str container, struct str folder, struct container_path *ret)
{
    ret->container = container;
    return container.n && str_split(&folder, '_', &ret->space) && ret->space.n &&
           str_split(&folder, '_', &ret->pod) && ret->pod.n &&
           str_split(&folder, '_', &ret->pod_id) && ret->pod_id.n && !folder.p;
}

bool container_path_read(struct str path, struct container_path *ret)
{
    struct container_path is = {0};
    struct str name = pop_part(&path), parent = pop_part(&path), above = pop_part(&path);
    bool good = read_link(name, &is);
    if (!good) {
        is = (struct container_path){0};
        if (is_id(parent) && str_starts(name, parent) &&
            str_starts(str_from(name, ID_HEX), STR("-json.log"))) {
            is.container_id = parent;
            good = true;
        } else {
            good = str_find(name, STR(".log")) < name.n && read_pod(parent, above, &is);
        }
    }
    if (good)
        *ret = is;
    return good;
}

/* ---- descriptions ---- */

static struct str text_of(const json_t *object, const char *key)
{
    const json_t *v = json_object_get(object, key);
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR("");
}

static void put_member(struct buf *out, const char *key, struct str value)
{
    if (!value.n)
        return;
    if (out->n && out->p[out->n - 1] != '{')
        buf_put_byte(out, ',');
    json_put_string(out, str_c(key));
    buf_put_byte(out, ':');
    json_put_string(out, value);
}

static void put_labels(struct buf *out, const json_t *labels)
{
    const char *key;
    json_t *value;
    if (!json_object_size(labels))
        return;
    buf_put_c(out, out->n && out->p[out->n - 1] != '{' ? ",\"labels\":{" : "\"labels\":{");
    json_object_foreach((json_t *)(uintptr_t)labels, key, value)
    {
        if (json_is_string(value) && *key)
            put_member(out, key, str_of(json_string_value(value), json_string_length(value)));
    }
    buf_put_byte(out, '}');
}

/* The first label there is of those that customarily name what runs. */
static struct str label_of(const json_t *labels, const char *const *names)
{
    struct str found = STR("");
    for (; *names && !found.n; names++)
        found = text_of(labels, *names);
    return found;
}

static enum err load(struct str text, json_t **ret)
{
    json_error_t e;
    *ret = json_loadb(text.p ? text.p : "", text.n, JSON_DECODE_ANY, &e);
    if (json_is_object(*ret))
        return OK;
    bool parsed = *ret != NULL;
    json_decref(*ret);
    return parsed ? err_set(ERR_INVALID, "no JSON object")
                  : err_set(ERR_INVALID, "byte %d: %s", e.position, e.text);
}

enum err container_config_read(struct str config, struct buf *out, struct buf *service)
{
    static const char *const naming[] = {"com.docker.compose.service",
                                         "com.docker.swarm.service.name", NULL};
    json_t *all;
    TRY(load(config, &all));
    const json_t *own = json_object_get(all, "Config"), *labels = json_object_get(own, "Labels");
    struct str name = text_of(all, "Name"), called = label_of(labels, naming);
    name = str_from(name, str_starts(name, STR("/")));
    buf_put_byte(out, '{');
    put_member(out, "id", text_of(all, "ID"));
    put_member(out, "name", name);
    put_member(out, "image", text_of(own, "Image"));
    put_labels(out, labels);
    buf_put_byte(out, '}');
    buf_put_str(service, called.n ? called : name);
    json_decref(all);
    return OK;
}

/* "containerd://0123...": the id of the container of that name. */
static struct str id_of(const json_t *status, const char *list, struct str container)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(status, list), i, one)
    {
        struct str id = text_of(one, "containerID");
        size_t at = str_find(id, STR("://"));
        if (str_eq(text_of(one, "name"), container))
            return str_from(id, at < id.n ? at + 3 : 0);
    }
    return STR("");
}

enum err container_pod_read(struct str answer, const struct container_path *path, struct buf *out,
                            struct buf *service, struct buf *node)
{
    static const char *const naming[] = {"app.kubernetes.io/name", "app", "k8s-app", NULL};
    json_t *all;
    TRY(load(answer, &all));
    const json_t *meta = json_object_get(all, "metadata"), *status = json_object_get(all, "status");
    const json_t *labels = json_object_get(meta, "labels");
    struct str host = text_of(json_object_get(all, "spec"), "nodeName");
    struct str id = id_of(status, "containerStatuses", path->container);
    if (!id.n)
        id = id_of(status, "initContainerStatuses", path->container);
    if (!path->pod_id.n)
        put_member(out, "pod_id", text_of(meta, "uid"));
    if (!path->container_id.n)
        put_member(out, "container_id", id);
    put_member(out, "host", host);
    put_labels(out, labels);
    buf_put_str(service, label_of(labels, naming));
    buf_put_str(node, host);
    json_decref(all);
    return OK;
}
