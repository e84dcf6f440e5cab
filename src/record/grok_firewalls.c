/* The library of grok, third part: firewalls. As in grok_products.c names and fields are the
 * customary ones; each pattern follows what the maker's guide says of the message (Cisco's by their
 * numbers, in Cisco ASA Series Syslog Messages), or what the kernel's module LOG prints. */
#include "record/grok.h"

/* Cisco: an end of a connection, with the user that an identity firewall adds. */
#define BY_USER(side) "(?:\\(%{DATA:" side "_fwuser}\\))?"
#define ADDRESS(side) "%{IP:" side "_ip}/%{PORT:" side "_port}"
#define END(side) "%{CISCO_NAME:" side "_interface}:" ADDRESS(side)
#define MAPPED(side) "(?: \\(%{IP:" side "_mapped_ip}/%{PORT:" side "_mapped_port}\\))?"
#define LISTED(side)                                                                               \
    "%{CISCO_NAME:" side "_interface}/%{IP:" side "_ip}\\(%{PORT:" side "_port}\\)" BY_USER(side)
#define ICMP_KIND "\\(type %{INT:icmp_type}, code %{INT:icmp_code}\\)"
#define HASHES "\\[%{DATA:hashcode1}, %{DATA:hashcode2}\\]"
#define FAILOVER "\\((?:Primary|Secondary)\\) "

/* Juniper SRX: from and to, and the rules that a session went by. */
#define FLOW "%{IP:src-ip}/%{PORT:src-port}->%{IP:dst-ip}/%{PORT:dst-port} %{DATA:service} "
#define FLOW_NAT                                                                                   \
    "%{IP:nat-src-ip}/%{PORT:nat-src-port}->%{IP:nat-dst-ip}/%{PORT:nat-dst-port} "                \
    "(?:None|%{NOTSPACE:src-nat-rule-name}) (?:None|%{NOTSPACE:dst-nat-rule-name}) "
#define FLOW_POLICY "%{DATA:policy-name} %{DATA:from-zone} %{DATA:to-zone} "

#define MONITORED(before, after) FAILOVER before "%{CISCO_NAME:interface_name}" after
#define PAYLOAD(side) "%{IP:orig_" side "_ip}(?:/%{PORT:orig_" side "_port})?" BY_USER("orig_" side)
#define ICMP_END(side)                                                                             \
    "%{CISCO_NAME:err_" side "_interface}:%{IP:err_" side "_ip}" BY_USER("err_" side)
#define END_OR_ADDRESS(side) "(?:%{CISCO_NAME}:)?" ADDRESS(side) BY_USER(side)

/* The kernel: what the packet is, as netfilter's LOG prints it. */
#define LINKED                                                                                     \
    "IN=(?:%{NF_INTERFACE:nf_in_interface})? OUT=(?:%{NF_INTERFACE:nf_out_interface})?"            \
    "(?: PHYS(?:IN|OUT)=\\S*)*(?: MAC=(?:%{COMMONMAC:nf_dst_mac}:%{COMMONMAC:nf_src_mac})?\\S*)?"

const struct grok_pattern grok_firewalls[] = {
    /* Juniper */
    {"RT_FLOW_EVENT", "RT_FLOW_SESSION_(?:CREATE|CLOSE|DENY)"},
    {"RT_FLOW1", "%{RT_FLOW_EVENT:event}: %{DATA:close-reason}: " FLOW FLOW_NAT
                 "%{INT:protocol-id} " FLOW_POLICY "%{INT:session-id} [0-9]+\\(%{INT:sent}\\) "
                 "[0-9]+\\(%{INT:received}\\) %{INT:elapsed-time}"},
    {"RT_FLOW2", "%{RT_FLOW_EVENT:event}: session created " FLOW FLOW_NAT
                 "%{INT:protocol-id} " FLOW_POLICY "%{INT:session-id}"},
    {"RT_FLOW3",
     "%{RT_FLOW_EVENT:event}: session denied " FLOW "%{INT:protocol-id}\\([0-9]+\\) " FLOW_POLICY},

    {"RT_FLOW_TAG", "%{RT_FLOW_EVENT}"},

    /* Cisco ASA, by the numbers of its messages */
    {"CISCOTIMESTAMP", "%{MONTH} +%{MONTHDAY}(?: [0-9]{4})? %{TIME}"},
    {"CISCOTAG", "[0-9A-Z]+-%{INT}-[0-9A-Z_]+"},
    {"CISCO_TAGGED_SYSLOG", "^<%{NONNEGINT:syslog_pri}>%{CISCOTIMESTAMP:timestamp}"
                            "(?: %{SYSLOGHOST:sysloghost})? ?: %%{CISCOTAG:ciscotag}:"},
    {"CISCO_ACTION", "(?:Built|Teardown|Deny|Denied|denied(?: by ACL)?|requested|permitted|"
                     "discarded|est-allowed|Dropping|created|deleted)"},
    {"CISCO_REASON", "[\\w-]+(?: [\\w-]+)*"},
    {"CISCO_DIRECTION", "(?:[Ii]n|[Oo]ut)bound"},
    {"CISCO_INTERVAL", "(?:first hit|[0-9]+-second interval)"},
    {"CISCO_XLATE_TYPE", "(?:static|dynamic)"},
    {"CISCOFW104001", FAILOVER "Switching to ACTIVE(?: -)? +%{GREEDYDATA:switch_reason}"},
    {"CISCOFW104002", FAILOVER "Switching to STANDBY(?: -)? +%{GREEDYDATA:switch_reason}"},
    {"CISCOFW106001",
     "%{CISCO_DIRECTION:direction} %{CISCO_PROTOCOL:protocol} connection "
     "%{CISCO_ACTION:action} from " ADDRESS("src") " to " ADDRESS(
         "dst") " flags %{GREEDYDATA:tcp_flags} on interface %{CISCO_NAME:interface}"},
    {"CISCOFW106014",
     "%{CISCO_ACTION:action} %{CISCO_DIRECTION:direction} %{CISCO_PROTOCOL:protocol} "
     "src %{CISCO_NAME:src_interface}:%{IP:src_ip}" BY_USER(
         "src") " dst %{CISCO_NAME:dst_interface}:%{IP:dst_ip}" BY_USER("dst") " " ICMP_KIND},
    {"CISCOFW106015", "%{CISCO_ACTION:action} %{CISCO_PROTOCOL:protocol} \\(%{DATA:policy_id}\\) "
                      "from " ADDRESS("src") " to " ADDRESS(
                          "dst") " flags %{DATA:tcp_flags} on interface %{CISCO_NAME:interface}"},
    {"CISCOFW106021", "%{CISCO_ACTION:action} %{CISCO_PROTOCOL:protocol} reverse path check from "
                      "%{IP:src_ip} to %{IP:dst_ip} on interface %{CISCO_NAME:interface}"},
    {"CISCOFW106023", "%{CISCO_ACTION:action}(?: protocol)? %{CISCO_PROTOCOL:protocol} src "
                      "%{CISCO_NAME:src_interface}:"
                      "%{IPORHOST:src_ip}(?:/%{PORT:src_port})?" BY_USER(
                          "src") " dst %{CISCO_NAME:dst_interface}:"
                                 "%{IPORHOST:dst_ip}(?:/%{PORT:dst_port})?" BY_USER(
                                     "dst") "(?: " ICMP_KIND ")? by access-group "
                                            "\"?%{DATA:policy_id}\"? " HASHES},
    {"CISCOFW106100", "access-list %{NOTSPACE:policy_id} %{CISCO_ACTION:action} "
                      "%{CISCO_PROTOCOL:protocol} " LISTED("src") " -> " LISTED(
                          "dst") " hit-cnt %{INT:hit_count} %{CISCO_INTERVAL:interval} " HASHES},
    {"CISCOFW304001", "%{IP:src_ip}" BY_USER("src") " Accessed URL %{IP:dst_ip}:"
                                                    "%{GREEDYDATA:dst_url}"},
    {"CISCOFW305011",
     "%{CISCO_ACTION:action} %{CISCO_XLATE_TYPE:xlate_type} %{CISCO_PROTOCOL:protocol} translation "
     "from "
     "%{CISCO_NAME:src_interface}:%{IP:src_ip}(?:/%{PORT:src_port})?" BY_USER(
         "src") " to "
                "%{CISCO_NAME:src_xlated_interface}:%{IP:src_xlated_ip}/%{PORT:src_xlated_port}"},
    {"CISCOFW313001_313004_313008",
     "%{CISCO_ACTION:action} %{CISCO_PROTOCOL:protocol} type=%{INT:icmp_type}, "
     "code=%{INT:icmp_code} from "
     "%{IP:src_ip} on interface %{NOTSPACE:interface}(?: to %{IP:dst_ip})?"},
    {"CISCOFW302010",
     "%{NONNEGINT:connection_count} in use, %{NONNEGINT:connection_count_max} most used"},
    {"CISCOFW302013_302014_302015_302016",
     "%{CISCO_ACTION:action}(?: %{CISCO_DIRECTION:direction})? %{CISCO_PROTOCOL:protocol} "
     "connection "
     "%{INT:connection_id} for " END("src") MAPPED("src") BY_USER("src") " to " END("dst")
         MAPPED("dst") BY_USER("dst") "(?: duration %{CISCO_DURATION:duration} bytes %{INT:bytes})?"
                                      "(?: %{CISCO_REASON:reason})?(?: \\(%{DATA:user}\\))?"},
    {"CISCO_DURATION", "[0-9]+:[0-5][0-9]:[0-5][0-9]"},
    {"CISCOFW419001", "%{CISCO_ACTION:action} %{CISCO_PROTOCOL:protocol} packet from " END(
                          "src") " to " END("dst") ", reason: %{GREEDYDATA:reason}"},
    {"CISCOFW500004",
     "%{CISCO_REASON:reason} for protocol=%{CISCO_PROTOCOL:protocol}, from " ADDRESS(
         "src") " to " ADDRESS("dst")},
    {"CISCOFW710001_710002_710003_710005_710006",
     "%{CISCO_PROTOCOL:protocol} (?:request|access) %{CISCO_ACTION:action} from " ADDRESS(
         "src") " to " END("dst")},

    /* the firewall of Linux by Shorewall */
    {"SHOREWALL",
     "%{SYSLOGTIMESTAMP:timestamp} %{HOSTNAME:nf_host} .*?Shorewall:(?:%{WORD:nf_action1})?:"
     "(?:%{WORD:nf_action2})?.*?IN=(?:%{USERNAME:nf_in_interface})? "
     "OUT=(?:%{USERNAME:nf_out_interface})?(?: MAC=(?:%{COMMONMAC:nf_dst_mac}:"
     "%{COMMONMAC:nf_src_mac})?\\S*)? +SRC=%{IP:nf_src_ip} DST=%{IP:nf_dst_ip} LEN=%{INT:nf_len} "
     "TOS=%{WORD:nf_tos} PREC=%{WORD:nf_prec} TTL=%{INT:nf_ttl} ID=%{INT:nf_id} .*?"
     "PROTO=%{WORD:nf_protocol}(?: SPT=%{PORT:nf_src_port} DPT=%{PORT:nf_dst_port})?"},

    /* Cisco, less common */
    {"CISCO_PROTOCOL", "[0-9A-Za-z]+(?:-[0-9A-Za-z]+)*"},
    {"CISCO_NAME", "[^\\s:,]+"},
    {"CISCO_HITCOUNT_INTERVAL",
     "hit-cnt %{INT:hit_count} (?:first hit|%{INT:interval}-second interval)"},
    {"CISCO_SRC_IP_USER", "%{CISCO_NAME:src_interface}:%{IP:src_ip}" BY_USER("src")},
    {"CISCO_DST_IP_USER", "%{CISCO_NAME:dst_interface}:%{IP:dst_ip}" BY_USER("dst")},
    {"CISCO_SRC_HOST_PORT_USER", "%{CISCO_NAME:src_interface}:(?:%{IP:src_ip}|%{HOSTNAME:src_host})"
                                 "(?:/%{PORT:src_port})?" BY_USER("src")},
    {"CISCO_DST_HOST_PORT_USER", "%{CISCO_NAME:dst_interface}:(?:%{IP:dst_ip}|%{HOSTNAME:dst_host})"
                                 "(?:/%{PORT:dst_port})?" BY_USER("dst")},
    {"CISCOFW104003", FAILOVER "Switching to FAILED"},
    {"CISCOFW104004", FAILOVER "Switching to OK"},
    {"CISCOFW105003", MONITORED("Monitoring on interface ", " waiting")},
    {"CISCOFW105004", MONITORED("Monitoring on interface ", " normal")},
    {"CISCOFW105005",
     MONITORED("Lost Failover communications with (?:mate|peer) on interface ", "\\.?")},
    {"CISCOFW105008", MONITORED("Testing interface ", "\\.?")},
    {"CISCOFW105009", MONITORED("Testing on interface ", " (?:Passed|Failed)")},
    {"CISCOFW106006_106007_106010",
     "%{CISCO_ACTION:action} %{CISCO_DIRECTION:direction} %{CISCO_PROTOCOL:protocol} "
     "(?:from|src) " END_OR_ADDRESS("src") " (?:to|dst) " END_OR_ADDRESS(
         "dst") "(?: on interface %{CISCO_NAME:interface}| due to %{CISCO_REASON:reason})?"},
    {"CISCOFW106100_2_3",
     "access-list %{NOTSPACE:policy_id} %{CISCO_ACTION:action} %{CISCO_PROTOCOL:protocol} "
     "for user '?%{DATA:src_fwuser}'? "
     "%{CISCO_NAME:src_interface}/%{IP:src_ip}\\(%{PORT:src_port}\\) -> "
     "%{CISCO_NAME:dst_interface}/%{IP:dst_ip}\\(%{PORT:dst_port}\\) hit-cnt %{INT:hit_count} "
     "%{CISCO_INTERVAL:interval} " HASHES},
    {"CISCOFW110002", "%{CISCO_REASON:reason} for %{CISCO_PROTOCOL:protocol} from " END(
                          "src") " to " ADDRESS("dst")},
    {"CISCOFW302020_302021",
     "%{CISCO_ACTION:action}(?: %{CISCO_DIRECTION:direction})? %{CISCO_PROTOCOL:protocol} "
     "connection for "
     "faddr %{IP:dst_ip}/%{INT:icmp_seq_num}(?:\\(%{DATA:fwuser}\\))? "
     "gaddr %{IP:src_xlated_ip}/%{INT:icmp_code_xlated} laddr %{IP:src_ip}/%{INT:icmp_code}"
     "(?: *\\(%{DATA:user}\\))?"},
    {"CISCOFW313005",
     "%{CISCO_REASON:reason} for %{CISCO_PROTOCOL:protocol} error message: "
     "%{CISCO_PROTOCOL:err_protocol} src " ICMP_END("src") " dst " ICMP_END(
         "dst") " \\(type %{INT:err_icmp_type}, code "
                "%{INT:err_icmp_code}\\) on %{CISCO_NAME:interface} interface\\.? "
                "+Original IP payload: "
                "%{CISCO_PROTOCOL:protocol} src " PAYLOAD("src") " dst " PAYLOAD("dst")},
    {"CISCOFW321001",
     "Resource '?%{WORD:resource_name}'? limit of %{POSINT:resource_limit} reached"},
    {"CISCOFW402117", "%{CISCO_PROTOCOL:protocol}: Received a non-IPSec packet \\(protocol= "
                      "?%{CISCO_PROTOCOL:orig_protocol}"
                      "\\) from %{IP:src_ip} to %{IP:dst_ip}"},
    {"CISCOFW402119",
     "%{CISCO_PROTOCOL:protocol}: Received an %{CISCO_PROTOCOL:orig_protocol} packet \\(SPI= "
     "?%{DATA:spi}, "
     "sequence number= ?%{DATA:seq_num}\\) from %{IP:src_ip} \\(user= ?%{DATA:user}\\) to "
     "%{IP:dst_ip} that failed anti-replay checking"},
    {"CISCOFW419002", "%{CISCO_REASON:reason} from " END("src") " to " END(
                          "dst") " with different initial sequence number"},
    {"CISCOFW602303_602304",
     "%{CISCO_PROTOCOL:protocol}: An %{CISCO_DIRECTION:direction} %{DATA:tunnel_type} SA \\(SPI= "
     "?%{DATA:spi}"
     "\\) between %{IP:src_ip} and %{IP:dst_ip} \\((?:user= ?)?%{DATA:user}\\) has been "
     "%{CISCO_ACTION:action}"},
    {"CISCOFW713172", "Group = %{DATA:group}, IP = %{IP:src_ip}, Automatic NAT Detection Status: +"
                      "Remote end *%{CISCO_NATTED:is_remote_natted} behind a NAT device +"
                      "This +end *%{CISCO_NATTED:is_local_natted} behind a NAT device"},
    {"CISCO_NATTED", "(?:is NOT|is|IS NOT|IS)"},
    {"CISCOFW733100", "\\[ ?%{DATA:drop_type} ?\\] drop %{DATA:drop_rate_id} exceeded\\. +"
                      "Current burst rate is %{INT:drop_rate_current_burst} per second, "
                      "max configured rate is %{INT:drop_rate_max_burst}; "
                      "Current average rate is %{INT:drop_rate_current_avg} per second, "
                      "max configured rate is %{INT:drop_rate_max_avg}; "
                      "Cumulative total count is %{INT:drop_total_count}"},

    /* Juniper's ScreenOS: the traffic log */
    {"NETSCREENSESSIONLOG",
     "%{SYSLOGTIMESTAMP:date} %{IPORHOST:device} %{IPORHOST}: NetScreen "
     "device_id=%{WORD:device_id} +\\[[^\\]]*\\]system-[a-z]+-[0-9]+\\(traffic\\): "
     "start_time=%{QS:start_time} duration=%{INT:duration} policy_id=%{INT:policy_id} "
     "service=%{DATA:service} proto=%{INT:proto} src zone=%{WORD:src_zone} "
     "dst zone=%{WORD:dst_zone} action=%{WORD:action} sent=%{INT:sent} rcvd=%{INT:rcvd} "
     "src=%{IPORHOST:src_ip} dst=%{IPORHOST:dst_ip}"
     "(?: src_port=%{PORT:src_port} dst_port=%{PORT:dst_port})?"
     "(?: src-xlated ip=%{IPORHOST:src_xlated_ip} port=%{PORT:src_xlated_port})?"
     "(?: dst-xlated ip=%{IPORHOST:dst_xlated_ip} port=%{PORT:dst_xlated_port})?"
     "(?: session_id=%{INT:session_id})?(?: reason=%{GREEDYDATA:reason})?"},

    /* netfilter, bare and as SuSE's firewall has it logged */
    {"NF_INTERFACE", "[^\\s=]+"},
    {"NF_TCP_FLAG", "(?:CWR|ECE|URG|ACK|PSH|RST|SYN|FIN)"},
    {"IPTABLES_TCP_FLAGS", "%{NF_TCP_FLAG}(?: %{NF_TCP_FLAG})*"},
    {"IPTABLES_TCP_PART", "(?:SEQ=%{INT:nf_seq} +ACK=%{INT:nf_ack} +)?WINDOW=%{INT:nf_window} +"
                          "RES=%{BASE16NUM:nf_res}(?: +%{IPTABLES_TCP_FLAGS:nf_tcp_flags})?"},
    {"IPTABLES4_FRAG", "(?:CE|DF|MF)(?: (?:CE|DF|MF))*"},
    {"IPTABLES4_PART",
     "SRC=%{IPV4:nf_src_ip} +DST=%{IPV4:nf_dst_ip} +LEN=%{INT:nf_len} +TOS=%{BASE16NUM:nf_tos} +"
     "PREC=%{BASE16NUM:nf_prec} +TTL=%{INT:nf_ttl} +ID=%{INT:nf_id} +"
     "(?:%{IPTABLES4_FRAG:nf_fragment} +)?(?:FRAG:%{INT:nf_fragment_offset} +)?"},
    {"IPTABLES6_PART",
     "SRC=%{IPV6:nf_src_ip} +DST=%{IPV6:nf_dst_ip} +LEN=%{INT:nf_len} +TC=%{INT:nf_tos} +"
     "HOPLIMIT=%{INT:nf_ttl} +FLOWLBL=%{INT:nf_flow} +"},
    {"IPTABLES", LINKED " +(?:%{IPTABLES4_PART}|%{IPTABLES6_PART})PROTO=%{WORD:nf_protocol}"
                        "(?: +SPT=%{PORT:nf_src_port} +DPT=%{PORT:nf_dst_port})?"
                        "(?: +%{IPTABLES_TCP_PART})?"},
    {"SFW2_LOG_PREFIX", "SFW2-[A-Za-z0-9]+-%{NOTSPACE:nf_action}"},
    {"SFW2", "(?:%{SYSLOGTIMESTAMP:timestamp}|%{TIMESTAMP_ISO8601:timestamp}) %{HOSTNAME} "
             "kernel: +(?:\\[ *[0-9.]+\\] )?%{SFW2_LOG_PREFIX} +" LINKED
             " +SRC=%{IP:nf_src_ip} +DST=%{IP:nf_dst_ip} .*?PROTO=%{WORD:nf_protocol}"
             "(?: +SPT=%{PORT:nf_src_port} +DPT=%{PORT:nf_dst_port})?"},
    {NULL, NULL},
};
