#include "cmd/grep_map.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAPS = 64 };

struct grep_map {
    _Atomic uintptr_t begin; /* 0: free, or being made */
    _Atomic size_t n;        /* mapped, the page behind the file included */
    atomic_bool taken, shrank;
};
static struct grep_map maps[MAPS];
static size_t page_bytes;

static void *map_zeros(void *at, size_t n)
{
    return mmap(at, n, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | (at ? MAP_FIXED : 0), -1, 0);
}

static void on_bus(int sig, siginfo_t *info, void *ctx)
{
    uintptr_t at = (uintptr_t)info->si_addr;
    for (struct grep_map *m = maps; m < maps + MAPS; m++) {
        if (!m->begin || at < m->begin || at - m->begin >= m->n)
            continue;
        m->shrank = true;
        if (map_zeros((void *)(at & ~(uintptr_t)(page_bytes - 1)), page_bytes) != MAP_FAILED)
            return;
    }
    signal(sig, SIG_DFL); /* it comes again, and ends the process */
}

static void install(void)
{
    struct sigaction a = {.sa_sigaction = on_bus, .sa_flags = SA_SIGINFO};
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    sigemptyset(&a.sa_mask);
    sigaction(SIGBUS, &a, NULL);
}

static struct grep_map *take_free(void)
{
    for (struct grep_map *m = maps; m < maps + MAPS; m++)
        if (!atomic_exchange(&m->taken, true))
            return m;
    return NULL;
}

struct grep_map *grep_map_open(int fd, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
    struct grep_map *m = take_free();
    if (!m)
        return NULL;
    size_t whole = (n + 2 * page_bytes - 1) & ~(page_bytes - 1);
    char *p = map_zeros(NULL, whole);
    if (p == MAP_FAILED) {
        m->taken = false;
        return NULL;
    }
    m->shrank = false;
    m->n = whole;
    m->begin = (uintptr_t)p;
    if (mmap(p, n, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
        grep_map_close(m);
        return NULL;
    }
    return m;
}

const char *grep_map_bytes(const struct grep_map *m)
{
    return (const char *)m->begin;
}

bool grep_map_shrank(const struct grep_map *m)
{
    return m && m->shrank;
}

void grep_map_close(struct grep_map *m)
{
    if (!m)
        return;
    void *p = (void *)m->begin;
    m->begin = 0;
    munmap(p, m->n);
    m->taken = false;
}
