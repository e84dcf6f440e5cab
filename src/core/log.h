/* Weir's own log: one JSON object a line on stderr (or readable text on a terminal), levels debug,
 * info, warn, error; default info. Identical messages are limited to 10 a minute each, then
 * counted. Values never hold secrets: callers pass what they name. Threads: any. */
#ifndef WEIR_CORE_LOG_H
#define WEIR_CORE_LOG_H

#include <stdbool.h>

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_set_level(enum log_level level);
/* true: JSON lines; false: text. Default: JSON unless stderr is a terminal. */
void log_set_json(bool json);
/* event: a fixed short phrase ("segment published"); fmt: details as "key=%d key2=%s", or NULL. The
 * format has no quotes: values get them where the form of the log and their bytes ask for it. */
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
void log_at(enum log_level level, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif
