/* The library of grok, fourth part: what watches, saves and builds. Nagios: its log as the manual's
 * chapters on logging and external commands have it; Bacula: the messages of its console manual;
 * MCollective: Ruby's logger, and an audit's line. Names and fields are the customary ones. */
#include "record/grok.h"

/* Nagios parts what it logs by semicolons. */
#define NAGIOS(type) "%{NAGIOS_TYPE_" type ":nagios_type}: "
#define PART(field) "%{NAGIOS_PART:nagios_" field "};"
#define LAST(field) "%{GREEDYDATA:nagios_" field "}"
#define ON_HOST PART("hostname")
#define ON_SERVICE PART("hostname") PART("service")
#define STATE_NOW PART("state") PART("statetype") PART("statecode") LAST("message")
#define TRIED PART("state") PART("statelevel") "%{NUMBER:nagios_attempt};" LAST("message")
#define HANDLED                                                                                    \
    PART("state") PART("statelevel") "(?:%{INT:nagios_attempt};)?" LAST("event_handler_name")
#define COMMAND(name) NAGIOS("EXTERNAL_COMMAND") "%{NAGIOS_EC_" name ":nagios_command};"
#define PLAN                                                                                       \
    "%{NUMBER:nagios_start_time};%{NUMBER:nagios_end_time};%{NUMBER:nagios_fixed};"                \
    "%{NUMBER:nagios_trigger_id};%{NUMBER:nagios_duration};%{NAGIOS_PART:author};"                 \
    "%{GREEDYDATA:comment}"

/* Bacula: a device with its place behind it. */
#define DEVICE "\"%{BACULA_DEVICE:device}\" \\(%{BACULA_DEVICEPATH}\\)"
#define VOLUME "\"%{BACULA_VOLUME:volume}\""
#define AT_TIME "%{MONTHDAY}-%{MONTH}-[0-9]{4} %{HOUR}:%{MINUTE}"
#define WHY "%{GREEDYDATA:berror}"
#define CLIENT "%{BACULA_HOST:client} on %{HOSTNAME}:%{POSINT}\\. ERR=%{GREEDYDATA}"
#define FATAL "Fatal [Ee]rror: "

const struct grok_pattern grok_operations[] = {
    /* Nagios */
    {"NAGIOS_PART", "[^;]*"},
    {"NAGIOSTIME", "\\[%{NUMBER:nagios_epoch}\\]"},
    {"NAGIOS_TYPE_CURRENT_SERVICE_STATE", "CURRENT SERVICE STATE"},
    {"NAGIOS_TYPE_CURRENT_HOST_STATE", "CURRENT HOST STATE"},
    {"NAGIOS_TYPE_SERVICE_NOTIFICATION", "SERVICE NOTIFICATION"},
    {"NAGIOS_TYPE_HOST_NOTIFICATION", "HOST NOTIFICATION"},
    {"NAGIOS_TYPE_SERVICE_ALERT", "SERVICE ALERT"},
    {"NAGIOS_TYPE_HOST_ALERT", "HOST ALERT"},
    {"NAGIOS_TYPE_SERVICE_FLAPPING_ALERT", "SERVICE FLAPPING ALERT"},
    {"NAGIOS_TYPE_HOST_FLAPPING_ALERT", "HOST FLAPPING ALERT"},
    {"NAGIOS_TYPE_SERVICE_DOWNTIME_ALERT", "SERVICE DOWNTIME ALERT"},
    {"NAGIOS_TYPE_HOST_DOWNTIME_ALERT", "HOST DOWNTIME ALERT"},
    {"NAGIOS_TYPE_PASSIVE_SERVICE_CHECK", "PASSIVE SERVICE CHECK"},
    {"NAGIOS_TYPE_PASSIVE_HOST_CHECK", "PASSIVE HOST CHECK"},
    {"NAGIOS_TYPE_SERVICE_EVENT_HANDLER", "SERVICE EVENT HANDLER"},
    {"NAGIOS_TYPE_HOST_EVENT_HANDLER", "HOST EVENT HANDLER"},
    {"NAGIOS_TYPE_EXTERNAL_COMMAND", "EXTERNAL COMMAND"},
    {"NAGIOS_TYPE_TIMEPERIOD_TRANSITION", "TIMEPERIOD TRANSITION"},
    {"NAGIOS_EC_DISABLE_SVC_CHECK", "DISABLE_SVC_CHECK"},
    {"NAGIOS_EC_ENABLE_SVC_CHECK", "ENABLE_SVC_CHECK"},
    {"NAGIOS_EC_DISABLE_HOST_CHECK", "DISABLE_HOST_CHECK"},
    {"NAGIOS_EC_ENABLE_HOST_CHECK", "ENABLE_HOST_CHECK"},
    {"NAGIOS_EC_PROCESS_SERVICE_CHECK_RESULT", "PROCESS_SERVICE_CHECK_RESULT"},
    {"NAGIOS_EC_PROCESS_HOST_CHECK_RESULT", "PROCESS_HOST_CHECK_RESULT"},
    {"NAGIOS_EC_SCHEDULE_SERVICE_DOWNTIME", "SCHEDULE_SVC_DOWNTIME"},
    {"NAGIOS_EC_SCHEDULE_HOST_DOWNTIME", "SCHEDULE_HOST_DOWNTIME"},
    {"NAGIOS_EC_DISABLE_HOST_SVC_NOTIFICATIONS", "DISABLE_HOST_SVC_NOTIFICATIONS"},
    {"NAGIOS_EC_ENABLE_HOST_SVC_NOTIFICATIONS", "ENABLE_HOST_SVC_NOTIFICATIONS"},
    {"NAGIOS_EC_DISABLE_HOST_NOTIFICATIONS", "DISABLE_HOST_NOTIFICATIONS"},
    {"NAGIOS_EC_ENABLE_HOST_NOTIFICATIONS", "ENABLE_HOST_NOTIFICATIONS"},
    {"NAGIOS_EC_DISABLE_SVC_NOTIFICATIONS", "DISABLE_SVC_NOTIFICATIONS"},
    {"NAGIOS_EC_ENABLE_SVC_NOTIFICATIONS", "ENABLE_SVC_NOTIFICATIONS"},
    {"NAGIOS_WARNING", "Warning: *" LAST("message")},
    {"NAGIOS_CURRENT_SERVICE_STATE", NAGIOS("CURRENT_SERVICE_STATE") ON_SERVICE STATE_NOW},
    {"NAGIOS_CURRENT_HOST_STATE", NAGIOS("CURRENT_HOST_STATE") ON_HOST STATE_NOW},
    {"NAGIOS_SERVICE_NOTIFICATION", NAGIOS("SERVICE_NOTIFICATION") PART("notifyname")
                                        ON_SERVICE PART("state") PART("contact") LAST("message")},
    {"NAGIOS_HOST_NOTIFICATION", NAGIOS("HOST_NOTIFICATION") PART("notifyname")
                                     ON_HOST PART("state") PART("contact") LAST("message")},
    {"NAGIOS_SERVICE_ALERT", NAGIOS("SERVICE_ALERT") ON_SERVICE TRIED},
    {"NAGIOS_HOST_ALERT", NAGIOS("HOST_ALERT") ON_HOST TRIED},
    {"NAGIOS_SERVICE_FLAPPING_ALERT",
     NAGIOS("SERVICE_FLAPPING_ALERT") ON_SERVICE PART("state") " ?" LAST("message")},
    {"NAGIOS_HOST_FLAPPING_ALERT",
     NAGIOS("HOST_FLAPPING_ALERT") ON_HOST PART("state") " ?" LAST("message")},
    {"NAGIOS_SERVICE_DOWNTIME_ALERT",
     NAGIOS("SERVICE_DOWNTIME_ALERT") ON_SERVICE PART("state") " ?" LAST("comment")},
    {"NAGIOS_HOST_DOWNTIME_ALERT",
     NAGIOS("HOST_DOWNTIME_ALERT") ON_HOST PART("state") " ?" LAST("comment")},
    {"NAGIOS_PASSIVE_SERVICE_CHECK",
     NAGIOS("PASSIVE_SERVICE_CHECK") ON_SERVICE PART("state") LAST("comment")},
    {"NAGIOS_PASSIVE_HOST_CHECK",
     NAGIOS("PASSIVE_HOST_CHECK") ON_HOST PART("state") LAST("comment")},
    {"NAGIOS_SERVICE_EVENT_HANDLER", NAGIOS("SERVICE_EVENT_HANDLER") ON_SERVICE HANDLED},
    {"NAGIOS_HOST_EVENT_HANDLER", NAGIOS("HOST_EVENT_HANDLER") ON_HOST HANDLED},
    {"NAGIOS_TIMEPERIOD_TRANSITION",
     NAGIOS("TIMEPERIOD_TRANSITION")
         PART("service") "%{NUMBER:nagios_unknown1};%{NUMBER:nagios_unknown2}"},
    {"NAGIOS_EC_LINE_DISABLE_SVC_CHECK",
     COMMAND("DISABLE_SVC_CHECK") PART("hostname") "%{NAGIOS_PART:nagios_service}"},
    {"NAGIOS_EC_LINE_ENABLE_SVC_CHECK",
     COMMAND("ENABLE_SVC_CHECK") PART("hostname") "%{NAGIOS_PART:nagios_service}"},
    {"NAGIOS_EC_LINE_DISABLE_HOST_CHECK",
     COMMAND("DISABLE_HOST_CHECK") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_ENABLE_HOST_CHECK",
     COMMAND("ENABLE_HOST_CHECK") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_PROCESS_SERVICE_CHECK_RESULT",
     COMMAND("PROCESS_SERVICE_CHECK_RESULT") ON_SERVICE PART("state") LAST("check_result")},
    {"NAGIOS_EC_LINE_PROCESS_HOST_CHECK_RESULT",
     COMMAND("PROCESS_HOST_CHECK_RESULT") ON_HOST PART("state") LAST("check_result")},
    {"NAGIOS_EC_LINE_SCHEDULE_HOST_DOWNTIME", COMMAND("SCHEDULE_HOST_DOWNTIME") ON_HOST PLAN},
    {"NAGIOS_EC_LINE_DISABLE_HOST_SVC_NOTIFICATIONS",
     COMMAND("DISABLE_HOST_SVC_NOTIFICATIONS") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_ENABLE_HOST_SVC_NOTIFICATIONS",
     COMMAND("ENABLE_HOST_SVC_NOTIFICATIONS") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_DISABLE_HOST_NOTIFICATIONS",
     COMMAND("DISABLE_HOST_NOTIFICATIONS") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_ENABLE_HOST_NOTIFICATIONS",
     COMMAND("ENABLE_HOST_NOTIFICATIONS") "%{NAGIOS_PART:nagios_hostname}"},
    {"NAGIOS_EC_LINE_DISABLE_SVC_NOTIFICATIONS",
     COMMAND("DISABLE_SVC_NOTIFICATIONS") PART("hostname") "%{NAGIOS_PART:nagios_service}"},
    {"NAGIOS_EC_LINE_ENABLE_SVC_NOTIFICATIONS",
     COMMAND("ENABLE_SVC_NOTIFICATIONS") PART("hostname") "%{NAGIOS_PART:nagios_service}"},
    {"NAGIOS_EC_LINE_SCHEDULE_SERVICE_DOWNTIME",
     COMMAND("SCHEDULE_SERVICE_DOWNTIME") ON_SERVICE PLAN},
    /* Warnings name the message first; then the frequent ones come before the rare. */
    {"NAGIOSLOGLINE", "%{NAGIOSTIME} (?:"
                      "%{NAGIOS_WARNING}|"
                      "%{NAGIOS_SERVICE_ALERT}|"
                      "%{NAGIOS_HOST_ALERT}|"
                      "%{NAGIOS_SERVICE_NOTIFICATION}|"
                      "%{NAGIOS_HOST_NOTIFICATION}|"
                      "%{NAGIOS_CURRENT_SERVICE_STATE}|"
                      "%{NAGIOS_CURRENT_HOST_STATE}|"
                      "%{NAGIOS_PASSIVE_SERVICE_CHECK}|"
                      "%{NAGIOS_PASSIVE_HOST_CHECK}|"
                      "%{NAGIOS_SERVICE_EVENT_HANDLER}|"
                      "%{NAGIOS_HOST_EVENT_HANDLER}|"
                      "%{NAGIOS_SERVICE_FLAPPING_ALERT}|"
                      "%{NAGIOS_HOST_FLAPPING_ALERT}|"
                      "%{NAGIOS_SERVICE_DOWNTIME_ALERT}|"
                      "%{NAGIOS_HOST_DOWNTIME_ALERT}|"
                      "%{NAGIOS_TIMEPERIOD_TRANSITION}|"
                      "%{NAGIOS_EC_LINE_PROCESS_HOST_CHECK_RESULT}|"
                      "%{NAGIOS_EC_LINE_PROCESS_SERVICE_CHECK_RESULT}|"
                      "%{NAGIOS_EC_LINE_SCHEDULE_HOST_DOWNTIME}|"
                      "%{NAGIOS_EC_LINE_SCHEDULE_SERVICE_DOWNTIME}|"
                      "%{NAGIOS_EC_LINE_ENABLE_HOST_CHECK}|"
                      "%{NAGIOS_EC_LINE_DISABLE_HOST_CHECK}|"
                      "%{NAGIOS_EC_LINE_ENABLE_SVC_CHECK}|"
                      "%{NAGIOS_EC_LINE_DISABLE_SVC_CHECK}|"
                      "%{NAGIOS_EC_LINE_ENABLE_HOST_NOTIFICATIONS}|"
                      "%{NAGIOS_EC_LINE_DISABLE_HOST_NOTIFICATIONS}|"
                      "%{NAGIOS_EC_LINE_ENABLE_SVC_NOTIFICATIONS}|"
                      "%{NAGIOS_EC_LINE_DISABLE_SVC_NOTIFICATIONS}|"
                      "%{NAGIOS_EC_LINE_ENABLE_HOST_SVC_NOTIFICATIONS}|"
                      "%{NAGIOS_EC_LINE_DISABLE_HOST_SVC_NOTIFICATIONS})"},

    /* Bacula */
    {"BACULA_TIMESTAMP", "%{MONTHDAY}-%{MONTH}(?:-[0-9]{4})? %{HOUR}:%{MINUTE}"},
    {"BACULA_HOST", "[\\w.-]+"},
    {"BACULA_VOLUME", "%{USER}"},
    {"BACULA_DEVICE", "%{USER}"},
    {"BACULA_DEVICEPATH", "%{UNIXPATH}"},
    {"BACULA_CAPACITY", "[0-9]{1,3}(?:,[0-9]{3})*"},
    {"BACULA_VERSION", "%{USER}"},
    {"BACULA_JOB", "%{USER}"},
    {"BACULA_LOG_MAX_CAPACITY",
     "User defined maximum volume capacity %{BACULA_CAPACITY} exceeded on device " DEVICE},
    {"BACULA_LOG_END_VOLUME", "End of medium on Volume " VOLUME
                              " Bytes=%{BACULA_CAPACITY} Blocks=%{BACULA_CAPACITY} at " AT_TIME},
    {"BACULA_LOG_NEW_VOLUME", "Created new Volume(?: |=)" VOLUME "(?:,.*)? in catalog"},
    {"BACULA_LOG_NEW_LABEL", "Labeled new Volume " VOLUME " on (?:[Ff]ile )?device " DEVICE},
    {"BACULA_LOG_WROTE_LABEL",
     "Wrote label to prelabeled Volume \"%{BACULA_VOLUME:volume}\" on (?:[Ff]ile )?device "
     "\"%{BACULA_DEVICE}\" \\(%{BACULA_DEVICEPATH}\\)"},
    {"BACULA_LOG_NEW_MOUNT", "New volume " VOLUME " mounted on device " DEVICE " at " AT_TIME},
    {"BACULA_LOG_NOOPEN", "\\s*(?:Could not|Cannot) open %{DATA}: ERR=" WHY},
    {"BACULA_LOG_NOOPENDIR", "\\s*(?:Could not|Cannot) open directory %{DATA}: ERR=" WHY},
    {"BACULA_LOG_NOSTAT", "\\s*(?:Could not|Cannot) stat %{DATA}: ERR=" WHY},
    {"BACULA_LOG_NOJOBS",
     "There are no more Jobs associated with Volume " VOLUME "\\. Marking it purged"},
    {"BACULA_LOG_ALL_RECORDS_PRUNED",
     "All records pruned from Volume " VOLUME "; marking it \"Purged\""},
    {"BACULA_LOG_BEGIN_PRUNE_JOBS", "Begin pruning Jobs older than (?:%{NONNEGINT} %{WORD} ?)+"},
    {"BACULA_LOG_BEGIN_PRUNE_FILES", "Begin pruning Files"},
    {"BACULA_LOG_PRUNED_JOBS",
     "Pruned %{NONNEGINT} Jobs? for client %{BACULA_HOST:client} from catalog"},
    {"BACULA_LOG_PRUNED_FILES",
     "Pruned Files from %{NONNEGINT} Jobs? for client %{BACULA_HOST:client} from catalog"},
    {"BACULA_LOG_ENDPRUNE", "End auto prune"},
    {"BACULA_LOG_STARTJOB", "Start Backup JobId %{NONNEGINT}, Job=%{BACULA_JOB:job}"},
    {"BACULA_LOG_STARTRESTORE", "Start Restore Job %{BACULA_JOB:job}"},
    {"BACULA_LOG_USEDEVICE", "Using Device \"%{BACULA_DEVICE:device}\""},
    {"BACULA_LOG_DIFF_FS",
     "\\s*%{UNIXPATH} is a different filesystem\\. Will not descend from %{UNIXPATH} into it"},
    {"BACULA_LOG_JOBEND", "Job write elapsed time = %{DATA:elapsed}, Transfer rate = %{NUMBER} "
                          "?[KMG]? ?[Bb]ytes/second"},
    {"BACULA_LOG_NOPRUNE_JOBS", "No Jobs found to prune"},
    {"BACULA_LOG_NOPRUNE_FILES", "No Files found to prune"},
    {"BACULA_LOG_VOLUME_PREVWRITTEN",
     "Volume " VOLUME " previously written, moving to end of data"},
    {"BACULA_LOG_READYAPPEND", "Ready to append to end of Volume " VOLUME
                               " (?:size|at file)=(?:%{BACULA_CAPACITY}|%{NONNEGINT})"},
    {"BACULA_LOG_CANCELLING", "Cancelling duplicate JobId=%{NONNEGINT}"},
    {"BACULA_LOG_MARKCANCEL", "JobId %{NONNEGINT}, Job %{BACULA_JOB:job} marked to be canceled"},
    {"BACULA_LOG_CLIENT_RBJ", "shell command: run ClientRunBeforeJob \"%{GREEDYDATA:runjob}\""},
    {"BACULA_LOG_VSS", "(?:Generate )?VSS (?:snapshots|Writer).*"},
    {"BACULA_LOG_MAXSTART", FATAL "Job canceled because max start delay time exceeded"},
    {"BACULA_LOG_DUPLICATE",
     FATAL "JobId %{INT:duplicate} already running\\. Duplicate job not allowed"},
    {"BACULA_LOG_NOJOBSTAT", FATAL "No Job status returned from FD"},
    {"BACULA_LOG_FATAL_CONN", FATAL "bsock\\.c:[0-9]+ Unable to connect to Client: " CLIENT},
    {"BACULA_LOG_NO_CONNECT", "Warning: bsock\\.c:[0-9]+ Could not connect to Client: " CLIENT},
    {"BACULA_LOG_NO_AUTH",
     FATAL "Unable to authenticate with File daemon(?: at %{DATA})?\\. Possible causes:"},
    {"BACULA_LOG_NOSUIT", "No prior or suitable Full backup found in catalog\\. Doing FULL backup"},
    {"BACULA_LOG_NOPRIOR", "No prior Full backup Job record found"},
    {"BACULA_LOG_JOB",
     "(?:Error: )?Bacula %{BACULA_HOST} %{BACULA_VERSION} \\(%{BACULA_VERSION}\\):"},
    {"BACULA_LOG_MESSAGE", "(?:"
                           "%{BACULA_LOG_MAX_CAPACITY}|"
                           "%{BACULA_LOG_END_VOLUME}|"
                           "%{BACULA_LOG_NEW_VOLUME}|"
                           "%{BACULA_LOG_NEW_LABEL}|"
                           "%{BACULA_LOG_WROTE_LABEL}|"
                           "%{BACULA_LOG_NEW_MOUNT}|"
                           "%{BACULA_LOG_NOOPEN}|"
                           "%{BACULA_LOG_NOOPENDIR}|"
                           "%{BACULA_LOG_NOSTAT}|"
                           "%{BACULA_LOG_NOJOBS}|"
                           "%{BACULA_LOG_ALL_RECORDS_PRUNED}|"
                           "%{BACULA_LOG_BEGIN_PRUNE_JOBS}|"
                           "%{BACULA_LOG_BEGIN_PRUNE_FILES}|"
                           "%{BACULA_LOG_PRUNED_JOBS}|"
                           "%{BACULA_LOG_PRUNED_FILES}|"
                           "%{BACULA_LOG_ENDPRUNE}|"
                           "%{BACULA_LOG_STARTJOB}|"
                           "%{BACULA_LOG_STARTRESTORE}|"
                           "%{BACULA_LOG_USEDEVICE}|"
                           "%{BACULA_LOG_DIFF_FS}|"
                           "%{BACULA_LOG_JOBEND}|"
                           "%{BACULA_LOG_NOPRUNE_JOBS}|"
                           "%{BACULA_LOG_NOPRUNE_FILES}|"
                           "%{BACULA_LOG_VOLUME_PREVWRITTEN}|"
                           "%{BACULA_LOG_READYAPPEND}|"
                           "%{BACULA_LOG_CANCELLING}|"
                           "%{BACULA_LOG_MARKCANCEL}|"
                           "%{BACULA_LOG_CLIENT_RBJ}|"
                           "%{BACULA_LOG_VSS}|"
                           "%{BACULA_LOG_MAXSTART}|"
                           "%{BACULA_LOG_DUPLICATE}|"
                           "%{BACULA_LOG_NOJOBSTAT}|"
                           "%{BACULA_LOG_FATAL_CONN}|"
                           "%{BACULA_LOG_NO_CONNECT}|"
                           "%{BACULA_LOG_NO_AUTH}|"
                           "%{BACULA_LOG_NOSUIT}|"
                           "%{BACULA_LOG_NOPRIOR}|"
                           "%{BACULA_LOG_JOB})\\.?"},
    {"BACULA_LOGLINE", "%{BACULA_TIMESTAMP:bts} %{BACULA_HOST:hostname}(?: JobId %{INT:jobid})?: "
                       "%{BACULA_LOG_MESSAGE}"},
    {"BACULA_LOG", "%{BACULA_LOGLINE}"},

    /* MCollective, Maven */
    {"MCOLLECTIVE", "[A-Z], \\[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:pid}\\]%{SPACE}"
                    "%{LOGLEVEL:event_level}"},
    {"MCOLLECTIVEAUDIT", "%{TIMESTAMP_ISO8601:timestamp}:"},
    {"MAVEN_VERSION", "[0-9]+(?:\\.[0-9]+){1,3}(?:[.-](?:[A-Za-z]+[0-9.-]*|[0-9]+))*"},
    {NULL, NULL},
};
