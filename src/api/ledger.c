/* GET /api/v1/ledger: where every record is, pipeline by pipeline (docs/pipelines.md). */
#include "api/internal.h"

void api_ledger(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    struct buf out;
    if (!api_is_ready(api, r))
        return;
    buf_init(&out, 16 << 20);
    api->write_books(api->books_ctx, &out);
    http_reply(r, 200, JSON_TYPE, buf_str(&out));
    buf_release(&out);
}
