/* The registry: families (one name, one type, one help text) in alphabetical order, each with its
 * metrics, one a set of labels. Nothing is ever removed, so that pointers stay good for the
 * process. One mutex guards the structure and the functions of gauges; values are atomics and need
 * none.
 *
 * A histogram counts each observation in one bucket alone; sums over buckets are made when written,
 * so that _count and the last bucket agree whatever is observed meanwhile. */
#include "core/metrics.h"

#include "core/clock.h"
#include "core/hash.h"
#include "core/mem.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

static const int64_t bucket_ns[] = {
    1 * NS_PER_MS,    2500000,         5 * NS_PER_MS,   10 * NS_PER_MS,  25 * NS_PER_MS,
    50 * NS_PER_MS,   100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS, 1 * NS_PER_S,
    2500 * NS_PER_MS, 5 * NS_PER_S,    10 * NS_PER_S,   30 * NS_PER_S,   60 * NS_PER_S,
};
enum { BUCKETS = sizeof(bucket_ns) / sizeof(bucket_ns[0]) };

struct histogram {
    _Atomic uint64_t counts[BUCKETS + 1]; /* the last: above all bounds */
    _Atomic int64_t sum_ns;
};

struct metric {
    struct metric *next;  /* of the family, in order of registration */
    struct metric *chain; /* of the hash bucket */
    uint64_t hash;
    struct family *family;
    char *labels; /* "" for none */
    _Atomic int64_t value;
    struct histogram *histogram;
    bool reads; /* it has a function */
    double (*fn)(void *);
    void *ctx;
};

struct family {
    struct family *next;
    enum metric_type type;
    char *name, *help;
    struct metric *metrics, **tail;
};

enum { CHAINS = 1024 };
static struct family *families;
static struct metric *chains[CHAINS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool is_name(const char *name)
{
    if (!*name || (*name >= '0' && *name <= '9'))
        return false;
    for (; *name; name++) {
        char c = (char)(*name | 0x20);
        if (!(c >= 'a' && c <= 'z') && !(*name >= '0' && *name <= '9') && *name != '_' &&
            *name != ':')
            return false;
    }
    return true;
}

static struct family *get_family(const char *name, enum metric_type type, const char *help)
{
    struct family **at = &families;
    while (*at && strcmp((*at)->name, name) < 0)
        at = &(*at)->next;
    if (*at && strcmp((*at)->name, name) == 0) {
        if ((*at)->type != type)
            BUG("metric %s is registered with two types", name);
        return *at;
    }
    CHECK(is_name(name) && help && *help);
    struct family *f = NEW(struct family);
    f->type = type;
    f->name = mem_strdup(str_c(name));
    f->help = mem_strdup(str_c(help));
    f->tail = &f->metrics;
    f->next = *at;
    *at = f;
    return f;
}

/* Under the lock. */
static struct metric *get_metric(const char *name, const char *labels, enum metric_type type,
                                 const char *help)
{
    struct family *f = get_family(name, type, help);
    labels = labels ? labels : "";
    uint64_t hash = hash64_seed(str_c(labels), hash64(str_c(name)));
    struct metric **chain = &chains[hash % CHAINS];
    for (struct metric *m = *chain; m; m = m->chain) {
        if (m->hash == hash && m->family == f && strcmp(m->labels, labels) == 0)
            return m;
    }
    struct metric *m = NEW(struct metric);
    m->hash = hash;
    m->family = f;
    m->labels = mem_strdup(str_c(labels));
    if (type == METRIC_HISTOGRAM)
        m->histogram = NEW(struct histogram);
    m->chain = *chain;
    *chain = m;
    *f->tail = m;
    f->tail = &m->next;
    return m;
}

static struct metric *register_metric(const char *name, const char *labels, enum metric_type type,
                                      const char *help)
{
    pthread_mutex_lock(&lock);
    struct metric *m = get_metric(name, labels, type, help);
    pthread_mutex_unlock(&lock);
    return m;
}

struct metric *metric_counter(const char *name, const char *labels, const char *help)
{
    return register_metric(name, labels, METRIC_COUNTER, help);
}

struct metric *metric_gauge(const char *name, const char *labels, const char *help)
{
    return register_metric(name, labels, METRIC_GAUGE, help);
}

struct metric *metric_histogram(const char *name, const char *labels, const char *help)
{
    return register_metric(name, labels, METRIC_HISTOGRAM, help);
}

static void register_fn(const char *name, const char *labels, enum metric_type type,
                        const char *help, double (*fn)(void *), void *ctx)
{
    pthread_mutex_lock(&lock);
    struct metric *m = get_metric(name, labels, type, help);
    m->reads = true;
    m->fn = fn;
    m->ctx = ctx;
    pthread_mutex_unlock(&lock);
}

void metric_gauge_fn(const char *name, const char *labels, const char *help, double (*fn)(void *),
                     void *ctx)
{
    register_fn(name, labels, METRIC_GAUGE, help, fn, ctx);
}

void metric_counter_fn(const char *name, const char *labels, const char *help, double (*fn)(void *),
                       void *ctx)
{
    register_fn(name, labels, METRIC_COUNTER, help, fn, ctx);
}

void metric_add(struct metric *m, int64_t n)
{
    atomic_fetch_add_explicit(&m->value, n, memory_order_relaxed);
}

void metric_set(struct metric *m, int64_t v)
{
    atomic_store_explicit(&m->value, v, memory_order_relaxed);
}

int64_t metric_get(const struct metric *m)
{
    if (!m->histogram)
        return atomic_load_explicit(&m->value, memory_order_relaxed);
    uint64_t count = 0;
    for (int i = 0; i <= BUCKETS; i++)
        count += m->histogram->counts[i];
    return (int64_t)count;
}

void metric_observe_ns(struct metric *m, int64_t ns)
{
    int i = 0;
    ns = ns < 0 ? 0 : ns;
    while (i < BUCKETS && ns > bucket_ns[i])
        i++;
    atomic_fetch_add_explicit(&m->histogram->counts[i], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&m->histogram->sum_ns, ns, memory_order_relaxed);
}

static void put_escaped(struct buf *out, struct str s, bool quotes)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '\n')
            buf_put_c(out, "\\n");
        else if (s.p[i] == '\\' || (quotes && s.p[i] == '"'))
            buf_printf(out, "\\%c", s.p[i]);
        else
            buf_put_byte(out, s.p[i]);
    }
}

void metric_label(struct buf *labels, const char *name, struct str value)
{
    buf_printf(labels, "%s%s=\"", labels->n ? "," : "", name);
    put_escaped(labels, value, true);
    buf_put_byte(labels, '"');
}

/* name_suffix{labels,extra} */
static void put_series(struct buf *out, const struct metric *m, const char *suffix,
                       const char *extra)
{
    const char *comma = *m->labels && *extra ? "," : "";
    buf_printf(out, "%s%s", m->family->name, suffix);
    if (*m->labels || *extra)
        buf_printf(out, "{%s%s%s}", m->labels, comma, extra);
    buf_put_byte(out, ' ');
}

static void put_histogram(struct buf *out, const struct metric *m)
{
    uint64_t count = 0;
    for (int i = 0; i <= BUCKETS; i++) {
        char bound[40] = "le=\"+Inf\"";
        if (i < BUCKETS)
            snprintf(bound, sizeof(bound), "le=\"%g\"", (double)bucket_ns[i] / NS_PER_S);
        count += m->histogram->counts[i];
        put_series(out, m, "_bucket", bound);
        buf_printf(out, "%llu\n", (unsigned long long)count);
    }
    put_series(out, m, "_sum", "");
    buf_printf(out, "%.9f\n", (double)m->histogram->sum_ns / NS_PER_S);
    put_series(out, m, "_count", "");
    buf_printf(out, "%llu\n", (unsigned long long)count);
}

static void put_double(struct buf *out, double v)
{
    if (isnan(v))
        buf_put_c(out, "NaN\n");
    else if (isinf(v))
        buf_put_c(out, v > 0 ? "+Inf\n" : "-Inf\n");
    else
        buf_printf(out, "%.17g\n", v);
}

static void put_metric(struct buf *out, const struct metric *m)
{
    if (m->histogram) {
        put_histogram(out, m);
        return;
    }
    if (m->reads && !m->fn)
        return;
    put_series(out, m, "", "");
    if (m->reads) {
        put_double(out, m->fn(m->ctx));
    } else {
        buf_put_i64(out, metric_get(m));
        buf_put_byte(out, '\n');
    }
}

static bool family_is_empty(const struct family *f)
{
    for (const struct metric *m = f->metrics; m; m = m->next) {
        if (!m->reads || m->fn)
            return false;
    }
    return true;
}

void metrics_write(struct buf *out)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&lock);
    for (const struct family *f = families; f; f = f->next) {
        if (family_is_empty(f))
            continue;
        buf_printf(out, "# HELP %s ", f->name);
        put_escaped(out, str_c(f->help), false);
        buf_printf(out, "\n# TYPE %s %s\n", f->name, types[f->type]);
        for (const struct metric *m = f->metrics; m; m = m->next)
            put_metric(out, m);
    }
    pthread_mutex_unlock(&lock);
}
