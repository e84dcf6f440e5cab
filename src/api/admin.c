/* POST /api/v1/admin/flush, /api/v1/admin/compact: finish before they answer. */
#include "api/internal.h"

#include "core/clock.h"

static void reply(struct http_request *r, enum err err, int64_t began)
{
    if (err != OK) {
        http_error_of(r, err, err_text());
        return;
    }
    struct str body = arena_printf(http_arena(r), "{\"done\":true,\"took_ms\":%lld}\n",
                                   (long long)((clock_mono_ns() - began) / NS_PER_MS));
    http_reply(r, 200, JSON_TYPE, body);
}

void api_flush(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    int64_t began = clock_mono_ns();
    if (!api_is_ready(api, r))
        return;
    queue_drain(api->queue);
    reply(r, store_flush(api->store), began);
}

/* full (1): merge whatever may be merged, not only what is due. */
void api_compact(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    bool full = true;
    int64_t began = clock_mono_ns();
    if (!api_is_ready(api, r) || !api_param_bool(r, "full", &full))
        return;
    queue_drain(api->queue);
    reply(r, store_compact(api->store, full), began);
}
