/* What Prometheus wants to know of any process: process_resident_memory_bytes,
 * process_start_time_seconds, process_cpu_seconds_total, process_network_receive_bytes_total and
 * process_network_transmit_bytes_total (of the network that it stands in: a pod's), under the names
 * that client libraries give them. Threads: any. */
#ifndef WEIR_CORE_PROCESS_H
#define WEIR_CORE_PROCESS_H

#include "core/str.h"

/* At the start, for /metrics. */
void process_register_metrics(void);
uint64_t process_resident_bytes(void); /* 0 where the system does not say */
/* A number of the group "IpExt" in a text like /proc/net/netstat; 0 where there is none. */
uint64_t process_ip_number(struct str netstat, struct str name);

#endif
