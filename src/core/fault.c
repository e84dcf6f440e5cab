/* The fault plan: one counter, one rule about which calls a kind can strike. What a crash takes
 * back is kept by fault_undo.c, only while a crash plan with `lose` is set. */
#include "core/fault.h"

#include "core/clock.h"
#include "core/fault_undo.h"
#include "core/str.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { PAGE_BYTES = 4096 };

_Atomic bool fault_is_active;
static struct fault_plan plan;
static _Atomic uint64_t calls, hits;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static bool tracking(void)
{
    return plan.kind == FAULT_CRASH && plan.lose;
}

void fault_set(const struct fault_plan *new_plan)
{
    undo_reset();
    plan = new_plan ? *new_plan : (struct fault_plan){0};
    calls = 0;
    hits = 0;
    fault_is_active = plan.kind != FAULT_NONE;
}

bool fault_spoils(uint64_t off, size_t n)
{
    uint64_t page = plan.at / PAGE_BYTES * PAGE_BYTES;
    if (plan.kind != FAULT_UNREADABLE || off + n <= page ||
        (off >= page + PAGE_BYTES && !plan.sticky))
        return false;
    hits++;
    return true;
}

uint64_t fault_calls(void)
{
    return calls;
}

uint64_t fault_hits(void)
{
    return hits;
}

static bool parse_kind(struct str name, enum fault_kind *ret)
{
    static const char *const names[] = {"",      "count", "crash",      "enospc", "eio",
                                        "short", "fsync", "unreadable", "slow"};
    for (int i = 1; i <= FAULT_SLOW; i++) {
        if (str_eq_c(name, names[i])) {
            *ret = (enum fault_kind)i;
            return true;
        }
    }
    return false;
}

static bool parse_option(struct str option, struct fault_plan *p)
{
    struct str name = {0};
    uint64_t v;
    if (!str_split(&option, '=', &name) || !str_to_u64(option, &v))
        return false;
    if (str_eq_c(name, "seed")) {
        p->seed = v;
        return true;
    }
    bool *flag = str_eq_c(name, "lose")     ? &p->lose
                 : str_eq_c(name, "sticky") ? &p->sticky
                 : str_eq_c(name, "reads")  ? &p->reads
                                            : NULL;
    if (!flag || v > 1)
        return false;
    *flag = v == 1;
    return true;
}

enum err fault_parse(const char *text, struct fault_plan *ret)
{
    struct fault_plan p = {.at = 1, .lose = true};
    struct str rest = str_c(text), head = {0}, kind = {0}, option;
    str_split(&rest, ':', &head);
    str_split(&head, '@', &kind);
    bool good = parse_kind(kind, &p.kind);
    if (good && head.p)
        good = str_to_u64(head, &p.at) && p.at > 0;
    while (good && str_split(&rest, ':', &option))
        good = parse_option(option, &p);
    if (!good)
        return err_set(ERR_INVALID,
                       "fault plan \"%s\" is not crash|enospc|eio|short|fsync|unreadable|slow|count"
                       "[@N][:seed=N][:lose=0|1][:sticky=0|1][:reads=0|1]",
                       text);
    *ret = p;
    return OK;
}

enum err fault_from_env(void)
{
    const char *text = getenv("WEIR_FAULT");
    if (!text || !*text)
        return OK;
    struct fault_plan p;
    TRY(fault_parse(text, &p));
    fault_set(&p);
    return OK;
}

void fault_lock(void)
{
    if (plan.kind == FAULT_CRASH)
        pthread_mutex_lock(&lock);
}

void fault_unlock(void)
{
    if (plan.kind == FAULT_CRASH)
        pthread_mutex_unlock(&lock);
}

static bool applies(enum fault_op op)
{
    switch (plan.kind) {
    case FAULT_CRASH:
    case FAULT_EIO:
        return true;
    case FAULT_ENOSPC:
        return op == FAULT_OP_WRITE || op == FAULT_OP_GROW || op == FAULT_OP_NAME;
    case FAULT_SHORT:
        return op == FAULT_OP_WRITE;
    case FAULT_FSYNC:
        return op == FAULT_OP_SYNC;
    default:
        return false;
    }
}

/* Ahead of a write: what it takes on a slow disk. */
static void drag(size_t n)
{
    int64_t ns = (int64_t)((double)n / (double)plan.at * (double)NS_PER_MS);
    struct timespec t = {ns / NS_PER_S, ns % NS_PER_S};
    pthread_mutex_lock(&lock);
    while (nanosleep(&t, &t) != 0 && errno == EINTR)
        continue;
    pthread_mutex_unlock(&lock);
}

/* One call alone takes a fault that is not sticky, whichever thread comes first. */
static bool claim(void)
{
    if (plan.sticky) {
        hits++;
        return true;
    }
    uint64_t none = 0;
    return atomic_compare_exchange_strong(&hits, &none, 1);
}

enum err fault_step(enum fault_op op, const char *path, size_t *n)
{
    static const char *const verbs[] = {"read", "write", "allocate", "create", "remove", "sync"};
    if (plan.kind == FAULT_NONE || (op == FAULT_OP_READ && !plan.reads))
        return OK;
    if (plan.kind == FAULT_SLOW && op == FAULT_OP_WRITE && n)
        drag(*n);
    uint64_t number = ++calls;
    if (number < plan.at || !applies(op) || !claim())
        return OK;
    if (plan.kind == FAULT_CRASH) {
        if (plan.lose)
            undo_apply(plan.seed);
        raise(SIGKILL);
    }
    if (n)
        *n = plan.kind == FAULT_SHORT ? *n / 2 : 0;
    errno = plan.kind == FAULT_ENOSPC || plan.kind == FAULT_SHORT ? ENOSPC : EIO;
    return err_set_errno("cannot %s %s", verbs[op], path ? path : "file");
}

void fault_note_write(int fd, const char *path, uint64_t off, size_t n)
{
    if (tracking())
        undo_note_write(fd, path, off, n);
}

void fault_note_truncate(int fd, const char *path, uint64_t size)
{
    if (tracking())
        undo_note_truncate(fd, path, size);
}

void fault_note_create(const char *path)
{
    if (tracking())
        undo_note_create(path);
}

void fault_note_rename(const char *from, const char *to)
{
    if (tracking())
        undo_note_rename(from, to);
}

void fault_note_unlink(const char *path)
{
    if (tracking())
        undo_note_unlink(path);
}

void fault_note_sync(int fd, const char *path)
{
    if (tracking())
        undo_forget_file(fd, path);
}

void fault_note_sync_dir(const char *path)
{
    if (tracking())
        undo_forget_dir(path);
}
