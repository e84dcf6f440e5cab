/* The well-known names of a record's time and of the aliases, dotted, in order of precedence: the
 * first that a record's shape has is the one. Names of OpenTelemetry's conventions and of the
 * common shippers come before what single products write. */
#include "record/batch.h"

const char *const time_names[] = {
    "_time",        "timestamp",     "@timestamp", "_timestamp", "time",      "ts",
    "eventTime",    "event.created", "datetime",   "date",       "Timestamp", "TimeCreated",
    "time_iso8601", "@time",         "asctime",    "EventTime",  "Time",      "t",
    NULL,
};

const char *const message_names[] = {
    "message",        "msg",           "log",     "body", "Body",
    "event.original", "Message",       "MESSAGE", "_msg", "text",
    "log.message",    "short_message", NULL,
};

const char *const level_names[] = {
    "level", "severity_text", "SeverityText", "severity", "log.level", "loglevel", "log_level",
    "lvl",   "levelname",     "level_name",   "Level",    "Severity",  "LEVEL",    NULL,
};

const char *const service_names[] = {
    "service",
    "service.name",
    "resource.service.name",
    "resource.attributes.service.name",
    "service_name",
    "app",
    "application",
    "appname",
    "app_name",
    "kubernetes.labels.app.kubernetes.io/name",
    "kubernetes.labels.app_kubernetes_io/name",
    "kubernetes.labels.app",
    "kubernetes.container_name",
    "kubernetes.container.name",
    "container_name",
    "program",
    "SourceName",
    "eventSource",
    NULL,
};

const char *const host_names[] = {
    "host",
    "host.name",
    "resource.host.name",
    "resource.attributes.host.name",
    "hostname",
    "host_name",
    "kubernetes.host",
    "kubernetes.node_name",
    "kubernetes.node.name",
    "node",
    "Hostname",
    "computer_name",
    "Computer",
    "agent.hostname",
    "_HOSTNAME",
    NULL,
};

const char *const *alias_names(struct str alias)
{
    if (str_eq(alias, STR("message")))
        return message_names;
    if (str_eq(alias, STR("level")))
        return level_names;
    if (str_eq(alias, STR("service")))
        return service_names;
    if (str_eq(alias, STR("host")))
        return host_names;
    return NULL;
}
