#include "cmd/catalog_start.h"

#include "core/clock.h"
#include "core/log.h"

#include <signal.h>
#include <stdio.h>

#define PATIENCE_NS (30 * NS_PER_S)
enum { PAUSE_S = 1 };

/* Whether a signal to end came instead. */
static bool pause_or_signal(void)
{
    sigset_t set;
    struct timespec tick = {.tv_sec = PAUSE_S};
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    return sigtimedwait(&set, NULL, &tick) > 0;
}

static enum err give_up(enum err err)
{
    char was[300];
    snprintf(was, sizeof(was), "%s", err_text());
    return err_set(err, "%s\nIt was tried for 30 s; weir check may tell more", was);
}

enum err catalog_start(const struct conf *c, struct catalog **ret)
{
    struct str url = str_c(conf_string(c, "catalog.url"));
    int64_t until = clock_mono_ns() + PATIENCE_NS;
    for (;;) {
        enum err err = catalog_open_home(url, conf_string(c, "server.data"), ret);
        bool may_come = err == ERR_UNAVAILABLE || err == ERR_TIMEOUT;
        if (!may_come || str_starts(url, STR("sqlite:")))
            return err;
        if (clock_mono_ns() > until)
            return give_up(err);
        log_warn("the catalog cannot be reached, it is tried again", "error=%s", err_text());
        if (pause_or_signal())
            return err_set(ERR_CANCELED, "stopped while the catalog could not be reached");
    }
}
