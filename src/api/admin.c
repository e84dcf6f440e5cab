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

/* Where another server has published what is in memory here, it is soon read again, and then there
 * is less to publish, or nothing. */
enum { FLUSH_TRIES = 100, FLUSH_PAUSE_MS = 100 };

static enum err flush(struct api *api)
{
    enum err err = ERR_CONFLICT;
    for (int i = 0; i < FLUSH_TRIES && err == ERR_CONFLICT; i++) {
        clock_sleep_ms(i ? FLUSH_PAUSE_MS : 0);
        err = store_flush(api->store);
    }
    return err;
}

void api_flush(void *ctx, struct http_request *r)
{
    struct api *api = ctx;
    int64_t began = clock_mono_ns();
    if (!api_is_ready(api, r))
        return;
    queue_drain(api->queue);
    reply(r, flush(api), began);
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
    enum err err = flush(api);
    reply(r, err == OK ? store_compact(api->store, full) : err, began);
}
