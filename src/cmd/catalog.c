/* weir catalog copy. */
#include "catalog/catalog.h"
#include "cmd/commands.h"
#include "cmd/options.h"
#include "core/io.h"
#include "core/mem.h"
#include "queue/queue.h"

#include <inttypes.h>
#include <stdio.h>

static const struct option_def option_defs[] = {
    {"from", 'f', "URL", "The catalog that there is: sqlite:PATH, postgresql://..., mysql://..."},
    {"to", 't', "URL", "Where it is to be: another of these, with nothing in it."},
    {0},
};
static const char *const verbs[] = {"copy", NULL};
const struct command catalog_command = {
    .name = "catalog",
    .summary = "Copies the catalog to another database",
    .usage = "copy --from URL --to URL",
    .text =
        "Copies a catalog, all of it or nothing, to a database where there is none yet. It does\n"
        "not copy segments. No server may run on either; one that ran on the first writes\n"
        "everything to segments before its stop:\n\n"
        "  curl -X POST http://127.0.0.1:5080/api/v1/admin/flush\n"
        "  weir catalog copy --from sqlite:weir-data/catalog.db --to postgresql://weir@db/weir\n\n"
        "See docs/catalog.md, \"From one server to several\".",
    .options = option_defs,
    .verbs = verbs,
    .args_min = 1,
    .args_max = 1,
};

/* ---- the queue beside a catalog of one server ---- */

static void count(void *ctx, struct blob *const *frame, uint32_t n, uint64_t first_position,
                  void *body_ctx)
{
    *(uint64_t *)ctx += n;
}

static enum err count_waiting(const char *dir, struct catalog *c, uint64_t *ret)
{
    uint64_t at = 0, n = 0;
    struct queue *q;
    struct queue_options o = {
        .dir = dir, .file_bytes = 64 << 20, .sync = true, .waiting_max = 64 << 20};
    struct queue_consumer consumer = {.ctx = &n, .deliver = count};
    TRY(catalog_checkpoint(c, STR("store"), 0, &at));
    TRY(queue_open_disk(&o, &q));
    enum err err = queue_start(q, at, &consumer, NULL);
    queue_close(q);
    if (err == OK)
        *ret = n;
    return err;
}

/* What is in no segment yet stays behind with the folder. */
static enum err check_queue(struct str url, struct catalog *c)
{
    uint64_t waiting = 0;
    struct str path = str_from(url, STR("sqlite:").n);
    size_t name = path.n;
    while (name && path.p[name - 1] != '/')
        name--;
    if (!str_starts(url, STR("sqlite:")) || catalog_is_shared(c))
        return OK;
    char *dir = mem_printf("%.*s%squeue", (int)name, path.p, name ? "" : "./");
    enum err err = io_exists(dir) ? count_waiting(dir, c, &waiting) : OK;
    if (err == OK && waiting)
        err = err_set(ERR_CONFLICT,
                      "%s holds %" PRIu64 " entries that are in no segment yet: start the server, "
                      "flush it (POST /api/v1/admin/flush), and stop it",
                      dir, waiting);
    mem_free(dir);
    return err;
}

/* ---- the command ---- */

static enum err copy(struct str from_url, struct str to_url, uint64_t *ret_rows)
{
    struct catalog *from, *to;
    struct buf there;
    buf_init(&there, 1000);
    enum err err = catalog_probe(from_url, ".", &there); /* makes nothing */
    buf_release(&there);
    TRY(err);
    TRY(catalog_open(from_url, ".", &from));
    err = check_queue(from_url, from);
    if (err == OK)
        err = catalog_open(to_url, ".", &to);
    if (err == OK) {
        err = catalog_copy(from, to, ret_rows);
        catalog_close(to);
    }
    catalog_close(from);
    return err;
}

int cmd_catalog(int argc, char **argv)
{
    struct options o;
    uint64_t rows = 0;
    int status = options_parse(&o, &catalog_command, argc, argv);
    if (status >= 0)
        return status;
    const char *from = options_value(&o, "from"), *to = options_value(&o, "to");
    if (strcmp(o.arg[0], "copy") != 0 || !from || !to)
        return options_fail(&catalog_command, "usage: weir catalog %s", catalog_command.usage);
    if (copy(str_c(from), str_c(to), &rows) != OK) {
        options_fail(&catalog_command, "%s", err_text());
        return 1;
    }
    printf("%" PRIu64 " rows copied\n", rows);
    return 0;
}
