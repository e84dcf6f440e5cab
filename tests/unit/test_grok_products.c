/* The lines of well-known programs: an example of each, and what is taken of it. */
#include "record/extract.h"

#include "test.h"

static struct arena arena;

/* `want`: "field=part" of all that the pattern sets on the line, in the order of the pattern,
 * parted by '|'. */
struct example {
    const char *pattern, *line, *want;
};

static const struct example examples[] = {
    {"HAPROXYHTTP",
     "Feb  6 12:14:14 lb haproxy[14389]: 10.0.1.2:33317 [06/Feb/2009:12:14:14.655] http-in "
     "static/srv1 10/0/30/69/109 200 2750 - - ---- 1/1/1/1/0 0/0 {www.example.org} {nginx} "
     "\"GET /index.html?a=1 HTTP/1.1\"",
     "syslog_timestamp=Feb  6 12:14:14|syslog_server=lb|program=haproxy|pid=14389|"
     "client_ip=10.0.1.2|client_port=33317|accept_date=06/Feb/2009:12:14:14.655|"
     "haproxy_monthday=06|haproxy_month=Feb|haproxy_year=2009|haproxy_time=12:14:14|"
     "haproxy_hour=12|haproxy_minute=14|haproxy_second=14|haproxy_milliseconds=655|"
     "frontend_name=http-in|backend_name=static|server_name=srv1|time_request=10|time_queue=0|"
     "time_backend_connect=30|time_backend_response=69|time_duration=109|http_status_code=200|"
     "bytes_read=2750|captured_request_cookie=-|captured_response_cookie=-|"
     "termination_state=----|actconn=1|feconn=1|beconn=1|srvconn=1|retries=0|srv_queue=0|"
     "backend_queue=0|captured_request_headers=www.example.org|captured_response_headers=nginx|"
     "http_verb=GET|http_request=/index.html?a=1|http_version=1.1"},
    {"HAPROXYTCP",
     "2024-02-06T12:12:56+01:00 lb haproxy[14387]: 10.0.1.2:33313 [06/Feb/2024:12:12:51.443] fnt "
     "bck/srv1 0/0/5007 212 -- 0/0/0/0/3 0/0",
     "timestamp8601=2024-02-06T12:12:56+01:00|syslog_server=lb|program=haproxy|pid=14387|"
     "client_ip=10.0.1.2|client_port=33313|accept_date=06/Feb/2024:12:12:51.443|"
     "haproxy_monthday=06|haproxy_month=Feb|haproxy_year=2024|haproxy_time=12:12:51|"
     "haproxy_hour=12|haproxy_minute=12|haproxy_second=51|haproxy_milliseconds=443|"
     "frontend_name=fnt|backend_name=bck|server_name=srv1|time_queue=0|time_backend_connect=0|"
     "time_duration=5007|bytes_read=212|termination_state=--|actconn=0|feconn=0|beconn=0|"
     "srvconn=0|retries=3|srv_queue=0|backend_queue=0"},
    {"HAPROXYERROR",
     "Dec  3 18:27:14 lb haproxy[6103]: 127.0.0.1:56059 [03/Dec/2012:17:35:10.380] frt/f1: "
     "Connection error during SSL handshake",
     "syslog_timestamp=Dec  3 18:27:14|syslog_server=lb|program=haproxy|pid=6103|"
     "client_ip=127.0.0.1|client_port=56059|accept_date=03/Dec/2012:17:35:10.380|"
     "haproxy_monthday=03|haproxy_month=Dec|haproxy_year=2012|haproxy_time=17:35:10|"
     "haproxy_hour=17|haproxy_minute=35|haproxy_second=10|haproxy_milliseconds=380|"
     "frontend_name=frt|bind_name=f1|error_message=Connection error during SSL handshake"},
    {"HTTPD_ERRORLOG",
     "[Mon Aug 31 07:30:48 2015] [error] [client 10.0.0.7] File does not exist: /srv/favicon.ico",
     "timestamp=Mon Aug 31 07:30:48 2015|loglevel=error|clientip=10.0.0.7|"
     "message=File does not exist: /srv/favicon.ico"},
    {"HTTPD_ERRORLOG",
     "[Mon Aug 31 09:30:48.958285 2015] [proxy_fcgi:error] [pid 28787:tid 140169587934976] "
     "(70008)Partial results are valid but processing is incomplete: [client 10.0.0.7:58994] "
     "AH01075: Error dispatching request to :9000",
     "timestamp=Mon Aug 31 09:30:48.958285 2015|loglevel=error|clientip=10.0.0.7|"
     "message=Error dispatching request to :9000|module=proxy_fcgi|pid=28787|"
     "tid=140169587934976|proxy_errorcode=70008|"
     "proxy_message=Partial results are valid but processing is incomplete|clientport=58994|"
     "errorcode=AH01075"},
    {"S3_ACCESS_LOG",
     "79a59df900b9 mybucket [06/Feb/2019:00:00:38 +0000] 192.0.2.3 79a59df900b9 3E57427F3 "
     "REST.GET.VERSIONING - \"GET /mybucket?versioning HTTP/1.1\" 200 - 113 - 7 - \"-\" "
     "\"S3Console/0.4\" -",
     "owner=79a59df900b9|bucket=mybucket|timestamp=06/Feb/2019:00:00:38 +0000|clientip=192.0.2.3|"
     "requester=79a59df900b9|request_id=3E57427F3|operation=REST.GET.VERSIONING|key=-|verb=GET|"
     "request=/mybucket?versioning|httpversion=1.1|response=200|bytes=113|request_time_ms=7|"
     "referrer=\"-\"|agent=\"S3Console/0.4\""},
    {"ELB_ACCESS_LOG",
     "2015-05-13T23:39:43.945958Z my-elb 192.168.131.39:2817 10.0.0.1:80 0.000073 0.001048 "
     "0.000057 200 200 0 29 \"GET http://www.example.com:80/a/b?c=1 HTTP/1.1\" \"curl/7.38.0\" - -",
     "timestamp=2015-05-13T23:39:43.945958Z|elb=my-elb|clientip=192.168.131.39|clientport=2817|"
     "backendip=10.0.0.1|backendport=80|request_processing_time=0.000073|"
     "backend_processing_time=0.001048|response_processing_time=0.000057|response=200|"
     "backend_response=200|received_bytes=0|bytes=29|verb=GET|"
     "request=http://www.example.com:80/a/b?c=1|proto=http|urihost=www.example.com:80|path=/a/b|"
     "params=?c=1|httpversion=1.1"},
    {"CLOUDFRONT_ACCESS_LOG",
     "2014-05-23\t01:13:11\tFRA2\t182\t192.0.2.10\tGET\td11.cloudfront.net\t/view/my/file.html\t"
     "200\twww.example.com\tMozilla/4.0%20(compatible)\t-\tzip=98101\tRefreshHit\tMRVMF7Kydi=="
     "\twww.example.org\thttp\t-\t0.001\t-\t-\t-\tRefreshHit",
     "timestamp=2014-05-23\t01:13:11|x_edge_location=FRA2|sc_bytes=182|clientip=192.0.2.10|"
     "cs_method=GET|cs_host=d11.cloudfront.net|cs_uri_stem=/view/my/file.html|sc_status=200|"
     "referrer=www.example.com|agent=Mozilla/4.0%20(compatible)|cs_uri_query=-|cookies=zip=98101|"
     "x_edge_result_type=RefreshHit|x_edge_request_id=MRVMF7Kydi==|x_host_header=www.example.org|"
     "cs_protocol=http|time_taken=0.001|x_forwarded_for=-|ssl_protocol=-|ssl_cipher=-|"
     "x_edge_response_result_type=RefreshHit"},
    {"POSTGRESQL", "2021-03-30 15:39:22.015 UTC postgres 60634747.1c2 450",
     "timestamp=2021-03-30 15:39:22.015|user_id=postgres|connection_id=60634747.1c2|pid=450"},
    {"REDISLOG", "[4018] 14 Nov 07:01:22.119 * Background saving terminated with success",
     "pid=4018|timestamp=14 Nov 07:01:22.119"},
    {"REDISMONLOG", "1339518083.107412 [0 127.0.0.1:60866] \"set\" \"x\" \"6\"",
     "timestamp=1339518083.107412|database=0|client=127.0.0.1|port=60866|command=set|"
     "params=\"x\" \"6\""},
    {"MONGO_SLOWQUERY",
     "query shop.orders query: { status: { $in: [ 1, 2 ] } } ntoreturn:10 ntoskip:5 nscanned:9000 "
     "keyUpdates:0 numYields: 2 locks(micros) r:7 nreturned:3 reslen:20 1300ms",
     "op=query|database=shop|collection=orders|query={ status: { $in: [ 1, 2 ] } }|ntoreturn=10|"
     "ntoskip=5|nscanned=9000|nreturned=3|duration=1300"},
    {"MONGO3_LOG",
     "2014-11-03T18:28:32.450-0500 I NETWORK [initandlisten] waiting for connections on port 27017",
     "timestamp=2014-11-03T18:28:32.450-0500|severity=I|component=NETWORK|context=initandlisten|"
     "message=waiting for connections on port 27017"},
    {"CATALINALOG", "Jan 9, 2014 7:13:13 AM org.apache.coyote.Http11Protocol start",
     "timestamp=Jan 9, 2014 7:13:13 AM|class=org.apache.coyote.Http11Protocol|logmessage=start"},
    {"TOMCATLOG", "2014-01-09 20:03:28,269 -0800 | ERROR | com.example.Service - it broke",
     "timestamp=2014-01-09 20:03:28,269 -0800|level=ERROR|class=com.example.Service|"
     "logmessage=it broke"},
    {"RUBY_LOGGER", "I, [2014-02-27T12:05:22.154 #3422]  INFO -- main: hello",
     "timestamp=2014-02-27T12:05:22.154|pid=3422|loglevel=INFO|progname=main|message=hello"},
    {"RAILS3",
     "Started POST \"/api/v3/events\" for 127.0.0.1 at 2013-11-24 10:56:47 +0100\n"
     "Processing by Api::EventsController#create as JSON\n"
     "  Parameters: {\"id\"=>\"1\", \"h\"=>{\"a\"=>\"b\"}}\n"
     "Rendered x\n"
     "Completed 200 OK in 12.5ms (Views: 3.1ms | ActiveRecord: 0.4ms)",
     "verb=POST|request=/api/v3/events|clientip=127.0.0.1|timestamp=2013-11-24 10:56:47 +0100|"
     "controller=Api::EventsController|action=create|format=JSON|"
     "params=\"id\"=>\"1\", \"h\"=>{\"a\"=>\"b\"}|context=Rendered x\n|response=200|totalms=12.5|"
     "viewms=3.1|activerecordms=0.4"},
    {"SQUID3",
     "1525344856.899  16867 10.170.72.111 TCP_TUNNEL/200 6256 CONNECT logs.example.com:443 - "
     "HIER_DIRECT/192.0.2.154 -",
     "timestamp=1525344856.899|duration=16867|client_address=10.170.72.111|"
     "cache_result=TCP_TUNNEL|status_code=200|bytes=6256|request_method=CONNECT|"
     "url=logs.example.com:443|user=-|hierarchy_code=HIER_DIRECT|server=192.0.2.154|"
     "content_type=-"},
    {"EXIM",
     "2014-02-10 05:51:55 1WCtA1-0005t5-2N <= ann@example.org H=mail.example.org (helo.x) "
     "[192.0.2.9]:4711 P=esmtps X=TLSv1:256 S=4118 id=4b@example.org T=\"a \\\"b\\\" c\" "
     "for bob@example.com",
     "timestamp=2014-02-10 05:51:55|exim_year=2014|exim_month=02|exim_day=10|exim_time=05:51:55|"
     "exim_msgid=1WCtA1-0005t5-2N|exim_flags=<=|exim_sender_email=ann@example.org|"
     "remote_hostname=mail.example.org|remote_heloname=helo.x|remote_host=192.0.2.9|"
     "remote_port=4711|protocol=esmtps|exim_msg_size=4118|exim_header_id=4b@example.org|"
     "exim_subject=\"a \\\"b\\\" c\"|exim_recipient_email=bob@example.com"},
    {"BIND9",
     "17-Feb-2018 23:06:56.326 queries: info: client 172.26.0.1#12345 (test.example): query: "
     "test.example IN A +E(0)K (172.26.0.3)",
     "timestamp=17-Feb-2018 23:06:56.326|loglevel=info|clientip=172.26.0.1|clientport=12345|"
     "query=test.example|querytype=A +E(0)K|dns=172.26.0.3"},
    {"BRO_HTTP",
     "1432555199.633017\tCOpk6E3vkURP\t10.9.37.46\t41458\t192.0.2.87\t80\t1\tGET\tx.example\t"
     "/a.png\thttp://x.example/\tMozilla 5\t0\t1969\t200\tOK\t-\t-\t-\t(empty)\t-\t-\t-\t-\t-\t"
     "FH1x9\timage/png",
     "ts=1432555199.633017|uid=COpk6E3vkURP|orig_h=10.9.37.46|orig_p=41458|resp_h=192.0.2.87|"
     "resp_p=80|trans_depth=1|method=GET|domain=x.example|uri=/a.png|referrer=http://x.example/|"
     "user_agent=Mozilla 5|request_body_len=0|response_body_len=1969|status_code=200|"
     "status_msg=OK|info_code=-|info_msg=-|filename=-|bro_tags=(empty)|username=-|password=-|"
     "proxied=-|orig_fuids=-|orig_mime_types=-|resp_fuids=FH1x9|resp_mime_types=image/png"},
    {"BRO_DNS",
     "1359565680.761790\tUWkUyAuUGXf\t192.168.6.10\t53209\t192.168.129.36\t53\tudp\t41477\t"
     "x.example\t1\tC_INTERNET\t12\tPTR\t0\tNOERROR\tF\tF\tT\tF\t0\t-\t-\tF",
     "ts=1359565680.761790|uid=UWkUyAuUGXf|orig_h=192.168.6.10|orig_p=53209|"
     "resp_h=192.168.129.36|resp_p=53|proto=udp|trans_id=41477|query=x.example|qclass=1|"
     "qclass_name=C_INTERNET|qtype=12|qtype_name=PTR|rcode=0|rcode_name=NOERROR|AA=F|TC=F|RD=T|"
     "RA=F|Z=0|answers=-|TTLs=-|rejected=F"},
    {"BRO_CONN",
     "1541001600.580233\tCvf4XX17hSAgXDdGEd\t10.1.2.5\t54243\t10.1.0.1\t53\tudp\tdns\t0."
     "009\t36\t88\t"
     "SF\tT\tT\t0\tDd\t1\t64\t1\t116\t(empty)",
     "ts=1541001600.580233|uid=Cvf4XX17hSAgXDdGEd|orig_h=10.1.2.5|orig_p=54243|resp_h=10.1.0.1|"
     "resp_p=53|proto=udp|service=dns|duration=0.009|orig_bytes=36|resp_bytes=88|conn_state=SF|"
     "local_orig=T|local_resp=T|missed_bytes=0|history=Dd|orig_pkts=1|orig_ip_bytes=64|"
     "resp_pkts=1|resp_ip_bytes=116|tunnel_parents=(empty)"},
    {"BRO_FILES",
     "1362692527.009\tFakNcS1\t192.0.2.1\t10.0.0.3\tCXWv6p\tHTTP\t0\tMD5\ttext/"
     "plain\t-\t0.1\t-\tF\t4705"
     "\t4706\t0\t1\tT\t-\t3978\t-\t-\t-",
     "ts=1362692527.009|fuid=FakNcS1|tx_hosts=192.0.2.1|rx_hosts=10.0.0.3|conn_uids=CXWv6p|"
     "source=HTTP|depth=0|analyzers=MD5|mime_type=text/plain|filename=-|duration=0.1|"
     "local_orig=-|is_orig=F|seen_bytes=4705|total_bytes=4706|missing_bytes=0|overflow_bytes=1|"
     "timedout=T|parent_fuid=-|md5=3978|sha1=-|sha256=-|extracted=-"},
    {"CISCOFW304001", "10.0.0.1(ann) Accessed URL 192.0.2.9:http://x.example/a",
     "src_ip=10.0.0.1|src_fwuser=ann|dst_ip=192.0.2.9|dst_url=http://x.example/a"},
    {"CISCOFW305011",
     "Built dynamic TCP translation from inside:10.0.0.5/2046 to outside:192.0.2.1/58435",
     "action=Built|xlate_type=dynamic|protocol=TCP|src_interface=inside|src_ip=10.0.0.5|"
     "src_port=2046|src_xlated_interface=outside|src_xlated_ip=192.0.2.1|src_xlated_port=58435"},
    {"CISCOFW313001_313004_313008",
     "Denied ICMP type=3, code=1 from 192.0.2.4 on interface outside to 10.0.0.1",
     "action=Denied|protocol=ICMP|icmp_type=3|icmp_code=1|src_ip=192.0.2.4|interface=outside|"
     "dst_ip=10.0.0.1"},
    {"RT_FLOW1",
     "RT_FLOW_SESSION_CLOSE: session closed TCP FIN: 10.0.0.1/594->10.0.0.2/104 junos-ftp "
     "192.0.2.1/594->192.0.2.2/104 None dnat 6 allow trust untrust 6203 12(1540) 10(3012) 3 x",
     "event=RT_FLOW_SESSION_CLOSE|close-reason=session closed TCP FIN|src-ip=10.0.0.1|"
     "src-port=594|dst-ip=10.0.0.2|dst-port=104|service=junos-ftp|nat-src-ip=192.0.2.1|"
     "nat-src-port=594|nat-dst-ip=192.0.2.2|nat-dst-port=104|dst-nat-rule-name=dnat|"
     "protocol-id=6|policy-name=allow|from-zone=trust|to-zone=untrust|session-id=6203|sent=1540|"
     "received=3012|elapsed-time=3"},
    {"RT_FLOW3",
     "RT_FLOW_SESSION_DENY: session denied 10.0.0.1/57->10.0.0.2/22 junos-ssh 6(0) deny-all "
     "trust untrust UNKNOWN",
     "event=RT_FLOW_SESSION_DENY|src-ip=10.0.0.1|src-port=57|dst-ip=10.0.0.2|dst-port=22|"
     "service=junos-ssh|protocol-id=6|policy-name=deny-all|from-zone=trust|to-zone=untrust"},
    {"SYSLOGPAMSESSION",
     "Jul 14 13:36:53 precise sudo: pam_unix(sudo:session): session opened for user root by "
     "ann(uid=0)",
     "timestamp=Jul 14 13:36:53|logsource=precise|program=sudo|"
     "message=pam_unix(sudo:session): session opened for user root by ann(uid=0)|"
     "pam_module=pam_unix|pam_caller=sudo:session|pam_session_state=opened|username=root|"
     "pam_by=ann(uid=0)"},
    {"CRONLOG", "Jul 14 17:17:01 web CRON[6512]: (root) CMD (run (it) all)",
     "timestamp=Jul 14 17:17:01|logsource=web|program=CRON|pid=6512|user=root|action=CMD|"
     "message=run (it) all"},
    {"SYSLOG5424LINE",
     "<165>1 2003-10-11T22:14:15.003Z web.example.com ev - ID47 [x@1 a=\"b]\\\"c\"][y@1] hello",
     "syslog5424_pri=165|syslog5424_ver=1|syslog5424_ts=2003-10-11T22:14:15.003Z|"
     "syslog5424_host=web.example.com|syslog5424_app=ev|syslog5424_msgid=ID47|"
     "syslog5424_sd=[x@1 a=\"b]\\\"c\"][y@1]|syslog5424_msg=hello"},
    {"CISCO_TAGGED_SYSLOG", "<165>May  8 2021 13:23:42 fw : %ASA-4-106023: Deny tcp",
     "syslog_pri=165|timestamp=May  8 2021 13:23:42|sysloghost=fw|ciscotag=ASA-4-106023"},
    {"CISCOFW106001",
     "Inbound TCP connection denied from 192.0.2.43/2000 to 10.0.0.1/80 flags SYN on interface out",
     "direction=Inbound|protocol=TCP|action=denied|src_ip=192.0.2.43|src_port=2000|"
     "dst_ip=10.0.0.1|dst_port=80|tcp_flags=SYN|interface=out"},
    {"CISCOFW106023",
     "Deny tcp src outside:192.168.1.1/50240 dst inside:192.168.1.2/23 by access-group "
     "\"acl_out\" [0x0, 0x1]",
     "action=Deny|protocol=tcp|src_interface=outside|src_ip=192.168.1.1|src_port=50240|"
     "dst_interface=inside|dst_ip=192.168.1.2|dst_port=23|policy_id=acl_out|hashcode1=0x0|"
     "hashcode2=0x1"},
    {"CISCOFW106100",
     "access-list inside permitted tcp inside/10.10.123.45(51763) -> outside/192.0.2.30(443) "
     "hit-cnt 1 first hit [0x62c4905, 0x0]",
     "policy_id=inside|action=permitted|protocol=tcp|src_interface=inside|src_ip=10.10.123.45|"
     "src_port=51763|dst_interface=outside|dst_ip=192.0.2.30|dst_port=443|hit_count=1|"
     "interval=first hit|hashcode1=0x62c4905|hashcode2=0x0"},
    {"CISCOFW302013_302014_302015_302016",
     "Teardown TCP connection 11754 for outside:192.0.2.1/80 to inside:10.0.0.4/33 duration "
     "120:00:30 bytes 1247 TCP Reset-O",
     "action=Teardown|protocol=TCP|connection_id=11754|src_interface=outside|src_ip=192.0.2.1|"
     "src_port=80|dst_interface=inside|dst_ip=10.0.0.4|dst_port=33|duration=120:00:30|bytes=1247|"
     "reason=TCP Reset-O"},
    {"CISCOFW302013_302014_302015_302016",
     "Built inbound UDP connection 7 for outside:192.0.2.1/53 (192.0.2.1/53) to "
     "inside:10.0.0.4/33 (198.51.100.4/34) (ann)",
     "action=Built|direction=inbound|protocol=UDP|connection_id=7|src_interface=outside|"
     "src_ip=192.0.2.1|src_port=53|src_mapped_ip=192.0.2.1|src_mapped_port=53|"
     "dst_interface=inside|dst_ip=10.0.0.4|dst_port=33|dst_mapped_ip=198.51.100.4|"
     "dst_mapped_port=34|user=ann"},
    {"SHOREWALL",
     "May 28 17:23:25 host-1 kernel: [352.1] Shorewall:net2fw:DROP:IN=eth1 OUT= "
     "MAC=00:02:b3:c7:2f:77:38:72:c0:6e:92:9c:08:00 SRC=192.0.2.5 DST=10.0.0.1 LEN=141 TOS=0x00 "
     "PREC=0x00 TTL=63 ID=55251 DF PROTO=UDP SPT=5353 DPT=335 LEN=121",
     "timestamp=May 28 17:23:25|nf_host=host-1|nf_action1=net2fw|nf_action2=DROP|"
     "nf_in_interface=eth1|nf_dst_mac=00:02:b3:c7:2f:77|nf_src_mac=38:72:c0:6e:92:9c|"
     "nf_src_ip=192.0.2.5|nf_dst_ip=10.0.0.1|nf_len=141|nf_tos=0x00|nf_prec=0x00|nf_ttl=63|"
     "nf_id=55251|nf_protocol=UDP|nf_src_port=5353|nf_dst_port=335"},
};

static const struct extractor *made(const char *name, const char *field)
{
    char text[100];
    const struct extractor *x;
    snprintf(text, sizeof(text), "%%{%s%s}", name, field);
    if (extractor_new(str_c(text), EXTRACT_GROK, NULL, &arena, &x, NULL) != OK)
        fail_msg("%s: %s", name, err_text());
    return x;
}

static void test_examples(void **state)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
        const struct example *e = &examples[i];
        const struct extractor *x = made(e->pattern, "");
        const struct grok_field *field;
        struct str part[EXTRACT_FIELDS_MAX];
        char got[2000] = "";
        size_t n = 0;
        bool is;
        uint32_t fields = extractor_fields(x, &field);
        assert_ok(extractor_match(x, str_c(e->line), part, &is));
        for (uint32_t f = 0; is && f < fields; f++)
            if (part[f].p)
                n += (size_t)snprintf(got + n, sizeof(got) - n, "%s%.*s=%.*s", n ? "|" : "",
                                      STR_ARG(field[f].name), STR_ARG(part[f]));
        if (strcmp(got, e->want) != 0)
            fail_msg("%s on %s\ngave   %s\nwanted %s", e->pattern, e->line, got, e->want);
    }
}

/* A line that is cut anywhere is taken or not, but never at great length. */
static void test_cut_lines(void **state)
{
    for (size_t i = 0; i < sizeof(examples) / sizeof(*examples); i++) {
        const struct extractor *x = made(examples[i].pattern, "");
        struct str line = str_c(examples[i].line);
        struct str part[EXTRACT_FIELDS_MAX];
        bool is;
        for (size_t n = 0; n < line.n; n++)
            assert_ok(extractor_match(x, str_of(line.p, n), part, &is));
    }
}

static void test_all_compile(void **state)
{
    for (const struct grok_pattern *p = grok_products; p->name; p++) {
        (void)made(p->name, ":it");
        for (const struct grok_pattern *q = p + 1; q->name; q++)
            assert_string_not_equal(p->name, q->name);
        for (const struct grok_pattern *q = grok_patterns; q->name; q++)
            assert_string_not_equal(p->name, q->name);
    }
}

static int set_up(void **state)
{
    arena_init(&arena, 0, NULL);
    return 0;
}

static int tear_down(void **state)
{
    arena_release(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_cut_lines),
        cmocka_unit_test(test_all_compile),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
