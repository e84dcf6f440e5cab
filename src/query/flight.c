#include "query/flight.h"

#include "core/thread.h"

/* More than there are threads that scan: they are few, so that all are looked through. */
enum { FLIGHTS_MAX = 256 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static struct chunk_key flight[FLIGHTS_MAX];
static unsigned n_flights;

static void init(void)
{
    cond_init(&ended);
}

/* n_flights: not there. With the lock, as the next. */
static unsigned find(const struct chunk_key *at)
{
    unsigned i = 0;
    while (i < n_flights && (flight[i].segment != at->segment || flight[i].offset != at->offset ||
                             flight[i].part != at->part))
        i++;
    return i;
}

bool flight_begin(const struct chunk_key *at)
{
    pthread_mutex_lock(&lock);
    bool mine = find(at) == n_flights;
    if (mine && n_flights < FLIGHTS_MAX)
        flight[n_flights++] = *at;
    pthread_mutex_unlock(&lock);
    return mine;
}

void flight_end(const struct chunk_key *at)
{
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    unsigned i = find(at);
    if (i < n_flights)
        flight[i] = flight[--n_flights];
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&lock);
}

bool flight_wait(const struct chunk_key *at, int64_t deadline_mono_ns)
{
    pthread_once(&once, init);
    pthread_mutex_lock(&lock);
    bool in_time = true;
    while (in_time && find(at) < n_flights)
        in_time = cond_wait_until(&ended, &lock, deadline_mono_ns);
    bool gone = find(at) == n_flights;
    pthread_mutex_unlock(&lock);
    return gone;
}
