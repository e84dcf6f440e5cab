/* The byte budget: one counter in all and one an owner, plain atomics.
 *
 * A taker adds first and gives back when that went past a bound, so that the sum never stands above
 * the budget for longer than such a failing call; two takers that collide near the bound may both
 * fail, and both may try again. Forced bytes may stand above it: then takers fail until they are
 * given back. */
#include "core/governor.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic size_t budget;
static _Atomic size_t used_total;
static _Atomic size_t used_by[OWNER_COUNT];
/* Kept as what is missing to 1000, so that zeroed memory means the whole budget. */
static _Atomic unsigned withheld_permille[OWNER_COUNT];

void governor_set_budget(size_t bytes)
{
    budget = bytes;
}

size_t governor_budget(void)
{
    return budget;
}

size_t governor_used(void)
{
    return used_total;
}

size_t governor_used_by(enum owner owner)
{
    return used_by[owner];
}

const char *governor_owner_name(enum owner owner)
{
    static const char *const names[OWNER_COUNT] = {
        [OWNER_INGEST] = "ingest",   [OWNER_QUEUE] = "queue", [OWNER_MEMTABLE] = "memtable",
        [OWNER_ENCODE] = "encode",   [OWNER_QUERY] = "query", [OWNER_CACHE] = "cache",
        [OWNER_COMPACT] = "compact", [OWNER_OTHER] = "other",
    };
    CHECK(owner < OWNER_COUNT);
    return names[owner];
}

void governor_set_share(enum owner owner, unsigned permille)
{
    CHECK(owner < OWNER_COUNT && permille <= 1000);
    withheld_permille[owner] = 1000 - permille;
}

static enum err refuse(enum owner owner, size_t bytes)
{
    char holders[256] = "";
    size_t n = 0;
    for (int i = 0; i < OWNER_COUNT; i++) {
        size_t held = used_by[i];
        if (held && n < sizeof(holders) - 40)
            n += (size_t)snprintf(holders + n, sizeof(holders) - n, "%s%s %zu", n ? ", " : "",
                                  governor_owner_name((enum owner)i), held);
    }
    return err_set(ERR_NOMEM,
                   "memory.budget: %s asks for %zu bytes, but %zu of %zu are in use (%s; its share "
                   "is %u per mille)",
                   governor_owner_name(owner), bytes, (size_t)used_total, (size_t)budget, holders,
                   1000 - withheld_permille[owner]);
}

void governor_force(enum owner owner, size_t bytes)
{
    atomic_fetch_add_explicit(&used_total, bytes, memory_order_relaxed);
    atomic_fetch_add_explicit(&used_by[owner], bytes, memory_order_relaxed);
}

void governor_give(enum owner owner, size_t bytes)
{
    size_t had = atomic_fetch_sub_explicit(&used_by[owner], bytes, memory_order_relaxed);
    CHECK(had >= bytes);
    atomic_fetch_sub_explicit(&used_total, bytes, memory_order_relaxed);
}

enum err governor_take(enum owner owner, size_t bytes)
{
    size_t limit = budget;
    if (limit && bytes > limit)
        return refuse(owner, bytes);
    governor_force(owner, bytes);
    if (!limit)
        return OK;
    size_t share = limit - limit / 1000 * withheld_permille[owner];
    if (used_total <= limit && used_by[owner] <= share)
        return OK;
    governor_give(owner, bytes);
    return refuse(owner, bytes);
}

void reservation_init(struct reservation *r, enum owner owner, size_t max)
{
    CHECK(owner < OWNER_COUNT);
    *r = (struct reservation){.owner = owner, .max = max};
}

void reservation_init_of(struct reservation *r, enum owner owner, struct account *of)
{
    reservation_init(r, owner, 0);
    r->of = of;
}

static size_t account_add(struct account *a, size_t bytes)
{
    return atomic_fetch_add_explicit(&a->used, bytes, memory_order_relaxed) + bytes;
}

/* Only what stays is a peak: not what was refused. */
static void account_note(struct account *a, size_t used)
{
    size_t peak = atomic_load_explicit(&a->peak, memory_order_relaxed);
    while (used > peak && !atomic_compare_exchange_weak(&a->peak, &peak, used))
        ;
}

static void account_give(struct account *a, size_t bytes)
{
    size_t had = atomic_fetch_sub_explicit(&a->used, bytes, memory_order_relaxed);
    CHECK(had >= bytes);
}

static enum err account_take(struct account *a, enum owner owner, size_t bytes)
{
    size_t used = account_add(a, bytes);
    if (used > a->max) {
        account_give(a, bytes);
        return err_set(ERR_NOMEM, "%s asks for %zu bytes beside the %zu it holds, its limit is %zu",
                       governor_owner_name(owner), bytes, used - bytes, a->max);
    }
    account_note(a, used);
    return OK;
}

enum err reservation_grow(struct reservation *r, size_t bytes)
{
    if (r->max && (r->bytes > r->max || bytes > r->max - r->bytes))
        return err_set(ERR_NOMEM, "%s asks for %zu bytes beside the %zu it holds, its limit is %zu",
                       governor_owner_name(r->owner), bytes, r->bytes, r->max);
    if (r->of)
        TRY(account_take(r->of, r->owner, bytes));
    enum err err = governor_take(r->owner, bytes);
    if (err == OK)
        r->bytes += bytes;
    else if (r->of)
        account_give(r->of, bytes);
    return err;
}

void reservation_force(struct reservation *r, size_t bytes)
{
    if (r->of)
        account_note(r->of, account_add(r->of, bytes));
    governor_force(r->owner, bytes);
    r->bytes += bytes;
}

void reservation_shrink(struct reservation *r, size_t bytes)
{
    CHECK(bytes <= r->bytes);
    if (r->of)
        account_give(r->of, bytes);
    governor_give(r->owner, bytes);
    r->bytes -= bytes;
}

void reservation_release(struct reservation *r)
{
    reservation_shrink(r, r->bytes);
}

void gate_init(struct gate *g, size_t max)
{
    *g = (struct gate){.max = max ? max : SIZE_MAX};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
}

void gate_release(struct gate *g)
{
    CHECK(!g->used && g->asked == g->admitted);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->changed);
}

void gate_enter(struct gate *g, enum owner owner, size_t bytes)
{
    pthread_mutex_lock(&g->lock);
    uint64_t turn = g->asked++;
    while (turn != g->admitted || (g->used && (g->used >= g->max || bytes > g->max - g->used)))
        pthread_cond_wait(&g->changed, &g->lock);
    g->admitted++;
    g->used += bytes;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    governor_force(owner, bytes);
}

void gate_leave(struct gate *g, enum owner owner, size_t bytes)
{
    governor_give(owner, bytes);
    pthread_mutex_lock(&g->lock);
    g->used -= bytes;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

void gate_yield(struct gate *g, enum owner owner, size_t bytes)
{
    pthread_mutex_lock(&g->lock);
    bool waited_for = g->asked != g->admitted;
    pthread_mutex_unlock(&g->lock);
    if (!waited_for)
        return;
    gate_leave(g, owner, bytes);
    gate_enter(g, owner, bytes);
}
