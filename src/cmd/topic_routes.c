#include "cmd/topic_routes.h"
#include "core/mem.h"
#include "queue/kafka_topic.h"

static bool is_queues(struct str name)
{
    for (const char *const *p = kafka_queue_params; *p; p++)
        if (str_eq_c(name, *p))
            return true;
    return false;
}

static void put_param(struct buf *out, const char *name, struct str value, const char *behind)
{
    buf_printf(out, "&%s=%.*s%s", name, STR_ARG(value), behind);
}

/* The queue's URL as an input: the group and the member's name are others, brokers, TLS and users
 * the same. A group that is new begins with what comes. */
static void put_input(struct str url, struct buf *out)
{
    size_t mark = str_find_byte(url, '?', 0);
    struct str rest = str_from(url, mark < url.n ? mark + 1 : url.n), param;
    struct str group = STR("weir-store"), instance = {0};
    buf_put_str(out, str_of(url.p, mark < url.n ? mark : url.n));
    buf_put_c(out, "?format=frames&offset=latest");
    while (rest.n && str_split(&rest, '&', &param)) {
        size_t at = str_find_byte(param, '=', 0);
        struct str name = str_of(param.p, at < param.n ? at : param.n);
        struct str value = str_from(param, at < param.n ? at + 1 : param.n);
        if (str_eq_c(name, "group"))
            group = value;
        else if (str_eq_c(name, "instance"))
            instance = value;
        else if (str_eq_c(name, "session") || !is_queues(name))
            buf_printf(out, "&%.*s", STR_ARG(param));
    }
    put_param(out, "group", group, "-routes");
    if (instance.n)
        put_param(out, "instance", instance, "-routes");
    buf_put_byte(out, '\0');
}

enum err topic_routes(struct pipelines *set, const char *queue_url)
{
    struct buf url;
    if (!set->list[0]->n_routes)
        return OK;
    buf_init(&url, SIZE_MAX);
    put_input(str_c(queue_url), &url);
    enum err err = pipelines_move_routes(set, "queue", url.p);
    buf_release(&url);
    return err;
}
