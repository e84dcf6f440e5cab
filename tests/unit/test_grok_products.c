/* The lines of well-known programs: lines, and what is taken of each. */
#include "grok_kit.h"

static struct arena arena;

static const struct grok_example examples[] = {
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
    {"HAPROXYURI", "http://ann:secret@www.example.org:8080/a/b?c=1",
     "http_proto=http|http_user=ann|http_host=www.example.org:8080|http_request=/a/b?c=1"},
    {"HAPROXYHTTPREQUESTLINE", "CONNECT www.example.org:443 HTTP/1.1",
     "http_verb=CONNECT|http_host=www.example.org:443|http_version=1.1"},
    {"ELB_URIHOST", "www.example.org:80", "urihost=www.example.org:80"},
    {"ELB_URIPATHQUERY", "/a/b?c=1", "path=/a/b|params=?c=1"},
    {"ELB_V1_HTTP_LOG",
     "2015-05-13T23:39:43.945958Z my-elb 192.168.131.39:2817 10.0.0.1:80 0.000086 "
     "0.001048 0.001337 200 200 0 57 \"GET https://www.example.com:443/ HTTP/1.1\" "
     "\"curl/7.38.0\" DHE-RSA-AES128-SHA TLSv1.2",
     "timestamp=2015-05-13T23:39:43.945958Z|elb=my-elb|clientip=192.168.131.39|"
     "clientport=2817|backendip=10.0.0.1|backendport=80|request_processing_time=0.000086|"
     "backend_processing_time=0.001048|response_processing_time=0.001337|response=200|"
     "backend_response=200|received_bytes=0|bytes=57|verb=GET|"
     "request=https://www.example.com:443/|proto=https|urihost=www.example.com:443|path=/|"
     "httpversion=1.1|agent=curl/7.38.0|ssl_cipher=DHE-RSA-AES128-SHA|ssl_protocol=TLSv1.2"},
    {"CATALINA7_LOG",
     "Mar 31, 2014 4:32:12 PM org.apache.catalina.startup.HostConfig deployWAR\nINFO: "
     "Deploying web application archive ROOT.war",
     "timestamp=Mar 31, 2014 4:32:12 PM|class=org.apache.catalina.startup.HostConfig|"
     "method=deployWAR|level=INFO|logmessage=Deploying web application archive ROOT.war"},
    {"TOMCAT7_LOG",
     "Mar 31, 2014 4:32:12 PM org.apache.catalina.core.StandardService "
     "startInternal\nSEVERE: it broke",
     "timestamp=Mar 31, 2014 4:32:12 PM|class=org.apache.catalina.core.StandardService|"
     "method=startInternal|level=SEVERE|logmessage=it broke"},
    {"CATALINA8_LOG",
     "31-Jul-2020 16:40:38.505 INFO [main] org.apache.catalina.startup.Catalina.start "
     "Server startup in 1034 ms",
     "timestamp=31-Jul-2020 16:40:38.505|level=INFO|thread=main|"
     "class=org.apache.catalina.startup.Catalina|method=start|logmessage=Server startup "
     "in 1034 ms"},
    {"TOMCAT8_LOG",
     "31-Jul-2020 16:40:38.505 WARNING [http-nio-8080-exec-3] com.example.Shop.pay it is "
     "late",
     "timestamp=31-Jul-2020 16:40:38.505|level=WARNING|thread=http-nio-8080-exec-3|"
     "class=com.example.Shop|method=pay|logmessage=it is late"},
    {"TOMCATLEGACY_LOG", "2014-01-09 20:03:28,269 -0800 | ERROR | com.example.Service - it broke",
     "timestamp=2014-01-09 20:03:28,269 -0800|level=ERROR|class=com.example.Service|"
     "logmessage=it broke"},
    {"SQUID3_STATUS", "304", "status_code=304"},
    {"EXIM_EXCLUDE_TERMS:why", "1WCtA1-0005t5-2N Message is frozen", "why=Message is frozen"},
    {"EXIM_QUOTED_CONTENT:text", "a \\\"b\\\" c", "text=a \\\"b\\\" c"},
    {"EXIM_NAMED_FIELDS",
     " H=mail.example.org [192.0.2.9] P=esmtps X=TLSv1:256 S=4118 id=4b@example.org",
     "remote_hostname=mail.example.org|remote_host=192.0.2.9|protocol=esmtps|"
     "exim_msg_size=4118|exim_header_id=4b@example.org"},
    {"BIND9_QUERYLOG",
     "30-Jun-2018 15:50:00.999 queries: info: client @0x7f1c3c0e5a10 192.168.10.48#60061 "
     "(91.2.10.in-addr.arpa.internal): view inside: query: 91.2.10.in-addr.arpa.internal "
     "IN PTR +E(0)K (192.168.2.2)",
     "timestamp=30-Jun-2018 15:50:00.999|category=queries|loglevel=info|"
     "clientip=192.168.10.48|clientport=60061|asked=91.2.10.in-addr.arpa.internal|"
     "query=91.2.10.in-addr.arpa.internal|querytype=PTR|flags=+E(0)K|dns=192.168.2.2"},
    {"ZEEK_HTTP",
     "1541001600.580233\tCfnE2M3a5n6dVRBjt1\t10.0.0.4\t54180\t192.0.2.1\t80\t1\tGET\texamp"
     "le.org\t/\t-\t1.1\tcurl/7.61\t-\t0\t1256\t200\tOK\t-\t-\t(empty)\t-\t-\t-\t-\t-\t-"
     "\tFEaVWc\tindex.html\ttext/html",
     "ts=1541001600.580233|uid=CfnE2M3a5n6dVRBjt1|orig_h=10.0.0.4|orig_p=54180|"
     "resp_h=192.0.2.1|resp_p=80|trans_depth=1|method=GET|domain=example.org|uri=/|"
     "referrer=-|version=1.1|user_agent=curl/7.61|origin=-|request_body_len=0|"
     "response_body_len=1256|status_code=200|status_msg=OK|info_code=-|info_msg=-|"
     "tags=(empty)|username=-|password=-|proxied=-|orig_fuids=-|orig_filenames=-|"
     "orig_mime_types=-|resp_fuids=FEaVWc|resp_filenames=index.html|"
     "resp_mime_types=text/html"},
    {"ZEEK_DNS",
     "1541001600.580233\tCfnE2M3a5n6dVRBjt1\t10.0.0.4\t54180\t192.0.2.1\t53\tudp\t28439\t0"
     ".013\texample.org\t1\tC_INTERNET\t1\tA\t0\tNOERROR\tF\tF\tT\tT\t0\t93.184.216.34\t30"
     "0.0\tF",
     "ts=1541001600.580233|uid=CfnE2M3a5n6dVRBjt1|orig_h=10.0.0.4|orig_p=54180|"
     "resp_h=192.0.2.1|resp_p=53|proto=udp|trans_id=28439|rtt=0.013|query=example.org|"
     "qclass=1|qclass_name=C_INTERNET|qtype=1|qtype_name=A|rcode=0|rcode_name=NOERROR|"
     "AA=F|TC=F|RD=T|RA=T|Z=0|answers=93.184.216.34|TTLs=300.0|rejected=F"},
    {"ZEEK_CONN",
     "1541001600.580233\tCfnE2M3a5n6dVRBjt1\t10.0.0.4\t54180\t192.0.2.1\t80\ttcp\thttp\t0."
     "0514\t77\t1511\tSF\tT\tF\t0\tShADadFf\t6\t397\t4\t1727\t-\t00:02:b3:c7:2f:77\t38:72:"
     "c0:6e:92:9c",
     "ts=1541001600.580233|uid=CfnE2M3a5n6dVRBjt1|orig_h=10.0.0.4|orig_p=54180|"
     "resp_h=192.0.2.1|resp_p=80|proto=tcp|service=http|duration=0.0514|orig_bytes=77|"
     "resp_bytes=1511|conn_state=SF|local_orig=T|local_resp=F|missed_bytes=0|"
     "history=ShADadFf|orig_pkts=6|orig_ip_bytes=397|resp_pkts=4|resp_ip_bytes=1727|"
     "tunnel_parents=-|orig_l2_addr=00:02:b3:c7:2f:77|resp_l2_addr=38:72:c0:6e:92:9c"},
    {"ZEEK_FILES",
     "1541001600.580233\tFEaVWc\t192.0.2.1\t10.0.0.4\tCfnE2M\tHTTP\t0\tMD5,SHA1\ttext/html"
     "\t-\t0.0\tF\tF\t1256\t1256\t0\t0\tF\t-\t84238dfc8092e5d9c0dac8ef93371a07\t-\t-\t-\tF"
     "\t-",
     "ts=1541001600.580233|fuid=FEaVWc|tx_hosts=192.0.2.1|rx_hosts=10.0.0.4|"
     "conn_uids=CfnE2M|source=HTTP|depth=0|analyzers=MD5,SHA1|mime_type=text/html|"
     "filename=-|duration=0.0|local_orig=F|is_orig=F|seen_bytes=1256|total_bytes=1256|"
     "missing_bytes=0|overflow_bytes=0|timedout=F|parent_fuid=-|"
     "md5=84238dfc8092e5d9c0dac8ef93371a07|sha1=-|sha256=-|extracted=-|extracted_cutoff=F|"
     "extracted_size=-"},
    {"ZEEK_FILES_TX_HOSTS", "192.0.2.1", "tx_hosts=192.0.2.1"},
    {"ZEEK_FILES_RX_HOSTS", "10.0.0.4", "rx_hosts=10.0.0.4"},
    {"BRO_BOOL:it", "T", "it=T"},
    {"ZEEK_BOOL:it", "T", "it=T"},
    {"BRO_DATA:it", "a,b", "it=a,b"},
    {"ZEEK_DATA:it", "a,b", "it=a,b"},
    {"MONGO_LOG", "Nov  3 18:28:32 [conn-12] end connection 127.0.0.1:50324",
     "timestamp=Nov  3 18:28:32|component=conn-12|message=end connection 127.0.0.1:50324"},
    {"RUUID:it", "0f7c3b1a9d2e4f60812a6b5c4d3e2f10", "it=0f7c3b1a9d2e4f60812a6b5c4d3e2f10"},
    {"EXIM_FLAGS:it", "=>", "it==>"},
    {"EXIM_QT:it", "1d3h5m", "it=1d3h5m"},
    {"SYSLOGBASE2", "2024-02-06T12:12:56+01:00 <1.6> host-1 sshd[812]: Accepted",
     "timestamp8601=2024-02-06T12:12:56+01:00|facility=1|priority=6|logsource=host-1|"
     "program=sshd|pid=812"},
};
enum { EXAMPLES = sizeof(examples) / sizeof(examples[0]) };

static void test_examples(void **state)
{
    for (size_t i = 0; i < EXAMPLES; i++)
        grok_take(&examples[i], &arena);
}

static void test_cut_lines(void **state)
{
    for (size_t i = 0; i < EXAMPLES; i++)
        grok_take_cut(&examples[i], &arena);
}

static void test_all_covered(void **state)
{
    grok_covers(grok_products, examples, EXAMPLES, &arena);
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
        cmocka_unit_test(test_all_covered),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
