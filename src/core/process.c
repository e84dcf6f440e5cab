/* Read from /proc at each scrape. */
#include "core/process.h"

#include "core/clock.h"
#include "core/metrics.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { NETSTAT_BYTES_MAX = 16 << 10 };

static int64_t started_ns;

uint64_t process_resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(f);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* A line of names and a line of values, both begin with the group's name. */
uint64_t process_ip_number(struct str netstat, struct str name)
{
    struct str line, names = {0}, key, value;
    uint64_t v = 0;
    while (netstat.n && str_split(&netstat, '\n', &line)) {
        if (!str_starts(line, STR("IpExt: ")))
            continue;
        if (!names.n) {
            names = line;
            continue;
        }
        while (str_split(&names, ' ', &key) && str_split(&line, ' ', &value))
            if (str_eq(key, name) && str_to_u64(value, &v))
                return v;
        return 0;
    }
    return 0;
}

static double network(struct str name)
{
    char text[NETSTAT_BYTES_MAX];
    FILE *f = fopen("/proc/self/net/netstat", "re");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    return (double)process_ip_number(str_of(text, n), name);
}

static double read_received(void *ctx)
{
    return network(STR("InOctets"));
}

static double read_sent(void *ctx)
{
    return network(STR("OutOctets"));
}

static double read_resident(void *ctx)
{
    return (double)process_resident_bytes();
}

static double read_cpu(void *ctx)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0)
        return 0;
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double read_started(void *ctx)
{
    return (double)(started_ns / NS_PER_MS) / 1000.0;
}

void process_register_metrics(void)
{
    if (!started_ns)
        started_ns = clock_now_ns();
    metric_gauge_fn("process_resident_memory_bytes", NULL, "Resident memory.", read_resident, NULL);
    metric_gauge_fn("process_start_time_seconds", NULL, "Start of the process, since 1970.",
                    read_started, NULL);
    metric_counter_fn("process_cpu_seconds_total", NULL, "CPU time, of all threads.", read_cpu,
                      NULL);
    metric_counter_fn("process_network_receive_bytes_total", NULL,
                      "Bytes received by the network that the process stands in.", read_received,
                      NULL);
    metric_counter_fn("process_network_transmit_bytes_total", NULL,
                      "Bytes sent by the network that the process stands in.", read_sent, NULL);
}
