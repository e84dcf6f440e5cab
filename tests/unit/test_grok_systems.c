/* Firewalls, and what watches, saves and builds: lines, and what is taken of each. */
#include "grok_kit.h"

static struct arena arena;

static const struct grok_example examples[] = {
    {"NAGIOSLOGLINE",
     "[1427925600] Warning:  Return code of 127 for check of service 'disk' on host "
     "'web1' was out of bounds.",
     "nagios_epoch=1427925600|nagios_message=Return code of 127 for check of service "
     "'disk' on host 'web1' was out of bounds."},
    {"NAGIOSLOGLINE",
     "[1427925600] CURRENT SERVICE STATE: web1;nfs-exports;OK;HARD;1;OK - none exported",
     "nagios_epoch=1427925600|nagios_message=OK - none exported|nagios_type=CURRENT "
     "SERVICE STATE|nagios_hostname=web1|nagios_service=nfs-exports|nagios_state=OK|"
     "nagios_statetype=HARD|nagios_statecode=1"},
    {"NAGIOSLOGLINE",
     "[1427925600] CURRENT HOST STATE: web1;UP;HARD;1;PING OK - Packet loss = 0%, RTA = "
     "0.58 ms",
     "nagios_epoch=1427925600|nagios_message=PING OK - Packet loss = 0%, RTA = 0.58 ms|"
     "nagios_type=CURRENT HOST STATE|nagios_hostname=web1|nagios_state=UP|"
     "nagios_statetype=HARD|nagios_statecode=1"},
    {"NAGIOSLOGLINE",
     "[1427925600] SERVICE NOTIFICATION: ann;web1;nrpe;CRITICAL;notify-service-by-email;Co"
     "nnection refused by host",
     "nagios_epoch=1427925600|nagios_message=Connection refused by host|"
     "nagios_type=SERVICE NOTIFICATION|nagios_hostname=web1|nagios_service=nrpe|"
     "nagios_state=CRITICAL|nagios_notifyname=ann|nagios_contact=notify-service-by-email"},
    {"NAGIOSLOGLINE",
     "[1427925600] HOST NOTIFICATION: ann;127.0.0.1;CRITICAL;host-by-email;CRITICAL - "
     "Host Unreachable (127.0.0.1)",
     "nagios_epoch=1427925600|nagios_message=CRITICAL - Host Unreachable (127.0.0.1)|"
     "nagios_type=HOST NOTIFICATION|nagios_hostname=127.0.0.1|nagios_state=CRITICAL|"
     "nagios_notifyname=ann|nagios_contact=host-by-email"},
    {"NAGIOSLOGLINE",
     "[1427925600] SERVICE ALERT: web1;varnish;CRITICAL;SOFT;1;Current value: 10; warn "
     "threshold: 5",
     "nagios_epoch=1427925600|nagios_message=Current value: 10; warn threshold: 5|"
     "nagios_type=SERVICE ALERT|nagios_hostname=web1|nagios_service=varnish|"
     "nagios_state=CRITICAL|nagios_statelevel=SOFT|nagios_attempt=1"},
    {"NAGIOSLOGLINE",
     "[1427925600] HOST ALERT: web1;DOWN;SOFT;2;CRITICAL - Host Unreachable (10.0.0.7)",
     "nagios_epoch=1427925600|nagios_message=CRITICAL - Host Unreachable (10.0.0.7)|"
     "nagios_type=HOST ALERT|nagios_hostname=web1|nagios_state=DOWN|"
     "nagios_statelevel=SOFT|nagios_attempt=2"},
    {"NAGIOSLOGLINE",
     "[1427925600] SERVICE FLAPPING ALERT: web1;varnish;STARTED; Service appears to have "
     "started flapping (23.4% change >= 20.0% threshold)",
     "nagios_epoch=1427925600|nagios_message=Service appears to have started flapping "
     "(23.4% change >= 20.0% threshold)|nagios_type=SERVICE FLAPPING ALERT|"
     "nagios_hostname=web1|nagios_service=varnish|nagios_state=STARTED"},
    {"NAGIOSLOGLINE",
     "[1427925600] HOST FLAPPING ALERT: web1;STOPPED; Host appears to have stopped "
     "flapping (3.9% change < 5.0% threshold)",
     "nagios_epoch=1427925600|nagios_message=Host appears to have stopped flapping (3.9% "
     "change < 5.0% threshold)|nagios_type=HOST FLAPPING ALERT|nagios_hostname=web1|"
     "nagios_state=STOPPED"},
    {"NAGIOSLOGLINE",
     "[1427925600] SERVICE DOWNTIME ALERT: web1;varnish;STARTED; Service has entered a "
     "period of scheduled downtime",
     "nagios_epoch=1427925600|nagios_type=SERVICE DOWNTIME ALERT|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_state=STARTED|nagios_comment=Service has entered a "
     "period of scheduled downtime"},
    {"NAGIOSLOGLINE",
     "[1427925600] HOST DOWNTIME ALERT: 127.0.0.1;STARTED; Host has entered a period of "
     "scheduled downtime",
     "nagios_epoch=1427925600|nagios_type=HOST DOWNTIME ALERT|nagios_hostname=127.0.0.1|"
     "nagios_state=STARTED|nagios_comment=Host has entered a period of scheduled downtime"},
    {"NAGIOSLOGLINE",
     "[1427925600] PASSIVE SERVICE CHECK: web1;backup;0;last run 2 h ago; all well",
     "nagios_epoch=1427925600|nagios_type=PASSIVE SERVICE CHECK|nagios_hostname=web1|"
     "nagios_service=backup|nagios_state=0|nagios_comment=last run 2 h ago; all well"},
    {"NAGIOSLOGLINE", "[1427925600] PASSIVE HOST CHECK: web1;1;no answer",
     "nagios_epoch=1427925600|nagios_type=PASSIVE HOST CHECK|nagios_hostname=web1|"
     "nagios_state=1|nagios_comment=no answer"},
    {"NAGIOSLOGLINE",
     "[1427925600] SERVICE EVENT HANDLER: web1;varnish;CRITICAL;SOFT;3;restart-varnish",
     "nagios_epoch=1427925600|nagios_type=SERVICE EVENT HANDLER|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_state=CRITICAL|nagios_statelevel=SOFT|"
     "nagios_attempt=3|nagios_event_handler_name=restart-varnish"},
    {"NAGIOSLOGLINE", "[1427925600] HOST EVENT HANDLER: web1;DOWN;HARD;page-oncall",
     "nagios_epoch=1427925600|nagios_type=HOST EVENT HANDLER|nagios_hostname=web1|"
     "nagios_state=DOWN|nagios_statelevel=HARD|nagios_event_handler_name=page-oncall"},
    {"NAGIOSLOGLINE", "[1427925600] TIMEPERIOD TRANSITION: 24X7;-1;1",
     "nagios_epoch=1427925600|nagios_type=TIMEPERIOD TRANSITION|nagios_service=24X7|"
     "nagios_unknown1=-1|nagios_unknown2=1"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: DISABLE_SVC_CHECK;web1;varnish",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_command=DISABLE_SVC_CHECK"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: ENABLE_SVC_CHECK;web1;varnish",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_command=ENABLE_SVC_CHECK"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: DISABLE_SVC_NOTIFICATIONS;web1;varnish",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_command=DISABLE_SVC_NOTIFICATIONS"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: ENABLE_SVC_NOTIFICATIONS;web1;varnish",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_command=ENABLE_SVC_NOTIFICATIONS"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: DISABLE_HOST_CHECK;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=DISABLE_HOST_CHECK"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: ENABLE_HOST_CHECK;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=ENABLE_HOST_CHECK"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: DISABLE_HOST_SVC_NOTIFICATIONS;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=DISABLE_HOST_SVC_NOTIFICATIONS"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: ENABLE_HOST_SVC_NOTIFICATIONS;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=ENABLE_HOST_SVC_NOTIFICATIONS"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: DISABLE_HOST_NOTIFICATIONS;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=DISABLE_HOST_NOTIFICATIONS"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: ENABLE_HOST_NOTIFICATIONS;web1",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=ENABLE_HOST_NOTIFICATIONS"},
    {"NAGIOSLOGLINE",
     "[1427925600] EXTERNAL COMMAND: PROCESS_SERVICE_CHECK_RESULT;web1;varnish;2;CRITICAL "
     "- 503; again",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_state=2|nagios_command=PROCESS_SERVICE_CHECK_RESULT|"
     "nagios_check_result=CRITICAL - 503; again"},
    {"NAGIOSLOGLINE", "[1427925600] EXTERNAL COMMAND: PROCESS_HOST_CHECK_RESULT;web1;0;UP",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_state=0|nagios_command=PROCESS_HOST_CHECK_RESULT|nagios_check_result=UP"},
    {"NAGIOSLOGLINE",
     "[1427925600] EXTERNAL COMMAND: SCHEDULE_HOST_DOWNTIME;web1;1427929200;1427932800;1;0"
     ";7200;ann;new disks; the old ones are full",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_command=SCHEDULE_HOST_DOWNTIME|nagios_start_time=1427929200|"
     "nagios_end_time=1427932800|nagios_fixed=1|nagios_trigger_id=0|nagios_duration=7200|"
     "author=ann|comment=new disks; the old ones are full"},
    {"NAGIOSLOGLINE",
     "[1427925600] EXTERNAL COMMAND: SCHEDULE_SVC_DOWNTIME;web1;varnish;1427929200;1427932"
     "800;1;0;7200;ann;upgrade",
     "nagios_epoch=1427925600|nagios_type=EXTERNAL COMMAND|nagios_hostname=web1|"
     "nagios_service=varnish|nagios_command=SCHEDULE_SVC_DOWNTIME|"
     "nagios_start_time=1427929200|nagios_end_time=1427932800|nagios_fixed=1|"
     "nagios_trigger_id=0|nagios_duration=7200|author=ann|comment=upgrade"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: User defined maximum volume capacity "
     "20,000,000,000 exceeded on device \"FileStorage\" (/mnt/bacula).",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|device=FileStorage"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: End of medium on Volume \"Vol-0001\" "
     "Bytes=19,999,948,123 Blocks=310,018 at 09-Jul-2012 21:10.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0001"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Created new Volume \"Vol-0002\" in catalog.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0002"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Created new Volume=\"Vol-0003\", "
     "Pool=\"File\", MediaType=\"File1\" in catalog.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0003"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Labeled new Volume \"Vol-0002\" on device "
     "\"FileStorage\" (/mnt/bacula).",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|device=FileStorage|"
     "volume=Vol-0002"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Wrote label to prelabeled Volume "
     "\"Vol-0002\" on device \"FileStorage\" (/mnt/bacula)",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0002"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: New volume \"Vol-0002\" mounted on device "
     "\"FileStorage\" (/mnt/bacula) at 09-Jul-2012 21:10.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|device=FileStorage|"
     "volume=Vol-0002"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10:      Cannot open \"/etc/shadow\": "
     "ERR=Permission denied.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|berror=Permission denied."},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10:      Could not open directory \"/root\": "
     "ERR=Permission denied",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|berror=Permission denied"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10:      Could not stat \"/var/run/x\": ERR=No "
     "such file or directory",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|berror=No such file or directory"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: There are no more Jobs associated with "
     "Volume \"Vol-0001\". Marking it purged.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0001"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: All records pruned from Volume \"Vol-0001\"; "
     "marking it \"Purged\"",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0001"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Begin pruning Jobs older than 6 months .",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE", "09-Jul-2012 21:01 bacula-dir JobId 10: Begin pruning Files.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Pruned 3 Jobs for client web1-fd from "
     "catalog.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|client=web1-fd"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Pruned Files from 3 Jobs for client web1-fd "
     "from catalog.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|client=web1-fd"},
    {"BACULA_LOGLINE", "09-Jul-2012 21:01 bacula-dir JobId 10: End auto prune.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Start Backup JobId 10, "
     "Job=BackupWeb1.2012-07-09_21.01.00_10",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|"
     "job=BackupWeb1.2012-07-09_21.01.00_10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Start Restore Job "
     "RestoreFiles.2012-07-10_09.12.44_03",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|"
     "job=RestoreFiles.2012-07-10_09.12.44_03"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Using Device \"FileStorage\" to write.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|device=FileStorage"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10:      /proc is a different filesystem. Will "
     "not descend from / into it.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Job write elapsed time = 00:14:37, Transfer "
     "rate = 2.345 M Bytes/second",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|elapsed=00:14:37"},
    {"BACULA_LOGLINE", "09-Jul-2012 21:01 bacula-dir JobId 10: No Jobs found to prune.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE", "09-Jul-2012 21:01 bacula-dir JobId 10: No Files found to prune.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Volume \"Vol-0001\" previously written, "
     "moving to end of data.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0001"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Ready to append to end of Volume "
     "\"Vol-0001\" size=1,234,567",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|volume=Vol-0001"},
    {"BACULA_LOGLINE", "09-Jul-2012 21:01 bacula-dir JobId 10: Cancelling duplicate JobId=9.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: JobId 9, Job "
     "BackupWeb1.2012-07-09_20.01.00_09 marked to be canceled.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|"
     "job=BackupWeb1.2012-07-09_20.01.00_09"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: shell command: run ClientRunBeforeJob "
     "\"/usr/local/bin/dump-db --all\"",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|runjob=/usr/local/bin/dump-db "
     "--all"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Generate VSS snapshots. Driver=\"Win64 "
     "VSS\", Drive(s)=\"C\"",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Fatal error: Job canceled because max start "
     "delay time exceeded.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Fatal error: JobId 9 already running. "
     "Duplicate job not allowed.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|duplicate=9"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Fatal error: No Job status returned from FD.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Fatal error: bsock.c:133 Unable to connect "
     "to Client: web1-fd on web1.example.org:9102. ERR=Connection refused",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|client=web1-fd"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Warning: bsock.c:127 Could not connect to "
     "Client: web1-fd on web1.example.org:9102. ERR=Connection timed out",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10|client=web1-fd"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Fatal error: Unable to authenticate with "
     "File daemon at \"web1:9102\". Possible causes:",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: No prior or suitable Full backup found in "
     "catalog. Doing FULL backup.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: No prior Full backup Job record found.",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOGLINE",
     "09-Jul-2012 21:01 bacula-dir JobId 10: Bacula bacula-dir 5.2.6 (21Feb12): "
     "09-Jul-2012 21:15:58",
     "bts=09-Jul-2012 21:01|hostname=bacula-dir|jobid=10"},
    {"BACULA_LOG", "09-Jul 21:01 bacula-sd: Begin pruning Files.",
     "bts=09-Jul 21:01|hostname=bacula-sd"},
    {"MCOLLECTIVE",
     "I, [2010-12-28T12:17:21.446812 #20491]  INFO -- : mcollectived:31 The Marionette "
     "Collective 1.1.0 started",
     "timestamp=2010-12-28T12:17:21.446812|pid=20491|event_level=INFO"},
    {"MCOLLECTIVEAUDIT",
     "2010-12-28T17:09:03.889113+0000: reqid=319719cc475f57fda3f734136a31e19b: "
     "reqtime=1293556143 caller=cert=nagios@mon1 agent=nrpe action=runcommand "
     "data={:process_results=>true, :command=>\"check_mailq\"}",
     "timestamp=2010-12-28T17:09:03.889113+0000"},
    {"MAVEN_VERSION:it", "1.2.3", "it=1.2.3"},
    {"MAVEN_VERSION:it", "1.2-SNAPSHOT", "it=1.2-SNAPSHOT"},
    {"MAVEN_VERSION:it", "5.0.0.RELEASE", "it=5.0.0.RELEASE"},
    {"MAVEN_VERSION:it", "3.1.0-beta-2", "it=3.1.0-beta-2"},
    {"MAVEN_VERSION:it", "2.17", "it=2.17"},
    {"CISCOFW104003:it", "(Primary) Switching to FAILED.", "it=(Primary) Switching to FAILED"},
    {"CISCOFW104004:it", "(Secondary) Switching to OK.", "it=(Secondary) Switching to OK"},
    {"CISCOFW105003", "(Primary) Monitoring on interface outside waiting",
     "interface_name=outside"},
    {"CISCOFW105004", "(Primary) Monitoring on interface outside normal", "interface_name=outside"},
    {"CISCOFW105005", "(Secondary) Lost Failover communications with mate on interface dmz",
     "interface_name=dmz"},
    {"CISCOFW105008", "(Primary) Testing interface inside", "interface_name=inside"},
    {"CISCOFW105009", "(Primary) Testing on interface inside Passed", "interface_name=inside"},
    {"CISCOFW106006_106007_106010",
     "Deny inbound UDP from 192.0.2.9/1026 to 10.0.0.4/53 on interface outside",
     "action=Deny|direction=inbound|protocol=UDP|src_ip=192.0.2.9|src_port=1026|"
     "dst_ip=10.0.0.4|dst_port=53|interface=outside"},
    {"CISCOFW106006_106007_106010",
     "Deny inbound UDP from 192.0.2.9/53 to 10.0.0.4/1026 due to DNS Response",
     "action=Deny|direction=inbound|protocol=UDP|src_ip=192.0.2.9|src_port=53|"
     "dst_ip=10.0.0.4|dst_port=1026|reason=DNS Response"},
    {"CISCOFW106006_106007_106010",
     "Deny inbound tcp src outside:192.0.2.9/58472(ann) dst inside:10.0.0.4/445(bob)",
     "action=Deny|direction=inbound|protocol=tcp|src_ip=192.0.2.9|src_port=58472|"
     "src_fwuser=ann|dst_ip=10.0.0.4|dst_port=445|dst_fwuser=bob"},
    {"CISCOFW106100_2_3",
     "access-list outside_in permitted tcp for user 'ann' inside/10.0.0.4(1026) -> "
     "outside/192.0.2.1(80) hit-cnt 3 300-second interval [0x91c26a3, 0x0]",
     "policy_id=outside_in|action=permitted|protocol=tcp|src_fwuser=ann|"
     "src_interface=inside|src_ip=10.0.0.4|src_port=1026|dst_interface=outside|"
     "dst_ip=192.0.2.1|dst_port=80|hit_count=3|interval=300-second interval|"
     "hashcode1=0x91c26a3|hashcode2=0x0"},
    {"CISCOFW110002",
     "Failed to locate egress interface for UDP from outside:192.0.2.9/137 to 10.0.0.4/137",
     "reason=Failed to locate egress interface|protocol=UDP|src_interface=outside|"
     "src_ip=192.0.2.9|src_port=137|dst_ip=10.0.0.4|dst_port=137"},
    {"CISCOFW302020_302021",
     "Built inbound ICMP connection for faddr 192.0.2.9/1(ann) gaddr 198.51.100.4/0 laddr "
     "10.0.0.4/0 (bob)",
     "action=Built|direction=inbound|protocol=ICMP|dst_ip=192.0.2.9|icmp_seq_num=1|"
     "fwuser=ann|src_xlated_ip=198.51.100.4|icmp_code_xlated=0|src_ip=10.0.0.4|"
     "icmp_code=0|user=bob"},
    {"CISCOFW302020_302021",
     "Teardown ICMP connection for faddr 192.0.2.9/1 gaddr 198.51.100.4/0 laddr 10.0.0.4/0",
     "action=Teardown|protocol=ICMP|dst_ip=192.0.2.9|icmp_seq_num=1|"
     "src_xlated_ip=198.51.100.4|icmp_code_xlated=0|src_ip=10.0.0.4|icmp_code=0"},
    {"CISCOFW313005",
     "No matching connection for ICMP error message: icmp src outside:192.0.2.9 dst "
     "inside:10.0.0.4 (type 3, code 3) on outside interface.  Original IP payload: udp "
     "src 10.0.0.4/53 dst 192.0.2.9/10872.",
     "reason=No matching connection|protocol=ICMP|err_protocol=icmp|"
     "err_src_interface=outside|err_src_ip=192.0.2.9|err_dst_interface=inside|"
     "err_dst_ip=10.0.0.4|err_icmp_type=3|err_icmp_code=3|interface=outside|"
     "orig_src_ip=10.0.0.4|orig_src_port=53|orig_dst_ip=192.0.2.9|orig_dst_port=10872"},
    {"CISCOFW321001", "Resource 'conns' limit of 1000 reached for system",
     "resource_name=conns|resource_limit=1000"},
    {"CISCOFW402117",
     "IPSEC: Received a non-IPSec packet (protocol= ICMP) from 192.0.2.9 to 198.51.100.4.",
     "protocol=IPSEC|orig_protocol=ICMP|src_ip=192.0.2.9|dst_ip=198.51.100.4"},
    {"CISCOFW402119",
     "IPSEC: Received an ESP packet (SPI= 0x9A7F4C2B, sequence number= 0x1D) from "
     "192.0.2.9 (user= ann) to 198.51.100.4 that failed anti-replay checking.",
     "protocol=IPSEC|orig_protocol=ESP|spi=0x9A7F4C2B|seq_num=0x1D|src_ip=192.0.2.9|"
     "user=ann|dst_ip=198.51.100.4"},
    {"CISCOFW419002",
     "Duplicate TCP SYN from outside:192.0.2.9/80 to inside:10.0.0.4/3402 with different "
     "initial sequence number",
     "reason=Duplicate TCP SYN|src_interface=outside|src_ip=192.0.2.9|src_port=80|"
     "dst_interface=inside|dst_ip=10.0.0.4|dst_port=3402"},
    {"CISCOFW602303_602304",
     "IPSEC: An outbound LAN-to-LAN SA (SPI= 0x7A1B5C) between 198.51.100.4 and 192.0.2.9 "
     "(user= ann) has been created.",
     "protocol=IPSEC|direction=outbound|tunnel_type=LAN-to-LAN|spi=0x7A1B5C|"
     "src_ip=198.51.100.4|dst_ip=192.0.2.9|user=ann|action=created"},
    {"CISCOFW713172",
     "Group = branches, IP = 192.0.2.9, Automatic NAT Detection Status:     Remote end is "
     "NOT behind a NAT device     This   end IS behind a NAT device",
     "group=branches|src_ip=192.0.2.9|is_remote_natted=is NOT|is_local_natted=IS"},
    {"CISCOFW733100",
     "[ Scanning] drop rate-1 exceeded. Current burst rate is 18 per second, max "
     "configured rate is 10; Current average rate is 7 per second, max configured rate is "
     "5; Cumulative total count is 4238",
     "drop_type=Scanning|drop_rate_id=rate-1|drop_rate_current_burst=18|"
     "drop_rate_max_burst=10|drop_rate_current_avg=7|drop_rate_max_avg=5|"
     "drop_total_count=4238"},
    {"CISCO_HITCOUNT_INTERVAL", "hit-cnt 7 300-second interval", "hit_count=7|interval=300"},
    {"CISCO_SRC_IP_USER", "outside:192.0.2.9(ann)",
     "src_interface=outside|src_ip=192.0.2.9|src_fwuser=ann"},
    {"CISCO_DST_IP_USER", "inside:10.0.0.4", "dst_interface=inside|dst_ip=10.0.0.4"},
    {"CISCO_SRC_HOST_PORT_USER", "outside:mail.example.org/25(ann)",
     "src_interface=outside|src_host=mail.example.org|src_port=25|src_fwuser=ann"},
    {"CISCO_DST_HOST_PORT_USER", "inside:10.0.0.4/445",
     "dst_interface=inside|dst_ip=10.0.0.4|dst_port=445"},
    {"NETSCREENSESSIONLOG",
     "Jun  2 11:24:16 fire00 sav00: NetScreen device_id=sav00  "
     "[Root]system-notification-00257(traffic): start_time=\"2010-06-02 11:24:10\" "
     "duration=6 policy_id=100 service=http proto=6 src zone=Trust dst zone=Untrust "
     "action=Permit sent=1024 rcvd=2048 src=10.0.0.4 dst=192.0.2.1 src_port=1766 "
     "dst_port=80 src-xlated ip=198.51.100.4 port=1766 dst-xlated ip=192.0.2.1 port=80 "
     "session_id=8181 reason=Close - TCP FIN",
     "date=Jun  2 11:24:16|device=fire00|device_id=sav00|start_time=\"2010-06-02 "
     "11:24:10\"|duration=6|policy_id=100|service=http|proto=6|src_zone=Trust|"
     "dst_zone=Untrust|action=Permit|sent=1024|rcvd=2048|src_ip=10.0.0.4|dst_ip=192.0.2.1|"
     "src_port=1766|dst_port=80|src_xlated_ip=198.51.100.4|src_xlated_port=1766|"
     "dst_xlated_ip=192.0.2.1|dst_xlated_port=80|session_id=8181|reason=Close - TCP FIN"},
    {"RT_FLOW_TAG:tag", "RT_FLOW_SESSION_DENY: session denied", "tag=RT_FLOW_SESSION_DENY"},
    {"IPTABLES",
     "IN=eth0 OUT= MAC=00:02:b3:c7:2f:77:38:72:c0:6e:92:9c:08:00 SRC=192.0.2.5 "
     "DST=10.0.0.1 LEN=60 TOS=0x00 PREC=0x00 TTL=51 ID=4662 DF PROTO=TCP SPT=48018 DPT=22 "
     "SEQ=1423 ACK=0 WINDOW=29200 RES=0x00 SYN URGP=0",
     "nf_in_interface=eth0|nf_dst_mac=00:02:b3:c7:2f:77|nf_src_mac=38:72:c0:6e:92:9c|"
     "nf_src_ip=192.0.2.5|nf_dst_ip=10.0.0.1|nf_len=60|nf_tos=0x00|nf_prec=0x00|nf_ttl=51|"
     "nf_id=4662|nf_fragment=DF|nf_protocol=TCP|nf_src_port=48018|nf_dst_port=22|"
     "nf_seq=1423|nf_ack=0|nf_window=29200|nf_res=0x00|nf_tcp_flags=SYN URG"},
    {"IPTABLES",
     "IN= OUT=eth0 SRC=2001:0db8:0000:0000:0000:0000:0000:0001 "
     "DST=ff02:0000:0000:0000:0000:0000:0000:0016 LEN=76 TC=0 HOPLIMIT=1 FLOWLBL=0 "
     "PROTO=UDP SPT=546 DPT=547 LEN=36",
     "nf_out_interface=eth0|nf_src_ip=2001:0db8:0000:0000:0000:0000:0000:0001|"
     "nf_dst_ip=ff02:0000:0000:0000:0000:0000:0000:0016|nf_len=76|nf_tos=0|nf_ttl=1|"
     "nf_flow=0|nf_protocol=UDP|nf_src_port=546|nf_dst_port=547"},
    {"SFW2",
     "Jan 29 16:38:47 host-7 kernel: [12087.345] SFW2-INext-DROP-DEFLT IN=eth0 OUT= "
     "MAC=00:02:b3:c7:2f:77:38:72:c0:6e:92:9c:08:00 SRC=192.0.2.5 DST=10.0.0.1 LEN=48 "
     "TOS=0x00 PREC=0x00 TTL=109 ID=20000 DF PROTO=TCP SPT=1181 DPT=445 WINDOW=65535 "
     "RES=0x00 SYN URGP=0",
     "timestamp=Jan 29 16:38:47|nf_action=DROP-DEFLT|nf_in_interface=eth0|"
     "nf_dst_mac=00:02:b3:c7:2f:77|nf_src_mac=38:72:c0:6e:92:9c|nf_src_ip=192.0.2.5|"
     "nf_dst_ip=10.0.0.1|nf_protocol=TCP|nf_src_port=1181|nf_dst_port=445"},
    {"RT_FLOW2",
     "RT_FLOW_SESSION_CREATE: session created 10.0.0.4/1766->192.0.2.1/443 junos-https "
     "198.51.100.4/1766->192.0.2.1/443 nat-out None 6 trust-out trust untrust 30048",
     "event=RT_FLOW_SESSION_CREATE|src-ip=10.0.0.4|src-port=1766|dst-ip=192.0.2.1|"
     "dst-port=443|service=junos-https|nat-src-ip=198.51.100.4|nat-src-port=1766|"
     "nat-dst-ip=192.0.2.1|nat-dst-port=443|src-nat-rule-name=nat-out|protocol-id=6|"
     "policy-name=trust-out|from-zone=trust|to-zone=untrust|session-id=30048"},
    {"CISCOFW104001", "(Secondary) Switching to ACTIVE - mate want me Active",
     "switch_reason=mate want me Active"},
    {"CISCOFW104002", "(Primary) Switching to STANDBY - interface check, mate is healthier",
     "switch_reason=interface check, mate is healthier"},
    {"CISCOFW106014",
     "Deny inbound icmp src outside:192.0.2.9(ann) dst inside:10.0.0.4 (type 8, code 0)",
     "action=Deny|direction=inbound|protocol=icmp|src_interface=outside|src_ip=192.0.2.9|"
     "src_fwuser=ann|dst_interface=inside|dst_ip=10.0.0.4|icmp_type=8|icmp_code=0"},
    {"CISCOFW106015",
     "Deny TCP (no connection) from 192.0.2.9/80 to 10.0.0.4/3402 flags SYN ACK on "
     "interface outside",
     "action=Deny|protocol=TCP|policy_id=no connection|src_ip=192.0.2.9|src_port=80|"
     "dst_ip=10.0.0.4|dst_port=3402|tcp_flags=SYN ACK|interface=outside"},
    {"CISCOFW106021", "Deny TCP reverse path check from 192.0.2.9 to 10.0.0.4 on interface outside",
     "action=Deny|protocol=TCP|src_ip=192.0.2.9|dst_ip=10.0.0.4|interface=outside"},
    {"CISCOFW302010", "12 in use, 4711 most used", "connection_count=12|connection_count_max=4711"},
    {"CISCOFW419001",
     "Dropping TCP packet from outside:192.0.2.9/80 to inside:10.0.0.4/3402, reason: MSS "
     "exceeded, MSS 460, data 1440",
     "action=Dropping|protocol=TCP|src_interface=outside|src_ip=192.0.2.9|src_port=80|"
     "dst_interface=inside|dst_ip=10.0.0.4|dst_port=3402|reason=MSS exceeded, MSS 460, "
     "data 1440"},
    {"CISCOFW500004", "Invalid transport field for protocol=UDP, from 192.0.2.9/1234 to 10.0.0.4/0",
     "reason=Invalid transport field|protocol=UDP|src_ip=192.0.2.9|src_port=1234|"
     "dst_ip=10.0.0.4|dst_port=0"},
    {"CISCOFW710001_710002_710003_710005_710006",
     "TCP access denied by ACL from 192.0.2.9/4711 to outside:198.51.100.4/22",
     "protocol=TCP|action=denied by ACL|src_ip=192.0.2.9|src_port=4711|"
     "dst_interface=outside|dst_ip=198.51.100.4|dst_port=22"},
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
    grok_covers(grok_firewalls, examples, EXAMPLES, &arena);
    grok_covers(grok_operations, examples, EXAMPLES, &arena);
}

/* The names that users of grok know, from those of Logstash with and without its common schema. */
static const char *const customary[] = {
    /* clang-format off */
    "BACULA_CAPACITY", "BACULA_DEVICE", "BACULA_DEVICEPATH", "BACULA_HOST", "BACULA_JOB",
    "BACULA_LOG", "BACULA_LOGLINE", "BACULA_LOG_ALL_RECORDS_PRUNED",
    "BACULA_LOG_BEGIN_PRUNE_FILES", "BACULA_LOG_BEGIN_PRUNE_JOBS", "BACULA_LOG_CANCELLING",
    "BACULA_LOG_CLIENT_RBJ", "BACULA_LOG_DIFF_FS", "BACULA_LOG_DUPLICATE", "BACULA_LOG_ENDPRUNE",
    "BACULA_LOG_END_VOLUME", "BACULA_LOG_FATAL_CONN", "BACULA_LOG_JOB", "BACULA_LOG_JOBEND",
    "BACULA_LOG_MARKCANCEL", "BACULA_LOG_MAXSTART", "BACULA_LOG_MAX_CAPACITY",
    "BACULA_LOG_NEW_LABEL", "BACULA_LOG_NEW_MOUNT", "BACULA_LOG_NEW_VOLUME", "BACULA_LOG_NOJOBS",
    "BACULA_LOG_NOJOBSTAT", "BACULA_LOG_NOOPEN", "BACULA_LOG_NOOPENDIR", "BACULA_LOG_NOPRIOR",
    "BACULA_LOG_NOPRUNE_FILES", "BACULA_LOG_NOPRUNE_JOBS", "BACULA_LOG_NOSTAT",
    "BACULA_LOG_NOSUIT", "BACULA_LOG_NO_AUTH", "BACULA_LOG_NO_CONNECT", "BACULA_LOG_PRUNED_FILES",
    "BACULA_LOG_PRUNED_JOBS", "BACULA_LOG_READYAPPEND", "BACULA_LOG_STARTJOB",
    "BACULA_LOG_STARTRESTORE", "BACULA_LOG_USEDEVICE", "BACULA_LOG_VOLUME_PREVWRITTEN",
    "BACULA_LOG_VSS", "BACULA_LOG_WROTE_LABEL", "BACULA_TIMESTAMP", "BACULA_VERSION",
    "BACULA_VOLUME", "BASE10NUM", "BASE16FLOAT", "BASE16NUM", "BIND9", "BIND9_CATEGORY",
    "BIND9_DNSTYPE", "BIND9_QUERYLOG", "BIND9_QUERYLOGBASE", "BIND9_TIMESTAMP", "BRO_BOOL",
    "BRO_CONN", "BRO_DATA", "BRO_DNS", "BRO_FILES", "BRO_HTTP", "CATALINA7_DATESTAMP",
    "CATALINA7_LOG", "CATALINA8_DATESTAMP", "CATALINA8_LOG", "CATALINALOG", "CATALINA_DATESTAMP",
    "CISCOFW104001", "CISCOFW104002", "CISCOFW104003", "CISCOFW104004", "CISCOFW105003",
    "CISCOFW105004", "CISCOFW105005", "CISCOFW105008", "CISCOFW105009", "CISCOFW106001",
    "CISCOFW106006_106007_106010", "CISCOFW106014", "CISCOFW106015", "CISCOFW106021",
    "CISCOFW106023", "CISCOFW106100", "CISCOFW106100_2_3", "CISCOFW110002", "CISCOFW302010",
    "CISCOFW302013_302014_302015_302016", "CISCOFW302020_302021", "CISCOFW304001",
    "CISCOFW305011", "CISCOFW313001_313004_313008", "CISCOFW313005", "CISCOFW321001",
    "CISCOFW402117", "CISCOFW402119", "CISCOFW419001", "CISCOFW419002", "CISCOFW500004",
    "CISCOFW602303_602304", "CISCOFW710001_710002_710003_710005_710006", "CISCOFW713172",
    "CISCOFW733100", "CISCOMAC", "CISCOTAG", "CISCOTIMESTAMP", "CISCO_ACTION", "CISCO_DIRECTION",
    "CISCO_DST_HOST_PORT_USER", "CISCO_DST_IP_USER", "CISCO_HITCOUNT_INTERVAL", "CISCO_INTERVAL",
    "CISCO_REASON", "CISCO_SRC_HOST_PORT_USER", "CISCO_SRC_IP_USER", "CISCO_TAGGED_SYSLOG",
    "CISCO_XLATE_TYPE", "CLOUDFRONT_ACCESS_LOG", "COMBINEDAPACHELOG", "COMMONAPACHELOG",
    "COMMONMAC", "CRONLOG", "CRON_ACTION", "DATA", "DATE", "DATESTAMP", "DATESTAMP_EVENTLOG",
    "DATESTAMP_OTHER", "DATESTAMP_RFC2822", "DATESTAMP_RFC822", "DATE_EU", "DATE_US", "DAY",
    "ELB_ACCESS_LOG", "ELB_REQUEST_LINE", "ELB_URI", "ELB_URIHOST", "ELB_URIPATHPARAM",
    "ELB_URIPATHQUERY", "ELB_V1_HTTP_LOG", "EMAILADDRESS", "EMAILLOCALPART", "EXIM", "EXIM_DATE",
    "EXIM_EXCLUDE_TERMS", "EXIM_FLAGS", "EXIM_HEADER_ID", "EXIM_INTERFACE",
    "EXIM_MESSAGE_ARRIVAL", "EXIM_MSGID", "EXIM_MSG_SIZE", "EXIM_NAMED_FIELDS", "EXIM_PID",
    "EXIM_PROTOCOL", "EXIM_QT", "EXIM_QUOTED_CONTENT", "EXIM_REMOTE_HOST", "EXIM_SUBJECT",
    "EXIM_UNKNOWN_FIELD", "GREEDYDATA", "HAPROXYCAPTUREDREQUESTHEADERS",
    "HAPROXYCAPTUREDRESPONSEHEADERS", "HAPROXYDATE", "HAPROXYHTTP", "HAPROXYHTTPBASE",
    "HAPROXYHTTPREQUESTLINE", "HAPROXYTCP", "HAPROXYTIME", "HAPROXYURI", "HOSTNAME", "HOSTPORT",
    "HOUR", "HTTPD20_ERRORLOG", "HTTPD24_ERRORLOG", "HTTPDATE", "HTTPDERROR_DATE", "HTTPDUSER",
    "HTTPD_COMBINEDLOG", "HTTPD_COMMONLOG", "HTTPD_ERRORLOG", "INT", "IP", "IPORHOST", "IPTABLES",
    "IPTABLES4_FRAG", "IPTABLES4_PART", "IPTABLES6_PART", "IPTABLES_TCP_FLAGS",
    "IPTABLES_TCP_PART", "IPV4", "IPV6", "ISO8601_SECOND", "ISO8601_TIMEZONE", "JAVACLASS",
    "JAVAFILE", "JAVALOGMESSAGE", "JAVAMETHOD", "JAVASTACKTRACEPART", "JAVATHREAD", "LOGLEVEL",
    "MAC", "MAVEN_VERSION", "MCOLLECTIVE", "MCOLLECTIVEAUDIT", "MINUTE", "MONGO3_COMPONENT",
    "MONGO3_LOG", "MONGO3_SEVERITY", "MONGO_LOG", "MONGO_QUERY", "MONGO_SLOWQUERY",
    "MONGO_WORDDASH", "MONTH", "MONTHDAY", "MONTHNUM", "MONTHNUM2", "NAGIOSLOGLINE", "NAGIOSTIME",
    "NAGIOS_CURRENT_HOST_STATE", "NAGIOS_CURRENT_SERVICE_STATE", "NAGIOS_EC_DISABLE_HOST_CHECK",
    "NAGIOS_EC_DISABLE_HOST_NOTIFICATIONS", "NAGIOS_EC_DISABLE_HOST_SVC_NOTIFICATIONS",
    "NAGIOS_EC_DISABLE_SVC_CHECK", "NAGIOS_EC_DISABLE_SVC_NOTIFICATIONS",
    "NAGIOS_EC_ENABLE_HOST_CHECK", "NAGIOS_EC_ENABLE_HOST_NOTIFICATIONS",
    "NAGIOS_EC_ENABLE_HOST_SVC_NOTIFICATIONS", "NAGIOS_EC_ENABLE_SVC_CHECK",
    "NAGIOS_EC_ENABLE_SVC_NOTIFICATIONS", "NAGIOS_EC_LINE_DISABLE_HOST_CHECK",
    "NAGIOS_EC_LINE_DISABLE_HOST_NOTIFICATIONS", "NAGIOS_EC_LINE_DISABLE_HOST_SVC_NOTIFICATIONS",
    "NAGIOS_EC_LINE_DISABLE_SVC_CHECK", "NAGIOS_EC_LINE_DISABLE_SVC_NOTIFICATIONS",
    "NAGIOS_EC_LINE_ENABLE_HOST_CHECK", "NAGIOS_EC_LINE_ENABLE_HOST_NOTIFICATIONS",
    "NAGIOS_EC_LINE_ENABLE_HOST_SVC_NOTIFICATIONS", "NAGIOS_EC_LINE_ENABLE_SVC_CHECK",
    "NAGIOS_EC_LINE_ENABLE_SVC_NOTIFICATIONS", "NAGIOS_EC_LINE_PROCESS_HOST_CHECK_RESULT",
    "NAGIOS_EC_LINE_PROCESS_SERVICE_CHECK_RESULT", "NAGIOS_EC_LINE_SCHEDULE_HOST_DOWNTIME",
    "NAGIOS_EC_PROCESS_HOST_CHECK_RESULT", "NAGIOS_EC_PROCESS_SERVICE_CHECK_RESULT",
    "NAGIOS_EC_SCHEDULE_HOST_DOWNTIME", "NAGIOS_EC_SCHEDULE_SERVICE_DOWNTIME",
    "NAGIOS_HOST_ALERT", "NAGIOS_HOST_DOWNTIME_ALERT", "NAGIOS_HOST_EVENT_HANDLER",
    "NAGIOS_HOST_FLAPPING_ALERT", "NAGIOS_HOST_NOTIFICATION", "NAGIOS_PASSIVE_HOST_CHECK",
    "NAGIOS_PASSIVE_SERVICE_CHECK", "NAGIOS_SERVICE_ALERT", "NAGIOS_SERVICE_DOWNTIME_ALERT",
    "NAGIOS_SERVICE_EVENT_HANDLER", "NAGIOS_SERVICE_FLAPPING_ALERT",
    "NAGIOS_SERVICE_NOTIFICATION", "NAGIOS_TIMEPERIOD_TRANSITION",
    "NAGIOS_TYPE_CURRENT_HOST_STATE", "NAGIOS_TYPE_CURRENT_SERVICE_STATE",
    "NAGIOS_TYPE_EXTERNAL_COMMAND", "NAGIOS_TYPE_HOST_ALERT", "NAGIOS_TYPE_HOST_DOWNTIME_ALERT",
    "NAGIOS_TYPE_HOST_EVENT_HANDLER", "NAGIOS_TYPE_HOST_FLAPPING_ALERT",
    "NAGIOS_TYPE_HOST_NOTIFICATION", "NAGIOS_TYPE_PASSIVE_HOST_CHECK",
    "NAGIOS_TYPE_PASSIVE_SERVICE_CHECK", "NAGIOS_TYPE_SERVICE_ALERT",
    "NAGIOS_TYPE_SERVICE_DOWNTIME_ALERT", "NAGIOS_TYPE_SERVICE_EVENT_HANDLER",
    "NAGIOS_TYPE_SERVICE_FLAPPING_ALERT", "NAGIOS_TYPE_SERVICE_NOTIFICATION",
    "NAGIOS_TYPE_TIMEPERIOD_TRANSITION", "NAGIOS_WARNING", "NETSCREENSESSIONLOG", "NONNEGINT",
    "NOTSPACE", "NUMBER", "PATH", "POSINT", "POSTGRESQL", "PROG", "QS", "QUOTEDSTRING", "RAILS3",
    "RAILS3FOOT", "RAILS3HEAD", "RAILS3PROFILE", "RCONTROLLER", "REDISLOG", "REDISMONLOG",
    "REDISTIMESTAMP", "RPROCESSING", "RT_FLOW1", "RT_FLOW2", "RT_FLOW3", "RT_FLOW_EVENT",
    "RT_FLOW_TAG", "RUBY_LOGGER", "RUBY_LOGLEVEL", "RUUID", "S3_ACCESS_LOG", "S3_REQUEST_LINE",
    "SECOND", "SFW2", "SFW2_LOG_PREFIX", "SHOREWALL", "SPACE", "SQUID3", "SQUID3_STATUS",
    "SYSLOG5424BASE", "SYSLOG5424LINE", "SYSLOG5424PRI", "SYSLOG5424PRINTASCII", "SYSLOG5424SD",
    "SYSLOGBASE", "SYSLOGBASE2", "SYSLOGFACILITY", "SYSLOGHOST", "SYSLOGLINE", "SYSLOGPAMSESSION",
    "SYSLOGPROG", "SYSLOGTIMESTAMP", "TIME", "TIMESTAMP_ISO8601", "TOMCAT7_LOG", "TOMCAT8_LOG",
    "TOMCATLEGACY_DATESTAMP", "TOMCATLEGACY_LOG", "TOMCATLOG", "TOMCAT_DATESTAMP", "TTY", "TZ",
    "UNIXPATH", "URI", "URIHOST", "URIPARAM", "URIPATH", "URIPATHPARAM", "URIPROTO", "URIQUERY",
    "URN", "USER", "USERNAME", "UUID", "WINDOWSMAC", "WINPATH", "WORD", "YEAR", "ZEEK_BOOL",
    "ZEEK_CONN", "ZEEK_DATA", "ZEEK_DNS", "ZEEK_FILES", "ZEEK_FILES_RX_HOSTS",
    "ZEEK_FILES_TX_HOSTS", "ZEEK_HTTP",
    /* clang-format on */
};

static void test_customary_names(void **state)
{
    for (size_t i = 0; i < sizeof(customary) / sizeof(customary[0]); i++)
        if (!grok_text(str_c(customary[i])))
            fail_msg("there is no pattern %s", customary[i]);
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
        cmocka_unit_test(test_customary_names),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
