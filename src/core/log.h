/* Weir's own log: one JSON object a line on stderr (or readable text on a terminal), levels debug,
 * info, warn, error; default info. Identical messages are limited to 10 a minute each, then
 * counted. Values never hold secrets: callers pass what they name. Threads: any. */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include "core/str.h"

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
/* true: JSON lines; false: text. Default: JSON unless stderr is a terminal. */
void log_set_json(bool json);
/* true: levels in JSON are DEBUG, INFO, WARN, ERROR, for who searches lines for these words. */
void log_set_capitals(bool capitals);
/* Each line that is written also goes here, as JSON with the event as "message" and a line's end:
 * under the log's lock, so be quick and log nothing. NULL: nowhere. */
void log_set_tap(void (*tap)(void *ctx, struct str line), void *ctx);
/* What this thread logs from now on does not go there. */
void log_mute_tap(void);
/* event: a fixed short phrase ("segment published"); fmt: details as "key=%d key2=%s", or NULL. The
 * format has no quotes: values get them where the form of the log and their bytes ask for it. */
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
void log_at(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
