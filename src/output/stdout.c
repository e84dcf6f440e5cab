/* stdout://: a record a line, as JSON, on standard output: to see what a route carries, and for
 * pipes. At least once. */
#include "core/mem.h"
#include "output/outputs.h"

#include <stdio.h>

static enum err stdout_open(const struct url *url, struct output **ret)
{
    static const char *const known[] = {NULL};
    TRY(url_check_params(url, known));
    struct output *o = NEW(struct output);
    o->type = &output_stdout;
    *ret = o;
    return OK;
}

static enum err put(void *ctx, const struct output_row *row)
{
    if (fwrite(row->json.p, 1, row->json.n, stdout) != row->json.n || putchar('\n') == EOF)
        return err_set_errno("cannot write to standard output");
    return OK;
}

static enum err stdout_send(struct output *o, const struct output_bulk *bulk, int64_t *ret_wait_ns)
{
    TRY(output_each_row(bulk, put, NULL));
    return fflush(stdout) == 0 ? OK : err_set_errno("cannot write to standard output");
}

static void stdout_close(struct output *o)
{
    mem_free(o);
}

static const char *const schemes[] = {"stdout", NULL};
const struct output_type output_stdout = {
    .name = "stdout",
    .schemes = schemes,
    .gather = {.rows = 1000, .bytes = 1 << 20, .wait_ns = 0},
    .open = stdout_open,
    .send = stdout_send,
    .close = stdout_close,
};
