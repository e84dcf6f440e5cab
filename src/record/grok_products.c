/* The library of grok, second part: the lines that well-known programs write. Names and fields are
 * the customary ones (those of Logstash without its common schema), the patterns are Weir's own.
 * They build on grok_patterns.c and, like it, capture nothing but fields. */
#include "record/grok.h"

/* What a syslog daemon writes before the line of HAProxy. */
#define RELAYED                                                                                    \
    "(?:%{SYSLOGTIMESTAMP:syslog_timestamp}|%{TIMESTAMP_ISO8601:timestamp8601}) +"                 \
    "%{SYSLOGHOST:syslog_server} +%{SYSLOGPROG}: +"
#define ACCEPTED "%{IP:client_ip}:%{PORT:client_port} \\[%{HAPROXYDATE:accept_date}\\] "
#define PROXIED "%{NOTSPACE:frontend_name} %{HAPROXYNAME:backend_name}/%{NOTSPACE:server_name} "
#define COUNTS                                                                                     \
    "%{NONNEGINT:actconn}/%{NONNEGINT:feconn}/%{NONNEGINT:beconn}/%{NONNEGINT:srvconn}/"           \
    "%{HAPROXYRETRIES:retries} "                                                                   \
    "%{NONNEGINT:srv_queue}/%{NONNEGINT:backend_queue}"

/* A column of a file of tab-separated values, with the tab before it. */
#define COLUMN(name) "\\t%{TSV_CELL:" name "}"
#define BRO_ENDS "\\t%{NOTSPACE:uid}\\t%{IP:orig_h}\\t%{INT:orig_p}\\t%{IP:resp_h}\\t%{INT:resp_p}"

const struct grok_pattern grok_products[] = {
    /* HAProxy. The two HAPROXYCAPTURED… are there to be replaced where headers are captured. */
    {"HAPROXYTOTAL", "[+-]?[0-9]+"},
    {"HAPROXYSTATE", "[A-Za-z-]{2,4}"},
    {"HAPROXYNAME", "[^/\\s]+"},
    {"HAPROXYRETRIES", "\\+?[0-9]+"},
    {"HAPROXYTIME", "%{HOUR:haproxy_hour}:%{MINUTE:haproxy_minute}:%{MINUTE:haproxy_second}"},
    {"HAPROXYDATE", "%{MONTHDAY:haproxy_monthday}/%{MONTH:haproxy_month}/"
                    "%{YEAR:haproxy_year}:%{HAPROXYTIME:haproxy_time}\\."
                    "%{INT:haproxy_milliseconds}"},
    {"HAPROXYCAPTUREDREQUESTHEADERS", "%{DATA:captured_request_headers}"},
    {"HAPROXYCAPTUREDRESPONSEHEADERS", "%{DATA:captured_response_headers}"},
    {"HAPROXYURI", "(?:%{URIPROTO:http_proto}://)?(?:%{USER:http_user}(?::[^@\\s]*)?@)?"
                   "(?:%{URIHOST:http_host})?(?:%{URIPATHPARAM:http_request})?"},
    {"HAPROXYHTTPREQUESTLINE",
     "(?:<BADREQ>|%{WORD:http_verb} %{HAPROXYURI}(?: HTTP/%{NUMBER:http_version})?)"},
    {"HAPROXYHTTPBASE", ACCEPTED PROXIED
     "%{INT:time_request}/%{INT:time_queue}/%{INT:time_backend_connect}/"
     "%{INT:time_backend_response}/%{NOTSPACE:time_duration} %{INT:http_status_code} "
     "%{NOTSPACE:bytes_read} %{NOTSPACE:captured_request_cookie} "
     "%{NOTSPACE:captured_response_cookie} %{NOTSPACE:termination_state} " COUNTS
     "(?: \\{%{HAPROXYCAPTUREDREQUESTHEADERS}\\})?(?: \\{%{HAPROXYCAPTUREDRESPONSEHEADERS}\\})? "
     "\"%{HAPROXYHTTPREQUESTLINE}\"?"},
    {"HAPROXYHTTP", RELAYED "%{HAPROXYHTTPBASE}"},
    {"HAPROXYTCP", RELAYED ACCEPTED PROXIED
     "%{INT:time_queue}/%{INT:time_backend_connect}/%{HAPROXYTOTAL:time_duration} "
     "%{HAPROXYTOTAL:bytes_read} %{HAPROXYSTATE:termination_state} " COUNTS},
    {"HAPROXYERROR", RELAYED ACCEPTED "%{NOTSPACE:frontend_name}/%{NOTSPACE:bind_name}: "
                                      "%{GREEDYDATA:error_message}"},

    /* Apache's error log, to 2.2 and from 2.4 */
    {"HTTPD20_ERRORLOG", "\\[%{HTTPDERROR_DATE:timestamp}\\] \\[%{LOGLEVEL:loglevel}\\] "
                         "(?:\\[client %{IPORHOST:clientip}\\] )?%{GREEDYDATA:message}"},
    {"HTTPD24_ERRORLOG",
     "\\[%{HTTPDERROR_DATE:timestamp}\\] \\[(?:%{WORD:module})?:%{LOGLEVEL:loglevel}\\] "
     "\\[pid %{POSINT:pid}(?::tid %{INT:tid})?\\]"
     "(?: \\(%{POSINT:proxy_errorcode}\\)%{DATA:proxy_message}:)?"
     "(?: \\[client %{IPORHOST:clientip}:%{POSINT:clientport}\\])?"
     "(?: %{HTTPD_ERRORCODE:errorcode}:)? %{GREEDYDATA:message}"},
    {"HTTPD_ERRORCODE", "AH[0-9]{5}"},
    {"HTTPD_ERRORLOG", "(?:%{HTTPD20_ERRORLOG}|%{HTTPD24_ERRORLOG})"},

    /* AWS */
    {"S3_REQUEST_LINE", "(?:%{HTTPD_VERB:verb} %{NOTSPACE:request}(?: HTTP/%{NUMBER:httpversion})?|"
                        "%{DATA:rawrequest})"},
    {"S3_ACCESS_LOG",
     "%{WORD:owner} %{NOTSPACE:bucket} \\[%{HTTPDATE:timestamp}\\] (?:-|%{IP:clientip}) "
     "%{NOTSPACE:requester} %{NOTSPACE:request_id} %{NOTSPACE:operation} %{NOTSPACE:key} "
     "(?:-|\"-\"|\"%{S3_REQUEST_LINE}\") (?:-|%{INT:response:int}) (?:-|%{NOTSPACE:error_code}) "
     "(?:-|%{INT:bytes:int}) (?:-|%{INT:object_size:int}) (?:-|%{INT:request_time_ms:int}) "
     "(?:-|%{INT:turnaround_time_ms:int}) (?:-|%{QS:referrer}) (?:-|%{QS:agent}) "
     "(?:-(?!\\S)|%{NOTSPACE:version_id})"},
    {"ELB_URIPATHPARAM", "%{URIPATH:path}(?:%{URIPARAM:params})?"},
    {"ELB_URI", "%{URIPROTO:proto}://(?:%{USER}(?::[^@\\s]*)?@)?(?:%{URIHOST:urihost})?"
                "(?:%{ELB_URIPATHPARAM})?"},
    {"ELB_REQUEST_LINE", "(?:%{HTTPD_VERB:verb} %{ELB_URI:request}(?: HTTP/%{NUMBER:httpversion})?|"
                         "%{DATA:rawrequest})"},
    {"ELB_ACCESS_LOG",
     "%{TIMESTAMP_ISO8601:timestamp} %{NOTSPACE:elb} %{IP:clientip}:%{INT:clientport:int} "
     "(?:-|%{IP:backendip}:%{INT:backendport:int}) %{NUMBER:request_processing_time:float} "
     "%{NUMBER:backend_processing_time:float} %{NUMBER:response_processing_time:float} "
     "(?:-|%{INT:response:int}) (?:-|%{INT:backend_response:int}) %{INT:received_bytes:int} "
     "%{INT:bytes:int} \"%{ELB_REQUEST_LINE}\""},
    {"ELB_URIHOST", "%{URIHOST:urihost}"},
    {"ELB_URIPATHQUERY", "%{ELB_URIPATHPARAM}"},
    {"ELB_V1_HTTP_LOG", "%{ELB_ACCESS_LOG}(?: \"%{DATA:agent}\")?"
                        "(?: (?:-|%{NOTSPACE:ssl_cipher}) (?:-|%{NOTSPACE:ssl_protocol}))?"},
    {"CLOUDFRONT_TIMESTAMP", "[0-9]{4}-%{MONTHNUM}-%{MONTHDAY}\\t%{TIME}"},
    /* clang-format off */
    {"CLOUDFRONT_ACCESS_LOG",
     "%{CLOUDFRONT_TIMESTAMP:timestamp}" COLUMN("x_edge_location") "\\t(?:-|%{INT:sc_bytes:int})"
     "\\t%{IPORHOST:clientip}" COLUMN("cs_method") COLUMN("cs_host") COLUMN("cs_uri_stem")
     "\\t(?:-|%{INT:sc_status:int})" COLUMN("referrer") COLUMN("agent") COLUMN("cs_uri_query")
     COLUMN("cookies") COLUMN("x_edge_result_type") COLUMN("x_edge_request_id")
     COLUMN("x_host_header") COLUMN("cs_protocol") "\\t(?:-|%{INT:cs_bytes:int})"
     "\\t(?:-|%{NUMBER:time_taken:float})" COLUMN("x_forwarded_for") COLUMN("ssl_protocol")
     COLUMN("ssl_cipher") COLUMN("x_edge_response_result_type")},
    /* clang-format on */
    {"TSV_CELL", "[^\\t]*"},

    /* databases */
    {"POSTGRESQL_TIME", "(?:%{TIMESTAMP_ISO8601}|%{DATESTAMP})"},
    {"POSTGRESQL", "%{POSTGRESQL_TIME:timestamp} %{TZ} %{DATA:user_id} %{GREEDYDATA:connection_id} "
                   "%{POSINT:pid}"},
    {"REDISTIMESTAMP", "%{MONTHDAY} %{MONTH}(?: [0-9]{4})? %{TIME}"},
    {"REDISLOG", "\\[%{POSINT:pid}\\] +%{REDISTIMESTAMP:timestamp} [.*#-] +"},
    {"REDISMONLOG", "%{NUMBER:timestamp} \\[%{INT:database} %{IP:client}:%{INT:port:int}\\] "
                    "\"%{WORD:command}\" ?%{GREEDYDATA:params}"},
    {"MONGO_WORDDASH", "\\b[\\w-]+\\b"},
    {"MONGO_LOG",
     "%{SYSLOGTIMESTAMP:timestamp} \\[%{MONGO_WORDDASH:component}\\] +%{GREEDYDATA:message}"},
    {"MONGO_QUERY", "\\{ .*? \\}(?= ntoreturn:)"},
    {"MONGO_SLOWQUERY",
     "%{WORD:op} %{MONGO_WORDDASH:database}\\.%{MONGO_WORDDASH:collection} %{WORD}: "
     "%{MONGO_QUERY:query} ntoreturn:%{INT:ntoreturn:int} ntoskip:%{INT:ntoskip:int} "
     "nscanned:%{INT:nscanned:int}.*? nreturned:%{INT:nreturned:int}.*? %{INT:duration:int}ms"},
    {"MONGO3_SEVERITY", "\\w[0-9]?"},
    {"MONGO3_COMPONENT", "(?:-|\\w+)"},
    {"MONGO3_LOG", "%{TIMESTAMP_ISO8601:timestamp} %{MONGO3_SEVERITY:severity} "
                   "%{MONGO3_COMPONENT:component} *(?:\\[%{DATA:context}\\])? "
                   "%{GREEDYDATA:message}"},

    /* Java and Ruby */
    {"JAVALOGMESSAGE", ".*"},
    {"CATALINA_DATESTAMP", "%{MONTH} %{MONTHDAY}, [0-9]{4} %{HOUR}:%{MINUTE}:%{SECOND} [AP]M"},
    {"CATALINALOG", "%{CATALINA_DATESTAMP:timestamp}\\s+%{JAVACLASS:class}\\s+"
                    "%{JAVALOGMESSAGE:logmessage}"},
    {"TOMCAT_DATESTAMP", "%{TOMCATLEGACY_DATESTAMP}"},
    {"TOMCATLOG",
     "%{TOMCAT_DATESTAMP:timestamp} \\| +%{LOGLEVEL:level} +\\| +%{JAVACLASS:class} +- "
     "%{JAVALOGMESSAGE:logmessage}"},
    {"CATALINA7_DATESTAMP", "%{CATALINA_DATESTAMP}"},
    {"CATALINA7_LOG",
     "%{CATALINA7_DATESTAMP:timestamp} %{JAVACLASS:class}(?: %{JAVAMETHOD:method})?"
     "\\s+(?:%{LOGLEVEL:level}: )?%{JAVALOGMESSAGE:logmessage}"},
    {"CATALINA8_DATESTAMP", "%{MONTHDAY}-%{MONTH}-[0-9]{4} %{HOUR}:%{MINUTE}:%{SECOND}"},
    {"CATALINA8_LOG", "%{CATALINA8_DATESTAMP:timestamp} %{LOGLEVEL:level} \\[%{DATA:thread}\\] "
                      "(?:%{JAVACLASS:class}\\.%{JAVAMETHOD:method}|%{JAVACLASS:class}) "
                      "%{JAVALOGMESSAGE:logmessage}"},
    {"TOMCAT7_LOG", "%{CATALINA7_LOG}"},
    {"TOMCAT8_LOG", "%{CATALINA8_LOG}"},
    {"TOMCATLEGACY_DATESTAMP", "[0-9]{4}-%{MONTHNUM}-%{MONTHDAY} %{HOUR}:%{MINUTE}:%{SECOND} "
                               "%{ISO8601_TIMEZONE}"},
    {"TOMCATLEGACY_LOG", "%{TOMCATLOG}"},
    {"RUBY_LOGLEVEL", "(?:DEBUG|INFO|WARN|ERROR|FATAL)"},
    {"RUBY_LOGGER", "[DIWEF], \\[%{TIMESTAMP_ISO8601:timestamp} #%{POSINT:pid:int}\\] +"
                    "%{RUBY_LOGLEVEL:loglevel} -- +%{DATA:progname}: %{GREEDYDATA:message}"},
    {"RUUID", "[0-9A-Fa-f]{32}"},
    {"RAILS_CLASS", "[^#\\s]+"},
    {"RCONTROLLER", "%{RAILS_CLASS:controller}#%{WORD:action}"},
    {"RAILS_TIMESTAMP", "[0-9]{4}-%{MONTHNUM}-%{MONTHDAY} %{HOUR}:%{MINUTE}:%{SECOND} "
                        "%{ISO8601_TIMEZONE}"},
    {"RAILS3HEAD", "Started %{WORD:verb} \"%{URIPATHPARAM:request}\" for %{IPORHOST:clientip} at "
                   "%{RAILS_TIMESTAMP:timestamp}"},
    {"RPROCESSING", "\\s*Processing by %{RCONTROLLER} as %{NOTSPACE:format}"
                    "(?:\\s*Parameters: \\{%{DATA:params}\\}(?=\\s|$))?"},
    {"RAILS3PROFILE", "(?:\\((?:Views: %{NUMBER:viewms:float}ms)?(?: \\| )?"
                      "(?:ActiveRecord: %{NUMBER:activerecordms:float}ms)?)?"},
    {"RAILS3FOOT", "Completed %{INT:response}%{DATA} in %{NUMBER:totalms:float}ms "
                   "%{RAILS3PROFILE}%{GREEDYDATA}"},
    {"RAILS_LINES", "(?:.*\\n)*?"},
    {"RAILS3", "%{RAILS3HEAD}(?:%{RPROCESSING})?(?:\\s*\\n%{RAILS_LINES:context}%{RAILS3FOOT})?"},

    /* proxies, mail, names */
    {"SQUID3", "%{NUMBER:timestamp}\\s+%{INT:duration}\\s+%{IP:client_address}\\s+"
               "%{WORD:cache_result}/%{INT:status_code}\\s+%{INT:bytes}\\s+"
               "%{NOTSPACE:request_method}\\s+%{NOTSPACE:url}\\s+%{NOTSPACE:user}\\s+"
               "%{WORD:hierarchy_code}/(?:-|%{IPORHOST:server})\\s+%{NOTSPACE:content_type}"},
    {"SQUID3_STATUS", "(?:%{POSINT:status_code}|0|000)"},
    {"EXIM_MSGID",
     "[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{6}-[0-9A-Za-z]{2}|[0-9A-Za-z]{11}-[0-9A-Za-z]{4})"},
    {"EXIM_FLAGS", "(?:<=|[=>*-]>|\\*\\*|==)"},
    {"EXIM_DATE", "%{YEAR:exim_year}-%{MONTHNUM:exim_month}-%{MONTHDAY:exim_day} "
                  "%{TIME:exim_time}(?: [+-][0-9]{4})?"},
    {"EXIM_PID", "\\[%{POSINT:pid}\\]"},
    {"EXIM_QT", "(?:[0-9]+[ywdhms])+"},
    {"EXIM_REMOTE_HOST", "H=(?:%{HOSTNAME:remote_hostname} )?"
                         "(?:\\(%{NOTSPACE:remote_heloname}\\) )?\\[%{IP:remote_host}\\]"
                         "(?::%{POSINT:remote_port})?"},
    {"EXIM_INTERFACE", "I=\\[%{IP:exim_interface}\\](?::%{POSINT:exim_interface_port})?"},
    {"EXIM_PROTOCOL", "P=%{NOTSPACE:protocol}"},
    {"EXIM_MSG_SIZE", "S=%{INT:exim_msg_size}"},
    {"EXIM_HEADER_ID", "id=%{NOTSPACE:exim_header_id}"},
    {"EXIM_SUBJECT", "T=%{QS:exim_subject}"},
    {"EXIM_EXCLUDE_TERMS",
     "(?:Message is frozen|(?:Start|End) queue run:|Warning:|retry time not "
     "reached|no (?:IP address|host name) found for|unexpected disconnection "
     "while reading SMTP|no immediate delivery:|another process is handling)"},
    {"EXIM_QUOTED_CONTENT", "(?:[^\"\\\\]|\\\\.)*"},
    {"EXIM_UNKNOWN_FIELD", "[A-Za-z]{1,4}=\\S+"},
    {"EXIM_NAMED_FIELDS", "(?: +(?:%{EXIM_REMOTE_HOST}|%{EXIM_PROTOCOL}|%{EXIM_MSG_SIZE}|"
                          "%{EXIM_HEADER_ID}|%{EXIM_SUBJECT}|%{EXIM_INTERFACE}|"
                          "%{EXIM_UNKNOWN_FIELD}))*"},
    {"EXIM_ARRIVED", "<="},
    {"EXIM_MESSAGE_ARRIVAL",
     "%{EXIM_DATE:timestamp} (?:%{EXIM_PID} )?%{EXIM_MSGID:exim_msgid} %{EXIM_ARRIVED:exim_flags} "
     "(?:%{EMAILADDRESS:exim_sender_email}|<>)%{EXIM_NAMED_FIELDS}"
     "(?: for %{EMAILADDRESS:exim_recipient_email})?"},
    {"EXIM", "%{EXIM_MESSAGE_ARRIVAL}"},
    {"BIND9_TIMESTAMP", "%{MONTHDAY}-%{MONTH}-[0-9]{4} %{TIME}"},
    {"BIND9_DNSTYPE", "[A-Z][0-9A-Z]*"},
    {"BIND9_CATEGORY", "[a-z][a-z-]*"},
    {"BIND9_QUERYLOGBASE",
     "client (?:@0x[0-9a-f]+ )?%{IP:clientip}#%{POSINT:clientport:int} \\(%{DATA:asked}\\):"
     "(?: view %{NOTSPACE}:)? query: %{NOTSPACE:query} IN %{BIND9_DNSTYPE:querytype}"
     "(?: %{DATA:flags})? \\(%{IP:dns}\\)"},
    {"BIND9_QUERYLOG", "%{BIND9_TIMESTAMP:timestamp} %{BIND9_CATEGORY:category}: "
                       "%{LOGLEVEL:loglevel}: %{BIND9_QUERYLOGBASE}"},
    {"BIND9", "%{BIND9_TIMESTAMP:timestamp} queries: %{LOGLEVEL:loglevel}: client "
              "(?:@0x[0-9a-f]+ )?%{IP:clientip}#%{POSINT:clientport:int} \\([^)\\s]*\\): query: "
              "%{NOTSPACE:query} IN %{DATA:querytype} \\(%{IP:dns}\\)"},

    /* Bro, now Zeek: the tables as it writes them */
    /* clang-format off */
    {"BRO_BOOL", "[TF]"},
    {"BRO_DATA", "%{TSV_CELL}"},
    {"ZEEK_BOOL", "[TF]"},
    {"ZEEK_DATA", "%{TSV_CELL}"},
    {"ZEEK_FILES_TX_HOSTS", "(?:-|%{TSV_CELL:tx_hosts})"},
    {"ZEEK_FILES_RX_HOSTS", "(?:-|%{TSV_CELL:rx_hosts})"},
    {"ZEEK_HTTP",
     "%{NUMBER:ts}" BRO_ENDS "\\t%{INT:trans_depth}" COLUMN("method") COLUMN("domain")
     COLUMN("uri") COLUMN("referrer") COLUMN("version") COLUMN("user_agent") COLUMN("origin")
     "\\t%{INT:request_body_len}\\t%{INT:response_body_len}" COLUMN("status_code")
     COLUMN("status_msg") COLUMN("info_code") COLUMN("info_msg") COLUMN("tags") COLUMN("username")
     COLUMN("password") COLUMN("proxied") COLUMN("orig_fuids") COLUMN("orig_filenames")
     COLUMN("orig_mime_types") COLUMN("resp_fuids") COLUMN("resp_filenames")
     COLUMN("resp_mime_types")},
    {"ZEEK_DNS",
     "%{NUMBER:ts}" BRO_ENDS "\\t%{WORD:proto}\\t%{INT:trans_id}" COLUMN("rtt") COLUMN("query")
     COLUMN("qclass") COLUMN("qclass_name") COLUMN("qtype") COLUMN("qtype_name") COLUMN("rcode")
     COLUMN("rcode_name") COLUMN("AA") COLUMN("TC") COLUMN("RD") COLUMN("RA") COLUMN("Z")
     COLUMN("answers") COLUMN("TTLs") COLUMN("rejected")},
    {"ZEEK_CONN",
     "%{BRO_CONN}(?:\\t(?:-|%{COMMONMAC:orig_l2_addr})\\t(?:-|%{COMMONMAC:resp_l2_addr}))?"},
    {"ZEEK_FILES", "%{BRO_FILES}(?:" COLUMN("extracted_cutoff") COLUMN("extracted_size") ")?"},
    {"BRO_HTTP",
     "%{NUMBER:ts}" BRO_ENDS "\\t%{INT:trans_depth}" COLUMN("method") COLUMN("domain")
     COLUMN("uri") COLUMN("referrer") COLUMN("user_agent") "\\t%{INT:request_body_len}"
     "\\t%{INT:response_body_len}" COLUMN("status_code") COLUMN("status_msg") COLUMN("info_code")
     COLUMN("info_msg") COLUMN("filename") COLUMN("bro_tags") COLUMN("username") COLUMN("password")
     COLUMN("proxied") COLUMN("orig_fuids") COLUMN("orig_mime_types") COLUMN("resp_fuids")
     COLUMN("resp_mime_types")},
    {"BRO_DNS",
     "%{NUMBER:ts}" BRO_ENDS "\\t%{WORD:proto}\\t%{INT:trans_id}" COLUMN("query") COLUMN("qclass")
     COLUMN("qclass_name") COLUMN("qtype") COLUMN("qtype_name") COLUMN("rcode")
     COLUMN("rcode_name") COLUMN("AA") COLUMN("TC") COLUMN("RD") COLUMN("RA") COLUMN("Z")
     COLUMN("answers") COLUMN("TTLs") COLUMN("rejected")},
    {"BRO_CONN",
     "%{NUMBER:ts}" BRO_ENDS "\\t%{WORD:proto}" COLUMN("service") COLUMN("duration")
     COLUMN("orig_bytes") COLUMN("resp_bytes") COLUMN("conn_state") COLUMN("local_orig")
     COLUMN("local_resp") COLUMN("missed_bytes") COLUMN("history") COLUMN("orig_pkts")
     COLUMN("orig_ip_bytes") COLUMN("resp_pkts") COLUMN("resp_ip_bytes") COLUMN("tunnel_parents")},
    {"BRO_FILES",
     "%{NUMBER:ts}" COLUMN("fuid") COLUMN("tx_hosts") COLUMN("rx_hosts") COLUMN("conn_uids")
     COLUMN("source") COLUMN("depth") COLUMN("analyzers") COLUMN("mime_type") COLUMN("filename")
     COLUMN("duration") COLUMN("local_orig") COLUMN("is_orig") COLUMN("seen_bytes")
     COLUMN("total_bytes") COLUMN("missing_bytes") COLUMN("overflow_bytes") COLUMN("timedout")
     COLUMN("parent_fuid") COLUMN("md5") COLUMN("sha1") COLUMN("sha256") COLUMN("extracted")},
    /* clang-format on */

    /* syslog of Linux and of RFC 5424 */
    {"SYSLOGBASE2", "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp8601}) "
                    "+(?:%{SYSLOGFACILITY} +)?%{SYSLOGHOST:logsource}(?: +%{SYSLOGPROG}:)?"},
    {"PAM_MESSAGE", "%{WORD:pam_module}\\(%{DATA:pam_caller}\\): session "
                    "%{WORD:pam_session_state} for user %{USERNAME:username}.*?"
                    "(?: by %{GREEDYDATA:pam_by})?$"},
    {"SYSLOGPAMSESSION", "%{SYSLOGBASE} %{PAM_MESSAGE:message}"},
    {"CRON_USER", "[^()\\s]+"},
    {"CRON_ACTION", "[A-Z ]+"},
    {"CRONLOG",
     "%{SYSLOGBASE} +\\(%{CRON_USER:user}\\) %{CRON_ACTION:action} \\(%{GREEDYDATA:message}\\)$"},
    {"SYSLOG5424PRINTASCII", "[!-~]+"},
    {"SYSLOG5424PRI", "<%{NONNEGINT:syslog5424_pri:int}>"},
    {"SYSLOG5424SD", "(?:\\[(?:[^\"\\]\\\\]|\"(?:[^\"\\\\]|\\\\.)*\")*\\])+"},
    {"SYSLOG5424BASE",
     "%{SYSLOG5424PRI}%{NONNEGINT:syslog5424_ver:int} +(?:-|%{TIMESTAMP_ISO8601:syslog5424_ts}) +"
     "(?:-|%{IPORHOST:syslog5424_host}) +(?:-|%{SYSLOG5424PRINTASCII:syslog5424_app}) +"
     "(?:-|%{SYSLOG5424PRINTASCII:syslog5424_proc}) +"
     "(?:-|%{SYSLOG5424PRINTASCII:syslog5424_msgid}) +(?:-|%{SYSLOG5424SD:syslog5424_sd})"},
    {"SYSLOG5424LINE", "%{SYSLOG5424BASE}(?: +%{GREEDYDATA:syslog5424_msg})?"},
    {NULL, NULL},
};
