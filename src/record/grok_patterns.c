/* The library of grok: the usual names, each with a pattern written for Weir. They are PCRE2; no
 * pattern captures by itself, and none depends on flags, so that they may be put together. */
#include "record/grok.h"

#define H16 "[0-9A-Fa-f]{1,4}"
#define OCTET "(?:25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])"
#define DOTTED OCTET "\\." OCTET "\\." OCTET "\\." OCTET
#define LABEL "[0-9A-Za-z](?:[0-9A-Za-z_-]{0,61}[0-9A-Za-z])?"

const struct grok_pattern grok_patterns[] = {
    /* text */
    {"WORD", "\\b\\w+\\b"},
    {"NOTSPACE", "\\S+"},
    {"SPACE", "\\s*"},
    {"DATA", ".*?"},
    {"GREEDYDATA", ".*"},
    {"QUOTEDSTRING", "(?:\"(?:[^\"\\\\]|\\\\.)*\"|'(?:[^'\\\\]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`)"},
    {"QS", "%{QUOTEDSTRING}"},
    {"BOOL", "(?:true|false|TRUE|FALSE|True|False)"},

    /* numbers */
    {"INT", "[+-]?[0-9]+"},
    {"POSINT", "\\b[1-9][0-9]*\\b"},
    {"NONNEGINT", "\\b[0-9]+\\b"},
    {"BASE10NUM", "(?<![0-9.])[+-]?(?:[0-9]+(?:\\.[0-9]+)?|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?"},
    {"NUMBER", "%{BASE10NUM}"},
    {"BASE16NUM", "[+-]?(?:0[xX])?[0-9A-Fa-f]+"},
    {"BASE16FLOAT", "[+-]?(?:0[xX])?(?:[0-9A-Fa-f]+(?:\\.[0-9A-Fa-f]*)?|\\.[0-9A-Fa-f]+)"},

    /* who */
    {"USERNAME", "[0-9A-Za-z._-]+"},
    {"USER", "%{USERNAME}"},
    {"EMAILLOCALPART", "[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+(?:\\.[0-9A-Za-z!#$%&'*+/=?^_`{|}~-]+)*"},
    {"EMAILADDRESS", "%{EMAILLOCALPART}@%{HOSTNAME}"},
    {"HTTPDUSER", "(?:%{EMAILADDRESS}|%{USER})"},
    {"UUID", "[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}"},
    {"URN", "urn:[0-9A-Za-z][0-9A-Za-z-]{0,31}:[^\\s\"<>]+"},

    /* networks */
    {"IPV4", "(?<![0-9.])" DOTTED "(?![0-9]|\\.[0-9])"},
    {"IPV6", "(?<![0-9A-Fa-f:.])(?:"
             "(?:" H16 ":){7}" H16 "|(?:" H16 ":){6}" DOTTED "|(?:" H16 ":){0,5}" H16 "::(?:" H16
             ":){0,4}" DOTTED "|::(?:" H16 ":){0,5}" DOTTED "|(?:" H16 ":){1,6}:" H16 "|(?:" H16
             ":){1,5}(?::" H16 "){1,2}"
             "|(?:" H16 ":){1,4}(?::" H16 "){1,3}|(?:" H16 ":){1,3}(?::" H16 "){1,4}"
             "|(?:" H16 ":){1,2}(?::" H16 "){1,5}|" H16 ":(?::" H16 "){1,6}"
             "|:(?::" H16 "){1,7}|(?:" H16 ":){1,7}:|::"
             ")(?:%[0-9A-Za-z._-]+)?(?![0-9A-Fa-f:])"},
    {"IP", "(?:%{IPV6}|%{IPV4})"},
    {"HOSTNAME", "\\b" LABEL "(?:\\." LABEL ")*\\b"},
    {"HOST", "%{HOSTNAME}"},
    {"IPORHOST", "(?:%{IP}|%{HOSTNAME})"},
    {"PORT", "[0-9]{1,5}"},
    {"HOSTPORT", "%{IPORHOST}:%{POSINT}"},
    {"CISCOMAC", "(?:[0-9A-Fa-f]{4}\\.){2}[0-9A-Fa-f]{4}"},
    {"WINDOWSMAC", "(?:[0-9A-Fa-f]{2}-){5}[0-9A-Fa-f]{2}"},
    {"COMMONMAC", "(?:[0-9A-Fa-f]{2}:){5}[0-9A-Fa-f]{2}"},
    {"MAC", "(?:%{COMMONMAC}|%{WINDOWSMAC}|%{CISCOMAC})"},

    /* paths and addresses */
    {"UNIXPATH", "(?:/[\\w.%!$@:,+~#=&^-]*)+"},
    {"WINPATH", "(?:[A-Za-z]:|\\\\)(?:\\\\[^\\\\?*<>|\"\\s]*)+"},
    {"PATH", "(?:%{UNIXPATH}|%{WINPATH})"},
    {"TTY", "/dev/(?:pts/[0-9]+|tty\\w*)"},
    {"URIPROTO", "[A-Za-z][0-9A-Za-z+.-]*"},
    {"URIHOST", "%{IPORHOST}(?::%{POSINT})?"},
    {"URIPATH", "(?:/[\\w.!$'*()+,;:=@&%~#{}|-]*)+"},
    {"URIQUERY", "[^\\s#\"<>]*"},
    {"URIPARAM", "\\?%{URIQUERY}"},
    {"URIPATHPARAM", "%{URIPATH}(?:%{URIPARAM})?"},
    {"URI", "%{URIPROTO}://(?:%{USER}(?::[^@\\s]*)?@)?(?:%{URIHOST})?(?:%{URIPATHPARAM})?"},

    /* times */
    {"MONTH", "\\b(?:[Jj]an(?:uary)?|[Ff]eb(?:ruary)?|[Mm]ar(?:ch)?|[Aa]pr(?:il)?|[Mm]ay|"
              "[Jj]une?|[Jj]uly?|[Aa]ug(?:ust)?|[Ss]ep(?:t(?:ember)?)?|[Oo]ct(?:ober)?|"
              "[Nn]ov(?:ember)?|[Dd]ec(?:ember)?)\\b"},
    {"MONTHNUM", "(?:1[0-2]|0?[1-9])"},
    {"MONTHNUM2", "(?:1[0-2]|0[1-9])"},
    {"MONTHDAY", "(?:3[01]|[12][0-9]|0?[1-9])"},
    {"DAY", "\\b(?:Mon(?:day)?|Tue(?:s(?:day)?)?|Wed(?:nesday)?|Thu(?:rs(?:day)?)?|Fri(?:day)?|"
            "Sat(?:urday)?|Sun(?:day)?)\\b"},
    {"YEAR", "(?:[0-9]{4}|[0-9]{2})"},
    {"HOUR", "(?:2[0-3]|[01]?[0-9])"},
    {"MINUTE", "[0-5][0-9]"},
    {"SECOND", "(?:60|[0-5]?[0-9])(?:[.,:][0-9]+)?"},
    {"TIME", "(?<![0-9])%{HOUR}:%{MINUTE}(?::%{SECOND})?(?![0-9])"},
    {"DATE_US", "%{MONTHNUM}[/-]%{MONTHDAY}[/-]%{YEAR}"},
    {"DATE_EU", "%{MONTHDAY}[./-]%{MONTHNUM}[./-]%{YEAR}"},
    {"DATE", "(?:%{DATE_US}|%{DATE_EU})"},
    {"DATESTAMP", "%{DATE}[- ]%{TIME}"},
    {"TZ", "[A-Z]{1,5}"},
    {"ISO8601_TIMEZONE", "(?:Z|[+-][0-9]{2}(?::?[0-9]{2})?)"},
    {"ISO8601_SECOND", "%{SECOND}"},
    {"TIMESTAMP_ISO8601", "[0-9]{4}-%{MONTHNUM}-%{MONTHDAY}[T ]%{HOUR}:?%{MINUTE}"
                          "(?::?%{SECOND})?(?: ?%{ISO8601_TIMEZONE})?"},
    {"DATESTAMP_RFC822", "%{DAY} %{MONTH} %{MONTHDAY} [0-9]{4} %{TIME} %{TZ}"},
    {"DATESTAMP_RFC2822", "%{DAY}, %{MONTHDAY} %{MONTH} [0-9]{4} %{TIME} %{ISO8601_TIMEZONE}"},
    {"DATESTAMP_OTHER", "%{DAY} %{MONTH} +%{MONTHDAY} %{TIME} %{TZ} [0-9]{4}"},
    {"DATESTAMP_EVENTLOG", "[0-9]{4}%{MONTHNUM2}[0-9]{2}[0-9]{6}"},
    {"HTTPDATE", "%{MONTHDAY}/%{MONTH}/[0-9]{4}:%{TIME} [+-][0-9]{4}"},
    {"HTTPDERROR_DATE", "%{DAY} %{MONTH} +%{MONTHDAY} %{TIME} [0-9]{4}"},
    {"SYSLOGTIMESTAMP", "%{MONTH} +%{MONTHDAY} %{TIME}"},

    /* lines of logs */
    {"LOGLEVEL",
     "\\b(?:[Tt]race|TRACE|[Dd]ebug|DEBUG|[Nn]otice|NOTICE|[Ii]nfo(?:rmation)?|INFO(?:RMATION)?|"
     "[Ww]arn(?:ing)?|WARN(?:ING)?|[Ee]rr(?:or)?|ERR(?:OR)?|[Cc]rit(?:ical)?|CRIT(?:ICAL)?|"
     "[Ff]atal|FATAL|[Ss]evere|SEVERE|[Aa]lert|ALERT|[Ee]merg(?:ency)?|EMERG(?:ENCY)?)\\b"},
    {"PROG", "[^\\s\\[\\]:]+"},
    {"SYSLOGPROG", "%{PROG:program}(?:\\[%{POSINT:pid:int}\\])?"},
    {"SYSLOGHOST", "%{IPORHOST}"},
    {"SYSLOGFACILITY", "<%{NONNEGINT:facility:int}\\.%{NONNEGINT:priority:int}>"},
    {"SYSLOGBASE", "%{SYSLOGTIMESTAMP:timestamp} +(?:%{SYSLOGFACILITY} +)?%{SYSLOGHOST:logsource} +"
                   "%{SYSLOGPROG}:"},
    {"SYSLOGLINE", "%{SYSLOGBASE} %{GREEDYDATA:message}"},
    {"HTTPD_VERB", "[A-Za-z]+(?:-[A-Za-z]+)*"},
    {"HTTPD_COMMONLOG",
     "%{IPORHOST:clientip} %{HTTPDUSER:ident} %{HTTPDUSER:auth} \\[%{HTTPDATE:timestamp}\\] "
     "\"(?:%{HTTPD_VERB:verb} %{NOTSPACE:request}(?: "
     "HTTP/%{NUMBER:httpversion})?|%{DATA:rawrequest})\" "
     "(?:%{INT:response:int}|-) (?:%{INT:bytes:int}|-)"},
    {"COMMONAPACHELOG", "%{HTTPD_COMMONLOG}"},
    {"HTTPD_COMBINEDLOG", "%{HTTPD_COMMONLOG} (?:-|%{QS:referrer}) (?:-|%{QS:agent})"},
    {"COMBINEDAPACHELOG", "%{HTTPD_COMBINEDLOG}"},
    {"JAVACLASS", "(?:[A-Za-z_$][\\w$]*\\.)*[A-Za-z_$][\\w$]*"},
    {"JAVAMETHOD", "(?:<(?:cl)?init>|[A-Za-z_$][\\w$]*)"},
    {"JAVAFILE", "[\\w$. -]+"},
    {"JAVATHREAD", "[^\\[\\]]+"},
    {"JAVASTACKTRACEPART", "at %{JAVACLASS:class}\\.%{JAVAMETHOD:method}"
                           "\\(%{JAVAFILE:file}(?::%{INT:line:int})?\\)"},
    {NULL, NULL},
};
