/* Log files to batches of records, for those who work without a server. */
#include "cmd/aurora.h"
#include "cmd/source.h"
#include "core/clock.h"

enum { TEXT_MIN = 1024, TEXT_MAX = 64 << 20 };

bool aurora_log_options(const struct options *o, struct mysql_log_options *ret)
{
    const char *kind = options_value(o, "kind"), *zone = options_value(o, "time-zone"),
               *instance = options_value(o, "instance"), *max = options_value(o, "text-max");
    uint64_t bytes = MYSQL_LOG_TEXT_MAX;
    *ret = (struct mysql_log_options){.time_zone = str_c(zone), .instance = str_c(instance)};
    if (kind && !mysql_log_kind_of(str_c(kind), &ret->kind)) {
        options_fail(o->command, "--kind: slow, error, general, audit or auto is wanted");
        return false;
    }
    if (max && (!str_to_bytes(str_c(max), &bytes) || bytes < TEXT_MIN || bytes > TEXT_MAX)) {
        options_fail(o->command, "--text-max: 1KiB to 64MiB is wanted");
        return false;
    }
    ret->text_max = (size_t)bytes;
    if (ret->kind != MYSQL_LOG_AUTO)
        ret->keep = MYSQL_LOG_KEEP(ret->kind);
    return true;
}

static enum err hand_on(struct batch *b, const struct aurora_sink *sink)
{
    if (!batch_rows(b))
        return OK;
    enum err err = sink->batch(sink->ctx, b);
    batch_clear(b);
    return err;
}

static enum err feed(struct mysql_log *m, struct str bytes, struct batch *b,
                     const struct aurora_sink *sink)
{
    while (bytes.n) {
        size_t used;
        TRY(mysql_log_feed(m, bytes, clock_now_ns(), b, &used));
        bytes = str_from(bytes, used);
        if (bytes.n)
            TRY(hand_on(b, sink));
    }
    return OK;
}

static enum err finish(struct mysql_log *m, struct batch *b, const struct aurora_sink *sink)
{
    for (bool more = true; more;) {
        TRY(mysql_log_end(m, true, clock_now_ns(), b, &more));
        TRY(hand_on(b, sink));
    }
    return OK;
}

static enum err read_all(struct source *from, struct mysql_log *m, struct batch *b,
                         const struct aurora_sink *sink)
{
    struct buf bytes;
    enum err err = OK;
    buf_init(&bytes, SIZE_MAX);
    while (err == OK) {
        bool idle;
        buf_clear(&bytes);
        err = source_read(from, &bytes, &idle);
        if (err == OK)
            err = feed(m, buf_str(&bytes), b, sink);
        if (err == OK && idle) /* a pipe that waits: what is whole is shown */
            err = hand_on(b, sink);
    }
    buf_release(&bytes);
    return err == ERR_EOF ? finish(m, b, sink) : err;
}

enum err aurora_read_file(const char *path, const struct mysql_log_options *o,
                          const struct aurora_sink *sink, struct mysql_log_counts *ret)
{
    struct mysql_log *m;
    struct source *from;
    TRY(mysql_log_new(o, &m));
    enum err err = source_open(path, &from);
    if (err == OK) {
        struct batch *b = batch_new();
        err = read_all(from, m, b, sink);
        batch_free(b);
        source_close(from);
    }
    *ret = *mysql_log_counts(m);
    mysql_log_free(m);
    return err;
}
